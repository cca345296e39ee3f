//! The reports beside `SupportSession`: listing, summary and exit surveys, of sessions that are
//! kept as events, sealed, or imported.

use std::io::Read as _;

use axum::body::Body;
use axum::http::{Request, header};
use debrief_domain::{
    Actor, ActorKind, EventType, Question, Recording, RecordingKind, SessionContext, Survey,
};
use expect_test::{Expect, expect};

use crate::world::{FORM, NOW, Reply, Story, World, all, as_reader, directory, from, run};

/// Everything since the start of time.
const ALL: &str = "start_time=0&duration=0";

/// One good question for each report.
const QUESTIONS: [&str; 4] = [
    "generate_report=SupportSessionListing&start_time=0&duration=0",
    "generate_report=SupportSessionSummary&start_time=0&duration=0&report_type=rep",
    "generate_report=SupportCustExitSurvey&start_time=0&duration=0&report_type=rep&id=all",
    "generate_report=SupportRepExitSurvey&start_time=0&duration=0&report_type=rep&id=all",
];

#[track_caller]
fn check(reply: &Reply, expect: Expect) {
    expect.assert_eq(&format!("{}\n{}", reply.status, reply.text()));
}

fn path(query: &str) -> String {
    format!("/api/reporting?{query}")
}

async fn ask(world: &World, query: &str) -> Reply {
    let request = as_reader(Request::get(path(query)));
    world.send(request.body(Body::empty()).unwrap()).await
}

async fn ask_as(world: &World, token: &str, query: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    let request = Request::get(path(query)).header(header::AUTHORIZATION, bearer);
    world.send(request.body(Body::empty()).unwrap()).await
}

/// Attributes of the root's children.
#[track_caller]
fn ids(reply: &Reply, attribute: &str) -> Vec<String> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let document = roxmltree::Document::parse(reply.text()).unwrap();
    let children = document.root_element().children();
    children
        .filter(roxmltree::Node::is_element)
        .map(|child| child.attribute(attribute).unwrap().to_owned())
        .collect()
}

fn survey(answer: &str) -> Box<Survey> {
    let question = |id: &str, kind: &str, name: &str, answers: &[&str]| Question {
        id: id.into(),
        kind: kind.into(),
        label: format!("How about {name}?"),
        name: name.into(),
        report_header: name.to_uppercase(),
        answers: answers.iter().map(ToString::to_string).collect(),
    };
    Box::new(Survey {
        questions: vec![
            question("1", "radio", "rating", &[answer]),
            question("2", "checkbox", "topics", &["a & b", "c"]),
            question("3", "textarea", "comments", &[]),
        ],
    })
}

/// Surveys of both sides, a minute apart.
fn surveyed(mut story: Story, secs: i64, rep: u32) -> Story {
    let sides = [
        (EventType::CustomerExitSurvey, ActorKind::Customer, 5, "5"),
        (
            EventType::RepresentativeExitSurvey,
            ActorKind::Representative,
            rep,
            "4",
        ),
    ];
    for (idx, (event, kind, gsnumber, answer)) in (0..).zip(sides) {
        story.happens(secs + idx * 60, event, |event| {
            event.survey = Some(survey(answer));
            event.performed_by = Some(Actor {
                kind,
                gsnumber,
                name: None,
            });
        });
    }
    story
}

fn keyed(mut story: Story, key: &str) -> Story {
    story.events[0].session = Some(Box::new(SessionContext {
        external_key: Some(key.into()),
        ..SessionContext::default()
    }));
    story
}

fn recorded(mut story: Story, kind: RecordingKind) -> Story {
    story.happens(NOW - 2_500, EventType::ScreenRecording, |event| {
        event.recording = Some(Recording { kind, instance: 0 });
    });
    story
}

/// A document of two sessions of another archive: one with surveys that tell no time and a
/// duration that is none, and one that never ended.
const DOCUMENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<session_list xmlns="http://www.bomgar.com/namespaces/API/reporting">
<session lsid="imported">
<session_type>support</session_type><lseq>7</lseq>
<start_time timestamp="1479200000">2016-11-15T08:53:20+00:00</start_time>
<end_time timestamp="1479200100">2016-11-15T08:55:00+00:00</end_time>
<duration>soon</duration><public_site id="2">Second</public_site>
<external_key>INC &quot;7&quot;</external_key>
<session_recording_view_url>https://elsewhere/1</session_recording_view_url>
<primary_customer gsnumber="1">Ada</primary_customer>
<primary_rep gsnumber="2" id="3">Grace</primary_rep>
<customer_list></customer_list>
<rep_list><representative gsnumber="2" id="3"><username>grace</username><session_owner>1</session_owner></representative></rep_list>
<team_list><team id="10" primary_team="1">Ten</team></team_list>
<cust_survey_list><cust_exit_survey gsnumber="1"><question_list><question id="9"><type>radio</type><answer_list><answer>1</answer></answer_list></question></question_list></cust_exit_survey></cust_survey_list>
<session_details><event timestamp="1479200000" event_type="Session Start"></event></session_details>
</session>
<session lsid="endless">
<lseq>8</lseq>
<start_time timestamp="1479200001">2016-11-15T08:53:21+00:00</start_time><end_time></end_time>
<duration>00:00:30</duration>
<session_recording_view_url></session_recording_view_url>
<primary_customer gsnumber="1">Ada</primary_customer>
<cust_survey_list><cust_exit_survey gsnumber="1"></cust_exit_survey></cust_survey_list>
</session>
</session_list>"#;

/// Three sessions of events and two of a document.
async fn five() -> World {
    let world = World::new().await;
    fill(&world).await;
    world
}

async fn fill(world: &World) {
    let a = keyed(Story::new("a", NOW - 3_000), "INC-1")
        .owner("1")
        .member("2")
        .team("1")
        .end(NOW - 2_000);
    let a = recorded(surveyed(a, NOW - 2_100, 101), RecordingKind::CommandShell);
    // It still runs, so neither its recording nor its surveys are shown.
    let b = Story::new("b", NOW - 2_900).owner("2").team("2");
    let b = recorded(surveyed(b, NOW - 2_100, 102), RecordingKind::Session);
    let c = Story::new("c", NOW - 500)
        .owner("1")
        .owner("2")
        .team("1")
        .team("2")
        .end(NOW - 100);
    let c = surveyed(c, NOW - 200, 102);
    for story in [a, b, c] {
        world.append(story.events).await;
    }
    world.import(DOCUMENT);
}

// ---- Refusals ----

#[tokio::test]
async fn nobody_sees_any_report_without_a_token_the_permission_or_from_a_wrong_network() {
    let world = five().await;
    let blind = world.login("blind", "ingest,admin", &[]).await;
    let blind = world.token(&blind).await;
    let away = world.login("away", "reporting", &["203.0.113.0/24"]).await;
    let away = world.token(&away).await;
    for query in QUESTIONS {
        let request = Request::get(path(query)).body(Body::empty()).unwrap();
        let reply = world.send(request).await;
        assert_eq!(reply.status, 401, "{query}");
        assert!(reply.header("www-authenticate").starts_with("Bearer"));
        let reply = ask_as(&world, &blind, query).await;
        assert_eq!(reply.status, 403, "{query}");
        assert!(
            reply.error().contains("`reporting`"),
            "{query}: {}",
            reply.text()
        );
        let request = Request::get(path(query))
            .header(header::AUTHORIZATION, format!("Bearer {away}"))
            .body(Body::empty())
            .unwrap();
        let reply = world.send(from("192.0.2.1:1", request)).await;
        assert_eq!(reply.status, 403, "{query}");
        for secret in ["INC", "lsid", "Rep 1", "rating"] {
            assert!(!reply.text().contains(secret), "{query}: {}", reply.text());
        }
        assert_eq!(ask_as(&world, &away, query).await.status, 200, "{query}");
    }
}

#[tokio::test]
async fn every_faulty_parameter_is_named_at_once_inside_the_root_of_the_report() {
    let world = World::new().await;
    check(
        &ask(
            &world,
            "generate_report=SupportSessionListing&lsid=a&format=csv",
        )
        .await,
        expect![[r#"
            200
            <?xml version="1.0" encoding="UTF-8"?>
            <session_summary_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
            <error>format: `csv` is not known to this report; expected xml; lsid: is not read by SupportSessionListing; duration: is required; start_date: expected one of start_date, start_time, end_date or end_time</error>
            </session_summary_list>
        "#]],
    );
    check(
        &ask(
            &world,
            "generate_report=SupportSessionSummary&end_date=x&limit=y&report_type=z",
        )
        .await,
        expect![[r#"
            200
            <?xml version="1.0" encoding="UTF-8"?>
            <summary_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
            <error>report_type: `z` is not known; expected rep, team or site; end_date: `x` is not of the form YYYY-MM-DD; duration: is required; limit: `y` is not known; expected all, rep:ID, team:all, team:ID, members:ID or site:ID</error>
            </summary_list>
        "#]],
    );
    check(
        &ask(
            &world,
            "generate_report=SupportCustExitSurvey&start_time=0&limit=all",
        )
        .await,
        expect![[r#"
            200
            <?xml version="1.0" encoding="UTF-8"?>
            <exit_survey_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
            <error>limit: is not read by SupportCustExitSurvey; duration: is required; report_type: is required; expected rep, team or site; id: is required; expected all or the ID of a representative, team or site</error>
            </exit_survey_list>
        "#]],
    );
    check(
        &ask(&world, &format!("{}&format=json", QUESTIONS[3])).await,
        expect![[r#"
            200
            {"faults":[{"field":"format","message":"`json` is not known to this report; expected xml"}],"error":"invalid_parameters","message":"format: `json` is not known to this report; expected xml"}"#]],
    );
    let world = World::with(&[("dialect", "appliance")]).await;
    check(
        &ask(&world, "generate_report=SupportSessionListing&start_time=0").await,
        expect![[r#"
            200
            <?xml version="1.0" encoding="UTF-8"?>
            <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">duration: is required</error>
        "#]],
    );
}

#[tokio::test]
async fn nothing_found_is_an_empty_root_or_the_error_of_appliances() {
    let world = World::new().await;
    let mut shown = String::new();
    for query in QUESTIONS {
        shown.push_str(ask(&world, query).await.text());
    }
    expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <session_summary_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        </session_summary_list>
        <?xml version="1.0" encoding="UTF-8"?>
        <summary_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        </summary_list>
        <?xml version="1.0" encoding="UTF-8"?>
        <exit_survey_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        </exit_survey_list>
        <?xml version="1.0" encoding="UTF-8"?>
        <exit_survey_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        </exit_survey_list>
    "#]]
    .assert_eq(&shown);
    let world = World::with(&[("dialect", "appliance")]).await;
    for query in QUESTIONS {
        let reply = ask(&world, query).await;
        assert_eq!(reply.status, 200);
        assert!(reply.text().contains("<error xmlns="), "{}", reply.text());
        assert!(reply.error().starts_with("No Support report information"));
    }
}

#[tokio::test]
async fn sessions_without_a_survey_are_nothing_found_however_many_there_are() {
    let world = World::with(&[("dialect", "appliance")]).await;
    // More than two pages.
    for n in 0..1_300 {
        let story = Story::new(&format!("s{n}"), NOW - 5_000 + n).end(NOW - 10);
        world.append(story.events).await;
    }
    for query in &QUESTIONS[2..] {
        let request = as_reader(Request::get(path(query)));
        let request = request.header(header::ACCEPT_ENCODING, "gzip");
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.header("content-encoding"), "");
        assert!(reply.error().starts_with("No Support report information"));
    }
    let reply = ask(&world, QUESTIONS[0]).await;
    assert_eq!(ids(&reply, "lsid").len(), 1_300);
    let reply = ask(
        &world,
        &format!("generate_report=SupportSessionSummary&{ALL}&report_type=site"),
    )
    .await;
    assert!(
        reply
            .text()
            .contains("<total_sessions>1300</total_sessions>"),
        "{}",
        reply.text()
    );
}

// ---- SupportSessionListing ----

#[tokio::test]
async fn a_listing_tells_ids_keys_and_recordings_that_the_account_may_see() {
    let world = five().await;
    let login = world.login("no-recordings", "reporting", &[]).await;
    let without = world.token(&login).await;
    let fresh = ask(&world, QUESTIONS[0]).await;
    check(
        &fresh,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <session_summary_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <session_summary lsid="imported" has_recording="1" external_key="INC &quot;7&quot;"></session_summary>
        <session_summary lsid="endless" has_recording="0"></session_summary>
        <session_summary lsid="a" has_recording="1" external_key="INC-1"></session_summary>
        <session_summary lsid="b" has_recording="0"></session_summary>
        <session_summary lsid="c" has_recording="0"></session_summary>
        </session_summary_list>
    "#]],
    );
    world.seal().await;
    let sealed = ask(&world, QUESTIONS[0]).await;
    assert_eq!(sealed.text(), fresh.text());
    let reply = ask_as(&world, &without, QUESTIONS[0]).await;
    assert_eq!(ids(&reply, "has_recording"), ["0"; 5]);
    assert_eq!(ids(&reply, "lsid"), ids(&fresh, "lsid"));
}

#[tokio::test]
async fn a_listing_selects_by_window_and_limit_as_the_report_of_whole_sessions_does() {
    let world = five().await;
    for parameters in [
        ALL.to_owned(),
        "end_time=0&duration=0".into(),
        "start_date=2016-11-15&duration=1".into(),
        format!("start_time={}&duration=101", NOW - 3_000),
        format!("start_time={}&duration=100", NOW - 3_000),
        format!("{ALL}&limit=rep:1"),
        format!("{ALL}&limit=rep:3"),
        format!("{ALL}&limit=team:all"),
        format!("{ALL}&limit=team:2"),
        format!("{ALL}&limit=site:2"),
    ] {
        let sessions = world.ask(&parameters).await.lsids();
        for name in ["SupportSessionListing", "AccessSessionListing"] {
            let query = format!("generate_report={name}&{parameters}");
            assert_eq!(ids(&ask(&world, &query).await, "lsid"), sessions, "{query}");
        }
        // A form says the same.
        let request = as_reader(Request::post("/api/reporting.ns"));
        let request = request.header(header::CONTENT_TYPE, FORM);
        let form = format!("generate_report=SupportSessionListing&{parameters}");
        let reply = world.send(request.body(Body::from(form)).unwrap()).await;
        assert_eq!(ids(&reply, "lsid"), sessions, "{parameters}");
    }
}

// ---- SupportSessionSummary ----

#[tokio::test]
async fn a_summary_counts_what_the_limit_of_each_row_selects() {
    let world = five().await;
    for (report_type, limit, expected) in [
        ("rep", "rep", &["1", "2", "3"][..]),
        ("team", "team", &["1", "2", "10"]),
        ("site", "site", &["1", "2"]),
    ] {
        let query =
            format!("generate_report=SupportSessionSummary&{ALL}&report_type={report_type}");
        let reply = ask(&world, &query).await;
        assert_eq!(ids(&reply, "id"), expected, "{report_type}");
        let counts = all(reply.text(), "total_sessions");
        for (id, count) in expected.iter().zip(counts) {
            let selected = world.ask(&format!("{ALL}&limit={limit}:{id}")).await;
            let n = selected.lsids().len().to_string();
            assert_eq!(count, n, "{report_type} {id}");
        }
    }
}

#[tokio::test]
async fn a_summary_has_the_names_and_lengths_of_sessions_in_every_state() {
    let world = five().await;
    let mut directory = directory(&[("1", "Team <one>", &["1"])]);
    let one = directory.representatives.values_mut().next().unwrap();
    one.private_display_name = "One of now".into();
    world.store.put_directory(directory).await.unwrap();
    let by = async |word: &str| {
        let query = format!("generate_report=SupportSessionSummary&{ALL}&report_type={word}");
        ask(&world, &query).await
    };
    let [reps, teams, sites] = [by("rep").await, by("team").await, by("site").await];
    check(
        &reps,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <summary_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <summary id="1"><username>rep1</username><display_name>One of now</display_name><total_sessions>2</total_sessions><total_duration>00:23:20</total_duration><average_duration>00:11:40</average_duration></summary>
        <summary id="2"><username>rep2</username><display_name>Rep 2</display_name><total_sessions>2</total_sessions><total_duration>00:55:00</total_duration><average_duration>00:27:30</average_duration></summary>
        <summary id="3"><username>grace</username><display_name>Grace</display_name><total_sessions>1</total_sessions><total_duration>00:01:40</total_duration><average_duration>00:01:40</average_duration></summary>
        </summary_list>
    "#]],
    );
    check(
        &teams,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <summary_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <summary id="1"><display_name>Team &lt;one&gt;</display_name><total_sessions>2</total_sessions><total_duration>00:23:20</total_duration><average_duration>00:11:40</average_duration></summary>
        <summary id="2"><display_name>team 2 then</display_name><total_sessions>2</total_sessions><total_duration>00:55:00</total_duration><average_duration>00:27:30</average_duration></summary>
        <summary id="10"><display_name>Ten</display_name><total_sessions>1</total_sessions><total_duration>00:01:40</total_duration><average_duration>00:01:40</average_duration></summary>
        </summary_list>
    "#]],
    );
    check(
        &sites,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <summary_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <summary id="1"><display_name></display_name><total_sessions>4</total_sessions><total_duration>01:12:10</total_duration><average_duration>00:18:02</average_duration></summary>
        <summary id="2"><display_name>Second</display_name><total_sessions>1</total_sessions><total_duration>00:01:40</total_duration><average_duration>00:01:40</average_duration></summary>
        </summary_list>
    "#]],
    );
    world.seal().await;
    assert_eq!(by("user").await.text(), reps.text());
    assert_eq!(by("team").await.text(), teams.text());
    assert_eq!(by("site").await.text(), sites.text());
}

// ---- SupportCustExitSurvey, SupportRepExitSurvey ----

#[tokio::test]
async fn surveys_are_those_of_ended_sessions_with_the_parties_and_every_answer() {
    let world = five().await;
    let customers = ask(&world, QUESTIONS[2]).await;
    check(
        &customers,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <exit_survey_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <exit_survey lsid="imported" timestamp="1479200100"><submitted_by type="customer" gsnumber="1"></submitted_by><primary_rep gsnumber="2" id="3">Grace</primary_rep><primary_customer gsnumber="1">Ada</primary_customer><rep_list><representative gsnumber="2" id="3"><username>grace</username><session_owner>1</session_owner></representative></rep_list><question_list><question id="9"><type>radio</type><answer_list><answer>1</answer></answer_list></question></question_list></exit_survey>
        <exit_survey lsid="a" timestamp="1479209100"><submitted_by type="customer" gsnumber="5"></submitted_by><primary_rep gsnumber="101" id="1">Rep 1</primary_rep><primary_customer gsnumber="5">Kim</primary_customer><rep_list><representative gsnumber="101" id="1"><username>rep1</username><display_name>Rep 1</display_name><public_display_name>Rep 1</public_display_name><private_display_name>Rep 1</private_display_name><display_number></display_number><public_ip>Unknown</public_ip><private_ip>Unknown</private_ip><hostname></hostname><os>Unknown</os><session_owner>1</session_owner><primary_rep>1</primary_rep><seconds_involved>1000</seconds_involved></representative><representative gsnumber="102" id="2"><username>rep2</username><display_name>Rep 2</display_name><public_display_name>Rep 2</public_display_name><private_display_name>Rep 2</private_display_name><display_number></display_number><public_ip>Unknown</public_ip><private_ip>Unknown</private_ip><hostname></hostname><os>Unknown</os><session_owner>0</session_owner><primary_rep>0</primary_rep><seconds_involved>1000</seconds_involved></representative></rep_list><question_list><question id="1"><type>radio</type><label>How about rating?</label><name>rating</name><report_header>RATING</report_header><answer_list><answer>5</answer></answer_list></question><question id="2"><type>checkbox</type><label>How about topics?</label><name>topics</name><report_header>TOPICS</report_header><answer_list><answer>a &amp; b</answer><answer>c</answer></answer_list></question><question id="3"><type>textarea</type><label>How about comments?</label><name>comments</name><report_header>COMMENTS</report_header><answer_list></answer_list></question></question_list></exit_survey>
        <exit_survey lsid="c" timestamp="1479211000"><submitted_by type="customer" gsnumber="5"></submitted_by><primary_rep gsnumber="102" id="2">Rep 2</primary_rep><primary_customer gsnumber="5">Kim</primary_customer><rep_list><representative gsnumber="101" id="1"><username>rep1</username><display_name>Rep 1</display_name><public_display_name>Rep 1</public_display_name><private_display_name>Rep 1</private_display_name><display_number></display_number><public_ip>Unknown</public_ip><private_ip>Unknown</private_ip><hostname></hostname><os>Unknown</os><session_owner>1</session_owner><primary_rep>0</primary_rep><seconds_involved>400</seconds_involved></representative><representative gsnumber="102" id="2"><username>rep2</username><display_name>Rep 2</display_name><public_display_name>Rep 2</public_display_name><private_display_name>Rep 2</private_display_name><display_number></display_number><public_ip>Unknown</public_ip><private_ip>Unknown</private_ip><hostname></hostname><os>Unknown</os><session_owner>1</session_owner><primary_rep>1</primary_rep><seconds_involved>400</seconds_involved></representative></rep_list><question_list><question id="1"><type>radio</type><label>How about rating?</label><name>rating</name><report_header>RATING</report_header><answer_list><answer>5</answer></answer_list></question><question id="2"><type>checkbox</type><label>How about topics?</label><name>topics</name><report_header>TOPICS</report_header><answer_list><answer>a &amp; b</answer><answer>c</answer></answer_list></question><question id="3"><type>textarea</type><label>How about comments?</label><name>comments</name><report_header>COMMENTS</report_header><answer_list></answer_list></question></question_list></exit_survey>
        </exit_survey_list>
    "#]],
    );
    let reps = ask(&world, QUESTIONS[3]).await;
    assert_eq!(ids(&reps, "lsid"), ["a", "c"]);
    let document = roxmltree::Document::parse(reps.text()).unwrap();
    let submitted: Vec<_> = document
        .descendants()
        .filter(|node| node.tag_name().name() == "submitted_by")
        .map(|node| (node.attribute("type"), node.attribute("gsnumber")))
        .collect();
    let rep = |gsnumber| (Some("rep"), Some(gsnumber));
    assert_eq!(submitted, [rep("101"), rep("102")]);
    assert_eq!(all(reps.text(), "answer")[0], "4");
    world.seal().await;
    assert_eq!(ask(&world, QUESTIONS[2]).await.text(), customers.text());
    assert_eq!(ask(&world, QUESTIONS[3]).await.text(), reps.text());
}

#[tokio::test]
async fn surveys_are_selected_by_whose_they_are_or_by_session() {
    let world = five().await;
    let check = async |parameters: &str, expected: &[&str]| {
        let query = format!("generate_report=SupportCustExitSurvey&{parameters}");
        let reply = ask(&world, &query).await;
        assert_eq!(ids(&reply, "lsid"), expected, "{query}");
    };
    for (report_type, id, expected) in [
        ("rep", "all", &["imported", "a", "c"][..]),
        ("rep", "1", &["a", "c"]),
        ("rep", "2", &["c"]),
        ("rep", "3", &["imported"]),
        ("rep", "9", &[]),
        ("team", "all", &["imported", "a", "c"]),
        ("team", "2", &["c"]),
        ("site", "1", &["a", "c"]),
        ("site", "2", &["imported"]),
    ] {
        let parameters = format!("{ALL}&report_type={report_type}&id={id}");
        check(&parameters, expected).await;
    }
    check("lsids=c,b,imported,a,nobody", &["c", "imported", "a"]).await;
    check("lsid=a&report_type=rep", &["a"]).await;
    check("lsid=b&report_type=rep", &[]).await;
    let narrow = format!("end_time={}&duration=1&report_type=rep&id=all", NOW - 2_000);
    check(&narrow, &["a"]).await;
    let late = format!(
        "end_time={}&duration=99&report_type=rep&id=all",
        NOW - 1_999
    );
    check(&late, &[]).await;
}

// ---- The way out ----

#[tokio::test]
async fn gzip_says_the_same_as_plain_text_in_fewer_bytes() {
    let world = five().await;
    for n in 0..2_000 {
        let story = Story::new(&format!("s{n}"), NOW - 5_000 + n).owner("1");
        world.append(story.end(NOW - 10).events).await;
    }
    world.seal().await;
    for query in QUESTIONS {
        let plain = ask(&world, query).await;
        let request = as_reader(Request::get(path(query)));
        let request = request.header(header::ACCEPT_ENCODING, "gzip");
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.header("content-encoding"), "gzip", "{query}");
        let mut text = String::new();
        let mut decoder = flate2::read::GzDecoder::new(&reply.body[..]);
        decoder.read_to_string(&mut text).unwrap();
        assert_eq!(text, plain.text(), "{query}");
        let (short, long) = (reply.body.len(), plain.body.len());
        assert!(long < 10_000 || short * 4 < long, "{query}: {short} {long}");
    }
}

#[tokio::test]
async fn the_access_log_tells_which_report_was_read() {
    let world = five().await;
    for query in QUESTIONS {
        ask(&world, &format!("{query}&password=secret")).await;
    }
    let entries = world.accesses().await;
    let told: Vec<String> = entries
        .iter()
        .filter(|entry| entry.action == "report")
        .map(|entry| entry.detail.clone())
        .collect();
    assert_eq!(told, QUESTIONS.map(|query| query.replace('&', " ")));
}

#[tokio::test]
async fn the_command_line_makes_the_same_reports() {
    let world = five().await;
    let made = |args: &[&str]| {
        let args = [&["report", "--start-time", "0", "--duration", "0"], args].concat();
        run(world.data(), &args)
    };
    let listing = made(&["--report", "SupportSessionListing"]);
    assert_eq!(
        listing.stdout,
        ask(&world, QUESTIONS[0]).await.text(),
        "{}",
        listing.stderr
    );
    let name = "SupportCustExitSurvey";
    let surveys = made(&["--report", name, "--report-type", "rep", "--id", "all"]);
    assert_eq!(surveys.stdout, ask(&world, QUESTIONS[2]).await.text());
    let faulty = made(&["--report", "SupportRepExitSurvey", "--limit", "all"]);
    assert_eq!(faulty.code, 2, "{}", faulty.stderr);
    for parameter in ["limit: ", "report_type: ", "id: "] {
        assert!(faulty.stderr.contains(parameter), "{}", faulty.stderr);
    }
}
