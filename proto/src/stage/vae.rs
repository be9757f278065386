//! `vae`: trains the variational autoencoder of science.md A.1.1, with its
//! noise scaled by λ and the divergence left as it is.

use serde::{Deserialize, Serialize};

use super::autoencoder::{check_training, check_width};
use super::{InputInfo, InvalidField, KindInfo, Schedule, Spec, StageKind};

/// What a pixel is given the decoder's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Likelihood {
    /// Of images in [0, 1]: cross-entropy.
    #[default]
    Bernoulli,
    /// Of images in [−1, 1], with a fixed `variance`.
    Gaussian,
}

/// What the paper's σ scales (science.md §2, discrepancy 24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// The noise: z = μ + λ·s·ε, the prior N(0, I).
    #[default]
    Noise,
    /// The prior: z = μ + s·ε, the prior N(0, λ²I).
    Prior,
}

/// Defaults are those for MNIST: 784–400–20–400–784, 10 epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VaeSpec {
    /// Width of the hidden layers.
    pub hidden: usize,
    /// Width of the latent.
    pub latent: usize,
    /// λ, the paper's σ.
    pub noise_scale: f64,
    pub reading: Reading,
    pub likelihood: Likelihood,
    /// Of a Gaussian likelihood.
    pub variance: f64,
    pub steps: u64,
    /// Images per step; at most all of them are taken.
    pub batch: usize,
    pub learning_rate: f64,
    pub schedule: Schedule,
    pub log_every: u64,
}

impl Default for VaeSpec {
    fn default() -> Self {
        Self {
            hidden: 400,
            latent: 20,
            noise_scale: 1.0,
            reading: Reading::Noise,
            likelihood: Likelihood::Bernoulli,
            variance: 0.1,
            steps: 4690,
            batch: 128,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            log_every: 100,
        }
    }
}

impl Spec for VaeSpec {
    const INFO: KindInfo = KindInfo {
        name: "vae",
        summary: "train a variational autoencoder on the images",
        recipe: 2,
        seeded: true,
        inputs: &[InputInfo::required("data", &[StageKind::Dataset])],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        check_width("hidden", self.hidden, 65_536)?;
        check_width("latent", self.latent, 65_536)?;
        let scale = self.noise_scale;
        InvalidField::check((0.0..=100.0).contains(&scale), "noise_scale", || {
            format!("is {scale}, but 0 to 100 is possible")
        })?;
        let prior = self.reading == Reading::Noise || scale > 0.0;
        InvalidField::check(prior, "noise_scale", || {
            "is 0, but a prior has a deviation above 0".to_owned()
        })?;
        let variance = self.variance;
        InvalidField::check((1e-6..=1e3).contains(&variance), "variance", || {
            format!("is {variance}, but 1e-6 to 1000 is possible")
        })?;
        check_training(self.steps, self.batch, self.learning_rate, self.log_every)
    }
}
