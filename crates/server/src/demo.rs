//! The demo organisation: who works there and every event of its support sessions, made from a
//! seed. It reads no clock and writes nothing; whoever calls it sends the events through ingest.
//!
//! Each session is made from the seed and its own number alone, so any number of sessions can be
//! made one after the other in constant memory.

mod acts;
mod calendar;
mod details;
mod dice;
mod people;
mod places;
mod plots;
mod problems;
mod recordings;
mod stage;
mod story;
mod surveys;
mod words;

use debrief_domain::{At, Directory, Event};

use calendar::Calendar;
use people::Cast;
use story::{Fate, Scene};

pub(crate) use recordings::{Recorded, recordings};

/// What to make.
pub(crate) struct Plan {
    /// How many sessions.
    pub(crate) n_sessions: u32,
    /// What tells one demo organisation from another.
    pub(crate) seed: u64,
    /// The moment the archive is looked at: some sessions still run then, none is later.
    pub(crate) now: At,
}

/// The most sessions that still run at the end.
const RUNNING_MAX: u32 = 8;
/// Fewer sessions than this are all ended ones.
const RUNNING_FROM: u32 = 10;
/// One session of so many was broken off.
const BROKEN_OFF_EVERY: u32 = 37;
/// The session of each such group that was broken off.
const BROKEN_OFF_PHASE: u32 = 11;
/// Only sessions that began at least so long ago are broken off: their silence must be plain.
const BROKEN_OFF_AGE_SECS: u64 = 12 * 3600;

/// Everyone and everything of the demo organisation.
pub(crate) fn directory(seed: u64) -> Directory {
    Cast::hire(seed).directory()
}

/// The sessions, oldest first by start; each is all events of one session in order of time.
pub(crate) fn sessions(plan: &Plan) -> impl Iterator<Item = Vec<Event>> {
    let Plan {
        n_sessions,
        seed,
        now,
    } = *plan;
    let cast = Cast::hire(seed);
    let n_running = if n_sessions < RUNNING_FROM {
        0
    } else {
        RUNNING_MAX.min(n_sessions / 10)
    };
    let n_past = n_sessions - n_running;
    let calendar = Calendar::before(now);
    (0..n_sessions).map(move |idx| {
        let (start, runs) = if idx < n_past {
            (calendar.past(seed, idx, n_past), false)
        } else {
            (calendar.recent(seed, idx - n_past, n_running), true)
        };
        let is_old = BROKEN_OFF_AGE_SECS <= now.secs_since(start);
        let fate = if runs {
            Fate::Runs
        } else if is_old && idx % BROKEN_OFF_EVERY == BROKEN_OFF_PHASE {
            Fate::BreaksOff
        } else {
            Fate::Ends
        };
        story::tell(
            &cast,
            &Scene {
                seed,
                idx,
                start,
                now,
                fate,
            },
        )
    })
}

#[cfg(test)]
mod tests;
