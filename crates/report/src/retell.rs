//! What the events of a session were, as far as its sealed bytes tell.
//!
//! An archive keeps of a sealed session's events only what this does not say. So for equal bytes it says
//! the same for ever, and with it what reads the bytes: what is changed here makes archives unreadable,
//! which `sealed.bin` and `retold.txt` beside the tests notice. A better way to retell is a second function,
//! and a second number beside the events.

use std::collections::{HashMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use debrief_domain::{
    Actor, ActorKind, At, Body, Category, CodeName, CustomAttribute, Customer, CustomerInfo, Event,
    EventId, EventType, FileEntry, Invitation, Joined, JumpGroup, Lsid, Named, Question, RepId,
    SessionContext, SiteId, Survey, TeamId, TeamRef,
};

use crate::dialect::Dialect;
use crate::element::Element;
use crate::sealed::Sealed;

/// Bytes of a session's text from which on nothing is retold: a tree is made of it.
pub const RETOLD_BYTES_MAX: usize = 1 << 20;

/// The events of a session, in the order of its report, each at the whole second and all with the same
/// id. Bytes that cannot be read tell of none.
pub fn retell(sealed: &[u8]) -> Vec<Event> {
    session(sealed).map_or_else(Vec::new, |(lsid, session)| events(&lsid, &session))
}

fn session(sealed: &[u8]) -> Option<(Lsid, Element)> {
    let sealed = Sealed::parse(sealed).ok()?;
    if RETOLD_BYTES_MAX < sealed.text_len() {
        return None;
    }
    let lsid = Lsid::parse(sealed.lsid).ok()?;
    let parts = sealed.open().ok()?;
    Some((lsid, parts.element(Dialect::NAMESPACE).ok()?))
}

fn events(lsid: &Lsid, session: &Element) -> Vec<Event> {
    let Ok(id) = EventId::parse("0") else {
        return Vec::new();
    };
    let mut told = Told::of(session);
    let list = session.child("session_details").into_iter();
    list.flat_map(|list| list.elements_named("event"))
        .filter_map(|element| {
            let secs = element.attribute("timestamp")?.parse().ok()?;
            let kind = EventType::parse(element.attribute("event_type")?).ok()?;
            let at = At::from_secs(secs).ok()?;
            let mut event = Event::new(id.clone(), lsid.clone(), at, kind);
            add_own(element, &mut event);
            told.add_to(&mut event);
            Some(event)
        })
        .collect()
}

/// What the session tells beside its events and they said first.
struct Told<'a> {
    context: SessionContext,
    /// Who took part, by number.
    customers: HashMap<u32, &'a Element>,
    representatives: HashMap<u32, &'a Element>,
    /// Surveys by who filled them in, in order.
    customer_surveys: HashMap<u32, VecDeque<Survey>>,
    representative_surveys: HashMap<u32, VecDeque<Survey>>,
    /// The team that has the session, and those that come to have it.
    team: Option<TeamRef>,
    teams: VecDeque<TeamRef>,
}

impl<'a> Told<'a> {
    fn of(session: &'a Element) -> Told<'a> {
        let mut teams: VecDeque<TeamRef> = listed(session, "team_list", "team")
            .filter_map(|team| {
                Some(TeamRef {
                    id: TeamId::parse(team.attribute("id")?).ok()?,
                    name: Some(team.text()),
                })
            })
            .collect();
        Told {
            context: context(session),
            customers: by_number(listed(session, "customer_list", "customer")),
            representatives: by_number(listed(session, "rep_list", "representative")),
            customer_surveys: surveys(listed(session, "cust_survey_list", "cust_exit_survey")),
            representative_surveys: surveys(listed(session, "rep_survey_list", "rep_exit_survey")),
            team: teams.pop_front(),
            teams,
        }
    }

    fn add_to(&mut self, event: &mut Event) {
        let by = event.performed_by.as_ref();
        let by = by.map(|by| (by.kind, by.gsnumber));
        match (event.kind, by) {
            (EventType::SessionStart, _) => {
                event.session = Some(Box::new(std::mem::take(&mut self.context)));
                event.team.clone_from(&self.team);
            }
            (EventType::SessionTransferredToQueue, _) => {
                self.team = self.teams.pop_front();
                event.team.clone_from(&self.team);
            }
            (EventType::SessionTransferredAwayFromQueue, _) => {
                event.team = self.teams.front().cloned();
            }
            (EventType::SessionAssigned, _) => event.team.clone_from(&self.team),
            (EventType::ConferenceMemberAdded, Some((ActorKind::Customer, gsnumber))) => {
                let joined = self.customers.get(&gsnumber);
                event.customer = joined.map(|element| Box::new(customer(gsnumber, element)));
            }
            (EventType::ConferenceMemberAdded, Some((ActorKind::Representative, gsnumber))) => {
                let joined = self.representatives.get(&gsnumber);
                let joined = joined.and_then(|element| joined_as(gsnumber, element, &event.data));
                event.representative = joined.map(Box::new);
            }
            (EventType::CustomerExitSurvey, Some((_, gsnumber))) => {
                event.survey = next_of(&mut self.customer_surveys, gsnumber);
            }
            (EventType::RepresentativeExitSurvey, Some((_, gsnumber))) => {
                event.survey = next_of(&mut self.representative_surveys, gsnumber);
            }
            _ => {}
        }
    }
}

fn listed<'a>(
    session: &'a Element,
    list: &str,
    name: &'static str,
) -> impl Iterator<Item = &'a Element> {
    let list = session.child(list).into_iter();
    list.flat_map(move |list| list.elements_named(name))
}

fn number(element: &Element) -> Option<u32> {
    element.attribute("gsnumber")?.parse().ok()
}

fn by_number<'a>(elements: impl Iterator<Item = &'a Element>) -> HashMap<u32, &'a Element> {
    elements
        .filter_map(|element| Some((number(element)?, element)))
        .collect()
}

fn surveys<'a>(elements: impl Iterator<Item = &'a Element>) -> HashMap<u32, VecDeque<Survey>> {
    let mut surveys: HashMap<u32, VecDeque<Survey>> = HashMap::new();
    for element in elements {
        if let Some(gsnumber) = number(element) {
            let of_one = surveys.entry(gsnumber).or_default();
            of_one.push_back(survey(element));
        }
    }
    surveys
}

fn next_of(surveys: &mut HashMap<u32, VecDeque<Survey>>, gsnumber: u32) -> Option<Box<Survey>> {
    surveys.get_mut(&gsnumber)?.pop_front().map(Box::new)
}

fn text(element: &Element, name: &str) -> String {
    element.child(name).map(Element::text).unwrap_or_default()
}

/// A text that stands there as nothing, or as `none`, where it was not given.
fn given(element: &Element, name: &str, none: &str) -> Option<String> {
    Some(text(element, name)).filter(|text| text != none)
}

const UNKNOWN: &str = "Unknown";

fn context(session: &Element) -> SessionContext {
    let site = session.child("public_site").and_then(|site| {
        let id = SiteId::parse(site.attribute("id")?).ok()?;
        Some((id, Some(site.text())))
    });
    let jumpoint = session.child("jumpoint").and_then(|jumpoint| {
        Some(Named {
            id: jumpoint.attribute("id")?.into(),
            name: jumpoint.text(),
        })
    });
    let jump_group = session.child("jump_group").and_then(|group| {
        Some(JumpGroup {
            kind: group.attribute("type")?.into(),
            id: group.attribute("id")?.into(),
            name: group.text(),
        })
    });
    let attributes = listed(session, "custom_attributes", "custom_attribute");
    SessionContext {
        public_site: site,
        jumpoint,
        jump_group,
        external_key: given(session, "external_key", ""),
        custom_attributes: attributes
            .filter_map(|attribute| {
                Some(CustomAttribute {
                    code_name: CodeName::parse(attribute.attribute("code_name")?).ok()?,
                    display_name: attribute.attribute("display_name").map(Into::into),
                    value: attribute.text(),
                })
            })
            .collect(),
    }
}

fn customer(gsnumber: u32, element: &Element) -> Customer {
    let info = element.child("info");
    let info = |name: &str| info.map(|info| text(info, name)).unwrap_or_default();
    Customer {
        gsnumber,
        username: text(element, "username"),
        public_ip: text(element, "public_ip").parse().ok(),
        private_ip: given(element, "private_ip", UNKNOWN),
        hostname: given(element, "hostname", ""),
        os: given(element, "os", UNKNOWN),
        info: CustomerInfo {
            name: info("name"),
            company: info("company"),
            company_code: info("company_code"),
            issue: info("issue"),
            details: info("details"),
        },
    }
}

fn joined_as(gsnumber: u32, element: &Element, data: &[(String, String)]) -> Option<Joined> {
    let teams = data.iter().find(|(name, _)| name == "support_teams");
    let teams = teams.map_or("", |(_, teams)| teams.as_str());
    let invitation = match element.child("invited") {
        Some(_) => Invitation::Invited,
        None => Invitation::Regular,
    };
    Some(Joined {
        gsnumber,
        id: RepId::parse(element.attribute("id")?).ok()?,
        username: text(element, "username"),
        public_display_name: text(element, "public_display_name"),
        private_display_name: text(element, "private_display_name"),
        display_number: text(element, "display_number"),
        public_ip: text(element, "public_ip").parse().ok(),
        private_ip: given(element, "private_ip", UNKNOWN),
        hostname: given(element, "hostname", ""),
        os: given(element, "os", UNKNOWN),
        support_teams: (teams.split(", ").filter(|team| !team.is_empty()))
            .map(Into::into)
            .collect(),
        invitation,
    })
}

fn survey(element: &Element) -> Survey {
    let questions = listed(element, "question_list", "question").map(|question| Question {
        id: question.attribute("id").unwrap_or_default().into(),
        kind: text(question, "type"),
        label: text(question, "label"),
        name: text(question, "name"),
        report_header: text(question, "report_header"),
        answers: listed(question, "answer_list", "answer")
            .map(Element::text)
            .collect(),
    });
    Survey {
        questions: questions.collect(),
    }
}

/// What stands in the event's own element.
fn add_own(element: &Element, event: &mut Event) {
    event.performed_by = element.child("performed_by").and_then(actor);
    event.destination = element.child("destination").and_then(actor);
    event.body = match (element.child("body"), element.child("encoded_body")) {
        (Some(body), _) => Some(Body::Text(body.text())),
        (None, Some(encoded)) => decoded(&encoded.text()).map(Body::Bytes),
        (None, None) => None,
    };
    event.filename = element.child("filename").map(Element::text);
    event.filesize = filesize(element);
    event.files = listed(element, "files", "file")
        .map(|file| FileEntry {
            name: text(file, "filename"),
            size: filesize(file).unwrap_or_default(),
        })
        .collect();
    event.data = listed(element, "data", "value")
        .filter_map(|value| {
            let [name, value] = ["name", "value"].map(|name| value.attribute(name));
            Some((name?.into(), value?.into()))
        })
        .collect();
    event.system_information = listed(element, "system_information", "category")
        .map(category)
        .collect();
}

fn filesize(element: &Element) -> Option<u64> {
    element.child("filesize")?.text().parse().ok()
}

fn actor(element: &Element) -> Option<Actor> {
    Some(Actor {
        kind: ActorKind::parse(element.attribute("type")?)?,
        gsnumber: number(element)?,
        name: Some(element.text()),
    })
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).ok()
}

fn category(category: &Element) -> Category {
    Category {
        name: category.attribute("name").unwrap_or_default().into(),
        fields: listed(category, "description", "field")
            .map(Element::text)
            .collect(),
        rows: listed(category, "data", "row")
            .map(|row| row.elements_named("field").map(Element::text).collect())
            .collect(),
    }
}
