//! What submitting a sweep file would change: `+` new tasks, `=` those that
//! are there, `-` those that the sweep no longer wants.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use ablate_coordinator::sweep::CompactPlan;
use ablate_proto::id::{SweepId, TaskKey};
use ablate_proto::layout;
use ablate_proto::status::{SweepStatus, TaskState};
use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::exit::CliError;
use crate::lines::printable;
use crate::rpc::Sweeps;

/// Labels that are listed of each sort.
const SHOWN: usize = 20;
/// Requests to the store in flight.
const IN_FLIGHT: usize = 32;

/// What is there before a submission.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// The tasks of the sweep as it was submitted last; none if it was not.
    pub(crate) tasks: Option<BTreeMap<TaskKey, String>>,
    /// Tasks with a result, of whichever sweep.
    pub(crate) done: HashSet<TaskKey>,
}

/// By label; `done` counts those of `reused` that have a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    pub(crate) new: Vec<String>,
    pub(crate) reused: Vec<String>,
    pub(crate) dropped: Vec<String>,
    pub(crate) done: usize,
    /// Whether the sweep was submitted before.
    pub(crate) extends: bool,
}

impl Difference {
    pub(crate) fn new(plan: &CompactPlan, before: &Before) -> Self {
        let mut difference = Self {
            new: Vec::new(),
            reused: Vec::new(),
            dropped: Vec::new(),
            done: 0,
            extends: before.tasks.is_some(),
        };
        let none = BTreeMap::new();
        let tasks = before.tasks.as_ref().unwrap_or(&none);
        let mut wanted = HashSet::new();
        for task in plan.tasks() {
            let (key, label) = (task.key, task.label.to_string());
            wanted.insert(key);
            if before.done.contains(&key) {
                difference.done += 1;
                difference.reused.push(label);
            } else if tasks.contains_key(&key) {
                difference.reused.push(label);
            } else {
                difference.new.push(label);
            }
        }
        let gone = tasks.iter().filter(|(key, _)| !wanted.contains(key));
        difference.dropped = gone.map(|(_, label)| label.clone()).collect();
        difference
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "+ {} new   = {} reused ({} of them done)   - {} dropped",
            self.new.len(),
            self.reused.len(),
            self.done,
            self.dropped.len()
        )?;
        // What is new to a sweep that is new itself is no news.
        let new = if self.extends { &self.new[..] } else { &[] };
        for (sign, labels) in [('+', new), ('-', &self.dropped[..])] {
            for label in labels.iter().take(SHOWN) {
                writeln!(f, "  {sign} {}", printable(label))?;
            }
            if let Some(more) = labels.len().checked_sub(SHOWN).filter(|more| *more > 0) {
                writeln!(f, "  {sign} … and {more} more")?;
            }
        }
        Ok(())
    }
}

/// What matters here of a plan in the store.
#[derive(Deserialize)]
struct Listed {
    tasks: Vec<ListedTask>,
}

#[derive(Deserialize)]
struct ListedTask {
    task: Named,
}

#[derive(Deserialize)]
struct Named {
    key: TaskKey,
    label: String,
}

/// What a coordinator knows.
pub(crate) async fn at_coordinator(
    sweeps: &mut Sweeps,
    sweep: &SweepId,
) -> Result<Before, CliError> {
    let mut before = Before::default();
    let known = sweeps.status().await?.sweeps;
    for other in known {
        let name = other.sweep.to_string();
        let rows = sweeps.status_of(&name).await?.sweeps;
        let rows = rows.into_iter().flat_map(|status| status.rows);
        let rows: Vec<_> = rows.collect();
        let done = rows.iter().filter(|row| row.state == TaskState::Done);
        before.done.extend(done.map(|row| row.key));
        if other.sweep == *sweep {
            before.tasks = Some(rows.into_iter().map(|row| (row.key, row.label)).collect());
        }
    }
    Ok(before)
}

/// What lies in a store.
pub(crate) async fn in_store(
    store: &Arc<dyn ObjectStore>,
    plan: &CompactPlan,
) -> anyhow::Result<Before> {
    let mut before = Before::default();
    let old = read::<Listed>(store, layout::plan(plan.sweep())).await?;
    before.tasks = old.map(|old| {
        let task = |listed: ListedTask| (listed.task.key, listed.task.label);
        old.tasks.into_iter().map(task).collect()
    });
    // One request finds out which tasks have anything at all.
    let listed = store.list_with_delimiter(Some(&Path::from("tasks"))).await;
    let listed = listed.context("listing the tasks of the store")?;
    let keys = listed.common_prefixes.iter();
    let present: HashMap<TaskKey, ()> = keys
        .filter_map(|path| Some((path.filename()?.parse().ok()?, ())))
        .collect();
    let mine = plan.tasks().iter().map(|task| task.key);
    let mine: Vec<TaskKey> = mine.filter(|key| present.contains_key(key)).collect();
    let has_result = |key: TaskKey| async move {
        match store.head(&Path::from(layout::manifest(&key))).await {
            Ok(_) => Ok(Some(key)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).context("looking for results in the store"),
        }
    };
    let results = stream::iter(mine.into_iter().map(has_result)).buffer_unordered(IN_FLIGHT);
    let done: Vec<Option<TaskKey>> = results.try_collect().await?;
    before.done = done.into_iter().flatten().collect();
    // Those that left nothing have no manifest to be found by.
    let ended = read::<SweepStatus>(store, layout::outcome(plan.sweep())).await?;
    let rows = ended.into_iter().flat_map(|ended| ended.rows);
    before
        .done
        .extend(rows.filter(|row| row.bare).map(|row| row.key));
    Ok(before)
}

/// An object of JSON; `None` if there is none.
async fn read<T: DeserializeOwned>(
    store: &Arc<dyn ObjectStore>,
    path: String,
) -> anyhow::Result<Option<T>> {
    let doing = || format!("reading {path}");
    match store.get(&Path::from(path.as_str())).await {
        Ok(found) => {
            let bytes = found.bytes().await.with_context(doing)?;
            Ok(Some(serde_json::from_slice(&bytes).with_context(doing)?))
        }
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error).with_context(doing),
    }
}

#[cfg(test)]
mod tests {
    use ablate_coordinator::sweep::{Options, Source, compact_plan};

    use super::*;

    fn planned(indices: &str) -> CompactPlan {
        let text =
            format!("name = \"s\"\n[stages.n]\nkind = \"noop\"\n[axes]\nindex = [{indices}]\n");
        let source = Source {
            file: "s.toml",
            text: &text,
        };
        compact_plan(&source, &Options::default()).unwrap()
    }

    #[test]
    fn an_extended_axis_is_new_and_a_shortened_one_dropped() {
        let old = planned("1, 2, 3");
        let tasks = old.tasks().iter().map(|t| (t.key, t.label.to_string()));
        let before = Before {
            tasks: Some(tasks.collect()),
            done: HashSet::from([old.tasks()[1].key]),
        };
        let difference = Difference::new(&planned("2, 3, 4"), &before);
        assert_eq!(difference.new, ["n index=4"]);
        assert_eq!(difference.reused, ["n index=2", "n index=3"]);
        assert_eq!(difference.dropped, ["n index=1"]);
        assert_eq!((difference.done, difference.extends), (1, true));
        let text = difference.to_string();
        assert!(text.starts_with("+ 1 new   = 2 reused (1 of them done)   - 1 dropped\n"));
        assert!(text.contains("  + n index=4\n  - n index=1\n"));
    }
}
