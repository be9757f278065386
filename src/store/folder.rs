//! A folder as a store: every write is synced, but the coordinator's sign of
//! life, which says nothing any more after a crash of the machine. Synced, it
//! would be most of what an idle coordinator does.

use std::fmt;
use std::ops::Range;
use std::path::Path as FsPath;

use ablate_proto::layout;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

#[derive(Debug)]
pub(super) struct Folder {
    synced: LocalFileSystem,
    unsynced: LocalFileSystem,
}

impl Folder {
    pub(super) fn open(folder: &FsPath) -> Result<Self> {
        Ok(Self {
            synced: LocalFileSystem::new_with_prefix(folder)?.with_fsync(true),
            unsynced: LocalFileSystem::new_with_prefix(folder)?,
        })
    }
}

/// Whether an object is there for those alone who look at it now.
fn is_sign_of_life(path: &Path, mode: &PutMode) -> bool {
    let mut parts = path.parts();
    let below = parts
        .next()
        .is_some_and(|first| first.as_ref() == layout::COORDINATOR);
    // What is created there, the claim of a takeover, stays.
    below && matches!(mode, PutMode::Overwrite)
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.synced.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put_opts(
        &self,
        path: &Path,
        body: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let store = match is_sign_of_life(path, &options.mode) {
            true => &self.unsynced,
            false => &self.synced,
        };
        store.put_opts(path, body, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.synced.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.synced.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.synced.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.synced.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.synced.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.synced.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.synced.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.synced.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sign_of_life_is_not_synced() {
        let is = |path: &str, mode| is_sign_of_life(&Path::from(path), &mode);
        assert!(is(&layout::coordinator(3), PutMode::Overwrite));
        assert!(!is(&layout::takeover(3, 1), PutMode::Create));
        for other in ["state/wal/1.sst", "tasks/coordinator/manifest.json"] {
            assert!(!is(other, PutMode::Overwrite), "{other}");
        }
    }
}
