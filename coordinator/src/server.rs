//! A running coordinator: state, driver and service on one listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ablate_proto::current::Current;
use futures::{FutureExt, Stream, StreamExt};
use object_store::ObjectStore;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Server;
use uuid::Uuid;

use crate::auth::tokens::TokenError;
use crate::auth::{AuthLayer, Book};
use crate::connection::Connection;
use crate::core::{Core, CoreSettings};
use crate::driver::Driver;
use crate::listener;
pub use crate::listener::Limits;
use crate::probe::{self, Probe, ProbeError};
use crate::rpc::Service;
use crate::state::{Closed, State, StateError};
use crate::submit::Submitter;
use crate::takeover::{self, Beat, BeatError};
use crate::tls::{self, TlsError};

/// A silent connection is asked for a sign of life so often.
const PING_EVERY: Duration = Duration::from_secs(5);
/// From a request to the beginning of its answer.
const ANSWER: Duration = Duration::from_secs(120);
/// Requests of one connection at a time; a worker needs one.
const STREAMS: u32 = 100;
const HEADERS: u32 = 16 << 10;
/// Streams that a peer took back before they were looked at, and that were
/// ended because of its mistakes: more of either end the connection.
const RESETS: usize = 20;
const MISTAKES: usize = 100;

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
    /// Folder with certificate and key; TLS is spoken if it is set.
    pub tls: Option<PathBuf>,
    /// Asks for tokens if the store has any. Off loopback they are needed.
    pub tokens: bool,
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            core: CoreSettings::default(),
            flush: Duration::from_millis(1),
            probe: Some(Probe::FOLDER),
            beat: Duration::from_millis(500),
            advertise: None,
            tls: None,
            tokens: false,
            limits: Limits::default(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("settings: {0}")]
    Settings(String),
    #[error("listening on {address} is refused: other machines can reach it, and {}", missing(*.tls, *.token))]
    Unprotected {
        address: SocketAddr,
        /// What there is.
        tls: bool,
        token: bool,
    },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Tokens(#[from] TokenError),
    #[error("the object store {store} is refused: {why}")]
    Probe { store: String, why: ProbeError },
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Beat(#[from] BeatError),
    #[error("serving failed: {0}")]
    Transport(tonic::transport::Error),
    #[error("the listener has no address: {0}")]
    Listener(std::io::Error),
}

fn missing(tls: bool, token: bool) -> &'static str {
    match (tls, token) {
        (false, false) => "there is neither TLS nor a valid token",
        (false, true) => "there is no TLS",
        (true, _) => "there is no valid token in the store",
    }
}

impl ServeError {
    /// Another coordinator serves the store now.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::State(StateError::Fenced))
    }
}

/// What keeps strangers out.
struct Access {
    acceptor: Option<TlsAcceptor>,
    book: Book,
}

impl Access {
    async fn check(
        settings: &Settings,
        store: &Arc<dyn ObjectStore>,
        address: SocketAddr,
    ) -> Result<Self, ServeError> {
        let acceptor = settings.tls.as_deref().map(tls::acceptor).transpose()?;
        let book = match settings.tokens {
            true => Book::read(store.clone()).await?,
            false => Book::open(),
        };
        let (tls, token) = (acceptor.is_some(), book.has_valid());
        let protected = tls && token;
        if !address.ip().is_loopback() && !protected {
            return Err(ServeError::Unprotected {
                address,
                tls,
                token,
            });
        }
        Ok(Self { acceptor, book })
    }
}

/// Whether [`serve`] would listen there, as far as strangers are concerned.
///
/// # Errors
/// As [`serve`].
pub async fn check_access(
    settings: &Settings,
    store: &Arc<dyn ObjectStore>,
    address: SocketAddr,
) -> Result<(), ServeError> {
    Access::check(settings, store, address).await.map(|_| ())
}

/// Serves until `stop` is cancelled, or until another coordinator takes the
/// store over. Calls `ready` once it owns the state and answers.
///
/// # Errors
/// The store cannot be written, holds a state of another release, or was
/// taken over; others can reach the listener, and TLS or a token is missing.
pub async fn serve(
    settings: Settings,
    store: Arc<dyn ObjectStore>,
    listener: TcpListener,
    stop: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    let Access { acceptor, book } = Access::check(&settings, &store, address).await?;
    let (tls, token) = (acceptor.is_some(), book.has_valid());
    let incoming = listener::incoming(listener, settings.limits, acceptor);
    let mut settings = settings;
    let advertise = settings.advertise.take();
    settings.advertise = advertise.or_else(|| Some(address.to_string()));
    let ready = || {
        tracing::info!(%address, tls, tokens = token, "listening");
        ready(address);
    };
    run(settings, store, incoming, book, stop, ready).await
}

/// The same on connections from anywhere: they are not limited, and nothing
/// is asked of who connects.
///
/// # Errors
/// As [`serve`].
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
    let incoming = incoming.map(|io| io.map(Connection::new));
    run(settings, store, incoming, Book::open(), stop, ready).await
}

async fn run<IO, Permit>(
    settings: Settings,
    store: Arc<dyn ObjectStore>,
    incoming: impl Stream<Item = std::io::Result<Connection<IO, Permit>>> + Send + 'static,
    book: Book,
    stop: CancellationToken,
    ready: impl FnOnce(),
) -> Result<(), ServeError>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    Permit: Send + Unpin + 'static,
{
    settings.core.validate().map_err(ServeError::Settings)?;
    // A worker is lost when its lease is over, never because a frozen
    // connection was closed before that.
    let silence = PING_EVERY.max(settings.core.lease);
    if let Some(probe) = settings.probe {
        probe_store(&settings.core.store, &store, probe).await?;
    }
    let (state, facts) = State::open(store.clone(), settings.flush).await?;
    let beat = Beat::begin(store.clone(), current(&settings, &state, &store).await?);
    let beat = beat.await?;
    let known = facts.len();
    let url = settings.core.store.clone();
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
    let service = Service::new(handle, Submitter::new(store.clone(), url), store);
    let book = Arc::new(book);
    let following = book.clone();
    let _following = AbortOnDropHandle::new(tokio::spawn(async move { following.follow().await }));
    let server = Server::builder()
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(silence))
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(HEADERS)
        .http2_max_pending_accept_reset_streams(Some(RESETS))
        .http2_max_local_error_reset_streams(Some(MISTAKES))
        .timeout(ANSWER)
        .layer(AuthLayer::new(book))
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
    // Beside its performer and the sessions, on the runtime's own threads.
    let driver = AbortOnDropHandle::new(tokio::spawn(driver));
    let driver = driver.map(|ended| match ended {
        Ok(ended) => ended,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    });
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
    checked.map_err(|why| ServeError::Probe {
        store: url.to_owned(),
        why,
    })
}

#[cfg(test)]
mod tests;
