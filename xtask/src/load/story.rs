//! What happens in one support session, as the events that a tool would send.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// How many chat messages a session has.
const CHATS: std::ops::RangeInclusive<usize> = 4..=40;
/// Teams, sites and problems that sessions are about.
const TEAMS: [&str; 4] = ["Service Desk", "Networks", "Field Support", "Applications"];
const PROBLEMS: [&str; 6] = [
    "The printer says that it is offline, but its light is green.",
    "I cannot log in since I changed my password this morning.",
    "The screen stays black when I plug in the second monitor.",
    "Mails to the customer come back with error 550.",
    "The spreadsheet opens, but every formula shows #REF!.",
    "The VPN asks for a code that my phone does not show.",
];
const WORDS: [&str; 24] = [
    "please", "restart", "the", "service", "and", "tell", "me", "what", "you", "see", "then",
    "click", "on", "network", "settings", "it", "still", "says", "offline", "now", "works",
    "thank", "one", "moment",
];

/// The name of the datum that tells an event from all others, in reports too.
pub(crate) const MARK: &str = "load_id";

/// One session.
pub(crate) struct Story {
    pub(crate) lsid: String,
    pub(crate) seed: u64,
    /// Each event's id, and the event.
    pub(crate) events: Vec<(String, Value)>,
}

impl Story {
    /// The session with this number of a run, led by this representative.
    pub(crate) fn new(run: &str, seed: u64, idx: u32, rep: u32) -> Story {
        let seed = seed ^ (u64::from(idx) << 20);
        let mut story = Story {
            lsid: format!("{run}-{idx}"),
            seed,
            events: Vec::new(),
        };
        let mut dice = fastrand::Rng::with_seed(seed);
        story.open(&mut dice, rep);
        for n in 0..dice.usize(CHATS) {
            let mut words: Vec<&str> = vec!["ok"];
            words.extend((0..dice.usize(2..=24)).map(|_| WORDS[dice.usize(..WORDS.len())]));
            let (from, to) = if n % 2 == 0 {
                (CUSTOMER, REP)
            } else {
                (REP, CUSTOMER)
            };
            story.tell(
                "Chat Message",
                json!({ "performed_by": actor(from), "destination": actor(to), "body": words.join(" ") }),
            );
            if dice.u8(0..12) == 0 {
                let file = json!([{ "name": format!("trace-{n}.log"), "size": dice.u32(1_000..9_000_000) }]);
                story.tell(
                    "File Upload",
                    json!({ "performed_by": actor(REP), "files": file }),
                );
            }
        }
        if dice.u8(0..3) == 0 {
            let rows: Vec<[String; 2]> = (0..dice.usize(2..=30))
                .map(|n| [format!("Device {n}"), format!("{} MB", dice.u32(1..64_000))])
                .collect();
            let devices =
                json!([{ "category": "Devices", "fields": ["Name", "Size"], "rows": rows }]);
            story.tell(
                "System Information Retrieved",
                json!({ "performed_by": actor(CUSTOMER), "system_information": devices }),
            );
        }
        story.tell("Session End", json!({ "performed_by": actor(SYSTEM) }));
        story
    }

    fn open(&mut self, dice: &mut fastrand::Rng, rep: u32) {
        let team = dice.usize(..TEAMS.len());
        let octet = dice.u8(1..255);
        self.tell(
            "Session Start",
            json!({
                "performed_by": actor(SYSTEM),
                "customer": {
                    "gsnumber": CUSTOMER.1, "username": format!("Customer {octet}"),
                    "public_ip": format!("192.0.2.{octet}"), "hostname": format!("PC-{octet:03}"),
                    "os": "Windows 11 Enterprise",
                    "info": { "issue": PROBLEMS[dice.usize(..PROBLEMS.len())] },
                },
                "team": { "id": (team + 1).to_string(), "name": TEAMS[team] },
            }),
        );
        self.tell(
            "Conference Member Added",
            json!({
                "representative": {
                    "gsnumber": REP.1, "id": (rep + 1).to_string(),
                    "username": format!("rep{rep:03}"),
                    "public_display_name": format!("Representative {rep}"),
                },
            }),
        );
        self.tell(
            "Conference Owner Changed",
            json!({ "performed_by": actor(SYSTEM), "destination": actor(REP) }),
        );
    }

    /// The next event, at the time it is told.
    fn tell(&mut self, kind: &str, mut event: Value) {
        let id = format!("{}-{}", self.lsid, self.events.len());
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        event["id"] = id.clone().into();
        event["lsid"] = self.lsid.clone().into();
        event["time"] = since.as_secs_f64().into();
        event["type"] = kind.into();
        event["data"] = json!([[MARK, id]]);
        self.events.push((id, event));
    }
}

/// A kind of party and its number.
type Party = (&'static str, u32);

const SYSTEM: Party = ("system", 0);
const CUSTOMER: Party = ("customer", 1);
const REP: Party = ("representative", 2);

fn actor((kind, gsnumber): Party) -> Value {
    match gsnumber {
        0 => json!({ "type": kind }),
        gsnumber => json!({ "type": kind, "gsnumber": gsnumber }),
    }
}
