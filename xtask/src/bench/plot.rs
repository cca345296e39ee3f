//! `cargo xtask plot`: costs that grow with work, measured and drawn into `bench/plots`.

mod chart;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::deliver::{Http, deliver};
use super::events::feeds;
use super::flood::{LOOKUP_CONNECTIONS, Lookups};
use super::load::Coding;
use super::results::{commit, machine, median};
use super::rows::{MEGABYTE, fresh_and_idle, lookup_requests, peak_megabytes};
use super::stand::{Archive, Scale, Stand, near, say};
use chart::{Chart, Line};

const SESSIONS: u32 = 60_000;
const SESSIONS_QUICK: u32 = 4_000;
const REPEATS: u32 = 5;
/// From one point of a line to the next, in sessions of an answer or an archive.
const STEP: usize = 4;
/// The smallest archive whose lookups are measured.
const ARCHIVE_SESSIONS_MIN: u32 = 1_000;
/// Connections that hand events over at once.
const CONNECTIONS: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Events of one request.
const BATCHES: [usize; 3] = [1, 10, 100];
const LOOKUP_TOLERANCE: f64 = 0.3;

/// What to draw, and how thoroughly.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// A small archive and short samples.
    #[arg(long)]
    quick: bool,
    /// How many sessions the largest archive gets [default: 60000, with --quick 4000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    sessions: Option<u32>,
    /// How often each point is measured; the median is drawn.
    #[arg(long, value_name = "N", default_value_t = REPEATS, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// Measures this program instead of building it.
    #[arg(long, value_name = "FILE", requires = "output")]
    binary: Option<PathBuf>,
    /// Where the drawings go [default: `bench/plots`].
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Measures and draws.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let workspace = workspace.context("the workspace has no folder")?;
    let folder = options.output.clone();
    let folder = folder.unwrap_or_else(|| workspace.join("bench/plots"));
    fs::create_dir_all(&folder)?;
    let usual = if options.quick {
        SESSIONS_QUICK
    } else {
        SESSIONS
    };
    let scale = Scale {
        n_sessions: options.sessions.unwrap_or(usual),
        n_repeats: options.repeat,
        sample: Duration::from_millis(if options.quick { 200 } else { 1_000 }),
        n_first_bytes: 0,
        memory_report_bytes: 0,
        upload_bytes: 0,
        n_uploads: 0,
        n_normalised: 0,
    };
    let build = |n_sessions| {
        let scale = Scale {
            n_sessions,
            ..scale
        };
        Stand::build(workspace, scale, options.binary.as_deref(), Archive::Fresh)
    };
    let about = format!(
        "{}; {} sessions, medians of {}; {}",
        machine()?,
        scale.n_sessions,
        scale.n_repeats,
        match options.binary {
            Some(_) => "a program that was given".into(),
            None => format!("commit {}", commit(workspace)?),
        }
    );
    let draw = |file: &str, chart: Chart| -> anyhow::Result<()> {
        say(file);
        fs::write(folder.join(file), chart.svg(&about))?;
        Ok(())
    };
    let mut stand = build(scale.n_sessions)?;
    draw("report-time.svg", report_time(&stand)?)?;
    draw("memory.svg", memory(&mut stand)?)?;
    draw("ingest.svg", ingest(&stand)?)?;
    drop(stand);
    draw("lookup.svg", lookup(scale.n_sessions, build)?)
}

/// Selections of 1, 4, 16, … sessions and of all.
fn selections(stand: &Stand) -> Vec<String> {
    let starts = &stand.census.starts;
    let mut selections = Vec::new();
    let mut n = 1;
    while n < starts.len() {
        let (from, to) = (starts[0], starts[n]);
        selections.push(format!("start_time={from}&duration={}", (to - from).max(1)));
        n *= STEP;
    }
    selections.push(stand.range.clone());
    selections
}

fn report_time(stand: &Stand) -> anyhow::Result<Chart> {
    let (mut gzip, mut identity) = (Vec::new(), Vec::new());
    for selection in selections(stand) {
        let n_bytes = stand.ask(&selection, Coding::Identity, &mut io::sink())? as f64;
        for (coding, points) in [(Coding::Gzip, &mut gzip), (Coding::Identity, &mut identity)] {
            let mut millis = Vec::new();
            for _ in 0..stand.scale.n_repeats {
                let began = Instant::now();
                stand.ask(&selection, coding, &mut io::sink())?;
                millis.push(began.elapsed().as_secs_f64() * 1e3);
            }
            points.push((n_bytes / MEGABYTE, median(&millis)));
        }
    }
    Ok(Chart {
        title: "Time of a report over the size of its answer",
        x: "answer, as XML (MB)",
        y: "time (ms)",
        lines: vec![
            Line::new("gzip client", gzip),
            Line::new("identity client", identity),
        ],
    })
}

fn memory(stand: &mut Stand) -> anyhow::Result<Chart> {
    let (mut gzip, mut identity) = (Vec::new(), Vec::new());
    for selection in selections(stand) {
        let n_bytes = stand.ask(&selection, Coding::Identity, &mut io::sink())? as f64;
        for (coding, points) in [(Coding::Gzip, &mut gzip), (Coding::Identity, &mut identity)] {
            let mut peaks = Vec::new();
            for _ in 0..stand.scale.n_repeats {
                fresh_and_idle(stand)?;
                peaks.push(peak_during(stand, &selection, coding)?);
            }
            points.push((n_bytes / MEGABYTE, median(&peaks)));
        }
    }
    Ok(Chart {
        title: "Memory of the server over the size of an answer",
        x: "answer, as XML (MB)",
        y: "anonymous memory at most (MB)",
        lines: vec![
            Line::new("gzip client", gzip),
            Line::new("identity client", identity),
        ],
    })
}

fn peak_during(stand: &Stand, selection: &str, coding: Coding) -> anyhow::Result<f64> {
    let server = stand.server()?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| peak_megabytes(server, &is_over));
        let asked = stand.ask(selection, coding, &mut io::sink());
        is_over.store(true, Ordering::Relaxed);
        let peak = watching.join();
        asked?;
        peak.unwrap_or_else(|_| Err(anyhow::anyhow!("the watching thread panicked")))
    })
}

fn ingest(stand: &Stand) -> anyhow::Result<Chart> {
    let mut lines = Vec::new();
    for n_batch_events in BATCHES {
        let mut points = Vec::new();
        for n_connections in CONNECTIONS {
            let server = stand.fresh_server()?;
            let mut feeds = feeds(n_connections, n_batch_events, &server.token)?;
            let goes_on = |since: Duration| since < stand.scale.sample;
            let mut rates = Vec::new();
            for _ in 0..stand.scale.n_repeats {
                let open = |_| Http::open(server.address);
                let connections = (0..n_connections)
                    .map(open)
                    .collect::<anyhow::Result<_>>()?;
                rates.push(deliver(&mut feeds, connections, &goes_on)?);
            }
            server.stop()?;
            points.push((f64::from(n_connections), median(&rates)));
        }
        let name = match n_batch_events {
            1 => "1 event a request".to_owned(),
            n => format!("{n} events a request"),
        };
        lines.push(Line::new(&name, points));
    }
    Ok(Chart {
        title: "Durable ingest over connections",
        x: "connections",
        y: "events acknowledged (1/s)",
        lines,
    })
}

fn lookup(
    n_sessions_max: u32,
    build: impl Fn(u32) -> anyhow::Result<Stand>,
) -> anyhow::Result<Chart> {
    let mut points = Vec::new();
    let mut n_sessions = ARCHIVE_SESSIONS_MIN;
    loop {
        let n = n_sessions.min(n_sessions_max);
        let stand = build(n)?;
        let (requests, mean) = lookup_requests(&stand)?;
        let lookups = Lookups {
            address: stand.server()?.address,
            requests: &requests,
            lasts: stand.scale.sample,
            mean_bytes: near(mean, LOOKUP_TOLERANCE),
        };
        let mut rates = Vec::new();
        for _ in 0..stand.scale.n_repeats {
            rates.push(lookups.run()?);
        }
        points.push((f64::from(n), median(&rates)));
        if n_sessions_max <= n {
            break;
        }
        n_sessions = n_sessions.saturating_mul(STEP as u32);
    }
    let name = format!("{LOOKUP_CONNECTIONS} connections");
    Ok(Chart {
        title: "Lookups of one session over the size of the archive",
        x: "sessions in the archive",
        y: "lookups (1/s)",
        lines: vec![Line::new(&name, points)],
    })
}
