//! Batches that were acknowledged and are not yet part of their sessions.
//!
//! A commit of events writes one row, whatever sessions they belong to. Settling puts what came of
//! many commits into the sessions: one that grew twenty times gets one row of events and one new
//! state. Reports see settled sessions only, so whoever asks waits until what came before is settled.

use std::collections::HashMap;
use std::time::Duration;

use debrief_domain::{At, Lsid, Summary};
use foldhash::fast::RandomState;
use rusqlite::{Connection, params};

use super::error::{corrupt_text, refused_or_corrupt};
use super::row::row;
use super::settle::{Growth, settle_one};
use super::{Writer, upkeep};
use crate::{StoreError, codec};

/// Bytes of events from which on they are settled at once.
pub(super) const INBOX_BYTES_MAX: usize = if cfg!(test) { 4 << 10 } else { 4 << 20 };
/// How long events wait when no others come and nobody wants to see them.
pub(super) const INBOX_IDLE: Duration = Duration::from_millis(50);
/// Sessions whose size is remembered.
const SIZES_MAX: usize = if cfg!(test) { 64 } else { 64 << 10 };
/// Bytes before each session's part of a row.
const PART_HEAD_BYTES: usize = 12;

/// What is in the inbox, by session; what is in memory can be read again from the table.
#[derive(Default)]
pub(super) struct Inbox {
    growing: HashMap<Lsid, Growth, RandomState>,
    /// The same sessions, in order of first mention.
    order: Vec<Lsid>,
    sizes: HashMap<Lsid, Size, RandomState>,
    n_bytes: usize,
    /// The first commit that is not settled.
    first: Option<i64>,
    /// The commit up to which memory is right; none before the first transaction.
    read_to: Option<i64>,
}

/// What decides whether a session takes more events.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    pub(super) is_imported: bool,
    pub(super) n_events: u64,
    pub(super) n_bytes: u64,
}

/// Fresh events of one session.
pub(super) struct Part<'a> {
    pub(super) lsid: &'a Lsid,
    pub(super) n_events: u32,
    pub(super) bytes: &'a [u8],
    pub(super) summary: &'a Summary,
}

/// The last commit, and the last one that is settled.
pub(super) fn moment(db: &Connection) -> rusqlite::Result<(i64, i64)> {
    let change = upkeep::counter(db, "change")?;
    Ok((change, first(db)?.map_or(change, |first| first - 1)))
}

/// The first commit that is not settled.
pub(super) fn first(db: &Connection) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT min(change) FROM inbox")?
        .query_row([], |row| row.get(0))
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Whether what waits should wait no longer.
    pub(super) fn is_due(&self) -> bool {
        INBOX_BYTES_MAX <= self.n_bytes
    }

    #[cfg(test)]
    pub(super) fn n_sizes(&self) -> usize {
        self.sizes.len()
    }

    /// Notes that memory is right up to this commit.
    pub(super) fn finish(&mut self, change: i64) {
        self.read_to = Some(change);
    }

    /// The size of a session.
    pub(super) fn size(&mut self, db: &Connection, lsid: &Lsid) -> Result<Size, StoreError> {
        if let Some(size) = self.sizes.get(lsid) {
            return Ok(*size);
        }
        let row = row(db, lsid).map_err(refused_or_corrupt)?;
        let size = row.map_or_else(Size::default, |row| Size {
            is_imported: row.is_imported,
            n_events: row.n_events,
            n_bytes: row.facts.n_bytes,
        });
        self.sizes.insert(lsid.clone(), size);
        Ok(size)
    }

    /// Forgets the size of a session that something else than events has made or changed.
    pub(super) fn forget_size(&mut self, lsid: &Lsid) {
        self.sizes.remove(lsid);
    }

    /// Forgets sizes when they are too many. While events wait, the rows do not have them all.
    fn forget_sizes(&mut self) {
        if self.is_empty() && SIZES_MAX <= self.sizes.len() {
            self.sizes.clear();
        }
    }

    /// Keeps a batch as this commit.
    pub(super) fn put(
        &mut self,
        db: &Connection,
        change: i64,
        now: At,
        parts: &[Part<'_>],
    ) -> rusqlite::Result<()> {
        let mut bytes = Vec::with_capacity(parts.iter().map(Part::len).sum());
        parts.iter().for_each(|part| part.write(&mut bytes));
        db.prepare_cached("INSERT INTO inbox VALUES (?1, ?2, ?3)")?
            .execute(params![change, now.millis(), bytes])?;
        for part in parts {
            self.grow(change, now, part);
        }
        Ok(())
    }

    fn grow(&mut self, change: i64, now: At, part: &Part<'_>) {
        self.first.get_or_insert(change);
        self.n_bytes += part.bytes.len();
        if let Some(size) = self.sizes.get_mut(part.lsid) {
            size.n_events += u64::from(part.n_events);
            size.n_bytes += part.bytes.len() as u64;
        }
        if let Some(growth) = self.growing.get_mut(part.lsid) {
            growth.add(change, now, part);
            return;
        }
        self.order.push(part.lsid.clone());
        let growth = Growth::new(change, now, part);
        self.growing.insert(part.lsid.clone(), growth);
    }
}

/// Brings memory up to date at the start of a transaction that begins at this commit. Where somebody
/// else has written, what is in the table is settled: no size is known any more.
pub(super) fn begin(writer: &mut Writer<'_>) -> rusqlite::Result<()> {
    let first = first(writer.db)?;
    let inbox = &mut writer.known.inbox;
    if inbox.read_to == Some(writer.change) && inbox.first == first {
        // Batches that bring nothing new leave nothing to settle, and sizes all the same.
        inbox.forget_sizes();
        return Ok(());
    }
    *inbox = Inbox::default();
    let mut select =
        (writer.db).prepare_cached("SELECT change, at, bytes FROM inbox ORDER BY change")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let now = At::from_millis(row.get(1)?).map_err(|_| corrupt_text("at"))?;
        read_parts(inbox, row.get(0)?, now, row.get_ref(2)?.as_blob()?)
            .ok_or_else(|| corrupt_text("bytes"))?;
    }
    drop(rows);
    drop(select);
    settle(writer)
}

/// Takes the parts of a row in; none when they are not what was written.
fn read_parts(inbox: &mut Inbox, change: i64, now: At, mut bytes: &[u8]) -> Option<()> {
    if bytes.is_empty() {
        return None;
    }
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_first_chunk::<PART_HEAD_BYTES>()?;
        let [lsid_len, n_events, events_len] = *head.as_chunks::<4>().0 else {
            return None;
        };
        let (lsid, rest) = rest.split_at_checked(u32::from_le_bytes(lsid_len) as usize)?;
        let (events, rest) = rest.split_at_checked(u32::from_le_bytes(events_len) as usize)?;
        bytes = rest;
        let lsid = Lsid::parse(std::str::from_utf8(lsid).ok()?).ok()?;
        let n_events = u32::from_le_bytes(n_events);
        let read = codec::events(events, &lsid).ok()?;
        if read.is_empty() || read.len() != n_events as usize {
            return None;
        }
        let mut summary = Summary::default();
        read.iter().for_each(|event| summary.absorb(event));
        let part = Part {
            lsid: &lsid,
            n_events,
            bytes: events,
            summary: &summary,
        };
        inbox.grow(change, now, &part);
    }
    Some(())
}

/// Puts everything that waits into its sessions.
pub(super) fn settle(writer: &mut Writer<'_>) -> rusqlite::Result<()> {
    let inbox = &mut writer.known.inbox;
    if inbox.is_empty() {
        return Ok(());
    }
    let order = std::mem::take(&mut inbox.order);
    let mut growing = std::mem::take(&mut inbox.growing);
    (inbox.n_bytes, inbox.first) = (0, None);
    inbox.forget_sizes();
    for lsid in order {
        if let Some(growth) = growing.remove(&lsid) {
            settle_one(writer, &lsid, growth)?;
        }
    }
    writer.db.prepare_cached("DELETE FROM inbox")?.execute([])?;
    Ok(())
}

impl Part<'_> {
    fn len(&self) -> usize {
        PART_HEAD_BYTES + self.lsid.as_str().len() + self.bytes.len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        let lsid = self.lsid.as_str().as_bytes();
        // Ids and batches have limits far below four gigabytes.
        out.extend_from_slice(&(lsid.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.n_events.to_le_bytes());
        out.extend_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(lsid);
        out.extend_from_slice(self.bytes);
    }
}
