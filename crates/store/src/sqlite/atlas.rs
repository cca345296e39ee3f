//! Where the sealed bytes of sessions lie, in memory: the database has to be asked two trees for it, and
//! of a large archive both pages are in no connection's memory.
//!
//! A thread of its own draws the map when many had to be looked for, in short transactions. It holds for
//! one state of the archive, and each commit of our own carries it on, but for those whose rows it changed:
//! SQLite tells of every one. Where somebody else has committed it is void, and forgotten with our next
//! commit.
//!
//! A session that is there keeps its place for ever, and no other session gets it. So nothing but the
//! rows of sealed bytes can change, and what comes is only missing.

mod map;

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use debrief_domain::Lsid;
use rusqlite::Connection;
use rusqlite::hooks::Action;

use super::body::Row;
use super::error::refused_or_corrupt;
use super::grants::{Grants, Stamp};
use crate::StoreError;
use map::{Map, Tag};

/// Sessions that are on a map at most, those that began last: 40 bytes each.
pub(super) const SESSIONS_MAX: usize = if cfg!(test) { 20 } else { 4 << 20 };
/// Sessions that have to be looked for until a map is drawn: so many, and one for so many rows as were read
/// for the map before. To draw it takes a tenth of the time that they took.
pub(super) const MISSES_MIN: usize = if cfg!(test) { 2 } else { 1_024 };
pub(super) const ROWS_A_MISS: usize = if cfg!(test) { 2 } else { 4 };
/// Sessions whose rows may change until a map is forgotten.
pub(super) const CHANGED_MAX: usize = if cfg!(test) { 4 } else { 64 << 10 };
/// Rows that are read in one transaction: some milliseconds.
const SLICE_ROWS: usize = if cfg!(test) { 4 } else { 16 << 10 };
/// How long a map that is drawn waits until it is known what the last commit has changed.
const END_PAUSE: Duration = Duration::from_millis(10);
const END_PAUSES_MAX: u32 = if cfg!(test) { 5 } else { 500 };

/// The map, and whoever draws it.
pub(super) struct Atlas {
    known: Mutex<Known>,
    /// A map is wanted, or nobody wants one any more.
    wanted: Condvar,
    /// What the writer's open transaction has changed.
    touched: Arc<Touched>,
    grants: Arc<Grants>,
    hashers: [RandomState; 2],
}

#[derive(Default)]
struct Known {
    /// The state of the archive that all of this holds for; none when it holds for none.
    stamp: Option<Stamp>,
    /// Empty until it is drawn.
    map: Map,
    /// Sessions whose rows were changed since it was begun.
    changed: HashSet<i64>,
    /// How many had to be looked for.
    n_missed: usize,
    /// Rows that were read for the last map.
    n_read: usize,
    drawing: Drawing,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Drawing {
    #[default]
    Idle,
    Wanted,
    UnderWay,
    Over,
}

/// Places of sessions whose rows are changed.
#[derive(Default)]
struct Touched(Mutex<Vec<i64>>);

impl Touched {
    fn note(&self, place: i64) {
        self.places().push(place);
    }

    fn take(&self) -> Vec<i64> {
        std::mem::take(&mut *self.places())
    }

    fn places(&self) -> MutexGuard<'_, Vec<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Atlas {
    /// Nothing yet.
    pub(super) fn new(grants: &Arc<Grants>) -> Atlas {
        Atlas {
            known: Mutex::default(),
            wanted: Condvar::new(),
            touched: Arc::default(),
            grants: Arc::clone(grants),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// Notes from now on what is changed through the writer's connection.
    pub(super) fn watch(&self, writer: &mut Connection) -> Result<(), StoreError> {
        let touched = Arc::clone(&self.touched);
        let note = move |action: Action, _: &str, table: &str, place: i64| {
            // What is new is on no map.
            if table == "body" && action != Action::SQLITE_INSERT {
                touched.note(place);
            }
        };
        writer.update_hook(Some(note)).map_err(refused_or_corrupt)
    }

    /// After a commit of our own. `before` was taken inside the transaction, when nobody else could
    /// commit.
    pub(super) fn committed(&self, before: Option<Stamp>) {
        let touched = self.touched.take();
        let mut known = self.known();
        if known.stamp.is_none() {
            return;
        }
        let after = self.grants.stamp();
        // A transaction that has changed nothing is no commit.
        let is_ours_alone = match (before, after) {
            (Some(before), Some(after)) => before == after || before.is_before(after),
            _ => false,
        };
        known.changed.extend(touched);
        if known.stamp != before || !is_ours_alone || CHANGED_MAX < known.changed.len() {
            let forgotten = known.forget();
            drop(known);
            // Megabytes.
            return drop(forgotten);
        }
        known.stamp = after;
    }

    /// After a commit that failed. If it turns up after all, the archive's state tells.
    pub(super) fn failed(&self) {
        self.touched.take();
    }

    /// The archive's state; none while somebody is changing it.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        self.grants.stamp()
    }

    /// The row of a session, if it is known for this state of the archive.
    pub(super) fn find(&self, lsid: &Lsid, stamp: Option<Stamp>) -> Option<Row> {
        let tag = self.tag(lsid.as_str());
        let known = self.known();
        if !known.holds_for(stamp) {
            return None;
        }
        known.map.of(tag).filter(|row| known.is_as_drawn(row))
    }

    /// The rows of the sessions at these places up to the first that is not known for this state of the
    /// archive, and until they have so many bytes.
    pub(super) fn rows(
        &self,
        places: impl Iterator<Item = i64>,
        room: u64,
        stamp: Option<Stamp>,
    ) -> Vec<Row> {
        let known = self.known();
        if !known.holds_for(stamp) {
            return Vec::new();
        }
        let mut n_bytes = 0;
        let rows = places.map_while(|place| {
            if 0 < n_bytes && room <= n_bytes {
                return None;
            }
            let row = known.map.at(place).filter(|row| known.is_as_drawn(row))?;
            n_bytes += row.slot.len;
            Some(row)
        });
        rows.collect()
    }

    /// Notes that the rows of so many sessions had to be looked for in the database.
    pub(super) fn miss(&self, n_missed: usize) {
        let mut known = self.known();
        known.n_missed += n_missed;
        let n_enough = MISSES_MIN.max(known.n_read / ROWS_A_MISS);
        if known.drawing == Drawing::Idle && n_enough <= known.n_missed {
            known.drawing = Drawing::Wanted;
            self.wanted.notify_all();
        }
    }

    /// Draws maps as they are wanted, until the end. `open` opens a connection that reads.
    pub(super) fn draw(&self, open: impl Fn() -> Result<Connection, StoreError>) {
        let wait = || self.grants.let_log_begin_anew(thread::sleep);
        while self.draw_once(&open, wait) {}
    }

    /// Draws the next one, whatever comes of it; not at the end. `wait` comes before each transaction.
    pub(super) fn draw_once(
        &self,
        open: impl FnOnce() -> Result<Connection, StoreError>,
        wait: impl Fn(),
    ) -> bool {
        if !self.begin_next() {
            return false;
        }
        // Who panics in here draws this map no further.
        let drawn = catch_unwind(AssertUnwindSafe(|| {
            open().and_then(|db| self.drawn(&db, wait).map_err(refused_or_corrupt))
        }));
        let drawn = drawn.unwrap_or_else(|_| Err(StoreError::refused("no map is drawn")));
        if let Err(error) = &drawn {
            tracing::warn!(%error, "single sessions are looked for in the database");
            // It is not tried again so soon.
            self.known().n_read = SESSIONS_MAX * ROWS_A_MISS;
        }
        self.install(drawn.ok().flatten());
        true
    }

    /// Waits until a map is wanted, and begins it; not at the end.
    fn begin_next(&self) -> bool {
        let mut known = self.known();
        while matches!(known.drawing, Drawing::Idle | Drawing::UnderWay) {
            let woken = self.wanted.wait(known);
            known = woken.unwrap_or_else(PoisonError::into_inner);
        }
        if known.drawing == Drawing::Over {
            return false;
        }
        let forgotten = known.forget();
        known.stamp = self.grants.stamp();
        known.n_read = 0;
        known.drawing = Drawing::UnderWay;
        drop(known);
        drop(forgotten);
        true
    }

    /// A map; none when it would hold for no state of the archive.
    fn drawn(&self, db: &Connection, wait: impl Fn()) -> rusqlite::Result<Option<Map>> {
        let mut map = Map::default();
        let mut before = i64::MAX;
        while map.n_sessions() < SESSIONS_MAX && self.may_hold() {
            wait();
            let n_max = SLICE_ROWS.min(SESSIONS_MAX - map.n_sessions());
            let slice = map.add_spots(db, before, n_max)?;
            self.known().n_read += slice.n_rows;
            match slice.next {
                Some(first) => before = first,
                None => break,
            }
        }
        map.order_spots();
        let mut after = String::new();
        while self.may_hold() {
            wait();
            let slice = map.add_tags(db, &after, SLICE_ROWS, |lsid| self.tag(lsid))?;
            self.known().n_read += slice.n_rows;
            match slice.next {
                Some(last) => after = last,
                None => {
                    map.order_tags();
                    return Ok(self.is_up_to_date().then_some(map));
                }
            }
        }
        Ok(None)
    }

    /// Whether a map that is begun may still come to something.
    fn may_hold(&self) -> bool {
        let known = self.known();
        known.stamp.is_some() && known.drawing == Drawing::UnderWay
    }

    /// Waits until everything that was read is as old as what is known, or older: what the last commit of our
    /// own has changed is only known a moment after it can be read.
    fn is_up_to_date(&self) -> bool {
        for _ in 0..END_PAUSES_MAX {
            if !self.may_hold() {
                return false;
            }
            let now = self.grants.stamp();
            if self.known().holds_for(now) {
                return true;
            }
            thread::sleep(END_PAUSE);
        }
        false
    }

    /// After a map was drawn, or not.
    fn install(&self, map: Option<Map>) {
        let mut known = self.known();
        known.n_missed = 0;
        if known.drawing == Drawing::UnderWay {
            known.drawing = Drawing::Idle;
        }
        let forgotten = match map {
            Some(map) if known.stamp.is_some() => std::mem::replace(&mut known.map, map),
            _ => known.forget(),
        };
        drop(known);
        drop(forgotten);
    }

    /// Whoever draws a map ends soon, and draws no other.
    pub(super) fn end(&self) {
        self.known().drawing = Drawing::Over;
        self.wanted.notify_all();
    }

    /// Two sessions of an archive of four million have the same 96 bits, which nobody can foretell, in one of
    /// 10^15 archives.
    fn tag(&self, lsid: &str) -> Tag {
        let [first, second] = &self.hashers;
        Tag {
            hash: first.hash_one(lsid),
            more: second.hash_one(lsid) as u32,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while the lock is held, so what it guards is whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Atlas {
    /// How many sessions are on the map.
    pub(super) fn n_sessions(&self) -> usize {
        self.known().map.n_sessions()
    }

    /// How many had to be looked for since it was drawn.
    pub(super) fn n_missed(&self) -> usize {
        self.known().n_missed
    }

    /// Whether a map is wanted that nobody has begun.
    pub(super) fn wants_map(&self) -> bool {
        self.known().drawing == Drawing::Wanted
    }

    /// Has a map drawn by the thread that does.
    pub(super) fn draw_now(&self) {
        self.miss(SESSIONS_MAX);
        while matches!(self.known().drawing, Drawing::Wanted | Drawing::UnderWay) {
            thread::yield_now();
        }
    }
}

impl Known {
    fn holds_for(&self, stamp: Option<Stamp>) -> bool {
        stamp.is_some() && self.stamp == stamp
    }

    fn is_as_drawn(&self, row: &Row) -> bool {
        !self.changed.contains(&row.place)
    }

    /// Gives what nobody needs any more: to give its memory back takes a while.
    #[must_use]
    fn forget(&mut self) -> Map {
        self.stamp = None;
        self.changed = HashSet::new();
        self.n_missed = 0;
        std::mem::take(&mut self.map)
    }
}
