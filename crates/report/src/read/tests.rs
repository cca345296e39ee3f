//! What is read, what is refused, and where.

use expect_test::{Expect, expect};

use super::*;
use crate::dialect::Dialect;

fn read_all(document: &[u8]) -> Result<Vec<Imported>, ReadError> {
    let mut reader = SessionReader::new(document, Dialect::NAMESPACE);
    let mut sessions = Vec::new();
    while let Some(session) = reader.next_session()? {
        sessions.push(session);
    }
    Ok(sessions)
}

#[track_caller]
fn refused(document: &[u8], expect: Expect) {
    let error = read_all(document).expect_err("must be refused");
    expect.assert_eq(&error.to_string());
}

/// A document around one session whose text is `inner`.
fn around(inner: &str) -> Vec<u8> {
    format!(
        "<session_list xmlns=\"urn:x\">\n<session lsid=\"a\"><start_time timestamp=\"5\"/>{inner}\
         </session>\n</session_list>"
    )
    .into()
}

#[test]
fn the_live_sample_is_read() {
    let document = include_bytes!("../../tests/fixtures/session_list.xml");
    let sessions = read_all(document).unwrap();
    let session = &sessions[0];
    assert_eq!(session.lsid.as_str(), "e9e99aeb9ad54fb381634498502c5a1b");
    assert_eq!(session.lseq, Some(8));
    assert_eq!(session.start.secs(), 1_733_239_565);
    assert_eq!(session.end.map(|end| end.secs()), Some(1_733_240_467));
    assert_eq!(format!("{:?}", session.owners), r#"["1"]"#);
    assert_eq!(session.n_events, 2);
}

#[test]
fn both_namespace_families_and_none_and_prefixes_are_read_alike() {
    let body = |p: &str| {
        format!(
            "<{p}session lsid=\"a\"><{p}start_time timestamp=\"5\"></{p}start_time></{p}session>"
        )
    };
    let plain = body("");
    let prefixed = body("b:");
    let documents = [
        format!("<session_list>{plain}</session_list>"),
        format!(
            "<session_list xmlns=\"http://www.bomgar.com/namespaces/API/reporting\">{plain}</session_list>"
        ),
        format!(
            "<session_list xmlns=\"{}\">{plain}</session_list>",
            Dialect::NAMESPACE
        ),
        format!("<b:session_list xmlns:b=\"urn:b\">{prefixed}</b:session_list>"),
        format!(
            "\u{FEFF}<?xml version='1.0' encoding='utf-8'?><!-- c --><session_list>{plain}</session_list><?pi?>\n"
        ),
    ];
    let first = read_all(documents[0].as_bytes()).unwrap();
    for document in &documents {
        assert_eq!(read_all(document.as_bytes()).unwrap(), first, "{document}");
    }
}

#[test]
fn text_is_read_with_references_sections_and_line_ends_resolved() {
    let sessions = read_all(&around(
        "<external_key>a&amp;b&#65;&#x1F600;<![CDATA[<&>]]>\r\nc<!-- no -->d  </external_key>\
         <x y='&quot;1&#10;2\t3'/> \n <z>  </z><session_details> \n </session_details>",
    ));
    let parts = &sessions.unwrap()[0].parts;
    let whole = [&parts.head[..], &parts.tail[..]].concat();
    expect![[r#"
        <session lsid="a"><start_time timestamp="5"></start_time><external_key>a&amp;bA😀&lt;&amp;&gt;
        cd  </external_key><x y="&quot;1&#xA;2 3"></x><z>  </z><session_details></session_details></session>
    "#]]
    .assert_eq(&String::from_utf8(whole).unwrap());
}

#[test]
fn foreign_elements_and_attributes_are_carried_with_their_namespaces() {
    let sessions = read_all(&around(
        "<f:one xmlns:f=\"urn:f\" f:a=\"1\" b=\"2\"><external_key>k</external_key><f:two/></f:one>",
    ));
    let parts = &sessions.unwrap()[0].parts;
    let whole = [&parts.head[..], &parts.tail[..]].concat();
    expect![[r#"
        <session lsid="a"><start_time timestamp="5"></start_time><one xmlns="urn:f" xmlns:f="urn:f" f:a="1" b="2"><external_key xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">k</external_key><two></two></one></session>
    "#]]
    .assert_eq(&String::from_utf8(whole).unwrap());
}

#[test]
fn a_broken_document_is_refused_with_line_and_column() {
    refused(b"", expect!["line 1, column 1: the document is empty"]);
    refused(
        b"\n <html/>",
        expect!["line 2, column 2: expected the root `session_list`, found `html`"],
    );
    refused(
        &around("<a><b></a>"),
        expect!["line 2, column 52: ill-formed document: expected `</b>`, but `</a>` was found"],
    );
    refused(
        &around("<a"),
        expect!["line 2, column 46: `a</session` is no XML name"],
    );
    refused(
        &around("\n\n  <ü>&nbsp;</ü>"),
        expect!["line 4, column 6: the entity `&nbsp;` is not accepted"],
    );
    refused(
        &around("&#1;"),
        expect!["line 2, column 46: the entity `&#1;` is not accepted"],
    );
    refused(
        &around("a\u{1}b"),
        expect!["line 2, column 46: a character that XML 1.0 does not permit"],
    );
    refused(
        &around("<a b='\u{1}'/>"),
        expect!["line 2, column 46: a character that XML 1.0 does not permit"],
    );
    refused(
        &around("<a b='1' b='2'/>"),
        expect![
            "line 2, column 46: position 8: duplicated attribute, previous declaration at position 2"
        ],
    );
    refused(
        &around("<a b='<'/>"),
        expect!["line 2, column 46: `<` in an attribute's value"],
    );
    refused(
        &around("<1a/>"),
        expect!["line 2, column 46: `1a` is no XML name"],
    );
    refused(
        &around("]]>"),
        expect!["line 2, column 46: `]]>` in character data"],
    );
    refused(
        &around("<p:a/>"),
        expect!["line 2, column 46: the prefix `p` is not declared"],
    );
    refused(
        b"<session_list></session_list><x/>",
        expect!["line 1, column 30: a second root element"],
    );
    refused(
        b"<session_list>text</session_list>",
        expect!["line 1, column 15: text outside of a session"],
    );
}

#[test]
fn a_document_cut_anywhere_is_refused() {
    let whole = around("<external_key>k&amp;<![CDATA[x]]></external_key>");
    assert_eq!(read_all(&whole).unwrap().len(), 1);
    for end in 0..whole.len() {
        assert!(read_all(&whole[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_document_type_entities_and_other_encodings_are_refused() {
    refused(
        b"<!DOCTYPE session_list [<!ENTITY a \"b\">]><session_list/>",
        expect!["line 1, column 1: a document type is not accepted"],
    );
    refused(
        b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><session_list/>",
        expect!["line 1, column 1: the encoding `ISO-8859-1` is not accepted; expected UTF-8"],
    );
    refused(
        b"\xFF\xFE<\0s\0",
        expect!["line 1, column 1: the encoding is not UTF-8"],
    );
    let mut latin = around("<external_key>ab</external_key>");
    let at = latin.iter().rposition(|&b| b == b'b').unwrap();
    latin[at] = 0xE9;
    assert!(
        read_all(&latin).unwrap_err().message.contains("not UTF-8"),
        "{latin:?}"
    );
}

#[test]
fn an_error_answer_is_told_apart_from_a_report() {
    refused(
        b"<error xmlns=\"urn:x\">No sessions.</error>",
        expect!["line 1, column 34: the document is an error answer: No sessions."],
    );
    refused(
        b"<session_list><error>Bad.</error></session_list>",
        expect!["line 1, column 15: the document holds an error answer: Bad."],
    );
}

#[test]
fn a_session_without_id_or_start_is_refused_by_name() {
    let session = |attributes: &str, inner: &str| {
        format!("<session_list>\n <session{attributes}>{inner}</session></session_list>")
            .into_bytes()
    };
    refused(
        &session("", ""),
        expect!["line 2, column 2: `session` has no attribute `lsid`"],
    );
    refused(
        &session(" lsid='a b'", ""),
        expect![
            "line 2, column 2: the attribute `lsid` has the character ' '; expected letters, digits, `_` and `-`"
        ],
    );
    refused(
        &session(" lsid='a'", ""),
        expect!["line 2, column 2: session `a`: `start_time` is missing or empty"],
    );
    refused(
        &session(" lsid='a'", "<start_time timestamp='x'/>"),
        expect![
            "line 2, column 2: session `a`: the attribute `timestamp` of `start_time` is no UNIX time: `x`"
        ],
    );
    refused(
        &session(" lsid='a'", "<start_time>yesterday</start_time>"),
        expect!["line 2, column 2: session `a`: `start_time` is no ISO 8601 time: `yesterday`"],
    );
}

#[test]
fn depth_is_limited_at_the_limit_and_one_past_it() {
    let nested = |n: usize| around(&format!("{}{}", "<a>".repeat(n), "</a>".repeat(n)));
    // The root and the session are open around them.
    assert!(read_all(&nested(DEPTH_MAX - 2)).is_ok());
    refused(
        &nested(DEPTH_MAX - 1),
        expect!["line 2, column 232: more than 64 nested elements"],
    );
}

#[test]
fn attributes_are_limited_at_the_limit_and_one_past_it() {
    let many = |n: usize| {
        let attributes: String = (0..n).map(|n| format!(" a{n}='1'")).collect();
        around(&format!("<x{attributes}/>"))
    };
    assert!(read_all(&many(ATTRIBUTES_MAX)).is_ok());
    refused(
        &many(ATTRIBUTES_MAX + 1),
        expect!["line 2, column 46: more than 256 attributes"],
    );
}

/// A document of endless text, made up while it is read.
struct Endless {
    head: &'static [u8],
    served: u64,
}

impl std::io::Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n_head = self.head.len().min(out.len());
        out[..n_head].copy_from_slice(&self.head[..n_head]);
        self.head = &self.head[n_head..];
        out[n_head..].fill(b'x');
        self.served += out.len() as u64;
        assert!(self.served < 4 * TOKEN_BYTES_MAX, "read on without bound");
        Ok(out.len())
    }
}

#[test]
fn an_endless_text_tag_comment_or_name_is_refused_in_bounded_memory() {
    let heads: [&[u8]; 5] = [
        b"<session_list><session lsid='a'><external_key>",
        b"<session_list><session lsid='",
        b"<session_list><!-- ",
        b"<session_list><",
        b"<session_list><session lsid='a'><a><![CDATA[",
    ];
    for head in heads {
        let endless = std::io::BufReader::new(Endless { head, served: 0 });
        let mut reader = SessionReader::new(endless, Dialect::NAMESPACE);
        let error = reader.next_session().unwrap_err();
        assert!(
            error.message.contains("longer than 16777216 bytes"),
            "{error}"
        );
    }
}

#[test]
fn elements_beside_sessions_are_passed_over_and_counted() {
    let document = b"<session_list><note>x<y/></note></session_list>";
    let mut reader = SessionReader::new(&document[..], Dialect::NAMESPACE);
    assert!(reader.next_session().unwrap().is_none());
    assert_eq!(reader.passed_over(), 1);
}

#[test]
fn a_listing_is_read_and_an_error_answer_is_told_from_a_broken_document() {
    let told = |document: &str| {
        let mut reader = SessionReader::of_listing(document.as_bytes(), Dialect::NAMESPACE);
        let mut lsids = Vec::new();
        loop {
            match reader.next_element() {
                Ok(Some(summary)) => lsids.push(summary.attribute("lsid").unwrap().to_owned()),
                Ok(None) => return Ok(lsids),
                Err(error) => return Err(error.told),
            }
        }
    };
    let three = "<session_summary_list xmlns=\"urn:x\"><session_summary lsid=\"a\"/>\
        <session_summary lsid=\"b\" has_recording=\"1\"></session_summary>\
        <session_summary lsid=\"c\"/></session_summary_list>";
    assert_eq!(told(three), Ok(vec!["a".into(), "b".into(), "c".into()]));
    let nothing = "<error xmlns=\"urn:x\">Nothing &amp; none</error>";
    let as_root = Told::AsRoot("Nothing & none".into());
    assert_eq!(told(nothing), Err(as_root));
    let inside = "<session_summary_list><error>duration: no</error></session_summary_list>";
    assert_eq!(told(inside), Err(Told::InList("duration: no".into())));
    for broken in ["<session_list/>", "<session_summary_list>", "", "<error>"] {
        assert_eq!(told(broken), Err(Told::Nothing), "{broken}");
    }
}
