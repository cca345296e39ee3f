//! What goes wrong: each kind of problem with its issue, its team and what one sees on the way.

use super::dice::Dice;

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// Paper does not come out.
    Printer,
    /// The computer is slow.
    Slow,
    /// The tunnel does not come up.
    Vpn,
    /// No wireless network.
    Wifi,
    /// Mail does not arrive.
    Mail,
    /// No sound or picture in meetings.
    Meeting,
    /// The password has expired or is forgotten.
    Password,
    /// The second factor is on a lost or new phone.
    Factor,
    /// The health record program.
    Record,
    /// The label printer of the ward.
    Label,
    /// The invoice program.
    Invoice,
    /// A spreadsheet that lost its macros.
    Spreadsheet,
    /// A network drive is gone.
    Drive,
    /// A server that nobody sits at.
    Server,
}

/// One registry value that has to do with a problem.
pub(super) struct RegistryValue {
    /// The key below its root.
    pub(super) key: &'static str,
    /// The name of the value.
    pub(super) name: &'static str,
    /// Its data before.
    pub(super) old: &'static str,
    /// Its data after.
    pub(super) new: &'static str,
}

/// What is known of a kind of problem.
pub(super) struct Problem {
    /// The kind.
    pub(super) trouble: Trouble,
    /// The id of the issue a customer chooses.
    pub(super) issue: &'static str,
    /// The title of that issue.
    pub(super) title: &'static str,
    /// The index of the team it leads to.
    pub(super) team: usize,
    /// Programs and window titles that come to the front.
    pub(super) windows: &'static [(&'static str, &'static str)],
    /// Files the representative sends over.
    pub(super) tools: &'static [&'static str],
    /// Files the representative takes for diagnosis.
    pub(super) logs: &'static [&'static str],
    /// The registry value that matters.
    pub(super) registry: RegistryValue,
    /// What the record says was done.
    pub(super) resolution: &'static str,
}

/// The row of a kind of problem.
pub(super) fn problem(trouble: Trouble) -> &'static Problem {
    ALL.iter()
        .find(|row| row.trouble == trouble)
        .expect("every kind has a row")
}

/// One of the windows of a problem; its title may hold places to fill.
pub(super) fn window(dice: &mut Dice, trouble: Trouble) -> (&'static str, &'static str) {
    let everyday = [
        ("explorer.exe", "Desktop"),
        ("msedge.exe", "Intranet – {site} - Microsoft Edge"),
        ("OUTLOOK.EXE", "Inbox - {user} - Outlook"),
        ("taskmgr.exe", "Task Manager"),
        ("SystemSettings.exe", "Settings"),
    ];
    if dice.happens(25) {
        return *dice.pick(&everyday);
    }
    *dice.pick(problem(trouble).windows)
}

/// Every kind of problem.
pub(super) const ALL: &[Problem] = &[
    Problem {
        trouble: Trouble::Printer,
        issue: "101",
        title: "Printing",
        team: 1,
        windows: &[
            ("explorer.exe", "Devices and Printers"),
            ("mmc.exe", "Print Management"),
            ("rundll32.exe", "{printer} Properties"),
            ("services.msc", "Services"),
            ("WINWORD.EXE", "Test page - {printer} - Word"),
        ],
        tools: &[
            "UPD-PCL6-x64-{ver}.zip",
            "spooler-reset.ps1",
            "{printer}-driver.inf",
        ],
        logs: &[
            "PrintService-Operational.evtx",
            "spool-{n}.spl",
            "setupapi.dev.log",
        ],
        registry: RegistryValue {
            key: "SYSTEM\\CurrentControlSet\\Control\\Print",
            name: "RpcAuthnLevelPrivacyEnabled",
            old: "0x00000001",
            new: "0x00000000",
        },
        resolution: "driver-reinstalled",
    },
    Problem {
        trouble: Trouble::Slow,
        issue: "102",
        title: "Slow computer",
        team: 1,
        windows: &[
            ("taskmgr.exe", "Task Manager"),
            ("perfmon.exe", "Resource Monitor"),
            ("cleanmgr.exe", "Disk Clean-up for Windows (C:)"),
            ("chrome.exe", "{n} tabs - Google Chrome"),
            ("procexp64.exe", "Process Explorer - {host}\\{user}"),
        ],
        tools: &["cleanup-temp.ps1", "procexp64.exe", "bios-update-{ver}.exe"],
        logs: &[
            "perf-{host}.blg",
            "battery-report.html",
            "autoruns-{host}.arn",
        ],
        registry: RegistryValue {
            key: "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run",
            name: "CloudPhotoSync",
            old: "\"C:\\Program Files\\PhotoSync\\psync.exe\" /autostart",
            new: "",
        },
        resolution: "startup-cleaned",
    },
    Problem {
        trouble: Trouble::Vpn,
        issue: "201",
        title: "VPN and remote access",
        team: 2,
        windows: &[
            ("vpnui.exe", "Secure Client - {gateway}"),
            ("cmd.exe", "Administrator: Command Prompt - ping {gateway}"),
            ("mmc.exe", "Certificates - Current User"),
            ("ncpa.cpl", "Network Connections"),
        ],
        tools: &["secureclient-{ver}-predeploy.msi", "profile-{gateway}.xml"],
        logs: &[
            "vpn-diag-{host}.zip",
            "secureclient.log",
            "ipconfig-all.txt",
        ],
        registry: RegistryValue {
            key: "SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters\\Interfaces",
            name: "MTU",
            old: "0x000005dc",
            new: "0x00000578",
        },
        resolution: "profile-replaced",
    },
    Problem {
        trouble: Trouble::Wifi,
        issue: "202",
        title: "Network and Wi-Fi",
        team: 2,
        windows: &[
            ("SystemSettings.exe", "Network & internet > Wi-Fi"),
            ("mmc.exe", "Device Manager"),
            ("cmd.exe", "Command Prompt - netsh wlan show interfaces"),
        ],
        tools: &["wlan-corp-{ver}.xml", "wifi-driver-{ver}.exe"],
        logs: &["wlan-report-latest.html", "netsh-trace-{n}.etl"],
        registry: RegistryValue {
            key: "SOFTWARE\\Policies\\Microsoft\\Windows\\WcmSvc\\GroupPolicy",
            name: "fMinimizeConnections",
            old: "0x00000003",
            new: "0x00000001",
        },
        resolution: "driver-reinstalled",
    },
    Problem {
        trouble: Trouble::Mail,
        issue: "301",
        title: "Mail and calendar",
        team: 0,
        windows: &[
            ("OUTLOOK.EXE", "Inbox - {user} - Outlook"),
            ("OUTLOOK.EXE", "Outbox - {user} - Outlook (Working Offline)"),
            ("mlcfg32.cpl", "Mail Setup - Outlook"),
            (
                "explorer.exe",
                "C:\\Users\\{user}\\AppData\\Local\\Microsoft\\Outlook",
            ),
        ],
        tools: &["scanpst-{ver}.zip", "new-mail-profile.prf"],
        logs: &[
            "OUTLOOK_16_0-{n}.etl",
            "{user}-rules.rwz",
            "mailbox-test-{n}.xml",
        ],
        registry: RegistryValue {
            key: "Software\\Microsoft\\Office\\16.0\\Outlook\\AutoDiscover",
            name: "ExcludeExplicitO365Endpoint",
            old: "0x00000001",
            new: "0x00000000",
        },
        resolution: "profile-replaced",
    },
    Problem {
        trouble: Trouble::Meeting,
        issue: "302",
        title: "Meetings, audio and camera",
        team: 0,
        windows: &[
            ("ms-teams.exe", "Meeting | Microsoft Teams"),
            ("SystemSettings.exe", "Privacy & security > Camera"),
            ("mmsys.cpl", "Sound"),
        ],
        tools: &["headset-firmware-{ver}.exe", "audio-driver-{ver}.zip"],
        logs: &["MSTeams Diagnostics Log {n}.txt", "dxdiag-{host}.txt"],
        registry: RegistryValue {
            key: "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\CapabilityAccessManager\\webcam",
            name: "Value",
            old: "Deny",
            new: "Allow",
        },
        resolution: "setting-changed",
    },
    Problem {
        trouble: Trouble::Password,
        issue: "401",
        title: "Password and account locked",
        team: 5,
        windows: &[
            ("mmc.exe", "Active Directory Users and Computers"),
            ("rundll32.exe", "Credential Manager"),
            ("msedge.exe", "Reset your password - Microsoft Edge"),
        ],
        tools: &["unlock-checklist.pdf", "clear-cached-credentials.ps1"],
        logs: &["lockout-{user}.csv", "Security-4740.evtx"],
        registry: RegistryValue {
            key: "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon",
            name: "CachedLogonsCount",
            old: "10",
            new: "2",
        },
        resolution: "password-reset",
    },
    Problem {
        trouble: Trouble::Factor,
        issue: "402",
        title: "Sign-in code and new phone",
        team: 5,
        windows: &[
            ("msedge.exe", "My Sign-Ins | Security info - Microsoft Edge"),
            ("msedge.exe", "Keep your account secure - Microsoft Edge"),
            ("ms-teams.exe", "Chat | Microsoft Teams"),
        ],
        tools: &["new-phone-guide.pdf"],
        logs: &["signins-{user}.json"],
        registry: RegistryValue {
            key: "SOFTWARE\\Policies\\Microsoft\\PassportForWork",
            name: "Enabled",
            old: "0x00000000",
            new: "0x00000001",
        },
        resolution: "factor-enrolled",
    },
    Problem {
        trouble: Trouble::Record,
        issue: "501",
        title: "Health record program",
        team: 3,
        windows: &[
            ("CareView.exe", "CareView {ver} - Ward {n}"),
            ("CareView.exe", "CareView - Login"),
            ("wfica32.exe", "CareView Production - Citrix Workspace"),
            ("mmc.exe", "Component Services"),
        ],
        tools: &["careview-hotfix-{ver}.msp", "careview.ini"],
        logs: &[
            "CareView-{host}-{n}.log",
            "hl7-outbound.txt",
            "careview-crash-{n}.dmp",
        ],
        registry: RegistryValue {
            key: "SOFTWARE\\WOW6432Node\\CareView\\Client",
            name: "AppServer",
            old: "ehr-app03.stbrigid.example:7443",
            new: "ehr-app05.stbrigid.example:7443",
        },
        resolution: "client-reconfigured",
    },
    Problem {
        trouble: Trouble::Label,
        issue: "502",
        title: "Wristband and label printing",
        team: 3,
        windows: &[
            ("CareView.exe", "CareView - Print wristband"),
            ("LabelDesk.exe", "LabelDesk - {printer}"),
            ("rundll32.exe", "{printer} Properties"),
        ],
        tools: &["wristband-25x178.lbl", "labeldesk-driver-{ver}.zip"],
        logs: &["labeldesk-{n}.log", "zpl-dump.txt"],
        registry: RegistryValue {
            key: "SOFTWARE\\LabelDesk\\Ports",
            name: "Darkness",
            old: "12",
            new: "18",
        },
        resolution: "setting-changed",
    },
    Problem {
        trouble: Trouble::Invoice,
        issue: "601",
        title: "Invoices and accounting",
        team: 4,
        windows: &[
            ("LedgerOne.exe", "LedgerOne - Outgoing invoices - {inv}"),
            ("LedgerOne.exe", "LedgerOne - Error {code}"),
            ("AcroRd32.exe", "{inv}.pdf - Adobe Acrobat Reader"),
        ],
        tools: &[
            "ledgerone-{ver}-update.exe",
            "ledgerone-repair.sql",
            "e-invoice-schema-{ver}.zip",
        ],
        logs: &[
            "LedgerOne-{n}.log",
            "{inv}.xml",
            "validation-report-{inv}.html",
        ],
        registry: RegistryValue {
            key: "SOFTWARE\\LedgerOne\\Export",
            name: "SchemaVersion",
            old: "2.3",
            new: "3.0",
        },
        resolution: "program-updated",
    },
    Problem {
        trouble: Trouble::Spreadsheet,
        issue: "602",
        title: "Spreadsheets and macros",
        team: 4,
        windows: &[
            ("EXCEL.EXE", "{file} - Excel"),
            ("EXCEL.EXE", "Trust Center"),
            (
                "EXCEL.EXE",
                "Microsoft Visual Basic for Applications - {file}",
            ),
        ],
        tools: &["signed-macros-{ver}.xlam", "trusted-locations.reg"],
        logs: &["{file}", "excel-addins.txt"],
        registry: RegistryValue {
            key: "Software\\Microsoft\\Office\\16.0\\Excel\\Security",
            name: "VBAWarnings",
            old: "0x00000004",
            new: "0x00000003",
        },
        resolution: "setting-changed",
    },
    Problem {
        trouble: Trouble::Drive,
        issue: "203",
        title: "Network drives",
        team: 2,
        windows: &[
            ("explorer.exe", "This PC"),
            ("explorer.exe", "{share}"),
            ("cmd.exe", "Command Prompt - net use"),
        ],
        tools: &["map-drives.cmd", "drive-map-{ver}.ps1"],
        logs: &["gpresult-{host}.html", "net-use.txt"],
        registry: RegistryValue {
            key: "Network\\S",
            name: "RemotePath",
            old: "\\\\fs01\\department",
            new: "\\\\fs04\\department",
        },
        resolution: "setting-changed",
    },
    Problem {
        trouble: Trouble::Server,
        issue: "204",
        title: "Server maintenance",
        team: 2,
        windows: &[
            ("ServerManager.exe", "Server Manager - {host}"),
            ("mmc.exe", "Event Viewer ({host})"),
            ("powershell.exe", "Administrator: Windows PowerShell"),
            ("mmc.exe", "Disk Management"),
            (
                "ssms.exe",
                "SQLQuery{n}.sql - {host}.master - SQL Server Management Studio",
            ),
            ("mmc.exe", "Task Scheduler"),
        ],
        tools: &["KB50{n}{n}-x64.msu", "agent-{ver}.msi", "rotate-logs.ps1"],
        logs: &[
            "System-{host}.evtx",
            "cbs-{n}.log",
            "sqlagent-{n}.out",
            "MEMORY-{n}.dmp",
        ],
        registry: RegistryValue {
            key: "SYSTEM\\CurrentControlSet\\Services\\LanmanServer\\Parameters",
            name: "SMB1",
            old: "0x00000001",
            new: "0x00000000",
        },
        resolution: "patched",
    },
];
