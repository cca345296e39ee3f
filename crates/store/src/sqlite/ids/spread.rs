//! How ids are spread over the map in memory. They are hashes already: a secret of this process and
//! a multiplication for each word keep senders from choosing where they fall.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Makes hashers with a secret of their own.
pub(super) struct Spread {
    secret: u64,
}

impl Default for Spread {
    fn default() -> Spread {
        // The standard library's own way to chance.
        let secret = RandomState::new().hash_one(0);
        Spread { secret }
    }
}

impl BuildHasher for Spread {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding(self.secret)
    }
}

/// Multiplies each word with what came before it, and folds the product.
pub(super) struct Folding(u64);

/// An odd number with its bits well mixed: the fraction of the golden ratio.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

impl Folding {
    fn fold(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            self.fold(u64::from_le_bytes(padded));
        }
    }

    fn write_i64(&mut self, number: i64) {
        self.fold(number.cast_unsigned());
    }

    /// The length of a key: it is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
