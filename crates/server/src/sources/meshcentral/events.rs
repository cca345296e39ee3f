//! MeshCentral's words: what one event of its stream says. The only place that knows its numbers.
//!
//! The numbers are those of the table `eventsMessageId` in its `views/default.handlebars` (1.1.55).

use debrief_domain::At;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// One event that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    /// Made of what the event says, since it has no id of its own: the same however often, and in
    /// whichever way, it comes.
    pub(super) id: String,
    /// When, by MeshCentral's clock.
    pub(super) at: At,
    /// The device.
    pub(super) node: Option<String>,
    /// Who did it.
    pub(super) user: Option<User>,
    /// What happened.
    pub(super) what: What,
}

/// An account of MeshCentral, or a guest of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    /// Such as `user//probe`.
    pub(super) id: String,
    /// The name shown.
    pub(super) name: String,
    /// The guest who came by a sharing link of this account.
    pub(super) guest: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A relay between a user and a device began.
    Started { relay: String, kind: RelayKind },
    /// It ended, after this many seconds.
    Ended {
        relay: String,
        kind: RelayKind,
        secs: u64,
    },
    /// A further user takes part in a shared desktop.
    Joined { relay: String },
    /// A user of a shared desktop left it.
    Left { relay: String, secs: u64 },
    /// A recording of a relay is complete.
    Recorded(Box<Recorded>),
    /// Something was done in a session.
    Did(Deed),
    /// The person at the device asked for help.
    HelpWanted { details: String },
    /// The server itself began: no relay of before is left.
    Restarted,
}

/// What a relay carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum RelayKind {
    /// A command shell.
    Terminal,
    /// The screen.
    Desktop,
    /// The screen, shared by several users.
    SharedDesktop,
    /// Files.
    Files,
    /// The messenger.
    Chat,
    /// A port, or something newer.
    Other,
}

/// A recording that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    /// The relay, where the event or the file's name tells it.
    pub(super) relay: Option<String>,
    /// What the relay carried.
    pub(super) kind: RelayKind,
    /// The file's name.
    pub(super) file: String,
    /// When the recording began.
    pub(super) began: At,
    /// Who took part.
    pub(super) users: Vec<String>,
}

/// Something that was done in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// A file went to the device.
    Uploaded { path: String, size: Option<u64> },
    /// Files went to the device together.
    UploadedMany { count: u64, folder: String },
    /// A file came from the device.
    Downloaded { path: String, size: Option<u64> },
    /// A folder was made.
    MadeFolder { path: String },
    /// Something was deleted; of a folder, with this many things in it.
    Deleted { path: String, count: Option<u64> },
    /// A file was given another name or place.
    Moved { from: String, to: String },
    /// A text was shown to the person at the device.
    Showed { text: String },
    /// What became of asking the person at the device.
    Consent { answer: &'static str, text: String },
    /// A user wrote a note.
    Noted { text: String },
    /// Something for which the report has no word.
    Remarked { text: String },
}

/// What reading a message gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It was understood.
    Heard(Heard),
    /// It is of no session: why.
    PassedOver(&'static str),
    /// It was not understood: why.
    Strange(String),
}

/// Actions that are of no session, and why.
const PASSED_OVER: &[(&[&str], &str)] = &[
    (
        &[
            "accountchange",
            "accountcreate",
            "accountremove",
            "passchange",
            "login",
            "logout",
            "loginTokenAdded",
            "loginTokenChanged",
            "authfail",
            "endsession",
            "wssessioncount",
            "userWebState",
            "usergroupchange",
            "createusergroup",
            "deleteusergroup",
        ],
        "about accounts",
    ),
    (
        &[
            "addnode",
            "changenode",
            "removenode",
            "nodeconnect",
            "nodemeshchange",
            "createmesh",
            "meshchange",
            "deletemesh",
            "devicesessions",
            "sysinfohash",
            "ifchange",
            "wakedevices",
            "amtactivate",
            "turnon",
            "turnoff",
            "diagnostic",
            "updatefiles",
            "notify",
        ],
        "about devices",
    ),
    (
        &[
            "deviceShareUpdate",
            "addedDeviceShare",
            "removedDeviceShare",
        ],
        "about sharing links",
    ),
    (
        &[
            "stopped",
            "servertimelinestats",
            "servererrors",
            "uicustomevent",
            "sessioncompression",
            "plugin",
            "pluginStateChange",
            "updatePluginList",
            "scanamtdevice",
            "mqttmsg",
            "interuser",
            "msg",
        ],
        "about the server",
    ),
];

/// Numbers of the agent's log that are of no session.
const AGENT_PASSED_OVER: &[u64] = &[
    23, 31, 32, 37, 38, // The bar on the desktop, and management engines.
    54, 104, 117, 118, 119, // The agent itself.
    120, 121, // Told as a relay too.
    58, 111, 141, 159, // Management engines, and power.
];

/// Reads one event.
pub(super) fn read(event: &Value) -> Reading {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let Some(action) = text("action") else {
        return Reading::Strange("an event without an action".into());
    };
    // What is not written down by the server either: states of a page.
    if event.get("nolog").is_some() {
        return Reading::PassedOver("a state, not an event");
    }
    for (actions, why) in PASSED_OVER {
        if actions.contains(&action) {
            return Reading::PassedOver(why);
        }
    }
    let args = Args(event.get("msgArgs").and_then(Value::as_array));
    let msgid = event.get("msgid").and_then(Value::as_u64);
    let what = match action {
        "relaylog" => relay(msgid, &args),
        "agentlog" => match msgid {
            Some(known) if AGENT_PASSED_OVER.contains(&known) => {
                return Reading::PassedOver("about the agent");
            }
            msgid => agent(msgid, &args, text("msg").unwrap_or_default()),
        },
        "recording" => recorded(event, &args),
        "manual" => text("msg").map(|text| What::Did(Deed::Noted { text: text.into() })),
        "batchupload" => batch(&args),
        "runcommands" => Some(What::Did(Deed::Remarked {
            text: match text("cmds") {
                Some(cmds) => format!("Running commands: {cmds}"),
                None => text("msg").unwrap_or("Running commands").into(),
            },
        })),
        "started" => Some(What::Restarted),
        other => return Reading::Strange(format!("no action `{}` is known", cut(other))),
    };
    let Some(what) = what else {
        let msgid = msgid.map_or("none".into(), |msgid| msgid.to_string());
        return Reading::Strange(format!("`{action}` with the message {msgid} is not known"));
    };
    let at = text("time").and_then(time);
    let Some(at) = at else {
        return Reading::Strange("the time of the event cannot be read".into());
    };
    let user = text("userid").map(|id| User {
        id: id.into(),
        name: text("username")
            .unwrap_or_else(|| id.rsplit('/').next().unwrap_or(id))
            .into(),
        guest: text("guestname").map(str::to_owned),
    });
    let node = text("nodeid").map(str::to_owned).or_else(|| node_of(&what));
    let needs_node = !matches!(what, What::Restarted);
    if needs_node && node.is_none() {
        return Reading::Strange("an event of a session without a device".into());
    }
    let needs_user = match &what {
        What::Started { .. } | What::Joined { .. } | What::Left { .. } => true,
        What::Ended { kind, .. } => *kind != RelayKind::SharedDesktop,
        What::Recorded(_) | What::Did(_) | What::HelpWanted { .. } | What::Restarted => false,
    };
    if needs_user && user.is_none() {
        return Reading::Strange("a relay without a user".into());
    }
    Reading::Heard(Heard {
        id: id(event),
        at,
        node,
        user,
        what,
    })
}

fn relay(msgid: Option<u64>, args: &Args<'_>) -> Option<What> {
    use RelayKind::{Chat, Desktop, Files, Other, SharedDesktop, Terminal};
    let started = |kind| {
        Some(What::Started {
            relay: args.text(0)?,
            kind,
        })
    };
    let ended = |kind, relay: usize, secs: usize| {
        Some(What::Ended {
            relay: args.text(relay)?,
            kind,
            secs: args.number(secs).unwrap_or(0),
        })
    };
    match msgid? {
        13 => started(Other),
        14 | 148 => started(Terminal),
        15 | 150 | 151 => started(Desktop),
        16 | 149 => started(Files),
        162 => started(Chat),
        145 => started(SharedDesktop),
        9 => ended(Other, 0, 3),
        10 => ended(Terminal, 0, 3),
        11 => ended(Desktop, 0, 3),
        12 => ended(Files, 0, 3),
        112 => ended(Chat, 0, 3),
        147 => ended(SharedDesktop, 0, 1),
        123 => ended(Terminal, 1, 0),
        124 => ended(Files, 1, 0),
        125 => ended(Desktop, 1, 0),
        143 => Some(What::Joined {
            relay: args.text(0)?,
        }),
        144 => Some(What::Left {
            relay: args.text(0)?,
            secs: args.number(1).unwrap_or(0),
        }),
        _ => None,
    }
}

fn agent(msgid: Option<u64>, args: &Args<'_>, msg: &str) -> Option<What> {
    let path = || args.text(0);
    let consent = |answer| {
        Some(Deed::Consent {
            answer,
            text: msg.into(),
        })
    };
    let deed = match msgid? {
        44 => Some(Deed::MadeFolder { path: path()? }),
        45 => Some(Deed::Deleted {
            path: path()?,
            count: None,
        }),
        46 | 47 => Some(Deed::Deleted {
            path: path()?,
            count: args.number(1),
        }),
        48 => {
            let from = path()?;
            // Only the new name is told: the folder stays.
            let folder = from.rfind(['/', '\\']).map_or("", |end| &from[..=end]);
            let to = format!("{folder}{}", args.text(1)?);
            Some(Deed::Moved { from, to })
        }
        52 => Some(Deed::Moved {
            from: path()?,
            to: args.text(1)?,
        }),
        49 | 106 => Some(Deed::Downloaded {
            path: path()?,
            size: args.number(1),
        }),
        50 | 105 => Some(Deed::Uploaded {
            path: path()?,
            size: args.number(1),
        }),
        18 | 26 | 158 => Some(Deed::Showed {
            text: args.text(1)?,
        }),
        27 | 30 | 40 => consent("accepted"),
        28 | 34 | 41 => consent("rejected"),
        29 | 33 | 39 => consent("ended"),
        35 | 42 => consent("told"),
        36 | 43 => consent("not asked"),
        98 => {
            let details = args.text(1)?;
            return Some(What::HelpWanted { details });
        }
        17 | 19..=22 | 24 | 25 | 51 | 53 | 99 | 100 | 132..=137 if !msg.is_empty() => {
            Some(Deed::Remarked { text: msg.into() })
        }
        _ => None,
    };
    deed.map(What::Did)
}

fn batch(args: &Args<'_>) -> Option<What> {
    Some(What::Did(Deed::UploadedMany {
        count: args.number(0)?,
        folder: args.text(1)?,
    }))
}

fn recorded(event: &Value, args: &Args<'_>) -> Option<What> {
    let file = event.get("filename")?.as_str()?.to_owned();
    let is_shared = event.get("multiplex").is_some_and(|shared| shared == true);
    let relay = match is_shared {
        true => args.text(0),
        false => relay_of(&file).map(str::to_owned),
    };
    let kind = match number(event.get("protocol")?)? {
        1 | 6 | 8 | 9 => RelayKind::Terminal,
        2 if is_shared => RelayKind::SharedDesktop,
        2 => RelayKind::Desktop,
        5 => RelayKind::Files,
        200 => RelayKind::Chat,
        _ => RelayKind::Other,
    };
    let began = event.get("startTime").and_then(Value::as_i64);
    let users = event.get("userids").and_then(Value::as_array);
    let users = users.into_iter().flatten().filter_map(Value::as_str);
    Some(What::Recorded(Box::new(Recorded {
        relay,
        kind,
        file,
        began: At::from_millis(began?).ok()?,
        users: users.map(str::to_owned).collect(),
    })))
}

/// The relay at the end of a recording's file name, such as `relaysession-…-vm-5523bdb7105e.mcrec`.
fn relay_of(file: &str) -> Option<&str> {
    let (stem, _) = file.rsplit_once('.')?;
    let (_, relay) = stem.rsplit_once('-')?;
    (!relay.is_empty() && relay != "Messenger").then_some(relay)
}

/// The device that a messenger's relay names, `meshmessenger/node/…/…/user/…/…`: the end of one
/// tells no other.
fn node_of(what: &What) -> Option<String> {
    let (What::Ended { relay, .. } | What::Started { relay, .. }) = what else {
        return None;
    };
    let rest = relay.strip_prefix("meshmessenger/")?;
    let mut parts = rest.splitn(4, '/');
    let (kind, domain, id) = (parts.next()?, parts.next()?, parts.next()?);
    (kind == "node" && !id.is_empty()).then(|| format!("node/{domain}/{id}"))
}

fn time(text: &str) -> Option<At> {
    let time: jiff::Timestamp = text.parse().ok()?;
    At::from_millis(time.as_millisecond()).ok()
}

/// The fields that make an event what it is: others come in one way and not in another.
const IDENTITY: [&str; 9] = [
    "time", "action", "msgid", "msgArgs", "userid", "nodeid", "filename", "msg", "cmds",
];

fn id(event: &Value) -> String {
    let mut hash = Sha256::new();
    for name in IDENTITY {
        let value = event.get(name).map(Value::to_string).unwrap_or_default();
        hash.update((value.len() as u64).to_be_bytes());
        hash.update(value.as_bytes());
    }
    hex(&hash.finalize()[..16])
}

/// Hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(value: &Value) -> Option<u64> {
    let from_text = || value.as_str().and_then(|text| text.parse().ok());
    value.as_u64().or_else(from_text)
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The values that a message's text is filled with.
struct Args<'a>(Option<&'a Vec<Value>>);

impl Args<'_> {
    fn text(&self, idx: usize) -> Option<String> {
        let text = self.0?.get(idx)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn number(&self, idx: usize) -> Option<u64> {
        number(self.0?.get(idx)?)
    }
}
