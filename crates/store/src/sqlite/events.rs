//! Events of a session as they are kept: rows as they came while it runs, one compressed row when it
//! is sealed, and a piece of a group when many are.
//!
//! A group is compressed as one, for sessions are much alike; it lies in a segment file.

use std::io::{Read, Write};

use debrief_domain::limits::SESSION_BYTES_MAX;
use prost::Message;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::refused_or_corrupt;
use super::segment::{Segments, Slot};
use super::{Verdict, Writer};
use crate::StoreError;

const FORM_PLAIN: i64 = 0;
const FORM_DEFLATE: i64 = 1;
const FORM_GROUP: i64 = 2;

/// Sessions of a group: fewer wait until there are as many.
const GROUP_SESSIONS: usize = if cfg!(test) { 4 } else { 256 };
/// Bytes of events from which on a group has enough: whoever wants one session inflates them all.
const GROUP_BYTES: usize = 4 << 20;
/// How hard a group is compressed: higher levels take many times as long and save little.
const GROUP_LEVEL: i32 = 9;

/// Where in a group the events of a row are.
#[derive(Clone, PartialEq, Message)]
struct Share {
    #[prost(int64, tag = "1")]
    segment: i64,
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(uint64, tag = "3")]
    len: u64,
    /// Bytes of the whole group when inflated.
    #[prost(uint64, tag = "4")]
    group_len: u64,
    #[prost(uint64, tag = "5")]
    begin: u64,
    #[prost(uint64, tag = "6")]
    end: u64,
}

/// All events of a session as bytes, in order of arrival.
pub(super) fn events_of(
    db: &Connection,
    segments: &Segments,
    place: i64,
) -> Result<Vec<u8>, StoreError> {
    let mut rows = Vec::new();
    let mut next = last_event(db, place).map_err(refused_or_corrupt)?;
    let mut select = db
        .prepare_cached("SELECT form, bytes, before FROM event WHERE id = ?1")
        .map_err(refused_or_corrupt)?;
    while let Some(id) = next {
        let (form, bytes, before): (i64, Vec<u8>, Option<i64>) = select
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .map_err(refused_or_corrupt)?;
        rows.push(match form {
            FORM_PLAIN => bytes,
            FORM_DEFLATE => inflate(&bytes)?,
            _ => from_group(segments, &bytes)?,
        });
        // Rows are older the farther back: a chain that turned round would never end.
        next = before.filter(|before| *before < id);
    }
    rows.reverse();
    Ok(rows.concat())
}

/// The newest row of a session's events.
fn last_event(db: &Connection, place: i64) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT last_event FROM session WHERE place = ?1")?
        .query_row([place], |row| row.get(0))
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut plain = Vec::new();
    flate2::read::DeflateDecoder::new(bytes)
        .read_to_end(&mut plain)
        .map_err(|error| damaged(Some(error.into())))?;
    Ok(plain)
}

fn from_group(segments: &Segments, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    let share = Share::decode(bytes).map_err(|error| damaged(Some(error.into())))?;
    let len_max = GROUP_BYTES as u64 + SESSION_BYTES_MAX;
    if len_max < share.group_len {
        return Err(damaged(None));
    }
    let group = segments.read(Slot {
        segment: share.segment,
        at: share.at,
        len: share.len,
    })?;
    let group = zstd::bulk::decompress(&group, share.group_len as usize)
        .map_err(|error| damaged(Some(error.into())))?;
    let events = group.get(share.begin as usize..share.end as usize);
    events.map(<[u8]>::to_vec).ok_or_else(|| damaged(None))
}

fn damaged(source: Option<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    let what = "the events of a session".into();
    StoreError::Corrupt { what, source }
}

/// All events of a session, compressed. Made by a reader: the one writer has better things to do.
pub(super) struct Pack {
    /// The newest row that is in it.
    last_event: i64,
    bytes: Vec<u8>,
}

/// Compresses a session's events; none when that is done already, or there are none.
pub(super) fn pack(
    db: &Connection,
    segments: &Segments,
    place: i64,
) -> Result<Option<Pack>, StoreError> {
    let last_event = last_event(db, place)
        .optional()
        .map_err(refused_or_corrupt)?;
    let Some(last_event) = last_event.flatten() else {
        return Ok(None);
    };
    let is_packed: bool = db
        .prepare_cached("SELECT form <> ?2 AND before IS NULL FROM event WHERE id = ?1")
        .and_then(|mut select| select.query_row([last_event, FORM_PLAIN], |row| row.get(0)))
        .map_err(refused_or_corrupt)?;
    if is_packed {
        return Ok(None);
    }
    let events = events_of(db, segments, place)?;
    // Until it is in a group, which is compressed well.
    let level = flate2::Compression::fast();
    let mut deflater = flate2::write::DeflateEncoder::new(Vec::new(), level);
    let packed = deflater.write_all(&events).and_then(|()| deflater.finish());
    // Writing to memory cannot fail; were it to, the plain rows simply stay.
    Ok(packed.ok().map(|bytes| Pack { last_event, bytes }))
}

/// Puts all events of a session into one compressed row, unless more have come.
pub(super) fn put_pack(db: &Connection, place: i64, pack: &Pack) -> rusqlite::Result<()> {
    if last_event(db, place)? != Some(pack.last_event) {
        return Ok(());
    }
    let mut next = last_event(db, place)?;
    while let Some(id) = next {
        let before: Option<i64> = db
            .prepare_cached("SELECT before FROM event WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        db.prepare_cached("DELETE FROM event WHERE id = ?1")?
            .execute([id])?;
        next = before.filter(|before| *before < id);
    }
    db.prepare_cached("INSERT INTO event (place, form, bytes) VALUES (?1, ?2, ?3)")?
        .execute(params![place, FORM_DEFLATE, pack.bytes])?;
    db.prepare_cached("UPDATE session SET last_event = ?2 WHERE place = ?1")?
        .execute([place, db.last_insert_rowid()])?;
    Ok(())
}

/// Compressed rows of several sessions, compressed as one. Made by a reader, as a [`Pack`] is.
pub(super) struct Group {
    bytes: Vec<u8>,
    len: usize,
    /// The rows, their sessions, and where the events of each end; they begin where those before
    /// end.
    rows: Vec<(i64, i64, usize)>,
}

/// Makes a group of the oldest compressed rows; none when there are too few.
pub(super) fn group(db: &Connection) -> Result<Option<Group>, StoreError> {
    // The newest row of its session each, and its only one.
    let rows: Vec<(i64, i64, Vec<u8>)> = db
        .prepare_cached(
            "SELECT e.id, e.place, e.bytes FROM event e JOIN session s ON s.place = e.place \
             WHERE e.form = 1 AND s.last_event = e.id AND e.before IS NULL \
             ORDER BY e.id LIMIT ?1",
        )
        .and_then(|mut select| {
            let rows = select.query_map([GROUP_SESSIONS as i64], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            rows.collect()
        })
        .map_err(refused_or_corrupt)?;
    let mut plain = Vec::new();
    let mut ends = Vec::new();
    for (id, place, bytes) in &rows {
        plain.extend(inflate(bytes)?);
        ends.push((*id, *place, plain.len()));
        if GROUP_BYTES <= plain.len() {
            break;
        }
    }
    if ends.len() < GROUP_SESSIONS && plain.len() < GROUP_BYTES {
        return Ok(None);
    }
    let compressed = zstd::bulk::compress(&plain, GROUP_LEVEL);
    Ok(Some(Group {
        bytes: compressed.map_err(|error| damaged(Some(error.into())))?,
        len: plain.len(),
        rows: ends,
    }))
}

/// Puts a group in place of those rows that are still there. Gives how many.
pub(super) fn put_group(
    writer: &mut Writer<'_>,
    group: &Group,
) -> Result<(Verdict, u64), StoreError> {
    let put = |writer: &mut Writer<'_>| -> rusqlite::Result<u64> {
        let db = writer.db;
        let slot = writer.known.groups.put(db, &group.bytes)?;
        let mut insert =
            db.prepare_cached("INSERT INTO event (place, form, bytes) VALUES (?1, ?2, ?3)")?;
        let mut delete = db.prepare_cached("DELETE FROM event WHERE id = ?1")?;
        let mut update = db.prepare_cached(
            "UPDATE session SET last_event = ?3 WHERE place = ?1 AND last_event = ?2",
        )?;
        let mut begin = 0;
        let mut n_rows = 0;
        for (id, place, end) in &group.rows {
            let share = Share {
                segment: slot.segment,
                at: slot.at,
                len: slot.len,
                group_len: group.len as u64,
                begin: begin as u64,
                end: *end as u64,
            };
            begin = *end;
            // New rows, so that those of a group share pages and the old ones' pages become free. A
            // session to which more has come meanwhile stays as it is: its chain leads to the old.
            insert.execute(params![place, FORM_GROUP, share.encode_to_vec()])?;
            let last_event = db.last_insert_rowid();
            let old = if update.execute([*place, *id, last_event])? == 1 {
                n_rows += 1;
                *id
            } else {
                last_event
            };
            delete.execute([old])?;
        }
        Ok(n_rows)
    };
    let n_rows = put(writer).map_err(refused_or_corrupt)?;
    Ok((Verdict::Keep, n_rows))
}
