//! What devices tell: heartbeats, what they are, connections, files, alarms.
//!
//! Newer clients repeat an audit until it is answered with 200 and an empty body, and drop it at
//! once at any 4xx but 408 and 429. So: 200 when it is on disk or was before, 503 when the archive
//! cannot take it, 403 for one that is forged. Older clients send once and read no answer.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use debrief_domain::{At, Event};
use debrief_store::{AccessEntry, AccountId, Append, ConflictKind, StoreError};
use subtle::ConstantTimeEq as _;

use super::device::{Device, Hearing, Placed, Waiting};
use super::known::{is_repeated, load, remember_for_ever, save};
use super::login::controller;
use super::message::{Message, Route, Says, parse};
use super::refusal::{over, refuse, refuse_message};
use super::{BODY_BYTES_MAX, SOURCE, is_within};
use crate::app::App;
use crate::http::{Address, ApiError, receive};
use crate::sources::{Buried, bury};

/// Characters of what an alarm is about, in the access log.
const ABOUT_CHARS_MAX: usize = 300;
/// How often a batch is tried with fewer events: once for each kind of contradiction.
const PLACE_TRIES_MAX: usize = 4;

/// `POST /api/heartbeat`.
pub(super) async fn heartbeat(State(app): State<App>, address: Address, body: Body) -> Response {
    hear(&app, address, Route::Heartbeat, body).await
}

/// `POST /api/sysinfo`.
pub(super) async fn sysinfo(State(app): State<App>, address: Address, body: Body) -> Response {
    hear(&app, address, Route::Sysinfo, body).await
}

/// `POST /api/sysinfo_ver`: no version, so that clients send all there is.
pub(super) async fn sysinfo_version() -> Response {
    StatusCode::OK.into_response()
}

/// `POST /api/audit/conn`.
pub(super) async fn connection(State(app): State<App>, address: Address, body: Body) -> Response {
    hear(&app, address, Route::Connection, body).await
}

/// `POST /api/audit/file`.
pub(super) async fn file(State(app): State<App>, address: Address, body: Body) -> Response {
    hear(&app, address, Route::File, body).await
}

/// `POST /api/audit/alarm`.
pub(super) async fn alarm(State(app): State<App>, address: Address, body: Body) -> Response {
    hear(&app, address, Route::Alarm, body).await
}

/// What became of a message that is no error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Understood,
    /// It was understood, and the device is to tell what it is.
    Unintroduced,
    /// It is kept aside.
    Aside,
}

async fn hear(app: &App, address: Address, route: Route, body: Body) -> Response {
    match take(app, address, route, body).await {
        Ok(heard) => answer(route, heard),
        Err(error) => error.respond_json(),
    }
}

/// What the client wants to hear, to the letter.
fn answer(route: Route, heard: Heard) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    match (route, heard) {
        (Route::Heartbeat, Heard::Unintroduced) => (json, r#"{"sysinfo":true}"#).into_response(),
        (Route::Heartbeat, Heard::Understood | Heard::Aside) => (json, "{}").into_response(),
        (Route::Sysinfo, _) => "SYSINFO_UPDATED".into_response(),
        (Route::Connection | Route::File | Route::Alarm, _) => StatusCode::OK.into_response(),
    }
}

async fn take(app: &App, address: Address, route: Route, body: Body) -> Result<Heard, ApiError> {
    let limits = app.sources().rustdesk.limits(app);
    if !is_within(limits.addresses.as_ref(), &address.0) {
        let limit = super::ADDRESS_REQUESTS_PER_SECOND_MAX;
        let limit = format!("requests per second and address are {limit}");
        refuse(app, &limit);
        return Err(over(&limit));
    }
    let bytes = match receive(body, BODY_BYTES_MAX, "BODY_BYTES_MAX").await {
        Ok(bytes) => bytes,
        Err(error) => {
            refuse(app, "a message is too long, too slow or not whole");
            return Err(error);
        }
    };
    let message = match parse(route, &bytes) {
        Ok(message) => message,
        Err(why) => return aside(app, route, &why, &bytes).await,
    };
    if !is_within(limits.devices.as_ref(), &message.device) {
        let limit = app.config().source.rustdesk.requests_per_second;
        let limit = format!("requests per second and device are {limit}");
        refuse_message(app, &limit, &message, &bytes).await;
        return Err(over(&limit));
    }
    let _turn = app.sources().rustdesk.turn(&message.device).await;
    let Some(before) = known(app, address, &message, &bytes).await? else {
        let why = "a note on a device that nobody told of";
        return aside(app, route, why, &bytes).await;
    };
    let heard = work(app, address, route, &message, before, &bytes).await?;
    let now = app.now();
    app.sources()
        .update(SOURCE, |standing| standing.heard = Some(now));
    Ok(heard)
}

/// The device that sent a message: the one that is known, or a new one. None for a note on a
/// device that is not known.
async fn known(
    app: &App,
    address: Address,
    message: &Message,
    bytes: &[u8],
) -> Result<Option<Device>, ApiError> {
    let device = load(app, &message.device).await?;
    // The controlling side knows no uuid; it knows the session's random number.
    let Some(uuid) = &message.uuid else {
        return Ok(device);
    };
    let uuid = crate::http::hex(&crate::random::sha256(uuid));
    let Some(device) = device else {
        let limits = app.sources().rustdesk.limits(app);
        if !is_within(limits.strangers.as_ref(), &address.0) {
            let limit = super::ADDRESS_DEVICES_PER_HOUR_MAX;
            let limit = format!("new devices per hour and address are {limit}");
            refuse_message(app, &limit, message, bytes).await;
            return Err(over(&limit));
        }
        return Ok(Some(Device::new(uuid)));
    };
    if bool::from(device.uuid.as_bytes().ct_eq(uuid.as_bytes())) {
        return Ok(Some(device));
    }
    let id = &message.device;
    let why = format!("device `{id}` came with another uuid than at first");
    refuse_message(app, &why, message, bytes).await;
    let sentence = "This device is known with another uuid.";
    Err(ApiError::new(StatusCode::FORBIDDEN, "forged", sentence))
}

/// Hears one message of a device and keeps what comes of it.
async fn work(
    app: &App,
    address: Address,
    route: Route,
    message: &Message,
    before: Device,
    bytes: &[u8],
) -> Result<Heard, ApiError> {
    let now = app.now();
    let id = message.device.as_str();
    let body = String::from_utf8_lossy(bytes);
    let key = before.key(id, route.name(), message.nonce.as_deref(), &body, now);
    let is_routine = matches!(message.says, Says::Beats { .. } | Says::Is(_));
    if !is_routine && is_repeated(app, &key).await? {
        return Ok(Heard::Understood);
    }
    let mut device = before.clone();
    let mut events = Vec::new();
    let settings = &app.config().source.rustdesk;
    let who = match &message.says {
        Says::LogsIn(login) => Some(controller(app, &login.peer_id, &login.peer_name).await?),
        _ => None,
    };
    let mut hearing = Hearing {
        now,
        id,
        key: &key.text,
        site: settings.site.as_ref(),
        tickets: &settings.ticket_prefixes,
        events: &mut events,
    };
    let mut placed = Placed::Yes;
    match &message.says {
        Says::Beats { connections } => device.beat(&mut hearing, connections, address.0),
        Says::Is(facts) => {
            device.facts = facts.clone();
            device.is_known = true;
        }
        Says::Opens { conn_id, ip } => device.open(&mut hearing, *conn_id, ip.clone()),
        Says::LogsIn(login) => {
            if let Some(who) = who {
                device.log_in(&mut hearing, login, who);
            }
            settle(&mut device, &mut hearing);
        }
        Says::Closes {
            conn_id,
            session_id,
        } => device.close(&mut hearing, *conn_id, *session_id),
        Says::Sends(_) | Says::Notes { .. } => placed = place(&mut device, &mut hearing, message),
        Says::Warns { kind, about } => warn(app, id, *kind, about),
    }
    let mut heard = match device.is_known {
        true => Heard::Understood,
        false => Heard::Unintroduced,
    };
    if placed == Placed::No {
        let waiting = Waiting {
            at: now.millis(),
            key: key.text.clone(),
            route: route.name().into(),
            body: body.into_owned(),
        };
        if !device.wait(waiting) {
            heard = aside(app, route, "it belongs to no session", bytes).await?;
        }
    }
    let unplaced = append(app, events).await?;
    if let Some(why) = unplaced {
        heard = aside(app, route, why, bytes).await?;
    }
    if !is_routine {
        device.remember(&key, now);
    }
    save(app, id, &before, &device).await?;
    if key.lasts && !is_routine {
        remember_for_ever(app, &key).await?;
    }
    Ok(heard)
}

/// A message that belongs to a session.
fn place(device: &mut Device, hearing: &mut Hearing<'_>, message: &Message) -> Placed {
    match &message.says {
        Says::Sends(files) => device.send(hearing, files),
        Says::Notes { session_id, note } => device.note(hearing, *session_id, note),
        Says::Beats { .. }
        | Says::Is(_)
        | Says::Opens { .. }
        | Says::LogsIn(_)
        | Says::Closes { .. }
        | Says::Warns { .. } => Placed::Yes,
    }
}

/// Gives messages that waited for a login another chance.
fn settle(device: &mut Device, hearing: &mut Hearing<'_>) {
    for waiting in std::mem::take(&mut device.waiting) {
        let route = [Route::File, Route::Connection]
            .into_iter()
            .find(|route| route.name() == waiting.route);
        let message = route.and_then(|route| parse(route, waiting.body.as_bytes()).ok());
        let mut own = Hearing {
            now: At::from_millis(waiting.at).unwrap_or(hearing.now),
            id: hearing.id,
            key: &waiting.key,
            site: hearing.site,
            tickets: hearing.tickets,
            events: hearing.events,
        };
        let placed = message.map_or(Placed::No, |message| place(device, &mut own, &message));
        if placed == Placed::No {
            device.waiting.push(waiting);
        }
    }
}

/// Puts an alarm into the access log: no session has it.
fn warn(app: &App, device: &str, kind: i64, about: &str) {
    let about: String = about.chars().take(ABOUT_CHARS_MAX).collect();
    let kind = match kind {
        0 => "address not allowed".to_owned(),
        1 => "more than 30 attempts".into(),
        2 => "more than 6 attempts in a minute".into(),
        6 => "too many attempts from an IPv6 network".into(),
        7 => "terminal login held back".into(),
        8 => "too many terminal logins at once".into(),
        9 => "beyond what the session allows".into(),
        10 => "device not allowed".into(),
        other => format!("alarm {other}"),
    };
    app.store().log_access(AccessEntry {
        at: app.now(),
        who: format!("rustdesk {device}"),
        action: "alarm".into(),
        detail: format!("{kind}: {about}"),
        outcome: "told".into(),
    });
}

/// Adds events; those that are there already are well. Says why when a session takes no more.
pub(super) async fn append(
    app: &App,
    mut events: Vec<Event>,
) -> Result<Option<&'static str>, StoreError> {
    let mut unplaced = None;
    for _ in 0..PLACE_TRIES_MAX {
        if events.is_empty() {
            return Ok(unplaced);
        }
        let now = app.now();
        let account = AccountId::RUSTDESK;
        match app.store().append(account, events.clone(), now).await? {
            Append::Done(appended) => {
                app.changed();
                app.sources()
                    .update(SOURCE, |standing| standing.n_events += appended.fresh);
                return Ok(unplaced);
            }
            Append::Conflicts(conflicts) => {
                let mut refused = BTreeSet::new();
                for conflict in &conflicts {
                    refused.insert(conflict.event_idx);
                    match conflict.kind {
                        // Told again, at another time by our clock.
                        ConflictKind::IdTaken => {}
                        ConflictKind::SessionImported => {
                            unplaced = Some("its session was imported as a finished document");
                        }
                        ConflictKind::SessionFull => unplaced = Some("its session is full"),
                    }
                }
                let mut idx = 0;
                events.retain(|_| {
                    idx += 1;
                    !refused.contains(&(idx - 1))
                });
            }
        }
    }
    Err(StoreError::refused(
        "a batch contradicts the archive again and again",
    ))
}

/// Keeps a message aside, whole. When not even that can be done, the client is to repeat it.
async fn aside(app: &App, route: Route, why: &str, bytes: &[u8]) -> Result<Heard, ApiError> {
    let why = format!("{}: {why}", route.name());
    match bury(app, SOURCE, &why, bytes).await {
        Buried::Kept => Ok(Heard::Aside),
        Buried::Lost => Err(StoreError::refused("a message could not be kept aside").into()),
    }
}
