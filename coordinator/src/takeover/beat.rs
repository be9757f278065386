//! The active coordinator's sign of life.

use std::sync::Arc;
use std::time::Duration;

use ablate_proto::current::Current;
use ablate_proto::layout;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// For the farewell: nobody waits for it longer.
const FAREWELL: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
#[error("saying in the object store where this coordinator is failed: {0}")]
pub struct BeatError(#[from] Error);

/// Writes the object of one epoch, and of no other.
pub(crate) struct Beat {
    store: Arc<dyn ObjectStore>,
    current: Current,
}

impl Beat {
    /// Says for the first time where this coordinator is, and removes what
    /// earlier ones left.
    pub(crate) async fn begin(
        store: Arc<dyn ObjectStore>,
        current: Current,
    ) -> Result<Self, BeatError> {
        let beat = Self { store, current };
        // The epoch is this process's alone, so nothing can be overwritten.
        beat.write().await?;
        if let Err(error) = beat.remove_older().await {
            tracing::warn!(%error, "what earlier coordinators left stays");
        }
        Ok(beat)
    }

    /// Beats until `stop`. What the store does not take is left out: a
    /// standby that misses too many takes over, and rightly so.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Self {
        let every = Duration::from_millis(self.current.every_ms.max(1));
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut missed = 0_u64;
        loop {
            tokio::select! {
                () = stop.cancelled() => return self,
                _ = tick.tick() => {}
            }
            self.current.beat += 1;
            let written = tokio::select! {
                () = stop.cancelled() => return self,
                written = self.write() => written,
            };
            match written {
                Ok(()) => missed = 0,
                Err(error) => {
                    missed += 1;
                    if missed == 1 {
                        tracing::warn!(%error, "the sign of life could not be written; trying on");
                    }
                }
            }
        }
    }

    /// Says that nobody need wait any more. Best effort.
    pub(crate) async fn farewell(mut self) {
        self.current.stopped = true;
        self.current.beat += 1;
        let written = tokio::time::timeout(FAREWELL, self.write()).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!("a standby will take a moment to see that this coordinator has ended");
        }
    }

    async fn write(&self) -> Result<(), Error> {
        let body = match serde_json::to_vec(&self.current) {
            Ok(body) => Bytes::from(body),
            Err(e) => unreachable!("a sign of life serialises: {e}"),
        };
        let path = Path::from(layout::coordinator(self.current.epoch));
        self.store.put(&path, body.into()).await.map(drop)
    }

    async fn remove_older(&self) -> Result<(), Error> {
        let folder = Path::from(layout::COORDINATOR);
        let own = layout::coordinator(self.current.epoch);
        // Names sort as their epochs do; claims of a takeover lie between.
        let older = self
            .store
            .list(Some(&folder))
            .map_ok(|object| object.location)
            .try_filter(move |path| std::future::ready(path.as_ref() < own.as_str()))
            .boxed();
        let removed = self.store.delete_stream(older).try_collect::<Vec<_>>();
        match removed.await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
