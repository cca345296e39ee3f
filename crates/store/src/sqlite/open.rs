//! Opening the file, and bringing it to the current format.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::BUSY_WAIT;
use super::error::{as_sqlite, refused_or_corrupt};
use crate::StoreError;

/// The formats, oldest first: each script changes the one before it.
const FORMATS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("format2.sql"),
    include_str!("format3.sql"),
    include_str!("format4.sql"),
    include_str!("format5.sql"),
    include_str!("format6.sql"),
    include_str!("format7.sql"),
    include_str!("format8.sql"),
    include_str!("format9.sql"),
];

/// Pages in SQLite's log from which on a commit writes them back: 64 MiB of small ones, for pages that many commits
/// write are then written back once, and what is settled waits for the disk more seldom.
pub(super) const CHECKPOINT_FRAMES: u32 = if cfg!(test) { 256 } else { 16 << 10 };

/// Bytes of SQLite's log that stay on disk when it is begun anew: more than it has mostly when it is written
/// back, for a file that is cut must grow again.
const LOG_BYTES_KEPT: u64 = 128 << 20;

/// Pages, in KiB, that a transaction may have changed before SQLite writes some of them ahead of its commit:
/// more than settling changes mostly. One that it writes early is written twice when it is changed again,
/// and all that was written behind it is read once more.
const SPILL_KIB: u32 = 48 << 10;

/// The file's name in the data directory.
pub(super) const FILE: &str = "archive.sqlite";

/// Opens the archive for writing, makes it if need be, and brings it to the current format.
pub(super) fn open(directory: &Path) -> Result<Connection, StoreError> {
    fs::create_dir_all(directory).map_err(|source| StoreError::Refused {
        what: format!("cannot make the data directory `{}`", directory.display()),
        source: Some(Box::new(source)),
    })?;
    let mut db = Connection::open(directory.join(FILE)).map_err(|source| StoreError::Refused {
        what: format!("cannot open the archive in `{}`", directory.display()),
        source: Some(Box::new(source)),
    })?;
    // Small pages, for a commit writes whole ones. A file keeps the size it was made with.
    let pragmas =
        format!("page_size = 4096; PRAGMA cache_size = -16384; PRAGMA cache_spill = -{SPILL_KIB}");
    let prepared = prepare(&db, &pragmas)
        .and_then(|()| migrate(&mut db))
        .and_then(|done| sync_log(directory).map(|()| done));
    match prepared {
        Ok(Ok(())) => Ok(db),
        Ok(Err(error)) => Err(error),
        Err(source) => {
            let what = format!("the archive in `{}`", directory.display());
            match refused_or_corrupt(source) {
                StoreError::Refused { what: why, source } => Err(StoreError::Refused {
                    what: format!("cannot use {what}: {why}"),
                    source,
                }),
                StoreError::Corrupt { source, .. } => Err(StoreError::Corrupt { what, source }),
                other @ (StoreError::Unknown { .. } | StoreError::Expired) => Err(other),
            }
        }
    }
}

/// Waits until SQLite's log is on disk. A commit that broke off before it was counts again if a crash
/// came next, and what is added to the journal from then on must not be safe sooner than it.
fn sync_log(directory: &Path) -> rusqlite::Result<()> {
    let name = format!("{FILE}-wal");
    match fs::File::open(directory.join(&name)).and_then(|log| log.sync_all()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(as_sqlite(&name, &error)),
        _ => Ok(()),
    }
}

/// Opens the archive for reading. A page cache of about 1 MiB: the operating system has the rest.
pub(super) fn open_reader(directory: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db =
        Connection::open_with_flags(directory.join(FILE), flags).map_err(refused_or_corrupt)?;
    prepare(&db, "query_only = 1; PRAGMA cache_size = -1024").map_err(refused_or_corrupt)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

fn prepare(db: &Connection, pragmas: &str) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_WAIT)?;
    // Plans do not depend on bound values, so statements are compiled once and for all.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.set_prepared_statement_cache_capacity(128);
    db.execute_batch(&format!("PRAGMA {pragmas}"))?;
    // No mmap: with an archive larger than memory it fell to 1/20 of the lookups of plain reads.
    db.execute_batch("PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY")?;
    db.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {CHECKPOINT_FRAMES}; \
         PRAGMA journal_size_limit = {LOG_BYTES_KEPT}"
    ))
}

/// Runs the scripts that the file has not seen, all or none.
fn migrate(db: &mut Connection) -> rusqlite::Result<Result<(), StoreError>> {
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let tables: i64 = transaction.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'",
        [],
        |row| row.get(0),
    )?;
    let version: i64 = match tables {
        0 => 0,
        _ => transaction.query_row("SELECT max(version) FROM schema_version", [], |row| {
            row.get(0)
        })?,
    };
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if FORMATS.len() < version {
        return Ok(Err(StoreError::refused(format!(
            "the archive has format {version}, and this Debrief knows formats up to {}: use the \
             newer Debrief that wrote it",
            FORMATS.len()
        ))));
    }
    for (idx, script) in FORMATS.iter().enumerate().skip(version) {
        transaction.execute_batch(script)?;
        transaction.execute(
            "INSERT INTO schema_version VALUES (?1, datetime('now'))",
            [idx as i64 + 1],
        )?;
    }
    transaction.commit()?;
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_transaction_changes_is_written_before_its_commit_from_a_length_on() {
        let directory = tempfile::tempdir().unwrap();
        let db = open(directory.path()).unwrap();
        db.execute_batch("CREATE TABLE filled (bytes BLOB)")
            .unwrap();
        let log = directory.path().join(format!("{FILE}-wal"));
        let len = || log.metadata().unwrap().len();
        let before = len();
        // SQLite's own bytes for each page count as well.
        for (n_kib, is_written) in [(SPILL_KIB / 8 * 7, false), (SPILL_KIB, true)] {
            db.execute_batch("BEGIN").unwrap();
            for _ in 0..n_kib >> 10 {
                db.execute("INSERT INTO filled VALUES (zeroblob(1 << 20))", [])
                    .unwrap();
            }
            assert_eq!(before < len(), is_written, "{n_kib}");
            db.execute_batch("ROLLBACK").unwrap();
        }
    }
}
