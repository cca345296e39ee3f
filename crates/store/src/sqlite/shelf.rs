//! Shelves: neighbours in time, and where their sealed bytes lie, in one row. A report over time
//! would otherwise step through two rows for each session.
//!
//! They say nothing that the index and the rows of sealed bytes do not say, and are made by the
//! sweeper. Whoever changes one of those empties the shelf in the same transaction.

use prost::Message;
use rusqlite::{Connection, OptionalExtension, params};

use super::pick::kind;
use super::row::PLACE_BITS;
use super::segment::Slot;
use super::{Writer, body, sheaf};
use crate::reading::Key;

/// Sessions of a shelf.
const SHELF_SESSIONS: usize = if cfg!(test) { 3 } else { 64 };
/// Sessions of a new shelf that may not be sealed yet: the others do not wait for those.
const SHELF_UNSEALED_MAX: usize = if cfg!(test) { 1 } else { 4 };
/// Sessions from which on, counted with those behind it, a new shelf waits for none: whatever keeps
/// some from being sealed must not keep all others from their shelves.
const SHELF_WAITS_MAX: usize = 4 * SHELF_SESSIONS;
/// Shelves that are filled in one commit.
const SHELVES_AT_ONCE: usize = if cfg!(test) { 1 } else { 16 };
/// Less than any key of a session, and more.
const BEFORE_ALL: Key = (i64::MIN, 0, 0);
const BEHIND_ALL: Key = (i64::MAX, i64::MAX, i64::MAX);

/// A session on a shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Key,
    /// None when the session was not sealed.
    pub(super) row: Option<body::Row>,
}

/// The entries as they are kept, a column each; numbers as their difference to the one before, where
/// that is small.
#[derive(Clone, PartialEq, Message)]
struct Columns {
    #[prost(sint64, repeated, tag = "1")]
    at: Vec<i64>,
    #[prost(sint64, repeated, tag = "2")]
    lseq: Vec<i64>,
    /// As difference to the first place of the second.
    #[prost(sint64, repeated, tag = "3")]
    place: Vec<i64>,
    #[prost(sint64, repeated, tag = "4")]
    change: Vec<i64>,
    #[prost(sint64, repeated, tag = "5")]
    names: Vec<i64>,
    #[prost(sint64, repeated, tag = "6")]
    segment: Vec<i64>,
    /// As difference to the end of the one before.
    #[prost(sint64, repeated, tag = "7")]
    begin: Vec<i64>,
    /// 0 where the session was not sealed: nothing is sealed in no bytes.
    #[prost(uint64, repeated, tag = "8")]
    len: Vec<u64>,
}

/// The numbers that the next ones are differences to.
#[derive(Default)]
struct Before {
    at: i64,
    lseq: i64,
    change: i64,
    names: i64,
    segment: i64,
    end: i64,
}

impl Columns {
    /// No entries, and room for those of a shelf: both threads that read reports would otherwise ask
    /// for memory dozens of times a page, and wait for each other.
    fn with_room() -> Columns {
        let column = || Vec::with_capacity(SHELF_SESSIONS);
        Columns {
            at: column(),
            lseq: column(),
            place: column(),
            change: column(),
            names: column(),
            segment: column(),
            begin: column(),
            len: Vec::with_capacity(SHELF_SESSIONS),
        }
    }
}

fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut columns = Columns::with_room();
    let mut before = Before::default();
    for Entry { key, row } in entries {
        let (at, lseq, place) = *key;
        columns.at.push(at.wrapping_sub(before.at));
        columns.lseq.push(lseq.wrapping_sub(before.lseq));
        columns.place.push(place.wrapping_sub(at << PLACE_BITS));
        (before.at, before.lseq) = (at, lseq);
        let Some(row) = row else {
            columns.len.push(0);
            continue;
        };
        let slot = row.slot;
        let begin = slot.at as i64;
        columns.change.push(row.change.wrapping_sub(before.change));
        columns.names.push(row.names.wrapping_sub(before.names));
        columns
            .segment
            .push(slot.segment.wrapping_sub(before.segment));
        columns.begin.push(begin.wrapping_sub(before.end));
        columns.len.push(slot.len);
        (before.change, before.names) = (row.change, row.names);
        (before.segment, before.end) = (slot.segment, begin + slot.len as i64);
    }
    columns.encode_to_vec()
}

/// The entries of a row; none when it is damaged.
fn unpack(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut columns = Columns::with_room();
    columns.merge(bytes).ok()?;
    let n = columns.at.len();
    let n_sealed = columns.len.iter().filter(|len| **len != 0).count();
    let is_whole = [&columns.lseq, &columns.place].iter().all(|c| c.len() == n)
        && columns.len.len() == n
        && [
            &columns.change,
            &columns.names,
            &columns.segment,
            &columns.begin,
        ]
        .iter()
        .all(|c| c.len() == n_sealed);
    if !is_whole {
        return None;
    }
    let mut before = Before::default();
    let mut sealed = 0..n_sealed;
    let entry = |idx: usize| {
        before.at = before.at.wrapping_add(columns.at[idx]);
        before.lseq = before.lseq.wrapping_add(columns.lseq[idx]);
        let place = (before.at << PLACE_BITS).wrapping_add(columns.place[idx]);
        let len = columns.len[idx];
        let row = (len != 0).then(|| sealed.next()).flatten().map(|idx| {
            before.change = before.change.wrapping_add(columns.change[idx]);
            before.names = before.names.wrapping_add(columns.names[idx]);
            before.segment = before.segment.wrapping_add(columns.segment[idx]);
            let begin = before.end.wrapping_add(columns.begin[idx]);
            before.end = begin.wrapping_add(len as i64);
            body::Row {
                place,
                change: before.change,
                names: before.names,
                slot: Slot {
                    segment: before.segment,
                    at: begin as u64,
                    len,
                },
            }
        });
        Entry {
            key: (before.at, before.lseq, place),
            row,
        }
    };
    Some((0..n).map(entry).collect())
}

/// What stands next in the order of starts.
pub(super) enum Next {
    /// A shelf with these entries, the last of them, or the place where it would be, under this key.
    Shelf(Vec<Entry>, Key),
    /// No shelf that could be used up to this key: the index has it.
    Index(Key),
    /// The same, and there should be one.
    Damaged(Key),
    /// No shelf at all from here on.
    End,
}

/// The shelf behind this key, for a reading of this moment.
pub(super) fn next(db: &Connection, after: Key, bound: i64) -> rusqlite::Result<Next> {
    let mut select = db.prepare_cached(
        "SELECT last_at, last_lseq, last_place, change, rows FROM shelf \
         WHERE (last_at, last_lseq, last_place) > (?1, ?2, ?3) \
         ORDER BY last_at, last_lseq, last_place LIMIT 1",
    )?;
    let mut rows = select.query(params![after.0, after.1, after.2])?;
    let Some(row) = rows.next()? else {
        return Ok(Next::End);
    };
    let last = (row.get(0)?, row.get(1)?, row.get(2)?);
    match row.get::<_, Option<i64>>(3)? {
        // What it had lost since an earlier moment is in the index.
        Some(change) if change <= bound => Ok(match unpack(row.get_ref(4)?.as_blob()?) {
            Some(entries) => Next::Shelf(entries, last),
            None => {
                let secs = last.0;
                tracing::error!("the shelf up to second {secs} is damaged: reports do without");
                Next::Damaged(last)
            }
        }),
        Some(_) | None => Ok(Next::Index(last)),
    }
}

/// Empties the shelf on which a session with this key is, or would be.
pub(super) fn empty(db: &Connection, key: Key) -> rusqlite::Result<()> {
    empty_each(db, [key])
}

/// The same for several sessions, in order.
pub(super) fn empty_each(
    db: &Connection,
    keys: impl IntoIterator<Item = Key>,
) -> rusqlite::Result<()> {
    // The last place of the shelf that was emptied last.
    let mut emptied = BEFORE_ALL;
    for key in keys {
        if key <= emptied {
            continue;
        }
        let shelf = db
            .prepare_cached(
                "SELECT last_at, last_lseq, last_place, id, rows IS NOT NULL FROM shelf \
                 WHERE (last_at, last_lseq, last_place) >= (?1, ?2, ?3) \
                 ORDER BY last_at, last_lseq, last_place LIMIT 1",
            )?
            .query_row(params![key.0, key.1, key.2], |row| {
                let last = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok((last, row.get::<_, i64>(3)?, row.get::<_, bool>(4)?))
            })
            .optional()?;
        let Some((last, id, is_full)) = shelf else {
            return Ok(());
        };
        emptied = last;
        if is_full {
            db.prepare_cached("UPDATE shelf SET change = NULL, rows = NULL WHERE id = ?1")?
                .execute([id])?;
        }
    }
    Ok(())
}

/// The same for the session at this place.
pub(super) fn empty_at(db: &Connection, place: i64) -> rusqlite::Result<()> {
    let key = db
        .prepare_cached("SELECT start, lseq FROM session WHERE place = ?1")?
        .query_row([place], |row| Ok((row.get(0)?, row.get(1)?, place)))
        .optional()?;
    key.map_or(Ok(()), |key| empty(db, key))
}

/// Fills empty shelves, and puts up new ones behind the last. Gives how many sessions are on them.
pub(super) fn fill(writer: &Writer<'_>) -> rusqlite::Result<u64> {
    let db = writer.db;
    let empty: Vec<(i64, Key)> = db
        .prepare_cached(
            "SELECT id, last_at, last_lseq, last_place FROM shelf WHERE rows IS NULL \
             ORDER BY id LIMIT ?1",
        )?
        .query_map([SHELVES_AT_ONCE as i64], |row| {
            Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)))
        })?
        .collect::<Result<_, _>>()?;
    let mut n_sessions = 0;
    let mut n_left = SHELVES_AT_ONCE;
    for (id, last) in empty {
        n_sessions += fill_again(writer, id, last, &mut n_left)?;
    }
    for _ in 0..n_left {
        let after = last_before(db, BEHIND_ALL)?;
        let shelved = entries(db, after, BEHIND_ALL, SHELF_SESSIONS)?;
        let Some(last) = shelved.get(SHELF_SESSIONS - 1) else {
            break;
        };
        let n_unsealed = shelved.iter().filter(|entry| entry.row.is_none()).count();
        if SHELF_UNSEALED_MAX < n_unsealed
            && entries(db, after, BEHIND_ALL, SHELF_WAITS_MAX)?.len() < SHELF_WAITS_MAX
        {
            break;
        }
        put(writer, None, last.key, &shelved)?;
        n_sessions += shelved.len() as u64;
    }
    Ok(n_sessions)
}

/// Fills a shelf with what belongs on it now. Where that is too much for one, others are put up
/// before it; where it is too much for one commit, it stays empty for now.
fn fill_again(
    writer: &Writer<'_>,
    id: i64,
    last: Key,
    n_left: &mut usize,
) -> rusqlite::Result<u64> {
    let db = writer.db;
    let mut after = last_before(db, last)?;
    let mut n_sessions = 0;
    while 0 < *n_left {
        *n_left -= 1;
        // One more says whether it is enough.
        let mut shelved = entries(db, after, last, SHELF_SESSIONS + 1)?;
        if shelved.len() <= SHELF_SESSIONS {
            put(writer, Some(id), last, &shelved)?;
            // An empty one counts too, for it is filled with nothing.
            return Ok(n_sessions + shelved.len().max(1) as u64);
        }
        shelved.truncate(SHELF_SESSIONS);
        after = shelved[SHELF_SESSIONS - 1].key;
        put(writer, None, after, &shelved)?;
        n_sessions += shelved.len() as u64;
    }
    Ok(n_sessions)
}

fn put(writer: &Writer<'_>, id: Option<i64>, last: Key, entries: &[Entry]) -> rusqlite::Result<()> {
    writer
        .db
        .prepare_cached("INSERT OR REPLACE INTO shelf VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            id,
            last.0,
            last.1,
            last.2,
            writer.change,
            pack(entries)
        ])?;
    Ok(())
}

/// The last key of the last shelf before this key.
fn last_before(db: &Connection, key: Key) -> rusqlite::Result<Key> {
    let last = db
        .prepare_cached(
            "SELECT last_at, last_lseq, last_place FROM shelf \
             WHERE (last_at, last_lseq, last_place) < (?1, ?2, ?3) \
             ORDER BY last_at DESC, last_lseq DESC, last_place DESC LIMIT 1",
        )?
        .query_row(params![key.0, key.1, key.2], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    Ok(last.unwrap_or(BEFORE_ALL))
}

/// So many living entries of the index behind this key and up to that one.
fn entries(db: &Connection, after: Key, last: Key, n_max: usize) -> rusqlite::Result<Vec<Entry>> {
    let until = last.0.saturating_add(1);
    let mut keys = sheaf::keys(db, (kind::ALL, 0), after, until, i64::MAX, n_max)?;
    keys.retain(|key| *key <= last);
    let mut rows = body::Rows::of(db)?;
    let entry = |key: Key| {
        // Nothing is sealed in no bytes: where they were, they would be looked for.
        let row = rows.get(key.2)?.filter(|row| row.slot.len != 0);
        Ok(Entry { key, row })
    };
    keys.into_iter().map(entry).collect()
}

/// Shelves that do not have what the index and the rows of sealed bytes say.
pub(super) fn faults(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut after = BEFORE_ALL;
    loop {
        // Shelf and index as of one moment, whatever the sweeper does.
        let transaction = db.unchecked_transaction()?;
        let last = match next(db, after, i64::MAX)? {
            Next::End => return Ok(faults),
            Next::Index(last) => last,
            Next::Damaged(last) => {
                let secs = last.0;
                faults.push(format!("the shelf up to second {secs} cannot be read"));
                last
            }
            Next::Shelf(shelved, last) => {
                // One more says whether it lacks any.
                if shelved != entries(db, after, last, shelved.len() + 1)? {
                    let secs = last.0;
                    faults.push(format!(
                        "the shelf up to second {secs} has not what the index has"
                    ));
                }
                last
            }
        };
        transaction.commit()?;
        after = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64, lseq: i64, slot: Option<(i64, u64, u64)>) -> Entry {
        let place = (at << PLACE_BITS) + lseq % 3;
        Entry {
            key: (at, lseq, place),
            row: slot.map(|(segment, at, len)| body::Row {
                place,
                change: lseq * 7,
                names: 2,
                slot: Slot { segment, at, len },
            }),
        }
    }

    #[test]
    fn entries_come_back_as_they_were() {
        let entries = [
            entry(1_700_000_000, 5, Some((1, 0, 10))),
            entry(1_700_000_000, 6, None),
            entry(1_700_000_009, 4, Some((1, 10, 3_000))),
            entry(1_800_000_000, 1 << 50, Some((2, 1 << 40, 1))),
        ];
        assert_eq!(unpack(&pack(&entries)).unwrap(), entries);
        assert_eq!(unpack(&pack(&[])).unwrap(), []);
    }

    #[test]
    fn neighbours_take_few_bytes() {
        let entries: Vec<Entry> = (0..64)
            .map(|n| {
                entry(
                    1_700_000_000 + 60 * n,
                    n,
                    Some((1, 3_000 * n as u64, 3_000)),
                )
            })
            .collect();
        assert!(pack(&entries).len() < 64 * 12);
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let bytes = pack(&[entry(1, 1, Some((1, 0, 10))), entry(2, 2, None)]);
        let columns = Columns::decode(&bytes[..]).unwrap();
        for cut in 0..4 {
            let mut columns = columns.clone();
            match cut {
                0 => drop(columns.at.pop()),
                1 => drop(columns.change.pop()),
                2 => drop(columns.len.pop()),
                _ => columns.begin.push(1),
            }
            assert!(unpack(&columns.encode_to_vec()).is_none(), "{cut}");
        }
        assert!(unpack(&bytes[..bytes.len() - 1]).is_none());
    }
}
