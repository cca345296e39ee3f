//! Events that are acknowledged and not yet part of their sessions: what may come between.

mod aside;
mod beside;
mod law;

use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::conformance::{at, document, event, one_page, rest};
use debrief_domain::limits::SESSION_EVENTS_MAX;
use debrief_domain::{Change, Selection, Summary};

const SENDER: AccountId = AccountId(1);

fn named(lsid: &str) -> Which {
    Which::Named(vec![Lsid::parse(lsid).unwrap()])
}

/// A line of chat.
fn chat(id: &str, lsid: &str) -> Event {
    event(id, lsid, 1, EventType::ChatMessage)
}

/// A call that keeps the writer in its transaction until the sender says something: what is asked
/// for meanwhile shares its commit.
fn gate(sqlite: &Sqlite) -> (Sender<()>, Answer<'_, ()>) {
    let (open, _, gate) = signed_gate(sqlite);
    (open, gate)
}

/// The same, and what tells that the writer is there.
fn signed_gate(sqlite: &Sqlite) -> (Sender<()>, Receiver<()>, Answer<'_, ()>) {
    let (open, opened) = channel();
    let (there, is_there) = channel();
    let gate = sqlite.write_into(Writes::Inbox { n_bytes: 0 }, move |_| {
        let _ = there.send(());
        let _ = opened.recv();
        Ok((Verdict::Keep, ()))
    });
    (open, is_there, gate)
}

/// Runs SQL on the writer's connection, in its turn.
fn sql<'a>(sqlite: &'a Sqlite, writes: Writes, sql: &str) -> Answer<'a, ()> {
    let sql = sql.to_owned();
    sqlite.write_into(writes, move |writer| {
        // Some pragmas answer with a row.
        let mut statement = writer.db.prepare(&sql).unwrap();
        let mut rows = statement.raw_query();
        while rows.next().map_err(refused_or_corrupt)?.is_some() {}
        Ok((Verdict::Keep, ()))
    })
}

fn era(db: &Connection) -> journal::Era {
    journal::Era(upkeep::counter(db, "era").unwrap())
}

/// As much as a power cut leaves of an archive; none when there is nothing unsettled in it.
fn after_power_cut(directory: &Path) -> Option<tempfile::TempDir> {
    // Nobody else commits meanwhile, so that the files are those of one moment.
    let lock = db(directory);
    lock.busy_timeout(BUSY_WAIT).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let journal = journal::Journal::open(directory).unwrap();
    journal.lock().unwrap();
    let is_written = journal.begins_with(era(&lock)).unwrap();
    let copy = copy_of(directory);
    lock.execute_batch("ROLLBACK").unwrap();
    is_written.then_some(copy)
}

fn copy_of(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let wal = format!("{}-wal", open::FILE);
    for file in [open::FILE, &wal, journal::FILE] {
        std::fs::copy(directory.join(file), copy.path().join(file)).unwrap();
    }
    std::fs::create_dir(copy.path().join("segments")).unwrap();
    for file in files(directory) {
        let name = file.file_name().unwrap();
        std::fs::copy(&file, copy.path().join("segments").join(name)).unwrap();
    }
    copy
}

/// What a power cut leaves right after three sessions were acknowledged.
async fn three_unsettled() -> tempfile::TempDir {
    for _ in 0..100 {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        for lsid in ["a", "b", "c"] {
            append(&store, session(lsid, 0, Some(5), "1", "2", "1")).await;
        }
        if let Some(copy) = after_power_cut(directory.path()) {
            return copy;
        }
    }
    panic!("it is always settled before anybody looks");
}

#[tokio::test]
async fn what_was_acknowledged_and_not_settled_survives_a_power_cut() {
    let directory = three_unsettled().await;
    let store = Store::open(directory.path()).unwrap();
    let all = || read(&store, started().which, Filter::All);
    assert_eq!(all().await, ["a", "b", "c"]);
    for lsid in ["a", "b", "c"] {
        let again = session(lsid, 0, Some(5), "1", "2", "1");
        assert_eq!(append(&store, again).await, (0, 4));
    }
    assert_eq!(all().await, ["a", "b", "c"]);
    for examined in store.examine(i64::MIN, 10).await.unwrap() {
        assert_eq!(examined.faults, Vec::<String>::new());
        assert_eq!(examined.events.len(), 4);
    }
}

/// An event with so much in it.
fn telling(id: &str, lsid: &str, n_chars: usize) -> Event {
    let mut event = chat(id, lsid);
    event.filename = Some(id.repeat(n_chars));
    event
}

fn add<'a>(sqlite: &'a Sqlite, events: &[&Event]) -> Answer<'a, Append> {
    let events: Vec<Event> = events.iter().copied().cloned().collect();
    sqlite.append(SENDER, events.into(), at(0))
}

/// The archive has these events, by session.
async fn assert_has(sqlite: &Sqlite, expected: &[(&str, Vec<Event>)]) {
    let examined = sqlite.examine(i64::MIN, 10).await.unwrap();
    assert_eq!(examined.len(), expected.len());
    for (session, (lsid, events)) in examined.iter().zip(expected) {
        assert_eq!(session.faults, Vec::<String>::new());
        assert_eq!((session.lsid.as_str(), &session.events), (*lsid, events));
    }
}

#[tokio::test]
async fn several_batches_of_one_record_are_read_back_whole() {
    let [a1, a2, a3, a4] =
        [("1", 3), ("2", 50), ("3", 1), ("4", 9)].map(|(id, n)| telling(id, "a", n));
    let [b1, b2, c1] = [("5", "b"), ("6", "b"), ("7", "c")].map(|(id, lsid)| telling(id, lsid, 20));
    for _ in 0..100 {
        let directory = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::open(directory.path()).unwrap();
        sqlite.last_change().await.unwrap();
        add(&sqlite, &[&a1]).await.unwrap();
        let (open, gate) = gate(&sqlite);
        let (_, first, second, ()) = tokio::join!(
            gate,
            add(&sqlite, &[&a2, &b1, &a3]),
            add(&sqlite, &[&c1, &b2, &a4]),
            async { open.send(()).unwrap() }
        );
        first.unwrap();
        second.unwrap();
        let Some(copy) = after_power_cut(directory.path()) else {
            continue;
        };
        let sqlite = Sqlite::open(copy.path()).unwrap();
        let a = vec![a1, a2, a3, a4];
        return assert_has(&sqlite, &[("a", a), ("b", vec![b1, b2]), ("c", vec![c1])]).await;
    }
    panic!("it is always settled before anybody looks");
}

#[tokio::test]
async fn records_that_are_written_and_the_one_that_is_not_are_settled_together() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let [a1, a2, a3] = [("1", 3), ("2", 7), ("3", 5)].map(|(id, n)| telling(id, "a", n));
    let [b1, b2] = [("4", 2), ("5", 8)].map(|(id, n)| telling(id, "b", n));
    add(&sqlite, &[&a1]).await.unwrap();
    let (open, gate) = gate(&sqlite);
    let (_, first, noted, second, ()) = tokio::join!(
        gate,
        add(&sqlite, &[&b1, &a2]),
        sqlite.put_note("source".into(), "name".into(), Some(vec![1])),
        add(&sqlite, &[&a3, &b2]),
        async { open.send(()).unwrap() }
    );
    first.unwrap();
    second.unwrap();
    noted.unwrap();
    assert_has(&sqlite, &[("a", vec![a1, a2, a3]), ("b", vec![b1, b2])]).await;
}

#[tokio::test]
async fn a_session_that_another_process_made_after_it_was_refused_here_grows_on() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let a1 = telling("1", "a", 1);
    let [b2, b3] = ["2", "3"].map(|id| telling(id, "b", 1));
    add(&sqlite, &[&a1]).await.unwrap();
    // From here on it is known that there is no session `b`.
    let refused = add(&sqlite, &[&telling("1", "b", 2)]).await.unwrap();
    assert!(matches!(refused, Append::Conflicts(_)));
    let other = Sqlite::open(directory.path()).unwrap();
    add(&other, &[&b2]).await.unwrap();
    other.last_change().await.unwrap();
    add(&sqlite, &[&b3]).await.unwrap();
    assert_has(&sqlite, &[("a", vec![a1]), ("b", vec![b2, b3])]).await;
}

/// Nothing can be read or written: an error says that something is damaged.
async fn assert_damaged(directory: &Path, what: &str) {
    let store = Store::open(directory).unwrap();
    for _ in 0..2 {
        let reading = Reading::new(started(), crate::Members::default());
        let page = store.page(reading, Box::new(|_| Ok(Flow::More))).await;
        let append = store.append(SENDER, vec![chat("x", "x")], at(0)).await;
        for error in [page.unwrap_err(), append.unwrap_err()] {
            let names_it = error.to_string().contains(journal::FILE);
            let is_damage = matches!(error, StoreError::Corrupt { .. });
            assert!(is_damage && names_it, "{what}: {error}");
        }
    }
}

#[tokio::test]
async fn a_damaged_record_is_named_and_never_a_shorter_report() {
    let records_at = journal::RECORDS_AT as usize;
    for at in [0, 8, 16, 20, 24, journal::HEAD_BYTES + 1] {
        let directory = three_unsettled().await;
        let path = directory.path().join(journal::FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        for page in [records_at, records_at + 4_096] {
            let mut bytes = bytes.clone();
            bytes[page + at] ^= 0x10;
            std::fs::write(&path, bytes).unwrap();
            assert_damaged(
                directory.path(),
                &format!("byte {at} of the page at {page}"),
            )
            .await;
        }
        bytes.truncate(records_at + 4_096 + journal::HEAD_BYTES);
        std::fs::write(&path, &bytes).unwrap();
        let store = Store::open(directory.path()).unwrap();
        let left = read(&store, started().which, Filter::All).await;
        assert_eq!(left, ["a"], "the second looks like a write that broke off");
    }
}

#[tokio::test]
async fn a_record_that_nobody_would_write_is_named() {
    let record = |batch: &[u8]| [&[0; journal::HEAD_BYTES], batch].concat();
    let batch = |n_ids: u32, n_bytes: u32, rest: &[u8]| {
        let lens = [n_ids.to_le_bytes(), n_bytes.to_le_bytes()].concat();
        [&[0; 8], lens.as_slice(), rest].concat()
    };
    for (first, bytes) in [
        (2, batch(0, 0, &[])),
        (5, vec![0; 15]),
        (5, batch(0, 0, &[])),
        (5, batch(1, 0, &[0; 15])),
        (5, batch(0, 2, &[0])),
        (5, batch(u32::MAX, u32::MAX, &[])),
        (5, batch(0, 12, &[0; 12])),
        // One event, says its head, and there is none.
        (5, batch(0, 13, b"\x01\0\0\0\x01\0\0\0\0\0\0\0a")),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        for lsid in ["a", "b", "c", "d"] {
            append(&store, vec![chat(lsid, lsid)]).await;
        }
        drop(store);
        let mut journal = journal::Journal::open(directory.path()).unwrap();
        let era = era(&db(directory.path()));
        journal.write(era, first, &mut record(&bytes)).unwrap();
        assert_damaged(directory.path(), &format!("{first} {bytes:?}")).await;
    }
}

/// Bytes that SQLite adds to its log by a commit which begins an era and breaks off before anybody
/// sees it, and that era.
fn broken_off(directory: &Path) -> (u64, Vec<u8>, journal::Era) {
    let wal = format!("{}-wal", open::FILE);
    let copy = tempfile::tempdir().unwrap();
    for file in [open::FILE, &wal] {
        std::fs::copy(directory.join(file), copy.path().join(file)).unwrap();
    }
    let before = copy.path().join(&wal).metadata().unwrap().len();
    let other = db(copy.path());
    other
        .execute_batch("UPDATE counter SET value = value + 1 WHERE name IN ('change', 'era')")
        .unwrap();
    let bytes = std::fs::read(copy.path().join(&wal)).unwrap();
    let added = bytes[before as usize..].to_vec();
    assert!(!added.is_empty());
    (before, added, era(&other))
}

#[tokio::test]
async fn a_commit_that_broke_off_and_turns_up_again_costs_no_events() {
    for is_alone in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        append(&store, vec![chat("1", "a")]).await;
        store.last_change().await.unwrap();
        // Another process is killed in the middle of its commit.
        let (at, bytes, era) = broken_off(directory.path());
        let mut theirs = journal::Journal::open(directory.path()).unwrap();
        theirs.announce(era).unwrap();
        let wal = directory.path().join(format!("{}-wal", open::FILE));
        let wal = std::fs::OpenOptions::new().write(true).open(wal).unwrap();
        wal.write_all_at(&bytes, at).unwrap();
        let mut n_acknowledged = 1;
        for n in 2..50 {
            append(&store, vec![chat(&n.to_string(), "a")]).await;
            n_acknowledged = n;
            if is_alone || after_power_cut(directory.path()).is_some() {
                break;
            }
        }
        let copy = copy_of(directory.path());
        let store = Store::open(copy.path()).unwrap();
        let examined = store.examine(i64::MIN, 10).await.unwrap();
        assert_eq!(examined[0].events.len(), n_acknowledged);
        assert_eq!(append(&store, vec![chat("2", "a")]).await, (0, 1));
    }
}

#[tokio::test]
async fn a_first_record_that_broke_off_is_soon_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path()).unwrap());
    let archive = db(directory.path());
    let before = era(&archive);
    let mut torn = journal::Journal::open(directory.path()).unwrap();
    torn.write(before, 1, &mut [1; journal::HEAD_BYTES + 100])
        .unwrap();
    let path = directory.path().join(journal::FILE);
    let bytes = std::fs::read(&path).unwrap();
    let broken = journal::RECORDS_AT as usize + journal::HEAD_BYTES + 50;
    std::fs::write(&path, &bytes[..broken]).unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(read(&store, started().which, Filter::All).await.len(), 0);
    assert_ne!(era(&archive), before);
    assert_eq!(append(&store, vec![chat("1", "a")]).await, (1, 0));
    assert_eq!(read(&store, started().which, Filter::All).await, ["a"]);
}

#[tokio::test]
async fn to_open_an_archive_beside_another_process_begins_no_era() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    append(&store, vec![chat("1", "a")]).await;
    store.last_change().await.unwrap();
    let archive = db(directory.path());
    let before = era(&archive);
    let other_process = Store::open(directory.path()).unwrap();
    assert_eq!(
        read(&other_process, started().which, Filter::All).await,
        ["a"]
    );
    drop(other_process);
    assert_eq!(era(&archive), before);
}

#[tokio::test]
async fn a_damaged_batch_of_the_fourth_format_is_named_when_it_is_opened() {
    for damage in [
        "substr(bytes, 1, length(bytes) - 1)",
        "x''",
        "x'00'",
        // One event, says its head, and there are more.
        "CAST(substr(bytes, 1, 4) || x'01' || substr(bytes, 6) AS BLOB)",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let archive = db(directory.path());
        let old = include_str!("../../../tests/format4.sql");
        archive.execute_batch(old).unwrap();
        let sql = format!("UPDATE inbox SET bytes = {damage}");
        archive.execute_batch(&sql).unwrap();
        drop(archive);
        for _ in 0..2 {
            let error = Store::open(directory.path()).err().unwrap();
            assert!(
                matches!(error, StoreError::Corrupt { .. }),
                "{damage}: {error}"
            );
        }
    }
}

#[tokio::test]
async fn what_no_longer_fits_into_the_log_goes_into_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let n_records = journal::JOURNAL_BYTES_MAX / 4_096 - 1;
    let lsids: Vec<String> = (0..2 * n_records).map(|n| format!("s{n:03}")).collect();
    for lsid in &lsids {
        append(&store, vec![chat(lsid, lsid)]).await;
    }
    let len = |directory: &Path| directory.join(journal::FILE).metadata().unwrap().len();
    assert!(len(directory.path()) <= journal::JOURNAL_BYTES_MAX);
    let mut found = read(&store, started().which, Filter::All).await;
    found.sort();
    assert_eq!(found, lsids);
    drop(store);
    // A clean end leaves nothing in it.
    assert_eq!(len(directory.path()), journal::SECOND_AT);
}

#[tokio::test]
async fn a_session_that_was_imported_after_its_events_were_refused_takes_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    append(&store, vec![chat("taken", "a")]).await;
    let refused = vec![chat("fresh", "b"), chat("taken", "b")];
    let answer = store.append(SENDER, refused, at(0)).await.unwrap();
    assert!(matches!(answer, Append::Conflicts(_)));
    let import = store.import(vec![document("b", 0, Some(5), 1)], at(0));
    assert_eq!(import.await.unwrap().fresh, 1);
    let late = vec![chat("late", "b")];
    let answer = store.append(SENDER, late, at(0)).await.unwrap();
    let Append::Conflicts(conflicts) = answer else {
        panic!("an imported session has taken an event");
    };
    assert_eq!(conflicts[0].kind, ConflictKind::SessionImported);
    assert_eq!(read(&store, named("b"), Filter::All).await, ["b/1"]);
}

#[tokio::test]
async fn sizes_of_sessions_are_remembered_within_bounds() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let batch = |n: usize| -> Vec<Event> {
        let ids = (0..100).map(|i| format!("{n}-{i}"));
        ids.map(|id| chat(&id, &id)).collect()
    };
    for _ in 0..2 {
        for n in 0..5 {
            sqlite.append(SENDER, batch(n).into(), at(0)).await.unwrap();
        }
        sqlite.last_change().await.unwrap();
    }
    let n_sizes = sqlite.write_into(Writes::Inbox { n_bytes: 0 }, |writer| {
        Ok((Verdict::Keep, writer.known.inbox.n_sizes()))
    });
    let n_sizes = n_sizes.await.unwrap();
    assert!(n_sizes <= 200, "{n_sizes}");
}

#[tokio::test]
async fn events_that_are_not_settled_count_towards_the_limit_of_their_session() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    append(&store, vec![chat("first", "a")]).await;
    drop(store);
    db(directory.path())
        .execute(
            "UPDATE session SET n_events = ?1",
            [SESSION_EVENTS_MAX as i64 - 2],
        )
        .unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let (open, gate) = gate(&sqlite);
    let add = |id: &str| sqlite.append(SENDER, vec![chat(id, "a")].into(), at(0));
    let (_, one, two, three, ()) = tokio::join!(gate, add("1"), add("2"), add("3"), async {
        open.send(()).unwrap()
    });
    assert!(matches!(one.unwrap(), Append::Done(_)));
    assert!(matches!(two.unwrap(), Append::Done(_)));
    let Append::Conflicts(conflicts) = three.unwrap() else {
        panic!("one too many");
    };
    assert_eq!(conflicts[0].kind, ConflictKind::SessionFull);
}

#[tokio::test]
async fn what_is_refused_between_others_leaves_them_alone() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let (open, gate) = gate(&sqlite);
    let add = |events: Vec<Event>| sqlite.append(SENDER, events.into(), at(0));
    let stolen = vec![chat("9", "c"), chat("1", "b")];
    let documents = vec![document("a", 0, None, 1), document("d", 0, None, 1)];
    let (_, first, refused, import, second, again, lapsed, ()) = tokio::join!(
        gate,
        add(vec![chat("1", "a"), chat("2", "b")]),
        add(stolen),
        async { sqlite.import(documents, at(0)).await },
        add(vec![chat("3", "a"), chat("9", "c")]),
        add(vec![chat("2", "b"), chat("9", "c")]),
        async { sqlite.lapse(at(1), 10).await },
        async { open.send(()).unwrap() }
    );
    let fresh = |append: Result<Append, StoreError>| match append.unwrap() {
        Append::Done(appended) => appended.fresh,
        Append::Conflicts(conflicts) => panic!("{conflicts:?}"),
    };
    assert_eq!(fresh(first), 2);
    assert!(matches!(refused.unwrap(), Append::Conflicts(_)));
    let import = import.unwrap();
    assert_eq!((import.live, import.fresh), (1, 1));
    assert_eq!(fresh(second), 2);
    assert_eq!(fresh(again), 0);
    assert_eq!(lapsed.unwrap(), 3);
    let examined = sqlite.examine(i64::MIN, 10).await.unwrap();
    let ids = |lsid: &str| -> Vec<String> {
        let session = examined.iter().find(|session| session.lsid == lsid);
        let session = session.unwrap();
        assert_eq!(session.faults, Vec::<String>::new());
        let events = session.events.iter();
        events.map(|event| event.id.as_str().to_owned()).collect()
    };
    assert_eq!(ids("a"), ["1", "3"]);
    assert_eq!(ids("b"), ["2"]);
    assert_eq!(ids("c"), ["9"]);
    let lseqs = |lsid: &str| {
        let session = examined.iter().find(|session| session.lsid == lsid);
        session.unwrap().lseq
    };
    assert_eq!(["a", "b", "d", "c"].map(lseqs), [1, 2, 3, 4]);
}

#[tokio::test]
async fn who_follows_changes_from_a_batch_on_sees_the_next_one_of_the_same_session() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let (open, gate) = gate(&sqlite);
    let (_, first, _, ()) = tokio::join!(
        gate,
        sqlite.append(SENDER, vec![chat("1", "a"), chat("2", "b")].into(), at(0)),
        sqlite.append(SENDER, vec![chat("3", "a")].into(), at(0)),
        async { open.send(()).unwrap() }
    );
    let Append::Done(appended) = first.unwrap() else {
        panic!("nothing speaks against it");
    };
    let store = Store {
        backend: Arc::new(sqlite),
    };
    let since = Which::ChangedSince(Change(appended.change));
    assert_eq!(read(&store, since, Filter::All).await, ["a"]);
}

#[tokio::test]
async fn a_group_that_fails_leaves_nothing_in_memory() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let add = |id: &str| sqlite.append(SENDER, vec![chat(id, "a")].into(), at(0));
    for n in 0..5 {
        let (kept, undone) = (format!("{n}-kept"), format!("{n}-undone"));
        add(&kept).await.unwrap();
        // What waits is not settled yet when the next group fails.
        let (open, gate) = gate(&sqlite);
        let (_, failed, _, ()) = tokio::join!(
            gate,
            add(&undone),
            async { sql(&sqlite, Writes::Database, "ROLLBACK").await },
            async { open.send(()).unwrap() }
        );
        assert!(matches!(failed, Err(StoreError::Refused { .. })));
        let again = add(&undone).await.unwrap();
        assert!(matches!(again, Append::Done(appended) if appended.fresh == 1));
        let examined = sqlite.examine(i64::MIN, 10).await.unwrap();
        assert_eq!(examined[0].faults, Vec::<String>::new());
        assert_eq!(examined[0].events.len(), 2 * (n + 1));
    }
}

/// The most pages that the file may have: as good as a full disk.
fn full(sqlite: &Sqlite) -> Answer<'_, ()> {
    // A number below the pages there are is taken as that of those.
    sql(
        sqlite,
        Writes::Inbox { n_bytes: 0 },
        "PRAGMA max_page_count = 1",
    )
}

fn is_full<T>(answer: Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Refused { what, .. }) if what == "the disk is full")
}

/// A text that compressing does little to.
fn noise(n_chars: usize) -> String {
    let mut chance = 1_u32;
    let chars = std::iter::repeat_with(|| {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b' ' + (chance >> 24) as u8 % 95)
    });
    chars.take(n_chars).collect()
}

/// An event that fills most of a page, and is not so long that it is settled at once.
fn filling(lsid: &str) -> Event {
    let mut event = chat(lsid, lsid);
    event.filename = Some(noise(3_600));
    event
}

/// Sessions that take some pages.
fn long(lsid: &str) -> Vec<Event> {
    let mut events = session(lsid, 0, None, "1", "", "1");
    events[0].filename = Some(noise(20_000));
    events
}

#[tokio::test]
async fn when_settling_fails_the_whole_group_did_not_happen_and_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    sqlite
        .append(SENDER, long("a").into(), at(0))
        .await
        .unwrap();
    sqlite.last_change().await.unwrap();
    let (open, gate) = gate(&sqlite);
    let (_, _, added, settled, ()) = tokio::join!(
        gate,
        async { full(&sqlite).await },
        sqlite.append(SENDER, long("b").into(), at(0)),
        sqlite.settle(),
        async { open.send(()).unwrap() }
    );
    assert!(is_full(added));
    assert!(is_full(settled));
    let roomy = "PRAGMA max_page_count = 1000000";
    sql(&sqlite, Writes::Inbox { n_bytes: 0 }, roomy)
        .await
        .unwrap();
    assert_eq!(sqlite.last_change().await.unwrap(), 1);
    let again = sqlite
        .append(SENDER, long("b").into(), at(0))
        .await
        .unwrap();
    assert!(matches!(again, Append::Done(appended) if appended.fresh == 3 && appended.change == 2));
    let store = Store {
        backend: Arc::new(sqlite),
    };
    assert_eq!(read(&store, started().which, Filter::All).await, ["a", "b"]);
    assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_cannot_be_settled_for_now_is_refused_to_readers_and_not_lost() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    sqlite
        .append(SENDER, vec![filling("a")].into(), at(0))
        .await
        .unwrap();
    sqlite.last_change().await.unwrap();
    let (open, gate) = gate(&sqlite);
    let (_, added, _, ()) = tokio::join!(
        gate,
        sqlite.append(SENDER, vec![filling("b")].into(), at(0)),
        async { full(&sqlite).await },
        async { open.send(()).unwrap() }
    );
    assert!(matches!(added.unwrap(), Append::Done(_)));
    for _ in 0..2 {
        assert!(is_full(sqlite.last_change().await));
        assert!(is_full(sqlite.unsealed(10).await));
        assert!(is_full(
            sqlite
                .append(SENDER, vec![chat("c", "c")].into(), at(0))
                .await
        ));
    }
    drop(sqlite);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(read(&store, started().which, Filter::All).await, ["a", "b"]);
    assert_eq!(append(&store, vec![filling("b")]).await, (0, 1));
}

#[tokio::test]
async fn a_session_whose_facts_are_damaged_stops_no_other_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let store = Store {
        backend: Arc::new(Sqlite::open(directory.path()).unwrap()),
    };
    for lsid in ["a", "b", "c"] {
        sealed(&store, lsid, 0, lsid.as_bytes()).await;
    }
    let (open, gate) = gate(&sqlite);
    let damage = "UPDATE session SET facts = x'ff' WHERE lsid = 'b'";
    let late = ["a", "b", "c"].map(|lsid| chat(&format!("late-{lsid}"), lsid));
    let (_, added, _, ()) = tokio::join!(
        gate,
        sqlite.append(SENDER, late.to_vec().into(), at(0)),
        async { sql(&sqlite, Writes::Database, damage).await },
        async { open.send(()).unwrap() }
    );
    assert!(matches!(added.unwrap(), Append::Done(appended) if appended.fresh == 3));
    let examined = store.examine(i64::MIN, 10).await.unwrap();
    assert_eq!(examined.len(), 3);
    for session in &examined {
        let is_damaged = session.lsid == "b";
        assert_eq!(session.faults.is_empty(), !is_damaged, "{session:?}");
        assert_eq!(session.body, None, "{} lacks an event", session.lsid);
    }
    // Its events are whole, and so is its report.
    assert_eq!(store.unsealed(10).await.unwrap().len(), 3);
    let n_events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&n_events);
    let visit = move |found: crate::Found<'_>| {
        if let crate::Found::Live { events, .. } = found {
            seen.lock().unwrap().push(events.len());
        }
        Ok(Flow::More)
    };
    let reading = Reading::new(started(), crate::Members::default());
    store.page(reading, Box::new(visit)).await.unwrap();
    assert_eq!(*n_events.lock().unwrap(), [5, 5, 5]);
}

#[tokio::test]
async fn a_reading_at_an_acknowledged_commit_sees_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let at_change = |change| {
        let selection = Selection {
            which: started().which,
            filter: Filter::All,
        };
        Reading::at(selection, crate::Members::default(), Change(change))
    };
    let next = async |lsids: &mut Vec<String>| {
        let start = lsids.len() as i64;
        lsids.push(format!("s{start}"));
        let events = session(&format!("s{start}"), start, None, "1", "", "1");
        match store.append(SENDER, events, at(0)).await.unwrap() {
            Append::Done(appended) => appended.change,
            Append::Conflicts(conflicts) => panic!("{conflicts:?}"),
        }
    };
    let mut lsids = Vec::new();
    let mut change = next(&mut lsids).await;
    for n in 1..10 {
        let (reading, first) = one_page(&store, at_change(change), 1).await;
        assert_eq!(first, ["s0"]);
        change = next(&mut lsids).await;
        assert_eq!(rest(&store, reading).await, lsids[1..n]);
    }
    // One that nobody has committed yet is no reason to wait for ever.
    assert_eq!(rest(&store, at_change(1_000)).await, lsids);
}

#[tokio::test]
async fn a_sealed_session_read_on_the_spot_shows_what_just_came() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let other_process = Store::open(directory.path()).unwrap();
    for n in 0..10 {
        let lsid = format!("s{n}");
        sealed(&store, &lsid, 0, b"sealed").await;
        assert_eq!(read(&store, named(&lsid), Filter::All).await, ["sealed"]);
        append(&store, vec![chat(&format!("late-{n}"), &lsid)]).await;
        let reader = [&store, &other_process][n % 2];
        assert_eq!(read(reader, named(&lsid), Filter::All).await, [lsid]);
        let unknown = format!("new-{n}");
        append(&store, vec![chat(&unknown, &unknown)]).await;
        assert_eq!(read(reader, named(&unknown), Filter::All).await, [unknown]);
    }
}

#[tokio::test]
async fn to_seal_sessions_settles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let change = || upkeep::counter(&db(directory.path()), "change").unwrap();
    // On a slow machine what comes late may be settled before: then once more.
    for n in 0..100 {
        let (more, whole) = (format!("more-{n}"), format!("whole-{n}"));
        for lsid in [&more, &whole] {
            append(&store, session(lsid, 0, Some(5), "1", "2", "1")).await;
        }
        store.last_change().await.unwrap();
        let bodies = store.unsealed(100).await.unwrap().into_iter();
        let bodies = bodies.map(|unsealed| SealedBody {
            place: unsealed.place,
            change: unsealed.change,
            names: 0,
            body: b"sealed".to_vec(),
        });
        append(&store, vec![chat(&format!("late-{n}"), &more)]).await;
        let before = change();
        let n_sealed = store.seal(bodies.collect()).await.unwrap();
        let copy = copy_of(directory.path());
        if change() != before || n_sealed != 2 {
            seal_all(&store, b"sealed").await;
            continue;
        }
        drop(store);
        for directory in [directory, copy] {
            let store = Store::open(directory.path()).unwrap();
            let shown = read(&store, named(&more), Filter::All).await;
            assert_eq!(shown, std::slice::from_ref(&more));
            assert_eq!(read(&store, named(&whole), Filter::All).await, ["sealed"]);
        }
        return;
    }
    panic!("what comes late is settled before it is sealed, each time");
}

#[tokio::test]
async fn every_reader_sees_what_was_acknowledged_before_it_asked() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let other_process = Store::open(directory.path()).unwrap();
    let mut n = 0;
    let mut next = async |end: Option<i64>| {
        n += 1;
        let lsid = format!("s{n}");
        append(
            &store,
            session(&lsid, n, end.map(|end| n + end), "1", "2", "1"),
        )
        .await;
        Lsid::parse(&lsid).unwrap()
    };
    for reader in [&store, &other_process] {
        let n_running = |running: Vec<crate::Running>| running.first().map_or(0, |r| r.n_sessions);
        let before = n_running(reader.running(100).await.unwrap());
        let lsid = next(None).await;
        assert_eq!(n_running(reader.running(100).await.unwrap()), before + 1);
        assert_eq!(reader.recordings(&lsid).await.unwrap(), Some(Vec::new()));
        // Where there is something to seal, it is no hurry to know of more.
        seal_all(reader, b"sealed").await;
        next(Some(5)).await;
        assert_eq!(reader.unsealed(100).await.unwrap().len(), 1);
        let before = reader.examine(i64::MIN, 100).await.unwrap().len();
        let lsid = next(Some(5)).await;
        assert_eq!(
            reader.examine(i64::MIN, 100).await.unwrap().len(),
            before + 1
        );
        next(Some(5)).await;
        assert_eq!(reader.recordings(&lsid).await.unwrap(), Some(Vec::new()));
        let before = reader.last_change().await.unwrap();
        next(None).await;
        assert_eq!(reader.last_change().await.unwrap(), before + 1);
        let lsid = next(None).await;
        let changed = Which::ChangedSince(Change(before + 1));
        assert_eq!(read(reader, changed, Filter::All).await, [lsid.as_str()]);
        let lsid = next(Some(5)).await;
        assert_eq!(
            reader.recordings(&lsid).await.unwrap(),
            Some(Vec::new()),
            "a recording needs its session"
        );
    }
    next(None).await;
    let n_running = other_process.examine(i64::MIN, 100).await.unwrap();
    let n_running = n_running.iter().filter(|s| s.events.len() == 3).count();
    next(None).await;
    let n_lapsed = other_process.lapse(at(100_000), 100).await.unwrap();
    assert_eq!(n_lapsed, n_running as u64 + 1);
}

#[tokio::test]
async fn a_second_in_which_a_million_sessions_began_takes_the_places_of_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for (lsid, start) in [("a", 100), ("b", 101)] {
        append(&store, session(lsid, start, None, "1", "", "1")).await;
    }
    drop(store);
    let place = |secs: i64| at(secs).secs() << 20;
    let n_moved = db(directory.path())
        .execute(
            "UPDATE session SET place = ?2 - 1 WHERE place = ?1",
            [place(100), place(101)],
        )
        .unwrap();
    assert_eq!(n_moved, 1);
    let store = Store::open(directory.path()).unwrap();
    append(&store, session("c", 100, None, "1", "", "1")).await;
    let places = store.examine(i64::MIN, 10).await.unwrap();
    let places: Vec<(String, i64)> = places.into_iter().map(|s| (s.lsid, s.place)).collect();
    let expected = [
        ("a", place(101) - 1),
        ("b", place(101)),
        ("c", place(101) + 1),
    ];
    assert_eq!(
        places,
        expected.map(|(lsid, place)| (lsid.to_owned(), place))
    );
}

#[tokio::test]
async fn a_session_is_read_on_the_spot_up_to_a_length_and_by_a_reader_beyond_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Opened::at(directory.path());
    let len = page::SPOT_BYTES_MAX as usize;
    sealed(&store, "a", 100, &vec![1; len]).await;
    sealed(&store, "b", 200, &vec![2; len + 1]).await;
    let db = open::open_reader(directory.path()).unwrap();
    let files = &store.sqlite.files;
    for (lsid, is_shown) in [("a", true), ("b", false), ("nobody", true)] {
        let selection = Selection {
            which: named(lsid),
            filter: Filter::All,
        };
        let mut reading = Reading::new(selection, crate::Members::default());
        let mut scan = crate::OnePage(Box::new(|_| Ok(Flow::More)));
        let shown = page::on_the_spot(&db, files, (Change(4), None), &mut reading, &mut scan);
        let shown = shown.unwrap();
        assert_eq!((shown, reading.is_done()), (is_shown, is_shown), "{lsid}");
    }
    let lens: Vec<usize> = bodies(&store).await.unwrap().iter().map(Vec::len).collect();
    assert_eq!(lens, [len, len + 1]);
}

#[tokio::test]
async fn a_transaction_for_single_sessions_stays_open_until_somebody_commits() {
    let directory = tempfile::tempdir().unwrap();
    let store = Opened::at(directory.path());
    let other_process = Store::open(directory.path()).unwrap();
    let n_open = || {
        let idle = store.sqlite.spots.idle();
        idle.iter().filter(|spot| !spot.db.is_autocommit()).count()
    };
    sealed(&store, "a", 0, b"sealed").await;
    for _ in 0..2 {
        assert_eq!(read(&store, named("a"), Filter::All).await, ["sealed"]);
        assert_eq!(n_open(), 1);
    }
    store.link_secret([1; 32]).await.unwrap();
    assert_eq!(n_open(), 0, "after a commit of our own");
    assert_eq!(read(&store, named("a"), Filter::All).await, ["sealed"]);
    assert_eq!(n_open(), 1);
    sealed(&other_process, "b", 0, b"theirs").await;
    assert_eq!(read(&store, named("b"), Filter::All).await, ["theirs"]);
    assert_eq!(n_open(), 1);
    sealed(&other_process, "c", 0, b"theirs").await;
    for _ in 0..1_000 {
        if n_open() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("after a commit of theirs it goes on seeing what was");
}

#[tokio::test]
async fn sqlites_log_stays_short_though_somebody_reads_between_all_commits() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    sealed(&store, "a", 0, b"sealed").await;
    for n in 0..1_000_u32 {
        // A page or two.
        store
            .put_note("source", "name", Some(n.to_le_bytes().to_vec()))
            .await
            .unwrap();
        assert_eq!(read(&store, named("a"), Filter::All).await, ["sealed"]);
    }
    let wal = directory.path().join(format!("{}-wal", open::FILE));
    let n_frames = wal.metadata().unwrap().len() / 4_096;
    let n_frames_max = u64::from(2 * open::CHECKPOINT_FRAMES);
    assert!(n_frames < n_frames_max, "{n_frames}");
}

#[test]
fn the_inbox_is_due_when_it_is_full_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal::Journal::open(directory.path()).unwrap();
    let mut inbox = inbox::Inbox::default();
    let lsid = Lsid::parse("a").unwrap();
    for (change, n_bytes, is_due) in [(1, inbox::INBOX_BYTES_MAX - 1, false), (2, 1, true)] {
        let part = inbox::Part {
            session: inbox.session(&lsid),
            lsid: &lsid,
            n_events: 1,
            events: &[&vec![0; n_bytes]],
            summary: &Summary::default(),
        };
        inbox.put(change, at(0), &[], &[part]);
        assert_eq!(inbox.is_due(&journal), is_due);
    }
}

#[test]
fn what_waits_is_worth_a_thread_from_a_length_on() {
    let lsid = Lsid::parse("a").unwrap();
    let mut inbox = inbox::Inbox::default();
    for (n_bytes, is_much) in [(inbox::ASIDE_BYTES - 1, false), (1, true)] {
        let part = inbox::Part {
            session: inbox.session(&lsid),
            lsid: &lsid,
            n_events: 1,
            events: &[&vec![0; n_bytes]],
            summary: &Summary::default(),
        };
        inbox.put(1, at(0), &[], &[part]);
        assert_eq!(inbox.is_much(), is_much);
    }
}

#[test]
fn the_inbox_is_due_after_a_while_or_when_the_clock_is_set_back() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal::Journal::open(directory.path()).unwrap();
    let lsid = Lsid::parse("a").unwrap();
    let began = at(100).millis();
    for (millis, is_due) in [
        (0, false),
        (inbox::INBOX_MILLIS_MAX - 1, false),
        (inbox::INBOX_MILLIS_MAX, true),
        (1 - inbox::INBOX_MILLIS_MAX, false),
        (-inbox::INBOX_MILLIS_MAX, true),
    ] {
        let mut inbox = inbox::Inbox::default();
        for millis in [0, millis] {
            let part = inbox::Part {
                session: inbox.session(&lsid),
                lsid: &lsid,
                n_events: 1,
                events: &[&[0]],
                summary: &Summary::default(),
            };
            let now = At::from_millis(began + millis).unwrap();
            inbox.put(1, now, &[], &[part]);
        }
        assert_eq!(inbox.is_due(&journal), is_due, "{millis}");
    }
}
