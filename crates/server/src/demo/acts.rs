//! What representatives do at the other computer: windows, files, shells, the registry.

mod system_information;

use debrief_domain::{Actor, Body, EventType, FileEntry, Recording, RecordingKind};

use super::problems::{self, Problem};
use super::stage::{Stage, data, everyone};
use super::words::Act;

/// Programs and window titles where there is no Windows.
const WINDOWS_ELSEWHERE: &[(&str, &str)] = &[
    ("Safari", "My Sign-Ins | Security info"),
    ("Google Chrome", "Intranet – {site}"),
    ("Finder", "Downloads"),
    ("Microsoft Teams", "Chat | Microsoft Teams"),
    ("System Settings", "Network"),
];

/// Does it.
pub(super) fn perform(stage: &mut Stage<'_>, act: Act) {
    stage.wait(3, 40);
    match act {
        Act::Shell | Act::Registry | Act::Elevate | Act::Tidy if !stage.runs_windows() => {}
        Act::Look => look(stage),
        Act::Inspect => system_information::retrieve(stage),
        Act::Upload => upload(stage),
        Act::Download => download(stage),
        Act::Shell => shell(stage),
        Act::Registry => registry(stage),
        Act::Elevate => elevate(stage),
        Act::Tidy => tidy(stage),
        Act::Screenshot => screenshot(stage),
    }
}

/// The problem of this session.
fn problem(stage: &Stage<'_>) -> &'static Problem {
    problems::problem(stage.trouble)
}

/// One window or two come to the front.
fn look(stage: &mut Stage<'_>) {
    let customer = stage.customer_actor();
    for _ in 0..1 + u32::from(stage.dice.happens(25)) {
        let (program, title) = if stage.runs_windows() {
            problems::window(&mut stage.dice, stage.trouble)
        } else {
            *stage.dice.pick(WINDOWS_ELSEWHERE)
        };
        let title = stage.word(&[title]);
        let event = stage.act(EventType::SessionForegroundWindowChanged, customer.clone());
        event.data = data(&[("exeName", program), ("windowName", &title)]);
        stage.wait(2, 25);
    }
}

/// A file event: the name and the size are both fields of their own and data.
fn file(stage: &mut Stage<'_>, kind: EventType, from: Actor, to: Actor, name: String, size: u64) {
    let event = stage.act(kind, from);
    event.destination = Some(to);
    event.data = data(&[("filename", &name), ("filesize", &size.to_string())]);
    event.filename = Some(name);
    event.filesize = Some(size);
}

/// A believable size in bytes.
fn size(stage: &mut Stage<'_>) -> u64 {
    let bits = stage.dice.count(9, 26);
    1 << bits | u64::from(stage.dice.word()) << bits.saturating_sub(16)
}

/// A path on the customer's computer.
fn path(stage: &mut Stage<'_>, names: &[&str]) -> String {
    let name = stage.word(names);
    if !stage.runs_windows() {
        return format!("/Users/{}/Downloads/{name}", stage.details.user);
    }
    let folder = stage.word(&[
        "C:\\Users\\{user}\\Downloads\\",
        "C:\\Users\\{user}\\AppData\\Local\\Temp\\{short}\\",
        "C:\\Temp\\{ticket}\\",
        "C:\\ProgramData\\Kestrel\\",
    ]);
    folder + &name
}

/// The representative sends a tool, or a few at once.
fn upload(stage: &mut Stage<'_>) {
    let tools = problem(stage).tools;
    let (name, bytes) = (path(stage, tools), size(stage));
    let (lead, customer) = (stage.lead(), stage.customer_actor());
    file(
        stage,
        EventType::FileUpload,
        lead,
        customer,
        name.clone(),
        bytes,
    );
    if stage.dice.happens(12) {
        let second = FileEntry {
            name: format!("{name}.sha256"),
            size: 64,
        };
        let event = stage.events.last_mut().expect("the upload was just pushed");
        event.files = vec![FileEntry { name, size: bytes }, second];
    }
}

/// The representative takes a log: it comes from the customer's computer.
fn download(stage: &mut Stage<'_>) {
    let logs = problem(stage).logs;
    let (name, bytes) = (path(stage, logs), size(stage));
    let (lead, customer) = (stage.lead(), stage.customer_actor());
    file(stage, EventType::FileDownload, customer, lead, name, bytes);
}

/// Transfers fail in both directions.
pub(super) fn fail(stage: &mut Stage<'_>) {
    let problem = problem(stage);
    let (lead, customer) = (stage.lead(), stage.customer_actor());
    let (name, bytes) = (path(stage, problem.tools), size(stage));
    file(
        stage,
        EventType::FileUploadFailed,
        lead.clone(),
        customer.clone(),
        name,
        bytes,
    );
    stage.wait(4, 30);
    let (name, bytes) = (path(stage, problem.logs), size(stage));
    file(
        stage,
        EventType::FileDownloadFailed,
        customer,
        lead,
        name,
        bytes,
    );
    stage.lead_says(stage.phrases().hold);
}

/// Files are offered to everyone in the chat.
pub(super) fn share(stage: &mut Stage<'_>) {
    stage.wait(3, 30);
    let mut files = Vec::new();
    for _ in 0..stage.dice.count(1, 3) {
        let name = stage.word(&[
            "guide-{n}.pdf",
            "{ticket}-steps.docx",
            "printers floor {n}.png",
            "手順書_{n}.pdf",
        ]);
        files.push(FileEntry {
            name,
            size: size(stage),
        });
    }
    let lead = stage.lead();
    let event = stage.act(EventType::FilesShared, lead);
    event.destination = Some(everyone());
    event.data = files
        .iter()
        .map(|file| ("filename".to_owned(), file.name.clone()))
        .collect();
    event.filename = files.first().map(|file| file.name.clone());
    event.filesize = files.first().map(|file| file.size);
    event.files = files;
}

/// A folder is made, something moved there, something deleted.
fn tidy(stage: &mut Stage<'_>) {
    let (lead, customer) = (stage.lead(), stage.customer_actor());
    let logs = problem(stage).logs;
    let folder = stage.word(&[
        "C:\\Temp\\{ticket}",
        "C:\\Temp\\old-{short}",
        "C:\\Users\\{user}\\backup",
    ]);
    if stage.dice.happens(60) {
        let event = stage.act(EventType::DirectoryCreated, lead.clone());
        event.destination = Some(customer.clone());
        event.data = data(&[("path", &folder)]);
        stage.wait(1, 10);
    }
    if stage.dice.happens(55) {
        let old = path(stage, logs);
        let new = format!("{folder}\\{}", old.rsplit('\\').next().unwrap_or("file"));
        let bytes = size(stage);
        file(
            stage,
            EventType::FileMoved,
            lead.clone(),
            customer.clone(),
            old.clone(),
            bytes,
        );
        let event = stage.events.last_mut().expect("the move was just pushed");
        event
            .data
            .extend(data(&[("old_path", &old), ("new_path", &new)]));
        stage.wait(1, 10);
    }
    for _ in 0..stage.dice.count(0, 1) {
        let (name, bytes) = (path(stage, logs), size(stage));
        file(
            stage,
            EventType::FileDeleted,
            lead.clone(),
            customer.clone(),
            name,
            bytes,
        );
    }
}

/// A command shell is opened and recorded.
fn shell(stage: &mut Stage<'_>) {
    let instance = stage.n_shells;
    stage.n_shells += 1;
    let lead = stage.lead();
    let customer = stage.customer_actor();
    let key = stage.dice.hex(40);
    let view = format!(
        "https://support.{}/session_download?h={key}&m=shell&view=1",
        stage.details.site
    );
    let fetch = view.trim_end_matches("&view=1").to_owned();
    let event = stage.act(EventType::CommandShellSessionStarted, lead);
    event.destination = Some(customer);
    event.data = data(&[
        ("instance", &instance.to_string()),
        ("download_url", &fetch),
        ("view_url", &view),
    ]);
    event.recording = Some(Recording {
        kind: RecordingKind::CommandShell,
        instance,
    });
}

/// The customer's screen is recorded from here on.
pub(super) fn record(stage: &mut Stage<'_>) {
    let lead = stage.lead();
    let event = stage.act(EventType::ScreenRecording, lead);
    event.data = data(&[("state", "started")]);
    event.recording = Some(Recording {
        kind: RecordingKind::Session,
        instance: 0,
    });
}

/// A picture of the screen is taken.
fn screenshot(stage: &mut Stage<'_>) {
    let lead = stage.lead();
    let name = stage.word(&["screenshot-{host}-{short}.png"]);
    let bytes = size(stage);
    let event = stage.act(EventType::ScreenshotCaptured, lead);
    event.data = data(&[("filename", &name), ("filesize", &bytes.to_string())]);
    event.filename = Some(name);
    event.filesize = Some(bytes);
}

/// The client is allowed to run as a service.
fn elevate(stage: &mut Stage<'_>) {
    let lead = stage.lead();
    let customer = stage.customer_actor();
    let to = lead.name.clone().unwrap_or_default();
    let event = stage.act(EventType::ServiceAccessAllowed, customer);
    event.destination = Some(lead);
    event.data = data(&[
        ("granted_to", &to),
        ("level", "full"),
        ("service", "Elevated support client"),
    ]);
    if stage.dice.happens(30) {
        stage.system_says("The customer client now runs with administrative rights.".to_owned());
    }
}

/// One change of the registry.
fn change(stage: &mut Stage<'_>, kind: EventType, extra: &[(&str, &str)]) {
    let lead = stage.lead();
    let customer = stage.customer_actor();
    let key = problem(stage).registry.key;
    let (parent, name) = key.rsplit_once('\\').unwrap_or(("", key));
    let root = if key.starts_with("SYSTEM") || key.starts_with("SOFTWARE") {
        "HKEY_LOCAL_MACHINE"
    } else {
        "HKEY_CURRENT_USER"
    };
    let full = format!("{root}\\{key}");
    let event = stage.act(kind, lead);
    event.destination = Some(customer);
    event.data = data(&[
        ("key_path", &full),
        ("parent_path", parent),
        ("root_path", root),
        ("key_name", name),
    ]);
    event.data.extend(data(extra));
    stage.wait(1, 15);
}

/// The value that matters is changed, often after a copy of its key was made.
fn registry(stage: &mut Stage<'_>) {
    let value = &problem(stage).registry;
    if stage.dice.happens(25) {
        change(stage, EventType::RegistryExported, &[]);
    }
    let kind = if value.new.is_empty() {
        EventType::RegistryValueDeleted
    } else {
        EventType::RegistryValueModified
    };
    let value_type = if value.old.starts_with("0x") {
        "REG_DWORD"
    } else {
        "REG_SZ"
    };
    change(
        stage,
        kind,
        &[
            ("value_name", value.name),
            ("value_type", value_type),
            ("value_data_old", value.old),
            ("value_data_new", value.new),
        ],
    );
}

/// A longer operation on the registry, with every kind of step.
pub(super) fn operate(stage: &mut Stage<'_>) {
    let mark = stage.dice.hex(6);
    let (old, new) = (format!("Policy-{mark}"), format!("Policy-{mark}.bak"));
    let ticket = stage.details.ticket.clone();
    change(stage, EventType::RegistryExported, &[]);
    change(
        stage,
        EventType::RegistryKeyAdded,
        &[("key_name_new", &old)],
    );
    let added = [
        ("value_name", "Ticket"),
        ("value_type", "REG_SZ"),
        ("value_data", ticket.as_str()),
    ];
    change(stage, EventType::RegistryValueAdded, &added);
    let renamed = [
        ("value_name_old", "Ticket"),
        ("value_name_new", "LastTicket"),
    ];
    change(stage, EventType::RegistryValueRenamed, &renamed);
    change(
        stage,
        EventType::RegistryKeyRenamed,
        &[("key_name_old", &old), ("key_name_new", &new)],
    );
    change(
        stage,
        EventType::RegistryValueDeleted,
        &[("value_name", "LastTicket")],
    );
    change(
        stage,
        EventType::RegistryKeyDeleted,
        &[("key_name_old", &new)],
    );
    change(stage, EventType::RegistryImported, &[]);
}

/// The representative writes down what was done.
pub(super) fn note(stage: &mut Stage<'_>) {
    stage.wait(5, 60);
    let resolution = problem(stage).resolution;
    let text = stage.word(&[
        "{ticket} {host}: fixed, see steps in chat. Cause {code}.",
        "Checked {host} ({ip}). User confirmed that it works. Follow-up in a week.",
        "Escalation not needed. Package {ver}, sha256 {hash}.",
        "Workaround only! Root cause to be found by second level, trace {guid}.",
        "Erledigt, Anwender informiert. {ticket} kann zu.",
        "Résolu à distance, poste {host}, client informé.",
    ]);
    let lead = stage.lead();
    let event = stage.act(EventType::SessionNoteAdded, lead);
    event.body = Some(Body::Text(format!("{text} [{resolution}]")));
}
