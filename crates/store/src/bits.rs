//! Numbers of few bits, one behind the other; the first bit is the lowest of its byte.

/// Adds bits to bytes.
pub(crate) struct Writer {
    out: Vec<u8>,
    /// Bits that do not fill a byte yet.
    open: u128,
    n_open: u32,
}

impl Writer {
    /// Behind these bytes.
    pub(crate) fn new(out: Vec<u8>) -> Writer {
        Writer {
            out,
            open: 0,
            n_open: 0,
        }
    }

    /// Adds the lowest bits, at most 120, of a number that has no others.
    pub(crate) fn write(&mut self, bits: u128, n_bits: u32) {
        self.open |= bits << self.n_open;
        self.n_open += n_bits;
        while 8 <= self.n_open {
            self.out.push(self.open as u8);
            self.open >>= 8;
            self.n_open -= 8;
        }
    }

    /// The bytes; zeros fill the last one.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if 0 < self.n_open {
            self.out.push(self.open as u8);
        }
        self.out
    }
}

/// Takes bits from bytes.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    /// Bits that were read.
    at: usize,
}

impl<'a> Reader<'a> {
    /// From the first bit of these bytes on.
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Whether nothing is left but what fills the last byte.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at.div_ceil(8) == self.bytes.len()
    }

    /// What comes next, sixteen bytes of it; zeros behind the end.
    fn ahead(&self) -> u128 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let ahead = match rest.first_chunk::<16>() {
            Some(ahead) => *ahead,
            None => {
                let mut ahead = [0; 16];
                ahead[..rest.len()].copy_from_slice(rest);
                ahead
            }
        };
        u128::from_le_bytes(ahead) >> (self.at % 8)
    }

    /// The next bits, at most 120.
    pub(crate) fn read(&mut self, n_bits: u32) -> Option<u128> {
        let bits = self.ahead() & ((1 << n_bits) - 1);
        self.at += n_bits as usize;
        (self.at <= 8 * self.bytes.len()).then_some(bits)
    }

    /// How many ones there are before the next zero.
    pub(crate) fn ones(&mut self) -> Option<u128> {
        let mut n_ones = 0;
        loop {
            let ones = self.ahead().trailing_ones();
            // Of sixteen bytes the first seven bits may have been read.
            let ones = ones.min(u128::BITS - 8);
            n_ones += u128::from(ones);
            self.at += ones as usize;
            if 8 * self.bytes.len() <= self.at {
                return None;
            }
            if ones < u128::BITS - 8 {
                self.at += 1;
                return Some(n_ones);
            }
        }
    }
}
