//! `resample`: images of the dataset in the place of samples.

use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;
use ablate_proto::stage::Part;

use super::spec;
use crate::data::dataset;
use crate::data::samples::Samples;
use crate::runner::context::Context;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Resample);
    let dataset = dataset::read(context.input("data")?)?;
    let (part, images) = match spec.from {
        Part::Train => ("training", Some(dataset.train)),
        Part::HeldOut => ("held-out", dataset.held_out),
    };
    let found = images.as_ref().map_or(0, |images| images.n);
    let images = images.filter(|images| images.n >= spec.count);
    let Some(images) = images else {
        let count = spec.count;
        let why = format!(
            "`count` is {count}, but the dataset has {found} {part} images: ask for fewer, or \
             give the dataset more"
        );
        return Err(Failure::config(why));
    };
    let (images, tokens) = (images.first(spec.count), None);
    Samples { images, tokens }.write(context.out())?;
    context.progress(1, 1, Vec::new())?;
    Ok(Vec::new())
}
