//! SIGINT and SIGTERM.

use tokio::signal::unix::{SignalKind, signal};

use crate::exit::{CliError, Exit, OrExit};

/// Listens from now on; the future resolves with the first signal.
pub(super) fn first() -> Result<impl Future<Output = Exit>, CliError> {
    let mut interrupt = signal(SignalKind::interrupt()).or_exit(Exit::Failed)?;
    let mut terminate = signal(SignalKind::terminate()).or_exit(Exit::Failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => Exit::Signal(2),
            _ = terminate.recv() => Exit::Signal(15),
        }
    })
}
