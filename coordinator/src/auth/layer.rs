//! The layer before all services: nothing of a request is read before its
//! caller is known to be allowed to make it.

use std::sync::Arc;
use std::task::{Context, Poll};

use ablate_proto::access::Role;
use futures::future::BoxFuture;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tower::Layer;

use super::book::{Book, Ending};
use super::cut::{Cut, Way};
use super::policy;
use crate::connection::Peer;

#[derive(Clone)]
pub(crate) struct AuthLayer(Arc<Book>);

impl AuthLayer {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self(book)
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        let book = self.0.clone();
        Auth { inner, book }
    }
}

#[derive(Clone)]
pub(crate) struct Auth<S> {
    inner: S,
    book: Arc<Book>,
}

impl<S> Service<Request<Body>> for Auth<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let waiting = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, waiting);
        let book = self.book.clone();
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>().cloned();
            let path = request.uri().path().to_owned();
            let ending = match admit(&book, &path, request.headers()).await {
                Ok(ending) => ending,
                Err(status) => {
                    let address = peer.and_then(|p| p.address());
                    tracing::debug!(path, ?address, why = status.message(), "refused");
                    return Ok(status.into_http());
                }
            };
            if let Some(peer) = peer {
                peer.admitted();
            }
            request.headers_mut().remove(AUTHORIZATION);
            let request = request.map(|body| Cut::wrap(body, Way::In, ending.clone()));
            let response = inner.call(request).await?;
            Ok(response.map(|body| Cut::wrap(body, Way::Out, ending)))
        })
    }
}

async fn admit(book: &Book, path: &str, headers: &HeaderMap) -> Result<Ending, Status> {
    let roles = policy::roles(path).ok_or_else(|| {
        Status::unimplemented(format!(
            "this coordinator does not know {path}: run the same release on both sides"
        ))
    })?;
    let presented = headers
        .get(AUTHORIZATION)
        .map(|value| value.to_str().unwrap_or_default())
        .map(|value| value.strip_prefix("Bearer ").unwrap_or_default());
    let caller = book.check(presented).await;
    let caller = caller.map_err(|refusal| Status::unauthenticated(refusal.to_string()))?;
    match &caller.token {
        Some((id, role)) if !roles.contains(role) => Err(Status::permission_denied(wrong_role(
            path, id, *role, roles,
        ))),
        Some(_) | None => Ok(caller.ending),
    }
}

fn wrong_role(path: &str, id: &str, role: Role, roles: &[Role]) -> String {
    let rpc = path.rsplit('/').next().unwrap_or(path);
    let wanted = roles.first().copied().unwrap_or(Role::Admin);
    format!(
        "the token {id} has the role `{role}`, and {rpc} takes `{wanted}`: \
         `ablate token create --role {wanted}` makes one"
    )
}
