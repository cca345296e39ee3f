//! Live sources: each is an adapter, its words in, Debrief's events out. A foreign system's words
//! stand in its own file and nowhere else.
//!
//! Here is what they have in common: how each is doing, and the messages that none understood.

pub mod appliance;
pub mod meshcentral;
pub mod rustdesk;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use debrief_domain::At;
use debrief_store::DeadLetter;
use serde::Deserialize;

use crate::app::App;
use crate::http::log_chain;

/// What the configuration says of live sources: the table `source` of the file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// RustDesk's own clients, which are configured with Debrief as their server.
    pub rustdesk: rustdesk::Settings,
    /// MeshCentral servers that are followed.
    pub meshcentral: Vec<meshcentral::Settings>,
    /// Appliances, or other Debriefs, that are copied.
    pub appliance: Vec<appliance::Settings>,
}

/// How every source is doing.
#[derive(Default)]
pub struct Sources {
    standings: Mutex<BTreeMap<String, Standing>>,
    /// What RustDesk's requests share with its sweep.
    pub(crate) rustdesk: rustdesk::Shared,
}

/// How one source is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What it is doing, in a word or two, such as `following`.
    pub state: String,
    /// The time of the newest thing it told of.
    pub heard: Option<At>,
    /// What last went wrong, and when.
    pub error: Option<(At, String)>,
    /// Events taken in since the start.
    pub n_events: u64,
    /// Recordings taken in since the start.
    pub n_recordings: u64,
    /// Messages refused since the start: forged, or over a limit.
    pub n_refused: u64,
    /// Messages kept aside since the start.
    pub n_dead: u64,
    /// The newest refusals, and why.
    pub refusals: Vec<(At, String)>,
}

/// Refusals of a source that are shown.
const REFUSALS_SHOWN_MAX: usize = 50;
/// Bytes of a message that is kept aside; more of it is cut.
pub const DEAD_LETTER_BYTES_MAX: usize = 1 << 20;

impl Sources {
    /// Changes what is known of a source; one that was not known begins here.
    pub fn update(&self, source: &str, change: impl FnOnce(&mut Standing)) {
        let mut sources = self
            .standings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        change(sources.entry(source.to_owned()).or_default());
    }

    /// Every source, by name.
    pub fn all(&self) -> Vec<(String, Standing)> {
        let sources = self
            .standings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        sources
            .iter()
            .map(|(name, standing)| (name.clone(), standing.clone()))
            .collect()
    }

    /// Notes that something went wrong.
    pub fn failed(&self, source: &str, now: At, error: String) {
        self.update(source, |standing| standing.error = Some((now, error)));
    }

    /// Notes that a message was refused, and why.
    pub fn refused(&self, source: &str, now: At, why: String) {
        self.update(source, |standing| {
            standing.n_refused += 1;
            if REFUSALS_SHOWN_MAX <= standing.refusals.len() {
                standing.refusals.remove(0);
            }
            standing.refusals.push((now, why));
        });
    }
}

/// Whether a message that was not understood is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buried {
    /// It is.
    Kept,
    /// Not even that could be done.
    Lost,
}

/// Keeps a message aside that a source could not understand. Never an error to the source: what
/// cannot even be kept aside is told in the log, and to a caller who can have it sent again.
pub async fn bury(app: &App, source: &str, why: &str, message: &[u8]) -> Buried {
    let len = message.len().min(DEAD_LETTER_BYTES_MAX);
    let letter = DeadLetter {
        source: source.into(),
        at: app.now(),
        why: why.into(),
        message: message[..len].to_vec(),
    };
    app.sources()
        .update(source, |standing| standing.n_dead += 1);
    match app.store().bury(letter).await {
        Ok(()) => Buried::Kept,
        Err(error) => {
            log_chain(&error);
            Buried::Lost
        }
    }
}
