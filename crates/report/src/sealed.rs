//! The bytes of a session, compressed once, in a form that any answer can be spliced from.
//!
//! Head and tail are raw DEFLATE, each ended by a full flush: byte-aligned, without reference to
//! what came before. Between them go the links, which are written at each request as a stored
//! block. Any sequence of such parts between a gzip header and a final empty block is one
//! ordinary gzip member, and its CRC is combined from the parts'.
//!
//! Layout, version 1, little endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version |
//! | 1 | nothing |
//! | 2 | length of the lsid |
//! | 2 × 4 | lengths of the packed links and of the packed names |
//! | 2 × 16 | head and tail: compressed length, length, CRC-32, combine operator |
//! | … | lsid, links, names, head, `03 00`, tail, `03 00` |
//!
//! The two bytes behind a part are a final empty block: with them the part is a whole DEFLATE
//! stream for a decompressor; an answer that splices leaves them out.

pub(crate) mod crc;
mod keep;

use debrief_domain::Directory;
use flate2::{Compress, Compression, FlushCompress};

use crate::element::Element;
use crate::link::{Piece, pack, unpack};
use crate::names::{self, Shown};
use crate::read::read_own;
use crate::write::Parts;
use keep::Keeper;

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For keeping: smaller.
    Keep,
    /// For one answer: faster.
    Once,
}

impl Level {
    pub(crate) fn compressor(self) -> Compress {
        let level = match self {
            Level::Keep => Compression::new(6),
            Level::Once => Compression::new(1),
        };
        Compress::new(level, false)
    }
}

/// The kept bytes are damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed session is damaged: {what}")]
pub struct SealedError {
    what: &'static str,
}

impl SealedError {
    pub(crate) fn not_xml() -> SealedError {
        damaged("not XML")
    }

    pub(crate) fn links() -> SealedError {
        damaged("links")
    }
}

const fn damaged(what: &'static str) -> SealedError {
    SealedError { what }
}

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 44;
/// Where the four words of each part stand in the header.
const HEAD_AT: usize = 12;
const TAIL_AT: usize = 28;

/// An empty block with the final bit: what ends a DEFLATE stream.
pub(crate) const FINAL_BLOCK: [u8; 2] = [0x03, 0x00];
/// The same as a stored block, which is longer. The short one has the fixed codes, and a decompressor
/// works out their tables for it, as many as for the text.
const FINAL_STORED_BLOCK: [u8; 5] = [0x01, 0x00, 0x00, 0xFF, 0xFF];
/// A part up to this length is copied to be ended by the stored block; tables are nothing to longer ones.
const COPIED_BYTES_MAX: usize = 64 << 10;

/// A view of a sealed session.
#[derive(Debug, Clone, Copy)]
pub struct Sealed<'a> {
    pub(crate) lsid: &'a str,
    pub(crate) links: &'a [u8],
    names: &'a [u8],
    pub(crate) head: Segment<'a>,
    pub(crate) tail: Segment<'a>,
}

/// One compressed part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    /// DEFLATE, and behind it the final block.
    deflated: &'a [u8],
    pub(crate) len: u32,
    pub(crate) crc: u32,
    pub(crate) operator: u32,
}

impl<'a> Segment<'a> {
    /// DEFLATE that more can follow.
    pub(crate) fn open(&self) -> &'a [u8] {
        &self.deflated[..self.deflated.len() - FINAL_BLOCK.len()]
    }

    /// A whole DEFLATE stream.
    pub(crate) fn closed(&self) -> &'a [u8] {
        self.deflated
    }
}

/// Turns the parts of sessions into kept bytes; holds the compressor's memory between sessions.
pub struct Sealer {
    compress: Compress,
    keeper: Option<Keeper>,
}

impl Sealer {
    /// A sealer.
    pub fn new(level: Level) -> Sealer {
        Sealer {
            compress: level.compressor(),
            keeper: match level {
                Level::Keep => Keeper::new(),
                Level::Once => None,
            },
        }
    }

    /// The kept bytes of a session.
    pub fn seal(&mut self, parts: &Parts) -> Vec<u8> {
        let links = pack(&parts.links);
        let names = names::pack(&parts.names);
        let mut out = vec![0; HEADER_BYTES];
        out[0] = VERSION;
        out[2..4].copy_from_slice(&(parts.lsid.len() as u16).to_le_bytes());
        out[4..8].copy_from_slice(&(links.len() as u32).to_le_bytes());
        out[8..12].copy_from_slice(&(names.len() as u32).to_le_bytes());
        out.extend_from_slice(parts.lsid.as_bytes());
        out.extend_from_slice(&links);
        out.extend_from_slice(&names);
        for (part, at) in [(&parts.head, HEAD_AT), (&parts.tail, TAIL_AT)] {
            let begin = out.len();
            let keeper = self.keeper.as_mut();
            if !keeper.is_some_and(|keeper| keeper.deflate(part, &mut out)) {
                deflate(&mut self.compress, part, FlushCompress::Full, &mut out);
                self.compress.reset();
                out.extend_from_slice(&FINAL_BLOCK);
            }
            let words = [
                (out.len() - begin) as u32,
                part.len() as u32,
                crc32fast::hash(part),
                crc::operator(part.len() as u64),
            ];
            for (idx, word) in words.into_iter().enumerate() {
                out[at + idx * 4..at + idx * 4 + 4].copy_from_slice(&word.to_le_bytes());
            }
        }
        out
    }
}

/// Compresses all of `input` and flushes as told.
pub(crate) fn deflate(
    compress: &mut Compress,
    mut input: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) {
    loop {
        out.reserve(input.len() / 4 + 256);
        let before = compress.total_in();
        // Only a call without room or input fails, and there is room.
        let status = compress.compress_vec(input, out, flush);
        debug_assert!(status.is_ok(), "{status:?}");
        input = &input[(compress.total_in() - before) as usize..];
        // Room that is left over says that nothing more is to come.
        if input.is_empty() && out.len() < out.capacity() {
            return;
        }
    }
}

impl<'a> Sealed<'a> {
    /// A view of kept bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Sealed<'a>, SealedError> {
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(damaged("no header"))?;
        if header[0] != VERSION {
            return Err(damaged("unknown version"));
        }
        let word = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let lsid_len = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let short = damaged("too short");
        let (lsid, rest) = rest.split_at_checked(lsid_len).ok_or(short)?;
        let (links, rest) = rest.split_at_checked(word(4) as usize).ok_or(short)?;
        let (names, rest) = rest.split_at_checked(word(8) as usize).ok_or(short)?;
        let (head, rest) = rest.split_at_checked(word(HEAD_AT) as usize).ok_or(short)?;
        let (tail, rest) = rest.split_at_checked(word(TAIL_AT) as usize).ok_or(short)?;
        if !rest.is_empty() || !head.ends_with(&FINAL_BLOCK) || !tail.ends_with(&FINAL_BLOCK) {
            return Err(damaged("wrong length"));
        }
        let segment = |deflated, at: usize| Segment {
            deflated,
            len: word(at + 4),
            crc: word(at + 8),
            operator: word(at + 12),
        };
        Ok(Sealed {
            lsid: std::str::from_utf8(lsid).map_err(|_| damaged("lsid is no text"))?,
            links,
            names,
            head: segment(head, HEAD_AT),
            tail: segment(tail, TAIL_AT),
        })
    }

    /// Bytes of its text without its links.
    pub fn text_len(&self) -> usize {
        self.head.len as usize + self.tail.len as usize
    }

    /// Whether every name it shows is what `directory` says now.
    pub fn is_current(&self, directory: &Directory) -> Result<bool, SealedError> {
        Ok(names::are_current(&self.names()?, directory))
    }

    fn names(&self) -> Result<Vec<Shown>, SealedError> {
        names::unpack(self.names).ok_or(damaged("names"))
    }

    pub(crate) fn pieces(&self) -> Result<Vec<Piece>, SealedError> {
        unpack(self.links).ok_or(damaged("links"))
    }

    /// The parts again, each compared with its checksum.
    pub fn open(&self) -> Result<Parts, SealedError> {
        let mut inflater = Inflater::new();
        let mut parts = Parts {
            lsid: self.lsid.into(),
            links: self.pieces()?,
            names: self.names()?,
            ..Parts::default()
        };
        inflater.inflate(&self.head, &mut parts.head)?;
        inflater.inflate(&self.tail, &mut parts.tail)?;
        for (part, segment) in [(&parts.head, &self.head), (&parts.tail, &self.tail)] {
            if crc32fast::hash(part) != segment.crc {
                return Err(damaged("checksum"));
            }
        }
        Ok(parts)
    }

    /// The parts with every name as `directory` has it now.
    pub fn renamed(&self, directory: &Directory, namespace: &str) -> Result<Parts, SealedError> {
        let mut parts = self.open()?;
        parts.rename(directory, namespace)?;
        Ok(parts)
    }
}

impl Parts {
    /// Whether every name shown is what `directory` says now.
    pub fn is_current(&self, directory: &Directory) -> bool {
        names::are_current(&self.names, directory)
    }

    /// The session as a tree, without its links.
    pub fn element(&self, namespace: &str) -> Result<Element, SealedError> {
        let whole = [&self.head[..], &self.tail[..]].concat();
        read_own(&whole, namespace).map_err(|_| SealedError::not_xml())
    }

    /// Brings every name up to date.
    pub fn rename(&mut self, directory: &Directory, namespace: &str) -> Result<(), SealedError> {
        let not_xml = |_| SealedError::not_xml();
        let mut whole = self.head.clone();
        whole.extend_from_slice(b"</session>");
        let mut head: Element = read_own(&whole, namespace).map_err(not_xml)?;
        // Each half shows some of the names: the list is brought up to date with the second.
        names::renew(&mut self.names.clone(), &mut head, directory);
        self.head.clear();
        head.write_start(namespace, None, &mut self.head);
        for node in &head.children {
            node.write(namespace, None, &mut self.head);
        }

        whole = b"<session>".to_vec();
        whole.extend_from_slice(&self.tail);
        let mut tail: Element = read_own(&whole, namespace).map_err(not_xml)?;
        names::renew(&mut self.names, &mut tail, directory);
        self.tail.clear();
        for node in &tail.children {
            node.write(namespace, None, &mut self.tail);
        }
        tail.write_end(&mut self.tail);
        self.tail.push(b'\n');
        Ok(())
    }
}

/// Inflates parts; holds the decompressor's memory between them. It is made for the first of them: an
/// answer that is sent as it is kept needs none.
pub(crate) struct Inflater {
    decompressor: Option<libdeflater::Decompressor>,
    /// The part, ended by the stored block.
    deflated: Vec<u8>,
}

impl Inflater {
    pub(crate) const fn new() -> Inflater {
        Inflater {
            decompressor: None,
            deflated: Vec::new(),
        }
    }

    /// Appends the part's text.
    pub(crate) fn inflate(
        &mut self,
        segment: &Segment<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SealedError> {
        let begin = out.len();
        self.inflate_at(segment, out, begin).map(|_| ())
    }

    /// Writes the part's text from this byte on, over what is there. Gives where it ends.
    pub(crate) fn inflate_at(
        &mut self,
        segment: &Segment<'_>,
        out: &mut Vec<u8>,
        begin: usize,
    ) -> Result<usize, SealedError> {
        // A length that no sealed part can have must not make us allocate it.
        if (segment.closed().len() as u64) * 1032 + 1032 < u64::from(segment.len) {
            return Err(damaged("impossible length"));
        }
        let end = begin + segment.len as usize;
        if out.len() < end {
            out.resize(end, 0);
        }
        let deflated = if segment.deflated.len() <= COPIED_BYTES_MAX {
            self.deflated.clear();
            self.deflated.extend_from_slice(segment.open());
            self.deflated.extend_from_slice(&FINAL_STORED_BLOCK);
            &self.deflated
        } else {
            segment.closed()
        };
        let decompressor = self
            .decompressor
            .get_or_insert_with(libdeflater::Decompressor::new);
        match decompressor.deflate_decompress(deflated, &mut out[begin..end]) {
            Ok(n) if n == segment.len as usize => Ok(end),
            Ok(_) => Err(damaged("length")),
            Err(_) => Err(damaged("compression")),
        }
    }
}

#[cfg(test)]
mod tests {
    use debrief_domain::TeamId;

    use super::*;
    use crate::answer::Plain;
    use crate::dialect::Dialect;
    use crate::link::{DefinesCustomFields, LinkKey, Links, RecordingsView};

    fn parts() -> Parts {
        Parts {
            lsid: "abc".into(),
            head: b"<session lsid=\"abc\"><session_type>support</session_type>".to_vec(),
            links: vec![Piece::CustomAttributesIfDefined],
            tail: concat!(
                "<primary_team id=\"2\">Old &amp; two</primary_team>",
                "<team_list><team id=\"1\" primary_team=\"0\">Old one</team>",
                "<team id=\"2\" primary_team=\"1\">Old &amp; two</team></team_list></session>\n"
            )
            .into(),
            n_replaced: 0,
            names: vec![Shown {
                kind: names::Kind::Team,
                id: "2".into(),
                told: "Old & two".into(),
                name: "Old & two".into(),
            }],
        }
    }

    #[test]
    fn what_was_sealed_is_opened_again() {
        let sealed = Sealer::new(Level::Keep).seal(&parts());
        let view = Sealed::parse(&sealed).unwrap();
        assert_eq!(view.open().unwrap(), parts());
    }

    #[test]
    fn a_session_is_written_over_whatever_a_buffer_held() {
        let sealed = Sealer::new(Level::Keep).seal(&parts());
        let view = Sealed::parse(&sealed).unwrap();
        let links = Links {
            base: "https://debrief.example".into(),
            account: "1".into(),
            expires: 0,
            recordings: RecordingsView::Allowed,
            defines_custom_fields: DefinesCustomFields::Some,
            key: LinkKey::new(&[7; 32]),
        };
        let (links, mut plain) = (links.signer(), Plain::new());
        let mut expected = Vec::new();
        plain.sealed(&view, &links, &mut expected).unwrap();
        let len = expected.len();
        for n_held in [0, 3, len - 1, len, len + 2, len + 99] {
            for begin in [0, 2] {
                let mut out = vec![b'x'; n_held];
                let end = plain.sealed_at(&view, &links, &mut out, begin.min(n_held));
                let end = end.unwrap();
                assert_eq!(out[begin.min(n_held)..end], expected, "{n_held}");
                assert!(out[end..].iter().all(|byte| *byte == b'x'), "{n_held}");
            }
        }
    }

    /// Stored blocks end where they say, so that a part can have any length.
    #[test]
    fn a_part_up_to_so_many_bytes_is_copied_and_a_longer_one_is_not() {
        for (n_bytes, is_copied) in [(COPIED_BYTES_MAX, true), (COPIED_BYTES_MAX + 1, false)] {
            let text = vec![b'x'; n_bytes - 5 - FINAL_BLOCK.len()];
            let len = text.len() as u16;
            let lens = [len.to_le_bytes(), (!len).to_le_bytes()].concat();
            let deflated = [&[0][..], &lens, &text, &FINAL_BLOCK].concat();
            assert_eq!(deflated.len(), n_bytes);
            let mut segment = Segment {
                deflated: &deflated,
                len: text.len() as u32,
                crc: 0,
                operator: 0,
            };
            let (mut inflater, mut out) = (Inflater::new(), b"before".to_vec());
            inflater.inflate(&segment, &mut out).unwrap();
            assert!(out == [b"before", &text[..]].concat(), "{n_bytes}");
            assert_eq!(!inflater.deflated.is_empty(), is_copied, "{n_bytes}");
            segment.len -= 1;
            inflater.inflate(&segment, &mut out).unwrap_err();
            segment.len += 2;
            inflater.inflate(&segment, &mut out).unwrap_err();
        }
    }

    #[test]
    fn damage_at_any_byte_is_an_error_or_changes_nothing_but_the_links() {
        let sealed = Sealer::new(Level::Keep).seal(&parts());
        for idx in 0..sealed.len() {
            let mut broken = sealed.clone();
            broken[idx] ^= 0x55;
            if let Ok(opened) = Sealed::parse(&broken).and_then(|view| view.open()) {
                assert_eq!(opened.head, parts().head, "byte {idx}");
                assert_eq!(opened.tail, parts().tail, "byte {idx}");
            }
            assert!(Sealed::parse(&sealed[..idx]).is_err(), "cut at {idx}");
        }
    }

    #[test]
    fn renaming_changes_known_teams_and_nothing_else() {
        let sealed = Sealer::new(Level::Keep).seal(&parts());
        let mut directory = Directory::default();
        let two = debrief_domain::Team {
            name: "New <two>\u{1}".into(),
            ..Default::default()
        };
        directory.teams.insert(TeamId::parse("2").unwrap(), two);
        let view = Sealed::parse(&sealed).unwrap();
        assert!(view.is_current(&Directory::default()).unwrap());
        assert!(!view.is_current(&directory).unwrap());
        let renamed = view.renamed(&directory, Dialect::NAMESPACE).unwrap();
        let expected = String::from_utf8(parts().tail).unwrap();
        let expected = expected.replace("Old &amp; two", "New &lt;two&gt;\u{FFFD}");
        assert_eq!(renamed.names[0].name, "New <two>\u{1}");
        let mut back = renamed.clone();
        back.rename(&Directory::default(), Dialect::NAMESPACE)
            .unwrap();
        assert_eq!(back, parts(), "a team that is gone has its own name again");
        assert_eq!(renamed.head, parts().head);
        assert!(renamed.is_current(&directory));
        assert_eq!(String::from_utf8(renamed.tail).unwrap(), expected);
    }
}
