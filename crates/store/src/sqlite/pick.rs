//! The index by which windows and filters find sessions: what its entries are made of, and how they
//! move.

use std::collections::{BTreeSet, HashMap};

use debrief_domain::{RepId, SiteId, Summary, TeamId};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::is_unreadable;
use super::sheaf::{Entry, List};
use super::{sheaf, shelf};

/// Index entries that wait for others.
const FRESH_MAX: usize = if cfg!(test) { 64 } else { 16 << 10 };

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

/// Entries that are to go into the index together: many at once are put there sooner than one by one.
#[derive(Default)]
pub(super) struct Fresh(Vec<(List, Entry)>);

impl Fresh {
    /// Puts them into the index.
    pub(super) fn put(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.0
            .sort_unstable_by_key(|(list, entry)| (*list, entry.key));
        let by_start = self.0.iter().filter(|(list, _)| list.0 == kind::ALL);
        shelf::empty_each(db, by_start.map(|(_, entry)| entry.key))?;
        sheaf::put(db, &self.0)?;
        self.0.clear();
        Ok(())
    }

    fn add(&mut self, db: &Connection, list: List, entry: Entry) -> rusqlite::Result<()> {
        self.0.push((list, entry));
        if FRESH_MAX <= self.0.len() {
            return self.put(db);
        }
        Ok(())
    }

    fn has(&self, place: i64) -> bool {
        self.0.iter().any(|(_, entry)| entry.key.2 == place)
    }
}

/// Brings a session's index entries from what they were to what they are. They are there when the fresh
/// ones have been put.
pub(super) fn move_picks(
    db: &Connection,
    fresh: &mut Fresh,
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
    let (lseq_before, lseq_after) = lseq;
    let stays =
        |pick: &Pick, other: &BTreeSet<Pick>| lseq_before == lseq_after && other.contains(pick);
    let mut ends = before.iter().filter(|pick| !stays(pick, after)).peekable();
    if ends.peek().is_some() && fresh.has(place) {
        // Only what is there can end.
        fresh.put(db)?;
    }
    for pick in ends {
        let mut retire =
            || retire.execute(params![change, pick.0, pick.1, pick.2, lseq_before, place]);
        if retire()? == 0 {
            match sheaf::let_go(db, (pick.0, pick.1), (pick.2, lseq_before, place)) {
                Ok(true) => drop(retire()?),
                Ok(false) => {}
                // Others must not wait for it: reports of this list are refused until it is mended.
                Err(error) if is_unreadable(&error) => {
                    tracing::error!(%error, "a sheaf of the index cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        if pick.0 == kind::ALL {
            shelf::empty(db, (pick.2, lseq_before, place))?;
        }
    }
    for pick in after.iter().filter(|pick| !stays(pick, before)) {
        let (key, born) = ((pick.2, lseq_after, place), change);
        fresh.add(db, (pick.0, pick.1), Entry { key, born })?;
    }
    Ok(())
}

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
