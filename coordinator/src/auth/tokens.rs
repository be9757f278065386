//! Tokens as they lie in the store: made, listed and revoked by creating
//! objects, so that any store will do. No secret is among them.
//!
//! ```text
//! auth/tokens/<id>.json    role, hash, until when; created if absent
//! auth/revoked/<id>        there once the token is revoked
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ablate_proto::access::{Role, Token};
use ablate_proto::layout;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    pub role: Role,
    /// blake3 of the whole token: 128 random bits need no salt.
    pub hash: String,
    /// Seconds since 1970.
    pub created: u64,
    pub expires: Option<u64>,
    /// For people: whose it is.
    #[serde(default)]
    pub note: String,
}

/// A token that the store knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub record: Record,
    pub revoked: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the tokens in the store could not be {doing}: {source}")]
    Store {
        doing: &'static str,
        source: object_store::Error,
    },
    #[error("{path} in the store is damaged ({why}): revoke the token, or delete the object")]
    Damaged { path: Path, why: String },
    #[error("there is no token `{0}` in this store; `ablate token list` shows them")]
    Unknown(String),
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("a validity of {0:?} goes beyond what can be counted")]
    Expiry(Duration),
}

fn failed(doing: &'static str) -> impl FnOnce(object_store::Error) -> TokenError {
    move |source| TokenError::Store { doing, source }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs())
}

pub(super) fn hash(token: &Token) -> blake3::Hash {
    blake3::hash(token.reveal().as_bytes())
}

/// Makes a token. This is the only time that it is there to be shown.
///
/// # Errors
/// The store cannot be written, or gives no random numbers.
pub async fn create(
    store: &Arc<dyn ObjectStore>,
    role: Role,
    valid: Option<Duration>,
    note: &str,
) -> Result<(Token, Record), TokenError> {
    let created = now();
    let expires = match valid {
        Some(valid) => {
            let until = created.checked_add(valid.as_secs());
            Some(until.ok_or(TokenError::Expiry(valid))?)
        }
        None => None,
    };
    loop {
        let (mut id, mut secret) = ([0; 4], [0; 16]);
        getrandom::fill(&mut id).map_err(TokenError::Random)?;
        getrandom::fill(&mut secret).map_err(TokenError::Random)?;
        let token = Token::new(id, secret);
        let record = Record {
            id: token.id().to_owned(),
            role,
            hash: hash(&token).to_hex().to_string(),
            created,
            expires,
            note: note.to_owned(),
        };
        let body = serde_json::to_vec(&record).unwrap_or_default();
        let path = Path::from(layout::token(&record.id));
        let put = store.put_opts(&path, body.into(), PutMode::Create.into());
        match put.await {
            Ok(_) => return Ok((token, record)),
            // The id is taken: another one.
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(e) => return Err(failed("written")(e)),
        }
    }
}

/// All tokens, by the time they were made.
///
/// # Errors
/// The store cannot be read, or holds something else there.
pub async fn list(store: &Arc<dyn ObjectStore>) -> Result<Vec<Listed>, TokenError> {
    let names = Names::read(store).await?;
    let mut listed = Vec::new();
    for id in &names.tokens {
        let record = read(store, id).await?;
        let revoked = names.revoked.contains(id);
        listed.push(Listed { record, revoked });
    }
    listed.sort_by(|a, b| {
        let key = |l: &Listed| (l.record.created, l.record.id.clone());
        key(a).cmp(&key(b))
    });
    Ok(listed)
}

/// Ends a token for good. Again is no error.
///
/// # Errors
/// There is no such token, or the store cannot be written.
pub async fn revoke(store: &Arc<dyn ObjectStore>, id: &str) -> Result<(), TokenError> {
    let names = Names::read(store).await?;
    if !names.tokens.contains(id) {
        return Err(TokenError::Unknown(id.to_owned()));
    }
    let path = Path::from(layout::revoked_token(id));
    let body = now().to_string().into_bytes();
    match store
        .put_opts(&path, body.into(), PutMode::Create.into())
        .await
    {
        Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Err(e) => Err(failed("revoked")(e)),
    }
}

pub(super) async fn read(store: &Arc<dyn ObjectStore>, id: &str) -> Result<Record, TokenError> {
    let path = Path::from(layout::token(id));
    let got = store.get(&path).await.map_err(failed("read"))?;
    let bytes = got.bytes().await.map_err(failed("read"))?;
    let damaged = |why: String| TokenError::Damaged {
        path: path.clone(),
        why,
    };
    let record: Record = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    if record.id != id {
        return Err(damaged(format!("it names the token {}", record.id)));
    }
    Ok(record)
}

/// Which tokens there are, by one listing.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) tokens: BTreeSet<String>,
    pub(super) revoked: BTreeSet<String>,
}

impl Names {
    pub(super) async fn read(store: &Arc<dyn ObjectStore>) -> Result<Self, TokenError> {
        let prefix = Path::from(layout::AUTH);
        let objects: Vec<_> = store
            .list(Some(&prefix))
            .try_collect()
            .await
            .map_err(failed("listed"))?;
        let mut names = Self::default();
        for object in objects {
            let path = object.location.to_string();
            let mut parts = path.split('/').skip(1);
            match (parts.next(), parts.next(), parts.next()) {
                (Some("tokens"), Some(name), None) => {
                    if let Some(id) = name.strip_suffix(".json") {
                        names.tokens.insert(id.to_owned());
                    }
                }
                (Some("revoked"), Some(id), None) => {
                    names.revoked.insert(id.to_owned());
                }
                _ => {}
            }
        }
        Ok(names)
    }
}
