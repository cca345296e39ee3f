//! PostgreSQL as what people would keep events in: a row per event, its JSON beside its columns.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::ToSql;
use postgres::{Client, Config, NoTls, Statement};
use tempfile::TempDir;

use super::debrief;
use super::deliver::Keeper;
use super::events::Batch;

/// Debian keeps each version's programs below this folder, on nobody's path.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Where its files go when it may not enter the folder of the build.
const SPARE_FOLDER: &str = "/var/tmp";
/// The account that Debian makes for it: it refuses to run as root.
const SYSTEM_USER: &str = "postgres";
const USER: &str = "bench";
const STARTING_MAX: Duration = Duration::from_secs(20);
const STARTING_POLL: Duration = Duration::from_millis(50);
/// Durable as it comes; memory and log as someone would set them who cares for speed.
const SETTINGS: [&str; 6] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "unix_socket_directories=",
    "shared_buffers=256MB",
    "max_wal_size=4GB",
];
/// It promises what Debrief does when it acknowledges: no event counts twice, and a session's are found
/// without reading all others.
const TABLE: &str = "CREATE TABLE events (account int, id text, lsid text, time timestamptz, \
                     type text, doc jsonb, PRIMARY KEY (account, id)); \
                     CREATE INDEX ON events (lsid)";
/// What the normalised tables are made of, and a time as reports write it.
const RAW: &str = "CREATE TABLE raw (doc jsonb); \
                   CREATE FUNCTION iso(secs bigint) RETURNS text LANGUAGE sql IMMUTABLE RETURN \
                   to_char(to_timestamp(secs) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') || '+00:00'";
const TABLES: &str = include_str!("postgresql/tables.sql");
const REPORT: &str = include_str!("postgresql/report.sql");
const COLUMNS: usize = 6;
const ACCOUNT: i32 = 1;

pub(super) const POSTGRESQL_MISSING: &str = "PostgreSQL is missing: `apt-get install postgresql`";

/// A running PostgreSQL with an empty table. It is ended when dropped.
pub(super) struct Postgresql {
    child: Child,
    address: SocketAddr,
    /// The last field: removed when the server has ended.
    _home: TempDir,
}

impl Postgresql {
    /// Starts it with its files in `folder`; `None` when it is not installed.
    pub(super) fn start(folder: &Path) -> anyhow::Result<Option<Postgresql>> {
        let Some(programs) = programs() else {
            return Ok(None);
        };
        let user = SystemUser::find()?;
        let home = user.home(&[folder, Path::new(SPARE_FOLDER)])?;
        let files = home.path().join("files");
        let log = File::create(home.path().join("log"))?;
        let status = user
            .command(&programs.join("initdb"), home.path())
            .args([
                "--no-sync",
                "--no-locale",
                "--encoding=UTF8",
                "--auth=trust",
            ])
            .args(["--username", USER])
            .arg("--pgdata")
            .arg(&files)
            .stdout(Stdio::null())
            .stderr(log.try_clone()?)
            .status()?;
        ensure!(status.success(), "`initdb` failed: {}", talk(&home));
        // The port is free now and asked for at once; the kernel hands out others first.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = user
            .command(&programs.join("postgres"), home.path())
            .arg("-D")
            .arg(&files)
            .args(["-h", "127.0.0.1", "-p", &address.port().to_string()])
            .args(SETTINGS.iter().flat_map(|setting| ["-c", setting]))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start PostgreSQL")?;
        let mut postgresql = Postgresql {
            child,
            address,
            _home: home,
        };
        postgresql.wait()?;
        postgresql.connect()?.batch_execute(TABLE)?;
        Ok(Some(postgresql))
    }

    /// One connection that inserts batches of this many events.
    pub(super) fn inserting(&self, n_batch_events: usize) -> anyhow::Result<Inserting> {
        let mut client = self.connect()?;
        let insert = client.prepare(&insert(n_batch_events))?;
        Ok(Inserting { client, insert })
    }

    /// A connection to tables made of a report as NDJSON.
    pub(super) fn normalised(&self, ndjson: &[u8]) -> anyhow::Result<Reporting> {
        let mut client = self.connect()?;
        client.batch_execute(RAW)?;
        let mut copying = client.copy_in("COPY raw FROM STDIN")?;
        for line in ndjson.split_inclusive(|byte| *byte == b'\n') {
            // The only byte of JSON that COPY's text form reads otherwise.
            let line = std::str::from_utf8(line)?.replace('\\', "\\\\");
            copying.write_all(line.as_bytes())?;
        }
        copying.finish()?;
        client.batch_execute(TABLES)?;
        client.batch_execute("VACUUM ANALYZE")?;
        // Compiling the query takes longer than it saves.
        client.batch_execute("SET jit = off")?;
        let report = client.prepare(REPORT)?;
        Ok(Reporting { client, report })
    }

    fn connect(&self) -> Result<Client, postgres::Error> {
        Config::new()
            .host(&self.address.ip().to_string())
            .port(self.address.port())
            .user(USER)
            .dbname("postgres")
            .connect(NoTls)
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while let Err(error) = self.connect() {
            let ended = self.child.try_wait()?.is_some();
            if ended || STARTING_MAX < began.elapsed() {
                bail!("PostgreSQL does not start: {error}: {}", talk(&self._home));
            }
            thread::sleep(STARTING_POLL);
        }
        Ok(())
    }
}

impl Drop for Postgresql {
    fn drop(&mut self) {
        let _ = debrief::end(&mut self.child);
    }
}

/// A connection with its prepared statement.
pub(super) struct Inserting {
    client: Client,
    insert: Statement,
}

impl Keeper for Inserting {
    fn keep(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let mut texts = Vec::with_capacity(batch.events.len());
        for event in &batch.events {
            let (id, lsid) = (batch.text(&event.id)?, batch.text(&event.lsid)?);
            texts.push((id, lsid, batch.text(&event.line)?));
        }
        let mut values: Vec<&(dyn ToSql + Sync)> = Vec::with_capacity(texts.len() * COLUMNS);
        for ((id, lsid, line), event) in texts.iter().zip(&batch.events) {
            values.extend::<[&(dyn ToSql + Sync); COLUMNS]>([
                &ACCOUNT,
                id,
                lsid,
                &event.unix_seconds,
                &event.kind,
                line,
            ]);
        }
        let n_fresh = self.client.execute(&self.insert, &values)?;
        let n_events = batch.events.len();
        ensure!(
            n_fresh == n_events as u64,
            "PostgreSQL took {n_fresh} of {n_events} new events"
        );
        Ok(())
    }
}

/// A connection to normalised tables.
pub(super) struct Reporting {
    client: Client,
    report: Statement,
}

impl Reporting {
    /// Length of the report of every session, read as it comes.
    pub(super) fn report(&mut self) -> anyhow::Result<u64> {
        let mut rows = self.client.query_raw(&self.report, [&0_i64])?;
        let mut n_bytes = 0;
        while let Some(row) = rows.next()? {
            n_bytes += row.try_get::<_, &str>(0)?.len() as u64;
        }
        Ok(n_bytes)
    }
}

fn insert(n_batch_events: usize) -> String {
    let rows: Vec<String> = (0..n_batch_events)
        .map(|row| {
            let [a, b, c, d, e, f] = std::array::from_fn(|column| row * COLUMNS + column + 1);
            format!("(${a},${b},${c},to_timestamp(${d}::float8),${e},${f}::text::jsonb)")
        })
        .collect();
    let rows = rows.join(",");
    format!("INSERT INTO events VALUES {rows} ON CONFLICT DO NOTHING")
}

/// The folder of the newest version's programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?.flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/postgres").exists() && path.join("bin/initdb").exists())
        .max_by_key(|path| number(path));
    Some(newest?.join("bin"))
}

/// What it has said so far.
fn talk(home: &TempDir) -> String {
    fs::read_to_string(home.path().join("log")).unwrap_or_default()
}

/// Who runs it.
enum SystemUser {
    /// Whoever runs the bench.
    Oneself,
    /// The bench runs as root, and PostgreSQL would not.
    Other { uid: u32, gid: u32 },
}

impl SystemUser {
    fn find() -> anyhow::Result<SystemUser> {
        if fs::metadata("/proc/self")?.uid() != 0 {
            return Ok(SystemUser::Oneself);
        }
        let ask = |flag: &str| -> anyhow::Result<u32> {
            let output = Command::new("id").args([flag, SYSTEM_USER]).output()?;
            let text = String::from_utf8(output.stdout)?;
            let number = text.trim().parse();
            number.with_context(|| format!("there is no user `{SYSTEM_USER}`"))
        };
        Ok(SystemUser::Other {
            uid: ask("-u")?,
            gid: ask("-g")?,
        })
    }

    /// A folder of its own in the first of these folders that it may enter.
    fn home(&self, folders: &[&Path]) -> anyhow::Result<TempDir> {
        for folder in folders {
            let home = tempfile::Builder::new()
                .prefix("bench-postgresql-")
                .tempdir_in(folder)?;
            if let SystemUser::Other { uid, gid } = *self {
                chown(home.path(), Some(uid), Some(gid))?;
            }
            let mut test = self.command(Path::new("test"), Path::new("/"));
            if test.arg("-w").arg(home.path()).status()?.success() {
                return Ok(home);
            }
        }
        bail!("PostgreSQL has no folder that it may write to")
    }

    /// A program that runs as this user in `folder`.
    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null());
        if let SystemUser::Other { uid, gid } = *self {
            command.uid(uid).gid(gid);
        }
        command
    }
}
