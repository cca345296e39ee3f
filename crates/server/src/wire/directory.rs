//! The directory document: representatives, teams, sites and custom fields.

use std::collections::BTreeSet;

use debrief_domain::limits::{
    CUSTOM_ATTRIBUTES_MAX, NAME_CHARS_MAX, REPRESENTATIVES_MAX, SITES_MAX, TEAMS_MAX,
};
use debrief_domain::{
    CodeName, CustomField, Directory, InvalidId, Issue, RepId, Representative, Site, SiteId, Team,
    TeamId,
};
use serde::{Deserialize, Serialize};

/// Issues of one team.
const TEAM_ISSUES_MAX: usize = 1_000;

/// The whole document.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DirectoryDoc {
    representatives: Vec<RepresentativeDoc>,
    teams: Vec<TeamDoc>,
    sites: Vec<SiteDoc>,
    custom_fields: Vec<CustomFieldDoc>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RepresentativeDoc {
    id: String,
    username: String,
    public_display_name: String,
    private_display_name: String,
    display_number: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TeamDoc {
    id: String,
    name: String,
    members: Vec<String>,
    issues: Vec<IssueDoc>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct IssueDoc {
    id: String,
    title: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SiteDoc {
    id: String,
    name: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CustomFieldDoc {
    code_name: String,
    display_name: String,
}

/// Reads a document in TOML or JSON, told apart by the first character.
pub(crate) fn parse(text: &str) -> Result<Directory, Vec<String>> {
    if text.trim_start().starts_with('{') {
        return parse_json(text.as_bytes());
    }
    let document: DirectoryDoc = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
    document.check()
}

/// Reads a document in JSON.
pub(crate) fn parse_json(body: &[u8]) -> Result<Directory, Vec<String>> {
    let document: DirectoryDoc = objects(body)?;
    document.check()
}

/// JSON whose records are objects: a list of values in order would be taken for a record too.
fn objects<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Vec<String>> {
    let fault = |error: serde_json::Error| vec![format!("body: {error}")];
    let value: serde_json::Value = serde_json::from_slice(body).map_err(fault)?;
    let Some(lists) = value.as_object() else {
        return Err(vec!["body: must be an object".into()]);
    };
    let mut faults = Vec::new();
    for (name, list) in lists {
        let Some(records) = list.as_array() else {
            faults.push(format!("{name}: must be a list"));
            continue;
        };
        for (idx, record) in records.iter().enumerate() {
            if !record.is_object() {
                faults.push(format!("{name}[{idx}]: must be an object"));
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    serde_json::from_value(value).map_err(fault)
}

/// Reads a part of a document in JSON: lists it does not have are those of `before`.
pub(crate) fn parse_part(body: &[u8], before: &Directory) -> Result<Directory, Vec<String>> {
    let part: PartDoc = objects(body)?;
    let whole = DirectoryDoc::of(before);
    let document = DirectoryDoc {
        representatives: part.representatives.unwrap_or(whole.representatives),
        teams: part.teams.unwrap_or(whole.teams),
        sites: part.sites.unwrap_or(whole.sites),
        custom_fields: part.custom_fields.unwrap_or(whole.custom_fields),
    };
    document.check()
}

/// A part of a document: lists that are not there stay as they are.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PartDoc {
    representatives: Option<Vec<RepresentativeDoc>>,
    teams: Option<Vec<TeamDoc>>,
    sites: Option<Vec<SiteDoc>>,
    custom_fields: Option<Vec<CustomFieldDoc>>,
}

/// Faults found so far, each with its place.
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, place: &str, what: &str) {
        self.0.push(format!("{place}: {what}"));
    }

    fn id<T>(&mut self, place: &str, parsed: Result<T, InvalidId>) -> Option<T> {
        parsed
            .map_err(|error| self.add(place, &error.to_string()))
            .ok()
    }

    fn name(&mut self, place: &str, name: &str) {
        if name.trim().is_empty() {
            self.add(place, "must not be empty");
        }
        self.length(place, name);
    }

    fn length(&mut self, place: &str, text: &str) {
        if text.chars().nth(NAME_CHARS_MAX).is_some() {
            self.add(
                place,
                &format!("is longer than {NAME_CHARS_MAX} characters"),
            );
        }
    }

    fn count(&mut self, place: &str, n: usize, max: usize) {
        if max < n {
            self.add(place, &format!("has {n} entries, more than {max}"));
        }
    }
}

impl DirectoryDoc {
    /// The directory, or every fault of the document.
    pub(crate) fn check(self) -> Result<Directory, Vec<String>> {
        let mut faults = Faults(Vec::new());
        let mut directory = Directory::default();
        faults.count(
            "representatives",
            self.representatives.len(),
            REPRESENTATIVES_MAX,
        );
        faults.count("teams", self.teams.len(), TEAMS_MAX);
        faults.count("sites", self.sites.len(), SITES_MAX);
        faults.count(
            "custom_fields",
            self.custom_fields.len(),
            CUSTOM_ATTRIBUTES_MAX,
        );
        for (idx, doc) in self.representatives.into_iter().enumerate() {
            representative(idx, doc, &mut directory, &mut faults);
        }
        for (idx, doc) in self.teams.into_iter().enumerate() {
            team(idx, doc, &mut directory, &mut faults);
        }
        for (idx, doc) in self.sites.into_iter().enumerate() {
            let place = format!("sites[{idx}]");
            faults.name(&format!("{place}.name"), &doc.name);
            if let Some(id) = faults.id(&format!("{place}.id"), SiteId::parse(&doc.id))
                && directory
                    .sites
                    .insert(id, Site { name: doc.name })
                    .is_some()
            {
                faults.add(&format!("{place}.id"), "is there twice");
            }
        }
        for (idx, doc) in self.custom_fields.into_iter().enumerate() {
            let place = format!("custom_fields[{idx}]");
            faults.name(&format!("{place}.display_name"), &doc.display_name);
            let code_name = CodeName::parse(&doc.code_name);
            let field = CustomField {
                display_name: doc.display_name,
            };
            if let Some(code_name) = faults.id(&format!("{place}.code_name"), code_name)
                && directory.custom_fields.insert(code_name, field).is_some()
            {
                faults.add(&format!("{place}.code_name"), "is there twice");
            }
        }
        for (team, member) in directory.unknown_members() {
            let what = format!("member `{member}` is no representative of this document");
            faults.add(&format!("team `{team}`"), &what);
        }
        if faults.0.is_empty() {
            Ok(directory)
        } else {
            Err(faults.0)
        }
    }

    /// The document of a directory.
    pub(crate) fn of(directory: &Directory) -> DirectoryDoc {
        let representatives = directory.representatives.iter();
        let teams = directory.teams.iter();
        let issue = |issue: &Issue| IssueDoc {
            id: issue.id.clone(),
            title: issue.title.clone(),
        };
        DirectoryDoc {
            representatives: representatives
                .map(|(id, rep)| RepresentativeDoc {
                    id: id.to_string(),
                    username: rep.username.clone(),
                    public_display_name: rep.public_display_name.clone(),
                    private_display_name: rep.private_display_name.clone(),
                    display_number: rep.display_number.clone(),
                })
                .collect(),
            teams: teams
                .map(|(id, team)| TeamDoc {
                    id: id.to_string(),
                    name: team.name.clone(),
                    members: team.members.iter().map(ToString::to_string).collect(),
                    issues: team.issues.iter().map(issue).collect(),
                })
                .collect(),
            sites: directory
                .sites
                .iter()
                .map(|(id, site)| SiteDoc {
                    id: id.to_string(),
                    name: site.name.clone(),
                })
                .collect(),
            custom_fields: directory
                .custom_fields
                .iter()
                .map(|(code_name, field)| CustomFieldDoc {
                    code_name: code_name.to_string(),
                    display_name: field.display_name.clone(),
                })
                .collect(),
        }
    }
}

fn representative(
    idx: usize,
    doc: RepresentativeDoc,
    directory: &mut Directory,
    faults: &mut Faults,
) {
    let place = format!("representatives[{idx}]");
    faults.name(&format!("{place}.username"), &doc.username);
    for (name, text) in [
        ("public_display_name", &doc.public_display_name),
        ("private_display_name", &doc.private_display_name),
        ("display_number", &doc.display_number),
    ] {
        faults.length(&format!("{place}.{name}"), text);
    }
    let Some(id) = faults.id(&format!("{place}.id"), RepId::parse(&doc.id)) else {
        return;
    };
    let or_username = |name: String| {
        if name.is_empty() {
            doc.username.clone()
        } else {
            name
        }
    };
    let entry = Representative {
        public_display_name: or_username(doc.public_display_name),
        private_display_name: or_username(doc.private_display_name),
        display_number: doc.display_number,
        username: doc.username,
    };
    if directory.representatives.insert(id, entry).is_some() {
        faults.add(&format!("{place}.id"), "is there twice");
    }
}

fn team(idx: usize, doc: TeamDoc, directory: &mut Directory, faults: &mut Faults) {
    let place = format!("teams[{idx}]");
    faults.name(&format!("{place}.name"), &doc.name);
    let mut members = BTreeSet::new();
    for member in &doc.members {
        if let Some(member) = faults.id(&format!("{place}.members"), RepId::parse(member)) {
            members.insert(member);
        }
    }
    faults.count(
        &format!("{place}.issues"),
        doc.issues.len(),
        TEAM_ISSUES_MAX,
    );
    for issue in &doc.issues {
        faults.length(&format!("{place}.issues"), &issue.id);
        faults.length(&format!("{place}.issues"), &issue.title);
    }
    let issues = doc.issues.into_iter().map(|issue| Issue {
        id: issue.id,
        title: issue.title,
    });
    let entry = Team {
        name: doc.name,
        members,
        issues: issues.collect(),
    };
    let Some(id) = faults.id(&format!("{place}.id"), TeamId::parse(&doc.id)) else {
        return;
    };
    if directory.teams.insert(id, entry).is_some() {
        faults.add(&format!("{place}.id"), "is there twice");
    }
}

/// What would change, one line each: `+` is new, `-` goes, `~` differs.
pub(crate) fn changes(before: &Directory, after: &Directory) -> Vec<String> {
    let mut lines = Vec::new();
    compare(
        "representative",
        &before.representatives,
        &after.representatives,
        |rep| rep.private_display_name.clone(),
        &mut lines,
    );
    compare(
        "team",
        &before.teams,
        &after.teams,
        |team| {
            format!(
                "{} ({} members, {} issues)",
                team.name,
                team.members.len(),
                team.issues.len()
            )
        },
        &mut lines,
    );
    compare(
        "site",
        &before.sites,
        &after.sites,
        |site| site.name.clone(),
        &mut lines,
    );
    let display_name = |field: &CustomField| field.display_name.clone();
    compare(
        "custom field",
        &before.custom_fields,
        &after.custom_fields,
        display_name,
        &mut lines,
    );
    lines
}

fn compare<Id: Ord + std::fmt::Display, T: PartialEq>(
    noun: &str,
    before: &std::collections::BTreeMap<Id, T>,
    after: &std::collections::BTreeMap<Id, T>,
    show: impl Fn(&T) -> String,
    lines: &mut Vec<String>,
) {
    for (id, old) in before {
        match after.get(id) {
            None => lines.push(format!("- {noun} {id}: {}", show(old))),
            Some(new) if new != old => {
                lines.push(format!("~ {noun} {id}: {} -> {}", show(old), show(new)));
            }
            Some(_) => {}
        }
    }
    for (id, new) in after.iter().filter(|(id, _)| !before.contains_key(id)) {
        lines.push(format!("+ {noun} {id}: {}", show(new)));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const DOCUMENT: &str = r#"
        [[representatives]]
        id = "7"
        username = "ada"
        [[teams]]
        id = "1"
        name = "Helpdesk"
        members = ["7"]
        issues = [{ id = "3", title = "Printer" }]
        [[sites]]
        id = "1"
        name = "Default"
        [[custom_fields]]
        code_name = "ticket_kind"
        display_name = "Kind of ticket"
    "#;

    #[test]
    fn a_document_is_read_from_toml_and_json_alike_and_written_again() {
        let directory = parse(DOCUMENT).unwrap();
        let document = DirectoryDoc::of(&directory);
        let json = serde_json::to_string(&document).unwrap();
        assert_eq!(parse(&json).unwrap(), directory);
        let toml = toml::to_string(&document).unwrap();
        assert_eq!(parse(&toml).unwrap(), directory);
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        let faults = parse(
            r#"{"representatives":[{"id":"a b","username":""},{"id":"1","username":"x"},
                {"id":"1","username":"y"}],
                "teams":[{"id":"","name":"n","members":["1"]},{"id":"2","name":"m","members":["9"]}],
                "custom_fields":[{"code_name":"a:b","display_name":"d"}]}"#,
        );
        expect![[r#"
            representatives[0].username: must not be empty
            representatives[0].id: has the character ' '; expected printable ASCII without blank, comma and colon
            representatives[2].id: is there twice
            teams[0].id: must not be empty
            custom_fields[0].code_name: has the character ':'; expected letters, digits, `_` and `-`
            team `2`: member `9` is no representative of this document"#]]
        .assert_eq(&faults.unwrap_err().join("\n"));
        for (body, expected) in [
            ("[]", "body: must be an object"),
            (r#"{"teams":[["5","F"]]}"#, "teams[0]: must be an object"),
            (r#"{"teams":null}"#, "teams: must be a list"),
        ] {
            assert_eq!(parse_json(body.as_bytes()).unwrap_err(), [expected]);
            assert_eq!(
                parse_part(body.as_bytes(), &Directory::default()).unwrap_err(),
                [expected]
            );
        }
        let unknown = parse(r#"{"reps":[]}"#).unwrap_err().join("");
        assert!(unknown.contains("unknown field `reps`"), "{unknown}");
    }

    #[test]
    fn changes_are_told_line_by_line() {
        let before = parse(DOCUMENT).unwrap();
        let after = parse(
            &DOCUMENT
                .replace("Helpdesk", "Service")
                .replace("\"7\"", "\"8\""),
        );
        expect![[r#"
            - representative 7: ada
            + representative 8: ada
            ~ team 1: Helpdesk (1 members, 1 issues) -> Service (1 members, 1 issues)"#]]
        .assert_eq(&changes(&before, &after.unwrap()).join("\n"));
        assert!(changes(&before, &before).is_empty());
    }
}
