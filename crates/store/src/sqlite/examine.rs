//! Everything that is kept of sessions, compared part with part.

use std::collections::BTreeSet;

use debrief_domain::{Lsid, Summary};
use rusqlite::{Connection, params};

use super::error::{is_unreadable, refused_or_corrupt};
use super::events::{Neighbours, events_beside};
use super::pick::{Names, Pick, Standing, standing};
use super::row::row;
use super::segment::{self, Segments};
use super::{body, ids, recording, sheaf, shelf};
use crate::codec;
use crate::{Examined, Silence, StoreError};

/// Sessions after this place, with what is wrong with their rows and index entries.
pub(super) fn examine(
    db: &Connection,
    segments: &Segments,
    after: i64,
    n_max: usize,
) -> Result<Vec<Examined>, StoreError> {
    let transaction = db.unchecked_transaction().map_err(refused_or_corrupt)?;
    let rows: Vec<(i64, String, i64)> = db
        .prepare_cached(
            "SELECT place, lsid, state FROM session WHERE ?1 < place ORDER BY place LIMIT ?2",
        )
        .and_then(|mut statement| {
            let rows = statement.query_map(params![after, n_max as i64], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            rows.collect()
        })
        .map_err(refused_or_corrupt)?;
    let mut sessions = Vec::new();
    let mut neighbours = Neighbours::default();
    for (place, lsid, state) in rows {
        let session = (place, lsid, state);
        sessions.push(examine_one(db, segments, &mut neighbours, session)?);
    }
    transaction.commit().map_err(refused_or_corrupt)?;
    Ok(sessions)
}

fn examine_one(
    db: &Connection,
    segments: &Segments,
    neighbours: &mut Neighbours,
    (place, lsid, state): (i64, String, i64),
) -> Result<Examined, StoreError> {
    let mut faults = Vec::new();
    let body = match body::read(db, segments, place) {
        Ok(body) => body,
        Err(error @ StoreError::Corrupt { .. }) => {
            faults.push(format!("its sealed bytes cannot be read: {error}"));
            None
        }
        Err(error) => return Err(error),
    };
    let mut examined = Examined {
        place,
        lseq: 0,
        events: Vec::new(),
        recordings: recording::named(db, &lsid).map_err(refused_or_corrupt)?,
        lsid,
        silence: if state == 2 {
            Silence::Lapsed
        } else {
            Silence::Heard
        },
        body,
        faults: Vec::new(),
    };
    let Ok(lsid) = Lsid::parse(&examined.lsid) else {
        faults.push("its lsid is none".into());
        return Ok(Examined { faults, ..examined });
    };
    let row = match row(db, &lsid) {
        Ok(Some(row)) => row,
        Ok(None) => {
            faults.push("it is not found by its lsid".into());
            return Ok(Examined { faults, ..examined });
        }
        Err(error) if is_unreadable(&error) => {
            faults.push(format!("its row cannot be read: {error}"));
            return Ok(Examined { faults, ..examined });
        }
        Err(error) => return Err(refused_or_corrupt(error)),
    };
    examined.lseq = row.lseq as u64;
    let actual = picks(db, place, row.lseq).map_err(refused_or_corrupt)?;
    let mut names = Names::default();
    if row.is_imported {
        if examined.body.is_none() {
            faults.push("its document is missing".into());
        }
        let (owners, teams, site) = row.facts.imported();
        let standing = Standing {
            start: row.start,
            ended: row.ended,
            owners: owners.iter().map(String::as_str).collect(),
            teams: teams.iter().map(String::as_str).collect(),
            site: &site,
        };
        compare(standing.picks(db, &mut names), &actual, &mut faults);
    } else {
        let bytes = match events_beside(db, segments, neighbours, place) {
            Ok(bytes) => bytes,
            Err(error) => {
                faults.push(error.to_string());
                return Ok(Examined { faults, ..examined });
            }
        };
        match codec::events(&bytes, &lsid) {
            Ok(events) => examined.events = events,
            Err(error) => {
                faults.push(error.to_string());
                return Ok(Examined { faults, ..examined });
            }
        }
        let mut summary = Summary::default();
        examined
            .events
            .iter()
            .for_each(|event| summary.absorb(event));
        match row.facts.summary() {
            Ok(kept) if kept == summary => {}
            Ok(_) => faults.push("its summary is not that of its events".into()),
            Err(error) => faults.push(error.to_string()),
        }
        if examined.events.len() as u64 != row.n_events {
            let n_events = examined.events.len();
            faults.push(format!(
                "it has {n_events} events and should have {}",
                row.n_events
            ));
        }
        if summary.start().map(|at| at.secs()) != Some(row.start) {
            faults.push("its start is not that of its events".into());
        }
        if summary.ended.map(|at| at.secs()) != row.ended {
            faults.push("its end is not that of its events".into());
        }
        let site = summary.site_id();
        let standing = standing(&summary, &site, row.start, row.ended);
        compare(standing.picks(db, &mut names), &actual, &mut faults);
    }
    examined.faults = faults;
    Ok(examined)
}

/// The living index entries of a session. They are looked for one by one, for the index is not
/// ordered by session; entries it should not have are found by [`integrity`].
fn picks(db: &Connection, place: i64, lseq: i64) -> rusqlite::Result<Found<'_>> {
    let statement = db.prepare(
        "SELECT 1 FROM pick WHERE kind = ?1 AND owner = ?2 AND at = ?3 AND lseq = ?4 \
         AND place = ?5 AND died IS NULL",
    )?;
    Ok(Found {
        db,
        statement: statement.into(),
        place,
        lseq,
    })
}

struct Found<'a> {
    db: &'a Connection,
    statement: std::cell::RefCell<rusqlite::Statement<'a>>,
    place: i64,
    lseq: i64,
}

fn compare(
    expected: rusqlite::Result<BTreeSet<Pick>>,
    actual: &Found<'_>,
    faults: &mut Vec<String>,
) {
    let Ok(expected) = expected else {
        faults.push("a name in its index entries has no number".into());
        return;
    };
    for (kind, owner, at) in expected {
        let exists = actual.statement.borrow_mut().exists(params![
            kind,
            owner,
            at,
            actual.lseq,
            actual.place
        ]);
        let key = (at, actual.lseq, actual.place);
        let exists =
            exists.and_then(|exists| Ok(exists || sheaf::has(actual.db, (kind, owner), key)?));
        if !matches!(exists, Ok(true)) {
            faults.push(format!("its index entry of kind {kind} is missing"));
        }
    }
}

/// What SQLite finds wrong, files, runs and shelves that are not as they should be, and index entries
/// that belong to no session as it is.
pub(super) fn integrity(db: &Connection, segments: &Segments) -> Result<Vec<String>, StoreError> {
    let check = || -> rusqlite::Result<Vec<String>> {
        let mut statement = db.prepare("PRAGMA integrity_check")?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut faults: Vec<String> = lines.collect::<Result<_, _>>()?;
        faults.retain(|line| line != "ok");
        faults.extend(segment::faults(db, segments)?);
        faults.extend(ids::faults(db)?);
        let in_sheaves = sheaf::faults(db)?;
        if in_sheaves.is_empty() {
            // Shelves are compared with the index, which is in sheaves too.
            faults.extend(shelf::faults(db)?);
        }
        faults.extend(in_sheaves);
        let strays: i64 = db.query_row(
            "SELECT count(*) FROM pick p LEFT JOIN session s ON s.place = p.place \
             WHERE p.died IS NULL AND (s.place IS NULL OR s.lseq <> p.lseq \
             OR p.kind % 2 = 0 AND p.at <> s.start \
             OR p.kind % 2 = 1 AND (s.ended IS NULL OR p.at <> s.ended))",
            [],
            |row| row.get(0),
        )?;
        if 0 < strays {
            faults.push(format!(
                "{strays} index entries point to no session as it is"
            ));
        }
        Ok(faults)
    };
    check().map_err(refused_or_corrupt)
}
