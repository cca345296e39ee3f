//! A MeshCentral server that is followed: Debrief connects to it, hears its events, asks for those
//! it missed, and fetches its recordings.
//!
//! What was heard is committed before the place it stood at moves on. After a restart events are
//! asked for again from a little before that place; they have the ids they had.

mod chat;
mod client;
mod device;
mod events;
mod fetch;
mod follow;
mod grouping;

use std::path::PathBuf;

use debrief_domain::SiteId;
use debrief_store::AccountId;
use serde::Deserialize;
use url::Url;

use client::Server;
pub use follow::run;
use grouping::Rules;

/// Under which account its events are kept: no account has this number.
pub const ACCOUNT: AccountId = AccountId(-2);

/// Seconds without a relay that end a session, unless the configuration says otherwise.
const IDLE_SECS: u32 = 120;

/// What the configuration says.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Its name here; the source is called `meshcentral/` and this.
    pub name: String,
    /// Where the server is, such as `https://mesh.example.com/`; `http:` only on the loopback.
    pub url: String,
    /// A login token: its name, a colon or a blank is not part of it, and its password.
    pub token: Option<Token>,
    /// A file with the token's name and its password, each on a line.
    pub token_file: Option<PathBuf>,
    /// The SHA-256 of the server's certificate (DER), in hexadecimal digits, with or without
    /// colons. Without it the certificate must be one that the public authorities vouch for.
    pub certificate_sha256: Option<String>,
    /// The public site of its sessions.
    pub site: Option<String>,
    /// Seconds without a relay that end a session.
    #[serde(default = "idle_secs")]
    pub idle_secs: u32,
}

/// A login token.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Such as `~t:…`.
    pub user: String,
    /// Its password.
    pub password: String,
}

fn idle_secs() -> u32 {
    IDLE_SECS
}

/// Secrets are not shown.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MeshCentral({} at {})", self.name, self.url)
    }
}

/// Why a source cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    /// The name is no name.
    #[error("source.meshcentral: `{0}` is no name: expected 1 to 64 letters, digits, `_` and `-`")]
    Name(String),
    /// Two would remember in one place.
    #[error("source.meshcentral: there are two of the name `{0}`")]
    Twice(String),
    /// The address is none.
    #[error("source.meshcentral `{name}`: url: {why}")]
    Url {
        /// Which source.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// There is no token, or there are two.
    #[error("source.meshcentral `{0}`: expected either `token` or `token_file`")]
    Token(String),
    /// The token's file cannot be read.
    #[error("source.meshcentral: cannot read `{path}`")]
    TokenFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The token's file is not two lines.
    #[error("source.meshcentral: `{0}` is not two lines: the token's name and its password")]
    TokenLines(PathBuf),
    /// The hash is none.
    #[error("source.meshcentral `{0}`: certificate_sha256 is not 64 hexadecimal digits")]
    Certificate(String),
    /// The site is none.
    #[error("source.meshcentral `{0}`: site is no id of a public site")]
    Site(String),
}

/// A source that can begin.
#[derive(Debug)]
pub struct Source {
    name: String,
    server: Server,
    rules: Rules,
}

impl Source {
    /// Checks what the configuration says of every server.
    pub fn all(settings: &[Settings]) -> Result<Vec<Source>, InvalidSettings> {
        for (idx, one) in settings.iter().enumerate() {
            if settings[..idx].iter().any(|other| other.name == one.name) {
                return Err(InvalidSettings::Twice(one.name.clone()));
            }
        }
        settings.iter().map(Source::new).collect()
    }

    /// Checks what the configuration says.
    pub fn new(settings: &Settings) -> Result<Source, InvalidSettings> {
        let short = settings.name.clone();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !(1..=64).contains(&short.len()) || !short.chars().all(is_word) {
            return Err(InvalidSettings::Name(short));
        }
        let url = url(&settings.url).map_err(|why| InvalidSettings::Url {
            name: short.clone(),
            why,
        })?;
        let token = match (&settings.token, &settings.token_file) {
            (Some(token), None) => token.clone(),
            (None, Some(path)) => token(path)?,
            (Some(_), Some(_)) | (None, None) => return Err(InvalidSettings::Token(short)),
        };
        let pin = settings.certificate_sha256.as_deref().map(pin);
        if pin == Some(None) {
            return Err(InvalidSettings::Certificate(short));
        }
        let site = settings.site.as_deref().map(SiteId::parse).transpose();
        let site = site.map_err(|_| InvalidSettings::Site(short.clone()))?;
        let name = format!("meshcentral/{short}");
        Ok(Source {
            server: Server::new(url, token, pin.flatten()),
            rules: Rules {
                source: name.clone(),
                site,
                idle_secs: i64::from(settings.idle_secs.max(1)),
            },
            name,
        })
    }
}

fn url(text: &str) -> Result<Url, &'static str> {
    let mut url: Url = text.parse().map_err(|_| "it is no URL")?;
    let host = url.host().ok_or("it has no host")?;
    let is_loopback = match host {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        "http" => return Err("`http:` is for the loopback only: a token would be read on the way"),
        _ => return Err("it begins with neither `https:` nor `http:`"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it must not hold a password: there is `token` for that");
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn token(path: &PathBuf) -> Result<Token, InvalidSettings> {
    let text = std::fs::read_to_string(path).map_err(|source| InvalidSettings::TokenFile {
        path: path.clone(),
        source,
    })?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next(), lines.next()) {
        (Some(user), Some(password), None) => Ok(Token {
            user: user.into(),
            password: password.into(),
        }),
        _ => Err(InvalidSettings::TokenLines(path.clone())),
    }
}

fn pin(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (idx, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * idx..2 * idx + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "token = { user = \"~t:a\", password = \"b\" }";

    #[track_caller]
    fn check(toml: &str, expected: &str) {
        let outcome = match toml::from_str::<Settings>(toml) {
            Ok(settings) => Source::new(&settings).map_err(|error| error.to_string()),
            Err(error) => Err(error.message().to_owned()),
        };
        let told = outcome.map_or_else(|error| error, |source| format!("{source:?}"));
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("~t:a"), "{told}");
    }

    #[test]
    fn every_setting_is_checked_before_anything_begins() {
        let with = |rest: &str| format!("name = \"site\"\n{TOKEN}\n{rest}");
        let https = "url = \"https://mesh.example.com/sub\"";
        check(&with(https), "https://mesh.example.com/sub/");
        check(
            &with("url = \"http://127.0.0.1:8000\""),
            "http://127.0.0.1:8000/",
        );
        check(
            &with("url = \"http://mesh.example.com\""),
            "for the loopback only",
        );
        check(
            &with("url = \"ftp://mesh.example.com\""),
            "neither `https:` nor",
        );
        check(
            &with("url = \"https://a:b@mesh.example.com\""),
            "must not hold a password",
        );
        check(&with(&format!("{https}\nidle = 3")), "unknown field `idle`");
        check(
            &with(&format!("{https}\ncertificate_sha256 = \"AB:CD\"")),
            "is not 64",
        );
        check(
            &with(&format!("{https}\nsite = \"a b\"")),
            "no id of a public site",
        );
        check(
            &with(&format!("{https}\ntoken_file = \"x\"")),
            "either `token`",
        );
        check(&format!("name = \"site\"\n{https}"), "either `token`");
        check(&format!("name = \"a/b\"\n{TOKEN}\n{https}"), "is no name");
        check(
            &with("url = \"https://mesh.example.com\"\ntoken_file = 3"),
            "expected",
        );
    }

    #[test]
    fn two_servers_of_one_name_are_refused() {
        let one = format!("name = \"site\"\nurl = \"https://a.example\"\n{TOKEN}");
        let one: Settings = toml::from_str(&one).unwrap();
        assert_eq!(Source::all(std::slice::from_ref(&one)).unwrap().len(), 1);
        let error = Source::all(&[one.clone(), one]).unwrap_err();
        assert!(matches!(error, InvalidSettings::Twice(_)));
    }

    #[test]
    fn a_pin_is_64_digits_with_or_without_colons() {
        let digits = "0a".repeat(32);
        assert_eq!(pin(&digits), Some([10; 32]));
        assert_eq!(pin(&["0A"; 32].join(":")), Some([10; 32]));
        assert_eq!(pin(&digits[1..]), None);
        assert_eq!(pin(&format!("{}é", &digits[2..])), None);
    }
}
