//! A piece of an answer on its way to the client.

use std::sync::Arc;

use debrief_report::{Plain, Sealed, Signer};
use debrief_store::StoreError;

use super::damaged;

/// Bytes of an answer.
pub(crate) enum Chunk {
    /// As they are sent.
    Ready(Vec<u8>),
    /// Still to be inflated: that takes long, and any thread can do it.
    Sealed(SealedChunk),
}

impl Chunk {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Chunk::Ready(bytes) => bytes.is_empty(),
            Chunk::Sealed(sealed) => sealed.items.is_empty(),
        }
    }

    /// The bytes as they are sent.
    pub(crate) fn into_bytes(self) -> Result<Vec<u8>, StoreError> {
        match self {
            Chunk::Ready(bytes) => Ok(bytes),
            Chunk::Sealed(sealed) => sealed.inflate(),
        }
    }
}

/// Sealed sessions, and the text between them.
pub(crate) struct SealedChunk {
    links: Arc<Signer>,
    bytes: Vec<u8>,
    /// What the bytes are, one behind the other.
    items: Vec<Item>,
    /// Bytes there will be, without links.
    text_len: usize,
}

/// So many bytes of one kind.
enum Item {
    Text(usize),
    Session(usize),
}

/// Bytes of the links of most sessions.
const LINKS_BYTES: usize = 1_024;

impl SealedChunk {
    pub(super) fn new(links: &Arc<Signer>) -> SealedChunk {
        SealedChunk {
            links: Arc::clone(links),
            bytes: Vec::new(),
            items: Vec::new(),
            text_len: 0,
        }
    }

    /// Moves text behind what is there.
    pub(super) fn text(&mut self, text: &mut Vec<u8>) {
        if !text.is_empty() {
            self.items.push(Item::Text(text.len()));
            self.text_len += text.len();
            self.bytes.append(text);
        }
    }

    /// Appends a sealed session with so many bytes of text.
    pub(super) fn session(&mut self, sealed: &[u8], text_len: usize) {
        self.items.push(Item::Session(sealed.len()));
        self.text_len += text_len;
        self.bytes.extend_from_slice(sealed);
    }

    /// Bytes there will be, without links.
    pub(super) fn text_len(&self) -> usize {
        self.text_len
    }

    fn inflate(self) -> Result<Vec<u8>, StoreError> {
        let mut plain = Plain::new();
        let mut out = Vec::with_capacity(self.text_len + self.items.len() * LINKS_BYTES);
        let mut rest = &self.bytes[..];
        for item in &self.items {
            let (Item::Text(len) | Item::Session(len)) = item;
            let (bytes, behind) = rest.split_at(*len);
            rest = behind;
            match item {
                Item::Text(_) => out.extend_from_slice(bytes),
                Item::Session(_) => {
                    let sealed = Sealed::parse(bytes).map_err(damaged)?;
                    plain
                        .sealed(&sealed, &self.links, &mut out)
                        .map_err(damaged)?;
                }
            }
        }
        Ok(out)
    }
}
