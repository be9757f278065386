//! Every RPC of the contract, called by those who may and by those who may
//! not, over a real connection.

use std::time::Duration;

use ablate_proto::access::{RPCS, Role, Token};
use bytes::Bytes;
use object_store::memory::InMemory;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::codegen::http::{HeaderMap, Request};

use super::*;
use crate::auth::tokens;

/// A message of no bytes, as gRPC frames it.
const EMPTY: &[u8] = &[0; 5];

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    async fn start(store: Arc<dyn ObjectStore>, tokens: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Settings {
            tokens,
            ..Settings::default()
        };
        let stop = CancellationToken::new();
        let (ready, address) = oneshot::channel();
        let serving = serve(settings, store, listener, stop.clone(), |address| {
            ready.send(address).unwrap();
        });
        let serving = tokio::spawn(serving);
        Self {
            address: address.await.unwrap(),
            stop,
            serving,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap().unwrap();
    }

    /// The status of a call, and its message.
    async fn call(&self, path: &str, bearer: Option<&str>, body: &'static [u8]) -> (Code, String) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(bearer) = bearer {
            request = request.header("authorization", bearer);
        }
        let mut client = client.ready().await.unwrap();
        let (response, mut sent) = client
            .send_request(request.body(()).unwrap(), false)
            .unwrap();
        // It may have been refused before its body went out.
        let _ = sent.send_data(Bytes::from_static(body), true);
        let response = response.await.unwrap();
        let headers = response.headers().clone();
        let mut body = response.into_body();
        let answer = async {
            while let Some(data) = body.data().await {
                data.unwrap();
            }
            body.trailers().await.unwrap().unwrap_or_default()
        };
        let answer = tokio::time::timeout(Duration::from_secs(30), answer);
        let trailers = answer.await.expect("the answer ends");
        connection.abort();
        status(&headers)
            .or_else(|| status(&trailers))
            .expect("a status")
    }
}

fn status(headers: &HeaderMap) -> Option<(Code, String)> {
    let status = tonic::Status::from_header_map(headers)?;
    Some((status.code(), status.message().to_owned()))
}

fn bearer(token: &Token) -> String {
    format!("Bearer {}", token.reveal())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rpc_is_refused_to_those_who_may_not_and_open_to_those_who_may() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let make = async |role, valid| tokens::create(&store, role, valid, "").await.unwrap().0;
    let day = Some(Duration::from_secs(24 * 3600));
    let expired = make(Role::Admin, Some(Duration::ZERO)).await;
    let revoked = make(Role::Admin, day).await;
    tokens::revoke(&store, revoked.id()).await.unwrap();
    let mut roles = Vec::new();
    for role in Role::ALL {
        roles.push((role, make(role, day).await));
    }
    let server = Server::start(store.clone(), true).await;
    let strange = bearer(&Token::new([7; 4], [7; 16]));
    assert!(!RPCS.is_empty());
    for path in RPCS {
        for (why, presented) in [
            ("none", None),
            ("garbage", Some("Bearer garbage".to_owned())),
            ("no scheme", Some(roles[2].1.reveal().to_owned())),
            ("strange", Some(strange.clone())),
            ("expired", Some(bearer(&expired))),
            ("revoked", Some(bearer(&revoked))),
        ] {
            let (code, message) = server.call(path, presented.as_deref(), EMPTY).await;
            assert_eq!(code, Code::Unauthenticated, "{path}, {why}: {message}");
            assert!(message.contains("ablate token create"), "{message}");
        }
        for (role, token) in &roles {
            let (code, message) = server.call(path, Some(&bearer(token)), EMPTY).await;
            assert_ne!(code, Code::Unauthenticated, "{path}, {role}: {message}");
            let may = match role {
                Role::Worker => path.contains("/ablate.v1.Cluster/"),
                Role::User => path.contains("/ablate.v1.Sweeps/") && !path.ends_with("/Drain"),
                Role::Admin => true,
            };
            let refused = code == Code::PermissionDenied;
            assert_eq!(refused, !may, "{path}, {role}: {message}");
            if refused {
                assert!(message.contains("--role"), "{message}");
            }
        }
    }
    let (code, _) = server
        .call(
            "/ablate.v1.Sweeps/Unheard",
            Some(&bearer(&roles[2].1)),
            EMPTY,
        )
        .await;
    assert_eq!(code, Code::Unimplemented);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_large_and_compressed_messages_are_refused() {
    // A megabyte more than a sweep with its files may have; a gigabyte that does not
    // come; and a message that says that it is compressed.
    static LARGE: &[u8] = &[0, 0x01, 0xa0, 0, 0];
    static HUGE: &[u8] = &[0, 0x40, 0, 0, 0];
    static COMPRESSED: &[u8] = &[1, 0, 0, 0, 4, 1, 2, 3, 4];
    let server = Server::start(Arc::new(InMemory::new()), true).await;
    for body in [LARGE, HUGE] {
        let submit = server.call("/ablate.v1.Sweeps/Submit", None, body).await;
        assert_eq!(submit.0, Code::OutOfRange, "{}", submit.1);
    }
    for path in RPCS {
        let (code, message) = server.call(path, None, COMPRESSED).await;
        assert!(
            matches!(code, Code::Unimplemented | Code::Internal),
            "{path}: {code:?} {message}"
        );
    }
    // Others are served as before.
    let (code, _) = server.call("/ablate.v1.Sweeps/Status", None, EMPTY).await;
    assert_eq!(code, Code::Ok);
    server.stop().await;
}

#[tokio::test]
async fn off_loopback_tls_and_a_token_are_needed() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let settings = Settings {
        tokens: true,
        ..Settings::default()
    };
    let stop = CancellationToken::new();
    let refused = serve(settings, store, listener, stop, |_| {}).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(
            refused,
            ServeError::Unprotected {
                tls: false,
                token: false,
                ..
            }
        ),
        "{refused}"
    );
}
