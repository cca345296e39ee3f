//! The organisation: representatives with their shifts and languages, teams, sites, fields.

mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use debrief_domain::{
    At, CodeName, CustomField, Directory, Invitation, Issue, Joined, RepId, Representative, Site,
    SiteId, Team, TeamId, TeamRef,
};

use super::dice::Dice;
use super::problems;
pub(super) use names::{Name, Tongue, company, name};

/// Dice stream of the hiring.
const STREAM: u64 = 2;

/// How many representatives speak each language besides English.
const ROSTER: &[(Tongue, u32)] = &[
    (Tongue::English, 14),
    (Tongue::German, 6),
    (Tongue::French, 4),
    (Tongue::Spanish, 4),
    (Tongue::Polish, 4),
    (Tongue::Arabic, 2),
    (Tongue::Hebrew, 1),
    (Tongue::Japanese, 2),
    (Tongue::Chinese, 2),
    (Tongue::Russian, 2),
    (Tongue::Greek, 1),
];

/// Team ids and current names.
pub(super) const TEAMS: [(&str, &str); 6] = [
    ("1", "Service Desk"),
    ("2", "Workplace & Printing"),
    ("3", "Network & VPN"),
    ("4", "Clinical Applications"),
    ("5", "Business Applications"),
    ("7", "Identity & Access"),
];

/// What the second team was called until it was renamed.
const OLD_WORKPLACE_NAME: &str = "Desktop Support";
/// How long ago that was.
const RENAMED_AGE_SECS: u64 = 55 * 24 * 3600;

/// Public sites: id, name, the domain of its user names, and how often it is used.
pub(super) const SITES: [(&str, &str, &str, u32); 4] = [
    ("1", "Default", "kestrel-services.example", 5),
    ("2", "St. Brigid Hospital", "stbrigid.example", 4),
    ("3", "Meridian Savings Bank", "meridian-bank.example", 3),
    (
        "4",
        "Lakeview School District",
        "lakeview-schools.example",
        2,
    ),
];

/// Custom fields: code name and display name.
pub(super) const FIELDS: [(&str, &str); 3] = [
    ("department", "Department"),
    ("asset_tag", "Asset Tag"),
    ("resolution_code", "Resolution Code"),
];

/// The working hours of a representative, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shift {
    /// 05 to 13 o'clock.
    Early,
    /// 08 to 17 o'clock.
    Day,
    /// 13 to 22 o'clock.
    Late,
    /// 21 to 06 o'clock.
    Night,
}

impl Shift {
    /// Whether somebody of this shift works in the hour.
    fn covers(self, hour: i64) -> bool {
        match self {
            Shift::Early => (5..13).contains(&hour),
            Shift::Day => (8..17).contains(&hour),
            Shift::Late => (13..22).contains(&hour),
            Shift::Night => !(6..21).contains(&hour),
        }
    }
}

/// One representative.
pub(super) struct Rep {
    /// The user id.
    id: RepId,
    /// The account.
    account: Representative,
    /// The name customers are greeted with.
    pub(super) called: String,
    /// Spoken besides English.
    tongue: Tongue,
    /// The working hours.
    shift: Shift,
    /// Indices of [`TEAMS`]; the first one is home.
    teams: Vec<usize>,
    /// The computer's name.
    hostname: String,
    /// The office address.
    address: Ipv4Addr,
    /// The address inside the office.
    private_ip: String,
}

/// Everyone who can take a session.
pub(super) struct Cast {
    /// In order of hiring.
    reps: Vec<Rep>,
}

impl Cast {
    /// The people of one seed.
    pub(super) fn hire(seed: u64) -> Cast {
        let mut dice = Dice::new(seed, STREAM, 0);
        let mut reps: Vec<Rep> = Vec::new();
        let mut usernames = BTreeSet::new();
        for (tongue, n_reps) in ROSTER {
            for _ in 0..*n_reps {
                let rep = hire_one(&mut dice, *tongue, reps.len(), &mut usernames);
                reps.push(rep);
            }
        }
        Cast { reps }
    }

    /// What a client would put as the directory.
    pub(super) fn directory(&self) -> Directory {
        let mut directory = Directory::default();
        for rep in &self.reps {
            directory
                .representatives
                .insert(rep.id.clone(), rep.account.clone());
        }
        directory.teams = TEAMS
            .iter()
            .enumerate()
            .map(|(idx, _)| self.team(idx))
            .collect();
        for (id, name, _, _) in SITES {
            directory.sites.insert(
                site_id(id),
                Site {
                    name: name.to_owned(),
                },
            );
        }
        directory.custom_fields = FIELDS
            .iter()
            .map(|(code_name, display_name)| {
                (
                    field(code_name),
                    CustomField {
                        display_name: (*display_name).to_owned(),
                    },
                )
            })
            .collect::<BTreeMap<_, _>>();
        directory
    }

    /// A team with its members and the issues that lead to it.
    fn team(&self, team: usize) -> (TeamId, Team) {
        let members = self.reps.iter().filter(|rep| rep.teams.contains(&team));
        let issues = problems::ALL.iter().filter(|problem| problem.team == team);
        let issue = |problem: &problems::Problem| Issue {
            id: problem.issue.to_owned(),
            title: problem.title.to_owned(),
        };
        let team_now = Team {
            name: TEAMS[team].1.to_owned(),
            members: members.map(|rep| rep.id.clone()).collect(),
            issues: issues.map(issue).collect(),
        };
        (team_id(team), team_now)
    }

    /// Whether somebody of this name works here.
    pub(super) fn employs(&self, person: &Name) -> bool {
        let username = person.username();
        self.reps.iter().any(|rep| rep.account.username == username)
    }

    /// The representative with this index.
    pub(super) fn rep(&self, idx: usize) -> &Rep {
        &self.reps[idx]
    }

    /// Somebody other than `not` who fits best: of the team, speaking the language, at work.
    pub(super) fn find(
        &self,
        dice: &mut Dice,
        team: usize,
        tongue: Tongue,
        at: At,
        not: &[usize],
    ) -> usize {
        let hour = at.secs() / 3600 % 24;
        let of_team = |rep: &Rep| rep.teams.contains(&team);
        let speaks = |rep: &Rep| rep.tongue == tongue || tongue == Tongue::English;
        let works = |rep: &Rep| rep.shift.covers(hour);
        let wishes: [&dyn Fn(&Rep) -> bool; 5] = [
            &|rep| of_team(rep) && speaks(rep) && works(rep),
            &|rep| speaks(rep) && works(rep),
            &|rep| of_team(rep) && speaks(rep),
            &|rep| speaks(rep),
            &|_| true,
        ];
        for wish in wishes {
            let fits = |idx: &usize| !not.contains(idx) && wish(&self.reps[*idx]);
            let candidates: Vec<usize> = (0..self.reps.len()).filter(fits).collect();
            if !candidates.is_empty() {
                return *dice.pick(&candidates);
            }
        }
        0
    }
}

impl Rep {
    /// How this representative joins a session.
    pub(super) fn join(&self, gsnumber: u32, port: u16) -> Joined {
        Joined {
            gsnumber,
            id: self.id.clone(),
            username: self.account.username.clone(),
            public_display_name: self.account.public_display_name.clone(),
            private_display_name: self.account.private_display_name.clone(),
            display_number: self.account.display_number.clone(),
            public_ip: Some(SocketAddr::new(self.address.into(), port)),
            private_ip: Some(self.private_ip.clone()),
            hostname: Some(self.hostname.clone()),
            os: Some("Windows 11 Enterprise x64 (23H2)".to_owned()),
            support_teams: self
                .teams
                .iter()
                .map(|team| TEAMS[*team].1.to_owned())
                .collect(),
            invitation: Invitation::Regular,
        }
    }
}

/// A new colleague who fills place `idx` of the roster.
fn hire_one(dice: &mut Dice, tongue: Tongue, idx: usize, usernames: &mut BTreeSet<String>) -> Rep {
    let mut person = name(dice, tongue);
    while !usernames.insert(person.username()) {
        person = name(dice, tongue);
    }
    let home = idx % TEAMS.len();
    let mut teams = vec![home];
    if dice.happens(30) {
        teams.push((home + 1 + dice.count(0, 4) as usize) % TEAMS.len());
    }
    let shifts = [
        (Shift::Early, 3),
        (Shift::Day, 5),
        (Shift::Late, 3),
        (Shift::Night, 1),
    ];
    let octet = u8::try_from(idx).expect("the roster has fewer than 256 places");
    Rep {
        id: RepId::parse(&(idx + 2).to_string()).expect("a number is a user id"),
        account: Representative {
            username: person.username(),
            public_display_name: person.given.to_owned(),
            private_display_name: person.full(),
            display_number: format!("{}", 4_100 + idx),
        },
        called: person.given.to_owned(),
        tongue,
        shift: dice.weighted(&shifts),
        teams,
        hostname: format!("SD-WS-{:03}", 11 + idx * 3),
        address: Ipv4Addr::new(203, 0, 113, 10 + octet % 8),
        private_ip: format!("10.20.{}.{}", 4 + octet % 3, 20 + octet),
    }
}

/// The id of a team.
pub(super) fn team_id(team: usize) -> TeamId {
    TeamId::parse(TEAMS[team].0).expect("the table holds ids")
}

/// The team as an event of that time names it.
pub(super) fn team_ref(team: usize, at: At, now: At) -> TeamRef {
    let was_renamed_later = team == 1 && RENAMED_AGE_SECS < now.secs_since(at);
    let name = if was_renamed_later {
        OLD_WORKPLACE_NAME
    } else {
        TEAMS[team].1
    };
    TeamRef {
        id: team_id(team),
        name: Some(name.to_owned()),
    }
}

/// The id of a public site.
pub(super) fn site_id(id: &str) -> SiteId {
    SiteId::parse(id).expect("the table holds ids")
}

/// The code name of a custom field.
pub(super) fn field(code_name: &str) -> CodeName {
    CodeName::parse(code_name).expect("the table holds code names")
}
