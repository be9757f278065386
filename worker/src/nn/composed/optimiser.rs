//! Adam's moments and moving averages where the parameters are: a kernel or
//! two for each parameter, in place.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};

use crate::nn::layer::values;

/// What one step of Adam is made of (`nn::adam`).
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct Update {
    /// Of each moment, what is kept and what is new.
    pub(in crate::nn) betas: [[f32; 2]; 2],
    /// What weight decay leaves of a parameter.
    pub(in crate::nn) kept: f32,
    pub(in crate::nn) rate: f32,
    pub(in crate::nn) root_correction2: f32,
    pub(in crate::nn) epsilon: f32,
}

impl Update {
    /// Moves the moments, `[2, n]`, and then the parameter, in place.
    ///
    /// # Errors
    /// When the gradient is not of the parameter's shape.
    pub(in crate::nn) fn apply(
        self,
        parameter: &Tensor,
        moments: &Tensor,
        grad: &Tensor,
    ) -> Result<()> {
        let n = parameter.elem_count();
        if moments.dims() != [2, n] || grad.shape() != parameter.shape() {
            bail!("a gradient of {:?} for {n} values", grad.shape());
        }
        moments.inplace_op2(&grad.contiguous()?, &Moments(self))?;
        parameter.inplace_op2(moments, &Step(self))
    }
}

/// average += share·(value − average), in place.
///
/// # Errors
/// When the shapes differ.
pub(in crate::nn) fn follow(average: &Tensor, value: &Tensor, share: f32) -> Result<()> {
    if average.shape() != value.shape() {
        bail!("an average of {:?} of another shape", average.shape());
    }
    average.inplace_op2(&value.contiguous()?, &Follow(share))
}

/// All values of a tensor that has its storage for itself.
fn own<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => bail!("values are contiguous and of f32"),
    }
}

struct Moments(Update);

impl InplaceOp2 for Moments {
    fn name(&self) -> &'static str {
        "adam moments"
    }

    fn cpu_fwd(
        &self,
        moments: &mut CpuStorage,
        moments_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<()> {
        let grad = values(grad, grad_layout)?;
        let [[b1, n1], [b2, n2]] = self.0.betas;
        let (m, v) = own(moments, moments_layout)?.split_at_mut(grad.len());
        for ((m, v), g) in m.iter_mut().zip(v).zip(grad) {
            *m = b1 * *m + n1 * g;
            *v = b2 * *v + n2 * g * g;
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        moments: &mut candle_core::CudaStorage,
        moments_layout: &Layout,
        grad: &candle_core::CudaStorage,
        grad_layout: &Layout,
    ) -> Result<()> {
        let moments = (moments, moments_layout);
        crate::nn::cuda::adam_moments(self.0.betas, moments, (grad, grad_layout))
    }
}

struct Step(Update);

impl InplaceOp2 for Step {
    fn name(&self) -> &'static str {
        "adam step"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        parameter_layout: &Layout,
        moments: &CpuStorage,
        moments_layout: &Layout,
    ) -> Result<()> {
        let Update {
            kept,
            rate,
            root_correction2,
            epsilon,
            ..
        } = self.0;
        let parameter = own(parameter, parameter_layout)?;
        let (m, v) = values(moments, moments_layout)?.split_at(parameter.len());
        for (p, (m, v)) in parameter.iter_mut().zip(m.iter().zip(v)) {
            let step = rate * m / (v.sqrt() / root_correction2 + epsilon);
            *p = kept * *p - step;
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        parameter: &mut candle_core::CudaStorage,
        parameter_layout: &Layout,
        moments: &candle_core::CudaStorage,
        moments_layout: &Layout,
    ) -> Result<()> {
        let Update {
            kept,
            rate,
            root_correction2,
            epsilon,
            ..
        } = self.0;
        crate::nn::cuda::adam_step(
            [rate, root_correction2, kept, epsilon],
            (parameter, parameter_layout),
            (moments, moments_layout),
        )
    }
}

struct Follow(f32);

impl InplaceOp2 for Follow {
    fn name(&self) -> &'static str {
        "moving average"
    }

    fn cpu_fwd(
        &self,
        average: &mut CpuStorage,
        average_layout: &Layout,
        value: &CpuStorage,
        value_layout: &Layout,
    ) -> Result<()> {
        let averages = own(average, average_layout)?;
        for (average, value) in averages.iter_mut().zip(values(value, value_layout)?) {
            *average += self.0 * (value - *average);
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        average: &mut candle_core::CudaStorage,
        average_layout: &Layout,
        value: &candle_core::CudaStorage,
        value_layout: &Layout,
    ) -> Result<()> {
        let average = (average, average_layout);
        crate::nn::cuda::follow(self.0, average, (value, value_layout))
    }
}
