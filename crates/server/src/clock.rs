//! The one place that reads the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use debrief_domain::At;

/// Tells the time: the computer's, or one that a test sets.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The computer's clock.
    System,
    /// UNIX milliseconds set by hand.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still until it is set.
    pub fn fixed(at: At) -> Clock {
        Clock::Fixed(Arc::new(AtomicI64::new(at.millis())))
    }

    /// The time now.
    pub fn now(&self) -> At {
        let millis = match self {
            Clock::System => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            Clock::Fixed(millis) => millis.load(Ordering::Relaxed),
        };
        At::from_millis(millis).unwrap_or(if millis < 0 { At::MIN } else { At::MAX })
    }

    /// Sets a clock that was fixed; the computer's clock is left alone.
    pub fn set(&self, at: At) {
        if let Clock::Fixed(millis) = self {
            millis.store(at.millis(), Ordering::Relaxed);
        }
    }
}
