//! What it costs when something dies: real processes, durable state.
//!
//! One JSON line a measure; the peers' values were measured on a quiet
//! machine of the same kind (see README.md).
//! `cargo bench --workspace --profile dev --bench recovery [-- NAME …]`
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Process, Site, sleepers};

/// A peer's figure, and what ours should stay below.
struct Bar {
    peer: &'static str,
    value: f64,
    bar: f64,
}

fn print(measure: &str, unit: &str, ours: f64, bar: &Bar) {
    let line = json!({
        "measure": measure, "unit": unit, "ours": ours, "peer": bar.peer, "peer_value": bar.value,
        "ratio": ours / bar.value, "bar": bar.bar, "met": ours <= bar.bar,
    });
    println!("{line}");
}

const fn hyperqueue(value: f64, bar: f64) -> Bar {
    let peer = "HyperQueue 0.26.2";
    Bar { peer, value, bar }
}

const MEASURES: [(&str, fn()); 7] = [
    ("killed", killed),
    ("frozen", frozen),
    ("node", node_lost),
    ("coordinator", coordinator_killed),
    ("cold", cold_start),
    ("joins", new_worker),
    ("idle", idle),
];

fn main() {
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    for (name, measure) in MEASURES {
        if asked.is_empty() || asked.iter().any(|a| a == name) {
            measure();
        }
    }
}

/// A coordinator with workers `a` and `b`, and a sweep submitted to them.
struct Cluster {
    site: Site,
    join: String,
    coordinator: Process,
    workers: [Process; 2],
}

impl Cluster {
    fn new(slots: &str) -> Self {
        let site = Site::new();
        let coordinator = site.coordinator("127.0.0.1:0");
        let join = coordinator.address;
        let workers = ["a", "b"].map(|name| {
            let args = ["worker", "--join", &join, "--slots", slots];
            site.spawn(&args, &format!("{name}.log"))
        });
        let cluster = Self {
            site,
            join,
            coordinator: coordinator.process,
            workers,
        };
        cluster.until(|all| connected(all) == 2);
        cluster
    }

    fn submit(&self, name: &str, count: u64, sleep_ms: u64) {
        let file = self
            .site
            .write(&format!("{name}.toml"), sleepers(name, count, sleep_ms));
        let file = file.to_str().unwrap();
        self.site
            .json(&["submit", file, "--join", &self.join, "--json"]);
    }

    fn status(&self) -> Value {
        self.site.json(&["status", "--join", &self.join, "--json"])
    }

    fn sweep(&self, name: &str) -> Value {
        let args = ["status", name, "--join", &self.join, "--json"];
        self.site.json(&args)["sweeps"][0].clone()
    }

    fn until(&self, condition: impl Fn(&Value) -> bool) {
        wait(|| condition(&self.status()));
    }

    /// Which of the two runs the only task, by the log in which it is named.
    fn runs_it(&self, name: &str) -> usize {
        wait(|| self.sweep(name)["running"] == 1);
        let worker = self.sweep(name)["rows"][0]["worker"].clone();
        let worker = worker.as_str().unwrap().to_owned();
        usize::from(!self.site.log("a.log").contains(&worker))
    }
}

fn connected(status: &Value) -> usize {
    let workers = status["workers"].as_array().cloned().unwrap_or_default();
    workers.iter().filter(|w| w["connected"] == true).count()
}

fn wait(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < support::PATIENCE, "it takes too long");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn attempts(sweep: &Value) -> Vec<u64> {
    let rows = sweep["rows"].as_array().cloned().unwrap_or_default();
    rows.iter().filter_map(|r| r["attempt"].as_u64()).collect()
}

/// kill -9 of the worker that runs the only task, another being idle.
fn killed() {
    let cluster = Cluster::new("1");
    cluster.submit("nap", 1, 60_000);
    let victim = cluster.runs_it("nap");
    let killed = Instant::now();
    cluster.workers[victim].signal("KILL");
    cluster.until(|all| connected(all) == 1);
    let noticed = killed.elapsed().as_secs_f64() * 1e3;
    wait(|| attempts(&cluster.sweep("nap")) == [2]);
    let elsewhere = killed.elapsed().as_secs_f64();
    let measure = "worker killed -9 until status says so";
    print(measure, "ms", noticed, &hyperqueue(6.0, 50.0));
    let measure = "worker killed -9 until its task is elsewhere";
    print(measure, "s", elsewhere, &hyperqueue(0.006, 1.0));
}

/// SIGSTOP past the lease, then SIGCONT: its commit must be refused.
fn frozen() {
    let cluster = Cluster::new("1");
    cluster.submit("nap", 1, 8_000);
    let victim = cluster.runs_it("nap");
    let stopped = Instant::now();
    cluster.workers[victim].signal("STOP");
    wait(|| attempts(&cluster.sweep("nap")) == [2]);
    let noticed = stopped.elapsed().as_secs_f64();
    cluster.workers[victim].signal("CONT");
    wait(|| cluster.sweep("nap")["state"] == "done");
    let twice = f64::from(u8::from(attempts(&cluster.sweep("nap")) != [2]));
    let measure = "worker frozen until its task is elsewhere";
    print(measure, "s", noticed, &hyperqueue(17.0, 6.5));
    let measure = "worker frozen and thawed: tasks committed twice";
    print(measure, "tasks", twice, &hyperqueue(1.0, 0.0));
}

/// 200 tasks of 0.2 s on two workers of one slot, one of which is killed
/// after 40: against what the other needs for the rest.
fn node_lost() {
    const COUNT: u64 = 200;
    let cluster = Cluster::new("1");
    cluster.submit("nap", COUNT, 200);
    wait(|| cluster.sweep("nap")["done"].as_u64() >= Some(40));
    let done = cluster.sweep("nap")["done"].as_u64().unwrap();
    let killed = Instant::now();
    cluster.workers[0].signal("KILL");
    let wait = ["wait", "nap", "--join", &cluster.join];
    assert!(cluster.site.run(&wait).status.success());
    let ratio = killed.elapsed().as_secs_f64() / ((COUNT - done) as f64 * 0.2);
    let attempts = attempts(&cluster.sweep("nap"));
    assert!(attempts.iter().all(|n| *n <= 2), "a task was lost twice");
    let measure = "200 tasks of 0.2 s, a node lost: time ÷ ideal";
    print(measure, "", ratio, &hyperqueue(1.033, 1.03));
}

fn coordinator_killed() {
    let cluster = Cluster::new("1");
    cluster.submit("nap", 100, 200);
    wait(|| cluster.sweep("nap")["done"].as_u64() >= Some(38));
    let before = cluster.sweep("nap");
    let highest = attempts(&before).iter().filter(|n| **n > 0).count();
    let killed = Instant::now();
    let Cluster {
        site,
        join,
        coordinator,
        workers: _workers,
    } = cluster;
    coordinator.kill();
    let again = site.coordinator(&join);
    let ready = killed.elapsed().as_secs_f64();
    let status = |name: &str| {
        let args = ["status", name, "--join", &join, "--json"];
        site.json(&args)["sweeps"][0].clone()
    };
    let after = status("nap");
    wait(|| attempts(&status("nap")).iter().filter(|n| **n > 0).count() > highest);
    let lease = killed.elapsed().as_secs_f64();
    let done = |s: &Value| s["done"].as_f64().unwrap_or_default();
    wait(|| status("nap")["state"] == "done");
    let redone = attempts(&status("nap")).iter().filter(|n| **n > 1).count();
    drop(again);
    let measure = "coordinator killed -9: finished tasks forgotten";
    let forgotten = (done(&before) - done(&after)).max(0.0);
    print(measure, "tasks", forgotten, &hyperqueue(38.0, 0.0));
    let measure = "coordinator killed -9: tasks done again";
    print(measure, "tasks", redone as f64, &hyperqueue(38.0, 0.0));
    let measure = "coordinator killed -9 until it serves";
    print(measure, "s", ready, &hyperqueue(0.04, 1.0));
    let measure = "coordinator killed -9 until the next lease";
    print(measure, "s", lease, &hyperqueue(f64::INFINITY, 1.0));
}

/// From nothing to the first result.
fn cold_start() {
    let site = Site::new();
    let started = Instant::now();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let _first = site.worker(join, "first");
    let file = site.write("one.toml", sleepers("one", 1, 0));
    site.json(&["submit", file.to_str().unwrap(), "--join", join, "--json"]);
    assert!(site.run(&["wait", "one", "--join", join]).status.success());
    let cold = started.elapsed().as_secs_f64();
    print(
        "cold start to first result",
        "s",
        cold,
        &hyperqueue(0.13, 0.5),
    );
}

/// The first worker is busy for longer than the second takes to come.
fn new_worker() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let _first = site.worker(join, "first");
    let file = site.write("two.toml", sleepers("two", 2, 3_000));
    site.json(&["submit", file.to_str().unwrap(), "--join", join, "--json"]);
    site.wait_for(join, "two", |s| s["running"] == 1);
    let joined = Instant::now();
    let _second = site.worker(join, "second");
    wait(|| {
        let status = site.json(&["status", "two", "--join", join, "--json"]);
        status["sweeps"][0]["running"] == 2
    });
    let measure = "a new worker until its first task";
    let took = joined.elapsed().as_secs_f64() * 1e3;
    print(measure, "ms", took, &hyperqueue(56.0, 200.0));
}

/// Processor time and memory of a coordinator, and of a worker with its
/// runner, that have nothing to do.
fn idle() {
    const SECONDS: u64 = 20;
    let cluster = Cluster::new("1");
    std::thread::sleep(Duration::from_secs(3));
    let agents = [cluster.coordinator.id(), cluster.workers[0].id()];
    let before = agents.map(|id| cpu(&family(id)));
    std::thread::sleep(Duration::from_secs(SECONDS));
    for ((name, id), before) in ["coordinator", "worker"].iter().zip(agents).zip(before) {
        let family = family(id);
        let share = (cpu(&family) - before) / SECONDS as f64 * 100.0;
        let memory: f64 = family.iter().map(|id| resident(*id)).sum();
        let measure = format!("idle {name}: processor");
        print(&measure, "%", share, &hyperqueue(0.05, 0.2));
        let measure = format!("idle {name}: memory");
        print(&measure, "MB", memory, &hyperqueue(14.0, 40.0));
    }
}

/// A process and its children.
fn family(id: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|c| c.parse().ok());
    std::iter::once(id).chain(children).collect()
}

/// Seconds of processor time.
fn cpu(family: &[u32]) -> f64 {
    let one = |id: &u32| -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let after = stat.rsplit(") ").next().unwrap_or_default().to_owned();
        let ticks = after.split_whitespace().skip(11).take(2);
        ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / 100.0
    };
    family.iter().map(one).sum()
}

/// Resident megabytes.
fn resident(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:"));
    let kib = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}
