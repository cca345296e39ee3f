//! The real binary: every command, what it refuses, and what a server does to its end.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use expect_test::{Expect, expect};
use tempfile::{TempDir, tempdir};

use crate::world::{
    Run, Server, World, all, command, eventually, finish, lsids, only, run, run_with,
};

/// A document of a live appliance, shortened.
const FIXTURE: &str = include_str!("../../../report/tests/fixtures/session_list.xml");
const FIXTURE_LSID: &str = "e9e99aeb9ad54fb381634498502c5a1b";

/// Everything since the start of time, as flags.
const ALL: [&str; 4] = ["--start-time", "0", "--duration", "0"];

/// The exit code, and both outputs where there is anything.
#[track_caller]
fn check(run: &Run, data: &Path, expect: Expect) {
    expect.assert_eq(&show(run, data));
}

fn show(run: &Run, data: &Path) -> String {
    let mut shown = format!("exit {}\n", run.code);
    for (name, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
        for line in text.lines() {
            let _ = writeln!(shown, "{name}: {line}");
        }
    }
    shown.replace(&*data.to_string_lossy(), "DATA")
}

fn report(data: &Path, args: &[&str]) -> Run {
    run(data, &[&["report"], args].concat())
}

/// A document of `n` sessions `s00000`, `s00001`, …, a second apart, each with a long chat line.
fn document(n: usize) -> String {
    let mut document = format!("<session_list xmlns=\"{}\">\n", crate::world::NAMESPACE);
    for idx in 0..n {
        let _ = write!(
            document,
            "<session lsid=\"s{idx:05}\"><session_type>support</session_type><lseq>{}</lseq>\
             <start_time timestamp=\"{}\">2016-10-01T00:00:00+00:00</start_time>\
             <end_time timestamp=\"{}\">2016-10-01T00:01:00+00:00</end_time>\
             <session_details><event timestamp=\"{}\" event_type=\"Chat Message\"><body>",
            idx + 1,
            1_475_280_000 + idx,
            1_475_280_060 + idx,
            1_475_280_000 + idx,
        );
        // Words that do not repeat, so that they stay long when they are compressed.
        for word in 0..400_usize {
            let _ = write!(
                document,
                "{:x} ",
                (idx * 400 + word).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            );
        }
        document.push_str("</body></event></session_details></session>\n");
    }
    document.push_str("</session_list>\n");
    document
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

// ---- Import ----

#[test]
fn a_document_is_imported_once_from_a_file_a_directory_or_standard_input_plain_or_gzip() {
    let directory = tempdir().unwrap();
    let data = directory.path().join("data");
    let documents = directory.path().join("documents");
    fs::create_dir(&documents).unwrap();
    let file = documents.join("a.xml");
    fs::write(&file, FIXTURE).unwrap();
    let file = file.to_str().unwrap();
    check(
        &run(&data, &["import", file]),
        &data,
        expect![[r#"
        exit 0
        stdout: 1 new sessions, 0 replaced by newer versions, 0 unchanged
    "#]],
    );
    let (plain, packed) = (FIXTURE.as_bytes(), gzip(FIXTURE));
    for again in [
        run(&data, &["import", file]),
        run_with(&data, &["import", "-"], plain),
        run_with(&data, &["import", "-"], &packed),
    ] {
        let told = "0 new sessions, 0 replaced by newer versions, 1 unchanged\n";
        assert_eq!((again.code, &*again.stdout, &*again.stderr), (0, told, ""));
    }
    fs::write(documents.join("b.XML.GZ"), gzip(&document(2))).unwrap();
    fs::write(documents.join("c.xml"), document(3)).unwrap();
    fs::write(documents.join("notes.txt"), "no document").unwrap();
    let documents = documents.to_str().unwrap();
    let counts = run(&data, &["import", "--json", documents]).stdout;
    let counts: serde_json::Value = serde_json::from_str(&counts).unwrap();
    let told = serde_json::json!({
        "files": 3, "fresh": 3, "replaced": 0, "repeated": 3, "older": 0, "live": 0,
    });
    assert_eq!(counts, told);
    let newer = FIXTURE.replace(
        "<external_key></external_key>",
        "<external_key>T-1</external_key>",
    );
    check(
        &run_with(&data, &["import", "-"], newer.as_bytes()),
        &data,
        expect![[r#"
        exit 0
        stdout: 0 new sessions, 1 replaced by newer versions, 0 unchanged
    "#]],
    );
    let report = report(&data, &ALL);
    assert_eq!(
        lsids(&report.stdout),
        ["s00000", "s00001", "s00002", FIXTURE_LSID]
    );
    assert_eq!(all(&report.stdout, "external_key"), ["T-1"]);
}

#[test]
fn a_broken_document_is_refused_with_its_place_and_keeps_what_stood_before() {
    let directory = tempdir().unwrap();
    let data = directory.path().join("data");
    let broken = document(300).replace(
        "<session lsid=\"s00299\">",
        "<session lsid=\"s00299\"><x></y>",
    );
    let file = directory.path().join("broken.xml");
    fs::write(&file, broken).unwrap();
    let refused = run(&data, &["import", file.to_str().unwrap()]);
    assert_eq!(refused.code, 1);
    assert_eq!(
        refused.stdout,
        "299 new sessions, 0 replaced by newer versions, 0 unchanged\n"
    );
    for told in [
        "broken.xml`",
        "line 301, column ",
        "the sessions up to `s00298` are in the archive",
    ] {
        assert!(
            refused.stderr.contains(told),
            "{told} in {}",
            refused.stderr
        );
    }
    assert_eq!(refused.stderr.lines().count(), 1);
    assert_eq!(lsids(&report(&data, &ALL).stdout).len(), 299);
    for (document, told) in [
        (
            "<!DOCTYPE x [<!ENTITY a \"b\">]><session_list/>",
            "line 1, column 1",
        ),
        ("<html/>", "line 1, column 1"),
        ("no document at all", "line 1, column 1"),
        ("<session_list><session lsid=\"q\">", "line 1, column "),
    ] {
        let refused = run_with(&data, &["import", "-"], document.as_bytes());
        assert_eq!(refused.code, 1, "{document}");
        assert!(
            refused.stderr.contains(told),
            "{document}: {}",
            refused.stderr
        );
        assert!(
            refused.stderr.contains("standard input"),
            "{}",
            refused.stderr
        );
        assert!(
            refused.stderr.contains("nothing of it is in the archive"),
            "{}",
            refused.stderr
        );
    }
    let missing = run(&data, &["import", "nowhere.xml"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("`nowhere.xml`: cannot be opened"),
        "{}",
        missing.stderr
    );
    // One bad file does not stop the good ones.
    let good = directory.path().join("good.xml");
    fs::write(&good, FIXTURE).unwrap();
    let both = run(
        &data,
        &["import", file.to_str().unwrap(), good.to_str().unwrap()],
    );
    assert_eq!(both.code, 1);
    assert_eq!(
        both.stdout,
        "1 new sessions, 0 replaced by newer versions, 299 unchanged\n"
    );
    assert_eq!(lsids(&report(&data, &ALL).stdout).len(), 300);
}

/// How many sessions are committed; none while the archive is still being made.
fn committed(data: &Path) -> u64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let archive = rusqlite::Connection::open_with_flags(data.join("archive.sqlite"), flags);
    let count = archive.and_then(|archive| {
        archive.query_row("SELECT count(*) FROM session", [], |row| {
            row.get::<_, i64>(0)
        })
    });
    count.map_or(0, |count| count as u64)
}

#[test]
fn a_killed_import_leaves_whole_sessions_and_can_be_done_again() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let document = document(900);
    let sessions: Vec<&str> = document.split_inclusive("</session>\n").collect();
    let (fed, _) = document.split_at(sessions[..700].concat().len());
    let child = &mut command(data, &["import", "-"]);
    let child = child
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    // It waits for the rest, which never comes.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(fed.as_bytes()).unwrap();
    eventually("a part is committed", || 256 <= committed(data));
    child.kill().unwrap();
    child.wait().unwrap();
    drop(stdin);

    let partial = report(data, &ALL);
    assert_eq!((partial.code, partial.stderr.as_str()), (0, ""));
    let found = lsids(&partial.stdout);
    assert!((256..=700).contains(&found.len()), "{}", found.len());
    let chats = all(&partial.stdout, "body");
    let expected = all(&document, "body");
    // Sealers work side by side, so which sessions made the last commit is not in the order of
    // the document; that each is whole is what counts.
    assert_eq!(chats.len(), found.len());
    for (lsid, chat) in found.iter().zip(&chats) {
        let idx: usize = lsid[1..].parse().unwrap();
        assert_eq!(*chat, expected[idx], "{lsid} is not whole");
    }
    let again = run_with(data, &["import", "-", "--json"], document.as_bytes());
    assert_eq!(again.code, 0, "{}", again.stderr);
    let counts: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(counts["repeated"], found.len());
    assert_eq!(counts["fresh"], 900 - found.len());
}

#[test]
fn a_full_disk_is_one_sentence_and_damages_nothing() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    assert_eq!(run_with(data, &["import", "-"], FIXTURE.as_bytes()).code, 0);
    // A limit on the size of files stands for the disk. The signal that comes with it is ignored.
    let mut limited = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 1500; exec \"$0\" --data \"$1\" import -";
    limited
        .args(["-c", script, env!("CARGO_BIN_EXE_debrief")])
        .arg(data);
    let full = finish(limited, document(900).as_bytes());
    assert_eq!(full.code, 1, "{}", full.stderr);
    assert!(
        full.stderr.starts_with("debrief: standard input: "),
        "{}",
        full.stderr
    );
    assert!(
        full.stderr
            .lines()
            .filter(|line| line.starts_with("debrief: "))
            .count()
            == 1
    );
    let after = report(data, &ALL);
    assert_eq!(after.code, 0, "{}", after.stderr);
    assert!(lsids(&after.stdout).contains(&FIXTURE_LSID.to_owned()));
    let again = run_with(data, &["import", "-"], document(900).as_bytes());
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(lsids(&report(data, &ALL).stdout).len(), 901);
}

// ---- Report ----

#[tokio::test]
async fn a_report_from_the_data_directory_is_the_answer_of_the_api() {
    let directory = tempdir().unwrap();
    let data = directory.path().to_owned();
    assert_eq!(
        run_with(&data, &["import", "-"], FIXTURE.as_bytes()).code,
        0
    );
    assert_eq!(
        run_with(&data, &["import", "-"], document(3).as_bytes()).code,
        0
    );
    // Links are signed for who asks and when: they alone differ.
    let plain = |text: &str| {
        let document = roxmltree::Document::parse(text).unwrap();
        let mut nodes = String::new();
        for node in document.descendants().filter(|node| !node.is_element()) {
            let inside = node
                .parent_element()
                .map_or("", |parent| parent.tag_name().name());
            if !inside.ends_with("_url") {
                let _ = writeln!(nodes, "{inside}: {:?}", node.text());
            }
        }
        nodes
    };
    let world = World::over(directory, &[]).await;
    for (flags, query) in [
        (&ALL[..], "start_time=0&duration=0"),
        (
            &["--lsid", FIXTURE_LSID][..],
            &*format!("lsid={FIXTURE_LSID}"),
        ),
        (&["--lsids", "s00002,s00000"][..], "lsids=s00002,s00000"),
        (
            &[
                "--end-date",
                "2016-10-01",
                "--duration",
                "1",
                "--limit",
                "site:1",
            ][..],
            "end_date=2016-10-01&duration=1&limit=site:1",
        ),
        (&["--lsid", "nobody"][..], "lsid=nobody"),
    ] {
        let run = report(&data, flags);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{query}");
        let reply = world.ask(query).await;
        assert_eq!(lsids(&run.stdout), reply.lsids(), "{query}");
        assert_eq!(plain(&run.stdout), plain(reply.text()), "{query}");
    }
    for format in ["csv", "ndjson", "json"] {
        // A session without links is the same byte by byte.
        let flags = ["--lsid", "s00001", "--format", format];
        let reply = world.ask(&format!("lsid=s00001&format={format}")).await;
        assert_eq!(report(&data, &flags).stdout, reply.text());
    }
}

#[test]
fn a_report_where_nothing_fits_speaks_the_configured_dialect() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    fs::write(data.join("debrief.toml"), "dialect = \"appliance\"\n").unwrap();
    assert_eq!(run_with(data, &["import", "-"], FIXTURE.as_bytes()).code, 0);
    check(
        &report(data, &["--lsid", "nobody"]),
        data,
        expect![[r#"
        exit 0
        stdout: <?xml version="1.0" encoding="UTF-8"?>
        stdout: <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">No Support report information matching your chosen criteria is available.</error>
    "#]],
    );
}

#[test]
fn faulty_parameters_of_a_report_are_all_named() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let faulty = [
        "--start-date",
        "2016-13-01",
        "--limit",
        "rep",
        "--format",
        "pdf",
    ];
    check(
        &report(data, &faulty),
        data,
        expect![[r#"
            exit 2
            stderr: debrief: faulty parameters:
            stderr:   format: `pdf` is not one of xml, json, ndjson, csv
            stderr:   start_date: month 13 does not exist
            stderr:   duration: is required
            stderr:   limit: `rep` is not known; expected all, rep:ID, team:all, team:ID, members:ID or site:ID
        "#]],
    );
    check(
        &report(&data.join("none"), &ALL),
        data,
        expect![[r#"
        exit 1
        stderr: debrief: there is no archive in `DATA/none`; --data names the data directory
    "#]],
    );
    assert!(!data.join("none").exists());
}

#[test]
fn a_report_goes_into_a_file_whole_or_not_at_all() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    assert_eq!(
        run_with(data, &["import", "-"], document(3).as_bytes()).code,
        0
    );
    let file = data.join("report.xml");
    let written = report(data, &[&ALL[..], &["-o", file.to_str().unwrap()]].concat());
    assert_eq!((written.code, written.stdout.as_str()), (0, ""));
    assert_eq!(lsids(&fs::read_to_string(&file).unwrap()).len(), 3);
    assert!(!data.join("report.xml.partial").exists());
    let nowhere = data.join("none").join("report.xml");
    let refused = report(
        data,
        &[&ALL[..], &["-o", nowhere.to_str().unwrap()]].concat(),
    );
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("cannot write `"),
        "{}",
        refused.stderr
    );
}

// ---- Other commands ----

#[test]
fn wrong_usage_is_exit_2_and_help_is_exit_0() {
    let directory = tempdir().unwrap();
    let data = directory.path().join("none");
    for args in [
        &["nonsense"][..],
        &["import"],
        &["report", "--nonsense"],
        &["report", "--lsid", "a", "--server", "http://localhost:1"],
        &["serve", "--listen", "nowhere"],
        &["account", "create", "x", "--allow", "root"],
        &[
            "account",
            "create",
            "x",
            "--allow",
            "reporting",
            "--network",
            "10.0.0.0/40",
        ],
        &["demo", "--sessions", "-1"],
    ] {
        let refused = run(&data, args);
        assert_eq!(refused.code, 2, "{args:?}");
        assert!(
            refused.stdout.is_empty() && refused.stderr.starts_with("error: "),
            "{args:?}"
        );
    }
    for args in [&["--help"][..], &["report", "--help"], &["--version"]] {
        let told = run(&data, args);
        assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{args:?}");
    }
    assert!(
        !data.exists(),
        "a command that was refused made the data directory"
    );
}

#[test]
fn the_configuration_is_shown_with_the_origin_of_each_value() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let file = data.join("debrief.toml");
    fs::write(
        &file,
        "time_zone = \"Europe/Berlin\"\nlapse_after = \"2h\"\n",
    )
    .unwrap();
    let mut shown = command(data, &["config", "--json"]);
    shown.env("DEBRIEF_LAPSE_AFTER", "3h");
    let shown = finish(shown, b"");
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    let config: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    for (key, value, origin) in [
        ("time_zone", "Europe/Berlin", "file"),
        ("lapse_after", "3h", "environment"),
        ("dialect", "documented", "default"),
    ] {
        assert_eq!(config[key]["value"], value);
        assert_eq!(config[key]["origin"], origin);
    }
    let keys: Vec<&str> = debrief::config::KEYS.iter().map(|key| key.name).collect();
    let n_shown = config.as_object().unwrap().len();
    assert_eq!(n_shown, keys.len());
    let plain = run(data, &["config"]).stdout;
    assert!(
        keys.iter()
            .zip(plain.lines())
            .all(|(key, line)| line.starts_with(key)),
        "{plain}"
    );
    fs::write(&file, "time_zone = \"Mars\"\ncolour = 1\n").unwrap();
    let refused = run(data, &["config"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("Mars") && refused.stderr.contains("colour"));
}

#[test]
fn accounts_are_made_listed_disabled_and_given_new_secrets() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let create = |name: &str, more: &[&str]| {
        let args = ["account", "create", name, "--json", "--allow"];
        run(data, &[&args, more].concat())
    };
    let made = create(
        "sync",
        &["recordings,command=read_only", "--network", "10.1.2.3/8"],
    );
    assert_eq!(made.code, 0, "{}", made.stderr);
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    let secret = made["client_secret"].as_str().unwrap();
    // 44 letters and digits have more than 256 bits.
    assert_eq!(secret.len(), 44);
    assert_eq!(create("other", &["ingest"]).code, 0);
    check(
        &create("sync", &["admin"]),
        data,
        expect![[r#"
        exit 1
        stderr: debrief: there is an account `sync` already
    "#]],
    );
    assert_eq!(run(data, &["account", "disable", "other"]).code, 0);
    check(
        &run(data, &["account", "list"]),
        data,
        expect![[r#"
        exit 0
        stdout: other  disabled  ingest  from anywhere  
        stdout: sync  enabled   reporting,recordings,command=read_only  from 10.1.2.3/8  
    "#]],
    );
    let list = run(data, &["account", "list", "--json"]).stdout;
    let accounts: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(accounts[1]["client_id"], made["client_id"]);
    assert_eq!(accounts[0]["enabled"], false);
    assert!(!list.contains("secret"), "{list}");
    let renewed = run(data, &["account", "renew-secret", "sync", "--json"]);
    let renewed: serde_json::Value = serde_json::from_str(&renewed.stdout).unwrap();
    assert_eq!(renewed["client_id"], made["client_id"]);
    assert_ne!(renewed["client_secret"], made["client_secret"]);
    for verb in ["disable", "enable", "renew-secret"] {
        let refused = run(data, &["account", verb, "nobody"]);
        assert_eq!(refused.code, 1);
        assert!(
            refused.stderr.contains("there is no account `nobody`"),
            "{}",
            refused.stderr
        );
    }
    let bytes = fs::read(data.join("archive.sqlite")).unwrap();
    let is_kept = bytes
        .windows(secret.len())
        .any(|window| window == secret.as_bytes());
    assert!(!is_kept, "the secret itself is in the archive");
}

#[test]
fn a_directory_is_shown_before_it_is_applied_and_faults_are_all_named() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let document = "[[representatives]]\nid = \"7\"\nusername = \"ada\"\n\
                    [[teams]]\nid = \"1\"\nname = \"Helpdesk\"\nmembers = [\"7\"]\n\
                    [[sites]]\nid = \"1\"\nname = \"Default\"\n";
    let apply = |document: &str, args: &[&str]| {
        let args = [&["directory", "apply", "-"], args].concat();
        run_with(data, &args, document.as_bytes())
    };
    let changes = expect![[r#"
        exit 0
        stdout: + representative 7: ada
        stdout: + team 1: Helpdesk (1 members, 0 issues)
        stdout: + site 1: Default
    "#]];
    let shown = apply(document, &["--dry-run"]);
    check(&shown, data, changes);
    let applied = apply(document, &[]);
    assert_eq!(show(&applied, data), show(&shown, data));
    check(
        &apply(document, &[]),
        data,
        expect![[r#"
        exit 0
        stderr: nothing changes
    "#]],
    );
    let faulty = document
        .replace("\"ada\"", "\"\"")
        .replace("[\"7\"]", "[\"8\"]");
    check(
        &apply(&faulty, &[]),
        data,
        expect![[r#"
        exit 1
        stderr: debrief: `-` is faulty:
        stderr:   representatives[0].username: must not be empty
        stderr:   team `1`: member `8` is no representative of this document
    "#]],
    );
    let exported = run(data, &["directory", "export", "--format", "json"]).stdout;
    assert!(apply(&exported, &[]).stderr.contains("nothing changes"));
    let exported = run(data, &["directory", "export"]).stdout;
    assert!(apply(&exported, &[]).stderr.contains("nothing changes"));
}

#[test]
fn a_name_applied_to_the_directory_shows_in_what_was_imported() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let of_team = "<team_list><team id=\"4\" primary_team=\"1\">then</team></team_list>";
    let document = FIXTURE.replace("<session_details>", &format!("{of_team}<session_details>"));
    assert_eq!(
        run_with(data, &["import", "-"], document.as_bytes()).code,
        0
    );
    let name = || only(&report(data, &ALL).stdout, "team");
    assert_eq!(name(), "then");
    let now = "[[teams]]\nid = \"4\"\nname = \"now\"\n";
    assert_eq!(
        run_with(data, &["directory", "apply", "-"], now.as_bytes()).code,
        0
    );
    assert_eq!(name(), "now");
    // What is imported from then on has the current name, and is the same document as before.
    let again = run_with(data, &["import", "-"], document.as_bytes());
    assert!(again.stdout.contains("1 unchanged"), "{}", again.stdout);
    assert_eq!(name(), "now");
}

#[test]
fn the_demo_of_a_seed_is_the_same_archive_when_it_is_made_again() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let demo = || run(data, &["demo", "--sessions", "40", "--seed", "3"]);
    let day = || {
        std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs()
            / 86_400
    };
    let today = day();
    let first = demo();
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stdout.starts_with("40 sessions with ") && !first.stdout.contains(" 0 events"));
    let once = report(data, &[&ALL[..], &["--format", "ndjson"]].concat()).stdout;
    assert_eq!(once.lines().count(), 40);
    let again = demo();
    if today != day() {
        // The same seed has the same archive of the same day, and that has just ended.
        return;
    }
    check(
        &again,
        data,
        expect![[r#"
        exit 0
        stdout: 40 sessions with 0 events and 0 recordings
    "#]],
    );
    let objects = || fs::read_dir(data.join("recordings")).unwrap().count();
    let n_recordings = objects();
    let told = format!(" and {n_recordings} recordings\n");
    assert!(first.stdout.ends_with(&told), "{}", first.stdout);
    let verified = run(data, &["verify"]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    let without = ["demo", "--no-recordings", "--sessions", "40", "--seed", "4"];
    assert!(run(data, &without).stdout.ends_with(" and 0 recordings\n"));
    assert_eq!(objects(), n_recordings);
}

// ---- Refusals of the data directory ----

/// The files of an archive by kind: sealed bytes, and what is kept of events.
fn segment_bytes(data: &Path) -> Vec<u64> {
    let files = fs::read_dir(data.join("segments")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let len = |path: &std::path::PathBuf| path.metadata().unwrap().len();
    files.iter().map(len).collect()
}

#[test]
fn of_events_little_is_kept_beside_the_report_and_they_are_whole_all_the_same() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    // Two groups of 256, but for the few sessions that never end.
    let filled = run(data, &["demo", "--no-recordings", "--sessions", "768"]);
    assert_eq!(filled.code, 0, "{}", filled.stderr);
    let n_grouped = 512;
    let bytes = segment_bytes(data);
    assert_eq!(bytes.len(), 2, "{bytes:?}");
    // Of some 6,000 bytes each.
    assert!((20..100).contains(&(bytes[1] / n_grouped)), "{bytes:?}");
    assert_eq!(run(data, &["verify"]).code, 0);
    // Teams that are called something else from now on: sealed bytes are made anew, and events were kept
    // beside the old ones.
    let shown = run(data, &["directory", "export"]);
    let renamed = data.join("renamed.toml");
    let other = shown.stdout.replace("Service Desk", "Front Line");
    assert_ne!(other, shown.stdout);
    fs::write(&renamed, other).unwrap();
    let applied = run(data, &["directory", "apply", &renamed.to_string_lossy()]);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let again = report(data, &ALL);
    assert!(again.stdout.contains(">Front Line</team>"));
    assert_eq!(run(data, &["verify"]).code, 0);
}

#[test]
fn a_data_directory_that_cannot_be_used_is_one_sentence() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "a regular file").unwrap();
    let below = file.join("data");
    for args in [
        &["import", "-"][..],
        &["serve", "--listen", "127.0.0.1:0"],
        &["demo"],
    ] {
        let refused = run_with(&below, args, FIXTURE.as_bytes());
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{args:?}");
        let told = format!(
            "debrief: cannot make the data directory `{}`: ",
            below.display()
        );
        assert!(refused.stderr.starts_with(&told), "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1);
    }
    // A database that is none.
    let other = directory.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("archive.sqlite"), "x".repeat(40_000)).unwrap();
    let refused = report(&other, &ALL);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    assert_eq!(
        fs::read(other.join("archive.sqlite")).unwrap(),
        vec![b'x'; 40_000]
    );
}

#[test]
fn an_archive_of_a_newer_format_is_left_alone() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    assert_eq!(run_with(data, &["import", "-"], FIXTURE.as_bytes()).code, 0);
    let archive = rusqlite::Connection::open(data.join("archive.sqlite")).unwrap();
    let newer = "INSERT INTO schema_version VALUES (99, '2099-01-01')";
    archive.execute(newer, []).unwrap();
    drop(archive);
    for args in [
        &["import", "-"][..],
        &["serve", "--listen", "127.0.0.1:0"],
        &["account", "list"],
    ] {
        let refused = run_with(data, args, document(2).as_bytes());
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{args:?}");
        assert!(
            refused.stderr.contains("the archive has format 99"),
            "{}",
            refused.stderr
        );
        assert_eq!(refused.stderr.lines().count(), 1);
    }
    let archive = rusqlite::Connection::open(data.join("archive.sqlite")).unwrap();
    archive
        .execute("DELETE FROM schema_version WHERE version = 99", [])
        .unwrap();
    drop(archive);
    assert_eq!(lsids(&report(data, &ALL).stdout), [FIXTURE_LSID]);
}

// ---- Serve ----

#[test]
fn a_server_listens_on_the_loopback_and_answers_a_command_line_elsewhere() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    assert_eq!(
        run_with(data, &["import", "-"], document(3).as_bytes()).code,
        0
    );
    let server = Server::start(data);
    assert!(
        server
            .first_line
            .starts_with("listening on http://127.0.0.1:"),
        "{}",
        server.first_line
    );
    assert!(!server.first_line.trim().ends_with(":0"));
    let login = server.admin();
    let secret_file = data.join("secret");
    fs::write(&secret_file, format!("{}\n", login.secret)).unwrap();
    let elsewhere = tempdir().unwrap();
    let ask = |id: &str, query: &[&str]| {
        let url = format!("http://{}", server.address);
        let secret_file = secret_file.to_str().unwrap();
        let args = [
            "--server",
            &url,
            "--client-id",
            id,
            "--client-secret-file",
            secret_file,
        ];
        report(elsewhere.path(), &[&args, query].concat())
    };
    let answer = ask(&login.id, &ALL);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    assert_eq!(
        answer.stdout,
        server.report(&server.token(), "start_time=0&duration=0")
    );
    assert_eq!(lsids(&answer.stdout), ["s00000", "s00001", "s00002"]);
    let table = ask(&login.id, &[&ALL[..], &["--format", "csv"]].concat());
    assert_eq!(table.stdout.lines().count(), 4);
    let refused = ask("nobody", &ALL);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(
        refused.stderr.contains("client authentication failed"),
        "{}",
        refused.stderr
    );
    let faulty = ask(&login.id, &["--duration", "1"]);
    assert_eq!((faulty.code, faulty.stdout.as_str()), (2, ""));
    assert!(
        faulty.stderr.contains("start_date: expected one of"),
        "{}",
        faulty.stderr
    );
    // Changes of the command line count in the running server at once.
    let token = server.token();
    assert_eq!(run(data, &["account", "disable", "admin"]).code, 0);
    let refused = ureq::get(format!("http://{}/api/reporting", server.address))
        .header("Authorization", format!("Bearer {token}"))
        .call();
    assert!(
        matches!(refused, Err(ureq::Error::StatusCode(401))),
        "{refused:?}"
    );
    let more = document(5);
    assert_eq!(run_with(data, &["import", "-"], more.as_bytes()).code, 0);
    assert_eq!(run(data, &["account", "enable", "admin"]).code, 0);
    let answer = server.report(&server.token(), "start_time=0&duration=0");
    assert_eq!(lsids(&answer).len(), 5);
    let stderr = server.stderr();
    assert!(!stderr.contains(&token), "a token is in the log");
}

#[test]
fn the_administrators_credentials_are_printed_once_on_standard_error() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let first = Server::start(data);
    let login = first.admin();
    assert!(
        first
            .stderr()
            .contains("first start: made the API account `admin`")
    );
    assert!(!first.first_line.contains(&login.secret));
    first.token_of(&login);
    drop(first);
    let mut second = Server::start(data);
    second.token_of(&login);
    second.terminate();
    assert_eq!(second.wait(), Some(0));
    let stderr = second.stderr();
    assert!(
        !stderr.contains("client secret") && !stderr.contains(&login.secret),
        "{stderr}"
    );
    drop(second);
    // Where there is an account already, none is made.
    let other = tempdir().unwrap();
    assert_eq!(
        run(
            other.path(),
            &["account", "create", "x", "--allow", "reporting"]
        )
        .code,
        0
    );
    let third = Server::start(other.path());
    drop(third);
    assert_eq!(
        run(other.path(), &["account", "list"])
            .stdout
            .lines()
            .count(),
        1
    );
}

#[test]
fn credentials_are_not_lost_when_the_first_start_finds_its_port_taken() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = run(data, &["serve", "--listen", &address]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    let told = format!("debrief: cannot listen on {address}: ");
    assert!(refused.stderr.contains(&told), "{}", refused.stderr);
    let server = Server::start(data);
    server.token_of(&server.admin());
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_the_first_goes_on() {
    let directory = tempdir().unwrap();
    let data = directory.path();
    let server = Server::start(data);
    let token = server.token();
    check(
        &run(data, &["serve", "--listen", "127.0.0.1:0"]),
        data,
        expect![[r#"
        exit 1
        stderr: debrief: another `debrief serve` runs on the data directory `DATA`
    "#]],
    );
    assert_eq!(
        lsids(&server.report(&token, "start_time=0&duration=0")),
        [""; 0]
    );
    drop(server);
    let again = Server::start(data);
    assert!(again.first_line.starts_with("listening on "));
}

/// An archive of the demo organisation whose whole report has about 15 MB.
fn demo() -> TempDir {
    let directory = tempdir().unwrap();
    let made = run(directory.path(), &["demo", "--sessions", "1000"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    directory
}

/// What a server may need beyond what its first answers needed.
const GROWTH_KIB_MAX: u64 = 32 << 10;
/// More than the kernel's buffers of one connection take up.
const REPORT_BYTES_MIN: usize = 12 << 20;

#[test]
fn memory_stays_flat_and_a_server_that_is_asked_to_end_finishes_what_runs() {
    let directory = demo();
    let mut server = Server::start_with(directory.path(), &[("requests_per_second", "0")]);
    let token = server.token();
    let all = "start_time=0&duration=0";
    let whole = server.report(&token, all);
    assert!(REPORT_BYTES_MIN < whole.len(), "{} bytes", whole.len());
    assert_eq!(lsids(&whole).len(), 1_000);

    let before = server.anonymous_kib();
    let mut most = before;
    let n_reports = (150_usize << 20).div_ceil(whole.len());
    for _ in 0..n_reports {
        // Running sessions grow with the clock, so only the length is sure.
        assert!(REPORT_BYTES_MIN < server.report(&token, all).len());
        most = most.max(server.anonymous_kib());
    }
    assert!(
        most < before + GROWTH_KIB_MAX,
        "from {before} to {most} KiB after {n_reports} reports"
    );

    // Five who ask and read nothing, while a sixth reads everything.
    let mut stalled: Vec<_> = (0..5).map(|_| server.begin(&token, all)).collect();
    for socket in &mut stalled {
        // The answer has begun once there is something to peek at.
        assert_eq!(socket.peek(&mut [0; 15]).unwrap(), 15);
    }
    assert!(REPORT_BYTES_MIN < server.report(&token, all).len());
    let held = server.anonymous_kib();
    assert!(
        held < before + GROWTH_KIB_MAX,
        "from {before} to {held} KiB with five that stall"
    );

    server.terminate();
    eventually("it listens no more", || {
        std::net::TcpStream::connect(&server.address).is_err()
    });
    for mut socket in stalled {
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(answer.contains("</session_list>") && answer.ends_with("0\r\n\r\n"));
    }
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn each_of_several_reports_at_once_is_whole() {
    let directory = demo();
    let keys = [("requests_per_second", "0"), ("reports_at_once", "0")];
    let server = Server::start_with(directory.path(), &keys);
    let token = server.token();
    let all = "start_time=0&duration=0";
    let expected = lsids(&server.report(&token, all));
    assert_eq!(expected.len(), 1_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    assert_eq!(lsids(&server.report(&token, all)), expected);
                }
            });
        }
    });
}

/// The lengths of the chunks (RFC 9112 §7.1) of an answer.
fn chunk_lens(answer: &[u8]) -> Vec<usize> {
    let until = |bytes: &[u8], end: &[u8]| {
        let at = bytes.windows(end.len()).position(|window| window == end);
        at.expect("an end of a line")
    };
    let mut rest = &answer[until(answer, b"\r\n\r\n") + 4..];
    let mut lens = Vec::new();
    loop {
        let at = until(rest, b"\r\n");
        let len = std::str::from_utf8(&rest[..at]).unwrap();
        match usize::from_str_radix(len, 16).unwrap() {
            0 => return lens,
            len => {
                lens.push(len);
                rest = &rest[at + 2 + len + 2..];
            }
        }
    }
}

#[test]
fn pieces_of_an_answer_are_each_twice_as_long_as_the_one_before_up_to_a_limit() {
    /// A piece ends behind the session that fills it, and links are not counted.
    const MORE_MAX: usize = 128 << 10;
    let directory = demo();
    let server = Server::start(directory.path());
    let token = server.token();
    for (coding, filter, len_max) in [
        ("gzip", "", 384 << 10),
        ("gzip", "&limit=team:all", 192 << 10),
        ("identity", "", 768 << 10),
        ("identity", "&limit=team:all", 768 << 10),
    ] {
        let query = format!("start_time=0&duration=0{filter}");
        let mut socket = server.begin_coded(&token, &query, coding);
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let mut lens = chunk_lens(&answer);
        lens.pop().expect("the last one, which is shorter");
        assert!(5 < lens.len(), "{query} {coding}: {lens:?}");
        let mut least = 32 << 10;
        for len in &lens {
            let most = least + MORE_MAX;
            assert!((least..most).contains(len), "{query} {coding}: {lens:?}");
            least = (2 * least).min(len_max);
        }
        assert_eq!(least, len_max);
    }
}

#[test]
fn a_client_that_stops_reading_is_cut_off_and_holds_neither_a_place_nor_a_snapshot() {
    let directory = demo();
    let keys = [("stall_timeout", "2s"), ("reports_at_once", "1")];
    let server = Server::start_with(directory.path(), &keys);
    let token = server.token();
    let all = "start_time=0&duration=0";
    let mut stalled = server.begin(&token, all);
    assert_eq!(stalled.peek(&mut [0; 15]).unwrap(), 15);
    let status_of_another = || {
        let mut answer = [0; 12];
        let mut another = server.begin(&token, "lsid=none");
        another.read_exact(&mut answer).unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    };
    assert_eq!(status_of_another(), "HTTP/1.1 429");
    // The log can be written back as far as it goes, which a snapshot would prevent.
    let archive = directory.path().join("archive.sqlite");
    let archive = rusqlite::Connection::open(archive).unwrap();
    eventually(
        "the whole log is written back while a client stalls",
        || {
            let checkpoint = |row: &rusqlite::Row<'_>| {
                let (n_pages, n_done): (i64, i64) = (row.get(1)?, row.get(2)?);
                Ok(n_pages == n_done)
            };
            archive
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", (), checkpoint)
                .unwrap()
        },
    );
    assert_eq!(status_of_another(), "HTTP/1.1 429");
    eventually("the stalled client is cut off", || {
        status_of_another() == "HTTP/1.1 200"
    });
    let mut answer = Vec::new();
    // However the break shows, the document is not whole.
    let _ = stalled.read_to_end(&mut answer);
    assert!(answer.len() < REPORT_BYTES_MIN);
    assert!(!String::from_utf8_lossy(&answer).contains("</session_list>"));
}
