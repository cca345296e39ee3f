//! The vendor's command API: parameters in, a command out, and the documents that answer.
//!
//! Where reporting has an attribute `timestamp`, commands have `ts`.

mod answer;

pub use answer::{CommandHead, Health, LoggedIn};

use debrief_domain::limits::{CUSTOM_ATTRIBUTES_MAX, NAME_CHARS_MAX};
use debrief_domain::{CodeName, CustomAttribute, Directory, Lsid};

use crate::ask::{Params, short};

/// An action: the one place that says what it is called, answers with and asks for.
#[derive(Debug)]
pub struct Action {
    /// The word in the parameter `action`.
    pub name: &'static str,
    /// The root of its answer, which an error stands in. None: an error is its own root, for
    /// clients take the root `success` at its word.
    root: Option<&'static str>,
    /// What an account must be permitted.
    pub access: Access,
    read: fn(&mut Asked<'_>) -> Option<Command>,
}

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It changes nothing.
    Read,
    /// It changes something.
    Full,
}

/// Every action.
pub const ACTIONS: &[Action] = &[
    Action {
        name: "get_logged_in_reps",
        root: Some("logged_in_reps"),
        access: Access::Read,
        read: |_| Some(Command::LoggedInReps),
    },
    Action {
        name: "get_support_teams",
        root: Some("support_teams"),
        access: Access::Read,
        read: |asked| asked.show_members().map(Command::SupportTeams),
    },
    Action {
        name: "get_session_attributes",
        root: Some("custom_attributes"),
        access: Access::Read,
        read: |asked| asked.lsid().map(Command::SessionAttributes),
    },
    Action {
        name: "set_session_attributes",
        root: None,
        access: Access::Full,
        read: |asked| {
            let lsid = asked.lsid();
            let attributes = asked.attributes();
            Some(Command::SetSessionAttributes(lsid?, attributes?))
        },
    },
    Action {
        name: "get_api_info",
        root: Some("api_information"),
        access: Access::Read,
        read: |_| Some(Command::ApiInfo),
    },
    Action {
        name: "check_health",
        root: Some("health_check"),
        access: Access::Read,
        read: |_| Some(Command::CheckHealth),
    },
];

/// A parsed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Who is logged in.
    LoggedInReps,
    /// The teams and their issues.
    SupportTeams(ShowMembers),
    /// What is kept beside a running session.
    SessionAttributes(Lsid),
    /// Keeps something beside a running session.
    SetSessionAttributes(Lsid, Attributes),
    /// What the API is and what the account may do.
    ApiInfo,
    /// Whether the server works.
    CheckHealth,
}

/// Whether the members of teams are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowMembers {
    /// They are.
    Yes,
    /// They are not.
    No,
}

/// What is to be kept beside a session; what is not named stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The key that links to another system; empty clears it.
    pub external_key: Option<String>,
    /// Values of custom fields; empty clears one.
    pub custom: Vec<CustomAttribute>,
}

/// Bytes of all attributes of one call together: the vendor's limit.
pub const ATTRIBUTES_BYTES_MAX: usize = 10 << 10;

/// What the parameters of attributes begin with.
const ATTRIBUTE: &str = "session.custom.";
/// The code name by which the external key is one of the attributes.
const EXTERNAL_KEY: &str = "external_key";

impl Action {
    /// The action that the parameters name; none when they name none, or two.
    pub fn of(params: &Params) -> Option<&'static Action> {
        let mut asked = Asked::new(params);
        let name = asked.get("action")?;
        ACTIONS.iter().find(|action| action.name == name)
    }

    /// Why [`Action::of`] finds none.
    pub fn unknown(params: &Params) -> String {
        let names: Vec<&str> = ACTIONS.iter().map(|action| action.name).collect();
        let names = names.join(", ");
        let mut asked = Asked::new(params);
        match asked.get("action") {
            Some(given) => {
                let given = short(given);
                format!("action: {given} is no known action; known actions: {names}")
            }
            None if asked.faults.is_empty() => {
                format!("action: is required; known actions: {names}")
            }
            None => asked.faults.join("; "),
        }
    }

    /// Parses the command, or says everything that is wrong with it.
    pub fn parse(&self, params: &Params, directory: &Directory) -> Result<Command, String> {
        let mut asked = Asked {
            directory: Some(directory),
            ..Asked::new(params)
        };
        match (self.read)(&mut asked) {
            Some(command) if asked.faults.is_empty() => Ok(command),
            Some(_) | None => Err(asked.faults.join("; ")),
        }
    }

    /// The parameters as the access log tells them: of attributes the names, not the values.
    pub fn words(&self, params: &Params) -> String {
        let mut words = vec![self.name.to_owned()];
        for (name, value) in &params.0 {
            if name == "lsid" || name == "showmembers" {
                words.push(format!("{name}={value}"));
            } else if name.starts_with(ATTRIBUTE) {
                words.push(name.clone());
            }
        }
        words.join(" ")
    }
}

struct Asked<'a> {
    params: &'a Params,
    directory: Option<&'a Directory>,
    faults: Vec<String>,
}

impl<'a> Asked<'a> {
    fn new(params: &'a Params) -> Asked<'a> {
        Asked {
            params,
            directory: None,
            faults: Vec::new(),
        }
    }

    fn fault<T>(&mut self, name: &str, what: &str) -> Option<T> {
        self.faults.push(format!("{name}: {what}"));
        None
    }

    /// The value of a parameter. Given twice it must say the same twice.
    fn get(&mut self, name: &str) -> Option<&'a str> {
        let values = self.params.0.iter().filter(|(given, _)| given == name);
        let mut values = values.map(|(_, value)| value.as_str());
        let first = values.next()?;
        if values.any(|value| value != first) {
            return self.fault(name, "is given twice with different values");
        }
        Some(first)
    }

    fn has(&self, name: &str) -> bool {
        self.params.0.iter().any(|(given, _)| given == name)
    }

    fn lsid(&mut self) -> Option<Lsid> {
        if !self.has("lsid") {
            return self.fault("lsid", "is required");
        }
        match Lsid::parse(self.get("lsid")?.trim()) {
            Ok(lsid) => Some(lsid),
            Err(error) => self.fault("lsid", &error.to_string()),
        }
    }

    fn show_members(&mut self) -> Option<ShowMembers> {
        if !self.has("showmembers") {
            return Some(ShowMembers::No);
        }
        match self.get("showmembers")? {
            "" | "1" => Some(ShowMembers::Yes),
            "0" => Some(ShowMembers::No),
            given => {
                let given = short(given);
                self.fault("showmembers", &format!("{given} is not 1 or 0"))
            }
        }
    }

    fn attributes(&mut self) -> Option<Attributes> {
        let n_faults = self.faults.len();
        let mut names: Vec<&'a str> = Vec::new();
        for (name, _) in &self.params.0 {
            if let Some(name) = name.strip_prefix(ATTRIBUTE)
                && !names.contains(&name)
            {
                names.push(name);
            }
            if CUSTOM_ATTRIBUTES_MAX < names.len() {
                let what = format!("names more than {CUSTOM_ATTRIBUTES_MAX} attributes");
                return self.fault("session.custom", &what);
            }
        }
        if names.is_empty() {
            let what = "names nothing to set; expected session.custom.external_key= or \
                        session.custom.CODE_NAME=";
            return self.fault("session.custom", what);
        }
        let mut attributes = Attributes::default();
        let mut n_bytes = 0;
        for name in names {
            let value = self.attribute(name);
            n_bytes += value.map_or(0, |value| name.len() + value.len());
            let value = value.map(str::to_owned);
            if name == EXTERNAL_KEY {
                attributes.external_key = value;
                continue;
            }
            let code_name = self.code_name(name);
            if let (Some(code_name), Some(value)) = (code_name, value) {
                attributes.custom.push(CustomAttribute {
                    code_name,
                    display_name: None,
                    value,
                });
            }
        }
        if ATTRIBUTES_BYTES_MAX < n_bytes {
            let what = format!("has more than {ATTRIBUTES_BYTES_MAX} bytes in all");
            return self.fault("session.custom", &what);
        }
        (self.faults.len() == n_faults).then_some(attributes)
    }

    /// The value of an attribute, if it is given once and short enough.
    fn attribute(&mut self, name: &str) -> Option<&'a str> {
        let parameter = format!("{ATTRIBUTE}{name}");
        let value = self.get(&parameter)?;
        if value.chars().nth(NAME_CHARS_MAX).is_some() {
            let what = format!("is longer than {NAME_CHARS_MAX} characters");
            return self.fault(&shown(name), &what);
        }
        Some(value)
    }

    /// The code name, if the directory defines such a field.
    fn code_name(&mut self, name: &str) -> Option<CodeName> {
        let code_name = CodeName::parse(name).ok();
        let is_defined = |code_name: &CodeName| {
            self.directory
                .is_some_and(|directory| directory.custom_fields.contains_key(code_name))
        };
        if let Some(code_name) = code_name.filter(is_defined) {
            return Some(code_name);
        }
        self.fault(&shown(name), "no custom field has this code name")
    }
}

/// A parameter's name at a readable length.
fn shown(name: &str) -> String {
    let name: String = name.chars().take(CodeName::LEN_MAX).collect();
    format!("{ATTRIBUTE}{name}")
}

#[cfg(test)]
mod tests {
    use debrief_domain::CustomField;
    use expect_test::{Expect, expect};

    use super::*;

    fn params(query: &str) -> Params {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Params(pairs.map(|(n, v)| (n.into(), v.into())).collect())
    }

    fn show(query: &str) -> String {
        let mut directory = Directory::default();
        for name in ["kind", "room"] {
            let field = CustomField {
                display_name: name.to_uppercase(),
            };
            let code_name = CodeName::parse(name).unwrap();
            directory.custom_fields.insert(code_name, field);
        }
        let params = params(query);
        let Some(action) = Action::of(&params) else {
            return Action::unknown(&params);
        };
        match action.parse(&params, &directory) {
            Ok(Command::SetSessionAttributes(lsid, attributes)) => {
                let custom = attributes.custom.iter();
                let custom: Vec<String> = custom
                    .map(|attribute| format!("{}={:?}", attribute.code_name, attribute.value))
                    .collect();
                let key = attributes.external_key;
                format!("{lsid}: {key:?} {}", custom.join(" "))
            }
            Ok(command) => format!("{command:?}"),
            Err(faults) => faults.replace("; ", "\n"),
        }
    }

    #[track_caller]
    fn check(query: &str, expect: Expect) {
        expect.assert_eq(&show(query));
    }

    #[test]
    fn an_unknown_action_is_told_the_known_ones() {
        check(
            "",
            expect![
                "action: is required; known actions: get_logged_in_reps, get_support_teams, get_session_attributes, set_session_attributes, get_api_info, check_health"
            ],
        );
        check(
            "action=reboot",
            expect![
                "action: `reboot` is no known action; known actions: get_logged_in_reps, get_support_teams, get_session_attributes, set_session_attributes, get_api_info, check_health"
            ],
        );
        check(
            "action=get_api_info&action=check_health",
            expect!["action: is given twice with different values"],
        );
    }

    #[test]
    fn every_fault_is_named_at_once() {
        check(
            "action=set_session_attributes&lsid=a/b&session.custom.nose=1&session.custom.a b=2\
             &session.custom.kind=1&session.custom.kind=2",
            expect![[r#"
                lsid: has the character '/'
                expected letters, digits, `_` and `-`
                session.custom.nose: no custom field has this code name
                session.custom.a b: no custom field has this code name
                session.custom.kind: is given twice with different values"#]],
        );
        check(
            "action=set_session_attributes",
            expect![[r#"
            lsid: is required
            session.custom: names nothing to set
            expected session.custom.external_key= or session.custom.CODE_NAME="#]],
        );
        check(
            "action=get_session_attributes&lsid=",
            expect!["lsid: must not be empty"],
        );
        check(
            "action=get_support_teams&showmembers=yes",
            expect!["showmembers: `yes` is not 1 or 0"],
        );
    }

    #[test]
    fn every_action_is_read() {
        check("action=get_logged_in_reps", expect!["LoggedInReps"]);
        check(
            "action=get_support_teams&showmembers",
            expect!["SupportTeams(Yes)"],
        );
        check(
            "action=get_support_teams&showmembers=0",
            expect!["SupportTeams(No)"],
        );
        check("action=get_api_info&password=x", expect!["ApiInfo"]);
        check("action=check_health", expect!["CheckHealth"]);
        check(
            "action=get_session_attributes&lsid=a",
            expect![[r#"SessionAttributes("a")"#]],
        );
        check(
            "action=set_session_attributes&lsid=a&session.custom.room=&session.custom.kind=b",
            expect![[r#"a: None room="" kind="b""#]],
        );
        check(
            "action=set_session_attributes&lsid=a&session.custom.external_key=T-1",
            expect![[r#"a: Some("T-1") "#]],
        );
    }

    #[test]
    fn an_attribute_may_be_as_long_as_its_limit_and_all_of_them_too() {
        let long = |name: &str, n: usize| format!("&session.custom.{name}={}", "é".repeat(n));
        let start = "action=set_session_attributes&lsid=a";
        let one = |n| show(&format!("{start}{}", long("external_key", n)));
        assert!(one(NAME_CHARS_MAX).starts_with("a: Some"));
        assert_eq!(
            one(NAME_CHARS_MAX + 1),
            "session.custom.external_key: is longer than 1024 characters"
        );
        // Every name counts too.
        let mut directory = Directory::default();
        let names: Vec<String> = (0..CUSTOM_ATTRIBUTES_MAX)
            .map(|n| format!("f{n}"))
            .collect();
        for name in &names {
            let code_name = CodeName::parse(name).unwrap();
            directory
                .custom_fields
                .insert(code_name, CustomField::default());
        }
        let parse = |pairs: Vec<(String, String)>| {
            let mut pairs: Vec<(String, String)> = pairs
                .into_iter()
                .map(|(name, value)| (format!("{ATTRIBUTE}{name}"), value))
                .collect();
            pairs.push(("action".into(), "set_session_attributes".into()));
            pairs.push(("lsid".into(), "a".into()));
            let params = Params(pairs);
            Action::of(&params).unwrap().parse(&params, &directory)
        };
        let each = |n: usize| -> Vec<(String, String)> {
            let names = names.iter().take(10);
            names.map(|name| (name.clone(), "x".repeat(n))).collect()
        };
        // Ten names of two characters, and 1,022 characters each.
        assert!(parse(each(1_022)).is_ok());
        assert_eq!(
            parse(each(1_023)),
            Err("session.custom: has more than 10240 bytes in all".into())
        );
        let all = |more: &[&str]| {
            let names = names.iter().map(String::as_str).chain(more.iter().copied());
            parse(names.map(|name| (name.into(), "x".into())).collect())
        };
        assert!(all(&[]).is_ok());
        assert_eq!(
            all(&["external_key"]),
            Err("session.custom: names more than 200 attributes".into())
        );
    }

    #[test]
    fn the_access_log_is_told_no_values() {
        let params = params(
            "action=set_session_attributes&lsid=a&session.custom.kind=secret&password=secret",
        );
        assert_eq!(
            Action::of(&params).unwrap().words(&params),
            "set_session_attributes lsid=a session.custom.kind"
        );
    }
}
