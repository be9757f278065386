//! Average and maximum pooling without padding: `[n·h·w, c]` → `[n·h'·w', c]`,
//! h' = ⌊(h − kernel)/stride⌋ + 1. Of equal values the first in raster order
//! is the maximum, as in PyTorch.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::layer::{Rows, values, with_values};
use super::pieces::piece;
use super::unfold::Unfold;
use super::{backward, composed, graph};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pool {
    Average,
    Maximum,
}

/// # Errors
/// When the window is empty or larger than the images.
pub(crate) fn pool(kind: Pool, x: &Rows, kernel: usize, stride: usize) -> Result<Rows> {
    let (rows, width) = x.data.dims2()?;
    let fits = kernel > 0 && stride > 0 && kernel <= x.h.min(x.w);
    if !fits || rows != x.n * x.h * x.w || rows * width == 0 {
        let (n, h, w) = (x.n, x.h, x.w);
        bail!("windows of {kernel} by {stride} on {rows} rows of {n} images of {h}×{w}");
    }
    let [h, w] = [x.h, x.w].map(|side| (side - kernel) / stride + 1);
    if composed::wanted(&x.data) {
        let unfold = Unfold {
            h: x.h,
            w: x.w,
            channels: width,
            groups: 1,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [0; 2],
            dilation: [1; 2],
            out_h: h,
            out_w: w,
        };
        let data = composed::sites::pool(kind, unfold, x.n, &x.data)?;
        return Ok(Rows { data, n: x.n, h, w });
    }
    let op = Windows {
        kind,
        images: x.n,
        from: [x.h, x.w],
        to: [h, w],
        kernel,
        stride,
    };
    let data = graph::apply1(&x.data.contiguous()?, op)?;
    Ok(Rows { data, n: x.n, h, w })
}

struct Windows {
    kind: Pool,
    images: usize,
    from: [usize; 2],
    to: [usize; 2],
    kernel: usize,
    stride: usize,
}

impl Windows {
    /// The sites that an output site sees, in raster order.
    fn window(&self, site: usize) -> impl Iterator<Item = usize> {
        let ([_, from_w], [_, to_w]) = (self.from, self.to);
        let (top, left) = (site / to_w * self.stride, site % to_w * self.stride);
        let kernel = self.kernel;
        (0..kernel * kernel).map(move |at| (top + at / kernel) * from_w + left + at % kernel)
    }

    fn sites(&self) -> [usize; 2] {
        [self.from, self.to].map(|[h, w]| h * w)
    }

    /// One image, `[h·w, width]` → `[h'·w', width]`.
    fn forward(&self, x: &[f32], y: &mut [f32], width: usize) {
        let share = self.share();
        let mut best = vec![0; width];
        for (site, y) in y.chunks_exact_mut(width).enumerate() {
            match self.kind {
                Pool::Average => {
                    for from in self.window(site) {
                        let x = &x[from * width..(from + 1) * width];
                        y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
                    }
                    y.iter_mut().for_each(|y| *y *= share);
                }
                Pool::Maximum => {
                    self.best(x, site, &mut best);
                    let best = best.iter().enumerate();
                    for (y, (channel, from)) in y.iter_mut().zip(best) {
                        *y = x[from * width + channel];
                    }
                }
            }
        }
    }

    fn backward(&self, x: &[f32], grad: &[f32], gx: &mut [f32], width: usize) {
        let share = self.share();
        let mut best = vec![0; width];
        for (site, grad) in grad.chunks_exact(width).enumerate() {
            match self.kind {
                Pool::Average => {
                    for from in self.window(site) {
                        let gx = gx[from * width..(from + 1) * width].iter_mut();
                        gx.zip(grad).for_each(|(gx, g)| *gx += share * g);
                    }
                }
                Pool::Maximum => {
                    self.best(x, site, &mut best);
                    for (channel, (from, g)) in best.iter().zip(grad).enumerate() {
                        gx[from * width + channel] += g;
                    }
                }
            }
        }
    }

    /// The site of each channel's maximum; a NaN is one.
    fn best(&self, x: &[f32], site: usize, best: &mut [usize]) {
        let width = best.len();
        let mut window = self.window(site);
        best.fill(window.next().unwrap_or_default());
        for from in window {
            for (channel, best) in best.iter_mut().enumerate() {
                let (old, new) = (x[*best * width + channel], x[from * width + channel]);
                if new > old || new.is_nan() {
                    *best = from;
                }
            }
        }
    }

    fn share(&self) -> f32 {
        1.0 / (self.kernel * self.kernel) as f32
    }
}

impl CustomOp1 for Windows {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let [from, to] = self.sites();
        let x = values(x, layout)?;
        let piece = piece(self.images, from * width);
        let mut y = vec![0.0; self.images * to * width];
        let parts = y.par_chunks_mut(piece * to * width);
        parts
            .zip(x.par_chunks(piece * from * width))
            .for_each(|(y, x)| {
                let images = y.chunks_exact_mut(to * width);
                for (y, x) in images.zip(x.chunks_exact(from * width)) {
                    self.forward(x, y, width);
                }
            });
        Ok((CpuStorage::F32(y), (self.images * to, width).into()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        backward::done(y);
        let (_, width) = x.dims2()?;
        let [from, to] = self.sites();
        let mut gx = vec![0.0; x.elem_count()];
        with_values(x, |x| {
            with_values(grad, |grad| {
                let piece = piece(self.images, from * width);
                let parts = gx.par_chunks_mut(piece * from * width);
                let parts = parts.zip(x.par_chunks(piece * from * width));
                let parts = parts.zip(grad.par_chunks(piece * to * width));
                parts.for_each(|((gx, x), grad)| {
                    let images = gx.chunks_exact_mut(from * width);
                    let images = images.zip(x.chunks_exact(from * width));
                    for ((gx, x), grad) in images.zip(grad.chunks_exact(to * width)) {
                        self.backward(x, grad, gx, width);
                    }
                });
                Ok(())
            })
        })?;
        Ok(Some(Tensor::from_vec(gx, x.shape(), x.device())?))
    }
}
