use std::sync::atomic::AtomicU64;

use ablate_proto::id::{AttemptId, TaskKey};
use object_store::memory::InMemory;

use super::*;
use crate::bent_store::{Bend, Bent};

mod damage;

const FLUSH: Duration = Duration::from_millis(1);

fn fact(number: u32) -> Fact {
    Fact::AttemptStarted {
        attempt: AttemptId {
            task: TaskKey::from_bytes([1; 32]),
            number,
        },
        worker: "w".parse().unwrap(),
        grant: ablate_proto::capacity::Grant::default(),
    }
}

#[tokio::test]
async fn facts_come_back_in_order() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (mut state, facts) = State::open(store.clone(), FLUSH).await.unwrap();
    assert_eq!(facts, []);
    for number in 0..40 {
        let batch = [fact(2 * number), fact(2 * number + 1)];
        let written = state.append(&batch).await.unwrap();
        written.durable().await.unwrap();
    }
    drop(state); // As a kill would: no close.
    let (_, facts) = State::open(store, FLUSH).await.unwrap();
    assert_eq!(facts, (0..80).map(fact).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_newer_coordinator_fences_the_older() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (mut old, _) = State::open(store.clone(), FLUSH).await.unwrap();
    let (mut new, _) = State::open(store, FLUSH).await.unwrap();
    let written = new.append(&[fact(1)]).await.unwrap();
    written.durable().await.unwrap();
    let refused = match old.append(&[fact(2)]).await {
        Ok(written) => written.durable().await,
        Err(e) => Err(e),
    };
    assert!(matches!(refused, Err(StateError::Fenced)), "{refused:?}");
}

#[tokio::test]
async fn a_state_of_another_format_is_left_alone() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (state, _) = State::open(store.clone(), FLUSH).await.unwrap();
    let written = state.db.put(VERSION_KEY, "999").await.unwrap();
    state.written(written).durable().await.unwrap();
    state.close().await.unwrap();
    let opened = State::open(store, FLUSH).await.map(|_| ());
    assert!(matches!(opened, Err(StateError::Version { found }) if found == "999"));
}

#[tokio::test]
async fn an_idle_coordinator_notices_that_it_was_fenced_off_and_epochs_rise() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (old, _) = State::open(store.clone(), FLUSH).await.unwrap();
    assert_eq!(old.claim_epoch(0).await.unwrap(), 1);
    let closed = old.closed();
    let (new, _) = State::open(store.clone(), FLUSH).await.unwrap();
    assert_eq!(new.claim_epoch(7).await.unwrap(), 8);
    let closed = tokio::time::timeout(Duration::from_secs(60), closed);
    assert_eq!(closed.await.unwrap(), Closed::Fenced);
    assert!(matches!(old.claim_epoch(0).await, Err(StateError::Fenced)));
    drop(new);
    let (newest, _) = State::open(store, FLUSH).await.unwrap();
    assert_eq!(newest.claim_epoch(0).await.unwrap(), 9);
}

#[tokio::test]
async fn answers_that_something_exists_while_it_does_not_fence_nobody_off() {
    let conflicts = Bend::Conflicts(AtomicU64::new(3));
    let store: Arc<dyn ObjectStore> = Arc::new(Bent::new(conflicts));
    let (mut state, _) = State::open(store.clone(), FLUSH).await.unwrap();
    let written = state.append(&[fact(1)]).await.unwrap();
    written.durable().await.unwrap();
    drop(state);
    let (_, facts) = State::open(store, FLUSH).await.unwrap();
    assert_eq!(facts, [fact(1)]);
}

/// Takes over on machines whose clocks are an hour late, and an hour early.
#[tokio::test]
async fn a_clock_that_is_wrong_does_not_matter() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    for (index, hours) in [0, -1, 1, -1, 0].into_iter().enumerate() {
        let clock = Arc::new(Clock::new(hours * 3_600_000));
        let opened = State::open_unguarded(store.clone(), FLUSH, clock).await;
        let (mut state, facts) = opened.unwrap();
        assert_eq!(facts.len(), index);
        assert_eq!(state.claim_epoch(0).await.unwrap(), index as u64 + 1);
        let number = u32::try_from(index).unwrap();
        let written = state.append(&[fact(number)]).await.unwrap();
        written.durable().await.unwrap();
        if hours > 0 {
            state.close().await.unwrap(); // Otherwise as a kill would: no close.
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_open_at_once_open_or_are_fenced_off() {
    for _ in 0..10 {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let open = |_| tokio::spawn(State::open(store.clone(), Duration::ZERO));
        let opened = futures::future::join_all((0..3).map(open)).await;
        let mut open = 0;
        for opened in opened {
            match opened.unwrap() {
                Ok(_) => open += 1,
                Err(StateError::Fenced) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert!(open > 0);
    }
}
