//! Drawing token grids, site by site in raster order (science.md §1,
//! Sampling). Each image has a random stream of its own, by its index, so
//! that shards do not depend on who draws them.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use ablate_proto::failure::Failure;
use ablate_proto::stage::{Prior, Unseen};

use super::book::Book;
use super::chain::{self, Asked, Chains};
use super::net::{self, Question};
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
    /// `[n, sites]`.
    pub(crate) tokens: Vec<u32>,
    /// Contexts met that no training image has.
    pub(crate) unseen: u64,
}

/// What tokens are drawn by.
enum Weights<'a> {
    Counts(&'a Entry),
    /// Over the codebook, or over all there are with bits.
    Uniform,
    /// By its place among the questions.
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

    /// Draws the images of these indices of a run's seed.
    ///
    /// # Errors
    /// None is expected.
    pub(crate) fn draw(&self, seed: u64, images: Range<u64>) -> Result<Drawn, Failure> {
        let (arch, sites) = (&self.prior.arch, self.windows.sites());
        let streams = images.map(|i| stream(seed, "sample", i));
        let mut streams: Vec<Stream> = streams.collect();
        let n = streams.len();
        let mut ids = vec![PAD; n * sites];
        let mut book = Book::of(arch);
        let mut unseen = 0;
        for site in 0..sites {
            let contexts = self.contexts(&ids, site);
            let mut asked = Vec::new();
            let (weights, new) = self.weights(site, &contexts, &mut asked)?;
            unseen += new;
            let drawn = if arch.bit_chain {
                self.by_bits(&weights, &asked, &book, &mut streams)?
            } else {
                let answers = self.ask(&asked, &book)?;
                let draws = weights.iter().zip(&mut streams);
                draws
                    .map(|(weights, rng)| self.choose(weights, &answers, rng))
                    .collect()
            };
            for (token, grid) in drawn.into_iter().zip(ids.chunks_exact_mut(sites)) {
                grid[site] = book.id(token);
            }
        }
        let tokens = ids.iter().map(|id| book.token(*id)).collect();
        Ok(Drawn { tokens, unseen })
    }

    /// What `site` sees of each grid.
    fn contexts(&self, ids: &[i32], site: usize) -> Vec<Vec<i32>> {
        let grids = ids.chunks_exact(self.windows.sites());
        let contexts = grids.map(|grid| self.windows.context(grid, site));
        contexts.collect()
    }

    /// What tokens come by after these contexts of one site: some of what the
    /// network is then to be `asked`. Counts those that are unseen.
    fn weights<'c>(
        &self,
        site: usize,
        contexts: &'c [Vec<i32>],
        asked: &mut Vec<Question<'c>>,
    ) -> Result<(Vec<Weights<'_>>, u64), Failure> {
        let arch = &self.prior.arch;
        let mut unseen = 0;
        let mut weights = Vec::with_capacity(contexts.len());
        for context in contexts {
            let seen = self.prior.table.get(site, context);
            unseen += u64::from(seen.is_none());
            weights.push(match (seen, arch.prior, arch.unseen) {
                (Some(entry), Prior::Table, _) => Weights::Counts(entry),
                (Some(_), Prior::Net, _) | (None, Prior::Net, Unseen::Net) => {
                    asked.push(Question {
                        site,
                        context,
                        bit: None,
                    });
                    Weights::Net(asked.len() - 1)
                }
                (None, _, Unseen::Uniform) => Weights::Uniform,
                (None, Prior::Net, Unseen::Backoff)
                | (None, Prior::Table, Unseen::Net | Unseen::Backoff) => {
                    self.backed_off(site, context)?
                }
            });
        }
        Ok((weights, unseen))
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

    /// Logits of the network.
    fn ask(&self, asked: &[Question<'_>], book: &Book<'_>) -> Result<Vec<Vec<f32>>, Failure> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let doing = "asking the network";
        let asked = asked.iter().copied();
        let features = net::features(&self.prior.arch, book, asked).or_bug(doing)?;
        let logits = net::logits(&self.prior.layers, &features).or_bug(doing)?;
        logits.to_vec2().or_bug(doing)
    }

    fn sharpened(&self, count: f64) -> f64 {
        (count.ln() / self.temperature).exp()
    }

    /// A token of the codebook.
    fn choose(&self, weights: &Weights<'_>, answers: &[Vec<f32>], rng: &mut Stream) -> u32 {
        let book = &self.prior.arch.codebook;
        let ids = 0..u32::try_from(book.len()).unwrap_or(u32::MAX);
        let weights: Cow<'_, [(u32, f64)]> = match weights {
            Weights::Counts(entry) => {
                let counts = entry.counts.iter();
                counts
                    .map(|(id, c)| (*id, self.sharpened(f64::from(*c))))
                    .collect()
            }
            Weights::Uniform => ids.map(|id| (id, 1.0)).collect(),
            Weights::Net(row) => draw::sharpened(&answers[*row], self.temperature).into(),
        };
        book[draw::pick(&weights, rng.unit()) as usize]
    }

    /// A token for each image, one bit at a time: with a temperature, each bit
    /// has it.
    fn by_bits(
        &self,
        weights: &[Weights<'_>],
        asked: &[Question<'_>],
        book: &Book<'_>,
        streams: &mut [Stream],
    ) -> Result<Vec<u32>, Failure> {
        let Arch { bits, codebook, .. } = &self.prior.arch;
        let chain = |weights: &Weights<'_>| match weights {
            Weights::Counts(entry) => Some(Chains::of_entry(entry, codebook, *bits)),
            Weights::Uniform | Weights::Net(_) => None,
        };
        let chains: Vec<Option<Chains>> = weights.iter().map(chain).collect();
        let mut tokens = vec![0; weights.len()];
        for bit in (0..*bits).rev() {
            let drawn = weights.iter().zip(&tokens);
            let questions = drawn.filter_map(|(weights, token)| match weights {
                Weights::Net(row) => {
                    let bit = Some(Asked { token: *token, bit });
                    Some(Question { bit, ..asked[*row] })
                }
                Weights::Counts(_) | Weights::Uniform => None,
            });
            let answers = self.ask(&questions.collect::<Vec<_>>(), book)?;
            for (image, token) in tokens.iter_mut().enumerate() {
                let asked = Asked { token: *token, bit };
                let pair = match (&weights[image], &chains[image]) {
                    (Weights::Net(row), _) => {
                        let both = draw::sharpened(&answers[*row], self.temperature);
                        [both[0].1, both[1].1]
                    }
                    (Weights::Counts(_), Some(chain)) => {
                        let counts = chain.counts(0, asked);
                        counts.map(|count| self.sharpened(count as f64))
                    }
                    (Weights::Counts(_) | Weights::Uniform, _) => [1.0; 2],
                };
                *token |= chain::one(pair, streams[image].unit()) << bit;
            }
        }
        Ok(tokens)
    }
}

mod likelihood;
#[cfg(test)]
mod tests;
