//! The variational autoencoder of science.md A.1.1: `pixels` → 400 → μ and
//! ln s² of `latent` → 400 → logits of `pixels`, ReLU between. Its noise is
//! λ·s·ε: λ is the paper's σ, and leaves the KL divergence as it is.

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::file::Family;
use crate::nn::build::Build;
use crate::nn::layer::{Act, Kind, Layer, linear};
use crate::nn::loss::bce_with_logits;

/// For MNIST images of 784 pixels, 400 and 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arch {
    /// Channels, height and width.
    pub(crate) image: [usize; 3],
    pub(crate) hidden: usize,
    pub(crate) latent: usize,
}

#[derive(Debug)]
pub(crate) struct Vae {
    pixels: usize,
    hidden: Layer,
    mean: Layer,
    log_variance: Layer,
    decoder: [Layer; 2],
}

/// A batch encoded: both `[n, latent]`.
#[derive(Debug)]
pub(crate) struct Posterior {
    pub(crate) mean: Tensor,
    pub(crate) log_variance: Tensor,
}

impl Family for Vae {
    const NAME: &'static str = "vae";
    type Arch = Arch;

    fn build(build: &mut Build, arch: &Arch) -> Result<Self> {
        let Arch { hidden, latent, .. } = *arch;
        let pixels = arch.image.iter().product();
        let mut linear = |name, sizes, act| build.layer(name, Kind::Linear, sizes, act);
        Ok(Self {
            pixels,
            hidden: linear("encoder", [pixels, hidden], Act::Relu)?,
            mean: linear("mean", [hidden, latent], Act::None)?,
            log_variance: linear("log_variance", [hidden, latent], Act::None)?,
            decoder: [
                linear("decoder.0", [latent, hidden], Act::Relu)?,
                linear("decoder.1", [hidden, pixels], Act::None)?,
            ],
        })
    }
}

impl Vae {
    /// Images `[n, pixels]`, in [0, 1].
    ///
    /// # Errors
    /// When they are of another size.
    pub(crate) fn encode(&self, images: &Tensor) -> Result<Posterior> {
        let hidden = linear(&self.hidden, images)?;
        Ok(Posterior {
            mean: linear(&self.mean, &hidden)?,
            log_variance: linear(&self.log_variance, &hidden)?,
        })
    }

    /// Latents `[n, latent]` → logits `[n, pixels]`.
    ///
    /// # Errors
    /// When they are of another size.
    pub(crate) fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        linear(&self.decoder[1], &linear(&self.decoder[0], latents)?)
    }

    /// The negative bound per image, in nats, with standard normal values
    /// `noise` `[n, latent]` at scale λ.
    ///
    /// # Errors
    /// When sizes differ.
    pub(crate) fn loss(&self, images: &Tensor, noise: &Tensor, scale: f64) -> Result<Tensor> {
        let posterior = self.encode(images)?;
        let logits = self.decode(&posterior.sample(noise, scale)?)?;
        let likelihood = (bce_with_logits(&logits, images)? * self.pixels as f64)?;
        likelihood + posterior.divergence()?.mean_all()?
    }
}

impl Posterior {
    /// μ + λ·s·ε.
    ///
    /// # Errors
    /// When sizes differ.
    pub(crate) fn sample(&self, noise: &Tensor, scale: f64) -> Result<Tensor> {
        let deviation = (&self.log_variance * 0.5)?.exp()?;
        &self.mean + (deviation.mul(noise)? * scale)?
    }

    /// KL from N(0, I), `[n]`: ½ Σ (μ² + s² − 1 − ln s²).
    ///
    /// # Errors
    /// None is expected.
    pub(crate) fn divergence(&self) -> Result<Tensor> {
        let terms = (self.mean.sqr()? + self.log_variance.exp()?)?;
        let terms = ((terms - &self.log_variance)? - 1.0)?;
        (terms * 0.5)?.sum(1)
    }
}
