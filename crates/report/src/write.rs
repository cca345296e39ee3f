//! Text that XML can carry, and a folded session as the bytes of its element.

mod json;
mod session;

pub(crate) use json::json_session;
pub use session::{Parts, session_parts};

/// Whether XML 1.0 can carry this character.
pub(crate) fn is_xml_char(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\0'..'\u{20}' | '\u{FFFE}' | '\u{FFFF}' => false,
        _ => true,
    }
}

/// Whether XML 1.0 can carry this text.
pub(crate) fn is_xml_text(text: &str) -> bool {
    is_surely_xml_text(text) || text.chars().all(is_xml_char)
}

/// Whether XML 1.0 can carry this text, and no line end or tab is in it. Some texts are in doubt though
/// there is nothing wrong with them.
pub(crate) fn is_surely_xml_text(text: &str) -> bool {
    // Only C0 controls and the two non-characters, whose UTF-8 begins with EF BF, are in doubt. All bytes
    // are looked at, for that is done many at once.
    let is_doubtful = |&byte: &u8| byte < 0x20 || byte == 0xEF;
    !(text.as_bytes().iter()).fold(false, |any, byte| any | is_doubtful(byte))
}

/// Appends text as character data; characters that XML cannot carry become U+FFFD. Gives the
/// number of those.
pub(crate) fn escape_text(text: &str, out: &mut Vec<u8>) -> u64 {
    escape(text, Place::Text, out)
}

/// Appends text as an attribute's value between double quotes, as [`escape_text`] does.
pub(crate) fn escape_attribute(text: &str, out: &mut Vec<u8>) -> u64 {
    escape(text, Place::Attribute, out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    Attribute,
}

/// Bytes that may have to be written in another way.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    let others = [b'&', b'<', b'>', b'"', 0xEF];
    let mut idx = 0;
    while idx < others.len() {
        special[others[idx] as usize] = true;
        idx += 1;
    }
    special
};

fn escape(text: &str, place: Place, out: &mut Vec<u8>) -> u64 {
    let bytes = text.as_bytes();
    let mut n_replaced = 0;
    let mut written = 0;
    let mut idx = 0;
    let next = |from: usize| {
        let next = bytes[from..].iter().position(|b| SPECIAL[usize::from(*b)]);
        next.map(|n| from + n)
    };
    while let Some(special) = next(idx) {
        let (reference, len): (&[u8], usize) = match bytes[special] {
            b'&' => (b"&amp;", 1),
            b'<' => (b"&lt;", 1),
            b'>' if place == Place::Text => (b"&gt;", 1),
            b'"' if place == Place::Attribute => (b"&quot;", 1),
            b'\r' => (b"&#xD;", 1),
            b'\n' if place == Place::Attribute => (b"&#xA;", 1),
            b'\t' if place == Place::Attribute => (b"&#x9;", 1),
            b'\n' | b'\t' => (b"", 0),
            0..0x20 => ("\u{FFFD}".as_bytes(), 1),
            0xEF if matches!(bytes[special..], [_, 0xBF, 0xBE | 0xBF, ..]) => {
                ("\u{FFFD}".as_bytes(), 3)
            }
            _ => (b"", 0),
        };
        if len == 0 {
            idx = special + 1;
            continue;
        }
        if reference == "\u{FFFD}".as_bytes() {
            n_replaced += 1;
        }
        out.extend_from_slice(&bytes[written..special]);
        out.extend_from_slice(reference);
        idx = special + len;
        written = idx;
    }
    out.extend_from_slice(&bytes[written..]);
    n_replaced
}

/// A writer of elements that cannot be left open: closing takes the name from the opening.
#[derive(Debug, Default)]
pub(crate) struct Xml {
    pub(crate) out: Vec<u8>,
    /// Characters that XML cannot carry and that became U+FFFD.
    pub(crate) n_replaced: u64,
}

impl Xml {
    /// A start tag with attributes.
    pub(crate) fn start(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        for (attribute, value) in attributes {
            self.out.push(b' ');
            self.out.extend_from_slice(attribute.as_bytes());
            self.out.extend_from_slice(b"=\"");
            self.n_replaced += escape_attribute(value, &mut self.out);
            self.out.push(b'"');
        }
        self.out.push(b'>');
    }

    /// An end tag.
    pub(crate) fn end(&mut self, name: &str) {
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
    }

    /// A whole element with text in it.
    pub(crate) fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.start(name, attributes);
        self.text(text);
        self.end(name);
    }

    /// Text between tags.
    pub(crate) fn text(&mut self, text: &str) {
        self.n_replaced += escape_text(text, &mut self.out);
    }

    /// A whole element with a number in it.
    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.leaf(name, &[], &value.to_string());
    }

    /// An element with whatever `inner` writes in it.
    pub(crate) fn nest(
        &mut self,
        name: &str,
        attributes: &[(&str, &str)],
        inner: impl FnOnce(&mut Xml),
    ) {
        self.start(name, attributes);
        inner(self);
        self.end(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_carry_is_replaced_and_counted() {
        let mut out = Vec::new();
        let n_replaced = escape_text("a\u{1}b\u{FFFE}c\u{FFFF}d\u{FFFD}e\t\n\r", &mut out);
        assert_eq!(n_replaced, 3);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a\u{FFFD}b\u{FFFD}c\u{FFFD}d\u{FFFD}e\t\n&#xD;"
        );
    }

    #[test]
    fn white_space_in_an_attribute_survives_normalisation() {
        let mut out = Vec::new();
        escape_attribute("a\tb\nc\rd\"e'f<g>", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a&#x9;b&#xA;c&#xD;d&quot;e'f&lt;g>"
        );
    }

    #[test]
    fn the_test_for_text_agrees_with_the_writer() {
        for c in [
            '\0',
            '\u{1f}',
            '\t',
            ' ',
            '\u{7f}',
            '\u{FFFD}',
            '\u{FFFE}',
            '\u{10FFFF}',
        ] {
            let text = format!("x{c}y");
            let n_replaced = escape_text(&text, &mut Vec::new());
            assert_eq!(is_xml_text(&text), n_replaced == 0, "{c:?}");
        }
    }
}
