//! The training loop of every stage that trains.
//!
//! Step s draws all it needs from (seed, purpose, s), so the state is the
//! parameters, buffers, averages, Adam's moments and s: a resumed run is
//! bit-identical to one that was never interrupted.

mod batches;
mod finite;
mod state;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use ablate_proto::stage::Schedule;
use candle_core::{Result as Tensors, Tensor};

pub(super) use batches::Batch;
use batches::Batches;

use crate::nn::adam::{Adam, Settings};
use crate::nn::device::device;
use crate::nn::ema::Ema;
use crate::nn::params::Named;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: u64,
    /// Examples per step, and how many there are.
    pub(super) batch: usize,
    pub(super) examples: usize,
    /// Whether an epoch leaves out the examples that fill no batch.
    pub(super) full_batches: bool,
    pub(super) learning_rate: f64,
    pub(super) schedule: Schedule,
    pub(super) log_every: u64,
    /// Decay of the moving averages of the first group's parameters.
    pub(super) average: Option<f64>,
}

/// A GPU is waited for at every so many steps: meanwhile work is queued.
const READ_EVERY: u64 = 50;

impl Plan {
    /// Whether the loss of a step, numbered from 1, is looked at.
    fn reads(&self, step: u64) -> bool {
        device().is_cpu()
            || step.is_multiple_of(self.log_every)
            || step.is_multiple_of(READ_EVERY)
            || step == self.steps
    }
}

/// Parameters with a loss and an optimiser of their own.
#[derive(Debug)]
pub(super) struct Group {
    /// The name of its loss among the metrics.
    pub(super) loss: &'static str,
    pub(super) parameters: Named,
    pub(super) optimiser: Settings,
}

impl Group {
    /// The one group of a model with one loss, under Adam's defaults.
    pub(super) fn all(parameters: Named) -> Self {
        Self {
            loss: "loss",
            parameters,
            optimiser: Settings::default(),
        }
    }
}

/// What is trained.
pub(super) trait Objective {
    /// The groups in the order that a step takes them; their parameters' names
    /// differ.
    fn groups(&self) -> &[Group];

    /// What a forward pass moves besides.
    fn buffers(&self) -> &[(String, candle_core::Var)] {
        &[]
    }

    /// The loss of a group at step `step` (from 0) on a batch: a scalar.
    fn loss(&self, group: usize, step: u64, batch: &Batch) -> Tensors<Tensor>;

    /// What is followed while training, beside the losses.
    fn curves(&self) -> Result<Vec<MetricRow>, Failure>;
}

/// A group's optimiser, and its loss of the last step.
struct Player<'a> {
    group: &'a Group,
    adam: Adam,
    loss: f32,
}

/// Trains until the last step. Returns the averages, if any were wanted.
///
/// # Errors
/// Preempted, with a checkpoint, when told to stop; a bug when a loss or a
/// gradient is not finite or a parameter has none.
pub(super) fn train(
    context: &mut Context,
    plan: Plan,
    objective: &impl Objective,
) -> Result<Option<Ema>, Failure> {
    let mut players: Vec<Player<'_>> = objective
        .groups()
        .iter()
        .map(Player::new)
        .collect::<Result<_, _>>()?;
    let mut average = averages(plan, objective)?;
    let mut batches = Batches::new(plan, context.seed());
    let mut step = 0;
    let (steps, buffers) = (plan.steps, objective.buffers());
    let restored = context
        .resume(|saved| state::restore(saved, steps, buffers, &mut players, &mut average))?;
    if let Some(from) = restored {
        step = from;
        tracing::info!(step, "training goes on from a checkpoint");
    } else {
        let rows = objective.curves()?.into_iter().map(|row| row.at(0));
        context.progress(0, plan.steps, rows.collect())?;
    }
    let mut checked = false;
    while step < plan.steps {
        if context.should_stop() {
            let state = state::of(objective.buffers(), &players, average.as_ref())?;
            context.checkpoint(step, &state)?;
            return Err(Context::stopped(step));
        }
        let batch = batches.at(step).or_bug("choosing a batch")?;
        for (index, player) in players.iter_mut().enumerate() {
            let loss = || objective.loss(index, step, &batch);
            player.step(step, plan, loss, checked)?;
        }
        checked = true;
        step += 1;
        if let (Some(average), Some(first)) = (&mut average, players.first()) {
            let updated = average.update(&first.group.parameters);
            updated.or_bug("averaging parameters")?;
        }
        let mut rows = Vec::new();
        if step.is_multiple_of(plan.log_every) || step == plan.steps {
            rows.extend(players.iter().map(Player::row));
            rows.extend(objective.curves()?);
        }
        let rows = rows.into_iter().map(|row| row.at(step)).collect();
        context.progress(step, plan.steps, rows)?;
        if context.checkpoint_due() && step < plan.steps {
            let state = state::of(objective.buffers(), &players, average.as_ref())?;
            context.checkpoint(step, &state)?;
        }
    }
    Ok(average)
}

fn averages(plan: Plan, objective: &impl Objective) -> Result<Option<Ema>, Failure> {
    let (Some(decay), Some(first)) = (plan.average, objective.groups().first()) else {
        return Ok(None);
    };
    let average = Ema::new(decay, &first.parameters);
    Ok(Some(average.or_bug("averaging parameters")?))
}

impl<'a> Player<'a> {
    fn new(group: &'a Group) -> Result<Self, Failure> {
        let adam = Adam::with(group.optimiser, &group.parameters);
        Ok(Self {
            adam: adam.or_bug("making room for moments")?,
            group,
            loss: 0.0,
        })
    }

    /// One step, numbered from 0.
    fn step(
        &mut self,
        step: u64,
        plan: Plan,
        loss: impl FnOnce() -> Tensors<Tensor>,
        checked: bool,
    ) -> Result<(), Failure> {
        let doing = || format!("training step {}", step + 1);
        let parameters = &self.group.parameters;
        let loss = loss().or_bug(&doing())?;
        if !checked || plan.reads(step + 1) {
            self.loss = loss.to_scalar::<f32>().or_bug(&doing())?;
        }
        if !self.loss.is_finite() {
            let place = finite::place(parameters).or_bug(&doing())?;
            let (name, value) = (self.group.loss, self.loss);
            let why = format!("the {name} is {value} at step {}: {place}", step + 1);
            return Err(Failure::bug(why));
        }
        let rate = plan.learning_rate * plan.schedule.factor(step, plan.steps);
        let flaw = self
            .adam
            .descend(step + 1, rate, parameters, &loss, !checked)
            .or_bug(&doing())?;
        match flaw {
            Some((index, flaw)) => Err(finite::failure(&parameters[index].0, flaw)),
            None => Ok(()),
        }
    }

    fn row(&self) -> MetricRow {
        MetricRow::scalar(self.group.loss, "", Direction::Down, self.loss.into())
    }
}
