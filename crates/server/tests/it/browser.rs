//! The pages in a real browser: what strangers typed does nothing, recordings play, and the
//! policies leave each page what it needs.

mod driver;

use std::sync::Arc;
use std::thread;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use debrief::pages::{self, Downloads, Page, Show};
use debrief::recording::cast;
use debrief_domain::{ActorKind, At};
use debrief_report::{Line, LineKind, Party, Transcript};
use tokio::net::TcpListener;

use driver::{Browser, Scheme, Screen};

const WEBM: &[u8] = include_bytes!("../fixtures/meshcentral/desk.webm");
const CAST: &[u8] = include_bytes!("../fixtures/meshcentral/t.cast");
const TYPESCRIPT: &[u8] = include_bytes!("../fixtures/guacamole/sess1.typescript");
const TIMING: &[u8] = include_bytes!("../fixtures/guacamole/sess1.typescript.timing");

// ---- A small server ----

/// Serves one page at `/`, the program's assets and the recordings, until the test ends.
fn serve(page: Page) -> String {
    let page = Arc::new(page);
    let show = move || async move { pages::respond(StatusCode::OK, Page::clone(&page)) };
    let router = Router::new()
        .route("/", get(show))
        .route("/assets/{name}", get(pages::assets::show_asset))
        .route("/files/{name}", get(file));
    let (told, address) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    format!("http://{}/", address.recv().unwrap())
}

/// A recording, or the range of it that was asked for.
async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let (media_type, bytes) = match &*name {
        "desk.webm" => ("video/webm", WEBM.to_vec()),
        "t.cast" => ("application/x-asciicast", CAST.to_vec()),
        "typescript.cast" => {
            let mut converted = Vec::new();
            cast::from_timed_typescript(TYPESCRIPT, TIMING, &mut converted).unwrap();
            ("application/x-asciicast", converted)
        }
        "at-once.cast" => {
            let mut converted = Vec::new();
            cast::from_typescript(TYPESCRIPT, &mut converted).unwrap();
            ("application/x-asciicast", converted)
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let about = [
        (header::CONTENT_TYPE, media_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::ACCEPT_RANGES, "bytes"),
    ];
    let range = headers.get(header::RANGE).and_then(|r| r.to_str().ok());
    let asked = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((begin, end)) = asked else {
        return (about, bytes).into_response();
    };
    let begin: usize = begin.parse().unwrap();
    let last = end.parse().unwrap_or(bytes.len() - 1).min(bytes.len() - 1);
    let range = format!("bytes {begin}-{last}/{}", bytes.len());
    let part = bytes[begin..=last].to_vec();
    let ranged = [(header::CONTENT_RANGE, range)];
    (StatusCode::PARTIAL_CONTENT, about, ranged, part).into_response()
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
        "␀nul, ␇bell and ␛[31mred␛[0m, made visible",
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

fn party(kind: ActorKind, name: &str) -> Party {
    Party {
        kind,
        name: name.into(),
    }
}

const START: i64 = 1_733_239_565;

/// Lines of a session, a few seconds apart.
struct Talk(Vec<Line>);

impl Talk {
    fn add(&mut self, kind: LineKind, who: &Party, text: &str) -> &mut Line {
        let at = START + 17 * self.0.len() as i64;
        self.0.push(Line {
            at: At::from_secs(at).ok(),
            who: who.clone(),
            to: None,
            kind,
            event_type: String::new(),
            text: text.into(),
        });
        self.0.last_mut().unwrap()
    }

    fn page(self, customer: &str) -> Page {
        let transcript = Transcript {
            lsid: "e9e99aeb9ad54fb381634498502c5a1b".into(),
            customers: vec![customer.into()],
            representatives: vec!["Ann Bell".into(), "Jürgen Groß".into()],
            public_site: "Kestrel Help Desk".into(),
            start: At::from_secs(START).ok(),
            end: At::from_secs(START + 902).ok(),
            lines: self.0,
        };
        let downloads = Downloads {
            text: "/files/transcript.txt".into(),
            json: "/files/transcript.json".into(),
        };
        pages::transcript(&transcript, &downloads)
    }
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

#[test]
fn what_strangers_typed_is_shown_as_typed_and_does_nothing() {
    let hostile = "<b onclick=alert(1)>Mallory</b>\u{5d0}\u{5d1}";
    let mallory = party(ActorKind::Customer, hostile);
    let mut talk = Talk(Vec::new());
    for text in typed() {
        talk.add(LineKind::Chat, &mallory, &text);
        talk.add(LineKind::Event, &mallory, &text);
    }
    let address = serve(talk.page(hostile));
    let browser = Browser::start();
    for (screen, name) in [(Screen::Desk, "desk"), (Screen::Phone, "phone")] {
        browser.look_on(screen, Scheme::Light);
        browser.open(&address);
        check_harmless(&browser);
        for kind in ["message", "event"] {
            let texts =
                format!("[...document.querySelectorAll('.{kind} .text')].map(e => e.innerText)");
            assert_eq!(browser.value(&texts), serde_json::Value::from(typed()));
        }
        let name_shown = "document.querySelector('.who').innerText";
        assert_eq!(browser.value(name_shown), hostile);
        // Each text has its own direction, and keeps it to itself.
        let directions = "[...document.querySelectorAll('.message .text')]\
                          .filter(e => getComputedStyle(e).direction === 'rtl').map(e => e.innerText)";
        assert_eq!(browser.value(directions), serde_json::json!([HEBREW]));
        let isolated = "[...document.querySelectorAll('.text')]\
                        .every(e => getComputedStyle(e).unicodeBidi === 'isolate')";
        assert_eq!(browser.value(isolated), true);
        browser.scroll_to(".message:nth-of-type(18)");
        browser.screenshot(&format!("hostile-{name}"));
    }
}

#[test]
fn a_transcript_is_good_to_read() {
    let system = party(ActorKind::System, "System");
    let customer = party(ActorKind::Customer, "Cleo Marsh");
    let ann = party(ActorKind::Representative, "Ann Bell");
    let juergen = party(ActorKind::Representative, "Jürgen Groß");
    let mut talk = Talk(Vec::new());
    talk.add(LineKind::Event, &system, "The session started.");
    talk.add(LineKind::Event, &customer, "Cleo Marsh joined the session.");
    talk.add(LineKind::Event, &ann, "Ann Bell joined the session.");
    talk.add(LineKind::Event, &system, "Ann Bell now owns the session.");
    talk.add(
        LineKind::Chat,
        &ann,
        "Hello Cleo, this is Ann. What can I do for you?",
    );
    talk.add(
        LineKind::Chat,
        &customer,
        "Hi! Since this morning the label printer on floor 3 prints every label twice, and the \
         second one is always shifted by half a centimetre. I already turned it off and on again.",
    );
    talk.add(
        LineKind::Chat,
        &customer,
        "It is the one next to the kitchen 🙂",
    );
    talk.add(
        LineKind::Chat,
        &system,
        "Ann Bell can now view and control the endpoint.",
    );
    talk.add(
        LineKind::Event,
        &ann,
        "The file “C:\\Temp\\printer-driver-4.2.msi” (12 MB) was uploaded by Ann Bell.",
    );
    talk.add(LineKind::Event, &juergen, "Jürgen Groß joined the session.");
    let line = talk.add(
        LineKind::Chat,
        &ann,
        "Jürgen, is this the driver with the margin bug?",
    );
    line.to = Some(juergen.clone());
    let line = talk.add(LineKind::Chat, &juergen, "Yes. 4.3 has it fixed.");
    line.to = Some(ann.clone());
    talk.add(LineKind::Chat, &customer, HEBREW);
    talk.add(
        LineKind::Chat,
        &ann,
        "Done, please try again.\nIt should print one label now.",
    );
    talk.add(LineKind::Chat, &customer, "Works. Thank you!");
    let last = talk.add(LineKind::Event, &system, "The session ended.");
    last.at = At::from_secs(START + 40_000).ok();
    let address = serve(talk.page("Cleo Marsh"));
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
            let expected = ["3 December 2024, UTC", "4 December 2024, UTC"];
            assert_eq!(browser.value(days), serde_json::json!(expected));
            browser.screenshot(&format!("transcript-{width}-{light}"));
            browser.scroll_to(".event:last-of-type");
            browser.screenshot(&format!("transcript-{width}-{light}-end"));
        }
    }
}

// ---- Recordings ----

fn show(source: &str) -> Show {
    Show {
        title: "Screen recording".into(),
        subtitle: "Session e9e99aeb9ad54fb381634498502c5a1b".into(),
        source: format!("/files/{source}"),
        download: format!("/files/{source}"),
    }
}

#[test]
fn a_video_plays_and_is_sought_in() {
    let address = serve(pages::video(&show("desk.webm")));
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
        assert_eq!(
            browser.value(&format!("{video}.error")),
            serde_json::Value::Null
        );
        assert_eq!(browser.value("document.scripts.length"), 0);
        check_fits(&browser);
        assert_eq!(browser.faults(), Vec::<String>::new());
        browser.screenshot(&format!("video-{width}"));
    }
}

#[test]
fn a_terminal_is_shown_as_it_was() {
    let browser = Browser::start();
    for (source, texts) in [
        ("t.cast", ["hello-from-terminal", "Linux"]),
        ("typescript.cast", ["echo guac-hello; uname -s", "Linux"]),
        ("at-once.cast", ["echo guac-hello; uname -s", "Linux"]),
    ] {
        let show = Show {
            title: "Command shell".into(),
            ..show(source)
        };
        let address = serve(pages::terminal(&show));
        for (screen, width) in [(Screen::Desk, "desk"), (Screen::Phone, "phone")] {
            browser.look_on(screen, Scheme::Light);
            browser.open(&address);
            browser.wait_for("document.querySelector('.ap-overlay-start') !== null");
            browser.screenshot(&format!("terminal-{source}-{width}-start"));
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
            browser.screenshot(&format!("terminal-{source}-{width}"));
        }
    }
}

// ---- One thing to say ----

#[test]
fn a_page_with_one_thing_to_say_is_readable() {
    let offer = pages::offer("Screen recording", "Flash video (FLV)", "/files/desk.webm");
    let refusal = pages::refusal(
        "This link has expired",
        "Links in reports open for 7 days. Ask for the report again to get a new one.",
    );
    let browser = Browser::start();
    for (page, name) in [(offer, "offer"), (refusal, "refusal")] {
        let address = serve(page);
        for (screen, width) in [(Screen::Desk, "desk"), (Screen::Phone, "phone")] {
            browser.look_on(screen, Scheme::Dark);
            browser.open(&address);
            check_harmless(&browser);
            browser.screenshot(&format!("{name}-{width}"));
        }
    }
}
