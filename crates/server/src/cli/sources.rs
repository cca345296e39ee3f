//! `debrief sources`: how the live sources of a running server are doing.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use crate::client::Client;

/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// Letters of a message that are shown; all of it with --json.
const MESSAGE_CHARS_MAX: usize = 200;

/// Flags of `debrief sources`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server to ask, such as http://127.0.0.1:8080.
    #[arg(long)]
    server: String,
    /// The client id of an API account that may administer.
    #[arg(long)]
    client_id: String,
    /// A file with the API account's client secret, or `-` for standard input.
    #[arg(long)]
    client_secret_file: PathBuf,
    /// The messages of this source that nobody understood, newest first.
    #[arg(long, value_name = "NAME")]
    dead_letters: Option<String>,
    /// As JSON, a line for each.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut client = Client::new(&args.server, &args.client_id, &args.client_secret_file)?;
    let Some(name) = &args.dead_letters else {
        let answer = ask(&mut client, "/api/v1/sources")?;
        let sources = answer["sources"].as_array().context("a foreign answer")?;
        if args.json {
            sources.iter().for_each(|source| println!("{source}"));
        } else {
            print!("{}", table(sources));
        }
        return Ok(());
    };
    // One of its names has a slash.
    let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let name = name.replace('+', "%20");
    let mut before = String::new();
    loop {
        let path = format!("/api/v1/sources/{name}/dead-letters{before}");
        let answer = ask(&mut client, &path)?;
        let letters = answer["dead_letters"]
            .as_array()
            .context("a foreign answer")?;
        for letter in letters {
            if args.json {
                println!("{letter}");
            } else {
                println!("{}", line(letter));
            }
        }
        match answer["next"].as_str() {
            Some(next) => before = format!("?before={next}"),
            None => return Ok(()),
        }
    }
}

fn ask(client: &mut Client, path: &str) -> anyhow::Result<Value> {
    let place = client.place(path).context("no address")?;
    let mut response = client.get(&place.url, &[])?;
    let status = response.status();
    let mut text = String::new();
    let reader = response.body_mut().as_reader();
    reader.take(ANSWER_BYTES_MAX).read_to_string(&mut text)?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    if !status.is_success() {
        let why = answer["message"].as_str().unwrap_or("it does not say why");
        anyhow::bail!("`{}` answers {status}: {why}", client.server());
    }
    Ok(answer)
}

/// A line for each source, its columns under each other.
fn table(sources: &[Value]) -> String {
    const HEADS: [&str; 7] = [
        "name",
        "state",
        "lag",
        "events",
        "refused",
        "dead letters",
        "last error",
    ];
    let rows: Vec<[String; HEADS.len()]> = sources.iter().map(row).collect();
    let mut widths = HEADS.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut table = String::new();
    for row in std::iter::once(HEADS.map(str::to_owned)).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(table, "{}", line.trim_end());
    }
    table
}

fn row(source: &Value) -> [String; 7] {
    let text = |name: &str| shown(source[name].as_str().unwrap_or(""));
    let number = |name: &str| source[name].as_u64().unwrap_or(0).to_string();
    let lag = source["lag_seconds"].as_u64();
    let error = &source["error"];
    let error = error["message"].as_str().map(|message| {
        let at = error["at"].as_str().unwrap_or("");
        format!("{at} {}", shown(message))
    });
    [
        text("name"),
        text("state"),
        lag.map_or("-".into(), |secs| format!("{secs}s")),
        number("events"),
        number("refused"),
        number("dead_letters"),
        error.unwrap_or("-".into()),
    ]
}

fn line(letter: &Value) -> String {
    let text = |name: &str| letter[name].as_str().unwrap_or("");
    let message = match letter["message"].as_str() {
        Some(message) => shown(message),
        None => "(bytes that are no text)".into(),
    };
    format!("{} {} {message}", text("at"), shown(text("why")))
}

/// Foreign words on a terminal: cut, and without control characters.
fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MESSAGE_CHARS_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn sources_stand_under_each_other_and_nothing_of_them_reaches_the_terminal_as_a_command() {
        let source = |name: &str, lag: Value, error: Value| {
            json!({
                "name": name, "state": "waiting", "lag_seconds": lag, "events": 1234,
                "refused": 0, "dead_letters": 2, "error": error,
            })
        };
        let failed = json!({ "at": "2016-11-15T12:00:00+00:00", "message": "a\u{1b}[2Jb\nc" });
        let sources = [
            source("appliance/support.example.com", json!(61), json!(null)),
            source("b", json!(null), failed),
            source("c", json!(0), json!(null)),
        ];
        expect![[r#"
            name                           state    lag  events  refused  dead letters  last error
            appliance/support.example.com  waiting  61s  1234    0        2             -
            b                              waiting  -    1234    0        2             2016-11-15T12:00:00+00:00 a [2Jb c
            c                              waiting  0s   1234    0        2             -
        "#]]
        .assert_eq(&table(&sources));
        let letter = json!({ "at": "then", "why": "no\u{7} reason", "message": null });
        assert_eq!(line(&letter), "then no  reason (bytes that are no text)");
    }
}
