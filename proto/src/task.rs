//! A stage with all its inputs fixed, and the key that names it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::TaskKey;
use crate::seal::Seal;
use crate::stage::{SpecError, StageKind, StageSpec};

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
        let seal = Seal::new(&spec);
        let seed = seal.seed(seed);
        let key = seal.key(seed, &inputs);
        Self {
            key,
            label,
            spec,
            seed,
            inputs,
        }
    }
}

/// A task as the coordinator keeps and sends it: small, and opened only where
/// it is run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Task")]
pub struct SealedTask {
    pub key: TaskKey,
    pub label: Box<str>,
    pub kind: StageKind,
    /// The parameters of the stage as [`canonical_json`].
    pub parameters: Box<str>,
    pub seed: u64,
    pub inputs: Box<[Input]>,
    /// What the duration of the stage is about proportional to, among tasks
    /// of its kind; at least 1.
    pub work: f32,
}

/// What a sealed task holds is no task of this release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTask {
    #[error("its parameters are not JSON: {0}")]
    Json(String),
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(
        "{expected} expected, {derived} derived: coordinator and worker are of different releases"
    )]
    Key { expected: String, derived: String },
}

impl SealedTask {
    /// Builds the task again and derives its key: one whose key does not
    /// match its content was made by another release, or tampered with.
    ///
    /// # Errors
    /// The content makes no task, or not the one of this key.
    pub fn open(&self) -> Result<Task, InvalidTask> {
        let parameters: Map<String, Value> =
            serde_json::from_str(&self.parameters).map_err(|e| InvalidTask::Json(e.to_string()))?;
        let spec = StageSpec::build(self.kind, &parameters)?;
        let task = Task::new(
            self.label.to_string(),
            spec,
            self.seed,
            self.inputs.to_vec(),
        );
        if task.key != self.key {
            return Err(InvalidTask::Key {
                expected: self.key.short(),
                derived: task.key.short(),
            });
        }
        Ok(task)
    }
}

impl From<Task> for SealedTask {
    fn from(task: Task) -> Self {
        let parameters = task.spec.parameters();
        Self {
            key: task.key,
            label: task.label.into(),
            kind: task.spec.kind(),
            work: work(&parameters),
            parameters: canonical_json(&parameters).into(),
            seed: task.seed,
            inputs: task.inputs.into(),
        }
    }
}

/// Steps times batch of what trains, the number of samples of what draws, the
/// milliseconds of what sleeps; 1 where nothing tells.
pub fn work(parameters: &Map<String, Value>) -> f32 {
    let number = |name| parameters.get(name).and_then(Value::as_f64);
    let trained = number("steps").map(|steps| steps * number("batch").unwrap_or(1.0));
    let sized = || ["count", "images", "sleep_ms"].into_iter().find_map(number);
    let work = trained.or_else(sized).unwrap_or(1.0);
    #[expect(clippy::cast_possible_truncation, reason = "an estimate")]
    let work = work.clamp(1.0, 1e30) as f32;
    work
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
    fn a_sealed_task_opens_to_itself_and_only_to_itself() {
        let task = decoder(1.5, 3);
        let sealed = SealedTask::from(task.clone());
        assert_eq!(sealed.open(), Ok(task));
        let json = serde_json::to_string(&decoder(1.5, 3)).unwrap();
        assert_eq!(serde_json::from_str::<SealedTask>(&json).unwrap(), sealed);
        let other = SealedTask { seed: 4, ..sealed };
        assert!(matches!(other.open(), Err(InvalidTask::Key { .. })));
    }

    #[test]
    fn long_trainings_are_more_work_than_short_ones() {
        let of = |json: &str| {
            work(
                serde_json::from_str::<Value>(json)
                    .unwrap()
                    .as_object()
                    .unwrap(),
            )
        };
        assert_eq!(of(r#"{"steps": 500, "batch": 64}"#), 32_000.0);
        assert_eq!(of(r#"{"count": 10}"#), 10.0);
        assert_eq!(of("{}"), 1.0);
    }

    #[test]
    fn kinds_without_randomness_share_their_task_between_replicates() {
        let task = |seed| Task::new("data".into(), DatasetSpec::default().into(), seed, vec![]);
        assert_eq!(task(0).key, task(9).key);
    }
}
