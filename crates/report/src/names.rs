//! Names that a session shows but that belong to the directory: they are the current ones, in
//! every report, however long ago the session was sealed.
//!
//! Teams are always called what they are called now. Public sites and custom fields are when the
//! session's own events gave no name.

use debrief_domain::{CodeName, Directory, SiteId, TeamId};

use crate::element::{Element, Node};

/// Whose name is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Team,
    Site,
    CustomField,
}

/// A name as a session shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    /// What the session itself calls it: what counts when the directory does not know it.
    pub(crate) told: String,
    /// What is shown.
    pub(crate) name: String,
}

impl Shown {
    /// A name as it is to be shown.
    pub(crate) fn new(kind: Kind, id: &str, told: &str, directory: &Directory) -> Shown {
        let name = current(kind, id, directory).unwrap_or(told);
        Shown {
            kind,
            id: id.into(),
            told: told.into(),
            name: name.into(),
        }
    }

    /// What is to be shown now: the directory's name, or else the session's own.
    fn current<'a>(&'a self, directory: &'a Directory) -> &'a str {
        current(self.kind, &self.id, directory).unwrap_or(&self.told)
    }
}

fn current<'a>(kind: Kind, id: &str, directory: &'a Directory) -> Option<&'a str> {
    match kind {
        Kind::Team => directory.team_name(&TeamId::parse(id).ok()?),
        Kind::Site => directory.site_name(&SiteId::parse(id).ok()?),
        Kind::CustomField => {
            let field = directory.custom_fields.get(&CodeName::parse(id).ok()?)?;
            Some(&field.display_name)
        }
    }
}

/// Whether every name is what the directory says now.
pub(crate) fn are_current(shown: &[Shown], directory: &Directory) -> bool {
    shown
        .iter()
        .all(|shown| shown.current(directory) == shown.name)
}

/// Brings the names up to date, in the list and in the element that shows them.
pub(crate) fn renew(shown: &mut [Shown], session: &mut Element, directory: &Directory) {
    for shown in shown {
        let name = shown.current(directory).to_owned();
        if name == shown.name {
            continue;
        }
        shown.name.clone_from(&name);
        let clean: String = name.chars().map(xml_char).collect();
        match shown.kind {
            Kind::Team => {
                let primary = session.child_mut("primary_team").into_iter();
                primary.for_each(|team| set_text(team, "id", &shown.id, &clean));
                for team in children_of(session, "team_list") {
                    set_text(team, "id", &shown.id, &clean);
                }
            }
            Kind::Site => {
                let site = session.child_mut("public_site").into_iter();
                site.for_each(|site| set_text(site, "id", &shown.id, &clean));
            }
            Kind::CustomField => {
                for field in children_of(session, "custom_attributes") {
                    set_display_name(field, &shown.id, &clean);
                }
            }
        }
    }
}

fn children_of<'a>(session: &'a mut Element, name: &str) -> impl Iterator<Item = &'a mut Element> {
    let list = session.child_mut(name).into_iter();
    list.flat_map(|list| &mut list.children)
        .filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
}

fn set_text(element: &mut Element, attribute: &str, id: &str, name: &str) {
    if element.attribute(attribute) == Some(id) {
        element.set_text(name);
    }
}

fn set_display_name(field: &mut Element, code_name: &str, name: &str) {
    if field.attribute("code_name") != Some(code_name) {
        return;
    }
    for attribute in &mut field.attributes {
        if attribute.foreign.is_none() && &*attribute.name == "display_name" {
            attribute.value = name.into();
        }
    }
}

fn xml_char(c: char) -> char {
    if crate::write::is_xml_char(c) {
        c
    } else {
        '\u{FFFD}'
    }
}

/// Packs names for keeping beside a sealed session.
pub(crate) fn pack(shown: &[Shown]) -> Vec<u8> {
    let mut out = Vec::new();
    for shown in shown {
        out.push(match shown.kind {
            Kind::Team => 0,
            Kind::Site => 1,
            Kind::CustomField => 2,
        });
        for text in [&shown.id, &shown.told, &shown.name] {
            // A longer name of a document is not renamed whole: it is cut between characters.
            let text = &text.as_bytes()[..text.floor_char_boundary(usize::from(u16::MAX))];
            out.extend_from_slice(&(text.len() as u16).to_le_bytes());
            out.extend_from_slice(text);
        }
    }
    out
}

/// Reads what [`pack`] wrote; none when it is damaged.
pub(crate) fn unpack(mut packed: &[u8]) -> Option<Vec<Shown>> {
    fn text(packed: &mut &[u8]) -> Option<String> {
        let (len, rest) = packed.split_first_chunk::<2>()?;
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        *packed = rest;
        String::from_utf8(text.to_vec()).ok()
    }
    let mut shown = Vec::new();
    while let Some((tag, rest)) = packed.split_first() {
        packed = rest;
        let kind = match tag {
            0 => Kind::Team,
            1 => Kind::Site,
            2 => Kind::CustomField,
            _ => return None,
        };
        shown.push(Shown {
            kind,
            id: text(&mut packed)?,
            told: text(&mut packed)?,
            name: text(&mut packed)?,
        });
    }
    Some(shown)
}
