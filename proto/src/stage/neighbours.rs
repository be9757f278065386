//! `neighbours`: searches the nearest images of some of the samples. The
//! planner adds it to an `evaluate` in shards, which reads what they found.

use serde::{Deserialize, Serialize};

use super::evaluate::Nearness;
use super::shard::MAX_SHARDS;
use super::{InputInfo, InvalidField, KindInfo, Spec, StageKind};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NeighboursSpec {
    pub nearest: Nearness,
    /// Which part of the samples, from 0, …
    pub shard: usize,
    /// … of how many.
    pub of: usize,
}

impl Default for NeighboursSpec {
    fn default() -> Self {
        Self {
            nearest: Nearness::Psnr,
            shard: 0,
            of: 1,
        }
    }
}

impl Spec for NeighboursSpec {
    const INFO: KindInfo = KindInfo {
        name: "neighbours",
        summary: "search the nearest images of samples",
        recipe: 1,
        seeded: false,
        inputs: &[
            InputInfo::required("data", &[StageKind::Dataset]),
            InputInfo::required(
                "samples",
                &[
                    StageKind::Sample,
                    StageKind::Generate,
                    StageKind::Resample,
                    StageKind::Gather,
                ],
            ),
            InputInfo::optional("held_out", &[StageKind::Dataset]),
        ],
        hidden: true,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        let (shard, of) = (self.shard, self.of);
        InvalidField::check((1..=MAX_SHARDS).contains(&of), "of", || {
            format!("is {of}, but 1 to {MAX_SHARDS} shards are possible")
        })?;
        InvalidField::check(shard < of, "shard", || {
            format!("is {shard}, but {of} shards end at {}", of - 1)
        })
    }
}
