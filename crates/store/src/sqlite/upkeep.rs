//! Sealing, lapsing, forgetting; the directory and counters.

use std::sync::Arc;

use debrief_domain::{At, Directory, Lsid};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::{corrupt, refused_or_corrupt};
use super::events::{Pack, events_of, put_pack};
use super::row::HEARD_MILLIS;
use super::segment::Segments;
use super::{Verdict, Writer, body, recording};
use crate::codec;
use crate::{Material, SealedBody, StoreError, Unsealed};

/// The value of a counter.
pub(super) fn counter(db: &Connection, name: &str) -> rusqlite::Result<i64> {
    db.prepare_cached("SELECT value FROM counter WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
}

/// Sets a counter.
pub(super) fn set_counter(db: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE counter SET value = ?2 WHERE name = ?1")?
        .execute(params![name, value])?;
    Ok(())
}

/// Sessions that cannot be read and are passed over, each time, to come to those that can.
const UNREADABLE_MAX: usize = if cfg!(test) { 2 } else { 256 };

/// Closed sessions without sealed bytes, with their events.
pub(super) fn unsealed(
    db: &Connection,
    segments: &Segments,
    n_max: usize,
) -> Result<Vec<Unsealed>, StoreError> {
    let transaction = db.unchecked_transaction().map_err(refused_or_corrupt)?;
    let rows: Vec<(i64, String, i64, i64, i64)> = db
        .prepare_cached(
            "SELECT s.place, s.lsid, s.lseq, s.change, s.origin FROM unsealed u JOIN session s \
             ON s.place = u.place ORDER BY u.place LIMIT ?1",
        )
        .and_then(|mut statement| {
            let n_rows = n_max.saturating_add(UNREADABLE_MAX) as i64;
            let rows = statement.query_map([n_rows], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            })?;
            rows.collect()
        })
        .map_err(refused_or_corrupt)?;
    let mut sessions = Vec::new();
    for (place, lsid, lseq, change, origin) in rows {
        if sessions.len() == n_max {
            break;
        }
        let lsid = Lsid::parse(&lsid).map_err(|_| StoreError::corrupt("the id of a session"))?;
        let material = if origin == 1 {
            let document = body::read(db, segments, place)?;
            Material::Document(
                document.ok_or_else(|| {
                    StoreError::corrupt(format!("the document of session `{lsid}`"))
                })?,
            )
        } else {
            let events = events_of(db, segments, place)
                .and_then(|bytes| codec::events(&bytes, &lsid).map_err(corrupt));
            match events {
                Ok(events) => Material::Events(events),
                Err(error @ (StoreError::Refused { .. } | StoreError::Expired)) => {
                    return Err(error);
                }
                Err(error) => {
                    // The others must not wait for it; `debrief verify` names it too.
                    tracing::error!(%error, session.id = %lsid, "session {lsid} cannot be sealed");
                    continue;
                }
            }
        };
        sessions.push(Unsealed {
            place,
            lseq: lseq as u64,
            change: change as u64,
            material,
            recordings: recording::named(db, lsid.as_str()).map_err(refused_or_corrupt)?,
        });
    }
    transaction.commit().map_err(refused_or_corrupt)?;
    Ok(sessions)
}

/// Keeps sealed bytes of sessions that are still as they were, and packs their events.
pub(super) fn seal(
    writer: &mut Writer<'_>,
    bodies: &[(SealedBody, Option<Pack>)],
) -> Result<(Verdict, u64), StoreError> {
    let mut n_sealed = 0;
    for (sealed, pack) in bodies {
        let is_sealed = seal_one(writer, sealed, pack.as_ref()).map_err(refused_or_corrupt)?;
        n_sealed += u64::from(is_sealed);
    }
    Ok((Verdict::Keep, n_sealed))
}

fn seal_one(
    writer: &mut Writer<'_>,
    sealed: &SealedBody,
    pack: Option<&Pack>,
) -> rusqlite::Result<bool> {
    let db = writer.db;
    let standing: Option<(i64, i64)> = db
        .prepare_cached("SELECT change, origin FROM session WHERE place = ?1 AND state <> 0 OR place = ?1 AND origin = 1")?
        .query_row([sealed.place], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((change, origin)) = standing else {
        return Ok(false);
    };
    if change != sealed.change as i64 {
        return Ok(false);
    }
    if origin == 1 && !writer.takes_in {
        // It was none when it was looked at, and comes again.
        return Ok(false);
    }
    let was_unsealed = db
        .prepare_cached("DELETE FROM unsealed WHERE place = ?1")?
        .execute([sealed.place])?
        == 1;
    // Until now reports gave the document as it came. Whoever follows the changes has seen that,
    // and is to come again for what was added to it.
    let is_amended = origin == 1 && was_unsealed;
    let change = if is_amended {
        writer.next_change()
    } else {
        change
    };
    if is_amended {
        db.prepare_cached("UPDATE session SET change = ?2 WHERE place = ?1")?
            .execute([sealed.place, change])?;
    }
    body::put(
        writer,
        sealed.place,
        (change, sealed.names as i64),
        &sealed.body,
    )?;
    if let Some(pack) = pack
        && origin == 0
        && was_unsealed
    {
        put_pack(db, sealed.place, pack)?;
    }
    Ok(true)
}

/// Whether any of these sessions is a document: when it is sealed it takes the number of a commit.
pub(super) fn any_document(db: &Connection, places: &[i64]) -> rusqlite::Result<bool> {
    let mut select = db.prepare_cached("SELECT origin = 1 FROM session WHERE place = ?1")?;
    for place in places {
        let is_document: Option<bool> = select.query_row([place], |row| row.get(0)).optional()?;
        if is_document == Some(true) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a running session may have been silent that long: what waits may have more of it.
pub(super) fn may_lapse(
    writer: &mut Writer<'_>,
    silent_since: At,
) -> Result<(Verdict, bool), StoreError> {
    let may_lapse = match writer.known.inbox.came_first() {
        Some(came) if came < silent_since => true,
        _ => writer
            .db
            .prepare_cached("SELECT 1 FROM session WHERE state = 0 AND origin = 0 AND heard < ?1")
            .and_then(|mut select| select.exists([heard_before(silent_since)]))
            .map_err(refused_or_corrupt)?,
    };
    Ok((Verdict::Keep, may_lapse))
}

/// The row says roughly when a session was heard of: rather a second too late than a moment too early.
fn heard_before(silent_since: At) -> i64 {
    silent_since.millis() - (HEARD_MILLIS - 1)
}

/// Marks running sessions that were silent too long as closed abnormally.
pub(super) fn lapse(
    writer: &mut Writer<'_>,
    silent_since: At,
    n_max: usize,
) -> Result<(Verdict, u64), StoreError> {
    let change = writer.change + 1;
    let db = writer.db;
    let heard_before = heard_before(silent_since);
    let lapse = || -> rusqlite::Result<u64> {
        let places: Vec<i64> = db
            .prepare_cached(
                "SELECT place FROM session WHERE state = 0 AND origin = 0 AND heard < ?1 \
                 ORDER BY heard LIMIT ?2",
            )?
            .query_map(params![heard_before, n_max as i64], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for place in &places {
            db.prepare_cached("UPDATE session SET state = 2, change = ?2 WHERE place = ?1")?
                .execute([*place, change])?;
            recording::unseal(db, *place)?;
        }
        Ok(places.len() as u64)
    };
    let n_lapsed = lapse().map_err(refused_or_corrupt)?;
    if 0 < n_lapsed {
        writer.next_change();
    }
    Ok((Verdict::Keep, n_lapsed))
}

/// Deletes index entries that died up to the horizon, and refuses older readings from now on.
pub(super) fn purge(writer: &mut Writer<'_>, horizon: u64) -> Result<(Verdict, u64), StoreError> {
    let horizon = i64::try_from(horizon)
        .unwrap_or(i64::MAX)
        .min(writer.change);
    let purge = || -> rusqlite::Result<usize> {
        if counter(writer.db, "horizon")? < horizon {
            set_counter(writer.db, "horizon", horizon)?;
        }
        writer
            .db
            .prepare_cached("DELETE FROM pick WHERE died <= ?1")?
            .execute([horizon])
    };
    let n_deleted = purge().map_err(refused_or_corrupt)?;
    Ok((Verdict::Keep, n_deleted as u64))
}

/// The directory; the known one when it is still current.
pub(super) fn directory(
    db: &Connection,
    known: Option<(u64, Arc<Directory>)>,
) -> Result<(u64, Arc<Directory>), StoreError> {
    let version: Option<i64> = db
        .prepare_cached("SELECT version FROM directory")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)).optional())
        .map_err(refused_or_corrupt)?;
    let version = version.unwrap_or(0) as u64;
    if let Some(known) = known.filter(|(known, _)| *known == version) {
        return Ok(known);
    }
    if version == 0 {
        return Ok((0, Arc::new(Directory::default())));
    }
    let document: (i64, Vec<u8>) = db
        .query_row("SELECT version, document FROM directory", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .map_err(refused_or_corrupt)?;
    let directory = codec::directory(&document.1).map_err(corrupt)?;
    Ok((document.0 as u64, Arc::new(directory)))
}

/// Replaces the directory, if it has the expected version.
pub(super) fn put_directory(
    writer: &mut Writer<'_>,
    directory: &Directory,
    expected: Option<u64>,
) -> Result<(Verdict, Option<u64>), StoreError> {
    let current: Option<i64> = writer
        .db
        .query_row("SELECT version FROM directory", [], |row| row.get(0))
        .optional()
        .map_err(refused_or_corrupt)?;
    let current = current.unwrap_or(0) as u64;
    if expected.is_some_and(|expected| expected != current) {
        return Ok((Verdict::Discard, None));
    }
    let document = codec::directory_bytes(directory);
    // The commit's number is the version: it grows for ever, whatever else is replaced.
    let version = writer.next_change();
    let put = || -> rusqlite::Result<()> {
        writer.db.execute("DELETE FROM directory", [])?;
        writer.db.execute(
            "INSERT INTO directory VALUES (?1, ?2)",
            params![version, document],
        )?;
        Ok(())
    };
    put().map_err(refused_or_corrupt)?;
    Ok((Verdict::Keep, Some(version as u64)))
}
