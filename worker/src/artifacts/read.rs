//! A file of a result, straight from the store.

use ablate_proto::artifact::FileEntry;
use ablate_proto::id::AttemptId;
use ablate_proto::layout;
use bytes::Bytes;

use super::{ArtifactError, Store};

/// The bytes of a file that a manifest names.
///
/// # Errors
/// When it is not in the store, or not the file that the manifest means.
pub(crate) async fn read_file(
    store: &Store,
    attempt: &AttemptId,
    file: &FileEntry,
) -> Result<Bytes, ArtifactError> {
    let key = layout::attempt_file(attempt, &file.name);
    let found = store.get(&key, file.bytes).await?;
    let bytes = found.ok_or_else(|| ArtifactError::Missing(key.clone()))?;
    let digest = blake3::hash(&bytes).to_hex();
    if bytes.len() as u64 != file.bytes || digest.as_str() != file.blake3 {
        let why = format!(
            "{} bytes with blake3 {digest}, but its manifest says {} bytes with {}",
            bytes.len(),
            file.bytes,
            file.blake3
        );
        return Err(ArtifactError::broken(key, why));
    }
    Ok(bytes)
}
