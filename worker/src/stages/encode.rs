//! `encode`: the tokens of training or of held-out images.

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use ablate_proto::stage::Part;

use super::spec;
use crate::data::dataset;
use crate::data::tokens::Tokens;
use crate::models::autoencoder::{Autoencoder, CHUNK};
use crate::runner::context::Context;
use crate::runner::failure::OrFail as _;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Encode);
    let dataset = dataset::read(context.input("data")?)?;
    let images = match spec.from {
        Part::Train => dataset.train,
        Part::HeldOut => dataset.held_out.ok_or_else(|| {
            let why =
                "`from` is held_out, but the dataset keeps no images back: give it `held_out`";
            Failure::config(why)
        })?,
    };
    let model = Autoencoder::read(context.input("encoder")?)?;
    model.arch.check_images(images.shape())?;
    let bits = model.arch.latent_channels;
    if bits > Tokens::BITS_MAX {
        let most = Tokens::BITS_MAX;
        let why = format!("a latent of {bits} values has no tokens: at most {most} bits have one");
        return Err(Failure::config(why));
    }
    let chunks = (images.n / CHUNK + 1) as u64;
    let latents = context
        .beating(chunks, |_| model.latents(&images))
        .or_bug("encoding images")?;
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
