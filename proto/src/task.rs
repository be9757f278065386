//! A stage with all its inputs fixed, and the key that names it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::TaskKey;
use crate::stage::StageSpec;

/// One parent of a task, in the role it plays (`data`, `encoder`, …).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Input {
    pub role: String,
    pub task: TaskKey,
}

/// A stage with all its inputs fixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub key: TaskKey,
    /// For people: the stage's name and the axis values that enter it.
    pub label: String,
    pub spec: StageSpec,
    /// Zero for kinds that draw no random numbers.
    pub seed: u64,
    /// Sorted by role.
    pub inputs: Vec<Input>,
}

impl Task {
    /// Fixes a stage. The key covers kind, recipe version, canonical spec,
    /// seed, dataset digest and the parents' keys; the label is not part of it.
    pub fn new(label: String, spec: StageSpec, seed: u64, mut inputs: Vec<Input>) -> Self {
        inputs.sort();
        let info = spec.kind().info();
        let seed = if info.seeded { seed } else { 0 };
        let mut hasher = blake3::Hasher::new_derive_key("ablate task key v1");
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(info.name.as_bytes());
        part(&info.recipe.to_le_bytes());
        part(canonical_json(&spec.parameters()).as_bytes());
        part(&seed.to_le_bytes());
        part(spec.data_digest().unwrap_or_default().as_bytes());
        for input in &inputs {
            part(input.role.as_bytes());
            part(input.task.as_bytes());
        }
        let key = TaskKey::from_bytes(*hasher.finalize().as_bytes());
        Self {
            key,
            label,
            spec,
            seed,
            inputs,
        }
    }
}

/// JSON with the keys of every object sorted, so that equal parameters have
/// equal bytes whatever order they were written in.
pub fn canonical_json(parameters: &serde_json::Map<String, serde_json::Value>) -> String {
    let sorted: BTreeMap<_, _> = parameters.iter().collect();
    serde_json::to_string(&sorted).unwrap_or_else(|e| unreachable!("maps of JSON serialise: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{DatasetSpec, DecoderSpec};

    fn decoder(sigma: f64, seed: u64) -> Task {
        let spec = DecoderSpec {
            sigma,
            ..DecoderSpec::default()
        };
        let data = Task::new("data".into(), DatasetSpec::default().into(), seed, vec![]);
        let input = Input {
            role: "data".into(),
            task: data.key,
        };
        Task::new("decoder".into(), spec.into(), seed, vec![input])
    }

    #[test]
    fn equal_work_has_equal_keys_and_other_work_another() {
        assert_eq!(decoder(1.0, 0).key, decoder(1.0, 0).key);
        assert_ne!(decoder(1.0, 0).key, decoder(1.5, 0).key);
        assert_ne!(decoder(1.0, 0).key, decoder(1.0, 1).key);
    }

    #[test]
    fn kinds_without_randomness_share_their_task_between_replicates() {
        let task = |seed| Task::new("data".into(), DatasetSpec::default().into(), seed, vec![]);
        assert_eq!(task(0).key, task(9).key);
    }
}
