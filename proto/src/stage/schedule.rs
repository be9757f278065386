//! How the learning rate changes while a stage trains.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// The same rate throughout, as in the paper.
    #[default]
    Constant,
    /// Half a cosine, from the full rate to none: the last steps settle.
    Cosine,
}

impl Schedule {
    /// The share of the full learning rate in step `step` (from 0) of `steps`.
    pub fn factor(self, step: u64, steps: u64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => {
                let done = step as f64 / steps.max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        }
    }
}
