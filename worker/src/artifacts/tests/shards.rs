//! Shards of imported data sets in the cache.

use super::*;

async fn shards(store: &Store, count: u8) -> Vec<String> {
    let mut names = Vec::new();
    for n in 0..count {
        let bytes = vec![n; 1000];
        let blake3 = blake3::hash(&bytes).to_hex().to_string();
        let key = layout::dataset_shard(&blake3);
        store.put(&key, bytes.into()).await.unwrap();
        names.push(blake3);
    }
    names
}

#[tokio::test]
async fn requests_for_one_shard_share_its_download_and_a_later_worker_has_it() {
    let inner = Arc::new(Spoilt::new(generic));
    let store = store(inner.clone());
    let name = &shards(&store, 1).await[0];
    let root = tempfile::tempdir().unwrap();
    let first = cache(root.path(), 1 << 30).await;
    inner.gets.store(0, Ordering::SeqCst);
    let requests = (0..16).map(|_| first.shard(&store, name, 1000));
    let cached = futures::future::try_join_all(requests).await.unwrap();
    let file = cached[0].shard_file();
    assert_eq!(std::fs::read(&file).unwrap(), [0; 1000]);
    let next = cache(root.path(), 1 << 30).await;
    next.shard(&store, name, 1000).await.unwrap();
    assert_eq!(inner.gets.load(Ordering::SeqCst), 1);
    // Of the right size, and another; cut short; gone.
    let spoil: [&dyn Fn(); 3] = [
        &|| std::fs::write(&file, [1; 1000]).unwrap(),
        &|| std::fs::write(&file, [0; 10]).unwrap(),
        &|| std::fs::remove_file(&file).unwrap(),
    ];
    for spoil in spoil {
        spoil();
        let later = cache(root.path(), 1 << 30).await;
        later.shard(&store, name, 1000).await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), [0; 1000]);
    }
}

#[tokio::test]
async fn shards_and_artefacts_share_the_bound() {
    let store = memory();
    let names = shards(&store, 3).await;
    artifact(&store, attempt(1), &[("a", &[0; 1000])]).await;
    let root = tempfile::tempdir().unwrap();
    let cache = cache(root.path(), 2500).await;
    let held = cache.shard(&store, &names[0], 1000).await.unwrap();
    let second = cache.get(&store, task()).await.unwrap().folder;
    let third = cache.shard(&store, &names[1], 1000).await.unwrap();
    assert!(held.shard_file().exists() && third.shard_file().exists());
    assert!(!second.exists());
    drop((held, third));
    cache.shard(&store, &names[2], 1000).await.unwrap();
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn a_shard_that_is_absent_or_another_is_no_shard() {
    let store = memory();
    let name = &shards(&store, 1).await[0];
    let root = tempfile::tempdir().unwrap();
    let cache = cache(root.path(), 1 << 30).await;
    let missing = cache.shard(&store, &"0".repeat(64), 5).await.unwrap_err();
    assert!(matches!(missing, ArtifactError::Missing(_)), "{missing}");
    let short = cache.shard(&store, name, 999).await.unwrap_err();
    assert!(matches!(short, ArtifactError::Broken { .. }), "{short}");
    let key = layout::dataset_shard(name);
    store.put(&key, vec![9; 1000].into()).await.unwrap();
    let other = cache.shard(&store, name, 1000).await.unwrap_err();
    assert!(matches!(other, ArtifactError::Broken { .. }), "{other}");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    store.put(&key, vec![0; 1000].into()).await.unwrap();
    cache.shard(&store, name, 1000).await.unwrap();
}
