//! `gather`: puts the samples of shards together. The planner adds it to a
//! stage in shards; its inputs are the `shard.0`, `shard.1`, … and the prior
//! that they were drawn from, if there is one.

use serde::{Deserialize, Serialize};

use super::{InvalidField, KindInfo, Spec};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct GatherSpec {}

impl Spec for GatherSpec {
    const INFO: KindInfo = KindInfo {
        name: "gather",
        summary: "put the samples of shards together",
        recipe: 1,
        // So that it has the seed of its shards, in reports too.
        seeded: true,
        inputs: &[],
        hidden: true,
    };

    fn validate(&self) -> Result<(), InvalidField> {
        Ok(())
    }
}
