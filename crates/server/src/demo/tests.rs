//! The promises of the generator.

use std::collections::{BTreeMap, BTreeSet};

use debrief_domain::{ActorKind, Body, EventType, Invitation, Moment, RecordingKind, fold, limits};

use super::*;
use crate::recording::media::Media;

/// 2026-03-18T14:30:00Z, a Wednesday.
fn now() -> At {
    At::from_secs(1_773_844_200).unwrap()
}

fn archive(n_sessions: u32, seed: u64) -> Vec<Vec<Event>> {
    sessions(&Plan {
        n_sessions,
        seed,
        now: now(),
    })
    .collect()
}

fn is_ended(session: &[Event]) -> bool {
    session
        .iter()
        .any(|event| event.kind == EventType::SessionEnd)
}

fn n_of_each(archive: &[Vec<Event>]) -> BTreeMap<EventType, usize> {
    let mut counts = BTreeMap::new();
    for event in archive.iter().flatten() {
        *counts.entry(event.kind).or_default() += 1;
    }
    counts
}

#[test]
fn the_same_seed_gives_the_same_archive_and_another_seed_another() {
    assert_eq!(archive(60, 7), archive(60, 7));
    assert_ne!(archive(60, 7), archive(60, 8));
    assert_eq!(directory(7), directory(7));
    assert_ne!(directory(7), directory(8));
}

#[test]
fn two_thousand_sessions_have_every_type_and_five_hundred_every_documented_one() {
    for seed in [0, 1, 42] {
        let counts = n_of_each(&archive(2_000, seed));
        let missing: Vec<_> = EventType::ALL
            .iter()
            .filter(|t| !counts.contains_key(t))
            .collect();
        assert!(missing.is_empty(), "seed {seed}: {missing:?}");
        let counts = n_of_each(&archive(500, seed));
        let documented = EventType::ALL.iter().filter(|t| t.is_documented());
        let missing: Vec<_> = documented.filter(|t| !counts.contains_key(t)).collect();
        assert!(missing.is_empty(), "seed {seed}: {missing:?}");
    }
}

#[test]
fn one_session_is_a_whole_one() {
    for seed in 0..50 {
        let only = archive(1, seed).remove(0);
        let session = fold(1, only, Moment::Now(now())).unwrap();
        assert!(
            session.end().is_some() && session.primary_rep().is_some(),
            "seed {seed}"
        );
    }
    assert!(archive(0, 1).is_empty());
}

#[test]
fn sessions_are_in_order_of_start_and_their_events_in_order_of_time() {
    let archive = archive(1_000, 3);
    assert!(archive.is_sorted_by_key(|session| session[0].at));
    for session in &archive {
        assert_eq!(session[0].kind, EventType::SessionStart);
        assert!(session.is_sorted_by_key(|event| event.at));
        assert!(
            session
                .iter()
                .all(|event| event.lsid == session[0].lsid && event.at <= now())
        );
    }
    let oldest = archive[0][0].at;
    let days = now().secs_since(oldest) / 86_400;
    assert!((85..=90).contains(&days), "{days}");
}

#[test]
fn the_last_ones_run_a_few_are_broken_off_and_the_rest_have_ended() {
    let archive = archive(1_000, 3);
    let open: Vec<_> = archive
        .iter()
        .filter(|session| !is_ended(session))
        .collect();
    let silent = |session: &&&Vec<Event>| 6 * 3600 < now().secs_since(session.last().unwrap().at);
    let n_broken_off = open.iter().filter(silent).count();
    assert!((15..=50).contains(&n_broken_off), "{n_broken_off}");
    assert_eq!(open.len() - n_broken_off, RUNNING_MAX as usize);
    assert!(
        archive[1_000 - RUNNING_MAX as usize..]
            .iter()
            .all(|session| !is_ended(session))
    );
}

#[test]
fn nights_and_weekends_are_thin_and_mondays_heavy() {
    let mut by_weekday = [0; 7];
    let mut by_hour = [0; 24];
    for session in archive(3_000, 5) {
        let hours = session[0].at.secs() / 3600;
        by_weekday[((hours / 24 + 4) % 7) as usize] += 1;
        by_hour[(hours % 24) as usize] += 1;
    }
    assert!(by_weekday[0] * 4 < by_weekday[1] && by_weekday[3] < by_weekday[1]);
    assert!(by_hour[3] * 8 < by_hour[9]);
}

#[test]
fn ids_are_unique() {
    let mut events = BTreeSet::new();
    let mut lsids = BTreeSet::new();
    for session in archive(500, 4) {
        let lsid = session[0].lsid.clone();
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        assert!(lsid.as_str().len() == 32 && lsid.as_str().chars().all(is_hex));
        assert!(lsids.insert(lsid));
        assert!(session.into_iter().all(|event| events.insert(event.id)));
    }
}

#[test]
fn every_acting_representative_has_joined_before() {
    for session in archive(1_000, 6) {
        let mut joined = BTreeSet::new();
        for event in &session {
            joined.extend(event.representative.iter().map(|joined| joined.gsnumber));
            for actor in [&event.performed_by, &event.destination]
                .into_iter()
                .flatten()
            {
                let is_rep = actor.kind == ActorKind::Representative;
                assert!(!is_rep || joined.contains(&actor.gsnumber), "{event:?}");
            }
        }
    }
}

#[test]
fn representatives_teams_sites_and_fields_are_in_the_directory() {
    let directory = directory(6);
    assert!(directory.unknown_members().is_empty());
    assert_eq!((directory.teams.len(), directory.sites.len()), (6, 4));
    assert_eq!(
        (
            directory.representatives.len(),
            directory.custom_fields.len()
        ),
        (42, 3)
    );
    assert!(directory.teams.values().all(|team| !team.issues.is_empty()));
    let mut n_guests = 0;
    for session in archive(500, 6) {
        let session = fold(1, session, Moment::Now(now())).unwrap();
        assert!(directory.sites.contains_key(&session.public_site.0));
        assert!(
            session
                .teams
                .iter()
                .all(|entry| directory.teams.contains_key(&entry.team.id))
        );
        let fields = session
            .custom_attributes
            .iter()
            .map(|attribute| &attribute.code_name);
        assert!(
            fields
                .into_iter()
                .all(|field| directory.custom_fields.contains_key(field))
        );
        for joined in session
            .events
            .iter()
            .filter_map(|event| event.representative.as_deref())
        {
            match joined.invitation {
                Invitation::Regular => assert!(directory.representatives.contains_key(&joined.id)),
                Invitation::Invited => n_guests += 1,
            }
        }
    }
    assert!(0 < n_guests);
}

#[test]
fn sessions_are_varied_as_real_ones_are() {
    let sessions: Vec<_> = archive(1_000, 9)
        .into_iter()
        .map(|e| fold(1, e, Moment::Now(now())).unwrap())
        .collect();
    let share = |what: &dyn Fn(&debrief_domain::Session) -> bool| {
        sessions.iter().filter(|session| what(session)).count()
    };
    let reconnected = |session: &debrief_domain::Session| {
        let mut ids = BTreeSet::new();
        let joined = session
            .events
            .iter()
            .filter_map(|event| event.representative.as_deref());
        joined
            .into_iter()
            .any(|joined| !ids.insert(joined.id.clone()))
    };
    assert!((20..150).contains(&share(&|s| s.reps.is_empty())));
    assert!((30..150).contains(&share(&reconnected)));
    assert!((30..200).contains(&share(&|s| 1 < s.teams.len())));
    assert!((50..300).contains(&share(&|s| s.jumpoint.is_some() && s.jump_group.is_some())));
    assert!((200..600).contains(&share(&|s| !s.customer_surveys.is_empty())));
    assert!((200..600).contains(&share(&|s| !s.rep_surveys.is_empty())));
    assert!((200..700).contains(&share(&|s| s.recordings.session.is_some())));
    assert!((20..200).contains(&share(&|s| !s.recordings.show_my_screen.is_empty())));
    assert!((100..700).contains(&share(&|s| !s.recordings.command_shell.is_empty())));
    assert!((200..450).contains(&share(&|s| {
        s.events.iter().any(|e| !e.system_information.is_empty())
    })));
    assert!((200..900).contains(&share(&|s| s.external_key.starts_with("INC"))));
    assert!((3..20).contains(&share(&|s| 300 <= s.events.len())));
    let n_events: usize = sessions.iter().map(|s| s.events.len()).sum();
    assert!((20_000..60_000).contains(&n_events), "{n_events}");
}

#[test]
fn bodies_have_many_scripts_control_characters_and_bytes() {
    let (mut n_control, mut n_bytes) = (0, 0);
    let mut all = String::new();
    for event in archive(500, 2).into_iter().flatten() {
        match event.body {
            Some(Body::Text(text)) => {
                n_control += usize::from(text.contains(char::is_control));
                all.push_str(&text);
            }
            Some(Body::Bytes(bytes)) => {
                assert!(String::from_utf8(bytes).is_err());
                n_bytes += 1;
            }
            None => {}
        }
    }
    assert!((1..50).contains(&n_control) && (1..50).contains(&n_bytes));
    for letter in ["ß", "ç", "ñ", "ł", "م", "ש", "の", "请", "ж", "ω", "✅"] {
        assert!(all.contains(letter), "{letter}");
    }
}

#[test]
fn files_go_in_the_direction_the_vendor_means() {
    for event in archive(300, 2).into_iter().flatten() {
        let parties = || {
            let kind = |actor: &Option<debrief_domain::Actor>| actor.as_ref().unwrap().kind;
            (kind(&event.performed_by), kind(&event.destination))
        };
        match event.kind {
            EventType::FileUpload | EventType::FileUploadFailed => {
                assert_eq!(parties(), (ActorKind::Representative, ActorKind::Customer));
            }
            EventType::FileDownload | EventType::FileDownloadFailed => {
                assert_eq!(parties(), (ActorKind::Customer, ActorKind::Representative));
            }
            EventType::FileDeleted | EventType::FileMoved | EventType::FilesShared => {}
            _ => continue,
        }
        let name = event.filename.as_ref().unwrap();
        assert!(
            event
                .data
                .iter()
                .any(|(key, value)| key == "filename" && value == name)
        );
        assert!(event.filesize.is_some());
    }
}

#[test]
fn recordings_are_numbered_from_zero() {
    for session in archive(500, 2) {
        let mut next: BTreeMap<RecordingKind, u32> = BTreeMap::new();
        for recording in session.iter().filter_map(|event| event.recording) {
            let expected = next.entry(recording.kind).or_default();
            assert_eq!(recording.instance, *expected);
            *expected += 1;
        }
        assert!(next.get(&RecordingKind::Session).is_none_or(|n| *n == 1));
    }
}

#[test]
fn every_limit_is_kept() {
    let short = |text: &String| text.chars().count() <= limits::NAME_CHARS_MAX;
    for session in archive(1_000, 11) {
        assert!(session.len() <= limits::BATCH_EVENTS_MAX);
        for event in &session {
            assert!(event.data.len() <= limits::EVENT_DATA_MAX);
            assert!(
                event
                    .data
                    .iter()
                    .all(|(name, value)| short(name) && short(value))
            );
            assert!(event.files.len() <= limits::EVENT_FILES_MAX);
            assert!(event.filename.iter().all(short));
            assert!(event.system_information.len() <= limits::CATEGORIES_MAX);
            for category in &event.system_information {
                assert!(category.fields.len() <= limits::CATEGORY_FIELDS_MAX);
                assert!(category.rows.len() <= limits::CATEGORY_ROWS_MAX);
                assert!(
                    category
                        .rows
                        .iter()
                        .all(|row| row.len() <= category.fields.len())
                );
            }
            let questions = event.survey.iter().flat_map(|survey| &survey.questions);
            assert!(questions.clone().count() <= limits::SURVEY_QUESTIONS_MAX);
            assert!(
                questions
                    .into_iter()
                    .all(|q| q.answers.len() <= limits::QUESTION_ANSWERS_MAX)
            );
            let attributes = event
                .session
                .iter()
                .flat_map(|session| &session.custom_attributes);
            assert!(attributes.count() <= limits::CUSTOM_ATTRIBUTES_MAX);
            assert!(
                event
                    .recording
                    .is_none_or(|r| r.instance < limits::RECORDING_INSTANCES_MAX)
            );
            match &event.body {
                Some(Body::Text(text)) => assert!(text.len() <= limits::TEXT_BYTES_MAX),
                Some(Body::Bytes(bytes)) => assert!(bytes.len() <= limits::TEXT_BYTES_MAX),
                None => {}
            }
        }
    }
}

#[test]
fn a_million_sessions_cost_nothing_until_they_are_asked_for() {
    let plan = Plan {
        n_sessions: 1_000_000,
        seed: 1,
        now: now(),
    };
    assert_eq!(sessions(&plan).take(3).count(), 3);
    let beginning_of_time = Plan {
        n_sessions: 40,
        seed: 1,
        now: At::MIN,
    };
    assert_eq!(sessions(&beginning_of_time).count(), 40);
}

#[test]
fn every_recording_that_an_ended_session_tells_of_can_be_played() {
    let made = |seed: u64| -> Vec<Recorded> {
        let sessions = archive(200, seed).into_iter().zip(1..);
        sessions
            .flat_map(|(session, n)| {
                let recorded = recordings(seed, n, &session);
                let told = session.iter().filter_map(|event| event.recording);
                let told: Vec<_> = told.filter(|_| is_ended(&session)).collect();
                let made: Vec<_> = recorded.iter().map(|recorded| recorded.recording).collect();
                assert_eq!(made, told);
                recorded
            })
            .collect()
    };
    let recorded = made(5);
    let bytes = |recorded: &[Recorded]| -> Vec<Vec<u8>> {
        recorded.iter().map(|one| one.bytes.to_vec()).collect()
    };
    assert_eq!(bytes(&recorded), bytes(&made(5)));
    assert_ne!(bytes(&recorded), bytes(&made(6)));
    let mut shells = BTreeSet::new();
    for Recorded {
        recording, bytes, ..
    } in &recorded
    {
        let media = Media::detect(bytes);
        if recording.kind != RecordingKind::CommandShell {
            assert_eq!(media, Media::WebM);
            continue;
        }
        assert_eq!(media, Media::AsciicastV2);
        let text = std::str::from_utf8(bytes).unwrap();
        let events = text.lines().skip(1).map(|line| {
            let (at, code, text): (f64, String, String) = serde_json::from_str(line).unwrap();
            assert_eq!(code, "o");
            (at, text)
        });
        let events: Vec<_> = events.collect();
        assert!(events.is_sorted_by_key(|(at, _)| *at));
        let screen: String = events.into_iter().map(|(_, text)| text).collect();
        let screen = screen.replace("s\u{8} \u{8}", "");
        assert!(screen.contains("system32>") && screen.ends_with("exit\r\n"));
        assert!(!screen.contains(['{', '}']));
        shells.insert(screen);
    }
    assert!(20 < shells.len(), "{} shells differ", shells.len());
}
