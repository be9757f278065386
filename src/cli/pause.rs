//! `ablate pause`, `resume` and `retry`: what a person wants of a sweep.

use ablate_proto::failure::FailureClass;
use ablate_proto::status::SweepStatus;
use clap::Args;

use super::status::state;
use super::{Context, Known};
use crate::client;
use crate::exit::{CliResult, Exit};
use crate::lines::{self, printable};
use crate::select::{Meant, select};

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
    for sweep in select(&mut sweeps, &args.known.sweeps, Meant::Open).await? {
        let status = sweeps.pause(sweep.as_str()).await?;
        show(context, &status);
    }
    Ok(Exit::Done)
}

pub(super) async fn resume(context: &Context, args: &PauseArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    for sweep in select(&mut sweeps, &args.known.sweeps, Meant::Open).await? {
        let status = sweeps.resume(sweep.as_str()).await?;
        show(context, &status);
    }
    Ok(Exit::Done)
}

pub(super) async fn retry(context: &Context, args: &RetryArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    for sweep in select(&mut sweeps, &args.known.sweeps, Meant::Any).await? {
        let status = sweeps.retry(sweep.as_str(), args.class).await?;
        show(context, &status);
    }
    Ok(Exit::Done)
}

pub(super) fn show(context: &Context, status: &SweepStatus) {
    if context.json {
        return lines::json(status);
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
}
