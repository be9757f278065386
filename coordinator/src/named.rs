//! Names in the store, and the small objects that say what they stand for.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// Why something could not be read.
pub(crate) enum Unread {
    Broken {
        path: String,
        why: String,
    },
    Store {
        doing: String,
        source: object_store::Error,
    },
}

/// The names of the objects in a folder, sorted.
pub(crate) async fn list(
    store: &Arc<dyn ObjectStore>,
    folder: &str,
) -> Result<Vec<String>, Unread> {
    let listed = store.list(Some(&Path::from(folder)));
    let objects: Vec<_> = listed.try_collect().await.map_err(|source| Unread::Store {
        doing: format!("listing {folder}"),
        source,
    })?;
    let name = |path: &Path| Some(path.filename()?.strip_suffix(".json")?.to_owned());
    let mut names: Vec<String> = objects.iter().filter_map(|o| name(&o.location)).collect();
    names.retain(|name| ablate_proto::dataset::is_name(name));
    names.sort();
    Ok(names)
}

/// An object of at most `limit` bytes; `None` if it is not there.
pub(crate) async fn read(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    limit: u64,
) -> Result<Option<Bytes>, Unread> {
    let fail = |source| Unread::Store {
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
        return Err(Unread::Broken { path, why });
    }
    found.bytes().await.map(Some).map_err(fail)
}
