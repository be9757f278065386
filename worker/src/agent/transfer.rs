//! Checkpoints of a running attempt on their way to the store, behind the
//! runner's back: the newest goes, those it overtakes are left out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ablate_proto::id::AttemptId;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::artifacts::{Checkpoints, Store};
use crate::files::fs;

#[derive(Debug)]
pub(super) struct CheckpointUploads {
    store: Store,
    attempt: AttemptId,
    /// Files that were taken over from the runner.
    folder: PathBuf,
    /// Key of the checkpoint that the attempt was given.
    given: Option<String>,
    /// Started with the first checkpoint.
    uploader: Option<Uploader>,
}

#[derive(Debug)]
struct Uploader {
    newest: watch::Sender<Option<(u64, PathBuf)>>,
    task: AbortOnDropHandle<()>,
}

impl CheckpointUploads {
    pub(super) fn new(
        store: Store,
        attempt: AttemptId,
        folder: PathBuf,
        given: Option<String>,
    ) -> Self {
        Self {
            store,
            attempt,
            folder,
            given,
            uploader: None,
        }
    }

    /// Deletes the checkpoint that the attempt was given: what is in it cannot
    /// be used, and as the newest it would be given to every later attempt.
    pub(super) async fn discard_given(&mut self, why: &str) {
        if let Some(key) = self.given.take() {
            tracing::warn!(key, why, "deleting a checkpoint that cannot be used");
            self.store.delete(&key).await;
        }
    }

    /// Takes the file over from the runner and queues it.
    pub(super) async fn submit(&mut self, step: u64, file: &Path) {
        match take_over(&self.folder, step, file).await {
            Ok(taken) => {
                let uploader = self.uploader.get_or_insert_with(|| {
                    let (newest, waiting) = watch::channel(None);
                    let (store, folder) = (self.store.clone(), self.folder.clone());
                    let task = tokio::spawn(upload(store, self.attempt, folder, waiting));
                    let task = AbortOnDropHandle::new(task);
                    Uploader { newest, task }
                });
                uploader.newest.send_replace(Some((step, taken)));
            }
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "a checkpoint could not be taken");
            }
        }
    }

    pub(super) fn any(&self) -> bool {
        self.uploader.is_some()
    }

    /// Waits until the newest is in the store, for `limit` at most.
    pub(super) async fn finish(self, limit: Duration) {
        if let Some(Uploader { newest, task }) = self.uploader {
            drop(newest);
            if tokio::time::timeout(limit, task).await.is_err() {
                tracing::warn!("the last checkpoint did not reach the store in time");
            }
        }
    }
}

/// Moves the file, so that the runner cannot replace it while it is read.
async fn take_over(folder: &Path, step: u64, file: &Path) -> std::io::Result<PathBuf> {
    fs::create_dir_all(folder).await?;
    let taken = folder.join(format!("{step}.safetensors"));
    if fs::rename(file, &taken).await.is_err() {
        // On another file system, perhaps.
        fs::copy(file, &taken).await?;
        fs::remove_file(file).await?;
    }
    Ok(taken)
}

async fn upload(
    store: Store,
    attempt: AttemptId,
    folder: PathBuf,
    mut waiting: watch::Receiver<Option<(u64, PathBuf)>>,
) {
    let mut checkpoints = Checkpoints::new(attempt);
    while waiting.changed().await.is_ok() {
        let Some((step, file)) = waiting.borrow_and_update().clone() else {
            continue;
        };
        match checkpoints.upload(&store, step, &file).await {
            Ok(()) => tracing::debug!(%attempt, step, "checkpoint stored"),
            Err(error) => tracing::warn!(%attempt, step, %error, "checkpoint not stored"),
        }
        if let Err(error) = remove_up_to(&folder, step).await {
            tracing::debug!(%attempt, %error, "old checkpoints stay on the scratch disk");
        }
    }
}

/// Removes the files of this and earlier steps.
async fn remove_up_to(folder: &Path, step: u64) -> std::io::Result<()> {
    let mut entries = fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        let of = path
            .file_stem()
            .and_then(|s| s.to_str()?.parse::<u64>().ok());
        if of.is_some_and(|of| of <= step) {
            fs::remove_file(path).await?;
        }
    }
    Ok(())
}
