//! `ablate plan`: what would run, what is shared, and how long it would take;
//! beside a coordinator or a store, what would change there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ablate_coordinator::forecast::{Forecast, Learned, forecast};
use ablate_coordinator::sweep::{self, CompactPlan, plan::Plan};
use ablate_proto::id::{SweepId, TaskKey};
use ablate_proto::layout;
use ablate_proto::status::{SweepStatus, TaskState};
use clap::Args;
use indicatif::HumanDuration;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;

use super::{Context, Flags, JoinArgs, StoreArgs, SweepArgs};
use crate::difference::{self, Difference};
use crate::exit::{CliResult, Exit, OrExit};
use crate::{at_hand, client, lines, store};

#[derive(Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    #[command(flatten)]
    join: JoinArgs,
    /// Say how long it would take on so many workers, by earlier durations in the store
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    workers: Option<u32>,
    /// Slots of each of those workers
    #[arg(long, value_name = "M", default_value_t = 1, requires = "workers",
        value_parser = clap::value_parser!(u32).range(1..=4096))]
    slots: u32,
    #[command(flatten)]
    store: StoreArgs,
}

impl PlanArgs {
    pub(super) fn flags(&self) -> Flags {
        let mut flags = self.join.flags();
        flags.extend(self.store.flags());
        flags
    }
}

pub(super) async fn plan(context: &Context, args: &PlanArgs) -> CliResult {
    let file = args.sweep.read()?;
    let source = sweep::Source {
        file: &file.name,
        text: &file.text,
    };
    let plan = sweep::compact_plan(&source, &file.options()).or_exit(Exit::Usage)?;
    let url = &context.settings.store.url;
    let planned = at_hand::plan(url, &source, file.options(), plan).await;
    let (plan, missing) = planned.or_exit(Exit::Usage)?;
    // Only where one was asked for: the settings always name both.
    let before = if args.join.join.is_some() {
        let mut sweeps = client::connect(&context.settings.worker.join).await?;
        Some(difference::at_coordinator(&mut sweeps, plan.sweep()).await?)
    } else if args.store.store.is_some() {
        let store = store::open(&context.settings.store.url).or_exit(Exit::Refused)?;
        let before = difference::in_store(&store, &plan).await;
        Some(before.or_exit(Exit::Refused)?)
    } else {
        None
    };
    let difference = before.map(|before| Difference::new(&plan, &before));
    let summary = plan.summary();
    let forecast = match args.workers {
        Some(workers) => {
            let url = &context.settings.store.url;
            let slots = workers as usize * args.slots as usize;
            Some(what_if(url, &plan, slots).await.or_exit(Exit::Refused)?)
        }
        None => None,
    };
    if context.json {
        let mut json = serde_json::to_value(&summary).or_exit(Exit::Failed)?;
        let mut add = |name: &str, value: serde_json::Result<Value>| {
            if let Value::Object(json) = &mut json {
                json.insert(name.to_owned(), value.or_exit(Exit::Failed)?);
            }
            Ok(())
        };
        if let Some(difference) = difference {
            add("difference", serde_json::to_value(difference))?;
        }
        if let Some((forecast, learned)) = forecast {
            add("forecast", serde_json::to_value(forecast))?;
            add("measured", serde_json::to_value(learned))?;
        }
        let missing = [missing.datasets, missing.weights].concat();
        if !missing.is_empty() {
            add("missing", serde_json::to_value(&missing))?;
        }
        lines::json(&json);
        return Ok(Exit::Done);
    }
    lines::line(&summary);
    for why in &missing.datasets {
        lines::line(format_args!("data      {why}"));
    }
    for why in &missing.weights {
        lines::line(format_args!("weights   {why}"));
    }
    if let Some(difference) = difference {
        lines::line(difference.to_string().trim_end());
    }
    if let Some((forecast, learned)) = forecast {
        lines::line(sentence(&forecast, learned));
    }
    Ok(Exit::Done)
}

/// A forecast, and from how many measured tasks.
async fn what_if(url: &str, plan: &CompactPlan, slots: usize) -> anyhow::Result<(Forecast, usize)> {
    let mut learned = Learned::default();
    let mut done = BTreeSet::new();
    // A forecast leaves nothing behind: no folder is made for it.
    let missing = store::local_folder(url).is_some_and(|folder| !folder.exists());
    if !missing {
        let store = store::open(url)?;
        learn(&store, &mut learned, &mut done).await?;
    }
    let measured = learned.tasks();
    let forecast = forecast(plan.tasks(), |key| done.contains(key), &learned, slots);
    Ok((forecast, measured))
}

/// Takes in how long tasks took, of every sweep of the store that has ended.
async fn learn(
    store: &Arc<dyn ObjectStore>,
    learned: &mut Learned,
    done: &mut BTreeSet<TaskKey>,
) -> anyhow::Result<()> {
    let sweeps = store
        .list_with_delimiter(Some(&Path::from("sweeps")))
        .await?;
    for folder in sweeps.common_prefixes {
        let name = folder.filename().map(str::parse::<SweepId>);
        let Some(Ok(sweep)) = name else {
            continue;
        };
        // One that goes on has no outcome; one that is damaged says nothing.
        let outcome = read::<SweepStatus>(store, &layout::outcome(&sweep)).await;
        let plan = read::<Plan>(store, &layout::plan(&sweep)).await;
        let (Some(outcome), Some(plan)) = (outcome, plan) else {
            continue;
        };
        let rows = outcome
            .rows
            .iter()
            .filter(|row| row.state == TaskState::Done);
        let seconds: std::collections::HashMap<TaskKey, f64> =
            rows.map(|row| (row.key, row.seconds)).collect();
        for planned in &plan.tasks {
            if let Some(seconds) = seconds.get(&planned.task.key)
                && done.insert(planned.task.key)
            {
                learned.observe(&planned.task, *seconds);
            }
        }
    }
    Ok(())
}

async fn read<T: serde::de::DeserializeOwned>(
    store: &Arc<dyn ObjectStore>,
    path: &str,
) -> Option<T> {
    let found = store.get(&Path::from(path)).await.ok()?;
    serde_json::from_slice(&found.bytes().await.ok()?).ok()
}

fn sentence(forecast: &Forecast, measured: usize) -> String {
    let human = |seconds| HumanDuration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let Forecast { slots, tasks, .. } = forecast;
    match (forecast.seconds, forecast.range) {
        (Some(seconds), Some((low, high))) => format!(
            "time      {} ({low:.1} to {high:.1} s) for {tasks} tasks on {slots} slots, by {measured} \
             tasks that were measured: {} of work, and no less than {} along the longest chain",
            human(seconds),
            human(forecast.work),
            human(forecast.longest),
        ),
        _ => {
            let kinds: Vec<&str> = forecast.unknown.iter().map(String::as_str).collect();
            format!(
                "time      unknown: never measured in this store: {}",
                kinds.join(", ")
            )
        }
    }
}
