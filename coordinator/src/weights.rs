//! Imported weights in the store: which there are, and what a name stands
//! for.

use std::collections::BTreeSet;
use std::sync::Arc;

use ablate_proto::dataset::is_name;
use ablate_proto::layout;
use ablate_proto::weights::{MAX_NAMED_BYTES, Named};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::sweep::Weights;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} cannot be used: {why}; import the weights again with --replace")]
    Broken { path: String, why: String },
    #[error("{doing} failed: {source}")]
    Store {
        doing: String,
        source: object_store::Error,
    },
}

/// The digests that these names stand for; a name that nothing is called by
/// is left out.
///
/// # Errors
/// What is there cannot be read.
pub async fn find_all(
    store: &Arc<dyn ObjectStore>,
    names: &BTreeSet<String>,
) -> Result<Weights, Error> {
    let mut found = Weights::new();
    for name in names {
        if let Some(named) = find(store, name).await? {
            found.insert(name.clone(), named.digest);
        }
    }
    Ok(found)
}

/// What a name stands for; `None` if nothing is called so.
///
/// # Errors
/// As [`find_all`].
pub async fn find(store: &Arc<dyn ObjectStore>, name: &str) -> Result<Option<Named>, Error> {
    if !is_name(name) {
        return Ok(None);
    }
    let path = layout::weights_name(name);
    let fail = |source| Error::Store {
        doing: format!("reading {path}"),
        source,
    };
    let broken = |why: String| Error::Broken {
        path: path.clone(),
        why,
    };
    let found = match store.get(&Path::from(path.as_str())).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        found => found.map_err(fail)?,
    };
    if found.meta.size > MAX_NAMED_BYTES {
        return Err(broken(format!("it has {} bytes", found.meta.size)));
    }
    let bytes = found.bytes().await.map_err(fail)?;
    Named::parse(&bytes).map(Some).map_err(broken)
}

/// The names that weights have, sorted.
///
/// # Errors
/// The store does not answer.
pub async fn names(store: &Arc<dyn ObjectStore>) -> Result<Vec<String>, Error> {
    let listed = store.list(Some(&Path::from(layout::WEIGHTS_NAMES)));
    let objects: Vec<_> = listed.try_collect().await.map_err(|source| Error::Store {
        doing: format!("listing {}", layout::WEIGHTS_NAMES),
        source,
    })?;
    let name = |path: &Path| Some(path.filename()?.strip_suffix(".json")?.to_owned());
    let mut names: Vec<String> = objects.iter().filter_map(|o| name(&o.location)).collect();
    names.retain(|name| is_name(name));
    names.sort();
    Ok(names)
}
