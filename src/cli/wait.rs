//! `ablate wait`: returns when a sweep has ended. The exit code tells how.

use ablate_proto::id::SweepId;
use clap::Args;

use super::watch::{self, follow};
use super::{Context, Known};
use crate::client;
use crate::exit::{CliResult, Exit, OrExit};
use crate::lines;

#[derive(Args)]
pub(super) struct WaitArgs {
    #[command(flatten)]
    pub(super) known: Known,
}

pub(super) async fn wait(context: &Context, args: &WaitArgs) -> CliResult {
    let sweep: SweepId = args.known.sweep.parse().or_exit(Exit::Usage)?;
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let last = follow(&mut sweeps, &sweep, |_| ()).await?;
    if context.json {
        lines::json(&last);
    }
    Ok(watch::exit(last.state))
}
