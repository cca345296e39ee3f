//! What may be in the archive: what is not here is not in what it has seen, and need not be looked for
//! there.
//!
//! A Bloom filter in memory; a key has its bits in one line of it, one in each word of the line. None is ever
//! taken out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bits of a key.
pub(super) const KEY_BITS: u32 = 80;

/// What something is known by: bits that are as good as random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(pub(super) u128);

impl Key {
    /// The upper ones of these bits.
    pub(super) fn upper(bits: u128) -> Key {
        Key(bits >> (u128::BITS - KEY_BITS))
    }

    /// Of something that has this hash.
    pub(super) fn of_hash(hash: u64) -> Key {
        Key::upper(u128::from(hash).wrapping_mul(SPREAD))
    }
}

/// Any odd number with many bits would do: what is multiplied with it says something in each bit of the upper
/// half.
pub(super) const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// Bytes of the whole filter. It grows as keys come; beyond this it is right more and more seldom
/// that something may be there, and what it says is not there is still not there.
const FILTER_BYTES_MAX: usize = if cfg!(test) { 1 << 20 } else { 128 << 20 };
/// Keys for which a layer has room before the next one, which is twice as large, is begun.
const FIRST_LAYER_KEYS: usize = if cfg!(test) { 32 << 10 } else { 256 << 10 };
/// Words of a line, which is what the processor brings from memory at once.
const LINE_WORDS: usize = 8;
const LINE_BYTES: usize = LINE_WORDS * size_of::<u64>();
/// Keys per line. Of those not there about one in fifty thousand seems to be: to look for such a one costs as
/// much as some thousand lines.
const LINE_KEYS: usize = 16;

/// Keys that may be there. A copy sees what is added to the layers that it has; one that does not see
/// it yet says no more than it knew.
#[derive(Default, Clone)]
pub(super) struct Filter {
    layers: Vec<Layer>,
}

/// Where keys go that a filter expects.
pub(super) struct Room(Layer);

impl Room {
    /// Notes one of them.
    pub(super) fn add(&self, key: Key) {
        self.0.line(key).add(key);
    }
}

#[derive(Clone)]
struct Layer {
    lines: Arc<[Line]>,
    n_keys: usize,
}

#[derive(Default)]
#[repr(align(64))]
struct Line([AtomicU64; LINE_WORDS]);
const _: () = assert!(size_of::<Line>() == LINE_BYTES);

impl Filter {
    /// False only when no such key was added.
    pub(super) fn may_have(&self, key: Key) -> bool {
        self.layers.iter().any(|layer| layer.line(key).has(key))
    }

    /// Brings what will be asked for into the processor's caches, all at once: each line is somewhere else in
    /// memory, and one after the other they are waited for.
    pub(super) fn look_ahead(&self, keys: impl Iterator<Item = Key>) {
        let mut seen = 0;
        for key in keys {
            for layer in &self.layers {
                seen |= layer.line(key).0[0].load(Ordering::Relaxed);
            }
        }
        std::hint::black_box(seen);
    }

    /// Notes a key.
    pub(super) fn add(&mut self, key: Key) {
        match self.layers.last() {
            None => self.begin_layer(FIRST_LAYER_KEYS / LINE_KEYS),
            Some(last) if last.n_keys < LINE_KEYS * last.lines.len() => {}
            Some(last) => self.begin_layer(2 * last.lines.len()),
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.n_keys += 1;
            layer.line(key).add(key);
        }
    }

    /// A filter with room for so many keys, which somebody else adds while it is asked and others are added,
    /// in one layer: of layers, each is wrong at times.
    pub(super) fn expecting(n_keys: usize) -> (Filter, Room) {
        let mut filter = Filter::default();
        let n_lines = n_keys.max(FIRST_LAYER_KEYS).div_ceil(LINE_KEYS);
        filter.begin_layer(n_lines.min(FILTER_BYTES_MAX / LINE_BYTES));
        let layer = &mut filter.layers[0];
        layer.n_keys = n_keys;
        let room = Room(layer.clone());
        (filter, room)
    }

    /// Makes room, unless it would be too much.
    fn begin_layer(&mut self, n_lines: usize) {
        if self.n_bytes() + LINE_BYTES * n_lines <= FILTER_BYTES_MAX {
            self.layers.push(Layer {
                lines: (0..n_lines).map(|_| Line::default()).collect(),
                n_keys: 0,
            });
        }
    }

    #[cfg(test)]
    pub(super) fn n_keys(&self) -> usize {
        self.layers.iter().map(|layer| layer.n_keys).sum()
    }

    fn n_bytes(&self) -> usize {
        let n_lines = self.layers.iter().map(|layer| layer.lines.len());
        LINE_BYTES * n_lines.sum::<usize>()
    }
}

impl Layer {
    /// Where a key has its bits. It needs no hashing: its high bits say which line, those below them
    /// which bits.
    fn line(&self, key: Key) -> &Line {
        // The same share of the layer: faster than a remainder.
        let share = key.0 >> (KEY_BITS - PLACE_BITS);
        &self.lines[((share * self.lines.len() as u128) >> PLACE_BITS) as usize]
    }
}

impl Line {
    fn has(&self, key: Key) -> bool {
        let mut words = self.0.iter().zip(bits(key));
        words.all(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn add(&self, key: Key) {
        for (word, bit) in self.0.iter().zip(bits(key)) {
            // A word is right whenever it is seen.
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }
}

/// Bits of a key that say where it has its line.
const PLACE_BITS: u32 = 32;
/// Bits that say which bit of a word is its own.
const CHOICE_BITS: u32 = u64::BITS.ilog2();
const _: () = assert!(CHOICE_BITS as usize * LINE_WORDS <= (KEY_BITS - PLACE_BITS) as usize);

/// The bit of a key in each word.
fn bits(key: Key) -> impl Iterator<Item = u64> {
    let choices = key.0 as u64;
    (0..LINE_WORDS as u32)
        .map(move |idx| 1 << (choices >> (CHOICE_BITS * idx) & (u64::BITS as u64 - 1)))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn key(n: u64) -> Key {
        let hash: [u8; 32] = Sha256::digest(n.to_le_bytes()).into();
        let (bits, _) = hash.split_first_chunk().unwrap();
        Key::upper(u128::from_le_bytes(*bits))
    }

    /// Of these, how many seem to be there.
    fn n_seeming(filter: &Filter, range: std::ops::Range<u64>) -> u64 {
        let seems = |n: &u64| filter.may_have(key(*n));
        range.filter(seems).count() as u64
    }

    #[test]
    fn it_grows_by_layers_and_is_seldom_wrong() {
        let mut filter = Filter::default();
        assert!(!filter.may_have(key(1)));
        let n_keys = 3 * FIRST_LAYER_KEYS as u64;
        (0..n_keys).for_each(|n| filter.add(key(n)));
        assert_eq!(filter.layers.len(), 2);
        assert!((0..n_keys).all(|n| filter.may_have(key(n))));
        let n_wrong = n_seeming(&filter, n_keys..2 * n_keys);
        assert!(n_wrong < n_keys / 10_000, "{n_wrong} of {n_keys}");
    }

    #[test]
    fn keys_that_are_expected_have_one_layer_no_larger_than_the_filter_may_be() {
        let n_bytes = |n_keys| Filter::expecting(n_keys).0.n_bytes();
        let n_first = FIRST_LAYER_KEYS / LINE_KEYS * LINE_BYTES;
        assert_eq!(n_bytes(1), n_first);
        assert_eq!(n_bytes(FIRST_LAYER_KEYS), n_first);
        assert_eq!(n_bytes(FIRST_LAYER_KEYS + 1), n_first + LINE_BYTES);
        let n_room = FILTER_BYTES_MAX / LINE_BYTES * LINE_KEYS;
        assert_eq!(n_bytes(n_room - LINE_KEYS), FILTER_BYTES_MAX - LINE_BYTES);
        assert_eq!(n_bytes(n_room), FILTER_BYTES_MAX);
        assert_eq!(n_bytes(n_room + 1), FILTER_BYTES_MAX);
        let n_keys = 2 * FIRST_LAYER_KEYS as u64;
        let (mut filter, room) = Filter::expecting(n_keys as usize);
        (0..n_keys).for_each(|n| room.add(key(n)));
        assert_eq!(filter.layers.len(), 1);
        assert!((0..n_keys).all(|n| filter.may_have(key(n))));
        let n_wrong = n_seeming(&filter, n_keys..2 * n_keys);
        assert!(n_wrong < n_keys / 10_000, "{n_wrong} of {n_keys}");
        filter.add(key(n_keys));
        assert_eq!(filter.layers.len(), 2);
    }

    #[test]
    fn when_it_is_as_large_as_it_may_be_it_still_has_all() {
        // Layers of 128, 256 and 512 KiB: the next would be one too many.
        let n_room = 7 * FIRST_LAYER_KEYS as u64;
        let mut filter = Filter::default();
        (0..n_room).for_each(|n| filter.add(key(n)));
        let n_bytes = filter.n_bytes();
        assert!(n_bytes <= FILTER_BYTES_MAX && FILTER_BYTES_MAX < 2 * n_bytes + 128 * 1024);
        (n_room..n_room + 1_000).for_each(|n| filter.add(key(n)));
        assert_eq!(filter.n_bytes(), n_bytes);
        assert!((0..n_room + 1_000).all(|n| filter.may_have(key(n))));
    }
}
