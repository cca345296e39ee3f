//! Choices for a generator, made beforehand: a shorter or smaller tape is a simpler document, so
//! a failure shrinks.

use proptest::collection::vec;
use proptest::prelude::*;

/// Numbers that are read one after the other; behind the end stand zeros.
#[derive(Debug, Clone)]
pub(crate) struct Tape {
    choices: Vec<u16>,
    next: usize,
}

impl Tape {
    /// Tapes of less than `len` choices.
    pub(crate) fn shorter_than(len: usize) -> impl Strategy<Value = Tape> {
        vec(any::<u16>(), 0..len).prop_map(Tape::new)
    }

    /// A long tape that is the same at every run.
    pub(crate) fn fixed(seed: u64, len: usize) -> Tape {
        let mut state = seed;
        let mut draw = || {
            // The multiplier and increment of Knuth's MMIX.
            state = state.wrapping_mul(6_364_136_223_846_793_005);
            state = state.wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as u16
        };
        Tape::new((0..len).map(|_| draw()).collect())
    }

    fn new(choices: Vec<u16>) -> Tape {
        Tape { choices, next: 0 }
    }

    /// A number below `n`; 0 is the simplest choice.
    pub(crate) fn pick(&mut self, n: usize) -> usize {
        let choice = self.choices.get(self.next).copied().unwrap_or(0);
        self.next += 1;
        usize::from(choice) % n
    }

    /// One of these; the first is the simplest.
    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.pick(all.len())]
    }
}
