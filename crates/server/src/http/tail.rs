//! `GET /api/v1/tail`: what happens, as it happens (`text/event-stream`).
//!
//! Each message tells that a session changed: its data are what the session is like now. Of one
//! session (`lsid=`) it also tells the events that are new. After the messages of a commit comes
//! an id without data: the cursor to go on from.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use debrief_domain::{
    Change, Event, Filter, Lsid, Moment, Reporting, Selection, State as SessionState, Which, fold,
};
use debrief_report::iso;
use debrief_store::{Examined, Flow, Found, Members, Reading, Silence, StoreError, TokenHash};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::caller::{Address, Caller};
use super::error::{ApiError, busy, invalid_parameter, log_chain};
use super::reporting::note;
use crate::app::App;
use crate::wire::event::to_json;

/// Tails at once.
pub(crate) const TAILS_MAX: usize = 200;
/// How long a quiet tail waits before it says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a change made by another process may stay unseen.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Sessions looked at in one piece.
const PAGE_SESSIONS_MAX: usize = 16;
/// Messages waiting for a slow reader.
const MESSAGES_AHEAD: usize = 16;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Follows one session, or all.
pub(crate) async fn tail(
    State(app): State<App>,
    address: Address,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    match follow(&app, address, query.as_deref(), &headers).await {
        Ok(response) => response,
        Err(error) => error.respond_json(),
    }
}

async fn follow(
    app: &App,
    address: Address,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let caller = Caller::find(app, address, headers).await?;
    caller.may_report()?;
    let param = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.unwrap_or("").as_bytes());
        pairs
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    let only = match param("lsid").map(|text| Lsid::parse(&text)) {
        None => None,
        Some(Ok(lsid)) => Some(lsid),
        Some(Err(error)) => return Err(invalid_parameter("lsid", &error.to_string())),
    };
    let given = headers
        .get(LAST_EVENT_ID)
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let since = match given
        .or_else(|| param("since"))
        .map(|text| text.parse::<u64>())
    {
        None => app.store().last_change().await?,
        // A cursor of an archive that was restored since then lies ahead: begin from now.
        Some(Ok(since)) => since.min(app.store().last_change().await?),
        Some(Err(_)) => return Err(invalid_parameter("since", "expected a cursor")),
    };
    let Ok(permit) = app.tails().try_acquire_owned() else {
        return Err(busy("TAILS_MAX", TAILS_MAX));
    };
    note(
        app,
        &caller,
        "tail",
        only.as_ref().map_or("all sessions", |lsid| lsid.as_str()),
    );
    let (sender, receiver) = mpsc::channel::<String>(MESSAGES_AHEAD);
    let (app, token) = (app.clone(), caller.token);
    tokio::spawn(async move {
        let mut tail = Tail {
            app,
            token,
            only,
            since,
            n_told: HashMap::new(),
        };
        if let Err(error) = tail.run(&sender).await {
            log_chain(&error);
        }
        drop(permit);
    });
    let body = stream::unfold(receiver, |mut receiver| async move {
        let message = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Bytes::from(message)), receiver))
    });
    let mut response = (StatusCode::OK, Body::from_stream(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A session that changed.
enum News {
    /// It has sealed bytes, and is kept here.
    At(i64),
    /// Its number, its events in order of arrival, and whether it fell silent.
    Told(u64, Vec<Event>, Silence),
}

/// Whether anyone reads on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

struct Tail {
    app: App,
    token: TokenHash,
    only: Option<Lsid>,
    since: u64,
    /// Of the followed session, events told so far.
    n_told: HashMap<Lsid, usize>,
}

impl Tail {
    /// Tells changes until the reader goes away or its token ends.
    async fn run(&mut self, sender: &mpsc::Sender<String>) -> Result<(), StoreError> {
        let mut changes = self.app.changes();
        let mut quiet = Duration::ZERO;
        while self.may_go_on().await? {
            let now = self.app.store().last_change().await?;
            if self.since < now {
                quiet = Duration::ZERO;
                if self.tell(now, sender).await? == Reader::Gone {
                    return Ok(());
                }
                self.since = now;
            } else if HEARTBEAT <= quiet {
                quiet = Duration::ZERO;
                if sender.send(": alive\n\n".into()).await.is_err() {
                    return Ok(());
                }
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => quiet += LOOK_EVERY,
                () = sender.closed() => return Ok(()),
            }
        }
        Ok(())
    }

    /// Whether the token is still valid, and its account may still read reports.
    async fn may_go_on(&self) -> Result<bool, StoreError> {
        let grant = self.app.store().grant(self.token, self.app.now()).await?;
        Ok(grant.is_some_and(|grant| grant.account.permissions.reporting != Reporting::Deny))
    }

    /// Tells what changed up to the commit `now`, page by page, and last of all the cursor: a
    /// reader that breaks off before it is told the same again.
    async fn tell(
        &mut self,
        now: u64,
        sender: &mpsc::Sender<String>,
    ) -> Result<Reader, StoreError> {
        let which = Which::ChangedSince(Change(self.since));
        let selection = Selection {
            which,
            filter: Filter::All,
        };
        let mut reading = Reading::at(selection, Members::default(), Change(now));
        while !reading.is_done() {
            let (next, found) = self.page(reading).await?;
            reading = next;
            for news in found {
                let message = match news {
                    News::Told(lseq, events, silence) => self.message(lseq, events, silence),
                    News::At(place) => match self.sealed(place).await? {
                        Some(sealed) => self.message(sealed.lseq, sealed.events, sealed.silence),
                        None => None,
                    },
                };
                let Some(message) = message else { continue };
                if sender.send(message).await.is_err() {
                    return Ok(Reader::Gone);
                }
            }
        }
        let cursor = format!("id: {now}\n\n");
        Ok(if sender.send(cursor).await.is_err() {
            Reader::Gone
        } else {
            Reader::There
        })
    }

    /// A few of the sessions that changed.
    async fn page(&self, reading: Reading) -> Result<(Reading, Vec<News>), StoreError> {
        let found = Arc::new(Mutex::new(Vec::new()));
        let (seen, only) = (Arc::clone(&found), self.only.clone());
        let visit = move |session: Found<'_>| {
            let Ok(mut seen) = seen.lock() else {
                return Err(StoreError::refused("the tail was given up"));
            };
            match session {
                // Sealed before we looked: its events are kept beside the bytes.
                Found::Sealed { place, .. } => seen.push(News::At(place)),
                Found::Live {
                    lseq,
                    events,
                    silence,
                    ..
                } => {
                    let lsid = events.first().map(|event| &event.lsid);
                    let is_wanted = only.as_ref().is_none_or(|only| Some(only) == lsid);
                    if is_wanted {
                        seen.push(News::Told(lseq, events, silence));
                    }
                }
            }
            Ok(if PAGE_SESSIONS_MAX <= seen.len() {
                Flow::Full
            } else {
                Flow::More
            })
        };
        let reading = self.app.store().page(reading, Box::new(visit)).await?;
        let found = found.lock().map(|mut found| std::mem::take(&mut *found));
        Ok((reading, found.unwrap_or_default()))
    }

    /// A session that has sealed bytes; none of it when the archive has no such place any more.
    async fn sealed(&self, place: i64) -> Result<Option<Examined>, StoreError> {
        let found = self.app.store().examine(place - 1, 1).await?;
        Ok(found.into_iter().find(|session| session.place == place))
    }

    /// What is told of a session; nothing when it is not the one that is followed, or was
    /// imported without events.
    fn message(&mut self, lseq: u64, events: Vec<Event>, silence: Silence) -> Option<String> {
        let moment = match silence {
            Silence::Heard => Moment::Now(self.app.now()),
            Silence::Lapsed => Moment::Silent,
        };
        let lsid = &events.first()?.lsid;
        if self.only.as_ref().is_some_and(|only| only != lsid) {
            return None;
        }
        let news: Vec<Value> = match &self.only {
            None => Vec::new(),
            Some(lsid) => {
                let n_told = self.n_told.insert(lsid.clone(), events.len()).unwrap_or(0);
                events.iter().skip(n_told).map(to_json).collect()
            }
        };
        let session = fold(lseq, events, moment)?;
        let state = match session.state {
            SessionState::Running => "running",
            SessionState::Ended { .. } => "ended",
            SessionState::Lapsed => "lapsed",
        };
        let mut data = json!({
            "lsid": session.lsid.as_str(),
            "lseq": session.lseq,
            "state": state,
            "start_time": iso(session.start),
            "end_time": session.end().map(iso),
            "n_events": session.events.len(),
            "primary_rep": session.primary_rep().map(|rep| rep.display_name().to_owned()),
            "primary_customer": session.customers.first().map(|c| c.customer.username.clone()),
        });
        if self.only.is_some() {
            data["events"] = Value::Array(news);
        }
        Some(format!("event: session\ndata: {data}\n\n"))
    }
}
