//! What a client's messages say: JSON in, meaning out. Fields that are not known are passed over:
//! newer clients send more.

use debrief_domain::FileEntry;
use debrief_domain::limits::{NAME_CHARS_MAX, TEXT_BYTES_MAX};
use serde_json::Value;

/// Characters of a device's id.
pub(super) const DEVICE_CHARS_MAX: usize = 64;
/// Characters of a nonce or a device's uuid.
const WORD_CHARS_MAX: usize = 256;
/// Open connections that a heartbeat may name.
const BEAT_CONNECTIONS_MAX: usize = 1_000;

/// Where a message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// `/api/heartbeat`.
    Heartbeat,
    /// `/api/sysinfo`.
    Sysinfo,
    /// `/api/audit/conn`.
    Connection,
    /// `/api/audit/file`.
    File,
    /// `/api/audit/alarm`.
    Alarm,
}

impl Route {
    /// The path behind `/api/`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Route::Heartbeat => "heartbeat",
            Route::Sysinfo => "sysinfo",
            Route::Connection => "audit/conn",
            Route::File => "audit/file",
            Route::Alarm => "audit/alarm",
        }
    }
}

/// A message, and who it says it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The controlled device.
    pub(super) device: String,
    /// The device's machine id; the controlling side, which sends notes, does not know it.
    pub(super) uuid: Option<String>,
    /// The sender's own id of this message, which newer clients repeat when they try again.
    pub(super) nonce: Option<String>,
    pub(super) says: Says,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Says {
    /// The device is there, with these connections.
    Beats { connections: Vec<i32> },
    /// What the device is.
    Is(Facts),
    /// Somebody connects; nobody has logged in yet.
    Opens { conn_id: i32, ip: Option<String> },
    /// The login succeeded.
    LogsIn(LogsIn),
    /// The connection is over.
    Closes { conn_id: i32, session_id: u64 },
    /// The person on the controlling side wrote something down.
    Notes { session_id: u64, note: String },
    /// Files begin to travel.
    Sends(Files),
    /// Somebody tried what they may not.
    Warns { kind: i64, about: String },
}

/// What a device tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    pub(super) hostname: Option<String>,
    pub(super) username: Option<String>,
    pub(super) os: Option<String>,
    pub(super) version: Option<String>,
}

/// A login that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogsIn {
    pub(super) conn_id: i32,
    pub(super) session_id: u64,
    pub(super) peer_id: String,
    pub(super) peer_name: String,
    pub(super) kind: Option<i64>,
    pub(super) primary_auth: Option<i64>,
    pub(super) two_factor: Option<i64>,
}

/// A transfer that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) conn_id: Option<i32>,
    pub(super) peer_id: String,
    pub(super) direction: Direction,
    pub(super) path: String,
    /// The largest ones; older and newer clients name ten at most.
    pub(super) files: Vec<FileEntry>,
    /// How many there are in all.
    pub(super) n_files: u64,
}

/// Which way files travel, seen from the representative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the device.
    Download,
    /// To the device.
    Upload,
}

/// Reads a message; otherwise says what stood in the way.
pub(super) fn parse(route: Route, body: &[u8]) -> Result<Message, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let object = value.as_object().ok_or("is no JSON object")?;
    let body = Body(object);
    let device = body.word("id")?.ok_or("`id` is missing")?;
    if !is_device_id(&device) {
        return Err("`id` is no id of a device".into());
    }
    let says = match route {
        Route::Heartbeat => Says::Beats {
            connections: body.connections()?,
        },
        Route::Sysinfo => Says::Is(Facts {
            hostname: body.name("hostname")?,
            username: body.name("username")?,
            os: body.name("os")?,
            version: body.name("version")?,
        }),
        Route::Connection => connection(&body)?,
        Route::File => Says::Sends(files(&body)?),
        Route::Alarm => Says::Warns {
            kind: body.number("typ")?.ok_or("`typ` is missing")?,
            about: body.text("info", TEXT_BYTES_MAX)?.unwrap_or_default(),
        },
    };
    let uuid = body.word("uuid")?;
    // The controlling side knows no uuid of the device; all others are the device.
    if uuid.is_none() && !matches!(says, Says::Notes { .. }) {
        return Err("`uuid` is missing".into());
    }
    let nonce = body.word("nonce")?;
    Ok(Message {
        device,
        uuid,
        nonce,
        says,
    })
}

/// Whether a text can be the id of a device: graphic, and nothing that a path or a name of ours
/// would read as more than itself.
pub(super) fn is_device_id(text: &str) -> bool {
    let takes = |b: u8| b.is_ascii_graphic() && !b"/\\:,%?#".contains(&b);
    !text.is_empty() && text.len() <= DEVICE_CHARS_MAX && text.bytes().all(takes)
}

fn connection(body: &Body<'_>) -> Result<Says, String> {
    let session_id = body.session_id()?;
    if !body.has("peer")
        && let Some(note) = body.text("note", TEXT_BYTES_MAX)?
    {
        let session_id = session_id.ok_or("`session_id` is missing")?;
        return Ok(Says::Notes { session_id, note });
    }
    let conn_id = body.conn_id()?.ok_or("`conn_id` is missing")?;
    match body.text("action", WORD_CHARS_MAX)?.as_deref() {
        Some("new") => Ok(Says::Opens {
            conn_id,
            ip: body.name("ip")?,
        }),
        Some("close") => Ok(Says::Closes {
            conn_id,
            session_id: session_id.unwrap_or(0),
        }),
        None | Some("") => {
            let session_id = session_id.ok_or("`session_id` is missing")?;
            let (peer_id, peer_name) = body.peer()?;
            Ok(Says::LogsIn(LogsIn {
                conn_id,
                session_id,
                peer_id,
                peer_name,
                kind: body.number("type")?,
                primary_auth: body.number("primary_auth")?,
                two_factor: body.number("two_factor")?,
            }))
        }
        Some(_) => Err("`action` is not known".into()),
    }
}

fn files(body: &Body<'_>) -> Result<Files, String> {
    let direction = match body.number("type")? {
        Some(0) => Direction::Download,
        Some(1) => Direction::Upload,
        Some(_) | None => return Err("`type` is neither 0 nor 1".into()),
    };
    let info = body.text("info", TEXT_BYTES_MAX)?.unwrap_or_default();
    let info: Value = serde_json::from_str(&info).map_err(|error| format!("`info`: {error}"))?;
    let mut files = Vec::new();
    for file in info["files"].as_array().into_iter().flatten() {
        let (name, size) = (file[0].as_str(), file[1].as_i64());
        let (Some(name), Some(size)) = (name, size) else {
            return Err("`info.files` is no list of names and sizes".into());
        };
        if NAME_CHARS_MAX < name.chars().count() {
            return Err(format!("a name is over {NAME_CHARS_MAX} characters"));
        }
        files.push(FileEntry {
            name: clean(name),
            // A size that is not known is told as a negative number.
            size: u64::try_from(size).unwrap_or(0),
        });
    }
    let n_files = info["num"].as_u64().unwrap_or(0).max(files.len() as u64);
    Ok(Files {
        conn_id: body.conn_id()?,
        peer_id: body.name("peer_id")?.ok_or("`peer_id` is missing")?,
        direction,
        path: body.name("path")?.unwrap_or_default(),
        files,
        n_files,
    })
}

/// The members of a message.
struct Body<'a>(&'a serde_json::Map<String, Value>);

impl Body<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    fn text(&self, name: &str, bytes_max: usize) -> Result<Option<String>, String> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= bytes_max => Ok(Some(text.clone())),
            Some(Value::String(_)) => Err(format!("`{name}` is longer than {bytes_max} bytes")),
            Some(_) => Err(format!("`{name}` is no text")),
        }
    }

    /// A short text; empty is none.
    fn word(&self, name: &str) -> Result<Option<String>, String> {
        let text = self.text(name, WORD_CHARS_MAX)?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// A text of one line; empty is none.
    fn name(&self, name: &str) -> Result<Option<String>, String> {
        let text = self.text(name, TEXT_BYTES_MAX)?.unwrap_or_default();
        if NAME_CHARS_MAX < text.chars().count() {
            return Err(format!("`{name}` is over {NAME_CHARS_MAX} characters"));
        }
        Ok(Some(clean(&text)).filter(|text| !text.is_empty()))
    }

    fn number(&self, name: &str) -> Result<Option<i64>, String> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => Err(format!("`{name}` is no whole number")),
            },
        }
    }

    /// The whole range of u64, as a JSON number: half of it is beyond what a float can hold.
    fn session_id(&self) -> Result<Option<u64>, String> {
        match self.0.get("session_id") {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err("`session_id` is no whole number below 2^64".into()),
            },
        }
    }

    fn conn_id(&self) -> Result<Option<i32>, String> {
        let number = self.number("conn_id")?;
        let parsed = number.map(i32::try_from).transpose();
        parsed.map_err(|_| "`conn_id` does not fit in 32 bits".into())
    }

    fn connections(&self) -> Result<Vec<i32>, String> {
        let list = match self.0.get("conns") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(list)) if list.len() <= BEAT_CONNECTIONS_MAX => list,
            Some(_) => return Err("`conns` is no list, or too long a one".into()),
        };
        let number = |value: &Value| i32::try_from(value.as_i64()?).ok();
        let numbers: Option<Vec<i32>> = list.iter().map(number).collect();
        numbers.ok_or_else(|| "`conns` is no list of numbers".into())
    }

    fn peer(&self) -> Result<(String, String), String> {
        let peer = self.0.get("peer").and_then(Value::as_array);
        let text = |idx: usize| peer?.get(idx)?.as_str();
        let (id, name) = (text(0).unwrap_or(""), text(1).unwrap_or(""));
        let is_long = |text: &str| NAME_CHARS_MAX < text.chars().count();
        if id.is_empty() || is_long(id) || is_long(name) {
            return Err("`peer` is no pair of an id and a name".into());
        }
        Ok((clean(id), clean(name)))
    }
}

/// Control characters have no place in a name.
fn clean(text: &str) -> String {
    let is_odd = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    let shown = text.chars();
    shown
        .map(|c| if is_odd(c) { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(route: Route, body: &str) -> Says {
        parse(route, body.as_bytes()).unwrap().says
    }

    #[test]
    fn the_whole_range_of_session_ids_is_read_and_nothing_is_rounded() {
        for id in [0, 9_166_591_467_229_392_641, u64::MAX] {
            let body = format!(
                r#"{{"id":"1","uuid":"u","conn_id":1,"action":"close","session_id":{id}}}"#
            );
            let expected = Says::Closes {
                conn_id: 1,
                session_id: id,
            };
            assert_eq!(says(Route::Connection, &body), expected);
        }
        for bad in ["1.5", "-1", "18446744073709551616", "\"7\""] {
            let body = format!(
                r#"{{"id":"1","uuid":"u","conn_id":1,"action":"close","session_id":{bad}}}"#
            );
            assert!(parse(Route::Connection, body.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_note_is_told_from_a_login_and_needs_no_uuid() {
        let note = r#"{"id":"1","session_id":7,"note":"x"}"#;
        assert_eq!(
            says(Route::Connection, note),
            Says::Notes {
                session_id: 7,
                note: "x".into()
            }
        );
        let login = r#"{"id":"1","uuid":"u","conn_id":1,"session_id":7,"note":"x","peer":["2"]}"#;
        assert!(matches!(says(Route::Connection, login), Says::LogsIn(_)));
        let close = r#"{"id":"1","conn_id":1,"session_id":7,"action":"close"}"#;
        assert!(parse(Route::Connection, close.as_bytes()).is_err());
    }

    #[test]
    fn ids_of_devices_are_no_paths() {
        assert!(is_device_id("123456789"));
        assert!(is_device_id("desk-42.example"));
        assert!(is_device_id(&"a".repeat(DEVICE_CHARS_MAX)));
        for bad in [
            "",
            "a/b",
            "..\\x",
            "a b",
            "é",
            &"a".repeat(DEVICE_CHARS_MAX + 1),
        ] {
            assert!(!is_device_id(bad), "{bad}");
        }
    }
}
