//! What must hold of everything that was recorded, seen and told, whatever
//! happened.

use std::collections::{BTreeMap, BTreeSet};

use ablate_coordinator::core::Fact;
use ablate_proto::failure::FailureClass;
use ablate_proto::id::{AttemptId, SweepId, TaskKey};
use ablate_worker::agent::simulated::Seen;

use crate::scenario::Weather;

/// What the user was told; none of it may be untrue later.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) submitted: BTreeSet<SweepId>,
    pub(crate) cancelled: BTreeSet<SweepId>,
    pub(crate) held: BTreeSet<SweepId>,
    /// Tasks that were said to be done, and by which attempt.
    pub(crate) done: BTreeMap<TaskKey, u32>,
    /// The latest attempt at each.
    pub(crate) latest: BTreeMap<TaskKey, u32>,
    /// What was said to be done when the store had no result of it.
    pub(crate) not_stored: BTreeSet<TaskKey>,
}

#[derive(Default)]
struct Book {
    current: BTreeMap<TaskKey, u32>,
    last: BTreeMap<TaskKey, u32>,
    committed: BTreeMap<TaskKey, (u32, Option<[u8; 32]>)>,
    /// Sweeps that contain a task.
    sweeps: BTreeMap<TaskKey, BTreeSet<SweepId>>,
    submitted: BTreeSet<SweepId>,
    cancelled: BTreeSet<SweepId>,
    held: BTreeSet<SweepId>,
    ever_held: BTreeSet<SweepId>,
}

/// The facts in their order, and that of the tasks that were committed, with
/// the digests of their manifests.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn check(
    facts: &[Fact],
    weather: Weather,
    told: &Told,
    seen: &Seen,
) -> Result<Vec<(TaskKey, [u8; 32])>, String> {
    let mut book = Book::default();
    for fact in facts {
        book.take(fact, weather)?;
    }
    book.compare(told, seen)?;
    let manifests = book.committed.iter();
    Ok(manifests
        .filter_map(|(key, (_, digest))| Some((*key, (*digest)?)))
        .collect())
}

/// Everybody had the time to hear what is wanted.
///
/// # Errors
/// What runs although a later attempt was begun.
pub(crate) fn nothing_old_runs(told: &Told, seen: &Seen) -> Result<(), String> {
    for (worker, attempt) in &seen.running {
        let latest = told.latest.get(&attempt.task).copied().unwrap_or(0);
        if latest > attempt.number {
            return Err(format!(
                "{attempt} still runs on {worker}, and attempt {latest} was begun long ago"
            ));
        }
    }
    Ok(())
}

impl Book {
    fn take(&mut self, fact: &Fact, weather: Weather) -> Result<(), String> {
        match fact {
            Fact::SweepSubmitted(submission) => {
                self.submitted.insert(submission.sweep.clone());
                for task in &submission.tasks {
                    let sweeps = self.sweeps.entry(task.key).or_default();
                    sweeps.insert(submission.sweep.clone());
                }
            }
            Fact::SweepCancelled(sweep) => {
                self.cancelled.insert(sweep.clone());
                // Attempts that ran are dropped, not failed.
                for (task, sweeps) in &self.sweeps {
                    if sweeps.iter().all(|s| self.cancelled.contains(s)) {
                        self.current.remove(task);
                    }
                }
            }
            Fact::SweepHeld { sweep, .. } => {
                self.held.insert(sweep.clone());
                self.ever_held.insert(sweep.clone());
            }
            Fact::SweepReleased(sweep) => {
                self.held.remove(sweep);
            }
            Fact::SweepRetried { .. } | Fact::SweepPrioritised { .. } => {}
            Fact::ResultsGone(_)
            | Fact::SavedSweep(_)
            | Fact::SavedTasks(_)
            | Fact::SavedList(_)
            | Fact::SavedDurations(_) => {
                return Err(format!(
                    "nothing so far does this in a simulation: {fact:?}"
                ));
            }
            Fact::AttemptStarted { attempt, .. } => self.start(*attempt)?,
            Fact::TaskCommitted {
                attempt, manifest, ..
            } => {
                self.end(*attempt, "committed")?;
                let before = self
                    .committed
                    .insert(attempt.task, (attempt.number, *manifest));
                if let Some((number, _)) = before {
                    return Err(format!("{attempt} committed, as was attempt {number}"));
                }
            }
            Fact::AttemptFailed { attempt, failure } => {
                self.end(*attempt, "failed")?;
                let lost = failure.class == FailureClass::Lost;
                // Handed back unbegun to a free worker: no fault of anybody.
                let back = failure.class == FailureClass::Preempted
                    && failure.cause.starts_with("handed back before it had begun");
                if (weather == Weather::Calm && !back) || (weather == Weather::Restarts && lost) {
                    return Err(format!("{attempt} failed for no reason: {failure}"));
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, attempt: AttemptId) -> Result<(), String> {
        let last = self.last.insert(attempt.task, attempt.number).unwrap_or(0);
        if attempt.number <= last {
            return Err(format!("{attempt} started after attempt {last}"));
        }
        if let Some(other) = self.current.insert(attempt.task, attempt.number) {
            return Err(format!("{attempt} started while attempt {other} runs"));
        }
        if self.committed.contains_key(&attempt.task) {
            return Err(format!("{attempt} started although the task is done"));
        }
        let sweeps = &self.sweeps[&attempt.task];
        if sweeps.iter().all(|s| self.cancelled.contains(s)) {
            return Err(format!("{attempt} started after its sweep was cancelled"));
        }
        if sweeps
            .iter()
            .all(|s| self.held.contains(s) || self.cancelled.contains(s))
        {
            return Err(format!("{attempt} started while its sweep is held"));
        }
        Ok(())
    }

    fn end(&mut self, attempt: AttemptId, how: &str) -> Result<(), String> {
        match self.current.remove(&attempt.task) {
            Some(number) if number == attempt.number => Ok(()),
            other => Err(format!(
                "{attempt} {how}, but the current attempt is {other:?}"
            )),
        }
    }

    fn compare(&self, told: &Told, seen: &Seen) -> Result<(), String> {
        let forgotten = |what: &str, told: &BTreeSet<SweepId>, known: &BTreeSet<SweepId>| match told
            .difference(known)
            .next()
        {
            Some(sweep) => Err(format!("{sweep} was said to be {what}; that was forgotten")),
            None => Ok(()),
        };
        forgotten("submitted", &told.submitted, &self.submitted)?;
        forgotten("cancelled", &told.cancelled, &self.cancelled)?;
        forgotten("held", &told.held, &self.ever_held)?;
        for (task, number) in &told.done {
            let known = self.committed.get(task).map(|(number, _)| *number);
            if known != Some(*number) {
                return Err(format!(
                    "{} was said to be done by attempt {number}; recorded is {known:?}",
                    task.short()
                ));
            }
        }
        for task in &told.not_stored {
            if let Some((number, Some(_))) = self.committed.get(task) {
                return Err(format!(
                    "{} was said to be done by attempt {number} before its result was stored",
                    task.short()
                ));
            }
        }
        let mut runs: BTreeMap<AttemptId, &str> = BTreeMap::new();
        for (worker, attempt) in &seen.begun {
            if self
                .last
                .get(&attempt.task)
                .is_none_or(|last| *last < attempt.number)
            {
                return Err(format!("{attempt} ran on {worker}, but was never recorded"));
            }
            if let Some(other) = runs.insert(*attempt, worker)
                && other != worker
            {
                return Err(format!("{attempt} ran on {other} and on {worker}"));
            }
        }
        if let Some((worker, attempt)) = seen.running.iter().next() {
            return Err(format!(
                "{attempt} still runs on {worker}, and nobody wants it"
            ));
        }
        Ok(())
    }
}
