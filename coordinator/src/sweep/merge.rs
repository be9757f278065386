//! Merges the points' stages into unique tasks.
//!
//! A stage's spec is built once for each combination of the axes that enter
//! the stage itself, and its task is hashed once for each combination of
//! spec, seed and parents; a point costs two look-ups a stage.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ablate_proto::stage::{SpecError, StageKind, StageSpec};
use ablate_proto::task::{Input, SealedTask};
use serde_json::{Map, Value};

use super::axes::Grid;
use super::command;
use super::draft::Draft;
use super::error::{Fault, Problem, inert};
use super::expand::Points;
use super::intern::{Index, Rows};
use super::labels::{self, Label};
use super::plan::Stage;
use super::shards::{self, Cut, Sealed};
use super::stages::Graph;
use super::{MAX_CELLS, MAX_TASKS, Options, datasets, derived, weights};

pub(super) struct Merged {
    /// Parents before children.
    pub(super) tasks: Vec<Arc<SealedTask>>,
    /// One a task.
    pub(super) sources: Vec<Source>,
    /// For each stage of the draft: the axes that enter it, by itself or
    /// through its ancestors.
    pub(super) axes: Vec<Vec<usize>>,
    /// In the order of the graph.
    pub(super) stages: Vec<Stage>,
    /// For each stage of the draft: the task of each point.
    pub(super) by_stage: Vec<Vec<u32>>,
}

/// Where a task comes from.
pub(super) struct Source {
    /// The (first) stage it belongs to, and the first point.
    pub(super) stage: u32,
    pub(super) point: u32,
    /// Points that share it.
    pub(super) points: u32,
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
        names: labels::short_names(grid),
        by_key: Index::new(draft.salt),
        tasks: Vec::new(),
        sources: Vec::new(),
        entries: 0,
        by_stage: vec![Vec::new(); draft.stages.len()],
        shards: HashMap::new(),
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
        let cut = Cut::of(draft, index, inputs)?;
        let tasks = merger.stage(index, inputs, &line, cut)?;
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
            shards: cut.shards as u64,
        });
        lineage[index] = line;
    }
    merger.count_points();
    Ok(Merged {
        tasks: merger.tasks,
        sources: merger.sources,
        axes: lineage.into_iter().map(|line| line.axes).collect(),
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

struct Merger<'a> {
    draft: &'a Draft,
    grid: &'a Grid,
    points: &'a Points,
    options: &'a Options,
    /// Names of the axes in labels.
    names: Vec<&'a str>,
    by_key: Index,
    tasks: Vec<Arc<SealedTask>>,
    sources: Vec<Source>,
    /// Tasks and their coordinates so far.
    entries: usize,
    by_stage: Vec<Vec<u32>>,
    /// By the task that puts them together.
    shards: HashMap<u32, Vec<u32>>,
}

impl Merger<'_> {
    /// Fixes the task of one stage for every point. Returns how many there
    /// are.
    fn stage(
        &mut self,
        index: usize,
        inputs: &BTreeMap<String, usize>,
        line: &Lineage,
        cut: Cut,
    ) -> Result<u64, Fault> {
        let own: Vec<(usize, &str)> = axes_of(self.grid, index).collect();
        let mut spec_ids = Rows::new(own.len(), self.draft.salt);
        let mut seals: Vec<Sealed> = Vec::new();
        let mut fixed_ids = Rows::new(2 + inputs.len(), self.draft.salt);
        let mut fixed: Vec<u32> = Vec::new();
        let mut of_points = Vec::with_capacity(self.points.len());
        let (mut spec_key, mut task_key) = (Vec::new(), Vec::new());
        let stage = &self.draft.stages[index];
        let base = stage.parameters.iter();
        let mut parameters: Map<String, Value> = base
            .map(|(field, (_, value))| (field.clone(), value.clone()))
            .collect();
        for point in 0..self.points.len() {
            let coordinates = self.points.coordinates(point);
            spec_key.clear();
            spec_key.extend(own.iter().map(|(axis, _)| coordinates[*axis]));
            let (spec, new) = spec_ids.number(&spec_key);
            if new {
                let spec = self.spec(index, &own, &spec_key, &mut parameters)?;
                seals.push(cut.seal(stage, &spec)?);
            }
            task_key.clear();
            task_key.push(spec);
            task_key.push(if stage.kind.info().seeded {
                self.points.replicate(point)
            } else {
                0
            });
            task_key.extend(inputs.values().map(|&parent| self.by_stage[parent][point]));
            let (number, new) = fixed_ids.number(&task_key);
            if new {
                self.entries += cut.tasks() * (1 + line.axes.len());
                if self.tasks.len() + cut.tasks() > MAX_TASKS || self.entries as u128 > MAX_CELLS {
                    let name = stage.name.clone();
                    return Err(Fault::new(stage.at, Problem::TooManyTasks { stage: name }));
                }
                let sealed = &seals[spec as usize];
                let whole = self.task(index, inputs, line, (cut, sealed), point);
                let task = |of: u32| &*self.tasks[of as usize];
                let parent = |role: &str| Some(task(self.by_stage[*inputs.get(role)?][point]));
                derived::check_parameters(stage, task(whole), parent)?;
                fixed.push(whole);
            }
            of_points.push(fixed[number as usize]);
        }
        self.by_stage[index] = of_points;
        let shards = fixed.iter().filter_map(|whole| self.shards.get(whole));
        let shards: Vec<u32> = shards.flatten().copied().collect();
        fixed.extend(shards);
        fixed.sort_unstable();
        fixed.dedup();
        Ok(fixed.len() as u64)
    }

    /// The spec at some values of the axes. `parameters` are those of the
    /// stage, and come back with these values.
    fn spec(
        &self,
        index: usize,
        own: &[(usize, &str)],
        values: &[u32],
        parameters: &mut Map<String, Value>,
    ) -> Result<StageSpec, Fault> {
        let stage = &self.draft.stages[index];
        for ((axis, field), value) in own.iter().zip(values) {
            let value = self.grid.axes[*axis].values[*value as usize].clone();
            match parameters.get_mut(*field) {
                Some(there) => *there = value,
                None => {
                    parameters.insert((*field).to_owned(), value);
                }
            }
        }
        let build = |parameters: &_| StageSpec::build(stage.kind, parameters).map_err(explain);
        // What is filled in must not stay for the next values.
        let built = if stage.kind.is_open() {
            let mut closed = parameters.clone();
            command::close(stage.kind, &mut closed, &self.options.files)
                .and_then(|()| build(&closed))
        } else if stage.kind == StageKind::Dataset {
            let mut settled = parameters.clone();
            let known = &self.options.datasets;
            datasets::settle(&mut settled, known)
                .and_then(|()| build(&settled))
                .and_then(|spec| datasets::check(spec, known))
        } else if weights::takes(stage.kind) {
            let mut settled = parameters.clone();
            weights::settle(stage.kind, &mut settled, &self.options.weights)
                .and_then(|()| build(&settled))
        } else {
            build(parameters)
        };
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

    /// The task of a stage at a point, with those of its shards.
    fn task(
        &mut self,
        index: usize,
        inputs: &BTreeMap<String, usize>,
        line: &Lineage,
        (cut, sealed): (Cut, &Sealed),
        point: usize,
    ) -> u32 {
        let parents = inputs.iter().map(|(role, &parent)| Input {
            role: role.clone(),
            task: self.tasks[self.by_stage[parent][point] as usize].key,
        });
        let parents: Vec<Input> = parents.collect();
        let seed = self.draft.seed + u64::from(self.points.replicate(point));
        let replicates = self.points.replicates;
        let label = Label {
            stage: &self.draft.stages[index].name,
            values: line.axes.iter().map(|&axis| {
                let value = self.points.coordinates(point)[axis];
                (
                    self.names[axis],
                    &self.grid.axes[axis].values[value as usize],
                )
            }),
            seed: (line.seeded && replicates > 1).then_some(seed),
        };
        let label = label.text();
        let place = (index, point);
        if sealed.shards.is_empty() {
            return self.add(place, sealed.whole.task(label, seed, parents));
        }
        let kind = self.draft.stages[index].kind;
        let drawn = inputs.get(shards::drawn_by(kind)).map(|&stage| {
            let drawn = self.by_stage[stage][point] as usize;
            self.tasks[drawn].clone()
        });
        let drawn = drawn.as_ref().map_or(&[][..], |task| &task.inputs);
        let numbered = sealed.shards.iter().enumerate();
        let of_shards: Vec<u32> = numbered
            .map(|(i, seal)| {
                let label = format!("{label} shard {} of {}", i + 1, cut.shards);
                let inputs = cut.inputs_of(kind, i, &parents, drawn);
                self.add(place, seal.task(label, seed, inputs))
            })
            .collect();
        let keys = of_shards
            .iter()
            .map(|shard| self.tasks[*shard as usize].key);
        let parents = shards::inputs_of_whole(kind, parents, keys);
        let whole = self.add(place, sealed.whole.task(label, seed, parents));
        self.shards.insert(whole, of_shards);
        whole
    }

    /// The number of a task: a new one, or one that is the same work.
    fn add(&mut self, (stage, point): (usize, usize), task: SealedTask) -> u32 {
        let by = |number: u32| self.tasks[number as usize].key;
        if let Some(known) = self.by_key.find(&task.key, by) {
            return known;
        }
        let number = to_u32(self.tasks.len());
        self.by_key.add(&task.key, number);
        self.tasks.push(Arc::new(task));
        self.sources.push(Source {
            stage: to_u32(stage),
            point: to_u32(point),
            points: 0,
        });
        number
    }

    fn count_points(&mut self) {
        let mut last = vec![u32::MAX; self.tasks.len()];
        for point in 0..self.points.len() {
            for of_points in &self.by_stage {
                let whole = of_points[point];
                let shards = match self.shards.is_empty() {
                    true => None,
                    false => self.shards.get(&whole),
                };
                for task in shards.into_iter().flatten().chain([&whole]) {
                    let task = *task as usize;
                    if last[task] != to_u32(point) {
                        last[task] = to_u32(point);
                        self.sources[task].points += 1;
                    }
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
