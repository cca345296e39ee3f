//! What every request and every command works with.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use debrief_domain::{At, Directory};
use debrief_report::{DefinesCustomFields, LinkKey, Links, RecordingsView};
use debrief_store::{Account, AccountId, Files, Store};
use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::config::Config;
use crate::http::{
    BATCHES_AT_ONCE_MAX, PARSES_AT_ONCE_MAX, ReportPermit, ReportsAtOnce, TAILS_MAX, UPLOADS_MAX,
};
use crate::random;
use crate::sources::Sources;

/// The running program, shared by all that it does.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    store: Store,
    files: Files,
    config: Config,
    clock: Clock,
    uploads: Semaphore,
    sources: Sources,
    link_key: LinkKey,
    id: String,
    /// Each with its name and value, as a refusal tells them.
    limits: Vec<(String, Limiter)>,
    reports: ReportsAtOnce,
    /// Held by each report that is being made.
    at_work: Arc<()>,
    failures: Mutex<HashMap<IpAddr, Failures>>,
    /// When an account last began to look at a recording.
    looks: Mutex<HashMap<(AccountId, String), At>>,
    intake: Semaphore,
    parsing: Semaphore,
    tails: Arc<Semaphore>,
    changes: watch::Sender<()>,
}

type Limiter = RateLimiter<AccountId, HashMapStateStore<AccountId>, DefaultClock>;

/// The directory, whose names reports show, and its version.
#[derive(Debug, Clone)]
pub struct Names {
    /// The version.
    pub version: u64,
    /// The directory.
    pub directory: Arc<Directory>,
}

/// Failed logins of one address.
struct Failures {
    since: At,
    n: u32,
}

/// Failed logins an address may make in [`FAILURE_WINDOW_SECS`].
pub const FAILED_LOGINS_MAX: u32 = 20;
/// How long failed logins count.
pub const FAILURE_WINDOW_SECS: u64 = 60;
/// Addresses whose failed logins are remembered.
const FAILING_ADDRESSES_MAX: usize = 10_000;
/// Seconds for which further requests of an account belong to the same look at a recording.
pub const LOOK_SECS: i64 = 3_600;
/// Looks that are remembered.
const LOOKS_MAX: usize = 10_000;

/// A limit was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooMany {
    /// Which limit, with its value.
    pub limit: String,
    /// Seconds after which to try again.
    pub retry_secs: u64,
}

impl App {
    /// Puts the program together. Makes the secret that signs links on the first start.
    pub async fn new(
        store: Store,
        files: Files,
        config: Config,
        clock: Clock,
    ) -> anyhow::Result<App> {
        let secret = store.link_secret(random::bytes()?).await?;
        let (second, hour) = (config.requests_per_second, config.requests_per_hour);
        let limit = |name: &str, n: u32, quota: fn(NonZeroU32) -> Quota| {
            let limiter = RateLimiter::hashmap(quota(NonZeroU32::new(n)?));
            Some((format!("{name} is {n}"), limiter))
        };
        let limits = [
            limit("requests_per_second", second, Quota::per_second),
            limit("requests_per_hour", hour, Quota::per_hour),
        ];
        let limits = limits.into_iter().flatten().collect();
        let reports = ReportsAtOnce::new(config.reports_at_once);
        Ok(App(Arc::new(Inner {
            store,
            files,
            config,
            clock,
            uploads: Semaphore::new(UPLOADS_MAX),
            sources: Sources::default(),
            link_key: LinkKey::new(&secret),
            id: id(&secret),
            limits,
            reports,
            at_work: Arc::default(),
            failures: Mutex::new(HashMap::new()),
            looks: Mutex::new(HashMap::new()),
            intake: Semaphore::new(BATCHES_AT_ONCE_MAX),
            parsing: Semaphore::new(PARSES_AT_ONCE_MAX),
            tails: Arc::new(Semaphore::new(TAILS_MAX)),
            changes: watch::Sender::new(()),
        })))
    }

    /// To be held by a report that is being made: whoever holds one knows how many others there are.
    pub(crate) fn at_work(&self) -> Arc<()> {
        Arc::clone(&self.0.at_work)
    }

    /// The archive.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The recordings' bytes.
    pub fn files(&self) -> &Files {
        &self.0.files
    }

    /// How live sources are doing.
    pub fn sources(&self) -> &Sources {
        &self.0.sources
    }

    /// Permits to receive a recording.
    pub(crate) fn uploads(&self) -> &Semaphore {
        &self.0.uploads
    }

    /// Whether an account looks at a recording for the first time in [`LOOK_SECS`]. Whatever is
    /// forgotten counts as new: the access log may tell of a look twice, but never not at all.
    pub(crate) fn is_new_look(&self, account: &Account, recording: &str) -> bool {
        let now = self.now();
        let mut looks = self.0.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |seen: &At| *seen <= now && now < seen.plus_secs(LOOK_SECS);
        let key = (account.id, recording.to_owned());
        if looks.get(&key).is_some_and(is_recent) {
            return false;
        }
        if LOOKS_MAX <= looks.len() {
            looks.retain(|_, seen| is_recent(seen));
        }
        if LOOKS_MAX <= looks.len() {
            looks.clear();
        }
        looks.insert(key, now);
        true
    }

    /// The key that signs links.
    pub(crate) fn link_key(&self) -> &LinkKey {
        &self.0.link_key
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The server's id: the same for every program that works with this archive, for ever.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The time now.
    pub fn now(&self) -> At {
        self.0.clock.now()
    }

    /// Permits to receive a batch of events.
    pub(crate) fn intake(&self) -> &Semaphore {
        &self.0.intake
    }

    /// Permits to parse a large batch of events.
    pub(crate) fn parsing(&self) -> &Semaphore {
        &self.0.parsing
    }

    /// Permits to follow what happens.
    pub(crate) fn tails(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.tails)
    }

    /// Tells those who follow that something was committed.
    pub fn changed(&self) {
        self.0.changes.send_replace(());
    }

    /// Wakes when something was committed by this process.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// Counts a request of an account, or says why it is one too many.
    pub fn count_request(&self, account: &Account) -> Result<(), TooMany> {
        use governor::clock::Clock as _;
        for (limit, limiter) in &self.0.limits {
            if let Err(early) = limiter.check_key(&account.id) {
                let wait = early.wait_time_from(DefaultClock::default().now());
                return Err(TooMany {
                    limit: limit.clone(),
                    retry_secs: wait.as_secs() + 1,
                });
            }
        }
        Ok(())
    }

    /// A place for one more report of an account, or why it is one too many.
    pub(crate) fn begin_report(&self, account: &Account) -> Result<ReportPermit, TooMany> {
        self.0.reports.begin(account.id)
    }

    /// Whether an address has failed too often to be heard now.
    pub fn may_log_in(&self, address: IpAddr) -> Result<(), TooMany> {
        let now = self.now();
        let Ok(failures) = self.0.failures.lock() else {
            return Ok(());
        };
        match failures.get(&address) {
            Some(known) if FAILED_LOGINS_MAX <= known.n => {
                let gone = now.secs_since(known.since);
                if FAILURE_WINDOW_SECS <= gone {
                    return Ok(());
                }
                let limit = format!("failed logins per minute and address are {FAILED_LOGINS_MAX}");
                Err(TooMany {
                    limit,
                    retry_secs: FAILURE_WINDOW_SECS - gone,
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Notes a failed login.
    pub fn note_failed_login(&self, address: IpAddr) {
        let now = self.now();
        let Ok(mut failures) = self.0.failures.lock() else {
            return;
        };
        if FAILING_ADDRESSES_MAX <= failures.len() {
            failures.retain(|_, known| now.secs_since(known.since) < FAILURE_WINDOW_SECS);
        }
        // Still full: one address is forgotten for another.
        if FAILING_ADDRESSES_MAX <= failures.len()
            && let Some(other) = failures.keys().next().copied()
        {
            failures.remove(&other);
        }
        let known = failures
            .entry(address)
            .or_insert(Failures { since: now, n: 0 });
        if FAILURE_WINDOW_SECS <= now.secs_since(known.since) {
            *known = Failures { since: now, n: 0 };
        }
        known.n += 1;
    }

    /// What makes the links that an account sees now. `host` is what the request called us.
    pub fn links(&self, account: &Account, names: &Names, host: &str) -> Links {
        let config = self.config();
        // Rounded up to the hour: a report asked for again soon has the same bytes.
        let expires = config.link_lifetime.map_or(0, |lifetime| {
            let secs = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
            let until = self.now().plus_secs(secs).secs();
            (until / 3_600 + 1) * 3_600
        });
        Links {
            base: config
                .public_url
                .clone()
                .unwrap_or_else(|| ["http://", host].concat()),
            account: account.id.0.to_string(),
            expires,
            recordings: match account.permissions.reporting {
                debrief_domain::Reporting::ReportsAndRecordings => RecordingsView::Allowed,
                debrief_domain::Reporting::Reports | debrief_domain::Reporting::Deny => {
                    RecordingsView::Denied
                }
            },
            defines_custom_fields: match names.directory.custom_fields.is_empty() {
                true => DefinesCustomFields::None,
                false => DefinesCustomFields::Some,
            },
            key: self.0.link_key.clone(),
        }
    }
}

/// An id made of the archive's secret, which it does not tell: 32 hexadecimal digits.
fn id(secret: &[u8; 32]) -> String {
    let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = random::sha256(&format!("debrief server id {secret}"));
    hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
