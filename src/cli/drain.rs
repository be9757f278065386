//! `ablate drain`: a worker gets nothing new; what it runs goes on.

use clap::Args;

use super::{Context, JoinArgs};
use crate::client;
use crate::exit::{CliResult, Exit};
use crate::lines::{self, printable};

#[derive(Args)]
pub(super) struct DrainArgs {
    /// Name of the worker, as `ablate status` shows it
    worker: String,
    /// Let it work again
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    pub(super) join: JoinArgs,
}

pub(super) async fn drain(context: &Context, args: &DrainArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let worker = sweeps.drain(&args.worker, args.undo).await?;
    if context.json {
        lines::json(&worker);
    } else {
        let what = worker.aside.as_deref().unwrap_or("it takes tasks");
        lines::line(format_args!(
            "{}: {}; it holds {} tasks",
            worker.worker,
            printable(what),
            worker.running
        ));
    }
    Ok(Exit::Done)
}
