//! A plan before its points and tasks are written out: about 250 bytes a task,
//! where a [`Plan`] has two thousand.

use std::collections::BTreeMap;
use std::sync::Arc;

use ablate_proto::id::SweepId;
use ablate_proto::task::{InvalidTask, SealedTask};

use super::expand::Points;
use super::merge;
use super::plan::{Plan, PlannedTask, Point};
use super::summary::{PlanSummary, summed};

/// A plan whose tasks are sealed, and whose points are numbers.
pub struct CompactPlan {
    /// Everything but points and tasks, which are empty in it.
    pub(super) head: Plan,
    pub(super) seed: u64,
    pub(super) points: Points,
    /// The stages of the file, in its order.
    pub(super) stages: Vec<StageTasks>,
    pub(super) tasks: Vec<Arc<SealedTask>>,
    /// One a task.
    pub(super) sources: Vec<merge::Source>,
}

pub(super) struct StageTasks {
    pub(super) name: String,
    /// The axes that enter it, by itself or through its ancestors.
    pub(super) axes: Vec<usize>,
    /// The task of each point.
    pub(super) of_points: Vec<u32>,
}

/// Not to be told apart by more than its head: it may have a million rows.
impl std::fmt::Debug for CompactPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("CompactPlan");
        shown.field("head", &self.head);
        shown.field("tasks", &self.tasks.len());
        shown.finish_non_exhaustive()
    }
}

impl CompactPlan {
    pub fn sweep(&self) -> &SweepId {
        &self.head.sweep
    }

    /// Instead of the file's own.
    pub fn set_priority(&mut self, priority: i64) {
        self.head.priority = priority;
    }

    pub fn priority(&self) -> i64 {
        self.head.priority
    }

    /// How many points there are, replicates included.
    pub fn points(&self) -> usize {
        self.points.len()
    }

    /// Stages that would run if no point shared anything.
    pub fn stages_naive(&self) -> u64 {
        self.head.stages_naive
    }

    /// Unique tasks, parents before children.
    pub fn tasks(&self) -> &[Arc<SealedTask>] {
        &self.tasks
    }

    /// Lets go of everything but the tasks.
    pub fn into_tasks(self) -> Vec<Arc<SealedTask>> {
        self.tasks
    }

    pub fn summary(&self) -> PlanSummary {
        summed(&self.head, self.points.len(), self.tasks.len())
    }

    /// Writes it out.
    ///
    /// # Errors
    /// A task was made of parameters that do not come back as they were.
    pub fn into_plan(self) -> Result<Plan, InvalidTask> {
        let points = (0..self.points.len()).map(|point| self.point(point));
        let points = points.collect();
        let tasks = (0..self.tasks.len()).map(|task| self.task(task));
        let tasks = tasks.collect::<Result<_, _>>()?;
        Ok(Plan {
            points,
            tasks,
            ..self.head
        })
    }

    fn point(&self, point: usize) -> Point {
        let coordinates = self.head.axes.iter().zip(self.points.coordinates(point));
        Point {
            coordinates: coordinates
                .map(|(axis, value)| (axis.name.clone(), axis.values[*value as usize].clone()))
                .collect(),
            seed: self.seed_of(point),
            tasks: self
                .stages
                .iter()
                .map(|stage| (stage.name.clone(), stage.of_points[point] as usize))
                .collect(),
        }
    }

    fn task(&self, task: usize) -> Result<PlannedTask, InvalidTask> {
        let source = &self.sources[task];
        let stage = &self.stages[source.stage as usize];
        let values = self.points.coordinates(source.point as usize);
        let coordinates = stage.axes.iter().map(|&axis| {
            let described = &self.head.axes[axis];
            let value = described.values[values[axis] as usize].clone();
            (described.name.clone(), value)
        });
        Ok(PlannedTask {
            task: self.tasks[task].open()?,
            stage: stage.name.clone(),
            coordinates: coordinates.collect::<BTreeMap<_, _>>(),
            points: u64::from(source.points),
        })
    }

    pub(super) fn seed_of(&self, point: usize) -> u64 {
        self.seed + u64::from(self.points.replicate(point))
    }
}
