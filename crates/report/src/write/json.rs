//! A session as JSON: the vendor's names, lists always lists, numbers as numbers.
//!
//! Made from the XML, so that both always say the same. Elements that no rule knows are carried
//! in a general form: text alone as a string, otherwise an object with `@attribute`, `#text` and
//! children.

use serde_json::{Map, Number, Value};

use crate::element::{Element, Node};

/// How an element becomes JSON.
#[derive(Clone, Copy)]
enum Rule {
    /// Its text.
    Text,
    /// Its text as a number; null when it is empty.
    Number,
    /// `1` and `0` as true and false.
    Flag,
    /// Its text, and a second member with the attribute `timestamp`; null when it is empty.
    Time { timestamp: &'static str },
    /// An object of its attributes and, under this name, its text.
    Named(&'static str),
    /// An object of its attributes and children.
    Object,
    /// A list of its children.
    List,
    /// A list of the texts of its children.
    Texts,
}

/// What is known of elements, by name. `data` and `description` differ by what they hold, and a
/// list treats both alike.
const RULES: &[(&str, Rule)] = &[
    ("session", Rule::Object),
    ("session_type", Rule::Text),
    ("lseq", Rule::Number),
    (
        "start_time",
        Rule::Time {
            timestamp: "start_timestamp",
        },
    ),
    (
        "end_time",
        Rule::Time {
            timestamp: "end_timestamp",
        },
    ),
    ("duration", Rule::Text),
    ("public_site", Rule::Named("name")),
    ("jumpoint", Rule::Named("name")),
    ("external_key", Rule::Text),
    ("custom_attributes", Rule::List),
    ("custom_attribute", Rule::Named("value")),
    ("show_my_screen_recordings", Rule::List),
    ("show_my_screen_recording", Rule::Object),
    ("command_shell_recordings", Rule::List),
    ("command_shell_recording", Rule::Object),
    ("file_transfer_count", Rule::Number),
    ("file_move_count", Rule::Number),
    ("file_delete_count", Rule::Number),
    ("primary_customer", Rule::Named("name")),
    ("jump_group", Rule::Named("name")),
    ("primary_team", Rule::Named("name")),
    ("customer_list", Rule::List),
    ("customer", Rule::Object),
    ("primary_cust", Rule::Flag),
    ("info", Rule::Object),
    ("rep_list", Rule::List),
    ("representative", Rule::Object),
    ("session_owner", Rule::Flag),
    ("seconds_involved", Rule::Number),
    ("invited", Rule::Flag),
    ("team_list", Rule::List),
    ("team", Rule::Named("name")),
    ("cust_survey_list", Rule::List),
    ("cust_exit_survey", Rule::Object),
    ("rep_survey_list", Rule::List),
    ("rep_exit_survey", Rule::Object),
    ("submitted_by", Rule::Named("name")),
    ("question_list", Rule::List),
    ("question", Rule::Object),
    ("answer_list", Rule::Texts),
    ("session_details", Rule::List),
    ("event", Rule::Object),
    ("performed_by", Rule::Named("name")),
    ("destination", Rule::Named("name")),
    ("filesize", Rule::Number),
    ("files", Rule::List),
    ("file", Rule::Object),
    ("system_information", Rule::List),
    ("category", Rule::Object),
    ("description", Rule::List),
    ("data", Rule::List),
    ("value", Rule::Object),
    ("row", Rule::Texts),
    ("field", Rule::Named("text")),
];

/// Attributes that are numbers, and those that are `1` or `0`.
const NUMBERS: &[&str] = &["timestamp", "gsnumber", "instance"];

/// Appends the session as one JSON object, without a line end.
pub(crate) fn json_session(session: &Element, out: &mut Vec<u8>) {
    // Writing a value to a buffer cannot fail: it has no map with keys that are not text.
    serde_json::to_writer(out, &value(session)).expect("a value is always JSON");
}

fn value(element: &Element) -> Value {
    match rule(element) {
        Some(Rule::Text) => Value::String(element.text()),
        Some(Rule::Number | Rule::Time { .. }) => number_or_text(&element.text()),
        Some(Rule::Flag) => flag(&element.text()),
        Some(Rule::Named(name)) => {
            let mut object = attributes(element);
            object.insert(name.into(), Value::String(element.text()));
            Value::Object(object)
        }
        Some(Rule::Object) => object(element),
        Some(Rule::List) => element.elements().map(value).collect(),
        Some(Rule::Texts) => element
            .elements()
            .map(|e| Value::String(e.text()))
            .collect(),
        None => general(element),
    }
}

/// The rule for an element; `primary_rep` is a representative or, inside one, a flag.
fn rule(element: &Element) -> Option<Rule> {
    if element.foreign.is_some() {
        return None;
    }
    if &*element.name == "primary_rep" {
        let is_named = element.attribute("gsnumber").is_some();
        return Some(if is_named {
            Rule::Named("name")
        } else {
            Rule::Flag
        });
    }
    RULES
        .iter()
        .find(|(name, _)| *name == &*element.name)
        .map(|(_, rule)| *rule)
}

fn object(element: &Element) -> Value {
    let mut members = attributes(element);
    for node in &element.children {
        let Node::Element(child) = node else { continue };
        if let Some(Rule::Time { timestamp }) = rule(child) {
            let text = child.text();
            let time = if text.is_empty() {
                Value::Null
            } else {
                Value::String(text)
            };
            members.insert(child.name.to_string(), time);
            let secs = child
                .attribute("timestamp")
                .map_or(Value::Null, number_or_text);
            members.insert(timestamp.into(), secs);
            continue;
        }
        insert(&mut members, &child.name, value(child));
    }
    // Where the vendor's document knows of elements only, as in `file`, text is carried too.
    let text = element.text();
    if !text.is_empty() {
        members.insert("#text".into(), Value::String(text));
    }
    Value::Object(members)
}

/// Adds a member; a name that comes again makes a list of all its values, and a list that comes
/// again is one list.
fn insert(members: &mut Map<String, Value>, name: &str, value: Value) {
    match (members.get_mut(name), value) {
        (None, value) => {
            members.insert(name.into(), value);
        }
        (Some(Value::Array(values)), Value::Array(more)) => values.extend(more),
        (Some(Value::Array(values)), value) => values.push(value),
        (Some(before), value) => {
            let first = before.take();
            *before = Value::Array(vec![first, value]);
        }
    }
}

fn attributes(element: &Element) -> Map<String, Value> {
    let mut members = Map::new();
    for attribute in &element.attributes {
        let value = match &*attribute.name {
            name if NUMBERS.contains(&name) => number_or_text(&attribute.value),
            "primary_team" => flag(&attribute.value),
            _ => Value::String(attribute.value.to_string()),
        };
        members.insert(attribute.name.to_string(), value);
    }
    members
}

fn number_or_text(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    let canonical = text
        .parse::<i64>()
        .ok()
        .filter(|number| number.to_string() == text);
    canonical.map_or_else(
        || Value::String(text.into()),
        |number| Value::Number(Number::from(number)),
    )
}

fn flag(text: &str) -> Value {
    match text {
        "1" => Value::Bool(true),
        "0" => Value::Bool(false),
        other => Value::String(other.into()),
    }
}

fn general(element: &Element) -> Value {
    let is_element = |node: &Node| matches!(node, Node::Element(_));
    let has_children = element.children.iter().any(is_element);
    if !has_children && element.attributes.is_empty() {
        return Value::String(element.text());
    }
    let mut members = Map::new();
    for attribute in &element.attributes {
        members.insert(
            format!("@{}", attribute.name),
            Value::String(attribute.value.to_string()),
        );
    }
    let text = element.text();
    if !text.is_empty() {
        members.insert("#text".into(), Value::String(text));
    }
    for node in &element.children {
        if let Node::Element(child) = node {
            insert(&mut members, &child.name, general(child));
        }
    }
    Value::Object(members)
}
