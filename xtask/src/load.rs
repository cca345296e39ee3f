//! `cargo xtask load`: representatives who send what happens in their sessions, all at once, and
//! a count afterwards of what the reports say.
//!
//! It says how fast a server acknowledges and whether it keeps what it acknowledged; beside whom
//! that is fast is for `bench`.

mod check;
mod client;
mod server;
pub(crate) mod story;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use client::{Client, Posted};
use server::Server;
use story::Story;

/// Connections that one server may be asked to hold.
const REPRESENTATIVES_MAX: u64 = 5_000;
/// The longest run: a token lasts an hour, and the count at the end needs it too.
const SECS_MAX: u64 = 3_000;
/// How long a batch is sent again before it is given up.
const INSIST_MAX: Duration = Duration::from_secs(60);
/// The longest pause that a server's `Retry-After` is heeded for.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The pause when there was no answer at all.
const PAUSE_BROKEN: Duration = Duration::from_millis(100);

/// How many, for how long, and against whom.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Representatives who work at once, each in one session after the other.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=REPRESENTATIVES_MAX as i64))]
    representatives: u32,
    /// Seconds after which nothing more is sent.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=SECS_MAX))]
    seconds: u64,
    /// Sessions after which no other one begins.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    sessions: u32,
    /// Events that a representative's tool collects before it sends them, at most.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// What tells one run's sessions from another's.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A running server, such as `http://127.0.0.1:8080`; without, one is built and started in a
    /// directory of its own.
    #[arg(long, value_name = "URL", requires_all = ["client_id", "client_secret_file"])]
    server: Option<String>,
    /// The id of an account that may send events and read reports.
    #[arg(long, value_name = "ID", requires = "server")]
    client_id: Option<String>,
    /// The file that holds its secret.
    #[arg(long, value_name = "FILE", requires = "server")]
    client_secret_file: Option<PathBuf>,
}

/// What one representative did.
#[derive(Default)]
struct Day {
    /// Every event that was sent, by session.
    sent: HashMap<String, Vec<Sent>>,
    /// How long each acknowledged batch took, from its first sending.
    latencies: Vec<Duration>,
    n_again: u64,
    n_ended: u64,
}

/// An event that was sent.
struct Sent {
    id: String,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    /// No answer came, or none that says so: it may be there.
    Unknown,
}

/// Sends, measures, prints, and counts what is there.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let server = Server::of(options)?;
    let token = server.token()?;
    // Ids are known for ever, so each run has its own.
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let n_begun = AtomicU32::new(0);
    let began = Instant::now();
    let deadline = began + Duration::from_secs(options.seconds);
    let work = |number: u32| -> anyhow::Result<Day> {
        let mut client = Client::new(server.address(), &token);
        let mut day = Day::default();
        while Instant::now() < deadline {
            let idx = n_begun.fetch_add(1, Ordering::Relaxed);
            if options.sessions <= idx {
                break;
            }
            let story = Story::new(&format!("load{run}"), options.seed, idx, number);
            day.session(&mut client, &story, options.batch as usize, deadline)?;
        }
        Ok(day)
    };
    let days: Vec<Day> = thread::scope(|scope| {
        let workers: Vec<_> = (0..options.representatives)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        let join = |worker: thread::ScopedJoinHandle<'_, anyhow::Result<Day>>| {
            worker.join().expect("a representative panicked")
        };
        workers.into_iter().map(join).collect::<anyhow::Result<_>>()
    })?;
    let took = began.elapsed();
    print_days(options, &days, took);
    let mut sent = HashMap::new();
    for day in days {
        sent.extend(day.sent);
    }
    let n_checked = check::check(&mut Client::new(server.address(), &token), &sent)?;
    println!(
        "checked              {n_checked} events of {} sessions: each acknowledged one is there once",
        sent.len()
    );
    server.stop()
}

impl Day {
    /// Goes through one session, or as far as the time allows.
    fn session(
        &mut self,
        client: &mut Client,
        story: &Story,
        batch_max: usize,
        deadline: Instant,
    ) -> anyhow::Result<()> {
        let mut events = story.events.as_slice();
        let mut dice = fastrand::Rng::with_seed(story.seed);
        let sent = self.sent.entry(story.lsid.clone()).or_default();
        while !events.is_empty() {
            if deadline <= Instant::now() {
                return Ok(());
            }
            let (batch, rest) = events.split_at(dice.usize(1..=batch_max).min(events.len()));
            events = rest;
            let body: String = batch
                .iter()
                .map(|(_, event)| format!("{event}\n"))
                .collect();
            let began = Instant::now();
            let fate = insist(client, &body, began + INSIST_MAX, &mut self.n_again)?;
            if fate == Fate::Acknowledged {
                self.latencies.push(began.elapsed());
            }
            sent.extend(batch.iter().map(|(id, _)| Sent {
                id: id.clone(),
                fate,
            }));
        }
        self.n_ended += 1;
        Ok(())
    }
}

/// Sends a batch until it is acknowledged or the time is over.
fn insist(
    client: &mut Client,
    body: &str,
    until: Instant,
    n_again: &mut u64,
) -> anyhow::Result<Fate> {
    loop {
        let pause = match client.post_events(body)? {
            Posted::Acknowledged => return Ok(Fate::Acknowledged),
            Posted::Later(pause) => pause.min(PAUSE_MAX),
            Posted::Broken => PAUSE_BROKEN,
        };
        if until <= Instant::now() + pause {
            return Ok(Fate::Unknown);
        }
        thread::sleep(pause);
        *n_again += 1;
    }
}

fn print_days(options: &Options, days: &[Day], took: Duration) {
    let sent = || days.iter().flat_map(|day| day.sent.values());
    let n_sessions = sent().count();
    let is_acknowledged = |event: &&Sent| event.fate == Fate::Acknowledged;
    let n_events = sent().flatten().filter(is_acknowledged).count();
    let n_unknown = sent().flatten().count() - n_events;
    let n_ended: u64 = days.iter().map(|day| day.n_ended).sum();
    let n_again: u64 = days.iter().map(|day| day.n_again).sum();
    let mut latencies: Vec<Duration> = days
        .iter()
        .flat_map(|day| &day.latencies)
        .copied()
        .collect();
    latencies.sort_unstable();
    let millis = |permille: usize| {
        let idx = (latencies.len() * permille).div_ceil(1000).max(1) - 1;
        let latency = latencies.get(idx).copied().unwrap_or_default();
        format!("{:.1} ms", latency.as_secs_f64() * 1e3)
    };
    let secs = took.as_secs_f64();
    println!("representatives      {}", options.representatives);
    println!("sessions             {n_sessions}, of which {n_ended} ended");
    println!(
        "batches              {} acknowledged, {n_again} sendings repeated",
        latencies.len()
    );
    println!(
        "events               {n_events} acknowledged in {secs:.1} s: {:.0} a second; {n_unknown} given up",
        n_events as f64 / secs
    );
    println!(
        "latency of a batch   p50 {}, p95 {}, p99 {}, max {}",
        millis(500),
        millis(950),
        millis(990),
        millis(1000)
    );
}

impl Server {
    /// The server that the options name, or one of our own.
    fn of(options: &Options) -> anyhow::Result<Server> {
        let Some(url) = &options.server else {
            return Server::start();
        };
        let id = options.client_id.as_deref().context("no client id")?;
        let file = options
            .client_secret_file
            .as_deref()
            .context("no client secret file")?;
        let secret = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read `{}`", file.display()))?;
        Server::running(url, id, secret.trim())
    }
}
