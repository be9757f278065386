//! Losses: means over all values (or rows) as a scalar, one pass forward and
//! one backward. Sums are in f64, in an order that shapes alone fix.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::composed;
use super::decay::{decay, log_one_plus, logistic};
use super::graph;
use super::layer::{values, with_values};
use super::narrow;
use super::pieces::{piece, total, zip};
use super::simd::wide;
use super::softmax::exponentials;

/// Mean of (x − y)², of two tensors of one shape.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn mse(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    pairs(x, y, Pairs::Square)
}

/// Mean binary cross-entropy of targets in [0, 1] under the logistic function
/// of the logits: max(x, 0) − x·t + ln(1 + e^−|x|), right for any logit.
///
/// # Errors
/// When the shapes differ, or something trains the targets.
pub(crate) fn bce_with_logits(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    if targets.track_op() {
        bail!("the targets of a cross-entropy have no gradient: detach them");
    }
    pairs(logits, targets, Pairs::Bernoulli)
}

/// The sum of (x − y)², of two tensors of one shape of which y is a constant,
/// divided by `n`.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn squared_error(x: &Tensor, y: &Tensor, n: usize) -> Result<Tensor> {
    let sum = |x: &Tensor| (x - y)?.sqr()?.sum_all()? / n as f64;
    if composed::wanted(x) {
        return sum(x);
    }
    let value = sum(&x.detach())?.to_scalar()?;
    let share = narrow(1.0 / n as f64);
    graph::apply2(&x.contiguous()?, &y.contiguous()?, Squares { value, share })
}

struct Squares {
    value: f32,
    /// 1/n.
    share: f32,
}

impl CustomOp2 for Squares {
    fn name(&self) -> &'static str {
        "squared error"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![self.value]), Shape::from(())))
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let share = grad.to_scalar::<f32>()? * self.share;
        let gx = with_values(x, |x| {
            with_values(y, |y| Ok(zip(x, y, |x, y| 2.0 * ((x - y) * share))))
        })?;
        Ok((Some(Tensor::from_vec(gx, x.shape(), x.device())?), None))
    }
}

fn pairs(x: &Tensor, y: &Tensor, op: Pairs) -> Result<Tensor> {
    if x.shape() != y.shape() || x.elem_count() == 0 {
        bail!("a loss of {:?} against {:?}", x.shape(), y.shape());
    }
    if composed::wanted(x) {
        return match op {
            Pairs::Square => composed::loss::mse(x, y),
            Pairs::Bernoulli => composed::loss::bernoulli(x, y),
        };
    }
    graph::apply2(&x.contiguous()?, &y.contiguous()?, op)
}

#[derive(Debug, Clone, Copy)]
enum Pairs {
    Square,
    Bernoulli,
}

impl CustomOp2 for Pairs {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (values(x, x_layout)?, values(y, y_layout)?);
        let sum = match self {
            Self::Square => total(x, y, |x, y| (x - y) * (x - y)),
            Self::Bernoulli => total(x, y, |x, t| {
                let upper = if x < 0.0 { 0.0 } else { x };
                upper - x * t + log_one_plus(decay(-x.abs()))
            }),
        };
        let mean = narrow(sum / x.len() as f64);
        Ok((CpuStorage::F32(vec![mean]), Shape::from(())))
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let share = grad.to_scalar::<f32>()? / x.elem_count() as f32;
        let tensor = |data| Tensor::from_vec(data, x.shape(), x.device());
        with_values(x, |values| {
            with_values(y, |targets| {
                let square = |scale| tensor(zip(values, targets, |x, y| scale * (x - y)));
                Ok(match self {
                    Self::Square => {
                        let gx = x.track_op().then(|| square(2.0 * share)).transpose()?;
                        let gy = y.track_op().then(|| square(-2.0 * share)).transpose()?;
                        (gx, gy)
                    }
                    Self::Bernoulli => {
                        let gx = zip(values, targets, |x, t| share * (logistic(x) - t));
                        (Some(tensor(gx)?), None)
                    }
                })
            })
        })
    }
}

/// Mean cross-entropy of one class a row under the softmax of the logits
/// `[rows, classes]`.
///
/// # Errors
/// When there is not a known class for each row.
pub(crate) fn cross_entropy(logits: &Tensor, classes: Arc<[u32]>) -> Result<Tensor> {
    let (rows, width) = logits.dims2()?;
    if rows == 0 || rows != classes.len() || classes.iter().any(|k| *k as usize >= width) {
        bail!("{} classes for {rows}×{width} logits", classes.len());
    }
    if composed::wanted(logits) {
        return composed::loss::cross_entropy(logits, &classes);
    }
    graph::apply1(&logits.contiguous()?, CrossEntropy { classes })
}

struct CrossEntropy {
    classes: Arc<[u32]>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        let logits = values(logits, layout)?;
        let piece = piece(rows, width);
        let parts = logits.par_chunks(piece * width);
        let parts = parts.zip(self.classes.par_chunks(piece));
        let parts = parts.map(|(logits, classes)| {
            let mut scratch = vec![0.0; width];
            let rows = logits.chunks_exact(width).zip(classes);
            let loss = |(row, class): (&[f32], &u32)| {
                scratch.copy_from_slice(row);
                let [top, sum] = exponentials(&mut scratch, 1.0);
                f64::from(libm::logf(sum)) + f64::from(top) - f64::from(row[*class as usize])
            };
            rows.map(loss).sum()
        });
        let parts: Vec<f64> = parts.collect();
        let mean = narrow(parts.iter().sum::<f64>() / rows as f64);
        Ok((CpuStorage::F32(vec![mean]), Shape::from(())))
    }

    /// (p − one-hot)/rows.
    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (rows, width) = logits.dims2()?;
        let share = grad.to_scalar::<f32>()? / rows as f32;
        let mut out = vec![0.0; rows * width];
        with_values(logits, |logits| {
            let piece = piece(rows, width);
            let parts = out.par_chunks_mut(piece * width);
            let parts = parts.zip(logits.par_chunks(piece * width));
            let parts = parts.zip(self.classes.par_chunks(piece));
            parts.for_each(|((out, logits), classes)| {
                let rows = out.chunks_exact_mut(width).zip(logits.chunks_exact(width));
                for ((out, row), class) in rows.zip(classes) {
                    out.copy_from_slice(row);
                    let [_, sum] = exponentials(out, 1.0);
                    let scale = share / sum;
                    wide(
                        #[inline(always)]
                        || out.iter_mut().for_each(|p| *p *= scale),
                    );
                    out[*class as usize] -= share;
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
