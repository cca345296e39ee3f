//! The lines of a timing file.

use std::io::{BufRead, Read as _};

use super::{CastError, LINE_BYTES_MAX};

/// What a line tells, behind its delay.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    /// So many bytes of output.
    Output(u64),
    /// So many bytes of input.
    Input(u64),
    /// The terminal has another size.
    Size { columns: u32, rows: u32 },
    /// A name and a value.
    Header { name: &'a str, value: &'a str },
    /// A signal that says nothing here.
    Other,
}

/// The files that the headers name.
#[derive(Default)]
pub(super) struct Logs {
    output: Option<String>,
    input: Option<String>,
}

impl Logs {
    pub(super) fn note(&mut self, name: &str, value: &str) {
        match name {
            "OUTPUT_LOG" => self.output = Some(value.into()),
            "INPUT_LOG" => self.input = Some(value.into()),
            _ => {}
        }
    }

    /// Whether input and output stand in one file.
    pub(super) fn are_one(&self) -> bool {
        self.output.is_some() && self.output == self.input
    }
}

/// Reads line number `n` without its end; false where there is none.
pub(super) fn read_line(
    timing: &mut impl BufRead,
    line: &mut Vec<u8>,
    n: u64,
) -> Result<bool, CastError> {
    line.clear();
    let mut limited = timing.take(LINE_BYTES_MAX as u64 + 1);
    let n_read = limited.read_until(b'\n', line).map_err(CastError::Read)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if LINE_BYTES_MAX < line.len() {
        let message = format!("longer than {LINE_BYTES_MAX} bytes");
        return Err(CastError::Timing { line: n, message });
    }
    Ok(0 < n_read)
}

/// Microseconds to wait, and what comes then; none for an empty line.
pub(super) fn parse(line: &[u8]) -> Result<Option<(u64, Entry<'_>)>, String> {
    let line = std::str::from_utf8(line).map_err(|_| "no text".to_owned())?;
    let line = line.trim_end_matches('\r');
    if line.trim().is_empty() {
        return Ok(None);
    }
    let (letter, rest) = match line.split_once(' ') {
        Some((letter @ ("O" | "I" | "S" | "H"), rest)) => (letter, rest),
        _ => ("O", line),
    };
    let (delay, rest) = rest.trim_start().split_once(' ').unwrap_or((rest, ""));
    let delay = micros(delay).ok_or_else(|| format!("`{}` is no delay", short(delay)))?;
    let rest = rest.trim_start();
    let n_bytes = || {
        let n_bytes = rest.trim_end().parse();
        n_bytes.map_err(|_| format!("`{}` is no number of bytes", short(rest)))
    };
    let entry = match letter {
        "O" => Entry::Output(n_bytes()?),
        "I" => Entry::Input(n_bytes()?),
        "H" => {
            let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
            Entry::Header { name, value }
        }
        _ => size(rest).unwrap_or(Entry::Other),
    };
    Ok(Some((delay, entry)))
}

/// `SIGWINCH ROWS=24 COLS=80`.
fn size(signal: &str) -> Option<Entry<'_>> {
    let values = signal.strip_prefix("SIGWINCH")?;
    let value = |name: &str| {
        let mut words = values.split_whitespace();
        words.find_map(|word| word.strip_prefix(name)?.parse().ok())
    };
    Some(Entry::Size {
        columns: value("COLS=")?,
        rows: value("ROWS=")?,
    })
}

/// Microseconds of a decimal fraction of seconds. Some locales write a comma.
fn micros(delay: &str) -> Option<u64> {
    let (secs, fraction) = delay.split_once(['.', ',']).unwrap_or((delay, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(secs) || !is_number(fraction) {
        return None;
    }
    let secs: u32 = secs.parse().ok()?;
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = digits.fold(0, |sum, digit| 10 * sum + u64::from(digit - b'0'));
    Some(u64::from(secs) * 1_000_000 + micros)
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_line_are_read() {
        for (line, expected) in [
            ("0.240000 6", (240_000, Entry::Output(6))),
            ("O 1.5 7\r", (1_500_000, Entry::Output(7))),
            ("I 0,000001 1", (1, Entry::Input(1))),
            (
                "H 0.000000 COLUMNS 132",
                (
                    0,
                    Entry::Header {
                        name: "COLUMNS",
                        value: "132",
                    },
                ),
            ),
            (
                "S 2 SIGWINCH ROWS=41 COLS=90",
                (
                    2_000_000,
                    Entry::Size {
                        columns: 90,
                        rows: 41,
                    },
                ),
            ),
            ("S 0.1 SIGCONT", (100_000, Entry::Other)),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(Some(expected)), "{line}");
        }
        assert_eq!(parse(b"  "), Ok(None));
    }

    #[test]
    fn a_line_that_is_none_is_refused_with_what_it_says() {
        for (line, message) in [
            (&b"abc 1"[..], "`abc` is no delay"),
            (b"-1.0 1", "`-1.0` is no delay"),
            (b"1. 1", "`1.` is no delay"),
            (b"0.1", "`` is no number of bytes"),
            (b"0.1 -5", "`-5` is no number of bytes"),
            (b"99999999999 1", "`99999999999` is no delay"),
            (b"\xff", "no text"),
        ] {
            assert_eq!(parse(line), Err(message.to_owned()));
        }
    }
}
