//! Terminal recordings as asciicast version 2, which the player in a browser reads.
//!
//! Recordings are foreign bytes. A conversion streams: whatever they say, it holds a few blocks.
//! A recording that breaks off is converted as far as it goes, and the ending says so; one that
//! contradicts itself is refused with the byte or line.

mod mcrec;
mod timing;
mod utf8;

use std::io::{self, BufRead, Read, Write};

pub use mcrec::from_mcrec;
use timing::Entry;
use utf8::Decoder;

/// Bytes of one ttyrec frame; a longer one is taken for damage.
pub const FRAME_BYTES_MAX: u32 = 16 << 20;
/// Bytes of one line of a timing file, and of the first line of a typescript.
pub const LINE_BYTES_MAX: usize = 4_096;
/// Bytes read at once; an event of the result holds at most these, as text.
pub const BLOCK_BYTES: usize = 32 << 10;
/// Columns or rows of a terminal; a larger one is shown as one of this size.
pub const SIDE_MAX: u32 = 1_000;

/// The first line of a typescript begins with one of these: of `script`, and of guacd.
pub(super) const TYPESCRIPT_BEGINNINGS: &[&[u8]] = &[b"Script started on ", b"[BEGIN TYPESCRIPT]"];
/// Its last line, likewise.
const TYPESCRIPT_ENDINGS: &[&[u8]] = &[b"Script done on ", b"[END TYPESCRIPT]"];
/// Bytes of the last line.
const ENDING_BYTES_MAX: usize = 512;

/// Why a recording could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum CastError {
    /// The recording could not be read.
    #[error("cannot read the recording")]
    Read(#[source] io::Error),
    /// The result could not be written.
    #[error("cannot write the converted recording")]
    Write(#[source] io::Error),
    /// The recording is damaged, or something else.
    #[error("byte {byte}: {message}")]
    Frame {
        /// Where, from 0.
        byte: u64,
        /// What is wrong.
        message: String,
    },
    /// The timing file is damaged, or something else.
    #[error("timing, line {line}: {message}")]
    Timing {
        /// Where, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
}

/// How a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Whole,
    /// It breaks off at this byte.
    BrokenOff {
        /// How many bytes there are.
        byte: u64,
    },
}

/// Copies an asciicast, of any version: the player reads them all.
pub fn from_asciicast(mut reader: impl Read, mut writer: impl Write) -> Result<Ending, CastError> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match read_some(&mut reader, &mut block)? {
            0 => break,
            n => writer.write_all(&block[..n]).map_err(CastError::Write)?,
        }
    }
    writer.flush().map_err(CastError::Write)?;
    Ok(Ending::Whole)
}

/// Converts a ttyrec: frames of seconds, microseconds and length, 32 bits each and little endian,
/// then the bytes. Times count from the first frame, and never run backwards.
pub fn from_ttyrec(mut reader: impl Read, writer: impl Write) -> Result<Ending, CastError> {
    let mut cast = Cast::new(writer);
    let mut block = vec![0; BLOCK_BYTES];
    let mut byte = 0;
    let mut first = None;
    loop {
        let mut header = [0; 12];
        let n = read_full(&mut reader, &mut header)?;
        if n < header.len() {
            let ending = match n {
                0 => Ending::Whole,
                n => Ending::BrokenOff {
                    byte: byte + n as u64,
                },
            };
            return cast.end(ending);
        }
        let word = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let (secs, micros, n_bytes) = (word(0), word(4), word(8));
        let refuse = |message| Err(CastError::Frame { byte, message });
        if 1_000_000 <= micros {
            return refuse(format!("a frame at {micros} millionths of a second"));
        }
        if FRAME_BYTES_MAX < n_bytes {
            return refuse(format!(
                "a frame of {n_bytes} bytes; at most {FRAME_BYTES_MAX}"
            ));
        }
        let at = u64::from(secs) * 1_000_000 + u64::from(micros);
        cast.began.get_or_insert(secs);
        cast.advance_to(at.saturating_sub(*first.get_or_insert(at)));
        byte += header.len() as u64;
        let copied = cast.copy(&mut reader, n_bytes.into(), &mut block, Stream::Output)?;
        byte += copied;
        if copied < u64::from(n_bytes) {
            return cast.end(Ending::BrokenOff { byte });
        }
    }
}

/// Converts a typescript whose times are lost: everything is there from the beginning.
pub fn from_typescript(reader: impl Read, writer: impl Write) -> Result<Ending, CastError> {
    let mut cast = Cast::new(writer);
    let mut typescript = Typescript::new(reader, &mut cast)?;
    let mut block = vec![0; BLOCK_BYTES];
    typescript.rest(&mut cast, &mut block)?;
    cast.end(Ending::Whole)
}

/// Converts a typescript with its times: lines of a delay and a number of bytes, or the form of
/// util-linux with a letter before them (script(1), `--logging-format advanced`).
pub fn from_timed_typescript(
    reader: impl Read,
    mut timing: impl BufRead,
    writer: impl Write,
) -> Result<Ending, CastError> {
    let mut cast = Cast::new(writer);
    let mut typescript = Typescript::new(reader, &mut cast)?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut line = Vec::new();
    let mut logs = timing::Logs::default();
    for n in 1.. {
        if !timing::read_line(&mut timing, &mut line, n)? {
            break;
        }
        let refuse = |message| CastError::Timing { line: n, message };
        let Some((delay, entry)) = timing::parse(&line).map_err(refuse)? else {
            continue;
        };
        cast.advance_to(cast.micros.saturating_add(delay));
        let (n_bytes, stream) = match entry {
            Entry::Output(n_bytes) => (n_bytes, Stream::Output),
            // What was typed stands in a file of its own, unless both have one name.
            Entry::Input(n_bytes) if logs.are_one() => (n_bytes, Stream::Input),
            Entry::Input(_) => continue,
            Entry::Size { columns, rows } => {
                cast.resize(columns, rows)?;
                continue;
            }
            Entry::Header { name, value } => {
                match (name, value.trim().parse()) {
                    ("COLUMNS", Ok(columns)) => cast.columns = columns,
                    ("LINES", Ok(rows)) => cast.rows = rows,
                    _ => logs.note(name, value),
                }
                continue;
            }
            Entry::Other => continue,
        };
        let copied = cast.copy(&mut typescript.input, n_bytes, &mut block, stream)?;
        typescript.byte += copied;
        if copied < n_bytes {
            let byte = typescript.byte;
            return cast.end(Ending::BrokenOff { byte });
        }
    }
    typescript.rest(&mut cast, &mut block)?;
    cast.end(Ending::Whole)
}

/// The two directions of a terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Output,
    Input,
}

/// Writes events at a time that only moves on.
struct Cast<W> {
    writer: W,
    /// Microseconds since the beginning.
    micros: u64,
    columns: u32,
    rows: u32,
    /// When the recording began, in UNIX seconds.
    began: Option<u32>,
    has_header: bool,
    output: Decoder,
    input: Decoder,
}

impl<W: Write> Cast<W> {
    fn new(writer: W) -> Cast<W> {
        Cast {
            writer,
            micros: 0,
            columns: 80,
            rows: 24,
            began: None,
            has_header: false,
            output: Decoder::default(),
            input: Decoder::default(),
        }
    }

    fn advance_to(&mut self, micros: u64) {
        self.micros = self.micros.max(micros);
    }

    /// Copies this many bytes of one direction, fewer where the input ends; gives how many.
    fn copy(
        &mut self,
        input: &mut impl Read,
        n_bytes: u64,
        block: &mut [u8],
        stream: Stream,
    ) -> Result<u64, CastError> {
        let mut left = n_bytes;
        while 0 < left {
            let room = left.min(block.len() as u64) as usize;
            let n = read_full(input, &mut block[..room])?;
            self.text(&block[..n], stream)?;
            left -= n as u64;
            if n < room {
                break;
            }
        }
        Ok(n_bytes - left)
    }

    /// One event; the bytes of a character that is not whole wait for the next.
    fn text(&mut self, bytes: &[u8], stream: Stream) -> Result<(), CastError> {
        let text = match stream {
            Stream::Output => self.output.push(bytes),
            Stream::Input => self.input.push(bytes),
        };
        self.event(stream.code(), &text)
    }

    fn resize(&mut self, columns: u32, rows: u32) -> Result<(), CastError> {
        let size = format!("{}x{}", side(columns), side(rows));
        self.event("r", &size)
    }

    fn event(&mut self, code: &str, text: &str) -> Result<(), CastError> {
        if text.is_empty() {
            return Ok(());
        }
        self.header()?;
        let (secs, micros) = (self.micros / 1_000_000, self.micros % 1_000_000);
        let text = serde_json::Value::from(text);
        writeln!(self.writer, "[{secs}.{micros:06},\"{code}\",{text}]").map_err(CastError::Write)
    }

    /// The first line, once; it waits for what the recording says of its terminal.
    fn header(&mut self) -> Result<(), CastError> {
        if self.has_header {
            return Ok(());
        }
        self.has_header = true;
        let (columns, rows) = (side(self.columns), side(self.rows));
        let mut header = format!("{{\"version\":2,\"width\":{columns},\"height\":{rows}");
        if let Some(began) = self.began.filter(|began| 0 < *began) {
            header.push_str(&format!(",\"timestamp\":{began}"));
        }
        writeln!(self.writer, "{header}}}").map_err(CastError::Write)
    }

    fn end(mut self, ending: Ending) -> Result<Ending, CastError> {
        for stream in [Stream::Output, Stream::Input] {
            let rest = match stream {
                Stream::Output => self.output.finish(),
                Stream::Input => self.input.finish(),
            };
            self.event(stream.code(), rest)?;
        }
        self.header()?;
        self.writer.flush().map_err(CastError::Write)?;
        Ok(ending)
    }
}

impl Stream {
    fn code(self) -> &'static str {
        match self {
            Stream::Output => "o",
            Stream::Input => "i",
        }
    }
}

fn side(told: u32) -> u32 {
    told.clamp(1, SIDE_MAX)
}

/// A typescript behind its first line.
struct Typescript<R: Read> {
    input: io::Chain<io::Cursor<Vec<u8>>, R>,
    byte: u64,
}

impl<R: Read> Typescript<R> {
    /// Reads the first line, if it is one that `script` or guacd writes, and what it says of the
    /// terminal.
    fn new<W>(mut reader: R, cast: &mut Cast<W>) -> Result<Typescript<R>, CastError> {
        let mut head = vec![0; LINE_BYTES_MAX];
        let n = read_full(&mut reader, &mut head)?;
        head.truncate(n);
        let mut n_skipped = 0;
        let begins = |begin: &&[u8]| head.starts_with(begin);
        let end = head.iter().position(|&byte| byte == b'\n');
        if let Some(end) = end.filter(|_| TYPESCRIPT_BEGINNINGS.iter().any(begins)) {
            let line = String::from_utf8_lossy(&head[..end]);
            let told = |name: &str| {
                let value = line.split_once(name)?.1.split_once('"')?.0;
                value.parse().ok()
            };
            cast.columns = told("COLUMNS=\"").unwrap_or(cast.columns);
            cast.rows = told("LINES=\"").unwrap_or(cast.rows);
            n_skipped = end + 1;
        }
        head.drain(..n_skipped);
        Ok(Typescript {
            input: io::Cursor::new(head).chain(reader),
            byte: n_skipped as u64,
        })
    }

    /// Everything that is left, at the time that is now, but for the last line of `script`.
    fn rest<W: Write>(&mut self, cast: &mut Cast<W>, block: &mut [u8]) -> Result<(), CastError> {
        // The end is held back until it is known to be the end.
        let mut held = Vec::new();
        loop {
            let n = read_some(&mut self.input, block)?;
            held.extend_from_slice(&block[..n]);
            let n_ready = match n {
                0 => without_ending(&held),
                _ => held.len().saturating_sub(ENDING_BYTES_MAX),
            };
            for part in held[..n_ready].chunks(BLOCK_BYTES) {
                cast.text(part, Stream::Output)?;
            }
            if n == 0 {
                return Ok(());
            }
            held.drain(..n_ready);
        }
    }
}

/// How many bytes there are before the last line of a typescript.
fn without_ending(held: &[u8]) -> usize {
    let line = held.strip_suffix(b"\n").unwrap_or(held);
    let begin = line.iter().rposition(|&byte| byte == b'\n');
    let last = begin.map_or(line, |begin| &line[begin + 1..]);
    if TYPESCRIPT_ENDINGS.iter().any(|end| last.starts_with(end)) {
        // The line end before it belongs to it.
        return begin.unwrap_or(0);
    }
    held.len()
}

/// Reads until the buffer is full or the input ends.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, CastError> {
    let mut n_read = 0;
    while n_read < buffer.len() {
        match read_some(reader, &mut buffer[n_read..])? {
            0 => break,
            n => n_read += n,
        }
    }
    Ok(n_read)
}

fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, CastError> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read.map_err(CastError::Read),
        }
    }
}

#[cfg(test)]
mod tests;
