//! Which events were ever acknowledged: those of late commits in memory and in rows as they came,
//! all others in sorted runs.
//!
//! Ids are random. To write each into its place in a sorted table would dirty a page of the file
//! for every event; so a commit adds one row with all of its ids, and every now and then all that
//! have come are written as one sorted run. What is in memory can be read again from the tables, and
//! is when another process has written to the archive.

mod block;
mod lesson;
mod runs;

pub(super) use lesson::Lessons;
pub(super) use runs::faults;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::fast::RandomState;
use rusqlite::{Connection, params};

use super::error::corrupt_text;
use super::filter::{KEY_BITS, Key, SPREAD};
use runs::Runs;

/// Ids in memory from which on they are written as a run.
const UNSORTED_IDS_MAX: usize = if cfg!(test) { 1 << 10 } else { 64 << 10 };
/// Bytes of an id in a row.
pub(super) const ID_BYTES: usize = 16;
/// Bytes of an id in a row of the formats before the fourth.
const OLD_ID_BYTES: usize = 32;

/// What an event is known by for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) account: i64,
    /// Of the id that the account gave it.
    pub(super) hash: [u8; 16],
}

/// Bits of an id that are no key: a digest and, above it, what formats before the ninth had of the key
/// and nobody looks at any more.
const BELOW_KEY_BITS: u32 = u128::BITS - KEY_BITS;

impl Key {
    /// Of a name.
    fn of(name: &Name) -> Key {
        // Accounts are kept apart.
        let apart = u128::from(name.account.cast_unsigned()).wrapping_mul(SPREAD);
        Key::upper(u128::from_be_bytes(name.hash) ^ apart)
    }
}

/// A key, and the digest of its event in the low bits: as it is kept, and in order of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u128);

impl Id {
    fn new(key: Key, digest: u32) -> Id {
        Id(key.0 << BELOW_KEY_BITS | u128::from(digest))
    }

    /// As it is kept.
    pub(super) fn read(bytes: [u8; ID_BYTES]) -> Id {
        let id = Id(u128::from_be_bytes(bytes));
        Id::new(id.key(), id.digest())
    }

    pub(super) fn bytes(self) -> [u8; ID_BYTES] {
        self.0.to_be_bytes()
    }

    fn key(self) -> Key {
        Key::upper(self.0)
    }

    fn digest(self) -> u32 {
        self.0 as u32
    }
}

/// Ids one behind the other.
fn bytes_of(ids: &[Id]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.bytes()).collect()
}

/// The ids of a row: at least one, and nothing behind the last.
fn ids_in(bytes: &[u8]) -> rusqlite::Result<&[[u8; ID_BYTES]]> {
    match bytes.as_chunks() {
        (ids, []) if !ids.is_empty() => Ok(ids),
        _ => Err(corrupt_text("ids")),
    }
}

type Unsorted = HashMap<Key, u32, RandomState>;

/// Ids on their way into the tables.
pub(super) struct Outgoing {
    /// Those that no table has yet, in order.
    fresh: Vec<Id>,
    /// All that are to become a run, if it is time for one.
    sorting: Arc<Unsorted>,
    runs: Runs,
}

/// What the writer remembers of ids.
#[derive(Default)]
pub(super) struct Ids {
    /// Not yet in a run, each with the digest of its event.
    unsorted: Unsorted,
    /// Those of them that are being written as a run.
    sorting: Arc<Unsorted>,
    runs: Runs,
    /// The commit up to which rows have been read; none before the first transaction.
    read_to: Option<i64>,
    /// Those that no table has yet, in order.
    fresh: Vec<Id>,
    lessons: Lessons,
}

impl Ids {
    /// Nothing yet. What is there is learnt by whoever gets the lessons.
    pub(super) fn new(lessons: Lessons) -> Ids {
        Ids {
            lessons,
            ..Ids::default()
        }
    }

    /// Forgets everything; it is read again.
    pub(super) fn clear(&mut self) {
        *self = Ids::new(std::mem::take(&mut self.lessons));
    }

    /// Brings memory up to date at the start of a transaction that begins at this commit.
    pub(super) fn begin(&mut self, db: &Connection, change: i64) -> rusqlite::Result<()> {
        if self.read_to == Some(change) {
            return Ok(());
        }
        // Somebody else has written, or this is the first transaction.
        self.clear();
        if let Some(lesson) = self.runs.load(db)? {
            self.lessons.give(lesson);
        }
        let mut select = db.prepare_cached("SELECT ids FROM event_id_run")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let ids = row.get_ref(0)?.as_blob()?.chunks_exact(OLD_ID_BYTES);
            self.unsorted.extend(ids.filter_map(unpack_old));
        }
        let mut select = db.prepare_cached("SELECT ids FROM id_recent")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let ids = ids_in(row.get_ref(0)?.as_blob()?)?.iter();
            let ids = ids.map(|id| Id::read(*id));
            self.unsorted.extend(ids.map(|id| (id.key(), id.digest())));
        }
        self.read_to = Some(change);
        Ok(())
    }

    /// How many ids have been added: what [`Ids::undo`] goes back to.
    pub(super) fn mark(&self) -> usize {
        self.fresh.len()
    }

    /// The ids that were added since the mark.
    pub(super) fn since(&self, mark: usize) -> &[Id] {
        &self.fresh[mark..]
    }

    /// Takes in ids that were acknowledged and are in no table yet.
    pub(super) fn add(&mut self, ids: impl Iterator<Item = Id>) {
        for id in ids {
            self.unsorted.insert(id.key(), id.digest());
            self.fresh.push(id);
        }
    }

    /// Forgets the ids that were added since the mark.
    pub(super) fn undo(&mut self, mark: usize) {
        for id in self.fresh.drain(mark..) {
            self.unsorted.remove(&id.key());
        }
    }

    /// Makes ready for being asked for these names.
    pub(super) fn look_ahead(&self, names: impl Iterator<Item = Name>) {
        self.runs.look_ahead(names.map(|name| Key::of(&name)));
    }

    /// The digest of the event with this name; none when it is new, and then it is noted.
    pub(super) fn know(
        &mut self,
        db: &Connection,
        name: &Name,
        digest: u32,
    ) -> rusqlite::Result<Option<u32>> {
        let key = Key::of(name);
        let new = match self.unsorted.entry(key) {
            Entry::Occupied(known) => return Ok(Some(*known.get())),
            Entry::Vacant(new) => new,
        };
        if let Some(known) = self.sorting.get(&key) {
            return Ok(Some(*known));
        }
        if let Some(known) = self.runs.find(db, name)? {
            return Ok(Some(known));
        }
        new.insert(digest);
        self.fresh.push(Id::new(key, digest));
        Ok(None)
    }

    /// Writes the ids that no table has, as those of this commit.
    pub(super) fn finish(&mut self, db: &Connection, change: i64) -> rusqlite::Result<()> {
        let mut outgoing = self.take_out();
        outgoing.write(db, change)?;
        self.put_back(outgoing, change);
        Ok(())
    }

    /// Gives the ids that no table has, to be written while others are asked for: all of them are
    /// known still.
    pub(super) fn take_out(&mut self) -> Outgoing {
        // Without fresh ids nothing is written, and all stay where they are.
        if !self.fresh.is_empty() && UNSORTED_IDS_MAX <= self.unsorted.len() {
            self.sorting = Arc::new(std::mem::take(&mut self.unsorted));
        }
        let view = self.runs.view();
        Outgoing {
            fresh: std::mem::take(&mut self.fresh),
            sorting: Arc::clone(&self.sorting),
            runs: std::mem::replace(&mut self.runs, view),
        }
    }

    /// Takes over what was written with the last commit, which is this one.
    pub(super) fn put_back(&mut self, written: Outgoing, change: i64) {
        self.runs = written.runs;
        self.sorting = Arc::default();
        self.read_to = Some(change);
    }
}

impl Outgoing {
    /// Writes them as those of this commit. Runs are only changed by a commit that has some, so that
    /// other processes notice.
    pub(super) fn write(&mut self, db: &Connection, change: i64) -> rusqlite::Result<()> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        if self.sorting.is_empty() {
            db.prepare_cached("INSERT INTO id_recent VALUES (?1, ?2)")?
                .execute(params![change, bytes_of(&self.fresh)])?;
        } else {
            let unsorted = self.sorting.iter();
            let mut ids: Vec<Id> = unsorted
                .map(|(key, digest)| Id::new(*key, *digest))
                .collect();
            ids.sort_unstable();
            self.runs.add(db, &ids)?;
            db.prepare_cached("DELETE FROM id_recent")?.execute([])?;
            db.prepare_cached("DELETE FROM event_id_run")?.execute([])?;
        }
        self.runs.tend(db, self.fresh.len())
    }
}

fn unpack_old(id: &[u8]) -> Option<(Key, u32)> {
    let (account, rest) = id.split_first_chunk::<8>()?;
    let (hash, rest) = rest.split_first_chunk::<16>()?;
    let (digest, _) = rest.split_first_chunk::<8>()?;
    let name = Name {
        account: i64::from_le_bytes(*account),
        hash: *hash,
    };
    Some((Key::of(&name), i64::from_le_bytes(*digest) as u32))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::sqlite::error::is_unreadable;

    pub(super) fn name(n: u64) -> Name {
        let hash: [u8; 32] = Sha256::digest(n.to_le_bytes()).into();
        let mut name = Name {
            account: (n % 3) as i64,
            hash: [0; 16],
        };
        name.hash.copy_from_slice(&hash[..16]);
        name
    }

    pub(super) fn archive() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        for script in [
            include_str!("schema.sql"),
            include_str!("format2.sql"),
            include_str!("format3.sql"),
            include_str!("format4.sql"),
            include_str!("format9.sql"),
        ] {
            db.execute_batch(script).unwrap();
        }
        db
    }

    fn count(db: &Connection, sql: &str) -> i64 {
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Adds ids by commits of so many; each knows which are new.
    pub(super) fn add(
        ids: &mut Ids,
        db: &Connection,
        change: &mut i64,
        range: std::ops::Range<u64>,
        by: u64,
    ) {
        let mut next = range.start;
        while next < range.end {
            ids.begin(db, *change).unwrap();
            for n in next..range.end.min(next + by) {
                assert_eq!(ids.know(db, &name(n), n as u32).unwrap(), None, "{n}");
            }
            *change += 1;
            ids.finish(db, *change).unwrap();
            next += by;
        }
    }

    fn assert_known(ids: &mut Ids, db: &Connection, change: i64, range: std::ops::Range<u64>) {
        ids.begin(db, change).unwrap();
        for n in range {
            assert_eq!(ids.know(db, &name(n), 0).unwrap(), Some(n as u32), "{n}");
        }
    }

    #[test]
    fn ids_are_known_while_runs_are_merged_and_afterwards() {
        let db = archive();
        let (mut ids, mut change) = (Ids::default(), 0);
        let n_ids = 40 * UNSORTED_IDS_MAX as u64;
        let mut n_done = 0;
        while n_done < n_ids {
            add(&mut ids, &db, &mut change, n_done..n_done + 512, 128);
            n_done += 512;
            let early = n_done / 2;
            assert_known(&mut ids, &db, change, early..early + 16);
        }
        assert_known(&mut ids, &db, change, 0..n_ids);
        assert_eq!(faults(&db).unwrap(), Vec::<String>::new());
        // 40 runs: two of the third level, two of the second, or still on their way there.
        assert!(count(&db, "SELECT max(level) FROM id_run WHERE live = 1") == 2);
        assert!(count(&db, "SELECT count(*) FROM id_run WHERE live = 1") < 12);
        // Nothing is kept twice for long.
        let n_blocks = count(&db, "SELECT count(*) FROM id_block");
        assert!(n_blocks < 2 * (n_ids as i64 / 16), "{n_blocks}");
        db.execute(
            "DELETE FROM id_block WHERE id = (SELECT max(first) FROM id_run WHERE live = 1)",
            [],
        )
        .unwrap();
        assert_eq!(faults(&db).unwrap().len(), 1);
    }

    #[test]
    fn another_process_knows_the_ids_too() {
        let db = archive();
        let (mut ids, mut change) = (Ids::default(), 0);
        let n_ids = 10 * UNSORTED_IDS_MAX as u64;
        add(&mut ids, &db, &mut change, 0..n_ids, 128);
        let mut other = Ids::default();
        assert_known(&mut other, &db, change, 0..n_ids);
        other.begin(&db, change).unwrap();
        for n in n_ids..n_ids + 1_000 {
            assert_eq!(other.know(&db, &name(n), 0).unwrap(), None);
        }
    }

    #[test]
    fn two_processes_that_take_turns_know_the_ids_of_each_other() {
        let db = archive();
        let (mut ours, mut theirs, mut change) = (Ids::default(), Ids::default(), 0);
        let n_ids = 20 * UNSORTED_IDS_MAX as u64;
        for from in (0..n_ids).step_by(256) {
            let ids = if from % 1_024 < 768 {
                &mut ours
            } else {
                &mut theirs
            };
            add(ids, &db, &mut change, from..from + 256, 64);
            assert_known(&mut ours, &db, change, from / 3..from / 3 + 8);
        }
        assert_known(&mut ours, &db, change, 0..n_ids);
        assert_known(&mut theirs, &db, change, 0..n_ids);
        add(&mut ours, &db, &mut change, n_ids..2 * n_ids, 256);
        // A merge that goes on, or has just ended; nothing of those that were broken off.
        assert!(count(&db, "SELECT count(*) FROM id_run WHERE live = 0") <= 4);
    }

    #[test]
    fn what_a_discarded_call_noted_is_new_again() {
        let db = archive();
        let mut ids = Ids::default();
        ids.begin(&db, 0).unwrap();
        assert_eq!(ids.know(&db, &name(1), 1).unwrap(), None);
        let mark = ids.mark();
        assert_eq!(ids.know(&db, &name(2), 2).unwrap(), None);
        ids.undo(mark);
        ids.finish(&db, 1).unwrap();
        ids.begin(&db, 1).unwrap();
        assert_eq!(ids.know(&db, &name(1), 7).unwrap(), Some(1));
        assert_eq!(ids.know(&db, &name(2), 7).unwrap(), None);
    }

    #[test]
    fn a_row_of_ids_that_was_cut_is_named_and_forgets_none() {
        let db = archive();
        let (mut ids, mut change) = (Ids::default(), 0);
        add(&mut ids, &db, &mut change, 0..10, 10);
        for cut in ["substr(ids, 1, 8)", "substr(ids, 1, 24)", "zeroblob(0)"] {
            db.execute_batch("SAVEPOINT whole").unwrap();
            db.execute(&format!("UPDATE id_recent SET ids = {cut}"), [])
                .unwrap();
            assert!(Ids::default().begin(&db, change).is_err(), "{cut}");
            db.execute_batch("ROLLBACK TO whole; RELEASE whole")
                .unwrap();
        }
        assert_known(&mut Ids::default(), &db, change, 0..10);
    }

    #[test]
    fn a_block_that_is_gone_or_cut_is_named_and_forgets_none() {
        let db = archive();
        let (mut ids, mut change) = (Ids::default(), 0);
        let n_ids = UNSORTED_IDS_MAX as u64;
        add(&mut ids, &db, &mut change, 0..n_ids, 128);
        assert_eq!(count(&db, "SELECT count(*) FROM id_run"), 1);
        for damage in [
            "UPDATE id_block SET ids = substr(ids, 1, 24)",
            "DELETE FROM id_block",
        ] {
            db.execute_batch("SAVEPOINT whole").unwrap();
            db.execute(damage, []).unwrap();
            let mut other = Ids::default();
            other.begin(&db, change).unwrap();
            let error = other.know(&db, &name(0), 0).unwrap_err();
            assert!(is_unreadable(&error), "{damage}: {error}");
            db.execute_batch("ROLLBACK TO whole; RELEASE whole")
                .unwrap();
        }
    }

    #[test]
    fn as_many_ids_as_make_a_run_stay_known_when_no_fresh_one_comes() {
        for n_ids in [UNSORTED_IDS_MAX as u64 - 1, UNSORTED_IDS_MAX as u64] {
            let db = archive();
            let row: Vec<u8> = (0..n_ids)
                .flat_map(|n| {
                    let (name, digest) = (name(n), (n as i64).to_le_bytes());
                    [&name.account.to_le_bytes()[..], &name.hash, &digest].concat()
                })
                .collect();
            db.execute("INSERT INTO event_id_run VALUES (1, ?1)", [row])
                .unwrap();
            let mut ids = Ids::default();
            ids.begin(&db, 1).unwrap();
            ids.finish(&db, 1).unwrap();
            assert_known(&mut ids, &db, 1, 0..n_ids);
        }
    }

    #[test]
    fn ids_of_older_formats_are_known() {
        let db = archive();
        let n_ids = 3_000;
        for n in 0..n_ids {
            let name = name(n);
            db.prepare_cached("INSERT INTO event_id VALUES (?1, ?2, ?3)")
                .unwrap()
                // The upper half of a digest is not kept any more.
                .execute(params![name.account, name.hash, n as i64 | 7 << 40])
                .unwrap();
        }
        let mut row = Vec::new();
        for n in n_ids..n_ids + 100 {
            row.extend_from_slice(&name(n).account.to_le_bytes());
            row.extend_from_slice(&name(n).hash);
            row.extend_from_slice(&(n as i64).to_le_bytes());
        }
        db.execute("INSERT INTO event_id_run VALUES (1, ?1)", [row])
            .unwrap();
        let (mut ids, mut change) = (Ids::default(), 1);
        assert_known(&mut ids, &db, change, 0..n_ids + 100);
        // While the filter sees them, and when they have gone into a run.
        add(&mut ids, &db, &mut change, n_ids + 100..3 * n_ids, 128);
        assert_known(&mut ids, &db, change, 0..3 * n_ids);
        assert_eq!(count(&db, "SELECT count(*) FROM event_id_run"), 0);
    }
}
