//! A client of a server's API.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use debrief_report::Params;

/// How long a server may take to begin its answer.
const ANSWER_WAIT: Duration = Duration::from_secs(120);
/// Bytes of an answer that is no report.
const SMALL_ANSWER_MAX: u64 = 1 << 20;

/// Writes a server's report to `output`. An answer that breaks off is an error.
pub(crate) fn fetch(
    server: &str,
    client_id: &str,
    secret_file: &Path,
    params: &Params,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let secret = read_secret(secret_file)?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_recv_response(Some(ANSWER_WAIT))
        .user_agent(concat!("debrief/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let server = server.trim_end_matches('/');
    let token = token(&agent, server, client_id, &secret)?;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(&params.0);
    let mut response = agent
        .post(format!("{server}/api/reporting"))
        .header("Authorization", format!("Bearer {token}"))
        .content_type("application/x-www-form-urlencoded")
        .send(form.finish())
        .with_context(|| format!("cannot ask `{server}`"))?;
    let status = response.status();
    if !status.is_success() {
        let body = small(&mut response);
        anyhow::bail!("`{server}` answers {status}: {}", body.trim());
    }
    if let Some(next) = response
        .headers()
        .get("debrief-next")
        .and_then(|n| n.to_str().ok())
    {
        eprintln!("next cursor: {next}");
    }
    io::copy(&mut response.body_mut().as_reader(), output).context("the answer broke off")?;
    Ok(())
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

fn token(agent: &ureq::Agent, server: &str, id: &str, secret: &str) -> anyhow::Result<String> {
    let basic = STANDARD.encode(format!("{id}:{secret}"));
    let mut response = agent
        .post(format!("{server}/oauth2/token"))
        .header("Authorization", format!("Basic {basic}"))
        .content_type("application/x-www-form-urlencoded")
        .send("grant_type=client_credentials")
        .with_context(|| format!("cannot ask `{server}` for a token"))?;
    let status = response.status();
    let body = small(&mut response);
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    match answer["access_token"].as_str() {
        Some(token) if status.is_success() => Ok(token.into()),
        _ => {
            let why = answer["error_description"]
                .as_str()
                .unwrap_or("no token in the answer");
            anyhow::bail!("`{server}` gives no token ({status}): {why}")
        }
    }
}

fn small(response: &mut ureq::http::Response<ureq::Body>) -> String {
    let mut text = String::new();
    let reader = response.body_mut().as_reader();
    // What cannot be read is only the wording of an error.
    let _ = reader.take(SMALL_ANSWER_MAX).read_to_string(&mut text);
    text
}
