//! Recordings that are to be fetched: one after the other, again when that fails, and given up in
//! the end.

use std::time::Duration;

use debrief_domain::Event;
use tokio::time::Instant;

use super::{Following, chain};
use crate::http::log_chain;
use crate::sources::bury;
use crate::sources::meshcentral::client::ClientError;
use crate::sources::meshcentral::fetch::{FetchError, fetch};
use crate::sources::meshcentral::grouping::Wanted;

/// Attempts to fetch a recording before it is given up.
const FETCHES_MAX: u32 = 20;
/// The wait before the second attempt; each is twice the one before.
const FETCH_AGAIN_MIN: Duration = Duration::from_secs(2);
/// The longest wait before another attempt.
const FETCH_AGAIN_MAX: Duration = Duration::from_secs(3_600);

/// What became of fetching a recording.
pub(super) type Fetched = (Wanted, Result<Vec<Event>, FetchError>);

impl Following<'_> {
    /// Begins to fetch a recording, one at a time.
    pub(super) fn fetch_next(&mut self) {
        if !self.fetches.is_empty() {
            return;
        }
        let now = Instant::now();
        let is_due = |wanted: &&Wanted| {
            let again = self.fetch_again.get(&wanted.file);
            again.is_none_or(|again| *again <= now)
        };
        let Some(wanted) = self.state.wanted.iter().find(is_due).cloned() else {
            return;
        };
        let (app, server) = (self.app.clone(), self.source.server.clone());
        self.fetches.spawn(async move {
            let outcome = fetch(&app, &server, &wanted).await;
            (wanted, outcome)
        });
    }

    pub(super) async fn fetched(
        &mut self,
        wanted: Wanted,
        outcome: Result<Vec<Event>, FetchError>,
    ) -> Result<(), ClientError> {
        let (app, name) = (self.app, &self.source.name);
        let is_it = |known: &Wanted| known.file == wanted.file;
        let error = match outcome {
            Ok(events) => {
                self.state.wanted.retain(|known| !is_it(known));
                self.fetch_again.remove(&wanted.file);
                self.commit(events).await?;
                app.sources()
                    .update(name, |standing| standing.n_recordings += 1);
                return Ok(());
            }
            Err(error) => error,
        };
        log_chain(&error);
        app.sources().failed(
            name,
            app.now(),
            format!("`{}`: {}", wanted.file, chain(&error)),
        );
        let n_failures = wanted.n_failures + 1;
        if n_failures < FETCHES_MAX {
            let wait = FETCH_AGAIN_MIN * 2u32.saturating_pow(wanted.n_failures).min(1 << 12);
            let again = Instant::now() + wait.min(FETCH_AGAIN_MAX);
            self.fetch_again.insert(wanted.file.clone(), again);
            let mut known = self.state.wanted.iter_mut();
            if let Some(known) = known.find(|known| is_it(known)) {
                known.n_failures = n_failures;
            }
        } else {
            self.state.wanted.retain(|known| !is_it(known));
            let letter = serde_json::to_vec(&wanted).expect("texts and numbers");
            bury(app, name, &chain(&error), &letter).await;
        }
        self.commit(Vec::new()).await
    }
}
