//! Seeded chance: the only source of variety, the same on every machine.

/// Rolls that depend on nothing but a seed and a number.
pub(super) struct Dice(fastrand::Rng);

impl Dice {
    /// Dice for one purpose: `stream` and `idx` keep the rolls of different things apart.
    pub(super) fn new(seed: u64, stream: u64, idx: u64) -> Dice {
        let mixed = mix(mix(mix(seed).wrapping_add(stream)).wrapping_add(idx));
        Dice(fastrand::Rng::with_seed(mixed))
    }

    /// A whole number in `low..=high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.i64(low..=high)
    }

    /// A whole number in `low..=high`, small enough to count with.
    pub(super) fn count(&mut self, low: u32, high: u32) -> u32 {
        self.0.u32(low..=high)
    }

    /// Whether something happens that happens in `percent` of a hundred cases.
    pub(super) fn happens(&mut self, percent: u32) -> bool {
        self.0.u32(0..100) < percent
    }

    /// One of the choices.
    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.0.usize(0..choices.len())]
    }

    /// One of the choices, each as often as its weight says.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(T, u32)]) -> T {
        let total: u32 = choices.iter().map(|(_, weight)| weight).sum();
        let mut left = self.0.u32(0..total);
        for (choice, weight) in choices {
            if left < *weight {
                return *choice;
            }
            left -= weight;
        }
        choices[0].0
    }

    /// Lower-case hexadecimal digits.
    pub(super) fn hex(&mut self, n_digits: usize) -> String {
        (0..n_digits)
            .map(|_| self.one_of("0123456789abcdef"))
            .collect()
    }

    /// Upper-case letters and digits that are not mistaken for each other.
    pub(super) fn serial(&mut self, n_chars: usize) -> String {
        (0..n_chars)
            .map(|_| self.one_of("ABCDEFGHJKLMNPQRSTUVWXYZ23456789"))
            .collect()
    }

    /// One character of an ASCII alphabet.
    fn one_of(&mut self, alphabet: &str) -> char {
        char::from(alphabet.as_bytes()[self.0.usize(0..alphabet.len())])
    }

    /// A number from 0 to 65535.
    pub(super) fn word(&mut self) -> u16 {
        self.0.u16(..)
    }

    /// A byte in `low..=high`.
    pub(super) fn byte(&mut self, low: u8, high: u8) -> u8 {
        self.0.u8(low..=high)
    }
}

/// The finisher of SplitMix64: neighbouring numbers come out unrelated, different ones different.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
