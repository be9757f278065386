//! Activations on tensors of any shape, each one pass forward and one
//! backward. Layers fuse the common ones (`layer::Act`); these are the others
//! and those that follow a normalisation.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::decay::{logistic, tanh};
use super::layer::{values, with_values};
use super::pieces;
use super::reuse::own;
use super::{backward, composed, graph};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Activation {
    Relu,
    /// With the slope below zero.
    LeakyRelu(f32),
    /// x·σ(x).
    Silu,
    /// x·Φ(x).
    Gelu,
    /// Its approximation by tanh.
    GeluTanh,
    Tanh,
    Sigmoid,
}

/// √(2/π), and the cubic term of GELU's approximation.
pub(super) const GELU: [f32; 2] = [0.797_884_6, 0.044_715];

impl Activation {
    /// # Errors
    /// When the tensor is not of f32.
    pub(crate) fn apply(self, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        if composed::wanted(&x) {
            return composed::activation::apply(self, &x);
        }
        graph::apply1(&x, Apply(self))
    }

    fn forward(self, x: &[f32]) -> Vec<f32> {
        match self {
            // Not `max`, which would turn a NaN into a zero.
            Self::Relu => pieces::map(x, |x| if x < 0.0 { 0.0 } else { x }),
            Self::LeakyRelu(slope) => pieces::map(x, |x| if x > 0.0 { x } else { slope * x }),
            Self::Silu => pieces::map(x, |x| x * logistic(x)),
            Self::Gelu => pieces::map(x, |x| x * normal(x)),
            Self::GeluTanh => pieces::map(x, |x| x * logistic(2.0 * inner(x))),
            Self::Tanh => pieces::map(x, tanh),
            Self::Sigmoid => pieces::map(x, logistic),
        }
    }

    /// Turns the output's gradient into the input's.
    fn backward(self, x: &[f32], grad: &mut [f32]) {
        match self {
            Self::Relu => pieces::turn(grad, x, |g, x| if x > 0.0 { g } else { 0.0 }),
            Self::LeakyRelu(slope) => {
                pieces::turn(grad, x, |g, x| if x > 0.0 { g } else { slope * g })
            }
            Self::Silu => pieces::turn(grad, x, |g, x| g * silu_slope(x)),
            Self::Gelu => pieces::turn(grad, x, |g, x| {
                let density = 0.5 * GELU[0] * libm::expf(-0.5 * x * x);
                g * (normal(x) + x * density)
            }),
            Self::GeluTanh => pieces::turn(grad, x, |g, x| {
                let s = logistic(2.0 * inner(x));
                let slope = 2.0 * GELU[0] * (1.0 + 3.0 * GELU[1] * x * x);
                g * (s + x * s * (1.0 - s) * slope)
            }),
            Self::Tanh => pieces::turn(grad, x, |g, x| {
                let y = tanh(x);
                g * (1.0 - y * y)
            }),
            Self::Sigmoid => pieces::turn(grad, x, |g, x| {
                let s = logistic(x);
                g * s * (1.0 - s)
            }),
        }
    }
}

/// The slope of x·σ(x).
#[inline(always)]
pub(super) fn silu_slope(x: f32) -> f32 {
    let s = logistic(x);
    s + x * s * (1.0 - s)
}

/// Φ, the normal distribution function.
fn normal(x: f32) -> f32 {
    0.5 * libm::erfcf(-x * std::f32::consts::FRAC_1_SQRT_2)
}

fn inner(x: f32) -> f32 {
    GELU[0] * (x + GELU[1] * x * x * x)
}

struct Apply(Activation);

impl CustomOp1 for Apply {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.0.forward(values(x, layout)?);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        backward::done(y);
        let mut gx = own(grad)?;
        with_values(x, |x| {
            self.0.backward(x, &mut gx);
            Ok(())
        })?;
        Ok(Some(Tensor::from_vec(gx, x.shape(), x.device())?))
    }
}
