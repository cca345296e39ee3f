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

/// The seconds of a length as [`hms`] writes it; none when it is no such text.
pub(crate) fn parse_hms(text: &str) -> Option<u64> {
    let number = |part: &str| {
        let is_number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u64>().ok().filter(|_| is_number)
    };
    let mut parts = text.trim().split(':');
    let (hours, mins, secs) = (parts.next()?, parts.next()?, parts.next()?);
    let (hours, mins, secs) = (number(hours)?, number(mins)?, number(secs)?);
    if parts.next().is_some() || 60 <= mins || 60 <= secs {
        return None;
    }
    hours.checked_mul(3600)?.checked_add(mins * 60 + secs)
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
        assert_eq!(parse_hms("100:00:59"), Some(100 * 3600 + 59));
    }

    #[test]
    fn what_is_no_length_is_not_read_as_one() {
        for text in [
            "",
            "10",
            "00:10",
            "00:60:00",
            "00:00:60",
            "+1:00:00",
            "0:0:0:0",
            "99999999999999999999:00:00",
            "0:18446744073709551615:00",
        ] {
            assert_eq!(parse_hms(text), None, "{text}");
        }
    }
}
