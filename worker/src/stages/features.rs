//! `features`: what Inception makes of the images of a dataset or of samples,
//! or of their shards, put together.

use std::path::PathBuf;

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;
use ablate_proto::stage::FeaturesSpec;
use ablate_proto::stage::shard::ranges;

use super::spec;
use crate::data::image_file::ImageFile;
use crate::data::pictures::Pictures as _;
use crate::metrics::{Stored, StoredWriter, View};
use crate::models::inception::{BATCH, FEATURES, Inception, Seen};
use crate::runner::context::Context;

/// The file of Inception's weights, among the inputs of a job: not a parent's.
pub(crate) const INCEPTION: &str = "weights of inception";

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Features);
    let view = View {
        weights: spec.inception_digest.clone(),
        mode: spec.fid_mode,
    };
    if view.weights.is_empty() {
        StoredWriter::nothing(context.out(), &view)?;
        context.progress(1, 1, Vec::new())?;
        return Ok(vec![MetricRow::skipped("features", "no weights")]);
    }
    let shards = context.numbered_inputs("shard").into_iter();
    let shards: Vec<PathBuf> = shards.map(Into::into).collect();
    let n = match &shards[..] {
        [] => see(context, &spec, &view)?,
        shards => gather(context, shards, &view)?,
    };
    let row = MetricRow::scalar("features", "", Direction::Neutral, FEATURES as f64);
    Ok(vec![MetricRow {
        note: Some(format!("resized as by {}", view.mode.program())),
        ..row.over(n)
    }])
}

/// The weights of a digest, which is not empty.
pub(super) fn network(context: &Context) -> Result<Inception, Failure> {
    let file = context.optional_input(INCEPTION);
    let missing = || Failure::bug("the weights of Inception were not brought");
    Inception::read(file.ok_or_else(missing)?)
}

/// Computes those of a part of the images; returns how many they are.
fn see(context: &mut Context, spec: &FeaturesSpec, view: &View) -> Result<usize, Failure> {
    let images = ImageFile::open(context.input("images")?)?;
    let network = network(context)?;
    // In whole batches: products of matrices may differ in their last bits
    // with the number of rows.
    let part = ranges(images.n(), BATCH, spec.parts).nth(spec.part);
    let part = part.unwrap_or_default();
    let n = part.len();
    let mut file = StoredWriter::create(context.out(), view, n, images.drawn)?;
    let total = n as u64;
    for start in part.clone().step_by(BATCH) {
        let done = (start - part.start) as u64;
        context.check_stop(done)?;
        context.progress(done, total, Vec::new())?;
        let batch = images.read(start..part.end.min(start + BATCH))?;
        let Seen { features, logits } = network.see(&batch, view.mode)?;
        let logits = images.drawn.then_some(&logits.data[..]);
        file.push(&features.data, logits)?;
    }
    file.finish()?;
    context.progress(total, total, Vec::new())?;
    Ok(n)
}

/// Puts those of shards together; returns of how many images they are.
fn gather(context: &mut Context, shards: &[PathBuf], view: &View) -> Result<usize, Failure> {
    let open = |folder: &PathBuf| Stored::open(folder, view);
    let parts: Vec<Option<Stored>> = shards.iter().map(open).collect::<Result<_, _>>()?;
    let parts: Vec<Stored> = parts.into_iter().flatten().collect();
    let n = parts.iter().map(|part| part.n).sum();
    let logits = parts.iter().any(|part| part.logits().is_some());
    parts
        .iter()
        .try_for_each(|part| part.check(part.n, logits))?;
    let mut file = StoredWriter::create(context.out(), view, n, logits)?;
    let total = parts.len() as u64;
    for (done, part) in (0..).zip(&parts) {
        context.check_stop(done)?;
        context.progress(done, total, Vec::new())?;
        file.append(part)?;
    }
    file.finish()?;
    context.progress(total, total, Vec::new())?;
    Ok(n)
}
