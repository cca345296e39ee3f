//! A client of a server's API: patient with a busy server, never with a wrong one.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use debrief_report::Params;
use ureq::http::header::{ACCEPT_ENCODING, RETRY_AFTER};
use url::Url;

use crate::stop::{Stop, Stopped};

/// How long a server may take to begin its answer, and to send the next bytes of it.
const ANSWER_WAIT: Duration = Duration::from_secs(120);
/// Bytes of an answer that is no report.
const SMALL_ANSWER_MAX: u64 = 1 << 20;
/// Between the beginnings of two requests: the vendor's limit is 20 a second.
const REQUEST_GAP: Duration = Duration::from_millis(50);
/// How often one thing is asked for before it is given up.
pub(crate) const TRIES_MAX: u32 = 6;
/// The first wait before asking again; each is twice as long as the one before.
const BACKOFF: Duration = Duration::from_millis(250);
/// The longest wait that a server may ask for: what is left of an hour's requests.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Waits that are told, so that nobody thinks it hangs.
const WAIT_TOLD_MIN: Duration = Duration::from_secs(5);

pub(crate) type Response = ureq::http::Response<ureq::Body>;

/// One account on one server.
pub(crate) struct Client {
    agent: ureq::Agent,
    /// Without a final slash.
    server: String,
    base: Url,
    id: String,
    secret: String,
    token: Option<String>,
    /// When the last request began.
    last: Option<Instant>,
    /// A server that never answered is not waited for: its name may be wrong.
    has_answered: bool,
    /// When asked, nothing more is.
    stop: Stop,
}

impl Client {
    pub(crate) fn new(server: &str, id: &str, secret_file: &Path) -> anyhow::Result<Client> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_recv_response(Some(ANSWER_WAIT))
            .timeout_per_read(Some(ANSWER_WAIT))
            // The token goes to this server and to no other.
            .max_redirects(0)
            .user_agent(concat!("debrief/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let server = server.trim_end_matches('/');
        let base = Url::parse(server)
            .ok()
            .filter(|base| matches!(base.scheme(), "http" | "https"))
            .with_context(|| format!("`{server}` is no address of a server"))?;
        Ok(Client {
            agent,
            server: server.into(),
            base,
            id: id.into(),
            secret: read_secret(secret_file)?,
            token: None,
            last: None,
            has_answered: false,
            stop: Stop::default(),
        })
    }

    /// The same, until it is asked to stop: what it waits for then is an error.
    pub(crate) fn until(self, stop: &Stop) -> Client {
        Client {
            stop: stop.clone(),
            ..self
        }
    }

    /// What asks it to stop.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// What the server is called.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Writes the report to `output`, and gives the next cursor if there is one. An answer that
    /// breaks off is an error.
    pub(crate) fn report(
        &mut self,
        params: &Params,
        output: &mut impl Write,
    ) -> anyhow::Result<Option<String>> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(&params.0);
        let form = form.finish();
        let url = format!("{}/api/reporting", self.server);
        let mut response = self.with_token(|agent, token| {
            agent
                .post(&url)
                .header("Authorization", token)
                .content_type("application/x-www-form-urlencoded")
                .send(&form)
        })?;
        let status = response.status();
        if !status.is_success() {
            let body = small(&mut response);
            return Err(anyhow::Error::new(Answered {
                server: self.server.clone(),
                status: status.as_u16(),
                body: body.trim().into(),
            }));
        }
        let next = response.headers().get("debrief-next");
        let next = next.and_then(|next| next.to_str().ok()).map(str::to_owned);
        let mut body = self.stop.watch(response.body_mut().as_reader());
        io::copy(&mut body, output).context("the answer broke off")?;
        Ok(next)
    }

    /// Where a link of the server's report is asked for: its path and query, on this server.
    pub(crate) fn place(&self, link: &str) -> Option<Place> {
        let link = self.base.join(link).ok()?;
        let mut url = self.base.clone();
        url.set_path(link.path());
        url.set_query(link.query());
        let is_here = link.origin() == self.base.origin();
        Some(Place {
            url,
            elsewhere: (!is_here).then(|| link.origin().ascii_serialization()),
        })
    }

    /// Asks for a file with these headers. Gives whatever is answered but `401`, and `429` for as
    /// long as the server may ask to wait.
    pub(crate) fn get(
        &mut self,
        url: &Url,
        headers: &[(&str, String)],
    ) -> anyhow::Result<Response> {
        let response = self.with_token(|agent, token| {
            let mut request = agent.get(url.as_str()).header("Authorization", token);
            request = request.header(ACCEPT_ENCODING, "identity");
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            request.call()
        })?;
        match response.status().as_u16() {
            401 => anyhow::bail!("`{}` does not accept its own token", self.server),
            429 => anyhow::bail!("`{}` still answers {}", self.server, response.status()),
            _ => Ok(response),
        }
    }

    /// Where a path of this server is.
    pub(crate) fn path(&self, path: &str) -> anyhow::Result<Url> {
        let cannot = || format!("`{path}` is no path of `{}`", self.server);
        Url::parse(&format!("{}{path}", self.server)).with_context(cannot)
    }

    /// Sends a piece of a file. Gives the status and the answer, whatever they are.
    pub(crate) fn put(
        &mut self,
        url: &Url,
        range: &str,
        piece: &[u8],
    ) -> anyhow::Result<(u16, serde_json::Value)> {
        let mut response = self.with_token(|agent, token| {
            let request = agent.put(url.as_str()).header("Authorization", token);
            request.header("Content-Range", range).send(piece)
        })?;
        let status = response.status().as_u16();
        let answer = serde_json::from_str(&small(&mut response)).unwrap_or_default();
        Ok((status, answer))
    }

    /// Asks for JSON.
    pub(crate) fn json(&mut self, url: &Url) -> anyhow::Result<serde_json::Value> {
        let mut response = self.get(url, &[])?;
        let status = response.status();
        if !status.is_success() {
            let body = small(&mut response);
            anyhow::bail!("`{}` answers {status}: {}", self.server, body.trim());
        }
        let reader = response.body_mut().as_reader();
        serde_json::from_reader(reader).context("the answer broke off")
    }

    /// Waits before another try of something that failed `n_failed` times.
    pub(crate) fn pause(&self, n_failed: u32) -> Result<(), Stopped> {
        self.stop.sleep(backoff(n_failed))
    }

    /// Asks with a token; one that is not valid any more is renewed once.
    fn with_token(
        &mut self,
        ask: impl Fn(&ureq::Agent, &str) -> Result<Response, ureq::Error>,
    ) -> anyhow::Result<Response> {
        if let Some(token) = self.token.clone() {
            let response = self.patiently(|agent| ask(agent, &token))?;
            if response.status().as_u16() != 401 {
                return Ok(response);
            }
        }
        let token = format!("Bearer {}", self.new_token()?);
        self.token = Some(token.clone());
        self.patiently(|agent| ask(agent, &token))
    }

    fn new_token(&mut self) -> anyhow::Result<String> {
        let basic = STANDARD.encode(format!("{}:{}", self.id, self.secret));
        let url = format!("{}/oauth2/token", self.server);
        let mut response = self
            .patiently(|agent| {
                agent
                    .post(&url)
                    .header("Authorization", format!("Basic {basic}"))
                    .content_type("application/x-www-form-urlencoded")
                    .send("grant_type=client_credentials")
            })
            .context("no token")?;
        let status = response.status();
        let body = small(&mut response);
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        match answer["access_token"].as_str() {
            Some(token) if status.is_success() => Ok(token.into()),
            _ => {
                let why = answer["error_description"]
                    .as_str()
                    .unwrap_or("no token in the answer");
                let server = &self.server;
                anyhow::bail!("`{server}` gives no token ({status}): {why}")
            }
        }
    }

    /// Asks until the server is neither busy nor away, a bounded number of times.
    fn patiently(
        &mut self,
        ask: impl Fn(&ureq::Agent) -> Result<Response, ureq::Error>,
    ) -> anyhow::Result<Response> {
        let mut n_failed = 0;
        loop {
            self.pace()?;
            let answer = ask(&self.agent);
            self.has_answered |= answer.is_ok();
            n_failed += 1;
            let is_last = TRIES_MAX <= n_failed;
            let wait = match answer {
                Ok(response) => match response.status().as_u16() {
                    429 | 503 if !is_last => self.asked_wait(&response, n_failed)?,
                    _ => return Ok(response),
                },
                Err(_) if self.has_answered && !is_last => backoff(n_failed),
                Err(error) => {
                    let cannot = format!("cannot ask `{}`", self.server);
                    return Err(error).context(cannot);
                }
            };
            if WAIT_TOLD_MIN <= wait {
                let secs = wait.as_secs();
                eprintln!("`{}` is busy: waiting {secs} seconds", self.server);
            }
            self.stop.sleep(wait)?;
        }
    }

    /// How long a busy server asks to wait (RFC 9110 section 10.2.3, in seconds).
    fn asked_wait(&self, response: &Response, n_failed: u32) -> anyhow::Result<Duration> {
        let asked = response.headers().get(RETRY_AFTER);
        let asked = asked.and_then(|asked| asked.to_str().ok()?.trim().parse().ok());
        let Some(secs) = asked else {
            return Ok(backoff(n_failed));
        };
        let wait = Duration::from_secs(secs);
        if RETRY_AFTER_MAX < wait {
            let status = response.status();
            anyhow::bail!(
                "`{}` answers {status} and asks to wait {secs} seconds; run this again then",
                self.server
            );
        }
        Ok(wait.max(REQUEST_GAP))
    }

    fn pace(&mut self) -> Result<(), Stopped> {
        let gap = self.last.map_or(Duration::ZERO, |last| {
            REQUEST_GAP.saturating_sub(last.elapsed())
        });
        self.stop.sleep(gap)?;
        self.last = Some(Instant::now());
        Ok(())
    }
}

/// A server refused a report with a status.
#[derive(Debug, thiserror::Error)]
#[error("`{server}` answers {}: {body}", told(*status))]
pub(crate) struct Answered {
    server: String,
    pub(crate) status: u16,
    body: String,
}

/// A status with its name.
fn told(status: u16) -> String {
    let known = ureq::http::StatusCode::from_u16(status);
    known.map_or(status.to_string(), |known| known.to_string())
}

/// Where a link is asked for.
pub(crate) struct Place {
    pub(crate) url: Url,
    /// The server that the report named, where that is another.
    pub(crate) elsewhere: Option<String>,
}

fn backoff(n_failed: u32) -> Duration {
    BACKOFF * 2_u32.pow(n_failed.min(TRIES_MAX))
}

fn read_secret(file: &Path) -> anyhow::Result<String> {
    let mut secret = String::new();
    if file == Path::new("-") {
        io::stdin().read_to_string(&mut secret)?;
    } else {
        let cannot = || format!("`{}` cannot be read", file.display());
        secret = std::fs::read_to_string(file).with_context(cannot)?;
    }
    let secret = secret.trim();
    if secret.is_empty() {
        anyhow::bail!("the client secret is empty");
    }
    Ok(secret.into())
}

fn small(response: &mut Response) -> String {
    let mut text = String::new();
    let reader = response.body_mut().as_reader();
    // What cannot be read is only the wording of an error.
    let _ = reader.take(SMALL_ANSWER_MAX).read_to_string(&mut text);
    text
}
