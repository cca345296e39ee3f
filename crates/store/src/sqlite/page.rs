//! Sessions out: a page of places in order, then their bodies.

use std::collections::VecDeque;

use debrief_domain::{Change, Filter, Lsid, RepId, Which, Window};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::{corrupt, refused_or_corrupt, unreadable};
use super::events::events_of;
use super::grants::Stamp;
use super::journal::{Era, Seen};
use super::pick::{kind, known_name, name};
use super::segment::Segments;
use super::upkeep::counter;
use super::{Files, body, recording, sheaf, shelf};
use crate::codec::Facts;
use crate::reading::{Source, Stage, take_least};
use crate::{Flow, Found, Members, PAGE_SESSIONS_MAX, Reading, Scan, Silence, StoreError};

/// What a transaction sees.
struct View<'a> {
    db: &'a Connection,
    files: &'a Files,
    /// The archive's state, if it matters and is known.
    stamp: Option<Stamp>,
}

/// Reads one page in one short transaction. A reading that is to see events which are not settled gets
/// none, and has not begun still.
pub(super) fn page(
    db: &Connection,
    files: &Files,
    reading: &mut Reading,
    scan: &mut dyn Scan,
    shows: Shows,
) -> Result<(), StoreError> {
    reading.wants_reader = false;
    // Asked before the transaction is opened.
    let seen = match reading.has_begun() {
        true => Seen::Nothing,
        false => files.journal.look()?,
    };
    let before = match reading.selection.filter {
        Filter::All => None,
        // Its sessions lie scattered.
        _ => files.atlas.stamp(),
    };
    let transaction = db.unchecked_transaction().map_err(refused_or_corrupt)?;
    if let Some(bound) = reading.bound {
        let horizon = counter(db, "horizon").map_err(refused_or_corrupt)?;
        if (bound.0 as i64) < horizon {
            return Err(StoreError::Expired);
        }
    }
    if !reading.has_begun() {
        let (change, era) = moment(db).map_err(refused_or_corrupt)?;
        // An earlier moment waits for nothing that came after it.
        let is_earlier = reading.bound.is_some_and(|bound| bound <= change);
        if seen.lacks(era) && !reading.is_settled && !is_earlier {
            return Ok(());
        }
        reading.bound.get_or_insert(change);
        reading.stage = begin(db, reading).map_err(refused_or_corrupt)?;
    }
    let Some(bound) = reading.bound else {
        return Err(StoreError::refused("the reading has no moment"));
    };
    let view = View {
        db,
        files,
        stamp: before.filter(|_| files.atlas.stamp() == before),
    };
    let mut n_left = PAGE_SESSIONS_MAX;
    let mut shelved = Shelved::new();
    while 0 < n_left {
        if reading.queue.is_empty() {
            shelved = fill(db, reading, bound).map_err(refused_or_corrupt)?;
        }
        if reading.queue.is_empty()
            || show(&view, reading, &mut shelved, (scan, shows), &mut n_left)? == Flow::Full
        {
            break;
        }
    }
    if !shelved.is_empty() {
        put_back(reading);
    }
    transaction.commit().map_err(refused_or_corrupt)
}

/// The last commit in the database, and its era.
pub(super) fn moment(db: &Connection) -> rusqlite::Result<(Change, Era)> {
    let change = counter(db, "change")?;
    Ok((Change(change as u64), Era(counter(db, "era")?)))
}

/// The longest sealed bytes that are read on the spot.
pub(super) const SPOT_BYTES_MAX: u64 = 256 << 10;

/// The one session that a reading names which has not begun.
pub(super) fn single(reading: &Reading) -> Option<&Lsid> {
    let Which::Named(lsids) = &reading.selection.which else {
        return None;
    };
    match (lsids.as_slice(), &reading.stage, reading.bound) {
        ([lsid], Stage::New, None) => Some(lsid),
        _ => None,
    }
}

/// Shows the single session of a reading, if it is sealed and not long, with one look into the database, or
/// none where its row is known; a session that nobody knows is soon shown, too. For everything else it
/// says no, and has shown nothing. `bound` is the last commit in the database.
pub(super) fn on_the_spot(
    db: &Connection,
    files: &Files,
    (bound, known): (Change, Option<body::Row>),
    reading: &mut Reading,
    scan: &mut dyn Scan,
) -> Result<bool, StoreError> {
    let Some(lsid) = single(reading) else {
        return Ok(false);
    };
    let found = match known {
        Some(row) => Ok((Some(row.place), Some(row))),
        None => spot(db, lsid),
    };
    // Whatever fails here is a reader's to meet again.
    let Ok((place, row)) = found else {
        return Ok(false);
    };
    if known.is_none() && row.is_some() {
        files.atlas.miss(1);
    }
    let shows = match (place, &row) {
        (Some(_), Some(row)) => row.slot.len <= SPOT_BYTES_MAX,
        (Some(_), None) => false,
        (None, _) => true,
    };
    if !shows {
        return Ok(false);
    }
    if let Some(row) = row {
        let shown = [row];
        body::read_each(&files.segments, &shown, u64::MAX, |_, body| {
            let flow = scan.session(Found::sealed(body, &shown[0]))?;
            Ok(flow == Flow::More)
        })?;
        reading.last = Some((1, 0, row.place));
    }
    reading.bound = Some(bound);
    reading.stage = Stage::Done;
    scan.page_over(reading)?;
    Ok(true)
}

/// A session's place, if there is one, and its row, if it is sealed.
fn spot(db: &Connection, lsid: &Lsid) -> rusqlite::Result<(Option<i64>, Option<body::Row>)> {
    let found = db
        .prepare_cached(
            "SELECT s.place, b.change, b.names, b.segment, b.at, b.len FROM session s \
             LEFT JOIN body b ON b.place = s.place WHERE s.lsid = ?1",
        )?
        .query_row([lsid.as_str()], |row| {
            let is_sealed = row.get_ref(1)? != rusqlite::types::ValueRef::Null;
            let sealed = is_sealed.then(|| body::Row::of(row)).transpose()?;
            Ok((Some(row.get(0)?), sealed))
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Where a new reading starts.
fn begin(db: &Connection, reading: &Reading) -> rusqlite::Result<Stage> {
    let selection = &reading.selection;
    match &selection.which {
        Which::Named(lsids) => {
            let done = reading.last.map_or(0, |(n, _, _)| n);
            let names = (1..).zip(lsids.iter().cloned()).filter(|(n, _)| done < *n);
            Ok(Stage::Names(
                names.collect::<Vec<_>>().into_iter().rev().collect(),
            ))
        }
        Which::ChangedSince(change) => {
            let after = i64::try_from(change.0).unwrap_or(i64::MAX);
            let last = reading.last.map(|(change, _, place)| (change, place));
            Ok(Stage::Changes {
                after: last.unwrap_or((after, i64::MAX)),
            })
        }
        Which::Started(_) => sources(db, reading, 0),
        Which::Ended(_) => sources(db, reading, kind::BY_END),
    }
}

fn sources(db: &Connection, reading: &Reading, by: i64) -> rusqlite::Result<Stage> {
    let owners = owners(db, reading)?;
    let sources = owners.into_iter().map(|(kind, owner)| Source {
        kind: kind + by,
        owner,
        after: reading.last,
        buffer: VecDeque::new(),
        is_dry: false,
    });
    Ok(Stage::Sources(sources.collect()))
}

/// The index entries' kinds and owners that the filter names; names never seen have none.
fn owners(db: &Connection, reading: &Reading) -> rusqlite::Result<Vec<(i64, i64)>> {
    let one = |kind: i64, number: Option<i64>| number.into_iter().map(|n| (kind, n)).collect();
    let rep = |id: &RepId| known_name(db, name::REP, id.as_str());
    Ok(match &reading.selection.filter {
        Filter::All => vec![(kind::ALL, 0)],
        Filter::AnyTeam => vec![(kind::ANY_TEAM, 0)],
        Filter::OwnedBy(id) => one(kind::OWNER, rep(id)?),
        Filter::Team(id) => one(kind::TEAM, known_name(db, name::TEAM, id.as_str())?),
        Filter::Site(id) => one(kind::SITE, known_name(db, name::SITE, id.as_str())?),
        Filter::OwnedByMemberOf(_) => {
            let mut owners = Vec::new();
            for member in &reading.members.0 {
                owners.extend(rep(member)?.map(|number| (kind::OWNER, number)));
            }
            owners
        }
    })
}

/// The rows of sealed bytes of those sessions of the queue that came from a shelf: of all of them, or
/// there are none.
type Shelved = VecDeque<Option<body::Row>>;

/// Lets the next page find again what this one has not shown: shelves change.
fn put_back(reading: &mut Reading) {
    reading.queue.clear();
    if let Stage::Sources(sources) = &mut reading.stage {
        for source in sources {
            source.after = reading.last;
            source.is_dry = false;
        }
    }
}

/// Puts the next places into the queue; leaves it empty when there are none.
fn fill(db: &Connection, reading: &mut Reading, bound: Change) -> rusqlite::Result<Shelved> {
    let bound = bound.0 as i64;
    let mut shelved = Shelved::new();
    match &mut reading.stage {
        Stage::New | Stage::Done => {}
        Stage::Names(lsids) => {
            while let Some((n, lsid)) = lsids.pop() {
                if let Some(place) = named(db, &lsid, bound)? {
                    reading.queue.push_back((n, 0, place));
                    break;
                }
            }
            if lsids.is_empty() {
                reading.stage = Stage::Done;
            }
        }
        Stage::Changes { after } => {
            let mut after = *after;
            let rows = changes(db, after, bound)?;
            let is_last = rows.len() < PAGE_SESSIONS_MAX;
            after = rows.last().copied().unwrap_or(after);
            for (change, place) in rows {
                if fits(db, place, &reading.selection.filter, &reading.members)? {
                    reading.queue.push_back((change, 0, place));
                }
            }
            // Where none fits the page ends here, and the next one goes on.
            reading.stage = if is_last {
                Stage::Done
            } else {
                Stage::Changes { after }
            };
        }
        Stage::Sources(sources) => {
            let window = match &reading.selection.which {
                Which::Started(window) | Which::Ended(window) => *window,
                Which::Named(_) | Which::ChangedSince(_) => return Ok(shelved),
            };
            let mut has_shelves = false;
            if let [source] = sources.as_mut_slice()
                && source.kind == kind::ALL
                && source.buffer.is_empty()
                && !source.is_dry
            {
                has_shelves = true;
                let entries = from_shelf(db, source, window, bound)?;
                reading.queue.extend(entries.iter().map(|entry| entry.key));
                shelved.extend(entries.iter().map(|entry| entry.row));
                if !shelved.is_empty() {
                    return Ok(shelved);
                }
            }
            while reading.queue.len() < PAGE_SESSIONS_MAX {
                match take_least(sources) {
                    Some(key) => reading.queue.push_back(key),
                    None if sources.iter().all(|s| s.is_dry && s.buffer.is_empty()) => break,
                    // Behind what the index had to give there may be a shelf again.
                    None if has_shelves && !reading.queue.is_empty() => break,
                    None => {
                        let n = PAGE_SESSIONS_MAX.div_ceil(sources.len().max(1)).max(16);
                        for source in sources
                            .iter_mut()
                            .filter(|s| !s.is_dry && s.buffer.is_empty())
                        {
                            refill(db, source, seconds(window), bound, n)?;
                        }
                    }
                }
            }
            if reading.queue.is_empty() {
                reading.stage = Stage::Done;
            }
        }
    }
    Ok(shelved)
}

/// The entries of the next shelf. None where the index has to be asked; what that is to give up to
/// the next shelf is then in the source's buffer.
fn from_shelf(
    db: &Connection,
    source: &mut Source,
    window: Window,
    bound: i64,
) -> rusqlite::Result<Vec<shelf::Entry>> {
    let (from, until) = seconds(window);
    loop {
        let after = source.after.unwrap_or((from, -1, -1));
        let last = match shelf::next(db, after, bound)? {
            shelf::Next::End => return Ok(Vec::new()),
            shelf::Next::Shelf(mut entries, last) => {
                entries.retain(|entry| after < entry.key && entry.key.0 < until);
                source.after = Some(last);
                source.is_dry = until <= last.0;
                if !entries.is_empty() || source.is_dry {
                    return Ok(entries);
                }
                continue;
            }
            shelf::Next::Index(last) | shelf::Next::Damaged(last) => last,
        };
        let part = (from, until.min(last.0.saturating_add(1)));
        refill(db, source, part, bound, PAGE_SESSIONS_MAX)?;
        let n_found = source.buffer.len();
        source.buffer.retain(|key| *key <= last);
        if source.buffer.len() < n_found || source.is_dry {
            // Behind the place of the shelf others go on.
            source.after = Some(last);
            source.is_dry = until <= last.0;
        }
        if !source.buffer.is_empty() || source.is_dry {
            return Ok(Vec::new());
        }
    }
}

fn named(db: &Connection, lsid: &Lsid, bound: i64) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT place FROM session WHERE lsid = ?1 AND born <= ?2")?
        .query_row(params![lsid.as_str(), bound], |row| row.get(0))
        .optional()
}

fn changes(db: &Connection, after: (i64, i64), bound: i64) -> rusqlite::Result<Vec<(i64, i64)>> {
    let mut statement = db.prepare_cached(
        "SELECT change, place FROM session WHERE (change, place) > (?1, ?2) AND change <= ?3 \
         ORDER BY change, place LIMIT ?4",
    )?;
    let rows = statement.query_map(
        params![after.0, after.1, bound, PAGE_SESSIONS_MAX as i64],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    rows.collect()
}

/// Whether a session fits a filter as it is now.
fn fits(db: &Connection, place: i64, filter: &Filter, members: &Members) -> rusqlite::Result<bool> {
    if *filter == Filter::All {
        return Ok(true);
    }
    let (facts, origin): (Vec<u8>, i64) = db
        .prepare_cached("SELECT facts, origin FROM session WHERE place = ?1")?
        .query_row([place], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let facts = Facts::read(&facts).map_err(unreadable)?;
    let (owners, teams, site) = if origin == 1 {
        facts.imported()
    } else {
        let summary = facts.summary().map_err(unreadable)?;
        let owners = summary
            .owner_ids()
            .into_iter()
            .map(ToString::to_string)
            .collect();
        let teams = summary.teams.iter().map(ToString::to_string).collect();
        (owners, teams, summary.site_id().to_string())
    };
    let owned_by = |rep: &RepId| owners.iter().any(|owner| owner == rep.as_str());
    Ok(match filter {
        Filter::All => true,
        Filter::OwnedBy(rep) => owned_by(rep),
        Filter::OwnedByMemberOf(_) => members.0.iter().any(owned_by),
        Filter::AnyTeam => !teams.is_empty(),
        Filter::Team(id) => teams.iter().any(|team| team == id.as_str()),
        Filter::Site(id) => site == id.as_str(),
    })
}

/// The seconds of a window: an entry of second s lies in it when s · 1000 does.
fn seconds(window: Window) -> (i64, i64) {
    let ceil = |millis: i64| millis.div_euclid(1000) + i64::from(millis.rem_euclid(1000) != 0);
    let until = window.until.map_or(i64::MAX, |until| ceil(until.millis()));
    (ceil(window.from.millis()), until)
}

fn refill(
    db: &Connection,
    source: &mut Source,
    (from, until): (i64, i64),
    bound: i64,
    n: usize,
) -> rusqlite::Result<()> {
    let after = source.after.unwrap_or((from, -1, -1));
    let list = (source.kind, source.owner);
    let keys = sheaf::keys(db, list, after, until, bound, n)?;
    source.is_dry = keys.len() < n;
    source.after = keys.last().copied().or(source.after);
    source.buffer.extend(keys);
    Ok(())
}

/// Rows of other sessions that are stepped over before the next one is looked for.
const STEPS_MAX: u32 = 3;
/// Sealed sessions that are found before their bytes are read.
const TOGETHER_MAX: usize = 32;

/// Which sessions a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    All,
    /// Up to the first that is not sealed, or long: that takes a while.
    Quick,
}

/// Shows the visitor the next sessions of the queue, at least one, each as it is now. Sealed ones
/// whose rows lie one behind the other, as in a report over time, are read one after the other:
/// looking each up would cost several times as much.
fn show(
    view: &View<'_>,
    reading: &mut Reading,
    shelved: &mut Shelved,
    (scan, shows): (&mut dyn Scan, Shows),
    n_left: &mut usize,
) -> Result<Flow, StoreError> {
    let Some(first) = reading.queue.front().map(|key| key.2) else {
        return Ok(Flow::More);
    };
    let segments = &view.files.segments;
    let room = scan.room();
    let mut rows: Vec<body::Row> = if shelved.is_empty() {
        let n_max = TOGETHER_MAX.min(*n_left);
        sealed_rows(view, reading, first, (n_max, room)).map_err(refused_or_corrupt)?
    } else {
        let mut rows = Vec::with_capacity(shelved.len());
        rows.extend(shelved.iter().map_while(|row| *row).take(*n_left));
        rows
    };
    if shows == Shows::Quick {
        let is_long = |row: &body::Row| SPOT_BYTES_MAX < row.slot.len;
        rows.truncate(rows.iter().position(is_long).unwrap_or(rows.len()));
        if rows.is_empty() {
            reading.wants_reader = true;
            return Ok(Flow::Full);
        }
    }
    if rows.is_empty() {
        reading.last = reading.queue.pop_front();
        shelved.pop_front();
        *n_left -= 1;
        return show_live(view.db, segments, first, scan);
    }
    let mut flow = Flow::More;
    body::read_each(segments, &rows, room, |idx, body| {
        let row = &rows[idx];
        reading.last = reading.queue.pop_front();
        shelved.pop_front();
        *n_left -= 1;
        flow = scan.session(Found::sealed(body, row))?;
        Ok(flow == Flow::More)
    })?;
    Ok(flow)
}

/// The rows of the sealed sessions at the front of the queue; none when the first is not sealed. So many at
/// most, and no more of those that lie scattered than have so many bytes: what finds no room is looked for again.
fn sealed_rows(
    view: &View<'_>,
    reading: &Reading,
    first: i64,
    (n_max, room): (usize, u64),
) -> rusqlite::Result<Vec<body::Row>> {
    if view.stamp.is_none() {
        return rows_in(view.db, reading, first, (n_max, room));
    }
    let atlas = &view.files.atlas;
    let places = reading.queue.iter().take(n_max).map(|key| key.2);
    let known = atlas.rows(places, room, view.stamp);
    if !known.is_empty() {
        return Ok(known);
    }
    let found = rows_in(view.db, reading, first, (n_max, room))?;
    atlas.miss(found.len());
    Ok(found)
}

/// The same out of the database.
fn rows_in(
    db: &Connection,
    reading: &Reading,
    first: i64,
    (n_max, room): (usize, u64),
) -> rusqlite::Result<Vec<body::Row>> {
    let mut statement = db.prepare_cached(
        "SELECT place, change, names, segment, at, len FROM body WHERE ?1 <= place ORDER BY place",
    )?;
    let mut rows = statement.query([first])?;
    let mut wanted = reading.queue.iter().take(n_max).map(|key| key.2).peekable();
    let mut found = Vec::with_capacity(n_max);
    let mut n_steps = 0;
    while let Some(place) = wanted.peek().copied()
        && let Some(row) = rows.next()?
    {
        let row = body::Row::of(row)?;
        if row.place == place {
            n_steps = 0;
            wanted.next();
            found.push(row);
        } else if row.place < place && n_steps < STEPS_MAX {
            n_steps += 1;
        } else {
            break;
        }
    }
    // The others lie scattered.
    let mut rows = body::Rows::of(db)?;
    let mut n_bytes: u64 = found.iter().map(|row| row.slot.len).sum();
    for place in wanted {
        if !found.is_empty() && room <= n_bytes {
            break;
        }
        let Some(row) = rows.get(place)? else {
            break;
        };
        n_bytes += row.slot.len;
        found.push(row);
    }
    Ok(found)
}

impl<'a> Found<'a> {
    fn sealed(body: &'a [u8], row: &body::Row) -> Found<'a> {
        Found::Sealed {
            body,
            names: row.names as u64,
            place: row.place,
            change: row.change as u64,
        }
    }
}

/// Shows the visitor a session whose sealed bytes are not in a file.
fn show_live(
    db: &Connection,
    segments: &Segments,
    place: i64,
    scan: &mut dyn Scan,
) -> Result<Flow, StoreError> {
    if let Some((body, change, names)) = body::inline(db, place).map_err(refused_or_corrupt)? {
        return scan.session(Found::Sealed {
            body: &body,
            names: names as u64,
            place,
            change: change as u64,
        });
    }
    let (lsid, lseq, state): (String, i64, i64) = db
        .prepare_cached("SELECT lsid, lseq, state FROM session WHERE place = ?1")
        .and_then(|mut statement| {
            statement.query_row([place], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        })
        .map_err(refused_or_corrupt)?;
    let lsid = Lsid::parse(&lsid).map_err(|_| StoreError::corrupt("the id of a session"))?;
    let events = events_of(db, segments, place)?;
    let events = crate::codec::events(&events, &lsid).map_err(corrupt)?;
    if events.is_empty() {
        return Err(StoreError::corrupt(format!(
            "session `{lsid}` has neither bytes nor events"
        )));
    }
    let silence = if state == 2 {
        Silence::Lapsed
    } else {
        Silence::Heard
    };
    scan.session(Found::Live {
        lseq: lseq as u64,
        events,
        recordings: recording::named(db, lsid.as_str()).map_err(refused_or_corrupt)?,
        silence,
    })
}

#[cfg(test)]
mod tests {
    use debrief_domain::Selection;

    use super::*;

    #[test]
    fn of_scattered_sessions_no_more_are_looked_for_than_there_is_room() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE body (place INTEGER PRIMARY KEY, change, names, segment, at, len)",
        )
        .unwrap();
        for place in 0..600 {
            db.execute("INSERT INTO body VALUES (?1, 1, 1, 1, ?1, 100)", [place])
                .unwrap();
        }
        let selection = Selection {
            which: Which::ChangedSince(Change(0)),
            filter: Filter::All,
        };
        let mut reading = Reading::new(selection, Members::default());
        reading.queue = (0..6).map(|n| (n, 0, n * 100)).collect();
        let places = |n_max: usize, room: u64| -> Vec<i64> {
            let rows = rows_in(&db, &reading, 0, (n_max, room)).unwrap();
            rows.iter().map(|row| row.place).collect()
        };
        let expected = |n: i64| (0..n).map(|n| n * 100).collect::<Vec<_>>();
        for (n_max, room, n) in [
            (6, 0, 1),
            (6, 100, 1),
            (6, 101, 2),
            (6, 500, 5),
            (6, 501, 6),
            (6, u64::MAX, 6),
            (4, u64::MAX, 4),
        ] {
            assert_eq!(places(n_max, room), expected(n), "{n_max} {room}");
        }
    }
}
