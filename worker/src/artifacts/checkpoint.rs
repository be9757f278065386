//! Checkpoints in the store: `tasks/<key>/<attempt>/checkpoint-<step>-<blake3>.safetensors`.
//!
//! The digest is part of the name, so one object is all there is to a
//! checkpoint, and a torn or flipped one is known when it is read.

use std::path::{Path, PathBuf};

use ablate_proto::id::{AttemptId, TaskKey};
use ablate_proto::layout;

use super::store::digest_file;
use super::{ArtifactError, Store};

/// Checkpoints kept of one attempt.
const KEEP: usize = 2;

/// The checkpoints that one attempt has uploaded.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    attempt: AttemptId,
    /// Object keys, oldest first.
    uploaded: Vec<String>,
}

impl Checkpoints {
    pub(crate) fn new(attempt: AttemptId) -> Self {
        Self {
            attempt,
            uploaded: Vec::new(),
        }
    }

    /// Uploads a checkpoint file, then deletes all but the latest two.
    pub(crate) async fn upload(
        &mut self,
        store: &Store,
        step: u64,
        file: &Path,
    ) -> Result<(), ArtifactError> {
        let digest = digest_file(file).await?;
        let name = format!("checkpoint-{step}-{}.safetensors", digest.blake3.to_hex());
        let key = layout::attempt_file(&self.attempt, &name);
        store.upload(&key, file).await?;
        self.uploaded.retain(|k| *k != key);
        self.uploaded.push(key);
        while self.uploaded.len() > KEEP {
            store.delete(&self.uploaded.remove(0)).await;
        }
        Ok(())
    }
}

/// Step and digest in a checkpoint's file name.
pub(super) fn parse(name: &str) -> Option<(u64, blake3::Hash)> {
    let rest = name.strip_prefix("checkpoint-")?;
    let (step, digest) = rest.strip_suffix(".safetensors")?.split_once('-')?;
    Some((step.parse().ok()?, blake3::Hash::from_hex(digest).ok()?))
}

/// A checkpoint object of a task.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    step: u64,
    attempt: u32,
    key: String,
}

/// What the store has of a task.
#[derive(Debug)]
pub(crate) struct Stored {
    /// A manifest.
    pub(crate) result: bool,
    checkpoints: Vec<Found>,
}

/// Looks, with one request, what the store has of a task.
///
/// # Errors
/// When the store does not answer for as long as it is given patience.
pub(crate) async fn stored(store: &Store, task: &TaskKey) -> Result<Stored, ArtifactError> {
    let objects = store.list(&layout::task_dir(task)).await?;
    let manifest = layout::manifest(task);
    let checkpoints = objects.iter().filter_map(|object| {
        let name = object.location.filename()?;
        let attempt = object.location.parts().nth_back(1)?;
        let (step, _) = parse(name)?;
        Some(Found {
            step,
            attempt: attempt.as_ref().parse().ok()?,
            key: object.location.to_string(),
        })
    });
    Ok(Stored {
        result: (objects.iter()).any(|object| object.location.as_ref() == manifest),
        checkpoints: checkpoints.collect(),
    })
}

/// A checkpoint that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) file: PathBuf,
    /// Where it lies in the store.
    pub(crate) key: String,
}

/// Downloads the newest checkpoint of any attempt that is stored and intact
/// into `folder`, which is made; `None` where there is none.
pub(crate) async fn newest_intact(
    store: &Store,
    stored: Stored,
    folder: &Path,
) -> Result<Option<Fetched>, ArtifactError> {
    let mut found = stored.checkpoints;
    found.sort();
    if !found.is_empty() {
        let doing = format!("creating {}", folder.display());
        let made = crate::files::fs::create_dir_all(folder).await;
        made.map_err(ArtifactError::local(doing))?;
    }
    while let Some(newest) = found.pop() {
        let Some((_, digest)) = newest.key.rsplit('/').next().and_then(parse) else {
            continue;
        };
        let file = folder.join(format!("resume-{}.safetensors", newest.step));
        match store.download(&newest.key, &file, None).await {
            Ok(arrived) if arrived.blake3 == digest => {
                let key = newest.key;
                return Ok(Some(Fetched { file, key }));
            }
            Ok(_) => {
                tracing::warn!(
                    key = newest.key,
                    "a checkpoint is torn; using the one before"
                );
                let doing = format!("removing {}", file.display());
                crate::files::fs::remove_file(&file)
                    .await
                    .map_err(ArtifactError::local(doing))?;
            }
            // Its owner keeps only two, so it may go at any moment.
            Err(ArtifactError::Missing(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Deletes the checkpoints of all attempts: the task has a result. Best
/// effort.
pub(crate) async fn delete_all(store: &Store, task: &TaskKey) {
    match stored(store, task).await {
        Ok(stored) => {
            for checkpoint in stored.checkpoints {
                store.delete(&checkpoint.key).await;
            }
        }
        Err(error) => tracing::debug!(task = %task.short(), %error, "checkpoints stay for gc"),
    }
}
