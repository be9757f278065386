//! `arvm`: counts the contexts of the training tokens and trains γ-ARVM on
//! them by KL (science.md §1 and F7), on seen contexts only.

use std::cell::OnceCell;
use std::sync::Arc;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use ablate_proto::stage::{ArvmSpec, Prior, Weighting};
use candle_core::{Result as Tensors, Tensor};

use super::spec;
use super::training::{self, Batch, Group, Objective, Plan};
use crate::data::tokens::Tokens;
use crate::models::arvm::table::{Entry, Table};
use crate::models::arvm::{Arch, Arvm, net};
use crate::nn::kl::{self, Target};
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

/// Largest codebook with a histogram head.
const CODEBOOK_MAX: usize = 65_536;

/// Contexts measured at a time.
const CHUNK: usize = 2048;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Arvm);
    let tokens = Tokens::read(context.input("codes")?)?;
    let arch = arch(&spec, &tokens)?;
    let ids = ids(&tokens, &arch.codebook);
    let grids = ids.chunks_exact(tokens.sites());
    let table = Table::count(arch.tie, &arch.windows(), grids)?;
    let prior = Arvm::fresh(arch, table, context.seed())?;
    let objective = Likelihood::new(&prior, spec.weighting);
    if prior.arch.prior == Prior::Net {
        let plan = Plan {
            steps: spec.steps,
            batch: spec.batch,
            examples: prior.table.len(),
            learning_rate: spec.learning_rate,
            schedule: spec.schedule,
            log_every: spec.log_every,
            full_batches: false,
            average: None,
        };
        training::train(context, plan, &objective)?;
    } else {
        context.progress(1, 1, Vec::new())?;
    }
    prior.write(context.out())?;
    let count = |name, n: usize| MetricRow::scalar(name, "", Direction::Neutral, n as f64);
    let parameters = prior.named.iter().map(|(_, var)| var.elem_count()).sum();
    let mut rows = objective.curves()?;
    rows.push(count("contexts", prior.table.len()));
    rows.push(count("codebook", prior.arch.codebook.len()));
    rows.push(count("parameters", parameters));
    Ok(rows)
}

fn arch(spec: &ArvmSpec, tokens: &Tokens) -> Result<Arch, Failure> {
    let codebook = tokens.codebook();
    if codebook.len() > CODEBOOK_MAX {
        let k = codebook.len();
        let why = format!(
            "the training images use {k} tokens, but a histogram has at most {CODEBOOK_MAX}: \
             train an autoencoder with fewer `latent_channels`"
        );
        return Err(Failure::config(why));
    }
    Ok(Arch {
        side: tokens.side,
        bits: tokens.bits,
        gamma: spec.gamma,
        window: spec.window,
        tie: spec.tie,
        prior: spec.prior,
        unseen: spec.unseen,
        hidden: spec.hidden.clone(),
        codebook,
    })
}

/// Dense ids of tokens: their places in the codebook.
fn ids(tokens: &Tokens, codebook: &[u32]) -> Vec<i32> {
    let place = |token: &u32| codebook.binary_search(token).unwrap_or_default();
    let ids = tokens.data.iter().map(place);
    ids.map(|id| i32::try_from(id).unwrap_or(i32::MAX))
        .collect()
}

/// KL(q‖p) over the contexts of the table, in its order.
struct Likelihood<'a> {
    prior: &'a Arvm,
    group: [Group; 1],
    entries: Vec<&'a Entry>,
    /// q and w of each context.
    targets: Vec<Target>,
    /// Features and targets of all contexts, when a step takes them all.
    all: OnceCell<(Tensor, Arc<[Target]>)>,
}

impl<'a> Likelihood<'a> {
    fn new(prior: &'a Arvm, weighting: Weighting) -> Self {
        let entries: Vec<&Entry> = prior.table.entries().collect();
        let total = prior.table.total() as f64;
        let target = |entry: &&Entry| {
            let count = entry.total() as f64;
            let q = entry.counts.iter();
            Target {
                weight: match weighting {
                    Weighting::Count => count / total,
                    Weighting::Uniform => 1.0 / entries.len() as f64,
                },
                q: q.map(|(id, c)| (*id as usize, f64::from(*c) / count))
                    .collect(),
            }
        };
        Self {
            targets: entries.iter().map(target).collect(),
            group: [Group::all(prior.named.clone())],
            prior,
            entries,
            all: OnceCell::new(),
        }
    }

    fn features(&self, chosen: impl ExactSizeIterator<Item = usize>) -> Tensors<Tensor> {
        let contexts = chosen.map(|i| {
            let entry = self.entries[i];
            (entry.site as usize, entry.context.as_slice())
        });
        net::features(&self.prior.arch, contexts)
    }

    fn divergence(&self, features: &Tensor, targets: Arc<[Target]>) -> Tensors<Tensor> {
        kl::divergence(&net::logits(&self.prior.layers, features)?, targets)
    }

    /// KL over all contexts.
    fn total(&self) -> Tensors<f64> {
        let mut total = 0.0;
        for start in (0..self.entries.len()).step_by(CHUNK) {
            let end = (start + CHUNK).min(self.entries.len());
            let features = self.features(start..end)?;
            let part = self.divergence(&features, self.targets[start..end].into())?;
            total += f64::from(part.to_scalar::<f32>()?);
        }
        Ok(total)
    }
}

impl Objective for Likelihood<'_> {
    fn groups(&self) -> &[Group] {
        &self.group
    }

    fn loss(&self, _: usize, _: u64, batch: &Batch) -> Tensors<Tensor> {
        let (features, targets) = match batch {
            Batch::All => match self.all.get() {
                Some(all) => all.clone(),
                None => {
                    let features = self.features(0..self.entries.len())?;
                    let all = (features, self.targets.as_slice().into());
                    self.all.get_or_init(|| all).clone()
                }
            },
            Batch::Some(indices) => {
                let indices: Vec<u32> = indices.to_vec1()?;
                // An unbiased estimate of the sum over all contexts.
                let scale = self.entries.len() as f64 / indices.len() as f64;
                let target = |i: &u32| {
                    let target = &self.targets[*i as usize];
                    Target {
                        weight: scale * target.weight,
                        q: target.q.clone(),
                    }
                };
                let targets = indices.iter().map(target).collect();
                (self.features(indices.iter().map(|i| *i as usize))?, targets)
            }
        };
        self.divergence(&features, targets)
    }

    fn curves(&self) -> Result<Vec<MetricRow>, Failure> {
        let (name, n) = ("kl", self.entries.len());
        if self.prior.arch.prior == Prior::Table {
            let why = "the table itself is the prior: nothing is trained";
            return Ok(vec![MetricRow::skipped(name, why)]);
        }
        let kl = self.total().or_bug("measuring the divergence")?;
        Ok(vec![
            MetricRow::scalar(name, "nats", Direction::Down, kl).over(n),
        ])
    }
}
