//! What is in the store by its content: imported data sets and their shards,
//! and weights.

use std::path::Path;

use ablate_proto::artifact::FileEntry;
use ablate_proto::dataset::{MAX_META_BYTES, Meta, is_digest};
use ablate_proto::layout;
use bytes::Bytes;

use super::{ArtifactError, Store};
use crate::files::fs;

/// The only file in the folder of a shard.
pub(super) const FILE: &str = "shard.bin";

/// What the data set with this digest is, and the JSON that says so.
///
/// # Errors
/// When it is not in the store, or is another.
pub(crate) async fn dataset_meta(
    store: &Store,
    digest: &str,
) -> Result<(Meta, Bytes), ArtifactError> {
    let key = layout::dataset_meta(digest);
    let found = store.get(&key, MAX_META_BYTES).await?;
    let json = found.ok_or_else(|| ArtifactError::Missing(key.clone()))?;
    let meta = Meta::parse(digest, &json);
    let meta = meta.map_err(|why| ArtifactError::broken(key, why))?;
    Ok((meta, json))
}

/// Downloads the object of a key and digest, of so many bytes if they are
/// known, beside its place below `root`, then moves it there.
pub(super) async fn fetch(
    store: &Store,
    root: &Path,
    home: &Path,
    (key, blake3, bytes): (&str, &str, Option<u64>),
) -> Result<FileEntry, ArtifactError> {
    let local = || ArtifactError::local(format!("filling the cache {}", root.display()));
    let part = root.join(format!(".shard-{blake3}.part"));
    super::cache::remove(&part).await?;
    let files = part.join("files");
    fs::create_dir_all(&files).await.map_err(local())?;
    let arrived = store.download(key, &files.join(FILE), bytes).await;
    let arrived = match arrived {
        Ok(arrived) if arrived.blake3.to_hex().as_str() != blake3 => {
            let why = format!("its content has the blake3 {}", arrived.blake3.to_hex());
            Err(ArtifactError::broken(key, why))
        }
        other => other,
    };
    let arrived = match arrived {
        Ok(arrived) => arrived,
        Err(error) => {
            super::cache::remove(&part).await?;
            return Err(error);
        }
    };
    super::cache::remove(home).await?;
    fs::rename(&part, home).await.map_err(local())?;
    Ok(entry(blake3, arrived.bytes))
}

/// A shard that an earlier worker left.
pub(super) async fn kept(home: &Path, blake3: &str) -> Option<FileEntry> {
    if !is_digest(blake3) {
        return None;
    }
    let file = home.join("files").join(FILE);
    let found = fs::symlink_metadata(file).await.ok()?;
    found.is_file().then(|| entry(blake3, found.len()))
}

fn entry(blake3: &str, bytes: u64) -> FileEntry {
    FileEntry {
        name: FILE.to_owned(),
        bytes,
        blake3: blake3.to_owned(),
    }
}
