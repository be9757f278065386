//! The object store with patience: transient errors are retried with jittered
//! backoff, and objects go to and from local files with their digests.

use std::path::Path as FsPath;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder, Retryable};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, WriteMultipart};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ArtifactError;
use crate::files::fs::File;

/// Files above this go up in parts, and never lie in memory as a whole.
const PART: usize = 8 << 20;
/// Parts of one file in flight.
const PARTS_IN_FLIGHT: usize = 3;

/// Size and blake3 digest of an object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) bytes: u64,
    pub(crate) blake3: blake3::Hash,
}

#[derive(Debug, Clone)]
pub(crate) struct Store {
    inner: Arc<dyn ObjectStore>,
    patience: Duration,
}

impl Store {
    /// `patience`: how long transient errors are retried.
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, patience: Duration) -> Self {
        Self { inner, patience }
    }

    /// The same store, more or less patient.
    pub(crate) fn patient(&self, patience: Duration) -> Self {
        Self::new(self.inner.clone(), patience)
    }

    pub(super) fn backoff(&self) -> ExponentialBackoff {
        self.backoff_builder().build()
    }

    fn backoff_builder(&self) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(10))
            .with_total_delay(Some(self.patience))
            .without_max_times()
            .with_jitter()
    }

    async fn retry<T, F, R>(&self, what: F) -> Result<T, ArtifactError>
    where
        F: FnMut() -> R,
        R: Future<Output = Result<T, ArtifactError>>,
    {
        what.retry(self.backoff_builder())
            .when(ArtifactError::is_transient)
            .notify(|error, wait| tracing::warn!(%error, ?wait, "trying the store again"))
            .await
    }

    /// The object's bytes, `None` where there is no object.
    pub(super) async fn get(&self, key: &str, limit: u64) -> Result<Option<Bytes>, ArtifactError> {
        let path = Path::from(key);
        let fail = |source| ArtifactError::Store {
            doing: format!("reading {key}"),
            source,
        };
        self.retry(|| async {
            let found = match self.inner.get(&path).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                other => other.map_err(fail)?,
            };
            if found.meta.size > limit {
                let why = format!("{} bytes, at most {limit} are expected", found.meta.size);
                return Err(ArtifactError::broken(key, why));
            }
            found.bytes().await.map(Some).map_err(fail)
        })
        .await
    }

    /// Writes an object, over whatever was there.
    pub(crate) async fn put(&self, key: &str, bytes: Bytes) -> Result<(), ArtifactError> {
        let path = Path::from(key);
        let fail = |source| ArtifactError::Store {
            doing: format!("writing {key}"),
            source,
        };
        self.retry(|| async {
            let put = self.inner.put(&path, bytes.clone().into());
            put.await.map(drop).map_err(fail)
        })
        .await
    }

    /// One try at creating an object; the answer may be ambiguous.
    pub(super) async fn create(&self, key: &str, bytes: Bytes) -> object_store::Result<()> {
        let mode = if planted!(ManifestOverwritten) {
            PutMode::Overwrite
        } else {
            PutMode::Create
        };
        let options = PutOptions::from(mode);
        let path = Path::from(key);
        let put = self.inner.put_opts(&path, bytes.into(), options);
        put.await.map(drop)
    }

    /// Uploads a file, over whatever was there.
    pub(super) async fn upload(&self, key: &str, file: &FsPath) -> Result<Digest, ArtifactError> {
        self.retry(|| self.upload_once(key, file)).await
    }

    async fn upload_once(&self, key: &str, file: &FsPath) -> Result<Digest, ArtifactError> {
        let local = || ArtifactError::local(format!("reading {}", file.display()));
        let fail = |source| ArtifactError::Store {
            doing: format!("uploading {key}"),
            source,
        };
        let path = Path::from(key);
        let mut source = File::open(file).await.map_err(local())?;
        let mut part = read_part(&mut source).await.map_err(local())?;
        if part.len() < PART {
            let digest = Digest {
                bytes: part.len() as u64,
                blake3: blake3::hash(&part),
            };
            let put = self.inner.put(&path, part.into());
            return put.await.map(|_| digest).map_err(fail);
        }
        let upload = self.inner.put_multipart(&path).await.map_err(fail)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut hasher = blake3::Hasher::new();
        while !part.is_empty() {
            hasher.update(&part);
            upload.put(part);
            let next = match upload.wait_for_capacity(PARTS_IN_FLIGHT).await {
                Ok(()) => read_part(&mut source).await.map_err(local()),
                Err(source) => Err(fail(source)),
            };
            part = match next {
                Ok(part) => part,
                Err(error) => {
                    // What cannot be removed now is swept as an orphan.
                    drop(upload.abort().await);
                    return Err(error);
                }
            };
        }
        upload.finish().await.map_err(fail)?;
        Ok(Digest {
            bytes: hasher.count(),
            blake3: hasher.finalize(),
        })
    }

    /// Downloads an object to a new file and says what arrived. An object
    /// whose size is not `bytes`, where given, is not even begun.
    pub(super) async fn download(
        &self,
        key: &str,
        file: &FsPath,
        bytes: Option<u64>,
    ) -> Result<Digest, ArtifactError> {
        self.retry(|| self.download_once(key, file, bytes)).await
    }

    async fn download_once(
        &self,
        key: &str,
        file: &FsPath,
        bytes: Option<u64>,
    ) -> Result<Digest, ArtifactError> {
        let local = || ArtifactError::local(format!("writing {}", file.display()));
        let fail = |source| ArtifactError::Store {
            doing: format!("downloading {key}"),
            source,
        };
        let found = match self.inner.get(&Path::from(key)).await {
            Err(object_store::Error::NotFound { .. }) => {
                return Err(ArtifactError::Missing(key.to_owned()));
            }
            other => other.map_err(fail)?,
        };
        if let Some(bytes) = bytes.filter(|b| *b != found.meta.size) {
            let why = format!("{} bytes, {bytes} are expected", found.meta.size);
            return Err(ArtifactError::broken(key, why));
        }
        let mut target = File::create(file).await.map_err(local())?;
        let mut hasher = blake3::Hasher::new();
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(fail)?;
            hasher.update(&chunk);
            target.write_all(&chunk).await.map_err(local())?;
        }
        target.flush().await.map_err(local())?;
        Ok(Digest {
            bytes: hasher.count(),
            blake3: hasher.finalize(),
        })
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, ArtifactError> {
        let path = Path::from(prefix);
        let fail = |source| ArtifactError::Store {
            doing: format!("listing {prefix}"),
            source,
        };
        self.retry(|| async {
            let list = self.inner.list(Some(&path));
            list.try_collect().await.map_err(fail)
        })
        .await
    }

    /// Deletes an object if it is there. Best effort: what stays is garbage
    /// that `gc` finds.
    pub(crate) async fn delete(&self, key: &str) {
        match self.inner.delete(&Path::from(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => tracing::debug!(key, %error, "could not delete"),
        }
    }
}

/// Up to [`PART`] bytes; fewer only at the end of the file.
async fn read_part(file: &mut File) -> std::io::Result<Bytes> {
    let mut part = Vec::new();
    file.take(PART as u64).read_to_end(&mut part).await?;
    Ok(part.into())
}

/// Size and digest of a local file.
pub(super) async fn digest_file(path: &FsPath) -> Result<Digest, ArtifactError> {
    let local = || ArtifactError::local(format!("reading {}", path.display()));
    let mut file = File::open(path).await.map_err(local())?;
    let mut hasher = blake3::Hasher::new();
    loop {
        let part = read_part(&mut file).await.map_err(local())?;
        if part.is_empty() {
            break;
        }
        hasher.update(&part);
    }
    Ok(Digest {
        bytes: hasher.count(),
        blake3: hasher.finalize(),
    })
}
