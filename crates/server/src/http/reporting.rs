//! `/api/reporting`: the vendor's reporting API.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use debrief_domain::Which;
use debrief_report::{
    Coding, Fault, Faults, PARAMETERS, Params, Query, RecordingQuery, SUMMARY_ROWS_MAX, ask,
    ask_recording, ask_team, root_of,
};
use debrief_store::{AccessEntry, Part, RecordingKey, StoreError};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::caller::{Address, Caller};
use super::error::{ApiError, body_broken, body_too_long, log_chain, too_many};
use super::{FORM_BYTES_MAX, ReportPermit, recordings};
use crate::app::App;
use crate::render::{Chunk, Opening, Report, Running};

/// Chunks of one answer that are inflated at once.
const CHUNKS_INFLATED: usize = 2;
/// How long a form body may take to arrive.
pub(super) const FORM_WAIT: Duration = Duration::from_secs(30);

/// The cursor of a `changed_since` report.
const DEBRIEF_NEXT: HeaderName = HeaderName::from_static("debrief-next");

/// Answers `GET` and `POST` with the report that the parameters ask for.
pub(crate) async fn report(State(app): State<App>, address: Address, request: Request) -> Response {
    // As they are: extractors would copy them.
    let (parts, body) = request.into_parts();
    let (query, headers) = (parts.uri.query(), &parts.headers);
    let caller = match Caller::find(&app, address, headers).await {
        Ok(caller) => caller,
        // Without a token the body is not read: only the query string says what is wanted.
        Err(error) => return refuse(&app, error, &parse_query(query)),
    };
    let params = match params(query, body).await {
        Ok(params) => params,
        Err(error) => return error.respond(&app),
    };
    match answer(&app, &caller, &params, headers).await {
        Ok(response) => response,
        Err(error) => {
            note(&app, &caller, "refused", error.sentence());
            refuse(&app, error, &params)
        }
    }
}

/// An error in the form that the parameters ask for.
fn refuse(app: &App, error: ApiError, params: &Params) -> Response {
    let error = error.inside(root_of(params));
    let mut params = params.0.iter();
    let wants_json =
        params.any(|(name, value)| name == "format" && (value == "json" || value == "ndjson"));
    if wants_json {
        error.respond_json()
    } else {
        error.respond(app)
    }
}

pub(super) fn parse_query(query: Option<&str>) -> Params {
    let query = query.unwrap_or("");
    if memchr::memchr2(b'%', b'+', query.as_bytes()).is_some() {
        return Params(decoded(query.as_bytes()).collect());
    }
    // Nothing is coded, as in nearly all.
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Params(pairs.collect())
}

fn decoded(form: &[u8]) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(form).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

/// Parameters of the query string and of a form body. Whatever media type a client claims, a body
/// that is no form has no known parameters in it.
pub(super) async fn params(query: Option<&str>, body: Body) -> Result<Params, ApiError> {
    let body = if body.is_end_stream() {
        Bytes::new()
    } else {
        match tokio::time::timeout(FORM_WAIT, to_bytes(body, FORM_BYTES_MAX)).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) if is_too_long(&error) => return Err(body_too_long(FORM_BYTES_MAX)),
            Ok(Err(_)) | Err(_) => return Err(body_broken()),
        }
    };
    let mut params = parse_query(query);
    params.0.extend(decoded(&body));
    Ok(params)
}

/// Whether a body broke off at its limit, rather than on its way.
pub(super) fn is_too_long(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = error.source();
    }
    false
}

async fn answer(
    app: &App,
    caller: &Caller,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    caller.may_report()?;
    if let Some(asked) = ask_team(params, &app.config().time_zone) {
        let permit = begin(app, caller)?;
        let response = super::team::report(app, caller, params, asked).await;
        return Ok(permit.hold(response));
    }
    if let Some(asked) = ask_recording(params, &app.config().time_zone) {
        return recording(app, caller, asked?, headers).await;
    }
    let query = ask(params, &app.config().time_zone)?;
    let permit = begin(app, caller)?;
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    let links = app.links(&caller.account, &caller.names, clean_host(host));
    let coding = coding(headers);
    let mut report = Report::begin(app, &query, coding, &caller.names, links).await?;
    if !matches!(query.selection.which, Which::Named(_)) {
        report.start();
    }
    // Whatever fails before the first byte still has a status to be told with.
    let opening = match report.open(app, &query).await {
        Ok(opening) => opening,
        Err(_) if report.is_too_long() => {
            let message = format!("selects more than {SUMMARY_ROWS_MAX} rows of a summary");
            let parameter = "duration";
            return Err(Faults(vec![Fault { parameter, message }]).into());
        }
        Err(error) => return Err(error.into()),
    };
    note(app, caller, "report", words(params));
    let next = report.next;
    let first = match opening {
        Opening::First(first) => first,
        Opening::Nothing(document) => {
            let body = Body::from(document);
            return Ok(permit.hold(respond(body, &query, Coding::Identity, next)));
        }
    };
    let body = if report.is_done() {
        Body::from(first)
    } else {
        stream_body(report, first)
    };
    Ok(permit.hold(respond(body, &query, coding, next)))
}

/// A place for one more report of the caller. The answer's body holds it.
pub(super) fn begin(app: &App, caller: &Caller) -> Result<ReportPermit, ApiError> {
    let permit = app.begin_report(&caller.account);
    permit.map_err(|limit| too_many(&limit))
}

/// The file of a recording, for `SupportSessionRecording` and its like.
async fn recording(
    app: &App,
    caller: &Caller,
    asked: RecordingQuery,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    caller.may_see_recordings()?;
    let key = RecordingKey {
        lsid: asked.lsid,
        recording: asked.recording,
        part: Part::Main,
    };
    let given = recordings::give(app, caller, &key, headers).await;
    given.map_err(ApiError::in_body)
}

fn respond(body: Body, query: &Query, coding: Coding, next: Option<u64>) -> Response {
    let mut response = (StatusCode::OK, body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(query.format.media_type()),
    );
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if coding == Coding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(next) = next {
        headers.insert(DEBRIEF_NEXT, HeaderValue::from(next));
    }
    response
}

/// A body whose chunks are made while the client takes the ones before. A failure breaks the
/// connection off, so that a shortened document is never well-formed.
fn stream_body(report: Report, first: Vec<u8>) -> Body {
    let buffers = report.buffers();
    let Running { chunks, mut end } = report.into_running();
    let chunks = stream::unfold(chunks, |mut chunks| async move {
        chunks.recv().await.map(|chunk| (chunk, chunks))
    });
    // Each as it is, or inflated beside the one before.
    let chunks = chunks
        .map(|chunk| async move {
            match chunk {
                Chunk::Ready(bytes) => Ok(bytes),
                sealed @ Chunk::Sealed(_) => {
                    let inflated = tokio::task::spawn_blocking(|| sealed.into_bytes()).await;
                    inflated.unwrap_or_else(|_| Err(StoreError::refused("a chunk was given up")))
                }
            }
        })
        .buffered(CHUNKS_INFLATED);
    let end = stream::once(async move { end.told().await.map(|()| Vec::new()) });
    let first = stream::once(std::future::ready(Ok(first)));
    let bytes = first.chain(chunks).chain(end).map(move |chunk| {
        chunk.map(|bytes| buffers.lend(bytes)).map_err(|error| {
            log_chain(&error);
            io::Error::other("the report was given up")
        })
    });
    Body::from_stream(bytes.try_filter(|chunk| std::future::ready(!chunk.is_empty())))
}

/// Whether the client takes gzip (RFC 9110 §12.5.3).
fn coding(headers: &HeaderMap) -> Coding {
    let lines = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let takes_gzip = lines.flat_map(|line| line.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let is_wanted = weight.is_none_or(|q| q.parse::<f32>().is_ok_and(|q| 0.0 < q));
        (name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip")) && is_wanted
    });
    if takes_gzip {
        Coding::Gzip
    } else {
        Coding::Identity
    }
}

/// A host that can stand in a link: letters, digits and what ports and addresses need.
pub(super) fn clean_host(host: &str) -> &str {
    let is_clean = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if !host.is_empty() && host.chars().all(is_clean) {
        host
    } else {
        "localhost"
    }
}

/// Room for what most requests ask.
const WORDS_BYTES: usize = 128;

/// Parameters as the access log tells them: those that are known, none of which is secret.
pub(super) fn words(params: &Params) -> String {
    let known = params
        .0
        .iter()
        .filter(|(name, _)| PARAMETERS.contains(&name.as_str()));
    let mut words = String::with_capacity(WORDS_BYTES);
    for (name, value) in known {
        let gap = if words.is_empty() { "" } else { " " };
        words.extend([gap, name, "=", value]);
    }
    words
}

/// Characters of a detail in the access log.
const DETAIL_CHARS_MAX: usize = 1_000;

/// Notes in the access log what an account did.
pub(super) fn note(app: &App, caller: &Caller, action: &'static str, detail: impl Into<String>) {
    app.store().log_access(AccessEntry {
        at: app.now(),
        who: caller.account.name.clone(),
        action: action.into(),
        detail: shortened(detail.into()),
        outcome: String::new(),
    });
}

/// So many characters of a detail.
fn shortened(detail: String) -> String {
    // What is cut off takes no memory either.
    match detail.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((end, _)) => detail[..end].to_owned(),
        None => detail,
    }
}

/// `GET /check_health`: 200 when the archive answers, 500 when it does not. No data.
pub(crate) async fn check_health(State(app): State<App>) -> StatusCode {
    match app.store().last_change().await {
        Ok(_) => StatusCode::OK,
        Err(error) => {
            log_chain(&error);
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let coding = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            coding(&headers)
        };
        for value in ["gzip", "deflate, GZIP;q=0.5", "br, x-gzip", "gzip; q=1"] {
            assert_eq!(coding(value), Coding::Gzip, "{value}");
        }
        for value in ["", "identity", "br", "gzip;q=0", "gzip;q=0.0", "gzipped"] {
            assert_eq!(coding(value), Coding::Identity, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_query_that_codes_nothing_says_what_a_form_would(query in "[ab=&\u{e9}?;.]{0,24}") {
            let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
            proptest::prop_assert_eq!(parse_query(Some(&query)).0, pairs.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_detail_has_at_most_so_many_characters() {
        let detail = "é".repeat(DETAIL_CHARS_MAX);
        assert_eq!(shortened(detail.clone()), detail);
        let cut = shortened(format!("{detail}{}", "x".repeat(1 << 20)));
        assert_eq!(cut, detail);
        assert_eq!(cut.capacity(), detail.len());
    }

    #[test]
    fn a_host_that_could_break_out_of_a_link_is_not_used() {
        assert_eq!(clean_host("debrief.example:8080"), "debrief.example:8080");
        assert_eq!(clean_host("[::1]:80"), "[::1]:80");
        assert_eq!(clean_host("a\"><script>"), "localhost");
        assert_eq!(clean_host("a&b"), "localhost");
    }
}
