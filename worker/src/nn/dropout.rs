//! Dropout: any shape → the same. In training each value is zero with
//! probability `rate`, else divided by 1 − rate; which ones follows from
//! (seed, layer, step), and is drawn again on the way back.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::layer::{values, with_values};
use super::mode::Mode;
use super::narrow;
use super::rng::{Stream, stream};
use super::simd::wide;

/// Values with a stream of their own.
const PART: usize = 1 << 14;

#[derive(Debug, Clone)]
pub(crate) struct Dropout {
    name: String,
    rate: f64,
}

/// The name keys the random stream: each layer has its own.
pub(crate) fn dropout(name: &str, rate: f64) -> Dropout {
    Dropout {
        name: format!("dropout {name}"),
        rate,
    }
}

impl Dropout {
    /// # Errors
    /// None is expected.
    pub(crate) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let Mode::Train { seed, step } = mode else {
            return Ok(x.clone());
        };
        let op = Drop {
            stream: stream(seed, &self.name, step),
            rate: self.rate,
        };
        x.contiguous()?.apply_op1(op)
    }
}

struct Drop {
    stream: Stream,
    rate: f64,
}

impl Drop {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let kept = narrow(1.0 / (1.0 - self.rate));
        let dropped = self.rate * 2f64.powi(32);
        let mut out = vec![0.0; x.len()];
        let parts = out.par_chunks_mut(PART).zip(x.par_chunks(PART));
        parts.enumerate().for_each(|(part, (out, x))| {
            let mut draws = vec![0u32; x.len()];
            self.stream.part(part as u64).fill(&mut draws);
            wide(
                #[inline(always)]
                || {
                    for ((out, x), draw) in out.iter_mut().zip(x).zip(&draws) {
                        *out = if f64::from(*draw) < dropped {
                            0.0
                        } else {
                            kept * x
                        };
                    }
                },
            );
        });
        out
    }
}

impl CustomOp1 for Drop {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.apply(values(x, layout)?);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let gx = with_values(grad, |grad| Ok(self.apply(grad)))?;
        Ok(Some(Tensor::from_vec(gx, x.shape(), x.device())?))
    }
}
