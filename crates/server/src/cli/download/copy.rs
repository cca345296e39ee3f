//! One file from the archive itself.

use std::io::Write as _;

use anyhow::Context as _;
use debrief_report::{Element, transcript};
use debrief_store::KeptRecording;
use futures::TryStreamExt as _;
use indicatif::ProgressBar;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::download::Got;
use crate::download::slot::{Slot, Wrong};
use crate::http::hex;

/// Writes the transcript, unless it is there already.
pub(super) fn write_chat(session: &Element, slot: &mut Slot) -> anyhow::Result<Got> {
    let text = transcript(session).to_text();
    let tag = format!("\"{}\"", hex(&Sha256::digest(&text)));
    if slot.tag() == Some(&tag) && slot.whole().is_some() {
        return Ok(Got::Same);
    }
    let cannot = "a file cannot be written";
    let len = text.len() as u64;
    let mut file = slot.begin(Some(&tag), Some(len)).context(cannot)?;
    file.write_all(text.as_bytes()).context(cannot)?;
    finish(slot, "text/plain", len)
}

/// Copies a recording out of the object store, going on where it stopped.
pub(super) async fn copy(
    app: &App,
    kept: &KeptRecording,
    slot: &mut Slot,
    bar: &ProgressBar,
) -> anyhow::Result<Got> {
    let tag = format!("\"{}\"", hex(&kept.sha256));
    let is_known = slot.tag() == Some(&tag);
    if is_known && slot.whole() == Some(kept.bytes) {
        return Ok(Got::Same);
    }
    let cannot = "a file cannot be written";
    let received = slot.received().filter(|len| is_known && *len <= kept.bytes);
    let mut file = match received {
        Some(_) => slot.resume(),
        None => slot.begin(Some(&tag), Some(kept.bytes)),
    }
    .context(cannot)?;
    let first = received.unwrap_or(0);
    let mut pieces = app.files().objects.read(&kept.object, first..kept.bytes);
    loop {
        match pieces.try_next().await {
            Ok(Some(piece)) => {
                file.write_all(&piece).context(cannot)?;
                bar.inc(piece.len() as u64);
            }
            Ok(None) => break,
            Err(error) => {
                // Nothing that could be gone on with is not worth a file.
                if slot.received().is_none() {
                    slot.discard().context(cannot)?;
                }
                return Ok(Got::Missing(error.to_string()));
            }
        }
    }
    drop(file);
    finish(slot, &kept.media, kept.bytes - first)
}

fn finish(slot: &mut Slot, media_type: &str, fresh: u64) -> anyhow::Result<Got> {
    match slot.finish(media_type) {
        Ok(_) => Ok(Got::Fresh(fresh)),
        Err(wrong @ (Wrong::Digest | Wrong::Length { .. })) => Ok(Got::Missing(wrong.to_string())),
        Err(Wrong::Io(error)) => Err(error).context("a file cannot be written"),
    }
}
