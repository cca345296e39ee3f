//! Which ids may be in the table `event_id`: what is not here is not there either, and need not be
//! looked for.
//!
//! A Bloom filter in memory, one word of it per id. It is learnt from the table little by little,
//! in the order of the table, beside the work that comes in: until it has seen a part of the table,
//! it says that anything may be there. Ids are never taken out of the table, so none is ever taken
//! out here.

use rusqlite::{Connection, params};

use super::Key;

/// Bytes of the whole filter. It grows as ids come; beyond this it is right more and more seldom
/// that something may be there, and what it says is not there is still not there.
const FILTER_BYTES_MAX: usize = 16 << 20;
/// Ids for which a layer has room before the next one, which is twice as large, is begun.
const FIRST_LAYER_IDS: usize = 64 << 10;
/// Ids per word: 8 bits each, of which [`WORD_BITS`] are set.
const WORD_IDS: usize = 8;
/// Bits that an id sets in its word: of those not there, about one in thirty seems to be.
const WORD_BITS: usize = 4;
/// Ids learnt by a commit at least, and for each fresh one of it.
const LEARN_IDS_MIN: usize = 256;
const LEARN_IDS_PER_FRESH: usize = 16;

/// Ids that may be in the table.
#[derive(Default)]
pub(super) struct Filter {
    layers: Vec<Layer>,
    learnt: Learnt,
}

/// How far into the table the filter knows all of it.
#[derive(Default)]
enum Learnt {
    #[default]
    Nothing,
    To(Key),
    All,
}

struct Layer {
    words: Vec<u64>,
    n_ids: usize,
}

impl Filter {
    /// False only when the table has no such id.
    pub(super) fn may_have(&self, key: &Key) -> bool {
        let is_learnt = match &self.learnt {
            Learnt::Nothing => false,
            Learnt::To(last) => key <= last,
            Learnt::All => true,
        };
        let (place, bits) = spread(key);
        !is_learnt || self.layers.iter().any(|layer| layer.has(place, bits))
    }

    /// Notes an id that is in the table.
    pub(super) fn add(&mut self, key: &Key) {
        let (place, bits) = spread(key);
        let n_bytes: usize = self.layers.iter().map(|layer| 8 * layer.words.len()).sum();
        let n_words = match self.layers.last() {
            None => Some(FIRST_LAYER_IDS / WORD_IDS),
            Some(last) if last.n_ids < WORD_IDS * last.words.len() => None,
            Some(last) => Some(2 * last.words.len()),
        };
        if let Some(n_words) = n_words.filter(|n_words| n_bytes + 8 * n_words <= FILTER_BYTES_MAX) {
            self.layers.push(Layer {
                words: vec![0; n_words],
                n_ids: 0,
            });
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.n_ids += 1;
            let n_words = layer.words.len();
            layer.words[place % n_words] |= bits;
        }
    }

    /// Reads on in the table, the farther the more has come in.
    pub(super) fn learn(&mut self, db: &Connection, n_fresh: usize) -> rusqlite::Result<()> {
        let after = match &self.learnt {
            Learnt::Nothing => (i64::MIN, [0; 16]),
            Learnt::To(last) => *last,
            Learnt::All => return Ok(()),
        };
        let n_max = LEARN_IDS_MIN + LEARN_IDS_PER_FRESH * n_fresh;
        let mut select = db.prepare_cached(
            "SELECT account, hash FROM event_id WHERE (account, hash) > (?1, ?2) \
             ORDER BY account, hash LIMIT ?3",
        )?;
        let mut rows = select.query(params![after.0, after.1, n_max as i64])?;
        let (mut n_read, mut last) = (0, after);
        while let Some(row) = rows.next()? {
            last = (row.get(0)?, row.get(1)?);
            self.add(&last);
            n_read += 1;
        }
        self.learnt = if n_read < n_max {
            Learnt::All
        } else {
            Learnt::To(last)
        };
        Ok(())
    }
}

impl Layer {
    fn has(&self, place: usize, bits: u64) -> bool {
        self.words[place % self.words.len()] & bits == bits
    }
}

/// Where in a layer an id has its word, and which bits of the word are its own. A hash needs no
/// more hashing.
fn spread(key: &Key) -> (usize, u64) {
    let (account, hash) = key;
    let hash = u128::from_le_bytes(*hash);
    let place = (hash as u64 ^ account.cast_unsigned()) as usize;
    let mut choice = (hash >> 64) as u64;
    let mut bits = 0;
    for _ in 0..WORD_BITS {
        bits |= 1 << (choice % u64::from(u64::BITS));
        choice /= u64::from(u64::BITS);
    }
    (place, bits)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn key(n: u64) -> Key {
        let hash: [u8; 32] = Sha256::digest(n.to_le_bytes()).into();
        let mut key = (1, [0; 16]);
        key.1.copy_from_slice(&hash[..16]);
        key
    }

    fn table(keys: impl Iterator<Item = Key>) -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE event_id (account INTEGER NOT NULL, hash BLOB NOT NULL, \
             PRIMARY KEY (account, hash)) WITHOUT ROWID; BEGIN",
        )
        .unwrap();
        for key in keys {
            db.prepare_cached("INSERT INTO event_id VALUES (?1, ?2)")
                .unwrap()
                .execute(params![key.0, key.1])
                .unwrap();
        }
        db
    }

    #[test]
    fn before_anything_is_learnt_anything_may_be_there() {
        let mut filter = Filter::default();
        assert!(filter.may_have(&key(1)));
        filter.add(&key(2));
        assert!(filter.may_have(&key(1)));
    }

    #[test]
    fn while_it_learns_no_id_of_the_table_is_said_to_be_missing() {
        let n_ids = 3 * LEARN_IDS_MIN as u64 + 1;
        let db = table((0..n_ids).map(key));
        let mut filter = Filter::default();
        for _ in 0..3 {
            filter.learn(&db, 0).unwrap();
            assert!(!matches!(filter.learnt, Learnt::All));
            assert!((0..n_ids).all(|n| filter.may_have(&key(n))));
        }
        filter.learn(&db, 0).unwrap();
        assert!(matches!(filter.learnt, Learnt::All));
        assert!((0..n_ids).all(|n| filter.may_have(&key(n))));
        assert!((n_ids..2 * n_ids).any(|n| !filter.may_have(&key(n))));
    }

    #[test]
    fn it_grows_by_layers_and_is_seldom_wrong() {
        let db = table(std::iter::empty());
        let mut filter = Filter::default();
        filter.learn(&db, 0).unwrap();
        let n_ids = 3 * FIRST_LAYER_IDS as u64;
        (0..n_ids).for_each(|n| filter.add(&key(n)));
        assert_eq!(filter.layers.len(), 2);
        assert!((0..n_ids).all(|n| filter.may_have(&key(n))));
        let n_wrong = (n_ids..2 * n_ids)
            .filter(|n| filter.may_have(&key(*n)))
            .count() as u64;
        assert!(n_wrong < n_ids / 10, "{n_wrong} of {n_ids}");
    }
}
