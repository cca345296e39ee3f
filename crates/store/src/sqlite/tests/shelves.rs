//! Shelves: made of what is there, used, emptied by whatever changes it, and compared by `verify`.

use super::*;

fn count(directory: &Path, which: &str) -> i64 {
    let db = Connection::open(directory.join("archive.sqlite")).unwrap();
    let sql = format!("SELECT count(*) FROM shelf WHERE {which}");
    db.query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// A store with sealed sessions `s0`, `s1` … a hundred seconds apart, whose bytes are their names.
pub(super) async fn store(n_sessions: i64) -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for n in 0..n_sessions {
        let name = format!("s{n}");
        sealed(&store, &name, n * 100, name.as_bytes()).await;
    }
    (directory, store)
}

pub(super) async fn tidy(store: &Store) {
    while 0 < store.tidy(At::MIN, 64).await.unwrap() {}
}

async fn names(store: &Store) -> Vec<String> {
    let bodies = bodies(store).await.unwrap();
    let text = |body: Vec<u8>| String::from_utf8(body).unwrap();
    bodies.into_iter().map(text).collect()
}

fn expected(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|n| format!("s{n}")).collect()
}

#[tokio::test]
async fn a_shelf_is_put_up_when_there_is_enough_for_it_and_not_before() {
    for (n_sessions, n_shelves) in [(2, 0), (3, 1), (5, 1), (6, 2)] {
        let (directory, store) = store(n_sessions).await;
        tidy(&store).await;
        assert_eq!(count(directory.path(), "TRUE"), n_shelves, "{n_sessions}");
        assert_eq!(names(&store).await, expected(0..n_sessions));
        assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_new_shelf_waits_for_one_session_at_most() {
    for (n_running, n_shelves) in [(1, 1), (2, 0)] {
        let (directory, store) = store(3 - n_running).await;
        for n in 0..n_running {
            let lsid = format!("running{n}");
            append(&store, session(&lsid, 1_000 + n, None, "1", "2", "1")).await;
        }
        tidy(&store).await;
        assert_eq!(count(directory.path(), "TRUE"), n_shelves, "{n_running}");
        let all = read(&store, started().which, Filter::All).await;
        assert_eq!(all.len(), 3, "{all:?}");
    }
}

#[tokio::test]
async fn reports_read_shelves_and_verify_compares_them() {
    let (directory, store) = store(6).await;
    tidy(&store).await;
    let db = Connection::open(directory.path().join("archive.sqlite")).unwrap();
    // The first shelf tells what the second has: only a report that reads it can be wrong by that.
    db.execute(
        "UPDATE shelf SET rows = (SELECT rows FROM shelf WHERE id = 2) WHERE id = 1",
        [],
    )
    .unwrap();
    let shown = names(&store).await;
    assert_eq!(shown, ["s3", "s4", "s5", "s3", "s4", "s5"]);
    let faults = store.integrity().await.unwrap();
    assert_eq!(
        faults,
        ["the shelf up to second 1700000200 has not what the index has"]
    );
    // One that cannot be read is named, and reports are whole without it.
    db.execute("UPDATE shelf SET rows = x'0A' WHERE id = 1", [])
        .unwrap();
    assert_eq!(names(&store).await, expected(0..6));
    let faults = store.integrity().await.unwrap();
    assert_eq!(faults, ["the shelf up to second 1700000200 cannot be read"]);
}

#[tokio::test]
async fn behind_an_empty_shelf_reports_read_shelves_again() {
    let (directory, store) = store(9).await;
    tidy(&store).await;
    let db = Connection::open(directory.path().join("archive.sqlite")).unwrap();
    db.execute_batch(
        "UPDATE shelf SET change = NULL, rows = NULL WHERE id = 1; \
         UPDATE shelf SET rows = (SELECT rows FROM shelf WHERE id = 3) WHERE id = 2",
    )
    .unwrap();
    let shown = names(&store).await;
    let again = [expected(0..3), expected(6..9), expected(6..9)].concat();
    assert_eq!(shown, again);
}

#[tokio::test]
async fn sessions_that_are_never_sealed_hold_up_shelves_up_to_a_limit() {
    for (n_behind, n_shelves) in [(8, 0), (9, 4)] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        for n in 0..3 {
            let lsid = format!("running{n}");
            append(&store, session(&lsid, n, None, "1", "2", "1")).await;
        }
        for n in 0..n_behind {
            sealed(&store, &format!("s{n}"), 100 + n, b"body").await;
        }
        tidy(&store).await;
        assert_eq!(count(directory.path(), "TRUE"), n_shelves, "{n_behind}");
        let all = read(&store, started().which, Filter::All).await;
        assert_eq!(all.len() as i64, 3 + n_behind);
    }
}

#[tokio::test]
async fn whatever_changes_a_session_empties_its_shelf_and_no_other() {
    let (directory, store) = store(9).await;
    tidy(&store).await;
    let is_empty = || {
        let empty = ["1", "2", "3"]
            .iter()
            .filter(|id| 0 < count(directory.path(), &format!("rows IS NULL AND id = {id}")));
        empty.copied().collect::<Vec<_>>()
    };
    assert!(is_empty().is_empty());
    // A late event.
    let mut late = session("s4", 400, None, "1", "2", "1");
    late.truncate(1);
    late[0].id = EventId::parse("late").unwrap();
    append(&store, late).await;
    assert_eq!(read(&store, started().which, Filter::All).await.len(), 9);
    assert_eq!(is_empty(), ["2"]);
    // One that is sealed while its shelf is there.
    tidy(&store).await;
    assert!(is_empty().is_empty());
    sealed(&store, "s4", 400, b"again").await;
    assert_eq!(is_empty(), ["2"]);
    // A session that comes in between.
    tidy(&store).await;
    sealed(&store, "between", 150, b"between").await;
    assert_eq!(is_empty(), ["1"]);
    tidy(&store).await;
    // It was one more than fits: there is a fourth shelf.
    assert_eq!(count(directory.path(), "rows IS NOT NULL"), 4);
    let shown = [
        "s0", "s1", "between", "s2", "s3", "again", "s5", "s6", "s7", "s8",
    ];
    assert_eq!(names(&store).await, shown);
    // Behind the last shelf there is none to empty.
    sealed(&store, "last", 5_000, b"last").await;
    assert_eq!(count(directory.path(), "rows IS NULL"), 0);
    assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_report_that_began_before_sees_what_the_new_shelf_has_not() {
    let (_directory, store) = store(6).await;
    tidy(&store).await;
    let selection = debrief_domain::Selection {
        which: started().which,
        filter: Filter::All,
    };
    let reading = Reading::new(selection, crate::Members::default());
    let first = |_: crate::Found<'_>| Ok(Flow::Full);
    let mut reading = store.page(reading, Box::new(first)).await.unwrap();
    // One that it must not see, between those it has still to show.
    sealed(&store, "new", 450, b"new").await;
    tidy(&store).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    while !reading.is_done() {
        let seen = Arc::clone(&seen);
        let visit = move |found: crate::Found<'_>| {
            if let crate::Found::Sealed { body, .. } = found {
                seen.lock()
                    .unwrap()
                    .push(String::from_utf8(body.to_vec()).unwrap());
            }
            Ok(Flow::More)
        };
        reading = store.page(reading, Box::new(visit)).await.unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), expected(1..6));
}

#[tokio::test]
async fn what_the_fourth_format_had_not_settled_is_there_and_put_on_shelves() {
    let directory = tempfile::tempdir().unwrap();
    let db = Connection::open(directory.path().join("archive.sqlite")).unwrap();
    db.execute_batch(include_str!("../../../tests/format4.sql"))
        .unwrap();
    drop(db);
    let store = Store::open(directory.path()).unwrap();
    let all = read(&store, started().which, Filter::All).await;
    assert_eq!(all, ["s0", "s1", "s2", "s3"]);
    // Whatever is sealed next seals them too.
    assert_eq!(sealed(&store, "s4", 400, b"body").await, 5);
    tidy(&store).await;
    assert_eq!(count(directory.path(), "rows IS NOT NULL"), 1);
    assert_eq!(bodies(&store).await.unwrap().len(), 5);
    assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
}
