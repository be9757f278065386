//! The manifest: written create-if-absent, so that the first result of a task
//! is its only one.
//!
//! A conditional put can succeed and yet be answered with an error, because
//! the client sends it again and meets its own bytes. The body holds the
//! writer's id and a nonce, so reading it back tells whose it is.

use ablate_proto::artifact::{MANIFEST_VERSION, Manifest};
use ablate_proto::id::TaskKey;
use ablate_proto::layout;
use bytes::Bytes;

use super::name::check_file_name;
use super::{ArtifactError, Store};

/// Larger ones are refused unread.
const MAX_BYTES: u64 = 64 << 20;

/// Whose manifest stands after [`publish`].
#[derive(Debug)]
pub(crate) enum Published {
    /// Ours; with the blake3 of its bytes.
    Own([u8; 32]),
    /// Another attempt was first.
    Taken(Box<Manifest>, [u8; 32]),
}

/// The result of a task, if it has one, with the blake3 of its bytes.
///
/// # Errors
/// A manifest that is not of the task, names a file that is not a plain name,
/// or does not parse, is `Broken`.
pub(crate) async fn load(
    store: &Store,
    task: &TaskKey,
) -> Result<Option<(Manifest, [u8; 32])>, ArtifactError> {
    let bytes = store.get(&layout::manifest(task), MAX_BYTES).await?;
    bytes.map(|bytes| parse(task, &bytes)).transpose()
}

/// Publishes a result. `gate` is awaited before every try: it holds a writer
/// back whose lease may have passed on.
///
/// # Errors
/// When the store does not answer for as long as it is given patience, or
/// holds something that is not a manifest of this task.
pub(crate) async fn publish<G, W>(
    store: &Store,
    manifest: &Manifest,
    gate: G,
) -> Result<Published, ArtifactError>
where
    G: Fn() -> W,
    W: Future<Output = ()>,
{
    let task = manifest.task();
    let key = layout::manifest(&task);
    let body = serde_json::to_vec(manifest).map_err(|e| {
        ArtifactError::broken(
            format!("the manifest of {}", manifest.attempt),
            e.to_string(),
        )
    })?;
    let body = Bytes::from(body);
    let mut backoff = store.backoff();
    loop {
        gate().await;
        let Err(source) = store.create(&key, body.clone()).await else {
            return Ok(Published::Own(digest(&body)));
        };
        if let Some(found) = store.get(&key, MAX_BYTES).await? {
            if found == body {
                tracing::debug!(attempt = %manifest.attempt, error = %source, "own manifest recognised");
                return Ok(Published::Own(digest(&body)));
            }
            let (other, digest) = parse(&task, &found)?;
            return Ok(Published::Taken(Box::new(other), digest));
        }
        let error = ArtifactError::Store {
            doing: format!("creating {key}"),
            source,
        };
        match backoff.next().filter(|_| error.is_transient()) {
            Some(wait) => {
                tracing::warn!(attempt = %manifest.attempt, %error, ?wait, "trying the manifest again");
                tokio::time::sleep(wait).await;
            }
            None => return Err(error),
        }
    }
}

/// A planted bug: says that it is stored, and stores it a moment later.
#[cfg(any(test, feature = "simulation"))]
pub(crate) fn publish_later(store: Store, manifest: Manifest) -> [u8; 32] {
    let body = serde_json::to_vec(&manifest).unwrap_or_default();
    let digest = digest(&body);
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        publish(&store, &manifest, || std::future::ready(())).await
    });
    digest
}

fn parse(task: &TaskKey, bytes: &[u8]) -> Result<(Manifest, [u8; 32]), ArtifactError> {
    let broken =
        |why: String| ArtifactError::broken(format!("the manifest of task {}", task.short()), why);
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| broken(e.to_string()))?;
    if manifest.version != MANIFEST_VERSION {
        return Err(broken(format!(
            "its format is {}, this release reads {MANIFEST_VERSION}",
            manifest.version
        )));
    }
    if manifest.task() != *task {
        let other = manifest.task().short();
        return Err(broken(format!("it is of task {other}")));
    }
    let mut names = std::collections::BTreeSet::new();
    for file in &manifest.files {
        check_file_name(&file.name).map_err(|e| broken(e.to_string()))?;
        if !names.insert(&file.name) {
            return Err(broken(format!("it names {:?} twice", file.name)));
        }
    }
    Ok((manifest, digest(bytes)))
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}
