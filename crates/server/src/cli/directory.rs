//! `debrief directory`.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use debrief_store::Store;

use crate::wire::directory::{DirectoryDoc, changes, parse};

/// Commands of `debrief directory`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Replaces the directory by a document in TOML or JSON, and prints what changes.
    Apply {
        /// The document, or `-` for standard input.
        file: PathBuf,
        /// Prints what would change, and changes nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Prints the directory as such a document.
    Export {
        /// The form of the document.
        #[arg(long, value_enum, default_value_t = Form::Toml)]
        format: Form,
    },
}

impl Command {
    /// Whether the command makes sense where there is no archive yet.
    pub(crate) fn makes(&self) -> bool {
        matches!(self, Command::Apply { .. })
    }
}

/// Forms of a directory document.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Form {
    /// TOML.
    Toml,
    /// JSON.
    Json,
}

pub(crate) async fn run(store: &Store, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Apply { file, dry_run } => apply(store, &file, dry_run).await,
        Command::Export { format } => {
            let (_, directory) = store.directory().await?;
            let document = DirectoryDoc::of(&directory);
            let text = match format {
                Form::Toml => toml::to_string(&document)?,
                Form::Json => serde_json::to_string_pretty(&document)?,
            };
            writeln!(std::io::stdout(), "{}", text.trim_end())?;
            Ok(())
        }
    }
}

async fn apply(store: &Store, file: &Path, dry_run: bool) -> anyhow::Result<()> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        let cannot = || format!("`{}` cannot be read", file.display());
        std::fs::read_to_string(file).with_context(cannot)?
    };
    let after = match parse(&text) {
        Ok(directory) => directory,
        Err(faults) => anyhow::bail!("`{}` is faulty:\n  {}", file.display(), faults.join("\n  ")),
    };
    let (version, before) = store.directory().await?;
    let lines = changes(&before, &after);
    let mut out = std::io::stdout().lock();
    for line in &lines {
        writeln!(out, "{line}")?;
    }
    drop(out);
    if lines.is_empty() {
        eprintln!("nothing changes");
        return Ok(());
    }
    if dry_run {
        return Ok(());
    }
    if store.amend_directory(after, version).await?.is_none() {
        anyhow::bail!("somebody else changed the directory meanwhile: look again");
    }
    Ok(())
}
