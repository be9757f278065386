//! Names and shards in a store.

use std::sync::Arc;

use ablate_coordinator::gc;
use ablate_proto::layout;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};

use super::*;

struct Site {
    store: Arc<dyn ObjectStore>,
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            store: Arc::new(InMemory::new()),
            folder: tempfile::tempdir().unwrap(),
        };
        files::idx(site.folder.path(), 30, 10, false);
        site
    }

    async fn import(&self, replace: bool) -> Result<Imported, Error> {
        let wanted = Wanted {
            replace,
            ..wanted(self.folder.path())
        };
        import(&self.store, wanted, Box::new(|_, _| ())).await
    }

    async fn objects(&self) -> Vec<String> {
        let all: Vec<_> = self.store.list(None).try_collect().await.unwrap();
        all.into_iter().map(|o| o.location.to_string()).collect()
    }

    async fn collect(&self) -> u64 {
        let grace = std::time::Duration::ZERO;
        let collected = gc::collect(self.store.clone(), grace, false).await;
        collected.unwrap().total().objects
    }
}

#[tokio::test]
async fn importing_the_same_again_changes_nothing_and_another_needs_to_be_said() {
    let site = Site::new();
    let first = site.import(false).await.unwrap();
    assert!(!first.already);
    assert_eq!(site.objects().await.len(), 4);
    let again = site.import(false).await.unwrap();
    assert!(again.already);
    assert_eq!(again.meta.digest, first.meta.digest);
    files::idx(site.folder.path(), 20, 10, false);
    let refused = site.import(false).await.unwrap_err();
    assert!(matches!(refused, Error::Taken { .. }), "{refused}");
    let named = datasets::digest(&site.store, "mine").await.unwrap();
    assert_eq!(named, Some(first.meta.digest));
    let replaced = site.import(true).await.unwrap();
    let named = datasets::find(&site.store, "mine").await.unwrap();
    assert_eq!(named, Some(replaced.meta));
}

#[tokio::test]
async fn a_collection_keeps_what_a_name_or_a_plan_names() {
    let site = Site::new();
    let old = site.import(false).await.unwrap().meta;
    assert_eq!(site.collect().await, 0);
    files::idx(site.folder.path(), 20, 10, false);
    let new = site.import(true).await.unwrap().meta;
    let plan = serde_json::json!({
        "version": ablate_coordinator::sweep::plan::PLAN_VERSION,
        "tasks": [{ "task": {
            "key": "0".repeat(64),
            "spec": { "kind": "dataset", "parameters": { "digest": old.digest } },
        } }],
    });
    let path = Key::from("sweeps/one/plan.json");
    let body = serde_json::to_vec(&plan).unwrap();
    site.store.put(&path, body.into()).await.unwrap();
    assert_eq!(site.collect().await, 0);
    site.store.delete(&path).await.unwrap();
    // The test images are of both.
    assert_eq!(old.shards[1], new.shards[1]);
    assert_eq!(site.collect().await, 2);
    assert!(datasets::load(&site.store, &old.digest).await.is_err());
    let name = Key::from(layout::dataset_name("mine"));
    site.store.delete(&name).await.unwrap();
    assert_eq!(site.collect().await, 3);
    assert_eq!(site.objects().await, Vec::<String>::new());
    assert!(!site.import(false).await.unwrap().already);
}

#[tokio::test]
async fn what_is_damaged_is_said_and_can_be_replaced() {
    let site = Site::new();
    let meta = site.import(false).await.unwrap().meta;
    let path = Key::from(layout::dataset_meta(&meta.digest));
    let whole = site.store.get(&path).await.unwrap().bytes().await.unwrap();
    for cut in [0, 1, whole.len() / 2, whole.len() - 2] {
        site.store
            .put(&path, whole.slice(..cut).into())
            .await
            .unwrap();
        let broken = datasets::find(&site.store, "mine").await.unwrap_err();
        assert!(broken.to_string().contains("--replace"), "{broken}");
        let kept = gc::collect(site.store.clone(), std::time::Duration::ZERO, false).await;
        assert!(kept.is_err());
    }
    let name = Key::from(layout::dataset_name("mine"));
    site.store.put(&name, "{".into()).await.unwrap();
    assert!(site.import(false).await.is_err());
    assert_eq!(site.import(true).await.unwrap().meta, meta);
    // A shard that was lost comes back by importing again.
    let shard = Key::from(layout::dataset_shard(&meta.shards[0].blake3));
    site.store.delete(&shard).await.unwrap();
    assert!(site.import(false).await.unwrap().already);
    assert!(site.store.head(&shard).await.is_ok());
}

#[tokio::test]
async fn an_import_that_fails_leaves_nothing_under_the_name() {
    let site = Site::new();
    let path = site.folder.path().join("t10k-images-idx3-ubyte");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(site.import(false).await.is_err());
    assert!(datasets::names(&site.store).await.unwrap().is_empty());
    std::fs::write(&path, &bytes).unwrap();
    assert!(!site.import(false).await.unwrap().already);
}
