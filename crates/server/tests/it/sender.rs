//! A tool that sends events, and what the archive then says of them.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, header};
use debrief_domain::At;
use debrief_store::TokenHash;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::{NOW, Reply, World, as_reader, at};

pub(crate) const EVENTS: &str = "/api/v1/events";

/// An account that may send events, with a token that outlasts every test.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) token: String,
}

impl Sender {
    pub(crate) async fn new(world: &World, name: &str) -> Sender {
        Sender::with(world, name, "ingest", &[]).await
    }

    /// An account with other permissions, or one that is good in some networks only.
    pub(crate) async fn with(world: &World, name: &str, allow: &str, nets: &[&str]) -> Sender {
        let login = world.login(name, allow, nets).await;
        let account = world.store.account_by_client_id(&login.id).await.unwrap();
        let token = format!("the-token-of-{name}");
        let hash = TokenHash(Sha256::digest(&token).into());
        let account = account.unwrap();
        let issued = world
            .store
            .issue_token(&account, hash, at(NOW), At::MAX)
            .await;
        assert!(issued.unwrap());
        Sender { token }
    }

    /// A batch as it goes over the wire.
    pub(crate) fn request(&self) -> axum::http::request::Builder {
        Request::post(EVENTS)
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
    }

    pub(crate) async fn post(&self, world: &World, body: impl Into<Body>) -> Reply {
        world.send(self.request().body(body.into()).unwrap()).await
    }

    /// The same, packed with this content coding.
    pub(crate) async fn post_packed(&self, world: &World, coding: &str, body: Vec<u8>) -> Reply {
        let request = self.request().header(header::CONTENT_ENCODING, coding);
        world.send(request.body(body.into()).unwrap()).await
    }

    /// Sends events that must be taken; gives how many were new and how many known.
    pub(crate) async fn send(&self, world: &World, events: &[Value]) -> (u64, u64) {
        counts(&self.post(world, ndjson(events)).await)
    }
}

/// How many events were new and how many known, of a batch that was taken.
#[track_caller]
pub(crate) fn counts(reply: &Reply) -> (u64, u64) {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let answer = reply.json();
    let number = |name: &str| answer[name].as_u64().unwrap();
    (number("fresh"), number("repeated"))
}

/// An event whose body is its id.
pub(crate) fn event(id: &str, lsid: &str, secs: i64, kind: &str) -> Value {
    json!({ "id": id, "lsid": lsid, "time": NOW + secs, "type": kind, "body": id })
}

/// A session of `n_chats` chat messages that ends, with ids made from its own.
pub(crate) fn session(lsid: &str, n_chats: usize) -> Vec<Value> {
    let id = |name: &str| format!("{lsid}-{name}");
    let mut events = vec![event(&id("start"), lsid, 0, "Session Start")];
    for n in 0..n_chats {
        events.push(event(
            &id(&n.to_string()),
            lsid,
            1 + n as i64,
            "Chat Message",
        ));
    }
    let end = 1 + n_chats as i64;
    events.push(event(&id("end"), lsid, end, "Session End"));
    events
}

/// One event a line.
pub(crate) fn ndjson(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

/// What the reader's account gets at this path.
pub(crate) async fn read(world: &World, path: &str) -> Reply {
    let request = as_reader(Request::get(path)).body(Body::empty());
    world.send(request.unwrap()).await
}

/// The session as JSON; none when the archive has no such session.
pub(crate) async fn shown(world: &World, lsid: &str) -> Option<Value> {
    let reply = read(world, &format!("/api/v1/sessions/{lsid}")).await;
    match reply.status {
        200 => Some(reply.json()),
        404 => None,
        status => panic!("{status}: {}", reply.text()),
    }
}

/// The bodies of a session's events, sorted.
pub(crate) fn bodies(session: &Value) -> Vec<String> {
    let events = session["session_details"].as_array().unwrap().iter();
    let mut bodies: Vec<String> = events
        .map(|event| event["body"].as_str().unwrap_or_default().to_owned())
        .collect();
    bodies.sort();
    bodies
}

/// The ids of events, sorted.
pub(crate) fn ids(events: &[Value]) -> Vec<String> {
    let ids = events
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned());
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    ids
}

/// Every session that the list gives, page by page.
pub(crate) async fn listed(world: &World, query: &str) -> Vec<Value> {
    let mut sessions = Vec::new();
    let mut cursor = String::new();
    loop {
        let reply = read(world, &format!("/api/v1/sessions?{query}{cursor}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let page = reply.json();
        sessions.extend(page["sessions"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else {
            return sessions;
        };
        cursor = format!("&cursor={next}");
    }
}

/// The seed of this run: `DEBRIEF_TEST_SEED`, or another one each time. It is printed, so that a
/// failure can be had again.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("DEBRIEF_TEST_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |text| text.parse().unwrap());
    println!("DEBRIEF_TEST_SEED={seed}");
    seed
}

/// The events in another order, cut into batches of 1 to `len_max`.
pub(crate) fn cut(mut events: Vec<Value>, dice: &mut fastrand::Rng, len_max: usize) -> Batches {
    dice.shuffle(&mut events);
    let mut batches = Vec::new();
    while !events.is_empty() {
        let len = dice.usize(1..=len_max).min(events.len());
        batches.push(events.split_off(events.len() - len));
    }
    batches
}

pub(crate) type Batches = Vec<Vec<Value>>;

/// A world that several tasks share.
pub(crate) async fn shared() -> Arc<World> {
    Arc::new(World::new().await)
}
