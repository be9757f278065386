//! `sample`: draws token grids from a prior, site by site, and decodes them.

use serde::{Deserialize, Serialize};

use super::{InputInfo, InvalidField, KindInfo, Spec, StageKind};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleSpec {
    /// Images to draw. Each has a random stream of its own, by its index.
    pub count: usize,
    pub temperature: f64,
}

impl Default for SampleSpec {
    fn default() -> Self {
        Self {
            count: 512,
            temperature: 1.0,
        }
    }
}

impl Spec for SampleSpec {
    const INFO: KindInfo = KindInfo {
        name: "sample",
        summary: "draw images from a prior and a decoder",
        recipe: 1,
        seeded: true,
        inputs: &[
            InputInfo::required("prior", &[StageKind::Arvm, StageKind::Pixelcnn]),
            InputInfo::required("decoder", &[StageKind::Autoencoder, StageKind::Decoder]),
        ],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        check_count(self.count)?;
        let t = self.temperature;
        InvalidField::check((0.01..=100.0).contains(&t), "temperature", || {
            format!("is {t}, but 0.01 to 100 is possible")
        })
    }
}

pub(super) fn check_count(count: usize) -> Result<(), InvalidField> {
    InvalidField::check((1..=10_000_000).contains(&count), "count", || {
        format!("is {count}, but 1 to 10000000 images can be drawn")
    })
}
