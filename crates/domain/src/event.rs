//! One thing that happened in a session, and the table of the types of such things.
//!
//! Fields are public where any value is fine; lengths and counts are checked at the door by
//! whoever makes an event out of foreign words, against [`crate::limits`].

use std::net::SocketAddr;

use crate::{At, CodeName, EventId, Lsid, RepId, SiteId, TeamId};

/// Free text. An alias, so that signatures say what is meant.
pub type Text = String;

macro_rules! event_types {
    ($($variant:ident $name:literal $number:literal $documented:literal,)*) => {
        /// The type of an event: the vendor document's 34 names and the longer list of 53 that
        /// its SIEM add-on numbers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventType {
            $(#[doc = $name] $variant,)*
        }

        impl EventType {
            /// Every type, in the order of the vendor's SIEM numbers.
            pub const ALL: &'static [EventType] = &[$(EventType::$variant,)*];

            /// The name as a report shows it: `event/@event_type`.
            pub fn name(self) -> &'static str {
                match self { $(EventType::$variant => $name,)* }
            }

            fn known(name: &str) -> Option<EventType> {
                match name { $($name => Some(EventType::$variant),)* _ => None }
            }

            /// The number the vendor's SIEM add-on gives this type; stable, kept on disk.
            pub fn number(self) -> u32 {
                match self { $(EventType::$variant => $number,)* }
            }

            /// Whether the vendor's report document lists this type (34 do).
            pub fn is_documented(self) -> bool {
                match self { $(EventType::$variant => $documented,)* }
            }
        }
    };
}

event_types! {
    CallbackButtonDeployed "Callback Button Deployed" 10 true,
    CallbackButtonRemoved "Callback Button Removed" 20 true,
    ChatMessage "Chat Message" 30 true,
    CommandShellSessionStarted "Command Shell Session Started" 40 true,
    ConferenceMemberAdded "Conference Member Added" 50 true,
    ConferenceMemberDeparted "Conference Member Departed" 60 true,
    ConferenceMemberStateChanged "Conference Member State Changed" 70 true,
    ConferenceOwnerChanged "Conference Owner Changed" 80 true,
    CredentialInjectionAttemptFailed "Credential Injection Attempt Failed" 90 false,
    CredentialInjectionAttempt "Credential Injection Attempt" 100 false,
    CustomerExitSurvey "Customer Exit Survey" 110 true,
    DirectoryCreated "Directory Created" 120 true,
    ExternalKey "External Key" 130 true,
    FileDeleted "File Deleted" 140 true,
    FileDownloadFailed "File Download Failed" 150 true,
    FileDownload "File Download" 160 true,
    FileMoved "File Moved" 170 true,
    FileUploadFailed "File Upload Failed" 180 true,
    FileUpload "File Upload" 190 true,
    FilesShared "Files Shared" 200 true,
    JumpItemAuthorizationRequestUtilized "Jump Item Authorization Request Utilized" 210 false,
    JumpItemAuthorizationRequest "Jump Item Authorization Request" 220 false,
    LegalAgreementResponse "Legal Agreement Response" 230 true,
    PinnedSessionMovedAwayFromQueue "Pinned Session Moved Away from Queue" 240 false,
    PinnedSessionMovedToQueue "Pinned Session Moved to Queue" 250 false,
    PinnedSessionPasswordModified "Pinned Session Password Modified" 260 false,
    RegistryExported "Registry Exported" 270 true,
    RegistryImported "Registry Imported" 280 true,
    RegistryKeyAdded "Registry Key Added" 290 true,
    RegistryKeyDeleted "Registry Key Deleted" 300 true,
    RegistryKeyRenamed "Registry Key Renamed" 310 true,
    RegistryValueAdded "Registry Value Added" 320 false,
    RegistryValueDeleted "Registry Value Deleted" 330 false,
    RegistryValueModified "Registry Value Modified" 340 false,
    RegistryValueRenamed "Registry Value Renamed" 350 false,
    RepresentativeExitSurvey "Representative Exit Survey" 360 true,
    RepresentativeMonitoringStarted "Representative Monitoring Started" 370 false,
    RepresentativeMonitoringStopped "Representative Monitoring Stopped" 380 false,
    ScreenRecording "Screen Recording" 390 false,
    ScreenshotCaptured "Screenshot Captured" 400 false,
    ServiceAccessAllowed "Service Access Allowed" 410 true,
    SessionAssigned "Session Assigned" 420 true,
    SessionAssignmentResponse "Session Assignment Response" 430 true,
    SessionEnd "Session End" 440 true,
    SessionForegroundWindowChanged "Session Foreground Window Changed" 450 true,
    SessionNoteAdded "Session Note Added" 460 true,
    SessionPinnedToQueue "Session Pinned to Queue" 470 false,
    SessionStart "Session Start" 480 true,
    SessionTransferredAwayFromQueue "Session Transferred Away from Queue" 490 false,
    SessionTransferredToQueue "Session Transferred to Queue" 500 false,
    SessionUnpinnedFromQueue "Session Unpinned from Queue" 510 false,
    ShowMyScreenRecording "Show My Screen Recording" 520 true,
    SystemInformationRetrieved "System Information Retrieved" 530 true,
}

/// No event type has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no event type; did you mean `{nearest}`?")]
pub struct UnknownEventType {
    /// What was given, cut to a readable length.
    pub found: String,
    /// The known name that is fewest edits away.
    pub nearest: &'static str,
}

impl EventType {
    /// The type with exactly this name.
    pub fn parse(name: &str) -> Result<EventType, UnknownEventType> {
        if let Some(known) = EventType::known(name) {
            return Ok(known);
        }
        let found: String = name.chars().take(64).collect();
        let nearest = EventType::ALL
            .iter()
            .min_by_key(|t| edits(&found, t.name()))
            .map_or("Chat Message", |t| t.name());
        Err(UnknownEventType { found, nearest })
    }

    /// The type with this number.
    pub fn from_number(number: u32) -> Option<EventType> {
        EventType::ALL
            .iter()
            .copied()
            .find(|t| t.number() == number)
    }
}

/// Levenshtein distance, blind to ASCII case. Both texts are short: 64 characters at most.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().map(|c| c.to_ascii_lowercase()).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let swap = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = swap.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// One thing that happened in a session. Events are the truth; the rest is derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The sender's own id of this event.
    pub id: EventId,
    /// The session.
    pub lsid: Lsid,
    /// When it happened, by the sender's clock.
    pub at: At,
    /// What happened.
    pub kind: EventType,
    /// Who did it.
    pub performed_by: Option<Actor>,
    /// To whom it was directed.
    pub destination: Option<Actor>,
    /// The text of the chat log line.
    pub body: Option<Body>,
    /// The transferred file's name.
    pub filename: Option<Text>,
    /// The transferred file's size in bytes.
    pub filesize: Option<u64>,
    /// The transferred files, where one event names several.
    pub files: Vec<FileEntry>,
    /// Names and values that vary by type, in order, repetition allowed.
    pub data: Vec<(Text, Text)>,
    /// Tables of a System Information Retrieved event.
    pub system_information: Vec<Category>,
    /// What Session Start, External Key and the like say of the session.
    pub session: Option<Box<SessionContext>>,
    /// The customer who joined.
    pub customer: Option<Box<Customer>>,
    /// The representative who joined.
    pub representative: Option<Box<Joined>>,
    /// The team that got the session.
    pub team: Option<TeamRef>,
    /// What a survey said.
    pub survey: Option<Box<Survey>>,
    /// The recording that exists from here on.
    pub recording: Option<Recording>,
}

impl Event {
    /// An event with nothing but what every event has.
    pub fn new(id: EventId, lsid: Lsid, at: At, kind: EventType) -> Event {
        Event {
            id,
            lsid,
            at,
            kind,
            performed_by: None,
            destination: None,
            body: None,
            filename: None,
            filesize: None,
            files: Vec::new(),
            data: Vec::new(),
            system_information: Vec::new(),
            session: None,
            customer: None,
            representative: None,
            team: None,
            survey: None,
            recording: None,
        }
    }

    /// How many files this event speaks of: those listed, or else one.
    pub fn n_files(&self) -> u64 {
        (self.files.len() as u64).max(1)
    }
}

/// What kind of party acted or was addressed: the `type` of `performed_by` and `destination`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActorKind {
    /// The support system itself.
    System,
    /// The person being helped.
    Customer,
    /// The person who helps.
    Representative,
    /// All who are in the session.
    Everyone,
}

impl ActorKind {
    /// Every kind.
    pub const ALL: [ActorKind; 4] = [
        ActorKind::System,
        ActorKind::Customer,
        ActorKind::Representative,
        ActorKind::Everyone,
    ];

    /// The word a report shows.
    pub fn name(self) -> &'static str {
        match self {
            ActorKind::System => "system",
            ActorKind::Customer => "customer",
            ActorKind::Representative => "representative",
            ActorKind::Everyone => "everyone",
        }
    }

    /// The kind with exactly this name.
    pub fn parse(name: &str) -> Option<ActorKind> {
        ActorKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A party of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Its kind.
    pub kind: ActorKind,
    /// Its number in this session; the system and everyone have 0.
    pub gsnumber: u32,
    /// Its display name, when the sender gave one.
    pub name: Option<Text>,
}

/// The text of a chat line. Text that XML cannot carry becomes `encoded_body` in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Unicode text.
    Text(Text),
    /// Bytes that are not text.
    Bytes(Vec<u8>),
}

/// One transferred file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name.
    pub name: Text,
    /// Its size in bytes.
    pub size: u64,
}

/// One table of system information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Its title, such as `Drives`.
    pub name: Text,
    /// The column titles.
    pub fields: Vec<Text>,
    /// The rows; each has at most as many cells as there are fields.
    pub rows: Vec<Vec<Text>>,
}

/// An id and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The id.
    pub id: Text,
    /// The name.
    pub name: Text,
}

/// The group of jump items a session came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JumpGroup {
    /// `shared` or `personal`.
    pub kind: Text,
    /// The group's id.
    pub id: Text,
    /// The group's name.
    pub name: Text,
}

/// The value of a custom field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomAttribute {
    /// The field's code name.
    pub code_name: CodeName,
    /// The field's display name, when the sender gave one.
    pub display_name: Option<Text>,
    /// The value.
    pub value: Text,
}

/// What an event says of its session as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionContext {
    /// The public site's id, and its name when the sender gave one.
    pub public_site: Option<(SiteId, Option<Text>)>,
    /// The Jumpoint.
    pub jumpoint: Option<Named>,
    /// The jump group.
    pub jump_group: Option<JumpGroup>,
    /// The key that links to another system.
    pub external_key: Option<Text>,
    /// Values of custom fields.
    pub custom_attributes: Vec<CustomAttribute>,
}

/// A customer who joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Customer {
    /// The customer's number in this session.
    pub gsnumber: u32,
    /// The name used during the session.
    pub username: Text,
    /// The public address; port 0 when only the address is known.
    pub public_ip: Option<SocketAddr>,
    /// The private address.
    pub private_ip: Option<Text>,
    /// The computer's name.
    pub hostname: Option<Text>,
    /// The operating system.
    pub os: Option<Text>,
    /// What the front-end survey asked.
    pub info: CustomerInfo,
}

/// What the customer entered before the session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomerInfo {
    /// The name entered.
    pub name: Text,
    /// The company entered.
    pub company: Text,
    /// The company code entered.
    pub company_code: Text,
    /// The id of the chosen issue or representative.
    pub issue: Text,
    /// The description of the problem.
    pub details: Text,
}

/// A representative who joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The representative's number in this session.
    pub gsnumber: u32,
    /// The user id.
    pub id: RepId,
    /// The user name.
    pub username: Text,
    /// The public display name then.
    pub public_display_name: Text,
    /// The private display name then.
    pub private_display_name: Text,
    /// The display number then.
    pub display_number: Text,
    /// The public address; port 0 when only the address is known.
    pub public_ip: Option<SocketAddr>,
    /// The private address.
    pub private_ip: Option<Text>,
    /// The computer's name.
    pub hostname: Option<Text>,
    /// The operating system.
    pub os: Option<Text>,
    /// The teams the representative was logged in to, by name.
    pub support_teams: Vec<Text>,
    /// Whether this is an invited user or an account of its own.
    pub invitation: Invitation,
}

/// How a representative came to take part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Invitation {
    /// With an account.
    #[default]
    Regular,
    /// By an invitation.
    Invited,
}

/// A team by id, with its name at the time when the sender gave one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamRef {
    /// The team's id.
    pub id: TeamId,
    /// Its name then; a report shows the current one when the directory knows it.
    pub name: Option<Text>,
}

/// One submitted survey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The questions with their answers.
    pub questions: Vec<Question>,
}

/// One question of a survey.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// The question's id.
    pub id: Text,
    /// Its type, such as `radio` or `textarea`.
    pub kind: Text,
    /// The text shown to the person.
    pub label: Text,
    /// Its internal name; `rating` and `comments` are known to clients.
    pub name: Text,
    /// The heading in reports.
    pub report_header: Text,
    /// The answers given.
    pub answers: Vec<Text>,
}

/// What a recording shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordingKind {
    /// The customer's screen: one at most.
    Session,
    /// The representative's screen.
    ShowMyScreen,
    /// A command shell.
    CommandShell,
}

impl RecordingKind {
    /// Every kind.
    pub const ALL: [RecordingKind; 3] = [
        RecordingKind::Session,
        RecordingKind::ShowMyScreen,
        RecordingKind::CommandShell,
    ];

    /// The word used in JSON and paths.
    pub fn name(self) -> &'static str {
        match self {
            RecordingKind::Session => "session",
            RecordingKind::ShowMyScreen => "show_my_screen",
            RecordingKind::CommandShell => "command_shell",
        }
    }

    /// The kind with exactly this name.
    pub fn parse(name: &str) -> Option<RecordingKind> {
        RecordingKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// One recording of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recording {
    /// What it shows.
    pub kind: RecordingKind,
    /// Its number, from 0; always 0 for the session recording.
    pub instance: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_34_documented_types_and_53_in_all() {
        assert_eq!(EventType::ALL.len(), 53);
        assert_eq!(
            EventType::ALL.iter().filter(|t| t.is_documented()).count(),
            34
        );
    }

    #[test]
    fn every_type_is_found_again_by_name_and_by_number() {
        for kind in EventType::ALL {
            assert_eq!(EventType::parse(kind.name()), Ok(*kind));
            assert_eq!(EventType::from_number(kind.number()), Some(*kind));
        }
    }

    #[test]
    fn a_misspelt_type_is_refused_with_the_nearest_name() {
        let nearest = |name| EventType::parse(name).unwrap_err().nearest;
        assert_eq!(nearest("Chat Mesage"), "Chat Message");
        assert_eq!(nearest("chat message"), "Chat Message");
        assert_eq!(nearest("File Uploaded"), "File Upload");
        assert_eq!(nearest("session-ended"), "Session End");
    }
}
