//! Sorted runs of ids in the database.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::block::{Block, Look, Pending, blocks};
use super::lesson::{Lesson, Part};
use super::{Id, Name, ids_in};
use crate::sqlite::error::corrupt_text;
use crate::sqlite::filter::{Filter, KEY_BITS, Key};

/// About as many ids has a block.
const BLOCK_IDS: usize = if cfg!(test) { 16 } else { 340 };
/// Runs of a level that become one of the next.
const MERGED_RUNS: usize = if cfg!(test) { 4 } else { 8 };
/// Ids that a commit merges at least, and for each fresh one of it: more than come in, at all levels.
const MERGE_IDS_MIN: usize = if cfg!(test) { 64 } else { 4 << 10 };
const MERGE_IDS_PER_FRESH: usize = 16;
/// Blocks without a use that a commit deletes, for each one that it may merge: more than merging
/// leaves behind.
const DELETED_PER_MERGED: usize = 2;
/// Ids that the formats before the fourth left, if they left any: to count them takes long. With more of them the
/// filter is less often right.
const OLD_IDS_EXPECTED: usize = if cfg!(test) { 256 } else { 4 << 20 };
/// Blocks that are looked at where they should be before the search halves what is left.
const GUESSES: u32 = 8;

/// Blocks of the formats before the ninth: sixteen bytes for each id.
const FORM_PLAIN: i64 = 0;
/// Blocks as [`super::block`] has them.
const FORM_PACKED: i64 = 1;

/// A run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    id: i64,
    level: i64,
    first: i64,
    pub(super) n_blocks: i64,
    form: i64,
    pub(super) part: Part,
}

/// All runs, and the filter that says which ids need not be looked for.
#[derive(Default)]
pub(super) struct Runs {
    live: Vec<Run>,
    filter: Filter,
    /// By which the filter learns what was there before this process.
    lesson: Option<Arc<Lesson>>,
    /// Ids that formats before the fourth sorted into a table, if there are any.
    old: Option<Part>,
    merging: Option<Merging>,
    has_garbage: bool,
}

/// A run being made of others.
struct Merging {
    inputs: Vec<Input>,
    output: Run,
    /// Blocks that are written.
    n_written: i64,
    /// Ids for the next block.
    pending: Pending,
    /// The key of the last id.
    last: Key,
}

/// A run being read from the front.
struct Input {
    run: Run,
    n_read: i64,
    ids: VecDeque<Id>,
}

impl Runs {
    /// Reads which runs there are. Gives what the filter is to learn, if there is anything.
    pub(super) fn load(&mut self, db: &Connection) -> rusqlite::Result<Option<&Arc<Lesson>>> {
        // The shortest first: most runs are short, and each that is learnt is spared.
        let mut select = db.prepare_cached(
            "SELECT id, level, first, n_blocks, form FROM id_run WHERE live = 1 \
             ORDER BY n_blocks, id",
        )?;
        let runs = select.query_map([], |row| {
            Ok(Run {
                id: row.get(0)?,
                level: row.get(1)?,
                first: row.get(2)?,
                n_blocks: row.get(3)?,
                form: row.get(4)?,
                part: Part::default(),
            })
        })?;
        self.live = runs.collect::<Result<_, _>>()?;
        self.has_garbage = true;
        let has_old = (db.prepare_cached("SELECT 1 FROM event_id LIMIT 1")?).exists([])?;
        if self.live.is_empty() && !has_old {
            return Ok(None);
        }
        let n_blocks: i64 = self.live.iter().map(|run| run.n_blocks).sum();
        let n_old = if has_old { OLD_IDS_EXPECTED } else { 0 };
        let (filter, room) = Filter::expecting(n_blocks as usize * BLOCK_IDS + n_old);
        self.filter = filter;
        for (run, part) in self.live.iter_mut().zip(Part::each()) {
            run.part = part;
        }
        self.old = Part::each().nth(self.live.len()).filter(|_| has_old);
        let lesson = Lesson::new(self.live.clone(), self.old, room);
        Ok(Some(self.lesson.insert(Arc::new(lesson))))
    }

    #[cfg(test)]
    pub(super) fn lesson(&self) -> Option<&Lesson> {
        self.lesson.as_deref()
    }

    /// The last part that the filter has.
    fn learnt(&self) -> Part {
        let lesson = self.lesson.as_ref();
        lesson.map_or(Part::default(), |lesson| lesson.learnt())
    }

    /// The runs there are now, to look into while this is changed: the blocks of a run stay until the
    /// commit after the one that has put others in its place.
    pub(super) fn view(&self) -> Runs {
        Runs {
            live: self.live.clone(),
            filter: self.filter.clone(),
            lesson: self.lesson.clone(),
            old: self.old,
            merging: None,
            has_garbage: false,
        }
    }

    /// Makes ready for being asked for these.
    pub(super) fn look_ahead(&self, keys: impl Iterator<Item = Key>) {
        self.filter.look_ahead(keys);
    }

    /// The digest of the event with this id, if a run has it.
    pub(super) fn find(&self, db: &Connection, name: &Name) -> rusqlite::Result<Option<u32>> {
        let key = Key::of(name);
        // Asked before the filter is, for it may not have said what it learns meanwhile.
        let learnt = self.learnt();
        let may_be_learnt = self.filter.may_have(key);
        for run in &self.live {
            if (may_be_learnt || learnt < run.part)
                && let Some(found) = run.find(db, key)?
            {
                return Ok(Some(found));
            }
        }
        match self.old {
            Some(part) if may_be_learnt || learnt < part => find_old(db, name),
            _ => Ok(None),
        }
    }

    /// Writes sorted ids as a run of the lowest level.
    pub(super) fn add(&mut self, db: &Connection, ids: &[Id]) -> rusqlite::Result<()> {
        let blocks = blocks(ids);
        let n_blocks = blocks.len() as i64;
        let run = Run::create(db, 0, n_blocks, 1)?;
        for (id, block) in (run.first..).zip(&blocks) {
            write_block(db, id, block)?;
        }
        ids.iter().for_each(|id| self.filter.add(id.key()));
        self.live.push(run);
        Ok(())
    }

    /// Does some of what is to be done, the more the more ids have come.
    pub(super) fn tend(&mut self, db: &Connection, n_fresh: usize) -> rusqlite::Result<()> {
        let n_ids = MERGE_IDS_MIN.max(MERGE_IDS_PER_FRESH * n_fresh);
        let n_blocks = DELETED_PER_MERGED * n_ids.div_ceil(BLOCK_IDS);
        self.delete_some(db, n_blocks as i64)?;
        if self.merging.is_none() {
            self.merging = self.begin_merge(db)?;
        }
        let Some(merging) = &mut self.merging else {
            return Ok(());
        };
        if !merging.go_on(db, n_ids)? {
            return Ok(());
        }
        let output = merging.output;
        let merged: Vec<Run> = merging.inputs.iter().map(|input| input.run).collect();
        self.merging = None;
        let mut set_live = db.prepare_cached("UPDATE id_run SET live = ?2 WHERE id = ?1")?;
        set_live.execute([output.id, 1])?;
        // The filter has all of it when it has all of them.
        let mut part = Part::default();
        for run in merged {
            set_live.execute([run.id, 0])?;
            self.live.retain(|live| live.id != run.id);
            part = part.max(run.part);
        }
        self.live.push(Run { part, ..output });
        self.has_garbage = true;
        Ok(())
    }

    /// Begins to merge the lowest level that has enough runs.
    fn begin_merge(&self, db: &Connection) -> rusqlite::Result<Option<Merging>> {
        // What is yet to be learnt keeps its blocks.
        let is_over = self.lesson.as_ref().is_none_or(|lesson| lesson.is_over());
        let learnt = self.learnt();
        let live = self.live.iter();
        let mut by_level: Vec<&Run> = live.filter(|run| is_over || run.part <= learnt).collect();
        by_level.sort_by_key(|run| (run.level, run.id));
        let Some(runs) = by_level
            .chunk_by(|a, b| a.level == b.level)
            .find(|runs| MERGED_RUNS <= runs.len())
        else {
            return Ok(None);
        };
        let runs = &runs[..MERGED_RUNS];
        let level = runs.iter().map(|run| run.level).max().unwrap_or(0) + 1;
        // The more ids there are, the fewer bits tell them apart, so there are fewer; more there must not
        // be.
        let n_blocks = runs.iter().map(|run| run.n_blocks).sum();
        let input = |run: &&Run| Input {
            run: **run,
            n_read: 0,
            ids: VecDeque::new(),
        };
        Ok(Some(Merging {
            inputs: runs.iter().map(input).collect(),
            output: Run::create(db, level, n_blocks, 0)?,
            n_written: 0,
            pending: Pending::default(),
            last: Key(0),
        }))
    }

    /// Deletes some blocks of runs whose ids others have, or that were never finished.
    fn delete_some(&mut self, db: &Connection, n_max: i64) -> rusqlite::Result<()> {
        if !self.has_garbage {
            return Ok(());
        }
        let own = self.merging.as_ref().map_or(0, |merging| merging.output.id);
        let found: Option<(i64, i64, i64)> = db
            .prepare_cached(
                "SELECT id, first, n_blocks FROM id_run WHERE live = 0 AND id <> ?1 LIMIT 1",
            )?
            .query_row([own], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((id, first, n_blocks)) = found else {
            self.has_garbage = false;
            return Ok(());
        };
        let n_left = (n_blocks - n_max).max(0);
        db.prepare_cached("DELETE FROM id_block WHERE ?1 <= id AND id < ?2")?
            .execute([first + n_left, first + n_blocks])?;
        if n_left == 0 {
            db.prepare_cached("DELETE FROM id_run WHERE id = ?1")?
                .execute([id])?;
        } else {
            db.prepare_cached("UPDATE id_run SET n_blocks = ?2 WHERE id = ?1")?
                .execute([id, n_left])?;
        }
        Ok(())
    }
}

/// Runs that lack blocks, and so would not know the events they should know.
pub(in crate::sqlite) fn faults(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = db.prepare(
        "SELECT id, n_blocks, (SELECT count(*) FROM id_block \
         WHERE first <= id_block.id AND id_block.id < first + n_blocks) \
         FROM id_run WHERE live = 1",
    )?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut faults = Vec::new();
    for row in rows {
        let (id, wanted, found): (i64, i64, i64) = row?;
        if wanted != found {
            faults.push(format!(
                "run {id} of event ids has {found} blocks and should have {wanted}"
            ));
        }
    }
    Ok(faults)
}

/// The digest of an event in the table of the formats before the fourth.
fn find_old(db: &Connection, name: &Name) -> rusqlite::Result<Option<u32>> {
    let digest: Option<i64> = db
        .prepare_cached("SELECT digest FROM event_id WHERE account = ?1 AND hash = ?2")?
        .query_row(params![name.account, name.hash], |row| row.get(0))
        .optional()?;
    Ok(digest.map(|digest| digest as u32))
}

impl Run {
    /// Writes down that there is a run, with room for so many blocks.
    fn create(db: &Connection, level: i64, n_blocks: i64, live: i64) -> rusqlite::Result<Run> {
        let first: i64 = db
            .prepare_cached("SELECT coalesce(max(first + n_blocks), 1) FROM id_run")?
            .query_row([], |row| row.get(0))?;
        db.prepare_cached(
            "INSERT INTO id_run (level, first, n_blocks, live, form) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute([level, first, n_blocks, live, FORM_PACKED])?;
        Ok(Run {
            id: db.last_insert_rowid(),
            level,
            first,
            n_blocks,
            form: FORM_PACKED,
            part: Part::default(),
        })
    }

    /// The ids of one of its blocks, at least one.
    fn block(&self, db: &Connection, n: i64) -> rusqlite::Result<Vec<Id>> {
        self.in_block(db, n, |bytes| {
            if self.form == FORM_PLAIN {
                return Ok(ids_in(bytes)?.iter().map(|id| Id::read(*id)).collect());
            }
            let ids = Block::parse(bytes).and_then(|block| block.ids());
            ids.ok_or_else(|| corrupt_text("ids"))
        })
    }

    /// Whether it is there still, and no other is in its place.
    pub(super) fn is_live(&self, db: &Connection) -> bool {
        let is_live = db
            .prepare_cached("SELECT 1 FROM id_run WHERE id = ?1 AND live = 1")
            .and_then(|mut select| select.exists([self.id]));
        is_live.unwrap_or(true)
    }

    /// Shows the keys of some of its blocks.
    pub(super) fn each_key(
        &self,
        db: &Connection,
        blocks: Range<i64>,
        mut see: impl FnMut(Key),
    ) -> rusqlite::Result<()> {
        let mut select =
            db.prepare_cached("SELECT ids FROM id_block WHERE ?1 <= id AND id < ?2 ORDER BY id")?;
        let mut rows = select.query([self.first + blocks.start, self.first + blocks.end])?;
        let mut n_left = blocks.end - blocks.start;
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(0)?.as_blob()?;
            if self.form == FORM_PLAIN {
                ids_in(bytes)?
                    .iter()
                    .for_each(|id| see(Id::read(*id).key()));
            } else {
                let seen = Block::parse(bytes).and_then(|block| block.each_key(&mut see));
                seen.ok_or_else(|| corrupt_text("ids"))?;
            }
            n_left -= 1;
        }
        // A run says which blocks it has.
        (n_left == 0)
            .then_some(())
            .ok_or_else(|| corrupt_text("ids"))
    }

    /// Where one of its blocks says that an id is.
    fn look(&self, db: &Connection, n: i64, key: Key) -> rusqlite::Result<Look> {
        if self.form == FORM_PLAIN {
            return Ok(look(&self.block(db, n)?, key));
        }
        self.in_block(db, n, |bytes| {
            let found = Block::parse(bytes).and_then(|block| block.look(key));
            found.ok_or_else(|| corrupt_text("ids"))
        })
    }

    fn in_block<T>(
        &self,
        db: &Connection,
        n: i64,
        see: impl FnOnce(&[u8]) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let seen = db
            .prepare_cached("SELECT ids FROM id_block WHERE id = ?1")?
            .query_row([self.first + n], |row| see(row.get_ref(0)?.as_blob()?))
            .optional()?;
        // A run says which blocks it has.
        seen.ok_or_else(|| corrupt_text("ids"))
    }

    /// The digest of the event with this id. Keys are as good as random, so the block in which one
    /// lies is guessed well, and from a block near by still better.
    fn find(&self, db: &Connection, key: Key) -> rusqlite::Result<Option<u32>> {
        let place = |key: Key| {
            let share = key.0 >> (KEY_BITS - u64::BITS);
            ((share * self.n_blocks as u128) >> u64::BITS) as i64
        };
        let (mut low, mut high) = (0, self.n_blocks);
        let mut guess = place(key);
        let mut n_guesses = 0;
        while low < high {
            n_guesses += 1;
            let next = match self.look(db, guess, key)? {
                Look::Here(found) => return Ok(found),
                Look::Before(least) => {
                    high = guess;
                    guess + (place(key) - place(least)).min(-1)
                }
                Look::Behind(most) => {
                    low = guess + 1;
                    guess + (place(key) - place(most)).max(1)
                }
            };
            if low < high {
                guess = if n_guesses < GUESSES {
                    next.clamp(low, high - 1)
                } else {
                    low.midpoint(high)
                };
            }
        }
        Ok(None)
    }
}

fn look(ids: &[Id], key: Key) -> Look {
    let (least, most) = (ids[0].key(), ids[ids.len() - 1].key());
    if key < least {
        return Look::Before(least);
    }
    if most < key {
        return Look::Behind(most);
    }
    let found = ids.binary_search_by_key(&key, |id| id.key());
    Look::Here(found.ok().map(|idx| ids[idx].digest()))
}

impl Merging {
    /// Merges so many ids. True when that was the last of it.
    fn go_on(&mut self, db: &Connection, n_ids: usize) -> rusqlite::Result<bool> {
        for _ in 0..n_ids {
            let Some(id) = self.next(db)? else {
                self.write(db)?;
                // Where the inputs' last blocks had room, there are fewer.
                self.output.n_blocks = self.n_written;
                db.prepare_cached("UPDATE id_run SET n_blocks = ?2 WHERE id = ?1")?
                    .execute([self.output.id, self.n_written])?;
                return Ok(true);
            };
            if id.key() < self.last {
                return Err(corrupt_text("ids"));
            }
            self.last = id.key();
            // The last block that there is room for takes all that are left.
            let is_last = self.n_written + 1 == self.output.n_blocks;
            if !is_last && !self.pending.has_room_for(id) {
                self.write(db)?;
            }
            self.pending.push(id);
        }
        Ok(false)
    }

    fn next(&mut self, db: &Connection) -> rusqlite::Result<Option<Id>> {
        for input in &mut self.inputs {
            input.fill(db)?;
        }
        let with_ids = self.inputs.iter_mut().filter(|input| !input.ids.is_empty());
        let least = with_ids.min_by_key(|input| input.ids.front().copied());
        Ok(least.and_then(|input| input.ids.pop_front()))
    }

    fn write(&mut self, db: &Connection) -> rusqlite::Result<()> {
        if !self.pending.is_empty() {
            let block = self.pending.take();
            write_block(db, self.output.first + self.n_written, &block)?;
            self.n_written += 1;
        }
        Ok(())
    }
}

impl Input {
    fn fill(&mut self, db: &Connection) -> rusqlite::Result<()> {
        if self.ids.is_empty() && self.n_read < self.run.n_blocks {
            self.ids.extend(self.run.block(db, self.n_read)?);
            self.n_read += 1;
        }
        Ok(())
    }
}

fn write_block(db: &Connection, id: i64, block: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO id_block VALUES (?1, ?2)")?
        .execute(params![id, block])?;
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{add, archive, name};
    use super::super::{Ids, UNSORTED_IDS_MAX};
    use super::*;

    /// An archive with runs of several lengths as another process has left it, its last commit, and how many
    /// ids it has.
    pub(in super::super) fn left_behind() -> (Connection, i64, u64) {
        let db = archive();
        let (mut ids, mut change) = (Ids::default(), 0);
        let n_ids = 11 * UNSORTED_IDS_MAX as u64;
        add(&mut ids, &db, &mut change, 0..n_ids, 128);
        (db, change, n_ids)
    }

    #[test]
    fn runs_of_the_formats_before_the_ninth_are_known_and_merged() {
        let (db, mut change, n_ids) = left_behind();
        let mut ids = Ids::default();
        ids.begin(&db, change).unwrap();
        for run in &ids.runs.live {
            for n in 0..run.n_blocks {
                let of_block = run.block(&db, n).unwrap();
                // These had twelve bytes of the key.
                let plain = of_block.iter().flat_map(|id| {
                    let mut bytes = id.bytes();
                    bytes[10..12].copy_from_slice(&[0xAB, 0xCD]);
                    bytes
                });
                let plain: Vec<u8> = plain.collect();
                db.execute(
                    "UPDATE id_block SET ids = ?2 WHERE id = ?1",
                    params![run.first + n, plain],
                )
                .unwrap();
            }
        }
        db.execute("UPDATE id_run SET form = 0", []).unwrap();
        let mut ids = Ids::default();
        ids.begin(&db, change).unwrap();
        for n in (0..n_ids).step_by(7) {
            let known = ids.know(&db, &name(n), 0).unwrap();
            assert_eq!(known, Some(n as u32), "{n}");
        }
        add(&mut ids, &db, &mut change, n_ids..4 * n_ids, 512);
        let plain = "SELECT count(*) FROM id_run WHERE form = 0 AND live = 1";
        let n_plain: i64 = db.query_row(plain, [], |row| row.get(0)).unwrap();
        assert!(n_plain < 4, "{n_plain}");
        for n in (0..4 * n_ids).step_by(7) {
            let known = ids.know(&db, &name(n), 0).unwrap();
            assert_eq!(known, Some(n as u32), "{n}");
        }
    }
}
