//! `GET /api/v1/openapi.json`: the JSON API, described by the tables that check it.

use std::sync::OnceLock;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use debrief_domain::RecordingKind;
use debrief_domain::limits::{BATCH_EVENTS_MAX, RECORDING_INSTANCES_MAX};
use serde_json::{Value, json};

use super::directory::PRESENCE_SECS_MAX;
use super::sessions::PAGE_MAX;
use crate::wire::event::EVENT;

/// The document. It says nothing of what is stored, so it needs no token.
pub(crate) async fn document() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| whole().to_string());
    (
        StatusCode::OK,
        [(CONTENT_TYPE, "application/json")],
        text.as_str(),
    )
        .into_response()
}

fn whole() -> Value {
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Debrief",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Events in, sessions out. The vendor's own API is beside this one, at /api/reporting.",
        },
        "security": [{ "oauth2": [] }],
        "paths": {
            "/api/v1/events": { "post": events() },
            "/api/v1/sessions": { "get": sessions() },
            "/api/v1/sessions/{lsid}": { "get": session() },
            "/api/v1/sessions/{lsid}/recordings": { "get": recordings() },
            "/api/v1/sessions/{lsid}/recordings/{kind}/{instance}": {
                "get": recording("The file of a recording", RecordingKind::ALL.as_slice()),
                "put": upload("Hands a recording in, whole or piece by piece", RecordingKind::ALL.as_slice()),
            },
            "/api/v1/sessions/{lsid}/recordings/{kind}/{instance}/timing": {
                "get": recording("The timing of a typescript", &[RecordingKind::CommandShell]),
                "put": upload("Hands in the timing of a typescript", &[RecordingKind::CommandShell]),
            },
            "/api/v1/changes": { "get": changes() },
            "/api/v1/tail": { "get": tail() },
            "/api/v1/sources": {
                "get": operation("How live sources are doing", json!([]), None, sources()),
            },
            "/api/v1/sources/{source}/dead-letters": {
                "get": operation(
                    "Messages of a source that nobody understood, newest first",
                    json!([path("source"), query("before", "The `next` of an answer, to go on with", json!({ "type": "integer", "minimum": 0 }))]),
                    None,
                    dead_letters(),
                ),
            },
            "/api/v1/directory": {
                "get": operation("The directory", json!([]), None, schema_ref("Directory")),
                "put": operation("Replaces the directory", json!([]), Some(schema_ref("Directory")), schema_ref("Changes")),
                "patch": operation("Replaces the lists that are given", json!([]), Some(schema_ref("Directory")), schema_ref("Changes")),
            },
            "/api/v1/presence": {
                "get": operation("Who is logged in", json!([]), None, json!({ "type": "object" })),
            },
            "/api/v1/representatives/{id}/presence": {
                "put": operation("Logged in for so many seconds", json!([path("id")]), Some(presence()), json!({ "type": "object" })),
                "delete": operation("Logged out", json!([path("id")]), None, json!({ "type": "object" })),
            },
        },
        "components": {
            "securitySchemes": {
                "oauth2": {
                    "type": "oauth2",
                    "flows": { "clientCredentials": { "tokenUrl": "/oauth2/token", "scopes": {} } },
                },
            },
            "schemas": {
                "Event": EVENT.schema(),
                "Directory": directory(),
                "Changes": {
                    "type": "object",
                    "required": ["changes"],
                    "properties": { "changes": { "type": "array", "items": { "type": "string" } } },
                },
                "Recording": {
                    "type": "object",
                    "required": ["kind", "instance", "part", "media_type", "bytes", "sha256", "received"],
                    "properties": {
                        "kind": { "type": "string" },
                        "instance": { "type": "integer" },
                        "part": { "type": "string", "enum": ["recording", "timing"] },
                        "media_type": { "type": "string" },
                        "bytes": { "type": "integer" },
                        "sha256": { "type": "string" },
                        "received": { "type": "string" },
                    },
                },
                "Error": {
                    "type": "object",
                    "required": ["error", "message"],
                    "properties": {
                        "error": { "type": "string" },
                        "message": { "type": "string" },
                        "faults": { "type": "array", "items": {
                            "type": "object",
                            "required": ["field", "message"],
                            "properties": {
                                "line": { "type": "integer" },
                                "field": { "type": "string" },
                                "code": { "type": "string" },
                                "message": { "type": "string" },
                            },
                        } },
                        "limit": { "type": "string" },
                        "value": { "type": "integer" },
                    },
                },
            },
        },
    })
}

fn schema_ref(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The errors that every operation may answer with.
fn responses(ok: Value) -> Value {
    let error = |about: &str| {
        json!({
            "description": about,
            "content": { "application/json": { "schema": schema_ref("Error") } },
        })
    };
    json!({
        "200": { "description": "Done", "content": { "application/json": { "schema": ok } } },
        "304": { "description": "The client has these bytes already" },
        "400": error("Faulty, every fault named; nothing was kept"),
        "401": error("No token, or none that is valid"),
        "403": error("The account may not do this, or not from here"),
        "404": error("There is no such thing"),
        "405": error("The path has no such method"),
        "408": error("The body took too long"),
        "410": error("The cursor is too old"),
        "413": error("Over a limit, which is named"),
        "415": error("A coding or media type that is not known"),
        "429": error("Too many requests; Retry-After says when to come again"),
        "500": error("The archive is damaged"),
        "503": error("Not now; Retry-After says when to come again"),
    })
}

fn operation(summary: &str, parameters: Value, body: Option<Value>, ok: Value) -> Value {
    let mut operation = json!({
        "summary": summary,
        "parameters": parameters,
        "responses": responses(ok),
    });
    if let Some(body) = body {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": body } },
        });
    }
    operation
}

fn query(name: &str, about: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": about, "schema": schema })
}

fn path(name: &str) -> Value {
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "schema": { "type": "string", "minLength": 1 },
    })
}

fn sources() -> Value {
    let or_null = |schema: Value| json!({ "nullable": true, "allOf": [schema] });
    let number = || json!({ "type": "integer" });
    let noted = |name: &str| {
        json!({
            "type": "object",
            "required": ["at", name],
            "properties": { "at": text(), name: text() },
        })
    };
    json!({
        "type": "object",
        "required": ["sources"],
        "properties": { "sources": { "type": "array", "items": {
            "type": "object",
            "required": ["name", "state", "events", "recordings", "refused", "dead_letters", "refusals"],
            "properties": {
                "name": text(),
                "state": text(),
                "told": or_null(text()),
                "heard": or_null(text()),
                "lag_seconds": or_null(number()),
                "error": or_null(noted("message")),
                "events": number(),
                "recordings": number(),
                "refused": number(),
                "dead_letters": number(),
                "refusals": { "type": "array", "items": noted("why") },
            },
        } } },
    })
}

fn dead_letters() -> Value {
    let or_null = || json!({ "type": "string", "nullable": true });
    json!({
        "type": "object",
        "required": ["dead_letters", "next"],
        "properties": {
            "dead_letters": { "type": "array", "items": {
                "type": "object",
                "required": ["id", "at", "why", "message", "message_base64"],
                "properties": {
                    "id": { "type": "integer" },
                    "at": text(),
                    "why": text(),
                    "message": or_null(),
                    "message_base64": or_null(),
                },
            } },
            "next": or_null(),
        },
    })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn events() -> Value {
    let ok = json!({
        "type": "object",
        "required": ["fresh", "repeated", "cursor"],
        "properties": {
            "fresh": { "type": "integer" },
            "repeated": { "type": "integer" },
            "cursor": { "type": "string" },
        },
    });
    let mut operation = operation(
        "Adds events, all or none; acknowledged when they are on disk",
        json!([]),
        None,
        ok,
    );
    operation["requestBody"] = json!({
        "required": true,
        "content": {
            "application/json": { "schema": {
                "type": "array",
                "items": schema_ref("Event"),
                "maxItems": BATCH_EVENTS_MAX,
            } },
            "application/x-ndjson": { "schema": { "type": "string" } },
        },
    });
    operation
}

fn page_parameters() -> Vec<Value> {
    vec![
        query("cursor", "The `next` of an earlier answer", text()),
        query(
            "page_size",
            "Sessions of a page",
            json!({ "type": "integer", "minimum": 1, "maximum": PAGE_MAX }),
        ),
        query(
            "limit",
            "all, rep:ID, team:all, team:ID, members:ID or site:ID",
            text(),
        ),
    ]
}

fn sessions() -> Value {
    let mut parameters = page_parameters();
    for (name, about) in [
        ("start_date", "Began on or after this day"),
        ("start_time", "Began at or after this time, UNIX seconds"),
        ("end_date", "Ended on or after this day"),
        ("end_time", "Ended at or after this time, UNIX seconds"),
        (
            "duration",
            "Days after a date, seconds after a time; 0 is up to now",
        ),
        ("lsid", "One session"),
        ("lsids", "Several, separated by commas"),
    ] {
        parameters.push(query(name, about, text()));
    }
    operation("Sessions, page by page", parameters.into(), None, page())
}

fn page() -> Value {
    json!({
        "type": "object",
        "required": ["sessions", "next"],
        "properties": {
            "sessions": { "type": "array", "items": { "type": "object" } },
            "next": { "type": "string", "nullable": true },
            "since": { "type": "string", "nullable": true },
        },
    })
}

fn session() -> Value {
    operation(
        "One session",
        json!([path("lsid")]),
        None,
        json!({ "type": "object" }),
    )
}

fn recordings() -> Value {
    let list = json!({
        "type": "object",
        "required": ["recordings"],
        "properties": { "recordings": { "type": "array", "items": schema_ref("Recording") } },
    });
    operation(
        "The session's recordings",
        json!([path("lsid")]),
        None,
        list,
    )
}

/// The names in the path of a recording.
fn recording_parameters(kinds: &[RecordingKind]) -> Vec<Value> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let parameter = |name: &str, schema: Value| json!({ "name": name, "in": "path", "required": true, "schema": schema });
    vec![
        path("lsid"),
        parameter("kind", json!({ "type": "string", "enum": kinds })),
        parameter(
            "instance",
            json!({ "type": "integer", "minimum": 0, "maximum": RECORDING_INSTANCES_MAX - 1 }),
        ),
    ]
}

fn recording(summary: &str, kinds: &[RecordingKind]) -> Value {
    let mut parameters = recording_parameters(kinds);
    parameters.push(json!({
        "name": "Range",
        "in": "header",
        "description": "One range of bytes",
        "schema": text(),
    }));
    let mut operation = operation(summary, parameters.into(), None, json!({}));
    let file = json!({ "*/*": { "schema": { "type": "string", "format": "binary" } } });
    let responses = &mut operation["responses"];
    responses["200"]["content"] = file.clone();
    responses["206"] = json!({ "description": "A range of the file", "content": file });
    responses["416"] = json!({ "description": "The range begins behind the end" });
    operation
}

fn upload(summary: &str, kinds: &[RecordingKind]) -> Value {
    let mut parameters = recording_parameters(kinds);
    for (name, about) in [
        (
            "Content-Range",
            "bytes FIRST-LAST/TOTAL for a piece; bytes */TOTAL asks how far it has come",
        ),
        ("Repr-Digest", "A digest of the whole recording (RFC 9530)"),
        ("Content-Digest", "A digest of this request's bytes"),
    ] {
        parameters.push(json!({
            "name": name,
            "in": "header",
            "description": about,
            "schema": text(),
        }));
    }
    let mut operation = operation(summary, parameters.into(), None, schema_ref("Recording"));
    operation["requestBody"] = json!({
        "content": {
            "application/octet-stream": { "schema": { "type": "string", "format": "binary" } },
        },
    });
    let answer = |about: &str, schema: Value| {
        json!({
            "description": about,
            "content": { "application/json": { "schema": schema } },
        })
    };
    let so_far = json!({
        "type": "object",
        "required": ["received", "total"],
        "properties": { "received": { "type": "integer" }, "total": { "type": "integer" } },
    });
    let responses = &mut operation["responses"];
    responses["201"] = answer("The recording is kept", schema_ref("Recording"));
    responses["202"] = answer("It has come so far", so_far);
    responses["409"] = answer(
        "There is another one already, or another upload of it runs",
        schema_ref("Error"),
    );
    responses["416"] = answer("Bytes before these are missing", schema_ref("Error"));
    operation
}

fn changes() -> Value {
    let mut parameters = page_parameters();
    parameters.push(query(
        "since",
        "The `since` of an earlier answer; 0 is from the beginning",
        text(),
    ));
    operation(
        "What changed, in order of change",
        parameters.into(),
        None,
        page(),
    )
}

fn tail() -> Value {
    let parameters = json!([
        query("lsid", "One session, with its events", text()),
        query("since", "A cursor to begin after", text()),
    ]);
    let mut operation = operation("What happens, as it happens", parameters, None, json!({}));
    operation["responses"]["200"]["content"] =
        json!({ "text/event-stream": { "schema": { "type": "string" } } });
    operation
}

fn presence() -> Value {
    json!({
        "type": "object",
        "required": ["ttl_seconds"],
        "additionalProperties": false,
        "properties": {
            "ttl_seconds": { "type": "integer", "minimum": 1, "maximum": PRESENCE_SECS_MAX },
        },
    })
}

fn directory() -> Value {
    let named = |id: &str, name: &str| {
        json!({
            "type": "object",
            "required": [id, name],
            "properties": { id: { "type": "string" }, name: { "type": "string" } },
        })
    };
    json!({
        "type": "object",
        "properties": {
            "representatives": { "type": "array", "items": {
                "type": "object",
                "required": ["id", "username"],
                "properties": {
                    "id": { "type": "string" },
                    "username": { "type": "string" },
                    "public_display_name": { "type": "string" },
                    "private_display_name": { "type": "string" },
                    "display_number": { "type": "string" },
                },
            } },
            "teams": { "type": "array", "items": {
                "type": "object",
                "required": ["id", "name"],
                "properties": {
                    "id": { "type": "string" },
                    "name": { "type": "string" },
                    "members": { "type": "array", "items": { "type": "string" } },
                    "issues": { "type": "array", "items": named("id", "title") },
                },
            } },
            "sites": { "type": "array", "items": named("id", "name") },
            "custom_fields": { "type": "array", "items": named("code_name", "display_name") },
        },
    })
}
