//! `POST /api/record`: a recording that grows while the session runs. Clients have this built in,
//! but no setting turns it on; `debrief ship-recordings` is the way that works today.
//!
//! The uploads carry no credentials, so they are taken only behind a secret base path, and only
//! of a device that has an open session. The first that is finished is the session's recording;
//! further ones, of other displays or after a change of size, stand among those of a shown screen.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use debrief_domain::{Lsid, Recording, RecordingKind};
use debrief_store::{
    AccountId, KeepRecording, KeptRecording, Part, RecordingKey, StagingError, StoreError, Upload,
};
use futures::StreamExt as _;
use serde_json::json;

use super::known::{load, save};
use super::{FileName, SOURCE, is_within, recording_at};
use crate::app::App;
use crate::http::{Address, ApiError, UPLOADS_MAX, busy, log_chain, receive};
use crate::random;
use crate::recording::keep::{keep, object_name};
use crate::recording::media::{HEAD_BYTES, Media};

/// Bytes of the beginning of a file, which come again when its length is known.
const TAIL_BYTES_MAX: usize = 1_024;
/// How long a sender may send nothing.
const BODY_IDLE: Duration = Duration::from_secs(60);

/// What a request asks for.
struct Asked {
    kind: String,
    file: String,
    name: FileName,
    offset: Option<u64>,
    length: Option<u64>,
}

impl Asked {
    fn parse(query: &str) -> Result<Asked, &'static str> {
        let (mut kind, mut file) = (String::new(), String::new());
        let (mut offset, mut length) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "type" => kind = value.into_owned(),
                "file" => file = value.into_owned(),
                "offset" => offset = value.parse().ok(),
                "length" => length = value.parse().ok(),
                _ => {}
            }
        }
        let name = FileName::parse(&file).ok_or("the file has no name of a recording")?;
        Ok(Asked {
            kind,
            file,
            name,
            offset,
            length,
        })
    }
}

/// Why a step was not done.
enum Stop {
    /// The client is to stop this upload.
    Told(&'static str),
    Error(ApiError),
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Stop {
        Stop::Error(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Error(error.into())
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        log_chain(&error);
        Stop::Error(StoreError::refused("a recording cannot be kept now").into())
    }
}

impl From<StagingError> for Stop {
    fn from(error: StagingError) -> Stop {
        match error {
            StagingError::Busy => Stop::Told("the same recording is being uploaded"),
            StagingError::Gap { .. } => Stop::Told("bytes before these are missing"),
            StagingError::Failed(error) => error.into(),
        }
    }
}

/// One step of an upload.
pub(super) async fn record(
    State(app): State<App>,
    address: Address,
    RawQuery(query): RawQuery,
    body: Body,
) -> Response {
    match step(&app, address, query.as_deref().unwrap_or(""), body).await {
        Ok(()) => axum::Json(json!({})).into_response(),
        Err(Stop::Told(why)) => {
            app.sources()
                .refused(SOURCE, app.now(), format!("a recording: {why}"));
            (StatusCode::OK, axum::Json(json!({ "error": why }))).into_response()
        }
        Err(Stop::Error(error)) => error.respond_json(),
    }
}

async fn step(app: &App, address: Address, query: &str, body: Body) -> Result<(), Stop> {
    if app.config().source.rustdesk.secret.is_none() {
        return Err(Stop::Told(
            "recordings are taken only behind a secret address",
        ));
    }
    let limits = app.sources().rustdesk.limits(app);
    if !is_within(limits.addresses.as_ref(), &address.0) {
        return Err(Stop::Told("there are too many requests"));
    }
    let asked = Asked::parse(query).map_err(Stop::Told)?;
    let Ok(_permit) = app.uploads().try_acquire() else {
        return Err(busy("uploads_at_once", UPLOADS_MAX).into());
    };
    match asked.kind.as_str() {
        "new" => begin(app, &asked).await,
        "part" => {
            let lsid = session(app, &asked).await?;
            add(app, &asked, staged(&lsid, &asked.file), body).await
        }
        "tail" => {
            let lsid = session(app, &asked).await?;
            let head = receive(body, TAIL_BYTES_MAX, "TAIL_BYTES_MAX").await?;
            finish(app, &asked, lsid, &head).await
        }
        "remove" => {
            let lsid = session(app, &asked).await?;
            let staging = &app.files().staging;
            let key = staged(&lsid, &asked.file);
            let upload = staging.grown(AccountId::RUSTDESK, &key).await?;
            upload.discard().await?;
            forget(app, &asked).await
        }
        _ => Err(Stop::Told("this step is not known")),
    }
}

/// What an upload is kept under while it grows: a number of its own for each file, as several may
/// grow in one session.
fn staged(lsid: &Lsid, file: &str) -> RecordingKey {
    let [a, b, c, d, ..] = random::sha256(file);
    RecordingKey {
        lsid: lsid.clone(),
        recording: Recording {
            kind: RecordingKind::Session,
            instance: u32::from_le_bytes([a, b, c, d]),
        },
        part: Part::Main,
    }
}

async fn begin(app: &App, asked: &Asked) -> Result<(), Stop> {
    let id = &asked.name.device;
    let _turn = app.sources().rustdesk.turn(id).await;
    let before = load(app, id).await?;
    let before = before.ok_or(Stop::Told("the device is not known"))?;
    let lsid = before
        .open_session()
        .and_then(|lsid| Lsid::parse(lsid).ok());
    let lsid = lsid.ok_or(Stop::Told("the device has no open session"))?;
    let mut device = before.clone();
    device.record(&asked.file, lsid.as_str());
    save(app, id, &before, &device).await?;
    let key = staged(&lsid, &asked.file);
    let staging = &app.files().staging;
    staging.resume(AccountId::RUSTDESK, &key, None, 0).await?;
    Ok(())
}

/// The session that a recording was begun in.
async fn session(app: &App, asked: &Asked) -> Result<Lsid, Stop> {
    let device = load(app, &asked.name.device).await?;
    let lsid = device.and_then(|device| Lsid::parse(device.recorded(&asked.file)?).ok());
    lsid.ok_or(Stop::Told("this recording was not begun"))
}

async fn add(app: &App, asked: &Asked, key: RecordingKey, body: Body) -> Result<(), Stop> {
    let (Some(offset), Some(length)) = (asked.offset, asked.length) else {
        return Err(Stop::Told("`offset` and `length` are missing"));
    };
    let bytes_max = app.config().recording_bytes_max;
    let end = offset.saturating_add(length);
    if bytes_max < end {
        return Err(Stop::Told("the recording is too long"));
    }
    let staging = &app.files().staging;
    let mut upload = staging
        .resume(AccountId::RUSTDESK, &key, None, offset)
        .await?;
    let filled = pour(&mut upload, end, body).await;
    if filled.is_err() || upload.received() != end {
        upload.truncate(offset).await?;
        filled?;
        return Err(Stop::Told("less came than was told"));
    }
    upload.sync().await?;
    Ok(())
}

async fn pour(upload: &mut Upload, end: u64, body: Body) -> Result<(), Stop> {
    let mut pieces = body.into_data_stream();
    loop {
        let piece = match tokio::time::timeout(BODY_IDLE, pieces.next()).await {
            Err(_) => return Err(Stop::Told("it came too slowly")),
            Ok(None) => return Ok(()),
            Ok(Some(Err(_))) => return Err(Stop::Told("it broke off")),
            Ok(Some(Ok(piece))) => piece,
        };
        if end < upload.received() + piece.len() as u64 {
            return Err(Stop::Told("more came than was told"));
        }
        upload.write(&piece).await?;
    }
}

/// The beginning comes again, and then the file is whole.
async fn finish(app: &App, asked: &Asked, lsid: Lsid, head: &[u8]) -> Result<(), Stop> {
    let staging = &app.files().staging;
    let key = staged(&lsid, &asked.file);
    let mut upload = staging.grown(AccountId::RUSTDESK, &key).await?;
    if upload.received() < head.len() as u64 {
        return Err(Stop::Told("bytes before these are missing"));
    }
    upload.overwrite(head).await?;
    upload.sync().await?;
    let path = upload.path().to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::open(path)?;
        crate::http::hash(&mut file, HEAD_BYTES, |_| {})
    });
    let (head, sha256) = read.await.map_err(std::io::Error::other)??;
    let mut place = 0;
    loop {
        let Some(recording) = recording_at(place) else {
            upload.discard().await?;
            forget(app, asked).await?;
            return Err(Stop::Told("the session has too many recordings already"));
        };
        let object = object_name().map_err(|_| StoreError::refused("no random bytes"))?;
        let kept = KeptRecording {
            key: RecordingKey {
                recording,
                ..key.clone()
            },
            object,
            media: Media::detect(&head).media_type().into(),
            bytes: upload.received(),
            sha256,
            account: AccountId::RUSTDESK,
            at: app.now(),
        };
        let outcome = keep(app.store(), &app.files().objects, upload.path(), &kept).await;
        let outcome = outcome.map_err(|error| {
            log_chain(&error);
            StoreError::refused("a recording cannot be kept now")
        })?;
        match outcome {
            KeepRecording::Kept => {
                app.changed();
                app.sources()
                    .update(SOURCE, |standing| standing.n_recordings += 1);
                break;
            }
            KeepRecording::Known(_) => break,
            KeepRecording::Taken(_) => place += 1,
            KeepRecording::NoSession => return Err(Stop::Told("there is no such session")),
        }
    }
    upload.discard().await?;
    forget(app, asked).await
}

async fn forget(app: &App, asked: &Asked) -> Result<(), Stop> {
    let id = &asked.name.device;
    let _turn = app.sources().rustdesk.turn(id).await;
    if let Some(before) = load(app, id).await? {
        let mut device = before.clone();
        device.forget_recording(&asked.file);
        save(app, id, &before, &device).await?;
    }
    Ok(())
}
