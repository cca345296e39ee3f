//! Which ids may be in runs: what is not here is not in those it has seen, and need not be looked
//! for there.
//!
//! A Bloom filter in memory; an id has its bits in one word of it. Ids are never forgotten, so none is
//! ever taken out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Key;

/// Bytes of the whole filter. It grows as ids come; beyond this it is right more and more seldom
/// that something may be there, and what it says is not there is still not there.
const FILTER_BYTES_MAX: usize = if cfg!(test) { 1 << 20 } else { 128 << 20 };
/// Ids for which a layer has room before the next one, which is twice as large, is begun.
const FIRST_LAYER_IDS: usize = if cfg!(test) { 32 << 10 } else { 256 << 10 };
/// Ids per word: 32 bits each, of which [`WORD_BITS`] are set. To look for one that only seems to be
/// there costs as much as a hundred words.
const WORD_IDS: usize = 2;
/// Bits that an id sets in its word: of those not there, about one in two thousand seems to be.
const WORD_BITS: usize = 5;

/// Ids that may be in runs. A copy sees what is added to the layers that it has; one that does not see
/// it yet says no more than it knew.
#[derive(Default, Clone)]
pub(super) struct Filter {
    layers: Vec<Layer>,
}

#[derive(Clone)]
struct Layer {
    words: Arc<[AtomicU64]>,
    n_ids: usize,
}

impl Filter {
    /// False only when no such id was added.
    pub(super) fn may_have(&self, key: Key) -> bool {
        let (place, bits) = spread(key);
        self.layers.iter().any(|layer| layer.has(place, bits))
    }

    /// Brings what will be asked for into the processor's caches, all at once: each word is somewhere else in
    /// memory, and one after the other they are waited for.
    pub(super) fn look_ahead(&self, keys: impl Iterator<Item = Key>) {
        let mut seen = 0;
        for key in keys {
            let (place, _) = spread(key);
            for layer in &self.layers {
                seen |= layer.word(place).load(Ordering::Relaxed);
            }
        }
        std::hint::black_box(seen);
    }

    /// Notes an id that is in a run.
    pub(super) fn add(&mut self, key: Key) {
        let (place, bits) = spread(key);
        match self.layers.last() {
            None => self.begin_layer(FIRST_LAYER_IDS / WORD_IDS),
            Some(last) if last.n_ids < WORD_IDS * last.words.len() => {}
            Some(last) => self.begin_layer(2 * last.words.len()),
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.n_ids += 1;
            // One thread adds, and a word is right whenever it is seen.
            layer.word(place).fetch_or(bits, Ordering::Relaxed);
        }
    }
}

impl Filter {
    /// Makes room for so many ids in one layer, when there is none yet: of layers, each is wrong at
    /// times.
    pub(super) fn expect(&mut self, n_ids: usize) {
        if self.layers.is_empty() && FIRST_LAYER_IDS < n_ids {
            self.begin_layer(n_ids.div_ceil(WORD_IDS).min(FILTER_BYTES_MAX / 8));
        }
    }

    /// Makes room, unless it would be too much.
    fn begin_layer(&mut self, n_words: usize) {
        if self.n_bytes() + 8 * n_words <= FILTER_BYTES_MAX {
            self.layers.push(Layer {
                words: (0..n_words).map(|_| AtomicU64::new(0)).collect(),
                n_ids: 0,
            });
        }
    }

    fn n_bytes(&self) -> usize {
        self.layers.iter().map(|layer| 8 * layer.words.len()).sum()
    }
}

impl Layer {
    fn has(&self, place: u64, bits: u64) -> bool {
        self.word(place).load(Ordering::Relaxed) & bits == bits
    }

    fn word(&self, place: u64) -> &AtomicU64 {
        // The same share of the layer: faster than a remainder.
        let idx = (u128::from(place) * self.words.len() as u128) >> PLACE_BITS;
        &self.words[idx as usize]
    }
}

/// Bits of a key that say where it has its word.
const PLACE_BITS: u32 = 48;

/// Where in a layer an id has its word, and which bits of the word are its own. A key needs no
/// hashing: the low bits say one, those above them the other.
fn spread(key: Key) -> (u64, u64) {
    let mut choice = key.0 as u32;
    let mut bits = 0;
    for _ in 0..WORD_BITS {
        bits |= 1 << (choice % u64::BITS);
        choice /= u64::BITS;
    }
    ((key.0 >> u32::BITS) as u64, bits)
}

#[cfg(test)]
mod tests {
    use super::super::tests::key;
    use super::*;

    /// Of these, how many seem to be there.
    fn n_seeming(filter: &Filter, range: std::ops::Range<u64>) -> u64 {
        let seems = |n: &u64| filter.may_have(key(*n));
        range.filter(seems).count() as u64
    }

    #[test]
    fn it_grows_by_layers_and_is_seldom_wrong() {
        let mut filter = Filter::default();
        assert!(!filter.may_have(key(1)));
        let n_ids = 3 * FIRST_LAYER_IDS as u64;
        (0..n_ids).for_each(|n| filter.add(key(n)));
        assert_eq!(filter.layers.len(), 2);
        assert!((0..n_ids).all(|n| filter.may_have(key(n))));
        let n_wrong = n_seeming(&filter, n_ids..2 * n_ids);
        assert!(n_wrong < n_ids / 100, "{n_wrong} of {n_ids}");
    }

    #[test]
    fn ids_that_are_expected_have_one_layer_no_larger_than_the_filter_may_be() {
        let expecting = |n_ids| {
            let mut filter = Filter::default();
            filter.expect(n_ids);
            filter
        };
        assert_eq!(expecting(FIRST_LAYER_IDS).n_bytes(), 0);
        let n_room = FILTER_BYTES_MAX / 8 * WORD_IDS;
        assert_eq!(expecting(n_room - WORD_IDS).n_bytes(), FILTER_BYTES_MAX - 8);
        assert_eq!(expecting(n_room).n_bytes(), FILTER_BYTES_MAX);
        assert_eq!(expecting(n_room + 1).n_bytes(), FILTER_BYTES_MAX);
        let n_ids = 2 * FIRST_LAYER_IDS as u64;
        let mut filter = expecting(n_ids as usize);
        (0..n_ids).for_each(|n| filter.add(key(n)));
        assert_eq!(filter.layers.len(), 1);
        assert!((0..n_ids).all(|n| filter.may_have(key(n))));
        let n_wrong = n_seeming(&filter, n_ids..2 * n_ids);
        assert!(n_wrong < n_ids / 1_000, "{n_wrong} of {n_ids}");
        filter.add(key(n_ids));
        assert_eq!(filter.layers.len(), 2);
    }

    #[test]
    fn when_it_is_as_large_as_it_may_be_it_still_has_all() {
        // Layers of 128, 256 and 512 KiB: the next would be one too many.
        let n_room = 7 * FIRST_LAYER_IDS as u64;
        let mut filter = Filter::default();
        (0..n_room).for_each(|n| filter.add(key(n)));
        let n_bytes = filter.n_bytes();
        assert!(n_bytes <= FILTER_BYTES_MAX && FILTER_BYTES_MAX < 2 * n_bytes + 128 * 1024);
        (n_room..n_room + 1_000).for_each(|n| filter.add(key(n)));
        assert_eq!(filter.n_bytes(), n_bytes);
        assert!((0..n_room + 1_000).all(|n| filter.may_have(key(n))));
    }
}
