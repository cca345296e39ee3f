//! `POST /api/v1/events`: what is taken, what is refused whole, and what becomes of sessions.

use std::io::Write as _;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request, header};
use debrief::http::BATCH_BYTES_MAX;
use debrief::sweep::sweep;
use debrief_domain::limits::BATCH_EVENTS_MAX;
use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::sender::{
    EVENTS, Sender, bodies, counts, event, ids, listed, ndjson, read, session, shown,
};
use crate::world::{NOW, Reply, World, as_reader, at, from, only};

/// The status, and the body as far as it is told.
#[track_caller]
fn check(reply: &Reply, expect: Expect) {
    let body = serde_json::to_string_pretty(&reply.json()).unwrap();
    expect.assert_eq(&format!("{}\n{body}\n", reply.status));
}

/// A refusal that names the limit and its value.
#[track_caller]
fn check_limit(reply: &Reply, name: &str, value: usize) {
    let expected = json!({
        "error": "too_large", "limit": name, "value": value,
        "message": format!("The request is over the limit {name}, which is {value}."),
    });
    assert_eq!((reply.status, reply.json()), (413, expected));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A batch of one event that is exactly this long.
fn batch_of_bytes(id: &str, n_bytes: usize) -> Vec<u8> {
    let mut batch = event(id, "long", 0, "Session Start")
        .to_string()
        .into_bytes();
    batch.resize(n_bytes, b' ');
    batch
}

/// Three little sessions.
fn three() -> Vec<Value> {
    ["a", "b", "c"]
        .iter()
        .flat_map(|lsid| session(lsid, 1))
        .collect()
}

// ---- Taking ----

#[tokio::test]
async fn a_batch_is_taken_in_every_form_and_packing_and_is_the_same_in_each() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let events = three();
    let lines = ndjson(&events);
    let array = Value::Array(events.clone()).to_string();
    let reply = sender.post(&world, lines.clone()).await;
    check(
        &reply,
        expect![[r#"
            200
            {
              "fresh": 9,
              "repeated": 0,
              "cursor": "1"
            }
        "#]],
    );
    assert_eq!(reply.header("content-type"), "application/json");
    let windows = lines.replace('\n', "\r\n\r\n");
    for body in [
        lines.trim_end(),
        &windows,
        &array,
        &format!("\n \t{array}\n"),
    ] {
        assert_eq!(
            counts(&sender.post(&world, body.to_owned()).await),
            (0, 9),
            "{body}"
        );
    }
    let two_members = [gzip(&lines.as_bytes()[..50]), gzip(&lines.as_bytes()[50..])].concat();
    for (coding, body) in [
        ("gzip", gzip(lines.as_bytes())),
        ("gzip", two_members),
        ("GZip", gzip(array.as_bytes())),
        ("zstd", zstd(lines.as_bytes())),
        ("ZSTD", zstd(array.as_bytes())),
        ("identity", array.into_bytes()),
    ] {
        let reply = sender.post_packed(&world, coding, body).await;
        assert_eq!(counts(&reply), (0, 9), "{coding}");
    }
    for empty in ["", "\n\n", "[]"] {
        assert_eq!(
            counts(&sender.post(&world, empty).await),
            (0, 0),
            "{empty:?}"
        );
    }
    assert_eq!(listed(&world, "").await.len(), 3);
    for lsid in ["a", "b", "c"] {
        assert_eq!(
            bodies(&shown(&world, lsid).await.unwrap()),
            ids(&session(lsid, 1))
        );
    }
}

#[tokio::test]
async fn what_is_half_known_is_counted_as_such_and_kept_once() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let events = session("a", 3);
    assert_eq!(sender.send(&world, &events[1..3]).await, (2, 0));
    assert_eq!(sender.send(&world, &events).await, (3, 2));
    let twice = [session("b", 1), session("b", 1)].concat();
    assert_eq!(sender.send(&world, &twice).await, (3, 3));
    // For ever, not for minutes.
    world.clock.set(at(NOW + 10 * 366 * 86_400));
    assert_eq!(sender.send(&world, &events).await, (0, 5));
    assert_eq!(bodies(&shown(&world, "a").await.unwrap()), ids(&events));
    assert_eq!(
        bodies(&shown(&world, "b").await.unwrap()),
        ids(&session("b", 1))
    );
}

#[tokio::test]
async fn ids_belong_to_their_account() {
    let world = World::new().await;
    let one = Sender::new(&world, "one").await;
    let other = Sender::new(&world, "other").await;
    assert_eq!(one.send(&world, &session("a", 1)).await, (3, 0));
    let same_ids: Vec<Value> = session("a", 1)
        .into_iter()
        .map(|mut event| {
            event["lsid"] = "b".into();
            event
        })
        .collect();
    assert_eq!(other.send(&world, &same_ids).await, (3, 0));
    assert_eq!(other.send(&world, &session("c", 1)).await, (3, 0));
    assert_eq!(one.send(&world, &session("a", 1)).await, (0, 3));
    assert_eq!(listed(&world, "").await.len(), 3);
}

// ---- Refusing ----

#[tokio::test]
async fn every_fault_of_every_line_is_named_and_nothing_is_kept() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let good = ndjson(&session("a", 0));
    let batch = format!(
        "{good}{{\"id\":\n\n{}\n[1]\n{good}7\n",
        json!({ "id": "", "lsid": "a b", "type": "Chat Mesage", "more": 1 })
    );
    check(
        &sender.post(&world, batch).await,
        expect![[r#"
        400
        {
          "faults": [
            {
              "field": "",
              "code": "json",
              "message": "EOF while parsing a value at line 1 column 6",
              "line": 3
            },
            {
              "field": "id",
              "code": "format",
              "message": "must not be empty",
              "line": 5
            },
            {
              "field": "lsid",
              "code": "format",
              "message": "has the character ' '; expected letters, digits, `_` and `-`",
              "line": 5
            },
            {
              "field": "time",
              "code": "required",
              "message": "is required",
              "line": 5
            },
            {
              "field": "type",
              "code": "format",
              "message": "`Chat Mesage` is no event type; did you mean `Chat Message`?",
              "line": 5
            },
            {
              "field": "more",
              "code": "unknown",
              "message": "is not known; known are id, lsid, time, type, performed_by, destination, body, body_base64, filename, filesize, files, data, system_information, session, customer, representative, team, survey, recording",
              "line": 5
            },
            {
              "field": "",
              "code": "type",
              "message": "must be an object",
              "line": 6
            },
            {
              "field": "",
              "code": "type",
              "message": "must be an object",
              "line": 9
            }
          ],
          "error": "invalid_body",
          "message": "The request has 8 faults, and nothing of it was kept."
        }
    "#]],
    );
    let array = json!([session("a", 0)[0], { "id": "1" }, 5]).to_string();
    check(
        &sender.post(&world, array).await,
        expect![[r#"
        400
        {
          "faults": [
            {
              "field": "lsid",
              "code": "required",
              "message": "is required",
              "line": 2
            },
            {
              "field": "time",
              "code": "required",
              "message": "is required",
              "line": 2
            },
            {
              "field": "type",
              "code": "required",
              "message": "is required",
              "line": 2
            },
            {
              "field": "",
              "code": "type",
              "message": "must be an object",
              "line": 3
            }
          ],
          "error": "invalid_body",
          "message": "The request has 4 faults, and nothing of it was kept."
        }
    "#]],
    );
    check(
        &sender.post(&world, "[{}\n,").await,
        expect![[r#"
            400
            {
              "faults": [
                {
                  "field": "",
                  "code": "json",
                  "message": "EOF while parsing a value at line 2 column 1",
                  "line": 2
                }
              ],
              "error": "invalid_body",
              "message": "The request has 1 fault, and nothing of it was kept."
            }
        "#]],
    );
    assert_eq!(listed(&world, "").await, [Value::Null; 0]);
    assert_eq!(world.store.last_change().await.unwrap(), 0);
}

#[tokio::test]
async fn beyond_a_thousand_faults_the_rest_is_counted() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let reply = sender.post(&world, "{\n".repeat(1_500)).await;
    assert_eq!(reply.status, 400);
    let answer = reply.json();
    assert_eq!(answer["faults"].as_array().unwrap().len(), 1_000);
    assert_eq!(answer["more_faults"], 500);
    assert!(answer["message"].as_str().unwrap().contains("1500 faults"));
}

#[tokio::test]
async fn another_event_under_a_known_id_is_refused_with_the_whole_batch() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    sender.send(&world, &session("a", 1)).await;
    let mut other = event("a-0", "a", 1, "Chat Message");
    other["body"] = "something else".into();
    let elsewhere = event("a-end", "b", 2, "Session End");
    let fresh = event("fresh", "c", 0, "Session Start");
    let batch = ndjson(&[fresh, other, elsewhere]);
    let expected = expect![[r#"
        400
        {
          "faults": [
            {
              "field": "id",
              "code": "id_taken",
              "message": "is the id of another event of this account",
              "line": 2
            },
            {
              "field": "id",
              "code": "id_taken",
              "message": "is the id of another event of this account",
              "line": 3
            }
          ],
          "error": "invalid_body",
          "message": "The request has 2 faults, and nothing of it was kept."
        }
    "#]];
    check(&sender.post(&world, batch).await, expected);
    // Both in one batch.
    let batch = ndjson(&[
        event("x", "d", 0, "Session Start"),
        event("x", "d", 1, "Session Start"),
        event("y", "d", 1, "Chat Message"),
    ]);
    let reply = sender.post(&world, batch).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["faults"][0]["line"], 2);
    assert_eq!(listed(&world, "").await.len(), 1);
    assert_eq!(
        bodies(&shown(&world, "a").await.unwrap()),
        ids(&session("a", 1))
    );
}

#[tokio::test]
async fn an_imported_session_takes_no_events() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    world.import(include_str!(
        "../../../report/tests/fixtures/session_list.xml"
    ));
    let imported = listed(&world, "").await[0]["lsid"]
        .as_str()
        .unwrap()
        .to_owned();
    let batch = ndjson(&[
        event("1", "a", 0, "Session Start"),
        event("2", &imported, 0, "Chat Message"),
    ]);
    let reply = sender.post(&world, batch).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["faults"][0]["code"], "session_imported");
    assert_eq!(reply.json()["faults"][0]["line"], 2);
    assert_eq!(listed(&world, "").await.len(), 1);
}

#[tokio::test]
async fn a_batch_has_at_most_ten_thousand_events() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let events = |n: usize| -> Vec<Value> {
        (0..n)
            .map(|n| json!({ "id": n.to_string(), "lsid": "a", "time": NOW, "type": "Chat Message" }))
            .collect()
    };
    let one_past = events(BATCH_EVENTS_MAX + 1);
    check_limit(
        &sender.post(&world, ndjson(&one_past)).await,
        "BATCH_EVENTS_MAX",
        BATCH_EVENTS_MAX,
    );
    check_limit(
        &sender
            .post(&world, Value::Array(one_past).to_string())
            .await,
        "BATCH_EVENTS_MAX",
        BATCH_EVENTS_MAX,
    );
    // A short text of very many values.
    let many = format!("[{}0]", "0,".repeat(4 << 20));
    check_limit(
        &sender
            .post_packed(&world, "gzip", gzip(many.as_bytes()))
            .await,
        "BATCH_EVENTS_MAX",
        BATCH_EVENTS_MAX,
    );
    let many = "0\n".repeat(4 << 20);
    check_limit(
        &sender
            .post_packed(&world, "zstd", zstd(many.as_bytes()))
            .await,
        "BATCH_EVENTS_MAX",
        BATCH_EVENTS_MAX,
    );
    assert_eq!(world.store.last_change().await.unwrap(), 0);
    let at_the_limit = events(BATCH_EVENTS_MAX);
    assert_eq!(
        sender.send(&world, &at_the_limit).await,
        (BATCH_EVENTS_MAX as u64, 0)
    );
}

#[tokio::test]
async fn a_batch_has_at_most_sixteen_mebibytes_as_sent_and_as_unpacked() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let long = batch_of_bytes("1", BATCH_BYTES_MAX + 1);
    check_limit(
        &sender.post(&world, long.clone()).await,
        "BATCH_BYTES_MAX",
        BATCH_BYTES_MAX,
    );
    let bomb = vec![b'\n'; 16 * BATCH_BYTES_MAX];
    for (coding, body) in [
        ("gzip", gzip(&long)),
        ("zstd", zstd(&long)),
        ("gzip", gzip(&bomb)),
        ("zstd", zstd(&bomb)),
    ] {
        let reply = sender.post_packed(&world, coding, body).await;
        check_limit(&reply, "BATCH_BYTES_MAX", BATCH_BYTES_MAX);
    }
    assert_eq!(world.store.last_change().await.unwrap(), 0);
    let sent = batch_of_bytes("1", BATCH_BYTES_MAX);
    assert_eq!(counts(&sender.post(&world, sent.clone()).await), (1, 0));
    for (coding, body) in [("gzip", gzip(&sent)), ("zstd", zstd(&sent))] {
        let reply = sender.post_packed(&world, coding, body).await;
        assert_eq!(counts(&reply), (0, 1), "{coding}");
    }
}

#[tokio::test]
async fn a_coding_that_is_not_known_and_a_body_that_is_not_whole_are_refused() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let body = ndjson(&session("a", 1)).into_bytes();
    for coding in ["br", "deflate", "gzip, gzip", "x"] {
        let reply = sender.post_packed(&world, coding, body.clone()).await;
        assert_eq!(reply.status, 415, "{coding}");
        assert_eq!(reply.json()["error"], "unsupported");
    }
    let cut = |mut packed: Vec<u8>| {
        packed.truncate(packed.len() - 9);
        packed
    };
    for (coding, body) in [
        ("gzip", body.clone()),
        ("zstd", body.clone()),
        ("gzip", cut(gzip(&body))),
        ("zstd", cut(zstd(&body))),
    ] {
        let reply = sender.post_packed(&world, coding, body).await;
        assert_eq!(reply.status, 400, "{coding}");
        assert_eq!(reply.json()["error"], "broken_body");
    }
    // The connection ends inside the body.
    let parts = [
        Ok(body[..body.len() / 2].to_vec()),
        Err(std::io::Error::other("gone")),
    ];
    let broken = Body::from_stream(futures::stream::iter(parts));
    let reply = sender.post(&world, broken).await;
    assert_eq!(reply.json()["error"], "broken_body");
    assert_eq!(world.store.last_change().await.unwrap(), 0);
}

#[tokio::test]
async fn who_may_not_send_is_refused_before_the_body_is_read() {
    let world = World::new().await;
    let body = || {
        // Reading it would never end.
        Body::from_stream(futures::stream::pending::<std::io::Result<Vec<u8>>>())
    };
    let nobody = Request::post(EVENTS).body(body()).unwrap();
    let reply = world.send(nobody).await;
    assert_eq!(reply.status, 401);
    assert!(reply.header("www-authenticate").starts_with("Bearer "));
    let reply = world
        .send(as_reader(Request::post(EVENTS)).body(body()).unwrap())
        .await;
    assert_eq!(
        (reply.status, reply.json()["error"].as_str()),
        (403, Some("insufficient_scope"))
    );
    let away = Sender::with(&world, "away", "ingest", &["192.0.2.0/24"]).await;
    let reply = away.post(&world, body()).await;
    assert_eq!(
        (reply.status, reply.json()["error"].as_str()),
        (403, Some("wrong_network"))
    );
    let request = away.request().body(Body::from(ndjson(&session("a", 0))));
    let reply = world.send(from("192.0.2.7:1", request.unwrap())).await;
    assert_eq!(counts(&reply), (2, 0));
    // Who may send may not read.
    for path in [
        "/api/v1/sessions",
        "/api/v1/sessions/a",
        "/api/v1/changes",
        "/api/v1/tail",
    ] {
        let request = Request::get(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", away.token))
            .body(Body::empty());
        let reply = world.send(from("192.0.2.7:1", request.unwrap())).await;
        assert_eq!(reply.status, 403, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::new().await;
    for path in [
        "/api/v1/sessions/nobody",
        "/api/v1/sessions/a%20b",
        "/api/v1/sessions/%FF",
    ] {
        let reply = read(&world, path).await;
        assert!(
            [400, 404].contains(&reply.status),
            "{path}: {}",
            reply.status
        );
    }
    for path in [
        "/api/v1/event",
        "/api/v1/events/1",
        "/api/v1/",
        "/api/v2/events",
    ] {
        assert_eq!(read(&world, path).await.status, 404, "{path}");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let request = as_reader(Request::builder().method(method.clone()).uri(EVENTS));
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, 405, "{method}");
    }
}

// ---- Sessions over time ----

#[tokio::test]
async fn a_late_event_unseals_its_session_and_it_is_sealed_again() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    for lsid in ["a", "b", "c"] {
        sender.send(&world, &session(lsid, 2)).await;
    }
    let live = world.ask("start_time=0&duration=0").await;
    sweep(&world.app).await.unwrap();
    assert_eq!(world.store.unsealed(9).await.unwrap(), []);
    let sealed = world.ask("start_time=0&duration=0").await;
    assert_eq!(live.text(), sealed.text());
    for n in 0..3 {
        let late = event(&format!("b-late{n}"), "b", 2, "Chat Message");
        assert_eq!(sender.send(&world, &[late]).await, (1, 0));
        assert_eq!(world.store.unsealed(9).await.unwrap().len(), 1);
        let live = world.ask("lsid=b").await;
        assert!(live.text().contains(&format!("b-late{n}")));
        sweep(&world.app).await.unwrap();
        assert_eq!(world.store.unsealed(9).await.unwrap(), []);
        assert_eq!(live.text(), world.ask("lsid=b").await.text());
    }
    let b = shown(&world, "b").await.unwrap();
    assert_eq!(b["session_details"].as_array().unwrap().len(), 7);
    // A later end moves it in reports by end.
    let later = event("b-end2", "b", 1_000, "Session End");
    sender.send(&world, &[later]).await;
    let query = format!("end_time={}&duration=0", NOW + 500);
    assert_eq!(world.ask(&query).await.lsids(), ["b"]);
    sweep(&world.app).await.unwrap();
    assert_eq!(world.ask(&query).await.lsids(), ["b"]);
}

#[tokio::test]
async fn a_running_session_is_in_reports_by_start_and_never_in_those_by_end() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let (by_start, by_end) = ("start_time=0&duration=0", "end_time=0&duration=0");
    for lsid in ["a", "b", "c"] {
        let mut events = session(lsid, 1);
        events.pop();
        sender.send(&world, &events).await;
    }
    for secs in [5, 61, 3_600] {
        world.clock.set(at(NOW + secs));
        sweep(&world.app).await.unwrap();
        assert_eq!(world.ask(by_start).await.lsids(), ["a", "b", "c"]);
        assert_eq!(world.ask(by_end).await.lsids(), [""; 0]);
        let b = shown(&world, "b").await.unwrap();
        assert_eq!(b["end_time"], Value::Null);
        // The values of that moment.
        assert_eq!(
            b["duration"],
            format!("{:02}:{:02}:{:02}", secs / 3_600, secs / 60 % 60, secs % 60)
        );
    }
    sender
        .send(&world, &[event("b-end", "b", 90, "Session End")])
        .await;
    assert_eq!(world.ask(by_start).await.lsids(), ["a", "b", "c"]);
    assert_eq!(world.ask(by_end).await.lsids(), ["b"]);
    assert_eq!(shown(&world, "b").await.unwrap()["duration"], "00:01:30");
}

#[tokio::test]
async fn silence_closes_a_session_and_a_late_event_opens_it_again() {
    let world = World::with(&[("lapse_after", "1h")]).await;
    let sender = Sender::new(&world, "tool").await;
    for lsid in ["a", "b", "c"] {
        let mut events = session(lsid, 1);
        events.pop();
        sender.send(&world, &events).await;
    }
    let by_end = "end_time=0&duration=0";
    let silent = [NOW + 3_600, NOW + 3_601];
    world.clock.set(at(silent[0]));
    sweep(&world.app).await.unwrap();
    let before = shown(&world, "b").await.unwrap();
    assert_eq!(before["duration"], "01:00:00");
    let cursor = world.store.last_change().await.unwrap();
    world.clock.set(at(silent[1]));
    sweep(&world.app).await.unwrap();
    let lapsed = shown(&world, "b").await.unwrap();
    // It is known to have lived until it was last heard of.
    assert_eq!(lapsed["duration"], "00:00:01");
    assert_eq!(world.ask(by_end).await.lsids(), [""; 0]);
    assert_eq!(
        world.ask("start_time=0&duration=0").await.lsids(),
        ["a", "b", "c"]
    );
    let changes = read(&world, &format!("/api/v1/changes?since={cursor}")).await;
    assert_eq!(changes.json()["sessions"].as_array().unwrap().len(), 3);
    // It speaks again: it runs again, and then ends as any other.
    let speaks = event("b-late", "b", 3_600, "Chat Message");
    assert_eq!(sender.send(&world, &[speaks]).await, (1, 0));
    sweep(&world.app).await.unwrap();
    assert_eq!(shown(&world, "b").await.unwrap()["duration"], "01:00:01");
    let end = event("b-end", "b", 3_601, "Session End");
    assert_eq!(sender.send(&world, &[end]).await, (1, 0));
    sweep(&world.app).await.unwrap();
    assert_eq!(world.ask(by_end).await.lsids(), ["b"]);
    assert_eq!(
        bodies(&shown(&world, "b").await.unwrap()),
        ["b-0", "b-end", "b-late", "b-start"]
    );
    // A known event is no sign of life, a new end is an end.
    assert_eq!(sender.send(&world, &session("a", 1)).await, (1, 2));
    sweep(&world.app).await.unwrap();
    assert_eq!(world.ask(by_end).await.lsids(), ["a", "b"]);
}

#[tokio::test]
async fn a_clock_that_jumps_backwards_or_far_ahead_loses_nothing() {
    let world = World::with(&[("lapse_after", "1h")]).await;
    let sender = Sender::new(&world, "tool").await;
    let events = session("a", 40);
    let n_events = events.len();
    let jumps = [0, -7_200, 90, -1_400_000_000, 86_400 * 400, -86_400, 5];
    for (n, event) in events.iter().enumerate() {
        world.clock.set(at(NOW + jumps[n % jumps.len()]));
        assert_eq!(
            sender.send(&world, std::slice::from_ref(event)).await,
            (1, 0)
        );
        sweep(&world.app).await.unwrap();
        assert_eq!(
            world.ask("lsid=a").await.lsids(),
            ["a"],
            "after event {n} of {n_events}"
        );
    }
    world.clock.set(at(NOW));
    sweep(&world.app).await.unwrap();
    let a = shown(&world, "a").await.unwrap();
    assert_eq!(bodies(&a), ids(&events));
    assert_eq!(a["duration"], "00:00:41");
    assert_eq!(world.ask("end_time=0&duration=0").await.lsids(), ["a"]);
    let changes = read(&world, "/api/v1/changes").await.json();
    assert_eq!(changes["sessions"].as_array().unwrap().len(), 1);
}

// ---- Many and long ----

/// Generous for a slow machine without optimisation, and far from quadratic.
const LONG_WAIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_session_of_a_hundred_thousand_events_is_whole() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let began = Instant::now();
    const N_CHATS: usize = 99_998;
    let events = session("a", N_CHATS);
    for batch in events.chunks(BATCH_EVENTS_MAX) {
        assert_eq!(sender.send(&world, batch).await, (batch.len() as u64, 0));
    }
    let live = world.ask("lsid=a").await;
    assert_eq!(live.text().matches("<event ").count(), events.len());
    sweep(&world.app).await.unwrap();
    assert_eq!(world.store.unsealed(1).await.unwrap(), []);
    let sealed = world.ask("lsid=a").await;
    assert!(live.body == sealed.body, "sealing changed it");
    assert_eq!(only(live.text(), "duration"), "27:46:39");
    let took = began.elapsed();
    assert!(took < LONG_WAIT, "{took:?}");
    println!("{took:?}");
}

#[tokio::test]
async fn ten_thousand_sessions_are_open_at_once() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let began = Instant::now();
    const N: usize = 10_000;
    let all = |kind: &str, secs: i64| -> Vec<Value> {
        (0..N)
            .map(|n| event(&format!("{kind}{n}"), &format!("s{n}"), secs, kind))
            .collect()
    };
    sender.send(&world, &all("Session Start", 0)).await;
    for batch in all("Chat Message", 1).chunks(1_000) {
        sender.send(&world, batch).await;
    }
    sweep(&world.app).await.unwrap();
    let by_start = world.ask("start_time=0&duration=0").await;
    assert_eq!(by_start.text().matches("<session ").count(), N);
    assert_eq!(by_start.text().matches("<event ").count(), 2 * N);
    assert_eq!(world.ask("end_time=0&duration=0").await.lsids(), [""; 0]);
    sender.send(&world, &all("Session End", 2)).await;
    let by_end = world.ask("end_time=0&duration=0").await;
    assert_eq!(by_end.text().matches("<session ").count(), N);
    assert_eq!(by_end.text().matches("<event ").count(), 3 * N);
    let took = began.elapsed();
    assert!(took < LONG_WAIT, "{took:?}");
    println!("{took:?}");
}

// ---- Reading as JSON ----

#[tokio::test]
async fn a_renamed_team_shows_in_every_report_at_once() {
    let world = World::new().await;
    let sender = Sender::with(&world, "tool", "ingest,admin", &[]).await;
    for lsid in ["a", "b", "c"] {
        let mut events = session(lsid, 0);
        events[0]["team"] = json!({ "id": "5", "name": "Then" });
        if lsid == "c" {
            events.pop();
        }
        sender.send(&world, &events).await;
    }
    sweep(&world.app).await.unwrap();
    let teams = async || -> Vec<String> {
        let sessions = listed(&world, "").await;
        let team = |session: &Value| session["primary_team"]["name"].as_str().unwrap().to_owned();
        sessions.iter().map(team).collect()
    };
    assert_eq!(teams().await, ["Then"; 3]);
    let tag = |reply: &Reply| reply.header("etag").to_owned();
    let before = tag(&read(&world, "/api/v1/sessions/a").await);
    for name in ["Now", "Later"] {
        let directory = json!({ "teams": [{ "id": "5", "name": name }] }).to_string();
        let request = Request::patch("/api/v1/directory")
            .header(header::AUTHORIZATION, format!("Bearer {}", sender.token))
            .body(Body::from(directory));
        let reply = world.send(request.unwrap()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(teams().await, [name; 3]);
        let report = world.ask("start_time=0&duration=0").await;
        assert!(!report.text().contains("Then"));
    }
    assert_ne!(before, tag(&read(&world, "/api/v1/sessions/a").await));
}

#[tokio::test]
async fn an_answer_that_the_client_has_is_not_sent_again() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    for lsid in ["a", "b", "c"] {
        sender.send(&world, &session(lsid, 1)).await;
    }
    for path in ["/api/v1/sessions/b", "/api/v1/sessions", "/api/v1/changes"] {
        let first = read(&world, path).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        let ask = async |known: &str| {
            let request = as_reader(Request::get(path)).header(header::IF_NONE_MATCH, known);
            world.send(request.body(Body::empty()).unwrap()).await
        };
        for known in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"x\", {tag}"),
            "*".into(),
        ] {
            let reply = ask(&known).await;
            assert_eq!((reply.status, reply.body.len()), (304, 0), "{path} {known}");
            assert_eq!(reply.header("etag"), tag);
        }
        assert_eq!(ask("\"x\"").await.body, first.body);
        let late = event(&format!("late{}", path.len()), "b", 1, "Chat Message");
        sender.send(&world, &[late]).await;
        let reply = ask(&tag).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_ne!(reply.header("etag"), tag);
    }
}

#[tokio::test]
async fn pages_together_are_the_whole_whatever_their_size() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    const N: usize = 300;
    let mut events = Vec::new();
    for n in 0..N {
        let mut session = session(&format!("s{n:03}"), 1);
        // Many share a second.
        for event in &mut session {
            event["time"] = (NOW + (n / 7 * 13 % 50) as i64).into();
        }
        if n % 3 == 0 {
            session.pop();
        }
        events.extend(session);
    }
    sender.send(&world, &events).await;
    sweep(&world.app).await.unwrap();
    for query in [
        "",
        "end_time=0&duration=0",
        "changed_since=0",
        "start_time=0&duration=0&limit=site:1",
    ] {
        let whole = listed(&world, &format!("{query}&page_size=1000")).await;
        let n_expected = if query.starts_with("end") {
            N - N / 3
        } else {
            N
        };
        assert_eq!(whole.len(), n_expected, "{query}");
        for page_size in [1, 7, 100, 255, 256, 257, n_expected - 1, n_expected] {
            let pages = listed(&world, &format!("{query}&page_size={page_size}")).await;
            assert!(pages == whole, "{query} in pages of {page_size}");
        }
    }
    for (query, named) in [
        ("page_size=0", "page_size"),
        ("page_size=1001", "page_size"),
        ("cursor=x", "cursor"),
        ("start_time=0", "duration"),
    ] {
        let reply = read(&world, &format!("/api/v1/sessions?{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
        assert_eq!(reply.json()["faults"][0]["field"], named);
    }
}

#[tokio::test]
async fn a_cursor_gives_the_set_of_its_first_page() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    for lsid in ["a", "b", "c"] {
        sender.send(&world, &session(lsid, 0)).await;
    }
    let first = read(&world, "/api/v1/sessions?page_size=1").await.json();
    let next = first["next"].as_str().unwrap().to_owned();
    sender.send(&world, &session("d", 0)).await;
    let rest = read(&world, &format!("/api/v1/sessions?cursor={next}"))
        .await
        .json();
    let lsids: Vec<&str> = rest["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|session| session["lsid"].as_str().unwrap())
        .collect();
    assert_eq!(lsids, ["b", "c"]);
    // Too old a cursor is gone, not wrong.
    world.store.purge(u64::MAX >> 1).await.unwrap();
    sender.send(&world, &session("e", 0)).await;
    let reply = read(&world, &format!("/api/v1/sessions?cursor={next}")).await;
    assert_eq!(reply.status, 410, "{}", reply.text());
}
