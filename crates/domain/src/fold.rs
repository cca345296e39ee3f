//! The one derivation: events in, session out.
//!
//! Pure and total, so that late, repeated and reordered events need no code of their own: events
//! are sorted by time, then by arrival, and each counts once.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::session::{Rank, Role};
use crate::summary::new_owner;
use crate::{
    ActorKind, At, CodeName, CustomAttribute, Customer, CustomerEntry, Event, EventId, EventType,
    Lsid, Person, RecordingKind, Recordings, RepEntry, Session, SessionContext, SiteId, State,
    SurveyEntry, TeamEntry,
};

/// As of when a session is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It is heard of: without an end it goes on until `now`.
    Now(At),
    /// It has been silent too long: without an end it closed abnormally.
    Silent,
}

/// Makes the session of `events`, given in order of arrival; none of no events.
///
/// `lseq` is the number the store gave the session when it was first seen.
pub fn fold(lseq: u64, events: Vec<Event>, moment: Moment) -> Option<Session> {
    let mut events = once_each(events);
    events.sort_by_key(|event| event.at);
    let first = events.first()?.at;
    let last = events.last()?.at;
    let lsid: Lsid = events.first()?.lsid.clone();

    let of_type = |kind| {
        events
            .iter()
            .filter(move |event: &&Event| event.kind == kind)
    };
    let start = of_type(EventType::SessionStart)
        .next()
        .map_or(first, |event| event.at);
    let state = match (of_type(EventType::SessionEnd).next_back(), moment) {
        (Some(end), _) => State::Ended { at: end.at },
        (None, Moment::Now(_)) => State::Running,
        (None, Moment::Silent) => State::Lapsed,
    };
    // Where open spans are cut: the end, the last sign of life, or now.
    let until = match (state, moment) {
        (State::Ended { at }, _) => at,
        (State::Running, Moment::Now(now)) => now.max(last),
        (State::Running | State::Lapsed, _) => last,
    };
    let starts = || of_type(EventType::SessionStart).filter_map(|event| event.session.as_deref());
    let files = |kinds: [EventType; 2]| -> u64 {
        events
            .iter()
            .filter(|e| kinds.contains(&e.kind))
            .map(Event::n_files)
            .sum()
    };
    let (customer_surveys, rep_surveys) = match state {
        State::Ended { .. } => (
            surveys(&events, EventType::CustomerExitSurvey),
            surveys(&events, EventType::RepresentativeExitSurvey),
        ),
        State::Running | State::Lapsed => (Vec::new(), Vec::new()),
    };

    Some(Session {
        lsid,
        lseq,
        start,
        state,
        seconds: until.secs_since(start),
        public_site: starts()
            .find_map(|session| session.public_site.clone())
            .unwrap_or_else(|| (SiteId::default_site(), None)),
        jumpoint: starts().find_map(|session| session.jumpoint.clone()),
        jump_group: starts().find_map(|session| session.jump_group.clone()),
        external_key: external_key(&events),
        custom_attributes: custom_attributes(&events),
        recordings: recordings(&events),
        n_file_transfers: files([EventType::FileUpload, EventType::FileDownload]),
        n_file_moves: files([EventType::FileMoved; 2]),
        n_file_deletes: files([EventType::FileDeleted; 2]),
        customers: customers(&events),
        reps: reps(&events, until),
        teams: teams(&events),
        customer_surveys,
        rep_surveys,
        events,
    })
}

/// Each event once. An id is its sender's own: two senders may use the same one, so an event is a
/// repetition only when all of it is.
fn once_each(events: Vec<Event>) -> Vec<Event> {
    let mut kept: Vec<Event> = Vec::with_capacity(events.len());
    let mut by_id: HashMap<EventId, Vec<usize>> = HashMap::with_capacity(events.len());
    for event in events {
        let same_id = by_id.entry(event.id.clone()).or_default();
        if same_id.iter().all(|&idx| kept[idx] != event) {
            same_id.push(kept.len());
            kept.push(event);
        }
    }
    kept
}

/// The last External Key event's key, or else the one Session Start carried.
fn external_key(events: &[Event]) -> String {
    let told = |event: &Event| -> Option<String> {
        let context = event
            .session
            .as_ref()
            .and_then(|session| session.external_key.clone());
        let in_data = || {
            let mut data = event.data.iter();
            data.find(|(name, _)| name == "external_key")
                .map(|(_, value)| value.clone())
        };
        let in_body = || match &event.body {
            Some(crate::Body::Text(text)) => Some(text.clone()),
            Some(crate::Body::Bytes(_)) | None => None,
        };
        match event.kind {
            EventType::ExternalKey => context.or_else(in_data).or_else(in_body),
            _ => context,
        }
    };
    let last = |wanted: EventType| {
        events
            .iter()
            .rev()
            .filter(|event| event.kind == wanted)
            .find_map(told)
    };
    last(EventType::ExternalKey)
        .or_else(|| last(EventType::SessionStart))
        .unwrap_or_default()
}

/// The latest value of each custom field, in order of first mention.
fn custom_attributes(events: &[Event]) -> Vec<CustomAttribute> {
    let mut attributes: Vec<CustomAttribute> = Vec::new();
    let mut places: HashMap<&CodeName, usize> = HashMap::new();
    let contexts = events.iter().filter_map(|event| event.session.as_deref());
    for attribute in contexts.flat_map(|context: &SessionContext| &context.custom_attributes) {
        let Some(&place) = places.get(&attribute.code_name) else {
            places.insert(&attribute.code_name, attributes.len());
            attributes.push(attribute.clone());
            continue;
        };
        let known = &mut attributes[place];
        known.value.clone_from(&attribute.value);
        if attribute.display_name.is_some() {
            known.display_name.clone_from(&attribute.display_name);
        }
    }
    attributes
}

fn recordings(events: &[Event]) -> Recordings {
    let instances = |kind: RecordingKind| -> Vec<u32> {
        let of_kind = events.iter().filter_map(|event| event.recording);
        let mut found: Vec<u32> = of_kind
            .filter(|recording| recording.kind == kind)
            .map(|r| r.instance)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    Recordings {
        session: instances(RecordingKind::Session).first().map(|_| ()),
        show_my_screen: instances(RecordingKind::ShowMyScreen),
        command_shell: instances(RecordingKind::CommandShell),
    }
}

/// One entry per number that joined or acted. A session always has a customer, so when nobody
/// told of one there is an entry without a name.
fn customers(events: &[Event]) -> Vec<CustomerEntry> {
    let mut found: Vec<Customer> = Vec::new();
    let mut numbers = HashSet::new();
    for customer in events.iter().filter_map(|event| event.customer.as_deref()) {
        if numbers.insert(customer.gsnumber) {
            found.push(customer.clone());
        }
    }
    for actor in actors(events, ActorKind::Customer) {
        if numbers.insert(actor.gsnumber) {
            let username = actor.name.clone().unwrap_or_default();
            let gsnumber = actor.gsnumber;
            found.push(Customer {
                gsnumber,
                username,
                ..Customer::default()
            });
        }
    }
    if found.is_empty() {
        found.push(Customer::default());
    }
    let entry = |(idx, customer)| CustomerEntry {
        customer,
        rank: if idx == 0 { Rank::Primary } else { Rank::Other },
    };
    found.into_iter().enumerate().map(entry).collect()
}

fn actors(events: &[Event], kind: ActorKind) -> impl Iterator<Item = &crate::Actor> {
    let parties = events
        .iter()
        .flat_map(|event| [&event.performed_by, &event.destination]);
    parties.flatten().filter(move |actor| actor.kind == kind)
}

/// One entry per number, in order of joining, then those whom events only mention: so every
/// representative of `performed_by` and `destination` is found in the list.
fn reps(events: &[Event], until: At) -> Vec<RepEntry> {
    let owners: Vec<u32> = events
        .iter()
        .filter(|event| event.kind == EventType::ConferenceOwnerChanged)
        .filter_map(new_owner)
        .collect();
    let ever: HashSet<u32> = owners.iter().copied().collect();
    let role = |gsnumber: u32| {
        if owners.last() == Some(&gsnumber) {
            return Role::PrimaryOwner;
        }
        if ever.contains(&gsnumber) {
            Role::Owner
        } else {
            Role::Member
        }
    };
    let spans = spans(events, until);
    let entry = |gsnumber: u32, person: Person| RepEntry {
        gsnumber,
        person,
        role: role(gsnumber),
        seconds_involved: spans.get(&gsnumber).copied().unwrap_or(0),
    };

    let mut found: Vec<RepEntry> = Vec::new();
    let mut numbers = HashSet::new();
    for joined in events
        .iter()
        .filter_map(|event| event.representative.as_deref())
    {
        if numbers.insert(joined.gsnumber) {
            found.push(entry(
                joined.gsnumber,
                Person::Joined(Box::new(joined.clone())),
            ));
        }
    }
    for actor in actors(events, ActorKind::Representative) {
        if numbers.insert(actor.gsnumber) {
            let name = actor.name.clone().unwrap_or_default();
            found.push(entry(actor.gsnumber, Person::Mentioned { name }));
        }
    }
    found
}

/// Seconds each representative was in the session: joined to departed, open spans up to `until`.
fn spans(events: &[Event], until: At) -> BTreeMap<u32, u64> {
    let mut open: BTreeMap<u32, At> = BTreeMap::new();
    let mut sums: BTreeMap<u32, u64> = BTreeMap::new();
    for event in events {
        match event.kind {
            EventType::ConferenceMemberAdded => {
                if let Some(joined) = &event.representative {
                    open.entry(joined.gsnumber).or_insert(event.at);
                }
            }
            EventType::ConferenceMemberDeparted => {
                let gsnumber = departed(event);
                if let Some(since) = gsnumber.and_then(|gsnumber| open.remove(&gsnumber)) {
                    *sums.entry(gsnumber.unwrap_or(0)).or_default() += event.at.secs_since(since);
                }
            }
            _ => {}
        }
    }
    for (gsnumber, since) in open {
        *sums.entry(gsnumber).or_default() += until.secs_since(since);
    }
    sums
}

/// The representative who left: the one the event carries, or else the one who performed it.
fn departed(event: &Event) -> Option<u32> {
    let carried = event.representative.as_ref().map(|joined| joined.gsnumber);
    let actor = || {
        let actor = event.performed_by.as_ref()?;
        (actor.kind == ActorKind::Representative).then_some(actor.gsnumber)
    };
    carried.or_else(actor)
}

fn teams(events: &[Event]) -> Vec<TeamEntry> {
    let mut found: Vec<TeamEntry> = Vec::new();
    for team in events.iter().filter_map(|event| event.team.as_ref()) {
        for known in &mut found {
            known.rank = Rank::Other;
        }
        match found.iter_mut().find(|known| known.team.id == team.id) {
            Some(known) => {
                known.rank = Rank::Primary;
                if team.name.is_some() {
                    known.team.name.clone_from(&team.name);
                }
            }
            None => found.push(TeamEntry {
                team: team.clone(),
                rank: Rank::Primary,
            }),
        }
    }
    found
}

fn surveys(events: &[Event], kind: EventType) -> Vec<SurveyEntry> {
    let by = match kind {
        EventType::CustomerExitSurvey => ActorKind::Customer,
        _ => ActorKind::Representative,
    };
    let submitted = events.iter().filter(|event| event.kind == kind);
    submitted
        .filter_map(|event| {
            Some(SurveyEntry {
                at: event.at,
                by,
                gsnumber: event
                    .performed_by
                    .as_ref()
                    .map_or(0, |actor| actor.gsnumber),
                survey: event.survey.as_deref()?.clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
