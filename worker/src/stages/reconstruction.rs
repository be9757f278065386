//! What `autoencoder` and `decoder` share: the loss of F4 under latent noise,
//! and what is followed while it falls.

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use candle_core::{Result as Tensors, Tensor};

use super::training::{Batch, Group, Objective};
use crate::data::images::Images;
use crate::metrics::{self, Budget, Subject};
use crate::models::autoencoder::{Autoencoder, Latents};
use crate::nn::device::device;
use crate::nn::layer::Rows;
use crate::nn::loss::squared_error;
use crate::nn::noise;
use crate::nn::reuse::add;
use crate::nn::rng::stream;
use crate::runner::failure::OrFail as _;

/// Curves are measured on at most so many training images, the first ones.
const CURVE_IMAGES: usize = 1000;

/// A decoder, and its encoder unless the latents are fixed.
pub(super) struct Reconstruction<'a> {
    model: &'a Autoencoder,
    seed: u64,
    group: [Group; 1],
    /// `[n, h·w·c]`, as rows of sites.
    images: Tensor,
    /// `[n, h·w·NoD]` of a frozen encoder.
    latents: Option<Tensor>,
    curve_images: Images,
    curve_latents: Option<Latents>,
}

impl<'a> Reconstruction<'a> {
    /// Trains encoder and decoder.
    pub(super) fn of_all(model: &'a Autoencoder, train: &Images, seed: u64) -> Tensors<Self> {
        let named = model.encoder_named.iter().chain(&model.decoder_named);
        Ok(Self {
            seed,
            group: [Group::all(named.cloned().collect())],
            images: train.rows()?.data.reshape((train.n, train.size()))?,
            latents: None,
            curve_images: train.first(CURVE_IMAGES),
            curve_latents: None,
            model,
        })
    }

    /// Trains the decoder on the latents of the frozen encoder.
    pub(super) fn of_decoder(model: &'a Autoencoder, train: &Images, seed: u64) -> Tensors<Self> {
        let latents = model.latents(train)?;
        let shape = (latents.n, latents.size());
        Ok(Self {
            group: [Group::all(model.decoder_named.clone())],
            latents: Some(Tensor::from_slice(&latents.data, shape, &device())?),
            curve_latents: Some(latents.first(CURVE_IMAGES)),
            ..Self::of_all(model, train, seed)?
        })
    }

    fn rows(flat: &Tensor, side: (usize, usize), channels: usize) -> Tensors<Rows> {
        let (n, (h, w)) = (flat.dim(0)?, side);
        let data = flat.reshape((n * h * w, channels))?;
        Ok(Rows { data, n, h, w })
    }
}

impl Objective for Reconstruction<'_> {
    fn groups(&self) -> &[Group] {
        &self.group
    }

    /// F4: the batch mean of ‖d(ψ(e(x)) + σε) − x‖².
    fn loss(&self, _: usize, step: u64, batch: &Batch) -> Tensors<Tensor> {
        let arch = &self.model.arch;
        let [channels, h, w] = arch.image;
        let images = batch.of(&self.images)?;
        let x = Self::rows(&images, (h, w), channels)?;
        let mut z = match &self.latents {
            None => self.model.encode(&x)?,
            Some(all) => {
                let side = arch.latent_side();
                Self::rows(&batch.of(all)?, (side, side), arch.latent_channels)?
            }
        };
        if arch.noise.sigma > 0.0 {
            let mut rng = stream(self.seed, "noise", step);
            let noise = noise::draw(&arch.noise, &mut rng, z.data.elem_count());
            let noise = Tensor::from_vec(noise, z.data.shape(), &device())?;
            z.data = add(&z.data, &noise)?;
        }
        squared_error(&self.model.decode(&z)?.data, &x.data, x.n)
    }

    fn curves(&self) -> Result<Vec<MetricRow>, Failure> {
        let (images, budget) = (&self.curve_images, Budget::CURVES);
        let subject = match &self.curve_latents {
            None => Subject::new(self.model, images, None, self.seed, budget),
            Some(latents) => {
                Subject::of_latents(self.model, latents.clone(), images, None, self.seed, budget)
            }
        };
        metrics::curves(&subject.or_bug("measuring the model")?)
    }
}

/// The metrics that a finished training ends with.
pub(super) fn finals(objective: &Reconstruction<'_>) -> Result<Vec<MetricRow>, Failure> {
    let parameters = objective.model.arch.parameters() as f64;
    let mut rows = objective.curves()?;
    rows.push(MetricRow::scalar(
        "parameters",
        "",
        Direction::Neutral,
        parameters,
    ));
    Ok(rows)
}
