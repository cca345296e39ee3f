//! A bounded queue between tasks that ask and threads that work. Waiting sleeps at once: spinning
//! takes the processor from the very thread that is waited for.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

struct Shared<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    len_max: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    is_nudged: bool,
    is_closed: bool,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while the lock is held, so what it guards is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that asks. When it is dropped the queue is closed.
pub(crate) struct Sender<T>(Arc<Shared<T>>);

/// An end that works; clones share the queue.
pub(crate) struct Receiver<T>(Arc<Shared<T>>);

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver(Arc::clone(&self.0))
    }
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What came of waiting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Waited<T> {
    /// Something arrived.
    Got(T),
    /// Nothing did, and there was a nudge.
    Nudged,
    /// Nothing did in time.
    Timeout,
    /// Nothing ever will.
    Closed,
}

/// A queue of at most `len_max`.
pub(crate) fn bounded<T>(len_max: usize) -> (Sender<T>, Receiver<T>) {
    let state = State {
        waiting: VecDeque::new(),
        is_nudged: false,
        is_closed: false,
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        arrived: Condvar::new(),
        len_max,
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Sender<T> {
    /// Puts something at the end, if there is room.
    pub(crate) fn try_send(&self, item: T) -> Result<(), Full> {
        let mut state = self.0.state();
        if self.0.len_max <= state.waiting.len() {
            return Err(Full);
        }
        state.waiting.push_back(item);
        drop(state);
        self.0.arrived.notify_one();
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.state().is_closed = true;
        self.0.arrived.notify_all();
    }
}

impl<T> Receiver<T> {
    /// Takes what is there now.
    pub(crate) fn try_recv(&self) -> Option<T> {
        self.0.state().waiting.pop_front()
    }

    /// How much waits.
    pub(crate) fn len(&self) -> usize {
        self.0.state().waiting.len()
    }

    /// Whether anything waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.state().waiting.is_empty()
    }

    /// Waits for something; none when the queue is closed and empty.
    pub(crate) fn recv(&self) -> Option<T> {
        let mut state = self.0.state();
        loop {
            if let Some(item) = state.waiting.pop_front() {
                return Some(item);
            }
            if state.is_closed {
                return None;
            }
            state = self
                .0
                .arrived
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets one that waits for a time go on, or the next one that would.
    pub(crate) fn nudge(&self) {
        self.0.state().is_nudged = true;
        self.0.arrived.notify_one();
    }

    /// Waits for something, but no longer than `wait`, and not when there was a nudge.
    pub(crate) fn recv_timeout(&self, wait: Duration) -> Waited<T> {
        let mut state = self.0.state();
        if state.waiting.is_empty() && !state.is_closed && !state.is_nudged {
            let waited = self.0.arrived.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let is_nudged = std::mem::take(&mut state.is_nudged);
        match state.waiting.pop_front() {
            Some(item) => Waited::Got(item),
            None if is_nudged => Waited::Nudged,
            None if state.is_closed => Waited::Closed,
            None => Waited::Timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_takes_as_many_as_its_limit_and_not_one_more() {
        let (sender, receiver) = bounded(2);
        assert_eq!((sender.try_send(1), sender.try_send(2)), (Ok(()), Ok(())));
        assert_eq!(sender.try_send(3), Err(Full));
        assert_eq!(receiver.recv(), Some(1));
        assert_eq!(sender.try_send(3), Ok(()));
    }

    #[test]
    fn what_waits_is_taken_before_the_end_is_told() {
        let (sender, receiver) = bounded(2);
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Waited::Timeout);
        sender.try_send(1).unwrap();
        sender.try_send(2).unwrap();
        drop(sender);
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Waited::Got(1));
        assert_eq!(receiver.try_recv(), Some(2));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Waited::Closed);
        assert_eq!(receiver.recv(), None);
    }

    #[test]
    fn a_nudge_ends_one_wait() {
        let (sender, receiver) = bounded(2);
        let patience = Duration::from_secs(10);
        receiver.nudge();
        assert_eq!(receiver.recv_timeout(patience), Waited::Nudged);
        sender.try_send(1).unwrap();
        receiver.nudge();
        assert_eq!(receiver.recv_timeout(patience), Waited::Got(1));
        let other = receiver.clone();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| receiver.recv_timeout(patience));
            other.nudge();
            assert_eq!(waits.join().unwrap(), Waited::Nudged);
        });
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Waited::Timeout);
    }

    #[test]
    fn many_workers_take_each_item_once() {
        let (sender, receiver) = bounded(1_000);
        let sum: u64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    let receiver = receiver.clone();
                    scope.spawn(move || std::iter::from_fn(|| receiver.recv()).sum::<u64>())
                })
                .collect();
            (1..=1_000).for_each(|n| sender.try_send(n).unwrap());
            drop(sender);
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(sum, 500_500);
    }
}
