//! A running coordinator: state, driver and service on one listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::connection::Connection;
use crate::core::{Core, CoreSettings};
use crate::driver::Driver;
use crate::rpc::Service;
use crate::state::{State, StateError};
use crate::submit::Submitter;

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub core: CoreSettings,
    /// How often the log of facts is written out. Short: low latency. Long:
    /// fewer requests, which matters where each is paid for.
    pub flush: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            core: CoreSettings::default(),
            flush: Duration::from_millis(1),
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
    #[error("the object store {store} cannot be written: {source}")]
    Unwritable {
        store: String,
        source: object_store::Error,
    },
    #[error(transparent)]
    State(#[from] StateError),
    #[error("serving failed: {0}")]
    Transport(tonic::transport::Error),
    #[error("the listener has no address: {0}")]
    Listener(std::io::Error),
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
    probe(&settings.core.store, &store).await?;
    let (state, facts) = State::open(store.clone(), settings.flush).await?;
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
    let ended = driver.await;
    down.cancel();
    // Sessions are streams without an end of their own: they are cut.
    let cut = tokio::time::timeout(Duration::from_millis(200), server);
    if let Ok(Ok(Err(source))) = cut.await {
        return Err(ServeError::Transport(source));
    }
    Ok(ended?)
}

/// Finds out with one small object whether the store can be written at all.
async fn probe(url: &str, store: &Arc<dyn ObjectStore>) -> Result<(), ServeError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // A name of its own: others may probe at the same time.
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = Path::from(format!("probe-{}-{count}", std::process::id()));
    let unwritable = |source| ServeError::Unwritable {
        store: url.to_owned(),
        source,
    };
    store
        .put(&path, "written to see whether the store can be".into())
        .await
        .map_err(unwritable)?;
    store.delete(&path).await.map_err(unwritable)
}
