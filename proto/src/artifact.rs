//! What a task leaves in the store: its manifest, and the metric rows in it.

use serde::{Deserialize, Serialize};

use crate::id::{AttemptId, TaskKey, WorkerId};
use crate::task::Input;

/// Format of `manifest.json`. A reader refuses a number it does not know.
pub const MANIFEST_VERSION: u32 = 1;

/// The result of a task. Written create-if-absent under the task's key: the
/// first writer wins, whatever is killed, frozen or started twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u32,
    pub attempt: AttemptId,
    /// Who wrote it, with a nonce of that write: an ambiguous answer of the
    /// store is resolved by reading the manifest back and comparing both.
    pub writer: WorkerId,
    pub nonce: String,
    pub label: String,
    pub kind: String,
    /// Canonical JSON of the stage spec.
    pub spec: serde_json::Value,
    pub seed: u64,
    pub inputs: Vec<Input>,
    /// blake3 of the raw data this task read, where it reads any.
    pub data_digest: Option<String>,
    pub provenance: Provenance,
    pub files: Vec<FileEntry>,
    /// Final metrics; curves over training are in `metrics.jsonl`.
    pub metrics: Vec<MetricRow>,
}

/// Where and with what a result was computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    pub build: String,
    pub host: String,
    pub device: String,
    pub threads: usize,
    /// Milliseconds since the Unix epoch, by the worker's clock.
    pub started_ms: u64,
    /// Wall time of the stage itself, without transfers.
    pub seconds: f64,
    /// The training step a checkpoint was resumed from.
    pub resumed_from: Option<u64>,
}

/// Thresholds of metrics `…_by_db`, in dB: the vector has one entry for each.
pub const THRESHOLDS_DB: std::ops::RangeInclusive<u32> = 20..=40;

/// A file of an artefact, at `tasks/<key>/<attempt>/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub name: String,
    pub bytes: u64,
    pub blake3: String,
}

/// Whether larger values are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Up,
    Down,
    #[default]
    Neutral,
}

/// One measurement. Rows describe themselves, so that the report needs no
/// code for a new metric. `value` is finite; what could not be measured has
/// no value and says why in `note`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct MetricRow {
    pub name: String,
    /// `dB`, `bits`, `` (a pure number) …
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    #[serde(default)]
    pub direction: Direction,
    /// Training step, for curves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// A histogram or another vector, instead of a single value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<f64>,
    /// Sample count behind the value, for intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl MetricRow {
    /// A row with one value. A value that is not finite becomes a note.
    pub fn scalar(name: &str, unit: &str, direction: Direction, value: f64) -> Self {
        let finite = value.is_finite();
        Self {
            name: name.to_owned(),
            unit: unit.to_owned(),
            direction,
            value: finite.then_some(value),
            note: (!finite).then(|| format!("not finite: {value}")),
            ..Self::default()
        }
    }

    /// A row with a vector, say the bins of a histogram.
    pub fn vector(name: &str, unit: &str, values: Vec<f64>) -> Self {
        Self {
            name: name.to_owned(),
            unit: unit.to_owned(),
            values,
            ..Self::default()
        }
    }

    /// A row for what could not be measured.
    pub fn skipped(name: &str, why: &str) -> Self {
        Self {
            name: name.to_owned(),
            note: Some(format!("skipped: {why}")),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn at(mut self, step: u64) -> Self {
        self.step = Some(step);
        self
    }

    #[must_use]
    pub fn over(mut self, n: usize) -> Self {
        self.n = Some(n as u64);
        self
    }
}

impl Manifest {
    pub fn metric(&self, name: &str) -> Option<&MetricRow> {
        self.metrics.iter().find(|row| row.name == name)
    }

    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.name == name)
    }

    pub fn task(&self) -> TaskKey {
        self.attempt.task
    }
}
