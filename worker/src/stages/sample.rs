//! `sample`: draws token grids from a prior and decodes them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use ablate_proto::stage::SampleSpec;

use super::spec;
use crate::data::samples::Samples;
use crate::data::tokens::Tokens;
use crate::models::arvm::Arvm;
use crate::models::arvm::sampler::Sampler;
use crate::models::autoencoder::{Autoencoder, CHUNK};
use crate::models::family;
use crate::models::file::{Family as _, Model};
use crate::models::pixelcnn::PixelCnn;
use crate::nn::rng::stream;
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Sample);
    let folder = context.input("prior")?.to_owned();
    let decoder = Autoencoder::read(context.input("decoder")?)?;
    let (tokens, mut rows) = if family::name(&folder)? == PixelCnn::NAME {
        (of_pixelcnn(context, &spec, &folder, &decoder)?, Vec::new())
    } else {
        of_arvm(context, &spec, &folder, &decoder)?
    };
    let images = decoder
        .images(&tokens.unpack())
        .or_bug("decoding samples")?;
    rows.push(distinct(&tokens));
    let tokens = Some(tokens);
    Samples { images, tokens }.write(context.out())?;
    let total = spec.count as u64;
    context.progress(total, total, Vec::new())?;
    Ok(rows)
}

pub(super) fn distinct(tokens: &Tokens) -> MetricRow {
    let distinct = tokens.grids().collect::<BTreeSet<_>>().len() as f64;
    MetricRow::scalar("distinct_grids", "", Direction::Neutral, distinct).over(tokens.n)
}

/// Of contexts, the share that no training image has.
pub(super) fn unseen(unseen: u64, contexts: usize) -> MetricRow {
    let rate = unseen as f64 / contexts as f64;
    MetricRow::scalar("unseen_context_rate", "", Direction::Neutral, rate).over(contexts)
}

/// Calls `draw` with the indices of each chunk of images. Chunks start at
/// fixed indices: products of matrices may differ in their last bits with the
/// number of rows.
fn in_chunks(
    context: &mut Context,
    spec: &SampleSpec,
    mut draw: impl FnMut(&Context, Range<u64>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (first, count) = (spec.first as u64, spec.count as u64);
    for done in (0..count).step_by(CHUNK) {
        context.check_stop(done)?;
        let end = count.min(done + CHUNK as u64);
        draw(context, first + done..first + end)?;
        context.progress(done, count, Vec::new())?;
    }
    Ok(())
}

fn check(decoder: &Autoencoder, side: usize, bits: usize) -> Result<(), Failure> {
    let latent = (decoder.arch.latent_side(), decoder.arch.latent_channels);
    if (side, bits) == latent {
        return Ok(());
    }
    let why = format!(
        "the prior draws grids of side {side} with {bits} bits, but the decoder takes side {} \
         with {}",
        latent.0, latent.1
    );
    Err(Failure::config(why))
}

fn of_arvm(
    context: &mut Context,
    spec: &SampleSpec,
    folder: &Path,
    decoder: &Autoencoder,
) -> Result<(Tokens, Vec<MetricRow>), Failure> {
    let prior = Arvm::read(folder)?;
    let arch = &prior.arch;
    check(decoder, arch.side, arch.bits)?;
    let sampler = Sampler::new(&prior, spec.temperature);
    let (mut data, mut unseen) = (Vec::new(), 0);
    in_chunks(context, spec, |context, images| {
        let drawn = sampler.draw(context.seed(), images)?;
        data.extend(drawn.tokens);
        unseen += drawn.unseen;
        Ok(())
    })?;
    let unseen = self::unseen(unseen, data.len());
    let tokens = Tokens {
        n: spec.count,
        side: arch.side,
        bits: arch.bits,
        data,
    };
    Ok((tokens, vec![unseen]))
}

fn of_pixelcnn(
    context: &mut Context,
    spec: &SampleSpec,
    folder: &Path,
    decoder: &Autoencoder,
) -> Result<Tokens, Failure> {
    let Model { arch, net, .. } = Model::<PixelCnn>::read(folder)?;
    check(decoder, arch.side, arch.bits)?;
    let mut data = Vec::new();
    in_chunks(context, spec, |context, images| {
        let of = |i| stream(context.seed(), "sample", i);
        let mut streams: Vec<_> = images.map(of).collect();
        let drawn = net.draw(arch, spec.temperature, &mut streams);
        data.extend(drawn.or_bug("drawing from a PixelCNN")?);
        Ok(())
    })?;
    Ok(Tokens {
        n: spec.count,
        side: arch.side,
        bits: arch.bits,
        data,
    })
}
