//! Imported weights in the store: which there are, and what a name stands
//! for.

use std::collections::BTreeSet;
use std::sync::Arc;

use ablate_proto::dataset::{MAX_NAMED_BYTES, is_name};
use ablate_proto::layout;
use ablate_proto::weights::Named;
use object_store::ObjectStore;

use crate::named::{self, Unread};
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

impl From<Unread> for Error {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Broken { path, why } => Self::Broken { path, why },
            Unread::Store { doing, source } => Self::Store { doing, source },
        }
    }
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
    let Some(bytes) = named::read(store, &path, MAX_NAMED_BYTES).await? else {
        return Ok(None);
    };
    let broken = |why: String| Error::Broken {
        path: path.clone(),
        why,
    };
    Named::parse(&bytes).map(Some).map_err(broken)
}

/// The names that weights have, sorted.
///
/// # Errors
/// The store does not answer.
pub async fn names(store: &Arc<dyn ObjectStore>) -> Result<Vec<String>, Error> {
    Ok(named::list(store, layout::WEIGHTS_NAMES).await?)
}
