//! `encode`: binarises the latents of the training images and packs the signs
//! of each site into a token, LSB first (science.md §1, Token).

use serde::{Deserialize, Serialize};

use super::{InputInfo, InvalidField, KindInfo, Spec, StageKind};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct EncodeSpec {}

impl Spec for EncodeSpec {
    const INFO: KindInfo = KindInfo {
        name: "encode",
        summary: "binarise the training latents into tokens",
        recipe: 1,
        seeded: false,
        inputs: &[
            InputInfo::required("data", &[StageKind::Dataset]),
            InputInfo::required("encoder", &[StageKind::Autoencoder]),
        ],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        Ok(())
    }
}
