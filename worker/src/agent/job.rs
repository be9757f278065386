//! One job on one slot: from `Run` to how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ablate_proto::artifact::MetricRow;
use ablate_proto::capacity::Used;
use ablate_proto::failure::{Failure, FailureClass};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::follow::LogSender;
use super::log_tail::LogTail;
use super::progress::Reporter;
use super::runner_process::Event;
use super::slots::Lent;
use super::transfer::CheckpointUploads;
use crate::devices;
use crate::runner::protocol::{FromRunner, Job, ToRunner};

/// A runner that was told to stop a dropped attempt is killed after this.
const STOP_TIME: Duration = Duration::from_secs(5);

/// What can end an attempt from outside.
#[derive(Debug, Clone)]
pub(super) struct Stops {
    /// The coordinator does not want this attempt any more.
    pub(super) dropped: CancellationToken,
    /// Killed then, instead of asked to stop.
    pub(super) at_once: Arc<AtomicBool>,
    /// The worker is going.
    pub(super) draining: CancellationToken,
    /// Another worker is free: it goes back, unless it has begun.
    pub(super) returned: CancellationToken,
    pub(super) begun: Arc<AtomicBool>,
}

impl Stops {
    pub(super) async fn any(&self) {
        tokio::select! {
            () = self.dropped.cancelled() => {}
            () = self.draining.cancelled() => {}
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum End {
    Done {
        metrics: Vec<MetricRow>,
        seconds: f64,
        resumed_from: Option<u64>,
        used: Used,
        /// It left nothing in its folder.
        emptied: bool,
    },
    Failed(Failure),
    Dropped,
}

impl End {
    /// Whether it is done without a file, a measurement or a checkpoint: that
    /// it is done is all there is to keep.
    pub(super) fn left_nothing(&self) -> bool {
        match self {
            Self::Done {
                metrics,
                resumed_from,
                emptied,
                ..
            } => *emptied && metrics.is_empty() && resumed_from.is_none(),
            Self::Failed(_) | Self::Dropped => false,
        }
    }
}

/// How a job ended, and on what it ran.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) end: End,
    pub(super) log: Vec<u8>,
    pub(super) device: String,
    pub(super) threads: usize,
    pub(super) started_ms: u64,
    /// Nothing of it can be at work any more.
    pub(super) quiet: bool,
}

/// Runs `job` to its end. The runner goes back to its slot only if it ended
/// the job in good order.
pub(super) async fn execute(
    lent: &mut Lent,
    job: Job,
    (stops, hang): (&Stops, Duration),
    (mut progress, mut log): (Reporter, LogSender),
    uploads: &mut CheckpointUploads,
) -> Execution {
    let started_ms = unix_ms();
    let attempt = job.attempt;
    let mut runner = match lent.runner().await {
        Ok(runner) => runner,
        Err(failure) => {
            return Execution {
                end: End::Failed(failure),
                log: Vec::new(),
                device: String::new(),
                threads: 0,
                started_ms,
                quiet: false,
            };
        }
    };
    runner.log = LogTail::default();
    if let Err(error) = runner.tell(&ToRunner::Run(Box::new(job))).await {
        // How it ended shows below.
        tracing::debug!(%attempt, %error, "the runner did not take its job");
    }
    let mut stopping = false;
    let mut watch = Watch::new(hang);
    let mut kill_at: Option<Instant> = None;
    let end = loop {
        tokio::select! {
            event = runner.next() => match event {
                Event::Broke(failure) => break Err(failure),
                Event::Said(FromRunner::Progress { attempt: of, step, total, rows }) => {
                    if of == attempt {
                        watch.saw(step, total);
                        progress.add(step, total, &rows);
                    }
                }
                Event::Said(FromRunner::Checkpoint { attempt: of, step, path }) => {
                    if of == attempt {
                        uploads.submit(step, &path).await;
                    }
                }
                Event::Said(FromRunner::Unusable { attempt: of, why }) => {
                    if of == attempt {
                        uploads.discard_given(&why).await;
                    }
                }
                Event::Said(FromRunner::Done { attempt: of, metrics, seconds, resumed_from, used, emptied }) => {
                    if of == attempt {
                        break Ok(End::Done { metrics, seconds, resumed_from, used, emptied });
                    }
                }
                Event::Said(FromRunner::Failed { attempt: of, failure }) => {
                    if of == attempt {
                        break Ok(End::Failed(failure));
                    }
                }
                Event::Said(FromRunner::Program { group }) => {
                    runner.program = group.map(Pid::from_raw);
                }
                Event::Said(FromRunner::Ready { .. }) => {}
            },
            () = progress.due() => progress.send(),
            () = log.due() => log.send(&runner.log),
            () = stops.any(), if !stopping => {
                stopping = true;
                if let Err(error) = runner.tell(&ToRunner::Stop).await {
                    tracing::debug!(%attempt, %error, "the runner did not hear the stop");
                }
            }
            () = stops.dropped.cancelled(), if kill_at.is_none() => {
                let at_once = stops.at_once.load(Ordering::Relaxed);
                let time = if at_once { Duration::ZERO } else { STOP_TIME };
                kill_at = Some(Instant::now() + time);
            }
            () = sleep_until(watch.end()) => {
                tracing::warn!(%attempt, ?hang, "the runner makes no progress; killing it");
                break Err(watch.verdict());
            }
            () = sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                tracing::warn!(%attempt, "the runner did not stop; killing it");
                break Err(Failure::new(FailureClass::Cancelled, "killed"));
            }
        }
    };
    log.send(&runner.log);
    if end.is_ok() {
        runner.program = None;
    }
    let mut execution = Execution {
        log: std::mem::take(&mut runner.log).into_bytes(),
        device: runner.device.clone(),
        threads: runner.threads,
        started_ms,
        quiet: false,
        end: match end {
            _ if stops.dropped.is_cancelled() => End::Dropped,
            Ok(ref end) => end.clone(),
            Err(ref failure) => End::Failed(failure.clone()),
        },
    };
    let preempted = matches!(&end, Ok(End::Failed(f)) if f.class == FailureClass::Preempted);
    let spoilt = matches!(&end, Ok(End::Failed(f)) if devices::spoils(f.class));
    // A stop that crossed the result in the pipe would hit the next job.
    if end.is_ok() && (!stopping || preempted) && !spoilt {
        lent.give_back(runner);
        execution.quiet = true;
    }
    execution
}

/// Tells a runner that hangs from one that is slow.
struct Watch {
    patience: Duration,
    since: Instant,
    at: (u64, u64),
}

impl Watch {
    fn new(patience: Duration) -> Self {
        Self {
            patience,
            since: Instant::now(),
            at: (0, 0),
        }
    }

    /// Only a step that is new is progress.
    fn saw(&mut self, step: u64, total: u64) {
        if (step, total) != self.at {
            self.at = (step, total);
            self.since = Instant::now();
        }
    }

    fn end(&self) -> Instant {
        self.since + self.patience
    }

    fn verdict(&self) -> Failure {
        let ((step, total), patience) = (self.at, self.patience);
        let cause = format!(
            "the runner made no progress for {patience:?} after step {step} of {total}, and was \
             killed; `worker.hang_seconds` sets the time"
        );
        Failure::new(FailureClass::Hung, cause)
    }
}

/// For provenance alone.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
