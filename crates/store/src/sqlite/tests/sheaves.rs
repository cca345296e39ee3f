//! Sheaves: bound of what is there, read beside the index, let go by whatever ends one of their entries,
//! and compared by `verify`.

use super::shelves::{store, tidy};
use super::*;
use crate::conformance::one_page;
use debrief_domain::{SiteId, TeamId, Window};

fn number(directory: &Path, sql: &str) -> i64 {
    db(directory).query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Living entries in the index and sheaves.
fn n_loose_and_sheaves(directory: &Path) -> (i64, i64) {
    (
        number(directory, "SELECT count(*) FROM pick WHERE died IS NULL"),
        number(directory, "SELECT count(*) FROM sheaf"),
    )
}

async fn assert_whole(store: &Store) {
    assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
    for examined in store.examine(-1, 100).await.unwrap() {
        assert_eq!(examined.faults, Vec::<String>::new());
    }
}

/// What each filter finds, by start and by end.
async fn all_lists(store: &Store) -> Vec<Vec<String>> {
    let filters = [
        Filter::All,
        Filter::AnyTeam,
        Filter::OwnedBy(RepId::parse("1").unwrap()),
        Filter::Team(TeamId::parse("2").unwrap()),
        Filter::Site(SiteId::parse("1").unwrap()),
        Filter::OwnedBy(RepId::parse("nobody").unwrap()),
    ];
    let mut lists = Vec::new();
    for filter in filters {
        for window in [
            Window {
                from: At::MIN,
                until: None,
            },
            Window {
                from: crate::conformance::at(200),
                until: Some(crate::conformance::at(500)),
            },
        ] {
            for which in [Which::Started(window), Which::Ended(window)] {
                lists.push(read(store, which, filter.clone()).await);
            }
        }
    }
    lists
}

#[tokio::test]
async fn lists_are_bound_when_they_are_long_enough_and_read_the_same() {
    // Three make a sheaf, and three are left.
    for (n_sessions, n_sheaves) in [(5, 0), (6, 1), (8, 1), (9, 2)] {
        let (directory, store) = store(n_sessions).await;
        let before = all_lists(&store).await;
        assert_eq!(before[0].len() as i64, n_sessions);
        let (n_entries, _) = n_loose_and_sheaves(directory.path());
        tidy(&store).await;
        // Of all sessions, of their owner, any team, their team and their site, each by start and by end.
        let n_sheaves = 10 * n_sheaves;
        assert_eq!(
            n_loose_and_sheaves(directory.path()),
            (n_entries - 3 * n_sheaves, n_sheaves)
        );
        assert_eq!(all_lists(&store).await, before);
        assert_whole(&store).await;
    }
}

/// Sessions that begin in second 100 and end in second 200, handed in as one batch.
async fn busy_second(store: &Store, names: std::ops::Range<i64>) {
    let sessions = names.map(|n| session(&format!("s{n:02}"), 100, Some(200), "1", "2", "1"));
    append(store, sessions.flatten().collect()).await;
}

#[tokio::test]
async fn what_comes_of_one_second_at_once_is_bound_at_once() {
    // Each has ten entries, and sixty-four are put together. One alone stays loose.
    for (n_sessions, n_loose, n_sheaves) in [
        (1, 10, 0),
        (2, 0, 10),
        (3, 0, 10),
        (4, 10, 10),
        (5, 0, 20),
        (20, 40, 54),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        busy_second(&store, 0..n_sessions).await;
        let expected: Vec<String> = (0..n_sessions).map(|n| format!("s{n:02}")).collect();
        assert_eq!(read(&store, started().which, Filter::All).await, expected);
        let found = n_loose_and_sheaves(directory.path());
        if n_sessions <= 5 {
            assert_eq!(found, (n_loose, n_sheaves), "{n_sessions}");
        } else {
            assert!(found.0 <= n_loose && n_sheaves <= found.1, "{found:?}");
        }
        assert_whole(&store).await;
    }
}

#[tokio::test]
async fn what_comes_of_a_busy_second_later_is_bound_behind_it_or_stays_loose() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    busy_second(&store, 0..3).await;
    let selection = debrief_domain::Selection {
        which: started().which,
        filter: Filter::All,
    };
    let reading = Reading::new(selection, crate::Members::default());
    let (reading, first) = one_page(&store, reading, 1).await;
    busy_second(&store, 3..6).await;
    let found = read(&store, started().which, Filter::All).await;
    assert_eq!(found, ["s00", "s01", "s02", "s03", "s04", "s05"]);
    assert_eq!(n_loose_and_sheaves(directory.path()), (0, 20));
    // A report that began before has none of them.
    let rest = crate::conformance::rest(&store, reading).await;
    assert_eq!([first, rest].concat(), ["s00", "s01", "s02"]);
    // Numbers that documents tell may be in any order: these come among others.
    let documents: Vec<Document> = [(1, "a"), (4, "b"), (6, "c")]
        .into_iter()
        .map(|(lseq, name)| Document {
            lseq: Some(lseq),
            ..crate::conformance::document(name, 100, Some(200), 1)
        })
        .collect();
    store
        .import(documents, crate::conformance::at(10_000))
        .await
        .unwrap();
    let found = read(&store, started().which, Filter::All).await;
    assert_eq!(
        found,
        [
            "s00", "a/1", "s01", "s02", "s03", "b/1", "s04", "s05", "c/1"
        ]
    );
    assert_eq!(n_loose_and_sheaves(directory.path()).1, 20);
    assert_whole(&store).await;
}

#[tokio::test]
async fn a_session_that_is_imported_twice_at_once_has_the_entries_of_the_last() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let mut documents: Vec<Document> = (0..6)
        .map(|n| crate::conformance::document(&format!("s{n}"), 100, Some(200), 1))
        .collect();
    documents.push(crate::conformance::document("s1", 150, Some(250), 2));
    let import = store
        .import(documents, crate::conformance::at(10_000))
        .await
        .unwrap();
    assert_eq!((import.fresh, import.replaced), (6, 1));
    let found = read(&store, started().which, Filter::All).await;
    assert_eq!(found, ["s0/1", "s2/1", "s3/1", "s4/1", "s5/1", "s1/2"]);
    assert_eq!(all_lists(&store).await[1].len(), 6);
    assert_whole(&store).await;
}

#[tokio::test]
async fn an_entry_that_ends_lets_its_sheaf_go_and_earlier_moments_see_it() {
    let (directory, store) = store(9).await;
    tidy(&store).await;
    let before = all_lists(&store).await;
    let selection = debrief_domain::Selection {
        which: started().which,
        filter: Filter::OwnedBy(RepId::parse("1").unwrap()),
    };
    let reading = Reading::new(selection, crate::Members::default());
    let (reading, first) = one_page(&store, reading, 1).await;
    assert_eq!(first, ["s0"]);
    // It began earlier than it seemed: all of its entries by start end.
    let mut late = session("s4", 150, None, "1", "2", "1");
    late.truncate(1);
    late[0].id = EventId::parse("late").unwrap();
    append(&store, late).await;
    let after = all_lists(&store).await;
    assert_eq!(after[0][..4], ["s0", "s1", "s4", "s2"]);
    assert_eq!(before[0].len(), after[0].len());
    // Five of ten lists, each with two sheaves before.
    assert_eq!(n_loose_and_sheaves(directory.path()).1, 15);
    let rest = crate::conformance::rest(&store, reading).await;
    assert_eq!([first, rest].concat(), before[8]);
    seal_all(&store, b"s4").await;
    tidy(&store).await;
    assert_eq!(all_lists(&store).await, after);
    assert_whole(&store).await;
}

#[tokio::test]
async fn entries_that_come_late_are_bound_again_with_those_they_came_between() {
    let (directory, store) = store(9).await;
    tidy(&store).await;
    let (n_loose, _) = n_loose_and_sheaves(directory.path());
    for n in 0..3 {
        let name = format!("late{n}");
        sealed(&store, &name, 110 + n, name.as_bytes()).await;
    }
    let before = all_lists(&store).await;
    tidy(&store).await;
    assert_eq!(all_lists(&store).await, before);
    let bound = n_loose_and_sheaves(directory.path());
    assert_eq!(bound, (n_loose, 30));
    assert_whole(&store).await;
}

#[tokio::test]
async fn a_sheaf_that_cannot_be_read_is_an_error_and_never_a_shorter_report() {
    let (directory, store) = store(9).await;
    tidy(&store).await;
    for damage in [
        "UPDATE sheaf SET entries = x'0A'",
        "UPDATE sheaf SET entries = x''",
        "UPDATE sheaf SET last_at = last_at + 1",
    ] {
        let db = db(directory.path());
        db.execute_batch("CREATE TABLE copy AS SELECT * FROM sheaf")
            .unwrap();
        db.execute(damage, []).unwrap();
        let selection = debrief_domain::Selection {
            which: started().which,
            filter: Filter::AnyTeam,
        };
        let reading = Reading::new(selection, crate::Members::default());
        let shown = store.page(reading, Box::new(|_| Ok(Flow::More))).await;
        assert!(matches!(shown, Err(StoreError::Corrupt { .. })), "{damage}");
        let faults = store.integrity().await.unwrap();
        assert!(
            faults.iter().any(|fault| fault.contains("sheaf")),
            "{faults:?}"
        );
        db.execute_batch(
            "DELETE FROM sheaf; INSERT INTO sheaf SELECT * FROM copy; DROP TABLE copy",
        )
        .unwrap();
    }
    assert_whole(&store).await;
}

#[tokio::test]
async fn events_are_settled_though_their_sessions_sheaf_cannot_be_read() {
    let (directory, store) = store(9).await;
    tidy(&store).await;
    db(directory.path())
        .execute("UPDATE sheaf SET entries = x'0A'", [])
        .unwrap();
    // It began earlier than it seemed, so its entries end.
    let mut late = session("s4", 150, None, "1", "2", "1");
    late.truncate(1);
    late[0].id = EventId::parse("late").unwrap();
    append(&store, late).await;
    append(&store, session("other", 900, None, "1", "2", "1")).await;
    assert_eq!(store.last_change().await.unwrap(), 11);
    let examined = store.examine(-1, 100).await.unwrap();
    let of = |lsid: &str| examined.iter().find(|e| e.lsid == lsid).unwrap();
    assert_eq!((of("s4").events.len(), of("other").events.len()), (5, 3));
    assert!(!of("s4").faults.is_empty());
    assert_eq!(of("other").faults, Vec::<String>::new());
}

#[tokio::test]
async fn a_busy_second_is_settled_though_a_sheaf_of_it_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    busy_second(&store, 0..6).await;
    assert_eq!(read(&store, started().which, Filter::All).await.len(), 6);
    db(directory.path())
        .execute(
            "UPDATE sheaf SET entries = x'0A', last_lseq = last_lseq + 90",
            [],
        )
        .unwrap();
    busy_second(&store, 6..9).await;
    assert_eq!(store.last_change().await.unwrap(), 2);
    // What came is where it can be read.
    assert_eq!(n_loose_and_sheaves(directory.path()), (30, 20));
    let examined = store.examine(-1, 100).await.unwrap();
    assert_eq!(examined.len(), 9);
    let late = examined.iter().filter(|e| "s05" < e.lsid.as_str());
    assert_eq!(late.map(|e| e.events.len()).collect::<Vec<_>>(), [4, 4, 4]);
}

#[tokio::test]
async fn entries_that_belong_to_no_session_or_stand_twice_are_named() {
    let (directory, store) = store(9).await;
    tidy(&store).await;
    let db = db(directory.path());
    db.execute_batch("BEGIN; UPDATE session SET lseq = lseq + 100 WHERE lsid = 's1'")
        .unwrap();
    assert_eq!(sheaf::faults(&db).unwrap().len(), 1);
    db.execute_batch("ROLLBACK; BEGIN; DELETE FROM session WHERE lsid = 's1'")
        .unwrap();
    assert_eq!(sheaf::faults(&db).unwrap().len(), 1);
    db.execute_batch(
        "ROLLBACK; BEGIN; INSERT OR IGNORE INTO pick SELECT 0, 0, start, lseq, place, born, NULL FROM session",
    )
    .unwrap();
    assert_eq!(sheaf::faults(&db).unwrap().len(), 1);
    // Of a list with three entries in a sheaf, all of them in the next sheaf of the list too.
    db.execute_batch("ROLLBACK; BEGIN").unwrap();
    let mut overlapping =
        sheaf::keys(&db, (0, 0), (i64::MIN, 0, 0), i64::MAX, i64::MAX, 3).unwrap();
    let later = sheaf::keys(&db, (0, 0), overlapping[2], i64::MAX, i64::MAX, 3).unwrap();
    overlapping.push(later[2]);
    db.execute(
        "UPDATE sheaf SET entries = ?1 WHERE kind = 0 AND owner = 0 AND last_at = ?2",
        rusqlite::params![sheaf::packed(&overlapping), later[2].0],
    )
    .unwrap();
    let faults = sheaf::faults(&db).unwrap();
    assert!(faults.iter().any(|f| f.contains("overlaps")), "{faults:?}");
    db.execute_batch("ROLLBACK").unwrap();
    assert_eq!(sheaf::faults(&db).unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn two_processes_bind_what_is_there_once() {
    let (directory, store) = store(9).await;
    let ours = Sqlite::open(directory.path()).unwrap();
    let theirs = Sqlite::open(directory.path()).unwrap();
    let looked = ours.read(|db| sheaf::tasks(db, sheaf::Looks::default()));
    let tasks = looked.await.unwrap();
    while 0 < theirs.tidy(At::MIN, 64).await.unwrap() {}
    let before = n_loose_and_sheaves(directory.path());
    let n_entries = ours.write(move |writer| sheaf::work(writer, &tasks)).await;
    assert_eq!(n_entries.unwrap(), 0);
    assert_eq!(n_loose_and_sheaves(directory.path()), before);
    assert_whole(&store).await;
}

/// Looks until it is through, and finds nothing to do. Gives how many looks that took.
async fn n_looks(sqlite: &Sqlite, looks: &mut sheaf::Looks) -> usize {
    let mut n = 0;
    loop {
        let from = *looks;
        let tasks = sqlite.read(move |db| sheaf::tasks(db, from)).await.unwrap();
        assert!(tasks.is_empty());
        *looks = tasks.looks();
        n += 1;
        if looks.is_through() {
            return n;
        }
    }
}

#[tokio::test]
async fn what_was_looked_through_is_looked_through_again_only_where_something_came() {
    let (directory, store) = store(60).await;
    tidy(&store).await;
    // One that stays loose among those of each sheaf: each must be looked at.
    for n in 0..19 {
        let name = format!("late{n}");
        sealed(&store, &name, 300 * n + 50, name.as_bytes()).await;
    }
    tidy(&store).await;
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let mut looks = sheaf::Looks::default();
    let n_all = n_looks(&sqlite, &mut looks).await;
    assert_eq!(n_looks(&sqlite, &mut looks).await, 1);
    sealed(&store, "new", 6_000, b"new").await;
    let n_new = n_looks(&sqlite, &mut looks).await;
    assert!(1 < n_new && 3 * n_new < n_all, "{n_new}, {n_all}");
    assert_eq!(n_looks(&sqlite, &mut looks).await, 1);
    // Before everything else, so that all of it is looked through.
    sealed(&store, "first", -100, b"first").await;
    assert!(n_all <= n_looks(&sqlite, &mut looks).await);
}

#[tokio::test]
async fn what_went_back_into_the_index_is_bound_though_nothing_new_is_near() {
    let (directory, store) = store(12).await;
    tidy(&store).await;
    assert_eq!(n_loose_and_sheaves(directory.path()).1, 30);
    // They end later than it seemed, and leave two sheaves of each list by end.
    for (lsid, ended) in [("s1", 9_000), ("s4", 9_100)] {
        let mut ends = session(lsid, 0, Some(ended), "1", "2", "1");
        ends.drain(..ends.len() - 1);
        ends[0].id = EventId::parse(&format!("{lsid} ends")).unwrap();
        append(&store, ends).await;
    }
    seal_all(&store, b"again").await;
    let before = all_lists(&store).await;
    assert_eq!(n_loose_and_sheaves(directory.path()).1, 20);
    tidy(&store).await;
    assert_eq!(n_loose_and_sheaves(directory.path()).1, 25);
    assert_eq!(all_lists(&store).await, before);
    assert_whole(&store).await;
}

#[tokio::test]
async fn short_sheaves_are_bound_with_the_loose_entries_around_them() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let mut names = 0..;
    let mut come = async |start: i64, n_sessions: usize| {
        let names: Vec<i64> = names.by_ref().take(n_sessions).collect();
        let sessions = names.iter().map(|n| {
            let end = Some(start + 5_000);
            session(&format!("s{n:02}"), start, end, "1", "2", "1")
        });
        append(&store, sessions.flatten().collect()).await;
        store.last_change().await.unwrap();
    };
    for n in 0..5 {
        come(100 * n, 1).await;
    }
    tidy(&store).await;
    come(500, 2).await;
    tidy(&store).await;
    // Five are left to those that come late; the pair was bound at once.
    assert_eq!(n_loose_and_sheaves(directory.path()), (50, 10));
    for n in 6..8 {
        come(100 * n, 1).await;
    }
    tidy(&store).await;
    // Behind what was looked through before, and before the pair.
    assert_eq!(n_loose_and_sheaves(directory.path()), (40, 20));
    for n in 8..10 {
        come(100 * n, 1).await;
    }
    let before = all_lists(&store).await;
    tidy(&store).await;
    // Two sheaves of three in each list: the pair is no more.
    assert_eq!(n_loose_and_sheaves(directory.path()), (50, 20));
    assert_eq!(all_lists(&store).await, before);
    assert_whole(&store).await;
}
