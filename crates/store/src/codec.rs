//! Bytes on disk: events, summaries and the directory in a tagged form, converted by hand.
//!
//! A released form may gain a tag, never change one. Events of a session are kept one after the
//! other, each with its length before it.

mod encode;
mod rest;

use std::collections::{BTreeMap, BTreeSet};

use debrief_domain as d;
use prost::Message;

pub(crate) use encode::add_event;
pub(crate) use rest::{events_of, rest_of};

/// Why bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be read")]
pub(crate) struct CodecError {
    what: &'static str,
}

const fn unreadable(what: &'static str) -> CodecError {
    CodecError { what }
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(int64, tag = "2")]
    at: i64,
    #[prost(uint32, tag = "3")]
    kind: u32,
    #[prost(message, optional, tag = "4")]
    performed_by: Option<Actor>,
    #[prost(message, optional, tag = "5")]
    destination: Option<Actor>,
    #[prost(string, optional, tag = "6")]
    body: Option<String>,
    #[prost(bytes = "vec", optional, tag = "7")]
    body_bytes: Option<Vec<u8>>,
    #[prost(string, optional, tag = "8")]
    filename: Option<String>,
    #[prost(uint64, optional, tag = "9")]
    filesize: Option<u64>,
    #[prost(message, repeated, tag = "10")]
    files: Vec<File>,
    #[prost(message, repeated, tag = "11")]
    data: Vec<Pair>,
    #[prost(message, repeated, tag = "12")]
    system_information: Vec<Category>,
    #[prost(message, optional, tag = "13")]
    session: Option<Session>,
    #[prost(message, optional, tag = "14")]
    customer: Option<Customer>,
    #[prost(message, optional, tag = "15")]
    representative: Option<Joined>,
    #[prost(message, optional, tag = "16")]
    team: Option<Name>,
    #[prost(message, optional, tag = "17")]
    survey: Option<Survey>,
    #[prost(message, optional, tag = "18")]
    recording: Option<Recording>,
}

#[derive(Clone, PartialEq, Message)]
struct Actor {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint32, tag = "2")]
    gsnumber: u32,
    #[prost(string, optional, tag = "3")]
    name: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    size: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// An id, and a name where one was given.
#[derive(Clone, PartialEq, Message)]
struct Name {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
    /// The type of a jump group.
    #[prost(string, optional, tag = "3")]
    kind: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Category {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "2")]
    fields: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    rows: Vec<Row>,
}

#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(string, repeated, tag = "1")]
    cells: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Session {
    #[prost(message, optional, tag = "1")]
    public_site: Option<Name>,
    #[prost(message, optional, tag = "2")]
    jumpoint: Option<Name>,
    #[prost(message, optional, tag = "3")]
    jump_group: Option<Name>,
    #[prost(string, optional, tag = "4")]
    external_key: Option<String>,
    #[prost(message, repeated, tag = "5")]
    custom_attributes: Vec<CustomAttribute>,
}

#[derive(Clone, PartialEq, Message)]
struct CustomAttribute {
    #[prost(string, tag = "1")]
    code_name: String,
    #[prost(string, optional, tag = "2")]
    display_name: Option<String>,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Customer {
    #[prost(uint32, tag = "1")]
    gsnumber: u32,
    #[prost(string, tag = "2")]
    username: String,
    #[prost(string, optional, tag = "3")]
    public_ip: Option<String>,
    #[prost(string, optional, tag = "4")]
    private_ip: Option<String>,
    #[prost(string, optional, tag = "5")]
    hostname: Option<String>,
    #[prost(string, optional, tag = "6")]
    os: Option<String>,
    #[prost(string, tag = "7")]
    name: String,
    #[prost(string, tag = "8")]
    company: String,
    #[prost(string, tag = "9")]
    company_code: String,
    #[prost(string, tag = "10")]
    issue: String,
    #[prost(string, tag = "11")]
    details: String,
}

#[derive(Clone, PartialEq, Message)]
struct Joined {
    #[prost(uint32, tag = "1")]
    gsnumber: u32,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(string, tag = "3")]
    username: String,
    #[prost(string, tag = "4")]
    public_display_name: String,
    #[prost(string, tag = "5")]
    private_display_name: String,
    #[prost(string, tag = "6")]
    display_number: String,
    #[prost(string, optional, tag = "7")]
    public_ip: Option<String>,
    #[prost(string, optional, tag = "8")]
    private_ip: Option<String>,
    #[prost(string, optional, tag = "9")]
    hostname: Option<String>,
    #[prost(string, optional, tag = "10")]
    os: Option<String>,
    #[prost(string, repeated, tag = "11")]
    support_teams: Vec<String>,
    #[prost(bool, tag = "12")]
    invited: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Survey {
    #[prost(message, repeated, tag = "1")]
    questions: Vec<Question>,
}

#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    kind: String,
    #[prost(string, tag = "3")]
    label: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "5")]
    report_header: String,
    #[prost(string, repeated, tag = "6")]
    answers: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Recording {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint32, tag = "2")]
    instance: u32,
}

/// What a session's index row remembers: of a session made of events its summary, of an imported
/// one the facts its document told.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Facts {
    #[prost(int64, optional, tag = "1")]
    started: Option<i64>,
    #[prost(int64, optional, tag = "2")]
    first: Option<i64>,
    #[prost(int64, optional, tag = "3")]
    last: Option<i64>,
    #[prost(int64, optional, tag = "4")]
    ended: Option<i64>,
    #[prost(uint32, repeated, tag = "5")]
    owners: Vec<u32>,
    #[prost(message, repeated, tag = "6")]
    joined: Vec<FirstJoin>,
    #[prost(string, repeated, tag = "7")]
    teams: Vec<String>,
    #[prost(string, optional, tag = "8")]
    site: Option<String>,
    #[prost(int64, tag = "9")]
    site_at: i64,
    /// Of an imported session: owners by user id, and the digest of its document.
    #[prost(string, repeated, tag = "10")]
    pub(crate) owner_ids: Vec<String>,
    #[prost(bytes = "vec", tag = "11")]
    pub(crate) digest: Vec<u8>,
    #[prost(uint64, tag = "12")]
    pub(crate) n_events: u64,
    /// Bytes of its events.
    #[prost(uint64, tag = "13")]
    pub(crate) n_bytes: u64,
}

#[derive(Clone, PartialEq, Message)]
struct FirstJoin {
    #[prost(uint32, tag = "1")]
    gsnumber: u32,
    #[prost(int64, tag = "2")]
    at: i64,
    #[prost(string, tag = "3")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct Directory {
    #[prost(message, repeated, tag = "1")]
    representatives: Vec<Joined>,
    #[prost(message, repeated, tag = "2")]
    teams: Vec<Team>,
    #[prost(message, repeated, tag = "3")]
    sites: Vec<Name>,
    #[prost(message, repeated, tag = "4")]
    custom_fields: Vec<Name>,
}

#[derive(Clone, PartialEq, Message)]
struct Team {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, repeated, tag = "3")]
    members: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    issues: Vec<Name>,
}

/// The events in bytes that [`add_event`] made, one after the other.
pub(crate) fn events(mut bytes: &[u8], lsid: &d::Lsid) -> Result<Vec<d::Event>, CodecError> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let wire =
            Event::decode_length_delimited(&mut bytes).map_err(|_| unreadable("an event"))?;
        events.push(event_in(wire, lsid).ok_or(unreadable("an event"))?);
    }
    Ok(events)
}

fn event_in(wire: Event, lsid: &d::Lsid) -> Option<d::Event> {
    let at = d::At::from_millis(wire.at).ok()?;
    let kind = d::EventType::from_number(wire.kind)?;
    let mut event = d::Event::new(d::EventId::parse(&wire.id).ok()?, lsid.clone(), at, kind);
    event.performed_by = wire.performed_by.and_then(actor_in);
    event.destination = wire.destination.and_then(actor_in);
    event.body = match (wire.body, wire.body_bytes) {
        (Some(text), _) => Some(d::Body::Text(text)),
        (None, Some(bytes)) => Some(d::Body::Bytes(bytes)),
        (None, None) => None,
    };
    event.filename = wire.filename;
    event.filesize = wire.filesize;
    let files = wire.files.into_iter();
    event.files = files
        .map(|f| d::FileEntry {
            name: f.name,
            size: f.size,
        })
        .collect();
    event.data = wire
        .data
        .into_iter()
        .map(|pair| (pair.name, pair.value))
        .collect();
    let categories = wire.system_information.into_iter();
    event.system_information = categories
        .map(|category| d::Category {
            name: category.name,
            fields: category.fields,
            rows: category.rows.into_iter().map(|row| row.cells).collect(),
        })
        .collect();
    event.session = wire.session.map(session_in).map(Box::new);
    event.customer = wire.customer.map(customer_in).map(Box::new);
    event.representative = match wire.representative {
        Some(joined) => Some(Box::new(joined_in(joined)?)),
        None => None,
    };
    event.team = match wire.team {
        Some(team) => Some(d::TeamRef {
            id: d::TeamId::parse(&team.id).ok()?,
            name: team.name,
        }),
        None => None,
    };
    event.survey = wire.survey.map(survey_in).map(Box::new);
    event.recording = wire.recording.and_then(|recording| {
        let kind = d::RecordingKind::ALL.into_iter();
        let kind = kind
            .into_iter()
            .find(|kind| recording_number(*kind) == recording.kind)?;
        Some(d::Recording {
            kind,
            instance: recording.instance,
        })
    });
    Some(event)
}

fn actor_number(kind: d::ActorKind) -> u32 {
    match kind {
        d::ActorKind::System => 0,
        d::ActorKind::Customer => 1,
        d::ActorKind::Representative => 2,
        d::ActorKind::Everyone => 3,
    }
}

fn actor_in(wire: Actor) -> Option<d::Actor> {
    let kind = d::ActorKind::ALL
        .into_iter()
        .find(|kind| actor_number(*kind) == wire.kind)?;
    Some(d::Actor {
        kind,
        gsnumber: wire.gsnumber,
        name: wire.name,
    })
}

fn recording_number(kind: d::RecordingKind) -> u32 {
    match kind {
        d::RecordingKind::Session => 0,
        d::RecordingKind::ShowMyScreen => 1,
        d::RecordingKind::CommandShell => 2,
    }
}

fn session_in(wire: Session) -> d::SessionContext {
    let site = wire
        .public_site
        .and_then(|site| Some((d::SiteId::parse(&site.id).ok()?, site.name)));
    let attributes = wire.custom_attributes.into_iter();
    d::SessionContext {
        public_site: site,
        jumpoint: wire.jumpoint.map(|named| d::Named {
            id: named.id,
            name: named.name.unwrap_or_default(),
        }),
        jump_group: wire.jump_group.map(|group| d::JumpGroup {
            kind: group.kind.unwrap_or_default(),
            id: group.id,
            name: group.name.unwrap_or_default(),
        }),
        external_key: wire.external_key,
        custom_attributes: attributes
            .filter_map(|attribute| {
                Some(d::CustomAttribute {
                    code_name: d::CodeName::parse(&attribute.code_name).ok()?,
                    display_name: attribute.display_name,
                    value: attribute.value,
                })
            })
            .collect(),
    }
}

fn customer_in(wire: Customer) -> d::Customer {
    d::Customer {
        gsnumber: wire.gsnumber,
        username: wire.username,
        public_ip: wire.public_ip.and_then(|ip| ip.parse().ok()),
        private_ip: wire.private_ip,
        hostname: wire.hostname,
        os: wire.os,
        info: d::CustomerInfo {
            name: wire.name,
            company: wire.company,
            company_code: wire.company_code,
            issue: wire.issue,
            details: wire.details,
        },
    }
}

fn joined_in(wire: Joined) -> Option<d::Joined> {
    Some(d::Joined {
        gsnumber: wire.gsnumber,
        id: d::RepId::parse(&wire.id).ok()?,
        username: wire.username,
        public_display_name: wire.public_display_name,
        private_display_name: wire.private_display_name,
        display_number: wire.display_number,
        public_ip: wire.public_ip.and_then(|ip| ip.parse().ok()),
        private_ip: wire.private_ip,
        hostname: wire.hostname,
        os: wire.os,
        support_teams: wire.support_teams,
        invitation: match wire.invited {
            true => d::Invitation::Invited,
            false => d::Invitation::Regular,
        },
    })
}

fn survey_in(wire: Survey) -> d::Survey {
    let questions = wire.questions.into_iter();
    d::Survey {
        questions: questions
            .map(|question| d::Question {
                id: question.id,
                kind: question.kind,
                label: question.label,
                name: question.name,
                report_header: question.report_header,
                answers: question.answers,
            })
            .collect(),
    }
}

impl Facts {
    /// The facts of a session made of events.
    pub(crate) fn of_summary(summary: &d::Summary, n_events: u64, n_bytes: u64) -> Facts {
        let millis = |at: Option<d::At>| at.map(d::At::millis);
        let joined = summary.joined.iter();
        Facts {
            started: millis(summary.started),
            first: millis(summary.first),
            last: millis(summary.last),
            ended: millis(summary.ended),
            owners: summary.owners.iter().copied().collect(),
            joined: joined
                .map(|(gsnumber, (at, id))| FirstJoin {
                    gsnumber: *gsnumber,
                    at: at.millis(),
                    id: id.as_str().into(),
                })
                .collect(),
            teams: summary
                .teams
                .iter()
                .map(|team| team.as_str().into())
                .collect(),
            site: summary.site.as_ref().map(|(_, id)| id.as_str().into()),
            site_at: summary.site.as_ref().map_or(0, |(at, _)| at.millis()),
            n_events,
            n_bytes,
            ..Facts::default()
        }
    }

    /// The summary of a session made of events.
    pub(crate) fn summary(&self) -> Result<d::Summary, CodecError> {
        let at = |millis: Option<i64>| millis.and_then(|millis| d::At::from_millis(millis).ok());
        let joined = self.joined.iter().map(|join| {
            let id = d::RepId::parse(&join.id).ok()?;
            Some((join.gsnumber, (d::At::from_millis(join.at).ok()?, id)))
        });
        let joined: Option<BTreeMap<_, _>> = joined.collect();
        let teams: Option<BTreeSet<_>> = self
            .teams
            .iter()
            .map(|team| d::TeamId::parse(team).ok())
            .collect();
        let site = self.site.as_ref().and_then(|id| {
            Some((
                d::At::from_millis(self.site_at).ok()?,
                d::SiteId::parse(id).ok()?,
            ))
        });
        Ok(d::Summary {
            started: at(self.started),
            first: at(self.first),
            last: at(self.last),
            ended: at(self.ended),
            owners: self.owners.iter().copied().collect(),
            joined: joined.ok_or(unreadable("a summary"))?,
            teams: teams.ok_or(unreadable("a summary"))?,
            site,
        })
    }

    /// The facts of an imported session.
    pub(crate) fn of_document(document: &crate::Document) -> Facts {
        Facts {
            last: document.last_event.map(d::At::millis),
            ended: document.end.map(d::At::millis),
            teams: document
                .teams
                .iter()
                .map(|team| team.as_str().into())
                .collect(),
            site: Some(document.site.as_str().into()),
            owner_ids: document
                .owners
                .iter()
                .map(|owner| owner.as_str().into())
                .collect(),
            digest: document.digest.to_vec(),
            n_events: document.n_events,
            ..Facts::default()
        }
    }

    /// What makes one version of an imported session newer than another: ended beats running,
    /// then the later last event, then more events.
    pub(crate) fn rank(&self) -> (bool, Option<i64>, u64) {
        (self.ended.is_some(), self.last, self.n_events)
    }

    /// User ids of the owners, teams and the site of an imported session.
    pub(crate) fn imported(&self) -> (Vec<String>, Vec<String>, String) {
        (
            self.owner_ids.clone(),
            self.teams.clone(),
            self.site.clone().unwrap_or_default(),
        )
    }

    /// Reads bytes of [`Facts::bytes`].
    pub(crate) fn read(bytes: &[u8]) -> Result<Facts, CodecError> {
        Facts::decode(bytes).map_err(|_| unreadable("the facts of a session"))
    }

    /// The facts as bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }
}

/// The directory as bytes.
pub(crate) fn directory_bytes(directory: &d::Directory) -> Vec<u8> {
    let name = |id: &str, name: &str| Name {
        id: id.into(),
        name: Some(name.into()),
        kind: None,
    };
    let representatives = directory.representatives.iter();
    let teams = directory.teams.iter();
    let wire = Directory {
        representatives: representatives
            .map(|(id, rep)| Joined {
                id: id.as_str().into(),
                username: rep.username.clone(),
                public_display_name: rep.public_display_name.clone(),
                private_display_name: rep.private_display_name.clone(),
                display_number: rep.display_number.clone(),
                ..Joined::default()
            })
            .collect(),
        teams: teams
            .map(|(id, team)| Team {
                id: id.as_str().into(),
                name: team.name.clone(),
                members: team
                    .members
                    .iter()
                    .map(|member| member.as_str().into())
                    .collect(),
                issues: team
                    .issues
                    .iter()
                    .map(|issue| name(&issue.id, &issue.title))
                    .collect(),
            })
            .collect(),
        sites: directory
            .sites
            .iter()
            .map(|(id, site)| name(id.as_str(), &site.name))
            .collect(),
        custom_fields: directory
            .custom_fields
            .iter()
            .map(|(code, field)| name(code.as_str(), &field.display_name))
            .collect(),
    };
    wire.encode_to_vec()
}

/// Reads bytes of [`directory_bytes`].
pub(crate) fn directory(bytes: &[u8]) -> Result<d::Directory, CodecError> {
    let wire = Directory::decode(bytes).map_err(|_| unreadable("the directory"))?;
    directory_in(wire).ok_or(unreadable("the directory"))
}

fn directory_in(wire: Directory) -> Option<d::Directory> {
    let mut directory = d::Directory::default();
    for rep in wire.representatives {
        let entry = d::Representative {
            username: rep.username,
            public_display_name: rep.public_display_name,
            private_display_name: rep.private_display_name,
            display_number: rep.display_number,
        };
        directory
            .representatives
            .insert(d::RepId::parse(&rep.id).ok()?, entry);
    }
    for team in wire.teams {
        let members: Option<BTreeSet<_>> = team
            .members
            .iter()
            .map(|member| d::RepId::parse(member).ok())
            .collect();
        let issues = team.issues.into_iter();
        let entry = d::Team {
            name: team.name,
            members: members?,
            issues: issues
                .map(|issue| d::Issue {
                    id: issue.id,
                    title: issue.name.unwrap_or_default(),
                })
                .collect(),
        };
        directory
            .teams
            .insert(d::TeamId::parse(&team.id).ok()?, entry);
    }
    for site in wire.sites {
        let entry = d::Site {
            name: site.name.unwrap_or_default(),
        };
        directory
            .sites
            .insert(d::SiteId::parse(&site.id).ok()?, entry);
    }
    for field in wire.custom_fields {
        let entry = d::CustomField {
            display_name: field.name.unwrap_or_default(),
        };
        directory
            .custom_fields
            .insert(d::CodeName::parse(&field.id).ok()?, entry);
    }
    Some(directory)
}

#[cfg(test)]
mod tests;
