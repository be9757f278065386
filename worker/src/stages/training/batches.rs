//! Batches from (seed, epoch): an epoch takes each example at most once.

use candle_core::{Device, Result as Tensors, Tensor};

use super::Plan;
use crate::nn::rng::stream;

/// Which examples a step is about.
pub(in crate::stages) enum Batch {
    All,
    /// Indices, `[b]` u32.
    Some(Tensor),
}

impl Batch {
    /// How many, of so many examples.
    pub(in crate::stages) fn count(&self, examples: usize) -> usize {
        match self {
            Self::All => examples,
            Self::Some(indices) => indices.elem_count(),
        }
    }

    /// The examples of the batch, of `all` `[examples, …]`.
    pub(in crate::stages) fn of(&self, all: &Tensor) -> Tensors<Tensor> {
        match self {
            Self::All => Ok(all.clone()),
            Self::Some(indices) => all.index_select(indices, 0),
        }
    }
}

pub(super) struct Batches {
    plan: Plan,
    seed: u64,
    epoch: Option<(u64, Vec<usize>)>,
}

impl Batches {
    pub(super) fn new(plan: Plan, seed: u64) -> Self {
        let Plan {
            batch, examples, ..
        } = plan;
        if batch > examples {
            tracing::info!("a batch of {batch} takes all of {examples} examples, at each step");
        }
        Self {
            plan,
            seed,
            epoch: None,
        }
    }

    pub(super) fn at(&mut self, step: u64) -> Tensors<Batch> {
        let Plan {
            batch, examples, ..
        } = self.plan;
        if batch >= examples {
            return Ok(Batch::All);
        }
        let per_epoch = if self.plan.full_batches {
            examples / batch
        } else {
            examples.div_ceil(batch)
        } as u64;
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

#[cfg(test)]
mod tests {
    use ablate_proto::stage::Schedule;

    use super::*;

    fn plan(batch: usize, examples: usize) -> Plan {
        Plan {
            steps: 1,
            batch,
            examples,
            full_batches: false,
            learning_rate: 0.1,
            schedule: Schedule::Constant,
            log_every: 1,
            average: None,
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
    fn an_epoch_of_full_batches_leaves_the_rest_out() {
        let plan = Plan {
            full_batches: true,
            ..plan(4, 10)
        };
        let mut batches = Batches::new(plan, 3);
        let steps: Vec<_> = (0..4).map(|s| indices(&mut batches, s)).collect();
        assert!(steps.iter().all(|step| step.len() == 4));
        assert_ne!(steps[0], steps[2], "the second epoch");
    }

    #[test]
    fn a_large_batch_takes_all() {
        for batch in [10, 11] {
            let mut batches = Batches::new(plan(batch, 10), 3);
            assert!(matches!(batches.at(7).unwrap(), Batch::All));
        }
    }
}
