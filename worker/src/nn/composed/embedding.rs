//! Rows of a table (`nn::embedding`). candle's own gradient runs a loop over
//! all ids in each column's thread; here it is a product with one-hot rows.

use candle_core::{DType, Result, Tensor, bail};

use super::{TEMPORARY, node};

/// `[count, width]` and ids `[rows]` (u32) → `[rows, width]`.
///
/// # Errors
/// When the shapes do not fit.
pub(in crate::nn) fn rows(weight: &Tensor, ids: &Tensor) -> Result<Tensor> {
    let value = weight.detach().index_select(ids, 0)?;
    let ids = ids.clone();
    node::one("embedding", weight, value, move |[weight], _, grad| {
        let (count, _) = weight.dims2()?;
        let all = ids.dim(0)?;
        let step = (TEMPORARY / count.max(1)).max(1);
        let names = Tensor::arange(0, u32::try_from(count)?, ids.device())?;
        let mut sum: Option<Tensor> = None;
        for start in (0..all).step_by(step) {
            let rows = step.min(all - start);
            let part = ids.narrow(0, start, rows)?.unsqueeze(1)?;
            let one_hot = part.broadcast_eq(&names.unsqueeze(0)?)?;
            let one_hot = one_hot.to_dtype(DType::F32)?;
            let product = one_hot.t()?.matmul(&grad.narrow(0, start, rows)?)?;
            sum = Some(match sum {
                Some(sum) => (sum + product)?,
                None => product,
            });
        }
        if sum.is_none() {
            bail!("no ids");
        }
        Ok([sum])
    })
}
