//! `likelihood`: what a prior thinks of the tokens of training images, and of
//! images that it has not seen (science.md §7, X6 and X7).

use serde::{Deserialize, Serialize};

use super::{InputInfo, InvalidField, KindInfo, Spec, StageKind};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct LikelihoodSpec {}

impl Spec for LikelihoodSpec {
    const INFO: KindInfo = KindInfo {
        name: "likelihood",
        summary: "measure how likely a prior finds training and held-out tokens",
        recipe: 1,
        seeded: false,
        inputs: &[
            InputInfo::required("prior", &[StageKind::Arvm, StageKind::Pixelcnn]),
            InputInfo::required("codes", &[StageKind::Encode]),
            InputInfo::optional("held_out", &[StageKind::Encode]),
        ],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        Ok(())
    }
}
