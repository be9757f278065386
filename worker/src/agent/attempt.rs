//! One attempt from its assignment to its report: is it done already, fetch
//! its inputs, run it on a slot, upload what it left, publish the manifest.
//!
//! The slot is held while the stage runs and no longer, so transfers of one
//! attempt overlap with the work of the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ablate_proto::artifact::{MANIFEST_VERSION, Manifest, Provenance};
use ablate_proto::capacity::Used;
use ablate_proto::failure::Failure;
use ablate_proto::id::{AttemptId, WorkerId};
use ablate_proto::layout;
use ablate_proto::message::{Commit, FromWorker};
use ablate_proto::stage::StageSpec;
use ablate_proto::task::Task;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::baggage::Baggage;
use super::finder::Finder;
use super::follow::{Followed, LogSender};
use super::job::{End, Execution, Stops, execute};
use super::lease::Lease;
use super::prepare::{Assigned, Prepared, prepare};
use super::progress::Reporter;
pub(super) use super::report::Report;
use super::slots::{Slots, Turn};
use super::transfer::CheckpointUploads;
use super::workplace::{Workplace, Workplaces};
use crate::artifacts::{self, Cache, Published, Store};
use crate::runner::protocol::Job;
use crate::stages;

/// The last checkpoint of a failed attempt is given this long.
const LAST_CHECKPOINT: Duration = Duration::from_secs(60);
const LOG_TIME: Duration = Duration::from_secs(10);

/// What all attempts of a worker share.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) worker: WorkerId,
    pub(super) build: String,
    pub(super) host: String,
    pub(super) store: Store,
    pub(super) finder: Finder,
    pub(super) upload_patience: Duration,
    /// A runner that makes no progress for so long is killed.
    pub(super) hang: Duration,
    pub(super) allow_commands: bool,
    pub(super) baggage: Baggage,
    pub(super) cache: Cache,
    pub(super) slots: Arc<Slots>,
    pub(super) lease: Arc<Lease>,
    /// What may be lost on its way to the coordinator.
    pub(super) progress: mpsc::Sender<FromWorker>,
    pub(super) followed: Arc<Followed>,
    /// One folder for each attempt.
    pub(super) places: Arc<Workplaces>,
    /// Best-effort work that nobody waits for.
    pub(super) background: TaskTracker,
}

/// Carries an attempt through. `None`: it was dropped, and there is nothing to
/// report.
pub(super) async fn drive(
    context: Arc<Context>,
    attempt: AttemptId,
    assigned: Assigned,
    turn: Turn,
    stops: Stops,
) -> Option<Report> {
    let mut place = context.places.take();
    let report = carry(&context, attempt, &assigned, turn, &stops, &mut place).await;
    let places = context.places.clone();
    if leaves_artifact(&assigned.task.spec) && !places.put(&place) {
        let emptied = crate::files::blocking(move || places.give_back(&place));
        context.background.spawn(emptied);
    }
    report
}

async fn carry(
    context: &Arc<Context>,
    attempt: AttemptId,
    assigned: &Assigned,
    turn: Turn,
    stops: &Stops,
    place: &mut Workplace,
) -> Option<Report> {
    let task = &assigned.task;
    let prepared = tokio::select! {
        biased;
        () = stops.dropped.cancelled() => return None,
        () = stops.draining.cancelled() => return Some(Report::preempted()),
        () = stops.returned.cancelled() => return Some(Report::returned()),
        prepared = prepare(context, assigned, turn, place) => prepared,
    };
    stops.begun.store(true, Ordering::Relaxed);
    let (ready, mut lent) = match prepared {
        Ok(Some(Prepared::Run(ready, lent))) => (ready, lent),
        Ok(Some(Prepared::Reuse(digest))) => {
            // Whoever left the result may not have come to this.
            forget_checkpoints(context, attempt);
            return Some(reused(digest, 0.0));
        }
        Ok(None) => return Some(Report::preempted()),
        Err(failure) => return Some(Report::Fail(failure)),
    };
    let light = !leaves_artifact(&task.spec);
    let resumed = ready.checkpoint.is_some();
    let folders = ready.inputs.iter();
    let source = ready.source.as_ref();
    let source = source.map(|source| (stages::dataset::SOURCE.to_owned(), source.folder.clone()));
    let inception = ready.inception.as_ref();
    let inception =
        inception.map(|file| (stages::features::INCEPTION.to_owned(), file.shard_file()));
    let job = Job {
        attempt,
        task: task.clone(),
        inputs: folders
            .map(|(role, cached)| (role.clone(), cached.folder.clone()))
            .chain(
                ready
                    .bare
                    .iter()
                    .map(|role| (role.clone(), place.nothing())),
            )
            .chain(source)
            .chain(inception)
            .collect(),
        out: if light { lent.void() } else { place.out() },
        checkpoint: ready.checkpoint.as_ref().map(|c| c.file.clone()),
    };
    let resumed_key = ready.checkpoint.as_ref().map(|c| c.key.clone());
    let uploads = context.store.patient(context.upload_patience);
    let mut uploads = CheckpointUploads::new(uploads, attempt, place.outgoing(), resumed_key);
    let reports = &context.progress;
    let progress = Reporter::new(attempt, reports.clone());
    let log = LogSender::new(attempt, context.followed.clone(), reports.clone());
    let execution = execute(
        &mut lent,
        job,
        (stops, patience(context, &task.spec)),
        (progress, log),
        &mut uploads,
    )
    .await;
    place.quiet = execution.quiet;
    place.emptied = place.quiet && matches!(execution.end, End::Done { emptied: true, .. });
    // The slot is free for the next attempt; the inputs may be evicted.
    drop((lent, ready));
    keep_log(context, attempt, &execution);
    match &execution.end {
        End::Dropped => None,
        End::Failed(failure) => {
            // The next attempt resumes from it.
            uploads.finish(LAST_CHECKPOINT).await;
            Some(Report::Fail(failure.clone()))
        }
        // An earlier attempt may have stored a result: then that one counts.
        End::Done { seconds, used, .. }
            if light || (attempt.number == 1 && execution.end.left_nothing()) =>
        {
            Some(Report::Commit(Commit {
                seconds: *seconds,
                manifest: None,
                reused: false,
                used: *used,
            }))
        }
        End::Done { .. } => {
            let checkpoints = resumed || uploads.any() || attempt.number > 1;
            drop(uploads);
            let published = publish(context, attempt, task, &execution, place);
            let report = tokio::select! {
                biased;
                () = stops.dropped.cancelled() => return None,
                published = published => published.unwrap_or_else(Report::Fail),
            };
            if checkpoints && matches!(report, Report::Commit(_)) {
                forget_checkpoints(context, attempt);
            }
            Some(report)
        }
    }
}

/// A task with a result needs no checkpoints.
fn forget_checkpoints(context: &Context, attempt: AttemptId) {
    let store = context.store.clone();
    let delete = async move { artifacts::delete_all(&store, &attempt.task).await };
    context.background.spawn(delete);
}

async fn publish(
    context: &Context,
    attempt: AttemptId,
    task: &Task,
    execution: &Execution,
    place: &Workplace,
) -> Result<Report, Failure> {
    let End::Done {
        metrics,
        seconds,
        resumed_from,
        used,
        emptied,
    } = &execution.end
    else {
        return Err(Failure::bug("only what is done can be published"));
    };
    let store = context.store.patient(context.upload_patience);
    let files = match emptied {
        true => Vec::new(),
        false => artifacts::upload_folder(&store, &attempt, &place.out()).await?,
    };
    let manifest = Manifest {
        version: MANIFEST_VERSION,
        attempt,
        writer: context.worker.clone(),
        nonce: uuid::Uuid::new_v4().simple().to_string(),
        label: task.label.clone(),
        kind: task.spec.kind().to_string(),
        spec: task.spec.parameters().into(),
        seed: task.seed,
        inputs: task.inputs.clone(),
        data_digest: task.spec.data_digest().map(str::to_owned),
        provenance: Provenance {
            build: context.build.clone(),
            host: context.host.clone(),
            device: execution.device.clone(),
            threads: execution.threads,
            started_ms: execution.started_ms,
            seconds: *seconds,
            resumed_from: *resumed_from,
        },
        files,
        metrics: metrics.clone(),
    };
    #[cfg(any(test, feature = "simulation"))]
    if planted!(CommitBeforeStored) {
        let digest = artifacts::publish_later(store, manifest);
        return Ok(Report::Commit(Commit {
            seconds: *seconds,
            manifest: Some(digest),
            reused: false,
            used: *used,
        }));
    }
    let published = artifacts::publish(&store, &manifest, || context.lease.covered()).await?;
    match published {
        Published::Own(digest) => Ok(Report::Commit(Commit {
            seconds: *seconds,
            manifest: Some(digest),
            reused: false,
            used: *used,
        })),
        Published::Taken(other, digest) => {
            tracing::info!(%attempt, by = %other.attempt, "another attempt was first");
            if other.attempt != attempt {
                let delete = async move {
                    artifacts::delete_files(&store, &attempt, &manifest.files).await;
                };
                context.background.spawn(delete);
            }
            Ok(reused(digest, *seconds))
        }
    }
}

fn reused(manifest: [u8; 32], seconds: f64) -> Report {
    Report::Commit(Commit {
        seconds,
        manifest: Some(manifest),
        reused: true,
        used: Used::default(),
    })
}

/// Stores the log beside the files of the attempt. Best effort: it is no part
/// of the result.
fn keep_log(context: &Context, attempt: AttemptId, execution: &Execution) {
    if execution.log.is_empty() {
        return;
    }
    let store = context.store.clone();
    let log = execution.log.clone();
    context.background.spawn(async move {
        let key = layout::attempt_file(&attempt, "log.txt");
        let put = tokio::time::timeout(LOG_TIME, store.put(&key, log.into()));
        if !matches!(put.await, Ok(Ok(()))) {
            tracing::warn!(%attempt, "the log did not reach the store");
        }
    });
}

/// How long a runner may go without progress. It looks after a program of a
/// user itself.
fn patience(context: &Context, spec: &StageSpec) -> Duration {
    match spec {
        StageSpec::Command(_) => Duration::from_secs(365 * 86_400),
        _ => context.hang,
    }
}

pub(super) fn leaves_artifact(spec: &StageSpec) -> bool {
    match spec {
        StageSpec::Noop(noop) => noop.artifact,
        _ => true,
    }
}
