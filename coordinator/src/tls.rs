//! The coordinator's certificate and key, from a folder that `ablate cert
//! init` makes, or that holds files of the same names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ablate_proto::access::Fingerprint;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ServerConfig};

/// The authority, which joining machines know by its fingerprint.
pub const AUTHORITY: &str = "ca.pem";
pub const AUTHORITY_KEY: &str = "ca-key.pem";
/// The coordinator's certificate, and behind it the authority's: who joins
/// knows no more than the fingerprint.
pub const CHAIN: &str = "server.pem";
pub const KEY: &str = "server-key.pem";

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(
        "the TLS file {} cannot be read: {why}; `ablate cert init --dir {}` makes all of them",
        path.display(), path.parent().unwrap_or(path).display()
    )]
    Unreadable { path: PathBuf, why: String },
    #[error(
        "{} has to hold the authority's certificate behind the coordinator's: \
         append {AUTHORITY} to it, so that joining machines can check the fingerprint",
        .0.display()
    )]
    NoAuthority(PathBuf),
    #[error(
        "the private key {} can be read by others (mode {mode:o}): chmod 600 it",
        path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error("certificate and key in {} cannot be used: {source}", folder.display())]
    Unusable {
        folder: PathBuf,
        source: rustls::Error,
    },
}

/// SHA-256 of the authority's certificate in this folder.
///
/// # Errors
/// The file cannot be read.
pub fn fingerprint(folder: &Path) -> Result<Fingerprint, TlsError> {
    let path = folder.join(AUTHORITY);
    let authority = CertificateDer::from_pem_file(&path);
    let authority = authority.map_err(|e| unreadable(path, &e))?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &authority);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    Ok(Fingerprint(bytes))
}

/// What takes TLS connections: TLS 1.3, HTTP/2 only.
pub(crate) fn acceptor(folder: &Path) -> Result<TlsAcceptor, TlsError> {
    let path = folder.join(CHAIN);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
    let chain = chain.map_err(|e| unreadable(path.clone(), &e))?;
    if chain.len() < 2 {
        return Err(TlsError::NoAuthority(path));
    }
    let path = folder.join(KEY);
    let key = PrivateKeyDer::from_pem_file(&path).map_err(|e| unreadable(path.clone(), &e))?;
    check_mode(path)?;
    let unusable = |source| TlsError::Unusable {
        folder: folder.to_owned(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(unix)]
fn check_mode(path: PathBuf) -> Result<(), TlsError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&path).map_or(0, |m| m.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        return Err(TlsError::Exposed { path, mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: PathBuf) -> Result<(), TlsError> {
    Ok(())
}

fn unreadable(path: PathBuf, why: &rustls::pki_types::pem::Error) -> TlsError {
    let why = match why {
        rustls::pki_types::pem::Error::NoItemsFound => "it holds none".to_owned(),
        rustls::pki_types::pem::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    };
    TlsError::Unreadable { path, why }
}
