//! Weights of networks that metrics use, on their way into a store: checked,
//! kept under the digest of their content, and named last.

use std::path::PathBuf;
use std::sync::Arc;

use ablate_coordinator::gc::{self, Pending};
use ablate_coordinator::weights;
use ablate_proto::dataset::short;
use ablate_proto::layout;
use ablate_proto::weights::{Named, Origin, WEIGHTS_VERSION};
use ablate_worker::weights::{Error as Unreadable, InceptionWeights, Weights};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, WriteMultipart,
};

/// A part of an upload.
const PART: usize = 8 << 20;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "`{name}` stands for the weights {} already, and these are {}; choose another name, or \
         say --replace",
        short(before),
        short(now)
    )]
    Taken {
        name: String,
        before: String,
        now: String,
    },
    #[error("{doing} failed: {source}; give the same command again")]
    Store { doing: String, source: StoreError },
    #[error(transparent)]
    Look(#[from] weights::Error),
    #[error("`ablate gc` has removed what was being imported; import it again")]
    Collected,
    #[error(transparent)]
    Pending(#[from] Pending),
}

impl Error {
    fn store(doing: &str, path: &str) -> impl FnOnce(StoreError) -> Self {
        let doing = format!("{doing} {path}");
        move |source| Self::Store { doing, source }
    }
}

/// Weights that were read and are those of a known network.
pub(crate) struct Read {
    content: Bytes,
    digest: String,
    origin: Origin,
    unknown: Vec<String>,
    auxiliary: usize,
}

pub(crate) struct Imported {
    pub(crate) named: Named,
    /// The name stood for these very weights.
    pub(crate) already: bool,
    /// Tensors of the file that nobody knows.
    pub(crate) unknown: Vec<String>,
    /// Tensors that only training needs.
    pub(crate) auxiliary: usize,
}

/// Reads and checks a user's file.
///
/// # Errors
/// It cannot be read, or is of another network: names the first tensor that
/// is wrong.
pub(crate) async fn read(file: PathBuf, key: Option<String>) -> Result<Read, Unreadable> {
    let read = tokio::task::spawn_blocking(move || {
        let mut weights = Weights::open(&file, key.as_deref())?;
        let inception = InceptionWeights::read(&mut weights)?;
        let content = inception.to_bytes()?;
        let mut hasher = blake3::Hasher::new();
        let hashed = std::fs::File::open(&file).and_then(|open| {
            hasher.update_reader(open)?;
            Ok(())
        });
        hashed.map_err(|error| Unreadable::Io {
            doing: "reading",
            path: file.clone(),
            error,
        })?;
        Ok(Read {
            digest: blake3::hash(&content).to_hex().to_string(),
            content: content.into(),
            origin: Origin {
                path: file.display().to_string(),
                blake3: hasher.finalize().to_hex().to_string(),
            },
            unknown: inception.unknown,
            auxiliary: inception.auxiliary,
        })
    });
    match read.await {
        Ok(read) => read,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Stores weights, and names them.
///
/// # Errors
/// The name stands for others, or the store does not answer.
pub(crate) async fn import(
    store: &Arc<dyn ObjectStore>,
    name: &str,
    read: Read,
    replace: bool,
) -> Result<Imported, Error> {
    let Read {
        content,
        digest,
        origin,
        unknown,
        auxiliary,
    } = read;
    // With --replace whatever was there goes, even if it cannot be read.
    let before = match weights::find(store, name).await {
        Err(weights::Error::Broken { .. }) if replace => None,
        before => before?,
    };
    let before = before.map(|named| named.digest);
    let already = before.as_ref() == Some(&digest);
    if let Some(before) = before.filter(|_| !already && !replace) {
        return Err(taken(name, before, &digest));
    }
    let named = Named {
        version: WEIGHTS_VERSION,
        name: name.to_owned(),
        network: "inception".to_owned(),
        bytes: content.len() as u64,
        digest,
        origin,
    };
    if replace || !is_there(store, &named).await? {
        put(store, &layout::weights(&named.digest), content).await?;
    }
    let path = layout::weights_name(name);
    if !already || replace {
        create(store, &path, &named, replace).await?;
    }
    // A collection that did not see the name is still at it, or has ended.
    gc::quiet(store, &Path::from(path)).await?;
    if !is_there(store, &named).await? {
        return Err(Error::Collected);
    }
    Ok(Imported {
        named,
        already,
        unknown,
        auxiliary,
    })
}

async fn is_there(store: &Arc<dyn ObjectStore>, named: &Named) -> Result<bool, Error> {
    let path = layout::weights(&named.digest);
    match store.head(&Path::from(path.as_str())).await {
        Ok(found) => Ok(found.size == named.bytes),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(source) => Err(Error::store("looking for", &path)(source)),
    }
}

/// In parts: a request of a hundred megabytes may outlast its time limit.
async fn put(store: &Arc<dyn ObjectStore>, path: &str, content: Bytes) -> Result<(), Error> {
    let failed = || Error::store("writing", path);
    let upload = store.put_multipart(&Path::from(path)).await;
    let mut upload = WriteMultipart::new_with_chunk_size(upload.map_err(failed())?, PART);
    let mut rest = content;
    while !rest.is_empty() {
        upload.put(rest.split_to(rest.len().min(PART)));
        if let Err(source) = upload.wait_for_capacity(2).await {
            // What cannot be removed now is swept as an orphan.
            drop(upload.abort().await);
            return Err(failed()(source));
        }
    }
    upload.finish().await.map(drop).map_err(failed())
}

async fn create(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    named: &Named,
    replace: bool,
) -> Result<(), Error> {
    let json = match serde_json::to_vec_pretty(named) {
        Ok(json) => json,
        Err(e) => unreachable!("what a name stands for serialises: {e}"),
    };
    let mode = if replace {
        PutMode::Overwrite
    } else {
        PutMode::Create
    };
    let key = Path::from(path);
    match store
        .put_opts(&key, json.into(), PutOptions::from(mode))
        .await
    {
        Ok(_) => Ok(()),
        // By another import; or by this one, and the answer was lost.
        Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
            match weights::find(store, &named.name).await? {
                Some(other) if other.digest == named.digest => Ok(()),
                Some(other) => Err(taken(&named.name, other.digest, &named.digest)),
                None => Err(Error::Collected),
            }
        }
        Err(source) => Err(Error::store("writing", path)(source)),
    }
}

fn taken(name: &str, before: String, now: &str) -> Error {
    Error::Taken {
        name: name.to_owned(),
        before,
        now: now.to_owned(),
    }
}
