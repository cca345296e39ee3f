//! Events in.

use debrief_domain::limits::{SESSION_BYTES_MAX, SESSION_EVENTS_MAX};
use debrief_domain::{At, Lsid};

use super::error::refused_or_corrupt;
use super::ids::Name;
use super::inbox::{Part, SessionIdx};
use super::{Verdict, Writer};
use crate::batch::{Addition, Encoded};
use crate::{AccountId, Append, Appended, Batch, Conflict, ConflictKind, StoreError};

/// Adds a batch, all or nothing.
pub(super) fn append(
    writer: &mut Writer<'_>,
    account: AccountId,
    batch: &Batch,
    now: At,
) -> Result<(Verdict, Append), StoreError> {
    writer.n_beside_tokens += 1;
    let mark = writer.known.ids.mark();
    let mut appending = Appending::new(account, batch);
    let events = batch.events().iter();
    (writer.known.ids).look_ahead(events.map(|event| appending.name(event)));
    let mut grown = Vec::with_capacity(batch.sessions().len());
    for (lsid, addition) in batch.sessions() {
        let begin = appending.fresh.len();
        let session = appending.sort_out(writer, lsid, addition)?;
        grown.push((session, begin..appending.fresh.len()));
    }
    let Appending {
        fresh,
        n_repeated,
        mut conflicts,
        ..
    } = appending;
    if !conflicts.is_empty() {
        conflicts.sort_by_key(|conflict| conflict.event_idx);
        return Ok((Verdict::Discard, Append::Conflicts(conflicts)));
    }
    let parts: Vec<Part<'_>> = batch
        .sessions()
        .iter()
        .zip(grown)
        .filter(|(_, (_, events))| !events.is_empty())
        .map(|((lsid, addition), (session, events))| Part {
            session,
            lsid,
            n_events: events.len() as u32,
            events: &fresh[events],
            summary: &addition.summary,
        })
        .collect();
    if !parts.is_empty() {
        let change = writer.next_change();
        let ids = writer.known.ids.since(mark);
        writer.known.inbox.put(change, now, ids, &parts);
    }
    let appended = Appended {
        fresh: fresh.len() as u64,
        repeated: n_repeated,
        change: writer.change as u64,
    };
    Ok((Verdict::Keep, Append::Done(appended)))
}

/// A batch of which some events are known to be fresh, or not.
struct Appending<'a> {
    account: AccountId,
    batch: &'a Batch,
    /// Events that the archive does not have, as they are kept.
    fresh: Vec<&'a [u8]>,
    n_repeated: u64,
    conflicts: Vec<Conflict>,
}

enum Known {
    Fresh,
    Repeated,
    Taken,
}

impl<'a> Appending<'a> {
    fn new(account: AccountId, batch: &'a Batch) -> Appending<'a> {
        Appending {
            account,
            batch,
            fresh: Vec::with_capacity(batch.n_events()),
            n_repeated: 0,
            conflicts: Vec::new(),
        }
    }

    /// Finds the events of a session that the archive does not have; notes what speaks against any. Gives
    /// where the session is remembered.
    fn sort_out(
        &mut self,
        writer: &mut Writer<'_>,
        lsid: &Lsid,
        addition: &Addition,
    ) -> Result<SessionIdx, StoreError> {
        let (session, size) = writer.known.inbox.size(writer.db, lsid)?;
        if size.is_imported {
            let kind = ConflictKind::SessionImported;
            for event in self.batch.events_of(addition) {
                self.refuse(event, kind);
            }
            return Ok(session);
        }
        let (mut n_events, mut n_bytes) = (size.n_events, size.n_bytes);
        for event in self.batch.events_of(addition) {
            let bytes = self.batch.bytes_of(event);
            let known = self.know(writer, lsid, event);
            match known.map_err(refused_or_corrupt)? {
                Known::Fresh
                    if SESSION_EVENTS_MAX <= n_events
                        || SESSION_BYTES_MAX < n_bytes + bytes.len() as u64 =>
                {
                    self.refuse(event, ConflictKind::SessionFull);
                }
                Known::Fresh => {
                    n_events += 1;
                    n_bytes += bytes.len() as u64;
                    self.fresh.push(bytes);
                }
                Known::Repeated => self.n_repeated += 1,
                Known::Taken => self.refuse(event, ConflictKind::IdTaken),
            }
        }
        Ok(session)
    }

    fn refuse(&mut self, event: &Encoded, kind: ConflictKind) {
        let event_idx = event.event_idx;
        self.conflicts.push(Conflict { event_idx, kind });
    }

    fn name(&self, event: &Encoded) -> Name {
        Name {
            account: self.account.0,
            hash: event.id_hash,
        }
    }

    /// Notes the event's id, or says what the archive knows of it.
    fn know(
        &self,
        writer: &mut Writer<'_>,
        lsid: &Lsid,
        event: &Encoded,
    ) -> rusqlite::Result<Known> {
        let name = self.name(event);
        let known = writer.known.ids.know(writer.db, &name, event.digest)?;
        Ok(match known {
            None => Known::Fresh,
            Some(known) if known == event.digest => Known::Repeated,
            Some(known) if known == self.batch.old_digest(lsid, event) => Known::Repeated,
            Some(_) => Known::Taken,
        })
    }
}
