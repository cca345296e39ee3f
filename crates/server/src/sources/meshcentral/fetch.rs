//! Recordings: fetched, turned into what Debrief plays, and kept.

use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::time::Duration;

use axum::body::Body;
use debrief_domain::{Event, Lsid};
use debrief_store::{KeepRecording, KeptRecording, Part, RecordingKey, StagingError, Upload};
use futures::StreamExt as _;

use super::ACCOUNT;
use super::chat;
use super::client::{ClientError, Server};
use super::grouping::{Form, Wanted};
use crate::app::App;
use crate::http::hash;
use crate::recording::cast;
use crate::recording::keep::{KeepError, keep, object_name};
use crate::recording::media::{HEAD_BYTES, Media};

/// How long a server may send nothing of a file.
const IDLE: Duration = Duration::from_secs(60);
/// Bytes of a chat's log.
const CHAT_BYTES_MAX: usize = 64 << 20;

/// Why a recording is not here.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the file cannot be fetched")]
    Client(#[from] ClientError),
    #[error("the file broke off")]
    BrokenOff,
    #[error("the file has more than {0} bytes")]
    Long(u64),
    #[error("the file cannot be staged")]
    Staging(#[from] StagingError),
    #[error("the file cannot be read or written")]
    Disk(#[from] io::Error),
    #[error("the recording is not kept")]
    Keep(#[from] KeepError),
    #[error("no name for an object")]
    Name,
    #[error("the archive has no such session")]
    NoSession,
    #[error("the archive has this recording with other bytes")]
    Taken,
}

/// Fetches a recording and keeps it. Gives the events that tell of it.
pub(super) async fn fetch(
    app: &App,
    server: &Server,
    wanted: &Wanted,
) -> Result<Vec<Event>, FetchError> {
    let body = Body::new(server.recording(&wanted.file).await?);
    let Some(recording) = wanted.recording() else {
        let log = all(body).await?;
        let lines = chat::read(&log[..])?;
        let events = lines.iter().enumerate();
        return Ok(events
            .filter_map(|(n, line)| wanted.said(line, n))
            .collect());
    };
    let key = RecordingKey {
        lsid: Lsid::parse(&wanted.lsid).map_err(|_| FetchError::NoSession)?,
        recording,
        part: Part::Main,
    };
    let staging = &app.files().staging;
    // What it is turned into is staged beside it: nothing of ours has times in a file of its own.
    let raw = RecordingKey {
        part: Part::Timing,
        ..key.clone()
    };
    let mut fetched = staging.resume(ACCOUNT, &raw, None, 0).await?;
    pour(body, &mut fetched, app.config().recording_bytes_max).await?;
    fetched.sync().await?;
    let upload = match wanted.form {
        Form::Shell { .. } => converted(app, &key, fetched).await?,
        Form::Screen | Form::FurtherScreen { .. } | Form::Chat => fetched,
    };
    let path = upload.path().to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let mut file = File::open(path)?;
        let (head, sha256) = hash(&mut file, HEAD_BYTES, |_| ())?;
        Ok::<_, io::Error>((Media::detect(&head), sha256, file.metadata()?.len()))
    });
    let (media, sha256, bytes) = read.await.map_err(io::Error::other)??;
    let kept = KeptRecording {
        key,
        object: object_name().map_err(|_| FetchError::Name)?,
        media: media.media_type().into(),
        bytes,
        sha256,
        account: ACCOUNT,
        at: app.now(),
    };
    let outcome = keep(app.store(), &app.files().objects, upload.path(), &kept).await?;
    upload.discard().await?;
    match outcome {
        KeepRecording::Kept | KeepRecording::Known(_) => {}
        KeepRecording::Taken(_) => return Err(FetchError::Taken),
        KeepRecording::NoSession => return Err(FetchError::NoSession),
    }
    Ok(wanted.kept().into_iter().collect())
}

/// The terminal as an asciicast; one that cannot be converted stays what it is.
async fn converted(app: &App, key: &RecordingKey, fetched: Upload) -> Result<Upload, FetchError> {
    let staging = &app.files().staging;
    let cast = staging.resume(ACCOUNT, key, None, 0).await?;
    let (from, to) = (fetched.path().to_owned(), cast.path().to_owned());
    let conversion = tokio::task::spawn_blocking(move || {
        let reader = BufReader::new(File::open(from)?);
        let writer = File::options().write(true).truncate(true).open(to)?;
        let outcome = cast::from_mcrec(reader, BufWriter::new(&writer));
        writer.sync_all()?;
        Ok::<_, io::Error>(outcome)
    });
    match conversion.await.map_err(io::Error::other)?? {
        Ok(_) => {
            fetched.discard().await?;
            Ok(cast)
        }
        Err(error) => {
            tracing::warn!(%error, "a terminal's recording is kept as it came");
            cast.discard().await?;
            Ok(fetched)
        }
    }
}

async fn pour(body: Body, upload: &mut Upload, bytes_max: u64) -> Result<(), FetchError> {
    let mut pieces = body.into_data_stream();
    loop {
        match tokio::time::timeout(IDLE, pieces.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(piece))) => {
                if bytes_max < upload.received() + piece.len() as u64 {
                    return Err(FetchError::Long(bytes_max));
                }
                upload.write(&piece).await?;
            }
            Ok(Some(Err(_))) | Err(_) => return Err(FetchError::BrokenOff),
        }
    }
}

async fn all(body: Body) -> Result<Vec<u8>, FetchError> {
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    loop {
        match tokio::time::timeout(IDLE, pieces.next()).await {
            Ok(None) => return Ok(bytes),
            Ok(Some(Ok(piece))) => {
                if CHAT_BYTES_MAX < bytes.len() + piece.len() {
                    return Err(FetchError::Long(CHAT_BYTES_MAX as u64));
                }
                bytes.extend_from_slice(&piece);
            }
            Ok(Some(Err(_))) | Err(_) => return Err(FetchError::BrokenOff),
        }
    }
}
