//! Values that a graph holds on to though nothing will read them: they are
//! taken out, to be overwritten or freed. What reads such a tensor later fails
//! (`fused::values`), so it is only for a tensor that nobody else has, and
//! whose own gradient needs its shape alone.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, InplaceOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::fused::{values, with_values};
use super::pieces::piece;
use super::simd::wide;
use super::{backward, composed, graph};

struct Take(RefCell<Vec<f32>>);

impl InplaceOp1 for Take {
    fn name(&self) -> &'static str {
        "take"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let CpuStorage::F32(values) = storage else {
            bail!("only values of f32 are reused");
        };
        if layout.contiguous_offsets() != Some((0, values.len())) {
            bail!("only whole tensors are reused");
        }
        self.0.replace(std::mem::take(values));
        Ok(())
    }
}

/// Takes the values out of a tensor on the CPU.
///
/// # Errors
/// When it is a parameter or a part of a larger tensor, or its values were
/// given away before.
pub(super) fn take(tensor: &Tensor) -> Result<Vec<f32>> {
    if tensor.is_variable() {
        bail!("a parameter's values are not given away");
    }
    let taken = Take(RefCell::default());
    tensor.inplace_op1(&taken)?;
    let values = taken.0.into_inner();
    if values.len() != tensor.elem_count() {
        bail!("the values of a tensor were given away");
    }
    Ok(values)
}

struct Put(RefCell<Vec<f32>>);

impl InplaceOp1 for Put {
    fn name(&self) -> &'static str {
        "put"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        *storage = CpuStorage::F32(self.0.take());
        Ok(())
    }
}

/// Puts values where those of a tensor were taken from.
///
/// # Errors
/// When they are not as many.
pub(super) fn put(tensor: &Tensor, values: Vec<f32>) -> Result<()> {
    if values.len() != tensor.elem_count() {
        bail!("{} values for {:?}", values.len(), tensor.shape());
    }
    tensor.inplace_op1(&Put(RefCell::new(values)))
}

/// The values of a gradient, to be overwritten by the op whose output it is of:
/// nobody else has it (`graph`).
///
/// # Errors
/// When its values were given away before.
pub(super) fn own(grad: &Tensor) -> Result<Vec<f32>> {
    match take(grad) {
        Ok(values) => Ok(values),
        // A part of a larger tensor.
        Err(_) => with_values(grad, |grad| Ok(grad.to_vec())),
    }
}

/// Frees the values of a tensor, if it is on the CPU.
///
/// # Errors
/// As for `take`.
pub(crate) fn free(tensor: &Tensor) -> Result<()> {
    if !composed::wanted(tensor) {
        drop(take(tensor)?);
    }
    Ok(())
}

/// The values to be overwritten by an op on the CPU; none on other devices,
/// where the op reads its input.
pub(super) fn take_here(tensor: &Tensor) -> Result<Mutex<Vec<f32>>> {
    Ok(Mutex::new(if composed::wanted(tensor) {
        Vec::new()
    } else {
        take(tensor)?
    }))
}

/// x + y, in the place of x, which nobody else may have and whose gradient
/// must not need its values (`layer` without an activation, dropout).
///
/// # Errors
/// When the shapes differ.
pub(crate) fn add_to(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if x.shape() != y.shape() {
        bail!("{:?} values are added to {:?}", y.shape(), x.shape());
    }
    if composed::wanted(x) {
        return x + y;
    }
    let op = Add(take_here(x)?);
    graph::apply2(x, &y.contiguous()?, op)
}

/// x + y, of which y may be a constant.
///
/// # Errors
/// When the shapes differ.
pub(crate) fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if composed::wanted(x) {
        return x + y;
    }
    if x.shape() != y.shape() {
        bail!("{:?} values are added to {:?}", y.shape(), x.shape());
    }
    let x = x.contiguous()?;
    let op = Add(Mutex::new(with_values(&x, |x| Ok(x.to_vec()))?));
    graph::apply2(&x, &y.contiguous()?, op)
}

struct Add(Mutex<Vec<f32>>);

impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "add to"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mut sum = taken(&self.0, x, x_layout)?;
        let y = values(y, y_layout)?;
        let piece = piece(sum.len(), 1);
        let parts = sum.par_chunks_mut(piece).zip(y.par_chunks(piece));
        parts.for_each(|(sum, y)| {
            wide(
                #[inline(always)]
                || sum.iter_mut().zip(y).for_each(|(sum, y)| *sum += y),
            );
        });
        Ok((CpuStorage::F32(sum), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        backward::done(y);
        Ok((Some(grad.clone()), Some(grad.clone())))
    }
}

/// The values that an op was given, to be overwritten; a copy of those of its
/// input when it computes a second time (`graph::recall`).
pub(super) fn taken(given: &Mutex<Vec<f32>>, x: &CpuStorage, layout: &Layout) -> Result<Vec<f32>> {
    let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = std::mem::take(&mut *given);
    if taken.is_empty() {
        return Ok(values(x, layout)?.to_vec());
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn what_was_given_away_cannot_be_read() {
        let var = Var::new(&[[1f32, 2.0]], &Device::Cpu).unwrap();
        let x = (var.as_tensor() * 2.0).unwrap();
        let y = Tensor::new(&[[10f32, 20.0]], &Device::Cpu).unwrap();
        let sum = add_to(&x, &y).unwrap();
        assert_eq!(sum.to_vec2::<f32>().unwrap(), [[12.0, 24.0]]);
        let grads = sum.sum_all().unwrap().backward().unwrap();
        let grad: Vec<Vec<f32>> = grads.get(&var).unwrap().to_vec2().unwrap();
        assert_eq!(grad, [[2.0, 2.0]]);
        assert!(add_to(&x, &y).is_err());
        assert!(super::super::fused::with_values(&x, |_| Ok(())).is_err());
        assert!(take(&sum.narrow(1, 0, 1).unwrap()).is_err());
        assert!(take(var.as_tensor()).is_err());
    }
}
