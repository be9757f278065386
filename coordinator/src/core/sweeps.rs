//! Sweeps come, grow, are cancelled, and end.

use std::sync::Arc;

use ablate_proto::id::{SweepId, TaskKey};
use ablate_proto::task::SealedTask;
use smallvec::{SmallVec, smallvec};

use super::sweep_rows::{End, Sweep};
use super::tables::{Claim, State, SweepIx, TaskEntry, TaskIx};
use super::{Core, Effect, Fact, Now, Submission};
use crate::policy::Class;

impl Core {
    pub(super) fn submit(&mut self, now: Now, submission: Submission) {
        self.record(now, Fact::SweepSubmitted(submission));
    }

    pub(super) fn cancel(&mut self, now: Now, sweep: SweepId) {
        if self.sweeps.get(&sweep).is_some_and(|s| !s.all_ended()) {
            self.record(now, Fact::SweepCancelled(sweep));
        }
    }

    pub(super) fn prioritise(&mut self, now: Now, sweep: SweepId, priority: i64) {
        let other = |s: &Sweep| s.priority != priority;
        if self.sweeps.get(&sweep).is_some_and(other) {
            self.record(now, Fact::SweepPrioritised { sweep, priority });
        }
    }

    pub(super) fn apply_submission(&mut self, submission: &Submission) {
        let at = self.sweeps.enter(&submission.sweep);
        self.queue.leave(at);
        let id = submission.sweep.clone();
        let before = std::mem::replace(&mut self.sweeps[at], Sweep::new(id));
        self.release_claims(at, &before.tasks, submission);
        let mut tasks = Vec::with_capacity(submission.tasks.len());
        self.tasks.reserve(submission.tasks.len());
        for task in &submission.tasks {
            tasks.push(self.adopt(at, task));
        }
        self.rank(&tasks);
        self.submissions += 1;
        let sweep = &mut self.sweeps[at];
        sweep.submitted = self.submissions;
        sweep.points = submission.points;
        sweep.stages_naive = submission.stages_naive;
        sweep.priority = submission.priority;
        sweep.served = before.served;
        for ix in &tasks {
            let entry = &self.tasks[*ix];
            sweep.count(*ix, entry, entry.state.public(), true);
        }
        // Those that were done before have not ended in this sweep.
        sweep.reused = sweep.counts.done;
        sweep.ended.clear();
        for ix in &tasks {
            if self.tasks[*ix].claims.len() > 1 {
                self.enqueue(*ix);
            }
        }
        self.sweeps[at].tasks = tasks;
        self.queue_sweep(at);
        self.ending.push(at);
        let id = submission.sweep.clone();
        self.effects.push(Effect::ForgetOutcome(id));
    }

    /// A sweep is submitted anew: its tasks are others' alone, and those that
    /// nobody wants any more end.
    fn release_claims(&mut self, at: SweepIx, tasks: &[TaskIx], submission: &Submission) {
        if tasks.is_empty() {
            return;
        }
        let mut wanted = vec![false; self.tasks.len()];
        let known = submission.tasks.iter();
        for ix in known.filter_map(|task| self.tasks.find(&task.key)) {
            wanted[ix.number() as usize] = true;
        }
        for ix in tasks {
            self.tasks[*ix].claims.retain(|claim| claim.sweep != at);
            if !wanted[ix.number() as usize] {
                self.cancel_unwanted(*ix);
            }
        }
    }

    /// Those of the tasks that are done but that no sweep names: what they left
    /// may have been removed.
    pub fn unnamed(&self, keys: &[TaskKey]) -> Vec<TaskKey> {
        let unnamed = |key: &&TaskKey| {
            self.tasks.get(key).is_some_and(|entry| {
                entry.claims.is_empty() && matches!(entry.state, State::Done { bare: false, .. })
            })
        };
        keys.iter().filter(unnamed).copied().collect()
    }

    pub(super) fn results_gone(&mut self, now: Now, keys: &[TaskKey]) {
        let gone = self.unnamed(keys);
        if !gone.is_empty() {
            self.record(now, Fact::ResultsGone(gone));
        }
    }

    /// Parents come before children.
    pub(super) fn apply_results_gone(&mut self, keys: &[TaskKey]) {
        for key in keys {
            if let Some(ix) = self.tasks.find(key) {
                let fresh = self.fresh(&self.tasks[ix].task);
                self.set_state(ix, fresh);
            }
        }
    }

    /// Where a task stands that was not tried yet.
    pub(super) fn fresh(&self, task: &SealedTask) -> State {
        let inputs = task.inputs.iter().map(|input| self.tasks.get(&input.task));
        let open = inputs.filter(|p| !p.is_some_and(|p| matches!(p.state, State::Done { .. })));
        match u32::try_from(open.count()).unwrap_or(u32::MAX) {
            0 => State::Ready,
            missing => State::Waiting { missing },
        }
    }

    /// Adds a task, or another claim on one that is known. What failed or
    /// was cancelled before gets another chance. The task is in no queue
    /// afterwards.
    pub(super) fn adopt(&mut self, sweep: SweepIx, task: &Arc<SealedTask>) -> TaskIx {
        let fresh = self.fresh(task);
        if let Some(ix) = self.tasks.find(&task.key) {
            self.dequeue(ix);
            let entry = &mut self.tasks[ix];
            let over = matches!(entry.state, State::Failed | State::Cancelled);
            let done = matches!(entry.state, State::Done { .. });
            if let Some(trouble) = &mut entry.trouble {
                if !done {
                    trouble.failures.clear();
                }
                if over {
                    trouble.last = None;
                }
            }
            if over {
                self.set_state(ix, fresh);
                self.dequeue(ix);
            }
            self.tasks[ix].claim(sweep);
            return ix;
        }
        let ix = self.tasks.next();
        let parents = self.link(ix, task);
        self.tasks.push(TaskEntry {
            task: task.clone(),
            class: Class::of(task),
            work: task.work,
            state: fresh,
            attempts: 0,
            rank: 0,
            parents,
            children: smallvec![],
            claims: smallvec![Claim { sweep, wants: true }],
            home: None,
            trouble: None,
        })
    }

    /// Tells its parents of a task that comes to stand at `ix`: those.
    pub(super) fn link(&mut self, ix: TaskIx, task: &SealedTask) -> SmallVec<[TaskIx; 4]> {
        let parents = task.inputs.iter().map(|input| {
            let parent = self.tasks.find(&input.task);
            if let Some(parent) = parent {
                self.tasks[parent].children.push(ix);
            }
            parent.unwrap_or(TaskIx::UNKNOWN)
        });
        parents.collect()
    }

    pub(super) fn apply_cancellation(&mut self, id: &SweepId) {
        let Some(at) = self.sweeps.find(id) else {
            return;
        };
        if planted!(CancelledLeased) {
            self.sweeps[at].cancelled = true;
            self.ending.push(at);
            return;
        }
        self.queue.leave(at);
        let sweep = &mut self.sweeps[at];
        sweep.cancelled = true;
        for ix in sweep.tasks.clone() {
            let claims = self.tasks[ix].claims.iter_mut();
            for claim in claims.filter(|claim| claim.sweep == at) {
                claim.wants = false;
            }
            self.cancel_unwanted(ix);
        }
        self.ending.push(at);
    }

    pub(super) fn apply_priority(&mut self, id: &SweepId, priority: i64) {
        let Some(at) = self.sweeps.find(id) else {
            return;
        };
        let sweep = &mut self.sweeps[at];
        sweep.priority = priority;
        sweep.served = sweep.served.max(self.service.start(priority));
        self.queue.turn(at, sweep.turn());
    }

    /// Sweeps whose last task has ended get their outcome stored, and count
    /// as ended once it is.
    pub(super) fn end_sweeps(&mut self) {
        for at in std::mem::take(&mut self.ending) {
            let sweep = &mut self.sweeps[at];
            if sweep.end == End::NotYet && sweep.all_ended() {
                sweep.end = End::Storing;
                self.effects.push(Effect::StoreOutcome(sweep.id.clone()));
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
