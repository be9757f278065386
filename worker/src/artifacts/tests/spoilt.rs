//! A store that does what it is asked, and then says otherwise.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, path,
};

#[derive(Debug)]
pub(super) struct Spoilt {
    inner: InMemory,
    /// Creations that succeed and are answered with this.
    pub(super) creations: AtomicUsize,
    answer: fn(&path::Path) -> object_store::Error,
    /// Creations that fail before anything was written.
    pub(super) refusals: AtomicUsize,
    /// Reads that fail.
    pub(super) reads: AtomicUsize,
    pub(super) gets: AtomicUsize,
}

pub(super) fn generic(_: &path::Path) -> object_store::Error {
    object_store::Error::Generic {
        store: "spoilt",
        source: "connection reset".into(),
    }
}

pub(super) fn exists(path: &path::Path) -> object_store::Error {
    object_store::Error::AlreadyExists {
        path: path.to_string(),
        source: "412".into(),
    }
}

impl Spoilt {
    pub(super) fn new(answer: fn(&path::Path) -> object_store::Error) -> Self {
        Self {
            inner: InMemory::new(),
            creations: AtomicUsize::new(0),
            answer,
            refusals: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            gets: AtomicUsize::new(0),
        }
    }
}

/// Whether one of `left` was still to be had.
fn take(left: &AtomicUsize) -> bool {
    let less = |n: usize| n.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
        .is_ok()
}

impl std::fmt::Display for Spoilt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("spoilt")
    }
}

#[tonic::async_trait]
impl ObjectStore for Spoilt {
    async fn put_opts(
        &self,
        path: &path::Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let create = matches!(options.mode, PutMode::Create);
        if create && take(&self.refusals) {
            return Err(generic(path));
        }
        let result = self.inner.put_opts(path, payload, options).await?;
        if create && take(&self.creations) {
            return Err((self.answer)(path));
        }
        Ok(result)
    }

    async fn put_multipart_opts(
        &self,
        path: &path::Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(
        &self,
        path: &path::Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        if take(&self.reads) {
            return Err(generic(path));
        }
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<path::Path>>,
    ) -> BoxStream<'static, object_store::Result<path::Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(
        &self,
        prefix: Option<&path::Path>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&path::Path>,
    ) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &path::Path,
        to: &path::Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
