//! Messages that are refused: counted, shown, and kept aside, so that a restart forgets none.
//!
//! They are strangers' as a rule, so little is kept of each, and not of all when there are many.

use std::num::NonZeroU32;

use debrief_store::{DeadLetter, StoreError};

use super::SOURCE;
use super::message::{Message, Says};
use crate::app::{App, TooMany};
use crate::http::{ApiError, log_chain, too_many};
use crate::sources::REFUSALS_SHOWN_MAX;

/// The source under which refused audits are kept aside: a flood of them does not push out what
/// was not understood.
const REFUSED: &str = "rustdesk/refused";
/// Refused audits that are kept aside in a minute.
pub(super) const LETTERS_PER_MINUTE_MAX: NonZeroU32 = NonZeroU32::new(60).expect("60 is not 0");
/// Bytes of a refused audit that are kept.
const LETTER_BYTES_MAX: usize = 4_096;

/// Counts and shows a refusal of something that was not even read.
pub(super) fn refuse(app: &App, why: &str) {
    app.sources().refused(SOURCE, app.now(), why.to_owned());
}

/// The same of a message; an audit is kept aside. What a client sends again and again is not.
pub(super) async fn refuse_message(app: &App, why: &str, message: &Message, bytes: &[u8]) {
    refuse(app, why);
    let is_audit = !matches!(message.says, Says::Beats { .. } | Says::Is(_));
    let limits = app.sources().rustdesk.limits(app);
    if !is_audit || limits.refusals.check().is_err() {
        return;
    }
    let letter = DeadLetter {
        source: REFUSED.into(),
        at: app.now(),
        why: why.into(),
        message: bytes[..bytes.len().min(LETTER_BYTES_MAX)].to_vec(),
    };
    // It is refused either way.
    if let Err(error) = app.store().bury(letter).await {
        log_chain(&error);
    }
}

/// What a client is told that is beyond this limit.
pub(super) fn over(limit: &str) -> ApiError {
    too_many(&TooMany {
        limit: limit.into(),
        retry_secs: 1,
    })
}

/// Shows the refusals of before the start again.
pub(super) async fn recall(app: &App) -> Result<(), StoreError> {
    let since = app.sources().rustdesk.since(app);
    let n_max = REFUSALS_SHOWN_MAX;
    let letters = app.store().dead_letters(REFUSED, u64::MAX, n_max).await?;
    let letters = letters.into_iter().map(|(_, letter)| letter);
    // Newest first; one of this very second is shown already.
    let before = letters.filter(|letter| letter.at < since);
    let mut before: Vec<_> = before.map(|letter| (letter.at, letter.why)).collect();
    before.reverse();
    app.sources().update(SOURCE, |standing| {
        before.append(&mut standing.refusals);
        let n_over = before.len().saturating_sub(n_max);
        before.drain(..n_over);
        standing.refusals = before;
    });
    Ok(())
}
