//! `features`: what Inception makes of the images of a dataset or of samples,
//! computed once for all that measure FID and IS with it, and in shards.

use serde::{Deserialize, Serialize};

use super::evaluate::{FidMode, check_weights};
use super::shard::check_part;
use super::{InputInfo, InvalidField, KindInfo, Spec, StageKind};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeaturesSpec {
    /// Name of imported weights of Inception.
    pub inception: String,
    /// Of those weights. The planner finds it by the name; where the store
    /// has none of that name, there are no features.
    pub inception_digest: String,
    pub fid_mode: FidMode,
    /// Which part of the images, from 0, …
    pub part: usize,
    /// … of how many.
    pub parts: usize,
}

impl Default for FeaturesSpec {
    fn default() -> Self {
        Self {
            inception: "inception".to_owned(),
            inception_digest: String::new(),
            fid_mode: FidMode::PytorchFid,
            part: 0,
            parts: 1,
        }
    }
}

impl Spec for FeaturesSpec {
    const INFO: KindInfo = KindInfo {
        name: "features",
        summary: "compute Inception's features of training images or samples, for FID and IS",
        recipe: 1,
        seeded: false,
        inputs: &[InputInfo::required(
            "images",
            &[
                StageKind::Dataset,
                StageKind::Sample,
                StageKind::Generate,
                StageKind::Resample,
            ],
        )],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        InvalidField::check(!self.inception.is_empty(), "inception", || {
            "is empty, but features are computed with imported weights: name them".to_owned()
        })?;
        check_weights(&self.inception, &self.inception_digest)?;
        check_part(self.part, self.parts)
    }

    fn data_digest(&self) -> Option<&str> {
        let digest = self.inception_digest.as_str();
        (!digest.is_empty()).then_some(digest)
    }
}
