//! Events in.

use debrief_domain::At;
use debrief_domain::limits::{SESSION_BYTES_MAX, SESSION_EVENTS_MAX};

use super::error::refused_or_corrupt;
use super::ids::Name;
use super::inbox::Part;
use super::{Verdict, Writer};
use crate::batch::{Addition, Encoded};
use crate::{AccountId, Append, Appended, Conflict, ConflictKind, StoreError};

/// Adds a batch, all or nothing.
pub(super) fn append(
    writer: &mut Writer<'_>,
    account: AccountId,
    sessions: &[Addition],
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
    let mut all = Vec::with_capacity(sessions.len());
    for addition in sessions {
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
        let known = know(writer, account, addition, event);
        let kind = match known.map_err(refused_or_corrupt)? {
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
fn know(
    writer: &mut Writer<'_>,
    account: AccountId,
    addition: &Addition,
    event: &Encoded,
) -> rusqlite::Result<Known> {
    let name = Name {
        account: account.0,
        hash: event.id_hash,
    };
    let known = writer.known.ids.know(writer.db, &name, event.digest)?;
    Ok(match known {
        None => Known::Fresh,
        Some(known) if known == event.digest => Known::Repeated,
        Some(known) if known == addition.old_digest(event) => Known::Repeated,
        Some(_) => Known::Taken,
    })
}
