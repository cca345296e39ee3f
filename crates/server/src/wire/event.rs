//! One event as JSON, version 1.

pub(crate) mod typed;

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use debrief_domain::limits::{
    CATEGORIES_MAX, CATEGORY_FIELDS_MAX, CATEGORY_ROWS_MAX, CUSTOM_ATTRIBUTES_MAX, EVENT_DATA_MAX,
    EVENT_FILES_MAX, NAME_CHARS_MAX, QUESTION_ANSWERS_MAX, RECORDING_INSTANCES_MAX,
    SURVEY_QUESTIONS_MAX, TEXT_BYTES_MAX,
};
use debrief_domain::{
    Actor, ActorKind, At, Body, Category, CodeName, CustomAttribute, Customer, CustomerInfo, Event,
    EventId, EventType, FileEntry, Invitation, Joined, JumpGroup, Lsid, Named, Question, Recording,
    RecordingKind, RepId, SessionContext, SiteId, Survey, TeamId, TeamRef,
};
use serde_json::{Map, Value};

use super::shape::{Fault, Place, Shape, check, optional, pairs, required};

const NAME: Shape = Shape::Text(NAME_CHARS_MAX);
const LONG: Shape = Shape::LongText(TEXT_BYTES_MAX);
const GSNUMBER: Shape = Shape::Number(u32::MAX as u64);
const ADDRESS: Shape = Shape::Parsed {
    check: |text| address(text).map(|_| ()),
    chars_max: 64,
};

/// A shape for one kind of id.
macro_rules! id_shape {
    ($id:ident) => {
        Shape::Parsed {
            check: |text| {
                $id::parse(text)
                    .map(|_| ())
                    .map_err(|error| error.to_string())
            },
            chars_max: $id::LEN_MAX,
        }
    };
}

const ACTOR: Shape = Shape::Object(&[
    required(
        "type",
        Shape::Word(
            || ActorKind::ALL.iter().map(|kind| kind.name()).collect(),
            |text| match ActorKind::parse(text) {
                Some(_) => Ok(()),
                None => Err("is not one of system, customer, representative, everyone".into()),
            },
        ),
    ),
    optional("gsnumber", GSNUMBER),
    optional("name", NAME),
]);

const NAMED: Shape = Shape::Object(&[required("id", NAME), optional("name", NAME)]);

/// The whole event.
pub(crate) const EVENT: Shape = Shape::Object(&[
    required("id", id_shape!(EventId)),
    required("lsid", id_shape!(Lsid)),
    required("time", Shape::Time),
    required(
        "type",
        Shape::Word(
            || EventType::ALL.iter().map(|kind| kind.name()).collect(),
            |text| {
                EventType::parse(text)
                    .map(|_| ())
                    .map_err(|error| error.to_string())
            },
        ),
    ),
    optional("performed_by", ACTOR),
    optional("destination", ACTOR),
    optional("body", LONG),
    optional(
        "body_base64",
        Shape::Parsed {
            check: |text| base64(text).map(|_| ()),
            chars_max: TEXT_BYTES_MAX / 3 * 4 + 4,
        },
    ),
    optional("filename", NAME),
    optional("filesize", Shape::Number(i64::MAX as u64)),
    optional(
        "files",
        Shape::List(
            &Shape::Object(&[
                required("name", NAME),
                optional("size", Shape::Number(i64::MAX as u64)),
            ]),
            EVENT_FILES_MAX,
        ),
    ),
    optional("data", Shape::Pairs(EVENT_DATA_MAX)),
    optional(
        "system_information",
        Shape::List(
            &Shape::Object(&[
                required("category", NAME),
                required("fields", Shape::List(&NAME, CATEGORY_FIELDS_MAX)),
                optional(
                    "rows",
                    Shape::List(&Shape::List(&NAME, CATEGORY_FIELDS_MAX), CATEGORY_ROWS_MAX),
                ),
            ]),
            CATEGORIES_MAX,
        ),
    ),
    optional(
        "session",
        Shape::Object(&[
            optional(
                "public_site",
                Shape::Object(&[required("id", id_shape!(SiteId)), optional("name", NAME)]),
            ),
            optional("jumpoint", NAMED),
            optional(
                "jump_group",
                Shape::Object(&[
                    optional("type", NAME),
                    required("id", NAME),
                    optional("name", NAME),
                ]),
            ),
            optional("external_key", NAME),
            optional(
                "custom_attributes",
                Shape::List(
                    &Shape::Object(&[
                        required("code_name", id_shape!(CodeName)),
                        optional("display_name", NAME),
                        required("value", LONG),
                    ]),
                    CUSTOM_ATTRIBUTES_MAX,
                ),
            ),
        ]),
    ),
    optional(
        "customer",
        Shape::Object(&[
            required("gsnumber", GSNUMBER),
            optional("username", NAME),
            optional("public_ip", ADDRESS),
            optional("private_ip", NAME),
            optional("hostname", NAME),
            optional("os", NAME),
            optional(
                "info",
                Shape::Object(&[
                    optional("name", NAME),
                    optional("company", NAME),
                    optional("company_code", NAME),
                    optional("issue", NAME),
                    optional("details", LONG),
                ]),
            ),
        ]),
    ),
    optional(
        "representative",
        Shape::Object(&[
            required("gsnumber", GSNUMBER),
            required("id", id_shape!(RepId)),
            optional("username", NAME),
            optional("public_display_name", NAME),
            optional("private_display_name", NAME),
            optional("display_number", NAME),
            optional("public_ip", ADDRESS),
            optional("private_ip", NAME),
            optional("hostname", NAME),
            optional("os", NAME),
            optional("support_teams", Shape::List(&NAME, CUSTOM_ATTRIBUTES_MAX)),
            optional("invited", Shape::Flag),
        ]),
    ),
    optional(
        "team",
        Shape::Object(&[required("id", id_shape!(TeamId)), optional("name", NAME)]),
    ),
    optional(
        "survey",
        Shape::Object(&[required(
            "questions",
            Shape::List(
                &Shape::Object(&[
                    required("id", NAME),
                    optional("type", NAME),
                    optional("label", LONG),
                    optional("name", NAME),
                    optional("report_header", NAME),
                    optional("answers", Shape::List(&LONG, QUESTION_ANSWERS_MAX)),
                ]),
                SURVEY_QUESTIONS_MAX,
            ),
        )]),
    ),
    optional(
        "recording",
        Shape::Object(&[
            required(
                "kind",
                Shape::Word(
                    || RecordingKind::ALL.iter().map(|kind| kind.name()).collect(),
                    |text| match RecordingKind::parse(text) {
                        Some(_) => Ok(()),
                        None => Err("is not one of session, show_my_screen, command_shell".into()),
                    },
                ),
            ),
            optional(
                "instance",
                Shape::Number(RECORDING_INSTANCES_MAX as u64 - 1),
            ),
        ]),
    ),
]);

/// The event a JSON value tells of, or every fault of it.
pub(crate) fn parse(value: &Value) -> Result<Event, Vec<Fault>> {
    let mut faults = Vec::new();
    check(value, EVENT, &Place::Root, &mut faults);
    if let Value::Object(object) = value {
        check_meaning(object, &mut faults);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    // The table has been kept to, so this only fails where table and conversion disagree.
    convert(value).ok_or_else(|| {
        let message = "cannot be read".into();
        vec![Fault {
            field: String::new(),
            code: "type",
            message,
        }]
    })
}

/// What no single member's shape can say.
fn check_meaning(object: &Map<String, Value>, faults: &mut Vec<Fault>) {
    let mut fault = |field: &str, code, message: &str| {
        faults.push(Fault {
            field: field.into(),
            code,
            message: message.into(),
        });
    };
    if object.contains_key("body") && object.contains_key("body_base64") {
        fault("body_base64", "conflict", "cannot stand beside `body`");
    }
    for party in ["performed_by", "destination"] {
        let kind = object
            .get(party)
            .and_then(|actor| actor.get("type"))
            .and_then(Value::as_str);
        let has_number = object
            .get(party)
            .is_some_and(|actor| actor["gsnumber"].is_number());
        // Who acts must be findable in the lists of the report.
        if matches!(kind, Some("representative" | "customer")) && !has_number {
            fault(
                &format!("{party}.gsnumber"),
                "required",
                "is required for this type",
            );
        }
    }
    let categories = object.get("system_information").and_then(Value::as_array);
    for (idx, category) in categories.into_iter().flatten().enumerate() {
        let n_fields = category["fields"].as_array().map_or(0, Vec::len);
        let rows = category["rows"].as_array().into_iter().flatten();
        for (row_idx, row) in rows.enumerate() {
            if n_fields < row.as_array().map_or(0, Vec::len) {
                let field = format!("system_information[{idx}].rows[{row_idx}]");
                fault(
                    &field,
                    "count",
                    "has more cells than the category has fields",
                );
            }
        }
    }
}

const NO_MOMENT: &str = "is not RFC 3339 with an offset, such as 2026-11-23T10:15:30.250Z, nor UNIX \
                         seconds";
const OTHER_ERA: &str = "lies before 1970 or after the year 9999";

/// A moment: RFC 3339 with an offset, or UNIX seconds, kept to the millisecond.
pub(crate) fn time(value: &Value) -> Result<At, String> {
    match value {
        Value::String(text) => moment(text),
        Value::Number(number) => match number.as_i64() {
            Some(secs) => At::from_secs(secs).map_err(|_| OTHER_ERA),
            None => fraction(number.as_f64().ok_or(NO_MOMENT)?),
        },
        _ => Err(NO_MOMENT),
    }
    .map_err(str::to_owned)
}

fn moment(text: &str) -> Result<At, &'static str> {
    let timestamp: jiff::Timestamp = text.parse().map_err(|_| NO_MOMENT)?;
    // RFC 9557 suffixes say more than an offset; they are not asked for.
    if text.contains('[') {
        return Err(NO_MOMENT);
    }
    At::from_millis(timestamp.as_millisecond()).map_err(|_| OTHER_ERA)
}

fn fraction(secs: f64) -> Result<At, &'static str> {
    if !(0.0..1e12).contains(&secs) {
        return Err(OTHER_ERA);
    }
    At::from_millis((secs * 1000.0).round() as i64).map_err(|_| OTHER_ERA)
}

/// A public address, with or without a port; none where it says that it is not known.
fn address(text: &str) -> Result<Option<SocketAddr>, String> {
    if text.is_empty() || text.eq_ignore_ascii_case("unknown") {
        return Ok(None);
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let without_port = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    let address = text.parse::<SocketAddr>().or(without_port);
    address
        .map(Some)
        .map_err(|_| "is no address such as 192.0.2.1:50000 or [2001:db8::1]:50000".into())
}

fn base64(text: &str) -> Result<Vec<u8>, String> {
    let clean: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = STANDARD
        .decode(clean)
        .map_err(|_| "is not base64".to_owned())?;
    if TEXT_BYTES_MAX < bytes.len() {
        return Err(format!("is longer than {TEXT_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

/// A view of a checked object.
#[derive(Clone, Copy)]
struct Checked<'a>(&'a Value);

impl<'a> Checked<'a> {
    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn object(self, name: &str) -> Option<Checked<'a>> {
        self.get(name).map(Checked)
    }

    fn str(self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str)
    }

    fn text(self, name: &str) -> Option<String> {
        self.str(name).map(str::to_owned)
    }

    fn or_empty(self, name: &str) -> String {
        self.text(name).unwrap_or_default()
    }

    fn number(self, name: &str) -> Option<u64> {
        self.get(name).and_then(Value::as_u64)
    }

    fn gsnumber(self) -> u32 {
        self.number("gsnumber")
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(0)
    }

    fn list(self, name: &str) -> impl Iterator<Item = Checked<'a>> {
        self.get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(Checked)
    }

    fn texts(self, name: &str) -> Vec<String> {
        self.list(name)
            .filter_map(|value| value.0.as_str())
            .map(str::to_owned)
            .collect()
    }

    fn address(self, name: &str) -> Option<SocketAddr> {
        self.str(name).and_then(|text| address(text).ok()).flatten()
    }
}

fn convert(value: &Value) -> Option<Event> {
    let checked = Checked(value);
    let id = EventId::parse(checked.str("id")?).ok()?;
    let lsid = Lsid::parse(checked.str("lsid")?).ok()?;
    let kind = EventType::parse(checked.str("type")?).ok()?;
    let mut event = Event::new(id, lsid, time(checked.get("time")?).ok()?, kind);
    event.performed_by = checked.object("performed_by").and_then(actor);
    event.destination = checked.object("destination").and_then(actor);
    event.body = match (checked.text("body"), checked.str("body_base64")) {
        (Some(text), _) => Some(Body::Text(text)),
        (None, Some(text)) => Some(Body::Bytes(base64(text).ok()?)),
        (None, None) => None,
    };
    event.filename = checked.text("filename");
    event.filesize = checked.number("filesize");
    let files = checked.list("files");
    event.files = files
        .map(|file| FileEntry {
            name: file.or_empty("name"),
            size: file.number("size").unwrap_or(0),
        })
        .collect();
    event.data = checked
        .get("data")
        .and_then(|data| pairs(data).ok())
        .unwrap_or_default();
    let categories = checked.list("system_information");
    event.system_information = categories
        .map(|category| Category {
            name: category.or_empty("category"),
            fields: category.texts("fields"),
            rows: category.list("rows").map(cells).collect(),
        })
        .collect();
    event.session = checked.object("session").map(session).map(Box::new);
    event.customer = checked.object("customer").map(customer).map(Box::new);
    event.representative = match checked.object("representative") {
        Some(joined) => Some(Box::new(representative(joined)?)),
        None => None,
    };
    event.team = match checked.object("team") {
        Some(team) => Some(TeamRef {
            id: TeamId::parse(team.str("id")?).ok()?,
            name: team.text("name"),
        }),
        None => None,
    };
    event.survey = checked.object("survey").map(survey).map(Box::new);
    event.recording = checked.object("recording").and_then(|recording| {
        let instance = u32::try_from(recording.number("instance").unwrap_or(0)).ok()?;
        Some(Recording {
            kind: RecordingKind::parse(recording.str("kind")?)?,
            instance,
        })
    });
    Some(event)
}

fn cells(row: Checked<'_>) -> Vec<String> {
    let cells = row.0.as_array().into_iter().flatten();
    cells.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn actor(actor: Checked<'_>) -> Option<Actor> {
    Some(Actor {
        kind: ActorKind::parse(actor.str("type")?)?,
        gsnumber: actor.gsnumber(),
        name: actor.text("name"),
    })
}

fn session(session: Checked<'_>) -> SessionContext {
    let named = |named: Checked<'_>| Named {
        id: named.or_empty("id"),
        name: named.or_empty("name"),
    };
    let attributes = session.list("custom_attributes");
    SessionContext {
        public_site: session
            .object("public_site")
            .and_then(|site| Some((SiteId::parse(site.str("id")?).ok()?, site.text("name")))),
        jumpoint: session.object("jumpoint").map(named),
        jump_group: session.object("jump_group").map(|group| JumpGroup {
            kind: group.text("type").unwrap_or_else(|| "shared".into()),
            id: group.or_empty("id"),
            name: group.or_empty("name"),
        }),
        external_key: session.text("external_key"),
        custom_attributes: attributes
            .filter_map(|attribute| {
                Some(CustomAttribute {
                    code_name: CodeName::parse(attribute.str("code_name")?).ok()?,
                    display_name: attribute.text("display_name"),
                    value: attribute.or_empty("value"),
                })
            })
            .collect(),
    }
}

fn customer(customer: Checked<'_>) -> Customer {
    let info = customer.object("info");
    let info = |name: &str| info.map(|info| info.or_empty(name)).unwrap_or_default();
    Customer {
        gsnumber: customer.gsnumber(),
        username: customer.or_empty("username"),
        public_ip: customer.address("public_ip"),
        private_ip: customer.text("private_ip"),
        hostname: customer.text("hostname"),
        os: customer.text("os"),
        info: CustomerInfo {
            name: info("name"),
            company: info("company"),
            company_code: info("company_code"),
            issue: info("issue"),
            details: info("details"),
        },
    }
}

fn representative(joined: Checked<'_>) -> Option<Joined> {
    let username = joined.or_empty("username");
    let private = joined
        .text("private_display_name")
        .unwrap_or_else(|| username.clone());
    let is_invited = match joined.get("invited") {
        Some(Value::Bool(invited)) => *invited,
        Some(other) => other.as_u64() == Some(1),
        None => false,
    };
    Some(Joined {
        gsnumber: joined.gsnumber(),
        id: RepId::parse(joined.str("id")?).ok()?,
        public_display_name: joined
            .text("public_display_name")
            .unwrap_or_else(|| private.clone()),
        private_display_name: private,
        username,
        display_number: joined.or_empty("display_number"),
        public_ip: joined.address("public_ip"),
        private_ip: joined.text("private_ip"),
        hostname: joined.text("hostname"),
        os: joined.text("os"),
        support_teams: joined.texts("support_teams"),
        invitation: if is_invited {
            Invitation::Invited
        } else {
            Invitation::Regular
        },
    })
}

fn survey(survey: Checked<'_>) -> Survey {
    let questions = survey.list("questions");
    Survey {
        questions: questions
            .map(|question| Question {
                id: question.or_empty("id"),
                kind: question.or_empty("type"),
                label: question.or_empty("label"),
                name: question.or_empty("name"),
                report_header: question.or_empty("report_header"),
                answers: question.texts("answers"),
            })
            .collect(),
    }
}

/// An event as JSON, in the form that [`parse`] reads.
pub(crate) fn to_json(event: &Event) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| {
        let is_empty = match &value {
            Value::Null => true,
            Value::Array(values) => values.is_empty(),
            _ => false,
        };
        if !is_empty {
            object.insert(name.into(), value);
        }
    };
    put("id", event.id.as_str().into());
    put("lsid", event.lsid.as_str().into());
    put("time", millis(event.at));
    put("type", event.kind.name().into());
    put(
        "performed_by",
        event.performed_by.as_ref().map(actor_json).into(),
    );
    put(
        "destination",
        event.destination.as_ref().map(actor_json).into(),
    );
    match &event.body {
        Some(Body::Text(text)) => put("body", text.as_str().into()),
        Some(Body::Bytes(bytes)) => put("body_base64", STANDARD.encode(bytes).into()),
        None => {}
    }
    put("filename", event.filename.clone().into());
    put("filesize", event.filesize.into());
    let files = event.files.iter();
    put(
        "files",
        files
            .map(|f| serde_json::json!({ "name": f.name, "size": f.size }))
            .collect(),
    );
    let data = event.data.iter();
    put(
        "data",
        data.map(|(name, value)| serde_json::json!([name, value]))
            .collect(),
    );
    let categories = event.system_information.iter();
    put(
        "system_information",
        categories
            .map(|c| serde_json::json!({ "category": c.name, "fields": c.fields, "rows": c.rows }))
            .collect(),
    );
    put("session", event.session.as_deref().map(session_json).into());
    put(
        "customer",
        event.customer.as_deref().map(customer_json).into(),
    );
    put(
        "representative",
        event.representative.as_deref().map(joined_json).into(),
    );
    let team = event.team.as_ref();
    put(
        "team",
        team.map(|t| serde_json::json!({ "id": t.id.as_str(), "name": t.name }))
            .into(),
    );
    put("survey", event.survey.as_deref().map(survey_json).into());
    let recording = event.recording;
    put(
        "recording",
        recording
            .map(|r| serde_json::json!({ "kind": r.kind.name(), "instance": r.instance }))
            .into(),
    );
    Value::Object(object)
}

fn millis(at: At) -> Value {
    let timestamp =
        jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    Value::String(format!("{timestamp:.3}"))
}

fn actor_json(actor: &Actor) -> Value {
    serde_json::json!({ "type": actor.kind.name(), "gsnumber": actor.gsnumber, "name": actor.name })
}

fn session_json(session: &SessionContext) -> Value {
    let named = |named: &Named| serde_json::json!({ "id": named.id, "name": named.name });
    let site = session.public_site.as_ref();
    let attributes = session.custom_attributes.iter();
    let attributes: Vec<Value> = attributes
        .map(|a| {
            serde_json::json!({
                "code_name": a.code_name.as_str(),
                "display_name": a.display_name,
                "value": a.value,
            })
        })
        .collect();
    serde_json::json!({
        "public_site":
            site.map(|(id, name)| serde_json::json!({ "id": id.as_str(), "name": name })),
        "jumpoint": session.jumpoint.as_ref().map(named),
        "jump_group": session.jump_group.as_ref().map(|group| serde_json::json!({
            "type": group.kind, "id": group.id, "name": group.name,
        })),
        "external_key": session.external_key,
        "custom_attributes": attributes,
    })
}

fn customer_json(customer: &Customer) -> Value {
    let info = &customer.info;
    serde_json::json!({
        "gsnumber": customer.gsnumber,
        "username": customer.username,
        "public_ip": customer.public_ip.map(|ip| ip.to_string()),
        "private_ip": customer.private_ip,
        "hostname": customer.hostname,
        "os": customer.os,
        "info": {
            "name": info.name,
            "company": info.company,
            "company_code": info.company_code,
            "issue": info.issue,
            "details": info.details,
        },
    })
}

fn joined_json(joined: &Joined) -> Value {
    serde_json::json!({
        "gsnumber": joined.gsnumber,
        "id": joined.id.as_str(),
        "username": joined.username,
        "public_display_name": joined.public_display_name,
        "private_display_name": joined.private_display_name,
        "display_number": joined.display_number,
        "public_ip": joined.public_ip.map(|ip| ip.to_string()),
        "private_ip": joined.private_ip,
        "hostname": joined.hostname,
        "os": joined.os,
        "support_teams": joined.support_teams,
        "invited": joined.invitation == Invitation::Invited,
    })
}

fn survey_json(survey: &Survey) -> Value {
    let questions = survey.questions.iter();
    let questions: Vec<Value> = questions
        .map(|q| {
            serde_json::json!({
                "id": q.id,
                "type": q.kind,
                "label": q.label,
                "name": q.name,
                "report_header": q.report_header,
                "answers": q.answers,
            })
        })
        .collect();
    serde_json::json!({ "questions": questions })
}

#[cfg(test)]
mod tests;
