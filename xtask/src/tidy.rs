//! What the compiler cannot forbid: the walls between the rooms.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;

/// Words that a room must not have in it, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "crates/domain/src",
        &[
            "std::fs",
            "std::io",
            "std::time",
            "std::env",
            "std::net::Tcp",
            "serde",
            "async fn",
            "rand",
        ],
        "the domain has no clock, randomness, input, output, async or serialisation",
    ),
    (
        "crates/report/src",
        &[
            "std::fs",
            "std::time",
            "std::env",
            "async fn",
            "debrief_store",
        ],
        "the report is pure, and does not know the store",
    ),
    (
        "crates/store/src",
        &[
            "debrief_report",
            "SystemTime::now",
            "Instant::now",
            "std::env",
        ],
        "the store does not know the report, and is told the time",
    ),
];

/// Words that may stand in one file of the server only.
const ONE_PLACE: &[(&str, &str)] = &[
    ("SystemTime::now", "crates/server/src/clock.rs"),
    ("getrandom::", "crates/server/src/random.rs"),
];

/// Words that stand nowhere.
const NOWHERE: &[&str] = &["todo!(", "unimplemented!(", "#[ignore", "dbg!("];

/// Checks every rule, and names every breach.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut breaches = Vec::new();
    for (room, words, why) in FORBIDDEN {
        each_line(Path::new(room), &mut |path, n, line| {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                breaches.push(format!("{}:{n}: `{word}`: {why}", path.display()));
            }
        })?;
    }
    each_line(Path::new("crates/server/src"), &mut |path, n, line| {
        for (word, place) in ONE_PLACE {
            if line.contains(word) && path != Path::new(place) {
                breaches.push(format!(
                    "{}:{n}: `{word}` stands in {place} only",
                    path.display()
                ));
            }
        }
    })?;
    each_line(Path::new("crates"), &mut |path, n, line| {
        if let Some(word) = NOWHERE.iter().find(|word| line.contains(**word)) {
            breaches.push(format!(
                "{}:{n}: `{word}` is unfinished work",
                path.display()
            ));
        }
    })?;
    if breaches.is_empty() {
        return Ok(());
    }
    bail!("tidy:\n  {}", breaches.join("\n  "))
}

/// Shows every line of code below a directory, comments left out.
fn each_line(directory: &Path, look: &mut impl FnMut(&Path, usize, &str)) -> anyhow::Result<()> {
    let mut waiting: Vec<PathBuf> = vec![directory.into()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                for (n, line) in (1..).zip(fs::read_to_string(&path)?.lines()) {
                    if !line.trim_start().starts_with("//") {
                        look(&path, n, line);
                    }
                }
            }
        }
    }
    Ok(())
}
