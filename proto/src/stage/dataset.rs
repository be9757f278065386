//! `dataset`: a train and a held-out subset of a source of images.

use serde::{Deserialize, Serialize};

use super::{InvalidField, KindInfo, Spec};
use crate::dataset::{DIGITS, is_digest, is_name};

/// Images in the embedded digits.
pub const DIGITS_COUNT: usize = 1797;

/// blake3 of the embedded digits: 1,797 images of 64 bytes, values 0 to 16,
/// then 1,797 labels of one byte.
pub const DIGITS_DIGEST: &str = "112d3db595b93626c22ec25ae4d78ce54f1a88dbdc1a1efa16b7d418a0f0e0d0";

const MAX_UPSAMPLE: usize = 16;
const MAX_SIZE: usize = 4096;
/// Most images of a split: what indices hold.
const MAX_IMAGES: usize = u32::MAX as usize;

/// Which images are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum HeldOutFrom {
    /// The last of the permutation that the training images are the first of.
    #[default]
    Train,
    /// The first of a permutation of the source's own test images.
    Test,
}

/// How pixels come between pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    #[default]
    Nearest,
    /// Pixels are squares, as in PyTorch's `align_corners=False`.
    Bilinear,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetSpec {
    /// `digits`, the 1,797 UCI handwritten digits (8×8) that every worker
    /// has, or the name of an imported data set.
    pub source: String,
    /// Of the imported data set. The planner finds it by the name; a sweep
    /// file that gives it is refused where the name stands for another.
    pub digest: String,
    /// Training images: the first of a permutation drawn from `split_seed`,
    /// so that smaller sets are part of larger ones.
    pub images: usize,
    pub held_out: usize,
    pub held_out_from: HeldOutFrom,
    pub split_seed: u64,
    /// Each pixel becomes so many, in both directions.
    pub upsample: usize,
    pub upsampling: Upsampling,
    /// Side to which images are then cut or filled up with black around
    /// their centre; 0: as they are.
    pub size: usize,
}

impl Default for DatasetSpec {
    fn default() -> Self {
        Self {
            source: DIGITS.to_owned(),
            digest: String::new(),
            images: 64,
            held_out: 64,
            held_out_from: HeldOutFrom::Train,
            split_seed: 0,
            upsample: 1,
            upsampling: Upsampling::Nearest,
            size: 0,
        }
    }
}

impl DatasetSpec {
    /// The name of the imported data set that it draws from, if it does.
    pub fn imported(&self) -> Option<&str> {
        (self.source != DIGITS).then_some(self.source.as_str())
    }

    /// Whether a source with so many images has what is asked of it.
    ///
    /// # Errors
    /// Names what is too much, and how much there is.
    pub fn check_counts(&self, train: usize, test: usize) -> Result<(), InvalidField> {
        let (images, held_out) = (self.images, self.held_out);
        let source = match self.imported() {
            None => "the digits have".to_owned(),
            Some(name) => format!("`{name}` has"),
        };
        InvalidField::check((1..=train).contains(&images), "images", || {
            format!("is {images}, but {source} 1 to {train} images to give")
        })?;
        match self.held_out_from {
            HeldOutFrom::Train => {
                let left = train - images;
                InvalidField::check(held_out <= left, "held_out", || {
                    format!("is {held_out}, but {images} training images leave {left} of {train}")
                })
            }
            HeldOutFrom::Test if test == 0 => Err(InvalidField {
                field: "held_out_from",
                why: format!("is \"test\", but {source} no test images of their own"),
            }),
            HeldOutFrom::Test => InvalidField::check(held_out <= test, "held_out", || {
                format!("is {held_out}, but {source} {test} test images")
            }),
        }
    }
}

impl Spec for DatasetSpec {
    const INFO: KindInfo = KindInfo {
        name: "dataset",
        summary: "a train and a held-out subset of a source of images",
        recipe: 1,
        seeded: false,
        inputs: &[],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        InvalidField::check(is_name(&self.source), "source", || {
            "is not `digits` and not a name that a data set can have".to_owned()
        })?;
        let digest = self.digest.as_str();
        match self.imported() {
            None => {
                let none = digest.is_empty();
                InvalidField::check(none, "digest", || "is of no use with the digits".to_owned())?;
                self.check_counts(DIGITS_COUNT, 0)?;
            }
            Some(_) => {
                let known = digest.is_empty() || is_digest(digest);
                InvalidField::check(known, "digest", || {
                    "must be 64 hexadecimal digits, as `ablate data list` shows them".to_owned()
                })?;
                let some = 1..=MAX_IMAGES;
                InvalidField::check(some.contains(&self.images), "images", || {
                    format!("is {}, but must be 1 to {MAX_IMAGES}", self.images)
                })?;
            }
        }
        InvalidField::check(
            (1..=MAX_UPSAMPLE).contains(&self.upsample),
            "upsample",
            || format!("is {}, but must be 1 to {MAX_UPSAMPLE}", self.upsample),
        )?;
        InvalidField::check(self.size <= MAX_SIZE, "size", || {
            format!("is {}, but at most {MAX_SIZE} is possible", self.size)
        })
    }

    fn data_digest(&self) -> Option<&str> {
        match self.imported() {
            None => Some(DIGITS_DIGEST),
            Some(_) => Some(&self.digest),
        }
    }
}
