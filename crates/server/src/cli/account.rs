//! `debrief account`.

use std::io::Write;

use clap::Subcommand;
use debrief_domain::Permissions;
use debrief_store::{AccessEntry, Account, Enabled, NewAccount, Store};

use crate::clock::Clock;
use crate::config::network;
use crate::random;

/// Commands of `debrief account`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes an account, and prints its client id and, this once, its client secret.
    Create {
        /// The account's name.
        name: String,
        /// Permissions: reporting, recordings, command=read_only, command=full_access, ingest,
        /// admin.
        #[arg(long, value_parser = Permissions::parse)]
        allow: Permissions,
        /// A network the account may be used from; may be given again. None is anywhere.
        #[arg(long = "network", value_name = "CIDR", value_parser = checked_network)]
        networks: Vec<String>,
        /// A note for people.
        #[arg(long, default_value = "")]
        comment: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists accounts.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Disables an account; its tokens end at once.
    Disable {
        /// The account's name.
        name: String,
    },
    /// Enables an account again.
    Enable {
        /// The account's name.
        name: String,
    },
    /// Gives an account a new client secret; its tokens end at once.
    RenewSecret {
        /// The account's name.
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    /// Whether the command makes sense where there is no archive yet.
    pub(crate) fn makes(&self) -> bool {
        matches!(self, Command::Create { .. })
    }
}

/// Characters of an account's name.
const NAME_CHARS_MAX: usize = 64;

fn checked_network(text: &str) -> Result<String, String> {
    network(text).map(|network| network.to_string())
}

/// What a client logs in with. The secret is nowhere else.
pub(crate) struct Credentials {
    account: Account,
    secret: String,
}

pub(crate) async fn run(store: &Store, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create {
            name,
            allow,
            networks,
            comment,
            json,
        } => {
            let credentials = create(store, &name, allow, networks, &comment).await?;
            show(&credentials, json)
        }
        Command::List { json } => list(&store.accounts().await?, json),
        Command::Disable { name } => switch(store, &name, Enabled::No).await,
        Command::Enable { name } => switch(store, &name, Enabled::Yes).await,
        Command::RenewSecret { name, json } => {
            let secret = random::secret()?;
            let account = store.renew_secret(&name, random::sha256(&secret)).await?;
            let account = account.ok_or_else(|| no_such(&name))?;
            note(store, "renew-secret", &name);
            show(&Credentials { account, secret }, json)
        }
    }
}

fn no_such(name: &str) -> anyhow::Error {
    anyhow::anyhow!("there is no account `{name}`; `debrief account list` shows them")
}

async fn switch(store: &Store, name: &str, enabled: Enabled) -> anyhow::Result<()> {
    let account = store.set_enabled(name, enabled).await?;
    account.ok_or_else(|| no_such(name))?;
    let action = if enabled == Enabled::Yes {
        "enable"
    } else {
        "disable"
    };
    note(store, action, name);
    Ok(())
}

/// Notes in the access log what was done to an account.
fn note(store: &Store, action: &str, name: &str) {
    store.log_access(AccessEntry {
        at: Clock::System.now(),
        who: "command line".into(),
        action: format!("account {action}").into(),
        detail: name.into(),
        outcome: String::new(),
    });
}

/// Makes an account with fresh credentials.
pub(crate) async fn create(
    store: &Store,
    name: &str,
    permissions: Permissions,
    networks: Vec<String>,
    comment: &str,
) -> anyhow::Result<Credentials> {
    let is_short = name.chars().nth(NAME_CHARS_MAX).is_none();
    if name.trim().is_empty() || !is_short || name.chars().any(char::is_control) {
        anyhow::bail!(
            "an account's name has 1 to {NAME_CHARS_MAX} characters, none of them control"
        );
    }
    let secret = random::secret()?;
    let new = NewAccount {
        name: name.into(),
        client_id: random::word(40)?,
        secret_hash: random::sha256(&secret),
        permissions,
        networks,
        comment: comment.into(),
        created: Clock::System.now(),
    };
    match store.create_account(new).await? {
        Some(account) => {
            note(store, "create", name);
            Ok(Credentials { account, secret })
        }
        None => anyhow::bail!("there is an account `{name}` already"),
    }
}

fn show(credentials: &Credentials, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        let account = &credentials.account;
        let value = serde_json::json!({
            "name": account.name,
            "client_id": account.client_id,
            "client_secret": credentials.secret,
            "permissions": account.permissions.words(),
        });
        writeln!(out, "{value}")?;
        return Ok(());
    }
    print_credentials(credentials, &mut out)
}

/// Prints credentials for a person.
pub(crate) fn print_credentials(
    credentials: &Credentials,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    writeln!(out, "client id     {}", credentials.account.client_id)?;
    writeln!(
        out,
        "client secret {}   (shown only now)",
        credentials.secret
    )?;
    Ok(())
}

fn list(accounts: &[Account], json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        let values = accounts.iter().map(|account| {
            serde_json::json!({
                "name": account.name,
                "client_id": account.client_id,
                "enabled": account.enabled == Enabled::Yes,
                "permissions": account.permissions.words(),
                "networks": account.networks,
                "comment": account.comment,
                "created": debrief_report::iso(account.created),
            })
        });
        writeln!(out, "{}", serde_json::Value::Array(values.collect()))?;
        return Ok(());
    }
    for account in accounts {
        let state = if account.enabled == Enabled::Yes {
            "enabled "
        } else {
            "disabled"
        };
        let permissions = account.permissions.words().join(",");
        let networks = match account.networks.is_empty() {
            true => "anywhere".into(),
            false => account.networks.join(" "),
        };
        writeln!(
            out,
            "{}  {state}  {permissions}  from {networks}  {}",
            account.name, account.comment
        )?;
    }
    Ok(())
}
