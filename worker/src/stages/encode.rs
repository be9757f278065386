//! `encode`: the tokens of the training images.

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;

use super::spec;
use crate::data::dataset;
use crate::data::tokens::Tokens;
use crate::models::autoencoder::{Autoencoder, CHUNK};
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let _ = spec!(context, Encode);
    let train = dataset::read(context.input("data")?)?.train;
    let model = Autoencoder::read(context.input("encoder")?)?;
    model.arch.check_images(&train)?;
    let bits = model.arch.latent_channels;
    if bits > Tokens::BITS_MAX {
        let most = Tokens::BITS_MAX;
        let why = format!("a latent of {bits} values has no tokens: at most {most} bits have one");
        return Err(Failure::config(why));
    }
    let chunks = (train.n / CHUNK + 1) as u64;
    let latents = context
        .beating(chunks, |_| model.latents(&train))
        .or_bug("encoding the training images")?;
    let tokens = Tokens::pack(&latents);
    tokens.write(context.out())?;
    context.progress(chunks, chunks, Vec::new())?;
    let distinct: std::collections::BTreeSet<&[u32]> = tokens.grids().collect();
    let count = |name, unit, n: usize| MetricRow::scalar(name, unit, Direction::Neutral, n as f64);
    let bits = tokens.bits * tokens.sites();
    Ok(vec![
        count("distinct_codes", "", distinct.len()).over(tokens.n),
        count("codebook", "tokens", tokens.codebook().len()),
        count("bits_per_image", "bits", bits),
    ])
}
