//! The one thread that writes: it takes whatever waits, runs it in one transaction with a savepoint
//! per call, and has it acknowledged after the commit is on disk. A commit of nothing but events is a
//! record in the journal; any other one settles, and is a commit of the database. Where much waits and
//! nobody asks for it, another thread makes that commit.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::accesses::Accesses;
use super::aside::{Aside, Job};
use super::atlas::Atlas;
use super::error::{Doing, GroupError, refused_or_corrupt};
use super::gathering::Gathering;
use super::journal::{Era, HEAD_BYTES, Journal};
use super::segment::{Segments, Tails};
use super::spots::Spots;
use super::{grants, ids, inbox, pick, upkeep};
use crate::StoreError;
use crate::queue::{Receiver, Waited};

/// Bytes from which on a record is brought to disk beside the writer: to run the calls of the next one
/// then takes about as long as the disk does. A shorter one is there before another thread is awake, has
/// told the writer, and is asleep again.
const BESIDE_BYTES: usize = if cfg!(test) { 256 } else { 64 << 10 };
/// How long an entry of the access log waits for its commit when nobody calls.
const ACCESS_FLUSH: Duration = Duration::from_secs(1);

/// Calls that may wait, beside the queue, until what is settled beside the writer is: with more, batches
/// of events wait too.
pub(super) const HELD_MAX: usize = if cfg!(test) { 2 } else { 64 };

/// A call that waits for the writer.
pub(super) struct WriteCall {
    pub(super) writes: Writes,
    pub(super) run: Work,
}

/// What the writer does inside the transaction, and what it says after the commit.
/// Without a transaction it only learns why there is none.
pub(super) type Work = Box<dyn FnOnce(Result<&mut Writer<'_>, StoreError>) -> Acknowledge + Send>;

/// Where a call puts what it has to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writes {
    /// Into the database, where it finds sessions as everything acknowledged before has made them.
    Database,
    /// Into the database, where it finds sessions as they were settled last, whatever waits. It takes no
    /// number of a commit, and leaves alone what tokens depend on.
    Settled,
    /// Into the inbox, and nowhere else.
    Inbox {
        /// How much that is in a record at most.
        n_bytes: usize,
    },
}

/// Tells the caller, once the outcome of the commit is known.
pub(super) struct Acknowledge {
    pub(super) verdict: Verdict,
    pub(super) tell: Box<dyn FnOnce(Result<(), StoreError>) + Send>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Discard,
}

/// The open transaction of the writer.
pub(super) struct Writer<'c> {
    pub(super) db: &'c Connection,
    /// The last commit's number; a call that changes anything takes the next.
    pub(super) change: i64,
    pub(super) lseq: i64,
    /// Calls so far that change nothing a token depends on.
    pub(super) n_beside_tokens: usize,
    /// Whether anything was written into the database.
    pub(super) has_written: bool,
    /// Whether what waits is to become part of its sessions, for somebody wants to find it there.
    pub(super) takes_in: bool,
    /// Whether the transaction must begin an era, whatever it does.
    pub(super) renews: bool,
    pub(super) known: &'c mut Known,
}

/// What the writer remembers between transactions. What the archive says is forgotten whenever
/// something is undone.
pub(super) struct Known {
    /// Numbers of names, as far as this process has seen them.
    pub(super) names: pick::Names,
    /// Ids of events.
    pub(super) ids: ids::Ids,
    /// Events that are not yet part of their sessions.
    pub(super) inbox: inbox::Inbox,
    /// Where batches of events are written down.
    pub(super) journal: Journal,
    /// Where sealed bytes and groups of events are added.
    pub(super) tails: Tails,
    /// Calls that are likely to come together, by those that did.
    pub(super) n_expected: usize,
}

impl Known {
    pub(super) fn new(journal: Journal, segments: &Arc<Segments>, ids: ids::Ids) -> Known {
        Known {
            names: pick::Names::default(),
            ids,
            inbox: inbox::Inbox::default(),
            journal,
            tails: Tails::new(segments),
            n_expected: 0,
        }
    }

    fn clear(&mut self) {
        self.journal.set_known(false);
        self.names.clear();
        self.ids.clear();
        self.inbox = inbox::Inbox::default();
        self.tails.clear();
    }
}

impl Writer<'_> {
    pub(super) fn next_change(&mut self) -> i64 {
        self.change += 1;
        self.change
    }

    pub(super) fn next_lseq(&mut self) -> i64 {
        self.lseq += 1;
        self.lseq
    }
}

/// A writer that dies would leave every caller waiting: the process dies instead, as in a power
/// cut, which the archive survives.
pub(super) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// What a commit makes of what tokens depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tokens {
    AsBefore,
    Others,
}

/// What has to know how transactions of the database end.
#[derive(Clone)]
pub(super) struct Bystanders {
    pub(super) accesses: Arc<Accesses>,
    pub(super) atlas: Arc<Atlas>,
    pub(super) grants: Arc<grants::Grants>,
    pub(super) spots: Arc<Spots>,
}

impl Bystanders {
    /// After a commit. Gets the archive's state before.
    pub(super) fn committed(&self, before: Option<grants::Stamp>, tokens: Tokens) {
        self.accesses.forget_written();
        self.atlas.committed(before);
        if tokens == Tokens::AsBefore {
            self.grants.carry(before);
        }
        self.spots.release();
    }

    /// After a failure. Undoes what there is to undo.
    pub(super) fn failed(&self, db: &Connection) {
        self.accesses.keep();
        self.atlas.failed();
        // When there is no transaction any more this fails, and that is well.
        let _ = db.execute_batch("ROLLBACK");
        self.spots.release();
    }
}

/// What the thread works with.
pub(super) struct WriterThread {
    db: Connection,
    calls: Receiver<WriteCall>,
    bystanders: Bystanders,
    known: Known,
    aside: Aside,
    /// Calls that wait until what is settled beside the writer is.
    held: VecDeque<WriteCall>,
    /// Whether those who come later have to wait for them.
    is_blocked: bool,
}

impl WriterThread {
    pub(super) fn new(
        (db, reader): (Connection, Connection),
        calls: Receiver<WriteCall>,
        bystanders: Bystanders,
        known: Known,
    ) -> io::Result<WriterThread> {
        let segments = Arc::clone(known.tails.segments());
        Ok(WriterThread {
            aside: Aside::start(reader, calls.clone(), bystanders.clone(), segments)?,
            held: VecDeque::new(),
            is_blocked: false,
            db,
            calls,
            bystanders,
            known,
        })
    }

    /// One group of calls, one commit, until no caller is left.
    pub(super) fn run(mut self) {
        let _ends = AbortOnPanic;
        loop {
            match self.next() {
                // Whoever has called is told.
                Waited::Got(first) => drop(self.write(Some(first))),
                Waited::Nudged => {}
                Waited::Timeout if self.aside.at_work().is_some() => {}
                Waited::Timeout => {
                    self.write_what_waits();
                    // Other processes commit too.
                    self.bystanders.spots.release();
                }
                Waited::Closed => {
                    self.write_what_waits();
                    return self.cut_journal();
                }
            }
        }
    }

    /// The next call: those that were held come first, once they may.
    fn next(&mut self) -> Waited<WriteCall> {
        let may_go = match self.held.front().map(|held| held.writes) {
            None => false,
            // It was only kept from the commit before.
            Some(Writes::Inbox { .. }) => true,
            Some(_) => self.is_blocked || self.aside.at_work().is_none(),
        };
        if let Some(held) = may_go.then(|| self.held.pop_front()).flatten() {
            return Waited::Got(held);
        }
        let wait = if self.known.inbox.is_empty() && self.aside.is_idle() {
            ACCESS_FLUSH
        } else {
            inbox::INBOX_IDLE
        };
        match self.calls.recv_timeout(wait) {
            Waited::Closed => {
                // Nobody else comes meanwhile.
                self.is_blocked = true;
                self.held.pop_front().map_or(Waited::Closed, Waited::Got)
            }
            next => next,
        }
    }

    fn anything_waits(&self) -> bool {
        self.bystanders.accesses.any() || !self.known.inbox.is_empty()
    }

    /// Writes what nobody waits for.
    fn write_what_waits(&mut self) {
        self.end_aside();
        if self.anything_waits() {
            // It waits on when this fails.
            let _ = self.write(None);
        }
    }

    /// Puts into its sessions what a crash or an older format left behind. What is in the journal may
    /// wait when this fails for now, for readers ask for it.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        let recovered = self.write(None);
        if inbox::has_table(&self.db).map_err(refused_or_corrupt)? {
            return recovered;
        }
        Ok(())
    }

    /// At a clean end: an empty journal takes no room.
    fn cut_journal(&mut self) {
        if !self.known.journal.has_written() {
            return;
        }
        // Nobody else writes meanwhile, and what others have left in it is found.
        if let Ok((_, _, writer)) = begin(&self.db, &mut self.known, &self.bystanders.grants)
            && !writer.has_written
            && writer.known.inbox.is_empty()
        {
            writer.known.journal.cut();
        }
        let _ = self.db.execute_batch("ROLLBACK");
        self.known.journal.unlock();
    }

    /// One commit. Without a first call it settles the inbox.
    fn write(&mut self, first: Option<WriteCall>) -> Result<(), StoreError> {
        let mut acknowledgements = Vec::new();
        let result = self.commit(first, &mut acknowledgements);
        if result.is_err() {
            self.end_aside();
            self.known.clear();
            self.bystanders.failed(&self.db);
        }
        if self.aside.is_idle() {
            self.known.journal.unlock();
        }
        // Who came while the commit was made has not waited for it, and will come again beside those
        // who have.
        self.known.n_expected = acknowledgements.len() + self.calls.len();
        if let Ok(Synced::Beside) = result {
            let tell = move |synced: rusqlite::Result<()>| {
                tell_all(acknowledgements, &synced.map_err(in_commit));
            };
            self.known.journal.sync_beside(Box::new(tell));
        } else {
            let result = result.map(|_| ());
            tell_all(acknowledgements, &result);
            result.map_err(|error| error.for_each())?;
        }
        let is_free = self.aside.is_idle() && self.held.is_empty();
        let Known { inbox, journal, .. } = &self.known;
        if is_free && inbox.is_much() && inbox.is_due(journal) {
            self.begin_aside();
        }
        Ok(())
    }

    /// Runs calls and puts what they have to keep where it is safe.
    fn commit(
        &mut self,
        first: Option<WriteCall>,
        acknowledgements: &mut Vec<Acknowledge>,
    ) -> Result<Synced, GroupError> {
        let Some(first) = first else {
            self.end_aside();
            return self.commit_each(None, acknowledgements);
        };
        let at_work = self.aside.at_work().filter(|_| !self.is_blocked);
        if let Some(settled) = at_work {
            return self.commit_beside(settled, first, acknowledgements);
        }
        self.end_aside();
        if !settles_first(&self.known, &first) {
            return self.commit_each(Some(first), acknowledgements);
        }
        if let Some(held) = self.held.pop_front() {
            // Before others are settled again.
            self.held.push_back(first);
            return self.commit_each(Some(held), acknowledgements);
        }
        match self.begin_aside() {
            Some(settled) => self.commit_beside(settled, first, acknowledgements),
            None => self.commit_each(Some(first), acknowledgements),
        }
    }

    /// Lets what waits be settled beside the writer, up to which commit it says. None where that cannot
    /// be: then it is in the journal still, and whoever comes next settles it or meets the same fault.
    fn begin_aside(&mut self) -> Option<i64> {
        let begun = self.hand_over();
        if !matches!(begun, Ok(Some(_))) {
            self.known.clear();
            // When there is no transaction any more this fails, and that is well.
            let _ = self.db.execute_batch("ROLLBACK");
            self.known.journal.unlock();
        }
        begun.unwrap_or_else(|error| {
            tracing::warn!(%error, "events are not settled yet");
            None
        })
    }

    /// Opens a transaction and hands it over with what waits, unless the archive is not as it was known.
    fn hand_over(&mut self) -> rusqlite::Result<Option<i64>> {
        let (before, counters, writer) = begin(&self.db, &mut self.known, &self.bystanders.grants)?;
        if writer.has_written || writer.renews || writer.known.inbox.is_empty() {
            return Ok(None);
        }
        let change = writer.change;
        let known = &mut self.known;
        known.inbox.learn_lsids(&self.db)?;
        let now = Era(upkeep::counter(&self.db, "era")?);
        let era = next_era(&self.db)?;
        known.journal.prepare_other_region()?;
        known.journal.announce(era)?;
        known.journal.go_to_other_region(now);
        let job = Job {
            change,
            era,
            waiting: known.inbox.hand_over(era),
            ids: known.ids.take_out(),
            names: std::mem::take(&mut known.names),
            lseq: counters.lseq,
            before,
        };
        self.aside.begin(&mut self.db, job);
        Ok(Some(change))
    }

    /// Waits until nothing is settled beside the writer.
    fn end_aside(&mut self) {
        self.is_blocked = false;
        let Some((job, result)) = self.aside.end(&mut self.db) else {
            return;
        };
        let known = &mut self.known;
        if result.is_ok() {
            known.names = job.names;
            known.ids.put_back(job.ids, job.change);
            known.inbox.forget_sizes();
            if known.journal.is_at_its_begin() {
                known.journal.rewind();
            }
        } else {
            // It was told. Everything is in the journal, and is read again.
            known.clear();
        }
        known.journal.unlock();
    }

    /// Runs calls that only add events, while others are being settled up to this commit.
    fn commit_beside(
        &mut self,
        settled: i64,
        first: WriteCall,
        acknowledgements: &mut Vec<Acknowledge>,
    ) -> Result<Synced, GroupError> {
        let mut writer = Writer {
            db: &self.db,
            change: self.known.inbox.last().unwrap_or(settled),
            lseq: 0,
            n_beside_tokens: 0,
            has_written: false,
            takes_in: false,
            renews: false,
            known: &mut self.known,
        };
        let mut gathering = Gathering::new(&self.calls, &writer);
        let mut next = Some(first);
        while let Some(call) = next {
            match goes(writer.known, &call) {
                Goes::Beside => run_call(&mut writer, call, acknowledgements)?,
                Goes::Later if self.held.len() < HELD_MAX => self.held.push_back(call),
                Goes::Later | Goes::Last => {
                    self.held.push_back(call);
                    self.is_blocked = true;
                    break;
                }
            }
            let n_bytes = writer.known.inbox.record_len();
            next = gathering.next(acknowledgements.len(), n_bytes);
        }
        write_record(writer.known, Doing::Work)
    }

    /// Runs calls in one transaction, while nothing is settled beside the writer. Without any it settles
    /// what waits.
    fn commit_each(
        &mut self,
        first: Option<WriteCall>,
        acknowledgements: &mut Vec<Acknowledge>,
    ) -> Result<Synced, GroupError> {
        let (db, calls, held) = (&self.db, &self.calls, &mut self.held);
        let (before, counters, mut writer) =
            match begin(db, &mut self.known, &self.bystanders.grants) {
                Ok(begun) => begun,
                Err(error) => {
                    let error = GroupError::new(error, Doing::Work);
                    // Whoever waits learns it now: each waiting on by itself would add up without end.
                    let waiting = first
                        .into_iter()
                        .chain(std::mem::take(held))
                        .chain(std::iter::from_fn(|| calls.try_recv()));
                    acknowledgements.extend(waiting.map(|call| (call.run)(Err(error.for_each()))));
                    return Err(error);
                }
            };
        let is_idle = first.is_none();
        let mut gathering = Gathering::new(calls, &writer);
        let mut next = first;
        while let Some(call) = next {
            let known = &*writer.known;
            if !acknowledgements.is_empty() && known.inbox.is_much() && !has_room(known, &call) {
                held.push_front(call);
                break;
            }
            run_call(&mut writer, call, acknowledgements)?;
            let n_bytes = writer.known.inbox.record_len();
            next = gathering.next_of(held, acknowledgements.len(), n_bytes);
        }
        let Known { inbox, journal, .. } = &mut *writer.known;
        let accesses_wait = inbox.is_empty() && self.bystanders.accesses.any();
        // Much is settled beside the writer.
        let is_time = inbox.is_due(journal) && !inbox.is_much() || !inbox.has_room(journal);
        if is_time || is_idle || writer.takes_in || writer.renews {
            inbox::settle(&mut writer).map_err(work)?;
        }
        if !writer.has_written && !writer.renews && !accesses_wait {
            let synced = write_record(writer.known, Doing::Work)?;
            // The database is as it was.
            let _ = run(db, "COMMIT").or_else(|_| run(db, "ROLLBACK"));
            return Ok(synced);
        }
        let tokens = match writer.n_beside_tokens == acknowledgements.len() {
            true => Tokens::AsBefore,
            false => Tokens::Others,
        };
        self.bystanders.accesses.write(db).map_err(work)?;
        finish(&mut writer, counters).map_err(work)?;
        writer.known.journal.wait().map_err(work)?;
        run(db, "COMMIT").map_err(in_commit)?;
        self.bystanders.committed(before, tokens);
        if writer.known.inbox.is_empty() {
            writer.known.journal.rewind();
        }
        write_record(writer.known, Doing::After)
    }
}

/// Where what was to be kept is.
enum Synced {
    /// On disk.
    Already,
    /// In the journal: a thread beside the writer is to wait for the disk.
    Beside,
}

pub(super) fn work(error: rusqlite::Error) -> GroupError {
    GroupError::new(error, Doing::Work)
}

pub(super) fn in_commit(error: rusqlite::Error) -> GroupError {
    GroupError::new(error, Doing::Commit)
}

/// Whether what waits is to be settled beside the writer before this call is run, which adds events.
fn settles_first(known: &Known, call: &WriteCall) -> bool {
    matches!(call.writes, Writes::Inbox { .. })
        && known.inbox.is_much()
        && (known.inbox.is_due(&known.journal) || !has_room(known, call))
}

/// Whether the journal has room for what the open transaction has for it, and a call adds.
fn has_room(known: &Known, call: &WriteCall) -> bool {
    let n_bytes = match call.writes {
        Writes::Inbox { n_bytes } => HEAD_BYTES + n_bytes,
        Writes::Database | Writes::Settled => 0,
    };
    known.journal.has_room(known.inbox.record_len() + n_bytes)
}

/// When a call that comes while others are settled is run.
enum Goes {
    /// At once: it only adds events, and there is room for them.
    Beside,
    /// After that; others need not wait for it.
    Later,
    /// After that, and before any other.
    Last,
}

fn goes(known: &Known, call: &WriteCall) -> Goes {
    match call.writes {
        Writes::Database | Writes::Settled => Goes::Later,
        Writes::Inbox { .. } if known.inbox.is_old() || !has_room(known, call) => Goes::Last,
        Writes::Inbox { .. } => Goes::Beside,
    }
}

/// Writes what the open transaction has for the journal. Where that is much, a thread beside the
/// writer is to wait for the disk.
fn write_record(known: &mut Known, doing: Doing) -> Result<Synced, GroupError> {
    let Known { inbox, journal, .. } = known;
    let told = |error| GroupError::new(error, doing);
    // Nothing is written behind a record that may be torn, and nothing is acknowledged that repeats
    // what it holds.
    journal.wait().map_err(told)?;
    let n_bytes = inbox.write(journal).map_err(told)?;
    if BESIDE_BYTES <= n_bytes {
        return Ok(Synced::Beside);
    }
    if 0 < n_bytes {
        journal.sync().map_err(in_commit)?;
    }
    Ok(Synced::Already)
}

/// Tells every caller of a commit what came of it.
fn tell_all(acknowledgements: Vec<Acknowledge>, result: &Result<(), GroupError>) {
    for acknowledge in acknowledgements {
        let outcome = result.as_ref().copied();
        (acknowledge.tell)(outcome.map_err(GroupError::for_each));
    }
}

/// The numbers given last, as the database has them.
struct Counters {
    change: i64,
    lseq: i64,
}

/// Opens a transaction, and brings memory up to date with the archive.
fn begin<'c>(
    db: &'c Connection,
    known: &'c mut Known,
    grants: &grants::Grants,
) -> rusqlite::Result<(Option<grants::Stamp>, Counters, Writer<'c>)> {
    run(db, "BEGIN IMMEDIATE")?;
    known.journal.lock()?;
    let counters = Counters {
        change: upkeep::counter(db, "change")?,
        lseq: upkeep::counter(db, "lseq")?,
    };
    let era = Era(upkeep::counter(db, "era")?);
    let renews = !known.journal.announces(era)?;
    if renews || !known.inbox.is_of(era) || known.journal.has_more(era)? {
        // Somebody else has written, or broke off, or this is the first transaction.
        known.ids.clear();
        known.inbox = inbox::Inbox::default();
    }
    let Counters { change, lseq } = counters;
    known.ids.begin(db, change)?;
    let before = grants.stamp();
    let mut writer = Writer {
        db,
        change: known.inbox.last().unwrap_or(change),
        lseq,
        n_beside_tokens: 0,
        has_written: false,
        takes_in: false,
        renews,
        known,
    };
    inbox::begin(&mut writer, era)?;
    writer.known.journal.set_known(true);
    Ok((before, counters, writer))
}

/// Writes what is left to the end of the transaction, which began at these numbers.
fn finish(writer: &mut Writer<'_>, before: Counters) -> rusqlite::Result<()> {
    let db = writer.db;
    writer.known.tails.finish(db)?;
    if !writer.known.inbox.is_empty() {
        // What waits keeps its numbers, and its era.
        return Ok(());
    }
    writer.known.ids.finish(db, writer.change)?;
    if writer.change != before.change {
        upkeep::set_counter(db, "change", writer.change)?;
        writer.renews = true;
    }
    if writer.renews {
        let era = next_era(db)?;
        upkeep::set_counter(db, "era", era.0)?;
        writer.known.journal.announce(era)?;
        writer.known.inbox.finish(era);
    }
    if writer.lseq != before.lseq {
        upkeep::set_counter(db, "lseq", writer.lseq)?;
    }
    Ok(())
}

/// A number that no era had.
fn next_era(db: &Connection) -> rusqlite::Result<Era> {
    db.prepare_cached("SELECT random()")?
        .query_row([], |row| row.get(0).map(Era))
}

fn run_call(
    writer: &mut Writer<'_>,
    call: WriteCall,
    acknowledgements: &mut Vec<Acknowledge>,
) -> Result<(), GroupError> {
    if let Writes::Inbox { .. } = call.writes {
        let (change, ids) = (writer.change, writer.known.ids.mark());
        let acknowledge = (call.run)(Ok(writer));
        if acknowledge.verdict == Verdict::Discard {
            writer.change = change;
            writer.known.ids.undo(ids);
        }
        acknowledgements.push(acknowledge);
        return Ok(());
    }
    let settled = match call.writes {
        Writes::Database => {
            writer.takes_in = true;
            inbox::settle(writer)
        }
        Writes::Settled | Writes::Inbox { .. } => {
            writer.n_beside_tokens += 1;
            Ok(())
        }
    };
    let begun = settled.and_then(|()| run(writer.db, "SAVEPOINT call"));
    if let Err(error) = begun.map_err(work) {
        acknowledgements.push((call.run)(Err(error.for_each())));
        return Err(error);
    }
    writer.has_written = true;
    let (change, lseq) = (writer.change, writer.lseq);
    let mark = writer.known.tails.mark();
    let acknowledge = (call.run)(Ok(writer));
    let verdict = acknowledge.verdict;
    acknowledgements.push(acknowledge);
    if verdict == Verdict::Discard {
        (writer.change, writer.lseq) = (change, lseq);
        writer.known.names.clear();
        writer.known.tails.undo(mark);
        run(writer.db, "ROLLBACK TO call").map_err(work)?;
    }
    run(writer.db, "RELEASE call").map_err(work)
}

pub(super) fn run(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute([]).map(|_| ())
}
