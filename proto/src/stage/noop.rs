//! `noop`: does nothing, for a while. Serves tests and benchmarks.

use serde::{Deserialize, Serialize};

use super::{InputInfo, InvalidField, KindInfo, Spec, StageKind};
use crate::failure::FailureClass;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct NoopSpec {
    /// Makes otherwise equal tasks different.
    pub index: u64,
    pub sleep_ms: u64,
    /// Ends as failed with this class.
    pub fail: Option<FailureClass>,
    /// Leaves an artefact with a manifest, as a real stage does.
    pub artifact: bool,
}

impl Spec for NoopSpec {
    const INFO: KindInfo = KindInfo {
        name: "noop",
        summary: "do nothing for a while",
        recipe: 1,
        seeded: true,
        inputs: &[InputInfo::optional("after", &[StageKind::Noop])],
        hidden: true,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        let ms = self.sleep_ms;
        InvalidField::check(ms <= 86_400_000, "sleep_ms", || {
            format!("is {ms}, but a day is the longest sleep")
        })
    }
}
