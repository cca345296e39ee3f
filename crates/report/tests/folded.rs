//! A session made of events, as XML, JSON and CSV: whole, in the vendor's order, and readable by
//! parsers other than our own.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, and says where"
)]

use base64::Engine as _;
use debrief_domain::{
    Actor, ActorKind, At, Body, Category, CodeName, CustomAttribute, Customer, CustomerInfo,
    Directory, Event, EventId, EventType, FileEntry, Invitation, Joined, JumpGroup, Lsid, Moment,
    Named, Question, Recording, RecordingKind, RepId, Session, SessionContext, SiteId, Survey,
    Team, TeamId, TeamRef, fold,
};
use debrief_report::{
    Answer, COLUMNS, Coding, DIALECTS, DefinesCustomFields, Dialect, Format, Head, Level, LinkKey,
    Links, Parts, RETOLD_BYTES_MAX, RecordingsView, ReportKind, Sealed, Sealer, SessionReader,
    retell, session_parts,
};
use expect_test::expect_file;
use proptest::prelude::*;
use roxmltree::{Document, Node};
use serde_json::{Value, json};

#[path = "support/tape.rs"]
mod tape;

use tape::Tape;

// ---- The API, in one place ----

fn links(recordings: RecordingsView) -> Links {
    Links {
        base: "https://debrief.example".into(),
        account: "a1".into(),
        expires: 0,
        recordings,
        defines_custom_fields: DefinesCustomFields::None,
        key: LinkKey::new(&[7; 32]),
    }
}

fn head() -> Head<'static> {
    Head {
        dialect: &DIALECTS[0],
        namespace: Dialect::NAMESPACE,
        root: ReportKind::SupportSession.root(),
        next: None,
    }
}

fn answer_with(parts: &[Parts], format: Format, links: &Links) -> String {
    let mut out = Vec::new();
    let mut answer = Answer::begin(head(), format, Coding::Identity, &mut out);
    for parts in parts {
        answer
            .parts(parts, &links.clone().signer(), &mut out)
            .unwrap();
    }
    answer.end(&mut out);
    String::from_utf8(out).unwrap()
}

fn parts_of(session: &Session) -> Parts {
    session_parts(session, &directory())
}

fn write_as(sessions: &[&Session], format: Format) -> String {
    let parts: Vec<Parts> = sessions.iter().map(|session| parts_of(session)).collect();
    answer_with(&parts, format, &links(RecordingsView::Allowed))
}

fn xml(session: &Session) -> String {
    write_as(&[session], Format::Xml)
}

fn json(sessions: &[&Session]) -> Value {
    serde_json::from_str(&write_as(sessions, Format::Json)).unwrap()
}

/// Reads the answer again, seals what was read, and answers with it.
fn again(document: &str) -> String {
    let mut reader = SessionReader::new(document.as_bytes(), Dialect::NAMESPACE);
    let mut sealer = Sealer::new(Level::Keep);
    let mut out = Vec::new();
    let mut answer = Answer::begin(head(), Format::Xml, Coding::Identity, &mut out);
    while let Some(session) = reader.next_session().unwrap() {
        let kept = sealer.seal(&session.parts);
        let sealed = Sealed::parse(&kept).unwrap();
        let links = links(RecordingsView::Allowed);
        answer.sealed(&sealed, &links.signer(), &mut out).unwrap();
    }
    answer.end(&mut out);
    String::from_utf8(out).unwrap()
}

// ---- Events ----

fn directory() -> Directory {
    let mut directory = Directory::default();
    let team = Team {
        name: "Second <level>, as it is called now".into(),
        ..Team::default()
    };
    directory.teams.insert(TeamId::parse("2").unwrap(), team);
    directory
}

fn event(n: i64, kind: EventType) -> Event {
    let id = EventId::parse(&format!("e{n}")).unwrap();
    let lsid = Lsid::parse("c69a8e10bea9428f816cfababe9815fe").unwrap();
    let at = At::from_secs(1_475_308_800 + n).unwrap();
    Event::new(id, lsid, at, kind)
}

fn actor(kind: ActorKind, gsnumber: u32, name: Option<&str>) -> Option<Actor> {
    let name = name.map(Into::into);
    Some(Actor {
        kind,
        gsnumber,
        name,
    })
}

fn context() -> SessionContext {
    let attribute = |code_name: &str, display_name: Option<&str>, value: &str| CustomAttribute {
        code_name: CodeName::parse(code_name).unwrap(),
        display_name: display_name.map(Into::into),
        value: value.into(),
    };
    SessionContext {
        public_site: Some((SiteId::parse("3").unwrap(), Some("Help & Care".into()))),
        jumpoint: Some(Named {
            id: "7".into(),
            name: "Basel \u{1} West".into(),
        }),
        jump_group: Some(JumpGroup {
            kind: "shared".into(),
            id: "5".into(),
            name: "Shops".into(),
        }),
        external_key: Some("T-1 <&>\"'".into()),
        custom_attributes: vec![
            attribute("floor", Some("Floor"), "3"),
            attribute("asset_tag", None, "  "),
            attribute("colour", Some("Colour \"x\"\n"), ""),
        ],
    }
}

fn customer(gsnumber: u32) -> Customer {
    Customer {
        gsnumber,
        username: "Zoë 😀".into(),
        public_ip: Some("[2001:db8::1]:4000".parse().unwrap()),
        private_ip: Some("10.0.0.4".into()),
        hostname: Some("PC-1".into()),
        os: None,
        info: CustomerInfo {
            name: "Zoë".into(),
            company: "=1+1".into(),
            company_code: "C".into(),
            issue: "12".into(),
            details: "It \u{2} broke\r\n]]>".into(),
        },
    }
}

fn joined(gsnumber: u32, invitation: Invitation) -> Joined {
    Joined {
        gsnumber,
        id: RepId::parse(&format!("r{gsnumber}")).unwrap(),
        username: format!("user{gsnumber}"),
        public_display_name: format!("Public {gsnumber}"),
        private_display_name: format!("Private {gsnumber}"),
        display_number: "100".into(),
        public_ip: Some("192.0.2.7:61606".parse().unwrap()),
        private_ip: None,
        hostname: None,
        os: Some("Windows".into()),
        support_teams: vec!["First".into(), "Second".into()],
        invitation,
    }
}

fn survey(n_questions: usize) -> Survey {
    let question = |n: usize| Question {
        id: n.to_string(),
        kind: "radio".into(),
        label: "How \u{3} was it?".into(),
        name: "rating".into(),
        report_header: "Rating".into(),
        answers: vec!["5".into(); n],
    };
    Survey {
        questions: (1..=n_questions).map(question).collect(),
    }
}

fn table(n_rows: usize) -> Category {
    Category {
        name: "Drives".into(),
        fields: vec!["Drive".into(), "Type".into(), "Used".into()],
        rows: vec![vec!["C:\\".into(), "Local \u{1}Disk".into()]; n_rows],
    }
}

/// One event of every type, in the order of the vendor's numbers except that the session starts
/// first and, at `end`, ends last; `n` things wherever several may be.
fn every_event(n: usize) -> Vec<Event> {
    let mut events = Vec::new();
    let mut start = event(0, EventType::SessionStart);
    start.session = Some(Box::new(context()));
    events.push(start);
    let inner = EventType::ALL
        .iter()
        .filter(|kind| **kind != EventType::SessionStart && **kind != EventType::SessionEnd);
    for (idx, kind) in (1..).zip(inner) {
        let mut event = event(idx, *kind);
        event.performed_by = actor(ActorKind::Representative, 21, None);
        event.destination = actor(ActorKind::Customer, 22, Some("Zoë"));
        event.data = (0..n)
            .map(|n| (format!("n{n}"), "v <&>\"'\t\n".into()))
            .collect();
        dress(&mut event, n);
        events.push(event);
    }
    let gsnumbers: Vec<u32> = (0..n as u32).map(|n| 30 + n).collect();
    for (idx, gsnumber) in (100..).zip(gsnumbers) {
        let mut added = event(idx, EventType::ConferenceMemberAdded);
        added.representative = Some(Box::new(joined(gsnumber, Invitation::Invited)));
        events.push(added);
    }
    events
}

/// Gives an event what its type speaks of.
fn dress(event: &mut Event, n: usize) {
    match event.kind {
        EventType::ChatMessage => {
            event.destination = actor(ActorKind::Everyone, 0, None);
            event.body = Some(Body::Text("Hello\u{0}\u{1B}[1m wörld 😀\r\n".into()));
        }
        EventType::SessionNoteAdded => event.body = Some(Body::Text("a < b\r\n& c ]]>".into())),
        EventType::LegalAgreementResponse => event.body = Some(Body::Bytes(vec![0xFF; 200])),
        EventType::ServiceAccessAllowed => event.body = Some(Body::Bytes("text".into())),
        EventType::ConferenceMemberAdded => {
            event.customer = Some(Box::new(customer(22)));
            event.performed_by = actor(ActorKind::Representative, 99, Some("Never joined"));
        }
        EventType::ConferenceMemberStateChanged => {
            event.representative = Some(Box::new(joined(21, Invitation::Regular)));
        }
        EventType::ConferenceOwnerChanged => {
            event.destination = actor(ActorKind::Representative, 21, None);
        }
        EventType::FileUpload | EventType::FilesShared => {
            let file = |n| FileEntry {
                name: format!("C:\\{n}\u{4}.txt"),
                size: n as u64,
            };
            event.files = (0..n).map(file).collect();
        }
        EventType::FileDownload | EventType::FileMoved | EventType::FileDeleted => {
            event.filename = Some("a\u{FFFE}b".into());
            event.filesize = Some(u64::from(u32::MAX) + 1);
        }
        EventType::SessionAssigned => {
            let team = TeamRef {
                id: TeamId::parse("1").unwrap(),
                name: Some("First".into()),
            };
            event.team = Some(team);
        }
        EventType::SessionTransferredToQueue => {
            let team = TeamRef {
                id: TeamId::parse("2").unwrap(),
                name: Some("Old name".into()),
            };
            event.team = Some(team);
        }
        EventType::CustomerExitSurvey => {
            event.performed_by = actor(ActorKind::Customer, 22, None);
            event.survey = Some(Box::new(survey(n)));
        }
        EventType::RepresentativeExitSurvey => event.survey = Some(Box::new(survey(n))),
        EventType::ScreenRecording => event.recording = recording(RecordingKind::Session, 0),
        EventType::ShowMyScreenRecording => {
            event.recording = recording(RecordingKind::ShowMyScreen, 0);
        }
        EventType::ScreenshotCaptured => {
            event.recording = recording(RecordingKind::ShowMyScreen, 4);
        }
        EventType::CommandShellSessionStarted => {
            event.recording = recording(RecordingKind::CommandShell, 1);
        }
        EventType::SystemInformationRetrieved => {
            event.performed_by = actor(ActorKind::System, 0, None);
            event.system_information = vec![table(n); n];
        }
        _ => {}
    }
}

fn recording(kind: RecordingKind, instance: u32) -> Option<Recording> {
    Some(Recording { kind, instance })
}

fn now() -> At {
    At::from_secs(1_475_308_800 + 4_000).unwrap()
}

fn running(n: usize) -> Session {
    fold(8, every_event(n), Moment::Now(now())).unwrap()
}

fn lapsed(n: usize) -> Session {
    fold(8, every_event(n), Moment::Silent).unwrap()
}

fn ended(n: usize) -> Session {
    let mut events = every_event(n);
    events.push(event(3_600, EventType::SessionEnd));
    fold(8, events, Moment::Silent).unwrap()
}

/// A session of which next to nothing is known.
fn bare(kind: EventType) -> Session {
    fold(9, vec![event(0, kind)], Moment::Now(now())).unwrap()
}

// ---- Retelling ----

fn sealed(session: &Session) -> Vec<u8> {
    Sealer::new(Level::Keep).seal(&parts_of(session))
}

/// Archives hold what this does not say, and are read by it. So it must stay as it is, and so must these
/// bytes, which are those of `ended(1)` when this began.
#[test]
fn what_is_retold_of_equal_bytes_is_equal_for_ever() {
    let told = format!("{:#?}\n", retell(include_bytes!("fixtures/sealed.bin")));
    expect_file!["fixtures/retold.txt"].assert_eq(&told);
}

#[test]
fn most_of_an_event_is_retold() {
    let events = &ended(2).events;
    let told = retell(&sealed(&ended(2)));
    assert_eq!(told.len(), events.len());
    for (told, event) in told.iter().zip(events) {
        assert_eq!((told.at, told.kind), (event.at, event.kind));
        assert_eq!(
            told.system_information.len(),
            event.system_information.len()
        );
        assert_eq!(told.files.len(), event.files.len());
        assert_eq!(told.survey, event.survey.clone().map(retold_survey));
    }
    let started = told[0].session.clone().unwrap();
    assert_eq!(started.custom_attributes.len(), 3);
    assert_eq!(started.jump_group, context().jump_group);
}

/// What XML cannot carry is lost.
fn retold_survey(mut survey: Box<Survey>) -> Box<Survey> {
    for question in &mut survey.questions {
        question.label = question.label.replace('\u{3}', "\u{FFFD}");
    }
    survey
}

#[test]
fn bytes_that_cannot_be_read_tell_of_nothing() {
    let whole = sealed(&ended(1));
    assert!(!retell(&whole).is_empty());
    for end in (0..whole.len()).step_by(7) {
        assert!(retell(&whole[..end]).is_empty(), "{end}");
    }
}

#[test]
fn a_long_session_is_retold_up_to_the_limit_and_not_past_it() {
    let with_text_of = |n: usize| {
        let mut line = event(1, EventType::ChatMessage);
        line.body = Some(Body::Text("x".repeat(n)));
        let events = vec![event(0, EventType::SessionStart), line];
        fold(8, events, Moment::Silent).unwrap()
    };
    let text_len = |session: &Session| Sealed::parse(&sealed(session)).unwrap().text_len();
    let n = RETOLD_BYTES_MAX - text_len(&with_text_of(0));
    for (n, n_told) in [(n, 2), (n + 1, 0)] {
        assert_eq!(retell(&sealed(&with_text_of(n))).len(), n_told);
    }
}

// ---- XML ----

/// The vendor's order of description, and where the unnamed `jump_group` stands.
const ORDER: &[(&str, &str)] = &[
    (
        "session",
        "session_type lseq start_time end_time duration public_site jumpoint external_key \
         custom_attributes session_chat_view_url session_chat_download_url \
         session_recording_view_url session_recording_download_url show_my_screen_recordings \
         command_shell_recordings file_transfer_count file_move_count file_delete_count \
         primary_customer jump_group primary_rep primary_team customer_list rep_list team_list \
         cust_survey_list rep_survey_list session_details",
    ),
    ("custom_attribute", ""),
    ("show_my_screen_recording", "download_url view_url"),
    ("command_shell_recording", "download_url view_url"),
    (
        "customer",
        "username public_ip private_ip hostname os primary_cust info",
    ),
    ("info", "name company company_code issue details"),
    (
        "representative",
        "username display_name public_display_name private_display_name display_number \
         public_ip private_ip hostname os session_owner primary_rep seconds_involved invited",
    ),
    (
        "event",
        "performed_by destination body encoded_body filename filesize system_information files \
         data",
    ),
    ("category", "description data"),
];

fn names<'a>(node: Node<'a, '_>) -> Vec<&'a str> {
    let children = node.children().filter(Node::is_element);
    children.map(|child| child.tag_name().name()).collect()
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children()
        .find(|child| child.has_tag_name((Dialect::NAMESPACE, name)))
}

fn all<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> Vec<Node<'a, 'i>> {
    let all = node.descendants();
    all.filter(|n| n.tag_name().name() == name && n.is_element())
        .collect()
}

fn text(node: Node<'_, '_>, path: &str) -> String {
    let mut node = node;
    for name in path.split('/') {
        node = child(node, name).unwrap_or_else(|| panic!("no `{name}` of `{path}`"));
    }
    node.children().filter_map(|n| n.text()).collect()
}

#[track_caller]
fn check(session: &Session, judge: impl FnOnce(Node<'_, '_>)) {
    let xml = xml(session);
    let document = Document::parse(&xml).unwrap_or_else(|error| panic!("{error}\n{xml}"));
    assert!(!xml.contains("xmlns:"), "a prefix is declared");
    let session = child(document.root_element(), "session").unwrap();
    judge(session);
}

#[track_caller]
fn check_shape(session: &Session) {
    check(session, |session| {
        for node in session.descendants().filter(Node::is_element) {
            let Some((_, order)) = ORDER
                .iter()
                .find(|(name, _)| *name == node.tag_name().name())
            else {
                continue;
            };
            let order: Vec<&str> = order.split_whitespace().collect();
            let place = |name: &&str| order.iter().position(|o| o == name);
            let places: Vec<_> = names(node).iter().map(place).collect();
            assert!(places.iter().all(Option::is_some), "{:?}", names(node));
            assert!(places.is_sorted_by(|a, b| a < b), "{:?}", names(node));
        }
        for name in "session_type lseq start_time end_time duration public_site external_key \
                     file_transfer_count file_move_count file_delete_count primary_customer \
                     customer_list rep_list team_list session_details"
            .split_whitespace()
        {
            assert!(child(session, name).is_some(), "{name}");
        }
        assert_ne!(child(session, "public_site").unwrap().attribute("id"), None);
        for customer in all(session, "customer") {
            assert_eq!(names(child(customer, "info").unwrap()).len(), 5);
        }
        check_reps_are_found(session);
    });
    let first = xml(session);
    assert_eq!(again(&first), first);
}

#[track_caller]
fn check_reps_are_found(session: Node<'_, '_>) {
    let reps = child(session, "rep_list").unwrap();
    for actor in all(session, "performed_by")
        .into_iter()
        .chain(all(session, "destination"))
    {
        if actor.attribute("type") == Some("representative") {
            let mut reps = reps.children();
            let found = reps.any(|rep| rep.attribute("gsnumber") == actor.attribute("gsnumber"));
            assert!(found, "{:?}", actor.attribute("gsnumber"));
        }
    }
}

#[test]
fn every_state_and_size_of_session_has_the_vendors_shape_and_is_read_again_alike() {
    for n in [0, 1, 3] {
        for session in [running(n), lapsed(n), ended(n)] {
            check_shape(&session);
        }
    }
}

#[test]
fn one_event_of_any_type_is_a_session_of_the_vendors_shape() {
    for kind in EventType::ALL {
        check_shape(&bare(*kind));
        check(&bare(*kind), |session| {
            let events = all(session, "event");
            assert_eq!(events.len(), 1);
            assert_eq!(events[0].attribute("event_type"), Some(kind.name()));
            assert_eq!(events[0].attribute("timestamp"), Some("1475308800"));
        });
    }
}

#[test]
fn every_type_of_event_is_there_in_order_of_time() {
    check(&ended(3), |session| {
        let events = all(session, "event");
        let types: Vec<_> = events
            .iter()
            .filter_map(|e| e.attribute("event_type"))
            .collect();
        for kind in EventType::ALL {
            assert!(types.contains(&kind.name()), "{}", kind.name());
        }
        let times = events
            .iter()
            .map(|e| e.attribute("timestamp").unwrap().parse::<i64>().unwrap());
        assert!(times.is_sorted());
        assert_eq!(types.last(), Some(&"Session End"));
    });
}

#[test]
fn a_session_of_which_nothing_is_known_has_a_nameless_customer_and_no_one_else() {
    check(&bare(EventType::SessionStart), |session| {
        assert_eq!(
            names(session).join(" "),
            "session_type lseq start_time end_time duration public_site external_key \
             file_transfer_count file_move_count file_delete_count primary_customer \
             customer_list rep_list team_list session_details"
        );
        let customer = child(child(session, "customer_list").unwrap(), "customer").unwrap();
        assert_eq!(text(customer, "username"), "");
        assert!(child(customer, "info").is_some());
        for list in ["rep_list", "team_list"] {
            assert_eq!(names(child(session, list).unwrap()), Vec::<&str>::new());
        }
        assert_eq!(
            child(session, "public_site").unwrap().attribute("id"),
            Some("1")
        );
    });
}

#[test]
fn an_end_surveys_and_links_are_there_once_the_session_has_ended_and_not_before() {
    let only_then = [
        "session_chat_view_url",
        "session_chat_download_url",
        "session_recording_view_url",
        "session_recording_download_url",
        "show_my_screen_recordings",
        "command_shell_recordings",
        "cust_survey_list",
        "rep_survey_list",
    ];
    for session in [running(3), lapsed(3)] {
        check(&session, |session| {
            assert_eq!(text(session, "end_time"), "");
            assert_eq!(child(session, "end_time").unwrap().attributes().count(), 0);
            assert_eq!(only_then.map(|name| child(session, name)), [None; 8]);
        });
    }
    check(&ended(3), |session| {
        assert_eq!(text(session, "end_time"), "2016-10-01T09:00:00+00:00");
        let end = child(session, "end_time").unwrap();
        assert_eq!(end.attribute("timestamp"), Some("1475312400"));
        assert_eq!(text(session, "duration"), "01:00:00");
        assert!(only_then.iter().all(|name| child(session, name).is_some()));
        for (kind, instances) in [
            ("show_my_screen_recording", vec!["0", "4"]),
            ("command_shell_recording", vec!["1"]),
        ] {
            let recordings = all(session, kind);
            let found: Vec<_> = recordings
                .iter()
                .filter_map(|r| r.attribute("instance"))
                .collect();
            assert_eq!(found, instances);
        }
        for node in session
            .descendants()
            .filter(|n| n.tag_name().name().ends_with("_url"))
        {
            let address = node.text().unwrap();
            assert!(address.starts_with("https://debrief.example/session_download?lsid="));
            let is_view = node.tag_name().name().ends_with("view_url");
            assert_eq!(address.ends_with("&view=1"), is_view, "{address}");
        }
    });
}

#[test]
fn an_account_that_may_not_see_recordings_sees_the_same_but_their_links() {
    let session = ended(3);
    let denied = answer_with(
        &[parts_of(&session)],
        Format::Xml,
        &links(RecordingsView::Denied),
    );
    let parsed = Document::parse(&denied).unwrap();
    let found = names(child(parsed.root_element(), "session").unwrap());
    check(&session, |session| {
        let mut expected = names(session);
        expected.retain(|name| !name.contains("recording"));
        assert_eq!(found, expected);
        assert!(found.contains(&"session_chat_view_url"));
    });
}

#[test]
fn what_xml_cannot_carry_is_encoded_in_bodies_and_replaced_and_counted_elsewhere() {
    let session = ended(1);
    check(&session, |session| {
        let of_type = |kind: EventType| {
            let events = all(session, "event");
            events
                .into_iter()
                .find(|e| e.attribute("event_type") == Some(kind.name()))
                .unwrap()
        };
        let decoded = |kind| {
            let event = of_type(kind);
            assert!(child(event, "body").is_none());
            let lines = text(event, "encoded_body");
            assert!(lines.lines().all(|line| line.len() <= 76), "{lines}");
            let joined: String = lines.split_whitespace().collect();
            base64::engine::general_purpose::STANDARD
                .decode(joined)
                .unwrap()
        };
        let chat = "Hello\u{0}\u{1B}[1m wörld 😀\r\n";
        assert_eq!(decoded(EventType::ChatMessage), chat.as_bytes());
        assert_eq!(decoded(EventType::LegalAgreementResponse), vec![0xFF; 200]);
        let note = of_type(EventType::SessionNoteAdded);
        assert_eq!(text(note, "body"), "a < b\r\n& c ]]>");
        assert!(child(note, "encoded_body").is_none());
        assert_eq!(
            text(of_type(EventType::ServiceAccessAllowed), "body"),
            "text"
        );
        assert_eq!(
            text(of_type(EventType::FileMoved), "filename"),
            "a\u{FFFD}b"
        );
        let details = "customer_list/customer/info/details";
        assert_eq!(text(session, details), "It \u{FFFD} broke\r\n]]>");
        assert_eq!(text(session, "jumpoint"), "Basel \u{FFFD} West");
    });
    let n_shown = xml(&session).matches('\u{FFFD}').count() as u64;
    assert_eq!(parts_of(&session).n_replaced, n_shown);
    assert_eq!(parts_of(&bare(EventType::SessionStart)).n_replaced, 0);
}

#[test]
fn the_header_tells_what_the_events_told() {
    check(&ended(3), |session| {
        assert_eq!(
            session.attribute("lsid"),
            Some("c69a8e10bea9428f816cfababe9815fe")
        );
        assert_eq!(text(session, "session_type"), "support");
        assert_eq!(text(session, "lseq"), "8");
        assert_eq!(text(session, "start_time"), "2016-10-01T08:00:00+00:00");
        assert_eq!(text(session, "public_site"), "Help & Care");
        assert_eq!(text(session, "external_key"), "T-1 <&>\"'");
        assert_eq!(text(session, "jump_group"), "Shops");
        // Three files uploaded, one downloaded.
        assert_eq!(text(session, "file_transfer_count"), "4");
        assert_eq!(text(session, "file_move_count"), "1");
        assert_eq!(text(session, "file_delete_count"), "1");
        assert_eq!(text(session, "primary_rep"), "Private 21");
        let primary = child(session, "primary_rep").unwrap();
        assert_eq!(primary.attribute("gsnumber"), Some("21"));
        assert_eq!(primary.attribute("id"), Some("r21"));
        assert_eq!(
            text(session, "primary_team"),
            "Second <level>, as it is called now"
        );
        let teams: Vec<_> = all(session, "team")
            .iter()
            .map(|team| {
                (
                    team.attribute("id"),
                    team.attribute("primary_team"),
                    team.text(),
                )
            })
            .collect();
        let now = Some("Second <level>, as it is called now");
        let expected = [
            (Some("1"), Some("0"), Some("First")),
            (Some("2"), Some("1"), now),
        ];
        assert_eq!(teams, expected);
        let customer = "customer_list/customer";
        assert_eq!(
            text(session, &format!("{customer}/public_ip")),
            "[2001:db8::1]:4000"
        );
        assert_eq!(text(session, &format!("{customer}/os")), "Unknown");
        assert_eq!(text(session, &format!("{customer}/primary_cust")), "1");
        let attributes: Vec<_> = all(session, "custom_attribute")
            .iter()
            .map(|a| {
                (
                    a.attribute("display_name"),
                    a.attribute("code_name"),
                    a.text(),
                )
            })
            .collect();
        let expected = [
            (Some("Floor"), Some("floor"), Some("3")),
            (Some("asset_tag"), Some("asset_tag"), Some("  ")),
            (Some("Colour \"x\"\n"), Some("colour"), None),
        ];
        assert_eq!(attributes, expected);
    });
}

#[test]
fn representatives_stand_in_order_of_joining_then_those_only_mentioned() {
    check(&ended(3), |session| {
        let reps = all(session, "representative");
        let shown: Vec<String> = reps
            .iter()
            .map(|rep| {
                let invited = child(*rep, "invited").map(|_| text(*rep, "invited"));
                format!(
                    "{} {} owner {} primary {} {} invited {}",
                    rep.attribute("gsnumber").unwrap(),
                    text(*rep, "display_name"),
                    text(*rep, "session_owner"),
                    text(*rep, "primary_rep"),
                    text(*rep, "private_ip"),
                    invited.as_deref().unwrap_or("-")
                )
            })
            .collect();
        let expected = [
            "21 Private 21 owner 1 primary 1 Unknown invited -",
            "30 Private 30 owner 0 primary 0 Unknown invited 1",
            "31 Private 31 owner 0 primary 0 Unknown invited 1",
            "32 Private 32 owner 0 primary 0 Unknown invited 1",
            "99 Never joined owner 0 primary 0 Unknown invited -",
        ];
        assert_eq!(shown, expected);
    });
}

// ---- Any events in any order ----

fn any_events(tape: &mut Tape) -> Vec<Event> {
    let n_events = tape.pick(12) + 1;
    let mut events = Vec::new();
    for idx in 0..n_events {
        let mut event = event(tape.pick(5_000) as i64, tape.of(EventType::ALL));
        event.id = EventId::parse(&format!("e{idx}")).unwrap();
        let n = tape.pick(4);
        dress(&mut event, n);
        let party = |tape: &mut Tape| {
            let kind = tape.of(&ActorKind::ALL);
            let name = tape.of(&[None, Some(""), Some("N <\u{1}>")]);
            let some = actor(kind, tape.pick(4) as u32, name);
            tape.of(&[true, false]).then_some(some).flatten()
        };
        event.performed_by = party(tape).or(event.performed_by);
        event.destination = party(tape).or(event.destination);
        if tape.pick(3) == 2 {
            event.session = Some(Box::new(context()));
        }
        if tape.pick(3) == 2 {
            let invitation = tape.of(&[Invitation::Regular, Invitation::Invited]);
            event.representative = Some(Box::new(joined(tape.pick(4) as u32, invitation)));
        }
        if tape.pick(4) == 3 {
            event.customer = Some(Box::new(customer(tape.pick(3) as u32)));
        }
        if tape.pick(4) == 3 {
            let kind = tape.of(&RecordingKind::ALL);
            event.recording = recording(kind, tape.pick(3) as u32);
        }
        events.push(event);
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn any_events_make_a_session_of_the_vendors_shape(mut tape in Tape::shorter_than(250)) {
        let moment = tape.of(&[Moment::Silent, Moment::Now(now())]);
        let session = fold(1, any_events(&mut tape), moment).unwrap();
        check_shape(&session);
        check(&session, |xml| {
            let has = |name| child(xml, name).is_some();
            check_equal(has("primary_rep"), session.primary_rep().is_some());
            check_equal(has("primary_team"), !session.teams.is_empty());
            check_equal(has("session_chat_view_url"), session.end().is_some());
            check_equal(has("cust_survey_list"), !session.customer_surveys.is_empty());
            check_equal(has("rep_survey_list"), !session.rep_surveys.is_empty());
            check_equal(has("custom_attributes"), !session.custom_attributes.is_empty());
        });
        let json = json(&[&session]);
        prop_assert_eq!(json["sessions"][0]["session_details"].as_array().unwrap().len(), session.events.len());
        check_rows(&[&session]);
    }
}

#[track_caller]
fn check_equal(found: bool, expected: bool) {
    assert_eq!(found, expected);
}

#[test]
fn fixed_tapes_make_every_state_and_every_optional_element() {
    let mut found = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let mut tape = Tape::fixed(seed, 400);
        let session = fold(1, any_events(&mut tape), Moment::Silent).unwrap();
        let xml = xml(&session);
        let parsed = Document::parse(&xml).unwrap();
        found.extend(
            parsed
                .descendants()
                .map(|n| n.tag_name().name().to_string()),
        );
    }
    for (_, order) in ORDER {
        for name in order.split_whitespace() {
            assert!(found.contains(name), "{name}");
        }
    }
}

// ---- JSON and CSV ----

/// Members that are lists, where they are at all.
const LISTS: &[&str] = &[
    "sessions",
    "custom_attributes",
    "show_my_screen_recordings",
    "command_shell_recordings",
    "customer_list",
    "rep_list",
    "team_list",
    "cust_survey_list",
    "rep_survey_list",
    "question_list",
    "answer_list",
    "session_details",
    "files",
    "system_information",
    "description",
    "data",
];

#[track_caller]
fn check_lists(value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if LISTS.contains(&&**name) {
                    assert!(member.is_array(), "{name}: {member}");
                    found.insert(name.clone());
                }
                check_lists(member, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| check_lists(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn lists_are_lists_with_one_item_and_with_three() {
    for n in [1, 3] {
        let mut found = std::collections::BTreeSet::new();
        let json = json(&[&ended(n)]);
        check_lists(&json, &mut found);
        assert_eq!(found.len(), LISTS.len(), "{found:?}");
        let session = &json["sessions"][0];
        assert_eq!(session["rep_list"].as_array().unwrap().len(), n + 2);
        let questions = &session["cust_survey_list"][0]["question_list"];
        assert_eq!(questions.as_array().unwrap().len(), n);
        assert_eq!(questions[0]["answer_list"], json!(["5"]));
    }
    assert_eq!(json(&[])["sessions"], json!([]));
    let three = [&ended(1), &running(1), &lapsed(1)];
    assert_eq!(json(&three)["sessions"].as_array().unwrap().len(), 3);
}

#[test]
fn numbers_flags_and_times_have_their_types() {
    let whole = json(&[&ended(1), &running(1)]);
    let session = &whole["sessions"][0];
    let expected = json!({
        "lsid": "c69a8e10bea9428f816cfababe9815fe",
        "session_type": "support",
        "lseq": 8,
        "start_time": "2016-10-01T08:00:00+00:00",
        "start_timestamp": 1_475_308_800,
        "end_time": "2016-10-01T09:00:00+00:00",
        "end_timestamp": 1_475_312_400,
        "duration": "01:00:00",
        "public_site": {"id": "3", "name": "Help & Care"},
        "jump_group": {"type": "shared", "id": "5", "name": "Shops"},
        "external_key": "T-1 <&>\"'",
        "file_transfer_count": 2,
        "file_move_count": 1,
        "file_delete_count": 1,
        "primary_customer": {"gsnumber": 22, "name": "Zoë 😀"},
        "primary_rep": {"gsnumber": 21, "id": "r21", "name": "Private 21"},
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&session[name], value, "{name}");
    }
    let rep = &session["rep_list"][0];
    assert_eq!(rep["gsnumber"], json!(21));
    assert_eq!(rep["id"], json!("r21"));
    assert_eq!(rep["session_owner"], json!(true));
    assert_eq!(rep["primary_rep"], json!(true));
    assert!(rep["seconds_involved"].is_u64(), "{rep}");
    assert_eq!(rep.get("invited"), None);
    assert_eq!(session["rep_list"][1]["invited"], json!(true));
    assert_eq!(session["rep_list"][1]["primary_rep"], json!(false));
    assert_eq!(session["customer_list"][0]["primary_cust"], json!(true));
    assert_eq!(session["customer_list"][0]["info"]["issue"], json!("12"));
    assert_eq!(session["team_list"][1]["primary_team"], json!(true));
    assert_eq!(
        session["show_my_screen_recordings"][1]["instance"],
        json!(4)
    );
    let details = session["session_details"].as_array().unwrap();
    let of_type = |kind: EventType| {
        details
            .iter()
            .find(|event| event["event_type"] == kind.name())
            .unwrap()
    };
    let download = of_type(EventType::FileDownload);
    assert_eq!(download["filesize"], json!(4_294_967_296_u64));
    assert_eq!(download["timestamp"].as_i64(), Some(1_475_308_816));
    assert_eq!(
        download["performed_by"],
        json!({"type": "representative", "gsnumber": 21, "name": "Private 21"})
    );
    assert_eq!(
        download["data"][0],
        json!({"name": "n0", "value": "v <&>\"'\t\n"})
    );
    let table = &of_type(EventType::SystemInformationRetrieved)["system_information"][0];
    assert_eq!(table["name"], json!("Drives"));
    assert_eq!(table["description"][0]["name"], json!("Drive"));
    assert_eq!(table["data"], json!([["C:\\", "Local \u{FFFD}Disk"]]));
    let running = &whole["sessions"][1];
    assert_eq!(
        (&running["end_time"], &running["end_timestamp"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn each_line_is_one_session_and_equals_its_object_in_the_list() {
    let (a, b, c) = (ended(3), running(0), bare(EventType::ChatMessage));
    let lines = write_as(&[&a, &b, &c], Format::Ndjson);
    assert!(lines.ends_with('\n'));
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(json(&[&a, &b, &c])["sessions"], Value::Array(lines));
    assert_eq!(write_as(&[], Format::Ndjson), "");
}

#[test]
fn unknown_elements_are_carried_into_json() {
    let document = "<session_list xmlns:f='urn:f'><session lsid='a'><start_time timestamp='5'/>\
        <rep_join_time>then</rep_join_time>\
        <extra a='1'>t<inner/><inner>x</inner></extra>\
        <f:own><f:deep>y</f:deep></f:own>\
        <rep_list><representative gsnumber='1'><mood>good</mood></representative></rep_list>\
        <rep_list></rep_list><rep_list><representative gsnumber='2'/></rep_list>\
        <session_details><event><files><file>a.txt</file></files></event></session_details>\
        </session></session_list>";
    let mut reader = SessionReader::new(document.as_bytes(), Dialect::NAMESPACE);
    let parts = reader.next_session().unwrap().unwrap().parts;
    let json = answer_with(&[parts], Format::Json, &links(RecordingsView::Allowed));
    let json: Value = serde_json::from_str(&json).unwrap();
    let expected = json!({"sessions": [{
        "lsid": "a",
        "start_time": null,
        "start_timestamp": 5,
        "rep_join_time": "then",
        "extra": {"@a": "1", "#text": "t", "inner": ["", "x"]},
        "own": {"deep": "y"},
        "rep_list": [{"gsnumber": 1, "mood": "good"}, {"gsnumber": 2}],
        "session_details": [{"files": [{"#text": "a.txt"}]}],
    }]});
    assert_eq!(json, expected);
}

/// Reads the rows again and gives them by heading.
#[track_caller]
fn check_rows(sessions: &[&Session]) -> Vec<std::collections::BTreeMap<String, String>> {
    let text = write_as(sessions, Format::Csv);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let headings = reader.headers().unwrap().clone();
    let expected: Vec<&str> = COLUMNS.iter().map(|column| column.heading).collect();
    assert_eq!(headings.iter().collect::<Vec<&str>>(), expected);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), sessions.len());
    assert!(rows.iter().all(|row| row.len() == COLUMNS.len()));
    let by_heading = |row: &csv::StringRecord| {
        let cells = headings.iter().zip(row.iter());
        cells
            .map(|(h, cell)| (h.to_string(), cell.to_string()))
            .collect()
    };
    rows.iter().map(by_heading).collect()
}

#[test]
fn each_session_is_one_row_with_as_many_cells_as_columns() {
    check_rows(&[]);
    let rows = check_rows(&[&ended(3), &running(1), &bare(EventType::ChatMessage)]);
    let row = |n: usize, heading: &str| rows[n][heading].clone();
    assert_eq!(row(0, "Session Sequence Number"), "8");
    assert_eq!(row(0, "Ended"), "2016-10-01T09:00:00+00:00");
    assert_eq!(row(1, "Ended"), "");
    assert_eq!(row(0, "Customer's Company"), "'=1+1");
    assert_eq!(row(0, "Representative"), "Private 21");
    assert_eq!(row(0, "Representative's Username"), "user21");
    assert_eq!(
        row(0, "Additional Representatives"),
        "Private 30; Private 31; Private 32; Never joined"
    );
    assert_eq!(row(0, "# Files Transferred"), "4");
    assert_eq!(row(2, "Representative"), "");
    assert_eq!(row(2, "Additional Representatives"), "");
}
