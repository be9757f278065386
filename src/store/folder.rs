//! A folder as a store: every write is synced, but the coordinator's sign of
//! life, which says nothing any more after a crash of the machine. Synced, it
//! would be most of what an idle coordinator does. On a disk of this machine,
//! what is not there is known at once: to look takes less than to wake the
//! thread that would.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path as FsPath;

use ablate_proto::layout;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use nix::sys::statfs;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// File systems that nobody else has to be asked about.
const LOCAL: [statfs::FsType; 5] = [
    statfs::BTRFS_SUPER_MAGIC,
    // Of ext2 and ext3, too.
    statfs::EXT4_SUPER_MAGIC,
    statfs::OVERLAYFS_SUPER_MAGIC,
    statfs::TMPFS_MAGIC,
    statfs::XFS_SUPER_MAGIC,
];

#[derive(Debug)]
pub(super) struct Folder {
    synced: LocalFileSystem,
    unsynced: LocalFileSystem,
    /// On a disk of this machine.
    local: bool,
}

impl Folder {
    pub(super) fn open(folder: &FsPath) -> Result<Self> {
        Ok(Self {
            synced: LocalFileSystem::new_with_prefix(folder)?.with_fsync(true),
            unsynced: LocalFileSystem::new_with_prefix(folder)?,
            local: is_local(folder),
        })
    }

    /// Whether it is known without waiting that there is nothing of this name.
    fn lacks(&self, path: &Path) -> bool {
        let missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
        let found = self.local.then(|| self.synced.path_to_filesystem(path));
        let Some(Ok(path)) = found else {
            return false;
        };
        std::fs::symlink_metadata(path).is_err_and(missing)
    }
}

fn is_local(folder: &FsPath) -> bool {
    statfs::statfs(folder).is_ok_and(|found| LOCAL.contains(&found.filesystem_type()))
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
        if self.lacks(path) {
            return Err(Error::NotFound {
                path: path.to_string(),
                source: io::Error::from(io::ErrorKind::NotFound).into(),
            });
        }
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
        if prefix.is_some_and(|prefix| self.lacks(prefix)) {
            return stream::empty().boxed();
        }
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

    #[tokio::test]
    async fn what_is_not_there_is_the_same_with_and_without_a_look() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Folder::open(folder.path()).unwrap();
        let path = Path::from("tasks/a b/manifest.json");
        for local in [true, false] {
            store.local = local;
            assert!(!local || store.lacks(&path));
            let found = store.get_opts(&path, GetOptions::default()).await;
            assert!(matches!(found, Err(Error::NotFound { .. })), "{found:?}");
            let listed: Vec<_> = store.list(Some(&Path::from("tasks/a b"))).collect().await;
            assert!(listed.is_empty(), "{listed:?}");
        }
        let put = store.put_opts(&path, "{}".into(), PutOptions::default());
        put.await.unwrap();
        store.local = true;
        assert!(!store.lacks(&path));
        let found = store.get_opts(&path, GetOptions::default()).await.unwrap();
        assert_eq!(found.bytes().await.unwrap(), "{}");
        let listed: Vec<_> = store.list(Some(&Path::from("tasks/a b"))).collect().await;
        assert_eq!(listed.len(), 1);
    }
}
