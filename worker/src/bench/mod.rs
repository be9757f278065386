//! What `benches/` measures of training and of searching, a file a model. No
//! part of the product.

mod arvm;
mod autoencoder;
mod gan;
mod nearest;
mod pixelcnn;
mod unet;
mod vae;

use candle_core::{Device, Result, Tensor, bail};

use crate::nn::adam::{Adam, Settings};
use crate::nn::params::Named;
use crate::nn::rng::stream;

pub use nearest::Search;

/// What a runner's allocator is told.
pub use crate::runner::PURGE_DELAY;

/// A model in training.
pub trait Training {
    /// One step, counted from 1: inputs, loss, gradients, optimiser. Returns
    /// the loss.
    ///
    /// # Errors
    /// None is expected.
    fn step(&mut self, step: u64) -> Result<f32>;
}

/// A model that is measured; PyTorch's is `benches/torch/<name>.py`.
pub struct Model {
    pub name: &'static str,
    /// Images (or contexts) per step.
    pub batch: usize,
    /// How many times PyTorch's speed is asked for.
    pub bar: Option<f64>,
    build: fn() -> Result<Box<dyn Training>>,
}

pub const MODELS: &[Model] = &[
    Model::new("bl_ae", autoencoder::BATCH, autoencoder::bl_ae).at_least(1.0),
    Model::new("table5", autoencoder::BATCH, autoencoder::table5).at_least(1.0),
    Model::new("mini", autoencoder::BATCH, autoencoder::mini),
    Model::new("pixelcnn_4x4x8", pixelcnn::BATCH, pixelcnn::small).at_least(1.0),
    Model::new("pixelcnn_16x16x1", pixelcnn::BATCH, pixelcnn::large).at_least(1.0),
    Model::new("unet", unet::BATCH, unet::cifar10).at_least(0.9),
    Model::new("gan", gan::BATCH, gan::cifar10).at_least(1.5),
    Model::new("vae", vae::BATCH, vae::mnist).at_least(1.5),
    Model::new("arvm", arvm::BATCH, arvm::per_site).at_least(1.2),
];

impl Model {
    const fn new(
        name: &'static str,
        batch: usize,
        build: fn() -> Result<Box<dyn Training>>,
    ) -> Self {
        Self {
            name,
            batch,
            bar: None,
            build,
        }
    }

    const fn at_least(self, bar: f64) -> Self {
        Self {
            bar: Some(bar),
            ..self
        }
    }

    /// # Errors
    /// None is expected.
    pub fn build(&self) -> Result<Box<dyn Training>> {
        (self.build)()
    }
}

/// The model of a name.
///
/// # Errors
/// When there is none.
pub fn model(name: &str) -> Result<&'static Model> {
    let Some(model) = MODELS.iter().find(|model| model.name == name) else {
        let known: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
        bail!("no model {name}: there are {}", known.join(", "));
    };
    Ok(model)
}

/// Makes the thread that calls this one of `threads` that compute, as a
/// runner's is.
pub fn compute_here(threads: usize) {
    crate::runner::compute_here(threads);
}

/// Parameters with their optimiser.
struct Optimised {
    named: Named,
    adam: Adam,
    rate: f64,
}

impl Optimised {
    fn new(named: Named, settings: Settings, rate: f64) -> Result<Self> {
        Ok(Self {
            adam: Adam::with(settings, &named)?,
            named,
            rate,
        })
    }

    /// Goes down the gradients of a loss; returns the loss.
    fn step(&mut self, step: u64, loss: &Tensor) -> Result<f32> {
        let value = loss.to_scalar()?;
        self.adam
            .descend(step, self.rate, &self.named, loss, false)?;
        Ok(value)
    }
}

fn tensor(data: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(data, shape, &Device::Cpu)
}

/// Fixed values in (−1, 1).
fn uniform(shape: &[usize]) -> Result<Tensor> {
    let mut rng = stream(0, "inputs", 0);
    let data = (0..shape.iter().product()).map(|_| rng.signed()).collect();
    tensor(data, shape)
}

/// Standard normal values of a step.
fn normals(purpose: &str, step: u64, shape: &[usize]) -> Result<Tensor> {
    let mut rng = stream(0, purpose, step);
    tensor(rng.normals(shape.iter().product()), shape)
}

/// Fixed numbers below `n`.
fn below(n: u32, purpose: &str, step: u64, count: usize) -> Vec<u32> {
    let mut rng = stream(0, purpose, step);
    let draw = |_| u32::try_from(rng.below(u64::from(n))).unwrap_or_default();
    (0..count).map(draw).collect()
}
