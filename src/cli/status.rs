//! `ablate status`: sweeps and workers, or the tasks of some sweeps.

use ablate_proto::status::{
    ClusterStatus, SweepState, SweepStatus, TaskState, TaskStatus, WorkerStatus,
};
use clap::Args;
use comfy_table::Table;

use super::table::table;
use super::{Context, JoinArgs};
use crate::client;
use crate::exit::{CliError, CliResult, Exit};
use crate::lines::{self, printable};
use crate::rpc::Sweeps;
use crate::select::{Meant, select};

/// Tasks that are listed of a large sweep.
const SHOWN: u64 = 200;
/// Rows of one table.
const TABLE: usize = 10_000;

#[derive(Args)]
pub(super) struct StatusArgs {
    /// Name of a sweep, `last`, `all` or a pattern, to see tasks
    sweep: Option<String>,
    /// List all tasks of a large sweep, not only what runs, what failed and what is next
    #[arg(long, requires = "sweep")]
    all: bool,
    #[command(flatten)]
    pub(super) join: JoinArgs,
}

pub(super) async fn status(context: &Context, args: &StatusArgs) -> CliResult {
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let cluster = match args.sweep.as_deref() {
        None => sweeps.status().await?,
        Some(word) => {
            let words = [word.to_owned()];
            let mut cluster: Option<ClusterStatus> = None;
            for sweep in select(&mut sweeps, &words, Meant::Any).await? {
                let one = of_sweep(&mut sweeps, sweep.as_str(), context.json || args.all).await?;
                match &mut cluster {
                    Some(cluster) => cluster.sweeps.extend(one.sweeps),
                    None => cluster = Some(one),
                }
            }
            match cluster {
                Some(cluster) => cluster,
                // `all` of none.
                None => sweeps.status().await?,
            }
        }
    };
    if context.json {
        lines::json(&cluster);
    } else {
        show(&cluster, args.sweep.is_some());
    }
    Ok(Exit::Done)
}

async fn of_sweep(sweeps: &mut Sweeps, sweep: &str, all: bool) -> Result<ClusterStatus, CliError> {
    if !all {
        let brief = sweeps.urgent(sweep, SHOWN).await?;
        if brief.sweeps.iter().any(|sweep| sweep.tasks > SHOWN) {
            return Ok(brief);
        }
    }
    // As the plan has them.
    sweeps.status_of(sweep).await
}

fn show(cluster: &ClusterStatus, rows: bool) {
    lines::line(sweeps(&cluster.sweeps));
    lines::line("");
    if rows {
        for sweep in &cluster.sweeps {
            // One table is as wide as all of its rows: large ones come in parts.
            for rows in sweep.rows.chunks(TABLE) {
                lines::line(tasks(rows));
            }
            let shown = sweep.rows.len() as u64;
            if shown < sweep.tasks {
                let more = sweep.tasks - shown;
                lines::line(format_args!("… and {more} more; --all lists them"));
            }
        }
    } else {
        lines::line(workers(&cluster.workers));
    }
}

fn sweeps(sweeps: &[SweepStatus]) -> Table {
    let mut table = table(&[
        "sweep", "state", "tasks", "done", "running", "failed", "left",
    ]);
    for sweep in sweeps {
        table.add_row([
            sweep.sweep.to_string(),
            state(sweep).to_owned(),
            sweep.tasks.to_string(),
            sweep.done.to_string(),
            sweep.running.to_string(),
            sweep.failed.to_string(),
            left(sweep),
        ]);
    }
    table
}

fn workers(workers: &[WorkerStatus]) -> Table {
    let mut table = table(&["worker", "host", "device", "slots", "holding", "connected"]);
    for worker in workers {
        table.add_row([
            worker.worker.to_string(),
            printable(&worker.host),
            printable(&worker.device),
            worker.slots.to_string(),
            worker.running.to_string(),
            match (&worker.aside, worker.connected) {
                (Some(why), _) => printable(why),
                (None, true) => "yes".to_owned(),
                (None, false) => "no".to_owned(),
            },
        ]);
    }
    table
}

fn tasks(rows: &[TaskStatus]) -> Table {
    let mut table = table(&[
        "task", "key", "state", "attempt", "progress", "time", "cause",
    ]);
    for row in rows {
        let progress = match row.total {
            0 => String::new(),
            total => format!("{}/{total}", row.step),
        };
        let cause = match &row.failure {
            Some(failure) if row.state != TaskState::Done => printable(&failure.to_string()),
            _ => String::new(),
        };
        table.add_row([
            printable(&row.label),
            row.key.short(),
            format!("{:?}", row.state).to_lowercase(),
            row.attempt.to_string(),
            progress,
            seconds(row.seconds),
            cause,
        ]);
    }
    table
}

/// How long it goes on, and between which it lies.
fn left(sweep: &SweepStatus) -> String {
    match (sweep.eta_seconds, sweep.eta_range) {
        (Some(eta), Some((low, high))) if high - low > 0.2 => {
            format!("{} ({low:.1}–{high:.1})", seconds(eta))
        }
        (Some(eta), _) => seconds(eta),
        (None, _) => "?".to_owned(),
    }
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

pub(super) fn state(sweep: &SweepStatus) -> &'static str {
    match sweep.state {
        SweepState::Running if sweep.held.is_some() => "held",
        SweepState::Running => "running",
        SweepState::Done => "done",
        SweepState::Failed => "failed",
        SweepState::Cancelled => "cancelled",
    }
}
