//! Settling beside the writer: a thread puts what waited into its sessions, in a transaction of the
//! database, while the writer goes on with the journal.
//!
//! The transaction is the writer's own, handed over as it stands, so that nobody comes between. Until it
//! has ended the writer has a connection that reads: sizes of sessions that are being settled are in memory,
//! and so are their ids; runs of ids that are merged meanwhile keep their blocks until the next commit.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use super::accesses::Accesses;
use super::error::GroupError;
use super::ids::Outgoing;
use super::journal::Era;
use super::segment::Segments;
use super::settle::{Settling, Waiting, settle_all};
use super::writer::{AbortOnPanic, Bystanders, Tokens, WriteCall, in_commit, run, work};
use super::{grants, pick, upkeep};
use crate::queue;

/// What is to be settled, and what the writer needs no more until it is.
pub(super) struct Job {
    /// The commit that this one is, and the era that it begins.
    pub(super) change: i64,
    pub(super) era: Era,
    pub(super) waiting: Waiting,
    pub(super) ids: Outgoing,
    pub(super) names: pick::Names,
    /// The last number given to a session.
    pub(super) lseq: i64,
    /// The archive's state before the commit.
    pub(super) before: Option<grants::Stamp>,
}

/// What came of a job: the connection, what was lent, and whether it was done.
type Done = (Connection, Job, Result<(), GroupError>);

/// The thread, as the writer sees it.
pub(super) struct Aside {
    /// None at the end.
    jobs: Option<SyncSender<(Connection, Job)>>,
    thread: Option<JoinHandle<()>>,
    done: Receiver<Done>,
    /// None only while it is being replaced.
    state: Option<State>,
}

/// What the thread does.
enum State {
    /// Nothing. The connection is what the writer has while the thread has its own.
    Idle(Connection),
    /// It settles up to this commit.
    AtWork(i64),
    /// It has settled, and nobody has asked yet.
    Done(Box<Done>),
}

impl Aside {
    /// Starts the thread, which nudges whoever waits for calls when it is done with something.
    pub(super) fn start(
        reader: Connection,
        calls: queue::Receiver<WriteCall>,
        bystanders: Bystanders,
        segments: Arc<Segments>,
    ) -> io::Result<Aside> {
        let (jobs, waiting) = sync_channel::<(Connection, Job)>(1);
        let (sender, done) = sync_channel(1);
        let settle = move || {
            let _ends = AbortOnPanic;
            for (db, mut job) in waiting {
                let result = job.run(&db, &segments, &bystanders.accesses);
                match &result {
                    Ok(()) => bystanders.committed(job.before, Tokens::AsBefore),
                    Err(_) => bystanders.failed(&db),
                }
                if sender.send((db, job, result)).is_err() {
                    return;
                }
                calls.nudge();
            }
        };
        let thread = thread::Builder::new().name("store-settler".into());
        Ok(Aside {
            thread: Some(thread.spawn(settle)?),
            jobs: Some(jobs),
            done,
            state: Some(State::Idle(reader)),
        })
    }

    /// Whether it has nothing to do, and nothing to tell.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, Some(State::Idle(_)))
    }

    /// Gives the thread something to do, which has nothing. From here on `db` is a connection that
    /// reads.
    pub(super) fn begin(&mut self, db: &mut Connection, job: Job) {
        let Some(State::Idle(reader)) = self.state.take() else {
            unreachable!("one thing is settled at a time");
        };
        self.state = Some(State::AtWork(job.change));
        let jobs = self.jobs.as_ref().expect("it has not ended");
        let sent = jobs.send((mem::replace(db, reader), job));
        assert!(sent.is_ok(), "the thread lives as long as the process");
    }

    /// Up to which commit it still settles; none when it does not.
    pub(super) fn at_work(&mut self) -> Option<i64> {
        let Some(State::AtWork(change)) = self.state else {
            return None;
        };
        let Ok(done) = self.done.try_recv() else {
            return Some(change);
        };
        self.state = Some(State::Done(Box::new(done)));
        None
    }

    /// Waits until it has settled, and gives what came of it; none when it had nothing to do. `db` is
    /// the writer's connection again.
    pub(super) fn end(&mut self, db: &mut Connection) -> Option<(Job, Result<(), GroupError>)> {
        let (own, job, result) = match self.state.take() {
            Some(State::AtWork(_)) => {
                let done = self.done.recv();
                done.expect("the thread lives as long as the process")
            }
            Some(State::Done(done)) => *done,
            idle => {
                self.state = idle;
                return None;
            }
        };
        self.state = Some(State::Idle(mem::replace(db, own)));
        Some((job, result))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Were the thread dead, the process would be.
            let _ = thread.join();
        }
    }
}

impl Job {
    fn run(
        &mut self,
        db: &Connection,
        segments: &Segments,
        accesses: &Accesses,
    ) -> Result<(), GroupError> {
        let mut settling = Settling {
            db,
            // It adds nothing to them, and begins with what they have.
            slots: segments,
            names: &mut self.names,
            lseq: &mut self.lseq,
            fresh: pick::Fresh::default(),
        };
        settle_all(&mut settling, &self.waiting).map_err(work)?;
        self.waiting = Waiting::default();
        accesses.write(db).map_err(work)?;
        self.ids.write(db, self.change).map_err(work)?;
        for (name, value) in [
            ("change", self.change),
            ("lseq", self.lseq),
            ("era", self.era.0),
        ] {
            upkeep::set_counter(db, name, value).map_err(work)?;
        }
        run(db, "COMMIT").map_err(in_commit)
    }
}
