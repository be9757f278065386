//! `ablate coordinator`: serve.

use std::net::SocketAddr;

use ablate_coordinator::server::{self, ServeError};
use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::signals::Signals;
use super::{Context, Flags, StoreArgs, flag, standby};
use crate::exit::{CliError, CliResult, Exit, OrExit};
use crate::{lines, store};

#[derive(Args)]
pub(super) struct CoordinatorArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
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
        flags.extend(flag("coordinator.advertise", self.advertise.as_deref()));
        flags
    }
}

pub(super) async fn coordinator(context: &Context, args: &CoordinatorArgs) -> CliResult {
    let mut signals = Signals::listen()?;
    let settings = &context.settings;
    let url = store::absolute(&settings.store.url).or_exit(Exit::Usage)?;
    let store = store::open(&url).or_exit(Exit::Refused)?;
    let mut serve = settings.coordinator.server(url.clone());
    let listen = &settings.coordinator.listen;
    if args.standby {
        // What would keep it from serving is said now, not when it is needed.
        drop(bind(listen).await?);
        if let Some(probe) = serve.probe.take() {
            let probed = server::probe_store(&url, &store, probe).await;
            probed.map_err(refused)?;
        }
        tokio::select! {
            () = standby::wait(context, &url, &store) => {}
            exit = signals.next() => return Ok(exit),
        }
    }
    let listener = bind(listen).await?;
    let stop = CancellationToken::new();
    let serving = server::serve(serve, store, listener, stop.clone(), |address| {
        announce(context, &address, &url)
    });
    let mut serving = std::pin::pin!(serving);
    let exit = tokio::select! {
        ended = &mut serving => {
            ended.map_err(refused)?;
            return Ok(Exit::Done);
        }
        exit = signals.next() => exit,
    };
    stop.cancel();
    tokio::select! {
        ended = serving => ended.map_err(refused)?,
        // Asked twice: at once. What was acknowledged is durable anyway.
        again = signals.next() => return Ok(again),
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

fn announce(context: &Context, address: &SocketAddr, store: &str) {
    if context.json {
        lines::json(&serde_json::json!({ "address": address, "store": store }));
    } else {
        lines::line(format_args!(
            "coordinator on {address}, store {store}\nadd workers with: ablate worker --join {address}"
        ));
    }
}

fn refused(error: ServeError) -> CliError {
    let exit = match error {
        ServeError::Settings(_) => Exit::Usage,
        _ if error.is_fenced() => Exit::Replaced,
        _ => Exit::Refused,
    };
    let error = error.into();
    CliError { exit, error }
}
