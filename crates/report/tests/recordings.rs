//! Recordings that a document does not tell of: their links are the ones it would have had.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, and says where"
)]

use debrief_domain::{
    At, Directory, Event, EventId, EventType, Lsid, Moment, Recording, RecordingKind, Session, fold,
};
use debrief_report::{
    Answer, Coding, DIALECTS, DefinesCustomFields, Dialect, Format, Head, LinkKey, Links, Parts,
    RecordingsView, ReportKind, SessionReader, session_parts,
};
use proptest::prelude::*;

// ---- The API, in one place ----

fn shown(parts: &Parts, recordings: RecordingsView) -> String {
    let links = Links {
        base: "https://debrief.example".into(),
        account: "1".into(),
        expires: 0,
        recordings,
        defines_custom_fields: DefinesCustomFields::None,
        key: LinkKey::new(&[7; 32]),
    };
    let head = Head {
        dialect: &DIALECTS[0],
        namespace: Dialect::NAMESPACE,
        root: ReportKind::SupportSession.root(),
        next: None,
    };
    let mut out = Vec::new();
    let mut answer = Answer::begin(head, Format::Xml, Coding::Identity, &mut out);
    answer.parts(parts, &links.signer(), &mut out).unwrap();
    answer.end(&mut out);
    String::from_utf8(out).unwrap()
}

fn read(document: &str) -> Parts {
    let mut reader = SessionReader::new(document.as_bytes(), Dialect::NAMESPACE);
    reader.next_session().unwrap().unwrap().parts
}

// ---- Sessions ----

/// Every recording that may be there: one of the session, three of each numbered kind.
const EVERY: [(RecordingKind, u32); 7] = [
    (RecordingKind::Session, 0),
    (RecordingKind::ShowMyScreen, 0),
    (RecordingKind::ShowMyScreen, 1),
    (RecordingKind::ShowMyScreen, 12),
    (RecordingKind::CommandShell, 0),
    (RecordingKind::CommandShell, 3),
    (RecordingKind::CommandShell, 4),
];

/// Those of [`EVERY`] whose bit is set.
fn of_mask(mask: u8) -> Vec<Recording> {
    let bits = EVERY.iter().enumerate();
    let set = bits.filter(|(idx, _)| mask & (1 << idx) != 0);
    set.map(|(_, &(kind, instance))| Recording { kind, instance })
        .collect()
}

/// A session that ended and tells of these recordings.
fn session(mask: u8) -> Session {
    let event = |id: &str, secs, kind| {
        let lsid = Lsid::parse("abc").unwrap();
        Event::new(
            EventId::parse(id).unwrap(),
            lsid,
            At::from_secs(secs).unwrap(),
            kind,
        )
    };
    let events = vec![
        event("1", 0, EventType::SessionStart),
        event("2", 9, EventType::SessionEnd),
    ];
    let mut session = fold(1, events, Moment::Silent).unwrap();
    for recording in of_mask(mask) {
        session.recordings.add(recording);
    }
    session
}

fn parts_of(mask: u8) -> Parts {
    session_parts(&session(mask), &Directory::default())
}

/// The session as the document of another program.
fn document(mask: u8, spaced: bool) -> String {
    let document = shown(&parts_of(mask), RecordingsView::Allowed);
    if !spaced {
        return document;
    }
    [
        "session_",
        "show_my_screen_rec",
        "command_shell_rec",
        "download_url",
        "view_url",
    ]
    .into_iter()
    .fold(document, |document, name| {
        let begun = document.replace(&format!("<{name}"), &format!("\n\t <{name}"));
        if name.ends_with("_rec") {
            return begun.replace(&format!("</{name}"), &format!("\n\t </{name}"));
        }
        begun
    })
}

fn unspaced(document: &str) -> String {
    document.replace("\n\t ", "")
}

fn added(mut parts: Parts, recordings: &[Recording]) -> Parts {
    parts.add_recordings(recordings);
    parts
}

fn check(parts: Parts, more: &[Recording], expected: u8) {
    let whole = added(parts, more);
    let told = shown(&parts_of(expected), RecordingsView::Allowed);
    assert_eq!(unspaced(&shown(&whole, RecordingsView::Allowed)), told);
    let hidden = shown(&whole, RecordingsView::Denied);
    assert_eq!(
        unspaced(&hidden).split_whitespace().collect::<String>(),
        shown(&parts_of(0), RecordingsView::Denied)
            .split_whitespace()
            .collect::<String>()
    );
    assert!(!hidden.contains("recording"), "{hidden}");
    assert_eq!(added(whole.clone(), more), whole, "a second time");
}

proptest! {
    #[test]
    fn a_recording_handed_in_is_shown_as_if_the_session_had_told_of_it(
        told in 0_u8..128,
        more in 0_u8..128,
        is_backwards in any::<bool>(),
    ) {
        let mut recordings = of_mask(more);
        if is_backwards {
            recordings.reverse();
        }
        check(parts_of(told), &recordings, told | more);
        check(read(&document(told, false)), &recordings, told | more);
        check(read(&document(told, true)), &recordings, told | more);
    }
}

#[test]
fn an_empty_list_is_filled_where_it_stands() {
    for (kind, name) in [
        (RecordingKind::ShowMyScreen, "show_my_screen"),
        (RecordingKind::CommandShell, "command_shell"),
    ] {
        for inside in ["", "\n\t "] {
            let empty =
                format!("<{name}_recordings>{inside}</{name}_recordings><file_transfer_count>");
            let document = document(0, false).replace("<file_transfer_count>", &empty);
            let recordings = [2, 0, 1].map(|instance| Recording { kind, instance });
            let mut told = session(0);
            for recording in recordings {
                told.recordings.add(recording);
            }
            let told = session_parts(&told, &Directory::default());
            let whole = added(read(&document), &recordings);
            assert_eq!(
                unspaced(&shown(&whole, RecordingsView::Allowed)),
                shown(&told, RecordingsView::Allowed)
            );
            let hidden = shown(&whole, RecordingsView::Denied);
            assert!(!hidden.contains("recording"), "{hidden}");
        }
    }
}
