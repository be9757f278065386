//! What stages read that no task made, on its way to them. What a `dataset`
//! stage needs of an imported data set comes into the cache, and is laid out
//! in a folder of its own; weights come into the cache.

use std::path::{Path, PathBuf};

use ablate_proto::dataset::Meta;
use ablate_proto::failure::Failure;
use ablate_proto::layout;
use ablate_proto::stage::{DatasetSpec, StageSpec};
use futures::{StreamExt, TryStreamExt, stream};

use crate::artifacts::{ArtifactError, Cache, Cached, Store, dataset_meta};
use crate::data::packed;
use crate::files::fs;

const SHARDS_IN_FLIGHT: usize = 4;

/// A data set as a stage finds it; its shards stay in the cache while this
/// is held.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) folder: PathBuf,
    _shards: Vec<Cached>,
}

/// Brings what `spec` needs of its data set, and lays it out in `folder`.
pub(super) async fn fetch(
    store: &Store,
    cache: &Cache,
    spec: &DatasetSpec,
    folder: PathBuf,
) -> Result<Source, Failure> {
    if spec.digest.is_empty() {
        let why = ablate_proto::dataset::how_to_get(&spec.source);
        return Err(Failure::config(format!(
            "when the sweep was planned, {why}"
        )));
    }
    let (meta, json) = dataset_meta(store, &spec.digest).await?;
    let (needed, meta) = {
        // A permutation of all images.
        let spec = spec.clone();
        let choose = move || packed::needed(&spec, &meta).map(|needed| (needed, meta));
        let chosen = crate::files::blocking(choose).await;
        chosen.map_err(|e| Failure::bug(e.to_string()))??
    };
    let doing = |e| Failure::transient(format!("laying out {}: {e}", folder.display()));
    fs::create_dir_all(&folder).await.map_err(doing)?;
    let written = fs::write(packed::meta(&folder), json).await;
    written.map_err(doing)?;
    let fetch = |index| lay_out(store, cache, &meta, index, &folder);
    let shards = stream::iter(needed.into_iter().map(fetch));
    let shards = shards.buffer_unordered(SHARDS_IN_FLIGHT);
    let shards = shards.try_collect().await?;
    Ok(Source {
        folder,
        _shards: shards,
    })
}

/// Brings the weights that `spec` names, if the store had them when the sweep
/// was planned.
pub(super) async fn inception(
    store: &Store,
    cache: &Cache,
    spec: &StageSpec,
) -> Result<Option<Cached>, Failure> {
    let (name, digest) = match spec {
        StageSpec::Evaluate(spec) => (&spec.inception, &spec.inception_digest),
        StageSpec::Features(spec) => (&spec.inception, &spec.inception_digest),
        _ => return Ok(None),
    };
    if digest.is_empty() {
        return Ok(None);
    }
    let key = layout::weights(digest);
    match cache.content(store, &key, digest, None).await {
        Ok(cached) => Ok(Some(cached)),
        Err(error @ ArtifactError::Missing(_)) => Err(Failure::data(format!(
            "the weights `{name}` have gone since the sweep was planned: {error}; import them \
                 again (ablate weights import {name} FILE), or submit the sweep again to go \
                 without"
        ))),
        Err(error) => Err(error.into()),
    }
}

/// Brings a shard, and links it into the folder.
async fn lay_out(
    store: &Store,
    cache: &Cache,
    meta: &Meta,
    index: usize,
    folder: &Path,
) -> Result<Cached, Failure> {
    let shard = &meta.shards[index];
    let cached = cache.shard(store, &shard.blake3, shard.bytes).await?;
    let place = packed::shard(folder, index);
    let link = async {
        let file = std::path::absolute(cached.shard_file())?;
        fs::symlink(file, &place).await
    };
    let linked = link.await;
    linked.map_err(|e| Failure::transient(format!("linking {}: {e}", place.display())))?;
    Ok(cached)
}
