//! The pages in a real browser, as they come through the links of a report: what strangers typed
//! does nothing, recordings play, and the policies leave each page what it needs.

mod driver;
mod screen;

use axum::Extension;
use debrief::http::{Peer, router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::sender::{EVENTS, Sender};
use crate::world::{HOME, NOW, World, at, only};
use driver::{Browser, Scheme, Screen};

const WEBM: &[u8] = include_bytes!("../fixtures/meshcentral/desk.webm");
const CAST: &[u8] = include_bytes!("../fixtures/meshcentral/t.cast");
const TYPESCRIPT: &[u8] = include_bytes!("../fixtures/guacamole/sess1.typescript");
const TIMING: &[u8] = include_bytes!("../fixtures/guacamole/sess1.typescript.timing");

// ---- A running Debrief ----

/// A world that listens on a socket: senders write to it, and browsers open what it serves.
struct Site {
    world: World,
    sender: Sender,
    /// Such as `http://127.0.0.1:40123`.
    address: String,
}

impl Site {
    async fn open() -> Site {
        let world = World::new().await;
        let allow = "reporting,recordings,ingest";
        let sender = Sender::with(&world, "desk", allow, &[]).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = router(world.app.clone()).layer(Extension(Peer(HOME.parse().unwrap())));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Site {
            world,
            sender,
            address,
        }
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.sender.token)
    }

    /// Sends events; all must be taken.
    fn tell(&self, events: &[Value]) {
        let sent = ureq::post(format!("{}{EVENTS}", self.address))
            .header("Authorization", self.bearer())
            .send_json(events);
        sent.unwrap();
    }

    /// Sends a session of nothing but a beginning and an end.
    fn tell_short(&self, lsid: &str) {
        let mut talk = Talk::new(lsid, "Cleo Marsh");
        talk.add("Session End", SYSTEM, json!({}));
        self.tell(&talk.events);
    }

    /// Hands a recording in, such as `command_shell/0`.
    fn hand_in(&self, lsid: &str, name: &str, bytes: &[u8]) {
        let path = format!("/api/v1/sessions/{lsid}/recordings/{name}");
        let sent = ureq::put(format!("{}{path}", self.address))
            .header("Authorization", self.bearer())
            .send(bytes);
        assert_eq!(sent.unwrap().status(), 201);
    }

    /// The only link of this name in the session's report.
    #[track_caller]
    fn link(&self, lsid: &str, name: &str) -> String {
        let query = format!("/api/reporting?generate_report=SupportSession&lsid={lsid}");
        let report = ureq::get(format!("{}{query}", self.address))
            .header("Authorization", self.bearer())
            .call();
        let report = report.unwrap().body_mut().read_to_string().unwrap();
        only(&report, name)
    }
}

// ---- Transcripts ----

const HEBREW: &str = "שלום, המדפסת לא עובדת.";
const OVERRIDE: &str = "\u{202e}gpj.exe photo";

/// What people typed, as the page must show it.
fn typed() -> Vec<String> {
    let mut typed = [
        "<script>window.pwned = 1; alert(1)</script>",
        "<img src=x onerror=\"window.pwned = 1; alert(1)\">",
        "javascript:window.pwned=1;alert(1)",
        "<a href=\"javascript:window.pwned=1\">click me</a>",
        "\"><svg onload=alert(1)>",
        "'\"--></style></title></textarea><script>window.pwned=1</script>",
        "<iframe srcdoc=\"<script>parent.pwned=1</script>\"></iframe>",
        "{{constructor.constructor('window.pwned=1')()}} ${window.pwned=1}",
        "&lt;b&gt;not bold&lt;/b&gt; &#60;script&#62;",
        "\0nul, \u{7}bell and \u{1b}[31mred\u{1b}[0m, made visible",
        OVERRIDE,
        HEBREW,
        "👩‍🔧🏳️‍🌈 新しいプリンター ✓",
        "two lines\n    the second one indented",
    ]
    .map(str::to_owned)
    .to_vec();
    typed.push("W".repeat(10_000));
    typed
}

/// What the page shows of it: control characters as their pictures.
fn shown() -> Vec<String> {
    let pictures = [('\0', "␀"), ('\u{7}', "␇"), ('\u{1b}', "␛")];
    let shown = typed().into_iter().map(|text| {
        pictures
            .iter()
            .fold(text, |text, (c, picture)| text.replace(*c, picture))
    });
    shown.collect()
}

/// Who takes part in a session: the kind of party and the number.
type Party = (&'static str, u32, &'static str);

const SYSTEM: Party = ("system", 0, "System");
const EVERYONE: Party = ("everyone", 0, "");
const CUSTOMER: Party = ("customer", 5, "");
const ANN: Party = ("representative", 7, "Ann Bell");
const JUERGEN: Party = ("representative", 8, "Jürgen Groß");

/// The events of a session, a few seconds apart, on the way to two representatives and an end.
struct Talk {
    lsid: String,
    events: Vec<Value>,
}

impl Talk {
    fn new(lsid: &str, customer: &str) -> Talk {
        let mut talk = Talk {
            lsid: lsid.into(),
            events: Vec::new(),
        };
        let site = json!({ "id": "2", "name": "Kestrel Help Desk" });
        let more = json!({
            "session": { "public_site": site },
            "customer": { "gsnumber": CUSTOMER.1, "username": customer },
        });
        talk.add("Session Start", SYSTEM, more);
        talk
    }

    /// Something happens; `more` are the event's further members.
    fn add(&mut self, kind: &str, who: Party, more: Value) -> &mut Value {
        let n = self.events.len();
        let mut event = json!({
            "id": format!("{}-{n}", self.lsid),
            "lsid": self.lsid,
            "time": NOW - 3_600 + 17 * n as i64,
            "type": kind,
            "performed_by": actor(who),
        });
        let Value::Object(more) = more else {
            panic!("members are an object");
        };
        event.as_object_mut().unwrap().extend(more);
        self.events.push(event);
        self.events.last_mut().unwrap()
    }

    fn joins(&mut self, who: Party, id: &str) {
        let representative = json!({ "gsnumber": who.1, "id": id, "private_display_name": who.2 });
        let more = json!({ "representative": representative });
        self.add("Conference Member Added", who, more);
    }

    fn says(&mut self, who: Party, to: Party, text: &str) {
        let more = json!({ "destination": actor(to), "body": text });
        self.add("Chat Message", who, more);
    }
}

fn actor((kind, gsnumber, name): Party) -> Value {
    let mut actor = json!({ "type": kind });
    if gsnumber != 0 {
        actor["gsnumber"] = gsnumber.into();
    }
    if !name.is_empty() {
        actor["name"] = name.into();
    }
    actor
}

/// No dialog, no script, nothing that runs, nothing blocked, and no sideways scrolling.
#[track_caller]
fn check_harmless(browser: &Browser) {
    assert_eq!(browser.dialog(), None);
    assert_eq!(browser.value("document.scripts.length"), 0);
    assert_eq!(browser.value("typeof window.pwned"), "undefined");
    let active = "document.querySelectorAll('main iframe, main svg, main img, main style').length";
    assert_eq!(browser.value(active), 0);
    let handlers = "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes])\
                    .filter(a => /^on|^style$/i.test(a.name)).length";
    assert_eq!(browser.value(handlers), 0);
    let links = "[...document.links].every(a => a.protocol === 'http:' && a.download !== null)";
    assert_eq!(browser.value(links), true);
    check_fits(browser);
    assert_eq!(browser.faults(), Vec::<String>::new());
}

#[track_caller]
fn check_fits(browser: &Browser) {
    let excess = "document.documentElement.scrollWidth - window.innerWidth";
    assert_eq!(browser.value(excess), 0, "the page scrolls sideways");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_strangers_typed_is_shown_as_typed_and_does_nothing() {
    let site = Site::open().await;
    let hostile = "<b onclick=alert(1)>Mallory</b>\u{5d0}\u{5d1}";
    let mut talk = Talk::new("hostile", hostile);
    for text in typed() {
        talk.says(CUSTOMER, EVERYONE, &text);
        let name: String = text.chars().take(200).collect();
        talk.add("File Upload", CUSTOMER, json!({ "filename": name }));
        talk.add("Session Note Added", CUSTOMER, json!({ "body": text }));
    }
    talk.add("Session End", SYSTEM, json!({}));
    site.tell(&talk.events);
    let address = site.link("hostile", "session_chat_view_url");
    let browser = Browser::start();
    for (screen, name) in [(Screen::Desk, "desk"), (Screen::Phone, "phone")] {
        browser.look_on(screen, Scheme::Light);
        browser.open(&address);
        check_harmless(&browser);
        let texts = "[...document.querySelectorAll('.message .text')].map(e => e.innerText)";
        assert_eq!(browser.value(texts), Value::from(shown()));
        // Beside them the beginning and the end, and two sentences on each.
        let n_events = "document.querySelectorAll('.event').length";
        assert_eq!(browser.value(n_events), 2 + 2 * typed().len());
        let name_shown = "document.querySelector('.who').innerText";
        assert_eq!(browser.value(name_shown), hostile);
        // Each text has its own direction, and keeps it to itself.
        let directions = "[...document.querySelectorAll('.message .text')]\
                          .filter(e => getComputedStyle(e).direction === 'rtl').map(e => e.innerText)";
        assert_eq!(browser.value(directions), json!([HEBREW]));
        let isolated = "[...document.querySelectorAll('.text')]\
                        .every(e => getComputedStyle(e).unicodeBidi === 'isolate')";
        assert_eq!(browser.value(isolated), true);
        browser.scroll_to(".message:nth-of-type(18)");
        browser.screenshot(&format!("hostile-{name}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transcript_is_good_to_read() {
    let site = Site::open().await;
    let mut talk = Talk::new("talk", "Cleo Marsh");
    talk.joins(ANN, "7");
    let owner = json!({ "destination": actor(ANN) });
    talk.add("Conference Owner Changed", SYSTEM, owner);
    talk.says(
        ANN,
        EVERYONE,
        "Hello Cleo, this is Ann. What can I do for you?",
    );
    talk.says(
        CUSTOMER,
        EVERYONE,
        "Hi! Since this morning the label printer on floor 3 prints every label twice, and the \
         second one is always shifted by half a centimetre. I already turned it off and on again.",
    );
    talk.says(CUSTOMER, EVERYONE, "It is the one next to the kitchen 🙂");
    talk.says(
        SYSTEM,
        EVERYONE,
        "Ann Bell can now view and control the endpoint.",
    );
    let file = json!({ "filename": "C:\\Temp\\printer-driver-4.2.msi", "filesize": 12_582_912 });
    talk.add("File Upload", ANN, file);
    talk.joins(JUERGEN, "8");
    talk.says(
        ANN,
        JUERGEN,
        "Jürgen, is this the driver with the margin bug?",
    );
    talk.says(JUERGEN, ANN, "Yes. 4.3 has it fixed.");
    talk.says(CUSTOMER, EVERYONE, HEBREW);
    talk.says(
        ANN,
        EVERYONE,
        "Done, please try again.\nIt should print one label now.",
    );
    talk.says(CUSTOMER, EVERYONE, "Works. Thank you!");
    // The last thing happens on another day.
    let last = talk.add("Session End", SYSTEM, json!({}));
    last["time"] = (NOW + 43_200).into();
    site.world.clock.set(at(NOW + 50_000));
    site.tell(&talk.events);
    let address = site.link("talk", "session_chat_view_url");
    let browser = Browser::start();
    for (screen, width) in [(Screen::Desk, "desk"), (Screen::Phone, "phone")] {
        for (scheme, light) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            browser.look_on(screen, scheme);
            browser.open(&address);
            check_harmless(&browser);
            let colours = "new Set([...document.querySelectorAll('.message')]\
                           .map(e => getComputedStyle(e).backgroundColor)).size";
            assert_eq!(browser.value(colours), 3);
            let days = "[...document.querySelectorAll('.day')].map(e => e.innerText)";
            let expected = ["15 November 2016, UTC", "16 November 2016, UTC"];
            assert_eq!(browser.value(days), json!(expected));
            browser.screenshot(&format!("transcript-{width}-{light}"));
            browser.scroll_to(".event:last-of-type");
            browser.screenshot(&format!("transcript-{width}-{light}-end"));
        }
    }
}

// ---- Recordings ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_video_plays_and_is_sought_in() {
    let site = Site::open().await;
    site.tell_short("video");
    site.hand_in("video", "session/0", WEBM);
    let address = site.link("video", "session_recording_view_url");
    let browser = Browser::start();
    for (screen, width) in [(Screen::Desk, "desk"), (Screen::Phone, "phone")] {
        browser.look_on(screen, Scheme::Light);
        browser.open(&address);
        let video = "document.querySelector('video')";
        browser.wait_for(&format!("{video}.readyState > 0"));
        browser.value(&format!("void ({video}.muted = true, {video}.play())"));
        browser.wait_for(&format!("{video}.currentTime > 0.1"));
        browser.value(&format!("void {video}.pause()"));
        let duration = browser.value(&format!("{video}.duration"));
        let middle = duration.as_f64().expect("a video has a duration") / 2.0;
        browser.value(&format!("void ({video}.currentTime = {middle})"));
        browser.wait_for(&format!("!{video}.seeking && {video}.readyState > 1"));
        let at = browser.value(&format!("{video}.currentTime")).as_f64();
        assert!((at.unwrap() - middle).abs() < 0.01, "{at:?} of {duration}");
        assert_eq!(browser.value(&format!("{video}.error")), Value::Null);
        assert_eq!(browser.value("document.scripts.length"), 0);
        check_fits(&browser);
        assert_eq!(browser.faults(), Vec::<String>::new());
        browser.screenshot(&format!("video-{width}"));
    }
    // A browser seeks by asking for a part of the file.
    let source = browser.value("document.querySelector('video').src");
    let part = ureq::get(source.as_str().unwrap())
        .header("Range", "bytes=1000-1999")
        .call()
        .unwrap();
    let told = part.headers()["content-range"].to_str().unwrap();
    assert_eq!(told, format!("bytes 1000-1999/{}", WEBM.len()));
    assert_eq!(part.status(), 206);
}

/// A ttyrec: seconds, microseconds, length, then the bytes of each frame.
fn ttyrec(frames: &[(u32, &str)]) -> Vec<u8> {
    let frames = frames.iter().flat_map(|(secs, text)| {
        let words = [*secs, 0, text.len() as u32].map(u32::to_le_bytes);
        [words.as_flattened(), text.as_bytes()].concat()
    });
    frames.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_shown_as_it_was() {
    let site = Site::open().await;
    let frames = ttyrec(&[
        (1_479_200_000, "$ uname\r\n"),
        (1_479_200_001, "Linux\r\n"),
        (1_479_200_003, "\u{1b}[32m$\u{1b}[0m "),
    ]);
    let browser = Browser::start();
    for (lsid, recording, timing, texts) in [
        ("asciicast", CAST, None, ["hello-from-terminal", "Linux"]),
        (
            "timed",
            TYPESCRIPT,
            Some(TIMING),
            ["echo guac-hello; uname -s", "Linux"],
        ),
        (
            "at-once",
            TYPESCRIPT,
            None,
            ["echo guac-hello; uname -s", "Linux"],
        ),
        ("ttyrec", &frames, None, ["$ uname", "Linux"]),
    ] {
        site.tell_short(lsid);
        site.hand_in(lsid, "command_shell/0", recording);
        if let Some(timing) = timing {
            site.hand_in(lsid, "command_shell/0/timing", timing);
        }
        let address = site.link(lsid, "view_url");
        for (screen, width) in [(Screen::Desk, "desk"), (Screen::Phone, "phone")] {
            browser.look_on(screen, Scheme::Light);
            browser.open(&address);
            browser.wait_for("document.querySelector('.ap-overlay-start') !== null");
            browser.screenshot(&format!("terminal-{lsid}-{width}-start"));
            browser.click(".ap-overlay-start");
            // Nine tenths of the way.
            browser.press("9");
            let shown = "document.querySelector('.ap-term').innerText";
            for text in texts {
                browser.wait_for(&format!("{shown}.includes('{text}')"));
            }
            assert_eq!(browser.dialog(), None);
            check_fits(&browser);
            let bottom = "document.querySelector('.ap-control-bar').getBoundingClientRect().bottom";
            assert_eq!(
                browser.value(&format!("{bottom} <= window.innerHeight")),
                true
            );
            assert_eq!(browser.faults(), Vec::<String>::new());
            browser.screenshot(&format!("terminal-{lsid}-{width}"));
        }
    }
}

// ---- One thing to say ----

/// Looks at a page with one thing to say, whose status may be a refusal, on both screens.
#[track_caller]
fn check_notice(browser: &Browser, address: &str, name: &str, heading: &str, sentence: &str) {
    for (screen, width) in [(Screen::Desk, "desk"), (Screen::Phone, "phone")] {
        browser.look_on(screen, Scheme::Dark);
        browser.open(address);
        // The console tells of a refusal; of anything else it must not.
        let mut faults = browser.faults();
        faults.retain(|fault| !fault.contains("the server responded with a status of 4"));
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(
            browser.value("document.querySelector('h1').innerText"),
            heading
        );
        let text = browser.value("document.querySelector('main').innerText");
        assert!(text.as_str().unwrap().contains(sentence), "{text}");
        check_harmless(browser);
        browser.screenshot(&format!("{name}-{width}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_browser_plays_is_offered_and_what_is_not_there_is_said() {
    let site = Site::open().await;
    site.tell_short("flash");
    site.hand_in("flash", "session/0", b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
    let flash = site.link("flash", "session_recording_view_url");
    let mut told = Talk::new("told", "Cleo Marsh");
    let recorded = json!({ "recording": { "kind": "command_shell", "instance": 0 } });
    told.joins(ANN, "7");
    told.add("Command Shell Session Started", ANN, recorded);
    told.add("Session End", SYSTEM, json!({}));
    site.tell(&told.events);
    let absent = site.link("told", "view_url");
    let chat = site.link("told", "session_chat_view_url");
    let browser = Browser::start();
    check_notice(
        &browser,
        &flash,
        "offer",
        "Session recording",
        "Flash video",
    );
    let download = "document.querySelector('a.button').href";
    let download = browser.value(download);
    let mut file = ureq::get(download.as_str().unwrap()).call().unwrap();
    assert!(file.body_mut().read_to_vec().unwrap().starts_with(b"FLV"));
    check_notice(
        &browser,
        &absent,
        "absent",
        "This recording is not here",
        "nobody has handed the recording in yet",
    );
    let altered = chat.replacen("told", "tall", 1);
    assert_ne!(altered, chat);
    check_notice(
        &browser,
        &altered,
        "altered",
        "This link is not valid",
        "It was changed",
    );
    site.world.clock.set(at(NOW + 9 * 86_400));
    check_notice(
        &browser,
        &chat,
        "expired",
        "This link has expired",
        "Ask for the report again",
    );
}
