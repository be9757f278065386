//! GMM-GAN (science.md §3.2, E12): an MLP generator from a latent to an image
//! with tanh, and an MLP discriminator to a logit. The latents are a mixture
//! of Gaussians with trained means and deviations, or plain noise.

use candle_core::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use super::file::Family;
use crate::nn::activation::Activation;
use crate::nn::batch_norm::{BatchNorm, batch_norm};
use crate::nn::build::{Build, Init};
use crate::nn::embedding::{Embedding, embedding};
use crate::nn::layer::{Act, Kind, Layer, linear};
use crate::nn::mode::Mode;

const SLOPE: Activation = Activation::LeakyRelu(0.2);
/// The components' deviation at the start.
const DEVIATION: f64 = 0.1;

/// For CIFAR-10 a latent of 100, hidden widths of 128, 256, 512, 1024 and of
/// 512, 256; a component for each training image, or none for
/// plain noise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arch {
    pub(crate) latent: usize,
    /// Channels, height and width.
    pub(crate) image: [usize; 3],
    pub(crate) components: usize,
    /// Hidden widths.
    pub(crate) generator: Vec<usize>,
    pub(crate) discriminator: Vec<usize>,
}

/// What the names of the generator's parameters begin with.
pub(crate) const GENERATOR: &str = "generator.";

/// Both players.
#[derive(Debug)]
pub(crate) struct Gan {
    pub(crate) generator: Generator,
    pub(crate) discriminator: Discriminator,
}

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

#[derive(Debug)]
pub(crate) struct Discriminator {
    hidden: Vec<Layer>,
    output: Layer,
}

impl Arch {
    fn pixels(&self) -> usize {
        self.image.iter().product()
    }
}

impl Family for Gan {
    const NAME: &'static str = "gan";
    type Arch = Arch;

    fn build(build: &mut Build, arch: &Arch) -> Result<Self> {
        Ok(Self {
            generator: generator(build, arch)?,
            discriminator: discriminator(build, arch)?,
        })
    }
}

fn generator(build: &mut Build, arch: &Arch) -> Result<Generator> {
    let name = |part: &str| format!("{GENERATOR}{part}");
    let start = Init::Constant(crate::nn::narrow(libm::log(DEVIATION)));
    let sizes = [arch.components, arch.latent];
    let mixture = if arch.components == 0 {
        None
    } else {
        Some(Mixture {
            means: embedding(build, &name("means"), sizes, Init::Normal)?,
            deviations: embedding(build, &name("deviations"), sizes, start)?,
        })
    };
    let mut inputs = arch.latent;
    let mut hidden = Vec::new();
    for (index, width) in arch.generator.iter().enumerate() {
        let sizes = [inputs, *width];
        let of = |part| name(&format!("{part}.{index}"));
        let layer = build.layer(&of("hidden"), Kind::Linear, sizes, Act::None)?;
        // The first layer has none.
        let norm = match index {
            0 => None,
            _ => Some(batch_norm(build, &of("norm"), *width)?),
        };
        hidden.push((layer, norm));
        inputs = *width;
    }
    let sizes = [inputs, arch.pixels()];
    Ok(Generator {
        mixture,
        hidden,
        output: build.layer(&name("output"), Kind::Linear, sizes, Act::Tanh)?,
    })
}

fn discriminator(build: &mut Build, arch: &Arch) -> Result<Discriminator> {
    let mut inputs = arch.pixels();
    let mut hidden = Vec::new();
    for (index, width) in arch.discriminator.iter().enumerate() {
        let name = format!("discriminator.hidden.{index}");
        hidden.push(build.layer(&name, Kind::Linear, [inputs, *width], Act::None)?);
        inputs = *width;
    }
    let name = "discriminator.output";
    Ok(Discriminator {
        hidden,
        output: build.layer(name, Kind::Linear, [inputs, 1], Act::None)?,
    })
}

impl Generator {
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

impl Discriminator {
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
