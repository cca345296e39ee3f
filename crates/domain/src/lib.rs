//! What Debrief knows with no computer in the room: what a session is, how it is made from its
//! events, and which sessions a question selects.
//!
//! No clock, no randomness, no input or output, no async and no serialisation: `now` is an
//! argument, ids come from outside, and every other form of these types (JSON, XML, bytes on
//! disk) is converted by hand in the room that speaks it.

mod access;
mod at;
mod directory;
mod event;
mod fold;
mod id;
pub mod limits;
mod selection;
mod session;
mod summary;

pub use access::{CommandAccess, InvalidPermission, Permissions, Permitted, Reporting};
pub use at::{At, InvalidAt};
pub use directory::{CustomField, Directory, Issue, Login, Representative, Site, Team};
pub use event::{
    Actor, ActorKind, Body, Category, CustomAttribute, Customer, CustomerInfo, Event, EventType,
    FileEntry, Invitation, Joined, JumpGroup, Named, Question, Recording, RecordingKind,
    SessionContext, Survey, TeamRef, Text, UnknownEventType,
};
pub use fold::{Moment, fold};
pub use id::{CodeName, EventId, InvalidId, Lsid, RepId, SiteId, TeamId};
pub use selection::{Change, Filter, Selection, Which, Window};
pub use session::{
    CustomerEntry, Person, Rank, Recordings, RepEntry, Role, Session, State, SurveyEntry, TeamEntry,
};
pub use summary::Summary;
