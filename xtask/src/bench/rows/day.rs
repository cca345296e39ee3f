//! The row about a day out of a large archive: it must not cost more than out of a small one.
//!
//! The demo fills the same 90 days whatever it has to fill them with, so that a day of a large
//! archive has more sessions. What is asked of both is the same number of sessions in a row.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::super::census::Census;
use super::super::debrief::Server;
use super::super::flood::Stream;
use super::super::load::{Coding, Connection};
use super::super::results::Measured;
use super::super::stand::{Stand, WHOLE_RANGE, near};
use super::{LOOKUP_TOLERANCE, compared, rounds};

const DAY_SECS: i64 = 86_400;
/// The small archive has this share of the sessions.
const SHARE: u32 = 10;

pub(super) fn against_a_tenth(stand: &mut Stand) -> anyhow::Result<Measured> {
    let n_sessions = (stand.scale.n_sessions / SHARE).max(1);
    let archive = stand.fresh_archive()?;
    let small = stand.demo_server(&archive, n_sessions)?;
    let report = stand.home().join("tenth.xml");
    let mut connection = Connection::open(small.address)?;
    connection.send(&small.report(WHOLE_RANGE, Coding::Identity))?;
    connection.receive(&mut fs::File::create(&report)?)?;
    let tenth = Census::of(&report)?.starts;
    fs::remove_file(&report)?;
    // The middle of what is known of the large archive, whose newest part that may be.
    let large = &stand.census.starts;
    let middle = large.get(large.len() / 2).context("no session")?;
    let day = day_from(&tenth, *middle).context("no day")?;
    let n_day = count(&tenth, day);
    let first = large.partition_point(|start| start < middle);
    let last = (first + n_day).min(large.len() - 1);
    let window = (large[first], large[last]);
    let n_window = count(large, window);
    ensure!(0 < n_window, "the archive has no such day");
    let of_large = Sample::new(stand.server()?, window, n_window)?;
    let of_small = Sample::new(&small, day, n_day)?;
    let [ours, theirs] = rounds(
        stand.scale.n_repeats,
        [
            &mut || of_large.micros_per_session(stand.scale.sample),
            &mut || of_small.micros_per_session(stand.scale.sample),
        ],
    )?;
    small.stop()?;
    fs::remove_dir_all(&archive)?;
    let n_large = stand.scale.n_sessions;
    let note = format!("{n_window} of {n_large} sessions and {n_day} of {n_sessions}");
    Ok(compared("µs/session", ours, theirs, |ours, theirs| ours / theirs).noted(note))
}

/// The day that begins with the session that is first from `moment` on, or last before it.
fn day_from(starts: &[i64], moment: i64) -> Option<(i64, i64)> {
    let idx = starts.partition_point(|start| *start < moment);
    let start = starts.get(idx).or(starts.last())?;
    Some((*start, start + DAY_SECS))
}

fn count(starts: &[i64], (from, to): (i64, i64)) -> usize {
    starts
        .iter()
        .filter(|start| (from..to).contains(start))
        .count()
}

struct Sample<'a> {
    server: &'a Server,
    request: Vec<u8>,
    n_sessions: usize,
    n_bytes: u64,
}

impl Sample<'_> {
    fn new(server: &Server, (from, to): (i64, i64), n: usize) -> anyhow::Result<Sample<'_>> {
        let selection = format!("start_time={from}&duration={}", to - from);
        let mut connection = Connection::open(server.address)?;
        let mut body = Vec::new();
        connection.send(&server.report(&selection, Coding::Identity))?;
        connection.receive(&mut body)?;
        let n_found = Census::read(body.as_slice())?.lsids.len();
        ensure!(n_found == n, "`{selection}` gave {n_found} sessions of {n}");
        let request = server.report(&selection, Coding::Gzip);
        connection.send(&request)?;
        let n_bytes = connection.receive(&mut std::io::sink())?;
        Ok(Sample {
            server,
            request,
            n_sessions: n,
            n_bytes,
        })
    }

    fn micros_per_session(&self, lasts: Duration) -> anyhow::Result<f64> {
        let stream = Stream {
            address: self.server.address,
            request: &self.request,
            n_clients: 1,
            lasts,
            body_bytes: near(self.n_bytes, LOOKUP_TOLERANCE),
        };
        Ok(1e6 / (stream.run()? * self.n_sessions as f64))
    }
}
