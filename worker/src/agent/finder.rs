//! Looks in the store for the coordinator that serves it now: another may
//! have taken over while the worker was not looking.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ablate_proto::current::Current;
use ablate_proto::layout;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// A look takes no longer; the known address is tried all the same.
const LOOK: Duration = Duration::from_secs(2);
/// Larger objects are not what they should be.
const MAX_BYTES: u64 = 64 << 10;

#[derive(Debug, Clone)]
pub(super) struct Finder {
    store: Arc<dyn ObjectStore>,
    /// Epoch of the coordinator that welcomed this worker last; 0 if unknown.
    served_by: Arc<AtomicU64>,
}

impl Finder {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            served_by: Arc::default(),
        }
    }

    /// Remembers who serves the store now. In the background: a session need
    /// not wait for it.
    pub(super) fn welcomed(&self) {
        let finder = self.clone();
        tokio::spawn(async move {
            if let Some(current) = finder.look().await {
                finder.served_by.store(current.epoch, Ordering::Relaxed);
            }
        });
    }

    /// Where to try in place of the known address: after a takeover, or else
    /// only if `desperate`. The address that the same coordinator publishes
    /// may be one that this machine does not reach.
    pub(super) async fn elsewhere(&self, desperate: bool) -> Option<String> {
        let current = self.look().await?;
        let newer = current.epoch > self.served_by.load(Ordering::Relaxed);
        let there = !current.stopped && !current.address.is_empty();
        ((newer || desperate) && there).then_some(current.address)
    }

    async fn look(&self) -> Option<Current> {
        match tokio::time::timeout(LOOK, self.find()).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the store does not say where its coordinator is");
                None
            }
            Err(_) => None,
        }
    }

    async fn find(&self) -> object_store::Result<Option<Current>> {
        let folder = Path::from(layout::COORDINATOR);
        let objects: Vec<_> = self.store.list(Some(&folder)).try_collect().await?;
        let epochs = objects
            .iter()
            .filter(|object| object.size <= MAX_BYTES)
            .filter_map(|object| layout::epoch(object.location.filename()?));
        let Some(epoch) = epochs.max() else {
            return Ok(None);
        };
        let path = Path::from(layout::coordinator(epoch));
        let bytes = self.store.get(&path).await?.bytes().await?;
        Ok(serde_json::from_slice(&bytes).ok())
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    async fn write(store: &Arc<dyn ObjectStore>, epoch: u64, stopped: bool) {
        let current = Current {
            epoch,
            id: String::new(),
            address: format!("box:{epoch}"),
            beat: 0,
            every_ms: 500,
            stopped,
        };
        let body = serde_json::to_vec(&current).unwrap();
        let path = Path::from(layout::coordinator(epoch));
        store.put(&path, body.into()).await.unwrap();
    }

    #[tokio::test]
    async fn only_another_coordinator_is_somewhere_else() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let finder = Finder::new(store.clone());
        assert_eq!(finder.elsewhere(true).await, None);
        write(&store, 9, false).await;
        assert_eq!(finder.elsewhere(false).await.as_deref(), Some("box:9"));
        finder.served_by.store(9, Ordering::Relaxed);
        assert_eq!(finder.elsewhere(true).await.as_deref(), Some("box:9"));
        assert_eq!(finder.elsewhere(false).await, None);
        write(&store, 8, false).await;
        assert_eq!(finder.elsewhere(false).await, None);
        write(&store, 16, false).await;
        assert_eq!(finder.elsewhere(false).await.as_deref(), Some("box:16"));
        write(&store, 17, true).await;
        assert_eq!(finder.elsewhere(false).await, None);
    }
}
