//! `debrief report`: the API's answer, from the data directory or from a server.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use debrief_domain::{At, Permissions};
use debrief_report::{Coding, Format, Params, ReportKind, ask};
use debrief_store::{Account, AccountId, Enabled};

use super::download::{self, Folder, Source};
use super::{WrongUsage, open_existing};
use crate::app::{App, Names};
use crate::client::Client;
use crate::clock::Clock;
use crate::config::Config;
use crate::render::{Opening, Report};

/// Flags of `debrief report`: the report's own parameters, and where it comes from and goes to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which report: SupportSession, SupportSessionListing, SupportSessionSummary,
    /// SupportCustExitSurvey or SupportRepExitSurvey.
    #[arg(long, value_name = "NAME", default_value = "SupportSession")]
    report: String,
    /// Sessions that began on or after this day (YYYY-MM-DD).
    #[arg(long)]
    start_date: Option<String>,
    /// Sessions that began at or after this time (UNIX seconds).
    #[arg(long)]
    start_time: Option<String>,
    /// Closed sessions that ended on or after this day (YYYY-MM-DD).
    #[arg(long)]
    end_date: Option<String>,
    /// Closed sessions that ended at or after this time (UNIX seconds).
    #[arg(long)]
    end_time: Option<String>,
    /// Days after a date, seconds after a time; 0 is up to now.
    #[arg(long)]
    duration: Option<String>,
    /// One session.
    #[arg(long)]
    lsid: Option<String>,
    /// Several sessions, separated by commas.
    #[arg(long)]
    lsids: Option<String>,
    /// What changed after this cursor; 0 is everything.
    #[arg(long)]
    changed_since: Option<String>,
    /// all, rep:ID, team:all, team:ID, members:ID or site:ID.
    #[arg(long)]
    limit: Option<String>,
    /// What a summary counts by, or whose surveys: rep, team or site.
    #[arg(long)]
    report_type: Option<String>,
    /// Whose surveys: all, or the ID of a representative, team or site.
    #[arg(long)]
    id: Option<String>,
    /// xml, json, ndjson or csv; xml for other reports than SupportSession.
    #[arg(long)]
    format: Option<String>,
    /// The file to write; none is standard output.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Asks this server instead of the data directory.
    #[arg(long, requires = "client_id", requires = "client_secret_file")]
    server: Option<String>,
    /// The API account's client id.
    #[arg(long, requires = "server")]
    client_id: Option<String>,
    /// A file with the API account's client secret, or `-` for standard input.
    #[arg(long, requires = "server")]
    client_secret_file: Option<PathBuf>,
    /// Downloads what the links of the report lead to into this directory: transcripts and
    /// recordings. Run again, it goes on where it stopped.
    #[arg(long, value_name = "DIR")]
    recordings: Option<PathBuf>,
    /// With --recordings and --output: what was downloaded, as JSON on standard output.
    #[arg(long, requires = "recordings", requires = "output")]
    json: bool,
}

impl Args {
    fn params(&self) -> Params {
        let pairs = [
            ("start_date", &self.start_date),
            ("start_time", &self.start_time),
            ("end_date", &self.end_date),
            ("end_time", &self.end_time),
            ("duration", &self.duration),
            ("lsid", &self.lsid),
            ("lsids", &self.lsids),
            ("changed_since", &self.changed_since),
            ("limit", &self.limit),
            ("report_type", &self.report_type),
            ("id", &self.id),
            ("format", &self.format),
        ];
        let given = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)));
        let report = ("generate_report".into(), self.report.clone());
        let given = given.map(|(name, value)| (name.to_owned(), value));
        Params(std::iter::once(report).chain(given).collect())
    }
}

pub(crate) async fn run(data: &Path, config: Config, args: Args) -> anyhow::Result<()> {
    let params = args.params();
    // A faulty question is wrong here as it is there.
    let query = match ask(&params, &config.time_zone) {
        Ok(query) => query,
        Err(faults) => {
            let lines = faults.0.iter();
            let lines = lines.map(|f| format!("{}: {}", f.parameter, f.message));
            let lines = lines.collect::<Vec<String>>().join("\n  ");
            return Err(WrongUsage(format!("faulty parameters:\n  {lines}")).into());
        }
    };
    if args.recordings.is_some() && query.report != ReportKind::SupportSession {
        let message = "only the report SupportSession has links that --recordings can follow";
        return Err(WrongUsage(message.into()).into());
    }
    let folder = args.recordings.as_deref().map(Folder::open).transpose()?;
    let mut output = Output::open(args.output.as_deref())?;
    let mut source = match (&args.server, &args.client_id, &args.client_secret_file) {
        (Some(server), Some(client_id), Some(secret_file)) => {
            Source::Server(Box::new(Client::new(server, client_id, secret_file)?))
        }
        _ => Source::Archive(open_app(data, config.clone()).await?),
    };
    let Some(mut folder) = folder else {
        report(&mut source, &config, &params, &mut output)
            .await?
            .tell();
        return output.finish();
    };
    // Links are read from XML. Another format has it made once more, after the report: no
    // session of the report is without its files.
    if query.format == Format::Xml {
        let mut both = Both(&mut output, folder.spool());
        report(&mut source, &config, &params, &mut both)
            .await?
            .tell();
    } else {
        report(&mut source, &config, &params, &mut output)
            .await?
            .tell();
        let params = in_xml(&params);
        report(&mut source, &config, &params, folder.spool()).await?;
    }
    output.finish()?;
    let summary = download::run(source, folder, &config).await?;
    summary.tell(args.json);
    summary.judge()
}

fn in_xml(params: &Params) -> Params {
    let others = params.0.iter().filter(|(name, _)| name != "format");
    Params(others.cloned().collect())
}

/// What there is to say of a report beside it.
struct Aside {
    next: Option<String>,
    n_replaced: u64,
}

impl Aside {
    fn tell(&self) {
        if let Some(next) = &self.next {
            eprintln!("next cursor: {next}");
        }
        let n_replaced = self.n_replaced;
        if 0 < n_replaced {
            eprintln!("{n_replaced} characters that XML cannot carry were replaced by U+FFFD");
        }
    }
}

async fn report(
    source: &mut Source,
    config: &Config,
    params: &Params,
    output: &mut impl Write,
) -> anyhow::Result<Aside> {
    match source {
        Source::Archive(app) => from_archive(app, config, params, output).await,
        Source::Server(client) => Ok(Aside {
            next: client.report(params, output)?,
            n_replaced: 0,
        }),
    }
}

async fn open_app(data: &Path, config: Config) -> anyhow::Result<App> {
    let store = open_existing(data)?;
    let files = config.open_files(data)?;
    App::new(store, files, config, Clock::System).await
}

async fn from_archive(
    app: &App,
    config: &Config,
    params: &Params,
    output: &mut impl Write,
) -> anyhow::Result<Aside> {
    let query = ask(params, &config.time_zone)?;
    let host = config.listen.to_string();
    let (version, directory) = app.store().directory().await?;
    let names = Names { version, directory };
    let links = app.links(&operator(), &names, &host);
    let mut report = Report::begin(app, &query, Coding::Identity, &names, links).await?;
    match report.open(app, &query).await? {
        Opening::Nothing(document) => output.write_all(&document)?,
        Opening::First(first) => {
            output.write_all(&first)?;
            while let Some(chunk) = report.chunk().await? {
                output.write_all(&chunk)?;
            }
        }
    }
    Ok(Aside {
        next: report.next.map(|next| next.to_string()),
        n_replaced: report.n_replaced(),
    })
}

/// Writes the same bytes to two places.
struct Both<'a, A, B>(&'a mut A, &'a mut B);

impl<A: Write, B: Write> Write for Both<'_, A, B> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        self.1.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.1.flush()
    }
}

/// Who has the data directory may see everything in it. Links are signed for no account that
/// exists, so they open for nobody else.
fn operator() -> Account {
    Account {
        id: AccountId::SELF,
        name: "operator".into(),
        client_id: String::new(),
        secret_hash: [0; 32],
        enabled: Enabled::Yes,
        permissions: Permissions::parse("reporting,recordings").unwrap_or_default(),
        networks: Vec::new(),
        comment: String::new(),
        created: At::MIN,
    }
}

/// Where a report goes. A file gets its name only when it is whole.
enum Output {
    Stdout(BufWriter<io::Stdout>),
    File {
        file: BufWriter<File>,
        partial: PathBuf,
        path: PathBuf,
    },
}

impl Output {
    fn open(path: Option<&Path>) -> anyhow::Result<Output> {
        let Some(path) = path else {
            return Ok(Output::Stdout(BufWriter::new(io::stdout())));
        };
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial)
            .with_context(|| format!("cannot write `{}`", partial.display()))?;
        Ok(Output::File {
            file: BufWriter::new(file),
            partial,
            path: path.into(),
        })
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Output::Stdout(mut stdout) => stdout.flush()?,
            Output::File {
                mut file,
                partial,
                path,
            } => {
                file.flush()?;
                file.get_ref().sync_all()?;
                std::fs::rename(&partial, &path)
                    .with_context(|| format!("cannot write `{}`", path.display()))?;
            }
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Stdout(stdout) => stdout.write(bytes),
            Output::File { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Stdout(stdout) => stdout.flush(),
            Output::File { file, .. } => file.flush(),
        }
    }
}
