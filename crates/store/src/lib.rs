//! The archive: what must survive a power cut.
//!
//! # The contract
//!
//! Every backend promises, and `conformance` checks:
//!
//! - **Durable.** What [`Store::append`], [`Store::import`] and the account calls acknowledge is
//!   there after a crash at any moment. What failed as [`StoreError::Refused`] did not happen;
//!   after [`StoreError::Unknown`] the same call may be repeated with the same ids.
//! - **Whole.** A batch is there entirely or not at all; no reader ever sees half of one.
//! - **Idempotent.** An event is known by account and id, for ever. Sending it again changes
//!   nothing; sending another event under its id is refused and named.
//! - **One moment.** A [`Reading`] gives the set of sessions that fitted when its first page was
//!   read: none missing, none twice, none first seen later; each whole, in a state committed at
//!   or after that moment. It holds no transaction between pages.
//! - **In order.** Start windows ascend by start, end windows by end, ties by `lseq`, changes by
//!   change; named sessions come in the order of their names.
//! - **Bounded.** A page costs what it returns, whatever the archive holds.
//!
//! Bytes of sealed sessions are opaque here; `debrief-report` writes and reads them.

mod batch;
mod bits;
mod codec;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(any(test, feature = "conformance"))]
pub mod faulty;
mod model;
mod objects;
mod queue;
mod reading;
mod sqlite;
mod staging;

use std::path::Path;
use std::sync::Arc;

use debrief_domain::{At, Directory, Event, Login, Lsid, RepId, Window};
use futures::future::BoxFuture;

pub use batch::Batch;
pub use model::{
    AccessEntry, Account, AccountId, Append, Appended, Conflict, ConflictKind, DeadLetter,
    Document, Examined, Grant, Import, KeepRecording, KeptRecording, Material, NewAccount, Part,
    Presence, RecordingKey, Running, SealedBody, StoreError, TokenHash, Unsealed,
};
pub use objects::{
    Abilities, ConditionalPut, Files, InvalidObjects, ORPHAN_AGE, ObjectError, Objects,
};
pub use reading::{Cursor, Flow, Found, Members, Reading, Silence};
pub use staging::{Staging, StagingError, Upload};

/// What an archive answers with.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The calls every backend has; their promises stand at the top of this crate.
pub(crate) trait Backend: Send + Sync {
    fn append(&self, account: AccountId, batch: Batch, now: At) -> Answer<'_, Append>;
    fn import(&self, documents: Vec<Document>, now: At) -> Answer<'_, Import>;
    fn pages(&self, reading: Reading, scan: Box<dyn Scan>) -> Answer<'_, Paged>;
    fn unsealed(&self, n_max: usize) -> Answer<'_, Vec<Unsealed>>;
    fn seal(&self, bodies: Vec<SealedBody>) -> Answer<'_, u64>;
    fn lapse(&self, silent_since: At, n_max: usize) -> Answer<'_, u64>;
    fn tidy(&self, now: At, n_max: usize) -> Answer<'_, u64>;
    fn purge(&self, horizon: u64) -> Answer<'_, u64>;
    fn last_change(&self) -> Answer<'_, u64>;
    fn directory(&self) -> Answer<'_, (u64, Arc<Directory>)>;
    fn put_directory(&self, directory: Directory, expected: Option<u64>)
    -> Answer<'_, Option<u64>>;
    fn create_account(&self, account: NewAccount) -> Answer<'_, Option<Account>>;
    fn accounts(&self) -> Answer<'_, Vec<Account>>;
    fn account_by_client_id(&self, client_id: String) -> Answer<'_, Option<Account>>;
    fn account(&self, id: AccountId) -> Answer<'_, Option<Account>>;
    fn set_enabled(&self, name: String, enabled: Enabled) -> Answer<'_, Option<Account>>;
    fn renew_secret(&self, name: String, secret: [u8; 32]) -> Answer<'_, Option<Account>>;
    fn issue_token(
        &self,
        account: Account,
        token: TokenHash,
        now: At,
        expires: At,
    ) -> Answer<'_, bool>;
    fn grant(&self, token: TokenHash, now: At) -> Answer<'_, Option<Grant>>;
    fn link_secret(&self, fresh: [u8; 32]) -> Answer<'_, [u8; 32]>;
    fn keep_recording(&self, recording: KeptRecording) -> Answer<'_, KeepRecording>;
    fn recordings(&self, lsid: Lsid) -> Answer<'_, Option<Vec<KeptRecording>>>;
    fn recordings_after(
        &self,
        after: Option<RecordingKey>,
        n_max: usize,
    ) -> Answer<'_, Vec<KeptRecording>>;
    fn strangers(&self, objects: Vec<String>) -> Answer<'_, Vec<String>>;
    fn examine(&self, after: i64, n_max: usize) -> Answer<'_, Vec<Examined>>;
    fn integrity(&self) -> Answer<'_, Vec<String>>;
    fn set_presence(&self, rep: RepId, now: At, expires: At) -> Answer<'_, ()>;
    fn presences(&self, now: At) -> Answer<'_, Vec<Presence>>;
    fn logins(&self, window: Window, now: At, n_max: usize) -> Answer<'_, Vec<Login>>;
    fn running(&self, n_max: usize) -> Answer<'_, Vec<Running>>;
    fn note(&self, source: String, name: String) -> Answer<'_, Option<Vec<u8>>>;
    fn notes(
        &self,
        source: String,
        prefix: String,
        after: String,
        n_max: usize,
    ) -> Answer<'_, Vec<(String, Vec<u8>)>>;
    fn put_note(&self, source: String, name: String, value: Option<Vec<u8>>) -> Answer<'_, ()>;
    fn bury(&self, letter: DeadLetter) -> Answer<'_, ()>;
    fn dead_letters(
        &self,
        source: String,
        before: u64,
        n_max: usize,
    ) -> Answer<'_, Vec<(u64, DeadLetter)>>;
    fn log_access(&self, entry: AccessEntry);
    fn accesses(&self, before: u64, n_max: usize) -> Answer<'_, Vec<(u64, AccessEntry)>>;
}

/// Whether an account may be used.
pub use model::Enabled;

/// What is done with each session of a page, where it is read.
pub type Visit = Box<dyn FnMut(Found<'_>) -> Result<Flow, StoreError> + Send>;

/// What is done with the pages of a reading, where they are read: no thread waits for another between
/// one page and the next.
pub trait Scan: Send {
    /// Takes the next session in.
    ///
    /// # Errors
    ///
    /// Any of them ends the reading.
    fn session(&mut self, found: Found<'_>) -> Result<Flow, StoreError>;

    /// Told after each page where the reading stands. [`Flow::More`] is for the next page.
    ///
    /// # Errors
    ///
    /// Any of them ends the reading.
    fn page_over(&mut self, reading: &Reading) -> Result<Flow, StoreError>;

    /// About how many bytes of sealed sessions it takes in until it is full: more are not read.
    fn room(&self) -> u64 {
        u64::MAX
    }

    /// Asked before a page that could be read where it is asked for, since nobody else wants anything:
    /// whether to take in what is sealed is soon done.
    fn is_quick(&mut self) -> bool {
        false
    }
}

/// A reading after some pages, and the scan when others were to have their turn in between.
type Paged = (Reading, Option<Box<dyn Scan>>);

/// A scan of one page.
struct OnePage(Visit);

impl Scan for OnePage {
    fn session(&mut self, found: Found<'_>) -> Result<Flow, StoreError> {
        (self.0)(found)
    }

    fn page_over(&mut self, _reading: &Reading) -> Result<Flow, StoreError> {
        Ok(Flow::Full)
    }
}

/// What the events of a session were, as far as its sealed bytes tell: each at the whole second, all with
/// any id. For equal bytes it is the same for ever.
pub type Retell = fn(&[u8]) -> Vec<Event>;

/// An open archive. Clones share it.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

impl Store {
    /// Opens the archive in a directory of its own, or makes one. Threads of its own do the work.
    pub fn open(directory: &Path) -> Result<Store, StoreError> {
        Ok(Store {
            backend: Arc::new(sqlite::Sqlite::open_with(directory, sqlite::RETELL)?),
        })
    }

    /// The same. Of the events of sealed sessions only what `retell` does not know is kept, which takes
    /// far less room; whoever opens such an archive again must bring the same `retell`.
    pub fn open_retelling(directory: &Path, retell: Retell) -> Result<Store, StoreError> {
        Ok(Store {
            backend: Arc::new(sqlite::Sqlite::open_with(directory, Some(retell))?),
        })
    }

    /// Adds events of one account, all or none. They are encoded here and now, unless that was done:
    /// whoever has thousands makes the [`Batch`] where it may take its time.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; a batch that contradicts the archive is [`Append::Conflicts`], not an error.
    pub async fn append(
        &self,
        account: AccountId,
        events: impl Into<Batch>,
        now: At,
    ) -> Result<Append, StoreError> {
        self.backend.append(account, events.into(), now).await
    }

    /// Adds finished sessions, all or none; a newer version of a session replaces the older.
    pub async fn import(&self, documents: Vec<Document>, now: At) -> Result<Import, StoreError> {
        self.backend.import(documents, now).await
    }

    /// Reads the next page: calls `visit` for each session until it says [`Flow::Full`], the page
    /// is over, or the reading is done.
    pub async fn page(&self, reading: Reading, visit: Visit) -> Result<Reading, StoreError> {
        self.pages(reading, Box::new(OnePage(visit))).await
    }

    /// Reads page after page until `scan` says [`Flow::Full`] after one, or the reading is done.
    pub async fn pages(
        &self,
        mut reading: Reading,
        mut scan: Box<dyn Scan>,
    ) -> Result<Reading, StoreError> {
        loop {
            let (read, goes_on) = self.backend.pages(reading, scan).await?;
            reading = read;
            match goes_on {
                Some(interrupted) => scan = interrupted,
                None => return Ok(reading),
            }
        }
    }

    /// Closed sessions that have no sealed bytes yet, if there are any. Of those that were closed just
    /// now, or to which something came just now, it may know nothing as long as there are others.
    pub async fn unsealed(&self, n_max: usize) -> Result<Vec<Unsealed>, StoreError> {
        self.backend.unsealed(n_max).await
    }

    /// Keeps sealed bytes. Gives of how many sessions. Those of sessions that changed meanwhile are
    /// dropped, at the latest before anybody sees them.
    pub async fn seal(&self, bodies: Vec<SealedBody>) -> Result<u64, StoreError> {
        self.backend.seal(bodies).await
    }

    /// Closes sessions that were last heard of before `silent_since`. Gives how many.
    pub async fn lapse(&self, silent_since: At, n_max: usize) -> Result<u64, StoreError> {
        self.backend.lapse(silent_since, n_max).await
    }

    /// Puts some of what is kept into a better place, such as bytes out of files that are mostly
    /// empty. Gives how many sessions it concerned; none when all is well.
    pub async fn tidy(&self, now: At, n_max: usize) -> Result<u64, StoreError> {
        self.backend.tidy(now, n_max).await
    }

    /// Forgets index entries that were replaced up to the change `horizon`; readings that began
    /// before it are refused from then on.
    pub async fn purge(&self, horizon: u64) -> Result<u64, StoreError> {
        self.backend.purge(horizon).await
    }

    /// The number of the last commit that readings see: whatever was acknowledged before is in it.
    pub async fn last_change(&self) -> Result<u64, StoreError> {
        self.backend.last_change().await
    }

    /// The directory and its version.
    pub async fn directory(&self) -> Result<(u64, Arc<Directory>), StoreError> {
        self.backend.directory().await
    }

    /// Replaces the directory, whatever it is. Gives its new version.
    pub async fn put_directory(&self, directory: Directory) -> Result<u64, StoreError> {
        let version = self.backend.put_directory(directory, None).await?;
        version.ok_or_else(|| StoreError::refused("the directory was not replaced"))
    }

    /// Replaces the directory if it still has the version `expected`. Gives its new version; none
    /// when somebody else was faster.
    pub async fn amend_directory(
        &self,
        directory: Directory,
        expected: u64,
    ) -> Result<Option<u64>, StoreError> {
        self.backend.put_directory(directory, Some(expected)).await
    }

    /// Makes an account; none when its name is taken.
    pub async fn create_account(&self, account: NewAccount) -> Result<Option<Account>, StoreError> {
        self.backend.create_account(account).await
    }

    /// Every account, by name.
    pub async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.backend.accounts().await
    }

    /// The account with this client id.
    pub async fn account_by_client_id(&self, id: &str) -> Result<Option<Account>, StoreError> {
        self.backend.account_by_client_id(id.into()).await
    }

    /// The account with this number.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.backend.account(id).await
    }

    /// Enables or disables an account; disabling ends its tokens at once. None: no such name.
    pub async fn set_enabled(
        &self,
        name: &str,
        enabled: Enabled,
    ) -> Result<Option<Account>, StoreError> {
        self.backend.set_enabled(name.into(), enabled).await
    }

    /// Gives an account the hash of a new secret; ends its tokens at once. None: no such name.
    pub async fn renew_secret(
        &self,
        name: &str,
        secret_hash: [u8; 32],
    ) -> Result<Option<Account>, StoreError> {
        self.backend.renew_secret(name.into(), secret_hash).await
    }

    /// Keeps the hash of a token; beyond [`TOKENS_MAX`] valid ones the oldest ends. False when
    /// the account was disabled or given a new secret meanwhile.
    pub async fn issue_token(
        &self,
        account: &Account,
        token: TokenHash,
        now: At,
        expires: At,
    ) -> Result<bool, StoreError> {
        self.backend
            .issue_token(account.clone(), token, now, expires)
            .await
    }

    /// The account a valid token belongs to, and the directory of that moment.
    pub async fn grant(&self, token: TokenHash, now: At) -> Result<Option<Grant>, StoreError> {
        self.backend.grant(token, now).await
    }

    /// The secret that signs links: `fresh` the first time, the same for ever after.
    pub async fn link_secret(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.backend.link_secret(fresh).await
    }

    /// Makes a recording count, whose object is safe: the commit point of an upload. It never
    /// changes afterwards.
    pub async fn keep_recording(
        &self,
        recording: KeptRecording,
    ) -> Result<KeepRecording, StoreError> {
        self.backend.keep_recording(recording).await
    }

    /// The recordings of a session, in order; none when there is no such session.
    pub async fn recordings(&self, lsid: &Lsid) -> Result<Option<Vec<KeptRecording>>, StoreError> {
        self.backend.recordings(lsid.clone()).await
    }

    /// Recordings of all sessions after this one, in order of their keys.
    pub async fn recordings_after(
        &self,
        after: Option<RecordingKey>,
        n_max: usize,
    ) -> Result<Vec<KeptRecording>, StoreError> {
        self.backend.recordings_after(after, n_max).await
    }

    /// Those of these objects that belong to no recording.
    pub async fn strangers(&self, objects: Vec<String>) -> Result<Vec<String>, StoreError> {
        self.backend.strangers(objects).await
    }

    /// Sessions with everything that is kept of them, after this place.
    pub async fn examine(&self, after: i64, n_max: usize) -> Result<Vec<Examined>, StoreError> {
        self.backend.examine(after, n_max).await
    }

    /// What the engine itself finds wrong with its files.
    pub async fn integrity(&self) -> Result<Vec<String>, StoreError> {
        self.backend.integrity().await
    }

    /// Notes that a representative is logged in until `expires`; that moment past is logged out.
    pub async fn set_presence(&self, rep: RepId, now: At, expires: At) -> Result<(), StoreError> {
        self.backend.set_presence(rep, now, expires).await
    }

    /// Representatives who are logged in, by user id.
    pub async fn presences(&self, now: At) -> Result<Vec<Presence>, StoreError> {
        self.backend.presences(now).await
    }

    /// Logins that began or ended in the window, by their beginning, then by user id. When there
    /// are more than `n_max`, any `n_max` of them.
    pub async fn logins(
        &self,
        window: Window,
        now: At,
        n_max: usize,
    ) -> Result<Vec<Login>, StoreError> {
        self.backend.logins(window, now, n_max).await
    }

    /// Representatives who own or have owned a running session, by user id, each with the number
    /// of those sessions. Only the `n_max` sessions that were last heard of are looked at.
    pub async fn running(&self, n_max: usize) -> Result<Vec<Running>, StoreError> {
        self.backend.running(n_max).await
    }

    /// What a live source noted under this name.
    pub async fn note(&self, source: &str, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.backend.note(source.into(), name.into()).await
    }

    /// Notes of a live source whose names begin with `prefix`, in order, behind `after`.
    pub async fn notes(
        &self,
        source: &str,
        prefix: &str,
        after: &str,
        n_max: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.backend
            .notes(source.into(), prefix.into(), after.into(), n_max)
            .await
    }

    /// Notes something for a live source, in place of what was there; none forgets it.
    pub async fn put_note(
        &self,
        source: &str,
        name: &str,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        self.backend
            .put_note(source.into(), name.into(), value)
            .await
    }

    /// Keeps a message aside that a live source could not understand. Of each source the newest
    /// [`DEAD_LETTERS_MAX`] are kept.
    pub async fn bury(&self, letter: DeadLetter) -> Result<(), StoreError> {
        self.backend.bury(letter).await
    }

    /// Messages kept aside of a source with numbers below `before`, newest first.
    pub async fn dead_letters(
        &self,
        source: &str,
        before: u64,
        n_max: usize,
    ) -> Result<Vec<(u64, DeadLetter)>, StoreError> {
        self.backend
            .dead_letters(source.into(), before, n_max)
            .await
    }

    /// Notes who looked at what. Returns at once; the entry is written within two seconds.
    pub fn log_access(&self, entry: AccessEntry) {
        self.backend.log_access(entry);
    }

    /// Entries of the access log with numbers below `before`, newest first.
    pub async fn accesses(
        &self,
        before: u64,
        n_max: usize,
    ) -> Result<Vec<(u64, AccessEntry)>, StoreError> {
        self.backend.accesses(before, n_max).await
    }
}

/// Messages kept aside of one live source.
pub const DEAD_LETTERS_MAX: usize = 1_000;
/// Valid tokens of one account.
pub const TOKENS_MAX: usize = 30;
/// Running sessions that [`Store::running`] is to look at.
pub const RUNNING_SESSIONS_MAX: usize = 10_000;
/// Sessions of one page.
pub const PAGE_SESSIONS_MAX: usize = 256;
