//! Reads everything the report is made of from the object store. What is
//! missing, damaged or of an unknown format becomes a remark that the page
//! shows; only a plan that cannot be read is an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use ablate_coordinator::sweep::plan::{PLAN_VERSION, Plan, PlannedTask};
use ablate_proto::artifact::{FileEntry, MANIFEST_VERSION, Manifest, MetricRow};
use ablate_proto::id::SweepId;
use ablate_proto::layout;
use ablate_proto::status::SweepStatus;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::ReportError;
use super::bootstrap::Bootstraps;
use super::gap::{Gap, gaps};
use super::study::{Outcome, Study};

/// Curves of a task are kept in this file, one `MetricRow` a line.
const CURVES: &str = "metrics.jsonl";
/// Larger files are left out, and the page says so.
const MAX_FILE: u64 = 64 << 20;
/// Requests in flight.
const CONCURRENCY: usize = 32;

type Store = Arc<dyn ObjectStore>;

pub(super) async fn load(store: &Store, sweep: &SweepId) -> Result<Study, ReportError> {
    let plan = plan(store, sweep).await?;
    let mut remarks = Vec::new();
    let sweep_file = match get(store, &layout::sweep_file(sweep)).await {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(why) => {
            remarks.push(format!("The sweep file could not be read: {why}."));
            None
        }
    };
    let status = match status(store, sweep).await {
        Ok(status) => status,
        Err(why) => {
            remarks.push(format!("How the sweep ended could not be read: {why}."));
            None
        }
    };
    let images: Vec<&str> = plan
        .figures
        .iter()
        .filter_map(|f| f.file.as_deref())
        .collect();
    let images = &images;
    let outcomes: Vec<Outcome> = futures::stream::iter(plan.tasks.iter())
        .map(|planned| async move { outcome(store, planned, images).await })
        .buffered(CONCURRENCY)
        .collect()
        .await;
    let gaps = gaps(&plan, &outcomes, status.as_ref());
    let mut study = Study {
        plan,
        sweep_file,
        status,
        outcomes,
        remarks,
        bootstraps: Bootstraps::default(),
    };
    for (outcome, gap) in study.outcomes.iter_mut().zip(gaps) {
        outcome.gap = gap;
    }
    Ok(study)
}

async fn plan(store: &Store, sweep: &SweepId) -> Result<Plan, ReportError> {
    let path = layout::plan(sweep);
    let unreadable = |why: String| ReportError::Plan {
        sweep: sweep.clone(),
        why,
    };
    let bytes = get(store, &path).await.map_err(unreadable)?;
    let plan: Plan = serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string()))?;
    if plan.version != PLAN_VERSION {
        return Err(unreadable(format!(
            "its format is {}, and this version reads {PLAN_VERSION}",
            plan.version
        )));
    }
    let known = |index: &usize| *index < plan.tasks.len();
    if !plan.points.iter().all(|p| p.tasks.values().all(known)) {
        return Err(unreadable("a point names a task it does not have".into()));
    }
    Ok(plan)
}

/// `Ok(None)`: the sweep has not ended.
async fn status(store: &Store, sweep: &SweepId) -> Result<Option<SweepStatus>, String> {
    match store.get(&Path::from(layout::outcome(sweep))).await {
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(e.to_string()),
        Ok(found) => {
            let bytes = found.bytes().await.map_err(|e| e.to_string())?;
            serde_json::from_slice(&bytes).map_err(|e| e.to_string())
        }
    }
}

async fn outcome(store: &Store, planned: &PlannedTask, images: &[&str]) -> Outcome {
    let mut outcome = Outcome::default();
    let path = Path::from(layout::manifest(&planned.task.key));
    let manifest = match store.get(&path).await {
        Err(object_store::Error::NotFound { .. }) => return outcome,
        Err(e) => Err(e.to_string()),
        Ok(found) => match found.bytes().await {
            Ok(bytes) => parse_manifest(&bytes, planned),
            Err(e) => Err(e.to_string()),
        },
    };
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(why) => {
            outcome.gap = Some(Gap::new("unreadable", format!("its manifest: {why}")));
            return outcome;
        }
    };
    for file in &manifest.files {
        if file.name == CURVES {
            match checked(store, &manifest, file).await {
                Ok(bytes) => outcome.curves = parse_curves(&bytes, &mut outcome.remarks),
                Err(why) => outcome.remarks.push(format!("{}: {why}", file.name)),
            }
        } else if images.contains(&file.name.as_str()) {
            let image = match checked(store, &manifest, file).await {
                Ok(bytes) if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => Ok(bytes),
                Ok(_) => Err("is not a PNG".to_owned()),
                Err(why) => Err(why),
            };
            if let Err(why) = &image {
                outcome.remarks.push(format!("{}: {why}", file.name));
            }
            outcome.images.insert(file.name.clone(), image);
        }
    }
    outcome.manifest = Some(manifest);
    outcome
}

fn parse_manifest(bytes: &[u8], planned: &PlannedTask) -> Result<Manifest, String> {
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if manifest.version != MANIFEST_VERSION {
        return Err(format!(
            "its format is {}, and this version reads {MANIFEST_VERSION}",
            manifest.version
        ));
    }
    if manifest.task() != planned.task.key {
        return Err(format!("it is of task {}", manifest.task()));
    }
    Ok(manifest)
}

/// Reads a file of a result and checks it against the manifest.
async fn checked(store: &Store, manifest: &Manifest, file: &FileEntry) -> Result<Vec<u8>, String> {
    if file.bytes > MAX_FILE {
        return Err(format!("left out, {} bytes are too many", file.bytes));
    }
    let bytes = get(store, &layout::attempt_file(&manifest.attempt, &file.name)).await?;
    if bytes.len() as u64 != file.bytes {
        return Err(format!(
            "not used: {} bytes long, and its manifest says {}",
            bytes.len(),
            file.bytes
        ));
    }
    let digest = blake3::hash(&bytes).to_hex();
    if digest.as_str() != file.blake3 {
        return Err("not used: its blake3 digest differs from its manifest's".to_owned());
    }
    Ok(bytes)
}

fn parse_curves(bytes: &[u8], remarks: &mut Vec<String>) -> Vec<MetricRow> {
    let (mut rows, mut bad) = (Vec::new(), 0_usize);
    for line in bytes.split(|b| *b == b'\n') {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(row) => rows.push(row),
            Err(_) => bad += 1,
        }
    }
    if bad > 0 {
        remarks.push(format!("{CURVES}: {bad} lines are not metric rows"));
    }
    rows
}

async fn get(store: &Store, path: &str) -> Result<Vec<u8>, String> {
    match store.get(&Path::from(path)).await {
        Ok(found) => match found.bytes().await {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(e) => Err(e.to_string()),
        },
        Err(object_store::Error::NotFound { .. }) => Err(format!("{path} is not in the store")),
        Err(e) => Err(e.to_string()),
    }
}

/// Images of a result, or why one cannot be shown.
pub(super) type Images = BTreeMap<String, Result<Vec<u8>, String>>;
