//! How a session goes: from Session Start to Session End, to where it broke off, or until now.

mod fate;

use debrief_domain::{
    At, CustomAttribute, Customer, CustomerInfo, Event, EventType, JumpGroup, Lsid, Named,
    SessionContext,
};

use super::details::Details;
use super::dice::Dice;
use super::people::{self, Cast, FIELDS, SITES, Tongue};
use super::plots::{self, Plot};
use super::problems::{self, Trouble};
use super::stage::{Opening, Stage, data, system};
use super::words::{self, Beat, Script};
use super::{acts, places, surveys};
pub(super) use fate::Fate;

/// Dice stream of the sessions.
const STREAM: u64 = 3;
/// One session of so many is a long piece of work.
const LONG_EVERY: u32 = 199;
/// The session of each such group that is.
const LONG_PHASE: u32 = 41;
/// So many of a hundred attended sessions look at the system information just in case.
const INSPECTED_PERCENT: u32 = 11;

/// Which session to tell.
pub(super) struct Scene {
    /// The organisation's seed.
    pub(super) seed: u64,
    /// The session's place in the archive.
    pub(super) idx: u32,
    /// When it begins.
    pub(super) start: At,
    /// The moment the archive is looked at.
    pub(super) now: At,
    /// What becomes of it.
    pub(super) fate: Fate,
}

/// The course of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// A customer asks and is helped.
    Attended,
    /// A customer asks and leaves before anybody comes.
    Abandoned,
    /// A representative works on a machine that nobody sits at, this many rounds.
    Unattended(u32),
}

/// All events of one session, in order of time.
pub(super) fn tell(cast: &Cast, scene: &Scene) -> Vec<Event> {
    let mut dice = Dice::new(scene.seed, STREAM, u64::from(scene.idx));
    let course = course(&mut dice, scene.idx);
    let opening = opening(&mut dice, cast, scene, course);
    let mut stage = Stage::open(cast, dice, scene.now, opening);
    match course {
        Course::Attended => attended(&mut stage, plots::of(scene.idx)),
        Course::Abandoned => abandoned(&mut stage),
        Course::Unattended(n_rounds) => unattended(&mut stage, n_rounds),
    }
    fate::finish(stage, scene)
}

/// The course of the session with this place; the first one is always a plain one.
fn course(dice: &mut Dice, idx: u32) -> Course {
    if idx % LONG_EVERY == LONG_PHASE {
        return Course::Unattended(dice.count(40, 54));
    }
    let plain = idx == 0;
    match dice.count(0, 99) {
        0..6 if !plain => Course::Abandoned,
        6..19 if !plain => Course::Unattended(1 + u32::from(dice.happens(15))),
        _ => Course::Attended,
    }
}

/// Who needs help, where, with what.
fn opening(dice: &mut Dice, cast: &Cast, scene: &Scene, course: Course) -> Opening {
    let lsid = Lsid::parse(&dice.hex(32)).expect("hexadecimal digits are an id");
    let gsnumber = 21 + scene.idx % 60_000 * 5 + dice.count(0, 4);
    let (_, _, domain, _) = SITES[site(dice)];
    let (tongue, script) = match course {
        Course::Attended | Course::Abandoned => {
            let tongue = words::tongue(dice);
            let scripts = words::language(tongue).scripts;
            let mut script = dice.pick(scripts);
            while script.trouble == Trouble::Server {
                script = dice.pick(scripts);
            }
            (tongue, script)
        }
        Course::Unattended(_) => (Tongue::English, maintenance()),
    };
    let mut person = people::name(dice, tongue);
    while cast.employs(&person) {
        person = people::name(dice, tongue);
    }
    let (host, os) = match course {
        Course::Attended | Course::Abandoned => {
            let os = places::system(dice, script.trouble);
            (places::host_name(dice, os, person.given, tongue), os)
        }
        Course::Unattended(_) => (places::server_name(dice), places::server_system(dice)),
    };
    let details = Details::new(dice, &person, tongue, host.clone(), domain);
    let username = match course {
        Course::Attended | Course::Abandoned => person.full(),
        Course::Unattended(_) => host.clone(),
    };
    let told = details_told(dice, &details, script);
    let customer = Customer {
        gsnumber: 0,
        username: username.clone(),
        public_ip: places::public_ip(dice),
        private_ip: dice.happens(95).then(|| details.ip.clone()),
        hostname: Some(host),
        os: (!os.starts_with("Windows") || dice.happens(97)).then(|| os.to_owned()),
        info: info(dice, course, tongue, username, script.trouble, told),
    };
    Opening {
        lsid,
        start: scene.start,
        gsnumber,
        tongue,
        trouble: script.trouble,
        details,
        customer,
    }
}

/// The index of a public site, each as often as it is used.
fn site(dice: &mut Dice) -> usize {
    let shares: Vec<(usize, u32)> = SITES
        .iter()
        .enumerate()
        .map(|(idx, (_, _, _, share))| (idx, *share))
        .collect();
    dice.weighted(&shares)
}

/// The conversation, or rather the work, on a server.
fn maintenance() -> &'static Script {
    let scripts = words::language(Tongue::English).scripts;
    let mut found = scripts
        .iter()
        .filter(|script| script.trouble == Trouble::Server);
    found.next().expect("the English table has it")
}

/// What the customer wrote into the form.
fn details_told(dice: &mut Dice, details: &Details, script: &Script) -> String {
    let text = *dice.pick(script.details);
    details.fill(dice, text)
}

/// The front-end survey, as far as somebody filled it in.
fn info(
    dice: &mut Dice,
    course: Course,
    tongue: Tongue,
    name: String,
    trouble: Trouble,
    details: String,
) -> CustomerInfo {
    match course {
        Course::Attended | Course::Abandoned => CustomerInfo {
            name,
            company: people::company(dice, tongue).to_owned(),
            company_code: if dice.happens(60) {
                dice.serial(6)
            } else {
                String::new()
            },
            issue: problems::problem(trouble).issue.to_owned(),
            details,
        },
        Course::Unattended(_) => CustomerInfo::default(),
    }
}

/// Session Start and what follows at once: nobody owns the session yet.
fn start(stage: &mut Stage<'_>, jump: Option<(Named, JumpGroup)>) {
    let home = SITES
        .iter()
        .find(|(_, _, domain, _)| *domain == stage.details.site);
    let (id, name, _, _) = home.expect("the domain was taken from this table");
    let team = problems::problem(stage.trouble).team;
    let department = *stage.dice.pick(&[
        "Front Office",
        "Radiology",
        "Finance",
        "Year 9",
        "Logistics",
        "HR",
    ]);
    let values = [
        department.to_owned(),
        format!("AT-{}", stage.dice.serial(6)),
    ];
    let mut attributes: Vec<CustomAttribute> = Vec::new();
    for ((code_name, display_name), value) in FIELDS.iter().zip(values) {
        if stage.dice.happens(70) {
            attributes.push(attribute(code_name, display_name, value));
        }
    }
    let (jumpoint, jump_group) = jump.unzip();
    let context = SessionContext {
        public_site: Some((people::site_id(id), Some((*name).to_owned()))),
        jumpoint,
        jump_group,
        external_key: stage.dice.happens(45).then(|| stage.details.ticket.clone()),
        custom_attributes: attributes,
    };
    let team = people::team_ref(team, stage.at(), stage.now);
    let event = stage.push(EventType::SessionStart);
    event.session = Some(Box::new(context));
    event.team = Some(team);
    stage.put_in_queue("Pre-start Conference");
}

/// The value of a custom field.
fn attribute(code_name: &str, display_name: &str, value: String) -> CustomAttribute {
    CustomAttribute {
        code_name: people::field(code_name),
        display_name: Some(display_name.to_owned()),
        value,
    }
}

/// A customer asks and is helped.
fn attended(stage: &mut Stage<'_>, plot: Plot) {
    start(stage, None);
    stage.wait(1, 4);
    stage.admit_customer();
    if stage.dice.happens(30) {
        stage.wait(2, 15);
        let customer = stage.customer_actor();
        let event = stage.act(EventType::LegalAgreementResponse, customer);
        event.data = data(&[
            ("response", "accepted"),
            ("agreement", "Remote support terms of use"),
        ]);
    }
    stage.wait(3, 240);
    take(stage);
    let phrases = stage.phrases();
    stage.lead_says(phrases.hello);
    if stage.dice.happens(55) {
        stage.customer_says(phrases.hello_back);
    }
    if stage.dice.happens(30) {
        external_key(stage);
    }
    converse(stage, plot);
    stage.closing = Some(stage.events.len());
    farewell(stage);
    end(stage);
}

/// The system offers the session until a representative takes it, and lets them see the screen.
fn take(stage: &mut Stage<'_>) {
    let team = problems::problem(stage.trouble).team;
    let mut chosen = stage.find(team);
    if stage.dice.happens(8) {
        assign(stage, team, chosen);
        chosen = stage.find(team);
        let event = stage.act(EventType::SessionAssignmentResponse, system("System"));
        event.data = data(&[("response", "rejected"), ("reason", "timeout")]);
    }
    assign(stage, team, chosen);
    stage.wait(3, 25);
    let member = stage.join(chosen);
    let event = stage.act(EventType::SessionAssignmentResponse, member.actor());
    event.data = data(&[("response", "accepted")]);
    stage.put_in_charge(&member);
    if stage.dice.happens(88) {
        let name = member.joined.public_display_name.clone();
        stage.system_says(format!("{name} can now view and control the endpoint."));
    }
    if stage.dice.happens(42) {
        acts::record(stage);
    }
}

/// The session is offered to a representative of a team.
fn assign(stage: &mut Stage<'_>, team: usize, rep: usize) {
    let team = people::team_ref(team, stage.at(), stage.now);
    let offered_to = stage.cast.rep(rep).called.clone();
    let event = stage.act(EventType::SessionAssigned, system("System"));
    event.data = data(&[("assigned_to", &offered_to)]);
    event.team = Some(team);
    stage.wait(5, 40);
}

/// The ticket is linked.
pub(super) fn external_key(stage: &mut Stage<'_>) {
    stage.wait(1, 20);
    let key = stage.details.ticket.clone();
    let lead = stage.lead();
    let event = stage.act(EventType::ExternalKey, lead);
    event.data = data(&[("external_key", &key)]);
    event.session = Some(Box::new(SessionContext {
        external_key: Some(key),
        ..SessionContext::default()
    }));
}

/// The conversation, with something unforeseen in its middle.
fn converse(stage: &mut Stage<'_>, plot: Plot) {
    let scripts = words::language(stage.tongue).scripts;
    let of_trouble: Vec<&Script> = scripts
        .iter()
        .filter(|script| script.trouble == stage.trouble)
        .collect();
    let script = *stage.dice.pick(&of_trouble);
    let phrases = stage.phrases();
    let middle = script.beats.len() / 2;
    let mut asked = false;
    for (idx, beat) in script.beats.iter().enumerate() {
        if idx == middle {
            plots::play(stage, plot);
        }
        match beat {
            Beat::Customer(texts) => stage.customer_says(texts),
            Beat::Rep(texts) => stage.lead_says(texts),
            Beat::Do(act) => {
                if !asked {
                    stage.lead_says(phrases.may_i);
                    stage.customer_says(phrases.yes);
                    asked = true;
                }
                acts::perform(stage, *act);
                if stage.dice.happens(10) {
                    stage.lead_says(phrases.hold);
                    stage.customer_says(phrases.waiting);
                }
            }
        }
    }
    if stage.dice.happens(INSPECTED_PERCENT) {
        acts::perform(stage, words::Act::Inspect);
    }
}

/// Thanks, notes and goodbyes.
fn farewell(stage: &mut Stage<'_>) {
    let phrases = stage.phrases();
    if stage.dice.happens(55) {
        stage.lead_says(phrases.anything);
        stage.customer_says(phrases.nothing);
    }
    stage.lead_says(phrases.bye);
    if stage.dice.happens(65) {
        stage.customer_says(phrases.bye_back);
    }
    if stage.dice.happens(65) {
        acts::note(stage);
    }
    if stage.dice.happens(40) {
        surveys::representative(stage);
    }
    stage.wait(2, 40);
    let customer = stage.customer_actor();
    stage.act(EventType::ConferenceMemberDeparted, customer);
    if stage.dice.happens(38) {
        surveys::customer(stage);
    }
}

/// All leave and the session is over.
fn end(stage: &mut Stage<'_>) {
    stage.wait(1, 20);
    while let Some(member) = stage.crew.last().cloned() {
        stage.depart(&member);
    }
    let resolution = problems::problem(stage.trouble).resolution.to_owned();
    let tells = stage.dice.happens(35);
    let event = stage.push(EventType::SessionEnd);
    if tells {
        let (code_name, display_name) = FIELDS[2];
        let custom_attributes = vec![attribute(code_name, display_name, resolution)];
        let context = SessionContext {
            custom_attributes,
            ..SessionContext::default()
        };
        event.session = Some(Box::new(context));
    }
}

/// A customer asks and leaves before anybody comes.
fn abandoned(stage: &mut Stage<'_>) {
    start(stage, None);
    stage.wait(1, 4);
    stage.admit_customer();
    stage.wait(20, 400);
    if stage.dice.happens(60) {
        stage.customer_says(&["hello?", "anybody there?", "???", "👋", "{ticket}"]);
    }
    stage.closing = Some(stage.events.len());
    stage.wait(20, 500);
    let customer = stage.customer_actor();
    stage.act(EventType::ConferenceMemberDeparted, customer);
    stage.push(EventType::SessionEnd);
}

/// A representative works on a machine that nobody sits at.
fn unattended(stage: &mut Stage<'_>, n_rounds: u32) {
    let jump = plots::jump(stage);
    start(stage, Some(jump));
    if stage.dice.happens(40) {
        plots::approval(stage);
    }
    let chosen = stage.find(problems::problem(stage.trouble).team);
    let member = stage.join(chosen);
    stage.put_in_charge(&member);
    stage.wait(1, 10);
    stage.admit_customer();
    if stage.dice.happens(45) {
        plots::credentials(stage);
    }
    let name = member.joined.public_display_name.clone();
    stage.system_says(format!("{name} can now view and control the endpoint."));
    if stage.dice.happens(65) {
        acts::record(stage);
    }
    for round in 0..n_rounds {
        for beat in maintenance().beats {
            let Beat::Do(act) = beat else { continue };
            // What a machine is made of, and its registry, need no second look.
            let once = matches!(act, words::Act::Inspect | words::Act::Registry);
            let share = if once && 0 < round { 3 } else { 55 };
            if stage.dice.happens(share) {
                acts::perform(stage, *act);
            }
        }
    }
    if stage.dice.happens(35) {
        plots::pinned(stage);
    }
    stage.closing = Some(stage.events.len());
    acts::note(stage);
    stage.wait(2, 30);
    let customer = stage.customer_actor();
    stage.act(EventType::ConferenceMemberDeparted, customer);
    end(stage);
}
