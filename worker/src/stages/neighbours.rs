//! `neighbours`: the nearest images of a shard of the samples.

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;
use ablate_proto::stage::Nearness;
use ablate_proto::stage::shard::part_of;

use super::spec;
use crate::data::image_file::ImageFile;
use crate::data::pictures::Pictures as _;
use crate::metrics::Neighbours;
use crate::models::autoencoder::CHUNK;
use crate::runner::context::Context;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Neighbours);
    let compared = super::evaluate::compared(context)?;
    let train = &compared.train;
    let images = ImageFile::samples(context.input("samples")?)?;
    super::evaluate::check_size("samples", &images, train)?;
    let part = part_of(images.n(), spec.of).nth(spec.shard);
    let images = images.read(part.unwrap_or_default())?;
    let expected = 1 + (train.n() / CHUNK + 1) as u64;
    let found = context.beating(expected, |_| {
        let by_ssim = spec.nearest == Nearness::Ssim;
        Neighbours::find(&images, train, compared.held_out(), by_ssim)
    })?;
    found.write(context.out(), images.size())?;
    context.progress(expected, expected, Vec::new())?;
    Ok(Vec::new())
}
