//! Events in.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use debrief_domain::limits::{SESSION_BYTES_MAX, SESSION_EVENTS_MAX};
use debrief_domain::{At, Event, Lsid, Summary};
use foldhash::fast::RandomState;
use sha2::{Digest, Sha256};

use super::error::refused_or_corrupt;
use super::ids::Name;
use super::inbox::Part;
use super::{Verdict, Writer};
use crate::codec::add_event;
use crate::{AccountId, Append, Appended, Conflict, ConflictKind, StoreError};

/// A batch as the writer takes it: everything that needs no archive is done beforehand, for there
/// is only one writer.
pub(super) struct Prepared {
    /// In order of first mention.
    sessions: Vec<Addition>,
}

/// What a batch has of one session.
struct Addition {
    lsid: Lsid,
    /// In order of arrival.
    events: Vec<Encoded>,
    /// The events as they are kept, one after the other.
    bytes: Vec<u8>,
    /// What all of them tell. Those that are repeated told it before, so it does no harm that they
    /// are in it.
    summary: Summary,
}

/// An event of a batch.
struct Encoded {
    /// Its place in the batch.
    event_idx: usize,
    id_hash: [u8; 16],
    digest: u32,
    /// Its place in the bytes.
    bytes: Range<usize>,
}

/// Encodes a batch.
pub(super) fn prepare(events: Vec<Event>) -> Prepared {
    let mut order: HashMap<Lsid, usize, RandomState> = HashMap::default();
    let mut sessions: Vec<Addition> = Vec::new();
    for (event_idx, event) in events.into_iter().enumerate() {
        let idx = match order.get(&event.lsid) {
            Some(idx) => *idx,
            None => {
                order.insert(event.lsid.clone(), sessions.len());
                sessions.push(Addition {
                    lsid: event.lsid.clone(),
                    events: Vec::new(),
                    bytes: Vec::new(),
                    summary: Summary::default(),
                });
                sessions.len() - 1
            }
        };
        sessions[idx].add(event_idx, &event);
    }
    Prepared { sessions }
}

impl Addition {
    /// The bytes of some of its events, in order.
    fn bytes_of(&self, some: &[&Encoded]) -> Cow<'_, [u8]> {
        if some.len() == self.events.len() {
            return Cow::Borrowed(&self.bytes);
        }
        let parts = some.iter().map(|event| &self.bytes[event.bytes.clone()]);
        Cow::Owned(parts.collect::<Vec<&[u8]>>().concat())
    }

    fn add(&mut self, event_idx: usize, event: &Event) {
        let begin = self.bytes.len();
        add_event(&mut self.bytes, event);
        let bytes = begin..self.bytes.len();
        let hash: [u8; 32] = Sha256::digest(event.id.as_str()).into();
        let content = Sha256::new()
            .chain_update(event.lsid.as_str())
            .chain_update([0])
            .chain_update(&self.bytes[bytes.clone()]);
        let content: [u8; 32] = content.finalize().into();
        let [a, b, c, d, ..] = content;
        let mut id_hash = [0; 16];
        id_hash.copy_from_slice(&hash[..16]);
        self.summary.absorb(event);
        self.events.push(Encoded {
            event_idx,
            id_hash,
            digest: u32::from_le_bytes([a, b, c, d]),
            bytes,
        });
    }
}

/// Adds a batch, all or nothing.
pub(super) fn append(
    writer: &mut Writer<'_>,
    account: AccountId,
    batch: &Prepared,
    now: At,
) -> Result<(Verdict, Append), StoreError> {
    writer.n_beside_tokens += 1;
    let mark = writer.known.ids.mark();
    let mut appended = Appended {
        fresh: 0,
        repeated: 0,
        change: 0,
    };
    let mut conflicts = Vec::new();
    let mut all = Vec::with_capacity(batch.sessions.len());
    for addition in &batch.sessions {
        let fresh = fresh(writer, account, addition, &mut appended, &mut conflicts)?;
        if !fresh.is_empty() {
            all.push((addition, addition.bytes_of(&fresh), fresh.len() as u32));
        }
    }
    if !conflicts.is_empty() {
        conflicts.sort_by_key(|conflict| conflict.event_idx);
        return Ok((Verdict::Discard, Append::Conflicts(conflicts)));
    }
    if !all.is_empty() {
        let parts: Vec<Part<'_>> = all
            .iter()
            .map(|(addition, bytes, n_events)| Part {
                lsid: &addition.lsid,
                n_events: *n_events,
                bytes,
                summary: &addition.summary,
            })
            .collect();
        let change = writer.next_change();
        let ids = writer.known.ids.since(mark);
        writer.known.inbox.put(change, now, ids, &parts);
    }
    appended.change = writer.change as u64;
    Ok((Verdict::Keep, Append::Done(appended)))
}

/// The events of a session that the archive does not have; what speaks against any of them is noted.
fn fresh<'a>(
    writer: &mut Writer<'_>,
    account: AccountId,
    addition: &'a Addition,
    appended: &mut Appended,
    conflicts: &mut Vec<Conflict>,
) -> Result<Vec<&'a Encoded>, StoreError> {
    let size = writer.known.inbox.size(writer.db, &addition.lsid)?;
    if size.is_imported {
        let kind = ConflictKind::SessionImported;
        conflicts.extend(addition.events.iter().map(|event| Conflict {
            event_idx: event.event_idx,
            kind,
        }));
        return Ok(Vec::new());
    }
    let (mut n_events, mut n_bytes) = (size.n_events, size.n_bytes);
    let mut fresh: Vec<&Encoded> = Vec::with_capacity(addition.events.len());
    for event in &addition.events {
        let kind = match know(writer, account, event).map_err(refused_or_corrupt)? {
            Known::Fresh
                if SESSION_EVENTS_MAX <= n_events
                    || SESSION_BYTES_MAX < n_bytes + event.bytes.len() as u64 =>
            {
                ConflictKind::SessionFull
            }
            Known::Fresh => {
                n_events += 1;
                n_bytes += event.bytes.len() as u64;
                fresh.push(event);
                continue;
            }
            Known::Repeated => {
                appended.repeated += 1;
                continue;
            }
            Known::Taken => ConflictKind::IdTaken,
        };
        conflicts.push(Conflict {
            event_idx: event.event_idx,
            kind,
        });
    }
    appended.fresh += fresh.len() as u64;
    Ok(fresh)
}

enum Known {
    Fresh,
    Repeated,
    Taken,
}

/// Notes the event's id, or says what the archive knows of it.
fn know(writer: &mut Writer<'_>, account: AccountId, event: &Encoded) -> rusqlite::Result<Known> {
    let name = Name {
        account: account.0,
        hash: event.id_hash,
    };
    let known = writer.known.ids.know(writer.db, &name, event.digest)?;
    Ok(match known {
        None => Known::Fresh,
        Some(known) if known == event.digest => Known::Repeated,
        Some(_) => Known::Taken,
    })
}
