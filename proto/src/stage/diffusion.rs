//! `diffusion`: trains DDPM, a U-Net that predicts the noise in images
//! (science.md §3.2, E13).

use serde::{Deserialize, Serialize};

use super::autoencoder::{check_training, check_width, check_widths};
use super::{InputInfo, InvalidField, KindInfo, Schedule, Spec, StageKind};

/// Defaults are the model of 9.28 million parameters for CIFAR-10.
/// What finds the noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum DiffusionNet {
    #[default]
    Unet,
    /// Fully connected layers, for small images: of `hidden` and `time` alone.
    Dense,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiffusionSpec {
    pub net: DiffusionNet,
    /// Widths of the hidden layers of a dense net.
    pub hidden: Vec<usize>,
    /// Values that tell a dense net the timestep.
    pub time: usize,
    /// Width of the first level.
    pub base: usize,
    /// Widths of the levels, in multiples of the base; each level after the
    /// first has half the side.
    pub multiples: Vec<usize>,
    /// Residual blocks of a level on the way down; one more on the way up.
    pub blocks: usize,
    /// Sides with self-attention.
    pub attention: Vec<usize>,
    /// Groups of the group normalisations; must divide every width.
    pub groups: usize,
    pub dropout: f64,

    /// T, steps from an image to noise, with β rising linearly.
    pub timesteps: usize,
    pub beta_start: f64,
    pub beta_end: f64,
    /// Decay of the moving average of the parameters, which is what is kept.
    pub ema: f64,

    pub steps: u64,
    /// Images per step; at most all of them are taken.
    pub batch: usize,
    pub learning_rate: f64,
    pub schedule: Schedule,
    pub log_every: u64,
}

impl Default for DiffusionSpec {
    fn default() -> Self {
        Self {
            net: DiffusionNet::Unet,
            hidden: vec![256, 256, 256],
            time: 32,
            base: 64,
            multiples: vec![1, 2, 2, 2],
            blocks: 2,
            attention: vec![16, 8],
            groups: 32,
            dropout: 0.1,
            timesteps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
            ema: 0.9999,
            steps: 100_000,
            batch: 128,
            learning_rate: 2e-4,
            schedule: Schedule::Constant,
            log_every: 100,
        }
    }
}

impl Spec for DiffusionSpec {
    const INFO: KindInfo = KindInfo {
        name: "diffusion",
        summary: "train a denoising diffusion model on the images",
        recipe: 2,
        seeded: true,
        inputs: &[InputInfo::required("data", &[StageKind::Dataset])],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        for (field, value, max) in [
            ("base", self.base, 4096),
            ("blocks", self.blocks, 16),
            ("groups", self.groups, 4096),
            ("timesteps", self.timesteps, 100_000),
        ] {
            check_width(field, value, max)?;
        }
        let time = self.time;
        let even = time.is_multiple_of(2) && (4..=65_536).contains(&time);
        InvalidField::check(even, "time", || {
            format!("is {time}, but an even number from 4 to 65536 is needed")
        })?;
        check_widths("hidden", &self.hidden)?;
        let base = self.base;
        InvalidField::check(base >= 4 && base.is_multiple_of(2), "base", || {
            format!("is {base}, but an even width of at least 4 is needed")
        })?;
        let levels = self.multiples.len();
        let possible = self.multiples.iter().all(|m| (1..=64).contains(m));
        InvalidField::check(possible && (1..=8).contains(&levels), "multiples", || {
            "must hold 1 to 8 multiples between 1 and 64".to_owned()
        })?;
        let groups = self.groups;
        InvalidField::check(base.is_multiple_of(groups), "groups", || {
            format!("is {groups}, which does not divide the base of {base}")
        })?;
        InvalidField::check(self.attention.len() <= 8, "attention", || {
            "must hold at most 8 sides".to_owned()
        })?;
        for (field, value) in [("dropout", self.dropout), ("ema", self.ema)] {
            InvalidField::check((0.0..1.0).contains(&value), field, || {
                format!("is {value}, but 0 to below 1 is possible")
            })?;
        }
        let (start, end) = (self.beta_start, self.beta_end);
        InvalidField::check(start > 0.0 && start <= end, "beta_start", || {
            format!("is {start}, but a positive number up to beta_end, {end}, is needed")
        })?;
        InvalidField::check(end < 1.0, "beta_end", || {
            format!("is {end}, but a number below 1 is needed")
        })?;
        check_training(self.steps, self.batch, self.learning_rate, self.log_every)
    }
}
