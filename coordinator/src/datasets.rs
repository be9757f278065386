//! Imported data sets in the store: which there are, and what a name stands
//! for.

use std::collections::BTreeSet;
use std::sync::Arc;

use ablate_proto::dataset::{self, DATASET_VERSION, MAX_META_BYTES, Meta, Named, Split};
use ablate_proto::layout;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::sweep::{Datasets, Known};

/// Largest object that says what a name stands for.
const MAX_NAMED_BYTES: u64 = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}", dataset::how_to_get(.0))]
    Missing(String),
    #[error("{path} cannot be used: {why}; import the data set again with --replace")]
    Broken { path: String, why: String },
    #[error("{doing} failed: {source}")]
    Store {
        doing: String,
        source: object_store::Error,
    },
}

/// What these names stand for.
///
/// # Errors
/// A data set is not there, or what is there cannot be read.
pub async fn find_all(
    store: &Arc<dyn ObjectStore>,
    names: &BTreeSet<String>,
) -> Result<Datasets, Error> {
    let mut found = Datasets::new();
    for name in names {
        let meta = find(store, name).await?;
        let meta = meta.ok_or_else(|| Error::Missing(name.clone()))?;
        let known = Known {
            train: meta.description.images(Split::Train),
            test: meta.description.images(Split::Test),
            digest: meta.digest,
        };
        found.insert(name.clone(), known);
    }
    Ok(found)
}

/// The data set of this name; `None` if no data set is called so.
///
/// # Errors
/// As [`find_all`].
pub async fn find(store: &Arc<dyn ObjectStore>, name: &str) -> Result<Option<Meta>, Error> {
    match digest(store, name).await? {
        None => Ok(None),
        Some(digest) => load(store, &digest).await.map(Some),
    }
}

/// The digest that a name stands for.
///
/// # Errors
/// What is there cannot be read.
pub async fn digest(store: &Arc<dyn ObjectStore>, name: &str) -> Result<Option<String>, Error> {
    if !dataset::is_name(name) {
        return Ok(None);
    }
    let path = layout::dataset_name(name);
    let Some(bytes) = read(store, &path, MAX_NAMED_BYTES).await? else {
        return Ok(None);
    };
    let broken = |why: String| Error::Broken {
        path: path.clone(),
        why,
    };
    let named: Named = serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))?;
    if named.version != DATASET_VERSION {
        let version = named.version;
        return Err(broken(format!("it has format {version}")));
    }
    if !dataset::is_digest(&named.digest) {
        return Err(broken("it names no digest".to_owned()));
    }
    Ok(Some(named.digest))
}

/// What the data set with this digest is.
///
/// # Errors
/// It is not there, or cannot be read.
pub async fn load(store: &Arc<dyn ObjectStore>, digest: &str) -> Result<Meta, Error> {
    let path = layout::dataset_meta(digest);
    let bytes = read(store, &path, MAX_META_BYTES).await?;
    let broken = |why: String| Error::Broken {
        path: path.clone(),
        why,
    };
    let bytes = bytes.ok_or_else(|| broken("it is not there".to_owned()))?;
    Meta::parse(digest, &bytes).map_err(broken)
}

/// The names that data sets have, sorted.
///
/// # Errors
/// The store does not answer.
pub async fn names(store: &Arc<dyn ObjectStore>) -> Result<Vec<String>, Error> {
    let listed = store.list(Some(&Path::from(layout::DATA_NAMES)));
    let objects: Vec<_> = listed.try_collect().await.map_err(|source| Error::Store {
        doing: format!("listing {}", layout::DATA_NAMES),
        source,
    })?;
    let name = |path: &Path| Some(path.filename()?.strip_suffix(".json")?.to_owned());
    let mut names: Vec<String> = objects.iter().filter_map(|o| name(&o.location)).collect();
    names.retain(|name| dataset::is_name(name));
    names.sort();
    Ok(names)
}

async fn read(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    limit: u64,
) -> Result<Option<Bytes>, Error> {
    let fail = |source| Error::Store {
        doing: format!("reading {path}"),
        source,
    };
    let found = match store.get(&Path::from(path)).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        found => found.map_err(fail)?,
    };
    if found.meta.size > limit {
        let why = format!("it has {} bytes", found.meta.size);
        let path = path.to_owned();
        return Err(Error::Broken { path, why });
    }
    found.bytes().await.map(Some).map_err(fail)
}
