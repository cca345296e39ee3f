//! What can come in between: hand-overs, lost connections, guests, and work without a customer.

use debrief_domain::{Body, EventType, JumpGroup, Named, Recording, RecordingKind};

use super::acts;
use super::people::{self, TEAMS};
use super::problems;
use super::stage::{Stage, data, everyone, system};

/// Something unforeseen in an attended session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plot {
    /// Nothing.
    Quiet,
    /// The session goes to another team.
    Transfer,
    /// The representative comes back with a new number.
    Reconnect,
    /// The customer's connection breaks for a while.
    Drop,
    /// Somebody from outside is invited.
    Guest,
    /// A supervisor watches.
    Monitored,
    /// A callback button is put on the desktop and an old one removed.
    Callback,
    /// Files are offered for download in the chat.
    Share,
    /// Files do not get through.
    FilesFail,
    /// More than one value of the registry needs work.
    Registry,
    /// The representative shows their own screen.
    ShowMyScreen,
    /// Something with control characters is pasted.
    Control,
    /// Something that is not text is pasted.
    Bytes,
}

/// What comes in between in sessions, one after the other.
const CYCLE: &[Plot] = &[
    Plot::Quiet,
    Plot::Transfer,
    Plot::Quiet,
    Plot::Reconnect,
    Plot::Guest,
    Plot::Registry,
    Plot::Quiet,
    Plot::Monitored,
    Plot::Callback,
    Plot::Quiet,
    Plot::Share,
    Plot::FilesFail,
    Plot::Quiet,
    Plot::ShowMyScreen,
    Plot::Transfer,
    Plot::Drop,
    Plot::Control,
    Plot::Quiet,
    Plot::Reconnect,
    Plot::Bytes,
    Plot::Quiet,
];

/// What comes in between in the session with this place.
pub(super) fn of(idx: u32) -> Plot {
    CYCLE[idx as usize % CYCLE.len()]
}

/// Lets it happen.
pub(super) fn play(stage: &mut Stage<'_>, plot: Plot) {
    match plot {
        Plot::Quiet => {}
        Plot::Transfer => transfer(stage),
        Plot::Reconnect => reconnect(stage),
        Plot::Drop => drop_out(stage),
        Plot::Guest => guest(stage),
        Plot::Monitored => monitored(stage),
        Plot::Callback => callback(stage),
        Plot::Share => acts::share(stage),
        Plot::FilesFail => acts::fail(stage),
        Plot::Registry if stage.runs_windows() => acts::operate(stage),
        Plot::Registry => acts::share(stage),
        Plot::ShowMyScreen => show_my_screen(stage),
        Plot::Control => control(stage),
        Plot::Bytes => bytes(stage),
    }
}

/// The session goes to the queue of another team, whose representative takes it.
fn transfer(stage: &mut Stage<'_>) {
    let phrases = stage.phrases();
    stage.lead_says(phrases.hand_over);
    let home = problems::problem(stage.trouble).team;
    let team = (home + 1 + stage.dice.count(0, 4) as usize) % TEAMS.len();
    let at = stage.at();
    let (to, from) = (
        people::team_ref(team, at, stage.now),
        people::team_ref(home, at, stage.now),
    );
    let (to_name, from_name) = (
        to.name.clone().unwrap_or_default(),
        from.name.unwrap_or_default(),
    );
    let lead = stage.lead();
    let event = stage.act(EventType::SessionTransferredToQueue, lead.clone());
    event.data = data(&[("priority", "normal"), ("owner", &to_name)]);
    event.destination = Some(system(&to_name));
    event.team = Some(to.clone());
    stage.put_in_queue(&to_name);
    stage.wait(10, 180);
    let event = stage.act(EventType::SessionTransferredAwayFromQueue, lead.clone());
    event.data = data(&[
        ("priority", "normal"),
        ("owner", &to_name),
        ("from", &from_name),
    ]);
    let next = stage.find(team);
    let event = stage.act(EventType::SessionAssigned, system("System"));
    event.team = Some(to);
    let member = stage.join(next);
    let predecessor = stage.crew.first().cloned();
    stage.put_in_charge(&member);
    stage.lead_says(stage.phrases().hello);
    if let Some(predecessor) = predecessor {
        stage.wait(5, 60);
        stage.depart(&predecessor);
    }
}

/// The representative's connection breaks; they come back with a new number.
fn reconnect(stage: &mut Stage<'_>) {
    let Some(member) = stage.crew.first().cloned() else {
        return;
    };
    let Some(rep) = member.rep else { return };
    stage.connection(member.actor(), "disconnected");
    stage.wait(8, 70);
    stage.depart(&member);
    stage.wait(2, 40);
    let again = stage.join(rep);
    stage.put_in_charge(&again);
    stage.customer_says(stage.phrases().waiting);
}

/// The customer's connection breaks, say for a restart, and comes back.
fn drop_out(stage: &mut Stage<'_>) {
    let customer = stage.customer_actor();
    stage.connection(customer.clone(), "disconnected");
    stage.wait(40, 300);
    stage.connection(customer, "connected");
}

/// Somebody from outside is invited, has a look and goes.
fn guest(stage: &mut Stage<'_>) {
    stage.wait(10, 60);
    let guest = stage.join_guest();
    let name = guest.joined.public_display_name.clone();
    stage.system_says(format!("{name} has joined the session by invitation."));
    for _ in 0..stage.dice.count(1, 3) {
        stage.wait(8, 60);
        let text = stage.word(&[
            "Vendor support here. Could you send me the log with {code}?",
            "I see the same on our test system with {ver}.",
            "Known on our side as #{pid}, fixed in {ver}. sha256 of the fix: {hash}",
            "Please check whether service {short} runs on {host}.",
        ]);
        stage.says(guest.actor(), Body::Text(text));
    }
    stage.wait(5, 60);
    stage.depart(&guest);
}

/// A supervisor joins to watch.
fn monitored(stage: &mut Stage<'_>) {
    let rep = stage.find(problems::problem(stage.trouble).team);
    let supervisor = stage.join(rep);
    let lead = stage.lead();
    let event = stage.act(
        EventType::RepresentativeMonitoringStarted,
        supervisor.actor(),
    );
    event.destination = Some(lead.clone());
    stage.wait(60, 200);
    let event = stage.act(
        EventType::RepresentativeMonitoringStopped,
        supervisor.actor(),
    );
    event.destination = Some(lead);
    stage.depart(&supervisor);
}

/// A callback button is put on the desktop; often an older one goes.
fn callback(stage: &mut Stage<'_>) {
    stage.wait(5, 40);
    let lead = stage.lead();
    let name = stage.word(&["Kestrel Help", "IT-Hilfe {site}", "SOS IT"]);
    let customer = stage.customer_actor();
    let event = stage.act(EventType::CallbackButtonDeployed, lead.clone());
    event.destination = Some(customer.clone());
    event.data = data(&[("name", &name), ("expires", "never")]);
    if stage.dice.happens(60) {
        let event = stage.act(EventType::CallbackButtonRemoved, lead);
        event.destination = Some(customer);
        event.data = data(&[("name", "Kestrel Help (old)")]);
    }
}

/// The representative shows their own screen, once or twice.
fn show_my_screen(stage: &mut Stage<'_>) {
    for instance in 0..stage.dice.count(1, 2) {
        stage.wait(5, 30);
        let lead = stage.lead();
        let url = format!(
            "https://support.{}/session_download?t=sms",
            stage.details.site
        );
        let event = stage.act(EventType::ShowMyScreenRecording, lead);
        event.data = data(&[("instance", &instance.to_string()), ("view_url", &url)]);
        event.recording = Some(Recording {
            kind: RecordingKind::ShowMyScreen,
            instance,
        });
        stage.wait(20, 120);
    }
}

/// The customer pastes the output of a console, colours, bell and all.
fn control(stage: &mut Stage<'_>) {
    stage.wait(5, 30);
    let text = stage.word(&[
        "\u{1b}[31mERROR\u{1b}[0m job {pid} \u{1}{code}\u{2} failed\u{7}",
        "it says: \u{c}{host}\u{8}\u{8}\u{8} status \u{0}{short}",
        "\u{1b}[2J\u{1b}[1;1HCopying {file} ... {pct}%\u{1a}",
    ]);
    stage.says(stage.customer_actor(), Body::Text(text));
}

/// The customer pastes something that is not UTF-8.
fn bytes(stage: &mut Stage<'_>) {
    stage.wait(5, 30);
    let mut bytes: Vec<u8> = stage
        .dice
        .pick(&[
            b"Fehler: Zugriff verweigert f\xfcr Ger\xe4t ".as_slice(),
            b"\x83v\x83\x8a\x83\x93\x83^\x81[ ".as_slice(),
            b"\xff\xfeE\x00r\x00r\x00o\x00r\x00 \x00".as_slice(),
        ])
        .to_vec();
    bytes.extend((0..stage.dice.count(4, 24)).map(|_| stage.dice.byte(0x80, 0xff)));
    stage.says(stage.customer_actor(), Body::Bytes(bytes));
}

/// The Jumpoint and the group of jump items a machine is reached by.
pub(super) fn jump(stage: &mut Stage<'_>) -> (Named, JumpGroup) {
    let (id, name) = *stage.dice.pick(&[
        ("1", "HQ data centre"),
        ("2", "St. Brigid server room"),
        ("3", "Meridian branch network"),
        ("6", "Lakeview campus"),
    ]);
    let (kind, group, group_name) = *stage.dice.pick(&[
        ("shared", "4", "Windows servers"),
        ("shared", "5", "Branch offices"),
        ("shared", "9", "Kiosks and signage"),
        ("personal", "31", "My machines"),
    ]);
    let jumpoint = Named {
        id: id.to_owned(),
        name: name.to_owned(),
    };
    let jump_group = JumpGroup {
        kind: kind.to_owned(),
        id: group.to_owned(),
        name: group_name.to_owned(),
    };
    (jumpoint, jump_group)
}

/// Work on the machine is asked for and approved.
pub(super) fn approval(stage: &mut Stage<'_>) {
    let request = stage.dice.count(1_000, 99_999).to_string();
    let host = stage.details.host.clone();
    let reason = stage.word(&[
        "Monthly patches, {ticket}",
        "Disk alert {pct} %",
        "Change CHG00{pid}",
    ]);
    let asked = data(&[
        ("request_id", &request),
        ("jump_policy_name", "Servers: approval by two"),
        ("jump_item_type", "remote_rdp"),
        ("jump_item_name", &host),
        ("request_reason", &reason),
    ]);
    stage
        .act(EventType::JumpItemAuthorizationRequest, system("System"))
        .data = asked.clone();
    stage.wait(20, 600);
    let event = stage.act(
        EventType::JumpItemAuthorizationRequestUtilized,
        system("System"),
    );
    event.data = asked;
    event.data.extend(data(&[
        ("request_duration", "7200"),
        ("approval_applies_to", "requestor"),
        ("approver_name", "Duty manager"),
        ("approver_comments", "ok, please outside of visiting hours"),
    ]));
}

/// The machine is unlocked with a kept credential, sometimes only at the second try.
pub(super) fn credentials(stage: &mut Stage<'_>) {
    let lead = stage.lead();
    let (attempt, id) = (stage.dice.hex(12), stage.dice.count(3, 300).to_string());
    let name = stage.word(&["svc-maint@{site}", "{host}\\administrator", "adm-{short}"]);
    let known = [
        ("attempt_id", attempt.as_str()),
        ("credential_id", &id),
        ("credential_name", &name),
    ];
    stage
        .act(EventType::CredentialInjectionAttempt, lead.clone())
        .data = data(&known);
    stage.wait(2, 8);
    if !stage.dice.happens(35) {
        return;
    }
    let event = stage.act(EventType::CredentialInjectionAttemptFailed, lead.clone());
    event.data = data(&known);
    event.data.extend(data(&[(
        "failure_reason",
        "The user name or password is incorrect.",
    )]));
    stage.wait(4, 20);
    stage.act(EventType::CredentialInjectionAttempt, lead).data = data(&known);
}

/// The session is kept for later, for whoever of the team comes next.
pub(super) fn pinned(stage: &mut Stage<'_>) {
    let lead = stage.lead();
    let queue = TEAMS[2].1;
    let steps = [
        EventType::SessionPinnedToQueue,
        EventType::PinnedSessionPasswordModified,
        EventType::PinnedSessionMovedAwayFromQueue,
        EventType::PinnedSessionMovedToQueue,
        EventType::SessionUnpinnedFromQueue,
    ];
    for step in steps {
        stage.wait(20, 400);
        let owner = match step {
            EventType::PinnedSessionMovedAwayFromQueue => "Personal queue",
            _ => queue,
        };
        let event = stage.act(step, lead.clone());
        event.data = data(&[("priority", "low"), ("owner", owner)]);
        event.destination = Some(everyone());
    }
}
