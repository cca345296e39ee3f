//! What is noted of devices and messages, so that a restart forgets nothing.

use debrief_store::{Store, StoreError};

use super::SOURCE;
use super::device::{Device, Key};
use crate::app::App;

/// The name of a device's note.
fn name(id: &str) -> String {
    format!("device/{id}")
}

/// What is known of a device.
pub(super) async fn load(app: &App, id: &str) -> Result<Option<Device>, StoreError> {
    let Some(bytes) = app.store().note(SOURCE, &name(id)).await? else {
        return Ok(None);
    };
    let device = serde_json::from_slice(&bytes);
    device
        .map(Some)
        .map_err(|error| StoreError::corrupt(format!("the note of a RustDesk device: {error}")))
}

/// Forgets whose a device is, so that the next who comes with its id is believed; its sessions
/// stay. False when it was not known.
pub(crate) async fn forget(store: &Store, id: &str) -> Result<bool, StoreError> {
    let is_known = store.note(SOURCE, &name(id)).await?.is_some();
    if is_known {
        store.put_note(SOURCE, &name(id), None).await?;
    }
    Ok(is_known)
}

/// Notes what is known of a device, when that changed.
pub(super) async fn save(
    app: &App,
    id: &str,
    before: &Device,
    device: &Device,
) -> Result<(), StoreError> {
    app.sources().rustdesk.mark_busy(id, device.is_busy());
    if before == device {
        return Ok(());
    }
    let bytes = serde_json::to_vec(device).map_err(|error| StoreError::Refused {
        what: "a device cannot be written down".into(),
        source: Some(Box::new(error)),
    })?;
    app.store().put_note(SOURCE, &name(id), Some(bytes)).await
}

/// Whether a message was heard before; a nonce is known for ever.
pub(super) async fn is_repeated(app: &App, key: &Key) -> Result<bool, StoreError> {
    if !key.lasts {
        return Ok(key.is_known);
    }
    let is_noted = app.store().note(SOURCE, &nonce(key)).await?.is_some();
    if key.is_known && !is_noted {
        // The first time was cut off between the device's note and this one.
        remember_for_ever(app, key).await?;
    }
    Ok(key.is_known || is_noted)
}

/// The name of a nonce's note.
fn nonce(key: &Key) -> String {
    format!("nonce/{}", key.mark)
}

pub(super) async fn remember_for_ever(app: &App, key: &Key) -> Result<(), StoreError> {
    let store = app.store();
    store.put_note(SOURCE, &nonce(key), Some(Vec::new())).await
}
