//! The access log: entries wait in memory for the next commit, and are read from their table.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use debrief_domain::At;
use rusqlite::{Connection, params};

use super::error::refused_or_corrupt;
use crate::{AccessEntry, StoreError};

/// Entries that may wait.
const ACCESS_PENDING_MAX: usize = if cfg!(test) { 8 } else { 100_000 };
/// Entries that one statement writes: each statement looks up the last entry's number and writes it down.
const STATEMENT_ENTRIES_MAX: usize = if cfg!(test) { 3 } else { 64 };
/// What an entry consists of, in order.
const COLUMNS: [&str; 5] = ["at", "who", "action", "detail", "outcome"];

/// Entries that wait for a commit.
#[derive(Default)]
pub(super) struct Accesses {
    pending: Mutex<Pending>,
    /// Those that the open transaction has written. Only who writes asks for it: whoever adds an entry
    /// does not wait until thousands are in the table.
    written: Mutex<Vec<AccessEntry>>,
    any: AtomicBool,
}

#[derive(Default)]
struct Pending {
    entries: Vec<AccessEntry>,
    /// How many others the open transaction has written.
    n_written: usize,
    /// How many found no room, and were not told of.
    n_lost: usize,
}

impl Accesses {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> MutexGuard<'_, Vec<AccessEntry>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any entry waits.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Lets an entry wait.
    pub(super) fn add(&self, entry: AccessEntry) {
        let mut pending = self.pending();
        if ACCESS_PENDING_MAX <= pending.entries.len() + pending.n_written {
            pending.n_lost += 1;
            return;
        }
        pending.entries.push(entry);
        self.any.store(true, Ordering::Relaxed);
    }

    /// Writes what waits with the open transaction.
    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        if !self.any() {
            return Ok(());
        }
        let mut written = self.written();
        let n_before = written.len();
        let entries = {
            let mut pending = self.pending();
            pending.n_written += pending.entries.len();
            std::mem::take(&mut pending.entries)
        };
        written.extend(entries);
        let (many, rest) = written[n_before..].as_chunks::<STATEMENT_ENTRIES_MAX>();
        for entries in many {
            insert(db, entries)?;
        }
        rest.chunks(1).try_for_each(|entry| insert(db, entry))
    }

    /// After a commit: what it wrote waits no longer.
    pub(super) fn forget_written(&self) {
        // Freed when nobody waits any more.
        let _written = std::mem::take(&mut *self.written());
        let pending = self.pending();
        self.any
            .store(!pending.entries.is_empty(), Ordering::Relaxed);
        end(pending);
    }

    /// After a failed commit: everything waits on.
    pub(super) fn keep(&self) {
        let mut written = self.written();
        let mut pending = self.pending();
        written.append(&mut pending.entries);
        pending.entries = std::mem::take(&mut *written);
        end(pending);
    }
}

/// Writes entries with one statement, of which there are two lengths.
fn insert(db: &Connection, entries: &[AccessEntry]) -> rusqlite::Result<()> {
    let (columns, values) = (COLUMNS.join(", "), ["?"; COLUMNS.len()].join(", "));
    let values = vec![format!("({values})"); entries.len()].join(", ");
    let sql = format!("INSERT INTO access_log ({columns}) VALUES {values}");
    let mut insert = db.prepare_cached(&sql)?;
    for (before, entry) in (0..).step_by(COLUMNS.len()).zip(entries) {
        insert.raw_bind_parameter(before + 1, entry.at.millis())?;
        let texts = [&*entry.who, &entry.action, &entry.detail, &entry.outcome];
        for (idx, text) in (before + 2..).zip(texts) {
            insert.raw_bind_parameter(idx, text)?;
        }
    }
    insert.raw_execute().map(drop)
}

/// After a transaction, whatever came of it: tells how many entries found no room since the last one.
fn end(mut pending: MutexGuard<'_, Pending>) {
    pending.n_written = 0;
    let n_lost = std::mem::take(&mut pending.n_lost);
    // Nobody waits while it is told.
    drop(pending);
    if 0 < n_lost {
        tracing::error!(
            "{n_lost} entries of the access log are lost: {ACCESS_PENDING_MAX} were waiting"
        );
    }
}

/// Entries below a number, newest first.
pub(super) fn read(
    db: &Connection,
    before: u64,
    n_max: usize,
) -> Result<Vec<(u64, AccessEntry)>, StoreError> {
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let read = || -> rusqlite::Result<Vec<(u64, AccessEntry)>> {
        let mut statement = db.prepare_cached(
            "SELECT id, at, who, action, detail, outcome FROM access_log WHERE id < ?1 \
             ORDER BY id DESC LIMIT ?2",
        )?;
        let rows = statement.query_map(params![before, n_max as i64], |row| {
            let id: i64 = row.get(0)?;
            let entry = AccessEntry {
                at: At::from_millis(row.get(1)?).unwrap_or(At::MIN),
                who: row.get(2)?,
                action: row.get::<_, String>(3)?.into(),
                detail: row.get(4)?,
                outcome: row.get(5)?,
            };
            Ok((id as u64, entry))
        })?;
        rows.collect()
    };
    read().map_err(refused_or_corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: usize) -> AccessEntry {
        AccessEntry {
            at: At::from_millis(n as i64).unwrap(),
            who: format!("who{n}"),
            action: format!("action{n}").into(),
            detail: n.to_string(),
            outcome: format!("outcome{n}"),
        }
    }

    #[test]
    fn entries_come_back_whole_and_in_order_however_many_are_written_at_once() {
        for n_entries in 0..=ACCESS_PENDING_MAX {
            let (db, accesses) = (archive(), Accesses::default());
            let entries: Vec<AccessEntry> = (0..n_entries).map(entry).collect();
            entries
                .iter()
                .cloned()
                .for_each(|entry| accesses.add(entry));
            accesses.write(&db).unwrap();
            let mut written = read(&db, u64::MAX, n_entries + 1).unwrap();
            written.reverse();
            let numbers: Vec<u64> = written.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers, (1..=n_entries as u64).collect::<Vec<_>>());
            let written: Vec<AccessEntry> = written.into_iter().map(|(_, entry)| entry).collect();
            assert_eq!(written, entries);
        }
    }

    fn archive() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("schema.sql")).unwrap();
        db
    }

    fn details(db: &Connection) -> Vec<String> {
        let mut read = read(db, u64::MAX, usize::MAX >> 1).unwrap();
        read.reverse();
        read.into_iter().map(|(_, entry)| entry.detail).collect()
    }

    #[test]
    fn entries_that_come_while_others_are_written_wait_for_the_next_commit() {
        let (db, accesses) = (archive(), Accesses::default());
        accesses.add(entry(0));
        accesses.write(&db).unwrap();
        // Before the commit, too, nobody waits.
        accesses.add(entry(1));
        accesses.forget_written();
        assert_eq!(details(&db), ["0"]);
        assert!(accesses.any());
        accesses.write(&db).unwrap();
        accesses.forget_written();
        assert_eq!(details(&db), ["0", "1"]);
        assert!(!accesses.any());
    }

    #[test]
    fn a_commit_that_fails_loses_none_and_keeps_their_order() {
        let (db, accesses) = (archive(), Accesses::default());
        accesses.add(entry(0));
        for n in 1..3 {
            db.execute_batch("BEGIN").unwrap();
            accesses.write(&db).unwrap();
            accesses.add(entry(n));
            db.execute_batch("ROLLBACK").unwrap();
            accesses.keep();
        }
        assert!(accesses.any());
        accesses.write(&db).unwrap();
        accesses.forget_written();
        assert_eq!(details(&db), ["0", "1", "2"]);
    }

    #[test]
    fn so_many_wait_and_no_more_those_that_are_being_written_among_them() {
        let (db, accesses) = (archive(), Accesses::default());
        (0..=ACCESS_PENDING_MAX).for_each(|n| accesses.add(entry(n)));
        assert_eq!(accesses.pending().n_lost, 1);
        db.execute_batch("BEGIN").unwrap();
        accesses.write(&db).unwrap();
        accesses.add(entry(ACCESS_PENDING_MAX));
        assert_eq!(accesses.pending().n_lost, 2);
        db.execute_batch("ROLLBACK").unwrap();
        accesses.keep();
        assert_eq!(accesses.pending().n_lost, 0, "they were told of");
        accesses.add(entry(ACCESS_PENDING_MAX));
        accesses.write(&db).unwrap();
        // Of the last one, too, although nothing waits behind it.
        assert_eq!(accesses.pending().n_lost, 1);
        accesses.forget_written();
        assert_eq!(accesses.pending().n_lost, 0);
        assert!(!accesses.any());
        let expected: Vec<String> = (0..ACCESS_PENDING_MAX).map(|n| n.to_string()).collect();
        assert_eq!(details(&db), expected);
        accesses.add(entry(ACCESS_PENDING_MAX));
        assert_eq!(accesses.pending().n_lost, 0);
        assert!(accesses.any());
    }
}
