//! Recordings handed in: whole, in pieces, broken off and gone on with, and given out again.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use debrief::sweep::{sweep, sweep_files};
use debrief_domain::limits::RECORDING_INSTANCES_MAX;
use debrief_store::Store;
use debrief_store::faulty::{Fate, Plan};
use futures::{StreamExt as _, stream};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::sender::{Sender, event, read, seed, session, shared};
use crate::world::{NOW, Reply, World, all, as_reader, at, only};

/// What is handed in where it does not matter what.
pub(crate) const BYTES: &[u8] = b"sixteen letters.";
pub(crate) const PATH: &str = "/api/v1/sessions/a/recordings/session/0";

/// A path of the session `a`'s recordings.
pub(crate) fn path(rest: &str) -> String {
    format!("/api/v1/sessions/a/recordings/{rest}")
}

/// A sender, and the session `a`, which has ended.
pub(crate) async fn begin(world: &World) -> Sender {
    let sender = Sender::new(world, "tool").await;
    sender.send(world, &session("a", 1)).await;
    sweep(&world.app).await.unwrap();
    sender
}

impl Sender {
    /// Sends a part of a recording, or all of it.
    pub(crate) async fn put(
        &self,
        world: &World,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        let mut request =
            Request::put(path).header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        world.send(request.body(body.into()).unwrap()).await
    }

    /// Sends the bytes of a range.
    async fn piece(&self, world: &World, range: &str, bytes: &[u8]) -> Reply {
        let headers = [("content-range", range)];
        self.put(world, PATH, &headers, bytes.to_vec()).await
    }

    /// Asks how far an upload of this length has come.
    pub(crate) async fn ask(&self, world: &World, total: usize) -> Reply {
        self.piece(world, &format!("bytes */{total}"), b"").await
    }
}

/// A body of these chunks that breaks off behind them.
fn broken(chunks: impl IntoIterator<Item = Vec<u8>>) -> Body {
    let chunks: Vec<io::Result<Bytes>> = chunks.into_iter().map(|c| Ok(c.into())).collect();
    let end = Err(io::Error::other("the sender is gone"));
    Body::from_stream(stream::iter(chunks.into_iter().chain([end])))
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(bytes)))
}

/// The status, the code of an error, and what has arrived as a range.
#[track_caller]
fn check(reply: &Reply, status: u16, code: &str, range: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.json()["error"].as_str().unwrap_or(""), code);
    assert_eq!(reply.header("range"), range, "{}", reply.text());
}

/// Whether the archive has exactly these bytes as the recording at [`PATH`].
pub(crate) async fn check_kept(world: &World, bytes: &[u8]) {
    let reply = read(world, PATH).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.body == bytes, "{} bytes", reply.body.len());
    let rows = world.store.recordings_after(None, 100).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].bytes, bytes.len() as u64);
    assert_eq!(staged(world), [""; 0]);
}

/// Files of uploads on their way.
pub(crate) fn staged(world: &World) -> Vec<String> {
    files(world, "uploads")
}

/// Objects in the directory of the archive.
pub(crate) fn objects(world: &World) -> Vec<String> {
    files(world, "recordings")
}

fn files(world: &World, directory: &str) -> Vec<String> {
    // Where objects are kept elsewhere, there is no directory of them.
    let entries = std::fs::read_dir(world.data().join(directory));
    let entries = entries.into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

// ---- Who may, and what there is ----

#[tokio::test]
async fn only_who_may_ingest_hands_in_and_only_who_may_see_recordings_gets_any() {
    let world = World::new().await;
    let sender = begin(&world).await;
    let shell = path("command_shell/0");
    let timing = path("command_shell/0/timing");
    for path in [PATH, &shell, &timing] {
        assert_eq!(sender.put(&world, path, &[], BYTES).await.status, 201);
    }
    let watcher = Sender::with(&world, "watcher", "reporting,recordings", &[]).await;
    let reader = Sender::with(&world, "reports", "reporting", &[]).await;
    let admin = Sender::with(&world, "boss", "admin,command=full_access", &[]).await;
    let all = "ingest,reporting,recordings";
    let elsewhere = Sender::with(&world, "elsewhere", all, &["198.51.100.0/24"]).await;
    let list = path("");
    let list = list.trim_end_matches('/');
    for (method, path) in [
        (Method::PUT, PATH),
        (Method::PUT, &timing),
        (Method::GET, PATH),
        (Method::GET, &timing),
        (Method::GET, list),
        (Method::HEAD, PATH),
    ] {
        let asked = |token: &str| {
            let request = Request::builder().method(method.clone()).uri(path);
            let request = request.header(header::AUTHORIZATION, token);
            world.send(request.body(Body::from(BYTES)).unwrap())
        };
        let bearer = |sender: &Sender| format!("Bearer {}", sender.token);
        for wrong in ["", "Bearer nothing", "Basic Zm9vOmJhcg=="] {
            let reply = asked(wrong).await;
            assert_eq!(reply.status, 401, "{method} {path} {wrong}");
            assert!(!reply.header("www-authenticate").is_empty());
        }
        assert_eq!(
            asked(&bearer(&elsewhere)).await.status,
            403,
            "{method} {path}"
        );
        let (may, may_not) = match method {
            Method::PUT => (&sender, [&watcher, &reader, &admin]),
            _ => (&watcher, [&sender, &reader, &admin]),
        };
        for wrong in may_not {
            let reply = asked(&bearer(wrong)).await;
            assert_eq!(reply.status, 403, "{method} {path} {}", wrong.token);
            assert!(!reply.body.windows(7).any(|bytes| bytes == b"letters"));
        }
        assert_eq!(asked(&bearer(may)).await.status, 200, "{method} {path}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_recording_is_not_found_and_leaves_nothing() {
    let world = World::new().await;
    let sender = begin(&world).await;
    let long = format!(
        "/api/v1/sessions/{}/recordings/session/0",
        "x".repeat(10_000)
    );
    let over = path(&format!("command_shell/{RECORDING_INSTANCES_MAX}"));
    for wrong in [
        "/api/v1/sessions/b/recordings/session/0",
        "/api/v1/sessions/..%2f..%2fa/recordings/session/0",
        "/api/v1/sessions/a%00/recordings/session/0",
        "/api/v1/sessions/%20/recordings/session/0",
        &long,
        &over,
        &path("session/1"),
        &path("screen/0"),
        &path("Session/0"),
        &path("session%00/0"),
        &path("..%2fsession/0"),
        &path("session/-1"),
        &path("session/+0"),
        &path("session/%2b0"),
        &path("session/0x0"),
        &path("session/%D9%A0"),
        &path("session/4294967296"),
        &path("session/99999999999999999999999"),
        &path("session/..%2f0"),
        &path("session/0%2f"),
        &path("session/0/timing"),
        &path("show_my_screen/0/timing"),
        &path("command_shell/0/times"),
        &path("command_shell/1000/timing"),
    ] {
        for reply in [
            sender.put(&world, wrong, &[], BYTES).await,
            read(&world, wrong).await,
        ] {
            assert_eq!(reply.status, 404, "{wrong}: {}", reply.text());
            assert!(reply.body.len() < 300, "{}", reply.text());
        }
    }
    assert_eq!(
        sender
            .put(&world, &path("session/%ff"), &[], BYTES)
            .await
            .status,
        400
    );
    assert_eq!(
        read(&world, "/api/v1/sessions/b/recordings").await.status,
        404
    );
    assert_eq!((staged(&world), objects(&world)), (vec![], vec![]));
    let last = RECORDING_INSTANCES_MAX - 1;
    for most in [
        format!("show_my_screen/{last}"),
        format!("command_shell/{last}/timing"),
    ] {
        assert_eq!(
            read(&world, &path(&most)).await.status,
            404,
            "not handed in"
        );
        let kept = sender.put(&world, &path(&most), &[], BYTES).await;
        assert_eq!(kept.status, 201, "{}", kept.text());
        assert_eq!(kept.header("location"), path(&most));
        assert_eq!(read(&world, &path(&most)).await.body, BYTES);
    }
}

#[tokio::test]
async fn the_list_names_every_file_of_a_session_in_order() {
    let world = World::new().await;
    let sender = begin(&world).await;
    let list = "/api/v1/sessions/a/recordings";
    assert_eq!(read(&world, list).await.json(), json!({ "recordings": [] }));
    for (name, bytes) in [
        ("command_shell/3", &b"Script started on 2026\n"[..]),
        ("command_shell/3/timing", b"0.5 3\n"),
        ("show_my_screen/0", b"?"),
        ("session/0", b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2"),
    ] {
        assert_eq!(
            sender.put(&world, &path(name), &[], bytes).await.status,
            201
        );
    }
    let told = |kind: &str, instance: u32, part: &str, media: &str, bytes: &[u8]| {
        json!({
            "kind": kind, "instance": instance, "part": part, "media_type": media,
            "bytes": bytes.len(), "sha256": sha256(bytes), "received": "2016-11-15T12:00:00+00:00",
        })
    };
    let mp4 = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2";
    let script = b"Script started on 2026\n";
    let expected = json!({ "recordings": [
        told("session", 0, "recording", "video/mp4", mp4),
        told("show_my_screen", 0, "recording", "application/octet-stream", b"?"),
        told("command_shell", 3, "recording", "application/x-typescript", script),
        told("command_shell", 3, "timing", "text/plain", b"0.5 3\n"),
    ] });
    assert_eq!(read(&world, list).await.json(), expected);
}

// ---- Whole, and in pieces ----

#[tokio::test]
async fn a_whole_recording_is_kept_once_and_never_changes() {
    let world = World::new().await;
    let sender = begin(&world).await;
    let first = sender.put(&world, PATH, &[], BYTES).await;
    check(&first, 201, "", "");
    assert_eq!(first.header("location"), PATH);
    let told = first.json();
    assert_eq!(
        (&told["bytes"], &told["sha256"]),
        (&json!(16), &json!(sha256(BYTES)))
    );
    let object = objects(&world);
    assert_eq!(object.len(), 1);
    assert_eq!(object[0].len(), 44);
    assert!(
        object[0].bytes().all(|b| b.is_ascii_alphanumeric()),
        "{object:?}"
    );
    // The same by another account, of unknown length, and in pieces.
    let other = Sender::new(&world, "other").await;
    let unknown = Body::from_stream(stream::iter([Ok::<_, io::Error>(Bytes::from(BYTES))]));
    for again in [
        sender.put(&world, PATH, &[], BYTES).await,
        other
            .put(&world, PATH, &[("content-length", "16")], BYTES)
            .await,
        sender.put(&world, PATH, &[], unknown).await,
        sender.piece(&world, "bytes 0-15/16", BYTES).await,
    ] {
        check(&again, 200, "", "");
        assert_eq!(again.json(), told);
    }
    for bytes in [&b"sixteen letters!"[..], b"", b"sixteen letters. More"] {
        check(
            &sender.put(&world, PATH, &[], bytes).await,
            409,
            "conflict",
            "",
        );
    }
    assert_eq!(objects(&world), object);
    check_kept(&world, BYTES).await;
}

#[tokio::test]
async fn pieces_are_put_together_and_a_gap_is_told() {
    let world = World::new().await;
    let sender = begin(&world).await;
    check(&sender.ask(&world, 16).await, 202, "", "");
    check(
        &sender.piece(&world, "bytes 1-4/16", b"ixte").await,
        416,
        "gap",
        "",
    );
    check(
        &sender.piece(&world, "bytes 0-4/16", b"sixte").await,
        202,
        "",
        "bytes=0-4",
    );
    let gap = sender.piece(&world, "bytes 6-9/16", b"n le").await;
    check(&gap, 416, "gap", "bytes=0-4");
    assert_eq!(gap.json()["received"], 5);
    // Another length is another upload.
    check(&sender.ask(&world, 17).await, 202, "", "");
    let told = sender.ask(&world, 16).await;
    check(&told, 202, "", "bytes=0-4");
    assert_eq!(told.json(), json!({ "received": 5, "total": 16 }));
    // A piece that overlaps takes the place of what was there.
    check(
        &sender.piece(&world, "bytes 3-8/16", b"?????!").await,
        202,
        "",
        "bytes=0-8",
    );
    check(
        &sender.piece(&world, "bytes 3-9/16", b"teen le").await,
        202,
        "",
        "bytes=0-9",
    );
    check(
        &sender.piece(&world, "bytes 10-15/16", b"tters.").await,
        201,
        "",
        "",
    );
    let reply = read(&world, PATH).await;
    assert_eq!(reply.body, BYTES);
}

#[tokio::test]
async fn what_a_request_says_wrongly_is_refused_and_keeps_what_was_there() {
    let world = World::with(&[("recording_bytes_max", "16")]).await;
    let sender = begin(&world).await;
    check(
        &sender.piece(&world, "bytes 0-3/16", b"sixt").await,
        202,
        "",
        "bytes=0-3",
    );
    for range in [
        "bytes 4-3/16",
        "bytes 4-16/16",
        "items 4-5/16",
        "bytes 4-5/*",
        "4-5/16",
        "x",
    ] {
        let reply = sender.piece(&world, range, b"ee").await;
        check(&reply, 400, "invalid_parameters", "");
    }
    for coding in ["gzip", "identity"] {
        let headers = [("content-encoding", coding)];
        let reply = sender.put(&world, PATH, &headers, BYTES).await;
        check(&reply, 415, "unsupported", "");
    }
    for (name, value) in [
        ("digest", "sha-256=x"),
        ("content-digest", "sha-256=:AA==:"),
    ] {
        let reply = sender.put(&world, PATH, &[(name, value)], BYTES).await;
        check(&reply, 400, "invalid_parameters", "");
    }
    // One byte too many, said or not.
    let over = b"sixteen letters..";
    let said = [("content-length", "17")];
    let unsaid = Body::from_stream(stream::iter(over.map(|b| Ok::<_, io::Error>(vec![b]))));
    for reply in [
        sender
            .piece(&world, "bytes 4-16/17", b"een letters..")
            .await,
        sender.piece(&world, "bytes */17", b"").await,
        sender.put(&world, PATH, &said, over.to_vec()).await,
        sender.put(&world, PATH, &[], unsaid).await,
    ] {
        check(&reply, 413, "too_large", "");
        assert_eq!(reply.json()["limit"], "recording_bytes_max");
        assert_eq!(reply.json()["value"], 16);
    }
    // A body that is not as long as its range.
    let long = sender.piece(&world, "bytes 4-5/16", b"een").await;
    check(&long, 400, "invalid_parameters", "");
    check(&sender.ask(&world, 16).await, 202, "", "bytes=0-3");
    let question = sender.piece(&world, "bytes */16", b"een letters.").await;
    check(&question, 400, "invalid_parameters", "");
    check(&sender.ask(&world, 16).await, 202, "", "bytes=0-3");
    let short = sender.piece(&world, "bytes 4-15/16", b"een").await;
    check(&short, 400, "broken_body", "");
    check(&sender.ask(&world, 16).await, 202, "", "bytes=0-6");
    check(
        &sender.piece(&world, "bytes 7-15/16", b" letters.").await,
        201,
        "",
        "",
    );
    check_kept(&world, BYTES).await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_at_any_byte_goes_on_where_it_stopped() {
    let world = World::new().await;
    let sender = begin(&world).await;
    let length = [("content-length", "16")];
    for n in 0..BYTES.len() {
        let path = path(&format!("show_my_screen/{n}"));
        let put = |headers: Vec<(&'static str, String)>, body: Body| {
            let (sender, world, path) = (&sender, &world, path.clone());
            async move {
                let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
                sender.put(world, &path, &headers, body).await
            }
        };
        let chunks = BYTES[..n].chunks(3).map(<[u8]>::to_vec);
        let reply = sender.put(&world, &path, &length, broken(chunks)).await;
        check(&reply, 400, "broken_body", "");
        let question = || vec![("content-range", "bytes */16".to_owned())];
        let told = put(question(), Body::empty()).await;
        assert_eq!((told.status, &told.json()["received"]), (202, &json!(n)));
        // It breaks off once more in the middle of the rest.
        let middle = n + (16 - n) / 2;
        let rest = vec![("content-range", format!("bytes {n}-15/16"))];
        let reply = put(rest, broken([BYTES[n..middle].to_vec()])).await;
        check(&reply, 400, "broken_body", "");
        let told = put(question(), Body::empty()).await;
        assert_eq!(
            (told.status, &told.json()["received"]),
            (202, &json!(middle))
        );
        let rest = vec![
            ("content-range", format!("bytes {middle}-15/16")),
            ("content-digest", digest(&BYTES[middle..])),
            ("repr-digest", digest(BYTES)),
        ];
        let done = put(rest, BYTES[middle..].to_vec().into()).await;
        check(&done, 201, "", "");
        assert_eq!(read(&world, &path).await.body, BYTES);
    }
    assert_eq!(staged(&world), [""; 0]);
}

#[tokio::test]
async fn an_upload_of_unknown_length_that_breaks_off_leaves_nothing() {
    let world = World::new().await;
    let sender = begin(&world).await;
    let reply = sender
        .put(&world, PATH, &[], broken([BYTES[..9].to_vec()]))
        .await;
    check(&reply, 400, "broken_body", "");
    assert_eq!(staged(&world), [""; 0]);
    check(&sender.ask(&world, 16).await, 202, "", "");
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_stops_sending_is_ended_and_what_it_sent_stays() {
    let world = World::new().await;
    let sender = begin(&world).await;
    let first = stream::iter([Ok::<_, io::Error>(Bytes::from(&BYTES[..7]))]);
    let body = Body::from_stream(first.chain(stream::pending()));
    let began = tokio::time::Instant::now();
    let reply = sender
        .put(&world, PATH, &[("content-length", "16")], body)
        .await;
    check(&reply, 408, "too_slow", "");
    assert_eq!(began.elapsed().as_secs(), 60);
    check(&sender.ask(&world, 16).await, 202, "", "bytes=0-6");
}

// ---- Digests ----

#[tokio::test]
async fn a_piece_with_a_wrong_digest_is_forgotten_and_only_that() {
    let world = World::new().await;
    let sender = begin(&world).await;
    let put = |range: &'static str, digest: String, bytes: &'static [u8]| {
        let (sender, world) = (&sender, &world);
        async move {
            let headers = [("content-range", range), ("content-digest", &digest)];
            sender.put(world, PATH, &headers, bytes).await
        }
    };
    let reply = put("bytes 0-6/16", digest(b"sixteen"), b"sixteen").await;
    check(&reply, 202, "", "bytes=0-6");
    let reply = put("bytes 7-15/16", digest(b" letters."), b" latters.").await;
    check(&reply, 400, "wrong_digest", "");
    assert_eq!(reply.json()["field"], "Content-Digest");
    check(&sender.ask(&world, 16).await, 202, "", "bytes=0-6");
    // Of two digests both count, and one that nobody knows does not.
    let both = format!("{}, {}", digest(b" letters."), digest(b"x"));
    check(
        &put("bytes 7-15/16", both, b" letters.").await,
        400,
        "wrong_digest",
        "",
    );
    // A question has no bytes.
    let headers = [
        ("content-range", "bytes */16"),
        ("content-digest", &digest(b"x")),
    ];
    check(
        &sender.put(&world, PATH, &headers, "").await,
        202,
        "",
        "bytes=0-6",
    );
    let known = format!("unixsum=:AAAA:, {}", digest(b" letters."));
    check(
        &put("bytes 7-15/16", known, b" letters.").await,
        201,
        "",
        "",
    );
    check_kept(&world, BYTES).await;
}

#[tokio::test]
async fn a_whole_with_a_wrong_digest_is_forgotten_altogether() {
    let world = World::new().await;
    let sender = begin(&world).await;
    let old = |bytes: &[u8]| format!("SHA-256={}", STANDARD.encode(Sha256::digest(bytes)));
    let wrong = b"sixteen latters.";
    for (name, value) in [("repr-digest", digest(BYTES)), ("digest", old(BYTES))] {
        check(
            &sender.piece(&world, "bytes 0-6/16", &wrong[..7]).await,
            202,
            "",
            "bytes=0-6",
        );
        let headers = [("content-range", "bytes 7-15/16"), (name, &value)];
        let reply = sender.put(&world, PATH, &headers, &wrong[7..]).await;
        check(&reply, 400, "wrong_digest", "");
        assert_eq!(reply.json()["field"], "Repr-Digest");
        assert_eq!((staged(&world), objects(&world)), (vec![], vec![]));
    }
    let right = old(BYTES);
    check(
        &sender.put(&world, PATH, &[("digest", &right)], BYTES).await,
        201,
        "",
        "",
    );
    check_kept(&world, BYTES).await;
}

// ---- Many at once ----

/// A body of one chunk that says when it is looked at and goes on when it is told to.
fn held(chunk: &'static [u8]) -> (Body, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, is_begun) = mpsc::channel(1);
    let (go, mut may_go) = mpsc::channel(1);
    let body = Body::from_stream(stream::once(async move {
        begun.send(()).await.unwrap();
        may_go.recv().await;
        Ok::<_, io::Error>(Bytes::from(chunk))
    }));
    (body, is_begun, go)
}

#[tokio::test]
async fn a_recording_is_uploaded_by_one_request_of_an_account_at_a_time() {
    let world = shared().await;
    let sender = begin(&world).await;
    let (body, mut is_begun, go) = held(BYTES);
    let first = {
        let (world, sender) = (Arc::clone(&world), sender.clone());
        let length = [("content-length", "16")];
        tokio::spawn(async move { sender.put(&world, PATH, &length, body).await })
    };
    is_begun.recv().await.unwrap();
    check(
        &sender.put(&world, PATH, &[], BYTES).await,
        409,
        "conflict",
        "",
    );
    check(&sender.ask(&world, 16).await, 409, "conflict", "");
    check(&sender.ask(&world, 99).await, 409, "conflict", "");
    // Another account does not stand in its way, and comes first.
    let other = Sender::new(&world, "other").await;
    check(
        &other.put(&world, PATH, &[], &b"other bytes"[..]).await,
        201,
        "",
        "",
    );
    go.send(()).await.unwrap();
    check(&first.await.unwrap(), 409, "conflict", "");
    check_kept(&world, b"other bytes").await;
    assert_eq!(objects(&world).len(), 1);
}

#[tokio::test]
async fn one_upload_more_than_are_taken_at_once_is_told_to_come_again() {
    let world = shared().await;
    let sender = begin(&world).await;
    let mut uploads = Vec::new();
    for n in 0..debrief::http::UPLOADS_MAX {
        let (body, mut is_begun, go) = held(BYTES);
        let (world, sender) = (Arc::clone(&world), sender.clone());
        let path = path(&format!("show_my_screen/{n}"));
        let upload = tokio::spawn(async move { sender.put(&world, &path, &[], body).await });
        is_begun.recv().await.unwrap();
        uploads.push((upload, go));
    }
    let refused = sender.put(&world, PATH, &[], BYTES).await;
    check(&refused, 503, "busy", "");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.json()["value"], debrief::http::UPLOADS_MAX);
    // One goes away in the middle, and there is room.
    let (gone, _) = uploads.pop().unwrap();
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    check(&sender.put(&world, PATH, &[], BYTES).await, 201, "", "");
    for (upload, go) in uploads {
        go.send(()).await.unwrap();
        check(&upload.await.unwrap(), 201, "", "");
    }
}

// ---- An archive that lies ----

#[tokio::test]
async fn a_recording_whose_outcome_is_not_known_is_kept_once_when_it_is_sent_again() {
    for (fate, status) in [
        (Fate::DoneUnknown, 200),
        (Fate::UndoneUnknown, 201),
        (Fate::Refused, 201),
    ] {
        let world = World::new().await;
        let sender = begin(&world).await;
        // The first write is the server's own, when it starts.
        let store = Store::faulty(&world.store, Plan::scripted([Fate::Truth, fate]));
        let world = world.served_from(&store).await;
        let first = sender.put(&world, PATH, &[], BYTES).await;
        check(&first, 503, "unavailable", "");
        assert!(!first.header("retry-after").is_empty());
        check(&sender.put(&world, PATH, &[], BYTES).await, status, "", "");
        check_kept(&world, BYTES).await;
        // What no row names is swept when it is old, and not before.
        let kept = world.store.recordings_after(None, 9).await.unwrap();
        let n_orphans = objects(&world).len() - 1;
        assert_eq!(
            n_orphans,
            usize::from(fate != Fate::DoneUnknown),
            "{fate:?}"
        );
        world.clock.set(age_of_files(&world, 24 * 3_600 - 60));
        sweep_files(&world.app).await.unwrap();
        assert_eq!(objects(&world).len(), 1 + n_orphans);
        world.clock.set(age_of_files(&world, 24 * 3_600 + 60));
        sweep_files(&world.app).await.unwrap();
        assert_eq!(objects(&world), [kept[0].object.clone()]);
    }
}

/// The moment at which files of the world are so many seconds old.
pub(crate) fn age_of_files(world: &World, age_secs: i64) -> debrief_domain::At {
    let made = std::fs::metadata(world.data().join("archive.sqlite")).unwrap();
    let made = made.modified().unwrap();
    let made = made.duration_since(std::time::UNIX_EPOCH).unwrap();
    at(i64::try_from(made.as_secs()).unwrap() + age_secs)
}

#[tokio::test]
async fn an_upload_that_nobody_goes_on_with_expires() {
    let world = World::with(&[("upload_expires", "1h")]).await;
    let sender = begin(&world).await;
    check(
        &sender.piece(&world, "bytes 0-3/16", b"sixt").await,
        202,
        "",
        "bytes=0-3",
    );
    world.clock.set(age_of_files(&world, 3_600 - 60));
    sweep_files(&world.app).await.unwrap();
    check(&sender.ask(&world, 16).await, 202, "", "bytes=0-3");
    // One that a request works on stays, whatever its file says.
    world.clock.set(age_of_files(&world, 3_600 + 60));
    let (body, mut is_begun, go) = held(b"een letters.");
    let headers = [("content-range", "bytes 4-15/16")];
    let rest = sender.put(&world, PATH, &headers, body);
    let swept = async {
        is_begun.recv().await.unwrap();
        sweep_files(&world.app).await.unwrap();
        assert_eq!(staged(&world).len(), 1);
        go.send(()).await.unwrap();
    };
    let (rest, ()) = tokio::join!(rest, swept);
    check(&rest, 201, "", "");
    let other = path("show_my_screen/0");
    let headers = [("content-range", "bytes 0-3/16")];
    assert_eq!(
        sender.put(&world, &other, &headers, "sixt").await.status,
        202
    );
    assert_eq!(staged(&world).len(), 1);
    sweep_files(&world.app).await.unwrap();
    assert_eq!(staged(&world), [""; 0]);
    let headers = [("content-range", "bytes 4-15/16")];
    let late = sender.put(&world, &other, &headers, "een letters.").await;
    check(&late, 416, "gap", "");
}

// ---- What a report shows of it ----

/// The elements of a report's links that are about recordings, in order, without their addresses.
async fn links_of(world: &World, lsid: &str) -> Vec<String> {
    let reply = world.ask(&format!("lsid={lsid}")).await;
    let document = reply.text();
    let document = roxmltree::Document::parse(document).unwrap();
    let elements = document.descendants().filter(|node| {
        let name = node.tag_name().name();
        name.contains("recording") || name == "file_transfer_count" || name.contains("chat_")
    });
    let told = |node: roxmltree::Node<'_, '_>| {
        let instance = node.attribute("instance").unwrap_or_default();
        format!("{}{instance}", node.tag_name().name())
    };
    elements.map(told).collect()
}

const CHAT: [&str; 2] = ["session_chat_view_url", "session_chat_download_url"];
const SESSION: [&str; 2] = [
    "session_recording_view_url",
    "session_recording_download_url",
];

fn expected(lists: &[&[&str]]) -> Vec<String> {
    let begin = CHAT.iter().chain(lists.iter().copied().flatten());
    let end = ["file_transfer_count"];
    begin.chain(&end).map(ToString::to_string).collect()
}

/// The cursor behind everything until now.
async fn cursor(world: &World) -> String {
    let reply = world.ask("changed_since=0").await;
    reply.header("debrief-next").to_owned()
}

#[tokio::test]
async fn a_running_session_shows_its_recording_when_it_has_ended() {
    let world = World::new().await;
    let sender = Sender::new(&world, "tool").await;
    let mut story = session("a", 2);
    let end = story.pop().unwrap();
    sender.send(&world, &story).await;
    let before = cursor(&world).await;
    check(&sender.put(&world, PATH, &[], BYTES).await, 201, "", "");
    assert_eq!(links_of(&world, "a").await, ["file_transfer_count"]);
    assert_eq!(
        world.ask(&format!("changed_since={before}")).await.lsids(),
        [""; 0]
    );
    sender.send(&world, &[end]).await;
    let shown = expected(&[&SESSION]);
    assert_eq!(links_of(&world, "a").await, shown, "before it is sealed");
    sweep(&world.app).await.unwrap();
    assert_eq!(links_of(&world, "a").await, shown, "and after");
    // A late event drops the sealed bytes; one that tells of a recording adds its link.
    let mut late = event("late", "a", 2, "Show My Screen Recording");
    late["recording"] = json!({ "kind": "show_my_screen", "instance": 4 });
    sender.send(&world, &[late]).await;
    let list = ["show_my_screen_recordings", "show_my_screen_recording4"];
    let shown = expected(&[&SESSION, &list]);
    assert_eq!(links_of(&world, "a").await, shown);
    sweep(&world.app).await.unwrap();
    assert_eq!(links_of(&world, "a").await, shown);
    // Handed in, it is the same recording.
    let told = path("show_my_screen/4");
    check(&sender.put(&world, &told, &[], BYTES).await, 201, "", "");
    assert_eq!(links_of(&world, "a").await, shown);
}

#[tokio::test]
async fn a_late_recording_changes_the_session_for_those_who_follow() {
    let world = World::new().await;
    let sender = begin(&world).await;
    let before = cursor(&world).await;
    check(&sender.put(&world, PATH, &[], BYTES).await, 201, "", "");
    let amended = world.ask(&format!("changed_since={before}")).await;
    assert_eq!(amended.lsids(), ["a"]);
    assert_eq!(links_of(&world, "a").await, expected(&[&SESSION]));
    // The timing of a typescript is no link of its own, but whoever keeps a copy is told.
    let after = amended.header("debrief-next").to_owned();
    let timing = path("command_shell/0/timing");
    check(
        &sender.put(&world, &timing, &[], "0.1 1\n").await,
        201,
        "",
        "",
    );
    assert_eq!(
        world.ask(&format!("changed_since={after}")).await.lsids(),
        ["a"]
    );
    assert_eq!(links_of(&world, "a").await, expected(&[&SESSION]));
}

/// A document of a live appliance, shortened.
const FIXTURE: &str = include_str!("../../../report/tests/fixtures/session_list.xml");
const FIXTURE_LSID: &str = "e9e99aeb9ad54fb381634498502c5a1b";

#[tokio::test]
async fn an_imported_session_shows_what_was_handed_in_and_is_otherwise_what_it_was() {
    let world = World::new().await;
    world.import(FIXTURE);
    let sender = Sender::new(&world, "tool").await;
    let before = world
        .ask(&format!("lsid={FIXTURE_LSID}"))
        .await
        .text()
        .to_owned();
    let since = cursor(&world).await;
    let path = |rest: &str| format!("/api/v1/sessions/{FIXTURE_LSID}/recordings/{rest}");
    for rest in [
        "command_shell/7",
        "session/0",
        "command_shell/2",
        "show_my_screen/1",
    ] {
        check(
            &sender.put(&world, &path(rest), &[], rest.to_owned()).await,
            201,
            "",
            "",
        );
    }
    // Whoever follows and comes before the seal comes again after it.
    let early = world.ask(&format!("changed_since={since}")).await;
    assert_eq!(early.lsids(), [FIXTURE_LSID]);
    sweep(&world.app).await.unwrap();
    let next = early.header("debrief-next").to_owned();
    let late = world.ask(&format!("changed_since={next}")).await;
    assert_eq!(late.lsids(), [FIXTURE_LSID]);
    let next = late.header("debrief-next").to_owned();
    let nothing = world.ask(&format!("changed_since={next}")).await;
    assert_eq!(nothing.lsids(), [""; 0]);
    let lists: [&[&str]; 3] = [
        &SESSION,
        &["show_my_screen_recordings", "show_my_screen_recording1"],
        &[
            "command_shell_recordings",
            "command_shell_recording2",
            "command_shell_recording7",
        ],
    ];
    assert_eq!(links_of(&world, FIXTURE_LSID).await, expected(&lists));
    let after = world
        .ask(&format!("lsid={FIXTURE_LSID}"))
        .await
        .text()
        .to_owned();
    // Without what is about recordings it is the document that was imported.
    let without = |text: &str| {
        let begin = text.find("<session_recording_view_url>");
        let end = text.find("<file_transfer_count>").unwrap();
        let begin = begin.unwrap_or(end);
        format!("{}{}", &text[..begin], &text[end..])
    };
    assert!(!before.contains("recording_"));
    assert_eq!(without(&after), before);
    // A newer version of the document lacks the links again, until it is sealed.
    let newer = FIXTURE.replace(
        "<external_key></external_key>",
        "<external_key>T</external_key>",
    );
    world.import(&newer);
    sweep(&world.app).await.unwrap();
    assert_eq!(links_of(&world, FIXTURE_LSID).await, expected(&lists));
    let key = world.ask(&format!("lsid={FIXTURE_LSID}")).await;
    assert_eq!(only(key.text(), "external_key"), "T");
    // Who may not see recordings is shown none.
    let reader = Sender::with(&world, "reports", "reporting", &[]).await;
    let denied = world
        .ask_as(&reader.token, &format!("lsid={FIXTURE_LSID}"))
        .await;
    assert_eq!(denied.lsids(), [FIXTURE_LSID]);
    for hidden in [
        "recording_view_url",
        "recordings",
        "m%3Dsession",
        "m%3Dcommand_shell",
    ] {
        assert!(!denied.text().contains(hidden), "{hidden}");
    }
    assert_eq!(all(denied.text(), "session_chat_view_url").len(), 1);
}

// ---- Ranges ----

/// Asks for the file with these headers.
async fn look(world: &World, method: Method, headers: &[(&str, &str)]) -> Reply {
    let mut request = as_reader(Request::builder().method(method).uri(PATH));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_file_is_given_whole_or_a_range_of_it() {
    let world = World::new().await;
    let sender = begin(&world).await;
    sender.put(&world, PATH, &[], BYTES).await;
    let tag = format!("\"{}\"", sha256(BYTES));
    for (headers, status, range, body) in [
        (&[][..], 200, "", "sixteen letters."),
        (&[("range", "bytes=0-0")], 206, "bytes 0-0/16", "s"),
        (&[("range", "bytes=15-")], 206, "bytes 15-15/16", "."),
        (&[("range", "bytes=-3")], 206, "bytes 13-15/16", "rs."),
        (
            &[("range", "bytes=-99")],
            206,
            "bytes 0-15/16",
            "sixteen letters.",
        ),
        (&[("range", "bytes=8-99")], 206, "bytes 8-15/16", "letters."),
        (&[("range", "bytes=16-")], 416, "bytes */16", ""),
        (&[("range", "bytes=-0")], 416, "bytes */16", ""),
        (&[("range", "bytes=1-2,4-5")], 200, "", "sixteen letters."),
        (&[("range", "bytes=2-1")], 200, "", "sixteen letters."),
        (
            &[("range", "bytes=0-2"), ("if-range", &tag)],
            206,
            "bytes 0-2/16",
            "six",
        ),
        (
            &[("range", "bytes=0-2"), ("if-range", "\"x\"")],
            200,
            "",
            "sixteen letters.",
        ),
        (
            &[
                ("range", "bytes=0-2"),
                ("if-range", "Tue, 15 Nov 2016 12:00:00 GMT"),
            ],
            200,
            "",
            "sixteen letters.",
        ),
        (&[("if-none-match", &tag)], 304, "", ""),
        (
            &[("if-none-match", "*"), ("range", "bytes=0-2")],
            304,
            "",
            "",
        ),
        (&[("if-none-match", "\"x\"")], 200, "", "sixteen letters."),
    ] {
        let reply = look(&world, Method::GET, headers).await;
        assert_eq!(reply.status, status, "{headers:?}");
        assert_eq!(reply.header("content-range"), range, "{headers:?}");
        assert_eq!(reply.text(), body, "{headers:?}");
        let head = look(&world, Method::HEAD, headers).await;
        assert_eq!((head.status, head.body.len()), (status, 0), "{headers:?}");
        assert_eq!(head.header("content-range"), range);
        if status == 416 {
            continue;
        }
        if status != 304 {
            assert_eq!(reply.header("content-length"), body.len().to_string());
            assert_eq!(head.header("content-length"), body.len().to_string());
        }
        for (name, value) in [
            ("content-type", "application/octet-stream"),
            ("etag", &tag),
            ("accept-ranges", "bytes"),
            (
                "content-disposition",
                "attachment; filename=\"a-session-0.bin\"",
            ),
            ("cache-control", "private, no-cache"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; sandbox"),
        ] {
            assert_eq!(reply.header(name), value);
        }
    }
}

#[tokio::test]
async fn an_empty_recording_is_a_recording() {
    let world = World::new().await;
    let sender = begin(&world).await;
    check(
        &sender
            .put(&world, PATH, &[("content-length", "0")], "")
            .await,
        201,
        "",
        "",
    );
    let reply = look(&world, Method::GET, &[]).await;
    assert_eq!((reply.status, reply.header("content-length")), (200, "0"));
    let reply = look(&world, Method::GET, &[("range", "bytes=0-")]).await;
    assert_eq!(
        (reply.status, reply.header("content-range")),
        (416, "bytes */0")
    );
    check_kept(&world, b"").await;
}

#[tokio::test]
async fn a_thousand_seeks_give_the_bytes_that_are_there() {
    let mut dice = fastrand::Rng::with_seed(seed());
    // More than the store is asked for in one request, and no multiple of it.
    let bytes: Vec<u8> = (0..5_000_011).map(|_| dice.u8(..)).collect();
    let world = World::new().await;
    let sender = begin(&world).await;
    check(
        &sender.put(&world, PATH, &[], bytes.clone()).await,
        201,
        "",
        "",
    );
    check_kept(&world, &bytes).await;
    let edges = [
        0,
        1,
        (2 << 20) - 1,
        2 << 20,
        (2 << 20) + 1,
        (4 << 20) - 1,
        bytes.len() - 1,
    ];
    for n in 0..1_000 {
        let mut place = || match dice.u8(0..3) {
            0 => edges[dice.usize(..edges.len())],
            _ => dice.usize(..bytes.len()),
        };
        let (one, other) = (place(), place());
        // Few of them are long, or it would take its time.
        let first = one.min(other);
        let last = if n % 50 == 0 {
            one.max(other)
        } else {
            (first + dice.usize(..5_000)).min(bytes.len() - 1)
        };
        let reply = look(
            &world,
            Method::GET,
            &[("range", &format!("bytes={first}-{last}"))],
        )
        .await;
        assert_eq!(reply.status, 206);
        let told = format!("bytes {first}-{last}/{}", bytes.len());
        assert_eq!(reply.header("content-range"), told);
        assert!(reply.body == bytes[first..=last], "{first}-{last}");
    }
}

// ---- The access log ----

#[tokio::test]
async fn every_look_leaves_a_trace_and_seeking_leaves_no_more() {
    let world = World::new().await;
    let sender = begin(&world).await;
    sender.put(&world, PATH, &[], BYTES).await;
    let looks = async || {
        let entries = world.accesses().await;
        let looks = entries
            .into_iter()
            .filter(|entry| entry.action == "recording");
        let looks: Vec<_> = looks.map(|entry| (entry.who, entry.detail)).collect();
        assert!(
            looks
                .iter()
                .all(|look| *look == ("reader".into(), "a/session/0".into()))
        );
        looks.len()
    };
    assert_eq!(look(&world, Method::GET, &[]).await.status, 200);
    assert_eq!(looks().await, 1);
    for n in 1..16 {
        look(&world, Method::GET, &[("range", &format!("bytes={n}-"))]).await;
    }
    assert_eq!(looks().await, 1);
    look(&world, Method::GET, &[("range", "bytes=0-")]).await;
    assert_eq!(looks().await, 2, "it is played again");
    // One who leaves out the first byte is noted all the same.
    world.clock.set(at(NOW + 3_600));
    look(&world, Method::GET, &[("range", "bytes=1-")]).await;
    look(&world, Method::GET, &[("range", "bytes=2-")]).await;
    assert_eq!(looks().await, 3);
    let entries = world.accesses().await;
    let kept = entries
        .iter()
        .find(|entry| entry.action == "recording kept");
    assert_eq!(kept.unwrap().who, "tool");
}

// ---- The file as a report ----

#[tokio::test]
async fn the_reports_that_are_recordings_give_the_file_to_those_who_may_and_leave_a_trace() {
    let world = World::new().await;
    let sender = begin(&world).await;
    let shell = path("command_shell/2");
    for path in [PATH, &shell] {
        check(&sender.put(&world, path, &[], BYTES).await, 201, "", "");
    }
    let ask = async |token: &str, query: &str, range: Option<&str>| {
        let mut request = Request::get(format!("/api/reporting?generate_report={query}"));
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        world.send(request.body(Body::empty()).unwrap()).await
    };
    let all = "reporting,recordings";
    let watcher = Sender::with(&world, "watcher", all, &[]).await.token;
    let reader = Sender::with(&world, "reports", "reporting", &[])
        .await
        .token;
    let nobody = Sender::with(&world, "nobody", "ingest,admin", &[])
        .await
        .token;
    let networks = ["198.51.100.0/24"];
    let elsewhere = Sender::with(&world, "elsewhere", all, &networks)
        .await
        .token;
    let session = "SupportSessionRecording&lsid=a";
    let shell = "CommandShellRecording&lsid=a&instance=2";
    for query in [session, shell] {
        assert_eq!(ask("", query, None).await.status, 401);
        for token in [&reader, &nobody, &elsewhere] {
            assert_eq!(ask(token, query, None).await.status, 403, "{query}");
        }
        // Not from its first byte on: this is a look as well.
        let reply = ask(&watcher, query, Some("bytes=1-")).await;
        assert_eq!((reply.status, &reply.body[..]), (206, &BYTES[1..]));
        let reply = ask(&watcher, query, None).await;
        assert_eq!((reply.status, &reply.body[..]), (200, BYTES));
    }
    for missing in [
        "SupportSessionRecording&lsid=b",
        "ShowMyScreenRecording&lsid=a&instance=0",
        "CommandShellRecording&lsid=a",
    ] {
        let reply = ask(&watcher, missing, None).await;
        assert_eq!(reply.status, 200, "{missing}");
        assert!(!reply.error().is_empty(), "{missing}");
    }
    let seen = world.accesses().await.into_iter();
    let seen: Vec<String> = seen
        .filter(|entry| entry.who == "watcher" && entry.action == "recording")
        .map(|entry| entry.detail)
        .collect();
    let (first, second) = ("a/session/0", "a/command_shell/2");
    assert_eq!(seen, [first, first, second, second]);
}
