//! What is taken, what is refused, and that nothing is lost on the way.

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::demo::{Plan, sessions};

#[track_caller]
fn check_faults(value: Value, expect: Expect) {
    let faults = parse(&value).expect_err("must be refused");
    let lines: Vec<String> = faults
        .iter()
        .map(|f| format!("{} [{}] {}", f.field, f.code, f.message))
        .collect();
    expect.assert_eq(&lines.join("\n"));
}

#[test]
fn every_event_of_the_demo_organisation_is_read_again_as_it_was_written() {
    let plan = Plan {
        n_sessions: 300,
        seed: 5,
        now: At::from_secs(1_795_000_000).unwrap(),
    };
    let mut n_events = 0;
    for event in sessions(&plan).flatten() {
        let json = to_json(&event);
        assert_eq!(parse(&json).unwrap(), event, "{json}");
        let text = json.to_string();
        assert_eq!(typed::parse(text.as_bytes()), Some(event), "{text}");
        n_events += 1;
    }
    assert!(5_000 < n_events);
}

#[test]
fn the_least_event_and_both_forms_of_time_are_taken() {
    let least =
        |time: Value| json!({ "id": "1", "lsid": "a", "time": time, "type": "Session Start" });
    let at = |time: Value| parse(&least(time)).unwrap().at.millis();
    assert_eq!(at(json!("2026-11-23T10:15:30.250Z")), 1_795_428_930_250);
    assert_eq!(
        at(json!("2026-11-23T12:15:30.2504+02:00")),
        1_795_428_930_250
    );
    assert_eq!(at(json!(1_795_428_930)), 1_795_428_930_000);
    assert_eq!(at(json!(1_795_428_930.25)), 1_795_428_930_250);
    for bad in [
        json!("2026-11-23T10:15:30"),
        json!("yesterday"),
        json!(-1),
        json!(1e15),
        json!(""),
    ] {
        let faults = parse(&least(bad.clone())).unwrap_err();
        assert_eq!(
            (faults.len(), faults[0].field.as_str()),
            (1, "time"),
            "{bad}"
        );
    }
}

#[test]
fn every_fault_is_named_with_its_place() {
    check_faults(
        json!({
            "id": "", "lsid": "a/b", "type": "Chat Mesage", "tyme": 1,
            "performed_by": { "type": "representative" },
            "destination": { "type": "nobody", "gsnumber": -1 },
            "body": 5, "body_base64": "%",
            "files": [{ "name": "x" }, { "size": 1 }],
            "data": [["a"]],
            "customer": { "gsnumber": 5_000_000_000_u64, "public_ip": "nowhere" },
        }),
        expect![[r#"
            id [format] must not be empty
            lsid [format] has the character '/'; expected letters, digits, `_` and `-`
            time [required] is required
            type [format] `Chat Mesage` is no event type; did you mean `Chat Message`?
            destination.type [format] is not one of system, customer, representative, everyone
            destination.gsnumber [type] must be a whole number of 0 or more
            body [type] must be text
            body_base64 [format] is not base64
            files[1].name [required] is required
            data [type] must be an object of texts, or a list of lists of a name and a value
            customer.gsnumber [range] is more than 4294967295
            customer.public_ip [format] is no address such as 192.0.2.1:50000 or [2001:db8::1]:50000
            tyme [unknown] is not known; known are id, lsid, time, type, performed_by, destination, body, body_base64, filename, filesize, files, data, system_information, session, customer, representative, team, survey, recording
            body_base64 [conflict] cannot stand beside `body`
            performed_by.gsnumber [required] is required for this type"#]],
    );
    check_faults(json!([]), expect![" [type] must be an object"]);
}

#[test]
fn limits_hold_at_the_limit_and_one_past_it() {
    let with = |name: &str, value: Value| {
        let mut event = json!({ "id": "1", "lsid": "a", "time": 1, "type": "File Upload" });
        event[name] = value;
        parse(&event).map_err(|faults| faults[0].code)
    };
    let file = json!({ "name": "x", "size": 1 });
    assert!(with("files", json!(vec![file.clone(); EVENT_FILES_MAX])).is_ok());
    assert_eq!(
        with("files", json!(vec![file; EVENT_FILES_MAX + 1])),
        Err("count")
    );
    assert!(with("filename", json!("é".repeat(NAME_CHARS_MAX))).is_ok());
    assert_eq!(
        with("filename", json!("é".repeat(NAME_CHARS_MAX + 1))),
        Err("length")
    );
    assert!(with("body", json!("x".repeat(TEXT_BYTES_MAX))).is_ok());
    assert_eq!(
        with("body", json!("x".repeat(TEXT_BYTES_MAX + 1))),
        Err("length")
    );
    let pairs = |n: usize| json!(vec![["a", "b"]; n]);
    assert!(with("data", pairs(EVENT_DATA_MAX)).is_ok());
    assert_eq!(with("data", pairs(EVENT_DATA_MAX + 1)), Err("count"));
    let instance = |n: u32| json!({ "kind": "command_shell", "instance": n });
    assert!(with("recording", instance(RECORDING_INSTANCES_MAX - 1)).is_ok());
    assert_eq!(
        with("recording", instance(RECORDING_INSTANCES_MAX)),
        Err("range")
    );
}

#[test]
fn an_address_gets_a_port_and_an_unknown_one_is_none() {
    let shown = |text: &str| address(text).unwrap().map(|address| address.to_string());
    assert_eq!(shown("192.0.2.1:80").as_deref(), Some("192.0.2.1:80"));
    assert_eq!(shown("192.0.2.1").as_deref(), Some("192.0.2.1:0"));
    assert_eq!(shown("2001:db8::1").as_deref(), Some("[2001:db8::1]:0"));
    assert_eq!(
        shown("[2001:db8::1]:443").as_deref(),
        Some("[2001:db8::1]:443")
    );
    assert_eq!(shown("Unknown"), None);
    assert!(address("192.0.2.1:99999").is_err());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    /// Foreign bytes: never a panic, and what is taken is written and read again as it is.
    #[test]
    fn a_mutated_event_is_refused_or_taken_whole(
        which in proptest::prelude::any::<proptest::sample::Index>(),
        edits in proptest::collection::vec(
            (proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()), 1..5),
    ) {
        static EVENTS: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
            let plan = Plan { n_sessions: 20, seed: 9, now: At::from_secs(1_795_000_000).unwrap() };
            sessions(&plan).flatten().map(|event| to_json(&event).to_string()).collect()
        });
        let mut text = EVENTS[which.index(EVENTS.len())].clone().into_bytes();
        for (at, byte) in edits {
            let at = at.index(text.len());
            text[at] = byte;
        }
        check_both_ways(&text);
        if let Ok(value) = serde_json::from_slice::<Value>(&text)
            && let Ok(event) = parse(&value)
        {
            proptest::prop_assert_eq!(parse(&to_json(&event)).unwrap(), event);
        }
    }

    /// Whatever stands in the place of a value, and whatever is said twice.
    #[test]
    fn the_fast_way_takes_nothing_that_the_other_does_not(
        which in proptest::prelude::any::<proptest::sample::Index>(),
        place in proptest::prelude::any::<proptest::sample::Index>(),
        other in proptest::prelude::any::<proptest::sample::Index>(),
    ) {
        let mut value = FULL[which.index(FULL.len())].clone();
        let mut pointers = Vec::new();
        places(&value, String::new(), &mut pointers);
        let pointer = &pointers[place.index(pointers.len())];
        let found = value.pointer(pointer).unwrap().clone();
        let long = |n: usize| Value::String("x".repeat(n));
        let others = [
            Value::Null,
            json!([]),
            json!({}),
            json!(5),
            json!(5.0),
            json!(-1),
            json!(true),
            json!(""),
            json!("Unknown"),
            json!(1.5e300),
            long(1_024),
            long(1_025),
            long(257),
            json!([found.clone()]),
            json!({ "id": found.clone() }),
            Value::Array(found.as_object().map_or(vec![], |o| o.values().cloned().collect())),
            found,
        ];
        *value.pointer_mut(pointer).unwrap() = others[other.index(others.len())].clone();
        let text = value.to_string();
        check_both_ways(text.as_bytes());
        let twice = text.replacen('{', "{\"body\":\"twice\",\"data\":{\"a\":\"1\",\"a\":\"2\"},", 1);
        check_both_ways(twice.as_bytes());
    }
}

/// Where every value within a value stands, as RFC 6901 has it; no name here needs escaping.
fn places(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            let inner = object.iter();
            inner.for_each(|(name, value)| places(value, format!("{at}/{name}"), found));
        }
        Value::Array(list) => {
            let inner = list.iter().enumerate();
            inner.for_each(|(idx, value)| places(value, format!("{at}/{idx}"), found));
        }
        _ => {}
    }
    found.push(at);
}

#[track_caller]
fn check_both_ways(text: &[u8]) {
    let Some(event) = typed::parse(text) else {
        return;
    };
    let value: Value = serde_json::from_slice(text).unwrap();
    let shown = String::from_utf8_lossy(text);
    assert_eq!(parse(&value), Ok(event), "{shown}");
}

/// Events that have every member among them.
static FULL: std::sync::LazyLock<Vec<Value>> = std::sync::LazyLock::new(|| {
    let plan = Plan {
        n_sessions: 40,
        seed: 3,
        now: At::from_secs(1_795_000_000).unwrap(),
    };
    let events = sessions(&plan).flatten().map(|event| to_json(&event));
    events.step_by(7).collect()
});
