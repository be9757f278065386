//! What the scheduling core costs by itself: 10,000 workers and up to a
//! million tasks, in simulation. One JSON line a measure.
//!
//! `cargo bench --workspace --profile dev --bench core [-- TASKS --plot=FILE.svg]`

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ablate_coordinator::core::{Core, CoreSettings, Effect, Event, Fact, Now, Submission};
use ablate_proto::id::{AttemptId, WorkerId};
use ablate_proto::message::{Commit, Hello, ToWorker};
use ablate_proto::stage::NoopSpec;
use ablate_proto::task::{Input, Task};
use plotters::prelude::*;
use serde_json::{Value, json};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WORKERS: usize = 10_000;
const SLOTS: u32 = 4;
/// Short runs differ by half.
const SMALL_RUNS: usize = 5;

fn main() {
    // As in the program: no large pages.
    let _ = nix::sys::prctl::set_thp_disable(true);
    let given = std::env::args().filter_map(|a| a.parse().ok()).next();
    let most: usize = given.unwrap_or(1_000_000);
    let mut events = Vec::new();
    for tasks in [most / 100, most / 10, most] {
        let run = typical(tasks, if tasks < most { SMALL_RUNS } else { 1 });
        let name = format!("core, {WORKERS} workers, {tasks} tasks");
        print(&format!("{name}: an event"), run.event, "µs", Some(20.0));
        for (kind, micros) in &run.of_kinds {
            print(&format!("{name}: {kind}"), *micros, "µs", None);
        }
        print(&format!("{name}: accepted"), run.accepted, "s", None);
        print(&format!("{name}: recovery"), run.recovery, "s", Some(10.0));
        events.push((tasks, run.event));
    }
    let [(few, first), .., (many, last)] = events[..] else {
        unreachable!("there are three sizes");
    };
    let grown = (last / first) / ((many as f64).ln() / (few as f64).ln());
    let measure = "core: growth of an event over a hundred times the tasks, ÷ that of log n";
    print(measure, grown, "", Some(1.0));
    if let Some(path) = std::env::args().find_map(|a| a.strip_prefix("--plot=").map(PathBuf::from))
    {
        plot(&path, &events).expect("the plot is written");
    }
}

/// Nobody else's core can be driven without its network: there is no peer.
fn print(measure: &str, ours: f64, unit: &str, bar: Option<f64>) {
    let none = Value::Null;
    let line = json!({
        "measure": measure,
        "ours": ours,
        "unit": unit,
        "peer": none,
        "peer_value": none,
        "ratio": none,
        "bar": bar,
        "met": bar.map(|bar| ours <= bar),
    });
    println!("{line}");
}

/// Microseconds an event over tasks, beside the bar and what grows as log n.
fn plot(path: &Path, events: &[(usize, f64)]) -> Result<(), Box<dyn std::error::Error>> {
    let at = |(tasks, micros): &(usize, f64)| (*tasks as f64, *micros);
    let points: Vec<(f64, f64)> = events.iter().map(at).collect();
    let (first, last) = (points[0], points[points.len() - 1]);
    let area = SVGBackend::new(path, (640, 360)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d((first.0..last.0 * 1.2).log_scale(), 0.0..24.0)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_desc("tasks")
        .y_desc("µs an event")
        .x_label_formatter(&|tasks| format!("{tasks:.0}"))
        .draw()?;
    let bar = [(first.0, 20.0), (last.0 * 1.2, 20.0)];
    chart.draw_series(LineSeries::new(bar, RED))?;
    let grows = |x: f64| (x, first.1 * x.ln() / first.0.ln());
    let steps = (0..=20).map(|i| grows(first.0 * (last.0 / first.0).powf(f64::from(i) / 20.0)));
    chart.draw_series(LineSeries::new(steps, BLACK.mix(0.4)))?;
    chart.draw_series(LineSeries::new(
        points.iter().copied(),
        BLUE.stroke_width(2),
    ))?;
    chart.draw_series(points.iter().map(|p| Circle::new(*p, 4, BLUE.filled())))?;
    let label = |text: &'static str, at: (f64, f64), color: RGBAColor| {
        Text::new(text, at, ("sans-serif", 14).into_font().color(&color))
    };
    chart.draw_series([
        label("bar", (first.0 * 1.05, 21.2), RED.into()),
        label("measured", (last.0 * 0.25, last.1 + 2.5), BLUE.into()),
        label(
            "as log n",
            (last.0 * 0.25, grows(last.0).1 + 1.0),
            BLACK.mix(0.6),
        ),
    ])?;
    area.present()?;
    Ok(())
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
    /// Time spent on each kind of event, and how many there were.
    kinds: BTreeMap<&'static str, (Duration, usize)>,
    facts: Vec<Fact>,
    running: VecDeque<(WorkerId, AttemptId)>,
}

impl World {
    fn step(&mut self, kind: &'static str, event: Event) {
        let begun = Instant::now();
        let effects = self.core.step(self.now, event);
        let took = begun.elapsed();
        self.spent += took;
        self.events += 1;
        let (spent, count) = self.kinds.entry(kind).or_default();
        (*spent, *count) = (*spent + took, *count + 1);
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

struct Run {
    /// Microseconds, but for the submission.
    event: f64,
    of_kinds: Vec<(&'static str, f64)>,
    /// Seconds until all tasks are known, and are known again.
    accepted: f64,
    recovery: f64,
}

/// The one in the middle, by the time of an event, of so many.
fn typical(count: usize, runs: usize) -> Run {
    let mut runs: Vec<Run> = (0..runs).map(|_| simulate(count)).collect();
    runs.sort_by(|a, b| a.event.total_cmp(&b.event));
    runs.swap_remove(runs.len() / 2)
}

fn simulate(count: usize) -> Run {
    let mut world = World {
        core: Core::new(CoreSettings::default()),
        now: Now::ZERO,
        events: 0,
        spent: Duration::ZERO,
        kinds: BTreeMap::new(),
        facts: Vec::new(),
        running: VecDeque::new(),
    };
    let submission = Submission::new("s".parse().expect("a name"), count as u64, &tasks(count));
    world.step("submission", Event::Submit(submission));
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
        world.step("hello", Event::Hello { hello, session });
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
        world.step("commit", event);
        // 40,000 slots and tasks of a second: 25 µs from one end to the next,
        // a heartbeat every 100 µs, a tick every 50 ms.
        world.now += Duration::from_micros(25);
        if world.events.is_multiple_of(4) {
            beat = (beat + 1) % WORKERS;
            let worker = workers[beat].clone();
            world.step(
                "heartbeat",
                Event::Heartbeat {
                    worker,
                    holding: Vec::new(),
                    draining: false,
                },
            );
        }
        if world.events.is_multiple_of(2_500) {
            world.step("tick", Event::Tick);
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
    world.kinds.remove("submission");
    let mean = |(kind, (spent, count)): (&'static str, (Duration, usize))| {
        (kind, 1e6 * spent.as_secs_f64() / count as f64)
    };
    Run {
        event: 1e6 * spent / (world.events - 1) as f64,
        of_kinds: world.kinds.into_iter().map(mean).collect(),
        accepted: accepted.as_secs_f64(),
        recovery,
    }
}
