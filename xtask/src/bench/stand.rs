//! The test stand: an archive filled by the demo, Debrief and nginx serving the same bytes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use super::big::SQLITE_MISSING;
use super::census::Census;
use super::debrief::{Account, Binary, Server};
use super::load::{self, Coding, Connection};
use super::peers::Nginx;

/// Every session there is: the range that the rows ask for.
pub(super) const WHOLE_RANGE: &str = "start_time=0&duration=0";
/// The saved report; nginx finds its compressed form beside it.
pub(super) const REPORT_FILE: &str = "report.xml";
const REPORT_FILE_GZIP: &str = "report.xml.gz";
const DEMO_SEED: &str = "1";
/// Where an archive is kept for later runs, below `target`.
const KEPT_FOLDER: &str = "bench-archive";
/// A report of more sessions is not saved.
const SAVED_SESSIONS_MAX: usize = 250_000;
/// Running sessions grow and links expire at another second: lengths of two reports differ a bit.
pub(super) const BODY_TOLERANCE: f64 = 0.01;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) n_sessions: u32,
    pub(super) n_repeats: u32,
    /// How long one sample of a rate lasts at least.
    pub(super) sample: Duration,
    /// Requests in one sample of the first byte.
    pub(super) n_first_bytes: u32,
    /// Bytes that the memory row has sent, in whole reports.
    pub(super) memory_report_bytes: u64,
    /// Bytes of the recording that the upload row hands in.
    pub(super) upload_bytes: u64,
    /// How often that is done.
    pub(super) n_uploads: u32,
    /// Sessions at most that a database is given to make a report of.
    pub(super) n_normalised: u32,
}

/// Everything a row needs.
pub(super) struct Stand {
    pub(super) scale: Scale,
    pub(super) binary: Binary,
    account: Account,
    server: Option<Server>,
    pub(super) nginx: Option<Nginx>,
    pub(super) workspace: PathBuf,
    /// What the rows about whole reports ask for: everything, unless that is too much to be saved.
    pub(super) range: String,
    range_from: u64,
    /// What is in `range`.
    pub(super) census: Census,
    /// Every session of the archive.
    pub(super) lsids: Vec<String>,
    /// Length of the report of `range`.
    pub(super) xml_bytes: u64,
    /// Length of the report of everything.
    pub(super) whole_xml_bytes: u64,
    pub(super) gzip_bytes: u64,
    is_kept: bool,
    archive: PathBuf,
    /// The last field: removed when the servers have ended.
    home: TempDir,
}

/// Where the archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Archive {
    /// Made for this run.
    Fresh,
    /// Made once, and found again by the next run that asks for as many sessions.
    Kept,
}

impl Stand {
    pub(super) fn build(
        workspace: &Path,
        scale: Scale,
        binary: Option<&Path>,
        archive: Archive,
    ) -> anyhow::Result<Stand> {
        let began = Instant::now();
        let binary = match binary {
            Some(binary) => Binary::at(binary),
            None => Binary::build(workspace)?,
        };
        say(&format!("built in {}", secs(began)));
        // Not in the folder for temporary files, which may live in memory: commits must reach a disk.
        let shed = workspace.join("target");
        let home = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&shed)?;
        let path = match archive {
            Archive::Fresh => home.path().join("archive"),
            Archive::Kept => shed.join(KEPT_FOLDER).join("archive"),
        };
        let n_sessions = scale.n_sessions;
        match archive {
            Archive::Fresh => fill(&binary, &path, n_sessions)?,
            Archive::Kept => fill_once(&binary, &shed.join(KEPT_FOLDER), &path, n_sessions)?,
        }
        let account = Account::create(&binary, &path)?;
        fs::create_dir(home.path().join("files"))?;
        let mut stand = Stand {
            scale,
            workspace: workspace.into(),
            binary,
            account,
            server: None,
            nginx: None,
            range: WHOLE_RANGE.into(),
            range_from: 0,
            census: Census::default(),
            lsids: Vec::new(),
            xml_bytes: 0,
            whole_xml_bytes: 0,
            gzip_bytes: 0,
            is_kept: archive == Archive::Kept,
            archive: path,
            home,
        };
        stand.restart()?;
        let began = Instant::now();
        stand.lsids = stand.listed(WHOLE_RANGE)?;
        let n_found = stand.lsids.len();
        ensure!(
            n_found == n_sessions as usize,
            "the report has {n_found} sessions of {n_sessions}"
        );
        stand.choose_range()?;
        stand.save_reports()?;
        stand.nginx = Nginx::start(&stand.files(), stand.home.path())?;
        say(&format!(
            "saved the report in {}: {} MB, as gzip {} MB",
            secs(began),
            stand.xml_bytes / 1_000_000,
            stand.gzip_bytes / 1_000_000
        ));
        Ok(stand)
    }

    /// The lsids of a report, without the sessions.
    fn listed(&self, selection: &str) -> anyhow::Result<Vec<String>> {
        let server = self.server()?;
        let target = format!("/api/reporting?generate_report=SupportSessionListing&{selection}");
        let mut connection = Connection::open(server.address)?;
        connection.send(&load::get(&target, Coding::Identity, &server.token))?;
        let mut listing = Vec::new();
        connection.receive(&mut listing)?;
        let tag = b"<session_summary lsid=\"";
        let mut lsids = Vec::new();
        let mut rest = listing.as_slice();
        while let Some(at) = find(rest, tag) {
            rest = &rest[at + tag.len()..];
            let end = find(rest, b"\"").context("an lsid has no end")?;
            lsids.push(String::from_utf8(rest[..end].to_vec())?);
        }
        Ok(lsids)
    }

    /// A whole report has to be saved for the peers. Where that would be too long, the newest
    /// sessions stand for it.
    fn choose_range(&mut self) -> anyhow::Result<()> {
        if self.lsids.len() <= SAVED_SESSIONS_MAX {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        for n_days in 1_u64.. {
            self.range_from = now.saturating_sub(n_days * 86_400);
            self.range = format!("start_time={}&duration=0", self.range_from);
            let n_listed = self.listed(&self.range)?.len();
            if SAVED_SESSIONS_MAX / 2 <= n_listed {
                break;
            }
        }
        Ok(())
    }

    /// The sessions that rows ask for, without those that begin later.
    pub(super) fn range_until_now(&self) -> anyhow::Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let (from, duration) = (self.range_from, now - self.range_from);
        Ok(format!("start_time={from}&duration={duration}"))
    }

    /// The bytes of all files of the archive when its server has ended. A kept archive has been measured
    /// before, and what that left in its access log does not count.
    pub(super) fn archive_bytes(&mut self) -> anyhow::Result<u64> {
        self.stop()?;
        let mut n_bytes = folder_bytes(&self.archive)?;
        if self.is_kept {
            n_bytes -= access_log_bytes(&self.archive)?;
        }
        self.restart()?;
        Ok(n_bytes)
    }

    /// Whether the rows ask for less than the whole archive, and for how much.
    pub(super) fn range_note(&self) -> Option<String> {
        let (n, n_all) = (self.census.lsids.len(), self.lsids.len());
        (n < n_all).then(|| format!("the newest {n} of {n_all} sessions"))
    }

    /// A second Debrief, whose archive the demo fills with so many sessions.
    pub(super) fn demo_server(&self, archive: &Path, n_sessions: u32) -> anyhow::Result<Server> {
        fill(&self.binary, archive, n_sessions)?;
        let account = Account::create(&self.binary, archive)?;
        Server::start(&self.binary, archive, &account, &self.second_talk())
    }

    /// The running Debrief.
    pub(super) fn server(&self) -> anyhow::Result<&Server> {
        self.server.as_ref().context("debrief does not run")
    }

    /// Ends the running Debrief and starts a fresh one.
    pub(super) fn restart(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        let talk = self.home.path().join("debrief.log");
        let server = Server::start(&self.binary, &self.archive(), &self.account, &talk)?;
        self.server = Some(server);
        Ok(())
    }

    /// Ends the running Debrief, so that its archive is at rest.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        match self.server.take() {
            Some(server) => server.stop(),
            None => Ok(()),
        }
    }

    /// A second Debrief, whose archive is empty.
    pub(super) fn fresh_server(&self) -> anyhow::Result<Server> {
        let archive = self.fresh_archive()?;
        let account = Account::create(&self.binary, &archive)?;
        Server::start(&self.binary, &archive, &account, &self.second_talk())
    }

    /// A second Debrief, whose archive is a copy of the running one's.
    pub(super) fn copied_server(&mut self) -> anyhow::Result<Server> {
        let (there, wanted) = (free_bytes(self.home())?, folder_bytes(&self.archive())?);
        let is_room = wanted + wanted / 4 < there;
        ensure!(is_room, "the disk has no room for a copy of the archive");
        let archive = self.fresh_archive()?;
        self.stop()?;
        let mut copying = Command::new("cp");
        copying.arg("-R").arg(self.archive()).arg(&archive);
        ensure!(copying.status()?.success(), "cannot copy the archive");
        // What is still to be written would take the disk from what is measured.
        let mut writing = Command::new("sync");
        writing.arg("--file-system").arg(&archive);
        ensure!(writing.status()?.success(), "cannot write the copy");
        self.restart()?;
        Server::start(&self.binary, &archive, &self.account, &self.second_talk())
    }

    fn second_talk(&self) -> PathBuf {
        self.home.path().join("second.log")
    }

    /// The folder of everything that goes when the run ends.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(super) fn archive(&self) -> PathBuf {
        self.archive.clone()
    }

    /// The folder that nginx serves.
    pub(super) fn files(&self) -> PathBuf {
        self.home.path().join("files")
    }

    /// Where `fresh_archive` is.
    pub(super) fn fresh_archive_path(&self) -> PathBuf {
        self.home.path().join("import")
    }

    /// A folder that is not there yet.
    pub(super) fn fresh_archive(&self) -> anyhow::Result<PathBuf> {
        let path = self.fresh_archive_path();
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        Ok(path)
    }

    /// The lengths that a whole report may have.
    pub(super) fn body_bytes(&self, coding: Coding) -> RangeInclusive<u64> {
        match coding {
            Coding::Identity => near(self.xml_bytes, BODY_TOLERANCE),
            Coding::Gzip => near(self.gzip_bytes, BODY_TOLERANCE),
        }
    }

    /// Asks the running Debrief once and gives the body to `sink`.
    pub(super) fn ask(
        &self,
        selection: &str,
        coding: Coding,
        sink: &mut dyn Write,
    ) -> anyhow::Result<u64> {
        let server = self.server()?;
        let mut connection = Connection::open(server.address)?;
        connection.send(&server.report(selection, coding))?;
        connection.receive(sink)
    }

    fn save_reports(&mut self) -> anyhow::Result<()> {
        // What a new server does only once must not fall into the first sample.
        self.whole_xml_bytes = self.ask(WHOLE_RANGE, Coding::Identity, &mut io::sink())?;
        let plain = self.files().join(REPORT_FILE);
        self.xml_bytes = self.save(Coding::Identity, &plain)?;
        let gzip = self.files().join(REPORT_FILE_GZIP);
        self.gzip_bytes = self.save(Coding::Gzip, &gzip)?;
        self.census = Census::of(&plain)?;
        let (n_found, n_listed) = (self.census.lsids.len(), self.listed(&self.range)?.len());
        ensure!(
            n_found == n_listed,
            "the report has {n_found} sessions, its listing {n_listed}"
        );
        let said = u64::from(gzip_trailer_bytes(&gzip)?);
        let wanted = self.body_bytes(Coding::Identity);
        ensure!(
            wanted.contains(&said) || u64::from(u32::MAX) <= self.xml_bytes,
            "the gzip body says it holds {said} bytes, not {wanted:?}"
        );
        Ok(())
    }

    fn save(&self, coding: Coding, path: &Path) -> anyhow::Result<u64> {
        let mut file = BufWriter::new(File::create(path)?);
        let n_bytes = self.ask(&self.range, coding, &mut file)?;
        file.flush()?;
        Ok(n_bytes)
    }
}

fn fill(binary: &Binary, archive: &Path, n_sessions: u32) -> anyhow::Result<()> {
    let began = Instant::now();
    let n_sessions = n_sessions.to_string();
    let demo = [
        "demo",
        "--no-recordings",
        "--sessions",
        &n_sessions,
        "--seed",
        DEMO_SEED,
    ];
    binary.run(archive, &demo)?;
    say(&format!("made {n_sessions} sessions in {}", secs(began)));
    Ok(())
}

/// The same unless it was done before. An archive of another size is not touched: it took hours.
fn fill_once(
    binary: &Binary,
    folder: &Path,
    archive: &Path,
    n_sessions: u32,
) -> anyhow::Result<()> {
    let mark = folder.join("sessions");
    if mark.exists() {
        check_mark(&fs::read_to_string(&mark)?, n_sessions)
            .with_context(|| format!("the archive in `{}` is kept", folder.display()))?;
        say(&format!("found the archive of {n_sessions} sessions"));
        return Ok(());
    }
    if folder.exists() {
        // It was never finished.
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    fill(binary, archive, n_sessions)?;
    fs::write(mark, n_sessions.to_string())?;
    Ok(())
}

/// Whether a kept archive has so many sessions, as the file beside it tells.
fn check_mark(told: &str, n_sessions: u32) -> anyhow::Result<()> {
    let told = told.trim();
    match told.parse::<u32>() {
        Ok(n) if n == n_sessions => Ok(()),
        Ok(n) => bail!("it has {n} sessions: ask for them with `--sessions {n}`, or delete it"),
        Err(_) => bail!("its file `sessions` says `{told}`, which is no number: mend or delete it"),
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// The pages of the access log, as SQLite's shell counts them.
fn access_log_bytes(archive: &Path) -> anyhow::Result<u64> {
    let output = Command::new("sqlite3")
        .arg("-readonly")
        .arg(archive.join("archive.sqlite"))
        .arg("SELECT pgsize FROM dbstat WHERE aggregate = 1 AND name = 'access_log'")
        .output()
        .context(SQLITE_MISSING)?;
    ensure!(
        output.status.success(),
        "`sqlite3` cannot read the archive: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told = String::from_utf8(output.stdout)?;
    let n_bytes = told.trim().parse();
    n_bytes.with_context(|| format!("`sqlite3` says `{told}`"))
}

/// What the file system of a folder has left.
pub(super) fn free_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut command = Command::new("df");
    let output = command
        .args(["--output=avail", "-B1"])
        .arg(folder)
        .output()?;
    let told = String::from_utf8(output.stdout)?;
    let number = told
        .lines()
        .nth(1)
        .and_then(|line| line.trim().parse().ok());
    number.context("`df` does not say how much disk is left")
}

/// The lengths that differ from `n_bytes` by at most this share.
pub(super) fn near(n_bytes: u64, share: f64) -> RangeInclusive<u64> {
    let off = (n_bytes as f64 * share).ceil() as u64;
    n_bytes.saturating_sub(off)..=n_bytes + off
}

/// The length, modulo 2^32, that a gzip stream says it was made from (RFC 1952 §2.3.1, ISIZE).
fn gzip_trailer_bytes(path: &Path) -> anyhow::Result<u32> {
    let mut file = File::open(path)?;
    let mut isize_field = [0; 4];
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut isize_field)?;
    Ok(u32::from_le_bytes(isize_field))
}

/// The bytes of all files below a folder.
pub(super) fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut n_bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        n_bytes += if metadata.is_dir() {
            folder_bytes(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(n_bytes)
}

/// Whether the kernel has files in its cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cache {
    /// As far as it has room for them.
    Warm,
    /// What is not on disk yet may stay.
    Cold,
}

/// Reads all files of a folder once, or has the kernel forget what it holds of them.
pub(super) fn set_cache(folder: &Path, cache: Cache) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            set_cache(&path, cache)?;
            continue;
        }
        let mut input = OsString::from("if=");
        input.push(&path);
        let mut dd = Command::new("dd");
        dd.args([input, "of=/dev/null".into(), "status=none".into()]);
        match cache {
            Cache::Warm => dd.arg("bs=1M"),
            Cache::Cold => dd.args(["iflag=nocache", "count=0"]),
        };
        ensure!(
            dd.status()?.success(),
            "`dd` could not read {}",
            path.display()
        );
    }
    Ok(())
}

/// Tells how far the run is; results go to standard output, this does not.
pub(super) fn say(line: &str) {
    eprintln!("bench: {line}");
}

fn secs(began: Instant) -> String {
    format!("{:.1} s", began.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_archive_is_found_by_its_number_and_refused_for_any_other() {
        for told in ["2000000", "2000000\n"] {
            assert!(check_mark(told, 2_000_000).is_ok(), "{told:?}");
        }
        for told in ["1999999", "2000001\n", "", "many", "2000000 or so"] {
            assert!(check_mark(told, 2_000_000).is_err(), "{told:?}");
        }
    }
}
