//! `debrief report --recordings DIR`: everything behind the links of a report, as files.
//!
//! The report lies in `DIR/.report.partial` while its links are followed one after the other: a
//! server does not wait for a reader who does something else in between. The same file is locked,
//! so that two runs do not write into one directory.

mod copy;

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{BufReader, Seek as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use debrief_domain::{Lsid, Recording, RecordingKind};
use debrief_report::{Download, Element, SessionReader, downloads};
use debrief_store::{KeptRecording, Part};
use indicatif::ProgressBar;

use super::progress;
use crate::app::App;
use crate::client::Client;
use crate::config::Config;
use crate::download::slot::{Slot, What};
use crate::download::{Got, fetch, what};
use crate::recording::media::Media;

/// Missing files that are told; more are counted.
const MISSING_TOLD_MAX: usize = 100;

/// Where a report and its files come from.
pub(crate) enum Source {
    /// The data directory.
    Archive(App),
    /// A server.
    Server(Box<Client>),
}

/// The directory that files are put into, locked for this run.
pub(crate) struct Folder {
    root: PathBuf,
    spool: File,
}

impl Folder {
    pub(crate) fn open(root: &Path) -> anyhow::Result<Folder> {
        let cannot = || format!("cannot write into `{}`", root.display());
        fs::create_dir_all(root).with_context(cannot)?;
        let path = root.join(".report.partial");
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let spool = options.open(path).with_context(cannot)?;
        match spool.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                anyhow::bail!("another debrief is writing into `{}`", root.display())
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        spool.set_len(0).with_context(cannot)?;
        Ok(Folder {
            root: root.into(),
            spool,
        })
    }

    /// Where the report goes whose links are followed.
    pub(crate) fn spool(&mut self) -> &mut impl Write {
        &mut self.spool
    }
}

/// What a run came to.
#[derive(Default)]
pub(crate) struct Summary {
    n_sessions: u64,
    n_files: u64,
    n_bytes: u64,
    n_skipped: u64,
    n_missing: u64,
    missing: Vec<String>,
}

impl Summary {
    fn count(&mut self, words: &str, got: Got) {
        match got {
            Got::Fresh(n_bytes) => {
                self.n_files += 1;
                self.n_bytes += n_bytes;
            }
            Got::Same => self.n_skipped += 1,
            Got::Missing(why) => {
                self.n_missing += 1;
                if self.missing.len() < MISSING_TOLD_MAX {
                    self.missing.push(format!("{words}: {why}"));
                }
            }
        }
    }

    /// Says it in one line, or in JSON on standard output.
    pub(crate) fn tell(&self, json: bool) {
        if json {
            let value = serde_json::json!({
                "sessions": self.n_sessions,
                "files": self.n_files,
                "bytes": self.n_bytes,
                "skipped": self.n_skipped,
                "missing": self.n_missing,
            });
            println!("{value}");
            return;
        }
        eprintln!(
            "{} sessions: {} files downloaded ({} bytes), {} there already, {} missing",
            self.n_sessions, self.n_files, self.n_bytes, self.n_skipped, self.n_missing
        );
    }

    /// An error when anything is missing.
    pub(crate) fn judge(self) -> anyhow::Result<()> {
        if self.n_missing == 0 {
            return Ok(());
        }
        let mut lines = self.missing;
        let n_more = self.n_missing.saturating_sub(lines.len() as u64);
        if 0 < n_more {
            lines.push(format!("and {n_more} more"));
        }
        let n = self.n_missing;
        anyhow::bail!("{n} files are missing:\n  {}", lines.join("\n  "))
    }
}

/// Follows the links of the report in the folder's spool.
pub(crate) async fn run(
    source: Source,
    mut folder: Folder,
    config: &Config,
) -> anyhow::Result<Summary> {
    folder.spool.rewind()?;
    let bar = progress(0, "{spinner} {bytes} {bytes_per_sec} {msg}");
    let mut reader = SessionReader::new(BufReader::new(&folder.spool), &config.namespace);
    let mut follower = Follower {
        source,
        root: &folder.root,
        bytes_max: config.recording_bytes_max,
        bar: &bar,
        elsewhere: None,
        summary: Summary::default(),
    };
    while let Some(session) = reader.next_element().context("the report's links")? {
        follower.session(&session).await?;
        let summary = &follower.summary;
        let n_files = summary.n_files + summary.n_skipped;
        bar.set_message(format!("{} sessions, {n_files} files", summary.n_sessions));
    }
    let summary = follower.summary;
    bar.finish_and_clear();
    // It has signed links in it.
    folder.spool.set_len(0)?;
    Ok(summary)
}

struct Follower<'a> {
    source: Source,
    root: &'a Path,
    bytes_max: u64,
    bar: &'a ProgressBar,
    /// Another server that links pointed to, once that was said.
    elsewhere: Option<String>,
    summary: Summary,
}

impl Follower<'_> {
    async fn session(&mut self, session: &Element) -> anyhow::Result<()> {
        self.summary.n_sessions += 1;
        let links = downloads(session);
        if links.is_empty() {
            return Ok(());
        }
        let told = session.attribute("lsid").unwrap_or("");
        let Ok(lsid) = Lsid::parse(told) else {
            let told: String = told.chars().take(64).flat_map(char::escape_debug).collect();
            let why = "its id cannot be the name of a directory".to_owned();
            let words = format!("session `{told}`");
            self.summary.count(&words, Got::Missing(why));
            return Ok(());
        };
        // Of one archive's session the rows are read once.
        let kept = match &self.source {
            Source::Archive(app) => app.store().recordings(&lsid).await?.unwrap_or_default(),
            Source::Server(_) => Vec::new(),
        };
        let mut seen = HashSet::new();
        for link in links {
            let Some(what) = what(&link) else {
                let words = format!("session `{lsid}`, {}", link.target.name());
                let why = "its instance is no number in the range".to_owned();
                self.summary.count(&words, Got::Missing(why));
                continue;
            };
            if seen.insert(what) {
                self.file(&lsid, session, what, &link, &kept).await?;
            }
        }
        Ok(())
    }

    async fn file(
        &mut self,
        lsid: &Lsid,
        session: &Element,
        what: What,
        link: &Download,
        kept: &[KeptRecording],
    ) -> anyhow::Result<()> {
        let words = match what {
            What::Chat | What::Timing(_) => format!("session `{lsid}`, {}", link.target.name()),
            What::Recording(Recording { kind, instance }) => {
                format!("session `{lsid}`, {} {instance}", kind.name())
            }
        };
        let mut slot = Slot::open(self.root, lsid, what);
        let got = match &self.source {
            Source::Archive(app) => match what {
                What::Chat => copy::write_chat(session, &mut slot)?,
                What::Recording(_) | What::Timing(_) => match row(kept, what) {
                    Some(kept) => copy::copy(app, kept, &mut slot, self.bar).await?,
                    None => Got::Missing("nobody has handed it in".into()),
                },
            },
            Source::Server(_) => self.fetch(&link.address, what, &mut slot)?,
        };
        let is_there = !matches!(got, Got::Missing(_));
        self.summary.count(&words, got);
        let is_script = is_there && slot.media() == Some(Media::Typescript);
        if let What::Recording(Recording {
            kind: RecordingKind::CommandShell,
            instance,
        }) = what
            && is_script
        {
            let timing = What::Timing(instance);
            self.timing(lsid, &words, timing, link, kept).await?;
        }
        Ok(())
    }

    /// The timing of a typescript. One that is not there is not missed: nothing promised it.
    async fn timing(
        &mut self,
        lsid: &Lsid,
        words: &str,
        timing: What,
        link: &Download,
        kept: &[KeptRecording],
    ) -> anyhow::Result<()> {
        let mut slot = Slot::open(self.root, lsid, timing);
        let got = match &self.source {
            Source::Archive(app) => match row(kept, timing) {
                Some(kept) => copy::copy(app, kept, &mut slot, self.bar).await?,
                None => return Ok(()),
            },
            Source::Server(_) => {
                let join = if link.address.contains('?') { '&' } else { '?' };
                let address = format!("{}{join}form=timing", link.address);
                match self.fetch(&address, timing, &mut slot)? {
                    Got::Missing(why) if why.contains("404") => return Ok(()),
                    got => got,
                }
            }
        };
        self.summary.count(&format!("{words}, timing"), got);
        Ok(())
    }

    fn fetch(&mut self, address: &str, what: What, slot: &mut Slot) -> anyhow::Result<Got> {
        let Source::Server(client) = &mut self.source else {
            return Ok(Got::Missing("there is no server".into()));
        };
        let Some(place) = client.place(address) else {
            return Ok(Got::Missing("its link is no address".into()));
        };
        if place.elsewhere.is_some() && place.elsewhere != self.elsewhere {
            let server = client.server();
            let told = place.elsewhere.as_deref().unwrap_or("");
            eprintln!("links point to `{told}`; they are asked for at `{server}`");
            self.elsewhere = place.elsewhere;
        }
        fetch::fetch(client, &place.url, what, slot, self.bytes_max, self.bar)
    }
}

fn row(kept: &[KeptRecording], what: What) -> Option<&KeptRecording> {
    let (recording, part) = match what {
        What::Chat => return None,
        What::Recording(recording) => (recording, Part::Main),
        What::Timing(instance) => {
            let kind = RecordingKind::CommandShell;
            (Recording { kind, instance }, Part::Timing)
        }
    };
    let mut kept = kept.iter();
    kept.find(|kept| kept.key.recording == recording && kept.key.part == part)
}
