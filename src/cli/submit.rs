//! `ablate submit`: hand a sweep to a coordinator; the same name again extends
//! it, and says what is new and what goes.

use ablate_coordinator::sweep;
use clap::Args;
use serde_json::Value;

use super::priority::priority;
use super::run::warn;
use super::{Context, JoinArgs, SweepArgs};
use crate::difference::{self, Difference};
use crate::exit::{CliError, CliResult, Exit, OrExit};
use crate::lines;
use crate::rpc::{SweepFile, Sweeps};
use crate::{at_hand, client};

#[derive(Args)]
pub(super) struct SubmitArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    /// Sweeps of higher priority go first; instead of the file's own
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = priority())]
    priority: Option<i64>,
    #[command(flatten)]
    pub(super) join: JoinArgs,
}

pub(super) async fn submit(context: &Context, args: &SubmitArgs) -> CliResult {
    let mut file = args.sweep.read()?;
    file.priority = args.priority;
    let mut sweeps = client::connect(&context.settings.worker.join).await?;
    let url = &context.settings.store.url;
    let difference = extension(&mut sweeps, &file, url).await?;
    let submitted = sweeps.submit(file).await?;
    warn(&submitted);
    if context.json {
        let mut json = serde_json::to_value(&submitted).or_exit(Exit::Failed)?;
        if let (Value::Object(json), Some(difference)) = (&mut json, difference) {
            let difference = serde_json::to_value(difference).or_exit(Exit::Failed)?;
            json.insert("difference".to_owned(), difference);
        }
        lines::json(&json);
    } else {
        lines::line(format_args!(
            "{}: {} points, {} tasks instead of {}, {} of them done before",
            submitted.sweep,
            submitted.points,
            submitted.tasks,
            submitted.stages_naive,
            submitted.reused
        ));
        if let Some(difference) = difference {
            lines::line(difference.to_string().trim_end());
        }
    }
    Ok(Exit::Done)
}

/// What changes about a sweep that the coordinator knows already.
async fn extension(
    sweeps: &mut Sweeps,
    file: &SweepFile,
    url: &str,
) -> Result<Option<Difference>, CliError> {
    let source = sweep::Source {
        file: &file.name,
        text: &file.text,
    };
    let known = sweeps.status().await?.sweeps;
    // One that is wrong is refused by the coordinator.
    let is_known = |name| known.iter().any(|status| status.sweep == name);
    if known.is_empty() || !sweep::name(&source, &file.options()).is_ok_and(is_known) {
        return Ok(None);
    }
    let Ok(plan) = sweep::compact_plan(&source, &file.options()) else {
        return Ok(None);
    };
    // What is not known here may be known to the coordinator.
    let planned = at_hand::plan(url, &source, file.options(), plan).await;
    let plan = match planned {
        Ok((plan, missing)) if missing.datasets.is_empty() && missing.weights.is_empty() => plan,
        Ok(_) | Err(_) => return Ok(None),
    };
    let before = difference::at_coordinator(sweeps, plan.sweep()).await?;
    Ok(Some(Difference::new(&plan, &before)))
}
