//! Large sweeps: what it takes to accept a hundred thousand tasks and a
//! million, to look at them, and to lose the coordinator that has them.
//!
//! One JSON line a measure.
//! `cargo bench --workspace --profile dev --bench big [-- TASKS…]`

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Megabytes of a line of its `/proc` status: `VmHWM` is the most that
    /// was ever resident, `VmRSS` what is now.
    fn memory(&self, line: &str) -> f64 {
        let path = format!("/proc/{}/status", self.0.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let found = status.lines().find_map(|l| l.strip_prefix(line));
        let digits = found.and_then(|l| l.split_whitespace().next());
        let kibibytes = digits.and_then(|d| d.parse::<f64>().ok());
        kibibytes.expect("a process has memory") * 1.024e-3
    }
}

/// `ABLATE_BIN` names another build to measure.
fn ablate(folder: &Path, args: &[&str]) -> Command {
    let built = env!("CARGO_BIN_EXE_ablate").to_owned();
    let mut command = Command::new(std::env::var("ABLATE_BIN").unwrap_or(built));
    command
        .args(args)
        .current_dir(folder)
        .env("ABLATE__WORKER__SCRATCH", folder.join("scratch"))
        .env("ABLATE_LOG", "error")
        .stdin(Stdio::null());
    command
}

fn coordinator(folder: &Path, listen: &str) -> (Process, String) {
    let args = ["--json", "--store", "store", "--listen", listen];
    let args = [&["coordinator"], &args[..]].concat();
    let child = ablate(folder, &args).stdout(Stdio::piped()).spawn();
    let mut process = Process(child.expect("a coordinator starts"));
    let stdout = process.0.stdout.take().expect("its output is piped");
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("it says where it is");
    let ready: Value = serde_json::from_str(&line).expect("it says so in JSON");
    let address = ready["address"].as_str().expect("an address").to_owned();
    (process, address)
}

fn last_json(command: &mut Command) -> Value {
    let output = command.output().expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or(Value::Null)
}

/// Each task has a number of its own, as a list of values.
fn sweep(folder: &Path, count: usize) -> String {
    let indices: Vec<String> = (0..count).map(|i| i.to_string()).collect();
    let text = format!(
        "name = \"big\"\n[stages.n]\nkind = \"noop\"\nsleep_ms = 400\n[axes]\nindex = [{}]\n",
        indices.join(",")
    );
    std::fs::write(folder.join("big.toml"), text).expect("the sweep file is written");
    "big.toml".to_owned()
}

/// What a measure is held to: the figure of HyperQueue 0.26.2, where it has
/// one, and the bar.
fn print(measure: &str, ours: f64, unit: &str, peer: Option<f64>, bar: Option<f64>) {
    let line = json!({
        "measure": measure,
        "ours": ours,
        "unit": unit,
        "peer": peer.map(|_| "HyperQueue 0.26.2"),
        "peer_value": peer,
        "ratio": peer.map(|peer| ours / peer),
        "bar": bar,
        "met": bar.map(|bar| ours <= bar),
    });
    println!("{line}");
}

fn main() {
    let given = std::env::args().filter_map(|a| a.parse().ok());
    let mut sizes: Vec<usize> = given.collect();
    if sizes.is_empty() {
        sizes = vec![100_000, 1_000_000];
    }
    for tasks in sizes {
        measure(tasks);
    }
}

/// Bars are for these two sizes.
fn bar(tasks: usize, at_100k: f64, at_1m: f64) -> Option<f64> {
    match tasks {
        100_000 => Some(at_100k),
        1_000_000 => Some(at_1m),
        _ => None,
    }
}

fn measure(tasks: usize) {
    let folder = tempfile::tempdir().expect("a folder to work in");
    let folder = folder.path();
    let (first, join) = coordinator(folder, "127.0.0.1:0");
    let file = sweep(folder, tasks);
    let say = |what: &str| format!("{tasks} tasks: {what}");
    let timed = |args: &[&str]| {
        let args = [args, &["--join", &join]].concat();
        let begun = Instant::now();
        let output = ablate(folder, &args).output().expect("the command runs");
        assert!(output.status.success(), "{args:?} fails: {output:?}");
        begun.elapsed().as_secs_f64()
    };
    let peer = |value| (tasks == 100_000).then_some(value);

    let took = timed(&["submit", &file]);
    print(&say("submit"), took, "s", peer(3.1), bar(tasks, 1.0, 10.0));
    let most = first.memory("VmHWM:");
    let what = say("memory of the coordinator, at the most");
    print(&what, most, "MB", peer(58.0), bar(tasks, 120.0, 1000.0));
    let took = timed(&["status"]);
    print(&say("status"), took, "s", None, Some(1.0));
    let took = timed(&["status", "big"]);
    print(&say("status of the sweep"), took, "s", None, Some(1.0));
    let took = timed(&["submit", &file]);
    print(&say("submit again"), took, "s", None, None);
    let took = timed(&["plan", &file]);
    print(&say("plan"), took, "s", None, None);
    let most = first.memory("VmHWM:");
    let what = say("memory of the coordinator after all that, at the most");
    print(&what, most, "MB", None, bar(tasks, 120.0, 1000.0));
    lost(tasks, folder, first, &join);
}

/// From kill -9 of the coordinator to the next lease.
fn lost(tasks: usize, folder: &Path, first: Process, join: &str) {
    let worker = ablate(folder, &["worker", "--join", join, "--slots", "2"]).spawn();
    let _worker = Process(worker.expect("a worker starts"));
    // Leases so far: what runs and what has ended.
    let leased = |join: &str| {
        let status = last_json(&mut ablate(folder, &["status", "--join", join, "--json"]));
        let of = |name: &str| status["sweeps"][0][name].as_u64().unwrap_or_default();
        of("running") + of("done")
    };
    let begun = Instant::now();
    while leased(join) < 6 {
        assert!(begun.elapsed() < Duration::from_secs(60), "tasks run");
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = leased(join);
    drop(first);
    let killed = Instant::now();
    let (second, join) = coordinator(folder, join);
    let served = killed.elapsed().as_secs_f64();
    let say = |what: &str| format!("{tasks} tasks: {what}");
    let what = say("kill -9 of the coordinator to the next one's serving");
    print(&what, served, "s", None, bar(tasks, 1.0, 10.0));
    while leased(&join) <= before + 1 {
        assert!(killed.elapsed() < Duration::from_secs(120), "leases go on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let lease = killed.elapsed().as_secs_f64();
    let what = say("kill -9 of the coordinator to the next lease");
    print(&what, lease, "s", None, bar(tasks, 1.0, 10.0));
    let most = second.memory("VmHWM:");
    let what = say("memory of the coordinator after a restart, at the most");
    print(&what, most, "MB", None, bar(tasks, 120.0, 1000.0));
}
