//! The file of a recording as an answer: whole, or a range of it (RFC 9110 section 14).

use std::io::{self, Read};
use std::ops::Range;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use debrief_store::{KeptRecording, ObjectError, Part};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use super::error::log_chain;
use crate::app::App;
use crate::recording::media::Media;

/// Answers with a recording's file. Its first bytes are read before the answer begins, so that a
/// lost object is told with a status.
pub(crate) async fn respond(
    app: &App,
    kept: &KeptRecording,
    headers: &HeaderMap,
) -> Result<Response, ObjectError> {
    let tag = format!("\"{}\"", hex(&kept.sha256));
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if is_known(headers, &tag) {
        return Ok(with_headers(
            StatusCode::NOT_MODIFIED.into_response(),
            kept,
            &tag,
        ));
    }
    // A range of another version is none; a date is never exact enough.
    let may_range = text(IF_RANGE).is_none_or(|known| known == tag);
    let asked = text(RANGE).filter(|_| may_range);
    let (status, range) = match asked.map_or(Asked::Whole, |range| parse(range, kept.bytes)) {
        Asked::Whole => (StatusCode::OK, 0..kept.bytes),
        Asked::Range(range) => (StatusCode::PARTIAL_CONTENT, range),
        Asked::Nothing => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            put(
                &mut response,
                CONTENT_RANGE,
                &format!("bytes */{}", kept.bytes),
            );
            return Ok(response);
        }
    };
    let mut pieces = app.files().objects.read(&kept.object, range.clone());
    let first = match pieces.next().await {
        Some(first) => first?,
        None => bytes::Bytes::new(),
    };
    let rest = pieces.inspect_err(|error| log_chain(error));
    // A failure from here on breaks the connection off: its length says that something is missing.
    let body = stream::once(std::future::ready(Ok(first))).chain(rest);
    let mut response = (status, Body::from_stream(body.map_err(io::Error::other))).into_response();
    put(
        &mut response,
        CONTENT_LENGTH,
        &(range.end - range.start).to_string(),
    );
    if status == StatusCode::PARTIAL_CONTENT {
        let last = range.end - 1;
        let told = format!("bytes {}-{last}/{}", range.start, kept.bytes);
        put(&mut response, CONTENT_RANGE, &told);
    }
    Ok(with_headers(response, kept, &tag))
}

/// Whether a client says that it has the version of this tag (RFC 9110 section 13.1.2).
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(IF_NONE_MATCH);
    known
        .and_then(|known| known.to_str().ok())
        .is_some_and(|known| {
            let mut known = known.split(',').map(str::trim);
            known.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
        })
}

fn with_headers(mut response: Response, kept: &KeptRecording, tag: &str) -> Response {
    let extension = match kept.key.part {
        Part::Main => Media::of(&kept.media).extension(),
        Part::Timing => "timing",
    };
    let recording = kept.key.recording;
    // Everything in the name is a letter, a digit, `-` or `_`.
    let name = format!(
        "{}-{}-{}.{extension}",
        kept.key.lsid,
        recording.kind.name(),
        recording.instance
    );
    for (header, value) in [
        (CONTENT_TYPE, kept.media.as_str()),
        (ETAG, tag),
        (ACCEPT_RANGES, "bytes"),
        (
            CONTENT_DISPOSITION,
            &format!("attachment; filename=\"{name}\""),
        ),
        (CACHE_CONTROL, "private, no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ] {
        put(&mut response, header, value);
    }
    response
}

fn put(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// What a `Range` header asks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    /// All of it: also for several ranges at once, and for what is no range of bytes.
    Whole,
    /// One range.
    Range(Range<u64>),
    /// A range behind its end.
    Nothing,
}

fn parse(range: &str, len: u64) -> Asked {
    let parsed = || -> Option<Asked> {
        let (unit, range) = range.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") || range.contains(',') {
            return None;
        }
        let (first, last) = range.trim().split_once('-')?;
        let number = |text: &str| {
            let is_number = text.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
        };
        let range = match (first.trim(), last.trim()) {
            ("", "") => return None,
            ("", last) => {
                let n_bytes = number(last)?.min(len);
                len - n_bytes..len
            }
            (first, "") => number(first)?..len,
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return None;
                }
                first..last.saturating_add(1).min(len)
            }
        };
        Some(if range.start < range.end {
            Asked::Range(range)
        } else {
            Asked::Nothing
        })
    };
    parsed().unwrap_or(Asked::Whole)
}

/// Whether a request begins to look at a file, rather than seeking in it.
pub(crate) fn is_first_look(headers: &HeaderMap) -> bool {
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok());
    range.is_none_or(|range| range.starts_with("bytes=0-"))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads to the end: gives the first bytes and the SHA-256 of all, and shows each block.
pub(crate) fn hash(
    from: &mut impl Read,
    head_bytes: usize,
    mut show: impl FnMut(&[u8]),
) -> io::Result<(Vec<u8>, [u8; 32])> {
    let mut block = vec![0; 256 << 10];
    let mut head = Vec::new();
    let mut hash = Sha256::new();
    loop {
        let n = match from.read(&mut block) {
            Ok(0) => return Ok((head, hash.finalize().into())),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = &block[..n];
        let room = head_bytes - head.len();
        head.extend_from_slice(&bytes[..n.min(room)]);
        hash.update(bytes);
        show(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_at_the_end_and_refused_behind_it() {
        for (range, expected) in [
            ("bytes=0-0", Asked::Range(0..1)),
            ("bytes=0-", Asked::Range(0..10)),
            ("bytes=9-", Asked::Range(9..10)),
            ("bytes=10-", Asked::Nothing),
            ("bytes=5-99", Asked::Range(5..10)),
            ("bytes=-3", Asked::Range(7..10)),
            ("bytes=-99", Asked::Range(0..10)),
            ("bytes=-0", Asked::Nothing),
            ("Bytes = 1-2", Asked::Range(1..3)),
            ("bytes=99999999999999999999-", Asked::Nothing),
            ("bytes=3-2", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("rows=1-2", Asked::Whole),
            ("", Asked::Whole),
        ] {
            assert_eq!(parse(range, 10), expected, "{range}");
        }
        assert_eq!(parse("bytes=0-", 0), Asked::Nothing);
    }
}
