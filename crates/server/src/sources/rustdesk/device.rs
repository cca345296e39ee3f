//! What is known of a device: whose it is, what it is, its connections and its sessions. One
//! value, noted as a whole, so that a restart forgets nothing.
//!
//! Here nothing is read, written or asked: a message and the time go in, events come out. Times
//! are the server's, because no message has one.

mod life;

use std::net::IpAddr;

use debrief_domain::{At, Event, Lsid, SiteId};
use serde::{Deserialize, Serialize};

use super::message::{Facts, Files, LogsIn};
use super::tell::{Controller, Teller, lsid, word};

/// Connections that are remembered, open and over.
const CONNECTIONS_MAX: usize = 512;
/// Sessions that are remembered: notes may come when all is over.
const SESSIONS_MAX: usize = 64;
/// Messages that wait for the login that older clients may send after them.
const WAITING_MAX: usize = 16;
/// Messages by which repetitions are known before the archive remembers them for ever.
const RECENT_MAX: usize = 64;
/// Recordings that grow at once.
const RECORDINGS_MAX: usize = 32;
/// Seconds in which the same words without a nonce are a repetition.
const REPEAT_SECS: i64 = 10;
/// Seconds in which the messages of one connection may come in any order.
pub(super) const REORDER_SECS: i64 = 60;
/// Seconds without a sign of life after which a connection is over: 20 heartbeats, which come
/// every 3 seconds while there are connections.
pub const GONE_SECS: i64 = 60;

/// A device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Device {
    /// A hash of the machine id that came with it first.
    pub(super) uuid: String,
    /// Whether its heartbeats have ever named a connection: only then their silence about one
    /// means something.
    pub(super) beats: bool,
    /// Whether it has told what it is.
    pub(super) is_known: bool,
    pub(super) facts: Facts,
    /// Where its heartbeats come from.
    pub(super) address: Option<IpAddr>,
    connections: Vec<Connection>,
    sessions: Vec<Session>,
    pub(super) waiting: Vec<Waiting>,
    recent: Vec<(String, i64)>,
    /// Recordings that grow: the file's name and the session.
    recordings: Vec<(String, String)>,
}

/// A connection. Its number is its own only while it is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Connection {
    conn_id: i32,
    /// When it was opened, if that was told.
    opened: Option<i64>,
    /// When it was first heard of.
    first: i64,
    /// When it last gave a sign of life.
    seen: i64,
    ip: Option<String>,
    /// The session, once somebody has logged in.
    lsid: Option<String>,
    /// What a `close` said that came before the login.
    session_id: u64,
    closed: Option<i64>,
    /// It was closed because it fell silent.
    is_gone: bool,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    lsid: String,
    session_id: u64,
    peer: String,
    who: Controller,
    is_open: bool,
}

/// A message that waits for the login it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) at: i64,
    pub(super) key: String,
    /// What it is known by: the path and the whole body.
    pub(super) route: String,
    pub(super) body: String,
}

/// What an audit is heard with.
pub(super) struct Hearing<'a> {
    pub(super) now: At,
    /// The device's id.
    pub(super) id: &'a str,
    /// What the message is known by.
    pub(super) key: &'a str,
    pub(super) site: Option<&'a SiteId>,
    /// What numbers of tickets begin with.
    pub(super) tickets: &'a [String],
    /// What comes of it.
    pub(super) events: &'a mut Vec<Event>,
}

impl Hearing<'_> {
    fn teller<'b>(&'b mut self, lsid: &str) -> Option<Teller<'b>> {
        Some(Teller {
            lsid: Lsid::parse(lsid).ok()?,
            key: self.key,
            events: self.events,
        })
    }
}

/// Whether a message found its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// It did.
    Yes,
    /// It did not, yet.
    No,
}

impl Device {
    /// A device that comes for the first time, with the hash of its machine id.
    pub(super) fn new(uuid: String) -> Device {
        Device {
            uuid,
            ..Device::default()
        }
    }

    /// The key under which a message is known for ever, and whether it is here already.
    pub(super) fn key(
        &self,
        id: &str,
        route: &str,
        nonce: Option<&str>,
        body: &str,
        now: At,
    ) -> Key {
        if let Some(nonce) = nonce {
            let mark = word(&[id, route, "nonce", nonce]);
            let is_known = self.recent.iter().any(|(known, _)| *known == mark);
            return Key {
                text: mark.clone(),
                mark,
                is_known,
                lasts: true,
            };
        }
        let mark = word(&[id, route, "body", body]);
        let known = self.recent.iter().rfind(|(known, _)| *known == mark);
        let is_known = known.is_some_and(|(_, at)| now.millis() - at < REPEAT_SECS * 1_000);
        Key {
            // The same for whoever tries again at once.
            text: word(&[&mark, &(now.secs() / REPEAT_SECS).to_string()]),
            mark,
            is_known,
            lasts: false,
        }
    }

    /// Remembers a message.
    pub(super) fn remember(&mut self, key: &Key, now: At) {
        self.recent.push((key.mark.clone(), now.millis()));
        let n_over = self.recent.len().saturating_sub(RECENT_MAX);
        self.recent.drain(..n_over);
    }

    /// Whether a sweep has anything to do with it.
    pub(super) fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || self.connections.iter().any(|c| c.closed.is_none())
    }

    /// The session of a window, and its controlling person.
    pub(super) fn session(&self, session_id: u64) -> Option<(&str, &Controller)> {
        let found = self.sessions.iter().rfind(|s| s.session_id == session_id);
        found.map(|session| (session.lsid.as_str(), &session.who))
    }

    /// The newest session with a connection that is open.
    pub(super) fn open_session(&self) -> Option<&str> {
        let session = self.sessions.iter().rfind(|session| session.is_open);
        session.map(|session| session.lsid.as_str())
    }

    /// A recording of this session begins to grow.
    pub(super) fn record(&mut self, file: &str, lsid: &str) {
        self.forget_recording(file);
        if RECORDINGS_MAX <= self.recordings.len() {
            self.recordings.remove(0);
        }
        self.recordings.push((file.into(), lsid.into()));
    }

    /// The session of a recording that grows.
    pub(super) fn recorded(&self, file: &str) -> Option<&str> {
        let found = self.recordings.iter().find(|(known, _)| known == file);
        found.map(|(_, lsid)| lsid.as_str())
    }

    /// A recording grows no more.
    pub(super) fn forget_recording(&mut self, file: &str) {
        self.recordings.retain(|(known, _)| known != file);
    }

    /// A connection is there; nobody has logged in yet.
    pub(super) fn open(&mut self, hearing: &mut Hearing<'_>, conn_id: i32, ip: Option<String>) {
        let now = hearing.now.millis();
        if let Some(idx) = self.find(conn_id) {
            let known = &mut self.connections[idx];
            // Older clients may tell of a login, or of the end, before they tell of the beginning.
            let is_late = known.opened.is_none() && now - known.first < REORDER_SECS * 1_000;
            if is_late {
                known.opened = Some(known.first);
                known.ip = ip;
                return;
            }
            self.supersede(hearing, idx);
        }
        let connection = self.add(conn_id, now);
        connection.opened = Some(now);
        connection.ip = ip;
    }

    /// Somebody has logged in.
    pub(super) fn log_in(&mut self, hearing: &mut Hearing<'_>, login: &LogsIn, who: Controller) {
        let now = hearing.now.millis();
        let lsid = lsid(hearing.id, &login.peer_id, login.session_id).to_string();
        let idx = match self.find(login.conn_id) {
            Some(idx) => {
                let known = &self.connections[idx];
                let is_fresh =
                    now - known.first.max(known.closed.unwrap_or(0)) < REORDER_SECS * 1_000;
                match (&known.lsid, known.closed) {
                    // Told again.
                    (Some(known), None) if *known == lsid => return,
                    (Some(known), Some(_)) if *known == lsid && is_fresh => return,
                    (None, None) => Some(idx),
                    (None, Some(_)) => {
                        let is_its = [0, login.session_id].contains(&known.session_id);
                        (is_its && is_fresh).then_some(idx)
                    }
                    (Some(_), _) => None,
                }
                .or_else(|| {
                    self.supersede(hearing, idx);
                    None
                })
            }
            None => None,
        };
        let idx = idx.unwrap_or_else(|| {
            self.add(login.conn_id, now);
            self.connections.len() - 1
        });
        let connection = &mut self.connections[idx];
        connection.lsid = Some(lsid.clone());
        connection.session_id = login.session_id;
        connection.seen = connection.seen.max(now);
        let (ip, closed) = (connection.ip.clone(), connection.closed);
        let begin = connection.opened.unwrap_or(connection.first).min(now);
        let begin = at(begin, hearing.now);
        self.join(hearing, &lsid, login, who, begin, ip.as_deref());
        if let Some(closed) = closed {
            let closed = at(closed, hearing.now).max(begin);
            self.leave(hearing, &lsid, closed, None);
        }
    }

    fn join(
        &mut self,
        hearing: &mut Hearing<'_>,
        lsid: &str,
        login: &LogsIn,
        who: Controller,
        begin: At,
        ip: Option<&str>,
    ) {
        let idx = match self.sessions.iter().position(|known| known.lsid == lsid) {
            Some(idx) => idx,
            None => {
                self.sessions.push(Session {
                    lsid: lsid.into(),
                    session_id: login.session_id,
                    peer: login.peer_id.clone(),
                    who,
                    is_open: false,
                });
                // Rather one that is over is forgotten.
                if SESSIONS_MAX < self.sessions.len() {
                    let over = self.sessions.iter().position(|session| !session.is_open);
                    self.sessions.remove(over.unwrap_or(0));
                }
                self.sessions.len() - 1
            }
        };
        let (facts, address) = (self.facts.clone(), self.address);
        let session = &mut self.sessions[idx];
        let was_open = std::mem::replace(&mut session.is_open, true);
        let (id, site) = (hearing.id, hearing.site);
        let Some(mut teller) = hearing.teller(lsid) else {
            return;
        };
        if !was_open {
            teller.start(begin, id, &facts, address, site);
            teller.join(begin, &session.who, &login.peer_id, ip);
        }
        teller.log_in(begin, &session.who, login);
    }

    /// A connection was closed.
    pub(super) fn close(&mut self, hearing: &mut Hearing<'_>, conn_id: i32, session_id: u64) {
        let now = hearing.now.millis();
        let Some(idx) = self.find(conn_id) else {
            let connection = self.add(conn_id, now);
            connection.closed = Some(now);
            connection.session_id = session_id;
            return;
        };
        let known = &mut self.connections[idx];
        let is_other = session_id != 0 && known.lsid.is_some() && known.session_id != session_id;
        let was_closed = known.closed.is_some() && !known.is_gone;
        // A straggler of an older connection with this number, which is over already.
        if is_other || was_closed {
            return;
        }
        known.closed = Some(now);
        known.is_gone = false;
        if known.lsid.is_none() {
            known.session_id = session_id;
        }
        if let Some(lsid) = known.lsid.clone() {
            self.leave(hearing, &lsid, hearing.now, None);
        }
    }

    /// The end of a session, when no connection of it is open any more.
    fn leave(&mut self, hearing: &mut Hearing<'_>, lsid: &str, when: At, why: Option<&str>) {
        let is_of = |c: &Connection| c.lsid.as_deref() == Some(lsid);
        let mut connections = self.connections.iter();
        if connections.any(|c| is_of(c) && c.closed.is_none()) {
            return;
        }
        let Some(session) = self
            .sessions
            .iter_mut()
            .find(|session| session.lsid == lsid)
        else {
            return;
        };
        session.is_open = false;
        if let Some(mut teller) = hearing.teller(lsid) {
            teller.end(when, &session.who, why);
        }
    }

    /// Files begin to travel.
    pub(super) fn send(&mut self, hearing: &mut Hearing<'_>, files: &Files) -> Placed {
        let now = hearing.now.millis();
        let of_peer = |lsid: &str| {
            let session = self.sessions.iter().find(|session| session.lsid == lsid);
            session.is_some_and(|session| session.peer == files.peer_id)
        };
        let fits = |c: &&Connection| {
            let is_its = files.conn_id.is_none_or(|conn_id| conn_id == c.conn_id);
            is_its && c.lsid.as_deref().is_some_and(of_peer)
        };
        let connections = || self.connections.iter();
        let open = connections().rfind(|c| fits(c) && c.closed.is_none());
        // Clients send these without waiting for their turn: the connection may be over.
        let found = open.or_else(|| connections().rfind(fits));
        let Some(lsid) = found.and_then(|connection| connection.lsid.clone()) else {
            return Placed::No;
        };
        if let Some(c) = self
            .connections
            .iter_mut()
            .rfind(|c| c.closed.is_none() && c.lsid.as_ref() == Some(&lsid))
        {
            c.seen = c.seen.max(now);
        }
        let name = self.facts.username.clone();
        let name = name.or_else(|| self.facts.hostname.clone());
        let name = name.unwrap_or_else(|| hearing.id.to_owned());
        let Some(session) = self.sessions.iter().find(|session| session.lsid == lsid) else {
            return Placed::No;
        };
        let when = hearing.now;
        if let Some(mut teller) = hearing.teller(&lsid) {
            teller.send(when, &session.who, &name, files);
        }
        Placed::Yes
    }

    /// A note on a session.
    pub(super) fn note(
        &mut self,
        hearing: &mut Hearing<'_>,
        session_id: u64,
        note: &str,
    ) -> Placed {
        let Some((lsid, who)) = self.session(session_id) else {
            return Placed::No;
        };
        let (when, tickets) = (hearing.now, hearing.tickets);
        let key = word(&["note", note]);
        if let Ok(lsid) = Lsid::parse(lsid) {
            let mut teller = Teller {
                lsid,
                key: &key,
                events: hearing.events,
            };
            teller.note(when, &who.name, note, tickets);
        }
        Placed::Yes
    }

    /// Keeps a message until its login comes; false when too many wait.
    pub(super) fn wait(&mut self, waiting: Waiting) -> bool {
        let has_room = self.waiting.len() < WAITING_MAX;
        if has_room {
            self.waiting.push(waiting);
        }
        has_room
    }

    /// The number of a connection is in use again: the one that had it is over.
    fn supersede(&mut self, hearing: &mut Hearing<'_>, idx: usize) {
        if self.connections[idx].closed.is_none() {
            self.lose(hearing, idx);
        }
        self.connections.remove(idx);
    }

    fn find(&self, conn_id: i32) -> Option<usize> {
        self.connections.iter().rposition(|c| c.conn_id == conn_id)
    }

    fn add(&mut self, conn_id: i32, now: i64) -> &mut Connection {
        if CONNECTIONS_MAX <= self.connections.len() {
            let over = self.connections.iter().position(|c| c.closed.is_some());
            self.connections.remove(over.unwrap_or(0));
        }
        self.connections.push(Connection {
            conn_id,
            opened: None,
            first: now,
            seen: now,
            ip: None,
            lsid: None,
            session_id: 0,
            closed: None,
            is_gone: false,
        });
        self.connections
            .last_mut()
            .expect("a connection was just added")
    }
}

/// What a message is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// What it is remembered by here.
    pub(super) mark: String,
    /// What its events are named after.
    pub(super) text: String,
    /// It was heard already.
    pub(super) is_known: bool,
    /// It is a nonce, which is remembered for ever.
    pub(super) lasts: bool,
}

/// A time that was noted; now, should it be damaged.
fn at(millis: i64, now: At) -> At {
    At::from_millis(millis).unwrap_or(now)
}
