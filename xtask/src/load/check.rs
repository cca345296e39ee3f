//! Counts in the reports what was sent.

use std::collections::HashMap;

use anyhow::{bail, ensure};
use serde_json::Value;

use super::client::Client;
use super::story::MARK;
use super::{Fate, Sent};

/// Sessions asked for at once; the server's own limit is 1000.
const SESSIONS_MAX: usize = 200;
/// Events whose count is wrong that are named.
const TOLD_MAX: usize = 10;

/// Insists that each acknowledged event is there once, no other one twice, and nothing else.
/// Gives how many were acknowledged.
pub(super) fn check(client: &mut Client, sent: &HashMap<String, Vec<Sent>>) -> anyhow::Result<u64> {
    let lsids: Vec<&str> = sent.keys().map(String::as_str).collect();
    let mut kept: HashMap<String, u32> = HashMap::new();
    for lsids in lsids.chunks(SESSIONS_MAX) {
        let form = format!(
            "generate_report=SupportSession&format=ndjson&lsids={}",
            lsids.join(",")
        );
        let answer = client.post("/api/reporting", "application/x-www-form-urlencoded", &form)?;
        let text = String::from_utf8(answer.body)?;
        ensure!(answer.status == 200, "no report: {} {text}", answer.status);
        for line in text.lines() {
            count(&serde_json::from_str(line)?, &mut kept)?;
        }
    }
    let mut faults = Vec::new();
    let mut n_acknowledged = 0;
    for Sent { id, fate } in sent.values().flatten() {
        let n = kept.remove(id).unwrap_or(0);
        match fate {
            Fate::Acknowledged => {
                n_acknowledged += 1;
                if n != 1 {
                    faults.push(format!("`{id}` was acknowledged and is there {n} times"));
                }
            }
            Fate::Unknown if 1 < n => faults.push(format!("`{id}` is there {n} times")),
            Fate::Unknown => {}
        }
    }
    faults.extend(kept.keys().map(|id| format!("`{id}` was never sent")));
    if faults.is_empty() {
        return Ok(n_acknowledged);
    }
    let n_faults = faults.len();
    faults.truncate(TOLD_MAX);
    bail!("{n_faults} events are wrong:\n{}", faults.join("\n"))
}

/// Counts the marks of a session's events.
fn count(session: &Value, kept: &mut HashMap<String, u32>) -> anyhow::Result<()> {
    let Some(events) = session["session_details"].as_array() else {
        bail!("a session of the report has no events: {session}");
    };
    for event in events {
        let data = event["data"].as_array().into_iter().flatten();
        let mark = data
            .filter(|value| value["name"] == MARK)
            .find_map(|value| value["value"].as_str());
        match mark {
            Some(id) => *kept.entry(id.to_owned()).or_default() += 1,
            None => bail!("an event of the report was never sent: {event}"),
        }
    }
    Ok(())
}
