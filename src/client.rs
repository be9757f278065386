//! Finds the coordinator.

use std::time::Duration;

use ablate_coordinator::takeover;
use ablate_proto::access::Join;
use ablate_worker::dial::{Dial, Problem};
use anyhow::Context as _;
use tonic::transport::Endpoint;

use crate::exit::{CliError, Exit, OrExit, fail};
use crate::rpc::Sweeps;
use crate::settings::JoinSetting;
use crate::store;

const CONNECT: Duration = Duration::from_secs(5);
/// How long a worker looks into the store for a coordinator to join.
const WAIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A connection that answers nothing for the sum of both is given up.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The coordinator's address and credentials; where a store is named in its
/// place, the address is what the store says of who serves it.
pub(crate) async fn resolve(join: &JoinSetting) -> Result<Join, CliError> {
    let Some(url) = join.store() else {
        return join.read().or_exit(Exit::Usage);
    };
    let store = store::open_existing(url).or_exit(Exit::Usage)?;
    let found = takeover::find(&store)
        .await
        .with_context(|| format!("looking in {url} for its coordinator"))
        .or_exit(Exit::Unreachable)?;
    match found {
        Some(current) if !current.stopped => {
            let join = join.at(&current.address);
            join.read().or_exit(Exit::Refused)
        }
        Some(current) => fail(
            Exit::Unreachable,
            format!(
                "the coordinator of {url} was at {} and has ended: start one with \
                 `ablate coordinator --store {url}`",
                current.address
            ),
        ),
        None => fail(
            Exit::Unreachable,
            format!(
                "no coordinator has served {url}: start one with `ablate coordinator --store {url}`"
            ),
        ),
    }
}

/// The same for a worker, which may be started before any coordinator is
/// there: looks again for as long as the agent tries to connect.
pub(crate) async fn await_coordinator(join: &JoinSetting) -> Result<Join, CliError> {
    let begun = tokio::time::Instant::now();
    let mut said = false;
    loop {
        let error = match resolve(join).await {
            Err(error) if error.exit == Exit::Unreachable => error,
            resolved => return resolved,
        };
        if begun.elapsed() > WAIT {
            let waited = format!("waited {} s for a coordinator", WAIT.as_secs());
            let exit = error.exit;
            let error = error.error.context(waited);
            return Err(CliError { exit, error });
        }
        if !std::mem::replace(&mut said, true) {
            let why = format!("{:#}", error.error);
            tracing::warn!(
                seconds = WAIT.as_secs(),
                why,
                "no coordinator yet; waiting for one"
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Connects to the coordinator that the settings name.
pub(crate) async fn connect(join: &JoinSetting) -> Result<Sweeps, CliError> {
    let join = resolve(join).await?;
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
    // One that is frozen takes the connection and says nothing on it.
    let problem = match tokio::time::timeout(CONNECT, dial.connect(&endpoint)).await {
        Ok(Ok(channel)) => return Ok(Sweeps::new(channel, join.token.as_ref())),
        Ok(Err(error)) => Problem::of(&error),
        Err(_) => Problem {
            why: format!("nothing within {} s", CONNECT.as_secs()),
            is_final: false,
        },
    };
    let Problem { why, is_final } = problem;
    if is_final {
        let sentence = format!("no connection to the coordinator at {address}: {why}");
        return fail(Exit::Refused, sentence);
    }
    fail(
        Exit::Unreachable,
        format!(
            "no coordinator answers at {address} ({why}): start one with \
             `ablate coordinator`, or name another with --join"
        ),
    )
}
