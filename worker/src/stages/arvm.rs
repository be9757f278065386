//! `arvm`: counts the contexts of the training tokens and trains γ-ARVM on
//! them by KL (science.md §1 and F7), on seen contexts only.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use ablate_proto::stage::{ArvmSpec, Head, Prior, Weighting};
use candle_core::{Result as Tensors, Tensor};

use super::spec;
use super::training::{self, Batch, Group, Objective, Plan};
use crate::data::tokens::Tokens;
use crate::models::arvm::book::Book;
use crate::models::arvm::chain::Chains;
use crate::models::arvm::net::{self, Question};
use crate::models::arvm::table::{self, Entry, Table};
use crate::models::arvm::{Arch, Arvm};
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
    let table = match context.optional_input("counts") {
        None => {
            let ids = arch.ids(&tokens.data);
            let grids = ids.chunks_exact(tokens.sites());
            Table::count(arch.tie, &arch.windows(), grids)?
        }
        Some(folder) => counted(folder, &arch, &tokens)?,
    };
    let prior = Arvm::fresh(arch, table, context.seed())?;
    let objective = Likelihood::new(&prior, spec.weighting);
    if prior.arch.prior == Prior::Net {
        let plan = Plan {
            steps: spec.steps,
            batch: spec.batch,
            examples: objective.examples(),
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
    rows.push(head(&prior.arch));
    Ok(rows)
}

/// What another task counted of these tokens.
fn counted(folder: &Path, arch: &Arch, tokens: &Tokens) -> Result<Table, Failure> {
    let table = Table::read(folder, arch.windows().slots())?;
    let known = table.names_up_to(arch.codebook.len());
    if table.total() != tokens.data.len() as u64 || table.tie() != arch.tie || !known {
        let (file, n) = (table::FILE, tokens.n);
        let folder = folder.display();
        let why = format!("{folder}/{file} does not hold the counts of the tokens of {n} images");
        return Err(Failure::data(why));
    }
    Ok(table)
}

fn arch(spec: &ArvmSpec, tokens: &Tokens) -> Result<Arch, Failure> {
    let codebook = tokens.codebook();
    let k = codebook.len();
    let bit_chain = match spec.head {
        Head::Auto => k > CODEBOOK_MAX,
        Head::Bits => true,
        Head::Codebook if k <= CODEBOOK_MAX => false,
        Head::Codebook => {
            let why = format!(
                "the training images use {k} tokens, but a histogram has at most {CODEBOOK_MAX}: \
                 write head = \"bits\", or train an autoencoder with fewer `latent_channels`"
            );
            return Err(Failure::config(why));
        }
    };
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
        bit_chain,
    })
}

/// Which head ran.
fn head(arch: &Arch) -> MetricRow {
    let value = if arch.bit_chain { 1.0 } else { 0.0 };
    let row = MetricRow::scalar("bit_chain", "", Direction::Neutral, value);
    let note = match arch.bit_chain {
        true => "head: the bits of a token, one at a time",
        false => "head: the codebook",
    };
    MetricRow {
        note: Some(note.to_owned()),
        ..row
    }
}

/// KL(q‖p) over the contexts of the table, in its order.
struct Likelihood<'a> {
    prior: &'a Arvm,
    group: [Group; 1],
    entries: Vec<&'a Entry>,
    /// The weights of the contexts, w of F7.
    weights: Vec<f64>,
    /// Of the bits of tokens, if each is an example.
    chains: Option<Chains>,
    /// Features and targets of all examples, when a step takes them all.
    all: OnceCell<(Tensor, Arc<[Target]>)>,
}

impl<'a> Likelihood<'a> {
    fn new(prior: &'a Arvm, weighting: Weighting) -> Self {
        let entries: Vec<&Entry> = prior.table.entries().collect();
        let total = prior.table.total() as f64;
        let weight = |entry: &&Entry| match weighting {
            Weighting::Count => entry.total() as f64 / total,
            Weighting::Uniform => 1.0 / entries.len() as f64,
        };
        let Arch { codebook, bits, .. } = &prior.arch;
        let chains = || Chains::of_table(&prior.table, codebook, *bits);
        Self {
            weights: entries.iter().map(weight).collect(),
            group: [Group::all(prior.named.clone())],
            chains: prior.arch.bit_chain.then(chains),
            prior,
            entries,
            all: OnceCell::new(),
        }
    }

    /// Contexts, or bits of tokens behind them.
    fn examples(&self) -> usize {
        match &self.chains {
            None => self.entries.len(),
            Some(chains) => chains.len(),
        }
    }

    /// q and w of an example. Those of the bits of a context's tokens add up,
    /// by the chain rule, to that of the context.
    fn target(&self, example: usize) -> Target {
        match &self.chains {
            None => {
                let entry = self.entries[example];
                let count = entry.total() as f64;
                let q = entry.counts.iter();
                Target {
                    weight: self.weights[example],
                    q: q.map(|(id, c)| (*id as usize, f64::from(*c) / count))
                        .collect(),
                }
            }
            Some(chains) => {
                let (context, asked) = chains.asked(example);
                let share = chains.count(example) as f64 / self.entries[context].total() as f64;
                let counts = chains.counts(context, asked);
                let total = (counts[0] + counts[1]) as f64;
                let q = counts.into_iter().enumerate().filter(|(_, c)| *c > 0);
                Target {
                    weight: self.weights[context] * share,
                    q: q.map(|(bit, c)| (bit, c as f64 / total)).collect(),
                }
            }
        }
    }

    fn features(&self, chosen: impl ExactSizeIterator<Item = usize>) -> Tensors<Tensor> {
        let questions = chosen.map(|example| {
            let (context, bit) = match &self.chains {
                None => (example, None),
                Some(chains) => {
                    let (context, asked) = chains.asked(example);
                    (context, Some(asked))
                }
            };
            let entry = self.entries[context];
            Question {
                site: entry.site as usize,
                context: &entry.context,
                bit,
            }
        });
        let arch = &self.prior.arch;
        net::features(arch, &Book::of(arch), questions)
    }

    fn divergence(&self, features: &Tensor, targets: Arc<[Target]>) -> Tensors<Tensor> {
        kl::divergence(&net::logits(&self.prior.layers, features)?, targets)
    }

    /// KL over all contexts.
    fn total(&self) -> Tensors<f64> {
        let mut total = 0.0;
        for start in (0..self.examples()).step_by(CHUNK) {
            let chunk = start..self.examples().min(start + CHUNK);
            let targets = chunk.clone().map(|i| self.target(i)).collect();
            let part = self.divergence(&self.features(chunk)?, targets)?;
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
                    let features = self.features(0..self.examples())?;
                    let targets = (0..self.examples()).map(|i| self.target(i)).collect();
                    let all = (features, targets);
                    self.all.get_or_init(|| all).clone()
                }
            },
            Batch::Some(indices) => {
                let indices: Vec<u32> = indices.to_vec1()?;
                // An unbiased estimate of the sum over all contexts.
                let scale = self.examples() as f64 / indices.len() as f64;
                let target = |i: &u32| {
                    let Target { weight, q } = self.target(*i as usize);
                    Target {
                        weight: scale * weight,
                        q,
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

#[cfg(test)]
mod tests {
    use ablate_proto::stage::{Tie, Unseen, Window};

    use super::*;
    use crate::models::arvm::chain::Asked;
    use crate::models::draw;

    /// By the chain rule, the divergences of all bits add up to that of the
    /// tokens, whose probabilities are the products of those of their bits.
    #[test]
    fn the_divergence_of_bits_is_that_of_their_tokens() {
        let grids: [[i32; 4]; 5] = [
            [0, 1, 2, 3],
            [0, 1, 2, 0],
            [3, 2, 1, 0],
            [0, 3, 2, 3],
            [3, 1, 2, 0],
        ];
        let arch = Arch {
            side: 2,
            bits: 5,
            gamma: 3,
            window: Window::Square,
            tie: Tie::Shared,
            prior: Prior::Net,
            unseen: Unseen::Net,
            hidden: vec![6],
            codebook: vec![1, 8, 9, 30],
            bit_chain: true,
        };
        let grids = grids.iter().map(<[i32; 4]>::as_slice);
        let table = Table::count(arch.tie, &arch.windows(), grids).unwrap();
        let prior = Arvm::fresh(arch, table, 3).unwrap();
        for weighting in [Weighting::Count, Weighting::Uniform] {
            let objective = Likelihood::new(&prior, weighting);
            let mut expected = 0.0;
            for (entry, weight) in objective.entries.iter().zip(&objective.weights) {
                for (id, count) in &entry.counts {
                    let token = prior.arch.codebook[*id as usize];
                    let log_p: f64 = (0..5)
                        .map(|bit| {
                            let question = Question {
                                site: 0,
                                context: &entry.context,
                                bit: Some(Asked { token, bit }),
                            };
                            let book = Book::of(&prior.arch);
                            let asked = [question].into_iter();
                            let features = net::features(&prior.arch, &book, asked).unwrap();
                            let logits = net::logits(&prior.layers, &features).unwrap();
                            let logits: Vec<Vec<f32>> = logits.to_vec2().unwrap();
                            let both = draw::sharpened(&logits[0], 1.0);
                            let chosen = both[(token >> bit & 1) as usize].1;
                            (chosen / (both[0].1 + both[1].1)).ln()
                        })
                        .sum();
                    let q = f64::from(*count) / entry.total() as f64;
                    expected += weight * q * (q.ln() - log_p);
                }
            }
            let found = objective.total().unwrap();
            assert!(expected > 0.1, "{expected}");
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn a_codebook_that_is_too_large_is_refused_where_it_is_asked_for() {
        let tokens = Tokens {
            n: 1,
            side: 257,
            bits: 32,
            data: (0..257 * 257).collect(),
        };
        let of = |head| {
            let spec = ArvmSpec {
                head,
                ..ArvmSpec::default()
            };
            arch(&spec, &tokens).map(|arch| arch.bit_chain)
        };
        assert_eq!(of(Head::Auto), Ok(true));
        let refused = of(Head::Codebook).unwrap_err().cause;
        assert!(refused.contains("head = \"bits\""), "{refused}");
        let small = Tokens {
            side: 2,
            data: vec![1, 2, 3, 4],
            ..tokens
        };
        let spec = ArvmSpec::default();
        assert!(!arch(&spec, &small).unwrap().bit_chain);
    }
}
