//! Valid tokens, remembered as long as nobody commits anything.
//!
//! SQLite notes every commit of every process in the header of the WAL index, the file beside the
//! archive that ends in `-shm` (its format document, section 2.1.1). While the header is as it was
//! when a token was looked up, looking again would give the same answer: so a disabled account is
//! shut out at once, whoever disabled it.
//!
//! Commits of our own that add nothing but events do not count, or else nothing would be remembered
//! while events come in.
//!
//! Others ask for the same header, for what they remember, and for how long SQLite's log is.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use debrief_domain::At;

use super::open::CHECKPOINT_FRAMES;
use crate::{Grant, TokenHash};

/// Tokens that are remembered.
const TOKENS_REMEMBERED_MAX: usize = 1_000;
/// How long nothing is read where SQLite's log is long, and how often before each transaction of many: it
/// may be somebody else who reads from it.
const LOG_PAUSE: Duration = Duration::from_millis(5);
const LOG_PAUSES_MAX: u32 = 20;
/// Bytes of the header, of which there are two copies.
const HEADER_BYTES: usize = 48;
/// Where the header counts commits: `iChange`, in the machine's own order of bytes.
const COMMITS_AT: usize = 8;
/// Where it counts the pages in SQLite's log: `mxFrame`.
const FRAMES_AT: usize = 16;

/// The header as it was read: equal stamps, equal archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([u8; HEADER_BYTES]);

impl Stamp {
    /// The number of commits, which begins anew after 2^32 of them.
    fn n_commits(&self) -> Option<u32> {
        self.word(COMMITS_AT)
    }

    /// Pages in SQLite's log.
    pub(super) fn n_frames(&self) -> Option<u32> {
        self.word(FRAMES_AT)
    }

    /// Whether there is one commit between them.
    pub(super) fn is_before(&self, after: Stamp) -> bool {
        self.n_commits().map(|n| n.wrapping_add(1)) == after.n_commits()
    }

    fn word(&self, at: usize) -> Option<u32> {
        let word = self.0[at..].first_chunk()?;
        Some(u32::from_ne_bytes(*word))
    }
}

/// Tokens and what they open.
pub(super) struct Grants {
    index: Option<File>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    stamp: Option<Stamp>,
    by_token: HashMap<TokenHash, (Grant, At)>,
}

impl Grants {
    /// Nothing yet. Without the index file nothing is ever remembered.
    pub(super) fn new(archive: &Path) -> Grants {
        let mut index = archive.as_os_str().to_owned();
        index.push("-shm");
        Grants {
            index: File::open(index).ok(),
            known: Mutex::default(),
        }
    }

    /// The archive's state; none while somebody is changing it.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let mut copies = [0; 2 * HEADER_BYTES];
        self.index.as_ref()?.read_exact_at(&mut copies, 0).ok()?;
        let (first, second) = copies.as_chunks::<HEADER_BYTES>().0.split_first()?;
        (second.first() == Some(first)).then_some(Stamp(*first))
    }

    /// Waits a while where SQLite's log is to be begun anew, which nobody may read then.
    pub(super) fn let_log_begin_anew(&self, pause: impl Fn(Duration)) {
        for _ in 0..LOG_PAUSES_MAX {
            let n_frames = self.stamp().and_then(|stamp| stamp.n_frames());
            if n_frames.is_none_or(|n_frames| n_frames < CHECKPOINT_FRAMES) {
                return;
            }
            pause(LOG_PAUSE);
        }
    }

    /// What this token opens, if it was looked up since the last commit.
    pub(super) fn get(&self, token: &TokenHash, now: At) -> Option<Grant> {
        let stamp = self.stamp()?;
        let known = self.known.lock().ok()?;
        if known.stamp != Some(stamp) {
            return None;
        }
        let (grant, expires) = known.by_token.get(token)?;
        (now < *expires).then(|| grant.clone())
    }

    /// Remembers what a token opens until it expires. `stamp` was taken before it was looked up.
    pub(super) fn put(&self, stamp: Option<Stamp>, token: TokenHash, grant: &Grant, expires: At) {
        let (Some(stamp), Ok(mut known)) = (stamp, self.known.lock()) else {
            return;
        };
        if known.stamp != Some(stamp) && known.stamp.is_some() && known.stamp == self.stamp() {
            // Looked up before the last commit. What is known is newer, and will be again.
            return;
        }
        if known.stamp != Some(stamp) || TOKENS_REMEMBERED_MAX <= known.by_token.len() {
            known.by_token.clear();
            known.stamp = Some(stamp);
        }
        known.by_token.insert(token, (grant.clone(), expires));
    }

    /// After a commit of our own that changed nothing a token depends on: what was known before it
    /// is known still. `before` was taken inside the transaction, when nobody else could commit.
    pub(super) fn carry(&self, before: Option<Stamp>) {
        let (Some(before), Some(after)) = (before, self.stamp()) else {
            return;
        };
        if let Ok(mut known) = self.known.lock()
            && before.is_before(after)
            && known.stamp == Some(before)
        {
            known.stamp = Some(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_long_log_is_waited_for_and_no_longer_than_so_often() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("archive.sqlite");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (n)",
        )
        .unwrap();
        let grants = Grants::new(&path);
        let n_pauses = || {
            let n_pauses = std::cell::Cell::new(0);
            grants.let_log_begin_anew(|_| n_pauses.set(n_pauses.get() + 1));
            n_pauses.get()
        };
        let n_frames = || grants.stamp().unwrap().n_frames().unwrap();
        while n_frames() < CHECKPOINT_FRAMES {
            assert_eq!(n_pauses(), 0, "{}", n_frames());
            // A page for each commit.
            db.execute("INSERT INTO t VALUES (1)", []).unwrap();
        }
        assert_eq!(n_frames(), CHECKPOINT_FRAMES);
        assert_eq!(n_pauses(), LOG_PAUSES_MAX);
    }
}
