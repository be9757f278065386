//! `sample`: draws token grids from a prior, site by site, and decodes them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shard::{CHUNK, is_zero};
use super::{InputInfo, InvalidField, KindInfo, Spec, StageKind};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleSpec {
    /// Images to draw. Each has a random stream of its own, by its index.
    pub count: usize,
    /// Index of the first one.
    #[serde(skip_serializing_if = "is_zero")]
    pub first: usize,
    pub temperature: f64,
}

impl Default for SampleSpec {
    fn default() -> Self {
        Self {
            count: 512,
            first: 0,
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

    fn added() -> Vec<(&'static str, Value)> {
        vec![("first", 0.into())]
    }

    fn validate(&self) -> Result<(), InvalidField> {
        check_count(self.count)?;
        check_first(self.first)?;
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

pub(super) fn check_first(first: usize) -> Result<(), InvalidField> {
    let possible = first.is_multiple_of(CHUNK) && first <= 10_000_000;
    InvalidField::check(possible, "first", || {
        format!(
            "is {first}, but images are drawn {CHUNK} at a time: a multiple of that up to \
             10000000 is possible"
        )
    })
}
