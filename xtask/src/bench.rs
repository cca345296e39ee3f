//! `cargo xtask bench`: Debrief beside programs that set the limit, as ratios in one run.
//!
//! It judges speed, memory and size; whether answers are right is for the tests. It checks only
//! that what it measures is what it asked for.

mod basex;
mod big;
mod census;
mod debrief;
mod deliver;
mod events;
mod flood;
mod load;
mod peers;
pub(crate) mod plot;
mod postgresql;
mod results;
mod rows;
mod stand;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use results::Results;
use rows::{ROWS, Row};
use stand::{Archive, Scale, Stand, say};

const SESSIONS: u32 = 60_000;
const SESSIONS_QUICK: u32 = 4_000;
const SESSIONS_BIG: u32 = 2_000_000;
const REPEATS: u32 = 5;
/// Results are kept only of runs that were repeated so often.
const REPEATS_KEPT_MIN: u32 = 5;
const _: () = assert!(REPEATS_KEPT_MIN <= REPEATS);
const MEMORY_REPORT_BYTES: u64 = 1_000_000_000;
/// Each upload writes as much as ten whole reports.
const UPLOADS_MAX: u32 = 3;
const UPLOAD_BYTES: u64 = 10_000_000_000;
const UPLOAD_BYTES_QUICK: u64 = 1_000_000_000;
/// Databases take their time to make a report, and to be filled before.
const SESSIONS_NORMALISED: u32 = 10_000;
const SESSIONS_NORMALISED_QUICK: u32 = 300;

/// What to measure, and how thoroughly.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Two minutes beside the build, on a quiet machine: a small archive and short samples.
    #[arg(long)]
    quick: bool,
    /// A large archive, kept in `target/bench-archive` for the next run, and what only that shows:
    /// start, `verify`, copy, a year's report.
    #[arg(long)]
    big: bool,
    /// How many sessions the archive gets [default: 60000, with --quick 4000, with --big 2000000].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    sessions: Option<u32>,
    /// How often each side of a row is measured.
    #[arg(long, value_name = "N", default_value_t = REPEATS, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// Measures this program instead of building it, and keeps no results.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Measures one row only, and keeps no results.
    #[arg(long, value_name = "ROW", value_parser = rows::parse_key)]
    only: Option<&'static Row>,
}

/// Builds, measures, prints the table and keeps the results.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let workspace = workspace.context("the workspace has no folder")?;
    let scale = scale(options);
    let began = Instant::now();
    let archive = match options.big {
        true => Archive::Kept,
        false => Archive::Fresh,
    };
    // Whoever works on while this runs changes it. Only who keeps the results needs it.
    let commit = results::commit(workspace);
    let mut stand = Stand::build(workspace, scale, options.binary.as_deref(), archive)?;
    let chosen: Vec<&'static Row> = match options.only {
        Some(row) => vec![row],
        None => ROWS.iter().collect(),
    };
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for row in chosen {
        say(row.key);
        let row_began = Instant::now();
        match (row.measure)(&mut stand) {
            Ok(measured) => {
                let secs = row_began.elapsed().as_secs_f64();
                say(&format!("{} ({secs:.1} s)", results::line(row, &measured)));
                rows.push((row, measured));
            }
            Err(error) => failures.push(format!("row `{}`: {error:#}", row.key)),
        }
    }
    let mut extras = Vec::new();
    if options.big && options.only.is_none() {
        let (measured, failed) = big::measure(&mut stand);
        extras = measured;
        failures.extend(failed);
    }
    let range = stand.range_note();
    drop(stand);
    let results = Results {
        n_sessions: scale.n_sessions,
        n_repeats: scale.n_repeats,
        range,
        rows,
        extras,
    };
    print!("{}{}", results.table(), results.extras_table());
    say(&format!("{:.0} s in all", began.elapsed().as_secs_f64()));
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    let is_partial = options.only.is_some() || options.binary.is_some();
    if is_partial || scale.n_repeats < REPEATS_KEPT_MIN {
        say("a partial run: the results in `bench` stay as they were");
        return Ok(());
    }
    let place = match options.big {
        true => results::BIG,
        false => results::USUAL,
    };
    results.write(workspace, place, commit?)
}

fn scale(options: &Options) -> Scale {
    let n_repeats = options.repeat;
    let n_usual = match (options.big, options.quick) {
        (true, _) => SESSIONS_BIG,
        (false, true) => SESSIONS_QUICK,
        (false, false) => SESSIONS,
    };
    let n_sessions = options.sessions.unwrap_or(n_usual);
    if options.quick {
        return Scale {
            n_sessions,
            n_repeats,
            sample: Duration::from_millis(200),
            n_first_bytes: 20,
            memory_report_bytes: 0,
            upload_bytes: UPLOAD_BYTES_QUICK,
            n_uploads: n_repeats.min(1),
            n_normalised: SESSIONS_NORMALISED_QUICK,
        };
    }
    Scale {
        n_sessions,
        n_repeats,
        sample: Duration::from_secs(2),
        n_first_bytes: 50,
        memory_report_bytes: MEMORY_REPORT_BYTES,
        upload_bytes: UPLOAD_BYTES,
        n_uploads: n_repeats.min(UPLOADS_MAX),
        n_normalised: SESSIONS_NORMALISED,
    }
}
