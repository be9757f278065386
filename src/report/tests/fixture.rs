//! Builds a store that holds a planned sweep and the results of its tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use ablate_coordinator::sweep::plan::{
    Axis, Expectation, Figure, PLAN_VERSION, Plan, PlannedTask, Point, Stage,
};
use ablate_proto::artifact::{FileEntry, MANIFEST_VERSION, Manifest, MetricRow, Provenance};
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, SweepId};
use ablate_proto::layout;
use ablate_proto::stage::{StageKind, StageSpec};
use ablate_proto::status::{SweepState, SweepStatus, TaskState, TaskStatus};
use ablate_proto::task::{Input, Task};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::{Map, Value, json};

pub(super) struct Fixture {
    pub store: Arc<InMemory>,
    pub plan: Plan,
    pub rows: Vec<TaskStatus>,
}

/// A stage: name, kind, role and stage of each input, axes that it takes.
type StageLine<'a> = (&'a str, StageKind, &'a [(&'a str, &'a str)], &'a [&'a str]);

impl Fixture {
    pub(super) fn new(axes: &[(&str, Value)], seeds: u64, stages: &[StageLine<'_>]) -> Self {
        let axes: Vec<Axis> = axes
            .iter()
            .map(|(name, values)| Axis {
                name: (*name).to_owned(),
                values: values.as_array().cloned().expect("a list of values"),
            })
            .collect();
        let mut plan = Plan {
            version: PLAN_VERSION,
            sweep: sweep(),
            title: "A sweep".into(),
            cost: String::new(),
            question: "What happens?".into(),
            profile: Some("mini".into()),
            priority: 0,
            axes,
            replicates: seeds,
            stages: Vec::new(),
            points: Vec::new(),
            stages_naive: 0,
            tasks: Vec::new(),
            expectations: Vec::new(),
            untested: Vec::new(),
            figures: Vec::new(),
        };
        for (name, kind, inputs, own) in stages {
            let inputs: BTreeMap<String, String> = inputs
                .iter()
                .map(|(role, stage)| ((*role).to_owned(), (*stage).to_owned()))
                .collect();
            let mut axes: Vec<String> = own.iter().map(|a| (*a).to_owned()).collect();
            for parent in plan
                .stages
                .iter()
                .filter(|s| inputs.values().any(|i| *i == s.name))
            {
                axes.extend(parent.axes.iter().cloned());
            }
            axes.sort();
            axes.dedup();
            plan.stages.push(Stage {
                name: (*name).to_owned(),
                kind: kind.to_string(),
                inputs,
                axes,
                tasks: 0,
                shards: 1,
            });
        }
        for coordinates in combinations(&plan.axes) {
            for seed in 0..seeds {
                add_point(&mut plan, stages, &coordinates, seed);
            }
        }
        plan.stages_naive = (plan.points.len() * stages.len()) as u64;
        Self {
            store: Arc::new(InMemory::new()),
            plan,
            rows: Vec::new(),
        }
    }

    pub(super) fn expect(mut self, expectation: Value) -> Self {
        let expectation: Expectation = serde_json::from_value(expectation).expect("expectation");
        self.plan.expectations.push(expectation);
        self
    }

    pub(super) fn figure(mut self, figure: Value) -> Self {
        let figure: Figure = serde_json::from_value(figure).expect("figure");
        self.plan.figures.push(figure);
        self
    }

    /// Indices of a stage's tasks, with their coordinates and seeds.
    pub(super) fn tasks(&self, stage: &str) -> Vec<(usize, BTreeMap<String, Value>, u64)> {
        let tasks = self.plan.tasks.iter().enumerate();
        tasks
            .filter(|(_, planned)| planned.stage == stage)
            .map(|(i, planned)| (i, planned.coordinates.clone(), planned.task.seed))
            .collect()
    }

    pub(super) async fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let payload = bytes.into().into();
        self.store
            .put(&Path::from(path), payload)
            .await
            .expect("put");
    }

    /// Leaves the result of a task.
    pub(super) async fn done(
        &self,
        task: usize,
        metrics: Vec<MetricRow>,
        files: &[(&str, Vec<u8>)],
    ) {
        let task = &self.plan.tasks[task].task;
        let attempt = AttemptId {
            task: task.key,
            number: 1,
        };
        let mut entries = Vec::new();
        for (name, bytes) in files {
            self.put(&layout::attempt_file(&attempt, name), bytes.clone())
                .await;
            entries.push(FileEntry {
                name: (*name).to_owned(),
                bytes: bytes.len() as u64,
                blake3: blake3::hash(bytes).to_hex().to_string(),
            });
        }
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            attempt,
            writer: "box-1a2b3c4d".parse().expect("worker id"),
            nonce: "0".into(),
            label: task.label.clone(),
            kind: task.spec.kind().to_string(),
            spec: Value::Object(task.spec.parameters()),
            seed: task.seed,
            inputs: task.inputs.clone(),
            data_digest: task.spec.data_digest().map(str::to_owned),
            provenance: Provenance {
                build: "ablate 0.1.0 (3f2c9d1)".into(),
                host: "box-1".into(),
                device: "cpu".into(),
                threads: 2,
                started_ms: 1_760_000_000_000,
                seconds: 3.0 + 11.3 * (task.inputs.len() as f64),
                resumed_from: (task.spec.kind() == StageKind::Autoencoder).then_some(1500),
            },
            files: entries,
            metrics,
        };
        let json = serde_json::to_vec(&manifest).expect("manifest");
        self.put(&layout::manifest(&task.key), json).await;
    }

    /// Records the end of a task without a result.
    pub(super) fn ended(&mut self, task: usize, state: TaskState, failure: Option<Failure>) {
        let task = &self.plan.tasks[task].task;
        self.rows.push(TaskStatus {
            key: task.key,
            label: task.label.clone(),
            kind: task.spec.kind().to_string(),
            state,
            attempt: 1,
            worker: None,
            step: 0,
            total: 0,
            seconds: 1.0,
            failure,
            latest: Vec::new(),
            bare: false,
        });
    }

    pub(super) fn failed(&mut self, task: usize, class: FailureClass, cause: &str) {
        self.ended(task, TaskState::Failed, Some(Failure::new(class, cause)));
    }

    /// Writes plan, sweep file and outcome.
    pub(super) async fn save(&self) -> Arc<dyn ObjectStore> {
        let sweep = &self.plan.sweep;
        let plan = serde_json::to_vec(&self.plan).expect("plan");
        self.put(&layout::plan(sweep), plan).await;
        let file = "name = \"e06\"\n[axes]\ngamma = [3, 5, 7]\n";
        self.put(&layout::sweep_file(sweep), file).await;
        let status = SweepStatus {
            submitted: 1,
            sweep: sweep.clone(),
            state: match self.rows.iter().any(|row| row.state == TaskState::Failed) {
                true => SweepState::Failed,
                false => SweepState::Done,
            },
            points: self.plan.points.len() as u64,
            tasks: self.plan.tasks.len() as u64,
            done: 0,
            failed: 0,
            cancelled: 0,
            running: 0,
            held: None,
            reused: 0,
            priority: 0,
            eta_seconds: None,
            eta_range: None,
            rows: self.rows.clone(),
        };
        let status = serde_json::to_vec(&status).expect("status");
        self.put(&layout::outcome(sweep), status).await;
        self.store.clone()
    }
}

pub(super) fn sweep() -> SweepId {
    "e06-mini".parse().expect("sweep id")
}

fn combinations(axes: &[Axis]) -> Vec<BTreeMap<String, Value>> {
    let mut points = vec![BTreeMap::new()];
    for axis in axes {
        let extend = |point: &BTreeMap<String, Value>| {
            let with = |value: &Value| {
                let mut point = point.clone();
                point.insert(axis.name.clone(), value.clone());
                point
            };
            axis.values.iter().map(with).collect::<Vec<_>>()
        };
        points = points.iter().flat_map(extend).collect();
    }
    points
}

fn add_point(
    plan: &mut Plan,
    stages: &[StageLine<'_>],
    coordinates: &BTreeMap<String, Value>,
    seed: u64,
) {
    let mut tasks: BTreeMap<String, usize> = BTreeMap::new();
    for (stage, (name, kind, inputs, own)) in stages.iter().enumerate() {
        let mut parameters = Map::new();
        for axis in *own {
            let field = axis.rsplit('.').next().unwrap_or(axis).to_owned();
            if kind.fields().contains(&field) {
                parameters.insert(field, coordinates[*axis].clone());
            } else {
                // Axes of no parameter still make tasks of their own.
                let values = &plan
                    .axes
                    .iter()
                    .find(|a| a.name == **axis)
                    .expect("axis")
                    .values;
                let at = values.iter().position(|v| v == &coordinates[*axis]);
                let others = parameters.get("index").and_then(Value::as_u64).unwrap_or(0);
                let index = others * 100 + at.expect("a value of the axis") as u64;
                parameters.insert("index".into(), json!(index));
            }
        }
        let spec = StageSpec::build(*kind, &parameters).expect("spec");
        let axes = &plan.stages[stage].axes;
        let mine: BTreeMap<String, Value> = coordinates
            .iter()
            .filter(|(axis, _)| axes.contains(axis))
            .map(|(axis, value)| (axis.clone(), value.clone()))
            .collect();
        let inputs = inputs
            .iter()
            .map(|(role, parent)| Input {
                role: (*role).to_owned(),
                task: plan.tasks[tasks[*parent]].task.key,
            })
            .collect();
        let values: Vec<String> = mine
            .iter()
            .map(|(axis, v)| format!(" {axis}={v}"))
            .collect();
        let task = Task::new(format!("{name}{}", values.concat()), spec, seed, inputs);
        let index = match plan.tasks.iter().position(|p| p.task.key == task.key) {
            Some(index) => index,
            None => {
                plan.stages[stage].tasks += 1;
                plan.tasks.push(PlannedTask {
                    task,
                    stage: (*name).to_owned(),
                    coordinates: mine,
                    points: 0,
                });
                plan.tasks.len() - 1
            }
        };
        plan.tasks[index].points += 1;
        tasks.insert((*name).to_owned(), index);
    }
    plan.points.push(Point {
        coordinates: coordinates.clone(),
        seed,
        tasks,
    });
}
