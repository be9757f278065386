//! The U-Net of DDPM with 9,283,587 parameters, on 3×32×32.

use candle_core::Result;

use super::{Optimised, Training, below, tensor};
use crate::models::file::Family as _;
use crate::models::unet::{Arch, UNet};
use crate::nn::adam::Settings;
use crate::nn::build::Build;
use crate::nn::layer::Rows;
use crate::nn::mode::Mode;
use crate::nn::narrow;
use crate::nn::rng::stream;

pub(super) const BATCH: usize = 16;
const SIDE: usize = 32;
const CHANNELS: usize = 3;
const SIZE: usize = SIDE * SIDE * CHANNELS;
const STEPS: u32 = 1000;

struct Diffusion {
    net: UNet,
    optimised: Optimised,
    images: Vec<f32>,
    /// √ᾱ and √(1 − ᾱ) of each timestep.
    shares: Vec<[f32; 2]>,
}

pub(super) fn cifar10() -> Result<Box<dyn Training>> {
    let mut build = Build::seeded(0);
    let net = UNet::build(&mut build, &Arch::cifar10())?;
    let [named, _] = build.finish()?;
    let mut kept = 1.0;
    let share = |t: u32| {
        let beta = 1e-4 + (0.02 - 1e-4) * f64::from(t) / f64::from(STEPS - 1);
        kept *= 1.0 - beta;
        [narrow(kept.sqrt()), narrow((1.0 - kept).sqrt())]
    };
    let mut rng = stream(0, "images", 0);
    let images = (0..BATCH * SIZE).map(|_| rng.signed()).collect();
    Ok(Box::new(Diffusion {
        net,
        optimised: Optimised::new(named, Settings::default(), 2e-4)?,
        images,
        shares: (0..STEPS).map(share).collect(),
    }))
}

impl Training for Diffusion {
    /// Timesteps, noise, noisy images, the noise's mean squared error.
    fn step(&mut self, step: u64) -> Result<f32> {
        let steps = below(STEPS, "timesteps", step, BATCH);
        let noise = stream(0, "noise", step).normals(BATCH * SIZE);
        let values = self.images.iter().zip(&noise).enumerate();
        let mix = |(i, (x, e)): (usize, (&f32, &f32))| {
            let [kept, added] = self.shares[steps[i / SIZE] as usize];
            kept * x + added * e
        };
        let shape = [BATCH * SIDE * SIDE, CHANNELS];
        let x = Rows {
            data: tensor(values.map(mix).collect(), &shape)?,
            n: BATCH,
            h: SIDE,
            w: SIDE,
        };
        let noise = tensor(noise, &shape)?;
        let mode = Mode::Train { seed: 0, step };
        let loss = self.net.loss(&x, &steps, &noise, mode)?;
        self.optimised.step(step, &loss)
    }
}
