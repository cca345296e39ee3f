//! `debrief ship-recordings`: a RustDesk client's folder of recordings, watched.
//!
//! A file is known by its name, which has the controlled device and the time, and belongs to that
//! device's session of that time. What was shipped stands in a file beside them, so that a restart
//! sends nothing twice; an upload that broke off goes on where it stopped.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;
use debrief_domain::Recording;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::WrongUsage;
use crate::client::{Client, TRIES_MAX};
use crate::clock::Clock;
use crate::config::Config;
use crate::sources::rustdesk::{FileName, recording_at};

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Bytes of one request.
const PIECE_BYTES: usize = 8 << 20;
/// How far two clocks may be apart.
const CLOCKS_APART_SECS: i64 = 120;
/// The longest a session may have run before its recording began.
const SESSION_SECS_MAX: i64 = 24 * 3_600;
/// Pages of sessions that are looked through for one file.
const PAGES_MAX: usize = 1_000;
/// How long a session of a file is looked for.
const SEARCH_SECS_MAX: u64 = 7 * 86_400;
/// Files of a folder that are looked at.
const FILES_MAX: usize = 100_000;

/// Flags of `debrief ship-recordings`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder: the client's `video-save-directory`.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The server.
    #[arg(long, value_name = "URL")]
    server: String,
    /// The client id of an API account with the permissions `reporting` and `ingest`.
    #[arg(long)]
    client_id: String,
    /// A file with its client secret; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    client_secret_file: PathBuf,
    /// The time zone of the computer that records, such as Europe/Berlin [default: the
    /// configuration's `time_zone`].
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Where what was shipped is remembered [default: .debrief-shipped.json in the folder].
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Seconds for which a file must not have grown.
    #[arg(long, default_value = "30", value_name = "SECONDS")]
    settle: u64,
    /// Looks once and ends.
    #[arg(long)]
    once: bool,
}

/// What became of files, by name.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shipped {
    files: BTreeMap<String, Outcome>,
}

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Outcome {
    bytes: u64,
    /// The session; none when none was found in time.
    lsid: Option<String>,
    /// Which recording of it, such as `show_my_screen/0`.
    #[serde(default)]
    recording: Option<String>,
    /// Why it is not there, if it is not.
    refused: Option<String>,
}

/// Where a file came to be.
enum Placed {
    /// As this recording.
    At(String),
    /// Nowhere, and it will not be tried again: why.
    Refused(String),
}

/// What became of uploading a file as one recording.
enum Uploaded {
    /// It is there.
    Kept,
    /// Another file is.
    Taken,
    /// The server will never take it: why.
    Refused(String),
}

/// A file that does not grow any more.
struct Ripe {
    path: PathBuf,
    file: String,
    name: FileName,
    bytes: u64,
    age_secs: u64,
}

pub(crate) fn run(config: &Config, args: &Args) -> anyhow::Result<()> {
    let zone = match &args.time_zone {
        None => config.time_zone.clone(),
        Some(name) => TimeZone::get(name)
            .map_err(|_| WrongUsage(format!("`{name}` is no time zone such as Europe/Berlin")))?,
    };
    let state = args.state.clone();
    let state = state.unwrap_or_else(|| args.folder.join(".debrief-shipped.json"));
    let client = Client::new(&args.server, &args.client_id, &args.client_secret_file)?;
    let mut shipper = Shipper {
        client,
        zone,
        shipped: read(&state)?,
        state,
    };
    loop {
        let looked = shipper.look(&args.folder, Duration::from_secs(args.settle));
        if args.once {
            return looked;
        }
        // The server or the folder may be away for a while.
        if let Err(error) = looked {
            eprintln!("debrief: {error:#}; trying again");
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

struct Shipper {
    client: Client,
    zone: TimeZone,
    shipped: Shipped,
    state: PathBuf,
}

impl Shipper {
    /// Ships what is ripe, the longest file first: it becomes the session's own recording, and
    /// others stand among those of a shown screen.
    fn look(&mut self, folder: &Path, settle: Duration) -> anyhow::Result<()> {
        let mut ripe = ripe(folder, settle)?;
        ripe.retain(|file| match self.shipped.files.get(&file.file) {
            Some(outcome) if outcome.bytes != file.bytes => {
                eprintln!("`{}` changed after it was shipped", file.file);
                false
            }
            Some(_) => false,
            None => true,
        });
        ripe.sort_by_key(|file| std::cmp::Reverse(file.bytes));
        for file in &ripe {
            let Some(lsid) = self.session(&file.name)? else {
                if SEARCH_SECS_MAX <= file.age_secs {
                    let why = "no session of its device and time".to_owned();
                    self.note(file, None, Placed::Refused(why))?;
                }
                continue;
            };
            let placed = self.place(file, &lsid)?;
            self.note(file, Some(lsid), placed)?;
        }
        Ok(())
    }

    /// Remembers what became of a file, and says it.
    fn note(&mut self, file: &Ripe, lsid: Option<String>, placed: Placed) -> anyhow::Result<()> {
        let (recording, refused) = match placed {
            Placed::At(recording) => (Some(recording), None),
            Placed::Refused(why) => (None, Some(why)),
        };
        let name = &file.file;
        match (&lsid, &recording, &refused) {
            (Some(lsid), Some(recording), _) => {
                eprintln!("`{name}` is the recording {recording} of `{lsid}`");
            }
            (_, _, Some(why)) => eprintln!("`{name}` is left alone: {why}"),
            (_, None, None) | (None, Some(_), None) => {}
        }
        let outcome = Outcome {
            bytes: file.bytes,
            lsid,
            recording,
            refused,
        };
        self.shipped.files.insert(file.file.clone(), outcome);
        write(&self.state, &self.shipped)
    }

    /// Uploads a file to the first place of its session that is free, or has it already.
    fn place(&mut self, file: &Ripe, lsid: &str) -> anyhow::Result<Placed> {
        for place in 0.. {
            let Some(Recording { kind, instance }) = recording_at(place) else {
                break;
            };
            let recording = format!("{}/{instance}", kind.name());
            match self.upload(file, lsid, &recording)? {
                Uploaded::Kept => return Ok(Placed::At(recording)),
                Uploaded::Taken => {}
                Uploaded::Refused(why) => return Ok(Placed::Refused(why)),
            }
        }
        let why = "the session has too many recordings already".into();
        Ok(Placed::Refused(why))
    }

    /// The session of a device at a time: of several the one that began last.
    fn session(&mut self, name: &FileName) -> anyhow::Result<Option<String>> {
        let began = self.zone.to_ambiguous_zoned(name.began).compatible();
        let began = began.context("the time in the file's name")?;
        let began = began.timestamp().as_second();
        let from = (began - SESSION_SECS_MAX).max(0);
        let duration = began + CLOCKS_APART_SECS - from;
        let mut found: Option<(i64, String)> = None;
        let mut cursor = String::new();
        for _ in 0..PAGES_MAX {
            let mut url = self.client.path("/api/v1/sessions")?;
            url.query_pairs_mut()
                .append_pair("start_time", &from.to_string())
                .append_pair("duration", &duration.max(1).to_string());
            if !cursor.is_empty() {
                url.query_pairs_mut().append_pair("cursor", &cursor);
            }
            let page = self.client.json(&url)?;
            for session in page["sessions"].as_array().into_iter().flatten() {
                let fits = is_of(session, &name.device) && is_during(session, began);
                let start = session["start_timestamp"].as_i64().unwrap_or(0);
                let is_later = found.as_ref().is_none_or(|(known, _)| *known <= start);
                if let Some(lsid) = session["lsid"].as_str()
                    && fits
                    && is_later
                {
                    found = Some((start, lsid.to_owned()));
                }
            }
            match page["next"].as_str() {
                Some(next) => cursor = next.into(),
                None => break,
            }
        }
        Ok(found.map(|(_, lsid)| lsid))
    }

    /// Uploads a file piece by piece as this recording.
    fn upload(&mut self, file: &Ripe, lsid: &str, recording: &str) -> anyhow::Result<Uploaded> {
        let path = format!("/api/v1/sessions/{lsid}/recordings/{recording}");
        let url = self.client.path(&path)?;
        let mut reader = File::open(&file.path)
            .with_context(|| format!("`{}` cannot be read", file.path.display()))?;
        let total = file.bytes;
        let mut n_failed = 0;
        // What has arrived is asked for first: an earlier run may have been cut off.
        let mut answer = self.client.put(&url, &format!("bytes */{total}"), b"")?;
        loop {
            let (status, told) = &answer;
            let why = told["message"].as_str().unwrap_or("no reason").to_owned();
            let received = match status {
                200 | 201 => return Ok(Uploaded::Kept),
                202 | 416 => told["received"].as_u64().unwrap_or(0),
                409 if told["error"] == "conflict" && !why.contains("already") => {
                    return Ok(Uploaded::Taken);
                }
                413 => return Ok(Uploaded::Refused(why)),
                _ if n_failed < TRIES_MAX => {
                    n_failed += 1;
                    self.client.pause(n_failed)?;
                    answer = self.client.put(&url, &format!("bytes */{total}"), b"")?;
                    continue;
                }
                status => anyhow::bail!("`{}` is not taken ({status}): {why}", file.file),
            };
            answer = self.piece(&url, &mut reader, received, total)?;
        }
    }

    fn piece(
        &mut self,
        url: &Url,
        reader: &mut File,
        received: u64,
        total: u64,
    ) -> anyhow::Result<(u16, Value)> {
        reader.seek(SeekFrom::Start(received))?;
        let len = (total - received.min(total)).min(PIECE_BYTES as u64);
        let mut piece = Vec::new();
        reader.take(len).read_to_end(&mut piece)?;
        let Some(last) = (received + piece.len() as u64).checked_sub(1) else {
            anyhow::bail!("the file is empty");
        };
        if piece.is_empty() {
            anyhow::bail!("the file is shorter than it was");
        }
        let range = format!("bytes {received}-{last}/{total}");
        self.client.put(url, &range, &piece)
    }
}

/// Whether a session is of this device: its customer was told with this id.
fn is_of(session: &Value, device: &str) -> bool {
    let events = session["session_details"].as_array().into_iter().flatten();
    let customers = events.filter(|event| event["performed_by"]["type"] == "customer");
    customers
        .flat_map(|event| event["data"].as_array().into_iter().flatten())
        .any(|data| data["name"] == "rustdesk_id" && data["value"] == device)
}

/// Whether a session ran at this time, as far as clocks agree.
fn is_during(session: &Value, at: i64) -> bool {
    let Some(start) = session["start_timestamp"].as_i64() else {
        return false;
    };
    let end = session["end_timestamp"].as_i64();
    start <= at + CLOCKS_APART_SECS && end.is_none_or(|end| at <= end + CLOCKS_APART_SECS)
}

/// Recordings of a folder that have not grown for a while.
fn ripe(folder: &Path, settle: Duration) -> anyhow::Result<Vec<Ripe>> {
    let cannot = || format!("`{}` cannot be read", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)?.take(FILES_MAX) {
        let entry = entry.with_context(cannot)?;
        let Ok(file) = entry.file_name().into_string() else {
            continue;
        };
        let Some(name) = FileName::parse(&file) else {
            continue;
        };
        let metadata = entry.metadata().with_context(cannot)?;
        let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
        let now = Duration::from_millis(Clock::System.now().millis().unsigned_abs());
        // A time in the future is not old.
        let age = (UNIX_EPOCH + now).duration_since(modified);
        let age = age.unwrap_or(Duration::ZERO);
        if metadata.is_file() && 0 < metadata.len() && settle <= age {
            found.push(Ripe {
                path: entry.path(),
                file,
                name,
                bytes: metadata.len(),
                age_secs: age.as_secs(),
            });
        }
    }
    Ok(found)
}

fn read(state: &Path) -> anyhow::Result<Shipped> {
    let cannot = || format!("`{}` cannot be read", state.display());
    match fs::read(state) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(cannot),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Shipped::default()),
        Err(error) => Err(error).with_context(cannot),
    }
}

/// Writes the state whole or not at all.
fn write(state: &Path, shipped: &Shipped) -> anyhow::Result<()> {
    let cannot = || format!("`{}` cannot be written", state.display());
    let fresh = state.with_extension("partial");
    let bytes = serde_json::to_vec_pretty(shipped)?;
    fs::write(&fresh, bytes).with_context(cannot)?;
    fs::rename(&fresh, state).with_context(cannot)
}
