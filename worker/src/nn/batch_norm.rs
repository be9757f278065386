//! Batch normalisation: `[rows, c]` → the same, each channel normalised over
//! all rows. Rows are examples (1d) or the sites of all images (2d).
//!
//! Training uses the batch's statistics and moves the running ones, which are
//! buffers; evaluation uses the running ones.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, Var, bail};
use rayon::prelude::*;

use super::backward;
use super::build::{Build, Init};
use super::composed;
use super::device::device;
use super::graph;
use super::layer::{values, with_values};
use super::mode::Mode;
use super::narrow;
use super::pieces::{piece, sums};
use super::reuse::own;
use super::simd::wide;

/// Added to variances, and how far a batch moves the running statistics, as
/// in PyTorch.
const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

#[derive(Debug, Clone)]
pub(crate) struct BatchNorm {
    /// `[c]`, as are the buffers.
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) running_mean: Var,
    pub(super) running_variance: Var,
}

/// Over `channels` channels; starts as the identity behind the normalisation.
///
/// # Errors
/// When a name is taken.
pub(crate) fn batch_norm(build: &mut Build, name: &str, channels: usize) -> Result<BatchNorm> {
    let (zero, one) = (Init::Constant(0.0), Init::Constant(1.0));
    let shape = [channels];
    Ok(BatchNorm {
        weight: build.parameter(&format!("{name}.weight"), &shape, one)?,
        bias: build.parameter(&format!("{name}.bias"), &shape, zero)?,
        running_mean: build.buffer(&format!("{name}.running_mean"), &shape, zero)?,
        running_variance: build.buffer(&format!("{name}.running_var"), &shape, one)?,
    })
}

impl BatchNorm {
    /// # Errors
    /// When the input has other channels, or, to train, fewer than two rows.
    pub(crate) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = x.contiguous()?;
        let (rows, width) = x.dims2()?;
        if width != self.weight.dim(0)? {
            bail!("{width} channels enter a norm of {}", self.weight.dim(0)?);
        }
        if composed::wanted(&x) {
            return self.composed(&x, mode);
        }
        let (batch, [mean, variance]) = match mode {
            Mode::Train { .. } if rows < 2 => bail!("the variance of one row is zero"),
            Mode::Train { .. } => {
                let moments = with_values(&x, |x| Ok(moments(x, width)))?;
                self.follow(&moments, rows as f64)?;
                (true, moments)
            }
            Mode::Eval => {
                let stored = |var: &Var| -> Result<Vec<f64>> {
                    let values: Vec<f32> = var.as_tensor().to_vec1()?;
                    Ok(values.into_iter().map(f64::from).collect())
                };
                let moments = [stored(&self.running_mean)?, stored(&self.running_variance)?];
                (false, moments)
            }
        };
        let scale = |v: f64| narrow(1.0 / (v + EPSILON).sqrt());
        let op = Normalise {
            batch,
            means: mean.into_iter().map(narrow).collect(),
            scales: variance.into_iter().map(scale).collect(),
        };
        graph::apply3(&x, &self.weight, &self.bias, op)
    }

    fn composed(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let rows = x.dim(0)?;
        let running = [&self.running_mean, &self.running_variance];
        let (batch, moments) = match mode {
            Mode::Train { .. } if rows < 2 => bail!("the variance of one row is zero"),
            Mode::Train { .. } => {
                let moments = composed::norm::moments(x)?;
                let unbiased = rows as f64 / (rows as f64 - 1.0);
                for ((var, batch), factor) in running.iter().zip(&moments).zip([1.0, unbiased]) {
                    let batch = (batch.reshape(var.shape())? * (MOMENTUM * factor))?;
                    var.set(&((var.as_tensor() * (1.0 - MOMENTUM))? + batch)?)?;
                }
                (true, moments)
            }
            Mode::Eval => {
                let [mean, variance] = running.map(|var| var.as_detached_tensor().unsqueeze(0));
                (false, [mean?, variance?])
            }
        };
        let args = [x, &self.weight, &self.bias];
        composed::norm::batch(args, moments, EPSILON, batch)
    }

    /// Moves the running statistics, with the unbiased variance.
    fn follow(&self, [mean, variance]: &[Vec<f64>; 2], rows: f64) -> Result<()> {
        let update = |var: &Var, batch: &[f64], factor: f64| {
            let running: Vec<f32> = var.as_tensor().to_vec1()?;
            let moved = running.iter().zip(batch).map(|(running, batch)| {
                narrow((1.0 - MOMENTUM) * f64::from(*running) + MOMENTUM * factor * batch)
            });
            let moved: Vec<f32> = moved.collect();
            var.set(&Tensor::from_vec(moved, running.len(), &device())?)
        };
        update(&self.running_mean, mean, 1.0)?;
        update(&self.running_variance, variance, rows / (rows - 1.0))
    }
}

/// Mean and biased variance of each column; two passes, since one would lose
/// what differs little from a large mean.
fn moments(x: &[f32], width: usize) -> [Vec<f64>; 2] {
    let rows = x.len() / width;
    let mut mean = sums(
        rows,
        width,
        #[inline(always)]
        |range, sums| {
            for row in x[range.start * width..range.end * width].chunks_exact(width) {
                sums.iter_mut().zip(row).for_each(|(s, x)| *s += x);
            }
        },
    );
    mean.iter_mut().for_each(|m| *m /= rows as f64);
    let center: Vec<f32> = mean.iter().copied().map(narrow).collect();
    let mut variance = sums(
        rows,
        width,
        #[inline(always)]
        |range, sums| {
            for row in x[range.start * width..range.end * width].chunks_exact(width) {
                for ((sum, x), mean) in sums.iter_mut().zip(row).zip(&center) {
                    *sum += (x - mean) * (x - mean);
                }
            }
        },
    );
    variance.iter_mut().for_each(|v| *v /= rows as f64);
    [mean, variance]
}

struct Normalise {
    /// Whether the moments are those of the input itself.
    batch: bool,
    /// `[c]`, and the inverse deviations.
    means: Vec<f32>,
    scales: Vec<f32>,
}

impl Normalise {
    fn forward(&self, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
        let width = weight.len();
        let slopes: Vec<f32> = self.scales.iter().zip(weight).map(|(s, w)| s * w).collect();
        let mut y = vec![0.0; x.len()];
        let piece = piece(x.len() / width, width) * width;
        let parts = y.par_chunks_mut(piece).zip(x.par_chunks(piece));
        parts.for_each(|(y, x)| {
            wide(
                #[inline(always)]
                || {
                    for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                        let channels = self.means.iter().zip(&slopes).zip(bias);
                        for ((y, x), ((mean, slope), bias)) in y.iter_mut().zip(x).zip(channels) {
                            *y = (x - mean) * slope + bias;
                        }
                    }
                },
            );
        });
        y
    }

    /// Turns the output's gradient into the input's; returns those of weight
    /// and bias.
    fn backward(&self, x: &[f32], weight: &[f32], grad: &mut [f32]) -> [Vec<f32>; 2] {
        let width = weight.len();
        let rows = x.len() / width;
        let both = sums(
            rows,
            2 * width,
            #[inline(always)]
            |range, sums| {
                let (gw, gb) = sums.split_at_mut(width);
                let range = range.start * width..range.end * width;
                let rows = x[range.clone()].chunks_exact(width);
                for (x, grad) in rows.zip(grad[range].chunks_exact(width)) {
                    let channels = self.means.iter().zip(&self.scales);
                    let sums = gw.iter_mut().zip(gb.iter_mut());
                    for (((g, x), (mean, scale)), (gw, gb)) in
                        grad.iter().zip(x).zip(channels).zip(sums)
                    {
                        *gb += g;
                        *gw += g * ((x - mean) * scale);
                    }
                }
            },
        );
        let (gw, gb) = both.split_at(width);
        // What the batch's mean and deviation pass on.
        let share = |sums: &[f64]| -> Vec<f32> {
            let share = |sum: &f64| narrow(sum / rows as f64);
            let sums = sums.iter().map(share);
            sums.map(|s| if self.batch { s } else { 0.0 }).collect()
        };
        let (by_mean, by_scale) = (share(gb), share(gw));
        let slopes: Vec<f32> = self.scales.iter().zip(weight).map(|(s, w)| s * w).collect();
        let piece = piece(rows, width) * width;
        let parts = grad.par_chunks_mut(piece).zip(x.par_chunks(piece));
        parts.for_each(|(grad, x)| {
            wide(
                #[inline(always)]
                || {
                    let rows = grad.chunks_exact_mut(width).zip(x.chunks_exact(width));
                    for (grad, x) in rows {
                        let channels = self.means.iter().zip(&self.scales).zip(&slopes);
                        let channels = channels.zip(by_mean.iter().zip(&by_scale));
                        let values = grad.iter_mut().zip(x);
                        for ((g, x), (((mean, scale), slope), (by_mean, by_scale))) in
                            values.zip(channels)
                        {
                            *g = slope * (*g - by_mean - (x - mean) * scale * by_scale);
                        }
                    }
                },
            );
        });
        let narrowed = |sums: &[f64]| sums.iter().copied().map(narrow).collect();
        [narrowed(gw), narrowed(gb)]
    }
}

impl CustomOp3 for Normalise {
    fn name(&self) -> &'static str {
        "batch norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let weight = values(weight, weight_layout)?;
        let y = self.forward(values(x, x_layout)?, weight, values(bias, bias_layout)?);
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        backward::done(y);
        let mut gx = own(grad)?;
        let [gw, gb] = with_values(x, |x| {
            with_values(weight, |w| Ok(self.backward(x, w, &mut gx)))
        })?;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((
            Some(tensor(gx, x)?),
            Some(tensor(gw, weight)?),
            Some(tensor(gb, bias)?),
        ))
    }
}
