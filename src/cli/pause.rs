//! `ablate pause`, `resume` and `retry`: what a person wants of a sweep.

use ablate_proto::failure::FailureClass;
use ablate_proto::status::SweepStatus;
use clap::Args;

use super::status::state;
use super::{Context, Known};
use crate::client;
use crate::exit::{CliResult, Exit};
use crate::lines::{self, printable};

#[derive(Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    pub(super) known: Known,
}

#[derive(Args)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    pub(super) known: Known,
    /// Only tasks whose last failure was of this class: `bug`, `data`, `out of memory`
    #[arg(long, value_parser = class)]
    class: Option<FailureClass>,
}

fn class(name: &str) -> Result<FailureClass, String> {
    let plain = |name: &str| name.replace(['_', '-'], " ").to_lowercase();
    let found = FailureClass::ALL
        .iter()
        .find(|c| plain(c.name()) == plain(name));
    found.copied().ok_or_else(|| {
        let names: Vec<_> = FailureClass::ALL.iter().map(|c| c.name()).collect();
        format!("possible: {}", names.join(", "))
    })
}

pub(super) async fn pause(context: &Context, args: &PauseArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let status = sweeps.pause(&args.known.sweep).await?;
    show(context, &status)
}

pub(super) async fn resume(context: &Context, args: &PauseArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let status = sweeps.resume(&args.known.sweep).await?;
    show(context, &status)
}

pub(super) async fn retry(context: &Context, args: &RetryArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let status = sweeps.retry(&args.known.sweep, args.class).await?;
    show(context, &status)
}

pub(super) fn show(context: &Context, status: &SweepStatus) -> CliResult {
    if context.json {
        lines::json(status);
        return Ok(Exit::Done);
    }
    let held = status.held.as_ref().map(|hold| printable(&hold.why));
    lines::line(format_args!(
        "{}: {} ({} of {} done, {} running, {} failed, {} cancelled)",
        status.sweep,
        held.unwrap_or_else(|| state(status).to_owned()),
        status.done,
        status.tasks,
        status.running,
        status.failed,
        status.cancelled
    ));
    Ok(Exit::Done)
}
