//! A store for tests that breaks its promises, each in one way.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::probe::{self, Probe, ProbeError};

type Picks = Box<dyn Fn(&str, &PutMode) -> bool + Send + Sync>;

pub(crate) enum Bend {
    /// Overwrites where it was asked to create, if the function says so.
    Unconditional(Picks),
    NoConditions,
    /// One object short, for the first two lists.
    ListsLate,
    /// What was overwritten is read as it was.
    ReadsLate,
    /// Creates, and says that somebody else had.
    CommitsAndDenies,
    /// Says so many times that there is an object where there is none.
    Conflicts(AtomicU64),
}

pub(crate) struct Bent {
    pub(crate) inner: InMemory,
    bend: Bend,
    lists: AtomicU64,
}

impl Bent {
    pub(crate) fn new(bend: Bend) -> Self {
        Self {
            inner: InMemory::new(),
            bend,
            lists: AtomicU64::new(0),
        }
    }

    pub(crate) async fn probe(&self) -> Result<(), ProbeError> {
        probe::check(self, Probe::SERVER).await
    }
}

fn exists(path: &Path) -> Error {
    Error::AlreadyExists {
        path: path.to_string(),
        source: "conflict".into(),
    }
}

impl fmt::Debug for Bent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bent")
    }
}

impl fmt::Display for Bent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bent")
    }
}

#[async_trait]
impl ObjectStore for Bent {
    async fn put_opts(
        &self,
        path: &Path,
        body: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        // Others get their turn, as they would with a network between.
        tokio::task::yield_now().await;
        let creates = matches!(options.mode, PutMode::Create);
        match &self.bend {
            Bend::Unconditional(picks) if picks(path.as_ref(), &options.mode) => {
                options.mode = PutMode::Overwrite;
            }
            Bend::NoConditions if creates => {
                return Err(Error::NotImplemented {
                    operation: "create".to_owned(),
                    implementer: self.to_string(),
                });
            }
            Bend::ReadsLate if !creates => {
                return self
                    .inner
                    .put_opts(&Path::from("elsewhere/x"), body, options)
                    .await;
            }
            Bend::CommitsAndDenies if creates => {
                self.inner.put_opts(path, body, options).await?;
                return Err(exists(path));
            }
            Bend::Conflicts(left) if creates => {
                let less = |n: u64| n.checked_sub(1);
                if left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
                    .is_ok()
                {
                    return Err(exists(path));
                }
            }
            _ => {}
        }
        self.inner.put_opts(path, body, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let late = matches!(self.bend, Bend::ListsLate);
        let skip = late && self.lists.fetch_add(1, Ordering::Relaxed) == 0;
        let all = self.inner.list(prefix).boxed();
        stream::once(async move { all.skip(usize::from(skip)) })
            .flatten()
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
