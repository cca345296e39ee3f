//! A terminal's recording on its way to the player: read piece by piece, converted as it goes.

use std::io::{self, BufReader, Read, Write};

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use bytes::{Buf as _, Bytes};
use debrief_store::{KeptRecording, ObjectError, Objects};
use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;

use super::cast;
use super::media::Media;
use crate::app::App;
use crate::http::log_chain;

/// Pieces made or read ahead.
const PIECES_AHEAD: usize = 2;
/// Bytes of a converted piece.
const PIECE_BYTES: usize = 64 << 10;

/// Answers with a terminal's recording as an asciicast. Its first bytes are read before the answer
/// begins; a recording that turns out damaged breaks the answer off.
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
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut out = Out {
            sender,
            piece: Vec::with_capacity(PIECE_BYTES),
        };
        let recording = BufReader::new(recording);
        let converted = match (media, timing) {
            (Media::Ttyrec, _) => cast::from_ttyrec(recording, &mut out),
            (Media::Typescript, Some(timing)) => {
                cast::from_timed_typescript(recording, BufReader::new(timing), &mut out)
            }
            (Media::Typescript, None) => cast::from_typescript(recording, &mut out),
            _ => cast::from_asciicast(recording, &mut out),
        };
        if let Err(error) = converted {
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
        (CONTENT_TYPE, "application/x-asciicast"),
        (CACHE_CONTROL, "private, no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
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
