//! What is done although nobody sends anything: connections that fell silent, and messages that
//! waited in vain.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use debrief_store::StoreError;

use super::SOURCE;
use super::audit::append;
use super::device::{Device, Hearing};
use super::known::{load, save};
use super::refusal::recall;
use crate::app::App;
use crate::sources::{Buried, bury};

/// Devices of one page of notes.
const PAGE_DEVICES: usize = 256;

/// One round: ends the sessions of connections that fell silent, and keeps messages aside that
/// waited in vain.
pub async fn sweep(app: &App) -> Result<(), StoreError> {
    let shared = &app.sources().rustdesk;
    let since = shared.since(app);
    for id in busy(app).await? {
        let _turn = shared.turn(&id).await;
        let Some(before) = load(app, &id).await? else {
            shared.mark_busy(&id, false);
            continue;
        };
        let mut device = before.clone();
        let mut events = Vec::new();
        let mut hearing = Hearing {
            now: app.now(),
            id: &id,
            key: "",
            site: None,
            tickets: &[],
            events: &mut events,
        };
        let lost = device.sweep(&mut hearing, since);
        append(app, events).await?;
        for waiting in lost {
            let why = format!("{}: its login never came", waiting.route);
            if bury(app, SOURCE, &why, waiting.body.as_bytes()).await == Buried::Lost {
                return Err(StoreError::refused("a message could not be kept aside"));
            }
        }
        save(app, &id, &before, &device).await?;
    }
    Ok(())
}

/// Devices to look at; after a start those that were noted.
async fn busy(app: &App) -> Result<Vec<String>, StoreError> {
    let shared = &app.sources().rustdesk;
    let known = {
        let mut busy = shared.busy.lock().unwrap_or_else(PoisonError::into_inner);
        match busy.as_ref() {
            Some(known) => Some(known.iter().cloned().collect()),
            None => {
                // From here on requests keep it.
                *busy = Some(BTreeSet::new());
                None
            }
        }
    };
    if let Some(known) = known {
        return Ok(known);
    }
    recall(app).await?;
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = app
            .store()
            .notes(SOURCE, "device/", &after, PAGE_DEVICES)
            .await;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                *shared.busy.lock().unwrap_or_else(PoisonError::into_inner) = None;
                return Err(error);
            }
        };
        let Some((last, _)) = page.last() else {
            return Ok(found);
        };
        after.clone_from(last);
        for (name, bytes) in &page {
            let device: Result<Device, _> = serde_json::from_slice(bytes);
            let id = name.strip_prefix("device/").unwrap_or(name);
            if device.is_ok_and(|device| device.is_busy()) {
                shared.mark_busy(id, true);
                found.push(id.to_owned());
            }
        }
    }
}
