//! Finds the coordinator.

use std::time::Duration;

use ablate_coordinator::takeover;
use anyhow::Context as _;
use tonic::transport::Endpoint;

use crate::exit::{CliError, Exit, OrExit, fail};
use crate::rpc::Sweeps;
use crate::store;

const CONNECT: Duration = Duration::from_secs(5);

/// The coordinator's address, where a store is named in its place: what the
/// store says of who serves it.
pub(crate) async fn resolve(join: &str) -> Result<String, CliError> {
    let scheme = join.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_none_or(|scheme| matches!(scheme, "http" | "https")) {
        return Ok(join.to_owned());
    }
    let store = store::open_existing(join).or_exit(Exit::Usage)?;
    let found = takeover::find(&store)
        .await
        .with_context(|| format!("looking in {join} for its coordinator"))
        .or_exit(Exit::Unreachable)?;
    match found {
        Some(current) if !current.stopped => Ok(current.address),
        Some(current) => fail(
            Exit::Unreachable,
            format!(
                "the coordinator of {join} was at {} and has ended: start one with \
                 `ablate coordinator --store {join}`",
                current.address
            ),
        ),
        None => fail(
            Exit::Unreachable,
            format!(
                "no coordinator has served {join}: start one with `ablate coordinator --store {join}`"
            ),
        ),
    }
}

/// Connects to the coordinator at `host:port` or `http://host:port`, or to
/// the one that serves a store.
pub(crate) async fn connect(join: &str) -> Result<Sweeps, CliError> {
    let address = &resolve(join).await?;
    let url = if address.contains("://") {
        address.clone()
    } else {
        format!("http://{address}")
    };
    let endpoint = Endpoint::from_shared(url)
        .map_err(|e| anyhow::anyhow!("`{address}` is not an address of a coordinator: {e}"))
        .or_exit(Exit::Usage)?;
    let endpoint = endpoint.connect_timeout(CONNECT).tcp_nodelay(true);
    // One that is frozen takes the connection and says nothing on it.
    let connected = tokio::time::timeout(CONNECT, endpoint.connect()).await;
    match connected {
        Ok(Ok(channel)) => Ok(Sweeps::new(channel)),
        failed => {
            let why = match failed {
                Ok(Err(error)) => innermost(&error),
                _ => format!("nothing within {} s", CONNECT.as_secs()),
            };
            fail(
                Exit::Unreachable,
                format!(
                    "no coordinator answers at {address} ({why}): start one with \
                     `ablate coordinator`, or name another with --join"
                ),
            )
        }
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
