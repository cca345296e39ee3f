//! It lies as planned, and only about what it did.

use debrief_domain::EventType;
use tempfile::tempdir;

use super::*;
use crate::conformance;
use crate::conformance::{at, event};

/// What an append under this fate answers, and whether it is there afterwards.
async fn check(fate: Fate, expected: (&str, bool)) {
    let directory = tempdir().unwrap();
    let inner = Store::open(directory.path()).unwrap();
    let store = Store::faulty(&inner, Plan::scripted([fate]));
    let events = vec![event("1", "a", 0, EventType::SessionStart)];
    let answer = store.append(AccountId(1), events.clone(), at(0)).await;
    let said = match answer {
        Ok(Append::Done(_)) => "done",
        Ok(Append::Conflicts(_)) => "conflicts",
        Err(StoreError::Unknown { .. }) => "unknown",
        Err(StoreError::Refused { .. }) => "refused",
        Err(StoreError::Expired | StoreError::Corrupt { .. }) => "another error",
    };
    // The script is over, so the second time it is honest.
    match store.append(AccountId(1), events, at(0)).await.unwrap() {
        Append::Done(appended) => {
            assert_eq!((said, appended.repeated == 1), expected, "{fate:?}");
        }
        Append::Conflicts(conflicts) => panic!("{conflicts:?}"),
    }
}

#[tokio::test]
async fn each_fate_does_and_says_what_it_is_called() {
    check(Fate::Truth, ("done", true)).await;
    check(Fate::DoneUnknown, ("unknown", true)).await;
    check(Fate::UndoneUnknown, ("unknown", false)).await;
    check(Fate::Refused, ("refused", false)).await;
}

#[test]
fn a_seeded_plan_has_every_fate_and_is_the_same_again() {
    let fates = |seed| {
        let mut plan = Plan::Seeded(seed);
        (0..64).map(|_| plan.next()).collect::<Vec<_>>()
    };
    for fate in FATES {
        assert!(fates(7).contains(&fate), "{fate:?}");
    }
    assert_eq!(fates(7), fates(7));
    assert_ne!(fates(7), fates(8));
}

#[tokio::test]
async fn an_honest_one_keeps_the_contract() {
    let directory = tempdir().unwrap();
    let n_made = std::cell::Cell::new(0);
    conformance::all(|| {
        n_made.set(n_made.get() + 1);
        let inner = Store::open(&directory.path().join(n_made.get().to_string())).unwrap();
        Store::faulty(&inner, Plan::scripted([]))
    })
    .await;
}
