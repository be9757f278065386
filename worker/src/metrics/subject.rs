//! A model with everything that its metrics share, computed once: latents,
//! and reconstructions with noise, without, and from signs alone.

use ablate_proto::stage::NoiseSpec;
use candle_core::Result;

use super::Scores;
use super::psnr::squared_error;
use crate::data::images::Images;
use crate::models::autoencoder::{Autoencoder, Latents};
use crate::nn::noise;
use crate::nn::rng::stream;

/// How much measuring is worth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Noise draws per image.
    pub(crate) noise_draws: usize,
    /// Draws per pair, for the overlap coefficient (F8).
    pub(crate) overlap_draws: usize,
    /// Random pairs, and as many nearest ones.
    pub(crate) overlap_pairs: usize,
    pub(crate) memorised_db: f64,
    /// Noisy reconstructions that are kept for a picture.
    pub(crate) shown: usize,
}

impl Budget {
    /// For curves over training: a few per cent of a training step's time per
    /// hundred steps.
    pub(crate) const CURVES: Self = Self {
        noise_draws: 1,
        overlap_draws: 256,
        overlap_pairs: 16,
        memorised_db: 30.0,
        shown: 0,
    };
}

pub(crate) struct Subject<'a> {
    pub(super) model: &'a Autoencoder,
    pub(super) train: &'a Images,
    pub(super) held_out: Option<&'a Images>,
    pub(super) seed: u64,
    pub(super) budget: Budget,
    /// What rFID is computed with, if it is wanted.
    pub(super) scores: Option<&'a Scores>,
    /// Means of the training images, without noise.
    pub(super) latents: Latents,
    /// d(z) and d(sign z).
    pub(crate) clean: Images,
    pub(super) binarised: Images,
    /// ‖d(z + σε) − x‖² of each image, for each draw of the noise.
    pub(super) noisy: Vec<Vec<f64>>,
    /// The first d(z + σε) of the first draw.
    pub(crate) shown: Option<Images>,
}

impl<'a> Subject<'a> {
    /// # Errors
    /// When the images are not of the model's size.
    pub(crate) fn new(
        model: &'a Autoencoder,
        train: &'a Images,
        held_out: Option<&'a Images>,
        seed: u64,
        budget: Budget,
    ) -> Result<Self> {
        let latents = model.latents(train)?;
        Self::of_latents(model, latents, train, held_out, seed, budget)
    }

    /// With latents that are known already.
    ///
    /// # Errors
    /// When the latents are not of the model's size.
    pub(crate) fn of_latents(
        model: &'a Autoencoder,
        latents: Latents,
        train: &'a Images,
        held_out: Option<&'a Images>,
        seed: u64,
        budget: Budget,
    ) -> Result<Self> {
        let spec = &model.arch.noise;
        let (mut noisy, mut shown) = (Vec::new(), None);
        // Draws times training images are more than there is room for.
        for draw in 0..budget.noise_draws as u64 {
            let mut rng = stream(seed, "measured noise", draw);
            let noise = noise::draw(spec, &mut rng, latents.data.len());
            let sum = latents.data.iter().zip(&noise).map(|(z, e)| z + e);
            let decoded = model.images(&latents.with(sum.collect()))?;
            let pairs = decoded.iter().zip(train.iter());
            noisy.push(pairs.map(|(a, b)| squared_error(a, b)).collect());
            shown.get_or_insert_with(|| decoded.first(budget.shown));
        }
        Ok(Self {
            noisy,
            shown,
            clean: model.images(&latents)?,
            binarised: model.images(&latents.binarised())?,
            model,
            train,
            held_out,
            seed,
            budget,
            latents,
            scores: None,
        })
    }

    pub(crate) fn with_scores(self, scores: Option<&'a Scores>) -> Self {
        Self { scores, ..self }
    }

    pub(super) fn noise(&self) -> &NoiseSpec {
        &self.model.arch.noise
    }
}
