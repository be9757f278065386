//! What the orchestrator itself costs: real processes, durable state.
//!
//! One JSON line a measure; peers run in between, where they are (README.md).
//! `cargo bench --workspace --profile dev --bench orchestrator [-- NAME … TASKS]`
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[path = "measure.rs"]
mod measure;
#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ablate_proto::wire::StatusRequest;
use ablate_proto::wire::sweeps_client::SweepsClient;
use measure::{Bar, cpu, median, peer, print};
use serde_json::{Value, json};
use support::{Process, Site};

/// HyperQueue's no-op tasks a second on a quiet machine of this kind, for
/// runs without it.
const HYPERQUEUE: f64 = 1242.0;
const ROUNDS: usize = 3;

type Measure = fn(usize, &mut Vec<Site>);

const MEASURES: [(&str, Measure); 6] = [
    ("noops", noops),
    ("programs", programs),
    ("start", start),
    ("single", single),
    ("takeover", takeover),
    ("quickstart", quickstart),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let tasks = words.iter().find_map(|word| word.parse().ok());
    let asked = |name: &str| words.iter().any(|word| word == name);
    let all = !MEASURES.iter().any(|(name, _)| asked(name));
    // Removed at the end: a file system may take longer for new files while
    // many have just gone.
    let mut used = Vec::new();
    for (name, measure) in MEASURES {
        if all || asked(name) {
            measure(tasks.unwrap_or(20_000), &mut used);
        }
    }
}

struct Cluster {
    site: Site,
    join: String,
    coordinator: Process,
    worker: Process,
}

impl Cluster {
    fn new(slots: &str) -> Self {
        let site = Site::new();
        let coordinator = site.coordinator("127.0.0.1:0");
        let join = coordinator.address;
        let args = ["worker", "--join", &join, "--slots", slots];
        let args = [&args[..], &["--allow-commands"]].concat();
        let worker = site.spawn(&args, "worker.log");
        let status = ["status", "--join", &join, "--json"];
        while site.json(&status)["workers"][0]["connected"] != true {
            std::thread::sleep(Duration::from_millis(5));
        }
        Self {
            site,
            join,
            coordinator: coordinator.process,
            worker,
        }
    }

    /// Tasks a second, from submission to the last durable commit.
    fn rate(&self, name: &str, stage: &str, count: usize) -> f64 {
        let indices: Vec<String> = (0..count).map(|i| i.to_string()).collect();
        // Of its own, or results of another sweep would be reused.
        let seed: u32 = name.bytes().map(u32::from).sum();
        let text = format!(
            "name = \"{name}\"\nseed = {seed}\n[stages.n]\n{stage}\n[axes]\n\"n.index\" = [{}]\n",
            indices.join(",")
        );
        let file = self.site.write(&format!("{name}.toml"), text);
        let started = Instant::now();
        let args = ["submit", file.to_str().unwrap(), "--join", &self.join];
        assert!(self.site.run(&args).status.success());
        let args = ["wait", name, "--join", &self.join];
        assert!(self.site.run(&args).status.success(), "{name}");
        count as f64 / started.elapsed().as_secs_f64()
    }

    fn end(self, used: &mut Vec<Site>) {
        self.worker.kill();
        self.coordinator.kill();
        used.push(self.site);
    }
}

/// Prints a measure beside each peer that is there, and says which are not.
/// The bar is so many times HyperQueue, in the same run if it is there.
fn beside(
    measure: &str,
    ours: &[f64],
    times: f64,
    peers: &[(&str, &str, usize)],
    found: &[Vec<f64>],
    names: &[Version],
) {
    let ours = median(ours.to_vec());
    let found = found.iter().map(|rates| median(rates.clone()));
    let found: Vec<f64> = found.collect();
    let hyperqueue = peers.iter().position(|(name, ..)| *name == "hyperqueue");
    let hyperqueue = hyperqueue.filter(|at| names[*at].is_ok());
    let bar = times * hyperqueue.map_or(HYPERQUEUE, |at| found[at]);
    for (((name, mode, _), rate), version) in peers.iter().zip(found).zip(names) {
        match version {
            Ok(version) => print(measure, "tasks/s", ours, &Bar::least(version, rate, bar)),
            Err(why) => {
                println!(
                    "{}",
                    json!({ "measure": measure, "peer": name, "mode": mode, "absent": why })
                );
            }
        }
    }
    if hyperqueue.is_none() {
        let peer = "HyperQueue 0.26.2, measured earlier";
        print(measure, "tasks/s", ours, &Bar::least(peer, HYPERQUEUE, bar));
    }
}

/// A peer's version, or why it is not there.
type Version = Result<String, String>;

/// Rounds of ours and of each peer, by turns.
fn rounds(
    mut ours: impl FnMut(usize) -> f64,
    peers: &[(&str, &str, usize)],
) -> (Vec<f64>, Vec<Vec<f64>>, Vec<Version>) {
    let mut rates = Vec::new();
    let mut found = vec![Vec::new(); peers.len()];
    let mut names: Vec<Version> = vec![Err(String::new()); peers.len()];
    for round in 0..ROUNDS {
        rates.push(ours(round));
        for (index, (name, mode, count)) in peers.iter().enumerate() {
            if round > 0 && names[index].is_err() {
                continue;
            }
            names[index] = peer(name, mode, *count).map(|(version, rate)| {
                found[index].push(rate);
                version
            });
        }
    }
    (rates, found, names)
}

fn noops(tasks: usize, used: &mut Vec<Site>) {
    let stage = "kind = \"noop\"";
    let mut costs = Vec::new();
    let peers = [
        ("hyperqueue", "spawn", 2000),
        ("dask", "noop", 2000),
        ("huey", "noop", 2000),
    ];
    let ours = |_| {
        let cluster = Cluster::new("2");
        cluster.rate("warm", stage, 300);
        let before = cpu(cluster.coordinator.id());
        let rate = cluster.rate("noops", stage, tasks);
        let cost = cpu(cluster.coordinator.id()) - before;
        costs.push(cost / tasks as f64 * 1e6);
        cluster.end(used);
        rate
    };
    let (rates, found, names) = rounds(ours, &peers);
    let measure = "no-op tasks, submit to last durable commit, two slots";
    beside(measure, &rates, 10.0, &peers, &found, &names);
    let measure =
        "processor time of the coordinator a no-op task, its submission and writes included";
    let mut bar = Bar::most(25.0);
    (bar.peer, bar.value) = ("HyperQueue 0.26.2, measured earlier".to_owned(), Some(37.0));
    print(measure, "µs", median(costs), &bar);
}

fn programs(_: usize, used: &mut Vec<Site>) {
    const COUNT: usize = 3000;
    let bare = || {
        for _ in 0..COUNT / 2 {
            let mut program = Command::new("/bin/true");
            let status = program.stdin(std::process::Stdio::null()).status();
            assert!(status.unwrap().success());
        }
    };
    let mut bares = Vec::new();
    let peers = [("hyperqueue", "spawn", 2000), ("dask", "spawn", 1000)];
    let stage = "kind = \"command\"\nrun = [\"true\"]\nparams = { index = 0 }";
    let ours = |_| {
        let started = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(bare);
            scope.spawn(bare);
        });
        bares.push(COUNT as f64 / started.elapsed().as_secs_f64());
        let cluster = Cluster::new("2");
        cluster.rate("warm", stage, 200);
        let rate = cluster.rate("programs", &format!("{stage}\ngrace_seconds = 1"), COUNT);
        cluster.end(used);
        rate
    };
    let (rates, found, names) = rounds(ours, &peers);
    let measure = "programs that do nothing as tasks, two slots";
    beside(measure, &rates, 1.0, &peers, &found, &names);
    let bare = median(bares);
    let bar = Bar::least("only started, two threads", bare, bare / 2.0);
    print(measure, "tasks/s", median(rates), &bar);
}

/// From the start of `ablate submit` to the first instruction of its program.
fn start(_: usize, used: &mut Vec<Site>) {
    let cluster = Cluster::new("1");
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        since.as_secs_f64() * 1e3
    };
    let mut took = Vec::new();
    for round in 0..21 {
        let (name, site) = (format!("s{round}"), &cluster.site);
        let mark = site.path().join(format!("mark-{round}"));
        let script = format!("date +%s%N > {0}.new; mv {0}.new {0}", mark.display());
        let text = format!(
            "name = \"{name}\"\n[stages.n]\nkind = \"command\"\nrun = [\"sh\", \"-c\", \"{script}\"]\n"
        );
        let file = site.write(&format!("{name}.toml"), text);
        let started = now();
        let args = ["submit", file.to_str().unwrap(), "--join", &cluster.join];
        assert!(site.run(&args).status.success());
        let begun = Instant::now();
        while !mark.exists() {
            assert!(begun.elapsed() < support::PATIENCE, "it does not start");
            std::thread::sleep(Duration::from_millis(1));
        }
        let nanos: f64 = site.log(&format!("mark-{round}")).trim().parse().unwrap();
        took.push(nanos / 1e6 - started);
        let args = ["wait", &name, "--join", &cluster.join];
        assert!(site.run(&args).status.success());
    }
    let mut bar = Bar::most(15.0);
    (bar.peer, bar.value) = ("HyperQueue 0.26.2, measured earlier".to_owned(), Some(18.0));
    let measure = "submit by command line until the program of its task runs, p50";
    print(measure, "ms", median(took), &bar);
    cluster.end(used);
}

/// A chain of tasks, each of which needs the one before: what a link takes,
/// beside what one durable write of the store takes.
fn single(_: usize, used: &mut Vec<Site>) {
    const LINKS: usize = 500;
    let cluster = Cluster::new("1");
    cluster.rate("warm", "kind = \"noop\"", 10);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let url = format!("http://{}", cluster.join);
    let mut sweeps = runtime.block_on(SweepsClient::connect(url)).unwrap();
    let mut links = Vec::new();
    let mut writes = Vec::new();
    for round in 0..5 {
        let name = format!("c{round}");
        let mut text = format!("name = \"{name}\"\n");
        for i in 0..LINKS {
            let index = round * LINKS + i + 1000;
            text += &format!("[stages.s{i}]\nkind = \"noop\"\nindex = {index}\n");
            if i > 0 {
                text += &format!("inputs = {{ after = \"s{}\" }}\n", i - 1);
            }
        }
        let mut done = || {
            let all = runtime.block_on(sweeps.status(StatusRequest::default()));
            let all = all.unwrap().into_inner().sweeps;
            let one = all.iter().find(|sweep| sweep.sweep == name);
            one.map_or(0, |sweep| sweep.done)
        };
        cluster.site.submit(&cluster.join, &name, &text);
        let (first, started) = (done(), Instant::now());
        assert!(first < LINKS as u64, "too short a chain");
        while done() < LINKS as u64 {
            assert!(started.elapsed() < support::PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(3));
        }
        let took = started.elapsed().as_secs_f64() * 1e3;
        links.push(took / (LINKS as u64 - first) as f64);
        let write = |number| write(cluster.site.path(), number);
        writes.push(median((0..50).map(write).collect()));
    }
    let write = median(writes);
    let mut bar = Bar::most(write + 1.0);
    (bar.peer, bar.value) = ("one durable write of the store".to_owned(), Some(write));
    let measure = "one task at a time, dispatch to durable commit (median of chains' means)";
    print(measure, "ms", median(links), &bar);
    cluster.end(used);
}

/// Milliseconds of a durable creation, as the store does it.
fn write(folder: &Path, number: u32) -> f64 {
    let started = Instant::now();
    let (staged, name) = (format!("w{number}#1"), format!("w{number}"));
    let mut file = std::fs::File::create_new(folder.join(&staged)).unwrap();
    file.write_all(&[7; 600]).unwrap();
    file.sync_all().unwrap();
    std::fs::hard_link(folder.join(&staged), folder.join(&name)).unwrap();
    std::fs::File::open(folder).unwrap().sync_all().unwrap();
    std::fs::remove_file(folder.join(staged)).unwrap();
    let took = started.elapsed().as_secs_f64() * 1e3;
    std::fs::remove_file(folder.join(name)).unwrap();
    took
}

/// From kill -9 of the coordinator to the next lease.
fn takeover(_: usize, used: &mut Vec<Site>) {
    let Cluster {
        site,
        join,
        coordinator,
        worker,
    } = Cluster::new("2");
    site.submit(&join, "naps", &support::sleepers("naps", 200, 300));
    std::thread::sleep(Duration::from_secs(2));
    let leased = || {
        let status = site.json(&["status", "naps", "--join", &join, "--json"]);
        let rows = status["sweeps"][0]["rows"].as_array().cloned();
        let rows = rows.unwrap_or_default();
        let begun = rows.iter().filter(|row| row["attempt"].as_u64() > Some(0));
        begun.count()
    };
    let before = leased();
    let killed = Instant::now();
    coordinator.kill();
    let again = site.coordinator(&join);
    let ready = killed.elapsed().as_secs_f64();
    print(
        "kill -9 of the coordinator to ready",
        "s",
        ready,
        &Bar::most(1.0),
    );
    while leased() <= before {
        assert!(killed.elapsed() < support::PATIENCE, "leases go on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let lease = killed.elapsed().as_secs_f64();
    let measure = "kill -9 of the coordinator to the next lease";
    print(measure, "s", lease, &Bar::most(1.0));
    worker.kill();
    again.process.kill();
    used.push(site);
}

/// The quickstart on one worker, beside the sum of what its stages took.
fn quickstart(_: usize, used: &mut Vec<Site>) {
    let site = Site::new();
    let started = Instant::now();
    let sweep = support::quickstart();
    let args = ["run", &sweep, "--store", "store", "--workers", "1"];
    let mut command = site.command(&args);
    // Its workers are to go with it.
    let run = command.process_group(0).output().unwrap();
    let took = started.elapsed().as_secs_f64();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let tasks = std::fs::read_dir(site.path().join("store/tasks")).unwrap();
    let seconds = tasks.filter_map(|task| {
        let text = std::fs::read(task.ok()?.path().join("manifest.json")).ok()?;
        let manifest: Value = serde_json::from_slice(&text).ok()?;
        manifest["provenance"]["seconds"].as_f64()
    });
    let stages: f64 = seconds.sum();
    let mut bar = Bar::most(stages * 1.02);
    (bar.peer, bar.value) = ("its stages alone".to_owned(), Some(stages));
    let measure = "the quickstart, from nothing to its report, on one worker";
    print(measure, "s", took, &bar);
    used.push(site);
}
