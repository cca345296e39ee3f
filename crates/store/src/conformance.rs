//! The suite that every backend signs: the contract of this crate as tests.
//!
//! Each function takes a fresh, empty archive and panics when a promise is broken.

#![expect(clippy::unwrap_used, reason = "a broken promise is a panic here")]

use std::sync::{Arc, Mutex};

use debrief_domain::{
    Actor, ActorKind, At, Change, Directory, Event, EventId, EventType, Filter, Invitation, Joined,
    Lsid, Permissions, Recording, RecordingKind, RepId, Selection, SessionContext, SiteId, Team,
    TeamId, TeamRef, Which, Window,
};

use crate::{
    AccessEntry, AccountId, Append, ConflictKind, DEAD_LETTERS_MAX, DeadLetter, Document, Enabled,
    Flow, Found, Import, KeepRecording, KeptRecording, Material, Members, NewAccount, Part,
    Reading, RecordingKey, SealedBody, Silence, Store, TOKENS_MAX, TokenHash, Unsealed,
};

/// Runs the whole suite; `fresh` makes an empty archive each time.
pub async fn all(fresh: impl Fn() -> Store) {
    appending_again_changes_nothing(&fresh()).await;
    a_batch_with_a_conflict_leaves_nothing(&fresh()).await;
    windows_filters_and_order(&fresh()).await;
    ties_are_in_order_of_lseq(&fresh()).await;
    named_sessions_come_in_the_order_asked_for(&fresh()).await;
    a_reading_sees_the_set_of_one_moment(&fresh()).await;
    a_reading_older_than_the_horizon_is_refused(&fresh()).await;
    changes_come_in_order_and_none_is_lost(&fresh()).await;
    importing_keeps_the_newest_version(&fresh()).await;
    sealing_lasts_until_a_late_event(&fresh()).await;
    silence_lapses_a_session_until_it_speaks(&fresh()).await;
    a_recording_counts_once_and_never_changes(&fresh()).await;
    a_recording_unseals_a_session_that_has_ended(&fresh()).await;
    tokens_end_with_their_number_their_time_and_their_account(&fresh()).await;
    the_directory_is_replaced_whole(&fresh()).await;
    logins_are_remembered_until_when_they_lasted(&fresh()).await;
    a_window_of_logins_has_its_lower_bound_and_not_its_upper(&fresh()).await;
    running_sessions_are_counted_by_owner(&fresh()).await;
    the_access_log_is_read_newest_first(&fresh()).await;
    sources_remember_and_keep_aside(&fresh()).await;
}

/// The account that sends.
const SENDER: AccountId = AccountId(1);

/// `secs` seconds after an arbitrary moment.
pub fn at(secs: i64) -> At {
    At::from_secs(1_700_000_000 + secs).unwrap()
}

/// A bare event.
pub fn event(id: &str, lsid: &str, secs: i64, kind: EventType) -> Event {
    Event::new(
        EventId::parse(id).unwrap(),
        Lsid::parse(lsid).unwrap(),
        at(secs),
        kind,
    )
}

/// The events of a whole session: started, owned by this representative, ended.
pub fn session(
    lsid: &str,
    start: i64,
    end: Option<i64>,
    rep: &str,
    team: &str,
    site: &str,
) -> Vec<Event> {
    let joined = Joined {
        gsnumber: 7,
        id: RepId::parse(rep).unwrap(),
        username: rep.into(),
        public_display_name: rep.into(),
        private_display_name: rep.into(),
        display_number: String::new(),
        public_ip: None,
        private_ip: None,
        hostname: None,
        os: None,
        support_teams: Vec::new(),
        invitation: Invitation::Regular,
    };
    let owner = Actor {
        kind: ActorKind::Representative,
        gsnumber: 7,
        name: None,
    };
    let context = SessionContext {
        public_site: Some((SiteId::parse(site).unwrap(), None)),
        ..SessionContext::default()
    };
    let team = (!team.is_empty()).then(|| TeamRef {
        id: TeamId::parse(team).unwrap(),
        name: Some(team.into()),
    });
    let id = |n: u32| format!("{lsid}-{n}");
    let mut events = vec![
        Event {
            session: Some(Box::new(context)),
            team,
            ..event(&id(0), lsid, start, EventType::SessionStart)
        },
        Event {
            representative: Some(Box::new(joined)),
            ..event(&id(1), lsid, start + 1, EventType::ConferenceMemberAdded)
        },
        Event {
            destination: Some(owner),
            ..event(&id(2), lsid, start + 1, EventType::ConferenceOwnerChanged)
        },
    ];
    events.extend(end.map(|end| event(&id(3), lsid, end, EventType::SessionEnd)));
    events
}

/// A document of an imported session.
pub fn document(lsid: &str, start: i64, end: Option<i64>, digest: u8) -> Document {
    Document {
        lsid: Lsid::parse(lsid).unwrap(),
        lseq: None,
        start: at(start),
        end: end.map(at),
        owners: vec![RepId::parse("1").unwrap()],
        teams: Vec::new(),
        site: SiteId::default_site(),
        last_event: end.map(at),
        n_events: 2,
        digest: [digest; 16],
        body: format!("{lsid}/{digest}").into_bytes(),
        names: 0,
    }
}

/// Adds events and insists that all were new or known.
pub async fn append(store: &Store, events: Vec<Event>) -> (u64, u64) {
    match store.append(SENDER, events, at(10_000)).await.unwrap() {
        Append::Done(appended) => (appended.fresh, appended.repeated),
        Append::Conflicts(conflicts) => panic!("{conflicts:?}"),
    }
}

/// Everything from the start of time, by start.
pub fn started() -> Selection {
    let which = Which::Started(Window {
        from: At::MIN,
        until: None,
    });
    Selection {
        which,
        filter: Filter::All,
    }
}

/// Reads on to the end of a reading, each session as its lsid, or its bytes when it is sealed.
pub async fn rest(store: &Store, mut reading: Reading) -> Vec<String> {
    let mut found = Vec::new();
    while !reading.is_done() {
        let (next, page) = one_page(store, reading, usize::MAX).await;
        found.extend(page);
        reading = next;
    }
    found
}

/// One page of at most `n_max` sessions.
pub async fn one_page(store: &Store, reading: Reading, n_max: usize) -> (Reading, Vec<String>) {
    let page = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&page);
    let visit = Box::new(move |found: Found<'_>| {
        let mut seen = seen.lock().unwrap();
        seen.push(match found {
            Found::Sealed { body, .. } => String::from_utf8(body.to_vec()).unwrap(),
            Found::Live {
                events,
                silence: Silence::Heard,
                ..
            } => events[0].lsid.to_string(),
            Found::Live {
                events,
                silence: Silence::Lapsed,
                ..
            } => {
                format!("{} lapsed", events[0].lsid)
            }
        });
        Ok(if seen.len() < n_max {
            Flow::More
        } else {
            Flow::Full
        })
    });
    let reading = store.page(reading, visit).await.unwrap();
    let page = std::mem::take(&mut *page.lock().unwrap());
    (reading, page)
}

/// All sessions of a selection.
pub async fn read(store: &Store, which: Which, filter: Filter) -> Vec<String> {
    let members = Members(vec![RepId::parse("1").unwrap(), RepId::parse("2").unwrap()]);
    rest(store, Reading::new(Selection { which, filter }, members)).await
}

async fn appending_again_changes_nothing(store: &Store) {
    let events = session("a", 0, Some(10), "1", "", "1");
    assert_eq!(append(store, events.clone()).await, (4, 0));
    let change = store.last_change().await.unwrap();
    assert_eq!(append(store, events.clone()).await, (0, 4));
    assert_eq!(store.last_change().await.unwrap(), change);
    let mut twice = events.clone();
    twice.extend(session("b", 5, None, "1", "", "1"));
    twice.extend(session("b", 5, None, "1", "", "1"));
    assert_eq!(append(store, twice).await, (3, 7));
    // Another account's ids are its own.
    let other = store.append(AccountId(2), events, at(0)).await.unwrap();
    assert!(matches!(other, Append::Done(appended) if appended.fresh == 4));
}

async fn a_batch_with_a_conflict_leaves_nothing(store: &Store) {
    append(store, session("a", 0, None, "1", "", "1")).await;
    store
        .import(vec![document("doc", 0, Some(1), 1)], at(0))
        .await
        .unwrap();
    let batch = vec![
        event("new-1", "a", 3, EventType::ChatMessage),
        event("a-0", "a", 4, EventType::ChatMessage),
        event("a-0", "elsewhere", 0, EventType::SessionStart),
        event("new-2", "doc", 5, EventType::ChatMessage),
    ];
    let Append::Conflicts(conflicts) = store.append(SENDER, batch, at(0)).await.unwrap() else {
        panic!("a batch with conflicts was kept");
    };
    let conflicts: Vec<_> = conflicts.iter().map(|c| (c.event_idx, c.kind)).collect();
    assert_eq!(
        conflicts,
        [
            (1, ConflictKind::IdTaken),
            (2, ConflictKind::IdTaken),
            (3, ConflictKind::SessionImported)
        ]
    );
    assert_eq!(
        read(store, started().which, Filter::All).await,
        ["a", "doc/1"]
    );
    // The ids of the refused batch are free.
    let alone = vec![event("new-1", "b", 3, EventType::SessionStart)];
    assert_eq!(append(store, alone).await, (1, 0));
}

async fn windows_filters_and_order(store: &Store) {
    // Later first, so that order is not that of insertion.
    append(store, session("c", 300, Some(310), "2", "20", "3")).await;
    append(store, session("b", 200, None, "1", "10", "1")).await;
    append(store, session("a", 100, Some(400), "1", "", "1")).await;
    append(store, session("d", 300, Some(305), "3", "10", "1")).await;
    let window = |from: i64, until: i64| Window {
        from: at(from),
        until: Some(at(until)),
    };
    let by_start = |from, until| read(store, Which::Started(window(from, until)), Filter::All);
    assert_eq!(by_start(100, 300).await, ["a", "b"]);
    assert_eq!(by_start(101, 301).await, ["b", "c", "d"]);
    let by_end = |from, until| read(store, Which::Ended(window(from, until)), Filter::All);
    assert_eq!(by_end(0, 1000).await, ["d", "c", "a"]);
    assert_eq!(by_end(310, 400).await, ["c"]);
    assert_eq!(by_end(310, 401).await, ["c", "a"]);

    let team = |id: &str| TeamId::parse(id).unwrap();
    let filtered = [
        (
            Filter::OwnedBy(RepId::parse("1").unwrap()),
            vec!["a", "b"],
            vec!["a"],
        ),
        (Filter::OwnedBy(RepId::parse("99").unwrap()), vec![], vec![]),
        (Filter::AnyTeam, vec!["b", "c", "d"], vec!["d", "c"]),
        (Filter::Team(team("10")), vec!["b", "d"], vec!["d"]),
        (
            Filter::OwnedByMemberOf(team("10")),
            vec!["a", "b", "c"],
            vec!["c", "a"],
        ),
        (
            Filter::Site(SiteId::parse("3").unwrap()),
            vec!["c"],
            vec!["c"],
        ),
    ];
    for (filter, by_start, by_end) in filtered {
        let all = Window {
            from: At::MIN,
            until: None,
        };
        assert_eq!(
            read(store, Which::Started(all), filter.clone()).await,
            by_start,
            "{filter:?}"
        );
        assert_eq!(
            read(store, Which::Ended(all), filter.clone()).await,
            by_end,
            "{filter:?}"
        );
        let changed = read(store, Which::ChangedSince(Change(0)), filter.clone()).await;
        let mut sorted = changed.clone();
        sorted.sort();
        assert_eq!(sorted, by_start, "changed, {filter:?}");
    }
}

async fn ties_are_in_order_of_lseq(store: &Store) {
    let numbered = |lsid: &str, lseq: u64| Document {
        lseq: Some(lseq),
        ..document(lsid, 5, Some(9), 1)
    };
    let documents = vec![numbered("x", 30), numbered("y", 10), numbered("z", 20)];
    store.import(documents, at(0)).await.unwrap();
    let all = Window {
        from: At::MIN,
        until: None,
    };
    let expected = ["y/1", "z/1", "x/1"];
    assert_eq!(
        read(store, Which::Started(all), Filter::All).await,
        expected
    );
    assert_eq!(read(store, Which::Ended(all), Filter::All).await, expected);
}

async fn named_sessions_come_in_the_order_asked_for(store: &Store) {
    for (lsid, start) in [("a", 1), ("b", 2), ("c", 3)] {
        append(store, session(lsid, start, None, "1", "", "1")).await;
    }
    let names = |list: &[&str]| {
        list.iter()
            .map(|n| Lsid::parse(n).unwrap())
            .collect::<Vec<_>>()
    };
    let named = |list: &[&str]| read(store, Which::Named(names(list)), Filter::All);
    assert_eq!(named(&["c", "missing", "a", "b"]).await, ["c", "a", "b"]);
    assert_eq!(named(&["missing"]).await, Vec::<String>::new());
}

async fn a_reading_sees_the_set_of_one_moment(store: &Store) {
    for n in 0..10 {
        let lsid = format!("s{n}");
        append(
            store,
            session(&lsid, 100 + n, (n == 9).then_some(200), "1", "", "1"),
        )
        .await;
    }
    let reading = Reading::new(started(), Members::default());
    let (reading, mut seen) = one_page(store, reading, 3).await;
    assert_eq!(seen, ["s0", "s1", "s2"]);
    // New sessions, before and after the place of the reading.
    append(store, session("new-early", 50, None, "1", "", "1")).await;
    append(store, session("new-late", 105, None, "1", "", "1")).await;
    // A session not yet seen moves to before the place; one that was seen is changed.
    append(
        store,
        vec![event("early", "s5", 60, EventType::SessionStart)],
    )
    .await;
    append(
        store,
        vec![event("more", "s1", 300, EventType::ChatMessage)],
    )
    .await;
    append(store, vec![event("end", "s6", 301, EventType::SessionEnd)]).await;
    seen.extend(rest(store, reading).await);
    seen.sort();
    let expected: Vec<String> = (0..10).map(|n| format!("s{n}")).collect();
    assert_eq!(seen, expected);
    let now = read(store, started().which, Filter::All).await;
    assert_eq!(now[..3], ["new-early", "s5", "s0"]);
    assert_eq!(now.len(), 12);
}

async fn a_reading_older_than_the_horizon_is_refused(store: &Store) {
    for n in 0..3 {
        append(store, session(&format!("s{n}"), n, None, "1", "", "1")).await;
    }
    let reading = Reading::new(started(), Members::default());
    let (reading, _) = one_page(store, reading, 1).await;
    append(
        store,
        vec![event("early", "s2", -5, EventType::SessionStart)],
    )
    .await;
    let horizon = store.last_change().await.unwrap();
    assert!(0 < store.purge(horizon).await.unwrap());
    let visit = Box::new(|_: Found<'_>| Ok(Flow::More));
    assert!(
        store.page(reading, visit).await.is_err(),
        "a short report would have been given"
    );
    assert_eq!(
        read(store, started().which, Filter::All).await,
        ["s2", "s0", "s1"]
    );
}

async fn changes_come_in_order_and_none_is_lost(store: &Store) {
    for n in 0..3 {
        append(
            store,
            session(&format!("s{n}"), 100 - n, None, "1", "", "1"),
        )
        .await;
    }
    let changed = |since: u64| read(store, Which::ChangedSince(Change(since)), Filter::All);
    assert_eq!(changed(0).await, ["s0", "s1", "s2"]);
    let cursor = store.last_change().await.unwrap();
    assert_eq!(changed(cursor).await, Vec::<String>::new());
    append(
        store,
        vec![event("more", "s1", 300, EventType::ChatMessage)],
    )
    .await;
    assert_eq!(changed(cursor).await, ["s1"]);
    assert_eq!(changed(0).await, ["s0", "s2", "s1"]);
    // A cursor from the future of another archive finds nothing and breaks nothing.
    assert_eq!(changed(u64::MAX).await, Vec::<String>::new());
}

async fn importing_keeps_the_newest_version(store: &Store) {
    let import = |document: Document| store.import(vec![document], at(0));
    let count = |fresh, replaced, repeated, older, live| Import {
        fresh,
        replaced,
        repeated,
        older,
        live,
    };
    assert_eq!(
        import(document("a", 0, None, 1)).await.unwrap(),
        count(1, 0, 0, 0, 0)
    );
    let change = store.last_change().await.unwrap();
    assert_eq!(
        import(document("a", 0, None, 1)).await.unwrap(),
        count(0, 0, 1, 0, 0)
    );
    assert_eq!(store.last_change().await.unwrap(), change);
    assert_eq!(
        import(document("a", 3, Some(9), 2)).await.unwrap(),
        count(0, 1, 0, 0, 0)
    );
    assert_eq!(
        import(document("a", 0, None, 1)).await.unwrap(),
        count(0, 0, 0, 1, 0)
    );
    append(store, session("b", 1, None, "1", "", "1")).await;
    assert_eq!(
        import(document("b", 0, None, 1)).await.unwrap(),
        count(0, 0, 0, 0, 1)
    );
    assert_eq!(
        read(store, started().which, Filter::All).await,
        ["b", "a/2"]
    );
    let ended = Which::Ended(Window {
        from: At::MIN,
        until: None,
    });
    assert_eq!(read(store, ended, Filter::All).await, ["a/2"]);
}

fn n_events(unsealed: &Unsealed) -> usize {
    match &unsealed.material {
        Material::Events(events) => events.len(),
        Material::Document(_) => panic!("it has a document"),
    }
}

async fn sealing_lasts_until_a_late_event(store: &Store) {
    append(store, session("a", 0, Some(10), "1", "", "1")).await;
    append(store, session("b", 1, None, "1", "", "1")).await;
    let unsealed = store.unsealed(10).await.unwrap();
    assert_eq!(unsealed.len(), 1, "a running session is not sealed");
    assert_eq!(n_events(&unsealed[0]), 4);
    let body = |change| SealedBody {
        place: unsealed[0].place,
        change,
        names: 0,
        body: b"sealed a".to_vec(),
    };
    let change = unsealed[0].change;
    assert_eq!(
        store.seal(vec![body(change + 5)]).await.unwrap(),
        0,
        "of another state"
    );
    assert_eq!(store.seal(vec![body(change)]).await.unwrap(), 1);
    assert_eq!(
        read(store, started().which, Filter::All).await,
        ["sealed a", "b"]
    );
    assert!(store.unsealed(10).await.unwrap().is_empty());
    append(store, vec![event("late", "a", 99, EventType::ChatMessage)]).await;
    assert_eq!(read(store, started().which, Filter::All).await, ["a", "b"]);
    let again = store.unsealed(10).await.unwrap();
    assert_eq!(n_events(&again[0]), 5, "packed and plain events together");
    assert_eq!(
        store.seal(vec![body(change)]).await.unwrap(),
        0,
        "bytes of the older state"
    );
}

fn recording(lsid: &str, instance: u32, object: &str, sha256: u8) -> KeptRecording {
    KeptRecording {
        key: RecordingKey {
            lsid: Lsid::parse(lsid).unwrap(),
            recording: Recording {
                kind: RecordingKind::CommandShell,
                instance,
            },
            part: Part::Main,
        },
        object: object.into(),
        media: "text/x-test".into(),
        bytes: 3,
        sha256: [sha256; 32],
        account: SENDER,
        at: at(7),
    }
}

async fn a_recording_counts_once_and_never_changes(store: &Store) {
    let keep = |kept: KeptRecording| store.keep_recording(kept);
    let missing = keep(recording("a", 0, "x", 1)).await.unwrap();
    assert_eq!(missing, KeepRecording::NoSession);
    assert_eq!(
        store.recordings(&Lsid::parse("a").unwrap()).await.unwrap(),
        None
    );
    append(store, session("a", 0, None, "1", "", "1")).await;
    append(store, session("b", 0, None, "1", "", "1")).await;
    let first = recording("a", 2, "one", 1);
    assert_eq!(keep(first.clone()).await.unwrap(), KeepRecording::Kept);
    let same = keep(recording("a", 2, "two", 1)).await.unwrap();
    assert_eq!(same, KeepRecording::Known(first.clone()));
    let other = keep(recording("a", 2, "three", 2)).await.unwrap();
    assert_eq!(other, KeepRecording::Taken(first.clone()));
    let timing = KeptRecording {
        key: RecordingKey {
            part: Part::Timing,
            ..first.key.clone()
        },
        object: "four".into(),
        ..first.clone()
    };
    assert_eq!(keep(timing.clone()).await.unwrap(), KeepRecording::Kept);
    let second = recording("b", 0, "five", 1);
    assert_eq!(keep(second.clone()).await.unwrap(), KeepRecording::Kept);
    let of_a = store.recordings(&first.key.lsid).await.unwrap();
    assert_eq!(of_a, Some(vec![first.clone(), timing.clone()]));

    let all = store.recordings_after(None, 10).await.unwrap();
    assert_eq!(all, [first.clone(), timing.clone(), second.clone()]);
    let page = store.recordings_after(Some(first.key), 1).await.unwrap();
    assert_eq!(page, [timing]);
    let last = store.recordings_after(Some(second.key), 1).await.unwrap();
    assert_eq!(last, []);
    let objects = ["one", "two", "three", "four", "five"].map(str::to_owned);
    let strangers = store.strangers(objects.to_vec()).await.unwrap();
    assert_eq!(strangers, ["two", "three"]);
}

async fn a_recording_unseals_a_session_that_has_ended(store: &Store) {
    append(store, session("a", 0, Some(10), "1", "", "1")).await;
    append(store, session("b", 1, None, "1", "", "1")).await;
    let import = |document: Document| store.import(vec![document], at(0));
    import(document("c", 2, Some(9), 1)).await.unwrap();
    let seal = |unsealed: &Unsealed| SealedBody {
        place: unsealed.place,
        change: unsealed.change,
        names: 0,
        body: match unsealed.material {
            Material::Document(_) => b"c/sealed".to_vec(),
            Material::Events(_) => b"a/sealed".to_vec(),
        },
    };
    let unsealed = store.unsealed(10).await.unwrap();
    store
        .seal(unsealed.iter().map(seal).collect())
        .await
        .unwrap();
    assert_eq!(store.unsealed(10).await.unwrap(), []);
    let before = store.last_change().await.unwrap();
    for lsid in ["a", "b", "c"] {
        let kept = store.keep_recording(recording(lsid, 4, lsid, 1)).await;
        assert_eq!(kept.unwrap(), KeepRecording::Kept);
    }
    let unsealed = store.unsealed(10).await.unwrap();
    let told: Vec<_> = unsealed
        .iter()
        .map(|u| (matches!(u.material, Material::Document(_)), u.recordings[0]))
        .collect();
    let kept = recording("a", 4, "", 1).key.recording;
    assert_eq!(told, [(false, kept), (true, kept)], "b goes on");
    let changed = Which::ChangedSince(Change(before));
    assert_eq!(read(store, changed, Filter::All).await, ["a", "c/1"]);
    // A document shows what was added from here on: a follower that has read it comes again.
    let before = store.last_change().await.unwrap();
    store
        .seal(unsealed.iter().map(seal).collect())
        .await
        .unwrap();
    assert_eq!(store.unsealed(10).await.unwrap(), []);
    let changed = Which::ChangedSince(Change(before));
    assert_eq!(read(store, changed, Filter::All).await, ["c/sealed"]);
    // The newer document of a session may lack the link again.
    import(document("c", 2, Some(99), 2)).await.unwrap();
    assert_eq!(store.unsealed(10).await.unwrap().len(), 1);
}

async fn silence_lapses_a_session_until_it_speaks(store: &Store) {
    append(store, session("a", 0, None, "1", "", "1")).await;
    append(store, session("b", 0, Some(5), "1", "", "1")).await;
    assert_eq!(
        store.lapse(at(10_000), 10).await.unwrap(),
        0,
        "heard at this very moment"
    );
    let cursor = store.last_change().await.unwrap();
    assert_eq!(store.lapse(at(10_001), 10).await.unwrap(), 1);
    assert_eq!(store.lapse(at(10_001), 10).await.unwrap(), 0, "only once");
    let changed = read(store, Which::ChangedSince(Change(cursor)), Filter::All).await;
    assert_eq!(changed, ["a lapsed"]);
    append(store, vec![event("late", "a", 99, EventType::ChatMessage)]).await;
    let changed = read(store, Which::ChangedSince(Change(cursor)), Filter::All).await;
    assert_eq!(changed, ["a"]);
}

/// An account to be made.
pub fn new_account(name: &str) -> NewAccount {
    NewAccount {
        name: name.into(),
        client_id: format!("client-{name}"),
        secret_hash: [1; 32],
        permissions: Permissions::parse("reporting,command=read_only").unwrap(),
        networks: vec!["10.0.0.0/8".into(), "::1/128".into()],
        comment: "a b".into(),
        created: at(0),
    }
}

async fn tokens_end_with_their_number_their_time_and_their_account(store: &Store) {
    let account = store
        .create_account(new_account("one"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        store.create_account(new_account("one")).await.unwrap(),
        None
    );
    let known = store.account_by_client_id("client-one").await.unwrap();
    assert_eq!(known.as_ref(), Some(&account));
    assert_eq!(account.networks, ["10.0.0.0/8", "::1/128"]);
    let token = |n: usize| TokenHash([n as u8; 32]);
    let issue = |n: usize| store.issue_token(&account, token(n), at(0), at(3600));
    let valid =
        async |n: usize, secs: i64| store.grant(token(n), at(secs)).await.unwrap().is_some();
    for n in 0..TOKENS_MAX {
        assert!(issue(n).await.unwrap());
    }
    assert!(valid(0, 3599).await);
    assert!(!valid(0, 3600).await, "its time is over");
    assert!(issue(TOKENS_MAX).await.unwrap());
    assert!(!valid(0, 1).await, "one too many ends the oldest");
    assert!(valid(1, 1).await && valid(TOKENS_MAX, 1).await);
    store.renew_secret("one", [2; 32]).await.unwrap().unwrap();
    assert!(!valid(1, 1).await, "a new secret ends tokens");
    assert!(!issue(50).await.unwrap(), "the old secret gets none");
    let account = store
        .account_by_client_id("client-one")
        .await
        .unwrap()
        .unwrap();
    let issue = |n: usize| store.issue_token(&account, token(n), at(0), at(3600));
    assert!(issue(50).await.unwrap());
    store
        .set_enabled("one", Enabled::No)
        .await
        .unwrap()
        .unwrap();
    assert!(!valid(50, 1).await, "disabling ends tokens");
    assert!(!issue(51).await.unwrap(), "a disabled account gets none");
    store
        .set_enabled("one", Enabled::Yes)
        .await
        .unwrap()
        .unwrap();
    assert!(!valid(50, 1).await, "enabling brings none back");
    assert_eq!(store.set_enabled("two", Enabled::No).await.unwrap(), None);
    assert_eq!(store.renew_secret("two", [0; 32]).await.unwrap(), None);
    let secret = store.link_secret([3; 32]).await.unwrap();
    assert_eq!(store.link_secret([4; 32]).await.unwrap(), secret);
}

async fn the_directory_is_replaced_whole(store: &Store) {
    let (version, empty) = store.directory().await.unwrap();
    assert_eq!((version, &*empty), (0, &Directory::default()));
    let mut directory = Directory::default();
    let team = Team {
        name: "Helpdesk".into(),
        ..Team::default()
    };
    directory.teams.insert(TeamId::parse("1").unwrap(), team);
    let first = store.put_directory(directory.clone()).await.unwrap();
    assert_eq!(
        store.directory().await.unwrap(),
        (first, Arc::new(directory))
    );
    let second = store.put_directory(Directory::default()).await.unwrap();
    assert!(first < second);
    let late = store
        .amend_directory(Directory::default(), first)
        .await
        .unwrap();
    assert_eq!(late, None, "somebody else was faster");
    let third = store
        .amend_directory(Directory::default(), second)
        .await
        .unwrap()
        .unwrap();
    assert!(second < third);
    let second = third;
    assert_eq!(
        store.directory().await.unwrap(),
        (second, Arc::new(Directory::default()))
    );
}

/// The logins of a window, each `rep since-until`, as seconds of [`at`].
async fn logins(store: &Store, from: i64, until: Option<i64>, now: i64, n_max: usize) -> String {
    let window = Window {
        from: at(from),
        until: until.map(at),
    };
    let secs = |at_: At| at_.secs() - at(0).secs();
    let logins = store.logins(window, at(now), n_max).await.unwrap();
    let shown = logins.iter().map(|login| {
        let until = login.until.map_or(String::new(), |at| secs(at).to_string());
        format!("{} {}-{until}", login.rep, secs(login.since))
    });
    shown.collect::<Vec<_>>().join(", ")
}

async fn logins_are_remembered_until_when_they_lasted(store: &Store) {
    let set = |rep: &'static str, now: i64, expires: i64| async move {
        let rep = RepId::parse(rep).unwrap();
        store.set_presence(rep, at(now), at(expires)).await.unwrap();
    };
    set("1", 0, 100).await;
    set("2", 10, 50).await;
    assert_eq!(logins(store, 0, None, 49, 9).await, "1 0-, 2 10-");
    // It ran out, whether or not anything was written since.
    assert_eq!(logins(store, 0, None, 50, 9).await, "1 0-, 2 10-50");
    // Said again in time: the same login goes on.
    set("1", 90, 200).await;
    assert_eq!(logins(store, 0, None, 100, 9).await, "1 0-, 2 10-50");
    // Logged out; the second time changes nothing, nor does one who was not logged in.
    set("1", 120, 120).await;
    set("1", 130, 130).await;
    set("3", 130, 130).await;
    let past = "1 0-120, 2 10-50";
    assert_eq!(logins(store, 0, None, 140, 9).await, past);
    // A login that ran out is told to have lasted until then, not until the next one.
    set("2", 150, 160).await;
    set("2", 170, 180).await;
    let all = "1 0-120, 2 10-50, 2 150-160, 2 170-";
    assert_eq!(logins(store, 0, None, 171, 9).await, all);
    let present = store.presences(at(171)).await.unwrap();
    assert_eq!(present.len(), 1);
    assert_eq!((present[0].since, present[0].expires), (at(170), at(180)));
    assert_eq!(store.presences(at(180)).await.unwrap(), []);
}

async fn a_window_of_logins_has_its_lower_bound_and_not_its_upper(store: &Store) {
    // From 100 to 200, from 300 to 400, and one that lasts since 500.
    for (now, expires) in [(100, 200), (300, 400), (500, 900)] {
        let rep = RepId::parse("1").unwrap();
        store.set_presence(rep, at(now), at(expires)).await.unwrap();
    }
    let (first, second, third) = ("1 100-200", "1 300-400", "1 500-");
    for (from, until, expected) in [
        (0, Some(100), String::new()),
        (0, Some(101), first.into()),
        (100, Some(101), first.into()),
        // It lasted all the while: nothing happened in the window.
        (101, Some(200), String::new()),
        (101, Some(201), first.into()),
        (200, Some(301), format!("{first}, {second}")),
        (201, None, format!("{second}, {third}")),
        (400, Some(500), second.into()),
        (500, None, third.into()),
        (501, None, String::new()),
    ] {
        let found = logins(store, from, until, 600, 9).await;
        assert_eq!(found, expected, "{from} {until:?}");
    }
    assert_eq!(logins(store, 0, None, 600, 3).await.split(", ").count(), 3);
    assert_eq!(logins(store, 0, None, 600, 2).await.split(", ").count(), 2);
}

async fn running_sessions_are_counted_by_owner(store: &Store) {
    let counts = async |n_max: usize| {
        let running = store.running(n_max).await.unwrap();
        let counts = running
            .iter()
            .map(|r| format!("{} {}", r.rep, r.n_sessions));
        counts.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(counts(9).await, "");
    for (lsid, end, rep) in [
        ("a", None, "1"),
        ("b", None, "2"),
        ("c", None, "1"),
        ("d", Some(9), "1"),
    ] {
        append(store, session(lsid, 0, end, rep, "", "1")).await;
    }
    let imported = document("e", 0, None, 1);
    store.import(vec![imported], at(0)).await.unwrap();
    assert_eq!(counts(9).await, "1 2, 2 1");
    assert_eq!(counts(0).await, "");
    store.lapse(At::MAX, 9).await.unwrap();
    assert_eq!(counts(9).await, "");
}

async fn the_access_log_is_read_newest_first(store: &Store) {
    for n in 0..3 {
        store.log_access(AccessEntry {
            at: at(n),
            who: format!("who{n}"),
            action: "report".into(),
            detail: String::new(),
            outcome: "done".into(),
        });
    }
    // Entries are written when events are put into their sessions, at the latest.
    append(store, session("a", 0, None, "1", "", "1")).await;
    store.last_change().await.unwrap();
    let entries = store.accesses(u64::MAX, 2).await.unwrap();
    let who: Vec<&str> = entries
        .iter()
        .map(|(_, entry)| entry.who.as_str())
        .collect();
    assert_eq!(who, ["who2", "who1"]);
    let older = store.accesses(entries[1].0, 2).await.unwrap();
    assert_eq!(older[0].1.who, "who0");
}

async fn sources_remember_and_keep_aside(store: &Store) {
    assert_eq!(store.note("a", "cursor").await.unwrap(), None);
    for (source, name, value) in [
        ("a", "cursor", "1"),
        ("a", "device/2", "two"),
        ("a", "device/1", "one"),
        ("b", "cursor", "9"),
        ("a", "cursor", "2"),
    ] {
        let value = Some(value.as_bytes().to_vec());
        store.put_note(source, name, value).await.unwrap();
    }
    assert_eq!(store.note("a", "cursor").await.unwrap(), Some(b"2".into()));
    let names = async |after: &str, n_max| {
        let notes = store.notes("a", "device/", after, n_max).await.unwrap();
        notes.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names("", 9).await, ["device/1", "device/2"]);
    assert_eq!(names("device/1", 9).await, ["device/2"]);
    assert_eq!(names("", 1).await, ["device/1"]);
    store.put_note("a", "cursor", None).await.unwrap();
    assert_eq!(store.note("a", "cursor").await.unwrap(), None);

    for n in 0..=DEAD_LETTERS_MAX {
        let letter = DeadLetter {
            source: "a".into(),
            at: at(0),
            why: "no JSON".into(),
            message: n.to_string().into(),
        };
        store.bury(letter).await.unwrap();
    }
    let all = store.dead_letters("a", u64::MAX, usize::MAX >> 1).await;
    let all = all.unwrap();
    assert_eq!(all.len(), DEAD_LETTERS_MAX);
    assert_eq!(all[0].1.message, DEAD_LETTERS_MAX.to_string().as_bytes());
    let (last, _) = all[all.len() - 1];
    assert_eq!(all[all.len() - 1].1.message, b"1", "the oldest is gone");
    assert!(store.dead_letters("a", last, 9).await.unwrap().is_empty());
    assert!(store.dead_letters("b", 9, 9).await.unwrap().is_empty());
}
