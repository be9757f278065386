//! TLS to a coordinator that is known by the fingerprint of its authority.

use std::io;
use std::sync::Arc;

use ablate_proto::access::Fingerprint;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring::default_provider, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, OtherError,
    PeerIncompatible, RootCertStore, SignatureScheme,
};

use super::DialError;

pub(super) fn connector(authority: Fingerprint) -> Result<TlsConnector, DialError> {
    let provider = Arc::new(default_provider());
    let verifier = Arc::new(Pinned {
        authority,
        provider: provider.clone(),
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| DialError::Tls(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

pub(super) async fn connect(
    connector: &TlsConnector,
    host: String,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.clone());
    let name = name.map_err(|e| DialError::Tls(format!("`{host}`: {e}")))?;
    connector.connect(name, stream).await.map_err(|e| {
        let tls = e.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match tls {
            Some(tls) => judge(tls, host).into(),
            None if e.kind() == io::ErrorKind::UnexpectedEof => DialError::Closed.into(),
            None => e,
        }
    })
}

fn judge(error: &Error, host: String) -> DialError {
    match error {
        Error::InvalidCertificate(why) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                DialError::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                DialError::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                DialError::WrongName { host }
            }
            CertificateError::Other(OtherError(inner)) if inner.is::<DialError>() => {
                DialError::WrongFingerprint
            }
            other => DialError::Tls(other.to_string()),
        },
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        )
        | Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            DialError::NoTls
        }
        other => DialError::Tls(other.to_string()),
    }
}

/// Takes the certificate with the right fingerprint, of those presented, as
/// the only authority, and then checks as always: signatures, names, dates.
#[derive(Debug)]
struct Pinned {
    authority: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = intermediates.iter().find(|certificate| {
            let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
            digest.as_ref() == self.authority.0
        });
        let wrong = || {
            let error = OtherError(Arc::new(DialError::WrongFingerprint));
            Error::InvalidCertificate(CertificateError::Other(error))
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.ok_or_else(wrong)?.clone().into_owned())?;
        let checked =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        let checked = checked.build().map_err(|e| Error::General(e.to_string()))?;
        checked.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 is needed".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
