//! The one table of what differs between the documented API and what live appliances send.

/// How a server speaks where the vendor's document and its appliances disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The word for it in the configuration.
    pub name: &'static str,
    /// What answers a question that no session fits.
    pub nothing: Nothing,
    /// Where an error stands.
    pub error: ErrorPlace,
    /// Whether the root declares the prefix `xsi`, which nothing uses.
    pub declares_xsi: Declares,
}

/// The answer when no session fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nothing {
    /// A list without elements.
    EmptyList,
    /// An error with this sentence.
    Error(&'static str),
}

/// Where the element `error` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorPlace {
    /// Inside the root that the report would have had.
    InsideList,
    /// It is the root.
    Root,
}

/// Whether an unused prefix is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declares {
    /// It is.
    Xsi,
    /// It is not.
    Nothing,
}

/// Every dialect; the first is the default.
pub const DIALECTS: &[Dialect] = &[
    Dialect {
        name: "documented",
        nothing: Nothing::EmptyList,
        error: ErrorPlace::InsideList,
        declares_xsi: Declares::Nothing,
    },
    Dialect {
        name: "appliance",
        nothing: Nothing::Error(
            "No Support report information matching your chosen criteria is available.",
        ),
        error: ErrorPlace::Root,
        declares_xsi: Declares::Xsi,
    },
];

impl Dialect {
    /// The namespace live appliances were last seen to use: the default of the configuration.
    pub const NAMESPACE: &'static str = "http://www.beyondtrust.com/sra/namespaces/API/reporting";

    /// The namespace of the command API, of the same kind.
    pub const COMMAND_NAMESPACE: &'static str =
        "http://www.beyondtrust.com/sra/namespaces/API/command";

    /// The dialect of this name.
    pub fn parse(name: &str) -> Option<&'static Dialect> {
        DIALECTS.iter().find(|dialect| dialect.name == name)
    }

    /// The first bytes of an answer: the declaration and the root's start tag. `next` is the
    /// cursor of a `changed_since` report, an attribute in Debrief's own namespace.
    pub(crate) fn root_start(
        &self,
        root: &str,
        namespace: &str,
        next: Option<u64>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(DECLARATION);
        out.push(b'<');
        out.extend_from_slice(root.as_bytes());
        out.extend_from_slice(b" xmlns=\"");
        crate::write::escape_attribute(namespace, out);
        out.push(b'"');
        if self.declares_xsi == Declares::Xsi {
            out.extend_from_slice(b" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"");
        }
        if let Some(next) = next {
            let attribute =
                format!(" xmlns:debrief=\"urn:debrief:report:1\" debrief:next=\"{next}\"");
            out.extend_from_slice(attribute.as_bytes());
        }
        out.extend_from_slice(b">\n");
    }

    /// A whole document that says what went wrong with the report that has this root.
    pub fn error_document(&self, root: &str, namespace: &str, sentence: &str) -> Vec<u8> {
        let mut out = Vec::new();
        match self.error {
            ErrorPlace::InsideList => {
                self.root_start(root, namespace, None, &mut out);
                out.extend_from_slice(b"<error>");
                crate::write::escape_text(sentence, &mut out);
                out.extend_from_slice(b"</error>\n");
                root_end(root, &mut out);
            }
            ErrorPlace::Root => {
                out.extend_from_slice(DECLARATION);
                out.extend_from_slice(b"<error xmlns=\"");
                crate::write::escape_attribute(namespace, &mut out);
                out.extend_from_slice(b"\">");
                crate::write::escape_text(sentence, &mut out);
                out.extend_from_slice(b"</error>\n");
            }
        }
        out
    }
}

/// The XML declaration, and the line end before the root.
pub(crate) const DECLARATION: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// The root's end tag.
pub(crate) fn root_end(root: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"</");
    out.extend_from_slice(root.as_bytes());
    out.extend_from_slice(b">\n");
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(dialect: &str, expect: Expect) {
        let dialect = Dialect::parse(dialect).unwrap();
        let root = "session_list";
        let document = dialect.error_document(root, Dialect::NAMESPACE, "a < b & c");
        expect.assert_eq(&String::from_utf8(document).unwrap());
    }

    #[test]
    fn an_error_stands_inside_the_list_where_the_document_says_so() {
        check(
            "documented",
            expect![[r#"
                <?xml version="1.0" encoding="UTF-8"?>
                <session_list xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">
                <error>a &lt; b &amp; c</error>
                </session_list>
            "#]],
        );
    }

    #[test]
    fn an_error_is_the_root_where_appliances_do_so() {
        check(
            "appliance",
            expect![[r#"
                <?xml version="1.0" encoding="UTF-8"?>
                <error xmlns="http://www.beyondtrust.com/sra/namespaces/API/reporting">a &lt; b &amp; c</error>
            "#]],
        );
    }
}
