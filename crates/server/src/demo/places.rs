//! Computers and addresses: where people sit and what they sit at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::dice::Dice;
use super::people::Tongue;
use super::problems::Trouble;

/// Operating systems of customers whose trouble may come on any device.
const DEVICES: &[(&str, u32)] = &[
    ("macOS 14.6.1 (23G93)", 6),
    ("macOS 15.1 (24B83)", 4),
    ("Ubuntu 24.04.1 LTS", 2),
    ("Chrome OS 130.0.6723.126", 3),
    ("iOS 17.6.1", 2),
    ("Android 14", 2),
];

/// Operating systems of customers, with how often each is met.
const SYSTEMS: &[(&str, u32)] = &[
    ("Windows 11 Enterprise x64 (23H2)", 24),
    ("Windows 11 Pro x64 (24H2)", 18),
    ("Windows 10 Enterprise x64 (22H2)", 16),
    ("Windows 10 Pro x64 (22H2)", 9),
    ("Windows 11 Education x64 (23H2)", 6),
    ("Windows 10 IoT Enterprise LTSC (21H2)", 2),
];

/// Operating systems of unattended machines.
const SERVERS: &[(&str, u32)] = &[
    ("Windows Server 2022 Datacenter (21H2)", 6),
    ("Windows Server 2019 Standard (1809)", 4),
    ("Windows Server 2016 Standard (1607)", 1),
    ("Windows 10 IoT Enterprise LTSC (21H2)", 1),
];

/// Parts of server names.
const SERVER_ROLES: &[&str] = &[
    "FS", "SQL", "PRINT", "APP", "DC", "EHR", "BACKUP", "WEB", "KIOSK", "LAB", "POS", "RDSH",
];
/// Places as machine names abbreviate them.
const SITES: &[&str] = &[
    "HQ", "BER", "LYO", "MAD", "WAW", "TLV", "DXB", "OSK", "SHA", "ATH", "OMA", "LEE",
];

/// A customer's operating system. Much trouble is of a kind that only Windows has.
pub(super) fn system(dice: &mut Dice, trouble: Trouble) -> &'static str {
    let anywhere = [
        Trouble::Factor,
        Trouble::Meeting,
        Trouble::Password,
        Trouble::Wifi,
    ];
    if anywhere.contains(&trouble) && dice.happens(40) {
        return dice.weighted(DEVICES);
    }
    dice.weighted(SYSTEMS)
}

/// An unattended machine's operating system.
pub(super) fn server_system(dice: &mut Dice) -> &'static str {
    dice.weighted(SERVERS)
}

/// A server's name.
pub(super) fn server_name(dice: &mut Dice) -> String {
    let (site, role) = (*dice.pick(SITES), *dice.pick(SERVER_ROLES));
    format!("{site}-{role}{:02}", dice.count(1, 24))
}

/// The name of a customer's computer, fitting its system and its person.
pub(super) fn host_name(dice: &mut Dice, system: &str, given: &str, tongue: Tongue) -> String {
    if system.starts_with("macOS") {
        return mac_name(given, tongue);
    }
    if system.starts_with("iOS") {
        return "iPhone".to_owned();
    }
    if system.starts_with("Android") {
        return format!("SM-A{}B", dice.count(125, 556));
    }
    let site = *dice.pick(SITES);
    match dice.count(0, 3) {
        0 => format!("DESKTOP-{}", dice.serial(7)),
        1 => format!("{site}-NB-{:05}", dice.count(1, 40_000)),
        2 => format!("LT{}", dice.serial(8)),
        _ => format!("{site}-PC{:04}", dice.count(1, 9_999)),
    }
}

/// What a Mac calls itself when its owner does not.
fn mac_name(given: &str, tongue: Tongue) -> String {
    match tongue {
        Tongue::German => format!("MacBook Pro von {given}"),
        Tongue::French => format!("MacBook Air de {given}"),
        Tongue::Spanish => format!("MacBook Pro de {given}"),
        Tongue::Japanese => format!("{given}のMacBook Air"),
        Tongue::Chinese => format!("{given}的MacBook Pro"),
        Tongue::English
        | Tongue::Polish
        | Tongue::Arabic
        | Tongue::Hebrew
        | Tongue::Russian
        | Tongue::Greek => format!("{given}’s MacBook Pro"),
    }
}

/// A private address.
pub(super) fn private_ip(dice: &mut Dice) -> String {
    let (a, b) = (dice.byte(0, 254), dice.byte(2, 254));
    match dice.count(0, 3) {
        0 => format!("192.168.{}.{b}", dice.pick(&[0, 1, 2, 10, 178])),
        1 => format!("172.{}.{a}.{b}", dice.byte(16, 31)),
        _ => format!("10.{}.{a}.{b}", dice.byte(0, 64)),
    }
}

/// A public address with the port of the connection; now and then none is known.
pub(super) fn public_ip(dice: &mut Dice) -> Option<SocketAddr> {
    if dice.happens(2) {
        return None;
    }
    let port = 49_152 + dice.word() % 16_384;
    Some(SocketAddr::new(address(dice), port))
}

/// An address: of a documentation or shared range, of a plausible public one, or IPv6.
fn address(dice: &mut Dice) -> IpAddr {
    let (x, y, z) = (dice.byte(0, 255), dice.byte(0, 255), dice.byte(1, 254));
    match dice.count(0, 9) {
        0 => Ipv4Addr::new(192, 0, 2, z).into(),
        1 => Ipv4Addr::new(198, 51, 100, z).into(),
        2 => Ipv4Addr::new(203, 0, 113, z).into(),
        3 => Ipv4Addr::new(100, 64 | (x & 63), y, z).into(),
        4 => v6(dice, 0x2001, 0x0db8),
        5 => {
            let prefix = *dice.pick(&[0x2a02, 0x2a01, 0x2600, 0x2409]);
            let second = dice.word();
            v6(dice, prefix, second)
        }
        _ => {
            // First bytes that belong to no private, shared or reserved range.
            let first = *dice.pick(&[23, 31, 46, 62, 77, 80, 84, 91, 109, 151, 178, 185, 188, 213]);
            Ipv4Addr::new(first, x, y, z).into()
        }
    }
}

/// An IPv6 address below a prefix.
fn v6(dice: &mut Dice, first: u16, second: u16) -> IpAddr {
    let mut word = || dice.word();
    Ipv6Addr::new(
        first,
        second,
        word() & 0xff,
        word() & 0xf,
        word(),
        word(),
        word(),
        word(),
    )
    .into()
}
