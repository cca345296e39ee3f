//! `debrief serve`.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use debrief_domain::Permissions;
use debrief_store::{ConditionalPut, Store};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

use super::account::{Credentials, create, print_credentials};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, LogFormat};
use crate::sources::appliance::Copying;
use crate::sources::meshcentral;
use crate::{http, random, sources, sweep};

/// Flags of `debrief serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Fills an empty archive with the demo organisation first.
    #[arg(long)]
    demo: bool,
}

impl Args {
    /// What the flags say of configuration keys.
    pub(crate) fn overrides(&self) -> Vec<(&'static str, String)> {
        self.listen
            .iter()
            .map(|listen| ("listen", listen.to_string()))
            .collect()
    }
}

/// Everything an administrator may do.
const ADMIN: &str = "reporting,recordings,command=full_access,ingest,admin";

pub(crate) async fn run(data: &Path, config: Config, args: &Args) -> anyhow::Result<()> {
    log_to_stderr(&config);
    // Held until the program ends, and taken before the archive's format may change.
    let _lock = lock(data)?;
    let meshcentral = meshcentral::Source::all(&config.source.meshcentral)?;
    let store = super::open(data)?;
    let files = config.open_files(data)?;
    if args.demo && store.last_change().await? == 0 {
        let n_sessions = super::demo::DEMO_SESSIONS;
        super::demo::fill(&store, Some(&files), n_sessions, 1, config.lapse_after).await?;
    }
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    // Printed before anything else can fail: the secret is nowhere else.
    if let Some(admin) = first_admin(&store).await? {
        eprintln!("first start: made the API account `admin` with every permission");
        print_credentials(&admin, &mut std::io::stderr())?;
    }
    let address = listener.local_addr()?;
    let stall_timeout = config.stall_timeout;
    let app = App::new(store, files, config, Clock::System).await?;
    // Heard from before the address is told: who knows it may stop the server at once.
    let stop = stopped()?;
    tokio::spawn(probe(app.clone()));
    let sweeper = tokio::spawn(sweep::keep_running(app.clone()));
    let copying = Copying::start(&app, data, &Handle::current());
    let copying = copying.context("cannot start a source")?;
    tokio::spawn(sources::rustdesk::keep_running(app.clone()));
    let mut followed = JoinSet::new();
    for source in meshcentral {
        followed.spawn(meshcentral::run(app.clone(), source));
    }
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "listening on http://{address}")?;
        out.flush()?;
    }
    http::serve(listener, http::router(app.clone()), stall_timeout, stop).await?;
    sweeper.abort();
    // What was heard and not committed is heard again.
    followed.shutdown().await;
    copying.end().await;
    tracing::info!("stopped");
    Ok(())
}

/// Tries the object store out and tells what it can do. Reports are answered without it.
async fn probe(app: App) {
    let objects = &app.files().objects;
    let about = objects.about();
    let name = random::word(PROBE_NAME_CHARS).unwrap_or_default();
    match objects.probe(&name).await {
        Ok(abilities) => {
            let conditional_put = match abilities.conditional_put {
                ConditionalPut::Honoured => "honoured",
                ConditionalPut::Ignored => "ignored",
                ConditionalPut::Unsupported => "unsupported",
            };
            tracing::info!(
                conditional_put,
                "recordings are kept in `{about}`: it writes, reads ranges and deletes"
            );
        }
        Err(error) => {
            tracing::error!("recordings cannot be kept in `{about}` now");
            http::log_chain(&error);
        }
    }
}

/// Letters of the name under which the object store is tried out.
const PROBE_NAME_CHARS: usize = 22;

/// Done when the program is asked to end.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// One server per data directory.
fn lock(data: &Path) -> anyhow::Result<File> {
    let cannot = || format!("cannot make the data directory `{}`", data.display());
    std::fs::create_dir_all(data).with_context(cannot)?;
    let path = data.join("serve.lock");
    let file = File::create(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            anyhow::bail!(
                "another `debrief serve` runs on the data directory `{}`",
                data.display()
            )
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock `{}`", path.display()))
        }
    }
}

/// The administrator's account, when there is no account at all: the server never starts open.
async fn first_admin(store: &Store) -> anyhow::Result<Option<Credentials>> {
    if !store.accounts().await?.is_empty() {
        return Ok(None);
    }
    let permissions = Permissions::parse(ADMIN)?;
    create(
        store,
        "admin",
        permissions,
        Vec::new(),
        "made at the first start",
    )
    .await
    .map(Some)
}

fn log_to_stderr(config: &Config) {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second subscriber in one process is a test's doing; the first one stays.
    let _ = match config.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
