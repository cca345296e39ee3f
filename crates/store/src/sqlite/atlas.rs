//! Where the sealed bytes of sessions lie, in memory: the database has to be asked two trees for it, and
//! of a large archive both pages are in no connection's memory.
//!
//! A thread of its own draws the map when many have been looked for in vain, in short transactions. It
//! holds for one state of the archive, and each commit of our own carries it on, but for those whose rows
//! it changed: SQLite tells of every one. Where somebody else has committed everything is forgotten.
//!
//! A session that is there keeps its place for ever, and no other session gets it. So nothing but the
//! rows of sealed bytes can change, and what comes is only missing.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use debrief_domain::Lsid;
use rusqlite::hooks::Action;
use rusqlite::{Connection, params};

use super::body::Row;
use super::error::refused_or_corrupt;
use super::grants::{Grants, Stamp};
use super::segment::Slot;
use crate::StoreError;

/// Sessions that are on a map at most, those that began last: 40 bytes each.
pub(super) const SESSIONS_MAX: usize = if cfg!(test) { 20 } else { 4 << 20 };
/// Sessions that are looked for in vain before a map is drawn, and at least as many as the one before had:
/// to draw it takes a tenth of the time that they took.
pub(super) const MISSES_MIN: usize = if cfg!(test) { 2 } else { 1_024 };
/// Sessions whose rows may change until a map is forgotten.
pub(super) const CHANGED_MAX: usize = if cfg!(test) { 4 } else { 64 << 10 };
/// Rows that are read in one transaction: some milliseconds.
const SLICE_ROWS: usize = if cfg!(test) { 4 } else { 16 << 10 };

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
    /// How many were looked for in vain, and how many are reason enough for a map.
    n_missed: usize,
    n_enough: usize,
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
        if let Ok(mut touched) = self.0.lock() {
            touched.push(place);
        }
    }

    fn take(&self) -> Vec<i64> {
        (self.0.lock()).map_or_else(|_| Vec::new(), |mut touched| std::mem::take(&mut *touched))
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
            return known.forget();
        }
        known.stamp = after;
    }

    /// After a commit that failed, as far as is known.
    pub(super) fn failed(&self) {
        self.touched.take();
        self.known().forget();
    }

    /// The archive's state; none while somebody is changing it.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        self.grants.stamp()
    }

    /// The row of a session, if it is known for this state of the archive.
    pub(super) fn find(&self, lsid: &Lsid, stamp: Option<Stamp>) -> Option<Row> {
        let name = self.name(lsid.as_str());
        let mut known = self.known();
        let row = match known.holds_for(stamp) {
            true => (known.map.named(name)).filter(|row| !known.changed.contains(&row.place)),
            false => None,
        };
        if row.is_none() {
            self.missed(&mut known, 1);
        }
        row
    }

    /// Those rows which the sessions at these places begin with that are known for this state of the
    /// archive, until they have so many bytes.
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
            let row = (known.map.at(place)).filter(|row| !known.changed.contains(&row.place))?;
            n_bytes += row.slot.len;
            Some(row)
        });
        rows.collect()
    }

    /// Notes that so many had to be looked for in the database.
    pub(super) fn miss(&self, n_missed: usize) {
        self.missed(&mut self.known(), n_missed);
    }

    fn missed(&self, known: &mut Known, n_missed: usize) {
        known.n_missed += n_missed;
        if known.drawing == Drawing::Idle && known.n_enough.max(MISSES_MIN) <= known.n_missed {
            known.drawing = Drawing::Wanted;
            self.wanted.notify_all();
        }
    }

    /// Draws maps as they are wanted, until the end. `open` opens a connection that reads, `wait` comes
    /// before each transaction.
    pub(super) fn draw(&self, open: impl Fn() -> Result<Connection, StoreError>, wait: impl Fn()) {
        while self.draw_once(&open, &wait) {}
    }

    /// Draws the next one, whatever comes of it; not at the end.
    pub(super) fn draw_once(
        &self,
        open: impl Fn() -> Result<Connection, StoreError>,
        wait: impl Fn(),
    ) -> bool {
        if !self.is_wanted() {
            return false;
        }
        let drawn = open().and_then(|db| self.drawn(&db, wait).map_err(refused_or_corrupt));
        let mut known = self.known();
        if let Err(error) = &drawn {
            tracing::warn!(%error, "single sessions are looked for in the database");
            known.n_enough = known.n_enough.max(SESSIONS_MAX);
        }
        known.end(drawn.ok().flatten());
        true
    }

    /// Waits until a map is wanted, and begins it; not at the end.
    fn is_wanted(&self) -> bool {
        let mut known = self.known();
        while matches!(known.drawing, Drawing::Idle | Drawing::UnderWay) {
            let woken = self.wanted.wait(known);
            known = woken.unwrap_or_else(PoisonError::into_inner);
        }
        if known.drawing == Drawing::Over {
            return false;
        }
        known.forget();
        known.stamp = self.grants.stamp();
        known.drawing = Drawing::UnderWay;
        true
    }

    /// How many sessions are on the map.
    #[cfg(test)]
    pub(super) fn n_sessions(&self) -> usize {
        self.known().map.names.len()
    }

    /// Draws a map, if it is to be drawn by another thread; none where the archive is changed meanwhile.
    #[cfg(test)]
    pub(super) fn draw_now(&self) {
        self.miss(SESSIONS_MAX);
        while matches!(self.known().drawing, Drawing::Wanted | Drawing::UnderWay) {
            std::thread::yield_now();
        }
    }

    /// Whoever draws a map ends soon, and draws no other.
    pub(super) fn end(&self) {
        self.known().drawing = Drawing::Over;
        self.wanted.notify_all();
    }

    /// A map; none when it would hold for no state of the archive.
    fn drawn(&self, db: &Connection, wait: impl Fn()) -> rusqlite::Result<Option<Map>> {
        let mut map = Map::default();
        let mut before = i64::MAX;
        while map.spots.len() < SESSIONS_MAX {
            if !self.goes_on(map.spots.len()) {
                return Ok(None);
            }
            wait();
            let n_max = SLICE_ROWS.min(SESSIONS_MAX - map.spots.len());
            let last = map.add_spots(db, before, n_max)?;
            let Some(last) = last else {
                break;
            };
            before = last;
        }
        map.order_spots();
        let mut after = String::new();
        loop {
            if !self.goes_on(map.spots.len()) {
                return Ok(None);
            }
            wait();
            let last = map.add_names(db, &after, |lsid| self.name(lsid))?;
            let Some(last) = last else {
                break;
            };
            after = last;
        }
        map.order_names();
        Ok(Some(map))
    }

    /// Whether a map that is begun may still come to something. So many sessions are on it yet.
    fn goes_on(&self, n_sessions: usize) -> bool {
        let mut known = self.known();
        // What was in vain is not tried again so soon.
        known.n_enough = n_sessions;
        known.stamp.is_some() && known.drawing == Drawing::UnderWay
    }

    /// Two sessions have the same one of 96 bits, which nobody can foretell, once in 10^15 archives of four
    /// million.
    fn name(&self, lsid: &str) -> Name {
        let [first, second] = &self.hashers;
        Name {
            hash: first.hash_one(lsid),
            more: second.hash_one(lsid) as u32,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while the lock is held, so what it guards is whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn holds_for(&self, stamp: Option<Stamp>) -> bool {
        stamp.is_some() && self.stamp == stamp
    }

    fn forget(&mut self) {
        self.stamp = None;
        self.map = Map::default();
        self.changed = HashSet::new();
        self.n_missed = 0;
    }

    /// After a map was drawn, or not.
    fn end(&mut self, map: Option<Map>) {
        self.n_missed = 0;
        if self.drawing == Drawing::UnderWay {
            self.drawing = Drawing::Idle;
        }
        match map {
            Some(map) if self.stamp.is_some() => self.map = map,
            _ => self.forget(),
        }
    }
}

/// Stands for the id of a session.
#[derive(Clone, Copy)]
struct Name {
    hash: u64,
    more: u32,
}

/// A name, and the number of its spot.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    hash: u64,
    more: u32,
    spot: u32,
}

impl Named {
    fn is(&self, name: Name) -> bool {
        (self.hash, self.more) == (name.hash, name.more)
    }
}

/// Where sessions lie.
#[derive(Default)]
struct Map {
    /// In the order of their places.
    spots: Vec<Spot>,
    /// The first place of each handful of them.
    firsts: Vec<i64>,
    /// In order.
    names: Vec<Named>,
    /// Where those names begin whose hashes begin with the same bits.
    begins: Vec<u32>,
}

/// Spots between two that are looked at first: few enough to lie close together, and so many that the
/// places of all those that are looked at first do.
const HANDFUL: usize = 64;
/// Names whose hashes begin with the same bits.
const NAMES_TOGETHER: usize = 8;

impl Map {
    fn named(&self, name: Name) -> Option<Row> {
        let bits = self.bits(name.hash);
        let (begin, end) = (*self.begins.get(bits)?, *self.begins.get(bits + 1)?);
        let together = self.names.get(begin as usize..end as usize)?;
        let named = together.iter().find(|named| named.is(name))?;
        self.spots.get(named.spot as usize).map(Spot::row)
    }

    fn at(&self, place: i64) -> Option<Row> {
        self.number_at(place).map(|n| self.spots[n].row())
    }

    fn number_at(&self, place: i64) -> Option<usize> {
        let handful = self.firsts.partition_point(|first| *first <= place);
        let begin = handful.checked_sub(1)? * HANDFUL;
        let spots = &self.spots[begin..self.spots.len().min(begin + HANDFUL)];
        let found = spots.binary_search_by_key(&place, |spot| spot.place);
        found.ok().map(|n| begin + n)
    }

    /// The first bits of a hash, as many as there are numbers for.
    fn bits(&self, hash: u64) -> usize {
        // Twice, for by 64 bits nothing can be shifted.
        (hash >> 1 >> (u64::BITS - 1 - self.n_bits())) as usize
    }

    fn n_bits(&self) -> u32 {
        (self.names.len() / NAMES_TOGETHER).max(1).ilog2()
    }

    /// Adds some rows before a place, the last one first. Gives the place of the first one; none when there
    /// were fewer.
    fn add_spots(
        &mut self,
        db: &Connection,
        before: i64,
        n_max: usize,
    ) -> rusqlite::Result<Option<i64>> {
        let mut select = db.prepare_cached(
            "SELECT place, change, names, segment, at, len FROM body WHERE place < ?1 \
             ORDER BY place DESC LIMIT ?2",
        )?;
        let mut rows = select.query(params![before, n_max as i64])?;
        let (mut first, mut n_read) = (None, 0);
        while let Some(row) = rows.next()? {
            let row = Row::of(row)?;
            // What has no room is looked for in the database.
            self.spots.extend(Spot::of(&row));
            n_read += 1;
            first = Some(row.place);
        }
        Ok(first.filter(|_| n_read == n_max))
    }

    fn order_spots(&mut self) {
        self.spots.reverse();
        self.spots.shrink_to_fit();
        let firsts = self.spots.iter().step_by(HANDFUL).map(|spot| spot.place);
        self.firsts = firsts.collect();
    }

    /// Adds the names of some sessions behind this one. Gives the last one; none when there were fewer.
    fn add_names(
        &mut self,
        db: &Connection,
        after: &str,
        name: impl Fn(&str) -> Name,
    ) -> rusqlite::Result<Option<String>> {
        let mut select = db.prepare_cached(
            "SELECT lsid, place FROM session WHERE ?1 < lsid ORDER BY lsid LIMIT ?2",
        )?;
        let mut rows = select.query(params![after, SLICE_ROWS as i64])?;
        let (mut last, mut n_read) = (None, 0);
        while let Some(row) = rows.next()? {
            let lsid = row.get_ref(0)?.as_str()?;
            if let Some(n) = self.number_at(row.get(1)?) {
                let Name { hash, more } = name(lsid);
                let spot = n as u32;
                self.names.push(Named { hash, more, spot });
            }
            n_read += 1;
            if n_read == SLICE_ROWS {
                last = Some(lsid.to_owned());
            }
        }
        Ok(last)
    }

    fn order_names(&mut self) {
        self.names.sort_unstable();
        self.names.shrink_to_fit();
        let n_begins = 1 << self.n_bits();
        let mut begins = Vec::with_capacity(n_begins + 1);
        let mut n = 0;
        for bits in 0..n_begins {
            begins.push(n as u32);
            while (self.names.get(n)).is_some_and(|named| self.bits(named.hash) == bits) {
                n += 1;
            }
        }
        begins.push(n as u32);
        self.begins = begins;
    }
}

/// A row in 24 bytes.
struct Spot {
    place: i64,
    /// Its change and the version of the names.
    shown: u64,
    /// Where its bytes are: segment, place in it, length.
    slot: u64,
}

/// Bits of the numbers that share a word.
const NAMES_BITS: u32 = 24;
const CHANGE_BITS: u32 = 40;
const SEGMENT_BITS: u32 = 16;
const AT_BITS: u32 = 29;
const LEN_BITS: u32 = 19;

impl Spot {
    /// None when a number has no room.
    fn of(row: &Row) -> Option<Spot> {
        let fits = |number: u64, n_bits: u32| (number >> n_bits == 0).then_some(number);
        let change = fits(row.change as u64, CHANGE_BITS)?;
        let names = fits(row.names as u64, NAMES_BITS)?;
        let segment = fits(row.slot.segment as u64, SEGMENT_BITS)?;
        let at = fits(row.slot.at, AT_BITS)?;
        let len = fits(row.slot.len, LEN_BITS)?;
        Some(Spot {
            place: row.place,
            shown: change << NAMES_BITS | names,
            slot: (segment << AT_BITS | at) << LEN_BITS | len,
        })
    }

    fn row(&self) -> Row {
        let low = |word: u64, n_bits: u32| word & ((1 << n_bits) - 1);
        Row {
            place: self.place,
            change: (self.shown >> NAMES_BITS) as i64,
            names: low(self.shown, NAMES_BITS) as i64,
            slot: Slot {
                segment: (self.slot >> (AT_BITS + LEN_BITS)) as i64,
                at: low(self.slot >> LEN_BITS, AT_BITS),
                len: low(self.slot, LEN_BITS),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(place: i64) -> Row {
        Row {
            place,
            change: place * 3,
            names: 7,
            slot: Slot {
                segment: 2,
                at: place as u64 * 5,
                len: 5,
            },
        }
    }

    /// A map of sessions at every other place.
    fn map_of(n_sessions: i64, hash: impl Fn(i64) -> u64) -> Map {
        let mut map = Map::default();
        for place in (0..n_sessions).rev() {
            map.spots.extend(Spot::of(&row(place * 2)));
        }
        map.order_spots();
        for n in 0..n_sessions {
            let Name { hash, more } = name(hash(n), n);
            let spot = n as u32;
            map.names.push(Named { hash, more, spot });
        }
        map.order_names();
        map
    }

    fn name(hash: u64, n: i64) -> Name {
        Name {
            hash,
            more: n as u32,
        }
    }

    #[test]
    fn a_map_has_what_was_put_on_it_and_nothing_else() {
        let hashes: [fn(i64) -> u64; 4] = [
            |n| (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            |n| n as u64,
            |n| u64::MAX - n as u64,
            |_| u64::MAX,
        ];
        let handful = HANDFUL as i64;
        let (few, many) = (NAMES_TOGETHER as i64, 40 * NAMES_TOGETHER as i64);
        for n_sessions in [
            0,
            1,
            2,
            few,
            2 * few,
            handful - 1,
            handful,
            handful + 1,
            many,
        ] {
            for hash in hashes {
                let map = map_of(n_sessions, hash);
                for n in 0..n_sessions {
                    assert_eq!(map.at(n * 2), Some(row(n * 2)), "{n} of {n_sessions}");
                    assert_eq!(map.named(name(hash(n), n)), Some(row(n * 2)));
                    assert_eq!(map.at(n * 2 + 1), None);
                    assert_eq!(map.named(name(hash(n), n + n_sessions)), None);
                }
                for nobody in [i64::MIN, -1, n_sessions * 2, i64::MAX] {
                    assert_eq!(map.at(nobody), None);
                }
                assert_eq!(map.named(name(hash(n_sessions), n_sessions)), None);
            }
        }
    }

    #[test]
    fn a_row_whose_numbers_have_no_room_is_on_no_map() {
        let largest = |n_bits: u32| (1_u64 << n_bits) - 1;
        let full = Row {
            place: i64::MIN,
            change: largest(CHANGE_BITS) as i64,
            names: largest(NAMES_BITS) as i64,
            slot: Slot {
                segment: largest(SEGMENT_BITS) as i64,
                at: largest(AT_BITS),
                len: largest(LEN_BITS),
            },
        };
        assert_eq!(Spot::of(&full).map(|spot| spot.row()), Some(full));
        let slot = full.slot;
        let too_large = [
            Row {
                change: full.change + 1,
                ..full
            },
            Row { change: -1, ..full },
            Row {
                names: full.names + 1,
                ..full
            },
            Row { names: -1, ..full },
            Row {
                slot: Slot {
                    segment: slot.segment + 1,
                    ..slot
                },
                ..full
            },
            Row {
                slot: Slot {
                    segment: -1,
                    ..slot
                },
                ..full
            },
            Row {
                slot: Slot {
                    at: slot.at + 1,
                    ..slot
                },
                ..full
            },
            Row {
                slot: Slot {
                    at: u64::MAX,
                    ..slot
                },
                ..full
            },
            Row {
                slot: Slot {
                    len: slot.len + 1,
                    ..slot
                },
                ..full
            },
        ];
        for row in too_large {
            assert!(Spot::of(&row).is_none(), "{row:?}");
        }
        let longest = Row {
            slot: Slot {
                len: super::super::page::SPOT_BYTES_MAX,
                ..slot
            },
            ..full
        };
        assert!(Spot::of(&longest).is_some());
    }

    #[test]
    fn a_spot_takes_as_much_memory_as_is_said() {
        assert_eq!(size_of::<Spot>() + size_of::<Named>(), 40);
    }
}
