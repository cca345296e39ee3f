use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::recording::mcrec::tests::block;

const ALONE: &[u8] = include_bytes!("../../../tests/fixtures/meshcentral/desktop.mcrec");
const SHARED: &[u8] = include_bytes!("../../../tests/fixtures/meshcentral/desktop-shared.mcrec");

fn convert(mcrec: &[u8]) -> (Ending, String) {
    let mut out = Vec::new();
    let ending = from_mcrec(mcrec, &mut out).unwrap();
    (ending, String::from_utf8(out).unwrap())
}

#[track_caller]
fn check(blocks: &[Vec<u8>], expect: Expect) {
    expect.assert_eq(&convert(&blocks.concat()).1);
}

/// A block of the agent's traffic.
fn agent(millis: u64, commands: &[u8]) -> Vec<u8> {
    block(2, 1, millis, commands)
}

fn command(name: u16, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let n_bytes = 4 + body.len() as u16;
    [&name.to_be_bytes(), &n_bytes.to_be_bytes(), &body[..]].concat()
}

fn size(width: u16, height: u16) -> Vec<u8> {
    command(SIZE, &[&width.to_be_bytes(), &height.to_be_bytes()])
}

/// A picture with nothing but its size.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let [w, h] = [width, height].map(u16::to_be_bytes);
    [b"\xff\xd8\xff\xc0\x00\x0b\x08", &h[..], &w, b"\x01"].concat()
}

fn tile(x: u16, y: u16, image: &[u8]) -> Vec<u8> {
    command(TILE, &[&x.to_be_bytes(), &y.to_be_bytes(), image])
}

fn mouse(millis: u64, button: u8, x: u16, y: u16) -> Vec<u8> {
    let place = [x.to_be_bytes(), y.to_be_bytes()];
    let message = command(MOUSE, &[&[0, button], place.as_flattened()]);
    block(2, 3, millis, &message)
}

const ABOUT: &str = r#"{"magic":"MeshCentralRelaySession","protocol":2,"devicename":"vm"}"#;

fn about() -> Vec<u8> {
    block(1, 0, 5_000, ABOUT.as_bytes())
}

#[test]
fn a_real_desktop_is_listed_with_the_place_of_every_picture() {
    for (mcrec, n_tiles, millis) in [(ALONE, 24, 8_965), (SHARED, 19, 9_979)] {
        let (ending, list) = convert(mcrec);
        assert_eq!(ending, Ending::Whole);
        let lines: Vec<Value> = list
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let (last, lines) = lines.split_last().unwrap();
        let expected = json!({
            "millis": millis, "ending": "whole", "left_out": 0, "sentence": null,
        });
        assert_eq!(*last, expected);
        let tiles: Vec<&Value> = lines.iter().filter(|line| line[1] == "tile").collect();
        assert_eq!(tiles.len(), n_tiles);
        assert_eq!(
            &tiles[0].as_array().unwrap()[1..6],
            &json!(["tile", 0, 0, 800, 608]).as_array().unwrap()[..]
        );
        for tile in tiles {
            let number = |at: usize| tile[at].as_u64().unwrap() as usize;
            let image = &mcrec[number(6)..][..number(7)];
            assert!(image.starts_with(b"\xff\xd8\xff") && image.ends_with(b"\xff\xd9"));
        }
        // Times never run backwards.
        assert!(lines[1..].is_sorted_by_key(|line| line[0].as_u64().unwrap()));
    }
}

#[test]
fn the_first_lines_of_a_real_list() {
    let (_, list) = convert(ALONE);
    let first: Vec<&str> = list.lines().take(4).collect();
    expect![[r#"
        {"form":"debrief-screen","version":1,"began":1795399273392,"device":"vm","user":"Probe"}
        [166,"size",800,600]
        [169,"tile",0,0,800,608,670,17110]
        [680,"tile",64,0,32,96,17804,1088]"#]]
    .assert_eq(&first.join("\n"));
}

#[test]
fn the_pointer_is_told_now_and_then_and_whenever_a_button_changes() {
    check(
        &[
            about(),
            mouse(5_010, 0, 1, 1),
            agent(5_020, &size(800, 600)),
            mouse(5_030, 0, 2, 2),
            mouse(5_040, 0, 3, 3),
            mouse(5_050, 0x02, 4, 4),
            mouse(5_060, 0x04, 5, 5),
            mouse(5_100, 0, 6, 6),
            block(3, 0, 5_200, b"MeshCentralMCREC"),
        ],
        expect![[r#"
            {"form":"debrief-screen","version":1,"began":5000,"device":"vm","user":null}
            [20,"size",800,600]
            [30,"pointer",2,2,0]
            [50,"pointer",4,4,1]
            [60,"pointer",5,5,0]
            [100,"pointer",6,6,0]
            {"millis":200,"ending":"whole","left_out":0,"sentence":null}
        "#]],
    );
}

#[test]
fn several_commands_in_a_block_and_one_with_a_long_length_are_read() {
    let image = [&jpeg(640, 480)[..], &[0; 70_000]].concat();
    let wrapped = [&[0, 3, 0, 0, 0, 0, 0, 0][..], &image].concat();
    let n_bytes = (wrapped.len() as u32).to_be_bytes();
    let jumbo = [&[0, 27, 0, 8][..], &n_bytes, &wrapped].concat();
    let several = [
        size(640, 480),
        tile(0, 0, &jpeg(64, 64)),
        tile(64, 0, &jpeg(32, 32)),
    ];
    check(
        &[
            about(),
            agent(5_100, &several.concat()),
            agent(5_200, &jumbo),
            agent(5_300, &command(88, &[&[14]])),
            block(3, 0, 5_400, b"MeshCentralMCREC"),
        ],
        expect![[r#"
            {"form":"debrief-screen","version":1,"began":5000,"device":"vm","user":null}
            [100,"size",640,480]
            [100,"tile",0,0,64,64,114,12]
            [100,"tile",64,0,32,32,134,12]
            [200,"tile",0,0,640,480,178,70012]
            {"millis":400,"ending":"whole","left_out":0,"sentence":null}
        "#]],
    );
}

#[test]
fn what_cannot_be_drawn_is_counted_and_said() {
    let mut too_long = tile(0, 0, &jpeg(64, 64));
    too_long[2] = 0xff;
    check(
        &[
            about(),
            // Before there is a screen, beside it, too large, and none of a known form.
            agent(5_100, &tile(0, 0, &jpeg(64, 64))),
            agent(5_100, &size(0, 600)),
            agent(5_100, &size(16_385, 1)),
            agent(5_100, &size(16_384, 16_384)),
            agent(5_100, &size(800, 600)),
            agent(5_100, &tile(800, 0, &jpeg(64, 64))),
            agent(5_100, &tile(0, 0, &jpeg(65_535, 65_535))),
            agent(5_100, &tile(0, 0, b"GIF89a")),
            agent(5_100, &too_long),
            // A command of no length would not move on.
            agent(5_100, &[0, 3, 0, 0, 0, 3, 0, 0]),
        ],
        expect![[r#"
            {"form":"debrief-screen","version":1,"began":5000,"device":"vm","user":null}
            [100,"size",800,600]
            {"millis":100,"ending":"broken off","left_out":9,"sentence":"The recording breaks off before its end. 9 pictures in it cannot be shown."}
        "#]],
    );
}

#[test]
fn time_stands_still_where_a_clock_ran_backwards_and_a_week_is_the_end() {
    check(
        &[
            about(),
            agent(5_500, &size(800, 600)),
            agent(5_400, &tile(0, 0, &jpeg(64, 64))),
            agent(5_000 + MILLIS_MAX, &tile(0, 0, &jpeg(65, 64))),
            agent(5_001 + MILLIS_MAX, &tile(0, 0, &jpeg(66, 64))),
        ],
        expect![[r#"
            {"form":"debrief-screen","version":1,"began":5000,"device":"vm","user":null}
            [500,"size",800,600]
            [500,"tile",0,0,64,64,130,12]
            [604800000,"tile",0,0,65,64,166,12]
            {"millis":604800000,"ending":"too long","left_out":0,"sentence":"The recording is too long to be shown to its end."}
        "#]],
    );
}

#[test]
fn something_else_is_damage_and_nothing_breaks_off_at_once() {
    check(
        &[about(), vec![9; 16]],
        expect![[r#"
            {"form":"debrief-screen","version":1,"began":5000,"device":"vm","user":null}
            {"millis":0,"ending":"damaged","left_out":0,"sentence":"The recording is damaged: it is shown as far as it can be read."}
        "#]],
    );
    // A time that no calendar has is none.
    check(
        &[block(1, 0, u64::MAX, b""), block(3, 0, 0, b"")],
        expect![[r#"
            {"form":"debrief-screen","version":1,"began":null,"device":null,"user":null}
            {"millis":0,"ending":"whole","left_out":0,"sentence":null}
        "#]],
    );
    check(
        &[],
        expect![[r#"
            {"form":"debrief-screen","version":1,"began":null,"device":null,"user":null}
            {"millis":0,"ending":"broken off","left_out":0,"sentence":"The recording breaks off before its end."}
        "#]],
    );
}

#[test]
fn a_list_has_as_many_lines_as_it_may_and_no_more() {
    let n_tiles = DRAWN_MAX - 1;
    let one = tile(0, 0, &jpeg(64, 64));
    // Many commands in a block, so that the blocks are few.
    let many = one.repeat(10_000);
    let mut mcrec = [about(), agent(5_000, &size(800, 600))].concat();
    for _ in 0..n_tiles.div_ceil(10_000) {
        mcrec.extend(agent(5_000, &many));
    }
    mcrec.extend(agent(5_000, &one));
    let (ending, list) = convert(&mcrec);
    assert_eq!(ending, Ending::TooLong);
    assert_eq!(list.lines().count(), 2 + DRAWN_MAX as usize);
}

proptest! {
    #[test]
    fn a_cut_recording_is_shown_as_far_as_it_goes(len in 0..ALONE.len() - 16) {
        let (ending, list) = convert(&ALONE[..len]);
        prop_assert_eq!(ending, Ending::BrokenOff { byte: len as u64 });
        let whole = convert(ALONE).1;
        let n_lines = list.lines().count();
        // The first line waits for the block that it is made of.
        let skipped = usize::from(len < 400);
        for (cut, line) in list.lines().zip(whole.lines()).take(n_lines - 1).skip(skipped) {
            prop_assert_eq!(cut, line);
        }
        check_places(&list, len)?;
    }

    #[test]
    fn whatever_the_bytes_a_list_is_whole_and_names_places_in_the_file(
        mcrec in proptest::sample::select(vec![ALONE, SHARED]),
        edits in proptest::collection::vec((any::<usize>(), any::<[u8; 4]>(), 0..5_usize), 1..12),
    ) {
        let mut mcrec = mcrec.to_vec();
        for (place, bytes, n_bytes) in edits {
            let place = place % mcrec.len();
            let end = (place + n_bytes).min(mcrec.len());
            mcrec.splice(place..end, bytes[..n_bytes.min(4)].iter().copied());
        }
        let (_, list) = convert(&mcrec);
        let lines: Vec<Value> = list.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        prop_assert!(lines[0]["form"] == "debrief-screen");
        prop_assert!(lines[lines.len() - 1]["millis"].as_u64().unwrap() <= MILLIS_MAX);
        check_places(&list, mcrec.len())?;
    }
}

/// Every picture lies within the file and the limits.
fn check_places(list: &str, n_bytes: usize) -> Result<(), TestCaseError> {
    for line in list.lines() {
        let tile: Value = serde_json::from_str(line).unwrap();
        if tile[1] != "tile" {
            continue;
        }
        let number = |at: usize| tile[at].as_u64().unwrap();
        prop_assert!(number(6) + number(7) <= n_bytes as u64);
        prop_assert!(number(4) * number(5) <= u64::from(PIXELS_MAX));
    }
    Ok(())
}
