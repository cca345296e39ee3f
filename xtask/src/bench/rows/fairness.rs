//! The rows about many who ask at once: whoever reads a whole archive must not keep others from
//! small answers and from handing events over.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::super::deliver::deliver;
use super::super::events::feeds;
use super::super::flood::{Lookups, join};
use super::super::load::{Coding, Connection};
use super::super::results::Measured;
use super::super::stand::{Stand, near};
use super::ingest::connections;
use super::{LOOKUP_TOLERANCE, compared, lookup_requests, rounds};

/// Connections that hand events over, and events of one request.
const INGEST_CLIENTS: u32 = 4;
const INGEST_BATCH: usize = 100;
/// What a slow reader takes, and how often.
const SLOW_BYTES: usize = 1_000;
const SLOW_PAUSE: Duration = Duration::from_secs(1);
/// Reports run for so long before anything is measured beside them.
const BEGINNING: Duration = Duration::from_millis(50);

/// What else the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// So many clients that ask for the whole archive again and again.
    Reports(usize),
    /// One that takes a thousand bytes of it a second.
    SlowReader,
}

/// Lookups per second beside other work, against lookups alone.
pub(super) fn lookup(stand: &Stand, beside: Beside) -> anyhow::Result<Measured> {
    let server = stand.server()?;
    let (requests, mean) = lookup_requests(stand)?;
    let lookups = Lookups {
        address: server.address,
        requests: &requests,
        lasts: stand.scale.sample,
        mean_bytes: near(mean, LOOKUP_TOLERANCE),
    };
    let whole = server.report(&stand.range, Coding::Gzip);
    let [busy, alone] = rounds(
        stand.scale.n_repeats,
        [
            &mut || while_busy(beside, server.address, &whole, || lookups.run()),
            &mut || lookups.run(),
        ],
    )?;
    Ok(compared("lookups/s", busy, alone, |busy, alone| {
        busy / alone
    }))
}

/// Acknowledged events per second beside other work, against the same alone.
pub(super) fn ingest(stand: &mut Stand, beside: Beside) -> anyhow::Result<Measured> {
    let server = match stand.copied_server() {
        Ok(server) => server,
        Err(error) => return Ok(super::missing(&format!("{error:#}"))),
    };
    // The new sessions start later, so that the report stays the same.
    let whole = server.report(&stand.range_until_now()?, Coding::Gzip);
    let mut feeds = feeds(INGEST_CLIENTS, INGEST_BATCH, &server.token)?;
    let goes_on = |since: Duration| since < stand.scale.sample;
    let mut sample = || {
        let connections = connections(&server, INGEST_CLIENTS)?;
        deliver(&mut feeds, connections, &goes_on)
    };
    let (mut busy, mut alone) = (Vec::new(), Vec::new());
    for round in 0..stand.scale.n_repeats {
        // Who begins changes with the round.
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                busy.push(while_busy(beside, server.address, &whole, &mut sample)?);
            } else {
                alone.push(sample()?);
            }
        }
    }
    server.stop()?;
    Ok(compared("events/s", busy, alone, |busy, alone| {
        busy / alone
    }))
}

/// What `sample` gives while the server is busy with something else.
fn while_busy(
    beside: Beside,
    address: SocketAddr,
    whole: &[u8],
    sample: impl FnOnce() -> anyhow::Result<f64>,
) -> anyhow::Result<f64> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let n_threads = match beside {
            Beside::Reports(n_clients) => n_clients,
            Beside::SlowReader => 1,
        };
        let is_over = &is_over;
        let threads: Vec<_> = (0..n_threads)
            .map(|_| {
                scope.spawn(move || match beside {
                    Beside::Reports(_) => read_reports(address, whole, is_over),
                    Beside::SlowReader => read_slowly(address, whole, is_over),
                })
            })
            .collect();
        thread::sleep(BEGINNING);
        let rate = sample();
        is_over.store(true, Ordering::Relaxed);
        for thread in threads {
            join(thread)?;
        }
        rate
    })
}

/// Asks again and again. The last report is given up where it is: the sample is over.
fn read_reports(address: SocketAddr, whole: &[u8], is_over: &AtomicBool) -> anyhow::Result<()> {
    let mut connection = Connection::open(address)?;
    let stream = connection.stream()?;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                thread::sleep(BEGINNING);
            }
            // Fails only when the connection is gone already.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        });
        while !is_over.load(Ordering::Relaxed) {
            let answered = connection
                .send(whole)
                .and_then(|()| connection.receive(&mut io::sink()));
            if answered.is_err() && !is_over.load(Ordering::Relaxed) {
                return answered.map(drop);
            }
        }
        Ok(())
    })
}

fn read_slowly(address: SocketAddr, whole: &[u8], is_over: &AtomicBool) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(whole)?;
    let mut bytes = [0; SLOW_BYTES];
    while !is_over.load(Ordering::Relaxed) {
        stream.read_exact(&mut bytes)?;
        // Until the next bytes are due, or nobody needs them any more.
        for _ in 0..SLOW_PAUSE.as_millis() / BEGINNING.as_millis() {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            thread::sleep(BEGINNING);
        }
    }
    Ok(())
}
