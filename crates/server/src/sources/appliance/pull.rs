//! One round of copying: what is new over there comes here.
//!
//! Another Debrief is asked what changed since the last round; everything before the first such
//! question is listed by its beginning. An appliance has no such question: its sessions are listed
//! by their end, those that began lately also by their beginning, and one that was still running
//! is asked for again until it has ended. Lists name sessions only; whole sessions are asked for
//! by their ids, a few at once. A window's lower bound is inclusive, and reports lag behind: each
//! round begins a little before the end of the last one and leaves out what it had.
//!
//! A cursor moves when all that it passes is committed. So a round may be cut off anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;
use std::path::Path;

use anyhow::Context as _;
use debrief_domain::{At, Lsid};
use debrief_report::{Element, Params, ReadError, SessionReader, Told, parse_iso};
use debrief_store::Import;
use tokio::runtime::Handle;

use super::folder::Folder;
use super::memory::{AGAIN_MAX, Again, Had, Lacks, Memory, Other, agains, put_again};
use super::{Recordings, Settings};
use crate::app::App;
use crate::client::{Answered, Client};
use crate::intake::{Intake, take_in};
use crate::sources::{DEAD_LETTER_BYTES_MAX, bury};
use crate::stop::Stop;

/// Sessions asked for at once: an answer stays small, and little is repeated after a kill.
const GROUP_SESSIONS_MAX: usize = 50;
/// Sessions of one list; of a window with more a shorter one is asked for.
const LISTED_MAX: usize = 1_000;
/// Sessions of one list that cannot be shorter: those of a single second.
const LISTED_IN_SECOND_MAX: usize = 100_000;
/// The first window. It doubles while lists are short, so that empty years cost little.
const WINDOW_SECS_FIRST: i64 = 86_400;
/// The longest window, and nothing that is ever reached.
const WINDOW_SECS_MAX: i64 = 20 * 366 * 86_400;
/// How far a round looks back behind its cursor: an appliance's reports lag behind its events.
const OVERLAP_SECS: i64 = 600;
/// How long a session may run: it is looked for so far back at first, and asked for so long.
const RUNNING_SECS_MAX: i64 = 30 * 86_400;
/// How often a session is asked for that the other side does not give any more.
const GONE_TRIES_MAX: u32 = 10;
/// How often a recording is asked for that is not to be had.
const RECORDING_TRIES_MAX: u32 = 10;
/// A cursor after every change: the answer tells the newest cursor and no session.
const AFTER_ALL: i64 = i64::MAX;

/// By which of its times a session is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Start,
    End,
}

/// A session of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) lsid: String,
    /// Whether the list says that it has a recording.
    pub(super) recorded: bool,
}

/// What a copy came to.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Counts of sessions.
    pub(crate) import: Import,
    /// Recordings that came.
    pub(crate) n_recordings: u64,
    /// Recordings that could not be had.
    pub(crate) n_missing: u64,
    /// Sessions kept aside.
    pub(crate) n_dead: u64,
    /// What went wrong without stopping anything, for people.
    pub(crate) told: Vec<String>,
    /// What an appliance says that has nothing.
    pub(crate) said: Option<String>,
}

/// Things told; more are counted only.
const TOLD_MAX: usize = 100;

/// A copy at work.
pub(crate) struct Pull {
    pub(super) app: App,
    pub(super) runtime: Handle,
    pub(super) source: String,
    pub(super) client: Client,
    pub(super) folder: Folder,
    recordings: Recordings,
    since: i64,
    memory: Memory,
    agains: BTreeMap<String, Again>,
    /// The list that is worked on; sessions are remembered by its time.
    by: Option<By>,
    /// The latest start and the latest end that were seen in this window.
    latest: (i64, i64),
    /// Sessions of the last answer.
    answered: BTreeSet<String>,
    pub(crate) summary: Summary,
}

/// What a source is called among all sources.
pub(crate) fn called(name: &str) -> String {
    format!("appliance/{name}")
}

/// Tells that a round failed.
pub(crate) fn failed(app: &App, name: &str, error: &anyhow::Error) {
    let source = called(name);
    let error = format!("{error:#}");
    app.sources().failed(&source, app.now(), error);
    app.sources()
        .update(&source, |standing| standing.state = "failing".into());
}

impl Pull {
    pub(crate) fn open(
        app: &App,
        data: &Path,
        settings: &Settings,
        runtime: &Handle,
        stop: &Stop,
    ) -> anyhow::Result<Pull> {
        let source = called(&settings.name);
        let folder = Folder::open(data, &settings.name)?;
        let secret = &settings.client_secret_file;
        let client = Client::new(&settings.url, &settings.client_id, secret)?.until(stop);
        let memory = runtime.block_on(Memory::load(app.store(), &source))?;
        Ok(Pull {
            app: app.clone(),
            runtime: runtime.clone(),
            source,
            client,
            folder,
            recordings: settings.recordings,
            since: settings.since,
            memory,
            agains: BTreeMap::new(),
            by: None,
            latest: (0, 0),
            answered: BTreeSet::new(),
            summary: Summary::default(),
        })
    }

    /// Brings everything that is new.
    pub(crate) fn round(&mut self) -> anyhow::Result<()> {
        self.state("asking");
        self.agains = self
            .runtime
            .block_on(agains(self.app.store(), &self.source))?;
        self.meet()?;
        self.state("copying");
        self.ask_again()?;
        match self.memory.other {
            Some(Other::Debrief { next, is_copied }) => {
                if !is_copied {
                    self.windows(By::Start, self.since)?;
                    let is_copied = true;
                    self.memory.other = Some(Other::Debrief { next, is_copied });
                    self.memory.had.clear();
                    self.save()?;
                }
                self.changes(next)?;
            }
            Some(Other::Appliance) | None => {
                let lately = self.app.now().secs() - RUNNING_SECS_MAX;
                self.windows(By::End, self.since)?;
                self.windows(By::Start, lately.max(self.since))?;
            }
        }
        self.state("waiting");
        self.app
            .sources()
            .update(&self.source, |standing| standing.error = None);
        Ok(())
    }

    /// How many sessions are to be asked for again.
    pub(crate) fn n_again(&self) -> usize {
        self.agains.len()
    }

    fn state(&self, state: &str) {
        self.app
            .sources()
            .update(&self.source, |standing| standing.state = state.into());
    }

    /// Finds out who is there. Somebody else than the last time is copied from the beginning, as
    /// is a Debrief whose archive is older than it was.
    fn meet(&mut self) -> anyhow::Result<()> {
        let after_all = AFTER_ALL.to_string();
        let asked = [SESSIONS, ("changed_since", after_all.as_str())];
        let next = match self.ask(&asked) {
            Ok(next) => next.and_then(|next| next.parse().ok()),
            // Some servers refuse a question that they do not know with a status.
            Err(error) if error.downcast_ref().is_some_and(is_unknown_question) => None,
            Err(error) => return Err(error),
        };
        let is_same = match (self.memory.other, next) {
            (Some(Other::Debrief { next: had, .. }), Some(next)) => had <= next,
            (Some(Other::Appliance), None) => true,
            (Some(Other::Debrief { .. }), None) | (Some(Other::Appliance), Some(_)) => false,
            (None, _) => false,
        };
        if is_same {
            return Ok(());
        }
        let other = next.map_or(Other::Appliance, |next| Other::Debrief {
            next,
            is_copied: false,
        });
        self.memory = Memory {
            other: Some(other),
            ..Memory::default()
        };
        self.save()
    }

    /// Asks for a report; its text is the folder's answer. Gives the cursor that goes with it.
    fn ask(&mut self, params: &[(&str, &str)]) -> anyhow::Result<Option<String>> {
        let pairs = params.iter();
        let pairs = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut answer = self.folder.empty()?;
        self.client.report(&Params(pairs.collect()), &mut answer)
    }

    // ---- Another Debrief ----

    fn changes(&mut self, since: u64) -> anyhow::Result<()> {
        let next = self.ask(&[SESSIONS, ("changed_since", &since.to_string())])?;
        let next = next.and_then(|next| next.parse().ok());
        let next: u64 = next.context("the answer to `changed_since` has no cursor any more")?;
        if let Some(fault) = self.take(&[])? {
            match fault.told {
                Told::AsRoot(sentence) => self.nothing(&sentence)?,
                Told::InList(sentence) => anyhow::bail!("the server answers: {sentence}"),
                // One session spoils the answer: which one is found by asking for each.
                Told::Nothing => {
                    for group in self.named()?.chunks(GROUP_SESSIONS_MAX) {
                        self.group(group)?;
                    }
                }
            }
        }
        let is_copied = true;
        self.memory.other = Some(Other::Debrief { next, is_copied });
        self.save()
    }

    /// The sessions of an answer that cannot be read as a whole.
    fn named(&self) -> anyhow::Result<Vec<Listed>> {
        const TAG: &[u8] = b"session lsid=\"";
        let mut named = Vec::new();
        for piece in self.folder.answer()?.split(b'<') {
            let piece = piece?;
            let lsid = piece.strip_prefix(TAG).and_then(|rest| {
                let end = rest.iter().position(|byte| *byte == b'"')?;
                std::str::from_utf8(&rest[..end]).ok()
            });
            let lsid = lsid.filter(|lsid| Lsid::parse(lsid).is_ok());
            named.extend(lsid.map(|lsid| Listed {
                lsid: lsid.into(),
                recorded: false,
            }));
        }
        Ok(named)
    }

    // ---- Lists ----

    /// Brings the sessions that began, or ended, from the cursor on up to now.
    fn windows(&mut self, by: By, first: i64) -> anyhow::Result<()> {
        let cursor = self.cursor(by).unwrap_or(first).max(first);
        let mut from = (cursor - OVERLAP_SECS).max(first).max(0);
        let mut width = WINDOW_SECS_FIRST;
        self.by = Some(by);
        self.latest = (from, from);
        loop {
            let now = self.app.now().secs();
            let is_open = now <= from.saturating_add(width);
            let duration = if is_open { 0 } else { width };
            let Some(listed) = self.list(by, from, duration, width)? else {
                width = (width.min(now - from) / 2).max(1);
                continue;
            };
            let is_short = listed.len() < LISTED_MAX / 4;
            let wanted = self.wanted(by, listed)?;
            for group in wanted.chunks(GROUP_SESSIONS_MAX) {
                self.answered.clear();
                self.group(group)?;
                for session in group {
                    self.missed(&session.lsid)?;
                }
                self.save()?;
            }
            if is_open {
                let (start, end) = self.latest;
                let latest = if by == By::Start { start } else { end };
                // A session of the future must not hide those until then.
                self.move_cursor(by, latest.min(now).max(cursor));
                self.by = None;
                return self.save();
            }
            from += width;
            self.move_cursor(by, from.max(cursor));
            self.save()?;
            if is_short {
                width = (2 * width).min(WINDOW_SECS_MAX);
            }
        }
    }

    fn cursor(&self, by: By) -> Option<i64> {
        match by {
            By::Start => self.memory.started,
            By::End => self.memory.ended,
        }
    }

    /// Moves a cursor on, and forgets the sessions that no list behind it can name again.
    fn move_cursor(&mut self, by: By, at: i64) {
        match by {
            By::Start => self.memory.started = Some(at),
            By::End => self.memory.ended = Some(at),
        }
        let cursors = [self.memory.started, self.memory.ended];
        let first = cursors.into_iter().flatten().min().unwrap_or(at) - OVERLAP_SECS;
        self.memory.had.retain(|_, had| first <= had.at);
    }

    /// The sessions of a window; none when they are too many and the window can be shorter.
    fn list(
        &mut self,
        by: By,
        from: i64,
        duration: i64,
        width: i64,
    ) -> anyhow::Result<Option<Vec<Listed>>> {
        let name = match by {
            By::Start => "start_time",
            By::End => "end_time",
        };
        let (from, duration) = (from.to_string(), duration.to_string());
        let report = ("generate_report", "SupportSessionListing");
        self.ask(&[report, (name, &from), ("duration", &duration)])?;
        let namespace = self.app.config().namespace.clone();
        let mut reader = SessionReader::of_listing(self.folder.answer()?, &namespace);
        let mut listed = Vec::new();
        loop {
            match reader.next_element() {
                Ok(Some(summary)) => listed.extend(self.listed(&summary)?),
                Ok(None) => return Ok(Some(listed)),
                Err(ReadError {
                    told: Told::AsRoot(sentence),
                    ..
                }) => {
                    self.nothing(&sentence)?;
                    return Ok(Some(Vec::new()));
                }
                Err(error) => return Err(error).context("the list of sessions is broken"),
            }
            if LISTED_IN_SECOND_MAX < listed.len() {
                anyhow::bail!("more than {LISTED_IN_SECOND_MAX} sessions in one second");
            }
            if LISTED_MAX < listed.len() && 1 < width {
                return Ok(None);
            }
        }
    }

    fn listed(&mut self, summary: &Element) -> anyhow::Result<Option<Listed>> {
        let lsid = summary.attribute("lsid").unwrap_or("");
        if let Err(error) = Lsid::parse(lsid) {
            let key: String = lsid.chars().take(100).collect();
            if self.memory.had.contains_key(&key) {
                return Ok(None);
            }
            let mut text = Vec::new();
            summary.write("", None, &mut text);
            self.bury(&format!("the attribute `lsid` {error}"), &text);
            let at = self.app.now().secs();
            let recorded = false;
            self.memory.had.insert(key, Had { at, recorded });
            return Ok(None);
        }
        Ok(Some(Listed {
            lsid: lsid.into(),
            recorded: summary.attribute("has_recording") == Some("1"),
        }))
    }

    /// Those of a list that are not here yet, each once.
    fn wanted(&self, by: By, listed: Vec<Listed>) -> anyhow::Result<Vec<Listed>> {
        let is_appliance = self.memory.other == Some(Other::Appliance);
        let mut seen = BTreeSet::new();
        let mut wanted = Vec::new();
        for session in listed {
            let had = self.memory.had.get(&session.lsid);
            let is_had = had.is_some_and(|had| had.recorded || !session.recorded);
            if is_had || !seen.insert(session.lsid.clone()) {
                continue;
            }
            // Listed by its beginning: it is noted as running, or here with its end.
            if by == By::Start && is_appliance {
                let is_here = self.agains.contains_key(&session.lsid) || self.knows(&session)?;
                if is_here {
                    continue;
                }
            }
            wanted.push(session);
        }
        Ok(wanted)
    }

    /// Whether the archive has a session.
    fn knows(&self, session: &Listed) -> anyhow::Result<bool> {
        let Ok(lsid) = Lsid::parse(&session.lsid) else {
            return Ok(false);
        };
        let found = self.runtime.block_on(self.app.store().recordings(&lsid))?;
        Ok(found.is_some())
    }

    // ---- Whole sessions ----

    /// Asks again for the sessions that lack something.
    fn ask_again(&mut self) -> anyhow::Result<()> {
        let lacking = self.agains.keys().map(|lsid| Listed {
            lsid: lsid.clone(),
            recorded: false,
        });
        let lacking: Vec<Listed> = lacking.collect();
        for group in lacking.chunks(GROUP_SESSIONS_MAX) {
            self.answered.clear();
            self.group(group)?;
            for session in group {
                if !self.answered.contains(&session.lsid) {
                    self.gone(&session.lsid)?;
                }
            }
        }
        self.save()
    }

    /// Notes a session that was listed, and not given when it was asked for: the cursor passes it,
    /// so nothing else would bring it.
    fn missed(&mut self, lsid: &str) -> anyhow::Result<()> {
        if self.answered.contains(lsid) {
            return Ok(());
        }
        self.wait_for_end(lsid)
    }

    /// Notes a session that is to be asked for until it has its end.
    fn wait_for_end(&mut self, lsid: &str) -> anyhow::Result<()> {
        if self.agains.contains_key(lsid) {
            return Ok(());
        }
        if AGAIN_MAX <= self.agains.len() {
            let why = format!("session `{lsid}`: more than {AGAIN_MAX} sessions are waited for");
            self.bury(&why, lsid.as_bytes());
            return Ok(());
        }
        let again = Again {
            lacks: Lacks::End,
            since: self.app.now().secs(),
            n_tries: 0,
        };
        self.again(lsid, Some(again))
    }

    /// Notes that the other side did not give a session, and gives it up in the end; it comes back
    /// when it is listed.
    fn gone(&mut self, lsid: &str) -> anyhow::Result<()> {
        let Some(again) = self.agains.get(lsid).copied() else {
            return Ok(());
        };
        let n_tries = again.n_tries + 1;
        if n_tries == GONE_TRIES_MAX {
            let why = format!("session `{lsid}`: the other side does not give it any more");
            self.bury(&why, lsid.as_bytes());
        }
        let again = Again { n_tries, ..again };
        self.again(lsid, (n_tries < GONE_TRIES_MAX).then_some(again))
    }

    fn again(&mut self, lsid: &str, again: Option<Again>) -> anyhow::Result<()> {
        if self.agains.get(lsid).copied() == again {
            return Ok(());
        }
        let store = self.app.store();
        self.runtime
            .block_on(put_again(store, &self.source, lsid, again))?;
        match again {
            Some(again) => self.agains.insert(lsid.into(), again),
            None => self.agains.remove(lsid),
        };
        Ok(())
    }

    /// Brings some sessions. One that cannot be taken is found by halving, and kept aside whole.
    fn group(&mut self, group: &[Listed]) -> anyhow::Result<()> {
        let mut groups = vec![group];
        let mut is_second_try = false;
        while let Some(group) = groups.pop() {
            let lsids: Vec<&str> = group.iter().map(|session| &*session.lsid).collect();
            self.ask(&[SESSIONS, ("lsids", &lsids.join(","))])?;
            let Some(fault) = self.take(group)? else {
                is_second_try = false;
                continue;
            };
            match (&fault.told, group) {
                (Told::AsRoot(sentence), _) => self.nothing(sentence)?,
                (Told::InList(sentence), _) => anyhow::bail!("the server answers: {sentence}"),
                (Told::Nothing, []) => {}
                // It may have broken on its way: it is asked for once more.
                (Told::Nothing, [_]) if !is_second_try => {
                    is_second_try = true;
                    groups.push(group);
                    continue;
                }
                (Told::Nothing, [session]) => {
                    let message = self.folder.head(DEAD_LETTER_BYTES_MAX)?;
                    let lsid = &session.lsid;
                    self.bury(&format!("session `{lsid}`: {fault}"), &message);
                    self.answered.insert(lsid.clone());
                    self.again(lsid, None)?;
                    let at = self.app.now().secs();
                    let recorded = session.recorded;
                    self.memory.had.insert(lsid.clone(), Had { at, recorded });
                }
                (Told::Nothing, _) => {
                    let (one, other) = group.split_at(group.len() / 2);
                    groups.extend([other, one]);
                }
            }
            is_second_try = false;
        }
        Ok(())
    }

    /// Takes the folder's answer in, with its recordings. What was asked for says which sessions
    /// were listed with a recording. A fault leaves the sessions before it.
    fn take(&mut self, asked: &[Listed]) -> anyhow::Result<Option<ReadError>> {
        let is_appliance = self.memory.other == Some(Other::Appliance);
        // Before it is here: a session without an end is never forgotten.
        if is_appliance {
            self.note_running()?;
        }
        let namespace = self.app.config().namespace.clone();
        let (store, now) = (self.app.store(), self.app.now());
        let answer = self.folder.answer()?;
        let intake: Intake = take_in(store, &namespace, answer, now, &self.runtime)?;
        let Import {
            fresh,
            replaced,
            repeated,
            older,
            live,
        } = intake.import;
        let is_news = 0 < fresh + replaced;
        let n_sessions = fresh + replaced + repeated + older + live;
        self.summary.import.add(intake.import);
        if is_news {
            self.app.changed();
        }
        let mut reader = SessionReader::new(self.folder.answer()?, &namespace);
        let mut n_events = 0;
        // Those that were taken, and none behind a fault.
        for _ in 0..n_sessions {
            let Some(session) = reader.next_element()? else {
                break;
            };
            n_events += self.follow(&session, asked)?;
        }
        if is_news {
            self.app
                .sources()
                .update(&self.source, |standing| standing.n_events += n_events);
        }
        Ok(intake.fault)
    }

    fn note_running(&mut self) -> anyhow::Result<()> {
        let namespace = self.app.config().namespace.clone();
        let mut reader = SessionReader::new(self.folder.answer()?, &namespace);
        // A broken answer is told when it is taken.
        while let Ok(Some(session)) = reader.next_element() {
            let lsid = session.attribute("lsid").unwrap_or("");
            if Lsid::parse(lsid).is_ok() && time(&session, "end_time").is_none() {
                self.wait_for_end(lsid)?;
            }
        }
        Ok(())
    }

    /// Does what is left to do for a session that is in the archive. Gives how many events it has.
    fn follow(&mut self, session: &Element, asked: &[Listed]) -> anyhow::Result<u64> {
        let Ok(lsid) = Lsid::parse(session.attribute("lsid").unwrap_or("")) else {
            return Ok(0);
        };
        let start = time(session, "start_time").unwrap_or(0);
        let end = time(session, "end_time");
        self.answered.insert(lsid.to_string());
        self.latest.0 = self.latest.0.max(start);
        self.latest.1 = self.latest.1.max(end.unwrap_or(start));
        self.app.sources().update(&self.source, |standing| {
            let heard = At::from_secs(end.unwrap_or(start)).ok();
            standing.heard = standing.heard.max(heard);
        });
        let mut asked = asked.iter();
        let recorded = asked.any(|asked| asked.lsid == lsid.as_str() && asked.recorded);
        let n_missing = match self.recordings {
            Recordings::Copied => {
                self.bring_recordings(&lsid, session, recorded && end.is_some())?
            }
            Recordings::LeftOut => 0,
        };
        let is_appliance = self.memory.other == Some(Other::Appliance);
        let known = self.agains.get(lsid.as_str()).copied();
        let now = self.app.now().secs();
        let again = if is_appliance && end.is_none() {
            // One that never ends was closed abnormally.
            known.filter(|again| now - again.since <= RUNNING_SECS_MAX)
        } else if 0 < n_missing {
            let known = known.filter(|again| again.lacks == Lacks::Recording);
            let again = Again {
                lacks: Lacks::Recording,
                since: known.map_or(now, |known| known.since),
                n_tries: known.map_or(0, |known| known.n_tries + 1),
            };
            Some(again).filter(|again| again.n_tries < RECORDING_TRIES_MAX)
        } else {
            None
        };
        self.again(lsid.as_str(), again)?;
        let is_listed = self.by.is_some() && !is_appliance;
        let at = match end {
            Some(end) if is_appliance => Some(end),
            _ if is_listed => Some(start),
            _ => None,
        };
        if let Some(at) = at {
            let had = Had { at, recorded };
            self.memory.had.insert(lsid.to_string(), had);
        }
        let details = session.child("session_details");
        Ok(details.map_or(0, |details| details.elements_named("event").count() as u64))
    }

    // ---- What goes wrong ----

    /// An answer that tells of an error instead of sessions. Most say in the appliance's language
    /// that there are none; those that name what was asked wrongly, or who may not, are errors.
    fn nothing(&mut self, sentence: &str) -> anyhow::Result<()> {
        let lower = sentence.to_lowercase();
        if REAL_ERRORS.iter().any(|word| lower.contains(word)) {
            anyhow::bail!("the server answers: {sentence}");
        }
        self.summary.said = Some(sentence.chars().take(300).collect());
        Ok(())
    }

    fn bury(&mut self, why: &str, message: &[u8]) {
        self.summary.n_dead += 1;
        self.tell(format!("kept aside: {why}"));
        let buried = bury(&self.app, &self.source, why, message);
        self.runtime.block_on(buried);
    }

    /// Says something that stops nothing.
    pub(super) fn tell(&mut self, what: String) {
        tracing::warn!("{}: {what}", self.source);
        if self.summary.told.len() < TOLD_MAX {
            self.summary.told.push(what);
        }
    }

    fn save(&self) -> anyhow::Result<()> {
        let save = self.memory.save(self.app.store(), &self.source);
        Ok(self.runtime.block_on(save)?)
    }
}

/// What whole sessions are asked for with.
const SESSIONS: (&str, &str) = ("generate_report", "SupportSession");

/// Words of an error that is no lack of sessions: parameters, and what is said of an account.
const REAL_ERRORS: &[&str] = &[
    "generate_report",
    "start_time",
    "end_time",
    "duration",
    "lsid",
    "login failed",
    "invalid",
    "permission",
    "not permitted",
    "unknown",
];

/// Whether a server refused a parameter that it does not know.
fn is_unknown_question(answered: &Answered) -> bool {
    matches!(answered.status, 400 | 404 | 405 | 422)
}

/// The second that an element tells: its attribute `timestamp`, or else its text.
fn time(session: &Element, name: &str) -> Option<i64> {
    let element = session.child(name)?;
    match element.attribute("timestamp").map(str::trim) {
        Some(secs) if !secs.is_empty() => secs.parse().ok(),
        _ => parse_iso(element.text().trim()).map(At::secs),
    }
}
