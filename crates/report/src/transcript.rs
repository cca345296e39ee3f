//! The transcript of one session: what was said, and what happened, in the order of the report.
//!
//! Made from the session's element, so that an imported session has one as well as our own. What
//! people typed stays what they typed, but for characters that would hide something or forge a
//! line. A transcript is no larger than a constant times its session.

mod sentence;

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use debrief_domain::{ActorKind, At, EventType};
use serde_json::{Value, json};

use crate::element::Element;
use crate::time::{iso, parse_iso};

/// Characters of a name that are shown: a name may be looked up for each of many events.
pub const NAME_CHARS_MAX: usize = 200;

/// What was said in a session, and what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// The session's id.
    pub lsid: String,
    /// The customers' names, in order of joining.
    pub customers: Vec<String>,
    /// The representatives' names, each once, in order of joining.
    pub representatives: Vec<String>,
    /// The public site's name; its id where it has none.
    pub public_site: String,
    /// When the session began, if the document says.
    pub start: Option<At>,
    /// When it ended, if it did.
    pub end: Option<At>,
    /// The lines, in the order of the report.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, if the document says.
    pub at: Option<At>,
    /// Who said or did it.
    pub who: Party,
    /// To whom, when that is not everyone.
    pub to: Option<Party>,
    /// What kind of line.
    pub kind: LineKind,
    /// The event's type, as the report names it.
    pub event_type: String,
    /// What was said, or a sentence that says what happened. May have several lines; has no
    /// control character but line ends and tabs.
    pub text: String,
}

/// What kind of line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// Somebody's own words.
    Chat,
    /// A sentence of ours on what happened.
    Event,
}

/// Somebody in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// What kind of party.
    pub kind: ActorKind,
    /// The name; never empty.
    pub name: String,
}

/// The transcript of a session's element.
pub fn transcript(session: &Element) -> Transcript {
    let entries = |list: &str, entry: &'static str| {
        let list = session.child(list).into_iter();
        list.flat_map(move |list| list.elements_named(entry))
    };
    let mut names = HashMap::new();
    let mut customers = Vec::new();
    let mut representatives = Vec::new();
    let every_one = [
        (
            ActorKind::Customer,
            "customer_list",
            "customer",
            &["username"][..],
            &mut customers,
        ),
        (
            ActorKind::Representative,
            "rep_list",
            "representative",
            &["private_display_name", "display_name", "username"][..],
            &mut representatives,
        ),
    ];
    for (kind, list, entry, elements, known) in every_one {
        for person in entries(list, entry) {
            let told = elements.iter().filter_map(|name| person.child(name));
            let Some(name) = told.map(Element::text).find(|name| !name.trim().is_empty()) else {
                continue;
            };
            let name = shown_name(&name);
            if let Some(gsnumber) = person.attribute("gsnumber") {
                names.insert((kind, gsnumber), name.clone());
            }
            known.push(name);
        }
    }
    let mut seen = std::collections::HashSet::new();
    representatives.retain(|name| seen.insert(name.clone()));
    if customers.is_empty() {
        let primary = session.child("primary_customer").map(Element::text);
        customers.extend(
            primary
                .filter(|name| !name.trim().is_empty())
                .map(|name| shown_name(&name)),
        );
    }
    let site = session.child("public_site");
    let site_name = site.map(Element::text).unwrap_or_default();
    let site_id = site.and_then(|site| site.attribute("id")).unwrap_or("1");
    let told = if site_name.trim().is_empty() {
        site_id
    } else {
        &site_name
    };
    let lines = entries("session_details", "event").filter_map(|event| line(event, &names));
    Transcript {
        lsid: one_line(session.attribute("lsid").unwrap_or_default()),
        public_site: shown_name(told),
        start: session.child("start_time").and_then(time),
        end: session.child("end_time").and_then(time),
        lines: lines.collect(),
        customers,
        representatives,
    }
}

/// Names by kind and gsnumber, for events that name nobody.
type Names<'a> = HashMap<(ActorKind, &'a str), String>;

/// The line of an event; none for those that say nothing to a reader.
fn line(event: &Element, names: &Names<'_>) -> Option<Line> {
    let event_type = event.attribute("event_type").unwrap_or_default();
    let who = event
        .child("performed_by")
        .map_or_else(system, |actor| party(actor, names));
    let to = event.child("destination").map(|actor| party(actor, names));
    let kind = EventType::parse(event_type);
    let (kind, text) = match kind {
        Ok(EventType::ChatMessage) => (LineKind::Chat, body(event)?),
        known => {
            let happening = sentence::Happening {
                event,
                who: &who,
                to: to.as_ref(),
            };
            (LineKind::Event, happening.sentence(known.ok(), event_type)?)
        }
    };
    let secs = event
        .attribute("timestamp")
        .and_then(|secs| secs.parse().ok());
    Some(Line {
        at: secs.and_then(|secs| At::from_secs(secs).ok()),
        who,
        to: to.filter(|to| to.kind != ActorKind::Everyone),
        kind,
        event_type: shown_name(event_type),
        text,
    })
}

fn system() -> Party {
    Party {
        kind: ActorKind::System,
        name: "System".into(),
    }
}

fn party(actor: &Element, names: &Names<'_>) -> Party {
    let told = actor.attribute("type").unwrap_or_default();
    let kind = ActorKind::parse(told).unwrap_or(ActorKind::System);
    let name = actor.text();
    if !name.trim().is_empty() {
        let name = shown_name(&name);
        return Party { kind, name };
    }
    let gsnumber = actor.attribute("gsnumber").unwrap_or_default();
    let fallback = match kind {
        ActorKind::System => "System",
        ActorKind::Customer => "Customer",
        ActorKind::Representative => "Representative",
        ActorKind::Everyone => "Everyone",
    };
    let known = names.get(&(kind, gsnumber)).cloned();
    let name = known.unwrap_or_else(|| fallback.into());
    Party { kind, name }
}

/// The text of the event, with everything in it visible; none when it has no body at all.
fn body(event: &Element) -> Option<String> {
    if let Some(body) = event.child("body") {
        return Some(visible(&body.text()));
    }
    let encoded = event.child("encoded_body")?.text();
    let compact: String = encoded.split_ascii_whitespace().collect();
    // What is no base64 is shown as it stands rather than lost.
    let Ok(bytes) = LENIENT.decode(&compact) else {
        return Some(visible(&encoded));
    };
    Some(visible(&String::from_utf8_lossy(&bytes)))
}

/// Base64 of other systems may lack its padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn time(element: &Element) -> Option<At> {
    let secs = element.attribute("timestamp");
    let told = secs.and_then(|secs| At::from_secs(secs.trim().parse().ok()?).ok());
    told.or_else(|| parse_iso(&element.text()))
}

/// Text with every control character but line ends and tabs replaced by its picture.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' if characters.peek() == Some(&'\n') => {}
            // What breaks a line for some readers does so for all.
            '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\n' | '\t' => out.push(c),
            '\0'..' ' => out.extend(char::from_u32(0x2400 + u32::from(c))),
            '\u{7f}' => out.push('\u{2421}'),
            '\u{80}'..'\u{a0}' => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

/// [`visible`], on one line, and without the characters that turn the direction of what follows:
/// a name or a file name stands inside other text.
fn one_line(text: &str) -> String {
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut line = visible(text.trim());
    line = line.replace(['\n', '\t'], " ");
    line.replace(turns, "\u{fffd}")
}

fn shown_name(name: &str) -> String {
    let name = one_line(name);
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}

impl Transcript {
    /// As plain text. A message of several lines goes on indented, so that it cannot pass for
    /// somebody else's.
    pub fn to_text(&self) -> String {
        let mut out = format!("Transcript of session {}\n", self.lsid);
        let end = self.end.map_or("no end is known".into(), iso);
        for (label, value) in [
            ("Customer", self.customers.join(", ")),
            ("Representatives", self.representatives.join(", ")),
            ("Public site", self.public_site.clone()),
            ("Start", self.start.map_or("unknown".into(), iso)),
            ("End", end),
        ] {
            out.push_str(&format!("{label}: {value}\n"));
        }
        out.push('\n');
        for line in &self.lines {
            let at = line.at.map_or("unknown".into(), iso);
            out.push_str(&format!("[{at}] "));
            match (line.kind, &line.to) {
                (LineKind::Event, _) => out.push_str("* "),
                (LineKind::Chat, Some(to)) => {
                    out.push_str(&format!("{} to {}: ", line.who.labelled(), to.labelled()));
                }
                (LineKind::Chat, None) => {
                    out.push_str(&format!("{}: ", line.who.labelled()));
                }
            }
            for (idx, part) in line.text.split('\n').enumerate() {
                if 0 < idx {
                    out.push_str("\n    ");
                }
                out.push_str(part);
            }
            out.push('\n');
        }
        out
    }

    /// As one JSON object: times both in ISO 8601 and in UNIX seconds, null where none is known.
    pub fn to_json(&self) -> String {
        let secs = |at: Option<At>| at.map(At::secs);
        let head = json!({
            "lsid": self.lsid,
            "public_site": self.public_site,
            "customers": self.customers,
            "representatives": self.representatives,
            "start_time": self.start.map(iso),
            "start_timestamp": secs(self.start),
            "end_time": self.end.map(iso),
            "end_timestamp": secs(self.end),
        });
        let mut out = head.to_string();
        out.pop();
        out.push_str(",\"lines\":[");
        // Line by line: a tree of all of them would be many times their size.
        for (idx, line) in self.lines.iter().enumerate() {
            out.push_str(if idx == 0 { "\n" } else { ",\n" });
            let line = json!({
                "time": line.at.map(iso),
                "timestamp": secs(line.at),
                "kind": line.kind.name(),
                "event_type": line.event_type,
                "from": line.who.to_json(),
                "to": line.to.as_ref().map(Party::to_json),
                "text": line.text,
            });
            out.push_str(&line.to_string());
        }
        out.push_str("\n]}\n");
        out
    }
}

impl LineKind {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            LineKind::Chat => "chat",
            LineKind::Event => "event",
        }
    }
}

impl Party {
    fn labelled(&self) -> String {
        match self.kind {
            ActorKind::Customer | ActorKind::Representative => {
                format!("{} ({})", self.name, self.kind.name())
            }
            ActorKind::System | ActorKind::Everyone => self.name.clone(),
        }
    }

    fn to_json(&self) -> Value {
        json!({ "type": self.kind.name(), "name": self.name })
    }
}

#[cfg(test)]
mod tests;
