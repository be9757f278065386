//! Generated images with everything that their metrics share.

use std::cell::OnceCell;

use ablate_proto::failure::Failure;

use super::neighbours::{self, Against};
use super::ssim::{self, MostSimilar};
use super::{Nearest, Neighbours, Scores};
use crate::data::pictures::Pictures;
use crate::data::tokens::Tokens;
use crate::models::autoencoder::Autoencoder;

pub(crate) struct Samples<'a> {
    pub(super) images: &'a dyn Pictures,
    /// The token grids they were decoded from, if they were.
    pub(super) tokens: Option<&'a Tokens>,
    pub(super) train: &'a dyn Pictures,
    pub(super) train_tokens: Option<&'a Tokens>,
    pub(super) held_out: Option<&'a dyn Pictures>,
    pub(super) memorised_db: f64,
    /// An encoder, for the distance of its features.
    pub(super) encoder: Option<&'a Autoencoder>,
    /// Whether the most similar images are sought by SSIM too.
    pub(super) by_ssim: bool,
    /// What FID and IS are computed with, if they are wanted.
    pub(super) scores: Option<&'a Scores>,
    /// Nearest training image of each sample.
    pub(crate) nearest: Vec<Nearest>,
    against: OnceCell<Against>,
    similar: OnceCell<Vec<MostSimilar>>,
}

impl<'a> Samples<'a> {
    /// With a search of their own.
    #[cfg(test)]
    pub(crate) fn new(
        images: &'a dyn Pictures,
        tokens: Option<&'a Tokens>,
        train: &'a dyn Pictures,
        train_tokens: Option<&'a Tokens>,
        held_out: Option<&'a dyn Pictures>,
        memorised_db: f64,
    ) -> Self {
        let found = Neighbours::find(images, train, held_out, false).unwrap();
        Self::known(
            found,
            images,
            tokens,
            train,
            train_tokens,
            held_out,
            memorised_db,
        )
    }

    /// Whose nearest images were found.
    pub(crate) fn known(
        found: Neighbours,
        images: &'a dyn Pictures,
        tokens: Option<&'a Tokens>,
        train: &'a dyn Pictures,
        train_tokens: Option<&'a Tokens>,
        held_out: Option<&'a dyn Pictures>,
        memorised_db: f64,
    ) -> Self {
        Self {
            images,
            tokens,
            train,
            train_tokens,
            held_out,
            memorised_db,
            encoder: None,
            by_ssim: false,
            scores: None,
            against: found.against.map_or_else(OnceCell::new, OnceCell::from),
            similar: found.similar.map_or_else(OnceCell::new, OnceCell::from),
            nearest: found.nearest,
        }
    }

    pub(crate) fn with_encoder(self, encoder: Option<&'a Autoencoder>) -> Self {
        Self { encoder, ..self }
    }

    pub(crate) fn with_ssim(self, by_ssim: bool) -> Self {
        Self { by_ssim, ..self }
    }

    pub(crate) fn with_scores(self, scores: Option<&'a Scores>) -> Self {
        Self { scores, ..self }
    }

    /// The most similar training image of each sample, if they are sought.
    ///
    /// # Errors
    /// When images cannot be read.
    pub(crate) fn similar(&self) -> Result<Option<&[MostSimilar]>, Failure> {
        if !self.by_ssim {
            return Ok(None);
        }
        if self.similar.get().is_none() {
            let found = ssim::most_similar(self.images, self.train)?;
            self.similar.get_or_init(|| found);
        }
        Ok(self.similar.get().map(Vec::as_slice))
    }

    /// The nearest of as many held-out and training images, if some are kept
    /// back.
    ///
    /// # Errors
    /// As [`Self::similar`].
    pub(super) fn against(&self) -> Result<Option<&Against>, Failure> {
        let Some(held_out) = self.held_out else {
            return Ok(None);
        };
        if self.against.get().is_none() {
            let found = neighbours::against(self.images, self.train, held_out)?;
            self.against.get_or_init(|| found);
        }
        Ok(self.against.get())
    }
}
