//! When sessions start: 90 days of weekdays and shift hours, nights thin and Mondays heavy.

use debrief_domain::At;

use super::dice::Dice;

/// How far back the archive goes.
const DAYS: i64 = 90;
/// Milliseconds of an hour.
const HOUR_MILLIS: i64 = 3_600_000;
/// Sessions that still run began within this span.
const RECENT_MILLIS: i64 = 45 * 60_000;
/// The newest session began this long before now.
const NEWEST_MILLIS: i64 = 60_000;
/// Fractions of one session's share of the calendar.
const FRACTIONS: u16 = u16::MAX;
/// The stream of dice for start times.
const STREAM: u64 = 1;

/// How busy each hour of the day (UTC) is.
const HOURS: [u64; 24] = [
    3, 2, 2, 2, 3, 6, 18, 42, 66, 74, 70, 62, 48, 58, 68, 64, 54, 40, 26, 18, 14, 10, 7, 4,
];
/// How busy each day is, from Sunday.
const WEEKDAYS: [u64; 7] = [15, 160, 115, 105, 100, 85, 22];

/// The density of starts before a moment.
pub(super) struct Calendar {
    /// The moment it ends, in milliseconds.
    now: i64,
    /// The moment it begins, in milliseconds.
    from: i64,
    /// The weight of all hours up to and including each.
    sums: Vec<u64>,
}

impl Calendar {
    /// The calendar of the days before `now`.
    pub(super) fn before(now: At) -> Calendar {
        let now = now.millis();
        let from = (now - DAYS * 24 * HOUR_MILLIS).max(0);
        let n_hours = ((now - RECENT_MILLIS - from) / HOUR_MILLIS).max(1);
        let mut sum = 0;
        let mut sums = Vec::new();
        for hour in 0..n_hours {
            let since_1970 = (from + hour * HOUR_MILLIS) / HOUR_MILLIS;
            // 1970-01-01 was a Thursday.
            let weekday = (since_1970 / 24 + 4) % 7;
            sum += HOURS[(since_1970 % 24) as usize] * WEEKDAYS[weekday as usize];
            sums.push(sum);
        }
        Calendar { now, from, sums }
    }

    /// The start of past session `idx` of `n`: never before that of a lower number.
    pub(super) fn past(&self, seed: u64, idx: u32, n: u32) -> At {
        let fraction = Dice::new(seed, STREAM, u64::from(idx)).word();
        let whole = u128::from(FRACTIONS) + 1;
        let share = u128::from(idx) * whole + u128::from(fraction);
        let total = u128::from(*self.sums.last().expect("there is at least one hour"));
        // Where the session falls in the sum of weights, in thousandths to place it in its hour.
        let place = share * total * 1000 / (u128::from(n) * whole);
        let hour = self
            .sums
            .partition_point(|sum| u128::from(*sum) * 1000 <= place);
        let before = hour
            .checked_sub(1)
            .map_or(0, |previous| self.sums[previous]);
        let weight = u128::from(self.sums[hour] - before) * 1000;
        let within = (place - u128::from(before) * 1000) * HOUR_MILLIS as u128 / weight;
        self.at(self.from + hour as i64 * HOUR_MILLIS + within as i64)
    }

    /// The start of running session `idx` of `n`, after every past one.
    pub(super) fn recent(&self, seed: u64, idx: u32, n: u32) -> At {
        let fraction = i64::from(Dice::new(seed, STREAM, u64::MAX - u64::from(idx)).word());
        let share = i64::from(idx) * (i64::from(FRACTIONS) + 1) + fraction;
        let span = RECENT_MILLIS - NEWEST_MILLIS;
        let within = span * share / (i64::from(n) * (i64::from(FRACTIONS) + 1));
        self.at(self.now - RECENT_MILLIS + within)
    }

    /// A moment, never before 1970 and never after now.
    fn at(&self, millis: i64) -> At {
        At::from_millis(millis.clamp(0, self.now)).expect("it lies between 1970 and `now`")
    }
}
