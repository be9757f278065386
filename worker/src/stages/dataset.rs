//! `dataset`: draws the split and stores it (data/dataset.rs).

use ablate_proto::artifact::{Direction, MetricRow};
use ablate_proto::failure::Failure;

use super::spec;
use crate::data::dataset;
use crate::runner::context::Context;

/// The role in which the agent brings an imported data set.
pub(crate) const SOURCE: &str = "source";

pub(super) fn run(context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    let spec = spec!(context, Dataset);
    let source = context.optional_input(SOURCE);
    let written = dataset::write(&spec, source, context.out())?;
    context.progress(1, 1, Vec::new())?;
    let count = |name, n| MetricRow::scalar(name, "images", Direction::Neutral, n as f64);
    Ok(vec![
        count("images", written.train),
        count("held_out", written.held_out),
    ])
}
