//! The player of desktop recordings.

use super::*;

const DESKTOP: &[u8] = include_bytes!("../../fixtures/meshcentral/desktop.mcrec");
const TERMINAL: &[u8] = include_bytes!("../../fixtures/meshcentral/terminal.mcrec");
const FILES: &[u8] = include_bytes!("../../fixtures/meshcentral/relay.mcrec");

/// What the dots of the picture are worth, looked at in a copy, since nobody reads the original.
macro_rules! dots {
    ($worth:literal) => {
        concat!(
            "(() => {
                const copy = document.createElement('canvas');
                [copy.width, copy.height] = [canvas.width, canvas.height];
                const context = copy.getContext('2d', { willReadFrequently: true });
                context.drawImage(canvas, 0, 0);
                const dots = context.getImageData(0, 0, copy.width, copy.height).data;
                return ",
            $worth,
            ";
            })()"
        )
    };
}

/// How many of 10,000 dots are not black.
const LIT: &str = dots!(
    "Math.round(40_000 / dots.length * dots.filter((dot, at) => at % 4 === 0 && 0 < dot).length)"
);

/// By which two pictures are told apart.
const SUM: &str = dots!("dots.reduce((sum, dot, at) => (sum * 31 + dot + at) % 1_000_003, 7)");

const POSITION: &str = "Number(document.getElementById('position').value)";
const WHOLE: &str = "Number(document.getElementById('position').max)";
const SAID: &str = "document.getElementById('said').innerText";
const IS_READY: &str = "!document.getElementById('play').disabled && drawn > 0 && !drawing";

/// A block of a recording.
fn block(kind: u16, flags: u16, millis: u64, bytes: &[u8]) -> Vec<u8> {
    let mut block = [kind.to_be_bytes(), flags.to_be_bytes()].concat();
    block.extend((bytes.len() as u32).to_be_bytes());
    block.extend(millis.to_be_bytes());
    block.extend(bytes);
    block
}

/// The address of a session's recording.
fn recorded(site: &Site, lsid: &str, bytes: &[u8]) -> String {
    site.tell_short(lsid);
    site.hand_in(lsid, "session/0", bytes);
    site.link(lsid, "session_recording_view_url")
}

#[track_caller]
fn seek(browser: &Browser, millis: u64) -> Value {
    let set =
        format!("void (position.value = {millis}, position.dispatchEvent(new Event('input')))");
    browser.value(&set);
    browser.wait_for("!drawing && drawn === recording.countAt(now)");
    browser.value(SUM)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_desktop_plays_and_is_sought_in() {
    let site = Site::open().await;
    let address = recorded(&site, "desktop", DESKTOP);
    let browser = Browser::start();
    for (screen, scheme, width) in [
        (Screen::Desk, Scheme::Light, "desk"),
        (Screen::Phone, Scheme::Dark, "phone"),
    ] {
        browser.look_on(screen, scheme);
        browser.open(&address);
        browser.wait_for(IS_READY);
        browser.wait_for(&format!("{WHOLE} === 8965"));
        // The first picture is there before anybody presses anything.
        let lit = browser.value(LIT).as_u64().unwrap();
        assert!(500 < lit, "{lit}");
        let size = browser.value("[canvas.width, canvas.height]");
        assert_eq!(size, json!([800, 600]));
        let first = browser.value(SUM);
        browser.screenshot(&format!("screen-{width}-first"));
        browser.click("#play");
        let label = "document.getElementById('play').getAttribute('aria-label')";
        assert_eq!(browser.value(label), "Pause");
        browser.wait_for(&format!("1200 < {POSITION}"));
        browser.click("#play");
        assert_eq!(browser.value(label), "Play");
        let stopped = browser.value(POSITION);
        browser.wait_for("!drawing");
        assert_ne!(browser.value(SUM), first);
        assert_eq!(browser.value(POSITION), stopped);
        // The same moment is the same picture, from before and from behind.
        let middle = seek(&browser, 4_500);
        assert_ne!(middle, first);
        assert_ne!(seek(&browser, 8_965), middle);
        assert_eq!(seek(&browser, 4_500), middle);
        assert_eq!(seek(&browser, 169), first);
        let told = browser.value("position.getAttribute('aria-valuetext')");
        assert_eq!(told, "0:00 of 0:08");
        // Without a mouse.
        browser.press("5");
        browser.wait_for(&format!("{POSITION} === 4483 || {POSITION} === 4482"));
        browser.press("\u{e012}");
        browser.wait_for(&format!("{POSITION} === 0"));
        browser.press("f");
        browser.press("f");
        browser.press(">");
        assert_eq!(browser.value("speed.value"), "20");
        browser.press("9");
        browser.press(" ");
        // It stops by itself at the end.
        browser.wait_for(&format!("{POSITION} === {WHOLE} && {label} === 'Play'"));
        let said = browser.value(SAID);
        let said = said.as_str().unwrap();
        let expected = "Recorded 23 November 2026 at 02:01:13 UTC, device \u{2068}vm\u{2069}, \
                        by \u{2068}Probe\u{2069}.";
        assert_eq!(said, expected);
        check_fits(&browser);
        assert_eq!(browser.dialog(), None);
        assert_eq!(browser.faults(), Vec::<String>::new());
        browser.screenshot(&format!("screen-{width}"));
    }
    // What is kept is what came.
    let file = browser.value("document.querySelector('a.button').href");
    let mut file = ureq::get(file.as_str().unwrap()).call().unwrap();
    assert!(file.body_mut().read_to_vec().unwrap() == DESKTOP);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pointer_is_seen_and_damage_is_said() {
    let site = Site::open().await;
    let browser = Browser::start();
    // The beginning with the first picture, a pressed button, a picture that is none, and no end.
    let began = 1_795_399_273_392;
    let pressed = [0, 2, 0, 10, 0, 2, 1, 0x90, 1, 0x2c];
    let no_picture = b"\0\x03\0\x15\0\0\0\0\xff\xd8\xff\xc0\0\x0b\x08\0\x10\0\x10\x01\0";
    let damaged = [
        &DESKTOP[..17_780],
        &block(2, 3, began + 1_000, &pressed),
        &block(2, 1, began + 2_000, no_picture),
        &[0, 9, 9],
    ];
    let address = recorded(&site, "damaged", &damaged.concat());
    browser.look_on(Screen::Desk, Scheme::Dark);
    browser.open(&address);
    browser.wait_for(IS_READY);
    browser.wait_for(&format!("{WHOLE} === 2000"));
    assert_eq!(browser.value("pointer.hidden"), true);
    seek(&browser, 1_500);
    assert_eq!(browser.value("pointer.hidden"), false);
    assert_eq!(
        browser.value("[pointer.style.left, pointer.style.top, pointer.className]"),
        json!(["50%", "50%", "pointer pressed"])
    );
    browser.screenshot("screen-pointer");
    seek(&browser, 2_000);
    let said = browser.value(SAID);
    let said = said.as_str().unwrap();
    let expected = "The recording breaks off here. Pictures that are damaged are left out.";
    assert!(said.ends_with(expected), "{said}");
    assert!(500 < browser.value(LIT).as_u64().unwrap());
    assert_eq!(browser.faults(), Vec::<String>::new());
    browser.screenshot("screen-damaged");
    // Nothing but a beginning.
    let address = recorded(&site, "empty", &DESKTOP[..500]);
    browser.open(&address);
    browser.wait_for(&format!("{SAID}.includes('There is no picture to show.')"));
    assert_eq!(browser.value("play.disabled"), true);
    assert_eq!(browser.faults(), Vec::<String>::new());
    browser.screenshot("screen-empty");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_by_meshcentral_is_shown_as_what_was_relayed() {
    let site = Site::open().await;
    let browser = Browser::start();
    browser.look_on(Screen::Desk, Scheme::Light);
    browser.open(&recorded(&site, "terminal", TERMINAL));
    browser.wait_for("document.querySelector('.ap-overlay-start') !== null");
    let files = recorded(&site, "files", FILES);
    let sentence = "MeshCentral's own recordings";
    check_notice(&browser, &files, "files", "Session recording", sentence);
    assert_eq!(browser.faults(), Vec::<String>::new());
}
