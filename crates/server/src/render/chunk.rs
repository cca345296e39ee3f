//! A piece of an answer on its way to the client.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use debrief_report::{Plain, Sealed, Signer, write_at};
use debrief_store::StoreError;

use super::damaged;

/// Buffers that go from chunk to chunk of one answer: to ask the system for new ones costs as much as
/// to fill them.
#[derive(Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// Buffers that wait for the next chunk.
const BUFFERS_KEPT: usize = 2;
/// What one long session took is given back to the system.
const BUFFER_BYTES_KEPT_MAX: usize = 2 << 20;

impl Buffers {
    /// An empty one with this much room.
    pub(super) fn take(&self, room: usize) -> Vec<u8> {
        let kept = self.0.lock().ok().and_then(|mut kept| kept.pop());
        let mut bytes = kept.unwrap_or_default();
        bytes.clear();
        bytes.reserve(room);
        bytes
    }

    /// One with so many bytes, whatever they are.
    fn take_filled(&self, n_bytes: usize) -> Vec<u8> {
        let kept = self.0.lock().ok().and_then(|mut kept| kept.pop());
        let mut bytes = kept.unwrap_or_default();
        bytes.resize(n_bytes, 0);
        bytes
    }

    /// These bytes, whose buffer comes back when they are sent.
    pub(crate) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        let buffers = self.clone();
        Bytes::from_owner(Lent { bytes, buffers })
    }
}

/// Bytes on their way.
struct Lent {
    bytes: Vec<u8>,
    buffers: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.bytes.capacity() <= BUFFER_BYTES_KEPT_MAX
            && let Ok(mut kept) = self.buffers.0.lock()
            && kept.len() < BUFFERS_KEPT
        {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

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
    buffers: Buffers,
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
    pub(super) fn new(links: &Arc<Signer>, buffers: &Buffers) -> SealedChunk {
        SealedChunk {
            links: Arc::clone(links),
            buffers: buffers.clone(),
            bytes: Vec::new(),
            items: Vec::new(),
            text_len: 0,
        }
    }

    /// The chunk behind this one, with room for as much: it would grow step by step.
    pub(super) fn next(&self) -> SealedChunk {
        SealedChunk {
            bytes: Vec::with_capacity(self.bytes.len() + self.bytes.len() / 8),
            items: Vec::with_capacity(self.items.len() + self.items.len() / 8),
            ..SealedChunk::new(&self.links, &self.buffers)
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
        let n_bytes = self.text_len + self.items.len() * LINKS_BYTES;
        let mut out = self.buffers.take_filled(n_bytes);
        let mut end = 0;
        let mut rest = &self.bytes[..];
        for item in &self.items {
            let (Item::Text(len) | Item::Session(len)) = item;
            let (bytes, behind) = rest.split_at(*len);
            rest = behind;
            match item {
                Item::Text(_) => end = write_at(&mut out, end, bytes),
                Item::Session(_) => {
                    let sealed = Sealed::parse(bytes).map_err(damaged)?;
                    let written = plain.sealed_at(&sealed, &self.links, &mut out, end);
                    end = written.map_err(damaged)?;
                }
            }
        }
        out.truncate(end);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n_kept(buffers: &Buffers) -> usize {
        buffers.0.lock().unwrap().len()
    }

    #[test]
    fn a_buffer_comes_back_when_its_bytes_were_sent_and_is_empty_then() {
        let buffers = Buffers::default();
        let sent = buffers.lend(b"of the chunk before".to_vec());
        let part = sent.slice(3..6);
        drop(sent);
        assert_eq!((&part[..], n_kept(&buffers)), (&b"the"[..], 0));
        drop(part);
        assert_eq!(n_kept(&buffers), 1);
        let next = buffers.take(100);
        assert!(next.is_empty() && 100 <= next.capacity());
        assert_eq!(n_kept(&buffers), 0);
    }

    #[test]
    fn so_many_buffers_of_such_a_length_are_kept_and_no_more() {
        let buffers = Buffers::default();
        let lent: Vec<Bytes> = (0..=BUFFERS_KEPT).map(|_| buffers.lend(vec![1])).collect();
        drop(lent);
        assert_eq!(n_kept(&buffers), BUFFERS_KEPT);
        for (n_bytes, n_expected) in [(BUFFER_BYTES_KEPT_MAX, 1), (BUFFER_BYTES_KEPT_MAX + 1, 0)] {
            let buffers = Buffers::default();
            drop(buffers.lend(vec![1; n_bytes]));
            assert_eq!(n_kept(&buffers), n_expected, "{n_bytes}");
        }
    }
}
