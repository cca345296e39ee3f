//! The report `SupportTeam`: who logged in to which team, and when.

use axum::body::Body;
use axum::http::Request;
use debrief_domain::{Directory, RepId};
use debrief_report::REPORT_LOGINS_MAX;
use expect_test::{Expect, expect};

use crate::world::{NOW, Reply, World, as_reader, at, directory};

#[track_caller]
fn check(reply: &Reply, expect: Expect) {
    assert_eq!(reply.header("content-type"), "text/xml; charset=utf-8");
    expect.assert_eq(&format!("{}\n{}", reply.status, reply.text()));
}

async fn ask(world: &World, query: &str) -> Reply {
    let request = Request::get(format!("/api/reporting?generate_report={query}"));
    let request = as_reader(request).body(Body::empty()).unwrap();
    world.send(request).await
}

/// Two teams, of which one representative is in both, and one without members.
async fn world(keys: &[(&str, &str)]) -> World {
    let world = World::with(keys).await;
    let teams: [(&str, &str, &[&str]); 3] = [
        ("1", "Helpdesk & Co", &["7", "8"]),
        ("2", "Field", &["8"]),
        ("3", "Nobody", &[]),
    ];
    world.store.put_directory(named(&teams)).await.unwrap();
    world
}

/// The directory of these teams, whose members have names.
fn named(teams: &[(&str, &str, &[&str])]) -> Directory {
    let mut directory = directory(teams);
    for (id, rep) in &mut directory.representatives {
        rep.public_display_name = format!("Rep {id}");
        rep.private_display_name = format!("Private {id}");
    }
    directory
}

async fn present(world: &World, rep: &str, now: i64, expires: i64) {
    let rep = RepId::parse(rep).unwrap();
    let (now, expires) = (at(NOW + now), at(NOW + expires));
    world.store.set_presence(rep, now, expires).await.unwrap();
}

/// The teams of an answer, each with its events as `rep time+` or `-`.
#[track_caller]
fn told(reply: &Reply) -> String {
    assert_eq!(reply.status, 200);
    let document = roxmltree::Document::parse(reply.text()).unwrap();
    let named = |name: &'static str| {
        document
            .root_element()
            .descendants()
            .filter(move |node| node.tag_name().name() == name)
    };
    let mut shown = Vec::new();
    for team in named("team_activity") {
        let events = named("event").filter(|event| event.ancestors().any(|node| node == team));
        let events = events.map(|event| {
            let secs: i64 = event.attribute("timestamp").unwrap().parse().unwrap();
            let sign = match event.attribute("event_type").unwrap() {
                "Conference Member Added" => '+',
                "Conference Member Departed" => '-',
                other => panic!("{other}"),
            };
            let rep = event.first_element_child().unwrap().text().unwrap();
            format!("{}{sign}{}", rep.trim_start_matches("Private "), secs - NOW)
        });
        let events: Vec<String> = events.collect();
        shown.push(format!(
            "{}: {}",
            team.attribute("id").unwrap(),
            events.join(" ")
        ));
    }
    shown.join("; ")
}

#[tokio::test]
async fn faults_are_named_at_once_in_the_root_of_the_report() {
    let faulty = "SupportTeam&start_date=x&duration=-1&team_id=&limit=all&format=json2";
    check(
        &ask(&world(&[]).await, faulty).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <team_activity_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <error>limit: is not read by SupportTeam; format: `json2` is not known to this report; expected xml; start_date: `x` is not of the form YYYY-MM-DD; duration: must not be negative; team_id: must not be empty</error>
        </team_activity_list>
    "#]],
    );
    let appliance = world(&[("dialect", "appliance")]).await;
    check(
        &ask(&appliance, faulty).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">limit: is not read by SupportTeam; format: `json2` is not known to this report; expected xml; start_date: `x` is not of the form YYYY-MM-DD; duration: must not be negative; team_id: must not be empty</error>
    "#]],
    );
}

#[tokio::test]
async fn an_account_that_may_not_report_is_refused() {
    let world = world(&[]).await;
    let login = world.login("nosy", "command=full_access", &[]).await;
    let token = world.token(&login).await;
    let path = "/api/reporting?generate_report=SupportTeam&start_time=0&duration=0";
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    let reply = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, 403);
    let request = Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(world.send(request).await.status, 401);
}

#[tokio::test]
async fn nothing_is_told_as_the_dialect_has_it() {
    let quiet = "SupportTeam&start_time=0&duration=0";
    check(
        &ask(&world(&[]).await, quiet).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <team_activity_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        </team_activity_list>
    "#]],
    );
    let appliance = world(&[("dialect", "appliance"), ("namespace", "urn:r")]).await;
    check(
        &ask(&appliance, quiet).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <error xmlns="urn:r">No Support report information matching your chosen criteria is available.</error>
    "#]],
    );
}

#[tokio::test]
async fn logins_are_told_for_each_team_that_the_representative_is_in_now() {
    let world = world(&[]).await;
    present(&world, "7", 0, 100).await;
    present(&world, "8", 10, 50).await;
    present(&world, "7", 90, 90).await;
    // One who is in no team, and one whom the directory does not know.
    present(&world, "9", 95, 99).await;
    world.clock.set(at(NOW + 120));
    let all = "SupportTeam&start_time=0&duration=0";
    check(
        &ask(&world, all).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <team_activity_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <team_activity name="Helpdesk &amp; Co" id="1"><events><event timestamp="1479211200" event_type="Conference Member Added"><performed_by type="representative">Private 7</performed_by><data><value name="private_name" value="Private 7"></value><value name="public_name" value="Rep 7"></value><value name="username" value="rep7"></value><value name="support_teams" value="Helpdesk &amp; Co"></value><value name="user_id" value="7"></value></data></event><event timestamp="1479211210" event_type="Conference Member Added"><performed_by type="representative">Private 8</performed_by><data><value name="private_name" value="Private 8"></value><value name="public_name" value="Rep 8"></value><value name="username" value="rep8"></value><value name="support_teams" value="Helpdesk &amp; Co, Field"></value><value name="user_id" value="8"></value></data></event><event timestamp="1479211250" event_type="Conference Member Departed"><performed_by type="representative">Private 8</performed_by></event><event timestamp="1479211290" event_type="Conference Member Departed"><performed_by type="representative">Private 7</performed_by></event></events></team_activity>
        <team_activity name="Field" id="2"><events><event timestamp="1479211210" event_type="Conference Member Added"><performed_by type="representative">Private 8</performed_by><data><value name="private_name" value="Private 8"></value><value name="public_name" value="Rep 8"></value><value name="username" value="rep8"></value><value name="support_teams" value="Helpdesk &amp; Co, Field"></value><value name="user_id" value="8"></value></data></event><event timestamp="1479211250" event_type="Conference Member Departed"><performed_by type="representative">Private 8</performed_by></event></events></team_activity>
        </team_activity_list>
    "#]],
    );
    let alias = ask(&world, &all.replace("SupportTeam", "Team")).await;
    assert_eq!(alias.text(), ask(&world, all).await.text());
    assert_eq!(
        told(&ask(&world, &format!("{all}&team_id=2")).await),
        "2: 8+10 8-50"
    );
    for id in ["3", "404"] {
        assert_eq!(told(&ask(&world, &format!("{all}&team_id={id}")).await), "");
    }
    // They change teams: it is the teams of now that count.
    let moved = [("1", "Helpdesk", &["7"][..]), ("4", "New", &["7"])];
    world.store.put_directory(named(&moved)).await.unwrap();
    assert_eq!(told(&ask(&world, all).await), "1: 7+0 7-90; 4: 7+0 7-90");
    let entry = world.accesses().await.pop().unwrap();
    assert_eq!(entry.action, "report");
    assert_eq!(
        entry.detail,
        "generate_report=SupportTeam start_time=0 duration=0"
    );
}

#[tokio::test]
async fn what_happened_in_the_window_is_told_and_nothing_else() {
    let world = world(&[]).await;
    present(&world, "7", 0, 100).await;
    present(&world, "8", 20, 400).await;
    world.clock.set(at(NOW + 200));
    let window = async |from: i64, duration: i64| {
        let start = format!(
            "SupportTeam&team_id=1&start_time={}&duration={duration}",
            NOW + from
        );
        let end = start.replace("start_time", "end_time");
        let (start, end) = (ask(&world, &start).await, ask(&world, &end).await);
        assert_eq!(start.text(), end.text());
        told(&start)
    };
    assert_eq!(window(0, 0).await, "1: 7+0 8+20 7-100");
    assert_eq!(window(0, 1).await, "1: 7+0");
    assert_eq!(window(1, 0).await, "1: 8+20 7-100");
    assert_eq!(window(21, 79).await, "");
    assert_eq!(window(100, 1).await, "1: 7-100");
    assert_eq!(window(101, 0).await, "");
    // Time goes on: the other login runs out.
    world.clock.set(at(NOW + 400));
    assert_eq!(window(101, 0).await, "1: 8-400");
}

#[tokio::test]
async fn as_many_logins_as_the_limit_are_told_and_one_more_is_refused() {
    let world = world(&[]).await;
    let rep = RepId::parse("7").unwrap();
    let log_in = |n: usize| {
        let now = at(n as i64);
        world.store.set_presence(rep.clone(), now, now.plus_secs(1))
    };
    for first in (0..REPORT_LOGINS_MAX).step_by(2_000) {
        let logins = (first..first + 2_000).map(log_in);
        for done in futures::future::join_all(logins).await {
            done.unwrap();
        }
    }
    let all = "SupportTeam&start_time=0&duration=0&team_id=1";
    let reply = ask(&world, all).await;
    let n_added = reply.text().matches("Conference Member Added").count();
    assert_eq!(n_added, REPORT_LOGINS_MAX);
    log_in(REPORT_LOGINS_MAX).await.unwrap();
    check(
        &ask(&world, all).await,
        expect![[r#"
        200
        <?xml version="1.0" encoding="UTF-8"?>
        <team_activity_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <error>duration: there are more than 50000 logins in this time</error>
        </team_activity_list>
    "#]],
    );
}
