//! Every limit on what a session may hold, by name. A limit is tested at itself and one past it.

/// Characters of a name, title, address or other single-line text.
pub const NAME_CHARS_MAX: usize = 1_024;
/// Bytes of a chat body, a note or another long text.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// `data` values of one event.
pub const EVENT_DATA_MAX: usize = 256;
/// Files named by one event.
pub const EVENT_FILES_MAX: usize = 10_000;
/// Categories of one System Information Retrieved event.
pub const CATEGORIES_MAX: usize = 100;
/// Fields (columns) of one category.
pub const CATEGORY_FIELDS_MAX: usize = 100;
/// Rows of one category.
pub const CATEGORY_ROWS_MAX: usize = 10_000;
/// Questions of one survey.
pub const SURVEY_QUESTIONS_MAX: usize = 200;
/// Answers to one question.
pub const QUESTION_ANSWERS_MAX: usize = 200;
/// Custom attributes of one session context.
pub const CUSTOM_ATTRIBUTES_MAX: usize = 200;
/// Instances of one kind of recording in a session.
pub const RECORDING_INSTANCES_MAX: u32 = 1_000;
/// Events of one session.
pub const SESSION_EVENTS_MAX: u64 = 1_000_000;
/// Bytes of the events of one session, as they are kept.
pub const SESSION_BYTES_MAX: u64 = 256 << 20;
/// Events of one batch.
pub const BATCH_EVENTS_MAX: usize = 10_000;
/// Sessions named by one `lsids` parameter.
pub const LSIDS_MAX: usize = 1_000;
/// Representatives of the directory, and so of one team.
pub const REPRESENTATIVES_MAX: usize = 20_000;
/// Teams of the directory.
pub const TEAMS_MAX: usize = 2_000;
/// Public sites of the directory.
pub const SITES_MAX: usize = 2_000;

const _: () = assert!(BATCH_EVENTS_MAX as u64 <= SESSION_EVENTS_MAX);
