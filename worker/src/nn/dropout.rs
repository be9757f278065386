//! Dropout: any shape → the same. In training each value is zero with
//! probability `rate`, else divided by 1 − rate; which ones follows from
//! (seed, layer, step), and is drawn again on the way back.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::device::device;
use super::mode::Mode;
use super::narrow;
use super::reuse::{self, take_here, taken};
use super::rng::{Stream, stream};
use super::simd::wide;
use super::{backward, composed, graph};

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
    /// In the place of `x`: nobody else may have it, and its gradient must not
    /// need its values (`reuse`).
    ///
    /// # Errors
    /// When `x` is a part of a larger tensor.
    pub(crate) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let Mode::Train { seed, step } = mode else {
            return Ok(x.clone());
        };
        let stream = stream(seed, &self.name, step);
        if composed::wanted(x) {
            let kept = Drop {
                stream,
                rate: self.rate,
                values: Mutex::default(),
            };
            let mask = kept.apply(vec![1.0; x.elem_count()]);
            return x.mul(&Tensor::from_vec(mask, x.shape(), &device())?);
        }
        let op = Drop {
            stream,
            rate: self.rate,
            values: take_here(x)?,
        };
        graph::apply1(x, op)
    }
}

struct Drop {
    stream: Stream,
    rate: f64,
    /// What is dropped from.
    values: Mutex<Vec<f32>>,
}

impl Drop {
    fn apply(&self, mut x: Vec<f32>) -> Vec<f32> {
        let kept = narrow(1.0 / (1.0 - self.rate));
        let dropped = self.rate * 2f64.powi(32);
        x.par_chunks_mut(PART).enumerate().for_each(|(part, x)| {
            let mut draws = vec![0u32; x.len()];
            self.stream.part(part as u64).fill(&mut draws);
            wide(
                #[inline(always)]
                || {
                    for (x, draw) in x.iter_mut().zip(&draws) {
                        *x = if f64::from(*draw) < dropped {
                            0.0
                        } else {
                            kept * *x
                        };
                    }
                },
            );
        });
        x
    }
}

impl CustomOp1 for Drop {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.apply(taken(&self.values, x, layout)?);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        backward::done(y);
        let gx = self.apply(reuse::own(grad)?);
        Ok(Some(Tensor::from_vec(gx, x.shape(), x.device())?))
    }
}
