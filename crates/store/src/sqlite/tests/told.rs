//! Events of sealed sessions, of which only what their sealed bytes do not say is kept.

use super::*;
use crate::conformance::{at, event};

fn forms(directory: &Path) -> Vec<i64> {
    let db = db(directory);
    let mut select = db
        .prepare("SELECT form FROM event ORDER BY place, id")
        .unwrap();
    let forms = select.query_map([], |row| row.get(0)).unwrap();
    forms.collect::<Result<_, _>>().unwrap()
}

/// Four sealed sessions, and their events.
async fn sealed_ones() -> (tempfile::TempDir, Store, Vec<Vec<Event>>) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for n in 0..4 {
        sealed(&store, &format!("s{n}"), n, format!("body {n}").as_bytes()).await;
    }
    let before = events(&store).await;
    (directory, store, before)
}

/// A group of them that is not yet in the archive.
async fn group_of(directory: &Path) -> (Sqlite, events::Group) {
    let sqlite = Sqlite::open(directory).unwrap();
    let segments = Arc::clone(&sqlite.files.segments);
    let group = sqlite.read(move |db| events::group(db, &segments));
    let group = group.await.unwrap().unwrap();
    (sqlite, group)
}

/// The same, in a group beside their bytes.
async fn grouped() -> (tempfile::TempDir, Store, Vec<Vec<Event>>) {
    let (directory, store, before) = sealed_ones().await;
    while 0 < store.tidy(At::MIN, 64).await.unwrap() {}
    assert_eq!(forms(directory.path()), [4; 4]);
    (directory, store, before)
}

/// The events of all sessions, of which none is at fault.
async fn events(store: &Store) -> Vec<Vec<Event>> {
    let examined = store.examine(-1, 100).await.unwrap();
    let events = examined.into_iter().map(|examined| {
        assert_eq!(examined.faults, Vec::<String>::new());
        examined.events
    });
    events.collect()
}

fn late(lsid: &str) -> Vec<Event> {
    vec![event(
        &format!("late-{lsid}"),
        lsid,
        1,
        EventType::ChatMessage,
    )]
}

#[tokio::test]
async fn they_are_those_that_were_sent() {
    let (_directory, store, before) = grouped().await;
    assert_eq!(events(&store).await, before);
    assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn before_sealed_bytes_go_they_are_whole_again() {
    let (directory, store, before) = grouped().await;
    // A late event, after which the sealed bytes are gone.
    append(&store, late("s1")).await;
    let after = events(&store).await;
    assert_eq!(after[1][..4], before[1]);
    assert_eq!(after[1].len(), 5);
    assert_eq!(forms(directory.path()), [4, 1, 0, 4, 4]);
    seal_all(&store, b"again").await;
    assert_eq!(events(&store).await, after);
    assert_eq!(forms(directory.path()), [4, 1, 4, 4]);
}

#[tokio::test]
async fn other_sealed_bytes_in_place_of_theirs_take_nothing_from_them() {
    let (directory, store, before) = grouped().await;
    let examined = store.examine(-1, 100).await.unwrap();
    let db = db(directory.path());
    let bodies = examined.iter().map(|examined| SealedBody {
        place: examined.place,
        change: db
            .query_row(
                "SELECT change FROM session WHERE place = ?1",
                [examined.place],
                |row| row.get::<_, i64>(0),
            )
            .unwrap() as u64,
        names: 7,
        body: b"with other names".to_vec(),
    });
    assert_eq!(store.seal(bodies.collect()).await.unwrap(), 4);
    assert_eq!(forms(directory.path()), [1; 4]);
    assert_eq!(events(&store).await, before);
    while 0 < store.tidy(At::MIN, 64).await.unwrap() {}
    assert_eq!(forms(directory.path()), [4; 4]);
    assert_eq!(events(&store).await, before);
}

#[tokio::test]
async fn bytes_that_are_moved_and_gone_in_one_commit_take_nothing_from_them() {
    let (directory, store, before) = sealed_ones().await;
    let (sqlite, group) = group_of(directory.path()).await;
    // Neither the group nor the bytes are in a file when they are wanted.
    let written = sqlite.write(move |writer| {
        let (verdict, n_grouped) = events::put_group(writer, &group)?;
        assert_eq!(n_grouped, 4);
        let mut places = writer.db.prepare("SELECT place FROM session").unwrap();
        let places = places.query_map([], |row| row.get(0)).unwrap();
        for place in places.collect::<Result<Vec<i64>, _>>().unwrap() {
            body::move_away(writer, place).unwrap();
            body::drop(writer.db, &writer.known.tails, place).unwrap();
            recording::unseal(writer.db, place).unwrap();
        }
        Ok((verdict, ()))
    });
    written.await.unwrap();
    assert_eq!(forms(directory.path()), [1; 4]);
    assert_eq!(events(&store).await, before);
}

#[tokio::test]
async fn a_group_made_beside_bytes_that_are_others_by_now_is_not_used() {
    let (directory, store, before) = sealed_ones().await;
    let (sqlite, group) = group_of(directory.path()).await;
    let place = "SELECT place, change FROM session WHERE lsid = 's2'";
    let (place, change) = db(directory.path())
        .query_row(place, [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))
        .unwrap();
    let other = SealedBody {
        place,
        change: change as u64,
        names: 0,
        body: b"other".to_vec(),
    };
    assert_eq!(store.seal(vec![other]).await.unwrap(), 1);
    let grouped = sqlite.write(move |writer| events::put_group(writer, &group));
    assert_eq!(grouped.await.unwrap(), 3);
    assert_eq!(
        forms(directory.path()).iter().filter(|f| **f == 1).count(),
        1
    );
    assert_eq!(events(&store).await, before);
}

#[tokio::test]
async fn sealed_bytes_that_cannot_be_read_hold_up_nobody_and_are_kept_for_their_events() {
    let (directory, store, before) = grouped().await;
    let file = &files(directory.path())[0];
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, b"").unwrap();
    for lsid in ["s1", "s2"] {
        append(&store, late(lsid)).await;
    }
    append(&store, session("s9", 9, Some(10), "1", "2", "1")).await;
    // The others are settled, and sealed though two that cannot be come first.
    assert_eq!(seal_all(&store, b"again").await, 1);
    let examined = store.examine(-1, 100).await.unwrap();
    let is_at_fault = |lsid: &str| {
        let examined = examined.iter().find(|examined| examined.lsid == lsid);
        !examined.unwrap().faults.is_empty()
    };
    assert!(is_at_fault("s0") && is_at_fault("s1") && !is_at_fault("s9"));
    // The file is mended.
    let mut mended = bytes;
    let added = std::fs::read(file).unwrap();
    mended.extend_from_slice(added.get(mended.len()..).unwrap_or_default());
    std::fs::write(file, &mended).unwrap();
    let after = events(&store).await;
    assert_eq!(after[1][..4], before[1]);
    assert_eq!(after[1].len(), 5);
    assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
    assert_eq!(seal_all(&store, b"at last").await, 2);
    assert_eq!(events(&store).await, after);
    assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
    let n_held: i64 = db(directory.path())
        .query_row("SELECT count(*) FROM held", [], |row| row.get(0))
        .unwrap();
    assert_eq!(n_held, 0);
}

#[tokio::test]
async fn sealing_passes_over_as_many_unreadable_sessions_as_the_limit_and_not_one_more() {
    // Two in tests.
    for (n_unreadable, n_sealed) in [(2, 1), (3, 0)] {
        let (directory, store, _) = grouped().await;
        std::fs::write(&files(directory.path())[0], b"").unwrap();
        for n in 0..n_unreadable {
            append(&store, late(&format!("s{n}"))).await;
        }
        append(&store, session("s9", 9, Some(10), "1", "2", "1")).await;
        store.last_change().await.unwrap();
        let unsealed = store.unsealed(1).await.unwrap();
        assert_eq!(unsealed.len(), n_sealed, "{n_unreadable}");
    }
}

#[tokio::test]
async fn a_damaged_length_is_named_and_asks_for_no_memory() {
    let (directory, store, _) = grouped().await;
    for len in [i64::MAX, -1, 1 << 40] {
        db(directory.path())
            .execute("UPDATE body SET len = ?1", [len])
            .unwrap();
        let examined = store.examine(-1, 100).await.unwrap();
        assert!(examined.iter().all(|examined| !examined.faults.is_empty()));
    }
}

#[tokio::test]
async fn sessions_that_cannot_be_read_are_left_out_of_a_group_or_kept_whole_in_it() {
    let (directory, store, _) = sealed_ones().await;
    sealed(&store, "s4", 4, b"body").await;
    // The bytes of the first are gone with the file; the events of the second are no DEFLATE.
    let db = db(directory.path());
    db.execute_batch(
        "UPDATE body SET segment = 99 WHERE place = (SELECT min(place) FROM body); \
         UPDATE event SET bytes = x'FF' WHERE place = (SELECT place FROM session WHERE lsid = 's1')",
    )
    .unwrap();
    while 0 < store.tidy(At::MIN, 64).await.unwrap() {}
    assert_eq!(forms(directory.path()), [2, 1, 4, 4, 1]);
}

#[tokio::test]
async fn an_archive_opened_without_what_retells_says_so() {
    let (directory, store, _) = grouped().await;
    drop(store);
    let sqlite = Sqlite::open_with(directory.path(), None).unwrap();
    let examined = sqlite.examine(-1, 100).await.unwrap();
    assert_eq!(
        examined[0].faults,
        ["the archive was opened without what retells sealed bytes"]
    );
    // What is kept without it is kept whole.
    let appended = sqlite.append(AccountId(1), late("s9").into(), at(9)).await;
    assert!(matches!(appended, Ok(crate::Append::Done(done)) if done.fresh == 1));
}
