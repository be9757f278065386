//! A value for each image and channel, added at all its sites:
//! `[n·sites, c]` + `[n, c]` → `[n·sites, c]`, in the place of the former.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::layer::{Rows, values, with_values};
use super::pieces::piece;
use super::reuse::{take_here, taken};
use super::simd::wide;
use super::{backward, composed, graph};

/// Nobody else may have `x`, and its gradient must not need its values
/// (`reuse`).
///
/// # Errors
/// When there is not a row of `each` for each image.
pub(crate) fn add_per_image(x: &Rows, each: &Tensor) -> Result<Rows> {
    let sites = x.h * x.w;
    let ((rows, width), (images, channels)) = (x.data.dims2()?, each.dims2()?);
    if sites == 0 || width == 0 || rows != images * sites || width != channels {
        bail!("{images}×{channels} values for {rows}×{width} at {sites} sites an image");
    }
    if composed::wanted(&x.data) {
        let data = composed::sites::add_per_image(&x.data, each, sites)?;
        return Ok(Rows { data, ..*x });
    }
    let op = PerImage {
        sites,
        values: take_here(&x.data)?,
    };
    let data = graph::apply2(&x.data, &each.contiguous()?, op)?;
    Ok(Rows { data, ..*x })
}

struct PerImage {
    sites: usize,
    /// What is added to.
    values: Mutex<Vec<f32>>,
}

impl CustomOp2 for PerImage {
    fn name(&self) -> &'static str {
        "per image"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        each: &CpuStorage,
        each_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (images, width) = each_layout.shape().dims2()?;
        let each = values(each, each_layout)?;
        let image = self.sites * width;
        let piece = piece(images, image);
        let mut y = taken(&self.values, x, x_layout)?;
        let parts = y.par_chunks_mut(piece * image);
        let parts = parts.zip(each.par_chunks(piece * width));
        parts.for_each(|(y, each)| {
            wide(
                #[inline(always)]
                || {
                    let images = y.chunks_exact_mut(image);
                    for (y, each) in images.zip(each.chunks_exact(width)) {
                        for y in y.chunks_exact_mut(width) {
                            y.iter_mut().zip(each).for_each(|(y, add)| *y += add);
                        }
                    }
                },
            );
        });
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        each: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        backward::done(y);
        let (images, width) = each.dims2()?;
        let image = self.sites * width;
        let mut sums = vec![0.0; images * width];
        with_values(grad, |grad| {
            let piece = piece(images, image);
            let parts = sums.par_chunks_mut(piece * width);
            let parts = parts.zip(grad.par_chunks(piece * image));
            parts.for_each(|(sums, grad)| {
                let images = sums.chunks_exact_mut(width);
                for (sums, grad) in images.zip(grad.chunks_exact(image)) {
                    for row in grad.chunks_exact(width) {
                        sums.iter_mut().zip(row).for_each(|(s, g)| *s += g);
                    }
                }
            });
            Ok(())
        })?;
        let sums = Tensor::from_vec(sums, each.shape(), each.device())?;
        Ok((Some(grad.clone()), Some(sums)))
    }
}
