//! The player of desktop recordings.

use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

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

/// A picture of one colour.
fn png(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let row = [&[0][..], &colour.repeat(width as usize)].concat();
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&row.repeat(height as usize)).unwrap();
    let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let chunks = [
        (b"IHDR", [&sides[..], &[8, 2, 0, 0, 0]].concat()),
        (b"IDAT", packed.finish().unwrap()),
        (b"IEND", Vec::new()),
    ];
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, body) in chunks {
        let mut crc = Crc::new();
        crc.update(name);
        crc.update(&body);
        png.extend((body.len() as u32).to_be_bytes());
        png.extend([&name[..], &body, &crc.sum().to_be_bytes()].concat());
    }
    png
}

/// A block with one command of the agent.
fn command(millis: u64, name: u16, x: u16, y: u16, more: &[u8]) -> Vec<u8> {
    let n_bytes = 8 + more.len() as u16;
    let head = [name, n_bytes, x, y].map(u16::to_be_bytes);
    block(2, 1, millis, &[head.as_flattened(), more].concat())
}

/// The colour of a dot.
fn dot(browser: &Browser, x: u32, y: u32) -> Value {
    browser.value(&format!(
        "(() => {{
            const copy = document.createElement('canvas');
            [copy.width, copy.height] = [canvas.width, canvas.height];
            copy.getContext('2d').drawImage(canvas, 0, 0);
            return [...copy.getContext('2d').getImageData({x}, {y}, 1, 1).data].slice(0, 3);
        }})()"
    ))
}

const TILE: u16 = 3;
const SIZE: u16 = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_moment_is_the_same_picture_whichever_way_it_is_reached() {
    let site = Site::open().await;
    let browser = Browser::start();
    let about = b"{\"magic\":\"MeshCentralRelaySession\",\"protocol\":2}";
    let (red, blue) = (png(640, 480, [200, 0, 0]), png(320, 200, [0, 0, 200]));
    let mut mcrec = [
        block(1, 0, 1_000, about),
        command(1_000, SIZE, 640, 480, b""),
        command(1_000, TILE, 0, 0, &red),
    ]
    .concat();
    // A small picture every tenth of a second, each in another place and colour.
    for n in 1..150_u16 {
        let colour = [0, n as u8, 100];
        let (x, y) = (32 * (n % 20), 32 * (n / 20));
        mcrec.extend(command(
            1_000 + 100 * u64::from(n),
            TILE,
            x,
            y,
            &png(32, 32, colour),
        ));
    }
    mcrec.extend(command(16_000, SIZE, 320, 200, b""));
    mcrec.extend(command(16_000, TILE, 0, 0, &blue));
    // An hour in which nothing happens.
    mcrec.extend(command(3_616_000, TILE, 0, 0, &png(320, 200, [0, 99, 0])));
    mcrec.extend(block(3, 0, 3_616_500, b"MeshCentralMCREC"));
    let address = recorded(&site, "changes", &mcrec);
    browser.look_on(Screen::Desk, Scheme::Light);
    browser.open(&address);
    browser.wait_for(IS_READY);
    browser.wait_for(&format!("{WHOLE} === 3615500"));
    let sides = |browser: &Browser| browser.value("[canvas.width, canvas.height]");
    // Of the last moment, of one before the screen changed, and back and forth.
    for millis in [15_500, 5_050, 14_999, 100, 3_000_000, 5_050, 5_150, 0] {
        seek(&browser, millis);
        let n = millis / 100;
        if 15_000 <= millis {
            assert_eq!(sides(&browser), json!([320, 200]));
            assert_eq!(dot(&browser, 300, 100), json!([0, 0, 200]), "{millis}");
            continue;
        }
        assert_eq!(sides(&browser), json!([640, 480]));
        for (place, is_there) in [(1, 1 <= n), (50, 50 <= n), (51, 51 <= n), (149, 149 <= n)] {
            let colour = if is_there {
                [0, place, 100]
            } else {
                [200, 0, 0]
            };
            let (x, y) = (32 * (place % 20) + 16, 32 * (place / 20) + 16);
            assert_eq!(dot(&browser, x, y), json!(colour), "{place} at {millis}");
        }
    }
    // What lies together is fetched together.
    let files = "performance.getEntriesByType('resource')\
                 .filter(e => e.initiatorType === 'fetch').length";
    let n_fetches = browser.value(files).as_u64().unwrap();
    assert!(n_fetches < 20, "{n_fetches}");
    // Played at its fastest, the hour is skipped.
    browser.value("void (speed.value = '160')");
    browser.click("#pauses");
    seek(&browser, 12_000);
    browser.click("#play");
    browser.wait_for(&format!("{POSITION} === {WHOLE} && !drawing"));
    assert_eq!(dot(&browser, 300, 100), json!([0, 99, 0]));
    assert_eq!(
        browser.value(SAID),
        "Recorded 1 January 1970 at 00:00:01 UTC."
    );
    assert_eq!(browser.faults(), Vec::<String>::new());
    browser.screenshot("screen-changes");
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
    let expected =
        "The recording breaks off before its end. Pictures that are damaged are left out.";
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
