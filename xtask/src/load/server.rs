//! The server that is sent to: one that runs, or the release binary in a directory of its own.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::client::Client;

/// The limits per account would measure themselves.
const NO_RATE_LIMITS: [(&str, &str); 2] = [
    ("DEBRIEF_REQUESTS_PER_SECOND", "0"),
    ("DEBRIEF_REQUESTS_PER_HOUR", "0"),
];
const ADDRESS_PREFIX: &str = "listening on http://";

/// A server with an account that may send and read.
pub(super) struct Server {
    address: String,
    client_id: String,
    secret: String,
    own: Option<Own>,
}

/// A server of ours; killed when dropped.
struct Own {
    child: Child,
    /// Kept open: a server whose standard output is gone might fail when it speaks.
    _stdout: BufReader<ChildStdout>,
    _home: TempDir,
}

impl Server {
    /// A server that runs already.
    pub(super) fn running(url: &str, client_id: &str, secret: &str) -> anyhow::Result<Server> {
        let address = url.trim_end_matches('/').strip_prefix("http://");
        let address = address.context("the server's URL must begin with `http://`")?;
        let has_port = address.rsplit(':').next().is_some_and(is_port);
        Ok(Server {
            address: if has_port {
                address.into()
            } else {
                format!("{address}:80")
            },
            client_id: client_id.into(),
            secret: secret.into(),
            own: None,
        })
    }

    /// Builds the binary and starts it.
    pub(super) fn start() -> anyhow::Result<Server> {
        let binary = build()?;
        let home = tempfile::tempdir()?;
        let data = home.path().join("data");
        let allow = ["--allow", "reporting,ingest", "--json"];
        let output = Command::new(&binary)
            .arg("--data")
            .arg(&data)
            .args(["account", "create", "load"])
            .args(allow)
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run debrief")?;
        ensure!(output.status.success(), "debrief makes no account");
        let account: Value = serde_json::from_slice(&output.stdout)?;
        let talk = home.path().join("stderr.txt");
        let mut child = Command::new(&binary)
            .arg("--data")
            .arg(&data)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .envs(NO_RATE_LIMITS)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&talk)?)
            .spawn()
            .context("cannot start debrief")?;
        let stdout = child.stdout.take().context("debrief has no output")?;
        let mut own = Own {
            child,
            _stdout: BufReader::new(stdout),
            _home: home,
        };
        let mut line = String::new();
        own._stdout.read_line(&mut line)?;
        let Some(address) = line.trim().strip_prefix(ADDRESS_PREFIX) else {
            let talk = fs::read_to_string(&talk).unwrap_or_default();
            bail!("`debrief serve` said no address: {line}{talk}");
        };
        let text = |name: &str| account[name].as_str().map(str::to_owned);
        Ok(Server {
            address: address.into(),
            client_id: text("client_id").context("the account has no id")?,
            secret: text("client_secret").context("the account has no secret")?,
            own: Some(own),
        })
    }

    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// A bearer token; it lasts an hour.
    pub(super) fn token(&self) -> anyhow::Result<String> {
        let body = serde_json::json!({
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.secret,
        });
        let answer = Client::new(&self.address, "").post(
            "/oauth2/token",
            "application/json",
            &body.to_string(),
        )?;
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match said["access_token"].as_str() {
            Some(token) => Ok(token.into()),
            None => bail!("the server gives no token: {} {said}", answer.status),
        }
    }

    /// Ends a server of our own.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        drop(self.own);
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// The binary as it is released.
fn build() -> anyhow::Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let workspace = workspace.context("the workspace has no folder")?;
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
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter_map(|message| Some(message["executable"].as_str()?.into()))
        .next_back();
    path.context("cargo built no executable")
}
