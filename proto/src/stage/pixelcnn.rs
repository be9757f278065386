//! `pixelcnn`: trains a PixelCNN on the tokens by cross-entropy (science.md
//! §3.2, E7): the rival of γ-ARVM as a prior.

use serde::{Deserialize, Serialize};

use super::autoencoder::{check_training, check_width};
use super::{InputInfo, InvalidField, KindInfo, Schedule, Spec, StageKind};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PixelcnnSpec {
    /// Feature maps: 64 is v1, 91 is v2 with twice the parameters.
    pub width: usize,
    pub steps: u64,
    /// Token grids per step; at most all of them are taken.
    pub batch: usize,
    pub learning_rate: f64,
    pub schedule: Schedule,
    pub log_every: u64,
}

impl Default for PixelcnnSpec {
    fn default() -> Self {
        Self {
            width: 64,
            steps: 20_000,
            batch: 64,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            log_every: 100,
        }
    }
}

impl Spec for PixelcnnSpec {
    const INFO: KindInfo = KindInfo {
        name: "pixelcnn",
        summary: "train a PixelCNN on the tokens",
        recipe: 1,
        seeded: true,
        inputs: &[InputInfo::required("codes", &[StageKind::Encode])],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        check_width("width", self.width, 65_536)?;
        check_training(self.steps, self.batch, self.learning_rate, self.log_every)
    }
}
