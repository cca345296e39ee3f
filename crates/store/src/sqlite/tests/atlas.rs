//! Sessions that are found on the map: as every commit has left them, whoever made it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::conformance::{at, event};
use crate::sqlite::atlas::{CHANGED_MAX, MISSES_MIN, ROWS_A_MISS, SESSIONS_MAX};
use crate::sqlite::spots::Spot;

/// An archive and where it is.
struct Archive {
    store: Opened,
    directory: tempfile::TempDir,
}

impl Archive {
    /// So many sealed sessions, with a map of them.
    async fn drawn(n_sessions: usize) -> Archive {
        let directory = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::open(directory.path()).unwrap();
        let archive = Archive::of(sqlite, directory, n_sessions).await;
        archive.atlas().draw_now();
        archive
    }

    async fn of(sqlite: Sqlite, directory: tempfile::TempDir, n_sessions: usize) -> Archive {
        let store = Opened::of(sqlite);
        for n in 0..n_sessions {
            let lsid = format!("s{n}");
            sealed(&store, &lsid, n as i64, lsid.as_bytes()).await;
        }
        Archive { store, directory }
    }

    fn atlas(&self) -> &Atlas {
        &self.store.sqlite.files.atlas
    }

    /// Whether a session is found on the map.
    fn knows(&self, lsid: &str) -> bool {
        let atlas = self.atlas();
        let lsid = Lsid::parse(lsid).unwrap();
        atlas.find(&lsid, atlas.stamp()).is_some()
    }

    /// The sealed bytes of a session, as whoever asks for it gets them.
    async fn body(&self, lsid: &str) -> Option<String> {
        let which = Which::Named(vec![Lsid::parse(lsid).unwrap()]);
        read(&self.store, which, Filter::All).await.pop()
    }
}

fn late(lsid: &str, n: u32) -> Vec<Event> {
    vec![event(
        &format!("late-{lsid}-{n}"),
        lsid,
        3,
        EventType::ChatMessage,
    )]
}

#[tokio::test]
async fn single_sessions_and_reports_by_a_filter_are_found_on_the_map() {
    let archive = Archive::drawn(9).await;
    let atlas = archive.atlas();
    let by_team = || read(&archive.store, started().which, Filter::AnyTeam);
    let all: Vec<String> = (0..9).map(|n| format!("s{n}")).collect();
    for lsid in &all {
        assert_eq!(archive.body(lsid).await.as_ref(), Some(lsid));
    }
    assert_eq!(by_team().await, all);
    // What nobody has is not missed.
    assert_eq!(archive.body("nobody").await, None);
    assert_eq!(atlas.n_missed(), 0);
    append(&archive.store, late("s4", 0)).await;
    archive.store.last_change().await.unwrap();
    assert_eq!(seal_all(&archive.store, b"again").await, 1);
    assert_eq!(archive.body("s4").await.as_deref(), Some("again"));
    assert_eq!(atlas.n_missed(), 1);
    let mut expected = all;
    expected[4] = "again".into();
    assert_eq!(by_team().await, expected);
    assert!(1 < atlas.n_missed());
}

#[test]
fn a_map_is_wanted_when_enough_had_to_be_looked_for() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let archive = block_on(Archive::of(sqlite, directory, 9));
    let Archive { directory, store } = archive;
    let atlas = Atlas::new(&store.sqlite.grants);
    let wanted_at = |n_enough: usize| {
        for n in 1..=n_enough {
            assert!(!atlas.wants_map(), "{n} of {n_enough}");
            atlas.miss(1);
        }
        assert!(atlas.wants_map(), "{n_enough}");
    };
    wanted_at(MISSES_MIN);
    assert!(atlas.draw_once(|| open::open_reader(directory.path()), || ()));
    assert_eq!(atlas.n_sessions(), 9);
    // Rows and ids were read for it.
    wanted_at(2 * 9 / ROWS_A_MISS);
    assert!(atlas.draw_once(|| Err(StoreError::refused("no file")), || ()));
    assert_eq!(atlas.n_sessions(), 0);
    wanted_at(SESSIONS_MAX);
    assert!(atlas.draw_once(
        || open::open_reader(directory.path()),
        || panic!("a thread")
    ));
    assert_eq!(atlas.n_sessions(), 0);
    wanted_at(SESSIONS_MAX);
    atlas.end();
    assert!(!atlas.draw_once(|| open::open_reader(directory.path()), || ()));
}

#[tokio::test]
async fn the_last_sessions_are_on_a_map_up_to_a_limit() {
    for n_more in [0, 1] {
        let archive = Archive::drawn(SESSIONS_MAX + n_more).await;
        assert_eq!(archive.atlas().n_sessions(), SESSIONS_MAX);
        for n in 0..SESSIONS_MAX + n_more {
            let lsid = format!("s{n}");
            assert_eq!(archive.knows(&lsid), n_more <= n, "{lsid}");
            assert_eq!(archive.body(&lsid).await, Some(lsid));
        }
    }
}

#[tokio::test]
async fn a_commit_of_our_own_carries_it_on_without_what_it_changed() {
    let archive = Archive::drawn(4).await;
    let store = &archive.store;
    // Nothing, something else, something new.
    store.tidy(At::MIN, 64).await.unwrap();
    assert!(archive.knows("s1"));
    store.link_secret([1; 32]).await.unwrap();
    assert!(archive.knows("s1"));
    sealed(store, "t", 0, b"t").await;
    assert!(archive.knows("s1") && !archive.knows("t"));
    assert_eq!(archive.body("t").await.as_deref(), Some("t"));
    // Events that are not settled.
    append(store, late("s1", 0)).await;
    assert!(archive.knows("s1"));
    assert_eq!(
        archive.body("s1").await.as_deref(),
        Some("s1"),
        "not sealed, but settled"
    );
    assert!(!archive.knows("s1") && archive.knows("s2"));
    assert_eq!(seal_all(store, b"again").await, 1);
    assert_eq!(archive.body("s1").await.as_deref(), Some("again"));
    assert!(!archive.knows("s1") && archive.knows("s2"));
    // Documents.
    for (digest, is_new) in [(1, true), (2, false)] {
        let document = conformance::document("d", 0, Some(1), digest);
        store.import(vec![document], at(0)).await.unwrap();
        assert!(archive.knows("s3") && !archive.knows("d"));
        let body = archive.body("d").await;
        assert_eq!(body, Some(format!("d/{digest}")));
        if is_new {
            archive.atlas().draw_now();
            assert!(archive.knows("d"));
        }
    }
}

#[tokio::test]
async fn a_commit_of_somebody_else_makes_it_void() {
    let archive = Archive::drawn(2).await;
    let other = Store::open(archive.directory.path()).unwrap();
    append(&other, late("s0", 0)).await;
    assert_eq!(seal_all(&other, b"theirs").await, 1);
    assert!(!archive.knows("s0") && !archive.knows("s1"));
    for _ in 0..2 {
        assert_eq!(archive.body("s0").await.as_deref(), Some("theirs"));
        assert_eq!(archive.body("s1").await.as_deref(), Some("s1"));
        archive.store.link_secret([1; 32]).await.unwrap();
    }
    archive.atlas().draw_now();
    assert!(archive.knows("s0") && archive.knows("s1"));
    assert_eq!(archive.body("s0").await.as_deref(), Some("theirs"));
}

#[tokio::test]
async fn a_commit_that_fails_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let fails_now = Arc::clone(&fails);
    let mut db = open::open(directory.path()).unwrap();
    db.commit_hook(Some(move || fails_now.load(Ordering::SeqCst)))
        .unwrap();
    let journal = journal::Journal::open(directory.path()).unwrap();
    let sqlite = Sqlite::start(directory.path(), db, journal, RETELL).unwrap();
    let archive = Archive::of(sqlite, directory, 2).await;
    archive.atlas().draw_now();
    append(&archive.store, late("s0", 0)).await;
    fails.store(true, Ordering::SeqCst);
    archive.store.link_secret([1; 32]).await.unwrap_err();
    assert!(archive.knows("s0") && archive.knows("s1"));
    fails.store(false, Ordering::SeqCst);
    archive.store.link_secret([1; 32]).await.unwrap();
    assert!(!archive.knows("s0") && archive.knows("s1"));
}

#[tokio::test]
async fn it_is_forgotten_when_too_much_has_changed() {
    let archive = Archive::drawn(CHANGED_MAX + 2).await;
    for n in 0..=CHANGED_MAX {
        assert!(archive.knows(&format!("s{}", CHANGED_MAX + 1)), "{n}");
        append(&archive.store, late(&format!("s{n}"), 0)).await;
        archive.store.last_change().await.unwrap();
    }
    assert_eq!(archive.atlas().n_sessions(), 0);
}

/// A session's row, as the database has it.
fn row_of(db: &Connection, lsid: &str) -> body::Row {
    let place = db.query_row("SELECT place FROM session WHERE lsid = ?1", [lsid], |row| {
        row.get(0)
    });
    body::row(db, place.unwrap()).unwrap().unwrap()
}

/// Changes a session's row. Gives the archive's state before.
fn change_row(db: &Connection, grants: &grants::Grants, lsid: &str) -> Option<grants::Stamp> {
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = grants.stamp();
    let sql = "UPDATE body SET names = names + 1 \
               WHERE place = (SELECT place FROM session WHERE lsid = ?1)";
    assert_eq!(db.execute(sql, [lsid]).unwrap(), 1);
    db.execute_batch("COMMIT").unwrap();
    before
}

#[test]
fn what_is_changed_while_it_is_drawn_is_not_taken_from_it() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let archive = block_on(Archive::of(sqlite, directory, 9));
    let Archive { directory, .. } = archive;
    let mut writer = open::open(directory.path()).unwrap();
    let reader = open::open_reader(directory.path()).unwrap();
    let other = db(directory.path());
    let grants = Arc::new(grants::Grants::new(&directory.path().join(open::FILE)));
    let atlas = Atlas::new(&grants);
    atlas.watch(&mut writer).unwrap();
    let (writer, other) = (Mutex::new(writer), Mutex::new(other));
    // Before each of its transactions: three for the rows, three for the names.
    for (n_before, is_ours) in (0..6).flat_map(|n| [(n, true), (n, false)]) {
        for lsid in ["s0", "s4", "s8"] {
            let n_waits = std::sync::atomic::AtomicUsize::new(0);
            let wait = || {
                if n_waits.fetch_add(1, Ordering::SeqCst) != n_before {
                    return;
                }
                if is_ours {
                    let before = change_row(&writer.lock().unwrap(), &grants, lsid);
                    atlas.committed(before);
                } else {
                    change_row(&other.lock().unwrap(), &grants, lsid);
                }
            };
            atlas.miss(100);
            let before = atlas.stamp();
            let drawn = atlas.draw_once(|| open::open_reader(directory.path()), wait);
            assert!(drawn && n_before < n_waits.into_inner());
            for n in 0..9 {
                let one = format!("s{n}");
                let lsid_of_one = Lsid::parse(&one).unwrap();
                // Nothing is newer than whoever began before the change sees.
                assert_eq!(atlas.find(&lsid_of_one, before), None);
                let found = atlas.find(&lsid_of_one, atlas.stamp());
                let expected = (is_ours && one != lsid).then(|| row_of(&reader, &one));
                assert_eq!(found, expected, "{one}, {lsid} changed before {n_before}");
            }
            assert_eq!(is_ours, 0 < atlas.n_sessions());
        }
    }
}

#[tokio::test]
async fn where_the_map_has_it_the_database_is_not_asked_until_somebody_commits() {
    let archive = Archive::drawn(2).await;
    assert_eq!(archive.body("s0").await.as_deref(), Some("s0"));
    // Nothing can be read with it.
    for spot in archive.store.sqlite.spots.idle().iter_mut() {
        spot.db = Connection::open_in_memory().unwrap();
    }
    let know_moment = || {
        let spots = archive.store.sqlite.spots.idle();
        spots.iter().any(Spot::knows_moment)
    };
    assert_eq!(archive.body("s1").await.as_deref(), Some("s1"));
    assert!(know_moment());
    archive.store.link_secret([1; 32]).await.unwrap();
    assert!(!know_moment());
    // A reader shows it.
    assert_eq!(archive.body("s1").await.as_deref(), Some("s1"));
    assert!(!know_moment());
}
