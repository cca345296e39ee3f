//! Following the archive: a client that polls sees every session in its final form, and one that
//! listens is told each event once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use debrief::sweep::sweep;
use debrief_store::Enabled;
use futures::StreamExt as _;
use serde_json::Value;

use crate::sender::{Sender, bodies, cut, event, ids, read, seed, session, shared, shown};
use crate::world::{Story, World, as_reader};

/// The last form of each session that a poller saw.
type Seen = BTreeMap<String, Value>;

fn see(seen: &mut Seen, session: Value) {
    seen.insert(session["lsid"].as_str().unwrap().to_owned(), session);
}

/// Polls `/api/v1/changes` in small pages until a poll after the end finds nothing.
async fn poll_changes(world: Arc<World>, is_over: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::new();
    let mut since = "0".to_owned();
    loop {
        let was_over = is_over.load(Ordering::SeqCst);
        let (mut cursor, mut n_found) = (String::new(), 0);
        loop {
            let path = format!("/api/v1/changes?page_size=7&since={since}{cursor}");
            let mut page = read(&world, &path).await.json();
            let sessions = page["sessions"].as_array_mut().unwrap();
            n_found += sessions.len();
            for session in sessions.drain(..) {
                see(&mut seen, session);
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => {
                    since = page["since"].as_str().unwrap().to_owned();
                    break;
                }
            }
        }
        if was_over && n_found == 0 {
            return seen;
        }
    }
}

/// The same with `changed_since` on the report.
async fn poll_report(world: Arc<World>, is_over: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::new();
    let mut since = "0".to_owned();
    loop {
        let was_over = is_over.load(Ordering::SeqCst);
        let reply = world
            .ask(&format!("changed_since={since}&format=ndjson"))
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        for line in reply.text().lines() {
            see(&mut seen, serde_json::from_str(line).unwrap());
        }
        since = reply.header("debrief-next").to_owned();
        if was_over && reply.body.is_empty() {
            return seen;
        }
    }
}

const WRITERS: u64 = 4;
const SESSIONS_EACH: usize = 75;
const CHATS_EACH: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pollers_see_every_session_in_its_final_form_whatever_the_interleaving() {
    let seed = seed();
    let world = shared().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for writer in 0..WRITERS {
        let mut dice = fastrand::Rng::with_seed(seed.wrapping_add(writer));
        let mut events = Vec::new();
        for n in 0..SESSIONS_EACH {
            let lsid = format!("w{writer}s{n}");
            let story = session(&lsid, CHATS_EACH);
            expected.insert(lsid, ids(&story));
            events.extend(story);
        }
        let sender = Sender::new(&world, &format!("writer{writer}")).await;
        let world = Arc::clone(&world);
        writers.push(tokio::spawn(async move {
            for batch in cut(events, &mut dice, 7) {
                let n_times = if dice.u8(0..5) == 0 { 2 } else { 1 };
                for n in 0..n_times {
                    let len = batch.len() as u64;
                    let told = if n == 0 { (len, 0) } else { (0, len) };
                    assert_eq!(sender.send(&world, &batch).await, told);
                }
            }
        }));
    }
    let sweeper = {
        let (world, is_over) = (Arc::clone(&world), Arc::clone(&is_over));
        tokio::spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                sweep(&world.app).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    let by_changes = tokio::spawn(poll_changes(Arc::clone(&world), Arc::clone(&is_over)));
    let by_report = tokio::spawn(poll_report(Arc::clone(&world), Arc::clone(&is_over)));
    for writer in writers {
        writer.await.unwrap();
    }
    is_over.store(true, Ordering::SeqCst);
    sweeper.await.unwrap();
    let (by_changes, by_report) = (by_changes.await.unwrap(), by_report.await.unwrap());
    assert_eq!(by_changes.len(), expected.len());
    assert_eq!(by_report.len(), expected.len());
    for (lsid, ids) in &expected {
        let last = shown(&world, lsid).await.unwrap();
        assert_eq!(bodies(&last), *ids);
        assert_eq!(by_changes[lsid], last, "{lsid} by /api/v1/changes");
        assert_eq!(by_report[lsid], last, "{lsid} by changed_since");
    }
}

/// Messages of an event stream, one after the other.
struct Messages {
    body: BodyDataStream,
    text: String,
}

/// How long a message may take: only a failure takes so long.
const MESSAGE_WAIT: Duration = Duration::from_secs(30);

impl Messages {
    async fn follow(world: &World, query: &str) -> Messages {
        let request = as_reader(Request::get(format!("/api/v1/tail?{query}")));
        let (status, headers, body) = world.begin(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, 200);
        assert_eq!(headers["content-type"], "text/event-stream");
        Messages {
            body: body.into_data_stream(),
            text: String::new(),
        }
    }

    /// The data of the next session that is told.
    async fn next(&mut self) -> Value {
        loop {
            if let Some(data) = self.message().await.strip_prefix("event: session\ndata: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }

    /// The next cursor that is told.
    async fn cursor(&mut self) -> String {
        loop {
            if let Some(id) = self.message().await.strip_prefix("id: ") {
                return id.to_owned();
            }
        }
    }

    /// The next message of any kind, a heartbeat among them.
    async fn message(&mut self) -> String {
        let deadline = tokio::time::Instant::now() + MESSAGE_WAIT;
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let message = message.to_owned();
                self.text = rest.to_owned();
                return message;
            }
            let chunk = tokio::time::timeout_at(deadline, self.body.next()).await;
            let chunk = chunk.expect("nothing more is told").unwrap().unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_tail_of_a_session_tells_each_event_once_even_when_it_is_sealed_meanwhile() {
    let seed = seed();
    let world = shared().await;
    let sender = Sender::new(&world, "tool").await;
    let events = session("a", 60);
    let mut messages = Messages::follow(&world, "lsid=a&since=0").await;
    let writer = {
        let (world, events) = (Arc::clone(&world), events.clone());
        tokio::spawn(async move {
            let mut dice = fastrand::Rng::with_seed(seed);
            for (n, batch) in cut(events, &mut dice, 4).into_iter().enumerate() {
                sender.send(&world, &batch).await;
                sender.send(&world, &batch).await;
                sender.send(&world, &session(&format!("other{n}"), 0)).await;
                if dice.bool() {
                    sweep(&world.app).await.unwrap();
                }
            }
        })
    };
    let (mut told, mut n_told, mut last) = (BTreeSet::new(), 0, Value::Null);
    while n_told < events.len() {
        let data = messages.next().await;
        assert_eq!(data["lsid"], "a");
        for event in data["events"].as_array().unwrap() {
            n_told += 1;
            assert!(
                told.insert(event["id"].as_str().unwrap().to_owned()),
                "{event} is told again"
            );
        }
        last = data;
    }
    writer.await.unwrap();
    assert_eq!(told.into_iter().collect::<Vec<_>>(), ids(&events));
    assert_eq!(last["state"], "ended");
    assert_eq!(last["n_events"], events.len());
}

#[tokio::test(start_paused = true)]
async fn a_round_of_the_sweeper_has_an_end_and_the_next_one_goes_on() {
    let world = World::new().await;
    for handful in 0..=64 {
        let n_stories = if handful == 64 { 1 } else { 64 };
        let story = |n: i64| Story::new(&format!("{handful}-{n}"), n).end(n + 1).events;
        world.append((0..n_stories).flat_map(story).collect()).await;
    }
    for n_left in [1, 0] {
        sweep(&world.app).await.unwrap();
        assert_eq!(world.store.unsealed(9).await.unwrap().len(), n_left);
    }
}

#[tokio::test]
async fn a_session_that_ended_and_was_sealed_before_the_tail_looked_is_told() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    for lsid in ["a", "b", "c"] {
        sender.send(&world, &session(lsid, 2)).await;
    }
    sweep(&world.app).await.unwrap();
    let mut messages = Messages::follow(&world, "since=0").await;
    for lsid in ["a", "b", "c"] {
        let data = messages.next().await;
        assert_eq!(
            (&data["lsid"], &data["state"]),
            (&lsid.into(), &"ended".into())
        );
    }
    // After the messages comes the cursor: where to go on.
    messages.cursor().await;
    sender
        .send(&world, &[event("late", "b", 2, "Chat Message")])
        .await;
    assert_eq!(messages.next().await["lsid"], "b");
    let id = messages.cursor().await;
    drop(messages);
    sender.send(&world, &session("d", 0)).await;
    let mut messages = Messages::follow(&world, &format!("since={id}")).await;
    let data = messages.next().await;
    assert_eq!(data["lsid"], "d");
}

#[tokio::test]
async fn a_tail_ends_with_its_token() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let mut messages = Messages::follow(&world, "since=0").await;
    sender.send(&world, &session("a", 0)).await;
    assert_eq!(messages.next().await["lsid"], "a");
    messages.cursor().await;
    world
        .store
        .set_enabled("reader", Enabled::No)
        .await
        .unwrap();
    sender.send(&world, &session("b", 0)).await;
    let rest = tokio::time::timeout(MESSAGE_WAIT, messages.body.next()).await;
    assert!(rest.unwrap().is_none(), "the tail goes on");
}
