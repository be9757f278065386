//! The KL divergence of F7 as one op: Σ_c w_c Σ_k q_c(k) ln(q_c(k)/p_c(k)),
//! p the softmax of the logits `[contexts, K]`, q and w constant.
//!
//! Summed in f64, and as a divergence rather than a cross-entropy less an
//! entropy: its values near zero are what is reported.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::composed;
use super::graph;
use super::layer::{values, with_values};
use super::narrow;
use super::pieces::piece;
use super::simd::wide;
use super::softmax::exponentials;

/// q of one context, sparse, with its weight.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) weight: f64,
    /// Token ids with q > 0.
    pub(crate) q: Vec<(usize, f64)>,
}

struct Divergence {
    targets: Arc<[Target]>,
}

/// The weighted divergence of the targets from the logits' softmax.
///
/// # Errors
/// When there are not as many rows as targets.
pub(crate) fn divergence(logits: &Tensor, targets: Arc<[Target]>) -> Result<Tensor> {
    if composed::wanted(logits) {
        return composed::loss::divergence(logits, &targets);
    }
    graph::apply1(logits, Divergence { targets })
}

impl CustomOp1 for Divergence {
    fn name(&self) -> &'static str {
        "kl"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        if rows != self.targets.len() {
            bail!("{rows} rows of logits for {} targets", self.targets.len());
        }
        let logits = values(logits, layout)?;
        let piece = piece(rows, width);
        let parts = logits.par_chunks((piece * width).max(1));
        let parts = parts.zip(self.targets.par_chunks(piece));
        let parts = parts.map(|(logits, targets)| {
            let mut scratch = vec![0.0; width];
            let rows = logits.chunks_exact(width).zip(targets);
            let divergence = |(row, target): (&[f32], &Target)| {
                scratch.copy_from_slice(row);
                let [top, sum] = exponentials(&mut scratch, 1.0);
                let log_sum = f64::from(top) + libm::log(f64::from(sum));
                let term =
                    |(k, q): &(usize, f64)| q * (libm::log(*q) - f64::from(row[*k]) + log_sum);
                target.weight * target.q.iter().map(term).sum::<f64>()
            };
            rows.map(divergence).sum()
        });
        let parts: Vec<f64> = parts.collect();
        let total = narrow(parts.iter().sum::<f64>());
        Ok((CpuStorage::F32(vec![total]), Shape::from(())))
    }

    /// ∂/∂logit_k = w(p(k) − q(k)).
    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let scale = grad.to_scalar::<f32>()?;
        let (rows, width) = logits.dims2()?;
        let mut out = vec![0.0; rows * width];
        with_values(logits, |logits| {
            let piece = piece(rows, width);
            let parts = out.par_chunks_mut((piece * width).max(1));
            let parts = parts.zip(logits.par_chunks((piece * width).max(1)));
            let parts = parts.zip(self.targets.par_chunks(piece));
            parts.for_each(|((out, logits), targets)| {
                let rows = out.chunks_exact_mut(width).zip(logits.chunks_exact(width));
                for ((out, row), target) in rows.zip(targets) {
                    out.copy_from_slice(row);
                    let [_, sum] = exponentials(out, 1.0);
                    let weight = scale * narrow(target.weight);
                    let share = weight / sum;
                    wide(
                        #[inline(always)]
                        || out.iter_mut().for_each(|p| *p *= share),
                    );
                    for (k, q) in &target.q {
                        out[*k] -= weight * narrow(*q);
                    }
                }
            });
            Ok(())
        })?;
        Ok(Some(Tensor::from_vec(
            out,
            logits.shape(),
            logits.device(),
        )?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use proptest::prelude::*;

    use super::*;
    use crate::nn::composed::forced;
    use crate::nn::device::device;

    fn targets(counts: &[[u8; 4]]) -> Arc<[Target]> {
        let total: f64 = counts.iter().flatten().map(|c| f64::from(*c)).sum();
        let target = |row: &[u8; 4]| {
            let sum: f64 = row.iter().map(|c| f64::from(*c)).sum();
            let q = row.iter().enumerate().filter(|(_, c)| **c > 0);
            Target {
                weight: sum / total,
                q: q.map(|(k, c)| (k, f64::from(*c) / sum)).collect(),
            }
        };
        counts.iter().map(target).collect()
    }

    fn value(logits: &Tensor, targets: &Arc<[Target]>) -> f32 {
        divergence(logits, targets.clone())
            .unwrap()
            .to_scalar()
            .unwrap()
    }

    proptest! {
        /// KL ≥ 0, zero at p = q, and its gradient is that of its values.
        #[test]
        fn divergence_is_positive_and_its_gradient_right(
            counts in proptest::collection::vec([1u8..9, 0u8..9, 0u8..9, 0u8..9], 3),
            logits in proptest::collection::vec(-2f32..2.0, 12),
        ) {
            let targets = targets(&counts);
            let tensor = |v: &[f32]| Tensor::from_slice(v, (3, 4), &Device::Cpu).unwrap();
            prop_assert!(value(&tensor(&logits), &targets) >= 0.0);

            let var = Var::from_tensor(&tensor(&logits)).unwrap();
            let loss = divergence(var.as_tensor(), targets.clone()).unwrap();
            let grads = loss.backward().unwrap();
            let grad = grads.get(&var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for at in [0, 5, 11] {
                let moved = |by: f32| {
                    let mut v = logits.clone();
                    v[at] += by;
                    value(&tensor(&v), &targets)
                };
                let numeric = (moved(0.01) - moved(-0.01)) / 0.02;
                prop_assert!((numeric - grad[at]).abs() < 2e-3, "{numeric} {}", grad[at]);
            }

            let mut optimal = [-60f32; 12];
            for (row, target) in targets.iter().enumerate() {
                for (k, q) in &target.q {
                    optimal[row * 4 + k] = narrow(q.ln());
                }
            }
            prop_assert!(value(&tensor(&optimal), &targets).abs() < 1e-6);
        }
    }

    #[test]
    fn a_composed_divergence_is_the_same() {
        let counts = targets(&[[1, 0, 3, 2], [5, 8, 0, 0], [1, 1, 1, 1]]);
        let logits: Vec<f32> = (0u8..12)
            .map(|i| f32::from(i * 7 % 12) * 0.3 - 1.5)
            .collect();
        let gradient = || {
            let logits = Tensor::from_slice(&logits, (3, 4), &device()).unwrap();
            let var = Var::from_tensor(&logits).unwrap();
            let loss = divergence(var.as_tensor(), counts.clone()).unwrap();
            let grads = loss.backward().unwrap();
            let grad = grads.get(&var).unwrap().flatten_all().unwrap();
            let mut values: Vec<f32> = grad.to_vec1().unwrap();
            values.push(loss.to_scalar().unwrap());
            values
        };
        let (fused, composed) = (gradient(), forced::run(gradient));
        for (fused, composed) in fused.iter().zip(&composed) {
            assert!((fused - composed).abs() < 1e-6, "{fused} {composed}");
        }
        // At the optimum, zero to the same digits.
        let optimal = Tensor::new(
            &[[0f32, -60.0, narrow(3f64.ln()), narrow(2f64.ln())]],
            &device(),
        );
        let one = targets(&[[1, 0, 3, 2]]);
        let value = forced::run(|| value(&optimal.unwrap(), &one));
        assert!(value.abs() < 1e-6, "{value}");
    }
}
