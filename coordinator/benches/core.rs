//! What the scheduling core costs by itself: 10,000 workers and up to a
//! million tasks, in simulation. One JSON line a measure.
//!
//! `cargo bench --workspace --profile dev --bench core [-- TASKS]`

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ablate_coordinator::core::{Core, CoreSettings, Effect, Event, Fact, Now, Submission};
use ablate_proto::id::{AttemptId, WorkerId};
use ablate_proto::message::{Commit, Hello, ToWorker};
use ablate_proto::stage::NoopSpec;
use ablate_proto::task::{Input, Task};
use serde_json::json;

const WORKERS: usize = 10_000;
const SLOTS: u32 = 4;

fn main() {
    let given = std::env::args().filter_map(|a| a.parse().ok()).next();
    let most: usize = given.unwrap_or(1_000_000);
    let mut few = 0.0;
    for tasks in [most / 100, most / 10, most] {
        let (event, recovery) = simulate(tasks);
        let name = format!("core, {WORKERS} workers, {tasks} tasks");
        print(&format!("{name}: an event"), event, "µs", 20.0);
        if tasks == most / 100 {
            few = event;
        }
        if tasks == most {
            let grown = (event / few) / ((tasks as f64).ln() / (tasks as f64 / 100.0).ln());
            let measure = "core: growth of an event over a hundred times the tasks, ÷ log n";
            print(measure, grown, "", 1.0);
            print(&format!("{name}: recovery"), recovery, "s", 10.0);
        }
    }
}

fn print(measure: &str, ours: f64, unit: &str, bar: f64) {
    let met = ours <= bar;
    let line = json!({ "measure": measure, "ours": ours, "unit": unit, "bar": bar, "met": met });
    println!("{line}");
}

/// A third of the tasks wait for another third; the rest stand alone.
fn tasks(count: usize) -> Vec<Task> {
    let mut tasks: Vec<Task> = Vec::with_capacity(count);
    for index in 0..count {
        let spec = NoopSpec {
            index: index as u64,
            ..NoopSpec::default()
        };
        let parent = (index % 3 == 2).then(|| Input {
            role: "after".to_owned(),
            task: tasks[index - 1].key,
        });
        let label = format!("n index={index}");
        tasks.push(Task::new(
            label,
            spec.into(),
            0,
            parent.into_iter().collect(),
        ));
    }
    tasks
}

struct World {
    core: Core,
    now: Now,
    events: usize,
    spent: Duration,
    facts: Vec<Fact>,
    running: VecDeque<(WorkerId, AttemptId)>,
}

impl World {
    fn step(&mut self, event: Event) {
        let begun = Instant::now();
        let effects = self.core.step(self.now, event);
        self.spent += begun.elapsed();
        self.events += 1;
        for effect in effects {
            match effect {
                Effect::Record(fact) => self.facts.push(fact),
                Effect::Send(worker, ToWorker::Assign { attempt, .. }) => {
                    self.running.push_back((worker, attempt));
                }
                Effect::Send(..) | Effect::StoreOutcome(_) | Effect::ForgetOutcome(_) => {}
            }
        }
    }
}

/// Microseconds an event, and seconds until it is all known again.
fn simulate(count: usize) -> (f64, f64) {
    let mut world = World {
        core: Core::new(CoreSettings::default()),
        now: Now::ZERO,
        events: 0,
        spent: Duration::ZERO,
        facts: Vec::new(),
        running: VecDeque::new(),
    };
    let submission = Submission::new("s".parse().expect("a name"), count as u64, &tasks(count));
    world.step(Event::Submit(submission));
    let accepted = world.spent;
    let workers: Vec<WorkerId> = (0..WORKERS)
        .map(|i| format!("box-{i}").parse().expect("a name"))
        .collect();
    for (session, worker) in workers.iter().enumerate() {
        let hello = Hello {
            worker: worker.clone(),
            build: String::new(),
            slots: SLOTS,
            host: "box".to_owned(),
            device: "cpu".to_owned(),
            commands: false,
            capacity: ablate_proto::capacity::Capacity::default(),
            holding: Vec::new(),
        };
        let session = session as u64;
        world.step(Event::Hello { hello, session });
    }
    let mut beat = 0;
    while let Some((worker, attempt)) = world.running.pop_front() {
        let commit = Commit {
            seconds: 1.0,
            manifest: None,
            reused: false,
            used: ablate_proto::capacity::Used::default(),
        };
        let event = Event::Commit {
            worker,
            attempt,
            commit,
        };
        world.step(event);
        // 40,000 slots and tasks of a second: 25 µs from one end to the next,
        // a heartbeat every 100 µs, a tick every 50 ms.
        world.now += Duration::from_micros(25);
        if world.events.is_multiple_of(4) {
            beat = (beat + 1) % WORKERS;
            let worker = workers[beat].clone();
            world.step(Event::Heartbeat {
                worker,
                holding: Vec::new(),
                draining: false,
            });
        }
        if world.events.is_multiple_of(2_500) {
            world.step(Event::Tick);
        }
    }
    let done = world.core.cluster_status(world.now).sweeps[0].done;
    assert_eq!(done, count as u64, "every task is done");
    // What a recovery folds, without reading it from a store.
    let begun = Instant::now();
    let core = Core::recover(CoreSettings::default(), world.facts);
    assert_eq!(core.task_count(), count);
    let recovery = begun.elapsed().as_secs_f64();
    let spent = (world.spent - accepted).as_secs_f64();
    (1e6 * spent / world.events as f64, recovery)
}
