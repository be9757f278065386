//! What live metrics cost the scheduler, and what running a program as a task
//! costs beside starting it by hand: real processes, durable state.
//!
//! One JSON line a measure.
//! `cargo bench --workspace --profile dev --bench streams`

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ablate_proto::id::{AttemptId, TaskKey, WorkerId};
use ablate_proto::message::{FromWorker, Hello, MetricPoint, Progress};
use ablate_proto::wire::WorkerMessage;
use ablate_proto::wire::cluster_client::ClusterClient;
use futures::StreamExt as _;
use serde_json::{Value, json};

/// Sessions that send metrics, messages of each a second, points of a message.
const SESSIONS: u8 = 4;
const MESSAGES: u64 = 50;
const POINTS: u64 = 100;

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

fn coordinator(folder: &Path) -> (Process, String) {
    let args = [
        "coordinator",
        "--json",
        "--store",
        "store",
        "--listen",
        "127.0.0.1:0",
    ];
    let child = ablate(folder, &args).stdout(Stdio::piped()).spawn();
    let mut process = Process(child.expect("a coordinator starts"));
    let stdout = process.0.stdout.take().expect("its output is piped");
    let mut line = String::new();
    let read = BufReader::new(stdout).read_line(&mut line);
    read.expect("it says where it is");
    let ready: Value = serde_json::from_str(&line).expect("it says so in JSON");
    let address = ready["address"].as_str().expect("an address").to_owned();
    (process, address)
}

/// Tasks a second, from submission to the last durable commit.
fn rate(folder: &Path, join: &str, name: &str, stage: &str, count: usize) -> f64 {
    let indices: Vec<String> = (0..count).map(|i| i.to_string()).collect();
    // Of its own, or results of another sweep would be reused.
    let seed: u32 = name.bytes().map(u32::from).sum();
    let text = format!(
        "name = \"{name}\"\nseed = {seed}\n[stages.n]\n{stage}\n[axes]\n\"n.index\" = [{}]\n",
        indices.join(",")
    );
    let file = format!("{name}.toml");
    std::fs::write(folder.join(&file), text).expect("the sweep file is written");
    let started = Instant::now();
    for args in [["submit", &file], ["wait", name]] {
        let ended = ablate(folder, &args)
            .args(["--join", join, "--json"])
            .output();
        let ended = ended.expect("the command runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{args:?}: {said}");
    }
    count as f64 / started.elapsed().as_secs_f64()
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder to work in");
    let folder = folder.path();
    let (_coordinator, join) = coordinator(folder);
    let args = [
        "worker",
        "--join",
        &join,
        "--slots",
        "2",
        "--allow-commands",
    ];
    let _worker = Process(ablate(folder, &args).spawn().expect("a worker starts"));
    std::thread::sleep(Duration::from_millis(500));
    metrics(folder, &join);
    programs(folder, &join);
}

fn metrics(folder: &Path, join: &str) {
    let noop = "kind = \"noop\"";
    rate(folder, join, "warm", noop, 500);
    let without = rate(folder, join, "without", noop, 6000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (stop, sent) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    for number in 0..SESSIONS {
        let (url, stop, sent) = (format!("http://{join}"), stop.clone(), sent.clone());
        runtime.spawn(async move { session(url, number, &stop, &sent).await });
    }
    std::thread::sleep(Duration::from_millis(500));
    let (before, started) = (sent.load(Ordering::Relaxed), Instant::now());
    let with = rate(folder, join, "with", noop, 6000);
    let points = sent.load(Ordering::Relaxed) - before;
    let points = points as f64 / started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    println!(
        "{}",
        json!({
            "measure": "no-op tasks while others send live metrics, two slots",
            "ours": with, "unit": "tasks/s", "without": without, "ratio": with / without,
            "points_per_second": points,
        })
    );
}

/// A worker that takes no tasks, and sends points of one.
async fn session(url: String, number: u8, stop: &AtomicBool, sent: &AtomicU64) {
    let worker = WorkerId::generate("bench");
    let task = TaskKey::from_bytes([number; 32]);
    let attempt = AttemptId { task, number: 1 };
    let hello = Hello {
        worker,
        build: "bench".to_owned(),
        slots: 1,
        host: "bench".to_owned(),
        device: "none".to_owned(),
        commands: false,
        capacity: ablate_proto::capacity::Capacity::default(),
        holding: Vec::new(),
    };
    let (tx, rx) = tokio::sync::mpsc::channel::<FromWorker>(8);
    let outgoing = tokio_stream::wrappers::ReceiverStream::new(rx).map(WorkerMessage::from);
    let mut client = ClusterClient::connect(url).await.expect("a connection");
    let beat = || FromWorker::Heartbeat {
        holding: Vec::new(),
        draining: true,
    };
    tx.send(FromWorker::Hello(hello)).await.expect("a hello");
    tx.send(beat()).await.expect("a heartbeat");
    let session = client.session(outgoing).await.expect("a session");
    let mut answers = session.into_inner();
    tokio::spawn(async move { while let Ok(Some(_)) = answers.message().await {} });
    let mut clock = tokio::time::interval(Duration::from_secs(1).div_f64(MESSAGES as f64));
    for step in 0.. {
        clock.tick().await;
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let point = |i| MetricPoint {
            name: format!("metric_{}", i % 8),
            step: step * POINTS + i,
            value: 0.5,
        };
        let progress = Progress {
            step,
            total: 0,
            points: (0..POINTS).map(point).collect(),
        };
        let beats = step % MESSAGES == 0 && tx.send(beat()).await.is_err();
        if beats
            || tx
                .send(FromWorker::Progress(attempt, progress))
                .await
                .is_err()
        {
            return;
        }
        sent.fetch_add(POINTS, Ordering::Relaxed);
    }
}

fn programs(folder: &Path, join: &str) {
    const COUNT: usize = 3000;
    let bare = || {
        for _ in 0..COUNT / 2 {
            let status = Command::new("/bin/true").stdin(Stdio::null()).status();
            assert!(status.expect("it runs").success());
        }
    };
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(bare);
        scope.spawn(bare);
    });
    let bare = COUNT as f64 / started.elapsed().as_secs_f64();
    let stage = "kind = \"command\"\nrun = [\"true\"]\nparams = { index = 0 }";
    rate(folder, join, "warm-programs", stage, 200);
    let ours = rate(
        folder,
        join,
        "programs",
        &format!("{stage}\ngrace_seconds = 1"),
        COUNT,
    );
    println!(
        "{}",
        json!({
            "measure": "programs that do nothing as tasks, two slots",
            "ours": ours, "unit": "tasks/s", "bare": bare, "ratio": ours / bare,
        })
    );
}
