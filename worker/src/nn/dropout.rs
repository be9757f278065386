//! Dropout: any shape → the same. In training each value is zero with
//! probability `rate`, else divided by 1 − rate; which ones follows from
//! (seed, layer, step).

use candle_core::{Result, Tensor};

use super::device::device;
use super::mode::Mode;
use super::narrow;
use super::rng::stream;

#[derive(Debug, Clone)]
pub(crate) struct Dropout {
    name: String,
    rate: f64,
}

/// The name keys the random stream: each layer has its own.
pub(crate) fn dropout(name: &str, rate: f64) -> Dropout {
    Dropout {
        name: format!("dropout {name}"),
        rate,
    }
}

impl Dropout {
    /// # Errors
    /// None is expected.
    pub(crate) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let Mode::Train { seed, step } = mode else {
            return Ok(x.clone());
        };
        let mut rng = stream(seed, &self.name, step);
        let kept = narrow(1.0 / (1.0 - self.rate));
        let value = |_| if rng.unit() < self.rate { 0.0 } else { kept };
        let mask: Vec<f32> = (0..x.elem_count()).map(value).collect();
        x.mul(&Tensor::from_vec(mask, x.shape(), &device())?)
    }
}
