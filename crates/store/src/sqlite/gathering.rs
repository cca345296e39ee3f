//! Which calls share a commit.

use std::collections::VecDeque;
use std::time::Duration;

use super::writer::{WriteCall, Writer};
use crate::queue::{Receiver, Waited};

/// Calls that share one commit.
const GROUP_CALLS_MAX: usize = 512;
/// Bytes of events with which a commit takes no further call.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// How long a commit waits for callers who shared the one before, or came while it was made: to wait
/// for the disk once for all of them is shorter. For each one that comes it waits half as long again.
const GATHER_WAIT: Duration = Duration::from_micros(250);
/// Bytes of events with which a commit waits for nobody: while it waits for the disk, other batches are
/// made ready.
const GATHER_BYTES: usize = 4 << 10;

/// The calls of one commit.
pub(super) struct Gathering<'a> {
    calls: &'a Receiver<WriteCall>,
    n_expected: usize,
    /// How long the commit waits for the next one.
    wait: Duration,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(calls: &'a Receiver<WriteCall>, writer: &Writer<'_>) -> Gathering<'a> {
        Gathering {
            calls,
            n_expected: writer.known.n_expected,
            wait: GATHER_WAIT,
        }
    }

    /// Another call, as [`Gathering::next`] gives it; those that were held come first.
    pub(super) fn next_of(
        &mut self,
        held: &mut VecDeque<WriteCall>,
        n_calls: usize,
        n_bytes: usize,
    ) -> Option<WriteCall> {
        if is_full(n_calls, n_bytes) {
            return None;
        }
        held.pop_front().or_else(|| self.next(n_calls, n_bytes))
    }

    /// Another call, when the commit has so many, and so many bytes of events; none when it is time to
    /// commit.
    pub(super) fn next(&mut self, n_calls: usize, n_bytes: usize) -> Option<WriteCall> {
        if is_full(n_calls, n_bytes) {
            return None;
        }
        let waiting = self.calls.try_recv();
        if waiting.is_some() || self.n_expected <= n_calls || GATHER_BYTES <= n_bytes {
            return waiting;
        }
        let wait = self.wait;
        self.wait /= 2;
        match self.calls.recv_timeout(wait) {
            Waited::Got(call) => Some(call),
            Waited::Nudged | Waited::Timeout | Waited::Closed => None,
        }
    }
}

/// Whether a commit takes no further call.
fn is_full(n_calls: usize, n_bytes: usize) -> bool {
    GROUP_CALLS_MAX <= n_calls || GROUP_BYTES_MAX <= n_bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::writer::{Acknowledge, Verdict, Writes};
    use crate::{StoreError, queue};

    fn call() -> WriteCall {
        let acknowledge = |_: Result<&mut Writer<'_>, StoreError>| Acknowledge {
            verdict: Verdict::Keep,
            tell: Box::new(|_| {}),
        };
        WriteCall {
            writes: Writes::Inbox { n_bytes: 0 },
            run: Box::new(acknowledge),
        }
    }

    #[test]
    fn a_commit_takes_what_waits_up_to_its_limit_and_expects_no_more_than_came() {
        let (sender, calls) = queue::bounded(2);
        let mut gathering = Gathering {
            calls: &calls,
            n_expected: GROUP_CALLS_MAX + 1,
            wait: GATHER_WAIT,
        };
        assert!(sender.try_send(call()).is_ok());
        assert!(gathering.next(GROUP_CALLS_MAX, 0).is_none());
        assert!(gathering.next(1, GROUP_BYTES_MAX).is_none());
        assert!(
            gathering
                .next(GROUP_CALLS_MAX - 1, GROUP_BYTES_MAX - 1)
                .is_some()
        );
        // Nobody comes: it waits once, half as long the next time, and then no longer.
        assert!(gathering.next(1, GATHER_BYTES - 1).is_none());
        assert_eq!(gathering.wait, GATHER_WAIT / 2);
        // Not at all when it has much to write.
        assert!(gathering.next(1, GATHER_BYTES).is_none());
        assert_eq!(gathering.wait, GATHER_WAIT / 2);
        gathering.n_expected = 1;
        assert!(gathering.next(1, 0).is_none());
        assert_eq!(gathering.wait, GATHER_WAIT / 2);
        assert!(sender.try_send(call()).is_ok());
        let next = gathering.next(1, GATHER_BYTES);
        assert!(next.is_some(), "more than were expected");
        // Those that were held come before the ones that wait, and within the limits too.
        let mut held = VecDeque::from([call()]);
        assert!(sender.try_send(call()).is_ok());
        let none = gathering.next_of(&mut held, GROUP_CALLS_MAX, 0);
        assert!(none.is_none());
        assert!(gathering.next_of(&mut held, 1, 0).is_some());
        assert_eq!((held.len(), calls.len()), (0, 1));
    }
}
