//! Recordings: the rows that make objects count.

use debrief_domain::{At, Lsid, Recording, RecordingKind};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{corrupt_text, refused_or_corrupt};
use super::{Verdict, Writer, body};
use crate::{AccountId, KeepRecording, KeptRecording, Part, RecordingKey, StoreError};

const COLUMNS: &str = "lsid, kind, instance, part, object, media, bytes, sha256, account, at";

fn kind_number(kind: RecordingKind) -> i64 {
    match kind {
        RecordingKind::Session => 0,
        RecordingKind::ShowMyScreen => 1,
        RecordingKind::CommandShell => 2,
    }
}

fn part_number(part: Part) -> i64 {
    match part {
        Part::Main => 0,
        Part::Timing => 1,
    }
}

/// Kind and instance of a row.
fn recording(kind: i64, instance: i64) -> rusqlite::Result<Recording> {
    let found = RecordingKind::ALL
        .into_iter()
        .find(|known| kind_number(*known) == kind);
    Ok(Recording {
        kind: found.ok_or_else(|| corrupt_text("kind"))?,
        instance: u32::try_from(instance).map_err(|_| corrupt_text("instance"))?,
    })
}

fn kept(row: &Row<'_>) -> rusqlite::Result<KeptRecording> {
    let lsid: String = row.get(0)?;
    Ok(KeptRecording {
        key: RecordingKey {
            lsid: Lsid::parse(&lsid).map_err(|_| corrupt_text("lsid"))?,
            recording: recording(row.get(1)?, row.get(2)?)?,
            part: if row.get::<_, i64>(3)? == 0 {
                Part::Main
            } else {
                Part::Timing
            },
        },
        object: row.get(4)?,
        media: row.get(5)?,
        bytes: row.get::<_, i64>(6)? as u64,
        sha256: row.get(7)?,
        account: AccountId(row.get(8)?),
        at: At::from_millis(row.get(9)?).unwrap_or(At::MIN),
    })
}

/// The recordings of a session that a report tells of.
pub(super) fn named(db: &Connection, lsid: &str) -> rusqlite::Result<Vec<Recording>> {
    let mut statement = db.prepare_cached(
        "SELECT kind, instance FROM recording WHERE lsid = ?1 AND part = 0 ORDER BY kind, instance",
    )?;
    let rows = statement.query_map([lsid], |row| recording(row.get(0)?, row.get(1)?))?;
    rows.collect()
}

/// Every file of a session's recordings; none when there is no such session.
pub(super) fn of_session(
    db: &Connection,
    lsid: &Lsid,
) -> Result<Option<Vec<KeptRecording>>, StoreError> {
    let read = || -> rusqlite::Result<Option<Vec<KeptRecording>>> {
        let is_known = db
            .prepare_cached("SELECT 1 FROM session WHERE lsid = ?1")?
            .exists([lsid.as_str()])?;
        if !is_known {
            return Ok(None);
        }
        let mut statement = db.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM recording WHERE lsid = ?1 ORDER BY kind, instance, part"
        ))?;
        let rows = statement.query_map([lsid.as_str()], kept)?;
        rows.collect::<Result<_, _>>().map(Some)
    };
    read().map_err(refused_or_corrupt)
}

/// Recordings after a key, in order.
pub(super) fn after(
    db: &Connection,
    after: Option<&RecordingKey>,
    n_max: usize,
) -> Result<Vec<KeptRecording>, StoreError> {
    let read = || -> rusqlite::Result<Vec<KeptRecording>> {
        let mut statement = db.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM recording \
             WHERE (lsid, kind, instance, part) > (?1, ?2, ?3, ?4) \
             ORDER BY lsid, kind, instance, part LIMIT ?5"
        ))?;
        let (lsid, kind, instance, part) = match after {
            Some(key) => (
                key.lsid.as_str(),
                kind_number(key.recording.kind),
                i64::from(key.recording.instance),
                part_number(key.part),
            ),
            None => ("", 0, 0, 0),
        };
        let rows = statement.query_map(params![lsid, kind, instance, part, n_max as i64], kept)?;
        rows.collect()
    };
    read().map_err(refused_or_corrupt)
}

/// Objects that no row names.
pub(super) fn strangers(db: &Connection, objects: Vec<String>) -> Result<Vec<String>, StoreError> {
    let mut strangers = Vec::new();
    for object in objects {
        let is_known = db
            .prepare_cached("SELECT 1 FROM recording WHERE object = ?1")
            .and_then(|mut statement| statement.exists([&object]))
            .map_err(refused_or_corrupt)?;
        if !is_known {
            strangers.push(object);
        }
    }
    Ok(strangers)
}

/// Makes a recording count. The session's report shows it once it is sealed again.
pub(super) fn keep(
    writer: &mut Writer<'_>,
    recording: KeptRecording,
) -> Result<(Verdict, KeepRecording), StoreError> {
    keep_row(writer, recording).map_err(refused_or_corrupt)
}

fn keep_row(
    writer: &mut Writer<'_>,
    recording: KeptRecording,
) -> rusqlite::Result<(Verdict, KeepRecording)> {
    let db = writer.db;
    let key = &recording.key;
    let session: Option<(i64, i64, i64)> = db
        .prepare_cached("SELECT place, origin, state FROM session WHERE lsid = ?1")?
        .query_row([key.lsid.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((place, origin, state)) = session else {
        return Ok((Verdict::Discard, KeepRecording::NoSession));
    };
    let named = params![
        key.lsid.as_str(),
        kind_number(key.recording.kind),
        key.recording.instance,
        part_number(key.part),
    ];
    let known = db
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM recording \
             WHERE lsid = ?1 AND kind = ?2 AND instance = ?3 AND part = ?4"
        ))?
        .query_row(named, kept)
        .optional()?;
    if let Some(known) = known {
        let is_same = known.sha256 == recording.sha256 && known.bytes == recording.bytes;
        let answer = if is_same {
            KeepRecording::Known(known)
        } else {
            KeepRecording::Taken(known)
        };
        return Ok((Verdict::Discard, answer));
    }
    db.prepare_cached(&format!(
        "INSERT INTO recording ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
    ))?
    .execute(params![
        key.lsid.as_str(),
        kind_number(key.recording.kind),
        key.recording.instance,
        part_number(key.part),
        recording.object,
        recording.media,
        recording.bytes as i64,
        recording.sha256,
        recording.account.0,
        recording.at.millis(),
    ])?;
    // Only a session that has ended shows links. A timing has none, but whoever keeps a copy of the
    // archive learns of it by the change.
    if state == STATE_ENDED {
        let change = writer.next_change();
        db.prepare_cached("UPDATE session SET change = ?2 WHERE place = ?1")?
            .execute([place, change])?;
        if origin == ORIGIN_EVENTS {
            body::drop(db, &writer.known.tails, place)?;
        }
        unseal(db, place)?;
    }
    Ok((Verdict::Keep, KeepRecording::Kept))
}

const STATE_ENDED: i64 = 1;
const ORIGIN_EVENTS: i64 = 0;

/// Notes that a session's bytes are to be made again.
pub(super) fn unseal(db: &Connection, place: i64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO unsealed (place) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([place])?;
    Ok(())
}
