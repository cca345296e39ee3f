//! What becomes of a session once it is told: ended, broken off, or still running.

use debrief_domain::{At, Event};

use super::super::stage::Stage;
use super::Scene;

/// Nothing happens in the last so many milliseconds before now in a session that has ended.
const ENDED_AGE_MILLIS: i64 = 30_000;

/// What becomes of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is ended.
    Ends,
    /// Its last event is long ago, and it was never ended.
    BreaksOff,
    /// It goes on.
    Runs,
}

/// Cuts and fits the events to what became of the session.
pub(super) fn finish(stage: Stage<'_>, scene: &Scene) -> Vec<Event> {
    let closing = stage.closing.unwrap_or(stage.events.len());
    let mut dice = stage.dice;
    let mut events = stage.events;
    let age = scene.now.millis() - scene.start.millis();
    match scene.fate {
        Fate::Ends => {
            let span = span(&events);
            let room = (age - ENDED_AGE_MILLIS).max(0);
            if room < span {
                rescale(&mut events, room, span);
            }
        }
        Fate::BreaksOff => {
            let n_kept = closing * dice.count(35, 90) as usize / 100;
            events.truncate(n_kept.max(2));
        }
        Fate::Runs => {
            events.truncate(closing);
            let (span, room) = (span(&events), (age - dice.between(2_000, 50_000)).max(0));
            if 0 < span && span < room {
                rescale(&mut events, room, span);
            }
            events.retain(|event| event.at <= scene.now);
        }
    }
    events
}

/// Milliseconds from the first to the last event.
fn span(events: &[Event]) -> i64 {
    match (events.first(), events.last()) {
        (Some(first), Some(last)) => last.at.millis() - first.at.millis(),
        _ => 0,
    }
}

/// Makes the session take `room` where it took `span` milliseconds.
fn rescale(events: &mut [Event], room: i64, span: i64) {
    let Some(start) = events.first().map(|event| event.at.millis()) else {
        return;
    };
    for event in events {
        let millis = start + (event.at.millis() - start) * room / span;
        event.at = At::from_millis(millis).expect("it lies between the start and now");
    }
}
