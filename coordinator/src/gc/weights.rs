//! Imported weights that no name and no plan names.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ablate_proto::layout;
use object_store::ObjectStore;

use super::reach::Live;
use super::{Garbage, GcError, Why, list, older};
use crate::weights;

/// What can go. An import that is under way has young weights, and names them
/// last.
pub(super) async fn garbage(
    store: &Arc<dyn ObjectStore>,
    live: &Live,
    now: SystemTime,
    grace: Duration,
) -> Result<Vec<Garbage>, GcError> {
    let old = older(now, grace);
    let mut wanted = live.weights.clone();
    for name in weights::names(store).await? {
        let named = weights::find(store, &name).await?;
        wanted.extend(named.map(|named| named.digest));
    }
    let mut garbage = Vec::new();
    for object in list(store, layout::WEIGHTS).await? {
        // Names lie one folder deeper.
        let name = object.location.filename().unwrap_or_default();
        let file = object.location.parts().count() == 2;
        if file && old(&object) && !wanted.contains(name) {
            garbage.push(Garbage {
                task: None,
                file: None,
                why: Why::Weights,
                objects: vec![object],
            });
        }
    }
    Ok(garbage)
}
