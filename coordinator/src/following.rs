//! Snapshots of a sweep for one who follows it, until it has ended.

use std::sync::Arc;
use std::time::Duration;

use ablate_proto::id::SweepId;
use ablate_proto::status::SweepStatus;
use tokio::sync::mpsc;

use crate::core::NEWS;
use crate::driver::{Command, Handle, Stopped};
use crate::live::Live;

/// Snapshots come no faster than this.
const PAUSE: Duration = Duration::from_millis(100);

/// Follows a sweep that is known. One snapshot waits at most: a slow reader
/// skips, and blocks nobody.
pub(crate) fn follow(
    mut driver: Handle,
    live: Arc<Live>,
    sweep: SweepId,
) -> mpsc::Receiver<Result<SweepStatus, Stopped>> {
    let (sender, snapshots) = mpsc::channel(1);
    tokio::spawn(async move {
        // Whoever begins to follow is told of everything that has ended.
        let mut seen = 0;
        loop {
            driver.changes.mark_unchanged();
            let before = seen;
            let command = |reply| Command::Follow(sweep.clone(), seen, reply);
            let status = match driver.ask(command).await {
                Ok(Some((mut status, told))) => {
                    seen = told;
                    live.fill(&mut status);
                    Ok(status)
                }
                Ok(None) => break,
                Err(e) => Err(e),
            };
            let last = status.as_ref().map_or(true, |s| s.state.is_terminal());
            if sender.send(status).await.is_err() || last {
                break;
            }
            if seen.saturating_sub(before) == NEWS {
                // There may be more of it.
                continue;
            }
            tokio::time::sleep(PAUSE).await;
            let changed = driver.changes.changed();
            // Progress within a task shows even when nothing else moves.
            let _ = tokio::time::timeout(10 * PAUSE, changed).await;
        }
    });
    snapshots
}
