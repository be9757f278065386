//! Tests of the core. [`World`] speaks the domain's words and consumes every
//! effect; what a test did not expect fails it.

mod control;
mod fairness;
mod invariants;
mod liar;
mod model;
mod packing;
mod placing;
mod removed;
mod scenarios;

use std::collections::VecDeque;

use ablate_proto::capacity::{Capacity, Used};
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, SweepId, TaskKey, WorkerId};
use ablate_proto::message::{Commit, Hello, ToWorker};
use ablate_proto::stage::NoopSpec;
use ablate_proto::status::{SweepState, SweepStatus};
use ablate_proto::task::{Input, Task};

use super::*;

pub(super) fn worker(name: &str) -> WorkerId {
    name.parse().unwrap()
}

/// Task `index`, after the tasks with the given keys.
pub(super) fn task(index: u64, after: &[&Task]) -> Task {
    let spec = NoopSpec {
        index,
        ..NoopSpec::default()
    };
    let inputs = after.iter().enumerate().map(|(i, parent)| Input {
        role: format!("after{i}"),
        task: parent.key,
    });
    Task::new(format!("t{index}"), spec.into(), 0, inputs.collect())
}

pub(super) fn chain(length: u64) -> Vec<Task> {
    let mut tasks: Vec<Task> = Vec::new();
    for index in 0..length {
        let after: Vec<&Task> = tasks.last().into_iter().collect();
        let next = task(index, &after);
        tasks.push(next);
    }
    tasks
}

pub(super) fn done() -> Commit {
    Commit {
        seconds: 1.0,
        manifest: Some([1; 32]),
        reused: false,
        used: Used::default(),
    }
}

/// The core and the facts that were made durable.
pub(super) struct World {
    pub(super) core: Core,
    pub(super) now: Now,
    pub(super) facts: Vec<Fact>,
    sent: VecDeque<(WorkerId, ToWorker)>,
    sessions: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            core: Core::new(CoreSettings::default()),
            now: Now::ZERO,
            facts: Vec::new(),
            sent: VecDeque::new(),
            sessions: 0,
        }
    }

    pub(super) fn step(&mut self, event: Event) {
        let effects = self.core.step(self.now, event);
        let mut outcomes = Vec::new();
        for effect in effects {
            match effect {
                Effect::Record(fact) => self.facts.push(fact),
                Effect::Send(worker, message) => self.sent.push_back((worker, message)),
                Effect::StoreOutcome(sweep) => outcomes.push(sweep),
                Effect::ForgetOutcome(_) => {}
            }
        }
        for sweep in outcomes {
            self.step(Event::OutcomeStored(sweep));
        }
    }

    pub(super) fn submit(&mut self, sweep: &str, tasks: &[Task]) {
        let submission = Submission::new(sweep.parse().unwrap(), 1, tasks);
        self.step(Event::Submit(submission));
    }

    pub(super) fn hello(&mut self, name: &str, slots: u32, holding: Vec<AttemptId>) -> u64 {
        self.enter(name, slots, Capacity::default(), holding)
    }

    pub(super) fn hello_with(&mut self, name: &str, slots: u32, capacity: Capacity) -> u64 {
        self.enter(name, slots, capacity, Vec::new())
    }

    fn enter(
        &mut self,
        name: &str,
        slots: u32,
        capacity: Capacity,
        holding: Vec<AttemptId>,
    ) -> u64 {
        self.sessions += 1;
        let session = self.sessions;
        let hello = Hello {
            worker: worker(name),
            build: String::new(),
            slots,
            host: "box".to_owned(),
            device: "cpu".to_owned(),
            commands: false,
            capacity,
            holding,
        };
        self.step(Event::Hello { hello, session });
        let welcome = self
            .sent
            .iter()
            .rposition(|(w, m)| w.as_str() == name && matches!(m, ToWorker::Welcome { .. }));
        assert!(welcome.and_then(|at| self.sent.remove(at)).is_some());
        session
    }

    pub(super) fn beat(&mut self, name: &str, holding: &[AttemptId]) {
        self.step(Event::Heartbeat {
            worker: worker(name),
            holding: holding.to_vec(),
            draining: false,
        });
    }

    /// Some of the tasks left nothing.
    pub(super) fn commit(&mut self, name: &str, attempt: AttemptId) {
        let bare = attempt.task.as_bytes()[0].is_multiple_of(4);
        self.commit_as(name, attempt, bare);
    }

    pub(super) fn commit_as(&mut self, name: &str, attempt: AttemptId, bare: bool) {
        let manifest = done().manifest.filter(|_| !bare);
        self.step(Event::Commit {
            worker: worker(name),
            attempt,
            commit: Commit { manifest, ..done() },
        });
    }

    pub(super) fn fail(&mut self, name: &str, attempt: AttemptId, class: FailureClass) {
        self.step(Event::Fail {
            worker: worker(name),
            attempt,
            failure: Failure::new(class, "as the test wants it"),
        });
    }

    /// Time goes by, with the ticks of a coordinator that runs.
    pub(super) fn pass(&mut self, time: Now) {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + Now::from_millis(500));
            self.step(Event::Tick);
        }
    }

    /// The coordinator stands still meanwhile.
    pub(super) fn stall(&mut self, time: Now) {
        self.now += time;
        self.step(Event::Tick);
    }

    /// The next message to this worker.
    pub(super) fn received(&mut self, name: &str) -> Option<ToWorker> {
        let at = self.sent.iter().position(|(w, _)| w.as_str() == name)?;
        self.sent.remove(at).map(|(_, message)| message)
    }

    pub(super) fn assigned(&mut self, name: &str) -> AttemptId {
        match self.received(name) {
            Some(ToWorker::Assign { attempt, .. }) => attempt,
            other => panic!("an assignment to {name} was expected, not {other:?}"),
        }
    }

    pub(super) fn acked(&mut self, name: &str) -> bool {
        match self.received(name) {
            Some(ToWorker::Ack { accepted, .. }) => accepted,
            other => panic!("an ack to {name} was expected, not {other:?}"),
        }
    }

    pub(super) fn dropped(&mut self, name: &str) -> AttemptId {
        match self.received(name) {
            Some(ToWorker::Drop { attempt, .. }) => attempt,
            other => panic!("a drop to {name} was expected, not {other:?}"),
        }
    }

    pub(super) fn nothing_more(&self) {
        assert!(self.sent.is_empty(), "left over: {:?}", self.sent);
    }

    pub(super) fn status(&self, sweep: &str) -> SweepStatus {
        let id: SweepId = sweep.parse().unwrap();
        self.core.sweep_status(self.now, &id, Rows::All).unwrap()
    }

    pub(super) fn state(&self, sweep: &str) -> SweepState {
        self.status(sweep).state
    }

    /// A restart: the state as the durable facts have it.
    pub(super) fn restart(&mut self) {
        self.core = Core::recover(CoreSettings::default(), self.facts.clone());
        self.now = Now::ZERO;
        self.sent.clear();
    }
}

pub(super) fn attempt(task: TaskKey, number: u32) -> AttemptId {
    AttemptId { task, number }
}
