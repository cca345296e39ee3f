//! The rows about events that come in, each with an archive of its own: they would change what the
//! other rows ask for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::super::debrief::Server;
use super::super::deliver::{Appended, Http, deliver};
use super::super::events::{Feed, feeds, mean_bytes};
use super::super::flood::{Stream, join};
use super::super::load::{Coding, Connection};
use super::super::postgresql::{POSTGRESQL_MISSING, Postgresql};
use super::super::results::{Measured, median};
use super::super::stand::{BODY_TOLERANCE, Stand, near, say};
use super::{MEGABYTE, compared, missing, rounds, scaled};

/// Connections that send events at once, and threads that append.
const CLIENTS: u32 = 4;
/// Events of one request where PostgreSQL is the peer.
const POSTGRESQL_BATCH: usize = 50;
/// Connections that send events while reports are asked for, and events of one of their requests.
const DISTURBING_CLIENTS: u32 = 2;
const DISTURBING_BATCH: usize = 100;

/// Acknowledged events per second, against appending the same bytes in the same batches.
pub(super) fn against_append(stand: &Stand, n_batch_events: usize) -> anyhow::Result<Measured> {
    let server = stand.fresh_server()?;
    let mut ours = feeds(CLIENTS, n_batch_events, &server.token)?;
    let mut theirs = ours.clone();
    say(&format!("{:.0} bytes an event", mean_bytes(&ours)));
    let goes_on = |since: Duration| since < stand.scale.sample;
    let [debrief, peer] = rounds(
        stand.scale.n_repeats,
        [
            &mut || deliver(&mut ours, connections(&server, CLIENTS)?, &goes_on),
            &mut || {
                let files = (0..CLIENTS)
                    .map(|client| {
                        Appended::create(&stand.home().join(format!("appended-{client}")))
                    })
                    .collect::<anyhow::Result<_>>()?;
                deliver(&mut theirs, files, &goes_on)
            },
        ],
    )?;
    server.stop()?;
    Ok(compared("events/s", debrief, peer, |ours, theirs| {
        ours / theirs
    }))
}

/// Acknowledged events per second, against rows inserted into PostgreSQL.
pub(super) fn against_postgresql(stand: &mut Stand) -> anyhow::Result<Measured> {
    let folder = stand.home().parent().context("the stand has no folder")?;
    let Some(postgresql) = Postgresql::start(folder)? else {
        return Ok(missing(POSTGRESQL_MISSING));
    };
    let server = stand.fresh_server()?;
    let mut ours = feeds(CLIENTS, POSTGRESQL_BATCH, &server.token)?;
    let mut theirs = ours.clone();
    let goes_on = |since: Duration| since < stand.scale.sample;
    let [debrief, peer] = rounds(
        stand.scale.n_repeats,
        [
            &mut || deliver(&mut ours, connections(&server, CLIENTS)?, &goes_on),
            &mut || {
                let inserting = (0..CLIENTS)
                    .map(|_| postgresql.inserting(POSTGRESQL_BATCH))
                    .collect::<anyhow::Result<_>>()?;
                deliver(&mut theirs, inserting, &goes_on)
            },
        ],
    )?;
    server.stop()?;
    Ok(compared("events/s", debrief, peer, |ours, theirs| {
        ours / theirs
    }))
}

/// The speed of a report while events come in, against its speed alone.
pub(super) fn report_meanwhile(stand: &mut Stand) -> anyhow::Result<Measured> {
    let server = match stand.copied_server() {
        Ok(server) => server,
        Err(error) => return Ok(missing(&format!("{error:#}"))),
    };
    // The new sessions start later, so that the report stays the same.
    let request = server.report(&stand.range_until_now()?, Coding::Gzip);
    let mut feeds = feeds(DISTURBING_CLIENTS, DISTURBING_BATCH, &server.token)?;
    let mut connection = Connection::open(server.address)?;
    connection.send(&request)?;
    let n_bytes = connection.receive(&mut std::io::sink())?;
    let stream = Stream {
        address: server.address,
        request: &request,
        n_clients: 1,
        lasts: stand.scale.sample,
        body_bytes: near(n_bytes, BODY_TOLERANCE),
    };
    let mut ingested = Vec::new();
    let [meanwhile, alone] = rounds(
        stand.scale.n_repeats,
        [
            &mut || {
                let (n_reports, n_events) = both(&stream, &mut feeds, &server)?;
                ingested.push(n_events);
                Ok(n_reports)
            },
            &mut || stream.run(),
        ],
    )?;
    say(&format!("meanwhile {:.0} events/s", median(&ingested)));
    server.stop()?;
    let megabytes = stand.xml_bytes as f64 / MEGABYTE;
    let (meanwhile, alone) = (scaled(meanwhile, megabytes), scaled(alone, megabytes));
    Ok(compared("MB of XML/s", meanwhile, alone, |busy, alone| {
        busy / alone
    }))
}

/// Reports per second, and the events per second that came in until the last of them was there.
fn both(stream: &Stream<'_>, feeds: &mut [Feed], server: &Server) -> anyhow::Result<(f64, f64)> {
    let connections = connections(server, DISTURBING_CLIENTS)?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let goes_on = |_| !is_over.load(Ordering::Relaxed);
        let ingesting = scope.spawn(move || deliver(feeds, connections, &goes_on));
        let n_reports = stream.run();
        is_over.store(true, Ordering::Relaxed);
        let n_events = join(ingesting)?;
        Ok((n_reports?, n_events))
    })
}

pub(super) fn connections(server: &Server, n_clients: u32) -> anyhow::Result<Vec<Http>> {
    (0..n_clients).map(|_| Http::open(server.address)).collect()
}
