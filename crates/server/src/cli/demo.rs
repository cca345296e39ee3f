//! `debrief demo`.

use std::io::Write as _;

use debrief_domain::Event;
use debrief_store::{AccountId, Append, Store};

use super::progress;
use crate::clock::Clock;
use crate::demo::{Plan, directory, sessions};
use crate::sweep::seal_all;

/// Sessions of the demo organisation unless told otherwise.
pub(crate) const DEMO_SESSIONS: u32 = 2_000;
/// Events of one commit.
const COMMIT_EVENTS: usize = 2_000;
/// Sessions after which closed ones are sealed.
const SEAL_EVERY: u32 = 2_000;

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

pub(crate) async fn run(store: &Store, args: Args) -> anyhow::Result<()> {
    let n_events = fill(store, args.sessions, args.seed).await?;
    writeln!(
        std::io::stdout(),
        "{} sessions with {n_events} events",
        args.sessions
    )?;
    Ok(())
}

/// Fills the archive. Gives the number of events that were new.
pub(crate) async fn fill(store: &Store, n_sessions: u32, seed: u64) -> anyhow::Result<u64> {
    let clock = Clock::System;
    if store.directory().await?.0 == 0 {
        store.put_directory(directory(seed)).await?;
    }
    let bar = progress(n_sessions.into(), "{bar:30} {pos}/{len} sessions {eta}");
    let plan = Plan {
        n_sessions,
        seed,
        now: clock.now(),
    };
    let mut batch: Vec<Event> = Vec::new();
    let mut n_fresh = 0;
    for (events, n) in sessions(&plan).zip(1..) {
        batch.extend(events);
        if COMMIT_EVENTS <= batch.len() || n == n_sessions {
            n_fresh += append(store, std::mem::take(&mut batch), &clock).await?;
        }
        if n % SEAL_EVERY == 0 || n == n_sessions {
            seal_all(store).await?;
        }
        bar.set_position(n.into());
    }
    bar.finish_and_clear();
    Ok(n_fresh)
}

async fn append(store: &Store, events: Vec<Event>, clock: &Clock) -> anyhow::Result<u64> {
    match store.append(AccountId::SELF, events, clock.now()).await? {
        Append::Done(appended) => Ok(appended.fresh),
        Append::Conflicts(conflicts) => anyhow::bail!(
            "{} events contradict the archive: it was filled on another day; use another --seed \
             or an empty --data directory",
            conflicts.len()
        ),
    }
}
