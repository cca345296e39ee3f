//! Sheaves: index entries that are likely to stay as they are, some dozens of one list in a row of their
//! own. An entry stands in the index or in one sheaf, never in both; whoever reads a list merges the two.
//!
//! The sweeper binds them, and whoever puts some of one second there at once. Whoever ends an entry that
//! is in one lets the whole sheaf go back into the index first. The sheaves of a list do not overlap.

use prost::Message;
use rusqlite::{Connection, OptionalExtension, params};

use super::Verdict;
use super::error::{corrupt_text, is_unreadable, refused_or_corrupt};
use super::pick::kind;
use super::row::PLACE_BITS;
use super::upkeep::counter;
use super::writer::Writer;
use crate::StoreError;
use crate::reading::Key;

/// Entries of a sheaf that the sweeper binds, and of any at most.
const SHEAF_ENTRIES: usize = if cfg!(test) { 3 } else { 64 };
/// Entries of one second that are bound when they come together: fewer are left to the sweeper.
const TOGETHER_MIN: usize = if cfg!(test) { 2 } else { 4 };
/// Living entries at the end of a list that are left where they are: those that come late find their
/// place among them.
const LEFT_ENTRIES: usize = SHEAF_ENTRIES;
/// Sheaves that are bound, or let go, in one commit.
const AT_ONCE: usize = if cfg!(test) { 2 } else { 32 };
/// Looks at some dozens of entries, of one list or several, between two commits.
const LOOKS_AT_ONCE: usize = if cfg!(test) { 3 } else { 1_024 };

/// Kind and owner of the entries that one report reads in order.
pub(super) type List = (i64, i64);

/// The entries as they are kept, a column each; numbers as their difference to the one before.
#[derive(Clone, PartialEq, Message)]
struct Columns {
    #[prost(sint64, repeated, tag = "1")]
    at: Vec<i64>,
    #[prost(sint64, repeated, tag = "2")]
    lseq: Vec<i64>,
    /// How long before the entry's second that of its place is.
    #[prost(sint64, repeated, tag = "3")]
    since: Vec<i64>,
    /// The place's number within its second.
    #[prost(sint64, repeated, tag = "4")]
    n: Vec<i64>,
    #[prost(sint64, repeated, tag = "5")]
    born: Vec<i64>,
}

/// A living entry, and the commit that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) born: i64,
}

fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut columns = Columns::default();
    let (mut at_before, mut lseq_before, mut born_before) = (0_i64, 0_i64, 0_i64);
    for Entry { key, born } in entries {
        let (at, lseq, place) = *key;
        columns.at.push(at.wrapping_sub(at_before));
        columns.lseq.push(lseq.wrapping_sub(lseq_before));
        columns.since.push(at.wrapping_sub(place >> PLACE_BITS));
        columns.n.push(place & ((1 << PLACE_BITS) - 1));
        columns.born.push(born.wrapping_sub(born_before));
        (at_before, lseq_before, born_before) = (at, lseq, *born);
    }
    columns.encode_to_vec()
}

/// The entries of a row; none when it is damaged.
fn unpack(bytes: &[u8]) -> Option<Vec<Entry>> {
    let columns = Columns::decode(bytes).ok()?;
    let Columns {
        at,
        lseq,
        since,
        n,
        born,
    } = &columns;
    let is_whole = [lseq, since, n, born].iter().all(|c| c.len() == at.len());
    if !is_whole || at.is_empty() {
        return None;
    }
    let (mut at_before, mut lseq_before, mut born_before) = (0_i64, 0_i64, 0_i64);
    let entry = |idx: usize| {
        at_before = at_before.wrapping_add(at[idx]);
        lseq_before = lseq_before.wrapping_add(lseq[idx]);
        born_before = born_before.wrapping_add(born[idx]);
        let second = at_before.wrapping_sub(since[idx]);
        Entry {
            key: (at_before, lseq_before, (second << PLACE_BITS) | n[idx]),
            born: born_before,
        }
    };
    Some((0..at.len()).map(entry).collect())
}

/// These keys as the entries of a row.
#[cfg(test)]
pub(super) fn packed(keys: &[Key]) -> Vec<u8> {
    let entries: Vec<Entry> = keys
        .iter()
        .map(|key| Entry { key: *key, born: 1 })
        .collect();
    pack(&entries)
}

/// A row.
struct Sheaf {
    last: Key,
    entries: Vec<Entry>,
}

/// The sheaves of a list whose last entry is this one or behind it, one after the other, until `go_on`
/// has enough.
fn each(
    db: &Connection,
    list: List,
    from: Key,
    mut go_on: impl FnMut(Sheaf) -> bool,
) -> rusqlite::Result<()> {
    let mut select = db.prepare_cached(
        "SELECT last_at, last_lseq, last_place, entries FROM sheaf WHERE kind = ?1 AND owner = ?2 \
         AND (last_at, last_lseq, last_place) >= (?3, ?4, ?5) \
         ORDER BY last_at, last_lseq, last_place",
    )?;
    let mut rows = select.query(params![list.0, list.1, from.0, from.1, from.2])?;
    while let Some(row) = rows.next()? {
        let last = (row.get(0)?, row.get(1)?, row.get(2)?);
        let entries = unpack(row.get_ref(3)?.as_blob()?);
        // Without it a report would be short of sessions.
        let entries = entries.filter(|entries| entries.last().is_some_and(|e| e.key == last));
        let entries = entries.ok_or_else(|| corrupt_text("entries"))?;
        if !go_on(Sheaf { last, entries }) {
            break;
        }
    }
    Ok(())
}

/// So many keys of a list behind this one, before the second `until`, as of the commit `bound`.
pub(super) fn keys(
    db: &Connection,
    list: List,
    after: Key,
    until: i64,
    bound: i64,
    n_max: usize,
) -> rusqlite::Result<Vec<Key>> {
    let mut select = db.prepare_cached(
        "SELECT at, lseq, place FROM pick WHERE kind = ?1 AND owner = ?2 \
         AND (at, lseq, place) > (?3, ?4, ?5) AND at < ?6 AND born <= ?7 \
         AND (died IS NULL OR ?7 < died) ORDER BY at, lseq, place LIMIT ?8",
    )?;
    let rows = select.query_map(
        params![
            list.0,
            list.1,
            after.0,
            after.1,
            after.2,
            until,
            bound,
            n_max as i64
        ],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let mut keys: Vec<Key> = rows.collect::<Result<_, _>>()?;
    // Behind as many nothing is wanted any more.
    let behind = (keys.len() == n_max)
        .then(|| keys.last().copied())
        .flatten();
    let (mut n_bound, n_loose) = (0, keys.len());
    each(db, list, after, |sheaf| {
        let wanted = sheaf.entries.iter();
        let wanted = wanted.filter(|e| after < e.key && e.key.0 < until && e.born <= bound);
        keys.extend(wanted.map(|e| e.key));
        n_bound = keys.len() - n_loose;
        n_bound < n_max && sheaf.last.0 < until && behind.is_none_or(|last| sheaf.last < last)
    })?;
    if 0 < n_bound {
        keys.sort_unstable();
        keys.truncate(n_max);
    }
    Ok(keys)
}

/// Whether a list has this living entry.
pub(super) fn has(db: &Connection, list: List, key: Key) -> rusqlite::Result<bool> {
    let mut has = false;
    each(db, list, key, |sheaf| {
        has = sheaf.entries.iter().any(|entry| entry.key == key);
        false
    })?;
    Ok(has)
}

/// Lets the sheaf with this entry, if there is one, go back into the index.
pub(super) fn let_go(db: &Connection, list: List, key: Key) -> rusqlite::Result<bool> {
    let mut found = None;
    each(db, list, key, |sheaf| {
        let is_in = sheaf.entries.iter().any(|entry| entry.key == key);
        found = is_in.then_some(sheaf);
        false
    })?;
    let Some(sheaf) = found else {
        return Ok(false);
    };
    for entry in &sheaf.entries {
        put_loose(db, list, entry)?;
    }
    let last = sheaf.last;
    db.prepare_cached(
        "DELETE FROM sheaf WHERE kind = ?1 AND owner = ?2 AND last_at = ?3 AND last_lseq = ?4 \
         AND last_place = ?5",
    )?
    .execute(params![list.0, list.1, last.0, last.1, last.2])?;
    Ok(true)
}

/// Puts new entries, in order, into their lists. Those of one list and one second that are enough are bound
/// at once: whatever comes late in a busy second has a higher number, and so stands behind them.
pub(super) fn put(db: &Connection, fresh: &[(List, Entry)]) -> rusqlite::Result<()> {
    let is_together = |a: &(List, Entry), b: &(List, Entry)| (a.0, a.1.key.0) == (b.0, b.1.key.0);
    for together in fresh.chunk_by(is_together) {
        let list = together[0].0;
        let entries: Vec<Entry> = together.iter().map(|(_, entry)| *entry).collect();
        for entries in entries.chunks(SHEAF_ENTRIES) {
            if TOGETHER_MIN <= entries.len() && is_free(db, list, entries)? {
                put_bound(db, list, entries)?;
                continue;
            }
            for entry in entries {
                put_loose(db, list, entry)?;
            }
        }
    }
    Ok(())
}

/// Whether no sheaf has entries among these.
fn is_free(db: &Connection, list: List, entries: &[Entry]) -> rusqlite::Result<bool> {
    match among(db, list, entries) {
        // Nobody must wait for one that is damaged.
        Err(error) if is_unreadable(&error) => Ok(false),
        among => Ok(among?.is_none()),
    }
}

fn put_loose(db: &Connection, list: List, entry: &Entry) -> rusqlite::Result<()> {
    let Entry { key, born } = entry;
    db.prepare_cached(
        "INSERT INTO pick (kind, owner, at, lseq, place, born) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![list.0, list.1, key.0, key.1, key.2, born])?;
    Ok(())
}

/// Puts entries, in order, as a sheaf where there is none.
fn put_bound(db: &Connection, list: List, entries: &[Entry]) -> rusqlite::Result<()> {
    let last = entries[entries.len() - 1].key;
    db.prepare_cached("INSERT INTO sheaf VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            list.0,
            list.1,
            last.0,
            last.1,
            last.2,
            pack(entries)
        ])?;
    Ok(())
}

/// What is to be done with a list.
#[derive(Debug, Clone, Copy)]
enum Task {
    /// To bind the entries behind this key.
    Bind(List, Key),
    /// To let the sheaf with this entry go: as many others have come between its own, or it is short.
    LetGo(List, Key),
}

/// How far the sweeper has come in looking for what is to be done.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Looks {
    /// The commit as of which everything was looked through; none before this process has done it once.
    seen: Option<i64>,
    /// The round that is under way.
    round: Option<Round>,
}

/// One way through all lists, as far as anything is new in them.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// The commit as of which it began.
    began: i64,
    /// The first second of what is new in lists by start, and in those by end; none where nothing is.
    floors: [Option<i64>; 2],
    /// The list that is looked through, and behind which key; none at its beginning.
    at: (List, Option<Key>),
    /// Whether a sheaf goes back into the index: what was in it is bound in another round.
    lets_go: bool,
}

/// What the sweeper has to do, and how far it has looked.
pub(super) struct Tasks {
    tasks: Vec<Task>,
    looks: Looks,
}

/// Before all entries of a list.
const BEFORE_ALL: Key = (i64::MIN, 0, 0);

/// Looks for what is to be done, from where it looked last. What it has looked through it looks through
/// again only where something has come since: there may be millions of entries.
pub(super) fn tasks(db: &Connection, looks: Looks) -> Result<Tasks, StoreError> {
    look(db, looks).map_err(refused_or_corrupt)
}

fn look(db: &Connection, mut looks: Looks) -> rusqlite::Result<Tasks> {
    let mut tasks = Vec::new();
    let mut round = match looks.round {
        Some(round) => round,
        None => Round::begin(db, looks.seen)?,
    };
    for _ in 0..LOOKS_AT_ONCE {
        let list = round.next_list(db)?;
        let Some(list) = list else {
            looks.round = None;
            if !round.lets_go {
                looks.seen = Some(round.began);
            }
            return Ok(Tasks { tasks, looks });
        };
        if AT_ONCE <= tasks.len() {
            break;
        }
        let after = match (round.at.1, round.floors[usize::from(is_by_end(list))]) {
            (Some(after), _) => after,
            (None, Some(floor)) => behind(db, list, floor)?,
            (None, None) => {
                round.pass(list);
                continue;
            }
        };
        match task(db, list, after)? {
            Some((task, next)) => {
                round.lets_go |= matches!(task, Some(Task::LetGo(..)));
                tasks.extend(task);
                round.at.1 = Some(next);
            }
            None => round.pass(list),
        }
    }
    looks.round = Some(round);
    Ok(Tasks { tasks, looks })
}

impl Round {
    fn begin(db: &Connection, seen: Option<i64>) -> rusqlite::Result<Round> {
        let began = counter(db, "change")?;
        let floors = match seen {
            None => [Some(i64::MIN); 2],
            Some(seen) => {
                // Where entries have ended a sheaf may have been let go.
                let floor = |column: &str, by_end: i64| {
                    let sql = format!(
                        "SELECT min(at) FROM \
                         (SELECT min({column}) AS at FROM session WHERE ?1 < change \
                         UNION ALL SELECT min(at) FROM pick WHERE ?1 < died AND kind % 2 = ?2)"
                    );
                    db.prepare_cached(&sql)?
                        .query_row([seen, by_end], |row| row.get(0))
                };
                [floor("start", 0)?, floor("ended", kind::BY_END)?]
            }
        };
        Ok(Round {
            began,
            floors,
            at: ((i64::MIN, i64::MIN), None),
            lets_go: false,
        })
    }

    /// The next list that has entries, from where it is.
    fn next_list(&mut self, db: &Connection) -> rusqlite::Result<Option<List>> {
        if self.floors == [None; 2] {
            return Ok(None);
        }
        let ((kind, owner), _) = self.at;
        let list = db
            .prepare_cached(
                "SELECT kind, owner FROM pick WHERE (kind, owner) >= (?1, ?2) \
                 ORDER BY kind, owner LIMIT 1",
            )?
            .query_row([kind, owner], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some(list) = list
            && list != self.at.0
        {
            self.at = (list, None);
        }
        Ok(list)
    }

    /// Goes on behind a list.
    fn pass(&mut self, list: List) {
        self.at = ((list.0, list.1 + 1), None);
    }
}

const fn is_by_end(list: List) -> bool {
    list.0 % 2 == kind::BY_END
}

/// Behind which key of a list there may be something to do when there is something new from this second
/// on: before all loose entries that may be bound with it, and before all sheaves that it may be in.
fn behind(db: &Connection, list: List, floor: i64) -> rusqlite::Result<Key> {
    let last = |sql: &str| {
        db.prepare_cached(sql)?
            .query_row([list.0, list.1, floor], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()
            .map(|key| key.unwrap_or(BEFORE_ALL))
    };
    let loose = last(&format!(
        "SELECT at, lseq, place FROM pick WHERE kind = ?1 AND owner = ?2 AND at < ?3 \
         AND died IS NULL ORDER BY at DESC, lseq DESC, place DESC \
         LIMIT 1 OFFSET {}",
        SHEAF_ENTRIES + LEFT_ENTRIES
    ))?;
    let bound = last(
        "SELECT last_at, last_lseq, last_place FROM sheaf WHERE kind = ?1 AND owner = ?2 \
         AND last_at < ?3 ORDER BY last_at DESC, last_lseq DESC, last_place DESC LIMIT 1",
    )?;
    Ok(loose.min(bound))
}

/// What is to be done with the next entries of a list, if anything is, and where to go on with it; none
/// where there are too few.
fn task(db: &Connection, list: List, after: Key) -> rusqlite::Result<Option<(Option<Task>, Key)>> {
    let loose = loose(db, list, after, SHEAF_ENTRIES + LEFT_ENTRIES)?;
    if loose.len() < SHEAF_ENTRIES + LEFT_ENTRIES {
        return Ok(None);
    }
    let Some(sheaf) = among(db, list, &loose[..SHEAF_ENTRIES])? else {
        let last = loose[SHEAF_ENTRIES - 1].key;
        return Ok(Some((Some(Task::Bind(list, after)), last)));
    };
    let n_among = loose.iter().filter(|e| e.key < sheaf.last).count();
    // One that was bound at once is bound with its neighbours.
    let lets_go = SHEAF_ENTRIES <= n_among || sheaf.entries.len() < SHEAF_ENTRIES;
    let task = lets_go.then_some(Task::LetGo(list, sheaf.last));
    // What is let go is bound again in another round.
    Ok(Some((task, sheaf.last)))
}

/// Living entries of a list that are in no sheaf.
fn loose(db: &Connection, list: List, after: Key, n_max: usize) -> rusqlite::Result<Vec<Entry>> {
    let mut select = db.prepare_cached(
        "SELECT at, lseq, place, born FROM pick WHERE kind = ?1 AND owner = ?2 \
         AND (at, lseq, place) > (?3, ?4, ?5) AND died IS NULL ORDER BY at, lseq, place LIMIT ?6",
    )?;
    let rows = select.query_map(
        params![list.0, list.1, after.0, after.1, after.2, n_max as i64],
        |row| {
            Ok(Entry {
                key: (row.get(0)?, row.get(1)?, row.get(2)?),
                born: row.get(3)?,
            })
        },
    )?;
    rows.collect()
}

/// The first sheaf that has entries before the last of these.
fn among(db: &Connection, list: List, entries: &[Entry]) -> rusqlite::Result<Option<Sheaf>> {
    let (first, last) = (entries[0].key, entries[entries.len() - 1].key);
    let mut found = None;
    each(db, list, first, |sheaf| {
        found = Some(sheaf);
        false
    })?;
    Ok(found.filter(|sheaf| sheaf.entries[0].key < last))
}

/// Does it, where it still is to be done. Gives how many entries it concerned.
pub(super) fn work(writer: &mut Writer<'_>, tasks: &Tasks) -> Result<(Verdict, u64), StoreError> {
    let db = writer.db;
    let work = || -> rusqlite::Result<u64> {
        let mut n_entries = 0;
        for task in &tasks.tasks {
            match task {
                Task::Bind(list, after) => n_entries += bind(db, *list, *after)?,
                Task::LetGo(list, key) => n_entries += u64::from(let_go(db, *list, *key)?),
            }
        }
        Ok(n_entries)
    };
    Ok((Verdict::Keep, work().map_err(refused_or_corrupt)?))
}

fn bind(db: &Connection, list: List, after: Key) -> rusqlite::Result<u64> {
    let mut entries = loose(db, list, after, SHEAF_ENTRIES + LEFT_ENTRIES)?;
    if entries.len() < SHEAF_ENTRIES + LEFT_ENTRIES {
        return Ok(0);
    }
    entries.truncate(SHEAF_ENTRIES);
    if among(db, list, &entries)?.is_some() {
        return Ok(0);
    }
    let mut delete = db.prepare_cached(
        "DELETE FROM pick WHERE kind = ?1 AND owner = ?2 AND at = ?3 AND lseq = ?4 AND place = ?5 \
         AND born = ?6 AND died IS NULL",
    )?;
    for Entry { key, born } in &entries {
        delete.execute(params![list.0, list.1, key.0, key.1, key.2, born])?;
    }
    put_bound(db, list, &entries)?;
    Ok(entries.len() as u64)
}

impl Tasks {
    /// Whether there is anything to do now.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Where to look next.
    pub(super) fn looks(&self) -> Looks {
        self.looks
    }
}

impl Looks {
    /// Whether a round has come to its end.
    pub(super) fn is_through(&self) -> bool {
        self.round.is_none()
    }
}

/// Sheaves that cannot be read, overlap, or have entries that belong to no session as it is.
pub(super) fn faults(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut select = db.prepare(
        "SELECT kind, owner, last_at, last_lseq, last_place, entries FROM sheaf \
         ORDER BY kind, owner, last_at, last_lseq, last_place",
    )?;
    let mut session = db.prepare("SELECT lseq, start, ended FROM session WHERE place = ?1")?;
    let mut twice = db.prepare(
        "SELECT 1 FROM pick WHERE kind = ?1 AND owner = ?2 AND at = ?3 AND lseq = ?4 AND place = ?5 \
         AND died IS NULL",
    )?;
    let mut rows = select.query([])?;
    let mut before: Option<(List, Key)> = None;
    let mut n_strays = 0;
    while let Some(row) = rows.next()? {
        let list: List = (row.get(0)?, row.get(1)?);
        let last: Key = (row.get(2)?, row.get(3)?, row.get(4)?);
        let named =
            |what: &str| format!("the sheaf of list {list:?} up to second {} {what}", last.0);
        let entries = unpack(row.get_ref(5)?.as_blob()?).unwrap_or_default();
        let is_ordered = entries.is_sorted_by(|a, b| a.key < b.key);
        if !is_ordered || entries.last().is_none_or(|entry| entry.key != last) {
            faults.push(named("cannot be read"));
            continue;
        }
        if before.is_some_and(|(of, last)| of == list && entries[0].key <= last) {
            faults.push(named("overlaps the one before"));
        }
        before = Some((list, last));
        for Entry { key, .. } in &entries {
            let is_right = session.query_row([key.2], |row| {
                let (lseq, start): (i64, i64) = (row.get(0)?, row.get(1)?);
                let ended: Option<i64> = row.get(2)?;
                let at = if is_by_end(list) { ended } else { Some(start) };
                Ok(lseq == key.1 && at == Some(key.0))
            });
            let is_right = match is_right {
                Err(rusqlite::Error::QueryReturnedNoRows) => false,
                is_right => is_right?,
            };
            let is_twice = twice.exists(params![list.0, list.1, key.0, key.1, key.2])?;
            n_strays += u64::from(!is_right || is_twice);
        }
    }
    if 0 < n_strays {
        faults.push(format!(
            "{n_strays} entries of sheaves point to no session as it is, or stand in the index too"
        ));
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Archives are full of it.
    #[test]
    fn entries_are_written_as_ever_and_come_back() {
        let entry = |at: i64, lseq: i64, start: i64, n: i64, born: i64| Entry {
            key: (at, lseq, (start << PLACE_BITS) | n),
            born,
        };
        let entries = [
            entry(1_700_000_000, 7, 1_700_000_000, 0, 3),
            entry(1_700_000_000, 9, 1_699_999_000, 5, 3),
            entry(1_700_000_900, 8, 1_700_000_000, 1, 99),
        ];
        let packed = pack(&entries);
        assert_eq!(unpack(&packed).unwrap(), entries);
        let hex: String = packed.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "0a0880c49fd50c00880e12030e04011a0500d00f880e2203000a022a040600c001"
        );
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end]).is_none(), "{end}");
        }
    }
}
