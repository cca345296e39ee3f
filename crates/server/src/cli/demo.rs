//! `debrief demo`.

use std::io::Write as _;
use std::time::Duration;

use debrief_domain::{At, Event};
use debrief_store::{AccountId, Append, Store};

use super::progress;
use crate::clock::Clock;
use crate::config::Config;
use crate::demo::{Plan, directory, sessions};
use crate::sweep::{lapse_all, seal_all};
use crate::wire::event::{parse, to_json};

/// Sessions of the demo organisation unless told otherwise.
pub(crate) const DEMO_SESSIONS: u32 = 2_000;
/// Events of one commit.
const COMMIT_EVENTS: usize = 2_000;
/// Sessions after which closed ones are sealed.
const SEAL_EVERY: u32 = 2_000;

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
}

pub(crate) async fn run(store: &Store, config: &Config, args: Args) -> anyhow::Result<()> {
    let n_events = fill(store, args.sessions, args.seed, config.lapse_after).await?;
    writeln!(
        std::io::stdout(),
        "{} sessions with {n_events} events",
        args.sessions
    )?;
    Ok(())
}

/// Fills the archive. Gives the number of events that were new.
pub(crate) async fn fill(
    store: &Store,
    n_sessions: u32,
    seed: u64,
    lapse_after: Duration,
) -> anyhow::Result<u64> {
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
    let mut n_fresh = 0;
    for (events, n) in sessions(&plan).zip(1..) {
        batch.extend(events);
        if COMMIT_EVENTS <= batch.len() || n == n_sessions {
            n_fresh += append(store, std::mem::take(&mut batch), &clock).await?;
        }
        if n % SEAL_EVERY == 0 || n == n_sessions {
            lapse_all(store, plan.now, lapse_after).await?;
            seal_all(store).await?;
        }
        bar.set_position(n.into());
    }
    bar.finish_and_clear();
    Ok(n_fresh)
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
