//! To be written.
use ablate_proto::artifact::MetricRow;
use ablate_proto::failure::Failure;

use crate::runner::context::Context;

pub(super) fn run(_context: &mut Context) -> Result<Vec<MetricRow>, Failure> {
    Err(Failure::config("not written yet"))
}
