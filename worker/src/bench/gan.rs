//! GMM-GAN on 3,072 pixels with 1,000 components.

use candle_core::{Device, Result, Tensor, Var};

use super::{Optimised, Training, below, normals, tensor, uniform};
use crate::models::file::Family as _;
use crate::models::gan::{Arch, GENERATOR, Gan};
use crate::nn::adam::Settings;
use crate::nn::build::Build;
use crate::nn::loss::bce_with_logits;
use crate::nn::mode::Mode;

pub(super) const BATCH: usize = 64;
const LATENT: usize = 100;
const PIXELS: usize = 3072;
const COMPONENTS: usize = 1000;

struct Adversaries {
    net: Gan,
    of_generator: Optimised,
    of_discriminator: Optimised,
    images: Tensor,
}

pub(super) fn cifar10() -> Result<Box<dyn Training>> {
    let settings = Settings {
        betas: [0.5, 0.999],
        ..Settings::default()
    };
    let arch = Arch {
        latent: LATENT,
        image: [3, 32, 32],
        components: COMPONENTS,
        generator: vec![128, 256, 512, 1024],
        discriminator: vec![512, 256],
    };
    let mut build = Build::seeded(0);
    let net = Gan::build(&mut build, &arch)?;
    let [parameters, _] = build.finish()?;
    let of_generator = |(name, _): &(String, Var)| name.starts_with(GENERATOR);
    let (of_generator, of_discriminator) = parameters.into_iter().partition(of_generator);
    Ok(Box::new(Adversaries {
        net,
        of_generator: Optimised::new(of_generator, settings, 2e-4)?,
        of_discriminator: Optimised::new(of_discriminator, settings, 2e-4)?,
        images: uniform(&[BATCH, PIXELS])?,
    }))
}

impl Training for Adversaries {
    /// A step of the generator, then one of the discriminator on the same
    /// fakes. Returns the discriminator's loss.
    fn step(&mut self, step: u64) -> Result<f32> {
        let Gan {
            generator,
            discriminator,
        } = &self.net;
        let count = u32::try_from(COMPONENTS).unwrap_or(u32::MAX);
        let components = below(count, "components", step, BATCH);
        let components = Tensor::from_vec(components, BATCH, &Device::Cpu)?;
        let noise = normals("noise", step, &[BATCH, LATENT])?;
        let latents = generator.latents(&components, &noise)?;
        let mode = Mode::Train { seed: 0, step };
        let fakes = generator.forward(&latents, mode)?;
        let both = Tensor::cat(&[&self.images, &fakes.detach()], 0)?;
        let verdict = discriminator.forward(&fakes)?;
        let real = tensor(vec![1.0; BATCH], &[BATCH, 1])?;
        let loss = bce_with_logits(&verdict, &real)?;
        self.of_generator.step(step, &loss)?;
        let verdict = discriminator.forward(&both)?;
        let truth = [[1.0; BATCH], [0.0; BATCH]].concat();
        let loss = bce_with_logits(&verdict, &tensor(truth, &[2 * BATCH, 1])?)?;
        self.of_discriminator.step(step, &loss)
    }
}
