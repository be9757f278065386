use ablate_proto::artifact::{MANIFEST_VERSION, Manifest, Provenance};
use ablate_proto::id::AttemptId;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use super::*;
use crate::sweep::plan::PLAN_VERSION;

const DAY: Duration = Duration::from_secs(86_400);

struct Site(Arc<dyn ObjectStore>);

fn key(index: u8) -> TaskKey {
    TaskKey::from_bytes([index; 32])
}

impl Site {
    fn new() -> Self {
        Self(Arc::new(InMemory::new()))
    }

    async fn put(&self, path: impl Into<String>, body: impl Into<Vec<u8>>) {
        let path = Path::from(path.into());
        self.0.put(&path, body.into().into()).await.unwrap();
    }

    async fn plan(&self, sweep: &str, tasks: &[u8]) {
        let tasks: Vec<_> = tasks
            .iter()
            .map(|index| serde_json::json!({ "task": { "key": key(*index) } }))
            .collect();
        let plan = serde_json::json!({ "version": PLAN_VERSION, "tasks": tasks });
        self.put(format!("sweeps/{sweep}/plan.json"), plan.to_string())
            .await;
    }

    /// A task whose result is of this attempt.
    async fn task(&self, index: u8, number: u32) {
        let task = key(index);
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            attempt: AttemptId { task, number },
            writer: "w".parse().unwrap(),
            nonce: String::new(),
            label: String::new(),
            kind: String::new(),
            spec: serde_json::Value::Null,
            seed: 0,
            inputs: Vec::new(),
            data_digest: None,
            provenance: Provenance {
                build: String::new(),
                host: String::new(),
                device: String::new(),
                threads: 1,
                started_ms: 0,
                seconds: 0.0,
                resumed_from: None,
            },
            files: Vec::new(),
            metrics: Vec::new(),
        };
        let body = serde_json::to_vec(&manifest).unwrap();
        self.put(layout::manifest(&task), body).await;
        self.file(index, number, "model").await;
    }

    async fn file(&self, index: u8, attempt: u32, name: &str) {
        let path = format!("tasks/{}/{attempt}/{name}", key(index));
        self.put(path, "0123456789").await;
    }

    async fn left(&self) -> Vec<String> {
        let all: Vec<_> = self.0.list(None).try_collect().await.unwrap();
        let mut names: Vec<_> = all
            .into_iter()
            .map(|object| object.location.to_string())
            .filter(|name| !name.starts_with("sweeps/"))
            .collect();
        names.sort();
        names
    }

    async fn collect(&self, grace: Duration) -> Collected {
        collect(self.0.clone(), grace, false).await.unwrap()
    }
}

#[tokio::test]
async fn what_no_plan_names_goes_and_the_rest_stays() {
    let site = Site::new();
    site.plan("one", &[1, 2]).await;
    site.plan("two", &[2, 3]).await;
    for index in 1..=4 {
        site.task(index, 1).await;
    }
    // Running, and tried before: the next attempt may go on from there.
    site.plan("three", &[5]).await;
    site.file(5, 1, "checkpoint-3-x.safetensors").await;
    site.file(5, 2, "log.txt").await;
    site.put("state/wal/1.sst", "x").await;
    site.put("tasks/odd", "x").await;
    let before = site.left().await;
    let dry = collect(site.0.clone(), Duration::ZERO, true).await.unwrap();
    assert_eq!(site.left().await, before);
    assert_eq!((dry.sweeps, dry.kept_tasks), (3, 4));
    let manifest = site.0.head(&Path::from(layout::manifest(&key(4)))).await;
    let bytes = manifest.unwrap().size + 10;
    let expected = Amount { objects: 2, bytes };
    assert_eq!(dry.removed, [(Why::Unreferenced, expected)].into());
    assert_eq!(site.collect(Duration::ZERO).await, dry);
    let gone = format!("tasks/{}/", key(4));
    let kept: Vec<String> = before
        .into_iter()
        .filter(|n| !n.starts_with(&gone))
        .collect();
    assert_eq!(site.left().await, kept);
    assert_eq!(
        site.collect(Duration::ZERO).await.total(),
        Amount::default()
    );
}

#[tokio::test]
async fn of_an_ended_task_only_the_attempt_that_counts_stays() {
    let site = Site::new();
    site.plan("one", &[1]).await;
    site.task(1, 2).await;
    site.file(1, 1, "model").await;
    site.file(1, 2, "checkpoint-3-x.safetensors").await;
    site.file(1, 3, "log.txt").await;
    let collected = site.collect(Duration::ZERO).await;
    assert_eq!(collected.removed[&Why::OtherAttempt].objects, 2);
    assert_eq!(collected.removed[&Why::Checkpoint].objects, 1);
    let task = key(1);
    assert_eq!(
        site.left().await,
        [format!("tasks/{task}/2/model"), layout::manifest(&task)]
    );
}

#[tokio::test]
async fn what_is_young_stays() {
    let site = Site::new();
    site.task(1, 1).await;
    site.file(1, 2, "x").await;
    site.put("probe/a-1", "x").await;
    let before = site.left().await;
    assert_eq!(site.collect(DAY).await.total(), Amount::default());
    assert_eq!(site.left().await, before);
}

#[tokio::test]
async fn leftovers_of_coordinators_go_but_not_the_newest_sign_of_life() {
    let site = Site::new();
    for name in [
        layout::coordinator(3),
        layout::coordinator(4),
        layout::takeover(3, 0),
    ] {
        site.put(name, "x").await;
    }
    site.put(layout::takeover(4, 1), "x").await;
    site.put("probe/a-1", "x").await;
    let collected = site.collect(Duration::ZERO).await;
    assert_eq!(collected.removed[&Why::Probe].objects, 1);
    let newest = layout::coordinator(4);
    assert_eq!(site.left().await, [newest, layout::takeover(4, 1)]);
}

#[tokio::test]
async fn a_plan_that_cannot_be_read_keeps_everything() {
    for body in ["{\"version\": 1, \"tas", "{\"version\": 99, \"tasks\": []}"] {
        let site = Site::new();
        site.plan("good", &[]).await;
        site.task(1, 1).await;
        site.put("sweeps/bad/plan.json", body).await;
        let before = site.left().await;
        let error = collect(site.0.clone(), Duration::ZERO, false).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("sweep bad"), "{error}");
        assert_eq!(site.left().await, before);
    }
}

#[tokio::test]
async fn files_that_no_plan_names_go() {
    let site = Site::new();
    let [used, unused] = ["a", "b"].map(|digit| digit.repeat(64));
    for digest in [&used, &unused] {
        site.put(layout::travelling_file(digest), "echo").await;
    }
    let task = serde_json::json!({"key": key(1), "spec": {
        "kind": "command", "parameters": {"files": {"run.sh": used}}}});
    let plan = serde_json::json!({"version": PLAN_VERSION, "tasks": [{"task": task}]});
    site.put("sweeps/s/plan.json", plan.to_string()).await;
    assert_eq!(site.collect(DAY).await.total(), Amount::default());
    let collected = site.collect(Duration::ZERO).await;
    let file = Amount {
        objects: 1,
        bytes: 4,
    };
    assert_eq!(collected.removed, [(Why::File, file)].into());
    assert_eq!(site.left().await, [layout::travelling_file(&used)]);
    // A submission that wants one that is about to go waits.
    let mut mark = Mark::set(site.0.clone()).await.unwrap();
    let files = HashSet::from([used.clone()]);
    mark.name(&HashSet::new(), &files).await.unwrap();
    let plan = Path::from("sweeps/s/plan.json");
    let other = HashSet::from([unused]);
    let_pass(&site.0, &plan, HashSet::new, &other)
        .await
        .unwrap();
    let waits = let_pass(&site.0, &plan, HashSet::new, &files);
    let waited = tokio::time::timeout(Duration::from_secs(1), waits).await;
    assert!(waited.is_err());
}

/// Of a submission and a collection at the same time, one sees the other.
#[tokio::test(start_paused = true)]
async fn a_submission_and_a_collection_see_each_other() {
    let site = Site::new();
    site.task(1, 1).await;
    // The collection has looked, and found it unreferenced.
    let mut mark = Mark::set(site.0.clone()).await.unwrap();
    mark.name(&HashSet::from([key(1)]), &HashSet::new())
        .await
        .unwrap();
    site.plan("new", &[1]).await;
    let plan = Path::from("sweeps/new/plan.json");
    let (wanted, other) = (HashSet::from([key(1)]), HashSet::from([key(2)]));
    let none = HashSet::new();
    let_pass(&site.0, &plan, || other.clone(), &none)
        .await
        .unwrap();
    let busy = let_pass(&site.0, &plan, || wanted.clone(), &none).await;
    assert!(matches!(busy, Err(Pending::Busy(_))));
    let waiting = {
        let (store, wanted) = (site.0.clone(), wanted.clone());
        tokio::spawn(
            async move { let_pass(&store, &plan, || wanted.clone(), &HashSet::new()).await },
        )
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!waiting.is_finished());
    mark.lift().await;
    waiting.await.unwrap().unwrap();
    // The other way round: the plan was there before the mark.
    let collected = site.collect(Duration::ZERO).await;
    assert_eq!(collected.total(), Amount::default());
}
