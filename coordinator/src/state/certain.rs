//! The store as the database needs it: answers that are certain.
//!
//! A store may answer that an object exists already while it does not yet: a
//! request was sent again, and both were under way (S3: 409). The database
//! takes such an answer for another writer, and this coordinator would end
//! for no reason. So an object that is said to exist must be there, or is
//! created again.
//!
//! And a file that was cut short is no error that passes: the database would
//! ask for what is missing for ever, or take the rest of a file of its log for
//! an empty one, with which it fences others off.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use slatedb_common::retry::NonRetryable;

/// What a request that was sent twice may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file of the log that is neither empty nor cut short has more bytes.
const LOG_FOOTER: u64 = 16;

#[derive(Debug)]
pub(super) struct Certain {
    inner: Arc<dyn ObjectStore>,
}

impl Certain {
    pub(super) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner }
    }
}

fn cut_short(path: &Path, bytes: u64) -> Error {
    let why = format!("{path} was cut short: it has {bytes} bytes");
    Error::Generic {
        store: "state",
        source: Box::new(NonRetryable(why.into())),
    }
}

impl fmt::Display for Certain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Certain {
    async fn put_opts(
        &self,
        path: &Path,
        body: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if !matches!(options.mode, PutMode::Create) {
            return self.inner.put_opts(path, body, options).await;
        }
        let mut pauses = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(20))
            .with_max_delay(Duration::from_secs(1))
            .with_total_delay(Some(PATIENCE))
            .without_max_times()
            .with_jitter()
            .build();
        loop {
            let put = self.inner.put_opts(path, body.clone(), options.clone());
            let exists = match put.await {
                Err(error @ Error::AlreadyExists { .. }) => error,
                answer => return answer,
            };
            if self.inner.head(path).await.is_ok() {
                // Whose it is, the database finds out by its own mark.
                return Err(exists);
            }
            let Some(pause) = pauses.next() else {
                return Err(exists);
            };
            tracing::debug!(%path, ?pause, "said to exist, and does not; creating it again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let first = match &options.range {
            Some(GetRange::Bounded(range)) => Some(range.start),
            Some(GetRange::Offset(start)) => Some(*start),
            Some(GetRange::Suffix(_)) | None => None,
        };
        let answer = self.inner.get_opts(path, options).await;
        if let Ok(found) = &answer
            && (1..LOG_FOOTER).contains(&found.meta.size)
            && path.as_ref().contains("/wal/")
        {
            return Err(cut_short(path, found.meta.size));
        }
        let (Err(Error::Generic { .. }), Some(first)) = (&answer, first) else {
            return answer;
        };
        match self.inner.head(path).await {
            Ok(found) if found.size <= first => Err(cut_short(path, found.size)),
            Ok(_) | Err(_) => answer,
        }
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
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
