//! `debrief demo`.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use debrief_domain::{At, Event, Lsid};
use debrief_store::{
    AccountId, Append, Files, KeepRecording, KeptRecording, Part, RecordingKey, Store,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use super::progress;
use crate::clock::Clock;
use crate::config::Config;
use crate::demo::{Plan, Recorded, directory, recordings, sessions};
use crate::recording::keep::{keep, object_name};
use crate::recording::media::Media;
use crate::sweep::{lapse_all, seal_all, tidy_all};
use crate::wire::event::{parse, to_json};

/// Sessions of the demo organisation unless told otherwise.
pub(crate) const DEMO_SESSIONS: u32 = 2_000;
/// Events of one commit.
const COMMIT_EVENTS: usize = 2_000;
/// Sessions after which closed ones are sealed.
const SEAL_EVERY: u32 = 256;

/// The newest sessions whose recordings are made: enough to look at, however large the archive.
const RECORDED_SESSIONS_MAX: u32 = 200;
/// Recordings that are written at once: commits to disk are waited for together.
const KEPT_AT_ONCE: usize = 8;

/// A day of the demo organisation begins and ends at midnight, UTC.
const DAY_SECS: i64 = 86_400;

/// Flags of `debrief demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sessions.
    #[arg(long, default_value_t = DEMO_SESSIONS)]
    sessions: u32,
    /// Same seed, same archive (of the same day).
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leaves out the recordings, which the newest 200 sessions otherwise have.
    #[arg(long)]
    no_recordings: bool,
}

pub(crate) async fn run(
    data: &Path,
    store: &Store,
    config: &Config,
    args: Args,
) -> anyhow::Result<()> {
    let files = if args.no_recordings {
        None
    } else {
        Some(config.open_files(data)?)
    };
    let filled = fill(
        store,
        files.as_ref(),
        args.sessions,
        args.seed,
        config.lapse_after,
    );
    let Filled {
        n_events,
        n_recordings,
    } = filled.await?;
    writeln!(
        std::io::stdout(),
        "{} sessions with {n_events} events and {n_recordings} recordings",
        args.sessions
    )?;
    Ok(())
}

/// What was new.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    n_events: u64,
    n_recordings: u64,
}

/// Fills the archive, with recordings where there are files to keep them in.
pub(crate) async fn fill(
    store: &Store,
    files: Option<&Files>,
    n_sessions: u32,
    seed: u64,
    lapse_after: Duration,
) -> anyhow::Result<Filled> {
    let clock = Clock::System;
    if store.directory().await?.0 == 0 {
        store.put_directory(directory(seed)).await?;
    }
    let bar = progress(n_sessions.into(), "{bar:30} {pos}/{len} sessions {eta}");
    let plan = Plan {
        n_sessions,
        seed,
        // Of a whole day, so that the same seed tells the same sessions when asked again today.
        now: At::MIN.plus_secs(clock.now().secs() / DAY_SECS * DAY_SECS),
    };
    let mut batch: Vec<Event> = Vec::new();
    let mut tapes: Vec<(Lsid, Recorded)> = Vec::new();
    let mut filled = Filled::default();
    for (events, n) in sessions(&plan).zip(1_u32..) {
        if files.is_some() && n_sessions - n < RECORDED_SESSIONS_MAX {
            let recorded = recordings(seed, n, &events).into_iter();
            tapes.extend(recorded.map(|recorded| (events[0].lsid.clone(), recorded)));
        }
        batch.extend(events);
        if COMMIT_EVENTS <= batch.len() || n == n_sessions {
            filled.n_events += append(store, std::mem::take(&mut batch), &clock).await?;
            if let Some(files) = files {
                filled.n_recordings += record(store, files, std::mem::take(&mut tapes)).await?;
            }
        }
        if n % SEAL_EVERY == 0 || n == n_sessions {
            lapse_all(store, plan.now, lapse_after).await?;
            seal_all(store).await?;
            tidy_all(store, clock.now()).await?;
        }
        bar.set_position(n.into());
    }
    bar.finish_and_clear();
    Ok(filled)
}

/// Keeps recordings of sessions that the archive has. Gives the number of those that were new.
async fn record(store: &Store, files: &Files, tapes: Vec<(Lsid, Recorded)>) -> anyhow::Result<u64> {
    let kept = stream::iter(tapes).map(|(lsid, recorded)| async move {
        let kept = record_one(store, files, lsid.clone(), recorded).await;
        kept.with_context(|| format!("cannot keep a recording of the session `{lsid}`"))
    });
    let kept = kept.buffer_unordered(KEPT_AT_ONCE);
    kept.try_fold(0, async |sum, n| Ok(sum + n)).await
}

/// Keeps a recording as an upload does: staged, then an object, then a row.
async fn record_one(
    store: &Store,
    files: &Files,
    lsid: Lsid,
    recorded: Recorded,
) -> anyhow::Result<u64> {
    let Recorded {
        recording,
        at,
        bytes,
    } = recorded;
    let key = RecordingKey {
        lsid,
        recording,
        part: Part::Main,
    };
    let account = AccountId::SELF;
    let n_bytes = bytes.len() as u64;
    let staged = files.staging.resume(account, &key, Some(n_bytes), 0).await;
    let mut upload = staged?;
    upload.write(&bytes).await?;
    upload.sync().await?;
    let kept = KeptRecording {
        key,
        object: object_name()?,
        media: Media::detect(&bytes).media_type().into(),
        bytes: n_bytes,
        sha256: Sha256::digest(&bytes).into(),
        account,
        at,
    };
    let outcome = keep(store, &files.objects, upload.path(), &kept).await?;
    upload.discard().await?;
    match outcome {
        KeepRecording::Kept => Ok(1),
        // Somebody may have handed in another one: recordings never change.
        KeepRecording::Known(_) | KeepRecording::Taken(_) => Ok(0),
        KeepRecording::NoSession => anyhow::bail!("the archive does not have the session"),
    }
}

/// The events as the event API takes them: written as JSON, and read with all its checks.
fn through_the_wire(events: &[Event]) -> anyhow::Result<Vec<Event>> {
    let read = |event: &Event| {
        parse(&to_json(event)).map_err(|faults| {
            let told = faults.first().map(|f| format!("{} {}", f.field, f.message));
            anyhow::anyhow!(
                "an event of the demo is faulty: {}",
                told.unwrap_or_default()
            )
        })
    };
    events.iter().map(read).collect()
}

async fn append(store: &Store, events: Vec<Event>, clock: &Clock) -> anyhow::Result<u64> {
    let events = through_the_wire(&events)?;
    // The demo is heard at the time it tells of: what broke off long ago has long been silent.
    let last = events.iter().map(|event| event.at).max();
    let heard = last.map_or(clock.now(), |last| last.min(clock.now()));
    match store.append(AccountId::SELF, events, heard).await? {
        Append::Done(appended) => Ok(appended.fresh),
        Append::Conflicts(conflicts) => anyhow::bail!(
            "{} events contradict the archive: it was filled on another day; use another --seed \
             or an empty --data directory",
            conflicts.len()
        ),
    }
}
