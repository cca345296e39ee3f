//! `debrief import`.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use debrief_store::{Import, Store};
use indicatif::ProgressBar;
use tokio::runtime::Handle;

use super::progress;
use crate::clock::Clock;
use crate::config::Config;
use crate::intake::{Intake, take_in};

/// Flags of `debrief import`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Documents, directories of documents, or `-` for standard input.
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// The counts as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(
    store: &Store,
    config: &Config,
    args: &Args,
    runtime: &Handle,
) -> anyhow::Result<()> {
    let files = files(&args.inputs)?;
    let n_bytes = files
        .iter()
        .filter_map(|file| file.metadata().ok())
        .map(|file| file.len())
        .sum();
    let bar = progress(
        n_bytes,
        "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}",
    );
    let mut sum = Import::default();
    let mut refused = Vec::new();
    for file in &files {
        match import_one(store, config, file, &bar, runtime) {
            Ok(intake) => {
                sum.add(intake.import);
                report_oddities(file, &intake);
                refused.extend(fault(file, &intake));
            }
            Err(error) => refused.push(format!("{}: {error:#}", name(file))),
        }
    }
    bar.finish_and_clear();
    print(&sum, files.len(), args.json)?;
    if refused.is_empty() {
        return Ok(());
    }
    anyhow::bail!("{}", refused.join("\n"))
}

/// The files that the arguments name, those of a directory by name.
fn files(inputs: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            files.push(input.clone());
            continue;
        }
        let entries = std::fs::read_dir(input).and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<io::Result<Vec<_>>>()
        });
        let entries = entries.with_context(|| format!("cannot read `{}`", input.display()))?;
        let is_document = |path: &PathBuf| {
            let name = path.to_string_lossy().to_lowercase();
            path.is_file() && (name.ends_with(".xml") || name.ends_with(".xml.gz"))
        };
        let mut found: Vec<PathBuf> = entries.into_iter().filter(is_document).collect();
        if found.is_empty() {
            anyhow::bail!(
                "there is no `.xml` or `.xml.gz` file in `{}`",
                input.display()
            );
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn name(file: &Path) -> String {
    if file == Path::new("-") {
        "standard input".into()
    } else {
        format!("`{}`", file.display())
    }
}

fn import_one(
    store: &Store,
    config: &Config,
    file: &Path,
    bar: &ProgressBar,
    runtime: &Handle,
) -> anyhow::Result<Intake> {
    let input: Box<dyn Read + Send> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).context("cannot be opened")?)
    };
    let input = bar.wrap_read(input);
    let now = Clock::System.now();
    Ok(take_in(store, &config.namespace, input, now, runtime)?)
}

fn report_oddities(file: &Path, intake: &Intake) {
    if 0 < intake.passed_over {
        let n = intake.passed_over;
        eprintln!(
            "{}: {n} elements beside sessions were passed over",
            name(file)
        );
    }
}

/// What a document was refused for, and what of it is in the archive.
fn fault(file: &Path, intake: &Intake) -> Option<String> {
    let fault = intake.fault.as_ref()?;
    let kept = match &intake.last {
        Some(lsid) => format!("the sessions up to `{lsid}` are in the archive"),
        None => "nothing of it is in the archive".into(),
    };
    Some(format!("{}, {fault}; {kept}", name(file)))
}

fn print(sum: &Import, n_files: usize, json: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        let value = serde_json::json!({
            "files": n_files,
            "fresh": sum.fresh,
            "replaced": sum.replaced,
            "repeated": sum.repeated,
            "older": sum.older,
            "live": sum.live,
        });
        writeln!(out, "{value}")?;
        return Ok(());
    }
    let Import {
        fresh,
        replaced,
        repeated,
        older,
        live,
    } = sum;
    writeln!(
        out,
        "{fresh} new sessions, {replaced} replaced by newer versions, {repeated} unchanged"
    )?;
    if 0 < *older {
        writeln!(out, "{older} left alone: the archive has newer versions")?;
    }
    if 0 < *live {
        writeln!(out, "{live} left alone: the archive has their events")?;
    }
    Ok(())
}
