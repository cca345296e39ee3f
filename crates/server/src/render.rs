//! A report on its way from the archive to whoever asked: pages in, chunks of bytes out.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use debrief_domain::{
    At, Change, Directory, Event, Filter, Lsid, Moment, Recording, Selection, Which, fold,
};
use debrief_report::{
    Answer, Coding, Element, Format, Head, Level, Links, Neighbour, NeighbourError, Nothing, Parts,
    Query, Sealed, Sealer, Seen, Signer, session_parts,
};
use debrief_store::{
    Cursor, Flow, Found, Members, Reading, Scan, SealedBody, Silence, Store, StoreError,
};

use tokio::sync::{mpsc, oneshot};

use crate::app::{App, Names};
use chunk::SealedChunk;
pub(crate) use chunk::{Buffers, Chunk};
use here::{Here, Others};

mod chunk;
mod here;

/// Bytes after which the first chunk is sent, so that it does not wait for many sessions.
const CHUNK_BYTES_FIRST: usize = 32 << 10;
/// Bytes after which a later chunk is sent; each is twice as long as the one before up to this. Longer
/// ones make fewer switches between threads, and more for a client that stalls to hold.
const CHUNK_BYTES_MAX: usize = 384 << 10;
/// The same for a filter, whose sessions lie scattered: to find them takes longer than to send them, and
/// while the last of them are sent nothing is read.
const CHUNK_BYTES_FILTER_MAX: usize = 192 << 10;
/// The same for text that is inflated: as sealed bytes it is a quarter of that, and each chunk wakes a
/// thread that inflates it.
const CHUNK_TEXT_BYTES_MAX: usize = 2 * CHUNK_BYTES_MAX;
/// Room for one session of a common length, so that a buffer does not grow step by step.
const SESSION_BYTES_COMMON: usize = 8 << 10;
/// Chunks made ahead of what the client has taken.
const CHUNKS_AHEAD: usize = 2;
/// Room for chunks that is waited for before more are made.
const CHUNKS_WAITED: usize = 2;

/// A report being made.
pub(crate) struct Report {
    store: Store,
    reading: Option<Reading>,
    making: Arc<Mutex<Making>>,
    cursor: Option<Cursor>,
    /// The cursor of a `changed_since` report.
    pub(crate) next: Option<u64>,
    /// Where chunks come from when a task of its own makes them.
    running: Option<Running>,
}

/// The receiving end of a task that makes a report.
pub(crate) struct Running {
    /// Closed when there are no more, for better or worse.
    pub(crate) chunks: mpsc::Receiver<Chunk>,
    pub(crate) end: End,
}

/// How the task ends.
pub(crate) struct End(oneshot::Receiver<Result<(), StoreError>>);

/// What the visitor of pages works on.
struct Making {
    answer: Option<Answer>,
    /// What makes something else than whole sessions.
    neighbour: Option<Neighbour>,
    /// What that has to tell; it is coded by the page.
    told: Vec<u8>,
    /// Sealed sessions that are inflated later, where the answer is plain XML.
    sealed: Option<SealedChunk>,
    out: Vec<u8>,
    /// A chunk for whoever asked for just one.
    kept: Option<Chunk>,
    buffers: Buffers,
    chunk_bytes: usize,
    chunk_bytes_max: usize,
    links: Arc<Signer>,
    directory: Arc<Directory>,
    version: u64,
    namespace: String,
    now: At,
    /// Sessions given, or whatever else the report lists.
    n_given: u64,
    n_given_max: u64,
    n_replaced: u64,
    /// Bytes of sealed sessions that were taken in, and what was made of them.
    n_read: u64,
    n_made: u64,
    /// Sessions whose kept bytes show old names of teams, sealed again.
    renewed: Vec<SealedBody>,
    /// Whether more was asked for than is held in memory.
    is_too_long: bool,
    /// Held by the program, and by each report that is being made.
    at_work: Arc<()>,
    here: Here,
}

impl Report {
    /// Begins a report. The set of sessions is that of its first chunk's moment.
    pub(crate) async fn begin(
        app: &App,
        query: &Query,
        coding: Coding,
        names: &Names,
        links: Links,
    ) -> Result<Report, StoreError> {
        Report::resume(app, query, coding, names, links, None).await
    }

    /// Begins a report, or goes on with one after a cursor.
    pub(crate) async fn resume(
        app: &App,
        query: &Query,
        coding: Coding,
        names: &Names,
        links: Links,
        cursor: Option<Cursor>,
    ) -> Result<Report, StoreError> {
        let store = app.store();
        let directory = &names.directory;
        let members = match &query.selection.filter {
            Filter::OwnedByMemberOf(team) => Members(directory.members(team).cloned().collect()),
            _ => Members::default(),
        };
        let selection = query.selection.clone();
        let (reading, next) = match (&selection.which, cursor) {
            (Which::ChangedSince(_), Some(cursor)) => (
                Reading::resume(selection, members, cursor),
                Some(cursor.bound.0),
            ),
            (_, Some(cursor)) => (Reading::resume(selection, members, cursor), None),
            (Which::ChangedSince(_), None) => {
                let bound = store.last_change().await?;
                (Reading::at(selection, members, Change(bound)), Some(bound))
            }
            (_, None) => (Reading::new(selection, members), None),
        };
        let config = app.config();
        let mut out = Vec::with_capacity(SESSION_BYTES_COMMON);
        let head = Head {
            dialect: config.dialect,
            root: query.report.root(),
            namespace: &config.namespace,
            next,
        };
        let answer = Answer::begin(head, query.format, coding, &mut out);
        let links = Arc::new(links.signer());
        let is_plain = (query.format, coding) == (Format::Xml, Coding::Identity);
        let buffers = Buffers::default();
        let neighbour = Neighbour::new(query.report, &config.namespace);
        let copies = query.format == Format::Xml && neighbour.is_none();
        let making = Making {
            answer: Some(answer),
            neighbour,
            told: Vec::new(),
            sealed: is_plain.then(|| SealedChunk::new(&links, &buffers)),
            out,
            kept: None,
            buffers,
            chunk_bytes: CHUNK_BYTES_FIRST,
            chunk_bytes_max: if is_plain {
                CHUNK_TEXT_BYTES_MAX
            } else if query.selection.filter == Filter::All {
                CHUNK_BYTES_MAX
            } else {
                CHUNK_BYTES_FILTER_MAX
            },
            links,
            directory: Arc::clone(directory),
            version: names.version,
            namespace: config.namespace.clone(),
            now: app.now(),
            n_given: 0,
            n_given_max: u64::MAX,
            n_replaced: 0,
            n_read: 0,
            n_made: 0,
            renewed: Vec::new(),
            is_too_long: false,
            at_work: app.at_work(),
            here: Here::new(copies),
        };
        Ok(Report {
            store: store.clone(),
            reading: Some(reading),
            making: Arc::new(Mutex::new(making)),
            cursor: None,
            next,
            running: None,
        })
    }

    /// Lets a task make the chunks from here on, each while the ones before are taken.
    pub(crate) fn start(&mut self) {
        self.running = Some(self.start_now());
    }

    fn start_now(&mut self) -> Running {
        let mut report = Report {
            store: self.store.clone(),
            reading: self.reading.take(),
            making: Arc::clone(&self.making),
            cursor: None,
            next: None,
            running: None,
        };
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let (telling, told) = oneshot::channel();
        tokio::spawn(async move {
            let sent = report.send(&sender).await;
            // Told before the chunks end, so that whoever sees them end knows.
            let _ = telling.send(sent);
        });
        Running {
            chunks,
            end: End(told),
        }
    }

    /// What chunks are made in.
    pub(crate) fn buffers(&self) -> Buffers {
        let making = self.making.lock();
        making.map_or_else(|_| Buffers::default(), |making| making.buffers.clone())
    }

    /// The end of the task that makes the chunks, which is started if there is none.
    pub(crate) fn into_running(mut self) -> Running {
        match self.running.take() {
            Some(running) => running,
            None => self.start_now(),
        }
    }

    /// The next bytes; none at the end. A failure means that what was sent is not whole.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(running) = &mut self.running {
            return match running.chunks.recv().await {
                Some(chunk) => chunk.into_bytes().map(Some),
                None => running.end.told().await.map(|()| None),
            };
        }
        while self.reading.is_some() {
            self.pages(None).await?;
            let kept = self.making.lock().map_err(|_| poisoned())?.kept.take();
            if let Some(chunk) = kept {
                return chunk.into_bytes().map(Some);
            }
            // A page on which no session fitted: it goes on.
        }
        Ok(None)
    }

    /// Sends all that follows, as fast as it is taken. A failure means that what was sent is not
    /// whole.
    async fn send(&mut self, chunks: &mpsc::Sender<Chunk>) -> Result<(), StoreError> {
        while !self.is_done() {
            // Nobody else sends: room that is there stays. Several chunks at a time, for it takes
            // a while to wake a reader.
            if chunks.reserve_many(CHUNKS_WAITED).await.is_err() {
                // The client went away.
                return Ok(());
            }
            self.pages(Some(chunks)).await?;
        }
        Ok(())
    }

    /// Sends pages as long as there is room for them, at least one; without somebody to send to it keeps
    /// the first.
    async fn pages(&mut self, chunks: Option<&mpsc::Sender<Chunk>>) -> Result<(), StoreError> {
        let Some(reading) = self.reading.take() else {
            return Ok(());
        };
        let pages = Pages {
            making: Arc::clone(&self.making),
            chunks: chunks.cloned(),
            began: None,
        };
        let reading = self.store.pages(reading, Box::new(pages)).await?;
        let renewed = {
            let mut making = self.making.lock().map_err(|_| poisoned())?;
            if making.answer.is_some() {
                self.reading = Some(reading);
            } else if !reading.is_done() {
                self.cursor = reading.cursor();
            }
            std::mem::take(&mut making.renewed)
        };
        if !renewed.is_empty() {
            // Only a saving for the next report: when it fails, that one does the work again.
            if let Err(error) = self.store.seal(renewed).await {
                tracing::warn!(%error, "renamed sessions could not be sealed again");
            }
        }
        Ok(())
    }

    /// Ends the answer after so many sessions; [`Report::cursor`] then says where to go on.
    pub(crate) fn stop_after(&mut self, n_sessions_max: usize) {
        if let Ok(mut making) = self.making.lock() {
            making.n_given_max = n_sessions_max as u64;
        }
    }

    /// Where an answer that was ended early stands.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// How many sessions, or whatever else the report lists, have been given so far.
    pub(crate) fn n_given(&self) -> u64 {
        self.making.lock().map_or(0, |making| making.n_given)
    }

    /// Whether every session has been given.
    pub(crate) fn is_done(&self) -> bool {
        match &self.running {
            // Chunks are sent under the lock, so the last one is there or was taken.
            Some(running) => {
                let is_made = self.making.lock().is_ok_and(|made| made.answer.is_none());
                is_made && running.chunks.is_empty()
            }
            None => self.reading.is_none(),
        }
    }

    /// Whether more was asked for than is held in memory, so that the report was given up.
    pub(crate) fn is_too_long(&self) -> bool {
        self.making.lock().is_ok_and(|making| making.is_too_long)
    }

    /// The first bytes, or the whole document that says that nothing fits. Where there is such a
    /// document, or nothing can be told before the end, it takes until something is found.
    pub(crate) async fn open(&mut self, app: &App, query: &Query) -> Result<Opening, StoreError> {
        let nothing = nothing_found(app, query);
        let tells_at_end = self.making.lock().is_ok_and(|making| {
            let neighbour = making.neighbour.as_ref();
            neighbour.is_some_and(Neighbour::tells_at_end)
        });
        let mut first = self.chunk().await?.unwrap_or_default();
        while (nothing.is_some() || tells_at_end) && self.n_given() == 0 && !self.is_done() {
            first.extend(self.chunk().await?.unwrap_or_default());
        }
        Ok(match nothing {
            Some(document) if self.n_given() == 0 => Opening::Nothing(document),
            Some(_) | None => Opening::First(first),
        })
    }

    /// Characters so far that XML cannot carry and that became U+FFFD.
    pub(crate) fn n_replaced(&self) -> u64 {
        self.making.lock().map_or(0, |making| making.n_replaced)
    }
}

impl End {
    /// Waits for it.
    pub(crate) async fn told(&mut self) -> Result<(), StoreError> {
        let told = (&mut self.0).await;
        // A task that died has not said that all is well.
        told.unwrap_or_else(|_| Err(StoreError::refused("the report was given up")))
    }
}

/// The pages of a report, where they are read.
struct Pages {
    making: Arc<Mutex<Making>>,
    /// None where the first chunk is kept.
    chunks: Option<mpsc::Sender<Chunk>>,
    /// When a page began that should be quick.
    began: Option<Instant>,
}

impl Scan for Pages {
    fn session(&mut self, found: Found<'_>) -> Result<Flow, StoreError> {
        let mut making = self.making.lock().map_err(|_| poisoned())?;
        let n_before = making.n_bytes();
        let n_read = match &found {
            Found::Sealed { body, .. } => body.len() as u64,
            Found::Live { .. } => 0,
        };
        making.session(found)?;
        let n_bytes = making.n_bytes();
        if 0 < n_read {
            making.n_read += n_read;
            making.n_made += n_bytes.saturating_sub(n_before) as u64;
        }
        let is_full = making.chunk_bytes <= n_bytes || making.is_enough();
        Ok(if is_full { Flow::Full } else { Flow::More })
    }

    fn page_over(&mut self, reading: &Reading) -> Result<Flow, StoreError> {
        let mut making = self.making.lock().map_err(|_| poisoned())?;
        let took = self.began.take().map(|began| began.elapsed());
        let has_made = !making.renewed.is_empty();
        making.here.note(took, has_made);
        let is_over = reading.is_done() || making.is_enough();
        let chunk = making.take_chunk(is_over);
        let has_room = match &self.chunks {
            Some(chunks) => {
                let is_taken = chunk.is_empty() || chunks.try_send(chunk).is_ok();
                is_taken && 0 < chunks.capacity()
            }
            None if chunk.is_empty() => true,
            None => {
                making.kept = Some(chunk);
                false
            }
        };
        Ok(if is_over || !has_room || !making.renewed.is_empty() {
            Flow::Full
        } else {
            Flow::More
        })
    }

    fn room(&self) -> u64 {
        let Ok(making) = self.making.lock() else {
            return u64::MAX;
        };
        let room = making.chunk_bytes.saturating_sub(making.n_bytes());
        // As much is made of what follows as of what came before.
        (room as u64).saturating_mul(making.n_read.max(1)) / making.n_made.max(1)
    }

    fn is_quick(&mut self) -> bool {
        let Ok(mut making) = self.making.lock() else {
            return false;
        };
        let others = match Arc::strong_count(&making.at_work) {
            0..=2 => Others::None,
            _ => Others::Some,
        };
        let is_quick = making.here.is_next(others);
        self.began = is_quick.then(Instant::now);
        is_quick
    }
}

/// One session as an element, without its links; none when there is no such session.
pub(crate) async fn session_element(
    app: &App,
    lsid: &Lsid,
    names: &Names,
) -> Result<Option<Element>, StoreError> {
    let selection = Selection {
        which: Which::Named(vec![lsid.clone()]),
        filter: Filter::All,
    };
    let found = Arc::new(Mutex::new(None));
    let (kept, now) = (Arc::clone(&found), app.now());
    let (directory, namespace) = (Arc::clone(&names.directory), app.config().namespace.clone());
    let visit = move |session: Found<'_>| {
        let parts = match session {
            Found::Sealed { body, .. } => {
                let sealed = Sealed::parse(body).map_err(damaged)?;
                sealed.renamed(&directory, &namespace).map_err(damaged)?
            }
            Found::Live {
                lseq,
                events,
                recordings,
                silence,
            } => live_parts(lseq, events, &recordings, silence, now, &directory)?,
        };
        let element = parts.element(&namespace).map_err(damaged)?;
        *kept.lock().map_err(|_| poisoned())? = Some(element);
        Ok(Flow::Full)
    };
    let reading = Reading::new(selection, Members::default());
    app.store().page(reading, Box::new(visit)).await?;
    let mut found = found.lock().map_err(|_| poisoned())?;
    Ok(found.take())
}

/// A session that is not sealed, folded as of now.
fn live_parts(
    lseq: u64,
    events: Vec<Event>,
    recordings: &[Recording],
    silence: Silence,
    now: At,
    directory: &Directory,
) -> Result<Parts, StoreError> {
    let moment = match silence {
        Silence::Heard => Moment::Now(now),
        Silence::Lapsed => Moment::Silent,
    };
    let Some(session) = fold(lseq, events, moment) else {
        return Err(StoreError::corrupt("a session without events"));
    };
    let session = session.with_recordings(recordings);
    Ok(session_parts(&session, directory))
}

/// How an answer begins.
pub(crate) enum Opening {
    /// With these bytes; the report may go on.
    First(Vec<u8>),
    /// Nothing fits, and this is the whole document, uncoded.
    Nothing(Vec<u8>),
}

/// The document that answers when no session fits, if the dialect has one.
fn nothing_found(app: &App, query: &Query) -> Option<Vec<u8>> {
    let config = app.config();
    match (config.dialect.nothing, query.format) {
        (Nothing::Error(sentence), Format::Xml) => {
            let (root, namespace) = (query.report.root(), &config.namespace);
            Some(config.dialect.error_document(root, namespace, sentence))
        }
        (Nothing::Error(_) | Nothing::EmptyList, _) => None,
    }
}

fn poisoned() -> StoreError {
    StoreError::refused("the report was given up")
}

fn damaged(error: debrief_report::SealedError) -> StoreError {
    StoreError::Corrupt {
        what: "a sealed session".into(),
        source: Some(Box::new(error)),
    }
}

impl Making {
    /// Takes the next session in.
    fn session(&mut self, found: Found<'_>) -> Result<(), StoreError> {
        if self.neighbour.is_some() {
            return self.neighbour_of(found);
        }
        self.n_given += 1;
        let Some(answer) = &mut self.answer else {
            return Ok(());
        };
        match found {
            Found::Sealed {
                body,
                names,
                place,
                change,
            } => {
                let sealed = Sealed::parse(body).map_err(damaged)?;
                // Bytes of a later directory than this report's are newer, not stale.
                let is_current =
                    self.version <= names || sealed.is_current(&self.directory).map_err(damaged)?;
                if is_current && let Some(plain) = &mut self.sealed {
                    plain.text(&mut self.out);
                    plain.session(body, sealed.text_len());
                    return Ok(());
                }
                if is_current {
                    return answer
                        .sealed(&sealed, &self.links, &mut self.out)
                        .map_err(damaged);
                }
                let parts = sealed
                    .renamed(&self.directory, &self.namespace)
                    .map_err(damaged)?;
                answer
                    .parts(&parts, &self.links, &mut self.out)
                    .map_err(damaged)?;
                let body = Sealer::new(Level::Keep).seal(&parts);
                self.renewed.push(SealedBody {
                    place,
                    change,
                    names: self.version,
                    body,
                });
                Ok(())
            }
            Found::Live {
                lseq,
                events,
                recordings,
                silence,
            } => {
                let parts = self.folded(lseq, events, &recordings, silence)?;
                let Some(answer) = &mut self.answer else {
                    return Ok(());
                };
                answer
                    .parts(&parts, &self.links, &mut self.out)
                    .map_err(damaged)
            }
        }
    }

    /// Takes the next session in where something else than whole sessions is made. Names that
    /// belong to the directory are looked up at the end, if at all: no session is made anew.
    fn neighbour_of(&mut self, found: Found<'_>) -> Result<(), StoreError> {
        match found {
            Found::Sealed { body, .. } => {
                let sealed = Sealed::parse(body).map_err(damaged)?;
                self.tell(Seen::Sealed(&sealed))
            }
            Found::Live {
                lseq,
                events,
                recordings,
                silence,
            } => {
                let parts = self.folded(lseq, events, &recordings, silence)?;
                self.tell(Seen::Parts(&parts))
            }
        }
    }

    fn tell(&mut self, seen: Seen<'_>) -> Result<(), StoreError> {
        let Some(neighbour) = &mut self.neighbour else {
            return Ok(());
        };
        let given = neighbour.session(seen, self.links.recordings(), &mut self.told);
        match given {
            Ok(n_given) => {
                self.n_given += n_given;
                Ok(())
            }
            Err(NeighbourError::Damaged(error)) => Err(damaged(error)),
            Err(error @ NeighbourError::TooManyRows) => {
                self.is_too_long = true;
                Err(StoreError::refused(error.to_string()))
            }
        }
    }

    /// The parts of a session that is not sealed.
    fn folded(
        &mut self,
        lseq: u64,
        events: Vec<Event>,
        recordings: &[Recording],
        silence: Silence,
    ) -> Result<Parts, StoreError> {
        let (now, directory) = (self.now, &self.directory);
        let parts = live_parts(lseq, events, recordings, silence, now, directory)?;
        self.n_replaced += parts.n_replaced;
        Ok(parts)
    }

    /// Appends what a neighbour has told, all of it coded at once.
    fn code(&mut self) {
        if let Some(answer) = &mut self.answer
            && !self.told.is_empty()
        {
            answer.elements(&self.told, &mut self.out);
            self.told.clear();
        }
    }

    /// Bytes of the next chunk so far.
    fn n_bytes(&self) -> usize {
        let sealed = self.sealed.as_ref().map_or(0, SealedChunk::text_len);
        self.out.len() + self.told.len() + sealed
    }

    /// Whether as many sessions were given as were asked for.
    fn is_enough(&self) -> bool {
        self.n_given_max <= self.n_given
    }

    /// What was made since the last chunk; with the end of the answer if this is it.
    fn take_chunk(&mut self, is_last: bool) -> Chunk {
        if is_last {
            self.end();
        } else {
            self.code();
        }
        self.chunk_bytes = (2 * self.chunk_bytes).min(self.chunk_bytes_max);
        if let Some(plain) = &mut self.sealed {
            plain.text(&mut self.out);
            let next = if is_last {
                SealedChunk::new(&self.links, &self.buffers)
            } else {
                plain.next()
            };
            return Chunk::Sealed(std::mem::replace(plain, next));
        }
        let next = if is_last {
            Vec::new()
        } else {
            self.buffers.take(self.chunk_bytes + CHUNK_BYTES_FIRST)
        };
        Chunk::Ready(std::mem::replace(&mut self.out, next))
    }

    /// Ends the answer.
    fn end(&mut self) {
        if let Some(neighbour) = self.neighbour.take() {
            self.n_given += neighbour.end(&self.directory, &mut self.told);
        }
        self.code();
        if let Some(answer) = self.answer.take() {
            answer.end(&mut self.out);
        }
    }
}

/// A digest of what the parts of a session say.
pub(crate) fn digest(parts: &Parts) -> [u8; 16] {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update((parts.head.len() as u64).to_le_bytes());
    hash.update(&parts.head);
    hash.update(&parts.tail);
    hash.update(parts.links_digest());
    let whole: [u8; 32] = hash.finalize().into();
    let mut digest = [0; 16];
    digest.copy_from_slice(&whole[..16]);
    digest
}
