//! What goes on beside the writer: waiting for the disk, and compressing what is settled.

use std::io;
use std::time::Duration;

use super::*;
use crate::sqlite::events::{PRESSED_BYTES_MAX, PRESSED_BYTES_MIN, Press, unpress};

/// An archive whose journal is on disk when the receiver has something, which says whether it is.
fn archive(directory: &Path, disk: Receiver<io::Result<()>>) -> Sqlite {
    // A test that fails must end.
    let patience = Duration::from_secs(10);
    let sync = move |_: &std::fs::File| disk.recv_timeout(patience).unwrap_or_else(|_| fault());
    let journal = journal::Journal::open_with(directory, Box::new(sync)).unwrap();
    Sqlite::start(directory, open::open(directory).unwrap(), journal, RETELL).unwrap()
}

/// So long that the writer does not wait for it.
fn long_chat(id: &str, text: &str) -> Vec<Event> {
    let mut event = chat(id, "a");
    event.filename = Some(text.repeat(2_000 / text.len()));
    vec![event]
}

fn fault() -> io::Result<()> {
    Err(io::Error::other("a fault of the disk"))
}

/// Lets a call begin, which nobody answers yet.
async fn assert_waits<T>(answer: &mut Answer<'_, T>) {
    let told = tokio::time::timeout(Duration::from_millis(10), answer).await;
    assert!(told.is_err());
}

#[track_caller]
fn assert_done(answer: Result<Append, StoreError>, (fresh, repeated): (u64, u64)) {
    match answer {
        Ok(Append::Done(done)) => assert_eq!((done.fresh, done.repeated), (fresh, repeated)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_is_told_before_a_record_is_on_disk_not_even_of_what_repeats_it() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, waiting) = channel();
    let sqlite = archive(directory.path(), waiting);
    let mut first = sqlite.append(SENDER, long_chat("1", "x").into(), at(0));
    let mut again = sqlite.append(SENDER, long_chat("1", "x").into(), at(0));
    let mut short = sqlite.append(SENDER, vec![chat("2", "a")].into(), at(0));
    // Long enough for a writer who forgot to wait; the calls begin in this order.
    for answer in [&mut first, &mut again, &mut short] {
        assert_waits(answer).await;
    }
    disk.send(Ok(())).unwrap();
    assert_done(first.await, (1, 0));
    assert_done(again.await, (0, 1));
    assert_done(short.await, (1, 0));
    assert_eq!(sqlite.last_change().await.unwrap(), 2);
}

#[tokio::test]
async fn a_reader_waits_for_the_disk_too() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, waiting) = channel();
    let sqlite = archive(directory.path(), waiting);
    let mut first = sqlite.append(SENDER, long_chat("1", "x").into(), at(0));
    assert_waits(&mut first).await;
    let mut seen = sqlite.last_change();
    assert_waits(&mut seen).await;
    disk.send(Ok(())).unwrap();
    assert_eq!(seen.await.unwrap(), 1);
    assert_done(first.await, (1, 0));
}

#[tokio::test]
async fn what_a_failing_disk_leaves_open_is_told_so_and_is_not_lost() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, waiting) = channel();
    let sqlite = archive(directory.path(), waiting);
    disk.send(fault()).unwrap();
    let failed = sqlite
        .append(SENDER, long_chat("1", "x").into(), at(0))
        .await;
    assert!(matches!(failed, Err(StoreError::Unknown { .. })));
    // Nothing is written behind it: who comes next did nothing, unless the writer has met the fault by
    // itself.
    let other = || sqlite.append(SENDER, vec![chat("2", "a")].into(), at(0));
    match other().await {
        Err(StoreError::Refused { .. }) => assert_done(other().await, (1, 0)),
        done => assert_done(done, (1, 0)),
    }
    let again = sqlite.append(SENDER, long_chat("1", "x").into(), at(0));
    assert_done(again.await, (0, 1));
    assert_eq!(sqlite.integrity().await.unwrap(), Vec::<String>::new());
    drop(sqlite);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(append(&store, vec![chat("2", "a")]).await, (0, 1));
    let mut session = store.examine(i64::MIN, 10).await.unwrap();
    assert_eq!(session.remove(0).events.len(), 2);
}

/// The forms and bytes of the rows of events.
fn rows(directory: &Path) -> Vec<(i64, i64)> {
    let db = db(directory);
    let mut select = db
        .prepare("SELECT form, length(bytes) FROM event ORDER BY id")
        .unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn events_that_are_settled_with_many_are_compressed_until_they_are_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    // Fewer bytes in all than are worth a thread.
    append(&store, vec![chat("1", "a")]).await;
    store.last_change().await.unwrap();
    // Enough, and the second session too short by itself.
    let mut many = long_chat("2", "there ");
    many.push(chat("3", "b"));
    many.extend(long_chat("4", "again "));
    append(&store, many).await;
    store.last_change().await.unwrap();
    let [(0, 1..100), (3, 1..500), (0, 1..100)] = *rows(directory.path()) else {
        panic!("{:?}", rows(directory.path()));
    };
    let examined = store.examine(i64::MIN, 10).await.unwrap();
    let ids = |idx: usize| {
        let events = examined[idx].events.iter();
        events.map(|event| event.id.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((ids(0), ids(1)), (vec!["1", "2", "4"], vec!["3"]));
}

#[tokio::test]
async fn sessions_that_are_compressed_beside_are_settled_and_a_failure_ends_the_thread() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let lsids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let many = || Batch::from(lsids.map(filling).to_vec());
    sqlite.last_change().await.unwrap();
    full(&sqlite).await.unwrap();
    assert_done(sqlite.append(SENDER, many(), at(0)).await, (8, 0));
    assert!(is_full(sqlite.last_change().await));
    assert!(is_full(sqlite.append(SENDER, many(), at(0)).await));
    drop(sqlite);
    let sqlite = Sqlite::open(directory.path()).unwrap();
    assert_done(sqlite.append(SENDER, many(), at(0)).await, (0, 8));
    assert_eq!(sqlite.last_change().await.unwrap(), 1);
    let examined = sqlite.examine(i64::MIN, 10).await.unwrap();
    assert!(examined.iter().all(|session| session.faults.is_empty()));
    assert_eq!(rows(directory.path()).len(), 8);
}

#[tokio::test]
async fn an_archive_of_format_6_with_events_in_its_journal_goes_on() {
    let copy = three_unsettled().await;
    db(copy.path())
        .execute_batch(
            "DELETE FROM schema_version WHERE version > 6; DROP TABLE sheaf; DROP TABLE held; \
             ALTER TABLE id_run DROP COLUMN form",
        )
        .unwrap();
    let store = Store::open(copy.path()).unwrap();
    assert_eq!(
        append(&store, session("a", 0, Some(5), "1", "2", "1"))
            .await
            .0,
        0
    );
    assert_eq!(
        read(&store, started().which, Filter::All).await,
        ["a", "b", "c"]
    );
    let version = "SELECT max(version) FROM schema_version";
    let version: i64 = db(copy.path())
        .query_row(version, [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 9);
}

#[tokio::test]
async fn a_compressed_row_is_packed_when_its_session_is_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let mut events = session("a", 0, Some(5), "1", "", "1");
    events[0].filename = Some("hello ".repeat(1_000));
    append(&store, events).await;
    store.last_change().await.unwrap();
    assert_eq!(rows(directory.path())[0].0, 3);
    assert_eq!(seal_all(&store, b"sealed").await, 1);
    assert_eq!(rows(directory.path())[0].0, 1);
}

#[tokio::test]
async fn a_damaged_compressed_row_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    append(
        &store,
        [long_chat("1", "hello "), long_chat("2", "there ")].concat(),
    )
    .await;
    store.last_change().await.unwrap();
    assert_eq!(rows(directory.path())[0].0, 3);
    // Cut; without a length; and one that no row has, with as many bytes.
    let too_long = zstd::bulk::compress(&vec![0; PRESSED_BYTES_MAX + 1], 1).unwrap();
    let longest = zstd::bulk::compress(&vec![0; PRESSED_BYTES_MAX], 1).unwrap();
    assert_eq!(unpress(&longest).unwrap().len(), PRESSED_BYTES_MAX);
    let cut = &longest[..longest.len() - 1];
    for damage in [cut, b"\x28\xb5\x2f\xfd\x04\x00", &too_long, b""] {
        assert!(matches!(unpress(damage), Err(StoreError::Corrupt { .. })));
    }
    let db = db(directory.path());
    db.execute("UPDATE event SET bytes = ?1", [&too_long])
        .unwrap();
    let examined = store.examine(i64::MIN, 10).await.unwrap();
    let faults = examined[0].faults.join(" ");
    assert!(faults.contains("the events of a session"), "{faults}");
}

#[test]
fn rows_are_compressed_from_a_length_up_to_another() {
    let mut press = Press::new();
    for (len, is_pressed) in [
        (PRESSED_BYTES_MIN - 1, false),
        (PRESSED_BYTES_MIN, true),
        (PRESSED_BYTES_MAX, true),
        (PRESSED_BYTES_MAX + 1, false),
    ] {
        let packed = press.press(len, || vec![0; len]);
        assert_eq!(packed.is_some(), is_pressed, "{len}");
    }
    let packed = press.press(PRESSED_BYTES_MIN, || noise(PRESSED_BYTES_MIN).into_bytes());
    assert!(packed.is_none());
}

#[tokio::test]
async fn another_process_takes_in_what_is_not_yet_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, waiting) = channel();
    let sqlite = archive(directory.path(), waiting);
    let mut first = sqlite.append(SENDER, long_chat("1", "x").into(), at(0));
    assert_waits(&mut first).await;
    // Theirs is the next commit, and what they write into the journal stands where ours stood.
    let theirs = Store::open(directory.path()).unwrap();
    assert_eq!(append(&theirs, long_chat("1", "x")).await, (0, 1));
    assert_eq!(append(&theirs, vec![chat("2", "a")]).await, (1, 0));
    disk.send(fault()).unwrap();
    assert!(matches!(first.await, Err(StoreError::Unknown { .. })));
    let again = || sqlite.append(SENDER, long_chat("1", "x").into(), at(0));
    match again().await {
        Err(StoreError::Refused { .. }) => assert_done(again().await, (0, 1)),
        done => assert_done(done, (0, 1)),
    }
    let other = sqlite.append(SENDER, vec![chat("2", "a")].into(), at(0));
    assert_done(other.await, (0, 1));
    assert_eq!(sqlite.integrity().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_commit_of_the_database_that_meets_the_fault_did_not_happen() {
    let directory = tempfile::tempdir().unwrap();
    let (disk, waiting) = channel();
    let sqlite = archive(directory.path(), waiting);
    let mut first = sqlite.append(SENDER, long_chat("1", "x").into(), at(0));
    assert_waits(&mut first).await;
    let note = |value: Option<Vec<u8>>| sqlite.put_note("source".into(), "name".into(), value);
    let (first, noted, ()) = tokio::join!(first, note(Some(vec![1])), async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        disk.send(fault()).unwrap();
    });
    assert!(matches!(first, Err(StoreError::Unknown { .. })));
    assert!(matches!(noted, Err(StoreError::Refused { .. })));
    let found = sqlite.note("source".into(), "name".into());
    assert_eq!(found.await.unwrap(), None);
    note(Some(vec![2])).await.unwrap();
    let again = sqlite.append(SENDER, long_chat("1", "x").into(), at(0));
    assert_done(again.await, (0, 1));
}
