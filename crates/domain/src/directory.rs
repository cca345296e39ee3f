//! Who and what there is besides sessions: representatives, teams, sites and custom fields.

use std::collections::{BTreeMap, BTreeSet};

use crate::{At, CodeName, RepId, SiteId, TeamId};

/// The whole directory as it is now. Reports show its current names of teams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// Representatives by user id.
    pub representatives: BTreeMap<RepId, Representative>,
    /// Teams by id.
    pub teams: BTreeMap<TeamId, Team>,
    /// Public sites by id.
    pub sites: BTreeMap<SiteId, Site>,
    /// Custom fields by code name.
    pub custom_fields: BTreeMap<CodeName, CustomField>,
}

/// A representative's account as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Representative {
    /// The user name.
    pub username: String,
    /// The name customers see.
    pub public_display_name: String,
    /// The name colleagues see.
    pub private_display_name: String,
    /// The display number.
    pub display_number: String,
}

/// A time a representative was logged in without a break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user id.
    pub rep: RepId,
    /// Since when.
    pub since: At,
    /// Until when; none while it lasts.
    pub until: Option<At>,
}

/// A support team as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Team {
    /// Its display name.
    pub name: String,
    /// Who belongs to it now.
    pub members: BTreeSet<RepId>,
    /// The issues a customer may choose that lead to this team.
    pub issues: Vec<Issue>,
}

/// An issue a customer may choose on the front page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
}

/// A public site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    /// Its name.
    pub name: String,
}

/// A custom field that sessions may have a value for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomField {
    /// Its display name.
    pub display_name: String,
}

impl Directory {
    /// The team's current name.
    pub fn team_name(&self, id: &TeamId) -> Option<&str> {
        self.teams.get(id).map(|team| team.name.as_str())
    }

    /// The public site's current name.
    pub fn site_name(&self, id: &SiteId) -> Option<&str> {
        self.sites.get(id).map(|site| site.name.as_str())
    }

    /// Who is now a member of the team; nobody when there is no such team.
    pub fn members(&self, id: &TeamId) -> impl Iterator<Item = &RepId> {
        self.teams
            .get(id)
            .into_iter()
            .flat_map(|team| &team.members)
    }

    /// Members that no representative entry describes, each with its team: a faulty document.
    pub fn unknown_members(&self) -> Vec<(&TeamId, &RepId)> {
        let teams = self.teams.iter();
        teams
            .flat_map(|(id, team)| team.members.iter().map(move |member| (id, member)))
            .filter(|(_, member)| !self.representatives.contains_key(*member))
            .collect()
    }
}
