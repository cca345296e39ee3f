//! What live sources remember, and the messages they could not understand.

use debrief_domain::At;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::refused_or_corrupt;
use super::{Verdict, Writer};
use crate::{DEAD_LETTERS_MAX, DeadLetter, StoreError};

/// What a source noted under this name.
pub(super) fn note(
    db: &Connection,
    source: &str,
    name: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    db.prepare_cached("SELECT value FROM source_note WHERE source = ?1 AND name = ?2")
        .and_then(|mut statement| {
            let found = statement.query_row([source, name], |row| row.get(0));
            found.optional()
        })
        .map_err(refused_or_corrupt)
}

/// Notes of a source whose names begin so, in order of names behind `after`.
pub(super) fn notes(
    db: &Connection,
    source: &str,
    prefix: &str,
    after: &str,
    n_max: usize,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let read = || -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
        let mut statement = db.prepare_cached(
            "SELECT name, value FROM source_note WHERE source = ?1 AND ?2 <= name AND ?3 < name \
             AND substr(name, 1, length(?2)) = ?2 ORDER BY name LIMIT ?4",
        )?;
        let rows = statement.query_map(params![source, prefix, after, n_max as i64], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        rows.collect()
    };
    read().map_err(refused_or_corrupt)
}

/// Notes something, in place of what was there; none forgets it.
pub(super) fn put_note(
    writer: &mut Writer<'_>,
    source: &str,
    name: &str,
    value: Option<&[u8]>,
) -> Result<(Verdict, ()), StoreError> {
    let put = || -> rusqlite::Result<()> {
        match value {
            Some(value) => writer
                .db
                .prepare_cached(
                    "INSERT INTO source_note VALUES (?1, ?2, ?3) \
                     ON CONFLICT DO UPDATE SET value = ?3",
                )?
                .execute(params![source, name, value])?,
            None => writer
                .db
                .prepare_cached("DELETE FROM source_note WHERE source = ?1 AND name = ?2")?
                .execute([source, name])?,
        };
        Ok(())
    };
    put().map_err(refused_or_corrupt)?;
    Ok((Verdict::Keep, ()))
}

/// Keeps a message aside; beyond [`DEAD_LETTERS_MAX`] of a source the oldest goes.
pub(super) fn bury(
    writer: &mut Writer<'_>,
    letter: &DeadLetter,
) -> Result<(Verdict, ()), StoreError> {
    let bury = || -> rusqlite::Result<()> {
        let db = writer.db;
        db.prepare_cached(
            "INSERT INTO dead_letter (source, at, why, message) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            letter.source,
            letter.at.millis(),
            letter.why,
            letter.message
        ])?;
        db.prepare_cached(
            "DELETE FROM dead_letter WHERE source = ?1 AND id <= (SELECT id FROM dead_letter \
             WHERE source = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![letter.source, DEAD_LETTERS_MAX as i64])?;
        Ok(())
    };
    bury().map_err(refused_or_corrupt)?;
    Ok((Verdict::Keep, ()))
}

/// Messages kept aside of a source below a number, newest first.
pub(super) fn dead_letters(
    db: &Connection,
    source: &str,
    before: u64,
    n_max: usize,
) -> Result<Vec<(u64, DeadLetter)>, StoreError> {
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let read = || -> rusqlite::Result<Vec<(u64, DeadLetter)>> {
        let mut statement = db.prepare_cached(
            "SELECT id, at, why, message FROM dead_letter WHERE source = ?1 AND id < ?2 \
             ORDER BY id DESC LIMIT ?3",
        )?;
        let rows = statement.query_map(params![source, before, n_max as i64], |row| {
            let id: i64 = row.get(0)?;
            let letter = DeadLetter {
                source: source.to_owned(),
                at: At::from_millis(row.get(1)?).unwrap_or(At::MIN),
                why: row.get(2)?,
                message: row.get(3)?,
            };
            Ok((id as u64, letter))
        })?;
        rows.collect()
    };
    read().map_err(refused_or_corrupt)
}
