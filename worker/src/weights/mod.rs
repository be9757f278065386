//! Weights in and out: what users bring (safetensors, PyTorch's zip files),
//! and what they take away (a task's model in PyTorch's layout).
//!
//! Files come from elsewhere. A tensor counts only if its bytes are there, and
//! nothing is allocated on the word of a file.

mod inception;
mod machine;
mod model;
mod pickle;
mod safe;
mod state;
mod torch;
mod view;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use safetensors::Dtype;

pub use inception::InceptionWeights;
pub use model::{Differences, Misshapen, TaskModel};
pub use write::Overwrite;
pub(crate) use write::header;

pub(crate) use self::safe::SafeFile;
use self::torch::TorchFile;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{doing} {path}: {error}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    #[error("{path} cannot be read: {why}")]
    Format { path: PathBuf, why: String },
    #[error("{0} exists: choose another file, or give --force to replace it")]
    Exists(PathBuf),
    #[error("{0}")]
    Store(String),
    #[error("task {task} {why}")]
    Task { task: String, why: String },
}

impl Error {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { doing, path, error }
    }

    fn format(path: &Path, why: impl Into<String>) -> Self {
        Self::Format {
            path: path.to_owned(),
            why: why.into(),
        }
    }
}

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
}

impl TensorInfo {
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn bytes(&self) -> usize {
        self.elements() * self.dtype.bitsize() / 8
    }
}

/// A file of weights, opened: what is in it is known, nothing was loaded yet.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    source: Source,
    /// Sorted by name.
    tensors: Vec<TensorInfo>,
    /// What stands beside the tensors and is none, with what it is.
    left_out: Vec<(String, String)>,
}

#[derive(Debug)]
enum Source {
    Safe(SafeFile),
    Torch(TorchFile),
}

impl Weights {
    /// Opens a safetensors file, or a PyTorch file (`torch.save` since 1.6)
    /// with a state dict in it, under `key` if one is given.
    ///
    /// # Errors
    /// When the file cannot be read, is of another format, is damaged, or has
    /// no tensors there.
    pub fn open(path: &Path, key: Option<&str>) -> Result<Self, Error> {
        let doing = "reading";
        let mut file = File::open(path).map_err(Error::io(doing, path))?;
        let meta = file.metadata().map_err(Error::io(doing, path))?;
        if !meta.is_file() {
            return Err(Error::format(path, "it is not a file"));
        }
        let mut start = Vec::new();
        let mut head = (&mut file).take(16);
        head.read_to_end(&mut start)
            .map_err(Error::io(doing, path))?;
        let wrong = |why: String| Error::format(path, why);
        let (source, tensors, left_out) = if start.is_empty() {
            return Err(Error::format(path, "it is empty"));
        } else if start.starts_with(b"PK") {
            let (file, tensors, left_out) =
                TorchFile::open(file, meta.len(), key).map_err(wrong)?;
            (Source::Torch(file), tensors, left_out)
        } else if let Some(why) = torch::not_a_zip(&start, path) {
            return Err(wrong(why));
        } else if start.get(8) == Some(&b'{') {
            if key.is_some() {
                let why = "a safetensors file has no keys: leave --key out";
                return Err(Error::format(path, why));
            }
            let (file, tensors) = SafeFile::open(file, meta.len()).map_err(wrong)?;
            (Source::Safe(file), tensors, Vec::new())
        } else {
            let why = "it is neither a safetensors file nor a PyTorch file (a zip archive)";
            return Err(Error::format(path, why));
        };
        if tensors.is_empty() {
            return Err(Error::format(path, "it has no tensors"));
        }
        Ok(Self {
            path: path.to_owned(),
            source,
            tensors,
            left_out,
        })
    }

    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Entries beside the tensors: their names, and what they are.
    pub fn left_out(&self) -> &[(String, String)] {
        &self.left_out
    }

    /// Little-endian bytes of the tensor at a place of `tensors`, row-major.
    fn bytes(&mut self, index: usize) -> Result<Vec<u8>, Error> {
        let bytes = match &mut self.source {
            Source::Safe(file) => file.bytes(index),
            Source::Torch(file) => file.bytes(index),
        };
        bytes.map_err(|why| Error::format(&self.path, why))
    }

    /// Writes all tensors to a safetensors file: whole, or not at all.
    ///
    /// # Errors
    /// When a tensor cannot be read or the file cannot be written.
    pub fn convert(&mut self, out: &Path, overwrite: Overwrite) -> Result<(), Error> {
        let tensors = self.tensors.clone();
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        write::write(out, overwrite, metadata, &tensors, |index| {
            self.bytes(index)
        })
    }
}

#[cfg(test)]
mod tests;
