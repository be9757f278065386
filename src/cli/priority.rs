//! `ablate priority`: put a sweep before others, or after them.

use ablate_coordinator::sweep::PRIORITIES;
use clap::Args;
use clap::builder::RangedI64ValueParser;

use super::pause::show;
use super::{Context, Known};
use crate::client;
use crate::exit::CliResult;

#[derive(Args)]
pub(super) struct PriorityArgs {
    #[command(flatten)]
    pub(super) known: Known,
    /// Sweeps of higher priority go first; 0 is ordinary
    #[arg(value_name = "N", allow_negative_numbers = true, value_parser = priority())]
    priority: i64,
}

pub(super) fn priority() -> RangedI64ValueParser<i64> {
    clap::value_parser!(i64).range(PRIORITIES)
}

pub(super) async fn prioritise(context: &Context, args: &PriorityArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let status = sweeps.prioritise(&args.known.sweep, args.priority).await?;
    show(context, &status)
}
