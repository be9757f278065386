//! Why there is no connection, in sentences.

use std::error::Error;
use std::io;

/// What went wrong before HTTP/2 was spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    #[error(
        "the name `{host}` is not known on this machine ({why}): check it, or use the \
         coordinator's address"
    )]
    UnknownHost { host: String, why: String },
    #[error(
        "no TLS is spoken there: start the coordinator with --tls-dir, or join without TLS, \
         as host:port, where that is on this machine"
    )]
    NoTls,
    #[error(
        "TLS is spoken there: join with the string that `ablate token create` prints on the \
         coordinator's machine, instead of host:port"
    )]
    NeedsTls,
    #[error(
        "the connection was closed before TLS was agreed on: is that the coordinator's gRPC \
         port, and does it have room for another connection?"
    )]
    Closed,
    #[error(
        "the fingerprint in the join string is not that of the coordinator's authority: either \
         the certificates were made anew, and `ablate token create` prints a string that is \
         right, or somebody else answers there"
    )]
    WrongFingerprint,
    #[error(
        "the coordinator's certificate has expired: run `ablate cert renew` on its machine and \
         start it again (or this machine's clock is wrong)"
    )]
    Expired,
    #[error("the coordinator's certificate is not valid yet: compare the clocks of both machines")]
    NotYetValid,
    #[error(
        "the coordinator's certificate is for other names than `{host}`: join by one of those, \
         or run `ablate cert renew --name {host}` on its machine and start it again"
    )]
    WrongName { host: String },
    #[error("TLS failed: {0}")]
    Tls(String),
}

impl DialError {
    /// Whether trying again is of no use.
    pub fn is_final(&self) -> bool {
        match self {
            Self::UnknownHost { .. } | Self::Closed => false,
            Self::NoTls
            | Self::NeedsTls
            | Self::WrongFingerprint
            | Self::Expired
            | Self::NotYetValid
            | Self::WrongName { .. }
            | Self::Tls(_) => true,
        }
    }
}

impl From<DialError> for io::Error {
    fn from(error: DialError) -> Self {
        Self::other(error)
    }
}

/// A connection or a call that failed on the way, as a person is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub why: String,
    /// Trying again is of no use.
    pub is_final: bool,
}

impl Problem {
    /// Looks below "transport error" for the reason.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut innermost = error;
        let mut next = Some(error);
        let mut http2 = false;
        while let Some(error) = next {
            let io = error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            let dial = io.and_then(|inner| inner.downcast_ref::<DialError>());
            if let Some(dial) = dial {
                return Self::of_dial(dial);
            }
            if let Some(error) = error.downcast_ref::<h2::Error>() {
                if error.reason() == Some(h2::Reason::INADEQUATE_SECURITY) {
                    return Self::of_dial(&DialError::NeedsTls);
                }
                http2 = !error.is_io() && !error.is_go_away();
            }
            innermost = error;
            next = error.source();
        }
        let mut why = innermost.to_string();
        if http2 {
            why.push_str("; is that the gRPC port of an ablate coordinator?");
        }
        let is_final = false;
        Self { why, is_final }
    }

    fn of_dial(error: &DialError) -> Self {
        Self {
            why: error.to_string(),
            is_final: error.is_final(),
        }
    }
}
