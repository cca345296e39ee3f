use proptest::prelude::*;
use serde_json::Value;

use super::*;

const TYPESCRIPT: &[u8] = include_bytes!("../../../tests/fixtures/guacamole/sess1.typescript");
const TIMING: &[u8] = include_bytes!("../../../tests/fixtures/guacamole/sess1.typescript.timing");
const TYPED: &str = include_str!("../../../tests/fixtures/guacamole/sess1.txt");
const CAST: &[u8] = include_bytes!("../../../tests/fixtures/meshcentral/t.cast");

// ---- The API, in one place ----

fn ttyrec(bytes: &[u8]) -> (String, Result<Ending, CastError>) {
    let mut out = Vec::new();
    let ending = from_ttyrec(bytes, &mut out);
    (String::from_utf8(out).unwrap(), ending)
}

fn untimed(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    assert_eq!(from_typescript(bytes, &mut out).unwrap(), Ending::Whole);
    String::from_utf8(out).unwrap()
}

fn timed(bytes: &[u8], timing: &[u8]) -> (String, Result<Ending, CastError>) {
    let mut out = Vec::new();
    let ending = from_timed_typescript(bytes, timing, &mut out);
    (String::from_utf8(out).unwrap(), ending)
}

// ---- What the results say ----

/// Header and events; every line is JSON, times never run backwards.
fn read(cast: &str) -> (Value, Vec<(f64, String, String)>) {
    let mut lines = cast.lines();
    let header: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(header["version"], 2);
    let events: Vec<(f64, String, String)> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(events.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    (header, events)
}

fn output(cast: &str) -> String {
    let (_, events) = read(cast);
    let texts = events.iter().filter(|(_, code, _)| code == "o");
    texts.map(|(_, _, text)| text.as_str()).collect()
}

fn frame(micros: u64, text: &[u8]) -> Vec<u8> {
    let words = [micros / 1_000_000, micros % 1_000_000, text.len() as u64];
    let header: Vec<u8> = words
        .iter()
        .flat_map(|word| (*word as u32).to_le_bytes())
        .collect();
    [&header, text].concat()
}

fn between<'a>(bytes: &'a [u8], begin: &[u8], end: &[u8]) -> &'a [u8] {
    bytes
        .strip_prefix(begin)
        .unwrap()
        .strip_suffix(end)
        .unwrap()
}

fn guacamole_output() -> &'static str {
    let text = between(TYPESCRIPT, b"[BEGIN TYPESCRIPT]\n", b"\n[END TYPESCRIPT]\n");
    std::str::from_utf8(text).unwrap()
}

#[test]
fn a_typescript_of_guacd_keeps_every_byte_and_every_delay() {
    let (cast, ending) = timed(TYPESCRIPT, TIMING);
    assert_eq!(ending.unwrap(), Ending::Whole);
    assert_eq!(output(&cast), guacamole_output());
    assert!(output(&cast).contains(&TYPED.trim_end().replace('\n', "\r\n")));
    let (header, events) = read(&cast);
    assert_eq!(
        (&header["width"], &header["height"]),
        (&80.into(), &24.into())
    );
    let delays = std::str::from_utf8(TIMING).unwrap().lines();
    let delays: Vec<f64> = delays
        .map(|l| l.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(events.len(), delays.len());
    let last = events.last().unwrap().0;
    assert!((last - delays.iter().sum::<f64>()).abs() < 1e-6, "{last}");
}

#[test]
fn without_its_times_a_typescript_is_there_at_once() {
    let cast = untimed(TYPESCRIPT);
    assert_eq!(output(&cast), guacamole_output());
    assert!(read(&cast).1.iter().all(|(at, ..)| *at == 0.0));
    let script = "Script started on 2026 [TERM=\"xterm\" COLUMNS=\"132\" LINES=\"50\"]\n\
                  $ exit\r\n\nScript done on 2026 [COMMAND_EXIT_CODE=\"0\"]\n";
    let cast = untimed(script.as_bytes());
    assert_eq!(output(&cast), "$ exit\r\n");
    assert_eq!(
        (&read(&cast).0["width"], &read(&cast).0["height"]),
        (&132.into(), &50.into())
    );
    assert_eq!(output(&untimed(b"")), "");
    assert_eq!(output(&untimed(b"no first line")), "no first line");
    let long = "ä".repeat(3 * BLOCK_BYTES);
    assert_eq!(output(&untimed(long.as_bytes())), long);
}

#[test]
fn the_advanced_form_tells_sizes_and_what_was_typed() {
    let timing = "H 0.0 COLUMNS 100\nH 0.0 LINES 30\nH 0.0 OUTPUT_LOG both\nH 0.0 INPUT_LOG both\n\
                  O 0.5 2\nI 0.25 1\nS 0.25 SIGWINCH ROWS=0 COLS=99999\nO 0.1 1\n";
    let (cast, _) = timed(b"$ ab\nScript done on x\n", timing.as_bytes());
    let (header, events) = read(&cast);
    assert_eq!(header["width"], 100);
    let expected = [
        (0.5, "o", "$ "),
        (0.75, "i", "a"),
        (1.0, "r", "1000x1"),
        (1.1, "o", "b"),
    ];
    let expected = expected.map(|(at, code, text)| (at, code.to_owned(), text.to_owned()));
    assert_eq!(events, expected);
    let apart = timing.replace("INPUT_LOG both", "INPUT_LOG other");
    assert_eq!(output(&timed(b"$ b", apart.as_bytes()).0), "$ b");
}

#[test]
fn a_ttyrec_made_of_a_cast_gives_the_cast_again() {
    let (_, events) = read(std::str::from_utf8(CAST).unwrap());
    let begin = 1_795_399_110_u64;
    let micros = |at: f64| (at * 1e6).round() as u64;
    let shown = || events.iter().filter(|(_, code, _)| code == "o");
    let frames: Vec<u8> = shown()
        .flat_map(|(at, _, text)| frame(begin * 1_000_000 + micros(*at), text.as_bytes()))
        .collect();
    let (cast, ending) = ttyrec(&frames);
    assert_eq!(ending.unwrap(), Ending::Whole);
    let (header, again) = read(&cast);
    assert_eq!(header["timestamp"], begin);
    let first = micros(shown().next().unwrap().0);
    let expected: Vec<(u64, &str)> = shown()
        .map(|(at, _, text)| (micros(*at) - first, text.as_str()))
        .collect();
    let found: Vec<(u64, &str)> = again
        .iter()
        .map(|(at, _, text)| (micros(*at), text.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn an_asciicast_is_left_as_it_is() {
    let mut out = Vec::new();
    from_asciicast(CAST, &mut out).unwrap();
    assert_eq!(out, CAST);
}

#[test]
fn a_clock_that_was_set_back_stands_still() {
    let frames = [
        frame(5_000_000, b"a"),
        frame(4_000_000, b"b"),
        frame(6_000_000, b"c"),
    ]
    .concat();
    let at: Vec<f64> = read(&ttyrec(&frames).0)
        .1
        .iter()
        .map(|event| event.0)
        .collect();
    assert_eq!(at, [0.0, 0.0, 1.0]);
}

#[test]
fn what_breaks_off_is_converted_as_far_as_it_goes() {
    let whole = [frame(1, b"first"), frame(2, b"second")].concat();
    for (len, text) in [(18, "first"), (30, "firsts"), (17, "first"), (0, "")] {
        let (cast, ending) = ttyrec(&whole[..len]);
        let is_end_of_frame = len == 17 || len == 0;
        let broken = Ending::BrokenOff { byte: len as u64 };
        assert_eq!(
            ending.unwrap(),
            if is_end_of_frame {
                Ending::Whole
            } else {
                broken
            }
        );
        assert_eq!(output(&cast), text);
    }
    let (cast, ending) = timed(b"abc", b"0.1 2\n0.1 2\n");
    assert_eq!(ending.unwrap(), Ending::BrokenOff { byte: 3 });
    assert_eq!(output(&cast), "abc");
}

#[test]
fn what_contradicts_itself_is_refused_with_its_place() {
    let message = |ending: Result<Ending, CastError>| ending.unwrap_err().to_string();
    let mut long = frame(1, b"x");
    long.extend(
        [1_u32, 0, FRAME_BYTES_MAX + 1]
            .iter()
            .flat_map(|word| word.to_le_bytes()),
    );
    let told = format!(
        "byte 13: a frame of {} bytes; at most 16777216",
        FRAME_BYTES_MAX + 1
    );
    assert_eq!(message(ttyrec(&long).1), told);
    let micros = [1_u32, 1_000_000, 0].map(u32::to_le_bytes).concat();
    let told = "byte 0: a frame at 1000000 millionths of a second";
    assert_eq!(message(ttyrec(&micros).1), told);
    let told = "timing, line 2: `x` is no delay";
    assert_eq!(message(timed(b"ab", b"0.1 1\nx 1\n").1), told);
    let mut line = b"0.1 1".to_vec();
    line.resize(LINE_BYTES_MAX, b' ');
    assert_eq!(timed(b"a", &line).1.unwrap(), Ending::Whole);
    line.push(b' ');
    assert_eq!(
        message(timed(b"a", &line).1),
        "timing, line 1: longer than 4096 bytes"
    );
}

#[test]
fn a_frame_of_the_longest_length_is_converted_in_blocks() {
    let header = [1, 0, FRAME_BYTES_MAX].map(u32::to_le_bytes).concat();
    let endless = header.chain(io::repeat(b'x'));
    let n_bytes = 12 + u64::from(FRAME_BYTES_MAX);
    let mut longest = Longest::default();
    from_ttyrec(endless.take(n_bytes), &mut longest).unwrap();
    assert!(longest.max <= BLOCK_BYTES + 100, "{}", longest.max);
}

/// The longest line that was written.
#[derive(Default)]
struct Longest {
    line: usize,
    max: usize,
}

impl Write for Longest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.line = if *byte == b'\n' { 0 } else { self.line + 1 };
            self.max = self.max.max(self.line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sample with some bytes changed, and cut.
fn mutated(sample: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let len = sample.len();
    let changes = proptest::collection::vec((0..len, any::<u8>()), 0..8);
    (changes, 0..=len).prop_map(move |(changes, len)| {
        let mut bytes = sample.clone();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes.truncate(len);
        bytes
    })
}

fn ttyrec_sample() -> Vec<u8> {
    let texts = ["$ ls\r\n", "ä€😀", "\u{1b}[2J", ""];
    let frames = texts
        .iter()
        .zip(0..)
        .map(|(text, n)| frame(n * 700_000, text.as_bytes()));
    frames.collect::<Vec<_>>().concat()
}

/// Whatever came of it: each line is JSON and none is longer than a block makes it.
fn check_lines(cast: &str) {
    if !cast.is_empty() {
        read(cast);
    }
    assert!(cast.lines().all(|line| line.len() <= 6 * BLOCK_BYTES + 100));
}

proptest! {
    #[test]
    fn no_ttyrec_makes_it_panic(bytes in mutated(ttyrec_sample())) {
        check_lines(&ttyrec(&bytes).0);
    }

    #[test]
    fn no_typescript_makes_it_panic(bytes in mutated(TYPESCRIPT.to_vec()), timing in mutated(TIMING.to_vec())) {
        check_lines(&timed(&bytes, &timing).0);
        check_lines(&untimed(&bytes));
    }

    #[test]
    fn no_character_is_split_wherever_the_frames_end(
        text in "[a-zäß€😀\u{5d0}\r\n]{0,60}",
        cuts in proptest::collection::vec(0_usize..200, 0..8),
    ) {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let frames = cuts.windows(2).map(|pair| frame(0, &bytes[pair[0]..pair[1]]));
        let cast = ttyrec(&frames.collect::<Vec<_>>().concat()).0;
        prop_assert_eq!(output(&cast), text);
    }

    #[test]
    fn bytes_that_are_no_text_are_what_std_makes_of_them(
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
        cut in 0_usize..60,
    ) {
        let (one, two) = bytes.split_at(cut.min(bytes.len()));
        let cast = ttyrec(&[frame(0, one), frame(1, two)].concat()).0;
        prop_assert_eq!(output(&cast), String::from_utf8_lossy(&bytes));
    }
}
