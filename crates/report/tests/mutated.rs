//! Documents with something wrong in them, by chance: never a panic, and whatever is taken is
//! whole.
#![expect(clippy::unwrap_used, reason = "a broken promise is a panic here")]

use debrief_report::{
    Answer, Coding, DefinesCustomFields, Dialect, Format, Head, Level, LinkKey, Links,
    RecordingsView, ReportKind, Sealed, Sealer, SessionReader,
};
use proptest::prelude::*;

const DOCUMENT: &[u8] = include_bytes!("fixtures/session_list.xml");

/// One thing done to a document.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Insert(prop::sample::Index, &'static str),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    let hostile = prop::sample::select(vec![
        "<",
        ">",
        "&",
        "\"",
        "'",
        "]]>",
        "<!--",
        "-->",
        "<![CDATA[",
        "<?xml?>",
        "<!DOCTYPE a>",
        "&#0;",
        "&#xFFFF;",
        "&amp;",
        "\u{FEFF}",
        "\0",
        "</session>",
        "<session lsid=\"b\">",
        " xmlns=\"urn:x\"",
        " xmlns:p=\"urn:p\"",
        "<p:q/>",
        "\r",
        "\t",
    ]);
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        (at(), 1usize..200).prop_map(|(at, n)| Mutation::Remove(at, n)),
        (at(), 1usize..200).prop_map(|(at, n)| Mutation::Repeat(at, n)),
        (at(), hostile).prop_map(|(at, text)| Mutation::Insert(at, text)),
    ]
}

fn apply(document: &mut Vec<u8>, mutation: &Mutation) {
    if document.is_empty() {
        return;
    }
    let len = document.len();
    match mutation {
        Mutation::Flip(at, bits) => document[at.index(len)] ^= bits,
        Mutation::Remove(at, n) => {
            let from = at.index(len);
            document.drain(from..(from + n).min(len));
        }
        Mutation::Repeat(at, n) => {
            let from = at.index(len);
            let again = document[from..(from + n).min(len)].to_vec();
            document.splice(from..from, again);
        }
        Mutation::Insert(at, text) => {
            let from = at.index(len);
            document.splice(from..from, text.bytes());
        }
    }
}

/// The export of every session that can be read, and whether the document was whole.
fn export(document: &[u8]) -> (Vec<u8>, bool) {
    let mut reader = SessionReader::new(document, Dialect::NAMESPACE);
    let mut out = Vec::new();
    let dialect = Dialect::parse("documented").unwrap();
    let head = Head {
        dialect,
        namespace: Dialect::NAMESPACE,
        root: ReportKind::SupportSession.root(),
        next: None,
    };
    let mut answer = Answer::begin(head, Format::Xml, Coding::Identity, &mut out);
    let links = Links {
        base: "https://debrief.example".into(),
        account: "1".into(),
        expires: 0,
        recordings: RecordingsView::Allowed,
        defines_custom_fields: DefinesCustomFields::None,
        key: LinkKey::new(&[0; 32]),
    }
    .signer();
    let mut sealer = Sealer::new(Level::Once);
    let is_whole = loop {
        match reader.next_session() {
            Ok(Some(session)) => {
                let sealed = sealer.seal(&session.parts);
                answer
                    .sealed(&Sealed::parse(&sealed).unwrap(), &links, &mut out)
                    .unwrap();
            }
            Ok(None) => break true,
            Err(error) => {
                assert!(0 < error.position.line && 0 < error.position.column);
                assert!(error.message.chars().count() < 1_000, "{error}");
                break false;
            }
        }
    };
    answer.end(&mut out);
    (out, is_whole)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_of_a_mutated_document_is_well_formed_and_stable(
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let mut document = DOCUMENT.to_vec();
        mutations.iter().for_each(|mutation| apply(&mut document, mutation));
        let (exported, _) = export(&document);
        let text = std::str::from_utf8(&exported).unwrap();
        prop_assert!(roxmltree::Document::parse(text).is_ok(), "{text}");
        let (again, is_whole) = export(&exported);
        prop_assert!(is_whole);
        prop_assert_eq!(again, exported);
    }
}
