//! Finished documents in.

use std::collections::BTreeSet;

use debrief_domain::{At, RepId, TeamId};
use rusqlite::params;

use super::error::refused_or_corrupt;
use super::pick::{Fresh, Standing, move_picks};
use super::row::{Row, new_place, row};
use super::{Verdict, Writer, body, recording};
use crate::codec::Facts;
use crate::{Document, Import, StoreError};

/// The highest number of a document that numbers given here go on from.
const LSEQ_TOLD_MAX: i64 = 1 << 48;

/// Adds documents, all or none.
pub(super) fn import(
    writer: &mut Writer<'_>,
    documents: &[Document],
    now: At,
) -> Result<(Verdict, Import), StoreError> {
    let mut import = Import::default();
    let mut fresh = Fresh::default();
    for document in documents {
        let known = row(writer.db, &document.lsid).map_err(refused_or_corrupt)?;
        let facts = Facts::of_document(document);
        match &known {
            Some(row) if !row.is_imported => {
                import.live += 1;
                continue;
            }
            Some(row) if row.facts.digest == facts.digest => {
                import.repeated += 1;
                continue;
            }
            Some(row) if facts.rank() < row.facts.rank() => {
                import.older += 1;
                continue;
            }
            Some(_) => import.replaced += 1,
            None => import.fresh += 1,
        }
        // A commit of its own each, for one session may come twice.
        let change = writer.next_change();
        keep(
            writer,
            &mut fresh,
            document,
            &facts,
            known.as_ref(),
            now,
            change,
        )
        .map_err(refused_or_corrupt)?;
        // Events of it may have been refused before, and its size be known as that of no session.
        writer.known.inbox.forget_size(&document.lsid);
    }
    fresh.put(writer.db).map_err(refused_or_corrupt)?;
    Ok((Verdict::Keep, import))
}

fn keep(
    writer: &mut Writer<'_>,
    fresh: &mut Fresh,
    document: &Document,
    facts: &Facts,
    known: Option<&Row>,
    now: At,
    change: i64,
) -> rusqlite::Result<()> {
    let db = writer.db;
    let start = document.start.secs();
    let ended = document.end.map(At::secs);
    let state = i64::from(ended.is_some());
    let told = document.lseq.and_then(|lseq| i64::try_from(lseq).ok());
    let standing = Standing {
        start,
        ended,
        owners: document.owners.iter().map(RepId::as_str).collect(),
        teams: document.teams.iter().map(TeamId::as_str).collect(),
        site: document.site.as_str(),
    };
    let after = standing.picks(db, &mut writer.known.names)?;
    let (place, lseq, before) = match known {
        Some(row) => {
            let (owners, teams, site) = row.facts.imported();
            let before = Standing {
                start: row.start,
                ended: row.ended,
                owners: owners.iter().map(String::as_str).collect(),
                teams: teams.iter().map(String::as_str).collect(),
                site: &site,
            };
            let lseq = told.unwrap_or(row.lseq);
            let picks = before.picks(db, &mut writer.known.names)?;
            db.prepare_cached(
                "UPDATE session SET lseq = ?2, state = ?3, start = ?4, ended = ?5, heard = ?6, \
                 change = ?7, n_events = ?8, facts = ?9 WHERE place = ?1",
            )?
            .execute(params![
                row.place,
                lseq,
                state,
                start,
                ended,
                now.millis(),
                change,
                document.n_events as i64,
                facts.bytes()
            ])?;
            move_picks(
                db,
                fresh,
                &picks,
                &after,
                (row.lseq, lseq),
                row.place,
                change,
            )?;
            // The new document may lack the links to recordings that were handed in here.
            if ended.is_some() && !recording::named(db, document.lsid.as_str())?.is_empty() {
                recording::unseal(db, row.place)?;
            }
            (row.place, lseq, None)
        }
        None => {
            let place = new_place(db, start)?;
            let lseq = told.unwrap_or_else(|| writer.next_lseq());
            // Numbers given later do not repeat those of documents, unless one is absurdly high.
            if lseq < LSEQ_TOLD_MAX {
                writer.lseq = writer.lseq.max(lseq);
            }
            (place, lseq, Some(BTreeSet::new()))
        }
    };
    if let Some(before) = before {
        db.prepare_cached(
            "INSERT INTO session (place, lsid, lseq, origin, state, start, ended, heard, born, \
             change, n_events, facts) VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10)",
        )?
        .execute(params![
            place,
            document.lsid.as_str(),
            lseq,
            state,
            start,
            ended,
            now.millis(),
            change,
            document.n_events as i64,
            facts.bytes()
        ])?;
        move_picks(db, fresh, &before, &after, (lseq, lseq), place, change)?;
    }
    body::put(
        writer,
        place,
        (change, document.names as i64),
        &document.body,
    )
}
