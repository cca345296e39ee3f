//! When the archive lies, senders dribble and too many come at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use debrief::http::{BATCHES_AT_ONCE_MAX, BODY_SECS_MAX};
use debrief::sweep::sweep;
use debrief_store::Store;
use debrief_store::faulty::{Fate, Plan};
use futures::stream;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::sender::{
    Sender, bodies, counts, cut, ids, listed, ndjson, seed, session, shared, shown,
};
use crate::world::World;

/// Sends a batch again and again with the same ids until it is taken.
async fn insist(world: &World, sender: &Sender, batch: &[Value]) -> (u64, u64) {
    loop {
        let reply = sender.post(world, ndjson(batch)).await;
        if reply.status == 200 {
            return counts(&reply);
        }
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert!(0 < reply.header("retry-after").parse::<u32>().unwrap());
        assert_eq!(reply.json()["error"], "unavailable");
    }
}

/// What the second try is told when the first one had this fate.
async fn check(fate: Fate, expected: (u64, u64)) {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    // The first write is the server's own, when it starts.
    let store = Store::faulty(&world.store, Plan::scripted([Fate::Truth, fate]));
    let world = world.served_from(&store).await;
    let batch = session("a", 1);
    let first = sender.post(&world, ndjson(&batch)).await;
    assert_eq!(first.status, 503, "{fate:?}");
    assert_eq!(insist(&world, &sender, &batch).await, expected, "{fate:?}");
    assert_eq!(bodies(&shown(&world, "a").await.unwrap()), ids(&batch));
}

#[tokio::test]
async fn a_batch_whose_outcome_is_not_known_is_kept_once_when_it_is_sent_again() {
    check(Fate::DoneUnknown, (0, 3)).await;
    check(Fate::UndoneUnknown, (3, 0)).await;
    check(Fate::Refused, (3, 0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_an_archive_that_lies_nothing_is_lost_and_nothing_is_doubled() {
    let seed = seed();
    let world = World::new().await;
    let mut senders = Vec::new();
    for n in 0..4 {
        senders.push(Sender::new(&world, &format!("sender{n}")).await);
    }
    let liar = Store::faulty(&world.store, Plan::Seeded(seed));
    let world = Arc::new(world.served_from(&liar).await);
    let mut all = Vec::new();
    let mut tasks = Vec::new();
    for (n, sender) in (0_u64..).zip(senders) {
        let stories: Vec<Vec<Value>> = (0..10)
            .map(|idx| session(&format!("s{n}x{idx}"), 8))
            .collect();
        all.extend(stories.clone());
        let world = Arc::clone(&world);
        tasks.push(tokio::spawn(async move {
            let mut dice = fastrand::Rng::with_seed(seed.wrapping_add(n));
            for batch in cut(stories.concat(), &mut dice, 9) {
                let (fresh, repeated) = insist(&world, &sender, &batch).await;
                // All of it is there, or none: so all of it is new, or none.
                assert!(fresh == 0 || repeated == 0, "{fresh} {repeated}");
                if dice.u8(0..8) == 0 {
                    // The sweeper is lied to as well, and tries again next time.
                    let _ = sweep(&world.app).await;
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    while sweep(&world.app).await.is_err() {}
    assert_eq!(world.store.unsealed(1).await.unwrap(), []);
    for story in &all {
        let lsid = story[0]["lsid"].as_str().unwrap();
        assert_eq!(bodies(&shown(&world, lsid).await.unwrap()), ids(story));
    }
    assert_eq!(listed(&world, "page_size=9").await.len(), all.len());
    let kept = world.store.examine(i64::MIN, 1_000).await.unwrap();
    for session in &kept {
        assert_eq!(session.faults, [""; 0], "{}", session.lsid);
    }
    assert_eq!(kept.len(), all.len());
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_dribbles_is_ended_and_nothing_of_it_is_kept() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let batch = ndjson(&session("a", 5)).into_bytes();
    assert!(BODY_SECS_MAX < batch.len() as u64);
    let dribble = stream::unfold(batch.into_iter(), |mut rest| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let byte = Bytes::from(vec![rest.next()?]);
        Some((Ok::<_, Infallible>(byte), rest))
    });
    let began = tokio::time::Instant::now();
    let reply = sender.post(&world, Body::from_stream(dribble)).await;
    assert_eq!(reply.status, 408, "{}", reply.text());
    assert_eq!(reply.json()["error"], "too_slow");
    assert_eq!(began.elapsed().as_secs(), BODY_SECS_MAX);
    let never = stream::pending::<Result<Bytes, Infallible>>();
    let reply = sender.post(&world, Body::from_stream(never)).await;
    assert_eq!(reply.status, 408);
    assert_eq!(world.store.last_change().await.unwrap(), 0);
    assert_eq!(sender.send(&world, &session("a", 5)).await, (7, 0));
}

#[tokio::test]
async fn one_batch_more_than_are_taken_at_once_is_told_to_come_again() {
    let world = shared().await;
    let sender = Sender::new(&world, "tool").await;
    let (begun, mut is_begun) = mpsc::channel(1);
    let mut held = Vec::new();
    for _ in 0..BATCHES_AT_ONCE_MAX {
        let begun = begun.clone();
        // The first look at the body comes after the permit.
        let body = Body::from_stream(stream::once(async move {
            begun.send(()).await.unwrap();
            std::future::pending::<Result<Bytes, Infallible>>().await
        }));
        let (world, sender) = (Arc::clone(&world), sender.clone());
        held.push(tokio::spawn(async move { sender.post(&world, body).await }));
    }
    for _ in 0..BATCHES_AT_ONCE_MAX {
        is_begun.recv().await.unwrap();
    }
    let batch = session("a", 1);
    let reply = sender.post(&world, ndjson(&batch)).await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(reply.json()["limit"], "BATCHES_AT_ONCE_MAX");
    assert_eq!(reply.json()["value"], BATCHES_AT_ONCE_MAX);
    // One goes away, and there is room.
    let gone = held.pop().unwrap();
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    assert_eq!(sender.send(&world, &batch).await, (3, 0));
    for task in held {
        task.abort();
    }
}
