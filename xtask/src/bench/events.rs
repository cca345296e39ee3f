//! Events ready to be sent: made before anything is measured, so that a sample only numbers them.

use std::ops::Range;

use anyhow::Context as _;
use md5::{Digest as _, Md5};
use serde_json::Value;

use super::load;
use crate::load::story::Story;

/// Events that one client has ready; then they begin anew, with other ids in other sessions.
const FEED_EVENTS: usize = 10_000;
/// Sessions of one client that grow at once.
const OPEN_SESSIONS: usize = 50;
/// Numbers of sessions that one client may use.
const FEED_SESSIONS_MAX: u32 = 1_000_000;
/// Representatives who lead the sessions.
const REPRESENTATIVES: u32 = 100;
/// Digits of an id or an lsid that are others in each pass.
const PASS_DIGITS: usize = 8;
/// What they grow by from pass to pass: odd, so that none comes twice, and large, so that they are in no
/// order.
const PASS_STEP: u32 = 0x9e37_79b1;

/// What one client sends, batch after batch, never the same id twice.
#[derive(Clone)]
pub(super) struct Feed {
    batches: Vec<Batch>,
    batch_idx: usize,
    pass: u32,
}

/// One request, and where its events are in it.
#[derive(Clone)]
pub(super) struct Batch {
    /// Head and body.
    request: Vec<u8>,
    body_at: usize,
    pub(super) events: Vec<Sent>,
    /// Where digits of the pass stand, and what they are in the first one.
    marks: Vec<(usize, u32)>,
}

/// Where an event stands in its request, and what of it never changes.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) line: Range<usize>,
    pub(super) id: Range<usize>,
    pub(super) lsid: Range<usize>,
    pub(super) unix_seconds: f64,
    pub(super) kind: String,
}

/// Feeds of several clients, none of which knows the sessions of another.
pub(super) fn feeds(
    n_clients: u32,
    n_batch_events: usize,
    token: &str,
) -> anyhow::Result<Vec<Feed>> {
    (0..n_clients)
        .map(|client| Feed::new(client, n_batch_events, token))
        .collect()
}

/// Bytes of one event in the bodies, on average.
pub(super) fn mean_bytes(feeds: &[Feed]) -> f64 {
    let batches = || feeds.iter().flat_map(|feed| &feed.batches);
    let n_bytes: usize = batches().map(|batch| batch.body().len()).sum();
    let n_events: usize = batches().map(|batch| batch.events.len()).sum();
    n_bytes as f64 / n_events as f64
}

impl Feed {
    fn new(client: u32, n_batch_events: usize, token: &str) -> anyhow::Result<Feed> {
        let events = interleaved(client);
        let batches = events
            .chunks(n_batch_events)
            .map(|events| Batch::new(events, token))
            .collect::<anyhow::Result<_>>()?;
        Ok(Feed {
            batches,
            batch_idx: 0,
            pass: 0,
        })
    }

    /// The next batch, with ids that were not there before.
    pub(super) fn next_batch(&mut self) -> &Batch {
        if self.batch_idx == self.batches.len() {
            self.batch_idx = 0;
            self.pass += 1;
        }
        let batch = &mut self.batches[self.batch_idx];
        self.batch_idx += 1;
        batch.number(self.pass);
        batch
    }
}

impl Batch {
    fn new(events: &[(String, Value)], token: &str) -> anyhow::Result<Batch> {
        let mut body = String::new();
        let mut sent = Vec::new();
        let mut marks = Vec::new();
        for (id, event) in events {
            let line_at = body.len();
            let line = event.to_string();
            let text = |name: &str| event[name].as_str().context("a story lacks a member");
            let place = |name: &str, value: &str| {
                let at = line.find(&format!("\"{name}\":\"{value}\""));
                let begin = at.context("a story lacks an id")? + name.len() + 4;
                anyhow::Ok(line_at + begin..line_at + begin + value.len())
            };
            let lsid = text("lsid")?;
            for name in [id, lsid] {
                let digits = u32::from_str_radix(&name[..PASS_DIGITS], 16)?;
                let places = line.match_indices(name);
                marks.extend(places.map(|(at, _)| (line_at + at, digits)));
            }
            sent.push(Sent {
                line: line_at..line_at + line.len(),
                id: place("id", id)?,
                lsid: place("lsid", lsid)?,
                unix_seconds: event["time"].as_f64().context("a story has no time")?,
                kind: text("type")?.into(),
            });
            body.push_str(&line);
            body.push('\n');
        }
        let head = load::post_events_head(token, body.len());
        Ok(Batch {
            body_at: head.len(),
            request: [head, body.into_bytes()].concat(),
            events: sent,
            marks,
        })
    }

    /// Head and body of the request.
    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    /// One event a line.
    pub(super) fn body(&self) -> &[u8] {
        &self.request[self.body_at..]
    }

    /// A part of the body: a line, or an id in it.
    pub(super) fn text(&self, range: &Range<usize>) -> anyhow::Result<&str> {
        let bytes = self.body().get(range.clone());
        Ok(std::str::from_utf8(bytes.context("outside the body")?)?)
    }

    fn number(&mut self, pass: u32) {
        let body = &mut self.request[self.body_at..];
        for &(mark, first) in &self.marks {
            let digits = first.wrapping_add(pass.wrapping_mul(PASS_STEP));
            for (idx, digit) in body[mark..mark + PASS_DIGITS].iter_mut().rev().enumerate() {
                *digit = b"0123456789abcdef"[(digits >> (4 * idx)) as usize & 0xf];
            }
        }
    }
}

/// Events of many sessions, each session's in its own order, the sessions mixed by chance.
fn interleaved(client: u32) -> Vec<(String, Value)> {
    let mut chance = fastrand::Rng::with_seed(u64::from(client));
    let mut numbers = client * FEED_SESSIONS_MAX..(client + 1) * FEED_SESSIONS_MAX;
    let mut begin = || {
        let idx = numbers.next().expect("sessions are shorter than a feed");
        let story = Story::new("bench", u64::from(client), idx, idx % REPRESENTATIVES);
        story.events.into_iter().map(renamed)
    };
    let mut open: Vec<_> = (0..OPEN_SESSIONS).map(|_| begin()).collect();
    let mut events = Vec::with_capacity(FEED_EVENTS);
    while events.len() < FEED_EVENTS {
        let session = &mut open[chance.usize(..OPEN_SESSIONS)];
        match session.next() {
            Some(event) => events.push(event),
            None => *session = begin(),
        }
    }
    events
}

/// An event with names as senders give them, 32 hexadecimal digits in no order.
fn renamed((id, mut event): (String, Value)) -> (String, Value) {
    let name = |text: &str| format!("{:032x}", u128::from_be_bytes(Md5::digest(text).into()));
    let lsid = name(event["lsid"].as_str().unwrap_or_default());
    let id = name(&id);
    event["lsid"] = lsid.into();
    event["data"][0][1] = id.clone().into();
    event["id"] = id.clone().into();
    (id, event)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_id_is_sent_twice_and_every_place_is_right() {
        let mut feeds = feeds(2, 1_000, "token").expect("feeds");
        let (mut ids, mut sessions) = (BTreeSet::new(), BTreeSet::new());
        let n_batches = 2 * FEED_EVENTS / 1_000 + 1;
        for feed in &mut feeds {
            for batch_idx in 0..n_batches {
                let batch = feed.next_batch();
                for event in &batch.events {
                    let line = batch.text(&event.line).expect("a line");
                    let value: Value = serde_json::from_str(line).expect("JSON");
                    assert_eq!(value["id"], batch.text(&event.id).expect("an id"));
                    assert_eq!(value["lsid"], batch.text(&event.lsid).expect("an lsid"));
                    assert_eq!(value["id"], value["data"][0][1]);
                    assert!(ids.insert(value["id"].to_string()));
                    sessions.insert((batch_idx / (FEED_EVENTS / 1_000), value["lsid"].to_string()));
                }
            }
        }
        assert_eq!(ids.len(), 2 * n_batches * 1_000);
        // No session goes on in the next pass.
        let lsids: BTreeSet<_> = sessions.iter().map(|(_, lsid)| lsid).collect();
        assert_eq!(lsids.len(), sessions.len());
    }
}
