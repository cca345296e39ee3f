//! `POST /api/v1/events`: events in, acknowledged when they are on disk.

use std::fmt;
use std::io::Read as _;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use debrief_domain::Event;
use debrief_domain::limits::{BATCH_EVENTS_MAX, SESSION_BYTES_MAX, SESSION_EVENTS_MAX};
use debrief_store::{Append, Batch, Conflict, ConflictKind, Flow};
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::caller::{Address, Caller};
use super::error::{
    ApiError, BodyFault, body_broken, busy, invalid_body, over_limit, too_slow, unsupported,
};
use crate::app::App;
use crate::wire::event::{parse, typed};

/// Bytes of one batch, as sent and as unpacked.
pub const BATCH_BYTES_MAX: usize = 16 << 20;
/// Bytes of one event.
pub const EVENT_BYTES_MAX: usize = 4 << 20;
/// Batches that are parsed at once: as JSON values, where that is asked for, one takes many times its
/// bytes.
pub(crate) const PARSES_AT_ONCE_MAX: usize = 4;
/// Batches that are received at once; their bytes bound the memory of intake.
pub const BATCHES_AT_ONCE_MAX: usize = 64;
/// Seconds a batch may take to arrive.
pub const BODY_SECS_MAX: u64 = 60;
/// Faults that are listed; more are counted.
const FAULTS_LISTED_MAX: usize = 1_000;
/// Bytes of a body that is parsed where it arrives; a longer one gets a thread of its own.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Takes a batch: all of it or nothing.
pub(crate) async fn append(
    State(app): State<App>,
    address: Address,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match take(&app, address, &headers, body).await {
        Ok(answer) => answer,
        Err(error) => error.respond_json(),
    }
}

async fn take(
    app: &App,
    address: Address,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = Caller::find(app, address, headers).await?;
    caller.may_ingest()?;
    let packing = packing(headers)?;
    let Ok(_permit) = app.intake().try_acquire() else {
        return Err(busy("BATCHES_AT_ONCE_MAX", BATCHES_AT_ONCE_MAX));
    };
    let bytes = receive(body, BATCH_BYTES_MAX, "BATCH_BYTES_MAX").await?;
    let read = move || read_batch(&bytes, packing);
    let is_small = headers
        .get(axum::http::header::CONTENT_LENGTH)
        .and_then(|len| len.to_str().ok()?.parse::<usize>().ok())
        .is_some_and(|len| len <= INLINE_BYTES_MAX);
    let received = if is_small && packing == Packing::None {
        read()?
    } else {
        let _turn = app.parsing().acquire().await.map_err(|_| body_broken())?;
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| body_broken())??
    };
    let lines = received.lines;
    match app
        .store()
        .append(caller.account.id, received.events, app.now())
        .await?
    {
        Append::Done(appended) => {
            app.changed();
            let answer = json!({
                "fresh": appended.fresh,
                "repeated": appended.repeated,
                "cursor": appended.change.to_string(),
            });
            Ok((StatusCode::OK, axum::Json(answer)).into_response())
        }
        Append::Conflicts(conflicts) => Err(contradiction(&conflicts, &lines)),
    }
}

/// Reads a body within its limits of bytes and of time.
pub(crate) async fn receive(body: Body, bytes_max: usize, limit: &str) -> Result<Bytes, ApiError> {
    let wait = Duration::from_secs(BODY_SECS_MAX);
    match tokio::time::timeout(wait, to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if super::reporting::is_too_long(&error) => {
            Err(over_limit(limit, bytes_max as u64))
        }
        Ok(Err(_)) => Err(body_broken()),
        Err(_) => Err(too_slow(BODY_SECS_MAX)),
    }
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

fn packing(headers: &HeaderMap) -> Result<Packing, ApiError> {
    let coding = headers
        .get(CONTENT_ENCODING)
        .map(|value| value.to_str().unwrap_or("?").trim());
    match coding {
        None | Some("" | "identity") => Ok(Packing::None),
        Some(coding) if coding.eq_ignore_ascii_case("gzip") => Ok(Packing::Gzip),
        Some(coding) if coding.eq_ignore_ascii_case("zstd") => Ok(Packing::Zstd),
        Some(_) => Err(unsupported("Content-Encoding", "gzip, zstd or none")),
    }
}

/// The events of a body, and the line or number of each.
struct Received {
    events: Batch,
    lines: Vec<usize>,
}

fn read_batch(bytes: &[u8], packing: Packing) -> Result<Received, ApiError> {
    let unpacked;
    let bytes = match packing {
        Packing::None => bytes,
        Packing::Gzip => {
            unpacked = unpack(flate2::read::MultiGzDecoder::new(bytes))?;
            &unpacked
        }
        Packing::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(bytes).map_err(|_| body_broken())?;
            unpacked = unpack(decoder)?;
            &unpacked
        }
    };
    let mut faults = Faults::default();
    let mut received = Received {
        events: Batch::of_bytes(bytes.len()),
        lines: Vec::new(),
    };
    let n_values = read_values(bytes, &mut received, &mut faults);
    if BATCH_EVENTS_MAX < n_values {
        return Err(over_limit("BATCH_EVENTS_MAX", BATCH_EVENTS_MAX as u64));
    }
    if faults.list.is_empty() {
        Ok(received)
    } else {
        Err(faults.into_error())
    }
}

/// Unpacks at most as many bytes as a batch may have: a bomb ends there.
fn unpack(packed: impl std::io::Read) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut limited = packed.take(BATCH_BYTES_MAX as u64 + 1);
    limited.read_to_end(&mut bytes).map_err(|_| body_broken())?;
    if BATCH_BYTES_MAX < bytes.len() {
        return Err(over_limit("BATCH_BYTES_MAX", BATCH_BYTES_MAX as u64));
    }
    Ok(bytes)
}

#[derive(Default)]
struct Faults {
    list: Vec<BodyFault>,
    n_more: usize,
}

impl Faults {
    fn add(&mut self, line: usize, field: String, code: &'static str, message: String) {
        if FAULTS_LISTED_MAX <= self.list.len() {
            self.n_more += 1;
            return;
        }
        self.list.push(BodyFault {
            line: Some(line),
            field,
            code,
            message,
        });
    }

    fn into_error(self) -> ApiError {
        invalid_body(&self.list, self.n_more)
    }
}

/// Reads the JSON values of a body: the elements of an array, or one value a line. Told apart by
/// the first character: no event begins with a bracket. One more than a batch may have ends it, and
/// each is looked at only when it is short enough: a short text of many values must not become a
/// long list. Gives how many values there were.
fn read_values(bytes: &[u8], received: &mut Received, faults: &mut Faults) -> usize {
    let mut n_values = 0;
    let mut add = |line: usize, text: &[u8], faults: &mut Faults| {
        if EVENT_BYTES_MAX < text.trim_ascii().len() {
            let message = format!("is over EVENT_BYTES_MAX, which is {EVENT_BYTES_MAX}");
            faults.add(line, String::new(), "length", message);
            return Flow::More;
        }
        if let Some(event) = read_event(line, text, faults) {
            received.events.add(&event);
            received.lines.push(line);
        }
        n_values += 1;
        if BATCH_EVENTS_MAX < n_values {
            Flow::Full
        } else {
            Flow::More
        }
    };
    if bytes.trim_ascii_start().starts_with(b"[") {
        match serde_json::from_slice::<Elements<'_>>(bytes) {
            Ok(Elements(elements)) => {
                for (n, element) in (1..).zip(elements) {
                    if add(n, element.get().as_bytes(), faults) == Flow::Full {
                        break;
                    }
                }
            }
            Err(error) => faults.add(error.line(), String::new(), "json", error.to_string()),
        }
        return n_values;
    }
    for (line, text) in (1..).zip(lines(bytes)) {
        if !text.trim_ascii().is_empty() && add(line, text, faults) == Flow::Full {
            break;
        }
    }
    n_values
}

/// Lines, without what ends them.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut begin = 0;
    let ends = memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]);
    ends.map(move |end| {
        let line = &bytes[begin..end];
        begin = end + 1;
        line
    })
}

/// One event, or every fault of it.
fn read_event(line: usize, text: &[u8], faults: &mut Faults) -> Option<Event> {
    if let Some(event) = typed::parse(text) {
        return Some(event);
    }
    let value: Value = match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(error) => {
            faults.add(line, String::new(), "json", error.to_string());
            return None;
        }
    };
    match parse(&value) {
        Ok(event) => Some(event),
        Err(found) => {
            for fault in found {
                faults.add(line, fault.field, fault.code, fault.message);
            }
            None
        }
    }
}

/// The elements of an array as they stand, at most one more than [`BATCH_EVENTS_MAX`] of them.
struct Elements<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Elements<'de>, D::Error> {
        deserializer.deserialize_seq(ElementsVisitor)
    }
}

struct ElementsVisitor;

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Elements<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Elements<'de>, A::Error> {
        let mut values = Vec::new();
        while values.len() <= BATCH_EVENTS_MAX {
            match elements.next_element()? {
                Some(value) => values.push(value),
                None => return Ok(Elements(values)),
            }
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Elements(values))
    }
}

/// Events that contradict what the archive has.
fn contradiction(conflicts: &[Conflict], lines: &[usize]) -> ApiError {
    let mut faults = Faults::default();
    for conflict in conflicts {
        let line = lines.get(conflict.event_idx).copied().unwrap_or(0);
        let (field, code, message) = match conflict.kind {
            ConflictKind::IdTaken => (
                "id",
                "id_taken",
                "is the id of another event of this account".into(),
            ),
            ConflictKind::SessionImported => (
                "lsid",
                "session_imported",
                "names a session that was imported as a finished document".into(),
            ),
            ConflictKind::SessionFull => (
                "lsid",
                "session_full",
                format!(
                    "names a session at SESSION_EVENTS_MAX, which is {SESSION_EVENTS_MAX} events, or \
                     SESSION_BYTES_MAX, which is {SESSION_BYTES_MAX}"
                ),
            ),
        };
        faults.add(line, field.into(), code, message);
    }
    faults.into_error()
}
