use ablate_proto::id::{AttemptId, TaskKey};
use object_store::memory::InMemory;

use super::*;

const FLUSH: Duration = Duration::from_millis(1);

fn fact(number: u32) -> Fact {
    Fact::AttemptStarted {
        attempt: AttemptId {
            task: TaskKey::from_bytes([1; 32]),
            number,
        },
        worker: "w".parse().unwrap(),
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
