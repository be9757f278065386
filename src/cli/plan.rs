//! `ablate plan`: what would run, and what is shared; beside a coordinator or
//! a store, what would change there.

use ablate_coordinator::sweep;
use clap::Args;
use serde_json::Value;

use super::{Context, Flags, JoinArgs, StoreArgs, SweepArgs};
use crate::difference::{self, Difference};
use crate::exit::{CliResult, Exit, OrExit};
use crate::{client, lines, store};

#[derive(Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    sweep: SweepArgs,
    #[command(flatten)]
    join: JoinArgs,
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
    let plan = sweep::plan(&source, &file.options()).or_exit(Exit::Usage)?;
    // Only where one was asked for: the settings always name both.
    let before = if args.join.join.is_some() {
        let mut sweeps = client::connect(&context.settings.worker.join).await?;
        Some(difference::at_coordinator(&mut sweeps, &plan.sweep).await?)
    } else if args.store.store.is_some() {
        let store = store::open(&context.settings.store.url).or_exit(Exit::Refused)?;
        let before = difference::in_store(&store, &plan).await;
        Some(before.or_exit(Exit::Refused)?)
    } else {
        None
    };
    let difference = before.map(|before| Difference::new(&plan, &before));
    let summary = sweep::summary(&plan);
    if context.json {
        let mut json = serde_json::to_value(&summary).or_exit(Exit::Failed)?;
        if let (Value::Object(json), Some(difference)) = (&mut json, difference) {
            let difference = serde_json::to_value(difference).or_exit(Exit::Failed)?;
            json.insert("difference".to_owned(), difference);
        }
        lines::json(&json);
    } else {
        lines::line(&summary);
        if let Some(difference) = difference {
            lines::line(difference.to_string().trim_end());
        }
    }
    Ok(Exit::Done)
}
