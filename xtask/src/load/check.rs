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
pub(super) fn check(
    client: &mut Client,
    sent: &HashMap<String, Vec<Sent>>,
) -> anyhow::Result<usize> {
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
    let mut faults = faults(sent, kept);
    if faults.is_empty() {
        let acknowledged = |event: &&Sent| event.fate == Fate::Acknowledged;
        return Ok(sent.values().flatten().filter(acknowledged).count());
    }
    let n_faults = faults.len();
    faults.truncate(TOLD_MAX);
    bail!("{n_faults} events are wrong:\n{}", faults.join("\n"))
}

/// What is wrong with how often each event is there.
fn faults(sent: &HashMap<String, Vec<Sent>>, mut kept: HashMap<String, u32>) -> Vec<String> {
    let mut faults = Vec::new();
    for Sent { id, fate } in sent.values().flatten() {
        match (fate, kept.remove(id).unwrap_or(0)) {
            (Fate::Acknowledged | Fate::Unknown, 1) | (Fate::Unknown, 0) => {}
            (Fate::Acknowledged, n) => {
                faults.push(format!("`{id}` was acknowledged and is there {n} times"));
            }
            (Fate::Unknown, n) => faults.push(format!("`{id}` is there {n} times")),
        }
    }
    faults.extend(kept.keys().map(|id| format!("`{id}` was never sent")));
    faults
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_doubled_or_never_sent_is_named() {
        let sent = |id: &str, fate| Sent {
            id: id.into(),
            fate,
        };
        let fates = [
            ("once", Fate::Acknowledged),
            ("lost", Fate::Acknowledged),
            ("doubled", Fate::Acknowledged),
            ("absent", Fate::Unknown),
            ("kept", Fate::Unknown),
            ("twice", Fate::Unknown),
        ];
        let sent = fates.map(|(id, fate)| sent(id, fate)).into();
        let kept = [
            ("once", 1),
            ("doubled", 2),
            ("kept", 1),
            ("twice", 2),
            ("x", 1),
        ];
        let kept = kept.map(|(id, n)| (id.to_owned(), n)).into();
        let found = faults(&HashMap::from([("session".into(), sent)]), kept);
        let expected = [
            "`lost` was acknowledged and is there 0 times",
            "`doubled` was acknowledged and is there 2 times",
            "`twice` is there 2 times",
            "`x` was never sent",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_event_of_a_report_is_counted_and_a_stranger_is_an_error() {
        let event = |id: &str| serde_json::json!({ "data": [{ "name": MARK, "value": id }] });
        let mut kept = HashMap::new();
        let session =
            serde_json::json!({ "session_details": [event("a"), event("b"), event("a")] });
        count(&session, &mut kept).expect("all are marked");
        assert_eq!(kept, HashMap::from([("a".into(), 2), ("b".into(), 1)]));
        let stranger = serde_json::json!({ "session_details": [event("a"), { "data": [] }] });
        assert!(count(&stranger, &mut kept).is_err());
        assert!(count(&serde_json::json!({}), &mut kept).is_err());
    }
}
