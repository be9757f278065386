//! `likelihood`: the negative log-likelihood of token grids under a prior, in
//! bits for each of their bits, beside the floor that counts set: 1 is what
//! tossing a coin for each bit has.

use std::collections::BTreeMap;
use std::f64::consts::LN_2;
use std::path::Path;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;

use super::spec;
use crate::data::tokens::Tokens;
use crate::models::arvm::Arvm;
use crate::models::arvm::sampler::Sampler;
use crate::models::autoencoder::CHUNK;
use crate::models::family;
use crate::models::file::{Family as _, Model};
use crate::models::pixelcnn::PixelCnn;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

const UNIT: &str = "bits a bit";

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let _ = spec!(context, Likelihood);
    let prior = AnyPrior::read(context.input("prior")?)?;
    let train = Tokens::read(context.input("codes")?)?;
    prior.check("codes", &train)?;
    let held_out = context.optional_input("held_out");
    let held_out = held_out.map(Tokens::read).transpose()?;
    if let Some(held_out) = &held_out {
        prior.check("held_out", held_out)?;
    }
    let grids = train.n + held_out.as_ref().map_or(0, |tokens| tokens.n);
    let expected = 2 + (grids / CHUNK) as u64;
    let rows = context.beating(expected, |_| rows(&prior, &train, held_out.as_ref()))?;
    context.progress(expected, expected, Vec::new())?;
    Ok(rows)
}

enum AnyPrior {
    Arvm(Arvm),
    PixelCnn(Model<PixelCnn>),
}

impl AnyPrior {
    fn read(folder: &Path) -> Result<Self, Failure> {
        Ok(match family::name(folder)? == PixelCnn::NAME {
            true => Self::PixelCnn(Model::read(folder)?),
            false => Self::Arvm(Arvm::read(folder)?),
        })
    }

    fn check(&self, role: &str, tokens: &Tokens) -> Result<(), Failure> {
        let own = match self {
            Self::Arvm(prior) => (prior.arch.side, prior.arch.bits),
            Self::PixelCnn(model) => (model.arch.side, model.arch.bits),
        };
        let given = (tokens.side, tokens.bits);
        if given == own {
            return Ok(());
        }
        let why = format!(
            "input `{role}` has grids of side {} with {} bits, but the prior is of side {} with {}",
            given.0, given.1, own.0, own.1
        );
        Err(Failure::config(why))
    }

    fn log_probabilities(&self, tokens: &Tokens) -> Result<Vec<f64>, Failure> {
        match self {
            Self::Arvm(prior) => Sampler::new(prior, 1.0).log_probabilities(tokens),
            Self::PixelCnn(model) => {
                let logs = model.net.log_probabilities(tokens);
                logs.or_bug("asking a PixelCNN")
            }
        }
    }

    /// The least that a prior which sees as much can have on the training
    /// tokens, in nats a token.
    fn floor(&self, train: &Tokens) -> f64 {
        match self {
            Self::Arvm(prior) => prior.table.entropy(),
            // It sees everything before a site.
            Self::PixelCnn(_) => {
                let mut counts: BTreeMap<&[u32], f64> = BTreeMap::new();
                for grid in train.grids() {
                    *counts.entry(grid).or_default() += 1.0;
                }
                let n = train.n as f64;
                let entropy: f64 = counts.values().map(|c| c / n * (n / c).ln()).sum();
                entropy / train.sites() as f64
            }
        }
    }
}

/// Means over tokens.
struct Measured {
    /// Of all of them, in bits a bit; infinite if one is impossible.
    all: f64,
    /// Of those that are possible, and how many there are.
    possible: f64,
    count: usize,
}

fn measured(prior: &AnyPrior, tokens: &Tokens) -> Result<Measured, Failure> {
    let logs = prior.log_probabilities(tokens)?;
    let possible: Vec<f64> = logs.iter().copied().filter(|log| log.is_finite()).collect();
    let mean = |logs: &[f64]| -logs.iter().sum::<f64>() / logs.len() as f64;
    let bits = tokens.bits as f64 * LN_2;
    Ok(Measured {
        all: mean(&logs) / bits,
        possible: mean(&possible) / bits,
        count: possible.len(),
    })
}

fn rows(
    prior: &AnyPrior,
    train: &Tokens,
    held_out: Option<&Tokens>,
) -> Result<Vec<MetricRow>, Failure> {
    let row = |name, direction, value, n| MetricRow::scalar(name, UNIT, direction, value).over(n);
    let own = measured(prior, train)?;
    let floor = prior.floor(train) / (train.bits as f64 * LN_2);
    let n = train.data.len();
    let mut rows = vec![
        row("nll_train", Direction::Down, own.all, n),
        row("nll_floor", Direction::Neutral, floor, n),
    ];
    let Some(held_out) = held_out else {
        let why = "no codes of held-out images were given";
        let names = ["nll_held_out", "nll_held_out_possible", "nll_gap"];
        rows.extend(names.map(|name| MetricRow::skipped(name, why)));
        return Ok(rows);
    };
    let other = measured(prior, held_out)?;
    let n = held_out.data.len();
    let mut all = row("nll_held_out", Direction::Down, other.all, n);
    if other.count < n {
        let impossible = n - other.count;
        all.note = Some(format!(
            "infinite: {impossible} of {n} tokens are never drawn by this prior"
        ));
    }
    let impossible = (n - other.count) as f64 / n as f64;
    rows.extend([
        all,
        row(
            "nll_held_out_possible",
            Direction::Down,
            other.possible,
            other.count,
        ),
        row(
            "nll_gap",
            Direction::Neutral,
            other.possible - own.all,
            other.count,
        ),
        MetricRow::scalar("impossible_token_rate", "", Direction::Down, impossible).over(n),
    ]);
    Ok(rows)
}
