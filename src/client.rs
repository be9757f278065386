//! Finds the coordinator.

use std::time::Duration;

use ablate_worker::dial::{Dial, Problem};
use tonic::transport::Endpoint;

use crate::exit::{CliError, Exit, OrExit, fail};
use crate::rpc::Sweeps;
use crate::settings::JoinSetting;

const CONNECT: Duration = Duration::from_secs(5);
/// A connection that answers nothing for the sum of both is given up.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to the coordinator that the settings name.
pub(crate) async fn connect(join: &JoinSetting) -> Result<Sweeps, CliError> {
    let join = join.read().or_exit(Exit::Usage)?;
    let address = join.address();
    let dial = match join.fingerprint {
        Some(fingerprint) => Dial::tls(fingerprint).or_exit(Exit::Refused)?,
        None => Dial::tcp(),
    };
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|e| anyhow::anyhow!("`{address}` is not an address of a coordinator: {e}"))
        .or_exit(Exit::Usage)?
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    match dial.connect(&endpoint).await {
        Ok(channel) => Ok(Sweeps::new(channel, join.token.as_ref())),
        Err(error) => match Problem::of(&error) {
            Problem {
                why,
                is_final: true,
            } => fail(
                Exit::Refused,
                format!("no connection to the coordinator at {address}: {why}"),
            ),
            Problem { why, .. } => fail(
                Exit::Unreachable,
                format!(
                    "no coordinator answers at {address} ({why}): start one with \
                     `ablate coordinator`, or name another with --join"
                ),
            ),
        },
    }
}
