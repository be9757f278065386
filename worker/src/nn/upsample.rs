//! Nearest-neighbour resizing: `[n·h·w, c]` → `[n·h'·w', c]`. Site (y, x)
//! copies (⌊y·h/h'⌋, ⌊x·w/w'⌋).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::layer::{Rows, values, with_values};
use super::pieces::piece;
use super::{backward, composed, graph};

/// Twice as high and wide.
///
/// # Errors
/// When the rows are not those of the images.
pub(crate) fn double(x: &Rows) -> Result<Rows> {
    nearest(x, 2 * x.h, 2 * x.w)
}

/// # Errors
/// When the rows are not those of the images, or a side is zero.
pub(super) fn nearest(x: &Rows, h: usize, w: usize) -> Result<Rows> {
    let (rows, width) = x.data.dims2()?;
    if rows != x.n * x.h * x.w || rows * width * h * w == 0 {
        bail!(
            "{rows} rows of {} images of {}×{} to {h}×{w}",
            x.n,
            x.h,
            x.w
        );
    }
    if composed::wanted(&x.data) {
        let data = composed::sites::nearest(&x.data, x.n, [x.h, x.w], [h, w])?;
        return Ok(Rows { data, n: x.n, h, w });
    }
    let op = Nearest {
        images: x.n,
        from: [x.h, x.w],
        to: [h, w],
    };
    let data = graph::apply1(&x.data.contiguous()?, op)?;
    Ok(Rows { data, n: x.n, h, w })
}

struct Nearest {
    images: usize,
    from: [usize; 2],
    to: [usize; 2],
}

impl Nearest {
    /// Pairs of sites: to, from.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let ([from_h, from_w], [to_h, to_w]) = (self.from, self.to);
        (0..to_h * to_w).map(move |site| {
            let (y, x) = (site / to_w, site % to_w);
            (site, y * from_h / to_h * from_w + x * from_w / to_w)
        })
    }

    fn sites(&self) -> [usize; 2] {
        [self.from, self.to].map(|[h, w]| h * w)
    }
}

impl CustomOp1 for Nearest {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let [from, to] = self.sites();
        let x = values(x, layout)?;
        let piece = piece(self.images, to * width);
        let mut y = vec![0.0; self.images * to * width];
        let parts = y.par_chunks_mut(piece * to * width);
        parts
            .zip(x.par_chunks(piece * from * width))
            .for_each(|(y, x)| {
                let images = y.chunks_exact_mut(to * width);
                for (y, x) in images.zip(x.chunks_exact(from * width)) {
                    for (to, from) in self.pairs() {
                        let from = &x[from * width..(from + 1) * width];
                        y[to * width..(to + 1) * width].copy_from_slice(from);
                    }
                }
            });
        Ok((CpuStorage::F32(y), (self.images * to, width).into()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        backward::done(y);
        let (_, width) = x.dims2()?;
        let [from, to] = self.sites();
        let mut gx = vec![0.0; x.elem_count()];
        with_values(grad, |grad| {
            let piece = piece(self.images, to * width);
            let parts = gx.par_chunks_mut(piece * from * width);
            parts
                .zip(grad.par_chunks(piece * to * width))
                .for_each(|(gx, grad)| {
                    let images = gx.chunks_exact_mut(from * width);
                    for (gx, grad) in images.zip(grad.chunks_exact(to * width)) {
                        for (to, from) in self.pairs() {
                            let sums = gx[from * width..(from + 1) * width].iter_mut();
                            let grad = &grad[to * width..(to + 1) * width];
                            sums.zip(grad).for_each(|(sum, g)| *sum += g);
                        }
                    }
                });
            Ok(())
        })?;
        Ok(Some(Tensor::from_vec(gx, x.shape(), x.device())?))
    }
}
