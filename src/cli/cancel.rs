//! `ablate cancel`: stop a sweep; what is done stays.

use clap::Args;

use super::{Context, Known};
use crate::client;
use crate::exit::{CliResult, Exit};
use crate::lines;

#[derive(Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    pub(super) known: Known,
}

pub(super) async fn cancel(context: &Context, args: &CancelArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let cancelled = sweeps.cancel(&args.known.sweep).await?;
    if context.json {
        lines::json(&serde_json::json!({ "sweep": args.known.sweep, "cancelled": cancelled }));
    } else {
        lines::line(format_args!(
            "{}: {cancelled} tasks cancelled",
            args.known.sweep
        ));
    }
    Ok(Exit::Done)
}
