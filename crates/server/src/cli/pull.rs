//! `debrief pull`: keeps a copy of an appliance, or of another Debrief.

use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use super::{WrongUsage, open};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, duration};
use crate::sources::appliance::pull::{Pull, failed};
use crate::sources::appliance::{Given, Settings};

/// Flags of `debrief pull`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the appliance, such as `https://support.example.com`.
    #[arg(long, value_name = "URL")]
    from: String,
    /// The API account's client id.
    #[arg(long)]
    client_id: String,
    /// A file with the API account's client secret, or `-` for standard input.
    #[arg(long)]
    client_secret_file: PathBuf,
    /// What the source is called here: what it remembers stands under this name [default: the
    /// host, and a port of its own].
    #[arg(long)]
    name: Option<String>,
    /// Copies no session before this day (YYYY-MM-DD) or UNIX time; everything unless it is given.
    #[arg(long)]
    since: Option<String>,
    /// Catches up and ends: what is done unless --follow is given.
    #[arg(long, conflicts_with = "follow")]
    once: bool,
    /// Goes on until it is stopped.
    #[arg(long)]
    follow: bool,
    /// With --follow: how long to rest between two rounds.
    #[arg(long, value_name = "LENGTH", default_value = "60s")]
    every: String,
    /// Leaves recordings where they are.
    #[arg(long)]
    no_recordings: bool,
    /// What was copied, as JSON; with --follow a line after each round.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn settings(&self) -> anyhow::Result<Settings> {
        if duration(&self.every).is_none() {
            let message = "--every: expected a length such as 90s, 15m, 24h or 7d";
            return Err(WrongUsage(message.into()).into());
        }
        let given = Given {
            name: self.name.clone(),
            url: self.from.clone(),
            client_id: self.client_id.clone(),
            client_secret_file: self.client_secret_file.clone(),
            every: Some(self.every.clone()),
            recordings: Some(!self.no_recordings),
            since: self.since.clone(),
        };
        let settings = Settings::try_from(given);
        settings.map_err(|faults| WrongUsage(faults.replace("url:", "--from:")).into())
    }
}

pub(crate) fn run(
    data: &Path,
    config: Config,
    args: &Args,
    runtime: &Handle,
) -> anyhow::Result<()> {
    let settings = args.settings()?;
    let store = open(data)?;
    let files = config.open_files(data)?;
    let app = runtime.block_on(App::new(store, files, config, Clock::System))?;
    let mut pull = Pull::open(&app, data, &settings, runtime)?;
    if !args.follow {
        let round = pull.round();
        print(&pull, args.json);
        return round;
    }
    loop {
        if let Err(error) = pull.round() {
            failed(&app, &settings.name, &error);
            eprintln!("debrief: {error:#}; it is tried again");
        }
        print(&pull, args.json);
        pull.summary = Default::default();
        std::thread::sleep(settings.every);
    }
}

fn print(pull: &Pull, json: bool) {
    let summary = &pull.summary;
    let import = summary.import;
    for told in &summary.told {
        eprintln!("{told}");
    }
    if json {
        let value = serde_json::json!({
            "fresh": import.fresh,
            "replaced": import.replaced,
            "repeated": import.repeated,
            "older": import.older,
            "live": import.live,
            "asked_again": pull.n_again(),
            "recordings": summary.n_recordings,
            "missing": summary.n_missing,
            "dead_letters": summary.n_dead,
        });
        println!("{value}");
        return;
    }
    let is_empty = import == debrief_store::Import::default();
    if let Some(said) = summary.said.as_ref().filter(|_| is_empty) {
        eprintln!("nothing came; the appliance says: {said}");
    }
    println!(
        "{} new sessions, {} replaced by newer versions, {} unchanged, {} recordings",
        import.fresh,
        import.replaced,
        import.repeated + import.older + import.live,
        summary.n_recordings
    );
    for (n, what) in [
        (pull.n_again() as u64, "sessions are asked for again later"),
        (summary.n_missing, "recordings are missing"),
        (summary.n_dead, "sessions were kept aside"),
    ] {
        if 0 < n {
            eprintln!("{n} {what}");
        }
    }
}
