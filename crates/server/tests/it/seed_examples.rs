//! Every query example of the vendor's document, on sessions of around October 2016 that lie just
//! inside and just outside each boundary.

use axum::body::Body;
use axum::http::{Request, header};

use crate::world::{FORM, Story, World, as_reader, directory, secs};

const C69A: &str = "c69a8e10bea9428f816cfababe9815fe";
const A5EE: &str = "a5eeaa58591047b88556f944804227b0";
const N5BF: &str = "5bf07601298b495b87310da9ce571e22";

/// The archive that the examples are asked of. What matters of each session stands beside it.
async fn october() -> World {
    let world = World::new().await;
    // Representative 1 owned sessions of team 1 but is no member of it now; 2 and 3 are.
    let teams = directory(&[
        ("1", "Helpdesk", &["2", "3"]),
        ("2", "Field", &["1"]),
        ("3", "Empty", &[]),
    ]);
    world.store.put_directory(teams).await.unwrap();
    let told = [
        // Lies outside of every window but `end_date`, by one second of its start.
        Story::new("september-start", secs("2016-09-30T23:59:59"))
            .owner("1")
            .team("1")
            .end(secs("2016-10-01T00:00:00")),
        // Ended one second too early for every window.
        Story::new("september", secs("2016-09-15T10:00:00"))
            .owner("1")
            .team("1")
            .end(secs("2016-09-30T23:59:59")),
        // The first moment of the day; ended at 08:00:00 sharp. No team, nobody owned it.
        Story::new("midnight", secs("2016-10-01T00:00:00"))
            .member("2")
            .end(secs("2016-10-01T08:00:00")),
        // One second before 08:00; ended one second before 18:00. Representative 1 only helped.
        Story::new("before-eight", secs("2016-10-01T07:59:59"))
            .owner("3")
            .member("1")
            .team("2")
            .site("2")
            .end(secs("2016-10-01T17:59:59")),
        // 08:00 sharp; ended at 18:00 sharp. From team 1 to team 2, from 1 to 2.
        Story::new(C69A, secs("2016-10-01T08:00:00"))
            .team("1")
            .owner("1")
            .team("2")
            .owner("2")
            .site("1")
            .end(secs("2016-10-01T18:00:00")),
        // One second before 18:00; ended in the last second of October.
        Story::new(A5EE, secs("2016-10-01T17:59:59"))
            .owner("1")
            .team("2")
            .end(secs("2016-10-31T23:59:59")),
        // 18:00 sharp; ended in the first second of November.
        Story::new(N5BF, secs("2016-10-01T18:00:00"))
            .owner("2")
            .site("3")
            .end(secs("2016-11-01T00:00:00")),
        // Broke off: it never has an end time.
        Story::new("broken-off", secs("2016-10-05T12:00:00"))
            .owner("4")
            .team("1"),
        // The last second of October; still running.
        Story::new("running", secs("2016-10-31T23:59:59"))
            .owner("3")
            .team("1")
            .site("2"),
        // Two that started in the same second of November: in order of first sight, which is
        // that of this list's reverse.
        Story::new("november-second", secs("2016-11-01T00:00:00"))
            .owner("1")
            .end(secs("2016-11-02T00:00:00")),
        Story::new("november-first", secs("2016-11-01T00:00:00"))
            .owner("2")
            .team("2")
            .end(secs("2016-11-02T00:00:00")),
    ];
    for story in told.into_iter().rev() {
        world.append(story.events).await;
    }
    world
}

/// Every example: its query, and the sessions that it gives, in order.
const EXAMPLES: &[(&str, &[&str])] = &[
    // Sessions started October 1 2016 to present.
    ("start_date=2016-10-01&duration=0", SINCE_OCTOBER),
    // Sessions started the month of October 2016.
    (
        "start_date=2016-10-01&duration=31",
        &[
            "midnight",
            "before-eight",
            C69A,
            A5EE,
            N5BF,
            "broken-off",
            "running",
        ],
    ),
    // Sessions started 8:00 AM October 1 2016 to present.
    (
        "start_time=1475308800&duration=0",
        &[
            C69A,
            A5EE,
            N5BF,
            "broken-off",
            "running",
            "november-first",
            "november-second",
        ],
    ),
    // Sessions started 8:00 AM October 1 2016 to 6:00 PM October 1 2016.
    ("start_time=1475308800&duration=36000", &[C69A, A5EE]),
    // Sessions ended October 1 2016 to present.
    (
        "end_date=2016-10-01&duration=0",
        &[
            "september-start",
            "midnight",
            "before-eight",
            C69A,
            A5EE,
            N5BF,
            "november-first",
            "november-second",
        ],
    ),
    // Sessions ended the month of October 2016.
    (
        "end_date=2016-10-01&duration=31",
        &["september-start", "midnight", "before-eight", C69A, A5EE],
    ),
    // Sessions ended 8:00 AM October 1 2016 to 6:00 PM October 1 2016.
    (
        "end_time=1475308800&duration=36000",
        &["midnight", "before-eight"],
    ),
    // Session c69a8e10bea9428f816cfababe9815fe.
    ("lsid=c69a8e10bea9428f816cfababe9815fe", &[C69A]),
    // Three sessions, in the order asked for.
    (
        "lsids=c69a8e10bea9428f816cfababe9815fe,a5eeaa58591047b88556f944804227b0,\
         5bf07601298b495b87310da9ce571e22",
        &[C69A, A5EE, N5BF],
    ),
    // Sessions started October 1 2016 to present for all sessions.
    ("start_date=2016-10-01&duration=0&limit=all", SINCE_OCTOBER),
    // … for a specific rep: owned at any time, not merely helped.
    (
        "start_date=2016-10-01&duration=0&limit=rep:1",
        &[C69A, A5EE, "november-second"],
    ),
    // … for all teams.
    (
        "start_date=2016-10-01&duration=0&limit=team:all",
        &[
            "before-eight",
            C69A,
            A5EE,
            "broken-off",
            "running",
            "november-first",
        ],
    ),
    // … for a specific team: belonged to at any time.
    (
        "start_date=2016-10-01&duration=0&limit=team:1",
        &[C69A, "broken-off", "running"],
    ),
    // … for members of a specific team: owned by who is a member now, whatever the team was.
    (
        "start_date=2016-10-01&duration=0&limit=members:1",
        &["before-eight", C69A, N5BF, "running", "november-first"],
    ),
    // … for a specific public site: the default one also when none was named.
    (
        "start_date=2016-10-01&duration=0&limit=site:1",
        &[
            "midnight",
            C69A,
            A5EE,
            "broken-off",
            "november-first",
            "november-second",
        ],
    ),
];

const SINCE_OCTOBER: &[&str] = &[
    "midnight",
    "before-eight",
    C69A,
    A5EE,
    N5BF,
    "broken-off",
    "running",
    "november-first",
    "november-second",
];

/// The ways in which clients send the same parameters.
fn requests(query: &str) -> [(&'static str, Request<Body>); 4] {
    let whole = format!("generate_report=SupportSession&{query}");
    let in_query = format!("/api/reporting?{whole}");
    let mixed = format!("/api/reporting?{query}");
    let post = |path: &str| as_reader(Request::post(path)).header(header::CONTENT_TYPE, FORM);
    [
        (
            "GET",
            as_reader(Request::get(&in_query))
                .body(Body::empty())
                .unwrap(),
        ),
        (
            "POST with everything in the query",
            as_reader(Request::post(&in_query))
                .body(Body::empty())
                .unwrap(),
        ),
        (
            "POST with a form",
            post("/api/reporting").body(whole.into()).unwrap(),
        ),
        (
            "POST with both",
            post(&mixed)
                .body("generate_report=SupportSession".into())
                .unwrap(),
        ),
    ]
}

async fn check_all(world: &World) {
    for (query, expected) in EXAMPLES {
        for (way, request) in requests(query) {
            let reply = world.send(request).await;
            assert_eq!(reply.header("content-type"), "text/xml; charset=utf-8");
            assert_eq!(reply.lsids(), *expected, "{way}: {query}");
        }
    }
}

#[tokio::test]
async fn every_example_gives_its_sessions_in_order_however_it_is_sent() {
    let world = october().await;
    check_all(&world).await;
}

#[tokio::test]
async fn every_example_gives_the_same_from_sealed_sessions_and_after_a_lapse() {
    let world = october().await;
    // All were heard of at the same moment, so both that have no end lapse.
    let lapsed = world
        .store
        .lapse(world.clock.now().plus_secs(1), 100)
        .await
        .unwrap();
    assert_eq!(lapsed, 2);
    assert_eq!(world.seal().await, 11);
    check_all(&world).await;
}
