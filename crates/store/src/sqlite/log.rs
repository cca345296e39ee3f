//! The file that events are written into before they are acknowledged, `inbox.log`.
//!
//! A record is a commit: one write, one wait for the disk. It bears the archive's era, a number at
//! random which the database gets anew whenever it takes in what is in the file: from then on the
//! records are void, and the next one is written over the first. Whoever writes holds the database's
//! write lock. Each record begins on a page of its own, so that a write which breaks off harms none
//! that was acknowledged; and the file keeps its length, so that the disk writes no more than bytes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::error::as_sqlite;
use crate::StoreError;

/// The file's name in the data directory.
pub(super) const FILE: &str = "inbox.log";
/// Bytes up to which records are written; then what they hold must go into the database.
pub(super) const LOG_BYTES_MAX: u64 = if cfg!(test) { 256 << 10 } else { 8 << 20 };
/// Bytes by which the file grows.
const GROW_BYTES: u64 = if cfg!(test) { 16 << 10 } else { 1 << 20 };
/// What a disk writes whole or not at all, and not beside what stands in the next one.
const PAGE_BYTES: u64 = 4 << 10;
/// Bytes before what a record holds: era, number of its first commit, length of what it holds and
/// CRC-32 of that, CRC-32 of all these, nothing. Little-endian.
pub(super) const HEAD_BYTES: usize = 32;

/// The number that tells what is in the database already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Era(pub(super) i64);

/// The file, for whoever writes.
pub(super) struct Log {
    file: Arc<File>,
    /// Where the next record goes.
    end: u64,
    /// Bytes that were written once, as far as is known.
    len: u64,
}

/// The file, for whoever wants to know whether something is in it.
pub(super) struct Front(Arc<File>);

/// What was written with one call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// The number of its first batch.
    pub(super) first: i64,
    pub(super) bytes: &'a [u8],
}

/// A record that was acknowledged cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged;

impl Log {
    /// Opens the file, or makes it. Its name is safe once the directory is synced.
    pub(super) fn open(data: &Path) -> Result<Log, StoreError> {
        let path = data.join(FILE);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = opened.map_err(|source| StoreError::Refused {
            what: format!("cannot open the file `{}`", path.display()),
            source: Some(Box::new(source)),
        })?;
        Ok(Log {
            file: Arc::new(file),
            end: 0,
            len: 0,
        })
    }

    pub(super) fn front(&self) -> Front {
        Front(Arc::clone(&self.file))
    }

    /// All bytes of the file.
    pub(super) fn read(&self) -> rusqlite::Result<Vec<u8>> {
        let read = || -> io::Result<Vec<u8>> {
            let len = self.file.metadata()?.len().min(LOG_BYTES_MAX);
            let mut bytes = vec![0; len as usize];
            self.file.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        read().map_err(|error| as_sqlite(FILE, &error))
    }

    /// Whether somebody else has written behind the last record that is known.
    pub(super) fn has_more(&self, era: Era) -> bool {
        let mut bytes = [0; HEAD_BYTES];
        let read = self.file.read_exact_at(&mut bytes, self.end);
        read.is_ok() && head(&bytes, era).is_some()
    }

    /// Whether a record of so many bytes, its head among them, can be written.
    pub(super) fn has_room(&self, n_bytes: usize) -> bool {
        self.end + n_bytes as u64 <= LOG_BYTES_MAX
    }

    /// Writes a record: what it holds, behind room for its head. It is safe after [`Log::sync`].
    pub(super) fn write(
        &mut self,
        era: Era,
        first: i64,
        record: &mut [u8],
    ) -> rusqlite::Result<()> {
        put_head(era, first, record);
        let end = self.end + record.len() as u64;
        self.reserve(end)
            .and_then(|()| self.file.write_all_at(record, self.end))
            .map_err(|error| as_sqlite(FILE, &error))?;
        self.end = end.next_multiple_of(PAGE_BYTES);
        Ok(())
    }

    /// Waits until what was written is on disk. When this fails, nobody knows whether it is.
    pub(super) fn sync(&self) -> rusqlite::Result<()> {
        let synced = self.file.sync_data();
        synced.map_err(|error| as_sqlite(FILE, &io::Error::other(error)))
    }

    /// Writes nothings up to this byte and somewhat further, where nobody has written before.
    fn reserve(&mut self, end: u64) -> io::Result<()> {
        if self.len < end {
            self.len = self.len.max(self.file.metadata()?.len());
        }
        while self.len < end {
            let len = (self.len + 1).next_multiple_of(GROW_BYTES);
            let nothings = vec![0; (len - self.len) as usize];
            self.file.write_all_at(&nothings, self.len)?;
            self.len = len;
        }
        Ok(())
    }

    /// After the database has taken in what the records hold, and has a new era.
    pub(super) fn rewind(&mut self) {
        self.end = 0;
    }

    /// Gives the file's bytes back, when none of its records counts.
    pub(super) fn cut(&mut self) {
        self.rewind();
        self.len = 0;
        // Nothing depends on it.
        let _ = self.file.set_len(0);
    }
}

impl Front {
    /// The era of the first record. One that is being written may be there too.
    ///
    /// Whoever opens a transaction after asking, and finds another era in the database, finds all that
    /// was acknowledged before.
    pub(super) fn era(&self) -> Option<Era> {
        let mut era = [0; 8];
        let read = self.0.read_exact_at(&mut era, 0);
        read.ok().map(|()| Era(i64::from_le_bytes(era)))
    }
}

fn put_head(era: Era, first: i64, record: &mut [u8]) {
    let (head, bytes) = record.split_at_mut(HEAD_BYTES);
    head[..8].copy_from_slice(&era.0.to_le_bytes());
    head[8..16].copy_from_slice(&first.to_le_bytes());
    // `has_room` was asked: it is far below four gigabytes.
    head[16..20].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
    head[20..24].copy_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    let checksum = crc32fast::hash(&head[..24]);
    head[24..28].copy_from_slice(&checksum.to_le_bytes());
    head[28..].fill(0);
}

/// What a head says: number of the first batch, length and checksum of what follows.
struct Head {
    first: i64,
    len: usize,
    checksum: u32,
}

fn head(bytes: &[u8], era: Era) -> Option<Head> {
    let head: &[u8; HEAD_BYTES] = bytes.first_chunk()?;
    let [of_era, first, ..] = *head.as_chunks::<8>().0 else {
        return None;
    };
    let [_, _, _, _, len, checksum, of_head, _] = *head.as_chunks::<4>().0 else {
        return None;
    };
    let is_whole = crc32fast::hash(&head[..24]) == u32::from_le_bytes(of_head);
    (is_whole && i64::from_le_bytes(of_era) == era.0).then_some(Head {
        first: i64::from_le_bytes(first),
        len: u32::from_le_bytes(len) as usize,
        checksum: u32::from_le_bytes(checksum),
    })
}

fn record(bytes: &[u8], era: Era) -> Option<Record<'_>> {
    let head = head(bytes, era)?;
    let bytes = bytes[HEAD_BYTES..].get(..head.len)?;
    (crc32fast::hash(bytes) == head.checksum).then_some(Record {
        first: head.first,
        bytes,
    })
}

/// The records of an era. What a write that broke off has left behind them was not acknowledged; a
/// record that cannot be read though others stand behind it was.
pub(super) fn records(mut bytes: &[u8], era: Era) -> Result<Vec<Record<'_>>, Damaged> {
    let mut records = Vec::new();
    while let Some(record) = record(bytes, era) {
        let len = (HEAD_BYTES + record.bytes.len()).next_multiple_of(PAGE_BYTES as usize);
        records.push(record);
        bytes = bytes.get(len..).unwrap_or_default();
    }
    let mut behind = bytes.chunks(PAGE_BYTES as usize).skip(1);
    if behind.any(|page| head(page, era).is_some()) {
        return Err(Damaged);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ERA: Era = Era(-7);

    fn log() -> (tempfile::TempDir, Log) {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::open(directory.path()).unwrap();
        (directory, log)
    }

    fn write(log: &mut Log, era: Era, first: i64, bytes: &[u8]) {
        let mut record = [&[0; HEAD_BYTES], bytes].concat();
        log.write(era, first, &mut record).unwrap();
        log.sync().unwrap();
    }

    fn found(log: &Log, era: Era) -> Result<Vec<(i64, Vec<u8>)>, Damaged> {
        let bytes = log.read().unwrap();
        let records = records(&bytes, era)?;
        let records = records.iter();
        Ok(records.map(|r| (r.first, r.bytes.to_vec())).collect())
    }

    #[test]
    fn a_log_has_the_records_of_its_era_and_no_others() {
        let (directory, mut log) = log();
        assert_eq!(found(&log, ERA), Ok(vec![]));
        assert_eq!(log.front().era(), None);
        write(&mut log, ERA, 1, b"one");
        write(&mut log, ERA, 2, &[2; 5_000]);
        write(&mut log, ERA, 4, b"");
        let all = vec![(1, b"one".to_vec()), (2, vec![2; 5_000]), (4, vec![])];
        assert_eq!(found(&log, ERA), Ok(all));
        assert_eq!(
            found(&Log::open(directory.path()).unwrap(), ERA)
                .unwrap()
                .len(),
            3
        );
        assert_eq!(log.front().era(), Some(ERA));
        // Shorter than what it is written over, and as long as it.
        log.rewind();
        write(&mut log, Era(8), 9, b"nine");
        assert_eq!(found(&log, Era(8)), Ok(vec![(9, b"nine".to_vec())]));
        assert_eq!(found(&log, Era(9)), Ok(vec![]));
        assert_eq!(log.front().era(), Some(Era(8)));
        log.cut();
        assert_eq!(log.front().era(), None);
        assert_eq!(log.read().unwrap(), b"");
        write(&mut log, ERA, 10, b"ten");
        assert_eq!(found(&log, ERA), Ok(vec![(10, b"ten".to_vec())]));
    }

    #[test]
    fn a_log_is_full_at_its_limit_and_keeps_its_length() {
        let (_directory, mut log) = log();
        let most = LOG_BYTES_MAX as usize;
        assert!(log.has_room(most) && !log.has_room(most + 1));
        write(&mut log, ERA, 1, b"one");
        assert!(log.has_room(most - 4_096) && !log.has_room(most - 4_095));
        assert_eq!(log.file.metadata().unwrap().len(), GROW_BYTES);
        write(&mut log, ERA, 2, &vec![1; most - 4_096 - HEAD_BYTES]);
        assert!(!log.has_room(1));
        assert_eq!(log.file.metadata().unwrap().len(), LOG_BYTES_MAX);
        assert_eq!(found(&log, ERA).unwrap().len(), 2);
        log.rewind();
        assert!(log.has_room(most));
        write(&mut log, Era(1), 3, b"three");
        assert_eq!(log.file.metadata().unwrap().len(), LOG_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn a_byte_that_is_another_costs_at_most_the_last_record_or_is_named(
            lens in proptest::collection::vec(0..9_000_usize, 1..5),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let (_directory, mut log) = log();
            for (n, len) in lens.iter().enumerate() {
                write(&mut log, ERA, n as i64, &vec![n as u8; *len]);
            }
            let whole = found(&log, ERA).unwrap();
            prop_assert_eq!(whole.len(), lens.len());
            let mut bytes = log.read().unwrap();
            let at = at.index(log.end as usize);
            bytes[at] ^= flip;
            match records(&bytes, ERA) {
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
            let (_directory, mut log) = log();
            for (n, len) in lens.iter().enumerate() {
                write(&mut log, ERA, n as i64, &vec![n as u8; *len]);
            }
            let bytes = log.read().unwrap();
            let len = len.index(log.end as usize + 1);
            let records = records(&bytes[..len], ERA).unwrap();
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
            prop_assert_eq!(records(&bytes, ERA), Ok(vec![]));
        }
    }
}
