//! Files beside the database that are only ever added to: sealed bytes of sessions, groups of events.
//!
//! The database says which bytes of a file count, and its commit makes them count: they are written
//! and synced before it. Bytes behind the last that counts are what a crash or a refusal left
//! behind. They stay, for a commit that broke off and points at them may turn up again when SQLite reads
//! its log anew. A process adds to files of its own only, which it holds locked.
//! A file that nothing points into any more is deleted after a while, for readers may still be
//! looking.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};

use super::error::as_sqlite;
use crate::{Retell, StoreError};

/// Bytes after which a file is full; the last transaction may go beyond.
const SEGMENT_BYTES_MAX: u64 = if cfg!(test) { 16 << 10 } else { 256 << 20 };
/// Files that are looked at for one to go on with.
const CANDIDATES_MAX: i64 = 8;
/// The directory in the data directory.
const DIRECTORY: &str = "segments";

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sealed bytes of sessions.
    Sealed = 0,
    /// Groups of events.
    Events = 1,
}

/// Where bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) segment: i64,
    pub(super) at: u64,
    pub(super) len: u64,
}

/// The files, for reading. They stay open: there are few.
#[derive(Debug)]
pub(super) struct Segments {
    directory: PathBuf,
    open: Mutex<HashMap<i64, Arc<File>>>,
    retell: Option<Retell>,
}

/// Who has the bytes of slots.
pub(super) trait Slots {
    /// The bytes of a slot.
    fn read(&self, slot: Slot) -> Result<Vec<u8>, StoreError>;

    /// What retells sealed bytes, if the archive was opened with it.
    fn retell(&self) -> Option<Retell>;
}

impl Slots for Segments {
    fn read(&self, slot: Slot) -> Result<Vec<u8>, StoreError> {
        // A length that was damaged must not ask for memory.
        let file_len = self.len(slot.segment)?;
        let len = slot.len.min(file_len.saturating_sub(slot.at) + 1);
        let mut bytes = vec![0; len as usize];
        self.read_into(slot.segment, slot.at, &mut bytes)?;
        Ok(bytes)
    }

    fn retell(&self) -> Option<Retell> {
        self.retell
    }
}

impl Segments {
    /// The files in a data directory.
    pub(super) fn open(data: &Path, retell: Option<Retell>) -> Result<Segments, StoreError> {
        let directory = data.join(DIRECTORY);
        std::fs::create_dir_all(&directory).map_err(|source| StoreError::Refused {
            what: format!("cannot make the directory `{}`", directory.display()),
            source: Some(Box::new(source)),
        })?;
        // A commit is no safer than the directory that its bytes lie in.
        let synced = File::open(data).and_then(|data| data.sync_all());
        synced.map_err(|source| StoreError::Refused {
            what: format!("cannot use the directory `{}`", data.display()),
            source: Some(Box::new(source)),
        })?;
        Ok(Segments {
            directory,
            open: Mutex::default(),
            retell,
        })
    }

    fn path(&self, segment: i64) -> PathBuf {
        self.directory.join(format!("{segment:08}"))
    }

    fn file(&self, segment: i64) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&segment) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(self.path(segment))?);
        open.insert(segment, Arc::clone(&file));
        Ok(file)
    }

    /// Fills `bytes` from a file.
    pub(super) fn read_into(
        &self,
        segment: i64,
        at: u64,
        bytes: &mut [u8],
    ) -> Result<(), StoreError> {
        self.look(segment, |file| file.read_exact_at(bytes, at))
    }

    /// How long a file is.
    fn len(&self, segment: i64) -> Result<u64, StoreError> {
        self.look(segment, |file| {
            file.metadata().map(|metadata| metadata.len())
        })
    }

    fn look<T>(
        &self,
        segment: i64,
        look: impl FnOnce(&File) -> io::Result<T>,
    ) -> Result<T, StoreError> {
        let seen = self.file(segment).and_then(|file| look(&file));
        seen.map_err(|source| {
            let what = format!("the file `{}`", self.path(segment).display());
            let is_damage = matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
            );
            let source = Some(Box::new(source) as Box<_>);
            if is_damage {
                return StoreError::Corrupt { what, source };
            }
            let what = format!("cannot read {what}");
            StoreError::Refused { what, source }
        })
    }

    /// Deletes a file that no row of the database speaks of any more.
    fn delete(&self, segment: i64) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&segment);
        match std::fs::remove_file(self.path(segment)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

/// The ends of the files, one of each kind.
pub(super) struct Tails {
    pub(super) sealed: Tail,
    pub(super) groups: Tail,
}

impl Tails {
    pub(super) fn new(segments: &Arc<Segments>) -> Tails {
        Tails {
            sealed: Tail::new(Kind::Sealed, Arc::clone(segments)),
            groups: Tail::new(Kind::Events, Arc::clone(segments)),
        }
    }

    pub(super) fn segments(&self) -> &Arc<Segments> {
        &self.sealed.segments
    }

    /// As [`Tail::clear`].
    pub(super) fn clear(&mut self) {
        self.sealed.clear();
        self.groups.clear();
    }

    pub(super) fn mark(&self) -> [Mark; 2] {
        [self.sealed.mark(), self.groups.mark()]
    }

    /// As [`Tail::undo`].
    pub(super) fn undo(&mut self, [sealed, groups]: [Mark; 2]) {
        self.sealed.undo(sealed);
        self.groups.undo(groups);
    }

    /// As [`Tail::finish`].
    pub(super) fn finish(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.sealed.finish(db)?;
        self.groups.finish(db)
    }
}

/// With what the open transaction adds.
impl Slots for Tails {
    fn read(&self, slot: Slot) -> Result<Vec<u8>, StoreError> {
        let pending = [&self.sealed, &self.groups].map(|tail| tail.pending(slot));
        match pending.into_iter().flatten().next() {
            Some(bytes) => Ok(bytes.to_vec()),
            None => self.segments().read(slot),
        }
    }

    fn retell(&self) -> Option<Retell> {
        self.segments().retell
    }
}

/// The end of a file, where the writer adds what the open transaction has.
pub(super) struct Tail {
    kind: Kind,
    segments: Arc<Segments>,
    own: Option<Own>,
    /// What the open transaction adds.
    pending: Vec<u8>,
}

/// A file that this process adds to. The lock ends with the handle.
struct Own {
    segment: i64,
    file: File,
    /// Where the next bytes go.
    len: u64,
}

/// A state of the open transaction to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    segment: Option<i64>,
    n_pending: usize,
}

impl Tail {
    pub(super) fn new(kind: Kind, segments: Arc<Segments>) -> Tail {
        Tail {
            kind,
            segments,
            own: None,
            pending: Vec::new(),
        }
    }

    /// Forgets what is pending, and which file was being added to: how many of its bytes count is
    /// asked of the database again.
    fn clear(&mut self) {
        self.own = None;
        self.pending = Vec::new();
    }

    fn mark(&self) -> Mark {
        Mark {
            segment: self.own.as_ref().map(|own| own.segment),
            n_pending: self.pending.len(),
        }
    }

    /// Forgets what was added since the mark.
    fn undo(&mut self, mark: Mark) {
        self.pending.truncate(mark.n_pending);
        if self.own.as_ref().map(|own| own.segment) != mark.segment {
            // The row of a new file is undone with the rest.
            self.own = None;
        }
    }

    /// The bytes of a slot that the open transaction has added.
    fn pending(&self, slot: Slot) -> Option<&[u8]> {
        let own = self
            .own
            .as_ref()
            .filter(|own| own.segment == slot.segment)?;
        let begin = slot.at.checked_sub(own.len)? as usize;
        self.pending
            .get(begin..begin.checked_add(slot.len as usize)?)
    }

    /// Adds bytes; they count when the transaction is committed.
    pub(super) fn put(&mut self, db: &Connection, bytes: &[u8]) -> rusqlite::Result<Slot> {
        if self.pending.is_empty()
            && (self.own.as_ref()).is_some_and(|own| SEGMENT_BYTES_MAX <= own.len)
        {
            self.own = None;
        }
        let own = match &mut self.own {
            Some(own) => own,
            none => none.insert(Own::acquire(db, self.kind, &self.segments)?),
        };
        let slot = Slot {
            segment: own.segment,
            at: own.len + self.pending.len() as u64,
            len: bytes.len() as u64,
        };
        self.pending.extend_from_slice(bytes);
        Ok(slot)
    }

    /// Before the commit: writes what is pending, and waits until it is on disk.
    fn finish(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let (Some(own), false) = (&mut self.own, self.pending.is_empty()) else {
            return Ok(());
        };
        own.file
            .write_all_at(&self.pending, own.len)
            .and_then(|()| own.file.sync_data())
            .map_err(|error| as_sqlite("a segment file", &error))?;
        own.len += self.pending.len() as u64;
        db.prepare_cached("UPDATE segment SET len = ?2, live = live + ?3 WHERE id = ?1")?
            .execute(params![
                own.segment,
                own.len as i64,
                self.pending.len() as i64
            ])?;
        self.pending.clear();
        self.pending.shrink_to(PENDING_BYTES_KEPT);
        Ok(())
    }
}

/// Memory for what is pending that is kept from one transaction to the next.
const PENDING_BYTES_KEPT: usize = 1 << 20;

impl Own {
    /// A file to go on with that no other process has, or a new one.
    fn acquire(db: &Connection, kind: Kind, segments: &Segments) -> rusqlite::Result<Own> {
        let candidates: Vec<(i64, i64)> = db
            .prepare_cached(
                "SELECT id, len FROM segment WHERE kind = ?1 AND len < ?2 AND gone IS NULL \
                 ORDER BY id DESC LIMIT ?3",
            )?
            .query_map(
                params![kind as i64, SEGMENT_BYTES_MAX as i64, CANDIDATES_MAX],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .collect::<Result<_, _>>()?;
        for (segment, len) in candidates {
            let opened = OpenOptions::new().write(true).open(segments.path(segment));
            // A file that lacks bytes is damaged, which whoever reads them learns.
            if let Ok(file) = opened
                && file.try_lock().is_ok()
                && let Ok(metadata) = file.metadata()
                && len as u64 <= metadata.len()
            {
                let len = metadata.len();
                return Ok(Own { segment, file, len });
            }
        }
        Own::create(db, kind, segments)
    }

    fn create(db: &Connection, kind: Kind, segments: &Segments) -> rusqlite::Result<Own> {
        db.prepare_cached("INSERT INTO segment (kind, len, live) VALUES (?1, 0, 0)")?
            .execute([kind as i64])?;
        let segment = db.last_insert_rowid();
        let create = || -> io::Result<(File, u64)> {
            // What is there under this name was never committed, as far as is known.
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(segments.path(segment))?;
            file.try_lock()?;
            File::open(&segments.directory)?.sync_all()?;
            let len = file.metadata()?.len();
            Ok((file, len))
        };
        let (file, len) = create().map_err(|error| as_sqlite("a segment file", &error))?;
        Ok(Own { segment, file, len })
    }
}

/// Notes that bytes are not pointed to any more.
pub(super) fn forget(db: &Connection, slot: Slot) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE segment SET live = live - ?2 WHERE id = ?1")?
        .execute(params![slot.segment, slot.len as i64])?;
    Ok(())
}

/// How long a file stays that nothing points into: longer than any transaction of a reader, and than
/// a backup that has copied the database and not yet the files.
const GONE_SECS: i64 = if cfg!(test) { 0 } else { 86_400 };

/// A file of sealed bytes less than half of which is pointed to, to be emptied into another one.
pub(super) fn sparse(db: &Connection) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(
        "SELECT id FROM segment s WHERE kind = ?1 AND ?2 <= len AND live * 2 < len AND 0 < live \
         AND gone IS NULL AND EXISTS (SELECT 1 FROM body b WHERE b.segment = s.id) \
         ORDER BY id LIMIT 1",
    )?
    .query_row(
        params![Kind::Sealed as i64, SEGMENT_BYTES_MAX as i64],
        |row| row.get(0),
    )
    .optional()
}

/// Files whose count of live bytes is not that of the rows which point into them, and files that
/// lack bytes.
pub(super) fn faults(db: &Connection, segments: &Segments) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare(
        "SELECT s.id, s.len, s.live, s.kind, \
         (SELECT coalesce(sum(b.len), 0) FROM body b WHERE b.segment = s.id) \
         + (SELECT coalesce(sum(h.len), 0) FROM held h WHERE h.segment = s.id) FROM segment s",
    )?;
    let mut rows = statement.query([])?;
    let mut faults = Vec::new();
    while let Some(row) = rows.next()? {
        let segment: i64 = row.get(0)?;
        let (len, live, pointed_to): (i64, i64, i64) = (row.get(1)?, row.get(2)?, row.get(4)?);
        let path = segments.path(segment);
        let path = path.display();
        if row.get::<_, i64>(3)? == Kind::Sealed as i64 && live != pointed_to {
            faults.push(format!(
                "{pointed_to} bytes of `{path}` are pointed to, and {live} are counted"
            ));
        }
        let found = segments.file(segment).and_then(|file| file.metadata());
        match found {
            Ok(found) if len as u64 <= found.len() => {}
            Ok(found) => faults.push(format!(
                "`{path}` has {} bytes and should have {len}",
                found.len()
            )),
            Err(error) => faults.push(format!("`{path}` cannot be read: {error}")),
        }
    }
    Ok(faults)
}

/// Notes which full files of sealed bytes have nothing left in them, and deletes those that had
/// nothing a while ago.
pub(super) fn sweep(db: &Connection, segments: &Segments, now: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE segment SET gone = ?1 WHERE kind = ?3 AND live = 0 AND ?2 <= len AND gone IS NULL",
    )?
    .execute(params![now, SEGMENT_BYTES_MAX as i64, Kind::Sealed as i64])?;
    // A count that is wrong must cost no bytes: before a file is deleted, every row is looked at.
    let gone: Vec<i64> = db
        .prepare_cached(
            "SELECT id FROM segment WHERE gone <= ?1 \
             AND NOT EXISTS (SELECT 1 FROM body WHERE body.segment = segment.id)",
        )?
        .query_map([now - GONE_SECS], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for segment in &gone {
        // The file first: a row without a file is looked at again, a file without a row never is.
        segments
            .delete(*segment)
            .map_err(|error| as_sqlite("a segment file", &error))?;
        db.prepare_cached("DELETE FROM segment WHERE id = ?1")?
            .execute([segment])?;
    }
    Ok(())
}
