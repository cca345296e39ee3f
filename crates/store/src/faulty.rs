//! The backend that lies: it does the work and says that it does not know, or does nothing and
//! says so or not. What it allows is exactly what the contract allows, so whoever works with it
//! as the contract says loses nothing and doubles nothing.

mod objects;

pub use objects::{Switch, Trouble};

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use debrief_domain::{At, Directory, Login, Lsid, RepId, Window};

use crate::{
    AccessEntry, Account, AccountId, Answer, Append, Backend, Batch, DeadLetter, Document, Enabled,
    Examined, Grant, Import, KeepRecording, KeptRecording, NewAccount, Paged, Presence, Reading,
    RecordingKey, Running, Scan, SealedBody, Store, StoreError, TokenHash, Unsealed,
};

/// What becomes of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is done, and the answer is the true one.
    Truth,
    /// It is done, and the answer is [`StoreError::Unknown`].
    DoneUnknown,
    /// It is not done, and the answer is [`StoreError::Unknown`].
    UndoneUnknown,
    /// It is not done, and the answer is [`StoreError::Refused`].
    Refused,
}

/// Every fate, as the numbers of a seeded plan have them.
const FATES: [Fate; 4] = [
    Fate::Truth,
    Fate::DoneUnknown,
    Fate::UndoneUnknown,
    Fate::Refused,
];

/// The fates of writes, one after the other.
#[derive(Debug, Clone)]
pub enum Plan {
    /// These, and then the truth.
    Scripted(VecDeque<Fate>),
    /// Any of the four, each as likely as the others; the number is the seed.
    Seeded(u64),
}

impl Plan {
    /// These fates, and then the truth.
    pub fn scripted(fates: impl IntoIterator<Item = Fate>) -> Plan {
        Plan::Scripted(fates.into_iter().collect())
    }

    fn next(&mut self) -> Fate {
        match self {
            Plan::Scripted(fates) => fates.pop_front().unwrap_or(Fate::Truth),
            Plan::Seeded(state) => {
                // SplitMix64, the generator of Steele, Lea and Flood (2014).
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut mixed = *state;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                FATES[(mixed >> 62) as usize]
            }
        }
    }
}

impl Store {
    /// The same archive behind a backend that lies about writes as this plan says. Reads, and
    /// entries of the access log, go through as they are.
    pub fn faulty(inner: &Store, plan: Plan) -> Store {
        Store {
            backend: Arc::new(Faulty {
                inner: Arc::clone(&inner.backend),
                plan: Mutex::new(plan),
            }),
        }
    }
}

struct Faulty {
    inner: Arc<dyn Backend>,
    plan: Mutex<Plan>,
}

impl Faulty {
    fn write<'a, T: Send + 'a>(
        &'a self,
        call: impl FnOnce(&'a dyn Backend) -> Answer<'a, T>,
    ) -> Answer<'a, T> {
        let fate = self
            .plan
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next();
        let unknown = || Err(StoreError::Unknown { source: None });
        match fate {
            Fate::Truth => call(self.inner.as_ref()),
            Fate::DoneUnknown => {
                let done = call(self.inner.as_ref());
                Box::pin(async move { done.await.and_then(|_| unknown()) })
            }
            Fate::UndoneUnknown => Box::pin(async move { unknown() }),
            Fate::Refused => Box::pin(async { Err(StoreError::refused("as planned")) }),
        }
    }
}

impl Backend for Faulty {
    fn append(&self, account: AccountId, batch: Batch, now: At) -> Answer<'_, Append> {
        self.write(move |inner| inner.append(account, batch, now))
    }

    fn import(&self, documents: Vec<Document>, now: At) -> Answer<'_, Import> {
        self.write(move |inner| inner.import(documents, now))
    }

    fn pages(&self, reading: Reading, scan: Box<dyn Scan>) -> Answer<'_, Paged> {
        self.inner.pages(reading, scan)
    }

    fn unsealed(&self, n_max: usize) -> Answer<'_, Vec<Unsealed>> {
        self.inner.unsealed(n_max)
    }

    fn seal(&self, bodies: Vec<SealedBody>) -> Answer<'_, u64> {
        self.write(move |inner| inner.seal(bodies))
    }

    fn lapse(&self, silent_since: At, n_max: usize) -> Answer<'_, u64> {
        self.write(move |inner| inner.lapse(silent_since, n_max))
    }

    fn tidy(&self, now: At, n_max: usize) -> Answer<'_, u64> {
        self.write(move |inner| inner.tidy(now, n_max))
    }

    fn purge(&self, horizon: u64) -> Answer<'_, u64> {
        self.write(move |inner| inner.purge(horizon))
    }

    fn last_change(&self) -> Answer<'_, u64> {
        self.inner.last_change()
    }

    fn directory(&self) -> Answer<'_, (u64, Arc<Directory>)> {
        self.inner.directory()
    }

    fn put_directory(
        &self,
        directory: Directory,
        expected: Option<u64>,
    ) -> Answer<'_, Option<u64>> {
        self.write(move |inner| inner.put_directory(directory, expected))
    }

    fn create_account(&self, account: NewAccount) -> Answer<'_, Option<Account>> {
        self.write(move |inner| inner.create_account(account))
    }

    fn accounts(&self) -> Answer<'_, Vec<Account>> {
        self.inner.accounts()
    }

    fn account_by_client_id(&self, client_id: String) -> Answer<'_, Option<Account>> {
        self.inner.account_by_client_id(client_id)
    }

    fn account(&self, id: AccountId) -> Answer<'_, Option<Account>> {
        self.inner.account(id)
    }

    fn set_enabled(&self, name: String, enabled: Enabled) -> Answer<'_, Option<Account>> {
        self.write(move |inner| inner.set_enabled(name, enabled))
    }

    fn renew_secret(&self, name: String, secret: [u8; 32]) -> Answer<'_, Option<Account>> {
        self.write(move |inner| inner.renew_secret(name, secret))
    }

    fn issue_token(
        &self,
        account: Account,
        token: TokenHash,
        now: At,
        expires: At,
    ) -> Answer<'_, bool> {
        self.write(move |inner| inner.issue_token(account, token, now, expires))
    }

    fn grant(&self, token: TokenHash, now: At) -> Answer<'_, Option<Grant>> {
        self.inner.grant(token, now)
    }

    fn link_secret(&self, fresh: [u8; 32]) -> Answer<'_, [u8; 32]> {
        self.write(move |inner| inner.link_secret(fresh))
    }

    fn keep_recording(&self, recording: KeptRecording) -> Answer<'_, KeepRecording> {
        self.write(move |inner| inner.keep_recording(recording))
    }

    fn recordings(&self, lsid: Lsid) -> Answer<'_, Option<Vec<KeptRecording>>> {
        self.inner.recordings(lsid)
    }

    fn recordings_after(
        &self,
        after: Option<RecordingKey>,
        n_max: usize,
    ) -> Answer<'_, Vec<KeptRecording>> {
        self.inner.recordings_after(after, n_max)
    }

    fn strangers(&self, objects: Vec<String>) -> Answer<'_, Vec<String>> {
        self.inner.strangers(objects)
    }

    fn examine(&self, after: i64, n_max: usize) -> Answer<'_, Vec<Examined>> {
        self.inner.examine(after, n_max)
    }

    fn integrity(&self) -> Answer<'_, Vec<String>> {
        self.inner.integrity()
    }

    fn set_presence(&self, rep: RepId, now: At, expires: At) -> Answer<'_, ()> {
        self.write(move |inner| inner.set_presence(rep, now, expires))
    }

    fn presences(&self, now: At) -> Answer<'_, Vec<Presence>> {
        self.inner.presences(now)
    }

    fn logins(&self, window: Window, now: At, n_max: usize) -> Answer<'_, Vec<Login>> {
        self.inner.logins(window, now, n_max)
    }

    fn running(&self, n_max: usize) -> Answer<'_, Vec<Running>> {
        self.inner.running(n_max)
    }

    fn note(&self, source: String, name: String) -> Answer<'_, Option<Vec<u8>>> {
        self.inner.note(source, name)
    }

    fn notes(
        &self,
        source: String,
        prefix: String,
        after: String,
        n_max: usize,
    ) -> Answer<'_, Vec<(String, Vec<u8>)>> {
        self.inner.notes(source, prefix, after, n_max)
    }

    fn put_note(&self, source: String, name: String, value: Option<Vec<u8>>) -> Answer<'_, ()> {
        self.write(move |inner| inner.put_note(source, name, value))
    }

    fn bury(&self, letter: DeadLetter) -> Answer<'_, ()> {
        self.write(move |inner| inner.bury(letter))
    }

    fn dead_letters(
        &self,
        source: String,
        before: u64,
        n_max: usize,
    ) -> Answer<'_, Vec<(u64, DeadLetter)>> {
        self.inner.dead_letters(source, before, n_max)
    }

    fn log_access(&self, entry: AccessEntry) {
        self.inner.log_access(entry);
    }

    fn accesses(&self, before: u64, n_max: usize) -> Answer<'_, Vec<(u64, AccessEntry)>> {
        self.inner.accesses(before, n_max)
    }
}

#[cfg(test)]
mod tests;
