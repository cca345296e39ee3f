//! `/api/v1/sources`: how live sources are doing, and what none understood.

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use debrief_domain::At;
use debrief_report::iso;
use serde_json::{Value, json};

use super::caller::{Address, Caller};
use super::error::{ApiError, invalid_parameter};
use crate::app::App;
use crate::sources::Standing;
use crate::sources::appliance::by_hand;

/// Dead letters of a page.
const LETTERS_PAGE: usize = 20;

/// `GET /api/v1/sources`.
pub(crate) async fn list(State(app): State<App>, address: Address, headers: HeaderMap) -> Response {
    let answer = async {
        let caller = Caller::find(&app, address, &headers).await?;
        caller.may_admin()?;
        let now = app.now();
        let own = app.sources().all();
        let by_hand = by_hand::told(app.store()).await?;
        // One that this server copies too is as it is here.
        let is_own = |name: &str| own.iter().any(|(own, _)| own == name);
        let by_hand = by_hand.iter().filter(|(name, ..)| !is_own(name));
        let mut list: Vec<Value> = own
            .iter()
            .map(|(name, s)| told(name, s, now, None))
            .collect();
        list.extend(by_hand.map(|(name, s, at)| told(name, s, now, Some(*at))));
        Ok(json_response(&json!({ "sources": list })))
    };
    answer.await.unwrap_or_else(ApiError::respond_json)
}

/// `GET /api/v1/sources/{source}/dead-letters`: newest first; `before` goes on.
pub(crate) async fn dead_letters(
    State(app): State<App>,
    address: Address,
    Path(source): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let answer = async {
        let caller = Caller::find(&app, address, &headers).await?;
        caller.may_admin()?;
        let mut pairs = form_urlencoded::parse(query.as_deref().unwrap_or("").as_bytes());
        let before = match pairs.find(|(name, _)| name == "before") {
            None => u64::MAX,
            Some((_, text)) => text
                .parse()
                .map_err(|_| invalid_parameter("before", "expected the `next` of an answer"))?,
        };
        let letters = app
            .store()
            .dead_letters(&source, before, LETTERS_PAGE)
            .await?;
        let next = (letters.len() == LETTERS_PAGE)
            .then(|| letters.last().map(|(id, _)| id.to_string()))
            .flatten();
        let list: Vec<Value> = letters
            .iter()
            .map(|(id, letter)| {
                let text = std::str::from_utf8(&letter.message).ok();
                json!({
                    "id": id,
                    "at": iso(letter.at),
                    "why": letter.why,
                    "message": text,
                    "message_base64": text.is_none().then(|| STANDARD.encode(&letter.message)),
                })
            })
            .collect();
        Ok(json_response(
            &json!({ "dead_letters": list, "next": next }),
        ))
    };
    answer.await.unwrap_or_else(ApiError::respond_json)
}

/// A source; one that another process works on is as that told at a time.
fn told(name: &str, standing: &Standing, now: At, at: Option<At>) -> Value {
    let lag = standing.heard.map(|heard| now.secs_since(heard));
    let refusals: Vec<Value> = standing
        .refusals
        .iter()
        .map(|(at, why)| json!({ "at": iso(*at), "why": why }))
        .collect();
    json!({
        "name": name,
        "state": standing.state,
        "told": at.map(iso),
        "heard": standing.heard.map(iso),
        "lag_seconds": lag,
        "error": standing.error.as_ref().map(|(at, error)| json!({ "at": iso(*at), "message": error })),
        "events": standing.n_events,
        "recordings": standing.n_recordings,
        "refused": standing.n_refused,
        "dead_letters": standing.n_dead,
        "refusals": refusals,
    })
}

fn json_response(value: &Value) -> Response {
    let media_type = [("content-type", "application/json")];
    (StatusCode::OK, media_type, value.to_string()).into_response()
}
