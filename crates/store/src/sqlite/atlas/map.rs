//! The map itself, without a word about when it holds.

use indexmap::IndexSet;
use rusqlite::{Connection, params};

use crate::sqlite::body::Row;
use crate::sqlite::segment::Slot;

/// Spots between two that are looked at first: few enough to lie close together, and so many that the
/// places of all those that are looked at first do.
const HANDFUL: usize = 64;
/// Tags whose hashes begin with the same bits, more or less.
const TAGS_TOGETHER: usize = 8;

/// Where sessions lie.
#[derive(Default)]
pub(super) struct Map {
    /// In the order of their places.
    spots: Vec<Spot>,
    /// The first place of each handful of them.
    firsts: Vec<i64>,
    /// Versions of the names that rows were sealed with: there are few.
    versions: IndexSet<i64>,
    /// In order.
    tags: Vec<Tagged>,
    /// Where those tags begin whose hashes begin with the same bits.
    begins: Vec<u32>,
}

/// Stands for the id of a session.
#[derive(Clone, Copy)]
pub(super) struct Tag {
    pub(super) hash: u64,
    pub(super) more: u32,
}

/// A tag, and the number of its spot.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Tagged {
    hash: u64,
    more: u32,
    spot: u32,
}

impl Tagged {
    fn is(&self, tag: Tag) -> bool {
        (self.hash, self.more) == (tag.hash, tag.more)
    }
}

/// What was read at once.
pub(super) struct Slice<T> {
    pub(super) n_rows: usize,
    /// Where the next one begins; none when this was the last.
    pub(super) next: Option<T>,
}

impl Map {
    pub(super) fn n_sessions(&self) -> usize {
        self.spots.len()
    }

    /// The row of the session with this tag.
    pub(super) fn of(&self, tag: Tag) -> Option<Row> {
        let bits = self.bits(tag.hash);
        let (begin, end) = (*self.begins.get(bits)?, *self.begins.get(bits + 1)?);
        let together = self.tags.get(begin as usize..end as usize)?;
        let tagged = together.iter().find(|tagged| tagged.is(tag))?;
        self.row(tagged.spot as usize)
    }

    /// The row of the session at this place.
    pub(super) fn at(&self, place: i64) -> Option<Row> {
        self.row(self.number_at(place)?)
    }

    fn row(&self, number: usize) -> Option<Row> {
        self.spots.get(number)?.row(&self.versions)
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
        (self.tags.len() / TAGS_TOGETHER).max(1).ilog2()
    }

    /// Adds some rows before a place, the last one first.
    pub(super) fn add_spots(
        &mut self,
        db: &Connection,
        before: i64,
        n_max: usize,
    ) -> rusqlite::Result<Slice<i64>> {
        let mut select = db.prepare_cached(
            "SELECT place, change, names, segment, at, len FROM body WHERE place < ?1 \
             ORDER BY place DESC LIMIT ?2",
        )?;
        let mut rows = select.query(params![before, n_max as i64])?;
        let (mut first, mut n_rows) = (None, 0);
        while let Some(row) = rows.next()? {
            let row = Row::of(row)?;
            self.add_spot(&row);
            n_rows += 1;
            first = Some(row.place);
        }
        let next = first.filter(|_| n_rows == n_max);
        Ok(Slice { n_rows, next })
    }

    /// What has no room is looked for in the database.
    fn add_spot(&mut self, row: &Row) {
        let version = self.versions.insert_full(row.names).0;
        self.spots.extend(Spot::of(row, version));
    }

    pub(super) fn order_spots(&mut self) {
        self.spots.reverse();
        self.spots.shrink_to_fit();
        let firsts = self.spots.iter().step_by(HANDFUL).map(|spot| spot.place);
        self.firsts = firsts.collect();
    }

    /// Adds the tags of some sessions behind this one, of those that have a spot.
    pub(super) fn add_tags(
        &mut self,
        db: &Connection,
        after: &str,
        n_max: usize,
        tag: impl Fn(&str) -> Tag,
    ) -> rusqlite::Result<Slice<String>> {
        let mut select = db.prepare_cached(
            "SELECT lsid, place FROM session WHERE ?1 < lsid ORDER BY lsid LIMIT ?2",
        )?;
        let mut rows = select.query(params![after, n_max as i64])?;
        let (mut next, mut n_rows) = (None, 0);
        while let Some(row) = rows.next()? {
            let lsid = row.get_ref(0)?.as_str()?;
            if let Some(number) = self.number_at(row.get(1)?) {
                self.add_tag(tag(lsid), number);
            }
            n_rows += 1;
            if n_rows == n_max {
                next = Some(lsid.to_owned());
            }
        }
        Ok(Slice { n_rows, next })
    }

    fn add_tag(&mut self, Tag { hash, more }: Tag, number: usize) {
        let spot = number as u32;
        self.tags.push(Tagged { hash, more, spot });
    }

    pub(super) fn order_tags(&mut self) {
        self.tags.sort_unstable();
        self.tags.shrink_to_fit();
        let n_begins = 1 << self.n_bits();
        let mut begins = Vec::with_capacity(n_begins + 1);
        let mut n = 0;
        for bits in 0..n_begins {
            begins.push(n as u32);
            while (self.tags.get(n)).is_some_and(|tagged| self.bits(tagged.hash) == bits) {
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
    /// Its change and the number of its version of the names.
    shown: u64,
    /// Where its bytes are: segment, place in it, length.
    slot: u64,
}

/// Bits of the numbers that share a word.
const CHANGE_BITS: u32 = 40;
const VERSION_BITS: u32 = 24;
const SEGMENT_BITS: u32 = 16;
const AT_BITS: u32 = 29;
const LEN_BITS: u32 = 19;

impl Spot {
    /// None when a number has no room.
    fn of(row: &Row, version: usize) -> Option<Spot> {
        let fits = |number: u64, n_bits: u32| (number >> n_bits == 0).then_some(number);
        let change = fits(row.change as u64, CHANGE_BITS)?;
        let version = fits(version as u64, VERSION_BITS)?;
        let segment = fits(row.slot.segment as u64, SEGMENT_BITS)?;
        let at = fits(row.slot.at, AT_BITS)?;
        let len = fits(row.slot.len, LEN_BITS)?;
        Some(Spot {
            place: row.place,
            shown: change << VERSION_BITS | version,
            slot: (segment << AT_BITS | at) << LEN_BITS | len,
        })
    }

    fn row(&self, versions: &IndexSet<i64>) -> Option<Row> {
        let low = |word: u64, n_bits: u32| word & ((1 << n_bits) - 1);
        let version = low(self.shown, VERSION_BITS);
        Some(Row {
            place: self.place,
            change: (self.shown >> VERSION_BITS) as i64,
            names: *versions.get_index(version as usize)?,
            slot: Slot {
                segment: (self.slot >> (AT_BITS + LEN_BITS)) as i64,
                at: low(self.slot >> LEN_BITS, AT_BITS),
                len: low(self.slot, LEN_BITS),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(place: i64) -> Row {
        Row {
            place,
            change: place * 3,
            names: i64::MAX - place % 3,
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
        for n in (0..n_sessions).rev() {
            map.add_spot(&row(n * 2));
        }
        map.order_spots();
        for n in 0..n_sessions {
            map.add_tag(tag(hash(n), n), n as usize);
        }
        map.order_tags();
        map
    }

    fn tag(hash: u64, n: i64) -> Tag {
        let more = n as u32;
        Tag { hash, more }
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
        let (few, many) = (TAGS_TOGETHER as i64, 40 * TAGS_TOGETHER as i64);
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
                    assert_eq!(map.of(tag(hash(n), n)), Some(row(n * 2)));
                    assert_eq!(map.at(n * 2 + 1), None);
                    assert_eq!(map.of(tag(hash(n), n + n_sessions)), None);
                }
                for nobody in [i64::MIN, -1, n_sessions * 2, i64::MAX] {
                    assert_eq!(map.at(nobody), None);
                }
                assert_eq!(map.of(tag(hash(n_sessions), n_sessions)), None);
            }
        }
    }

    #[test]
    fn a_row_whose_numbers_have_no_room_is_on_no_map() {
        let largest = |n_bits: u32| (1_u64 << n_bits) - 1;
        let slot = Slot {
            segment: largest(SEGMENT_BITS) as i64,
            at: largest(AT_BITS),
            len: largest(LEN_BITS),
        };
        let full = Row {
            place: i64::MIN,
            change: largest(CHANGE_BITS) as i64,
            names: i64::MAX,
            slot,
        };
        let version = largest(VERSION_BITS) as usize;
        assert!(Spot::of(&full, version).is_some());
        assert!(Spot::of(&full, version + 1).is_none());
        let mut map = Map::default();
        map.add_spot(&full);
        map.order_spots();
        assert_eq!(map.at(full.place), Some(full));
        let of_change = |change: i64| Row { change, ..full };
        let of_segment = |segment: i64| Row {
            slot: Slot { segment, ..slot },
            ..full
        };
        let of_at = |at: u64| Row {
            slot: Slot { at, ..slot },
            ..full
        };
        let of_len = |len: u64| Row {
            slot: Slot { len, ..slot },
            ..full
        };
        for row in [
            of_change(full.change + 1),
            of_change(-1),
            of_segment(slot.segment + 1),
            of_segment(-1),
            of_at(slot.at + 1),
            of_at(u64::MAX),
            of_len(slot.len + 1),
        ] {
            assert!(Spot::of(&row, 0).is_none(), "{row:?}");
        }
        // Whatever is read on the spot has room.
        let longest = of_len(crate::sqlite::page::SPOT_BYTES_MAX);
        assert!(Spot::of(&longest, 0).is_some());
    }

    #[test]
    fn a_session_takes_as_much_memory_as_is_said() {
        assert_eq!(size_of::<Spot>() + size_of::<Tagged>(), 40);
    }
}
