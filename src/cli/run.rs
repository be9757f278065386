//! `ablate run`: a sweep on this machine, from file to report.

use std::sync::Arc;
use std::time::Instant;

use ablate_proto::id::SweepId;
use ablate_proto::status::{Submitted, SweepStatus};
use clap::Args;
use object_store::ObjectStore;
use serde_json::json;

use super::signals::Signals;
use super::{Context, DeviceArgs, Flags, StoreArgs, SweepArgs, flag, verdicts, watch};
use crate::cluster::EmbeddedCluster;
use crate::exit::{CliError, CliResult, Exit, OrExit, fail};
use crate::lines::printable;
use crate::progress::Progress;
use crate::report::{self, Written};
use crate::rpc::SweepFile;
use crate::settings::JoinSetting;
use crate::{client, lines, store};

#[derive(Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Worker processes; by default one a GPU, or one a core
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Run the programs that the sweep names (stages of kind `command`); they
    /// can do here whatever you can
    #[arg(long)]
    allow_commands: bool,
    /// Exit with 1 unless every verdict passes
    #[arg(long)]
    check: bool,
}

impl RunArgs {
    pub(super) fn flags(&self) -> Flags {
        let mut flags = self.store.flags();
        flags.extend(flag("run.workers", self.workers));
        flags.extend(self.device.flags());
        flags.extend(super::allowed(self.allow_commands));
        flags
    }
}

pub(super) async fn run(context: &Context, args: &RunArgs) -> CliResult {
    sweep(context, args.sweep.read()?, args.check).await
}

/// Runs a sweep here, and writes its report; with `check`, ends with 1 unless
/// every verdict passes.
pub(super) async fn sweep(context: &Context, file: SweepFile, check: bool) -> CliResult {
    let mut signals = Signals::listen()?;
    let started = Instant::now();
    if file.commands && !context.settings.worker.allow_commands {
        return fail(
            Exit::Refused,
            format!(
                "{} runs programs of its author's; read it, and allow them with --allow-commands",
                file.name
            ),
        );
    }
    let store = store::open(&context.settings.store.url).or_exit(Exit::Refused)?;
    let mut cluster = EmbeddedCluster::start(&context.settings, store.clone()).await?;
    let address = cluster.address.clone();
    let sweep = async {
        let mut sweeps = client::connect(&JoinSetting::new(&address)).await?;
        let submitted = sweeps.submit(file).await?;
        announce(&submitted);
        let mut progress = Progress::new(context.json);
        let sweep = &submitted.sweep;
        let mut last = watch::follow(&mut sweeps, sweep, |s| progress.show(s)).await;
        progress.finish();
        // There is nobody else to decide what becomes of it.
        if let Ok(SweepStatus {
            held: Some(hold), ..
        }) = &last
        {
            eprintln!("{}; the rest is cancelled", printable(&hold.why));
            sweeps.cancel(sweep.as_str(), false).await?;
            last = watch::follow(&mut sweeps, sweep, |_| ()).await;
        }
        Ok::<_, CliError>((submitted, last?))
    };
    let ended = tokio::select! {
        ended = sweep => ended,
        broken = cluster.supervise(&context.settings) => Err(broken),
        exit = signals.next() => {
            eprintln!("interrupted; workers are handing back what they run …");
            tokio::select! {
                () = cluster.stop() => {}
                // Asked twice: at once, and the workers with it.
                again = signals.next() => return Ok(again),
            }
            eprintln!("stopped. The same command goes on from here.");
            return Ok(exit);
        }
    };
    let finish = finish(context, check, store, cluster, ended, started);
    tokio::select! {
        finished = finish => finished,
        exit = signals.next() => Ok(exit),
    }
}

/// Reports on what there is, and ends the cluster.
async fn finish(
    context: &Context,
    check: bool,
    store: Arc<dyn ObjectStore>,
    mut cluster: EmbeddedCluster,
    ended: Result<(Submitted, SweepStatus), CliError>,
    started: Instant,
) -> CliResult {
    let reported = match ended {
        Ok((submitted, last)) => {
            let folder = context.settings.run.reports.join(submitted.sweep.as_str());
            let written = report::write(store, &submitted.sweep, &folder).await;
            written.or_exit(Exit::Failed).map(|w| (submitted, last, w))
        }
        // If the coordinator broke, that is the reason.
        Err(error) => Err(cluster.broken().await.unwrap_or(error)),
    };
    cluster.stop().await;
    let (submitted, last, written) = reported?;
    let seconds = started.elapsed().as_secs_f64();
    show(context, &submitted, &last, &written, seconds);
    let passed = verdicts::all_pass(&written.verdicts);
    Ok(match watch::exit(last.state) {
        Exit::Done if check && !passed => Exit::Failed,
        exit => exit,
    })
}

fn announce(submitted: &Submitted) {
    eprintln!(
        "{}: {} points need {} tasks instead of {}; {} are done already",
        submitted.sweep,
        submitted.points,
        submitted.tasks,
        submitted.stages_naive,
        submitted.reused
    );
    warn(submitted);
}

/// What the sweep names and the store does not have.
pub(super) fn warn(submitted: &Submitted) {
    for why in &submitted.missing {
        eprintln!("warning: {}", printable(why));
    }
}

fn show(
    context: &Context,
    submitted: &Submitted,
    last: &SweepStatus,
    written: &Written,
    seconds: f64,
) {
    let sweep: &SweepId = &last.sweep;
    if context.json {
        lines::json(&json!({
            "sweep": sweep,
            "points": last.points,
            "tasks": last.tasks,
            "done": last.done,
            "failed": last.failed,
            "cancelled": last.cancelled,
            "reused": submitted.reused,
            "seconds": seconds,
            "report": written.html,
            "verdicts": written.verdicts,
            "untested": written.untested,
        }));
        return;
    }
    if !written.verdicts.is_empty() {
        lines::line(verdicts::table(&written.verdicts));
    }
    verdicts::untested(&written.untested);
    lines::line(format_args!(
        "{} of {} tasks done ({} reused, {} failed) in {seconds:.1} s",
        last.done, last.tasks, submitted.reused, last.failed
    ));
    lines::line(format_args!("report: {}", written.html.display()));
}
