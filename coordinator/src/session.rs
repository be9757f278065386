//! What a worker says in its session, on its way to the core: metrics and logs
//! are taken out, and what comes too often is left out.

use ablate_proto::id::WorkerId;
use ablate_proto::message::{Commit, FromWorker};
use futures::{Stream, StreamExt as _};
use tokio::time::Instant;
use tonic::Status;

use crate::core::Event;
use crate::driver::{Command, Handle, Stopped};
use crate::live::{Live, Pace};
use crate::results::Results;

/// Messages that have arrived together go to the core together: each on its own
/// would wake its thread.
const TOGETHER: usize = 256;

/// Forwards a worker's messages until its stream ends. It cannot hold more than
/// `most` attempts.
pub(crate) async fn receive(
    (driver, live, results): (&Handle, &Live, &Results),
    worker: &WorkerId,
    most: usize,
    inbound: impl Stream<Item = Result<FromWorker, Status>> + Unpin,
) -> Result<(), Status> {
    let mut ear = Ear {
        driver,
        live,
        results,
        worker,
        most,
        pace: Pace::new(Instant::now()),
    };
    let mut arrived = inbound.ready_chunks(TOGETHER);
    while let Some(messages) = arrived.next().await {
        let mut events = Vec::with_capacity(messages.len());
        let mut broke = Ok(());
        for message in messages {
            // Looking for a result may take as long as the store does: what
            // was said before is not to wait for it.
            if let Ok(FromWorker::Commit(_, Commit { reused: true, .. })) = message {
                pass_on(driver, &mut events).await?;
            }
            match ear.hear(message).await {
                Ok(event) => events.extend(event),
                Err(error) => {
                    broke = Err(error);
                    break;
                }
            }
        }
        pass_on(driver, &mut events).await?;
        broke?;
    }
    Ok(())
}

async fn pass_on(driver: &Handle, events: &mut Vec<Event>) -> Result<(), Status> {
    if events.is_empty() {
        return Ok(());
    }
    let events = Command::Events(std::mem::take(events));
    driver.send(events).await.map_err(stopped)
}

/// What listens to one worker.
struct Ear<'a> {
    driver: &'a Handle,
    live: &'a Live,
    results: &'a Results,
    worker: &'a WorkerId,
    most: usize,
    pace: Pace,
}

impl Ear<'_> {
    /// What the core is to hear of a message, if anything.
    async fn hear(&mut self, message: Result<FromWorker, Status>) -> Result<Option<Event>, Status> {
        let worker = self.worker.clone();
        let message = message?;
        if let FromWorker::Progress(..) | FromWorker::Log(..) = message
            && !self.pace.admits(Instant::now())
        {
            if self.pace.dropped.is_power_of_two() {
                let dropped = self.pace.dropped;
                tracing::warn!(%worker, dropped, "it reports too often; reports are left out");
            }
            return Ok(None);
        }
        Ok(Some(match message {
            FromWorker::Hello(_) => {
                return Err(Status::invalid_argument("a session has one hello"));
            }
            FromWorker::Heartbeat { holding, .. } if holding.len() > self.most => {
                return Err(holds_too_much(holding.len(), self.most));
            }
            FromWorker::Heartbeat { holding, draining } => Event::Heartbeat {
                worker,
                holding,
                draining,
            },
            FromWorker::Progress(attempt, mut progress) => {
                // Metrics are not the core's business.
                self.live.progress(&worker, attempt, &mut progress);
                Event::Progress {
                    worker,
                    attempt,
                    progress,
                }
            }
            FromWorker::Log(attempt, piece) => {
                if !self.live.log(&worker, attempt, piece) {
                    let stop = Command::StopLog(worker, attempt);
                    self.driver.send(stop).await.map_err(stopped)?;
                }
                return Ok(None);
            }
            FromWorker::Commit(attempt, commit) => {
                self.live.ended(&worker, attempt);
                if commit.reused {
                    let driver = self.driver.clone();
                    let found = self.results.found(driver, worker, attempt, commit);
                    found.await;
                    return Ok(None);
                }
                Event::Commit {
                    worker,
                    attempt,
                    commit,
                }
            }
            FromWorker::Fail(attempt, failure) => {
                self.live.ended(&worker, attempt);
                Event::Fail {
                    worker,
                    attempt,
                    failure,
                }
            }
        }))
    }
}

pub(crate) fn stopped(stopped: Stopped) -> Status {
    Status::unavailable(stopped.to_string())
}

pub(crate) fn holds_too_much(held: usize, most: usize) -> Status {
    Status::invalid_argument(format!(
        "a worker of this many slots holds {most} attempts at most, not {held}"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ablate_proto::capacity::Used;
    use ablate_proto::id::{AttemptId, TaskKey};
    use object_store::memory::InMemory;
    use tokio::sync::{mpsc, watch};

    use super::*;

    #[tokio::test]
    async fn a_heartbeat_does_not_wait_for_results_that_are_looked_for() {
        // No room for what is found, so all looks are under way for ever.
        let (commands, mut heard) = mpsc::channel(1);
        let (_changes, changes) = watch::channel(0);
        let driver = Handle { commands, changes };
        let results = Results::new(Arc::new(InMemory::new()));
        let beat = FromWorker::Heartbeat {
            holding: Vec::new(),
            draining: false,
        };
        let found = |number| {
            let task = TaskKey::from_bytes([1; 32]);
            let commit = Commit {
                seconds: 0.0,
                manifest: None,
                reused: true,
                used: Used::default(),
            };
            FromWorker::Commit(AttemptId { task, number }, commit)
        };
        let said = std::iter::once(beat).chain((0..200).map(found)).map(Ok);
        let worker = WorkerId::generate("w");
        let live = Live::default();
        let said = futures::stream::iter(said);
        let receiving = receive((&driver, &live, &results), &worker, 10, said);
        let first = tokio::select! {
            first = heard.recv() => first,
            _ = receiving => None,
        };
        let Some(Command::Events(events)) = first else {
            panic!("a result was heard of before the heartbeat");
        };
        assert!(matches!(events[..], [Event::Heartbeat { .. }]));
    }
}
