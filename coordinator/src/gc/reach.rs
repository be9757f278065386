//! What plans name, and what lies in the store beside it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ablate_proto::artifact::Manifest;
use ablate_proto::id::TaskKey;
use ablate_proto::layout;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::Deserialize;

use super::{Garbage, GcError, Why, list, older};
use crate::sweep::plan::PLAN_VERSION;

/// What the plans of all sweeps name.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) sweeps: u64,
    pub(super) tasks: HashSet<TaskKey>,
    /// Digests of the files that travel with them.
    pub(super) files: HashSet<String>,
    /// Digests of the imported data sets that they read.
    pub(super) datasets: HashSet<String>,
    /// Digests of the imported weights that they compute with.
    pub(super) weights: HashSet<String>,
}

/// The part of a plan that matters here.
#[derive(Deserialize)]
struct PlanKeys {
    version: u32,
    tasks: Vec<Planned>,
}

#[derive(Deserialize)]
struct Planned {
    task: Keyed,
}

#[derive(Deserialize)]
struct Keyed {
    key: TaskKey,
    spec: Option<Spec>,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parameters {
    /// Path → digest.
    files: BTreeMap<String, String>,
    /// Of a task that reads an imported data set.
    digest: String,
    /// Of a task that computes with imported weights.
    inception_digest: String,
}

pub(super) async fn live(store: &Arc<dyn ObjectStore>) -> Result<Live, GcError> {
    let folders = store
        .list_with_delimiter(Some(&Path::from(layout::SWEEPS)))
        .await
        .map_err(GcError::store("listing sweeps"))?;
    let mut live = Live::default();
    for folder in folders.common_prefixes {
        let sweep = folder.filename().unwrap_or_default().to_owned();
        let path = folder.join("plan.json");
        let doing = || GcError::store(format!("reading {path}"));
        let bytes = match store.get(&path).await {
            // On its way: what it will name, it will look for.
            Err(Error::NotFound { .. }) => continue,
            found => found.map_err(doing())?.bytes().await.map_err(doing())?,
        };
        let unreadable = |why: String| GcError::Plan {
            sweep: sweep.clone(),
            why,
        };
        let plan: PlanKeys =
            serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string()))?;
        if plan.version != PLAN_VERSION {
            let why = format!("format {}, not {PLAN_VERSION}", plan.version);
            return Err(unreadable(why));
        }
        live.sweeps += 1;
        for Planned { task } in plan.tasks {
            live.tasks.insert(task.key);
            let Parameters {
                files,
                digest,
                inception_digest,
            } = task.spec.map(|spec| spec.parameters).unwrap_or_default();
            live.files.extend(files.into_values());
            live.datasets.extend((!digest.is_empty()).then_some(digest));
            let weights = (!inception_digest.is_empty()).then_some(inception_digest);
            live.weights.extend(weights);
        }
    }
    Ok(live)
}

/// What can go, if it is still so when it goes.
pub(super) async fn garbage(
    store: &Arc<dyn ObjectStore>,
    live: &Live,
    now: SystemTime,
    grace: Duration,
) -> Result<Vec<Garbage>, GcError> {
    let old = older(now, grace);
    let mut garbage = Vec::new();
    for (task, objects) in by_task(list(store, layout::TASKS).await?) {
        if live.tasks.contains(&task) {
            garbage.extend(of_live(store, task, objects, old).await?);
        } else if objects.iter().all(old) {
            let mut objects = objects;
            // Stays behind its manifest for no moment.
            objects.sort_by_key(|object| !is_manifest(object));
            garbage.push(Garbage {
                task: Some(task),
                file: None,
                why: Why::Unreferenced,
                objects,
            });
        }
    }
    for object in list(store, layout::FILES).await? {
        let digest = object.location.filename().unwrap_or_default().to_owned();
        if old(&object) && !live.files.contains(&digest) {
            garbage.push(Garbage {
                task: None,
                file: Some(digest),
                why: Why::File,
                objects: vec![object],
            });
        }
    }
    let mut probes = list(store, layout::PROBE).await?;
    probes.retain(old);
    let mut coordinators = list(store, layout::COORDINATOR).await?;
    let epochs = coordinators
        .iter()
        .filter_map(|object| layout::epoch(object.location.filename()?));
    let current = layout::coordinator(epochs.max().unwrap_or_default());
    // Names sort as their epochs do.
    coordinators.retain(|object| old(object) && object.location.as_ref() < current.as_str());
    let others = [(Why::Probe, probes), (Why::Coordinator, coordinators)];
    let others = others
        .into_iter()
        .filter(|(_, objects)| !objects.is_empty());
    garbage.extend(others.map(|(why, objects)| Garbage {
        task: None,
        file: None,
        why,
        objects,
    }));
    Ok(garbage)
}

/// What does not lie where a task's objects do is left alone.
fn by_task(objects: Vec<ObjectMeta>) -> BTreeMap<TaskKey, Vec<ObjectMeta>> {
    let mut tasks: BTreeMap<TaskKey, Vec<ObjectMeta>> = BTreeMap::new();
    for object in objects {
        let key = object.location.parts().nth(1);
        let key = key.and_then(|part| part.as_ref().parse().ok());
        if let Some(key) = key {
            tasks.entry(key).or_default().push(object);
        }
    }
    tasks
}

fn is_manifest(object: &ObjectMeta) -> bool {
    object.location.parts().count() == 3 && object.location.filename() == Some("manifest.json")
}

/// Attempt and name of a file of an attempt.
fn attempt_file(object: &ObjectMeta) -> Option<(u32, String)> {
    let mut parts = object.location.parts().skip(2);
    let (attempt, name) = (parts.next()?, parts.next()?);
    Some((attempt.as_ref().parse().ok()?, name.as_ref().to_owned()))
}

/// Of a task with a result: other attempts, and checkpoints. Of one without,
/// nothing: the next attempt may go on from it.
async fn of_live(
    store: &Arc<dyn ObjectStore>,
    task: TaskKey,
    objects: Vec<ObjectMeta>,
    old: impl Fn(&ObjectMeta) -> bool,
) -> Result<Vec<Garbage>, GcError> {
    if !objects.iter().any(is_manifest) {
        return Ok(Vec::new());
    }
    let attempts: HashSet<u32> = objects
        .iter()
        .filter_map(|object| Some(attempt_file(object)?.0))
        .collect();
    let checkpoint = |name: &str| name.starts_with("checkpoint-");
    let any = objects
        .iter()
        .any(|object| attempt_file(object).is_some_and(|(_, name)| checkpoint(&name)));
    // Mostly there is one attempt, and nothing to look for.
    if attempts.len() < 2 && !any {
        return Ok(Vec::new());
    }
    let counts = counting_attempt(store, task).await?;
    let mut others = Vec::new();
    let mut checkpoints = Vec::new();
    for object in objects.into_iter().filter(|object| old(object)) {
        match attempt_file(&object) {
            Some((attempt, _)) if attempt != counts => others.push(object),
            Some((_, name)) if checkpoint(&name) => checkpoints.push(object),
            Some(_) | None => {}
        }
    }
    let all = [(Why::OtherAttempt, others), (Why::Checkpoint, checkpoints)];
    let some = all.into_iter().filter(|(_, objects)| !objects.is_empty());
    let garbage = some.map(|(why, objects)| Garbage {
        task: Some(task),
        file: None,
        why,
        objects,
    });
    Ok(garbage.collect())
}

async fn counting_attempt(store: &Arc<dyn ObjectStore>, task: TaskKey) -> Result<u32, GcError> {
    let path = Path::from(layout::manifest(&task));
    let doing = || GcError::store(format!("reading {path}"));
    let found = store.get(&path).await.map_err(doing())?;
    let bytes = found.bytes().await.map_err(doing())?;
    let broken = |why: String| GcError::Manifest { task, why };
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))?;
    if manifest.task() != task {
        return Err(broken("it is of another task".to_owned()));
    }
    Ok(manifest.attempt.number)
}
