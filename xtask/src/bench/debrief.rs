//! Debrief as its user runs it: the release binary, its command line, its token endpoint.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::load::{self, Coding, Connection};

/// How long a server may take to finish what runs after it was told to end.
const ENDING_MAX: Duration = Duration::from_secs(30);
const ENDING_POLL: Duration = Duration::from_millis(10);
/// The limits per account would measure themselves; everything else stays as a user has it.
const NO_RATE_LIMITS: [(&str, &str); 3] = [
    ("DEBRIEF_REQUESTS_PER_SECOND", "0"),
    ("DEBRIEF_REQUESTS_PER_HOUR", "0"),
    ("DEBRIEF_REPORTS_AT_ONCE", "0"),
];
const ADDRESS_PREFIX: &str = "listening on http://";

/// The built binary.
pub(super) struct Binary {
    path: PathBuf,
}

impl Binary {
    /// Builds it as it is released.
    pub(super) fn build(workspace: &Path) -> anyhow::Result<Binary> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--release", "--package", "debrief"])
            .arg("--message-format=json-render-diagnostics")
            .current_dir(workspace)
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run cargo")?;
        ensure!(output.status.success(), "debrief does not build");
        let path = output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
            .filter_map(|message| Some(message.get("executable")?.as_str()?.into()))
            .next_back();
        let path = path.context("cargo built no executable")?;
        Ok(Binary { path })
    }

    /// One that is there already.
    pub(super) fn at(path: &Path) -> Binary {
        Binary { path: path.into() }
    }

    /// `debrief --data DIR …`, ready to run.
    pub(super) fn command(&self, archive: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.arg("--data").arg(archive);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command to its end and gives its standard output.
    pub(super) fn run<S: AsRef<OsStr>>(
        &self,
        archive: &Path,
        arguments: &[S],
    ) -> anyhow::Result<String> {
        let output = self.command(archive).args(arguments).output()?;
        if !output.status.success() {
            let talk = String::from_utf8_lossy(&output.stderr);
            bail!("debrief failed with {}: {}", output.status, talk.trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// An API account that may see reports and recordings, and send events.
pub(super) struct Account {
    basic: String,
}

impl Account {
    pub(super) fn create(binary: &Binary, archive: &Path) -> anyhow::Result<Account> {
        // An archive that is kept has the accounts of earlier runs.
        let name = format!("bench-{:016x}", fastrand::u64(..));
        let allow = ["--allow", "reporting,recordings,ingest", "--json"];
        let arguments = [&["account", "create", &name], allow.as_slice()].concat();
        let answer = binary.run(archive, &arguments)?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        let field = |name: &str| {
            let value = answer.get(name).and_then(|value| value.as_str());
            value.with_context(|| format!("`account create --json` gave no `{name}`"))
        };
        let (id, secret) = (field("client_id")?, field("client_secret")?);
        let basic = STANDARD.encode(format!("{id}:{secret}"));
        Ok(Account { basic })
    }
}

/// A running server with a token for it. It is ended when dropped.
pub(super) struct Server {
    child: Child,
    /// Kept open: a server whose standard output is gone might fail when it speaks.
    _stdout: BufReader<ChildStdout>,
    pub(super) address: SocketAddr,
    pub(super) token: String,
}

impl Server {
    pub(super) fn start(
        binary: &Binary,
        archive: &Path,
        account: &Account,
        talk: &Path,
    ) -> anyhow::Result<Server> {
        let mut child = binary
            .command(archive)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .envs(NO_RATE_LIMITS)
            .stdout(Stdio::piped())
            .stderr(File::create(talk)?)
            .spawn()
            .context("cannot start debrief")?;
        let stdout = child.stdout.take().context("debrief has no output")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let address = line.trim().strip_prefix(ADDRESS_PREFIX);
        let Some(address) = address.and_then(|text| text.parse().ok()) else {
            let _ = child.kill();
            let _ = child.wait();
            let talk = fs::read_to_string(talk).unwrap_or_default();
            bail!("`debrief serve` said no address: {line}{talk}");
        };
        let mut server = Server {
            child,
            _stdout: stdout,
            address,
            token: String::new(),
        };
        server.token = fetch_token(address, account)?;
        Ok(server)
    }

    /// Ends it as a service would, so that the archive is left in order.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        end(&mut self.child)
    }

    /// The bytes of a request for a report; `selection` is the rest of the query.
    pub(super) fn report(&self, selection: &str, coding: Coding) -> Vec<u8> {
        let target = format!("/api/reporting?generate_report=SupportSession&{selection}");
        load::get(&target, coding, &self.token)
    }

    /// Anonymous memory it holds now, in bytes.
    pub(super) fn anonymous_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .context("the kernel tells no `RssAnon`")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim_end().parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = end(&mut self.child);
    }
}

fn fetch_token(address: SocketAddr, account: &Account) -> anyhow::Result<String> {
    let form = "grant_type=client_credentials";
    let mut connection = Connection::open(address)?;
    connection.send(&load::post_form("/oauth2/token", &account.basic, form))?;
    let mut answer = Vec::new();
    let got = connection.receive(&mut answer);
    got.context("`/oauth2/token` gave no token")?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    let token = answer.get("access_token").and_then(|token| token.as_str());
    Ok(token.context("the answer has no `access_token`")?.into())
}

/// Asks a child to end (SIGTERM), waits, and kills it if it does not.
pub(super) fn end(child: &mut Child) -> anyhow::Result<()> {
    if child.try_wait()?.is_some() {
        return Ok(());
    }
    let id = child.id().to_string();
    Command::new("kill").args(["-TERM", &id]).status()?;
    let asked = Instant::now();
    while asked.elapsed() < ENDING_MAX {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(ENDING_POLL);
    }
    child.kill()?;
    child.wait()?;
    bail!("a server did not end within {} s", ENDING_MAX.as_secs())
}
