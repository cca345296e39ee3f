//! Whatever two processes do to one archive, in turns: it is as a simple model says.

use std::collections::BTreeMap;

use debrief_domain::{Actor, ActorKind, SiteId, Summary};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{Conflict, Found, Material, Members, Silence};

/// An event to be: session, kind, seconds, representative.
type Draft = (usize, usize, i64, u32);

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Draft>),
    /// An older batch again, with something new behind it.
    Repeat(usize, Vec<Draft>),
    /// Something new, and another event under the id of an older one.
    Steal(Vec<Draft>, usize),
    Import(usize, Option<i64>, u8),
    Lapse(i64),
    /// All that is closed, or what was settled last.
    Seal(Closed),
    Tidy,
    /// A map of what is sealed.
    Draw,
    Reopen,
    PowerCut,
    /// The first page of a reading; the rest of it.
    Begin,
    GoOn,
    /// Where a reader of changes stands.
    Follow,
    Look(Look),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Closed {
    All,
    Settled,
}

#[derive(Debug, Clone, Copy)]
enum Look {
    Started,
    /// Between these seconds.
    Window(i64, i64),
    At,
    /// Each session by itself.
    Named,
    Changed,
    Unsealed,
    Examined,
}

const LSIDS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    vec((0..LSIDS.len(), 0..6_usize, 0..4_i64, 1..4_u32), 1..5)
}

fn look() -> impl Strategy<Value = Look> {
    prop_oneof![
        Just(Look::Started),
        (-1..5_i64, 0..6_i64).prop_map(|(from, secs)| Look::Window(from, from + secs)),
        Just(Look::At),
        Just(Look::Named),
        Just(Look::Changed),
        Just(Look::Unsealed),
        Just(Look::Examined),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => drafts().prop_map(Step::Append),
        3 => (0..9_usize, drafts()).prop_map(|(n, drafts)| Step::Repeat(n, drafts)),
        2 => (drafts(), 0..9_usize).prop_map(|(drafts, n)| Step::Steal(drafts, n)),
        2 => (0..LSIDS.len(), proptest::option::of(0..9_i64), 0..3_u8)
            .prop_map(|(n, end, digest)| Step::Import(n, end, digest)),
        1 => (0..6_i64).prop_map(Step::Lapse),
        2 => Just(Step::Seal(Closed::All)),
        2 => Just(Step::Seal(Closed::Settled)),
        2 => Just(Step::Tidy),
        3 => Just(Step::Draw),
        1 => Just(Step::Reopen),
        1 => Just(Step::PowerCut),
        1 => Just(Step::Begin),
        1 => Just(Step::GoOn),
        1 => Just(Step::Follow),
        5 => look().prop_map(Step::Look),
    ]
}

/// What the archive should be.
#[derive(Default)]
struct Model {
    /// In order of first mention.
    sessions: Vec<Known>,
    batches: Vec<Vec<Event>>,
    n_ids: usize,
    n_steps: i64,
    /// The commit of an append, as long as it is the last.
    change: Option<u64>,
}

struct Known {
    lsid: &'static str,
    lseq: usize,
    touched: i64,
    is: Is,
}

enum Is {
    Live {
        events: Vec<Event>,
        heard: i64,
        silence: Silence,
        sealed: Option<String>,
    },
    Imported {
        start: i64,
        end: Option<i64>,
        digest: u8,
    },
}

fn ids(events: &[Event]) -> String {
    let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
    format!("{} {}", events[0].lsid, ids.join(" "))
}

fn summary(events: &[Event]) -> Summary {
    let mut summary = Summary::default();
    events.iter().for_each(|event| summary.absorb(event));
    summary
}

impl Known {
    fn start(&self) -> i64 {
        match &self.is {
            Is::Live { events, .. } => summary(events).start().unwrap().secs(),
            Is::Imported { start, .. } => at(*start).secs(),
        }
    }

    /// What a report shows.
    fn shown(&self) -> String {
        match &self.is {
            Is::Live {
                sealed: Some(sealed),
                ..
            } => sealed.clone(),
            Is::Live {
                events, silence, ..
            } => format!("{} {silence:?}", ids(events)),
            Is::Imported { digest, .. } => format!("{}/{digest}", self.lsid),
        }
    }

    fn is_to_be_sealed(&self) -> bool {
        match &self.is {
            Is::Live {
                events,
                silence,
                sealed,
                ..
            } => {
                let is_over = summary(events).ended.is_some() || *silence == Silence::Lapsed;
                is_over && sealed.is_none()
            }
            Is::Imported { .. } => false,
        }
    }
}

impl Model {
    fn now(&self) -> i64 {
        10_000 + self.n_steps
    }

    fn events(&mut self, drafts: &[Draft]) -> Vec<Event> {
        let event = |&(n, kind, secs, rep): &Draft| {
            let lsid = LSIDS[n];
            let mut whole = session(lsid, secs, Some(secs), &rep.to_string(), "1", "1");
            let id = EventId::parse(&format!("e{}", self.n_ids)).unwrap();
            self.n_ids += 1;
            if whole.len() <= kind {
                return Event {
                    // Long enough to be settled at once, beside the writer.
                    filename: Some("x".repeat(inbox::INBOX_BYTES_MAX)),
                    destination: Some(Actor {
                        kind: ActorKind::System,
                        gsnumber: 0,
                        name: None,
                    }),
                    ..chat(id.as_str(), lsid)
                };
            }
            Event {
                id,
                ..whole.swap_remove(kind)
            }
        };
        drafts.iter().map(event).collect()
    }

    fn known(&mut self, lsid: &str) -> Option<&mut Known> {
        self.sessions.iter_mut().find(|known| known.lsid == lsid)
    }

    /// What should come of a batch: conflicts, or how many are fresh and how many repeated.
    fn append(&mut self, batch: &[Event]) -> Result<(u64, u64), Vec<Conflict>> {
        let mut conflicts = Vec::new();
        let mut fresh: Vec<Event> = Vec::new();
        for (event_idx, event) in batch.iter().enumerate() {
            let is_imported = self
                .known(event.lsid.as_str())
                .is_some_and(|known| matches!(known.is, Is::Imported { .. }));
            let same_id = self.batches.iter().flatten().find(|e| e.id == event.id);
            let kind = match same_id {
                _ if is_imported => ConflictKind::SessionImported,
                Some(known) if known != event => ConflictKind::IdTaken,
                Some(_) => continue,
                None => {
                    fresh.push(event.clone());
                    continue;
                }
            };
            conflicts.push(Conflict { event_idx, kind });
        }
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let (now, touched) = (self.now(), self.n_steps);
        let n_fresh = fresh.len();
        for event in &fresh {
            self.add(event.clone(), now, touched);
        }
        if 0 < n_fresh {
            self.batches.push(fresh);
        }
        Ok((n_fresh as u64, (batch.len() - n_fresh) as u64))
    }

    fn add(&mut self, event: Event, now: i64, touched: i64) {
        let lseq = self.sessions.len();
        let lsid = LSIDS.into_iter().find(|lsid| *lsid == event.lsid.as_str());
        let lsid = lsid.unwrap();
        if self.known(lsid).is_none() {
            self.sessions.push(Known {
                lsid,
                lseq,
                touched,
                is: Is::Live {
                    events: Vec::new(),
                    heard: now,
                    silence: Silence::Heard,
                    sealed: None,
                },
            });
        }
        let known = self.known(lsid).unwrap();
        known.touched = touched;
        if let Is::Live {
            events,
            heard,
            silence,
            sealed,
        } = &mut known.is
        {
            events.push(event);
            (*heard, *silence, *sealed) = (now, Silence::Heard, None);
        }
    }

    fn import(&mut self, lsid: &'static str, end: Option<i64>, digest: u8) -> Import {
        let (lseq, touched) = (self.sessions.len(), self.n_steps);
        let mut import = Import::default();
        let start = i64::from(digest);
        let is = Is::Imported { start, end, digest };
        let Some(known) = self.known(lsid) else {
            self.sessions.push(Known {
                lsid,
                lseq,
                touched,
                is,
            });
            import.fresh = 1;
            return import;
        };
        match &known.is {
            Is::Live { .. } => import.live = 1,
            Is::Imported { digest: same, .. } if *same == digest => import.repeated = 1,
            Is::Imported { end: newer, .. } if end < *newer => import.older = 1,
            Is::Imported { .. } => {
                (known.is, known.touched) = (is, touched);
                import.replaced = 1;
            }
        }
        import
    }

    fn lapse(&mut self, silent_since: i64) -> u64 {
        let touched = self.n_steps;
        let mut n_lapsed = 0;
        for known in &mut self.sessions {
            if let Is::Live {
                events,
                heard,
                silence: silence @ Silence::Heard,
                ..
            } = &mut known.is
                && *heard < silent_since
                && summary(events).ended.is_none()
            {
                *silence = Silence::Lapsed;
                known.touched = touched;
                n_lapsed += 1;
            }
        }
        n_lapsed
    }

    /// Sessions by start.
    fn started(&self) -> Vec<&Known> {
        let mut sessions: Vec<&Known> = self.sessions.iter().collect();
        sessions.sort_by_key(|known| (known.start(), known.lseq));
        sessions
    }
}

/// Everything on a page of at most so many sessions.
async fn page(store: &Store, reading: Reading, n_max: usize) -> (Reading, Vec<String>) {
    let page = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&page);
    let visit = move |found: Found<'_>| {
        let mut seen = seen.lock().unwrap();
        seen.push(match found {
            Found::Sealed { body, .. } => String::from_utf8(body.to_vec()).unwrap(),
            Found::Live {
                events, silence, ..
            } => format!("{} {silence:?}", ids(&events)),
        });
        Ok(if seen.len() < n_max {
            Flow::More
        } else {
            Flow::Full
        })
    };
    let reading = store.page(reading, Box::new(visit)).await.unwrap();
    let page = std::mem::take(&mut *page.lock().unwrap());
    (reading, page)
}

async fn all(store: &Store, mut reading: Reading) -> Vec<String> {
    let mut found = Vec::new();
    while !reading.is_done() {
        let (next, page) = page(store, reading, usize::MAX).await;
        found.extend(page);
        reading = next;
    }
    found
}

fn reading(which: Which) -> Reading {
    let filter = Filter::All;
    Reading::new(Selection { which, filter }, Members::default())
}

fn lsid_of(shown: &str) -> String {
    shown[..1].into()
}

/// The archive beside the model.
struct World {
    directory: tempfile::TempDir,
    stores: Vec<Opened>,
    model: Model,
    begun: Option<(Reading, Vec<String>)>,
    followed: (u64, i64),
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let stores = std::iter::repeat_with(|| Opened::at(directory.path()));
        World {
            stores: stores.take(2).collect(),
            directory,
            model: Model::default(),
            begun: None,
            followed: (0, 0),
        }
    }

    async fn append(&mut self, n_store: usize, batch: Vec<Event>) {
        let now = at(self.model.now());
        let answer = self.stores[n_store].append(SENDER, batch.clone(), now);
        let expected = self.model.append(&batch);
        match (answer.await.unwrap(), expected) {
            (Append::Done(appended), Ok(expected)) => {
                assert_eq!((appended.fresh, appended.repeated), expected);
                self.model.change = Some(appended.change);
            }
            (Append::Conflicts(conflicts), Err(expected)) => assert_eq!(conflicts, expected),
            (answer, expected) => panic!("{answer:?} and should be {expected:?}"),
        }
    }

    async fn step(&mut self, n_store: usize, step: &Step) {
        self.model.n_steps += 1;
        match step {
            Step::Append(drafts) => {
                let batch = self.model.events(drafts);
                self.append(n_store, batch).await;
            }
            Step::Repeat(n, drafts) => {
                let mut batch = self.older(*n);
                batch.extend(self.model.events(drafts));
                self.append(n_store, batch).await;
            }
            Step::Steal(drafts, n) => {
                let mut batch = self.model.events(drafts);
                if let Some(older) = self.older(*n).first() {
                    batch[0].id = older.id.clone();
                }
                self.append(n_store, batch).await;
            }
            Step::Import(n, end, digest) => {
                let document = document(LSIDS[*n], i64::from(*digest), *end, *digest);
                let now = at(self.model.now());
                let import = self.stores[n_store].import(vec![document], now).await;
                let expected = self.model.import(LSIDS[*n], *end, *digest);
                assert_eq!(import.unwrap(), expected);
                self.model.change = None;
            }
            Step::Lapse(secs) => {
                let silent_since = self.model.now() - secs;
                let n_lapsed = self.stores[n_store].lapse(at(silent_since), 100).await;
                assert_eq!(n_lapsed.unwrap(), self.model.lapse(silent_since));
                self.model.change = None;
            }
            Step::Seal(closed) => self.seal(n_store, *closed).await,
            Step::Tidy => while 0 < self.stores[n_store].tidy(at(0), 1).await.unwrap() {},
            Step::Draw => self.stores[n_store].sqlite.files.atlas.draw_now(),
            Step::Reopen => {
                drop(self.stores.remove(n_store));
                let store = Opened::at(self.directory.path());
                self.stores.insert(n_store, store);
            }
            Step::PowerCut => {
                if let Some(copy) = after_power_cut(self.directory.path()) {
                    self.stores.clear();
                    self.directory = copy;
                    let open = || Opened::at(self.directory.path());
                    self.stores = vec![open(), open()];
                }
            }
            Step::Begin => {
                let shown = self.model.started();
                let shown: Vec<String> = shown.iter().map(|known| known.lsid.into()).collect();
                let (reading, first) =
                    page(&self.stores[n_store], reading(started().which), 1).await;
                let first: Vec<String> = first.iter().map(|shown| lsid_of(shown)).collect();
                assert_eq!(first, shown[..first.len()]);
                self.begun = Some((reading, shown[first.len()..].to_vec()));
            }
            Step::GoOn => {
                if let Some((reading, expected)) = self.begun.take() {
                    let found = all(&self.stores[n_store], reading).await;
                    let found: Vec<String> = found.iter().map(|shown| lsid_of(shown)).collect();
                    assert_eq!(found, expected);
                }
            }
            Step::Follow => {
                let change = self.stores[n_store].last_change().await.unwrap();
                self.followed = (change, self.model.n_steps);
            }
            Step::Look(look) => self.look(n_store, *look).await,
        }
    }

    fn older(&self, n: usize) -> Vec<Event> {
        let batches = &self.model.batches;
        let idx = (batches.len().max(1) - 1).saturating_sub(n);
        batches.get(idx).cloned().unwrap_or_default()
    }

    async fn seal(&mut self, n_store: usize, closed: Closed) {
        let store = &self.stores[n_store];
        if closed == Closed::All {
            store.last_change().await.unwrap();
        }
        let unsealed = store.unsealed(100).await.unwrap();
        let mut sealed = Vec::new();
        let bodies = unsealed.into_iter().map(|unsealed| {
            let Material::Events(events) = unsealed.material else {
                panic!("no imported session has a recording");
            };
            sealed.push(ids(&events));
            let body = format!("{} sealed", ids(&events));
            SealedBody {
                place: unsealed.place,
                change: unsealed.change,
                names: 0,
                body: body.into_bytes(),
            }
        });
        let bodies: Vec<SealedBody> = bodies.collect();
        // Others are closed, or open again, as far as is settled.
        let to_be_sealed = self.model.sessions.iter_mut().filter_map(|known| {
            let is_to_be_sealed = known.is_to_be_sealed();
            match &mut known.is {
                Is::Live { events, sealed, .. } if is_to_be_sealed => Some((ids(events), sealed)),
                _ => None,
            }
        });
        let mut n_whole = 0;
        for (ids, is_sealed) in to_be_sealed {
            match sealed.contains(&ids) {
                true => *is_sealed = Some(format!("{ids} sealed")),
                false => assert_eq!(closed, Closed::Settled, "{ids}"),
            }
            n_whole += u64::from(is_sealed.is_some());
        }
        let n_sealed = store.seal(bodies).await.unwrap();
        assert!((n_whole..=sealed.len() as u64).contains(&n_sealed));
        assert!(closed == Closed::Settled || n_sealed == n_whole);
    }

    async fn look(&mut self, n_store: usize, look: Look) {
        let (store, model) = (&self.stores[n_store], &self.model);
        let shown = |sessions: Vec<&Known>| -> Vec<String> {
            sessions.into_iter().map(Known::shown).collect()
        };
        match look {
            Look::Started => {
                // All are of one site.
                for filter in [Filter::All, Filter::Site(SiteId::default_site())] {
                    let which = started().which;
                    let reading = Reading::new(Selection { which, filter }, Members::default());
                    assert_eq!(all(store, reading).await, shown(model.started()));
                }
            }
            Look::Window(from, until) => {
                let (from, until) = (at(from), at(until));
                let window = Window {
                    from,
                    until: Some(until),
                };
                let mut expected = model.started();
                expected
                    .retain(|known| from.secs() <= known.start() && known.start() < until.secs());
                let found = all(store, reading(Which::Started(window))).await;
                assert_eq!(found, shown(expected));
            }
            Look::At => {
                let Some(change) = model.change else { return };
                let reading = Reading::at(started(), Members::default(), Change(change));
                assert_eq!(all(store, reading).await, shown(model.started()));
            }
            Look::Named => {
                for lsid in LSIDS {
                    let known = model.sessions.iter().filter(|known| known.lsid == lsid);
                    let found = all(store, reading(super::named(lsid))).await;
                    assert_eq!(found, shown(known.collect()));
                }
            }
            Look::Changed => {
                let (change, step) = self.followed;
                let changed = model.sessions.iter().filter(|known| step < known.touched);
                let mut found = all(store, reading(Which::ChangedSince(Change(change)))).await;
                let mut expected = shown(changed.collect());
                found.sort();
                expected.sort();
                assert_eq!(found, expected);
            }
            Look::Unsealed => {
                let n_unsealed = model
                    .sessions
                    .iter()
                    .filter(|known| known.is_to_be_sealed());
                let n_unsealed = n_unsealed.count();
                let found = store.unsealed(100).await.unwrap();
                assert!(n_unsealed == 0 || !found.is_empty());
                store.last_change().await.unwrap();
                let found = store.unsealed(100).await.unwrap();
                assert_eq!(found.len(), n_unsealed);
            }
            Look::Examined => {
                let examined = store.examine(i64::MIN, 100).await.unwrap();
                let faults: Vec<_> = examined.iter().flat_map(|s| &s.faults).collect();
                assert_eq!(faults, Vec::<&String>::new());
                let lseqs: BTreeMap<&str, u64> =
                    examined.iter().map(|s| (s.lsid.as_str(), s.lseq)).collect();
                let expected: BTreeMap<&str, u64> = model
                    .sessions
                    .iter()
                    .map(|known| (known.lsid, known.lseq as u64 + 1))
                    .collect();
                assert_eq!(lseqs, expected);
                assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn two_processes_and_one_model_agree(steps in vec((0..2_usize, step()), 1..40)) {
        block_on(async {
            let mut world = World::new();
            for (n_store, step) in &steps {
                world.step(*n_store, step).await;
            }
            for look in [Look::Started, Look::Changed, Look::Examined] {
                world.model.n_steps += 1;
                world.look(0, look).await;
            }
        });
    }
}
