//! `ablate token`: what machines and people join with. Works on the store; a
//! coordinator that runs takes notice within seconds.

use std::time::{Duration, UNIX_EPOCH};

use ablate_coordinator::auth::tokens::{self, Listed, TokenError};
use ablate_coordinator::tls;
use ablate_proto::access::{Join, Role, Token};
use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{Context, Flags, StoreArgs, cert, flag};
use crate::exit::{CliError, CliResult, Exit, OrExit};
use crate::lines::{self, printable};
use crate::store;

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token, and print the string to join with; it is shown this once
    Create(CreateArgs),
    /// List tokens; secrets are not kept
    List(ListArgs),
    /// End a token for good
    Revoke(RevokeArgs),
}

#[derive(Args)]
pub(super) struct CreateArgs {
    /// What it is good for: `worker` leases tasks, `user` handles sweeps, `admin` does everything
    #[arg(long, value_parser = ["worker", "user", "admin"])]
    role: String,
    /// How long it is valid: `12h`, `30d`, or `never`
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = expiry)]
    expires: Validity,
    /// For the list: whose it is
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Name or address to join by [default: the first that the certificate is for]
    #[arg(long)]
    host: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
    /// Folder with the coordinator's certificate
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<String>,
    /// Where the coordinator listens; its port goes into the string
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Args)]
pub(super) struct RevokeArgs {
    /// Its id, as `ablate token list` shows it
    id: String,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Clone, Copy)]
struct Validity(Option<Duration>);

fn expiry(text: &str) -> Result<Validity, String> {
    if text == "never" {
        return Ok(Validity(None));
    }
    let valid = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    Ok(Validity(Some(valid)))
}

impl TokenCommand {
    pub(super) fn flags(&self) -> Flags {
        match self {
            Self::Create(args) => {
                let mut flags = args.store.flags();
                flags.extend(flag("coordinator.tls_dir", args.tls_dir.as_deref()));
                flags.extend(flag("coordinator.listen", args.listen.as_deref()));
                flags
            }
            Self::List(args) => args.store.flags(),
            Self::Revoke(args) => args.store.flags(),
        }
    }
}

pub(super) async fn token(context: &Context, command: &TokenCommand) -> CliResult {
    let store = store::open(&context.settings.store.url).or_exit(Exit::Refused)?;
    match command {
        TokenCommand::Create(args) => {
            let place = place(context, args)?;
            let role = Role::ALL.into_iter().find(|role| role.name() == args.role);
            let role = role.context("a role").or_exit(Exit::Usage)?;
            let made = tokens::create(&store, role, args.expires.0, &args.note).await;
            let (token, record) = made.map_err(failed)?;
            created(context, place, &token, &record);
        }
        TokenCommand::List(_) => list(context, &tokens::list(&store).await.map_err(failed)?),
        TokenCommand::Revoke(args) => {
            tokens::revoke(&store, &args.id).await.map_err(failed)?;
            if context.json {
                lines::json(&serde_json::json!({ "revoked": args.id }));
            } else {
                lines::line(format_args!(
                    "{} is revoked; who uses it is cut off within seconds",
                    args.id
                ));
            }
        }
    }
    Ok(Exit::Done)
}

fn failed(error: TokenError) -> CliError {
    let exit = match error {
        TokenError::Unknown(_) | TokenError::Expiry(_) => Exit::Usage,
        _ => Exit::Refused,
    };
    let error = error.into();
    CliError { exit, error }
}

/// Where to join: found before a token is made, so that none is made in vain.
fn place(context: &Context, args: &CreateArgs) -> Result<Option<Join>, CliError> {
    let settings = &context.settings.coordinator;
    let Some(folder) = settings.tls() else {
        return Ok(None);
    };
    let fingerprint = tls::fingerprint(&folder).or_exit(Exit::Usage)?;
    let host = match &args.host {
        Some(host) => host.clone(),
        None => cert::first_name(&folder).or_exit(Exit::Usage)?,
    };
    let port = settings.listen.rsplit_once(':');
    let port = port.and_then(|(_, port)| port.parse().ok());
    let port = port
        .with_context(|| format!("`{}` has no port", settings.listen))
        .or_exit(Exit::Usage)?;
    let place = Join {
        host,
        port,
        token: None,
        fingerprint: Some(fingerprint),
    };
    // The host as well has to be one that can be read back.
    let read = place.reveal().parse::<Join>().or_exit(Exit::Usage)?;
    Ok(Some(read))
}

fn created(context: &Context, place: Option<Join>, token: &Token, record: &tokens::Record) {
    let expires = record.expires.map(date);
    let join = place.map(|place| {
        let token = Some(token.clone());
        Join { token, ..place }.reveal()
    });
    if context.json {
        lines::json(&serde_json::json!({
            "id": record.id, "role": record.role, "expires": expires,
            "token": token.reveal(), "join": join,
        }));
        return;
    }
    let until = expires.map_or_else(|| "for ever".to_owned(), |at| format!("until {at}"));
    let role = record.role;
    eprintln!(
        "token {} for `{role}`, valid {until}; it is shown this once:",
        record.id
    );
    match join {
        Some(join) => {
            lines::line(&join);
            eprintln!("{}", advice(role));
        }
        None => {
            lines::line(token.reveal());
            eprintln!(
                "on this machine: set ABLATE_TOKEN to it, or name its file with --token-file"
            );
        }
    }
}

fn advice(role: Role) -> &'static str {
    match role {
        Role::Worker => "on the machine that joins: ablate worker --join-file - (paste it)",
        Role::User | Role::Admin => "on that person's machine: ablate login (paste it)",
    }
}

fn list(context: &Context, listed: &[Listed]) {
    let now = tokens::now();
    let state = |l: &Listed| match (l.revoked, l.record.expires) {
        (true, _) => "revoked",
        (false, Some(at)) if at <= now => "expired",
        (false, _) => "valid",
    };
    if context.json {
        let rows: Vec<_> = listed
            .iter()
            .map(|l| {
                serde_json::json!({
                    "id": l.record.id, "role": l.record.role, "state": state(l),
                    "created": date(l.record.created), "expires": l.record.expires.map(date),
                    "note": l.record.note,
                })
            })
            .collect();
        lines::json(&rows);
        return;
    }
    let mut table = super::table::table(&["token", "role", "state", "made", "expires", "note"]);
    for l in listed {
        let expires = l.record.expires.map_or_else(|| "never".to_owned(), date);
        table.add_row([
            l.record.id.clone(),
            l.record.role.to_string(),
            state(l).to_owned(),
            date(l.record.created),
            expires,
            printable(&l.record.note).to_string(),
        ]);
    }
    lines::line(table);
}

/// In UTC.
fn date(seconds: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    // Year 9999 is the last that can be written so.
    match time.filter(|_| seconds < 253_402_300_800) {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => "the far future".to_owned(),
    }
}
