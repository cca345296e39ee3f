//! A session as a report shows it: what [`crate::fold()`] makes of events.

use crate::{
    ActorKind, At, CustomAttribute, Customer, Event, Joined, JumpGroup, Lsid, Named, Recording,
    RecordingKind, SiteId, Survey, TeamRef,
};

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It goes on.
    Running,
    /// It was ended.
    Ended {
        /// When.
        at: At,
    },
    /// It fell silent and counts as closed abnormally: it has no end time.
    Lapsed,
}

/// A whole session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub lsid: Lsid,
    /// Its number, given by the store.
    pub lseq: u64,
    /// When it began.
    pub start: At,
    /// Whether it goes on.
    pub state: State,
    /// How long it took, or has taken so far, in seconds.
    pub seconds: u64,
    /// The public site, with the name its events gave.
    pub public_site: (SiteId, Option<String>),
    /// The Jumpoint.
    pub jumpoint: Option<Named>,
    /// The jump group.
    pub jump_group: Option<JumpGroup>,
    /// The key that links to another system; empty when none was set.
    pub external_key: String,
    /// Values of custom fields, in order of first mention.
    pub custom_attributes: Vec<CustomAttribute>,
    /// Which recordings its events tell of, and those that are there besides.
    pub recordings: Recordings,
    /// Files transferred.
    pub n_file_transfers: u64,
    /// Files renamed.
    pub n_file_moves: u64,
    /// Files deleted.
    pub n_file_deletes: u64,
    /// Customers, in order of joining; the first one is primary.
    pub customers: Vec<CustomerEntry>,
    /// Representatives, in order of joining.
    pub reps: Vec<RepEntry>,
    /// Teams, in order of first belonging.
    pub teams: Vec<TeamEntry>,
    /// Submitted customer surveys.
    pub customer_surveys: Vec<SurveyEntry>,
    /// Submitted representative surveys.
    pub rep_surveys: Vec<SurveyEntry>,
    /// Everything that happened, in order.
    pub events: Vec<Event>,
}

impl Session {
    /// The same with recordings that are there although no event tells of them.
    pub fn with_recordings(mut self, recordings: &[Recording]) -> Session {
        for recording in recordings {
            self.recordings.add(*recording);
        }
        self
    }

    /// The final owner.
    pub fn primary_rep(&self) -> Option<&RepEntry> {
        self.reps.iter().find(|rep| rep.role == Role::PrimaryOwner)
    }

    /// The last team.
    pub fn primary_team(&self) -> Option<&TeamEntry> {
        self.teams.iter().find(|team| team.rank == Rank::Primary)
    }

    /// When it ended, if it was ended.
    pub fn end(&self) -> Option<At> {
        match self.state {
            State::Ended { at } => Some(at),
            State::Running | State::Lapsed => None,
        }
    }
}

/// Instances of each kind of recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recordings {
    /// The customer's screen, if it was recorded.
    pub session: Option<()>,
    /// Show My Screen instances, ascending.
    pub show_my_screen: Vec<u32>,
    /// Command shell instances, ascending.
    pub command_shell: Vec<u32>,
}

impl Recordings {
    /// Adds one that is there although no event tells of it.
    pub fn add(&mut self, recording: Recording) {
        let instances = match recording.kind {
            RecordingKind::Session => {
                self.session = Some(());
                return;
            }
            RecordingKind::ShowMyScreen => &mut self.show_my_screen,
            RecordingKind::CommandShell => &mut self.command_shell,
        };
        if let Err(idx) = instances.binary_search(&recording.instance) {
            instances.insert(idx, recording.instance);
        }
    }
}

/// A customer of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerEntry {
    /// What is known.
    pub customer: Customer,
    /// Whether this is the first customer.
    pub rank: Rank,
}

/// Whether an entry is the one its list is named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// It is.
    Primary,
    /// It is one of the others.
    Other,
}

/// A representative of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepEntry {
    /// The number in this session.
    pub gsnumber: u32,
    /// What is known: everything, or only what events call this party.
    pub person: Person,
    /// Owner or member.
    pub role: Role,
    /// Seconds spent in the session.
    pub seconds_involved: u64,
}

impl RepEntry {
    /// The name colleagues see.
    pub fn display_name(&self) -> &str {
        match &self.person {
            Person::Joined(joined) => &joined.private_display_name,
            Person::Mentioned { name } => name,
        }
    }
}

/// Who a representative entry is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    /// One who joined and told who they are.
    Joined(Box<Joined>),
    /// One whom events name as acting or addressed, but who never told who they are.
    Mentioned {
        /// The name in those events; may be empty.
        name: String,
    },
}

/// What part a representative had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A conference member only.
    Member,
    /// An owner at some time.
    Owner,
    /// The last owner.
    PrimaryOwner,
}

/// A team of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamEntry {
    /// Id, and the name its events gave.
    pub team: TeamRef,
    /// Whether this is the last one.
    pub rank: Rank,
}

/// A submitted survey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyEntry {
    /// When it was submitted.
    pub at: At,
    /// The kind of party that submitted it.
    pub by: ActorKind,
    /// That party's number in this session.
    pub gsnumber: u32,
    /// What it said.
    pub survey: Survey,
}
