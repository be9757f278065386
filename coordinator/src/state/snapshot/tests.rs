use std::time::Duration;

use ablate_proto::stage::NoopSpec;
use ablate_proto::task::Task;
use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::*;
use crate::core::{Core, CoreSettings, Event, Now, Submission};

const FLUSH: Duration = Duration::from_millis(1);

async fn open(store: &Arc<dyn ObjectStore>) -> Result<(State, Vec<Fact>), StateError> {
    State::open(store.clone(), FLUSH).await
}

fn submission(sweep: &str) -> Fact {
    let task = |index| {
        let spec = NoopSpec {
            index,
            ..NoopSpec::default()
        };
        Task::new(format!("n {index}"), spec.into(), 0, vec![])
    };
    let tasks: Vec<Task> = (0..20).map(task).collect();
    Fact::SweepSubmitted(Submission::new(sweep.parse().unwrap(), 20, &tasks))
}

async fn append(state: &mut State, facts: &[Fact]) {
    let written = state.append(facts).await.unwrap();
    written.durable().await.unwrap();
}

fn done(core: &mut Core) -> String {
    let effects = core.step(Now::ZERO, Event::Tick);
    format!("{effects:?} {:?}", core.cluster_status(Now::ZERO))
}

/// A store with facts, a snapshot of them, and facts after it.
async fn stored() -> (Arc<dyn ObjectStore>, Vec<Fact>) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (mut state, _) = open(&store).await.unwrap();
    let before: Vec<Fact> = ["a", "b", "c"].map(submission).to_vec();
    for fact in &before {
        append(&mut state, std::slice::from_ref(fact)).await;
    }
    let core = Core::recover(CoreSettings::default(), before.clone());
    state.snapshot(core.saved()).await.unwrap();
    let after = [Fact::SweepCancelled("b".parse().unwrap())];
    append(&mut state, &after).await;
    state.close().await.unwrap();
    (store, [&before[..], &after[..]].concat())
}

#[tokio::test]
async fn a_snapshot_and_what_came_after_it_are_everything() {
    let (store, facts) = stored().await;
    let (mut state, found) = open(&store).await.unwrap();
    assert!(matches!(found[0], Fact::SavedSweep(_)));
    let mut live = Core::recover(CoreSettings::default(), facts.clone());
    let mut found = Core::recover(CoreSettings::default(), found);
    assert_eq!(done(&mut live), done(&mut found));
    // The facts before it are gone, and a later one stands on it.
    assert!(state.db.get(key(2)).await.unwrap().is_none());
    assert!(state.db.get(key(3)).await.unwrap().is_some());
    state.snapshot(live.saved()).await.unwrap();
    state.close().await.unwrap();
    let (state, found) = open(&store).await.unwrap();
    assert_eq!(state.next, 4);
    let mut found = Core::recover(CoreSettings::default(), found);
    let mut live = Core::recover(CoreSettings::default(), facts);
    assert_eq!(done(&mut live), done(&mut found));
}

#[tokio::test]
async fn an_unfinished_snapshot_is_passed_over() {
    let (store, _) = stored().await;
    let (state, before) = open(&store).await.unwrap();
    let row = codec::encode(&before[..1]);
    let written = put(&state.db, &state.flusher, name(4, "00000000"), &row)
        .await
        .unwrap();
    written.durable().await.unwrap();
    state.close().await.unwrap();
    let (_, after) = open(&store).await.unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_damaged_snapshot_is_refused_unless_the_facts_are_still_there() {
    let (store, _) = stored().await;
    let (mut state, before) = open(&store).await.unwrap();
    // As if killed after the last row, before anything was deleted.
    for (part, row) in [
        ("00000000", &b"?"[..]),
        (WHOLE, br#"{"rows":1,"blake3":""}"#),
    ] {
        let written = put(&state.db, &state.flusher, name(4, part), row)
            .await
            .unwrap();
        written.durable().await.unwrap();
    }
    append(&mut state, &[submission("d")]).await;
    state.close().await.unwrap();
    let (state, after) = open(&store).await.unwrap();
    assert_eq!(before, after[..before.len()]);
    assert_eq!(after.len(), before.len() + 1);
    // Without them, nothing is guessed.
    let deleted = state.db.delete(key(3)).await.unwrap();
    state.written(deleted).durable().await.unwrap();
    state.close().await.unwrap();
    let refused = open(&store).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, StateError::Corrupt { .. }), "{refused}");
    assert!(refused.to_string().contains("nothing was changed"));
}
