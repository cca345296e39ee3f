//! Events on their way out of the inbox: into the rows and index entries of their sessions.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use debrief_domain::{At, Lsid, Summary};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::{is_unreadable, unreadable};
use super::events::{Packed, Press};
use super::inbox::Part;
use super::pick::{move_picks, standing};
use super::row::{HEARD_MILLIS, Row, new_place, row};
use super::segment::Slots;
use super::{body, events, pick, recording};
use crate::codec::Facts;

/// Bytes of long rows from which on it is worth a thread to compress them.
const PRESSED_BYTES: usize = if cfg!(test) { 256 } else { 256 << 10 };

/// What settling works on: the database, in a transaction, and what is remembered of it.
pub(super) struct Settling<'a> {
    pub(super) db: &'a Connection,
    /// The files, with what the transaction has added.
    pub(super) slots: &'a dyn Slots,
    pub(super) names: &'a mut pick::Names,
    /// The last number given to a session.
    pub(super) lseq: &'a mut i64,
    /// Index entries that are to be put yet.
    pub(super) fresh: pick::Fresh,
}

/// What waits to be settled. Events stay in the records that were written into the journal: they are
/// brought together, session by session, by whoever settles them.
#[derive(Default)]
pub(super) struct Waiting {
    /// Sessions in order of first mention.
    growing: Vec<Growth>,
    pieces: Vec<Piece>,
    records: Vec<Vec<u8>>,
}

/// What came of one session since it was settled last.
struct Growth {
    lsid: Lsid,
    kept: Kept,
    /// The last commit.
    change: i64,
    /// When that was.
    now: At,
    n_events: u64,
    n_bytes: usize,
    /// The first and the last of the pieces that have its events, in order of arrival.
    first: usize,
    last: usize,
    summary: Summary,
}

/// Whether the database has a row of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nor does anything wait, or is being settled, that makes one.
    No,
    #[default]
    Perhaps,
}

/// Events of one session that lie one behind the other.
struct Piece {
    record: usize,
    begin: usize,
    len: usize,
    /// The session's next piece, or this one, which is its last.
    next: usize,
}

/// Where a session is among those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GrowthIdx(usize);

impl Waiting {
    /// Takes in the first events of a session, which begin at this byte of the record that is kept next.
    pub(super) fn add_session(
        &mut self,
        (change, now): (i64, At),
        part: &Part<'_>,
        begin: usize,
        kept: Kept,
    ) -> GrowthIdx {
        let piece = self.add_piece(part, begin);
        self.growing.push(Growth {
            lsid: part.lsid.clone(),
            kept,
            change,
            now,
            n_events: u64::from(part.n_events),
            n_bytes: part.n_bytes(),
            first: piece,
            last: piece,
            summary: part.summary.clone(),
        });
        GrowthIdx(self.growing.len() - 1)
    }

    /// Takes in what came of it later.
    pub(super) fn add(
        &mut self,
        GrowthIdx(idx): GrowthIdx,
        (change, now): (i64, At),
        part: &Part<'_>,
        begin: usize,
    ) {
        let piece = self.add_piece(part, begin);
        let growth = &mut self.growing[idx];
        self.pieces[growth.last].next = piece;
        growth.last = piece;
        growth.change = change;
        growth.now = now;
        growth.n_events += u64::from(part.n_events);
        growth.n_bytes += part.n_bytes();
        growth.summary.merge(part.summary);
    }

    fn add_piece(&mut self, part: &Part<'_>, begin: usize) -> usize {
        let piece = self.pieces.len();
        self.pieces.push(Piece {
            record: self.records.len(),
            begin,
            len: part.n_bytes(),
            next: piece,
        });
        piece
    }

    /// Keeps a record until its events are settled.
    pub(super) fn keep_record(&mut self, record: Vec<u8>) {
        if !record.is_empty() {
            self.records.push(record);
        }
    }

    /// The events of a session as they are kept.
    fn events_of(&self, growth: &Growth) -> Vec<u8> {
        let mut events = Vec::with_capacity(growth.n_bytes);
        let mut next = growth.first;
        loop {
            let piece = &self.pieces[next];
            let record = &self.records[piece.record];
            events.extend_from_slice(&record[piece.begin..piece.begin + piece.len]);
            if piece.next == next {
                return events;
            }
            next = piece.next;
        }
    }
}

/// Puts what came of sessions into them, in this order. Where it is much it is compressed first: there
/// are far fewer pages to write then. A thread beside does that from the last one on, and whoever
/// settles does it for those that it has not come to: neither waits for the other before the end.
pub(super) fn settle_all(settling: &mut Settling<'_>, waiting: &Waiting) -> rusqlite::Result<()> {
    let growing = &waiting.growing;
    let lens = growing.iter().map(|growth| growth.n_bytes);
    let n_bytes: usize = lens.filter(|len| events::PRESSED_BYTES_MIN <= *len).sum();
    if n_bytes < PRESSED_BYTES {
        return settle_each(settling, waiting, |_, _| None);
    }
    let pressed: Vec<OnceLock<Option<Packed>>> = growing.iter().map(|_| OnceLock::new()).collect();
    let n_settled = AtomicUsize::new(0);
    let press_late = || {
        let mut press = Press::new();
        for (idx, growth) in growing.iter().enumerate().rev() {
            if idx <= n_settled.load(Ordering::Relaxed) {
                return;
            }
            // Whoever settles may have been faster by now.
            let _ = pressed[idx].set(press.press(growth.n_bytes, || waiting.events_of(growth)));
        }
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("store-press".into());
        // Without a thread there is more to do here.
        let _ = thread.spawn_scoped(scope, press_late);
        let mut press = Press::new();
        let settled = settle_each(settling, waiting, |growth, idx| {
            n_settled.store(idx, Ordering::Relaxed);
            let events = || waiting.events_of(growth);
            let pressed = pressed[idx].get_or_init(|| press.press(growth.n_bytes, events));
            pressed.as_ref()
        });
        n_settled.store(growing.len(), Ordering::Relaxed);
        settled
    })
}

fn settle_each<'a>(
    settling: &mut Settling<'_>,
    waiting: &'a Waiting,
    mut pressed: impl FnMut(&'a Growth, usize) -> Option<&'a Packed>,
) -> rusqlite::Result<()> {
    for (idx, growth) in waiting.growing.iter().enumerate() {
        let plain;
        let packed = match pressed(growth, idx) {
            Some(pressed) => pressed,
            None => {
                plain = Packed::plain(waiting.events_of(growth));
                &plain
            }
        };
        settle_one(settling, growth, packed)?;
    }
    settling.fresh.put(settling.db)
}

/// Puts what came of a session into it.
fn settle_one(
    settling: &mut Settling<'_>,
    growth: &Growth,
    packed: &Packed,
) -> rusqlite::Result<()> {
    let lsid = &growth.lsid;
    let row = match growth.kept {
        Kept::No => Ok(None),
        Kept::Perhaps => row(settling.db, lsid),
    };
    let known = row.and_then(|row| {
        let before = match &row {
            Some(row) => row.facts.summary().map_err(unreadable)?,
            None => Summary::default(),
        };
        Ok((row, before))
    });
    let (row, before) = match known {
        Ok(known) => known,
        Err(error) if is_unreadable(&error) => {
            // The other sessions must not wait for one that is damaged, which `verify` names.
            tracing::error!(%error, session.id = %lsid, "session {lsid} cannot be brought up to date");
            return keep_events(settling, growth, packed);
        }
        Err(error) => return Err(error),
    };
    let n_bytes = growth.n_bytes as u64;
    let mut summary = before.clone();
    summary.merge(&growth.summary);
    let grown = Grown {
        lsid,
        before,
        summary,
        n_events: row.as_ref().map_or(0, |row| row.n_events) + growth.n_events,
        n_bytes: row.as_ref().map_or(0, |row| row.facts.n_bytes) + n_bytes,
        now: growth.now,
        change: growth.change,
        row,
    };
    keep(settling, &grown, packed)
}

/// Keeps nothing but the events of a session whose state cannot be read.
fn keep_events(settling: &Settling<'_>, growth: &Growth, packed: &Packed) -> rusqlite::Result<()> {
    let db = settling.db;
    let known: Option<(i64, Option<i64>, i64)> = db
        .prepare_cached("SELECT place, last_event, state FROM session WHERE lsid = ?1")?
        .query_row([growth.lsid.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((place, before, state)) = known else {
        return Ok(());
    };
    let last_event = events::add(db, place, packed, before)?;
    db.prepare_cached(
        "UPDATE session SET last_event = ?2, change = ?3, n_events = n_events + ?4 \
         WHERE place = ?1",
    )?
    .execute(params![
        place,
        last_event,
        growth.change,
        growth.n_events as i64
    ])?;
    if state != 0 {
        // Its sealed bytes lack what came.
        body::drop(db, settling.slots, place)?;
        recording::unseal(db, place)?;
    }
    Ok(())
}

/// A session with fresh events in it.
struct Grown<'a> {
    lsid: &'a Lsid,
    row: Option<Row>,
    before: Summary,
    summary: Summary,
    n_events: u64,
    n_bytes: u64,
    now: At,
    change: i64,
}

/// Writes the events, the row and the index entries.
fn keep(settling: &mut Settling<'_>, grown: &Grown<'_>, packed: &Packed) -> rusqlite::Result<()> {
    let db = settling.db;
    let start = grown.summary.start().unwrap_or(grown.now).secs();
    let ended = grown.summary.ended.map(At::secs);
    let state = i64::from(ended.is_some());
    let facts = Facts::of_summary(&grown.summary, grown.n_events, grown.n_bytes).bytes();
    let site_before = grown.before.site_id();
    let site = grown.summary.site_id();
    let after = standing(&grown.summary, &site, start, ended);
    let before = grown
        .row
        .as_ref()
        .map(|row| standing(&grown.before, &site_before, row.start, row.ended));
    let (place, lseq) = match &grown.row {
        Some(row) => (row.place, row.lseq),
        None => {
            *settling.lseq += 1;
            (new_place(db, start)?, *settling.lseq)
        }
    };
    if before.as_ref() != Some(&after) {
        let names = &mut *settling.names;
        let after = after.picks(db, names)?;
        let before = before.map_or(Ok(BTreeSet::new()), |before| before.picks(db, names))?;
        let fresh = &mut settling.fresh;
        move_picks(
            db,
            fresh,
            &before,
            &after,
            (lseq, lseq),
            place,
            grown.change,
        )?;
    }
    let before = grown.row.as_ref().and_then(|row| row.last_event);
    let last_event = events::add(db, place, packed, before)?;
    if let Some(row) = &grown.row {
        update(db, row, grown, (start, ended), &facts, last_event)?;
    } else {
        db.prepare_cached(
            "INSERT INTO session (place, lsid, lseq, origin, state, start, ended, heard, born, \
             change, n_events, facts, last_event) \
             VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            place,
            grown.lsid.as_str(),
            lseq,
            state,
            start,
            ended,
            grown.now.millis(),
            grown.change,
            grown.n_events as i64,
            facts,
            last_event
        ])?;
    }
    if let Some(row) = &grown.row
        && !row.is_over
        && ended.is_none()
    {
        // It goes on: it was in no list of closed sessions, and is in none.
        return Ok(());
    }
    if grown.row.is_some() {
        body::drop(db, settling.slots, place)?;
    }
    if ended.is_some() {
        return recording::unseal(db, place);
    }
    db.prepare_cached("DELETE FROM unsealed WHERE place = ?1")?
        .execute([place])?;
    Ok(())
}

/// Brings a session's row up to date. Columns that indexes are made of are only written when they
/// change: each would cost a page.
fn update(
    db: &Connection,
    row: &Row,
    grown: &Grown<'_>,
    (start, ended): (i64, Option<i64>),
    facts: &[u8],
    last_event: i64,
) -> rusqlite::Result<()> {
    let (place, change) = (row.place, grown.change);
    let n_events = grown.n_events as i64;
    let is_quiet = !row.is_over
        && ended.is_none()
        && row.heard / HEARD_MILLIS == grown.now.millis() / HEARD_MILLIS;
    if is_quiet {
        db.prepare_cached(
            "UPDATE session SET start = ?2, change = ?3, n_events = ?4, facts = ?5, \
             last_event = ?6 WHERE place = ?1",
        )?
        .execute(params![place, start, change, n_events, facts, last_event])?;
        return Ok(());
    }
    let (state, heard) = (i64::from(ended.is_some()), grown.now.millis());
    db.prepare_cached(
        "UPDATE session SET start = ?2, change = ?3, n_events = ?4, facts = ?5, last_event = ?6, \
         state = ?7, ended = ?8, heard = ?9 WHERE place = ?1",
    )?
    .execute(params![
        place, start, change, n_events, facts, last_event, state, ended, heard
    ])?;
    Ok(())
}
