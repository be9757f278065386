//! What Inception makes of images as an artefact, `features.safetensors`:
//! `features` `[n, 2048]` and, of samples, `logits` `[n, 1008]`, in the order
//! of the images. Neither is there where the store had no weights. Files are
//! written and read a block of rows at a time.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use ablate_proto::dataset::short;
use ablate_proto::failure::Failure;
use ablate_proto::stage::FidMode;
use serde::{Deserialize, Serialize};

use super::vectors::{BLOCK, Vectors};
use crate::data::rows::{RowFile, RowWriter};
use crate::models::inception::{CLASSES, FEATURES};
use crate::runner::pulse;

pub(crate) const FILE: &str = "features.safetensors";

/// How images are seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct View {
    /// blake3 of Inception's weights; empty: there were none.
    pub(crate) weights: String,
    pub(crate) mode: FidMode,
}

/// A file that is being written.
pub(crate) struct StoredWriter(RowWriter);

impl StoredWriter {
    /// Begins the file of `n` images.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn create(
        folder: &Path,
        view: &View,
        n: usize,
        logits: bool,
    ) -> Result<Self, Failure> {
        let arrays = [("features", [n, FEATURES]), ("logits", [n, CLASSES])];
        let arrays = if logits { &arrays[..] } else { &arrays[..1] };
        Ok(Self(RowWriter::create(&folder.join(FILE), view, arrays)?))
    }

    /// Says that there were no weights.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub(crate) fn nothing(folder: &Path, view: &View) -> Result<(), Failure> {
        Ok(RowWriter::create(&folder.join(FILE), view, &[])?.finish()?)
    }

    /// Adds images: their features, and their logits if the file has some.
    ///
    /// # Errors
    /// When they cannot be written, or are too many.
    pub(crate) fn push(&mut self, features: &[f32], logits: Option<&[f32]>) -> Result<(), Failure> {
        self.0.push(0, features)?;
        Ok(logits.map_or(Ok(()), |logits| self.0.push(1, logits))?)
    }

    /// Adds all images of another file.
    ///
    /// # Errors
    /// When they cannot be read or written, or are too many.
    pub(crate) fn append(&mut self, part: &Stored) -> Result<(), Failure> {
        for start in (0..part.n).step_by(BLOCK) {
            let block = start..part.n.min(start + BLOCK);
            let logits = part.logits();
            let logits = logits.as_ref().map(|logits| logits.rows(block.clone()));
            let logits = logits.transpose()?;
            self.push(&part.features().rows(block)?, logits.as_deref())?;
            pulse::beat();
        }
        Ok(())
    }

    /// # Errors
    /// When there were too few images.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        Ok(self.0.finish()?)
    }
}

/// A file of which the header alone is in memory.
#[derive(Debug)]
pub(crate) struct Stored {
    file: RowFile,
    pub(crate) n: usize,
    features: usize,
    logits: Option<usize>,
}

impl Stored {
    /// Opens what was seen in the way of `view`; none if there were no
    /// weights.
    ///
    /// # Errors
    /// When the file is absent or broken, or images were seen in another way.
    pub(crate) fn open(folder: &Path, view: &View) -> Result<Option<Self>, Failure> {
        let (found, file) = RowFile::open::<View>(&folder.join(FILE))?;
        if found != *view {
            let [found, view] = [&found, view].map(|view| {
                let weights = match view.weights.as_str() {
                    "" => "no weights".to_owned(),
                    digest => format!("the weights {}…", short(digest)),
                };
                format!("{weights} and resizing as by {}", view.mode.program())
            });
            let why = format!("its features are of {found}, but {view} are asked for");
            return Err(file.wrong(why).into());
        }
        if view.weights.is_empty() {
            return Ok(None);
        }
        let features = file.find("features")?;
        let logits = file.find("logits")?;
        let fits = |found: Option<(usize, [usize; 2])>, shape| found.is_none_or(|f| f.1 == shape);
        match features {
            Some((features, [n, FEATURES])) if fits(logits, [n, CLASSES]) => Ok(Some(Self {
                file,
                n,
                features,
                logits: logits.map(|(logits, _)| logits),
            })),
            _ => Err(file.wrong("its arrays do not fit together").into()),
        }
    }

    /// Refuses features of other numbers of images, or, where logits are
    /// needed, of what was not drawn.
    ///
    /// # Errors
    /// When they are.
    pub(crate) fn check(&self, n: usize, logits: bool) -> Result<(), Failure> {
        if self.n != n {
            let why = format!("it is of {} images, not of these {n}", self.n);
            return Err(self.file.wrong(why).into());
        }
        if logits && self.logits.is_none() {
            let why = "it has no logits, which samples have";
            return Err(self.file.wrong(why).into());
        }
        Ok(())
    }

    pub(crate) fn features(&self) -> Matrix<'_> {
        self.matrix(self.features, FEATURES)
    }

    /// Those of samples.
    pub(crate) fn logits(&self) -> Option<Matrix<'_>> {
        self.logits.map(|logits| self.matrix(logits, CLASSES))
    }

    fn matrix(&self, array: usize, width: usize) -> Matrix<'_> {
        Matrix {
            file: &self.file,
            array,
            n: self.n,
            width,
        }
    }
}

/// An array of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    file: &'a RowFile,
    array: usize,
    n: usize,
    width: usize,
}

impl Vectors for Matrix<'_> {
    fn n(&self) -> usize {
        self.n
    }

    fn width(&self) -> usize {
        self.width
    }

    fn rows(&self, range: Range<usize>) -> Result<Cow<'_, [f32]>, Failure> {
        Ok(self.file.f32(self.array, range)?.into())
    }
}
