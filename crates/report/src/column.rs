//! The one table of columns: a session as a row, as the vendor's own web export has it.

use crate::element::Element;

/// A column: its heading, and where its value stands.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The heading.
    pub heading: &'static str,
    /// What kind of value it has.
    pub kind: Kind,
    value: fn(&Element) -> String,
}

/// What kind of value a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Free text.
    Text,
    /// A whole number.
    Number,
    /// An ISO 8601 time.
    Time,
}

fn child(session: &Element, name: &str) -> String {
    session.child(name).map(Element::text).unwrap_or_default()
}

fn id(session: &Element, name: &str) -> String {
    session
        .child(name)
        .and_then(|child| child.attribute("id"))
        .unwrap_or("")
        .into()
}

/// A value of the primary customer: the first one.
fn customer(session: &Element, name: &str) -> String {
    let list = session.child("customer_list");
    list.and_then(|list| list.child("customer"))
        .map(|c| child(c, name))
        .unwrap_or_default()
}

fn info(session: &Element, name: &str) -> String {
    let list = session.child("customer_list");
    let customer = list.and_then(|list| list.child("customer"));
    customer
        .and_then(|c| c.child("info"))
        .map(|info| child(info, name))
        .unwrap_or_default()
}

fn is_primary(rep: &&Element) -> bool {
    child(rep, "primary_rep") == "1"
}

fn reps(session: &Element) -> impl Iterator<Item = &Element> {
    session
        .child("rep_list")
        .into_iter()
        .flat_map(|list| list.elements_named("representative"))
}

/// A value of the primary representative: the one so marked, or else the one whose number the
/// element `primary_rep` has.
fn rep(session: &Element, name: &str) -> String {
    primary_rep(session)
        .map(|rep| child(rep, name))
        .unwrap_or_default()
}

fn primary_rep(session: &Element) -> Option<&Element> {
    let marked = reps(session).find(is_primary);
    let gsnumber = session
        .child("primary_rep")
        .and_then(|rep| rep.attribute("gsnumber"));
    marked.or_else(|| reps(session).find(|rep| rep.attribute("gsnumber") == gsnumber))
}

fn additional_reps(session: &Element) -> String {
    let primary = primary_rep(session);
    let others = reps(session).filter(|rep| !primary.is_some_and(|p| std::ptr::eq(p, *rep)));
    let names: Vec<String> = others.map(|rep| child(rep, "display_name")).collect();
    names.join("; ")
}

const fn column(heading: &'static str, kind: Kind, value: fn(&Element) -> String) -> Column {
    Column {
        heading,
        kind,
        value,
    }
}

/// Every column, in order.
pub const COLUMNS: &[Column] = &[
    column("Session ID", Kind::Text, |s| {
        s.attribute("lsid").unwrap_or("").into()
    }),
    column("Session Sequence Number", Kind::Number, |s| {
        child(s, "lseq")
    }),
    column("Started", Kind::Time, |s| child(s, "start_time")),
    column("Ended", Kind::Time, |s| child(s, "end_time")),
    column("Duration", Kind::Text, |s| child(s, "duration")),
    column("Public Site", Kind::Text, |s| child(s, "public_site")),
    column("Public Site ID", Kind::Text, |s| id(s, "public_site")),
    column("Jumpoint", Kind::Text, |s| child(s, "jumpoint")),
    column("Jump Group", Kind::Text, |s| child(s, "jump_group")),
    column("External Key", Kind::Text, |s| child(s, "external_key")),
    column("Customer", Kind::Text, |s| child(s, "primary_customer")),
    column("Customer's Company", Kind::Text, |s| info(s, "company")),
    column("Customer's Issue", Kind::Text, |s| info(s, "issue")),
    column("Customer's Hostname", Kind::Text, |s| {
        customer(s, "hostname")
    }),
    column("Customer's Operating System", Kind::Text, |s| {
        customer(s, "os")
    }),
    column("Customer's Public IP", Kind::Text, |s| {
        customer(s, "public_ip")
    }),
    column("Customer's Private IP", Kind::Text, |s| {
        customer(s, "private_ip")
    }),
    column("Representative", Kind::Text, |s| child(s, "primary_rep")),
    column("Representative's Username", Kind::Text, |s| {
        rep(s, "username")
    }),
    column("Representative's Hostname", Kind::Text, |s| {
        rep(s, "hostname")
    }),
    column("Representative's Operating System", Kind::Text, |s| {
        rep(s, "os")
    }),
    column("Representative's Public IP", Kind::Text, |s| {
        rep(s, "public_ip")
    }),
    column("Representative's Private IP", Kind::Text, |s| {
        rep(s, "private_ip")
    }),
    column("Team", Kind::Text, |s| child(s, "primary_team")),
    column("Additional Representatives", Kind::Text, additional_reps),
    column("# Files Transferred", Kind::Number, |s| {
        child(s, "file_transfer_count")
    }),
    column("# Files Renamed", Kind::Number, |s| {
        child(s, "file_move_count")
    }),
    column("# Files Deleted", Kind::Number, |s| {
        child(s, "file_delete_count")
    }),
];

/// The row of headings.
pub(crate) fn csv_header() -> Vec<u8> {
    let mut out = Vec::new();
    write_row(COLUMNS.iter().map(|column| column.heading.into()), &mut out);
    out
}

/// Appends a session's row.
pub(crate) fn csv_row(session: &Element, out: &mut Vec<u8>) {
    let values = COLUMNS.iter().map(|column| {
        let value = (column.value)(session);
        if column.kind == Kind::Text {
            harmless(value)
        } else {
            value
        }
    });
    write_row(values, out);
}

/// A text that no spreadsheet takes for a formula: customers choose their own names.
fn harmless(text: String) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text,
    }
}

fn write_row(values: impl Iterator<Item = String>, out: &mut Vec<u8>) {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let row: Vec<String> = values.collect();
    // A buffer takes every write.
    writer
        .write_record(&row)
        .expect("writing to memory cannot fail");
    out.extend_from_slice(&writer.into_inner().expect("flushing to memory cannot fail"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::{Attribute, Node};

    #[test]
    fn a_name_that_looks_like_a_formula_is_made_harmless_and_quotes_are_doubled() {
        let mut session = Element::new("session");
        session.attributes.push(Attribute {
            foreign: None,
            name: "lsid".into(),
            value: "s1".into(),
        });
        let mut customer = Element::new("primary_customer");
        customer.set_text("=HYPERLINK(\"http://x\",\"y\")");
        session.children.push(Node::Element(customer));
        let mut out = Vec::new();
        csv_row(&session, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
            "{text}"
        );
        assert!(text.ends_with("\r\n"));
        let n_columns = text.matches(',').count();
        // One comma stands inside the quoted value.
        assert_eq!(n_columns, COLUMNS.len());
    }
}
