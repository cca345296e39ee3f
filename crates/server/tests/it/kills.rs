//! What the real process loses: nothing to `kill -9` at random moments under load, again and
//! again, and nothing to a full disk.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::sender::{EVENTS, ndjson, seed};
use crate::world::{NOW, Server, run};

/// How often the process is killed.
const KILLS: usize = 50;
/// Clients that send at once.
const CLIENTS: usize = 6;
/// The longest a server lives before it is killed, in milliseconds.
const LIFE_MILLIS_MAX: u64 = 250;
/// Events of a batch.
const BATCH_LEN_MAX: usize = 6;
/// Batches after which a client begins another pair of sessions.
const BATCHES_PER_PAIR: usize = 40;
/// The pause of a client that finds no server.
const PAUSE: Duration = Duration::from_millis(3);

const FREE: [(&str, &str); 2] = [("requests_per_second", "0"), ("requests_per_hour", "0")];

/// What a client sent, by the number of the batch: the ids, and whether that was acknowledged.
type Sent = BTreeMap<usize, (Vec<String>, Acknowledged)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acknowledged {
    Yes,
    No,
}

/// What clients and the killer share.
struct Field {
    address: Mutex<String>,
    token: String,
    is_over: AtomicBool,
    n_taken: AtomicU64,
}

/// A client that sends batch after batch, each over two sessions at once, and repeats what was
/// not acknowledged; now and then it gives up instead.
fn send(field: &Field, client: usize, mut dice: fastrand::Rng) -> Sent {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(20)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut sent = Sent::new();
    for batch_idx in 0.. {
        let pair = batch_idx / BATCHES_PER_PAIR;
        let events: Vec<Value> = (0..dice.usize(2..=BATCH_LEN_MAX))
            .map(|n| {
                let id = format!("c{client}b{batch_idx}e{n}");
                // Some sessions end early and get late events, so that they are sealed between.
                let kind = match (batch_idx % BATCHES_PER_PAIR, n) {
                    (0, 0 | 1) => "Session Start",
                    (10 | 30, 0 | 1) => "Session End",
                    _ => "Chat Message",
                };
                json!({
                    "id": id, "lsid": format!("c{client}p{pair}h{}", n % 2), "body": id,
                    "time": NOW + batch_idx as i64, "type": kind,
                })
            })
            .collect();
        let ids = events
            .iter()
            .map(|event| event["id"].as_str().unwrap().to_owned());
        let ids: Vec<String> = ids.collect();
        let body = ndjson(&events);
        let mut acknowledged = Acknowledged::No;
        loop {
            if field.is_over.load(Ordering::SeqCst) {
                sent.insert(batch_idx, (ids, acknowledged));
                return sent;
            }
            let address = field
                .address
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let reply = agent
                .post(format!("http://{address}{EVENTS}"))
                .header("Authorization", format!("Bearer {}", field.token))
                .send(&body);
            match reply {
                Ok(mut reply) if reply.status() == 200 => {
                    // The answer itself may be cut off: then it is not known.
                    let Ok(answer) = reply.body_mut().read_json::<Value>() else {
                        continue;
                    };
                    let number = |name: &str| answer[name].as_u64().unwrap() as usize;
                    let (fresh, repeated) = (number("fresh"), number("repeated"));
                    assert_eq!(fresh + repeated, ids.len());
                    assert!(
                        fresh == 0 || repeated == 0,
                        "half a batch was kept: {answer}"
                    );
                    acknowledged = Acknowledged::Yes;
                    field.n_taken.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Ok(reply) => assert_eq!(reply.status(), 503),
                Err(_) => thread::sleep(PAUSE),
            }
            if dice.u8(0..4) == 0 {
                break;
            }
        }
        sent.insert(batch_idx, (ids, acknowledged));
    }
    sent
}

/// How often each body stands in the archive, by `/api/v1/sessions`.
fn kept(server: &Server, token: &str) -> BTreeMap<String, usize> {
    let mut kept = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/sessions?page_size=50{cursor}");
        let page: Value = ureq::get(format!("http://{}{path}", server.address))
            .header("Authorization", format!("Bearer {token}"))
            .call()
            .unwrap()
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_json()
            .unwrap();
        for session in page["sessions"].as_array().unwrap() {
            for event in session["session_details"].as_array().unwrap() {
                let body = event["body"].as_str().unwrap().to_owned();
                *kept.entry(body).or_default() += 1;
            }
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return kept,
        }
    }
}

#[test]
fn whatever_was_acknowledged_is_there_once_after_fifty_kills_and_nothing_is_there_by_half() {
    let seed = seed();
    let mut dice = fastrand::Rng::with_seed(seed);
    let directory = tempdir().unwrap();
    let data = directory.path();
    let began = Instant::now();
    let server = Server::start_with(data, &FREE);
    let field = Field {
        address: Mutex::new(server.address.clone()),
        token: server.token(),
        is_over: AtomicBool::new(false),
        n_taken: AtomicU64::new(0),
    };
    let mut running = Some(server);
    let sent: Vec<Sent> = thread::scope(|scope| {
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let dice = dice.fork();
            let field = &field;
            clients.push(scope.spawn(move || send(field, client, dice)));
        }
        for _ in 0..KILLS {
            thread::sleep(Duration::from_millis(dice.u64(1..=LIFE_MILLIS_MAX)));
            // Dropping it is SIGKILL.
            drop(running.take());
            let server = Server::start_with(data, &FREE);
            let mut address = field.address.lock().unwrap_or_else(PoisonError::into_inner);
            address.clone_from(&server.address);
            drop(address);
            running = Some(server);
        }
        field.is_over.store(true, Ordering::SeqCst);
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    let mut server = running.unwrap();
    let kept = kept(&server, &field.token);
    let mut known = BTreeSet::new();
    let (mut n_acknowledged, mut n_unknown) = (0, 0);
    for (ids, acknowledged) in sent.iter().flat_map(BTreeMap::values) {
        let there: Vec<usize> = ids
            .iter()
            .map(|id| kept.get(id).copied().unwrap_or(0))
            .collect();
        let is_whole = there.iter().all(|n| *n == 1);
        let is_absent = there.iter().all(|n| *n == 0);
        match acknowledged {
            Acknowledged::Yes => {
                n_acknowledged += 1;
                assert!(
                    is_whole,
                    "{ids:?} was acknowledged and is there {there:?} times"
                );
            }
            Acknowledged::No => {
                n_unknown += 1;
                assert!(is_whole || is_absent, "{ids:?} is there {there:?} times");
            }
        }
        known.extend(ids.iter().cloned());
    }
    assert!(kept.keys().all(|id| known.contains(id)));
    println!(
        "{n_acknowledged} batches acknowledged, {n_unknown} given up, {KILLS} kills in {:?}",
        began.elapsed()
    );
    // Had the clients hardly sent anything, the kills would have proved nothing.
    assert!(KILLS < n_acknowledged, "{n_acknowledged}");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    let verified = run(data, &["verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn a_full_disk_refuses_whole_batches_and_keeps_what_was_acknowledged() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let token = Server::start_with(data, &FREE).token();
    // A limit on the size of files stands for the disk. The signal that comes with it is ignored.
    let mut limited = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 3000; \
                  exec \"$0\" --data \"$1\" serve --listen 127.0.0.1:0";
    limited
        .args(["-c", script, env!("CARGO_BIN_EXE_debrief")])
        .arg(data);
    for (name, value) in FREE {
        limited.env(format!("DEBRIEF_{}", name.to_ascii_uppercase()), value);
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let batch = |n: usize| -> Vec<Value> {
        let event = |half: usize| {
            let id = format!("b{n}h{half}");
            json!({
                "id": id, "lsid": format!("s{half}"), "time": NOW, "type": "Chat Message",
                "body": id, "data": { "long": "x".repeat(9_000) },
            })
        };
        (0..3).map(event).collect()
    };
    let post = |server: &Server, n: usize| {
        agent
            .post(format!("http://{}{EVENTS}", server.address))
            .header("Authorization", format!("Bearer {token}"))
            .send(ndjson(&batch(n)))
            .unwrap()
            .status()
            .as_u16()
    };
    let full = Server::start_as(limited, data);
    let statuses: Vec<u16> = (0..100).map(|n| post(&full, n)).collect();
    let told = full.stderr();
    drop(full);
    let n_kept = statuses.iter().filter(|status| **status == 200).count();
    assert!(0 < n_kept && n_kept < statuses.len(), "{statuses:?} {told}");
    let server = Server::start_with(data, &FREE);
    let before = kept(&server, &token);
    for (n, status) in statuses.iter().enumerate() {
        let there = (0..3).map(|half| before.get(&format!("b{n}h{half}")).copied().unwrap_or(0));
        let there: Vec<usize> = there.collect();
        match status {
            200 => assert_eq!(there, [1; 3], "batch {n}"),
            503 => assert!(there == [0; 3] || there == [1; 3], "batch {n}: {there:?}"),
            status => panic!("{status}"),
        }
    }
    // There is room again.
    for n in 0..statuses.len() {
        assert_eq!(post(&server, n), 200);
    }
    let after = kept(&server, &token);
    assert_eq!(after.len(), 3 * statuses.len());
    assert!(after.values().all(|n| *n == 1));
    assert_eq!(run(data, &["verify"]).code, 0);
}
