//! `dataset`: a train and a held-out subset of a source of images.

use serde::{Deserialize, Serialize};

use super::{InvalidField, KindInfo, Spec};

/// Where images come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The 1,797 UCI handwritten digits, 8×8, embedded in the worker.
    #[default]
    Digits,
}

/// Images in the embedded digits.
pub const DIGITS_COUNT: usize = 1797;

/// blake3 of the embedded digits: 1,797 images of 64 bytes, values 0 to 16,
/// then 1,797 labels of one byte.
pub const DIGITS_DIGEST: &str = "112d3db595b93626c22ec25ae4d78ce54f1a88dbdc1a1efa16b7d418a0f0e0d0";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetSpec {
    pub source: Source,
    /// Training images: the first of a permutation drawn from `split_seed`,
    /// so that smaller sets are part of larger ones.
    pub images: usize,
    /// Held-out images: the last of the same permutation.
    pub held_out: usize,
    pub split_seed: u64,
}

impl Default for DatasetSpec {
    fn default() -> Self {
        Self {
            source: Source::Digits,
            images: 64,
            held_out: 64,
            split_seed: 0,
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
        let (train, held_out) = (self.images, self.held_out);
        InvalidField::check((1..=DIGITS_COUNT).contains(&train), "images", || {
            format!("is {train}, but the digits have 1 to {DIGITS_COUNT} images to give")
        })?;
        InvalidField::check(held_out <= DIGITS_COUNT - train, "held_out", || {
            let left = DIGITS_COUNT - train;
            format!("is {held_out}, but {train} training images leave {left} of {DIGITS_COUNT}")
        })
    }

    fn data_digest(&self) -> Option<&str> {
        match self.source {
            Source::Digits => Some(DIGITS_DIGEST),
        }
    }
}
