//! Average and maximum pooling: `[n·h·w, c]` → `[n·h'·w', c]`,
//! h' = ⌊(h + 2·padding − kernel)/stride⌋ + 1. What lies outside of an image
//! counts for nothing: averages are of the sites inside (PyTorch's
//! `count_include_pad=False`). Of equal values the first in raster order is
//! the maximum, as in PyTorch.

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

/// A square that slides over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Square {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

/// # Errors
/// When the window is empty, larger than the images, or nowhere but outside.
pub(crate) fn pool(kind: Pool, x: &Rows, square: Square) -> Result<Rows> {
    let Square {
        kernel,
        stride,
        padding,
    } = square;
    let (rows, width) = x.data.dims2()?;
    let fits =
        kernel > 0 && stride > 0 && 2 * padding <= kernel && kernel <= x.h.min(x.w) + 2 * padding;
    if !fits || rows != x.n * x.h * x.w || rows * width == 0 {
        let (n, h, w) = (x.n, x.h, x.w);
        bail!("windows of {kernel} by {stride} on {rows} rows of {n} images of {h}×{w}");
    }
    let [h, w] = [x.h, x.w].map(|side| (side + 2 * padding - kernel) / stride + 1);
    if composed::wanted(&x.data) {
        let unfold = Unfold {
            h: x.h,
            w: x.w,
            channels: width,
            groups: 1,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
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
        square,
    };
    let data = graph::apply1(&x.data.contiguous()?, op)?;
    Ok(Rows { data, n: x.n, h, w })
}

struct Windows {
    kind: Pool,
    images: usize,
    from: [usize; 2],
    to: [usize; 2],
    square: Square,
}

impl Windows {
    /// The sites that an output site sees, in raster order.
    fn window(&self, site: usize) -> impl Iterator<Item = usize> + Clone {
        let ([h, w], [_, to_w]) = (self.from, self.to);
        let Square {
            kernel,
            stride,
            padding,
        } = self.square;
        let seen = move |at: usize, side: usize| {
            let first = (at * stride).saturating_sub(padding);
            first..(at * stride + kernel - padding).min(side)
        };
        let (rows, columns) = (seen(site / to_w, h), seen(site % to_w, w));
        rows.flat_map(move |y| columns.clone().map(move |x| y * w + x))
    }

    fn sites(&self) -> [usize; 2] {
        [self.from, self.to].map(|[h, w]| h * w)
    }

    /// One image, `[h·w, width]` → `[h'·w', width]`.
    fn forward(&self, x: &[f32], y: &mut [f32], width: usize) {
        for (site, y) in y.chunks_exact_mut(width).enumerate() {
            match self.kind {
                Pool::Average => {
                    for from in self.window(site) {
                        let x = &x[from * width..(from + 1) * width];
                        y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
                    }
                    let share = self.share(site);
                    y.iter_mut().for_each(|y| *y *= share);
                }
                Pool::Maximum => {
                    let mut window = self.window(site);
                    if let Some(from) = window.next() {
                        y.copy_from_slice(&x[from * width..(from + 1) * width]);
                    }
                    for from in window {
                        let x = &x[from * width..(from + 1) * width];
                        for (y, x) in y.iter_mut().zip(x) {
                            if *x > *y || x.is_nan() {
                                *y = *x;
                            }
                        }
                    }
                }
            }
        }
    }

    fn backward(&self, x: &[f32], grad: &[f32], gx: &mut [f32], width: usize) {
        let mut best = vec![0; width];
        for (site, grad) in grad.chunks_exact(width).enumerate() {
            match self.kind {
                Pool::Average => {
                    let share = self.share(site);
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

    fn share(&self, site: usize) -> f32 {
        1.0 / self.window(site).count() as f32
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
