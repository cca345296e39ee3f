//! A real MeshCentral on the loopback, with an agent and two technicians, and Debrief following
//! it: killed in the middle, and started again.
//!
//! The agent has no screen here, so the shared desktop has a recording without a picture.

mod fake;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::world::{Server, all, eventually, only};

/// What is tested against.
const VERSION: &str = "1.1.55";
/// What to do where it cannot be installed: this test never passes without it.
const INSTALL: &str = "the test needs node and npm: apt-get install -y nodejs npm; then \
                       `npm install --ignore-scripts --prefix target/meshcentral \
                       meshcentral@1.1.55`";
/// The test looks often.
const FREE: [(&str, &str); 2] = [("requests_per_second", "0"), ("requests_per_hour", "0")];
const PASSWORD: &str = "Pr0be-Only-Loopback!";
const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/meshcentral/drive.js");

/// `target/meshcentral`, with the package in it.
fn installed() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_debrief")).ancestors().nth(2);
    let home = target
        .expect("binaries are in target/*/")
        .join("meshcentral");
    let package = home.join("node_modules/meshcentral/package.json");
    let is_here = || {
        let text = fs::read_to_string(&package).unwrap_or_default();
        text.contains(&format!("\"version\": \"{VERSION}\""))
    };
    if !is_here() {
        fs::create_dir_all(&home).unwrap();
        let npm = Command::new("npm")
            .args([
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--prefix",
            ])
            .arg(&home)
            .arg(format!("meshcentral@{VERSION}"))
            .stdout(Stdio::null())
            .status();
        assert!(
            npm.is_ok_and(|status| status.success()) && is_here(),
            "{INSTALL}"
        );
    }
    home
}

/// A running MeshCentral; it ends with this value, because its standard input does.
struct Mesh {
    child: Child,
    url: String,
    _stdin: ChildStdin,
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Mesh {
    /// Starts one on a free port with what stands in this directory.
    fn start(home: &Path, data: &Path) -> Mesh {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let recordings = data.join("recordings");
        fs::create_dir_all(&recordings).unwrap();
        let config = json!({
            "settings": {
                "cert": "127.0.0.1", "wanOnly": true, "port": port, "portBind": "127.0.0.1",
                "redirPort": 0, "mpsPort": 0, "selfUpdate": false, "noAgentUpdate": 1,
                "amtManager": false, "amtScanner": false, "webRTC": false, "crowdsec": false,
                "agentTimeStampServer": false, "desktopMultiplex": true,
            },
            "domains": { "": { "newAccounts": false, "sessionRecording": {
                "onlySelectedUsers": false, "filepath": recordings, "protocols": [1, 2, 5, 200],
            } } },
        });
        fs::write(data.join("config.json"), config.to_string()).unwrap();
        let mut command = command(home, data);
        command.arg("--launch").stdin(Stdio::piped());
        let log = fs::File::create(data.join("log.txt")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{error}; {INSTALL}"));
        let stdin = child.stdin.take().unwrap();
        let mut mesh = Mesh {
            child,
            url: String::new(),
            _stdin: stdin,
        };
        // It tries the port out, and may take the next one: only its own word tells.
        let log = data.join("log.txt");
        eventually("MeshCentral runs", || {
            let said = fs::read_to_string(&log).unwrap();
            let address = said.split_once("server running on ");
            let line = address.and_then(|(_, rest)| rest.split_once(".\n"));
            mesh.url = line.map_or(String::new(), |(address, _)| format!("https://{address}"));
            line.is_some()
        });
        mesh
    }

    /// A data directory with two administrators and certificates. Making them takes long, so they
    /// are kept.
    fn prepared(home: &Path) -> TempDir {
        let kept = home.join("prepared");
        if !kept.join("done").exists() {
            let _ = fs::remove_dir_all(&kept);
            fs::create_dir_all(&kept).unwrap();
            fs::write(
                kept.join("config.json"),
                "{\"settings\":{\"cert\":\"127.0.0.1\"}}",
            )
            .unwrap();
            for (user, name) in [("ann", "Ann"), ("bob", "Bob")] {
                let create = ["--createaccount", user, "--pass", PASSWORD, "--name", name];
                for args in [&create[..], &["--adminaccount", user]] {
                    let run = command(home, &kept)
                        .args(args)
                        .stdout(Stdio::null())
                        .status();
                    assert!(run.unwrap().success());
                }
            }
            drop(Mesh::start(home, &kept));
            fs::write(kept.join("done"), "").unwrap();
        }
        let data = tempfile::tempdir().unwrap();
        let copied = Command::new("cp")
            .arg("-a")
            .arg(kept.join("."))
            .arg(data.path())
            .status();
        assert!(copied.unwrap().success());
        data
    }
}

fn command(home: &Path, data: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg(home.join("node_modules/meshcentral/meshcentral.js"));
    command.arg("--datapath").arg(data);
    command.arg("--filespath").arg(data.join("files"));
    command
}

/// The SHA-256 of the certificate that the web server shows.
fn pin(data: &Path) -> String {
    let pem = fs::read_to_string(data.join("webserver-cert-public.crt")).unwrap();
    let lines = pem
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"));
    let lines = lines.skip(1).take_while(|line| !line.starts_with("-----"));
    let base64: String = lines.map(str::trim).collect();
    let der = base64::engine::general_purpose::STANDARD
        .decode(base64)
        .unwrap();
    let hash = Sha256::digest(der);
    let digits: Vec<String> = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    digits.join(":")
}

/// Technicians and an agent.
struct Driver {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Driver {
    fn start(home: &Path, mesh: &Mesh, directory: &Path) -> Driver {
        let mut child = Command::new("node")
            .env("NODE_NO_WARNINGS", "1")
            .arg(DRIVER)
            .arg(home.join("node_modules"))
            .arg(&mesh.url)
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Driver {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Does one step to its end.
    fn does(&mut self, step: &str) -> Value {
        self.begins(step);
        self.ends()
    }

    fn begins(&mut self, step: &str) {
        writeln!(self.stdin, "{step}").unwrap();
    }

    fn ends(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Ends the agent, and everybody else.
    fn end(self) {
        let Driver {
            mut child, stdin, ..
        } = self;
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}

fn source(server: &Server, token: &str) -> Value {
    let mut answer = ureq::get(format!("http://{}/api/v1/sources", server.address))
        .header("Authorization", format!("Bearer {token}"))
        .call()
        .unwrap();
    let answer: Value = answer.body_mut().read_json().unwrap();
    answer["sources"][0].clone()
}

#[test]
fn what_was_done_at_a_real_server_is_reported_once_although_debrief_was_killed() {
    let home = installed();
    let mesh_data = Mesh::prepared(&home);
    let mesh = Mesh::start(&home, mesh_data.path());
    let work = tempfile::tempdir().unwrap();
    let mut driver = Driver::start(&home, &mesh, work.path());
    let begun = driver.does("begin");
    let data = tempfile::tempdir().unwrap();
    let config = format!(
        "[[source.meshcentral]]\nname = \"site\"\nurl = {:?}\nidle_secs = 12\n\
         token = {{ user = {}, password = {} }}\ncertificate_sha256 = {:?}\n",
        mesh.url,
        begun["user"],
        begun["password"],
        pin(mesh_data.path()),
    );
    fs::write(data.path().join("debrief.toml"), config).unwrap();

    let server = Server::start_with(data.path(), &FREE);
    let login = server.admin();
    let token = server.token_of(&login);
    eventually("the source is followed", || {
        source(&server, &token)["state"] == "following"
    });
    assert_eq!(driver.does("terminal"), json!({ "is_heard": true }));
    eventually("the terminal is heard of", || {
        server
            .report(&token, "start_time=0&duration=0")
            .contains("Command Shell Session Started")
    });
    // Killed with files half way; the chat happens while nobody listens.
    driver.begins("files");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    drop(server);
    let folder = driver.ends()["folder"].as_str().unwrap().to_owned();
    driver.does("chat");
    let mut server = Server::start_with(data.path(), &FREE);
    let token = server.token_of(&login);
    driver.does("desktop");
    driver.does("note");
    driver.end();

    let report = || server.report(&token, "start_time=0&duration=0");
    eventually("the session ended and its recordings are here", || {
        let told = source(&server, &token);
        let report = report();
        assert_eq!(told["n_dead"].as_u64().unwrap_or(0), 0, "{told}");
        let has = |what: &str| report.contains(what);
        has("Session End")
            && has("session_recording_view_url")
            && has("<command_shell_recording")
            && has("Hello, how can I help?")
    });
    let report = report();
    check(&report, &folder);

    let cast = only(&report, "download_url");
    let mut cast = ureq::get(cast).call().unwrap();
    let cast = cast.body_mut().read_to_string().unwrap();
    assert!(
        cast.starts_with("{\"version\":2,\"width\":80,\"height\":24"),
        "{cast}"
    );
    assert!(cast.contains("hello-42"), "{cast}");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert!(!server.stderr().contains("panicked"));
}

/// Compares the report with what the driver did.
#[track_caller]
fn check(report: &str, folder: &str) {
    let document = roxmltree::Document::parse(report).unwrap();
    let named = |name: &'static str| {
        let all = document.descendants();
        all.filter(move |node| node.tag_name().name() == name)
    };
    assert_eq!(named("session").count(), 1, "{report}");
    let mut told: Vec<String> = Vec::new();
    for event in named("event") {
        let text = |name: &str| {
            let mut children = event.children();
            let child = children.find(|node| node.tag_name().name() == name);
            child
                .and_then(|node| node.text())
                .map(|text| text.replace(folder, "…"))
        };
        let by = text("performed_by").unwrap_or_default();
        let mut line = format!("{}: {by}", event.attribute("event_type").unwrap());
        for name in ["body", "filename", "filesize"] {
            if let Some(text) = text(name) {
                line += &format!(" [{text}]");
            }
        }
        told.push(line);
    }
    // What the two sides of a relay tell at the same moment may come in either order.
    told.sort();
    let expected = expect_test::expect![[r#"
        Chat Message: Ann [Hello, how can I help?]
        Chat Message: System [Ann can now view and control the screen.]
        Chat Message: System [Ann can now work with the files.]
        Chat Message: System [Ann opened a chat.]
        Chat Message: System [Started remote desktop without notification (127.0.0.1)]
        Chat Message: System [Started remote files without notification (127.0.0.1)]
        Chat Message: vm [My printer <broken> & sad]
        Command Shell Session Started: Ann
        Conference Member Added: Ann
        Conference Member Added: Bob
        Conference Member Added: vm
        Conference Member Departed: Ann
        Conference Member Departed: Bob
        Conference Owner Changed: System
        Directory Created: Ann
        File Deleted: Ann […/up2.bin]
        File Download: vm […/up2.bin]
        File Moved: Ann […/up.bin]
        File Upload: Ann […/up.bin] [11]
        Screen Recording: Ann
        Screen Recording: Ann
        Session End: System
        Session Note Added: Ann [Customer called about printer, ticket 42]
        Session Start: System
        System Information Retrieved: System
    "#]];
    expected.assert_eq(&(told.join("\n") + "\n"));
    let mut names = all(report, "display_name");
    names.sort();
    names.dedup();
    for name in ["Ann", "Bob"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
}
