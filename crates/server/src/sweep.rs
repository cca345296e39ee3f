//! The work that goes on by itself: sealing what was closed, closing what fell silent, forgetting
//! what no report needs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use debrief_domain::{At, Directory, Moment, Recording, fold};
use debrief_report::{Level, Parts, Sealed, Sealer, session_parts};
use debrief_store::{Material, ObjectError, SealedBody, Store, StoreError, Unsealed};
use futures::TryStreamExt as _;
use tokio::time::{Instant, MissedTickBehavior};

use crate::app::App;
use crate::http::log_chain;

/// How often the sweeper looks.
const SWEEP_EVERY: Duration = Duration::from_millis(500);
/// Sessions sealed in one commit.
const SEAL_SESSIONS_MAX: usize = 64;
/// Commits that seal in one round: to sessions that were sealed more may come without end.
const SEAL_STEPS_MAX: usize = 64;
/// How often as long as sealing took it pauses.
const SEAL_PAUSES: u32 = 3;
/// Sessions lapsed in one commit.
const LAPSE_SESSIONS_MAX: usize = 1_000;
/// The longest a report may take: index entries older than this are forgotten.
pub(crate) const REPORT_MAX: Duration = Duration::from_secs(6 * 3_600);
/// How often the horizon of reports moves.
const HORIZON_EVERY: Duration = Duration::from_secs(600);
/// How often the archive is looked through for what could lie better.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// Commits that tidy between two looks at what is to be sealed.
const TIDY_STEPS_MAX: usize = 16;
/// Sessions whose bytes are moved in one commit.
const TIDY_SESSIONS_MAX: usize = 64;
/// How often files that uploads left behind are looked for.
const FILES_EVERY: Duration = Duration::from_secs(3_600);

/// Sweeps until the program ends, whatever happens to one sweeper.
pub(crate) async fn keep_running(app: App) {
    loop {
        if let Err(error) = tokio::spawn(run(app.clone())).await {
            tracing::error!(%error, "the sweeper died; another one goes on");
        }
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

/// Sweeps until the program ends.
pub(crate) async fn run(app: App) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut horizons: VecDeque<u64> = VecDeque::new();
    let mut since_horizon = HORIZON_EVERY;
    let mut since_tidy = TIDY_EVERY;
    let mut since_files = FILES_EVERY;
    loop {
        ticks.tick().await;
        if let Err(error) = sweep(&app).await {
            tracing::error!(%error, "sweeping failed; it is tried again");
        }
        since_horizon += SWEEP_EVERY;
        if HORIZON_EVERY <= since_horizon {
            since_horizon = Duration::ZERO;
            if let Err(error) = move_horizon(&app, &mut horizons).await {
                tracing::error!(%error, "old index entries could not be forgotten");
            }
        }
        since_tidy += SWEEP_EVERY;
        if TIDY_EVERY <= since_tidy {
            match tidy(&app).await {
                // The next round goes on.
                Ok(Tidied::Some) => {}
                Ok(Tidied::All) => since_tidy = Duration::ZERO,
                Err(error) => {
                    since_tidy = Duration::ZERO;
                    tracing::error!(%error, "the archive could not be tidied");
                }
            }
        }
        since_files += SWEEP_EVERY;
        if FILES_EVERY <= since_files {
            since_files = Duration::ZERO;
            // A slow object store must not keep sessions from being sealed.
            let app = app.clone();
            tokio::spawn(async move {
                if let Err(error) = sweep_files(&app).await {
                    log_chain(&error);
                }
            });
        }
    }
}

/// One round: lapses and seals what there is to lapse and seal, up to some thousands of sessions.
pub async fn sweep(app: &App) -> Result<(), StoreError> {
    let n_lapsed = lapse_all(app.store(), app.now(), app.config().lapse_after).await?;
    if 0 < n_lapsed {
        tracing::info!(
            n_lapsed,
            "sessions closed abnormally: nothing was heard of them"
        );
        app.changed();
    }
    for _ in 0..SEAL_STEPS_MAX {
        let began = Instant::now();
        if seal_some(app.store()).await? == 0 {
            break;
        }
        // A quarter of a processor at most: who sends and who asks come first.
        tokio::time::sleep(SEAL_PAUSES * began.elapsed()).await;
    }
    Ok(())
}

/// How far a round of [`tidy`] came.
enum Tidied {
    /// There is more to do.
    Some,
    /// There was nothing left to do.
    All,
}

/// Brings what is kept into its best place, some of it: sessions that wait to be sealed come first,
/// however much there is to tidy.
async fn tidy(app: &App) -> Result<Tidied, StoreError> {
    for _ in 0..TIDY_STEPS_MAX {
        let began = Instant::now();
        if tidy_some(app.store(), app.now()).await? == 0 {
            return Ok(Tidied::All);
        }
        tokio::time::sleep(SEAL_PAUSES * began.elapsed()).await;
    }
    Ok(Tidied::Some)
}

/// The next step of [`tidy`]. Gives how many sessions it concerned.
async fn tidy_some(store: &Store, now: At) -> Result<u64, StoreError> {
    store.tidy(now, TIDY_SESSIONS_MAX).await
}

/// As [`tidy`], as fast as it goes.
pub(crate) async fn tidy_all(store: &Store, now: At) -> Result<(), StoreError> {
    while 0 < tidy_some(store, now).await? {}
    Ok(())
}

/// Closes every session that was silent too long. Gives how many.
pub(crate) async fn lapse_all(
    store: &Store,
    now: At,
    lapse_after: Duration,
) -> Result<u64, StoreError> {
    let secs = i64::try_from(lapse_after.as_secs()).unwrap_or(i64::MAX);
    let silent_since = now.plus_secs(-secs);
    let mut n_lapsed = 0;
    loop {
        let n = store.lapse(silent_since, LAPSE_SESSIONS_MAX).await?;
        n_lapsed += n;
        if n < LAPSE_SESSIONS_MAX as u64 {
            return Ok(n_lapsed);
        }
    }
}

/// Seals every closed session that is not sealed. Gives how many.
pub(crate) async fn seal_all(store: &Store) -> Result<u64, StoreError> {
    let mut n_sealed = 0;
    loop {
        match seal_some(store).await? {
            0 => return Ok(n_sealed),
            n => n_sealed += n,
        }
    }
}

/// Seals some closed sessions. Gives how many: none when there are none, or only such as are known to
/// have changed meanwhile or cannot be folded; they wait for the next round.
async fn seal_some(store: &Store) -> Result<u64, StoreError> {
    let unsealed = store.unsealed(SEAL_SESSIONS_MAX).await?;
    if unsealed.is_empty() {
        return Ok(0);
    }
    let (version, directory) = store.directory().await?;
    let bodies = tokio::task::spawn_blocking(move || seal(unsealed, version, &directory)).await;
    let bodies = bodies.map_err(|_| StoreError::refused("sealing was given up"))?;
    store.seal(bodies).await
}

fn seal(unsealed: Vec<Unsealed>, version: u64, directory: &Arc<Directory>) -> Vec<SealedBody> {
    let mut sealer = Sealer::new(Level::Keep);
    let seal = |unsealed: Unsealed| {
        let parts = parts(
            unsealed.lseq,
            unsealed.material,
            &unsealed.recordings,
            directory,
        )?;
        Some(SealedBody {
            place: unsealed.place,
            change: unsealed.change,
            names: version,
            body: sealer.seal(&parts),
        })
    };
    unsealed.into_iter().filter_map(seal).collect()
}

/// A closed session as it is to be kept; none when its bytes are damaged.
pub(crate) fn parts(
    lseq: u64,
    material: Material,
    recordings: &[Recording],
    directory: &Directory,
) -> Option<Parts> {
    match material {
        Material::Events(events) => {
            // Only closed sessions are sealed: without an end they have lapsed.
            let session = fold(lseq, events, Moment::Silent)?.with_recordings(recordings);
            Some(session_parts(&session, directory))
        }
        Material::Document(body) => {
            let opened = Sealed::parse(&body).and_then(|sealed| sealed.open());
            if let Err(error) = &opened {
                tracing::error!(%error, "an imported session cannot be sealed again");
            }
            let mut parts = opened.ok()?;
            parts.add_recordings(recordings);
            Some(parts)
        }
    }
}

/// Deletes what uploads left behind: objects that belong to no recording, and files that nobody
/// adds to any more.
pub async fn sweep_files(app: &App) -> Result<(), ObjectError> {
    let files = app.files();
    let now = UNIX_EPOCH + Duration::from_millis(app.now().millis().unsigned_abs());
    let staging = files.staging.clone();
    let expires = app.config().upload_expires;
    let swept = tokio::task::spawn_blocking(move || staging.sweep(now, expires)).await;
    match swept {
        Ok(Ok(0)) => {}
        Ok(Ok(n_deleted)) => tracing::info!(n_deleted, "uploads that nobody went on with are gone"),
        Ok(Err(error)) => tracing::error!(%error, "uploads could not be looked through"),
        Err(error) => tracing::error!(%error, "uploads could not be looked through"),
    }
    let mut old = files.objects.old(now);
    while let Some(names) = old.try_next().await? {
        let strangers = match app.store().strangers(names).await {
            Ok(strangers) => strangers,
            Err(error) => {
                tracing::error!(%error, "objects could not be compared with the archive");
                return Ok(());
            }
        };
        for name in strangers {
            tracing::info!(
                object = name,
                "object {name} belongs to no recording: deleted"
            );
            files.objects.delete(&name).await?;
        }
    }
    Ok(())
}

/// Forgets what only reports begun longer ago than [`REPORT_MAX`] would need.
async fn move_horizon(app: &App, horizons: &mut VecDeque<u64>) -> Result<(), StoreError> {
    horizons.push_back(app.store().last_change().await?);
    let n_kept = REPORT_MAX.as_secs().div_ceil(HORIZON_EVERY.as_secs()) as usize;
    if n_kept < horizons.len()
        && let Some(horizon) = horizons.pop_front()
    {
        app.store().purge(horizon).await?;
    }
    Ok(())
}
