//! A copy that a server keeps: killed, asked to end, and beside `debrief pull`.

use super::*;

/// How often the copy is killed.
const KILLS: usize = 8;
/// The longest that it lives before it is killed, in milliseconds.
const LIFE_MILLIS_MAX: u64 = 1_500;

fn configure(data: &Path, address: &str, credentials: &Credentials) {
    let (id, secret) = (&credentials.id, credentials.secret.display());
    let config = format!(
        "[[source.appliance]]\nname = \"rs\"\nurl = \"http://{address}\"\nclient_id = \"{id}\"\n\
         client_secret_file = \"{secret}\"\nevery = \"1s\"\n"
    );
    fs::write(data.join("debrief.toml"), config).unwrap();
}

fn sources(server: &Server, token: &str) -> Vec<Value> {
    let url = format!("http://{}/api/v1/sources", server.address);
    let request = ureq::get(url).header("Authorization", format!("Bearer {token}"));
    let told: Value = request.call().unwrap().body_mut().read_json().unwrap();
    told["sources"].as_array().unwrap().clone()
}

#[test]
fn a_copy_kept_by_a_server_is_equal_after_that_server_was_killed_again_and_again() {
    let mut dice = fastrand::Rng::with_seed(seed());
    let (there, here) = (tempdir().unwrap(), tempdir().unwrap());
    // Enough that a round takes a while.
    let past: String = (0..400)
        .map(|n| session_text(&format!("p{n}"), n + 1, 1_000 + n as i64, Some(5_000), ""))
        .collect();
    let document = format!("<session_list xmlns=\"{BOMGAR}\">{past}</session_list>");
    let imported = run_with(there.path(), &["import", "-"], document.as_bytes());
    assert_eq!(imported.code, 0, "{}", imported.stderr);
    let server = Server::start_with(there.path(), &KEYS);
    let (login, token) = (server.admin(), server.token());
    for n in (0..400).step_by(10) {
        let path = format!("/api/v1/sessions/p{n}/recordings/session/0");
        let request = ureq::put(format!("http://{}{path}", server.address));
        let request = request.header("Authorization", format!("Bearer {token}"));
        assert_eq!(request.send(WEBM).unwrap().status(), 201);
    }
    let credentials = credentials(&login);
    configure(here.path(), &server.address, &credentials);
    // Its administrator is told once.
    let mut copy = Some(Server::start_with(here.path(), &FREE));
    let admin = copy.as_ref().unwrap().admin();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (address, token, is_over) = (&server.address, &token, &is_over);
        let mut feeder_dice = dice.fork();
        scope.spawn(move || feed(address, token, is_over, &mut feeder_dice, "x"));
        for _ in 0..KILLS {
            thread::sleep(Duration::from_millis(dice.u64(20..=LIFE_MILLIS_MAX)));
            // Dropping it is SIGKILL.
            drop(copy.take());
            copy = Some(Server::start_with(here.path(), &FREE));
        }
        is_over.store(true, Ordering::SeqCst);
    });
    let mut copy = copy.unwrap();
    let copy_token = copy.token_of(&admin);
    let all = "start_time=0&duration=0";
    eventually("the copy is equal", || {
        let ours = canonical(&copy.report(&copy_token, all));
        let report = server.report(&token, all);
        let lsids = lsids(&report);
        400 < lsids.len()
            && ours == canonical(&report)
            && recordings(&copy, &copy_token, &lsids) == recordings(&server, &token, &lsids)
    });
    let source = &sources(&copy, &copy_token)[0];
    assert_eq!(source["dead_letters"], 0, "{source}");
    assert_eq!(source["refused"], 0, "{source}");
    copy.terminate();
    assert_eq!(copy.wait(), Some(0));
    let verified = run(here.path(), &["verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn a_server_that_is_asked_to_end_does_not_wait_for_what_it_copies() {
    let busy = "503 Service Unavailable\r\nRetry-After: 3000";
    for (mishap, is_cut_off) in [(busy, false), ("silence", true)] {
        let appliance = Appliance::new(BOMGAR);
        appliance.told().mishaps = vec![mishap; 100];
        let directory = tempdir().unwrap();
        let data = directory.path();
        let credentials = made_up();
        configure(data, &appliance.address, &credentials);
        let mut server = Server::start_with(data, &FREE);
        let asked = || appliance.told().asked.len();
        eventually("it is asked", || 2 <= asked());
        server.terminate();
        assert_eq!(server.wait(), Some(0));
        let said = server.stderr();
        assert!(said.contains("stopped"), "{said}");
        let is_told = said.contains("a source is cut off in the middle");
        assert_eq!(is_told, is_cut_off, "{said}");
        assert!(!said.contains("is not copied now"), "{said}");
    }
}

#[test]
fn a_copy_made_by_hand_is_shown_by_the_server_of_the_same_archive() {
    let appliance = Appliance::new(BOMGAR);
    let directory = tempdir().unwrap();
    let data = directory.path();
    let start = now() - 100;
    appliance.told().past = vec![Past::new("s", start, Some(start + 10))];
    let server = Server::start_with(data, &FREE);
    let login = server.admin();
    let token = server.token_of(&login);
    assert!(sources(&server, &token).is_empty());
    once(data, &appliance);
    let source = sources(&server, &token).remove(0);
    assert_eq!(source["name"], format!("appliance/{}", appliance.address));
    assert_eq!(source["state"], "ended");
    assert_eq!(source["events"], 1);
    assert!(source["lag_seconds"].as_u64().unwrap() < 1_000);
    assert!(source["told"].is_string() && source["error"].is_null());
    // One that fails says so, also to a server that was started since.
    appliance.told().mishaps = vec!["403 Forbidden"; 100];
    let credentials = made_up();
    let args = pull_args(&appliance.address, &credentials, &[]);
    assert_eq!(pull(data, &args).code, 1);
    drop(server);
    let server = Server::start_with(data, &FREE);
    let source = sources(&server, &server.token_of(&login)).remove(0);
    assert_eq!(source["state"], "failing");
    let error = source["error"]["message"].as_str().unwrap();
    assert!(error.contains("403"), "{error}");
}
