//! What is special about the embedded archive; the contract itself is `conformance`.

mod atlas;
mod here;
mod settling;
mod sheaves;
mod shelves;
mod told;

use std::path::Path;

use super::*;
use crate::ConflictKind;
use crate::conformance::{append, read, session, started};
use crate::{Store, conformance};
use debrief_domain::limits::SESSION_BYTES_MAX;
use debrief_domain::{Event, EventId, EventType, Filter, Permissions};

/// Some of what the tests send at the seconds when they do, in an order that depends on the bytes.
pub(super) fn retell(sealed: &[u8]) -> Vec<Event> {
    let kinds = [
        EventType::SessionStart,
        EventType::ChatMessage,
        EventType::ConferenceOwnerChanged,
        EventType::SessionEnd,
    ];
    let seconds = (0..8).flat_map(|secs| kinds.map(|kind| (secs, kind)));
    let event = |(secs, kind)| Event {
        filename: Some(String::from_utf8_lossy(sealed).into_owned()),
        ..conformance::event("e", "s", secs, kind)
    };
    let mut events: Vec<Event> = seconds.map(event).collect();
    let sum: usize = sealed.iter().map(|b| usize::from(*b)).sum();
    let middle = sum % events.len();
    events.rotate_left(middle);
    events
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

#[test]
fn it_keeps_the_contract() {
    let directories = std::cell::RefCell::new(Vec::new());
    block_on(conformance::all(|| {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        directories.borrow_mut().push(directory);
        store
    }));
}

#[test]
fn what_was_acknowledged_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    block_on(append(&store, session("a", 0, Some(5), "1", "2", "1")));
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(block_on(read(&store, started().which, Filter::All)), ["a"]);
    assert_eq!(
        block_on(append(&store, session("a", 0, Some(5), "1", "2", "1"))),
        (0, 4)
    );
}

/// A store, and the archive behind it.
struct Opened {
    sqlite: Arc<Sqlite>,
    store: Store,
}

impl Opened {
    fn at(directory: &Path) -> Opened {
        Opened::of(Sqlite::open(directory).unwrap())
    }

    fn of(sqlite: Sqlite) -> Opened {
        let sqlite = Arc::new(sqlite);
        let store = Store {
            backend: Arc::clone(&sqlite) as Arc<dyn Backend>,
        };
        Opened { sqlite, store }
    }
}

impl std::ops::Deref for Opened {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// Another connection to the archive's database.
fn db(directory: &Path) -> Connection {
    Connection::open(directory.join(open::FILE)).unwrap()
}

fn refusal(directory: &Path) -> String {
    Store::open(directory)
        .err()
        .map(|error| error.to_string())
        .unwrap()
}

#[test]
fn a_newer_format_is_refused_in_one_sentence_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path()).unwrap());
    let file = directory.path().join("archive.sqlite");
    let db = Connection::open(&file).unwrap();
    db.execute("INSERT INTO schema_version VALUES (99, 'later')", [])
        .unwrap();
    drop(db);
    assert_eq!(
        refusal(directory.path()),
        "the archive has format 99, and this Debrief knows formats up to 9: use the newer Debrief \
         that wrote it"
    );
    let db = Connection::open(&file).unwrap();
    let version: i64 = db
        .query_row("SELECT max(version) FROM schema_version", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(version, 99);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("archive.sqlite");
    std::fs::write(
        &file,
        "this is no database, and it is long enough to be looked at".repeat(99),
    )
    .unwrap();
    let before = std::fs::read(&file).unwrap();
    assert!(refusal(directory.path()).starts_with("the archive is damaged"));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn an_archive_of_the_first_format_is_brought_to_the_current_one() {
    let directory = tempfile::tempdir().unwrap();
    let db = Connection::open(directory.path().join("archive.sqlite")).unwrap();
    db.execute_batch(include_str!("../../tests/format1.sql"))
        .unwrap();
    drop(db);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(
        block_on(read(&store, started().which, Filter::All)),
        ["old/1"]
    );
    let accounts = block_on(store.accounts()).unwrap();
    assert_eq!(accounts[0].name, "siem");
}

#[tokio::test]
async fn events_of_the_third_format_are_known_and_their_session_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let db = Connection::open(directory.path().join("archive.sqlite")).unwrap();
    db.execute_batch(include_str!("../../tests/format3.sql"))
        .unwrap();
    drop(db);
    let line = |n: i64, text: &str| Event {
        body: Some(debrief_domain::Body::Text(text.into())),
        ..Event::new(
            EventId::parse(&format!("e{n}")).unwrap(),
            Lsid::parse("s").unwrap(),
            At::from_secs(1_700_000_000 + n).unwrap(),
            EventType::ChatMessage,
        )
    };
    for _ in 0..2 {
        let store = Store::open(directory.path()).unwrap();
        let append = |events| store.append(AccountId(1), events, At::MIN);
        let known = (0..4).map(|n| line(n, &format!("line {n}"))).collect();
        let told = append(known).await.unwrap();
        assert!(matches!(told, Append::Done(told) if (told.fresh, told.repeated) == (0, 4)));
        for n in 0..4 {
            let told = append(vec![line(n, "another")]).await.unwrap();
            assert!(
                matches!(told, Append::Conflicts(told) if told.len() == 1),
                "{n}"
            );
        }
    }
    let store = Store::open(directory.path()).unwrap();
    let told = store.append(AccountId(1), vec![line(4, "line 4")], At::MIN);
    assert!(matches!(told.await.unwrap(), Append::Done(told) if told.fresh == 1));
    let found = store.examine(i64::MIN, 10).await.unwrap();
    assert_eq!((found[0].lseq, found[0].events.len()), (1, 5));
    assert_eq!(found[0].faults, [""; 0]);
}

#[test]
fn a_full_disk_refuses_the_batch_and_damages_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Sqlite::open(directory.path()).unwrap();
    // As good as a full disk: SQLite gets the same answer from its page allocator.
    block_on(sqlite.write(|writer| {
        let pages: i64 = writer
            .db
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap();
        let sql = format!("PRAGMA max_page_count = {}", pages + 8);
        writer.db.query_row(&sql, [], |_| Ok(())).unwrap();
        Ok((Verdict::Keep, ()))
    }))
    .unwrap();
    let store = Store {
        backend: Arc::new(sqlite),
    };
    let mut n_kept = 0;
    let error = loop {
        let lsid = format!("s{n_kept}");
        let mut events = session(&lsid, n_kept, None, "1", "", "1");
        events[0].filename = Some("x".repeat(10_000));
        match block_on(store.append(AccountId(1), events, conformance::at(0))) {
            Ok(_) => n_kept += 1,
            Err(error) => break error,
        }
        assert!(n_kept < 1_000, "the disk never got full");
    };
    assert_eq!(error.to_string(), "the disk is full");
    assert!(matches!(error, StoreError::Refused { .. }));
    // What was acknowledged before waits in the journal until there is room, and readers with it.
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    let kept = block_on(read(&store, started().which, Filter::All));
    assert_eq!(kept.len() as i64, n_kept);
    let (change, integrity) = (block_on(store.last_change()).unwrap(), directory.path());
    assert_eq!(change as i64, n_kept);
    drop(store);
    let db = Connection::open(integrity.join("archive.sqlite")).unwrap();
    let check: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn a_session_has_at_most_so_many_bytes_of_events() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let long = |n: u64| {
        let id = format!("e{n}");
        let mut event = conformance::event(&id, "a", 1, debrief_domain::EventType::ChatMessage);
        // Sixteen at the limit: ids of one length make events of one length.
        event.body = Some(debrief_domain::Body::Text(
            "x".repeat((SESSION_BYTES_MAX / 16) as usize),
        ));
        event
    };
    let mut n_kept = 0;
    loop {
        let events = vec![long(n_kept)];
        match block_on(store.append(AccountId(1), events, conformance::at(0))).unwrap() {
            Append::Done(_) => n_kept += 1,
            Append::Conflicts(conflicts) => {
                assert_eq!(conflicts[0].kind, ConflictKind::SessionFull);
                break;
            }
        }
    }
    // Each takes a few bytes more than a sixteenth, so the sixteenth is one too many.
    assert_eq!(n_kept, 15);
    let short = vec![conformance::event(
        "s",
        "a",
        1,
        debrief_domain::EventType::ChatMessage,
    )];
    assert_eq!(
        block_on(append(&store, short)),
        (1, 0),
        "what fits is still taken"
    );
}

#[test]
fn many_writers_at_once_are_grouped_and_each_is_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..200 {
            let store = store.clone();
            tasks.spawn(async move {
                append(&store, session(&format!("s{n}"), n, None, "1", "", "1")).await
            });
        }
        while let Some(result) = tasks.join_next().await {
            assert_eq!(result.unwrap(), (3, 0));
        }
    });
    assert_eq!(
        block_on(read(&store, started().which, Filter::All)).len(),
        200
    );
}

#[tokio::test]
async fn a_remembered_token_ends_at_once_whoever_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let other_process = Store::open(directory.path()).unwrap();
    let at = |secs| At::from_secs(secs).unwrap();
    let new = NewAccount {
        name: "a".into(),
        client_id: "id".into(),
        secret_hash: [1; 32],
        permissions: Permissions::parse("ingest").unwrap(),
        networks: Vec::new(),
        comment: String::new(),
        created: at(0),
    };
    let account = store.create_account(new).await.unwrap().unwrap();
    let token = TokenHash([7; 32]);
    let issued = store.issue_token(&account, token, at(0), at(100));
    assert!(issued.await.unwrap());
    for _ in 0..3 {
        assert!(store.grant(token, at(1)).await.unwrap().is_some());
    }
    assert!(store.grant(token, at(100)).await.unwrap().is_none());
    let disabled = other_process.set_enabled("a", Enabled::No).await.unwrap();
    assert!(disabled.is_some());
    assert!(store.grant(token, at(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_token_stays_remembered_over_our_own_events_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Sqlite::open(directory.path()).unwrap();
    let other_process = Store::open(directory.path()).unwrap();
    let now = At::from_secs(1).unwrap();
    let new = conformance::new_account("a");
    let account = ours.create_account(new).await.unwrap().unwrap();
    let token = TokenHash([7; 32]);
    let expires = At::from_secs(100).unwrap();
    let issued = ours.issue_token(account.clone(), token, now, expires).await;
    assert!(issued.unwrap());
    let events = |lsid| session(lsid, 0, Some(5), "1", "2", "1");
    let is_remembered = || ours.grants.get(&token, now).is_some();

    assert!(!is_remembered());
    assert!(ours.grant(token, now).await.unwrap().is_some());
    for lsid in ["a", "b", "c"] {
        ours.append(AccountId(1), events(lsid).into(), now)
            .await
            .unwrap();
        assert!(is_remembered(), "{lsid}");
        ours.last_change().await.unwrap();
        assert!(is_remembered(), "{lsid} is settled");
    }
    append(&other_process, events("d")).await;
    other_process.last_change().await.unwrap();
    assert!(!is_remembered(), "what another process does is not known");
    assert!(ours.grant(token, now).await.unwrap().is_some());
    append(&other_process, events("e")).await;
    other_process.last_change().await.unwrap();
    ours.append(AccountId(1), events("f").into(), now)
        .await
        .unwrap();
    ours.last_change().await.unwrap();
    assert!(!is_remembered(), "nor is it when our own events follow");
    assert!(ours.grant(token, now).await.unwrap().is_some());
    ours.renew_secret("a".into(), [2; 32]).await.unwrap();
    ours.append(AccountId(1), events("g").into(), now)
        .await
        .unwrap();
    assert!(!is_remembered());
    assert!(ours.grant(token, now).await.unwrap().is_none());
}

#[tokio::test]
async fn ids_are_known_for_ever_however_they_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let event = |session: u32, n: u32| {
        let id = EventId::parse(&format!("{session}-{n}")).unwrap();
        let lsid = Lsid::parse(&format!("s{session}")).unwrap();
        let at = At::from_secs(1_000_000 + i64::from(n)).unwrap();
        Event::new(id, lsid, at, EventType::ChatMessage)
    };
    let batch = |session| (0..1_000).map(|n| event(session, n)).collect::<Vec<_>>();
    let sender = AccountId(1);
    let send = async |store: &Store, session| {
        let done = store.append(sender, batch(session), At::MIN).await.unwrap();
        match done {
            Append::Done(appended) => (appended.fresh, appended.repeated),
            Append::Conflicts(conflicts) => panic!("{conflicts:?}"),
        }
    };
    let store = Store::open(directory.path()).unwrap();
    let other_process = Store::open(directory.path()).unwrap();
    // More than are kept unsorted, so that some are sorted, some are being sorted, some are not.
    for session in 0..16 {
        let store = [&store, &other_process][session as usize % 2];
        assert_eq!(send(store, session).await, (1_000, 0), "{session}");
    }
    for session in 0..16 {
        assert_eq!(send(&store, session).await, (0, 1_000), "{session}");
    }
    drop((store, other_process));
    let store = Store::open(directory.path()).unwrap();
    // While what was there is learnt, and others come.
    for session in 0..16 {
        assert_eq!(send(&store, session).await, (0, 1_000), "{session}");
        assert_eq!(send(&store, 100 + session).await, (1_000, 0), "{session}");
    }
    for session in (0..16).chain(100..116) {
        assert_eq!(send(&store, session).await, (0, 1_000), "{session}");
    }
    // Under the id of another event: named, and nothing of the batch is kept.
    let mut stolen = batch(99);
    stolen[5].id = EventId::parse("3-3").unwrap();
    let refused = store.append(sender, stolen, At::MIN).await.unwrap();
    assert!(matches!(refused, Append::Conflicts(conflicts) if conflicts[0].event_idx == 5));
    assert_eq!(send(&store, 99).await, (1_000, 0), "none of them was kept");
    let connection = Connection::open(directory.path().join("archive.sqlite")).unwrap();
    let count = |sql: &str| -> i64 { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert!(0 < count("SELECT count(*) FROM id_run WHERE live = 1"));
    assert!(count("SELECT count(*) FROM id_recent") < 10);
}

#[tokio::test]
async fn a_session_is_never_closed_a_moment_too_early() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let at = |millis: i64| At::from_millis(5_000_000 + millis).unwrap();
    // Heard of twice in one second: only the first time is written down.
    for (n, millis) in [0, 900].into_iter().enumerate() {
        let event = Event::new(
            EventId::parse(&n.to_string()).unwrap(),
            Lsid::parse("a").unwrap(),
            at(0),
            EventType::ChatMessage,
        );
        let done = store.append(AccountId(1), vec![event], at(millis)).await;
        assert!(matches!(done.unwrap(), Append::Done(done) if done.fresh == 1));
        // Each becomes part of the session by itself.
        store.last_change().await.unwrap();
    }
    assert_eq!(store.lapse(at(900), 10).await.unwrap(), 0);
    assert_eq!(store.lapse(at(1_000), 10).await.unwrap(), 1);
}

/// A closed session with sealed bytes of its own.
async fn sealed(store: &Store, lsid: &str, start: i64, body: &[u8]) -> u64 {
    append(store, session(lsid, start, Some(start + 5), "1", "2", "1")).await;
    seal_all(store, body).await
}

/// Seals what is closed.
async fn seal_all(store: &Store, body: &[u8]) -> u64 {
    // Settles what waits.
    store.last_change().await.unwrap();
    let unsealed = store.unsealed(1_000).await.unwrap();
    let bodies = unsealed.into_iter().map(|unsealed| SealedBody {
        place: unsealed.place,
        change: unsealed.change,
        names: 0,
        body: body.to_vec(),
    });
    store.seal(bodies.collect()).await.unwrap()
}

/// The sealed bytes of every session, in order.
async fn bodies(store: &Store) -> Result<Vec<Vec<u8>>, StoreError> {
    let found = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&found);
    let mut reading = Reading::new(
        debrief_domain::Selection {
            which: started().which,
            filter: Filter::All,
        },
        crate::Members::default(),
    );
    while !reading.is_done() {
        let seen = Arc::clone(&seen);
        let visit = move |found: crate::Found<'_>| {
            if let crate::Found::Sealed { body, .. } = found {
                seen.lock().unwrap().push(body.to_vec());
            }
            Ok(Flow::More)
        };
        reading = store.page(reading, Box::new(visit)).await?;
    }
    let bodies = found.lock().unwrap().clone();
    Ok(bodies)
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(directory.join("segments")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn bytes_behind_those_that_count_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    sealed(&store, "a", 100, b"first").await;
    drop(store);
    // As after a crash between writing and committing.
    let file = files(directory.path()).remove(0);
    std::fs::write(&file, b"firsthalf of a sess").unwrap();
    let store = Store::open(directory.path()).unwrap();
    sealed(&store, "b", 200, b"second").await;
    assert_eq!(bodies(&store).await.unwrap(), [&b"first"[..], b"second"]);
    // A commit that broke off may turn up again and point at them.
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(bytes, b"firsthalf of a sesssecond");
    assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn two_processes_add_to_files_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let other_process = Store::open(directory.path()).unwrap();
    sealed(&store, "a", 100, b"a").await;
    sealed(&other_process, "b", 200, b"b").await;
    sealed(&store, "c", 300, b"c").await;
    assert_eq!(files(directory.path()).len(), 2);
    assert_eq!(bodies(&store).await.unwrap(), [b"a", b"b", b"c"]);
    assert_eq!(bodies(&other_process).await.unwrap(), [b"a", b"b", b"c"]);
}

#[tokio::test]
async fn a_file_that_is_gone_or_cut_is_named_and_never_a_shorter_report() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    sealed(&store, "a", 100, b"body").await;
    drop(store);
    let file = files(directory.path()).remove(0);
    std::fs::write(&file, b"bod").unwrap();
    for _ in 0..2 {
        let store = Store::open(directory.path()).unwrap();
        let error = bodies(&store).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }));
        assert!(error.to_string().contains("00000001"), "{error}");
        let examined = store.examine(-1, 10).await.unwrap();
        assert!(examined[0].faults[0].contains("cannot be read"));
        drop(store);
        let _ = std::fs::remove_file(&file);
    }
}

#[tokio::test]
async fn files_that_are_mostly_empty_are_emptied_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    // Full files of 16 KiB, each session's bytes told apart.
    let body = |n: u8| vec![n; 4 << 10];
    for n in 0..10 {
        sealed(&store, &format!("s{n}"), i64::from(n) * 100, &body(n)).await;
    }
    // Groups of events are made, and nothing else is to be done.
    while 0 < store.tidy(At::MIN, 64).await.unwrap() {}
    let first = files(directory.path()).remove(0);
    assert!(first.ends_with("00000001"), "{}", first.display());
    // A late event drops the bytes of a session; sealed again, they lie elsewhere.
    for n in 0..3 {
        let mut late = session(&format!("s{n}"), i64::from(n) * 100, None, "1", "2", "1");
        late.truncate(1);
        late[0].id = EventId::parse(&format!("late-{n}")).unwrap();
        append(&store, late).await;
        sealed(&store, &format!("s{n}"), i64::from(n) * 100, &body(n)).await;
    }
    let expected: Vec<Vec<u8>> = (0..10).map(body).collect();
    assert_eq!(bodies(&store).await.unwrap(), expected);
    let now = At::from_secs(1_000_000).unwrap();
    assert!(0 < store.tidy(now, 64).await.unwrap());
    while 0 < store.tidy(now, 64).await.unwrap() {}
    assert_eq!(bodies(&store).await.unwrap(), expected);
    assert!(!files(directory.path()).contains(&first));
    assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn events_in_groups_are_those_that_were_sent() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for n in 0..9 {
        sealed(&store, &format!("s{n}"), n * 100, b"body").await;
    }
    let before = store.examine(-1, 100).await.unwrap();
    // Two groups of four, beside shelves and sheaves.
    while 0 < store.tidy(At::MIN, 64).await.unwrap() {}
    let n_grouped = "SELECT count(*) FROM event WHERE form = 4";
    let n_grouped: i64 = db(directory.path())
        .query_row(n_grouped, [], |row| row.get(0))
        .unwrap();
    assert_eq!(n_grouped, 8, "one is left over");
    let after = store.examine(-1, 100).await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.faults, Vec::<String>::new());
        assert_eq!(after.events, before.events);
    }
    // A late event comes behind the group, and goes into one row with what was in it.
    let mut late = session("s1", 100, None, "1", "2", "1");
    late.truncate(1);
    late[0].id = EventId::parse("late").unwrap();
    append(&store, late).await;
    sealed(&store, "s1", 100, b"again").await;
    let again = store.examine(-1, 100).await.unwrap();
    assert_eq!(again[1].events.len(), before[1].events.len() + 1);
    assert_eq!(again[1].faults, Vec::<String>::new());
    assert_eq!(again[2].events, before[2].events);
}

#[tokio::test]
async fn what_the_second_format_kept_in_the_database_is_read_and_moved() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    for n in 0..3 {
        sealed(&store, &format!("s{n}"), n * 100, b"in a file").await;
    }
    drop(store);
    let db = Connection::open(directory.path().join("archive.sqlite")).unwrap();
    db.execute_batch(
        "INSERT INTO body_inline SELECT place, change, names, CAST(place AS BLOB) FROM body; \
         DELETE FROM body WHERE place <> (SELECT max(place) FROM body);",
    )
    .unwrap();
    drop(db);
    let store = Store::open(directory.path()).unwrap();
    let before = bodies(&store).await.unwrap();
    assert_eq!(before.len(), 3);
    assert_eq!(before[2], b"in a file");
    while 0 < store.tidy(At::MIN, 2).await.unwrap() {}
    let after = bodies(&store).await.unwrap();
    assert_eq!(after[..2], before[..2]);
    let db = Connection::open(directory.path().join("archive.sqlite")).unwrap();
    let count = |sql: &str| -> i64 { db.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(count("SELECT count(*) FROM body_inline"), 0);
    assert_eq!(count("SELECT count(*) FROM body"), 3);
}

#[tokio::test]
async fn a_disk_that_is_full_for_sealed_bytes_refuses_them_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    append(&store, session("a", 100, Some(105), "1", "2", "1")).await;
    let file = directory.path().join("segments/00000001");
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    let unsealed = store.unsealed(10).await.unwrap();
    let bodies = vec![SealedBody {
        place: unsealed[0].place,
        change: unsealed[0].change,
        names: 0,
        body: b"body".to_vec(),
    }];
    let error = store.seal(bodies.clone()).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }));
    assert_eq!(error.to_string(), "the disk is full");
    assert_eq!(store.unsealed(10).await.unwrap().len(), 1);
    assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
    std::fs::remove_file(&file).unwrap();
    assert_eq!(store.seal(bodies).await.unwrap(), 1);
    assert_eq!(self::bodies(&store).await.unwrap(), [b"body"]);
}

#[tokio::test]
async fn an_event_that_comes_while_a_group_is_made_is_not_lost() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let other_process = Sqlite::open(directory.path()).unwrap();
    for n in 0..4 {
        sealed(&store, &format!("s{n}"), n * 100, b"body").await;
    }
    let segments = Arc::clone(&other_process.files.segments);
    let group = other_process.read(move |db| events::group(db, &segments));
    let group = group.await.unwrap().unwrap();
    // The newest row of all is packed anew, and may get the number it had.
    let mut late = session("s3", 300, None, "1", "2", "1");
    late.truncate(1);
    late[0].id = EventId::parse("late").unwrap();
    append(&store, late).await;
    sealed(&store, "s3", 300, b"again").await;
    let before = store.examine(-1, 10).await.unwrap();
    let grouped = other_process.write(move |writer| events::put_group(writer, &group));
    assert_eq!(grouped.await.unwrap(), 3);
    let after = store.examine(-1, 10).await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.faults, Vec::<String>::new());
        assert_eq!(after.events, before.events);
    }
    assert_eq!(after[3].events.len(), 5);
}

#[tokio::test]
async fn a_wrong_count_is_told_and_costs_no_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    // A full file, as the tests have them.
    sealed(&store, "a", 100, &[7; 17 << 10]).await;
    let db = Connection::open(directory.path().join("archive.sqlite")).unwrap();
    db.execute("UPDATE segment SET live = 0", []).unwrap();
    let faults = store.integrity().await.unwrap();
    assert!(
        faults[0].ends_with("are pointed to, and 0 are counted"),
        "{faults:?}"
    );
    for secs in [1, 2, 3] {
        store.tidy(At::from_secs(secs).unwrap(), 64).await.unwrap();
    }
    assert_eq!(bodies(&store).await.unwrap(), [[7; 17 << 10]]);
}
