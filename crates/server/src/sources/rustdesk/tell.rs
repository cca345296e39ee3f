//! What the report is told: events, made of what a device has said. Their ids are made of the
//! session and of what the message is known by, so that telling again changes nothing.

use std::net::{IpAddr, SocketAddr};

use debrief_domain::{
    Actor, ActorKind, At, Body, Customer, Event, EventId, EventType, Invitation, Joined, Lsid,
    RepId, SessionContext, SiteId,
};
use sha2::{Digest as _, Sha256};

use super::message::{Direction, Facts, Files, LogsIn};
use crate::http::hex;

/// The customer's number in every session.
const CUSTOMER: u32 = 1;
/// The representative's.
const REP: u32 = 2;

/// A session that events are told of.
pub(super) struct Teller<'a> {
    pub(super) lsid: Lsid,
    /// What the message is known by.
    pub(super) key: &'a str,
    pub(super) events: &'a mut Vec<Event>,
}

/// Who controls the device.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Controller {
    /// The user id in reports.
    pub(super) rep: String,
    pub(super) username: String,
    pub(super) name: String,
    pub(super) hostname: Option<String>,
}

/// The session of a controlled device, a controlling one, and the window's random number: all
/// connections of a window are one session.
pub(super) fn lsid(device: &str, peer: &str, session_id: u64) -> Lsid {
    let words = word(&["session", device, peer, &session_id.to_string()]);
    Lsid::parse(&words).expect("hexadecimal digits are taken")
}

/// 32 digits of a hash of these words.
pub(super) fn word(words: &[&str]) -> String {
    let mut hash = Sha256::new();
    for word in words {
        hash.update((word.len() as u64).to_le_bytes());
        hash.update(word);
    }
    hex(&hash.finalize()[..16])
}

/// The user id of somebody of whom only the device is known.
pub(super) fn rep_of_peer(peer: &str) -> String {
    match RepId::parse(peer) {
        Ok(rep) => rep.to_string(),
        Err(_) => word(&["peer", peer]),
    }
}

impl Teller<'_> {
    /// An event that there is one of in the session.
    fn once(&mut self, what: &str, at: At, kind: EventType) -> &mut Event {
        let id = format!("{}-{what}", self.lsid);
        self.push(id, at, kind)
    }

    /// An event of this message.
    fn tell(&mut self, what: &str, at: At, kind: EventType) -> &mut Event {
        let id = format!("{}-{what}-{}", self.lsid, self.key);
        self.push(id, at, kind)
    }

    fn push(&mut self, id: String, at: At, kind: EventType) -> &mut Event {
        let id = EventId::parse(&id).expect("it is short and has no control characters");
        self.events
            .push(Event::new(id, self.lsid.clone(), at, kind));
        self.events.last_mut().expect("it was just pushed")
    }

    /// The session begins.
    pub(super) fn start(
        &mut self,
        at: At,
        device: &str,
        facts: &Facts,
        address: Option<IpAddr>,
        site: Option<&SiteId>,
    ) {
        let name = facts.username.clone().or_else(|| facts.hostname.clone());
        let customer = Customer {
            gsnumber: CUSTOMER,
            username: name.unwrap_or_else(|| device.to_owned()),
            public_ip: address.map(|ip| SocketAddr::new(ip, 0)),
            hostname: facts.hostname.clone(),
            os: facts.os.clone(),
            ..Customer::default()
        };
        let event = self.once("start", at, EventType::SessionStart);
        event.session = Some(Box::new(SessionContext {
            public_site: site.map(|site| (site.clone(), None)),
            ..SessionContext::default()
        }));
        let actor = actor(ActorKind::Customer, CUSTOMER, &customer.username);
        let event = self.once("customer", at, EventType::ConferenceMemberAdded);
        event.performed_by = Some(actor);
        event.data = vec![("rustdesk_id".into(), device.into())];
        if let Some(version) = &facts.version {
            let version = ("rustdesk_version".to_owned(), version.clone());
            event.data.push(version);
        }
        event.customer = Some(Box::new(customer));
    }

    /// The controlling person is there, for the first time or again.
    pub(super) fn join(&mut self, at: At, who: &Controller, peer: &str, ip: Option<&str>) {
        let Ok(id) = RepId::parse(&who.rep) else {
            return;
        };
        let joined = Joined {
            gsnumber: REP,
            id,
            username: who.username.clone(),
            public_display_name: who.name.clone(),
            private_display_name: who.name.clone(),
            display_number: String::new(),
            public_ip: ip
                .and_then(|ip| ip.parse().ok())
                .map(|ip| SocketAddr::new(ip, 0)),
            private_ip: None,
            hostname: who.hostname.clone(),
            os: None,
            support_teams: Vec::new(),
            invitation: Invitation::Regular,
        };
        let event = self.tell("join", at, EventType::ConferenceMemberAdded);
        event.performed_by = Some(actor(ActorKind::Representative, REP, &who.name));
        event.data = vec![("rustdesk_id".into(), peer.into())];
        event.representative = Some(Box::new(joined));
        let event = self.once("owner", at, EventType::ConferenceOwnerChanged);
        event.data = vec![("owner".into(), who.name.clone())];
        event.destination = Some(actor(ActorKind::Representative, REP, &who.name));
    }

    /// How somebody logged in, in numbers of the client's own.
    pub(super) fn log_in(&mut self, at: At, who: &Controller, login: &LogsIn) {
        if let Some(event) = self
            .events
            .iter_mut()
            .rfind(|event| event.representative.is_some() && event.lsid == self.lsid)
        {
            let numbers = [
                ("rustdesk_type", login.kind),
                ("rustdesk_primary_auth", login.primary_auth),
                ("rustdesk_two_factor", login.two_factor),
            ];
            for (name, number) in numbers {
                let number = number.map(|number| (name.to_owned(), number.to_string()));
                event.data.extend(number);
            }
        }
        if login.kind == Some(REMOTE_DESKTOP) {
            let sentence = format!("{} can now view and control the endpoint.", who.name);
            let event = self.tell("control", at, EventType::ChatMessage);
            event.performed_by = Some(actor(ActorKind::System, 0, ""));
            event.destination = Some(actor(ActorKind::Everyone, 0, ""));
            event.body = Some(Body::Text(sentence));
        }
    }

    /// Files begin to travel.
    pub(super) fn send(&mut self, at: At, who: &Controller, customer: &str, files: &Files) {
        let kind = match files.direction {
            Direction::Download => EventType::FileDownload,
            Direction::Upload => EventType::FileUpload,
        };
        let rep = actor(ActorKind::Representative, REP, &who.name);
        let customer = actor(ActorKind::Customer, CUSTOMER, customer);
        let event = self.tell("file", at, kind);
        event.performed_by = Some(rep);
        event.destination = Some(customer);
        // A single entry without a name: the path is the file's.
        let is_file = matches!(&files.files[..], [only] if only.name.is_empty());
        if is_file || files.files.is_empty() {
            event.filename = Some(files.path.clone());
            event.filesize = files.files.first().map(|file| file.size);
            return;
        }
        let first = files.files.first();
        event.filename = first.map(|file| file.name.clone());
        event.filesize = first.map(|file| file.size);
        event.files.clone_from(&files.files);
        if !files.path.is_empty() {
            event.data.push(("folder".into(), files.path.clone()));
        }
        if (files.files.len() as u64) < files.n_files {
            let n_files = files.n_files.to_string();
            event.data.push(("files_in_all".into(), n_files));
        }
    }

    /// Somebody wrote something down. `tickets` are what numbers of tickets begin with.
    pub(super) fn note(&mut self, at: At, name: &str, note: &str, tickets: &[String]) {
        let event = self.tell("note", at, EventType::SessionNoteAdded);
        event.performed_by = Some(actor(ActorKind::Representative, REP, name));
        event.body = Some(Body::Text(note.to_owned()));
        let Some(ticket) = ticket(note, tickets) else {
            return;
        };
        let event = self.tell("ticket", at, EventType::ExternalKey);
        event.session = Some(Box::new(SessionContext {
            external_key: Some(ticket.to_owned()),
            ..SessionContext::default()
        }));
    }

    /// The last connection is over.
    pub(super) fn end(&mut self, at: At, who: &Controller, why: Option<&str>) {
        let event = self.tell("left", at, EventType::ConferenceMemberDeparted);
        event.performed_by = Some(actor(ActorKind::Representative, REP, &who.name));
        let event = self.tell("end", at, EventType::SessionEnd);
        event.data = why
            .map(|why| ("reason".into(), why.into()))
            .into_iter()
            .collect();
    }
}

/// The connection type of a remote desktop.
pub(super) const REMOTE_DESKTOP: i64 = 0;

/// The first word of a note that is one of these beginnings and digits.
fn ticket<'a>(note: &'a str, beginnings: &[String]) -> Option<&'a str> {
    let mut words = note.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_');
    words.find(|word| {
        beginnings.iter().any(|beginning| {
            let digits = word.strip_prefix(beginning.as_str()).unwrap_or("");
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        })
    })
}

fn actor(kind: ActorKind, gsnumber: u32, name: &str) -> Actor {
    Actor {
        kind,
        gsnumber,
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_a_whole_word() {
        let beginnings = ["INC".to_owned(), "REQ-".to_owned()];
        let found = |note| ticket(note, &beginnings);
        assert_eq!(found("ticket INC0012345, done"), Some("INC0012345"));
        assert_eq!(found("(REQ-7)"), Some("REQ-7"));
        for none in ["INC", "INCOMING 7", "xINC7", "INC7x", "", "7"] {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(ticket("INC7", &[]), None);
    }

    #[test]
    fn sessions_differ_by_each_of_their_three_parts() {
        let one = lsid("1", "2", 3);
        assert_eq!(one, lsid("1", "2", 3));
        for other in [
            lsid("2", "2", 3),
            lsid("1", "3", 3),
            lsid("1", "2", 4),
            lsid("12", "", 3),
        ] {
            assert_ne!(one, other);
        }
        // As doubles these two are the same number.
        assert_ne!(lsid("1", "2", u64::MAX), lsid("1", "2", u64::MAX - 1));
    }
}
