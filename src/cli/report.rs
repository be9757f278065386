//! `ablate report`: write the report of a sweep, from the store alone.

use std::path::PathBuf;

use ablate_proto::id::SweepId;
use clap::Args;

use super::{Context, Flags, StoreArgs, verdicts};
use crate::exit::{CliResult, Exit, OrExit};
use crate::{lines, report, store};

#[derive(Args)]
pub(super) struct ReportArgs {
    /// Name of the sweep
    sweep: String,
    /// Folder to write the report to
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Exit with 1 unless every verdict passes
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    store: StoreArgs,
}

impl ReportArgs {
    pub(super) fn flags(&self) -> Flags {
        self.store.flags()
    }
}

pub(super) async fn report(context: &Context, args: &ReportArgs) -> CliResult {
    let sweep: SweepId = args.sweep.parse().or_exit(Exit::Usage)?;
    let store = store::open(&context.settings.store.url).or_exit(Exit::Refused)?;
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None => context.settings.run.reports.join(sweep.as_str()),
    };
    let written = report::write(store, &sweep, &folder)
        .await
        .or_exit(Exit::Usage)?;
    let passed = verdicts::all_pass(&written.verdicts);
    if context.json {
        lines::json(&serde_json::json!({
            "sweep": sweep,
            "report": written.html,
            "verdicts": written.verdicts,
            "untested": written.untested,
        }));
    } else {
        lines::line(verdicts::table(&written.verdicts));
        verdicts::untested(&written.untested);
        lines::line(written.html.display());
    }
    Ok(if args.check && !passed {
        Exit::Failed
    } else {
        Exit::Done
    })
}
