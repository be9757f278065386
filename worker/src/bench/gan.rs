//! GMM-GAN on 3,072 pixels with 1,000 components.

use candle_core::{Device, Result, Tensor};

use super::{Optimised, Training, below, normals, tensor, uniform};
use crate::models::gan::{Arch, Discriminator, Generator};
use crate::nn::adam::Settings;
use crate::nn::build::Build;
use crate::nn::loss::bce_with_logits;
use crate::nn::mode::Mode;

pub(super) const BATCH: usize = 64;
const ARCH: Arch = Arch {
    latent: 100,
    pixels: 3072,
    components: 1000,
};

struct Adversaries {
    generator: Generator,
    discriminator: Discriminator,
    of_generator: Optimised,
    of_discriminator: Optimised,
    images: Tensor,
    real: Tensor,
    fake: Tensor,
}

pub(super) fn cifar10() -> Result<Box<dyn Training>> {
    let settings = Settings {
        betas: [0.5, 0.999],
        ..Settings::default()
    };
    let mut build = Build::seeded(0);
    let generator = Generator::new(&mut build, ARCH)?;
    let [of_generator, _] = build.finish()?;
    let mut build = Build::seeded(1);
    let discriminator = Discriminator::new(&mut build, ARCH)?;
    let [of_discriminator, _] = build.finish()?;
    Ok(Box::new(Adversaries {
        generator,
        discriminator,
        of_generator: Optimised::new(of_generator, settings, 2e-4),
        of_discriminator: Optimised::new(of_discriminator, settings, 2e-4),
        images: uniform(&[BATCH, ARCH.pixels])?,
        real: tensor(vec![1.0; BATCH], &[BATCH, 1])?,
        fake: tensor(vec![0.0; BATCH], &[BATCH, 1])?,
    }))
}

impl Training for Adversaries {
    /// A step of the generator, then one of the discriminator on the same
    /// fakes. Returns the discriminator's loss.
    fn step(&mut self, step: u64) -> Result<f32> {
        let count = u32::try_from(ARCH.components).unwrap_or(u32::MAX);
        let components = below(count, "components", step, BATCH);
        let components = Tensor::from_vec(components, BATCH, &Device::Cpu)?;
        let noise = normals("noise", step, &[BATCH, ARCH.latent])?;
        let latents = self.generator.latents(&components, &noise)?;
        let mode = Mode::Train { seed: 0, step };
        let fakes = self.generator.forward(&latents, mode)?;
        let detached = fakes.detach();
        let judged = self.discriminator.forward(&fakes)?;
        let loss = bce_with_logits(&judged, &self.real)?;
        self.of_generator.step(step, &loss)?;
        let of_real = self.discriminator.forward(&self.images)?;
        let of_fakes = self.discriminator.forward(&detached)?;
        let loss = bce_with_logits(&of_real, &self.real)?;
        let loss = ((loss + bce_with_logits(&of_fakes, &self.fake)?)? * 0.5)?;
        self.of_discriminator.step(step, &loss)
    }
}
