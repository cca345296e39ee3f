//! A document as canonical XML sees it, without insignificant white space: the judge of round
//! trips. It reads with a parser of its own.

use roxmltree::{Document, Node, NodeId, ParsingOptions};

/// An element or a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Canonical {
    /// An element; its namespace is none for the root's own. Attributes are sorted.
    Element {
        namespace: Option<String>,
        name: String,
        attributes: Vec<(String, String, String)>,
        children: Vec<Canonical>,
    },
    /// Text, references and sections resolved.
    Text(String),
    /// An address, in an element that is a link of the session.
    Address,
}

/// Elements of the vendor's document that hold elements only.
const CONTAINERS: &[&str] = &[
    "session_list",
    "session",
    "custom_attributes",
    "show_my_screen_recordings",
    "show_my_screen_recording",
    "command_shell_recordings",
    "command_shell_recording",
    "customer_list",
    "customer",
    "info",
    "rep_list",
    "representative",
    "team_list",
    "cust_survey_list",
    "cust_exit_survey",
    "rep_survey_list",
    "rep_exit_survey",
    "question_list",
    "question",
    "answer_list",
    "session_details",
    "event",
    "system_information",
    "category",
    "description",
    "row",
    "files",
    "file",
    "data",
    "value",
];

/// Where addresses stand: these paths below the root.
const LINKS: &[&str] = &[
    "session/session_chat_view_url",
    "session/session_chat_download_url",
    "session/session_recording_view_url",
    "session/session_recording_download_url",
    "session/show_my_screen_recordings/show_my_screen_recording/download_url",
    "session/show_my_screen_recordings/show_my_screen_recording/view_url",
    "session/command_shell_recordings/command_shell_recording/download_url",
    "session/command_shell_recordings/command_shell_recording/view_url",
];

/// The sessions of a document, and every address in them in order.
pub(crate) fn canonical(document: &str) -> (Vec<Canonical>, Vec<String>) {
    let options = ParsingOptions::default();
    let parsed = Document::parse_with_options(document, options)
        .unwrap_or_else(|error| panic!("not well-formed: {error}\n{document}"));
    let root = parsed.root_element();
    assert_eq!(root.tag_name().name(), "session_list");
    let mut judge = Judge {
        root: root.id(),
        own: root.tag_name().namespace().unwrap_or("").into(),
        addresses: Vec::new(),
    };
    let sessions = root.children().filter(Node::is_element);
    let sessions = sessions.map(|session| judge.element(session)).collect();
    (sessions, judge.addresses)
}

impl Canonical {
    /// The session without what leads to recordings.
    pub(crate) fn without_recordings(mut self) -> Canonical {
        let leads_there = |node: &Canonical| match node {
            Canonical::Element {
                namespace: None,
                name,
                ..
            } => RECORDINGS.contains(&&**name),
            Canonical::Element { .. } | Canonical::Text(_) | Canonical::Address => false,
        };
        if let Canonical::Element { children, .. } = &mut self {
            children.retain(|child| !leads_there(child));
        }
        self
    }
}

const RECORDINGS: &[&str] = &[
    "session_recording_view_url",
    "session_recording_download_url",
    "show_my_screen_recordings",
    "command_shell_recordings",
];

/// The first place where two documents differ.
pub(crate) fn difference(found: &[Canonical], expected: &[Canonical]) -> Option<String> {
    let by = found.iter().zip(expected).find_map(|(f, e)| match (f, e) {
        (
            Canonical::Element {
                namespace: fs,
                name: fname,
                attributes: fa,
                children: fc,
            },
            Canonical::Element {
                namespace: es,
                name: ename,
                attributes: ea,
                children: ec,
            },
        ) if (fs, fname, fa) == (es, ename, ea) => {
            difference(fc, ec).map(|inner| format!("{fname}/{inner}"))
        }
        _ => (f != e).then(|| format!("found {f:?}, expected {e:?}")),
    });
    let (n_found, n_expected) = (found.len(), expected.len());
    by.or_else(|| {
        (n_found != n_expected).then(|| format!("found {n_found} nodes, expected {n_expected}"))
    })
}

/// The namespace the report calls its own elements. Where a document of the other family uses
/// it, it means the same vocabulary.
const VOCABULARY: &str = debrief_report::Dialect::NAMESPACE;

struct Judge {
    root: NodeId,
    own: String,
    addresses: Vec<String>,
}

impl Judge {
    fn is_own(&self, node: Node<'_, '_>) -> bool {
        let namespace = node.tag_name().namespace().unwrap_or("");
        namespace == self.own || namespace == VOCABULARY
    }

    fn element(&mut self, node: Node<'_, '_>) -> Canonical {
        let is_own = self.is_own(node);
        let name = node.tag_name().name();
        let text: String = node
            .children()
            .filter(Node::is_text)
            .filter_map(|t| t.text())
            .collect();
        let is_link = self.path(node).is_some_and(|p| LINKS.contains(&&*p));
        let children = if is_link && !text.trim().is_empty() {
            self.addresses.push(text);
            vec![Canonical::Address]
        } else {
            self.children(node)
        };
        let attributes = node.attributes().map(|a| {
            let namespace = a.namespace().unwrap_or("");
            (namespace.into(), a.name().into(), a.value().into())
        });
        let mut attributes: Vec<_> = attributes.collect();
        attributes.sort();
        Canonical::Element {
            namespace: (!is_own).then(|| node.tag_name().namespace().unwrap_or("").into()),
            name: name.into(),
            attributes,
            children,
        }
    }

    fn children(&mut self, node: Node<'_, '_>) -> Vec<Canonical> {
        let mut children: Vec<Canonical> = Vec::new();
        for child in node.children().filter(|c| c.is_element() || c.is_text()) {
            match (
                child.text().filter(|_| child.is_text()),
                children.last_mut(),
            ) {
                (Some(text), Some(Canonical::Text(before))) => before.push_str(text),
                (Some(text), _) => children.push(Canonical::Text(text.into())),
                (None, _) => children.push(self.element(child)),
            }
        }
        let has_elements = children.iter().any(|c| !matches!(c, Canonical::Text(_)));
        let is_container = self.is_own(node) && CONTAINERS.contains(&node.tag_name().name());
        if has_elements || is_container {
            children.retain(
                |c| !matches!(c, Canonical::Text(t) if t.trim_matches(XML_SPACE).is_empty()),
            );
        }
        children
    }

    /// Names from below the root down to the node; none when one of them is foreign.
    fn path(&self, node: Node<'_, '_>) -> Option<String> {
        let mut names = Vec::new();
        for ancestor in node.ancestors().take_while(|n| n.id() != self.root) {
            if !self.is_own(ancestor) {
                return None;
            }
            names.push(ancestor.tag_name().name());
        }
        names.reverse();
        Some(names.join("/"))
    }
}

const XML_SPACE: &[char] = &[' ', '\t', '\n', '\r'];
