//! The training steps that `benches/` measures. No part of the product.

use ablate_proto::stage::{AutoencoderSpec, Exponent, Noise, NoiseSpec};
use candle_core::{Result, Tensor, bail};

use crate::data::images::Images;
use crate::models::autoencoder::Arch;
use crate::nn::adam::Adam;
use crate::nn::device::device;
use crate::nn::layer::{Act, Kind, Layer, Plan, Rows, Window};
use crate::nn::noise;
use crate::nn::params::{self, Named};
use crate::nn::rng::stream;

/// Images per step.
pub const BATCH: usize = 64;

/// An autoencoder on 3×32×32 with its optimiser.
pub struct Training {
    encoder: Vec<Layer>,
    decoder: Vec<Layer>,
    named: Named,
    adam: Adam,
    images: Rows,
    noise: NoiseSpec,
    step: u64,
}

impl Training {
    /// The model that the name stands for: `bl_ae` (benches/torch/bl_ae.py) or
    /// `table5` (benches/torch/table5.py).
    ///
    /// # Errors
    /// When there is no such model.
    pub fn new(name: &str) -> Result<Self> {
        match name {
            "bl_ae" => Self::bl_ae(),
            "table5" => Self::table5(),
            _ => bail!("no model {name}: there are bl_ae and table5"),
        }
    }

    fn bl_ae() -> Result<Self> {
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
        Self::of(
            &plans("encoder", &encoder),
            &plans("decoder", &decoder),
            noise,
        )
    }

    fn table5() -> Result<Self> {
        let spec = AutoencoderSpec::default();
        let images = images(0);
        let arch = Arch::new(&spec, &images).map_err(candle_core::Error::msg)?;
        Self::of(&arch.encoder(), &arch.decoder(), arch.noise)
    }

    fn of(encoder: &[Plan], decoder: &[Plan], noise: NoiseSpec) -> Result<Self> {
        let plans = encoder.iter().chain(decoder);
        let mut values = plans.flat_map(|plan| params::initial(plan, 0)).collect();
        let mut named = Named::new();
        let encoder = params::layers(encoder, &mut values, &mut named)?;
        let decoder = params::layers(decoder, &mut values, &mut named)?;
        Ok(Self {
            encoder,
            decoder,
            adam: Adam::new(&named)?,
            named,
            images: images(BATCH).rows()?,
            noise,
            step: 0,
        })
    }

    /// One step: latents, noise, images, mean squared error, gradients, Adam.
    /// Returns the loss.
    ///
    /// # Errors
    /// None is expected.
    pub fn step(&mut self) -> Result<f32> {
        let through = |layers: &[Layer], x: Rows| {
            let mut layers = layers.iter();
            layers.try_fold(x, |x, layer| layer.forward(&x))
        };
        let mut z = through(&self.encoder, self.images.clone())?;
        let mut rng = stream(0, "noise", self.step);
        let noise = noise::draw(&self.noise, &mut rng, z.data.elem_count());
        z.data = (&z.data + Tensor::from_vec(noise, z.data.shape(), &device())?)?;
        let y = through(&self.decoder, z)?.data;
        let loss = (y - &self.images.data)?.sqr()?.mean_all()?;
        let grads = loss.backward()?;
        self.step += 1;
        self.adam.step(self.step, 1e-3, &self.named, &grads)?;
        loss.to_scalar()
    }
}

fn images(n: usize) -> Images {
    let mut rng = stream(0, "images", 0);
    let data = (0..n * 3 * 32 * 32).map(|_| rng.signed()).collect();
    Images {
        n,
        channels: 3,
        h: 32,
        w: 32,
        data,
    }
}
