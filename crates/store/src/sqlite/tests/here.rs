//! Pages of reports: where they are read, and how much for each.

use std::sync::{Arc, Mutex};

use super::*;
use crate::{Found, Members, Scan};

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
    let mut reading = Reading::new(started(), Members::default());
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

/// Sealed sessions with bodies of these lengths, in order; one that is not sealed for none.
async fn archive(directory: &std::path::Path, lens: &[Option<u64>]) -> Store {
    let store = Store::open(directory).unwrap();
    for (n, len) in lens.iter().enumerate() {
        let (lsid, start) = (format!("s{n}"), n as i64);
        let Some(len) = len else {
            append(&store, session(&lsid, start, None, "1", "2", "1")).await;
            continue;
        };
        let mut body = lsid.clone().into_bytes();
        body.resize(*len as usize, b'.');
        sealed(&store, &lsid, start, &body).await;
    }
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
    let long = Some(page::SPOT_BYTES_MAX);
    let too_long = Some(page::SPOT_BYTES_MAX + 1);
    // The first two are short enough; a reader who has begun reads on.
    for third in [too_long, None] {
        let directory = tempfile::tempdir().unwrap();
        let store = archive(directory.path(), &[Some(9), long, third, Some(9)]).await;
        let expected = |is_here: bool| {
            let shown = [
                ("s0", is_here),
                ("s1", is_here),
                ("s2", false),
                ("s3", false),
            ];
            shown.map(|(name, is_here)| (name.to_owned(), is_here))
        };
        assert_eq!(shown_when_idle(&store).await, expected(true));
        // Who has more to do with them is read elsewhere.
        assert_eq!(shown(&store, false).await, expected(false));
        assert_eq!(shown_when_idle(&store).await, expected(true));
        // So is everything when somebody wants something else.
        store.accounts().await.unwrap();
        assert_eq!(shown(&store, true).await, expected(false));
    }
}

#[tokio::test]
async fn a_page_that_panics_where_it_is_read_ends_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = archive(directory.path(), &[Some(9)]).await;
    shown_when_idle(&store).await;
    // More often than there are connections.
    for _ in 0..5 {
        let scan = Quick {
            is_quick: true,
            panics: true,
            shown: Shown::default(),
        };
        let reading = Reading::new(started(), Members::default());
        let read = store.pages(reading, Box::new(scan)).await;
        assert!(matches!(read, Err(StoreError::Refused { .. })));
    }
    assert!(shown(&store, true).await[0].1);
}

#[tokio::test]
async fn a_page_that_fails_where_it_is_asked_for_is_read_by_a_reader() {
    let directory = tempfile::tempdir().unwrap();
    archive(directory.path(), &[Some(9); 3]).await;
    let sqlite = Sqlite::open(directory.path()).unwrap();
    while sqlite.spots.scanner().is_some() {}
    // Nothing can be read with it, as where another process holds the archive.
    let broken = rusqlite::Connection::open_in_memory().unwrap();
    sqlite.spots.give_back(broken);
    let store = Store {
        backend: Arc::new(sqlite),
    };
    let expected = ["s0", "s1", "s2"].map(|name| (name.to_owned(), false));
    for _ in 0..2 {
        assert_eq!(shown(&store, true).await, expected);
    }
}

/// A scan that wants one session, and so many bytes as far as it knows.
struct Roomy(u64);

impl Scan for Roomy {
    fn session(&mut self, _: Found<'_>) -> Result<Flow, StoreError> {
        Ok(Flow::Full)
    }

    fn page_over(&mut self, _: &Reading) -> Result<Flow, StoreError> {
        Ok(Flow::Full)
    }

    fn room(&self) -> u64 {
        self.0
    }
}

#[tokio::test]
async fn a_page_reads_no_more_than_its_scan_has_room_for() {
    let few = body::WINDOW_BYTES_MIN;
    for (len, room, reads_more) in [
        (100, 100, false),
        (100, 101, true),
        // It is not worth while to read fewer.
        (few, 0, false),
        (few - 1, 0, true),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let store = archive(directory.path(), &[Some(len); 3]).await;
        let sql = "SELECT segment, at + len FROM body ORDER BY place LIMIT 1";
        let (segment, end): (i64, i64) = db(directory.path())
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        // Whoever reads on meets the end of the file.
        let path = directory.path().join(format!("segments/{segment:08}"));
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_len(end as u64).unwrap();
        let reading = Reading::new(started(), Members::default());
        let read = store.pages(reading, Box::new(Roomy(room))).await;
        let has_read_more = matches!(read, Err(StoreError::Corrupt { .. }));
        assert_eq!(has_read_more, reads_more, "{len} {room}");
        assert_eq!(read.is_ok(), !reads_more);
    }
}
