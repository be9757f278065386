//! Losses (`nn::loss`, `nn::kl`), with the gradients that candle derives.

use candle_core::{D, DType, Result, Tensor};

use super::above_zero;
use crate::nn::kl::Target;

/// Mean of (x − y)².
///
/// # Errors
/// When the shapes differ.
pub(in crate::nn) fn mse(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    (x - y)?.sqr()?.mean_all()
}

/// Mean of max(x, 0) − x·t + ln(1 + e^−|x|).
///
/// # Errors
/// When the shapes differ.
pub(in crate::nn) fn bernoulli(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let upper = (logits * above_zero(logits)?)?;
    let rest = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    ((upper - (logits * targets)?)? + rest)?.mean_all()
}

/// Mean cross-entropy of one class a row.
///
/// # Errors
/// When there is not a class for each row.
pub(in crate::nn) fn cross_entropy(logits: &Tensor, classes: &[u32]) -> Result<Tensor> {
    let classes = Tensor::from_slice(classes, (classes.len(), 1), logits.device())?;
    let chosen = logits.gather(&classes, 1)?;
    (log_sum(logits)? - chosen)?.mean_all()
}

/// ln Σ exp of each row, `[rows, 1]`.
fn log_sum(logits: &Tensor) -> Result<Tensor> {
    let top = logits.detach().max_keepdim(D::Minus1)?;
    let powers = logits.broadcast_sub(&top)?.exp()?;
    powers.sum_keepdim(D::Minus1)?.log()? + top
}

/// The weighted divergence of the targets from the logits' softmax. Terms are
/// summed in f64: what is reported are values near zero.
///
/// # Errors
/// When there are not as many rows as targets.
pub(in crate::nn) fn divergence(logits: &Tensor, targets: &[Target]) -> Result<Tensor> {
    let most = targets.iter().map(|t| t.q.len()).max().unwrap_or(0).max(1);
    let shape = (targets.len(), most);
    let (mut ids, mut weights) = (Vec::new(), Vec::new());
    let mut constant = 0.0;
    for target in targets {
        for (k, q) in &target.q {
            ids.push(u32::try_from(*k)?);
            weights.push(target.weight * q);
            constant += target.weight * q * q.ln();
        }
        // Rows of one length: what fills them weighs nothing.
        let rest = most - target.q.len();
        ids.extend(std::iter::repeat_n(0, rest));
        weights.extend(std::iter::repeat_n(0.0, rest));
    }
    let device = logits.device();
    let ids = Tensor::from_vec(ids, shape, device)?;
    let weights = Tensor::from_vec(weights, shape, device)?;
    let wide = |t: Tensor| t.to_dtype(DType::F64);
    let chosen = wide(logits.gather(&ids, 1)?)?;
    let surprise = wide(log_sum(logits)?)?.broadcast_sub(&chosen)?;
    ((surprise * weights)?.sum_all()? + constant)?.to_dtype(DType::F32)
}
