//! What can be asked about the state.

use ablate_proto::id::{AttemptId, SweepId, TaskKey, WorkerId};
use ablate_proto::status::{
    ClusterStatus, Submitted, SweepState, SweepStatus, TaskStatus, WorkerStatus,
};

use super::tables::{End, State, Sweep, TaskEntry};
use super::{Core, Now};
use crate::policy;

/// Which tasks of a sweep are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    None,
    All,
    /// What runs now, and what ended after so many others had: what one who
    /// follows a sweep has not seen yet.
    Since(usize),
}

impl Core {
    pub fn sweep_status(&self, now: Now, id: &SweepId, rows: Rows) -> Option<SweepStatus> {
        let sweep = self.sweeps.get(id)?;
        let counts = sweep.counts;
        Some(SweepStatus {
            sweep: id.clone(),
            state: sweep.state(),
            submitted: sweep.submitted,
            points: sweep.points,
            tasks: sweep.tasks.len() as u64,
            done: counts.done,
            failed: counts.failed,
            cancelled: counts.cancelled,
            running: counts.running,
            reused: sweep.reused,
            held: sweep.held.clone(),
            eta_seconds: self.eta(now, sweep),
            rows: self.rows(now, id, sweep, rows),
        })
    }

    fn rows(&self, now: Now, id: &SweepId, sweep: &Sweep, rows: Rows) -> Vec<TaskStatus> {
        let list = |keys: &mut dyn Iterator<Item = &TaskKey>| {
            let entries = keys.filter_map(|key| self.tasks.get(key));
            entries.map(|entry| row(now, entry)).collect()
        };
        match rows {
            Rows::None => Vec::new(),
            Rows::All => list(&mut sweep.tasks.iter()),
            Rows::Since(seen) => {
                let held = self.workers.values().flat_map(|w| &w.held);
                let mut running: Vec<TaskKey> = held.map(|attempt| attempt.task).collect();
                running.retain(|key| {
                    let entry = self.tasks.get(key);
                    entry.is_some_and(|e| e.in_sweeps.contains(id))
                });
                let ended = sweep.ended.iter().skip(seen);
                list(&mut running.iter().chain(ended))
            }
        }
    }

    /// How many of a sweep's tasks have ended so far, for [`Rows::Since`].
    pub fn ended(&self, id: &SweepId) -> usize {
        self.sweeps.get(id).map_or(0, |sweep| sweep.ended.len())
    }

    /// How a sweep ended, before the world is told that it has.
    pub fn outcome(&self, now: Now, id: &SweepId) -> Option<SweepStatus> {
        let mut status = self.sweep_status(now, id, Rows::All)?;
        status.state = self.sweeps.get(id)?.end_state();
        Some(status)
    }

    pub fn cluster_status(&self, now: Now) -> ClusterStatus {
        let sweeps = self.sweeps.keys();
        let workers = self.workers.keys();
        ClusterStatus {
            sweeps: sweeps
                .filter_map(|id| self.sweep_status(now, id, Rows::None))
                .collect(),
            workers: workers
                .filter_map(|id| self.worker_status(now, id))
                .collect(),
        }
    }

    pub fn worker_status(&self, now: Now, id: &WorkerId) -> Option<WorkerStatus> {
        let worker = self.workers.get(id)?;
        Some(WorkerStatus {
            worker: id.clone(),
            host: worker.host.clone(),
            device: worker.device.clone(),
            slots: worker.slots,
            running: u32::try_from(worker.held.len()).unwrap_or(u32::MAX),
            connected: worker.session.is_some(),
            aside: worker.aside_because(now),
        })
    }

    pub fn submitted(&self, id: &SweepId) -> Option<Submitted> {
        let sweep = self.sweeps.get(id)?;
        Some(Submitted {
            sweep: id.clone(),
            points: sweep.points,
            stages_naive: sweep.stages_naive,
            tasks: sweep.tasks.len() as u64,
            reused: sweep.reused,
        })
    }

    /// Who runs a task, and under which number.
    pub fn holder(&self, task: TaskKey) -> Option<(WorkerId, AttemptId)> {
        match &self.tasks.get(&task)?.state {
            State::Leased(lease) => {
                let number = lease.attempt;
                Some((lease.worker.clone(), AttemptId { task, number }))
            }
            State::Waiting { .. }
            | State::Ready
            | State::Delayed { .. }
            | State::Done { .. }
            | State::Failed
            | State::Cancelled => None,
        }
    }

    pub fn has_sweep(&self, id: &SweepId) -> bool {
        self.sweeps.contains_key(id)
    }

    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// Seconds until a sweep ends: what its open tasks are expected to take,
    /// over all slots, and no less than its longest chain. Kinds that were
    /// never measured count as [`policy::weight`] has it. `None` while nothing
    /// was measured at all, or nobody works.
    fn eta(&self, now: Now, sweep: &Sweep) -> Option<f64> {
        let slots: u32 = self
            .workers
            .values()
            .filter(|w| w.takes_tasks())
            .map(|w| w.slots)
            .sum();
        if sweep.all_ended() {
            return Some(0.0);
        }
        if slots == 0 {
            return None;
        }
        let (mut work, mut longest, mut measured) = (0.0, 0.0_f64, false);
        for key in &sweep.tasks {
            let entry = self.tasks.get(key)?;
            if entry.state.is_terminal() {
                continue;
            }
            let own = self.expected(entry);
            let left = self.remaining(now, entry);
            measured |= left.is_some();
            let left = left.unwrap_or(own);
            let chain = (Now::from_millis(entry.rank).as_secs_f64() - own).max(0.0);
            work += left;
            longest = longest.max(left + chain);
        }
        measured.then_some((work / f64::from(slots)).max(longest))
    }

    /// Seconds that a task counts for in the chains through it.
    fn expected(&self, entry: &TaskEntry) -> f64 {
        let estimate = self.durations.estimate(entry.task.spec.kind());
        Now::from_millis(policy::weight(estimate)).as_secs_f64()
    }

    /// Measured: by its own progress, or by earlier tasks of its kind.
    fn remaining(&self, now: Now, entry: &TaskEntry) -> Option<f64> {
        let estimate = self.durations.estimate(entry.task.spec.kind());
        let State::Leased(lease) = &entry.state else {
            return estimate;
        };
        let elapsed = now.saturating_sub(lease.since).as_secs_f64();
        if lease.step > 0 && lease.total >= lease.step {
            let (step, total) = (lease.step as f64, lease.total as f64);
            return Some(elapsed * (total - step) / step);
        }
        Some((estimate? - elapsed).max(0.0))
    }
}

impl Sweep {
    fn state(&self) -> SweepState {
        match self.end {
            End::NotYet | End::Storing => SweepState::Running,
            End::Stored => self.end_state(),
        }
    }

    fn end_state(&self) -> SweepState {
        if self.counts.failed > 0 {
            SweepState::Failed
        } else if self.cancelled || self.counts.cancelled > 0 {
            SweepState::Cancelled
        } else {
            SweepState::Done
        }
    }
}

fn row(now: Now, entry: &TaskEntry) -> TaskStatus {
    let mut row = TaskStatus {
        key: entry.task.key,
        label: entry.task.label.clone(),
        kind: entry.task.spec.kind().to_string(),
        state: entry.state.public(),
        attempt: entry.attempts,
        worker: None,
        step: 0,
        total: 0,
        seconds: 0.0,
        failure: entry.last_failure.clone(),
        latest: Vec::new(),
    };
    match &entry.state {
        State::Leased(lease) => {
            row.worker = Some(lease.worker.clone());
            row.step = lease.step;
            row.total = lease.total;
            row.seconds = now.saturating_sub(lease.since).as_secs_f64();
        }
        State::Done { seconds, .. } => row.seconds = *seconds,
        State::Waiting { .. }
        | State::Ready
        | State::Delayed { .. }
        | State::Failed
        | State::Cancelled => {}
    }
    row
}
