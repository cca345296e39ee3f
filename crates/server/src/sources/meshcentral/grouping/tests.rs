//! What was driven on a real server, as sessions.

use std::collections::BTreeMap;

use debrief_domain::{Directory, Moment, fold};
use debrief_report::session_parts;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::chat;
use super::super::events::{Reading, read};
use super::*;

const TERMINAL_FILES: &str =
    include_str!("../../../../tests/fixtures/meshcentral/terminal-files.jsonl");
const CHAT_DESKTOP_NOTE: &str =
    include_str!("../../../../tests/fixtures/meshcentral/chat-desktop-note.jsonl");
const TWO_USERS: &str =
    include_str!("../../../../tests/fixtures/meshcentral/multiplex-two-users.jsonl");
const LISTED: &str = include_str!("../../../../tests/fixtures/meshcentral/listevents.json");
const MESSENGER: &[u8] = include_bytes!("../../../../tests/fixtures/meshcentral/messenger.txt");
const NODE: &str = "node//kdpjq$4URFYCgNsSEIagWKtq1uhnTY84kKl2AT0GxRCfdpODpKytfRjSQUQj$0Uj";

fn rules() -> Rules {
    Rules {
        source: "meshcentral/test".into(),
        site: None,
        idle_secs: 120,
    }
}

fn devices() -> Devices {
    let device = Device {
        name: "vm".into(),
        hostname: Some("vm".into()),
        os: Some("Debian GNU/Linux 12 (bookworm)".into()),
        ip: Some("127.0.0.1".into()),
        group: Some(("mesh//JMu".into(), "G1".into())),
    };
    Devices::from([(NODE.to_owned(), device)])
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The pulled list, oldest first.
fn listed() -> Vec<Value> {
    let mut events: Vec<Value> = serde_json::from_str(LISTED).unwrap();
    events.reverse();
    events
}

/// Every session that these messages make, its recordings fetched, by its beginning.
fn sessions(messages: &[Value]) -> Vec<(Lsid, Vec<Event>)> {
    let mut state = State::default();
    let events = take_all(&mut state, messages);
    by_session(&mut state, events)
}

fn take_all(state: &mut State, messages: &[Value]) -> Vec<Event> {
    let mut events = Vec::new();
    for message in messages {
        let Reading::Heard(heard) = read(message) else {
            continue;
        };
        if let Took::Now { events: more, .. } = state.take(&heard, At::MAX, &rules(), &devices()) {
            events.extend(more);
        }
    }
    events
}

fn by_session(state: &mut State, mut events: Vec<Event>) -> Vec<(Lsid, Vec<Event>)> {
    events.extend(state.close_idle(At::MAX, &rules()));
    for wanted in &state.wanted {
        match wanted.form {
            Form::Chat => {
                let said = chat::read(MESSENGER).unwrap();
                events.extend(
                    said.iter()
                        .enumerate()
                        .filter_map(|(n, line)| wanted.said(line, n)),
                );
            }
            Form::Shell { .. } | Form::Screen | Form::FurtherScreen { .. } => {
                events.extend(wanted.kept());
            }
        }
    }
    let mut sessions: BTreeMap<Lsid, Vec<Event>> = BTreeMap::new();
    for event in events {
        sessions.entry(event.lsid.clone()).or_default().push(event);
    }
    let mut sessions: Vec<_> = sessions.into_iter().collect();
    sessions.sort_by_key(|(_, events)| events.iter().map(|event| event.at).min());
    sessions
}

/// What a report says, a line for each thing.
fn show(sessions: &[(Lsid, Vec<Event>)]) -> String {
    let mut out = String::new();
    for (_, events) in sessions {
        let session = fold(1, events.clone(), Moment::Silent).unwrap();
        // The report's own words must be there for every event.
        let _ = session_parts(&session, &Directory::default());
        let start = debrief_report::iso(session.start);
        out += &format!("{start} {} s, {:?}\n", session.seconds, session.state);
        for rep in &session.reps {
            let name = rep.display_name();
            out += &format!("  {name} {:?} {} s\n", rep.role, rep.seconds_involved);
        }
        out += &format!("  {:?}\n", session.recordings);
        for event in &session.events {
            let actor = |actor: &Option<Actor>| {
                let actor = actor.as_ref()?;
                Some(format!("{}{}", actor.kind.name(), actor.gsnumber))
            };
            let by = actor(&event.performed_by).unwrap_or_default();
            let to = actor(&event.destination).map(|to| format!(" > {to}"));
            let body = event.body.as_ref().map(|body| format!(" {body:?}"));
            let data = event
                .data
                .iter()
                .map(|(name, value)| format!(" {name}={value}"));
            out += &format!(
                "  +{} {} {by}{}{}{}\n",
                event.at.millis() - session.start.millis(),
                event.kind.name(),
                to.unwrap_or_default(),
                body.unwrap_or_default(),
                data.collect::<String>(),
            );
        }
    }
    out
}

#[track_caller]
fn check(messages: &[Value], expected: Expect) {
    expected.assert_eq(&show(&sessions(messages)));
}

#[test]
fn a_terminal_and_files_are_one_session() {
    check(
        &lines(TERMINAL_FILES),
        expect![[r#"
        2026-11-23T01:58:30+00:00 21 s, Ended { at: At(1795399131.950) }
          Probe PrimaryOwner 21 s
          Recordings { session: None, show_my_screen: [], command_shell: [0] }
          +0 Session Start system0
          +0 Conference Member Added customer1
          +0 Conference Member Added representative2
          +0 Conference Owner Changed system0 > representative2 owner=Probe
          +0 Command Shell Session Started representative2 > customer1
          +22 Screen Recording representative2 state=started
          +8578 Chat Message system0 > everyone0 Text("Probe can now work with the files.")
          +8589 Chat Message system0 > everyone0 Text("Started remote files without notification (127.0.0.1)") consent=not asked
          +9992 Directory Created representative2 > customer1 path=/srv/pc/rt/newdir
          +11897 File Upload representative2 > customer1 filename=/srv/pc/rt/up.bin filesize=11
          +12797 File Moved representative2 > customer1 filename=/srv/pc/rt/up.bin old_path=/srv/pc/rt/up.bin new_path=/srv/pc/rt/up2.bin
          +13298 Session Note Added representative2 Text("Copy: \"/srv/pc/rt/up2.bin\" to \"/srv/pc/rt/newdir/up2.bin\"")
          +13799 File Moved representative2 > customer1 filename=/srv/pc/rt/hello.txt old_path=/srv/pc/rt/hello.txt new_path=/srv/pc/rt/newdir/hello.txt
          +14305 File Download customer1 > representative2 filename=/srv/pc/rt/up2.bin
          +15506 File Deleted representative2 > customer1 filename=/srv/pc/rt/up2.bin
          +16015 File Deleted representative2 > customer1 filename=/srv/pc/rt/newdir count=3
          +21831 Chat Message system0 > customer1 Text("hi there")
          +21831 Conference Member Departed representative2
          +21831 Session End system0
    "#]],
    );
}

#[test]
fn a_chat_a_desktop_and_a_note_are_one_session() {
    check(
        &lines(CHAT_DESKTOP_NOTE),
        expect![[r#"
        2026-11-23T02:01:08+00:00 14 s, Ended { at: At(1795399282.351) }
          Probe PrimaryOwner 14 s
          Recordings { session: Some(()), show_my_screen: [], command_shell: [] }
          +0 Session Start system0
          +0 Conference Member Added customer1
          +0 Conference Member Added representative2
          +0 Conference Owner Changed system0 > representative2 owner=Probe
          +0 Chat Message system0 > everyone0 Text("Probe opened a chat.")
          +1292 Chat Message representative2 > everyone0 Text("Hello, how can I help?")
          +2292 Chat Message customer1 > everyone0 Text("My printer <broken> & sad \u{1}")
          +3292 File Download customer1 > representative2 filename=log.txt filesize=1234
          +4679 Chat Message system0 > everyone0 Text("Probe can now view and control the screen.")
          +4684 Screen Recording representative2 state=started
          +4818 Chat Message system0 > everyone0 Text("Started remote desktop without notification (127.0.0.1)") consent=not asked
          +13616 Session Note Added representative2 Text("Customer called about printer, ticket 42")
          +13643 Conference Member Departed representative2
          +13643 Session End system0
    "#]],
    );
}

#[test]
fn two_users_of_a_shared_desktop_are_in_one_session() {
    check(
        &lines(TWO_USERS),
        expect![[r#"
        2026-11-23T02:05:24+00:00 10 s, Ended { at: At(1795399534.070) }
          Probe PrimaryOwner 10 s
          Tech Two Member 4 s
          Recordings { session: Some(()), show_my_screen: [], command_shell: [] }
          +0 Session Start system0
          +0 Conference Member Added customer1
          +0 Conference Member Added representative2
          +0 Conference Owner Changed system0 > representative2 owner=Probe
          +0 Chat Message system0 > everyone0 Text("Probe can now view and control the screen.")
          +0 Screen Recording representative2 state=started
          +103 Chat Message system0 > everyone0 Text("Started remote desktop without notification (127.0.0.1)") consent=not asked
          +3926 Conference Member Added representative3
          +7919 Conference Member Departed representative3
          +9923 Conference Member Departed representative2
          +9927 Session End system0
    "#]],
    );
}

#[test]
fn what_is_pulled_is_what_was_pushed() {
    let pushed = [TERMINAL_FILES, CHAT_DESKTOP_NOTE, TWO_USERS]
        .map(lines)
        .concat();
    let begin = pushed[0]["time"].as_str().unwrap();
    let mut pulled = listed();
    pulled.retain(|event| begin <= event["time"].as_str().unwrap());
    assert_eq!(sessions(&pulled), sessions(&pushed));
}

#[test]
fn every_message_of_a_real_server_is_understood() {
    let mut state = State::default();
    let mut homeless = Vec::new();
    for message in listed() {
        let heard = match read(&message) {
            Reading::Heard(heard) => heard,
            Reading::PassedOver(_) => continue,
            Reading::Strange(why) => panic!("{why}: {message}"),
        };
        match state.take(&heard, At::MAX, &rules(), &devices()) {
            Took::Now { homeless: None, .. } => {}
            Took::Now { .. } => homeless.push(message["action"].clone()),
            Took::Again => panic!("{message}"),
        }
    }
    // A command was run before the first session: there is none that it belongs to.
    assert_eq!(homeless, ["runcommands"]);
}

#[test]
fn a_restart_anywhere_with_any_overlap_changes_nothing() {
    let messages = listed();
    let whole = sessions(&messages);
    assert_eq!(whole.len(), 3);
    for stop in 0..messages.len() {
        for back in [0, 1, 5, messages.len()] {
            let mut state = State::default();
            let mut events = take_all(&mut state, &messages[..stop]);
            let text = serde_json::to_string(&state).unwrap();
            let mut state: State = serde_json::from_str(&text).unwrap();
            events.extend(take_all(&mut state, &messages[stop.saturating_sub(back)..]));
            assert_eq!(by_session(&mut state, events), whole, "{stop} {back}");
        }
    }
}

#[test]
fn what_is_taken_in_again_after_a_lost_state_has_the_same_ids() {
    let messages = listed();
    let mut events = take_all(&mut State::default(), &messages[..20]);
    let mut state = State::default();
    events.extend(take_all(&mut state, &messages));
    let twice = by_session(&mut state, events);
    let fold_all = |sessions: &[(Lsid, Vec<Event>)]| {
        let folded = sessions
            .iter()
            .map(|(_, events)| fold(1, events.clone(), Moment::Silent));
        folded.collect::<Vec<_>>()
    };
    assert_eq!(fold_all(&twice), fold_all(&sessions(&messages)));
}

#[test]
fn an_end_whose_beginning_was_never_told_makes_a_session_of_its_length() {
    let mut messages = lines(TERMINAL_FILES);
    messages.truncate(2);
    messages.remove(0);
    check(
        &messages,
        expect![[r#"
        2026-11-23T01:58:30+00:00 5 s, Ended { at: At(1795399115.654) }
          Probe PrimaryOwner 5 s
          Recordings { session: None, show_my_screen: [], command_shell: [] }
          +0 Session Start system0
          +0 Conference Member Added customer1
          +0 Conference Member Added representative2
          +0 Conference Owner Changed system0 > representative2 owner=Probe
          +0 Command Shell Session Started representative2 > customer1
          +5000 Conference Member Departed representative2
          +5000 Session End system0
    "#]],
    );
}

#[test]
fn a_pause_of_the_limit_ends_a_session_and_a_shorter_one_does_not() {
    let relay = |id: &str, secs: i64| {
        let time = |secs: i64| debrief_report::iso(At::from_secs(1_795_399_000 + secs).unwrap());
        let event = |msgid: u64, args: Value, secs: i64| {
            json!({ "action": "relaylog", "msgid": msgid, "msgArgs": args, "nodeid": NODE,
                    "userid": "user//probe", "username": "Probe", "time": time(secs) })
        };
        [
            event(14, json!([id, "127.0.0.1", "127.0.0.1"]), secs),
            event(10, json!([id, "127.0.0.1", "127.0.0.1", 9]), secs + 9),
        ]
    };
    let n_sessions = |second: i64| sessions(&[relay("a", 0), relay("b", second)].concat()).len();
    assert_eq!(n_sessions(9 + 119), 1);
    assert_eq!(n_sessions(9 + 120), 2);
}

#[test]
fn a_note_after_the_end_is_taken_and_one_of_nowhere_is_homeless() {
    let mut messages = lines(CHAT_DESKTOP_NOTE);
    let mut note = messages
        .iter()
        .find(|event| event["action"] == "manual")
        .unwrap()
        .clone();
    note["time"] = "2026-11-23T02:59:00.000Z".into();
    messages.push(note.clone());
    let noted = sessions(&messages);
    assert_eq!(noted.len(), 1);
    let notes = noted[0]
        .1
        .iter()
        .filter(|event| event.kind == EventType::SessionNoteAdded);
    assert_eq!(notes.count(), 2);
    let Reading::Heard(heard) = read(&note) else {
        panic!()
    };
    let took = State::default().take(&heard, At::MAX, &rules(), &devices());
    assert!(matches!(took, Took::Now { homeless: Some(_), events } if events.is_empty()));
}

#[test]
fn a_restarted_server_ends_its_relays() {
    let mut messages = lines(TERMINAL_FILES);
    messages.truncate(1);
    messages.push(
        json!({ "etype": "server", "action": "started", "msg": "Server started",
                          "time": "2026-11-23T01:59:00.000Z" }),
    );
    let sessions = sessions(&messages);
    assert_eq!(sessions[0].1.last().unwrap().kind, EventType::SessionEnd);
}

#[test]
fn the_person_who_asked_for_help_is_quoted_in_the_next_session() {
    let mut messages = vec![json!({ "action": "agentlog", "msgid": 98, "nodeid": NODE,
        "msgArgs": ["kim", "The printer burns"], "msg": "Help Requested",
        "time": "2026-11-23T01:50:00.000Z" })];
    messages.extend(lines(TERMINAL_FILES));
    let session = fold(1, sessions(&messages).remove(0).1, Moment::Silent).unwrap();
    assert_eq!(
        session.customers[0].customer.info.details,
        "The printer burns"
    );
}

#[test]
fn messages_are_passed_over_knowingly_or_kept_aside() {
    let reading = |message: Value| match read(&message) {
        Reading::Heard(_) => "heard".to_owned(),
        Reading::PassedOver(why) => format!("passed over: {why}"),
        Reading::Strange(why) => format!("strange: {why}"),
    };
    assert_eq!(
        reading(json!({ "action": "login" })),
        "passed over: about accounts"
    );
    assert_eq!(
        reading(json!({ "action": "relaylog", "nolog": 1 })),
        "passed over: a state, not an event"
    );
    assert_eq!(
        reading(json!({ "action": "teleport" })),
        "strange: no action `teleport` is known"
    );
    assert_eq!(
        reading(json!({ "action": "agentlog", "msgid": 999 })),
        "strange: `agentlog` with the message 999 is not known"
    );
    assert_eq!(reading(json!(7)), "strange: an event without an action");
}

#[test]
fn a_message_of_the_future_does_not_shut_out_what_comes_until_then() {
    let messages = lines(TERMINAL_FILES);
    let mut first = messages[0].clone();
    first["time"] = json!("2036-11-23T01:00:00.000Z");
    first["msgArgs"][0] = json!("of-the-future");
    let mut state = State::default();
    let now = At::from_secs(1_795_399_110).unwrap();
    let mut taken = |message: &Value| {
        let Reading::Heard(heard) = read(message) else {
            return true;
        };
        state.take(&heard, now, &rules(), &devices()) != Took::Again
    };
    assert!(taken(&first));
    assert!(messages.iter().all(&mut taken));
    assert!(!taken(&messages[0]));
}

/// A message with one field left out, or with another value.
fn mutated() -> impl Strategy<Value = Vec<Value>> {
    let values = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!([null, 3, "x"])),
        (0u64..170).prop_map(Value::from),
        Just(json!("2026-11-23T02:00:00.000Z")),
        Just(json!("+275760-09-13T00:00:00Z")),
    ];
    let change = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        prop::option::of(values),
    );
    prop::collection::vec(change, 0..12).prop_map(|changes| {
        let mut messages = listed();
        for (message, field, value) in changes {
            let message = message.get(&messages.clone()).clone();
            let mut changed = message.clone();
            let object = changed.as_object_mut().unwrap();
            let names: Vec<String> = object.keys().cloned().collect();
            let name = field.get(&names).clone();
            match value {
                Some(value) => object.insert(name, value),
                None => object.remove(&name),
            };
            messages.push(changed);
        }
        messages
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_message_makes_it_panic_and_none_counts_twice(messages in mutated()) {
        let mut state = State::default();
        let events = take_all(&mut state, &messages);
        let again = take_all(&mut state, &messages);
        prop_assert_eq!(again, Vec::new());
        let mut ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
        let n = ids.len();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), n);
        for (_, events) in by_session(&mut state, events) {
            fold(1, events, Moment::Silent).unwrap();
        }
    }
}
