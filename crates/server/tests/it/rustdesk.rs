//! RustDesk's own clients: their messages go in as they send them, and the report is read.

use axum::body::Body;
use axum::http::{Request, header};
use debrief::sources::rustdesk::{GONE_SECS, Settings, sweep};
use debrief_domain::Lsid;
use debrief_store::Store;
use debrief_store::faulty::{Fate, Plan};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{NOW, Reply, Server, World, all, as_reader, from, lsids, run};

const DEVICE: &str = "123456789";
const UUID: &str = "M0Y4MkI3N0MtMDMwMw==";
const PEER: &str = "987654321";
/// Beyond what a double holds exactly.
const WINDOW: u64 = 9_166_591_467_229_392_641;
const SECRET: &str = "a-word-of-the-address";

/// A world whose clients are heard.
async fn world() -> World {
    tuned(|_| {}).await
}

/// The same with other settings. Any number of requests may be made unless they say otherwise.
async fn tuned(tune: impl FnOnce(&mut Settings)) -> World {
    let data = tempfile::tempdir().unwrap();
    let change = |config: &mut debrief::config::Config| {
        let settings = &mut config.source.rustdesk;
        settings.enabled = true;
        settings.requests_per_second = 0;
        tune(settings);
    };
    World::tuned(data, &[], change).await
}

/// The server is started again over the same data.
async fn restarted(world: World) -> World {
    let store = world.store.clone();
    world.served_from(&store).await
}

async fn post(world: &World, path: &str, body: &Value) -> Reply {
    post_bytes(world, path, body.to_string().into_bytes()).await
}

async fn post_bytes(world: &World, path: &str, body: Vec<u8>) -> Reply {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    world.send(request.body(body.into()).unwrap()).await
}

/// An audit that is taken as clients want it: 200 and nothing else.
#[track_caller]
fn taken(reply: &Reply) {
    assert_eq!((reply.status, reply.text()), (200, ""));
}

async fn audit(world: &World, kind: &str, body: &Value) {
    taken(&post(world, &format!("/api/audit/{kind}"), body).await);
}

async fn beat(world: &World, connections: &[i32]) {
    let mut body = json!({ "id": DEVICE, "uuid": UUID, "ver": 1_004_090, "modified_at": 0 });
    if !connections.is_empty() {
        body["conns"] = json!(connections);
    }
    let reply = post(world, "/api/heartbeat", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.json().is_object());
}

/// What a client of 1.2 sends when somebody connects.
fn opens(conn_id: i32) -> Value {
    json!({ "action": "new", "id": DEVICE, "uuid": UUID, "conn_id": conn_id, "session_id": 0,
            "ip": "203.0.113.9" })
}

fn logs_in(conn_id: i32, session_id: u64, kind: i64) -> Value {
    json!({ "id": DEVICE, "uuid": UUID, "conn_id": conn_id, "session_id": session_id,
            "peer": [PEER, "Alice Tech"], "type": kind })
}

fn closes(conn_id: i32, session_id: u64) -> Value {
    json!({ "action": "close", "id": DEVICE, "uuid": UUID, "conn_id": conn_id,
            "session_id": session_id })
}

fn uploads(path: &str) -> Value {
    let info = json!({ "files": [["", 12]], "ip": "203.0.113.9", "name": "Alice Tech", "num": 1 });
    json!({ "id": DEVICE, "uuid": UUID, "peer_id": PEER, "type": 1, "path": path, "is_file": true,
            "info": info.to_string() })
}

/// The same message from a client that tries again.
fn with_nonce(mut body: Value, nonce: &str) -> Value {
    body["nonce"] = json!(nonce);
    body
}

fn wait(world: &World, secs: i64) {
    world.clock.set(world.clock.now().plus_secs(secs));
}

/// Every session that began since the world did.
async fn report(world: &World) -> String {
    let query = format!("start_time={}&duration=0", NOW - 86_400);
    let reply = world.ask(&query).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text().to_owned()
}

/// The events of all sessions: second, type, and what matters.
async fn told(world: &World) -> String {
    let report = report(world).await;
    let document = roxmltree::Document::parse(&report).unwrap();
    let mut shown = String::new();
    for session in document
        .descendants()
        .filter(|n| n.tag_name().name() == "session")
    {
        shown.push_str("session\n");
        for event in session
            .descendants()
            .filter(|n| n.tag_name().name() == "event")
        {
            let secs: i64 = event.attribute("timestamp").unwrap().parse().unwrap();
            let kind = event.attribute("event_type").unwrap();
            let text = |name: &str| {
                let mut found = event.children();
                let found = found.find(|node| node.tag_name().name() == name);
                found
                    .and_then(|node| node.text())
                    .map(|text| format!(" {text}"))
            };
            let more = text("body").or(text("filename")).unwrap_or_default();
            shown.push_str(&format!("  {} {kind}{more}\n", secs - NOW));
        }
    }
    shown
}

async fn check(world: &World, expected: Expect) {
    expected.assert_eq(&told(world).await);
}

/// What an administrator sees of this source.
async fn standing(world: &World) -> Value {
    let name = format!("admin-{}", world.store.accounts().await.unwrap().len());
    let login = world.login(&name, "admin", &[]).await;
    let token = world.token(&login).await;
    let request = Request::get("/api/v1/sources");
    let request = request.header("authorization", format!("Bearer {token}"));
    let reply = world.send(request.body(Body::empty()).unwrap()).await;
    let sources = reply.json()["sources"].as_array().unwrap().clone();
    let mut sources = sources.into_iter();
    sources.find(|source| source["name"] == "rustdesk").unwrap()
}

async fn dead_letters(world: &World) -> Vec<(String, String)> {
    let letters = world
        .store
        .dead_letters("rustdesk", u64::MAX >> 1, 100)
        .await;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let letters = letters.unwrap().into_iter();
    letters
        .map(|(_, letter)| (letter.why.clone(), text(letter.message)))
        .collect()
}

/// Replays the file that was made of the client's source, with a second between two lines.
async fn replay(world: &World, token: &str) {
    let lines = include_str!("rustdesk/session.jsonl").lines();
    let mut guid = String::new();
    for line in lines {
        let line: Value = serde_json::from_str(line).unwrap();
        let Some(path) = line["path"].as_str() else {
            continue;
        };
        // Uploads are tested on their own.
        if path.starts_with("/api/record") {
            continue;
        }
        wait(world, 1);
        let mut body = line["body"].clone();
        if body["guid"].is_string() {
            body["guid"] = json!(guid);
        }
        let mut request = Request::builder()
            .method(line["method"].as_str().unwrap())
            .uri(path);
        if line["headers"]["Authorization"].is_string() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let reply = world.send(request.body(body.into()).unwrap()).await;
        assert_eq!(reply.status, 200, "{line} {}", reply.text());
        if path.contains("/active") {
            guid = serde_json::from_slice(&reply.body).unwrap();
        }
        if line["method"] == "POST" && path.starts_with("/api/audit") {
            assert_eq!(reply.text(), "", "{line}");
        }
    }
}

/// The token of somebody who logged in within a client; of which device is not told.
async fn technician(world: &World, name: &str) -> String {
    let login = world.login(name, "ingest", &[]).await;
    let body = json!({ "username": name, "password": login.secret });
    let answer = post(world, "/api/login", &body).await.json();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_session_as_the_client_sends_it_becomes_a_report() {
    let world = tuned(|settings| settings.ticket_prefixes = vec!["INC".into()]).await;
    let token = technician(&world, "alice").await;
    replay(&world, &token).await;
    let report = report(&world).await;
    // One element a line; links are signed with a secret of the archive.
    let report = report.replace("><", ">\n<");
    let lines = report
        .lines()
        .filter(|line| !line.contains("session_chat_"));
    let shown: String = lines.map(|line| format!("{line}\n")).collect();
    expect_test::expect_file!["rustdesk/session.xml"].assert_eq(&shown);
    assert_eq!(dead_letters(&world).await, []);
    let accesses = world.accesses().await;
    let alarm = accesses
        .iter()
        .find(|entry| entry.action == "alarm")
        .unwrap();
    assert_eq!(alarm.who, "rustdesk 123456789");
    assert!(alarm.detail.contains("555555555"), "{}", alarm.detail);
}

#[tokio::test]
async fn everything_told_twice_is_told_once() {
    let world = world().await;
    let token = technician(&world, "alice").await;
    replay(&world, &token).await;
    let once = told(&world).await;
    assert_eq!(world_lines(&report(&world).await), ["1", "1", "1"]);
    // Ids are known for ever, not for minutes.
    wait(&world, 40 * 86_400);
    let world = restarted(world).await;
    let token = technician(&world, "bob").await;
    replay(&world, &token).await;
    assert_eq!(told(&world).await, once);
}

#[tokio::test]
async fn without_the_setting_there_is_nothing_here() {
    let world = World::new().await;
    for path in [
        "/api/heartbeat",
        "/api/audit/conn",
        "/api/login",
        "/api/record",
    ] {
        let reply = post(&world, path, &opens(1)).await;
        assert_eq!(reply.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_secret_of_the_address_is_needed_and_never_told() {
    let secret = json!(SECRET);
    let world = tuned(|settings| {
        settings.secret = Some(serde_json::from_value(secret).unwrap());
    })
    .await;
    let shown = format!("{:?}", world.app.config());
    assert!(!shown.contains(SECRET));
    for path in [
        "/api/audit/conn".to_owned(),
        "/another-word-of-it/api/audit/conn".into(),
        format!("/{SECRET}x/api/audit/conn"),
        format!("/{SECRET}/audit/conn"),
    ] {
        let reply = post(&world, &path, &opens(1)).await;
        assert_eq!(reply.status, 404, "{path}");
        assert!(!reply.text().contains(SECRET));
    }
    taken(&post(&world, &format!("/{SECRET}/api/audit/conn"), &opens(1)).await);
    let standing = standing(&world).await;
    assert_eq!(standing["refused"], 2);
    assert!(!standing.to_string().contains(SECRET));
}

#[tokio::test]
async fn messages_of_an_old_client_may_come_in_any_order() {
    let messages = [
        ("conn", opens(7)),
        ("conn", logs_in(7, WINDOW, 0)),
        ("file", uploads("C:\\a.txt")),
        ("conn", closes(7, WINDOW)),
    ];
    let mut orders = Vec::new();
    permute(&mut vec![0, 1, 2, 3], 0, &mut orders);
    assert_eq!(orders.len(), 24);
    for order in orders {
        let world = world().await;
        for idx in &order {
            let (kind, body) = &messages[*idx];
            audit(&world, kind, body).await;
        }
        sweep(&world.app).await.unwrap();
        let report = report(&world).await;
        assert_eq!(world_lines(&report), ["1", "1", "1"], "{order:?} {report}");
        assert_eq!(dead_letters(&world).await, [], "{order:?}");
    }
}

/// Sessions, ends and uploads of a report.
fn world_lines(report: &str) -> [String; 3] {
    let count = |text: &str| report.matches(text).count().to_string();
    [
        count("<session lsid"),
        count("event_type=\"Session End\""),
        count("event_type=\"File Upload\""),
    ]
}

fn permute(order: &mut Vec<usize>, from: usize, found: &mut Vec<Vec<usize>>) {
    if from == order.len() {
        found.push(order.clone());
        return;
    }
    for idx in from..order.len() {
        order.swap(from, idx);
        permute(order, from + 1, found);
        order.swap(from, idx);
    }
}

#[tokio::test]
async fn connections_of_one_window_are_one_session_until_the_last_is_closed() {
    let world = world().await;
    audit(&world, "conn", &opens(1)).await;
    audit(&world, "conn", &logs_in(1, WINDOW, 0)).await;
    wait(&world, 10);
    audit(&world, "conn", &opens(2)).await;
    audit(&world, "conn", &logs_in(2, WINDOW, 1)).await;
    // Another window, whose number is the same as a double.
    audit(&world, "conn", &opens(3)).await;
    audit(&world, "conn", &logs_in(3, WINDOW + 1, 4)).await;
    wait(&world, 10);
    audit(&world, "conn", &closes(1, WINDOW)).await;
    wait(&world, 10);
    audit(&world, "conn", &closes(2, WINDOW)).await;
    check(
        &world,
        expect![[r#"
            session
              0 Session Start
              0 Conference Member Added
              0 Conference Member Added
              0 Conference Owner Changed
              0 Chat Message Alice Tech can now view and control the endpoint.
              30 Conference Member Departed
              30 Session End
            session
              10 Session Start
              10 Conference Member Added
              10 Conference Member Added
              10 Conference Owner Changed
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_number_that_is_used_again_is_another_connection() {
    let world = world().await;
    audit(&world, "conn", &opens(7)).await;
    audit(&world, "conn", &logs_in(7, 1, 0)).await;
    // The device starts again without a word, and counts from the same number.
    wait(&world, 100);
    audit(&world, "conn", &opens(7)).await;
    audit(&world, "conn", &logs_in(7, 2, 0)).await;
    wait(&world, 5);
    // A straggler of the first one.
    audit(&world, "conn", &closes(7, 1)).await;
    wait(&world, 5);
    audit(&world, "conn", &closes(7, 2)).await;
    check(
        &world,
        expect![[r#"
            session
              0 Session Start
              0 Conference Member Added
              0 Conference Member Added
              0 Conference Owner Changed
              0 Chat Message Alice Tech can now view and control the endpoint.
              0 Conference Member Departed
              0 Session End
            session
              100 Session Start
              100 Conference Member Added
              100 Conference Member Added
              100 Conference Owner Changed
              100 Chat Message Alice Tech can now view and control the endpoint.
              110 Conference Member Departed
              110 Session End
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_connection_that_falls_silent_ends_and_a_restart_does_not_change_that() {
    let world = world().await;
    beat(&world, &[]).await;
    audit(&world, "conn", &opens(7)).await;
    audit(&world, "conn", &logs_in(7, WINDOW, 0)).await;
    for _ in 0..10 {
        wait(&world, 3);
        beat(&world, &[7]).await;
    }
    // The connection is gone, the device is not.
    wait(&world, 3);
    beat(&world, &[]).await;
    let world = restarted(world).await;
    wait(&world, GONE_SECS - 4);
    sweep(&world.app).await.unwrap();
    assert!(!told(&world).await.contains("Session End"));
    wait(&world, 4);
    sweep(&world.app).await.unwrap();
    check(
        &world,
        expect![[r#"
            session
              0 Session Start
              0 Conference Member Added
              0 Conference Member Added
              0 Conference Owner Changed
              0 Chat Message Alice Tech can now view and control the endpoint.
              30 Conference Member Departed
              30 Session End
        "#]],
    )
    .await;
    // Its word comes late: then that was the end.
    audit(&world, "conn", &closes(7, WINDOW)).await;
    check(
        &world,
        expect![[r#"
            session
              0 Session Start
              0 Conference Member Added
              0 Conference Member Added
              0 Conference Owner Changed
              0 Chat Message Alice Tech can now view and control the endpoint.
              30 Conference Member Departed
              30 Session End
              93 Conference Member Departed
              93 Session End
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_device_that_comes_back_goes_on_with_its_session() {
    let world = world().await;
    beat(&world, &[]).await;
    audit(&world, "conn", &opens(7)).await;
    audit(&world, "conn", &logs_in(7, WINDOW, 0)).await;
    beat(&world, &[7]).await;
    wait(&world, GONE_SECS);
    sweep(&world.app).await.unwrap();
    assert!(told(&world).await.contains("Session End"));
    wait(&world, 100);
    beat(&world, &[7]).await;
    wait(&world, 100);
    audit(&world, "conn", &closes(7, WINDOW)).await;
    let report = report(&world).await;
    assert_eq!(all(&report, "end_time").len(), 1);
    assert_eq!(all(&report, "duration"), ["00:04:20"]);
}

#[tokio::test]
async fn a_device_that_never_names_its_connections_is_not_thought_gone() {
    let world = world().await;
    audit(&world, "conn", &opens(7)).await;
    audit(&world, "conn", &logs_in(7, WINDOW, 0)).await;
    wait(&world, 10 * GONE_SECS);
    beat(&world, &[]).await;
    sweep(&world.app).await.unwrap();
    assert!(!told(&world).await.contains("Session End"));
}

#[tokio::test]
async fn a_device_with_another_uuid_is_refused_and_shown() {
    let world = world().await;
    beat(&world, &[]).await;
    let mut forged = opens(7);
    forged["uuid"] = json!("Zm9yZ2Vk");
    let reply = post(&world, "/api/audit/conn", &forged).await;
    assert_eq!(reply.status, 403);
    let mut forged = logs_in(7, WINDOW, 0);
    forged["uuid"] = json!("Zm9yZ2Vk");
    assert_eq!(post(&world, "/api/audit/conn", &forged).await.status, 403);
    assert_eq!(told(&world).await, "");
    let standing = standing(&world).await;
    assert_eq!(standing["refused"], 2);
    assert_eq!(
        standing["refusals"][0]["why"],
        "device `123456789` came with another uuid than at first"
    );
    // What came is kept aside, and shown again after a restart; a heartbeat is not worth it.
    let kept = world
        .store
        .dead_letters("rustdesk/refused", u64::MAX, 9)
        .await;
    let kept: Vec<Vec<u8>> = kept.unwrap().into_iter().map(|(_, l)| l.message).collect();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0], forged.to_string().into_bytes());
    let beat = json!({ "id": DEVICE, "uuid": "Zm9yZ2Vk", "conns": [7] });
    assert_eq!(post(&world, "/api/heartbeat", &beat).await.status, 403);
    wait(&world, 1);
    let world = restarted(world).await;
    assert_eq!(post(&world, "/api/audit/conn", &forged).await.status, 403);
    sweep(&world.app).await.unwrap();
    let standing = self::standing(&world).await;
    assert_eq!(standing["refused"], 1);
    assert_eq!(standing["refusals"].as_array().unwrap().len(), 3);
    audit(&world, "conn", &opens(7)).await;
    // Of a flood some are kept.
    for _ in 0..100 {
        assert_eq!(post(&world, "/api/audit/conn", &forged).await.status, 403);
    }
    let kept = world
        .store
        .dead_letters("rustdesk/refused", u64::MAX, 999)
        .await;
    let n_kept = kept.unwrap().len();
    assert!((60..100).contains(&n_kept), "{n_kept}");
    // The administrator says that this is another computer now.
    assert_eq!(run(world.data(), &["forget-device", DEVICE]).code, 0);
    assert_eq!(run(world.data(), &["forget-device", DEVICE]).code, 1);
    audit(&world, "conn", &forged).await;
    assert_eq!(post(&world, "/api/audit/conn", &opens(7)).await.status, 403);
}

#[tokio::test]
async fn one_request_more_than_a_device_may_make_is_to_come_again() {
    let world = tuned(|settings| settings.requests_per_second = 2).await;
    let (first, second) = (opens(1), opens(2));
    audit(&world, "conn", &first).await;
    audit(&world, "conn", &second).await;
    let reply = post(&world, "/api/audit/conn", &opens(3)).await;
    assert_eq!(reply.status, 429);
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(standing(&world).await["refused"], 1);
    let mut other = opens(1);
    other["id"] = json!("another");
    audit(&world, "conn", &other).await;
}

#[tokio::test]
async fn what_is_not_understood_is_kept_whole_and_stops_nothing() {
    let world = world().await;
    let odd = json!({ "id": DEVICE, "uuid": UUID, "conn_id": 1, "action": "dance" });
    audit(&world, "conn", &odd).await;
    taken(&post_bytes(&world, "/api/audit/file", b"\xff{".to_vec()).await);
    let note = json!({ "id": DEVICE, "session_id": 5, "note": "who is this" });
    audit(&world, "conn", &note).await;
    audit(&world, "conn", &opens(1)).await;
    // Nobody ever logs in to this one.
    audit(&world, "conn", &note).await;
    wait(&world, 60);
    sweep(&world.app).await.unwrap();
    let whys = dead_letters(&world).await;
    assert_eq!(
        whys[0],
        ("audit/conn: its login never came".into(), note.to_string())
    );
    assert_eq!(
        whys[1],
        (
            "audit/conn: a note on a device that nobody told of".into(),
            note.to_string()
        )
    );
    assert!(whys[2].0.starts_with("audit/file: "), "{}", whys[2].0);
    assert_eq!(
        whys[3],
        ("audit/conn: `action` is not known".into(), odd.to_string())
    );
    assert_eq!(whys.len(), 4);
}

#[tokio::test]
async fn with_an_archive_that_lies_a_client_that_repeats_loses_and_doubles_nothing() {
    let messages = [
        ("conn", with_nonce(opens(7), "n1")),
        ("conn", with_nonce(logs_in(7, WINDOW, 0), "n2")),
        ("file", with_nonce(uploads("a.txt"), "n3")),
        ("file", with_nonce(uploads("a.txt"), "n4")),
        ("conn", with_nonce(closes(7, WINDOW), "n5")),
    ];
    for seed in 0..12 {
        let world = world().await;
        let plan = match seed {
            0 => Plan::scripted([Fate::Truth, Fate::Refused, Fate::DoneUnknown]),
            1 => Plan::scripted([Fate::Truth, Fate::UndoneUnknown, Fate::DoneUnknown]),
            seed => Plan::Seeded(seed),
        };
        let store = Store::faulty(&world.store, plan);
        let world = world.served_from(&store).await;
        for (kind, body) in &messages {
            loop {
                let reply = post(&world, &format!("/api/audit/{kind}"), body).await;
                wait(&world, 10);
                if reply.status == 200 {
                    taken(&reply);
                    break;
                }
                assert_eq!(reply.status, 503, "{}", reply.text());
            }
        }
        let told = told(&world).await;
        let kinds = |kind: &str| told.matches(kind).count();
        assert_eq!(kinds("session\n"), 1, "{seed} {told}");
        assert_eq!(kinds("Session Start"), 1, "{seed} {told}");
        assert_eq!(kinds("Conference Member Added"), 2, "{seed} {told}");
        assert_eq!(kinds("File Upload a.txt"), 2, "{seed} {told}");
        assert_eq!(kinds("Session End"), 1, "{seed} {told}");
    }
}

#[tokio::test]
async fn a_representative_logs_in_with_an_api_account() {
    let world = world().await;
    let login = world.login("alice", "ingest", &[]).await;
    world.login("reader2", "reporting", &[]).await;
    let try_it = async |name: &str, password: &str| {
        let body = json!({ "username": name, "password": password, "id": PEER, "uuid": "x",
            "autoLogin": true, "type": "account",
            "deviceInfo": { "os": "linux", "type": "client", "name": "ALICE-PC" } });
        let reply = post(&world, "/api/login", &body).await;
        assert_eq!(reply.status, 200);
        reply.json()
    };
    for (name, password) in [
        ("alice", "wrong"),
        ("nobody", login.secret.as_str()),
        ("reader2", "very-secret-word-of-reader2"),
    ] {
        assert_eq!(
            try_it(name, password).await,
            json!({ "error": "Wrong credentials" })
        );
    }
    let answer = try_it("alice", &login.secret).await;
    assert_eq!(answer["type"], "access_token");
    assert_eq!(answer["user"]["name"], "alice");
    assert!(answer["user"]["info"].is_object());
    let bearer = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let current = async |bearer: &str| {
        let request = Request::post("/api/currentUser").header("authorization", bearer);
        world.send(request.body("{}".into()).unwrap()).await
    };
    assert_eq!(current(&bearer).await.json(), answer["user"]);
    assert_eq!(current("Bearer x").await.status, 401);
    // Whose device it is stands in the report.
    audit(&world, "conn", &opens(7)).await;
    audit(&world, "conn", &logs_in(7, WINDOW, 0)).await;
    let report = report(&world).await;
    assert!(
        report.contains("<representative gsnumber=\"2\" id=\"alice\">"),
        "{report}"
    );
    assert!(all(&report, "hostname").contains(&"ALICE-PC".to_owned()));
    let request = Request::post("/api/logout").header("authorization", &bearer);
    let body = json!({ "id": PEER, "uuid": "x" }).to_string();
    assert_eq!(
        world.send(request.body(body.into()).unwrap()).await.status,
        200
    );
    audit(&world, "conn", &logs_in(8, 5, 0)).await;
    let report = self::report(&world).await;
    assert!(report.contains("id=\"987654321\""), "{report}");
    // The token opens nothing any more, also after a restart, and never opened anything else.
    assert_eq!(current(&bearer).await.status, 401);
    let again = try_it("alice", &login.secret).await;
    let again = format!("Bearer {}", again["access_token"].as_str().unwrap());
    assert_eq!(current(&again).await.status, 200);
    let elsewhere = Request::post("/api/v1/events").header("authorization", &again);
    let elsewhere = world.send(elsewhere.body("[]".into()).unwrap()).await;
    assert_eq!(elsewhere.status, 401);
    let world = restarted(world).await;
    let status = async |bearer: &str| {
        let request = Request::post("/api/currentUser").header("authorization", bearer);
        world.send(request.body("{}".into()).unwrap()).await.status
    };
    assert_eq!((status(&bearer).await, status(&again).await), (401, 200));
    // Who has lapsed is forgotten by the next who comes.
    wait(&world, 12 * 3_600);
    assert_eq!(status(&again).await, 401);
    let body = json!({ "username": "alice", "password": login.secret, "id": PEER });
    post(&world, "/api/login", &body).await;
    let logins = world
        .store
        .notes("rustdesk", "token/", "", 10)
        .await
        .unwrap();
    assert_eq!(logins.len(), 1);
}

#[tokio::test]
async fn what_is_not_there_is_answered_harmlessly() {
    let world = world().await;
    for (path, status, body) in [
        ("/api/login-options", 200, "[]"),
        ("/api/ab", 200, "null"),
        ("/api/ab/settings", 404, "{}"),
        ("/api/ab/personal", 404, "{}"),
        (
            "/api/users?current=1&pageSize=100",
            200,
            r#"{"total":0,"data":[]}"#,
        ),
        ("/api/peers", 200, r#"{"total":0,"data":[]}"#),
        (
            "/api/device-group/accessible",
            200,
            r#"{"total":0,"data":[]}"#,
        ),
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let reply = world.send(request).await;
        assert_eq!((reply.status, reply.text()), (status, body), "{path}");
    }
    let sysinfo = json!({ "id": DEVICE, "uuid": UUID, "hostname": "DESK-42" });
    let reply = post(&world, "/api/sysinfo", &sysinfo).await;
    assert_eq!((reply.status, reply.text()), (200, "SYSINFO_UPDATED"));
    let request = Request::get("/api/audit/conn/active?id=1&session_id=1");
    let reply = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn a_device_that_has_not_said_what_it_is_is_asked() {
    let world = world().await;
    let body = json!({ "id": DEVICE, "uuid": UUID, "ver": 1, "modified_at": 0 });
    let reply = post(&world, "/api/heartbeat", &body).await;
    assert_eq!(reply.json(), json!({ "sysinfo": true }));
    post(
        &world,
        "/api/sysinfo",
        &json!({ "id": DEVICE, "uuid": UUID }),
    )
    .await;
    let reply = post(&world, "/api/heartbeat", &body).await;
    assert_eq!(reply.json(), json!({}));
}

const FILE: &str = "incoming_123456789_20261123101500123_display0_vp9.webm";

async fn record(world: &World, query: &str, body: &[u8]) -> Value {
    let path = format!("/{SECRET}/api/record?{query}");
    let reply = post_bytes(world, &path, body.to_vec()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[tokio::test]
async fn a_recording_that_grows_is_kept_when_its_beginning_came_again() {
    let secret: debrief::sources::rustdesk::Secret = serde_json::from_value(json!(SECRET)).unwrap();
    let world = tuned(|settings| settings.secret = Some(secret)).await;
    let file = format!("file={FILE}");
    let refused = record(&world, &format!("type=new&{file}"), b"").await;
    assert_eq!(refused["error"], "the device is not known");
    let conn = format!("/{SECRET}/api/audit/conn");
    taken(&post(&world, &conn, &opens(7)).await);
    taken(&post(&world, &conn, &logs_in(7, WINDOW, 0)).await);
    for bad in [
        "../../etc/passwd",
        "incoming_..%2F..%2Fx_20261123101500123_display0_vp9.webm",
    ] {
        let answer = record(&world, &format!("type=new&file={bad}"), b"").await;
        assert_eq!(answer["error"], "the file has no name of a recording");
    }
    let bytes = b"\x1a\x45\xdf\xa3 and so on, for a long time".to_vec();
    let (head, rest) = bytes.split_at(10);
    let ok = json!({});
    assert_eq!(record(&world, &format!("type=new&{file}"), b"").await, ok);
    let gap = record(&world, &format!("type=part&{file}&offset=5&length=1"), b"x").await;
    assert_eq!(gap["error"], "bytes before these are missing");
    let first = format!("type=part&{file}&offset=0&length=10");
    assert_eq!(record(&world, &first, b"..........").await, ok);
    // The same part again, and one that breaks off.
    assert_eq!(record(&world, &first, b"..........").await, ok);
    let short = format!("type=part&{file}&offset=10&length=5");
    assert!(record(&world, &short, b"1").await["error"].is_string());
    let world = restarted(world).await;
    let second = format!("type=part&{file}&offset=10&length={}", rest.len());
    assert_eq!(record(&world, &second, rest).await, ok);
    let tail = format!("type=tail&{file}&offset=0&length=10");
    assert_eq!(record(&world, &tail, head).await, ok);
    taken(&post(&world, &conn, &closes(7, WINDOW)).await);
    let report = report(&world).await;
    assert_eq!(
        all(&report, "session_recording_view_url").len(),
        1,
        "{report}"
    );
    taken(&post(&world, &conn, &logs_in(8, WINDOW, 0)).await);
    let lsid = lsids(&report).remove(0);
    let path = format!("/api/v1/sessions/{lsid}/recordings/session/0");
    let request = as_reader(Request::get(path)).body(Body::empty()).unwrap();
    let reply = world.send(request).await;
    assert_eq!((reply.status, reply.body), (200, bytes));
    // A further one, told twice, stands among those of a shown screen.
    let other = FILE.replace("display0", "display1");
    for _ in 0..2 {
        record(&world, &format!("type=new&file={other}"), b"").await;
        let part = format!("type=part&file={other}&offset=0&length=1");
        record(&world, &part, b"x").await;
        let tail = format!("type=tail&file={other}");
        assert_eq!(record(&world, &tail, b"y").await, ok);
    }
    let kept = world.store.recordings(&Lsid::parse(&lsid).unwrap()).await;
    let kept = kept.unwrap().unwrap().into_iter();
    let kept: Vec<(&str, u32)> = kept
        .map(|kept| (kept.key.recording.kind.name(), kept.key.recording.instance))
        .collect();
    assert_eq!(kept, [("session", 0), ("show_my_screen", 0)]);
    assert_eq!(record(&world, &format!("type=new&{file}"), b"").await, ok);
    assert_eq!(
        record(&world, &format!("type=remove&{file}"), b"").await,
        ok
    );
}

#[tokio::test]
async fn without_a_secret_address_no_recording_is_taken() {
    let world = world().await;
    let path = format!("/api/record?type=new&file={FILE}");
    let reply = post_bytes(&world, &path, Vec::new()).await;
    assert_eq!(
        reply.json()["error"],
        "recordings are taken only behind a secret address"
    );
}

/// Messages of the fixture, each with one thing of it changed.
fn mutated() -> impl Strategy<Value = (String, Vec<u8>)> {
    let messages: Vec<(String, Value)> = include_str!("rustdesk/session.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["body"].is_object() && line["method"] == "POST")
        .map(|line| {
            (
                line["path"].as_str().unwrap().to_owned(),
                line["body"].clone(),
            )
        })
        .collect();
    let odd = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(|flag| json!(flag)),
        ".{0,40}".prop_map(|text| json!(text)),
        prop::collection::vec(".{0,8}", 0..4).prop_map(|texts| json!(texts)),
        Just(json!({ "a": [] })),
        Just(json!("{\"files\":[[1]]}")),
    ];
    let message = prop::sample::select(messages);
    let cut = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (message, any::<prop::sample::Index>(), odd, cut).prop_map(|((path, body), idx, odd, cut)| {
        let mut body = body;
        let members = body.as_object_mut().unwrap();
        let name = idx
            .get(&members.keys().cloned().collect::<Vec<_>>())
            .clone();
        members.insert(name, odd);
        let mut bytes = body.to_string().into_bytes();
        if let Some(cut) = cut {
            let len = cut.index(bytes.len());
            bytes.truncate(len);
        }
        (path, bytes)
    })
}

#[test]
fn whatever_comes_is_understood_refused_or_kept_aside() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.unwrap();
    let world = runtime.block_on(world());
    let config = ProptestConfig::with_cases(300);
    proptest!(config, |((path, bytes) in mutated())| {
        let (reply, dead) = runtime.block_on(async {
            wait(&world, 1);
            let count = async || {
                world.app.sources().all().into_iter().map(|(_, s)| (s.n_dead, s.n_refused)).next()
            };
            let before = count().await.unwrap();
            let reply = post_bytes(&world, &path, bytes.clone()).await;
            let after = count().await.unwrap();
            (reply, before != after)
        });
        // Refused, and shown; or taken, or kept aside.
        prop_assert!(matches!(reply.status, 200 | 403), "{} {}", reply.status, reply.text());
        prop_assert!(reply.status == 200 || dead);
        let parsed: Result<Value, _> = serde_json::from_slice(&bytes);
        prop_assert!(parsed.is_ok_and(|value| value.is_object()) || dead);
    });
    runtime.block_on(async {
        sweep(&world.app).await.unwrap();
        world.ask(&format!("start_time={NOW}&duration=0")).await;
    });
}

#[tokio::test]
async fn a_sender_elsewhere_is_the_customers_address() {
    let world = world().await;
    let body = json!({ "id": DEVICE, "uuid": UUID, "ver": 1, "modified_at": 0 }).to_string();
    let request = Request::post("/api/heartbeat").body(body.into()).unwrap();
    assert_eq!(
        world.send(from("198.51.100.7:99", request)).await.status,
        200
    );
    audit(&world, "conn", &opens(7)).await;
    audit(&world, "conn", &logs_in(7, WINDOW, 0)).await;
    let report = report(&world).await;
    assert!(report.contains("198.51.100.7"), "{report}");
    assert!(report.contains("203.0.113.9"), "{report}");
}

/// A file that a client has recorded now.
fn recorded(folder: &std::path::Path, display: &str, bytes: &[u8]) -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let file = format!(
        "incoming_{DEVICE}_{}_{display}_vp9.webm",
        now.strftime("%Y%m%d%H%M%S%3f")
    );
    std::fs::write(folder.join(&file), bytes).unwrap();
    file
}

#[test]
fn recordings_of_a_folder_are_shipped_to_their_sessions_once() {
    let data = tempfile::tempdir().unwrap();
    let config = "[source.rustdesk]\nenabled = true\n";
    std::fs::write(data.path().join("debrief.toml"), config).unwrap();
    let server = Server::start(data.path());
    let admin = server.admin();
    for body in [opens(7), logs_in(7, WINDOW, 0)] {
        let url = format!("http://{}/api/audit/conn", server.address);
        let reply = ureq::post(url).send(body.to_string()).unwrap();
        assert_eq!(reply.status(), 200);
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = b"\x1a\x45\xdf\xa3"
        .iter()
        .copied()
        .cycle()
        .take(9 << 20)
        .collect();
    let long = recorded(folder.path(), "display0", &bytes);
    let short = recorded(folder.path(), "display1", b"\x1a\x45\xdf\xa3");
    let same = recorded(folder.path(), "display2", b"\x1a\x45\xdf\xa2");
    std::fs::write(folder.path().join("holiday.webm"), "mine").unwrap();
    let secret = data.path().join("secret");
    std::fs::write(&secret, &admin.secret).unwrap();
    let address = format!("http://{}", server.address);
    let ship = |more: &[&str]| {
        let folder = folder.path().to_str().unwrap();
        let mut args = vec!["ship-recordings", folder, "--server", &address, "--once"];
        args.extend([
            "--client-id",
            &admin.id,
            "--client-secret-file",
            secret.to_str().unwrap(),
        ]);
        args.extend(more);
        run(data.path(), &args)
    };
    // It may still grow.
    let first = ship(&[]);
    assert_eq!((first.code, &*first.stderr), (0, ""));
    let second = ship(&["--settle", "0"]);
    assert_eq!(second.code, 0, "{}", second.stderr);
    let said = |file: &str, recording: &str| {
        let line = format!("`{file}` is the recording {recording} of `");
        assert!(second.stderr.contains(&line), "{}", second.stderr);
    };
    said(&long, "session/0");
    // They are as long as each other, and which comes first does not matter.
    let mut others = [&short, &same];
    if second.stderr.find(&short) > second.stderr.find(&same) {
        others.reverse();
    }
    said(others[0], "show_my_screen/0");
    said(others[1], "show_my_screen/1");
    let third = ship(&["--settle", "0"]);
    assert_eq!((third.code, &*third.stderr), (0, ""));
    // Without its state every file finds its place again.
    std::fs::remove_file(folder.path().join(".debrief-shipped.json")).unwrap();
    let fourth = ship(&["--settle", "0"]);
    assert_eq!(fourth.code, 0);
    assert_eq!(
        fourth.stderr.len(),
        second.stderr.len(),
        "{}",
        fourth.stderr
    );
    let report = server.report(&server.token(), &format!("start_time={}&duration=0", 1));
    let lsid = lsids(&report).remove(0);
    let url = format!("{address}/api/v1/sessions/{lsid}/recordings");
    let token = format!("Bearer {}", server.token());
    let mut reply = ureq::get(url)
        .header("Authorization", token)
        .call()
        .unwrap();
    let listed: Value = reply.body_mut().read_json().unwrap();
    let bytes = listed["recordings"].as_array().unwrap().iter();
    let bytes: Vec<&Value> = bytes.map(|recording| &recording["bytes"]).collect();
    assert_eq!(bytes, [9 << 20, 4, 4]);
    let zone = ship(&["--time-zone", "Nowhere/Land"]);
    assert_eq!(zone.code, 2);
}
