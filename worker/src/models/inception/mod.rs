//! The 1008-class Inception-v3 whose features and class scores FID, IS and
//! rFID compare (science.md §5), for inference alone. It differs from
//! torchvision's in its pools: averages leave the padding out, and the last
//! block takes a maximum. Batch norms are part of the convolutions before
//! them.
//!
//! Weights are the user's: none are shipped, and none are looked for.

mod blocks;
mod file;
mod resize;

use std::path::Path;

use ablate_proto::failure::Failure;
use ablate_proto::stage::FidMode;
use candle_core::{Result, Tensor};

use self::blocks::{Block, Step, blocks};
pub(crate) use self::file::{expected, fold};
use crate::data::pictures::{Pictures, pieces};
use crate::metrics::{Features, site_means};
use crate::nn::join::join;
use crate::nn::layer::{Layer, Rows, linear};
use crate::nn::pool::{Pool, Square, pool};
use crate::runner::failure::OrFail as _;
use crate::runner::pulse;
use crate::weights::{InceptionWeights, Weights};

/// Side of the images that enter.
pub(crate) const SIDE: usize = 299;
/// Features of an image.
pub(crate) const FEATURES: usize = 2048;
pub(crate) const CLASSES: usize = 1008;

/// Images at a time: their widest maps take 90 MB each.
pub(crate) const BATCH: usize = 16;

#[derive(Debug)]
pub(crate) struct Inception {
    blocks: Vec<Block<Layer>>,
    /// To the classes, without the bias.
    classes: Layer,
}

/// What the network makes of images.
#[derive(Debug)]
pub(crate) struct Seen {
    /// `[n, 2048]`.
    pub(crate) features: Features,
    /// `[n, 1008]`: the products with the last layer's weights, without its
    /// bias, from which the Inception score has been computed since its first
    /// program.
    pub(crate) logits: Features,
}

impl Inception {
    /// Reads weights that were imported.
    ///
    /// # Errors
    /// Names the tensor that is not as it must be.
    pub(crate) fn read(path: &Path) -> std::result::Result<Self, Failure> {
        let weights = Weights::open(path, None);
        let weights = weights.and_then(|mut weights| InceptionWeights::read(&mut weights));
        Self::new(weights.map_err(|e| Failure::data(e.to_string()))?)
    }

    /// # Errors
    /// None is expected of weights that were checked.
    pub(crate) fn new(weights: InceptionWeights) -> std::result::Result<Self, Failure> {
        let mut values = weights.values;
        let doing = "building Inception";
        let layers = blocks().into_iter();
        let layers = layers.map(|block| block.map(|plan| fold(plan, &mut values)));
        Ok(Self {
            blocks: layers.collect::<Result<_>>().or_bug(doing)?,
            classes: file::classes(&mut values).or_bug(doing)?,
        })
    }

    /// Of images of one or three channels and any size.
    ///
    /// # Errors
    /// A configuration when they have other channels.
    pub(crate) fn see(
        &self,
        images: &dyn Pictures,
        mode: FidMode,
    ) -> std::result::Result<Seen, Failure> {
        let doing = "computing Inception's features";
        let [mut features, mut logits] = [FEATURES, CLASSES].map(|width| Features {
            n: images.n(),
            width,
            data: Vec::with_capacity(images.n() * width),
        });
        for chunk in pieces(images.n(), BATCH) {
            let pixels = resize::resized(&images.read(chunk)?, mode)?;
            let seen = self.features(&pixels).or_bug(doing)?;
            let scored = linear(&self.classes, &seen);
            let both = [(&mut features, Ok(seen)), (&mut logits, scored)];
            for (all, some) in both {
                let values = some.and_then(|some| some.flatten_all()?.to_vec1());
                all.data.extend::<Vec<f32>>(values.or_bug(doing)?);
            }
            pulse::beat();
        }
        Ok(Seen { features, logits })
    }

    /// `[n·299·299, 3]` → `[n, 2048]`.
    fn features(&self, pixels: &Rows) -> Result<Tensor> {
        let mut x = pixels.clone();
        for block in &self.blocks {
            x = through(block, &x)?;
        }
        Tensor::from_vec(site_means(&x)?, (x.n, FEATURES), x.data.device())
    }
}

fn through(block: &Block<Layer>, x: &Rows) -> Result<Rows> {
    let mut all: Option<Rows> = None;
    for branch in &block.branches {
        let mut y = x.clone();
        for step in branch {
            y = match step {
                Step::Conv(layer) => layer.forward(&y)?,
                Step::Both(a, b) => beside(&a.forward(&y)?, &b.forward(&y)?)?,
                Step::Average => pool(Pool::Average, &y, square(1))?,
                Step::Maximum { stride } => pool(Pool::Maximum, &y, square(*stride))?,
            };
        }
        all = Some(match all {
            None => y,
            Some(all) => beside(&all, &y)?,
        });
    }
    Ok(all.unwrap_or_else(|| x.clone()))
}

fn square(stride: usize) -> Square {
    Square {
        kernel: 3,
        stride,
        padding: usize::from(stride == 1),
    }
}

fn beside(a: &Rows, b: &Rows) -> Result<Rows> {
    let data = join(&a.data, &b.data)?;
    Ok(Rows { data, ..*a })
}
