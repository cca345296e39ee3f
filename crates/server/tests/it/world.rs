//! A small world to test in: an archive, a clock that stands still, the router, the binary.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use debrief::app::App;
use debrief::clock::Clock;
use debrief::config::Config;
use debrief::http::{Peer, router};
use debrief_domain::{
    Actor, ActorKind, At, Customer, Directory, Event, EventId, EventType, Invitation, Joined, Lsid,
    Moment, Permissions, RepId, Representative, SessionContext, SiteId, Team, TeamId, TeamRef,
    fold,
};
use debrief_report::{Level, Sealer, session_parts};
use debrief_store::{
    AccessEntry, AccountId, Append, Material, NewAccount, Objects, SealedBody, Store, TokenHash,
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// 2016-11-15T12:00:00Z, when every world begins.
pub(crate) const NOW: i64 = 1_479_211_200;

/// A UNIX time in seconds.
pub(crate) fn at(secs: i64) -> At {
    At::from_secs(secs).unwrap()
}

/// The second that an ISO 8601 time without a zone, in UTC, names.
pub(crate) fn secs(iso: &str) -> i64 {
    debrief_report::parse_iso(&format!("{iso}+00:00"))
        .unwrap()
        .secs()
}

/// The router over an archive of its own.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) app: App,
    router: Router,
    pub(crate) data: TempDir,
}

/// The token of the account that every world begins with: it may read all reports.
const READER: &str = "the-token-of-the-reader";
/// Where requests come from unless a test says otherwise.
pub(crate) const HOME: &str = "203.0.113.7:4711";

/// What a client logs in with.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl World {
    pub(crate) async fn new() -> World {
        World::with(&[]).await
    }

    /// A world whose configuration differs by these keys. Any number of requests may be made
    /// unless one of them says otherwise: that limit goes by the computer's clock.
    pub(crate) async fn with(keys: &[(&str, &str)]) -> World {
        World::over(tempfile::tempdir().unwrap(), keys).await
    }

    /// The world of a data directory that may hold something already.
    pub(crate) async fn over(data: TempDir, keys: &[(&str, &str)]) -> World {
        World::tuned(data, keys, |_| {}).await
    }

    /// The same with a configuration that is changed further.
    pub(crate) async fn tuned(
        data: TempDir,
        keys: &[(&str, &str)],
        tune: impl FnOnce(&mut Config),
    ) -> World {
        let free = [("requests_per_second", "0"), ("requests_per_hour", "0")];
        let environment = free.iter().chain(keys).map(|(name, value)| {
            // Names in capitals are the object store's own.
            let is_own = name.starts_with(char::is_uppercase);
            let prefix = if is_own { "" } else { "DEBRIEF_" };
            let name = format!("{prefix}{}", name.to_ascii_uppercase());
            (name, (*value).to_owned())
        });
        let mut config = Config::load(None, environment, &[]).unwrap();
        tune(&mut config);
        let store = Store::open(data.path()).unwrap();
        let clock = Clock::fixed(at(NOW));
        let files = config.open_files(data.path()).unwrap();
        let app = App::new(store.clone(), files, config, clock.clone())
            .await
            .unwrap();
        let world = World {
            store,
            clock,
            router: router(app.clone()),
            app,
            data,
        };
        let reader = world.login("reader", "reporting,recordings", &[]).await;
        let account = world.store.account_by_client_id(&reader.id).await.unwrap();
        let hash = TokenHash(Sha256::digest(READER).into());
        let account = account.unwrap();
        assert!(
            world
                .store
                .issue_token(&account, hash, at(NOW), At::MAX)
                .await
                .unwrap()
        );
        world
    }

    /// The same world, whose server works with this store; `World::store` stays as it was.
    pub(crate) async fn served_from(mut self, store: &Store) -> World {
        let config = self.app.config().clone();
        self.app = loop {
            let files = config.open_files(self.data.path()).unwrap();
            let app = App::new(store.clone(), files, config.clone(), self.clock.clone()).await;
            // A store that lies may refuse this too.
            if let Ok(app) = app {
                break app;
            }
        };
        self.router = router(self.app.clone());
        self
    }

    /// The same world, whose server keeps recordings in this store.
    pub(crate) async fn keeping_in(mut self, objects: &Objects) -> World {
        let config = self.app.config().clone();
        let mut files = config.open_files(self.data.path()).unwrap();
        files.objects = objects.clone();
        let app = App::new(self.store.clone(), files, config, self.clock.clone()).await;
        self.app = app.unwrap();
        self.router = router(self.app.clone());
        self
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// A new account.
    pub(crate) async fn login(&self, name: &str, allow: &str, networks: &[&str]) -> Login {
        let login = Login {
            id: format!("client-{name}"),
            secret: format!("very-secret-word-of-{name}"),
        };
        let new = NewAccount {
            name: name.into(),
            client_id: login.id.clone(),
            secret_hash: Sha256::digest(&login.secret).into(),
            permissions: Permissions::parse(allow).unwrap(),
            networks: networks.iter().map(ToString::to_string).collect(),
            comment: String::new(),
            created: at(NOW),
        };
        self.store.create_account(new).await.unwrap().unwrap();
        login
    }

    /// A token, asked for as a client does.
    pub(crate) async fn token(&self, login: &Login) -> String {
        let reply = self.send(token_request(login)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Adds events; all must be new.
    pub(crate) async fn append(&self, events: Vec<Event>) {
        let n = events.len() as u64;
        match self
            .store
            .append(AccountId(77), events, self.clock.now())
            .await
            .unwrap()
        {
            Append::Done(appended) => assert_eq!(appended.fresh, n),
            Append::Conflicts(conflicts) => panic!("{conflicts:?}"),
        }
    }

    /// Imports a document as the command line does.
    pub(crate) fn import(&self, document: &str) {
        let run = run_with(self.data(), &["import", "-"], document.as_bytes());
        assert_eq!(run.code, 0, "{}", run.stderr);
    }

    /// Turns every closed session into its kept bytes, as the sweeper does.
    pub(crate) async fn seal(&self) -> u64 {
        let (version, directory) = self.store.directory().await.unwrap();
        let mut sealer = Sealer::new(Level::Keep);
        // Settles what waits.
        self.store.last_change().await.unwrap();
        let unsealed = self.store.unsealed(usize::MAX >> 1).await.unwrap();
        let bodies = unsealed.into_iter().map(|unsealed| {
            let Material::Events(events) = unsealed.material else {
                panic!("only sessions made of events are sealed here");
            };
            let session = fold(unsealed.lseq, events, Moment::Silent).unwrap();
            SealedBody {
                place: unsealed.place,
                change: unsealed.change,
                names: version,
                body: sealer.seal(&session_parts(&session, &directory)),
            }
        });
        let bodies = bodies.collect();
        self.store.seal(bodies).await.unwrap()
    }

    /// The answer to a request. It comes from [`HOME`] unless it says where from.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let (status, headers, body) = self.begin(request).await;
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Reply {
            status: status.as_u16(),
            headers,
            body,
        }
    }

    /// The reader's report as a stream of the chunks that it is sent in.
    pub(crate) async fn stream(&self, query: &str) -> BodyDataStream {
        let (status, _, body) = self.begin(get(query).body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        body.into_data_stream()
    }

    /// The answer's head, and a body that comes as it is made.
    pub(crate) async fn begin(&self, mut request: Request<Body>) -> (StatusCode, HeaderMap, Body) {
        if request.extensions().get::<Peer>().is_none() {
            request.extensions_mut().insert(Peer(HOME.parse().unwrap()));
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, body)
    }

    /// The reader's `SupportSession` report of these parameters.
    pub(crate) async fn ask(&self, query: &str) -> Reply {
        self.send(get(query).body(Body::empty()).unwrap()).await
    }

    /// The same with this token.
    pub(crate) async fn ask_as(&self, token: &str, query: &str) -> Reply {
        let request = Request::get(report_path(query)).header(header::HOST, "debrief.example");
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// The whole access log, oldest first, once it is written.
    pub(crate) async fn accesses(&self) -> Vec<AccessEntry> {
        // Entries are written with the next commit: this makes one.
        let name = format!("flush-{}", self.store.accounts().await.unwrap().len());
        self.login(&name, "", &[]).await;
        let entries = self.store.accesses(u64::MAX >> 1, 10_000).await.unwrap();
        entries.into_iter().rev().map(|(_, entry)| entry).collect()
    }
}

fn report_path(query: &str) -> String {
    format!("/api/reporting?generate_report=SupportSession&{query}")
}

fn get(query: &str) -> axum::http::request::Builder {
    as_reader(Request::get(report_path(query)))
}

/// A request with the reader's token.
pub(crate) fn as_reader(request: axum::http::request::Builder) -> axum::http::request::Builder {
    request
        .header(header::HOST, "debrief.example")
        .header(header::AUTHORIZATION, format!("Bearer {READER}"))
}

/// A request that comes from this address.
pub(crate) fn from(peer: &str, mut request: Request<Body>) -> Request<Body> {
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(Peer(peer));
    request
}

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// The usual request for a token: HTTP Basic and a form.
pub(crate) fn token_request(login: &Login) -> Request<Body> {
    Request::post("/oauth2/token")
        .header(header::AUTHORIZATION, basic(login))
        .header(header::CONTENT_TYPE, FORM)
        .body("grant_type=client_credentials".into())
        .unwrap()
}

/// The header of HTTP Basic.
pub(crate) fn basic(login: &Login) -> String {
    use base64::Engine as _;
    let pair = format!("{}:{}", login.id, login.secret);
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    )
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A header's value; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The sessions of a report, in order.
    #[track_caller]
    pub(crate) fn lsids(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.text());
        lsids(self.text())
    }

    /// The sentence of an `<error>` inside the list.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        let document = roxmltree::Document::parse(self.text()).unwrap();
        let error = document
            .descendants()
            .find(|node| node.has_tag_name((NAMESPACE, "error")));
        error.unwrap().text().unwrap_or("").to_owned()
    }
}

/// The namespace of a report unless the configuration says otherwise.
pub(crate) const NAMESPACE: &str = "http://www.beyondtrust.com/sra/namespaces/API/reporting";

/// The sessions of a `session_list` document, in order.
#[track_caller]
pub(crate) fn lsids(document: &str) -> Vec<String> {
    let document = match roxmltree::Document::parse(document) {
        Ok(document) => document,
        Err(error) => panic!("{error}: {document:.2000}"),
    };
    let root = document.root_element();
    assert!(
        root.has_tag_name((NAMESPACE, "session_list")),
        "{:?}",
        root.tag_name()
    );
    let sessions = root.children().filter(roxmltree::Node::is_element);
    let lsid = |session: roxmltree::Node<'_, '_>| {
        assert!(
            session.has_tag_name((NAMESPACE, "session")),
            "{:?}",
            session.tag_name()
        );
        session.attribute("lsid").unwrap().to_owned()
    };
    sessions.map(lsid).collect()
}

/// The text of the only element of this name.
#[track_caller]
pub(crate) fn only(document: &str, name: &str) -> String {
    let found = all(document, name);
    assert_eq!(found.len(), 1, "{name} in {document}");
    found.into_iter().next().unwrap()
}

/// The text of every element of this name, in order.
#[track_caller]
pub(crate) fn all(document: &str, name: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(document).unwrap();
    let found = document
        .descendants()
        .filter(|node| node.has_tag_name((NAMESPACE, name)));
    found
        .map(|node| node.text().unwrap_or("").to_owned())
        .collect()
}

/// The events of a session, told one after the other.
pub(crate) struct Story {
    lsid: String,
    start: i64,
    pub(crate) events: Vec<Event>,
}

impl Story {
    /// A session that starts at this second, run through the default site without naming it.
    pub(crate) fn new(lsid: &str, start: i64) -> Story {
        let mut story = Story {
            lsid: lsid.into(),
            start,
            events: Vec::new(),
        };
        story.happens(start, EventType::SessionStart, |event| {
            event.customer = Some(Box::new(Customer {
                gsnumber: 5,
                username: "Kim".into(),
                ..Customer::default()
            }));
        });
        story
    }

    /// Something else that happens.
    pub(crate) fn happens(&mut self, secs: i64, kind: EventType, tell: impl FnOnce(&mut Event)) {
        let id = EventId::parse(&format!("{}-{}", self.lsid, self.events.len())).unwrap();
        let mut event = Event::new(id, Lsid::parse(&self.lsid).unwrap(), at(secs), kind);
        tell(&mut event);
        self.events.push(event);
    }

    /// It runs through this public site.
    pub(crate) fn site(mut self, id: &str) -> Story {
        let context = SessionContext {
            public_site: Some((SiteId::parse(id).unwrap(), Some(format!("site {id}")))),
            ..SessionContext::default()
        };
        self.events[0].session = Some(Box::new(context));
        self
    }

    /// A representative joins as a conference member.
    pub(crate) fn member(mut self, rep: &str) -> Story {
        let joined = Joined {
            gsnumber: gsnumber(rep),
            id: RepId::parse(rep).unwrap(),
            username: format!("rep{rep}"),
            public_display_name: format!("Rep {rep}"),
            private_display_name: format!("Rep {rep}"),
            display_number: String::new(),
            public_ip: None,
            private_ip: None,
            hostname: None,
            os: None,
            support_teams: Vec::new(),
            invitation: Invitation::Regular,
        };
        self.happens(self.start, EventType::ConferenceMemberAdded, |event| {
            event.representative = Some(Box::new(joined));
        });
        self
    }

    /// A representative joins and becomes the owner.
    pub(crate) fn owner(self, rep: &str) -> Story {
        let mut story = self.member(rep);
        story.happens(story.start, EventType::ConferenceOwnerChanged, |event| {
            event.destination = Some(Actor {
                kind: ActorKind::Representative,
                gsnumber: gsnumber(rep),
                name: None,
            });
        });
        story
    }

    /// It comes to a team.
    pub(crate) fn team(mut self, id: &str) -> Story {
        self.happens(self.start, EventType::SessionAssigned, |event| {
            event.team = Some(TeamRef {
                id: TeamId::parse(id).unwrap(),
                name: Some(format!("team {id} then")),
            });
        });
        self
    }

    /// It ends.
    pub(crate) fn end(mut self, secs: i64) -> Story {
        self.happens(secs, EventType::SessionEnd, |_| {});
        self
    }
}

fn gsnumber(rep: &str) -> u32 {
    100 + rep.parse::<u32>().unwrap()
}

/// A directory of teams, each with a name and its members.
pub(crate) fn directory(teams: &[(&str, &str, &[&str])]) -> Directory {
    let mut directory = Directory::default();
    for (id, name, members) in teams {
        let members = members.iter().map(|id| RepId::parse(id).unwrap());
        let team = Team {
            name: (*name).into(),
            members: members.collect(),
            issues: Vec::new(),
        };
        for member in &team.members {
            let username = format!("rep{member}");
            let rep = Representative {
                username,
                ..Representative::default()
            };
            directory.representatives.insert(member.clone(), rep);
        }
        directory.teams.insert(TeamId::parse(id).unwrap(), team);
    }
    directory
}

/// What became of a run of the binary.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary with a data directory, and nothing of the surroundings' configuration.
pub(crate) fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_debrief"));
    command.arg("--data").arg(data).args(args);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DEBRIEF_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the binary to its end.
pub(crate) fn run(data: &Path, args: &[&str]) -> Run {
    run_with(data, args, b"")
}

/// Runs the binary to its end with this standard input.
pub(crate) fn run_with(data: &Path, args: &[&str], stdin: &[u8]) -> Run {
    finish(command(data, args), stdin)
}

/// Runs a command to its end with this standard input.
#[track_caller]
pub(crate) fn finish(mut command: Command, stdin: &[u8]) -> Run {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let code = std::thread::scope(|scope| {
        // A program that does not want its input closes the pipe: no matter.
        scope.spawn(move || drop(pipe.write_all(stdin)));
        let stdout = scope.spawn(move || std::io::read_to_string(stdout).unwrap());
        let stderr = scope.spawn(move || std::io::read_to_string(stderr).unwrap());
        let deadline = Instant::now() + WAIT_MAX;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if deadline < Instant::now() => {
                    // The threads above end with it.
                    child.kill().unwrap();
                    child.wait().unwrap();
                    break None;
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
        status.map(|status| (status.code().unwrap_or(-1), stdout, stderr))
    });
    let Some((code, stdout, stderr)) = code else {
        panic!("it never ended: {command:?}");
    };
    Run {
        code,
        stdout,
        stderr,
    }
}

/// The binary as a server on a free port of the loopback; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Such as `127.0.0.1:40123`.
    pub(crate) address: String,
    /// The first line of standard output.
    pub(crate) first_line: String,
    log: PathBuf,
}

impl Server {
    pub(crate) fn start(data: &Path) -> Server {
        Server::start_with(data, &[])
    }

    /// A server with these configuration keys.
    pub(crate) fn start_with(data: &Path, keys: &[(&str, &str)]) -> Server {
        let mut command = command(data, &["serve", "--listen", "127.0.0.1:0"]);
        for (name, value) in keys {
            command.env(format!("DEBRIEF_{}", name.to_ascii_uppercase()), value);
        }
        Server::start_as(command, data)
    }

    /// A server that this command runs.
    pub(crate) fn start_as(mut command: Command, data: &Path) -> Server {
        fs::create_dir_all(data).unwrap();
        let log = data.join("stderr.txt");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = child.stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut first_line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut first_line).unwrap();
        let Some(address) = first_line.trim().strip_prefix("listening on http://") else {
            // A child that is dropped goes on.
            let _ = child.kill();
            let _ = child.wait();
            panic!("{first_line}{}", fs::read_to_string(&log).unwrap());
        };
        Server {
            address: address.into(),
            first_line: first_line.clone(),
            child,
            log,
        }
    }

    /// What it said on standard error so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The administrator's credentials, which the first start prints.
    pub(crate) fn admin(&self) -> Login {
        let mut login = Login {
            id: String::new(),
            secret: String::new(),
        };
        eventually("the credentials are printed", || {
            let stderr = self.stderr();
            let word = |label: &str| {
                let line = stderr.lines().find_map(|line| line.strip_prefix(label));
                line.and_then(|rest| rest.split_whitespace().next())
                    .map(str::to_owned)
            };
            login.id = word("client id").unwrap_or_default();
            login.secret = word("client secret").unwrap_or_default();
            !login.id.is_empty() && !login.secret.is_empty() && stderr.ends_with('\n')
        });
        login
    }

    /// A token of the administrator.
    pub(crate) fn token(&self) -> String {
        self.token_of(&self.admin())
    }

    /// A token of this account.
    pub(crate) fn token_of(&self, login: &Login) -> String {
        let mut response = ureq::post(format!("http://{}/oauth2/token", self.address))
            .header("Authorization", basic(login))
            .send_form([("grant_type", "client_credentials")])
            .unwrap();
        let answer: serde_json::Value = response.body_mut().read_json().unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// A report.
    pub(crate) fn report(&self, token: &str, query: &str) -> String {
        let mut text = String::new();
        let mut response = ureq::get(format!("http://{}{}", self.address, report_path(query)))
            .header("Authorization", format!("Bearer {token}"))
            .header("Accept-Encoding", "identity")
            .call()
            .unwrap();
        response
            .body_mut()
            .as_reader()
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    /// A connection that has asked for a report and read nothing of the answer.
    pub(crate) fn begin(&self, token: &str, query: &str) -> std::net::TcpStream {
        self.begin_coded(token, query, "identity")
    }

    /// The same, for a client that takes this coding.
    pub(crate) fn begin_coded(
        &self,
        token: &str,
        query: &str,
        coding: &str,
    ) -> std::net::TcpStream {
        let mut socket = std::net::TcpStream::connect(&self.address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let path = report_path(query);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Accept-Encoding: {coding}\r\nConnection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        socket
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the server to end.
    pub(crate) fn terminate(&self) {
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end, and gives the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let mut code = None;
        eventually("the server ends", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.unwrap().code()
    }

    /// Anonymous memory in KiB.
    pub(crate) fn anonymous_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long anything may take before a test gives up.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Looks again and again, for at most [`WAIT_MAX`].
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_MAX;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
