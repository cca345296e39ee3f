//! A MeshCentral that is none: what a real one does rarely, or never when it is asked to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use debrief::sources::meshcentral::{Settings, Source, run};
use debrief_store::DeadLetter;
use futures::{SinkExt as _, StreamExt as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;

use crate::world::World;

const CERTIFICATE: &[u8] = include_bytes!("../../fixtures/meshcentral/loopback-cert.der");
const KEY: &[u8] = include_bytes!("../../fixtures/meshcentral/loopback-key.der");
const EVENTS: &str = include_str!("../../fixtures/meshcentral/terminal-files.jsonl");
const NAME: &str = "meshcentral/site";

/// What the longest question asks for.
const EVENTS_ASKED_MAX: usize = 200_000;

// ---- The server ----

/// What everybody who comes is told.
#[derive(Default)]
struct Said {
    /// Events as JSON, newest first.
    events: Mutex<Vec<String>>,
    /// What is told, once, to who has asked for events.
    pushes: Mutex<Vec<String>>,
    /// Why nobody is let in.
    refusal: Mutex<Option<&'static str>>,
    /// How often a recording was asked for: none is ever there.
    n_recordings: AtomicUsize,
    /// What the token was, of everybody who came.
    tokens: Mutex<Vec<String>>,
}

struct Fake {
    said: Arc<Said>,
    url: String,
}

impl Fake {
    async fn start() -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let said = Arc::new(Said::default());
        let serving = Arc::clone(&said);
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(talk(socket, Arc::clone(&serving)));
            }
        });
        Fake { said, url }
    }

    /// These lines are the newest events now.
    fn happened(&self, lines: impl Iterator<Item = String>) {
        let mut events = self.said.events.lock().unwrap();
        let mut newer: Vec<String> = lines.collect();
        newer.reverse();
        newer.append(&mut events);
        *events = newer;
    }
}

#[expect(
    clippy::result_large_err,
    reason = "the handshake's own type of an answer"
)]
async fn talk(socket: TcpStream, said: Arc<Said>) {
    let mut head = [0; 64];
    let n = socket.peek(&mut head).await.unwrap();
    if !head[..n].starts_with(b"GET /control.ashx ") {
        return lend(socket, &said).await;
    }
    let mut token = String::new();
    let note = |request: &tokio_tungstenite::tungstenite::handshake::server::Request, response| {
        token = request.headers()["x-meshauth"].to_str().unwrap().to_owned();
        Ok(response)
    };
    let mut channel = tokio_tungstenite::accept_hdr_async(socket, note)
        .await
        .unwrap();
    said.tokens.lock().unwrap().push(token);
    let refusal = *said.refusal.lock().unwrap();
    if let Some(why) = refusal {
        let close = json!({ "action": "close", "cause": "noauth", "msg": why });
        let _ = channel.send(Message::text(close.to_string())).await;
        return;
    }
    while let Some(Ok(message)) = channel.next().await {
        let Ok(asked) = serde_json::from_slice::<Value>(&message.into_data()) else {
            continue;
        };
        let answer = match asked["action"].as_str().unwrap() {
            "meshes" => json!({ "action": "meshes", "meshes": [] }).to_string(),
            "nodes" => json!({ "action": "nodes", "nodes": {} }).to_string(),
            "events" => {
                let limit = asked["limit"].as_u64().unwrap() as usize;
                let events = said.events.lock().unwrap();
                let events = events[..limit.min(events.len())].join(",");
                format!("{{\"action\":\"events\",\"events\":[{events}]}}")
            }
            _ => continue,
        };
        let mut says = vec![answer];
        if asked["action"] == "events" {
            says.append(&mut said.pushes.lock().unwrap());
        }
        for text in says {
            if channel.send(Message::text(text)).await.is_err() {
                return;
            }
        }
    }
}

/// Logs whoever asks in, and has no recording for anybody.
async fn lend(mut socket: TcpStream, said: &Said) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if socket.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    }
    let answer = if request.starts_with(b"GET /recordings.ashx") {
        said.n_recordings.fetch_add(1, Ordering::SeqCst);
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
    } else {
        "HTTP/1.1 302 Found\r\nset-cookie: xid=1; path=/\r\nlocation: /\r\ncontent-length: 0\r\n\r\n"
    };
    let _ = socket.write_all(answer.as_bytes()).await;
}

// ---- Debrief ----

/// Follows a server; `more` stands in its table.
fn follow(world: &World, url: &str, more: &str) -> JoinHandle<()> {
    let table = format!(
        "name = \"site\"\nurl = {url:?}\ntoken = {{ user = \"~t:a\", password = \"b\" }}\n{more}"
    );
    let settings: Settings = toml::from_str(&table).unwrap();
    let source = Source::new(&settings).unwrap();
    tokio::spawn(run(world.app.clone(), source))
}

/// What `/api/v1/sources` tells, once it is so.
async fn told(world: &World, token: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..3_000 {
        let request = Request::get("/api/v1/sources").header("authorization", token);
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        let source = reply.json()["sources"][0].clone();
        if is_so(&source) {
            return source;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it never became so");
}

/// Ends following. What it was about to write is written before anything that comes after.
async fn stop(following: JoinHandle<()>) {
    following.abort();
    assert!(following.await.unwrap_err().is_cancelled());
}

async fn admin(world: &World) -> String {
    let login = world.login("admin", "admin", &[]).await;
    format!("Bearer {}", world.token(&login).await)
}

fn error(source: &Value) -> &str {
    source["error"]["message"].as_str().unwrap_or("")
}

async fn letters(world: &World) -> Vec<DeadLetter> {
    let letters = world.store.dead_letters(NAME, u64::MAX, 20).await.unwrap();
    letters.into_iter().map(|(_, letter)| letter).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_another_certificate_is_told_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(CERTIFICATE)],
            PrivateKeyDer::Pkcs8(KEY.into()),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    // What came through, encrypted, from anybody.
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let hearing = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            if let Ok(mut socket) = acceptor.accept(socket).await {
                let mut bytes = vec![0; 4_096];
                let n = socket.read(&mut bytes).await.unwrap_or(0);
                hearing.lock().unwrap().extend(&bytes[..n]);
            }
        }
    });
    let right: String = Sha256::digest(CERTIFICATE)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let wrong = format!("certificate_sha256 = \"{}\"", "ab".repeat(32));
    let is_pinned = format!("certificate_sha256 = \"{right}\"");
    // Without a pin a public authority must vouch for it, and none does.
    for (pin, why) in [(wrong.as_str(), right.as_str()), ("", "UnknownIssuer")] {
        let world = World::new().await;
        let token = admin(&world).await;
        let following = follow(&world, &url, pin);
        let source = told(&world, &token, |source| !source["error"].is_null()).await;
        assert_eq!(source["state"], "waiting");
        let error = error(&source);
        assert!(
            error.starts_with(&format!("cannot connect to `{url}`: ")),
            "{error}"
        );
        assert!(
            error.contains("certificate") && error.contains(why),
            "{error}"
        );
        stop(following).await;
        assert_eq!(heard.lock().unwrap().len(), 0);
    }
    // The right one is told the token.
    let world = World::new().await;
    let following = follow(&world, &url, &is_pinned);
    crate::world::eventually("something was said", || !heard.lock().unwrap().is_empty());
    stop(following).await;
    assert!(heard.lock().unwrap().starts_with(b"GET /control.ashx "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_said_and_tried_again() {
    let fake = Fake::start().await;
    *fake.said.refusal.lock().unwrap() = Some("noauth-3");
    let world = World::new().await;
    let token = admin(&world).await;
    let following = follow(&world, &fake.url, "");
    let source = told(&world, &token, |source| !source["error"].is_null()).await;
    let expected = "the server refuses the login token: noauth noauth-3";
    assert_eq!(error(&source), expected);
    assert_eq!(source["state"], "waiting");
    // Somebody made the token again.
    *fake.said.refusal.lock().unwrap() = None;
    told(&world, &token, |source| source["state"] == "following").await;
    let tokens = fake.said.tokens.lock().unwrap().clone();
    assert!(2 <= tokens.len() && tokens.iter().all(|token| token == "fnQ6YQ==,Yg=="));
    stop(following).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_is_never_there_is_given_up_and_kept_aside() {
    let fake = Fake::start().await;
    fake.happened(EVENTS.lines().map(str::to_owned));
    let world = World::new().await;
    let token = admin(&world).await;
    let following = follow(&world, &fake.url, "");
    let source = told(&world, &token, |source| !source["error"].is_null()).await;
    let file = "relaysession-2026-11-23-01-58-30-probe-vm-5523bdb7105e.mcrec";
    let expected = format!(
        "`{file}`: the file cannot be fetched: the server answers 404 Not Found instead of a file; \
         may the token's account see recordings?"
    );
    assert_eq!(error(&source), expected);
    stop(following).await;
    assert!(letters(&world).await.is_empty());
    // Nineteen times have failed by now.
    let state = world.store.note(NAME, "state").await.unwrap().unwrap();
    let mut state: Value = serde_json::from_slice(&state).unwrap();
    state["wanted"][0]["n_failures"] = 19.into();
    let note = state.to_string().into_bytes();
    world
        .store
        .put_note(NAME, "state", Some(note))
        .await
        .unwrap();
    let n_before = fake.said.n_recordings.load(Ordering::SeqCst);
    let following = follow(&world, &fake.url, "");
    let source = told(&world, &token, |source| source["dead_letters"] == 1).await;
    assert_eq!(error(&source), expected);
    // It is counted before it is written down; then it is not asked for again.
    for _ in 0..3_000 {
        let state = world.store.note(NAME, "state").await.unwrap().unwrap();
        let state: Value = serde_json::from_slice(&state).unwrap();
        if state["wanted"] == json!([]) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    stop(following).await;
    assert_eq!(fake.said.n_recordings.load(Ordering::SeqCst), n_before + 1);
    let letter = letters(&world).await.remove(0);
    assert!(letter.why.contains("404 Not Found"), "{}", letter.why);
    let letter: Value = serde_json::from_slice(&letter.message).unwrap();
    assert_eq!(letter["file"], file);
    let state = world.store.note(NAME, "state").await.unwrap().unwrap();
    let state: Value = serde_json::from_slice(&state).unwrap();
    assert_eq!(state["wanted"], json!([]));
}

/// So many events of no session, a second apart, from this second on.
fn logins(n: usize, from: i64) -> impl Iterator<Item = String> {
    (0..n as i64).map(move |n| {
        let time = debrief_report::iso(crate::world::at(from + n));
        format!("{{\"action\":\"login\",\"time\":\"{time}\"}}")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_events_than_can_be_asked_for_are_a_gap_that_is_said_for_good() {
    let fake = Fake::start().await;
    fake.happened(EVENTS.lines().take(1).map(str::to_owned));
    let world = World::new().await;
    let token = admin(&world).await;
    let is_following = |source: &Value| source["state"] == "following";
    let following = follow(&world, &fake.url, "");
    let source = told(&world, &token, is_following).await;
    assert!(source["error"].is_null(), "{source}");
    stop(following).await;
    // As many as there may be, and one that was known before.
    let begin = crate::world::secs("2026-11-23T02:30:00");
    fake.happened(logins(EVENTS_ASKED_MAX - 2, begin));
    world
        .app
        .sources()
        .update(NAME, |standing| standing.state.clear());
    let following = follow(&world, &fake.url, "");
    let source = told(&world, &token, is_following).await;
    assert!(source["error"].is_null(), "{source}");
    stop(following).await;
    assert!(letters(&world).await.is_empty());
    fake.happened(logins(2, begin + EVENTS_ASKED_MAX as i64));
    world
        .app
        .sources()
        .update(NAME, |standing| standing.state.clear());
    let following = follow(&world, &fake.url, "");
    let source = told(&world, &token, is_following).await;
    stop(following).await;
    let expected = "more than 200000 events happened meanwhile: those before \
                    2026-11-23T02:30:00+00:00 are missing";
    assert_eq!(error(&source), expected);
    assert_eq!(letters(&world).await[0].why, expected);
}

/// What a server says in a day: events, and answers about devices.
fn real_messages() -> Vec<Value> {
    let node = "node//kdpjq$4URFYCgNsSEIagWKtq1uhnTY84kKl2AT0GxRCfdpODpKytfRjSQUQj$0Uj";
    let devices = json!([{ "_id": node, "name": "vm", "rname": "vm", "ip": "127.0.0.1",
                           "osdesc": "Debian GNU/Linux 12 (bookworm)" }]);
    let interface = json!([{ "address": "127.0.0.1", "mac": "00:00:00:00:00:00",
                             "netmask": "255.0.0.0", "status": "up" }]);
    let mut messages = vec![
        json!({ "action": "meshes", "meshes": [{ "_id": "mesh//a", "name": "G1" }] }),
        json!({ "action": "nodes", "nodes": { "mesh//a": devices } }),
        json!({ "action": "getsysinfo", "nodeid": node,
                "hardware": { "identifiers": { "bios_vendor": "x", "cpu_name": "y" } } }),
        json!({ "action": "getnetworkinfo", "nodeid": node, "netif2": { "lo": interface } }),
    ];
    let events = [
        EVENTS,
        include_str!("../../fixtures/meshcentral/chat-desktop-note.jsonl"),
        include_str!("../../fixtures/meshcentral/multiplex-two-users.jsonl"),
    ];
    for line in events.concat().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        messages.push(json!({ "action": "event", "event": event }));
    }
    messages
}

/// Puts something odd into one place of a value.
fn mutate(value: &mut Value, dice: &mut fastrand::Rng) {
    let odd = [
        json!(null),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("\u{0}\u{202e}<&>".repeat(300)),
        json!("+275760-09-13T00:00:00Z"),
        json!([]),
        json!([[null]]),
        json!({ "": {} }),
    ];
    let inner: Option<&mut Value> = match value {
        Value::Array(items) if !items.is_empty() => {
            let n = dice.usize(..items.len());
            items.get_mut(n)
        }
        Value::Object(members) if !members.is_empty() => {
            let n = dice.usize(..members.len());
            members.values_mut().nth(n)
        }
        _ => None,
    };
    match inner {
        Some(inner) if dice.u8(0..4) != 0 => mutate(inner, dice),
        _ => *value = odd[dice.usize(..odd.len())].clone(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_server_says_it_is_followed_to_the_last_word() {
    let mut dice = fastrand::Rng::with_seed(crate::sender::seed());
    let fake = Fake::start().await;
    let mut pushes = Vec::new();
    for _ in 0..60 {
        for mut message in real_messages() {
            mutate(&mut message, &mut dice);
            let mut text = message.to_string();
            // Some break off.
            if dice.u8(0..10) == 0 {
                let len = dice.usize(..text.len());
                text.truncate(text.floor_char_boundary(len));
            }
            pushes.push(text);
        }
    }
    let n_pushes = pushes.len();
    // Then something real, of a relay that nothing spoke of.
    let events = EVENTS.lines().take(2);
    for line in events.map(|line| line.replace("5523bdb7105e", "4711471147114711")) {
        pushes.push(format!("{{\"action\":\"event\",\"event\":{line}}}"));
    }
    *fake.said.pushes.lock().unwrap() = pushes;
    let world = World::new().await;
    let token = admin(&world).await;
    let following = follow(&world, &fake.url, "");
    let is_last_heard = async || {
        let state = world.store.note(NAME, "state").await.unwrap();
        state.is_some_and(|state| String::from_utf8_lossy(&state).contains("4711471147114711"))
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !is_last_heard().await {
        assert!(!following.is_finished(), "it gave up");
        assert!(std::time::Instant::now() < deadline, "never to its end");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let source = told(&world, &token, |source| source["state"] == "following").await;
    stop(following).await;
    println!("{n_pushes} messages: {source}");
    assert!(0 < source["dead_letters"].as_u64().unwrap());
    // Whatever came of it is a report.
    let report = world.ask("start_time=0&duration=0").await;
    assert!(roxmltree::Document::parse(report.text()).is_ok());
}
