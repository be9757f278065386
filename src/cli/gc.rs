//! `ablate gc`: remove what nobody needs any more.

use std::time::Duration;

use ablate_coordinator::gc::{self, Amount, Why};
use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::{Context, Flags, StoreArgs};
use crate::exit::{CliResult, Exit, OrExit};
use crate::store::leftovers;
use crate::{lines, store};

#[derive(Args)]
pub(super) struct GcArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Younger objects stay
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400.0)]
    grace: f64,
}

impl GcArgs {
    pub(super) fn flags(&self) -> Flags {
        self.store.flags()
    }
}

pub(super) async fn gc(context: &Context, args: &GcArgs) -> CliResult {
    let grace = Duration::try_from_secs_f64(args.grace)
        .with_context(|| format!("--grace {}: a number of seconds is expected", args.grace))
        .or_exit(Exit::Usage)?;
    let url = &context.settings.store.url;
    let store = store::open_existing(url).or_exit(Exit::Usage)?;
    let collected = gc::collect(store, grace, args.dry_run).await;
    let collected = collected
        .with_context(|| format!("collecting garbage in {url}"))
        .or_exit(Exit::Refused)?;
    // Halves of writes that were killed; only a folder has them in sight.
    let parts = leftovers::remove(url, grace, args.dry_run).or_exit(Exit::Refused)?;
    let total = collected.total();
    let total = Amount {
        objects: total.objects + parts.objects,
        bytes: total.bytes + parts.bytes,
    };
    if context.json {
        lines::json(&json!({
            "dry_run": args.dry_run,
            "sweeps": collected.sweeps,
            "kept_tasks": collected.kept_tasks,
            "removed": collected.removed,
            "partial_writes": parts,
            "objects": total.objects,
            "bytes": total.bytes,
        }));
        return Ok(Exit::Done);
    }
    let (sweeps, kept) = (collected.sweeps, collected.kept_tasks);
    lines::line(format_args!("sweeps {sweeps}, which need {kept} tasks"));
    let named = collected
        .removed
        .iter()
        .map(|(why, amount)| (name(*why), amount));
    let partial = [("parts of writes that were killed", &parts)];
    for (name, amount) in named.chain(partial).filter(|(_, a)| a.objects > 0) {
        lines::line(format_args!(
            "{:>8} objects {:>14} bytes  {name}",
            amount.objects, amount.bytes
        ));
    }
    let verb = if args.dry_run { "would go" } else { "removed" };
    lines::line(format_args!(
        "{} objects, {} bytes {verb}",
        total.objects, total.bytes
    ));
    Ok(Exit::Done)
}

fn name(why: Why) -> &'static str {
    match why {
        Why::Unreferenced => "of tasks that no sweep needs",
        Why::OtherAttempt => "of attempts that did not count",
        Why::Checkpoint => "checkpoints of tasks that are done",
        Why::File => "files that travelled with sweeps",
        Why::Probe => "left by starts that were killed",
        Why::Coordinator => "signs of life of earlier coordinators",
        Why::Dataset => "of data sets that no name and no sweep names",
        Why::Weights => "weights that no name and no sweep names",
    }
}
