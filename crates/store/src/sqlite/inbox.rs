//! Batches that were acknowledged and are not yet part of their sessions.
//!
//! A commit of events writes one record into the journal, whatever sessions they belong to, and nothing
//! into the database. Settling puts what came of many commits into the sessions: one that grew twenty
//! times gets one row of events and one new state. Reports see settled sessions only, so whoever asks
//! waits until what came before is settled.

use std::ops::Range;
use std::time::Duration;

use debrief_domain::{At, Lsid, Summary};
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use rusqlite::Connection;

use super::error::{corrupt_text, damaged, refused_or_corrupt};
use super::ids::{ID_BYTES, Id, Ids};
use super::journal::{self, Damaged, Era, HEAD_BYTES, Journal, Record};
use super::lsids::Lsids;
use super::pick;
use super::row::row;
use super::settle::{GrowthIdx, Kept, Settling, Waiting, settle_all};
use super::writer::{Known, Writer};
use crate::{Batch, StoreError, codec};

/// Bytes of events from which on they are settled at once.
pub(super) const INBOX_BYTES_MAX: usize = if cfg!(test) { 4 << 10 } else { 8 << 20 };
/// Bytes of events from which on they are settled beside the writer: fewer are settled sooner than a
/// thread is woken. While that lasts as many may come as the journal has room for.
pub(super) const ASIDE_BYTES: usize = if cfg!(test) { 1 << 10 } else { 512 << 10 };
/// How long events wait when no others come and nobody wants to see them.
pub(super) const INBOX_IDLE: Duration = Duration::from_millis(50);
/// Milliseconds after which events are settled though others come, and nobody wants to see them.
pub(super) const INBOX_MILLIS_MAX: i64 = 1_000;
/// Sessions whose size is remembered.
const SIZES_MAX: usize = if cfg!(test) { 64 } else { 64 << 10 };
/// Bytes before each batch of a record: when it came, in milliseconds, how many ids it has, and how
/// many bytes follow them. Little-endian.
const BATCH_HEAD_BYTES: usize = 16;
/// Bytes before each session's part of a batch: lengths of its lsid, number of its events, bytes of
/// them.
const PART_HEAD_BYTES: usize = 12;

/// What is in the inbox, by session; what is in memory can be read again from the journal.
#[derive(Default)]
pub(super) struct Inbox {
    /// Sessions that are remembered.
    sessions: IndexMap<Lsid, Remembered, RandomState>,
    /// Sessions that there may be.
    lsids: Lsids,
    /// Events that wait, by session.
    waiting: Waiting,
    /// How often they have been given away.
    n_given: u64,
    n_bytes: usize,
    /// The last commit that is not settled.
    last: Option<i64>,
    /// When the first and the last batch came that are not settled.
    came: Option<(At, At)>,
    /// The record of the open transaction, and the first commit that is in it.
    record: Vec<u8>,
    record_first: i64,
    /// The era in which memory is right; none before the first transaction.
    era: Option<Era>,
}

/// What is remembered of a session.
#[derive(Default)]
struct Remembered {
    /// None when something else than events may have changed it.
    size: Option<Size>,
    /// How often what waits had been given away, and its place there.
    growing: Option<(u64, GrowthIdx)>,
}

/// Where a session is remembered, until sizes are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SessionIdx(usize);

/// What decides whether a session takes more events.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    kept: Kept,
    pub(super) is_imported: bool,
    pub(super) n_events: u64,
    pub(super) n_bytes: u64,
}

/// Fresh events of one session.
pub(super) struct Part<'a> {
    pub(super) session: SessionIdx,
    pub(super) lsid: &'a Lsid,
    pub(super) n_events: u32,
    /// As they are kept, each by itself or several at once.
    pub(super) events: &'a [&'a [u8]],
    pub(super) summary: &'a Summary,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// The last commit that is not settled.
    pub(super) fn last(&self) -> Option<i64> {
        self.last
    }

    /// Bytes that the open transaction has for the journal.
    pub(super) fn record_len(&self) -> usize {
        self.record.len()
    }

    /// When the first batch came that waits.
    pub(super) fn came_first(&self) -> Option<At> {
        self.came.map(|(first, _)| first)
    }

    /// Whether what waits has waited long.
    pub(super) fn is_old(&self) -> bool {
        self.came.is_some_and(|(first, last)| {
            // A clock that was set back is no reason to wait.
            INBOX_MILLIS_MAX <= (last.millis() - first.millis()).abs()
        })
    }

    /// Whether what waits should wait no longer.
    pub(super) fn is_due(&self, journal: &Journal) -> bool {
        self.is_old() || INBOX_BYTES_MAX <= self.n_bytes || !self.has_room(journal)
    }

    /// Whether what the open transaction has can be written into the journal.
    pub(super) fn has_room(&self, journal: &Journal) -> bool {
        journal.has_room(self.record.len())
    }

    #[cfg(test)]
    pub(super) fn n_sizes(&self) -> usize {
        self.sessions.len()
    }

    /// Whether it is known of each session that the archive does not have that it does not.
    #[cfg(test)]
    pub(super) fn knows_lsids(&self) -> bool {
        self.lsids.knows_all()
    }

    /// Whether memory is right in this era.
    pub(super) fn is_of(&self, era: Era) -> bool {
        self.era == Some(era)
    }

    /// Notes that with the commit everything is in the database, and an era begins.
    pub(super) fn finish(&mut self, era: Era) {
        self.era = Some(era);
    }

    /// Whether what waits is worth a thread of its own.
    pub(super) fn is_much(&self) -> bool {
        ASIDE_BYTES <= self.n_bytes
    }

    /// Lets it be known of more sessions that the database, or what waits, does not have them.
    pub(super) fn learn_lsids(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.lsids.learn(db, self.sessions.keys())
    }

    /// Gives everything that waits, to be settled while other batches come, which are of this era. Until
    /// it is, no size may be forgotten.
    pub(super) fn hand_over(&mut self, era: Era) -> Waiting {
        self.era = Some(era);
        self.take_waiting()
    }

    fn take_waiting(&mut self) -> Waiting {
        (self.n_bytes, self.last, self.came) = (0, None, None);
        self.keep_record();
        self.n_given += 1;
        std::mem::take(&mut self.waiting)
    }

    /// Writes the batches of the open transaction into the journal, if there are any. Gives how many
    /// bytes that were.
    pub(super) fn write(&mut self, journal: &mut Journal) -> rusqlite::Result<usize> {
        let n_bytes = self.record.len();
        if n_bytes == 0 {
            return Ok(0);
        }
        // Each transaction begins with knowing the era.
        let era = self.era.ok_or_else(|| corrupt_text("era"))?;
        journal.write(era, self.record_first, &mut self.record)?;
        self.keep_record();
        Ok(n_bytes)
    }

    fn keep_record(&mut self) {
        let record = std::mem::take(&mut self.record);
        self.waiting.keep_record(record);
    }

    /// A session, and its size.
    pub(super) fn size(
        &mut self,
        db: &Connection,
        lsid: &Lsid,
    ) -> Result<(SessionIdx, Size), StoreError> {
        if let Some((idx, _, remembered)) = self.sessions.get_full(lsid)
            && let Some(size) = remembered.size
        {
            return Ok((SessionIdx(idx), size));
        }
        let row = if self.lsids.may_have(lsid) {
            row(db, lsid).map_err(refused_or_corrupt)?
        } else {
            None
        };
        let size = match row {
            Some(row) => Size {
                kept: Kept::Perhaps,
                is_imported: row.is_imported,
                n_events: row.n_events,
                n_bytes: row.facts.n_bytes,
            },
            None => Size {
                kept: Kept::No,
                ..Size::default()
            },
        };
        let session = self.session(lsid);
        self.sessions[session.0].size = Some(size);
        Ok((session, size))
    }

    /// Where a session is remembered from now on.
    pub(super) fn session(&mut self, lsid: &Lsid) -> SessionIdx {
        SessionIdx(match self.sessions.get_index_of(lsid) {
            Some(idx) => idx,
            None => {
                self.lsids.note(lsid);
                let new = self
                    .sessions
                    .insert_full(lsid.clone(), Remembered::default());
                new.0
            }
        })
    }

    /// Forgets the size of a session that something else than events has made or changed.
    pub(super) fn forget_size(&mut self, lsid: &Lsid) {
        self.lsids.note(lsid);
        if let Some(remembered) = self.sessions.get_mut(lsid) {
            remembered.size = None;
        }
    }

    /// Forgets sizes when they are too many, but for those of sessions whose events wait: the rows do
    /// not have them all.
    pub(super) fn forget_sizes(&mut self) {
        if SIZES_MAX <= self.sessions.len() {
            let n_given = self.n_given;
            let waits = |remembered: &Remembered| matches!(remembered.growing, Some((given, _)) if given == n_given);
            self.sessions.retain(|_, remembered| waits(remembered));
        }
    }

    /// Keeps a batch as this commit.
    pub(super) fn put(&mut self, change: i64, now: At, ids: &[Id], parts: &[Part<'_>]) {
        if self.record.is_empty() {
            self.record.resize(HEAD_BYTES, 0);
            self.record_first = change;
        }
        let record = &mut self.record;
        let n_bytes: usize = parts.iter().map(Part::len).sum();
        record.reserve(BATCH_HEAD_BYTES + ids.len() * ID_BYTES + n_bytes);
        record.extend_from_slice(&now.millis().to_le_bytes());
        // Batches have limits far below four gigabytes.
        record.extend_from_slice(&(ids.len() as u32).to_le_bytes());
        record.extend_from_slice(&(n_bytes as u32).to_le_bytes());
        ids.iter()
            .for_each(|id| record.extend_from_slice(&id.bytes()));
        for part in parts {
            part.write(&mut self.record);
            self.grow(change, now, part, self.record.len() - part.n_bytes());
        }
    }

    /// Notes what a session has got, which begins at this byte of the record.
    fn grow(&mut self, change: i64, now: At, part: &Part<'_>, begin: usize) {
        self.last = Some(change);
        let (first, _) = self.came.unwrap_or((now, now));
        self.came = Some((first, now));
        let n_bytes = part.n_bytes();
        self.n_bytes += n_bytes;
        let remembered = &mut self.sessions[part.session.0];
        let mut kept = Kept::Perhaps;
        if let Some(size) = &mut remembered.size {
            kept = std::mem::take(&mut size.kept);
            size.n_events += u64::from(part.n_events);
            size.n_bytes += n_bytes as u64;
        }
        let commit = (change, now);
        if let Some((given, idx)) = remembered.growing
            && given == self.n_given
        {
            return self.waiting.add(idx, commit, part, begin);
        }
        let idx = self.waiting.add_session(commit, part, begin, kept);
        remembered.growing = Some((self.n_given, idx));
    }
}

/// Brings memory up to date at the start of a transaction that begins in this era, if it is not. What
/// is found in the journal is settled: no size is known any more.
pub(super) fn begin(writer: &mut Writer<'_>, era: Era) -> rusqlite::Result<()> {
    let Known {
        inbox,
        ids,
        journal,
        ..
    } = &mut *writer.known;
    if inbox.era.is_some() {
        // Batches that bring nothing new leave nothing to settle, and sizes all the same.
        if inbox.is_empty() {
            inbox.forget_sizes();
        }
        return Ok(());
    }
    journal.rewind();
    let n_settled = writer.change;
    let bytes = journal.read()?;
    for record in journal::records(&bytes, era, n_settled).map_err(damaged)? {
        if record.first != inbox.last.unwrap_or(n_settled) + 1 {
            return Err(damaged(Damaged));
        }
        read_record(inbox, ids, &record).ok_or_else(|| damaged(Damaged))?;
    }
    writer.change = inbox.last.unwrap_or(n_settled);
    // A write that broke off must not look like something to be settled.
    writer.renews |= inbox.is_empty() && journal.begins_with(era)?;
    if inbox.is_empty() {
        read_table(writer.db, inbox)?;
    }
    inbox.era = Some(era);
    settle(writer)
}

/// Takes over what formats 4 and 5 kept in a table, where the database counts it already.
fn read_table(db: &Connection, inbox: &mut Inbox) -> rusqlite::Result<()> {
    let mut select = db.prepare("SELECT change, at, bytes FROM inbox ORDER BY change")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let now = At::from_millis(row.get(1)?).map_err(|_| corrupt_text("at"))?;
        let parts = row.get_ref(2)?.as_blob()?;
        read_parts(inbox, row.get(0)?, now, parts, 0..parts.len())
            .ok_or_else(|| corrupt_text("bytes"))?;
        inbox.waiting.keep_record(parts.to_vec());
    }
    if !inbox.is_empty() {
        db.execute("DELETE FROM inbox", [])?;
    }
    Ok(())
}

/// Whether events of an older format are not settled.
pub(super) fn has_table(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT EXISTS (SELECT 1 FROM inbox)", [], |row| row.get(0))
}

/// Takes in the batches of a record; none when they are not what was written.
fn read_record(inbox: &mut Inbox, ids: &mut Ids, record: &Record<'_>) -> Option<()> {
    let (mut change, mut bytes) = (record.first, record.bytes);
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_first_chunk::<BATCH_HEAD_BYTES>()?;
        let (now, lens) = head.split_first_chunk::<8>()?;
        let [n_ids, n_bytes] = *lens.as_chunks::<4>().0 else {
            return None;
        };
        let ids_len = (u32::from_le_bytes(n_ids) as usize).checked_mul(ID_BYTES)?;
        let (ids_of_it, rest) = rest.split_at_checked(ids_len)?;
        let rest_of_it = rest.get(u32::from_le_bytes(n_bytes) as usize..)?;
        let end = record.bytes.len() - rest_of_it.len();
        let parts = record.bytes.len() - rest.len()..end;
        bytes = rest_of_it;
        let now = At::from_millis(i64::from_le_bytes(*now)).ok()?;
        read_parts(inbox, change, now, record.bytes, parts)?;
        ids.add(ids_of_it.as_chunks().0.iter().map(|id| Id::read(*id)));
        change += 1;
    }
    inbox.waiting.keep_record(record.bytes.to_vec());
    Some(())
}

/// Takes the parts of a batch in, which are in this range of a record; none when they are not what was
/// written.
fn read_parts(
    inbox: &mut Inbox,
    change: i64,
    now: At,
    record: &[u8],
    parts: Range<usize>,
) -> Option<()> {
    let end = parts.end;
    let mut bytes = &record[parts];
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
            session: inbox.session(&lsid),
            lsid: &lsid,
            n_events,
            events: &[events],
            summary: &summary,
        };
        inbox.grow(change, now, &part, end - rest.len() - events.len());
    }
    Some(())
}

/// Puts everything that waits into its sessions.
pub(super) fn settle(writer: &mut Writer<'_>) -> rusqlite::Result<()> {
    let inbox = &mut writer.known.inbox;
    if inbox.is_empty() {
        return Ok(());
    }
    let waiting = inbox.take_waiting();
    inbox.forget_sizes();
    (writer.has_written, writer.takes_in) = (true, true);
    let mut settling = Settling {
        db: writer.db,
        slots: &writer.known.tails,
        names: &mut writer.known.names,
        lseq: &mut writer.lseq,
        fresh: pick::Fresh::default(),
    };
    settle_all(&mut settling, &waiting)
}

/// Bytes of a record that a batch takes at most.
pub(super) fn batch_len_max(batch: &Batch) -> usize {
    let lsids = batch.sessions().keys().map(|lsid| lsid.as_str().len());
    let heads = BATCH_HEAD_BYTES + PART_HEAD_BYTES * batch.sessions().len();
    heads + lsids.sum::<usize>() + batch.n_events() * ID_BYTES + batch.n_bytes()
}

impl Part<'_> {
    /// Bytes of its events.
    pub(super) fn n_bytes(&self) -> usize {
        self.events.iter().map(|event| event.len()).sum()
    }

    fn len(&self) -> usize {
        PART_HEAD_BYTES + self.lsid.as_str().len() + self.n_bytes()
    }

    fn write(&self, out: &mut Vec<u8>) {
        let lsid = self.lsid.as_str().as_bytes();
        // Ids and batches have limits far below four gigabytes.
        out.extend_from_slice(&(lsid.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.n_events.to_le_bytes());
        out.extend_from_slice(&(self.n_bytes() as u32).to_le_bytes());
        out.extend_from_slice(lsid);
        self.events
            .iter()
            .for_each(|event| out.extend_from_slice(event));
    }
}
