//! Autoencoders: BL-AE, Table 5 of science.md, and the quickstart's.

use ablate_proto::stage::{AutoencoderSpec, Exponent, Noise, NoiseSpec};
use candle_core::Result;

use super::{Optimised, Training, tensor, uniform};
use crate::data::images::Images;
use crate::models::autoencoder::Arch;
use crate::nn::adam::Settings;
use crate::nn::layer::{Act, Kind, Layer, Plan, Rows, Window, through};
use crate::nn::loss::mse;
use crate::nn::noise;
use crate::nn::params::{self, Named};
use crate::nn::reuse::add;
use crate::nn::rng::stream;

pub(super) const BATCH: usize = 64;

struct Autoencoder {
    encoder: Vec<Layer>,
    decoder: Vec<Layer>,
    optimised: Optimised,
    images: Rows,
    noise: NoiseSpec,
}

/// On 3×32×32.
pub(super) fn bl_ae() -> Result<Box<dyn Training>> {
    let halve = Window::square(4, 2, 1);
    let keep = Window::square(3, 1, 1);
    let encoder = [
        (Kind::Conv(halve), 3, 64, Act::LeakyRelu),
        (Kind::Conv(halve), 64, 128, Act::LeakyRelu),
        (Kind::Conv(keep), 128, 256, Act::LeakyRelu),
        (Kind::Linear, 256, 32, Act::Tanh),
    ];
    let decoder = [
        (Kind::Linear, 32, 256, Act::LeakyRelu),
        (Kind::Conv(keep), 256, 128, Act::LeakyRelu),
        (Kind::Transposed(halve), 128, 64, Act::LeakyRelu),
        (Kind::Transposed(halve), 64, 3, Act::Tanh),
    ];
    let plans = |part: &str, layers: &[(Kind, usize, usize, Act)]| -> Vec<Plan> {
        let plan = |(i, &(kind, inputs, outputs, act))| Plan {
            name: format!("{part}.{i}"),
            kind,
            inputs,
            outputs,
            act,
        };
        layers.iter().enumerate().map(plan).collect()
    };
    let noise = NoiseSpec {
        noise: Noise::Gaussian,
        sigma: 0.1,
        kappa: 1.0,
        exponent: Exponent::Inverse,
    };
    let (encoder, decoder) = (plans("encoder", &encoder), plans("decoder", &decoder));
    build([3, 32, 32], &encoder, &decoder, noise)
}

/// On 3×32×32, 8 bits a site.
pub(super) fn table5() -> Result<Box<dyn Training>> {
    of(&AutoencoderSpec::default(), [3, 32, 32])
}

/// That of `sweeps/quickstart.toml`, on 1×8×8.
pub(super) fn mini() -> Result<Box<dyn Training>> {
    let spec = AutoencoderSpec {
        channels: vec![24],
        wide: 64,
        latent_channels: 8,
        decoder_in: 48,
        decoder_front: 32,
        refine: 16,
        ..AutoencoderSpec::default()
    };
    of(&spec, [1, 8, 8])
}

fn of(spec: &AutoencoderSpec, [channels, h, w]: [usize; 3]) -> Result<Box<dyn Training>> {
    let images = Images {
        n: 0,
        channels,
        h,
        w,
        data: Vec::new(),
    };
    let arch = Arch::new(spec, &images).map_err(candle_core::Error::msg)?;
    build(arch.image, &arch.encoder(), &arch.decoder(), arch.noise)
}

fn build(
    [channels, h, w]: [usize; 3],
    encoder: &[Plan],
    decoder: &[Plan],
    noise: NoiseSpec,
) -> Result<Box<dyn Training>> {
    let plans = encoder.iter().chain(decoder);
    let mut values = plans.flat_map(|plan| params::initial(plan, 0)).collect();
    let mut named = Named::new();
    let images = Rows {
        data: uniform(&[BATCH * h * w, channels])?,
        n: BATCH,
        h,
        w,
    };
    Ok(Box::new(Autoencoder {
        encoder: params::layers(encoder, &mut values, &mut named)?,
        decoder: params::layers(decoder, &mut values, &mut named)?,
        optimised: Optimised::new(named, Settings::default(), 1e-3)?,
        images,
        noise,
    }))
}

impl Training for Autoencoder {
    /// Latents, noise, images, mean squared error.
    fn step(&mut self, step: u64) -> Result<f32> {
        let mut z = through(&self.encoder, &self.images)?;
        let mut rng = stream(0, "noise", step);
        let noise = noise::draw(&self.noise, &mut rng, z.data.elem_count());
        z.data = add(&z.data, &tensor(noise, z.data.dims())?)?;
        let y = through(&self.decoder, &z)?.data;
        self.optimised.step(step, &mse(&y, &self.images.data)?)
    }
}
