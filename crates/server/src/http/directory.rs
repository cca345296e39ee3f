//! `/api/v1/directory` and presence: who and what there is, and who is logged in.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use debrief_domain::RepId;
use debrief_report::iso;
use debrief_store::StoreError;
use serde_json::{Value, json};

use super::caller::{Address, Caller};
use super::error::{ApiError, BodyFault, invalid_body, not_found};
use super::events::receive;
use super::reporting::note;
use crate::app::App;
use crate::wire::directory::{self, DirectoryDoc};

/// Bytes of a directory document.
pub(crate) const DIRECTORY_BYTES_MAX: usize = 16 << 20;
/// Bytes of a presence document.
const PRESENCE_BYTES_MAX: usize = 1 << 10;
/// The longest time to live of a presence: a day.
pub(crate) const PRESENCE_SECS_MAX: u64 = 86_400;

/// `GET /api/v1/directory`.
pub(crate) async fn show(State(app): State<App>, address: Address, headers: HeaderMap) -> Response {
    answer(read(&app, address, &headers).await)
}

/// `PUT /api/v1/directory`: the whole document.
pub(crate) async fn replace(
    State(app): State<App>,
    address: Address,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(write(&app, address, &headers, body, Extent::Whole).await)
}

/// `PATCH /api/v1/directory`: the lists that are given replace those of the directory.
pub(crate) async fn amend(
    State(app): State<App>,
    address: Address,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(write(&app, address, &headers, body, Extent::Part).await)
}

/// `GET /api/v1/presence`: who is logged in.
pub(crate) async fn presences(
    State(app): State<App>,
    address: Address,
    headers: HeaderMap,
) -> Response {
    answer(read_presences(&app, address, &headers).await)
}

/// `PUT /api/v1/representatives/{id}/presence`: logged in for so many seconds from now.
pub(crate) async fn log_in(
    State(app): State<App>,
    address: Address,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(set_presence(&app, address, &id, &headers, Some(body)).await)
}

/// `DELETE /api/v1/representatives/{id}/presence`: logged out.
pub(crate) async fn log_out(
    State(app): State<App>,
    address: Address,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(set_presence(&app, address, &id, &headers, None).await)
}

fn answer(result: Result<Response, ApiError>) -> Response {
    result.unwrap_or_else(ApiError::respond_json)
}

fn ok(value: Value) -> Response {
    (StatusCode::OK, axum::Json(value)).into_response()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    Part,
}

async fn read(app: &App, address: Address, headers: &HeaderMap) -> Result<Response, ApiError> {
    let caller = Caller::find(app, address, headers).await?;
    caller.may_report()?;
    let (_, directory) = app.store().directory().await?;
    let document = DirectoryDoc::of(&directory);
    Ok((StatusCode::OK, axum::Json(document)).into_response())
}

async fn write(
    app: &App,
    address: Address,
    headers: &HeaderMap,
    body: Body,
    extent: Extent,
) -> Result<Response, ApiError> {
    let caller = Caller::find(app, address, headers).await?;
    caller.may_admin()?;
    let body = receive(body, DIRECTORY_BYTES_MAX, "DIRECTORY_BYTES_MAX").await?;
    let body = Arc::new(body);
    let changes = loop {
        let (version, before) = app.store().directory().await?;
        let bytes = Arc::clone(&body);
        // A large document takes its time.
        let parsed = tokio::task::spawn_blocking(move || {
            let after = match extent {
                Extent::Whole => directory::parse_json(&bytes),
                Extent::Part => directory::parse_part(&bytes, &before),
            }?;
            Ok((directory::changes(&before, &after), after))
        });
        let parsed = parsed
            .await
            .map_err(|_| StoreError::refused("parsing was given up"))?;
        let (changes, after) = parsed.map_err(|faults: Vec<String>| faulty(&faults))?;
        // Somebody else may have been faster: then their directory is what is changed.
        if changes.is_empty() || app.store().amend_directory(after, version).await?.is_some() {
            break changes;
        }
    };
    if !changes.is_empty() {
        app.changed();
        note(app, &caller, "directory", changes.join("; "));
    }
    Ok(ok(json!({ "changes": changes })))
}

/// Every fault of a document, each `place: what`.
fn faulty(faults: &[String]) -> ApiError {
    let told = |fault: &String| {
        let (field, message) = fault.split_once(": ").unwrap_or(("", fault));
        BodyFault {
            line: None,
            field: field.into(),
            code: "invalid",
            message: message.into(),
        }
    };
    invalid_body(&faults.iter().map(told).collect::<Vec<_>>(), 0)
}

async fn read_presences(
    app: &App,
    address: Address,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let caller = Caller::find(app, address, headers).await?;
    caller.may_report()?;
    let presences = app.store().presences(app.now()).await?;
    let told = presences.iter().map(|presence| {
        json!({
            "representative": presence.rep.as_str(),
            "logged_in_since": iso(presence.since),
            "expires": iso(presence.expires),
        })
    });
    Ok(ok(json!({ "presences": told.collect::<Vec<Value>>() })))
}

async fn set_presence(
    app: &App,
    address: Address,
    id: &str,
    headers: &HeaderMap,
    body: Option<Body>,
) -> Result<Response, ApiError> {
    let caller = Caller::find(app, address, headers).await?;
    caller.may_ingest()?;
    let secs = match body {
        None => 0,
        Some(body) => {
            let body = receive(body, PRESENCE_BYTES_MAX, "PRESENCE_BYTES_MAX").await?;
            ttl(&body).map_err(|fault| faulty(&[fault]))?
        }
    };
    let shown: String = id.chars().take(64).collect();
    let rep = RepId::parse(id).map_err(|_| not_found("representative", &shown))?;
    let (_, directory) = app.store().directory().await?;
    if !directory.representatives.contains_key(&rep) {
        return Err(not_found("representative", &shown));
    }
    let now = app.now();
    let expires = now.plus_secs(i64::try_from(secs).unwrap_or(0));
    app.store().set_presence(rep, now, expires).await?;
    Ok(ok(json!({ "expires": iso(expires) })))
}

/// The time to live of a presence document: `{"ttl_seconds": 300}`.
fn ttl(body: &[u8]) -> Result<u64, String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("body: is not JSON: {error}"))?;
    let members = value.as_object().map_or(0, |object| object.len());
    match value["ttl_seconds"].as_u64() {
        Some(secs) if 0 < secs && secs <= PRESENCE_SECS_MAX && members == 1 => Ok(secs),
        _ => Err(format!(
            "ttl_seconds: expected a number from 1 to {PRESENCE_SECS_MAX}, and nothing else"
        )),
    }
}
