//! `ablate priority`: put a sweep before others, or after them.

use ablate_coordinator::sweep::PRIORITIES;
use clap::Args;
use clap::builder::RangedI64ValueParser;

use super::pause::show;
use super::{Context, JoinArgs};
use crate::client;
use crate::exit::{CliResult, Exit};
use crate::select::select_one;

#[derive(Args)]
pub(super) struct PriorityArgs {
    /// Name of a sweep, or `last`
    sweep: String,
    #[command(flatten)]
    pub(super) join: JoinArgs,
    /// Sweeps of higher priority go first; 0 is ordinary
    #[arg(value_name = "N", allow_negative_numbers = true, value_parser = priority())]
    priority: i64,
}

pub(super) fn priority() -> RangedI64ValueParser<i64> {
    clap::value_parser!(i64).range(PRIORITIES)
}

pub(super) async fn prioritise(context: &Context, args: &PriorityArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let sweep = select_one(&mut sweeps, &args.sweep).await?;
    let status = sweeps.prioritise(sweep.as_str(), args.priority).await?;
    show(context, &status);
    Ok(Exit::Done)
}
