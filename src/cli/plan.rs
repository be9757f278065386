//! `ablate plan`: what would run, and what is shared.

use ablate_coordinator::sweep;
use clap::Args;

use super::{Context, SweepArgs};
use crate::exit::{CliResult, Exit, OrExit};
use crate::lines;

#[derive(Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    sweep: SweepArgs,
}

pub(super) fn plan(context: &Context, args: &PlanArgs) -> CliResult {
    let file = args.sweep.read()?;
    let source = sweep::Source {
        file: &file.name,
        text: &file.text,
    };
    let options = file.options();
    let plan = sweep::plan(&source, &options).or_exit(Exit::Usage)?;
    let summary = sweep::summary(&plan);
    if context.json {
        lines::json(&summary);
    } else {
        lines::line(&summary);
    }
    Ok(Exit::Done)
}
