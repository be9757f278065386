//! A running coordinator: state, driver and service on one listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ablate_proto::current::Current;
use futures::{Stream, StreamExt};
use object_store::ObjectStore;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use uuid::Uuid;

use crate::connection::Connection;
use crate::core::{Core, CoreSettings};
use crate::driver::Driver;
use crate::probe::{self, Probe, ProbeError};
use crate::rpc::Service;
use crate::state::{Closed, State, StateError};
use crate::submit::Submitter;
use crate::takeover::{self, Beat, BeatError};

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub core: CoreSettings,
    /// How often the log of facts is written out. Short: low latency. Long:
    /// fewer requests, which matters where each is paid for.
    pub flush: Duration,
    /// How hard the store is tried before it is trusted; not at all where it
    /// was tried just now.
    pub probe: Option<Probe>,
    /// How often this coordinator says in the store that it lives.
    pub beat: Duration,
    /// Where others reach it, as `host:port`; by default where it listens,
    /// if that is known.
    pub advertise: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            core: CoreSettings::default(),
            flush: Duration::from_millis(1),
            probe: Some(Probe::FOLDER),
            beat: Duration::from_millis(500),
            advertise: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("settings: {0}")]
    Settings(String),
    #[error(
        "listening on {0} is refused: it can be reached from other machines, and this release \
         has no TLS and no tokens yet. Listen on 127.0.0.1, and join from elsewhere through \
         an SSH tunnel"
    )]
    NotLoopback(SocketAddr),
    #[error("the object store {store} is refused: {source}")]
    Probe { store: String, source: ProbeError },
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Beat(#[from] BeatError),
    #[error("serving failed: {0}")]
    Transport(tonic::transport::Error),
    #[error("the listener has no address: {0}")]
    Listener(std::io::Error),
}

impl ServeError {
    /// Another coordinator serves the store now.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::State(StateError::Fenced))
    }
}

/// Serves until `stop` is cancelled, or until another coordinator takes the
/// store over. Calls `ready` once it owns the state and answers.
///
/// # Errors
/// The store cannot be written, holds a state of another release, or was
/// taken over; the listener is not on loopback.
pub async fn serve(
    settings: Settings,
    store: Arc<dyn ObjectStore>,
    listener: TcpListener,
    stop: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut settings = settings;
    let advertise = settings.advertise.take();
    settings.advertise = advertise.or_else(|| Some(address.to_string()));
    let ready = || {
        tracing::info!(%address, "listening");
        ready(address);
    };
    serve_on(settings, store, incoming, stop, ready).await
}

/// The same on connections from anywhere: no other limits than the service's
/// own, and nothing is asked of who connects.
///
/// # Errors
/// As [`serve`]; the stream ends or fails.
pub async fn serve_on<IO>(
    settings: Settings,
    store: Arc<dyn ObjectStore>,
    incoming: impl Stream<Item = std::io::Result<IO>> + Send + 'static,
    stop: CancellationToken,
    ready: impl FnOnce(),
) -> Result<(), ServeError>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    settings.core.validate().map_err(ServeError::Settings)?;
    if let Some(probe) = settings.probe {
        probe_store(&settings.core.store, &store, probe).await?;
    }
    let (state, facts) = State::open(store.clone(), settings.flush).await?;
    let beat = Beat::begin(store.clone(), current(&settings, &state, &store).await?);
    let beat = beat.await?;
    let known = facts.len();
    let core = Core::recover(settings.core, facts);
    tracing::info!(
        facts = known,
        tasks = core.task_count(),
        "coordinator ready"
    );

    // The service goes when the driver does, and the other way round.
    let down = stop.child_token();
    let _down = down.clone().drop_guard();
    let closed = state.closed();
    let beat = tokio::spawn(beat.run(down.clone()));
    let (handle, driver) = Driver::start(core, state, store.clone(), down.clone());
    let service = Service::new(handle, Submitter::new(store));
    let incoming = incoming.map(|io| io.map(Connection::new));
    let server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .add_service(service.cluster())
        .add_service(service.sweeps())
        .serve_with_incoming_shutdown(incoming, down.clone().cancelled_owned());
    drop(service);
    let server = tokio::spawn(server);
    ready();
    let fenced = async {
        let closed = closed.await;
        // The driver would notice with its next write, if there ever is one.
        down.cancel();
        closed
    };
    let mut driver = std::pin::pin!(driver);
    let ended = tokio::select! {
        ended = &mut driver => ended,
        closed = fenced => match (closed, driver.await) {
            (Closed::Fenced, _) => Err(StateError::Fenced),
            (Closed::Otherwise, ended) => ended,
        },
    };
    down.cancel();
    if let Ok(beat) = beat.await
        && ended.is_ok()
    {
        beat.farewell().await;
    }
    // Sessions are streams without an end of their own: they are cut.
    let cut = tokio::time::timeout(Duration::from_millis(200), server);
    if let Ok(Ok(Err(source))) = cut.await {
        return Err(ServeError::Transport(source));
    }
    Ok(ended?)
}

/// What the store is to say of this coordinator.
async fn current(
    settings: &Settings,
    state: &State,
    store: &Arc<dyn ObjectStore>,
) -> Result<Current, ServeError> {
    // The state may have been set back, and the rest of the store not.
    let seen = takeover::find(store).await.map_err(BeatError::from)?;
    let epoch = state.claim_epoch(seen.map_or(0, |c| c.epoch)).await?;
    Ok(Current {
        epoch,
        id: Uuid::new_v4().to_string(),
        address: settings.advertise.clone().unwrap_or_default(),
        beat: 0,
        every_ms: u64::try_from(settings.beat.as_millis()).unwrap_or(u64::MAX),
        stopped: false,
    })
}

/// Refuses a store that cannot be written, or that breaks its promises.
///
/// # Errors
/// [`ServeError::Probe`], which says what it did.
pub async fn probe_store(
    url: &str,
    store: &Arc<dyn ObjectStore>,
    probe: Probe,
) -> Result<(), ServeError> {
    let checked = probe::check(store, probe).await;
    checked.map_err(|source| ServeError::Probe {
        store: url.to_owned(),
        source,
    })
}
