//! The file that events are written into before they are acknowledged, `inbox.journal`.
//!
//! A record is a commit: one write, one wait for the disk. It bears the archive's era, a number at
//! random which the database gets anew whenever it takes in what is in the file: from then on the
//! records are void, and the next one is written over the first. Whoever writes holds the lock of this
//! file, which he took while he had the database's write lock, or as the next paragraph says. Each
//! record begins on a page of its own, so that a write which breaks off harms none that was
//! acknowledged; and the file keeps its length, so that the disk writes no more than bytes.
//!
//! The file has two regions. While the database takes in the records of one, which may take long, the
//! next ones go into the other: they bear the era that this commit of the database begins, and the one
//! it ends, so that they count with it and without it. Then they are in the order of their numbers.
//!
//! A commit of the database that breaks off may turn up after all, when SQLite reads its log anew after
//! a crash, as long as no other commit was written over it. If it had begun an era, records of the one
//! before that were acknowledged since then would be void. So each such commit announces its era on the
//! first page: whoever finds another one there than in the database makes a commit of the database
//! first.
//!
//! The last record cannot be told from a write that broke off when it is damaged. All others can.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::BUSY_WAIT;
use super::error::{as_sqlite, busy, refused_or_corrupt};
use super::writer::AbortOnPanic;
use crate::StoreError;

/// The file's name in the data directory.
pub(super) const FILE: &str = "inbox.journal";
/// Bytes of a region; what no longer fits into it must go into the database.
pub(super) const REGION_BYTES: u64 = if cfg!(test) { 256 << 10 } else { 16 << 20 };
/// Regions of the file.
const REGIONS: usize = 2;
/// Bytes of the file at most.
pub(super) const JOURNAL_BYTES_MAX: u64 = RECORDS_AT + REGIONS as u64 * REGION_BYTES;
/// Bytes by which the file grows.
const GROW_BYTES: u64 = if cfg!(test) { 16 << 10 } else { 1 << 20 };
/// What a disk writes whole or not at all, and not beside what stands in the next one.
const PAGE_BYTES: u64 = 4 << 10;
/// Where the first region begins, behind the page with the era that was announced.
pub(super) const RECORDS_AT: u64 = PAGE_BYTES;
/// Where the era of the second region's first record stands once more, right before that of the
/// first's: who wants to know both reads once.
pub(super) const SECOND_AT: u64 = RECORDS_AT - 8;
/// How often the lock of the file is asked for, while another process has it.
const LOCK_POLL: Duration = Duration::from_millis(1);
/// Bytes before what a record holds: era, number of its first commit, length of what it holds and
/// CRC-32 of that, CRC-32 of the head, and what it follows. Little-endian.
pub(super) const HEAD_BYTES: usize = 32;

/// The number that tells what is in the database already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Era(pub(super) i64);

impl Era {
    /// Enough of it to tell it from others, and never nothing.
    fn mark(self) -> u32 {
        ((self.0 ^ self.0 >> u32::BITS) as u32).max(1)
    }
}

/// The file, for whoever writes.
pub(super) struct Journal {
    front: Front,
    /// Where the next record goes: in which region, and at which byte of the file.
    region: usize,
    end: u64,
    /// What the records of the region follow: nothing, where the database was in their era when the
    /// first of them was written.
    follows: u32,
    /// Bytes that somebody has written before; fewer are known at the beginning of an era.
    len: u64,
    has_written: bool,
    /// What waits for the disk beside the writer.
    beside: Beside,
}

/// A thread that waits for the disk while the writer goes on.
struct Beside {
    calls: SyncSender<Told>,
    synced: Receiver<io::Result<()>>,
    is_busy: bool,
}

/// Waits until what was written into a file is on disk.
pub(super) type SyncData = Box<dyn FnMut(&File) -> io::Result<()> + Send>;

/// Learns whether what was written is on disk.
pub(super) type Told = Box<dyn FnOnce(rusqlite::Result<()>) + Send>;

/// The file, for whoever wants to know whether something is in it.
#[derive(Clone)]
pub(super) struct Front {
    file: Arc<File>,
    /// Whether the writer has seen what is in it.
    is_known: Arc<AtomicBool>,
}

/// What was seen of the file before a transaction was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Only the writer can tell what is in it.
    Unknown,
    /// There is no record.
    Nothing,
    /// The first records of the regions are of these eras. They may be such that are being written.
    Records([Era; REGIONS]),
}

impl Seen {
    /// Whether a transaction that finds this era in the database may lack something that was
    /// acknowledged before.
    pub(super) fn lacks(self, era: Era) -> bool {
        match self {
            Seen::Unknown => true,
            Seen::Nothing => false,
            Seen::Records(seen) => seen.contains(&era),
        }
    }
}

/// What was written with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// The number of its first batch.
    pub(super) first: i64,
    pub(super) bytes: &'a [u8],
}

/// A record that was acknowledged cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged;

impl fmt::Display for Damaged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the file `{FILE}`")
    }
}

impl std::error::Error for Damaged {}

impl Journal {
    /// Opens the file, or makes it. Its name is safe once the directory is synced.
    pub(super) fn open(data: &Path) -> Result<Journal, StoreError> {
        Journal::open_with(data, Box::new(File::sync_data))
    }

    /// The same, with something else that waits for the disk beside the writer.
    pub(super) fn open_with(data: &Path, sync: SyncData) -> Result<Journal, StoreError> {
        let path = data.join(FILE);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let started = opened.and_then(|file| {
            let file = Arc::new(file);
            Ok((Beside::start(Arc::clone(&file), sync)?, file))
        });
        let (beside, file) = started.map_err(|source| StoreError::Refused {
            what: format!("cannot open the file `{}`", path.display()),
            source: Some(Box::new(source)),
        })?;
        Ok(Journal {
            front: Front {
                file,
                is_known: Arc::default(),
            },
            region: 0,
            end: RECORDS_AT,
            follows: 0,
            len: 0,
            has_written: false,
            beside,
        })
    }

    /// Keeps other processes from writing, and from reading records to go on behind them, once those
    /// that do have ended. Whoever wants the database's write lock too takes that first.
    pub(super) fn lock(&self) -> rusqlite::Result<()> {
        self.lock_within(BUSY_WAIT)
    }

    fn lock_within(&self, wait: Duration) -> rusqlite::Result<()> {
        let n_polls = wait.as_millis() / LOCK_POLL.as_millis();
        for _ in 0..n_polls {
            match self.front.file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(as_sqlite(FILE, &error)),
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_POLL),
            }
        }
        Err(busy(FILE))
    }

    /// Lets other processes read and write.
    pub(super) fn unlock(&self) {
        // At the latest it ends with the process.
        let _ = self.front.file.unlock();
    }

    pub(super) fn front(&self) -> Front {
        self.front.clone()
    }

    /// Notes whether what is in the file is in memory, or in the database.
    pub(super) fn set_known(&self, is_known: bool) {
        self.front.is_known.store(is_known, Ordering::SeqCst);
    }

    /// Announces the era that a commit of the database is about to begin.
    pub(super) fn announce(&mut self, era: Era) -> rusqlite::Result<()> {
        let written = self.front.file.write_all_at(&era.0.to_le_bytes(), 0);
        written.map_err(|error| as_sqlite(FILE, &error))
    }

    /// Whether the era that was announced last is this one.
    pub(super) fn announces(&self, era: Era) -> rusqlite::Result<bool> {
        let announced = self.front.read_at(0).map_err(|e| as_sqlite(FILE, &e))?;
        Ok(announced == Some(era.0.to_le_bytes()))
    }

    /// All records, as they stand.
    pub(super) fn read(&self) -> rusqlite::Result<Vec<u8>> {
        let read = || -> io::Result<Vec<u8>> {
            let file = &self.front.file;
            let len = file.metadata()?.len().min(JOURNAL_BYTES_MAX);
            let mut bytes = vec![0; len.saturating_sub(RECORDS_AT) as usize];
            file.read_exact_at(&mut bytes, RECORDS_AT)?;
            Ok(bytes)
        };
        read().map_err(|error| as_sqlite(FILE, &error))
    }

    /// Whether somebody else has written behind the last record that is known. Nobody goes to the other
    /// region without beginning an era.
    pub(super) fn has_more(&self, era: Era) -> rusqlite::Result<bool> {
        let bytes = self.front.read_at(self.end);
        let bytes: Option<[u8; HEAD_BYTES]> = bytes.map_err(|error| as_sqlite(FILE, &error))?;
        Ok(bytes.is_some_and(|bytes| head(&bytes).is_some_and(|head| head.era == era)))
    }

    /// Whether who looks at the first records takes one for one of this era.
    pub(super) fn begins_with(&self, era: Era) -> rusqlite::Result<bool> {
        let eras = self.front.eras().map_err(|e| as_sqlite(FILE, &e))?;
        Ok(eras.is_some_and(|eras| eras.contains(&era)))
    }

    /// Whether a record of so many bytes, its head among them, can be written.
    pub(super) fn has_room(&self, n_bytes: usize) -> bool {
        self.end + n_bytes as u64 <= region_at(self.region + 1)
    }

    /// Writes a record: what it holds, behind room for its head. It is safe after
    /// [`Journal::sync`].
    pub(super) fn write(
        &mut self,
        era: Era,
        first: i64,
        record: &mut [u8],
    ) -> rusqlite::Result<()> {
        // What lies behind the region was acknowledged.
        assert!(self.has_room(record.len()), "a record has room");
        put_head(era, first, self.follows, record);
        let end = self.end + record.len() as u64;
        let is_second = self.region != 0 && self.end == region_at(self.region);
        self.reserve(end)
            .and_then(|()| match is_second {
                // For those who look at it: whoever reads the records asks them. First, for an era
                // without a record is soon forgotten.
                true => (self.front.file).write_all_at(&era.0.to_le_bytes(), SECOND_AT),
                false => Ok(()),
            })
            .and_then(|()| self.front.file.write_all_at(record, self.end))
            .map_err(|error| as_sqlite(FILE, &error))?;
        self.end = end.next_multiple_of(PAGE_BYTES);
        self.has_written = true;
        Ok(())
    }

    /// Waits until what was written is on disk.
    pub(super) fn sync(&self) -> rusqlite::Result<()> {
        synced(&self.front.file.sync_data())
    }

    /// Lets a thread wait until what was written is on disk, and tell whoever wants to know. No record
    /// may be written meanwhile: [`Journal::wait`] comes first.
    pub(super) fn sync_beside(&mut self, told: Told) {
        debug_assert!(!self.beside.is_busy);
        self.beside.is_busy = true;
        // Were the thread gone, `wait` would say so.
        let _ = self.beside.calls.send(told);
    }

    /// Waits until the thread has nothing to wait for. An error says that what was written last may
    /// not be on disk; it is said once.
    pub(super) fn wait(&mut self) -> rusqlite::Result<()> {
        if !std::mem::take(&mut self.beside.is_busy) {
            return Ok(());
        }
        let gone = |_| Err(io::Error::other("nobody waits for the disk"));
        synced(&self.beside.synced.recv().unwrap_or_else(gone))
    }

    /// Writes nothings up to this byte and somewhat further, where nobody has written before.
    fn reserve(&mut self, end: u64) -> io::Result<()> {
        let file = &self.front.file;
        if self.len < end {
            self.len = self.len.max(file.metadata()?.len());
        }
        while self.len < end {
            let len = (self.len + 1).next_multiple_of(GROW_BYTES);
            let len = len.min(JOURNAL_BYTES_MAX);
            let nothings = vec![0; (len - self.len) as usize];
            file.write_all_at(&nothings, self.len)?;
            self.len = len;
        }
        Ok(())
    }

    /// Makes room for the first records of the other region, so that they need not wait for it.
    pub(super) fn prepare_other_region(&mut self) -> rusqlite::Result<()> {
        let room = self.reserve(region_at(1 - self.region) + GROW_BYTES);
        room.map_err(|error| as_sqlite(FILE, &error))
    }

    /// Goes over to the other region, while the database takes in the records of this era and of this
    /// region.
    pub(super) fn go_to_other_region(&mut self, era: Era) {
        self.region = 1 - self.region;
        self.end = region_at(self.region);
        self.follows = era.mark();
    }

    /// Whether nothing was written into the region.
    pub(super) fn is_at_its_begin(&self) -> bool {
        self.end == region_at(self.region)
    }

    /// Goes back to the first record: after the database has taken in what the records hold and has a
    /// new era, or to read them again.
    pub(super) fn rewind(&mut self) {
        self.region = 0;
        self.end = RECORDS_AT;
        self.follows = 0;
        // Another process may have cut the file.
        self.len = 0;
    }

    /// Whether it is worth the while to give the file's bytes back.
    pub(super) fn has_written(&self) -> bool {
        self.has_written
    }

    /// Gives the file's bytes back, when none of its records counts.
    pub(super) fn cut(&mut self) {
        self.rewind();
        self.has_written = false;
        // Nothing depends on it. Whoever looks learns it from one call that finds no bytes.
        let _ = self.front.file.set_len(SECOND_AT);
    }
}

impl Beside {
    fn start(file: Arc<File>, mut sync: SyncData) -> io::Result<Beside> {
        let (calls, waiting) = sync_channel::<Told>(1);
        let (sender, synced_one) = sync_channel(1);
        let wait = move || {
            let _ends = AbortOnPanic;
            for told in waiting {
                let result = sync(&file);
                let for_told = synced(&result);
                // The writer first: it has more to do.
                let _ = sender.send(result);
                told(for_told);
            }
        };
        thread::Builder::new()
            .name("store-journal".into())
            .spawn(wait)?;
        Ok(Beside {
            calls,
            synced: synced_one,
            is_busy: false,
        })
    }
}

fn synced(result: &io::Result<()>) -> rusqlite::Result<()> {
    result.as_ref().copied().map_err(|error| {
        // A full disk, too, leaves it open whether it is: no kind of error may say that it is not.
        as_sqlite(FILE, &io::Error::other(error.to_string()))
    })
}

impl Front {
    /// What is in the file, asked before a transaction is opened.
    pub(super) fn look(&self) -> Result<Seen, StoreError> {
        if !self.is_known.load(Ordering::SeqCst) {
            return Ok(Seen::Unknown);
        }
        let eras = self.eras();
        let eras = eras.map_err(|error| refused_or_corrupt(as_sqlite(FILE, &error)))?;
        Ok(eras.map_or(Seen::Nothing, Seen::Records))
    }

    /// The eras of the regions' first records; none where there are no records.
    fn eras(&self) -> io::Result<Option<[Era; REGIONS]>> {
        let bytes: Option<[u8; 16]> = self.read_at(SECOND_AT)?;
        Ok(bytes.map(|bytes| {
            let eras = bytes.as_chunks().0;
            let era = |idx: usize| Era(i64::from_le_bytes(eras[idx]));
            [era(1), era(0)]
        }))
    }

    /// Some bytes; none where the file ends before them.
    fn read_at<const N: usize>(&self, at: u64) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        match self.file.read_exact_at(&mut bytes, at) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Where a region begins.
fn region_at(region: usize) -> u64 {
    RECORDS_AT + region as u64 * REGION_BYTES
}

fn put_head(era: Era, first: i64, follows: u32, record: &mut [u8]) {
    let (head, bytes) = record.split_at_mut(HEAD_BYTES);
    head[..8].copy_from_slice(&era.0.to_le_bytes());
    head[8..16].copy_from_slice(&first.to_le_bytes());
    // `has_room` was asked: it is far below four gigabytes.
    head[16..20].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    head[20..24].copy_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    head[28..].copy_from_slice(&follows.to_le_bytes());
    let checksum = head_checksum(head, follows);
    head[24..28].copy_from_slice(&checksum.to_le_bytes());
}

/// Formats before the eighth had nothing behind the checksum, and did not count it.
fn head_checksum(head: &[u8], follows: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..24]);
    if follows != 0 {
        hasher.update(&follows.to_le_bytes());
    }
    hasher.finalize()
}

/// What a head says.
struct Head {
    era: Era,
    /// The number of the first batch.
    first: i64,
    /// Length and checksum of what follows.
    len: usize,
    checksum: u32,
    /// What the record follows.
    follows: u32,
}

fn head(bytes: &[u8]) -> Option<Head> {
    let head: &[u8; HEAD_BYTES] = bytes.first_chunk()?;
    let [era, first, ..] = *head.as_chunks::<8>().0 else {
        return None;
    };
    let [_, _, _, _, len, checksum, of_head, follows] = *head.as_chunks::<4>().0 else {
        return None;
    };
    let follows = u32::from_le_bytes(follows);
    let is_whole = head_checksum(head, follows) == u32::from_le_bytes(of_head);
    is_whole.then_some(Head {
        era: Era(i64::from_le_bytes(era)),
        first: i64::from_le_bytes(first),
        len: u32::from_le_bytes(len) as usize,
        checksum: u32::from_le_bytes(checksum),
        follows,
    })
}

fn record(bytes: &[u8], era: Era) -> Option<Record<'_>> {
    let head = head(bytes).filter(|head| head.era == era)?;
    let bytes = bytes[HEAD_BYTES..].get(..head.len)?;
    (crc32fast::hash(bytes) == head.checksum).then_some(Record {
        first: head.first,
        bytes,
    })
}

/// The records that the database, which is in this era and at this commit, has not taken in, as
/// [`Journal::read`] gave them. Whether their numbers follow each other is for the caller to see.
pub(super) fn records(bytes: &[u8], era: Era, settled: i64) -> Result<Vec<Record<'_>>, Damaged> {
    let (first, second) = bytes.split_at(bytes.len().min(REGION_BYTES as usize));
    let mut records = [of_region(first, era)?, of_region(second, era)?].concat();
    // Those that were written while the database took these in.
    let follows =
        |head: &Head| head.era != era && head.follows == era.mark() && settled < head.first;
    for region in [first, second] {
        let mut heads = region.chunks(PAGE_BYTES as usize).filter_map(head);
        if let Some(head) = heads.find(follows) {
            records.extend(of_region(region, head.era)?);
        }
    }
    Ok(records)
}

/// The records of an era in a region. What a write that broke off has left behind them was not
/// acknowledged; a record that cannot be read though others stand behind it was.
fn of_region(mut bytes: &[u8], era: Era) -> Result<Vec<Record<'_>>, Damaged> {
    let mut records = Vec::new();
    while let Some(record) = record(bytes, era) {
        let len = (HEAD_BYTES + record.bytes.len()).next_multiple_of(PAGE_BYTES as usize);
        records.push(record);
        bytes = bytes.get(len..).unwrap_or_default();
    }
    let is_of_it = |page: &[u8]| head(page).is_some_and(|head| head.era == era);
    if bytes.chunks(PAGE_BYTES as usize).skip(1).any(is_of_it) {
        return Err(Damaged);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ERA: Era = Era(-7);

    fn journal() -> (tempfile::TempDir, Journal) {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(directory.path()).unwrap();
        journal.set_known(true);
        (directory, journal)
    }

    fn write(journal: &mut Journal, era: Era, first: i64, bytes: &[u8]) {
        let mut record = [&[0; HEAD_BYTES], bytes].concat();
        journal.write(era, first, &mut record).unwrap();
        journal.sync().unwrap();
    }

    fn found(journal: &Journal, era: Era) -> Result<Vec<(i64, Vec<u8>)>, Damaged> {
        let bytes = journal.read().unwrap();
        let records = records(&bytes, era, 0)?;
        let records = records.iter();
        Ok(records.map(|r| (r.first, r.bytes.to_vec())).collect())
    }

    fn seen(journal: &Journal) -> Seen {
        journal.front().look().unwrap()
    }

    fn len(journal: &Journal) -> u64 {
        journal.front.file.metadata().unwrap().len()
    }

    #[test]
    fn a_journal_has_the_records_of_its_era_and_no_others() {
        let (directory, mut journal) = journal();
        assert_eq!(found(&journal, ERA), Ok(vec![]));
        assert_eq!(seen(&journal), Seen::Nothing);
        write(&mut journal, ERA, 1, b"one");
        write(&mut journal, ERA, 2, &[2; 5_000]);
        write(&mut journal, ERA, 4, b"");
        let all = vec![(1, b"one".to_vec()), (2, vec![2; 5_000]), (4, vec![])];
        assert_eq!(found(&journal, ERA), Ok(all));
        assert_eq!(seen(&journal), Seen::Records([ERA, Era(0)]));
        let other = Journal::open(directory.path()).unwrap();
        assert_eq!(found(&other, ERA).unwrap().len(), 3);
        assert!(other.has_more(ERA).unwrap() && !journal.has_more(ERA).unwrap());
        assert_eq!(seen(&other), Seen::Unknown);
        // Shorter than what it is written over, and as long as it.
        journal.rewind();
        write(&mut journal, Era(8), 9, b"nine");
        assert_eq!(found(&journal, Era(8)), Ok(vec![(9, b"nine".to_vec())]));
        assert_eq!(found(&journal, Era(9)), Ok(vec![]));
        assert_eq!(seen(&journal), Seen::Records([Era(8), Era(0)]));
        journal.cut();
        assert_eq!(seen(&journal), Seen::Nothing);
        assert_eq!(journal.read().unwrap(), b"");
        write(&mut journal, ERA, 10, b"ten");
        assert_eq!(found(&journal, ERA), Ok(vec![(10, b"ten".to_vec())]));
    }

    #[test]
    fn a_transaction_lacks_what_bears_its_own_era_and_what_nobody_knows() {
        assert!(Seen::Records([ERA, Era(0)]).lacks(ERA) && Seen::Unknown.lacks(ERA));
        assert!(!Seen::Records([Era(8), Era(0)]).lacks(ERA) && !Seen::Nothing.lacks(ERA));
    }

    #[test]
    fn what_was_written_while_records_were_taken_in_follows_them() {
        let (directory, mut journal) = journal();
        write(&mut journal, ERA, 1, b"one");
        journal.go_to_other_region(ERA);
        assert!(journal.is_at_its_begin());
        write(&mut journal, Era(8), 2, b"two");
        write(&mut journal, Era(8), 3, b"three");
        assert!(!journal.is_at_its_begin());
        let firsts = |bytes: &[u8], era: Era, settled: i64| {
            let records = records(bytes, era, settled)?;
            Ok(records.iter().map(|record| record.first).collect())
        };
        let bytes = journal.read().unwrap();
        assert_eq!(firsts(&bytes, ERA, 0), Ok(vec![1, 2, 3]));
        assert_eq!(firsts(&bytes, Era(8), 1), Ok(vec![2, 3]));
        assert_eq!(firsts(&bytes, Era(9), 0), Ok(vec![]));
        assert_eq!(firsts(&bytes, ERA, 3), Ok(vec![1]), "those are settled");
        assert_eq!(seen(&journal), Seen::Records([ERA, Era(8)]));
        // Another process that was in the era before, or is in that one.
        let other = Journal::open(directory.path()).unwrap();
        assert!(other.has_more(ERA).unwrap() && !other.has_more(Era(8)).unwrap());
        assert!(!journal.has_more(Era(8)).unwrap());
        assert!(journal.begins_with(ERA).unwrap() && journal.begins_with(Era(8)).unwrap());
        // The first of them is damaged, or the last.
        let second = REGION_BYTES as usize;
        for at in [0, 8, 16, 20, 24, 28, HEAD_BYTES] {
            let mut damaged = bytes.clone();
            damaged[second + at] ^= 1;
            assert_eq!(firsts(&damaged, ERA, 0), Err(Damaged), "{at}");
            assert_eq!(firsts(&damaged, Era(8), 1), Err(Damaged), "{at}");
            let mut damaged = bytes.clone();
            damaged[second + PAGE_BYTES as usize + at] ^= 1;
            assert_eq!(firsts(&damaged, ERA, 0), Ok(vec![1, 2]), "{at}");
        }
        // They are taken in in turn.
        journal.go_to_other_region(Era(8));
        write(&mut journal, Era(9), 4, b"four");
        let bytes = journal.read().unwrap();
        assert_eq!(firsts(&bytes, Era(8), 1), Ok(vec![2, 3, 4]));
        assert_eq!(firsts(&bytes, Era(9), 3), Ok(vec![4]));
        assert_eq!(seen(&journal), Seen::Records([Era(9), Era(8)]));
    }

    #[test]
    fn the_file_is_locked_for_others_until_it_is_unlocked_and_they_wait_so_long() {
        let (directory, journal) = journal();
        let other = Journal::open(directory.path()).unwrap();
        journal.lock().unwrap();
        journal.lock().unwrap();
        let refused = other.lock_within(2 * LOCK_POLL).unwrap_err();
        assert_eq!(
            refused.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy)
        );
        journal.unlock();
        other.lock_within(LOCK_POLL).unwrap();
    }

    #[test]
    fn an_era_is_announced_until_the_next_one_is() {
        let (directory, mut journal) = journal();
        assert!(
            !journal.announces(Era(0)).unwrap(),
            "nobody has said anything"
        );
        journal.announce(ERA).unwrap();
        write(&mut journal, ERA, 1, b"one");
        journal.cut();
        let other = Journal::open(directory.path()).unwrap();
        assert!(other.announces(ERA).unwrap());
        journal.announce(Era(8)).unwrap();
        assert!(!other.announces(ERA).unwrap());
    }

    #[test]
    fn a_journal_is_full_at_its_limit_and_keeps_its_length() {
        let (_directory, mut journal) = journal();
        let most = REGION_BYTES as usize;
        assert!(journal.has_room(most) && !journal.has_room(most + 1));
        write(&mut journal, ERA, 1, b"one");
        assert!(journal.has_room(most - 4_096) && !journal.has_room(most - 4_095));
        assert_eq!(len(&journal), GROW_BYTES);
        write(&mut journal, ERA, 2, &vec![1; most - 4_096 - HEAD_BYTES]);
        assert!(!journal.has_room(1));
        let one_region = (RECORDS_AT + REGION_BYTES).next_multiple_of(GROW_BYTES);
        assert_eq!(len(&journal), one_region);
        assert_eq!(found(&journal, ERA).unwrap().len(), 2);
        journal.go_to_other_region(ERA);
        assert!(journal.has_room(most) && !journal.has_room(most + 1));
        write(&mut journal, Era(1), 3, &vec![1; most - HEAD_BYTES]);
        assert!(!journal.has_room(1));
        assert_eq!(len(&journal), JOURNAL_BYTES_MAX);
        assert_eq!(found(&journal, ERA).unwrap().len(), 3);
        assert_eq!(found(&journal, Era(1)).unwrap().len(), 1);
        let whole = len(&journal);
        journal.rewind();
        assert!(journal.has_room(most));
        write(&mut journal, Era(2), 4, b"four");
        assert_eq!(len(&journal), whole);
        // Another process has ended, and leaves nothing behind.
        journal.front.file.set_len(RECORDS_AT).unwrap();
        journal.rewind();
        write(&mut journal, Era(3), 5, b"five");
        assert_eq!(len(&journal), GROW_BYTES);
    }

    fn written(lens: &[usize]) -> (tempfile::TempDir, Journal) {
        let (directory, mut journal) = journal();
        for (n, len) in lens.iter().enumerate() {
            write(&mut journal, ERA, n as i64, &vec![n as u8; *len]);
        }
        (directory, journal)
    }

    proptest! {
        #[test]
        fn a_byte_that_is_another_costs_at_most_the_last_record_or_is_named(
            lens in proptest::collection::vec(0..9_000_usize, 1..5),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let (_directory, journal) = written(&lens);
            let whole = found(&journal, ERA).unwrap();
            prop_assert_eq!(whole.len(), lens.len());
            let mut bytes = journal.read().unwrap();
            let at = at.index((journal.end - RECORDS_AT) as usize);
            bytes[at] ^= flip;
            match records(&bytes, ERA, 0) {
                Ok(records) => {
                    prop_assert!(whole.len() <= records.len() + 1);
                    for (record, (first, bytes)) in records.iter().zip(&whole) {
                        prop_assert_eq!((record.first, record.bytes), (*first, bytes.as_slice()));
                    }
                }
                Err(Damaged) => prop_assert!(1 < whole.len()),
            }
        }

        #[test]
        fn what_was_cut_off_anywhere_costs_what_lies_behind(
            lens in proptest::collection::vec(0..9_000_usize, 1..5),
            len in any::<prop::sample::Index>(),
        ) {
            let (_directory, journal) = written(&lens);
            let bytes = journal.read().unwrap();
            let len = len.index((journal.end - RECORDS_AT) as usize + 1);
            let records = records(&bytes[..len], ERA, 0).unwrap();
            let mut end = 0;
            let whole = lens.iter().take_while(|n| {
                let is_whole = end + HEAD_BYTES + **n <= len;
                end = (end + HEAD_BYTES + **n).next_multiple_of(4_096);
                is_whole
            });
            prop_assert_eq!(records.len(), whole.count());
        }

        #[test]
        fn foreign_bytes_hold_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..9_000)) {
            prop_assert_eq!(records(&bytes, ERA, 0), Ok(vec![]));
        }
    }
}
