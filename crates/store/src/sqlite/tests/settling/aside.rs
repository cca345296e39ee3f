//! Settling beside the writer: what comes meanwhile, and what is left when it ends half-way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;

/// An archive whose next commit beside the writer, once it is told to, waits until the sender says whether
/// it is to fail.
struct Held {
    is_armed: Arc<AtomicBool>,
    fails: Sender<bool>,
    is_there: Receiver<()>,
}

impl Held {
    fn open(directory: &Path) -> (Sqlite, Held) {
        let journal = journal::Journal::open(directory).unwrap();
        Held::open_with(directory, journal)
    }

    fn open_with(directory: &Path, journal: journal::Journal) -> (Sqlite, Held) {
        let (sender, fails) = channel();
        let (there, is_there) = channel();
        let is_armed = Arc::new(AtomicBool::new(false));
        let held = Held {
            is_armed: Arc::clone(&is_armed),
            fails: sender,
            is_there,
        };
        let hook = move || {
            let is_beside = std::thread::current().name() == Some("store-settler");
            if !is_beside || !is_armed.swap(false, Ordering::SeqCst) {
                return false;
            }
            let _ = there.send(());
            // A test that fails must end.
            fails.recv_timeout(Duration::from_secs(10)).unwrap_or(true)
        };
        let mut db = open::open(directory).unwrap();
        db.commit_hook(Some(hook)).unwrap();
        (Sqlite::start(directory, db, journal, RETELL).unwrap(), held)
    }
}

/// So much that it is settled beside the writer.
fn much(ids: &[&str], lsid: &str) -> Batch {
    let event = |id: &&str| {
        let mut event = chat(id, lsid);
        event.filename = Some(noise(inbox::INBOX_BYTES_MAX));
        event
    };
    Batch::from(ids.iter().map(event).collect::<Vec<_>>())
}

/// Waits until the writer knows that nothing is settled beside it.
async fn until_settled(sqlite: &Sqlite) {
    let is_beside = || {
        sqlite.write_into(Writes::Inbox { n_bytes: 0 }, |writer| {
            let only_reads = writer
                .db
                .query_row("PRAGMA query_only", [], |row| row.get(0));
            Ok((Verdict::Keep, only_reads.unwrap()))
        })
    };
    while is_beside().await.unwrap() {
        tokio::task::yield_now().await;
    }
}

/// So long that the writer does not wait for the disk.
fn long(id: &str) -> Batch {
    let mut event = chat(id, "a");
    event.filename = Some("x".repeat(1_000));
    Batch::from(vec![event])
}

#[track_caller]
fn assert_done(answer: Result<Append, StoreError>, (fresh, repeated): (u64, u64)) {
    match answer {
        Ok(Append::Done(done)) => assert_eq!((done.fresh, done.repeated), (fresh, repeated)),
        other => panic!("{other:?}"),
    }
}

async fn ids(sqlite: &Sqlite) -> Vec<String> {
    let examined = sqlite.examine(i64::MIN, 100).await.unwrap();
    for session in &examined {
        assert_eq!(session.faults, Vec::<String>::new());
    }
    let events = examined.iter().flat_map(|session| &session.events);
    events.map(|event| event.id.to_string()).collect()
}

/// An archive that settles `1` of session `a`, with `2` of `a` and `3` of `b` come since then.
async fn settling(directory: &Path) -> (Sqlite, Sender<bool>) {
    let (sqlite, held) = Held::open(directory);
    sqlite.last_change().await.unwrap();
    held.is_armed.store(true, Ordering::SeqCst);
    let first = sqlite.append(SENDER, much(&["1"], "a"), at(0));
    assert_done(first.await, (1, 0));
    held.is_there.recv().unwrap();
    for (id, lsid) in [("2", "a"), ("3", "b")] {
        let added = sqlite.append(SENDER, vec![chat(id, lsid)].into(), at(1));
        assert_done(added.await, (1, 0));
    }
    (sqlite, held.fails)
}

/// An archive that settles `1`, and whose journal is on disk when it is told so.
async fn settling_on(directory: &Path) -> (Sqlite, Sender<bool>, Sender<std::io::Result<()>>) {
    let (disk, waiting) = channel();
    // A test that fails must end.
    let patience = Duration::from_secs(10);
    let sync = move |_: &std::fs::File| waiting.recv_timeout(patience).unwrap_or(Ok(()));
    let journal = journal::Journal::open_with(directory, Box::new(sync)).unwrap();
    let (sqlite, held) = Held::open_with(directory, journal);
    sqlite.last_change().await.unwrap();
    held.is_armed.store(true, Ordering::SeqCst);
    disk.send(Ok(())).unwrap();
    let first = sqlite.append(SENDER, much(&["1"], "a"), at(0));
    assert_done(first.await, (1, 0));
    held.is_there.recv().unwrap();
    (sqlite, held.fails, disk)
}

#[tokio::test]
async fn batches_are_acknowledged_while_others_are_settled() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, commit) = settling(directory.path()).await;
    // What is being settled is known as well as what came since.
    let again = sqlite.append(SENDER, much(&["1"], "a"), at(1));
    assert_done(again.await, (0, 1));
    let again = sqlite.append(SENDER, vec![chat("2", "a"), chat("4", "c")].into(), at(1));
    assert_done(again.await, (1, 1));
    let taken = sqlite.append(SENDER, vec![chat("1", "a")].into(), at(1));
    assert!(matches!(taken.await, Ok(Append::Conflicts(_))));
    // Whoever wants to see all waits for it.
    let mut seen = sqlite.last_change();
    let waited = tokio::time::timeout(Duration::from_millis(20), &mut seen).await;
    assert!(waited.is_err());
    commit.send(false).unwrap();
    assert_eq!(seen.await.unwrap(), 4);
    assert_eq!(ids(&sqlite).await, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn what_came_while_others_were_settled_survives_a_power_cut_before_the_commit_and_after_it() {
    for fails in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let (sqlite, commit) = settling(directory.path()).await;
        let before = copy_of(directory.path());
        let (open, is_there, gate) = signed_gate(&sqlite);
        // Were it not there yet, it would wait with the database's lock.
        is_there.recv().unwrap();
        commit.send(fails).unwrap();
        // Meanwhile the writer settles nothing.
        let copy = loop {
            let copy = copy_under_lock(directory.path());
            let n_rows = "SELECT count(*) FROM event";
            let n_rows: i64 = db(copy.path())
                .query_row(n_rows, [], |row| row.get(0))
                .unwrap();
            if fails || n_rows == 1 {
                break copy;
            }
        };
        open.send(()).unwrap();
        gate.await.unwrap();
        for copy in [before, copy] {
            let sqlite = Sqlite::open(copy.path()).unwrap();
            assert_eq!(ids(&sqlite).await, ["1", "2", "3"]);
            let again = sqlite.append(SENDER, much(&["1"], "a"), at(2));
            assert_done(again.await, (0, 1));
            assert_eq!(sqlite.integrity().await.unwrap(), Vec::<String>::new());
        }
        drop(sqlite);
        let sqlite = Sqlite::open(directory.path()).unwrap();
        assert_eq!(ids(&sqlite).await, ["1", "2", "3"]);
    }
}

/// Whether it is known of sessions that the archive does not have them.
async fn knows_lsids(sqlite: &Sqlite) -> bool {
    let knows = sqlite.write_into(Writes::Inbox { n_bytes: 0 }, |writer| {
        Ok((Verdict::Keep, writer.known.inbox.knows_lsids()))
    });
    knows.await.unwrap()
}

async fn import(sqlite: &Sqlite, lsid: &str) {
    let import = sqlite.import(vec![document(lsid, 0, Some(5), 1)], at(0));
    assert_eq!(import.await.unwrap().fresh, 1);
}

#[tokio::test]
async fn sessions_are_found_though_most_are_known_not_to_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    // More than are learnt at once, and than are remembered.
    let crowd = |prefix: &str| -> Vec<Event> {
        let lsids = (0..100).map(|n| format!("{prefix}{n}"));
        lsids.map(|lsid| chat(&lsid, &lsid)).collect()
    };
    let early = sqlite.append(SENDER, crowd("early-").into(), at(0));
    assert_done(early.await, (100, 0));
    import(&sqlite, "imported").await;
    drop(sqlite);
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let mut n_rounds = 0;
    while !knows_lsids(&sqlite).await {
        n_rounds += 1;
        assert!(n_rounds < 10);
        let id = format!("much-{n_rounds}");
        let much = sqlite.append(SENDER, much(&[&id], "much"), at(1));
        assert_done(much.await, (1, 0));
        until_settled(&sqlite).await;
    }
    assert!(1 < n_rounds, "it learns piece by piece");
    import(&sqlite, "imported-later").await;
    for lsid in ["imported", "imported-later"] {
        let late = sqlite.append(SENDER, vec![chat("late", lsid)].into(), at(2));
        let Ok(Append::Conflicts(conflicts)) = late.await else {
            panic!("an imported session has taken an event");
        };
        assert_eq!(conflicts[0].kind, ConflictKind::SessionImported);
    }
    // One that was there before, one of those that made it learn, and a new one.
    for (id, lsid) in [
        ("again", "early-7"),
        ("again-too", "much"),
        ("first", "new"),
    ] {
        let more = sqlite.append(SENDER, vec![chat(id, lsid)].into(), at(2));
        assert_done(more.await, (1, 0));
    }
    let late = sqlite.append(SENDER, crowd("late-").into(), at(2));
    assert_done(late.await, (100, 0));
    // It is settled, by this process.
    sqlite.last_change().await.unwrap();
    let second = sqlite.append(SENDER, vec![chat("second", "new")].into(), at(2));
    assert_done(second.await, (1, 0));
    sqlite.last_change().await.unwrap();
    let other_process = Sqlite::open(directory.path()).unwrap();
    let theirs = other_process.append(SENDER, vec![chat("theirs", "theirs")].into(), at(3));
    assert_done(theirs.await, (1, 0));
    other_process.last_change().await.unwrap();
    let ours = sqlite.append(SENDER, vec![chat("ours", "theirs")].into(), at(3));
    assert_done(ours.await, (1, 0));
    let examined = sqlite.examine(i64::MIN, 1_000).await.unwrap();
    let of = |lsid: &str| -> Vec<&str> {
        let mut sessions = examined.iter();
        let session = sessions.find(|session| session.lsid.as_str() == lsid);
        let events = session.unwrap().events.iter();
        events.map(|event| event.id.as_str()).collect()
    };
    assert_eq!(of("early-7"), ["early-7", "again"]);
    assert_eq!(of("much").len(), n_rounds + 1);
    assert_eq!(of("new"), ["first", "second"]);
    assert_eq!(of("theirs"), ["theirs", "ours"]);
    assert_eq!(sqlite.integrity().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_error_while_lsids_are_learnt_undoes_what_was_begun_and_loses_nothing() {
    use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

    let directory = tempfile::tempdir().unwrap();
    let is_armed = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&is_armed);
    let hook = move |context: AuthContext<'_>| match context.action {
        AuthAction::Read {
            table_name: "session",
            column_name: "lsid",
        } if fails.swap(false, Ordering::SeqCst) => Authorization::Deny,
        _ => Authorization::Allow,
    };
    let mut db = open::open(directory.path()).unwrap();
    db.authorizer(Some(hook)).unwrap();
    let journal = journal::Journal::open(directory.path()).unwrap();
    let sqlite = Sqlite::start(directory.path(), db, journal, RETELL).unwrap();
    // What else asks for lsids is known to SQLite from here on.
    for id in ["1", "2"] {
        let first = sqlite.append(SENDER, vec![chat(id, "a")].into(), at(0));
        assert_done(first.await, (1, 0));
        sqlite.last_change().await.unwrap();
    }
    is_armed.store(true, Ordering::SeqCst);
    let second = sqlite.append(SENDER, much(&["3"], "a"), at(1));
    assert_done(second.await, (1, 0));
    sqlite.last_change().await.unwrap();
    assert!(!is_armed.load(Ordering::SeqCst));
    assert_eq!(ids(&sqlite).await, ["1", "2", "3"]);
    let third = sqlite.append(SENDER, much(&["4"], "b"), at(2));
    assert_done(third.await, (1, 0));
    until_settled(&sqlite).await;
    assert!(knows_lsids(&sqlite).await);
    assert_eq!(ids(&sqlite).await, ["1", "2", "3", "4"]);
    assert_eq!(sqlite.integrity().await.unwrap(), Vec::<String>::new());
}

/// A copy that is of one moment as far as the database is concerned.
fn copy_under_lock(directory: &Path) -> tempfile::TempDir {
    let lock = db(directory);
    lock.busy_timeout(BUSY_WAIT).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    copy_of(directory)
}

#[tokio::test]
async fn regions_take_turns_and_a_power_cut_between_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, held) = Held::open(directory.path());
    sqlite.last_change().await.unwrap();
    let (mut expected, mut copies) = (Vec::new(), Vec::new());
    for round in 0..4 {
        held.is_armed.store(true, Ordering::SeqCst);
        let (long, short) = (format!("{round}-long"), format!("{round}-short"));
        let first = sqlite.append(SENDER, much(&[&long], "a"), at(0));
        assert_done(first.await, (1, 0));
        held.is_there.recv().unwrap();
        let second = sqlite.append(SENDER, vec![chat(&short, "a")].into(), at(0));
        assert_done(second.await, (1, 0));
        expected.extend([long, short]);
        copies.push((copy_of(directory.path()), expected.clone()));
        held.fails.send(false).unwrap();
        copies.push((copy_under_lock(directory.path()), expected.clone()));
        until_settled(&sqlite).await;
    }
    for (copy, expected) in copies {
        let sqlite = Sqlite::open(copy.path()).unwrap();
        assert_eq!(ids(&sqlite).await, expected);
    }
    assert_eq!(ids(&sqlite).await, expected);
}

#[tokio::test]
async fn a_disk_that_fails_while_others_are_settled_is_told_and_loses_nothing() {
    for fails in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (sqlite, commit, disk) = settling_on(directory.path()).await;
        disk.send(Err(std::io::Error::other("a fault of the disk")))
            .unwrap();
        let second = sqlite.append(SENDER, long("2"), at(0));
        assert!(matches!(second.await, Err(StoreError::Unknown { .. })));
        let mut third = sqlite.append(SENDER, vec![chat("3", "a")].into(), at(0));
        // The writer meets the fault, and waits until the others are settled.
        let waited = tokio::time::timeout(Duration::from_millis(20), &mut third).await;
        assert!(waited.is_err());
        commit.send(fails).unwrap();
        assert!(matches!(third.await, Err(StoreError::Refused { .. })));
        let third = sqlite.append(SENDER, vec![chat("3", "a")].into(), at(0));
        assert_done(third.await, (1, 0));
        assert_eq!(ids(&sqlite).await, ["1", "2", "3"]);
        assert_done(sqlite.append(SENDER, long("2"), at(0)).await, (0, 1));
    }
}

#[tokio::test]
async fn batches_do_not_wait_for_calls_that_do_up_to_so_many() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, commit) = settling(directory.path()).await;
    let notes = |n_notes: usize| {
        let note = |n| sqlite.put_note("source".into(), format!("{n}"), Some(vec![1]));
        (0..n_notes).map(note).collect::<Vec<_>>()
    };
    let mut held = notes(writer::HELD_MAX);
    let fourth = sqlite.append(SENDER, vec![chat("4", "a")].into(), at(1));
    let done = tokio::time::timeout(Duration::from_secs(5), fourth).await;
    assert_done(done.unwrap(), (1, 0));
    held.extend(notes(1));
    let mut waits = sqlite.append(SENDER, vec![chat("5", "a")].into(), at(1));
    let waited = tokio::time::timeout(Duration::from_millis(20), &mut waits).await;
    assert!(waited.is_err(), "one too many");
    commit.send(false).unwrap();
    assert_done(waits.await, (1, 0));
    for note in held {
        note.await.unwrap();
    }
    assert_eq!(ids(&sqlite).await, ["1", "2", "4", "5", "3"]);
}

#[tokio::test]
async fn a_full_region_is_settled_beside_the_writer_too() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, held) = Held::open(directory.path());
    sqlite.last_change().await.unwrap();
    held.is_armed.store(true, Ordering::SeqCst);
    let first = sqlite.append(SENDER, much(&["1"], "a"), at(0));
    assert_done(first.await, (1, 0));
    held.is_there.recv().unwrap();
    let half = |id: &str| {
        let mut event = chat(id, "a");
        event.filename = Some("x".repeat(journal::REGION_BYTES as usize / 2 - 8_192));
        Batch::from(vec![event])
    };
    for id in ["2", "3"] {
        assert_done(sqlite.append(SENDER, half(id), at(0)).await, (1, 0));
    }
    // The first is settled, and while the others are, this one goes into the region that is free again.
    let mut waits = sqlite.append(SENDER, half("4"), at(0));
    let waited = tokio::time::timeout(Duration::from_millis(20), &mut waits).await;
    assert!(waited.is_err(), "the region is full");
    held.is_armed.store(true, Ordering::SeqCst);
    held.fails.send(false).unwrap();
    held.is_there.recv_timeout(Duration::from_secs(10)).unwrap();
    let done = tokio::time::timeout(Duration::from_secs(5), waits).await;
    assert_done(done.unwrap(), (1, 0));
    held.fails.send(false).unwrap();
    assert_eq!(ids(&sqlite).await, ["1", "2", "3", "4"]);
}

/// What came is there after all, and so is a note.
async fn assert_whole_with_note(directory: &Path) {
    let sqlite = Sqlite::open(directory).unwrap();
    assert_eq!(ids(&sqlite).await, ["1", "2", "3"]);
    let note = sqlite.note("source".into(), "name".into());
    assert_eq!(note.await.unwrap(), Some(vec![1]));
}

#[tokio::test]
async fn what_waits_is_settled_when_the_archive_is_closed_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, commit) = settling(directory.path()).await;
    // It is held until the others are settled.
    let noted = sqlite.put_note("source".into(), "name".into(), Some(vec![1]));
    let closing = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        commit.send(false).unwrap();
    };
    let (noted, ()) = tokio::join!(noted, closing);
    noted.unwrap();
    drop(sqlite);
    let journal = directory.path().join(journal::FILE);
    assert_eq!(journal.metadata().unwrap().len(), journal::SECOND_AT);
    assert_whole_with_note(directory.path()).await;
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_run_when_the_archive_is_closed_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, commit) = settling(directory.path()).await;
    drop(sqlite.put_note("source".into(), "name".into(), Some(vec![1])));
    let closing = std::thread::spawn(move || drop(sqlite));
    std::thread::sleep(Duration::from_millis(20));
    assert!(!closing.is_finished());
    commit.send(false).unwrap();
    closing.join().unwrap();
    assert_whole_with_note(directory.path()).await;
}

#[tokio::test]
async fn when_settling_fails_nothing_that_was_acknowledged_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, commit) = settling(directory.path()).await;
    commit.send(true).unwrap();
    assert_eq!(sqlite.last_change().await.unwrap(), 3);
    let added = sqlite.append(SENDER, vec![chat("4", "a")].into(), at(2));
    assert_done(added.await, (1, 0));
    assert_eq!(ids(&sqlite).await, ["1", "2", "4", "3"]);
}

#[tokio::test]
async fn another_process_waits_until_the_writer_is_done_and_finds_all() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, commit) = settling(directory.path()).await;
    let path = directory.path().to_owned();
    let other = std::thread::spawn(move || {
        let theirs = Sqlite::open(&path).unwrap();
        let added = theirs.append(SENDER, vec![chat("3", "b"), chat("5", "b")].into(), at(3));
        assert_done(block_on(added), (1, 1));
        theirs
    });
    std::thread::sleep(Duration::from_millis(20));
    assert!(!other.is_finished());
    commit.send(false).unwrap();
    let theirs = other.join().unwrap();
    let added = sqlite.append(SENDER, vec![chat("5", "b"), chat("6", "b")].into(), at(4));
    assert_done(added.await, (1, 1));
    for sqlite in [&sqlite, &theirs] {
        assert_eq!(ids(sqlite).await, ["1", "2", "3", "5", "6"]);
    }
}

#[tokio::test]
async fn a_batch_that_has_no_room_waits_until_the_others_are_settled() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, commit) = settling(directory.path()).await;
    // Two pages are taken.
    let room = journal::REGION_BYTES as usize - 2 * 4_096 - journal::HEAD_BYTES;
    let filling = |id: &str, n_more: usize| {
        let batch = |n_chars: usize| {
            let mut event = chat(id, "a");
            event.filename = Some("x".repeat(n_chars));
            Batch::from(vec![event])
        };
        let about = room - 1_000;
        let n_bytes = inbox::batch_len_max(&batch(about));
        batch(about + room + n_more - n_bytes)
    };
    let too_long = filling("5", 1);
    let mut waits = sqlite.append(SENDER, too_long, at(1));
    let waited = tokio::time::timeout(Duration::from_millis(20), &mut waits).await;
    assert!(waited.is_err(), "one byte too many");
    commit.send(false).unwrap();
    assert_done(waits.await, (1, 0));
    assert_eq!(ids(&sqlite).await, ["1", "2", "5", "3"]);
    drop(sqlite);

    let directory = tempfile::tempdir().unwrap();
    let (sqlite, commit) = settling(directory.path()).await;
    let fits = sqlite.append(SENDER, filling("4", 0), at(1));
    let done = tokio::time::timeout(Duration::from_secs(5), fits).await;
    assert_done(done.unwrap(), (1, 0));
    let mut waits = sqlite.append(SENDER, vec![chat("5", "a")].into(), at(1));
    let waited = tokio::time::timeout(Duration::from_millis(20), &mut waits).await;
    assert!(waited.is_err(), "the region is full");
    commit.send(false).unwrap();
    assert_done(waits.await, (1, 0));
    assert_eq!(ids(&sqlite).await, ["1", "2", "4", "5", "3"]);
}

#[tokio::test]
async fn sizes_count_what_is_being_settled() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, held) = Held::open(directory.path());
    sqlite.last_change().await.unwrap();
    held.is_armed.store(true, Ordering::SeqCst);
    // More than are remembered when nothing waits.
    let many = (0..70).map(|n| {
        let mut event = chat(&n.to_string(), &format!("s{n}"));
        event.filename = Some("x".repeat(100));
        event
    });
    let many: Vec<Event> = many.collect();
    assert_done(sqlite.append(SENDER, many.into(), at(0)).await, (70, 0));
    held.is_there.recv().unwrap();
    let size = |lsid: &'static str| {
        let lsid = Lsid::parse(lsid).unwrap();
        sqlite.write_into(Writes::Inbox { n_bytes: 0 }, move |writer| {
            let (_, size) = writer.known.inbox.size(writer.db, &lsid)?;
            Ok((Verdict::Keep, (size.n_events, writer.known.inbox.n_sizes())))
        })
    };
    let more = sqlite.append(SENDER, vec![chat("more", "s7")].into(), at(0));
    assert_done(more.await, (1, 0));
    assert_eq!(size("s7").await.unwrap(), (2, 70));
    assert_eq!(size("s8").await.unwrap(), (1, 70));
    held.fails.send(false).unwrap();
    // Those that still wait stay.
    while size("s7").await.unwrap() != (2, 1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(size("s8").await.unwrap(), (1, 2));
}

#[tokio::test]
async fn events_are_known_by_the_digests_of_older_formats() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let add = |event: Event| sqlite.append(SENDER, vec![event].into(), at(0));
    assert_done(add(chat("1", "a")).await, (1, 0));
    sqlite.last_change().await.unwrap();
    let old = Batch::from(vec![chat("1", "a")]);
    let (lsid, session) = &old.sessions().first().unwrap();
    let event = old.events_of(session).next().unwrap();
    let old = old.old_digest(lsid, event);
    let old = old.to_be_bytes();
    // As if an older Debrief had written it; another process, as far as this one can see.
    let key = "CAST(substr(ids, 1, 12) AS BLOB)";
    let set = format!("UPDATE id_recent SET ids = CAST({key} || ?1 AS BLOB)");
    db(directory.path()).execute(&set, [&old[..]]).unwrap();
    drop(sqlite);
    let sqlite = Sqlite::open(directory.path()).unwrap();
    let add = |event: Event| sqlite.append(SENDER, vec![event].into(), at(0));
    assert_done(add(chat("1", "a")).await, (0, 1));
    let other = add(chat("1", "b")).await.unwrap();
    assert!(matches!(other, Append::Conflicts(_)));
}

#[tokio::test]
async fn no_other_process_comes_between_while_the_writer_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, commit, disk) = settling_on(directory.path()).await;
    // The writer has this one, and waits for the disk before it writes the next.
    let mut second = sqlite.append(SENDER, long("2"), at(0));
    let mut third = sqlite.append(SENDER, long("3"), at(0));
    for waits in [&mut second, &mut third] {
        let waited = tokio::time::timeout(Duration::from_millis(20), waits).await;
        assert!(waited.is_err());
    }
    commit.send(false).unwrap();
    let path = directory.path().to_owned();
    let other = std::thread::spawn(move || {
        let theirs = Sqlite::open(&path).unwrap();
        let added = theirs.append(SENDER, vec![chat("4", "b")].into(), at(0));
        assert_done(block_on(added), (1, 0));
        theirs
    });
    std::thread::sleep(Duration::from_millis(50));
    for _ in 0..2 {
        disk.send(Ok(())).unwrap();
    }
    assert_done(second.await, (1, 0));
    assert_done(third.await, (1, 0));
    let theirs = other.join().unwrap();
    for sqlite in [&sqlite, &theirs] {
        assert_eq!(ids(sqlite).await, ["1", "2", "3", "4"]);
    }
}

#[tokio::test]
async fn ids_are_known_while_they_are_written_as_a_run() {
    let directory = tempfile::tempdir().unwrap();
    let (sqlite, held) = Held::open(directory.path());
    sqlite.last_change().await.unwrap();
    // Enough for a run each.
    let many = |n: usize| {
        let events = (0..1_100).map(|idx| chat(&format!("{n}-{idx}"), &format!("s{}", idx % 9)));
        Batch::from(events.collect::<Vec<_>>())
    };
    for n in 0..6 {
        held.is_armed.store(true, Ordering::SeqCst);
        assert_done(sqlite.append(SENDER, many(n), at(0)).await, (1_100, 0));
        held.is_there.recv().unwrap();
        for known in 0..=n {
            let again = vec![
                chat(&format!("{known}-7"), "s7"),
                chat(&format!("{known}-{n}"), "x"),
            ];
            let conflicts = sqlite.append(SENDER, again.into(), at(0)).await.unwrap();
            assert!(matches!(conflicts, Append::Conflicts(found) if found.len() == 1));
            let again = vec![chat(&format!("{known}-7"), "s7")];
            assert_done(sqlite.append(SENDER, again.into(), at(0)).await, (0, 1));
        }
        held.fails.send(false).unwrap();
        until_settled(&sqlite).await;
    }
    for n in 0..6 {
        assert_done(sqlite.append(SENDER, many(n), at(0)).await, (0, 1_100));
    }
    assert_eq!(sqlite.integrity().await.unwrap(), Vec::<String>::new());
}
