//! The messenger's log: a line of JSON, then a line for each message, with the second it came in.

use std::io::{self, BufRead, Read as _};

use debrief_domain::At;
use debrief_domain::limits::TEXT_BYTES_MAX;

/// Lines of one log; what is behind them is left out.
pub(super) const LINES_MAX: usize = 100_000;
/// Bytes of one line; the rest of a longer one is left out.
pub(super) const LINE_BYTES_MAX: u64 = TEXT_BYTES_MAX as u64;

/// Something said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// When, to the second.
    pub(super) at: At,
    /// Who.
    pub(super) side: Side,
    /// What.
    pub(super) said: Said,
}

/// The two ends of a chat. The arrow tells them apart where the representative opened the chat,
/// which is how it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Representative,
    Customer,
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Text(String),
    File { name: String, size: u64 },
}

/// Reads a log. Lines that begin with no time go on with the message before them.
pub(super) fn read(mut log: impl BufRead) -> io::Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    let mut bytes = Vec::new();
    let mut is_message = false;
    for _ in 0..LINES_MAX {
        bytes.clear();
        if log
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut bytes)?
            == 0
        {
            break;
        }
        if bytes.last() != Some(&b'\n') {
            // The rest of a long line, if there is one.
            log.skip_until(b'\n')?;
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\r', '\n']);
        match begins(text) {
            Some((at, rest)) => match message(rest) {
                Some((side, said)) => {
                    lines.push(Line { at, side, said });
                    is_message = true;
                }
                None => is_message = false,
            },
            None if is_message => go_on(lines.last_mut(), text),
            None => {}
        }
    }
    Ok(lines)
}

/// A time as `toUTCString` writes it (RFC 7231 section 7.1.1.1), and what stands behind it.
fn begins(text: &str) -> Option<(At, &str)> {
    const LEN: usize = "Mon, 23 Nov 2026 02:01:08 GMT".len();
    let (time, rest) = text.split_at_checked(LEN)?;
    let rest = rest.strip_prefix(", ")?;
    let time = time.strip_suffix(" GMT")?;
    let time = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S", time).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some((At::from_secs(time.timestamp().as_second()).ok()?, rest))
}

fn message(text: &str) -> Option<(Side, Said)> {
    let (side, text) = match (text.strip_prefix("--> "), text.strip_prefix("<-- ")) {
        (Some(text), _) => (Side::Representative, text),
        (None, Some(text)) => (Side::Customer, text),
        (None, None) => return None,
    };
    let file = || {
        let rest = text.strip_prefix("File Transfer, \"")?;
        let (name, size) = rest.strip_suffix(" bytes)")?.rsplit_once("\" (")?;
        let (name, size) = (name.to_owned(), size.parse().ok()?);
        Some(Said::File { name, size })
    };
    Some((side, file().unwrap_or_else(|| Said::Text(text.to_owned()))))
}

fn go_on(line: Option<&mut Line>, text: &str) {
    if let Some(Line {
        said: Said::Text(said),
        ..
    }) = line
        && said.len() + text.len() < TEXT_BYTES_MAX
    {
        said.push('\n');
        said.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOG: &[u8] = include_bytes!("../../../tests/fixtures/meshcentral/messenger.txt");

    fn shown(log: &[u8]) -> Vec<String> {
        let show = |line: &Line| format!("{} {:?} {:?}", line.at.secs(), line.side, line.said);
        read(log).unwrap().iter().map(show).collect()
    }

    #[test]
    fn a_real_log_is_read() {
        assert_eq!(
            shown(LOG),
            [
                "1795399270 Representative Text(\"Hello, how can I help?\")",
                "1795399271 Customer Text(\"My printer <broken> & sad \\u{1}\")",
                "1795399272 Customer File { name: \"log.txt\", size: 1234 }",
            ]
        );
    }

    #[test]
    fn a_message_of_several_lines_is_one_message() {
        let log = b"{}\r\nMon, 23 Nov 2026 02:01:08 GMT, <<<START>>>\r\nstray\r\n\
                    Mon, 23 Nov 2026 02:01:10 GMT, --> one\ntwo\r\n\
                    Mon, 23 Nov 2026 02:01:12 GMT, <<<END>>>\r\nlost\r\n";
        assert_eq!(
            shown(log),
            ["1795399270 Representative Text(\"one\\ntwo\")"]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            place in 0..LOG.len(),
        ) {
            read(&bytes[..]).unwrap();
            let mut log = LOG.to_vec();
            log.splice(place..place, bytes);
            read(&log[..]).unwrap();
        }
    }
}
