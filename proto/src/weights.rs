//! Weights of networks that metrics use, imported by users: what a name
//! stands for in a store.

use serde::{Deserialize, Serialize};

use crate::dataset::{is_digest, is_name};

/// Format of the object of a name. A reader refuses a number it does not know.
pub const WEIGHTS_VERSION: u32 = 1;

/// At `weights/names/<name>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub version: u32,
    pub name: String,
    /// `inception`.
    pub network: String,
    /// blake3 of the weights in the store, at `weights/<digest>`.
    pub digest: String,
    pub bytes: u64,
    /// Of the file that they came from.
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub path: String,
    pub blake3: String,
}

impl Named {
    /// # Errors
    /// When it is not what stands for weights.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let named: Self = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        if named.version != WEIGHTS_VERSION {
            let version = named.version;
            return Err(format!(
                "it has format {version}, and this release reads {WEIGHTS_VERSION}"
            ));
        }
        if !is_digest(&named.digest) || !is_name(&named.name) {
            return Err("it has no digest or no name".to_owned());
        }
        Ok(named)
    }
}

/// What to do about weights that a store does not have, in one sentence.
pub fn how_to_get(name: &str) -> String {
    format!(
        "the weights `{name}` are not in the store, so FID, IS and rFID are skipped; import them: \
         ablate weights import {name} FILE"
    )
}
