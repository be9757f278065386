//! `count`: counts what followed each context in the training tokens (q of
//! science.md §1), in shards if asked, for an `arvm` of the same window.

use serde::{Deserialize, Serialize};

use super::arvm::check_window;
use super::shard::check_part;
use super::{InputInfo, InvalidField, KindInfo, Spec, StageKind, Tie, Window};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CountSpec {
    /// γ, the side of the observation window: odd for a square.
    pub gamma: usize,
    pub window: Window,
    pub tie: Tie,
    /// Which part of the images, from 0, …
    pub part: usize,
    /// … of how many.
    pub parts: usize,
}

impl Default for CountSpec {
    fn default() -> Self {
        Self {
            gamma: 7,
            window: Window::Square,
            tie: Tie::PerSite,
            part: 0,
            parts: 1,
        }
    }
}

impl Spec for CountSpec {
    const INFO: KindInfo = KindInfo {
        name: "count",
        summary: "count the tokens' conditionals, for γ-ARVM",
        recipe: 1,
        seeded: false,
        inputs: &[InputInfo::required("codes", &[StageKind::Encode])],
        hidden: false,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        check_window(self.gamma, self.window)?;
        check_part(self.part, self.parts)
    }
}
