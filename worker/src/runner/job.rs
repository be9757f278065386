//! One job from start to end; a panic costs the job alone.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ablate_proto::artifact::MetricRow;
use ablate_proto::capacity::Used;
use ablate_proto::failure::Failure;

use super::context::{Context, Report};
use super::protocol::{FromRunner, Job};
use super::usage;
use crate::stages;

/// Where the last panic happened; its message comes with the payload.
static PANICKED_AT: Mutex<Option<String>> = Mutex::new(None);

/// Keeps the place of panics for the failures' causes. The usual message
/// still goes to standard error.
pub(super) fn note_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string);
        *PANICKED_AT.lock().unwrap_or_else(PoisonError::into_inner) = place;
        usual(info);
    }));
}

/// Runs a job and returns its last message: done or failed.
pub(crate) fn run(
    job: Job,
    stop: Arc<AtomicBool>,
    checkpoint_every: Duration,
    report: Report,
) -> FromRunner {
    let attempt = job.attempt;
    let started = Instant::now();
    let usage = usage::begin();
    tracing::debug!(task = %job.task.key.short(), attempt = attempt.number,
        label = job.task.label, "stage starts");
    let stage = move || {
        let run = stages::of(job.task.spec.kind());
        let mut context = Context::new(job, stop, checkpoint_every, report);
        let metrics = run(&mut context)?;
        Ok((metrics, context.resumed_from(), context.is_emptied()))
    };
    // Nothing that the stage has changed is looked at after a panic.
    let result = catch_unwind(AssertUnwindSafe(stage));
    let result = result.unwrap_or_else(|panic| Err(panicked(&*panic)));
    let seconds = started.elapsed().as_secs_f64();
    let used = usage.end(started.elapsed());
    last_message(attempt, seconds, used, result)
}

fn last_message(
    attempt: ablate_proto::id::AttemptId,
    seconds: f64,
    used: Used,
    result: Result<(Vec<MetricRow>, Option<u64>, bool), Failure>,
) -> FromRunner {
    match result {
        Ok((metrics, resumed_from, emptied)) => {
            tracing::debug!(seconds, "stage is done");
            FromRunner::Done {
                attempt,
                metrics,
                seconds,
                resumed_from,
                used,
                emptied,
            }
        }
        Err(failure) => {
            tracing::warn!(seconds, %failure, "stage failed");
            FromRunner::Failed { attempt, failure }
        }
    }
}

fn panicked(payload: &(dyn Any + Send)) -> Failure {
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    let mut place = PANICKED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    Failure::bug(match place.take() {
        Some(place) => format!("the stage panicked at {place}: {message}"),
        None => format!("the stage panicked: {message}"),
    })
}

#[cfg(test)]
mod tests;
