//! An appliance, or another Debrief, that is copied: what is configured, and the copying that goes
//! on by itself. `debrief pull` does the same once.

pub(crate) mod by_hand;
pub(crate) mod folder;
mod memory;
pub(crate) mod pull;
mod recordings;

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use debrief_report::parse_iso;
use debrief_store::AccountId;
use serde::Deserialize;
use tokio::runtime::Handle;
use url::Url;

use self::pull::Pull;
use crate::app::App;
use crate::config::duration;
use crate::stop::Stop;

/// Whoever hands in the recordings of a copy.
pub(crate) const ACCOUNT: AccountId = AccountId(-3);
/// How long a copy rests between two rounds unless somebody says otherwise.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// Characters of a source's name.
const NAME_CHARS_MAX: usize = 100;

/// What the configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Given")]
pub struct Settings {
    /// What it is called here: everything it remembers stands under this name.
    pub name: String,
    /// Its address, without a final slash.
    pub url: String,
    /// The API account's client id.
    pub client_id: String,
    /// Where the API account's client secret is.
    pub client_secret_file: PathBuf,
    /// How long it rests between two rounds.
    pub every: Duration,
    /// Whether recordings are copied too.
    pub recordings: Recordings,
    /// Sessions before this UNIX time are not copied.
    pub since: i64,
}

/// Whether recordings are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recordings {
    /// They are.
    Copied,
    /// They stay where they are.
    LeftOut,
}

/// The table of the file as it stands there, and the flags of `debrief pull`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Given {
    pub(crate) name: Option<String>,
    pub(crate) url: String,
    pub(crate) client_id: String,
    pub(crate) client_secret_file: PathBuf,
    pub(crate) every: Option<String>,
    pub(crate) recordings: Option<bool>,
    pub(crate) since: Option<String>,
}

impl TryFrom<Given> for Settings {
    type Error = String;

    /// Every fault at once.
    fn try_from(given: Given) -> Result<Settings, String> {
        let mut faults = Vec::new();
        let url = given.url.trim_end_matches('/').to_owned();
        let server = Url::parse(&url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if server.is_none() {
            faults.push(format!(
                "url: `{url}` is not http:// or https:// and a host"
            ));
        }
        // Two servers of one host are two sources.
        let host = server.map(|url| match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        });
        let name = given.name.or(host).unwrap_or_default();
        let is_name = !name.is_empty()
            && name.chars().count() <= NAME_CHARS_MAX
            && !name.chars().any(char::is_control);
        if !is_name && !name.is_empty() {
            faults.push(format!("name: is longer than {NAME_CHARS_MAX} characters"));
        }
        if given.client_id.is_empty() {
            faults.push("client_id: is required".into());
        }
        if given.client_secret_file.as_os_str().is_empty() {
            faults.push("client_secret_file: is required".into());
        }
        let every = given.every.as_deref().map_or(Some(EVERY), duration);
        if every.is_none() {
            faults.push("every: expected a length such as 90s, 15m, 24h or 7d".into());
        }
        let since = given.since.as_deref().map_or(Some(0), since);
        if since.is_none() {
            faults.push("since: expected a day such as 2024-01-31, or UNIX seconds".into());
        }
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        Ok(Settings {
            name,
            url,
            client_id: given.client_id,
            client_secret_file: given.client_secret_file,
            every: every.unwrap_or(EVERY),
            recordings: match given.recordings {
                Some(true) | None => Recordings::Copied,
                Some(false) => Recordings::LeftOut,
            },
            since: since.unwrap_or(0),
        })
    }
}

/// A day of UTC, or UNIX seconds.
fn since(text: &str) -> Option<i64> {
    let text = text.trim();
    let day = || Some(parse_iso(&format!("{text}T00:00:00+00:00"))?.secs());
    let secs = text.parse().ok().or_else(day);
    secs.filter(|secs: &i64| 0 <= *secs)
}

/// How long the program waits at its end for what is being copied. It is asked between any two
/// requests and pieces of an answer, and goes on at the next start wherever it was cut off.
const END_WAIT: Duration = Duration::from_secs(5);
/// How often it looks whether that is over.
const END_LOOK: Duration = Duration::from_millis(10);

/// What is being copied while the server runs, each source on a thread of its own.
pub(crate) struct Copying {
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Copying {
    /// Begins to copy what is configured.
    pub(crate) fn start(app: &App, data: &Path, runtime: &Handle) -> std::io::Result<Copying> {
        let mut copying = Copying {
            stop: Stop::default(),
            threads: Vec::new(),
        };
        for settings in &app.config().source.appliance {
            let (app, data, runtime) = (app.clone(), data.to_owned(), runtime.clone());
            let (settings, stop) = (settings.clone(), copying.stop.clone());
            let thread = std::thread::Builder::new()
                .name("pull".into())
                .spawn(move || follow(&app, &data, &settings, &runtime, &stop))?;
            copying.threads.push(thread);
        }
        Ok(copying)
    }

    /// Asks every thread to end, and waits for them, but not for ever.
    pub(crate) async fn end(self) {
        self.stop.ask();
        let deadline = Instant::now() + END_WAIT;
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < deadline {
                tokio::time::sleep(END_LOOK).await;
            }
            if !thread.is_finished() {
                tracing::warn!("a source is cut off in the middle: its server does not answer");
            } else if thread.join().is_err() {
                tracing::error!("a source had ended before its time");
            }
        }
    }
}

/// Copies one source until it is asked to stop.
fn follow(app: &App, data: &Path, settings: &Settings, runtime: &Handle, stop: &Stop) {
    loop {
        // Opened for each round, so that `debrief pull` may come in between.
        let pull = Pull::open(app, data, settings, runtime, stop);
        let round = pull.and_then(|mut pull| pull.round());
        if stop.check().is_err() {
            return;
        }
        if let Err(error) = round {
            pull::failed(app, &settings.name, &error);
            tracing::warn!("`{}` is not copied now: {error:#}", settings.name);
        }
        if stop.sleep(settings.every).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(table: &str, expect: Expect) {
        let shown = match toml::from_str::<Settings>(table) {
            Ok(settings) => format!("{settings:#?}"),
            Err(error) => error.message().to_owned(),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn every_fault_of_a_source_is_named_at_once() {
        check(
            "url = \"ftp://x\"\nevery = \"5\"\nsince = \"yesterday\"",
            expect![
                "url: `ftp://x` is not http:// or https:// and a host; client_id: is required; \
                 client_secret_file: is required; every: expected a length such as 90s, 15m, 24h \
                 or 7d; since: expected a day such as 2024-01-31, or UNIX seconds"
            ],
        );
        check(
            "ulr = \"x\"",
            expect![[r#"
            unknown field `ulr`, expected one of `name`, `url`, `client_id`, `client_secret_file`, `every`, `recordings`, `since`"#]],
        );
    }

    #[test]
    fn a_source_is_called_after_its_host_and_a_port_of_its_own() {
        check(
            "url = \"https://support.example.com/\"\nclient_id = \"a\"\nclient_secret_file = \"b\"\n\
             since = \"2024-01-31\"",
            expect![[r#"
                Settings {
                    name: "support.example.com",
                    url: "https://support.example.com",
                    client_id: "a",
                    client_secret_file: "b",
                    every: 300s,
                    recordings: Copied,
                    since: 1706659200,
                }"#]],
        );
        check(
            "url = \"http://[::1]:8080\"\nclient_id = \"a\"\nclient_secret_file = \"b\"\n\
             every = \"1m\"\nrecordings = false\nsince = \"7\"",
            expect![[r#"
                Settings {
                    name: "[::1]:8080",
                    url: "http://[::1]:8080",
                    client_id: "a",
                    client_secret_file: "b",
                    every: 60s,
                    recordings: LeftOut,
                    since: 7,
                }"#]],
        );
    }
}
