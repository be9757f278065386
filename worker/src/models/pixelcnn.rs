//! PixelCNN over token grids (science.md §3.2): masked 7×7 A, seven masked 7×7
//! B, ReLU behind each, and 1×1 to a histogram over the tokens. Tokens enter
//! as their bits, ±1: `[n·h·w, bits]` → logits `[n·h·w, 2^bits]`.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::nn::build::Build;
use crate::nn::layer::{Act, Kind, Layer, Rows};
use crate::nn::loss::cross_entropy;
use crate::nn::masked::{Mask, MaskedConv, masked_conv};

const KERNEL: usize = 7;
const LATER: usize = 7;

/// `bits` a token; `width` is 64 (v1) or 91 (v2, twice the parameters).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arch {
    pub(crate) bits: usize,
    pub(crate) width: usize,
}

#[derive(Debug)]
pub(crate) struct PixelCnn {
    masked: Vec<MaskedConv>,
    output: Layer,
}

impl PixelCnn {
    /// # Errors
    /// When stored values are not those of the architecture.
    pub(crate) fn new(build: &mut Build, Arch { bits, width }: Arch) -> Result<Self> {
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

    /// # Errors
    /// When the rows are not of so many bits.
    pub(crate) fn logits(&self, tokens: &Rows) -> Result<Rows> {
        let mut masked = self.masked.iter();
        let hidden = masked.try_fold(tokens.clone(), |x, layer| layer.forward(&x))?;
        self.output.forward(&hidden)
    }

    /// The mean cross-entropy of the tokens themselves, in nats a token.
    ///
    /// # Errors
    /// When there is not one token below 2^bits for each row.
    pub(crate) fn loss(&self, bits: &Rows, tokens: Arc<[u32]>) -> Result<Tensor> {
        cross_entropy(&self.logits(bits)?.data, tokens)
    }
}
