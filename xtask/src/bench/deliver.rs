//! Batches of events handed over one after the other, to whoever keeps them: Debrief, a file,
//! PostgreSQL. A batch counts when its keeper has said that it is on disk.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::events::{Batch, Feed};
use super::flood::{Span, join, rate};
use super::load::Connection;

/// A client ends its sample after so many events, however fast they were.
const SAMPLE_EVENTS_MAX: u64 = 2_000_000;

/// Where batches go.
pub(super) trait Keeper: Send {
    /// Returns when the batch is on disk.
    fn keep(&mut self, batch: &Batch) -> anyhow::Result<()>;
}

/// Hands over batches from every feed at once, each to a keeper of its own, while `goes_on` says
/// so of the time since the begin. Gives the events per second, all together.
pub(super) fn deliver<K: Keeper>(
    feeds: &mut [Feed],
    keepers: Vec<K>,
    goes_on: &(dyn Fn(Duration) -> bool + Sync),
) -> anyhow::Result<f64> {
    assert_eq!(feeds.len(), keepers.len());
    let barrier = Barrier::new(feeds.len());
    let clients = thread::scope(|scope| {
        let barrier = &barrier;
        let threads: Vec<_> = feeds
            .iter_mut()
            .zip(keepers)
            .map(|(feed, keeper)| scope.spawn(move || run_client(feed, keeper, barrier, goes_on)))
            .collect();
        threads.into_iter().map(join).collect()
    });
    rate(clients)
}

fn run_client(
    feed: &mut Feed,
    mut keeper: impl Keeper,
    barrier: &Barrier,
    goes_on: &(dyn Fn(Duration) -> bool + Sync),
) -> anyhow::Result<Span> {
    barrier.wait();
    let began = Instant::now();
    let mut n_events = 0;
    while n_events == 0 || (n_events < SAMPLE_EVENTS_MAX && goes_on(began.elapsed())) {
        let batch = feed.next_batch();
        keeper.keep(batch)?;
        n_events += batch.events.len() as u64;
    }
    Ok(Span {
        n_answers: n_events,
        began,
        ended: Instant::now(),
    })
}

/// Debrief, over one connection that is kept alive.
pub(super) struct Http {
    connection: Connection,
    answer: Vec<u8>,
}

impl Http {
    pub(super) fn open(address: SocketAddr) -> anyhow::Result<Http> {
        let connection = Connection::open(address)?;
        let answer = Vec::new();
        Ok(Http { connection, answer })
    }
}

impl Keeper for Http {
    fn keep(&mut self, batch: &Batch) -> anyhow::Result<()> {
        self.connection.send(batch.request())?;
        self.answer.clear();
        self.connection.receive(&mut self.answer)?;
        let answer: serde_json::Value = serde_json::from_slice(&self.answer)?;
        let n_events = batch.events.len();
        let n_fresh = answer["fresh"].as_u64();
        ensure!(
            n_fresh == Some(n_events as u64),
            "{n_events} new events were answered with {answer}"
        );
        Ok(())
    }
}

/// A file that grows: as little as a durable log can do.
pub(super) struct Appended(File);

impl Appended {
    pub(super) fn create(path: &Path) -> anyhow::Result<Appended> {
        File::create(path).context("cannot make a file to append to")?;
        Ok(Appended(OpenOptions::new().append(true).open(path)?))
    }
}

impl Keeper for Appended {
    fn keep(&mut self, batch: &Batch) -> anyhow::Result<()> {
        self.0.write_all(batch.body())?;
        // On Linux this is `fdatasync`.
        self.0.sync_data()?;
        Ok(())
    }
}
