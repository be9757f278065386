//! Adam (Kingma and Ba, without weight decay), in one pass per parameter and
//! with moments that can be stored: candle's own cannot be resumed.

use std::cell::RefCell;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, bail};

use rayon::prelude::*;

use super::narrow;
use super::params::Named;
use super::simd::wide;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f32 = 1e-8;

/// Values updated at a time: a task.
const PART: usize = 1 << 15;

/// First and second moments of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    pub(crate) m: Vec<f32>,
    pub(crate) v: Vec<f32>,
}

pub(crate) struct Adam {
    /// In the order of the parameters.
    pub(crate) moments: Vec<Moments>,
}

impl Adam {
    pub(crate) fn new(parameters: &Named) -> Self {
        let zeros = |n| Moments {
            m: vec![0.0; n],
            v: vec![0.0; n],
        };
        let moments = parameters.iter().map(|(_, p)| zeros(p.elem_count()));
        Self {
            moments: moments.collect(),
        }
    }

    /// Takes step number `step`, counted from 1, at this learning rate. A
    /// parameter without a gradient is left as it is.
    pub(crate) fn step(
        &mut self,
        step: u64,
        learning_rate: f64,
        parameters: &Named,
        grads: &GradStore,
    ) -> Result<()> {
        let t = step as f64;
        let correction1 = 1.0 - libm::pow(BETA1, t);
        let correction2 = 1.0 - libm::pow(BETA2, t);
        for ((_, parameter), moments) in parameters.iter().zip(&mut self.moments) {
            let Some(grad) = grads.get(parameter) else {
                continue;
            };
            let update = Update {
                rate: narrow(learning_rate / correction1),
                root_correction2: narrow(correction2.sqrt()),
                moments: RefCell::new(moments),
            };
            parameter.inplace_op2(&grad.contiguous()?, &update)?;
        }
        Ok(())
    }
}

struct Update<'a> {
    rate: f32,
    root_correction2: f32,
    moments: RefCell<&'a mut Moments>,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        _: &Layout,
        grad: &CpuStorage,
        layout: &Layout,
    ) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("gradients are contiguous");
        };
        let grad = &grad.as_slice::<f32>()?[start..end];
        let CpuStorage::F32(parameter) = parameter else {
            bail!("parameters are f32");
        };
        let moments = &mut **self.moments.borrow_mut();
        if parameter.len() != grad.len() || moments.m.len() != grad.len() {
            bail!(
                "a gradient of {} for {} values",
                grad.len(),
                parameter.len()
            );
        }
        let (b1, b2) = (narrow(BETA1), narrow(BETA2));
        let (rate, root) = (self.rate, self.root_correction2);
        let (m, v) = (&mut moments.m, &mut moments.v);
        let moments = m.par_chunks_mut(PART).zip(v.par_chunks_mut(PART));
        let values = parameter.par_chunks_mut(PART).zip(grad.par_chunks(PART));
        values.zip(moments).for_each(|((p, g), (m, v))| {
            wide(
                #[inline(always)]
                || {
                    let moments = m.iter_mut().zip(v);
                    for ((p, g), (m, v)) in p.iter_mut().zip(g).zip(moments) {
                        *m = b1 * *m + (1.0 - b1) * g;
                        *v = b2 * *v + (1.0 - b2) * g * g;
                        *p -= rate * *m / (v.sqrt() / root + EPSILON);
                    }
                },
            );
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// Against the recurrences in f64, on a quadratic.
    #[test]
    fn steps_follow_the_recurrences() {
        let start = [0.5f32, -2.0, 3.0];
        let var = Var::from_vec(start.to_vec(), 3, &Device::Cpu).unwrap();
        let parameters = vec![("p".to_owned(), var.clone())];
        let mut adam = Adam::new(&parameters);
        let mut expected = start.map(f64::from);
        let (mut m, mut v) = ([0.0; 3], [0.0; 3]);
        for step in 1..=20u64 {
            let loss = var.as_tensor().sqr().unwrap().sum_all().unwrap();
            let grads = loss.backward().unwrap();
            adam.step(step, 0.05, &parameters, &grads).unwrap();
            let t = i32::try_from(step).unwrap();
            for i in 0..3 {
                let g = 2.0 * expected[i];
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                let m_hat = m[i] / (1.0 - 0.9f64.powi(t));
                let v_hat = v[i] / (1.0 - 0.999f64.powi(t));
                expected[i] -= 0.05 * m_hat / (v_hat.sqrt() + 1e-8);
            }
        }
        let got: Vec<f32> = var.as_tensor().to_vec1().unwrap();
        for (got, expected) in got.iter().zip(expected) {
            assert!(
                (f64::from(*got) - expected).abs() < 1e-4,
                "{got} {expected}"
            );
        }
    }
}
