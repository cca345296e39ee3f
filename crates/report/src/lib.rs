//! Questions about sessions, and the look of their answers.
//!
//! Everything here is pure: parameters in, bytes out. What a session *is* stands in
//! `debrief-domain`; who may ask, and where sessions are kept, is not known here.

mod answer;
mod ask;
mod column;
mod command;
mod dialect;
mod element;
mod link;
mod names;
mod neighbour;
mod read;
mod retell;
mod sealed;
mod team;
mod time;
mod transcript;
mod write;

pub use answer::{Answer, Coding, Format, Head, Plain, write_at};
pub use ask::{
    Fault, Faults, Group, PARAMETERS, Params, Query, RecordingQuery, ReportKind, ask,
    ask_recording, ask_team, root_of,
};
pub use column::{COLUMNS, Column, Kind};
pub use command::{
    ACTIONS, ATTRIBUTES_BYTES_MAX, Access, Action, Attributes, Command, CommandHead, Health,
    LoggedIn, ShowMembers,
};
pub use dialect::{DIALECTS, Dialect, ErrorPlace, Nothing};
pub use element::{Attribute, Element, Node};
pub use link::{
    DefinesCustomFields, LinkKey, LinkTarget, Links, RecordingsView, SignedLink, Signer, Verdict,
};
pub use neighbour::{Neighbour, NeighbourError, SUMMARY_ROWS_MAX, Seen};
pub use read::{
    Download, Imported, Position, ReadError, SessionReader, Told, downloads, limits as read_limits,
};
pub use retell::{RETOLD_BYTES_MAX, retell};
pub use sealed::{Level, Sealed, SealedError, Sealer};
pub use team::{REPORT_LOGINS_MAX, TeamQuery, TeamReport, error as team_error};
pub use time::{iso, parse_iso};
pub use transcript::{Line, LineKind, NAME_CHARS_MAX, Party, Transcript, transcript};
pub use write::{Parts, session_parts};
