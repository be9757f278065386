//! Finds the coordinator.

use std::time::Duration;

use tonic::transport::Endpoint;

use crate::exit::{CliError, Exit, OrExit, fail};
use crate::rpc::Sweeps;

const CONNECT: Duration = Duration::from_secs(5);

/// Connects to the coordinator at `host:port` or `http://host:port`.
pub(crate) async fn connect(address: &str) -> Result<Sweeps, CliError> {
    let url = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    let endpoint = Endpoint::from_shared(url)
        .map_err(|e| anyhow::anyhow!("`{address}` is not an address of a coordinator: {e}"))
        .or_exit(Exit::Usage)?;
    let endpoint = endpoint.connect_timeout(CONNECT).tcp_nodelay(true);
    match endpoint.connect().await {
        Ok(channel) => Ok(Sweeps::new(channel)),
        Err(error) => {
            let why = innermost(&error);
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
