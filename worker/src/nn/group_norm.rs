//! Group normalisation (Wu and He) with a SiLU behind it or not, one op:
//! `[n·h·w, c]` → the same, each image's channels normalised in `groups`
//! groups of neighbours over all its sites. With one site an image and one
//! group it is layer normalisation.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::activation::silu_slope;
use super::backward;
use super::build::{Build, Init};
use super::composed;
use super::decay::logistic;
use super::graph;
use super::layer::{Rows, values, with_values};
use super::narrow;
use super::pieces::{accumulate, piece};
use super::reuse::own;
use super::simd::wide;

/// Added to variances, as in PyTorch.
const EPSILON: f64 = 1e-5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    Silu,
}

#[derive(Debug, Clone)]
pub(crate) struct GroupNorm {
    pub(super) groups: usize,
    pub(super) after: After,
    /// `[c]`.
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

/// Over `channels` channels; starts as the identity behind the normalisation.
///
/// # Errors
/// When the groups do not divide the channels, or a name is taken.
pub(crate) fn group_norm(
    build: &mut Build,
    name: &str,
    groups: usize,
    channels: usize,
    after: After,
) -> Result<GroupNorm> {
    if groups == 0 || !channels.is_multiple_of(groups) {
        bail!("{channels} channels cannot be in {groups} equal groups");
    }
    Ok(GroupNorm {
        groups,
        after,
        weight: build.parameter(&format!("{name}.weight"), &[channels], Init::Constant(1.0))?,
        bias: build.parameter(&format!("{name}.bias"), &[channels], Init::Constant(0.0))?,
    })
}

impl GroupNorm {
    /// # Errors
    /// When the input has another number of channels.
    pub(crate) fn forward(&self, x: &Rows) -> Result<Rows> {
        let data = x.data.contiguous()?;
        if composed::wanted(&data) {
            let norm = composed::norm::Groups {
                groups: self.groups,
                sites: x.h * x.w,
                silu: self.after == After::Silu,
                epsilon: EPSILON,
            };
            let data = composed::norm::group(norm, [&data, &self.weight, &self.bias])?;
            return Ok(Rows { data, ..*x });
        }
        let op = Fused {
            groups: self.groups,
            sites: x.h * x.w,
            after: self.after,
            statistics: OnceLock::new(),
        };
        Ok(Rows {
            data: graph::apply3(&data, &self.weight, &self.bias, op)?,
            ..*x
        })
    }
}

/// Mean and 1/deviation of a group.
#[derive(Debug, Clone, Copy)]
struct Moments {
    mean: f32,
    scale: f32,
}

struct Fused {
    groups: usize,
    sites: usize,
    after: After,
    /// `[n, groups]`, kept for the way back.
    statistics: OnceLock<Vec<Moments>>,
}

impl Fused {
    /// Of one image, `[sites, width]`; two passes, since one would lose what
    /// differs little from a large mean.
    #[inline(always)]
    fn moments(&self, image: &[f32], width: usize) -> Vec<Moments> {
        let size = width / self.groups;
        let count = (size * self.sites) as f64;
        let mut sums = vec![0.0f32; width];
        for row in image.chunks_exact(width) {
            sums.iter_mut().zip(row).for_each(|(s, x)| *s += x);
        }
        let total = |sums: &[f32]| sums.iter().copied().map(f64::from).sum::<f64>();
        let means: Vec<f32> = sums
            .chunks_exact(size)
            .map(|sums| narrow(total(sums) / count))
            .collect();
        let spread = spread(&means, size);
        sums.fill(0.0);
        for row in image.chunks_exact(width) {
            for ((sum, x), mean) in sums.iter_mut().zip(row).zip(&spread) {
                *sum += (x - mean) * (x - mean);
            }
        }
        let scale = |sums| narrow(1.0 / (total(sums) / count + EPSILON).sqrt());
        let scales = sums.chunks_exact(size).map(scale);
        let both = means.into_iter().zip(scales);
        both.map(|(mean, scale)| Moments { mean, scale }).collect()
    }

    fn forward(&self, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
        let width = weight.len();
        let image = self.sites * width;
        let mut y = vec![0.0; x.len()];
        let piece = piece(x.len() / image, image) * image;
        let parts = y.par_chunks_mut(piece).zip(x.par_chunks(piece));
        let each = |(y, x): (&mut [f32], &[f32])| {
            let mut statistics = Vec::new();
            for (y, x) in y.chunks_exact_mut(image).zip(x.chunks_exact(image)) {
                let moments = wide(
                    #[inline(always)]
                    || self.moments(x, width),
                );
                let Channels { means, scales } = Channels::new(&moments, width);
                let slopes: Vec<f32> = scales.iter().zip(weight).map(|(s, w)| s * w).collect();
                wide(
                    #[inline(always)]
                    || {
                        let rows = y.chunks_exact_mut(width).zip(x.chunks_exact(width));
                        for (y, x) in rows {
                            let channels = means.iter().zip(&slopes).zip(bias);
                            let values = y.iter_mut().zip(x).zip(channels);
                            for ((y, x), ((mean, slope), bias)) in values {
                                *y = (x - mean) * slope + bias;
                            }
                            if self.after == After::Silu {
                                y.iter_mut().for_each(|y| *y *= logistic(*y));
                            }
                        }
                    },
                );
                statistics.extend(moments);
            }
            statistics
        };
        let statistics: Vec<Vec<Moments>> = parts.map(each).collect();
        self.statistics.get_or_init(|| statistics.concat());
        y
    }

    /// Turns the output's gradient into the input's; returns those of weight
    /// and bias.
    fn backward(&self, x: &[f32], weight: &[f32], bias: &[f32], grad: &mut [f32]) -> [Vec<f32>; 2] {
        let width = weight.len();
        let image = self.sites * width;
        let images = x.len() / image;
        let all = self.statistics.get_or_init(|| {
            let images = x.chunks_exact(image);
            images.flat_map(|x| self.moments(x, width)).collect()
        });
        let piece = piece(images, image);
        let parts = grad.par_chunks_mut(piece * image);
        let parts = parts.zip(x.par_chunks(piece * image));
        let parts = parts.zip(all.par_chunks(piece * self.groups));
        let parts = parts.map(|((grad, x), moments)| {
            let mut totals = [vec![0.0; width], vec![0.0; width]];
            let images = grad.chunks_exact_mut(image).zip(x.chunks_exact(image));
            for ((grad, x), moments) in images.zip(moments.chunks_exact(self.groups)) {
                let channels = Channels::new(moments, width);
                let sums = wide(
                    #[inline(always)]
                    || self.image_backward(grad, x, (weight, bias), &channels),
                );
                for (total, sums) in totals.iter_mut().zip(&sums) {
                    accumulate(total, sums);
                }
            }
            totals
        });
        let parts: Vec<[Vec<f64>; 2]> = parts.collect();
        let sum = |which: usize| {
            let channel = |c: usize| narrow(parts.iter().map(|part| part[which][c]).sum());
            (0..width).map(channel).collect()
        };
        [sum(0), sum(1)]
    }

    /// Turns the gradient of one image; returns its gradients of weight and
    /// bias.
    #[inline(always)]
    fn image_backward(
        &self,
        grad: &mut [f32],
        x: &[f32],
        (weight, bias): (&[f32], &[f32]),
        Channels { means, scales }: &Channels,
    ) -> [Vec<f32>; 2] {
        let width = weight.len();
        let size = width / self.groups;
        let (mut gw, mut gb) = (vec![0.0f32; width], vec![0.0f32; width]);
        let rows = grad.chunks_exact_mut(width).zip(x.chunks_exact(width));
        for (grad, x) in rows {
            if self.after == After::Silu {
                let channels = means.iter().zip(scales).zip(weight.iter().zip(bias));
                for ((g, x), ((mean, scale), (w, b))) in grad.iter_mut().zip(x).zip(channels) {
                    *g *= silu_slope((x - mean) * (scale * w) + b);
                }
            }
            let channels = means.iter().zip(scales);
            let sums = gw.iter_mut().zip(gb.iter_mut());
            for (((g, x), (mean, scale)), (gw, gb)) in grad.iter().zip(x).zip(channels).zip(sums) {
                *gb += g;
                *gw += g * ((x - mean) * scale);
            }
        }
        // What the mean and the deviation pass on, the same in a group.
        let count = (size * self.sites) as f64;
        let share = |sums: &[f32]| {
            let weighted = sums.iter().zip(weight).map(|(s, w)| f64::from(s * w));
            let weighted: Vec<f64> = weighted.collect();
            let groups = weighted.chunks_exact(size);
            let shares: Vec<f32> = groups
                .map(|group| narrow(group.iter().sum::<f64>() / count))
                .collect();
            spread(&shares, size)
        };
        let (by_mean, by_scale) = (share(&gb), share(&gw));
        let rows = grad.chunks_exact_mut(width).zip(x.chunks_exact(width));
        for (grad, x) in rows {
            let channels = means.iter().zip(scales).zip(weight);
            let channels = channels.zip(by_mean.iter().zip(&by_scale));
            for ((g, x), (((mean, scale), w), (by_mean, by_scale))) in
                grad.iter_mut().zip(x).zip(channels)
            {
                let normal = (x - mean) * scale;
                *g = scale * (w * *g - by_mean - normal * by_scale);
            }
        }
        [gw, gb]
    }
}

/// The moments of each channel's group.
struct Channels {
    means: Vec<f32>,
    scales: Vec<f32>,
}

impl Channels {
    fn new(moments: &[Moments], width: usize) -> Self {
        let size = width / moments.len();
        let of = |f: fn(&Moments) -> f32| spread(&moments.iter().map(f).collect::<Vec<_>>(), size);
        Self {
            means: of(|m| m.mean),
            scales: of(|m| m.scale),
        }
    }
}

/// Each value `size` times.
fn spread(values: &[f32], size: usize) -> Vec<f32> {
    let each = values.iter().flat_map(|v| std::iter::repeat_n(*v, size));
    each.collect()
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "group norm"
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
        let (rows, width) = x_layout.shape().dims2()?;
        let weight = values(weight, weight_layout)?;
        if width != weight.len() || self.sites == 0 || !rows.is_multiple_of(self.sites) {
            let (channels, sites) = (weight.len(), self.sites);
            bail!("{rows}×{width} values enter a norm of {channels} channels at {sites} sites");
        }
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
            with_values(weight, |w| {
                with_values(bias, |b| Ok(self.backward(x, w, b, &mut gx)))
            })
        })?;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((
            Some(tensor(gx, x)?),
            Some(tensor(gw, weight)?),
            Some(tensor(gb, bias)?),
        ))
    }
}
