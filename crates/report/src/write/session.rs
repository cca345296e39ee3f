//! A folded session as the bytes of its element, in the order of the vendor's document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use debrief_domain::{
    Actor, ActorKind, Body, CustomerEntry, Directory, Event, EventType, Person, Rank, Recording,
    RecordingKind, RepEntry, Role, Session, State, SurveyEntry, TeamEntry,
};

use super::{Xml, is_xml_text};
use crate::link::{Action, LinkTarget, Piece};
use crate::names::{Kind, Shown};
use crate::time::{hms, iso};

/// The element of one session in three parts: before the links, the links, after the links.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The session's id.
    pub lsid: String,
    /// The start tag up to and including `custom_attributes`.
    pub head: Vec<u8>,
    /// The links.
    pub(crate) links: Vec<Piece>,
    /// `file_transfer_count` up to and including the end tag and a line end.
    pub tail: Vec<u8>,
    /// Characters that XML cannot carry and that became U+FFFD.
    pub n_replaced: u64,
    /// Names that belong to the directory.
    pub(crate) names: Vec<Shown>,
}

impl Parts {
    /// Adds links to recordings that the session has although its document does not tell of them.
    pub fn add_recordings(&mut self, recordings: &[Recording]) {
        for recording in recordings {
            add_recording(*recording, &mut self.links);
        }
    }

    /// What the links are, as bytes: equal links have equal bytes.
    pub fn links_digest(&self) -> Vec<u8> {
        crate::link::pack(&self.links)
    }
}

/// Writes a folded session. Teams have the names that `directory` gives them now; so have sites
/// and custom fields that the session's events gave no name.
pub fn session_parts(session: &Session, directory: &Directory) -> Parts {
    let mut head = Xml::default();
    let mut names = Vec::new();
    write_head(session, directory, &mut names, &mut head);
    let mut links = Vec::new();
    if session.custom_attributes.is_empty() {
        links.push(Piece::CustomAttributesIfDefined);
    }
    if let State::Ended { .. } = session.state {
        write_links(session, &mut links);
    }
    let mut tail = Xml::default();
    write_tail(session, directory, &mut names, &mut tail);
    Parts {
        names,
        lsid: session.lsid.as_str().into(),
        head: head.out,
        links,
        tail: tail.out,
        n_replaced: head.n_replaced + tail.n_replaced,
    }
}

fn write_head(session: &Session, directory: &Directory, names: &mut Vec<Shown>, xml: &mut Xml) {
    xml.start("session", &[("lsid", session.lsid.as_str())]);
    xml.leaf("session_type", &[], "support");
    xml.number("lseq", session.lseq);
    let start = session.start;
    xml.leaf(
        "start_time",
        &[("timestamp", &start.secs().to_string())],
        &iso(start),
    );
    match session.state {
        State::Ended { at } => {
            xml.leaf(
                "end_time",
                &[("timestamp", &at.secs().to_string())],
                &iso(at),
            );
        }
        State::Running | State::Lapsed => xml.leaf("end_time", &[], ""),
    }
    xml.leaf("duration", &[], &hms(session.seconds));
    let (site, told) = &session.public_site;
    let site_name = match told {
        Some(told) => told.clone(),
        None => {
            let shown = Shown::new(Kind::Site, site.as_str(), "", directory);
            names.push(shown.clone());
            shown.name
        }
    };
    xml.leaf("public_site", &[("id", site.as_str())], &site_name);
    if let Some(jumpoint) = &session.jumpoint {
        xml.leaf("jumpoint", &[("id", &jumpoint.id)], &jumpoint.name);
    }
    xml.leaf("external_key", &[], &session.external_key);
    if session.custom_attributes.is_empty() {
        return;
    }
    xml.nest("custom_attributes", &[], |xml| {
        for attribute in &session.custom_attributes {
            let code_name = attribute.code_name.as_str();
            let display_name = match &attribute.display_name {
                Some(told) => told.clone(),
                None => {
                    let kind = Kind::CustomField;
                    let shown = Shown::new(kind, code_name, code_name, directory);
                    names.push(shown.clone());
                    shown.name
                }
            };
            let names = [
                ("display_name", display_name.as_str()),
                ("code_name", code_name),
            ];
            xml.leaf("custom_attribute", &names, &attribute.value);
        }
    });
}

fn write_links(session: &Session, links: &mut Vec<Piece>) {
    let mut link = |element: &str, target, instance, action| {
        links.push(Piece::Literal(format!("<{element}>").into()));
        links.push(Piece::Address {
            target,
            instance,
            action,
        });
        links.push(Piece::Literal(format!("</{element}>").into()));
    };
    link("session_chat_view_url", LinkTarget::Chat, 0, Action::View);
    link(
        "session_chat_download_url",
        LinkTarget::Chat,
        0,
        Action::Download,
    );
    let recordings = &session.recordings;
    links.push(Piece::Guarded);
    if recordings.session.is_some() {
        links.extend(session_recording());
    }
    for (kind, instances) in [
        (RecordingKind::ShowMyScreen, &recordings.show_my_screen),
        (RecordingKind::CommandShell, &recordings.command_shell),
    ] {
        write_instances(kind, instances, links);
    }
    if links.last() == Some(&Piece::Guarded) {
        links.pop();
    }
}

/// The links to the recording of the customer's screen.
fn session_recording() -> Vec<Piece> {
    let target = LinkTarget::Recording(RecordingKind::Session);
    let link = |element: &str, action| {
        [
            literal(format!("<{element}>")),
            Piece::Address {
                target,
                instance: 0,
                action,
            },
            literal(format!("</{element}>")),
        ]
    };
    let view = link("session_recording_view_url", Action::View);
    let download = link("session_recording_download_url", Action::Download);
    view.into_iter().chain(download).collect()
}

fn write_instances(kind: RecordingKind, instances: &[u32], links: &mut Vec<Piece>) {
    if instances.is_empty() {
        return;
    }
    let list = format!("{}_recordings", kind.name());
    links.push(literal(format!("<{list}>")));
    for &instance in instances {
        links.extend(instance_recording(kind, instance));
    }
    links.push(literal(format!("</{list}>")));
}

/// The links to one recording of a numbered kind.
fn instance_recording(kind: RecordingKind, instance: u32) -> [Piece; 8] {
    let element = format!("{}_recording", kind.name());
    let target = LinkTarget::Recording(kind);
    let address = |action| Piece::Address {
        target,
        instance,
        action,
    };
    [
        literal(format!("<{element} instance=\"{instance}\">")),
        literal("<download_url>"),
        address(Action::Download),
        literal("</download_url>"),
        literal("<view_url>"),
        address(Action::View),
        literal("</view_url>"),
        literal(format!("</{element}>")),
    ]
}

fn literal(text: impl Into<String>) -> Piece {
    Piece::Literal(text.into().into_bytes())
}

/// Adds links to a recording where the order of elements has them, unless they are there.
fn add_recording(recording: Recording, links: &mut Vec<Piece>) {
    let Recording { kind, instance } = recording;
    let is_known = links.iter().any(|piece| {
        matches!(piece, Piece::Address { target, instance: known, .. }
            if *target == LinkTarget::Recording(kind)
                && (kind == RecordingKind::Session || *known == instance))
    });
    if is_known {
        return;
    }
    if let Some(at) = place_in_list(recording, links) {
        links.splice(at..at, instance_recording(kind, instance));
        return;
    }
    let mut fresh = vec![Piece::Guarded];
    match kind {
        RecordingKind::Session => fresh.extend(session_recording()),
        RecordingKind::ShowMyScreen | RecordingKind::CommandShell => {
            write_instances(kind, &[instance], &mut fresh);
        }
    }
    let before: &[u8] = match kind {
        RecordingKind::Session => b"</session_chat_download_url>",
        RecordingKind::ShowMyScreen => b"</session_recording_download_url>",
        RecordingKind::CommandShell => b"</show_my_screen_recordings>",
    };
    let follows = |piece: &Piece| matches!(piece, Piece::Literal(bytes) if bytes == before);
    let at = links.iter().rposition(follows).map(|idx| idx + 1);
    // Behind whatever comes before it in the order of elements, or else behind all there is.
    let at = at.unwrap_or(match kind {
        RecordingKind::Session => links
            .iter()
            .position(|piece| *piece == Piece::Guarded)
            .unwrap_or(links.len()),
        RecordingKind::ShowMyScreen => links
            .iter()
            .position(|piece| {
                matches!(piece, Piece::Literal(bytes) if bytes == b"<command_shell_recordings>")
            })
            .unwrap_or(links.len()),
        RecordingKind::CommandShell => links.len(),
    });
    let is_guarded = links[..at]
        .iter()
        .rfind(|piece| matches!(piece, Piece::Guarded | Piece::Open))
        == Some(&Piece::Guarded);
    if is_guarded {
        fresh.remove(0);
    } else {
        fresh.push(Piece::Open);
    }
    links.splice(at..at, fresh);
}

/// Where in the list of its kind a recording belongs: before the next higher instance, or at the
/// end. None when there is no list. A document of others may have white space in it, or no entry.
fn place_in_list(recording: Recording, links: &mut Vec<Piece>) -> Option<usize> {
    let Recording { kind, instance } = recording;
    let list_end = format!("</{}_recordings>", kind.name());
    let end = links.iter().position(
        |piece| matches!(piece, Piece::Literal(bytes) if bytes.ends_with(list_end.as_bytes())),
    )?;
    let higher = links[..end].iter().position(|piece| {
        matches!(piece, Piece::Address { target, instance: known, .. }
            if *target == LinkTarget::Recording(kind) && instance < *known)
    });
    let element = format!("<{}_recording ", kind.name());
    let begins = |piece: &Piece| {
        matches!(piece, Piece::Literal(bytes)
            if bytes.trim_ascii_start().starts_with(element.as_bytes()))
    };
    if let Some(higher) = higher
        && let Some(begin) = links[..higher].iter().rposition(begins)
    {
        return Some(begin);
    }
    let Piece::Literal(bytes) = &mut links[end] else {
        return None;
    };
    let before = bytes.len() - list_end.len();
    if before == 0 {
        return Some(end);
    }
    let close = bytes.split_off(before);
    links.insert(end + 1, Piece::Literal(close));
    Some(end + 1)
}

fn write_tail(session: &Session, directory: &Directory, names: &mut Vec<Shown>, xml: &mut Xml) {
    xml.number("file_transfer_count", session.n_file_transfers);
    xml.number("file_move_count", session.n_file_moves);
    xml.number("file_delete_count", session.n_file_deletes);
    if let Some(CustomerEntry { customer, .. }) = session.customers.first() {
        let gsnumber = customer.gsnumber.to_string();
        xml.leaf(
            "primary_customer",
            &[("gsnumber", &gsnumber)],
            &customer.username,
        );
    } else {
        xml.leaf("primary_customer", &[], "");
    }
    if let Some(group) = &session.jump_group {
        xml.leaf(
            "jump_group",
            &[("type", &group.kind), ("id", &group.id)],
            &group.name,
        );
    }
    if let Some(rep) = session.primary_rep() {
        let gsnumber = rep.gsnumber.to_string();
        let id = rep_id(rep);
        xml.leaf(
            "primary_rep",
            &[("gsnumber", &gsnumber), ("id", id)],
            rep.display_name(),
        );
    }
    if let Some(entry) = session.primary_team() {
        let id = entry.team.id.as_str();
        xml.leaf("primary_team", &[("id", id)], team_name(entry, directory));
    }
    xml.nest("customer_list", &[], |xml| {
        for entry in &session.customers {
            write_customer(entry, xml);
        }
    });
    xml.nest("rep_list", &[], |xml| {
        for rep in &session.reps {
            write_rep(rep, xml);
        }
    });
    xml.nest("team_list", &[], |xml| {
        for entry in &session.teams {
            let told = entry.team.name.as_deref().unwrap_or("");
            names.push(Shown::new(
                Kind::Team,
                entry.team.id.as_str(),
                told,
                directory,
            ));
            let primary = if entry.rank == Rank::Primary {
                "1"
            } else {
                "0"
            };
            let attributes = [("id", entry.team.id.as_str()), ("primary_team", primary)];
            xml.leaf("team", &attributes, team_name(entry, directory));
        }
    });
    write_surveys(
        "cust_survey_list",
        "cust_exit_survey",
        &session.customer_surveys,
        xml,
    );
    write_surveys(
        "rep_survey_list",
        "rep_exit_survey",
        &session.rep_surveys,
        xml,
    );
    xml.nest("session_details", &[], |xml| {
        for event in &session.events {
            write_event(event, session, xml);
        }
    });
    xml.end("session");
    xml.out.push(b'\n');
}

/// The team's current name, or else the one its events gave.
fn team_name<'a>(entry: &'a TeamEntry, directory: &'a Directory) -> &'a str {
    let then = entry.team.name.as_deref().unwrap_or("");
    directory.team_name(&entry.team.id).unwrap_or(then)
}

fn rep_id(rep: &RepEntry) -> &str {
    match &rep.person {
        Person::Joined(joined) => joined.id.as_str(),
        Person::Mentioned { .. } => "",
    }
}

const UNKNOWN: &str = "Unknown";

fn write_customer(entry: &CustomerEntry, xml: &mut Xml) {
    let customer = &entry.customer;
    let public_ip = customer
        .public_ip
        .map_or(UNKNOWN.into(), |ip| ip.to_string());
    xml.nest(
        "customer",
        &[("gsnumber", &customer.gsnumber.to_string())],
        |xml| {
            xml.leaf("username", &[], &customer.username);
            xml.leaf("public_ip", &[], &public_ip);
            xml.leaf(
                "private_ip",
                &[],
                customer.private_ip.as_deref().unwrap_or(UNKNOWN),
            );
            xml.leaf("hostname", &[], customer.hostname.as_deref().unwrap_or(""));
            xml.leaf("os", &[], customer.os.as_deref().unwrap_or(UNKNOWN));
            xml.number("primary_cust", u64::from(entry.rank == Rank::Primary));
            xml.nest("info", &[], |xml| {
                xml.leaf("name", &[], &customer.info.name);
                xml.leaf("company", &[], &customer.info.company);
                xml.leaf("company_code", &[], &customer.info.company_code);
                xml.leaf("issue", &[], &customer.info.issue);
                xml.leaf("details", &[], &customer.info.details);
            });
        },
    );
}

fn write_rep(rep: &RepEntry, xml: &mut Xml) {
    let gsnumber = rep.gsnumber.to_string();
    let attributes = [("gsnumber", gsnumber.as_str()), ("id", rep_id(rep))];
    let joined = match &rep.person {
        Person::Joined(joined) => Some(joined),
        Person::Mentioned { .. } => None,
    };
    let name = rep.display_name();
    let public_ip = joined
        .and_then(|j| j.public_ip)
        .map_or(UNKNOWN.into(), |ip| ip.to_string());
    xml.nest("representative", &attributes, |xml| {
        xml.leaf("username", &[], joined.map_or(name, |j| &j.username));
        // Deprecated since version 1.10.0 of the vendor's API: always the private display name.
        xml.leaf("display_name", &[], name);
        xml.leaf(
            "public_display_name",
            &[],
            joined.map_or(name, |j| &j.public_display_name),
        );
        xml.leaf("private_display_name", &[], name);
        xml.leaf(
            "display_number",
            &[],
            joined.map_or("", |j| &j.display_number),
        );
        xml.leaf("public_ip", &[], &public_ip);
        let private_ip = joined.and_then(|j| j.private_ip.as_deref());
        xml.leaf("private_ip", &[], private_ip.unwrap_or(UNKNOWN));
        let hostname = joined.and_then(|j| j.hostname.as_deref());
        xml.leaf("hostname", &[], hostname.unwrap_or(""));
        xml.leaf(
            "os",
            &[],
            joined.and_then(|j| j.os.as_deref()).unwrap_or(UNKNOWN),
        );
        xml.number("session_owner", u64::from(rep.role != Role::Member));
        xml.number("primary_rep", u64::from(rep.role == Role::PrimaryOwner));
        xml.number("seconds_involved", rep.seconds_involved);
        if joined.is_some_and(|j| j.invitation == debrief_domain::Invitation::Invited) {
            xml.number("invited", 1);
        }
    });
}

fn write_surveys(list: &str, element: &str, surveys: &[SurveyEntry], xml: &mut Xml) {
    if surveys.is_empty() {
        return;
    }
    xml.nest(list, &[], |xml| {
        for entry in surveys {
            let gsnumber = entry.gsnumber.to_string();
            let timestamp = entry.at.secs().to_string();
            let attributes = [
                ("gsnumber", gsnumber.as_str()),
                ("timestamp", timestamp.as_str()),
            ];
            xml.nest(element, &attributes, |xml| write_questions(entry, xml));
        }
    });
}

fn write_questions(entry: &SurveyEntry, xml: &mut Xml) {
    let by = match entry.by {
        ActorKind::Representative => "rep",
        ActorKind::Customer | ActorKind::System | ActorKind::Everyone => "customer",
    };
    let gsnumber = entry.gsnumber.to_string();
    xml.leaf("submitted_by", &[("type", by), ("gsnumber", &gsnumber)], "");
    xml.nest("question_list", &[], |xml| {
        for question in &entry.survey.questions {
            xml.nest("question", &[("id", &question.id)], |xml| {
                xml.leaf("type", &[], &question.kind);
                xml.leaf("label", &[], &question.label);
                xml.leaf("name", &[], &question.name);
                xml.leaf("report_header", &[], &question.report_header);
                xml.nest("answer_list", &[], |xml| {
                    for answer in &question.answers {
                        xml.leaf("answer", &[], answer);
                    }
                });
            });
        }
    });
}

fn write_event(event: &Event, session: &Session, xml: &mut Xml) {
    let timestamp = event.at.secs().to_string();
    let attributes = [
        ("timestamp", timestamp.as_str()),
        ("event_type", event.kind.name()),
    ];
    xml.nest("event", &attributes, |xml| {
        if let Some(actor) = &event.performed_by {
            write_actor("performed_by", actor, session, xml);
        }
        if let Some(actor) = &event.destination {
            write_actor("destination", actor, session, xml);
        }
        match &event.body {
            Some(Body::Text(text)) if is_xml_text(text) => xml.leaf("body", &[], text),
            Some(Body::Text(text)) => xml.leaf("encoded_body", &[], &mime(text.as_bytes())),
            Some(Body::Bytes(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) if is_xml_text(text) => xml.leaf("body", &[], text),
                Ok(_) | Err(_) => xml.leaf("encoded_body", &[], &mime(bytes)),
            },
            None => {}
        }
        if let Some(filename) = &event.filename {
            xml.leaf("filename", &[], filename);
        }
        if let Some(filesize) = event.filesize {
            xml.number("filesize", filesize);
        }
        write_system_information(event, xml);
        if !event.files.is_empty() {
            xml.nest("files", &[], |xml| {
                for file in &event.files {
                    xml.nest("file", &[], |xml| {
                        xml.leaf("filename", &[], &file.name);
                        xml.number("filesize", file.size);
                    });
                }
            });
        }
        write_data(event, xml);
    });
}

fn write_actor(element: &str, actor: &Actor, session: &Session, xml: &mut Xml) {
    let gsnumber = actor.gsnumber.to_string();
    let known = || match actor.kind {
        ActorKind::System => "System",
        ActorKind::Everyone => "Everyone",
        ActorKind::Customer => session
            .customers
            .iter()
            .find(|entry| entry.customer.gsnumber == actor.gsnumber)
            .map_or("", |entry| entry.customer.username.as_str()),
        ActorKind::Representative => session
            .reps
            .iter()
            .find(|rep| rep.gsnumber == actor.gsnumber)
            .map_or("", RepEntry::display_name),
    };
    let name = actor.name.as_deref().unwrap_or_else(known);
    xml.leaf(
        element,
        &[("type", actor.kind.name()), ("gsnumber", &gsnumber)],
        name,
    );
}

fn write_system_information(event: &Event, xml: &mut Xml) {
    if event.system_information.is_empty() {
        return;
    }
    xml.nest("system_information", &[], |xml| {
        for category in &event.system_information {
            xml.nest("category", &[("name", &category.name)], |xml| {
                let ids: Vec<String> = (0..category.fields.len()).map(|n| n.to_string()).collect();
                let columns = || ids.iter().zip(&category.fields);
                xml.nest("description", &[], |xml| {
                    for (id, name) in columns() {
                        xml.leaf("field", &[("id", id), ("name", name)], name);
                    }
                });
                xml.nest("data", &[], |xml| {
                    for row in &category.rows {
                        xml.nest("row", &[], |xml| {
                            for ((id, name), cell) in columns().zip(row) {
                                xml.leaf("field", &[("id", id), ("name", name)], cell);
                            }
                        });
                    }
                });
            });
        }
    });
}

/// The event's own values, and those that clients look for here although elements say them too.
fn write_data(event: &Event, xml: &mut Xml) {
    let implied = implied_data(event);
    let told = |name: &str| event.data.iter().any(|(known, _)| known == name);
    let implied: Vec<_> = implied
        .into_iter()
        .filter(|(name, _)| !told(name))
        .collect();
    if event.data.is_empty() && implied.is_empty() {
        return;
    }
    xml.nest("data", &[], |xml| {
        let own = event
            .data
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let all = own.chain(implied.iter().map(|(name, value)| (*name, value.as_str())));
        for (name, value) in all {
            xml.leaf("value", &[("name", name), ("value", value)], "");
        }
    });
}

fn implied_data(event: &Event) -> Vec<(&'static str, String)> {
    let mut data: Vec<(&'static str, String)> = Vec::new();
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| UNKNOWN.into());
    if event.kind == EventType::ConferenceMemberAdded {
        if let Some(joined) = &event.representative {
            data.push(("name", joined.private_display_name.clone()));
            data.push(("private_name", joined.private_display_name.clone()));
            data.push(("public_name", joined.public_display_name.clone()));
            data.push(("username", joined.username.clone()));
            data.push(("private_ip", text(&joined.private_ip)));
            data.push((
                "public_ip",
                joined.public_ip.map_or(UNKNOWN.into(), |ip| ip.to_string()),
            ));
            data.push(("hostname", joined.hostname.clone().unwrap_or_default()));
            data.push(("os", text(&joined.os)));
            data.push(("support_teams", joined.support_teams.join(", ")));
            data.push(("user_id", joined.id.as_str().into()));
        } else if let Some(customer) = &event.customer {
            data.push(("name", customer.username.clone()));
            data.push(("private_ip", text(&customer.private_ip)));
            let public_ip = customer
                .public_ip
                .map_or(UNKNOWN.into(), |ip| ip.to_string());
            data.push(("public_ip", public_ip));
            data.push(("hostname", customer.hostname.clone().unwrap_or_default()));
            data.push(("os", text(&customer.os)));
        }
    }
    if event.kind == EventType::ConferenceOwnerChanged
        && let Some(name) = event
            .destination
            .as_ref()
            .and_then(|actor| actor.name.as_ref())
    {
        data.push(("owner", name.clone()));
    }
    if let Some(key) = event
        .session
        .as_ref()
        .and_then(|session| session.external_key.as_ref())
        && event.kind == EventType::ExternalKey
    {
        data.push(("external_key", key.clone()));
    }
    if let Some(filename) = &event.filename {
        data.push(("filename", filename.clone()));
    }
    if let Some(filesize) = event.filesize {
        data.push(("filesize", filesize.to_string()));
    }
    data
}

/// Base64 in lines of 76 characters, as RFC 2045 section 6.8 has it.
fn mime(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (idx, line) in bytes.chunks(57).enumerate() {
        if 0 < idx {
            text.push('\n');
        }
        STANDARD.encode_string(line, &mut text);
    }
    text
}
