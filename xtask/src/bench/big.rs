//! What an operator of a large archive waits for: the start, `verify`, a copy, a year's report.
//! These have no peer and no goal; they are told as they are.

use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};

use super::load::Coding;
use super::rows::{self, MEGABYTE, fresh_and_idle, peak_megabytes};
use super::stand::{Stand, folder_bytes, free_bytes, say};

const YEAR_SECS: u64 = 365 * 86_400;
pub(super) const SQLITE_MISSING: &str = "sqlite3 is missing: `apt-get install sqlite3`";

/// Something measured that is compared with nothing.
pub(super) struct Extra {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    /// One value per repeat, or why there is none.
    pub(super) values: Result<Vec<f64>, String>,
}

type Measure = fn(&mut Stand) -> anyhow::Result<Extra>;

const MEASURES: [Measure; 7] = [
    cold_start,
    cold_lookups,
    |stand| {
        year(
            stand,
            "a year's report to /dev/null, gzip client",
            Coding::Gzip,
        )
    },
    |stand| {
        year(
            stand,
            "a year's report to /dev/null, identity client",
            Coding::Identity,
        )
    },
    memory_of_a_year,
    verify,
    copy,
];

/// Measures all of it. What fails is told, and the rest is measured all the same.
pub(super) fn measure(stand: &mut Stand) -> (Vec<Extra>, Vec<String>) {
    let (mut extras, mut failures) = (Vec::new(), Vec::new());
    for measure in MEASURES {
        match measure(stand) {
            Ok(extra) => {
                say(&format!("{}: {}", extra.name, extra.told()));
                extras.push(extra);
            }
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    (extras, failures)
}

/// From the command to the first session that was asked for. The kernel may have the files.
fn cold_start(stand: &mut Stand) -> anyhow::Result<Extra> {
    let lsid = stand.lsids.first().context("no session")?.clone();
    let mut values = Vec::new();
    for _ in 0..stand.scale.n_repeats {
        stand.stop()?;
        let began = Instant::now();
        stand.restart()?;
        stand.ask(&format!("lsid={lsid}"), Coding::Gzip, &mut io::sink())?;
        values.push(began.elapsed().as_secs_f64());
    }
    Ok(Extra {
        name: "from the command to the first session answered, with a token asked for",
        unit: "s",
        values: Ok(values),
    })
}

/// The row `lookup` has the archive in memory, as far as there is room.
fn cold_lookups(stand: &mut Stand) -> anyhow::Result<Extra> {
    let values: anyhow::Result<Vec<f64>> = (0..stand.scale.n_repeats)
        .map(|_| rows::cold_lookups(stand))
        .collect();
    Ok(Extra {
        name: "lookups, 16 connections, nothing of the archive in memory at first",
        unit: "lookups/s",
        values: Ok(values?),
    })
}

fn last_year() -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(format!("start_time={}&duration=0", now - YEAR_SECS))
}

/// The demo's sessions all began within a year: it is the whole archive.
fn year(stand: &mut Stand, name: &'static str, coding: Coding) -> anyhow::Result<Extra> {
    let selection = last_year()?;
    let mut values = Vec::new();
    for _ in 0..stand.scale.n_repeats {
        let began = Instant::now();
        stand.ask(&selection, coding, &mut io::sink())?;
        values.push(began.elapsed().as_secs_f64());
    }
    Ok(Extra {
        name,
        unit: "s",
        values: Ok(values),
    })
}

fn memory_of_a_year(stand: &mut Stand) -> anyhow::Result<Extra> {
    let selection = last_year()?;
    let mut values = Vec::new();
    for _ in 0..stand.scale.n_repeats {
        let idle = fresh_and_idle(stand)?;
        let server = stand.server()?;
        let is_over = AtomicBool::new(false);
        let peak = thread::scope(|scope| {
            let watching = scope.spawn(|| peak_megabytes(server, &is_over));
            let asked = stand.ask(&selection, Coding::Identity, &mut io::sink());
            is_over.store(true, Ordering::Relaxed);
            let peak = watching.join();
            asked?;
            peak.unwrap_or_else(|_| Err(anyhow::anyhow!("the watching thread panicked")))
        })?;
        values.push(peak - idle);
    }
    Ok(Extra {
        name: "anonymous memory during a year's report, identity client, more than idle",
        unit: "MB",
        values: Ok(values),
    })
}

/// It takes long and is measured once.
fn verify(stand: &mut Stand) -> anyhow::Result<Extra> {
    stand.stop()?;
    let began = Instant::now();
    stand.binary.run(&stand.archive(), &["verify"])?;
    let secs = began.elapsed().as_secs_f64();
    stand.restart()?;
    Ok(Extra {
        name: "`debrief verify`",
        unit: "s",
        values: Ok(vec![secs]),
    })
}

/// As `docs/operating.md` has it, while the server runs; measured once.
fn copy(stand: &mut Stand) -> anyhow::Result<Extra> {
    let name = "a consistent copy while the server runs (`sqlite3 … .backup`)";
    let missing = |why: &str| Extra {
        name,
        unit: "s",
        values: Err(why.into()),
    };
    let n_bytes = folder_bytes(&stand.archive())?;
    if free_bytes(stand.home())? < n_bytes + n_bytes / 10 {
        return Ok(missing("the disk has no room for a copy of the archive"));
    }
    let copied = stand.home().join("copy.sqlite");
    let path = copied.to_str().context("a path is not UTF-8")?;
    let began = Instant::now();
    let status = Command::new("sqlite3")
        .arg(stand.archive().join("archive.sqlite"))
        .arg(format!(".backup '{path}'"))
        .stdin(Stdio::null())
        .status();
    let secs = began.elapsed().as_secs_f64();
    let Ok(status) = status else {
        return Ok(missing(SQLITE_MISSING));
    };
    ensure!(status.success(), "`sqlite3` could not copy the archive");
    let share = fs::metadata(&copied)?.len() as f64 / n_bytes as f64;
    say(&format!(
        "copied {:.0} MB, {:.0} % of the archive's files",
        n_bytes as f64 / MEGABYTE,
        share * 100.0
    ));
    fs::remove_file(&copied)?;
    Ok(Extra {
        name,
        unit: "s",
        values: Ok(vec![secs]),
    })
}
