//! `ablate coordinator`: serve.

use std::net::SocketAddr;
use std::time::Duration;

use ablate_coordinator::server::{self, ServeError};
use ablate_proto::access::Join;
use anyhow::Context as _;
use clap::Args;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::cert::{DEFAULT_FOLDER, first_name};
use super::signals::Signals;
use super::{Context, Flags, StoreArgs, flag, standby};
use crate::exit::{CliError, CliResult, Exit, OrExit};
use crate::settings::Settings;
use crate::{lines, store};

/// A coordinator that is asked to go does not wait longer for its store.
const PARTING: Duration = Duration::from_secs(8);

#[derive(Args)]
pub(super) struct CoordinatorArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Folder with certificate and key, as `ablate cert init` makes it
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<String>,
    /// Wait until the store's coordinator is gone, then take over by itself
    #[arg(long)]
    standby: bool,
    /// Where others reach this coordinator, if not where it listens
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
}

impl CoordinatorArgs {
    pub(super) fn flags(&self) -> Flags {
        let mut flags = self.store.flags();
        flags.extend(flag("coordinator.listen", self.listen.as_deref()));
        flags.extend(flag("coordinator.tls_dir", self.tls_dir.as_deref()));
        flags.extend(flag("coordinator.advertise", self.advertise.as_deref()));
        flags
    }
}

pub(super) async fn coordinator(context: &Context, args: &CoordinatorArgs) -> CliResult {
    let mut signals = Signals::listen()?;
    let settings = &context.settings;
    allow_open_files();
    let url = store::absolute(&settings.store.url).or_exit(Exit::Usage)?;
    let store = store::open(&url).or_exit(Exit::Refused)?;
    let mut serve = settings.coordinator.server(&url);
    let listen = &settings.coordinator.listen;
    if args.standby {
        // What would keep it from serving is said now, not when it is needed.
        let address = bind(listen).await?.local_addr().or_exit(Exit::Refused)?;
        let access = server::check_access(&serve, &store, address).await;
        access.map_err(|e| refused(settings, &url, e))?;
        if let Some(probe) = serve.probe.take() {
            let probed = server::probe_store(&url, &store, probe).await;
            probed.map_err(|e| refused(settings, &url, e))?;
        }
        tokio::select! {
            () = standby::wait(context, &url, &store) => {}
            exit = signals.next() => return Ok(exit),
        }
    }
    let listener = bind(listen).await?;
    let address = listener.local_addr().or_exit(Exit::Refused)?;
    serve.advertise = serve.advertise.or_else(|| reached_at(settings, address));
    let stop = CancellationToken::new();
    let serving = server::serve(serve, store, listener, stop.clone(), |address| {
        announce(context, &address, &url)
    });
    let mut serving = std::pin::pin!(serving);
    let exit = tokio::select! {
        ended = &mut serving => {
            ended.map_err(|e| refused(settings, &url, e))?;
            return Ok(Exit::Done);
        }
        exit = signals.next() => exit,
    };
    stop.cancel();
    tokio::select! {
        ended = serving => ended.map_err(|e| refused(settings, &url, e))?,
        // Asked twice: at once. What was acknowledged is durable anyway.
        again = signals.next() => return Ok(again),
        () = tokio::time::sleep(PARTING) => tracing::warn!(
            store = url,
            "the store does not take what is left to be written; gone without that: nothing that \
             was acknowledged is lost"
        ),
    }
    Ok(exit)
}

async fn bind(listen: &str) -> Result<TcpListener, CliError> {
    TcpListener::bind(listen)
        .await
        .with_context(|| {
            format!("listening on {listen} (is another coordinator there? name another address with --listen)")
        })
        .or_exit(Exit::Refused)
}

/// By what the certificate is for, where it listens on all addresses.
fn reached_at(settings: &Settings, address: SocketAddr) -> Option<String> {
    let folder = settings.coordinator.tls()?;
    let host = first_name(&folder).ok()?;
    let port = address.port();
    let (token, fingerprint) = (None, None);
    let join = Join {
        host,
        port,
        token,
        fingerprint,
    };
    address.ip().is_unspecified().then(|| join.address())
}

/// As many as there may be: every connection is one.
fn allow_open_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::debug!(%error, soft, hard, "the limit of open files stays");
    }
}

fn announce(context: &Context, address: &SocketAddr, store: &str) {
    if context.json {
        lines::json(&serde_json::json!({ "address": address, "store": store }));
        return;
    }
    let join = match context.settings.coordinator.tls() {
        Some(_) => "with the string that `ablate token create --role worker` prints".to_owned(),
        None => format!("ablate worker --join {address}"),
    };
    lines::line(format_args!(
        "coordinator on {address}, store {store}\nadd workers: {join}"
    ));
}

fn refused(settings: &Settings, store: &str, error: ServeError) -> CliError {
    let exit = match error {
        ServeError::Settings(_) => Exit::Usage,
        _ if error.is_fenced() => Exit::Replaced,
        _ => Exit::Refused,
    };
    let error = match error {
        ServeError::Unprotected { tls, token, .. } => {
            let remedy = remedy(settings, store, tls, token);
            anyhow::anyhow!("{error}. This makes it safe:\n{remedy}")
        }
        error => error.into(),
    };
    CliError { exit, error }
}

/// The commands after which the coordinator will listen.
fn remedy(settings: &Settings, store: &str, tls: bool, token: bool) -> String {
    let folder = settings.coordinator.tls();
    let folder = folder.unwrap_or_else(|| DEFAULT_FOLDER.into());
    let folder = folder.display();
    let listen = &settings.coordinator.listen;
    let mut lines = Vec::new();
    if !tls {
        lines.push(format!(
            "  ablate cert init --dir {folder} --name THIS_HOST"
        ));
    }
    if !token {
        for role in ["worker", "user"] {
            lines.push(format!(
                "  ablate token create --role {role} --store {store} --tls-dir {folder} --listen {listen}"
            ));
        }
    }
    lines.push(format!(
        "  ablate coordinator --store {store} --tls-dir {folder} --listen {listen}"
    ));
    lines.join("\n")
}
