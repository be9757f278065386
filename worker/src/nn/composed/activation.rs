//! Activations (`nn::activation`), with the gradients that candle derives.

use candle_core::{Result, Tensor};

use super::{above_zero, node};
use crate::nn::activation::{Activation, GELU};

/// # Errors
/// When the tensor is not of f32.
pub(in crate::nn) fn apply(activation: Activation, x: &Tensor) -> Result<Tensor> {
    match activation {
        // Not `relu`, which would turn a NaN into a zero.
        Activation::Relu => x * above_zero(x)?,
        Activation::LeakyRelu(slope) => {
            let slope = f64::from(slope);
            x * above_zero(x)?.affine(1.0 - slope, slope)?
        }
        Activation::Silu => x.silu(),
        // Not candle's own, whose gradients have six digits.
        Activation::Gelu => node::derived_one("gelu", x, |[x]| {
            let normal = (x * std::f64::consts::FRAC_1_SQRT_2)?.erf()?;
            x * normal.affine(0.5, 0.5)?
        }),
        Activation::GeluTanh => node::derived_one("gelu", x, |[x]| {
            let [scale, cubic] = GELU.map(f64::from);
            let inner = (x * (x.sqr()? * cubic)?.affine(scale, scale)?)?;
            x * inner.tanh()?.affine(0.5, 0.5)?
        }),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => candle_nn::ops::sigmoid(x),
    }
}
