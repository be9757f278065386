//! Noise on latents, shared by the stages that train under it (science.md §2,
//! F1 to F3).

use serde::{Deserialize, Serialize};

use super::InvalidField;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    Gaussian,
    /// Generalised triangular, with sharpness `kappa`.
    #[default]
    Triangular,
}

/// The exponent in ε = sgn(u)(1 − |u|^e): corrected (1/κ, a triangle at κ = 2)
/// or as printed in the paper (κ, U-shaped at κ = 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Exponent {
    #[default]
    Inverse,
    Printed,
}

/// A noise distribution: σ·ε, iid per latent element.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoiseSpec {
    pub noise: Noise,
    /// Standard deviation (Gaussian) or half-width (triangular). 0: none.
    pub sigma: f64,
    pub kappa: f64,
    pub exponent: Exponent,
}

impl NoiseSpec {
    pub(crate) fn validate(&self) -> Result<(), InvalidField> {
        let sigma = self.sigma;
        InvalidField::check((0.0..=1e3).contains(&sigma), "sigma", || {
            format!("is {sigma}, but a noise scale lies between 0 and 1000")
        })?;
        let kappa = self.kappa;
        InvalidField::check((0.01..=100.0).contains(&kappa), "kappa", || {
            format!("is {kappa}, but the sharpness lies between 0.01 and 100")
        })
    }
}
