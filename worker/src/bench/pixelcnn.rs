//! PixelCNN v1 on grids of tokens.

use std::sync::Arc;

use candle_core::Result;

use super::{Optimised, Training, below, tensor};
use crate::data::tokens::signs;
use crate::models::file::Family as _;
use crate::models::pixelcnn::{Arch, PixelCnn};
use crate::nn::adam::Settings;
use crate::nn::build::Build;
use crate::nn::layer::Rows;

pub(super) const BATCH: usize = 64;
const WIDTH: usize = 64;

struct Pixels {
    net: PixelCnn,
    optimised: Optimised,
    bits: Rows,
    tokens: Arc<[u32]>,
}

/// 4×4 tokens of 8 bits.
pub(super) fn small() -> Result<Box<dyn Training>> {
    build(4, 8)
}

/// 16×16 tokens of one bit.
pub(super) fn large() -> Result<Box<dyn Training>> {
    build(16, 1)
}

fn build(side: usize, bits: usize) -> Result<Box<dyn Training>> {
    let mut build = Build::seeded(0);
    let arch = Arch {
        side,
        bits,
        width: WIDTH,
    };
    let net = PixelCnn::build(&mut build, &arch)?;
    let [named, _] = build.finish()?;
    let rows = BATCH * side * side;
    let tokens = below(1 << bits, "tokens", 0, rows);
    let values = tokens.iter().flat_map(|token| signs(*token, bits));
    let data = tensor(values.collect(), &[rows, bits])?;
    Ok(Box::new(Pixels {
        net,
        optimised: Optimised::new(named, Settings::default(), 1e-3)?,
        bits: Rows {
            data,
            n: BATCH,
            h: side,
            w: side,
        },
        tokens: tokens.into(),
    }))
}

impl Training for Pixels {
    /// Logits, cross-entropy.
    fn step(&mut self, step: u64) -> Result<f32> {
        let loss = self.net.loss(&self.bits, self.tokens.clone())?;
        self.optimised.step(step, &loss)
    }
}
