//! The row of a session, and the place where it is kept.

use debrief_domain::Lsid;
use rusqlite::{Connection, OptionalExtension};

use super::error::unreadable;
use crate::codec::Facts;

/// How exactly it is known when a session was heard of, in milliseconds: it may have been so much
/// later.
pub(super) const HEARD_MILLIS: i64 = 1_000;

/// A place for a session that began in this second: the first one free.
pub(super) fn new_place(db: &Connection, start: i64) -> rusqlite::Result<i64> {
    let mut first = start << PLACE_BITS;
    loop {
        let end = first + (1 << PLACE_BITS);
        let last: Option<i64> = db
            .prepare_cached("SELECT max(place) FROM session WHERE ?1 <= place AND place < ?2")?
            .query_row([first, end], |row| row.get(0))?;
        match last {
            None => return Ok(first),
            Some(last) if last + 1 < end => return Ok(last + 1),
            Some(_) => first = end,
        }
    }
}

/// Places of one second; a million sessions that begin in the same second take the next one's.
pub(super) const PLACE_BITS: u32 = 20;

/// A session's row.
pub(super) struct Row {
    pub(super) place: i64,
    pub(super) lseq: i64,
    pub(super) is_imported: bool,
    pub(super) start: i64,
    pub(super) ended: Option<i64>,
    pub(super) n_events: u64,
    pub(super) heard: i64,
    pub(super) is_over: bool,
    pub(super) last_event: Option<i64>,
    pub(super) facts: Facts,
}

/// The row of this session, if the archive has it.
pub(super) fn row(db: &Connection, lsid: &Lsid) -> rusqlite::Result<Option<Row>> {
    db.prepare_cached(
        "SELECT place, lseq, origin, start, ended, n_events, facts, heard, state, last_event \
         FROM session WHERE lsid = ?1",
    )?
    .query_row([lsid.as_str()], |row| {
        let n_events: i64 = row.get(5)?;
        Ok(Row {
            place: row.get(0)?,
            lseq: row.get(1)?,
            is_imported: row.get::<_, i64>(2)? == 1,
            start: row.get(3)?,
            ended: row.get(4)?,
            n_events: n_events as u64,
            heard: row.get(7)?,
            is_over: row.get::<_, i64>(8)? != 0,
            last_event: row.get(9)?,
            facts: Facts::read(row.get_ref(6)?.as_blob()?).map_err(unreadable)?,
        })
    })
    .optional()
}
