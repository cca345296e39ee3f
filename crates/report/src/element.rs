//! A small XML tree: one session as it was read, and its way back to text.
//!
//! The text written is canonical XML: no empty-element tags, double quotes, the references that
//! canonical XML asks for. So what is read and written again compares equal by bytes.

use std::sync::Arc;

use compact_str::CompactString;

use crate::write::{escape_attribute, escape_text};

/// An element with everything in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its namespace, if that is not the report's own.
    pub foreign: Option<Arc<str>>,
    /// Its local name.
    pub name: CompactString,
    /// Its attributes, in document order, without namespace declarations.
    pub attributes: Vec<Attribute>,
    /// What is in it.
    pub children: Vec<Node>,
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Prefix and namespace, for the few attributes that have one.
    pub foreign: Option<(Arc<str>, Arc<str>)>,
    /// Its local name.
    pub name: CompactString,
    /// Its value, with references resolved.
    pub value: CompactString,
}

/// What stands in an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Another element.
    Element(Element),
    /// Text, with references resolved.
    Text(CompactString),
}

impl Element {
    /// An empty element of the report's own namespace.
    pub fn new(name: &str) -> Element {
        Element {
            foreign: None,
            name: name.into(),
            attributes: Vec::new(),
            children: Vec::new(),
        }
    }

    /// The value of the attribute of this name, if it has no namespace.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut own = self
            .attributes
            .iter()
            .filter(|attribute| attribute.foreign.is_none());
        own.find(|attribute| &*attribute.name == name)
            .map(|attribute| attribute.value.as_str())
    }

    /// Child elements of the report's own namespace.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) if element.foreign.is_none() => Some(element),
            Node::Element(_) | Node::Text(_) => None,
        })
    }

    /// Child elements of this name.
    pub fn elements_named(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.elements()
            .filter(move |element| &*element.name == name)
    }

    /// The first child element of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.elements().find(|element| &*element.name == name)
    }

    /// The first child element of this name, to change.
    pub fn child_mut(&mut self, name: &str) -> Option<&mut Element> {
        self.children.iter_mut().find_map(|node| match node {
            Node::Element(e) if e.foreign.is_none() && &*e.name == name => Some(e),
            Node::Element(_) | Node::Text(_) => None,
        })
    }

    /// All text directly in this element.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for node in &self.children {
            if let Node::Text(part) = node {
                text.push_str(part);
            }
        }
        text
    }

    /// Puts this text in place of whatever is in the element.
    pub fn set_text(&mut self, text: &str) {
        self.children = vec![Node::Text(text.into())];
    }

    /// Writes the element as canonical text; `outer` is the namespace in force around it, none
    /// for the report's own, which is called `own` where it must be declared again.
    pub fn write(&self, own: &str, outer: Option<&str>, out: &mut Vec<u8>) {
        self.write_start(own, outer, out);
        for node in &self.children {
            node.write(own, self.foreign.as_deref(), out);
        }
        self.write_end(out);
    }

    /// The start tag alone.
    pub(crate) fn write_start(&self, own: &str, outer: Option<&str>, out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(self.name.as_bytes());
        if self.foreign.as_deref() != outer {
            out.extend_from_slice(b" xmlns=\"");
            escape_attribute(self.foreign.as_deref().unwrap_or(own), out);
            out.push(b'"');
        }
        let mut declared: Vec<&str> = Vec::new();
        for (prefix, namespace) in self.attributes.iter().filter_map(|a| a.foreign.as_ref()) {
            // The prefix `xml` is bound for ever; any other is declared where it is used.
            if &**prefix != "xml" && !declared.contains(&&**prefix) {
                declared.push(prefix);
                out.extend_from_slice(b" xmlns:");
                out.extend_from_slice(prefix.as_bytes());
                out.extend_from_slice(b"=\"");
                escape_attribute(namespace, out);
                out.push(b'"');
            }
        }
        for attribute in &self.attributes {
            out.push(b' ');
            if let Some((prefix, _)) = &attribute.foreign {
                out.extend_from_slice(prefix.as_bytes());
                out.push(b':');
            }
            out.extend_from_slice(attribute.name.as_bytes());
            out.extend_from_slice(b"=\"");
            escape_attribute(&attribute.value, out);
            out.push(b'"');
        }
        out.push(b'>');
    }

    /// The end tag alone.
    pub(crate) fn write_end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"</");
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'>');
    }
}

impl Node {
    /// Writes the node as canonical text, as [`Element::write`] does.
    pub(crate) fn write(&self, own: &str, outer: Option<&str>, out: &mut Vec<u8>) {
        match self {
            Node::Element(element) => element.write(own, outer, out),
            Node::Text(text) => {
                escape_text(text, out);
            }
        }
    }
}
