//! Which events were ever acknowledged: those of late commits in memory and in rows as they came,
//! all others sorted in a table.
//!
//! Ids are random. To write each into its place in a sorted table would dirty a page of the file
//! for every event; so a commit adds one row with all of its ids, and every now and then a part of
//! the key space is sorted in at once. What is in memory can be read again from the rows, and is
//! when another process has written to the archive.

mod filter;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use filter::Filter;
use foldhash::fast::RandomState;
use rusqlite::{Connection, OptionalExtension, params};

/// Ids in memory from which on they are sorted into the table.
const UNSORTED_IDS_MAX: usize = if cfg!(test) { 4 << 10 } else { 64 << 10 };
/// Ids sorted in by one commit, unless more have come.
const SORT_IDS_MIN: usize = if cfg!(test) { 256 } else { 4 << 10 };
/// Bytes of an id in a row.
const ID_BYTES: usize = 32;

/// An account and the hash of an event's id.
pub(super) type Key = (i64, [u8; 16]);

/// What the writer remembers of ids.
#[derive(Default)]
pub(super) struct Ids {
    /// Not yet sorted into the table, or just so; each with the digest of its event.
    unsorted: HashMap<Key, i64, RandomState>,
    /// Which ids may be in the table.
    sorted: Filter,
    /// The commit up to which rows have been read; none before the first transaction.
    read_to: Option<i64>,
    /// Ids of the open transaction, in order.
    fresh: Vec<(Key, i64)>,
    /// What is being sorted in.
    sorting: Option<Sorting>,
}

/// Ids on their way into the table, from the smallest to the largest.
struct Sorting {
    keys: Vec<Key>,
    n_done: usize,
    /// Rows up to this commit have nothing but these keys and sorted ones.
    through: i64,
}

impl Ids {
    /// Forgets everything; it is read again.
    pub(super) fn clear(&mut self) {
        *self = Ids::default();
    }

    /// Brings memory up to date at the start of a transaction that begins at this commit.
    pub(super) fn begin(&mut self, db: &Connection, change: i64) -> rusqlite::Result<()> {
        self.fresh.clear();
        if self.read_to == Some(change) {
            return Ok(());
        }
        // Somebody else has written, or this is the first transaction.
        self.sorted = Filter::default();
        let mut statement = db.prepare_cached("SELECT ids FROM event_id_run WHERE ?1 < change")?;
        let mut rows = statement.query([self.read_to.unwrap_or(-1)])?;
        while let Some(row) = rows.next()? {
            let ids = row.get_ref(0)?.as_blob()?;
            self.unsorted
                .extend(ids.chunks_exact(ID_BYTES).filter_map(unpack));
        }
        self.read_to = Some(change);
        Ok(())
    }

    /// How many ids the open transaction has added: what [`Ids::undo`] goes back to.
    pub(super) fn mark(&self) -> usize {
        self.fresh.len()
    }

    /// Forgets the ids that were added since the mark.
    pub(super) fn undo(&mut self, mark: usize) {
        for (key, _) in self.fresh.drain(mark..) {
            self.unsorted.remove(&key);
        }
    }

    /// The digest of the event with this id; none when it is new, and then it is noted.
    pub(super) fn know(
        &mut self,
        db: &Connection,
        key: Key,
        digest: i64,
    ) -> rusqlite::Result<Option<i64>> {
        let new = match self.unsorted.entry(key) {
            Entry::Occupied(known) => return Ok(Some(*known.get())),
            Entry::Vacant(new) => new,
        };
        if self.sorted.may_have(&key) {
            let known = db
                .prepare_cached("SELECT digest FROM event_id WHERE account = ?1 AND hash = ?2")?
                .query_row(params![key.0, key.1], |row| row.get(0))
                .optional()?;
            if known.is_some() {
                return Ok(known);
            }
        }
        new.insert(digest);
        self.fresh.push((key, digest));
        Ok(None)
    }

    /// Writes the ids of the transaction, as those of this commit, and sorts some others in.
    pub(super) fn finish(&mut self, db: &Connection, change: i64) -> rusqlite::Result<()> {
        if !self.fresh.is_empty() {
            let mut ids = Vec::with_capacity(self.fresh.len() * ID_BYTES);
            for ((account, hash), digest) in &self.fresh {
                ids.extend_from_slice(&account.to_le_bytes());
                ids.extend_from_slice(hash);
                ids.extend_from_slice(&digest.to_le_bytes());
            }
            db.prepare_cached("INSERT INTO event_id_run VALUES (?1, ?2)")?
                .execute(params![change, ids])?;
        }
        if self.sorting.is_none() && UNSORTED_IDS_MAX <= self.unsorted.len() {
            let mut keys: Vec<Key> = self.unsorted.keys().copied().collect();
            keys.sort_unstable();
            self.sorting = Some(Sorting {
                keys,
                n_done: 0,
                through: change,
            });
        }
        self.sort_some(db)?;
        if !self.fresh.is_empty() {
            self.sorted.learn(db, self.fresh.len())?;
        }
        self.read_to = Some(change);
        Ok(())
    }

    /// Sorts in the next ids: neighbours, so that they share pages.
    fn sort_some(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let Some(sorting) = &mut self.sorting else {
            return Ok(());
        };
        // Faster than they come, or there would be no end to it.
        let n = SORT_IDS_MIN.max(2 * self.fresh.len());
        let end = sorting.keys.len().min(sorting.n_done + n);
        let mut insert =
            db.prepare_cached("INSERT INTO event_id VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?;
        for key in &sorting.keys[sorting.n_done..end] {
            if let Some(digest) = self.unsorted.get(key) {
                insert.execute(params![key.0, key.1, digest])?;
                self.sorted.add(key);
            }
        }
        sorting.n_done = end;
        if end < sorting.keys.len() {
            return Ok(());
        }
        db.prepare_cached("DELETE FROM event_id_run WHERE change <= ?1")?
            .execute([sorting.through])?;
        for key in &sorting.keys {
            self.unsorted.remove(key);
        }
        self.sorting = None;
        Ok(())
    }
}

fn unpack(id: &[u8]) -> Option<(Key, i64)> {
    let (account, rest) = id.split_first_chunk::<8>()?;
    let (hash, rest) = rest.split_first_chunk::<16>()?;
    let (digest, _) = rest.split_first_chunk::<8>()?;
    let key = (i64::from_le_bytes(*account), *hash);
    Some((key, i64::from_le_bytes(*digest)))
}
