//! The fast way to read an event: straight into the types that it is made of.
//!
//! It knows right from wrong, but not what is wrong. Whatever it does not take goes to
//! [`super::parse`], which names every fault and has the last word; what it takes, that one takes
//! as the same event, as a law in the tests has it.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;

use debrief_domain::limits::{
    CATEGORIES_MAX, CATEGORY_FIELDS_MAX, CATEGORY_ROWS_MAX, CUSTOM_ATTRIBUTES_MAX, EVENT_DATA_MAX,
    EVENT_FILES_MAX, NAME_CHARS_MAX, QUESTION_ANSWERS_MAX, RECORDING_INSTANCES_MAX,
    SURVEY_QUESTIONS_MAX, TEXT_BYTES_MAX,
};
use debrief_domain::{
    Actor, ActorKind, At, Body, Category, CodeName, CustomAttribute, Customer, CustomerInfo, Event,
    EventId, EventType, FileEntry, Invitation, Joined, JumpGroup, Lsid, Named, Question, Recording,
    RecordingKind, RepId, SessionContext, SiteId, Survey, TeamId, TeamRef,
};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{address, base64, fraction, moment};
use crate::wire::shape::{PAIR_NAME_CHARS_MAX, PAIR_VALUE_BYTES_MAX};

/// The event that a JSON text tells of; none where [`super::parse`] must look at it.
pub(crate) fn parse(text: &[u8]) -> Option<Event> {
    // Looked at once as a whole, no text in it need be looked at again.
    let text = std::str::from_utf8(text).ok()?;
    serde_json::from_str::<Object<EventIn>>(text)
        .ok()?
        .0
        .event()
}

/// What few events have is in boxes: the rest moves faster.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventIn {
    id: Parsed<EventId>,
    lsid: Parsed<Lsid>,
    time: Time,
    r#type: Parsed<EventType>,
    performed_by: Option<Object<ActorIn>>,
    destination: Option<Object<ActorIn>>,
    body: Option<Long>,
    body_base64: Option<Parsed<Bytes>>,
    filename: Option<Name>,
    filesize: Option<Size>,
    files: Option<List<Object<FileIn>, EVENT_FILES_MAX>>,
    data: Option<Pairs>,
    system_information: Option<List<Object<CategoryIn>, CATEGORIES_MAX>>,
    session: Option<Box<Object<SessionIn>>>,
    customer: Option<Box<Object<CustomerIn>>>,
    representative: Option<Box<Object<JoinedIn>>>,
    team: Option<Object<Reference<TeamId>>>,
    survey: Option<Object<SurveyIn>>,
    recording: Option<Object<RecordingIn>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActorIn {
    r#type: Parsed<ActorKind>,
    gsnumber: Option<u32>,
    name: Option<Name>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIn {
    name: Name,
    size: Option<Size>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CategoryIn {
    category: Name,
    fields: List<Name, CATEGORY_FIELDS_MAX>,
    rows: Option<List<List<Name, CATEGORY_FIELDS_MAX>, CATEGORY_ROWS_MAX>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionIn {
    public_site: Option<Object<Reference<SiteId>>>,
    jumpoint: Option<Object<NamedIn>>,
    jump_group: Option<Object<JumpGroupIn>>,
    external_key: Option<Name>,
    custom_attributes: Option<List<Object<CustomAttributeIn>, CUSTOM_ATTRIBUTES_MAX>>,
}

/// Something of the directory, by its id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "T: FromText")]
struct Reference<T> {
    id: Parsed<T>,
    name: Option<Name>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedIn {
    id: Name,
    name: Option<Name>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JumpGroupIn {
    r#type: Option<Name>,
    id: Name,
    name: Option<Name>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomAttributeIn {
    code_name: Parsed<CodeName>,
    display_name: Option<Name>,
    value: Long,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomerIn {
    gsnumber: u32,
    username: Option<Name>,
    public_ip: Option<Parsed<Address>>,
    private_ip: Option<Name>,
    hostname: Option<Name>,
    os: Option<Name>,
    info: Option<Object<CustomerInfoIn>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomerInfoIn {
    name: Option<Name>,
    company: Option<Name>,
    company_code: Option<Name>,
    issue: Option<Name>,
    details: Option<Long>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoinedIn {
    gsnumber: u32,
    id: Parsed<RepId>,
    username: Option<Name>,
    public_display_name: Option<Name>,
    private_display_name: Option<Name>,
    display_number: Option<Name>,
    public_ip: Option<Parsed<Address>>,
    private_ip: Option<Name>,
    hostname: Option<Name>,
    os: Option<Name>,
    support_teams: Option<List<Name, CUSTOM_ATTRIBUTES_MAX>>,
    invited: Option<Flag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SurveyIn {
    questions: List<Object<QuestionIn>, SURVEY_QUESTIONS_MAX>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuestionIn {
    id: Name,
    r#type: Option<Name>,
    label: Option<Long>,
    name: Option<Name>,
    report_header: Option<Name>,
    answers: Option<List<Long, QUESTION_ANSWERS_MAX>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordingIn {
    kind: Parsed<RecordingKind>,
    instance: Option<u32>,
}

impl EventIn {
    fn event(self) -> Option<Event> {
        let mut event = Event::new(self.id.0, self.lsid.0, self.time.0, self.r#type.0);
        let actor =
            |actor: Option<Object<ActorIn>>| actor.map(|actor| actor.0.actor()).transpose().ok();
        event.performed_by = actor(self.performed_by)?;
        event.destination = actor(self.destination)?;
        event.body = match (self.body, self.body_base64) {
            (Some(_), Some(_)) => return None,
            (Some(text), None) => Some(Body::Text(text.0)),
            (None, Some(bytes)) => Some(Body::Bytes(bytes.0.0)),
            (None, None) => None,
        };
        event.filename = self.filename.map(|name| name.0);
        event.filesize = self.filesize.map(|size| size.0);
        event.files = mapped(self.files, |Object(file)| FileEntry {
            name: file.name.0,
            size: file.size.map_or(0, |size| size.0),
        });
        event.data = self.data.map(|pairs| pairs.0).unwrap_or_default();
        for category in self.system_information.into_iter().flat_map(|list| list.0) {
            event.system_information.push(category.0.category()?);
        }
        event.session = self.session.map(|session| Box::new(session.0.context()));
        event.customer = self
            .customer
            .map(|customer| Box::new(customer.0.customer()));
        event.representative = self
            .representative
            .map(|joined| Box::new(joined.0.joined()));
        event.team = self.team.map(|Object(team)| TeamRef {
            id: team.id.0,
            name: team.name.map(|name| name.0),
        });
        event.survey = self.survey.map(|survey| Box::new(survey.0.survey()));
        event.recording = match self.recording {
            Some(recording) => Some(recording.0.recording()?),
            None => None,
        };
        Some(event)
    }
}

fn mapped<T, U, const MAX: usize>(list: Option<List<T, MAX>>, map: impl Fn(T) -> U) -> Vec<U> {
    list.map(|list| list.0.into_iter().map(map).collect())
        .unwrap_or_default()
}

fn text(name: Option<Name>) -> Option<String> {
    name.map(|name| name.0)
}

fn or_empty(name: Option<Name>) -> String {
    text(name).unwrap_or_default()
}

/// A party that must be findable by its number, and has none.
struct Unnumbered;

impl ActorIn {
    fn actor(self) -> Result<Actor, Unnumbered> {
        let kind = self.r#type.0;
        let gsnumber = match (kind, self.gsnumber) {
            (_, Some(gsnumber)) => gsnumber,
            (ActorKind::System | ActorKind::Everyone, None) => 0,
            (ActorKind::Customer | ActorKind::Representative, None) => return Err(Unnumbered),
        };
        Ok(Actor {
            kind,
            gsnumber,
            name: text(self.name),
        })
    }
}

impl CategoryIn {
    fn category(self) -> Option<Category> {
        let fields: Vec<String> = self.fields.0.into_iter().map(|name| name.0).collect();
        let cells = |row: List<Name, CATEGORY_FIELDS_MAX>| -> Vec<String> {
            row.0.into_iter().map(|cell| cell.0).collect()
        };
        let rows = mapped(self.rows, cells);
        let is_table = rows.iter().all(|row| row.len() <= fields.len());
        is_table.then_some(Category {
            name: self.category.0,
            fields,
            rows,
        })
    }
}

impl SessionIn {
    fn context(self) -> SessionContext {
        SessionContext {
            public_site: self
                .public_site
                .map(|Object(site)| (site.id.0, text(site.name))),
            jumpoint: self.jumpoint.map(|Object(jumpoint)| Named {
                id: jumpoint.id.0,
                name: or_empty(jumpoint.name),
            }),
            jump_group: self.jump_group.map(|Object(group)| JumpGroup {
                kind: text(group.r#type).unwrap_or_else(|| "shared".into()),
                id: group.id.0,
                name: or_empty(group.name),
            }),
            external_key: text(self.external_key),
            custom_attributes: mapped(self.custom_attributes, |Object(attribute)| {
                CustomAttribute {
                    code_name: attribute.code_name.0,
                    display_name: text(attribute.display_name),
                    value: attribute.value.0,
                }
            }),
        }
    }
}

impl CustomerIn {
    fn customer(self) -> Customer {
        let info = self.info.map(|Object(info)| CustomerInfo {
            name: or_empty(info.name),
            company: or_empty(info.company),
            company_code: or_empty(info.company_code),
            issue: or_empty(info.issue),
            details: info.details.map(|details| details.0).unwrap_or_default(),
        });
        Customer {
            gsnumber: self.gsnumber,
            username: or_empty(self.username),
            public_ip: self.public_ip.and_then(|address| address.0.0),
            private_ip: text(self.private_ip),
            hostname: text(self.hostname),
            os: text(self.os),
            info: info.unwrap_or_default(),
        }
    }
}

impl JoinedIn {
    fn joined(self) -> Joined {
        let username = or_empty(self.username);
        let private = text(self.private_display_name).unwrap_or_else(|| username.clone());
        Joined {
            gsnumber: self.gsnumber,
            id: self.id.0,
            public_display_name: text(self.public_display_name).unwrap_or_else(|| private.clone()),
            private_display_name: private,
            username,
            display_number: or_empty(self.display_number),
            public_ip: self.public_ip.and_then(|address| address.0.0),
            private_ip: text(self.private_ip),
            hostname: text(self.hostname),
            os: text(self.os),
            support_teams: mapped(self.support_teams, |name| name.0),
            invitation: match self.invited {
                Some(Flag(true)) => Invitation::Invited,
                Some(Flag(false)) | None => Invitation::Regular,
            },
        }
    }
}

impl SurveyIn {
    fn survey(self) -> Survey {
        let question = |Object(question): Object<QuestionIn>| Question {
            id: question.id.0,
            kind: or_empty(question.r#type),
            label: question.label.map(|label| label.0).unwrap_or_default(),
            name: or_empty(question.name),
            report_header: or_empty(question.report_header),
            answers: mapped(question.answers, |answer| answer.0),
        };
        Survey {
            questions: self.questions.0.into_iter().map(question).collect(),
        }
    }
}

impl RecordingIn {
    fn recording(self) -> Option<Recording> {
        let instance = self.instance.unwrap_or(0);
        (instance < RECORDING_INSTANCES_MAX).then_some(Recording {
            kind: self.kind.0,
            instance,
        })
    }
}

/// An object, and not a list of its members' values, which a derived form would take as well.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// Something made of a text.
struct Parsed<T>(T);

/// What can be made of a text, or not.
trait FromText: Sized {
    fn from_text(text: &str) -> Option<Self>;
}

macro_rules! from_text {
    ($($type:ident),*) => {
        $(impl FromText for $type {
            fn from_text(text: &str) -> Option<Self> {
                $type::parse(text).ok()
            }
        })*
    };
}

from_text!(EventId, Lsid, EventType, RepId, SiteId, TeamId, CodeName);

impl FromText for ActorKind {
    fn from_text(text: &str) -> Option<Self> {
        ActorKind::parse(text)
    }
}

impl FromText for RecordingKind {
    fn from_text(text: &str) -> Option<Self> {
        RecordingKind::parse(text)
    }
}

/// A public address; none where it says that it is not known.
struct Address(Option<SocketAddr>);

impl FromText for Address {
    fn from_text(text: &str) -> Option<Self> {
        address(text).ok().map(Address)
    }
}

struct Bytes(Vec<u8>);

impl FromText for Bytes {
    fn from_text(text: &str) -> Option<Self> {
        base64(text).ok().map(Bytes)
    }
}

impl<'de, T: FromText> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parsed<T>, D::Error> {
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromText> Visitor<'_> for TextVisitor<T> {
    type Value = Parsed<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Parsed<T>, E> {
        T::from_text(text).map(Parsed).ok_or_else(|| other())
    }
}

/// For whatever is not taken here: nobody reads why.
fn other<E: Error>() -> E {
    E::custom("another way must be tried")
}

/// Text of at most [`NAME_CHARS_MAX`] characters.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        let text = String::deserialize(deserializer)?;
        if NAME_CHARS_MAX < text.len() && text.chars().nth(NAME_CHARS_MAX).is_some() {
            return Err(other());
        }
        Ok(Name(text))
    }
}

/// Text of at most [`TEXT_BYTES_MAX`] bytes.
struct Long(String);

impl<'de> Deserialize<'de> for Long {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Long, D::Error> {
        let text = String::deserialize(deserializer)?;
        if TEXT_BYTES_MAX < text.len() {
            return Err(other());
        }
        Ok(Long(text))
    }
}

/// A length in bytes that the archive can keep.
struct Size(u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        let size = u64::deserialize(deserializer)?;
        if size > i64::MAX as u64 {
            return Err(other());
        }
        Ok(Size(size))
    }
}

/// A moment.
struct Time(At);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        deserializer.deserialize_any(TimeVisitor)
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Time;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a moment")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
        moment(text).map(Time).map_err(|_| other())
    }

    fn visit_u64<E: Error>(self, secs: u64) -> Result<Time, E> {
        let secs = i64::try_from(secs).map_err(|_| other())?;
        At::from_secs(secs).map(Time).map_err(|_| other())
    }

    fn visit_f64<E: Error>(self, secs: f64) -> Result<Time, E> {
        fraction(secs).map(Time).map_err(|_| other())
    }
}

/// True or false, or 1 or 0.
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flag, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Bool(flag) => Ok(Flag(flag)),
            serde_json::Value::Number(number) => match number.as_u64() {
                Some(0) => Ok(Flag(false)),
                Some(1) => Ok(Flag(true)),
                Some(_) | None => Err(other()),
            },
            _ => Err(other()),
        }
    }
}

/// At most so many of the same.
struct List<T, const MAX: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List<T, MAX>, D::Error> {
        let list = Vec::<T>::deserialize(deserializer)?;
        if MAX < list.len() {
            return Err(other());
        }
        Ok(List(list))
    }
}

/// An object of texts, or a list of lists of a name and a value.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
        deserializer.deserialize_any(PairsVisitor)
    }
}

struct PairsVisitor;

impl PairsVisitor {
    fn add<E: Error>(pairs: &mut Pairs, pair: (String, String)) -> Result<(), E> {
        let (name, value) = &pair;
        let is_short = name.len() <= PAIR_NAME_CHARS_MAX && value.len() <= PAIR_VALUE_BYTES_MAX;
        if !is_short || EVENT_DATA_MAX <= pairs.0.len() {
            return Err(other());
        }
        pairs.0.push(pair);
        Ok(())
    }
}

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("pairs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Pairs(Vec::new());
        while let Some(pair) = map.next_entry::<String, String>()? {
            // Of a name that is there twice an object has one value; which, is not for here.
            if pairs.0.iter().any(|(name, _)| *name == pair.0) {
                return Err(other());
            }
            PairsVisitor::add(&mut pairs, pair)?;
        }
        Ok(pairs)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Pairs, A::Error> {
        let mut pairs = Pairs(Vec::new());
        while let Some(pair) = list.next_element::<(String, String)>()? {
            PairsVisitor::add(&mut pairs, pair)?;
        }
        Ok(pairs)
    }
}
