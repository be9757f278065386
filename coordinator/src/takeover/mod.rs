//! Which coordinator serves a store, and who follows it.
//!
//! The active one writes `coordinator/<epoch>.json` again and again (`beat`);
//! a standby watches it, and takes over when it no longer changes
//! (`standby`). Neither is what keeps two from deciding: that is the state,
//! which lets the newest writer in and fences the others off. So clocks may
//! be wrong, and a standby may be too eager: it costs a change of
//! coordinators, and no result.

mod beat;
mod standby;

use ablate_proto::current::Current;
use ablate_proto::layout;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};

pub(crate) use beat::Beat;
pub use beat::BeatError;
pub use standby::{Followed, Standby, stand_by};

/// Larger objects are not what they should be.
const MAX_BYTES: u64 = 64 << 10;

/// The object of the highest epoch, as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Newest {
    epoch: u64,
    bytes: Bytes,
}

impl Newest {
    fn parse(&self) -> Option<Current> {
        serde_json::from_slice(&self.bytes).ok()
    }
}

/// The coordinator that serves the store, or did so last. `None` where there
/// never was one, or it left something that cannot be read.
///
/// # Errors
/// The store does not answer.
pub async fn find(store: &dyn ObjectStore) -> Result<Option<Current>, Error> {
    Ok(newest(store).await?.and_then(|newest| newest.parse()))
}

async fn newest(store: &dyn ObjectStore) -> Result<Option<Newest>, Error> {
    let folder = Path::from(layout::COORDINATOR);
    let objects: Vec<_> = store.list(Some(&folder)).try_collect().await?;
    let epochs = objects
        .iter()
        .filter_map(|object| layout::epoch(object.location.filename()?));
    let Some(epoch) = epochs.max() else {
        return Ok(None);
    };
    let found = match store.get(&Path::from(layout::coordinator(epoch))).await {
        // Removed meanwhile, by a newer one; the next look finds that.
        Err(Error::NotFound { .. }) => return Ok(None),
        found => found?,
    };
    let bytes = if found.meta.size > MAX_BYTES {
        Bytes::new()
    } else {
        found.bytes().await?
    };
    Ok(Some(Newest { epoch, bytes }))
}

#[cfg(test)]
mod tests;
