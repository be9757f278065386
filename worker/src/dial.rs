//! How connections to the coordinator are opened: TCP, or whatever a caller
//! has instead.

use std::io;
use std::sync::Arc;

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
                let stream: Box<dyn Stream> = Box::new(tcp(&uri).await?);
                Ok(stream)
            }
            .boxed()
        })
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

async fn tcp(uri: &Uri) -> io::Result<TcpStream> {
    let nowhere = || io::Error::new(io::ErrorKind::InvalidInput, "no host and port are named");
    let host = uri.host().ok_or_else(nowhere)?;
    let port = uri.port_u16().ok_or_else(nowhere)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
