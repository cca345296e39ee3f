//! The promise of import: what was read is written again as the same document. Laws over whole
//! generated documents, judged by a second XML parser.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, and says where"
)]

use std::collections::BTreeSet;
use std::io::Read as _;

use debrief_domain::EventType;
use debrief_report::{
    Answer, Coding, DIALECTS, DefinesCustomFields, Dialect, Format, Head, Imported, Level, LinkKey,
    Links, ReadError, RecordingsView, ReportKind, Sealed, Sealer, SessionReader,
};
use proptest::prelude::*;

#[path = "support/canonical.rs"]
mod canonical;
#[path = "support/document.rs"]
mod document;
#[path = "support/tape.rs"]
mod tape;

use canonical::{canonical, difference};
use document::{Document, Told, document, documents};
use tape::Tape;

const BASE: &str = "https://debrief.example:8443";

fn read_all(document: &[u8]) -> Result<Vec<Imported>, ReadError> {
    let mut reader = SessionReader::new(document, Dialect::NAMESPACE);
    let mut sessions = Vec::new();
    while let Some(session) = reader.next_session()? {
        sessions.push(session);
    }
    Ok(sessions)
}

#[track_caller]
fn read(document: &str) -> Vec<Imported> {
    read_all(document.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{document}"))
}

fn links() -> Links {
    Links {
        base: BASE.into(),
        account: "a1".into(),
        expires: 0,
        recordings: RecordingsView::Allowed,
        defines_custom_fields: DefinesCustomFields::None,
        key: LinkKey::new(&[7; 32]),
    }
}

fn begin(format: Format, coding: Coding, out: &mut Vec<u8>) -> Answer {
    let head = Head {
        dialect: &DIALECTS[0],
        namespace: Dialect::NAMESPACE,
        root: ReportKind::SupportSession.root(),
        next: None,
    };
    Answer::begin(head, format, coding, out)
}

/// Seals every session and answers with all of them.
fn export_as(sessions: &[Imported], format: Format, coding: Coding) -> Vec<u8> {
    let mut sealer = Sealer::new(Level::Keep);
    let mut out = Vec::new();
    let mut answer = begin(format, coding, &mut out);
    for session in sessions {
        let kept = sealer.seal(&session.parts);
        let sealed = Sealed::parse(&kept).unwrap();
        answer.sealed(&sealed, &links().signer(), &mut out).unwrap();
    }
    answer.end(&mut out);
    out
}

fn export(sessions: &[Imported]) -> String {
    String::from_utf8(export_as(sessions, Format::Xml, Coding::Identity)).unwrap()
}

/// Inflates one gzip member, behind which nothing may stand.
#[track_caller]
fn gunzip_one(mut member: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut decoder = flate2::bufread::GzDecoder::new(&mut member);
    decoder.read_to_end(&mut text).unwrap();
    assert_eq!(member, b"", "bytes behind the first member");
    text
}

#[track_caller]
fn check_same_document(source: &str) {
    let out = export(&read(source));
    let (expected, old) = canonical(source);
    let (found, new) = canonical(&out);
    if let Some(difference) = difference(&found, &expected) {
        panic!("{difference}\n--- source\n{source}\n--- export\n{out}");
    }
    assert_eq!(new.len(), old.len());
    for address in new {
        assert!(address.starts_with(BASE), "{address}");
    }
}

#[track_caller]
fn check_recordings_are_hidden(source: &str) {
    let denied = Links {
        recordings: RecordingsView::Denied,
        ..links()
    }
    .signer();
    let mut out = Vec::new();
    let mut answer = begin(Format::Xml, Coding::Identity, &mut out);
    for session in read(source) {
        answer.parts(&session.parts, &denied, &mut out).unwrap();
    }
    answer.end(&mut out);
    let (found, _) = canonical(std::str::from_utf8(&out).unwrap());
    let (expected, _) = canonical(source);
    let expected: Vec<_> = expected
        .into_iter()
        .map(|s| s.without_recordings())
        .collect();
    assert_eq!(difference(&found, &expected), None, "{source}");
}

#[track_caller]
fn check_index(document: &Document) {
    let told = read(&document.text).into_iter().map(|session| Told {
        lsid: session.lsid.as_str().into(),
        lseq: session.lseq,
        start: session.start.secs(),
        end: session.end.map(|end| end.secs()),
        site: session.site.as_str().into(),
        owners: session.owners.iter().map(|id| id.as_str().into()).collect(),
        teams: session.teams.iter().map(|id| id.as_str().into()).collect(),
        last_event: session.last_event.map(|at| at.secs()),
        n_events: session.n_events,
    });
    assert_eq!(told.collect::<Vec<Told>>(), document.sessions);
}

#[track_caller]
fn check_cut(document: &Document, at: usize) {
    let mut reader = SessionReader::new(&document.text.as_bytes()[..at], Dialect::NAMESPACE);
    let mut n_sessions = 0;
    loop {
        match reader.next_session() {
            Ok(Some(session)) => {
                assert_eq!(session.lsid.as_str(), document.sessions[n_sessions].lsid);
                n_sessions += 1;
            }
            Ok(None) => panic!("cut at {at} and still whole"),
            Err(_) => return,
        }
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        // The failing document is printed; a file of seeds would not show it.
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

const CHOICES_MAX: usize = 5_000;

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn import_and_export_give_the_same_document(document in documents(CHOICES_MAX)) {
        check_same_document(&document.text);
    }

    #[test]
    fn a_second_import_and_export_give_the_same_bytes(document in documents(CHOICES_MAX)) {
        let first = export(&read(&document.text));
        let second = export(&read(&first));
        prop_assert_eq!(first, second);
    }

    #[test]
    fn the_gzip_answer_is_one_member_with_the_same_bytes(document in documents(CHOICES_MAX)) {
        let sessions = read(&document.text);
        for format in Format::ALL {
            let identity = export_as(&sessions, format, Coding::Identity);
            let gzip = export_as(&sessions, format, Coding::Gzip);
            prop_assert!(gunzip_one(&gzip) == identity, "{format:?}");
        }
    }

    #[test]
    fn a_session_that_is_not_sealed_has_the_bytes_of_a_sealed_one(document in documents(CHOICES_MAX)) {
        let sessions = read(&document.text);
        let mut out = Vec::new();
        let mut answer = begin(Format::Xml, Coding::Gzip, &mut out);
        for session in &sessions {
            answer.parts(&session.parts, &links().signer(), &mut out).unwrap();
        }
        answer.end(&mut out);
        let text = String::from_utf8(gunzip_one(&out)).unwrap();
        prop_assert_eq!(text, export(&sessions));
    }

    #[test]
    fn an_account_that_may_not_see_recordings_gets_everything_else(document in documents(CHOICES_MAX)) {
        check_recordings_are_hidden(&document.text);
    }

    #[test]
    fn the_index_knows_what_the_document_says(document in documents(CHOICES_MAX)) {
        check_index(&document);
    }

    #[test]
    fn every_format_is_well_formed_whatever_the_document_says(document in documents(CHOICES_MAX)) {
        let sessions = read(&document.text);
        let json = export_as(&sessions, Format::Json, Coding::Identity);
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let ndjson = export_as(&sessions, Format::Ndjson, Coding::Identity);
        let lines = serde_json::Deserializer::from_slice(&ndjson).into_iter();
        let lines: Vec<serde_json::Value> = lines.map(Result::unwrap).collect();
        prop_assert_eq!(ndjson.iter().filter(|&&b| b == b'\n').count(), sessions.len());
        prop_assert_eq!(json["sessions"].as_array().unwrap(), &lines);
        let csv = export_as(&sessions, Format::Csv, Coding::Identity);
        let mut csv = csv::Reader::from_reader(&csv[..]);
        prop_assert_eq!(csv.headers().unwrap().len(), debrief_report::COLUMNS.len());
        let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
        let lsids: Vec<&str> = rows.iter().map(|row| &row[0]).collect();
        let told: Vec<&str> = document.sessions.iter().map(|told| &*told.lsid).collect();
        prop_assert_eq!(lsids, told);
    }
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn a_document_cut_off_is_never_whole(document in documents(800), cuts in prop::collection::vec(any::<prop::sample::Index>(), 60)) {
        for cut in cuts {
            check_cut(&document, cut.index(document.end));
        }
        for at in document.end.saturating_sub(20)..document.end {
            check_cut(&document, at);
        }
    }
}

#[test]
fn a_document_cut_off_at_any_byte_is_never_whole() {
    let whole = (0..)
        .map(|seed| document(&mut Tape::fixed(seed, 120)))
        .find(|document| document.sessions.len() == 2)
        .unwrap();
    for at in 0..whole.end {
        check_cut(&whole, at);
    }
    assert_eq!(read(&whole.text[..whole.end]).len(), 2);
}

#[test]
fn a_long_element_between_links_survives_as_several_stored_blocks() {
    let long = "<![CDATA[ long & more ]]>".repeat(20_000);
    let source = format!(
        "<session_list><session lsid='a'><start_time timestamp='5'/>\
         <session_chat_view_url>http://x</session_chat_view_url><extra>{long}</extra>\
         <session_chat_download_url>http://x</session_chat_download_url>\
         </session></session_list>"
    );
    check_same_document(&source);
    let sessions = read(&source);
    let gzip = export_as(&sessions, Format::Xml, Coding::Gzip);
    assert_eq!(gunzip_one(&gzip), export(&sessions).into_bytes());
}

#[test]
fn a_carriage_return_as_it_is_becomes_a_line_feed_and_a_referenced_one_stays() {
    // XML 1.0, section 2.11. The judge is wrong here, so its laws leave these out.
    let source = "<session_list><session lsid='a'><start_time timestamp='5'/><external_key>\
                  1\r2\r\n3\r&lt;&#13;<![CDATA[\r4\r\n]]>\r</external_key></session></session_list>";
    let out = export(&read(source));
    let expected = "<external_key>1\n2\n3\n&lt;&#xD;\n4\n\n</external_key>";
    assert!(out.contains(expected), "{out}");
}

fn around(inner: &str) -> String {
    format!(
        "<session_list><session lsid='a'><start_time timestamp='5'/>{inner}</session></session_list>"
    )
}

/// Holds the reader to the judge's opinion; what is accepted is exported well-formed.
#[track_caller]
fn check_judged_alike(inner: &str) {
    let source = around(inner);
    let is_well_formed = roxmltree::Document::parse(&source).is_ok();
    let sessions = read_all(source.as_bytes());
    assert_eq!(sessions.is_ok(), is_well_formed, "{inner}: {sessions:?}");
    if let Ok(sessions) = sessions {
        canonical(&export(&sessions));
    }
}

#[track_caller]
fn check_refused(inner: &str) {
    assert!(read_all(around(inner).as_bytes()).is_err(), "{inner}");
}

#[test]
fn what_is_not_well_formed_is_refused_although_the_judge_is_lenient() {
    check_refused("<a>&#xD800;</a>");
    check_refused("<a>&#x110000;</a>");
    check_refused("<:a/>");
    check_refused("<a xmlns:xmlns='urn:x'/>");
    check_refused("<p:a xmlns:p='' p:b='1' b='2'/>");
    check_refused("<a xmlns:unused='&nbsp;'/>");
}

#[test]
fn what_is_not_well_formed_is_refused_and_what_is_is_taken() {
    for c in [
        '\u{D7}',
        '\u{F7}',
        '\u{37E}',
        '\u{2028}',
        '\u{3000}',
        '\u{FDD0}',
        '\u{AA}',
        '\u{B5}',
        '\u{300}',
        '\u{F900}',
        '\u{F0000}',
        '-',
        '1',
    ] {
        check_judged_alike(&format!("<{c}/>"));
        check_judged_alike(&format!("<a{c}b/>"));
        check_judged_alike(&format!("<a {c}='1'/>"));
        check_judged_alike(&format!("<p{c}:a xmlns:p{c}='urn:p' p{c}:b='1'/>"));
        check_judged_alike(&format!("<{c}:a xmlns:{c}='urn:p' {c}:b='1'/>"));
    }
    check_judged_alike("<a xmlns:p='urn:p' xmlns:q='urn:p' p:b='1' q:b='2'/>");
    check_judged_alike("<a xmlns:p='urn:p' xmlns:q='urn:q' p:b='1' q:b='2' b='3'/>");
    check_judged_alike("<a:b:c xmlns:a='urn:a'/>");
    check_judged_alike("<a xmlns:xml='urn:x'/>");
    check_judged_alike("<a b='1'c='2'/>");
    check_judged_alike("<a b=1/>");
    check_judged_alike("<a b/>");
    check_judged_alike("<a>&#0;</a>");
    check_judged_alike("<a>&#xFFFE;</a>");
    check_judged_alike("<a b='&#x1;'/>");
    check_judged_alike("<a b='&nbsp;'/>");
    check_judged_alike("<a>a & b</a>");
    check_judged_alike("<a b='a & b'/>");
    check_judged_alike("<a><!-- a -- b --></a>");
    check_judged_alike("<a>\u{FFFF}</a>");
    check_judged_alike("</a>");
    check_judged_alike("<a></ a>");
    check_judged_alike("< a/>");
    check_judged_alike("<?xml version='1.0'?>");
}

/// Every element and attribute of the vendor's document, and the few that live appliances add.
const SEED: &str = "
@lsid session_type lseq start_time start_time/@timestamp end_time end_time/@timestamp duration
public_site public_site/@id jumpoint jumpoint/@id external_key
custom_attributes/custom_attribute custom_attributes/custom_attribute/@display_name
custom_attributes/custom_attribute/@code_name
session_chat_view_url session_chat_download_url
session_recording_view_url session_recording_download_url
show_my_screen_recordings/show_my_screen_recording/@instance
show_my_screen_recordings/show_my_screen_recording/download_url
show_my_screen_recordings/show_my_screen_recording/view_url
command_shell_recordings/command_shell_recording/@instance
command_shell_recordings/command_shell_recording/download_url
command_shell_recordings/command_shell_recording/view_url
file_transfer_count file_move_count file_delete_count
primary_customer primary_customer/@gsnumber jump_group/@type jump_group/@id
primary_rep primary_rep/@gsnumber primary_rep/@id primary_team primary_team/@id
customer_list/customer/@gsnumber customer_list/customer/username customer_list/customer/public_ip
customer_list/customer/private_ip customer_list/customer/hostname customer_list/customer/os
customer_list/customer/primary_cust customer_list/customer/info/name
customer_list/customer/info/company customer_list/customer/info/company_code
customer_list/customer/info/issue customer_list/customer/info/details
rep_list/representative/@gsnumber rep_list/representative/@id rep_list/representative/username
rep_list/representative/display_name rep_list/representative/public_display_name
rep_list/representative/private_display_name rep_list/representative/display_number
rep_list/representative/public_ip rep_list/representative/private_ip
rep_list/representative/hostname rep_list/representative/os
rep_list/representative/session_owner rep_list/representative/primary_rep
rep_list/representative/seconds_involved rep_list/representative/invited
team_list/team team_list/team/@id team_list/team/@primary_team
cust_survey_list/cust_exit_survey/@gsnumber
cust_survey_list/cust_exit_survey/question_list/question/@id
cust_survey_list/cust_exit_survey/question_list/question/answer_list/answer
rep_survey_list/rep_exit_survey/question_list/question/type
rep_survey_list/rep_exit_survey/question_list/question/label
rep_survey_list/rep_exit_survey/question_list/question/name
rep_survey_list/rep_exit_survey/question_list/question/report_header
session_details/event/@timestamp session_details/event/@event_type
session_details/event/performed_by/@type session_details/event/performed_by/@gsnumber
session_details/event/destination/@type session_details/event/destination/@gsnumber
session_details/event/body session_details/event/encoded_body session_details/event/filename
session_details/event/filesize session_details/event/files/file/filename
session_details/event/files/file/filesize session_details/event/data/value/@name
session_details/event/data/value/@value
session_details/event/system_information/category/@name
session_details/event/system_information/category/description/field/@name
session_details/event/system_information/category/data/row/field
";

#[test]
fn the_generator_makes_every_element_attribute_and_event_type() {
    let mut found = BTreeSet::new();
    let mut types = BTreeSet::new();
    for seed in 0..60 {
        let document = document(&mut Tape::fixed(seed, 10_000));
        let parsed = roxmltree::Document::parse(&document.text).unwrap();
        for node in parsed.descendants().filter(roxmltree::Node::is_element) {
            let mut names: Vec<&str> = node
                .ancestors()
                .filter(|n| n.is_element())
                .map(|n| n.tag_name().name())
                .collect();
            names.reverse();
            let path = names.get(2..).unwrap_or_default().join("/");
            found.extend(node.attributes().map(|a| format!("{path}/@{}", a.name())));
            found.insert(path);
            types.extend(node.attribute("event_type").map(String::from));
        }
    }
    let missing: Vec<&str> = SEED
        .split_whitespace()
        .filter(|path| !found.contains(*path) && !found.contains(&format!("/{path}")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
    let untold: Vec<&str> = EventType::ALL
        .iter()
        .map(|kind| kind.name())
        .filter(|name| !types.contains(*name))
        .collect();
    assert_eq!(untold, Vec::<&str>::new());
}
