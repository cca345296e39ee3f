//! The recordings of a demo session: what was typed in a command shell, and what a screen showed.
//!
//! Shells are asciicasts of version 2, made from the seed. A screen is always the same few seconds
//! of a desktop: encoding pictures is not worth its weight here.

use std::borrow::Cow;
use std::fmt::Write as _;

use debrief_domain::{At, Event, EventType, Recording, RecordingKind};

use super::dice::Dice;

/// A desktop with two clocks, recorded for this project: WebM of eight seconds.
const SCREEN: &[u8] = include_bytes!("../../assets/demo/desk.webm");
/// Keeps these dice apart from others of the same seed.
const STREAM: u64 = 4;
/// Columns and rows of a shell's window.
const SIZE: (u32, u32) = (100, 30);
const PROMPT: &str = "C:\\WINDOWS\\system32>";

/// A recording of the demo.
pub(crate) struct Recorded {
    /// Which one of its session.
    pub(crate) recording: Recording,
    /// When it began.
    pub(crate) at: At,
    /// The file.
    pub(crate) bytes: Cow<'static, [u8]>,
}

/// The recordings that the events of the session of this number tell of. Only a session that ended
/// has handed its recordings in.
pub(crate) fn recordings(seed: u64, idx: u32, events: &[Event]) -> Vec<Recorded> {
    if !events
        .iter()
        .any(|event| event.kind == EventType::SessionEnd)
    {
        return Vec::new();
    }
    let computer = Computer::of(events);
    let mut dice = Dice::new(seed, STREAM, idx.into());
    let told = events
        .iter()
        .filter_map(|event| Some((event.recording?, event.at)));
    told.map(|(recording, at)| Recorded {
        recording,
        at,
        bytes: match recording.kind {
            RecordingKind::Session | RecordingKind::ShowMyScreen => SCREEN.into(),
            RecordingKind::CommandShell => shell(&mut dice, &computer, at).into(),
        },
    })
    .collect()
}

/// The computer that the shell runs on.
struct Computer {
    host: String,
    ip: String,
    gateway: String,
}

impl Computer {
    fn of(events: &[Event]) -> Computer {
        let customer = events.iter().find_map(|event| event.customer.as_deref());
        let text = |value: Option<&str>, otherwise: &str| match value {
            Some(value) if !value.is_empty() => value.to_owned(),
            _ => otherwise.to_owned(),
        };
        let ip = text(
            customer.and_then(|customer| customer.private_ip.as_deref()),
            "10.20.30.40",
        );
        let ip = ip.split(':').next().unwrap_or_default().to_owned();
        let network = ip
            .rsplit_once('.')
            .map_or("10.20.30", |(network, _)| network);
        Computer {
            host: text(
                customer.and_then(|customer| customer.hostname.as_deref()),
                "DESKTOP-1",
            ),
            gateway: format!("{network}.1"),
            ip,
        }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{host}", &self.host)
            .replace("{ip}", &self.ip)
            .replace("{gateway}", &self.gateway)
    }
}

/// A command, and what it prints: each piece after so many milliseconds.
struct Command {
    typed: &'static str,
    pieces: &'static [(i64, &'static str)],
}

/// What people type who look for a fault. Lines end with `\n` here.
const COMMANDS: &[Command] = &[
    Command {
        typed: "hostname",
        pieces: &[(60, "{host}\n")],
    },
    Command {
        typed: "ipconfig",
        pieces: &[
            (90, "\nWindows IP Configuration\n\n\n"),
            (
                140,
                "Ethernet adapter Ethernet:\n\n\
                 \x20  Connection-specific DNS Suffix  . : corp.example\n\
                 \x20  IPv4 Address. . . . . . . . . . . : {ip}\n\
                 \x20  Subnet Mask . . . . . . . . . . . : 255.255.255.0\n\
                 \x20  Default Gateway . . . . . . . . . : {gateway}\n",
            ),
        ],
    },
    Command {
        typed: "ping {gateway}",
        pieces: &[
            (120, "\nPinging {gateway} with 32 bytes of data:\n"),
            (15, "Reply from {gateway}: bytes=32 time<1ms TTL=64\n"),
            (1_010, "Reply from {gateway}: bytes=32 time<1ms TTL=64\n"),
            (1_012, "Reply from {gateway}: bytes=32 time<1ms TTL=64\n"),
            (1_009, "Reply from {gateway}: bytes=32 time<1ms TTL=64\n"),
            (
                1_005,
                "\nPing statistics for {gateway}:\n\
                 \x20   Packets: Sent = 4, Received = 4, Lost = 0 (0% loss),\n\
                 Approximate round trip times in milli-seconds:\n\
                 \x20   Minimum = 0ms, Maximum = 0ms, Average = 0ms\n",
            ),
        ],
    },
    Command {
        typed: "ipconfig /flushdns",
        pieces: &[
            (150, "\nWindows IP Configuration\n\n"),
            (260, "Successfully flushed the DNS Resolver Cache.\n"),
        ],
    },
    Command {
        typed: "nslookup intranet.corp.example",
        pieces: &[
            (180, "Server:  dns01.corp.example\nAddress:  10.20.0.53\n\n"),
            (
                70,
                "Name:    intranet.corp.example\nAddress:  10.20.1.17\n\n",
            ),
        ],
    },
    Command {
        typed: "sc query Spooler",
        pieces: &[(
            110,
            "\nSERVICE_NAME: Spooler\n\
             \x20       TYPE               : 110  WIN32_OWN_PROCESS  (interactive)\n\
             \x20       STATE              : 4  RUNNING\n\
             \x20                               (STOPPABLE, NOT_PAUSABLE, ACCEPTS_PRESHUTDOWN)\n\
             \x20       WIN32_EXIT_CODE    : 0  (0x0)\n\
             \x20       SERVICE_EXIT_CODE  : 0  (0x0)\n\
             \x20       CHECKPOINT         : 0x0\n\
             \x20       WAIT_HINT          : 0x0\n",
        )],
    },
    Command {
        typed: "net stop Spooler",
        pieces: &[
            (130, "The Print Spooler service is stopping."),
            (900, "."),
            (
                900,
                "\nThe Print Spooler service was stopped successfully.\n\n",
            ),
        ],
    },
    Command {
        typed: "net start Spooler",
        pieces: &[
            (130, "The Print Spooler service is starting."),
            (
                1_100,
                "\nThe Print Spooler service was started successfully.\n\n",
            ),
        ],
    },
    Command {
        typed: "tasklist /fi \"memusage gt 400000\"",
        pieces: &[
            (
                400,
                "\nImage Name                     PID Session Name        Session#    Mem Usage\n\
                 ========================= ======== ================ =========== ============\n",
            ),
            (
                60,
                "MsMpEng.exe                   3984 Services                   0    412,340 K\n\
                 msedge.exe                    9120 Console                    1    688,204 K\n",
            ),
            (
                80,
                "OUTLOOK.EXE                  11764 Console                    1    531,016 K\n",
            ),
        ],
    },
    Command {
        typed: "chkdsk C: /scan",
        pieces: &[
            (300, "The type of the file system is NTFS.\n\n"),
            (250, "Stage 1: Examining basic file system structure ...\n"),
            (600, "Progress: 25 percent\r"),
            (700, "Progress: 50 percent\r"),
            (650, "Progress: 75 percent\r"),
            (700, "Progress: 100 percent\n"),
            (
                500,
                "\nWindows has scanned the file system and found no problems.\n\
                 No further action is required.\n",
            ),
        ],
    },
];

/// A shell in which a few commands are typed, as an asciicast.
fn shell(dice: &mut Dice, computer: &Computer, at: At) -> Vec<u8> {
    let mut tape = Tape::begin(computer, at);
    tape.print(
        "Microsoft Windows [Version 10.0.22631.4460]\n\
         (c) Microsoft Corporation. All rights reserved.\n\n",
    );
    let first = dice.count(0, COMMANDS.len() as u32 - 1);
    let n_commands = dice.count(3, 5);
    let commands = COMMANDS.iter().cycle().skip(first as usize);
    for command in commands.take(n_commands as usize) {
        tape.print(PROMPT);
        tape.wait(dice.between(700, 2_600));
        tape.type_in(dice, &computer.fill(command.typed));
        for &(millis, piece) in command.pieces {
            tape.wait(dice.between(0, 40) + millis);
            tape.print(&computer.fill(piece));
        }
        tape.print("\n");
    }
    tape.print(PROMPT);
    tape.wait(dice.between(900, 2_400));
    tape.type_in(dice, "exit");
    tape.text.into_bytes()
}

/// An asciicast while it is made.
struct Tape {
    text: String,
    millis: u64,
}

impl Tape {
    fn begin(computer: &Computer, at: At) -> Tape {
        let (width, height) = SIZE;
        let header = serde_json::json!({
            "version": 2,
            "width": width,
            "height": height,
            "timestamp": at.secs(),
            "title": format!("cmd.exe on {}", computer.host),
        });
        Tape {
            text: format!("{header}\n"),
            millis: 0,
        }
    }

    fn wait(&mut self, millis: i64) {
        self.millis += millis.unsigned_abs();
    }

    /// Something appears on the terminal.
    fn print(&mut self, text: &str) {
        let (secs, millis) = (self.millis / 1_000, self.millis % 1_000);
        let text = serde_json::Value::from(text.replace('\n', "\r\n"));
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "[{secs}.{millis:03}, \"o\", {text}]");
    }

    /// Somebody types a line, at times a wrong letter, and presses Enter.
    fn type_in(&mut self, dice: &mut Dice, line: &str) {
        for letter in line.chars() {
            if dice.happens(3) {
                self.wait(dice.between(60, 160));
                self.print("s");
                self.wait(dice.between(250, 500));
                self.print("\u{8} \u{8}");
            }
            self.wait(dice.between(45, 190));
            self.print(letter.encode_utf8(&mut [0; 4]));
        }
        self.wait(dice.between(150, 600));
        self.print("\n");
    }
}
