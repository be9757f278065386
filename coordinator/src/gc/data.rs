//! Imported data sets that no name and no plan names, and shards that are of
//! no data set.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ablate_proto::layout;
use object_store::{ObjectMeta, ObjectStore};

use super::reach::Live;
use super::{Garbage, GcError, Why, list, older};
use crate::datasets;

/// What can go. An import that is under way has young shards, and names them
/// last.
pub(super) async fn garbage(
    store: &Arc<dyn ObjectStore>,
    live: &Live,
    now: SystemTime,
    grace: Duration,
) -> Result<Vec<Garbage>, GcError> {
    let old = older(now, grace);
    let mut wanted = live.datasets.clone();
    for name in datasets::names(store).await? {
        wanted.extend(datasets::digest(store, &name).await?);
    }
    let mut known: BTreeMap<String, Vec<ObjectMeta>> = BTreeMap::new();
    for object in list(store, layout::DATA).await? {
        let folder = object.location.parts().nth(1);
        if let Some(folder) = folder {
            known
                .entry(folder.as_ref().to_owned())
                .or_default()
                .push(object);
        }
    }
    let shards = known.remove(folder_of(layout::DATA_SHARDS));
    known.remove(folder_of(layout::DATA_NAMES));
    let mut shards_wanted = HashSet::new();
    let mut gone = Vec::new();
    for (digest, objects) in known {
        if !wanted.contains(&digest) && objects.iter().all(old) {
            gone.push(objects);
            continue;
        }
        // One whose description was never written has no shards yet.
        if objects
            .iter()
            .any(|o| o.location.filename() == Some("meta.json"))
        {
            let meta = datasets::load(store, &digest).await?;
            shards_wanted.extend(meta.shards.into_iter().map(|shard| shard.blake3));
        }
    }
    let unwanted = |shard: &ObjectMeta| {
        let name = shard.location.filename().unwrap_or_default();
        old(shard) && !shards_wanted.contains(name)
    };
    let shards = shards.into_iter().flatten().filter(unwanted);
    // What describes shards goes before them.
    gone.extend(shards.map(|shard| vec![shard]));
    let garbage = gone.into_iter().map(|objects| Garbage {
        task: None,
        file: None,
        why: Why::Dataset,
        objects,
    });
    Ok(garbage.collect())
}

fn folder_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
