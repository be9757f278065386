//! What the orchestrator itself costs: real processes, durable state.
//!
//! One JSON line a measure.
//! `cargo bench --workspace --profile dev --bench orchestrator [-- TASKS]`

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

fn ablate(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ablate"));
    command
        .args(args)
        .current_dir(folder)
        .env("ABLATE__WORKER__SCRATCH", folder.join("scratch"))
        .env("ABLATE_LOG", "error")
        .stdin(Stdio::null());
    command
}

fn coordinator(folder: &Path, listen: &str) -> (Process, String) {
    let args = [
        "coordinator",
        "--json",
        "--store",
        "store",
        "--listen",
        listen,
    ];
    let child = ablate(folder, &args).stdout(Stdio::piped()).spawn();
    let mut process = Process(child.expect("a coordinator starts"));
    let stdout = process.0.stdout.take().expect("its output is piped");
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("it says where it is");
    let ready: Value = serde_json::from_str(&line).expect("it says so in JSON");
    (
        process,
        ready["address"].as_str().expect("an address").to_owned(),
    )
}

fn last_json(command: &mut Command) -> Value {
    let output = command.output().expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or(Value::Null)
}

fn sweep(folder: &Path, name: &str, count: usize, sleep_ms: u64) -> String {
    let indices: Vec<String> = (0..count).map(|i| i.to_string()).collect();
    let file = format!("{name}.toml");
    let text = format!(
        "name = \"{name}\"\n[stages.n]\nkind = \"noop\"\nsleep_ms = {sleep_ms}\n\
         [axes]\nindex = [{}]\n",
        indices.join(",")
    );
    std::fs::write(folder.join(&file), text).expect("the sweep file is written");
    file
}

fn print(measure: &str, ours: f64, unit: &str) {
    println!(
        "{}",
        json!({ "measure": measure, "ours": ours, "unit": unit })
    );
}

fn worker(folder: &Path, join: &str) -> Process {
    let worker = ablate(folder, &["worker", "--join", join, "--slots", "2"]).spawn();
    std::thread::sleep(Duration::from_millis(500));
    Process(worker.expect("a worker starts"))
}

fn main() {
    let tasks = std::env::args().filter_map(|a| a.parse().ok()).next();
    throughput(tasks.unwrap_or(20_000));
    takeover();
}

fn throughput(tasks: usize) {
    let folder = tempfile::tempdir().expect("a folder to work in");
    let folder = folder.path();
    let (_coordinator, join) = coordinator(folder, "127.0.0.1:0");
    let _worker = worker(folder, &join);
    let file = sweep(folder, "noops", tasks, 0);
    let started = Instant::now();
    last_json(&mut ablate(
        folder,
        &["submit", &file, "--join", &join, "--json"],
    ));
    print("submit", started.elapsed().as_secs_f64(), "s");
    let last = last_json(&mut ablate(
        folder,
        &["watch", "noops", "--join", &join, "--json"],
    ));
    assert_eq!(last["done"], tasks, "every task is done");
    let rate = tasks as f64 / started.elapsed().as_secs_f64();
    let measure = "no-op tasks, submit to last durable commit, two slots";
    print(measure, rate, "tasks/s");
}

/// From kill -9 of the coordinator to the next lease.
fn takeover() {
    let folder = tempfile::tempdir().expect("a folder to work in");
    let folder = folder.path();
    let (first, join) = coordinator(folder, "127.0.0.1:0");
    let _worker = worker(folder, &join);
    let file = sweep(folder, "naps", 200, 300);
    last_json(&mut ablate(
        folder,
        &["submit", &file, "--join", &join, "--json"],
    ));
    std::thread::sleep(Duration::from_secs(2));
    let leased = |join: &str| {
        let status = &["status", "naps", "--join", join, "--json"];
        let status = last_json(&mut ablate(folder, status));
        let rows = status["sweeps"][0]["rows"].as_array().cloned();
        let rows = rows.unwrap_or_default();
        rows.iter()
            .filter(|row| row["attempt"].as_u64() > Some(0))
            .count()
    };
    let before = leased(&join);
    let killed = Instant::now();
    drop(first);
    let (_second, join) = coordinator(folder, &join);
    let ready = killed.elapsed().as_secs_f64();
    print("kill -9 of the coordinator to ready", ready, "s");
    while leased(&join) <= before {
        assert!(killed.elapsed() < Duration::from_secs(30), "leases go on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let lease = killed.elapsed().as_secs_f64();
    print("kill -9 of the coordinator to the next lease", lease, "s");
}
