//! The stage a session is told on: it keeps the time, numbers events, and knows who is present.

use debrief_domain::{
    Actor, ActorKind, At, Body, Customer, Event, EventId, EventType, Invitation, Joined, Lsid,
    RepId,
};

use super::details::Details;
use super::dice::Dice;
use super::people::{self, Cast, Tongue};
use super::problems::Trouble;
use super::words::{self, Phrases};

/// A session while it is being told.
pub(super) struct Stage<'a> {
    /// Everyone who can be called in.
    pub(super) cast: &'a Cast,
    /// This session's dice.
    pub(super) dice: Dice,
    /// The moment the archive is looked at.
    pub(super) now: At,
    /// The session.
    lsid: Lsid,
    /// The present, in milliseconds.
    clock: i64,
    /// What has happened.
    pub(super) events: Vec<Event>,
    /// The number the next party gets.
    next_gsnumber: u32,
    /// What is spoken.
    pub(super) tongue: Tongue,
    /// What it is about.
    pub(super) trouble: Trouble,
    /// The concrete things.
    pub(super) details: Details,
    /// The customer.
    pub(super) customer: Customer,
    /// Representatives in the session; the first one leads.
    pub(super) crew: Vec<Member>,
    /// How many command shells were opened.
    pub(super) n_shells: u32,
    /// How many events there were when the end began.
    pub(super) closing: Option<usize>,
}

/// A representative in the session.
#[derive(Clone)]
pub(super) struct Member {
    /// The index in the cast; none for an invited guest.
    pub(super) rep: Option<usize>,
    /// How they joined.
    pub(super) joined: Joined,
}

impl Member {
    /// This member as a party of an event.
    pub(super) fn actor(&self) -> Actor {
        let name = Some(self.joined.private_display_name.clone());
        Actor {
            kind: ActorKind::Representative,
            gsnumber: self.joined.gsnumber,
            name,
        }
    }
}

/// What a stage is opened with.
pub(super) struct Opening {
    /// The session's id.
    pub(super) lsid: Lsid,
    /// When it begins.
    pub(super) start: At,
    /// The number of its first party.
    pub(super) gsnumber: u32,
    /// What is spoken.
    pub(super) tongue: Tongue,
    /// What it is about.
    pub(super) trouble: Trouble,
    /// The concrete things.
    pub(super) details: Details,
    /// The customer; the number is given here.
    pub(super) customer: Customer,
}

impl<'a> Stage<'a> {
    /// An empty stage.
    pub(super) fn open(cast: &'a Cast, dice: Dice, now: At, opening: Opening) -> Stage<'a> {
        let Opening {
            lsid,
            start,
            gsnumber,
            tongue,
            trouble,
            details,
            mut customer,
        } = opening;
        customer.gsnumber = gsnumber;
        Stage {
            cast,
            dice,
            now,
            lsid,
            clock: start.millis(),
            events: Vec::new(),
            next_gsnumber: gsnumber + 1,
            tongue,
            trouble,
            details,
            customer,
            crew: Vec::new(),
            n_shells: 0,
            closing: None,
        }
    }

    /// The present.
    pub(super) fn at(&self) -> At {
        let millis = self.clock.clamp(At::MIN.millis(), At::MAX.millis());
        At::from_millis(millis).expect("it was just held inside the limits")
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, low_secs: i64, high_secs: i64) {
        self.clock += self.dice.between(low_secs * 1000, high_secs * 1000);
    }

    /// Something happens.
    pub(super) fn push(&mut self, kind: EventType) -> &mut Event {
        let id = EventId::parse(&format!("{}-{}", self.lsid, self.events.len()))
            .expect("hexadecimal digits, a hyphen and a number make an id");
        let event = Event::new(id, self.lsid.clone(), self.at(), kind);
        self.clock += self.dice.between(3, 90);
        self.events.push(event);
        self.events.last_mut().expect("one was just pushed")
    }

    /// Somebody does something.
    pub(super) fn act(&mut self, kind: EventType, actor: Actor) -> &mut Event {
        let event = self.push(kind);
        event.performed_by = Some(actor);
        event
    }

    /// Whether the customer's computer is one with drive letters and a registry.
    pub(super) fn runs_windows(&self) -> bool {
        self.customer
            .os
            .as_ref()
            .is_none_or(|os| os.starts_with("Windows"))
    }

    /// The phrases of this session's language.
    pub(super) fn phrases(&self) -> &'static Phrases {
        &words::language(self.tongue).phrases
    }

    /// One of the texts, its places filled.
    pub(super) fn word(&mut self, texts: &[&str]) -> String {
        let text = *self.dice.pick(texts);
        self.details.fill(&mut self.dice, text)
    }

    /// The customer as a party of an event.
    pub(super) fn customer_actor(&self) -> Actor {
        let name = Some(self.customer.username.clone());
        Actor {
            kind: ActorKind::Customer,
            gsnumber: self.customer.gsnumber,
            name,
        }
    }

    /// The representative in charge as a party of an event.
    pub(super) fn lead(&self) -> Actor {
        self.crew
            .first()
            .expect("somebody has taken the session by now")
            .actor()
    }

    /// Somebody writes to everyone, after the time it takes to type.
    pub(super) fn says(&mut self, actor: Actor, body: Body) {
        let event = self.act(EventType::ChatMessage, actor);
        event.destination = Some(everyone());
        event.body = Some(body);
    }

    /// The customer writes one of these.
    pub(super) fn customer_says(&mut self, texts: &[&str]) {
        self.wait(4, 55);
        let text = self.word(texts);
        self.says(self.customer_actor(), Body::Text(text));
    }

    /// The representative in charge writes one of these.
    pub(super) fn lead_says(&mut self, texts: &[&str]) {
        self.wait(5, 50);
        let text = self.word(texts);
        self.says(self.lead(), Body::Text(text));
    }

    /// The system writes.
    pub(super) fn system_says(&mut self, text: String) {
        self.says(system("System"), Body::Text(text));
    }

    /// The customer joins.
    pub(super) fn admit_customer(&mut self) {
        let customer = self.customer.clone();
        let known = [
            ("name", Some(customer.username.clone())),
            ("private_ip", customer.private_ip.clone()),
            (
                "public_ip",
                customer.public_ip.map(|address| address.to_string()),
            ),
            ("hostname", customer.hostname.clone()),
            ("os", customer.os.clone()),
        ];
        let actor = self.customer_actor();
        let event = self.act(EventType::ConferenceMemberAdded, actor);
        event.data = given(known);
        event.customer = Some(Box::new(customer));
    }

    /// A representative who fits best and is not in the session yet.
    pub(super) fn find(&mut self, team: usize) -> usize {
        let present: Vec<usize> = self.crew.iter().filter_map(|member| member.rep).collect();
        let at = self.at();
        self.cast
            .find(&mut self.dice, team, self.tongue, at, &present)
    }

    /// A representative of the cast joins, with a number of their own.
    pub(super) fn join(&mut self, rep: usize) -> Member {
        let gsnumber = self.next_gsnumber;
        self.next_gsnumber += self.dice.count(1, 3);
        let port = 49_152 + self.dice.word() % 16_384;
        let joined = self.cast.rep(rep).join(gsnumber, port);
        self.enter(Member {
            rep: Some(rep),
            joined,
        })
    }

    /// A guest joins whom a representative invited.
    pub(super) fn join_guest(&mut self) -> Member {
        let gsnumber = self.next_gsnumber;
        self.next_gsnumber += 1;
        let guest = people::name(&mut self.dice, self.tongue);
        let id = format!("invited-{}", self.dice.hex(6));
        let joined = Joined {
            gsnumber,
            id: RepId::parse(&id).expect("a word and hexadecimal digits are a user id"),
            username: String::new(),
            public_display_name: guest.given.to_owned(),
            private_display_name: guest.full(),
            display_number: String::new(),
            public_ip: super::places::public_ip(&mut self.dice),
            private_ip: None,
            hostname: None,
            os: None,
            support_teams: Vec::new(),
            invitation: Invitation::Invited,
        };
        self.enter(Member { rep: None, joined })
    }

    /// The member is in from here on, last in the crew.
    fn enter(&mut self, member: Member) -> Member {
        let joined = member.joined.clone();
        let known = [
            ("private_name", Some(joined.private_display_name.clone())),
            ("public_name", Some(joined.public_display_name.clone())),
            ("username", Some(joined.username.clone())),
            ("private_ip", joined.private_ip.clone()),
            (
                "public_ip",
                joined.public_ip.map(|address| address.to_string()),
            ),
            ("hostname", joined.hostname.clone()),
            ("os", joined.os.clone()),
            ("support_teams", Some(joined.support_teams.join(", "))),
            ("user_id", Some(joined.id.to_string())),
        ];
        let event = self.act(EventType::ConferenceMemberAdded, member.actor());
        event.data = given(known);
        event.representative = Some(Box::new(joined));
        self.crew.push(member.clone());
        member
    }

    /// The member is in charge from here on.
    pub(super) fn put_in_charge(&mut self, member: &Member) {
        let at_place = |known: &Member| known.joined.gsnumber == member.joined.gsnumber;
        if let Some(place) = self.crew.iter().position(at_place) {
            let known = self.crew.remove(place);
            self.crew.insert(0, known);
        }
        if let Some(rep) = member.rep {
            self.details.rep.clone_from(&self.cast.rep(rep).called);
        }
        let actor = member.actor();
        let event = self.push(EventType::ConferenceOwnerChanged);
        event.data = data(&[("owner", &member.joined.private_display_name)]);
        event.destination = Some(actor);
    }

    /// The session belongs to nobody: a queue, or the time before it starts.
    pub(super) fn put_in_queue(&mut self, queue: &str) {
        let event = self.push(EventType::ConferenceOwnerChanged);
        event.data = data(&[("owner", queue)]);
        event.destination = Some(system(queue));
    }

    /// The member leaves.
    pub(super) fn depart(&mut self, member: &Member) {
        self.crew
            .retain(|known| known.joined.gsnumber != member.joined.gsnumber);
        self.act(EventType::ConferenceMemberDeparted, member.actor());
    }

    /// The connection of a party breaks or comes back.
    pub(super) fn connection(&mut self, actor: Actor, state: &str) {
        self.act(EventType::ConferenceMemberStateChanged, actor)
            .data = data(&[("state", state)]);
    }
}

/// The system as a party of an event.
pub(super) fn system(name: &str) -> Actor {
    Actor {
        kind: ActorKind::System,
        gsnumber: 0,
        name: Some(name.to_owned()),
    }
}

/// All as a party of an event.
pub(super) fn everyone() -> Actor {
    Actor {
        kind: ActorKind::Everyone,
        gsnumber: 0,
        name: Some("Everyone".to_owned()),
    }
}

/// Names and values of an event.
pub(super) fn data(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Names and those values that are known.
fn given<const N: usize>(pairs: [(&str, Option<String>); N]) -> Vec<(String, String)> {
    let known = pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    known.filter(|(_, value)| !value.is_empty()).collect()
}
