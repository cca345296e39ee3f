//! Pages of reports that are read where they are asked for.

use std::sync::{Arc, Mutex};

use super::*;
use crate::{Found, Scan};

/// Which sessions were shown, and whether by the thread that asked for them.
type Shown = Arc<Mutex<Vec<(String, bool)>>>;

/// A scan that says whether it is quick.
struct Quick {
    is_quick: bool,
    panics: bool,
    shown: Shown,
}

impl Scan for Quick {
    fn session(&mut self, found: Found<'_>) -> Result<Flow, StoreError> {
        assert!(!self.panics, "a session");
        let text = match found {
            Found::Sealed { body, .. } => String::from_utf8_lossy(&body[..2]).into_owned(),
            Found::Live { events, .. } => events[0].lsid.to_string(),
        };
        let is_here = std::thread::current().name() != Some("store-scanner");
        self.shown.lock().unwrap().push((text, is_here));
        Ok(Flow::More)
    }

    fn page_over(&mut self, _: &Reading) -> Result<Flow, StoreError> {
        Ok(Flow::More)
    }

    fn is_quick(&mut self) -> bool {
        self.is_quick
    }
}

async fn shown(store: &Store, is_quick: bool) -> Vec<(String, bool)> {
    let shown = Shown::default();
    let selection = debrief_domain::Selection {
        which: started().which,
        filter: Filter::All,
    };
    let mut reading = Reading::new(selection, crate::Members::default());
    while !reading.is_done() {
        let scan = Quick {
            is_quick,
            panics: false,
            shown: Arc::clone(&shown),
        };
        reading = store.pages(reading, Box::new(scan)).await.unwrap();
    }
    std::mem::take(&mut *shown.lock().unwrap())
}

/// Sealed ones, a long one among them, and one that is not.
async fn archive(directory: &std::path::Path) -> Store {
    let store = Store::open(directory).unwrap();
    let long = [&b"s2"[..], &[b'.'; page::SPOT_BYTES_MAX as usize - 1]].concat();
    let longest = [&b"s3"[..], &[b'.'; page::SPOT_BYTES_MAX as usize - 2]].concat();
    let bodies: [&[u8]; 4] = [b"s0", b"s1", &long, &longest];
    for (n, body) in bodies.into_iter().enumerate() {
        sealed(&store, &format!("s{n}"), n as i64, body).await;
    }
    append(&store, session("s4", 4, None, "1", "2", "1")).await;
    sealed(&store, "s5", 5, b"s5").await;
    store
}

/// Asks until those who wanted something else are forgotten.
async fn shown_when_idle(store: &Store) -> Vec<(String, bool)> {
    for _ in 0..100 {
        let shown = shown(store, true).await;
        if shown[0].1 {
            return shown;
        }
    }
    panic!("nothing is read where it is asked for");
}

#[tokio::test]
async fn a_quick_page_is_read_where_it_is_asked_for_and_what_takes_long_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let store = archive(directory.path()).await;
    let all = shown_when_idle(&store).await;
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["s0", "s1", "s2", "s3", "s4", "s5"]);
    let is_here = |idx: usize| all[idx].1;
    assert!(is_here(0) && is_here(1));
    assert!(!is_here(2), "one byte too long");
    assert!(!is_here(4), "not sealed");
    // Who has more to do with them is read elsewhere.
    assert!(shown(&store, false).await.iter().all(|shown| !shown.1));
    assert_eq!(shown_when_idle(&store).await, all);
    // So is everything when somebody wants something else.
    store.accounts().await.unwrap();
    assert!(shown(&store, true).await.iter().all(|shown| !shown.1));
}

#[tokio::test]
async fn a_page_that_panics_where_it_is_read_ends_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = archive(directory.path()).await;
    shown_when_idle(&store).await;
    // More often than there are connections.
    for _ in 0..5 {
        let selection = debrief_domain::Selection {
            which: started().which,
            filter: Filter::All,
        };
        let scan = Quick {
            is_quick: true,
            panics: true,
            shown: Shown::default(),
        };
        let reading = Reading::new(selection, crate::Members::default());
        let read = store.pages(reading, Box::new(scan)).await;
        assert!(matches!(read, Err(StoreError::Refused { .. })));
    }
    assert!(shown(&store, true).await[0].1);
}
