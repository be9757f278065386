//! The agent: holds the session with the coordinator, keeps the slots busy
//! and moves artefacts. It never runs model code; runners do.
//!
//! What it promises: a result is published only while the worker's lease is
//! known to stand (see `lease`); finished work is reported until it is
//! acknowledged; and no runner outlives [`run`].

mod attempt;
mod baggage;
mod finder;
mod follow;
mod gather;
mod held;
mod job;
mod lease;
mod line;
mod log_tail;
pub mod memory;
pub(crate) mod oom;
mod prepare;
mod progress;
mod report;
mod rpc;
mod runner_process;
mod session;
mod settings;
#[cfg(feature = "simulation")]
pub mod simulated;
mod slots;
mod source;
mod transfer;
mod workplace;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ablate_proto::capacity::Capacity;
use ablate_proto::failure::Failure;
use ablate_proto::id::WorkerId;
use ablate_proto::message::{FromWorker, Hello};
use ablate_proto::wire::InvalidMessage;
use object_store::ObjectStore;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use self::attempt::Context;
use self::baggage::Baggage;
use self::finder::Finder;
use self::lease::Lease;
use self::rpc::Connector;
use self::runner_process::Launcher;
use self::session::{Session, Terms};
pub use self::settings::{InvalidSetting, WorkerSettings};
use self::slots::Slots;
use self::workplace::Workplaces;
use crate::artifacts::{Cache, Store};
use crate::dial::Dial;

/// For logs and clean-up, after the last report.
const BACKGROUND_TIME: Duration = Duration::from_secs(2);

/// Opens the object store that the coordinator names.
pub type OpenStore = Arc<
    dyn Fn(&str) -> Result<Arc<dyn ObjectStore>, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync,
>;

/// Why a worker ended otherwise than asked to.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Settings(#[from] InvalidSetting),
    #[error(
        "the coordinator at {address} did not answer in {tries} tries ({last}): \
         check that it runs, and that --join names its host and gRPC port"
    )]
    Unreachable {
        address: String,
        tries: u32,
        last: String,
    },
    #[error("the coordinator refused this worker: {reason}")]
    Refused { reason: String },
    #[error("no connection to the coordinator at {address}: {why}")]
    Untrusted { address: String, why: String },
    #[error("the coordinator is of another release: {0}; run the same release on both")]
    Incompatible(InvalidMessage),
    #[error(
        "the coordinator now names the store {named}, but this worker serves {known}: \
         start a worker anew for it"
    )]
    OtherStore { known: String, named: String },
    #[error("the object store {url} could not be opened: {source}")]
    Store {
        url: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the scratch folder {} cannot be used: {why}; name another", path.display())]
    Scratch { path: PathBuf, why: String },
    #[error("no runner could be started: {}; check the runner command", .0.cause)]
    Runner(Failure),
}

/// Serves a coordinator until `shutdown`, the idle time, or an error. On
/// `shutdown`, running attempts are checkpointed and everything is handed
/// back, for the grace period at most.
///
/// To give up at once, drop the future: runners are killed with it. All
/// runners are dead when it returns.
///
/// # Errors
/// See [`AgentError`].
pub async fn run(
    settings: WorkerSettings,
    open_store: OpenStore,
    shutdown: CancellationToken,
) -> Result<(), AgentError> {
    run_on(settings, open_store, Dial::tcp(), shutdown).await
}

/// The same on connections that the caller opens.
///
/// # Errors
/// See [`AgentError`].
pub async fn run_on(
    settings: WorkerSettings,
    open_store: OpenStore,
    dial: Dial,
    shutdown: CancellationToken,
) -> Result<(), AgentError> {
    settings.validate()?;
    let address = settings.coordinator()?;
    // Held until the end: the folder is one worker's alone.
    let _lock = prepare_scratch(&settings.scratch).await?;
    let launcher = Launcher {
        command: settings.runner.clone(),
        threads: settings.threads_per_slot,
        reaper: TaskTracker::new(),
    };
    let folder = settings.scratch.join("slots");
    let slots = Slots::new(
        launcher,
        (settings.slots, settings.pack),
        &settings.gpus,
        &folder,
    )
    .await;
    let slots = slots.map_err(scratch_error(&settings.scratch))?;
    let served = tokio::select! {
        device = slots.device() => match device {
            Ok(device) => Box::pin(serve(&settings, address, dial, open_store, &slots, device, &shutdown)).await,
            Err(failure) => Err(AgentError::Runner(failure)),
        },
        () = shutdown.cancelled() => Ok(()),
    };
    slots.close().await;
    served
}

async fn serve(
    settings: &WorkerSettings,
    address: String,
    dial: Dial,
    open_store: OpenStore,
    slots: &Arc<Slots>,
    device: String,
    shutdown: &CancellationToken,
) -> Result<(), AgentError> {
    let host = nix::unistd::gethostname();
    let host = host.map_or_else(|_| String::new(), |h| h.to_string_lossy().into_owned());
    let hello = Hello {
        worker: WorkerId::generate(&host),
        build: settings.build.clone(),
        slots: u32::try_from(settings.slots).unwrap_or(u32::MAX),
        host,
        device,
        commands: settings.allow_commands,
        capacity: Capacity {
            memory: settings.memory,
            largest: settings.largest,
            pack: u32::try_from(settings.pack).unwrap_or(1),
            threads: u32::try_from(settings.threads_per_slot).unwrap_or(u32::MAX),
        },
        holding: Vec::new(),
    };
    tracing::info!(worker = %hello.worker, device = hello.device, slots = hello.slots, "worker starts");
    let lease = Arc::new(Lease::new());
    let connector = Connector::new(address.clone(), dial, settings.token.clone(), lease.clone());
    let connector = connector.map_err(|e| AgentError::Unreachable {
        address: address.clone(),
        tries: 0,
        last: e.to_string(),
    })?;
    let (progress, reports) = mpsc::channel(256);
    let opener = Opener {
        settings: settings.clone(),
        open_store,
        hello: hello.clone(),
        slots: slots.clone(),
        lease,
        progress,
    };
    let terms = Terms {
        hello,
        address,
        connect_timeout: settings.connect_timeout,
        grace: settings.grace,
        idle_exit: settings.idle_exit,
    };
    let mut session = Session::new(terms, opener, connector, reports);
    let shutdown = shutdown.clone();
    // Where its messages are: each would have to wake another thread.
    let session = tokio::spawn(async move {
        let served = session.run(&shutdown).await;
        (session.close().await, served)
    });
    let (context, served) = match AbortOnDropHandle::new(session).await {
        Ok(ended) => ended,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    if let Some(context) = context {
        context.background.close();
        let rest = tokio::time::timeout(BACKGROUND_TIME, context.background.wait());
        if rest.await.is_err() {
            tracing::debug!("logs or old checkpoints were left as they are");
        }
    }
    served
}

/// Makes what attempts share, once the coordinator has named the store.
struct Opener {
    settings: WorkerSettings,
    open_store: OpenStore,
    hello: Hello,
    slots: Arc<Slots>,
    lease: Arc<Lease>,
    progress: mpsc::Sender<FromWorker>,
}

impl Opener {
    async fn open(&self, url: &str) -> Result<Arc<Context>, AgentError> {
        let settings = &self.settings;
        let opened = (self.open_store)(url);
        let inner = opened.map_err(|source| AgentError::Store {
            url: url.to_owned(),
            source,
        })?;
        let cache = Cache::open(settings.scratch.join("cache"), settings.cache_bytes).await;
        let cache = cache.map_err(|e| AgentError::Scratch {
            path: settings.scratch.clone(),
            why: e.to_string(),
        })?;
        Ok(Arc::new(Context {
            worker: self.hello.worker.clone(),
            build: self.hello.build.clone(),
            host: self.hello.host.clone(),
            finder: Finder::new(inner.clone()),
            store: Store::new(inner, settings.store_patience),
            upload_patience: settings.upload_patience,
            hang: settings.hang,
            allow_commands: settings.allow_commands,
            baggage: Baggage::default(),
            cache,
            slots: self.slots.clone(),
            lease: self.lease.clone(),
            progress: self.progress.clone(),
            followed: Arc::default(),
            places: Arc::new(Workplaces::new(settings.scratch.join("attempts"))),
            background: TaskTracker::new(),
        }))
    }
}

/// Takes the scratch folder for this process, and clears what a killed one
/// left of its attempts.
async fn prepare_scratch(root: &Path) -> Result<File, AgentError> {
    let fail = || scratch_error(root);
    crate::files::fs::create_dir_all(root)
        .await
        .map_err(fail())?;
    let lock = File::create(root.join("lock")).map_err(fail())?;
    lock.try_lock().map_err(|_| AgentError::Scratch {
        path: root.to_owned(),
        why: "another worker uses it".to_owned(),
    })?;
    for folder in ["attempts", "slots"] {
        match crate::files::fs::remove_dir_all(root.join(folder)).await {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(fail()(e)),
            _ => {}
        }
    }
    Ok(lock)
}

fn scratch_error(path: &Path) -> impl FnOnce(std::io::Error) -> AgentError {
    let path = path.to_owned();
    move |e| AgentError::Scratch {
        path,
        why: e.to_string(),
    }
}

#[cfg(test)]
mod tests;
