//! `ablate wait`: returns when sweeps have ended. The exit code tells how: the
//! worst of them.

use clap::Args;

use super::watch::{self, follow};
use super::{Context, Known};
use crate::client;
use crate::exit::{CliResult, Exit};
use crate::lines;
use crate::select::{Meant, select};

#[derive(Args)]
pub(super) struct WaitArgs {
    #[command(flatten)]
    pub(super) known: Known,
}

pub(super) async fn wait(context: &Context, args: &WaitArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let mut worst = Exit::Done;
    for sweep in select(&mut sweeps, &args.known.sweeps, Meant::Open).await? {
        let last = follow(&mut sweeps, &sweep, |_| ()).await?;
        if context.json {
            lines::json(&last);
        }
        worst = match (watch::exit(last.state), worst) {
            (Exit::Done, worst) => worst,
            // A failure weighs more.
            (Exit::Cancelled, Exit::Failed) => Exit::Failed,
            (exit, _) => exit,
        };
    }
    Ok(worst)
}
