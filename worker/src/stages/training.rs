//! The training loop of every stage that trains.
//!
//! Step s draws all it needs from (seed, purpose, s), so the state is the
//! parameters, Adam's moments and s: a resumed run is bit-identical to one
//! that was never interrupted.

use std::collections::BTreeMap;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use ablate_proto::stage::Schedule;
use candle_core::backprop::GradStore;
use candle_core::{Device, Result as Tensors, Tensor};

use crate::data::arrays::Array;
use crate::nn::adam::Adam;
use crate::nn::params::{self, Named};
use crate::nn::rng::stream;
use crate::runner::checkpoint::Saved;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) steps: u64,
    /// Examples per step, and how many there are.
    pub(super) batch: usize,
    pub(super) examples: usize,
    pub(super) learning_rate: f64,
    pub(super) schedule: Schedule,
    pub(super) log_every: u64,
}

/// What is trained.
pub(super) trait Objective {
    fn parameters(&self) -> &Named;

    /// The loss of step `step` (from 0) on a batch: a scalar.
    fn loss(&self, step: u64, batch: &Batch) -> Tensors<Tensor>;

    /// What is followed while training, beside the loss.
    fn curves(&self) -> Result<Vec<MetricRow>, Failure>;
}

/// Which examples a step is about.
pub(super) enum Batch {
    All,
    /// Indices, `[b]` u32.
    Some(Tensor),
}

impl Batch {
    /// The examples of the batch, of `all` `[examples, …]`.
    pub(super) fn of(&self, all: &Tensor) -> Tensors<Tensor> {
        match self {
            Self::All => Ok(all.clone()),
            Self::Some(indices) => all.index_select(indices, 0),
        }
    }
}

/// Trains until the last step.
///
/// # Errors
/// Preempted, with a checkpoint, when told to stop; a bug when the loss or a
/// gradient is not finite or a parameter has none.
pub(super) fn train(
    context: &mut Context,
    plan: Plan,
    objective: &impl Objective,
) -> Result<(), Failure> {
    let named = objective.parameters();
    let mut adam = Adam::new(named);
    let mut batches = Batches::new(plan, context.seed());
    let mut step = 0;
    let restored = context.resume(|saved| restore(saved, plan.steps, named, &mut adam))?;
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
            context.checkpoint(step, &state(named, &adam)?)?;
            return Err(Context::stopped(step));
        }
        let doing = || format!("training step {}", step + 1);
        let batch = batches.at(step).or_bug(&doing())?;
        let loss = objective.loss(step, &batch).or_bug(&doing())?;
        let value = loss.to_scalar::<f32>().or_bug(&doing())?;
        if !value.is_finite() {
            let why = format!("the loss is {value} at step {}", step + 1);
            return Err(Failure::bug(why));
        }
        let grads = loss.backward().or_bug(&doing())?;
        if !checked {
            check_gradients(named, &grads)?;
            checked = true;
        }
        let rate = plan.learning_rate * plan.schedule.factor(step, plan.steps);
        step += 1;
        adam.step(step, rate, named, &grads)
            .or_bug("updating parameters")?;
        let mut rows = Vec::new();
        if step.is_multiple_of(plan.log_every) || step == plan.steps {
            rows.push(MetricRow::scalar("loss", "", Direction::Down, value.into()));
            rows.extend(objective.curves()?);
        }
        let rows = rows.into_iter().map(|row| row.at(step)).collect();
        context.progress(step, plan.steps, rows)?;
        if context.checkpoint_due() && step < plan.steps {
            context.checkpoint(step, &state(named, &adam)?)?;
        }
    }
    Ok(())
}

/// Some of candle's ops have no gradient, silently: every parameter must have
/// one, and a finite one.
fn check_gradients(named: &Named, grads: &GradStore) -> Result<(), Failure> {
    for (name, var) in named {
        let Some(grad) = grads.get(var) else {
            let why = format!("{name} has no gradient: the loss does not reach it");
            return Err(Failure::bug(why));
        };
        let sum = grad.abs().and_then(|g| g.sum_all()?.to_scalar::<f32>());
        let sum = sum.or_bug("checking gradients")?;
        if !sum.is_finite() {
            let why = format!("the gradient of {name} is not finite in the first step");
            return Err(Failure::bug(why));
        }
    }
    Ok(())
}

/// Batches from (seed, epoch): an epoch takes each example once.
struct Batches {
    plan: Plan,
    seed: u64,
    epoch: Option<(u64, Vec<usize>)>,
}

impl Batches {
    fn new(plan: Plan, seed: u64) -> Self {
        Self {
            plan,
            seed,
            epoch: None,
        }
    }

    fn at(&mut self, step: u64) -> Tensors<Batch> {
        let Plan {
            batch, examples, ..
        } = self.plan;
        if batch >= examples {
            return Ok(Batch::All);
        }
        let per_epoch = examples.div_ceil(batch) as u64;
        let (epoch, within) = (step / per_epoch, step % per_epoch);
        let order = match self.epoch.take() {
            Some((current, order)) if current == epoch => order,
            _ => stream(self.seed, "batches", epoch).permutation(examples),
        };
        let start = usize::try_from(within)
            .unwrap_or(usize::MAX)
            .saturating_mul(batch);
        let chosen = order.iter().skip(start).take(batch);
        let indices: Vec<u32> = chosen.filter_map(|i| u32::try_from(*i).ok()).collect();
        self.epoch = Some((epoch, order));
        let count = indices.len();
        Ok(Batch::Some(Tensor::from_vec(indices, count, &Device::Cpu)?))
    }
}

/// What a checkpoint holds.
fn state(named: &Named, adam: &Adam) -> Result<BTreeMap<String, Array>, Failure> {
    let mut arrays = BTreeMap::new();
    let values = params::export(named).or_bug("copying parameters")?;
    for (name, values) in values {
        arrays.insert(format!("p.{name}"), Array::f32(&values.shape, values.data));
    }
    for ((name, var), moments) in named.iter().zip(&adam.moments) {
        for (which, data) in [("m", &moments.m), ("v", &moments.v)] {
            let array = Array::f32(var.dims(), data.clone());
            arrays.insert(format!("{which}.{name}"), array);
        }
    }
    Ok(arrays)
}

/// Puts a checkpoint back, once all of it is known to be right; returns its
/// step.
fn restore(mut saved: Saved, steps: u64, named: &Named, adam: &mut Adam) -> Result<u64, Failure> {
    if saved.step > steps {
        let why = format!("it is of step {}, and the last is {steps}", saved.step);
        return Err(saved.arrays.wrong(why).into());
    }
    let of = |which: &str| {
        let shape = |(name, var): &(String, candle_core::Var)| {
            (format!("{which}.{name}"), var.dims().to_vec())
        };
        named.iter().map(shape).collect::<BTreeMap<_, _>>()
    };
    let mut all = saved.arrays.parameters(&of("p"))?;
    all.extend(saved.arrays.parameters(&of("m"))?);
    all.extend(saved.arrays.parameters(&of("v"))?);
    saved.arrays.finish()?;
    let mut take = |which: &str, name: &str| {
        let values = all.remove(&format!("{which}.{name}"));
        values.map(|v| v.data).unwrap_or_default()
    };
    for ((name, var), moments) in named.iter().zip(&mut adam.moments) {
        let doing = "restoring parameters";
        let values = Tensor::from_vec(take("p", name), var.dims(), &Device::Cpu).or_bug(doing)?;
        var.set(&values).or_bug(doing)?;
        moments.m = take("m", name);
        moments.v = take("v", name);
    }
    Ok(saved.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(batch: usize, examples: usize) -> Plan {
        Plan {
            steps: 1,
            batch,
            examples,
            learning_rate: 0.1,
            schedule: Schedule::Constant,
            log_every: 1,
        }
    }

    fn indices(batches: &mut Batches, step: u64) -> Vec<u32> {
        match batches.at(step).unwrap() {
            Batch::All => panic!("a part"),
            Batch::Some(indices) => indices.to_vec1().unwrap(),
        }
    }

    #[test]
    fn an_epoch_takes_each_example_once_from_any_step() {
        let mut batches = Batches::new(plan(4, 10), 3);
        let steps: Vec<_> = (0..6).map(|s| indices(&mut batches, s)).collect();
        let mut epoch = steps[..3].concat();
        epoch.sort_unstable();
        assert_eq!(epoch, (0..10).collect::<Vec<_>>());
        assert_ne!(steps[..3], steps[3..], "epochs have orders of their own");
        let mut resumed = Batches::new(plan(4, 10), 3);
        assert_eq!(indices(&mut resumed, 4), steps[4]);
    }

    #[test]
    fn a_large_batch_takes_all() {
        let mut batches = Batches::new(plan(10, 10), 3);
        assert!(matches!(batches.at(7).unwrap(), Batch::All));
    }
}
