//! `sample`: draws token grids from a prior and decodes them.

use std::collections::BTreeSet;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;

use super::spec;
use crate::data::samples::Samples;
use crate::data::tokens::Tokens;
use crate::models::arvm::Arvm;
use crate::models::arvm::sampler::{self, Sampler};
use crate::models::autoencoder::{Autoencoder, CHUNK};
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Sample);
    let prior = Arvm::read(context.input("prior")?)?;
    let decoder = Autoencoder::read(context.input("decoder")?)?;
    let (arch, latent) = (&prior.arch, &decoder.arch);
    if (arch.side, arch.bits) != (latent.latent_side(), latent.latent_channels) {
        let why = format!(
            "the prior draws grids of side {} with {} bits, but the decoder takes side {} with {}",
            arch.side,
            arch.bits,
            latent.latent_side(),
            latent.latent_channels
        );
        return Err(Failure::config(why));
    }
    let sampler = Sampler::new(&prior, spec.temperature);
    let total = spec.count as u64;
    let (mut ids, mut unseen) = (Vec::new(), 0);
    // Chunks start at fixed indices: products of matrices may differ in their
    // last bits with the number of rows.
    for first in (0..spec.count).step_by(CHUNK) {
        context.check_stop(first as u64)?;
        let n = CHUNK.min(spec.count - first);
        let drawn = sampler.draw(context.seed(), first as u64, n)?;
        ids.extend(drawn.ids);
        unseen += drawn.unseen;
        context.progress(first as u64, total, Vec::new())?;
    }
    let tokens = Tokens {
        n: spec.count,
        side: arch.side,
        bits: arch.bits,
        data: sampler::tokens(arch, &ids),
    };
    let images = decoder
        .images(&tokens.unpack())
        .or_bug("decoding samples")?;
    let sites = tokens.data.len();
    let distinct = tokens.grids().collect::<BTreeSet<_>>().len();
    Samples { images, tokens }.write(context.out())?;
    context.progress(total, total, Vec::new())?;
    let rate = unseen as f64 / sites as f64;
    Ok(vec![
        MetricRow::scalar("unseen_context_rate", "", Direction::Neutral, rate).over(sites),
        MetricRow::scalar("distinct_grids", "", Direction::Neutral, distinct as f64)
            .over(spec.count),
    ])
}
