//! The row about clients that other people wrote: each must decode the gzip body to the very bytes
//! that a client without gzip gets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail, ensure};

use super::super::load::{Coding, Connection};
use super::super::results::Measured;
use super::super::stand::{Stand, say};
use super::{compared, missing};

/// Sessions of the report: enough for several chunks, few enough for everyone's memory.
const SESSIONS_MAX: usize = 1_000;
/// How long a client may take, in seconds.
const CLIENT_SECS_MAX: &str = "120";
/// Packages that the bench never installs by itself.
pub(super) const PYTHON: &str = "target/bench-venv/bin/python";

/// A client: what it is called, the file it is made of, and how it is run.
struct Client {
    name: &'static str,
    source: Option<(&'static str, &'static str)>,
    /// A command that succeeds when it is installed.
    probe: &'static [&'static str],
    /// `FILE`, `HOME`, `URL` and `TOKEN` are put in.
    run: &'static [&'static str],
    tells: Tells,
}

/// What comes out of a client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tells {
    /// The document.
    Body,
    /// Its SHA-256, inside a page.
    Digest,
}

macro_rules! source {
    ($file:literal) => {
        Some(($file, include_str!(concat!("../clients/", $file))))
    };
}

const CLIENTS: [Client; 11] = [
    Client {
        name: "curl",
        source: None,
        probe: &["curl", "--version"],
        run: &[
            "curl",
            "-sSf",
            "--compressed",
            "-H",
            "Authorization: Bearer TOKEN",
            "URL",
        ],
        tells: Tells::Body,
    },
    Client {
        name: "wget",
        source: None,
        probe: &["wget", "--version"],
        run: &[
            "wget",
            "-qO-",
            "--compression=gzip",
            "--header=Authorization: Bearer TOKEN",
            "URL",
        ],
        tells: Tells::Body,
    },
    Client {
        name: "Python urllib + gzip",
        source: source!("urllib_gzip.py"),
        probe: &["python3", "-c", "import gzip"],
        run: &["python3", "FILE", "URL", "TOKEN"],
        tells: Tells::Body,
    },
    Client {
        name: "Python urllib + zlib, one member",
        source: source!("urllib_zlib.py"),
        probe: &["python3", "-c", "import zlib"],
        run: &["python3", "FILE", "URL", "TOKEN"],
        tells: Tells::Body,
    },
    Client {
        name: "Python requests",
        source: source!("requests_get.py"),
        probe: &[PYTHON, "-c", "import requests"],
        run: &[PYTHON, "FILE", "URL", "TOKEN"],
        tells: Tells::Body,
    },
    Client {
        name: "Python urllib3",
        source: source!("urllib3_get.py"),
        probe: &[PYTHON, "-c", "import urllib3"],
        run: &[PYTHON, "FILE", "URL", "TOKEN"],
        tells: Tells::Body,
    },
    Client {
        name: "Python httpx",
        source: source!("httpx_get.py"),
        probe: &[PYTHON, "-c", "import httpx"],
        run: &[PYTHON, "FILE", "URL", "TOKEN"],
        tells: Tells::Body,
    },
    Client {
        name: "Node fetch",
        source: source!("fetch.mjs"),
        probe: &["node", "-e", "fetch"],
        run: &["node", "FILE", "URL", "TOKEN"],
        tells: Tells::Body,
    },
    Client {
        name: "Java HttpClient + GZIPInputStream",
        source: source!("Fetch.java"),
        probe: &["javac", "--version"],
        run: &["java", "FILE", "URL", "TOKEN"],
        tells: Tells::Body,
    },
    Client {
        name: "Chromium",
        source: source!("chromium.html"),
        probe: &["chromium", "--version"],
        run: &CHROMIUM,
        tells: Tells::Digest,
    },
    Client {
        name: "curl + zcat",
        source: None,
        probe: &["zcat", "--version"],
        run: &[
            "sh",
            "-c",
            "curl -sSf -H 'Accept-Encoding: gzip' -H 'Authorization: Bearer TOKEN' 'URL' | zcat",
        ],
        tells: Tells::Body,
    },
];

/// Its page comes from a file, and Debrief allows no other origin: so that rule is off.
const CHROMIUM: [&str; 10] = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-web-security",
    "--user-data-dir=HOME/chromium",
    "--virtual-time-budget=60000",
    "--dump-dom",
    "file://FILE",
];

pub(super) fn against_identity(stand: &mut Stand) -> anyhow::Result<Measured> {
    let starts = &stand.census.starts;
    let (first, last) = starts
        .first()
        .zip(starts.get(SESSIONS_MAX.min(starts.len()) - 1))
        .context("no session")?;
    // By their end: sessions that still run differ from one second to the next.
    let selection = format!("end_time={first}&duration={}", (last - first).max(1));
    let folder = stand.home().join("clients");
    fs::create_dir_all(&folder)?;
    let (mut n_passed, mut n_there, mut absent) = (0, 0, Vec::new());
    for client in &CLIENTS {
        if !succeeds(&stand.workspace, client.probe) {
            absent.push(client.name);
            continue;
        }
        n_there += 1;
        match decodes(stand, client, &folder, &selection) {
            Ok(()) => n_passed += 1,
            Err(error) => say(&format!("{}: {error:#}", client.name)),
        }
    }
    if n_there == 0 {
        return Ok(missing("no client is installed: `apt-get install curl`"));
    }
    let (n_passed, n_there) = (f64::from(n_passed), f64::from(n_there));
    let measured = compared("clients", vec![n_passed], vec![n_there], |passed, there| {
        passed / there
    });
    Ok(match absent.is_empty() {
        true => measured,
        false => measured.noted(format!("not installed: {}", absent.join(", "))),
    })
}

/// Fails unless the client tells what a client without gzip is told. Links change with the hour:
/// then the second look counts.
fn decodes(stand: &Stand, client: &Client, folder: &Path, selection: &str) -> anyhow::Result<()> {
    for _ in 0..2 {
        let mut plain = Vec::new();
        // Links begin with what the request called the server, so that it is called alike.
        let server = stand.server()?;
        let request = String::from_utf8(server.report(selection, Coding::Identity))?;
        let host = format!("Host: {}\r\n", server.address);
        let request = request.replacen("Host: 127.0.0.1\r\n", &host, 1);
        let mut connection = Connection::open(server.address)?;
        connection.send(request.as_bytes())?;
        connection.receive(&mut plain)?;
        let output = run(stand, client, folder, selection)?;
        let talk = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{}: {}",
            output.status,
            talk.trim()
        );
        let is_same = match client.tells {
            Tells::Body => output.stdout == plain,
            Tells::Digest => {
                let page = String::from_utf8_lossy(&output.stdout);
                page.contains(&format!("sha256 {}", sha256(&plain, folder)?))
            }
        };
        if is_same {
            return Ok(());
        }
    }
    bail!("it decoded other bytes");
}

fn run(stand: &Stand, client: &Client, folder: &Path, selection: &str) -> anyhow::Result<Output> {
    let server = stand.server()?;
    let url = format!(
        "http://{}/api/reporting?generate_report=SupportSession&{selection}",
        server.address
    );
    let file: PathBuf = match client.source {
        Some((name, source)) => {
            let path = folder.join(name);
            let source = match client.tells {
                Tells::Body => source.to_owned(),
                Tells::Digest => source.replace("URL", &url).replace("TOKEN", &server.token),
            };
            fs::write(&path, source)?;
            path
        }
        None => PathBuf::new(),
    };
    let file = file.to_str().context("a path is not UTF-8")?;
    let home = folder.to_str().context("a path is not UTF-8")?;
    let words = client.run.iter().map(|word| {
        let word = word.replace("FILE", file).replace("HOME", home);
        word.replace("URL", &url).replace("TOKEN", &server.token)
    });
    let output = Command::new("timeout")
        .arg(CLIENT_SECS_MAX)
        .args(words)
        .current_dir(&stand.workspace)
        .stdin(Stdio::null())
        .output();
    output.context("cannot run `timeout`")
}

fn sha256(bytes: &[u8], folder: &Path) -> anyhow::Result<String> {
    let file = folder.join("plain.xml");
    fs::write(&file, bytes)?;
    let output = Command::new("sha256sum").arg(&file).output()?;
    let told = String::from_utf8(output.stdout)?;
    let digest = told.split_whitespace().next();
    Ok(digest.context("`sha256sum` told nothing")?.to_owned())
}

/// Whether a command runs and ends well.
pub(super) fn succeeds(workspace: &Path, words: &[&str]) -> bool {
    let status = Command::new(words[0])
        .args(&words[1..])
        .current_dir(workspace)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
