//! How reports over time share the processors with everything else.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ReadCall;
use crate::queue::Receiver;

/// Pages of reports after another call during which reports take turns, page by page.
const TURN_PAGES: u64 = 64;
/// What several reports leave to others after a page, about as long as it took. One report alone
/// leaves most of it by waiting for its client; of several, one is always ready.
const TURN_PAUSE: Duration = Duration::from_micros(500);
/// What one report alone leaves to others, after a page: reports copy bytes so fast that they would take
/// more than their share.
const TURN_BREATH: Duration = Duration::from_micros(100);
/// Breaths that may be due. Each single session that is asked for is worth one.
const TURN_BREATHS_MAX: u64 = 16;
/// Batches of events that are worth one.
const TURN_BREATH_BATCHES: u64 = 3;
/// Pauses that each other call is worth, and how many may be due: what few calls are worth is little,
/// for many there is always one.
const TURN_PAUSES: u64 = 4;
const TURN_PAUSES_MAX: u64 = 64;

/// What keeps reports from taking all processors when others want something too.
pub(super) struct Turns {
    /// Pages to go during which reports take turns.
    n_pages: AtomicU64,
    /// Pages to go until those who wanted something else than a report are forgotten.
    n_busy: AtomicU64,
    /// Pauses that several reports make.
    n_pauses: AtomicU64,
    /// Breaths that one report alone takes.
    n_breaths: AtomicU64,
    /// Batches of events so far.
    n_batches: AtomicU64,
    /// Held by the one report that reads a page, while there are others.
    turn: Mutex<()>,
    /// Reports that want a page read.
    n_reports: AtomicUsize,
    /// Calls that wait for a thread that reads reports.
    waiting: Receiver<ReadCall>,
}

impl Turns {
    pub(super) fn new(waiting: Receiver<ReadCall>) -> Turns {
        Turns {
            n_pages: AtomicU64::new(0),
            n_busy: AtomicU64::new(0),
            n_pauses: AtomicU64::new(0),
            n_breaths: AtomicU64::new(0),
            n_batches: AtomicU64::new(0),
            turn: Mutex::new(()),
            n_reports: AtomicUsize::new(0),
            waiting,
        }
    }

    /// Whether a report waits for a thread.
    pub(super) fn others_wait(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Lets reports take turns for a while.
    pub(super) fn begin(&self) {
        self.n_pages.store(TURN_PAGES, Ordering::Relaxed);
    }

    /// Notes that somebody wants something else than a report over time.
    pub(super) fn ask(&self) {
        self.begin();
        self.n_busy.store(TURN_PAGES, Ordering::Relaxed);
        // Of two that count at once one may be forgotten, which does no harm, here and below.
        let n_pauses = self.n_pauses.load(Ordering::Relaxed) + TURN_PAUSES;
        let n_pauses = n_pauses.min(TURN_PAUSES_MAX);
        self.n_pauses.store(n_pauses, Ordering::Relaxed);
    }

    /// Notes that somebody wants a single session.
    pub(super) fn ask_for_one(&self) {
        self.ask();
        self.breathe();
    }

    /// Notes that somebody adds a batch of events.
    pub(super) fn ask_for_events(&self) {
        self.ask();
        let n_before = self.n_batches.fetch_add(1, Ordering::Relaxed);
        if n_before.is_multiple_of(TURN_BREATH_BATCHES) {
            self.breathe();
        }
    }

    fn breathe(&self) {
        let n_breaths = self.n_breaths.load(Ordering::Relaxed) + 1;
        let n_breaths = n_breaths.min(TURN_BREATHS_MAX);
        self.n_breaths.store(n_breaths, Ordering::Relaxed);
    }

    /// Whether nobody has wanted anything else than reports of late.
    pub(super) fn are_idle(&self) -> bool {
        self.n_busy.load(Ordering::Relaxed) == 0
    }

    /// Waits for a turn, if reports take turns now.
    pub(super) fn take(&self) -> Option<MutexGuard<'_, ()>> {
        let n_busy = self.n_busy.load(Ordering::Relaxed);
        self.n_busy
            .store(n_busy.saturating_sub(1), Ordering::Relaxed);
        let n_pages = self.n_pages.load(Ordering::Relaxed);
        if n_pages == 0 {
            return None;
        }
        self.n_pages.store(n_pages - 1, Ordering::Relaxed);
        Some(self.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the turn of a report that goes on, after a pause if one is due.
    pub(super) fn pass_on(&self, turn: Option<MutexGuard<'_, ()>>) {
        let (due, pause) = if 1 < self.n_reports.load(Ordering::Relaxed) {
            (&self.n_pauses, TURN_PAUSE)
        } else {
            (&self.n_breaths, TURN_BREATH)
        };
        let n_due = due.load(Ordering::Relaxed);
        if turn.is_some() && 0 < n_due {
            due.store(n_due - 1, Ordering::Relaxed);
            // Nobody else reads meanwhile.
            std::thread::sleep(pause);
        }
    }

    /// Notes that a report wants pages read, until this is dropped.
    pub(super) fn report(&self) -> ReportAtWork<'_> {
        self.n_reports.fetch_add(1, Ordering::Relaxed);
        ReportAtWork(self)
    }
}

/// A report that wants pages read.
pub(super) struct ReportAtWork<'a>(&'a Turns);

impl Drop for ReportAtWork<'_> {
    fn drop(&mut self) {
        self.0.n_reports.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use debrief_domain::At;

    use super::*;
    use crate::sqlite::Sqlite;
    use crate::{Backend, TokenHash, queue};

    fn turns() -> Turns {
        Turns::new(queue::bounded(1).1)
    }

    fn n_pauses(turns: &Turns) -> u64 {
        turns.n_pauses.load(Ordering::Relaxed)
    }

    #[test]
    fn several_reports_pause_for_other_calls_and_no_more_than_is_due() {
        let turns = turns();
        let (_one, _two) = (turns.report(), turns.report());
        turns.ask();
        assert_eq!(n_pauses(&turns), TURN_PAUSES);
        for n_taken in 1..=TURN_PAUSES + 2 {
            turns.pass_on(turns.take());
            assert_eq!(n_pauses(&turns), TURN_PAUSES.saturating_sub(n_taken));
        }
    }

    #[test]
    fn one_report_alone_does_not_pause() {
        let turns = turns();
        let _one = turns.report();
        drop(turns.report());
        turns.ask();
        turns.pass_on(turns.take());
        assert_eq!(n_pauses(&turns), TURN_PAUSES);
    }

    #[test]
    fn one_report_alone_takes_breaths_for_sessions_asked_for_and_events_up_to_a_limit() {
        let turns = turns();
        let _one = turns.report();
        let n_breaths = || turns.n_breaths.load(Ordering::Relaxed);
        for _ in 0..=TURN_BREATHS_MAX {
            turns.ask_for_one();
        }
        assert_eq!(n_breaths(), TURN_BREATHS_MAX);
        for n_taken in 1..=TURN_BREATHS_MAX + 1 {
            turns.pass_on(turns.take());
            assert_eq!(n_breaths(), TURN_BREATHS_MAX.saturating_sub(n_taken));
        }
        // A call that is none of those is worth no breath.
        turns.ask();
        assert_eq!(n_breaths(), 0);
        for n_batches in 1..=TURN_BREATH_BATCHES + 1 {
            turns.ask_for_events();
            let n = n_batches.div_ceil(TURN_BREATH_BATCHES);
            assert_eq!(n_breaths(), n, "{n_batches}");
        }
    }

    #[test]
    fn turns_are_taken_for_so_many_pages_after_a_call_and_no_pause_without_a_turn() {
        let turns = turns();
        let (_one, _two) = (turns.report(), turns.report());
        assert!(turns.take().is_none());
        turns.begin();
        for _ in 0..TURN_PAGES {
            assert!(turns.take().is_some());
        }
        assert!(turns.take().is_none());
        turns.n_pauses.store(1, Ordering::Relaxed);
        turns.pass_on(None);
        assert_eq!(n_pauses(&turns), 1);
    }

    #[test]
    fn reports_have_the_archive_to_themselves_so_many_pages_after_another_call() {
        let turns = turns();
        assert!(turns.are_idle());
        turns.ask();
        for _ in 0..TURN_PAGES {
            assert!(!turns.are_idle());
            drop(turns.take());
        }
        assert!(turns.are_idle());
        // What every request needs first is no such call.
        turns.begin();
        assert!(turns.are_idle());
    }

    #[test]
    fn pauses_that_are_due_have_a_limit() {
        let turns = turns();
        for _ in 0..TURN_PAUSES_MAX / TURN_PAUSES {
            turns.ask();
        }
        assert_eq!(n_pauses(&turns), TURN_PAUSES_MAX);
        turns.ask();
        assert_eq!(n_pauses(&turns), TURN_PAUSES_MAX);
    }

    #[test]
    fn a_page_that_fails_leaves_the_turn_to_others() {
        let turns = turns();
        turns.begin();
        let failing = std::panic::AssertUnwindSafe(|| {
            let _turn = turns.take();
            panic!("a page");
        });
        assert!(std::panic::catch_unwind(failing).is_err());
        assert!(turns.take().is_some());
    }

    #[tokio::test]
    async fn what_every_request_needs_first_is_worth_no_pause() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(folder.path()).unwrap();
        store.directory().await.unwrap();
        let token = TokenHash([7; 32]);
        store.grant(token, At::MIN).await.unwrap();
        assert_eq!(n_pauses(&store.turns), 0);
        assert!(store.turns.take().is_some());
        store.accounts().await.unwrap();
        assert_eq!(n_pauses(&store.turns), TURN_PAUSES);
    }
}
