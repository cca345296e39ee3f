//! Points in time: UNIX milliseconds, kept inside the years that ISO 8601 writes with four digits.

use std::fmt;

/// A moment in UNIX milliseconds (UTC), from 1970-01-01 to the end of the year 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At(i64);

/// The moment lies before 1970 or after the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a time between 1970-01-01 and 9999-12-31")]
pub struct InvalidAt;

impl At {
    /// 1970-01-01T00:00:00Z.
    pub const MIN: At = At(0);
    /// The last moment that is in the year 9999 in every time zone: 9999-12-30T22:00:00.999Z.
    pub const MAX: At = At(253_402_207_200_999);

    /// A moment from UNIX milliseconds.
    pub fn from_millis(millis: i64) -> Result<At, InvalidAt> {
        let at = At(millis);
        if at < At::MIN || At::MAX < at {
            return Err(InvalidAt);
        }
        Ok(at)
    }

    /// A moment from UNIX seconds.
    pub fn from_secs(secs: i64) -> Result<At, InvalidAt> {
        At::from_millis(secs.checked_mul(1000).ok_or(InvalidAt)?)
    }

    /// UNIX milliseconds.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// UNIX seconds, rounded down: what a report's `timestamp` shows and windows compare.
    pub fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Whole seconds from `earlier` to `self` as a report shows them; 0 when `earlier` is later.
    pub fn secs_since(self, earlier: At) -> u64 {
        u64::try_from(self.secs() - earlier.secs()).unwrap_or(0)
    }

    /// This moment moved by `secs`, held inside the representable years.
    pub fn plus_secs(self, secs: i64) -> At {
        let millis = self.0.saturating_add(secs.saturating_mul(1000));
        At(millis.clamp(At::MIN.0, At::MAX.0))
    }
}

impl fmt::Debug for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "At({}.{:03})",
            self.0.div_euclid(1000),
            self.0.rem_euclid(1000)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_last_moment_are_accepted_and_their_neighbours_refused() {
        assert_eq!(At::from_millis(0), Ok(At::MIN));
        assert_eq!(At::from_millis(-1), Err(InvalidAt));
        assert_eq!(At::from_millis(At::MAX.0), Ok(At::MAX));
        assert_eq!(At::from_millis(At::MAX.0 + 1), Err(InvalidAt));
        assert_eq!(At::from_secs(i64::MAX), Err(InvalidAt));
    }

    #[test]
    fn seconds_round_down_and_never_go_negative_between_moments() {
        let early = At(1_999);
        let late = At(4_000);
        assert_eq!(early.secs(), 1);
        assert_eq!(late.secs_since(early), 3);
        assert_eq!(early.secs_since(late), 0);
        assert_eq!(At::MAX.plus_secs(1), At::MAX);
    }
}
