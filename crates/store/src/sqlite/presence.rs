//! Who is logged in, who was, and who is at work in running sessions.

use std::collections::BTreeMap;

use debrief_domain::{At, Login, RepId, Window};
use rusqlite::{Connection, params};

use super::error::{corrupt, refused_or_corrupt};
use super::{Verdict, Writer};
use crate::codec::Facts;
use crate::{Presence, Running, StoreError};

/// Notes that a representative is logged in; one who was not begins anew. A login that is over,
/// because it expired or because `expires` is no later than `now`, goes to the past ones.
pub(super) fn set(
    writer: &mut Writer<'_>,
    rep: &RepId,
    now: At,
    expires: At,
) -> Result<(Verdict, ()), StoreError> {
    let db = writer.db;
    let set = || -> rusqlite::Result<()> {
        if expires <= now {
            db.prepare_cached("UPDATE presence SET expires = min(expires, ?2) WHERE rep = ?1")?
                .execute(params![rep.as_str(), now.millis()])?;
        }
        // One login of two that began in the same millisecond: the longer one. The clock may have
        // been set back since a login began: then it took no time.
        db.prepare_cached(
            "INSERT INTO presence_past (since, rep, until) \
             SELECT since, rep, max(since, expires) FROM presence WHERE expires <= ?1 \
             ON CONFLICT DO UPDATE SET until = max(until, excluded.until)",
        )?
        .execute([now.millis()])?;
        db.prepare_cached("DELETE FROM presence WHERE expires <= ?1")?
            .execute([now.millis()])?;
        if now < expires {
            db.prepare_cached(
                "INSERT INTO presence VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET expires = ?3",
            )?
            .execute(params![rep.as_str(), now.millis(), expires.millis()])?;
        }
        Ok(())
    };
    set().map_err(refused_or_corrupt)?;
    Ok((Verdict::Keep, ()))
}

fn damaged() -> StoreError {
    StoreError::corrupt("who is logged in")
}

/// Who is logged in.
pub(super) fn current(db: &Connection, now: At) -> Result<Vec<Presence>, StoreError> {
    let read = || -> rusqlite::Result<Vec<(String, i64, i64)>> {
        let mut statement = db.prepare_cached(
            "SELECT rep, since, expires FROM presence WHERE ?1 < expires ORDER BY rep",
        )?;
        let rows = statement.query_map([now.millis()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        rows.collect()
    };
    let rows = read().map_err(refused_or_corrupt)?;
    rows.into_iter()
        .map(|(rep, since, expires)| {
            Ok(Presence {
                rep: RepId::parse(&rep).map_err(|_| damaged())?,
                since: At::from_millis(since).map_err(|_| damaged())?,
                expires: At::from_millis(expires).map_err(|_| damaged())?,
            })
        })
        .collect()
}

/// Logins that began or ended in the window. Each branch stops at its own limit, so that the
/// cost is that of the answer.
pub(super) fn logins(
    db: &Connection,
    window: Window,
    now: At,
    n_max: usize,
) -> Result<Vec<Login>, StoreError> {
    let until = window.until.map_or(i64::MAX, At::millis);
    let read = || -> rusqlite::Result<Vec<(String, i64, Option<i64>)>> {
        let mut statement = db.prepare_cached(
            "SELECT * FROM (SELECT rep, since, until FROM presence_past \
                WHERE ?1 <= since AND since < ?2 ORDER BY since, rep LIMIT ?4) \
             UNION \
             SELECT * FROM (SELECT rep, since, until FROM presence_past \
                WHERE ?1 <= until AND until < ?2 ORDER BY until, since, rep LIMIT ?4) \
             UNION \
             SELECT rep, since, CASE WHEN expires <= ?3 THEN max(since, expires) END \
                FROM presence WHERE ?1 <= since AND since < ?2 \
                OR expires <= ?3 AND ?1 <= expires AND expires < ?2 \
             ORDER BY 2, 1 LIMIT ?4",
        )?;
        let rows = statement.query_map(
            params![window.from.millis(), until, now.millis(), n_max as i64],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        rows.collect()
    };
    let rows = read().map_err(refused_or_corrupt)?;
    rows.into_iter()
        .map(|(rep, since, until)| {
            let until = until.map(At::from_millis).transpose();
            Ok(Login {
                rep: RepId::parse(&rep).map_err(|_| damaged())?,
                since: At::from_millis(since).map_err(|_| damaged())?,
                until: until.map_err(|_| damaged())?,
            })
        })
        .collect()
}

/// How many running sessions each representative owns or has owned, of those heard of last.
pub(super) fn running(db: &Connection, n_max: usize) -> Result<Vec<Running>, StoreError> {
    let mut counts: BTreeMap<RepId, u64> = BTreeMap::new();
    // Imported sessions are left out: a document tells what was, not what goes on.
    let mut statement = db
        .prepare_cached(
            "SELECT facts FROM session WHERE state = 0 AND origin = 0 ORDER BY heard DESC LIMIT ?1",
        )
        .map_err(refused_or_corrupt)?;
    let mut rows = statement
        .query([n_max as i64])
        .map_err(refused_or_corrupt)?;
    while let Some(row) = rows.next().map_err(refused_or_corrupt)? {
        let facts = row.get_ref(0).and_then(|value| Ok(value.as_blob()?));
        let facts = Facts::read(facts.map_err(refused_or_corrupt)?).map_err(corrupt)?;
        let summary = facts.summary().map_err(corrupt)?;
        for rep in summary.owner_ids() {
            *counts.entry(rep.clone()).or_default() += 1;
        }
    }
    let running = |(rep, n_sessions)| Running { rep, n_sessions };
    Ok(counts.into_iter().map(running).collect())
}
