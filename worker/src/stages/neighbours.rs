//! `neighbours`: the nearest images of a shard of the samples.

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;
use ablate_proto::stage::Nearness;
use ablate_proto::stage::shard::part_of;

use super::spec;
use crate::data::samples::Samples;
use crate::metrics::Neighbours;
use crate::models::autoencoder::CHUNK;
use crate::runner::context::Context;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Neighbours);
    let dataset = super::evaluate::compared(context)?;
    let images = Samples::read(context.input("samples")?)?.images;
    let part = part_of(images.n, spec.of).nth(spec.shard);
    let images = images.range(part.unwrap_or_default());
    super::evaluate::check_size("samples", &images, &dataset.train)?;
    let expected = 1 + (dataset.train.n / CHUNK + 1) as u64;
    let found = context.beating(expected, |_| {
        let by_ssim = spec.nearest == Nearness::Ssim;
        Neighbours::find(&images, &dataset.train, dataset.held_out.as_ref(), by_ssim)
    });
    found.write(context.out(), images.size())?;
    context.progress(expected, expected, Vec::new())?;
    Ok(Vec::new())
}
