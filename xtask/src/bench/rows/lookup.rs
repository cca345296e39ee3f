//! The rows about single sessions: how many a second, against nginx with one file that is always the same, and with
//! as many files as there are sessions.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::ensure;

use super::super::census::Census;
use super::super::flood::Lookups;
use super::super::load::{self, Coding, Connection};
use super::super::peers::{NGINX_MISSING, Sending};
use super::super::results::Measured;
use super::super::stand::{Cache, REPORT_FILE, Stand, free_bytes, near, set_cache};
use super::{LOOKUP_TOLERANCE, better_of, compared, missing, rounds};

/// Requests are made before anything is measured, and held in memory: so many of them at most.
const LOOKUP_SESSIONS_MAX: usize = 500_000;
/// Sessions asked for to learn how long a lookup's answer is.
const LOOKUP_TRIALS: usize = 200;
/// The folder of files of single sessions.
const EACH: &str = "each";
/// What a file takes beside its bytes, at most.
const FILE_BYTES_MORE: u64 = 4 << 10;

/// Lookups against one file of the mean length.
pub(super) fn against_one_file(stand: &mut Stand) -> anyhow::Result<Measured> {
    let (requests, mean) = lookup_requests(stand)?;
    let mut bytes = vec![0; usize::try_from(mean)?];
    File::open(stand.files().join(format!("{REPORT_FILE}.gz")))?.read_exact(&mut bytes)?;
    // As nginx looks for it first.
    fs::write(stand.files().join("one.gz"), &bytes)?;
    against(stand, &requests, mean, &["one".to_owned()])
}

/// The same sessions as files: what nginx sends, too, is all over memory.
pub(super) fn against_files(stand: &mut Stand) -> anyhow::Result<Measured> {
    if stand.nginx.is_none() {
        return Ok(missing(NGINX_MISSING));
    }
    let (requests, mean) = lookup_requests(stand)?;
    let n_bytes = requests.len() as u64 * (mean + FILE_BYTES_MORE);
    if free_bytes(&stand.files())? < 2 * n_bytes {
        let megabytes = 2 * n_bytes / (1 << 20);
        return Ok(missing(&format!(
            "needs {megabytes} MB of free disk for {} files",
            requests.len()
        )));
    }
    let names: Vec<String> = asked_for(stand).iter().map(|lsid| file_of(lsid)).collect();
    write_each(stand, &requests, &names)?;
    let measured = against(stand, &requests, mean, &names);
    fs::remove_dir_all(stand.files().join(EACH))?;
    measured
}

fn against(
    stand: &Stand,
    requests: &[Vec<u8>],
    mean: u64,
    files: &[String],
) -> anyhow::Result<Measured> {
    let Some(nginx) = &stand.nginx else {
        return Ok(missing(NGINX_MISSING));
    };
    let server = stand.server()?;
    set_cache(&stand.archive(), Cache::Warm)?;
    let of_files = |sending: Sending| -> Vec<Vec<u8>> {
        let request = |file: &String| load::get(&sending.target(file), Coding::Gzip, &server.token);
        files.iter().map(request).collect()
    };
    let (sendfile, copied) = (of_files(Sending::Sendfile), of_files(Sending::Copied));
    let lookups = |address, requests| Lookups {
        address,
        requests,
        lasts: stand.scale.sample,
        mean_bytes: near(mean, LOOKUP_TOLERANCE),
    };
    let [debrief, sendfile, copied] = rounds(
        stand.scale.n_repeats,
        [
            &mut || lookups(server.address, requests).run(),
            &mut || lookups(nginx.address, &sendfile).run(),
            &mut || lookups(nginx.address, &copied).run(),
        ],
    )?;
    let peer = better_of(sendfile, copied);
    Ok(compared("lookups/s", debrief, peer, |ours, theirs| {
        ours / theirs
    }))
}

/// Where the file of a session is: no folder has many.
fn file_of(lsid: &str) -> String {
    let folder: String = lsid.chars().take(2).collect();
    format!("{EACH}/{folder}/{lsid}")
}

/// Saves what Debrief answers to each request.
fn write_each(stand: &Stand, requests: &[Vec<u8>], names: &[String]) -> anyhow::Result<()> {
    let mut connection = Connection::open(stand.server()?.address)?;
    let mut body = Vec::new();
    for (request, name) in requests.iter().zip(names) {
        body.clear();
        connection.send(request)?;
        connection.receive(&mut body)?;
        let path = stand.files().join(format!("{name}.gz"));
        write_in_folder(&path, &body)?;
    }
    Ok(())
}

fn write_in_folder(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::write(path, bytes) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, bytes)
        }
        written => written,
    }
}

/// How many lookups a second there are where hardly anything of the archive is in memory at first.
pub(in super::super) fn cold_lookups(stand: &mut Stand) -> anyhow::Result<f64> {
    stand.stop()?;
    set_cache(&stand.archive(), Cache::Cold)?;
    stand.restart()?;
    let (requests, mean) = lookup_requests(stand)?;
    Lookups {
        address: stand.server()?.address,
        requests: &requests,
        lasts: stand.scale.sample,
        mean_bytes: near(mean, LOOKUP_TOLERANCE),
    }
    .run()
}

/// A request for each session of the archive, in any order, and the mean length of the answers.
pub(in super::super) fn lookup_requests(stand: &Stand) -> anyhow::Result<(Vec<Vec<u8>>, u64)> {
    let server = stand.server()?;
    let lsids = asked_for(stand);
    let mut n_bytes = 0;
    let trials = &lsids[..LOOKUP_TRIALS.min(lsids.len())];
    for lsid in trials {
        n_bytes += ask_one(stand, lsid)?;
    }
    let mean = n_bytes / trials.len() as u64;
    let request = |lsid: &String| server.report(&format!("lsid={lsid}"), Coding::Gzip);
    Ok((lsids.iter().map(request).collect(), mean))
}

/// The sessions that lookups ask for, always the same ones.
fn asked_for(stand: &Stand) -> Vec<String> {
    let mut lsids = stand.lsids.clone();
    fastrand::Rng::with_seed(1).shuffle(&mut lsids);
    lsids.truncate(LOOKUP_SESSIONS_MAX);
    lsids
}

/// Asks for one session in both codings, checks that it is the one, and gives the gzip length.
pub(super) fn ask_one(stand: &Stand, lsid: &str) -> anyhow::Result<u64> {
    let selection = format!("lsid={lsid}");
    let mut body = Vec::new();
    stand.ask(&selection, Coding::Identity, &mut body)?;
    let found = Census::read(body.as_slice())?;
    ensure!(
        found.lsids == [lsid],
        "`{selection}` gave {:?}",
        found.lsids
    );
    stand.ask(&selection, Coding::Gzip, &mut io::sink())
}
