//! `debrief pull`: keeps a copy of an appliance, or of another Debrief.

use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use super::{WrongUsage, open};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, duration};
use crate::http::log_chain;
use crate::sources::appliance::pull::{Pull, called, failed};
use crate::sources::appliance::{Given, Settings, by_hand};
use crate::stop::Stop;

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
    let mut pull = Pull::open(&app, data, &settings, runtime, &Stop::default())?;
    let source = called(&settings.name);
    // A server on the same archive shows it.
    let teller = runtime.spawn(tell_again_and_again(app.clone(), source.clone()));
    loop {
        let round = pull.round();
        if let Err(error) = &round {
            failed(&app, &settings.name, error);
        } else if !args.follow {
            app.sources()
                .update(&source, |standing| standing.state = "ended".into());
        }
        if !args.follow {
            // What it was about to tell is older than the last word.
            teller.abort();
        }
        // What came is here, whether it can be told or not.
        if let Err(error) = runtime.block_on(by_hand::tell(&app, &source)) {
            log_chain(&error);
        }
        if let (Err(error), true) = (&round, args.follow) {
            eprintln!("debrief: {error:#}; it is tried again");
        }
        print(&pull, args.json);
        if !args.follow {
            return round;
        }
        pull.summary = Default::default();
        std::thread::sleep(settings.every);
    }
}

async fn tell_again_and_again(app: App, source: String) {
    loop {
        if let Err(error) = by_hand::tell(&app, &source).await {
            log_chain(&error);
        }
        tokio::time::sleep(by_hand::TOLD_EVERY).await;
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
