//! The tokens that are valid now: read from the store again and again, so
//! that new and revoked ones take effect while the coordinator runs.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ablate_proto::access::{Role, Token};
use object_store::ObjectStore;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::tokens::{self, Names, TokenError};

/// Between two readings of the store.
const REFRESH: Duration = Duration::from_secs(3);
/// An unknown token may be a new one: the store is asked, but not more often.
const PAUSE: Duration = Duration::from_millis(500);

/// Why somebody may not come in. Each is a sentence that says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "this coordinator asks for a token: join with the string that `ablate token create` \
         prints on its machine, or name the token's file with --token-file"
    )]
    Missing,
    #[error(
        "this token is not known to the coordinator: is it for another one? `ablate token \
         create` makes one"
    )]
    Unknown,
    #[error("this token has expired: ask for a new one (`ablate token create`)")]
    Expired,
    #[error("this token was revoked: ask for a new one (`ablate token create`)")]
    Revoked,
}

/// Says when, and why, a caller who was let in is no longer welcome.
pub(super) type Ending = watch::Receiver<Option<Refusal>>;

/// Somebody who was let in.
pub(super) struct Caller {
    /// `None` where no token is asked for.
    pub(super) token: Option<(String, Role)>,
    pub(super) ending: Ending,
}

struct Entry {
    role: Role,
    hash: blake3::Hash,
    expires: Option<u64>,
    ended: watch::Sender<Option<Refusal>>,
}

#[derive(Default)]
struct Known {
    entries: HashMap<String, Entry>,
    /// The store has tokens, valid or not: everybody needs one.
    asked: bool,
}

pub(crate) struct Book {
    /// `None`: nobody needs a token, whatever the store holds.
    store: Option<Arc<dyn ObjectStore>>,
    known: RwLock<Known>,
    /// Callers without a token, where none is needed.
    anonymous: watch::Sender<Option<Refusal>>,
    read_at: Mutex<Option<Instant>>,
}

impl Book {
    /// Lets everybody in.
    pub(crate) fn open() -> Self {
        Self::of(None)
    }

    /// Asks for tokens as soon as the store has any.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn read(store: Arc<dyn ObjectStore>) -> Result<Self, TokenError> {
        let book = Self::of(Some(store));
        book.refresh(Instant::now()).await?;
        Ok(book)
    }

    fn of(store: Option<Arc<dyn ObjectStore>>) -> Self {
        Self {
            store,
            known: RwLock::default(),
            anonymous: watch::Sender::new(None),
            read_at: Mutex::default(),
        }
    }

    /// Reads the store every few seconds; does not end.
    pub(crate) async fn follow(&self) {
        loop {
            tokio::time::sleep(REFRESH).await;
            if let Err(error) = self.refresh(Instant::now()).await {
                tracing::warn!(%error, "tokens stay as they were");
            }
        }
    }

    /// Whether some token would be let in now.
    pub(crate) fn has_valid(&self) -> bool {
        let now = tokens::now();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.entries.values().any(|e| e.refusal(now).is_none())
    }

    /// Who presents this text, or why it does not do.
    pub(super) async fn check(&self, presented: Option<&str>) -> Result<Caller, Refusal> {
        let arrived = Instant::now();
        if self.has_not_heard_of(presented)
            && let Err(error) = self.refresh(arrived).await
        {
            tracing::warn!(%error, "tokens stay as they were");
        }
        self.look(presented)
    }

    /// Whether it could be a token that is newer than the last reading.
    fn has_not_heard_of(&self, presented: Option<&str>) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let token = presented.and_then(|text| text.parse::<Token>().ok());
        token.is_some_and(|token| !known.entries.contains_key(token.id()))
    }

    fn look(&self, presented: Option<&str>) -> Result<Caller, Refusal> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if !known.asked {
            let ending = self.anonymous.subscribe();
            return Ok(Caller {
                token: None,
                ending,
            });
        }
        let token = presented.ok_or(Refusal::Missing)?;
        let token: Token = token.parse().map_err(|_| Refusal::Unknown)?;
        let entry = known.entries.get(token.id()).ok_or(Refusal::Unknown)?;
        // Hashes of blake3 are compared in constant time.
        if tokens::hash(&token) != entry.hash {
            return Err(Refusal::Unknown);
        }
        match entry.refusal(tokens::now()) {
            Some(refusal) => Err(refusal),
            None => Ok(Caller {
                token: Some((token.id().to_owned(), entry.role)),
                ending: entry.ended.subscribe(),
            }),
        }
    }

    /// Reads the store, unless somebody has since this time. Not too often,
    /// whoever asks: others wait their turn.
    async fn refresh(&self, since: Instant) -> Result<(), TokenError> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let mut read_at = self.read_at.lock().await;
        if let Some(at) = *read_at {
            if at >= since {
                return Ok(());
            }
            tokio::time::sleep_until(at + PAUSE).await;
        }
        *read_at = Some(Instant::now());
        let names = Names::read(store).await?;
        let missing: Vec<&String> = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let new = |id: &&String| !known.entries.contains_key(*id);
            names.tokens.iter().filter(new).collect()
        };
        let mut read = Vec::new();
        for id in missing {
            match Entry::read(store, id).await {
                Ok(entry) => read.push((id.clone(), entry)),
                // Nobody gets in with it; the others are as good as before.
                Err(error) => tracing::warn!(token = id, %error, "a token is left out"),
            }
        }
        self.take(&names, read);
        Ok(())
    }

    fn take(&self, names: &Names, read: Vec<(String, Entry)>) {
        let now = tokens::now();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.entries.extend(read);
        for (id, entry) in &known.entries {
            let gone = names.revoked.contains(id) || !names.tokens.contains(id);
            let ends = gone
                .then_some(Refusal::Revoked)
                .or_else(|| entry.refusal(now));
            if let Some(refusal) = ends
                && entry.ended.borrow().is_none()
            {
                tracing::info!(token = id, why = %refusal, "a token is no longer valid");
                entry.ended.send_replace(Some(refusal));
            }
        }
        if !names.tokens.is_empty() && !known.asked {
            known.asked = true;
            self.anonymous.send_replace(Some(Refusal::Missing));
        }
    }
}

impl Entry {
    async fn read(store: &Arc<dyn ObjectStore>, id: &str) -> Result<Self, TokenError> {
        let record = tokens::read(store, id).await?;
        let hash = blake3::Hash::from_hex(&record.hash).map_err(|e| TokenError::Damaged {
            path: ablate_proto::layout::token(id).into(),
            why: e.to_string(),
        })?;
        Ok(Self {
            role: record.role,
            hash,
            expires: record.expires,
            ended: watch::Sender::new(None),
        })
    }

    fn refusal(&self, now: u64) -> Option<Refusal> {
        let expired = self.expires.is_some_and(|at| at <= now);
        (*self.ended.borrow()).or_else(|| expired.then_some(Refusal::Expired))
    }
}

#[cfg(test)]
mod tests;
