//! Which task of a store is meant: by its key, by the beginning of one, or as
//! a stage of a sweep.

use std::collections::BTreeSet;
use std::sync::Arc;

use ablate_coordinator::sweep::plan::{PLAN_VERSION, Plan};
use ablate_proto::id::{SweepId, TaskKey};
use ablate_proto::layout;
use anyhow::{Context as _, bail};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

/// Shorter beginnings are typing errors more often than not.
const SHORTEST: usize = 4;
/// Tasks that a message lists.
const SHOWN: usize = 12;

/// The task that `text` means: 64 hex digits, their beginning, or
/// `SWEEP/STAGE`.
pub(crate) async fn resolve(store: &Arc<dyn ObjectStore>, text: &str) -> anyhow::Result<TaskKey> {
    if let Some((sweep, stage)) = text.split_once('/') {
        return of_stage(store, &sweep.parse()?, stage).await;
    }
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let hex = text.chars().all(|c| c.is_ascii_hexdigit());
    if !hex || !(SHORTEST..=64).contains(&text.len()) {
        bail!(
            "no task is called {text:?}: give a task's key or its beginning (at least {SHORTEST} \
             hex digits), as the report and `ablate status SWEEP` show it, or SWEEP/STAGE"
        );
    }
    let beginning = text.to_ascii_lowercase();
    let listed = store.list_with_delimiter(Some(&Path::from("tasks"))).await;
    let listed = listed.context("listing the tasks of the store")?;
    let keys = listed.common_prefixes.iter();
    let keys = keys.filter_map(|path| path.filename()?.parse::<TaskKey>().ok());
    let found: Vec<_> = keys
        .filter(|key| key.to_string().starts_with(&beginning))
        .collect();
    match &found[..] {
        [key] => Ok(*key),
        [] => bail!(
            "no task of the store begins with {text}: it has not run, or into another store \
             (--store)"
        ),
        several => {
            let several = several.iter().take(SHOWN).map(ToString::to_string);
            let several: Vec<_> = several.collect();
            bail!(
                "several tasks begin with {text}; give more of one:\n  {}",
                several.join("\n  ")
            )
        }
    }
}

async fn of_stage(
    store: &Arc<dyn ObjectStore>,
    sweep: &SweepId,
    stage: &str,
) -> anyhow::Result<TaskKey> {
    let path = Path::from(layout::plan(sweep));
    let doing = || format!("reading the plan of sweep {sweep} (no such sweep in this store?)");
    let bytes = store.get(&path).await.with_context(doing)?.bytes().await;
    let plan: Plan = serde_json::from_slice(&bytes.with_context(doing)?).with_context(doing)?;
    if plan.version != PLAN_VERSION {
        bail!(
            "the plan of sweep {sweep} has the format {}, this release reads {PLAN_VERSION}",
            plan.version
        );
    }
    let places = plan.points.iter().filter_map(|p| p.tasks.get(stage));
    let places: BTreeSet<usize> = places.copied().collect();
    let tasks: Vec<_> = places.iter().filter_map(|i| plan.tasks.get(*i)).collect();
    match &tasks[..] {
        [task] => Ok(task.task.key),
        [] => {
            let stages: Vec<_> = plan.stages.iter().map(|s| s.name.as_str()).collect();
            bail!(
                "sweep {sweep} has no stage {stage:?}, only {}",
                stages.join(", ")
            )
        }
        several => {
            let several = several.iter().take(SHOWN);
            let line = |t: &&ablate_coordinator::sweep::plan::PlannedTask| {
                format!("  {}  {}", t.task.key.short(), t.task.label)
            };
            let lines: Vec<_> = several.map(line).collect();
            bail!(
                "stage {stage} of sweep {sweep} has {} tasks; give the key of one:\n{}",
                tasks.len(),
                lines.join("\n")
            )
        }
    }
}
