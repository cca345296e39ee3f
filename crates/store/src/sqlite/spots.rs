//! Single sealed sessions, read where they are asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use debrief_domain::Change;
use rusqlite::Connection;

use super::error::refused_or_corrupt;
use super::journal::Era;
use super::{Files, grants, open, page};
use crate::{Reading, Scan, StoreError};

/// Single sealed sessions that are read at once where they are asked for, without a thread.
const SPOTS: usize = 2;
/// The page cache of each of their connections.
const SPOT_CACHE_KIB: i64 = 8 << 10;

/// Connections for what takes less time than it takes to wake a reader.
pub(super) struct Spots {
    idle: Mutex<Vec<Spot>>,
    /// Those that read pages of reports.
    scanners: Mutex<Vec<Connection>>,
    grants: Arc<grants::Grants>,
}

/// One of them. It keeps its transaction open as long as nobody commits: to open one takes two locks.
/// Not when SQLite's log is long enough for a checkpoint: it is not begun anew as long as somebody reads
/// from it. Where the map has a session no transaction is wanted.
pub(super) struct Spot {
    pub(super) db: Connection,
    /// What the transaction sees, or the last one saw.
    sight: Option<Sight>,
}

/// What a transaction sees.
struct Sight {
    /// The archive's state.
    stamp: grants::Stamp,
    /// The last commit in the database, and its era.
    moment: (Change, Era),
}

impl Spots {
    pub(super) fn open(
        directory: &Path,
        grants: &Arc<grants::Grants>,
    ) -> Result<Spots, StoreError> {
        let open = || {
            let db = open::open_reader(directory)?;
            // Nobody waits here.
            db.busy_timeout(Duration::ZERO)
                .map_err(refused_or_corrupt)?;
            Ok(db)
        };
        let spot = || {
            let db = open()?;
            // Single sessions are asked for again and again.
            db.pragma_update(None, "cache_size", -SPOT_CACHE_KIB)
                .map_err(refused_or_corrupt)?;
            Ok(Spot { db, sight: None })
        };
        let spots = std::iter::repeat_with(spot).take(SPOTS);
        let scanners = std::iter::repeat_with(open).take(SPOTS);
        Ok(Spots {
            idle: Mutex::new(spots.collect::<Result<_, _>>()?),
            scanners: Mutex::new(scanners.collect::<Result<_, _>>()?),
            grants: Arc::clone(grants),
        })
    }

    pub(super) fn idle(&self) -> MutexGuard<'_, Vec<Spot>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection for a page of a report, if there is one that nobody uses.
    pub(super) fn scanner(&self) -> Option<Connection> {
        let mut scanners = self.scanners.lock().unwrap_or_else(PoisonError::into_inner);
        scanners.pop()
    }

    /// Takes it back.
    pub(super) fn give_back(&self, scanner: Connection) {
        let mut scanners = self.scanners.lock().unwrap_or_else(PoisonError::into_inner);
        scanners.push(scanner);
    }

    /// Shows what the reading asks for, if that is soon done; otherwise nothing has happened.
    pub(super) fn show(
        &self,
        files: &Files,
        reading: &mut Reading,
        scan: &mut dyn Scan,
    ) -> Result<bool, StoreError> {
        if page::single(reading).is_none() {
            return Ok(false);
        }
        let popped = self.idle().pop();
        let Some(mut spot) = popped else {
            return Ok(false);
        };
        // Who panics in here ends alone, as on a reader.
        let shown = catch_unwind(AssertUnwindSafe(|| {
            // Whatever fails here, such as a wait for somebody else, is a reader's to meet again.
            let Ok(seen) = files.journal.look() else {
                return Ok(false);
            };
            let Ok(mut moment) = spot.moment(&self.grants) else {
                return Ok(false);
            };
            let row = page::single(reading).and_then(|lsid| files.atlas.find(lsid, spot.stamp()));
            if row.is_none() && spot.db.is_autocommit() {
                let Ok(opened) = spot.open(&self.grants) else {
                    return Ok(false);
                };
                moment = opened;
            }
            let (bound, era) = moment;
            if seen.lacks(era) {
                return Ok(false);
            }
            page::on_the_spot(&spot.db, files, (bound, row), reading, scan)
        }));
        if !matches!(shown, Ok(Ok(true))) {
            spot.release();
        } else if !spot.may_stay_open() {
            spot.close();
        }
        self.idle().push(spot);
        shown.unwrap_or_else(|_| Err(StoreError::refused("the reader has stopped")))
    }

    /// Ends transactions that see the archive as it was before the last commit: SQLite's log grows as
    /// long as there are any.
    pub(super) fn release(&self) {
        let now = self.grants.stamp();
        for spot in self.idle().iter_mut() {
            if now.is_none() || spot.stamp() != now {
                spot.release();
            }
        }
    }
}

impl Spot {
    /// The last commit in the database as it is now, and its era. If that is not known a transaction is
    /// opened, which sees it.
    fn moment(&mut self, grants: &grants::Grants) -> rusqlite::Result<(Change, Era)> {
        match &self.sight {
            Some(sight) if Some(sight.stamp) == grants.stamp() => Ok(sight.moment),
            _ => self.open(grants),
        }
    }

    /// Opens a transaction. Gives the last commit in the database that it sees, and its era.
    fn open(&mut self, grants: &grants::Grants) -> rusqlite::Result<(Change, Era)> {
        self.release();
        let now = grants.stamp();
        self.db.prepare_cached("BEGIN")?.execute([])?;
        let moment = page::moment(&self.db)?;
        // Nobody has committed in between.
        let stamp = now.filter(|_| grants.stamp() == now);
        self.sight = stamp.map(|stamp| Sight { stamp, moment });
        Ok(moment)
    }

    #[cfg(test)]
    pub(super) fn knows_moment(&self) -> bool {
        self.sight.is_some()
    }

    fn stamp(&self) -> Option<grants::Stamp> {
        self.sight.as_ref().map(|sight| sight.stamp)
    }

    fn may_stay_open(&self) -> bool {
        let n_frames = self.stamp().and_then(|stamp| stamp.n_frames());
        n_frames.is_some_and(|n_frames| n_frames < open::CHECKPOINT_FRAMES)
    }

    fn release(&mut self) {
        self.sight = None;
        self.close();
    }

    /// Ends the transaction. What it saw is known still.
    fn close(&mut self) {
        if !self.db.is_autocommit() {
            // Nothing was written.
            let _ = self
                .db
                .prepare_cached("ROLLBACK")
                .and_then(|mut rollback| rollback.execute([]));
        }
    }
}
