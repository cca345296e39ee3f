//! What of a session's events its sealed bytes do not say.
//!
//! The bytes are retold as events first, at whole seconds and without ids; what is kept of the true ones
//! is in what they differ. Most differ in nothing but their thousandths of a second, and their ids count
//! upwards.
//!
//! | what | as |
//! |---|---|
//! | CRC-32 of the events | 4 bytes, little endian |
//! | their length, their number | varints |
//! | of each event its tag, and what the tag says that follows | varints, and bytes with their length before them |
//! | thousandths of the seconds of those that were retold | 10 bits each, the first in the lowest bits |

use std::collections::{HashMap, VecDeque};

use debrief_domain as d;

use super::encode::{bytes_with_length, varint, write_event};
use super::{CodecError, unreadable};
use crate::bits::{Reader, Writer};

/// The id is not the one that was to be expected: how much of that it begins with, and what follows.
const OTHER_ID: u64 = 1;
/// It is not the retold one behind the last: which one.
const ELSEWHERE: u64 = 2;
/// It was not retold: its time in milliseconds, and its fields.
const ALONE: u64 = 4;
/// Its fields are not quite those that were retold: steps, and before them how many.
const OTHER_FIELDS: u64 = 8;

/// Bits of thousandths.
const MILLIS_BITS: u32 = 10;
const SECOND: i64 = 1_000;

/// An event in its parts.
struct Parts<'a> {
    id: &'a [u8],
    at: i64,
    /// All other fields, the kind first.
    fields: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(event: &'a [u8]) -> Option<Parts<'a>> {
        let mut rest = event;
        take_key(&mut rest, 0x0A)?;
        let id = take_bytes(&mut rest)?;
        let at = match take_key(&mut rest, 0x10) {
            Some(()) => take_varint(&mut rest)? as i64,
            None => 0,
        };
        Some(Parts {
            id,
            at,
            fields: rest,
        })
    }

    /// The second and the kind: by these an event is found among those that were retold.
    fn second(&self) -> Option<(i64, u64)> {
        let mut rest = self.fields;
        take_key(&mut rest, 0x18)?;
        Some((self.at.div_euclid(SECOND), take_varint(&mut rest)?))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut event = Vec::with_capacity(self.id.len() + self.fields.len() + 16);
        event.push(0x0A);
        bytes_with_length(&mut event, self.id);
        if self.at != 0 {
            event.push(0x10);
            varint(&mut event, self.at as u64);
        }
        event.extend_from_slice(self.fields);
        bytes_with_length(out, &event);
    }
}

/// Retold events as bytes.
fn encoded(told: &[d::Event]) -> Vec<Vec<u8>> {
    let encode = |event| {
        let mut out = Vec::new();
        write_event(&mut out, event);
        out
    };
    told.iter().map(encode).collect()
}

/// What of these events the retold ones do not say; none when they cannot be had again by it.
pub(crate) fn rest_of(events: &[u8], lsid: &str, told: &[d::Event]) -> Option<Vec<u8>> {
    let told = encoded(told);
    let told = parts(&told)?;
    let rest = tell(events, lsid, &told)?;
    let again = retell(&rest, lsid, &told, events.len())?;
    (again == events).then_some(rest)
}

fn parts(told: &[Vec<u8>]) -> Option<Vec<Parts<'_>>> {
    told.iter().map(|event| Parts::of(event)).collect()
}

fn tell(events: &[u8], lsid: &str, told: &[Parts<'_>]) -> Option<Vec<u8>> {
    let mut left: HashMap<(i64, u64), VecDeque<usize>> = HashMap::new();
    for (idx, event) in told.iter().enumerate() {
        left.entry(event.second()?).or_default().push_back(idx);
    }
    let (mut tags, mut millis) = (Vec::new(), Writer::new(Vec::new()));
    let (mut n_events, mut next) = (0, 0);
    let mut guess = first_guess(lsid);
    let mut unread = events;
    while !unread.is_empty() {
        let event = Parts::of(take_bytes(&mut unread)?)?;
        n_events += 1;
        let key = event.second()?;
        let found = match left.get_mut(&key) {
            Some(same) => match same.iter().position(|idx| *idx == next) {
                Some(at) => same.remove(at),
                None => same.pop_front(),
            },
            None => None,
        };
        let mut tag = 0;
        let mut words = Vec::new();
        if event.id != guess {
            tag |= OTHER_ID;
            let n_common = n_common(&guess, event.id);
            varint(&mut words, n_common as u64);
            bytes_with_length(&mut words, &event.id[n_common..]);
        }
        guess = next_guess(event.id);
        if let Some(idx) = found {
            if idx != next {
                tag |= ELSEWHERE;
                varint(&mut words, idx as u64);
            }
            next = idx + 1;
            millis.write(event.at.rem_euclid(SECOND) as u128, MILLIS_BITS);
            if event.fields != told[idx].fields {
                tag |= OTHER_FIELDS;
                write_steps(event.fields, told[idx].fields, &mut words)?;
            }
        } else {
            tag |= ALONE;
            varint(&mut words, event.at as u64);
            bytes_with_length(&mut words, event.fields);
        }
        varint(&mut tags, tag);
        tags.extend_from_slice(&words);
    }
    let mut out = crc32fast::hash(events).to_le_bytes().to_vec();
    varint(&mut out, events.len() as u64);
    varint(&mut out, n_events);
    out.extend_from_slice(&tags);
    out.extend_from_slice(&millis.finish());
    Some(out)
}

/// The events again, at most so many bytes of them.
pub(crate) fn events_of(
    rest: &[u8],
    lsid: &str,
    told: &[d::Event],
    len_max: usize,
) -> Result<Vec<u8>, CodecError> {
    let told = encoded(told);
    let events = parts(&told).and_then(|told| retell(rest, lsid, &told, len_max));
    let events = events.ok_or(unreadable("what is left of events"))?;
    match rest.first_chunk::<4>() {
        Some(crc) if crc32fast::hash(&events) == u32::from_le_bytes(*crc) => Ok(events),
        _ => Err(unreadable("events of which sealed bytes tell")),
    }
}

fn retell(rest: &[u8], lsid: &str, told: &[Parts<'_>], len_max: usize) -> Option<Vec<u8>> {
    let mut unread = rest.get(4..)?;
    let len = usize::try_from(take_varint(&mut unread)?).ok()?;
    let n_events = take_varint(&mut unread)?;
    if len_max < len || (len as u64) < n_events {
        return None;
    }
    let mut events: Vec<Again> = Vec::new();
    let (mut next, mut guess, mut n_bytes) = (0, first_guess(lsid), 0);
    for _ in 0..n_events {
        let tag = take_varint(&mut unread)?;
        let mut id = guess;
        if tag & OTHER_ID != 0 {
            id.truncate(usize::try_from(take_varint(&mut unread)?).ok()?);
            id.extend_from_slice(take_bytes(&mut unread)?);
        }
        guess = next_guess(&id);
        let mut fields = Vec::new();
        let is_retold = tag & ALONE == 0;
        let at = if is_retold {
            if tag & ELSEWHERE != 0 {
                next = usize::try_from(take_varint(&mut unread)?).ok()?;
            }
            let event = told.get(next)?;
            next += 1;
            if tag & OTHER_FIELDS != 0 {
                take_steps(&mut unread, event.fields, &mut fields)?;
            } else {
                fields.extend_from_slice(event.fields);
            }
            event.at
        } else {
            let at = take_varint(&mut unread)? as i64;
            fields.extend_from_slice(take_bytes(&mut unread)?);
            at
        };
        n_bytes += id.len() + fields.len();
        if len < n_bytes {
            return None;
        }
        events.push(Again {
            id,
            at,
            is_retold,
            fields,
        });
    }
    let mut millis = Reader::new(unread);
    let mut out = Vec::with_capacity(len);
    for event in &events {
        let millis = match event.is_retold {
            true => millis.read(MILLIS_BITS)? as i64,
            false => 0,
        };
        let event = Parts {
            id: &event.id,
            at: event.at.checked_add(millis)?,
            fields: &event.fields,
        };
        event.write(&mut out);
    }
    (millis.is_at_end() && out.len() == len).then_some(out)
}

/// An event as it was, but for the thousandths of its second if it was retold: they stand behind all others.
struct Again {
    id: Vec<u8>,
    at: i64,
    is_retold: bool,
    fields: Vec<u8>,
}

/// How to come from the fields that were retold to the true ones: again and again some are left out,
/// some taken over, and some put in that were not there.
fn write_steps(fields: &[u8], told: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (fields, told) = (split(fields)?, split(told)?);
    let (mut n_steps, mut steps) = (0, Vec::new());
    let (mut idx, mut told_idx) = (0, 0);
    while idx < fields.len() {
        let known = |idx: usize, from: usize| {
            let wanted = fields[idx];
            told[from..].iter().position(|field| *field == wanted)
        };
        let (mut n_left_out, mut n_taken) = (0, 0);
        if let Some(ahead) = known(idx, told_idx) {
            n_left_out = ahead;
            told_idx += ahead;
            while idx < fields.len() && told.get(told_idx) == Some(&fields[idx]) {
                (idx, told_idx, n_taken) = (idx + 1, told_idx + 1, n_taken + 1);
            }
        }
        let mut put_in = Vec::new();
        while idx < fields.len() && known(idx, told_idx).is_none() {
            put_in.extend_from_slice(fields[idx]);
            idx += 1;
        }
        varint(&mut steps, n_left_out as u64);
        varint(&mut steps, n_taken);
        bytes_with_length(&mut steps, &put_in);
        n_steps += 1;
    }
    varint(out, n_steps);
    out.extend_from_slice(&steps);
    Some(())
}

fn take_steps(unread: &mut &[u8], told: &[u8], fields: &mut Vec<u8>) -> Option<()> {
    let told = split(told)?;
    let mut told = told.iter();
    for _ in 0..take_varint(unread)? {
        let n_left_out = usize::try_from(take_varint(unread)?).ok()?;
        if 0 < n_left_out {
            told.nth(n_left_out - 1)?;
        }
        for _ in 0..take_varint(unread)? {
            fields.extend_from_slice(told.next()?);
        }
        fields.extend_from_slice(take_bytes(unread)?);
    }
    Some(())
}

/// The fields of a message, each with its key.
fn split(mut message: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let begin = message;
        match take_varint(&mut message)? & 7 {
            0 => drop(take_varint(&mut message)?),
            2 => drop(take_bytes(&mut message)?),
            _ => return None,
        }
        fields.push(&begin[..begin.len() - message.len()]);
    }
    Some(fields)
}

/// The id that is expected of a session's first event.
fn first_guess(lsid: &str) -> Vec<u8> {
    format!("{lsid}-0").into_bytes()
}

/// The id that is expected after this one: its number at the end is one higher.
fn next_guess(id: &[u8]) -> Vec<u8> {
    let mut next = id.to_vec();
    let n_digits = id.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let begin = next.len() - n_digits;
    for digit in next[begin..].iter_mut().rev() {
        if *digit != b'9' {
            *digit += 1;
            return next;
        }
        *digit = b'0';
    }
    if 0 < n_digits {
        next.insert(begin, b'1');
    }
    next
}

fn n_common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

fn take_key(bytes: &mut &[u8], key: u8) -> Option<()> {
    let (first, rest) = bytes.split_first()?;
    (*first == key).then(|| *bytes = rest)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(first & 0x7F);
        if bits << shift >> shift != bits {
            return None;
        }
        value |= bits << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_varint(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}
