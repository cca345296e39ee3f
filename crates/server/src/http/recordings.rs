//! `/api/v1/sessions/{lsid}/recordings`: recordings in, and what there is of them.
//!
//! An upload grows in a file of its own until it is whole. Then it is compared with its digest,
//! put into the object store, and counts from the moment the archive has its row. Whatever goes
//! wrong before that, the sender goes on where it stopped.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use debrief_domain::limits::RECORDING_INSTANCES_MAX;
use debrief_domain::{Lsid, Recording, RecordingKind};
use debrief_store::{
    KeepRecording, KeptRecording, ObjectError, Part, RecordingKey, StagingError, Upload,
};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::caller::{Address, Caller};
use super::digest::{Digests, Scope};
use super::error::{
    ApiError, body_broken, busy, conflict, invalid_parameter, log_chain, not_found, over_limit,
    too_slow, unavailable, unsupported, wrong_digest,
};
use super::file;
use super::reporting::note;
use crate::app::App;
use crate::recording::keep::{KeepError, keep, object_name};
use crate::recording::media::{HEAD_BYTES, Media};

/// Recordings received at once.
pub const UPLOADS_MAX: usize = 64;
/// How long a sender may send nothing.
const BODY_IDLE: Duration = Duration::from_secs(60);

/// `PUT /api/v1/sessions/{lsid}/recordings/{kind}/{instance}`.
pub(crate) async fn put(
    State(app): State<App>,
    address: Address,
    Path((lsid, kind, instance)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let names = (lsid.as_str(), kind.as_str(), instance.as_str());
    answer(receive(&app, address, names, Part::Main, &headers, body).await)
}

/// `PUT /api/v1/sessions/{lsid}/recordings/{kind}/{instance}/timing`: when each piece of a
/// typescript was written.
pub(crate) async fn put_timing(
    State(app): State<App>,
    address: Address,
    Path((lsid, kind, instance)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let names = (lsid.as_str(), kind.as_str(), instance.as_str());
    answer(receive(&app, address, names, Part::Timing, &headers, body).await)
}

/// `GET /api/v1/sessions/{lsid}/recordings`.
pub(crate) async fn list(
    State(app): State<App>,
    address: Address,
    Path(lsid): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(listed(&app, address, &lsid, &headers).await)
}

/// `GET /api/v1/sessions/{lsid}/recordings/{kind}/{instance}`: the file.
pub(crate) async fn show(
    State(app): State<App>,
    address: Address,
    Path((lsid, kind, instance)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let names = (lsid.as_str(), kind.as_str(), instance.as_str());
    answer(shown(&app, address, names, Part::Main, &headers).await)
}

/// `GET /api/v1/sessions/{lsid}/recordings/{kind}/{instance}/timing`: the file.
pub(crate) async fn show_timing(
    State(app): State<App>,
    address: Address,
    Path((lsid, kind, instance)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let names = (lsid.as_str(), kind.as_str(), instance.as_str());
    answer(shown(&app, address, names, Part::Timing, &headers).await)
}

fn answer(result: Result<Response, ApiError>) -> Response {
    result.unwrap_or_else(ApiError::respond_json)
}

/// Session, kind and instance as the path has them.
type Names<'a> = (&'a str, &'a str, &'a str);

/// What a path names; anything that cannot be is not found.
fn key((lsid, kind, instance): Names<'_>, part: Part) -> Result<RecordingKey, ApiError> {
    let parsed = Lsid::parse(lsid).map_err(|_| not_found("session", &short(lsid)))?;
    let kind =
        RecordingKind::parse(kind).ok_or_else(|| not_found("kind of recording", &short(kind)))?;
    let is_number = !instance.is_empty() && instance.bytes().all(|b| b.is_ascii_digit());
    let number = instance.parse::<u32>().ok().filter(|number| {
        let n_max = match kind {
            // The vendor's document: one recording of the session at most.
            RecordingKind::Session => 1,
            RecordingKind::ShowMyScreen | RecordingKind::CommandShell => RECORDING_INSTANCES_MAX,
        };
        is_number && *number < n_max
    });
    let instance = number.ok_or_else(|| not_found("instance", &short(instance)))?;
    if part == Part::Timing && kind != RecordingKind::CommandShell {
        return Err(not_found("timing of a", kind.name()));
    }
    Ok(RecordingKey {
        lsid: parsed,
        recording: Recording { kind, instance },
        part,
    })
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

async fn listed(
    app: &App,
    address: Address,
    lsid: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let caller = Caller::find(app, address, headers).await?;
    caller.may_see_recordings()?;
    let parsed = Lsid::parse(lsid).map_err(|_| not_found("session", &short(lsid)))?;
    let kept = app.store().recordings(&parsed).await?;
    let kept = kept.ok_or_else(|| not_found("session", lsid))?;
    let list: Vec<Value> = kept.iter().map(told).collect();
    Ok(json_response(
        StatusCode::OK,
        &json!({ "recordings": list }),
    ))
}

async fn shown(
    app: &App,
    address: Address,
    names: Names<'_>,
    part: Part,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let caller = Caller::find(app, address, headers).await?;
    caller.may_see_recordings()?;
    give(app, &caller, &key(names, part)?, headers).await
}

/// The file of a recording, to a caller who may see it. Every look leaves a trace.
pub(crate) async fn give(
    app: &App,
    caller: &Caller,
    key: &RecordingKey,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let kept = find(app, key).await?;
    let words = words(key);
    if app.is_new_look(&caller.account, &words) || file::is_first_look(headers) {
        note(app, caller, "recording", &words);
    }
    file::respond(app, &kept, headers).await.map_err(lost)
}

/// The row of a recording.
async fn find(app: &App, key: &RecordingKey) -> Result<KeptRecording, ApiError> {
    let kept = app.store().recordings(&key.lsid).await?;
    let kept = kept.ok_or_else(|| not_found("session", key.lsid.as_str()))?;
    let found = kept.into_iter().find(|kept| kept.key == *key);
    found.ok_or_else(|| not_found("recording", &words(key)))
}

/// What went wrong with an object that should be there.
pub(crate) fn lost(error: ObjectError) -> ApiError {
    log_chain(&error);
    match error {
        ObjectError::Missing { .. } => ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "lost",
            "The file of this recording is missing from the object store. The log has its name.",
        ),
        ObjectError::Failed(_) => unavailable("The object store cannot answer now. Try again."),
    }
}

/// A recording in words, as in its path.
pub(crate) fn words(key: &RecordingKey) -> String {
    let Recording { kind, instance } = key.recording;
    let words = format!("{}/{}/{instance}", key.lsid, kind.name());
    match key.part {
        Part::Main => words,
        Part::Timing => words + "/timing",
    }
}

fn told(kept: &KeptRecording) -> Value {
    let Recording { kind, instance } = kept.key.recording;
    json!({
        "kind": kind.name(),
        "instance": instance,
        "part": match kept.key.part {
            Part::Main => "recording",
            Part::Timing => "timing",
        },
        "media_type": kept.media,
        "bytes": kept.bytes,
        "sha256": file::hex(&kept.sha256),
        "received": debrief_report::iso(kept.at),
    })
}

fn json_response(status: StatusCode, value: &Value) -> Response {
    let media_type = [("content-type", "application/json")];
    (status, media_type, value.to_string()).into_response()
}

/// What a request says it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carries {
    /// All of it, of this length where that is said.
    Whole { total: Option<u64> },
    /// Bytes from the first up to and including the last.
    Piece { first: u64, last: u64, total: u64 },
    /// Nothing: it asks how far the upload has come.
    Nothing { total: u64 },
}

impl Carries {
    /// Reads `Content-Range` (RFC 9110 section 14.4) and `Content-Length`.
    fn parse(headers: &HeaderMap) -> Result<Carries, ApiError> {
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| text.parse::<u64>().ok()).flatten()
        };
        let text = |name: HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or(""));
        let Some(range) = text(CONTENT_RANGE) else {
            let total = text(CONTENT_LENGTH).and_then(number);
            return Ok(Carries::Whole { total });
        };
        let parsed = || -> Option<Carries> {
            let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
            let total = number(total)?;
            if range == "*" {
                return Some(Carries::Nothing { total });
            }
            let (first, last) = range.split_once('-')?;
            let (first, last) = (number(first)?, number(last)?);
            (first <= last && last < total).then_some(Carries::Piece { first, last, total })
        };
        parsed().ok_or_else(|| {
            let expected = "expected `bytes FIRST-LAST/TOTAL`, or `bytes */TOTAL` to ask how far \
                            the upload has come";
            invalid_parameter("Content-Range", expected)
        })
    }

    fn total(self) -> Option<u64> {
        match self {
            Carries::Whole { total } => total,
            Carries::Piece { total, .. } | Carries::Nothing { total } => Some(total),
        }
    }
}

async fn receive(
    app: &App,
    address: Address,
    names: Names<'_>,
    part: Part,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = Caller::find(app, address, headers).await?;
    caller.may_ingest()?;
    let key = key(names, part)?;
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(unsupported("coding of a recording", "none"));
    }
    let carries = Carries::parse(headers)?;
    let mut digests = Digests::parse(headers)?;
    let bytes_max = app.config().recording_bytes_max;
    if carries.total().is_some_and(|total| bytes_max < total) {
        return Err(over_limit("recording_bytes_max", bytes_max));
    }
    let kept = app.store().recordings(&key.lsid).await?;
    let kept = kept.ok_or_else(|| not_found("session", key.lsid.as_str()))?;
    // Another length is other bytes: nobody needs to send them all to learn that.
    let known = kept.iter().find(|kept| kept.key == key);
    if let (Some(known), Some(total)) = (known, carries.total())
        && known.bytes != total
    {
        return Err(other_bytes());
    }
    let Ok(_permit) = app.uploads().try_acquire() else {
        return Err(busy("uploads_at_once", UPLOADS_MAX));
    };

    let staging = &app.files().staging;
    let account = caller.account.id;
    let upload = match carries {
        Carries::Whole { total } => staging.resume(account, &key, total, 0).await,
        Carries::Piece { first, total, .. } => {
            staging.resume(account, &key, Some(total), first).await
        }
        Carries::Nothing { total } => staging.current(account, &key, total).await,
    };
    let mut upload = match upload {
        Ok(upload) => upload,
        Err(StagingError::Gap { received }) => return Ok(gap(received)),
        Err(StagingError::Busy) => {
            return Err(conflict("The same recording is being uploaded already."));
        }
        Err(StagingError::Failed(error)) => return Err(no_room(&error)),
    };
    if let Err(error) = fill(&mut upload, carries, &mut digests, bytes_max, body).await {
        // Of an upload whose length is not known nothing can be gone on with.
        if carries.total().is_none() {
            let _ = upload.discard().await;
        }
        return Err(error);
    }
    if let Some(total) = carries.total()
        && upload.received() < total
    {
        return Ok(so_far(upload.received(), total));
    }
    if carries.total().is_none() {
        upload.settle().await.map_err(|error| no_room(&error))?;
    }
    finish(app, &caller, key, upload, &digests).await
}

/// Takes the body in. What arrived before a failure stays, and is on disk.
async fn fill(
    upload: &mut Upload,
    carries: Carries,
    digests: &mut Digests,
    bytes_max: u64,
    body: Body,
) -> Result<(), ApiError> {
    let begin = upload.received();
    let end = match carries {
        Carries::Whole { total } => total,
        Carries::Piece { last, .. } => Some(last + 1),
        Carries::Nothing { .. } => Some(begin),
    };
    let filled = pour(upload, end, digests, bytes_max, body).await;
    upload.sync().await.map_err(|error| no_room(&error))?;
    let is_short = end.is_some_and(|end| upload.received() < end);
    let filled = match filled {
        Ok(()) if is_short => Err(body_broken()),
        other => other,
    };
    let is_piece = match carries {
        Carries::Whole { .. } | Carries::Piece { .. } => true,
        // It has no bytes that a digest could be of.
        Carries::Nothing { .. } => false,
    };
    match filled {
        Ok(()) if is_piece && !digests.content_matches() => {
            upload
                .truncate(begin)
                .await
                .map_err(|error| no_room(&error))?;
            Err(wrong_digest("Content-Digest"))
        }
        other => other,
    }
}

async fn pour(
    upload: &mut Upload,
    end: Option<u64>,
    digests: &mut Digests,
    bytes_max: u64,
    body: Body,
) -> Result<(), ApiError> {
    let mut pieces = body.into_data_stream();
    loop {
        let piece = match tokio::time::timeout(BODY_IDLE, pieces.next()).await {
            Err(_) => return Err(too_slow(BODY_IDLE.as_secs())),
            Ok(None) => return Ok(()),
            Ok(Some(Err(_))) => return Err(body_broken()),
            Ok(Some(Ok(piece))) => piece,
        };
        let after = upload.received() + piece.len() as u64;
        if bytes_max < after {
            return Err(over_limit("recording_bytes_max", bytes_max));
        }
        if end.is_some_and(|end| end < after) {
            let message = "says that less comes than came";
            return Err(invalid_parameter("Content-Range", message));
        }
        digests.absorb(Scope::Content, &piece);
        upload
            .write(&piece)
            .await
            .map_err(|error| no_room(&error))?;
    }
}

/// A whole upload: compared with its digest, put into the object store, and noted in the archive.
async fn finish(
    app: &App,
    caller: &Caller,
    key: RecordingKey,
    mut upload: Upload,
    digests: &Digests,
) -> Result<Response, ApiError> {
    upload.sync().await.map_err(|error| no_room(&error))?;
    let path = upload.path().to_owned();
    let mut whole = digests.clone();
    let read = tokio::task::spawn_blocking(move || -> io::Result<(Media, [u8; 32], Digests)> {
        let mut file = std::fs::File::open(path)?;
        let (head, sha256) = file::hash(&mut file, HEAD_BYTES, |bytes| {
            whole.absorb(Scope::Whole, bytes);
        })?;
        Ok((Media::detect(&head), sha256, whole))
    });
    let read = read.await.map_err(io::Error::other).and_then(|read| read);
    let (media, sha256, whole) = read.map_err(|error| no_room(&error))?;
    if !whole.whole_matches() {
        let _ = upload.discard().await;
        return Err(wrong_digest("Repr-Digest"));
    }
    let media_type = match key.part {
        Part::Main => media.media_type(),
        Part::Timing => "text/plain",
    };
    let object =
        object_name().map_err(|_| unavailable("The server has no random bytes now. Try again."))?;
    let kept = KeptRecording {
        key,
        object,
        media: media_type.into(),
        bytes: upload.received(),
        sha256,
        account: caller.account.id,
        at: app.now(),
    };
    match keep(app.store(), &app.files().objects, upload.path(), &kept).await {
        Ok(KeepRecording::Kept) => {}
        Ok(KeepRecording::Known(known) | KeepRecording::Taken(known)) => {
            return already(upload, &known, &kept).await;
        }
        Ok(KeepRecording::NoSession) => {
            return Err(not_found("session", kept.key.lsid.as_str()));
        }
        Err(KeepError::Objects(error)) => {
            log_chain(&error);
            return Err(unavailable(
                "The object store does not take the recording now. It has arrived: repeat the \
                 request with `Content-Range: bytes */TOTAL` and no body.",
            ));
        }
        Err(KeepError::Store(error)) => return Err(error.into()),
    }
    app.changed();
    note(app, caller, "recording kept", words(&kept.key));
    if let Err(error) = upload.discard().await {
        tracing::warn!(%error, "the file of a finished upload could not be deleted");
    }
    let mut response = json_response(StatusCode::CREATED, &told(&kept));
    let location = format!("/api/v1/sessions/{}", {
        let words = words(&kept.key);
        words.replacen('/', "/recordings/", 1)
    });
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// The archive has this recording already: with the same bytes that is well, with others not.
async fn already(
    upload: Upload,
    known: &KeptRecording,
    sent: &KeptRecording,
) -> Result<Response, ApiError> {
    if let Err(error) = upload.discard().await {
        tracing::warn!(%error, "the file of a repeated upload could not be deleted");
    }
    if known.sha256 == sent.sha256 {
        return Ok(json_response(StatusCode::OK, &told(known)));
    }
    Err(other_bytes())
}

fn other_bytes() -> ApiError {
    conflict("The archive has this recording with other bytes, and recordings never change.")
}

/// The answer to a part of an upload: what has arrived, also as a range, as clients of resumable
/// uploads know it.
fn so_far(received: u64, total: u64) -> Response {
    let value = json!({ "received": received, "total": total });
    ranged(json_response(StatusCode::ACCEPTED, &value), received)
}

/// The answer to a part that leaves a gap.
fn gap(received: u64) -> Response {
    let error = ApiError::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "gap",
        format!("Only {received} bytes have arrived: go on from there."),
    );
    ranged(error.detail("received", received).respond_json(), received)
}

fn ranged(mut response: Response, received: u64) -> Response {
    if let Some(last) = received.checked_sub(1)
        && let Ok(range) = HeaderValue::from_str(&format!("bytes=0-{last}"))
    {
        response.headers_mut().insert(RANGE, range);
    }
    response
}

fn no_room(error: &io::Error) -> ApiError {
    log_chain(error);
    unavailable("The recording cannot be kept now. Try again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(range: &str, expected: Option<Carries>) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_RANGE, range.parse().unwrap());
        assert_eq!(Carries::parse(&headers).ok(), expected, "{range}");
    }

    #[test]
    fn a_content_range_is_whole_numbers_in_order() {
        let piece = |first, last, total| Some(Carries::Piece { first, last, total });
        check("bytes 0-0/1", piece(0, 0, 1));
        check("bytes 5-9/10", piece(5, 9, 10));
        check("bytes */10", Some(Carries::Nothing { total: 10 }));
        for bad in [
            "bytes 0-10/10",
            "bytes 5-4/10",
            "bytes 0-4/*",
            "bytes -4/10",
            "bytes +1-4/10",
            "bytes 0-4",
            "0-4/10",
            "bytes 0-99999999999999999999/10",
        ] {
            check(bad, None);
        }
    }
}
