//! The row about a report as people let a database make it: normalised tables, `xmlagg`.

use anyhow::{Context as _, ensure};

use super::super::flood::Stream;
use super::super::load::{self, Coding, Connection};
use super::super::postgresql::{POSTGRESQL_MISSING, Postgresql};
use super::super::results::Measured;
use super::super::stand::{Stand, near, say};
use super::{LOOKUP_TOLERANCE, MEGABYTE, compared, missing, rounds};

/// PostgreSQL's document must be at least this share as long as ours: the same facts.
const SAME_FACTS_MIN: f64 = 0.9;

pub(super) fn against_postgresql(stand: &mut Stand) -> anyhow::Result<Measured> {
    let folder = stand.home().parent().context("the stand has no folder")?;
    let Some(postgresql) = Postgresql::start(folder)? else {
        return Ok(missing(POSTGRESQL_MISSING));
    };
    let starts = &stand.census.starts;
    let n_all = starts.len();
    let n_taken = n_all.min(stand.scale.n_normalised as usize);
    let (first, last) = (starts[0], starts[n_taken - 1]);
    let selection = format!("start_time={first}&duration={}", last - first + 1);
    let server = stand.server()?;
    let mut connection = Connection::open(server.address)?;
    let target = format!("/api/reporting?generate_report=SupportSession&format=ndjson&{selection}");
    connection.send(&load::get(&target, Coding::Identity, &server.token))?;
    let mut ndjson = Vec::new();
    connection.receive(&mut ndjson)?;
    let xml_bytes = stand.ask(&selection, Coding::Identity, &mut std::io::sink())?;
    let gzip_bytes = stand.ask(&selection, Coding::Gzip, &mut std::io::sink())?;
    let mut reporting = postgresql.normalised(&ndjson)?;
    drop(ndjson);
    let their_bytes = reporting.report()? as f64;
    let share = their_bytes / xml_bytes as f64;
    say(&format!(
        "PostgreSQL's document has {:.0} % of our bytes",
        share * 100.0
    ));
    ensure!(SAME_FACTS_MIN <= share, "PostgreSQL's document lacks facts");
    let stream = Stream {
        address: server.address,
        request: &server.report(&selection, Coding::Gzip),
        n_clients: 1,
        lasts: stand.scale.sample,
        body_bytes: near(gzip_bytes, LOOKUP_TOLERANCE),
    };
    let [debrief, peer] = rounds(
        stand.scale.n_repeats,
        [
            &mut || Ok(stream.run()? * xml_bytes as f64 / MEGABYTE),
            &mut || {
                let began = std::time::Instant::now();
                let n_bytes = reporting.report()?;
                Ok(n_bytes as f64 / MEGABYTE / began.elapsed().as_secs_f64())
            },
        ],
    )?;
    let measured = compared("MB of XML/s", debrief, peer, |ours, theirs| ours / theirs);
    Ok(match n_taken < n_all {
        true => measured.noted(format!("{n_taken} of {n_all} sessions, both sides")),
        false => measured,
    })
}
