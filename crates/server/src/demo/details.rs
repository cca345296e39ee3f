//! The concrete things one session is about, and templates filled with them.

use super::dice::Dice;
use super::people::{Name, Tongue};
use super::{people, places};

/// What stays the same throughout a session.
pub(super) struct Details {
    /// What the customer is called in conversation.
    pub(super) customer: String,
    /// What the representative at work is called.
    pub(super) rep: String,
    /// The customer's account.
    pub(super) user: String,
    /// The computer.
    pub(super) host: String,
    /// The domain of the public site.
    pub(super) site: &'static str,
    /// The ticket in the other system.
    pub(super) ticket: String,
    /// The error that is shown.
    code: String,
    /// The printer.
    printer: String,
    /// A network folder.
    share: String,
    /// The VPN gateway.
    gateway: String,
    /// The customer's private address.
    pub(super) ip: String,
    /// An invoice number.
    invoice: String,
    /// A file of the customer's.
    pub(super) file: String,
    /// A version.
    version: String,
}

/// Printers by place.
const PRINTERS: &[&str] = &["PRT", "HP", "MFP", "KYO", "LBL", "DRUCK", "IMP"];
/// Network folders.
const SHARES: &[&str] = &[
    "\\\\fs01\\department",
    "\\\\fs04\\projects",
    "\\\\nas2\\scans",
    "\\\\fs01\\finance$",
    "\\\\dfs\\staff\\common",
];
/// VPN gateways.
const GATEWAYS: &[&str] = &["vpn", "vpn2", "access-eu", "access-us", "remote"];
/// Files people lose sleep over.
const FILES: &[&str] = &[
    "Budget 2026 v{n}.xlsm",
    "Roster week {n}.xlsx",
    "Angebot_{n}_final.xlsx",
    "planning-{n}.xlsm",
    "Relevé {n}.xlsx",
    "成績一覧_{n}.xlsm",
    "报价单{n}.xlsx",
    "Отчёт {n}.xlsx",
    "Stock list ({n}).xlsm",
];
/// Windows error numbers that support people know by heart.
const CODES: &[&str] = &[
    "0x80070005",
    "0x8007232B",
    "0x0000011b",
    "0x800CCC0E",
    "0x80004005",
    "0x80072EE7",
    "0x8004010F",
    "0xC0000234",
    "0x80070035",
    "0xC000006A",
];

impl Details {
    /// The things of one session of this customer.
    pub(super) fn new(
        dice: &mut Dice,
        customer: &Name,
        tongue: Tongue,
        host: String,
        site: &'static str,
    ) -> Details {
        let n = dice.count(2, 52).to_string();
        let code = if dice.happens(70) {
            (*dice.pick(CODES)).to_owned()
        } else {
            format!("0x{}", dice.hex(8).to_uppercase())
        };
        Details {
            customer: called(customer, tongue),
            rep: String::new(),
            user: customer.username(),
            host,
            site,
            ticket: format!("INC{:07}", dice.count(10_000, 4_200_000)),
            code,
            printer: format!(
                "{}-{}F-{:02}",
                dice.pick(PRINTERS),
                dice.count(0, 7),
                dice.count(1, 30)
            ),
            share: (*dice.pick(SHARES)).to_owned(),
            gateway: format!("{}.{site}", dice.pick(GATEWAYS)),
            ip: places::private_ip(dice),
            invoice: format!("RE-2026-{:05}", dice.count(100, 61_000)),
            file: dice.pick(FILES).replace("{n}", &n),
            version: format!(
                "{}.{}.{}",
                dice.count(2, 14),
                dice.count(0, 12),
                dice.count(0, 4_000)
            ),
        }
    }

    /// The template with every place filled; an unknown place stays as it is.
    pub(super) fn fill(&self, dice: &mut Dice, template: &str) -> String {
        let mut filled = String::with_capacity(template.len() + 16);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((place, behind)) = after.split_once('}') else {
                break;
            };
            filled.push_str(before);
            match self.value(dice, place) {
                Some(value) => filled.push_str(&value),
                None => filled.extend(["{", place, "}"]),
            }
            rest = behind;
        }
        filled.push_str(rest);
        filled
    }

    /// What stands for a place: something of the session, or something rolled anew.
    fn value(&self, dice: &mut Dice, place: &str) -> Option<String> {
        let fixed = match place {
            "customer" => &self.customer,
            "rep" => &self.rep,
            "user" => &self.user,
            "host" => &self.host,
            "ticket" => &self.ticket,
            "code" => &self.code,
            "printer" => &self.printer,
            "share" => &self.share,
            "gateway" => &self.gateway,
            "ip" => &self.ip,
            "inv" => &self.invoice,
            "file" => &self.file,
            "ver" => &self.version,
            "site" => return Some(self.site.to_owned()),
            _ => return rolled(dice, place),
        };
        Some(fixed.clone())
    }
}

/// Measurements and the like, different each time.
fn rolled(dice: &mut Dice, place: &str) -> Option<String> {
    let text = match place {
        "n" => dice.count(2, 59).to_string(),
        "ms" => dice.count(4, 480).to_string(),
        "pct" => dice.count(81, 100).to_string(),
        "gb" => format!("{}.{}", dice.count(0, 9), dice.count(0, 9)),
        "time" => format!("{:02}:{:02}", dice.count(6, 20), dice.count(0, 59)),
        "hash" => dice.hex(64),
        "short" => dice.hex(8),
        "serial" => dice.serial(10),
        "pid" => (dice.count(200, 5_000) * 4).to_string(),
        "phone" => format!("+44 1632 960{:03}", dice.count(0, 999)),
        "mac" => (0..6).map(|_| dice.hex(2)).collect::<Vec<_>>().join("-"),
        "guid" => [8, 4, 4, 4, 12]
            .map(|n_digits| dice.hex(n_digits))
            .join("-"),
        _ => return None,
    };
    Some(text)
}

/// How one addresses a customer: by given name, or politely where that is the custom.
fn called(customer: &people::Name, tongue: Tongue) -> String {
    match tongue {
        Tongue::Japanese => format!("{}様", customer.full()),
        Tongue::Chinese => customer.full(),
        Tongue::English
        | Tongue::German
        | Tongue::French
        | Tongue::Spanish
        | Tongue::Polish
        | Tongue::Arabic
        | Tongue::Hebrew
        | Tongue::Russian
        | Tongue::Greek => customer.given.to_owned(),
    }
}
