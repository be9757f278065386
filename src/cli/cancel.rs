//! `ablate cancel`: stop a sweep; what is done stays.

use clap::Args;

use super::{Context, Known};
use crate::client;
use crate::exit::{CliResult, Exit};
use crate::lines;
use crate::select::{Meant, select};

#[derive(Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    pub(super) known: Known,
    /// Kill what runs; else it is asked to stop, and has a few seconds
    #[arg(long)]
    now: bool,
}

pub(super) async fn cancel(context: &Context, args: &CancelArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    for sweep in select(&mut sweeps, &args.known.sweeps, Meant::Open).await? {
        let cancelled = sweeps.cancel(sweep.as_str(), args.now).await?;
        if context.json {
            lines::json(&serde_json::json!({ "sweep": sweep, "cancelled": cancelled }));
        } else {
            lines::line(format_args!("{sweep}: {cancelled} tasks cancelled"));
        }
    }
    Ok(Exit::Done)
}
