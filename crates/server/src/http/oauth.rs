//! `POST /oauth2/token`: the grant `client_credentials` of RFC 6749 §4.4.
//!
//! Real clients send their credentials in three ways, and all are taken: HTTP Basic, the form
//! body, a JSON body.

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use debrief_domain::At;
use debrief_store::{AccessEntry, Enabled, StoreError, TokenHash};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use tokio::time::timeout;

use super::FORM_BYTES_MAX;
use super::caller::{Address, is_home};
use super::reporting::FORM_WAIT;
use crate::app::{App, TooMany};
use crate::random;

/// How long a token is valid.
pub(crate) const TOKEN_SECS: i64 = 3_600;

/// What a client sent.
#[derive(Default)]
struct Request {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// Why no token is given.
enum Refusal {
    InvalidRequest(&'static str),
    UnsupportedGrant,
    InvalidClient,
    TooMany(TooMany),
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Store(error)
    }
}

/// Gives a token for valid credentials.
pub(crate) async fn token(
    State(app): State<App>,
    address: Address,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let issued = match timeout(FORM_WAIT, to_bytes(body, FORM_BYTES_MAX)).await {
        Ok(Ok(body)) => issue(&app, address, &headers, &body).await,
        Ok(Err(_)) | Err(_) => Err(Refusal::InvalidRequest(
            "the request body is not whole, too long or too slow",
        )),
    };
    let mut response = match issued {
        Ok(token) => {
            let answer = json!({
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": TOKEN_SECS,
            });
            (StatusCode::OK, axum::Json(answer)).into_response()
        }
        Err(refusal) => refusal.respond(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

async fn issue(
    app: &App,
    address: Address,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<String, Refusal> {
    app.may_log_in(address.0).map_err(Refusal::TooMany)?;
    let request = parse(headers, body)?;
    match request.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => return Err(Refusal::UnsupportedGrant),
        None => return Err(Refusal::InvalidRequest("`grant_type` is required")),
    }
    let (Some(client_id), Some(secret)) = (request.client_id, request.client_secret) else {
        return Err(Refusal::InvalidClient);
    };
    let account = app.store().account_by_client_id(&client_id).await?;
    // An unknown client costs the same comparison as a known one.
    let hash = account
        .as_ref()
        .map_or([0; 32], |account| account.secret_hash);
    let is_genuine = bool::from(hash.ct_eq(&random::sha256(&secret)));
    let account = account.filter(|account| {
        is_genuine && account.enabled == Enabled::Yes && is_home(account, address.0)
    });
    let now = app.now();
    let Some(account) = account else {
        app.note_failed_login(address.0);
        tracing::warn!("a client was refused a token");
        return Err(Refusal::InvalidClient);
    };
    app.count_request(&account).map_err(Refusal::TooMany)?;
    let token = random::secret().map_err(|_| StoreError::refused("no random bytes"))?;
    let hash = TokenHash(random::sha256(&token));
    let expires: At = now.plus_secs(TOKEN_SECS);
    if !app
        .store()
        .issue_token(&account, hash, now, expires)
        .await?
    {
        return Err(Refusal::InvalidClient);
    }
    app.store().log_access(AccessEntry {
        at: now,
        who: account.name,
        action: "token".into(),
        detail: address.0.to_string(),
        outcome: "done".into(),
    });
    Ok(token)
}

/// Credentials of the header first, then of the body.
fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Request, Refusal> {
    let mut request = parse_body(headers, body)?;
    let authorization = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let Some((scheme, credentials)) = authorization.and_then(|value| value.split_once(' ')) else {
        return Ok(request);
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(request);
    }
    let decoded = STANDARD.decode(credentials.trim()).ok();
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((id, secret)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
        return Err(Refusal::InvalidRequest(
            "the Basic credentials cannot be read",
        ));
    };
    request.client_id = Some(form_decoded(id));
    request.client_secret = Some(form_decoded(secret));
    Ok(request)
}

/// RFC 6749 §2.3.1 encodes both halves as a form does; ids and secrets made here look the same
/// either way.
fn form_decoded(text: &str) -> String {
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    pairs
        .next()
        .map_or_else(String::new, |(name, _)| name.into_owned())
}

fn parse_body(headers: &HeaderMap, body: &[u8]) -> Result<Request, Refusal> {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let says_json = media_type.is_some_and(|value| value.to_ascii_lowercase().contains("json"));
    let is_json = body.trim_ascii_start().starts_with(b"{");
    if says_json && !body.trim_ascii().is_empty() || is_json {
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
            return Err(Refusal::InvalidRequest("the JSON body cannot be read"));
        };
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        return Ok(Request {
            grant_type: text("grant_type"),
            client_id: text("client_id"),
            client_secret: text("client_secret"),
        });
    }
    let mut request = Request::default();
    for (name, value) in form_urlencoded::parse(body) {
        let field = match &*name {
            "grant_type" => &mut request.grant_type,
            "client_id" => &mut request.client_id,
            "client_secret" => &mut request.client_secret,
            _ => continue,
        };
        // RFC 6749 §3.2: a parameter must not be there twice.
        if field.replace(value.into_owned()).is_some() {
            return Err(Refusal::InvalidRequest("a parameter is given twice"));
        }
    }
    Ok(request)
}

impl Refusal {
    fn respond(self) -> Response {
        let (status, code, description): (StatusCode, &str, String) = match &self {
            Refusal::InvalidRequest(what) => {
                (StatusCode::BAD_REQUEST, "invalid_request", (*what).into())
            }
            Refusal::UnsupportedGrant => (
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "only `client_credentials` is supported".into(),
            ),
            Refusal::InvalidClient => (
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "client authentication failed".into(),
            ),
            Refusal::TooMany(limit) => (
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                format!("too many requests: {}", limit.limit),
            ),
            Refusal::Store(error) => {
                super::error::log_chain(error);
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "temporarily_unavailable",
                    "the archive cannot answer now".into(),
                )
            }
        };
        let body = json!({
            "error": code,
            "error_description": description,
            "message": description,
        });
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        match self {
            Refusal::InvalidClient => {
                let challenge = HeaderValue::from_static("Basic realm=\"debrief\"");
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            Refusal::TooMany(limit) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(limit.retry_secs));
            }
            Refusal::Store(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(5));
            }
            Refusal::InvalidRequest(_) | Refusal::UnsupportedGrant => {}
        }
        response
    }
}
