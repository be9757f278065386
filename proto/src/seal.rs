//! From a spec to the tasks that share it: what they have in common is made
//! once.

use crate::id::TaskKey;
use crate::stage::{StageKind, StageSpec};
use crate::task::{Input, SealedTask, canonical_json, work};

/// A spec as tasks carry it. A sweep may have a million.
#[derive(Debug, Clone)]
pub struct Seal {
    kind: StageKind,
    /// As [`canonical_json`].
    parameters: Box<str>,
    /// blake3 of the data that the stage reads from outside; mostly empty.
    digest: Box<str>,
    work: f32,
}

impl Seal {
    pub fn new(spec: &StageSpec) -> Self {
        let parameters = spec.parameters();
        Self {
            kind: spec.kind(),
            work: work(&parameters),
            parameters: canonical_json(&parameters).into(),
            digest: spec.data_digest().unwrap_or_default().into(),
        }
    }

    /// The seed that counts: kinds that draw no random numbers have none.
    pub(crate) fn seed(&self, seed: u64) -> u64 {
        if self.kind.info().seeded { seed } else { 0 }
    }

    /// Names the task of this spec with a seed that counts and these inputs,
    /// sorted by role.
    pub(crate) fn key(&self, seed: u64, inputs: &[Input]) -> TaskKey {
        let info = self.kind.info();
        let mut hasher = blake3::Hasher::new_derive_key("ablate task key v1");
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(info.name.as_bytes());
        part(&info.recipe.to_le_bytes());
        part(self.parameters.as_bytes());
        part(&seed.to_le_bytes());
        part(self.digest.as_bytes());
        for input in inputs {
            part(input.role.as_bytes());
            part(input.task.as_bytes());
        }
        TaskKey::from_bytes(*hasher.finalize().as_bytes())
    }

    /// The task that [`Task::new`](crate::task::Task::new) makes of the spec,
    /// sealed.
    pub fn task(
        &self,
        label: impl Into<Box<str>>,
        seed: u64,
        mut inputs: Vec<Input>,
    ) -> SealedTask {
        inputs.sort();
        let seed = self.seed(seed);
        SealedTask {
            key: self.key(seed, &inputs),
            label: label.into(),
            kind: self.kind,
            parameters: self.parameters.clone(),
            seed,
            inputs: inputs.into(),
            work: self.work,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{DatasetSpec, DecoderSpec};
    use crate::task::Task;

    #[test]
    fn a_sealed_task_is_the_task_sealed() {
        let data: StageSpec = DatasetSpec::default().into();
        let decoder: StageSpec = DecoderSpec::default().into();
        let parent = Task::new("data".into(), data.clone(), 7, vec![]);
        assert_eq!(
            Seal::new(&data).task("data", 7, vec![]),
            parent.clone().into()
        );
        let inputs = vec![
            Input {
                role: "z".into(),
                task: parent.key,
            },
            Input {
                role: "data".into(),
                task: parent.key,
            },
        ];
        let task = Task::new("decoder".into(), decoder.clone(), 7, inputs.clone());
        assert_eq!(Seal::new(&decoder).task("decoder", 7, inputs), task.into());
    }
}
