//! Parts compressed by libdeflate, which takes two thirds of zlib's time and makes them somewhat
//! smaller. It knows no flush: it ends what it writes with a block that says it is the last one.

use libdeflater::{CompressionLvl, Compressor, Decompressor};

use super::FINAL_BLOCK;

/// libdeflate's level 6 of 12.
const LEVEL: i32 = 6;
/// The bit of a block's first byte that says it is the last one.
const IS_FINAL: u8 = 1;
/// What stands behind the last block, so that more can follow: a stored block of nothing. Its first
/// three bits are in the byte before, if they have room there, or in one of their own.
const EMPTY_BLOCKS: [&[u8]; 2] = [&[0, 0, 0xFF, 0xFF], &[0, 0, 0, 0xFF, 0xFF]];

/// Compresses parts for keeping.
pub(super) struct Keeper {
    compressor: Compressor,
    decompressor: Decompressor,
    deflated: Vec<u8>,
    inflated: Vec<u8>,
}

impl Keeper {
    /// None when libdeflate does not know the level.
    pub(super) fn new() -> Option<Keeper> {
        Some(Keeper {
            compressor: Compressor::new(CompressionLvl::new(LEVEL).ok()?),
            decompressor: Decompressor::new(),
            deflated: Vec::new(),
            inflated: Vec::new(),
        })
    }

    /// Appends a part as a whole DEFLATE stream, from which the final block can be taken away. Appends
    /// nothing, and says so, where the part has become several blocks: the last one of them, which would
    /// have to be opened again, begins somewhere in between.
    pub(super) fn deflate(&mut self, part: &[u8], out: &mut Vec<u8>) -> bool {
        let bound = self.compressor.deflate_compress_bound(part.len());
        if self.deflated.len() < bound {
            self.deflated.resize(bound, 0);
        }
        let deflated = self
            .compressor
            .deflate_compress(part, &mut self.deflated)
            .map_or(&[][..], |len| &self.deflated[..len]);
        let Some((first, rest)) = deflated.split_first() else {
            return false;
        };
        if first & IS_FINAL == 0 {
            return false;
        }
        let begin = out.len();
        // Which of the two it is tells only who reads the stream.
        for empty in EMPTY_BLOCKS {
            out.push(first & !IS_FINAL);
            for bytes in [rest, empty, &FINAL_BLOCK] {
                out.extend_from_slice(bytes);
            }
            self.inflated.resize(part.len(), 0);
            let inflated = self
                .decompressor
                .deflate_decompress(&out[begin..], &mut self.inflated);
            if inflated == Ok(part.len()) && self.inflated == part {
                return true;
            }
            out.truncate(begin);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keep(part: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        let is_kept = Keeper::new().unwrap().deflate(part, &mut out);
        let kept = out.split_off(6);
        assert_eq!(out, b"before");
        assert_eq!(kept.is_empty(), !is_kept);
        is_kept.then_some(kept)
    }

    /// What zlib makes of these bytes, all of them.
    fn inflate(deflated: &[u8]) -> Vec<u8> {
        let mut inflate = flate2::Decompress::new(false);
        let mut out = Vec::with_capacity(1 << 20);
        let status = inflate.decompress_vec(deflated, &mut out, flate2::FlushDecompress::Finish);
        assert_eq!(status.unwrap(), flate2::Status::StreamEnd);
        assert_eq!(inflate.total_in(), deflated.len() as u64);
        out
    }

    proptest! {
        #[test]
        fn a_part_can_be_taken_alone_and_followed_by_another(
            first in "[a-d<>]{0,400}",
            second in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let (first, second) = (first.into_bytes(), second);
            let kept = [keep(&first).unwrap(), keep(&second).unwrap()];
            prop_assert_eq!(&inflate(&kept[0]), &first);
            prop_assert_eq!(&inflate(&kept[1]), &second);
            let open = &kept[0][..kept[0].len() - FINAL_BLOCK.len()];
            let both = [open, &kept[1]].concat();
            prop_assert_eq!(inflate(&both), [first, second].concat());
        }
    }

    #[test]
    fn a_part_of_several_blocks_is_left_alone() {
        let digits = |n: u32| n.wrapping_mul(2_654_435_761).to_string();
        let letters = |n: u32| digits(n).replace(|c: char| c < '5', "wxyz");
        let text: String = (0..20_000)
            .map(digits)
            .chain((0..20_000).map(letters))
            .collect();
        assert_eq!(keep(text.as_bytes()), None);
        let parts = crate::write::Parts {
            tail: text.into_bytes(),
            ..Default::default()
        };
        let sealed = crate::Sealer::new(crate::Level::Keep).seal(&parts);
        let opened = crate::Sealed::parse(&sealed).unwrap().open().unwrap();
        assert!(opened.tail == parts.tail);
    }
}
