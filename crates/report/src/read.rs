//! Reads `session_list` documents of any size, one session at a time.
//!
//! Memory is bounded by the limits below, whatever the document says. A document type, a foreign
//! entity, a wrong encoding or anything not well-formed is refused with line and column.

mod download;
mod imported;
mod source;

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::BufRead;
use std::sync::Arc;

use compact_str::CompactString;
use memchr::{memchr, memchr2};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event, attributes};
use quick_xml::name::{NamespaceResolver, PrefixDeclaration, QName, ResolveResult};
use quick_xml::reader::Reader;

use crate::element::{Attribute, Element, Node};
use crate::write::{is_surely_xml_text, is_xml_char, is_xml_text};

pub use download::{Download, downloads};
pub use imported::Imported;
pub(crate) use imported::{owners, seconds, site, teams};
pub use source::Position;
use source::Source;

/// The limits on a document.
pub mod limits {
    /// Bytes of one tag, text or other token.
    pub const TOKEN_BYTES_MAX: u64 = 16 << 20;
    /// Bytes of one session.
    pub const SESSION_BYTES_MAX: u64 = 128 << 20;
    /// Elements in one session.
    pub const SESSION_ELEMENTS_MAX: u64 = 4_000_000;
    /// Elements around an element, and itself.
    pub const DEPTH_MAX: usize = 64;
    /// Attributes of one element.
    pub const ATTRIBUTES_MAX: usize = 256;
}
use limits::*;

/// Why a document was refused, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {}, column {}: {message}", position.line, position.column)]
pub struct ReadError {
    /// Where the faulty token begins.
    pub position: Position,
    /// What is wrong with it.
    pub message: String,
    /// Whether the document says itself that something went wrong.
    pub told: Told,
}

/// Whether a faulty document is an answer that tells of an error, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It tells of none: it is broken.
    Nothing,
    /// Its root is this error.
    AsRoot(String),
    /// Its list holds this error.
    InList(String),
}

/// What one reader takes at most.
#[derive(Clone, Copy)]
struct Bounds {
    token_bytes: u64,
    session_bytes: u64,
    session_elements: u64,
}

/// For documents from outside.
const FOREIGN: Bounds = Bounds {
    token_bytes: TOKEN_BYTES_MAX,
    session_bytes: SESSION_BYTES_MAX,
    session_elements: SESSION_ELEMENTS_MAX,
};

/// For what Debrief wrote itself: the archive's own limits have bounded it already.
const OWN: Bounds = Bounds {
    token_bytes: u64::MAX,
    session_bytes: u64::MAX,
    session_elements: u64::MAX,
};

/// Reads sessions out of a document.
pub struct SessionReader<R> {
    xml: Reader<Source<R>>,
    resolver: NamespaceResolver,
    /// Of each open element, whether it may declare namespaces.
    scopes: Vec<Scope>,
    buffer: Vec<u8>,
    stage: Stage,
    namespaces: Namespaces,
    namespace_out: String,
    passed_over: u64,
    bounds: Bounds,
    kind: Kind,
}

/// What a document lists: the names of its root and of what it is read for.
#[derive(Clone, Copy)]
struct Kind {
    root: &'static str,
    item: &'static str,
}

const SESSIONS: Kind = Kind {
    root: "session_list",
    item: "session",
};
const SUMMARIES: Kind = Kind {
    root: "session_summary_list",
    item: "session_summary",
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Prolog,
    Root,
    Epilog,
    Done,
}

impl<R: BufRead> SessionReader<R> {
    /// A reader of one document. `namespace` is what the report calls its own elements; it is
    /// needed where a foreign element has one of them in it.
    pub fn new(reader: R, namespace: &str) -> SessionReader<R> {
        let mut xml = Reader::from_reader(Source::new(reader));
        xml.config_mut().check_comments = true;
        xml.config_mut().expand_empty_elements = true;
        SessionReader {
            xml,
            resolver: NamespaceResolver::default(),
            scopes: Vec::new(),
            buffer: Vec::new(),
            stage: Stage::Prolog,
            namespaces: Namespaces::default(),
            namespace_out: namespace.into(),
            passed_over: 0,
            bounds: FOREIGN,
            kind: SESSIONS,
        }
    }

    /// A reader of a `SupportSessionListing`: [`SessionReader::next_element`] gives its summaries.
    pub fn of_listing(reader: R, namespace: &str) -> SessionReader<R> {
        let mut reader = SessionReader::new(reader, namespace);
        reader.kind = SUMMARIES;
        reader
    }

    /// Elements beside sessions that were passed over: nothing of a report stands there.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Bytes read so far.
    pub fn n_bytes(&self) -> u64 {
        self.xml.get_ref().n_bytes()
    }

    /// The next session; none at the end of a whole document.
    pub fn next_session(&mut self) -> Result<Option<Imported>, ReadError> {
        let Some((element, position)) = self.next_session_at()? else {
            return Ok(None);
        };
        let imported = Imported::new(element, &self.namespace_out);
        let refuse = |message| broken(position, message);
        imported.map(Some).map_err(refuse)
    }

    /// The next session as it stands in the document, and nothing of it believed; none at the
    /// end of a whole document.
    pub fn next_element(&mut self) -> Result<Option<Element>, ReadError> {
        Ok(self.next_session_at()?.map(|(element, _)| element))
    }

    fn next_session_at(&mut self) -> Result<Option<(Element, Position)>, ReadError> {
        if self.stage == Stage::Done {
            return Ok(None);
        }
        loop {
            let token = self.token(self.bounds.token_bytes)?;
            match (self.stage, token) {
                (_, Token::DocType) => return Err(self.error("a document type is not accepted")),
                (Stage::Prolog, Token::Start(root)) if root.is_own(self.kind.root) => {
                    self.stage = Stage::Root;
                }
                (Stage::Prolog, Token::Start(root)) if root.is_own("error") => {
                    let text = self.element(root)?.text();
                    let message = format!("the document is an error answer: {text}");
                    return Err(ReadError {
                        told: Told::AsRoot(text),
                        ..self.error(&message)
                    });
                }
                (Stage::Prolog, Token::Start(root)) => {
                    let name = &root.name;
                    let expected = self.kind.root;
                    let message = format!("expected the root `{expected}`, found `{name}`");
                    return Err(self.error(&message));
                }
                (Stage::Root, Token::Start(session)) if session.is_own(self.kind.item) => {
                    let position = self.position();
                    return Ok(Some((self.element(session)?, position)));
                }
                (Stage::Root, Token::Start(error)) if error.is_own("error") => {
                    let position = self.position();
                    let text = self.element(error)?.text();
                    let message = format!("the document holds an error answer: {text}");
                    return Err(ReadError {
                        told: Told::InList(text),
                        ..broken(position, message)
                    });
                }
                (Stage::Root, Token::Start(other)) => {
                    self.element(other)?;
                    self.passed_over += 1;
                }
                (Stage::Root, Token::End) => self.stage = Stage::Epilog,
                (Stage::Epilog, Token::Start(..)) => {
                    return Err(self.error("a second root element"));
                }
                (_, Token::Text(text)) if text.trim_ascii().is_empty() => {}
                (_, Token::Text(_)) => return Err(self.error("text outside of a session")),
                (Stage::Prolog, Token::Eof) => return Err(self.error("the document is empty")),
                (Stage::Root, Token::Eof) => {
                    return Err(
                        self.error(&format!("the document ends before `</{}>`", self.kind.root))
                    );
                }
                (Stage::Epilog | Stage::Done, Token::Eof) => {
                    self.stage = Stage::Done;
                    return Ok(None);
                }
                (_, Token::Nothing) => {}
                (Stage::Prolog | Stage::Epilog | Stage::Done, Token::End)
                | (Stage::Done, Token::Start(..)) => {
                    return Err(self.error("an end tag without its start tag"));
                }
            }
        }
    }

    /// The rest of an element whose start tag has been read. A stack, not recursion, and bounded.
    fn element(&mut self, start: Element) -> Result<Element, ReadError> {
        let begin = self.n_bytes();
        let mut open = vec![start];
        let mut n_elements = 1;
        loop {
            let left = begin
                .saturating_add(self.bounds.session_bytes)
                .saturating_sub(self.n_bytes());
            if left == 0 {
                let message = format!("the session is longer than {SESSION_BYTES_MAX} bytes");
                return Err(self.error(&message));
            }
            match self.token(left.min(self.bounds.token_bytes))? {
                Token::Start(element) => {
                    // The root is open too.
                    if DEPTH_MAX <= open.len() + 1 {
                        return Err(self.error(&format!("more than {DEPTH_MAX} nested elements")));
                    }
                    n_elements += 1;
                    if self.bounds.session_elements < n_elements {
                        let message = format!("more than {SESSION_ELEMENTS_MAX} elements");
                        return Err(self.error(&message));
                    }
                    open.push(element);
                }
                Token::Text(text) => {
                    let Some(parent) = open.last_mut() else {
                        continue;
                    };
                    match parent.children.last_mut() {
                        Some(Node::Text(before)) => before.push_str(&text),
                        Some(Node::Element(_)) => parent.children.push(Node::Text(text)),
                        None => {
                            // Most elements with text have nothing else.
                            parent.children.reserve_exact(1);
                            parent.children.push(Node::Text(text));
                        }
                    }
                }
                Token::End => {
                    let Some(mut element) = open.pop() else {
                        continue;
                    };
                    element.drop_insignificant_space();
                    match open.last_mut() {
                        Some(parent) => parent.children.push(Node::Element(element)),
                        None => return Ok(element),
                    }
                }
                Token::Eof => {
                    let name = open.last().map_or("", |element| &element.name);
                    return Err(self.error(&format!("the document ends inside `{name}`")));
                }
                Token::DocType => return Err(self.error("a document type is not accepted")),
                Token::Nothing => {}
            }
        }
    }

    /// The next token of at most `bytes_max` bytes, checked and owned.
    fn token(&mut self, bytes_max: u64) -> Result<Token, ReadError> {
        self.buffer.clear();
        self.xml.get_mut().begin_token(bytes_max);
        self.next_token()
            .map_err(|message| broken(self.position(), message))
    }

    fn next_token(&mut self) -> Result<Token, String> {
        let is_first = self.xml.get_ref().is_first();
        let event = match self.xml.read_event_into(&mut self.buffer) {
            Ok(event) => event,
            Err(error) => return Err(sentence(&error)),
        };
        let checked = |text: &str| match is_xml_text(text) {
            true => Ok(Token::Text(text.into())),
            false => Err("a character that XML 1.0 does not permit".into()),
        };
        match event {
            Event::Start(tag) => {
                let (out, stage) = (&*self.namespace_out, self.stage);
                let namespaces = &mut self.namespaces;
                let element = if let Some(element) = plain(&tag) {
                    self.scopes.push(Scope::Same);
                    namespaces.add_to(element, &self.resolver, out, stage)
                } else {
                    let pushed = self.resolver.push(&tag);
                    pushed.map_err(|error| sentence(&error.into()))?;
                    self.scopes.push(Scope::Own);
                    start(&tag, &self.resolver, namespaces, out, stage)
                };
                element.map(Token::Start)
            }
            Event::Empty(_) => Err("an empty-element tag was not expanded".into()),
            Event::End(_) => {
                if let Some(Scope::Own) = self.scopes.pop() {
                    self.resolver.pop();
                }
                Ok(Token::End)
            }
            Event::Text(text) if has_section_end(&text) => Err("`]]>` in character data".into()),
            Event::Text(text) => checked(&text.xml10_content()),
            Event::CData(text) => checked(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let resolved = match &*reference {
                    "amp" => Some('&'),
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    name => {
                        let refuse = || format!("the entity `&{name};` is not accepted");
                        let resolved = reference.resolve_char_ref().map_err(|_| refuse())?;
                        Some(resolved.filter(|&c| is_xml_char(c)).ok_or_else(refuse)?)
                    }
                };
                Ok(Token::Text(resolved.into_iter().collect()))
            }
            Event::Decl(_) if !is_first => {
                Err("an XML declaration that is not at the beginning".into())
            }
            Event::Decl(declaration) => match declaration.encoding() {
                Some(Ok(name)) if !is_utf8(&name) => {
                    let name: String = name.chars().take(40).collect();
                    Err(format!(
                        "the encoding `{name}` is not accepted; expected UTF-8"
                    ))
                }
                Some(Err(_)) => Err("a broken XML declaration".into()),
                Some(Ok(_)) | None => Ok(Token::Nothing),
            },
            Event::DocType(_) => Ok(Token::DocType),
            Event::Comment(_) | Event::PI(_) => Ok(Token::Nothing),
            Event::Eof => Ok(Token::Eof),
        }
    }

    /// Where the current token begins.
    fn position(&mut self) -> Position {
        self.xml.get_mut().position()
    }

    fn error(&mut self, message: &str) -> ReadError {
        broken(self.position(), message.into())
    }
}

fn broken(position: Position, message: String) -> ReadError {
    ReadError {
        position,
        message,
        told: Told::Nothing,
    }
}

/// Reads one session out of bytes that Debrief itself wrote.
pub(crate) fn read_own(session: &[u8], namespace: &str) -> Result<Element, ReadError> {
    let mut whole = b"<session_list xmlns=\"".to_vec();
    crate::write::escape_attribute(namespace, &mut whole);
    whole.extend_from_slice(b"\">");
    whole.extend_from_slice(session);
    let mut reader = SessionReader::new(&whole[..], namespace);
    reader.bounds = OWN;
    loop {
        match (reader.stage, reader.token(OWN.token_bytes)?) {
            (Stage::Prolog, Token::Start(..)) => reader.stage = Stage::Root,
            (_, Token::Start(session)) => return reader.element(session),
            (_, Token::Eof) => return Err(reader.error("no session")),
            (_, Token::End | Token::Text(_) | Token::DocType | Token::Nothing) => {}
        }
    }
}

enum Token {
    Start(Element),
    End,
    Text(CompactString),
    DocType,
    Nothing,
    Eof,
}

fn has_section_end(text: &str) -> bool {
    memchr(b']', text.as_bytes()).is_some_and(|at| text[at..].contains("]]>"))
}

/// What an element means for the namespaces in it.
#[derive(Clone, Copy)]
enum Scope {
    /// It declares none.
    Same,
    /// It may declare some.
    Own,
}

fn is_utf8(name: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// What the tokenizer complains of, cut to a readable length.
fn sentence(error: &quick_xml::Error) -> String {
    let text = match error {
        quick_xml::Error::Io(cause) => cause.to_string(),
        quick_xml::Error::Encoding(_) => "bytes that are not UTF-8".into(),
        other => other.to_string(),
    };
    text.chars().take(300).collect()
}

/// An element of a start tag as nearly all are: names of small letters, values that stand for themselves,
/// and no namespace anywhere. Of any other there is none, and [`start`] has to look closer.
fn plain(tag: &str) -> Option<Element> {
    let is_letter = |b: &u8| b.is_ascii_lowercase() || *b == b'_';
    let n_letters = |text: &str| text.bytes().take_while(|b| is_letter(b)).count();
    let (name, mut rest) = tag.split_at(n_letters(tag));
    if name.is_empty() {
        return None;
    }
    let mut element = Element::new(name);
    while !rest.is_empty() {
        rest = rest.strip_prefix(' ')?;
        let (name, behind) = rest.split_at(n_letters(rest));
        let behind = behind.strip_prefix("=\"")?;
        let (value, behind) = behind.split_at(memchr(b'"', behind.as_bytes())?);
        let is_known = |known: &Attribute| known.name == name;
        if name.is_empty()
            || name == "xmlns"
            || memchr2(b'<', b'&', value.as_bytes()).is_some()
            || !is_surely_xml_text(value)
            || element.attributes.len() == ATTRIBUTES_MAX
            || element.attributes.iter().any(is_known)
        {
            return None;
        }
        element.attributes.push(Attribute {
            foreign: None,
            name: name.into(),
            value: value.into(),
        });
        rest = &behind[1..];
    }
    Some(element)
}

/// An element of a start tag, with its namespace and its attributes. Its namespace is the
/// report's own if it is the root's, or `out`, the one it would be written in.
fn start(
    tag: &BytesStart<'_>,
    resolver: &NamespaceResolver,
    namespaces: &mut Namespaces,
    out: &str,
    stage: Stage,
) -> Result<Element, String> {
    let (resolved, local) = resolver.resolve_element(tag.name());
    let name = local.as_ref();
    check_name(name)?;
    if let Some(prefix) = tag.name().prefix() {
        check_name(prefix.as_ref())?;
    }
    check_blanks(tag.attributes_raw())?;
    let mut element = Element::new(name);
    namespaces.place(&mut element, &resolved, out, stage)?;
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.value.contains('<') {
            return Err("`<` in an attribute's value".into());
        }
        let value = value(&attribute)?;
        match attribute.key.as_namespace_binding() {
            Some(PrefixDeclaration::Default) => continue,
            Some(PrefixDeclaration::Named(prefix)) if value.is_empty() => {
                return Err(format!("the prefix `{prefix}` is declared as nothing"));
            }
            Some(PrefixDeclaration::Named(prefix)) => {
                check_name(prefix)?;
                continue;
            }
            None => {}
        }
        if ATTRIBUTES_MAX <= element.attributes.len() {
            return Err(format!("more than {ATTRIBUTES_MAX} attributes"));
        }
        let (resolved, local) = resolver.resolve_attribute(attribute.key);
        check_name(local.as_ref())?;
        let prefix = attribute
            .key
            .prefix()
            .map(|prefix| Arc::from(prefix.as_ref()));
        element.attributes.push(Attribute {
            foreign: prefix.zip(namespaces.of(&resolved)?),
            name: local.as_ref().into(),
            value: value.into(),
        });
    }
    check_distinct(&element.attributes)?;
    Ok(element)
}

/// An attribute's value, with references and line ends resolved.
fn value<'a>(attribute: &attributes::Attribute<'a>) -> Result<Cow<'a, str>, String> {
    let value = attribute
        .normalized_value(XmlVersion::Implicit1_0)
        .map_err(|error| format!("in the value of an attribute: {error}"))?;
    if !is_xml_text(&value) {
        return Err("a character that XML 1.0 does not permit".into());
    }
    Ok(value)
}

/// Refuses attributes without a blank between them, which the tokenizer takes.
fn check_blanks(attributes: &str) -> Result<(), String> {
    let mut rest = attributes.as_bytes();
    while let Some(begin) = memchr2(b'"', b'\'', rest) {
        let Some(len) = memchr(rest[begin], &rest[begin + 1..]) else {
            return Ok(());
        };
        rest = &rest[begin + 1 + len + 1..];
        if rest.first().is_some_and(|b| !b.is_ascii_whitespace()) {
            return Err("attributes without a blank between them".into());
        }
    }
    Ok(())
}

/// Refuses two prefixes for one namespace on two attributes of one name: the tokenizer compares
/// names as they are spelt.
fn check_distinct(attributes: &[Attribute]) -> Result<(), String> {
    let expanded = |attribute: &Attribute| {
        let namespace = attribute.foreign.as_ref().map(|(_, namespace)| namespace);
        (namespace.cloned(), attribute.name.clone())
    };
    if attributes.iter().all(|a| a.foreign.is_none()) {
        return Ok(());
    }
    let mut seen = HashSet::new();
    match attributes.iter().find(|a| !seen.insert(expanded(a))) {
        Some(twice) => Err(format!("the attribute `{}` is there twice", twice.name)),
        None => Ok(()),
    }
}

/// Names of namespaces.
#[derive(Default)]
struct Namespaces {
    /// The root's: the one whose elements are the report's own.
    own: Option<Arc<str>>,
    /// The last one, as it is spelt and as it is: nearly all elements of a document have the same.
    last: Option<(Box<str>, Arc<str>)>,
}

impl Namespaces {
    /// An element without a prefix, in the namespace that is in force.
    fn add_to(
        &mut self,
        mut element: Element,
        resolver: &NamespaceResolver,
        out: &str,
        stage: Stage,
    ) -> Result<Element, String> {
        let resolved = resolver.resolve_prefix(None, true);
        self.place(&mut element, &resolved, out, stage)?;
        Ok(element)
    }

    /// Puts an element into its namespace.
    fn place(
        &mut self,
        element: &mut Element,
        resolved: &ResolveResult<'_>,
        out: &str,
        stage: Stage,
    ) -> Result<(), String> {
        let namespace = self.of(resolved)?;
        if stage == Stage::Prolog {
            self.own.clone_from(&namespace);
        }
        if namespace != self.own && namespace.as_deref() != Some(out) {
            element.foreign = Some(namespace.unwrap_or_else(|| "".into()));
        }
        Ok(())
    }

    fn of(&mut self, resolved: &ResolveResult<'_>) -> Result<Option<Arc<str>>, String> {
        match resolved {
            // The resolver tells the name as it is spelt, references and all.
            ResolveResult::Bound(namespace) => {
                let spelt = namespace.0;
                if let Some((last, name)) = &self.last
                    && **last == *spelt
                {
                    return Ok(Some(Arc::clone(name)));
                }
                let attribute = attributes::Attribute {
                    key: QName("xmlns"),
                    value: Cow::Borrowed(spelt),
                };
                let name: Arc<str> = Arc::from(value(&attribute)?);
                self.last = Some((spelt.into(), Arc::clone(&name)));
                Ok(Some(name))
            }
            ResolveResult::Unbound => Ok(None),
            ResolveResult::Unknown(prefix) => Err(format!("the prefix `{prefix}` is not declared")),
        }
    }
}

/// Whether this is a name without a colon: the tokenizer takes anything without a blank.
fn check_name(name: &str) -> Result<(), String> {
    // XML 1.0, fifth edition, productions 4 and 4a.
    let begins = |c: char| {
        matches!(c, 'A'..='Z' | 'a'..='z' | '_')
            || matches!(c, '\u{C0}'..='\u{2FF}' if c != '\u{D7}' && c != '\u{F7}')
            || matches!(c, '\u{370}'..='\u{1FFF}' if c != '\u{37E}')
            || matches!(c, '\u{200C}' | '\u{200D}' | '\u{2070}'..='\u{218F}')
            || matches!(c, '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}')
            || matches!(c, '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}')
            || matches!(c, '\u{10000}'..='\u{EFFFF}')
    };
    let goes_on = |c: char| {
        begins(c)
            || matches!(c, '0'..='9' | '-' | '.' | '\u{B7}')
            || matches!(c, '\u{300}'..='\u{36F}' | '\u{203F}' | '\u{2040}')
    };
    // All of a report's own.
    let is_plain = |b: &u8| b.is_ascii_lowercase() || *b == b'_';
    if !name.is_empty() && name.as_bytes().iter().all(is_plain) {
        return Ok(());
    }
    let mut characters = name.chars();
    if characters.next().is_some_and(begins) && characters.all(goes_on) {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    Err(format!("`{shown}` is no XML name"))
}

/// Whether an element of this name holds elements only: white space directly in it says nothing.
fn is_container(name: &str) -> bool {
    matches!(
        name,
        "session"
            | "custom_attributes"
            | "show_my_screen_recordings"
            | "show_my_screen_recording"
            | "command_shell_recordings"
            | "command_shell_recording"
            | "customer_list"
            | "customer"
            | "info"
            | "rep_list"
            | "representative"
            | "team_list"
            | "cust_survey_list"
            | "cust_exit_survey"
            | "rep_survey_list"
            | "rep_exit_survey"
            | "question_list"
            | "question"
            | "answer_list"
            | "session_details"
            | "event"
            | "system_information"
            | "category"
            | "description"
            | "row"
            | "files"
            | "file"
            | "data"
            | "value"
    )
}

impl Element {
    fn is_own(&self, name: &str) -> bool {
        self.foreign.is_none() && &*self.name == name
    }

    /// Drops white space between elements; white space that is an element's only text stays.
    fn drop_insignificant_space(&mut self) {
        let is_space = |node: &Node| match node {
            Node::Text(text) => text
                .bytes()
                .all(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')),
            Node::Element(_) => false,
        };
        let has_elements = self
            .children
            .iter()
            .any(|node| matches!(node, Node::Element(_)));
        if has_elements || self.foreign.is_none() && is_container(&self.name) {
            self.children.retain(|node| !is_space(node));
        }
    }
}

#[cfg(test)]
mod tests;
