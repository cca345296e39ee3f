//! Parameters in, a question out, or every fault of them at once.

use std::fmt;
use std::mem::discriminant;

use debrief_domain::limits::{LSIDS_MAX, RECORDING_INSTANCES_MAX};
use debrief_domain::{
    At, Change, Filter, Lsid, Recording, RecordingKind, RepId, Selection, SiteId, TeamId, Which,
    Window,
};
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::answer::Format;
use crate::team::TeamQuery;

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
    "team_id",
    "lsid",
    "lsids",
    "changed_since",
    "limit",
    "report_type",
    "id",
    "instance",
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
    /// Ids of sessions, their external keys, and whether they were recorded.
    SupportSessionListing,
    /// Sessions counted by representative, team or site.
    SupportSessionSummary(Group),
    /// What customers answered when their sessions had ended.
    SupportCustExitSurvey,
    /// What representatives answered.
    SupportRepExitSurvey,
}

/// What the parameter `report_type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Representatives, by the sessions they owned.
    Rep,
    /// Teams, by the sessions that belonged to them.
    Team,
    /// Public sites, by the sessions run through them.
    Site,
}

impl Group {
    /// The words for it. Sister products call a representative a user.
    const WORDS: &[(&str, Group)] = &[
        ("rep", Group::Rep),
        ("user", Group::Rep),
        ("team", Group::Team),
        ("site", Group::Site),
    ];
}

impl ReportKind {
    /// The root element of its answer.
    pub fn root(self) -> &'static str {
        let is_it = |report: &&Report| discriminant(&report.kind) == discriminant(&self);
        REPORTS
            .iter()
            .find(is_it)
            .map_or(ROOT_DEFAULT, |report| report.root)
    }
}

/// A report: what it is called, and which parameters it reads.
struct Report {
    /// Where it is counted by something, `report_type` says by what.
    kind: ReportKind,
    /// Its name, then other names of it.
    names: &'static [&'static str],
    /// The root element of its answer.
    root: &'static str,
    takes: Takes,
}

/// Which parameters a report reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// A window, ids or a cursor, with `limit`; every format.
    Everything,
    /// A window with `limit`.
    Window,
    /// A window with `report_type` and `id`, or ids of sessions.
    WindowOfGroup,
}

impl Takes {
    /// Parameters of other reports that would silently change nothing here.
    fn refused(self) -> &'static [&'static str] {
        match self {
            Takes::Everything => &[],
            Takes::Window => &["lsid", "lsids", "changed_since"],
            Takes::WindowOfGroup => &["changed_since", "limit"],
        }
    }

    fn formats(self) -> &'static [Format] {
        match self {
            Takes::Everything => &Format::ALL,
            Takes::Window | Takes::WindowOfGroup => &[Format::Xml],
        }
    }
}

/// Every report.
const REPORTS: &[Report] = &[
    Report {
        kind: ReportKind::SupportSession,
        names: &["SupportSession", "AccessSession"],
        root: "session_list",
        takes: Takes::Everything,
    },
    Report {
        kind: ReportKind::SupportSessionListing,
        names: &["SupportSessionListing", "AccessSessionListing"],
        root: "session_summary_list",
        takes: Takes::Window,
    },
    Report {
        kind: ReportKind::SupportSessionSummary(Group::Rep),
        names: &["SupportSessionSummary", "AccessSessionSummary"],
        root: "summary_list",
        takes: Takes::Window,
    },
    Report {
        kind: ReportKind::SupportCustExitSurvey,
        names: &["SupportCustExitSurvey"],
        root: "exit_survey_list",
        takes: Takes::WindowOfGroup,
    },
    Report {
        kind: ReportKind::SupportRepExitSurvey,
        names: &["SupportRepExitSurvey"],
        root: "exit_survey_list",
        takes: Takes::WindowOfGroup,
    },
];

/// The root of an error about no report that is known.
pub(crate) const ROOT_DEFAULT: &str = "session_list";

fn report_named(name: &str) -> Option<&'static Report> {
    REPORTS.iter().find(|report| report.names.contains(&name))
}

/// The root element that an error about these parameters stands in.
pub fn root_of(params: &Params) -> &'static str {
    let mut given = params.0.iter();
    given
        .find(|(name, _)| name == "generate_report")
        .and_then(|(_, value)| report_named(value))
        .map_or(ROOT_DEFAULT, |report| report.root)
}

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
    // Of a report that is not known, nothing can be said to be too much.
    let takes = report.map_or(Takes::Everything, |report| report.takes);
    let format = asked.format(takes);
    let kind = report.and_then(|report| asked.kind(report));
    let selection = asked.selection(takes);
    match (kind, format, selection) {
        (Some(report), Some(format), Some(selection)) if asked.faults.is_empty() => Ok(Query {
            report,
            selection,
            format,
        }),
        _ => Err(Faults(asked.faults)),
    }
}

/// Reports that are the file of a recording, and of which kind.
const RECORDING_REPORTS: [(&str, RecordingKind); 3] = [
    ("SupportSessionRecording", RecordingKind::Session),
    ("ShowMyScreenRecording", RecordingKind::ShowMyScreen),
    ("CommandShellRecording", RecordingKind::CommandShell),
];

/// A parsed question for the file of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingQuery {
    /// Of which session.
    pub lsid: Lsid,
    /// Which recording of it.
    pub recording: Recording,
}

/// Parses a request for the file of a recording; none when another report is asked for.
pub fn ask_recording(params: &Params, zone: &TimeZone) -> Option<Result<RecordingQuery, Faults>> {
    let mut asked = Asked {
        params,
        zone,
        faults: Vec::new(),
    };
    let name = asked.get("generate_report")?;
    let (_, kind) = RECORDING_REPORTS.iter().find(|(known, _)| *known == name)?;
    let lsid = match asked.get("lsid").map(Lsid::parse) {
        Some(Ok(lsid)) => Some(lsid),
        Some(Err(error)) => asked.fault("lsid", error.to_string()),
        // One that is given twice is a fault already.
        None if asked.has("lsid") => None,
        None => asked.fault("lsid", "is required"),
    };
    let instance = match (kind, asked.get("instance")) {
        // There is one of the session at most.
        (RecordingKind::Session, None | Some("0")) => Some(0),
        (_, None) if asked.has("instance") => None,
        (RecordingKind::Session, Some(_)) => asked.fault("instance", "can only be 0"),
        (_, None) => asked.fault("instance", "is required; the first one is 0"),
        (_, Some(text)) => match text.parse::<u32>() {
            Ok(instance) if instance < RECORDING_INSTANCES_MAX => Some(instance),
            Ok(_) | Err(_) => {
                let expected = format!("expected a number below {RECORDING_INSTANCES_MAX}");
                asked.fault("instance", expected)
            }
        },
    };
    Some(match (lsid, instance) {
        (Some(lsid), Some(instance)) if asked.faults.is_empty() => Ok(RecordingQuery {
            lsid,
            recording: Recording {
                kind: *kind,
                instance,
            },
        }),
        _ => Err(Faults(asked.faults)),
    })
}

/// Parses a request for the report about teams; none when another report is asked for.
pub fn ask_team(params: &Params, zone: &TimeZone) -> Option<Result<TeamQuery, Faults>> {
    let mut asked = Asked {
        params,
        zone,
        faults: Vec::new(),
    };
    let name = asked.get("generate_report")?;
    if !crate::team::NAMES.contains(&name) {
        return None;
    }
    for parameter in ["lsid", "lsids", "changed_since", "limit"] {
        if asked.has(parameter) {
            let message = format!("is not read by {name}");
            asked.faults.push(Fault { parameter, message });
        }
    }
    let format = asked.get("format").unwrap_or(Format::Xml.name());
    if format != Format::Xml.name() {
        let given = short(format);
        let message = format!("{given} is not known to this report; expected xml");
        asked.fault("format", message).unwrap_or_default()
    }
    let window = asked.team_window();
    let team = match asked.get("team_id").map(TeamId::parse) {
        Some(Ok(team)) => Some(team),
        Some(Err(error)) => asked.fault("team_id", error.to_string()),
        None => None,
    };
    Some(match window {
        Some(window) if asked.faults.is_empty() => Ok(TeamQuery { window, team }),
        Some(_) | None => Err(Faults(asked.faults)),
    })
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

    fn report(&mut self) -> Option<&'static Report> {
        let given = self.get("generate_report");
        if let Some(report) = given.and_then(report_named) {
            return Some(report);
        }
        let names = REPORTS
            .iter()
            .flat_map(|r| r.names)
            .chain(crate::team::NAMES);
        let files = RECORDING_REPORTS.iter().map(|(name, _)| *name);
        let names: Vec<&str> = names.copied().chain(files).collect();
        let names = names.join(", ");
        let message = match given.map(short) {
            Some(given) => format!("{given} is no known report; known reports: {names}"),
            None => format!("is required; known reports: {names}"),
        };
        self.fault("generate_report", message)
    }

    /// The kind of report, with what it counts by; names the parameters that it does not read.
    fn kind(&mut self, report: &Report) -> Option<ReportKind> {
        let name = report.names[0];
        for &parameter in report.takes.refused() {
            if self.has(parameter) {
                self.faults.push(Fault {
                    parameter,
                    message: format!("is not read by {name}"),
                });
            }
        }
        match report.kind {
            ReportKind::SupportSessionSummary(_) => {
                self.group().map(ReportKind::SupportSessionSummary)
            }
            kind @ (ReportKind::SupportSession
            | ReportKind::SupportSessionListing
            | ReportKind::SupportCustExitSurvey
            | ReportKind::SupportRepExitSurvey) => Some(kind),
        }
    }

    fn group(&mut self) -> Option<Group> {
        const EXPECTED: &str = "expected rep, team or site";
        if !self.has("report_type") {
            return self.fault("report_type", format!("is required; {EXPECTED}"));
        }
        let given = self.get("report_type")?;
        match Group::WORDS.iter().find(|(word, _)| *word == given) {
            Some((_, group)) => Some(*group),
            None => {
                let given = short(given);
                self.fault("report_type", format!("{given} is not known; {EXPECTED}"))
            }
        }
    }

    fn format(&mut self, takes: Takes) -> Option<Format> {
        let Some(given) = self.get("format") else {
            return Some(Format::Xml);
        };
        let formats = takes.formats();
        if let Some(format) = formats.iter().find(|format| format.name() == given) {
            return Some(*format);
        }
        let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
        let given = short(given);
        let message = match names[..] {
            [only] => format!("{given} is not known to this report; expected {only}"),
            _ => format!("{given} is not one of {}", names.join(", ")),
        };
        self.fault("format", message)
    }

    fn selection(&mut self, takes: Takes) -> Option<Selection> {
        let refused = takes.refused();
        let reads = |asked: &Self, name| asked.has(name) && !refused.contains(&name);
        if reads(self, "lsid") || reads(self, "lsids") {
            if takes == Takes::WindowOfGroup && self.has("report_type") {
                self.group();
            }
            let which = Which::Named(self.lsids()?);
            // The vendor's document: with lsid or lsids, limit is ignored.
            return Some(Selection {
                which,
                filter: Filter::All,
            });
        }
        let which = match reads(self, "changed_since") {
            true => {
                let cursor = self.get("changed_since");
                cursor.and_then(|cursor| self.changed_since(cursor))
            }
            false => self.window(refused),
        };
        let filter = match takes {
            Takes::Everything | Takes::Window => self.filter(),
            Takes::WindowOfGroup => self.group_filter(),
        };
        Some(Selection {
            which: which?,
            filter: filter?,
        })
    }

    /// The parameters `report_type` and `id`.
    fn group_filter(&mut self) -> Option<Filter> {
        const EXPECTED: &str = "expected all or the ID of a representative, team or site";
        let group = self.group();
        if !self.has("id") {
            return self.fault("id", format!("is required; {EXPECTED}"));
        }
        let given = self.get("id")?;
        if given == "all" {
            return Some(Filter::All);
        }
        let parsed = match group? {
            Group::Rep => RepId::parse(given).map(Filter::OwnedBy),
            Group::Team => TeamId::parse(given).map(Filter::Team),
            Group::Site => SiteId::parse(given).map(Filter::Site),
        };
        match parsed {
            Ok(filter) => Some(filter),
            Err(error) => self.fault("id", format!("{error}; {EXPECTED}")),
        }
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

    fn window(&mut self, refused: &[&str]) -> Option<Which> {
        let starts = self.has("start_date") || self.has("start_time");
        let ends = self.has("end_date") || self.has("end_time");
        if !starts && !ends {
            self.duration(DURATION_SECS_MAX, "seconds");
            const READ: &[&str] = &[
                "start_date",
                "start_time",
                "end_date",
                "end_time",
                "lsid",
                "lsids",
                "changed_since",
            ];
            let mut read = READ.to_vec();
            read.retain(|name| !refused.contains(name));
            let last = read.pop().unwrap_or("");
            let expected = format!("expected one of {} or {last}", read.join(", "));
            return self.fault("start_date", expected);
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

    /// A window of something that takes no time: where it starts it ends.
    fn team_window(&mut self) -> Option<Window> {
        match self.window(&["lsid", "lsids", "changed_since", "limit"])? {
            Which::Started(window) | Which::Ended(window) => Some(window),
            Which::Named(_) | Which::ChangedSince(_) => None,
        }
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

/// A given value at a readable length.
pub(crate) fn short(text: &str) -> String {
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
            Ok(query) => {
                let kind = match query.report {
                    ReportKind::SupportSession => String::new(),
                    neighbour => format!("{neighbour:?} {:?}: ", query.format),
                };
                let which = show(&query.selection.which);
                format!("{kind}{which}, {:?}", query.selection.filter)
            }
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
                generate_report: `Nonsense` is no known report; known reports: SupportSession, AccessSession, SupportSessionListing, AccessSessionListing, SupportSessionSummary, AccessSessionSummary, SupportCustExitSurvey, SupportRepExitSurvey, SupportTeam, Team, SupportSessionRecording, ShowMyScreenRecording, CommandShellRecording
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

    #[track_caller]
    fn check_team(query: &str, expect: Expect) {
        let pairs = query.split('&');
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let params = pairs.map(|(name, value)| (name.into(), value.into()));
        let shown = match ask_team(&Params(params.collect()), &TimeZone::UTC) {
            None => "another report".into(),
            Some(Ok(query)) => format!("{} {:?}", show(&Which::Started(query.window)), query.team),
            Some(Err(faults)) => faults.to_string().replace("; ", "\n"),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn the_report_about_teams_has_a_window_and_a_team() {
        check_team(
            "generate_report=SupportSession&team_id=1",
            expect!["another report"],
        );
        check_team(
            "generate_report=Team",
            expect![[r#"
                duration: is required
                start_date: expected one of start_date, start_time, end_date or end_time"#]],
        );
        check_team(
            "generate_report=SupportTeam&start_date=2016-13-01&team_id=&limit=all&lsid=a&format=csv",
            expect![[r#"
                lsid: is not read by SupportTeam
                limit: is not read by SupportTeam
                format: `csv` is not known to this report
                expected xml
                start_date: month 13 does not exist
                duration: is required
                team_id: must not be empty"#]],
        );
        check_team(
            "generate_report=SupportTeam&start_time=1&end_time=1&duration=-1",
            expect![[r#"
                start_time: a start and an end cannot be asked for together
                end_time: a start and an end cannot be asked for together
                duration: must not be negative"#]],
        );
        check_team(
            "generate_report=SupportTeam&start_date=2016-10-01&duration=1&team_id=3",
            expect![[r#"started 2016-10-01T00:00:00+00:00 2016-10-02T00:00:00+00:00 Some("3")"#]],
        );
        check_team(
            "generate_report=Team&end_time=1475308800&duration=0",
            expect!["started 2016-10-01T08:00:00+00:00 … None"],
        );
    }

    #[track_caller]
    fn check_recording(query: &str, expect: Expect) {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let params = pairs.map(|(name, value)| (name.into(), value.into()));
        let shown = match ask_recording(&Params(params.collect()), &TimeZone::UTC) {
            None => "another report".into(),
            Some(Ok(asked)) => format!("{} {:?}", asked.lsid, asked.recording),
            Some(Err(faults)) => faults.to_string().replace("; ", "\n"),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn a_recording_is_asked_for_by_session_and_instance() {
        check_recording(
            "generate_report=SupportSession&lsid=a",
            expect!["another report"],
        );
        check_recording("lsid=a", expect!["another report"]);
        let last = RECORDING_INSTANCES_MAX - 1;
        check_recording(
            &format!("generate_report=ShowMyScreenRecording&lsid=a&instance={last}"),
            expect!["a Recording { kind: ShowMyScreen, instance: 999 }"],
        );
        check_recording(
            "generate_report=SupportSessionRecording&lsid=a",
            expect!["a Recording { kind: Session, instance: 0 }"],
        );
        check_recording(
            "generate_report=SupportSessionRecording&lsid=a/b&instance=1",
            expect![[r#"
                lsid: has the character '/'
                expected letters, digits, `_` and `-`
                instance: can only be 0"#]],
        );
        check_recording(
            "generate_report=CommandShellRecording",
            expect![[r#"
            lsid: is required
            instance: is required
            the first one is 0"#]],
        );
        check_recording(
            &format!(
                "generate_report=CommandShellRecording&lsid=a&instance={}",
                last + 1
            ),
            expect!["instance: expected a number below 1000"],
        );
        check_recording(
            "generate_report=CommandShellRecording&lsid=a&lsid=b&instance=-1",
            expect![[r#"
                lsid: is given twice with different values
                instance: expected a number below 1000"#]],
        );
    }

    #[test]
    fn a_parameter_that_a_report_does_not_read_is_named() {
        let listing = "generate_report=SupportSessionListing";
        check(
            &format!("{listing}&lsid=a&lsids=&changed_since=0&format=csv&limit=x"),
            expect![[r#"
                format: `csv` is not known to this report; expected xml
                lsid: is not read by SupportSessionListing
                lsids: is not read by SupportSessionListing
                changed_since: is not read by SupportSessionListing
                duration: is required
                start_date: expected one of start_date, start_time, end_date or end_time
                limit: `x` is not known; expected all, rep:ID, team:all, team:ID, members:ID or site:ID
            "#]],
        );
        check(
            "generate_report=SupportSessionSummary&lsid=a&start_time=0&duration=0&report_type=queue",
            expect![[r#"
                lsid: is not read by SupportSessionSummary
                report_type: `queue` is not known; expected rep, team or site
            "#]],
        );
        check(
            "generate_report=SupportSessionSummary&start_time=0&duration=0",
            expect![[r#"
                report_type: is required; expected rep, team or site
            "#]],
        );
        check(
            "generate_report=SupportCustExitSurvey&changed_since=0&limit=all&format=json",
            expect![[r#"
                format: `json` is not known to this report; expected xml
                changed_since: is not read by SupportCustExitSurvey
                limit: is not read by SupportCustExitSurvey
                duration: is required
                start_date: expected one of start_date, start_time, end_date, end_time, lsid or lsids
                report_type: is required; expected rep, team or site
                id: is required; expected all or the ID of a representative, team or site
            "#]],
        );
        check(
            "generate_report=SupportRepExitSurvey&lsid=&report_type=queue&id=x",
            expect![[r#"
                report_type: `queue` is not known; expected rep, team or site
                lsid: must not be empty
            "#]],
        );
        check(
            "generate_report=SupportRepExitSurvey&end_time=0&duration=0&report_type=site&id=",
            expect![[r#"
                id: must not be empty; expected all or the ID of a representative, team or site
            "#]],
        );
    }

    #[test]
    fn the_neighbours_are_known_by_the_names_of_sister_products_too() {
        check(
            "generate_report=AccessSessionListing&start_time=0&duration=0&limit=rep:1&id=x",
            expect![[
                r#"SupportSessionListing Xml: started 1970-01-01T00:00:00+00:00 …, OwnedBy("1")"#
            ]],
        );
        check(
            "generate_report=AccessSessionSummary&end_time=0&duration=0&report_type=user",
            expect!["SupportSessionSummary(Rep) Xml: ended 1970-01-01T00:00:00+00:00 …, All"],
        );
        check(
            "generate_report=SupportSessionSummary&end_time=0&duration=0&report_type=site&limit=team:all&format=xml",
            expect!["SupportSessionSummary(Site) Xml: ended 1970-01-01T00:00:00+00:00 …, AnyTeam"],
        );
    }

    #[test]
    fn surveys_are_of_a_representative_a_team_or_a_site() {
        for (report_type, id, filter) in [
            ("rep", "5", r#"OwnedBy("5")"#),
            ("team", "2", r#"Team("2")"#),
            ("site", "1", r#"Site("1")"#),
            ("rep", "all", "All"),
            ("team", "all", "All"),
            ("site", "all", "All"),
        ] {
            let pairs = [
                ("generate_report", "SupportCustExitSurvey"),
                ("start_time", "0"),
                ("duration", "0"),
                ("report_type", report_type),
                ("id", id),
            ];
            let params = pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
            let query = ask(&Params(params), &TimeZone::UTC).unwrap();
            assert_eq!(query.report, ReportKind::SupportCustExitSurvey);
            let asked = format!("{:?}", query.selection.filter);
            assert_eq!(asked, filter, "{report_type} {id}");
        }
        check(
            "generate_report=SupportRepExitSurvey&lsids=b,a&id=whatever",
            expect![[r#"SupportRepExitSurvey Xml: named ["b", "a"], All"#]],
        );
    }

    #[test]
    fn an_error_stands_in_the_root_of_the_report_that_was_asked_for() {
        let root = |report: &str| {
            let pair = ("generate_report".to_owned(), report.to_owned());
            root_of(&Params(vec![pair]))
        };
        for report in REPORTS {
            assert_eq!(report.kind.root(), report.root);
            for name in report.names {
                assert_eq!(root(name), report.root, "{name}");
            }
        }
        assert_eq!(root("Nonsense"), ROOT_DEFAULT);
        assert_eq!(root_of(&Params::default()), ROOT_DEFAULT);
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
