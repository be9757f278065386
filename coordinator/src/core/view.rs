//! What can be asked about the state.

use ablate_proto::id::{AttemptId, SweepId, TaskKey, WorkerId};
use ablate_proto::status::{
    ClusterStatus, Submitted, SweepState, SweepStatus, TaskState, TaskStatus, WorkerStatus,
};

use super::sweep_rows::{End, Sweep};
use super::tables::{State, SweepIx, TaskEntry, TaskIx};
use super::{Core, Now};
use crate::policy;

/// Which tasks of a sweep are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    None,
    All,
    /// So many at the most from a place on, in the order of the plan.
    Page {
        from: usize,
        most: usize,
    },
    /// So many at the most: what runs, what failed, what has not ended, and
    /// then the rest.
    Urgent(usize),
    /// What runs now, and what ended after so many others had: what one who
    /// follows a sweep has not seen yet; of those at most [`NEWS`].
    Since(usize),
}

/// Ended tasks that one who follows a sweep is told of at once.
pub const NEWS: usize = 10_000;

impl Core {
    pub fn sweep_status(&self, now: Now, id: &SweepId, rows: Rows) -> Option<SweepStatus> {
        let at = self.sweeps.find(id)?;
        let sweep = &self.sweeps[at];
        let counts = sweep.counts;
        let eta = self.eta(now, at);
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
            priority: sweep.priority,
            eta_seconds: eta.map(|eta| eta.seconds),
            eta_range: eta.map(|eta| (eta.low, eta.high)),
            rows: self.rows(now, sweep, rows),
        })
    }

    fn rows(&self, now: Now, sweep: &Sweep, rows: Rows) -> Vec<TaskStatus> {
        let list = |places: &mut dyn Iterator<Item = &TaskIx>| {
            places.map(|ix| row(now, &self.tasks[*ix])).collect()
        };
        match rows {
            Rows::None => Vec::new(),
            Rows::All => list(&mut sweep.tasks.iter()),
            Rows::Page { from, most } => list(&mut sweep.tasks.iter().skip(from).take(most)),
            Rows::Urgent(most) => self.urgent(now, sweep, most),
            Rows::Since(seen) => {
                let ended = sweep.ended.iter().skip(seen).take(NEWS);
                list(&mut sweep.running.iter().chain(ended))
            }
        }
    }

    fn urgent(&self, now: Now, sweep: &Sweep, most: usize) -> Vec<TaskStatus> {
        let ranks = [
            &[TaskState::Running][..],
            &[TaskState::Failed],
            &[TaskState::Ready, TaskState::Waiting],
            &[TaskState::Cancelled, TaskState::Done],
        ];
        let mut lists = ranks.map(|_| Vec::new());
        for ix in &sweep.tasks {
            let state = self.tasks[*ix].state.public();
            let rank = ranks.iter().position(|states| states.contains(&state));
            let list = &mut lists[rank.unwrap_or(ranks.len() - 1)];
            if list.len() < most {
                list.push(*ix);
            }
        }
        let all = lists.iter().flatten().take(most);
        all.map(|ix| row(now, &self.tasks[*ix])).collect()
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
            refused: self.refusals.stale,
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
            missing: Vec::new(),
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
        self.sweeps.get(id).is_some()
    }

    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// When a sweep ends: its open work over all slots, and no sooner than
    /// its longest chain. Kinds that were never measured count as
    /// [`policy::weight`] has it. `None` while nothing was measured at all, or
    /// nobody works.
    ///
    /// However tasks are ordered, work over slots plus what of the longest
    /// chain is not among it is the most it takes (Graham, 1969); both ends
    /// are moved by as much as durations were found to be off.
    fn eta(&self, now: Now, at: SweepIx) -> Option<Eta> {
        let sweep = &self.sweeps[at];
        let takers = self.workers.values().filter(|w| w.takes_tasks());
        let slots: u32 = takers.map(|w| w.slots).sum();
        if sweep.all_ended() {
            return Some(Eta::default());
        }
        if slots == 0 {
            return None;
        }
        let (mut work, mut off, mut measured) = (0.0, 0.0, false);
        for (class, left) in &sweep.left {
            let tasks = left.tasks as f64;
            let estimate = self.durations.estimate(*class, left.work / tasks);
            measured |= estimate.is_some();
            let (seconds, spread) = estimate.unwrap_or_else(|| (counted(None), 1.0));
            work += tasks * seconds;
            // One class may be off as a whole.
            off += tasks * seconds * spread;
        }
        let mut longest = Now::from_millis(self.queue.longest(at)).as_secs_f64();
        for ix in &sweep.running {
            let entry = &self.tasks[*ix];
            let estimate = self.estimate(entry);
            let expected = counted(estimate);
            let left = self.remaining(now, entry);
            measured |= left.is_some();
            let left = left.unwrap_or(expected);
            let below = (Now::from_millis(entry.rank).as_secs_f64() - expected).max(0.0);
            work += left;
            longest = longest.max(left + below);
        }
        let share = if work > 0.0 {
            (off / work).min(1.0)
        } else {
            0.0
        };
        let slots = f64::from(slots);
        let seconds = (work / slots).max(longest);
        let most = work / slots + longest * (1.0 - 1.0 / slots);
        measured.then(|| Eta {
            seconds,
            low: seconds * (1.0 - share),
            high: most.max(seconds) * (1.0 + share),
        })
    }

    fn estimate(&self, entry: &TaskEntry) -> Option<f64> {
        let work = f64::from(entry.work);
        let estimate = self.durations.estimate(entry.class, work);
        estimate.map(|(seconds, _)| seconds)
    }

    /// Measured: by its own progress, or by earlier tasks of its kind.
    fn remaining(&self, now: Now, entry: &TaskEntry) -> Option<f64> {
        let estimate = self.estimate(entry);
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

/// Seconds until a sweep ends, and between which they lie.
#[derive(Debug, Clone, Copy, Default)]
struct Eta {
    seconds: f64,
    low: f64,
    high: f64,
}

/// Seconds that a task counts for in the chains through it.
fn counted(estimate: Option<f64>) -> f64 {
    Now::from_millis(policy::weight(estimate)).as_secs_f64()
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
        label: entry.task.label.to_string(),
        kind: entry.task.kind.to_string(),
        state: entry.state.public(),
        attempt: entry.attempts,
        worker: None,
        step: 0,
        total: 0,
        seconds: 0.0,
        failure: entry.last_failure().cloned(),
        latest: Vec::new(),
        bare: entry.is_bare(),
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
