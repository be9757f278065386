//! `resample`: images of the dataset itself in the place of samples: exact
//! copies of training images, or fresh real images (science.md §7, X11).

use serde::{Deserialize, Serialize};

use super::sample::check_count;
use super::{InputInfo, InvalidField, KindInfo, Spec, StageKind};

/// Which images of a dataset are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    #[default]
    Train,
    HeldOut,
}

impl Part {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    pub(super) fn is_train(&self) -> bool {
        *self == Self::Train
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResampleSpec {
    pub from: Part,
    /// Images: the first so many of the part, which must have them.
    pub count: usize,
}

impl Default for ResampleSpec {
    fn default() -> Self {
        Self {
            from: Part::Train,
            count: 64,
        }
    }
}

impl Spec for ResampleSpec {
    const INFO: KindInfo = KindInfo {
        name: "resample",
        summary: "take images of the dataset for samples",
        recipe: 1,
        seeded: false,
        inputs: &[InputInfo::required("data", &[StageKind::Dataset])],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        check_count(self.count)
    }
}
