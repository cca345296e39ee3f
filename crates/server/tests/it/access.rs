//! Who may do what: tokens and the ways to ask for them, refusals, limits, and the access log.

use axum::body::Body;
use axum::http::{Method, Request, header};
use debrief_store::Enabled;
use expect_test::{Expect, expect};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::world::{
    FORM, HOME, Login, NOW, Reply, Story, World, as_reader, at, basic, from, token_request,
};

const PATH: &str = "/api/reporting?generate_report=SupportSession&start_time=0&duration=0";

/// The status line, the headers that matter, and the body.
#[track_caller]
fn check(reply: &Reply, expect: Expect) {
    expect.assert_eq(&show(reply));
}

fn show(reply: &Reply) -> String {
    let mut shown = format!("{}\n", reply.status);
    for name in [
        "www-authenticate",
        "retry-after",
        "allow",
        "cache-control",
        "content-type",
    ] {
        if let Some(value) = reply.headers.get(name) {
            shown.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
        }
    }
    shown.push_str(reply.text());
    shown
}

fn post_token(media_type: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post("/oauth2/token")
        .header(header::CONTENT_TYPE, media_type)
        .body(body.into())
        .unwrap()
}

fn with_basic(login: &Login, media_type: &str, body: &'static str) -> Request<Body> {
    let mut request = post_token(media_type, body);
    let value = basic(login).parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

// ---- Asking for a token ----

#[tokio::test]
async fn a_token_is_given_for_credentials_sent_in_any_of_the_ways_of_real_clients() {
    let world = World::new().await;
    let login = world.login("sync", "reporting", &[]).await;
    let Login { id, secret, .. } = &login;
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let object = json!({
        "grant_type": "client_credentials", "client_id": id, "client_secret": secret,
    });
    let json = "application/json; charset=utf-8";
    let ways = [
        with_basic(&login, FORM, "grant_type=client_credentials"),
        with_basic(&login, json, "{\"grant_type\": \"client_credentials\"}"),
        // Says JSON and sends a form, or the other way round.
        with_basic(&login, FORM, "{\"grant_type\": \"client_credentials\"}"),
        post_token(FORM, form),
        post_token(json, object.to_string()),
    ];
    let mut tokens = Vec::new();
    for way in ways {
        let told = format!("{way:?}");
        let reply = world.send(way).await;
        assert_eq!(reply.status, 200, "{told}: {}", reply.text());
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("pragma"), "no-cache");
        let answer = reply.json();
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["expires_in"], 3600);
        assert_eq!(answer.as_object().unwrap().len(), 3);
        tokens.push(answer["access_token"].as_str().unwrap().to_owned());
    }
    for token in &tokens {
        assert_eq!(world.ask_as(token, "lsid=x").await.lsids(), [""; 0]);
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 5);
}

#[tokio::test]
async fn bad_credentials_have_one_answer_whatever_is_wrong_with_them() {
    let world = World::new().await;
    let good = world.login("sync", "reporting", &[]).await;
    // No credentials at all.
    let bare = post_token(FORM, "grant_type=client_credentials");
    let bare = world.send(bare).await;
    let expected = expect![[r#"
        401
        www-authenticate: Basic realm="debrief"
        cache-control: no-store
        content-type: application/json
        {"error":"invalid_client","error_description":"client authentication failed","message":"client authentication failed"}"#]];
    check(&bare, expected);
    let off = world.login("off", "reporting", &[]).await;
    world
        .store
        .set_enabled("off", Enabled::No)
        .await
        .unwrap()
        .unwrap();
    let away = world.login("away", "reporting", &["192.0.2.0/24"]).await;
    let wrong = |id: &str, secret: &str| Login {
        id: id.into(),
        secret: secret.into(),
    };
    let logins = [
        wrong(&good.id, "wrong"),
        wrong(&good.id, ""),
        wrong("nobody", &good.secret),
        wrong("", ""),
        wrong(&good.id, &off.secret),
        off,
        away,
    ];
    for login in &logins {
        let reply = world.send(token_request(login)).await;
        assert_eq!(show(&reply), show(&bare), "{}", login.id);
    }
}

#[tokio::test]
async fn a_faulty_request_for_a_token_is_told_what_is_faulty() {
    let world = World::new().await;
    let login = world.login("sync", "reporting", &[]).await;
    let reply = world
        .send(with_basic(&login, FORM, "grant_type=password"))
        .await;
    check(
        &reply,
        expect![[r#"
        400
        cache-control: no-store
        content-type: application/json
        {"error":"unsupported_grant_type","error_description":"only `client_credentials` is supported","message":"only `client_credentials` is supported"}"#]],
    );
    let mut unreadable = with_basic(&login, FORM, "grant_type=client_credentials");
    let value = "Basic !!!".parse().unwrap();
    unreadable
        .headers_mut()
        .insert(header::AUTHORIZATION, value);
    let requests = [
        with_basic(&login, FORM, ""),
        with_basic(
            &login,
            FORM,
            "grant_type=client_credentials&grant_type=password",
        ),
        with_basic(&login, "application/json", "{\"grant_type\":"),
        with_basic(&login, "application/json", "[]"),
        unreadable,
        // Only the body is read, never the address.
        Request::post("/oauth2/token?grant_type=client_credentials")
            .body(Body::empty())
            .unwrap(),
    ];
    for request in requests {
        let told = format!("{request:?}");
        let reply = world.send(request).await;
        assert_eq!(reply.status, 400, "{told}");
        let answer = reply.json();
        assert_eq!(answer["error"], "invalid_request", "{told}");
        assert_eq!(answer["message"], answer["error_description"], "{told}");
    }
}

#[tokio::test]
async fn a_request_for_a_token_is_read_up_to_its_limit() {
    let world = World::new().await;
    let login = world.login("sync", "reporting", &[]).await;
    let padded = |len: usize| {
        let mut body = "grant_type=client_credentials&x=".to_owned();
        body.push_str(&"x".repeat(len - body.len()));
        let mut request = post_token(FORM, body);
        let value = basic(&login).parse().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, value);
        request
    };
    let max = debrief::http::FORM_BYTES_MAX;
    assert_eq!(world.send(padded(max)).await.status, 200);
    let reply = world.send(padded(max + 1)).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error"], "invalid_request");
    let message = "the request body is not whole, too long or too slow";
    assert_eq!(reply.json()["message"], message);
}

// ---- Using a token ----

#[tokio::test]
async fn without_a_valid_token_the_answer_is_a_challenge() {
    let world = World::new().await;
    let reply = world
        .send(Request::get(PATH).body(Body::empty()).unwrap())
        .await;
    check(
        &reply,
        expect![[r#"
        401
        www-authenticate: Bearer realm="debrief"
        content-type: text/xml; charset=utf-8
        <?xml version="1.0" encoding="UTF-8"?>
        <session_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <error>A bearer token is required: POST /oauth2/token gives one.</error>
        </session_list>
    "#]],
    );
    check(
        &world.ask_as("garbage", "lsid=x").await,
        expect![[r#"
        401
        www-authenticate: Bearer realm="debrief", error="invalid_token"
        content-type: text/xml; charset=utf-8
        <?xml version="1.0" encoding="UTF-8"?>
        <session_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <error>The bearer token is not valid, or no longer.</error>
        </session_list>
    "#]],
    );
    // Credentials are no token, and a token is taken from the header only.
    let login = world.login("sync", "reporting", &[]).await;
    let token = world.token(&login).await;
    let requests = [
        Request::get(PATH)
            .header(header::AUTHORIZATION, basic(&login))
            .body(Body::empty()),
        Request::get(PATH)
            .header(header::AUTHORIZATION, &token)
            .body(Body::empty()),
        Request::get(PATH)
            .header(header::AUTHORIZATION, "Bearer")
            .body(Body::empty()),
        Request::get(format!("{PATH}&access_token={token}")).body(Body::empty()),
        Request::get(format!("{PATH}&token={token}")).body(Body::empty()),
        Request::post(PATH).body(format!("access_token={token}").into()),
        Request::get(PATH)
            .header(header::COOKIE, format!("access_token={token}"))
            .body(Body::empty()),
    ];
    for request in requests {
        let request = request.unwrap();
        let told = format!("{request:?}");
        let reply = world.send(request).await;
        assert_eq!(reply.status, 401, "{told}");
        assert!(
            reply.header("www-authenticate").starts_with("Bearer "),
            "{told}"
        );
    }
    // The scheme's name is read without regard to case.
    let request = Request::get(PATH).header(header::AUTHORIZATION, format!("bEARER {token}"));
    assert_eq!(
        world
            .send(request.body(Body::empty()).unwrap())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_token_lasts_an_hour() {
    let world = World::new().await;
    let login = world.login("sync", "reporting", &[]).await;
    let token = world.token(&login).await;
    world.clock.set(at(NOW + 3_599));
    assert_eq!(world.ask_as(&token, "lsid=x").await.status, 200);
    world.clock.set(at(NOW + 3_600));
    assert_eq!(world.ask_as(&token, "lsid=x").await.status, 401);
    let token = world.token(&login).await;
    assert_eq!(world.ask_as(&token, "lsid=x").await.status, 200);
}

#[tokio::test]
async fn disabling_an_account_or_renewing_its_secret_ends_its_tokens_at_once() {
    let world = World::new().await;
    let mut login = world.login("sync", "reporting", &[]).await;
    let other = world
        .token(&world.login("other", "reporting", &[]).await)
        .await;
    let token = world.token(&login).await;
    assert_eq!(world.ask_as(&token, "lsid=x").await.status, 200);
    world
        .store
        .set_enabled("sync", Enabled::No)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(world.ask_as(&token, "lsid=x").await.status, 401);
    assert_eq!(world.send(token_request(&login)).await.status, 401);
    world
        .store
        .set_enabled("sync", Enabled::Yes)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        world.ask_as(&token, "lsid=x").await.status,
        401,
        "it came back"
    );
    let token = world.token(&login).await;
    let hash: [u8; 32] = Sha256::digest("another-secret").into();
    world
        .store
        .renew_secret("sync", hash)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(world.ask_as(&token, "lsid=x").await.status, 401);
    assert_eq!(
        world.send(token_request(&login)).await.status,
        401,
        "the old secret is good"
    );
    login.secret = "another-secret".into();
    let token = world.token(&login).await;
    assert_eq!(world.ask_as(&token, "lsid=x").await.status, 200);
    assert_eq!(
        world.ask_as(&other, "lsid=x").await.status,
        200,
        "another account's ended too"
    );
}

#[tokio::test]
async fn the_thirty_first_token_ends_the_first() {
    let world = World::new().await;
    let login = world.login("sync", "reporting", &[]).await;
    let other = world
        .token(&world.login("other", "reporting", &[]).await)
        .await;
    let mut tokens = Vec::new();
    for _ in 0..debrief_store::TOKENS_MAX {
        tokens.push(world.token(&login).await);
    }
    assert_eq!(tokens.len(), 30);
    assert_eq!(world.ask_as(&tokens[0], "lsid=x").await.status, 200);
    tokens.push(world.token(&login).await);
    assert_eq!(world.ask_as(&tokens[0], "lsid=x").await.status, 401);
    for token in tokens[1..].iter().chain([&other]) {
        assert_eq!(world.ask_as(token, "lsid=x").await.status, 200);
    }
}

// ---- Networks and permissions ----

#[tokio::test]
async fn an_account_is_good_only_in_its_networks() {
    let world = World::new().await;
    let login = world
        .login("sync", "reporting", &["192.0.2.0/24", "2001:db8::/32"])
        .await;
    let at_home = "192.0.2.9:1";
    let reply = world.send(from(at_home, token_request(&login))).await;
    assert_eq!(reply.status, 200);
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    let ask = |peer: &str| {
        let request = Request::get(PATH).header(header::AUTHORIZATION, format!("Bearer {token}"));
        from(peer, request.body(Body::empty()).unwrap())
    };
    for peer in [at_home, "[2001:db8::7]:1", "[::ffff:192.0.2.8]:1"] {
        assert_eq!(world.send(ask(peer)).await.status, 200, "{peer}");
        assert_eq!(
            world.send(from(peer, token_request(&login))).await.status,
            200,
            "{peer}"
        );
    }
    check(
        &world.send(ask(HOME)).await,
        expect![[r#"
        403
        content-type: text/xml; charset=utf-8
        <?xml version="1.0" encoding="UTF-8"?>
        <session_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <error>The API account may not be used from this network.</error>
        </session_list>
    "#]],
    );
    for peer in [HOME, "192.0.3.1:1", "[2001:db9::7]:1"] {
        assert_eq!(world.send(ask(peer)).await.status, 403, "{peer}");
        assert_eq!(
            world.send(from(peer, token_request(&login))).await.status,
            401,
            "{peer}"
        );
    }
}

#[tokio::test]
async fn an_address_in_a_header_counts_only_when_a_trusted_proxy_says_so() {
    let world = World::with(&[("trusted_proxies", "10.0.0.0/8, ::1")]).await;
    let login = world.login("sync", "reporting", &["192.0.2.0/24"]).await;
    let ask = |peer: &str, forwarded: &str| {
        let mut request = from(peer, token_request(&login));
        let value = forwarded.parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", value);
        request
    };
    for (peer, forwarded, status) in [
        ("10.1.2.3:1", "192.0.2.7", 200),
        ("[::1]:1", "6.6.6.6, 192.0.2.7:5, 10.9.9.9", 200),
        // Anyone can write the left part.
        ("10.1.2.3:1", "192.0.2.7, 6.6.6.6", 401),
        // A stranger's header, and a proxy's own address.
        ("203.0.113.5:1", "192.0.2.7", 401),
        ("10.1.2.3:1", "", 401),
        ("10.1.2.3:1", "unknown", 401),
        ("192.0.2.7:1", "6.6.6.6", 200),
    ] {
        let reply = world.send(ask(peer, forwarded)).await;
        assert_eq!(reply.status, status, "{peer} {forwarded:?}");
    }
}

#[tokio::test]
async fn an_account_without_the_permission_is_refused_by_name() {
    let world = World::new().await;
    let login = world
        .login("sender", "command=full_access,ingest,admin", &[])
        .await;
    let token = world.token(&login).await;
    check(
        &world.ask_as(&token, "lsid=x").await,
        expect![[r#"
        403
        www-authenticate: Bearer realm="debrief", error="insufficient_scope"
        content-type: text/xml; charset=utf-8
        <?xml version="1.0" encoding="UTF-8"?>
        <session_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <error>The API account lacks the permission `reporting`.</error>
        </session_list>
    "#]],
    );
    // Before any word about the question.
    assert_eq!(world.ask_as(&token, "duration=nonsense").await.status, 403);
    assert_eq!(world.ask_as(&token, "lsid=x&format=json").await.status, 403);
}

// ---- Limits ----

#[tokio::test]
async fn too_many_requests_of_an_account_are_told_when_to_come_back() {
    let world = World::with(&[("requests_per_second", "2")]).await;
    let login = world.login("sync", "reporting", &[]).await;
    let token = world.token(&login).await;
    let other = world
        .token(&world.login("other", "reporting", &[]).await)
        .await;
    // The limiter goes by the computer's clock, so a slow computer needs more than three.
    let mut refused = None;
    for _ in 0..1_000 {
        let reply = world.ask_as(&token, "lsid=x").await;
        if reply.status != 200 {
            refused = Some(reply);
            break;
        }
    }
    check(
        &refused.unwrap(),
        expect![[r#"
        429
        retry-after: 1
        content-type: text/xml; charset=utf-8
        <?xml version="1.0" encoding="UTF-8"?>
        <session_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
        <error>Too many requests: requests_per_second is 2.</error>
        </session_list>
    "#]],
    );
    assert_eq!(
        world.ask_as(&other, "lsid=x").await.status,
        200,
        "each account has its own"
    );
}

#[tokio::test]
async fn the_limit_of_an_hour_is_named_when_it_is_the_one_reached() {
    let world = World::with(&[("requests_per_hour", "7200")]).await;
    let login = world.login("sync", "reporting", &[]).await;
    let token = world.token(&login).await;
    let mut refused = None;
    for _ in 0..60_000 {
        let reply = world.ask_as(&token, "generate_report=x").await;
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
    }
    let error = refused.unwrap().error();
    assert_eq!(error, "Too many requests: requests_per_hour is 7200.");
}

#[tokio::test]
async fn an_address_that_fails_too_often_is_not_heard_for_a_while() {
    let world = World::new().await;
    let good = world.login("sync", "reporting", &[]).await;
    let bad = Login {
        secret: "guess".into(),
        ..good.clone()
    };
    for _ in 0..debrief::app::FAILED_LOGINS_MAX {
        assert_eq!(world.send(token_request(&bad)).await.status, 401);
    }
    // Not even with the right secret: a guess would be told apart.
    world.clock.set(at(NOW + 20));
    check(
        &world.send(token_request(&good)).await,
        expect![[r#"
        429
        retry-after: 40
        cache-control: no-store
        content-type: application/json
        {"error":"temporarily_unavailable","error_description":"too many requests: failed logins per minute and address are 20","message":"too many requests: failed logins per minute and address are 20"}"#]],
    );
    let elsewhere = from("203.0.113.99:1", token_request(&good));
    assert_eq!(world.send(elsewhere).await.status, 200);
    // Tokens that are out already are not touched.
    let request = as_reader(Request::get(PATH)).body(Body::empty()).unwrap();
    assert_eq!(world.send(request).await.status, 200);
    world.clock.set(at(NOW + 60));
    assert_eq!(world.send(token_request(&good)).await.status, 200);
    assert_eq!(world.send(token_request(&bad)).await.status, 401);
}

// ---- Paths and methods ----

#[tokio::test]
async fn a_wrong_method_and_an_unknown_path_say_so() {
    let world = World::new().await;
    for (method, path, status, allow) in [
        (Method::GET, "/oauth2/token", 405, "POST"),
        (Method::DELETE, "/api/reporting", 405, "GET,HEAD,POST"),
        (Method::PUT, "/api/reporting.ns", 405, "GET,HEAD,POST"),
        (Method::POST, "/check_health", 405, "GET,HEAD"),
        (Method::GET, "/", 404, ""),
        (Method::GET, "/api/reporting/", 404, ""),
        (Method::POST, "/api/nothing", 404, ""),
        (Method::GET, "/api/v1/events", 405, "POST"),
        (Method::GET, "/api/v1/nothing", 404, ""),
    ] {
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .body(Body::empty())
            .unwrap();
        let reply = world.send(request).await;
        assert_eq!(reply.status, status, "{method} {path}");
        // Each path speaks its own form, in an error too.
        let is_json = path.starts_with("/oauth2/") || path.starts_with("/api/v1/");
        if is_json {
            assert_eq!(reply.header("content-type"), "application/json");
            assert!(reply.text().contains("\"error\":"), "{}", reply.text());
        } else {
            assert_eq!(reply.header("content-type"), "text/xml; charset=utf-8");
            assert!(!reply.error().is_empty());
        }
        // RFC 9110 §15.5.6: a refused method is told which ones are not.
        assert_eq!(reply.header("allow"), allow, "{method} {path}");
    }
    let healthy = Request::get("/check_health").body(Body::empty()).unwrap();
    let reply = world.send(healthy).await;
    assert_eq!((reply.status, reply.text()), (200, ""));
}

// ---- The access log ----

#[tokio::test]
async fn every_look_leaves_a_trace_without_secrets() {
    let world = World::new().await;
    world
        .append(Story::new("a", NOW - 60).end(NOW - 10).events)
        .await;
    let login = world.login("sync", "reporting", &[]).await;
    let token = world.token(&login).await;
    let bad = Login {
        secret: "wrong-guess".into(),
        ..login.clone()
    };
    world.send(token_request(&bad)).await;
    world.ask_as(&token, "lsid=a&password=hunter2").await;
    world.clock.set(at(NOW + 5));
    world
        .ask_as(&token, "start_time=0&duration=0&limit=rep:7")
        .await;
    world.ask_as(&token, "duration=wrong").await;
    let sender = world.login("sender", "ingest", &[]).await;
    let sender_token = world.token(&sender).await;
    world.ask_as(&sender_token, "lsid=a").await;
    let accesses = world.accesses().await;
    let shown: Vec<String> = accesses
        .iter()
        .map(|entry| format!("{} {} {}", entry.at.secs() - NOW, entry.who, entry.action))
        .collect();
    assert_eq!(
        shown,
        [
            "0 sync token",
            "0 sync report",
            "5 sync report",
            "5 sync refused",
            "5 sender token",
            "5 sender refused"
        ]
    );
    assert!(accesses[1].detail.contains("lsid=a"), "{:?}", accesses[1]);
    assert!(
        accesses[2].detail.contains("limit=rep:7"),
        "{:?}",
        accesses[2]
    );
    let all = format!("{accesses:?}");
    for secret in [
        &token,
        &sender_token,
        &login.secret,
        &sender.secret,
        &bad.secret,
    ] {
        assert!(!all.contains(secret.as_str()), "{all}");
    }
    assert!(!all.contains("hunter2"), "{all}");
}
