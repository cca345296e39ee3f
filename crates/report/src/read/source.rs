//! The bytes of a document, with a position and a bound on each token.

use std::io::{self, BufRead, Read};

use memchr::{memchr_iter, memrchr};

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
///
/// Lines and characters are only counted where somebody asks, and of what is about to go: most of it many
/// bytes at once. So what is read stays in the buffer below until all of that is used up.
pub(super) struct Source<R> {
    inner: R,
    /// Bytes of the buffer below that were read.
    n_read: usize,
    /// Bytes of them that are counted in `position`.
    n_counted: usize,
    position: Position,
    token: Begin,
    /// Bytes before the buffer below.
    n_before: u64,
    left: u64,
    max: u64,
    begun: bool,
}

/// Where the current token begins.
#[derive(Clone, Copy)]
enum Begin {
    /// So many bytes from the beginning of the buffer.
    Here(usize),
    /// In a buffer before it.
    Before(Position),
}

impl Position {
    /// The position behind these bytes.
    fn behind(self, bytes: &[u8]) -> Position {
        let n_characters =
            |bytes: &[u8]| bytes.iter().filter(|&&b| b & 0xC0 != 0x80).count() as u64;
        match memrchr(b'\n', bytes) {
            Some(last) => Position {
                line: self.line + memchr_iter(b'\n', bytes).count() as u64,
                column: 1 + n_characters(&bytes[last + 1..]),
            },
            None => Position {
                column: self.column + n_characters(bytes),
                ..self
            },
        }
    }
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(inner: R) -> Source<R> {
        Source {
            inner,
            n_read: 0,
            n_counted: 0,
            position: Position { line: 1, column: 1 },
            token: Begin::Here(0),
            n_before: 0,
            left: 0,
            max: 0,
            begun: false,
        }
    }

    /// Allows the next token, which begins here, `max` bytes.
    pub(super) fn begin_token(&mut self, max: u64) {
        self.left = max;
        self.max = max;
        self.token = Begin::Here(self.n_read);
    }

    /// Where the current token begins.
    pub(super) fn position(&mut self) -> Position {
        match self.token {
            Begin::Here(at) => self.count(at),
            Begin::Before(position) => position,
        }
    }

    /// Whether the current token is what the document begins with.
    pub(super) fn is_first(&self) -> bool {
        self.n_before == 0 && matches!(self.token, Begin::Here(0))
    }

    /// Bytes that were read.
    pub(super) fn n_bytes(&self) -> u64 {
        self.n_before + self.n_read as u64
    }

    /// The position of a byte of the buffer, or of the last one that was counted, if that is behind it.
    fn count(&mut self, at: usize) -> Position {
        if at <= self.n_counted {
            return self.position;
        }
        // The buffer is full already: nothing is read here, and nothing can fail.
        if let Ok(buffer) = self.inner.fill_buf()
            && let Some(bytes) = buffer.get(self.n_counted..at)
        {
            self.position = self.position.behind(bytes);
            self.n_counted = at;
        }
        self.position
    }

    /// Lets the buffer below go, which is used up.
    fn pass_on(&mut self) {
        self.token = Begin::Before(self.position());
        self.count(self.n_read);
        self.inner.consume(self.n_read);
        self.n_before += self.n_read as u64;
        (self.n_read, self.n_counted) = (0, 0);
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
        if 0 < self.n_read && self.inner.fill_buf()?.len() <= self.n_read {
            self.pass_on();
        }
        let available = &self.inner.fill_buf()?[self.n_read..];
        let n = available
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        Ok(&available[..n])
    }

    fn consume(&mut self, n: usize) {
        self.n_read += n;
        self.left = self.left.saturating_sub(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each token of three bytes begins, whatever the buffer below holds at once.
    #[test]
    fn positions_are_told_over_buffers_of_any_length() {
        let text = "ab\nü\n\ncdéf\nghijk\n€x";
        for capacity in 1..40 {
            let below = io::BufReader::with_capacity(capacity, text.as_bytes());
            let mut source = Source::new(below);
            let mut n_read = 0;
            while n_read < text.len() {
                source.begin_token(3);
                assert_eq!(source.is_first(), n_read == 0);
                assert_eq!(source.n_bytes(), n_read as u64);
                let mut token = [0; 3];
                let mut n = 0;
                while n < 3 && n_read + n < text.len() {
                    n += source.read(&mut token[n..]).unwrap();
                }
                let begin = Position { line: 1, column: 1 };
                let begin = begin.behind(&text.as_bytes()[..n_read]);
                assert_eq!(source.position(), begin, "{capacity}, {n_read}");
                assert_eq!(source.position(), begin, "asked again");
                n_read += n;
            }
        }
    }
}
