//! Neighbours of odd documents: what they make of parts, they make of kept bytes too.

use debrief_domain::Directory;
use expect_test::{Expect, expect};

use super::*;
use crate::ask::Group;
use crate::dialect::Dialect;
use crate::read::SessionReader;
use crate::sealed::{Level, Sealer};

/// The report over the sessions of a document without its root.
#[track_caller]
fn check(kind: ReportKind, sessions: &str, expect: Expect) {
    let document = format!(
        "<session_list xmlns=\"{}\">{sessions}</session_list>",
        Dialect::NAMESPACE
    );
    let mut reader = SessionReader::new(document.as_bytes(), Dialect::NAMESPACE);
    let new = || Neighbour::new(kind, Dialect::NAMESPACE).unwrap();
    let (mut of_parts, mut of_sealed) = (new(), new());
    let (mut out, mut out_sealed) = (Vec::new(), Vec::new());
    let allowed = RecordingsView::Allowed;
    let mut n_given = 0;
    while let Some(imported) = reader.next_session().unwrap() {
        let parts = Seen::Parts(&imported.parts);
        n_given += of_parts.session(parts, allowed, &mut out).unwrap();
        let sealed = Sealer::new(Level::Keep).seal(&imported.parts);
        let sealed = Sealed::parse(&sealed).unwrap();
        let sealed = Seen::Sealed(&sealed);
        of_sealed.session(sealed, allowed, &mut out_sealed).unwrap();
    }
    n_given += of_parts.end(&Directory::default(), &mut out);
    of_sealed.end(&Directory::default(), &mut out_sealed);
    assert_eq!(out, out_sealed);
    let text = String::from_utf8(out).unwrap();
    let root = format!("<root>{text}</root>");
    let root = roxmltree::Document::parse(&root).unwrap();
    let n_elements = root.root_element().children();
    let n_elements = n_elements.filter(roxmltree::Node::is_element).count();
    assert_eq!(n_elements as u64, n_given);
    expect.assert_eq(&text);
}

fn session(lsid: &str, inner: &str) -> String {
    format!(
        "<session lsid=\"{lsid}\"><start_time timestamp=\"100\">x</start_time>{inner}</session>"
    )
}

#[test]
fn damage_is_an_error_whatever_is_made() {
    let parts = Parts {
        lsid: "a".into(),
        head: b"<session lsid=\"a\"><end".to_vec(),
        tail: b"cust_exit_survey</session>".to_vec(),
        ..Parts::default()
    };
    for kind in [
        ReportKind::SupportSessionListing,
        ReportKind::SupportSessionSummary(Group::Team),
        ReportKind::SupportSessionSummary(Group::Site),
        ReportKind::SupportCustExitSurvey,
    ] {
        let mut neighbour = Neighbour::new(kind, Dialect::NAMESPACE).unwrap();
        let seen = Seen::Parts(&parts);
        let error = neighbour.session(seen, RecordingsView::Allowed, &mut Vec::new());
        let damaged = Err(NeighbourError::Damaged(SealedError::not_xml()));
        assert_eq!(error, damaged, "{kind:?}");
    }
}

#[test]
fn an_external_key_is_found_wherever_a_document_has_it() {
    let link = "<session_chat_view_url>https://x</session_chat_view_url>";
    let foreign = "<x xmlns=\"urn:x\"><external_key>not this</external_key></x>";
    let key = "<external_key>K &amp; 1</external_key>";
    let sessions = [
        session("first", key),
        session("behind", &format!("{foreign}{link}{key}")),
        session(
            "last",
            &format!("{link}<session_details></session_details>{key}"),
        ),
        session("none", &format!("{foreign}{link}")),
    ];
    check(
        ReportKind::SupportSessionListing,
        &sessions.concat(),
        expect![[r#"
            <session_summary lsid="first" has_recording="0" external_key="K &amp; 1"></session_summary>
            <session_summary lsid="behind" has_recording="0" external_key="K &amp; 1"></session_summary>
            <session_summary lsid="last" has_recording="0" external_key="K &amp; 1"></session_summary>
            <session_summary lsid="none" has_recording="0"></session_summary>
        "#]],
    );
}

#[test]
fn only_a_link_that_leads_somewhere_is_a_recording() {
    let shell = |url: &str| {
        format!(
            "<command_shell_recordings><command_shell_recording instance=\"3\">\
             <view_url>{url}</view_url></command_shell_recording></command_shell_recordings>"
        )
    };
    let sessions = [
        session(
            "chat",
            "<session_chat_view_url>https://x</session_chat_view_url>",
        ),
        session("shell", &shell("https://x")),
        session("empty", &shell(" ")),
    ];
    check(
        ReportKind::SupportSessionListing,
        &sessions.concat(),
        expect![[r#"
            <session_summary lsid="chat" has_recording="0"></session_summary>
            <session_summary lsid="shell" has_recording="1"></session_summary>
            <session_summary lsid="empty" has_recording="0"></session_summary>
        "#]],
    );
}

#[test]
fn what_stands_behind_the_events_is_counted_and_what_only_looks_like_them_too() {
    let team = |id: &str| format!("<team_list><team id=\"{id}\">T{id}</team></team_list>");
    let details = "<session_details><event></event></session_details>";
    let foreign = "<x xmlns=\"urn:x\"><session_details><y></y></session_details></x>";
    let sessions = [
        session(
            "a",
            &format!("<duration>00:00:20</duration>{}{details}", team("1")),
        ),
        session(
            "b",
            &format!("<duration>01:00:00</duration>{details}{}", team("1")),
        ),
        session("c", &format!("{foreign}{}{details}", team("2"))),
        session("d", &format!("{details}{}{foreign}", team("10"))),
    ];
    check(
        ReportKind::SupportSessionSummary(Group::Team),
        &sessions.concat(),
        expect![[r#"
            <summary id="1"><display_name>T1</display_name><total_sessions>2</total_sessions><total_duration>01:00:20</total_duration><average_duration>00:30:10</average_duration></summary>
            <summary id="2"><display_name>T2</display_name><total_sessions>1</total_sessions><total_duration>00:00:00</total_duration><average_duration>00:00:00</average_duration></summary>
            <summary id="10"><display_name>T10</display_name><total_sessions>1</total_sessions><total_duration>00:00:00</total_duration><average_duration>00:00:00</average_duration></summary>
        "#]],
    );
}

#[test]
fn a_session_is_counted_once_for_each_owner_and_at_the_default_site() {
    let rep = |gsnumber: u32, id: &str, owner: &str| {
        format!(
            "<representative gsnumber=\"{gsnumber}\" id=\"{id}\"><display_name>Rep {id}\
             </display_name><session_owner>{owner}</session_owner></representative>"
        )
    };
    let reps = [rep(1, "7", "1"), rep(2, "7", "1"), rep(3, "8", "0")].concat();
    let sessions = [
        session(
            "a",
            &format!("<duration>00:00:20</duration><rep_list>{reps}</rep_list>"),
        ),
        session(
            "b",
            "<primary_rep gsnumber=\"1\" id=\"9\">Nine</primary_rep>",
        ),
        session("c", "<end_time timestamp=\"160\">x</end_time>"),
    ]
    .concat();
    check(
        ReportKind::SupportSessionSummary(Group::Rep),
        &sessions,
        expect![[r#"
            <summary id="7"><username></username><display_name>Rep 7</display_name><total_sessions>1</total_sessions><total_duration>00:00:20</total_duration><average_duration>00:00:20</average_duration></summary>
            <summary id="9"><username></username><display_name>Nine</display_name><total_sessions>1</total_sessions><total_duration>00:00:00</total_duration><average_duration>00:00:00</average_duration></summary>
        "#]],
    );
    check(
        ReportKind::SupportSessionSummary(Group::Site),
        &sessions,
        expect![[r#"
            <summary id="1"><display_name></display_name><total_sessions>3</total_sessions><total_duration>00:01:20</total_duration><average_duration>00:00:40</average_duration></summary>
        "#]],
    );
}

#[test]
fn a_survey_has_every_element_that_clients_look_into() {
    let end = "<end_time>1970-01-01T00:10:00+00:00</end_time>";
    let surveys = "<rep_survey_list>\
        <rep_exit_survey timestamp=\"590\"><submitted_by type=\"rep\" gsnumber=\"4\">Rep</submitted_by></rep_exit_survey>\
        <rep_exit_survey gsnumber=\"6\" timestamp=\"soon\"></rep_exit_survey></rep_survey_list>";
    let sessions = [
        session("ended", &format!("{end}{surveys}")),
        session("running", &format!("<end_time></end_time>{surveys}")),
        session("silent", end),
    ];
    check(
        ReportKind::SupportRepExitSurvey,
        &sessions.concat(),
        expect![[r#"
            <exit_survey lsid="ended" timestamp="590"><submitted_by type="rep" gsnumber="4">Rep</submitted_by><primary_rep></primary_rep><primary_customer></primary_customer><rep_list></rep_list><question_list></question_list></exit_survey>
            <exit_survey lsid="ended" timestamp="600"><submitted_by type="rep" gsnumber="6"></submitted_by><primary_rep></primary_rep><primary_customer></primary_customer><rep_list></rep_list><question_list></question_list></exit_survey>
        "#]],
    );
    check(
        ReportKind::SupportCustExitSurvey,
        &sessions.concat(),
        expect![""],
    );
}
