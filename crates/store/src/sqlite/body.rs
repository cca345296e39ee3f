//! Sealed bytes of sessions: small rows in the database, the bytes in segment files.

use std::cell::RefCell;

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::error::refused_or_corrupt;
use super::events::{self, Needs};
use super::segment::{self, Segments, Slot, Slots};
use super::{Verdict, Writer, shelf};
use crate::StoreError;

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) place: i64,
    pub(super) change: i64,
    pub(super) names: i64,
    pub(super) slot: Slot,
}

impl Row {
    /// Out of the columns place, change, names, segment, at and len.
    pub(super) fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
        Ok(Row {
            place: row.get(0)?,
            change: row.get(1)?,
            names: row.get(2)?,
            slot: Slot {
                segment: row.get(3)?,
                at: row.get::<_, i64>(4)? as u64,
                len: row.get::<_, i64>(5)? as u64,
            },
        })
    }
}

/// Keeps sealed bytes, in place of any that are there.
pub(super) fn put(
    writer: &mut Writer<'_>,
    place: i64,
    shown: (i64, i64),
    bytes: &[u8],
) -> rusqlite::Result<()> {
    forget(writer.db, &writer.known.tails, place)?;
    add(writer, place, shown, bytes)
}

/// Keeps the bytes that are there in another place.
fn put_same(
    writer: &mut Writer<'_>,
    place: i64,
    shown: (i64, i64),
    bytes: &[u8],
) -> rusqlite::Result<()> {
    let db = writer.db;
    if let Some(row) = row(db, place)? {
        segment::forget(db, row.slot)?;
    }
    delete(db, place)?;
    add(writer, place, shown, bytes)
}

fn add(
    writer: &mut Writer<'_>,
    place: i64,
    (change, names): (i64, i64),
    bytes: &[u8],
) -> rusqlite::Result<()> {
    let db = writer.db;
    shelf::empty_at(db, place)?;
    let slot = writer.known.tails.sealed.put(db, bytes)?;
    db.prepare_cached("INSERT INTO body VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            place,
            change,
            names,
            slot.segment,
            slot.at as i64,
            slot.len as i64
        ])?;
    Ok(())
}

/// Forgets the sealed bytes of a session, if it has any.
pub(super) fn drop(db: &Connection, slots: &dyn Slots, place: i64) -> rusqlite::Result<()> {
    if forget(db, slots, place)? {
        shelf::empty_at(db, place)?;
    }
    Ok(())
}

/// Forgets them, and says whether a shelf may still have their row.
fn forget(db: &Connection, slots: &dyn Slots, place: i64) -> rusqlite::Result<bool> {
    let row = row(db, place)?;
    if let Some(row) = row {
        let needs = events::keep_whole(db, slots, place)?;
        if needs == Needs::SealedBytes && held(db, place)?.is_none() {
            hold(db, place, row.slot)?;
        } else {
            segment::forget(db, row.slot)?;
        }
    }
    delete(db, place)?;
    Ok(row.is_some())
}

fn delete(db: &Connection, place: i64) -> rusqlite::Result<()> {
    for delete in [
        "DELETE FROM body WHERE place = ?1",
        "DELETE FROM body_inline WHERE place = ?1",
    ] {
        db.prepare_cached(delete)?.execute([place])?;
    }
    Ok(())
}

/// Keeps bytes that are no session's any more, for what they say of its events.
fn hold(db: &Connection, place: i64, slot: Slot) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO held VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            place,
            slot.segment,
            slot.at as i64,
            slot.len as i64
        ])?;
    Ok(())
}

/// The bytes that are kept for a session's events.
pub(super) fn held(db: &Connection, place: i64) -> rusqlite::Result<Option<Slot>> {
    db.prepare_cached("SELECT segment, at, len FROM held WHERE place = ?1")?
        .query_row([place], |row| {
            Ok(Slot {
                segment: row.get(0)?,
                at: row.get::<_, i64>(1)? as u64,
                len: row.get::<_, i64>(2)? as u64,
            })
        })
        .optional()
}

/// Forgets them, for the events are whole.
pub(super) fn release(db: &Connection, place: i64) -> rusqlite::Result<()> {
    if let Some(slot) = held(db, place)? {
        segment::forget(db, slot)?;
        db.prepare_cached("DELETE FROM held WHERE place = ?1")?
            .execute([place])?;
    }
    Ok(())
}

/// Puts a session's sealed bytes behind all others.
#[cfg(test)]
pub(super) fn move_away(writer: &mut Writer<'_>, place: i64) -> Result<(), StoreError> {
    let row = row(writer.db, place).map_err(refused_or_corrupt)?;
    let row = row.ok_or_else(|| StoreError::corrupt("no sealed bytes"))?;
    let bytes = writer.known.tails.read(row.slot)?;
    put_same(writer, place, (row.change, row.names), &bytes).map_err(refused_or_corrupt)
}

/// Looks up one row after the other: who asks for many finds the statement once.
pub(super) struct Rows<'c>(CachedStatement<'c>);

impl<'c> Rows<'c> {
    pub(super) fn of(db: &'c Connection) -> rusqlite::Result<Rows<'c>> {
        let sql = "SELECT place, change, names, segment, at, len FROM body WHERE place = ?1";
        db.prepare_cached(sql).map(Rows)
    }

    /// The row of a session whose sealed bytes are in a file.
    pub(super) fn get(&mut self, place: i64) -> rusqlite::Result<Option<Row>> {
        self.0.query_row([place], Row::of).optional()
    }
}

/// The row of a session whose sealed bytes are in a file.
pub(super) fn row(db: &Connection, place: i64) -> rusqlite::Result<Option<Row>> {
    Rows::of(db)?.get(place)
}

/// Sealed bytes that are still in the database, with their change and names.
pub(super) fn inline(db: &Connection, place: i64) -> rusqlite::Result<Option<(Vec<u8>, i64, i64)>> {
    db.prepare_cached("SELECT sealed, change, names FROM body_inline WHERE place = ?1")?
        .query_row([place], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
}

/// The sealed bytes of a session.
pub(super) fn read(
    db: &Connection,
    slots: &dyn Slots,
    place: i64,
) -> Result<Option<Vec<u8>>, StoreError> {
    match row(db, place).map_err(refused_or_corrupt)? {
        Some(row) => Ok(Some(slots.read(row.slot)?)),
        None => {
            let inline = inline(db, place).map_err(refused_or_corrupt)?;
            Ok(inline.map(|(bytes, _, _)| bytes))
        }
    }
}

/// Bytes read from a file at once, where what is wanted of them lies close together.
const WINDOW_BYTES_MAX: u64 = 256 << 10;
/// Bytes from which on it is not worth while to read fewer, because fewer are wanted.
pub(super) const WINDOW_BYTES_MIN: u64 = if cfg!(test) { 64 } else { 16 << 10 };

thread_local! {
    /// What a reader reads into. What one long session takes is given back.
    static WINDOW: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Calls `show` with the bytes of each row, in order, until it says no more, which is likely after so
/// many bytes. Rows whose bytes lie one behind the other are read together.
pub(super) fn read_each(
    segments: &Segments,
    rows: &[Row],
    room: u64,
    show: impl FnMut(usize, &[u8]) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    WINDOW.with_borrow_mut(|window| {
        let result = read_through(window, segments, rows, room, show);
        window.truncate(WINDOW_BYTES_MAX as usize);
        window.shrink_to(WINDOW_BYTES_MAX as usize);
        result
    })
}

fn read_through(
    window: &mut Vec<u8>,
    segments: &Segments,
    rows: &[Row],
    mut room: u64,
    mut show: impl FnMut(usize, &[u8]) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut idx = 0;
    while idx < rows.len() {
        let n = n_together(&rows[idx..], room.max(WINDOW_BYTES_MIN));
        let together = &rows[idx..idx + n];
        let (first, last) = (together[0].slot, together[n - 1].slot);
        let n_bytes = (last.at + last.len - first.at) as usize;
        if window.len() < n_bytes {
            window.resize(n_bytes, 0);
        }
        segments.read_into(first.segment, first.at, &mut window[..n_bytes])?;
        for row in together {
            let begin = (row.slot.at - first.at) as usize;
            let bytes = &window[begin..begin + row.slot.len as usize];
            if !show(idx, bytes)? {
                return Ok(());
            }
            idx += 1;
            room = room.saturating_sub(row.slot.len);
        }
    }
    Ok(())
}

/// How many of these rows, at least one, are best read at once: those that follow each other in
/// one file, with no more bytes of others between than of their own, up to so many bytes.
fn n_together(rows: &[Row], room: u64) -> usize {
    let first = rows[0].slot;
    let (mut n, mut end, mut wanted) = (1, first.at + first.len, first.len);
    for row in &rows[1..] {
        let slot = row.slot;
        if room <= wanted {
            break;
        }
        let span = (slot.at + slot.len).saturating_sub(first.at);
        wanted += slot.len;
        if slot.segment != first.segment
            || slot.at < end
            || WINDOW_BYTES_MAX < span
            || wanted * 2 < span
        {
            break;
        }
        end = slot.at + slot.len;
        n += 1;
    }
    n
}

/// Moves some bytes out of the database, and out of files that are mostly empty. Gives how many
/// sessions' bytes were moved: none when there is nothing to do.
pub(super) fn tidy(
    writer: &mut Writer<'_>,
    segments: &Segments,
    n_max: usize,
) -> Result<(Verdict, u64), StoreError> {
    let db = writer.db;
    let inline = inline_places(db, n_max).map_err(refused_or_corrupt)?;
    for place in &inline {
        if let Some((bytes, change, names)) =
            self::inline(db, *place).map_err(refused_or_corrupt)?
        {
            put_same(writer, *place, (change, names), &bytes).map_err(refused_or_corrupt)?;
        }
    }
    if !inline.is_empty() {
        return Ok((Verdict::Keep, inline.len() as u64));
    }
    let Some(sparse) = segment::sparse(db).map_err(refused_or_corrupt)? else {
        return Ok((Verdict::Keep, 0));
    };
    let rows = rows_in(db, sparse, n_max).map_err(refused_or_corrupt)?;
    for row in &rows {
        let bytes = segments.read(row.slot)?;
        put_same(writer, row.place, (row.change, row.names), &bytes).map_err(refused_or_corrupt)?;
    }
    Ok((Verdict::Keep, rows.len() as u64))
}

fn inline_places(db: &Connection, n_max: usize) -> rusqlite::Result<Vec<i64>> {
    db.prepare_cached("SELECT place FROM body_inline ORDER BY place LIMIT ?1")?
        .query_map([n_max as i64], |row| row.get(0))?
        .collect()
}

fn rows_in(db: &Connection, segment: i64, n_max: usize) -> rusqlite::Result<Vec<Row>> {
    db.prepare_cached(
        "SELECT place, change, names, segment, at, len FROM body WHERE segment = ?1 \
         ORDER BY place LIMIT ?2",
    )?
    .query_map(params![segment, n_max as i64], Row::of)?
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_is_wanted() {
        let row = |n: u64| Row {
            place: n as i64,
            change: 1,
            names: 1,
            slot: Slot {
                segment: 1,
                at: 100 * n,
                len: 100,
            },
        };
        let rows: Vec<Row> = (0..4).map(row).collect();
        for (room, n) in [
            (0, 1),
            (100, 1),
            (101, 2),
            (300, 3),
            (301, 4),
            (u64::MAX, 4),
        ] {
            assert_eq!(n_together(&rows, room), n, "{room}");
        }
        let rows: Vec<Row> = (0..2).map(|n| row(n * 3)).collect();
        assert_eq!(
            n_together(&rows, u64::MAX),
            2,
            "as much of others as of their own is read too"
        );
        let rows: Vec<Row> = (0..2).map(|n| row(n * 4)).collect();
        assert_eq!(n_together(&rows, u64::MAX), 1);
    }
}
