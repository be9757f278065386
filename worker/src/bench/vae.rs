//! The variational autoencoder of 784, 400 and 20.

use candle_core::{DType, Result, Tensor};

use super::{Optimised, Training, normals, uniform};
use crate::models::file::Family as _;
use crate::models::vae::{Arch, Vae};
use crate::nn::adam::Settings;
use crate::nn::build::Build;

pub(super) const BATCH: usize = 128;
const PIXELS: usize = 784;
const ARCH: Arch = Arch {
    image: [1, 28, 28],
    hidden: 400,
    latent: 20,
    likelihood: ablate_proto::stage::Likelihood::Bernoulli,
    prior: 1.0,
};

struct Variational {
    net: Vae,
    optimised: Optimised,
    images: Tensor,
}

pub(super) fn mnist() -> Result<Box<dyn Training>> {
    let mut build = Build::seeded(0);
    let net = Vae::build(&mut build, &ARCH)?;
    let [named, _] = build.finish()?;
    let images = uniform(&[BATCH, PIXELS])?;
    Ok(Box::new(Variational {
        net,
        optimised: Optimised::new(named, Settings::default(), 1e-3)?,
        images: images.gt(0.0)?.to_dtype(DType::F32)?,
    }))
}

impl Training for Variational {
    /// Noise, the negative bound.
    fn step(&mut self, step: u64) -> Result<f32> {
        let noise = normals("noise", step, &[BATCH, ARCH.latent])?;
        let loss = self.net.loss(&self.images, &noise, 1.0, 1.0)?;
        self.optimised.step(step, &loss)
    }
}
