//! `SupportSessionSummary`: sessions counted by representative, team or public site.
//!
//! The vendor's page names the root and its rows; what stands in a row is Debrief's own decision.
//! A row counts the sessions that `SupportSession` gives with the same window and `limit=rep:ID`,
//! `team:ID` or `site:ID`.

use std::collections::BTreeMap;

use debrief_domain::limits::NAME_CHARS_MAX;
use debrief_domain::{Directory, RepId, SiteId, TeamId};

use super::{NeighbourError, Session};
use crate::ask::Group;
use crate::element::Element;
use crate::read::{owners, seconds, site, teams};
use crate::sealed::SealedError;
use crate::time::hms;
use crate::write::Xml;

/// Rows of a summary: each is held in memory until the last session has been counted.
pub const SUMMARY_ROWS_MAX: usize = 40_000;

/// Sessions counted so far.
pub(super) struct Summary {
    group: Group,
    rows: BTreeMap<Id, Row>,
    rows_max: usize,
}

/// An id in an order that has numbers ascend.
type Id = (usize, Box<str>);

#[derive(Default)]
struct Row {
    n_sessions: u64,
    /// Of these, those whose length is known.
    n_timed: u64,
    seconds: u64,
    told: Told,
}

/// What the latest session with a name calls it: what counts when the directory does not know it.
#[derive(Default)]
struct Told {
    username: String,
    name: String,
}

impl Summary {
    pub(super) fn new(group: Group) -> Summary {
        Summary {
            group,
            rows: BTreeMap::new(),
            rows_max: SUMMARY_ROWS_MAX,
        }
    }

    /// Counts a session.
    pub(super) fn take(&mut self, session: &mut Session<'_>) -> Result<(), NeighbourError> {
        self.count(&read(self.group, session)?)
    }

    fn count(&mut self, session: &Element) -> Result<(), NeighbourError> {
        let ids: Vec<Box<str>> = match self.group {
            Group::Rep => owners(session)
                .iter()
                .map(|id| id.as_str().into())
                .collect(),
            Group::Team => teams(session).iter().map(|id| id.as_str().into()).collect(),
            Group::Site => vec![site(session).as_str().into()],
        };
        let seconds = seconds(session);
        for id in ids {
            let told = told(self.group, session, &id);
            let key = (id.len(), id);
            if self.rows.len() == self.rows_max && !self.rows.contains_key(&key) {
                return Err(NeighbourError::TooManyRows);
            }
            let row = self.rows.entry(key).or_default();
            row.n_sessions += 1;
            row.n_timed += u64::from(seconds.is_some());
            row.seconds = row.seconds.saturating_add(seconds.unwrap_or(0));
            if !told.name.is_empty() {
                row.told = told;
            }
        }
        Ok(())
    }

    /// Appends every row, and gives their number.
    pub(super) fn write(self, directory: &Directory, out: &mut Vec<u8>) -> u64 {
        let mut xml = Xml::default();
        for ((_, id), row) in &self.rows {
            xml.nest("summary", &[("id", id)], |xml| {
                let (username, name) = names(self.group, id, &row.told, directory);
                if let Some(username) = username {
                    xml.leaf("username", &[], username);
                }
                xml.leaf("display_name", &[], name);
                xml.number("total_sessions", row.n_sessions);
                xml.leaf("total_duration", &[], &hms(row.seconds));
                let average = row.seconds.checked_div(row.n_timed).unwrap_or(0);
                xml.leaf("average_duration", &[], &hms(average));
            });
            xml.out.push(b'\n');
        }
        out.extend_from_slice(&xml.out);
        self.rows.len() as u64
    }
}

/// As much of the session as is counted: the site stands before the links.
fn read(group: Group, session: &mut Session<'_>) -> Result<Element, SealedError> {
    if group == Group::Site {
        let head = session.head()?;
        if head.child("public_site").is_some() && head.child("duration").is_some() {
            return Ok(head);
        }
    }
    let text = session.text()?;
    session.read(&text)
}

/// User name, for representatives, and display name: the current ones, or else those told.
fn names<'a>(
    group: Group,
    id: &str,
    told: &'a Told,
    directory: &'a Directory,
) -> (Option<&'a str>, &'a str) {
    let name = match group {
        Group::Rep => {
            let rep = RepId::parse(id).ok();
            let Some(rep) = rep.and_then(|id| directory.representatives.get(&id)) else {
                return (Some(&told.username), &told.name);
            };
            let names = [&rep.private_display_name, &told.name, &rep.username];
            let name = names.into_iter().find(|name| !name.is_empty());
            return (Some(&rep.username), name.map_or("", |name| name));
        }
        Group::Team => TeamId::parse(id)
            .ok()
            .and_then(|id| directory.team_name(&id)),
        Group::Site => SiteId::parse(id)
            .ok()
            .and_then(|id| directory.site_name(&id)),
    };
    (None, name.unwrap_or(&told.name))
}

/// What the session calls this representative, team or site.
fn told(group: Group, session: &Element, id: &str) -> Told {
    let is_it = |element: &&Element| element.attribute("id") == Some(id);
    let in_list = |list: &str, name: &str| {
        let list = session.child(list)?;
        list.elements_named(name).filter(is_it).last()
    };
    let child = |name: &str| session.child(name).filter(is_it);
    let text = |element: Option<&Element>| element.map(short).unwrap_or_default();
    let plain = |name| Told {
        name,
        username: String::new(),
    };
    match group {
        Group::Rep => {
            let rep = in_list("rep_list", "representative");
            let of = |name: &str| text(rep.and_then(|rep| rep.child(name)));
            let username = of("username");
            let names = [
                of("private_display_name"),
                of("display_name"),
                text(child("primary_rep")),
                username.clone(),
            ];
            let name = names.into_iter().find(|name| !name.is_empty());
            Told {
                name: name.unwrap_or_default(),
                username,
            }
        }
        Group::Team => plain(text(
            in_list("team_list", "team").or_else(|| child("primary_team")),
        )),
        Group::Site => plain(text(child("public_site"))),
    }
}

/// A name that is kept: documents may have names of any length.
fn short(element: &Element) -> String {
    element.text().chars().take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::read::read_own;

    fn of_team(id: &str) -> Element {
        let session = format!(
            "<session><duration>00:00:10</duration>\
             <team_list><team id=\"{id}\">Team {id}</team></team_list></session>"
        );
        read_own(session.as_bytes(), Dialect::NAMESPACE).unwrap()
    }

    #[test]
    fn a_summary_has_at_most_so_many_rows() {
        let mut summary = Summary {
            rows_max: 3,
            ..Summary::new(Group::Team)
        };
        for id in ["10", "2", "1", "10", "2"] {
            summary.count(&of_team(id)).unwrap();
        }
        let more = summary.count(&of_team("3"));
        assert_eq!(more, Err(NeighbourError::TooManyRows));
        let ids: Vec<&str> = summary.rows.keys().map(|(_, id)| &**id).collect();
        assert_eq!(ids, ["1", "2", "10"]);
    }
}
