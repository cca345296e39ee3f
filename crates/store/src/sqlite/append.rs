//! Events in.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use debrief_domain::limits::{SESSION_BYTES_MAX, SESSION_EVENTS_MAX};
use debrief_domain::{At, Event, Lsid, RepId, SiteId, Summary, TeamId};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::error::{refused_or_corrupt, unreadable};
use super::ids::Name;
use super::inbox::Part;
use super::{Verdict, Writer};
use crate::codec::{Facts, add_event};
use crate::{AccountId, Append, Appended, Conflict, ConflictKind, StoreError};

/// What the index is read by; a window by start has the even number, by end the odd one.
pub(super) mod kind {
    pub(crate) const ALL: i64 = 0;
    pub(crate) const OWNER: i64 = 2;
    pub(crate) const ANY_TEAM: i64 = 4;
    pub(crate) const TEAM: i64 = 6;
    pub(crate) const SITE: i64 = 8;
    /// Added to a kind for windows by end.
    pub(crate) const BY_END: i64 = 1;
}

/// Kinds of names that have numbers.
pub(super) mod name {
    pub(crate) const REP: i64 = 0;
    pub(crate) const TEAM: i64 = 1;
    pub(crate) const SITE: i64 = 2;
    /// How many kinds there are.
    pub(crate) const KINDS: usize = 3;
}

/// Numbers of names, remembered until something is undone.
#[derive(Default)]
pub(super) struct Names {
    by_kind: [HashMap<String, i64>; name::KINDS],
}

impl Names {
    pub(super) fn clear(&mut self) {
        self.by_kind.iter_mut().for_each(HashMap::clear);
    }

    fn number(&mut self, db: &Connection, kind: i64, text: &str) -> rusqlite::Result<i64> {
        let known = &mut self.by_kind[kind as usize];
        if let Some(number) = known.get(text) {
            return Ok(*number);
        }
        let number = match known_name(db, kind, text)? {
            Some(number) => number,
            None => {
                db.prepare_cached("INSERT INTO name (kind, text) VALUES (?1, ?2)")?
                    .execute(params![kind, text])?;
                db.last_insert_rowid()
            }
        };
        known.insert(text.to_owned(), number);
        Ok(number)
    }
}

/// The number of a name that the archive has seen.
pub(super) fn known_name(db: &Connection, kind: i64, text: &str) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT id FROM name WHERE kind = ?1 AND text = ?2")?
        .query_row(params![kind, text], |row| row.get(0))
        .optional()
}

/// What a session's index entries are made of: equal standings, equal entries.
#[derive(PartialEq)]
pub(super) struct Standing<'a> {
    pub(super) start: i64,
    pub(super) ended: Option<i64>,
    pub(super) owners: Vec<&'a str>,
    pub(super) teams: Vec<&'a str>,
    pub(super) site: &'a str,
}

/// An index entry without the session it points to: kind, owner, time.
pub(super) type Pick = (i64, i64, i64);

impl Standing<'_> {
    /// The entries under which the session is found; names that have no number yet get one.
    pub(super) fn picks(
        &self,
        db: &Connection,
        names: &mut Names,
    ) -> rusqlite::Result<BTreeSet<Pick>> {
        let mut keys = vec![(kind::ALL, 0)];
        for owner in &self.owners {
            keys.push((kind::OWNER, names.number(db, name::REP, owner)?));
        }
        if !self.teams.is_empty() {
            keys.push((kind::ANY_TEAM, 0));
        }
        for team in &self.teams {
            keys.push((kind::TEAM, names.number(db, name::TEAM, team)?));
        }
        keys.push((kind::SITE, names.number(db, name::SITE, self.site)?));
        let by_start = keys.iter().map(|(kind, owner)| (*kind, *owner, self.start));
        let by_end = self.ended.into_iter().flat_map(|ended| {
            keys.iter()
                .map(move |(kind, owner)| (kind + kind::BY_END, *owner, ended))
        });
        Ok(by_start.chain(by_end).collect())
    }
}

/// Brings a session's index entries from what they were to what they are.
pub(super) fn move_picks(
    db: &Connection,
    before: &BTreeSet<Pick>,
    after: &BTreeSet<Pick>,
    lseq: (i64, i64),
    place: i64,
    change: i64,
) -> rusqlite::Result<()> {
    let mut retire = db.prepare_cached(
        "UPDATE pick SET died = ?1 WHERE kind = ?2 AND owner = ?3 AND at = ?4 AND lseq = ?5 \
         AND place = ?6 AND died IS NULL",
    )?;
    let mut insert = db.prepare_cached(
        "INSERT INTO pick (kind, owner, at, lseq, place, born) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let (lseq_before, lseq_after) = lseq;
    let stays =
        |pick: &Pick, other: &BTreeSet<Pick>| lseq_before == lseq_after && other.contains(pick);
    for pick in before.iter().filter(|pick| !stays(pick, after)) {
        retire.execute(params![change, pick.0, pick.1, pick.2, lseq_before, place])?;
    }
    for pick in after.iter().filter(|pick| !stays(pick, before)) {
        insert.execute(params![pick.0, pick.1, pick.2, lseq_after, place, change])?;
    }
    Ok(())
}

/// A place for a session that began in this second: the first one free.
pub(super) fn new_place(db: &Connection, start: i64) -> rusqlite::Result<i64> {
    let mut first = start << PLACE_BITS;
    loop {
        let end = first + (1 << PLACE_BITS);
        let last: Option<i64> = db
            .prepare_cached("SELECT max(place) FROM session WHERE ?1 <= place AND place < ?2")?
            .query_row([first, end], |row| row.get(0))?;
        match last {
            None => return Ok(first),
            Some(last) if last + 1 < end => return Ok(last + 1),
            Some(_) => first = end,
        }
    }
}

/// Places of one second; a million sessions that begin in the same second take the next one's.
const PLACE_BITS: u32 = 20;

/// A session's row.
pub(super) struct Row {
    pub(super) place: i64,
    pub(super) lseq: i64,
    pub(super) is_imported: bool,
    pub(super) start: i64,
    pub(super) ended: Option<i64>,
    pub(super) n_events: u64,
    pub(super) heard: i64,
    pub(super) is_over: bool,
    pub(super) last_event: Option<i64>,
    pub(super) facts: Facts,
}

/// The row of this session, if the archive has it.
pub(super) fn row(db: &Connection, lsid: &Lsid) -> rusqlite::Result<Option<Row>> {
    db.prepare_cached(
        "SELECT place, lseq, origin, start, ended, n_events, facts, heard, state, last_event \
         FROM session WHERE lsid = ?1",
    )?
    .query_row([lsid.as_str()], |row| {
        let n_events: i64 = row.get(5)?;
        Ok(Row {
            place: row.get(0)?,
            lseq: row.get(1)?,
            is_imported: row.get::<_, i64>(2)? == 1,
            start: row.get(3)?,
            ended: row.get(4)?,
            n_events: n_events as u64,
            heard: row.get(7)?,
            is_over: row.get::<_, i64>(8)? != 0,
            last_event: row.get(9)?,
            facts: Facts::read(row.get_ref(6)?.as_blob()?).map_err(unreadable)?,
        })
    })
    .optional()
}

/// A batch as the writer takes it: everything that needs no archive is done beforehand, for there
/// is only one writer.
pub(super) struct Prepared {
    /// In order of first mention.
    sessions: Vec<Addition>,
}

/// What a batch has of one session.
struct Addition {
    lsid: Lsid,
    /// In order of arrival.
    events: Vec<Encoded>,
    /// The events as they are kept, one after the other.
    bytes: Vec<u8>,
    /// What all of them tell. Those that are repeated told it before, so it does no harm that they
    /// are in it.
    summary: Summary,
}

/// An event of a batch.
struct Encoded {
    /// Its place in the batch.
    event_idx: usize,
    id_hash: [u8; 16],
    digest: u32,
    /// Its place in the bytes.
    bytes: Range<usize>,
}

/// Encodes a batch.
pub(super) fn prepare(events: Vec<Event>) -> Prepared {
    let mut order: HashMap<Lsid, usize> = HashMap::new();
    let mut sessions: Vec<Addition> = Vec::new();
    for (event_idx, event) in events.into_iter().enumerate() {
        let idx = match order.get(&event.lsid) {
            Some(idx) => *idx,
            None => {
                order.insert(event.lsid.clone(), sessions.len());
                sessions.push(Addition {
                    lsid: event.lsid.clone(),
                    events: Vec::new(),
                    bytes: Vec::new(),
                    summary: Summary::default(),
                });
                sessions.len() - 1
            }
        };
        sessions[idx].add(event_idx, &event);
    }
    Prepared { sessions }
}

impl Addition {
    /// The bytes of some of its events, in order.
    fn bytes_of(&self, some: &[&Encoded]) -> Cow<'_, [u8]> {
        if some.len() == self.events.len() {
            return Cow::Borrowed(&self.bytes);
        }
        let parts = some.iter().map(|event| &self.bytes[event.bytes.clone()]);
        Cow::Owned(parts.collect::<Vec<&[u8]>>().concat())
    }

    fn add(&mut self, event_idx: usize, event: &Event) {
        let begin = self.bytes.len();
        add_event(&mut self.bytes, event);
        let bytes = begin..self.bytes.len();
        let hash: [u8; 32] = Sha256::digest(event.id.as_str()).into();
        let content = Sha256::new()
            .chain_update(event.lsid.as_str())
            .chain_update([0])
            .chain_update(&self.bytes[bytes.clone()]);
        let content: [u8; 32] = content.finalize().into();
        let [a, b, c, d, ..] = content;
        let mut id_hash = [0; 16];
        id_hash.copy_from_slice(&hash[..16]);
        self.summary.absorb(event);
        self.events.push(Encoded {
            event_idx,
            id_hash,
            digest: u32::from_le_bytes([a, b, c, d]),
            bytes,
        });
    }
}

/// Adds a batch, all or nothing.
pub(super) fn append(
    writer: &mut Writer<'_>,
    account: AccountId,
    batch: &Prepared,
    now: At,
) -> Result<(Verdict, Append), StoreError> {
    writer.n_beside_tokens += 1;
    let mut appended = Appended {
        fresh: 0,
        repeated: 0,
        change: 0,
    };
    let mut conflicts = Vec::new();
    let mut all = Vec::with_capacity(batch.sessions.len());
    for addition in &batch.sessions {
        let fresh = fresh(writer, account, addition, &mut appended, &mut conflicts)?;
        if !fresh.is_empty() {
            all.push((addition, addition.bytes_of(&fresh), fresh.len() as u32));
        }
    }
    if !conflicts.is_empty() {
        conflicts.sort_by_key(|conflict| conflict.event_idx);
        return Ok((Verdict::Discard, Append::Conflicts(conflicts)));
    }
    if !all.is_empty() {
        let parts: Vec<Part<'_>> = all
            .iter()
            .map(|(addition, bytes, n_events)| Part {
                lsid: &addition.lsid,
                n_events: *n_events,
                bytes,
                summary: &addition.summary,
            })
            .collect();
        let change = writer.next_change();
        let inbox = &mut writer.known.inbox;
        inbox
            .put(writer.db, change, now, &parts)
            .map_err(refused_or_corrupt)?;
    }
    appended.change = writer.change as u64;
    Ok((Verdict::Keep, Append::Done(appended)))
}

/// The events of a session that the archive does not have; what speaks against any of them is noted.
fn fresh<'a>(
    writer: &mut Writer<'_>,
    account: AccountId,
    addition: &'a Addition,
    appended: &mut Appended,
    conflicts: &mut Vec<Conflict>,
) -> Result<Vec<&'a Encoded>, StoreError> {
    let size = writer.known.inbox.size(writer.db, &addition.lsid)?;
    if size.is_imported {
        let kind = ConflictKind::SessionImported;
        conflicts.extend(addition.events.iter().map(|event| Conflict {
            event_idx: event.event_idx,
            kind,
        }));
        return Ok(Vec::new());
    }
    let (mut n_events, mut n_bytes) = (size.n_events, size.n_bytes);
    let mut fresh: Vec<&Encoded> = Vec::with_capacity(addition.events.len());
    for event in &addition.events {
        let kind = match know(writer, account, event).map_err(refused_or_corrupt)? {
            Known::Fresh
                if SESSION_EVENTS_MAX <= n_events
                    || SESSION_BYTES_MAX < n_bytes + event.bytes.len() as u64 =>
            {
                ConflictKind::SessionFull
            }
            Known::Fresh => {
                n_events += 1;
                n_bytes += event.bytes.len() as u64;
                fresh.push(event);
                continue;
            }
            Known::Repeated => {
                appended.repeated += 1;
                continue;
            }
            Known::Taken => ConflictKind::IdTaken,
        };
        conflicts.push(Conflict {
            event_idx: event.event_idx,
            kind,
        });
    }
    appended.fresh += fresh.len() as u64;
    Ok(fresh)
}

enum Known {
    Fresh,
    Repeated,
    Taken,
}

/// Notes the event's id, or says what the archive knows of it.
fn know(writer: &mut Writer<'_>, account: AccountId, event: &Encoded) -> rusqlite::Result<Known> {
    let name = Name {
        account: account.0,
        hash: event.id_hash,
    };
    let known = writer.known.ids.know(writer.db, &name, event.digest)?;
    Ok(match known {
        None => Known::Fresh,
        Some(known) if known == event.digest => Known::Repeated,
        Some(_) => Known::Taken,
    })
}

/// How exactly it is known when a session was heard of, in milliseconds: it may have been so much
/// later.
pub(super) const HEARD_MILLIS: i64 = 1_000;

/// What a session made of events is found by.
pub(super) fn standing<'a>(
    summary: &'a Summary,
    site: &'a SiteId,
    start: i64,
    ended: Option<i64>,
) -> Standing<'a> {
    Standing {
        start,
        ended,
        owners: summary.owner_ids().into_iter().map(RepId::as_str).collect(),
        teams: summary.teams.iter().map(TeamId::as_str).collect(),
        site: site.as_str(),
    }
}
