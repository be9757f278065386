//! Importing images into a store: finds the format, reads it in parallel and
//! in order, packs pixels into shards, and gives the whole a name.
//!
//! Nothing of what is read is trusted: sizes are bounded before anything is
//! allocated for them. Memory does not grow with the number of images.

mod choose;
mod cifar;
mod decode;
mod folder;
mod format;
mod idx;
mod pack;
pub(crate) mod picture;
mod put;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ablate_coordinator::datasets;
use ablate_coordinator::gc::Pending;
use ablate_proto::dataset::{self, DATASET_VERSION, Description, Meta, Origin, Shard, Split};
use object_store::ObjectStore;
use tokio::sync::mpsc;

use pack::{Contents, Packer};

/// What one shard holds, about; its memory is taken a few times over.
const SHARD_BYTES: usize = 32 << 20;

/// What to import, and as what.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Side of the square that images of a folder become.
    pub(crate) size: Option<u32>,
    /// At most so many images of each split, chosen by the seed.
    pub(crate) limit: Option<usize>,
    pub(crate) seed: u64,
    /// That decode images; 0: one a core.
    pub(crate) threads: usize,
    /// The name may stand for another data set already.
    pub(crate) replace: bool,
}

#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) meta: Meta,
    /// The name stood for this very data set.
    pub(crate) already: bool,
    /// Some of the images that could not be read, and why.
    pub(crate) broken: Vec<String>,
    /// Files that are no images.
    pub(crate) left_out: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("importing {}: {why}", path.display())]
    Input { path: PathBuf, why: String },
    #[error(
        "`{name}` stands for the data set {} already, and this is {}; choose another name, or \
         say --replace",
        dataset::short(before),
        dataset::short(now)
    )]
    Taken {
        name: String,
        before: String,
        now: String,
    },
    #[error("{doing} failed: {source}; the same command goes on from here")]
    Store {
        doing: String,
        source: object_store::Error,
    },
    #[error(transparent)]
    Look(#[from] datasets::Error),
    #[error("`ablate gc` has removed what was being imported; import it again")]
    Collected,
    #[error(transparent)]
    Pending(#[from] Pending),
}

impl Error {
    fn input(path: &Path, why: impl fmt::Display) -> Self {
        let (path, why) = (path.to_owned(), why.to_string());
        Self::Input { path, why }
    }
}

/// What a format knows of its images before it reads them.
struct Shape {
    format: &'static str,
    channels: usize,
    height: usize,
    width: usize,
    labels: Vec<String>,
    /// What is done to the images.
    changes: String,
    /// How many there are to read.
    images: u64,
}

/// What came out of reading them.
#[derive(Debug, Default)]
struct Losses {
    /// Some of them, with why.
    broken: Vec<String>,
    count: u64,
    left_out: u64,
}

/// Where a format hands its images: split, pixels `[c, h, w]`, label.
type Sink<'a> = dyn FnMut(Split, &[u8], u32) -> Result<(), Error> + Send + 'a;

/// Shows how far it is: images done, of so many.
pub(crate) type Progress = Box<dyn Fn(u64, u64) + Send + Sync>;

/// A format with its files found, not yet read.
trait Images: Send {
    fn shape(&self) -> Shape;

    /// Hands over all images, those of `Train` first.
    fn read(self: Box<Self>, sink: &mut Sink<'_>) -> Result<Losses, Error>;
}

/// Imports images, and names them.
///
/// # Errors
/// The images cannot be used, the name is taken, or the store does not
/// answer. Nothing is visible under the name then.
pub(crate) async fn import(
    store: &Arc<dyn ObjectStore>,
    wanted: Wanted,
    progress: Progress,
) -> Result<Imported, Error> {
    // A broken one is said before the work, not after it.
    if !wanted.replace {
        datasets::digest(store, &wanted.name).await?;
    }
    let (shards, packed) = mpsc::channel(1);
    let reading = {
        let wanted = wanted.clone();
        tokio::task::spawn_blocking(move || read(&wanted, shards, &progress))
    };
    let put = put::shards(store, packed, wanted.replace);
    let (read, put) = tokio::join!(reading, put);
    // A store that fails stops the reading; its reason counts.
    let shards = put?;
    let (shape, contents, losses) = match read {
        Ok(read) => read?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    let meta = meta(&wanted.path, shape, contents, shards, losses.count);
    let already = put::name(store, &wanted.name, &meta, wanted.replace).await?;
    Ok(Imported {
        meta,
        already,
        broken: losses.broken,
        left_out: losses.left_out,
    })
}

fn meta(path: &Path, shape: Shape, contents: Contents, shards: Vec<Shard>, broken: u64) -> Meta {
    let description = Description {
        version: DATASET_VERSION,
        channels: shape.channels,
        height: shape.height,
        width: shape.width,
        train: contents.train,
        test: contents.test,
        labels: shape.labels,
    };
    Meta {
        digest: description.digest(),
        description,
        shards,
        origin: Origin {
            format: shape.format.to_owned(),
            path: path.display().to_string(),
            changes: shape.changes,
            broken,
        },
    }
}

type Read = (Shape, Contents, Losses);

fn read(
    wanted: &Wanted,
    shards: mpsc::Sender<pack::Packed>,
    progress: &Progress,
) -> Result<Read, Error> {
    let images = format::find(wanted)?;
    let shape = images.shape();
    let size = shape.channels * shape.height * shape.width;
    let mut packer = Packer::new(size, SHARD_BYTES, shards);
    let mut done = 0;
    let losses = images.read(&mut |split, pixels, label| {
        done += 1;
        progress(done, shape.images);
        let pushed = packer.push(split, pixels, label);
        pushed.map_err(|why| Error::input(&wanted.path, why))
    })?;
    let contents = packer.finish();
    let contents = contents.map_err(|why| Error::input(&wanted.path, why))?;
    if contents.train.images == 0 {
        return Err(Error::input(&wanted.path, "it has no images"));
    }
    Ok((shape, contents, losses))
}

#[cfg(test)]
mod tests;
