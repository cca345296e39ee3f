//! The rows of the bench: what is compared with what, and how each is measured.

mod basex;
mod day;
mod decoders;
mod fairness;
mod flask;
mod ingest;
mod lookup;
mod part;
mod upload;
mod xmlagg;

use std::fs;
use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::census::Census;
use super::debrief::Server;
use super::flood::{self, Stream};
use super::load::{self, Coding};
use super::peers::{NGINX_MISSING, Sending, XMLLINT_MISSING, Xmllint};
use super::results::{Measured, median};
use super::stand::{REPORT_FILE, Stand, folder_bytes, near};
use fairness::Beside;
pub(super) use lookup::{cold_lookups, lookup_requests};

/// One comparison.
#[derive(Debug)]
pub(crate) struct Row {
    /// What `--only` takes.
    pub(crate) key: &'static str,
    pub(super) name: &'static str,
    pub(super) against: &'static str,
    /// None where nobody has set any: the row only tells.
    pub(super) goals: Option<Goals>,
    pub(super) better: Better,
    pub(super) measure: fn(&mut Stand) -> anyhow::Result<Measured>,
}

/// What a ratio should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Goals {
    pub(super) goal: f64,
    pub(super) stretch: f64,
}

/// Whether a larger ratio is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
}

const fn goals(goal: f64, stretch: f64) -> Option<Goals> {
    Some(Goals { goal, stretch })
}

/// Goals come from the performance page §3. The size comes first: later rows fill the access log.
pub(super) static ROWS: &[Row] = &[
    Row {
        key: "size",
        name: "archive size",
        against: "the XML it answers with",
        goals: goals(0.27, 0.143),
        better: Better::Lower,
        measure: archive_size,
    },
    Row {
        key: "gzip-1",
        name: "whole-range report, gzip client, 1 client",
        against: "nginx gzip_static sending the same body",
        goals: goals(0.7, 1.0),
        better: Better::Higher,
        measure: |stand| whole_range(stand, Coding::Gzip, 1),
    },
    Row {
        key: "gzip-4",
        name: "whole-range report, gzip client, 4 clients",
        against: "nginx gzip_static sending the same body",
        goals: goals(0.7, 1.0),
        better: Better::Higher,
        measure: |stand| whole_range(stand, Coding::Gzip, 4),
    },
    Row {
        key: "identity-1",
        name: "whole-range report, identity client, 1 client",
        against: "nginx sendfile of the same body",
        goals: goals(0.33, 0.8),
        better: Better::Higher,
        measure: |stand| whole_range(stand, Coding::Identity, 1),
    },
    Row {
        key: "identity-4",
        name: "whole-range report, identity client, 4 clients",
        against: "nginx sendfile of the same body",
        goals: goals(0.33, 0.8),
        better: Better::Higher,
        measure: |stand| whole_range(stand, Coding::Identity, 4),
    },
    Row {
        key: "on-the-fly",
        name: "whole-range report, gzip client",
        against: "nginx compressing on the fly (gzip_comp_level 1)",
        goals: goals(35.0, 60.0),
        better: Better::Higher,
        measure: on_the_fly,
    },
    Row {
        key: "xmlagg",
        name: "whole-range report, gzip client",
        against: "PostgreSQL xmlagg over normalised tables",
        goals: goals(100.0, 300.0),
        better: Better::Higher,
        measure: xmlagg::against_postgresql,
    },
    Row {
        key: "basex",
        name: "whole-range report, gzip client",
        against: "BaseX writing it out of its XML database",
        goals: None,
        better: Better::Higher,
        measure: basex::against_basex,
    },
    Row {
        key: "flask",
        name: "whole-range report, identity client",
        against: "Flask streaming stored XML out of SQLite",
        goals: goals(1.1, 2.0),
        better: Better::Higher,
        measure: flask::against_flask,
    },
    Row {
        key: "lookup",
        name: "lookup by lsid, 16 connections, token checked",
        against: "nginx static file of that size",
        goals: goals(0.5, 0.8),
        better: Better::Higher,
        measure: lookup::against_one_file,
    },
    Row {
        key: "lookup-files",
        name: "lookup by lsid, 16 connections, token checked",
        against: "nginx with a file for each of these sessions",
        goals: None,
        better: Better::Higher,
        measure: lookup::against_files,
    },
    Row {
        key: "first-byte",
        name: "first byte of the whole-range report",
        against: "first byte of a report of 1 session",
        goals: goals(3.0, 1.5),
        better: Better::Lower,
        measure: first_byte,
    },
    Row {
        key: "filter",
        name: "1 % filter (rep), time per returned session",
        against: "time per session of the unfiltered report",
        goals: goals(3.0, 1.5),
        better: Better::Lower,
        measure: filter,
    },
    Row {
        key: "day",
        name: "one day out of the archive",
        against: "as many sessions, a day's, out of an archive of a tenth",
        goals: goals(1.3, 1.1),
        better: Better::Lower,
        measure: day::against_a_tenth,
    },
    Row {
        key: "decoders",
        name: "clients that decode the gzip body byte-identically",
        against: "those that are installed",
        goals: goals(1.0, 1.0),
        better: Better::Higher,
        measure: decoders::against_identity,
    },
    Row {
        key: "import",
        name: "import of XML",
        against: "xmllint --stream reading it",
        goals: goals(0.3, 0.8),
        better: Better::Higher,
        measure: import,
    },
    Row {
        key: "ingest-1000",
        name: "durable ingest through HTTP, 4 clients, batches of 1000",
        against: "bare append + fdatasync of the same bytes",
        goals: goals(0.1, 0.2),
        better: Better::Higher,
        measure: |stand| ingest::against_append(stand, 1_000),
    },
    Row {
        key: "ingest-100",
        name: "durable ingest through HTTP, 4 clients, batches of 100",
        against: "bare append + fdatasync of the same bytes",
        goals: goals(0.25, 0.5),
        better: Better::Higher,
        measure: |stand| ingest::against_append(stand, 100),
    },
    Row {
        key: "ingest-10",
        name: "durable ingest through HTTP, 4 clients, batches of 10",
        against: "bare append + fdatasync of the same bytes",
        goals: goals(0.3, 0.6),
        better: Better::Higher,
        measure: |stand| ingest::against_append(stand, 10),
    },
    Row {
        key: "ingest-1",
        name: "durable ingest through HTTP, 4 clients, batches of 1",
        against: "bare append + fdatasync of the same bytes",
        goals: goals(0.5, 1.0),
        better: Better::Higher,
        measure: |stand| ingest::against_append(stand, 1),
    },
    Row {
        key: "ingest-postgresql",
        name: "durable ingest through HTTP, 4 clients, batches of 50",
        against: "PostgreSQL multi-row insert",
        goals: goals(3.0, 8.0),
        better: Better::Higher,
        measure: ingest::against_postgresql,
    },
    Row {
        key: "meanwhile",
        name: "whole-range report, gzip client, while 2 clients send batches of 100 events",
        against: "the same alone",
        goals: goals(0.5, 0.8),
        better: Better::Higher,
        measure: ingest::report_meanwhile,
    },
    Row {
        key: "fair-lookup-1",
        name: "lookups, 16 connections, while a whole-range report runs",
        against: "the same alone",
        goals: goals(0.5, 0.8),
        better: Better::Higher,
        measure: |stand| fairness::lookup(stand, Beside::Reports(1)),
    },
    Row {
        key: "fair-lookup-4",
        name: "lookups, 16 connections, while four whole-range reports run",
        against: "the same alone",
        goals: goals(0.5, 0.8),
        better: Better::Higher,
        measure: |stand| fairness::lookup(stand, Beside::Reports(4)),
    },
    Row {
        key: "fair-lookup-slow",
        name: "lookups, 16 connections, while a client reads a whole-range report at 1 KB/s",
        against: "the same alone",
        goals: goals(0.5, 0.8),
        better: Better::Higher,
        measure: |stand| fairness::lookup(stand, Beside::SlowReader),
    },
    Row {
        key: "fair-ingest-1",
        name: "durable ingest, 4 clients, batches of 100, while a whole-range report runs",
        against: "the same alone",
        goals: goals(0.5, 0.8),
        better: Better::Higher,
        measure: |stand| fairness::ingest(stand, Beside::Reports(1)),
    },
    Row {
        key: "fair-ingest-4",
        name: "durable ingest, 4 clients, batches of 100, while four whole-range reports run",
        against: "the same alone",
        goals: goals(0.5, 0.8),
        better: Better::Higher,
        measure: |stand| fairness::ingest(stand, Beside::Reports(4)),
    },
    Row {
        key: "fair-ingest-slow",
        name: "durable ingest, 4 clients, batches of 100, while a client reads a whole-range report at 1 KB/s",
        against: "the same alone",
        goals: goals(0.5, 0.8),
        better: Better::Higher,
        measure: |stand| fairness::ingest(stand, Beside::SlowReader),
    },
    Row {
        key: "memory",
        name: "anonymous memory during a report of 1 GB, MB more",
        against: "idle",
        goals: goals(32.0, 16.0),
        better: Better::Lower,
        measure: memory_of_a_report,
    },
    Row {
        key: "memory-upload",
        name: "anonymous memory during the upload of a recording of 10 GB, MB more",
        against: "idle",
        goals: goals(32.0, 16.0),
        better: Better::Lower,
        measure: upload::memory_of_an_upload,
    },
    Row {
        key: "stalled",
        name: "memory per stalled client, MB",
        against: "idle",
        goals: goals(6.0, 2.0),
        better: Better::Lower,
        measure: memory_of_stalled_clients,
    },
];

/// The row that `--only` names.
pub(crate) fn parse_key(key: &str) -> Result<&'static Row, String> {
    let row = ROWS.iter().find(|row| row.key == key);
    row.ok_or_else(|| {
        let keys: Vec<&str> = ROWS.iter().map(|row| row.key).collect();
        format!("expected one of `{}`", keys.join("`, `"))
    })
}

pub(super) const MEGABYTE: f64 = 1e6;
const LOOKUP_TOLERANCE: f64 = 0.2;
/// After a report was cut at its first byte, the server gets so long to notice.
const CUT_PAUSE: Duration = Duration::from_millis(5);
const FILTER_SHARE: f64 = 0.01;
/// An archive of less than this share of the document did not take it in.
const IMPORTED_SHARE_MIN: f64 = 0.02;
const MEMORY_POLL: Duration = Duration::from_millis(2);
const STALLED_CLIENTS: usize = 20;
/// Stalled clients are watched until memory has not grown for so long.
const STALLED_CALM: Duration = Duration::from_millis(500);
const STALLED_WAIT_MAX: Duration = Duration::from_secs(5);
const STALLED_POLL: Duration = Duration::from_millis(20);

/// Measures each contestant once per round; who begins changes with the round.
fn rounds<const N: usize>(
    n_repeats: u32,
    contestants: [&mut dyn FnMut() -> anyhow::Result<f64>; N],
) -> anyhow::Result<[Vec<f64>; N]> {
    let mut values: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for round in 0..n_repeats as usize {
        for turn in 0..N {
            let contestant = (round + turn) % N;
            values[contestant].push(contestants[contestant]()?);
        }
    }
    Ok(values)
}

/// Values of both sides, compared round by round, so that a noisy moment hits both.
fn compared(
    unit: &'static str,
    debrief: Vec<f64>,
    peer: Vec<f64>,
    ratio: fn(f64, f64) -> f64,
) -> Measured {
    assert_eq!(debrief.len(), peer.len());
    let pairs = debrief.iter().zip(&peer);
    let ratios = pairs.map(|(&ours, &theirs)| ratio(ours, theirs)).collect();
    Measured::Done {
        unit,
        debrief,
        peer,
        ratios,
        note: None,
    }
}

/// The peer is as good as the better of its two ways.
fn better_of(a: Vec<f64>, b: Vec<f64>) -> Vec<f64> {
    if median(&a) < median(&b) { b } else { a }
}

fn missing(why: &str) -> Measured {
    Measured::Missing { why: why.into() }
}

fn scaled(rates: Vec<f64>, factor: f64) -> Vec<f64> {
    rates.into_iter().map(|rate| rate * factor).collect()
}

fn whole_range(stand: &Stand, coding: Coding, n_clients: usize) -> anyhow::Result<Measured> {
    let Some(nginx) = &stand.nginx else {
        return Ok(missing(NGINX_MISSING));
    };
    let server = stand.server()?;
    let request = server.report(&stand.range, coding);
    let stream = |address, request| Stream {
        address,
        request,
        n_clients,
        lasts: stand.scale.sample,
        body_bytes: stand.body_bytes(coding),
    };
    let file = |sending: Sending| load::get(&sending.target(REPORT_FILE), coding, &server.token);
    let (sendfile, copied) = (file(Sending::Sendfile), file(Sending::Copied));
    let [debrief, sendfile, copied] = rounds(
        stand.scale.n_repeats,
        [
            &mut || stream(server.address, &request).run(),
            &mut || stream(nginx.address, &sendfile).run(),
            &mut || stream(nginx.address, &copied).run(),
        ],
    )?;
    let megabytes = stand.xml_bytes as f64 / MEGABYTE;
    let peer = scaled(better_of(sendfile, copied), megabytes);
    let debrief = scaled(debrief, megabytes);
    Ok(compared("MB of XML/s", debrief, peer, |ours, theirs| {
        ours / theirs
    }))
}

fn on_the_fly(stand: &mut Stand) -> anyhow::Result<Measured> {
    let Some(nginx) = &stand.nginx else {
        return Ok(missing(NGINX_MISSING));
    };
    let server = stand.server()?;
    let stream = |address, request, body_bytes| Stream {
        address,
        request,
        n_clients: 1,
        lasts: stand.scale.sample,
        body_bytes,
    };
    let request = server.report(&stand.range, Coding::Gzip);
    let target = Sending::OnTheFly.target(REPORT_FILE);
    let compressing = load::get(&target, Coding::Gzip, &server.token);
    // How well level 1 does is not ours to say, but it must not have been sent as it is.
    let compressed = 1..=stand.xml_bytes / 2;
    let [debrief, peer] = rounds(
        stand.scale.n_repeats,
        [
            &mut || stream(server.address, &request, stand.body_bytes(Coding::Gzip)).run(),
            &mut || stream(nginx.address, &compressing, compressed.clone()).run(),
        ],
    )?;
    let megabytes = stand.xml_bytes as f64 / MEGABYTE;
    let (debrief, peer) = (scaled(debrief, megabytes), scaled(peer, megabytes));
    Ok(compared("MB of XML/s", debrief, peer, |ours, theirs| {
        ours / theirs
    }))
}

fn first_byte(stand: &mut Stand) -> anyhow::Result<Measured> {
    let server = stand.server()?;
    let lsid = stand.census.lsids.first().context("no session")?;
    let one = server.report(&format!("lsid={lsid}"), Coding::Gzip);
    let whole = server.report(&stand.range, Coding::Gzip);
    let sample = |request: &[u8]| {
        let mut waits = Vec::new();
        for _ in 0..stand.scale.n_first_bytes {
            waits.push(flood::first_byte(server.address, request)?.as_secs_f64() * 1e3);
            thread::sleep(CUT_PAUSE);
        }
        Ok(median(&waits))
    };
    let [whole, one] = rounds(
        stand.scale.n_repeats,
        [&mut || sample(&whole), &mut || sample(&one)],
    )?;
    Ok(compared("ms", whole, one, |whole, one| whole / one))
}

fn filter(stand: &mut Stand) -> anyhow::Result<Measured> {
    let server = stand.server()?;
    let rep = stand.census.rep_with_share(FILTER_SHARE);
    let rep = rep.context("no representative owned a session")?;
    let filtered = format!("{}&limit=rep:{rep}", stand.range);
    let mut body = Vec::new();
    stand.ask(&filtered, Coding::Identity, &mut body)?;
    let n_found = Census::read(body.as_slice())?.lsids.len();
    let n_owned = stand.census.n_owned.get(rep).copied().unwrap_or(0);
    ensure!(
        n_found == n_owned,
        "`limit=rep:{rep}` gave {n_found} sessions of {n_owned}"
    );
    let n_bytes = stand.ask(&filtered, Coding::Gzip, &mut io::sink())?;
    let micros_per_session = |selection: &str, n_sessions: usize, n_bytes: u64| {
        let stream = Stream {
            address: server.address,
            request: &server.report(selection, Coding::Gzip),
            n_clients: 1,
            lasts: stand.scale.sample,
            body_bytes: near(n_bytes, LOOKUP_TOLERANCE),
        };
        Ok(1e6 / (stream.run()? * n_sessions as f64))
    };
    let n_all = stand.census.lsids.len();
    let [filtered, all] = rounds(
        stand.scale.n_repeats,
        [
            &mut || micros_per_session(&filtered, n_found, n_bytes),
            &mut || micros_per_session(&stand.range, n_all, stand.gzip_bytes),
        ],
    )?;
    Ok(compared("µs/session", filtered, all, |filtered, all| {
        filtered / all
    }))
}

fn import(stand: &mut Stand) -> anyhow::Result<Measured> {
    let Some(xmllint) = Xmllint::find() else {
        return Ok(missing(XMLLINT_MISSING));
    };
    let document = stand.files().join(REPORT_FILE);
    let [debrief, peer] = rounds(
        stand.scale.n_repeats,
        [
            &mut || {
                let archive = stand.fresh_archive()?;
                let began = Instant::now();
                let arguments = ["import".as_ref(), document.as_os_str()];
                stand.binary.run(&archive, &arguments)?;
                let seconds = began.elapsed().as_secs_f64();
                let share = folder_bytes(&archive)? as f64 / stand.xml_bytes as f64;
                ensure!(IMPORTED_SHARE_MIN <= share, "the import took nothing in");
                Ok(seconds)
            },
            &mut || xmllint.read(&document),
        ],
    )?;
    fs::remove_dir_all(stand.fresh_archive()?).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    Ok(compared("s", debrief, peer, |ours, theirs| theirs / ours))
}

fn memory_of_a_report(stand: &mut Stand) -> anyhow::Result<Measured> {
    let n_reports = stand.scale.memory_report_bytes.div_ceil(stand.xml_bytes);
    let (mut peaks, mut idles) = (Vec::new(), Vec::new());
    for _ in 0..stand.scale.n_repeats {
        idles.push(fresh_and_idle(stand)?);
        let server = stand.server()?;
        let is_over = AtomicBool::new(false);
        let peak = thread::scope(|scope| {
            let watching = scope.spawn(|| peak_megabytes(server, &is_over));
            let mut asking = Ok(0);
            for _ in 0..n_reports.max(1) {
                asking = stand.ask(&stand.range, Coding::Identity, &mut io::sink());
                if asking.is_err() {
                    break;
                }
            }
            is_over.store(true, Ordering::Relaxed);
            let peak = watching.join();
            asking?;
            peak.unwrap_or_else(|_| Err(anyhow::anyhow!("the watching thread panicked")))
        })?;
        peaks.push(peak);
    }
    Ok(compared("MB", peaks, idles, |peak, idle| peak - idle))
}

fn memory_of_stalled_clients(stand: &mut Stand) -> anyhow::Result<Measured> {
    let mut by_coding = Vec::new();
    for coding in [Coding::Identity, Coding::Gzip] {
        let (mut peaks, mut idles) = (Vec::new(), Vec::new());
        for _ in 0..stand.scale.n_repeats {
            idles.push(fresh_and_idle(stand)?);
            let server = stand.server()?;
            let request = server.report(&stand.range, coding);
            let mut clients = Vec::new();
            for _ in 0..STALLED_CLIENTS {
                let mut client = TcpStream::connect(server.address)?;
                io::Write::write_all(&mut client, &request)?;
                clients.push(client);
            }
            peaks.push(calm_megabytes(server)?);
        }
        by_coding.push((peaks, idles));
    }
    // The coding that costs more is the one that counts.
    let growth = |(peaks, idles): &(Vec<f64>, Vec<f64>)| median(peaks) - median(idles);
    let worst = by_coding
        .into_iter()
        .max_by(|a, b| growth(a).total_cmp(&growth(b)));
    let (peaks, idles) = worst.context("no coding was measured")?;
    Ok(compared("MB", peaks, idles, |peak, idle| {
        (peak - idle) / STALLED_CLIENTS as f64
    }))
}

fn archive_size(stand: &mut Stand) -> anyhow::Result<Measured> {
    let archive = stand.archive_bytes()? as f64 / MEGABYTE;
    let xml = stand.whole_xml_bytes as f64 / MEGABYTE;
    Ok(compared("MB", vec![archive], vec![xml], |archive, xml| {
        archive / xml
    }))
}

/// Starts Debrief anew, lets it answer once, and gives the megabytes it then holds.
pub(super) fn fresh_and_idle(stand: &mut Stand) -> anyhow::Result<f64> {
    stand.restart()?;
    let lsid = stand.census.lsids.first().context("no session")?.clone();
    lookup::ask_one(stand, &lsid)?;
    megabytes(stand.server()?)
}

fn megabytes(server: &Server) -> anyhow::Result<f64> {
    Ok(server.anonymous_bytes()? as f64 / MEGABYTE)
}

pub(super) fn peak_megabytes(server: &Server, is_over: &AtomicBool) -> anyhow::Result<f64> {
    let mut peak = megabytes(server)?;
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(MEMORY_POLL);
        peak = peak.max(megabytes(server)?);
    }
    Ok(peak)
}

/// The most that the server holds until it grows no more.
fn calm_megabytes(server: &Server) -> anyhow::Result<f64> {
    let began = Instant::now();
    let (mut peak, mut grew_at) = (megabytes(server)?, began);
    while grew_at.elapsed() < STALLED_CALM && began.elapsed() < STALLED_WAIT_MAX {
        thread::sleep(STALLED_POLL);
        let now = megabytes(server)?;
        if peak < now {
            (peak, grew_at) = (now, Instant::now());
        }
    }
    Ok(peak)
}
