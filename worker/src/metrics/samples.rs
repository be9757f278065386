//! Generated images with everything that their metrics share.

use super::Nearest;
use crate::data::images::Images;
use crate::data::tokens::Tokens;

pub(crate) struct Samples<'a> {
    pub(super) images: &'a Images,
    /// The token grids they were decoded from, if they were.
    pub(super) tokens: Option<&'a Tokens>,
    pub(super) train: &'a Images,
    pub(super) train_tokens: Option<&'a Tokens>,
    pub(super) held_out: Option<&'a Images>,
    pub(super) memorised_db: f64,
    /// Nearest training image of each sample.
    pub(crate) nearest: Vec<Nearest>,
}

impl<'a> Samples<'a> {
    pub(crate) fn new(
        images: &'a Images,
        tokens: Option<&'a Tokens>,
        train: &'a Images,
        train_tokens: Option<&'a Tokens>,
        held_out: Option<&'a Images>,
        memorised_db: f64,
    ) -> Self {
        Self {
            images,
            tokens,
            train,
            train_tokens,
            held_out,
            memorised_db,
            nearest: Nearest::of_all(images, train, train.n),
        }
    }
}
