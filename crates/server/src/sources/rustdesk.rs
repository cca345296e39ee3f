//! RustDesk clients, unchanged: Debrief is the `api-server` that they are configured with.
//!
//! The controlled device tells of connections and files, without any credentials; so a device is
//! whoever first came with its id, and the base path may hold a secret. Nothing is ever asked of
//! a device: no answer disconnects it or changes its options.

mod audit;
mod device;
mod file_name;
mod known;
mod login;
mod message;
mod record;
mod refusal;
mod sweep;
mod tell;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, get, post, put};
use debrief_domain::limits::RECORDING_INSTANCES_MAX;
use debrief_domain::{At, Recording, RecordingKind, SiteId};
use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq as _;
use tokio::sync::MutexGuard;
use tokio::time::MissedTickBehavior;

use crate::app::App;
use crate::http::no_such_path;
use crate::random;

pub use device::GONE_SECS;
pub(crate) use file_name::FileName;
pub(crate) use known::forget;
pub use sweep::sweep;

/// The name of this source.
const SOURCE: &str = "rustdesk";
/// Bytes of a message.
const BODY_BYTES_MAX: usize = super::DEAD_LETTER_BYTES_MAX;
/// Requests that one address may make in a second: many devices may share one.
const ADDRESS_REQUESTS_PER_SECOND_MAX: u32 = 200;
/// Devices that one address may bring for the first time in an hour.
const ADDRESS_DEVICES_PER_HOUR_MAX: u32 = 600;
/// Senders whose rate is remembered.
const SENDERS_MAX: usize = 50_000;
/// Locks that devices share; one device always has the same one.
const LOCKS: usize = 64;
/// How often connections that fell silent are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Recordings of one session: clients begin another for every display and every change of size.
const RECORDINGS_OF_SESSION_MAX: u32 = 100;
const _: () = assert!(RECORDINGS_OF_SESSION_MAX <= RECORDING_INSTANCES_MAX);
/// Characters of the secret.
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 16..=128;

/// What the configuration says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether clients are heard at all.
    pub enabled: bool,
    /// When set, clients must have it in their address: `https://host/<secret>`.
    pub secret: Option<Secret>,
    /// The public site of sessions; none is the default one.
    #[serde(deserialize_with = "site")]
    pub site: Option<SiteId>,
    /// Requests one device may make in a second; 0 is any number.
    pub requests_per_second: u32,
    /// What ticket numbers in notes begin with: they become external keys.
    pub ticket_prefixes: Vec<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            enabled: false,
            secret: None,
            site: None,
            requests_per_second: 10,
            ticket_prefixes: Vec::new(),
        }
    }
}

/// A word of the address that is told to nobody, the log included.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

impl TryFrom<String> for Secret {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Secret, &'static str> {
        let is_word = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if is_word && SECRET_CHARS.contains(&text.len()) {
            return Ok(Secret(text));
        }
        Err("the secret must be 16 to 128 letters, digits, `-` or `_`")
    }
}

/// The places of a session's recordings, one after the other: its own, and those of a shown
/// screen, the only list of screens.
pub(crate) fn recording_at(place: u32) -> Option<Recording> {
    if RECORDINGS_OF_SESSION_MAX <= place {
        return None;
    }
    let (kind, instance) = match place.checked_sub(1) {
        None => (RecordingKind::Session, 0),
        Some(instance) => (RecordingKind::ShowMyScreen, instance),
    };
    Some(Recording { kind, instance })
}

fn site<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SiteId>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let site = SiteId::parse(&text).map_err(serde::de::Error::custom)?;
    Ok(Some(site))
}

/// What requests and the sweep share.
pub(crate) struct Shared {
    locks: Vec<tokio::sync::Mutex<()>>,
    /// Devices that the sweep looks at; none before the noted ones were read.
    busy: Mutex<Option<BTreeSet<String>>>,
    /// When the server began to listen.
    since: OnceLock<At>,
    limits: OnceLock<Limits>,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared {
            locks: (0..LOCKS).map(|_| tokio::sync::Mutex::new(())).collect(),
            busy: Mutex::new(None),
            since: OnceLock::new(),
            limits: OnceLock::new(),
        }
    }
}

impl Shared {
    /// Waits until nobody else works on this device.
    async fn turn(&self, device: &str) -> MutexGuard<'_, ()> {
        let [first, ..] = random::sha256(device);
        self.locks[usize::from(first) % LOCKS].lock().await
    }

    fn since(&self, app: &App) -> At {
        *self.since.get_or_init(|| app.now())
    }

    fn limits(&self, app: &App) -> &Limits {
        let of_device = app.config().source.rustdesk.requests_per_second;
        self.limits.get_or_init(|| Limits::new(of_device))
    }

    fn mark_busy(&self, device: &str, is_busy: bool) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(busy) = busy.as_mut() else {
            return;
        };
        if is_busy {
            busy.insert(device.into());
        } else {
            busy.remove(device);
        }
    }
}

/// How much is heard from whom.
struct Limits {
    devices: Option<Limiter<String>>,
    addresses: Option<Limiter<IpAddr>>,
    strangers: Option<Limiter<IpAddr>>,
    /// Refused audits that are kept aside.
    refusals: DefaultDirectRateLimiter,
}

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

impl Limits {
    fn new(of_device: u32) -> Limits {
        let second = |n| NonZeroU32::new(n).map(Quota::per_second);
        let hour = |n| NonZeroU32::new(n).map(Quota::per_hour);
        // A server that takes any number of one device takes any number of an address.
        let of_address = match of_device {
            0 => 0,
            _ => ADDRESS_REQUESTS_PER_SECOND_MAX,
        };
        Limits {
            devices: second(of_device).map(RateLimiter::hashmap),
            addresses: second(of_address).map(RateLimiter::hashmap),
            strangers: hour(ADDRESS_DEVICES_PER_HOUR_MAX).map(RateLimiter::hashmap),
            refusals: RateLimiter::direct(Quota::per_minute(refusal::LETTERS_PER_MINUTE_MAX)),
        }
    }
}

/// Whether one more is within the limit.
fn is_within<K: Clone + Eq + std::hash::Hash>(limiter: Option<&Limiter<K>>, key: &K) -> bool {
    let Some(limiter) = limiter else {
        return true;
    };
    if SENDERS_MAX <= limiter.len() {
        limiter.retain_recent();
        limiter.shrink_to_fit();
    }
    limiter.check_key(key).is_ok()
}

/// The routes, where the configuration wants them.
pub(crate) fn routes(app: &App) -> Option<Router<App>> {
    let settings = &app.config().source.rustdesk;
    if !settings.enabled {
        return None;
    }
    app.sources().rustdesk.since(app);
    app.sources()
        .update(SOURCE, |standing| standing.state = "listening".into());
    let base = match &settings.secret {
        Some(_) => "/{secret}/api",
        None => "/api",
    };
    let path = |rest: &str| format!("{base}/{rest}");
    let routes = Router::new()
        .route(&path("heartbeat"), post(audit::heartbeat))
        .route(&path("sysinfo"), post(audit::sysinfo))
        .route(&path("sysinfo_ver"), post(audit::sysinfo_version))
        .route(&path("audit"), put(login::put_note))
        .route(&path("audit/conn"), post(audit::connection))
        .route(&path("audit/conn/active"), get(login::active))
        .route(&path("audit/file"), post(audit::file))
        .route(&path("audit/alarm"), post(audit::alarm))
        .route(&path("login-options"), get(login::options))
        .route(&path("login"), post(login::log_in))
        .route(&path("currentUser"), post(login::current_user))
        .route(&path("logout"), post(login::log_out))
        .route(&path("ab"), any(login::no_address_book))
        .route(&path("ab/{*rest}"), any(login::no_address_books))
        .route(&path("device-group/accessible"), get(login::empty_list))
        .route(&path("users"), get(login::empty_list))
        .route(&path("peers"), get(login::empty_list))
        .route(&path("record"), post(record::record));
    Some(routes.route_layer(from_fn_with_state(app.clone(), check_secret)))
}

/// Lets requests through that know the secret; all others find nothing here.
async fn check_secret(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(Secret(secret)) = &app.config().source.rustdesk.secret else {
        return next.run(request).await;
    };
    let given = first_segment(request.uri());
    // Hashes have one length, so that the comparison tells nothing of the secret's.
    let is_right = random::sha256(given).ct_eq(&random::sha256(secret));
    if bool::from(is_right) {
        return next.run(request).await;
    }
    let why = "the address has another secret".to_owned();
    app.sources().refused(SOURCE, app.now(), why);
    // Not the request's own path: it may be the secret with a slip of the pen.
    no_such_path(State(app), Uri::from_static("/")).await
}

fn first_segment(uri: &Uri) -> &str {
    let path = uri.path().trim_start_matches('/');
    path.split('/').next().unwrap_or("")
}

/// Sweeps until the program ends.
pub(crate) async fn keep_running(app: App) {
    if !app.config().source.rustdesk.enabled {
        return;
    }
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = sweep(&app).await {
            app.sources().failed(SOURCE, app.now(), error.to_string());
            crate::http::log_chain(&error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn it_is_off_unless_it_is_turned_on() {
        let settings = settings("").unwrap();
        assert!(!settings.enabled);
        assert_eq!(settings.secret, None);
        assert_eq!(settings.requests_per_second, 10);
    }

    #[test]
    fn a_faulty_setting_is_refused_and_a_secret_is_not_repeated() {
        let least = "a".repeat(*SECRET_CHARS.start());
        let most = "a".repeat(*SECRET_CHARS.end());
        for secret in [&least, &most] {
            assert!(settings(&format!("secret = \"{secret}\"")).is_ok());
        }
        for secret in [&least[1..], &format!("{most}a"), "sixteen/characters", ""] {
            let error = settings(&format!("secret = \"{secret}\"")).unwrap_err();
            assert!(secret.is_empty() || !error.contains(secret), "{error}");
        }
        assert!(settings("site = \"a b\"").is_err());
        assert_eq!(
            settings("site = \"7\"").unwrap().site,
            SiteId::parse("7").ok()
        );
        assert!(settings("sight = \"7\"").is_err());
    }
}
