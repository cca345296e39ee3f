//! Events on their way in, in the form in which they are kept.

use std::ops::Range;

use debrief_domain::{Event, Lsid, Summary};
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use crate::codec::add_event;

/// Events that are appended together. Each is encoded when it is added: everything that needs no
/// archive is done before the one writer has it, and an event is in memory no longer than it takes.
#[derive(Default)]
pub struct Batch {
    n_events: usize,
    /// In order of first mention.
    sessions: IndexMap<Lsid, Addition, RandomState>,
    /// All events as they are kept, one after the other. Bytes of their own for each session would grow
    /// dozens of times in a batch.
    bytes: Vec<u8>,
}

/// What a batch has of one session.
#[derive(Default)]
pub(crate) struct Addition {
    /// In order of arrival.
    pub(crate) events: Vec<Encoded>,
    /// What all of them tell. Those that are repeated told it before, so it does no harm that they
    /// are in it.
    pub(crate) summary: Summary,
}

/// An event of a batch.
pub(crate) struct Encoded {
    /// Its place in the batch.
    pub(crate) event_idx: usize,
    pub(crate) id_hash: [u8; 16],
    /// Tells by accident another event under the same id, not one that was made to look alike: whoever
    /// sends that only has it told to be repeated.
    pub(crate) digest: u32,
    /// Its place in the bytes of the batch.
    bytes: Range<usize>,
}

/// Memory for the events of a batch that is asked for first.
const BYTES_FIRST: usize = 1 << 10;

impl Batch {
    /// Adds an event; conflicts name it by how many were added before.
    pub fn add(&mut self, event: &Event) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(BYTES_FIRST);
        }
        let begin = self.bytes.len();
        add_event(&mut self.bytes, event);
        let encoded = Encoded::new(self.n_events, event, &self.bytes, begin);
        self.n_events += 1;
        let addition = match self.sessions.get_index_of(&event.lsid) {
            Some(idx) => &mut self.sessions[idx],
            None => self.sessions.entry(event.lsid.clone()).or_default(),
        };
        addition.summary.absorb(event);
        addition.events.push(encoded);
    }

    /// What it has, session by session: all that the writer wants.
    pub(crate) fn sessions(&self) -> &IndexMap<Lsid, Addition, RandomState> {
        &self.sessions
    }

    pub(crate) fn n_events(&self) -> usize {
        self.n_events
    }

    /// Bytes of all events.
    pub(crate) fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// An event as it is kept.
    pub(crate) fn bytes_of(&self, event: &Encoded) -> &[u8] {
        &self.bytes[event.bytes.clone()]
    }

    /// The digest that formats before the eighth kept of an event.
    pub(crate) fn old_digest(&self, lsid: &Lsid, event: &Encoded) -> u32 {
        let content = Sha256::new()
            .chain_update(lsid.as_str())
            .chain_update([0])
            .chain_update(self.bytes_of(event));
        let content: [u8; 32] = content.finalize().into();
        let [a, b, c, d, ..] = content;
        u32::from_le_bytes([a, b, c, d])
    }
}

impl From<Vec<Event>> for Batch {
    fn from(events: Vec<Event>) -> Batch {
        let mut batch = Batch::default();
        events.iter().for_each(|event| batch.add(event));
        batch
    }
}

impl Encoded {
    /// The event whose bytes are the last of these.
    fn new(event_idx: usize, event: &Event, bytes: &[u8], begin: usize) -> Encoded {
        let hash: [u8; 32] = Sha256::digest(event.id.as_str()).into();
        let mut content = crc32fast::Hasher::new();
        content.update(event.lsid.as_str().as_bytes());
        content.update(&[0]);
        content.update(&bytes[begin..]);
        let mut id_hash = [0; 16];
        id_hash.copy_from_slice(&hash[..16]);
        Encoded {
            event_idx,
            id_hash,
            digest: content.finalize(),
            bytes: begin..bytes.len(),
        }
    }
}
