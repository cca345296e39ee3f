//! `debrief pull`: a copy of another Debrief that is fed and killed, and of an appliance that
//! knows nothing but the vendor's API.

mod mutated;
mod serving;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::{Request, header};
use debrief_domain::At;
use debrief_store::DeadLetter;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::sender::{EVENTS, Sender, ndjson, seed};
use crate::world::{
    Login, NAMESPACE, Run, Server, World, at, command, eventually, from, lsids, run, run_with,
};

const WEBM: &[u8] = include_bytes!("../fixtures/meshcentral/desk.webm");
const TYPESCRIPT: &[u8] = include_bytes!("../fixtures/guacamole/sess1.typescript");
const TIMING: &[u8] = include_bytes!("../fixtures/guacamole/sess1.typescript.timing");
const ALL: [&str; 4] = ["--start-time", "0", "--duration", "0"];
const BOMGAR: &str = "http://www.bomgar.com/namespaces/API/reporting";

/// How long the other side is fed.
const FED: Duration = Duration::from_secs(10);
/// The longest that the other side lives before it is killed, in milliseconds.
const LIFE_MILLIS_MAX: u64 = 900;
/// The longest that a copy may take before it is killed, in milliseconds.
const PULL_MILLIS_MAX: u64 = 4_000;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs() as i64
}

// ---- Another Debrief ----

const KEYS: [(&str, &str); 3] = [
    ("requests_per_second", "0"),
    ("requests_per_hour", "0"),
    ("dialect", "appliance"),
];

const FREE: [(&str, &str); 2] = [KEYS[0], KEYS[1]];

/// The server on the same port as before.
fn again(data: &Path, address: &str) -> Server {
    let mut command = command(data, &["serve", "--listen", address]);
    for (name, value) in KEYS {
        command.env(format!("DEBRIEF_{}", name.to_ascii_uppercase()), value);
    }
    Server::start_as(command, data)
}

struct Credentials {
    _directory: TempDir,
    id: String,
    secret: PathBuf,
}

fn credentials(login: &Login) -> Credentials {
    let directory = tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, &login.secret).unwrap();
    Credentials {
        secret,
        id: login.id.clone(),
        _directory: directory,
    }
}

fn pull_args(address: &str, credentials: &Credentials, more: &[&str]) -> Vec<String> {
    let url = format!("http://{address}");
    let secret = credentials.secret.to_str().unwrap();
    let own = [
        "pull",
        "--from",
        &url,
        "--client-id",
        &credentials.id,
        "--client-secret-file",
        secret,
    ];
    own.iter().chain(more).map(ToString::to_string).collect()
}

fn pull(data: &Path, args: &[String]) -> Run {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run(data, &args)
}

/// Sends until it is taken, whoever is killed meanwhile.
fn insist(send: impl Fn() -> Result<u16, ureq::Error>) {
    eventually("it is taken", || matches!(send(), Ok(200 | 201 | 204)));
}

/// Feeds the server at `address` until it is told to stop; every session then ends.
fn feed(address: &str, token: &str, is_over: &AtomicBool, dice: &mut fastrand::Rng, name: &str) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(20)))
        .http_status_as_error(false)
        .build()
        .into();
    let token = format!("Bearer {token}");
    let post = |events: &[Value]| {
        let body = ndjson(events);
        insist(|| {
            let request = agent.post(format!("http://{address}{EVENTS}"));
            let reply = request.header("Authorization", &token).send(&body)?;
            Ok(reply.status().as_u16())
        });
    };
    let put = |path: String, bytes: &[u8]| {
        insist(|| {
            let request = agent.put(format!("http://{address}/api/v1/sessions/{path}"));
            let reply = request.header("Authorization", &token).send(bytes)?;
            Ok(reply.status().as_u16())
        });
    };
    let began = now();
    let mut running: Vec<(String, usize)> = Vec::new();
    let mut n_sessions = 0;
    let event = |lsid: &str, n: usize, kind: &str| {
        json!({
            "id": format!("{lsid}-{n}"), "lsid": lsid, "time": began + n as i64, "type": kind,
            "body": format!("{lsid} says <{n}> & more"),
        })
    };
    loop {
        // A believable pace: a copy is bound to 20 requests a second.
        thread::sleep(Duration::from_millis(dice.u64(10..=30)));
        let is_last = is_over.load(Ordering::SeqCst);
        if is_last && running.is_empty() {
            return;
        }
        if !is_last && (running.is_empty() || dice.u8(0..3) == 0) {
            let lsid = format!("{name}{n_sessions}");
            n_sessions += 1;
            post(&[event(&lsid, 0, "Session Start")]);
            running.push((lsid, 1));
            continue;
        }
        let idx = dice.usize(..running.len());
        let is_end = is_last || dice.u8(0..3) == 0;
        if !is_end {
            let (lsid, n) = &mut running[idx];
            post(&[event(lsid, *n, "Chat Message")]);
            *n += 1;
            continue;
        }
        let (lsid, n) = running.swap_remove(idx);
        post(&[event(&lsid, n, "Session End")]);
        match dice.u8(0..4) {
            0 => put(format!("{lsid}/recordings/session/0"), WEBM),
            1 => {
                put(format!("{lsid}/recordings/command_shell/2"), TYPESCRIPT);
                put(format!("{lsid}/recordings/command_shell/2/timing"), TIMING);
            }
            // A late event of a session that has ended.
            2 => post(&[event(&lsid, n + 1, "Chat Message")]),
            _ => {}
        }
    }
}

/// A session of a document.
fn session_text(lsid: &str, lseq: u64, start: i64, end: Option<i64>, more: &str) -> String {
    let end = end.map_or("<end_time/>".to_owned(), |end| {
        format!("<end_time timestamp=\"{end}\">whenever</end_time>")
    });
    format!(
        "<session lsid=\"{lsid}\"><session_type>support</session_type><lseq>{lseq}</lseq>\
         <start_time timestamp=\"{start}\">whenever</start_time>{end}{more}\
         <session_details><event timestamp=\"{start}\" event_type=\"Session Start\"></event>\
         </session_details></session>\n"
    )
}

/// Every session of a report as text that equals that of an equal session, by lsid. Addresses
/// are only there or not.
fn canonical(document: &str) -> BTreeMap<String, String> {
    fn write(node: roxmltree::Node<'_, '_>, out: &mut String) {
        if node.is_text() {
            let text = node.text().unwrap_or("");
            if !text.trim().is_empty() {
                let _ = write!(out, "{text:?}");
            }
            return;
        }
        let mut attributes: Vec<String> = node
            .attributes()
            .map(|a| format!("{}={:?}", a.name(), a.value()))
            .collect();
        attributes.sort();
        let name = node.tag_name().name();
        let _ = write!(out, "<{name} {}>", attributes.join(" "));
        if name.ends_with("_url") {
            out.push_str("URL");
        } else {
            node.children().for_each(|child| write(child, out));
        }
        out.push_str("</>\n");
    }
    let parsed = roxmltree::Document::parse(document).unwrap();
    let sessions = parsed.root_element().children();
    let mut all = BTreeMap::new();
    for session in sessions.filter(roxmltree::Node::is_element) {
        let mut text = String::new();
        write(session, &mut text);
        let lsid = session.attribute("lsid").unwrap().to_owned();
        assert!(all.insert(lsid, text).is_none(), "one session twice");
    }
    all
}

/// Kind, instance, part, length and digest of every recording.
fn recordings(server: &Server, token: &str, lsids: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for lsid in lsids {
        let url = format!(
            "http://{}/api/v1/sessions/{lsid}/recordings",
            server.address
        );
        let mut reply = ureq::get(url)
            .header("Authorization", format!("Bearer {token}"))
            .call()
            .unwrap();
        let list: Value = reply.body_mut().read_json().unwrap();
        for kept in list["recordings"].as_array().unwrap() {
            let names = ["kind", "instance", "part", "media_type", "bytes", "sha256"];
            let told = names.map(|name| kept[name].to_string()).join(" ");
            found.push(format!("{lsid} {told}"));
        }
    }
    found
}

#[test]
fn a_copy_of_a_debrief_is_equal_after_both_were_killed_again_and_again_while_one_was_fed() {
    let seed = seed();
    let mut dice = fastrand::Rng::with_seed(seed);
    let (there, here) = (tempdir().unwrap(), tempdir().unwrap());
    let mut server = Some(Server::start_with(there.path(), &KEYS));
    let first = server.as_ref().unwrap();
    let (login, address, token) = (first.admin(), first.address.clone(), first.token());
    let credentials = credentials(&login);
    let args = pull_args(&address, &credentials, &["--json"]);
    let is_over = AtomicBool::new(false);
    let (mut n_pulled, mut n_killed) = (0, 0);
    let kill_until = Instant::now() + FED;
    thread::scope(|scope| {
        for name in ["x", "y"] {
            let (address, token, is_over) = (&address, &token, &is_over);
            let mut dice = dice.fork();
            scope.spawn(move || feed(address, token, is_over, &mut dice, name));
        }
        let mut puller_dice = dice.fork();
        let (there, here_path) = (there.path(), here.path());
        let puller = {
            let args = &args;
            scope.spawn(move || {
                let (mut n_pulled, mut n_killed) = (0, 0);
                while Instant::now() < kill_until {
                    let args: Vec<&str> = args.iter().map(String::as_str).collect();
                    let mut child = command(here_path, &args);
                    let child = child.stdout(Stdio::null()).stderr(Stdio::null());
                    let mut child = child.spawn().unwrap();
                    let life = Duration::from_millis(puller_dice.u64(20..=PULL_MILLIS_MAX));
                    let deadline = Instant::now() + life;
                    while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
                        thread::sleep(Duration::from_millis(2));
                    }
                    match child.try_wait().unwrap() {
                        Some(_) => n_pulled += 1,
                        None => n_killed += 1,
                    }
                    // It may have ended already.
                    let _ = child.kill();
                    child.wait().unwrap();
                }
                (n_pulled, n_killed)
            })
        };
        for n in 0.. {
            thread::sleep(Duration::from_millis(dice.u64(20..=LIFE_MILLIS_MAX)));
            if kill_until < Instant::now() {
                break;
            }
            // Imports come in while it is served, one of them a second time and newer.
            let ended = (n % 2 == 1).then(now);
            let document = format!(
                "<session_list xmlns=\"{BOMGAR}\">{}{}</session_list>",
                session_text(
                    &format!("i{n}"),
                    5_000 + n,
                    1_000 + n as i64,
                    Some(2_000),
                    ""
                ),
                session_text(&format!("j{}", n / 2), 6_000, now() - 100, ended, ""),
            );
            let imported = run_with(there, &["import", "-"], document.as_bytes());
            assert_eq!(imported.code, 0, "{}", imported.stderr);
            // Dropping it is SIGKILL.
            drop(server.take());
            server = Some(again(there, &address));
        }
        is_over.store(true, Ordering::SeqCst);
        (n_pulled, n_killed) = puller.join().unwrap();
    });
    println!("{n_pulled} pulls ended, {n_killed} were killed");
    let server = server.unwrap();
    let fed = Instant::now();
    let whole = |data: &Path| {
        let report = run(data, &[&["report"], &ALL[..]].concat());
        assert_eq!(report.code, 0, "{}", report.stderr);
        report.stdout
    };
    // What is not sealed shows no links to recordings that came last.
    let last = pull(here.path(), &args);
    assert_eq!(last.code, 0, "{}", last.stderr);
    let (ours, theirs) = (whole(here.path()), whole(there.path()));
    let (lsids, ours, theirs) = (lsids(&theirs), canonical(&ours), canonical(&theirs));
    println!("{} sessions, caught up in {:?}", lsids.len(), fed.elapsed());
    assert!(20 < lsids.len(), "{lsids:?}");
    for (lsid, session) in &theirs {
        // The last of these may be running: its duration goes on.
        if !lsid.starts_with('j') || session.contains("<end_time timestamp") {
            assert_eq!(ours.get(lsid), Some(session), "{lsid}");
        }
    }
    assert_eq!(ours.len(), theirs.len());
    // Served, the copy still says the same, and its recordings are the same bytes.
    let copy = Server::start_with(here.path(), &FREE);
    let copy_token = copy.token();
    assert_eq!(
        recordings(&copy, &copy_token, &lsids),
        recordings(&server, &token, &lsids)
    );
    // Beside the server nothing new comes: nothing is there twice.
    let idle = pull(here.path(), &args);
    let counts: Value = serde_json::from_str(&idle.stdout).unwrap();
    assert_eq!(idle.code, 0, "{}", idle.stderr);
    for name in ["fresh", "recordings", "missing", "dead_letters", "live"] {
        assert_eq!(counts[name], 0, "{name} in {counts}");
    }
    eventually("what the copy serves is what the other side has", || {
        let served = canonical(&copy.report(&copy_token, "start_time=0&duration=0"));
        theirs
            .iter()
            .filter(|(lsid, _)| !lsid.starts_with('j'))
            .all(|(lsid, session)| served.get(lsid) == Some(session))
    });
    drop(copy);
    let verified = run(here.path(), &["verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

// ---- An appliance that is made up ----

#[derive(Clone)]
struct Past {
    lsid: String,
    lseq: u64,
    start: i64,
    end: Option<i64>,
    recorded: bool,
    more: String,
    /// Broken beyond repair.
    is_broken: bool,
}

impl Past {
    fn new(lsid: &str, start: i64, end: Option<i64>) -> Past {
        Past {
            lsid: lsid.into(),
            lseq: 7,
            start,
            end,
            recorded: false,
            more: String::new(),
            is_broken: false,
        }
    }
}

#[derive(Default)]
struct Told {
    past: Vec<Past>,
    /// When requests came, and with which parameters.
    asked: Vec<(Instant, String)>,
    /// Answers to the next requests but tokens: a status and headers, half an answer, or silence.
    mishaps: Vec<&'static str>,
    /// What becomes of the answer to a report, by its parameters.
    mutate: Option<Box<Mutate>>,
}

type Mutate = dyn FnMut(&str, &mut Vec<u8>) + Send;

struct Appliance {
    address: String,
    told: Arc<Mutex<Told>>,
    namespace: &'static str,
}

const NOTHING: &str = "Aucune information correspondant à vos critères n’est disponible.";

impl Appliance {
    fn new(namespace: &'static str) -> Appliance {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let appliance = Appliance {
            address: listener.local_addr().unwrap().to_string(),
            told: Arc::default(),
            namespace,
        };
        let told = Arc::clone(&appliance.told);
        thread::spawn(move || {
            for socket in listener.incoming() {
                // A client that goes away is no matter.
                let _ = answer(socket.unwrap(), &told, namespace);
            }
        });
        appliance
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ids that whole sessions were asked for by, since the last time.
    fn asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut self.told().asked);
        let lsids = asked.iter().filter_map(|(_, params)| {
            let pairs: Vec<_> = form_urlencoded::parse(params.as_bytes()).collect();
            let found = pairs.iter().find(|(name, _)| name == "lsids")?;
            Some(found.1.split(',').map(str::to_owned).collect::<Vec<_>>())
        });
        let mut lsids: Vec<String> = lsids.flatten().collect();
        lsids.sort();
        lsids
    }
}

fn answer(mut socket: TcpStream, told: &Mutex<Told>, namespace: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let (mut line, mut len) = (String::new(), 0);
    reader.read_line(&mut line)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            len = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    let target = line.split(' ').nth(1).unwrap_or("");
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let params = format!("{query}&{}", String::from_utf8_lossy(&body));
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    told.asked.push((Instant::now(), params.clone()));
    let mut send = |head: &str, body: &[u8]| {
        let len = body.len();
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n");
        socket.write_all(head.as_bytes())?;
        socket.write_all(body)
    };
    if target.starts_with("/oauth2/token") {
        return send(
            "200 OK",
            b"{\"access_token\":\"t\",\"token_type\":\"Bearer\"}",
        );
    }
    let mishap = told.mishaps.pop();
    if mishap == Some("silence") {
        drop(told);
        thread::sleep(Duration::from_secs(30));
        return Ok(());
    }
    if let Some(head) = mishap.filter(|mishap| *mishap != "half") {
        return send(head, b"<error>mishap</error>");
    }
    let (head, mut body) = report(&told, &params, namespace);
    if mishap.is_some() {
        body.truncate(body.len() / 2);
    }
    if let Some(mutate) = &mut told.mutate {
        mutate(&params, &mut body);
    }
    send(head, &body)
}

fn report(told: &Told, params: &str, namespace: &str) -> (&'static str, Vec<u8>) {
    const XML: &str = "200 OK\r\nContent-Type: text/xml";
    let pairs: BTreeMap<_, _> = form_urlencoded::parse(params.as_bytes())
        .into_owned()
        .collect();
    let number = |name: &str| pairs.get(name).map(|text| text.parse::<i64>().unwrap());
    let error = |sentence: &str| {
        let text = format!("<error xmlns=\"{namespace}\">{sentence}</error>");
        (XML, text.into_bytes())
    };
    let report = pairs["generate_report"].as_str();
    let duration = number("duration").unwrap_or(0);
    let until = |from: i64| {
        if duration == 0 {
            i64::MAX
        } else {
            from + duration
        }
    };
    let fits = |past: &&Past| match (number("start_time"), number("end_time"), pairs.get("lsids")) {
        (Some(from), _, _) => (from..until(from)).contains(&past.start),
        (_, Some(from), _) => past
            .end
            .is_some_and(|end| (from..until(from)).contains(&end)),
        (_, _, Some(lsids)) => lsids.split(',').any(|lsid| lsid == past.lsid),
        _ => false,
    };
    let found: Vec<&Past> = told.past.iter().filter(fits).collect();
    match report {
        "SupportSessionRecording" => ("200 OK\r\nContent-Type: video/webm", WEBM.to_vec()),
        _ if pairs.contains_key("changed_since") => error("start_date or start_time is required"),
        _ if found.is_empty() => error(NOTHING),
        "SupportSessionListing" => {
            let mut text = format!("<session_summary_list xmlns=\"{namespace}\">\n");
            for past in found {
                let (lsid, recorded) = (&past.lsid, u8::from(past.recorded));
                let _ = writeln!(
                    text,
                    "<session_summary lsid=\"{lsid}\" has_recording=\"{recorded}\"  />"
                );
            }
            text.push_str("</session_summary_list>");
            (XML, text.into_bytes())
        }
        _ => {
            let mut text = format!("<session_list xmlns=\"{namespace}\">\n");
            for past in found {
                let session = session_text(&past.lsid, past.lseq, past.start, past.end, &past.more);
                match past.is_broken {
                    true => text.push_str(&session.replace("</session_details>", "</oops>")),
                    false => text.push_str(&session),
                }
            }
            text.push_str("</session_list>");
            (XML, text.into_bytes())
        }
    }
}

fn made_up() -> Credentials {
    credentials(&Login {
        id: "id".into(),
        secret: "secret".into(),
    })
}

/// Pulls once; gives the ids that whole sessions were asked for by, and the counts.
#[track_caller]
fn once(data: &Path, appliance: &Appliance) -> (Vec<String>, Value) {
    let made_up = made_up();
    let args = pull_args(&appliance.address, &made_up, &["--json"]);
    let pulled = pull(data, &args);
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    (
        appliance.asked(),
        serde_json::from_str(&pulled.stdout).unwrap(),
    )
}

#[track_caller]
fn check_here(data: &Path, expected: &[(&str, Option<i64>)]) {
    let report = run(data, &[&["report"], &ALL[..]].concat()).stdout;
    let parsed = roxmltree::Document::parse(&report).unwrap();
    let sessions = parsed.root_element().children();
    let told: Vec<(&str, Option<i64>)> = sessions
        .filter(roxmltree::Node::is_element)
        .map(|session| {
            let end = session
                .children()
                .find(|child| child.has_tag_name((NAMESPACE, "end_time")));
            let end = end.unwrap().attribute("timestamp");
            (
                session.attribute("lsid").unwrap(),
                end.map(|end| end.parse().unwrap()),
            )
        })
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn an_appliance_is_copied_by_its_lists_and_a_running_session_comes_again_when_it_ends() {
    for namespace in [NAMESPACE, BOMGAR] {
        let appliance = Appliance::new(namespace);
        let directory = tempdir().unwrap();
        let data = directory.path();
        let (long_ago, last) = (1_000_000_000, now() - 5_000);
        let mut recorded = Past::new("b", long_ago + 5, Some(long_ago + 9));
        recorded.recorded = true;
        appliance.told().past = vec![
            Past::new("a", long_ago, Some(long_ago + 9)),
            recorded,
            Past::new("running", last - 60, None),
            Past::new("c", last - 50, Some(last)),
            Past::new("d", last - 40, Some(last)),
        ];
        let (asked, counts) = once(data, &appliance);
        assert_eq!(asked, ["a", "b", "c", "d", "running"]);
        assert_eq!(counts["recordings"], 1);
        assert_eq!(counts["asked_again"], 1);
        // Nothing is new: only what runs is asked for.
        assert_eq!(once(data, &appliance).0, ["running"]);
        // Another one ended in the last second that was seen, and one reported late.
        let mut past = appliance.told().past.clone();
        past.push(Past::new("e", last - 30, Some(last)));
        past.push(Past::new("late", last - 300, Some(last - 200)));
        appliance.told().past = past;
        let (asked, counts) = once(data, &appliance);
        assert_eq!(asked, ["e", "late", "running"]);
        assert_eq!(
            (&counts["fresh"], &counts["repeated"]),
            (&json!(2), &json!(1))
        );
        appliance.told().past[2].end = Some(last + 100);
        let (_, counts) = once(data, &appliance);
        assert_eq!(
            (&counts["replaced"], &counts["asked_again"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(once(data, &appliance).0, [""; 0]);
        check_here(
            data,
            &[
                ("a", Some(long_ago + 9)),
                ("b", Some(long_ago + 9)),
                ("late", Some(last - 200)),
                ("running", Some(last + 100)),
                ("c", Some(last)),
                ("d", Some(last)),
                ("e", Some(last)),
            ],
        );
        assert_eq!(appliance.namespace, namespace);
    }
}

#[test]
fn a_copy_never_asks_more_often_than_the_vendor_allows() {
    let appliance = Appliance::new(NAMESPACE);
    let directory = tempdir().unwrap();
    let start = now() - 100_000;
    let past = (0..1_500).map(|n| Past::new(&format!("s{n}"), start + n, Some(start + n)));
    appliance.told().past = past.collect();
    let made_up = made_up();
    let args = pull_args(&appliance.address, &made_up, &[]);
    let pulled = pull(directory.path(), &args);
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    let told = "1500 new sessions, 0 replaced by newer versions, 0 unchanged, 0 recordings\n";
    assert_eq!(pulled.stdout, told);
    let times: Vec<Instant> = appliance.told().asked.iter().map(|(at, _)| *at).collect();
    assert!(40 < times.len(), "{}", times.len());
    for window in times.windows(21) {
        // A request may be on its way longer than the next one.
        assert!(Duration::from_millis(900) < window[20] - window[0]);
    }
}

#[test]
fn a_session_that_cannot_be_taken_is_kept_aside_and_everything_else_comes() {
    let appliance = Appliance::new(NAMESPACE);
    let directory = tempdir().unwrap();
    let data = directory.path();
    let start = now() - 100_000;
    let past = (0..9).map(|n| Past::new(&format!("s{n}"), start + n, Some(start + n)));
    appliance.told().past = past.collect();
    appliance.told().past[4].is_broken = true;
    let (_, counts) = once(data, &appliance);
    assert_eq!(
        (&counts["fresh"], &counts["dead_letters"]),
        (&json!(8), &json!(1))
    );
    // It is not asked for again and again.
    let (asked, counts) = once(data, &appliance);
    assert_eq!((asked.len(), &counts["dead_letters"]), (0, &json!(0)));
    let server = Server::start(data);
    let credentials = credentials(&server.admin());
    let url = format!("http://{}", server.address);
    let source = format!("appliance/{}", appliance.address);
    let secret = credentials.secret.to_str().unwrap();
    let args = ["sources", "--server", &url, "--client-id", &credentials.id];
    let args = [&args[..], &["--client-secret-file", secret]].concat();
    let told = run(data, &[&args[..], &["--dead-letters", &source]].concat());
    assert_eq!(told.stdout.lines().count(), 1, "{}", told.stdout);
    assert!(
        told.stdout.contains("session `s4`: line "),
        "{}",
        told.stdout
    );
    // The server has no source of its own; it shows what was copied by hand.
    let told = run(data, &args);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let lines: Vec<&str> = told.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[1].starts_with(&format!("{source}  ended ")),
        "{lines:?}"
    );
}

#[test]
fn a_session_that_is_listed_and_not_given_is_asked_for_and_told() {
    let appliance = Appliance::new(NAMESPACE);
    let directory = tempdir().unwrap();
    let start = now() - 100_000;
    let past = (0..2).map(|n| Past::new(&format!("s{n}"), start + n, Some(start + n)));
    appliance.told().past = past.collect();
    // Asked for by its id, the other side says that there is no such session.
    appliance.told().mutate = Some(Box::new(|params, body| {
        let text = String::from_utf8(body.clone()).unwrap();
        if params.contains("lsids=")
            && let Some(begin) = text.find("<session lsid=\"s1\"")
        {
            let end = begin + text[begin..].find("</session>").unwrap() + "</session>".len();
            *body = [&text[..begin], &text[end..]].concat().into_bytes();
        }
    }));
    // Ten tries and it is kept aside; as long as it is listed, it is asked for all the same.
    let dead_letters: Vec<u64> = (0..12)
        .map(|_| {
            let (asked, counts) = once(directory.path(), &appliance);
            assert!(asked.contains(&"s1".into()), "{asked:?}");
            counts["dead_letters"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(dead_letters.iter().sum::<u64>(), 1, "{dead_letters:?}");
    check_here(directory.path(), &[("s0", Some(start))]);
    // It is given after all.
    appliance.told().mutate = None;
    once(directory.path(), &appliance);
    check_here(
        directory.path(),
        &[("s0", Some(start)), ("s1", Some(start + 1))],
    );
}

#[test]
fn mishaps_on_the_way_lose_nothing_and_errors_are_told() {
    let appliance = Appliance::new(NAMESPACE);
    let directory = tempdir().unwrap();
    let data = directory.path();
    let start = now() - 100_000;
    let past = (0..3).map(|n| Past::new(&format!("s{n}"), start + n, Some(start + n)));
    appliance.told().past = past.collect();
    let made_up = made_up();
    let args = pull_args(&appliance.address, &made_up, &["--since", "1"]);
    for (mishap, told) in [
        ("403 Forbidden", "403 Forbidden"),
        ("500 Internal Server Error", "500 Internal Server Error"),
    ] {
        appliance.told().mishaps = vec![mishap];
        let refused = pull(data, &args);
        assert_eq!(refused.code, 1, "{}", refused.stdout);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    // The last one comes first: a token that ended, a busy server, a broken answer.
    appliance.told().mishaps = vec!["half", "429 Too Many\r\nRetry-After: 1", "401 Unauthorized"];
    let broken = pull(data, &args);
    assert!(broken.code <= 1, "{}", broken.stderr);
    let whole = pull(data, &args);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let ends: Vec<(&str, Option<i64>)> = ["s0", "s1", "s2"]
        .into_iter()
        .zip(start..)
        .map(|(lsid, end)| (lsid, Some(end)))
        .collect();
    check_here(data, &ends);
}

// ---- While serving ----

#[test]
fn a_configured_source_is_copied_while_serving_and_says_how_it_does() {
    let appliance = Appliance::new(BOMGAR);
    let directory = tempdir().unwrap();
    let data = directory.path();
    let start = now() - 100;
    let past = (0..3).map(|n| Past::new(&format!("s{n}"), start + n, Some(start + n)));
    appliance.told().past = past.collect();
    let made_up = made_up();
    let (address, secret) = (&appliance.address, made_up.secret.display());
    let config = format!(
        "[[source.appliance]]\nname = \"rs\"\nurl = \"http://{address}\"\nclient_id = \"id\"\n\
         client_secret_file = \"{secret}\"\nevery = \"1s\"\nsince = \"2016-01-01\"\n"
    );
    fs::write(data.join("debrief.toml"), config).unwrap();
    let server = Server::start_with(data, &FREE);
    let token = server.token();
    eventually("the sessions are here", || {
        let report = server.report(&token, "start_time=0&duration=0");
        lsids(&report) == ["s0", "s1", "s2"]
    });
    let sources = || -> Value {
        let url = format!("http://{}/api/v1/sources", server.address);
        let request = ureq::get(url).header("Authorization", format!("Bearer {token}"));
        request.call().unwrap().body_mut().read_json().unwrap()
    };
    eventually("it waits", || sources()["sources"][0]["state"] == "waiting");
    let source = &sources()["sources"][0];
    assert_eq!(source["name"], "appliance/rs");
    assert_eq!(source["events"], 3);
    assert!(source["lag_seconds"].as_u64().unwrap() < 1_000);
    appliance.told().mishaps = vec!["403 Forbidden"; 100];
    eventually("it fails", || {
        let told = sources();
        let message = told["sources"][0]["error"]["message"].as_str();
        message.is_some_and(|message| message.contains("403"))
    });
}

// ---- The routes ----

async fn get(world: &World, path: &str, token: Option<&str>, peer: &str) -> (u16, Value) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Body::empty()).unwrap();
    let reply = world.send(from(peer, request)).await;
    (reply.status, reply.json())
}

#[tokio::test]
async fn sources_are_shown_to_administrators_in_their_networks_only() {
    const HERE: &str = "203.0.113.7:4711";
    const DEAD: &str = "/api/v1/sources/appliance%2Frs/dead-letters";
    let world = World::new().await;
    let reader = Sender::with(&world, "reporter", "reporting,recordings,ingest", &[]).await;
    let admin = Sender::with(&world, "admin", "admin", &["203.0.113.0/24"]).await;
    for path in ["/api/v1/sources", DEAD] {
        assert_eq!(get(&world, path, None, HERE).await.0, 401, "{path}");
        let reader = Some(reader.token.as_str());
        assert_eq!(get(&world, path, reader, HERE).await.0, 403, "{path}");
        let admin = Some(admin.token.as_str());
        let elsewhere = get(&world, path, admin, "198.51.100.1:1").await;
        assert_eq!(elsewhere.0, 403, "{path}");
        assert_eq!(get(&world, path, admin, HERE).await.0, 200, "{path}");
    }
    for n in 0..23_i64 {
        let letter = DeadLetter {
            source: "appliance/rs".into(),
            at: at(n),
            why: format!("because of {n}"),
            message: if n == 0 { vec![0xFF] } else { b"text".into() },
        };
        world.store.bury(letter).await.unwrap();
    }
    let admin = Some(admin.token.as_str());
    let (_, first) = get(&world, DEAD, admin, HERE).await;
    assert_eq!(first["dead_letters"].as_array().unwrap().len(), 20);
    assert_eq!(first["dead_letters"][0]["why"], "because of 22");
    let path = format!("{DEAD}?before={}", first["next"].as_str().unwrap());
    let (_, rest) = get(&world, &path, admin, HERE).await;
    let whys: Vec<&Value> = rest["dead_letters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| &letter["why"])
        .collect();
    assert_eq!(whys, ["because of 2", "because of 1", "because of 0"]);
    assert_eq!(rest["dead_letters"][2]["message_base64"], "/w==");
    assert_eq!(rest["next"], Value::Null);
    let faulty = get(&world, &format!("{DEAD}?before=x"), admin, HERE).await;
    assert_eq!(faulty.0, 400);
    world
        .app
        .sources()
        .refused("appliance/rs", At::MIN, "forged".into());
    let (_, told) = get(&world, "/api/v1/sources", admin, HERE).await;
    assert_eq!(told["sources"][0]["refused"], 1);
    assert_eq!(told["sources"][0]["refusals"][0]["why"], "forged");
}
