//! The variational autoencoder of science.md A.1.1: `pixels` → 400 → μ and
//! ln s² of `latent` → 400 → `pixels` (logits for a Bernoulli likelihood, means
//! for a Gaussian one), ReLU between. λ, the paper's σ, scales the noise and
//! leaves the divergence as it is, or it is the deviation of the prior.

use ablate_proto::stage::Likelihood;
use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::file::Family;
use crate::nn::build::Build;
use crate::nn::layer::{Act, Kind, Layer, linear};
use crate::nn::loss::{bce_with_logits, squared_error};

/// For MNIST images of 784 pixels, 400 and 20.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arch {
    /// Channels, height and width.
    pub(crate) image: [usize; 3],
    pub(crate) hidden: usize,
    pub(crate) latent: usize,
    pub(crate) likelihood: Likelihood,
    /// Deviation of the prior.
    pub(crate) prior: f64,
}

#[derive(Debug)]
pub(crate) struct Vae {
    likelihood: Likelihood,
    prior: f64,
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
            likelihood: arch.likelihood,
            prior: arch.prior,
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
    /// Images `[n, pixels]`, in [0, 1] for a Bernoulli likelihood, in [−1, 1]
    /// for a Gaussian one.
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

    /// Latents `[n, latent]` → logits or means `[n, pixels]`.
    ///
    /// # Errors
    /// When they are of another size.
    pub(crate) fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        linear(&self.decoder[1], &linear(&self.decoder[0], latents)?)
    }

    /// The negative bound per image, in nats (a Gaussian's up to a constant),
    /// with standard normal values `noise` `[n, latent]` at scale λ, and the
    /// variance of a Gaussian likelihood.
    ///
    /// # Errors
    /// When sizes differ.
    pub(crate) fn loss(
        &self,
        images: &Tensor,
        noise: &Tensor,
        scale: f64,
        variance: f64,
    ) -> Result<Tensor> {
        let posterior = self.encode(images)?;
        let decoded = self.decode(&posterior.sample(noise, scale)?)?;
        let likelihood = match self.likelihood {
            Likelihood::Bernoulli => (bce_with_logits(&decoded, images)? * self.pixels as f64)?,
            Likelihood::Gaussian => {
                let n = images.dim(0)?;
                (squared_error(&decoded, images, n)? * (0.5 / variance))?
            }
        };
        likelihood + posterior.divergence(self.prior)?.mean_all()?
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

    /// KL from N(0, p²I), `[n]`: ½ Σ ((μ² + s²)/p² − 1 − ln s² + ln p²).
    ///
    /// # Errors
    /// None is expected.
    pub(crate) fn divergence(&self, prior: f64) -> Result<Tensor> {
        let mut terms = (self.mean.sqr()? + self.log_variance.exp()?)?;
        let mut constant = -1.0;
        // Dividing by one would cost a pass, and bits.
        #[expect(clippy::float_cmp, reason = "exactly one is the default")]
        if prior != 1.0 {
            terms = (terms / (prior * prior))?;
            constant += 2.0 * libm::log(prior);
        }
        let terms = ((terms - &self.log_variance)? + constant)?;
        (terms * 0.5)?.sum(1)
    }
}
