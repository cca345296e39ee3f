//! Ids of a block of a run: sorted keys are as good as random, so that their differences take few bits.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | CRC-32 of what follows, little endian |
//! | 4 | how many, little endian |
//! | 1 | low bits of a difference that are written as they are |
//! | 2 × 10 | the first and the last key, big endian |
//! | 4 each | digests, little endian |
//! | … | the differences of the other keys: what is above the low bits as so many ones and a zero, then the low bits; the first bit is the lowest of its byte |

use super::{Id, Key};
use crate::bits::{Reader, Writer};

/// Bytes of a block: a row of them fills a page of 4 KiB.
const BLOCK_BYTES: usize = if cfg!(test) { 220 } else { 4_040 };
/// Bytes before the digests.
const HEAD_BYTES: usize = 9 + 2 * KEY_BYTES;
/// Bytes of the checksum.
const CRC_BYTES: usize = 4;
/// Bits of a key.
const KEY_BITS: u32 = 80;
const KEY_BYTES: usize = KEY_BITS as usize / 8;
const DIGEST_BYTES: usize = 4;

/// Ids that are to become a block, in order.
#[derive(Default)]
pub(super) struct Pending(Vec<Id>);

impl Pending {
    /// Whether there is room for one more id, which comes behind the others.
    pub(super) fn has_room_for(&self, id: Id) -> bool {
        let Some(first) = self.0.first() else {
            return true;
        };
        let n_gaps = self.0.len();
        let span = id.key().0 - first.key().0;
        let low_bits = low_bits(span, n_gaps);
        // Each difference takes its low bits and a zero; the ones of all are no more than this.
        let n_ones = (span >> low_bits) as usize;
        let n_bits = n_gaps * (low_bits as usize + 1) + n_ones;
        HEAD_BYTES + (n_gaps + 1) * DIGEST_BYTES + n_bits.div_ceil(8) <= BLOCK_BYTES
    }

    pub(super) fn push(&mut self, id: Id) {
        self.0.push(id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The block, of at least one id; the next one begins.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let block = pack(&self.0);
        self.0.clear();
        block
    }
}

/// Sorted ids as blocks.
pub(super) fn blocks(ids: &[Id]) -> Vec<Vec<u8>> {
    let (mut blocks, mut pending) = (Vec::new(), Pending::default());
    for id in ids {
        if !pending.has_room_for(*id) {
            blocks.push(pending.take());
        }
        pending.push(*id);
    }
    if !pending.is_empty() {
        blocks.push(pending.take());
    }
    blocks
}

/// As many low bits as the mean difference has, or one less: what is above them is then mostly one.
fn low_bits(span: u128, n_gaps: usize) -> u32 {
    (span / n_gaps.max(1) as u128).max(1).ilog2()
}

fn pack(ids: &[Id]) -> Vec<u8> {
    let keys = || ids.iter().map(|id| id.key().0);
    let (first, last) = (keys().next().unwrap_or(0), keys().next_back().unwrap_or(0));
    let low_bits = low_bits(last - first, ids.len() - 1);
    let mut out = vec![0; CRC_BYTES];
    out.extend_from_slice(&(ids.len() as u32).to_le_bytes());
    out.push(low_bits as u8);
    for key in [first, last] {
        out.extend_from_slice(&key.to_be_bytes()[16 - KEY_BYTES..]);
    }
    out.extend(ids.iter().flat_map(|id| id.digest().to_le_bytes()));
    let mut bits = Writer::new(out);
    for (before, key) in keys().zip(keys().skip(1)) {
        let gap = key - before;
        for _ in 0..gap >> low_bits {
            bits.write(1, 1);
        }
        bits.write(0, 1);
        bits.write(gap & ((1 << low_bits) - 1), low_bits);
    }
    let mut block = bits.finish();
    let crc = crc32fast::hash(&block[CRC_BYTES..]);
    block[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    block
}

/// A block as it is kept.
pub(super) struct Block<'a> {
    low_bits: u32,
    first: Key,
    last: Key,
    digests: &'a [[u8; DIGEST_BYTES]],
    gaps: &'a [u8],
}

impl<'a> Block<'a> {
    /// None when it is damaged.
    pub(super) fn parse(block: &'a [u8]) -> Option<Block<'a>> {
        let (head, rest) = block.split_first_chunk::<HEAD_BYTES>()?;
        let word = |at: usize| {
            let word = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            u32::from_le_bytes(word)
        };
        if word(0) != crc32fast::hash(&block[CRC_BYTES..]) {
            return None;
        }
        let n_ids = word(CRC_BYTES) as usize;
        let low_bits = u32::from(head[8]);
        let (digests, gaps) = rest.split_at_checked(n_ids.checked_mul(DIGEST_BYTES)?)?;
        let key = |bytes: &[u8]| {
            let key = bytes.iter();
            Key(key.fold(0, |key, b| key << 8 | u128::from(*b)))
        };
        let (first, last) = head[9..].split_at(KEY_BYTES);
        (n_ids != 0 && low_bits <= KEY_BITS).then(|| Block {
            low_bits,
            first: key(first),
            last: key(last),
            digests: digests.as_chunks().0,
            gaps,
        })
    }

    /// The keys, in order, and none in place of what cannot be read.
    fn keys(&self) -> Keys<'a> {
        Keys {
            bits: Reader::new(self.gaps),
            low_bits: self.low_bits,
            next: Some(self.first),
            n_left: self.digests.len(),
        }
    }

    /// Shows each key, in order; none when the block is damaged.
    pub(super) fn each_key(&self, mut see: impl FnMut(Key)) -> Option<()> {
        let mut keys = self.keys();
        let mut last = None;
        for key in &mut keys {
            let key = key?;
            see(key);
            last = Some(key);
        }
        (keys.bits.is_at_end() && last == Some(self.last)).then_some(())
    }

    /// The ids; none when it is damaged.
    pub(super) fn ids(&self) -> Option<Vec<Id>> {
        let mut digests = self.digests.iter();
        let mut ids = Vec::with_capacity(digests.len());
        self.each_key(|key| {
            let digest = digests.next();
            ids.extend(digest.map(|digest| Id::new(key, u32::from_le_bytes(*digest))));
        })?;
        Some(ids)
    }

    /// Where an id is; none when the block is damaged.
    pub(super) fn look(&self, key: Key) -> Option<Look> {
        if key < self.first {
            return Some(Look::Before(self.first));
        }
        if self.last < key {
            return Some(Look::Behind(self.last));
        }
        for (known, digest) in self.keys().zip(self.digests) {
            let known = known?;
            if key <= known {
                let digest = (key == known).then(|| u32::from_le_bytes(*digest));
                return Some(Look::Here(digest));
            }
        }
        // The last key is not less than this one.
        None
    }
}

/// Where an id is, as a block says.
pub(super) enum Look {
    /// In this block or nowhere, and which digest it has.
    Here(Option<u32>),
    /// Before this block, which begins with this key.
    Before(Key),
    /// Behind this block, which ends with this key.
    Behind(Key),
}

struct Keys<'a> {
    bits: Reader<'a>,
    low_bits: u32,
    /// None behind what cannot be read.
    next: Option<Key>,
    n_left: usize,
}

impl Iterator for Keys<'_> {
    type Item = Option<Key>;

    fn next(&mut self) -> Option<Option<Key>> {
        self.n_left = self.n_left.checked_sub(1)?;
        let key = self.next;
        if 0 < self.n_left {
            self.next = key.and_then(|key| self.behind(key));
        }
        Some(key)
    }
}

impl Keys<'_> {
    fn behind(&mut self, key: Key) -> Option<Key> {
        let high = self.bits.ones()?;
        let low = self.bits.read(self.low_bits)?;
        let gap = high.checked_shl(self.low_bits)?;
        let next = key.0.checked_add(gap | low)?;
        (gap >> self.low_bits == high && next >> KEY_BITS == 0).then_some(Key(next))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    fn unpack(block: &[u8]) -> Option<Vec<Id>> {
        Block::parse(block)?.ids()
    }

    fn id() -> impl Strategy<Value = Id> {
        let key = prop_oneof![
            any::<u128>().prop_map(|key| key >> (u128::BITS - KEY_BITS)),
            0..40_u128,
            Just((1 << KEY_BITS) - 1),
        ];
        (key, any::<u32>()).prop_map(|(key, digest)| Id::new(Key(key), digest))
    }

    proptest! {
        #[test]
        fn ids_come_back_and_blocks_are_full_but_not_too_full(ids in btree_set(id(), 1..200)) {
            let ids: Vec<Id> = ids.into_iter().collect();
            let blocks = blocks(&ids);
            let again: Option<Vec<Vec<Id>>> = blocks.iter().map(|block| unpack(block)).collect();
            prop_assert_eq!(again.unwrap().concat(), ids.clone());
            for block in &blocks {
                prop_assert!(block.len() <= BLOCK_BYTES);
            }
            // Each is found where it is, and nothing that is not there.
            let block = Block::parse(&blocks[0]).unwrap();
            let of_block = block.ids().unwrap();
            for id in &ids {
                let found = match block.look(id.key()) {
                    Some(Look::Here(found)) => found,
                    Some(Look::Behind(last)) => {
                        prop_assert!(last < id.key());
                        None
                    }
                    Some(Look::Before(_)) | None => panic!("the first block has the least"),
                };
                let known = of_block.iter().find(|known| known.key() == id.key());
                prop_assert_eq!(found, known.map(|known| known.digest()));
                let next = Key(id.key().0 + 1);
                if next <= of_block[of_block.len() - 1].key()
                    && of_block.iter().all(|known| known.key() != next)
                {
                    prop_assert!(matches!(block.look(next), Some(Look::Here(None))));
                }
            }
        }

        #[test]
        fn damaged_blocks_are_refused_or_read(
            ids in btree_set(id(), 1..20),
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let ids: Vec<Id> = ids.into_iter().collect();
            let mut block = blocks(&ids).remove(0);
            prop_assert!(unpack(&block[..cut.index(block.len())]).is_none());
            for (at, byte) in damage {
                let at = at.index(block.len());
                block[at] = byte;
            }
            prop_assert!(unpack(&block).is_none_or(|again| again == ids[..again.len()]));
            // Were the checksum right, it would be ids or none, and no more than there are digests.
            let crc = crc32fast::hash(&block[CRC_BYTES..]);
            block[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
            prop_assert!(unpack(&block).is_none_or(|ids| ids.len() * DIGEST_BYTES < block.len()));
        }
    }

    #[test]
    fn random_ids_take_less_than_twelve_bytes() {
        // As far from each other as those of two million.
        let mut key: u128 = 0;
        let mut word: u64 = 1;
        let ids: Vec<Id> = (0..10)
            .map(|_| {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                key += u128::from(word >> 4);
                Id::new(Key(key), 7)
            })
            .collect();
        let n_bytes: usize = blocks(&ids).iter().map(Vec::len).sum();
        assert!(n_bytes - HEAD_BYTES < 12 * ids.len() + 8, "{n_bytes}");
    }

    /// Archives are full of it.
    #[test]
    fn blocks_are_written_as_ever() {
        let id = |key: u128, digest: u32| Id::new(Key(key), digest);
        let ids = [
            id(5, 0xABCD),
            id(1 << 60, 1),
            id((1 << 60) + 7, 2),
            id(1 << 79, 3),
        ];
        let hex: String = blocks(&ids)[0].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "ddb28f2f040000004d0000000000000000000580000000000000000000cdab000001000000020000\
             0003000000f6ffffffffffff1f008003000000000000000070f9ffffffffffffefff1f"
        );
    }
}
