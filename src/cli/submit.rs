//! `ablate submit`: hand a sweep to a coordinator.

use clap::Args;

use super::priority::priority;
use super::{Context, JoinArgs, SweepArgs};
use crate::client;
use crate::exit::{CliResult, Exit};
use crate::lines;

#[derive(Args)]
pub(super) struct SubmitArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    /// Sweeps of higher priority go first; instead of the file's own
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = priority())]
    priority: Option<i64>,
    #[command(flatten)]
    pub(super) join: JoinArgs,
}

pub(super) async fn submit(context: &Context, args: &SubmitArgs) -> CliResult {
    let mut file = args.sweep.read()?;
    file.priority = args.priority;
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let submitted = sweeps.submit(file).await?;
    if context.json {
        lines::json(&submitted);
    } else {
        lines::line(format_args!(
            "{}: {} points, {} tasks instead of {}, {} of them done before",
            submitted.sweep,
            submitted.points,
            submitted.tasks,
            submitted.stages_naive,
            submitted.reused
        ));
    }
    Ok(Exit::Done)
}
