//! `ablate explain`: why a task is where it is.

use clap::Args;

use super::{Context, JoinArgs};
use crate::client;
use crate::exit::{CliResult, Exit};
use crate::lines::{self, printable};

#[derive(Args)]
pub(super) struct ExplainArgs {
    /// Key of the task, or how it begins
    task: String,
    #[command(flatten)]
    pub(super) join: JoinArgs,
}

pub(super) async fn explain(context: &Context, args: &ExplainArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let explanation = sweeps.explain(&args.task).await?;
    if context.json {
        lines::json(&explanation);
        return Ok(Exit::Done);
    }
    let sweeps: Vec<_> = explanation.sweeps.iter().map(ToString::to_string).collect();
    lines::line(format_args!(
        "{} ({}) of {}: {}, attempt {}",
        printable(&explanation.label),
        explanation.task.short(),
        sweeps.join(", "),
        format!("{:?}", explanation.state).to_lowercase(),
        explanation.attempt
    ));
    for sentence in &explanation.because {
        lines::line(format_args!("  {}", printable(sentence)));
    }
    Ok(Exit::Done)
}
