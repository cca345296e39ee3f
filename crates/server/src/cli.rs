//! The command line: one table of commands, each in a file of its own.

mod account;
mod demo;
mod directory;
mod download;
mod import;
mod pull;
mod report;
mod serve;
mod ship;
mod sources;
mod verify;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use debrief_store::Store;
use indicatif::{ProgressBar, ProgressStyle};

use crate::config::Config;

/// Keeps every remote-support session, and answers for it.
#[derive(Debug, Parser)]
#[command(name = "debrief", version, about, max_term_width = 100)]
struct Cli {
    /// The data directory.
    #[arg(
        long,
        global = true,
        env = "DEBRIEF_DATA",
        default_value = "./debrief-data"
    )]
    data: PathBuf,
    /// The configuration file [default: debrief.toml in the data directory, if it is there].
    #[arg(long, global = true, env = "DEBRIEF_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server; its first line of output is its address.
    Serve(serve::Args),
    /// Makes and changes API accounts.
    #[command(subcommand)]
    Account(account::Command),
    /// Reads `session_list` documents, plain or gzip, into the archive.
    Import(import::Args),
    /// Gives the report that the API gives, from the data directory or from a server.
    Report(Box<report::Args>),
    /// Keeps a copy of an appliance, or of another Debrief.
    Pull(pull::Args),
    /// How the live sources of a running server are doing.
    Sources(sources::Args),
    /// Representatives, teams, sites and custom fields.
    #[command(subcommand)]
    Directory(directory::Command),
    /// Fills the archive with a believable support organisation.
    Demo(demo::Args),
    /// Watches a RustDesk client's folder of recordings, and uploads them to their sessions.
    ShipRecordings(ship::Args),
    /// Forgets which computer a RustDesk device id belongs to, such as after a new installation.
    ForgetDevice {
        /// The device's id.
        id: String,
    },
    /// Folds every session again and compares; checks every byte that has a checksum.
    Verify(verify::Args),
    /// Prints the effective configuration, and where each value came from.
    Config {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// The program: 0 done, 1 failed, 2 wrong usage.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors: clap says which.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("debrief: {error:#}");
            ExitCode::from(if error.is::<WrongUsage>() { 2 } else { 1 })
        }
    }
}

/// What was asked for makes no sense, whatever the archive holds.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUsage(String);

/// Whether the reader of our output went away, as `head` does.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let data = cli.data.as_path();
    let flags = match &cli.command {
        Command::Serve(args) => args.overrides(),
        _ => Vec::new(),
    };
    let beside = data.join("debrief.toml");
    let file = cli.config.or_else(|| beside.exists().then_some(beside));
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let config = Config::load(file.as_deref(), environment, &flags)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match cli.command {
        Command::Serve(args) => runtime.block_on(serve::run(data, config, &args)),
        Command::Account(command) => {
            let store = if command.makes() {
                open(data)
            } else {
                open_existing(data)
            }?;
            runtime.block_on(account::run(&store, command))
        }
        Command::Import(args) => import::run(&open(data)?, &config, &args, runtime.handle()),
        Command::Report(args) => runtime.block_on(report::run(data, config, *args)),
        Command::Pull(args) => pull::run(data, config, &args, runtime.handle()),
        Command::Sources(args) => sources::run(&args),
        Command::Directory(command) => {
            let store = if command.makes() {
                open(data)
            } else {
                open_existing(data)
            }?;
            runtime.block_on(directory::run(&store, command))
        }
        Command::Demo(args) => runtime.block_on(demo::run(data, &open(data)?, &config, args)),
        Command::ShipRecordings(args) => ship::run(&config, &args),
        Command::ForgetDevice { id } => {
            let store = open_existing(data)?;
            if !runtime.block_on(crate::sources::rustdesk::forget(&store, &id))? {
                anyhow::bail!("no device `{id}` has come yet");
            }
            Ok(())
        }
        Command::Verify(args) => runtime.block_on(verify::run(data, &config, &args)),
        Command::Config { json } => {
            print_config(&config, json);
            Ok(())
        }
        Command::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "debrief", &mut std::io::stdout());
            Ok(())
        }
    }
}

fn open(data: &Path) -> anyhow::Result<Store> {
    Ok(Store::open_retelling(data, debrief_report::retell)?)
}

/// Opens an archive that must be there already.
fn open_existing(data: &Path) -> anyhow::Result<Store> {
    if !data.join("archive.sqlite").exists() {
        anyhow::bail!(
            "there is no archive in `{}`; --data names the data directory",
            data.display()
        );
    }
    open(data).with_context(|| format!("in `{}`", data.display()))
}

fn print_config(config: &Config, json: bool) {
    if json {
        let values = config.values().map(|(key, value, origin)| {
            let value = serde_json::json!({ "value": value, "origin": origin.name() });
            (key.name.to_owned(), value)
        });
        println!("{}", serde_json::Value::Object(values.collect()));
        return;
    }
    for (key, value, origin) in config.values() {
        println!("{} = {:?}  # {}", key.name, value, origin.name());
    }
}

/// A bar on a terminal, nothing on a pipe.
fn progress(len: u64, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(len);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
