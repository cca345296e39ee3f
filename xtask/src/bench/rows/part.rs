//! The oldest sessions of the archive, as many as a slow peer is given. Both sides answer these.

use std::io::{self, Write};

use anyhow::ensure;

use super::super::flood::Stream;
use super::super::load::Coding;
use super::super::results::Measured;
use super::super::stand::{Stand, near, say};
use super::{LOOKUP_TOLERANCE, MEGABYTE, compared};

/// A peer's document must be at least this share as long as ours: the same facts.
const SAME_FACTS_MIN: f64 = 0.9;

/// Some sessions and their report.
pub(super) struct Part {
    /// What asks for them and for no others.
    pub(super) selection: String,
    n_sessions: usize,
    n_all: usize,
    /// Lengths of their report.
    pub(super) xml_bytes: u64,
    gzip_bytes: u64,
}

impl Part {
    /// The oldest of them. Their report goes to `document`.
    pub(super) fn oldest(stand: &Stand, document: &mut dyn Write) -> anyhow::Result<Part> {
        let starts = &stand.census.starts;
        let n_all = starts.len();
        let n_sessions = n_all.min(stand.scale.n_normalised as usize);
        let (first, last) = (starts[0], starts[n_sessions - 1]);
        let selection = format!("start_time={first}&duration={}", last - first + 1);
        let xml_bytes = stand.ask(&selection, Coding::Identity, document)?;
        let gzip_bytes = stand.ask(&selection, Coding::Gzip, &mut io::sink())?;
        Ok(Part {
            selection,
            n_sessions,
            n_all,
            xml_bytes,
            gzip_bytes,
        })
    }

    /// Whether a peer's document is as long as one with the same facts.
    pub(super) fn check_facts(&self, peer: &str, n_bytes: u64) -> anyhow::Result<()> {
        let share = n_bytes as f64 / self.xml_bytes as f64;
        let percent = share * 100.0;
        say(&format!(
            "{peer}'s document has {percent:.0} % of our bytes"
        ));
        ensure!(SAME_FACTS_MIN <= share, "{peer}'s document lacks facts");
        Ok(())
    }

    /// Megabytes of XML per second that Debrief sends to a client with gzip.
    pub(super) fn sent_by_debrief(&self, stand: &Stand) -> anyhow::Result<f64> {
        let server = stand.server()?;
        let stream = Stream {
            address: server.address,
            request: &server.report(&self.selection, Coding::Gzip),
            n_clients: 1,
            lasts: stand.scale.sample,
            body_bytes: near(self.gzip_bytes, LOOKUP_TOLERANCE),
        };
        Ok(stream.run()? * self.xml_bytes as f64 / MEGABYTE)
    }

    /// Both sides in megabytes of XML per second, and how many sessions they answered.
    pub(super) fn compared(&self, debrief: Vec<f64>, peer: Vec<f64>) -> Measured {
        let measured = compared("MB of XML/s", debrief, peer, |ours, theirs| ours / theirs);
        let (n_sessions, n_all) = (self.n_sessions, self.n_all);
        if n_sessions < n_all {
            return measured.noted(format!("{n_sessions} of {n_all} sessions, both sides"));
        }
        measured
    }
}
