//! `ablate watch`: follow a sweep until it has ended. The exit code tells how.

use ablate_proto::id::SweepId;
use ablate_proto::status::{SweepState, SweepStatus};
use clap::Args;
use futures::StreamExt;

use super::status::state;
use super::{Context, JoinArgs};
use crate::client;
use crate::exit::{CliError, CliResult, Exit, fail};
use crate::lines::{self, printable};
use crate::progress::Progress;
use crate::rpc::Sweeps;
use crate::select::select_one;

#[derive(Args)]
pub(super) struct WatchArgs {
    /// Name of a sweep, or `last`
    sweep: String,
    #[command(flatten)]
    pub(super) join: JoinArgs,
}

pub(super) async fn watch(context: &Context, args: &WatchArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let sweep = select_one(&mut sweeps, &args.sweep).await?;
    let mut progress = Progress::new(context.json);
    let last = follow(&mut sweeps, &sweep, |status| {
        if context.json {
            lines::json(status);
        } else {
            progress.show(status);
        }
    })
    .await?;
    progress.finish();
    if let Some(hold) = &last.held {
        eprintln!(
            "{}; mend it, then `ablate resume {1}` or `ablate cancel {1}`",
            printable(&hold.why),
            last.sweep
        );
    }
    if !context.json {
        lines::line(format_args!(
            "{}: {} ({} done, {} failed, {} cancelled)",
            last.sweep,
            state(&last),
            last.done,
            last.failed,
            last.cancelled
        ));
    }
    Ok(exit(last.state))
}

/// Shows snapshots until the sweep has ended, or is held because its tasks
/// keep failing; answers with the last one.
pub(super) async fn follow(
    sweeps: &mut Sweeps,
    sweep: &SweepId,
    mut show: impl FnMut(&SweepStatus),
) -> Result<SweepStatus, CliError> {
    let mut snapshots = sweeps.watch(sweep).await?;
    while let Some(status) = snapshots.next().await {
        let status = status?;
        show(&status);
        let hopeless = status.held.as_ref().is_some_and(|hold| !hold.person);
        if status.state.is_terminal() || (hopeless && status.running == 0) {
            return Ok(status);
        }
    }
    fail(
        Exit::Unreachable,
        "the coordinator went away before the sweep had ended; \
         the sweep goes on where it was when a coordinator is started on its store",
    )
}

pub(super) fn exit(state: SweepState) -> Exit {
    match state {
        SweepState::Done => Exit::Done,
        SweepState::Failed | SweepState::Running => Exit::Failed,
        SweepState::Cancelled => Exit::Cancelled,
    }
}
