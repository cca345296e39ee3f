//! Parameters in, a question out, or every fault of them at once.

use std::fmt;

use debrief_domain::limits::LSIDS_MAX;
use debrief_domain::{At, Change, Filter, Lsid, RepId, Selection, SiteId, TeamId, Which, Window};
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::answer::Format;

/// The parameters of a request, in order, from the query string and the form body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(String, String)>);

/// Every parameter that is read; anything else in a request may be a secret of an older client.
pub const PARAMETERS: &[&str] = &[
    "generate_report",
    "start_date",
    "start_time",
    "end_date",
    "end_time",
    "duration",
    "lsid",
    "lsids",
    "changed_since",
    "limit",
    "format",
];

/// A parsed question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Which report.
    pub report: ReportKind,
    /// Which sessions.
    pub selection: Selection,
    /// In what form.
    pub format: Format,
}

/// The reports that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// Whole sessions.
    SupportSession,
}

/// Names of reports; the first of each kind is its own, the others are aliases.
const REPORTS: &[(&str, ReportKind)] = &[
    ("SupportSession", ReportKind::SupportSession),
    ("AccessSession", ReportKind::SupportSession),
];

/// One faulty parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its name.
    pub parameter: &'static str,
    /// What is wrong, to be read after the name.
    pub message: String,
}

/// Every faulty parameter of a request; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, fault) in self.0.iter().enumerate() {
            if 0 < idx {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", fault.parameter, fault.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// The longest duration in days and in seconds: past the year 9999 from any start.
const DURATION_DAYS_MAX: u64 = 3_000_000;
const DURATION_SECS_MAX: u64 = 260_000_000_000;

/// Parses a request for a report. Days are days of `zone`.
pub fn ask(params: &Params, zone: &TimeZone) -> Result<Query, Faults> {
    let mut asked = Asked {
        params,
        zone,
        faults: Vec::new(),
    };
    let report = asked.report();
    let format = asked.format();
    let selection = asked.selection();
    match (report, format, selection) {
        (Some(report), Some(format), Some(selection)) if asked.faults.is_empty() => Ok(Query {
            report,
            selection,
            format,
        }),
        _ => Err(Faults(asked.faults)),
    }
}

struct Asked<'a> {
    params: &'a Params,
    zone: &'a TimeZone,
    faults: Vec<Fault>,
}

impl<'a> Asked<'a> {
    fn fault<T>(&mut self, parameter: &'static str, message: impl Into<String>) -> Option<T> {
        self.faults.push(Fault {
            parameter,
            message: message.into(),
        });
        None
    }

    /// The value of a parameter. Given twice it must say the same twice.
    fn get(&mut self, name: &'static str) -> Option<&'a str> {
        let values = self.params.0.iter().filter(|(given, _)| given == name);
        let mut values = values.map(|(_, value)| value.as_str());
        let first = values.next()?;
        if values.any(|value| value != first) {
            return self.fault(name, "is given twice with different values");
        }
        Some(first)
    }

    fn has(&self, name: &str) -> bool {
        self.params.0.iter().any(|(given, _)| given == name)
    }

    fn report(&mut self) -> Option<ReportKind> {
        let names: Vec<&str> = REPORTS.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let Some(given) = self.get("generate_report") else {
            return self.fault(
                "generate_report",
                format!("is required; known reports: {names}"),
            );
        };
        if let Some((_, report)) = REPORTS.iter().find(|(name, _)| *name == given) {
            return Some(*report);
        }
        let given = short(given);
        self.fault(
            "generate_report",
            format!("{given} is no known report; known reports: {names}"),
        )
    }

    fn format(&mut self) -> Option<Format> {
        let Some(given) = self.get("format") else {
            return Some(Format::Xml);
        };
        if let Some(format) = Format::ALL
            .into_iter()
            .find(|format| format.name() == given)
        {
            return Some(format);
        }
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        let given = short(given);
        self.fault(
            "format",
            format!("{given} is not one of {}", names.join(", ")),
        )
    }

    fn selection(&mut self) -> Option<Selection> {
        if self.has("lsid") || self.has("lsids") {
            let which = Which::Named(self.lsids()?);
            // The vendor's document: with lsid or lsids, limit is ignored.
            return Some(Selection {
                which,
                filter: Filter::All,
            });
        }
        let which = match self.get("changed_since") {
            Some(cursor) => self.changed_since(cursor),
            None => self.window(),
        };
        let filter = self.filter();
        Some(Selection {
            which: which?,
            filter: filter?,
        })
    }

    fn lsids(&mut self) -> Option<Vec<Lsid>> {
        let n_faults = self.faults.len();
        let mut lsids: Vec<Lsid> = Vec::new();
        let mut add =
            |asked: &mut Self, name: &'static str, text: &str| match Lsid::parse(text.trim()) {
                Ok(lsid) if lsids.contains(&lsid) => {}
                Ok(lsid) => lsids.push(lsid),
                Err(error) => asked.fault(name, error.to_string()).unwrap_or_default(),
            };
        if let Some(lsid) = self.get("lsid") {
            add(self, "lsid", lsid);
        }
        if let Some(list) = self.get("lsids") {
            if LSIDS_MAX < list.split(',').count() {
                return self.fault("lsids", format!("names more than {LSIDS_MAX} sessions"));
            }
            for text in list.split(',') {
                add(self, "lsids", text);
            }
        }
        (self.faults.len() == n_faults).then_some(lsids)
    }

    fn changed_since(&mut self, cursor: &str) -> Option<Which> {
        match cursor.parse() {
            Ok(change) => Some(Which::ChangedSince(Change(change))),
            Err(_) => self.fault(
                "changed_since",
                "expected the cursor of an earlier answer, or 0",
            ),
        }
    }

    fn window(&mut self) -> Option<Which> {
        let starts = self.has("start_date") || self.has("start_time");
        let ends = self.has("end_date") || self.has("end_time");
        if !starts && !ends {
            self.duration(DURATION_SECS_MAX, "seconds");
            return self.fault(
                "start_date",
                "expected one of start_date, start_time, end_date, end_time, lsid, lsids or \
                 changed_since",
            );
        }
        if starts && ends {
            for name in ["start_date", "start_time", "end_date", "end_time"] {
                if self.has(name) {
                    self.faults.push(Fault {
                        parameter: name,
                        message: "a start and an end cannot be asked for together".into(),
                    });
                }
            }
            self.duration(DURATION_SECS_MAX, "seconds");
            return None;
        }
        let (date, time) = if starts {
            ("start_date", "start_time")
        } else {
            ("end_date", "end_time")
        };
        // A time beats a date: one real client sends both.
        let window = if self.has(time) {
            self.seconds_window(time)
        } else {
            self.days_window(date)
        }?;
        Some(if starts {
            Which::Started(window)
        } else {
            Which::Ended(window)
        })
    }

    fn seconds_window(&mut self, name: &'static str) -> Option<Window> {
        let given = self.get(name);
        let from = given.and_then(|text| match text.parse::<u64>() {
            Ok(secs) => match i64::try_from(secs)
                .ok()
                .and_then(|secs| At::from_secs(secs).ok())
            {
                Some(at) => Some(at),
                None => self.fault(name, "lies after the year 9999"),
            },
            Err(_) => {
                let given = short(text);
                self.fault(name, format!("{given} is no UNIX time in whole seconds"))
            }
        });
        let duration = self.duration(DURATION_SECS_MAX, "seconds");
        let (from, duration) = (from?, duration?);
        let secs = i64::try_from(duration).unwrap_or(i64::MAX);
        Some(Window {
            from,
            until: (duration != 0).then(|| from.plus_secs(secs)),
        })
    }

    fn days_window(&mut self, name: &'static str) -> Option<Window> {
        let given = self.get(name);
        let date = given.and_then(|text| match parse_date(text) {
            Ok(date) => Some(date),
            Err(message) => self.fault(name, message),
        });
        let duration = self.duration(DURATION_DAYS_MAX, "days");
        let (date, duration) = (date?, duration?);
        let from = self.midnight(date);
        if duration == 0 {
            return Some(Window { from, until: None });
        }
        let days = i64::try_from(duration).unwrap_or(i64::MAX);
        let until = date
            .checked_add(days.days())
            .map_or(At::MAX, |date| self.midnight(date));
        Some(Window {
            from,
            until: Some(until),
        })
    }

    /// The first moment of a day: 00:00, or where the clock skips that, what comes next.
    fn midnight(&self, date: Date) -> At {
        let first = self.zone.to_ambiguous_zoned(date.at(0, 0, 0, 0)).earlier();
        let first = match first {
            Ok(first) => first,
            Err(_) => return if date.year() < 1971 { At::MIN } else { At::MAX },
        };
        // In a gap the earlier reading lies on the day before: the day begins at its end.
        let first = if first.date() < date {
            let later = self.zone.to_ambiguous_zoned(date.at(0, 0, 0, 0)).later();
            let start = later
                .as_ref()
                .map_or(Ok(first.clone()), |l| l.start_of_day());
            start.unwrap_or(first)
        } else {
            first
        };
        let millis = first.timestamp().as_millisecond();
        At::from_millis(millis).unwrap_or(if millis < 0 { At::MIN } else { At::MAX })
    }

    fn duration(&mut self, max: u64, unit: &str) -> Option<u64> {
        if !self.has("duration") {
            return self.fault("duration", "is required");
        }
        let given = self.get("duration")?;
        let negative = given
            .strip_prefix('-')
            .is_some_and(|rest| rest.parse::<u64>().is_ok());
        if negative {
            return self.fault("duration", "must not be negative");
        }
        if given.is_empty() || !given.bytes().all(|b| b.is_ascii_digit()) {
            let given = short(given);
            return self.fault("duration", format!("{given} is no whole number of {unit}"));
        }
        match given.parse::<u64>() {
            Ok(duration) if duration <= max => Some(duration),
            Ok(_) | Err(_) => self.fault("duration", format!("is more than {max} {unit}")),
        }
    }

    fn filter(&mut self) -> Option<Filter> {
        const EXPECTED: &str = "expected all, rep:ID, team:all, team:ID, members:ID or site:ID";
        if !self.has("limit") {
            return Some(Filter::All);
        }
        let given = self.get("limit")?;
        if given == "all" {
            return Some(Filter::All);
        }
        if given == "team:all" {
            return Some(Filter::AnyTeam);
        }
        let parsed = match given.split_once(':') {
            Some(("rep", id)) => RepId::parse(id).map(Filter::OwnedBy),
            Some(("team", id)) => TeamId::parse(id).map(Filter::Team),
            Some(("members", id)) => TeamId::parse(id).map(Filter::OwnedByMemberOf),
            Some(("site", id)) => SiteId::parse(id).map(Filter::Site),
            _ => {
                let given = short(given);
                return self.fault("limit", format!("{given} is not known; {EXPECTED}"));
            }
        };
        match parsed {
            Ok(filter) => Some(filter),
            Err(error) => self.fault("limit", format!("the ID {error}; {EXPECTED}")),
        }
    }
}

fn short(text: &str) -> String {
    let shown: String = text.chars().take(40).collect();
    format!("`{shown}`")
}

/// `YYYY-MM-DD`, with a sentence about what is impossible in it.
fn parse_date(text: &str) -> Result<Date, String> {
    let malformed = || format!("{} is not of the form YYYY-MM-DD", short(text));
    let digits = |part: &str, len: usize| -> Option<i16> {
        let fits = part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
        if fits { part.parse().ok() } else { None }
    };
    let mut parts = text.split('-');
    let (year, month, day) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(year), Some(month), Some(day), None) => (year, month, day),
        _ => return Err(malformed()),
    };
    let year = digits(year, 4).ok_or_else(malformed)?;
    let month = digits(month, 2).ok_or_else(malformed)?;
    let day = digits(day, 2).ok_or_else(malformed)?;
    if !(1..=12).contains(&month) {
        return Err(format!("month {month:02} does not exist"));
    }
    Date::new(year, month as i8, day as i8)
        .map_err(|_| format!("{year:04}-{month:02} has no day {day:02}"))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn show(which: &Which) -> String {
        let at = |at: At| crate::time::iso(at);
        match which {
            Which::Started(w) => {
                format!("started {} {}", at(w.from), w.until.map_or("…".into(), at))
            }
            Which::Ended(w) => format!("ended {} {}", at(w.from), w.until.map_or("…".into(), at)),
            Which::Named(lsids) => format!("named {lsids:?}"),
            Which::ChangedSince(change) => format!("changed since {}", change.0),
        }
    }

    #[track_caller]
    fn check_in(zone: &str, query: &str, expect: Expect) {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut params: Vec<_> = pairs
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        if !query.contains("generate_report") {
            params.push(("generate_report".into(), "SupportSession".into()));
        }
        let zone = TimeZone::get(zone).unwrap();
        let shown = match ask(&Params(params), &zone) {
            Ok(query) => format!(
                "{}, {:?}",
                show(&query.selection.which),
                query.selection.filter
            ),
            Err(faults) => faults
                .0
                .iter()
                .map(|f| format!("{}: {}\n", f.parameter, f.message))
                .collect(),
        };
        expect.assert_eq(&shown);
    }

    #[track_caller]
    fn check(query: &str, expect: Expect) {
        check_in("UTC", query, expect);
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        check(
            "start_date=2016-13-01&limit=rep&format=pdf&generate_report=Nonsense",
            expect![[r#"
                generate_report: `Nonsense` is no known report; known reports: SupportSession, AccessSession
                format: `pdf` is not one of xml, json, ndjson, csv
                start_date: month 13 does not exist
                duration: is required
                limit: `rep` is not known; expected all, rep:ID, team:all, team:ID, members:ID or site:ID
            "#]],
        );
    }

    #[test]
    fn impossible_dates_and_durations_are_refused_with_a_reason() {
        check(
            "start_date=2023-02-29&duration=1",
            expect![[r#"
            start_date: 2023-02 has no day 29
        "#]],
        );
        check(
            "start_date=01.10.2016&duration=-1",
            expect![[r#"
            start_date: `01.10.2016` is not of the form YYYY-MM-DD
            duration: must not be negative
        "#]],
        );
        check(
            "start_time=1.5&duration=1.5",
            expect![[r#"
            start_time: `1.5` is no UNIX time in whole seconds
            duration: `1.5` is no whole number of seconds
        "#]],
        );
        check(
            "start_time=-1&duration=",
            expect![[r#"
            start_time: `-1` is no UNIX time in whole seconds
            duration: `` is no whole number of seconds
        "#]],
        );
        check(
            "start_time=999999999999&duration=99999999999999999999",
            expect![[r#"
            start_time: lies after the year 9999
            duration: is more than 260000000000 seconds
        "#]],
        );
        check(
            "end_date=2016-10-01&duration=3000001",
            expect![[r#"
            duration: is more than 3000000 days
        "#]],
        );
    }

    #[test]
    fn a_start_and_an_end_together_name_each_parameter() {
        check(
            "start_date=2016-10-01&end_time=1&duration=0",
            expect![[r#"
            start_date: a start and an end cannot be asked for together
            end_time: a start and an end cannot be asked for together
        "#]],
        );
        check(
            "duration=0",
            expect![[r#"
            start_date: expected one of start_date, start_time, end_date, end_time, lsid, lsids or changed_since
        "#]],
        );
    }

    #[test]
    fn windows_begin_at_their_lower_bound_and_end_before_the_upper() {
        check(
            "start_date=2016-10-01&duration=31",
            expect!["started 2016-10-01T00:00:00+00:00 2016-11-01T00:00:00+00:00, All"],
        );
        check(
            "start_time=1475308800&duration=36000",
            expect!["started 2016-10-01T08:00:00+00:00 2016-10-01T18:00:00+00:00, All"],
        );
        check(
            "end_date=2016-10-01&duration=0",
            expect!["ended 2016-10-01T00:00:00+00:00 …, All"],
        );
        check(
            "end_time=1475308800&duration=3000000",
            expect!["ended 2016-10-01T08:00:00+00:00 2016-11-05T01:20:00+00:00, All"],
        );
        check(
            "end_date=1960-01-01&duration=3000000",
            expect!["ended 1970-01-01T00:00:00+00:00 9999-12-30T22:00:00+00:00, All"],
        );
    }

    #[test]
    fn a_time_beats_a_date() {
        check(
            "start_date=nonsense&start_time=1475308800&duration=0",
            expect!["started 2016-10-01T08:00:00+00:00 …, All"],
        );
    }

    #[test]
    fn days_are_days_of_the_zone_and_may_have_23_or_25_hours() {
        check_in(
            "Europe/Berlin",
            "start_date=2024-03-31&duration=1",
            expect!["started 2024-03-30T23:00:00+00:00 2024-03-31T22:00:00+00:00, All"],
        );
        check_in(
            "Europe/Berlin",
            "start_date=2024-10-27&duration=1",
            expect!["started 2024-10-26T22:00:00+00:00 2024-10-27T23:00:00+00:00, All"],
        );
        // Midnight itself is skipped: the day begins at 01:00.
        check_in(
            "America/Sao_Paulo",
            "start_date=2018-11-04&duration=1",
            expect!["started 2018-11-04T03:00:00+00:00 2018-11-05T02:00:00+00:00, All"],
        );
        // Midnight comes twice: the day begins with the first.
        check_in(
            "America/Havana",
            "start_date=2024-11-03&duration=1",
            expect!["started 2024-11-03T04:00:00+00:00 2024-11-04T05:00:00+00:00, All"],
        );
    }

    #[test]
    fn sessions_are_named_in_the_order_asked_for_each_once() {
        check(
            "lsids=b,a,b,c&lsid=a&limit=nonsense",
            expect![[r#"named ["a", "b", "c"], All"#]],
        );
        check(
            "lsid=&lsids=a,,c/d",
            expect![[r#"
            lsid: must not be empty
            lsids: must not be empty
            lsids: has the character '/'; expected letters, digits, `_` and `-`
        "#]],
        );
        let many = |n: usize| format!("lsids={}", vec!["a"; n].join(","));
        check(&many(LSIDS_MAX), expect![[r#"named ["a"], All"#]]);
        check(
            &many(LSIDS_MAX + 1),
            expect![[r#"
            lsids: names more than 1000 sessions
        "#]],
        );
    }

    #[test]
    fn every_limit_of_the_document_is_known() {
        for (limit, filter) in [
            ("all", "All"),
            ("rep:1", r#"OwnedBy("1")"#),
            ("team:all", "AnyTeam"),
            ("team:1", r#"Team("1")"#),
            ("members:1", r#"OwnedByMemberOf("1")"#),
            ("site:1", r#"Site("1")"#),
        ] {
            let query = format!("changed_since=7&limit={limit}");
            let expected = format!("changed since 7, {filter}");
            let pairs = [
                ("generate_report", "AccessSession"),
                ("changed_since", "7"),
                ("limit", limit),
            ];
            let params = pairs
                .iter()
                .map(|(n, v)| (n.to_string(), v.to_string()))
                .collect();
            let asked = ask(&Params(params), &TimeZone::UTC).unwrap().selection;
            assert_eq!(
                format!("{}, {:?}", show(&asked.which), asked.filter),
                expected,
                "{query}"
            );
        }
        check(
            "changed_since=x&limit=rep:",
            expect![[r#"
            changed_since: expected the cursor of an earlier answer, or 0
            limit: the ID must not be empty; expected all, rep:ID, team:all, team:ID, members:ID or site:ID
        "#]],
        );
        check(
            "changed_since=0&limit=",
            expect![[r#"
            limit: `` is not known; expected all, rep:ID, team:all, team:ID, members:ID or site:ID
        "#]],
        );
    }

    #[test]
    fn a_parameter_given_twice_must_say_the_same() {
        check(
            "start_time=1&start_time=1&duration=0",
            expect!["started 1970-01-01T00:00:01+00:00 …, All"],
        );
        check(
            "start_time=1&start_time=2&duration=0",
            expect![[r#"
            start_time: is given twice with different values
        "#]],
        );
    }
}
