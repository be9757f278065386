//! GMM-GAN (science.md §3.2, E12): an MLP generator from a latent to an image
//! with tanh, and an MLP discriminator to a logit. The latents are a mixture
//! of Gaussians with trained means and deviations, or plain noise.

use candle_core::{Result, Tensor, bail};

use crate::nn::activation::Activation;
use crate::nn::batch_norm::{BatchNorm, batch_norm};
use crate::nn::build::{Build, Init};
use crate::nn::embedding::{Embedding, embedding};
use crate::nn::layer::{Act, Kind, Layer, linear};
use crate::nn::mode::Mode;

const SLOPE: Activation = Activation::LeakyRelu(0.2);
const GENERATOR: [usize; 4] = [128, 256, 512, 1024];
const DISCRIMINATOR: [usize; 2] = [512, 256];
/// The components' deviation at the start.
const DEVIATION: f64 = 0.1;

/// 100 and 3,072 for CIFAR-10; a component for each training image, or none
/// for plain noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arch {
    pub(crate) latent: usize,
    pub(crate) pixels: usize,
    pub(crate) components: usize,
}

/// Trained together.
#[derive(Debug)]
pub(crate) struct Generator {
    mixture: Option<Mixture>,
    hidden: Vec<(Layer, Option<BatchNorm>)>,
    output: Layer,
}

/// Means, and logarithms of deviations, `[components, latent]`.
#[derive(Debug)]
struct Mixture {
    means: Embedding,
    deviations: Embedding,
}

impl Generator {
    /// # Errors
    /// When stored values are not those of the architecture.
    pub(crate) fn new(build: &mut Build, arch: Arch) -> Result<Self> {
        let start = Init::Constant(crate::nn::narrow(libm::log(DEVIATION)));
        let sizes = [arch.components, arch.latent];
        let mixture = if arch.components == 0 {
            None
        } else {
            Some(Mixture {
                means: embedding(build, "means", sizes, Init::Normal)?,
                deviations: embedding(build, "deviations", sizes, start)?,
            })
        };
        let mut inputs = arch.latent;
        let mut hidden = Vec::new();
        for (index, width) in GENERATOR.into_iter().enumerate() {
            let name = format!("hidden.{index}");
            let layer = build.layer(&name, Kind::Linear, [inputs, width], Act::None)?;
            // The first layer has none.
            let norm = match index {
                0 => None,
                _ => Some(batch_norm(build, &format!("norm.{index}"), width)?),
            };
            hidden.push((layer, norm));
            inputs = width;
        }
        Ok(Self {
            mixture,
            hidden,
            output: build.layer("output", Kind::Linear, [inputs, arch.pixels], Act::Tanh)?,
        })
    }

    /// μ_k + exp(ρ_k)·ε, for the component k and the standard normal values of
    /// each image, `[n]` u32 and `[n, latent]`.
    ///
    /// # Errors
    /// When a component is unknown or there are none.
    pub(crate) fn latents(&self, components: &Tensor, noise: &Tensor) -> Result<Tensor> {
        let Some(Mixture { means, deviations }) = &self.mixture else {
            bail!("a generator on plain noise has no components");
        };
        let spread = deviations.forward(components)?.exp()?.mul(noise)?;
        means.forward(components)? + spread
    }

    /// Latents `[n, latent]` → images `[n, pixels]` in [-1, 1].
    ///
    /// # Errors
    /// When they are of another size, or one alone is to be trained on.
    pub(crate) fn forward(&self, latents: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = latents.clone();
        for (layer, norm) in &self.hidden {
            x = linear(layer, &x)?;
            if let Some(norm) = norm {
                x = norm.forward(&x, mode)?;
            }
            x = SLOPE.apply(&x)?;
        }
        linear(&self.output, &x)
    }
}

#[derive(Debug)]
pub(crate) struct Discriminator {
    hidden: Vec<Layer>,
    output: Layer,
}

impl Discriminator {
    /// # Errors
    /// When stored values are not those of the architecture.
    pub(crate) fn new(build: &mut Build, arch: Arch) -> Result<Self> {
        let mut inputs = arch.pixels;
        let mut hidden = Vec::new();
        for (index, width) in DISCRIMINATOR.into_iter().enumerate() {
            let name = format!("hidden.{index}");
            hidden.push(build.layer(&name, Kind::Linear, [inputs, width], Act::None)?);
            inputs = width;
        }
        Ok(Self {
            hidden,
            output: build.layer("output", Kind::Linear, [inputs, 1], Act::None)?,
        })
    }

    /// Images `[n, pixels]` → logits `[n, 1]` that they are real.
    ///
    /// # Errors
    /// When they are of another size.
    pub(crate) fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let mut hidden = self.hidden.iter();
        let hidden =
            hidden.try_fold(images.clone(), |x, layer| SLOPE.apply(&linear(layer, &x)?))?;
        linear(&self.output, &hidden)
    }
}
