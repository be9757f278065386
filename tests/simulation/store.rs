//! The object store as the machines reach it: it takes a while, it fails, and
//! some do not reach it at all for some time.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::watch;

use crate::chance::Random;
use crate::clock;

/// What all ways to the store have in common.
#[derive(Debug)]
pub(crate) struct Warehouse {
    pub(crate) memory: InMemory,
    latency: Duration,
    /// One request in so many fails; 0: none does.
    pub(crate) failing: AtomicU64,
    random: Mutex<Random>,
}

impl Warehouse {
    pub(crate) fn new(seed: u64, latency: Duration) -> Self {
        Self {
            memory: InMemory::new(),
            latency,
            failing: AtomicU64::new(0),
            random: Mutex::new(Random::new(seed ^ 0x5707e)),
        }
    }

    fn fate(&self) -> Fate {
        let failing = self.failing.load(Ordering::Relaxed);
        let mut random = self.random.lock().unwrap();
        if failing == 0 || random.below(failing) != 0 {
            return Fate::Fine;
        }
        random.one_of(&[Fate::Lost, Fate::AnswerLost])
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    Lost,
    /// It is done, and who asked hears of an error.
    AnswerLost,
}

/// One machine's way to it.
#[derive(Debug, Clone)]
pub(crate) struct Road {
    warehouse: Arc<Warehouse>,
    /// While it is, nothing arrives.
    closed: watch::Receiver<bool>,
}

impl Road {
    pub(crate) fn new(warehouse: Arc<Warehouse>, closed: watch::Receiver<bool>) -> Self {
        Self { warehouse, closed }
    }

    /// What is on its way arrives, even if nobody waits for an answer any
    /// more.
    async fn request<T, F>(&self, work: impl FnOnce(InMemory) -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send,
    {
        let (warehouse, mut closed) = (self.warehouse.clone(), self.closed.clone());
        let sent = tokio::spawn(async move {
            tokio::time::sleep(warehouse.latency).await;
            // The other end goes with the simulation.
            let _ = closed.wait_for(|closed| !closed).await;
            let fate = warehouse.fate();
            if fate == Fate::Lost {
                return Err(broken("the request got lost"));
            }
            let done = clock::of_store(|| work(warehouse.memory.clone()).now_or_never());
            match fate {
                Fate::AnswerLost => Err(broken("the answer got lost")),
                _ => done.unwrap_or_else(|| Err(broken("memory had to be waited for"))),
            }
        });
        sent.await
            .unwrap_or_else(|_| Err(broken("the machine is gone")))
    }
}

fn broken(why: &'static str) -> Error {
    Error::Generic {
        store: "simulated",
        source: why.into(),
    }
}

impl fmt::Display for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simulated store")
    }
}

#[async_trait]
impl ObjectStore for Road {
    async fn put_opts(
        &self,
        path: &Path,
        body: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let path = path.clone();
        let put =
            move |memory: InMemory| async move { memory.put_opts(&path, body, options).await };
        self.request(put).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.warehouse
            .memory
            .put_multipart_opts(path, options)
            .await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let path = path.clone();
        let get = move |memory: InMemory| async move { memory.get_opts(&path, options).await };
        self.request(get).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (path, ranges) = (path.clone(), ranges.to_vec());
        let get = move |memory: InMemory| async move { memory.get_ranges(&path, &ranges).await };
        self.request(get).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let road = self.clone();
        let one = move |path: Result<Path>| {
            let road = road.clone();
            async move {
                let path = path?;
                let delete = move |memory: InMemory| async move {
                    let paths = stream::iter([Ok(path)]).boxed();
                    memory.delete_stream(paths).try_collect::<Vec<_>>().await
                };
                Ok::<_, Error>(stream::iter(
                    road.request(delete).await?.into_iter().map(Ok),
                ))
            }
        };
        paths.then(one).try_flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (road, prefix) = (self.clone(), prefix.cloned());
        let list = async move {
            let list = move |memory: InMemory| async move {
                memory.list(prefix.as_ref()).try_collect::<Vec<_>>().await
            };
            let listed = road.request(list).await?;
            Ok::<_, Error>(stream::iter(listed.into_iter().map(Ok)))
        };
        stream::once(list).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned();
        let list = move |memory: InMemory| async move {
            memory.list_with_delimiter(prefix.as_ref()).await
        };
        self.request(list).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        let copy =
            move |memory: InMemory| async move { memory.copy_opts(&from, &to, options).await };
        self.request(copy).await
    }
}
