//! What goes into an archive and comes out of it, besides sessions as such.

use std::borrow::Cow;

use debrief_domain::{At, Event, Lsid, Permissions, Recording, RepId, SiteId, TeamId};

/// Why a call failed, as far as a caller can act on it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not happen; repeating may help.
    #[error("{what}")]
    Refused {
        /// What stood in the way.
        what: String,
        /// Its cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// It may or may not have happened: repeat it with the same ids.
    #[error("the outcome of the commit is not known")]
    Unknown {
        /// Its cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The reading is older than what the archive remembers of that time: begin again.
    #[error("the report took too long and was given up")]
    Expired,
    /// What is stored cannot be trusted: stop.
    #[error("the archive is damaged: {what}")]
    Corrupt {
        /// What is damaged.
        what: String,
        /// Its cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl StoreError {
    /// A refusal without a further cause.
    pub fn refused(what: impl Into<String>) -> StoreError {
        StoreError::Refused {
            what: what.into(),
            source: None,
        }
    }

    /// Damage without a further cause.
    pub fn corrupt(what: impl Into<String>) -> StoreError {
        StoreError::Corrupt {
            what: what.into(),
            source: None,
        }
    }
}

/// The number of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub i64);

impl AccountId {
    /// Debrief itself: events that the command line writes.
    pub const SELF: AccountId = AccountId(0);
    /// What RustDesk clients tell: they have no account. Numbers of accounts are positive.
    pub const RUSTDESK: AccountId = AccountId(-1);
}

/// SHA-256 of a bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// An API account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// Its OAuth client id.
    pub client_id: String,
    /// SHA-256 of its client secret.
    pub secret_hash: [u8; 32],
    /// Whether it may be used.
    pub enabled: Enabled,
    /// What it may do.
    pub permissions: Permissions,
    /// Networks it may be used from, as CIDR; empty is anywhere.
    pub networks: Vec<String>,
    /// A note for people.
    pub comment: String,
    /// When it was made.
    pub created: At,
}

/// Whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enabled {
    /// It may.
    Yes,
    /// It may not.
    No,
}

/// What a valid token opens.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Its account.
    pub account: std::sync::Arc<Account>,
    /// The version of the directory.
    pub version: u64,
    /// The directory.
    pub directory: std::sync::Arc<debrief_domain::Directory>,
}

/// An account to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Its name, unique.
    pub name: String,
    /// Its OAuth client id, random.
    pub client_id: String,
    /// SHA-256 of its client secret.
    pub secret_hash: [u8; 32],
    /// What it may do.
    pub permissions: Permissions,
    /// Networks it may be used from, as CIDR; empty is anywhere.
    pub networks: Vec<String>,
    /// A note for people.
    pub comment: String,
    /// When it is made.
    pub created: At,
}

/// What became of a batch of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Append {
    /// It is there.
    Done(Appended),
    /// None of it is there: these events contradict the archive.
    Conflicts(Vec<Conflict>),
}

/// An acknowledged batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Events that were new.
    pub fresh: u64,
    /// Events that were known already.
    pub repeated: u64,
    /// The number of the commit, or of the last one when nothing was new.
    pub change: u64,
}

/// An event that cannot be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Its place in the batch, from 0.
    pub event_idx: usize,
    /// Why.
    pub kind: ConflictKind,
}

/// Why an event cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictKind {
    /// Its id is that of another event.
    IdTaken,
    /// Its session was imported as a finished document and takes no events.
    SessionImported,
    /// Its session has as many events, or as many bytes of them, as a session may have.
    SessionFull,
}

/// A session that comes as a finished document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its id.
    pub lsid: Lsid,
    /// Its number; given by the archive when it has none.
    pub lseq: Option<u64>,
    /// When it began.
    pub start: At,
    /// When it ended.
    pub end: Option<At>,
    /// Representatives who owned it.
    pub owners: Vec<RepId>,
    /// Teams it belonged to.
    pub teams: Vec<TeamId>,
    /// Its public site.
    pub site: SiteId,
    /// The time of its last event.
    pub last_event: Option<At>,
    /// How many events it has.
    pub n_events: u64,
    /// A digest of what the document says; equal documents have equal digests.
    pub digest: [u8; 16],
    /// Its sealed bytes.
    pub body: Vec<u8>,
    /// The version of the directory its bytes were sealed with.
    pub names: u64,
}

/// What became of imported documents, in counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Import {
    /// Sessions that were new.
    pub fresh: u64,
    /// Sessions that replaced an older version.
    pub replaced: u64,
    /// Sessions that were there already, word for word.
    pub repeated: u64,
    /// Sessions left alone because the archive has a newer version.
    pub older: u64,
    /// Sessions left alone because the archive has their events.
    pub live: u64,
}

impl Import {
    /// Adds another count.
    pub fn add(&mut self, other: Import) {
        self.fresh += other.fresh;
        self.replaced += other.replaced;
        self.repeated += other.repeated;
        self.older += other.older;
        self.live += other.live;
    }
}

/// A closed session whose sealed bytes are missing, or lack a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// Where it is kept.
    pub place: i64,
    /// Its number.
    pub lseq: u64,
    /// The commit that changed it last.
    pub change: u64,
    /// What its bytes are to be made of.
    pub material: Material,
    /// Its recordings in the object store.
    pub recordings: Vec<Recording>,
}

/// What sealed bytes are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    /// Events, in order of arrival.
    Events(Vec<Event>),
    /// The sealed bytes of an imported document.
    Document(Vec<u8>),
}

/// A file of a recording: what a row of the archive stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordingKey {
    /// The session.
    pub lsid: Lsid,
    /// Which recording of it.
    pub recording: Recording,
    /// Which file of that.
    pub part: Part,
}

/// Which file of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What was recorded.
    Main,
    /// When each piece of a typescript was written.
    Timing,
}

/// A file of a recording that is safe in the object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRecording {
    /// Which.
    pub key: RecordingKey,
    /// Its name in the object store.
    pub object: String,
    /// Its media type, as its own first bytes have it.
    pub media: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Who handed it in.
    pub account: AccountId,
    /// When.
    pub at: At,
}

/// What became of a recording that was to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepRecording {
    /// It counts from now on.
    Kept,
    /// The archive has it with the same bytes, as this object.
    Known(KeptRecording),
    /// The archive has it with other bytes; recordings never change.
    Taken(KeptRecording),
    /// There is no such session.
    NoSession,
}

/// The sealed bytes of a session as it was at `change`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBody {
    /// Where the session is kept.
    pub place: i64,
    /// The commit whose state the bytes show.
    pub change: u64,
    /// The version of the directory they were sealed with.
    pub names: u64,
    /// The bytes.
    pub body: Vec<u8>,
}

/// A session with everything that is kept of it, for comparing one part with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Where it is kept.
    pub place: i64,
    /// Its id.
    pub lsid: String,
    /// Its number.
    pub lseq: u64,
    /// Its events in order of arrival; none of an imported session.
    pub events: Vec<Event>,
    /// Its recordings in the object store.
    pub recordings: Vec<Recording>,
    /// Whether it counts as closed abnormally.
    pub silence: crate::Silence,
    /// Its sealed bytes.
    pub body: Option<Vec<u8>>,
    /// What is wrong with it, as far as the archive itself can tell.
    pub faults: Vec<String>,
}

/// A representative who is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// The user id.
    pub rep: RepId,
    /// Since when without a break.
    pub since: At,
    /// Until when, unless it is said again.
    pub expires: At,
}

/// How many running sessions a representative owns or has owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The user id.
    pub rep: RepId,
    /// The number of sessions.
    pub n_sessions: u64,
}

/// A message of a live source that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The source's name.
    pub source: String,
    /// When it came.
    pub at: At,
    /// What stood in the way.
    pub why: String,
    /// The whole message.
    pub message: Vec<u8>,
}

/// Who looked at what, or changed what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessEntry {
    /// When.
    pub at: At,
    /// The account's name, or who else it was.
    pub who: String,
    /// What was done, in one word, such as `report`.
    pub action: Cow<'static, str>,
    /// On what: parameters without secrets.
    pub detail: String,
    /// What came of it.
    pub outcome: String,
}
