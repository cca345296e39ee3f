//! Events as bytes, written straight from the domain's types: the tagged form of the messages
//! beside this file, byte for byte, without making one first. A law in the tests holds both equal.

use std::io::Write as _;
use std::net::SocketAddr;

use debrief_domain as d;

use super::{actor_number, recording_number};

/// Adds one event without its lsid, its length before it: equal events have equal bytes.
pub(crate) fn add_event(out: &mut Vec<u8>, event: &d::Event) {
    with_length(out, |out| write_event(out, event));
}

pub(super) fn write_event(out: &mut Vec<u8>, event: &d::Event) {
    text(out, 1, event.id.as_str());
    number(out, 2, event.at.millis() as u64);
    number(out, 3, u64::from(event.kind.number()));
    if let Some(actor) = &event.performed_by {
        message(out, 4, |out| write_actor(out, actor));
    }
    if let Some(actor) = &event.destination {
        message(out, 5, |out| write_actor(out, actor));
    }
    match &event.body {
        Some(d::Body::Text(body)) => bytes(out, 6, body.as_bytes()),
        Some(d::Body::Bytes(body)) => bytes(out, 7, body),
        None => {}
    }
    given(out, 8, event.filename.as_deref());
    if let Some(size) = event.filesize {
        key(out, 9, VARINT);
        varint(out, size);
    }
    for file in &event.files {
        message(out, 10, |out| {
            text(out, 1, &file.name);
            number(out, 2, file.size);
        });
    }
    for (name, value) in &event.data {
        message(out, 11, |out| {
            text(out, 1, name);
            text(out, 2, value);
        });
    }
    for category in &event.system_information {
        message(out, 12, |out| write_category(out, category));
    }
    if let Some(session) = &event.session {
        message(out, 13, |out| write_session(out, session));
    }
    if let Some(customer) = &event.customer {
        message(out, 14, |out| write_customer(out, customer));
    }
    if let Some(joined) = &event.representative {
        message(out, 15, |out| write_joined(out, joined));
    }
    if let Some(team) = &event.team {
        message(out, 16, |out| {
            write_name(out, team.id.as_str(), team.name.as_deref(), None);
        });
    }
    if let Some(survey) = &event.survey {
        message(out, 17, |out| write_survey(out, survey));
    }
    if let Some(recording) = &event.recording {
        message(out, 18, |out| {
            number(out, 1, u64::from(recording_number(recording.kind)));
            number(out, 2, u64::from(recording.instance));
        });
    }
}

fn write_actor(out: &mut Vec<u8>, actor: &d::Actor) {
    number(out, 1, u64::from(actor_number(actor.kind)));
    number(out, 2, u64::from(actor.gsnumber));
    given(out, 3, actor.name.as_deref());
}

fn write_name(out: &mut Vec<u8>, id: &str, name: Option<&str>, kind: Option<&str>) {
    text(out, 1, id);
    given(out, 2, name);
    given(out, 3, kind);
}

fn write_category(out: &mut Vec<u8>, category: &d::Category) {
    text(out, 1, &category.name);
    texts(out, 2, &category.fields);
    for row in &category.rows {
        message(out, 3, |out| texts(out, 1, row));
    }
}

fn write_session(out: &mut Vec<u8>, session: &d::SessionContext) {
    if let Some((id, name)) = &session.public_site {
        message(out, 1, |out| {
            write_name(out, id.as_str(), name.as_deref(), None);
        });
    }
    if let Some(jumpoint) = &session.jumpoint {
        message(out, 2, |out| {
            write_name(out, &jumpoint.id, Some(&jumpoint.name), None);
        });
    }
    if let Some(group) = &session.jump_group {
        message(out, 3, |out| {
            write_name(out, &group.id, Some(&group.name), Some(&group.kind));
        });
    }
    given(out, 4, session.external_key.as_deref());
    for attribute in &session.custom_attributes {
        message(out, 5, |out| {
            text(out, 1, attribute.code_name.as_str());
            given(out, 2, attribute.display_name.as_deref());
            text(out, 3, &attribute.value);
        });
    }
}

fn write_customer(out: &mut Vec<u8>, customer: &d::Customer) {
    number(out, 1, u64::from(customer.gsnumber));
    text(out, 2, &customer.username);
    address(out, 3, customer.public_ip);
    given(out, 4, customer.private_ip.as_deref());
    given(out, 5, customer.hostname.as_deref());
    given(out, 6, customer.os.as_deref());
    text(out, 7, &customer.info.name);
    text(out, 8, &customer.info.company);
    text(out, 9, &customer.info.company_code);
    text(out, 10, &customer.info.issue);
    text(out, 11, &customer.info.details);
}

fn write_joined(out: &mut Vec<u8>, joined: &d::Joined) {
    number(out, 1, u64::from(joined.gsnumber));
    text(out, 2, joined.id.as_str());
    text(out, 3, &joined.username);
    text(out, 4, &joined.public_display_name);
    text(out, 5, &joined.private_display_name);
    text(out, 6, &joined.display_number);
    address(out, 7, joined.public_ip);
    given(out, 8, joined.private_ip.as_deref());
    given(out, 9, joined.hostname.as_deref());
    given(out, 10, joined.os.as_deref());
    texts(out, 11, &joined.support_teams);
    let is_invited = joined.invitation == d::Invitation::Invited;
    number(out, 12, u64::from(is_invited));
}

fn write_survey(out: &mut Vec<u8>, survey: &d::Survey) {
    for question in &survey.questions {
        message(out, 1, |out| {
            text(out, 1, &question.id);
            text(out, 2, &question.kind);
            text(out, 3, &question.label);
            text(out, 4, &question.name);
            text(out, 5, &question.report_header);
            texts(out, 6, &question.answers);
        });
    }
}

/// The wire types of the Protocol Buffers encoding that are used here.
const VARINT: u32 = 0;
const LENGTH: u32 = 2;
/// Bits of a number in each byte of it.
const VARINT_BITS: u32 = 7;

fn key(out: &mut Vec<u8>, tag: u32, wire_type: u32) {
    varint(out, u64::from(tag << 3 | wire_type));
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while 0x80 <= value {
        out.push(value as u8 | 0x80);
        value >>= VARINT_BITS;
    }
    out.push(value as u8);
}

/// A number; 0 is not written.
fn number(out: &mut Vec<u8>, tag: u32, value: u64) {
    if value != 0 {
        key(out, tag, VARINT);
        varint(out, value);
    }
}

/// A text; the empty one is not written.
fn text(out: &mut Vec<u8>, tag: u32, text: &str) {
    if !text.is_empty() {
        bytes(out, tag, text.as_bytes());
    }
}

/// A text that may be missing, which is not the same as empty.
fn given(out: &mut Vec<u8>, tag: u32, text: Option<&str>) {
    if let Some(text) = text {
        bytes(out, tag, text.as_bytes());
    }
}

fn texts(out: &mut Vec<u8>, tag: u32, texts: &[d::Text]) {
    for text in texts {
        bytes(out, tag, text.as_bytes());
    }
}

fn bytes(out: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    key(out, tag, LENGTH);
    bytes_with_length(out, bytes);
}

/// Bytes, their length before them.
pub(super) fn bytes_with_length(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn address(out: &mut Vec<u8>, tag: u32, address: Option<SocketAddr>) {
    if let Some(address) = address {
        message(out, tag, |out| {
            write!(out, "{address}").expect("writing to memory cannot fail");
        });
    }
}

fn message(out: &mut Vec<u8>, tag: u32, write: impl FnOnce(&mut Vec<u8>)) {
    key(out, tag, LENGTH);
    with_length(out, write);
}

/// Writes something, then its length before it. Most lengths take the one byte that is left free
/// for them; what is longer moves up.
fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.push(0);
    write(out);
    let len = out.len() - begin - 1;
    if len < 0x80 {
        out[begin] = len as u8;
        return;
    }
    let n_length = (usize::BITS - len.leading_zeros()).div_ceil(VARINT_BITS) as usize;
    let end = out.len();
    out.resize(end + n_length - 1, 0);
    out.copy_within(begin + 1..end, begin + n_length);
    let mut rest = len;
    for byte in &mut out[begin..begin + n_length] {
        *byte = rest as u8 | 0x80;
        rest >>= VARINT_BITS;
    }
    out[begin + n_length - 1] &= 0x7F;
}
