//! Files that travel with sweeps, in the store by their content.

use ablate_proto::layout;
use ablate_proto::stage::MAX_FILE_BYTES;
use bytes::Bytes;

use super::{ArtifactError, Store};

/// The file whose content has this blake3 digest, in hex.
///
/// # Errors
/// When it is not in the store, or is another.
pub(crate) async fn travelling_file(store: &Store, blake3: &str) -> Result<Bytes, ArtifactError> {
    let key = layout::travelling_file(blake3);
    let found = store.get(&key, MAX_FILE_BYTES as u64).await?;
    let bytes = found.ok_or_else(|| ArtifactError::Missing(key.clone()))?;
    if blake3::hash(&bytes).to_hex().as_str() != blake3 {
        return Err(ArtifactError::broken(key, "its content is another"));
    }
    Ok(bytes)
}
