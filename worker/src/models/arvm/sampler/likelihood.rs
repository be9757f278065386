//! How likely given tokens are drawn, each after those before it.

use ablate_proto::failure::Failure;

use super::{Asked, Book, Question, Sampler, Weights};
use crate::data::tokens::Tokens;
use crate::models::autoencoder::CHUNK;
use crate::models::draw;
use crate::runner::pulse;

impl Sampler<'_> {
    /// ln p of each token, `[n, sites]`; −∞ where it is never drawn. At
    /// temperature 1.
    ///
    /// # Errors
    /// None is expected.
    pub(crate) fn log_probabilities(&self, tokens: &Tokens) -> Result<Vec<f64>, Failure> {
        let sites = self.windows.sites();
        let mut all = Vec::with_capacity(tokens.data.len());
        for grids in tokens.data.chunks(CHUNK * sites) {
            let mut book = Book::of(&self.prior.arch);
            let ids: Vec<i32> = grids.iter().map(|token| book.id(*token)).collect();
            let mut logs = vec![0.0; grids.len()];
            for site in 0..sites {
                let contexts = self.contexts(&ids, site);
                let mut asked = Vec::new();
                let (weights, _) = self.weights(site, &contexts, &mut asked)?;
                let own: Vec<u32> = grids.iter().skip(site).step_by(sites).copied().collect();
                let of_net = if self.prior.arch.bit_chain {
                    self.chained(&weights, &own, &asked, &book)?
                } else {
                    self.chosen(&weights, &own, &asked, &book)?
                };
                let places = logs.iter_mut().skip(site).step_by(sites);
                for (log, ((weights, token), of_net)) in
                    places.zip(weights.iter().zip(own).zip(of_net))
                {
                    *log = match weights {
                        Weights::Net(_) => of_net,
                        other => self.counted(other, token),
                    };
                }
            }
            all.extend(logs);
            pulse::beat();
        }
        Ok(all)
    }

    /// Of what is not the network's. By the chain rule, q is the same with
    /// bits.
    fn counted(&self, weights: &Weights<'_>, token: u32) -> f64 {
        let arch = &self.prior.arch;
        let id = arch.codebook.binary_search(&token).ok();
        match weights {
            Weights::Counts(entry) => {
                let id = id.and_then(|id| u32::try_from(id).ok());
                let count = id.and_then(|id| entry.counts.get(&id));
                let count = count.map_or(0.0, |count| f64::from(*count));
                (count / entry.total() as f64).ln()
            }
            Weights::Uniform if arch.bit_chain => -(arch.bits as f64) * std::f64::consts::LN_2,
            Weights::Uniform | Weights::Net(_) if id.is_none() => f64::NEG_INFINITY,
            Weights::Uniform | Weights::Net(_) => -(arch.codebook.len() as f64).ln(),
        }
    }

    /// Of the network's histograms.
    fn chosen(
        &self,
        weights: &[Weights<'_>],
        tokens: &[u32],
        asked: &[Question<'_>],
        book: &Book<'_>,
    ) -> Result<Vec<f64>, Failure> {
        let answers = self.ask(asked, book)?;
        let codebook = &self.prior.arch.codebook;
        let log = |(weights, token): (&Weights<'_>, &u32)| match weights {
            Weights::Net(row) => match codebook.binary_search(token) {
                Ok(id) => draw::log_softmax(&answers[*row], id),
                Err(_) => f64::NEG_INFINITY,
            },
            Weights::Counts(_) | Weights::Uniform => 0.0,
        };
        Ok(weights.iter().zip(tokens).map(log).collect())
    }

    /// Of the network's bits.
    fn chained(
        &self,
        weights: &[Weights<'_>],
        tokens: &[u32],
        asked: &[Question<'_>],
        book: &Book<'_>,
    ) -> Result<Vec<f64>, Failure> {
        let mut logs = vec![0.0; tokens.len()];
        for bit in (0..self.prior.arch.bits).rev() {
            let all = weights.iter().zip(tokens);
            let questions = all.filter_map(|(weights, token)| match weights {
                Weights::Net(row) => {
                    let bit = Some(Asked { token: *token, bit });
                    Some(Question { bit, ..asked[*row] })
                }
                Weights::Counts(_) | Weights::Uniform => None,
            });
            let answers = self.ask(&questions.collect::<Vec<_>>(), book)?;
            for (log, (weights, token)) in logs.iter_mut().zip(weights.iter().zip(tokens)) {
                if let Weights::Net(row) = weights {
                    *log += draw::log_softmax(&answers[*row], (token >> bit & 1) as usize);
                }
            }
        }
        Ok(logs)
    }
}
