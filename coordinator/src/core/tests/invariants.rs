//! Whatever happens, in whatever order: one live lease a task, attempt
//! numbers never used twice, ends that are final, nothing stuck, and a
//! replay that equals the live state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ablate_proto::status::TaskState;
use proptest::prelude::*;

use super::*;
use crate::core::tables::{State, SweepIx};

pub(super) const WORKERS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
pub(super) enum Action {
    Submit {
        sweep: usize,
        shape: usize,
    },
    Cancel {
        sweep: usize,
    },
    /// Paused, let go on, or given another chance.
    Change {
        sweep: usize,
        what: usize,
    },
    Hello {
        worker: usize,
        forget: bool,
    },
    Gone {
        worker: usize,
    },
    Beat {
        worker: usize,
    },
    Commit {
        worker: usize,
        which: usize,
    },
    Fail {
        worker: usize,
        which: usize,
        class: usize,
    },
    Pass {
        millis: u64,
    },
    Restart,
}

pub(super) fn action() -> impl Strategy<Value = Action> {
    let worker = 0..WORKERS.len();
    prop_oneof![
        2 => (0..2usize, 0..3usize).prop_map(|(sweep, shape)| Action::Submit { sweep, shape }),
        1 => (0..2usize).prop_map(|sweep| Action::Cancel { sweep }),
        3 => (0..2usize, 0..4usize).prop_map(|(sweep, what)| Action::Change { sweep, what }),
        4 => (worker.clone(), any::<bool>())
            .prop_map(|(worker, forget)| Action::Hello { worker, forget }),
        2 => worker.clone().prop_map(|worker| Action::Gone { worker }),
        6 => worker.clone().prop_map(|worker| Action::Beat { worker }),
        8 => (worker.clone(), 0..4usize)
            .prop_map(|(worker, which)| Action::Commit { worker, which }),
        3 => (worker, 0..4usize, 0..5usize)
            .prop_map(|(worker, which, class)| Action::Fail { worker, which, class }),
        5 => (1..8000u64).prop_map(|millis| Action::Pass { millis }),
        1 => Just(Action::Restart),
    ]
}

const CLASSES: [FailureClass; 5] = [
    FailureClass::Preempted,
    FailureClass::OutOfMemory,
    FailureClass::TransientIo,
    FailureClass::Bug,
    FailureClass::Data,
];

fn shape(index: usize) -> Vec<Task> {
    match index {
        0 => chain(4),
        1 => {
            let root = task(0, &[]);
            let left = task(11, &[&root]);
            let right = task(12, &[&root]);
            let join = task(13, &[&left, &right]);
            vec![root, left, right, join]
        }
        _ => (20..26).map(|index| task(index, &[])).collect(),
    }
}

/// What the workers believe they hold.
#[derive(Default)]
pub(super) struct Beliefs {
    held: BTreeMap<usize, Vec<AttemptId>>,
    given: BTreeSet<AttemptId>,
    sessions: BTreeMap<usize, u64>,
}

pub(super) fn perform(world: &mut World, beliefs: &mut Beliefs, action: &Action) {
    let held = |b: &Beliefs, w: usize| b.held.get(&w).cloned().unwrap_or_default();
    match action {
        Action::Submit {
            sweep,
            shape: index,
        } => {
            world.submit(["s0", "s1"][*sweep], &shape(*index));
        }
        Action::Cancel { sweep } => {
            world.step(Event::Cancel(["s0", "s1"][*sweep].parse().unwrap()));
        }
        Action::Change { sweep, what } => {
            let sweep = ["s0", "s1"][*sweep].parse().unwrap();
            let person = true;
            let why = String::new();
            world.step(match what {
                0 => Event::Hold(sweep, Hold { person, why }),
                1 => Event::Release(sweep),
                2 => Event::Retry(sweep, None),
                _ => Event::Retry(sweep, Some(FailureClass::Bug)),
            });
        }
        Action::Hello { worker, forget } => {
            if *forget {
                beliefs.held.remove(worker);
            }
            let session = world.hello(WORKERS[*worker], 2, held(beliefs, *worker));
            beliefs.sessions.insert(*worker, session);
        }
        Action::Gone { worker: index } => {
            if let Some(session) = beliefs.sessions.remove(index) {
                let worker = worker(WORKERS[*index]);
                world.step(Event::Gone { worker, session });
            }
        }
        Action::Beat { worker } => world.beat(WORKERS[*worker], &held(beliefs, *worker)),
        Action::Commit { worker, which } => {
            if let Some(attempt) = held(beliefs, *worker).get(*which) {
                world.commit(WORKERS[*worker], *attempt);
            }
        }
        Action::Fail {
            worker,
            which,
            class,
        } => {
            if let Some(attempt) = held(beliefs, *worker).get(*which) {
                world.fail(WORKERS[*worker], *attempt, CLASSES[*class]);
            }
        }
        Action::Pass { millis } => world.pass(Duration::from_millis(*millis)),
        Action::Restart => {
            world.restart();
            beliefs.sessions.clear();
        }
    }
    hear(world, beliefs);
}

/// Workers take in what was sent to them.
fn hear(world: &mut World, beliefs: &mut Beliefs) {
    for (index, name) in WORKERS.iter().enumerate() {
        while let Some(message) = world.received(name) {
            let held = beliefs.held.entry(index).or_default();
            match message {
                ToWorker::Assign { attempt, .. } => {
                    if !held.contains(&attempt) {
                        held.push(attempt);
                    }
                    beliefs.given.insert(attempt);
                }
                ToWorker::Drop { attempt, .. } | ToWorker::Ack { attempt, .. } => {
                    held.retain(|a| *a != attempt);
                }
                ToWorker::Welcome { .. } | ToWorker::Follow { .. } | ToWorker::TakeBack { .. } => {}
            }
        }
    }
}

/// What survives a restart: state, attempts and failures of every task.
pub(super) fn durable_view(core: &Core) -> BTreeMap<TaskKey, String> {
    let view = core.tasks.iter().map(|(_, entry)| {
        let names = |places: Vec<SweepIx>| -> BTreeSet<SweepId> {
            places
                .iter()
                .map(|at| core.sweeps[*at].id.clone())
                .collect()
        };
        let state = match &entry.state {
            State::Leased(lease) => format!(
                "leased {} {} {:?}",
                lease.worker, lease.attempt, lease.grant
            ),
            State::Delayed { .. } | State::Ready => "ready".to_owned(),
            other => format!("{other:?}"),
        };
        let rest = (
            entry.attempts,
            entry
                .trouble
                .as_ref()
                .map(|t| t.failures.clone())
                .unwrap_or_default(),
            names(entry.in_sweeps().collect()),
            names(entry.wanted_by().collect()),
        );
        (entry.task.key, format!("{state} {rest:?}"))
    });
    view.collect()
}

fn check(world: &World, committed: &mut BTreeMap<TaskKey, AttemptId>) {
    let core = &world.core;
    // Every lease is known to exactly the worker that has it.
    let mut leased = BTreeSet::new();
    for (id, worker) in core.workers.iter() {
        for (attempt, held) in &worker.held {
            assert!(leased.insert(attempt.task), "two leases for {attempt}");
            assert_eq!(core.tasks[held.task].task.key, attempt.task);
            let entry = core.tasks.get(&attempt.task).unwrap();
            assert!(entry.lease_of(id, *attempt).is_some());
        }
    }
    for (ix, entry) in core.tasks.iter() {
        assert_eq!(
            leased.contains(&entry.task.key),
            matches!(entry.state, State::Leased(_))
        );
        let queued = core.queue.iter().filter(|(_, queued)| *queued == ix);
        let queued: BTreeSet<SweepIx> = queued.map(|(sweep, _)| sweep).collect();
        let free = |sweep: &SweepIx| core.sweeps[*sweep].held.is_none();
        let may_run = match entry.state {
            State::Ready => entry.wanted_by().filter(free).collect(),
            _ => BTreeSet::new(),
        };
        assert_eq!(queued, may_run);
        if let State::Waiting { missing } = entry.state {
            let done = |input: &&Input| {
                let parent = core.tasks.get(&input.task).unwrap();
                matches!(parent.state, State::Done { .. })
            };
            let inputs = entry.task.inputs.iter();
            let open = inputs.filter(|input| !done(input));
            assert_eq!(open.count(), missing as usize);
        }
    }
    for (id, sweep) in core.sweeps.iter() {
        let status = core.sweep_status(world.now, id, Rows::All).unwrap();
        let count = |state| status.rows.iter().filter(|r| r.state == state).count() as u64;
        assert_eq!(status.done, count(TaskState::Done));
        assert_eq!(status.failed, count(TaskState::Failed));
        assert_eq!(status.cancelled, count(TaskState::Cancelled));
        assert_eq!(status.running, count(TaskState::Running));
        assert_eq!(sweep.tasks.len(), status.rows.len());
    }
    // A result counts once.
    for fact in &world.facts {
        if let Fact::TaskCommitted { attempt, .. } = fact {
            let first = committed.entry(attempt.task).or_insert(*attempt);
            assert_eq!(first, attempt, "committed twice");
        }
    }
    let committed_facts = world
        .facts
        .iter()
        .filter(|f| matches!(f, Fact::TaskCommitted { .. }));
    assert_eq!(committed_facts.count(), committed.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(actions in prop::collection::vec(action(), 1..120)) {
        let mut world = World::new();
        let mut beliefs = Beliefs::default();
        let mut committed = BTreeMap::new();
        let mut last_number: BTreeMap<TaskKey, u32> = BTreeMap::new();
        let mut snapshot = Vec::new();
        for (at, action) in actions.iter().enumerate() {
            let before = world.facts.len();
            perform(&mut world, &mut beliefs, action);
            check(&world, &mut committed);
            for fact in &world.facts[before..] {
                if let Fact::AttemptStarted { attempt, .. } = fact {
                    let last = last_number.insert(attempt.task, attempt.number);
                    prop_assert!(last.unwrap_or(0) < attempt.number, "number used twice");
                }
            }
            let replayed = Core::recover(CoreSettings::default(), world.facts.clone());
            prop_assert_eq!(durable_view(&replayed), durable_view(&world.core));
            // From a snapshot and what came after it, too.
            let later = world.facts[before..].iter().cloned();
            let resumed = snapshot.iter().cloned().chain(later);
            let resumed: Vec<Fact> = resumed.collect();
            if at > 0 {
                let replayed = Core::recover(CoreSettings::default(), resumed.clone());
                prop_assert_eq!(durable_view(&replayed), durable_view(&world.core));
            }
            snapshot = match at % 5 {
                0 => world.core.saved(),
                _ => resumed,
            };
        }
        // Workers come back, sweeps are let go on, and everything ends.
        for sweep in ["s0", "s1"] {
            world.step(Event::Release(sweep.parse().unwrap()));
            hear(&mut world, &mut beliefs);
        }
        for _ in 0..400 {
            for (index, name) in WORKERS.iter().enumerate() {
                let held = beliefs.held.get(&index).cloned().unwrap_or_default();
                let session = world.hello(name, 2, held);
                beliefs.sessions.insert(index, session);
                hear(&mut world, &mut beliefs);
                for attempt in beliefs.held.get(&index).cloned().unwrap_or_default() {
                    world.commit(name, attempt);
                    hear(&mut world, &mut beliefs);
                }
            }
            world.pass(Duration::from_secs(1));
            hear(&mut world, &mut beliefs);
        }
        for sweep in world.core.cluster_status(world.now).sweeps {
            prop_assert!(sweep.state.is_terminal(), "{sweep:?}");
        }
    }
}
