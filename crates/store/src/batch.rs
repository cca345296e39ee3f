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
    /// In order of first mention.
    sessions: IndexMap<Lsid, Addition, RandomState>,
    /// All events, in order of arrival. Lists of their own for each session would grow dozens of times in
    /// a batch, and so would their bytes.
    events: Vec<Encoded>,
    /// As they are kept, one after the other.
    bytes: Vec<u8>,
}

/// What a batch has of one session.
pub(crate) struct Addition {
    /// The places of its first and its last event in the batch.
    first: usize,
    last: usize,
    /// What all of them tell. Those that are repeated told it before, so it does no harm that they
    /// are in it.
    pub(crate) summary: Summary,
}

/// An event of a batch.
pub(crate) struct Encoded {
    /// Its place in the batch.
    pub(crate) event_idx: usize,
    /// The place of the session's next event, or its own, when there is none.
    next: usize,
    pub(crate) id_hash: [u8; 16],
    /// Tells by accident another event under the same id, not one that was made to look alike: whoever
    /// sends that only has it told to be repeated.
    pub(crate) digest: u32,
    /// Its place in the bytes of the batch.
    bytes: Range<usize>,
}

/// Bytes of an event as it is sent, for a guess at how many there are.
const EVENT_BYTES_LIKELY: usize = 256;
/// Bytes of events for which there is room at first: most batches have fewer.
const BYTES_FIRST_MAX: usize = 64 << 10;

impl Batch {
    /// Expects events that have so many bytes as they are sent: as they are kept they have fewer.
    pub fn of_bytes(n_bytes: usize) -> Batch {
        let n_bytes = n_bytes.min(BYTES_FIRST_MAX);
        Batch {
            sessions: IndexMap::default(),
            events: Vec::with_capacity(n_bytes / EVENT_BYTES_LIKELY),
            bytes: Vec::with_capacity(n_bytes),
        }
    }

    /// Adds an event; conflicts name it by how many were added before.
    pub fn add(&mut self, event: &Event) {
        let begin = self.bytes.len();
        add_event(&mut self.bytes, event);
        let event_idx = self.events.len();
        (self.events).push(Encoded::new(event_idx, event, &self.bytes, begin));
        if let Some(addition) = self.sessions.get_mut(&event.lsid) {
            self.events[addition.last].next = event_idx;
            addition.last = event_idx;
            addition.summary.absorb(event);
            return;
        }
        let mut summary = Summary::default();
        summary.absorb(event);
        let addition = Addition {
            first: event_idx,
            last: event_idx,
            summary,
        };
        self.sessions.insert(event.lsid.clone(), addition);
    }

    /// What it has, session by session: all that the writer wants.
    pub(crate) fn sessions(&self) -> &IndexMap<Lsid, Addition, RandomState> {
        &self.sessions
    }

    pub(crate) fn n_events(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn events(&self) -> &[Encoded] {
        &self.events
    }

    /// The events of a session, in order of arrival.
    pub(crate) fn events_of(&self, addition: &Addition) -> impl Iterator<Item = &Encoded> {
        std::iter::successors(self.events.get(addition.first), |event| {
            (event.next != event.event_idx).then(|| &self.events[event.next])
        })
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
            next: event_idx,
            id_hash,
            digest: content.finalize(),
            bytes: begin..bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_room_for_what_is_expected_up_to_a_limit() {
        for (n_bytes, n_reserved) in [
            (0, 0),
            (BYTES_FIRST_MAX, BYTES_FIRST_MAX),
            (BYTES_FIRST_MAX + 1, BYTES_FIRST_MAX),
            (usize::MAX, BYTES_FIRST_MAX),
        ] {
            let batch = Batch::of_bytes(n_bytes);
            assert_eq!(batch.bytes.capacity(), n_reserved);
            let n_events = batch.events.capacity();
            assert_eq!(n_events, n_reserved / EVENT_BYTES_LIKELY);
        }
    }
}
