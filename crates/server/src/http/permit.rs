//! How many reports an account may have under way at once, and what holds its place.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use debrief_store::AccountId;
use hyper::body::{Frame, SizeHint};

use crate::app::TooMany;

/// Seconds after which one who has too many reports under way may ask again.
const RETRY_SECS: u64 = 1;

/// The reports under way.
pub(crate) struct ReportsAtOnce {
    /// Of one account; 0 is any number.
    n_max: u32,
    /// Accounts without any are not in it.
    n_under_way: Arc<Mutex<HashMap<AccountId, u32>>>,
}

impl ReportsAtOnce {
    pub(crate) fn new(n_max: u32) -> ReportsAtOnce {
        ReportsAtOnce {
            n_max,
            n_under_way: Arc::default(),
        }
    }

    /// A place for one more report of this account, or why it is one too many.
    pub(crate) fn begin(&self, account: AccountId) -> Result<ReportPermit, TooMany> {
        let n_under_way = Arc::clone(&self.n_under_way);
        // A panic between two lines that only count leaves nothing half done.
        let mut counts = n_under_way.lock().unwrap_or_else(|e| e.into_inner());
        let n = counts.entry(account).or_default();
        if 0 < self.n_max && self.n_max <= *n {
            return Err(TooMany {
                limit: format!("reports_at_once is {}", self.n_max),
                retry_secs: RETRY_SECS,
            });
        }
        *n += 1;
        drop(counts);
        Ok(ReportPermit {
            account,
            n_under_way,
        })
    }
}

/// A place that is held until this is dropped.
pub(crate) struct ReportPermit {
    account: AccountId,
    n_under_way: Arc<Mutex<HashMap<AccountId, u32>>>,
}

impl ReportPermit {
    /// The same answer, which holds the place until its body is sent or given up.
    pub(crate) fn hold(self, response: Response) -> Response {
        response.map(|body| {
            Body::new(Held {
                body,
                _permit: self,
            })
        })
    }
}

impl Drop for ReportPermit {
    fn drop(&mut self) {
        let mut counts = self.n_under_way.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(n) = counts.get_mut(&self.account) {
            *n -= 1;
            if *n == 0 {
                counts.remove(&self.account);
            }
        }
    }
}

struct Held {
    body: Body,
    _permit: ReportPermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_has_places_of_its_own_and_a_dropped_one_is_free_again() {
        let reports = ReportsAtOnce::new(2);
        let (first, second) = (AccountId(1), AccountId(2));
        let held = [reports.begin(first), reports.begin(first)];
        assert!(held.iter().all(Result::is_ok));
        let refused = reports.begin(first).err();
        assert_eq!(
            refused.map(|e| e.limit),
            Some("reports_at_once is 2".into())
        );
        assert!(reports.begin(second).is_ok());
        drop(held);
        assert!(reports.begin(first).is_ok());
        assert!(reports.n_under_way.lock().unwrap().is_empty());
    }

    #[test]
    fn zero_is_any_number() {
        let reports = ReportsAtOnce::new(0);
        let held: Vec<_> = (0..100).map(|_| reports.begin(AccountId(1))).collect();
        assert!(held.iter().all(Result::is_ok));
    }
}
