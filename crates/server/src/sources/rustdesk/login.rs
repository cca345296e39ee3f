//! What the controlling side asks: login, notes at the end of a connection, and the address books
//! and groups that there are none of here.
//!
//! Representatives have no passwords in Debrief. One logs in with an API account: its name is the
//! user name, its client secret the password, and it needs the permission `ingest`. The token of a
//! login opens nothing but these routes, and a login counts while its note is there: logging out
//! takes it away.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use debrief_domain::{At, Lsid, Permitted, RepId};
use debrief_store::{AccessEntry, Enabled, StoreError, TokenHash};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::audit::append;
use super::known::load;
use super::message::is_device_id;
use super::tell::{Controller, Teller, rep_of_peer, word};
use super::{BODY_BYTES_MAX, SOURCE};
use crate::app::App;
use crate::http::{
    Address, ApiError, Caller, TokenGiven, is_home, not_found, receive, too_many, unauthorized,
};
use crate::random;
use crate::sources::{Buried, bury};

/// How long a login lasts: clients do not renew it, so it has to outlast a working day.
const LOGIN_SECS: i64 = 12 * 3_600;
/// Logins of one page, when those that have lapsed are looked for.
const LOGINS_PAGE: usize = 256;

/// Who logged in on a device.
#[derive(Serialize, Deserialize)]
struct LoggedIn {
    account: String,
    hostname: Option<String>,
}

/// `GET /api/login-options`: nothing but a name and a password.
pub(super) async fn options() -> Response {
    axum::Json(json!([])).into_response()
}

/// `GET /api/ab`: there is none.
pub(super) async fn no_address_book() -> Response {
    axum::Json(Value::Null).into_response()
}

/// `/api/ab/…`: clients take 404 for a server without address books.
pub(super) async fn no_address_books() -> Response {
    (StatusCode::NOT_FOUND, axum::Json(json!({}))).into_response()
}

/// Groups, users and peers: none.
pub(super) async fn empty_list() -> Response {
    axum::Json(json!({ "total": 0, "data": [] })).into_response()
}

/// `POST /api/login`.
pub(super) async fn log_in(State(app): State<App>, address: Address, body: Body) -> Response {
    match try_log_in(&app, address, body).await {
        Ok(value) => axum::Json(value).into_response(),
        Err(error) => error.respond_json(),
    }
}

/// What the client shows when it is not let in.
const WRONG: &str = "Wrong credentials";

async fn try_log_in(app: &App, address: Address, body: Body) -> Result<Value, ApiError> {
    app.may_log_in(address.0)
        .map_err(|limit| too_many(&limit))?;
    let bytes = receive(body, BODY_BYTES_MAX, "BODY_BYTES_MAX").await?;
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or("");
    let (username, password) = (text("username"), text("password"));
    // The kinds of a second step, for which nothing was asked here.
    if !matches!(text("type"), "" | "account" | "mobile") {
        return Ok(json!({ "error": "This way of logging in is not known here" }));
    }
    let accounts = app.store().accounts().await?;
    let account = accounts.into_iter().find(|known| known.name == username);
    // An unknown name costs the same comparison as a known one.
    let hash = account.as_ref().map_or([0; 32], |known| known.secret_hash);
    let is_genuine = bool::from(hash.ct_eq(&random::sha256(password)));
    let account = account.filter(|known| {
        let may = known.enabled == Enabled::Yes && known.permissions.ingest == Permitted::Yes;
        is_genuine && may && is_home(known, address.0)
    });
    let Some(account) = account else {
        app.note_failed_login(address.0);
        tracing::warn!("a RustDesk client was refused a login");
        return Ok(json!({ "error": WRONG }));
    };
    app.count_request(&account)
        .map_err(|limit| too_many(&limit))?;
    let now = app.now();
    let token = random::secret().map_err(|_| StoreError::refused("no random bytes"))?;
    let hash = TokenHash(token_hash(&token));
    let expires = now.plus_secs(LOGIN_SECS);
    if !app
        .store()
        .issue_token(&account, hash, now, expires)
        .await?
    {
        return Ok(json!({ "error": WRONG }));
    }
    forget_old_logins(app, now).await?;
    let until = expires.millis().to_string().into_bytes();
    let name = token_note(hash);
    app.store().put_note(SOURCE, &name, Some(until)).await?;
    let device = text("id");
    if is_device_id(device) {
        let logged_in = LoggedIn {
            account: account.name.clone(),
            hostname: body["deviceInfo"]["name"].as_str().map(short),
        };
        let bytes = serde_json::to_vec(&logged_in).unwrap_or_default();
        let name = format!("login/{device}");
        app.store().put_note(SOURCE, &name, Some(bytes)).await?;
    }
    app.store().log_access(AccessEntry {
        at: now,
        who: account.name.clone(),
        action: "token".into(),
        detail: format!("rustdesk {}", address.0),
        outcome: "done".into(),
    });
    Ok(json!({
        "access_token": token,
        "type": "access_token",
        "user": user(app, &account.name).await?,
    }))
}

/// What the token of a login is kept under.
fn token_hash(token: &str) -> [u8; 32] {
    random::sha256(&format!("rustdesk {token}"))
}

/// The name of a login's note, which has the time of its end.
fn token_note(hash: TokenHash) -> String {
    format!("token/{}", crate::http::hex(&hash.0))
}

/// Forgets logins that have lapsed.
async fn forget_old_logins(app: &App, now: At) -> Result<(), StoreError> {
    let store = app.store();
    let mut after = String::new();
    loop {
        let page = store.notes(SOURCE, "token/", &after, LOGINS_PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after.clone_from(last);
        for (name, until) in page {
            let until = std::str::from_utf8(&until)
                .ok()
                .and_then(|t| t.parse().ok());
            if until.is_none_or(|until: i64| until <= now.millis()) {
                store.put_note(SOURCE, &name, None).await?;
            }
        }
    }
}

/// Who calls from within a client that is logged in.
async fn find_caller(app: &App, address: Address, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let caller = Caller::known_by(app, address, headers, token_hash).await?;
    let login = app.store().note(SOURCE, &token_note(caller.token)).await?;
    if login.is_none() {
        return Err(unauthorized(TokenGiven::Yes));
    }
    Ok(caller)
}

fn short(text: &str) -> String {
    let is_shown = |c: &char| !c.is_control();
    text.chars().filter(is_shown).take(255).collect()
}

async fn user(app: &App, account: &str) -> Result<Value, StoreError> {
    let who = representative(app, account).await?;
    Ok(json!({
        "name": account,
        "display_name": who.map_or_else(|| account.to_owned(), |(_, _, name)| name),
        "avatar": "",
        "email": "",
        "note": "",
        "status": 1,
        "is_admin": false,
        "info": {},
    }))
}

/// `POST /api/currentUser`.
pub(super) async fn current_user(
    State(app): State<App>,
    address: Address,
    headers: HeaderMap,
) -> Response {
    let answer = async {
        let caller = find_caller(&app, address, &headers).await?;
        caller.may_ingest()?;
        Ok(user(&app, &caller.account.name).await?)
    };
    respond(answer.await)
}

/// `POST /api/logout`: the token opens nothing any more, and the device is nobody's again.
pub(super) async fn log_out(
    State(app): State<App>,
    address: Address,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answer = async {
        let caller = find_caller(&app, address, &headers).await?;
        let bytes = receive(body, BODY_BYTES_MAX, "BODY_BYTES_MAX").await?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let device = body["id"].as_str().unwrap_or("");
        let logged_in = logged_in(&app, device).await?;
        if logged_in.is_some_and(|known| known.account == caller.account.name) {
            let name = format!("login/{device}");
            app.store().put_note(SOURCE, &name, None).await?;
        }
        // Last: whoever is not answered can log out once more.
        let name = token_note(caller.token);
        app.store().put_note(SOURCE, &name, None).await?;
        Ok(json!({}))
    };
    respond(answer.await)
}

/// `GET /api/audit/conn/active`: the session's id, by which its note is sent; empty when it is not
/// known yet.
pub(super) async fn active(
    State(app): State<App>,
    address: Address,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let answer = async {
        let caller = find_caller(&app, address, &headers).await?;
        caller.may_ingest()?;
        let (mut id, mut session_id) = (String::new(), None);
        for (name, value) in form_urlencoded::parse(query.as_deref().unwrap_or("").as_bytes()) {
            match &*name {
                "id" => id = value.into_owned(),
                "session_id" => session_id = value.parse::<u64>().ok(),
                _ => {}
            }
        }
        let device = load(&app, &id).await?;
        let session = session_id.and_then(|session_id| device.as_ref()?.session(session_id));
        Ok(json!(session.map_or("", |(lsid, _)| lsid)))
    };
    respond(answer.await)
}

/// `PUT /api/audit`: a note at the end of a connection.
pub(super) async fn put_note(
    State(app): State<App>,
    address: Address,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answer = async {
        let caller = find_caller(&app, address, &headers).await?;
        caller.may_ingest()?;
        let bytes = receive(body, BODY_BYTES_MAX, "BODY_BYTES_MAX").await?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let lsid = body["guid"]
            .as_str()
            .and_then(|guid| Lsid::parse(guid).ok());
        let (Some(lsid), Some(note)) = (lsid, body["note"].as_str()) else {
            let why = "audit: `guid` and `note` are missing";
            if bury(&app, SOURCE, why, &bytes).await == Buried::Lost {
                return Err(StoreError::refused("a message could not be kept aside").into());
            }
            return Ok(json!({}));
        };
        if app.store().recordings(&lsid).await?.is_none() {
            return Err(not_found("session", lsid.as_str()));
        }
        let account = &caller.account.name;
        let who = representative(&app, account).await?;
        let name = who.map_or_else(|| account.clone(), |(_, _, name)| name);
        let mut events = Vec::new();
        let mut teller = Teller {
            lsid,
            key: &word(&["note", note]),
            events: &mut events,
        };
        let tickets = &app.config().source.rustdesk.ticket_prefixes;
        teller.note(app.now(), &name, note, tickets);
        if let Some(why) = append(&app, events).await?
            && bury(&app, SOURCE, why, &bytes).await == Buried::Lost
        {
            return Err(StoreError::refused("a message could not be kept aside").into());
        }
        Ok(json!({}))
    };
    respond(answer.await)
}

fn respond(answer: Result<Value, ApiError>) -> Response {
    match answer {
        Ok(value) => axum::Json(value).into_response(),
        Err(error) => error.respond_json(),
    }
}

async fn logged_in(app: &App, device: &str) -> Result<Option<LoggedIn>, StoreError> {
    if !is_device_id(device) {
        return Ok(None);
    }
    let bytes = app.store().note(SOURCE, &format!("login/{device}")).await?;
    // One that cannot be read is none: it only gives a name.
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// The representative of the directory whose user name is an account's: id, user name, name.
async fn representative(
    app: &App,
    account: &str,
) -> Result<Option<(RepId, String, String)>, StoreError> {
    let (_, directory) = app.store().directory().await?;
    let mut representatives = directory.representatives.iter();
    let found = representatives.find(|(_, rep)| rep.username == account);
    Ok(found.map(|(id, rep)| {
        let name = [
            &rep.private_display_name,
            &rep.public_display_name,
            &rep.username,
        ];
        let name = name.into_iter().find(|name| !name.is_empty());
        let name = name.cloned().unwrap_or_default();
        (id.clone(), rep.username.clone(), name)
    }))
}

/// Who controls from this device: the account that is logged in there, or else what the device
/// says of itself.
pub(super) async fn controller(
    app: &App,
    peer: &str,
    name: &str,
) -> Result<Controller, StoreError> {
    // A device of another rendezvous server is called `id@server`.
    let Some(known) = logged_in(app, peer).await? else {
        let name = if name.is_empty() { peer } else { name };
        return Ok(Controller {
            rep: rep_of_peer(peer),
            username: peer.into(),
            name: name.into(),
            hostname: None,
        });
    };
    let found = representative(app, &known.account).await?;
    let (rep, username, name) = match found {
        Some((rep, username, name)) => (rep.to_string(), username, name),
        None => {
            let account = known.account.clone();
            let name = if name.is_empty() { &account } else { name };
            (rep_of_peer(&account), account.clone(), name.to_owned())
        }
    };
    Ok(Controller {
        rep,
        username,
        name,
        hostname: known.hostname,
    })
}
