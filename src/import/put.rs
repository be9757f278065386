//! Into the store: shards as they come, then what they make up, and last the
//! name, so that nobody sees half of a data set.

use std::sync::Arc;

use ablate_coordinator::{datasets, gc};
use ablate_proto::dataset::{DATASET_VERSION, Meta, Named, Shard};
use ablate_proto::layout;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::sync::mpsc;

use super::Error;
use super::pack::Packed;

const SHARDS_IN_FLIGHT: usize = 2;
const LOOKS_IN_FLIGHT: usize = 16;

/// Stores shards under their digests, in order. Those that are there already
/// are not sent again, unless `anew`.
pub(super) async fn shards(
    store: &Arc<dyn ObjectStore>,
    packed: mpsc::Receiver<Packed>,
    anew: bool,
) -> Result<Vec<Shard>, Error> {
    let packed = stream::unfold(packed, |mut packed| async move {
        let next = packed.recv().await?;
        Some((next, packed))
    });
    let stored = packed.map(|packed| shard(store, packed, anew));
    stored.buffered(SHARDS_IN_FLIGHT).try_collect().await
}

async fn shard(store: &Arc<dyn ObjectStore>, packed: Packed, anew: bool) -> Result<Shard, Error> {
    let bytes = packed.bytes.clone();
    let hashed = tokio::task::spawn_blocking(move || blake3::hash(&bytes));
    let blake3 = match hashed.await {
        Ok(hash) => hash.to_hex().to_string(),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    let shard = Shard {
        split: packed.split,
        images: packed.images,
        bytes: packed.bytes.len() as u64,
        blake3,
    };
    if anew || !is_there(store, &shard).await? {
        put(store, layout::dataset_shard(&shard.blake3), packed.bytes).await?;
    }
    Ok(shard)
}

async fn is_there(store: &Arc<dyn ObjectStore>, shard: &Shard) -> Result<bool, Error> {
    let path = layout::dataset_shard(&shard.blake3);
    match store.head(&Path::from(path.as_str())).await {
        Ok(found) => Ok(found.size == shard.bytes),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(source) => Err(failed("looking for", &path)(source)),
    }
}

/// Stores what a data set is, and that it is called so. Returns whether it
/// was called so before.
///
/// # Errors
/// Another data set is called so, or the store does not answer.
pub(super) async fn name(
    store: &Arc<dyn ObjectStore>,
    name: &str,
    meta: &Meta,
    replace: bool,
) -> Result<bool, Error> {
    // With --replace whatever was there goes, even if it cannot be read.
    let before = match datasets::digest(store, name).await {
        Err(datasets::Error::Broken { .. }) if replace => None,
        before => before?,
    };
    let already = before.as_ref() == Some(&meta.digest);
    if let Some(before) = before.filter(|_| !already && !replace) {
        return Err(taken(name, before, meta));
    }
    let whole = already && !replace && datasets::load(store, &meta.digest).await.is_ok();
    if !whole {
        put(store, layout::dataset_meta(&meta.digest), json(meta)).await?;
    }
    let path = Path::from(layout::dataset_name(name));
    if !already {
        create(store, &path, name, meta, replace).await?;
    }
    // A collection that did not see the name is still at it, or has ended.
    gc::quiet(store, &path).await?;
    let looks = stream::iter(meta.shards.iter().map(|shard| is_there(store, shard)));
    let there = looks
        .buffer_unordered(LOOKS_IN_FLIGHT)
        .try_all(std::future::ready);
    if !there.await? || datasets::load(store, &meta.digest).await.is_err() {
        return Err(Error::Collected);
    }
    Ok(already)
}

async fn create(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    name: &str,
    meta: &Meta,
    replace: bool,
) -> Result<(), Error> {
    let named = Named {
        version: DATASET_VERSION,
        name: name.to_owned(),
        digest: meta.digest.clone(),
    };
    let mode = if replace {
        PutMode::Overwrite
    } else {
        PutMode::Create
    };
    let options = PutOptions::from(mode);
    match store.put_opts(path, json(&named).into(), options).await {
        Ok(_) => Ok(()),
        // By another import; or by this one, and the answer was lost.
        Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
            match datasets::digest(store, name).await? {
                Some(digest) if digest == meta.digest => Ok(()),
                Some(digest) => Err(taken(name, digest, meta)),
                None => Err(Error::Collected),
            }
        }
        Err(source) => Err(failed("writing", path.as_ref())(source)),
    }
}

fn taken(name: &str, before: String, meta: &Meta) -> Error {
    Error::Taken {
        name: name.to_owned(),
        before,
        now: meta.digest.clone(),
    }
}

fn json<T: serde::Serialize>(value: &T) -> Bytes {
    match serde_json::to_vec_pretty(value) {
        Ok(json) => json.into(),
        Err(e) => unreachable!("what describes a data set serialises: {e}"),
    }
}

async fn put(store: &Arc<dyn ObjectStore>, path: String, bytes: Bytes) -> Result<(), Error> {
    let key = Path::from(path.as_str());
    let put = store.put(&key, bytes.into()).await;
    put.map(drop).map_err(failed("writing", &path))
}

fn failed(doing: &str, path: &str) -> impl FnOnce(StoreError) -> Error {
    let doing = format!("{doing} {path}");
    move |source| Error::Store { doing, source }
}
