//! `debrief verify`: folds every session again and compares; checks every stored byte that has a
//! checksum.

use std::io::Write as _;
use std::path::Path;

use debrief_domain::{Directory, Moment, fold};
use debrief_report::{Sealed, session_parts};
use debrief_store::{Examined, Files, KeptRecording, Objects, Silence, Store};
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{open_existing, progress};
use crate::config::Config;
use crate::http::words;

/// Sessions examined at once.
const EXAMINE_SESSIONS_MAX: usize = 256;
/// Faulty sessions that are told; more are counted.
const FAULTS_TOLD_MAX: usize = 100;

/// Flags of `debrief verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The counts as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(data: &Path, config: &Config, args: &Args) -> anyhow::Result<()> {
    let store = open_existing(data)?;
    let (_, directory) = store.directory().await?;
    let mut faults = store.integrity().await?;
    let bar = progress(0, "{spinner} {pos} sessions {per_sec}");
    let (mut after, mut n_sessions, mut n_sealed) = (i64::MIN, 0_u64, 0_u64);
    loop {
        let sessions = store.examine(after, EXAMINE_SESSIONS_MAX).await?;
        let Some(last) = sessions.last() else { break };
        after = last.place;
        for session in sessions {
            n_sessions += 1;
            n_sealed += u64::from(session.body.is_some());
            let lsid = session.lsid.clone();
            let found = examine(session, &directory, &config.namespace);
            faults.extend(
                found
                    .into_iter()
                    .map(|fault| format!("session `{lsid}`: {fault}")),
            );
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let n_recordings = verify_recordings(&store, &config.open_files(data)?, &mut faults).await?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let value = serde_json::json!({
            "sessions": n_sessions, "sealed": n_sealed, "recordings": n_recordings,
            "faults": faults.len(),
        });
        writeln!(out, "{value}")?;
    } else {
        writeln!(
            out,
            "{n_sessions} sessions, {n_sealed} of them sealed; {n_recordings} files of \
             recordings; {} faults",
            faults.len()
        )?;
    }
    if faults.is_empty() {
        return Ok(());
    }
    let n_more = faults.len().saturating_sub(FAULTS_TOLD_MAX);
    faults.truncate(FAULTS_TOLD_MAX);
    if 0 < n_more {
        faults.push(format!("and {n_more} more"));
    }
    anyhow::bail!("the archive is damaged:\n  {}", faults.join("\n  "))
}

/// Reads every recording and compares it with its row. Gives how many there are.
async fn verify_recordings(
    store: &Store,
    files: &Files,
    faults: &mut Vec<String>,
) -> anyhow::Result<u64> {
    let bar = progress(0, "{spinner} {pos} recordings {per_sec}");
    let (mut after, mut n_recordings) = (None, 0);
    loop {
        let page = store.recordings_after(after, EXAMINE_SESSIONS_MAX).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        for kept in page {
            n_recordings += 1;
            if let Err(error) = verify_recording(&files.objects, &kept).await {
                let words = words(&kept.key);
                faults.push(format!(
                    "recording `{words}`, object `{}`: {error:#}",
                    kept.object
                ));
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(n_recordings)
}

async fn verify_recording(objects: &Objects, kept: &KeptRecording) -> anyhow::Result<()> {
    let len = objects.len(&kept.object).await?;
    if len != kept.bytes {
        anyhow::bail!("it has {len} bytes and should have {}", kept.bytes);
    }
    let mut hash = Sha256::new();
    let mut pieces = objects.read(&kept.object, 0..len);
    while let Some(piece) = pieces.try_next().await? {
        hash.update(&piece);
    }
    let sha256: [u8; 32] = hash.finalize().into();
    if sha256 != kept.sha256 {
        anyhow::bail!("its bytes are not those that were kept");
    }
    Ok(())
}

/// Everything wrong with one session.
fn examine(session: Examined, directory: &Directory, namespace: &str) -> Vec<String> {
    let mut faults = session.faults;
    let Some(body) = session.body else {
        return faults;
    };
    let sealed = Sealed::parse(&body);
    // Opening compares every byte with its checksum.
    let mut kept = match sealed.and_then(|sealed| sealed.open()) {
        Ok(kept) => kept,
        Err(error) => {
            faults.push(error.to_string());
            return faults;
        }
    };
    if session.events.is_empty() {
        return faults;
    }
    // Names belong to the directory: what counts is that the session shows the current ones.
    if !kept.is_current(directory)
        && let Err(error) = kept.rename(directory, namespace)
    {
        faults.push(error.to_string());
    }
    let moment = match session.silence {
        Silence::Heard => Moment::Now(debrief_domain::At::MIN),
        Silence::Lapsed => Moment::Silent,
    };
    let again = fold(session.lseq, session.events, moment);
    let again = again.map(|folded| {
        let folded = folded.with_recordings(&session.recordings);
        session_parts(&folded, directory)
    });
    let is_same = again.is_some_and(|again| {
        again.head == kept.head
            && again.tail == kept.tail
            && again.links_digest() == kept.links_digest()
    });
    if !is_same {
        faults.push("its sealed bytes are not what its events say".into());
    }
    faults
}
