//! `evaluate`: the metrics of science.md §5, as far as the given inputs allow.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dataset::{is_digest, is_name};

use super::{InputInfo, InvalidField, KindInfo, Spec, StageKind};

/// By what the training image beside a sample is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Nearness {
    #[default]
    Psnr,
    /// The mean over samples is measured too.
    Ssim,
}

/// Which samples are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// The first, which stand for all.
    #[default]
    First,
    /// Those nearest to a training image.
    Nearest,
}

/// Which program images are resized like, on their way into Inception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum FidMode {
    /// Bilinear, of pixels that are squares.
    #[default]
    PytorchFid,
    /// Bilinear, of pixels that are points, as in TensorFlow 1.
    TorchFidelity,
    /// Bicubic, with antialiasing.
    CleanFid,
}

impl FidMode {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The program.
    pub fn program(self) -> &'static str {
        match self {
            Self::PytorchFid => "pytorch-fid",
            Self::TorchFidelity => "torch-fidelity",
            Self::CleanFid => "clean-fid",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateSpec {
    /// A generated image counts as memorised above this PSNR to its nearest
    /// training image, in dB.
    pub memorised_db: f64,
    pub nearest: Nearness,
    /// Noise draws per pair for the overlap coefficient (F8).
    pub overlap_draws: usize,
    /// Random pairs, and as many nearest ones, for the overlap coefficient.
    pub overlap_pairs: usize,
    /// Noise draws per image for noisy PSNR and the oracle decoder.
    pub noise_draws: usize,
    /// Images in the sample grid.
    pub grid: usize,
    pub shown: Shown,
    /// Name of imported weights of Inception, for FID, IS and rFID; empty:
    /// they are not measured.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub inception: String,
    /// Of those weights. The planner finds it by the name; where the store
    /// has none of that name, the metrics are skipped.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub inception_digest: String,
    #[serde(skip_serializing_if = "FidMode::is_default")]
    pub fid_mode: FidMode,
    /// Compute the FID of unequal numbers of images, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fid_unequal: bool,
}

impl Default for EvaluateSpec {
    fn default() -> Self {
        Self {
            memorised_db: 30.0,
            nearest: Nearness::Psnr,
            overlap_draws: 4096,
            overlap_pairs: 256,
            noise_draws: 16,
            grid: 24,
            shown: Shown::First,
            inception: String::new(),
            inception_digest: String::new(),
            fid_mode: FidMode::PytorchFid,
            fid_unequal: false,
        }
    }
}

impl Spec for EvaluateSpec {
    const INFO: KindInfo = KindInfo {
        name: "evaluate",
        summary: "measure a model, or samples, against the data",
        recipe: 3,
        seeded: true,
        inputs: &[
            InputInfo::required("data", &[StageKind::Dataset]),
            InputInfo::optional("model", &[StageKind::Autoencoder, StageKind::Decoder]),
            InputInfo::optional(
                "samples",
                &[StageKind::Sample, StageKind::Generate, StageKind::Resample],
            ),
            InputInfo::optional("codes", &[StageKind::Encode]),
            InputInfo::optional("encoder", &[StageKind::Autoencoder]),
            InputInfo::optional("held_out", &[StageKind::Dataset]),
            // Of `data` and of `samples`: what other tasks computed of them.
            InputInfo::optional("features", &[StageKind::Features]),
            InputInfo::optional("sample_features", &[StageKind::Features]),
        ],
        hidden: false,
    };

    fn added() -> Vec<(&'static str, Value)> {
        vec![
            ("inception", "".into()),
            ("inception_digest", "".into()),
            ("fid_mode", "pytorch_fid".into()),
            ("fid_unequal", false.into()),
        ]
    }

    fn validate(&self) -> Result<(), InvalidField> {
        let db = self.memorised_db;
        InvalidField::check((1.0..=100.0).contains(&db), "memorised_db", || {
            format!("is {db}, but a threshold of 1 to 100 dB is possible")
        })?;
        for (field, value, max) in [
            ("overlap_draws", self.overlap_draws, 1_000_000),
            ("overlap_pairs", self.overlap_pairs, 1_000_000),
            ("noise_draws", self.noise_draws, 100_000),
            ("grid", self.grid, 400),
        ] {
            InvalidField::check((1..=max).contains(&value), field, || {
                format!("is {value}, but 1 to {max} is possible")
            })?;
        }
        check_weights(&self.inception, &self.inception_digest)
    }

    fn data_digest(&self) -> Option<&str> {
        let digest = self.inception_digest.as_str();
        (!digest.is_empty()).then_some(digest)
    }
}

/// The name and the digest of imported weights, as far as they are given.
pub(super) fn check_weights(name: &str, digest: &str) -> Result<(), InvalidField> {
    InvalidField::check(name.is_empty() || is_name(name), "inception", || {
        "is not a name that weights can have".to_owned()
    })?;
    let fits = digest.is_empty() || is_digest(digest) && !name.is_empty();
    InvalidField::check(fits, "inception_digest", || {
        "must be 64 hexadecimal digits, as `ablate weights list` shows them, beside a name in \
         `inception`"
            .to_owned()
    })
}
