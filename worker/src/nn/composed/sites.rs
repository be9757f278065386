//! Pooling, nearest-neighbour resizing and values for whole images
//! (`nn::pool`, `nn::upsample`, `nn::per_image`).

use candle_core::{DType, Result, Tensor};

use super::patches;
use crate::nn::pool::Pool;
use crate::nn::unfold::Unfold;

/// `[n·h·w, c]` → `[n·h'·w', c]`; the window is given as `unfold`.
///
/// # Errors
/// When the rows are not those of the images.
pub(in crate::nn) fn pool(kind: Pool, unfold: Unfold, images: usize, x: &Tensor) -> Result<Tensor> {
    let taps = unfold.kernel[0] * unfold.kernel[1];
    let (sites, width) = (unfold.sites(), unfold.channels);
    let values = patches::gather(unfold, images, x)?;
    let values = values.reshape((images, sites, taps, width))?;
    let inside = inside(unfold, x)?;
    let pooled = match kind {
        Pool::Average => values.sum(2)?.broadcast_div(&inside.sum(1)?)?,
        Pool::Maximum => {
            // What lies outside is less than all values.
            let outside = ((inside - 1.0)? * f64::from(f32::MAX))?;
            let values = values.broadcast_add(&outside)?;
            let values = values.reshape((images * sites, taps, width))?;
            // Products keep a NaN, which no maximum would.
            (&values * first_largest(&values.detach())?)?.sum(1)?
        }
    };
    pooled.reshape((images * sites, width))
}

/// `[sites, taps, 1]`: 1 for a tap inside of the image, else 0.
fn inside(unfold: Unfold, like: &Tensor) -> Result<Tensor> {
    let taps = unfold.kernel[0] * unfold.kernel[1];
    let one = Unfold {
        channels: 1,
        ..unfold
    };
    let ones = Tensor::ones((unfold.h * unfold.w, 1), DType::F32, like.device())?;
    patches::gather(one, 1, &ones)?.reshape((unfold.sites(), taps, 1))
}

/// 1 at the first largest value along the second axis, else 0.
fn first_largest(values: &Tensor) -> Result<Tensor> {
    let top = values.max_keepdim(1)?;
    let largest = values.broadcast_eq(&top)?.to_dtype(DType::F32)?;
    let mut free = top.ones_like()?;
    let mut chosen = Vec::new();
    for tap in 0..values.dim(1)? {
        let here = (largest.narrow(1, tap, 1)? * &free)?;
        free = (free - &here)?;
        chosen.push(here);
    }
    Tensor::cat(&chosen, 1)
}

/// Images of `from` sides → `to` sides.
///
/// # Errors
/// When the rows are not those of the images.
pub(in crate::nn) fn nearest(
    x: &Tensor,
    images: usize,
    from: [usize; 2],
    to: [usize; 2],
) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    let ([h, w], [to_h, to_w]) = (from, to);
    let rows = images * to_h * to_w;
    if to_h.is_multiple_of(h) && to_w.is_multiple_of(w) {
        let (down, right) = (to_h / h, to_w / w);
        let x = x.reshape((images * h, 1, w, 1, width))?;
        let copies = x.broadcast_as((images * h, down, w, right, width))?;
        return copies.contiguous()?.reshape((rows, width));
    }
    // One axis after the other, as products with one-hot rows.
    let x = x.reshape((images, h, w * width))?;
    let x = choices(h, to_h, &x)?.broadcast_matmul(&x)?;
    let x = x.reshape((images * to_h, w, width))?;
    let x = choices(w, to_w, &x)?.broadcast_matmul(&x)?;
    x.reshape((rows, width))
}

/// `[to, from]`: 1 where a site copies another.
fn choices(from: usize, to: usize, like: &Tensor) -> Result<Tensor> {
    let mut rows = vec![0f32; to * from];
    for site in 0..to {
        rows[site * from + site * from / to] = 1.0;
    }
    Tensor::from_vec(rows, (to, from), like.device())
}

/// `[n·sites, c]` + `[n, c]`, each at all sites of its image.
///
/// # Errors
/// When the shapes do not fit.
pub(in crate::nn) fn add_per_image(x: &Tensor, each: &Tensor, sites: usize) -> Result<Tensor> {
    let (images, width) = each.dims2()?;
    let y = x.reshape((images, sites, width))?;
    y.broadcast_add(&each.unsqueeze(1)?)?.reshape(x.shape())
}
