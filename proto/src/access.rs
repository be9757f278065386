//! Who may do what: roles, tokens, and the string that lets a machine join.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The path of every RPC of the contract, as requests name it.
pub const RPCS: &[&str] = include!(concat!(env!("OUT_DIR"), "/rpcs.rs"));

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Holds sessions that lease tasks, and does nothing else.
    Worker,
    /// Submits, watches and steers sweeps.
    User,
    /// Everything.
    Admin,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Worker, Self::User, Self::Admin];

    pub fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that is not what it should be. Says nothing of secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAccess(String);

impl InvalidAccess {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

const PREFIX: &str = "ablate_";
const ID: usize = 8;
const SECRET: usize = 32;

/// `ablate_<id>_<secret>`: the id names the token in lists and logs, the
/// secret is 128 random bits in hex. Neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: String,
}

impl Token {
    pub fn new(id: [u8; ID / 2], secret: [u8; SECRET / 2]) -> Self {
        let (id, secret) = (hex::encode(id), hex::encode(secret));
        Self {
            text: format!("{PREFIX}{id}_{secret}"),
        }
    }

    /// Which token it is; no secret.
    pub fn id(&self) -> &str {
        &self.text[PREFIX.len()..PREFIX.len() + ID]
    }

    /// All of it, for the wire or the one time that it is shown.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl FromStr for Token {
    type Err = InvalidAccess;

    fn from_str(text: &str) -> Result<Self, InvalidAccess> {
        let lower_hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let valid = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'))
            .is_some_and(|(id, secret)| lower_hex(id, ID) && lower_hex(secret, SECRET));
        let why = "this is not a token: one looks like ablate_1f3c09aa_… and is made by \
                   `ablate token create`";
        valid
            .then(|| Self {
                text: text.to_owned(),
            })
            .ok_or_else(|| InvalidAccess::new(why))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id())
    }
}

/// SHA-256 of the DER of a certificate of authority, in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidAccess;

    fn from_str(text: &str) -> Result<Self, InvalidAccess> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| {
            InvalidAccess::new(
                "the fingerprint is not 64 hexadecimal digits: copy the whole of what \
                 `ablate token create` printed",
            )
        })?;
        Ok(Self(bytes))
    }
}

/// Where a coordinator is, how it is known, and as whom to speak to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    pub host: String,
    pub port: u16,
    pub token: Option<Token>,
    /// Of its authority; TLS is spoken if it is there.
    pub fingerprint: Option<Fingerprint>,
}

impl Join {
    /// `host:port`, with brackets where the host is an IPv6 address.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The string that another machine needs, with its secret.
    pub fn reveal(&self) -> String {
        let token = self.token.as_ref().map_or("", Token::reveal);
        match &self.fingerprint {
            Some(fingerprint) => format!("ablate://{}#{token}@{fingerprint}", self.address()),
            None => self.address(),
        }
    }
}

impl FromStr for Join {
    type Err = InvalidAccess;

    /// `ablate://host:port#TOKEN@FINGERPRINT` (the token may be missing), or
    /// `host:port` or `http://host:port` for a coordinator without TLS.
    fn from_str(text: &str) -> Result<Self, InvalidAccess> {
        let text = text.trim();
        let (public, secret) = match text.split_once('#') {
            Some((public, secret)) => (public, Some(secret)),
            None => (text, None),
        };
        let refuse = |why: &str| {
            InvalidAccess::new(format!(
                "`{public}` does not name a coordinator: {why}; host:7443 or the string that \
                 `ablate token create` printed is expected"
            ))
        };
        let (address, tls) = match public.split_once("://") {
            Some(("ablate", rest)) => (rest, true),
            Some(("http", rest)) => (rest, false),
            Some((scheme, _)) => return Err(refuse(&format!("{scheme}:// is not known here"))),
            None => (public, false),
        };
        let (host, port) = split_address(address.trim_end_matches('/')).map_err(refuse)?;
        let (token, fingerprint) = match (tls, secret) {
            (true, Some(secret)) => {
                let (token, fingerprint) = secret
                    .rsplit_once('@')
                    .ok_or_else(|| refuse("the fingerprint, behind an @ at its end, is missing"))?;
                let token = (!token.is_empty()).then(|| token.parse()).transpose()?;
                (token, Some(fingerprint.parse()?))
            }
            (true, None) => {
                return Err(refuse(
                    "what follows # is missing (in a shell, put the string in quotes)",
                ));
            }
            (false, Some(_)) => return Err(refuse("a token belongs in a string with ablate://")),
            (false, None) => (None, None),
        };
        Ok(Self {
            host,
            port,
            token,
            fingerprint,
        })
    }
}

fn split_address(address: &str) -> Result<(String, u16), &'static str> {
    let expected = "a port is expected, as in host:7443";
    let (host, port) = address.rsplit_once(':').ok_or(expected)?;
    let port = port.parse().map_err(|_| expected)?;
    let (name, bracketed) = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => (address, true),
        None => (host, false),
    };
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() {
        return Err("the host is missing");
    }
    if bracketed {
        let address: Result<core::net::Ipv6Addr, _> = name.parse();
        address.map_err(|_| "what stands in brackets is not an address")?;
    } else if !name.chars().all(known) {
        return Err("host and port are all that is expected");
    }
    Ok((name.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINGERPRINT: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn token() -> Token {
        Token::new([1, 2, 3, 4], [0xab; 16])
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for host in ["box-1.example", "10.0.0.7", "::1"] {
            let join = Join {
                host: host.to_owned(),
                port: 7443,
                token: Some(token()),
                fingerprint: Some(FINGERPRINT.parse().unwrap()),
            };
            assert_eq!(join.reveal().parse(), Ok(join));
        }
        let plain: Join = "http://[::1]:7443/".parse().unwrap();
        assert_eq!(plain.address(), "[::1]:7443");
        assert_eq!((plain.token, plain.fingerprint), (None, None));
        let anonymous = format!("ablate://box:1#@{FINGERPRINT}");
        assert_eq!(anonymous.parse::<Join>().unwrap().token, None);
    }

    #[test]
    fn bad_strings_are_refused_without_their_secret() {
        let token = token();
        let secret = token.reveal();
        for bad in [
            String::new(),
            "box".to_owned(),
            "https://box:1".to_owned(),
            "box:99999".to_owned(),
            "http://a@b:1".to_owned(),
            "b:1/x".to_owned(),
            "ablate://box:1".to_owned(),
            format!("box:1#{secret}@{FINGERPRINT}"),
            format!("ablate://box:1#{secret}"),
            format!("ablate://box:1#{secret}@{}", &FINGERPRINT[1..]),
            format!("ablate://box:1#{secret}x@{FINGERPRINT}"),
            format!("ablate://:1#{secret}@{FINGERPRINT}"),
        ] {
            let refused = bad.parse::<Join>().unwrap_err().to_string();
            assert!(!refused.contains(&"ab".repeat(16)), "{refused}");
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        let shown = format!("{:?}", token());
        assert_eq!(shown, "Token(01020304)");
        for bad in ["", "ablate_", "ablate_01020304_", "ablate_01020304_ABAB"] {
            assert!(bad.parse::<Token>().is_err());
        }
    }
}
