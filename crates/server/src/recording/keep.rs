//! The last step of every way in: a whole file becomes an object, and then counts.

use std::path::Path;

use debrief_store::{KeepRecording, KeptRecording, ObjectError, Objects, Store, StoreError};

use crate::random;

/// Letters of an object's name: more than 256 random bits.
const OBJECT_NAME_CHARS: usize = 44;

/// Why a recording is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// The file did not become an object; it is where it was.
    #[error("the object store does not take the recording")]
    Objects(#[source] ObjectError),
    /// The archive did not answer.
    #[error("the archive does not take the recording")]
    Store(#[from] StoreError),
}

/// A name for a new object, which nobody can guess.
pub(crate) fn object_name() -> anyhow::Result<String> {
    random::word(OBJECT_NAME_CHARS)
}

/// Puts a whole file, which is on disk, into the object store and gives it its row in the archive:
/// from then on it counts. The file may be gone afterwards.
pub(crate) async fn keep(
    store: &Store,
    objects: &Objects,
    file: &Path,
    recording: &KeptRecording,
) -> Result<KeepRecording, KeepError> {
    // One that is there already needs no second object.
    let known = store.recordings(&recording.key.lsid).await?;
    let mut known = known.into_iter().flatten();
    if let Some(known) = known.find(|known| known.key == recording.key) {
        return Ok(if known.sha256 == recording.sha256 {
            KeepRecording::Known(known)
        } else {
            KeepRecording::Taken(known)
        });
    }
    objects
        .put_file(&recording.object, file)
        .await
        .map_err(KeepError::Objects)?;
    // After an unknown outcome the object stays: if the archive has no row of it, it is swept.
    let outcome = store.keep_recording(recording.clone()).await?;
    if outcome != KeepRecording::Kept {
        let _ = objects.delete(&recording.object).await;
    }
    Ok(outcome)
}
