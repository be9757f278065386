//! Artefacts against stores in memory and on disk, sound and spoilt.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ablate_proto::artifact::{FileEntry, MANIFEST_VERSION, Manifest, Provenance};
use ablate_proto::failure::{Failure, FailureClass};
use ablate_proto::id::{AttemptId, TaskKey};
use ablate_proto::layout;
use object_store::ObjectStore;
use object_store::memory::InMemory;

use self::spoilt::{Spoilt, exists, generic};
use super::*;

mod fuzz;
mod shards;
mod spoilt;

fn store(inner: Arc<dyn ObjectStore>) -> Store {
    Store::new(inner, Duration::from_secs(5))
}

fn memory() -> Store {
    store(Arc::new(InMemory::new()))
}

fn task() -> TaskKey {
    TaskKey::from_bytes([7; 32])
}

fn attempt(number: u32) -> AttemptId {
    AttemptId {
        task: task(),
        number,
    }
}

fn manifest(attempt: AttemptId, nonce: &str, files: Vec<FileEntry>) -> Manifest {
    Manifest {
        version: MANIFEST_VERSION,
        attempt,
        writer: "box-1".parse().unwrap(),
        nonce: nonce.to_owned(),
        label: String::new(),
        kind: "noop".to_owned(),
        spec: serde_json::json!({}),
        seed: 0,
        inputs: vec![],
        data_digest: None,
        provenance: Provenance {
            build: String::new(),
            host: String::new(),
            device: "cpu".to_owned(),
            threads: 1,
            started_ms: 0,
            seconds: 1.0,
            resumed_from: None,
        },
        files,
        metrics: vec![],
    }
}

async fn publish_now(store: &Store, manifest: &Manifest) -> Result<Published, ArtifactError> {
    publish(store, manifest, || std::future::ready(())).await
}

/// Uploads files and publishes them.
async fn artifact(store: &Store, attempt: AttemptId, files: &[(&str, &[u8])]) -> Manifest {
    let out = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(out.path().join(name), bytes).unwrap();
    }
    let entries = upload_folder(store, &attempt, out.path()).await.unwrap();
    let manifest = manifest(attempt, "n", entries);
    publish_now(store, &manifest).await.unwrap();
    manifest
}

async fn cache(root: &Path, limit: u64) -> Cache {
    Cache::open(root.to_owned(), limit).await.unwrap()
}

fn class(error: ArtifactError) -> FailureClass {
    Failure::from(error).class
}

#[tokio::test]
async fn of_many_writers_one_wins_and_all_agree() {
    let folder = tempfile::tempdir().unwrap();
    let disk = object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    for inner in [
        Arc::new(InMemory::new()) as Arc<dyn ObjectStore>,
        Arc::new(disk),
    ] {
        let store = store(inner);
        let writers = (1..=32).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let manifest = manifest(attempt(number), &number.to_string(), vec![]);
                publish_now(&store, &manifest).await.unwrap()
            })
        });
        let published = futures::future::try_join_all(writers).await.unwrap();
        let own = published.iter().filter(|p| matches!(p, Published::Own(_)));
        assert_eq!(own.count(), 1);
        let (winner, digest) = load(&store, &task()).await.unwrap().unwrap();
        for one in published {
            match one {
                Published::Own(own) => assert_eq!(own, digest),
                Published::Taken(other, other_digest) => {
                    assert_eq!((*other, other_digest), (winner.clone(), digest));
                }
            }
        }
    }
}

#[tokio::test]
async fn an_own_write_is_recognised_behind_a_spoilt_answer() {
    for answer in [generic, exists] {
        let spoilt = Spoilt::new(answer);
        spoilt.creations.store(1, Ordering::SeqCst);
        spoilt.reads.store(2, Ordering::SeqCst);
        let store = store(Arc::new(spoilt));
        let own = publish_now(&store, &manifest(attempt(1), "a", vec![])).await;
        assert!(matches!(own, Ok(Published::Own(_))), "{own:?}");
        let late = publish_now(&store, &manifest(attempt(2), "b", vec![])).await;
        assert!(matches!(late, Ok(Published::Taken(m, _)) if m.nonce == "a"));
    }
}

#[tokio::test]
async fn a_write_that_did_not_happen_is_tried_again_behind_the_gate() {
    let spoilt = Spoilt::new(generic);
    spoilt.refusals.store(2, Ordering::SeqCst);
    let store = store(Arc::new(spoilt));
    let asked = AtomicUsize::new(0);
    let gate = || {
        asked.fetch_add(1, Ordering::SeqCst);
        std::future::ready(())
    };
    let own = publish(&store, &manifest(attempt(1), "a", vec![]), gate).await;
    assert!(matches!(own, Ok(Published::Own(_))));
    assert_eq!(asked.into_inner(), 3);
}

#[tokio::test]
async fn a_store_that_stays_away_is_transient() {
    let spoilt = Spoilt::new(generic);
    spoilt.refusals.store(usize::MAX, Ordering::SeqCst);
    let store = Store::new(Arc::new(spoilt), Duration::from_millis(300));
    let failed = publish_now(&store, &manifest(attempt(1), "a", vec![])).await;
    assert_eq!(class(failed.unwrap_err()), FailureClass::TransientIo);
}

#[tokio::test]
async fn files_large_and_small_come_back_as_they_were() {
    let store = memory();
    let large: Vec<u8> = (0..20_000_000u32).map(|i| (i % 251) as u8).collect();
    let exact = vec![3; 8 << 20];
    let files: [(&str, &[u8]); 4] = [
        ("large", &large),
        ("exact", &exact),
        ("small", b"small"),
        ("empty", b""),
    ];
    artifact(&store, attempt(1), &files).await;
    let root = tempfile::tempdir().unwrap();
    let cache = cache(root.path(), 1 << 30).await;
    let cached = cache.get(&store, task()).await.unwrap();
    for (name, bytes) in files {
        let found = std::fs::read(cached.folder.join(name)).unwrap();
        assert!(found == bytes, "{name}");
    }
}

#[tokio::test]
async fn folders_links_and_odd_names_are_not_uploaded() {
    let store = memory();
    let spoil: [fn(&Path); 3] = [
        |out| std::fs::create_dir(out.join("sub")).unwrap(),
        |out| std::os::unix::fs::symlink("/etc/passwd", out.join("link")).unwrap(),
        |out| std::fs::write(out.join("a b"), "").unwrap(),
    ];
    for spoil in spoil {
        let out = tempfile::tempdir().unwrap();
        spoil(out.path());
        let refused = upload_folder(&store, &attempt(1), out.path()).await;
        assert_eq!(class(refused.unwrap_err()), FailureClass::Bug);
    }
}

#[tokio::test]
async fn hostile_manifests_write_nothing() {
    let entry = |name: &str| FileEntry {
        name: name.to_owned(),
        bytes: 1,
        blake3: blake3::hash(b"x").to_string(),
    };
    let hostile = [
        manifest(attempt(1), "n", vec![entry("../evil")]),
        manifest(attempt(1), "n", vec![entry("/tmp/evil")]),
        manifest(attempt(1), "n", vec![entry("a"), entry("a")]),
        Manifest {
            version: 99,
            ..manifest(attempt(1), "n", vec![])
        },
        manifest(
            AttemptId {
                task: TaskKey::from_bytes([8; 32]),
                number: 1,
            },
            "n",
            vec![],
        ),
    ];
    for manifest in hostile {
        let store = memory();
        let text = serde_json::to_vec(&manifest).unwrap();
        store
            .put(&layout::manifest(&task()), text.into())
            .await
            .unwrap();
        let root = tempfile::tempdir().unwrap();
        let cache = cache(&root.path().join("cache"), 1 << 30).await;
        let refused = cache.get(&store, task()).await.unwrap_err();
        assert_eq!(class(refused), FailureClass::Data);
        let left: Vec<_> = std::fs::read_dir(root.path().join("cache"))
            .unwrap()
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn missing_short_and_flipped_inputs_name_the_file() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(root.path(), 1 << 30).await;
    let store = memory();
    let missing = cache.get(&store, task()).await.unwrap_err();
    assert!(missing.to_string().contains("manifest.json"), "{missing}");
    assert_eq!(class(missing), FailureClass::Data);
    artifact(&store, attempt(1), &[("weights", b"0123456789")]).await;
    let key = layout::attempt_file(&attempt(1), "weights");
    for broken in [&b"012345678"[..], b"012345678X"] {
        store.put(&key, broken.to_vec().into()).await.unwrap();
        let error = cache.get(&store, task()).await.unwrap_err();
        assert!(error.to_string().contains("weights"), "{error}");
        assert_eq!(class(error), FailureClass::Data);
    }
    store.delete(&key).await;
    let error = cache.get(&store, task()).await.unwrap_err();
    assert!(error.to_string().contains("weights"), "{error}");
    store
        .put(&key, b"0123456789".to_vec().into())
        .await
        .unwrap();
    assert!(cache.get(&store, task()).await.is_ok());
}

#[tokio::test]
async fn requests_for_one_artifact_share_its_download() {
    let inner = Arc::new(Spoilt::new(generic));
    let store = store(inner.clone());
    artifact(&store, attempt(1), &[("a", b"1"), ("b", b"2")]).await;
    let root = tempfile::tempdir().unwrap();
    let cache = cache(root.path(), 1 << 30).await;
    inner.gets.store(0, Ordering::SeqCst);
    let requests = (0..16).map(|_| cache.get(&store, task()));
    let cached = futures::future::try_join_all(requests).await.unwrap();
    assert!(cached.iter().all(|c| c.folder == cached[0].folder));
    assert_eq!(inner.gets.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn the_cache_survives_its_worker_and_heals() {
    let inner = Arc::new(Spoilt::new(generic));
    let store = store(inner.clone());
    artifact(&store, attempt(1), &[("a", b"12345")]).await;
    let root = tempfile::tempdir().unwrap();
    let file = {
        let cache = cache(root.path(), 1 << 30).await;
        cache.get(&store, task()).await.unwrap().folder.join("a")
    };
    std::fs::create_dir_all(root.path().join(".x.part/files")).unwrap();
    let next = cache(root.path(), 1 << 30).await;
    assert!(!root.path().join(".x.part").exists());
    inner.gets.store(0, Ordering::SeqCst);
    next.get(&store, task()).await.unwrap();
    next.get(&store, task()).await.unwrap();
    assert_eq!(inner.gets.load(Ordering::SeqCst), 1, "the manifest alone");
    std::fs::write(&file, "1").unwrap();
    next.get(&store, task()).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"12345");
    // Of the right size, and yet another file: found when a new worker
    // takes the cache over.
    std::fs::write(&file, "12346").unwrap();
    let last = cache(root.path(), 1 << 30).await;
    last.get(&store, task()).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"12345");
}

#[tokio::test]
async fn the_cache_evicts_the_longest_unused_but_nothing_in_use() {
    let store = memory();
    let tasks: Vec<TaskKey> = (0..4).map(|i| TaskKey::from_bytes([i; 32])).collect();
    for task in &tasks {
        let attempt = AttemptId {
            task: *task,
            number: 1,
        };
        artifact(&store, attempt, &[("a", &[0; 1000])]).await;
    }
    let root = tempfile::tempdir().unwrap();
    let cache = cache(root.path(), 2500).await;
    let held = cache.get(&store, tasks[0]).await.unwrap();
    let second = cache.get(&store, tasks[1]).await.unwrap().folder;
    let third = cache.get(&store, tasks[2]).await.unwrap().folder;
    assert!(held.folder.exists() && third.exists());
    assert!(!second.exists());
    drop(held);
    cache.get(&store, tasks[2]).await.unwrap();
    let fourth = cache.get(&store, tasks[3]).await.unwrap().folder;
    assert!(third.exists() && fourth.exists());
    assert!(!root.path().join(tasks[0].to_string()).exists());
}

#[tokio::test]
async fn a_torn_checkpoint_falls_back_to_the_one_before() {
    let store = memory();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("c");
    assert_eq!(
        newest_intact(
            &store,
            stored(&store, &task()).await.unwrap(),
            scratch.path()
        )
        .await
        .unwrap(),
        None
    );
    let mut checkpoints = Checkpoints::new(attempt(1));
    for step in [5, 90, 100] {
        std::fs::write(&file, format!("state at {step}")).unwrap();
        checkpoints.upload(&store, step, &file).await.unwrap();
    }
    let keys = || async {
        let objects = store.list(&layout::task_dir(&task())).await.unwrap();
        let mut keys: Vec<String> = objects.iter().map(|o| o.location.to_string()).collect();
        keys.sort_by_key(String::len);
        keys
    };
    let kept = keys().await;
    assert_eq!(kept.len(), 2, "{kept:?}");
    let mut of_another_attempt = Checkpoints::new(attempt(2));
    std::fs::write(&file, "state at 95").unwrap();
    of_another_attempt.upload(&store, 95, &file).await.unwrap();
    let newest = async || {
        let stored = stored(&store, &task()).await.unwrap();
        assert!(!stored.result);
        let found = newest_intact(&store, stored, scratch.path()).await.unwrap();
        found.map(|fetched| std::fs::read_to_string(fetched.file).unwrap())
    };
    assert_eq!(newest().await.unwrap(), "state at 100");
    store
        .put(&kept[1], b"state at 1".to_vec().into())
        .await
        .unwrap();
    assert_eq!(newest().await.unwrap(), "state at 95");
    delete_all(&store, &task()).await;
    assert_eq!(newest().await, None);
    assert!(keys().await.is_empty());
}
