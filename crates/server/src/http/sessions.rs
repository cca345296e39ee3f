//! `/api/v1/sessions` and `/api/v1/changes`: sessions as JSON, page by page.

use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use debrief_domain::{Change, Filter, Lsid, Selection, Which};
use debrief_report::{Coding, Format, Params, Query, ReportKind, ask};
use debrief_store::Cursor;
use sha2::{Digest, Sha256};

use super::caller::{Address, Caller};
use super::error::{ApiError, invalid_parameter, invalid_parameters, not_found};
use super::reporting::{clean_host, note, words};
use crate::app::App;
use crate::render::Report;

/// Sessions of a page unless told otherwise.
const PAGE_DEFAULT: usize = 100;
/// Sessions of a page.
pub(crate) const PAGE_MAX: usize = 1_000;

/// `GET /api/v1/sessions`: what the report's own parameters select; without any, every session.
pub(crate) async fn list(
    State(app): State<App>,
    address: Address,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    answer(page(&app, address, query.as_deref(), &headers, Listing::Sessions).await)
}

/// `GET /api/v1/changes`: what changed after `since`, by change.
pub(crate) async fn changes(
    State(app): State<App>,
    address: Address,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    answer(page(&app, address, query.as_deref(), &headers, Listing::Changes).await)
}

/// `GET /api/v1/sessions/{lsid}`: one session.
pub(crate) async fn show(
    State(app): State<App>,
    address: Address,
    Path(lsid): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(one(&app, address, &lsid, &headers).await)
}

fn answer(result: Result<Response, ApiError>) -> Response {
    result.unwrap_or_else(ApiError::respond_json)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Listing {
    Sessions,
    Changes,
}

async fn one(
    app: &App,
    address: Address,
    lsid: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let caller = Caller::find(app, address, headers).await?;
    caller.may_report()?;
    let parsed = Lsid::parse(lsid).map_err(|_| not_found("session", &shown(lsid)))?;
    let which = Which::Named(vec![parsed]);
    let query = json_query(Selection {
        which,
        filter: Filter::All,
    });
    let mut report = begin(app, &caller, headers, &query, None).await?;
    let mut body = Vec::new();
    while let Some(chunk) = report.chunk().await? {
        body.extend_from_slice(&chunk);
    }
    note(app, &caller, "session", lsid);
    if report.n_given() == 0 {
        return Err(not_found("session", lsid));
    }
    Ok(tagged(body, headers))
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

async fn page(
    app: &App,
    address: Address,
    query: Option<&str>,
    headers: &HeaderMap,
    listing: Listing,
) -> Result<Response, ApiError> {
    let caller = Caller::find(app, address, headers).await?;
    caller.may_report()?;
    let asked = Asked::parse(app, query, listing)?;
    let permit = super::reporting::begin(app, &caller)?;
    let mut report = begin(app, &caller, headers, &asked.query, asked.cursor).await?;
    report.stop_after(asked.n_max);
    let mut sessions = Vec::new();
    while let Some(chunk) = report.chunk().await? {
        sessions.extend_from_slice(&chunk);
    }
    note(app, &caller, "sessions", &asked.detail);
    let of = selection_digest(&asked.query.selection);
    let next = report.cursor().map(|cursor| encode(cursor, of));
    let mut body = b"{\"sessions\":[".to_vec();
    for (idx, line) in sessions
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
        .enumerate()
    {
        if 0 < idx {
            body.push(b',');
        }
        body.extend_from_slice(line);
    }
    let end = match listing {
        Listing::Sessions => serde_json::json!({ "next": next }),
        // A page that is not the last one goes on from its own last session.
        Listing::Changes => serde_json::json!({
            "next": next,
            "since": report.next.map(|change| change.to_string()),
        }),
    };
    body.extend_from_slice(b"],");
    body.extend_from_slice(&end.to_string().as_bytes()[1..]);
    body.push(b'\n');
    Ok(permit.hold(tagged(body, headers)))
}

/// The parameters of a listing.
struct Asked {
    query: Query,
    cursor: Option<Cursor>,
    n_max: usize,
    /// What the access log says.
    detail: String,
}

impl Asked {
    fn parse(app: &App, query: Option<&str>, listing: Listing) -> Result<Asked, ApiError> {
        let pairs = form_urlencoded::parse(query.unwrap_or("").as_bytes());
        let mut pairs: Vec<(String, String)> = pairs
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let mut take = |name: &str| {
            let found = pairs.iter().position(|(given, _)| given == name);
            found.map(|idx| pairs.remove(idx).1)
        };
        let n_max = match take("page_size").map(|text| text.parse::<usize>()) {
            None => PAGE_DEFAULT,
            Some(Ok(n_max)) if (1..=PAGE_MAX).contains(&n_max) => n_max,
            Some(_) => {
                let expected = format!("expected a number from 1 to {PAGE_MAX}");
                return Err(invalid_parameter("page_size", &expected));
            }
        };
        let cursor = match take("cursor") {
            None => None,
            Some(text) => match decode(&text) {
                Some(cursor) => Some(cursor),
                None => {
                    let expected = "expected the `next` of an earlier answer";
                    return Err(invalid_parameter("cursor", expected));
                }
            },
        };
        let since = take("since");
        pairs.retain(|(name, _)| name != "format" && name != "generate_report");
        pairs.push(("generate_report".into(), "SupportSession".into()));
        match listing {
            Listing::Changes => {
                let since = since.unwrap_or_else(|| "0".into());
                if since.parse::<u64>().is_err() {
                    let expected = "expected the `since` of an earlier answer, or 0";
                    return Err(invalid_parameter("since", expected));
                }
                pairs.push(("changed_since".into(), since));
            }
            Listing::Sessions => {
                let selects = |name: &str| {
                    name.starts_with("start_")
                        || name.starts_with("end_")
                        || matches!(name, "lsid" | "lsids" | "changed_since" | "duration")
                };
                if !pairs.iter().any(|(name, _)| selects(name)) {
                    pairs.push(("start_time".into(), "0".into()));
                    pairs.push(("duration".into(), "0".into()));
                }
            }
        }
        let params = Params(pairs);
        let detail = words(&params);
        let query = ask(&params, &app.config().time_zone).map_err(invalid_parameters)?;
        let cursor = match cursor {
            Some((cursor, of)) if of == selection_digest(&query.selection) => Some(cursor),
            Some(_) => {
                let expected = "belongs to other parameters";
                return Err(invalid_parameter("cursor", expected));
            }
            None => None,
        };
        Ok(Asked {
            query: Query {
                format: Format::Ndjson,
                ..query
            },
            cursor,
            n_max,
            detail,
        })
    }
}

fn json_query(selection: Selection) -> Query {
    Query {
        report: ReportKind::SupportSession,
        selection,
        format: Format::Ndjson,
    }
}

async fn begin(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    query: &Query,
    cursor: Option<Cursor>,
) -> Result<Report, ApiError> {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    let links = app.links(&caller.account, &caller.names, clean_host(host));
    Ok(Report::resume(app, query, Coding::Identity, &caller.names, links, cursor).await?)
}

/// The answer with a tag of its bytes; nothing but the tag for a client that has them.
fn tagged(body: Vec<u8>, headers: &HeaderMap) -> Response {
    let digest: [u8; 32] = Sha256::digest(&body).into();
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..16]));
    let known = headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let is_known = known.split(',').any(|known| {
        let known = known.trim();
        known == "*" || known.trim_start_matches("W/") == tag
    });
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let media_type = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        (StatusCode::OK, media_type, body).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// A cursor as a word without meaning to others.
fn encode(cursor: Cursor, of: u64) -> String {
    let (at, lseq, place) = cursor.after;
    let mut bytes = Vec::with_capacity(40);
    for number in [cursor.bound.0 as i64, at, lseq, place] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(&of.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a cursor belongs to: it goes on with no other selection.
fn selection_digest(selection: &Selection) -> u64 {
    let digest: [u8; 32] = Sha256::digest(format!("{selection:?}")).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn decode(text: &str) -> Option<(Cursor, u64)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let bytes: [u8; 40] = bytes.try_into().ok()?;
    let number = |idx: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[idx * 8..idx * 8 + 8]);
        i64::from_be_bytes(word)
    };
    let bound = Change(u64::try_from(number(0)).ok()?);
    let after = (number(1), number(2), number(3));
    Some((Cursor { bound, after }, number(4) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_again_and_anything_else_is_none() {
        let cursor = Cursor {
            bound: Change(7),
            after: (i64::MAX, -1, 3),
        };
        assert_eq!(decode(&encode(cursor, u64::MAX)), Some((cursor, u64::MAX)));
        for bad in ["", "x", "!!!!", &encode(cursor, 1)[1..]] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
