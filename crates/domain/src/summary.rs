//! The few facts of a session by which it is found, kept beside its events.
//!
//! Every fact is a minimum, a maximum or a union, so a summary can take events in any order, any
//! grouping and any number of times, and an archive need not read old events to add a new one.
//! A test holds it equal to what [`crate::fold()`] derives.

use std::collections::{BTreeMap, BTreeSet};

use crate::{ActorKind, At, Event, EventType, RepId, SiteId, TeamId};

/// What an index knows of a session made of events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The earliest Session Start.
    pub started: Option<At>,
    /// The earliest event.
    pub first: Option<At>,
    /// The latest event.
    pub last: Option<At>,
    /// The latest Session End.
    pub ended: Option<At>,
    /// Numbers of the representatives who ever owned the session.
    pub owners: BTreeSet<u32>,
    /// The user id each number joined with first.
    pub joined: BTreeMap<u32, (At, RepId)>,
    /// Teams the session ever belonged to.
    pub teams: BTreeSet<TeamId>,
    /// The public site of the earliest Session Start that named one.
    pub site: Option<(At, SiteId)>,
}

impl Summary {
    /// Takes one event in.
    pub fn absorb(&mut self, event: &Event) {
        let at = event.at;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = self.last.max(Some(at));
        if let Some(team) = &event.team {
            self.teams.insert(team.id.clone());
        }
        if let Some(joined) = &event.representative
            && self
                .joined
                .get(&joined.gsnumber)
                .is_none_or(|(earlier, _)| at < *earlier)
        {
            self.joined.insert(joined.gsnumber, (at, joined.id.clone()));
        }
        match event.kind {
            EventType::SessionStart => {
                self.started = Some(self.started.map_or(at, |started| started.min(at)));
                let site = event
                    .session
                    .as_ref()
                    .and_then(|session| session.public_site.as_ref());
                if let Some((id, _)) = site
                    && self.site.as_ref().is_none_or(|(earlier, _)| at < *earlier)
                {
                    self.site = Some((at, id.clone()));
                }
            }
            EventType::SessionEnd => self.ended = self.ended.max(Some(at)),
            EventType::ConferenceOwnerChanged => self.owners.extend(new_owner(event)),
            _ => {}
        }
    }

    /// Takes in what a later summary of the same session tells: as if its events had come after
    /// those of this one.
    pub fn merge(&mut self, later: &Summary) {
        let earliest = |a: Option<At>, b: Option<At>| a.into_iter().chain(b).min();
        self.started = earliest(self.started, later.started);
        self.first = earliest(self.first, later.first);
        self.last = self.last.max(later.last);
        self.ended = self.ended.max(later.ended);
        self.owners.extend(&later.owners);
        for (gsnumber, (at, id)) in &later.joined {
            if self
                .joined
                .get(gsnumber)
                .is_none_or(|(known, _)| at < known)
            {
                self.joined.insert(*gsnumber, (*at, id.clone()));
            }
        }
        for team in &later.teams {
            if !self.teams.contains(team) {
                self.teams.insert(team.clone());
            }
        }
        if let Some((at, _)) = &later.site
            && self.site.as_ref().is_none_or(|(known, _)| at < known)
        {
            self.site.clone_from(&later.site);
        }
    }

    /// When the session began: the earliest Session Start, or else the earliest event.
    pub fn start(&self) -> Option<At> {
        self.started.or(self.first)
    }

    /// User ids of the representatives who ever owned the session.
    pub fn owner_ids(&self) -> BTreeSet<&RepId> {
        let joined = self
            .owners
            .iter()
            .filter_map(|gsnumber| self.joined.get(gsnumber));
        joined.map(|(_, id)| id).collect()
    }

    /// The public site; the default one when no Session Start named another.
    pub fn site_id(&self) -> SiteId {
        self.site
            .as_ref()
            .map_or_else(SiteId::default_site, |(_, id)| id.clone())
    }
}

/// The representative whom a Conference Owner Changed event makes the owner: its destination, or
/// else the representative it carries. None when the session goes to the system, such as a queue.
pub(crate) fn new_owner(event: &Event) -> Option<u32> {
    match &event.destination {
        Some(actor) if actor.kind == ActorKind::Representative => Some(actor.gsnumber),
        Some(_) => None,
        None => event.representative.as_ref().map(|joined| joined.gsnumber),
    }
}
