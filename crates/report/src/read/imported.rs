//! One session of a document: what an archive must know to find it, and its bytes.

use debrief_domain::{At, Lsid, RecordingKind, RepId, SiteId, TeamId};

use crate::element::{Element, Node};
use crate::link::{Action, LinkTarget, Piece};
use crate::names::{Kind, Shown};
use crate::time::{parse_hms, parse_iso};
use crate::write::Parts;

/// A session as a document tells it. Its header is the document's, never derived again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its id.
    pub lsid: Lsid,
    /// Its number, if the document has one.
    pub lseq: Option<u64>,
    /// When it began.
    pub start: At,
    /// When it ended, if it did.
    pub end: Option<At>,
    /// Its public site; the default one when the document names none.
    pub site: SiteId,
    /// Representatives who owned it.
    pub owners: Vec<RepId>,
    /// Teams it belonged to.
    pub teams: Vec<TeamId>,
    /// The time of its last event.
    pub last_event: Option<At>,
    /// How many events it has.
    pub n_events: u64,
    /// Its bytes.
    pub parts: Parts,
}

impl Imported {
    pub(super) fn new(session: Element, namespace: &str) -> Result<Imported, String> {
        let lsid = session
            .attribute("lsid")
            .ok_or("`session` has no attribute `lsid`")?;
        let lsid = Lsid::parse(lsid).map_err(|error| format!("the attribute `lsid` {error}"))?;
        let named = |message: String| format!("session `{lsid}`: {message}");
        let start = time(&session, "start_time")
            .and_then(|start| start.ok_or("`start_time` is missing or empty".into()))
            .map_err(named)?;
        let end = time(&session, "end_time").map_err(named)?;
        let lseq = session
            .child("lseq")
            .and_then(|lseq| lseq.text().trim().parse().ok());
        let events = || {
            session
                .child("session_details")
                .into_iter()
                .flat_map(|list| list.elements_named("event"))
        };
        let times = events().filter_map(|event| event.attribute("timestamp"));
        let last_event = times
            .filter_map(|time| time.parse().ok())
            .filter_map(|secs| At::from_secs(secs).ok())
            .max();
        Ok(Imported {
            lseq,
            start,
            end,
            site: site(&session),
            owners: owners(&session),
            teams: teams(&session),
            last_event,
            n_events: events().count() as u64,
            parts: parts(&session, lsid.as_str(), namespace),
            lsid,
        })
    }
}

/// Representatives who owned the session, each once.
pub(crate) fn owners(session: &Element) -> Vec<RepId> {
    let is_owner = |rep: &&Element| {
        rep.child("session_owner")
            .is_some_and(|owner| owner.text().trim() == "1")
    };
    let reps = session
        .child("rep_list")
        .into_iter()
        .flat_map(|list| list.elements_named("representative"));
    let owners = reps.filter(is_owner).filter_map(|rep| rep.attribute("id"));
    let mut owners: Vec<RepId> = owners
        .chain(id_of(session, "primary_rep"))
        .filter_map(|id| RepId::parse(id).ok())
        .collect();
    owners.sort();
    owners.dedup();
    owners
}

/// Teams the session belonged to, each once.
pub(crate) fn teams(session: &Element) -> Vec<TeamId> {
    let teams = session
        .child("team_list")
        .into_iter()
        .flat_map(|list| list.elements_named("team"));
    let teams = teams.filter_map(|team| team.attribute("id"));
    let mut teams: Vec<TeamId> = teams
        .chain(id_of(session, "primary_team"))
        .filter_map(|id| TeamId::parse(id).ok())
        .collect();
    teams.sort();
    teams.dedup();
    teams
}

/// The session's public site; the default one when it names none.
pub(crate) fn site(session: &Element) -> SiteId {
    let told = id_of(session, "public_site").and_then(|id| SiteId::parse(id).ok());
    told.unwrap_or_else(SiteId::default_site)
}

/// How long the session took, or has taken so far; none when it does not say.
pub(crate) fn seconds(session: &Element) -> Option<u64> {
    let told = session.child("duration");
    if let Some(seconds) = told.and_then(|told| parse_hms(&told.text())) {
        return Some(seconds);
    }
    let at = |name| time(session, name).ok().flatten();
    let (start, end) = (at("start_time")?, at("end_time")?);
    u64::try_from(end.secs() - start.secs()).ok()
}

fn id_of<'a>(session: &'a Element, name: &str) -> Option<&'a str> {
    session.child(name).and_then(|child| child.attribute("id"))
}

/// The time an element tells: its attribute `timestamp`, or else its text.
fn time(session: &Element, name: &str) -> Result<Option<At>, String> {
    let Some(element) = session.child(name) else {
        return Ok(None);
    };
    let text = element.text();
    match element.attribute("timestamp") {
        Some(secs) if !secs.trim().is_empty() => {
            let at = secs
                .trim()
                .parse()
                .ok()
                .and_then(|secs| At::from_secs(secs).ok());
            at.map(Some).ok_or_else(|| {
                format!(
                    "the attribute `timestamp` of `{name}` is no UNIX time: {}",
                    short(secs)
                )
            })
        }
        _ if text.trim().is_empty() => Ok(None),
        _ => {
            let at = parse_iso(&text);
            at.map(Some)
                .ok_or_else(|| format!("`{name}` is no ISO 8601 time: {}", short(&text)))
        }
    }
}

fn short(text: &str) -> String {
    format!("`{}`", text.chars().take(40).collect::<String>())
}

/// Which link an element of the session is or holds.
fn link_of(name: &str) -> Option<LinkTarget> {
    match name {
        "session_chat_view_url" | "session_chat_download_url" => Some(LinkTarget::Chat),
        "session_recording_view_url" | "session_recording_download_url" => {
            Some(LinkTarget::Recording(RecordingKind::Session))
        }
        "show_my_screen_recordings" => Some(LinkTarget::Recording(RecordingKind::ShowMyScreen)),
        "command_shell_recordings" => Some(LinkTarget::Recording(RecordingKind::CommandShell)),
        _ => None,
    }
}

/// Elements that stand after the links in the vendor's order; where there are no links, the tail
/// begins at the first of these.
const AFTER_LINKS: &[&str] = &[
    "file_transfer_count",
    "file_move_count",
    "file_delete_count",
    "primary_customer",
    "primary_rep",
    "primary_team",
    "customer_list",
    "rep_list",
    "team_list",
    "cust_survey_list",
    "rep_survey_list",
    "session_details",
];

/// Cuts the session into head, links and tail, every child in its place.
fn parts(session: &Element, lsid: &str, namespace: &str) -> Parts {
    let name = |node: &Node| match node {
        Node::Element(e) if e.foreign.is_none() => Some(e.name.clone()),
        Node::Element(_) | Node::Text(_) => None,
    };
    let is_link = |node: &Node| name(node).is_some_and(|name| link_of(&name).is_some());
    let is_after = |node: &Node| name(node).is_some_and(|name| AFTER_LINKS.contains(&&*name));
    let children = &session.children;
    let first_link = children.iter().position(is_link);
    let links_begin = first_link
        .or_else(|| children.iter().position(is_after))
        .unwrap_or(children.len());
    let links_end = children
        .iter()
        .rposition(is_link)
        .map_or(links_begin, |last| last + 1);

    let mut parts = Parts {
        lsid: lsid.into(),
        ..Parts::default()
    };
    session.write_start(namespace, None, &mut parts.head);
    for node in &children[..links_begin] {
        node.write(namespace, None, &mut parts.head);
    }
    for node in &children[links_begin..links_end] {
        match node {
            Node::Element(element) if is_link(node) => {
                link_pieces(element, namespace, &mut parts.links);
            }
            Node::Element(_) | Node::Text(_) => {
                let mut literal = Vec::new();
                node.write(namespace, None, &mut literal);
                parts.links.push(Piece::Literal(literal));
            }
        }
    }
    for node in &children[links_end..] {
        node.write(namespace, None, &mut parts.tail);
    }
    session.write_end(&mut parts.tail);
    parts.tail.push(b'\n');
    parts.names = team_names(session);
    parts
}

/// The teams it shows; each is called what the directory calls it now.
fn team_names(session: &Element) -> Vec<Shown> {
    let listed = session
        .child("team_list")
        .into_iter()
        .flat_map(|l| l.elements_named("team"));
    let teams = listed.chain(session.child("primary_team"));
    let shown = |team: &Element| {
        let id = team.attribute("id")?.to_owned();
        let told = team.text();
        Some(Shown {
            kind: Kind::Team,
            id,
            name: told.clone(),
            told,
        })
    };
    teams.filter_map(shown).collect()
}

/// An element that is or holds links, with an address of our own in place of each that it has.
fn link_pieces(element: &Element, namespace: &str, pieces: &mut Vec<Piece>) {
    let Some(target) = link_of(&element.name) else {
        return;
    };
    let is_recording = target != LinkTarget::Chat;
    if is_recording {
        pieces.push(Piece::Guarded);
    }
    let mut open = Vec::new();
    write_pieces(element, target, 0, namespace, &mut open, pieces);
    if !open.is_empty() {
        pieces.push(Piece::Literal(open));
    }
    if is_recording {
        pieces.push(Piece::Open);
    }
}

fn write_pieces(
    element: &Element,
    target: LinkTarget,
    instance: u32,
    namespace: &str,
    open: &mut Vec<u8>,
    pieces: &mut Vec<Piece>,
) {
    let told = element
        .attribute("instance")
        .and_then(|instance| instance.parse().ok());
    let instance = told.unwrap_or(instance);
    let close = |open: &mut Vec<u8>, pieces: &mut Vec<Piece>| {
        if !open.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(open)));
        }
    };
    let action = match &*element.name {
        name if name.ends_with("view_url") => Some(Action::View),
        name if name.ends_with("download_url") => Some(Action::Download),
        _ => None,
    };
    element.write_start(namespace, None, open);
    match action {
        Some(action) if !element.text().trim().is_empty() => {
            close(open, pieces);
            pieces.push(Piece::Address {
                target,
                instance,
                action,
            });
        }
        _ => {
            for node in &element.children {
                match node {
                    Node::Element(child) if child.foreign.is_none() => {
                        // Common pieces stand alone, so that they pack into two bytes.
                        close(open, pieces);
                        write_pieces(child, target, instance, namespace, open, pieces);
                    }
                    Node::Element(_) | Node::Text(_) => node.write(namespace, None, open),
                }
            }
        }
    }
    element.write_end(open);
    close(open, pieces);
}
