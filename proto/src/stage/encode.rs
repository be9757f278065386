//! `encode`: binarises the latents of the training images, or of those that
//! are held out, and packs the signs
//! of each site into a token, LSB first (science.md §1, Token).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{InputInfo, InvalidField, KindInfo, Part, Spec, StageKind};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct EncodeSpec {
    /// Whose tokens.
    #[serde(skip_serializing_if = "Part::is_train")]
    pub from: Part,
}

impl Spec for EncodeSpec {
    const INFO: KindInfo = KindInfo {
        name: "encode",
        summary: "binarise latents into tokens",
        recipe: 1,
        seeded: false,
        inputs: &[
            InputInfo::required("data", &[StageKind::Dataset]),
            InputInfo::required("encoder", &[StageKind::Autoencoder]),
        ],
        hidden: false,
    };

    fn added() -> Vec<(&'static str, Value)> {
        vec![("from", "train".into())]
    }

    fn validate(&self) -> Result<(), InvalidField> {
        Ok(())
    }
}
