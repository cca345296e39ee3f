//! Tables that describe a computer.

use debrief_domain::{Category, EventType};

use super::super::dice::Dice;
use super::super::stage::Stage;

/// Programs that run on every second computer.
const PROCESSES: &[&str] = &[
    "System",
    "csrss.exe",
    "explorer.exe",
    "OUTLOOK.EXE",
    "ms-teams.exe",
    "msedge.exe",
    "EXCEL.EXE",
    "svchost.exe",
    "spoolsv.exe",
    "MsMpEng.exe",
    "CareView.exe",
    "LedgerOne.exe",
    "OneDrive.exe",
    "SearchIndexer.exe",
    "dwm.exe",
    "vpnagent.exe",
    "lsass.exe",
    "WUDFHost.exe",
];
/// Programs that are installed.
const PROGRAMS: &[(&str, &str)] = &[
    ("7-Zip 24.08 (x64)", "Igor Pavlov"),
    (
        "Microsoft 365 Apps for enterprise - en-us",
        "Microsoft Corporation",
    ),
    ("Microsoft Edge", "Microsoft Corporation"),
    ("CareView Client", "CareView Health Systems"),
    ("LedgerOne", "Brightfold Software"),
    ("Secure Client", "Northwall Networks"),
    ("LabelDesk", "Labelworks Oy"),
    ("PDF Reader", "Adobe"),
    ("Kestrel Agent", "Kestrel Services Ltd"),
];
/// Services and what they are for.
const SERVICES: &[(&str, &str)] = &[
    ("Spooler", "Print Spooler"),
    ("Dnscache", "DNS Client"),
    ("WlanSvc", "WLAN AutoConfig"),
    ("wuauserv", "Windows Update"),
    ("BITS", "Background Intelligent Transfer Service"),
    ("vpnagent", "Secure Client Agent"),
    ("W32Time", "Windows Time"),
];

/// The representative reads the system information.
pub(super) fn retrieve(stage: &mut Stage<'_>) {
    let lead = stage.lead();
    let customer = stage.customer_actor();
    let computer = computer(stage);
    let dice = &mut stage.dice;
    let mut categories = vec![computer, drives(dice), network(dice)];
    if dice.happens(50) {
        categories.push(processes(dice));
    }
    if dice.happens(30) {
        categories.push(programs(dice));
    }
    if dice.happens(20) {
        categories.push(services(dice));
    }
    let event = stage.act(EventType::SystemInformationRetrieved, lead);
    event.destination = Some(customer);
    event.system_information = categories;
}

/// A table.
fn category<const N: usize>(name: &str, fields: [&str; N], rows: Vec<[String; N]>) -> Category {
    Category {
        name: name.to_owned(),
        fields: fields.map(str::to_owned).to_vec(),
        rows: rows.into_iter().map(Vec::from).collect(),
    }
}

/// The computer as a whole.
fn computer(stage: &mut Stage<'_>) -> Category {
    let os = stage
        .customer
        .os
        .clone()
        .unwrap_or_else(|| "Unknown".to_owned());
    let (host, user) = (stage.details.host.clone(), stage.details.user.clone());
    let dice = &mut stage.dice;
    let model = *dice.pick(&[
        "Latitude 5440",
        "EliteBook 840 G10",
        "ThinkPad T14 Gen 4",
        "OptiPlex 7010",
        "VMware20,1",
    ]);
    let rows = [
        ("Computer Name", host),
        ("Operating System", os),
        ("User", user),
        ("Model", model.to_owned()),
        ("Serial Number", dice.serial(10)),
        ("Memory", format!("{} GB", dice.pick(&[8, 16, 32, 64]))),
        (
            "Uptime",
            format!("{} days {} hours", dice.count(0, 61), dice.count(0, 23)),
        ),
    ];
    category(
        "System",
        ["Name", "Value"],
        rows.map(|(name, value)| [name.to_owned(), value]).to_vec(),
    )
}

/// The drives.
fn drives(dice: &mut Dice) -> Category {
    let mut row = |letter: &str, label: &str, system: &str| {
        let total = i64::from(dice.count(118, 1_900));
        let free = dice.between(1, total);
        let of = |part: i64| format!("{part} GB");
        [
            letter.to_owned(),
            label.to_owned(),
            system.to_owned(),
            of(total),
            of(free),
        ]
    };
    let rows = vec![
        row("C:", "Windows", "NTFS"),
        row("S:", "department", "NTFS"),
    ];
    category(
        "Drives",
        ["Drive", "Label", "File System", "Total Size", "Free Space"],
        rows,
    )
}

/// The network adapters.
fn network(dice: &mut Dice) -> Category {
    let mut row = |name: &str| {
        let mac = (0..6).map(|_| dice.hex(2)).collect::<Vec<_>>().join("-");
        let address = format!(
            "10.{}.{}.{}",
            dice.byte(0, 60),
            dice.byte(0, 254),
            dice.byte(2, 254)
        );
        let gateway = address
            .rsplit_once('.')
            .map_or("", |(net, _)| net)
            .to_owned()
            + ".1";
        [name.to_owned(), mac, address, gateway]
    };
    let rows = vec![
        row("Intel(R) Wi-Fi 6E AX211 160MHz"),
        row("Realtek USB GbE Family Controller"),
    ];
    category(
        "Network Adapters",
        ["Name", "MAC Address", "IP Address", "Gateway"],
        rows,
    )
}

/// What runs.
fn processes(dice: &mut Dice) -> Category {
    let n_rows = dice.count(4, 9);
    let mut row = || {
        let name = (*dice.pick(PROCESSES)).to_owned();
        let id = (dice.count(1, 6_000) * 4).to_string();
        [
            name,
            id,
            format!("{} %", dice.count(0, 60)),
            format!("{} K", dice.count(900, 2_400_000)),
        ]
    };
    let rows = (0..n_rows).map(|_| row()).collect();
    category("Processes", ["Name", "PID", "CPU", "Memory"], rows)
}

/// What is installed.
fn programs(dice: &mut Dice) -> Category {
    let mut rows = Vec::new();
    for (name, maker) in PROGRAMS {
        if dice.happens(45) {
            let version = format!(
                "{}.{}.{}",
                dice.count(1, 24),
                dice.count(0, 20),
                dice.count(0, 30_000)
            );
            rows.push([(*name).to_owned(), (*maker).to_owned(), version]);
        }
    }
    category("Installed Programs", ["Name", "Publisher", "Version"], rows)
}

/// What runs in the background.
fn services(dice: &mut Dice) -> Category {
    let mut rows = Vec::new();
    for (name, title) in SERVICES {
        let state = if dice.happens(80) {
            "Running"
        } else {
            "Stopped"
        };
        rows.push([(*name).to_owned(), (*title).to_owned(), state.to_owned()]);
    }
    category("Services", ["Name", "Display Name", "State"], rows)
}
