//! Merges the points' stages into unique tasks.
//!
//! A stage's spec is built once for each combination of the axes that enter
//! the stage itself, and its task is hashed once for each combination of
//! spec, seed and parents; a point costs two look-ups a stage.

use std::collections::{BTreeMap, HashMap};

use ablate_proto::id::TaskKey;
use ablate_proto::stage::{SpecError, StageSpec};
use ablate_proto::task::{Input, Task};
use serde_json::Value;

use super::axes::{Axis, Grid, shown};
use super::command;
use super::draft::Draft;
use super::error::{Fault, Problem, inert};
use super::expand::Points;
use super::plan::{PlannedTask, Stage};
use super::stages::Graph;
use super::{MAX_CELLS, MAX_TASKS, Options, datasets};

pub(super) struct Merged {
    pub(super) tasks: Vec<PlannedTask>,
    /// In the order of the graph.
    pub(super) stages: Vec<Stage>,
    /// For each stage of the draft: the task of each point.
    pub(super) by_stage: Vec<Vec<u32>>,
}

pub(super) fn merge(
    draft: &Draft,
    graph: &Graph,
    grid: &Grid,
    points: &Points,
    options: &Options,
) -> Result<Merged, Fault> {
    let mut merger = Merger {
        draft,
        grid,
        points,
        options,
        names: short_names(grid),
        by_key: HashMap::new(),
        tasks: Vec::new(),
        entries: 0,
        by_stage: vec![Vec::new(); draft.stages.len()],
    };
    let mut lineage: Vec<Lineage> = vec![Lineage::default(); draft.stages.len()];
    let mut stages = Vec::with_capacity(draft.stages.len());
    for &index in &graph.order {
        let inputs = &graph.inputs[index];
        let mut line = Lineage {
            axes: axes_of(grid, index).map(|(axis, _)| axis).collect(),
            seeded: draft.stages[index].kind.info().seeded,
        };
        for &parent in inputs.values() {
            line.axes.extend(&lineage[parent].axes);
            line.seeded |= lineage[parent].seeded;
        }
        line.axes.sort_unstable();
        line.axes.dedup();
        let tasks = merger.stage(index, inputs, &line)?;
        let name = |&parent: &usize| draft.stages[parent].name.clone();
        stages.push(Stage {
            name: draft.stages[index].name.clone(),
            kind: draft.stages[index].kind.to_string(),
            inputs: inputs
                .iter()
                .map(|(role, p)| (role.clone(), name(p)))
                .collect(),
            axes: line
                .axes
                .iter()
                .map(|&axis| grid.axes[axis].name.clone())
                .collect(),
            tasks,
        });
        lineage[index] = line;
    }
    merger.count_points();
    Ok(Merged {
        tasks: merger.tasks,
        stages,
        by_stage: merger.by_stage,
    })
}

/// What a stage depends on, by itself or through its ancestors.
#[derive(Clone, Default)]
struct Lineage {
    axes: Vec<usize>,
    seeded: bool,
}

/// The axes that enter a stage itself, with the parameters they set.
fn axes_of(grid: &Grid, stage: usize) -> impl Iterator<Item = (usize, &str)> {
    let axes = grid.axes.iter().enumerate();
    axes.filter_map(move |(i, axis)| {
        let (_, field) = axis.enters.iter().find(|(entered, _)| *entered == stage)?;
        Some((i, field.as_str()))
    })
}

/// `sigma` for `decoder.sigma`, where no other axis is called so.
fn short_names(grid: &Grid) -> Vec<&str> {
    fn last(name: &str) -> &str {
        name.rsplit('.').next().unwrap_or(name)
    }
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for axis in &grid.axes {
        *uses.entry(last(&axis.name)).or_default() += 1;
    }
    let short = |axis: &'_ Axis| uses[last(&axis.name)] == 1;
    let name = |axis| {
        if short(axis) {
            last(&axis.name)
        } else {
            &axis.name
        }
    };
    grid.axes.iter().map(name).collect()
}

struct Merger<'a> {
    draft: &'a Draft,
    grid: &'a Grid,
    points: &'a Points,
    options: &'a Options,
    /// Names of the axes in labels.
    names: Vec<&'a str>,
    by_key: HashMap<TaskKey, u32>,
    tasks: Vec<PlannedTask>,
    /// Tasks and their coordinates so far.
    entries: usize,
    by_stage: Vec<Vec<u32>>,
}

impl Merger<'_> {
    /// Fixes the task of one stage for every point. Returns how many there
    /// are.
    fn stage(
        &mut self,
        index: usize,
        inputs: &BTreeMap<String, usize>,
        line: &Lineage,
    ) -> Result<u64, Fault> {
        let own: Vec<(usize, &str)> = axes_of(self.grid, index).collect();
        let seeded = self.draft.stages[index].kind.info().seeded;
        let mut spec_ids: HashMap<Vec<u32>, u32> = HashMap::new();
        let mut specs: Vec<StageSpec> = Vec::new();
        let mut fixed: HashMap<Vec<u32>, u32> = HashMap::new();
        let mut of_points = Vec::with_capacity(self.points.len());
        let (mut spec_key, mut task_key) = (Vec::new(), Vec::new());
        for point in 0..self.points.len() {
            let coordinates = self.points.coordinates(point);
            spec_key.clear();
            spec_key.extend(own.iter().map(|(axis, _)| coordinates[*axis]));
            let spec = match spec_ids.get(&spec_key) {
                Some(&spec) => spec,
                None => {
                    let spec = to_u32(specs.len());
                    specs.push(self.spec(index, &own, &spec_key)?);
                    spec_ids.insert(spec_key.clone(), spec);
                    spec
                }
            };
            task_key.clear();
            task_key.push(spec);
            task_key.push(if seeded {
                self.points.replicate(point)
            } else {
                0
            });
            task_key.extend(inputs.values().map(|&parent| self.by_stage[parent][point]));
            let task = match fixed.get(&task_key) {
                Some(&task) => task,
                None => {
                    let spec = specs[spec as usize].clone();
                    self.entries += 1 + line.axes.len();
                    if self.tasks.len() >= MAX_TASKS || self.entries as u128 > MAX_CELLS {
                        let described = &self.draft.stages[index];
                        let stage = described.name.clone();
                        return Err(Fault::new(described.at, Problem::TooManyTasks { stage }));
                    }
                    let task = self.task(index, inputs, line, spec, point);
                    fixed.insert(task_key.clone(), task);
                    task
                }
            };
            of_points.push(task);
        }
        self.by_stage[index] = of_points;
        let mut unique: Vec<u32> = fixed.into_values().collect();
        unique.sort_unstable();
        unique.dedup();
        Ok(unique.len() as u64)
    }

    fn spec(
        &self,
        index: usize,
        own: &[(usize, &str)],
        values: &[u32],
    ) -> Result<StageSpec, Fault> {
        let stage = &self.draft.stages[index];
        let base = stage.parameters.iter();
        let mut parameters: serde_json::Map<String, Value> = base
            .map(|(field, (_, value))| (field.clone(), value.clone()))
            .collect();
        for ((axis, field), value) in own.iter().zip(values) {
            let value = self.grid.axes[*axis].values[*value as usize].clone();
            parameters.insert((*field).to_owned(), value);
        }
        let known = &self.options.datasets;
        let built = command::close(stage.kind, &mut parameters, &self.options.files)
            .and_then(|()| datasets::settle(stage.kind, &mut parameters, known))
            .and_then(|()| StageSpec::build(stage.kind, &parameters).map_err(explain))
            .and_then(|spec| datasets::check(spec, known));
        built.map_err(|(field, why)| {
            let mut set_by = own.iter().zip(values);
            let axis = set_by
                .find(|((_, set), _)| *set == field)
                .map(|((axis, _), value)| {
                    let axis = &self.grid.axes[*axis];
                    (axis.name.clone(), axis.origins[*value as usize])
                });
            let at = match (&axis, stage.parameters.get(&field)) {
                (Some((_, at)), _) | (None, Some((at, _))) => *at,
                (None, None) if field == "files" => command::origin(stage),
                (None, None) => stage.at,
            };
            let problem = Problem::BadParameter {
                stage: stage.name.clone(),
                kind: stage.kind.info().name,
                axis: axis.map(|(name, _)| name),
                why,
            };
            Fault::new(at, problem)
        })
    }

    /// The task of a stage at a point: a new one, or one that is the same
    /// work.
    fn task(
        &mut self,
        index: usize,
        inputs: &BTreeMap<String, usize>,
        line: &Lineage,
        spec: StageSpec,
        point: usize,
    ) -> u32 {
        let parents = inputs.iter().map(|(role, &parent)| Input {
            role: role.clone(),
            task: self.tasks[self.by_stage[parent][point] as usize].task.key,
        });
        let parents = parents.collect();
        let seed = self.draft.seed + u64::from(self.points.replicate(point));
        let name = &self.draft.stages[index].name;
        let mut label = name.clone();
        let mut coordinates = BTreeMap::new();
        let indices = self.points.coordinates(point);
        for &axis in &line.axes {
            let described = &self.grid.axes[axis];
            let value = &described.values[indices[axis] as usize];
            label.push_str(&format!(" {}={}", self.names[axis], shown(value)));
            coordinates.insert(described.name.clone(), value.clone());
        }
        if line.seeded && self.points.replicates > 1 {
            label.push_str(&format!(" seed={seed}"));
        }
        let task = Task::new(label, spec, seed, parents);
        let next = to_u32(self.tasks.len());
        let known = *self.by_key.entry(task.key).or_insert(next);
        if known == next {
            self.tasks.push(PlannedTask {
                task,
                stage: name.clone(),
                coordinates,
                points: 0,
            });
        }
        known
    }

    fn count_points(&mut self) {
        let mut last = vec![usize::MAX; self.tasks.len()];
        for point in 0..self.points.len() {
            for of_points in &self.by_stage {
                let task = of_points[point] as usize;
                if last[task] != point {
                    last[task] = point;
                    self.tasks[task].points += 1;
                }
            }
        }
    }
}

/// Tasks and specs are fewer than `MAX_CELLS`.
fn to_u32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// The parameter at fault, and why, in words of the sweep file.
fn explain(error: SpecError) -> (String, String) {
    match error {
        SpecError::Invalid(invalid) => (invalid.field.to_owned(), invalid.to_string()),
        SpecError::WrongType { field, why } => {
            let top = field
                .split(['.', '['])
                .next()
                .unwrap_or_default()
                .to_owned();
            let mut why = inert(&why, 400);
            for (rust, words) in [
                ("expected usize", "expected a whole number, 0 or more"),
                ("expected u64", "expected a whole number, 0 or more"),
                ("expected u32", "expected a whole number, 0 or more"),
                ("expected f64", "expected a number"),
                ("expected a sequence", "expected a list"),
            ] {
                why = why.replace(rust, words);
            }
            let message = format!("`{field}`: {why}");
            (top, message)
        }
        unknown @ SpecError::UnknownField { .. } => {
            (String::new(), inert(&unknown.to_string(), 400))
        }
    }
}
