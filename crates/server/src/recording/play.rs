//! A recording on its way to the player: read piece by piece, converted as it goes.

use std::io::{self, BufReader, Read, Write};

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use bytes::{Buf as _, Bytes};
use debrief_store::{KeptRecording, ObjectError, Objects};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;

use super::cast::{self, CastError};
use super::mcrec::Protocol;
use super::media::Media;
use super::screen::{self, ScreenError};
use crate::app::App;
use crate::http::log_chain;

/// Pieces made or read ahead.
const PIECES_AHEAD: usize = 2;
/// Bytes of a converted piece.
const PIECE_BYTES: usize = 64 << 10;

/// Bytes of the beginning of MeshCentral's own recordings that are enough to tell them apart.
const ABOUT_BYTES: u64 = 4_096;

/// How a recording is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Playable {
    /// By the browser itself.
    Video,
    /// As an asciicast.
    Terminal,
    /// As a list of what was drawn.
    Screen,
    /// Not at all.
    No,
}

/// How this recording is shown. The form tells it, except for MeshCentral's own recordings, which
/// have one form for whatever was relayed.
pub(crate) async fn playable(app: &App, main: &KeptRecording) -> Result<Playable, ObjectError> {
    let media = Media::of(&main.media);
    if media.is_video() {
        return Ok(Playable::Video);
    }
    if media.is_terminal() {
        return Ok(Playable::Terminal);
    }
    if media != Media::Mcrec {
        return Ok(Playable::No);
    }
    let objects = &app.files().objects;
    let pieces = objects.read(&main.object, 0..main.bytes.min(ABOUT_BYTES));
    let head: Vec<Bytes> = pieces.try_collect().await?;
    Ok(match Protocol::of(&head.concat()) {
        Protocol::Terminal => Playable::Terminal,
        Protocol::Desktop => Playable::Screen,
        Protocol::Other => Playable::No,
    })
}

/// Answers with a terminal's recording as an asciicast.
pub(crate) async fn cast(
    app: &App,
    main: &KeptRecording,
    timing: Option<&KeptRecording>,
) -> Result<Response, ObjectError> {
    let objects = &app.files().objects;
    let media = Media::of(&main.media);
    let recording = Pieces::begin(objects, main).await?;
    let timing = match timing {
        Some(timing) => Some(Pieces::begin(objects, timing).await?),
        None => None,
    };
    Ok(answer("application/x-asciicast", move |out| {
        let recording = BufReader::new(recording);
        let ending = match (media, timing) {
            (Media::Ttyrec, _) => cast::from_ttyrec(recording, out),
            (Media::Mcrec, _) => cast::from_mcrec(recording, out),
            (Media::Typescript, Some(timing)) => {
                cast::from_timed_typescript(recording, BufReader::new(timing), out)
            }
            (Media::Typescript, None) => cast::from_typescript(recording, out),
            _ => cast::from_asciicast(recording, out),
        };
        Ok(ending.map(drop)?)
    }))
}

/// Answers with the list of what a desktop's recording draws.
pub(crate) async fn screen(app: &App, main: &KeptRecording) -> Result<Response, ObjectError> {
    let recording = Pieces::begin(&app.files().objects, main).await?;
    Ok(answer("application/x-ndjson", move |out| {
        let ending = screen::from_mcrec(BufReader::new(recording), out);
        Ok(ending.map(drop)?)
    }))
}

/// Why a recording cannot be converted.
#[derive(Debug, thiserror::Error)]
enum Unconverted {
    #[error("cannot show a recording of a terminal")]
    Cast(#[from] CastError),
    #[error("cannot show a recording of a desktop")]
    Screen(#[from] ScreenError),
}

/// An answer that is written as it is made, on a thread of its own. The first bytes of the
/// recording are there already; one that turns out damaged breaks the answer off.
fn answer(
    media_type: &'static str,
    convert: impl FnOnce(&mut Out) -> Result<(), Unconverted> + Send + 'static,
) -> Response {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut out = Out {
            sender,
            piece: Vec::with_capacity(PIECE_BYTES),
        };
        if let Err(error) = convert(&mut out) {
            log_chain(&error);
            // The reader of the answer learns it by an answer that breaks off.
            let _ = out
                .sender
                .blocking_send(Err(io::Error::other("the recording is damaged")));
        }
    });
    let body = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let headers = [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "private, no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// An object as a file that is read on a thread of its own.
struct Pieces {
    receiver: mpsc::Receiver<Result<Bytes, ObjectError>>,
    piece: Bytes,
}

impl Pieces {
    async fn begin(objects: &Objects, kept: &KeptRecording) -> Result<Pieces, ObjectError> {
        let mut pieces = objects.read(&kept.object, 0..kept.bytes);
        let piece = match pieces.next().await {
            Some(first) => first?,
            None => Bytes::new(),
        };
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            while let Some(piece) = pieces.next().await {
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        Ok(Pieces { receiver, piece })
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let n = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..n]);
        Ok(n)
    }
}

/// The body of the answer as a file that is written on a thread of its own.
struct Out {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if PIECE_BYTES <= self.piece.len() {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let sent = self.sender.blocking_send(Ok(piece.into()));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
