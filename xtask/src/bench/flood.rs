//! The shapes of load: whole bodies as fast as they come, many small answers, the first byte.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::load::Connection;

/// Connections that look sessions up.
pub(super) const LOOKUP_CONNECTIONS: usize = 16;
/// Each thread serves several connections in turn, each with one request under way: fewer switches
/// between threads than a thread per connection, and the server always has work.
const LOOKUP_THREADS: usize = 2;
const _: () = assert!(LOOKUP_CONNECTIONS.is_multiple_of(LOOKUP_THREADS));

/// Asks for one body again and again.
pub(super) struct Stream<'a> {
    pub(super) address: SocketAddr,
    pub(super) request: &'a [u8],
    pub(super) n_clients: usize,
    /// No body is asked for after so long; those under way are read to their end.
    pub(super) lasts: Duration,
    /// A body of another length is an error, not a fast answer.
    pub(super) body_bytes: RangeInclusive<u64>,
}

impl Stream<'_> {
    /// Whole bodies per second, all clients together.
    pub(super) fn run(&self) -> anyhow::Result<f64> {
        let barrier = Barrier::new(self.n_clients);
        let clients: Vec<anyhow::Result<Span>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.n_clients)
                .map(|_| scope.spawn(|| self.run_client(&barrier)))
                .collect();
            threads.into_iter().map(join).collect()
        });
        rate(clients)
    }

    fn run_client(&self, barrier: &Barrier) -> anyhow::Result<Span> {
        let connection = Connection::open(self.address);
        barrier.wait();
        let mut connection = connection?;
        let began = Instant::now();
        let mut n_answers = 0;
        while n_answers == 0 || began.elapsed() < self.lasts {
            connection.send(self.request)?;
            let n_bytes = connection.receive(&mut io::sink())?;
            ensure!(
                self.body_bytes.contains(&n_bytes),
                "the body has {n_bytes} bytes, not {:?}",
                self.body_bytes
            );
            n_answers += 1;
        }
        let ended = Instant::now();
        Ok(Span {
            n_answers,
            began,
            ended,
        })
    }
}

/// Asks for many small bodies over connections that are kept alive.
pub(super) struct Lookups<'a> {
    pub(super) address: SocketAddr,
    /// One of them at random each time.
    pub(super) requests: &'a [Vec<u8>],
    pub(super) lasts: Duration,
    /// The mean length of the answers: another one is an error.
    pub(super) mean_bytes: RangeInclusive<u64>,
}

impl Lookups<'_> {
    /// Answers per second, all connections together.
    pub(super) fn run(&self) -> anyhow::Result<f64> {
        let barrier = Barrier::new(LOOKUP_THREADS);
        let clients: Vec<anyhow::Result<Span>> = thread::scope(|scope| {
            let barrier = &barrier;
            let threads: Vec<_> = (0..LOOKUP_THREADS)
                .map(|idx| scope.spawn(move || self.run_thread(idx as u64, barrier)))
                .collect();
            threads.into_iter().map(join).collect()
        });
        rate(clients)
    }

    fn run_thread(&self, seed: u64, barrier: &Barrier) -> anyhow::Result<Span> {
        let n_connections = LOOKUP_CONNECTIONS / LOOKUP_THREADS;
        let connections: anyhow::Result<Vec<Connection>> = (0..n_connections)
            .map(|_| Connection::open(self.address))
            .collect();
        barrier.wait();
        let mut connections = connections?;
        let mut chance = fastrand::Rng::with_seed(seed);
        let began = Instant::now();
        for connection in &mut connections {
            connection.send(self.pick(&mut chance))?;
        }
        let (mut n_answers, mut n_bytes) = (0, 0);
        while began.elapsed() < self.lasts {
            for connection in &mut connections {
                n_bytes += connection.receive(&mut io::sink())?;
                n_answers += 1;
                connection.send(self.pick(&mut chance))?;
            }
        }
        for connection in &mut connections {
            n_bytes += connection.receive(&mut io::sink())?;
            n_answers += 1;
        }
        let ended = Instant::now();
        let n_mean = n_bytes / n_answers;
        ensure!(
            self.mean_bytes.contains(&n_mean),
            "a lookup has {n_mean} bytes on average, not {:?}",
            self.mean_bytes
        );
        Ok(Span {
            n_answers,
            began,
            ended,
        })
    }

    fn pick(&self, chance: &mut fastrand::Rng) -> &[u8] {
        &self.requests[chance.usize(..self.requests.len())]
    }
}

/// How long the first byte of the body takes on a new connection that is already open.
pub(super) fn first_byte(address: SocketAddr, request: &[u8]) -> anyhow::Result<Duration> {
    let mut connection = Connection::open(address)?;
    let began = Instant::now();
    connection.send(request)?;
    Ok(connection.receive_first_byte()? - began)
}

/// What one thread did.
pub(super) struct Span {
    pub(super) n_answers: u64,
    pub(super) began: Instant,
    pub(super) ended: Instant,
}

pub(super) fn join<T>(
    thread: thread::ScopedJoinHandle<'_, anyhow::Result<T>>,
) -> anyhow::Result<T> {
    thread
        .join()
        .unwrap_or_else(|_| Err(anyhow::anyhow!("a load thread panicked")))
}

/// All answers over the time from the first start to the last end.
pub(super) fn rate(clients: Vec<anyhow::Result<Span>>) -> anyhow::Result<f64> {
    let clients: Vec<Span> = clients.into_iter().collect::<anyhow::Result<_>>()?;
    let began = clients.iter().map(|span| span.began).min();
    let ended = clients.iter().map(|span| span.ended).max();
    let (began, ended) = began.zip(ended).context("no client ran")?;
    let n_answers: u64 = clients.iter().map(|span| span.n_answers).sum();
    Ok(n_answers as f64 / (ended - began).as_secs_f64())
}
