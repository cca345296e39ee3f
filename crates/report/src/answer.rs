//! An answer put together out of sessions, as a stream of bytes in any of its formats.

use flate2::{Compress, FlushCompress};

use crate::column::{csv_header, csv_row};
use crate::dialect::{Dialect, root_end};
use crate::link::Signer;
use crate::read::read_own;
use crate::sealed::{Inflater, Level, Sealed, SealedError, Segment, crc, deflate};
use crate::write::{Parts, json_session};

/// What sessions are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The vendor's XML.
    Xml,
    /// One JSON object with a list of sessions.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// One row per session.
    Csv,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [Format::Xml, Format::Json, Format::Ndjson, Format::Csv];

    /// The word in the parameter `format`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Xml => "xml",
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Xml => "text/xml; charset=utf-8",
            Format::Json => "application/json",
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

/// How the bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As they are.
    Identity,
    /// As one gzip member.
    Gzip,
}

/// What stands above the first session.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The dialect spoken.
    pub dialect: &'static Dialect,
    /// The root element.
    pub root: &'static str,
    /// The namespace of the report's elements.
    pub namespace: &'a str,
    /// The cursor of a `changed_since` report.
    pub next: Option<u64>,
}

/// An answer in the making. Bytes are appended to the caller's buffer, which may be sent and
/// emptied between calls.
pub struct Answer {
    format: Format,
    root: &'static str,
    namespace: String,
    gzip: Option<Gzip>,
    plain: Plain,
    n_sessions: u64,
    scratch: Vec<u8>,
}

impl Answer {
    /// Begins an answer with whatever stands above the first session.
    pub fn begin(head: Head<'_>, format: Format, coding: Coding, out: &mut Vec<u8>) -> Answer {
        let mut answer = Answer {
            format,
            root: head.root,
            namespace: head.namespace.into(),
            gzip: match coding {
                Coding::Identity => None,
                Coding::Gzip => Some(Gzip::begin(out)),
            },
            plain: Plain::new(),
            n_sessions: 0,
            scratch: Vec::new(),
        };
        let mut text = Vec::with_capacity(TEXT_BYTES);
        match format {
            Format::Xml => head
                .dialect
                .root_start(head.root, head.namespace, head.next, &mut text),
            Format::Json => text.extend_from_slice(b"{\"sessions\":[\n"),
            Format::Ndjson => {}
            Format::Csv => text = csv_header(),
        }
        answer.put(&text, out);
        answer
    }

    /// Appends a sealed session.
    pub fn sealed(
        &mut self,
        sealed: &Sealed<'_>,
        links: &Signer,
        out: &mut Vec<u8>,
    ) -> Result<(), SealedError> {
        self.n_sessions += 1;
        let mut linked = std::mem::take(&mut self.scratch);
        linked.clear();
        let result = self.sealed_with(sealed, links, &mut linked, out);
        self.scratch = linked;
        result
    }

    fn sealed_with(
        &mut self,
        sealed: &Sealed<'_>,
        links: &Signer,
        linked: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), SealedError> {
        if self.format != Format::Xml {
            self.plain.sealed(sealed, links, linked)?;
            return self.reclothe(linked, out);
        }
        match &mut self.gzip {
            Some(gzip) => {
                gzip.splice(&sealed.head, out);
                gzip.store_with(out, |out| links.write(sealed.lsid, sealed.links, out))
                    .ok_or(SealedError::links())?;
                gzip.splice(&sealed.tail, out);
                Ok(())
            }
            None => self.plain.sealed(sealed, links, out),
        }
    }

    /// Appends a session that is not sealed.
    pub fn parts(
        &mut self,
        parts: &Parts,
        links: &Signer,
        out: &mut Vec<u8>,
    ) -> Result<(), SealedError> {
        self.n_sessions += 1;
        let mut text = parts.head.clone();
        let packed = crate::link::pack(&parts.links);
        links
            .write(&parts.lsid, &packed, &mut text)
            .ok_or(SealedError::links())?;
        text.extend_from_slice(&parts.tail);
        if self.format == Format::Xml {
            self.put(&text, out);
            return Ok(());
        }
        self.reclothe(&text, out)
    }

    /// Appends elements that are no sessions, as XML.
    pub fn elements(&mut self, xml: &[u8], out: &mut Vec<u8>) {
        self.put(xml, out);
    }

    /// Ends the answer.
    pub fn end(mut self, out: &mut Vec<u8>) {
        match self.format {
            Format::Xml => {
                let mut end = Vec::with_capacity(TEXT_BYTES);
                root_end(self.root, &mut end);
                self.put(&end, out);
            }
            Format::Json => self.put(b"]}\n", out),
            Format::Ndjson | Format::Csv => {}
        }
        if let Some(gzip) = self.gzip {
            gzip.end(out);
        }
    }

    /// Appends a session, given as XML, in the answer's own format.
    fn reclothe(&mut self, xml: &[u8], out: &mut Vec<u8>) -> Result<(), SealedError> {
        let session = read_own(xml, &self.namespace).map_err(|_| SealedError::not_xml())?;
        let mut text = Vec::new();
        match self.format {
            Format::Xml => text.extend_from_slice(xml),
            Format::Json => {
                if 1 < self.n_sessions {
                    text.extend_from_slice(b",\n");
                }
                json_session(&session, &mut text);
            }
            Format::Ndjson => {
                json_session(&session, &mut text);
                text.push(b'\n');
            }
            Format::Csv => csv_row(&session, &mut text),
        }
        self.put(&text, out);
        Ok(())
    }

    fn put(&mut self, text: &[u8], out: &mut Vec<u8>) {
        match &mut self.gzip {
            Some(gzip) => gzip.compress(text, out),
            None => out.extend_from_slice(text),
        }
    }
}

/// Turns sealed sessions into text; holds the decompressor's memory between them. What it appends
/// depends on nothing that came before, so several may work on one answer.
pub struct Plain {
    inflater: Inflater,
    linked: Vec<u8>,
}

impl Default for Plain {
    fn default() -> Plain {
        Plain::new()
    }
}

impl Plain {
    /// With a decompressor of its own.
    pub fn new() -> Plain {
        Plain {
            inflater: Inflater::new(),
            linked: Vec::new(),
        }
    }

    /// Appends a session as XML.
    pub fn sealed(
        &mut self,
        sealed: &Sealed<'_>,
        links: &Signer,
        out: &mut Vec<u8>,
    ) -> Result<(), SealedError> {
        let begin = out.len();
        self.sealed_at(sealed, links, out, begin).map(|_| ())
    }

    /// Writes a session as XML from this byte on, over what is there: bytes that were filled once need
    /// not be filled again. Gives where it ends.
    pub fn sealed_at(
        &mut self,
        sealed: &Sealed<'_>,
        links: &Signer,
        out: &mut Vec<u8>,
        begin: usize,
    ) -> Result<usize, SealedError> {
        self.linked.clear();
        links
            .write(sealed.lsid, sealed.links, &mut self.linked)
            .ok_or(SealedError::links())?;
        let end = self.inflater.inflate_at(&sealed.head, out, begin)?;
        let end = write_at(out, end, &self.linked);
        self.inflater.inflate_at(&sealed.tail, out, end)
    }
}

/// Writes bytes from this one on, over what is there. Gives where they end.
pub fn write_at(out: &mut Vec<u8>, begin: usize, bytes: &[u8]) -> usize {
    let end = begin + bytes.len();
    if out.len() < end {
        out.resize(end, 0);
    }
    out[begin..end].copy_from_slice(bytes);
    end
}

/// A gzip member (RFC 1952) in the making.
struct Gzip {
    /// Made when something must be compressed on the way: it is large.
    compress: Option<Compress>,
    crc: u32,
    len: u32,
}

/// Room for what stands above the sessions, or below them: a text that grows asks for memory again.
const TEXT_BYTES: usize = 256;
/// Texts up to this length are not worth a compressor.
const STORED_SHORT: usize = 1_024;
/// What stands before the bytes of a stored block.
const STORED_HEADER_BYTES: usize = 5;
/// The longest stored block.
const STORED_MAX: usize = 65_535;

impl Gzip {
    fn begin(out: &mut Vec<u8>) -> Gzip {
        // No name, no time, unknown system: the same question has the same bytes.
        out.extend_from_slice(&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]);
        Gzip {
            compress: None,
            crc: 0,
            len: 0,
        }
    }

    fn count(&mut self, len: u32, crc: u32, operator: u32) {
        self.crc = crc::combine(self.crc, crc, operator);
        self.len = self.len.wrapping_add(len);
    }

    /// Text that is compressed already.
    fn splice(&mut self, segment: &Segment<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(segment.open());
        self.count(segment.len, segment.crc, segment.operator);
    }

    /// What `write` appends, as stored blocks: in place where it fits into one. None when it fails.
    fn store_with(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Option<()> {
        let block = out.len();
        out.extend_from_slice(&[0; STORED_HEADER_BYTES]);
        let begin = out.len();
        write(out)?;
        let Ok(len) = u16::try_from(out.len() - begin) else {
            let text = out.split_off(begin);
            out.truncate(block);
            self.store(&text, out);
            return Some(());
        };
        if len == 0 {
            out.truncate(block);
            return Some(());
        }
        out[block + 1..block + 3].copy_from_slice(&len.to_le_bytes());
        out[block + 3..begin].copy_from_slice(&(!len).to_le_bytes());
        self.count_text(&out[begin..]);
        Some(())
    }

    /// Text as stored blocks.
    fn store(&mut self, text: &[u8], out: &mut Vec<u8>) {
        for block in text.chunks(STORED_MAX) {
            let len = block.len() as u16;
            out.push(0);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&(!len).to_le_bytes());
            out.extend_from_slice(block);
        }
        self.count_text(text);
    }

    /// Text compressed on the way, so that anything may follow; a short one is stored.
    fn compress(&mut self, text: &[u8], out: &mut Vec<u8>) {
        if text.len() <= STORED_SHORT {
            return self.store(text, out);
        }
        let compress = self
            .compress
            .get_or_insert_with(|| Level::Once.compressor());
        deflate(compress, text, FlushCompress::Full, out);
        self.count_text(text);
    }

    fn count_text(&mut self, text: &[u8]) {
        // Going on with the checksum so far takes no combining.
        let mut crc = crc32fast::Hasher::new_with_initial(self.crc);
        crc.update(text);
        self.crc = crc.finalize();
        self.len = self.len.wrapping_add(text.len() as u32);
    }

    fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&crate::sealed::FINAL_BLOCK);
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
    }
}
