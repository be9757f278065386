//! Imported data sets in the store: which there are, and what a name stands
//! for.

use std::collections::BTreeSet;
use std::sync::Arc;

use ablate_proto::dataset::{
    self, DATASET_VERSION, MAX_META_BYTES, MAX_NAMED_BYTES, Meta, Named, Split,
};
use ablate_proto::layout;
use object_store::ObjectStore;

use crate::named::{self, Unread};
use crate::sweep::{Datasets, Known};

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

impl From<Unread> for Error {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Broken { path, why } => Self::Broken { path, why },
            Unread::Store { doing, source } => Self::Store { doing, source },
        }
    }
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
    let Some(bytes) = named::read(store, &path, MAX_NAMED_BYTES).await? else {
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
    let bytes = named::read(store, &path, MAX_META_BYTES).await?;
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
    Ok(named::list(store, layout::DATA_NAMES).await?)
}
