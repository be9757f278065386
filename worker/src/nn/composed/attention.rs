//! Attention (`nn::attention`): batched products and a softmax. The weights
//! are made again on the way back.

use candle_core::{D, Result, Tensor};

use super::node;

/// softmax(QKᵀ/√d)·V: `[n·sites, 3c]` → `[n·sites, c]`.
///
/// # Errors
/// When the shape is not that of queries, keys and values of so many heads.
pub(in crate::nn) fn attend(qkv: &Tensor, sites: usize, heads: usize) -> Result<Tensor> {
    node::derived_one("attention", qkv, move |[qkv]| {
        let (rows, columns) = qkv.dims2()?;
        let (n, size) = (rows / sites, columns / 3 / heads);
        let parts = qkv.reshape((n, sites, 3, heads, size))?;
        let parts = parts.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let parts = parts.reshape((3, n * heads, sites, size))?;
        let [queries, keys, values] = [0, 1, 2].map(|part| parts.get(part));
        let scale = 1.0 / (size as f64).sqrt();
        let scores = (queries?.matmul(&keys?.t()?)? * scale)?;
        let mixed = softmax(&scores)?.matmul(&values?)?;
        let mixed = mixed.reshape((n, heads, sites, size))?.transpose(1, 2)?;
        mixed.contiguous()?.reshape((rows, columns / 3))
    })
}

/// Over the last axis.
fn softmax(x: &Tensor) -> Result<Tensor> {
    let top = x.detach().max_keepdim(D::Minus1)?;
    let powers = x.broadcast_sub(&top)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}
