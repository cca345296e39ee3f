//! `debrief report --recordings`: the real binary against a real server, against the archive, and
//! against servers that mean no good.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tempfile::{TempDir, tempdir};

use crate::sender::{ndjson, session};
use crate::world::{NAMESPACE, Run, Server, command, eventually, finish, lsids, run};

const WEBM: &[u8] = include_bytes!("../fixtures/meshcentral/desk.webm");
const TYPESCRIPT: &[u8] = include_bytes!("../fixtures/guacamole/sess1.typescript");
const TIMING: &[u8] = include_bytes!("../fixtures/guacamole/sess1.typescript.timing");
const ALL: [&str; 4] = ["--start-time", "0", "--duration", "0"];

/// A server with two sessions, of which `a` has a recording of each kind.
struct Kept {
    data: TempDir,
    server: Server,
    secret: PathBuf,
}

impl Kept {
    fn new() -> Kept {
        let data = tempdir().unwrap();
        let server = Server::start(data.path());
        let login = server.admin();
        let secret = data.path().join("secret");
        fs::write(&secret, &login.secret).unwrap();
        fs::write(data.path().join("id"), &login.id).unwrap();
        let kept = Kept {
            data,
            server,
            secret,
        };
        let token = kept.server.token();
        let events = [session("a", 2), session("b", 1)].concat();
        ureq::post(format!("http://{}/api/v1/events", kept.server.address))
            .header("Authorization", format!("Bearer {token}"))
            .send(ndjson(&events))
            .unwrap();
        kept.upload(&token, "a/recordings/session/0", WEBM);
        kept.upload(&token, "a/recordings/show_my_screen/0", &large());
        kept.upload(&token, "a/recordings/command_shell/2", TYPESCRIPT);
        kept.upload(&token, "a/recordings/command_shell/2/timing", TIMING);
        kept
    }

    fn upload(&self, token: &str, path: &str, bytes: &[u8]) {
        let url = format!("http://{}/api/v1/sessions/{path}", self.server.address);
        let request = ureq::put(url).header("Authorization", format!("Bearer {token}"));
        request.send(bytes).unwrap();
    }

    fn download(&self, dir: &Path, more: &[&str]) -> Run {
        client(&server_args(&self.server.address, &self.secret, dir, more))
    }
}

/// A file that is no known form, and larger than what a socket holds.
fn large() -> Vec<u8> {
    (0..24_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

fn server_args(address: &str, secret: &Path, dir: &Path, more: &[&str]) -> Vec<String> {
    let url = format!("http://{address}");
    let id = fs::read_to_string(secret.with_file_name("id")).unwrap_or("admin-id".into());
    let own = [
        "report",
        "--server",
        &url,
        "--client-id",
        &id,
        "--client-secret-file",
        secret.to_str().unwrap(),
        "--recordings",
        dir.to_str().unwrap(),
    ];
    let all = own.iter().chain(&ALL).chain(more);
    all.map(ToString::to_string).collect()
}

fn client(args: &[String]) -> Run {
    let elsewhere = tempdir().unwrap();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run(elsewhere.path(), &args)
}

/// The files of a directory but for what is kept about them.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for session in fs::read_dir(dir).unwrap() {
        let session = session.unwrap().path();
        if !session.is_dir() {
            continue;
        }
        for file in fs::read_dir(&session).unwrap() {
            let file = file.unwrap().path();
            let name = file.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            if !name.contains("/.") {
                found.insert(name, fs::read(file).unwrap());
            }
        }
    }
    found
}

#[track_caller]
fn check_files(dir: &Path) {
    let mut files = files(dir);
    let chat = String::from_utf8(files.remove("a/chat.txt").unwrap()).unwrap();
    assert!(chat.contains("a-0") && chat.contains("a-1"), "{chat}");
    assert!(files.remove("b/chat.txt").is_some());
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected = [
        "a/command_shell-2.timing",
        "a/command_shell-2.typescript",
        "a/session.webm",
        "a/show_my_screen-0.bin",
    ];
    assert_eq!(names, expected);
    let large = large();
    for (file, bytes) in files.values().zip([TIMING, TYPESCRIPT, WEBM, &large]) {
        assert!(file == bytes);
    }
}

#[test]
fn everything_behind_the_links_comes_once_from_a_server_and_from_the_archive() {
    let kept = Kept::new();
    let dir = tempdir().unwrap();
    let first = kept.download(dir.path(), &[]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(lsids(&first.stdout), ["a", "b"]);
    let n_bytes: usize = files(dir.path()).values().map(Vec::len).sum();
    let told =
        format!("2 sessions: 6 files downloaded ({n_bytes} bytes), 0 there already, 0 missing\n");
    assert_eq!(first.stderr, told);
    check_files(dir.path());
    // Again, and in another format: nothing comes twice.
    let output = dir.path().join("report.csv");
    let more = ["--format", "csv", "-o", output.to_str().unwrap(), "--json"];
    let again = kept.download(dir.path(), &more);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let told: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    let nothing = serde_json::json!({
        "sessions": 2, "files": 0, "bytes": 0, "skipped": 6, "missing": 0,
    });
    assert_eq!(told, nothing);
    assert_eq!(fs::read_to_string(output).unwrap().lines().count(), 3);
    // The archive itself knows the same files, and fills an empty directory with them.
    let empty = tempdir().unwrap();
    for (dir, skipped) in [(dir.path(), 6), (empty.path(), 0)] {
        let dir = dir.to_str().unwrap();
        let args = [&["report", "--recordings", dir], &ALL[..]].concat();
        let local = run(kept.data.path(), &args);
        assert_eq!(local.code, 0, "{}", local.stderr);
        let told = format!("{skipped} there already, 0 missing\n");
        assert!(local.stderr.ends_with(&told), "{}", local.stderr);
        check_files(Path::new(dir));
    }
}

#[test]
fn a_killed_download_goes_on_where_it_stopped() {
    let kept = Kept::new();
    let dir = tempdir().unwrap();
    let elsewhere = tempdir().unwrap();
    let address = stalling_relay(&kept.server.address, 3_000_000);
    let args = server_args(&address, &kept.secret, dir.path(), &[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut child = command(elsewhere.path(), &args);
    let child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.unwrap();
    let partial = dir.path().join("a/show_my_screen-0.partial");
    let received = || fs::metadata(&partial).map_or(0, |partial| partial.len());
    eventually("a part has come", || 1_000_000 < received());
    // Meanwhile nobody else may write there.
    let second = kept.download(dir.path(), &[]);
    assert_eq!(second.code, 1);
    let told = "another debrief is writing into";
    assert!(second.stderr.contains(told), "{}", second.stderr);
    child.kill().unwrap();
    child.wait().unwrap();
    let (before, whole) = (received(), large().len() as u64);
    let again = kept.download(dir.path(), &[]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let rest = whole - before
        + (TYPESCRIPT.len() + TIMING.len()) as u64
        + fs::metadata(dir.path().join("b/chat.txt")).unwrap().len();
    let told = format!("({rest} bytes), 2 there already, 0 missing\n");
    assert!(again.stderr.ends_with(&told), "{told} in {}", again.stderr);
    check_files(dir.path());
}

/// The address of something that hands on what a server says until that is so many bytes, and then
/// holds its breath.
fn stalling_relay(server: &str, mut bytes_max: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = server.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            let (mut asks, mut hears) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut asks, &mut hears));
            let mut block = [0; 4_096];
            loop {
                let n = server.read(&mut block).unwrap_or(0).min(bytes_max);
                bytes_max -= n;
                if bytes_max == 0 {
                    // The connection stays open until the client goes.
                    let _ = client.set_read_timeout(None);
                    let _ = client.peek(&mut [0]);
                }
                if n == 0 || client.write_all(&block[..n]).is_err() {
                    break;
                }
            }
        }
    });
    address
}

#[test]
fn a_lost_recording_is_named_and_everything_else_comes() {
    let kept = Kept::new();
    let objects = fs::read_dir(kept.data.path().join("recordings")).unwrap();
    let lost = objects.map(|object| object.unwrap().path());
    let lost = lost.filter(|path| fs::read(path).is_ok_and(|bytes| bytes == WEBM));
    lost.for_each(|path| fs::remove_file(path).unwrap());
    let from_server = tempdir().unwrap();
    let from_archive = tempdir().unwrap();
    let there = kept.download(from_server.path(), &[]);
    let dir = from_archive.path().to_str().unwrap();
    let args = [&["report", "--recordings", dir], &ALL[..]].concat();
    let here = run(kept.data.path(), &args);
    for (run, dir, why) in [
        (
            there,
            &from_server,
            "the server does not have it (404 Not Found)",
        ),
        (here, &from_archive, "the object store has no object"),
    ] {
        assert_eq!(run.code, 1);
        let told = format!("1 files are missing:\n  session `a`, session 0: {why}");
        assert!(run.stderr.contains(&told), "{}", run.stderr);
        assert_eq!(files(dir.path()).len(), 5);
        assert!(!dir.path().join("a/session.webm").exists());
    }
}

#[test]
fn a_report_without_links_is_wrong_usage() {
    let directory = tempdir().unwrap();
    let dir = directory.path().join("dir");
    let args = ["--report", "SupportSessionListing", "--recordings"];
    let args = [&["report"], &args[..], &[dir.to_str().unwrap()], &ALL[..]].concat();
    let run = run(directory.path(), &args);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("only the report SupportSession"));
    assert!(!dir.exists());
}

// ---- Servers that mean no good ----

/// What a made-up server was asked: the request line, and its headers in lower case.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A server on the loopback that answers what `answer` writes. Every answer ends its connection.
fn pretend(answer: impl Fn(&str, &str, usize, &mut TcpStream) + Send + 'static) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let mut headers = String::new();
            while !headers.ends_with("\r\n\r\n") && headers != "\r\n" {
                if reader.read_line(&mut headers).unwrap() == 0 {
                    break;
                }
            }
            let headers = headers.to_lowercase();
            let len = headers
                .lines()
                .find_map(|h| h.strip_prefix("content-length: "));
            let mut body = vec![0; len.map_or(0, |len| len.parse().unwrap())];
            reader.read_exact(&mut body).unwrap();
            let n = {
                let mut log = log.lock().unwrap();
                log.push((line.clone(), headers.clone()));
                log.iter().filter(|(asked, _)| *asked == line).count()
            };
            let path = line.split(' ').nth(1).unwrap_or("").to_owned();
            answer(&path, &headers, n, &mut socket);
        }
    });
    (address, asked)
}

/// Answers with a status, headers and a body of their own; a client that went away does not matter.
fn say(socket: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    let _ = socket.write_all(head.as_bytes());
    let _ = socket.write_all(body);
}

/// A report of one session `lsid` with these elements of links.
fn document(lsid: &str, links: &str) -> String {
    format!(
        "<session_list xmlns=\"{NAMESPACE}\"><session lsid=\"{lsid}\">{links}</session></session_list>"
    )
}

fn screens(addresses: &[&str]) -> String {
    let screens = addresses.iter().enumerate().map(|(n, address)| {
        format!(
            "<show_my_screen_recording instance=\"{n}\"><download_url>{address}</download_url>\
             </show_my_screen_recording>"
        )
    });
    let screens: String = screens.collect();
    format!("<show_my_screen_recordings>{screens}</show_my_screen_recordings>")
}

/// A server that gives tokens and one report, and leaves the rest to `answer`.
fn pretend_report(
    report: String,
    answer: impl Fn(&str, &str, usize, &mut TcpStream) + Send + 'static,
) -> (String, Asked) {
    pretend(move |path, headers, n, socket| match path {
        "/oauth2/token" => {
            let token = format!("{{\"access_token\":\"token-{n}\"}}");
            say(socket, "200 OK", "", token.as_bytes());
        }
        "/api/reporting" => say(socket, "200 OK", "", report.as_bytes()),
        _ => answer(path, headers, n, socket),
    })
}

fn download_from(address: &str, root: &Path, keys: &[(&str, &str)]) -> Run {
    let secret = root.join("secret");
    fs::write(&secret, "a secret").unwrap();
    let args = server_args(address, &secret, &root.join("dir"), &[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = command(root, &args);
    for (name, value) in keys {
        command.env(name, value);
    }
    finish(command, b"")
}

#[test]
fn the_token_goes_to_the_named_server_only_and_names_are_never_the_servers() {
    let thief = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = thief.local_addr().unwrap();
    thief.set_nonblocking(true).unwrap();
    let links = screens(&[
        &format!("http://{other}/a?b=c"),
        "/redirected",
        "//[",
        "/../../x",
    ]);
    let (address, asked) = pretend_report(document("s", &links), move |path, _, _, socket| {
        let hostile = "Content-Disposition: attachment; filename=\"../../evil\"\r\n\
                       Content-Type: ../../x\r\n";
        match path {
            "/redirected" => {
                let to = format!("Location: http://{other}/\r\n");
                say(socket, "302 Found", &to, b"");
            }
            _ => say(socket, "200 OK", hostile, b"bytes"),
        }
    });
    let root = tempdir().unwrap();
    let run = download_from(&address, root.path(), &[]);
    assert_eq!(run.code, 1);
    for told in [
        &*format!("links point to `http://{other}`; they are asked for at `http://{address}`"),
        "session `s`, show_my_screen 1: redirected (302 Found), which is not followed",
        "session `s`, show_my_screen 2: its link is no address",
    ] {
        assert!(run.stderr.contains(told), "{told} in {}", run.stderr);
    }
    let names: Vec<String> = files(&root.path().join("dir")).into_keys().collect();
    assert_eq!(names, ["s/show_my_screen-0.bin", "s/show_my_screen-3.bin"]);
    assert!(thief.accept().is_err(), "the other server was asked");
    let asked = asked.lock().unwrap();
    assert!(
        asked
            .iter()
            .any(|(line, _)| line.starts_with("GET /a?b=c "))
    );
    let mut around: Vec<_> = fs::read_dir(root.path()).unwrap().collect();
    around.retain(|entry| {
        entry
            .as_ref()
            .is_ok_and(|e| e.file_name().to_string_lossy().contains("evil"))
    });
    assert!(around.is_empty());
}

#[test]
fn an_id_that_is_a_path_is_refused_and_named() {
    for lsid in ["../s", "/tmp/s", "..", ".", ""] {
        let report = document(lsid, &screens(&["/x"]));
        let (address, asked) =
            pretend_report(report, |_, _, _, socket| say(socket, "200 OK", "", b"x"));
        let root = tempdir().unwrap();
        let run = download_from(&address, root.path(), &[]);
        assert_eq!(run.code, 1, "{lsid}");
        let told = format!("session `{lsid}`: its id cannot be the name of a directory");
        assert!(run.stderr.contains(&told), "{}", run.stderr);
        assert_eq!(asked.lock().unwrap().len(), 2, "{lsid}");
    }
}

#[test]
fn a_busy_server_is_waited_for_and_an_expired_token_renewed_once() {
    let links = screens(&["/busy", "/expired", "/never"]);
    let (address, asked) =
        pretend_report(document("s", &links), |path, headers, n, socket| {
            match (path, n) {
                ("/busy", 1) => say(socket, "429 Too Many Requests", "Retry-After: 1\r\n", b""),
                ("/busy", 2) => say(socket, "503 Service Unavailable", "", b""),
                ("/expired", _) if headers.contains("bearer token-1") => {
                    say(socket, "401 Unauthorized", "", b"");
                }
                ("/never", _) => {
                    let wait = "Retry-After: 100000\r\n";
                    say(socket, "429 Too Many Requests", wait, b"");
                }
                _ => say(socket, "200 OK", "", b"bytes"),
            }
        });
    let root = tempdir().unwrap();
    let run = download_from(&address, root.path(), &[]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("asks to wait 100000 seconds"),
        "{}",
        run.stderr
    );
    let names: Vec<String> = files(&root.path().join("dir")).into_keys().collect();
    assert_eq!(names, ["s/show_my_screen-0.bin", "s/show_my_screen-1.bin"]);
    let asked = asked.lock().unwrap();
    let count = |path: &str| asked.iter().filter(|(line, _)| line.contains(path)).count();
    assert_eq!(
        (count("/busy"), count("/expired"), count("/oauth2/token")),
        (3, 2, 2)
    );
}

#[test]
fn bodies_that_lie_are_not_taken_for_files() {
    let digest = "0123456789abcdef".repeat(4);
    let links = screens(&["/short", "/digest", "/endless", "/page", "/open", "/range"]);
    let (address, _) = pretend_report(document("s", &links), move |path, headers, n, socket| {
        match path {
            // Half of it, then the other half by range.
            "/short" if n == 1 => {
                let head = "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n01234";
                let _ = socket.write_all(head.as_bytes());
            }
            "/short" => {
                assert!(headers.contains("range: bytes=5-\r\n"), "{headers}");
                assert!(headers.contains("if-range: \"v1\"\r\n"), "{headers}");
                let range = "Content-Range: bytes 5-9/10\r\nETag: \"v1\"\r\n";
                say(socket, "206 Partial Content", range, b"56789");
            }
            "/digest" => say(
                socket,
                "200 OK",
                &format!("ETag: \"{digest}\"\r\n"),
                b"bytes",
            ),
            "/endless" => {
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                let _ = socket.write_all(head);
                let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
                while socket.write_all(&chunk).is_ok() {}
            }
            "/page" => say(
                socket,
                "200 OK",
                "Content-Type: text/html\r\n",
                b"<p>no</p>",
            ),
            "/open" => {
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwho knows");
            }
            _ => {
                let range = "Content-Range: bytes 5-9/10\r\n";
                say(socket, "206 Partial Content", range, b"56789");
            }
        }
    });
    let root = tempdir().unwrap();
    let limit = [("DEBRIEF_RECORDING_BYTES_MAX", "1000000")];
    let run = download_from(&address, root.path(), &limit);
    assert_eq!(run.code, 1);
    for told in [
        "5 files are missing",
        "show_my_screen 1: its bytes do not have the SHA-256",
        "show_my_screen 2: longer than `recording_bytes_max` (1000000)",
        "show_my_screen 3: the server answers with a page",
        "show_my_screen 4: the answer does not tell where it ends",
        "show_my_screen 5: the server answers 206 Partial Content",
    ] {
        assert!(run.stderr.contains(told), "{told} in {}", run.stderr);
    }
    let files = files(&root.path().join("dir"));
    assert_eq!(files.len(), 1);
    assert_eq!(files["s/show_my_screen-0.bin"], b"0123456789");
}
