//! The embedded archive: one SQLite file with segment files beside it, one thread that writes (one that
//! settles for it, one that learns after a start which events are there, and one that draws maps of where
//! sessions lie), a few that read.
//!
//! Events are acknowledged when they are written into a journal, and become part of their sessions a
//! moment later: whoever wants to see sessions waits for that. Readers run short transactions only, but
//! for those of `Spots`, which end soon after the next commit. Other processes may use the same file;
//! nothing that matters is remembered without asking it whether that is so still.

mod accesses;
mod account;
mod append;
mod aside;
mod atlas;
mod body;
mod error;
mod events;
mod examine;
mod filter;
mod gathering;
mod grants;
mod ids;
mod import;
mod inbox;
mod journal;
mod lsids;
mod open;
mod page;
mod pick;
mod presence;
mod recording;
mod row;
mod segment;
mod settle;
mod sheaf;
mod shelf;
mod source;
mod spots;
mod turns;
mod upkeep;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use debrief_domain::{At, Directory, Login, Lsid, RepId, Which, Window};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::queue::{self, Receiver, Sender};
use crate::{
    AccessEntry, Account, AccountId, Answer, Append, Backend, Batch, DeadLetter, Document, Enabled,
    Examined, Flow, Grant, Import, KeepRecording, KeptRecording, NewAccount, Paged, Presence,
    Reading, RecordingKey, Retell, Running, Scan, SealedBody, StoreError, TokenHash, Unsealed,
};
use accesses::Accesses;
use atlas::Atlas;
use error::refused_or_corrupt;
use page::Shows;
use segment::Segments;
use spots::Spots;
use turns::Turns;
use writer::{Acknowledge, Bystanders, Known, Verdict, WriteCall, Writer, WriterThread, Writes};

/// Calls that may wait for the writer.
const WRITE_QUEUE_MAX: usize = 4_096;
/// Calls that may wait for a reader.
const READ_QUEUE_MAX: usize = 65_536;
/// Threads that read what is short: a session, a token, a page of something.
const READERS: usize = 2;
/// Threads that read reports over time.
const SCANNERS: usize = 2;
/// How long a commit waits for another process.
const BUSY_WAIT: Duration = Duration::from_secs(30);

/// What retells sealed bytes where nothing else is given.
#[cfg(not(test))]
pub(crate) const RETELL: Option<Retell> = None;
#[cfg(test)]
pub(crate) const RETELL: Option<Retell> = Some(tests::retell);

/// The archive in one SQLite file and its segments.
pub(crate) struct Sqlite {
    writer: Option<Sender<WriteCall>>,
    readers: Option<Sender<ReadCall>>,
    scanners: Option<Sender<ReadCall>>,
    threads: Vec<JoinHandle<()>>,
    accesses: Arc<Accesses>,
    directory: Arc<KnownDirectory>,
    grants: Arc<grants::Grants>,
    files: Arc<Files>,
    turns: Arc<Turns>,
    spots: Arc<Spots>,
    looks: KnownLooks,
}

/// How far the sweeper has looked through the index.
#[derive(Default)]
struct KnownLooks(Mutex<sheaf::Looks>);

impl KnownLooks {
    fn load(&self) -> sheaf::Looks {
        self.0.lock().map(|looks| *looks).unwrap_or_default()
    }

    fn store(&self, looks: sheaf::Looks) {
        if let Ok(mut known) = self.0.lock() {
            *known = looks;
        }
    }
}

/// What readers look at beside the database.
struct Files {
    segments: Arc<Segments>,
    journal: journal::Front,
    atlas: Arc<Atlas>,
}

/// The directory as it was last read: read again only when its version is another.
#[derive(Default)]
struct KnownDirectory(Mutex<Option<(u64, Arc<Directory>)>>);

impl KnownDirectory {
    fn current(&self, db: &Connection) -> Result<(u64, Arc<Directory>), StoreError> {
        let known = self.0.lock().map(|known| known.clone()).unwrap_or(None);
        let current = upkeep::directory(db, known)?;
        if let Ok(mut known) = self.0.lock() {
            *known = Some(current.clone());
        }
        Ok(current)
    }
}

fn no_thread(source: std::io::Error) -> StoreError {
    StoreError::Refused {
        what: "cannot start a thread".into(),
        source: Some(Box::new(source)),
    }
}

type ReadCall = Box<dyn FnOnce(&Connection) + Send>;

impl Sqlite {
    /// Opens or makes the archive, and starts its threads.
    #[cfg(test)]
    pub(crate) fn open(directory: &Path) -> Result<Sqlite, StoreError> {
        Sqlite::open_with(directory, RETELL)
    }

    /// The same, with what retells sealed bytes.
    pub(crate) fn open_with(
        directory: &Path,
        retell: Option<Retell>,
    ) -> Result<Sqlite, StoreError> {
        let db = open::open(directory)?;
        Sqlite::start(directory, db, journal::Journal::open(directory)?, retell)
    }

    /// Starts the threads of an archive.
    fn start(
        directory: &Path,
        mut db: Connection,
        journal: journal::Journal,
        retell: Option<Retell>,
    ) -> Result<Sqlite, StoreError> {
        let front = journal.front();
        // Syncs the directory.
        let segments = Arc::new(Segments::open(directory, retell)?);
        let accesses = Arc::new(Accesses::default());
        let (writer, write_calls) = queue::bounded(WRITE_QUEUE_MAX);
        let (readers, read_calls) = queue::bounded::<ReadCall>(READ_QUEUE_MAX);
        let (scanners, scan_calls) = queue::bounded::<ReadCall>(READ_QUEUE_MAX);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.into())
                .spawn(run)
                .map_err(no_thread)
        };
        let mut threads = Vec::new();
        let grants = Arc::new(grants::Grants::new(&directory.join(open::FILE)));
        let atlas = Arc::new(Atlas::new(&grants));
        atlas.watch(&mut db)?;
        let (lessons, learner) = ids::Lessons::new();
        let db_learnt = open::open_reader(directory)?;
        let grants_learnt = Arc::clone(&grants);
        let learn = Box::new(move || learner.run(&db_learnt, &grants_learnt));
        threads.push(spawn("store-learner", learn)?);
        let known = Known::new(journal, &segments, ids::Ids::new(lessons));
        let spots = Arc::new(Spots::open(directory, &grants)?);
        let dbs = (db, open::open_reader(directory)?);
        let bystanders = Bystanders {
            accesses: Arc::clone(&accesses),
            atlas: Arc::clone(&atlas),
            grants: Arc::clone(&grants),
            spots: Arc::clone(&spots),
        };
        let writing = WriterThread::new(dbs, write_calls, bystanders, known);
        let mut writing = writing.map_err(no_thread)?;
        writing.recover()?;
        threads.push(spawn("store-writer", Box::new(|| writing.run()))?);
        let reading = std::iter::repeat_n(("store-reader", &read_calls), READERS);
        let scanning = std::iter::repeat_n(("store-scanner", &scan_calls), SCANNERS);
        for (name, calls) in reading.chain(scanning) {
            let db = open::open_reader(directory)?;
            let calls: Receiver<ReadCall> = calls.clone();
            threads.push(spawn(
                name,
                Box::new(move || {
                    while let Some(call) = calls.recv() {
                        // One call that panics fails alone: its caller sees the channel close.
                        let _ = catch_unwind(AssertUnwindSafe(|| call(&db)));
                    }
                }),
            )?);
        }
        // Last, for it is told that it is to end.
        let (drawn, data) = (Arc::clone(&atlas), directory.to_owned());
        let draw = Box::new(move || drawn.draw(|| open::open_reader(&data)));
        threads.push(spawn("store-drawer", draw)?);
        Ok(Sqlite {
            spots,
            writer: Some(writer),
            readers: Some(readers),
            scanners: Some(scanners),
            threads,
            accesses,
            directory: Arc::default(),
            files: Arc::new(Files {
                segments,
                journal: front,
                atlas,
            }),
            turns: Arc::new(Turns::new(scan_calls)),
            grants,
            looks: KnownLooks::default(),
        })
    }

    /// Runs `call` in the writer's transaction; the answer comes after the commit.
    fn write<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Writer<'_>) -> Result<(Verdict, T), StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        self.write_into(Writes::Database, call)
    }

    fn write_into<T: Send + 'static>(
        &self,
        writes: Writes,
        call: impl FnOnce(&mut Writer<'_>) -> Result<(Verdict, T), StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        let (sender, receiver) = oneshot::channel();
        let run = Box::new(move |writer: Result<&mut Writer<'_>, StoreError>| {
            let (verdict, result) = match writer.and_then(call) {
                Ok((verdict, value)) => (verdict, Ok(value)),
                Err(error) => (Verdict::Discard, Err(error)),
            };
            Acknowledge {
                verdict,
                tell: Box::new(move |commit| {
                    let answer = match (verdict, result, commit) {
                        (Verdict::Keep, Ok(_), Err(error)) => Err(error),
                        (_, result, _) => result,
                    };
                    // A caller that went away does not want to know.
                    let _ = sender.send(answer);
                }),
            }
        });
        match writes {
            Writes::Inbox { .. } => self.turns.ask_for_events(),
            Writes::Database | Writes::Settled => self.turns.ask(),
        }
        let call = WriteCall { writes, run };
        let queued = match self.writer.as_ref().map(|writer| writer.try_send(call)) {
            Some(Ok(())) => Ok(()),
            Some(Err(queue::Full)) => Err(StoreError::refused(format!(
                "more than {WRITE_QUEUE_MAX} writes are waiting"
            ))),
            None => Err(StoreError::refused("the writer has stopped")),
        };
        Box::pin(async move {
            queued?;
            // The writer tells every caller, so silence means that it died half-way.
            receiver
                .await
                .unwrap_or(Err(StoreError::Unknown { source: None }))
        })
    }

    /// Runs `call` on a reader.
    fn read<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        self.turns.ask();
        self.read_first(call)
    }

    /// The same for what every request needs before anything else, those for reports too.
    fn read_first<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        self.turns.begin();
        Sqlite::run(self.readers.as_ref(), call)
    }

    /// Runs `call` on a reader that sees everything which was acknowledged before.
    fn read_settled<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(async move {
            let seen = self.files.journal.look()?;
            let lacks = self.read(move |db| {
                let era = upkeep::counter(db, "era").map_err(refused_or_corrupt)?;
                Ok(seen.lacks(journal::Era(era)))
            });
            if lacks.await? {
                self.settle().await?;
            }
            self.read(call).await
        })
    }

    /// Lets everything that was acknowledged become part of its sessions.
    fn settle(&self) -> Answer<'_, ()> {
        self.write(|writer| {
            writer.n_beside_tokens += 1;
            Ok((Verdict::Keep, ()))
        })
    }

    /// Binds index entries into sheaves. Gives how many entries it concerned; none when it has looked
    /// through all lists, wherever something came since it did so last.
    fn bind(&self) -> Answer<'_, u64> {
        Box::pin(async move {
            loop {
                let looks = self.looks.load();
                let tasks = self.read(move |db| sheaf::tasks(db, looks)).await?;
                let looks = tasks.looks();
                let mut n_entries = 0;
                if !tasks.is_empty() {
                    let work = move |writer: &mut Writer<'_>| sheaf::work(writer, &tasks);
                    n_entries = self.write_into(Writes::Settled, work).await?;
                }
                // What could not be written is looked for again.
                self.looks.store(looks);
                // What was to be done may be no more: others go on.
                if 0 < n_entries {
                    return Ok(n_entries);
                }
                if looks.is_through() {
                    return Ok(0);
                }
            }
        })
    }

    /// Pages of sessions that are asked for by name.
    fn read_pages(&self, mut reading: Reading, mut scan: Box<dyn Scan>) -> Answer<'_, Paged> {
        let files = Arc::clone(&self.files);
        self.read(move |db| {
            loop {
                page::page(db, &files, &mut reading, &mut *scan, Shows::All)?;
                if !reading.has_begun() {
                    return Ok((reading, Some(scan)));
                }
                if scan.page_over(&reading)? == Flow::Full || reading.is_done() {
                    return Ok((reading, None));
                }
            }
        })
    }

    /// What the next pages of a report over time can be read with right here, while nobody else wants
    /// anything: their bytes stay with the processor that sends them.
    fn scanner_here(&self, reading: &Reading, scan: &mut dyn Scan) -> Option<Connection> {
        if reading.wants_reader || !self.turns.are_idle() {
            return None;
        }
        let db = self.spots.scanner()?;
        if scan.is_quick() {
            return Some(db);
        }
        self.spots.give_back(db);
        None
    }

    /// Reads them, until somebody wants something else or the next session takes long.
    fn scan_here(
        &self,
        db: Connection,
        mut reading: Reading,
        mut scan: Box<dyn Scan>,
    ) -> Result<Paged, StoreError> {
        // Who panics in here ends alone, as on a thread of its own.
        let read = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let last = reading.last;
                let read = page::page(&db, &self.files, &mut reading, &mut *scan, Shows::Quick);
                if read.is_err() && reading.last == last {
                    // Whatever failed, such as a wait for somebody else, is a reader's to meet again.
                    reading.wants_reader = true;
                    return Ok((reading, Some(scan)));
                }
                read?;
                if !reading.has_begun() {
                    return Ok((reading, Some(scan)));
                }
                if scan.page_over(&reading)? == Flow::Full || reading.is_done() {
                    return Ok((reading, None));
                }
                if reading.wants_reader || !self.turns.are_idle() || !scan.is_quick() {
                    return Ok((reading, Some(scan)));
                }
            }
        }));
        self.spots.give_back(db);
        read.unwrap_or_else(|_| Err(StoreError::refused("the reader has stopped")))
    }

    /// Pages of a report over time, which may have to let others go first.
    fn scan_pages(&self, mut reading: Reading, mut scan: Box<dyn Scan>) -> Answer<'_, Paged> {
        let (files, turns) = (Arc::clone(&self.files), Arc::clone(&self.turns));
        Sqlite::run(self.scanners.as_ref(), move |db| {
            let _at_work = turns.report();
            loop {
                let turn = turns.take();
                page::page(db, &files, &mut reading, &mut *scan, Shows::All)?;
                if !reading.has_begun() {
                    return Ok((reading, Some(scan)));
                }
                let flow = scan.page_over(&reading)?;
                if reading.is_done() {
                    return Ok((reading, None));
                }
                turns.pass_on(turn);
                if flow == Flow::Full {
                    return Ok((reading, None));
                }
                if turns.others_wait() {
                    return Ok((reading, Some(scan)));
                }
            }
        })
    }

    /// Runs `call` on one of these threads.
    fn run<'a, T: Send + 'static>(
        threads: Option<&Sender<ReadCall>>,
        call: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'a, T> {
        let (sender, receiver) = oneshot::channel();
        let boxed: ReadCall = Box::new(move |db| {
            let _ = sender.send(call(db));
        });
        let queued = threads.map(|threads| threads.try_send(boxed));
        Box::pin(async move {
            match queued {
                Some(Ok(())) => {}
                Some(Err(_)) | None => {
                    return Err(StoreError::refused("too many reads are waiting"));
                }
            }
            receiver
                .await
                .unwrap_or_else(|_| Err(StoreError::refused("the reader has stopped")))
        })
    }
}

impl Drop for Sqlite {
    /// Lets the threads finish what waits, so that a clean end loses nothing.
    fn drop(&mut self) {
        self.writer.take();
        self.readers.take();
        self.scanners.take();
        self.files.atlas.end();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Backend for Sqlite {
    fn append(&self, account: AccountId, batch: Batch, now: At) -> Answer<'_, Append> {
        Box::pin(async move {
            let n_bytes = inbox::batch_len_max(&batch);
            let written = self.write_into(Writes::Inbox { n_bytes }, move |writer| {
                let (verdict, answer) = append::append(writer, account, &batch, now)?;
                // It is handed back: to take it apart is not the writer's work.
                Ok((verdict, (answer, batch)))
            });
            let (answer, _batch) = written.await?;
            Ok(answer)
        })
    }

    fn import(&self, documents: Vec<Document>, now: At) -> Answer<'_, Import> {
        self.write(move |writer| import::import(writer, &documents, now))
    }

    fn pages(&self, mut reading: Reading, mut scan: Box<dyn Scan>) -> Answer<'_, Paged> {
        Box::pin(async move {
            let is_short = matches!(reading.selection.which, Which::Named(_));
            if is_short {
                self.turns.ask_for_one();
                if self.spots.show(&self.files, &mut reading, &mut *scan)? {
                    return Ok((reading, None));
                }
            }
            loop {
                let (read, goes_on) = if is_short {
                    self.read_pages(reading, scan).await?
                } else if let Some(db) = self.scanner_here(&reading, &mut *scan) {
                    self.scan_here(db, reading, scan)?
                } else {
                    self.scan_pages(reading, scan).await?
                };
                match goes_on {
                    Some(waits) if !read.has_begun() && !read.wants_reader => {
                        self.settle().await?;
                        (reading, scan) = (read, waits);
                        reading.is_settled = true;
                    }
                    goes_on => return Ok((read, goes_on)),
                }
            }
        })
    }

    fn unsealed(&self, n_max: usize) -> Answer<'_, Vec<Unsealed>> {
        let unsealed = move || {
            let segments = Arc::clone(&self.files.segments);
            move |db: &Connection| upkeep::unsealed(db, &segments, n_max)
        };
        Box::pin(async move {
            // To seal those of which more waits is in vain; to settle that for each handful of them
            // would cost those who send it more.
            let sessions = self.read(unsealed()).await?;
            if !sessions.is_empty() {
                return Ok(sessions);
            }
            self.read_settled(unsealed()).await
        })
    }

    fn seal(&self, bodies: Vec<SealedBody>) -> Answer<'_, u64> {
        let segments = Arc::clone(&self.files.segments);
        Box::pin(async move {
            let packed = self.read(move |db| {
                let places: Vec<i64> = bodies.iter().map(|body| body.place).collect();
                let writes = match upkeep::any_document(db, &places).map_err(refused_or_corrupt)? {
                    true => Writes::Database,
                    false => Writes::Settled,
                };
                let pack = |body: SealedBody| {
                    let pack = events::pack(db, &segments, body.place)?;
                    Ok((body, pack))
                };
                let packed = bodies.into_iter().map(pack).collect::<Result<Vec<_>, _>>();
                Ok((writes, packed?))
            });
            let (writes, packed) = packed.await?;
            self.write_into(writes, move |writer| upkeep::seal(writer, &packed))
                .await
        })
    }

    fn lapse(&self, silent_since: At, n_max: usize) -> Answer<'_, u64> {
        Box::pin(async move {
            let look = move |writer: &mut Writer<'_>| upkeep::may_lapse(writer, silent_since);
            if !self.write_into(Writes::Settled, look).await? {
                return Ok(0);
            }
            self.write(move |writer| upkeep::lapse(writer, silent_since, n_max))
                .await
        })
    }

    fn tidy(&self, now: At, n_max: usize) -> Answer<'_, u64> {
        let segments = Arc::clone(&self.files.segments);
        Box::pin(async move {
            let tidied = self.write(move |writer| {
                segment::sweep(writer.db, &segments, now.secs()).map_err(refused_or_corrupt)?;
                let (verdict, n_moved) = body::tidy(writer, &segments, n_max)?;
                let n_shelved = shelf::fill(writer).map_err(refused_or_corrupt)?;
                Ok((verdict, n_moved + n_shelved))
            });
            let n_moved = tidied.await?;
            let segments = Arc::clone(&self.files.segments);
            let n_grouped = match self.read(move |db| events::group(db, &segments)).await {
                Ok(Some(group)) => {
                    let put = move |writer: &mut Writer<'_>| events::put_group(writer, &group);
                    self.write_into(Writes::Settled, put).await
                }
                Ok(None) => Ok(0),
                Err(error) => Err(error),
            };
            // Neither waits for the other when something cannot be read.
            let n_bound = self.bind().await;
            Ok(n_moved + n_grouped? + n_bound?)
        })
    }

    fn purge(&self, horizon: u64) -> Answer<'_, u64> {
        self.write(move |writer| upkeep::purge(writer, horizon))
    }

    fn last_change(&self) -> Answer<'_, u64> {
        self.read_settled(|db| {
            let change = upkeep::counter(db, "change").map_err(refused_or_corrupt)?;
            Ok(change as u64)
        })
    }

    fn directory(&self) -> Answer<'_, (u64, Arc<Directory>)> {
        let known = Arc::clone(&self.directory);
        self.read_first(move |db| known.current(db))
    }

    fn put_directory(
        &self,
        directory: Directory,
        expected: Option<u64>,
    ) -> Answer<'_, Option<u64>> {
        self.write(move |writer| upkeep::put_directory(writer, &directory, expected))
    }

    fn create_account(&self, account: NewAccount) -> Answer<'_, Option<Account>> {
        self.write(move |writer| account::create(writer.db, account))
    }

    fn accounts(&self) -> Answer<'_, Vec<Account>> {
        self.read(account::all)
    }

    fn account_by_client_id(&self, client_id: String) -> Answer<'_, Option<Account>> {
        self.read(move |db| account::by_client_id(db, &client_id))
    }

    fn account(&self, id: AccountId) -> Answer<'_, Option<Account>> {
        self.read(move |db| account::by_id(db, id))
    }

    fn set_enabled(&self, name: String, enabled: Enabled) -> Answer<'_, Option<Account>> {
        self.write(move |writer| account::set_enabled(writer.db, &name, enabled))
    }

    fn renew_secret(&self, name: String, secret: [u8; 32]) -> Answer<'_, Option<Account>> {
        self.write(move |writer| account::renew_secret(writer.db, &name, secret))
    }

    fn issue_token(
        &self,
        account: Account,
        token: TokenHash,
        now: At,
        expires: At,
    ) -> Answer<'_, bool> {
        self.write(move |writer| account::issue_token(writer.db, &account, token, now, expires))
    }

    fn grant(&self, token: TokenHash, now: At) -> Answer<'_, Option<Grant>> {
        if let Some(grant) = self.grants.get(&token, now) {
            return Box::pin(std::future::ready(Ok(Some(grant))));
        }
        let (known, grants) = (Arc::clone(&self.directory), Arc::clone(&self.grants));
        self.read_first(move |db| {
            let stamp = grants.stamp();
            let Some((account, expires)) = account::grant(db, token, now)? else {
                return Ok(None);
            };
            let (version, directory) = known.current(db)?;
            let grant = Grant {
                account: Arc::new(account),
                version,
                directory,
            };
            grants.put(stamp, token, &grant, expires);
            Ok(Some(grant))
        })
    }

    fn link_secret(&self, fresh: [u8; 32]) -> Answer<'_, [u8; 32]> {
        self.write(move |writer| account::link_secret(writer.db, fresh))
    }

    fn keep_recording(&self, recording: KeptRecording) -> Answer<'_, KeepRecording> {
        self.write(move |writer| recording::keep(writer, recording))
    }

    fn recordings(&self, lsid: Lsid) -> Answer<'_, Option<Vec<KeptRecording>>> {
        self.read_settled(move |db| recording::of_session(db, &lsid))
    }

    fn recordings_after(
        &self,
        after: Option<RecordingKey>,
        n_max: usize,
    ) -> Answer<'_, Vec<KeptRecording>> {
        self.read(move |db| recording::after(db, after.as_ref(), n_max))
    }

    fn strangers(&self, objects: Vec<String>) -> Answer<'_, Vec<String>> {
        self.read(move |db| recording::strangers(db, objects))
    }

    fn examine(&self, after: i64, n_max: usize) -> Answer<'_, Vec<Examined>> {
        let segments = Arc::clone(&self.files.segments);
        self.read_settled(move |db| examine::examine(db, &segments, after, n_max))
    }

    fn integrity(&self) -> Answer<'_, Vec<String>> {
        let segments = Arc::clone(&self.files.segments);
        self.read_settled(move |db| examine::integrity(db, &segments))
    }

    fn set_presence(&self, rep: RepId, now: At, expires: At) -> Answer<'_, ()> {
        self.write(move |writer| presence::set(writer, &rep, now, expires))
    }

    fn presences(&self, now: At) -> Answer<'_, Vec<Presence>> {
        self.read(move |db| presence::current(db, now))
    }

    fn logins(&self, window: Window, now: At, n_max: usize) -> Answer<'_, Vec<Login>> {
        self.read(move |db| presence::logins(db, window, now, n_max))
    }

    fn running(&self, n_max: usize) -> Answer<'_, Vec<Running>> {
        self.read_settled(move |db| presence::running(db, n_max))
    }

    fn note(&self, source: String, name: String) -> Answer<'_, Option<Vec<u8>>> {
        self.read(move |db| source::note(db, &source, &name))
    }

    fn notes(
        &self,
        source: String,
        prefix: String,
        after: String,
        n_max: usize,
    ) -> Answer<'_, Vec<(String, Vec<u8>)>> {
        self.read(move |db| source::notes(db, &source, &prefix, &after, n_max))
    }

    fn put_note(&self, source: String, name: String, value: Option<Vec<u8>>) -> Answer<'_, ()> {
        self.write(move |writer| source::put_note(writer, &source, &name, value.as_deref()))
    }

    fn bury(&self, letter: DeadLetter) -> Answer<'_, ()> {
        self.write(move |writer| source::bury(writer, &letter))
    }

    fn dead_letters(
        &self,
        source: String,
        before: u64,
        n_max: usize,
    ) -> Answer<'_, Vec<(u64, DeadLetter)>> {
        self.read(move |db| source::dead_letters(db, &source, before, n_max))
    }

    fn log_access(&self, entry: AccessEntry) {
        self.accesses.add(entry);
    }

    fn accesses(&self, before: u64, n_max: usize) -> Answer<'_, Vec<(u64, AccessEntry)>> {
        self.read(move |db| accesses::read(db, before, n_max))
    }
}

#[cfg(test)]
mod tests;
