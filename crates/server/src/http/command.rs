//! `/api/command`: the vendor's command API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use debrief_domain::{
    Actor, ActorKind, CustomAttribute, Event, EventId, EventType, Filter, Lsid, Moment, RepId,
    Selection, Session, SessionContext, State as SessionState, Which, fold,
};
use debrief_report::{
    Access, Action, Attributes, Command, CommandHead, Format, Health, LoggedIn, Params, ShowMembers,
};
use debrief_store::{
    Append, ConflictKind, Flow, Found, Members, RUNNING_SESSIONS_MAX, Reading, Silence, StoreError,
};

use super::caller::{Address, Caller};
use super::error::{ApiError, log_chain, refused_command};
use super::reporting::{clean_host, note, params, parse_query};
use crate::app::App;
use crate::random;

/// Answers `GET` and `POST` with the document of the action that the parameters name.
pub(crate) async fn command(
    State(app): State<App>,
    address: Address,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let caller = match Caller::find(&app, address, &headers).await {
        Ok(caller) => caller,
        // Without a token the body is not read: only the query string says what is wanted.
        Err(error) => {
            return error.respond_command(&app, Action::of(&parse_query(query.as_deref())));
        }
    };
    let params = match params(query.as_deref(), body).await {
        Ok(params) => params,
        Err(error) => return error.respond_command(&app, None),
    };
    match answer(&app, &caller, &params, &headers).await {
        Ok(document) => {
            let media_type = [(CONTENT_TYPE, Format::Xml.media_type())];
            (StatusCode::OK, media_type, document).into_response()
        }
        Err(error) => {
            note(&app, &caller, "refused", error.sentence());
            error.respond_command(&app, Action::of(&params))
        }
    }
}

async fn answer(
    app: &App,
    caller: &Caller,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Vec<u8>, ApiError> {
    caller.may_command(Access::Read)?;
    let action = Action::of(params).ok_or_else(|| refused_command(Action::unknown(params)))?;
    caller.may_command(action.access)?;
    let directory = &caller.names.directory;
    let command = action.parse(params, directory).map_err(refused_command)?;
    let config = app.config();
    let head = CommandHead {
        dialect: config.dialect,
        namespace: &config.command_namespace,
    };
    let document = match command {
        Command::LoggedInReps => logged_in_reps(app, caller, head).await?,
        Command::SupportTeams(members) => support_teams(caller, head, members),
        Command::SessionAttributes(lsid) => {
            let kept = active(app, &lsid).await?;
            head.session_attributes(&kept.external_key, &kept.custom_attributes, directory)
        }
        Command::SetSessionAttributes(lsid, attributes) => {
            set_attributes(app, caller, lsid, attributes).await?;
            head.success("Session attributes were set")
        }
        Command::ApiInfo => head.api_information(&caller.account.permissions, app.now()),
        Command::CheckHealth => health(app, head, headers).await,
    };
    note(app, caller, "command", action.words(params));
    Ok(document)
}

async fn logged_in_reps(
    app: &App,
    caller: &Caller,
    head: CommandHead<'_>,
) -> Result<Vec<u8>, ApiError> {
    let presences = app.store().presences(app.now()).await?;
    let running = app.store().running(RUNNING_SESSIONS_MAX).await?;
    let running: BTreeMap<RepId, u64> = running
        .into_iter()
        .map(|running| (running.rep, running.n_sessions))
        .collect();
    let representatives = &caller.names.directory.representatives;
    let reps = presences.iter().map(|presence| LoggedIn {
        id: &presence.rep,
        representative: representatives.get(&presence.rep),
        since: presence.since,
        n_sessions: running.get(&presence.rep).copied().unwrap_or(0),
    });
    Ok(head.logged_in_reps(reps))
}

fn support_teams(caller: &Caller, head: CommandHead<'_>, members: ShowMembers) -> Vec<u8> {
    head.support_teams(&caller.names.directory, members)
}

async fn health(app: &App, head: CommandHead<'_>, headers: &HeaderMap) -> Vec<u8> {
    let fault = match app.store().last_change().await {
        Ok(_) => None,
        Err(error) => {
            log_chain(&error);
            Some("The archive cannot answer now.")
        }
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    head.health(Health {
        id: app.id(),
        host: clean_host(host.unwrap_or("localhost")),
        version: env!("CARGO_PKG_VERSION"),
        fault,
    })
}

/// What is kept beside a session that goes on.
struct Kept {
    external_key: String,
    custom_attributes: Vec<CustomAttribute>,
}

/// What became of looking for a session that goes on.
enum Sought {
    Unknown,
    Over,
    Active(Kept),
}

/// Finds a session that goes on. It is read on the archive's own thread: it may be large.
async fn active(app: &App, lsid: &Lsid) -> Result<Kept, ApiError> {
    let selection = Selection {
        which: Which::Named(vec![lsid.clone()]),
        filter: Filter::All,
    };
    let found = Arc::new(Mutex::new(Sought::Unknown));
    let (seen, now) = (Arc::clone(&found), app.now());
    let visit = move |session: Found<'_>| {
        let sought = match session {
            // Only sessions that are over, and imported ones, have sealed bytes.
            Found::Sealed { .. }
            | Found::Live {
                silence: Silence::Lapsed,
                ..
            } => Sought::Over,
            Found::Live { lseq, events, .. } => {
                fold(lseq, events, Moment::Now(now)).map_or(Sought::Unknown, kept)
            }
        };
        let mut seen = seen
            .lock()
            .map_err(|_| StoreError::refused("the command was given up"))?;
        *seen = sought;
        Ok(Flow::Full)
    };
    let reading = Reading::new(selection, Members::default());
    app.store().page(reading, Box::new(visit)).await?;
    let sought = found.lock().map_or(Sought::Unknown, |mut found| {
        std::mem::replace(&mut *found, Sought::Unknown)
    });
    match sought {
        Sought::Active(kept) => Ok(kept),
        Sought::Unknown => Err(refused_command(format!(
            "lsid: there is no session `{lsid}`"
        ))),
        Sought::Over => Err(refused_command(format!(
            "lsid: the session `{lsid}` is not active: it is over, or was imported"
        ))),
    }
}

fn kept(session: Session) -> Sought {
    match session.state {
        SessionState::Running => Sought::Active(Kept {
            external_key: session.external_key,
            custom_attributes: session.custom_attributes,
        }),
        SessionState::Ended { .. } | SessionState::Lapsed => Sought::Over,
    }
}

/// Keeps attributes as an event of the session. What is set already is not set again, so a call
/// may be repeated.
async fn set_attributes(
    app: &App,
    caller: &Caller,
    lsid: Lsid,
    attributes: Attributes,
) -> Result<(), ApiError> {
    let kept = active(app, &lsid).await?;
    let is_set = |attribute: &CustomAttribute| {
        let mut known = kept.custom_attributes.iter();
        known
            .find(|known| known.code_name == attribute.code_name)
            .map_or(attribute.value.is_empty(), |known| {
                known.value == attribute.value
            })
    };
    let is_same_key = |key: &String| *key == kept.external_key;
    if attributes.external_key.iter().all(is_same_key) && attributes.custom.iter().all(is_set) {
        return Ok(());
    }
    let event = attributes_event(app, caller, lsid, attributes)?;
    let done = app
        .store()
        .append(caller.account.id, vec![event], app.now())
        .await?;
    match done {
        Append::Done(_) => {
            app.changed();
            Ok(())
        }
        Append::Conflicts(conflicts) => {
            let is_full = |kind| kind == ConflictKind::SessionFull;
            let why = match conflicts.first().map(|conflict| conflict.kind) {
                Some(kind) if is_full(kind) => "the session is full",
                Some(_) | None => "the session takes no events",
            };
            Err(refused_command(format!("lsid: {why}")))
        }
    }
}

/// An External Key event: the one type that says how a session is tied to other systems. Without
/// a key in it, it leaves the session's key as it is.
fn attributes_event(
    app: &App,
    caller: &Caller,
    lsid: Lsid,
    attributes: Attributes,
) -> Result<Event, ApiError> {
    let no_id = || StoreError::refused("no random bytes");
    let id = random::word(EVENT_ID_CHARS).map_err(|_| no_id())?;
    let id = EventId::parse(&id).map_err(|_| no_id())?;
    let data = attributes.custom.iter();
    let data = data.map(|attribute| (attribute.code_name.to_string(), attribute.value.clone()));
    let event = Event::new(id, lsid, app.now(), EventType::ExternalKey);
    Ok(Event {
        performed_by: Some(Actor {
            kind: ActorKind::System,
            gsnumber: 0,
            name: Some(caller.account.name.clone()),
        }),
        data: data.collect(),
        session: Some(Box::new(SessionContext {
            external_key: attributes.external_key,
            custom_attributes: attributes.custom,
            ..SessionContext::default()
        })),
        ..event
    })
}

/// Characters of the ids of events made here: more than 190 random bits, so none comes twice.
const EVENT_ID_CHARS: usize = 32;
