//! Drawing token grids, site by site in raster order (science.md §1,
//! Sampling). Each image has a random stream of its own, by its index, so
//! that shards do not depend on who draws them.

use std::borrow::Cow;
use std::cell::OnceCell;

use ablate_proto::failure::Failure;
use ablate_proto::stage::{Prior, Unseen};

use super::net;
use super::table::{Entry, Table};
use super::window::{PAD, Windows};
use super::{Arch, Arvm};
use crate::models::draw;
use crate::nn::rng::{Stream, stream};
use crate::runner::failure::OrFail as _;

pub(crate) struct Sampler<'a> {
    prior: &'a Arvm,
    windows: Windows,
    temperature: f64,
    /// Tables of contexts with fewer slots, made when they are first needed;
    /// by the number of slots kept.
    coarser: Vec<OnceCell<Table>>,
}

/// What was drawn for some images.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawn {
    /// Token ids, `[n, sites]`.
    pub(crate) ids: Vec<i32>,
    /// Contexts met that no training image has.
    pub(crate) unseen: u64,
}

/// Unnormalised probabilities over the codebook.
enum Weights<'a> {
    Counts(&'a Entry),
    Uniform,
    Net(usize),
}

impl<'a> Sampler<'a> {
    pub(crate) fn new(prior: &'a Arvm, temperature: f64) -> Self {
        let windows = prior.arch.windows();
        Self {
            coarser: (0..windows.slots()).map(|_| OnceCell::new()).collect(),
            prior,
            windows,
            temperature,
        }
    }

    /// Draws the images `first..first + n` of a run's seed.
    ///
    /// # Errors
    /// None is expected.
    pub(crate) fn draw(&self, seed: u64, first: u64, n: usize) -> Result<Drawn, Failure> {
        let (arch, sites) = (&self.prior.arch, self.windows.sites());
        let mut streams: Vec<Stream> = (0..n as u64)
            .map(|i| stream(seed, "sample", first + i))
            .collect();
        let mut ids = vec![PAD; n * sites];
        let mut unseen = 0;
        for site in 0..sites {
            let contexts: Vec<Vec<i32>> = ids
                .chunks_exact(sites)
                .map(|grid| self.windows.context(grid, site))
                .collect();
            let mut asked: Vec<&[i32]> = Vec::new();
            let mut weights = Vec::with_capacity(n);
            for context in &contexts {
                let seen = self.prior.table.get(site, context);
                unseen += u64::from(seen.is_none());
                weights.push(match (seen, arch.prior, arch.unseen) {
                    (Some(entry), Prior::Table, _) => Weights::Counts(entry),
                    (Some(_), Prior::Net, _) | (None, Prior::Net, Unseen::Net) => {
                        asked.push(context);
                        Weights::Net(asked.len() - 1)
                    }
                    (None, _, Unseen::Uniform) => Weights::Uniform,
                    (None, Prior::Net, Unseen::Backoff)
                    | (None, Prior::Table, Unseen::Net | Unseen::Backoff) => {
                        self.backed_off(site, context)?
                    }
                });
            }
            let answers = self.ask(site, &asked)?;
            let draws = weights.iter().zip(&mut streams);
            for ((weights, rng), grid) in draws.zip(ids.chunks_exact_mut(sites)) {
                grid[site] = self.choose(weights, &answers, rng);
            }
        }
        Ok(Drawn { ids, unseen })
    }

    /// The counts of the longest shortened context that was seen.
    fn backed_off(&self, site: usize, context: &[i32]) -> Result<Weights<'_>, Failure> {
        for keep in (0..context.len()).rev() {
            let cell = &self.coarser[keep];
            let table = match cell.get() {
                Some(table) => table,
                None => {
                    let table = self.prior.table.truncated(keep)?;
                    cell.get_or_init(|| table)
                }
            };
            if let Some(entry) = table.get(site, &context[..keep]) {
                return Ok(Weights::Counts(entry));
            }
        }
        // Only a site without any training image gets here.
        Ok(Weights::Uniform)
    }

    /// Logits of the network for contexts of one site.
    fn ask(&self, site: usize, contexts: &[&[i32]]) -> Result<Vec<Vec<f32>>, Failure> {
        if contexts.is_empty() {
            return Ok(Vec::new());
        }
        let doing = "asking the network";
        let contexts = contexts.iter().map(|context| (site, *context));
        let features = net::features(&self.prior.arch, contexts).or_bug(doing)?;
        let logits = net::logits(&self.prior.layers, &features).or_bug(doing)?;
        logits.to_vec2().or_bug(doing)
    }

    fn choose(&self, weights: &Weights<'_>, answers: &[Vec<f32>], rng: &mut Stream) -> i32 {
        let ids = 0..u32::try_from(self.prior.arch.codebook.len()).unwrap_or(u32::MAX);
        let sharpen = |log: f64| (log / self.temperature).exp();
        let weights: Cow<'_, [(u32, f64)]> = match weights {
            Weights::Counts(entry) => {
                let counts = entry.counts.iter();
                counts
                    .map(|(id, c)| (*id, sharpen(f64::from(*c).ln())))
                    .collect()
            }
            Weights::Uniform => ids.map(|id| (id, 1.0)).collect(),
            Weights::Net(row) => draw::sharpened(&answers[*row], self.temperature).into(),
        };
        i32::try_from(draw::pick(&weights, rng.unit())).unwrap_or(i32::MAX)
    }
}

/// Tokens of ids.
pub(crate) fn tokens(arch: &Arch, ids: &[i32]) -> Vec<u32> {
    let token = |id: &i32| arch.codebook[id.unsigned_abs() as usize];
    ids.iter().map(token).collect()
}

#[cfg(test)]
mod tests;
