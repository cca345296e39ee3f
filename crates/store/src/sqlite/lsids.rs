//! Which sessions the archive does not have: most that events come of for the first time, and to look for
//! one costs a page of the index, which may be anywhere in it.
//!
//! A filter in memory. It is begun when much comes at once, learns then piece by piece what the database
//! has, and says nothing before it has learnt all.

use std::hash::BuildHasher as _;

use debrief_domain::Lsid;
use foldhash::fast::RandomState;
use rusqlite::{Connection, params};

use super::error::tells_damage;
use super::filter::{Filter, Key};

/// Lsids that are learnt at once: so many are read in some five milliseconds, where the index is in memory.
const LEARN_LSIDS: usize = if cfg!(test) { 64 } else { 16 << 10 };

/// Lsids that the archive may have.
#[derive(Default)]
pub(super) struct Lsids {
    filter: Filter,
    hasher: RandomState,
    learnt: Learnt,
}

/// How much of the database the filter has.
#[derive(Debug, Default, PartialEq, Eq)]
enum Learnt {
    /// Nor is anything noted.
    #[default]
    Nothing,
    To(String),
    All,
    /// Something cannot be read.
    Never,
}

impl Lsids {
    /// False only when the database has no such session, and none was noted that it may get.
    pub(super) fn may_have(&self, lsid: &Lsid) -> bool {
        self.learnt != Learnt::All || self.filter.may_have(self.key(lsid.as_str()))
    }

    /// Notes a session which the database may have from now on.
    pub(super) fn note(&mut self, lsid: &Lsid) {
        if matches!(self.learnt, Learnt::To(_) | Learnt::All) {
            self.add(lsid.as_str());
        }
    }

    /// Learns some more of what the database has. `remembered` are those that it may have soon: nobody has
    /// made any other session that this transaction does not see.
    pub(super) fn learn<'a>(
        &mut self,
        db: &Connection,
        remembered: impl Iterator<Item = &'a Lsid>,
    ) -> rusqlite::Result<()> {
        let after = match &self.learnt {
            Learnt::All | Learnt::Never => return Ok(()),
            Learnt::To(last) => last.clone(),
            Learnt::Nothing => {
                remembered.for_each(|lsid| self.add(lsid.as_str()));
                String::new()
            }
        };
        self.learnt = match self.learn_after(db, after) {
            Ok(learnt) => learnt,
            Err(error) if tells_damage(&error) => {
                tracing::warn!(%error, "each session that is new is looked for in the archive");
                self.filter = Filter::default();
                Learnt::Never
            }
            // It may have ended the transaction.
            Err(error) => return Err(error),
        };
        Ok(())
    }

    fn learn_after(&mut self, db: &Connection, after: String) -> rusqlite::Result<Learnt> {
        let mut select =
            db.prepare_cached("SELECT lsid FROM session WHERE ?1 < lsid ORDER BY lsid LIMIT ?2")?;
        let mut rows = select.query(params![after, LEARN_LSIDS as i64])?;
        let (mut last, mut n_read) = (after, 0);
        while let Some(row) = rows.next()? {
            let lsid = row.get_ref(0)?.as_str()?;
            self.add(lsid);
            n_read += 1;
            if n_read == LEARN_LSIDS {
                last = lsid.to_owned();
            }
        }
        Ok(if n_read < LEARN_LSIDS {
            Learnt::All
        } else {
            Learnt::To(last)
        })
    }

    /// Adds one that is not there. Sessions that are forgotten and remembered again must not fill the filter.
    fn add(&mut self, lsid: &str) {
        let key = self.key(lsid);
        if !self.filter.may_have(key) {
            self.filter.add(key);
        }
    }

    #[cfg(test)]
    pub(super) fn knows_all(&self) -> bool {
        self.learnt == Learnt::All
    }

    fn key(&self, lsid: &str) -> Key {
        Key::of_hash(self.hasher.hash_one(lsid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lsid(n: usize) -> Lsid {
        Lsid::parse(&format!("{n:06}")).unwrap()
    }

    /// An archive that has this many sessions.
    fn archive(n_sessions: usize) -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE session (lsid TEXT NOT NULL UNIQUE)")
            .unwrap();
        (0..n_sessions).for_each(|n| insert(&db, n));
        db
    }

    fn insert(db: &Connection, n: usize) {
        db.execute("INSERT INTO session VALUES (?1)", [lsid(n).as_str()])
            .unwrap();
    }

    #[test]
    fn it_says_nothing_before_it_has_learnt_all_and_then_what_is_not_there() {
        for n_sessions in [0, 1, LEARN_LSIDS - 1, LEARN_LSIDS, 2 * LEARN_LSIDS + 1] {
            let db = archive(n_sessions);
            let mut lsids = Lsids::default();
            for _ in 0..=n_sessions / LEARN_LSIDS {
                assert!(lsids.may_have(&lsid(n_sessions)), "{n_sessions}");
                lsids.learn(&db, std::iter::empty()).unwrap();
            }
            assert!(lsids.knows_all());
            assert!((0..n_sessions).all(|n| lsids.may_have(&lsid(n))));
            let n_wrong = (n_sessions..n_sessions + 1_000).filter(|n| lsids.may_have(&lsid(*n)));
            assert!(n_wrong.count() < 3, "{n_sessions}");
        }
    }

    #[test]
    fn sessions_that_come_before_and_while_it_learns_are_not_missed() {
        let db = archive(LEARN_LSIDS);
        let mut lsids = Lsids::default();
        // Nobody has begun to learn: it is found later.
        insert(&db, LEARN_LSIDS);
        lsids.note(&lsid(LEARN_LSIDS));
        let waits = lsid(1_000_000);
        lsids.learn(&db, std::iter::once(&waits)).unwrap();
        // Before and behind what it has learnt.
        db.execute("INSERT INTO session VALUES ('00000')", [])
            .unwrap();
        let before = Lsid::parse("00000").unwrap();
        lsids.note(&before);
        insert(&db, LEARN_LSIDS + 1);
        lsids.learn(&db, std::iter::empty()).unwrap();
        assert!(lsids.knows_all());
        let later = Lsid::parse("later").unwrap();
        assert!(!lsids.may_have(&later));
        lsids.note(&later);
        for one in [waits, before, later] {
            assert!(lsids.may_have(&one), "{one}");
        }
        assert!((0..=LEARN_LSIDS + 1).all(|n| lsids.may_have(&lsid(n))));
    }

    #[test]
    fn what_cannot_be_read_is_no_reason_to_miss_a_session() {
        let db = archive(1);
        db.execute("INSERT INTO session VALUES (x'ff')", [])
            .unwrap();
        let mut lsids = Lsids::default();
        for _ in 0..2 {
            lsids.learn(&db, std::iter::empty()).unwrap();
            assert_eq!(lsids.learnt, Learnt::Never);
            assert!(lsids.may_have(&lsid(0)) && lsids.may_have(&lsid(1)));
        }
    }

    #[test]
    fn what_may_have_ended_the_transaction_is_told_and_it_learns_later() {
        let db = archive(1);
        let mut lsids = Lsids::default();
        db.execute_batch("ALTER TABLE session RENAME TO gone")
            .unwrap();
        assert!(lsids.learn(&db, std::iter::once(&lsid(7))).is_err());
        assert!(lsids.may_have(&lsid(8)));
        db.execute_batch("ALTER TABLE gone RENAME TO session")
            .unwrap();
        lsids.learn(&db, std::iter::once(&lsid(7))).unwrap();
        assert!(lsids.may_have(&lsid(0)) && lsids.may_have(&lsid(7)));
        assert!(!lsids.may_have(&lsid(8)));
    }

    #[test]
    fn a_session_that_is_noted_again_takes_no_room() {
        let db = archive(0);
        let mut lsids = Lsids::default();
        lsids.learn(&db, std::iter::empty()).unwrap();
        for _ in 0..3 {
            (0..100).for_each(|n| lsids.note(&lsid(n)));
        }
        assert!(lsids.filter.n_keys() <= 100);
    }
}
