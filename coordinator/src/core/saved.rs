//! Snapshots: what the facts so far amount to, as facts of their own, so that
//! a recovery need not fold all that ever happened.

use std::sync::Arc;

use ablate_proto::capacity::Grant;
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, SweepId, WorkerId};
use ablate_proto::stage::StageKind;
use ablate_proto::status::Hold;
use ablate_proto::task::SealedTask;

use smallvec::smallvec;

use super::crew::Held;
use super::sweep_rows::Sweep;
use super::tables::{Claim, Lease, State, SweepIx, TaskEntry, TaskIx, Trouble};
use super::{Core, Fact, Now};
use crate::policy::Class;

/// Tasks in one fact of a snapshot.
const CHUNK: usize = 16_384;

/// A sweep but for its tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedSweep {
    pub sweep: SweepId,
    pub points: u64,
    pub stages_naive: u64,
    pub priority: i64,
    pub reused: u64,
    /// Its place in the order of submissions.
    pub submitted: u64,
    pub cancelled: bool,
    pub held: Option<Hold>,
    /// Failures that were alike, and how many.
    pub same: Vec<(String, u32)>,
}

/// A task, with the sweeps by their order in the snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedTask {
    pub task: Arc<SealedTask>,
    pub state: SavedState,
    pub attempts: u32,
    /// Sweeps that contain it, and whether they still want it.
    pub claims: Vec<(u32, bool)>,
    /// The worker that has its result at hand.
    pub home: Option<WorkerId>,
    pub failures: Vec<(FailureClass, u32)>,
    /// Binary logarithm of the bytes that it needs at least; 0: not known.
    pub raised: u8,
    pub last_failure: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SavedState {
    /// For its parents, or for a slot: they tell.
    Open,
    /// By the latest attempt.
    Leased(WorkerId, Grant),
    Done {
        attempt: u32,
        bare: bool,
        seconds: f64,
    },
    Failed,
    Cancelled,
}

/// Tasks of a sweep by their order in the snapshot: all, and those that have
/// ended in the order in which they did.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedList {
    pub sweep: u32,
    pub tasks: Vec<u32>,
    pub ended: Vec<u32>,
}

/// A learned duration, and the peaks learned beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedDuration {
    pub kind: StageKind,
    pub scale: i8,
    pub seconds: f64,
    pub work: f64,
    pub spread: f64,
    /// Bytes; 0: not measured.
    pub memory: f64,
    pub cores: f64,
}

impl Core {
    /// Everything that must survive, as facts that make it again when they
    /// are folded first.
    pub fn saved(&self) -> Vec<Fact> {
        let sweeps = self.sweeps.places().map(|at| &self.sweeps[at]);
        let mut facts: Vec<Fact> = sweeps.clone().map(save_sweep).collect();
        let mut tasks = self.tasks.iter().map(|(_, entry)| save_task(entry));
        loop {
            let chunk: Vec<SavedTask> = tasks.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                break;
            }
            facts.push(Fact::SavedTasks(chunk));
        }
        let numbers = |places: &[TaskIx]| places.iter().map(|ix| ix.number()).collect();
        facts.extend(self.sweeps.places().map(|at| {
            let sweep = &self.sweeps[at];
            Fact::SavedList(SavedList {
                sweep: at.number(),
                tasks: numbers(&sweep.tasks),
                ended: numbers(&sweep.ended),
            })
        }));
        let durations = self.durations.all().map(|(class, e)| {
            let peak = self.peaks.get(class);
            SavedDuration {
                kind: class.kind,
                scale: class.scale,
                seconds: e.seconds,
                work: e.work,
                spread: e.spread,
                memory: peak.map_or(0.0, |peak| peak.memory),
                cores: peak.map_or(0.0, |peak| peak.cores),
            }
        });
        facts.push(Fact::SavedDurations(durations.collect()));
        facts
    }

    pub(super) fn apply_saved_sweep(&mut self, saved: &SavedSweep) {
        let at = self.sweeps.enter(&saved.sweep);
        let same = saved.same.iter().cloned().collect();
        self.submissions = self.submissions.max(saved.submitted);
        self.sweeps[at] = Sweep {
            points: saved.points,
            stages_naive: saved.stages_naive,
            priority: saved.priority,
            reused: saved.reused,
            submitted: saved.submitted,
            cancelled: saved.cancelled,
            held: saved.held.clone(),
            same,
            ..Sweep::new(saved.sweep.clone())
        };
    }

    pub(super) fn apply_saved_task(&mut self, now: Now, saved: &SavedTask) {
        let task = &saved.task;
        let state = match &saved.state {
            SavedState::Open => self.fresh(task),
            SavedState::Leased(worker, grant) => State::Leased(Box::new(Lease {
                worker: worker.clone(),
                attempt: saved.attempts,
                since: now,
                grant: *grant,
                step: 0,
                total: 0,
                charged: 0,
            })),
            SavedState::Done {
                attempt,
                bare,
                seconds,
            } => State::Done {
                attempt: *attempt,
                bare: *bare,
                seconds: *seconds,
            },
            SavedState::Failed => State::Failed,
            SavedState::Cancelled => State::Cancelled,
        };
        let ix = self.tasks.next();
        if let SavedState::Leased(worker, grant) = &saved.state {
            let attempt = AttemptId {
                task: task.key,
                number: saved.attempts,
            };
            let held = Held {
                task: ix,
                grant: *grant,
            };
            self.workers.enter(worker, now + self.settings.lease);
            self.workers.change(worker, |w| w.take(attempt, held));
        }
        let parents = self.link(ix, task);
        let any = !saved.failures.is_empty() || saved.last_failure.is_some() || saved.raised > 0;
        let trouble = any.then(|| {
            Box::new(Trouble {
                failures: saved.failures.iter().copied().collect(),
                last: saved.last_failure.clone(),
                raised: saved.raised,
                ..Trouble::default()
            })
        });
        let claims = saved.claims.iter();
        self.tasks.push(TaskEntry {
            task: task.clone(),
            class: Class::of(task),
            work: task.work,
            state,
            attempts: saved.attempts,
            rank: 0,
            parents,
            children: smallvec![],
            claims: claims
                .filter(|(sweep, _)| self.sweeps.knows(*sweep))
                .map(|(sweep, wants)| Claim {
                    sweep: SweepIx::of(*sweep),
                    wants: *wants,
                })
                .collect(),
            home: saved.home.clone(),
            trouble,
        });
    }

    pub(super) fn apply_saved_list(&mut self, saved: &SavedList) {
        if !self.sweeps.knows(saved.sweep) {
            return;
        }
        let at = SweepIx::of(saved.sweep);
        let known = |number: &u32| (*number as usize) < self.tasks.len();
        let places = |numbers: &[u32]| -> Vec<TaskIx> {
            let known = numbers.iter().filter(|number| known(number));
            known.map(|number| TaskIx::of(*number)).collect()
        };
        let (tasks, ended) = (places(&saved.tasks), places(&saved.ended));
        let sweep = &mut self.sweeps[at];
        for ix in &tasks {
            let entry = &self.tasks[*ix];
            sweep.count(*ix, entry, entry.state.public(), true);
        }
        (sweep.tasks, sweep.ended) = (tasks, ended);
    }

    pub(super) fn apply_saved_durations(&mut self, saved: &[SavedDuration]) {
        for duration in saved {
            let class = Class {
                kind: duration.kind,
                scale: duration.scale,
            };
            self.durations
                .restore(class, duration.seconds, duration.work, duration.spread);
            if duration.memory > 0.0 {
                self.peaks.restore(class, duration.memory, duration.cores);
            }
        }
    }
}

fn save_sweep(sweep: &Sweep) -> Fact {
    let same = sweep.same.iter().map(|(what, n)| (what.clone(), *n));
    Fact::SavedSweep(SavedSweep {
        sweep: sweep.id.clone(),
        points: sweep.points,
        stages_naive: sweep.stages_naive,
        priority: sweep.priority,
        reused: sweep.reused,
        submitted: sweep.submitted,
        cancelled: sweep.cancelled,
        held: sweep.held.clone(),
        same: same.collect(),
    })
}

fn save_task(entry: &TaskEntry) -> SavedTask {
    let claims = entry.claims.iter();
    let failures = entry.trouble.iter().flat_map(|t| &t.failures);
    SavedTask {
        task: entry.task.clone(),
        state: match &entry.state {
            State::Waiting { .. } | State::Ready | State::Delayed { .. } => SavedState::Open,
            State::Leased(lease) => SavedState::Leased(lease.worker.clone(), lease.grant),
            State::Done {
                attempt,
                bare,
                seconds,
            } => SavedState::Done {
                attempt: *attempt,
                bare: *bare,
                seconds: *seconds,
            },
            State::Failed => SavedState::Failed,
            State::Cancelled => SavedState::Cancelled,
        },
        attempts: entry.attempts,
        claims: claims.map(|c| (c.sweep.number(), c.wants)).collect(),
        home: entry.home.clone(),
        failures: failures.map(|(class, n)| (*class, *n)).collect(),
        raised: entry.kin().raised,
        last_failure: entry.last_failure().cloned(),
    }
}
