//! `dataset`: draws the split and stores it (data/dataset.rs).

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;

use super::spec;
use crate::data::dataset;
use crate::runner::context::Context;

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Dataset);
    let dataset = dataset::write(&spec, context.out())?;
    context.progress(1, 1, Vec::new())?;
    let held_out = dataset.held_out.as_ref().map_or(0, |images| images.n);
    let count = |name, n| MetricRow::scalar(name, "images", Direction::Neutral, n as f64);
    Ok(vec![
        count("images", dataset.train.n),
        count("held_out", held_out),
    ])
}
