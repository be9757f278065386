//! `decoder`: a fresh decoder on a frozen encoder, under its own noise (E2,
//! science.md §4). The architecture is the encoder's.

use serde::{Deserialize, Serialize};

use super::autoencoder::check_training;
use super::{
    Exponent, InputInfo, InvalidField, KindInfo, Noise, NoiseSpec, Schedule, Spec, StageKind,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecoderSpec {
    pub noise: Noise,
    pub sigma: f64,
    pub kappa: f64,
    pub exponent: Exponent,

    pub steps: u64,
    pub batch: usize,
    pub learning_rate: f64,
    pub schedule: Schedule,
    pub log_every: u64,
}

impl Default for DecoderSpec {
    fn default() -> Self {
        Self {
            noise: Noise::Triangular,
            sigma: 1.0,
            kappa: 2.0,
            exponent: Exponent::Inverse,
            steps: 5000,
            batch: 128,
            learning_rate: 2e-4,
            schedule: Schedule::Constant,
            log_every: 100,
        }
    }
}

impl DecoderSpec {
    pub fn noise_spec(&self) -> NoiseSpec {
        NoiseSpec {
            noise: self.noise,
            sigma: self.sigma,
            kappa: self.kappa,
            exponent: self.exponent,
        }
    }
}

impl Spec for DecoderSpec {
    const INFO: KindInfo = KindInfo {
        name: "decoder",
        summary: "train a fresh decoder on a frozen encoder",
        recipe: 3,
        seeded: true,
        inputs: &[
            InputInfo::required("data", &[StageKind::Dataset]),
            InputInfo::required("encoder", &[StageKind::Autoencoder]),
        ],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        self.noise_spec().validate()?;
        check_training(self.steps, self.batch, self.learning_rate, self.log_every)
    }
}
