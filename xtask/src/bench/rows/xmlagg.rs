//! The row about a report as people let a database make it: normalised tables, `xmlagg`.

use std::io;
use std::time::Instant;

use anyhow::Context as _;

use super::super::load::{self, Coding, Connection};
use super::super::postgresql::{POSTGRESQL_MISSING, Postgresql};
use super::super::results::Measured;
use super::super::stand::Stand;
use super::part::Part;
use super::{MEGABYTE, missing, rounds};

pub(super) fn against_postgresql(stand: &mut Stand) -> anyhow::Result<Measured> {
    let folder = stand.home().parent().context("the stand has no folder")?;
    let Some(postgresql) = Postgresql::start(folder)? else {
        return Ok(missing(POSTGRESQL_MISSING));
    };
    let part = Part::oldest(stand, &mut io::sink())?;
    let server = stand.server()?;
    let mut connection = Connection::open(server.address)?;
    let target = format!(
        "/api/reporting?generate_report=SupportSession&format=ndjson&{}",
        part.selection
    );
    connection.send(&load::get(&target, Coding::Identity, &server.token))?;
    let mut ndjson = Vec::new();
    connection.receive(&mut ndjson)?;
    let mut reporting = postgresql.normalised(&ndjson)?;
    drop(ndjson);
    part.check_facts("PostgreSQL", reporting.report()?)?;
    let [debrief, peer] = rounds(
        stand.scale.n_repeats,
        [&mut || part.sent_by_debrief(stand), &mut || {
            let began = Instant::now();
            let n_bytes = reporting.report()?;
            Ok(n_bytes as f64 / MEGABYTE / began.elapsed().as_secs_f64())
        }],
    )?;
    Ok(part.compared(debrief, peer))
}
