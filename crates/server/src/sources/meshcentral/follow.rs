//! Following one server: connect, catch up, hear, and begin again when that breaks.

mod recordings;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use debrief_domain::{At, Event};
use debrief_report::iso;
use debrief_store::{Append, ConflictKind};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message;

use self::recordings::Fetched;
use super::client::{Channel, ClientError};
use super::events::{Reading, read};
use super::grouping::{Devices, OVERLAP_SECS, State, Took};
use super::{ACCOUNT, Source, device};
use crate::app::App;
use crate::sources::bury;

/// The wait before the first new attempt; each is twice the one before.
const RECONNECT_MIN: Duration = Duration::from_secs(1);
/// The longest wait before a new attempt.
const RECONNECT_MAX: Duration = Duration::from_secs(60);
/// A connection that held so long makes the next wait short again.
const RECONNECT_CALM: Duration = Duration::from_secs(60);
/// How long an answer to a question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// How long is listened for the reason of a channel that broke.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the server is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long the server may say nothing.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// How often sessions that are over are looked for.
const TICK: Duration = Duration::from_secs(1);
/// How old the list of devices may be when one of them changed.
const DEVICES_AGE: Duration = Duration::from_secs(5);
/// Events asked for at once: the server has no question for those after a time, so more and more
/// of the newest are asked for until they reach back far enough.
const EVENTS_ASKED: [usize; 4] = [500, 5_000, 50_000, 200_000];
/// Events heard while catching up; the connection is given up beyond it, and nothing is lost.
const HEARD_MAX: usize = 10_000;
/// Messages taken in with one commit.
const COMMIT_MESSAGES_MAX: usize = 500;
/// The note under which a source keeps its state.
const STATE: &str = "state";

/// Follows a server until the program ends.
pub async fn run(app: App, source: Source) {
    let name = source.name.clone();
    let mut wait = RECONNECT_MIN;
    loop {
        let began = Instant::now();
        let Err(error) = Following::begin(&app, &source).await;
        app.sources()
            .update(&name, |standing| standing.state = "waiting".into());
        app.sources().failed(&name, app.now(), chain(&error));
        tracing::warn!(source = %name, error = %chain(&error), "source `{name}` is not followed now");
        if RECONNECT_CALM <= began.elapsed() {
            wait = RECONNECT_MIN;
        }
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(RECONNECT_MAX);
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        chain = format!("{chain}: {source}");
        cause = source.source();
    }
    chain
}

/// Nothing: following ends only by going wrong.
enum Never {}

/// One connection, from its beginning to its end.
struct Following<'a> {
    app: &'a App,
    source: &'a Source,
    channel: Channel,
    state: State,
    devices: Devices,
    devices_asked: Instant,
    are_devices_old: bool,
    /// The last two answers to what makes the list of devices.
    nodes: Option<Value>,
    meshes: Option<Value>,
    /// Devices that were asked about themselves, and what they answered so far.
    asked: BTreeMap<String, [Option<Value>; 2]>,
    fetches: JoinSet<Fetched>,
    fetch_again: HashMap<String, Instant>,
    heard: Instant,
}

impl<'a> Following<'a> {
    async fn begin(app: &'a App, source: &'a Source) -> Result<Never, ClientError> {
        let name = &source.name;
        app.sources()
            .update(name, |standing| standing.state = "connecting".into());
        // What was not written down did not happen.
        let state = match app.store().note(name, STATE).await? {
            Some(bytes) => match serde_json::from_slice(&bytes) {
                Ok(state) => state,
                Err(_) => {
                    bury(app, name, "the source's own state cannot be read", &bytes).await;
                    State::default()
                }
            },
            None => State::default(),
        };
        let channel = source.server.control().await?;
        let mut following = Following {
            app,
            source,
            channel,
            state,
            devices: Devices::new(),
            devices_asked: Instant::now(),
            are_devices_old: false,
            nodes: None,
            meshes: None,
            asked: BTreeMap::new(),
            fetches: JoinSet::new(),
            fetch_again: HashMap::new(),
            heard: Instant::now(),
        };
        let heard = following.catch_up().await?;
        app.sources()
            .update(name, |standing| standing.state = "following".into());
        tracing::info!(source = %name, "source `{name}` is followed");
        following.take(heard).await?;
        following.follow().await
    }

    /// Asks for devices and for what happened meanwhile, and takes that in. Gives what was heard
    /// in the meantime.
    async fn catch_up(&mut self) -> Result<Vec<Value>, ClientError> {
        let name = &self.source.name;
        let sources = self.app.sources();
        sources.update(name, |standing| standing.state = "catching up".into());
        self.ask_devices().await?;
        let mut heard = Vec::new();
        let mut listed = Vec::new();
        for n_asked in EVENTS_ASKED {
            let question = json!({ "action": "events", "limit": n_asked, "tag": "debrief" });
            self.send(&question).await?;
            listed = self.answer(&mut heard).await?;
            let cursor = self
                .state
                .cursor
                .map(|cursor| cursor - OVERLAP_SECS * 1_000);
            let time = |event: &Value| {
                let time = event.get("time")?.as_str()?;
                Some(time.parse::<jiff::Timestamp>().ok()?.as_millisecond())
            };
            let oldest = listed.iter().filter_map(time).min();
            let is_all = listed.len() < n_asked;
            let reaches = cursor.is_some_and(|cursor| oldest.is_some_and(|at| at < cursor));
            if is_all || reaches {
                break;
            }
            if n_asked == EVENTS_ASKED[EVENTS_ASKED.len() - 1] {
                let oldest = oldest.and_then(|at| At::from_millis(at).ok());
                self.tell_of_gap(n_asked, oldest).await;
            }
        }
        // Newest first; equal times keep their order.
        listed.reverse();
        self.take(listed).await?;
        Ok(heard)
    }

    /// Says that events were out of reach, where it is seen, and where it outlasts a restart.
    async fn tell_of_gap(&mut self, n_asked: usize, oldest: Option<At>) {
        let (app, name) = (self.app, &self.source.name);
        let before = oldest.map_or("these".into(), iso);
        let error = match self.state.cursor {
            Some(_) => format!(
                "more than {n_asked} events happened meanwhile: those before {before} are missing"
            ),
            None => format!(
                "the server has more than {n_asked} events: those before {before} are not here"
            ),
        };
        bury(app, name, &error, b"").await;
        app.sources().failed(name, app.now(), error);
    }

    /// Waits for the list of events, and for the devices that the first one needs.
    async fn answer(&mut self, heard: &mut Vec<Value>) -> Result<Vec<Value>, ClientError> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut listed = None;
        loop {
            if self.nodes.is_some()
                && self.meshes.is_some()
                && let Some(listed) = listed.take()
            {
                return Ok(listed);
            }
            let silent = || ClientError::Silent(ANSWER_TIMEOUT.as_secs());
            let message = tokio::time::timeout_at(deadline, self.channel.next()).await;
            let Some(mut message) = self.message(message.map_err(|_| silent())?).await? else {
                continue;
            };
            match action(&message) {
                "events" => {
                    if let Some(Value::Array(events)) = message.get_mut("events").map(Value::take) {
                        listed = Some(events);
                    }
                }
                "event" => {
                    if heard.len() == HEARD_MAX {
                        return Err(silent());
                    }
                    heard.extend(message.get_mut("event").map(Value::take));
                }
                _ => self.told(message),
            }
        }
    }

    async fn follow(&mut self) -> Result<Never, ClientError> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pinged = Instant::now();
        loop {
            tokio::select! {
                message = self.channel.next() => {
                    if let Some(mut message) = self.message(message).await? {
                        match action(&message) {
                            "event" => {
                                let event = message.get_mut("event").map(Value::take);
                                self.take(event.into_iter().collect()).await?;
                            }
                            _ => self.told(message),
                        }
                    }
                }
                Some(fetched) = self.fetches.join_next() => {
                    if let Ok((wanted, outcome)) = fetched {
                        self.fetched(wanted, outcome).await?;
                    }
                }
                _ = ticks.tick() => {
                    if SILENCE_MAX <= self.heard.elapsed() {
                        return Err(ClientError::Silent(SILENCE_MAX.as_secs()));
                    }
                    if PING_EVERY <= pinged.elapsed() {
                        pinged = Instant::now();
                        self.send(&json!({ "action": "ping" })).await?;
                    }
                    self.tick().await?;
                }
            }
        }
    }

    async fn tick(&mut self) -> Result<(), ClientError> {
        let n_running = self.state.n_running();
        let mut events = self.state.close_idle(self.app.now(), &self.source.rules);
        let answered = |answers: &[Option<Value>; 2]| answers.iter().all(Option::is_some);
        let nodes: Vec<String> = self
            .asked
            .iter()
            .filter(|(_, answers)| answered(answers))
            .map(|(node, _)| node.clone())
            .collect();
        for node in &nodes {
            let Some([Some(system), Some(network)]) = self.asked.remove(node) else {
                continue;
            };
            let tables = device::tables(self.devices.get(node), &system, &network);
            events.extend(self.state.device_told(node, &tables));
        }
        if n_running != self.state.n_running() || !nodes.is_empty() {
            self.commit(events).await?;
        }
        if self.are_devices_old && DEVICES_AGE <= self.devices_asked.elapsed() {
            self.ask_devices().await?;
        }
        for (_, node) in self.state.devices_wanted() {
            if self.asked.contains_key(&node) {
                continue;
            }
            self.send(&json!({ "action": "getsysinfo", "nodeid": node }))
                .await?;
            self.send(&json!({ "action": "getnetworkinfo", "nodeid": node }))
                .await?;
            self.asked.insert(node, [None, None]);
        }
        self.fetch_next();
        Ok(())
    }

    /// A message that is no event.
    fn told(&mut self, message: Value) {
        match action(&message) {
            "nodes" => self.nodes = Some(message),
            "meshes" => self.meshes = Some(message),
            kind @ ("getsysinfo" | "getnetworkinfo") => {
                let place = usize::from(kind == "getnetworkinfo");
                let node = message
                    .get("nodeid")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                if let Some(answers) = self.asked.get_mut(node) {
                    answers[place] = Some(message);
                }
                return;
            }
            _ => return,
        }
        if let (Some(nodes), Some(meshes)) = (&self.nodes, &self.meshes) {
            self.devices = device::read(nodes, meshes);
        }
    }

    async fn ask_devices(&mut self) -> Result<(), ClientError> {
        self.are_devices_old = false;
        self.devices_asked = Instant::now();
        self.send(&json!({ "action": "meshes" })).await?;
        self.send(&json!({ "action": "nodes" })).await
    }

    /// Takes events in, in the order of their times, and commits what they mean.
    async fn take(&mut self, mut messages: Vec<Value>) -> Result<(), ClientError> {
        let (app, name) = (self.app, &self.source.name);
        messages.sort_by_cached_key(|message| match read(message) {
            Reading::Heard(heard) => Some(heard.at),
            Reading::PassedOver(_) | Reading::Strange(_) => None,
        });
        let mut newest: Option<At> = None;
        for part in messages.chunks(COMMIT_MESSAGES_MAX) {
            let mut events = Vec::new();
            let mut is_changed = false;
            for message in part {
                let heard = match read(message) {
                    Reading::Heard(heard) => heard,
                    Reading::PassedOver(why) => {
                        self.are_devices_old |= why == "about devices";
                        continue;
                    }
                    Reading::Strange(why) => {
                        if self.state.is_new(message) {
                            is_changed = true;
                            bury(app, name, &why, message.to_string().as_bytes()).await;
                        }
                        continue;
                    }
                };
                newest = newest.max(Some(heard.at));
                let (rules, devices) = (&self.source.rules, &self.devices);
                match self.state.take(&heard, app.now(), rules, devices) {
                    Took::Again => {}
                    Took::Now {
                        events: more,
                        homeless,
                    } => {
                        is_changed = true;
                        events.extend(more);
                        if let Some(why) = homeless {
                            bury(app, name, why, message.to_string().as_bytes()).await;
                        }
                    }
                }
            }
            if is_changed {
                self.commit(events).await?;
            }
        }
        if newest.is_some() {
            app.sources()
                .update(name, |standing| standing.heard = standing.heard.max(newest));
        }
        Ok(())
    }

    /// Commits events, and then the state that they led to.
    async fn commit(&mut self, mut events: Vec<Event>) -> Result<(), ClientError> {
        let (app, name) = (self.app, &self.source.name);
        while !events.is_empty() {
            match app
                .store()
                .append(ACCOUNT, events.clone(), app.now())
                .await?
            {
                Append::Done(appended) => {
                    app.changed();
                    let n = appended.fresh;
                    app.sources()
                        .update(name, |standing| standing.n_events += n);
                    break;
                }
                Append::Conflicts(conflicts) => {
                    // What was told before stays as it was told; the rest is taken.
                    for conflict in conflicts.iter().rev() {
                        let event = events.remove(conflict.event_idx);
                        match conflict.kind {
                            ConflictKind::IdTaken => {}
                            ConflictKind::SessionImported | ConflictKind::SessionFull => {
                                let why = format!("{} takes no more events", event.lsid);
                                app.sources().refused(name, app.now(), why);
                            }
                        }
                    }
                }
            }
        }
        let state = serde_json::to_vec(&self.state).expect("texts, numbers and lists");
        app.store().put_note(name, STATE, Some(state)).await?;
        Ok(())
    }

    async fn send(&mut self, message: &Value) -> Result<(), ClientError> {
        let sent = self.channel.send(Message::text(message.to_string())).await;
        let Err(error) = sent else {
            return Ok(());
        };
        // A server that closes says why before it does, and that may not have been read yet.
        let said = async {
            while let message @ Some(_) = self.channel.next().await {
                self.message(message).await?;
            }
            Ok::<_, ClientError>(())
        };
        if let Ok(Err(refused @ ClientError::Refused(_))) =
            tokio::time::timeout(LAST_WORDS_TIMEOUT, said).await
        {
            return Err(refused);
        }
        Err(ClientError::Channel(Box::new(error)))
    }

    /// A message of the channel as JSON. What is none is kept aside.
    async fn message(
        &mut self,
        message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<Option<Value>, ClientError> {
        let message = match message {
            None => return Err(ClientError::Closed),
            Some(Err(error)) => return Err(ClientError::Channel(Box::new(error))),
            Some(Ok(message)) => message,
        };
        self.heard = Instant::now();
        let bytes = match message {
            Message::Text(_) | Message::Binary(_) => message.into_data(),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(None),
            Message::Close(_) => return Err(ClientError::Closed),
        };
        let Ok(message) = serde_json::from_slice::<Value>(&bytes) else {
            let why = "a message that is no JSON";
            bury(self.app, &self.source.name, why, &bytes).await;
            return Ok(None);
        };
        if action(&message) == "close" {
            let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or("");
            return Err(ClientError::Refused(format!(
                "{} {}",
                text("cause"),
                text("msg")
            )));
        }
        Ok(Some(message))
    }
}

fn action(message: &Value) -> &str {
    message
        .get("action")
        .and_then(Value::as_str)
        .unwrap_or_default()
}
