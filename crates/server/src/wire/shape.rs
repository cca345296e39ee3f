//! What JSON must look like, as a table: the check that names every fault, and the schema in the
//! OpenAPI document, are views of it.

use serde_json::{Map, Value, json};

/// What a value may be.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// Text of at most so many characters.
    Text(usize),
    /// Text of at most so many bytes.
    LongText(usize),
    /// Text that a parser takes, or says why not.
    Parsed {
        check: fn(&str) -> Result<(), String>,
        chars_max: usize,
    },
    /// One of these words.
    Word(fn() -> Vec<&'static str>, fn(&str) -> Result<(), String>),
    /// A whole number up to this one.
    Number(u64),
    /// True or false, or 1 or 0.
    Flag,
    /// RFC 3339 with an offset, or UNIX seconds.
    Time,
    /// An object with these members.
    Object(&'static [Member]),
    /// At most so many of the same.
    List(&'static Shape, usize),
    /// An object whose members are texts, or a list of such pairs; at most so many.
    Pairs(usize),
}

/// A member of an object.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) presence: Presence,
}

/// Whether a member must be there. A member that is null is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
}

/// A member that must be there.
pub(crate) const fn required(name: &'static str, shape: Shape) -> Member {
    Member {
        name,
        shape,
        presence: Presence::Required,
    }
}

/// A member that may be there.
pub(crate) const fn optional(name: &'static str, shape: Shape) -> Member {
    Member {
        name,
        shape,
        presence: Presence::Optional,
    }
}

/// One fault of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where, such as `customer.public_ip`.
    pub(crate) field: String,
    /// What kind of fault, in one word.
    pub(crate) code: &'static str,
    /// What is wrong, to be read after the field.
    pub(crate) message: String,
}

/// Where a value stands. It becomes text only where there is a fault.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// The whole value.
    Root,
    /// A member of an object.
    Member(&'a Place<'a>, &'a str),
    /// An entry of a list.
    Entry(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn text(&self) -> String {
        match self {
            Place::Root => String::new(),
            Place::Member(Place::Root, name) => (*name).to_owned(),
            Place::Member(of, name) => format!("{}.{name}", of.text()),
            Place::Entry(of, idx) => format!("{}[{idx}]", of.text()),
        }
    }
}

/// Faults of one value that are told; the rest would only repeat them.
const FAULTS_MAX: usize = 100;

/// Checks a value against a shape, and notes every fault.
pub(crate) fn check(value: &Value, shape: Shape, place: &Place<'_>, faults: &mut Vec<Fault>) {
    if FAULTS_MAX <= faults.len() {
        return;
    }
    let mut fault = |code, message: String| {
        faults.push(Fault {
            field: place.text(),
            code,
            message,
        });
    };
    match (shape, value) {
        (Shape::Text(max), Value::String(text)) => {
            // No text has more characters than bytes.
            if max < text.len() && text.chars().nth(max).is_some() {
                fault("length", format!("is longer than {max} characters"));
            }
        }
        (Shape::LongText(max), Value::String(text)) => {
            if max < text.len() {
                fault("length", format!("is longer than {max} bytes"));
            }
        }
        (Shape::Parsed { check, .. } | Shape::Word(_, check), Value::String(text)) => {
            if let Err(message) = check(text) {
                fault("format", message);
            }
        }
        (Shape::Number(max), Value::Number(number)) => match number.as_u64() {
            Some(number) if number <= max => {}
            Some(_) => fault("range", format!("is more than {max}")),
            None => fault("type", "must be a whole number of 0 or more".into()),
        },
        (Shape::Flag, Value::Bool(_)) => {}
        (Shape::Flag, Value::Number(number)) if matches!(number.as_u64(), Some(0 | 1)) => {}
        (Shape::Time, Value::String(_) | Value::Number(_)) => {
            if let Err(message) = super::event::time(value) {
                fault("format", message);
            }
        }
        (Shape::Object(members), Value::Object(object)) => {
            check_object(object, members, place, faults);
        }
        (Shape::List(of, max), Value::Array(values)) => {
            if max < values.len() {
                fault(
                    "count",
                    format!("has {} entries, more than {max}", values.len()),
                );
                return;
            }
            for (idx, value) in values.iter().enumerate() {
                check(value, *of, &Place::Entry(place, idx), faults);
            }
        }
        (Shape::Pairs(max), Value::Object(_) | Value::Array(_)) => match pairs(value) {
            Ok(pairs) if max < pairs.len() => {
                fault(
                    "count",
                    format!("has {} entries, more than {max}", pairs.len()),
                );
            }
            Ok(pairs) => {
                for (name, value) in &pairs {
                    if PAIR_NAME_CHARS_MAX < name.chars().count() {
                        fault(
                            "length",
                            format!("has a name of more than {PAIR_NAME_CHARS_MAX} characters"),
                        );
                    }
                    if PAIR_VALUE_BYTES_MAX < value.len() {
                        fault(
                            "length",
                            format!("has a value of more than {PAIR_VALUE_BYTES_MAX} bytes"),
                        );
                    }
                }
            }
            Err(message) => fault("type", message),
        },
        (shape, _) => fault("type", format!("must be {}", shape.words())),
    }
}

/// Characters of a pair's name.
pub(crate) const PAIR_NAME_CHARS_MAX: usize = 256;
/// Bytes of a pair's value.
pub(crate) const PAIR_VALUE_BYTES_MAX: usize = 1 << 16;

fn check_object(
    object: &Map<String, Value>,
    members: &[Member],
    place: &Place<'_>,
    faults: &mut Vec<Fault>,
) {
    let mut n_known = 0;
    for member in members {
        let found = object.get(member.name);
        n_known += usize::from(found.is_some());
        let place = Place::Member(place, member.name);
        match found {
            None | Some(Value::Null) if member.presence == Presence::Required => {
                let message = "is required".into();
                faults.push(Fault {
                    field: place.text(),
                    code: "required",
                    message,
                });
            }
            None | Some(Value::Null) => {}
            Some(value) => check(value, member.shape, &place, faults),
        }
    }
    if n_known == object.len() {
        return;
    }
    for name in object.keys() {
        if FAULTS_MAX <= faults.len() {
            return;
        }
        if members.iter().all(|member| member.name != name) {
            let names: Vec<&str> = members.iter().map(|member| member.name).collect();
            let shown: String = name.chars().take(40).collect();
            let message = format!("is not known; known are {}", names.join(", "));
            faults.push(Fault {
                field: Place::Member(place, &shown).text(),
                code: "unknown",
                message,
            });
        }
    }
}

/// The pairs of an object, or of a list of lists of two texts.
pub(crate) fn pairs(value: &Value) -> Result<Vec<(String, String)>, String> {
    const EXPECTED: &str = "must be an object of texts, or a list of lists of a name and a value";
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(EXPECTED.to_owned());
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| Ok((name.clone(), text(value)?)))
            .collect(),
        Value::Array(values) => values
            .iter()
            .map(|pair| match pair.as_array().map(Vec::as_slice) {
                Some([name, value]) => Ok((text(name)?, text(value)?)),
                Some(_) | None => Err(EXPECTED.to_owned()),
            })
            .collect(),
        _ => Err(EXPECTED.to_owned()),
    }
}

impl Shape {
    fn words(self) -> &'static str {
        match self {
            Shape::Text(_) | Shape::LongText(_) | Shape::Parsed { .. } | Shape::Word(..) => "text",
            Shape::Number(_) => "a whole number of 0 or more",
            Shape::Flag => "true or false",
            Shape::Time => "a time: RFC 3339 with an offset, or UNIX seconds",
            Shape::Object(_) => "an object",
            Shape::List(..) => "a list",
            Shape::Pairs(_) => "an object of texts, or a list of lists of a name and a value",
        }
    }

    /// The shape as a JSON Schema.
    pub(crate) fn schema(self) -> Value {
        match self {
            Shape::Text(max) => json!({ "type": "string", "maxLength": max }),
            // A schema counts characters, and none takes less than a byte.
            Shape::LongText(max) => json!({ "type": "string", "maxLength": max }),
            Shape::Parsed { chars_max, .. } => json!({ "type": "string", "maxLength": chars_max }),
            Shape::Word(words, _) => json!({ "type": "string", "enum": words() }),
            Shape::Number(max) => json!({ "type": "integer", "minimum": 0, "maximum": max }),
            Shape::Flag => json!({ "oneOf": [
                { "type": "boolean" },
                { "type": "integer", "minimum": 0, "maximum": 1 },
            ] }),
            Shape::Time => json!({ "oneOf": [
                { "type": "string", "format": "date-time" },
                { "type": "number", "minimum": 0, "maximum": 253_402_207_200_u64 },
            ] }),
            Shape::Object(members) => {
                let properties: Map<String, Value> = members
                    .iter()
                    .map(|member| (member.name.to_owned(), member.shape.schema()))
                    .collect();
                let required: Vec<&str> = members
                    .iter()
                    .filter(|member| member.presence == Presence::Required)
                    .map(|member| member.name)
                    .collect();
                let mut schema = json!({
                    "type": "object",
                    "properties": properties,
                    "additionalProperties": false,
                });
                if !required.is_empty() {
                    schema["required"] = json!(required);
                }
                schema
            }
            Shape::List(of, max) => {
                json!({ "type": "array", "items": of.schema(), "maxItems": max })
            }
            Shape::Pairs(max) => json!({ "oneOf": [
                {
                    "type": "object",
                    "additionalProperties": { "type": "string" },
                    "maxProperties": max,
                },
                {
                    "type": "array",
                    "items": {
                        "type": "array",
                        "items": { "type": "string" },
                        "minItems": 2,
                        "maxItems": 2,
                    },
                    "maxItems": max,
                },
            ] }),
        }
    }
}
