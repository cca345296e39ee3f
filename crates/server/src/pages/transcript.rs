//! The transcript of a session, to read.

use debrief_domain::{ActorKind, At};
use debrief_report::{Line, LineKind, Transcript, iso};
use jiff::Timestamp;
use maud::{Markup, html};

use super::{Page, TEXT_POLICY, Width, document};

/// Addresses of the same transcript in other forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloads {
    /// As plain text.
    pub text: String,
    /// As JSON.
    pub json: String,
}

/// A page with everything that was said and what happened. It has no script, and links that
/// people typed stay text.
pub fn transcript(transcript: &Transcript, downloads: &Downloads) -> Page {
    let customers = transcript.customers.join(", ");
    let title = match &*customers {
        "" => "Support session".into(),
        customers => format!("Support session with {customers}"),
    };
    let content = html! {
        main {
            h1 { bdi { (title) } }
            p.subtitle { "Session " (transcript.lsid) }
            (facts(transcript, &customers))
            nav.actions aria-label="Downloads" {
                a.button href=(downloads.text) download { "Download text" }
                a.button href=(downloads.json) download { "Download JSON" }
            }
            @if transcript.lines.is_empty() {
                p.nothing { "Nothing was said in this session." }
            }
            ol.lines { (lines(&transcript.lines)) }
        }
    };
    Page {
        body: document(&title, Width::Column, &html! {}, &content),
        policy: TEXT_POLICY,
    }
}

fn facts(transcript: &Transcript, customers: &str) -> Markup {
    let representatives = transcript.representatives.join(", ");
    let people = [
        ("Customer", customers),
        ("Representatives", &representatives),
        ("Public site", &transcript.public_site),
    ];
    let secs = match (transcript.start, transcript.end) {
        (Some(start), Some(end)) => Some(end.secs().saturating_sub(start.secs()).max(0)),
        (Some(_) | None, _) => None,
    };
    let end = match transcript.end {
        Some(end) => moment(end),
        None => html! { "No end is known" },
    };
    html! {
        dl.facts {
            @for (label, value) in people {
                @if !value.is_empty() {
                    div { dt { (label) } dd { bdi { (value) } } }
                }
            }
            @if let Some(start) = transcript.start {
                div { dt { "Start" } dd { (moment(start)) } }
            }
            div { dt { "End" } dd { (end) } }
            @if let Some(secs) = secs {
                div { dt { "Duration" } dd { (duration(secs)) } }
            }
        }
    }
}

fn lines(lines: &[Line]) -> Markup {
    let day = |line: &Line| line.at.map(|at| shown(at, "%-d %B %Y"));
    html! {
        @for of_a_day in lines.chunk_by(|line, next| day(line) == day(next)) {
            @if let Some(day) = of_a_day.first().and_then(day) {
                li.day { (day) ", UTC" }
            }
            @for line in of_a_day {
                @match line.kind {
                    LineKind::Chat => (message(line)),
                    LineKind::Event => li.event {
                        (clock(line.at))
                        p.text dir="auto" { (line.text) }
                    },
                }
            }
        }
    }
}

fn message(line: &Line) -> Markup {
    let role = match line.who.kind {
        ActorKind::Customer | ActorKind::Representative => Some(line.who.kind.name()),
        ActorKind::System | ActorKind::Everyone => None,
    };
    html! {
        li class={ "message " (line.who.kind.name()) } {
            div.head {
                bdi.who { (line.who.name) }
                @if let Some(role) = role { span.role { (role) } }
                @if let Some(to) = &line.to { span.to { "to " bdi { (to.name) } } }
                (clock(line.at))
            }
            p.text dir="auto" { (line.text) }
        }
    }
}

fn clock(at: Option<At>) -> Markup {
    html! {
        @match at {
            Some(at) => time datetime=(iso(at)) { (shown(at, "%H:%M:%S")) },
            None => span.role { "–" },
        }
    }
}

/// Hours, minutes and seconds, the first two only where there are any.
fn duration(secs: i64) -> String {
    let (hours, minutes, seconds) = (secs / 3600, secs / 60 % 60, secs % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min {seconds} s"),
        (hours, minutes) => format!("{hours} h {minutes} min {seconds} s"),
    }
}

fn moment(at: At) -> Markup {
    html! { time datetime=(iso(at)) { (shown(at, "%-d %B %Y, %H:%M:%S")) " UTC" } }
}

fn shown(at: At, form: &str) -> String {
    let timestamp = Timestamp::from_second(at.secs()).unwrap_or(Timestamp::UNIX_EPOCH);
    timestamp.strftime(form).to_string()
}
