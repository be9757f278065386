//! How connections to the coordinator are opened: TCP, with TLS where its
//! authority is known, or whatever a caller has instead.

mod problem;
mod tls;

pub use problem::{DialError, Problem};

use std::io;
use std::sync::Arc;

use ablate_proto::access::Fingerprint;
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Error, Uri};
use tower::service_fn;

/// What a connection must be able to do.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<IO: AsyncRead + AsyncWrite + Send + Unpin> Stream for IO {}

pub type Opened = BoxFuture<'static, io::Result<Box<dyn Stream>>>;

/// Opens connections to the host and port of a URI.
#[derive(Clone)]
pub struct Dial(Arc<dyn Fn(Uri) -> Opened + Send + Sync>);

impl Dial {
    pub fn new(open: impl Fn(Uri) -> Opened + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// Plain TCP.
    pub fn tcp() -> Self {
        Self::new(|uri| {
            async move {
                let stream: Box<dyn Stream> = Box::new(tcp(&uri).await?.1);
                Ok(stream)
            }
            .boxed()
        })
    }

    /// TLS, to a coordinator whose certificate was made by the authority with
    /// this fingerprint.
    ///
    /// # Errors
    /// TLS cannot be set up on this machine.
    pub fn tls(authority: Fingerprint) -> Result<Self, DialError> {
        let connector = tls::connector(authority)?;
        Ok(Self::new(move |uri| {
            let connector = connector.clone();
            async move {
                let (host, stream) = tcp(&uri).await?;
                let stream = tls::connect(&connector, host, stream).await?;
                let stream: Box<dyn Stream> = Box::new(stream);
                Ok(stream)
            }
            .boxed()
        }))
    }

    /// A channel to the endpoint, on a connection that is open.
    ///
    /// # Errors
    /// No connection could be opened.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, Error> {
        let open = self.0.clone();
        let connector = service_fn(move |uri| open(uri).map(|io| io.map(TokioIo::new)));
        endpoint.connect_with_connector(connector).await
    }
}

impl std::fmt::Debug for Dial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dial")
    }
}

/// The host's name, and a connection to it.
async fn tcp(uri: &Uri) -> io::Result<(String, TcpStream)> {
    let nowhere = || io::Error::new(io::ErrorKind::InvalidInput, "no host and port are named");
    let host = uri.host().ok_or_else(nowhere)?;
    let port = uri.port_u16().ok_or_else(nowhere)?;
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let addresses = tokio::net::lookup_host((host.as_str(), port)).await;
    let addresses: Vec<_> = addresses
        .map_err(|e| DialError::UnknownHost {
            host: host.clone(),
            why: e.to_string(),
        })?
        .collect();
    let stream = TcpStream::connect(&addresses[..]).await?;
    stream.set_nodelay(true)?;
    Ok((host, stream))
}
