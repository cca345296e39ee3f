//! The object store in trouble, one that speaks S3, and what the real process makes of uploads.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use axum::http::{Method, header};
use debrief::sweep::{sweep, sweep_files};
use debrief_store::Objects;
use debrief_store::faulty::{Switch, Trouble};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::recordings::{BYTES, PATH, age_of_files, begin, check_kept, objects, path, staged};
use crate::sender::{Sender, ndjson, read, session};
use crate::world::{Run, Server, World, command, eventually, finish, only, run};

/// A world whose objects, in a directory of their own, can be put in trouble.
async fn troubled(keys: &[(&str, &str)]) -> (World, Sender, Switch) {
    let world = World::with(keys).await;
    let (objects, switch) = Objects::troubled(&world.data().join("recordings")).unwrap();
    let world = world.keeping_in(&objects).await;
    let sender = begin(&world).await;
    (world, sender, switch)
}

async fn check_refused_and_finished_later(trouble: Trouble) {
    let (world, sender, switch) = troubled(&[]).await;
    switch.set(trouble);
    let length = [("content-length", "16")];
    let unknown = axum::body::Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>(
        axum::body::Bytes::from(BYTES),
    )]));
    let whole = sender.put(&world, PATH, &length, BYTES).await;
    assert_eq!(whole.status, 503, "{trouble:?}: {}", whole.text());
    assert_eq!(whole.json()["error"], "unavailable");
    assert!(whole.text().contains("bytes */TOTAL"), "{}", whole.text());
    assert!(!whole.header("retry-after").is_empty());
    let other = path("show_my_screen/0");
    assert_eq!(sender.put(&world, &other, &[], unknown).await.status, 503);
    // It has arrived, and everything else goes on.
    assert_eq!(staged(&world).len(), 2);
    assert_eq!(sender.ask(&world, 16).await.status, 503);
    assert_eq!(staged(&world).len(), 2);
    assert_eq!(read(&world, PATH).await.status, 404);
    let report = world.ask("lsid=a").await;
    assert_eq!(report.lsids(), ["a"]);
    assert!(!report.text().contains("recording"));
    switch.set(Trouble::None);
    assert_eq!(sender.ask(&world, 16).await.status, 201);
    let question = [("content-range", "bytes */16")];
    assert_eq!(sender.put(&world, &other, &question, "").await.status, 201);
    assert_eq!(read(&world, PATH).await.body, BYTES);
    assert_eq!(read(&world, &other).await.body, BYTES);
    assert_eq!(staged(&world), [""; 0]);
}

#[tokio::test]
async fn what_the_object_store_does_not_take_waits_for_it() {
    check_refused_and_finished_later(Trouble::Down).await;
    check_refused_and_finished_later(Trouble::Full).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_object_store_is_given_up_and_what_arrived_waits_for_it() {
    check_refused_and_finished_later(Trouble::Silent).await;
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_cannot_be_read_is_told_and_the_report_still_answers() {
    let (world, sender, switch) = troubled(&[]).await;
    assert_eq!(sender.put(&world, PATH, &[], BYTES).await.status, 201);
    let shell = path("command_shell/0");
    let cast = include_bytes!("../fixtures/meshcentral/t.cast");
    assert_eq!(sender.put(&world, &shell, &[], &cast[..]).await.status, 201);
    let open = async |address: &str| {
        let address = &address[address.find("/session_download").unwrap()..];
        let request = axum::http::Request::get(address).body(axum::body::Body::empty());
        world.send(request.unwrap()).await
    };
    for (trouble, of_file, of_link, sentence) in [
        (
            Trouble::Losing,
            500,
            404,
            "its file is missing from the object store",
        ),
        (Trouble::Short, 503, 503, "cannot answer now"),
        (Trouble::Down, 503, 503, "cannot answer now"),
        (Trouble::Silent, 503, 503, "cannot answer now"),
    ] {
        switch.set(trouble);
        for name in [PATH, &shell] {
            let file = read(&world, name).await;
            assert_eq!(file.status, of_file, "{trouble:?}: {}", file.text());
            let object = &objects(&world)[0];
            assert!(!file.text().contains(object.as_str()), "{}", file.text());
        }
        let report = world.ask("lsid=a").await;
        let video = only(report.text(), "session_recording_download_url");
        let cast = only(report.text(), "download_url") + "&form=cast";
        for address in [&video, &cast] {
            let page = open(address).await;
            assert_eq!(page.status, of_link, "{trouble:?} {address}");
            assert!(page.text().contains(sentence), "{}", page.text());
            assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        }
        // What the archive knows without the store it still says.
        let list = read(&world, "/api/v1/sessions/a/recordings").await.json();
        assert_eq!(list["recordings"].as_array().unwrap().len(), 2);
        assert_eq!(sender.put(&world, PATH, &[], BYTES).await.status, 200);
        assert_eq!(
            sweep_files(&world.app).await.is_err(),
            of_file == 503 && trouble != Trouble::Short
        );
        sweep(&world.app).await.unwrap();
    }
    switch.set(Trouble::None);
    assert_eq!(read(&world, PATH).await.body, BYTES);
}

#[tokio::test]
async fn orphans_are_swept_when_they_are_old_and_objects_of_rows_never() {
    let (world, sender, _) = troubled(&[]).await;
    assert_eq!(sender.put(&world, PATH, &[], BYTES).await.status, 201);
    let kept = objects(&world);
    for name in ["stray", "stray.part", "probe-x"] {
        fs::write(world.data().join("recordings").join(name), "?").unwrap();
    }
    let day = 24 * 3_600;
    world.clock.set(age_of_files(&world, day - 60));
    sweep_files(&world.app).await.unwrap();
    assert_eq!(objects(&world).len(), 4);
    world.clock.set(age_of_files(&world, day + 60));
    sweep_files(&world.app).await.unwrap();
    assert_eq!(objects(&world), kept);
    world.clock.set(age_of_files(&world, 10_000 * day));
    sweep_files(&world.app).await.unwrap();
    check_kept(&world, BYTES).await;
}

// ---- Verify ----

fn verify(data: &Path, environment: &[(String, String)]) -> Run {
    let mut command = command(data, &["verify"]);
    command.envs(environment.iter().cloned());
    finish(command, b"")
}

#[tokio::test]
async fn verify_names_what_is_lost_shortened_or_altered() {
    let world = World::new().await;
    let sender = begin(&world).await;
    for name in [
        "session/0",
        "show_my_screen/0",
        "show_my_screen/1",
        "command_shell/0",
    ] {
        assert_eq!(
            sender.put(&world, &path(name), &[], BYTES).await.status,
            201
        );
    }
    sweep(&world.app).await.unwrap();
    let whole = verify(world.data(), &[]);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let told = "1 sessions, 1 of them sealed; 4 files of recordings; 0 faults\n";
    assert_eq!(whole.stdout, told);
    let rows = world.store.recordings_after(None, 9).await.unwrap();
    let file = |idx: usize| world.data().join("recordings").join(&rows[idx].object);
    fs::remove_file(file(0)).unwrap();
    fs::write(file(1), &BYTES[1..]).unwrap();
    fs::write(file(2), b"sixteen letters,").unwrap();
    let damaged = verify(world.data(), &[]);
    assert_eq!(damaged.code, 1);
    assert!(
        damaged
            .stdout
            .ends_with("4 files of recordings; 3 faults\n"),
        "{}",
        damaged.stdout
    );
    for (idx, name, fault) in [
        (0, "a/session/0", "has no object"),
        (1, "a/show_my_screen/0", "15 bytes and should have 16"),
        (
            2,
            "a/show_my_screen/1",
            "its bytes are not those that were kept",
        ),
    ] {
        let object = &rows[idx].object;
        let begin = format!("recording `{name}`, object `{object}`: ");
        let line = damaged
            .stderr
            .lines()
            .find(|line| line.contains(&begin))
            .unwrap();
        assert!(line.contains(fault), "{line}");
    }
    assert!(
        !damaged.stderr.contains("command_shell"),
        "{}",
        damaged.stderr
    );
}

// ---- S3 ----

/// An S3 server over a directory, whose only bucket is `bucket`.
struct S3 {
    directory: TempDir,
    environment: Vec<(String, String)>,
}

impl S3 {
    async fn start() -> S3 {
        let directory = tempdir().unwrap();
        fs::create_dir(directory.path().join("bucket")).unwrap();
        let files = s3s_fs::FileSystem::new(directory.path()).unwrap();
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single("id", "secret"));
        let service = service.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let service = service.clone();
                tokio::spawn(async move {
                    // A client that goes away is its own affair.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        let environment = [
            (
                "DEBRIEF_RECORDINGS_URL",
                "s3://bucket/some/prefix".to_owned(),
            ),
            ("AWS_ENDPOINT", format!("http://{address}")),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", "id".into()),
            ("AWS_SECRET_ACCESS_KEY", "secret".into()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        S3 {
            directory,
            environment: environment.into(),
        }
    }

    async fn world(&self) -> World {
        let keys: Vec<(&str, &str)> = self
            .environment
            .iter()
            .map(|(name, value)| match name.strip_prefix("DEBRIEF_") {
                Some(_) => ("recordings_url", value.as_str()),
                None => (name.as_str(), value.as_str()),
            })
            .collect();
        World::with(&keys).await
    }

    /// Names of objects below the prefix.
    fn objects(&self) -> Vec<String> {
        let prefix = self.directory.path().join("bucket/some/prefix");
        let entries = fs::read_dir(prefix).into_iter().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recordings_are_kept_in_an_s3_server() {
    let s3 = S3::start().await;
    let world = s3.world().await;
    let objects = &world.app.files().objects;
    // Whatever it makes of a conditional PUT, nothing relies on it.
    objects.probe("x").await.unwrap();
    assert_eq!(s3.objects(), [""; 0]);

    // Three parts of 16 MiB, and something in a fourth.
    let sender = begin(&world).await;
    let mut dice = fastrand::Rng::with_seed(1);
    let block: Vec<u8> = (0..1 << 20).map(|_| dice.u8(..)).collect();
    let mut bytes: Vec<u8> = Vec::new();
    for n in 0..48_u8 {
        bytes.push(n);
        bytes.extend_from_slice(&block);
    }
    let kept = sender.put(&world, PATH, &[], bytes.clone()).await;
    assert_eq!(kept.status, 201, "{}", kept.text());
    assert_eq!(crate::recordings::objects(&world), [""; 0]);
    check_kept(&world, &bytes).await;
    for (range, expected) in [
        ("bytes=0-9", &bytes[..10]),
        ("bytes=-9", &bytes[bytes.len() - 9..]),
        (
            "bytes=16777215-16777217",
            &bytes[(16 << 20) - 1..=(16 << 20) + 1],
        ),
    ] {
        let request = crate::world::as_reader(axum::http::Request::get(PATH));
        let request = request.header(header::RANGE, range).method(Method::GET);
        let reply = world
            .send(request.body(axum::body::Body::empty()).unwrap())
            .await;
        assert_eq!((reply.status, &reply.body[..]), (206, expected), "{range}");
    }
    // One without a byte is an object too.
    let empty = path("show_my_screen/0");
    let reply = sender
        .put(&world, &empty, &[("content-length", "0")], "")
        .await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(read(&world, &empty).await.status, 200);

    // Orphans, and what is not below the prefix.
    let rows = world.store.recordings_after(None, 9).await.unwrap();
    let bucket = s3.directory.path().join("bucket");
    fs::write(bucket.join("some/prefix/stray"), "?").unwrap();
    fs::write(bucket.join("some/foreign"), "?").unwrap();
    world.clock.set(age_of_files(&world, 24 * 3_600 - 600));
    sweep_files(&world.app).await.unwrap();
    assert!(s3.objects().contains(&"stray".to_owned()));
    world.clock.set(age_of_files(&world, 24 * 3_600 + 600));
    sweep_files(&world.app).await.unwrap();
    let mut named: Vec<_> = rows.iter().map(|row| row.object.clone()).collect();
    named.sort();
    assert_eq!(s3.objects(), named);
    assert!(bucket.join("some/foreign").exists());
    objects.delete("nowhere").await.unwrap();

    // The command line reads the same store.
    sweep(&world.app).await.unwrap();
    let (data, environment) = (world.data().to_owned(), s3.environment.clone());
    let verified = tokio::task::spawn_blocking(move || verify(&data, &environment));
    let verified = verified.await.unwrap();
    assert_eq!(verified.code, 0, "{}", verified.stderr);
    fs::remove_file(bucket.join("some/prefix").join(&rows[0].object)).unwrap();
    let (data, environment) = (world.data().to_owned(), s3.environment.clone());
    let verified = tokio::task::spawn_blocking(move || verify(&data, &environment));
    let verified = verified.await.unwrap();
    assert_eq!(verified.code, 1);
    assert!(
        verified.stderr.contains("has no object"),
        "{}",
        verified.stderr
    );
    assert_eq!(read(&world, PATH).await.status, 500);
}

// ---- The real process ----

const FREE: [(&str, &str); 2] = [("requests_per_second", "0"), ("requests_per_hour", "0")];

/// A server with the session `a`, which has ended, and a token for everything.
fn serving(data: &Path) -> (Server, String) {
    let server = Server::start_with(data, &FREE);
    let token = server.token();
    let sent = ureq::post(format!("http://{}/api/v1/events", server.address))
        .header("Authorization", format!("Bearer {token}"))
        .header("Content-Type", "application/x-ndjson")
        .send(ndjson(&session("a", 1)))
        .unwrap();
    assert_eq!(sent.status(), 200);
    (server, token)
}

/// A connection on which the head of an upload has been sent.
fn upload(server: &Server, token: &str, range: &str, length: u64) -> TcpStream {
    let mut socket = TcpStream::connect(&server.address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let head = format!(
        "PUT {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Range: bytes {range}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket
}

/// The status and the JSON of an answer.
fn answer(mut socket: TcpStream) -> (u16, Value) {
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    (status, serde_json::from_str(body).unwrap())
}

fn ask(server: &Server, token: &str, total: u64) -> (u16, Value) {
    answer(upload(server, token, &format!("*/{total}"), 0))
}

/// Waits until so many bytes of the upload are there.
fn arrived(data: &Path, n_bytes: u64) {
    eventually("the bytes arrive", || {
        let files = fs::read_dir(data.join("uploads")).unwrap();
        let mut sizes = files.map(|file| file.unwrap().metadata().unwrap().len());
        sizes.any(|size| size == n_bytes)
    });
}

#[test]
fn a_sender_that_hangs_up_and_a_server_that_is_killed_lose_nothing_that_arrived() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let (server, token) = serving(data);
    // The connection breaks.
    let mut socket = upload(&server, &token, "0-15/16", 16);
    socket.write_all(&BYTES[..5]).unwrap();
    arrived(data, 5);
    drop(socket);
    eventually("the request is over", || ask(&server, &token, 16).0 != 409);
    assert_eq!(
        ask(&server, &token, 16),
        (202, json!({ "received": 5, "total": 16 }))
    );
    // The server dies.
    let mut socket = upload(&server, &token, "5-15/16", 11);
    socket.write_all(&BYTES[5..9]).unwrap();
    arrived(data, 9);
    server.kill();
    let server = Server::start_with(data, &FREE);
    assert_eq!(
        ask(&server, &token, 16),
        (202, json!({ "received": 9, "total": 16 }))
    );
    let mut socket = upload(&server, &token, "9-15/16", 7);
    socket.write_all(&BYTES[9..]).unwrap();
    assert_eq!(answer(socket).0, 201);
    let mut kept = ureq::get(format!("http://{}{PATH}", server.address))
        .header("Authorization", format!("Bearer {token}"))
        .call()
        .unwrap();
    assert_eq!(kept.body_mut().read_to_vec().unwrap(), BYTES);
    drop(server);
    assert_eq!(run(data, &["verify"]).code, 0);
}

/// What a server may need beyond what it needed at rest.
const GROWTH_KIB_MAX: u64 = 32 << 10;
const LARGE_BYTES: u64 = 512 << 20;

#[test]
fn memory_stays_flat_under_a_large_recording() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let (server, token) = serving(data);
    let before = server.anonymous_kib();
    let mut most = before;
    let block: Vec<u8> = (0..1_u32 << 20).map(|n| (n % 251) as u8).collect();
    let last = LARGE_BYTES - 1;
    let mut socket = upload(
        &server,
        &token,
        &format!("0-{last}/{LARGE_BYTES}"),
        LARGE_BYTES,
    );
    for _ in 0..LARGE_BYTES >> 20 {
        socket.write_all(&block).unwrap();
        most = most.max(server.anonymous_kib());
    }
    let done = std::thread::scope(|scope| {
        let done = scope.spawn(|| answer(socket));
        while !done.is_finished() {
            most = most.max(server.anonymous_kib());
            std::thread::sleep(Duration::from_millis(5));
        }
        done.join().unwrap()
    });
    assert_eq!((done.0, &done.1["bytes"]), (201, &json!(LARGE_BYTES)));
    let mut whole = ureq::get(format!("http://{}{PATH}", server.address))
        .header("Authorization", format!("Bearer {token}"))
        .call()
        .unwrap();
    let mut reader = whole.body_mut().with_config().limit(u64::MAX).reader();
    let (mut n_bytes, mut found) = (0, vec![0; 1 << 20]);
    while n_bytes < LARGE_BYTES {
        reader.read_exact(&mut found).unwrap();
        assert!(found == block, "behind {n_bytes}");
        n_bytes += found.len() as u64;
        most = most.max(server.anonymous_kib());
    }
    assert!(
        most < before + GROWTH_KIB_MAX,
        "from {before} to {most} KiB"
    );
}
