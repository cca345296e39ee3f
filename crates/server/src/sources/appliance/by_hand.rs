//! How a copy by `debrief pull` is doing, told to a server on the same archive: it is another
//! process, so it stands in a note.

use std::time::Duration;

use debrief_domain::At;
use debrief_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::sources::Standing;

/// Under which source these notes stand; each has the name of a source.
const NOTES: &str = "pull";
/// Sources of `debrief pull` that are shown.
const SHOWN_MAX: usize = 1_000;
/// How often it is told while a round goes on.
pub(crate) const TOLD_EVERY: Duration = Duration::from_secs(2);

/// A standing as it is written down. Times are milliseconds.
#[derive(Serialize, Deserialize)]
struct Note {
    told: i64,
    state: String,
    heard: Option<i64>,
    error: Option<(i64, String)>,
    n_events: u64,
    n_recordings: u64,
    n_refused: u64,
    n_dead: u64,
    refusals: Vec<(i64, String)>,
}

/// Notes how a source of this process is doing.
pub(crate) async fn tell(app: &App, source: &str) -> Result<(), StoreError> {
    let sources = app.sources().all();
    let Some((_, standing)) = sources.into_iter().find(|(name, _)| name == source) else {
        return Ok(());
    };
    let note = Note {
        told: app.now().millis(),
        state: standing.state,
        heard: standing.heard.map(At::millis),
        error: standing.error.map(|(at, error)| (at.millis(), error)),
        n_events: standing.n_events,
        n_recordings: standing.n_recordings,
        n_refused: standing.n_refused,
        n_dead: standing.n_dead,
        refusals: standing
            .refusals
            .into_iter()
            .map(|(at, why)| (at.millis(), why))
            .collect(),
    };
    let note = serde_json::to_vec(&note).map_err(|_| StoreError::refused("a broken note"))?;
    app.store().put_note(NOTES, source, Some(note)).await
}

/// What was told of every source by whoever copied it by hand, and when.
pub(crate) async fn told(store: &Store) -> Result<Vec<(String, Standing, At)>, StoreError> {
    let notes = store.notes(NOTES, "", "", SHOWN_MAX).await?;
    let read = |(name, note): (String, Vec<u8>)| {
        let note: Note = serde_json::from_slice(&note).ok()?;
        let at = |millis| At::from_millis(millis).ok();
        let timed = |(millis, text)| Some((at(millis)?, text));
        let standing = Standing {
            state: note.state,
            heard: note.heard.and_then(at),
            error: note.error.and_then(timed),
            n_events: note.n_events,
            n_recordings: note.n_recordings,
            n_refused: note.n_refused,
            n_dead: note.n_dead,
            refusals: note.refusals.into_iter().filter_map(timed).collect(),
        };
        Some((name, standing, at(note.told)?))
    };
    Ok(notes.into_iter().filter_map(read).collect())
}
