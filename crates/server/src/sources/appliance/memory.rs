//! What a copy remembers from one round to the next, as notes of its source in the archive.
//!
//! Every note is written after what it speaks of is committed, so that a round which was cut off
//! repeats something and leaves nothing out.

use std::collections::BTreeMap;

use debrief_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// Where a copy stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// What the other side is, once it was asked.
    pub(super) other: Option<Other>,
    /// Sessions that ended before this second have been brought, but for those still noted.
    pub(super) ended: Option<i64>,
    /// The same of sessions that began before this second.
    pub(super) started: Option<i64>,
    /// Sessions that were brought and may be listed again: those close to the cursors.
    pub(super) had: BTreeMap<String, Had>,
}

/// Who is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Other {
    /// Whoever speaks the vendor's API and nothing else.
    Appliance,
    /// Another Debrief.
    Debrief {
        /// The cursor after which changes are news.
        next: u64,
        /// Whether everything before that cursor has been brought.
        is_copied: bool,
    },
}

/// A session that was brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Had {
    /// The second by which it is listed, or a later one.
    pub(super) at: i64,
    /// Whether it was listed with a recording.
    pub(super) recorded: bool,
}

/// A session that is to be asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Again {
    /// What is missing of it.
    pub(super) lacks: Lacks,
    /// Since when.
    pub(super) since: i64,
    /// How often it was asked for in vain.
    pub(super) n_tries: u32,
}

/// What is missing of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Lacks {
    /// Its end: it was running, or was not given at all.
    End,
    /// A recording that could not be had.
    Recording,
}

const MEMORY: &str = "memory";
const AGAIN: &str = "again/";
/// Notes read at once.
const NOTES_PAGE: usize = 1_000;
/// Sessions that are asked for again.
pub(super) const AGAIN_MAX: usize = 100_000;

impl Memory {
    /// What was remembered; nothing that can be read is nothing.
    pub(super) async fn load(store: &Store, source: &str) -> Result<Memory, StoreError> {
        let note = store.note(source, MEMORY).await?.unwrap_or_default();
        Ok(serde_json::from_slice(&note).unwrap_or_default())
    }

    pub(super) async fn save(&self, store: &Store, source: &str) -> Result<(), StoreError> {
        let note = serde_json::to_vec(self).map_err(|_| StoreError::refused("a broken note"))?;
        store.put_note(source, MEMORY, Some(note)).await
    }
}

/// Sessions that are to be asked for again, at most [`AGAIN_MAX`].
pub(super) async fn agains(
    store: &Store,
    source: &str,
) -> Result<BTreeMap<String, Again>, StoreError> {
    let mut found = BTreeMap::new();
    let mut after = String::new();
    while found.len() < AGAIN_MAX {
        let notes = store.notes(source, AGAIN, &after, NOTES_PAGE).await?;
        let Some((last, _)) = notes.last() else {
            break;
        };
        after.clone_from(last);
        for (name, note) in notes {
            let lsid = name.strip_prefix(AGAIN).unwrap_or_default().to_owned();
            if let Ok(again) = serde_json::from_slice(&note) {
                found.insert(lsid, again);
            }
        }
    }
    Ok(found)
}

/// Notes that a session is to be asked for again, or not any more.
pub(super) async fn put_again(
    store: &Store,
    source: &str,
    lsid: &str,
    again: Option<Again>,
) -> Result<(), StoreError> {
    let note = again.map(|again| serde_json::to_vec(&again).unwrap_or_default());
    store
        .put_note(source, &format!("{AGAIN}{lsid}"), note)
        .await
}
