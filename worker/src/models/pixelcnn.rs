//! PixelCNN over token grids (science.md §3.2): masked 7×7 A, seven masked 7×7
//! B, ReLU behind each, and 1×1 to a histogram over the tokens. Tokens enter
//! as their bits, ±1: `[n·h·w, bits]` → logits `[n·h·w, 2^bits]`.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};
use serde::{Deserialize, Serialize};

use super::autoencoder::CHUNK;
use super::draw;
use super::file::Family;
use crate::data::tokens::{Tokens, signs};
use crate::nn::build::Build;
use crate::nn::device::device;
use crate::nn::layer::{Act, Kind, Layer, Rows};
use crate::nn::loss::cross_entropy;
use crate::nn::masked::{Mask, MaskedConv, masked_conv};
use crate::nn::rng::Stream;
use crate::runner::pulse;

const KERNEL: usize = 7;
const LATER: usize = 7;
/// Bits of the largest tokens with a histogram head.
pub(crate) const BITS_MAX: usize = 16;

/// Grids of `side`, `bits` a token; `width` is 64 (v1) or 91 (v2, twice the parameters).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arch {
    pub(crate) side: usize,
    pub(crate) bits: usize,
    pub(crate) width: usize,
}

#[derive(Debug)]
pub(crate) struct PixelCnn {
    masked: Vec<MaskedConv>,
    output: Layer,
}

impl Family for PixelCnn {
    const NAME: &'static str = "pixelcnn";
    type Arch = Arch;

    fn build(build: &mut Build, arch: &Arch) -> Result<Self> {
        let Arch { bits, width, .. } = *arch;
        if !(1..=BITS_MAX).contains(&bits) {
            bail!("a histogram over tokens of {bits} bits: 1 to {BITS_MAX} are possible");
        }
        let mut masked = |index: usize, inputs, mask| {
            let name = format!("masked.{index}");
            masked_conv(build, &name, KERNEL, [inputs, width], (mask, Act::Relu))
        };
        let mut all = vec![masked(0, bits, Mask::A)?];
        for index in 1..=LATER {
            all.push(masked(index, width, Mask::B)?);
        }
        Ok(Self {
            masked: all,
            output: build.layer("output", Kind::Linear, [width, 1 << bits], Act::None)?,
        })
    }
}

impl PixelCnn {
    /// # Errors
    /// When the rows are not of so many bits.
    pub(crate) fn logits(&self, tokens: &Rows) -> Result<Rows> {
        let mut masked = self.masked.iter();
        let hidden = masked.try_fold(tokens.clone(), |x, layer| layer.forward(&x))?;
        self.output.forward(&hidden)
    }

    /// Draws a grid of `side` from each stream, site by site: tokens
    /// `[streams, side, side]`.
    ///
    /// # Errors
    /// None is expected.
    pub(crate) fn draw(
        &self,
        Arch { side, bits, .. }: Arch,
        temperature: f64,
        streams: &mut [Stream],
    ) -> Result<Vec<u32>> {
        let (n, sites) = (streams.len(), side * side);
        let mut tokens = vec![0; n * sites];
        // What is not drawn yet is not seen.
        let mut inputs = vec![0.0; n * sites * bits];
        for site in 0..sites {
            let rows = Rows {
                data: Tensor::from_slice(&inputs, (n * sites, bits), &device())?,
                n,
                h: side,
                w: side,
            };
            let logits = self.logits(&rows)?.data.reshape((n, sites, ()))?;
            let logits: Vec<Vec<f32>> = logits.narrow(1, site, 1)?.squeeze(1)?.to_vec2()?;
            for (image, (logits, rng)) in logits.iter().zip(&mut *streams).enumerate() {
                let weights = draw::sharpened(logits, temperature);
                let token = draw::pick(&weights, rng.unit());
                let at = image * sites + site;
                tokens[at] = token;
                let bits_of = inputs[at * bits..].iter_mut();
                bits_of.zip(signs(token, bits)).for_each(|(x, b)| *x = b);
            }
        }
        Ok(tokens)
    }

    /// ln p of each token of these grids, `[n, sites]`.
    ///
    /// # Errors
    /// None is expected of grids of the architecture.
    pub(crate) fn log_probabilities(&self, tokens: &Tokens) -> Result<Vec<f64>> {
        let mut all = Vec::with_capacity(tokens.data.len());
        let bits: Vec<f32> = tokens.unpack().data;
        let size = tokens.sites() * tokens.bits;
        let grids = bits.chunks(CHUNK * size);
        for (bits, tokens_of) in grids.zip(tokens.data.chunks(CHUNK * tokens.sites())) {
            let rows = Rows {
                data: Tensor::from_slice(bits, (tokens_of.len(), tokens.bits), &device())?,
                n: tokens_of.len() / tokens.sites(),
                h: tokens.side,
                w: tokens.side,
            };
            let logits: Vec<Vec<f32>> = self.logits(&rows)?.data.to_vec2()?;
            let pairs = logits.iter().zip(tokens_of);
            all.extend(pairs.map(|(logits, token)| draw::log_softmax(logits, *token as usize)));
            pulse::beat();
        }
        Ok(all)
    }

    /// The mean cross-entropy of the tokens themselves, in nats a token.
    ///
    /// # Errors
    /// When there is not one token below 2^bits for each row.
    pub(crate) fn loss(&self, bits: &Rows, tokens: Arc<[u32]>) -> Result<Tensor> {
        cross_entropy(&self.logits(bits)?.data, tokens)
    }
}
