//! Sweeps come, grow, are cancelled, and end.

use std::collections::{BTreeMap, BTreeSet};

use ablate_proto::id::{SweepId, TaskKey};
use ablate_proto::task::Task;

use super::tables::{Counts, End, State, Sweep, TaskEntry};
use super::{Core, Effect, Fact, Now, Submission};

impl Core {
    pub(super) fn submit(&mut self, now: Now, submission: Submission) {
        self.record(now, Fact::SweepSubmitted(submission));
    }

    pub(super) fn cancel(&mut self, now: Now, sweep: SweepId) {
        if self.sweeps.get(&sweep).is_some_and(|s| !s.all_ended()) {
            self.record(now, Fact::SweepCancelled(sweep));
        }
    }

    pub(super) fn apply_submission(&mut self, submission: &Submission) {
        let id = &submission.sweep;
        let wanted: BTreeSet<TaskKey> = submission.tasks.iter().map(|t| t.key).collect();
        let before = self.sweeps.remove(id);
        let before = before.map(|sweep| sweep.tasks).unwrap_or_default();
        for key in before.iter().copied() {
            if let Some(entry) = self.tasks.get_mut(&key) {
                entry.in_sweeps.remove(id);
                entry.wanted_by.remove(id);
            }
            if !wanted.contains(&key) {
                self.cancel_unwanted(key);
            }
        }
        let mut sweep = Sweep {
            points: submission.points,
            stages_naive: submission.stages_naive,
            tasks: Vec::with_capacity(submission.tasks.len()),
            counts: Counts::default(),
            ended: Vec::new(),
            reused: 0,
            cancelled: false,
            held: None,
            same: BTreeMap::new(),
            end: End::NotYet,
        };
        for task in &submission.tasks {
            sweep.tasks.push(task.key);
            self.adopt(id, task);
            let state = &self.tasks[&task.key].state;
            *sweep.counts.of(state.public()) += 1;
            sweep.reused += u64::from(matches!(state, State::Done { .. }));
        }
        self.sweeps.insert(id.clone(), sweep);
        self.rank(&submission.tasks);
        for key in before {
            self.requeue(key);
        }
        self.requeue_all(id);
        self.effects.push(Effect::ForgetOutcome(id.clone()));
    }

    /// Adds a task, or another claim on one that is known. What failed or
    /// was cancelled before gets another chance.
    pub(super) fn adopt(&mut self, sweep: &SweepId, task: &Task) {
        let missing = task
            .inputs
            .iter()
            .filter(|input| {
                let parent = self.tasks.get(&input.task).map(|e| &e.state);
                !matches!(parent, Some(State::Done { .. }))
            })
            .count();
        let fresh = match missing {
            0 => State::Ready,
            missing => State::Waiting { missing },
        };
        if let Some(entry) = self.tasks.get_mut(&task.key) {
            if !matches!(entry.state, State::Done { .. }) {
                entry.failures.clear();
            }
            if matches!(entry.state, State::Failed | State::Cancelled) {
                entry.last_failure = None;
                self.set_state(task.key, fresh);
            }
            if let Some(entry) = self.tasks.get_mut(&task.key) {
                entry.in_sweeps.insert(sweep.clone());
                entry.wanted_by.insert(sweep.clone());
            }
            return;
        }
        for input in &task.inputs {
            if let Some(parent) = self.tasks.get_mut(&input.task) {
                parent.children.push(task.key);
            }
        }
        let claim = BTreeSet::from([sweep.clone()]);
        let entry = TaskEntry {
            task: task.clone(),
            state: State::Waiting { missing },
            attempts: 0,
            failures: BTreeMap::new(),
            last_failure: None,
            children: Vec::new(),
            in_sweeps: claim.clone(),
            wanted_by: claim,
            rank: 0,
            order: self.next_order,
            failed_on: BTreeSet::new(),
        };
        self.next_order += 1;
        self.tasks.insert(task.key, entry);
        self.set_state(task.key, fresh);
    }

    pub(super) fn apply_cancellation(&mut self, id: &SweepId) {
        let Some(sweep) = self.sweeps.get_mut(id) else {
            return;
        };
        sweep.cancelled = true;
        for key in sweep.tasks.clone() {
            if let Some(entry) = self.tasks.get_mut(&key) {
                entry.wanted_by.remove(id);
            }
            self.cancel_unwanted(key);
            self.requeue(key);
        }
    }

    /// Sweeps whose last task has ended get their outcome stored, and count
    /// as ended once it is.
    pub(super) fn end_sweeps(&mut self) {
        for (id, sweep) in &mut self.sweeps {
            if sweep.end == End::NotYet && sweep.all_ended() {
                sweep.end = End::Storing;
                self.effects.push(Effect::StoreOutcome(id.clone()));
            }
        }
    }

    pub(super) fn outcome_stored(&mut self, id: &SweepId) {
        if let Some(sweep) = self.sweeps.get_mut(id)
            && sweep.end == End::Storing
        {
            sweep.end = End::Stored;
        }
    }
}
