//! The vendor's command API: who may command, what is refused, and each answer as a whole.

use axum::body::Body;
use axum::http::{Request, header};
use debrief_domain::{
    CodeName, CustomAttribute, CustomField, Directory, EventType, Issue, RepId, Representative,
    SessionContext, Team, TeamId,
};
use debrief_store::Store;
use debrief_store::faulty::{Fate, Plan};
use expect_test::{Expect, expect};

use crate::world::{FORM, Login, NOW, Reply, Story, World, all, at, from, only};

/// The status and the body.
#[track_caller]
fn check(reply: &Reply, expect: Expect) {
    if reply.status == 200 {
        assert_eq!(reply.header("content-type"), "text/xml; charset=utf-8");
    }
    expect.assert_eq(&format!("{}\n{}", reply.status, reply.text()));
}

fn get(token: &str, query: &str) -> Request<Body> {
    Request::get(format!("/api/command?{query}"))
        .header(header::HOST, "debrief.example:8080")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap()
}

/// A world with an account that may give every command.
struct Desk {
    world: World,
    token: String,
}

impl Desk {
    async fn new() -> Desk {
        Desk::with(&[]).await
    }

    async fn with(keys: &[(&str, &str)]) -> Desk {
        let world = World::with(keys).await;
        let token = token(&world, "desk", "command=full_access").await;
        Desk { world, token }
    }

    async fn ask(&self, query: &str) -> Reply {
        self.world.send(get(&self.token, query)).await
    }

    /// The report of one session.
    async fn report(&self, lsid: &str) -> String {
        let reply = self.world.ask(&format!("lsid={lsid}")).await;
        assert_eq!(reply.lsids(), [lsid]);
        reply.text().into()
    }
}

async fn token(world: &World, name: &str, allow: &str) -> String {
    let login: Login = world.login(name, allow, &[]).await;
    world.token(&login).await
}

/// Three representatives, two teams, two custom fields.
fn directory() -> Directory {
    let mut directory = Directory::default();
    for (id, name) in [("7", "Ada"), ("8", "Bob & Co"), ("9", "Cid")] {
        let rep = Representative {
            username: name.to_lowercase(),
            public_display_name: format!("{name} P."),
            private_display_name: format!("{name} private"),
            display_number: id.into(),
        };
        let id = RepId::parse(id).unwrap();
        directory.representatives.insert(id, rep);
    }
    let issue = |id: &str, title: &str| Issue {
        id: id.into(),
        title: title.into(),
    };
    let teams = [
        (
            "1",
            "Helpdesk",
            vec!["7", "8"],
            vec![issue("3", "Printer"), issue("4", "A < B")],
        ),
        ("2", "Field", vec!["8"], Vec::new()),
    ];
    for (id, name, members, issues) in teams {
        let team = Team {
            name: name.into(),
            members: members.iter().map(|id| RepId::parse(id).unwrap()).collect(),
            issues,
        };
        directory.teams.insert(TeamId::parse(id).unwrap(), team);
    }
    for (code_name, display_name) in [("kind", "Kind of ticket"), ("room", "Room")] {
        let field = CustomField {
            display_name: display_name.into(),
        };
        let code_name = CodeName::parse(code_name).unwrap();
        directory.custom_fields.insert(code_name, field);
    }
    directory
}

const ACTIONS: [&str; 6] = [
    "action=get_logged_in_reps",
    "action=get_support_teams",
    "action=get_session_attributes&lsid=a",
    "action=set_session_attributes&lsid=a&session.custom.external_key=T-1",
    "action=get_api_info",
    "action=check_health",
];

// ---- Who may ----

#[tokio::test]
async fn without_a_token_nothing_is_told() {
    let world = World::new().await;
    for query in ACTIONS {
        let request = Request::get(format!("/api/command?{query}"));
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, 401, "{query}");
        let challenge = reply.header("www-authenticate");
        assert_eq!(challenge, "Bearer realm=\"debrief\"");
    }
    check(
        &world.send(get("wrong", ACTIONS[0])).await,
        expect![[r#"
        401
        <?xml version="1.0" encoding="UTF-8"?>
        <logged_in_reps xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><error>The bearer token is not valid, or no longer.</error></logged_in_reps>
    "#]],
    );
    check(
        &world.send(get("wrong", ACTIONS[3])).await,
        expect![[r#"
        401
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/command">The bearer token is not valid, or no longer.</error>
    "#]],
    );
    check(
        &world.send(get("wrong", "action=reboot")).await,
        expect![[r#"
            401
            <?xml version="1.0" encoding="UTF-8"?>
            <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/command">The bearer token is not valid, or no longer.</error>
        "#]],
    );
}

#[tokio::test]
async fn an_account_that_may_not_command_is_told_so() {
    let world = World::new().await;
    let denied = token(&world, "denied", "reporting,recordings,ingest,admin").await;
    for query in ACTIONS.into_iter().chain(["action=reboot", ""]) {
        let reply = world.send(get(&denied, query)).await;
        assert_eq!(reply.status, 403, "{query}");
    }
    check(
        &world.send(get(&denied, ACTIONS[0])).await,
        expect![[r#"
        403
        <?xml version="1.0" encoding="UTF-8"?>
        <logged_in_reps xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><error>The API account lacks the permission `command`.</error></logged_in_reps>
    "#]],
    );
    let refused = world.accesses().await.pop().unwrap();
    assert_eq!(
        (refused.who.as_str(), &*refused.action),
        ("denied", "refused")
    );
}

#[tokio::test]
async fn read_only_is_everything_but_setting_attributes() {
    let world = World::new().await;
    world.append(Story::new("a", NOW - 60).events).await;
    let token = token(&world, "looker", "command=read_only").await;
    for query in ACTIONS {
        let reply = world.send(get(&token, query)).await;
        let expected = if query.contains("set_session") && !query.contains("get_session") {
            403
        } else {
            200
        };
        assert_eq!(reply.status, expected, "{query}");
        assert_eq!(reply.text().contains("<error"), expected == 403, "{query}");
    }
    check(
        &world.send(get(&token, ACTIONS[3])).await,
        expect![[r#"
        403
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/command">The API account lacks the permission `command=full_access`.</error>
    "#]],
    );
    let report = world.ask("lsid=a").await;
    assert_eq!(only(report.text(), "external_key"), "");
}

#[tokio::test]
async fn an_account_is_not_used_from_another_network() {
    let world = World::new().await;
    let login = world
        .login("home", "command=full_access", &["203.0.113.0/24"])
        .await;
    let token = world.token(&login).await;
    assert_eq!(world.send(get(&token, ACTIONS[4])).await.status, 200);
    let away = from("198.51.100.1:9", get(&token, ACTIONS[4]));
    check(
        &world.send(away).await,
        expect![[r#"
        403
        <?xml version="1.0" encoding="UTF-8"?>
        <api_information xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><error>The API account may not be used from this network.</error></api_information>
    "#]],
    );
}

#[tokio::test]
async fn one_request_too_many_is_told_when_to_come_again() {
    let desk = Desk::with(&[("requests_per_second", "2")]).await;
    // The token was the first.
    assert_eq!(desk.ask(ACTIONS[4]).await.status, 200);
    let reply = desk.ask(ACTIONS[4]).await;
    assert_eq!(reply.status, 429);
    assert_ne!(reply.header("retry-after"), "");
    assert!(
        reply.text().contains("<api_information"),
        "{}",
        reply.text()
    );
}

// ---- What is refused ----

#[tokio::test]
async fn an_unknown_action_is_told_the_known_ones() {
    let desk = Desk::new().await;
    check(
        &desk.ask("action=terminate_session&lsid=a").await,
        expect![[r#"
            200
            <?xml version="1.0" encoding="UTF-8"?>
            <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/command">action: `terminate_session` is no known action; known actions: get_logged_in_reps, get_support_teams, get_session_attributes, set_session_attributes, get_api_info, check_health</error>
        "#]],
    );
    check(
        &desk.ask("").await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/command">action: is required; known actions: get_logged_in_reps, get_support_teams, get_session_attributes, set_session_attributes, get_api_info, check_health</error>
    "#]],
    );
    let reply = desk
        .world
        .send(
            Request::delete("/api/command")
                .header(header::AUTHORIZATION, format!("Bearer {}", desk.token))
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    check(
        &reply,
        expect![[r#"
        405
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/command">This path does not know this method.</error>
    "#]],
    );
}

#[tokio::test]
async fn every_fault_is_named_at_once_in_either_dialect() {
    let faulty = "action=set_session_attributes&lsid=&session.custom.kind=1\
                  &session.custom.kind=2&session.custom.nose=x&session.custom.ear=y";
    let unread = "action=get_session_attributes";
    let desk = Desk::new().await;
    desk.world.store.put_directory(directory()).await.unwrap();
    check(
        &desk.ask(faulty).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/command">lsid: must not be empty; session.custom.kind: is given twice with different values; session.custom.nose: no custom field has this code name; session.custom.ear: no custom field has this code name</error>
    "#]],
    );
    check(
        &desk.ask(unread).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <custom_attributes xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><error>lsid: is required</error></custom_attributes>
    "#]],
    );
    let desk = Desk::with(&[("dialect", "appliance"), ("command_namespace", "urn:c")]).await;
    desk.world.store.put_directory(directory()).await.unwrap();
    check(
        &desk.ask(faulty).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="urn:c">lsid: must not be empty; session.custom.kind: is given twice with different values; session.custom.nose: no custom field has this code name; session.custom.ear: no custom field has this code name</error>
    "#]],
    );
    check(
        &desk.ask(unread).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="urn:c">lsid: is required</error>
    "#]],
    );
    check(
        &desk.ask("action=reboot").await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="urn:c">action: `reboot` is no known action; known actions: get_logged_in_reps, get_support_teams, get_session_attributes, set_session_attributes, get_api_info, check_health</error>
    "#]],
    );
    check(
        &desk.world.send(get("wrong", unread)).await,
        expect![[r#"
        401
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="urn:c">The bearer token is not valid, or no longer.</error>
    "#]],
    );
}

#[tokio::test]
async fn attributes_are_those_of_a_session_that_goes_on() {
    let desk = Desk::new().await;
    let world = &desk.world;
    world.append(Story::new("open", NOW - 60).events).await;
    world
        .append(Story::new("over", NOW - 60).end(NOW - 5).events)
        .await;
    world
        .append(Story::new("sealed", NOW - 60).end(NOW - 5).events)
        .await;
    world.append(Story::new("silent", NOW - 60).events).await;
    world.seal().await;
    world
        .append(Story::new("ended", NOW - 60).end(NOW - 5).events)
        .await;
    let open = desk
        .report("open")
        .await
        .replace("\"open\"", "\"imported\"");
    world.import(&open);
    assert_eq!(world.store.lapse(at(NOW + 1), 9).await.unwrap(), 2);
    // Both lapsed; one of them is heard of again.
    let mut story = Story::new("open", NOW);
    story.happens(NOW, EventType::ChatMessage, |_| {});
    world.append(story.events.split_off(1)).await;

    for lsid in ["over", "sealed", "silent", "ended", "imported", "nosuch"] {
        let told = if lsid == "nosuch" {
            "lsid: there is no session `nosuch`".to_owned()
        } else {
            format!("lsid: the session `{lsid}` is not active: it is over, or was imported")
        };
        for action in ["get", "set"] {
            let query = format!(
                "action={action}_session_attributes&lsid={lsid}&session.custom.external_key=T"
            );
            let reply = desk.ask(&query).await;
            assert_eq!(reply.status, 200);
            assert!(reply.text().contains(&told), "{query}: {}", reply.text());
        }
    }
    // Nothing was made or changed by it.
    let every = world.ask("start_time=0&duration=0").await;
    assert_eq!(every.lsids().len(), 6);
    assert!(!every.text().contains("External Key"));
    assert_eq!(
        desk.ask("action=get_session_attributes&lsid=open")
            .await
            .status,
        200
    );
    check(
        &desk.ask("action=get_session_attributes&lsid=nosuch").await,
        expect![[r#"
            200
            <?xml version="1.0" encoding="UTF-8"?>
            <custom_attributes xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><error>lsid: there is no session `nosuch`</error></custom_attributes>
        "#]],
    );
    check(
        &desk
            .ask("action=set_session_attributes&lsid=over&session.custom.external_key=T")
            .await,
        expect![[r#"
            200
            <?xml version="1.0" encoding="UTF-8"?>
            <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/command">lsid: the session `over` is not active: it is over, or was imported</error>
        "#]],
    );
}

// ---- The answers ----

#[tokio::test]
async fn who_is_logged_in_is_told_until_it_is_over() {
    let desk = Desk::new().await;
    let world = &desk.world;
    check(
        &desk.ask(ACTIONS[0]).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <logged_in_reps xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"></logged_in_reps>
    "#]],
    );
    world.store.put_directory(directory()).await.unwrap();
    for (rep, since, expires) in [
        ("9", NOW - 90, NOW),
        ("8", NOW - 60, NOW + 60),
        ("7", NOW - 30, NOW + 1),
        ("404", NOW, NOW + 1),
    ] {
        let rep = RepId::parse(rep).unwrap();
        world
            .store
            .set_presence(rep, at(since), at(expires))
            .await
            .unwrap();
    }
    world
        .append(Story::new("a", NOW - 60).owner("8").events)
        .await;
    world
        .append(Story::new("b", NOW - 60).owner("7").owner("8").events)
        .await;
    world
        .append(Story::new("c", NOW - 60).owner("8").end(NOW - 1).events)
        .await;
    world
        .append(Story::new("d", NOW - 60).member("7").events)
        .await;
    check(
        &desk.ask(ACTIONS[0]).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <logged_in_reps xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><rep id="404"><display_name>404</display_name><public_display_name>404</public_display_name><private_display_name>404</private_display_name><type>Normal</type><direct_link></direct_link><logged_in_since ts="1479211200">2016-11-15T12:00:00+00:00</logged_in_since><presentation_count>0</presentation_count><support_session_count>0</support_session_count><showing_on_rep_list>1</showing_on_rep_list></rep><rep id="7"><display_name>Ada P.</display_name><public_display_name>Ada P.</public_display_name><private_display_name>Ada private</private_display_name><type>Normal</type><direct_link></direct_link><logged_in_since ts="1479211170">2016-11-15T11:59:30+00:00</logged_in_since><presentation_count>0</presentation_count><support_session_count>1</support_session_count><showing_on_rep_list>1</showing_on_rep_list></rep><rep id="8"><display_name>Bob &amp; Co P.</display_name><public_display_name>Bob &amp; Co P.</public_display_name><private_display_name>Bob &amp; Co private</private_display_name><type>Normal</type><direct_link></direct_link><logged_in_since ts="1479211140">2016-11-15T11:59:00+00:00</logged_in_since><presentation_count>0</presentation_count><support_session_count>2</support_session_count><showing_on_rep_list>1</showing_on_rep_list></rep></logged_in_reps>
    "#]],
    );
    world.clock.set(at(NOW + 1));
    let reply = desk.ask(ACTIONS[0]).await;
    assert_eq!(reply.text().matches("<rep ").count(), 1);
    assert!(reply.text().contains("<rep id=\"8\">"));
    world.clock.set(at(NOW + 60));
    assert!(!desk.ask(ACTIONS[0]).await.text().contains("<rep "));
}

#[tokio::test]
async fn teams_are_told_with_their_issues_and_their_members_if_asked_for() {
    let desk = Desk::new().await;
    check(
        &desk.ask(ACTIONS[1]).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <support_teams xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"></support_teams>
    "#]],
    );
    desk.world.store.put_directory(directory()).await.unwrap();
    check(
        &desk.ask(ACTIONS[1]).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <support_teams xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><support_team id="1"><name>Helpdesk</name><issues><issue id="3">Printer</issue><issue id="4">A &lt; B</issue></issues></support_team><support_team id="2"><name>Field</name><issues></issues></support_team></support_teams>
    "#]],
    );
    let with = desk.ask("action=get_support_teams&showmembers=1").await;
    check(
        &with,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <support_teams xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><support_team id="1"><name>Helpdesk</name><issues><issue id="3">Printer</issue><issue id="4">A &lt; B</issue></issues><members><representative id="7"></representative><representative id="8"></representative></members></support_team><support_team id="2"><name>Field</name><issues></issues><members><representative id="8"></representative></members></support_team></support_teams>
    "#]],
    );
    let bare = desk.ask("action=get_support_teams&showmembers").await;
    assert_eq!(bare.text(), with.text());
    let without = desk.ask("action=get_support_teams&showmembers=0").await;
    assert!(!without.text().contains("members"));
}

#[tokio::test]
async fn an_account_is_told_what_it_may_do() {
    let desk = Desk::new().await;
    check(
        &desk.ask(ACTIONS[4]).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <api_information xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><api_version>1.22.2</api_version><company_name>Debrief</company_name><timestamp>1479211200</timestamp><permissions><permission name="perm_command">full_access</permission><permission name="perm_reporting_support">0</permission><permission name="perm_reporting_presentation">0</permission><permission name="perm_reporting_license">0</permission><permission name="perm_reporting_archive">0</permission><permission name="perm_real_time_state">0</permission><permission name="perm_ecm">0</permission><permission name="perm_backup">0</permission><permission name="perm_scim">0</permission><permission name="perm_configuration">0</permission><permission name="perm_configuration_vault_account">0</permission></permissions></api_information>
    "#]],
    );
    let token = token(&desk.world, "both", "command=read_only,reporting").await;
    let reply = desk.world.send(get(&token, ACTIONS[4])).await;
    for permission in [
        "<permission name=\"perm_command\">read_only</permission>",
        "<permission name=\"perm_reporting_support\">1</permission>",
    ] {
        assert!(reply.text().contains(permission), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_healthy_server_says_so_and_always_has_the_same_id() {
    let desk = Desk::new().await;
    let reply = desk.ask(ACTIONS[5]).await;
    let id = desk.world.app.id().to_owned();
    assert_eq!(id.len(), 32);
    assert!(id.bytes().all(|b| b.is_ascii_hexdigit()));
    let shown = Reply {
        body: reply.text().replace(&id, "ID").into_bytes(),
        ..reply
    };
    check(
        &shown,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <health_check xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><appliance id="ID">debrief.example:8080</appliance><version>0.1.0</version><success>1</success><failover_role>none</failover_role></health_check>
    "#]],
    );
    let store = desk.world.store.clone();
    let again = desk.world.served_from(&store).await;
    assert_eq!(again.app.id(), id);
    assert_ne!(World::new().await.app.id(), id);
}

#[tokio::test]
async fn attributes_that_are_set_are_told_and_reported() {
    let desk = Desk::new().await;
    let world = &desk.world;
    world.store.put_directory(directory()).await.unwrap();
    let mut story = Story::new("a", NOW - 60);
    let attribute = |code_name: &str, value: &str| CustomAttribute {
        code_name: CodeName::parse(code_name).unwrap(),
        display_name: None,
        value: value.into(),
    };
    story.events[0].session = Some(Box::new(SessionContext {
        external_key: Some("T-0".into()),
        custom_attributes: vec![attribute("kind", "old")],
        ..SessionContext::default()
    }));
    world.append(story.events).await;
    let told = async || desk.ask("action=get_session_attributes&lsid=a").await;
    check(
        &told().await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <custom_attributes xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><custom_attribute display_name="External Key" code_name="external_key">T-0</custom_attribute><custom_attribute display_name="Kind of ticket" code_name="kind">old</custom_attribute></custom_attributes>
    "#]],
    );

    // One attribute alone leaves the key as it is. The form may come in the body.
    let set = "action=set_session_attributes&lsid=a&session.custom.room=4.12";
    let request = Request::post("/api/command")
        .header(header::AUTHORIZATION, format!("Bearer {}", desk.token))
        .header(header::CONTENT_TYPE, FORM)
        .body(Body::from(set))
        .unwrap();
    check(
        &world.send(request).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <success xmlns="http://www.beyondtrust.com/sra/namespaces/API/command">Session attributes were set</success>
    "#]],
    );
    let report = desk.report("a").await;
    assert_eq!(only(&report, "external_key"), "T-0");
    assert_eq!(all(&report, "custom_attribute"), ["old", "4.12"]);

    // The action in the query, the rest in the body, to the other path; percent-encoded.
    let request = Request::post("/api/command.ns?action=set_session_attributes&lsid=a")
        .header(header::AUTHORIZATION, format!("Bearer {}", desk.token))
        .body(Body::from(
            "session.custom.external_key=T-1%20%26%3C&session.custom.kind=n%C3%A9w+one",
        ))
        .unwrap();
    assert!(world.send(request).await.text().contains("<success "));
    check(
        &told().await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <custom_attributes xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><custom_attribute display_name="External Key" code_name="external_key">T-1 &amp;&lt;</custom_attribute><custom_attribute display_name="Kind of ticket" code_name="kind">néw one</custom_attribute><custom_attribute display_name="Room" code_name="room">4.12</custom_attribute></custom_attributes>
    "#]],
    );
    let report = desk.report("a").await;
    assert_eq!(only(&report, "external_key"), "T-1 &<");
    assert_eq!(all(&report, "custom_attribute"), ["néw one", "4.12"]);
    let details =
        &report[report.find("<session_details>").unwrap()..report.find("</session>").unwrap()];
    expect![[r#"
        <session_details>
        <event timestamp="1479211140" event_type="Session Start"></event>
        <event timestamp="1479211200" event_type="External Key"><performed_by type="system" gsnumber="0">desk</performed_by><data><value name="room" value="4.12"></value></data></event>
        <event timestamp="1479211200" event_type="External Key"><performed_by type="system" gsnumber="0">desk</performed_by><data><value name="kind" value="néw one"></value><value name="external_key" value="T-1 &amp;&lt;"></value></data></event></session_details>"#]].assert_eq(&details.replace("<event ", "\n<event "));

    // Said again nothing happens; cleared it is set no longer.
    let again = "action=set_session_attributes&lsid=a&session.custom.external_key=T-1%20%26%3C\
                 &session.custom.room=4.12";
    assert!(desk.ask(again).await.text().contains("<success "));
    assert_eq!(desk.report("a").await, report);
    let clear = "action=set_session_attributes&lsid=a&session.custom.external_key=\
                 &session.custom.kind=";
    assert!(desk.ask(clear).await.text().contains("<success "));
    check(
        &told().await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <custom_attributes xmlns="http://www.beyondtrust.com/sra/namespaces/API/command"><custom_attribute display_name="Room" code_name="room">4.12</custom_attribute></custom_attributes>
    "#]],
    );
    assert_eq!(only(&desk.report("a").await, "external_key"), "");

    let accesses = world.accesses().await;
    let entries: Vec<String> = accesses
        .iter()
        .filter(|entry| entry.action == "command" && entry.detail.starts_with("set"))
        .map(|entry| format!("{} {}", entry.who, entry.detail))
        .collect();
    assert_eq!(
        entries,
        [
            "desk set_session_attributes lsid=a session.custom.room",
            "desk set_session_attributes lsid=a session.custom.external_key session.custom.kind",
            "desk set_session_attributes lsid=a session.custom.external_key session.custom.room",
            "desk set_session_attributes lsid=a session.custom.external_key session.custom.kind",
        ]
    );
}

#[tokio::test]
async fn a_call_whose_outcome_is_unknown_may_be_repeated() {
    for fate in [Fate::DoneUnknown, Fate::UndoneUnknown, Fate::Refused] {
        let desk = Desk::new().await;
        desk.world.append(Story::new("a", NOW - 60).events).await;
        // The first write is the secret of links.
        let plan = Plan::scripted([Fate::Truth, fate]);
        let liar = Store::faulty(&desk.world.store, plan);
        let desk = Desk {
            world: desk.world.served_from(&liar).await,
            token: desk.token,
        };
        let reply = desk.ask(ACTIONS[3]).await;
        assert_eq!(reply.status, 503, "{fate:?}");
        assert_eq!(reply.header("retry-after"), "5");
        let again = desk.ask(ACTIONS[3]).await;
        assert!(again.text().contains("<success "), "{fate:?}");
        let report = desk.report("a").await;
        assert_eq!(only(&report, "external_key"), "T-1");
        assert_eq!(report.matches("\"External Key\"").count(), 1, "{fate:?}");
    }
}

#[tokio::test]
async fn an_attribute_has_a_limit_and_so_has_the_form() {
    let desk = Desk::new().await;
    desk.world.append(Story::new("a", NOW - 60).events).await;
    let set = async |n: usize| {
        let key = "x".repeat(n);
        let query =
            format!("action=set_session_attributes&lsid=a&session.custom.external_key={key}");
        desk.ask(&query).await.text().to_owned()
    };
    assert!(set(1_024).await.contains("Session attributes were set"));
    assert!(set(1_025).await.contains("is longer than 1024 characters"));
    assert_eq!(only(&desk.report("a").await, "external_key").len(), 1_024);
    let post = async |n: usize| {
        let request = Request::post(format!("/api/command?{}", ACTIONS[4]))
            .header(header::AUTHORIZATION, format!("Bearer {}", desk.token))
            .body(Body::from("x".repeat(n)))
            .unwrap();
        desk.world.send(request).await
    };
    assert_eq!(post(debrief::http::FORM_BYTES_MAX).await.status, 200);
    check(
        &post(debrief::http::FORM_BYTES_MAX + 1).await,
        expect![[r#"
            413
            <?xml version="1.0" encoding="UTF-8"?>
            <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/command">The request body is longer than 1048576 bytes.</error>
        "#]],
    );
}
