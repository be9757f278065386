//! What a worker says in its session, on its way to the core: metrics and logs
//! are taken out, and what comes too often is left out.

use ablate_proto::id::WorkerId;
use ablate_proto::message::FromWorker;
use futures::{Stream, StreamExt as _};
use tokio::time::Instant;
use tonic::Status;

use crate::core::Event;
use crate::driver::{Command, Handle, Stopped};
use crate::live::{Live, Pace};
use crate::results::Results;

/// Forwards a worker's messages until its stream ends. It cannot hold more than
/// `most` attempts.
pub(crate) async fn receive(
    (driver, live, results): (&Handle, &Live, &Results),
    worker: &WorkerId,
    most: usize,
    mut inbound: impl Stream<Item = Result<FromWorker, Status>> + Unpin,
) -> Result<(), Status> {
    let mut pace = Pace::new(Instant::now());
    while let Some(message) = inbound.next().await {
        let worker = worker.clone();
        let message = message?;
        if let FromWorker::Progress(..) | FromWorker::Log(..) = message
            && !pace.admits(Instant::now())
        {
            if pace.dropped.is_power_of_two() {
                let dropped = pace.dropped;
                tracing::warn!(%worker, dropped, "it reports too often; reports are left out");
            }
            continue;
        }
        let event = match message {
            FromWorker::Hello(_) => {
                return Err(Status::invalid_argument("a session has one hello"));
            }
            FromWorker::Heartbeat { holding, .. } if holding.len() > most => {
                return Err(holds_too_much(holding.len(), most));
            }
            FromWorker::Heartbeat { holding, draining } => Event::Heartbeat {
                worker,
                holding,
                draining,
            },
            FromWorker::Progress(attempt, mut progress) => {
                // Metrics are not the core's business.
                live.progress(&worker, attempt, &mut progress);
                Event::Progress {
                    worker,
                    attempt,
                    progress,
                }
            }
            FromWorker::Log(attempt, piece) => {
                if !live.log(&worker, attempt, piece) {
                    let stop = Command::StopLog(worker, attempt);
                    driver.send(stop).await.map_err(stopped)?;
                }
                continue;
            }
            FromWorker::Commit(attempt, commit) => {
                live.ended(&worker, attempt);
                if commit.reused {
                    let found = results.found(driver.clone(), worker, attempt, commit);
                    found.await;
                    continue;
                }
                Event::Commit {
                    worker,
                    attempt,
                    commit,
                }
            }
            FromWorker::Fail(attempt, failure) => {
                live.ended(&worker, attempt);
                Event::Fail {
                    worker,
                    attempt,
                    failure,
                }
            }
        };
        driver.send(Command::Event(event)).await.map_err(stopped)?;
    }
    Ok(())
}

pub(crate) fn stopped(stopped: Stopped) -> Status {
    Status::unavailable(stopped.to_string())
}

pub(crate) fn holds_too_much(held: usize, most: usize) -> Status {
    Status::invalid_argument(format!(
        "a worker of this many slots holds {most} attempts at most, not {held}"
    ))
}
