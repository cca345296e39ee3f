//! One file from a server.

use std::io::{Read as _, Write as _};

use anyhow::Context as _;
use indicatif::ProgressBar;
use ureq::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    TRANSFER_ENCODING,
};
use url::Url;

use super::Got;
use super::slot::{Slot, What, Wrong};
use crate::client::{Client, Response, TRIES_MAX};
use crate::stop::Stop;

/// Bytes that count as getting on: after them the tries are counted anew.
const PROGRESS_BYTES: u64 = 1 << 20;

/// What one request came to.
enum Attempt {
    Done(Got),
    /// It broke off after so many new bytes, and another try may do better.
    Broken {
        fresh: u64,
        why: String,
    },
}

/// Fetches a file, going on where it stopped. An error is one of the server or the disk; whatever
/// is wrong with the file alone is told as missing.
pub(crate) fn fetch(
    client: &mut Client,
    url: &Url,
    what: What,
    slot: &mut Slot,
    bytes_max: u64,
    bar: &ProgressBar,
) -> anyhow::Result<Got> {
    // Recordings never change; a transcript may.
    if what != What::Chat && slot.tag().is_some() && slot.whole().is_some() {
        return Ok(Got::Same);
    }
    let mut n_failed = 0;
    let mut n_bytes = 0;
    loop {
        match attempt(client, url, what, slot, bytes_max, bar)? {
            Attempt::Done(Got::Fresh(fresh)) => return Ok(Got::Fresh(n_bytes + fresh)),
            Attempt::Done(got) => return Ok(got),
            Attempt::Broken { fresh, why } => {
                n_bytes += fresh;
                n_failed = if PROGRESS_BYTES <= fresh {
                    1
                } else {
                    n_failed + 1
                };
                if TRIES_MAX <= n_failed {
                    return Ok(Got::Missing(format!("{why}, {n_failed} times")));
                }
                client.pause(n_failed)?;
            }
        }
    }
}

fn attempt(
    client: &mut Client,
    url: &Url,
    what: What,
    slot: &mut Slot,
    bytes_max: u64,
    bar: &ProgressBar,
) -> anyhow::Result<Attempt> {
    if slot.is_all_received() {
        return finish(slot, "", 0);
    }
    let mut headers = Vec::new();
    let mut first = 0;
    if let (Some(received), Some(tag)) = (slot.received(), slot.tag()) {
        first = received;
        headers.push(("Range", format!("bytes={received}-")));
        headers.push(("If-Range", tag.to_owned()));
    } else if let (Some(_), Some(tag)) = (slot.whole(), slot.tag()) {
        headers.push(("If-None-Match", tag.to_owned()));
    }
    let response = client.get(url, &headers)?;
    let status = response.status();
    let missing = |why: String| Ok(Attempt::Done(Got::Missing(why)));
    match status.as_u16() {
        200 => {}
        206 if 0 < first => {}
        304 if slot.whole().is_some() => return Ok(Attempt::Done(Got::Same)),
        416 if 0 < first => {
            slot.discard()?;
            let why = "the server refuses to go on".into();
            return Ok(Attempt::Broken { fresh: 0, why });
        }
        404 | 410 => return missing(format!("the server does not have it ({status})")),
        300..=399 => return missing(format!("redirected ({status}), which is not followed")),
        500..=599 if status.as_u16() != 503 => {
            let why = format!("the server answers {status}");
            return Ok(Attempt::Broken { fresh: 0, why });
        }
        _ => return missing(format!("the server answers {status}")),
    }
    let told = match Told::read(&response, first) {
        Ok(told) => told,
        Err(why) => return missing(why.into()),
    };
    if told.bytes.is_some_and(|bytes| bytes_max < bytes) {
        return missing(format!("longer than `recording_bytes_max` ({bytes_max})"));
    }
    // A server without tags: the same length is the same recording.
    let is_same = what != What::Chat && told.bytes.is_some() && slot.whole() == told.bytes;
    if is_same && slot.tag().is_none() && told.tag.is_none() {
        return Ok(Attempt::Done(Got::Same));
    }
    pour(response, client.stop(), told, slot, bytes_max, bar)
}

/// What an answer says of the file.
struct Told {
    /// Where its bytes begin.
    first: u64,
    /// The length of the whole file, where that is told.
    bytes: Option<u64>,
    tag: Option<String>,
    media_type: String,
}

impl Told {
    fn read(response: &Response, asked_first: u64) -> Result<Told, &'static str> {
        let text = |name: HeaderName| response.headers().get(name).and_then(|v| v.to_str().ok());
        if text(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err("it comes in a coding that was not asked for");
        }
        let media_type = text(CONTENT_TYPE).unwrap_or("").to_owned();
        if media_type.starts_with("text/html") {
            return Err("the server answers with a page");
        }
        if media_type.starts_with("text/xml") || media_type.starts_with("application/xml") {
            return Err("the server answers with an error");
        }
        let len = text(CONTENT_LENGTH).and_then(|len| len.trim().parse::<u64>().ok());
        let tag = text(ETAG).map(str::to_owned);
        if response.status().as_u16() == 206 {
            let range = text(CONTENT_RANGE).and_then(range);
            let (first, bytes) = range.ok_or("the range in the answer makes no sense")?;
            if first != asked_first {
                return Err("the server answers another range");
            }
            return Ok(Told {
                first,
                bytes: Some(bytes),
                tag,
                media_type,
            });
        }
        if len.is_none() && text(TRANSFER_ENCODING).is_none() {
            return Err("the answer does not tell where it ends");
        }
        Ok(Told {
            first: 0,
            bytes: len,
            tag,
            media_type,
        })
    }
}

/// The first byte and the whole length of `bytes FIRST-LAST/TOTAL`, where LAST is the end.
fn range(text: &str) -> Option<(u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let total: u64 = total.parse().ok()?;
    (first <= last && Some(total) == last.checked_add(1)).then_some((first, total))
}

/// Takes the bytes in. What arrived before a failure stays.
fn pour(
    mut response: Response,
    stop: &Stop,
    told: Told,
    slot: &mut Slot,
    bytes_max: u64,
    bar: &ProgressBar,
) -> anyhow::Result<Attempt> {
    let cannot = "a file cannot be written";
    let mut file = match told.first {
        0 => slot.begin(told.tag.as_deref(), told.bytes),
        _ => slot.resume(),
    }
    .context(cannot)?;
    let mut fresh = 0;
    let mut block = vec![0; 128 << 10];
    let mut body = response.body_mut().as_reader();
    loop {
        // What has arrived stays, and is gone on with.
        stop.check()?;
        let n = match body.read(&mut block) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) => {
                let why = format!("the connection broke off ({error})");
                return Ok(Attempt::Broken { fresh, why });
            }
        };
        fresh += n as u64;
        if bytes_max < told.first + fresh {
            drop(file);
            slot.discard().context(cannot)?;
            let why = format!("longer than `recording_bytes_max` ({bytes_max})");
            return Ok(Attempt::Done(Got::Missing(why)));
        }
        file.write_all(&block[..n]).context(cannot)?;
        bar.inc(n as u64);
    }
    if told.bytes.is_some_and(|bytes| told.first + fresh < bytes) {
        let why = "the connection broke off".into();
        return Ok(Attempt::Broken { fresh, why });
    }
    drop(file);
    finish(slot, &told.media_type, fresh)
}

fn finish(slot: &mut Slot, media_type: &str, fresh: u64) -> anyhow::Result<Attempt> {
    match slot.finish(media_type) {
        Ok(_) => Ok(Attempt::Done(Got::Fresh(fresh))),
        Err(wrong @ (Wrong::Digest | Wrong::Length { .. })) => {
            Ok(Attempt::Done(Got::Missing(wrong.to_string())))
        }
        Err(Wrong::Io(error)) => Err(error).context("a file cannot be written"),
    }
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn a_range_goes_to_the_end_of_the_file() {
        assert_eq!(range("bytes 5-9/10"), Some((5, 10)));
        for bad in [
            "bytes 5-8/10",
            "bytes 5-10/10",
            "bytes 9-5/6",
            "bytes 5-9/*",
            "5-9/10",
            "bytes 0-18446744073709551615/0",
        ] {
            assert_eq!(range(bad), None, "{bad}");
        }
    }
}
