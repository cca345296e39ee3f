//! Which pages of a report are read by the task that asks for them.

use std::time::Duration;

/// How long a quick page may take, such as when its bytes have to come from the disk.
const QUICK_MAX: Duration = Duration::from_millis(10);
/// How often pages are left to a reader after one that took longer, or had something to make.
const SLOW_PAGES: u32 = 64;

/// Other reports that are being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    None,
    Some,
}

/// What is known of the pages so far.
pub(super) struct Here {
    /// Whether sealed sessions are given as they are kept.
    copies: bool,
    /// How often more pages are left to a reader.
    n_slow: u32,
}

impl Here {
    pub(super) fn new(copies: bool) -> Here {
        Here { copies, n_slow: 0 }
    }

    /// Whether the next page is one of them, while nobody wants anything else than reports. One alone
    /// is made by one thread while another one sends it. Of several, each is best left to the processor
    /// that sends it.
    pub(super) fn is_next(&mut self, others: Others) -> bool {
        let is_quick = self.copies && self.n_slow == 0;
        self.n_slow = self.n_slow.saturating_sub(1);
        is_quick && others == Others::Some
    }

    /// Notes how long a page took, if it was one of them, and whether it had something to make.
    pub(super) fn note(&mut self, took: Option<Duration>, has_made: bool) {
        if has_made || took.is_some_and(|took| QUICK_MAX < took) {
            self.n_slow = SLOW_PAGES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_are_copied_are_beside_other_reports() {
        let mut here = Here::new(true);
        assert!(here.is_next(Others::Some));
        assert!(!here.is_next(Others::None));
        assert!(here.is_next(Others::Some));
        assert!(!Here::new(false).is_next(Others::Some));
    }

    #[test]
    fn so_many_pages_are_not_after_one_that_took_longer_or_had_something_to_make() {
        for (took, has_made, is_slow) in [
            (None, false, false),
            (Some(QUICK_MAX), false, false),
            (Some(QUICK_MAX + Duration::from_nanos(1)), false, true),
            (Some(QUICK_MAX), true, true),
            (None, true, true),
        ] {
            let mut here = Here::new(true);
            here.note(took, has_made);
            let n_not = (0..=SLOW_PAGES)
                .take_while(|_| !here.is_next(Others::Some))
                .count();
            let n_expected = if is_slow { SLOW_PAGES as usize } else { 0 };
            assert_eq!(n_not, n_expected, "{took:?} {has_made}");
        }
    }
}
