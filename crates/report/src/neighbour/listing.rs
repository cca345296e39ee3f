//! `SupportSessionListing`: one empty element per session.

use super::Session;
use crate::link::RecordingsView;
use crate::sealed::SealedError;
use crate::write::Xml;

/// Appends the session's element. Of kept bytes only the head is inflated, for the external key.
pub(super) fn write(
    session: &mut Session<'_>,
    recordings: RecordingsView,
    out: &mut Vec<u8>,
) -> Result<(), SealedError> {
    let recorded = recordings == RecordingsView::Allowed && session.has_recording()?;
    let key = external_key(session)?;
    let mut attributes = vec![
        ("lsid", session.lsid()),
        ("has_recording", if recorded { "1" } else { "0" }),
    ];
    if !key.is_empty() {
        attributes.push(("external_key", &key));
    }
    let mut xml = Xml::default();
    xml.leaf("session_summary", &attributes, "");
    xml.out.push(b'\n');
    out.extend_from_slice(&xml.out);
    Ok(())
}

fn external_key(session: &mut Session<'_>) -> Result<String, SealedError> {
    if let Some(key) = session.head()?.child("external_key") {
        return Ok(key.text());
    }
    // A document may have it behind the links, or not at all.
    let text = session.text()?;
    let key = session.read(&text)?.child("external_key").map(|k| k.text());
    Ok(key.unwrap_or_default())
}
