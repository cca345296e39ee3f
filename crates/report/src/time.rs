//! ISO 8601 as reports write it: seconds, and the offset in figures.

use debrief_domain::At;
use jiff::Timestamp;

/// A moment as `2024-12-03T15:26:05+00:00`: never `Z`, never a fraction.
pub fn iso(at: At) -> String {
    let timestamp = Timestamp::from_second(at.secs()).unwrap_or(Timestamp::UNIX_EPOCH);
    timestamp.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// The moment an ISO 8601 text with an offset means; none when it is no such text.
pub fn parse_iso(text: &str) -> Option<At> {
    let timestamp: Timestamp = text.trim().parse().ok()?;
    At::from_millis(timestamp.as_millisecond()).ok()
}

/// A length as `HH:MM:SS`; hours may exceed 99.
pub(crate) fn hms(secs: u64) -> String {
    format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_with_a_numeric_offset_and_read_again() {
        let at = At::from_secs(1_733_239_565).unwrap();
        assert_eq!(iso(at), "2024-12-03T15:26:05+00:00");
        assert_eq!(parse_iso("2024-12-03T15:26:05+00:00"), Some(at));
        assert_eq!(parse_iso("2024-12-03T17:26:05+02:00"), Some(at));
        assert_eq!(parse_iso("2024-12-03"), None);
        assert_eq!(iso(At::MAX), "9999-12-30T22:00:00+00:00");
    }

    #[test]
    fn hours_of_a_length_may_exceed_99() {
        assert_eq!(hms(0), "00:00:00");
        assert_eq!(hms(3_661), "01:01:01");
        assert_eq!(hms(100 * 3600 + 59), "100:00:59");
    }
}
