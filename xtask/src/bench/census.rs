//! What a whole report holds: its sessions and who owned them. It reads Debrief's own answer, tag
//! by tag, so that the rows ask for sessions that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context as _;

const READ_BYTES: usize = 1024 * 1024;

/// The sessions of a report.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) lsids: Vec<String>,
    /// When each began, in UNIX seconds; in the order of `lsids` where each tells it.
    pub(super) starts: Vec<i64>,
    /// How many sessions each representative owned at any time, by user id.
    pub(super) n_owned: BTreeMap<String, usize>,
}

impl Census {
    pub(super) fn of(path: &Path) -> anyhow::Result<Census> {
        let file = File::open(path).context("cannot open a saved report")?;
        Census::read(BufReader::with_capacity(READ_BYTES, file))
    }

    pub(super) fn read(mut report: impl BufRead) -> anyhow::Result<Census> {
        let mut census = Census::default();
        let mut owners = BTreeSet::new();
        let (mut rep, mut is_owner) = (String::new(), false);
        let mut token = Vec::new();
        loop {
            token.clear();
            if report.read_until(b'>', &mut token)? == 0 {
                return Ok(census);
            }
            let tag = token.trim_ascii_start();
            if tag.starts_with(b"<session ") {
                let lsid = attribute(tag, b" lsid=\"").context("a session has no `lsid`")?;
                census.lsids.push(lsid);
            } else if tag.starts_with(b"<start_time ") {
                let start = attribute(tag, b" timestamp=\"").context("a start has no time")?;
                census.starts.push(start.parse()?);
            } else if tag.starts_with(b"<representative ") {
                rep = attribute(tag, b" id=\"").context("a representative has no `id`")?;
            } else if tag == b"<session_owner>" {
                is_owner = true;
            } else if is_owner {
                is_owner = false;
                if tag == b"1</session_owner>" {
                    owners.insert(std::mem::take(&mut rep));
                }
            } else if tag == b"</session>" {
                for owner in std::mem::take(&mut owners) {
                    *census.n_owned.entry(owner).or_default() += 1;
                }
            }
        }
    }

    /// The representative whose share of the sessions is nearest to `share`.
    pub(super) fn rep_with_share(&self, share: f64) -> Option<&str> {
        let wanted = self.lsids.len() as f64 * share;
        let off = |n_owned: usize| (n_owned as f64 - wanted).abs();
        self.n_owned
            .iter()
            .filter(|(rep, _)| !rep.is_empty())
            .min_by(|a, b| off(*a.1).total_cmp(&off(*b.1)))
            .map(|(rep, _)| rep.as_str())
    }
}

fn attribute(tag: &[u8], key: &[u8]) -> Option<String> {
    let begin = tag.windows(key.len()).position(|window| window == key)? + key.len();
    let value = tag[begin..].split(|byte| *byte == b'"').next()?;
    String::from_utf8(value.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_counts_once_for_each_of_its_owners() {
        let rep = |id: &str, owner: &str| {
            format!(
                "<representative gsnumber=\"1\" id=\"{id}\"><username>u</username>\
                 <session_owner>{owner}</session_owner></representative>"
            )
        };
        let report = format!(
            "<session_list xmlns=\"x\"><session lsid=\"a\"><start_time timestamp=\"5\">x</start_time>{}{}{}</session>\n\
             <session lsid=\"b\">{}</session>\n<session lsid=\"c\"></session></session_list>",
            rep("7", "1"),
            rep("7", "1"),
            rep("8", "0"),
            rep("9", "1"),
        );
        let census = Census::read(report.as_bytes()).expect("a report");
        assert_eq!(census.lsids, ["a", "b", "c"]);
        assert_eq!(census.starts, [5]);
        let n_owned = [("7".into(), 1), ("9".into(), 1)];
        assert_eq!(census.n_owned, BTreeMap::from(n_owned));
    }

    #[test]
    fn the_nearest_share_is_chosen() {
        let census = Census {
            lsids: vec![String::new(); 300],
            starts: Vec::new(),
            n_owned: BTreeMap::from([("1".into(), 90), ("2".into(), 4), ("3".into(), 1)]),
        };
        assert_eq!(census.rep_with_share(0.01), Some("2"));
        assert_eq!(Census::default().rep_with_share(0.01), None);
    }
}
