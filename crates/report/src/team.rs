//! The report `SupportTeam`: who logged in to which team, and out of it.
//!
//! It is about logins, not sessions, so it has a question and an answer of its own. A login counts
//! for the teams that the representative is a member of now.

use std::collections::BTreeMap;
use std::sync::Arc;

use debrief_domain::{ActorKind, At, Directory, EventType, Login, RepId, TeamId, Window};

use crate::dialect::{DECLARATION, Declares, Dialect, ErrorPlace, Nothing};
use crate::write::Xml;

/// Names of the report; the first is its own, the other that of a sister product.
pub(crate) const NAMES: &[&str] = &["SupportTeam", "Team"];
/// The root element of its answer.
const ROOT: &str = "team_activity_list";

/// Logins of one report; a window with more of them is refused.
pub const REPORT_LOGINS_MAX: usize = 50_000;
/// Bytes after which a chunk of the answer is given.
const CHUNK_BYTES: usize = 64 << 10;

/// A parsed question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamQuery {
    /// When the logins began or ended.
    pub window: Window,
    /// The only team that is wanted.
    pub team: Option<TeamId>,
}

/// An answer on its way: an iterator of the chunks of its document.
#[derive(Debug)]
pub struct TeamReport {
    window: Window,
    directory: Arc<Directory>,
    logins: BTreeMap<RepId, Vec<Login>>,
    /// The teams that each of these representatives is a member of.
    memberships: BTreeMap<RepId, Vec<TeamId>>,
    /// Teams that are still to come, the next one last.
    teams: Vec<TeamId>,
    /// What happened in the team that is being told, the next thing last.
    events: Vec<Happened>,
    xml: Xml,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Between two teams.
    Between,
    /// In the middle of a team.
    Within,
    Done,
}

/// A login that began or ended.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Happened {
    at: At,
    /// At one moment, what began earlier ends before something else begins.
    since: At,
    what: What,
    rep: RepId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Added,
    Departed,
}

impl TeamReport {
    /// Begins an answer.
    pub fn begin(
        dialect: &Dialect,
        namespace: &str,
        query: &TeamQuery,
        directory: Arc<Directory>,
        logins: Vec<Login>,
    ) -> TeamReport {
        let mut by_rep: BTreeMap<RepId, Vec<Login>> = BTreeMap::new();
        for login in logins {
            by_rep.entry(login.rep.clone()).or_default().push(login);
        }
        let mut memberships: BTreeMap<RepId, Vec<TeamId>> = BTreeMap::new();
        let mut teams = Vec::new();
        for (id, team) in &directory.teams {
            let members = team.members.iter().filter(|rep| by_rep.contains_key(rep));
            let mut n_members = 0;
            for member in members {
                n_members += 1;
                let entry = memberships.entry(member.clone()).or_default();
                entry.push(id.clone());
            }
            let is_wanted = query.team.as_ref().is_none_or(|only| only == id);
            if is_wanted && 0 < n_members {
                teams.push(id.clone());
            }
        }
        teams.reverse();
        let mut xml = Xml::default();
        start(dialect, namespace, &mut xml);
        TeamReport {
            window: query.window,
            directory,
            logins: by_rep,
            memberships,
            teams,
            events: Vec::new(),
            xml,
            stage: Stage::Between,
        }
    }

    /// The document that answers instead when nothing happened, if the dialect has one.
    pub fn nothing_found(&self, dialect: &Dialect, namespace: &str) -> Option<Vec<u8>> {
        match dialect.nothing {
            Nothing::Error(sentence) if self.teams.is_empty() => {
                Some(error(dialect, namespace, sentence))
            }
            Nothing::Error(_) | Nothing::EmptyList => None,
        }
    }

    /// What happened in a team, latest first.
    fn happened(&self, id: &TeamId) -> Vec<Happened> {
        let members = self.directory.members(id);
        let logins = members.filter_map(|rep| self.logins.get(rep)).flatten();
        let both = logins.flat_map(|login| {
            let added = Some((login.since, What::Added));
            let departed = login.until.map(|until| (until, What::Departed));
            let both = [added, departed].into_iter().flatten();
            both.map(|(at, what)| Happened {
                at,
                since: login.since,
                what,
                rep: login.rep.clone(),
            })
        });
        let in_window = |happened: &Happened| self.window.has(happened.at.secs());
        let mut events: Vec<Happened> = both.filter(in_window).collect();
        events.sort_unstable_by(|a, b| b.cmp(a));
        events
    }

    /// Writes the next piece.
    fn step(&mut self) {
        if let Some(happened) = self.events.pop() {
            self.write(&happened);
            return;
        }
        if self.stage == Stage::Within {
            self.xml.end("events");
            self.xml.end("team_activity");
            self.xml.out.push(b'\n');
            self.stage = Stage::Between;
        }
        let Some(id) = self.teams.pop() else {
            self.xml.end(ROOT);
            self.xml.out.push(b'\n');
            self.stage = Stage::Done;
            return;
        };
        let name = self.directory.team_name(&id).unwrap_or_default();
        let attributes = [("name", name), ("id", id.as_str())];
        self.xml.start("team_activity", &attributes);
        self.xml.start("events", &[]);
        self.events = self.happened(&id);
        self.stage = Stage::Within;
    }

    fn write(&mut self, happened: &Happened) {
        let id = happened.rep.as_str();
        let rep = self.directory.representatives.get(&happened.rep);
        let private_name = rep.map_or(id, |rep| rep.private_display_name.as_str());
        let kind = match happened.what {
            What::Added => EventType::ConferenceMemberAdded,
            What::Departed => EventType::ConferenceMemberDeparted,
        };
        let timestamp = happened.at.secs().to_string();
        let attributes = [
            ("timestamp", timestamp.as_str()),
            ("event_type", kind.name()),
        ];
        self.xml.start("event", &attributes);
        let by = [("type", ActorKind::Representative.name())];
        self.xml.leaf("performed_by", &by, private_name);
        if happened.what == What::Added {
            let teams = self.memberships.get(&happened.rep).into_iter().flatten();
            let teams = teams.filter_map(|team| self.directory.team_name(team));
            let teams = teams.collect::<Vec<_>>().join(", ");
            let data = [
                ("private_name", private_name),
                (
                    "public_name",
                    rep.map_or(id, |rep| &rep.public_display_name),
                ),
                ("username", rep.map_or(id, |rep| &rep.username)),
                ("support_teams", &teams),
                ("user_id", id),
            ];
            self.xml.start("data", &[]);
            for (name, value) in data {
                self.xml
                    .leaf("value", &[("name", name), ("value", value)], "");
            }
            self.xml.end("data");
        }
        self.xml.end("event");
    }
}

impl Iterator for TeamReport {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        while self.stage != Stage::Done && self.xml.out.len() < CHUNK_BYTES {
            self.step();
        }
        let chunk = std::mem::take(&mut self.xml.out);
        (!chunk.is_empty()).then_some(chunk)
    }
}

fn start(dialect: &Dialect, namespace: &str, xml: &mut Xml) {
    const XSI: (&str, &str) = ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance");
    xml.out.extend_from_slice(DECLARATION);
    let own = ("xmlns", namespace);
    match dialect.declares_xsi {
        Declares::Xsi => xml.start(ROOT, &[own, XSI]),
        Declares::Nothing => xml.start(ROOT, &[own]),
    }
    xml.out.push(b'\n');
}

/// An error of this report, as the dialect has it.
pub fn error(dialect: &Dialect, namespace: &str, sentence: &str) -> Vec<u8> {
    let mut xml = Xml::default();
    match dialect.error {
        ErrorPlace::InsideList => {
            start(dialect, namespace, &mut xml);
            xml.leaf("error", &[], sentence);
            xml.out.push(b'\n');
            xml.end(ROOT);
        }
        ErrorPlace::Root => {
            xml.out.extend_from_slice(DECLARATION);
            xml.leaf("error", &[("xmlns", namespace)], sentence);
        }
    }
    xml.out.push(b'\n');
    xml.out
}

#[cfg(test)]
mod tests {
    use debrief_domain::Team;

    use super::*;

    /// An answer of one team whose only member logged in so often, a second each time.
    fn report(n_logins: usize) -> TeamReport {
        let rep = RepId::parse("7").unwrap();
        let id = TeamId::parse("1").unwrap();
        let mut directory = Directory::default();
        let team = Team {
            name: "T".into(),
            members: [rep.clone()].into(),
            issues: Vec::new(),
        };
        directory.teams.insert(id, team);
        let at = |n: usize| At::from_secs(n as i64).unwrap();
        let login = |n| Login {
            rep: rep.clone(),
            since: at(n),
            until: Some(at(n + 1)),
        };
        let query = TeamQuery {
            window: Window {
                from: At::MIN,
                until: None,
            },
            team: None,
        };
        let logins = (0..n_logins).map(login).collect();
        let dialect = Dialect::parse("documented").unwrap();
        TeamReport::begin(dialect, "urn:x", &query, Arc::new(directory), logins)
    }

    #[test]
    fn a_long_answer_comes_in_chunks_that_are_one_document() {
        let chunks: Vec<Vec<u8>> = report(2_000).collect();
        assert!(2 < chunks.len());
        let longest = chunks.iter().map(Vec::len).max().unwrap();
        assert!(longest < CHUNK_BYTES + 1_000, "{longest}");
        let document = String::from_utf8(chunks.concat()).unwrap();
        let document = roxmltree::Document::parse(&document).unwrap();
        let events = document
            .descendants()
            .filter(|node| node.has_tag_name(("urn:x", "event")));
        let told: Vec<(&str, &str)> = events
            .map(|event| {
                let kind = event.attribute("event_type").unwrap();
                (event.attribute("timestamp").unwrap(), kind)
            })
            .collect();
        assert_eq!(told.len(), 4_000);
        // At one second the earlier login ends before the next one begins.
        assert_eq!(
            told[..4],
            [
                ("0", "Conference Member Added"),
                ("1", "Conference Member Departed"),
                ("1", "Conference Member Added"),
                ("2", "Conference Member Departed"),
            ]
        );
    }
}
