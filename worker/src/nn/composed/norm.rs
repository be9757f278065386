//! Group and batch normalisation (`nn::group_norm`, `nn::batch_norm`).

use candle_core::{Result, Tensor};

use super::{column_sums, node};

/// Groups of a norm, and what stands behind it.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct Groups {
    pub(in crate::nn) groups: usize,
    /// Rows of an image.
    pub(in crate::nn) sites: usize,
    pub(in crate::nn) silu: bool,
    pub(in crate::nn) epsilon: f64,
}

/// `[n·sites, c]` → the same, of input, weight `[c]` and bias `[c]`.
///
/// # Errors
/// When the shapes do not fit.
pub(in crate::nn) fn group(norm: Groups, args: [&Tensor; 3]) -> Result<Tensor> {
    node::derived_three("group norm", args, move |[x, weight, bias]| {
        let (rows, width) = x.dims2()?;
        let shape = (
            rows / norm.sites,
            norm.sites,
            norm.groups,
            width / norm.groups,
        );
        let x = x.reshape(shape)?;
        let centred = x.broadcast_sub(&x.mean_keepdim((1, 3))?)?;
        let variance = centred.sqr()?.mean_keepdim((1, 3))?;
        let scale = (variance + norm.epsilon)?.sqrt()?.recip()?;
        let normal = centred.broadcast_mul(&scale)?.reshape((rows, width))?;
        let y = affine(&normal, weight, bias)?;
        if norm.silu { y.silu() } else { Ok(y) }
    })
}

/// x·weight + bias, by column.
fn affine(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let y = x.detach().broadcast_mul(&weight.detach())?;
    let y = y.broadcast_add(&bias.detach())?;
    node::three(
        "affine",
        [x, weight, bias],
        y,
        |[x, weight, bias], _, grad| {
            let gx = grad.broadcast_mul(&weight.detach())?;
            let gw = column_sums(&(grad * x.detach())?)?;
            let [gw, gb] = [gw, column_sums(grad)?];
            let (gw, gb) = (gw.reshape(weight.shape())?, gb.reshape(bias.shape())?);
            Ok([Some(gx), Some(gw), Some(gb)])
        },
    )
}

/// Mean and biased variance of each column, `[1, c]`.
///
/// # Errors
/// None is expected.
pub(in crate::nn) fn moments(x: &Tensor) -> Result<[Tensor; 2]> {
    let x = x.detach();
    let share = 1.0 / x.dim(0)? as f64;
    let mean = (column_sums(&x)? * share)?;
    let centred = x.broadcast_sub(&mean)?;
    let variance = (column_sums(&centred.sqr()?)? * share)?;
    Ok([mean, variance])
}

/// Normalises the columns of `[rows, c]` by moments `[1, c]`, which are those
/// of the input itself (`batch`) or constants.
///
/// # Errors
/// When the shapes do not fit.
pub(in crate::nn) fn batch(
    args: [&Tensor; 3],
    [mean, variance]: [Tensor; 2],
    epsilon: f64,
    batch: bool,
) -> Result<Tensor> {
    let [x, weight, bias] = args.map(Tensor::detach);
    let scale = (variance + epsilon)?.sqrt()?.recip()?;
    let normal =
        |x: &Tensor, mean: &Tensor, scale: &Tensor| x.broadcast_sub(mean)?.broadcast_mul(scale);
    let y = normal(&x, &mean, &scale)?.broadcast_mul(&weight)?;
    let y = y.broadcast_add(&bias)?;
    node::three("batch norm", args, y, move |[x, weight, bias], _, grad| {
        let normal = normal(&x.detach(), &mean, &scale)?;
        let gw = column_sums(&(grad * &normal)?)?;
        let gb = column_sums(grad)?;
        let mut gx = grad.clone();
        if batch {
            // What the batch's mean and deviation pass on.
            let share = 1.0 / x.dim(0)? as f64;
            gx = gx.broadcast_sub(&(&gb * share)?)?;
            gx = (gx - normal.broadcast_mul(&(&gw * share)?)?)?;
        }
        let slope = scale.broadcast_mul(&weight.detach())?;
        let gx = gx.broadcast_mul(&slope)?;
        let (gw, gb) = (gw.reshape(weight.shape())?, gb.reshape(bias.shape())?);
        Ok([Some(gx), Some(gw), Some(gb)])
    })
}
