//! The log of a task: from its worker while it runs, from the store once it
//! has ended.

use std::sync::Arc;
use std::time::Duration;

use ablate_proto::artifact::Manifest;
use ablate_proto::id::{AttemptId, TaskKey};
use ablate_proto::layout;
use ablate_proto::message::LogPiece;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::{broadcast, mpsc};

use crate::driver::{Command, Handle};
use crate::live::Live;

/// Larger objects are no logs of ours.
const MAX_LOG: u64 = 8 << 20;
const MAX_MANIFEST: u64 = 64 << 20;
/// Pieces that wait for one reader.
const WAITING: usize = 8;
/// A worker that says nothing for so long has nothing to say.
const FIRST_PIECE: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("reading {path} failed: {source}")]
    Store {
        path: String,
        source: object_store::Error,
    },
    #[error("{path} has {bytes} bytes, which no log has")]
    TooLarge { path: String, bytes: u64 },
}

pub(crate) struct Logs {
    pub(crate) driver: Handle,
    pub(crate) live: Arc<Live>,
    pub(crate) store: Arc<dyn ObjectStore>,
}

impl Logs {
    /// The log of an attempt that has ended; `None` if none was kept.
    pub(crate) async fn stored(&self, attempt: AttemptId) -> Result<Option<Bytes>, LogError> {
        let of = |attempt| layout::attempt_file(&attempt, "log.txt");
        if let Some(log) = self.get(of(attempt), MAX_LOG).await? {
            return Ok(Some(log));
        }
        // Its result may be another attempt's.
        let manifest = self
            .get(layout::manifest(&attempt.task), MAX_MANIFEST)
            .await?;
        let manifest = manifest.and_then(|m| serde_json::from_slice::<Manifest>(&m).ok());
        match manifest {
            Some(manifest) => self.get(of(manifest.attempt), MAX_LOG).await,
            None => Ok(None),
        }
    }

    async fn get(&self, path: String, most: u64) -> Result<Option<Bytes>, LogError> {
        let found = match self.store.get(&Path::from(path.as_str())).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(LogError::Store { path, source }),
        };
        let bytes = found.meta.size;
        if bytes > most {
            return Err(LogError::TooLarge { path, bytes });
        }
        let read = found.bytes().await;
        read.map(Some)
            .map_err(|source| LogError::Store { path, source })
    }

    /// Asks the worker of a running task for its log: what there is, and with
    /// `on` what comes, until the attempt ends. `None`: it does not run.
    pub(crate) async fn live(self, task: TaskKey, on: bool) -> Option<mpsc::Receiver<LogPiece>> {
        let ask = |follow| move |reply| Command::FollowLog(task, follow, reply);
        // Listen first, then ask: nothing is missed.
        let (worker, attempt) = self.driver.ask(ask(None)).await.ok()??;
        let pieces = self.live.follow(worker, attempt);
        self.driver.ask(ask(Some(attempt))).await.ok()??;
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(async move { forward(pieces, sender, on).await });
        Some(receiver)
    }
}

/// A slow reader waits here, in its own task.
async fn forward(
    mut pieces: broadcast::Receiver<LogPiece>,
    sender: mpsc::Sender<LogPiece>,
    on: bool,
) {
    let first = tokio::time::timeout(FIRST_PIECE, pieces.recv()).await;
    let mut next = match first {
        Ok(next) => next,
        Err(_) if on => pieces.recv().await,
        Err(_) => return,
    };
    loop {
        match next {
            Ok(piece) => {
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
            // How much was lost shows in where the next piece begins.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
        if !on {
            return;
        }
        next = tokio::select! {
            next = pieces.recv() => next,
            () = sender.closed() => return,
        };
    }
}
