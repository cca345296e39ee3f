//! Documents on their way into the archive: read on one thread, sealed on others, committed in
//! groups.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use debrief_domain::At;
use debrief_domain::Directory;
use debrief_report::{Imported, Level, Parts, ReadError, Sealer, SessionReader};
use debrief_store::{Document, Import, Store, StoreError};

use crate::render::digest;

/// Sessions that are handed over at once, for it takes a while to wake who waits for them.
const TOGETHER_SESSIONS: usize = 16;
/// Bytes of sessions after which they are handed over though they are fewer.
const TOGETHER_BYTES: usize = 1 << 20;
/// Handfuls of sessions that may wait between two steps.
const WAITING_MAX: usize = 2;
/// Threads that seal.
const SEALERS: usize = 2;
/// Sessions of one commit.
const COMMIT_SESSIONS_MAX: usize = 256;
/// Sealed bytes after which a commit is made.
const COMMIT_BYTES: usize = 8 << 20;

/// What became of a document.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    /// Counts of sessions.
    pub(crate) import: Import,
    /// Elements beside sessions that were passed over.
    pub(crate) passed_over: u64,
    /// The last session of the document that is in the archive.
    pub(crate) last: Option<String>,
    /// What the document was refused for, after that session.
    pub(crate) fault: Option<ReadError>,
}

/// Reads a document, gzip or plain, into the archive. A faulty one leaves the sessions before the
/// fault.
pub(crate) fn take_in(
    store: &Store,
    namespace: &str,
    input: impl Read + Send,
    now: At,
    runtime: &tokio::runtime::Handle,
) -> Result<Intake, StoreError> {
    let mut input = BufReader::with_capacity(256 << 10, input);
    let is_gzip = matches!(input.fill_buf(), Ok([0x1F, 0x8B, ..]));
    if is_gzip {
        let plain = flate2::bufread::MultiGzDecoder::new(input);
        let plain = BufReader::with_capacity(256 << 10, plain);
        return pipeline(store, namespace, plain, now, runtime);
    }
    pipeline(store, namespace, input, now, runtime)
}

fn pipeline(
    store: &Store,
    namespace: &str,
    input: impl BufRead + Send,
    now: At,
    runtime: &tokio::runtime::Handle,
) -> Result<Intake, StoreError> {
    let (read_sender, read) = sync_channel::<Vec<Imported>>(WAITING_MAX);
    let (sealed_sender, sealed) = sync_channel::<Vec<Document>>(WAITING_MAX);
    let read = Arc::new(Mutex::new(read));
    let (version, directory) = runtime.block_on(store.directory())?;
    let names = CurrentNames {
        version,
        directory,
        namespace,
    };
    let names = &names;
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || read_sessions(input, namespace, &read_sender));
        for _ in 0..SEALERS {
            let (read, sealed_sender) = (Arc::clone(&read), sealed_sender.clone());
            scope.spawn(move || seal_sessions(&read, &sealed_sender, names));
        }
        drop(sealed_sender);
        // Only the sealers hold the receiver: when they stop, the reader stops too.
        drop(read);
        let mut intake = Intake {
            // It takes the receiver along: when it fails, the sealers stop, and so does the reader.
            import: commit_all(store, sealed, now, runtime)?,
            ..Intake::default()
        };
        match reader.join() {
            Ok(read) => (intake.last, intake.passed_over, intake.fault) = read,
            // A document must not seem to have ended where its reader died.
            Err(panic) => std::panic::resume_unwind(panic),
        }
        Ok(intake)
    })
}

fn read_sessions(
    input: impl BufRead,
    namespace: &str,
    sessions: &SyncSender<Vec<Imported>>,
) -> (Option<String>, u64, Option<ReadError>) {
    let mut reader = SessionReader::new(input, namespace);
    let mut last = None;
    loop {
        let (together, is_end) = read_some(&mut reader);
        let last_of_them = together.last().map(|session| session.lsid.to_string());
        if last_of_them.is_some() {
            if sessions.send(together).is_err() {
                return (last, reader.passed_over(), None);
            }
            last = last_of_them;
        }
        match is_end {
            Ok(true) => return (last, reader.passed_over(), None),
            Ok(false) => {}
            Err(fault) => return (last, reader.passed_over(), Some(fault)),
        }
    }
}

/// A few sessions, and whether they are the last ones or what stands behind them is faulty.
fn read_some<R: BufRead>(
    reader: &mut SessionReader<R>,
) -> (Vec<Imported>, Result<bool, ReadError>) {
    let mut together = Vec::new();
    let mut n_bytes = 0;
    while together.len() < TOGETHER_SESSIONS && n_bytes < TOGETHER_BYTES {
        match reader.next_session() {
            Ok(Some(session)) => {
                n_bytes += session.parts.head.len() + session.parts.tail.len();
                together.push(session);
            }
            Ok(None) => return (together, Ok(true)),
            Err(fault) => return (together, Err(fault)),
        }
    }
    (together, Ok(false))
}

/// The directory as it was when the intake began.
struct CurrentNames<'a> {
    version: u64,
    directory: Arc<Directory>,
    namespace: &'a str,
}

impl CurrentNames<'_> {
    /// Brings the names of a session up to date, and says which version they are of.
    fn renew(&self, parts: &mut Parts) -> u64 {
        let is_current = parts.is_current(&self.directory)
            || parts.rename(&self.directory, self.namespace).is_ok();
        // Version 0 is no directory: a report then looks at the names again.
        if is_current { self.version } else { 0 }
    }
}

fn seal_sessions(
    sessions: &Mutex<Receiver<Vec<Imported>>>,
    documents: &SyncSender<Vec<Document>>,
    names: &CurrentNames<'_>,
) {
    let mut sealer = Sealer::new(Level::Keep);
    loop {
        let next = sessions.lock().map(|sessions| sessions.recv());
        let Ok(Ok(together)) = next else { return };
        let sealed = together
            .into_iter()
            .map(|session| seal(&mut sealer, session, names));
        if documents.send(sealed.collect()).is_err() {
            return;
        }
    }
}

fn seal(sealer: &mut Sealer, mut session: Imported, names: &CurrentNames<'_>) -> Document {
    let digest = digest(&session.parts);
    let renamed = names.renew(&mut session.parts);
    Document {
        digest,
        body: sealer.seal(&session.parts),
        names: renamed,
        lsid: session.lsid,
        lseq: session.lseq,
        start: session.start,
        end: session.end,
        owners: session.owners,
        teams: session.teams,
        site: session.site,
        last_event: session.last_event,
        n_events: session.n_events,
    }
}

fn commit_all(
    store: &Store,
    documents: Receiver<Vec<Document>>,
    now: At,
    runtime: &tokio::runtime::Handle,
) -> Result<Import, StoreError> {
    let mut import = Import::default();
    let mut batch: Vec<Document> = Vec::new();
    let mut commit = |batch: &mut Vec<Document>| {
        let committed = runtime.block_on(store.import(std::mem::take(batch), now));
        committed.map(|committed| import.add(committed))
    };
    let mut n_bytes = 0;
    for document in documents.into_iter().flatten() {
        n_bytes += document.body.len();
        batch.push(document);
        if COMMIT_SESSIONS_MAX <= batch.len() || COMMIT_BYTES <= n_bytes {
            commit(&mut batch)?;
            n_bytes = 0;
        }
    }
    if !batch.is_empty() {
        commit(&mut batch)?;
    }
    Ok(import)
}
