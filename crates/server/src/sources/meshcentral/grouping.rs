//! Relays become sessions, and what was heard becomes Debrief's events. Pure: time is an argument,
//! and the same state and the same events give the same answer, with the same ids.
//!
//! A session is what one user does at one device without a long pause, with everyone who joins the
//! desktops shared in it. A terminal, files and a chat opened from one page are separate relays.

use std::collections::BTreeMap;

use debrief_domain::limits::{NAME_CHARS_MAX, TEXT_BYTES_MAX};
use debrief_domain::{
    Actor, ActorKind, At, Body, Category, Customer, CustomerInfo, Event, EventId, EventType,
    Invitation, Joined, JumpGroup, Lsid, Recording, RecordingKind, RepId, SessionContext, SiteId,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::chat::{Line, Said, Side};
use super::events::{Deed, Heard, Recorded, RelayKind, User, What, hex};

/// How long a session that ended is remembered, for notes and recordings that come late.
pub(super) const REMEMBER_SECS: i64 = 3_600;
/// How long a request for help waits for a session.
const HELP_SECS: i64 = 86_400;
/// How far back events are asked for again, and so how long each is remembered.
pub(super) const OVERLAP_SECS: i64 = 600;
/// How far ahead of our clock the place in the stream may be. What happens now must be behind it by
/// less than the overlap.
const FUTURE_SECS_MAX: i64 = 300;
const _: () = assert!(FUTURE_SECS_MAX < OVERLAP_SECS);
/// After this long a relay whose end was never told is over.
const RELAY_SECS_MAX: i64 = 7 * 86_400;
/// Sessions remembered at once; beyond it the oldest are forgotten.
const GROUPS_MAX: usize = 10_000;
/// Events remembered at once; beyond it the oldest are forgotten.
const SEEN_MAX: usize = 100_000;
/// Numbers of a session: the customer's; representatives follow.
const CUSTOMER: u32 = 1;

/// What a source remembers: all that a restart needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The time of the newest event that was taken in.
    pub(super) cursor: Option<i64>,
    /// Events of the overlap, each with its time.
    seen: BTreeMap<String, i64>,
    groups: Vec<Group>,
    /// Recordings that are still to be fetched.
    pub(super) wanted: Vec<Wanted>,
    /// What people at devices asked for.
    help: BTreeMap<String, (i64, String)>,
}

/// One session in the making.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Group {
    lsid: String,
    node: String,
    began: i64,
    /// The last thing that happened in it.
    last: i64,
    /// When its end was told.
    ended: Option<i64>,
    members: Vec<Member>,
    relays: Vec<Relay>,
    n_shells: u32,
    n_screens: u32,
    /// Whether the device is still to be asked about itself.
    is_device_wanted: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Member {
    user: String,
    guest: Option<String>,
    name: String,
    gsnumber: u32,
    is_present: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Relay {
    id: String,
    kind: RelayKind,
    began: i64,
    ended: Option<i64>,
    /// Who began it, by number.
    by: u32,
    /// The users in it, by their numbers.
    users: Vec<u32>,
}

/// A recording that is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// The file's name at the server.
    pub(super) file: String,
    /// The session.
    pub(super) lsid: String,
    /// What it is to become.
    pub(super) form: Form,
    /// When the recording began.
    began: i64,
    /// The representative's number.
    by: u32,
    /// How often fetching it failed.
    #[serde(default)]
    pub(super) n_failures: u32,
}

/// What a recording becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Form {
    /// A command shell of this number.
    Shell { instance: u32 },
    /// The session's own recording.
    Screen,
    /// A further screen: it stands among those of `show_my_screen`, the only list of screens.
    FurtherScreen { instance: u32 },
    /// Events of a chat.
    Chat,
}

/// What is known of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) hostname: Option<String>,
    pub(super) os: Option<String>,
    pub(super) ip: Option<String>,
    /// The group's id and name.
    pub(super) group: Option<(String, String)>,
}

/// Devices by their ids.
pub(super) type Devices = BTreeMap<String, Device>;

/// What stays the same for a source.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// The source's name: two sources never make the same session.
    pub(super) source: String,
    /// The public site of its sessions.
    pub(super) site: Option<SiteId>,
    /// Idleness that ends a session.
    pub(super) idle_secs: i64,
}

/// What became of something that was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Took {
    /// It was taken in before.
    Again,
    /// It is taken in.
    Now {
        /// What it means, perhaps nothing.
        events: Vec<Event>,
        /// Why it has no place, and is to be kept aside.
        homeless: Option<&'static str>,
    },
}

impl State {
    /// Takes in what was heard. Events are to come by their times, as far as that can be had; one
    /// of the future, of a server whose clock was wrong, must not shut out those until then.
    pub(super) fn take(
        &mut self,
        heard: &Heard,
        now: At,
        rules: &Rules,
        devices: &Devices,
    ) -> Took {
        let at = heard.at.millis();
        let latest = now.plus_secs(FUTURE_SECS_MAX);
        self.cursor = self.cursor.map(|cursor| cursor.min(latest.millis()));
        if self.seen.insert(heard.id.clone(), at).is_some() {
            return Took::Again;
        }
        // What is older than the overlap was taken in, or is out of reach of the archive's order.
        if self
            .cursor
            .is_some_and(|cursor| at < cursor - OVERLAP_SECS * 1_000)
        {
            return Took::Again;
        }
        let mut events = self.close_idle(heard.at.min(latest), rules);
        let told = self.told(heard, rules, devices);
        let at = at.min(latest.millis());
        self.cursor = Some(self.cursor.map_or(at, |cursor| cursor.max(at)));
        self.forget();
        let homeless = match told {
            Ok(told) => {
                events.extend(told);
                None
            }
            Err(why) => Some(why),
        };
        Took::Now { events, homeless }
    }

    /// Whether a message that was not understood comes for the first time, as far as is known.
    pub(super) fn is_new(&mut self, message: &serde_json::Value) -> bool {
        let id = hex(&Sha256::digest(message.to_string())[..16]);
        // It has no time that could be trusted.
        let at = self.cursor.unwrap_or(0);
        self.seen.insert(id, at).is_none()
    }

    /// Ends sessions in which nothing has happened for long.
    pub(super) fn close_idle(&mut self, now: At, rules: &Rules) -> Vec<Event> {
        let mut events = Vec::new();
        let idle = rules.idle_secs * 1_000;
        for group in &mut self.groups {
            for relay in group
                .relays
                .iter_mut()
                .filter(|relay| relay.ended.is_none())
            {
                if relay.began + RELAY_SECS_MAX * 1_000 <= now.millis() {
                    relay.ended = Some(relay.began);
                }
            }
            let is_idle = group.last + idle <= now.millis() && !group.is_busy();
            if group.ended.is_none() && is_idle {
                events.extend(group.end());
            }
        }
        events
    }

    /// Sessions whose devices are to be asked about themselves: lsid and device.
    pub(super) fn devices_wanted(&self) -> Vec<(String, String)> {
        let wanted = self.groups.iter().filter(|group| {
            // What a device says now is nothing about a session of long ago.
            group.is_device_wanted && group.ended.is_none()
        });
        wanted
            .map(|group| (group.lsid.clone(), group.node.clone()))
            .collect()
    }

    /// What a device said of itself, in the sessions that wait for it.
    pub(super) fn device_told(&mut self, node: &str, tables: &[Category]) -> Vec<Event> {
        let mut events = Vec::new();
        for group in &mut self.groups {
            if !group.is_device_wanted || group.ended.is_some() || group.node != node {
                continue;
            }
            group.is_device_wanted = false;
            if tables.is_empty() {
                continue;
            }
            let seed = format!("{}-device", group.lsid);
            let mut event = group.event(
                &seed,
                "",
                group.began,
                EventType::SystemInformationRetrieved,
            );
            event.performed_by = Some(system());
            event.system_information = tables.to_vec();
            events.push(event);
        }
        events
    }

    /// How many sessions are running.
    pub(super) fn n_running(&self) -> usize {
        self.groups
            .iter()
            .filter(|group| group.ended.is_none())
            .count()
    }

    fn told(
        &mut self,
        heard: &Heard,
        rules: &Rules,
        devices: &Devices,
    ) -> Result<Vec<Event>, &'static str> {
        let at = heard.at.millis();
        let node = heard.node.as_deref().unwrap_or_default();
        match (&heard.what, &heard.user) {
            (What::Restarted, _) => {
                for group in &mut self.groups {
                    group.cut(at);
                }
                Ok(Vec::new())
            }
            (What::HelpWanted { details }, _) => {
                self.help.insert(node.into(), (at, long(details)));
                Ok(Vec::new())
            }
            (What::Started { relay, kind }, Some(user)) => {
                Ok(self.started(heard, node, user, relay, *kind, at, rules, devices))
            }
            (What::Ended { relay, kind, secs }, user) => self.ended(
                heard,
                node,
                user.as_ref(),
                (relay, *kind, *secs),
                rules,
                devices,
            ),
            (What::Joined { relay }, Some(user)) => {
                let mut events = Vec::new();
                if self.running(relay).is_none() {
                    let kind = RelayKind::SharedDesktop;
                    events = self.started(heard, node, user, relay, kind, at, rules, devices);
                }
                let Some((group, relay)) = self.running(relay) else {
                    return Ok(events);
                };
                let (gsnumber, joined) = group.member(&heard.id, user, at);
                events.extend(joined);
                if !group.relays[relay].users.contains(&gsnumber) {
                    group.relays[relay].users.push(gsnumber);
                }
                group.last = group.last.max(at);
                Ok(events)
            }
            (What::Left { relay, .. }, Some(user)) => {
                let Some((group, relay)) = self.running(relay) else {
                    return Err("somebody left a session that is not known");
                };
                Ok(group.left(&heard.id, relay, user, at))
            }
            (What::Recorded(recorded), _) => self.recorded(node, recorded, at),
            (What::Did(deed), user) => self.did(heard, node, user.as_ref(), deed),
            (What::Started { .. } | What::Joined { .. } | What::Left { .. }, None) => {
                Err("a relay without a user")
            }
        }
    }

    /// The session in which this relay runs, and the relay's place.
    fn running(&mut self, relay: &str) -> Option<(&mut Group, usize)> {
        self.groups.iter_mut().rev().find_map(|group| {
            let is_it = |known: &Relay| known.id == relay && known.ended.is_none();
            let place = group.relays.iter().position(is_it)?;
            Some((group, place))
        })
    }

    #[expect(clippy::too_many_arguments, reason = "they are what one event says")]
    fn started(
        &mut self,
        heard: &Heard,
        node: &str,
        user: &User,
        relay: &str,
        kind: RelayKind,
        at: i64,
        rules: &Rules,
        devices: &Devices,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let known = self
            .groups
            .iter_mut()
            .rev()
            .find(|group| group.ended.is_none() && group.node == node && group.has(user));
        let group = match known {
            Some(group) => group,
            None => {
                let mut group = Group::new(rules, node, relay, at);
                let device = devices.get(node);
                let help = self
                    .help
                    .remove(node)
                    .filter(|(asked, _)| at - asked < HELP_SECS * 1_000);
                events.extend(group.begin(&heard.id, device, rules, help.map(|(_, text)| text)));
                self.groups.push(group);
                self.groups.last_mut().expect("it was just pushed")
            }
        };
        let is_first = group.members.is_empty();
        let (gsnumber, joined) = group.member(&heard.id, user, at);
        events.extend(joined);
        if is_first {
            let mut event = group.event(&heard.id, "owner", at, EventType::ConferenceOwnerChanged);
            event.performed_by = Some(system());
            event.destination = Some(group.rep(gsnumber));
            event.data = vec![("owner".into(), name(&user.name))];
            events.push(event);
        }
        group.last = group.last.max(at);
        group.relays.push(Relay {
            id: relay.into(),
            kind,
            began: at,
            ended: None,
            by: gsnumber,
            users: vec![gsnumber],
        });
        let said = match kind {
            RelayKind::Terminal => {
                let kind = EventType::CommandShellSessionStarted;
                let mut event = group.event(&heard.id, "", at, kind);
                event.performed_by = Some(group.rep(gsnumber));
                event.destination = Some(group.customer());
                events.push(event);
                return events;
            }
            RelayKind::Desktop | RelayKind::SharedDesktop => "can now view and control the screen.",
            RelayKind::Files => "can now work with the files.",
            RelayKind::Chat => "opened a chat.",
            RelayKind::Other => "opened a connection.",
        };
        let text = format!("{} {said}", group.name_of(gsnumber));
        events.push(group.said_by_system(&heard.id, at, text));
        events
    }

    fn ended(
        &mut self,
        heard: &Heard,
        node: &str,
        user: Option<&User>,
        (relay, kind, secs): (&str, RelayKind, u64),
        rules: &Rules,
        devices: &Devices,
    ) -> Result<Vec<Event>, &'static str> {
        let at = heard.at.millis();
        let mut events = Vec::new();
        if self.running(relay).is_none() {
            let Some(user) = user else {
                return Err("a desktop ended that is not known");
            };
            // Its beginning was never told, or was forgotten: its length tells when that was.
            let secs = i64::try_from(secs).unwrap_or(0).min(RELAY_SECS_MAX);
            let began = (at - secs * 1_000).max(0);
            events = self.started(heard, node, user, relay, kind, began, rules, devices);
        }
        if let Some((group, place)) = self.running(relay) {
            group.relays[place].ended = Some(at);
            group.last = group.last.max(at);
        }
        Ok(events)
    }

    fn recorded(
        &mut self,
        node: &str,
        recorded: &Recorded,
        at: i64,
    ) -> Result<Vec<Event>, &'static str> {
        // Traffic of files and ports is no picture of anything: what was done is told by events.
        if matches!(recorded.kind, RelayKind::Files | RelayKind::Other) {
            return Ok(Vec::new());
        }
        let began = recorded.began.millis();
        let of_relay = |relay: &Relay| match &recorded.relay {
            Some(id) => relay.id == *id,
            // The messenger's files tell no relay: it is the one that ran then.
            None => {
                let ended = relay.ended.unwrap_or(at);
                relay.kind == recorded.kind
                    && relay.began - 5_000 <= began
                    && began <= ended + 5_000
            }
        };
        let found = self.groups.iter_mut().rev().find_map(|group| {
            if group.node != node {
                return None;
            }
            let place = group.relays.iter().position(of_relay)?;
            let users = &recorded.users;
            let is_theirs = group
                .members
                .iter()
                .any(|member| users.contains(&member.user));
            (users.is_empty() || is_theirs).then_some((group, place))
        });
        let Some((group, place)) = found else {
            return Err("a recording of a session that is not known");
        };
        let form = match recorded.kind {
            RelayKind::Chat => Form::Chat,
            RelayKind::Terminal => {
                group.n_shells += 1;
                Form::Shell {
                    instance: group.n_shells - 1,
                }
            }
            RelayKind::Desktop | RelayKind::SharedDesktop => {
                group.n_screens += 1;
                match group.n_screens {
                    1 => Form::Screen,
                    n => Form::FurtherScreen { instance: n - 2 },
                }
            }
            RelayKind::Files | RelayKind::Other => return Ok(Vec::new()),
        };
        self.wanted.push(Wanted {
            file: recorded.file.clone(),
            lsid: group.lsid.clone(),
            form,
            began: began.max(group.relays[place].began),
            by: group.relays[place].by,
            n_failures: 0,
        });
        Ok(Vec::new())
    }

    fn did(
        &mut self,
        heard: &Heard,
        node: &str,
        user: Option<&User>,
        deed: &Deed,
    ) -> Result<Vec<Event>, &'static str> {
        let at = heard.at.millis();
        let is_note = matches!(deed, Deed::Noted { .. });
        let found = self.groups.iter_mut().rev().find(|group| {
            let is_here = group.node == node && group.began <= at;
            let is_theirs = user.is_none_or(|user| group.has(user));
            // A note is often written when all is done; anything else belongs to a running session.
            let is_then = group.ended.is_none()
                || is_note
                    && group
                        .ended
                        .is_some_and(|ended| at < ended + REMEMBER_SECS * 1_000);
            is_here && is_theirs && is_then
        });
        let Some(group) = found else {
            return Err("something done at a device outside of any session");
        };
        if group.ended.is_none() {
            group.last = group.last.max(at);
        }
        let by = match user {
            Some(user) => group.rep(group.find(user).map_or(0, |member| member.gsnumber)),
            None => system(),
        };
        Ok(vec![group.deed(heard, by, deed)])
    }

    /// Forgets what can no longer be asked for.
    fn forget(&mut self) {
        let Some(cursor) = self.cursor else { return };
        let overlap = cursor - OVERLAP_SECS * 1_000;
        if self.seen.values().any(|at| *at < overlap) {
            self.seen.retain(|_, at| overlap <= *at);
        }
        while SEEN_MAX < self.seen.len() {
            let oldest = self.seen.iter().min_by_key(|(_, at)| **at);
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else {
                break;
            };
            self.seen.remove(&oldest);
        }
        let remember = cursor - REMEMBER_SECS * 1_000;
        self.groups
            .retain(|group| group.ended.is_none_or(|ended| remember <= ended));
        let n_many = self.groups.len().saturating_sub(GROUPS_MAX);
        self.groups.drain(..n_many);
        self.help
            .retain(|_, (at, _)| cursor - HELP_SECS * 1_000 <= *at);
    }
}

impl Group {
    fn new(rules: &Rules, node: &str, relay: &str, at: i64) -> Group {
        let seed = format!("{}\n{node}\n{relay}\n{at}", rules.source);
        Group {
            lsid: format!("mc{}", hex(&Sha256::digest(seed)[..15])),
            node: node.into(),
            began: at,
            last: at,
            ended: None,
            members: Vec::new(),
            relays: Vec::new(),
            n_shells: 0,
            n_screens: 0,
            is_device_wanted: true,
        }
    }

    fn is_busy(&self) -> bool {
        self.relays.iter().any(|relay| relay.ended.is_none())
    }

    fn find(&self, user: &User) -> Option<&Member> {
        let is_it = |member: &&Member| member.user == user.id && member.guest == user.guest;
        self.members.iter().find(is_it)
    }

    fn has(&self, user: &User) -> bool {
        self.find(user).is_some()
    }

    /// Every relay ends at this time: the server that carried them is gone.
    fn cut(&mut self, at: i64) {
        for relay in self.relays.iter_mut().filter(|relay| relay.ended.is_none()) {
            relay.ended = Some(at);
            self.last = self.last.max(at);
        }
    }

    fn event(&self, seed: &str, suffix: &str, at: i64, kind: EventType) -> Event {
        let id = match suffix {
            "" => seed.to_owned(),
            suffix => format!("{seed}-{suffix}"),
        };
        let id = EventId::parse(&id).expect("letters, digits and hyphens, fewer than 128");
        let lsid = Lsid::parse(&self.lsid).expect("made of hexadecimal digits");
        let at = At::from_millis(at).unwrap_or(At::MIN);
        Event::new(id, lsid, at, kind)
    }

    fn begin(
        &mut self,
        seed: &str,
        device: Option<&Device>,
        rules: &Rules,
        help: Option<String>,
    ) -> Vec<Event> {
        let at = self.began;
        let mut start = self.event(seed, "start", at, EventType::SessionStart);
        start.performed_by = Some(system());
        let group = device.and_then(|device| device.group.as_ref());
        start.session = Some(Box::new(SessionContext {
            public_site: rules.site.clone().map(|site| (site, None)),
            jump_group: group.map(|(id, title)| JumpGroup {
                kind: "shared".into(),
                id: name(id),
                name: name(title),
            }),
            ..SessionContext::default()
        }));
        let mut joins = self.event(seed, "customer", at, EventType::ConferenceMemberAdded);
        joins.performed_by = Some(self.customer());
        let short = || self.node.rsplit('/').next().unwrap_or_default();
        let ip = device.and_then(|device| device.ip.as_deref());
        joins.customer = Some(Box::new(Customer {
            gsnumber: CUSTOMER,
            username: name(device.map_or_else(short, |device| &device.name)),
            public_ip: ip.and_then(|ip| Some((ip.parse::<std::net::IpAddr>().ok()?, 0).into())),
            private_ip: None,
            hostname: device
                .and_then(|device| device.hostname.as_deref())
                .map(name),
            os: device.and_then(|device| device.os.as_deref()).map(name),
            info: CustomerInfo {
                details: help.unwrap_or_default(),
                ..CustomerInfo::default()
            },
        }));
        vec![start, joins]
    }

    /// The user's number, and the event of joining where that is new.
    fn member(&mut self, seed: &str, user: &User, at: i64) -> (u32, Option<Event>) {
        let n_members = self.members.len() as u32;
        let is_it = |member: &&mut Member| member.user == user.id && member.guest == user.guest;
        let gsnumber = match self.members.iter_mut().find(is_it) {
            Some(member) if member.is_present => return (member.gsnumber, None),
            Some(member) => {
                member.is_present = true;
                member.gsnumber
            }
            None => {
                let gsnumber = CUSTOMER + 1 + n_members;
                self.members.push(Member {
                    user: user.id.clone(),
                    guest: user.guest.clone(),
                    name: name(user.guest.as_ref().unwrap_or(&user.name)),
                    gsnumber,
                    is_present: true,
                });
                gsnumber
            }
        };
        let shown = self.name_of(gsnumber);
        let mut event = self.event(seed, "joined", at, EventType::ConferenceMemberAdded);
        event.performed_by = Some(self.rep(gsnumber));
        event.representative = Some(Box::new(Joined {
            gsnumber,
            id: rep_id(&user.id),
            username: name(user.id.rsplit('/').next().unwrap_or(&user.id)),
            public_display_name: shown.clone(),
            private_display_name: shown,
            display_number: String::new(),
            public_ip: None,
            private_ip: None,
            hostname: None,
            os: None,
            support_teams: Vec::new(),
            invitation: match user.guest {
                Some(_) => Invitation::Invited,
                None => Invitation::Regular,
            },
        }));
        (gsnumber, Some(event))
    }

    fn left(&mut self, seed: &str, relay: usize, user: &User, at: i64) -> Vec<Event> {
        self.last = self.last.max(at);
        let Some(gsnumber) = self.find(user).map(|member| member.gsnumber) else {
            return Vec::new();
        };
        self.relays[relay].users.retain(|known| *known != gsnumber);
        let mut running = self.relays.iter().filter(|relay| relay.ended.is_none());
        if running.any(|relay| relay.users.contains(&gsnumber)) {
            return Vec::new();
        }
        self.departs(seed, "left", gsnumber, at)
            .into_iter()
            .collect()
    }

    fn departs(&mut self, seed: &str, suffix: &str, gsnumber: u32, at: i64) -> Option<Event> {
        let mut members = self.members.iter_mut();
        let member = members.find(|member| member.gsnumber == gsnumber && member.is_present)?;
        member.is_present = false;
        let mut event = self.event(seed, suffix, at, EventType::ConferenceMemberDeparted);
        event.performed_by = Some(self.rep(gsnumber));
        Some(event)
    }

    fn end(&mut self) -> Vec<Event> {
        let at = self.last;
        self.ended = Some(at);
        // Another end is another event: a session may turn out to have gone on.
        let seed = format!("{}-{at}", self.lsid);
        let present: Vec<u32> = self.members.iter().map(|member| member.gsnumber).collect();
        let departures = present.into_iter();
        let mut events: Vec<Event> = departures
            .filter_map(|gsnumber| self.departs(&seed, &format!("left-{gsnumber}"), gsnumber, at))
            .collect();
        let mut event = self.event(&seed, "end", at, EventType::SessionEnd);
        event.performed_by = Some(system());
        events.push(event);
        events
    }

    fn deed(&self, heard: &Heard, by: Actor, deed: &Deed) -> Event {
        let (seed, at) = (heard.id.as_str(), heard.at.millis());
        let event = |kind| {
            let mut event = self.event(seed, "", at, kind);
            event.performed_by = Some(by.clone());
            event.destination = Some(self.customer());
            event
        };
        let file = |kind, path: &str, size: Option<u64>| {
            let mut event = event(kind);
            event.filename = Some(name(path));
            event.filesize = size;
            event.data = vec![("filename".into(), name(path))];
            event
                .data
                .extend(size.map(|size| ("filesize".into(), size.to_string())));
            event
        };
        match deed {
            Deed::Uploaded { path, size } => file(EventType::FileUpload, path, *size),
            Deed::UploadedMany { count, folder } => {
                let mut event = file(EventType::FileUpload, folder, None);
                event.data.push(("count".into(), count.to_string()));
                event
            }
            Deed::Downloaded { path, size } => {
                let mut event = file(EventType::FileDownload, path, *size);
                // The vendor's events have it so: the customer's device sends.
                std::mem::swap(&mut event.performed_by, &mut event.destination);
                event
            }
            Deed::MadeFolder { path } => {
                let mut event = event(EventType::DirectoryCreated);
                event.data = vec![("path".into(), name(path))];
                event
            }
            Deed::Deleted { path, count } => {
                let mut event = file(EventType::FileDeleted, path, None);
                event
                    .data
                    .extend(count.map(|count| ("count".into(), count.to_string())));
                event
            }
            Deed::Moved { from, to } => {
                let mut event = file(EventType::FileMoved, from, None);
                event.data.push(("old_path".into(), name(from)));
                event.data.push(("new_path".into(), name(to)));
                event
            }
            Deed::Showed { text } => {
                let mut event = event(EventType::ChatMessage);
                event.performed_by = Some(system());
                event.body = Some(Body::Text(long(text)));
                event
            }
            Deed::Consent { answer, text } => {
                let mut event = self.said_by_system(seed, at, text.clone());
                event.data = vec![("consent".into(), (*answer).into())];
                event
            }
            Deed::Noted { text } | Deed::Remarked { text } => {
                let mut event = event(EventType::SessionNoteAdded);
                event.destination = None;
                event.body = Some(Body::Text(long(text)));
                event
            }
        }
    }

    fn said_by_system(&self, seed: &str, at: i64, text: String) -> Event {
        let mut event = self.event(seed, "", at, EventType::ChatMessage);
        event.performed_by = Some(system());
        event.destination = Some(everyone());
        event.body = Some(Body::Text(long(&text)));
        event
    }

    fn name_of(&self, gsnumber: u32) -> String {
        let mut members = self.members.iter();
        let member = members.find(|member| member.gsnumber == gsnumber);
        member.map_or(String::new(), |member| member.name.clone())
    }

    fn rep(&self, gsnumber: u32) -> Actor {
        Actor {
            kind: ActorKind::Representative,
            gsnumber,
            name: Some(self.name_of(gsnumber)),
        }
    }

    fn customer(&self) -> Actor {
        actor(ActorKind::Customer, CUSTOMER)
    }
}

impl Wanted {
    /// Which recording of its session it becomes; none where it becomes events.
    pub(super) fn recording(&self) -> Option<Recording> {
        let (kind, instance) = match self.form {
            Form::Shell { instance } => (RecordingKind::CommandShell, instance),
            Form::Screen => (RecordingKind::Session, 0),
            Form::FurtherScreen { instance } => (RecordingKind::ShowMyScreen, instance),
            Form::Chat => return None,
        };
        Some(Recording { kind, instance })
    }

    /// What tells that the recording is there.
    pub(super) fn kept(&self) -> Option<Event> {
        let mut event = self.event(
            "",
            At::from_millis(self.began).ok()?,
            EventType::ScreenRecording,
        )?;
        event.performed_by = Some(actor(ActorKind::Representative, self.by));
        event.data = vec![("state".into(), "started".into())];
        event.recording = Some(self.recording()?);
        Some(event)
    }

    /// What a line of a chat says.
    pub(super) fn said(&self, line: &Line, n: usize) -> Option<Event> {
        let representative = || actor(ActorKind::Representative, self.by);
        let customer = || actor(ActorKind::Customer, CUSTOMER);
        let (by, to) = match line.side {
            Side::Representative => (representative(), customer()),
            Side::Customer => (customer(), representative()),
        };
        let suffix = n.to_string();
        // The log has whole seconds: nothing is said before the chat began.
        let at = At::from_millis(line.at.millis().max(self.began)).ok()?;
        let event = match &line.said {
            Said::Text(text) => {
                let mut event = self.event(&suffix, at, EventType::ChatMessage)?;
                event.destination = Some(everyone());
                event.body = Some(Body::Text(long(text)));
                event
            }
            Said::File { name: title, size } => {
                let kind = match line.side {
                    Side::Representative => EventType::FileUpload,
                    Side::Customer => EventType::FileDownload,
                };
                let mut event = self.event(&suffix, at, kind)?;
                event.destination = Some(to);
                event.filename = Some(name(title));
                event.filesize = Some(*size);
                event.data = vec![
                    ("filename".into(), name(title)),
                    ("filesize".into(), size.to_string()),
                ];
                event
            }
        };
        Some(Event {
            performed_by: Some(by),
            ..event
        })
    }

    fn event(&self, suffix: &str, at: At, kind: EventType) -> Option<Event> {
        let hash = hex(&Sha256::digest(&self.file)[..16]);
        let id = EventId::parse(&format!("{hash}-recording{suffix}")).ok()?;
        Some(Event::new(id, Lsid::parse(&self.lsid).ok()?, at, kind))
    }
}

/// The representative's id: the account's name, with its domain where there are several. One that
/// an id cannot carry is told by its hash.
fn rep_id(user: &str) -> RepId {
    let name = user.strip_prefix("user/").unwrap_or(user);
    let name = name.strip_prefix('/').unwrap_or(name);
    let hashed = || format!("meshcentral-{}", hex(&Sha256::digest(user)[..16]));
    RepId::parse(name)
        .or_else(|_| RepId::parse(&hashed()))
        .expect("letters, digits and a hyphen, fewer than 64")
}

fn actor(kind: ActorKind, gsnumber: u32) -> Actor {
    Actor {
        kind,
        gsnumber,
        name: None,
    }
}

fn system() -> Actor {
    actor(ActorKind::System, 0)
}

fn everyone() -> Actor {
    actor(ActorKind::Everyone, 0)
}

fn name(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).collect()
}

fn long(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests;
