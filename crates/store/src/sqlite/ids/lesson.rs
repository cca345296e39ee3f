//! What was there before this process, on its way into the filter: until it is, each new id has to be looked for
//! in every run.
//!
//! A thread of its own reads it while events come in, the shortest runs first. Its transactions are short, and it
//! waits a while where SQLite's log is to be begun anew, which nobody may read then. Runs keep their blocks until
//! they are learnt, unless another process takes them away: then it stops, and whoever writes next notices that
//! process, and begins anew.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::runs::Run;
use super::{Key, Name};
use crate::queue::{Receiver, Sender, bounded};
use crate::sqlite::error::tells_damage;
use crate::sqlite::filter::Room;
use crate::sqlite::grants::Grants;

/// Blocks that are read in one transaction: some milliseconds.
const SLICE_BLOCKS: i64 = if cfg!(test) { 8 } else { 256 };
/// Ids of the formats before the fourth that are read in one transaction.
const SLICE_OLD_IDS: i64 = if cfg!(test) { 128 } else { 16 << 10 };
/// Lessons that may wait. One that finds no room is not learnt, which only costs time.
const LESSONS_MAX: usize = 64;
/// How often something is tried again that failed for now, and the wait before that.
const TRIES_MAX: u32 = 5;
const TRY_PAUSE: Duration = Duration::from_millis(100);

/// Which part of a lesson something is; by default none, for the filter has it anyway.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part(usize);

impl Part {
    /// All parts, in the order in which they are learnt.
    pub(super) fn each() -> impl Iterator<Item = Part> {
        (1..).map(Part)
    }
}

/// What a filter is to learn.
pub(super) struct Lesson {
    /// In the order of their parts.
    runs: Vec<Run>,
    /// What formats before the fourth had, which comes last.
    old: Option<Part>,
    room: Room,
    /// The last part that is learnt.
    learnt: AtomicUsize,
    is_over: AtomicBool,
}

/// How far one has come.
enum Place {
    /// To this block of this run.
    Run(usize, i64),
    /// Behind this id.
    Old(Name),
}

impl Lesson {
    pub(super) fn new(runs: Vec<Run>, old: Option<Part>, room: Room) -> Lesson {
        Lesson {
            runs,
            old,
            room,
            learnt: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// The last part that the filter has: whoever asks it after this is told what is in it.
    pub(super) fn learnt(&self) -> Part {
        Part(self.learnt.load(Ordering::Acquire))
    }

    /// Whether nothing more is learnt.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    fn has_learnt(&self, part: Part) {
        self.learnt.store(part.0, Ordering::Release);
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Learns some more. Gives how far it has come; nothing when that was all.
    fn go_on(&self, db: &Connection, place: &Place) -> rusqlite::Result<Option<Place>> {
        match *place {
            Place::Run(n, block) => {
                let Some(run) = self.runs.get(n) else {
                    let least = Name {
                        account: i64::MIN,
                        hash: [0; 16],
                    };
                    return Ok(self.old.map(|_| Place::Old(least)));
                };
                let end = run.n_blocks.min(block + SLICE_BLOCKS);
                run.each_key(db, block..end, |key| self.room.add(key))?;
                if end < run.n_blocks {
                    return Ok(Some(Place::Run(n, end)));
                }
                self.has_learnt(run.part);
                Ok(Some(Place::Run(n + 1, 0)))
            }
            Place::Old(after) => {
                let last = self.learn_old(db, after)?;
                if let (None, Some(part)) = (last, self.old) {
                    self.has_learnt(part);
                }
                Ok(last.map(Place::Old))
            }
        }
    }

    /// Whether what is to be learnt there is there still.
    fn is_there(&self, db: &Connection, place: &Place) -> bool {
        match place {
            Place::Run(n, _) => (self.runs.get(*n)).is_some_and(|run| run.is_live(db)),
            Place::Old(_) => true,
        }
    }

    /// Learns some ids of the formats before the fourth. Gives the last one; none when there are no more.
    fn learn_old(&self, db: &Connection, after: Name) -> rusqlite::Result<Option<Name>> {
        let mut select = db.prepare_cached(
            "SELECT account, hash FROM event_id WHERE (account, hash) > (?1, ?2) \
             ORDER BY account, hash LIMIT ?3",
        )?;
        let mut rows = select.query(params![after.account, after.hash, SLICE_OLD_IDS])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let name = Name {
                account: row.get(0)?,
                hash: row.get(1)?,
            };
            self.room.add(Key::of(&name));
            last = Some(name);
        }
        Ok(last)
    }
}

/// Who gives lessons to the thread that learns. By default nobody does, and what is not learnt is looked for.
#[derive(Default)]
pub(in crate::sqlite) struct Lessons(Option<Sender<Weak<Lesson>>>);

/// Who learns them.
pub(in crate::sqlite) struct Learner(Receiver<Weak<Lesson>>);

impl Lessons {
    pub(in crate::sqlite) fn new() -> (Lessons, Learner) {
        let (sender, receiver) = bounded(LESSONS_MAX);
        (Lessons(Some(sender)), Learner(receiver))
    }

    pub(super) fn give(&self, lesson: &Arc<Lesson>) {
        let sender = self.0.as_ref();
        if sender.is_none_or(|sender| sender.try_send(Arc::downgrade(lesson)).is_err()) {
            lesson.end();
        }
    }
}

impl Learner {
    /// Learns lessons as they come, each as long as somebody wants it, until nobody gives any.
    pub(in crate::sqlite) fn run(self, db: &Connection, grants: &Grants) {
        let wait = || grants.let_log_begin_anew(thread::sleep);
        while let Some(lesson) = self.0.recv() {
            // Who panics in here ends this one: it is looked for what it does not know.
            let _ = catch_unwind(AssertUnwindSafe(|| learn(db, &lesson, wait)));
            if let Some(lesson) = lesson.upgrade() {
                lesson.end();
            }
        }
    }
}

/// Learns a lesson as long as somebody wants it. `wait` comes before each transaction.
fn learn(db: &Connection, lesson: &Weak<Lesson>, wait: impl Fn()) {
    let (mut place, mut n_tries) = (Place::Run(0, 0), 0);
    loop {
        wait();
        let Some(lesson) = lesson.upgrade() else {
            return;
        };
        match lesson.go_on(db, &place) {
            Ok(Some(next)) => (place, n_tries) = (next, 0),
            Ok(None) => return lesson.end(),
            Err(error) if n_tries < TRIES_MAX && !tells_damage(&error) => {
                n_tries += 1;
                drop(lesson);
                thread::sleep(TRY_PAUSE);
            }
            Err(error) => {
                // Another process may have merged it.
                if lesson.is_there(db, &place) {
                    tracing::warn!(%error, "ids of events are learnt no further, but looked for");
                }
                return lesson.end();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ids;
    use super::super::runs::tests::left_behind;
    use super::super::tests::{add, name};
    use super::*;

    /// Ids of an archive that another process has left, with what is to be learnt of it.
    fn begun(db: &Connection, change: i64) -> (Ids, Weak<Lesson>) {
        let (lessons, given) = Lessons::new();
        let mut ids = Ids::new(lessons);
        ids.begin(db, change).unwrap();
        (ids, given.0.try_recv().unwrap())
    }

    /// How many of some new ids are looked for in the archive: whoever looks finds damage.
    fn n_looked_for(ids: &mut Ids, db: &Connection, news: std::ops::Range<u64>) -> usize {
        db.execute_batch("SAVEPOINT whole; DELETE FROM id_block")
            .unwrap();
        let mark = ids.mark();
        let n_looked = news.filter(|n| ids.know(db, &name(*n), 0).is_err()).count();
        ids.undo(mark);
        db.execute_batch("ROLLBACK TO whole").unwrap();
        n_looked
    }

    fn assert_known(ids: &mut Ids, db: &Connection, mut range: impl Iterator<Item = u64>) {
        assert!(range.all(|n| ids.know(db, &name(n), 0).unwrap() == Some(n as u32)));
    }

    #[test]
    fn it_is_learnt_piece_by_piece_the_shortest_runs_first_and_nothing_is_unknown_meanwhile() {
        let (db, change, n_ids) = left_behind();
        let (mut ids, given) = begun(&db, change);
        let lesson = given.upgrade().unwrap();
        let lens: Vec<i64> = lesson.runs.iter().map(|run| run.n_blocks).collect();
        assert!(lens.is_sorted() && lens.first() < lens.last(), "{lens:?}");
        assert_eq!(n_looked_for(&mut ids, &db, n_ids..n_ids + 100), 100);
        let (mut place, mut n_slices) = (Some(Place::Run(0, 0)), 0);
        while let Some(from) = place {
            place = lesson.go_on(&db, &from).unwrap();
            n_slices += 1;
            assert_known(&mut ids, &db, (n_slices..n_ids).step_by(97));
        }
        let n_expected: i64 = lens
            .iter()
            .map(|len| (len + SLICE_BLOCKS - 1) / SLICE_BLOCKS)
            .sum();
        // One more to see that there are no others.
        assert_eq!(n_slices as i64, n_expected + 1);
        assert_eq!(lesson.learnt(), Part(lens.len()));
        let n_looked = n_looked_for(&mut ids, &db, n_ids..n_ids + 1_000);
        assert!(n_looked < 10, "{n_looked}");
        assert_known(&mut ids, &db, (0..n_ids).step_by(7));
    }

    #[test]
    fn runs_are_merged_when_they_are_learnt_and_others_meanwhile() {
        let (db, mut change, n_ids) = left_behind();
        let (mut ids, given) = begun(&db, change);
        let lesson = given.upgrade().unwrap();
        let n_live = || lesson.runs.iter().filter(|run| run.is_live(&db)).count();
        let n_runs = |which: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM id_run WHERE live = 1 AND {which}");
            db.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        let n_merged = n_runs("0 < level");
        add(&mut ids, &db, &mut change, n_ids..3 * n_ids, 512);
        assert_eq!(n_live(), lesson.runs.len());
        assert!(n_merged < n_runs("0 < level"));
        learn(&db, &given, || ());
        assert!(lesson.is_over());
        add(&mut ids, &db, &mut change, 3 * n_ids..6 * n_ids, 512);
        assert!(n_live() < lesson.runs.len());
        assert!(n_runs("level = 0") < 8);
        ids.begin(&db, change).unwrap();
        assert_known(&mut ids, &db, (0..6 * n_ids).step_by(7));
        let n_looked = n_looked_for(&mut ids, &db, 6 * n_ids..6 * n_ids + 1_000);
        assert!(n_looked < 10, "{n_looked}");
    }

    #[test]
    fn what_cannot_be_read_ends_it_and_the_rest_is_looked_for() {
        let (db, mut change, n_ids) = left_behind();
        let (mut ids, given) = begun(&db, change);
        let lesson = given.upgrade().unwrap();
        let longest =
            "SELECT first FROM id_run WHERE live = 1 ORDER BY n_blocks DESC, id DESC LIMIT 1";
        let sql = format!("UPDATE id_block SET ids = x'00' WHERE id = ({longest})");
        assert_eq!(db.execute(&sql, []).unwrap(), 1);
        learn(&db, &given, || ());
        assert!(lesson.is_over());
        assert_eq!(lesson.learnt(), Part(lesson.runs.len() - 1));
        // No more than a block is lost, and none of the others is new.
        let damaged = (0..n_ids).filter(|n| ids.know(&db, &name(*n), 0).is_err());
        assert!((1..64).contains(&damaged.count()));
        assert!((0..n_ids).all(|n| ids.know(&db, &name(n), 0).ok() != Some(None)));
        // What is new goes on being added, and is known.
        let free = (n_ids..).find(|n| ids.know(&db, &name(*n), *n as u32) == Ok(None));
        change += 1;
        ids.finish(&db, change).unwrap();
        assert_known(&mut ids, &db, free.into_iter());
    }

    #[test]
    fn nobody_learns_what_nobody_wants() {
        let (db, change, n_ids) = left_behind();
        let (mut ids, given) = begun(&db, change);
        let lesson = given.upgrade().unwrap();
        ids.clear();
        // Held by nobody but us, it ends before the next piece.
        let n_waits = std::cell::Cell::new(0);
        let held = std::cell::Cell::new(Some(lesson));
        learn(&db, &given, || {
            n_waits.set(n_waits.get() + 1);
            if n_waits.get() == 3 {
                let lesson = held.take().unwrap();
                assert!(!lesson.is_over());
            }
        });
        assert_eq!(n_waits.get(), 3);
        // Without somebody who learns it is over at once.
        let mut ids = Ids::default();
        ids.begin(&db, change).unwrap();
        assert_known(&mut ids, &db, (0..n_ids).step_by(97));
        assert_eq!(n_looked_for(&mut ids, &db, n_ids..n_ids + 100), 100);
    }

    #[test]
    fn what_another_process_took_away_ends_it() {
        let (db, change, n_ids) = left_behind();
        let (mut ids, given) = begun(&db, change);
        let lesson = given.upgrade().unwrap();
        let place = Place::Run(0, 0);
        assert!(lesson.is_there(&db, &place));
        db.execute_batch("UPDATE id_run SET live = 0; DELETE FROM id_block")
            .unwrap();
        assert!(!lesson.is_there(&db, &place));
        learn(&db, &given, || ());
        assert!(lesson.is_over());
        assert_eq!(lesson.learnt(), Part::default());
        assert!(ids.know(&db, &name(n_ids), 0).is_err());
    }

    #[test]
    fn a_failure_that_may_pass_is_waited_for() {
        let (db, change, _) = left_behind();
        let (_ids, given) = begun(&db, change);
        let lesson = given.upgrade().unwrap();
        let n_waits = std::cell::Cell::new(0);
        db.execute_batch("ALTER TABLE id_block RENAME TO away")
            .unwrap();
        learn(&db, &given, || {
            n_waits.set(n_waits.get() + 1);
            if n_waits.get() == TRIES_MAX {
                db.execute_batch("ALTER TABLE away RENAME TO id_block")
                    .unwrap();
            }
        });
        assert_eq!(lesson.learnt(), Part(lesson.runs.len()));
        let (_ids, given) = begun(&db, change);
        let lesson = given.upgrade().unwrap();
        db.execute_batch("ALTER TABLE id_block RENAME TO away")
            .unwrap();
        n_waits.set(0);
        learn(&db, &given, || n_waits.set(n_waits.get() + 1));
        assert_eq!(n_waits.get(), TRIES_MAX + 1);
        assert!(lesson.is_over());
    }

    #[test]
    fn so_many_lessons_wait_and_one_more_is_not_learnt() {
        let (db, change, n_ids) = left_behind();
        let (lessons, _learner) = Lessons::new();
        let mut ids = Ids::new(lessons);
        for _ in 0..LESSONS_MAX {
            ids.clear();
            ids.begin(&db, change).unwrap();
            assert!(!ids.runs.lesson().unwrap().is_over());
        }
        ids.clear();
        ids.begin(&db, change).unwrap();
        assert!(ids.runs.lesson().unwrap().is_over());
        assert_known(&mut ids, &db, (0..n_ids).step_by(997));
    }

    #[test]
    fn ids_of_the_formats_before_the_fourth_are_learnt_last() {
        let (db, change, n_ids) = left_behind();
        let n_old = 3 * SLICE_OLD_IDS as u64;
        let olds = n_ids..n_ids + n_old;
        for n in olds.clone() {
            let name = name(n);
            db.execute(
                "INSERT INTO event_id VALUES (?1, ?2, ?3)",
                params![name.account, name.hash, n as i64],
            )
            .unwrap();
        }
        let (mut ids, given) = begun(&db, change);
        let lesson = given.upgrade().unwrap();
        assert_known(&mut ids, &db, olds.clone());
        learn(&db, &given, || ());
        assert_eq!(lesson.learnt(), Part(lesson.runs.len() + 1));
        assert_known(&mut ids, &db, olds.clone());
        assert_known(&mut ids, &db, (0..n_ids).step_by(97));
        // What is in the filter is not looked for, and so not missed.
        db.execute("DROP TABLE event_id", []).unwrap();
        let (end, mark) = (olds.end, ids.mark());
        let n_looked = (end..end + 1_000).filter(|n| ids.know(&db, &name(*n), 0).is_err());
        assert!(n_looked.count() < 10);
        ids.undo(mark);
        assert!(ids.know(&db, &name(n_ids), 0).is_err());
    }
}
