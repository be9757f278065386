//! What live metrics cost the scheduler: real processes, durable state.
//!
//! One JSON line a measure.
//! `cargo bench --workspace --profile dev --bench streams`
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

#[expect(dead_code, reason = "the orchestrator's use all of it")]
#[path = "measure.rs"]
mod measure;
#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ablate_proto::id::{AttemptId, TaskKey, WorkerId};
use ablate_proto::message::{FromWorker, Hello, MetricPoint, Progress};
use ablate_proto::wire::WorkerMessage;
use ablate_proto::wire::cluster_client::ClusterClient;
use futures::StreamExt as _;
use measure::{Bar, print};
use support::Site;

/// Sessions that send metrics, messages of each a second, points of a message.
const SESSIONS: u8 = 4;
const MESSAGES: u64 = 50;
const POINTS: u64 = 100;

/// Tasks a second, from submission to the last durable commit.
fn rate(site: &Site, join: &str, name: &str, count: usize) -> f64 {
    let indices: Vec<String> = (0..count).map(|i| i.to_string()).collect();
    // Of its own, or results of another sweep would be reused.
    let seed: u32 = name.bytes().map(u32::from).sum();
    let text = format!(
        "name = \"{name}\"\nseed = {seed}\n[stages.n]\nkind = \"noop\"\n[axes]\n\"n.index\" = [{}]\n",
        indices.join(",")
    );
    let file = site.write(&format!("{name}.toml"), text);
    let started = Instant::now();
    for args in [["submit", file.to_str().unwrap()], ["wait", name]] {
        let args = [&args[..], &["--join", join]].concat();
        assert!(site.run(&args).status.success(), "{args:?}");
    }
    count as f64 / started.elapsed().as_secs_f64()
}

fn main() {
    let site = Site::new().with("ABLATE_LOG", "error");
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let args = ["worker", "--join", join, "--slots", "2"];
    let _worker = site.spawn(&args, "worker.log");
    std::thread::sleep(Duration::from_millis(500));
    rate(&site, join, "warm", 500);
    let without = rate(&site, join, "without", 6000);
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
    let with = rate(&site, join, "with", 6000);
    let points = sent.load(Ordering::Relaxed) - before;
    let points = points as f64 / started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let measure = "no-op tasks while others send live metrics, two slots";
    let bar = Bar::least("ours without metrics", without, 0.9 * without);
    print(measure, "tasks/s", with, &bar);
    let measure = "points of live metrics taken meanwhile";
    let bar = Bar {
        more: true,
        ..Bar::most(10_000.0)
    };
    print(measure, "points/s", points, &bar);
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
