//! Whether a result that an attempt did not compute itself is in the store.
//!
//! A worker that computed a result has written its manifest a moment ago, and
//! read it back where the answer was lost; looking again would cost a request
//! for every task. One that found the result there says so, and may be wrong
//! or of another opinion of what the store is: that is looked at.

use std::sync::Arc;
use std::time::Duration;

use ablate_proto::failure::Failure;
use ablate_proto::id::{AttemptId, WorkerId};
use ablate_proto::layout;
use ablate_proto::message::Commit;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::Semaphore;

use crate::core::Event;
use crate::driver::{Command, Handle};

/// Looks of one session at the same time; more wait at the worker, which
/// repeats them.
const LOOKS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Results {
    store: Arc<dyn ObjectStore>,
    looks: Arc<Semaphore>,
}

impl Results {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            looks: Arc::new(Semaphore::new(LOOKS)),
        }
    }

    /// Tells the driver of a result that was found in the store, once it is
    /// seen there. Returns at once, unless very many are looked for.
    pub(crate) async fn found(
        &self,
        driver: Handle,
        worker: WorkerId,
        attempt: AttemptId,
        commit: Commit,
    ) {
        let Ok(permit) = self.looks.clone().acquire_owned().await else {
            return;
        };
        let store = self.store.clone();
        tokio::spawn(async move {
            let event = look(&store, worker, attempt, commit).await;
            // A driver that has stopped hears it again from the worker.
            let _ = driver.send(Command::Event(event)).await;
            drop(permit);
        });
    }
}

async fn look(
    store: &Arc<dyn ObjectStore>,
    worker: WorkerId,
    attempt: AttemptId,
    commit: Commit,
) -> Event {
    let path = layout::manifest(&attempt.task);
    let object = Path::from(path.as_str());
    let head = store.head(&object);
    let failure = match tokio::time::timeout(PATIENCE, head).await {
        Ok(Ok(_)) => {
            return Event::Commit {
                worker,
                attempt,
                commit,
            };
        }
        Ok(Err(object_store::Error::NotFound { .. })) => Failure::data(format!(
            "the worker found a result in its store, but {path} is not in the coordinator's: is it \
             the same store?"
        )),
        Ok(Err(error)) => Failure::transient(format!("looking for {path}: {error}")),
        Err(_) => Failure::transient(format!(
            "looking for {path}: no answer within {} s",
            PATIENCE.as_secs()
        )),
    };
    tracing::warn!(%worker, %attempt, %failure, "a result was not taken over");
    Event::Fail {
        worker,
        attempt,
        failure,
    }
}

#[cfg(test)]
mod tests {
    use ablate_proto::capacity::Used;
    use ablate_proto::failure::FailureClass;
    use ablate_proto::id::TaskKey;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn only_what_is_in_the_store_counts() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let worker = WorkerId::generate("w");
        let attempt = AttemptId {
            task: TaskKey::from_bytes([1; 32]),
            number: 2,
        };
        let commit = Commit {
            seconds: 0.0,
            manifest: Some([0; 32]),
            reused: true,
            used: Used::default(),
        };
        let event = look(&store, worker.clone(), attempt, commit.clone()).await;
        let Event::Fail { failure, .. } = event else {
            panic!("{event:?}");
        };
        assert_eq!(failure.class, FailureClass::Data);
        let path = Path::from(layout::manifest(&attempt.task));
        store.put(&path, "{}".into()).await.unwrap();
        let event = look(&store, worker, attempt, commit).await;
        assert!(matches!(event, Event::Commit { .. }), "{event:?}");
    }
}
