//! The links of a report: what they lead to, for whom, until when, and what they leave in the
//! access log.

use axum::body::Body;
use axum::http::{Request, header};
use debrief_store::Enabled;
use serde_json::json;

use crate::recordings::{BYTES, path};
use crate::sender::{Sender, event, session};
use crate::world::{NOW, Reply, World, all, at, only};

const WEBM: &[u8] = include_bytes!("../fixtures/meshcentral/desk.webm");
const CAST: &[u8] = include_bytes!("../fixtures/meshcentral/t.cast");
const LIFETIME: i64 = 7 * 24 * 3_600;

/// The session `a`, which has every kind of link, and the reader's report of it.
async fn begin(world: &World) -> String {
    let sender = Sender::new(world, "tool").await;
    let mut story = session("a", 1);
    let mut told = event("told", "a", 1, "Show My Screen Recording");
    told["recording"] = json!({ "kind": "show_my_screen", "instance": 5 });
    story.push(told);
    sender.send(world, &story).await;
    for (rest, bytes) in [
        ("session/0", WEBM),
        ("command_shell/0", CAST),
        ("command_shell/1", BYTES),
        ("command_shell/2", b"Script started on 2026-11-23\nhello"),
    ] {
        let reply = sender.put(world, &path(rest), &[], bytes).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    world.ask("lsid=a").await.text().to_owned()
}

/// The last second in which an address opens: whole hours, so that reports repeat their links.
#[track_caller]
fn expiry(address: &str) -> i64 {
    let expires = address.split("e%3D").last().unwrap().split('&').next();
    let expires: i64 = expires.unwrap().parse().unwrap();
    assert!((NOW + LIFETIME..=NOW + LIFETIME + 3_600).contains(&expires));
    expires
}

/// What an address leads to, with nothing but the address.
async fn open(world: &World, address: &str) -> Reply {
    open_with(world, address, &[]).await
}

async fn open_with(world: &World, address: &str, headers: &[(&str, &str)]) -> Reply {
    let local = &address[address.find("/session_download").unwrap()..];
    let mut request = Request::get(local);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(Body::empty()).unwrap()).await
}

#[track_caller]
fn check(reply: &Reply, status: u16, title: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert!(reply.text().contains(title), "{title} in {}", reply.text());
}

/// The headers of everything that is for one reader.
#[track_caller]
fn check_private(reply: &Reply) {
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert!(reply.header("cache-control").starts_with("private, no-"));
    let policy = reply.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
}

#[track_caller]
fn check_page(reply: &Reply) {
    check_private(reply);
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(reply.header("cache-control"), "private, no-store");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    let policy = reply.header("content-security-policy");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe-inline"), "{policy}");
}

#[tokio::test]
async fn a_transcript_opens_without_a_login_as_a_page_text_and_json() {
    let world = World::new().await;
    let report = begin(&world).await;
    let view = only(&report, "session_chat_view_url");
    let page = open(&world, &view).await;
    check(&page, 200, "a-0");
    check_page(&page);
    let download = only(&report, "session_chat_download_url");
    let text = open(&world, &download).await;
    check(&text, 200, "a-0");
    check_private(&text);
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    let name = "attachment; filename=\"a-chat.txt\"";
    assert_eq!(text.header("content-disposition"), name);
    let json = open(&world, &format!("{download}&form=json")).await;
    check_private(&json);
    assert_eq!(json.header("content-type"), "application/json");
    assert!(json.json().to_string().contains("a-0"));
    assert_eq!(
        open(&world, &format!("{download}&form=csv")).await.status,
        400
    );
    for line in ["&form=text", "&amp;form=json"] {
        assert!(page.text().contains(&line.replace("&form", "&amp;form")));
    }
}

#[tokio::test]
async fn a_recording_opens_as_a_page_for_its_form_and_as_its_file() {
    let world = World::new().await;
    let report = begin(&world).await;
    let video = only(&report, "session_recording_view_url");
    let page = open(&world, &video).await;
    check(&page, 200, "<video");
    check_page(&page);
    assert!(
        page.header("content-security-policy")
            .contains("media-src 'self'")
    );
    assert!(
        !page
            .header("content-security-policy")
            .contains("script-src")
    );
    let file = only(&report, "session_recording_download_url");
    let whole = open(&world, &file).await;
    assert_eq!(
        (whole.status, whole.header("content-type")),
        (200, "video/webm")
    );
    assert!(whole.body == WEBM);
    check_private(&whole);
    let part = open_with(&world, &file, &[("range", "bytes=10-19")]).await;
    assert_eq!((part.status, &part.body[..]), (206, &WEBM[10..20]));
    let views = all(&report, "view_url");
    let files = all(&report, "download_url");
    assert_eq!((views.len(), files.len()), (4, 4));
    // The first is told of by an event, and nobody has handed it in.
    for address in [&views[0], &files[0]] {
        let page = open(&world, address).await;
        check(&page, 404, "nobody has handed the recording in yet");
        check_page(&page);
    }
    let terminal = open(&world, &views[1]).await;
    check(&terminal, 200, "form=cast");
    check_page(&terminal);
    assert!(
        terminal
            .header("content-security-policy")
            .contains("script-src 'self'")
    );
    let cast = open(&world, &format!("{}&form=cast", files[1])).await;
    assert_eq!(
        (cast.status, cast.header("content-type")),
        (200, "application/x-asciicast")
    );
    let unknown = open(&world, &views[2]).await;
    check(&unknown, 200, "session_download?");
    check_page(&unknown);
    assert!(!unknown.text().contains("<video"));
    for form in ["cast", "timing", "json"] {
        let refused = open(&world, &format!("{}&form={form}", files[2])).await;
        assert!(matches!(refused.status, 400 | 404), "{form}");
        check_page(&refused);
    }
    let script = open(&world, &format!("{}&form=cast", files[3])).await;
    check(&script, 200, "hello");
    let timing = open(&world, &format!("{}&form=timing", files[3])).await;
    check(&timing, 404, "timing");
}

#[tokio::test]
async fn an_altered_cut_or_foreign_link_opens_nothing() {
    let world = World::new().await;
    let report = begin(&world).await;
    let file = only(&report, "session_recording_download_url");
    let signature = file
        .split("h%3D")
        .nth(1)
        .unwrap()
        .split('%')
        .next()
        .unwrap();
    let first = if signature.starts_with('0') { '1' } else { '0' };
    let flipped = format!("{first}{}", &signature[1..]);
    let expires = expiry(&file);
    let account = file
        .split("a%3D")
        .nth(1)
        .unwrap()
        .split('%')
        .next()
        .unwrap();
    let replaced = |from: &str, to: &str| {
        assert_eq!(file.matches(from).count(), 1, "{from} in {file}");
        file.replace(from, to)
    };
    for altered in [
        replaced("l%3Da%", "l%3Db%"),
        replaced("m%3Dsession", "m%3Dchat"),
        replaced("m%3Dsession", "m%3Dshow_my_screen"),
        replaced("m%3Dsession", "m%3D"),
        replaced("i%3D0", "i%3D1"),
        replaced(&format!("a%3D{account}%"), "a%3D999%"),
        replaced(&format!("a%3D{account}%"), "a%3D%"),
        replaced(&format!("a%3D{account}%"), "a%3D-1%"),
        replaced(&format!("e%3D{expires}"), &format!("e%3D{}", expires + 1)),
        replaced(&format!("e%3D{expires}"), "e%3D0"),
        replaced("t%3Dsd", "t%3Dxx"),
        replaced(signature, &flipped),
        replaced(signature, ""),
        replaced(signature, &signature[..38]),
        replaced(signature, &format!("{signature}00")),
        replaced("%3Ba%3D", "%3Ba%3D1%3Ba%3D"),
        replaced("l%3Da%", "l%3Da%00%"),
        "/session_download".into(),
        "/session_download?lsid=".into(),
        "/session_download?lsid=%ff%00&view=1".into(),
        file.split("%3Be").next().unwrap().into(),
        // The last one counts.
        format!("{file}&lsid=x"),
    ] {
        let page = open(&world, &altered).await;
        check(&page, 403, "This link is not valid");
        check_page(&page);
    }
    // Another archive has another key.
    let elsewhere = World::new().await;
    begin(&elsewhere).await;
    check(
        &open(&elsewhere, &file).await,
        403,
        "This link is not valid",
    );
    // What is not part of what was signed does not matter.
    assert!(open(&world, &replaced("&dl_action=session", "")).await.body == WEBM);
}

#[tokio::test]
async fn a_link_expires_and_a_bearer_token_opens_it_all_the_same() {
    let world = World::new().await;
    let report = begin(&world).await;
    let file = only(&report, "session_recording_download_url");
    let chat = only(&report, "session_chat_download_url");
    world.clock.set(at(expiry(&file)));
    assert_eq!(open(&world, &file).await.status, 200);
    world.clock.set(at(expiry(&file) + 1));
    for address in [&file, &chat, &format!("{chat}&view=1")] {
        let page = open(&world, address).await;
        check(&page, 410, "This link has expired");
        assert!(page.text().contains("bearer token"));
        check_page(&page);
    }
    let watcher = Sender::with(&world, "watcher", "reporting,recordings", &[]).await;
    let reader = Sender::with(&world, "reports", "reporting", &[]).await;
    let sender = Sender::with(&world, "tool2", "ingest", &[]).await;
    let elsewhere = Sender::with(
        &world,
        "elsewhere",
        "reporting,recordings",
        &["198.51.100.0/24"],
    )
    .await;
    let bearer = async |sender: &Sender, address: &str| {
        let token = format!("Bearer {}", sender.token);
        open_with(&world, address, &[("authorization", &token)])
            .await
            .status
    };
    for (sender, of_file, of_chat) in [
        (&watcher, 200, 200),
        (&reader, 403, 200),
        (&sender, 403, 403),
        (&elsewhere, 403, 403),
    ] {
        let told = (bearer(sender, &file).await, bearer(sender, &chat).await);
        assert_eq!(told, (of_file, of_chat), "{}", sender.token);
    }
    let altered = file.replace("h%3D", "h%3D0");
    assert_eq!(
        bearer(&watcher, &altered).await,
        200,
        "the signature does not matter"
    );
    let cut = file.split("%3Bm").next().unwrap();
    assert_eq!(bearer(&watcher, cut).await, 400);
    let nothing = open_with(&world, &file, &[("authorization", "Bearer nothing")]).await;
    assert_eq!(nothing.status, 401);
    let unknown = file.replace("l%3Da%", "l%3Db%");
    assert_eq!(bearer(&watcher, &unknown).await, 404);
    let chat = chat.replace("l%3Da%", "l%3Db%");
    assert_eq!(bearer(&watcher, &chat).await, 404);
}

#[tokio::test]
async fn a_link_without_an_end_never_expires() {
    let world = World::with(&[("link_lifetime", "0")]).await;
    let report = begin(&world).await;
    world.clock.set(at(NOW * 2));
    let file = only(&report, "session_recording_download_url");
    assert_eq!(open(&world, &file).await.status, 200);
}

#[tokio::test]
async fn a_link_dies_with_its_account_or_its_permission() {
    let world = World::new().await;
    begin(&world).await;
    let watcher = Sender::with(&world, "watcher", "reporting,recordings", &[]).await;
    let report = world
        .ask_as(&watcher.token, "lsid=a")
        .await
        .text()
        .to_owned();
    let file = only(&report, "session_recording_download_url");
    let chat = only(&report, "session_chat_view_url");
    let account = world.store.account_by_client_id("client-watcher").await;
    let account = account.unwrap().unwrap();
    let status = async || {
        (
            open(&world, &file).await.status,
            open(&world, &chat).await.status,
        )
    };
    assert_eq!(status().await, (200, 200));
    world
        .store
        .set_enabled(&account.name, Enabled::No)
        .await
        .unwrap();
    assert_eq!(status().await, (403, 403));
    check(&open(&world, &file).await, 403, "This link was revoked");
    world
        .store
        .set_enabled(&account.name, Enabled::Yes)
        .await
        .unwrap();
    assert_eq!(status().await, (200, 200));
    for (permissions, left) in [("reporting", (403, 200)), ("ingest,admin", (403, 403))] {
        set_permissions(&world, "client-watcher", permissions);
        assert_eq!(status().await, left, "{permissions}");
    }
    check(&open(&world, &chat).await, 403, "This link was revoked");
}

/// Changes the permissions of an account in the archive itself.
fn set_permissions(world: &World, client_id: &str, permissions: &str) {
    let archive = rusqlite::Connection::open(world.data().join("archive.sqlite")).unwrap();
    let changed = archive.execute(
        "UPDATE account SET permissions = ?2 WHERE client_id = ?1",
        [client_id, permissions],
    );
    assert_eq!(changed.unwrap(), 1);
}

#[tokio::test]
async fn links_stand_only_where_there_is_something_for_who_asks() {
    let world = World::new().await;
    begin(&world).await;
    let sender = Sender::new(&world, "tool2").await;
    sender.send(&world, &session("plain", 1)).await;
    sender
        .send(&world, &[event("on", "running", 0, "Session Start")])
        .await;
    let reader = Sender::with(&world, "reports", "reporting", &[]).await;
    for (lsid, is_reader, n_chat, n_recordings) in [
        ("a", true, 2, 2 + 4 * 2),
        ("a", false, 2, 0),
        ("plain", true, 2, 0),
        ("running", true, 0, 0),
    ] {
        let query = format!("lsid={lsid}");
        let report = if is_reader {
            world.ask(&query).await
        } else {
            world.ask_as(&reader.token, &query).await
        };
        let report = report.text();
        let count = |target: &str| report.matches(&format!("dl_action={target}")).count();
        assert_eq!(count("chat"), n_chat, "{lsid}");
        let n_found = count("session") + count("show_my_screen") + count("command_shell");
        assert_eq!(n_found, n_recordings, "{lsid}");
        assert_eq!(report.contains("recordings>"), n_recordings != 0, "{lsid}");
    }
}

#[tokio::test]
async fn opening_a_link_leaves_a_trace_whatever_form_is_asked_for() {
    let world = World::new().await;
    let report = begin(&world).await;
    let looks = async || {
        let entries = world.accesses().await.into_iter();
        let looks = entries.filter(|e| e.action == "transcript" || e.action == "recording");
        looks
            .map(|e| format!("{} {} {} {}", e.who, e.action, e.detail, e.outcome))
            .collect::<Vec<_>>()
    };
    let chat = only(&report, "session_chat_download_url");
    open(&world, &chat).await;
    let mut expected = vec!["reader transcript a by link".to_owned()];
    assert_eq!(looks().await, expected);
    // The recording of a terminal is had as a cast, without the page around it.
    let shell = &all(&report, "download_url")[1];
    open(&world, &format!("{shell}&form=cast")).await;
    expected.push("reader recording a/command_shell/0 by link".into());
    assert_eq!(looks().await, expected);
    // The page is a look; what it fetches for its player is the same one.
    open(&world, &format!("{shell}&view=1")).await;
    open(&world, &format!("{shell}&form=cast")).await;
    expected.push("reader recording a/command_shell/0 by link".into());
    assert_eq!(looks().await, expected);
    // A range that leaves out the first byte is a look, and seeking is not one more.
    let video = only(&report, "session_recording_download_url");
    for first in 1..20 {
        let range = format!("bytes={first}-");
        open_with(&world, &video, &[("range", &range)]).await;
    }
    expected.push("reader recording a/session/0 by link".into());
    assert_eq!(looks().await, expected);
    let watcher = Sender::with(&world, "watcher", "reporting,recordings", &[]).await;
    let token = format!("Bearer {}", watcher.token);
    open_with(
        &world,
        &video,
        &[
            (header::AUTHORIZATION.as_str(), &token),
            ("range", "bytes=5-"),
        ],
    )
    .await;
    expected.push("watcher recording a/session/0 by token".into());
    assert_eq!(looks().await, expected);
}
