//! Examples for each row of the derivation table, and the laws.

use proptest::prelude::*;

use super::*;
use crate::event::Invitation;
use crate::{Actor, EventId, FileEntry, Joined, Question, RepId, Summary, Survey, TeamId, TeamRef};

fn at(secs: i64) -> At {
    At::from_secs(1_700_000_000 + secs).unwrap()
}

fn event(id: &str, secs: i64, kind: EventType) -> Event {
    Event::new(
        EventId::parse(id).unwrap(),
        Lsid::parse("s1").unwrap(),
        at(secs),
        kind,
    )
}

fn rep(gsnumber: u32) -> Actor {
    Actor {
        kind: ActorKind::Representative,
        gsnumber,
        name: None,
    }
}

fn joined(gsnumber: u32, id: &str) -> Option<Box<Joined>> {
    Some(Box::new(Joined {
        gsnumber,
        id: RepId::parse(id).unwrap(),
        username: format!("user{id}"),
        public_display_name: format!("Public {id}"),
        private_display_name: format!("Private {id}"),
        display_number: String::new(),
        public_ip: None,
        private_ip: None,
        hostname: None,
        os: None,
        support_teams: Vec::new(),
        invitation: Invitation::Regular,
    }))
}

fn team(id: &str) -> Option<TeamRef> {
    Some(TeamRef {
        id: TeamId::parse(id).unwrap(),
        name: Some(format!("Team {id}")),
    })
}

fn story() -> Vec<Event> {
    vec![
        Event {
            team: team("1"),
            ..event("a", 0, EventType::SessionStart)
        },
        Event {
            representative: joined(21, "7"),
            ..event("b", 10, EventType::ConferenceMemberAdded)
        },
        Event {
            destination: Some(rep(21)),
            ..event("c", 11, EventType::ConferenceOwnerChanged)
        },
        Event {
            representative: joined(22, "8"),
            ..event("d", 20, EventType::ConferenceMemberAdded)
        },
        Event {
            team: team("2"),
            ..event("e", 30, EventType::SessionTransferredToQueue)
        },
        Event {
            destination: Some(rep(22)),
            ..event("f", 40, EventType::ConferenceOwnerChanged)
        },
        Event {
            performed_by: Some(rep(21)),
            ..event("g", 50, EventType::ConferenceMemberDeparted)
        },
        Event {
            representative: joined(23, "7"),
            ..event("h", 60, EventType::ConferenceMemberAdded)
        },
        event("i", 100, EventType::SessionEnd),
    ]
}

fn fold_at(events: Vec<Event>, secs: i64) -> Session {
    fold(1, events, Moment::Now(at(secs))).unwrap()
}

#[test]
fn no_events_make_no_session() {
    assert_eq!(fold(1, Vec::new(), Moment::Silent), None);
}

#[test]
fn owners_members_spans_and_teams_come_out_of_the_story() {
    let session = fold_at(story(), 500);
    assert_eq!(session.state, State::Ended { at: at(100) });
    assert_eq!(session.seconds, 100);
    let reps: Vec<_> = session
        .reps
        .iter()
        .map(|r| (r.gsnumber, r.role, r.seconds_involved))
        .collect();
    assert_eq!(
        reps,
        [
            (21, Role::Owner, 40),
            (22, Role::PrimaryOwner, 80),
            (23, Role::Member, 40)
        ]
    );
    let teams: Vec<_> = session
        .teams
        .iter()
        .map(|t| (t.team.id.as_str(), t.rank))
        .collect();
    assert_eq!(teams, [("1", Rank::Other), ("2", Rank::Primary)]);
}

#[test]
fn a_team_that_gets_the_session_back_is_primary_again_and_listed_once() {
    let mut events = story();
    events.push(Event {
        team: team("1"),
        ..event("j", 70, EventType::SessionAssigned)
    });
    let session = fold_at(events, 500);
    let teams: Vec<_> = session
        .teams
        .iter()
        .map(|t| (t.team.id.as_str(), t.rank))
        .collect();
    assert_eq!(teams, [("1", Rank::Primary), ("2", Rank::Other)]);
}

#[test]
fn a_running_session_counts_to_now_and_a_lapsed_one_to_its_last_event() {
    let mut events = story();
    events.pop();
    let running = fold_at(events.clone(), 500);
    assert_eq!((running.state, running.seconds), (State::Running, 500));
    assert_eq!(running.reps[1].seconds_involved, 480);
    let lapsed = fold(1, events, Moment::Silent).unwrap();
    assert_eq!((lapsed.state, lapsed.seconds), (State::Lapsed, 60));
    assert_eq!(lapsed.reps[1].seconds_involved, 40);
}

#[test]
fn a_clock_that_went_backwards_gives_no_negative_length() {
    let mut events = story();
    events.pop();
    assert_eq!(fold_at(events, -500).seconds, 60);
    let end_before_start = vec![
        event("a", 10, EventType::SessionStart),
        event("b", 5, EventType::SessionEnd),
    ];
    assert_eq!(fold_at(end_before_start, 20).seconds, 0);
}

#[test]
fn files_are_counted_by_name_and_failed_ones_are_not() {
    let mut events = story();
    let file = |name: &str| FileEntry {
        name: name.into(),
        size: 1,
    };
    let listed = vec![file("x"), file("y"), file("z")];
    events.push(Event {
        files: listed,
        ..event("u1", 1, EventType::FileUpload)
    });
    events.push(event("u2", 2, EventType::FileDownload));
    events.push(event("u3", 3, EventType::FileUploadFailed));
    events.push(event("u4", 4, EventType::FileMoved));
    events.push(event("u5", 5, EventType::FileDeleted));
    events.push(event("u6", 6, EventType::FileDeleted));
    let session = fold_at(events, 500);
    let counts = (
        session.n_file_transfers,
        session.n_file_moves,
        session.n_file_deletes,
    );
    assert_eq!(counts, (4, 1, 2));
}

#[test]
fn the_last_external_key_event_wins_over_session_start() {
    let key = |id: &str, secs, kind, key: &str| Event {
        session: Some(Box::new(SessionContext {
            external_key: Some(key.into()),
            ..SessionContext::default()
        })),
        ..event(id, secs, kind)
    };
    let start = key("a", 0, EventType::SessionStart, "INC1");
    let second = key("b", 5, EventType::ExternalKey, "INC2");
    let third = key("c", 9, EventType::ExternalKey, "INC3");
    assert_eq!(fold_at(vec![start.clone()], 10).external_key, "INC1");
    assert_eq!(fold_at(vec![third, start, second], 10).external_key, "INC3");
}

#[test]
fn two_senders_may_use_the_same_id() {
    let start = event("1", 0, EventType::SessionStart);
    let end = event("1", 9, EventType::SessionEnd);
    let session = fold_at(vec![start.clone(), end.clone(), start, end], 20);
    assert_eq!((session.events.len(), session.end()), (2, Some(at(9))));
}

#[test]
fn a_survey_shows_only_once_the_session_has_ended() {
    let survey = Event {
        performed_by: Some(Actor {
            kind: ActorKind::Customer,
            gsnumber: 5,
            name: None,
        }),
        survey: Some(Box::new(Survey {
            questions: vec![Question::default()],
        })),
        ..event("s", 99, EventType::CustomerExitSurvey)
    };
    let mut events = story();
    events.push(survey);
    assert_eq!(fold_at(events.clone(), 500).customer_surveys.len(), 1);
    events.retain(|event| event.kind != EventType::SessionEnd);
    assert_eq!(fold_at(events, 500).customer_surveys.len(), 0);
}

#[test]
fn every_representative_that_events_mention_is_in_the_list() {
    let mut events = story();
    let stranger = Actor {
        name: Some("Stranger".into()),
        ..rep(99)
    };
    events.push(Event {
        performed_by: Some(stranger),
        ..event("x", 44, EventType::ChatMessage)
    });
    let session = fold_at(events, 500);
    let last = session.reps.last().unwrap();
    assert_eq!((last.gsnumber, last.display_name()), (99, "Stranger"));
}

/// Events of every type with few parties, so that they meet; times may tie only with themselves.
fn any_event(idx: usize) -> impl Strategy<Value = Event> {
    let parties = prop::option::of((0u32..4).prop_map(rep));
    let numbered = prop::option::of((0u32..4, 0u32..3));
    let in_team = prop::option::of(0u32..3);
    (
        0..EventType::ALL.len(),
        0i64..1000,
        parties,
        numbered,
        in_team,
    )
        .prop_map(move |(kind, secs, destination, who, in_team)| Event {
            // The index makes times distinct: order by arrival is not what the law is about.
            at: At::from_millis(at(secs).millis() + idx as i64).unwrap(),
            destination,
            representative: who.and_then(|(gsnumber, id)| joined(gsnumber, &id.to_string())),
            team: in_team.and_then(|id| team(&id.to_string())),
            ..event(&format!("e{idx}"), secs, EventType::ALL[kind])
        })
}

fn any_events() -> impl Strategy<Value = Vec<Event>> {
    (1usize..30).prop_flat_map(|n| (0..n).map(any_event).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_give_the_same_session(
        events in any_events(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut shuffled: Vec<Event> =
            order.iter().map(|idx| idx.get(&events).clone()).collect();
        shuffled.extend(events.iter().rev().cloned());
        prop_assert_eq!(fold_at(shuffled, 2000), fold_at(events, 2000));
    }

    #[test]
    fn adding_an_event_loses_no_other(events in any_events()) {
        let whole = fold_at(events.clone(), 2000);
        prop_assert_eq!(whole.events.len(), events.len());
        prop_assert!(whole.events.is_sorted_by_key(|event| event.at));
        for event in &events {
            prop_assert!(whole.events.contains(event));
        }
    }

    #[test]
    fn summaries_of_two_parts_merge_into_that_of_the_whole(
        events in any_events(), split in any::<prop::sample::Index>(), again in any::<prop::sample::Index>()
    ) {
        let of = |events: &[Event]| {
            let mut summary = Summary::default();
            events.iter().for_each(|event| summary.absorb(event));
            summary
        };
        let at = split.index(events.len());
        // What was told before may be told again with what is new.
        let later = [&events[again.index(at + 1).min(at)..at], &events[at..]].concat();
        let mut summary = of(&events[..at]);
        summary.merge(&of(&later));
        prop_assert_eq!(summary, of(&events));
    }

    #[test]
    fn the_summary_says_what_the_fold_says(events in any_events(), split in any::<prop::sample::Index>()) {
        let mut summary = Summary::default();
        let at = split.index(events.len());
        for event in events[at..].iter().chain(&events[..at]).chain(&events) {
            summary.absorb(event);
        }
        let session = fold_at(events, 2000);
        prop_assert_eq!(summary.start(), Some(session.start));
        prop_assert_eq!(summary.ended, session.end());
        prop_assert_eq!(summary.site_id(), session.public_site.0.clone());
        let teams: std::collections::BTreeSet<_> =
            session.teams.iter().map(|entry| entry.team.id.clone()).collect();
        prop_assert_eq!(&summary.teams, &teams);
        let owners: std::collections::BTreeSet<_> = session
            .reps
            .iter()
            .filter(|rep| rep.role != Role::Member)
            .filter_map(|rep| match &rep.person {
                Person::Joined(joined) => Some(&joined.id),
                Person::Mentioned { .. } => None,
            })
            .collect();
        prop_assert_eq!(summary.owner_ids(), owners);
    }
}
