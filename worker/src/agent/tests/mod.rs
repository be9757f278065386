//! The agent against a fake coordinator and a fake runner.

mod fake_coordinator;
mod fake_runner;
mod going;
mod lease;

use std::sync::Arc;
use std::time::Duration;

use ablate_proto::artifact::Manifest;
use ablate_proto::failure::FailureClass;
use ablate_proto::id::{AttemptId, TaskKey};
use ablate_proto::layout;
use ablate_proto::message::FromWorker;
use ablate_proto::stage::NoopSpec;
use ablate_proto::task::{Input, Task};
use futures::TryStreamExt;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::fake_coordinator::Coordinator;
use super::{AgentError, OpenStore, WorkerSettings, run};

struct Worker {
    store: Arc<InMemory>,
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), AgentError>>,
    _scratch: TempDir,
}

fn settings(address: &str, scratch: &TempDir) -> WorkerSettings {
    WorkerSettings {
        join: address.to_owned(),
        scratch: scratch.path().to_owned(),
        runner: fake_runner::command(),
        grace: Duration::from_secs(15),
        threads_per_slot: 1,
        ..WorkerSettings::default()
    }
}

impl Worker {
    fn start(coordinator: &Coordinator, change: impl FnOnce(&mut WorkerSettings)) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut settings = settings(&coordinator.address, &scratch);
        change(&mut settings);
        let store = Arc::new(InMemory::new());
        let opened = store.clone();
        let open: OpenStore = Arc::new(move |url| {
            assert_eq!(url, "memory://");
            Ok(opened.clone() as Arc<dyn ObjectStore>)
        });
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(run(settings, open, shutdown.clone()));
        Self {
            store,
            shutdown,
            ended,
            _scratch: scratch,
        }
    }

    async fn end(self) -> Result<(), AgentError> {
        self.shutdown.cancel();
        self.ended().await
    }

    async fn ended(self) -> Result<(), AgentError> {
        let ended = timeout(Duration::from_secs(20), self.ended);
        ended.await.expect("the worker ends").unwrap()
    }

    async fn read(&self, key: &str) -> Option<String> {
        let found = self.store.get(&key.into()).await.ok()?;
        let bytes = found.bytes().await.unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn manifest(&self, task: &TaskKey) -> Option<Manifest> {
        let text = self.read(&layout::manifest(task)).await?;
        Some(serde_json::from_str(&text).unwrap())
    }

    /// Waits for an object with `part` in its key.
    async fn wait_for(&self, part: &str) {
        let there = async {
            while !self.keys().await.iter().any(|key| key.contains(part)) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = timeout(Duration::from_secs(20), there);
        waited.await.expect("the object in time");
    }

    async fn keys(&self) -> Vec<String> {
        let all: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        all.iter().map(|o| o.location.to_string()).collect()
    }
}

fn noop(index: u64, label: &str) -> Task {
    task(index, label, false, 0)
}

fn stage(index: u64, label: &str) -> Task {
    task(index, label, true, 0)
}

fn task(index: u64, label: &str, artifact: bool, sleep_ms: u64) -> Task {
    let spec = NoopSpec {
        index,
        artifact,
        sleep_ms,
        ..NoopSpec::default()
    };
    Task::new(label.to_owned(), spec.into(), 0, vec![])
}

fn pid(manifest: &Manifest) -> Pid {
    let pid = manifest.metric("pid").unwrap().value.unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "process ids are small")]
    Pid::from_raw(pid as i32)
}

fn is_alive(manifest: &Manifest) -> bool {
    kill(pid(manifest), None).is_ok()
}

#[tokio::test]
async fn results_are_stored_committed_and_reused() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&coordinator, |_| {});
    let (mut peer, hello) = coordinator.welcome().await;
    assert_eq!((hello.slots, hello.device.as_str()), (1, "fake"));
    let parent = stage(1, "log noise");
    let first = peer.assign(&parent, 1).await;
    let (attempt, commit) = peer.commit().await;
    assert_eq!(attempt, first);
    assert_eq!((commit.seconds, commit.reused), (0.25, false));
    let manifest = worker.manifest(&parent.key).await.unwrap();
    let bytes = worker.read(&layout::manifest(&parent.key)).await.unwrap();
    let digest = *blake3::hash(bytes.as_bytes()).as_bytes();
    assert_eq!(commit.manifest, Some(digest));
    let (files, provenance) = (&manifest.files, &manifest.provenance);
    assert_eq!(files[0].name, "result");
    assert_eq!(
        (provenance.device.as_str(), provenance.threads),
        ("fake", 3)
    );
    let stored = worker.read(&layout::attempt_file(&first, "result")).await;
    assert_eq!(stored.unwrap(), "result of log noise");
    peer.ack(first).await;
    let again = peer.assign(&parent, 2).await;
    let (attempt, commit) = peer.commit().await;
    assert_eq!(attempt, again);
    assert!(commit.reused && commit.manifest == Some(digest));
    let spec = NoopSpec {
        artifact: true,
        ..NoopSpec::default()
    };
    let input = Input {
        role: "after".to_owned(),
        task: parent.key,
    };
    let child = Task::new("parent".to_owned(), spec.into(), 0, vec![input]);
    let child = peer.assign(&child, 1).await;
    assert_eq!(peer.commit().await.0, child);
    for attempt in [again, child] {
        peer.ack(attempt).await;
    }
    let log = layout::attempt_file(&first, "log.txt");
    worker.wait_for(&log).await;
    let log = worker.read(&log).await.unwrap();
    assert!(
        log.contains("a line of the log") && log.contains("a library printed"),
        "{log}"
    );
    assert!(is_alive(&manifest));
    worker.end().await.unwrap();
    assert!(!is_alive(&manifest));
}

#[tokio::test]
async fn noops_flow_and_leave_nothing() {
    const COUNT: u64 = 2000;
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&coordinator, |s| s.slots = 2);
    let (mut peer, _) = coordinator.welcome().await;
    let begun = std::time::Instant::now();
    for index in 0..COUNT {
        peer.assign(&noop(index, ""), 1).await;
    }
    for _ in 0..COUNT {
        let (attempt, commit) = peer.commit().await;
        assert!(commit.manifest.is_none() && !commit.reused);
        peer.ack(attempt).await;
    }
    eprintln!("{COUNT} no-ops in {:?}", begun.elapsed());
    assert!(worker.keys().await.is_empty());
    worker.end().await.unwrap();
}

#[tokio::test]
async fn reports_are_sent_again_until_acknowledged() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&coordinator, |_| {});
    let (mut peer, _) = coordinator.welcome().await;
    let acked = peer.assign(&noop(1, ""), 1).await;
    peer.commit().await;
    peer.ack(acked).await;
    let unacked = peer.assign(&stage(2, ""), 1).await;
    peer.commit().await;
    let running = peer.assign(&task(3, "", true, 700), 1).await;
    while !peer.beat().await.0.contains(&running) {}
    drop(peer);
    // Away for longer than the task takes.
    let (peer, hello) = coordinator.session().await;
    drop(peer);
    let expect = |mut ids: Vec<AttemptId>| {
        ids.sort();
        let mut both = vec![unacked, running];
        both.sort();
        assert_eq!(ids, both);
    };
    expect(hello.holding);
    sleep(Duration::from_secs(1)).await;
    let (mut peer, hello) = coordinator.welcome().await;
    expect(hello.holding);
    let mut commits = vec![peer.commit().await.0, peer.commit().await.0];
    for attempt in &commits {
        peer.ack(*attempt).await;
    }
    commits.sort();
    expect(commits);
    while !peer.beat().await.0.is_empty() {}
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_crash_costs_one_task_and_says_why() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&coordinator, |_| {});
    let (mut peer, _) = coordinator.welcome().await;
    for (index, label, how) in [
        (1, "log crash", "exit code 3"),
        (2, "log abort", "SIGABRT"),
        (3, "garbage", "protocol"),
    ] {
        let crashing = peer.assign(&stage(index, label), 1).await;
        let (attempt, failure) = peer.failure().await;
        assert_eq!((attempt, failure.class), (crashing, FailureClass::Bug));
        assert!(failure.cause.contains(how), "{failure}");
        if label.contains("log") {
            assert!(failure.cause.contains("a line of the log"), "{failure}");
            let key = layout::attempt_file(&attempt, "log.txt");
            worker.wait_for(&key).await;
        }
        peer.ack(attempt).await;
        let sound = peer.assign(&noop(100 + index, ""), 1).await;
        assert_eq!(peer.commit().await.0, sound);
        peer.ack(sound).await;
    }
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_runner_without_progress_is_killed_and_another_takes_its_slot() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&coordinator, |s| s.hang = Duration::from_millis(300));
    let (mut peer, _) = coordinator.welcome().await;
    let hanging = peer.assign(&stage(1, "forever"), 1).await;
    let (attempt, failure) = peer.failure().await;
    assert_eq!((attempt, failure.class), (hanging, FailureClass::Hung));
    assert!(failure.cause.contains("no progress for 300ms"), "{failure}");
    peer.ack(attempt).await;
    let sound = peer.assign(&noop(2, ""), 1).await;
    assert_eq!(peer.commit().await.0, sound);
    peer.ack(sound).await;
    worker.end().await.unwrap();
}

#[tokio::test]
async fn missing_inputs_are_the_datas_fault() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&coordinator, |_| {});
    let (mut peer, _) = coordinator.welcome().await;
    let input = Input {
        role: "data".to_owned(),
        task: TaskKey::from_bytes([9; 32]),
    };
    let spec = ablate_proto::stage::DecoderSpec::default();
    let task = Task::new("decoder".to_owned(), spec.into(), 0, vec![input]);
    let attempt = peer.assign(&task, 1).await;
    let (failed, failure) = peer.failure().await;
    assert_eq!((failed, failure.class), (attempt, FailureClass::Data));
    assert!(failure.cause.contains("`data`") && failure.cause.contains("manifest.json"));
    peer.ack(attempt).await;
    worker.end().await.unwrap();
}

#[tokio::test]
async fn progress_is_thinned() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&coordinator, |_| {});
    let (mut peer, _) = coordinator.welcome().await;
    let attempt = peer.assign(&task(1, "progress", false, 500), 1).await;
    let mut messages = 0;
    loop {
        match peer.hear().await.unwrap() {
            FromWorker::Progress(of, progress) => {
                assert_eq!((of, progress.total), (attempt, 500));
                messages += 1;
            }
            FromWorker::Commit(..) => break,
            FromWorker::Hello(_) | FromWorker::Heartbeat { .. } | FromWorker::Log(..) => {}
            FromWorker::Fail(_, failure) => panic!("{failure}"),
        }
    }
    assert!((1..=5).contains(&messages), "{messages} messages");
    peer.ack(attempt).await;
    worker.end().await.unwrap();
}

#[tokio::test]
async fn a_worker_without_work_goes_when_told_to() {
    let mut coordinator = Coordinator::start().await;
    let idle = Duration::from_millis(300);
    let worker = Worker::start(&coordinator, |s| s.idle_exit = Some(idle));
    let (mut peer, _) = coordinator.welcome().await;
    while !peer.beat().await.1 {}
    worker.ended().await.unwrap();
}

#[tokio::test]
async fn refusals_and_silence_end_in_sentences() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&coordinator, |_| {});
    let (peer, _) = coordinator.session().await;
    let status = tonic::Status::permission_denied("the token has expired");
    peer.refuse(status).await;
    let error = worker.ended().await.unwrap_err().to_string();
    assert!(
        error.contains("refused") && error.contains("token"),
        "{error}"
    );

    let nobody = Worker::start(&coordinator, |s| {
        s.join = "127.0.0.1:1".to_owned();
        s.connect_timeout = Duration::from_millis(300);
    });
    let error = nobody.ended().await.unwrap_err().to_string();
    assert!(
        error.contains("127.0.0.1:1") && error.contains("--join"),
        "{error}"
    );

    let broken = Worker::start(&coordinator, |s| {
        s.runner = vec![
            "/bin/sh".into(),
            "-c".into(),
            "echo gone >&2; exit 9".into(),
        ];
    });
    let error = broken.ended().await.unwrap_err().to_string();
    assert!(
        error.contains("exit code 9") && error.contains("gone"),
        "{error}"
    );
}

#[tokio::test]
async fn a_scratch_folder_is_one_workers_alone() {
    let mut coordinator = Coordinator::start().await;
    let shared = tempfile::tempdir().unwrap();
    let first = Worker::start(&coordinator, |s| s.scratch = shared.path().to_owned());
    let (_peer, _) = coordinator.welcome().await;
    let second = Worker::start(&coordinator, |s| s.scratch = shared.path().to_owned());
    let error = second.ended().await.unwrap_err().to_string();
    assert!(error.contains("another worker"), "{error}");
    first.end().await.unwrap();
}
