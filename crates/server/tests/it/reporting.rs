//! `/api/reporting` beyond the vendor's examples: dialects, formats, errors, names as they are
//! now, sessions in every state, and long reports.

use std::io::Read as _;

use axum::body::Body;
use axum::http::{Method, Request, header};
use debrief_domain::{
    Body as Text, CodeName, CustomAttribute, CustomField, EventType, Recording, RecordingKind,
    SessionContext,
};
use expect_test::{Expect, expect};
use futures::StreamExt as _;
use serde_json::json;

use crate::world::{
    NAMESPACE, NOW, Reply, Story, World, all, as_reader, at, directory, lsids, only,
};

/// Everything since the start of time.
const ALL: &str = "start_time=0&duration=0";

#[track_caller]
fn check(reply: &Reply, expect: Expect) {
    let media_type = reply.header("content-type");
    expect.assert_eq(&format!("{} {media_type}\n{}", reply.status, reply.text()));
}

/// Three sessions: ended, running, ended.
async fn three() -> World {
    let world = World::new().await;
    fill(&world).await;
    world
}

async fn fill(world: &World) {
    let stories = [
        Story::new("a", NOW - 3_000)
            .owner("1")
            .team("1")
            .end(NOW - 2_000),
        Story::new("b", NOW - 1_000).owner("2").team("2"),
        Story::new("c", NOW - 500)
            .owner("1")
            .team("1")
            .end(NOW - 100),
    ];
    for story in stories {
        world.append(story.events).await;
    }
}

// ---- Errors and dialects ----

#[tokio::test]
async fn every_faulty_parameter_is_named_at_once_inside_the_list() {
    let world = World::new().await;
    let reply = world
        .ask("start_date=2016-02-30&end_time=x&limit=queue:1&format=pdf")
        .await;
    check(
        &reply,
        expect![[r#"
            200 text/xml; charset=utf-8
            <?xml version="1.0" encoding="UTF-8"?>
            <session_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
            <error>format: `pdf` is not one of xml, json, ndjson, csv; start_date: a start and an end cannot be asked for together; end_time: a start and an end cannot be asked for together; duration: is required; limit: `queue:1` is not known; expected all, rep:ID, team:all, team:ID, members:ID or site:ID</error>
            </session_list>
        "#]],
    );
    let error = world
        .ask("start_date=2016-02-30&duration=-3&limit=")
        .await
        .error();
    for parameter in ["start_date: ", "duration: ", "limit: "] {
        assert!(error.contains(parameter), "{parameter} in {error}");
    }
    let request = as_reader(Request::get(
        "/api/reporting?generate_report=Nonsense&lsid=",
    ));
    let error = world
        .send(request.body(Body::empty()).unwrap())
        .await
        .error();
    for told in ["Nonsense", "SupportSession", "lsid: "] {
        assert!(error.contains(told), "{told} in {error}");
    }
    let request = as_reader(Request::post("/api/reporting"))
        .body(Body::empty())
        .unwrap();
    let error = world.send(request).await.error();
    assert!(error.contains("generate_report: is required"), "{error}");
}

#[tokio::test]
async fn an_error_is_the_root_in_the_dialect_of_appliances() {
    let world = World::with(&[("dialect", "appliance")]).await;
    check(
        &world.ask("start_time=x&duration=y").await,
        expect![[r#"
        200 text/xml; charset=utf-8
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">start_time: `x` is no UNIX time in whole seconds; duration: `y` is no whole number of seconds</error>
    "#]],
    );
    // So is the answer that nothing fits, whatever coding the client takes.
    let request = Request::get(format!(
        "/api/reporting?generate_report=SupportSession&{ALL}"
    ));
    let request = as_reader(request).header(header::ACCEPT_ENCODING, "gzip");
    let reply = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.header("content-encoding"), "");
    check(
        &reply,
        expect![[r#"
        200 text/xml; charset=utf-8
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">No Support report information matching your chosen criteria is available.</error>
    "#]],
    );
    // The other formats have no such error.
    assert_eq!(world.ask(&format!("{ALL}&format=ndjson")).await.text(), "");
    fill(&world).await;
    let reply = world.ask(ALL).await;
    assert_eq!(reply.lsids(), ["a", "b", "c"]);
    assert!(reply.text().contains("xmlns:xsi="));
}

#[tokio::test]
async fn nothing_found_is_an_empty_list_and_the_namespace_is_configurable() {
    let world = World::with(&[("namespace", "urn:another")]).await;
    check(
        &world.ask("lsid=nobody").await,
        expect![[r#"
        200 text/xml; charset=utf-8
        <?xml version="1.0" encoding="UTF-8"?>
        <session_list xmlns="urn:another">
        </session_list>
    "#]],
    );
}

#[tokio::test]
async fn json_questions_have_json_errors() {
    let world = World::new().await;
    for format in ["json", "ndjson"] {
        let reply = world.ask(&format!("lsid=a/b&lsids=&format={format}")).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, "application/json")
        );
        let answer = reply.json();
        assert_eq!(answer["error"], "invalid_parameters");
        let message = "has the character '/'; expected letters, digits, `_` and `-`";
        let faults = json!([
            { "field": "lsid", "message": message },
            { "field": "lsids", "message": "must not be empty" },
        ]);
        assert_eq!(answer["faults"], faults);
        let told = format!("lsid: {message}; lsids: must not be empty");
        assert_eq!(answer["message"], told);
    }
    // A table has no place for an error.
    let error = world.ask("duration=0&format=csv").await.error();
    assert!(error.starts_with("start_date: "), "{error}");
}

// ---- Aliases and headers ----

#[tokio::test]
async fn aliases_and_headers_that_say_json_change_nothing() {
    let world = three().await;
    let plain = world.ask(ALL).await;
    assert_eq!(plain.lsids(), ["a", "b", "c"]);
    let query = format!("generate_report=SupportSession&{ALL}");
    let sister = format!("generate_report=AccessSession&{ALL}");
    let json = |path: String, body: &str| {
        as_reader(Request::post(path))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    let requests = [
        json(format!("/api/reporting.ns?{query}"), ""),
        json(
            format!("/api/reporting?{sister}"),
            "{\"limit\": \"nonsense\"}",
        ),
        json("/api/reporting".into(), &query),
        json("/api/reporting.ns".into(), &sister),
    ];
    for request in requests {
        let told = format!("{request:?}");
        let reply = world.send(request).await;
        assert_eq!(
            reply.header("content-type"),
            "text/xml; charset=utf-8",
            "{told}"
        );
        assert_eq!(reply.text(), plain.text(), "{told}");
    }
}

#[tokio::test]
async fn a_parameter_in_query_and_form_must_say_the_same_and_unknown_ones_are_ignored() {
    let world = three().await;
    let post = |form: &str| {
        let path = "/api/reporting?generate_report=SupportSession&lsid=a&colour=blue";
        as_reader(Request::post(path))
            .body(Body::from(form.to_owned()))
            .unwrap()
    };
    assert_eq!(world.send(post("lsid=a&colour=red")).await.lsids(), ["a"]);
    let error = world.send(post("lsid=b")).await.error();
    assert_eq!(error, "lsid: is given twice with different values");
}

#[tokio::test]
async fn a_head_request_has_the_headers_of_the_report_and_no_body() {
    let world = three().await;
    let path = format!("/api/reporting?generate_report=SupportSession&{ALL}");
    let request = as_reader(Request::builder().method(Method::HEAD).uri(path));
    let reply = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, "text/xml; charset=utf-8")
    );
}

#[tokio::test]
async fn a_form_beyond_its_limit_is_refused_and_one_at_it_is_read() {
    let world = three().await;
    let form = |len: usize| {
        let mut form = format!("generate_report=SupportSession&{ALL}&x=");
        form.push_str(&"x".repeat(len - form.len()));
        as_reader(Request::post("/api/reporting"))
            .body(Body::from(form))
            .unwrap()
    };
    let max = debrief::http::FORM_BYTES_MAX;
    assert_eq!(world.send(form(max)).await.lsids(), ["a", "b", "c"]);
    assert_eq!(world.send(form(max + 1)).await.status, 413);
}

// ---- Formats and codings ----

#[tokio::test]
async fn the_same_sessions_come_in_other_clothes() {
    let world = three().await;
    assert_eq!(world.seal().await, 2);
    let json = world.ask(&format!("{ALL}&format=json")).await;
    assert_eq!(json.header("content-type"), "application/json");
    let sessions = json.json()["sessions"].as_array().unwrap().clone();
    let lsids = |sessions: &[serde_json::Value]| {
        let lsid = |session: &serde_json::Value| session["lsid"].as_str().unwrap().to_owned();
        sessions.iter().map(lsid).collect::<Vec<_>>()
    };
    assert_eq!(lsids(&sessions), ["a", "b", "c"]);
    assert_eq!(sessions[0]["end_timestamp"], NOW - 2_000);
    assert_eq!(sessions[1]["end_time"], serde_json::Value::Null);

    let ndjson = world.ask(&format!("{ALL}&format=ndjson")).await;
    assert_eq!(ndjson.header("content-type"), "application/x-ndjson");
    let lines = ndjson
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    assert_eq!(lines.collect::<Vec<serde_json::Value>>(), sessions);

    let csv = world.ask(&format!("{ALL}&format=csv")).await;
    assert_eq!(
        csv.header("content-type"),
        "text/csv; charset=utf-8; header=present"
    );
    let rows: Vec<&str> = csv.text().lines().collect();
    assert!(rows[0].starts_with("Session ID,Session Sequence Number,Started,Ended"));
    let firsts: Vec<_> = rows[1..]
        .iter()
        .map(|row| row.split(',').next().unwrap())
        .collect();
    assert_eq!(firsts, ["a", "b", "c"]);

    let xml = world.ask(&format!("{ALL}&format=xml")).await;
    assert_eq!(xml.text(), world.ask(ALL).await.text());
    // Nothing found is an empty document of each kind.
    assert_eq!(
        lsids(
            world.ask("lsid=x&format=json").await.json()["sessions"]
                .as_array()
                .unwrap()
        ),
        [""; 0]
    );
    assert_eq!(
        world.ask("lsid=x&format=csv").await.text().lines().count(),
        1
    );
}

#[tokio::test]
async fn gzip_says_the_same_as_plain_text() {
    let world = three().await;
    assert_eq!(world.seal().await, 2);
    for query in [
        ALL,
        "lsid=nobody",
        "lsids=c,a&format=json",
        "lsid=a&format=csv",
        "lsid=b&format=ndjson",
    ] {
        let plain = world.ask(query).await;
        assert_eq!(plain.header("content-encoding"), "");
        assert_eq!(plain.header("vary"), "accept-encoding");
        let request = Request::get(format!(
            "/api/reporting?generate_report=SupportSession&{query}"
        ));
        let request = as_reader(request).header(header::ACCEPT_ENCODING, "deflate, gzip;q=0.9");
        let packed = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(packed.header("content-encoding"), "gzip", "{query}");
        assert_eq!(packed.header("vary"), "accept-encoding");
        assert_eq!(packed.header("content-type"), plain.header("content-type"));
        // One member and nothing behind it, so that every client reads it to the end.
        let mut text = String::new();
        let mut decoder = flate2::bufread::GzDecoder::new(packed.body.as_slice());
        decoder.read_to_string(&mut text).unwrap();
        assert!(decoder.into_inner().is_empty());
        assert_eq!(text, plain.text(), "{query}");
    }
}

// ---- Names and members as they are now ----

/// An imported session of two teams.
const IMPORTED: &str = r#"<session_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
<session lsid="imported"><session_type>support</session_type><lseq>1</lseq>
<start_time timestamp="1479200000">2016-11-15T08:53:20+00:00</start_time>
<end_time timestamp="1479200060">2016-11-15T08:54:20+00:00</end_time><duration>00:01:00</duration>
<public_site id="1">Default</public_site><external_key/><custom_attributes/>
<file_transfer_count>0</file_transfer_count><file_move_count>0</file_move_count>
<file_delete_count>0</file_delete_count><primary_customer gsnumber="2">Ada</primary_customer>
<primary_team id="2">team 2 then</primary_team><customer_list/><rep_list/>
<team_list><team id="1" primary_team="0">team 1 then</team>
<team id="2" primary_team="1">team 2 then</team></team_list>
<session_details><event timestamp="1479200000" event_type="Session Start"/></session_details>
</session></session_list>"#;

#[tokio::test]
async fn a_new_name_of_a_team_shows_at_once_in_every_session() {
    let world = World::new().await;
    world.import(IMPORTED);
    let both = |lsid: &str| Story::new(lsid, NOW - 900).team("1").team("2");
    world.append(both("sealed").end(NOW - 800).events).await;
    assert_eq!(world.seal().await, 1);
    world.append(both("ended").end(NOW - 800).events).await;
    world.append(both("running").events).await;
    let lsids = ["imported", "sealed", "ended", "running"];
    let check = async |first: &str, second: &str| {
        for lsid in lsids {
            let reply = world.ask(&format!("lsid={lsid}")).await;
            assert_eq!(reply.lsids(), [lsid]);
            assert_eq!(all(reply.text(), "team"), [first, second], "{lsid}");
            assert_eq!(only(reply.text(), "primary_team"), second, "{lsid}");
        }
    };
    check("team 1 then", "team 2 then").await;
    let name = |second| directory(&[("1", "Helpdesk", &[]), ("2", second, &[])]);
    world
        .store
        .put_directory(name("Field & <Co>"))
        .await
        .unwrap();
    check("Helpdesk", "Field & <Co>").await;
    // Twice: the first report kept what it renamed.
    check("Helpdesk", "Field & <Co>").await;
    world.store.put_directory(name("Roads")).await.unwrap();
    assert_eq!(world.seal().await, 1);
    check("Helpdesk", "Roads").await;
    let whole = world.ask(ALL).await;
    assert_eq!(all(whole.text(), "primary_team"), ["Roads"; 4]);
}

#[tokio::test]
async fn members_are_those_of_now() {
    let world = three().await;
    let members = format!("{ALL}&limit=members:9");
    // A team that does not exist has no members.
    assert_eq!(world.ask(&members).await.lsids(), [""; 0]);
    for (of_team, expected) in [
        (vec!["2"], vec!["b"]),
        (vec!["1", "2"], vec!["a", "b", "c"]),
        (vec!["1", "77"], vec!["a", "c"]),
        (vec![], vec![]),
    ] {
        let now = directory(&[("9", "New", &of_team), ("1", "Old", &["1", "2"])]);
        world.store.put_directory(now).await.unwrap();
        assert_eq!(world.ask(&members).await.lsids(), expected);
    }
}

// ---- States of a session ----

#[tokio::test]
async fn a_running_session_has_no_end_and_grows_with_the_clock() {
    let world = World::new().await;
    world
        .append(Story::new("r", NOW - 3_723).owner("1").events)
        .await;
    let reply = world.ask("lsid=r").await;
    assert!(
        reply.text().contains("<end_time></end_time>"),
        "{}",
        reply.text()
    );
    assert_eq!(only(reply.text(), "duration"), "01:02:03");
    assert_eq!(only(reply.text(), "seconds_involved"), "3723");
    assert_eq!(all(reply.text(), "session_chat_view_url"), [""; 0]);
    world.clock.set(at(NOW + 360_000));
    let reply = world.ask("lsid=r").await;
    assert_eq!(only(reply.text(), "duration"), "101:02:03");
    // It is in no end window, however wide.
    assert_eq!(world.ask("end_time=0&duration=0").await.lsids(), [""; 0]);
    assert_eq!(world.ask(ALL).await.lsids(), ["r"]);
}

#[tokio::test]
async fn a_lapsed_session_has_no_end_and_stands_still_until_it_is_heard_again() {
    let world = World::new().await;
    let mut story = Story::new("l", NOW - 600).owner("1");
    story.happens(NOW - 535, EventType::ChatMessage, |_| {});
    world.append(story.events).await;
    assert_eq!(world.store.lapse(at(NOW + 1), 10).await.unwrap(), 1);
    for _ in 0..2 {
        world.clock.set(world.clock.now().plus_secs(86_400));
        let reply = world.ask("lsid=l").await;
        assert!(reply.text().contains("<end_time></end_time>"));
        assert_eq!(only(reply.text(), "duration"), "00:01:05");
        assert_eq!(only(reply.text(), "seconds_involved"), "65");
        assert_eq!(all(reply.text(), "session_chat_view_url"), [""; 0]);
        world.seal().await;
    }
    assert_eq!(world.ask("end_time=0&duration=0").await.lsids(), [""; 0]);
    let mut late = Story::new("l", NOW - 600);
    late.events.clear();
    late.happens(NOW - 500, EventType::SessionEnd, |event| {
        event.id = debrief_domain::EventId::parse("late").unwrap();
    });
    world.append(late.events).await;
    let reply = world.ask("end_time=0&duration=0").await;
    assert_eq!(reply.lsids(), ["l"]);
    assert_eq!(only(reply.text(), "duration"), "00:01:40");
}

#[tokio::test]
async fn what_xml_cannot_carry_is_encoded_or_replaced() {
    let world = World::new().await;
    let mut story = Story::new("x", NOW - 600);
    let bodies = [
        Text::Text("plain 😀 \t&\n<>".into()),
        Text::Text("bell\u{7} and \u{FFFE}".into()),
        Text::Bytes(vec![0xFF, 0x00, 0x01]),
        Text::Bytes(b"bytes that are text".to_vec()),
    ];
    for body in bodies {
        story.happens(NOW - 590, EventType::ChatMessage, |event| {
            event.body = Some(body)
        });
    }
    story.happens(NOW - 580, EventType::FileUpload, |event| {
        event.filename = Some("a\u{1}b\u{1F}.txt".into());
    });
    world.append(story.end(NOW - 10).events).await;
    let check = async || {
        let reply = world.ask("lsid=x").await;
        let text = reply.text();
        assert_eq!(
            all(text, "body"),
            ["plain 😀 \t&\n<>", "bytes that are text"]
        );
        let encoded = all(text, "encoded_body");
        let decode = |text: &String| {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .unwrap()
        };
        assert_eq!(decode(&encoded[0]), "bell\u{7} and \u{FFFE}".as_bytes());
        assert_eq!(decode(&encoded[1]), [0xFF, 0x00, 0x01]);
        assert_eq!(encoded.len(), 2);
        assert_eq!(only(text, "filename"), "a\u{FFFD}b\u{FFFD}.txt");
    };
    check().await;
    assert_eq!(world.seal().await, 1);
    check().await;
}

// ---- What depends on who asks and on the directory ----

fn recorded(lsid: &str) -> Story {
    let mut story = Story::new(lsid, NOW - 600).owner("1");
    let instances = [
        (RecordingKind::Session, 0),
        (RecordingKind::ShowMyScreen, 0),
        (RecordingKind::ShowMyScreen, 1),
        (RecordingKind::CommandShell, 0),
    ];
    for (kind, instance) in instances {
        story.happens(NOW - 500, EventType::ScreenRecording, |event| {
            event.recording = Some(Recording { kind, instance });
        });
    }
    story
}

/// Every element that holds a link, or links.
const LINKS: [&str; 8] = [
    "session_chat_view_url",
    "session_chat_download_url",
    "session_recording_view_url",
    "session_recording_download_url",
    "show_my_screen_recording",
    "command_shell_recording",
    "download_url",
    "view_url",
];

fn links(text: &str) -> Vec<usize> {
    LINKS.iter().map(|name| all(text, name).len()).collect()
}

#[tokio::test]
async fn links_are_there_once_a_session_has_ended_for_those_who_may_see_recordings() {
    let world = World::new().await;
    world.append(recorded("ended").end(NOW - 10).events).await;
    world.append(recorded("running").events).await;
    world
        .append(Story::new("bare", NOW - 600).end(NOW - 10).events)
        .await;
    let login = world.login("no-recordings", "reporting", &[]).await;
    let without = world.token(&login).await;
    for _ in 0..2 {
        let check = async |lsid: &str, seen: [usize; 8], seen_without: [usize; 8]| {
            let query = format!("lsid={lsid}");
            let reply = world.ask(&query).await;
            assert_eq!(links(reply.text()), seen, "{lsid}");
            let reply = world.ask_as(&without, &query).await;
            assert_eq!(
                links(reply.text()),
                seen_without,
                "{lsid}, without recordings"
            );
        };
        check("ended", [1, 1, 1, 1, 2, 1, 3, 3], [1, 1, 0, 0, 0, 0, 0, 0]).await;
        check("running", [0; 8], [0; 8]).await;
        check("bare", [1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0]).await;
        // And the same from kept bytes.
        world.seal().await;
    }
    let reply = world.ask("lsid=ended").await;
    let view = only(reply.text(), "session_chat_view_url");
    let download = only(reply.text(), "session_chat_download_url");
    assert!(
        view.starts_with("http://debrief.example/session_download?lsid=l%3Dended%3B"),
        "{view}"
    );
    assert_eq!(view, format!("{download}&view=1"));
    // Another account's links are others, and so are those of another week.
    let other = world.ask_as(&without, "lsid=ended").await;
    assert_ne!(only(other.text(), "session_chat_view_url"), view);
    assert_eq!(
        only(
            world.ask("lsid=ended").await.text(),
            "session_chat_view_url"
        ),
        view
    );
    world.clock.set(at(NOW + 7_200));
    assert_ne!(
        only(
            world.ask("lsid=ended").await.text(),
            "session_chat_view_url"
        ),
        view
    );
}

#[tokio::test]
async fn links_begin_with_the_configured_address() {
    let world = World::with(&[("public_url", "https://support.example.com/")]).await;
    world
        .append(Story::new("a", NOW - 600).end(NOW - 10).events)
        .await;
    let view = only(world.ask("lsid=a").await.text(), "session_chat_view_url");
    assert!(
        view.starts_with("https://support.example.com/session_download?"),
        "{view}"
    );
}

#[tokio::test]
async fn custom_attributes_are_shown_once_a_field_is_defined_or_has_a_value() {
    let world = World::new().await;
    let attribute = CustomAttribute {
        code_name: CodeName::parse("ticket").unwrap(),
        display_name: Some("Ticket".into()),
        value: "4711".into(),
    };
    let mut valued = Story::new("valued", NOW - 600);
    valued.events[0].session = Some(Box::new(SessionContext {
        custom_attributes: vec![attribute],
        ..SessionContext::default()
    }));
    world.append(valued.end(NOW - 10).events).await;
    world
        .append(Story::new("sealed", NOW - 600).end(NOW - 10).events)
        .await;
    world.seal().await;
    world.append(Story::new("running", NOW - 600).events).await;
    let n_elements = async |lsid: &str| {
        let reply = world.ask(&format!("lsid={lsid}")).await;
        let of = |name| all(reply.text(), name).len();
        (of("custom_attributes"), of("custom_attribute"))
    };
    assert_eq!(n_elements("valued").await, (1, 1));
    assert_eq!(n_elements("sealed").await, (0, 0));
    assert_eq!(n_elements("running").await, (0, 0));
    let mut fields = directory(&[]);
    let field = CustomField {
        display_name: "Ticket".into(),
    };
    fields
        .custom_fields
        .insert(CodeName::parse("ticket").unwrap(), field);
    world.store.put_directory(fields).await.unwrap();
    assert_eq!(n_elements("valued").await, (1, 1));
    assert_eq!(n_elements("sealed").await, (1, 0));
    assert_eq!(n_elements("running").await, (1, 0));
}

// ---- Long reports ----

/// Sessions `s00000`, `s00001`, …, one a second, each ended unless told otherwise.
async fn many(n: i64, is_ended: impl Fn(i64) -> bool) -> World {
    many_with(&[], n, is_ended).await
}

async fn many_with(keys: &[(&str, &str)], n: i64, is_ended: impl Fn(i64) -> bool) -> World {
    let world = World::with(keys).await;
    let start = NOW - 100_000;
    let mut events = Vec::new();
    for idx in 0..n {
        let story = Story::new(&format!("s{idx:05}"), start + idx).owner("1");
        let story = if is_ended(idx) {
            story.end(start + idx + 60)
        } else {
            story
        };
        events.extend(story.events);
    }
    for batch in events.chunks(5_000) {
        world.append(batch.to_vec()).await;
    }
    world
}

#[tokio::test]
async fn a_report_of_several_pages_says_what_single_lookups_say() {
    let world = many(620, |idx| idx % 10 != 7).await;
    // Kept bytes and running sessions alternate; a few closed ones are not sealed yet.
    assert_eq!(world.seal().await, 558);
    world
        .append(Story::new("z", NOW - 50).end(NOW - 40).events)
        .await;
    let whole = world.ask(ALL).await;
    let mut expected = whole.lsids();
    assert_eq!(
        (expected.len(), expected.pop().unwrap().as_str()),
        (621, "z")
    );
    assert!(expected.is_sorted());
    let empty = world.ask("lsid=nobody").await;
    let head = empty.text().strip_suffix("</session_list>\n").unwrap();
    let mut rest = whole.text().strip_prefix(head).unwrap();
    for lsid in expected.iter().map(String::as_str).chain(["z"]) {
        let single = world.ask(&format!("lsid={lsid}")).await;
        let session = single.text().strip_prefix(head).unwrap();
        let session = session.strip_suffix("</session_list>\n").unwrap();
        rest = rest
            .strip_prefix(session)
            .unwrap_or_else(|| panic!("{lsid} differs"));
    }
    assert_eq!(rest, "</session_list>\n");
}

#[tokio::test]
async fn a_report_shows_one_moment_whatever_comes_while_it_is_read() {
    let world = many(2_000, |idx| idx < 1_000).await;
    let mut chunks = world.stream(ALL).await;
    let mut text = chunks.next().await.unwrap().unwrap().to_vec();
    let start = NOW - 100_000;
    // Seen first after the moment: before, amid and after the place where the reading is.
    for (lsid, offset) in [("early", -50), ("amid", 1_990), ("late", 5_000)] {
        world
            .append(Story::new(lsid, start + offset).end(start + 9_000).events)
            .await;
    }
    // A session still to come moves to before the place; one still to come ends; one that was
    // given goes on; and what was closed is sealed.
    let mut story = Story::new("s01800", start);
    story.events.clear();
    story.happens(start - 10, EventType::SessionStart, |event| {
        event.id = debrief_domain::EventId::parse("earlier").unwrap();
    });
    world.append(story.events).await;
    let mut story = Story::new("s01999", start);
    story.events.clear();
    story.happens(NOW - 7, EventType::SessionEnd, |event| {
        event.id = debrief_domain::EventId::parse("ended").unwrap();
    });
    world.append(story.events).await;
    let mut story = Story::new("s00003", start);
    story.events.clear();
    story.happens(NOW - 7, EventType::ChatMessage, |event| {
        event.id = debrief_domain::EventId::parse("more").unwrap();
    });
    world.append(story.events).await;
    world.seal().await;
    let mut n_chunks = 1;
    while let Some(chunk) = chunks.next().await {
        text.extend_from_slice(&chunk.unwrap());
        n_chunks += 1;
    }
    assert!(
        4 <= n_chunks,
        "{n_chunks} chunks: nothing came between them"
    );
    let mut found = lsids(std::str::from_utf8(&text).unwrap());
    found.sort();
    let expected: Vec<String> = (0..2_000).map(|idx| format!("s{idx:05}")).collect();
    assert_eq!(found, expected);
    let now = world.ask(ALL).await.lsids();
    assert_eq!(now.len(), 2_003);
    assert_eq!(now[..3], ["early", "s01800", "s00000"]);
    assert_eq!(now[2_002], "late");
}

#[tokio::test]
async fn one_report_more_than_an_account_may_have_at_once_is_refused() {
    let world = many_with(&[("reports_at_once", "2")], 2_000, |_| true).await;
    let (first, second) = (world.stream(ALL).await, world.stream(ALL).await);
    let listing = "/api/reporting?generate_report=SupportSessionListing&start_time=0&duration=0";
    let team = "/api/reporting?generate_report=SupportTeam&generate_type=activity\
                &start_time=0&duration=0";
    let get = |path: &str| as_reader(Request::get(path)).body(Body::empty()).unwrap();
    let one_more = || async {
        let mut told = Vec::new();
        for path in [listing, team, "/api/v1/sessions", "/api/v1/changes?since=0"] {
            let reply = world.send(get(path)).await;
            let is_named = reply.text().contains("reports_at_once is 2");
            told.push((
                reply.status,
                reply.header("retry-after").to_owned(),
                is_named,
            ));
        }
        told
    };
    assert_eq!(one_more().await, vec![(429, "1".to_owned(), true); 4]);
    // Another account, and what is no report, are not concerned.
    let login = world.login("other", "reporting", &[]).await;
    let token = world.token(&login).await;
    assert_eq!(world.ask_as(&token, "lsid=s00001").await.status, 200);
    let session = world.send(get("/api/v1/sessions/s00001")).await;
    assert_eq!(session.status, 200);
    // One client goes away, the other reads to the end: both places are free again.
    drop(first);
    assert_eq!(one_more().await, vec![(200, String::new(), false); 4]);
    let third = world.stream(ALL).await;
    assert_eq!(world.ask(ALL).await.status, 429);
    let chunks: Vec<_> = second.collect().await;
    assert!(chunks.iter().all(Result::is_ok));
    assert_eq!(world.ask(ALL).await.lsids().len(), 2_000);
    drop(third);
}

#[tokio::test]
async fn a_report_that_fails_at_once_has_a_status_that_says_so() {
    let world = many(3, |_| true).await;
    assert_eq!(world.seal().await, 3);
    for file in std::fs::read_dir(world.data.path().join("segments")).unwrap() {
        let file = std::fs::File::options()
            .write(true)
            .open(file.unwrap().path());
        file.unwrap().set_len(0).unwrap();
    }
    for selection in [ALL, "lsid=s00001", "lsids=s00001,s00002", "changed_since=0"] {
        let reply = world.ask(selection).await;
        assert_eq!(reply.status, 500, "{selection}");
        assert!(!reply.text().contains("<session "), "{selection}");
    }
}

#[tokio::test]
async fn a_report_that_fails_half_way_is_cut_off_and_ill_formed() {
    let world = many(2_000, |_| true).await;
    let mut chunks = world.stream(ALL).await;
    let mut text = chunks.next().await.unwrap().unwrap().to_vec();
    // What the reading still needs is forgotten.
    world.append(Story::new("new", NOW - 50).events).await;
    let horizon = world.store.last_change().await.unwrap();
    world.store.purge(horizon).await.unwrap();
    let mut is_cut = false;
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => text.extend_from_slice(&chunk),
            Err(_) => is_cut = true,
        }
    }
    assert!(is_cut, "the end came without an error");
    let text = std::str::from_utf8(&text).unwrap();
    assert!(text.contains("s00000") && !text.contains("</session_list>"));
    assert!(roxmltree::Document::parse(text).is_err());
}

#[tokio::test]
async fn cursors_of_changes_lose_and_repeat_nothing() {
    let world = three().await;
    let first = world.ask("changed_since=0").await;
    assert_eq!(first.lsids(), ["a", "b", "c"]);
    let cursor = first.header("debrief-next").to_owned();
    let document = roxmltree::Document::parse(first.text()).unwrap();
    let root = document.root_element();
    assert!(root.has_tag_name((NAMESPACE, "session_list")));
    assert_eq!(
        root.attribute(("urn:debrief:report:1", "next")),
        Some(cursor.as_str())
    );
    let again = world.ask(&format!("changed_since={cursor}")).await;
    assert_eq!(
        (again.lsids(), again.header("debrief-next")),
        (vec![], cursor.as_str())
    );
    world
        .append(Story::new("d", NOW - 9_000).team("1").events)
        .await;
    let mut late = Story::new("a", NOW - 3_000);
    late.events.clear();
    late.happens(NOW - 1_999, EventType::SessionNoteAdded, |event| {
        event.id = debrief_domain::EventId::parse("late").unwrap();
    });
    world.append(late.events).await;
    let news = world.ask(&format!("changed_since={cursor}")).await;
    assert_eq!(news.lsids(), ["d", "a"]);
    let of_team = world
        .ask(&format!("changed_since={cursor}&limit=team:2"))
        .await;
    assert_eq!(of_team.lsids(), [""; 0]);
    let ndjson = world.ask("changed_since=0&format=ndjson").await;
    assert_eq!(ndjson.header("debrief-next"), news.header("debrief-next"));
    assert_eq!(ndjson.text().lines().count(), 4);
}
