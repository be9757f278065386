//! Attempts that are dropped, workers that go, and runners that are killed.

use std::time::Duration;

use ablate_proto::artifact::Manifest;
use ablate_proto::failure::FailureClass;
use ablate_proto::layout;
use ablate_proto::task::Task;
use futures::TryStreamExt;
use nix::sys::signal::kill;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::time::{sleep, timeout};

use super::fake_coordinator::{Coordinator, Peer};
use super::{Worker, is_alive, noop, pid, stage};

#[tokio::test]
async fn dropped_attempts_stop_even_if_their_runner_will_not() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&coordinator, |_| {});
    let (mut peer, _) = coordinator.welcome().await;
    let willing = peer.assign(&stage(1, "progress stopped"), 1).await;
    peer.progress(willing).await;
    let deaf = peer.assign(&stage(2, "progress forever"), 1).await;
    let queued = peer.assign(&stage(3, ""), 1).await;
    let last = peer.assign(&stage(4, ""), 1).await;
    // Until all are ready to run.
    sleep(Duration::from_millis(300)).await;
    peer.drop_attempt(queued).await;
    peer.drop_attempt(willing).await;
    peer.progress(deaf).await;
    peer.drop_attempt(deaf).await;
    assert_eq!(peer.commit().await.0, last);
    let tasks = [willing, deaf, queued].map(|a| layout::manifest(&a.task));
    assert!(worker.keys().await.iter().all(|key| !tasks.contains(key)));
    peer.ack(last).await;
    worker.end().await.unwrap();
}

#[tokio::test]
async fn shutdown_checkpoints_and_hands_back_and_another_resumes() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&coordinator, |_| {});
    let (mut peer, _) = coordinator.welcome().await;
    let training = stage(1, "checkpoint stopped");
    let running = peer.assign(&training, 1).await;
    worker.wait_for("checkpoint-7-").await;
    let queued = peer.assign(&noop(2, ""), 1).await;
    while !peer.beat().await.0.contains(&queued) {}
    worker.shutdown.cancel();
    let mut back = Vec::new();
    for _ in 0..2 {
        let (attempt, failure) = peer.failure().await;
        assert_eq!(failure.class, FailureClass::Preempted);
        back.push(attempt);
    }
    assert!(back.contains(&running) && back.contains(&queued));
    for attempt in back {
        peer.ack(attempt).await;
    }
    // Crosses the farewell.
    let late = peer.assign(&noop(3, ""), 1).await;
    assert_eq!(peer.failure().await.0, late);
    peer.ack(late).await;
    let store = worker.store.clone();
    worker.ended().await.unwrap();
    let second = Worker::start(&coordinator, |_| {});
    for object in store.list(None).try_collect::<Vec<_>>().await.unwrap() {
        let bytes = store.get(&object.location).await.unwrap().bytes().await;
        let put = second.store.put(&object.location, bytes.unwrap().into());
        put.await.unwrap();
    }
    let (mut peer, _) = coordinator.welcome().await;
    let resuming = Task {
        label: "resume".to_owned(),
        ..training
    };
    let resuming = peer.assign(&resuming, 2).await;
    assert_eq!(peer.commit().await.0, resuming);
    peer.ack(resuming).await;
    let manifest = second.manifest(&resuming.task).await.unwrap();
    assert_eq!(manifest.provenance.resumed_from, Some(7));
    let store = second.store.clone();
    second.end().await.unwrap();
    let left: Vec<_> = store.list(None).try_collect().await.unwrap();
    assert!(
        left.iter()
            .all(|o| !o.location.as_ref().contains("checkpoint"))
    );
}

/// Its digest is right, so it is the newest that is intact; what is in it is
/// of no use. It must not be what every later attempt is given.
#[tokio::test]
async fn a_checkpoint_that_a_stage_cannot_use_is_given_to_no_other() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&coordinator, |_| {});
    let (mut peer, _) = coordinator.welcome().await;
    let training = stage(1, "unusable progress forever");
    let key = |step: u64, state: &str| {
        let digest = blake3::hash(state.as_bytes()).to_hex();
        let attempt = ablate_proto::id::AttemptId {
            task: training.key,
            number: 1,
        };
        layout::attempt_file(&attempt, &format!("checkpoint-{step}-{digest}.safetensors"))
    };
    let (older, newer) = (key(7, "state"), key(9, "nonsense"));
    for (key, state) in [(&older, "state"), (&newer, "nonsense")] {
        let key = key.as_str().into();
        let put = worker.store.put(&key, state.into());
        put.await.unwrap();
    }
    let first = peer.assign(&training, 2).await;
    peer.progress(first).await;
    while worker.keys().await.contains(&newer) {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(worker.keys().await.contains(&older));
    peer.drop_attempt(first).await;
    let next = Task {
        label: "resume".to_owned(),
        ..training.clone()
    };
    let next = peer.assign(&next, 3).await;
    assert_eq!(peer.commit().await.0, next);
    peer.ack(next).await;
    let manifest = worker.manifest(&next.task).await.unwrap();
    assert_eq!(manifest.provenance.resumed_from, Some(7));
    worker.end().await.unwrap();
}

/// A worker whose runner is deaf: busy with a job that hears no stop.
async fn deaf(coordinator: &mut Coordinator) -> (Worker, Peer, Manifest) {
    let grace = Duration::from_millis(500);
    let worker = Worker::start(coordinator, |s| s.grace = grace);
    let (mut peer, _) = coordinator.welcome().await;
    let first = peer.assign(&stage(1, ""), 1).await;
    peer.commit().await;
    peer.ack(first).await;
    let manifest = worker.manifest(&first.task).await.unwrap();
    let forever = peer.assign(&noop(2, "progress forever"), 1).await;
    peer.progress(forever).await;
    assert!(is_alive(&manifest));
    (worker, peer, manifest)
}

#[tokio::test]
async fn after_the_grace_period_runners_are_killed() {
    let mut coordinator = Coordinator::start().await;
    let (worker, _peer, manifest) = deaf(&mut coordinator).await;
    let begun = std::time::Instant::now();
    worker.end().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(!is_alive(&manifest));
}

#[tokio::test]
async fn runners_do_not_outlive_a_dropped_agent() {
    let mut coordinator = Coordinator::start().await;
    let (worker, _peer, manifest) = deaf(&mut coordinator).await;
    worker.ended.abort();
    let gone = async {
        while is_alive(&manifest) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), gone).await.expect("gone");
}

#[tokio::test]
async fn a_killed_runner_is_lost_and_replaced() {
    let mut coordinator = Coordinator::start().await;
    let (worker, mut peer, manifest) = deaf(&mut coordinator).await;
    kill(pid(&manifest), nix::sys::signal::Signal::SIGKILL).unwrap();
    let (attempt, failure) = peer.failure().await;
    assert_eq!(failure.class, FailureClass::Lost, "{failure}");
    peer.ack(attempt).await;
    let next = peer.assign(&noop(3, ""), 1).await;
    assert_eq!(peer.commit().await.0, next);
    peer.ack(next).await;
    worker.end().await.unwrap();
}
