//! Finds out at the start whether a store keeps what everything rests on:
//! that of several who create an object one wins, and that what was written
//! is read and listed at once. A store that lies is refused, since two
//! coordinators could decide the same thing twice on it.

use ablate_proto::layout;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use uuid::Uuid;

/// Objects that are raced for at the same time.
const RACES_IN_FLIGHT: usize = 4;

/// How hard a store is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Objects to race for.
    pub keys: usize,
    /// Who try to create each of them at the same time.
    pub writers: usize,
}

impl Probe {
    /// A folder: the operating system either has exclusive creation or not.
    pub const FOLDER: Self = Self {
        keys: 4,
        writers: 8,
    };
    /// A server: of those known to lie, every one lost 8 of 20 such races or
    /// more.
    pub const SERVER: Self = Self {
        keys: 20,
        writers: 16,
    };
}

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("{doing} failed: {source}")]
    Store { doing: &'static str, source: Error },
    #[error("it cannot create objects on the condition that they are absent ({0})")]
    Unconditional(Error),
    #[error(
        "{doubled} of {keys} objects that {writers} writers created at the same time, each on \
         the condition that it was absent, had more than one winner"
    )]
    Winners {
        doubled: usize,
        keys: usize,
        writers: usize,
    },
    #[error("{0} of the objects that were written were not there, or not the same, when read")]
    Unread(usize),
    #[error("an object that was overwritten was still read as it had been")]
    Stale,
    #[error("of {expected} objects that were there, {found} were listed")]
    Unlisted { expected: usize, found: usize },
}

/// Races, reads and lists objects of its own below `probe/`, and removes them.
///
/// # Errors
/// The store does not answer, or does not keep what it promises.
pub async fn check(store: &dyn ObjectStore, probe: Probe) -> Result<(), ProbeError> {
    // Others may probe at the same time.
    let name = format!("{}/{}", layout::PROBE, Uuid::new_v4());
    let found = examine(store, &name, probe).await;
    let removed = remove(store, &name).await;
    found.and(removed)
}

async fn examine(store: &dyn ObjectStore, name: &str, probe: Probe) -> Result<(), ProbeError> {
    let Probe { keys, writers } = probe;
    let key = |number: usize| Path::from(format!("{name}-{number}"));
    let races = (0..keys).map(|number| race(store, key(number), writers));
    let races: Vec<Race> = stream::iter(races)
        .buffer_unordered(RACES_IN_FLIGHT)
        .try_collect()
        .await?;
    let count = |what: Race| races.iter().filter(|race| **race == what).count();
    let doubled = count(Race::Doubled);
    if doubled > 0 {
        return Err(ProbeError::Winners {
            doubled,
            keys,
            writers,
        });
    }
    let unread = count(Race::Unread);
    if unread > 0 {
        return Err(ProbeError::Unread(unread));
    }
    let found = list(store, name).await?.len();
    if found != keys {
        let expected = keys;
        return Err(ProbeError::Unlisted { expected, found });
    }
    overwrite(store, &key(0)).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Race {
    One,
    Doubled,
    Unread,
}

/// Several create the same object at the same time, and all read it.
async fn race(store: &dyn ObjectStore, key: Path, writers: usize) -> Result<Race, ProbeError> {
    let bodies: Vec<String> = (0..writers)
        .map(|writer| format!("writer {writer} {}", Uuid::new_v4()))
        .collect();
    let answers = join_all(bodies.iter().map(|body| {
        let options = PutOptions::from(PutMode::Create);
        store.put_opts(&key, PutPayload::from(body.clone()), options)
    }))
    .await;
    let mut winners = Vec::new();
    let mut unsure = Vec::new();
    for (body, answer) in bodies.iter().zip(answers) {
        match answer {
            Ok(_) => winners.push(body),
            // It may have been ours: a client that tries again meets itself.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => unsure.push(body),
            Err(error @ (Error::NotImplemented { .. } | Error::NotSupported { .. })) => {
                return Err(ProbeError::Unconditional(error));
            }
            Err(source) => {
                let doing = "creating an object to see whether it can be written";
                return Err(ProbeError::Store { doing, source });
            }
        }
    }
    let stands = match store.get(&key).await {
        Ok(found) => found.bytes().await.map_err(reading)?,
        Err(Error::NotFound { .. }) => return Ok(Race::Unread),
        Err(source) => return Err(reading(source)),
    };
    let is_it = |body: &&&String| body.as_bytes() == stands;
    Ok(match winners.as_slice() {
        [one] if is_it(&one) => Race::One,
        [_] => Race::Doubled,
        [] if unsure.iter().any(|body| is_it(&body)) => Race::One,
        [] => Race::Unread,
        _ => Race::Doubled,
    })
}

async fn overwrite(store: &dyn ObjectStore, key: &Path) -> Result<(), ProbeError> {
    let doing = "overwriting an object";
    let body = format!("again {}", Uuid::new_v4());
    let put = store.put(key, PutPayload::from(body.clone()));
    put.await
        .map_err(|source| ProbeError::Store { doing, source })?;
    let found = store.get(key).await.map_err(reading)?;
    let found = found.bytes().await.map_err(reading)?;
    if found == body.as_bytes() {
        Ok(())
    } else {
        Err(ProbeError::Stale)
    }
}

fn reading(source: Error) -> ProbeError {
    let doing = "reading an object that was just written";
    ProbeError::Store { doing, source }
}

async fn list(store: &dyn ObjectStore, name: &str) -> Result<Vec<Path>, ProbeError> {
    let listed = store.list(Some(&Path::from(layout::PROBE)));
    let listed: Vec<_> = listed.try_collect().await.map_err(|source| {
        let doing = "listing objects that were just written";
        ProbeError::Store { doing, source }
    })?;
    let keys = listed.into_iter().map(|object| object.location);
    Ok(keys.filter(|key| key.as_ref().starts_with(name)).collect())
}

async fn remove(store: &dyn ObjectStore, name: &str) -> Result<(), ProbeError> {
    let keys = stream::iter(list(store, name).await?.into_iter().map(Ok)).boxed();
    let deleted = store.delete_stream(keys).try_collect::<Vec<_>>().await;
    match deleted {
        Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
        Err(source) => {
            let doing = "deleting the objects of the probe";
            Err(ProbeError::Store { doing, source })
        }
    }
}

#[cfg(test)]
mod tests;
