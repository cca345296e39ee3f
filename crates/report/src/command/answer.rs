//! The documents that answer commands.

use debrief_domain::{
    At, CommandAccess, CustomAttribute, Directory, Permissions, RepId, Reporting, Representative,
};

use super::{Action, EXTERNAL_KEY, ShowMembers};
use crate::dialect::{DECLARATION, Dialect, ErrorPlace};
use crate::names::{Kind, Shown};
use crate::time::iso;
use crate::write::Xml;

/// The version of the vendor's API whose documents these are like.
const API_VERSION: &str = "1.22.2";
/// What `get_api_info` calls the company; clients only show it.
const COMPANY_NAME: &str = "Debrief";

/// What every answer begins with.
#[derive(Debug, Clone, Copy)]
pub struct CommandHead<'a> {
    /// How to speak.
    pub dialect: &'static Dialect,
    /// The XML namespace.
    pub namespace: &'a str,
}

/// A representative who is logged in.
#[derive(Debug, Clone)]
pub struct LoggedIn<'a> {
    /// The user id.
    pub id: &'a RepId,
    /// The account; none when the directory has forgotten it meanwhile.
    pub representative: Option<&'a Representative>,
    /// Since when.
    pub since: At,
    /// Running sessions of this representative.
    pub n_sessions: u64,
}

/// What there is to say of a server.
#[derive(Debug, Clone, Copy)]
pub struct Health<'a> {
    /// The server's id: the same for ever.
    pub id: &'a str,
    /// What the request called it.
    pub host: &'a str,
    /// The version of the program.
    pub version: &'a str,
    /// What is wrong, if anything.
    pub fault: Option<&'a str>,
}

impl CommandHead<'_> {
    fn document(&self, root: &str, inner: impl FnOnce(&mut Xml)) -> Vec<u8> {
        let mut xml = Xml::default();
        xml.out.extend_from_slice(DECLARATION);
        xml.nest(root, &[("xmlns", self.namespace)], inner);
        xml.out.push(b'\n');
        xml.out
    }

    /// An error, inside the root of this action's answers where the dialect says so.
    pub fn error(&self, action: Option<&Action>, sentence: &str) -> Vec<u8> {
        let root = match self.dialect.error {
            ErrorPlace::InsideList => action.and_then(|action| action.root),
            ErrorPlace::Root => None,
        };
        match root {
            Some(root) => self.document(root, |xml| xml.leaf("error", &[], sentence)),
            None => self.document("error", |xml| xml.text(sentence)),
        }
    }

    /// Answers `get_logged_in_reps`.
    pub fn logged_in_reps<'r>(&self, reps: impl IntoIterator<Item = LoggedIn<'r>>) -> Vec<u8> {
        self.document("logged_in_reps", |xml| {
            for rep in reps {
                write_rep(&rep, xml);
            }
        })
    }

    /// Answers `get_support_teams`.
    pub fn support_teams(&self, directory: &Directory, members: ShowMembers) -> Vec<u8> {
        self.document("support_teams", |xml| {
            for (id, team) in &directory.teams {
                xml.nest("support_team", &[("id", id.as_str())], |xml| {
                    xml.leaf("name", &[], &team.name);
                    xml.nest("issues", &[], |xml| {
                        for issue in &team.issues {
                            xml.leaf("issue", &[("id", &issue.id)], &issue.title);
                        }
                    });
                    if members == ShowMembers::No {
                        return;
                    }
                    xml.nest("members", &[], |xml| {
                        for member in &team.members {
                            // A client takes the last attribute for the id: there is no other.
                            xml.leaf("representative", &[("id", member.as_str())], "");
                        }
                    });
                });
            }
        })
    }

    /// Answers `get_session_attributes`. An attribute that was cleared is not set.
    pub fn session_attributes(
        &self,
        external_key: &str,
        attributes: &[CustomAttribute],
        directory: &Directory,
    ) -> Vec<u8> {
        self.document("custom_attributes", |xml| {
            let mut write = |display_name: &str, code_name: &str, value: &str| {
                if value.is_empty() {
                    return;
                }
                let names = [("display_name", display_name), ("code_name", code_name)];
                xml.leaf("custom_attribute", &names, value);
            };
            write("External Key", EXTERNAL_KEY, external_key);
            for attribute in attributes {
                let code_name = attribute.code_name.as_str();
                let told = attribute.display_name.as_deref();
                let current = || {
                    let shown = Shown::new(Kind::CustomField, code_name, code_name, directory);
                    shown.name
                };
                let display_name = told.map_or_else(current, str::to_owned);
                write(&display_name, code_name, &attribute.value);
            }
        })
    }

    /// Answers a command that changed something.
    pub fn success(&self, sentence: &str) -> Vec<u8> {
        self.document("success", |xml| xml.text(sentence))
    }

    /// Answers `get_api_info`.
    pub fn api_information(&self, permissions: &Permissions, now: At) -> Vec<u8> {
        self.document("api_information", |xml| {
            xml.leaf("api_version", &[], API_VERSION);
            xml.leaf("company_name", &[], COMPANY_NAME);
            xml.leaf("timestamp", &[], &now.secs().to_string());
            xml.nest("permissions", &[], |xml| {
                for (name, value) in permission_words(permissions) {
                    xml.leaf("permission", &[("name", name)], value);
                }
            });
        })
    }

    /// Answers `check_health`. There is no second server that could take over, so what the vendor
    /// says of one is left out, as its document has it.
    pub fn health(&self, health: Health<'_>) -> Vec<u8> {
        self.document("health_check", |xml| {
            xml.leaf("appliance", &[("id", health.id)], health.host);
            xml.leaf("version", &[], health.version);
            xml.number("success", u64::from(health.fault.is_none()));
            if let Some(fault) = health.fault {
                xml.leaf("error_message", &[], fault);
            }
            xml.leaf("failover_role", &[], "none");
        })
    }
}

fn write_rep(rep: &LoggedIn<'_>, xml: &mut Xml) {
    let id = rep.id.as_str();
    let public = rep
        .representative
        .map_or(id, |rep| rep.public_display_name.as_str());
    let private = rep
        .representative
        .map_or(id, |rep| rep.private_display_name.as_str());
    xml.nest("rep", &[("id", id)], |xml| {
        xml.leaf("display_name", &[], public);
        xml.leaf("public_display_name", &[], public);
        xml.leaf("private_display_name", &[], private);
        xml.leaf("type", &[], "Normal");
        // No session begins here, so there is no link to begin one with.
        xml.leaf("direct_link", &[], "");
        let ts = rep.since.secs().to_string();
        xml.leaf("logged_in_since", &[("ts", &ts)], &iso(rep.since));
        xml.number("presentation_count", 0);
        xml.number("support_session_count", rep.n_sessions);
        xml.number("showing_on_rep_list", 1);
    });
}

/// The vendor's permissions, in the order that live appliances list them; what Debrief does not
/// have nobody is permitted.
fn permission_words(permissions: &Permissions) -> [(&'static str, &'static str); 11] {
    let command = match permissions.command {
        CommandAccess::Deny => "deny",
        CommandAccess::ReadOnly => "read_only",
        CommandAccess::FullAccess => "full_access",
    };
    let support = match permissions.reporting {
        Reporting::Deny => "0",
        Reporting::Reports | Reporting::ReportsAndRecordings => "1",
    };
    [
        ("perm_command", command),
        ("perm_reporting_support", support),
        ("perm_reporting_presentation", "0"),
        ("perm_reporting_license", "0"),
        ("perm_reporting_archive", "0"),
        ("perm_real_time_state", "0"),
        ("perm_ecm", "0"),
        ("perm_backup", "0"),
        ("perm_scim", "0"),
        ("perm_configuration", "0"),
        ("perm_configuration_vault_account", "0"),
    ]
}
