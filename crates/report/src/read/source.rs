//! The bytes of a document, with a position and a bound on each token.

use std::io::{self, BufRead, Read};

/// A place in a document, counted from 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The character in the line.
    pub column: u64,
}

/// A reader that knows where it is and refuses to give one token too many bytes: the tokenizer
/// itself would collect a text of any length in memory.
pub(super) struct Source<R> {
    inner: R,
    position: Position,
    left: u64,
    max: u64,
    begun: bool,
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(inner: R) -> Source<R> {
        let position = Position { line: 1, column: 1 };
        Source {
            inner,
            position,
            left: 0,
            max: 0,
            begun: false,
        }
    }

    /// Allows the next token `max` bytes, and says where it begins.
    pub(super) fn begin_token(&mut self, max: u64) -> Position {
        self.left = max;
        self.max = max;
        self.position
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let n = available.len().min(out.len());
        out[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            let max = self.max;
            return Err(io::Error::other(format!(
                "one token is longer than {max} bytes"
            )));
        }
        if !self.begun {
            self.begun = true;
            let head = self.inner.fill_buf()?;
            if matches!(
                head,
                [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, ..] | [_, 0, ..]
            ) {
                return Err(io::Error::other("the encoding is not UTF-8"));
            }
        }
        let available = self.inner.fill_buf()?;
        let n = available
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        Ok(&available[..n])
    }

    fn consume(&mut self, n: usize) {
        // The buffer is full already: nothing is read here, and nothing can fail.
        if let Ok(available) = self.inner.fill_buf() {
            let consumed = &available[..n.min(available.len())];
            let characters =
                |bytes: &[u8]| bytes.iter().filter(|&&b| b & 0xC0 != 0x80).count() as u64;
            match consumed.iter().rposition(|&b| b == b'\n') {
                Some(last) => {
                    let lines = consumed.iter().filter(|&&b| b == b'\n').count();
                    self.position.line += lines as u64;
                    self.position.column = 1 + characters(&consumed[last + 1..]);
                }
                None => self.position.column += characters(consumed),
            }
        }
        self.left = self.left.saturating_sub(n as u64);
        self.inner.consume(n);
    }
}
