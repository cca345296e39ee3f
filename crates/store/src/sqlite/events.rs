//! Events of a session as they are kept: rows as they were settled while it runs, compressed where many
//! are settled at once; one compressed row when it is sealed, and a piece of a group when many are.
//!
//! A group is compressed as one, for sessions are much alike; it lies in a segment file. Of a session whose
//! sealed bytes tell of its events it has only what they do not say; before such bytes go, the events are
//! kept whole.

use std::cell::RefCell;
use std::io::{self, Read, Write};

use debrief_domain::limits::SESSION_BYTES_MAX;
use prost::Message;
use rusqlite::{Connection, OptionalExtension, params};
use zstd::bulk::Decompressor;

use super::error::{as_sqlite, refused_or_corrupt};
use super::segment::{Segments, Slot, Slots};
use super::{Verdict, Writer, body};
use crate::{Retell, StoreError, codec};

const FORM_PLAIN: i64 = 0;
const FORM_DEFLATE: i64 = 1;
const FORM_GROUP: i64 = 2;
const FORM_ZSTD: i64 = 3;
/// A piece of a group, of what the session's sealed bytes do not say of its events.
const FORM_TOLD: i64 = 4;

/// Bytes from which on a settled row is compressed: a shorter one has its page beside others.
pub(super) const PRESSED_BYTES_MIN: usize = if cfg!(test) { 128 } else { 2 << 10 };
/// Bytes of the longest row that was compressed. A longer one stays plain, so that what it becomes when
/// it is read has a limit.
pub(super) const PRESSED_BYTES_MAX: usize = if cfg!(test) { 32 << 10 } else { 64 << 20 };
/// How hard settled rows are compressed: they are written twice and seldom read. Literals stay as they are
/// at this level, which takes two thirds of the time that level 1 does, and an eighth more bytes.
const PRESS_LEVEL: i32 = -1;

/// Sessions of a group: fewer wait until there are as many.
const GROUP_SESSIONS: usize = if cfg!(test) { 4 } else { 256 };
/// Bytes of events from which on a group has enough: whoever wants one session inflates them all.
const GROUP_BYTES: usize = 4 << 20;
/// Bytes of compressed rows that are enough for a group of fewer sessions.
const GROUP_PACKED_BYTES: i64 = GROUP_BYTES as i64 / 4;
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
    slots: &dyn Slots,
    place: i64,
) -> Result<Vec<u8>, StoreError> {
    events_beside(db, slots, &mut Neighbours::default(), place)
}

/// What those who read session after session go on with: neighbours lie in the same group, and to
/// inflate it takes much longer than to find a session in it.
#[derive(Default)]
pub(super) struct Neighbours(Option<(Slot, Vec<u8>)>);

/// All events of a session as bytes, beside those of its neighbours.
pub(super) fn events_beside(
    db: &Connection,
    slots: &dyn Slots,
    neighbours: &mut Neighbours,
    place: i64,
) -> Result<Vec<u8>, StoreError> {
    // Rows and sealed bytes of one moment.
    let moment = match db.is_autocommit() {
        true => Some(db.unchecked_transaction().map_err(refused_or_corrupt)?),
        false => None,
    };
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
            FORM_ZSTD => unpress(&bytes)?,
            FORM_TOLD => whole(db, slots, place, &neighbours.share(slots, &bytes)?)?,
            _ => neighbours.share(slots, &bytes)?,
        });
        // Rows are older the farther back: a chain that turned round would never end.
        next = before.filter(|before| *before < id);
    }
    rows.reverse();
    drop(moment);
    Ok(rows.concat())
}

/// The events of a session, of what its sealed bytes say and what they do not.
fn whole(
    db: &Connection,
    slots: &dyn Slots,
    place: i64,
    rest: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let retell = slots.retell().ok_or_else(|| {
        StoreError::refused("the archive was opened without what retells sealed bytes")
    })?;
    let sealed = match body::held(db, place).map_err(refused_or_corrupt)? {
        Some(slot) => slots.read(slot)?,
        None => body::read(db, slots, place)?.ok_or_else(|| damaged(None))?,
    };
    let lsid: String = db
        .prepare_cached("SELECT lsid FROM session WHERE place = ?1")
        .and_then(|mut select| select.query_row([place], |row| row.get(0)))
        .map_err(refused_or_corrupt)?;
    let events = codec::events_of(rest, &lsid, &retell(&sealed), SESSION_BYTES_MAX as usize);
    events.map_err(|error| damaged(Some(error.into())))
}

/// Whether the sealed bytes of a session are needed by its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    /// What they say of the events could not be read: others must not wait for that.
    SealedBytes,
}

/// Before a session's sealed bytes go: keeps its events without them.
pub(super) fn keep_whole(
    db: &Connection,
    slots: &dyn Slots,
    place: i64,
) -> rusqlite::Result<Needs> {
    let mut select = db.prepare_cached("SELECT form, bytes, before FROM event WHERE id = ?1")?;
    let mut next = last_event(db, place).optional()?.flatten();
    while let Some(id) = next {
        let (form, bytes, before): (i64, Vec<u8>, Option<i64>) =
            select.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        next = before.filter(|before| *before < id);
        if form != FORM_TOLD {
            continue;
        }
        let rest = Neighbours::default().share(slots, &bytes);
        match rest.and_then(|rest| whole(db, slots, place, &rest)) {
            Ok(events) => {
                db.prepare_cached("UPDATE event SET form = ?2, bytes = ?3 WHERE id = ?1")?
                    .execute(params![id, FORM_DEFLATE, deflate(&events)?])?;
            }
            // `verify` names it.
            Err(error) => {
                tracing::error!(%error, place, "events of a session cannot be read");
                return Ok(Needs::SealedBytes);
            }
        }
    }
    body::release(db, place)?;
    Ok(Needs::Nothing)
}

/// The newest row of a session's events.
fn last_event(db: &Connection, place: i64) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT last_event FROM session WHERE place = ?1")?
        .query_row([place], |row| row.get(0))
}

/// Compresses rows that are settled; holds the compressor's memory between them.
pub(super) struct Press(Option<zstd::bulk::Compressor<'static>>);

impl Press {
    pub(super) fn new() -> Press {
        Press(zstd::bulk::Compressor::new(PRESS_LEVEL).ok())
    }

    /// The events compressed; none when they are as well off as they are. They are asked for only where
    /// so many bytes are compressed at all.
    pub(super) fn press(
        &mut self,
        n_bytes: usize,
        events: impl FnOnce() -> Vec<u8>,
    ) -> Option<Packed> {
        if !(PRESSED_BYTES_MIN..=PRESSED_BYTES_MAX).contains(&n_bytes) {
            return None;
        }
        let bytes = self.0.as_mut()?.compress(&events()).ok()?;
        (bytes.len() < n_bytes).then_some(Packed {
            form: FORM_ZSTD,
            bytes,
        })
    }
}

pub(super) fn unpress(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    let len = zstd::zstd_safe::get_frame_content_size(bytes);
    let len = len
        .ok()
        .flatten()
        .filter(|len| *len <= PRESSED_BYTES_MAX as u64);
    let len = len.ok_or_else(|| damaged(None))?;
    decompress(bytes, len as usize)
}

fn decompress(bytes: &[u8], len_max: usize) -> Result<Vec<u8>, StoreError> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    let damaged = |error: io::Error| damaged(Some(error.into()));
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new().map_err(damaged)?),
        };
        decompressor.decompress(bytes, len_max).map_err(damaged)
    })
}

/// Events as a row has them.
pub(super) struct Packed {
    form: i64,
    bytes: Vec<u8>,
}

impl Packed {
    pub(super) fn plain(events: Vec<u8>) -> Packed {
        Packed {
            form: FORM_PLAIN,
            bytes: events,
        }
    }
}

/// Adds a row of events to a session's chain, and gives its number.
pub(super) fn add(
    db: &Connection,
    place: i64,
    packed: &Packed,
    before: Option<i64>,
) -> rusqlite::Result<i64> {
    db.prepare_cached("INSERT INTO event (place, form, bytes, before) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![place, packed.form, packed.bytes, before])?;
    Ok(db.last_insert_rowid())
}

/// Until it is in a group, which is compressed well.
fn deflate(events: &[u8]) -> rusqlite::Result<Vec<u8>> {
    let level = flate2::Compression::fast();
    let mut deflater = flate2::write::DeflateEncoder::new(Vec::new(), level);
    let deflated = deflater.write_all(events).and_then(|()| deflater.finish());
    deflated.map_err(|error| as_sqlite("events", &error))
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut plain = Vec::new();
    flate2::read::DeflateDecoder::new(bytes)
        .read_to_end(&mut plain)
        .map_err(|error| damaged(Some(error.into())))?;
    Ok(plain)
}

impl Neighbours {
    /// The events of a session that lie in a group.
    fn share(&mut self, slots: &dyn Slots, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        let share = Share::decode(bytes).map_err(|error| damaged(Some(error.into())))?;
        // What is kept of a session is no longer than its events; compressed, a group may be a little
        // longer than it is.
        let len_max = GROUP_BYTES as u64 + SESSION_BYTES_MAX;
        if len_max < share.group_len || 2 * len_max < share.len {
            return Err(damaged(None));
        }
        let slot = Slot {
            segment: share.segment,
            at: share.at,
            len: share.len,
        };
        if self.0.as_ref().is_none_or(|(known, _)| *known != slot) {
            let group = slots.read(slot)?;
            let group = decompress(&group, share.group_len as usize)?;
            self.0 = Some((slot, group));
        }
        let group = self.0.as_ref().map_or(&[][..], |(_, group)| group);
        let events = group.get(share.begin as usize..share.end as usize);
        events.map(<[u8]>::to_vec).ok_or_else(|| damaged(None))
    }
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
        .prepare_cached("SELECT form IN (?2, ?3, ?4) AND before IS NULL FROM event WHERE id = ?1")
        .and_then(|mut select| {
            let forms = [last_event, FORM_DEFLATE, FORM_GROUP, FORM_TOLD];
            select.query_row(forms, |row| row.get(0))
        })
        .map_err(refused_or_corrupt)?;
    if is_packed {
        return Ok(None);
    }
    let events = events_of(db, segments, place)?;
    let bytes = deflate(&events).map_err(refused_or_corrupt)?;
    Ok(Some(Pack { last_event, bytes }))
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
    body::release(db, place)?;
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
    members: Vec<Member>,
}

/// A row that goes into a group.
struct Member {
    id: i64,
    place: i64,
    /// The session's last commit: while it is that, the session's events are these.
    change: i64,
    /// The sealed bytes beside which its events are kept, if it is that.
    beside: Option<Slot>,
    /// Where its events end in the group; they begin where those before end.
    end: usize,
}

/// Makes a group of the oldest compressed rows; none when there are too few.
pub(super) fn group(db: &Connection, segments: &Segments) -> Result<Option<Group>, StoreError> {
    // The newest row of its session each, and its only one. Those that are to be sealed anew wait for
    // that.
    let of_sessions = "FROM event e JOIN session s ON s.place = e.place \
         WHERE e.form = 1 AND s.last_event = e.id AND e.before IS NULL \
         AND NOT EXISTS (SELECT 1 FROM unsealed u WHERE u.place = e.place) \
         ORDER BY e.id LIMIT ?1";
    let (n_rows, n_bytes): (i64, i64) = db
        .prepare_cached(&format!(
            "SELECT count(*), coalesce(sum(len), 0) FROM (SELECT length(e.bytes) AS len {of_sessions})"
        ))
        .and_then(|mut select| {
            select.query_row([GROUP_SESSIONS as i64], |row| Ok((row.get(0)?, row.get(1)?)))
        })
        .map_err(refused_or_corrupt)?;
    if n_rows < GROUP_SESSIONS as i64 && n_bytes < GROUP_PACKED_BYTES {
        return Ok(None);
    }
    let mut select = db
        .prepare_cached(&format!(
            "SELECT e.id, e.place, s.change, e.bytes, s.lsid {of_sessions}"
        ))
        .map_err(refused_or_corrupt)?;
    let mut rows = select
        .query([GROUP_SESSIONS as i64])
        .map_err(refused_or_corrupt)?;
    let mut plain = Vec::new();
    let mut members = Vec::new();
    // Row by row: what is held stays small, however large the sessions are.
    let mut n_bytes = 0;
    while n_bytes < GROUP_BYTES
        && let Some(row) = rows.next().map_err(refused_or_corrupt)?
    {
        let member = || -> rusqlite::Result<_> {
            let member = Member {
                id: row.get(0)?,
                place: row.get(1)?,
                change: row.get(2)?,
                beside: None,
                end: 0,
            };
            let sealed = body::row(db, member.place)?;
            let sealed = sealed.filter(|sealed| sealed.change == member.change);
            Ok((
                member,
                row.get_ref(3)?.as_blob()?,
                row.get_ref(4)?.as_str()?,
                sealed,
            ))
        };
        let (mut member, bytes, lsid, sealed) = member().map_err(refused_or_corrupt)?;
        // The others must not wait for a session that is damaged, which `verify` names.
        let Ok(events) = inflate(bytes) else {
            continue;
        };
        n_bytes += events.len();
        let rest = match (&sealed, segments.retell()) {
            (Some(sealed), Some(retell)) => {
                rest(&events, lsid, retell, segments.read(sealed.slot))?
            }
            (None, _) | (_, None) => None,
        };
        member.beside = rest
            .is_some()
            .then(|| sealed.map(|sealed| sealed.slot))
            .flatten();
        plain.extend(rest.unwrap_or(events));
        member.end = plain.len();
        members.push(member);
    }
    if members.is_empty() {
        return Ok(None);
    }
    let compressed = zstd::bulk::compress(&plain, GROUP_LEVEL);
    Ok(Some(Group {
        bytes: compressed.map_err(|error| damaged(Some(error.into())))?,
        len: plain.len(),
        members,
    }))
}

/// What sealed bytes do not say of these events, if that is less than all.
fn rest(
    events: &[u8],
    lsid: &str,
    retell: Retell,
    sealed: Result<Vec<u8>, StoreError>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let told = match sealed {
        Ok(sealed) => retell(&sealed),
        // Nor for one whose sealed bytes are.
        Err(StoreError::Corrupt { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    if told.is_empty() {
        return Ok(None);
    }
    let rest = codec::rest_of(events, lsid, &told);
    Ok(rest.filter(|rest| rest.len() < events.len()))
}

/// Puts a group in place of the rows of those sessions to which nothing has come since. Gives how
/// many.
pub(super) fn put_group(
    writer: &mut Writer<'_>,
    group: &Group,
) -> Result<(Verdict, u64), StoreError> {
    let n_sessions = put_members(writer, group).map_err(refused_or_corrupt)?;
    Ok((Verdict::Keep, n_sessions))
}

fn put_members(writer: &mut Writer<'_>, group: &Group) -> rusqlite::Result<u64> {
    let db = writer.db;
    let slot = writer.known.tails.groups.put(db, &group.bytes)?;
    // The number of a row says little by itself: that of the newest is given again once it is gone.
    let mut is_as_it_was = db.prepare_cached(
        "SELECT 1 FROM session WHERE place = ?1 AND last_event = ?2 AND change = ?3",
    )?;
    let mut insert =
        db.prepare_cached("INSERT INTO event (place, form, bytes) VALUES (?1, ?2, ?3)")?;
    let mut delete = db.prepare_cached("DELETE FROM event WHERE id = ?1")?;
    let mut update = db.prepare_cached("UPDATE session SET last_event = ?2 WHERE place = ?1")?;
    let mut begin = 0;
    let mut n_sessions = 0;
    for member in &group.members {
        let share = Share {
            segment: slot.segment,
            at: slot.at,
            len: slot.len,
            group_len: group.len as u64,
            begin: begin as u64,
            end: member.end as u64,
        };
        begin = member.end;
        let sealed = body::row(db, member.place)?.map(|row| row.slot);
        if !is_as_it_was.exists([member.place, member.id, member.change])?
            || member.beside.is_some() && member.beside != sealed
        {
            continue;
        }
        let form = match member.beside {
            Some(_) => FORM_TOLD,
            None => FORM_GROUP,
        };
        // New rows, so that those of a group share pages and the old ones' pages become free.
        insert.execute(params![member.place, form, share.encode_to_vec()])?;
        update.execute([member.place, db.last_insert_rowid()])?;
        delete.execute([member.id])?;
        n_sessions += 1;
    }
    Ok(n_sessions)
}
