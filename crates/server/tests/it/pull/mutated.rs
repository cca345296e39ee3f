//! An appliance whose answers are changed on their way, by chance.

use super::*;

/// Appliances that are copied.
const CASES: usize = 4;
/// Sessions of each.
const SESSIONS: usize = 12;

const HOSTILE: &[&str] = &[
    "<",
    "&",
    "]]>",
    "<!--",
    "<?xml?>",
    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
    "&#0;",
    "&b;",
    "</session>",
    "<session lsid=\"x\">",
    " lsid=\"y\"",
    "<error>no</error>",
    "\0",
    "\u{FEFF}",
];

/// Changes a few places of a text.
fn mutate(text: &mut Vec<u8>, dice: &mut fastrand::Rng) {
    for _ in 0..dice.usize(1..4) {
        let at = dice.usize(..text.len().max(1));
        let end = (at + dice.usize(1..60)).min(text.len());
        match dice.u8(0..4) {
            0 if at < text.len() => text[at] ^= dice.u8(1..),
            1 => drop(text.drain(at.min(end)..end)),
            2 => {
                let again = text[at.min(end)..end].to_vec();
                text.splice(at..at, again);
            }
            _ => {
                let hostile = HOSTILE[dice.usize(..HOSTILE.len())];
                text.splice(at.min(text.len())..at.min(text.len()), hostile.bytes());
            }
        }
    }
}

/// Leaves a session out; each is a line.
fn leave_out(text: &mut Vec<u8>, dice: &mut fastrand::Rng) {
    let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let is_session = |line: &&[u8]| line.starts_with(b"<session ");
    let sessions: Vec<usize> = (0..lines.len())
        .filter(|n| is_session(&lines[*n]))
        .collect();
    if !sessions.is_empty() {
        lines.remove(sessions[dice.usize(..sessions.len())]);
        *text = lines.concat();
    }
}

/// What stands in the archive or was kept aside, as one text.
fn kept(data: &Path, source: &str) -> String {
    let report = run(data, &[&["report"], &ALL[..]].concat());
    assert_eq!(report.code, 0, "{}", report.stderr);
    assert!(roxmltree::Document::parse(&report.stdout).is_ok());
    let store = debrief_store::Store::open(data).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let letters = runtime.block_on(store.dead_letters(source, u64::MAX, 1_000));
    let letters = letters.unwrap().into_iter();
    let aside: String = letters
        .map(|(_, letter)| letter.why + &String::from_utf8_lossy(&letter.message))
        .collect();
    report.stdout + &aside
}

#[test]
fn whatever_an_appliance_answers_every_session_it_lists_is_here_or_kept_aside() {
    let mut dice = fastrand::Rng::with_seed(seed());
    for case in 0..CASES {
        let appliance = Appliance::new(BOMGAR);
        let directory = tempdir().unwrap();
        let data = directory.path();
        // Of long ago: only their end brings them, and only once.
        let past = (0..SESSIONS).map(|n| {
            let start = 1_500_000_000 + 1_000 * n as i64;
            Past::new(&format!("listed{n}-"), start, Some(start + 500))
        });
        appliance.told().past = past.collect();
        let mut own = dice.fork();
        let odd = 3 + case % 3;
        appliance.told().mutate = Some(Box::new(move |params, body| {
            // Lists are believed: what they leave out, nobody can know of.
            let is_whole = params.contains("lsids=");
            if !is_whole || odd <= own.usize(..10) {
                return;
            }
            if own.bool() {
                leave_out(body, &mut own);
            } else {
                mutate(body, &mut own);
            }
        }));
        let credentials = made_up();
        let args = pull_args(&appliance.address, &credentials, &["--name", "odd"]);
        for _ in 0..3 {
            let pulled = pull(data, &args);
            assert!(matches!(pulled.code, 0 | 1), "{}", pulled.stderr);
            assert!(!pulled.stderr.contains("panicked"), "{}", pulled.stderr);
        }
        appliance.told().mutate = None;
        for _ in 0..2 {
            let pulled = pull(data, &args);
            assert_eq!(pulled.code, 0, "{}", pulled.stderr);
        }
        let kept = kept(data, "appliance/odd");
        for n in 0..SESSIONS {
            let lsid = format!("listed{n}-");
            assert!(
                kept.contains(&lsid),
                "case {case}: {lsid} is lost in {kept}"
            );
        }
        let verified = run(data, &["verify"]);
        assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    }
}

#[test]
fn whatever_an_appliance_lists_a_copy_ends() {
    let mut dice = fastrand::Rng::with_seed(seed());
    for _ in 0..CASES {
        let appliance = Appliance::new(NAMESPACE);
        let directory = tempdir().unwrap();
        let data = directory.path();
        let start = now() - 5_000;
        let past =
            (0..SESSIONS as i64).map(|n| Past::new(&format!("s{n}"), start + n, Some(start + n)));
        appliance.told().past = past.collect();
        let mut own = dice.fork();
        appliance.told().mutate = Some(Box::new(move |_, body| mutate(body, &mut own)));
        let credentials = made_up();
        let args = pull_args(&appliance.address, &credentials, &[]);
        let pulled = pull(data, &args);
        assert!(matches!(pulled.code, 0 | 1), "{}", pulled.stderr);
        assert!(!pulled.stderr.contains("panicked"), "{}", pulled.stderr);
    }
}
