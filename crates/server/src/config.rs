//! Configuration: defaults, then the file, then the environment, then flags; the last one wins.
//!
//! Every key is declared once, in [`KEYS`]; `debrief config`, the reference in `docs/` and the
//! environment's names are views of that table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use debrief_report::Dialect;
use debrief_store::{Files, InvalidObjects};
use ipnet::IpNet;
use jiff::tz::TimeZone;
use serde::Deserialize as _;

use crate::sources;

/// A configuration key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in the file; in the environment in capitals after `DEBRIEF_`.
    pub name: &'static str,
    /// Its value when nobody says otherwise.
    pub default: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// Every key.
pub const KEYS: &[Key] = &[
    Key {
        name: "listen",
        default: "127.0.0.1:8080",
        about: "Address and port to listen on; port 0 takes a free one.",
    },
    Key {
        name: "public_url",
        default: "",
        about: "Scheme, host and port that links in reports begin with, such as \
                `https://support.example.com`. Empty: `http://` and the request's own host.",
    },
    Key {
        name: "time_zone",
        default: "UTC",
        about: "IANA time zone whose days `start_date` and `end_date` mean.",
    },
    Key {
        name: "dialect",
        default: "documented",
        about: "`documented`: as the vendor's document has it. `appliance`: as live appliances \
                answer: errors as the root element, and an error when no session fits.",
    },
    Key {
        name: "namespace",
        default: Dialect::NAMESPACE,
        about: "XML namespace of reports.",
    },
    Key {
        name: "command_namespace",
        default: Dialect::COMMAND_NAMESPACE,
        about: "XML namespace of answers to commands.",
    },
    Key {
        name: "link_lifetime",
        default: "7d",
        about: "How long links in reports open, rounded up to the hour; `0` is for ever.",
    },
    Key {
        name: "lapse_after",
        default: "24h",
        about: "Silence after which a running session counts as closed abnormally.",
    },
    Key {
        name: "requests_per_second",
        default: "20",
        about: "Requests an account may make in a second; `0` is any number.",
    },
    Key {
        name: "requests_per_hour",
        default: "15000",
        about: "Requests an account may make in an hour; `0` is any number.",
    },
    Key {
        name: "reports_at_once",
        default: "8",
        about: "Reports and pages of sessions that an account may have under way at once; `0` is \
                any number.",
    },
    Key {
        name: "trusted_proxies",
        default: "",
        about: "Networks (CIDR, separated by commas) whose `X-Forwarded-For` is believed.",
    },
    Key {
        name: "stall_timeout",
        default: "60s",
        about: "How long a client may take no bytes before it is cut off.",
    },
    Key {
        name: "recordings_url",
        default: "",
        about: "Where recordings are kept. Empty: the directory `recordings` of the data \
                directory. Otherwise `s3://bucket/prefix`, `gs://bucket/prefix`, \
                `az://container/prefix` or `file:///directory`; credentials and endpoints come \
                from the environment, such as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT`.",
    },
    Key {
        name: "recording_bytes_max",
        default: "68719476736",
        about: "Bytes of one recording.",
    },
    Key {
        name: "upload_expires",
        default: "7d",
        about: "How long an upload that broke off may be gone on with.",
    },
    Key {
        name: "log",
        default: "info",
        about: "What is logged: `error`, `warn`, `info`, `debug`, or a `tracing` filter.",
    },
    Key {
        name: "log_format",
        default: "text",
        about: "`text` or `json`, to standard error.",
    },
];

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The table's default.
    Default,
    /// The configuration file.
    File,
    /// The environment.
    Environment,
    /// A flag of the command line.
    Flag,
}

impl Origin {
    /// The word shown by `debrief config`.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::File => "file",
            Origin::Environment => "environment",
            Origin::Flag => "flag",
        }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The effective configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What links begin with; none is the request's own host.
    pub public_url: Option<String>,
    /// The zone of days.
    pub time_zone: TimeZone,
    /// How to speak.
    pub dialect: &'static Dialect,
    /// The XML namespace.
    pub namespace: String,
    /// The XML namespace of the command API.
    pub command_namespace: String,
    /// How long links open; none is for ever.
    pub link_lifetime: Option<Duration>,
    /// Silence that closes a session.
    pub lapse_after: Duration,
    /// Requests per second and account; 0 is any number.
    pub requests_per_second: u32,
    /// Requests per hour and account; 0 is any number.
    pub requests_per_hour: u32,
    /// Reports under way at once per account; 0 is any number.
    pub reports_at_once: u32,
    /// Networks whose word on addresses counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Patience with a silent client.
    pub stall_timeout: Duration,
    /// Where recordings are kept; empty is a directory of the data directory.
    pub recordings_url: String,
    /// What the environment says of the object store.
    pub object_options: ObjectOptions,
    /// Bytes of one recording.
    pub recording_bytes_max: u64,
    /// How long an upload may rest.
    pub upload_expires: Duration,
    /// Live sources: the table `source` of the file.
    pub source: sources::Settings,
    /// What is logged.
    pub log: String,
    /// How it is logged.
    pub log_format: LogFormat,
    values: BTreeMap<&'static str, (String, Origin)>,
}

/// Credentials and endpoints of an object store. They are never shown.
#[derive(Clone, Default)]
pub struct ObjectOptions(pub Vec<(String, String)>);

impl std::fmt::Debug for ObjectOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ObjectOptions({} not shown)", self.0.len())
    }
}

/// What names in the environment that are for the object store begin with.
const OBJECT_PREFIXES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// Every faulty key at once.
#[derive(Debug, thiserror::Error)]
#[error("faulty configuration:\n{0}")]
pub struct ConfigError(String);

impl Config {
    /// The defaults alone.
    pub fn defaults() -> Config {
        // A test holds the table to this.
        Config::build(BTreeMap::new()).expect("the defaults are valid")
    }

    /// Puts together what the file, the environment and the flags say.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &[(&'static str, String)],
    ) -> Result<Config, ConfigError> {
        let mut values: BTreeMap<&'static str, (String, Origin)> = BTreeMap::new();
        let mut faults = String::new();
        let mut source = sources::Settings::default();
        if let Some(path) = file {
            match read_file(path) {
                Ok((pairs, found)) => {
                    source = found;
                    for (name, value) in pairs {
                        match known(&name) {
                            Some(key) => {
                                values.insert(key, (value, Origin::File));
                            }
                            None => fault(&mut faults, &name, "there is no such key"),
                        }
                    }
                }
                Err(message) => faults = message,
            }
        }
        let mut object_options = ObjectOptions::default();
        for (name, value) in environment {
            if OBJECT_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
            {
                object_options.0.push((name.to_ascii_lowercase(), value));
                continue;
            }
            let name = name.strip_prefix("DEBRIEF_").map(str::to_ascii_lowercase);
            if let Some(key) = name.as_deref().and_then(known) {
                values.insert(key, (value, Origin::Environment));
            }
        }
        for (key, value) in flags {
            values.insert(key, (value.clone(), Origin::Flag));
        }
        match Config::build(values) {
            Ok(config) if faults.is_empty() => Ok(Config {
                object_options,
                source,
                ..config
            }),
            Ok(_) => Err(ConfigError(faults)),
            Err(ConfigError(more)) => Err(ConfigError(faults + &more)),
        }
    }

    /// Opens what recordings are kept in: beside this data directory, or where the key says.
    pub fn open_files(&self, data: &Path) -> Result<Files, InvalidObjects> {
        Files::open(data, &self.recordings_url, &self.object_options.0)
    }

    /// Every key with its value and where that came from.
    pub fn values(&self) -> impl Iterator<Item = (&'static Key, &str, Origin)> {
        KEYS.iter().map(|key| match self.values.get(key.name) {
            Some((value, origin)) => (key, value.as_str(), *origin),
            None => (key, key.default, Origin::Default),
        })
    }

    fn build(values: BTreeMap<&'static str, (String, Origin)>) -> Result<Config, ConfigError> {
        let mut faults = String::new();
        let mut read = Reader {
            values: &values,
            faults: &mut faults,
        };
        let config = Config {
            listen: read.parse(
                "listen",
                "an address and port such as 127.0.0.1:8080",
                |text| text.parse().ok(),
            ),
            public_url: read.parse("public_url", "http:// or https:// and a host", |text| {
                let text = text.trim_end_matches('/');
                let is_url = text.starts_with("http://") || text.starts_with("https://");
                let is_clean =
                    !text.contains(|c: char| c.is_whitespace() || "<>&\"'?#".contains(c));
                (text.is_empty() || is_url && is_clean)
                    .then(|| (!text.is_empty()).then(|| text.to_owned()))
            }),
            time_zone: read.parse(
                "time_zone",
                "an IANA time zone such as Europe/Berlin",
                |text| TimeZone::get(text).ok(),
            ),
            dialect: read.parse("dialect", "documented or appliance", Dialect::parse),
            namespace: read.parse("namespace", NAMESPACE, non_empty),
            command_namespace: read.parse("command_namespace", NAMESPACE, non_empty),
            link_lifetime: read.parse("link_lifetime", DURATION, |text| match text {
                "0" => Some(None),
                text => duration(text).map(Some),
            }),
            lapse_after: read.parse("lapse_after", DURATION, duration),
            requests_per_second: read.parse("requests_per_second", NUMBER, |t| t.parse().ok()),
            requests_per_hour: read.parse("requests_per_hour", NUMBER, |t| t.parse().ok()),
            reports_at_once: read.parse("reports_at_once", NUMBER, |t| t.parse().ok()),
            trusted_proxies: read.parse("trusted_proxies", "networks such as 10.0.0.0/8", |text| {
                let networks = text
                    .split(',')
                    .map(str::trim)
                    .filter(|text| !text.is_empty());
                networks.map(|text| network(text).ok()).collect()
            }),
            stall_timeout: read.parse("stall_timeout", DURATION, duration),
            recordings_url: read.parse("recordings_url", "a URL of an object store", |text| {
                let schemes = ["s3://", "gs://", "az://", "file:///"];
                let is_url = schemes.iter().any(|scheme| text.starts_with(scheme));
                (text.is_empty() || is_url).then(|| text.to_owned())
            }),
            object_options: ObjectOptions::default(),
            recording_bytes_max: read.parse("recording_bytes_max", NUMBER, |t| t.parse().ok()),
            upload_expires: read.parse("upload_expires", DURATION, duration),
            source: sources::Settings::default(),
            log: read.parse("log", "a filter", |text| Some(text.to_owned())),
            log_format: read.parse("log_format", "text or json", |text| match text {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            }),
            values: BTreeMap::new(),
        };
        if !faults.is_empty() {
            return Err(ConfigError(faults));
        }
        Ok(Config { values, ..config })
    }
}

const DURATION: &str = "a length such as 90s, 15m, 24h or 7d";
const NUMBER: &str = "a whole number";
const NAMESPACE: &str = "a namespace name";

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

struct Reader<'a> {
    values: &'a BTreeMap<&'static str, (String, Origin)>,
    faults: &'a mut String,
}

impl Reader<'_> {
    /// The parsed value; when it is faulty, the fault is noted and the default stands in.
    fn parse<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> T
    where
        T: Clone,
    {
        let default = KEYS
            .iter()
            .find(|key| key.name == name)
            .map_or("", |key| key.default);
        let text = self
            .values
            .get(name)
            .map_or(default, |(text, _)| text.as_str());
        parse(text.trim()).unwrap_or_else(|| {
            fault(self.faults, name, &format!("`{text}` is not {expected}"));
            parse(default).expect("every default is valid")
        })
    }
}

fn fault(faults: &mut String, name: &str, message: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(faults, "  {name}: {message}");
}

fn known(name: &str) -> Option<&'static str> {
    KEYS.iter().find(|key| key.name == name).map(|key| key.name)
}

/// The keys of a file, and its table `source`.
fn read_file(path: &Path) -> Result<(Vec<(String, String)>, sources::Settings), String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Err(format!("  `{}` cannot be read: {error}\n", path.display())),
    };
    let mut table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return Err(format!("  `{}`: {error}\n", path.display())),
    };
    let source = match table.remove("source").map(sources::Settings::deserialize) {
        Some(Ok(source)) => source,
        Some(Err(error)) => return Err(format!("  source: {error}\n")),
        None => sources::Settings::default(),
    };
    let text = |value: toml::Value| match value {
        toml::Value::String(text) => text,
        toml::Value::Array(values) => {
            let texts = values
                .iter()
                .map(|v| v.as_str().unwrap_or_default().to_owned());
            texts.collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    };
    let pairs = table.into_iter().map(|(name, value)| (name, text(value)));
    Ok((pairs.collect(), source))
}

/// A length of time: a whole number and one of `s`, `m`, `h`, `d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let secs: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u64 = number.parse().ok().filter(|number| 0 < *number)?;
    number
        .checked_mul(secs)
        .filter(|secs| *secs <= DURATION_SECS_MAX)
        .map(Duration::from_secs)
}

/// The longest configurable length: a hundred years.
const DURATION_SECS_MAX: u64 = 100 * 366 * 86_400;

/// A network, or a single address as the network of itself.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let single = text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or(single)
        .map_err(|_| format!("`{text}` is no network such as 10.0.0.0/8"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("debrief.toml");
        std::fs::write(&path, file).unwrap();
        let environment = environment
            .iter()
            .map(|(n, v)| (n.to_string(), v.to_string()));
        Config::load(Some(&path), environment, &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_valid_and_the_environment_beats_the_file() {
        Config::defaults();
        let config = load(
            "time_zone = \"Europe/Berlin\"\nrequests_per_second = 5\n",
            &[
                ("DEBRIEF_REQUESTS_PER_SECOND", "7"),
                ("DEBRIEF_DATA", "x"),
                ("HOME", "/"),
            ],
        )
        .unwrap();
        assert_eq!(config.requests_per_second, 7);
        assert_eq!(config.time_zone.iana_name(), Some("Europe/Berlin"));
        let origins: Vec<_> = config
            .values()
            .filter(|(_, _, origin)| *origin != Origin::Default)
            .map(|(key, value, origin)| (key.name, value.to_owned(), origin))
            .collect();
        assert_eq!(
            origins,
            [
                ("time_zone", "Europe/Berlin".into(), Origin::File),
                ("requests_per_second", "7".into(), Origin::Environment)
            ]
        );
    }

    #[test]
    fn the_reference_is_a_view_of_the_table() {
        let mut text = String::from(
            "# Configuration\n\nKeys of `debrief.toml` in the data directory (or `--config FILE`). \
             Each is also an environment\nvariable, in capitals after `DEBRIEF_`; flags win. \
             `debrief config` shows what is in force and why.\nTables `[source.…]` set live sources up: \
             see [sources.md](sources.md).\n\n| key | default | what it does \
             |\n|---|---|---|\n",
        );
        for key in KEYS {
            let default = if key.default.is_empty() {
                ""
            } else {
                &format!("`{}`", key.default)
            };
            let about = key.about;
            writeln!(text, "| `{}` | {default} | {about} |", key.name).unwrap();
        }
        expect_test::expect_file!["../../../docs/configuration.md"].assert_eq(&text);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let error = load(
            "listen = \"nowhere\"\ntimezone = \"UTC\"\nlapse_after = \"0h\"\n",
            &[
                ("DEBRIEF_DIALECT", "klingon"),
                ("DEBRIEF_PUBLIC_URL", "ftp://x"),
            ],
        );
        expect![[r#"
            faulty configuration:
              timezone: there is no such key
              listen: `nowhere` is not an address and port such as 127.0.0.1:8080
              public_url: `ftp://x` is not http:// or https:// and a host
              dialect: `klingon` is not documented or appliance
              lapse_after: `0h` is not a length such as 90s, 15m, 24h or 7d
        "#]]
        .assert_eq(&error.unwrap_err());
    }

    #[test]
    fn lengths_have_a_unit_and_a_bound() {
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Some(Duration::from_secs(7 * 86_400)));
        for bad in ["", "s", "0s", "-1h", "5", "5y", "1.5h", "99999999999d", "é"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
