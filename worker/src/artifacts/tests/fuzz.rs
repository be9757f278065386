//! Manifests from anybody: an error or a manifest, never a panic, and nothing
//! is written outside the cache.

use proptest::prelude::*;

use super::*;

/// Bytes replaced, put in, taken out.
fn spoil(bytes: &mut Vec<u8>, changes: &[(usize, u8, u8)]) {
    for (at, byte, how) in changes {
        let at = at % (bytes.len() + 1);
        match how % 4 {
            0 if at < bytes.len() => bytes[at] = *byte,
            1 => bytes.insert(at, *byte),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => {}
        }
    }
}

fn text() -> Vec<u8> {
    let entry = |name: &str, bytes: u64| FileEntry {
        name: name.to_owned(),
        bytes,
        blake3: blake3::hash(name.as_bytes()).to_string(),
    };
    let files = vec![entry("a", 1), entry("b", u64::MAX), entry("c", 7)];
    serde_json::to_vec(&manifest(attempt(1), "n", files)).unwrap()
}

async fn read(text: Vec<u8>) {
    let store = memory();
    let key = layout::manifest(&task());
    store.put(&key, text.into()).await.unwrap();
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root.path().join("cache"), 1 << 20).await;
    if let Err(error) = cache.get(&store, task()).await {
        assert!(!error.to_string().is_empty());
    }
    let names: Vec<_> = std::fs::read_dir(root.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn manifests_that_are_spoilt(
        changes in prop::collection::vec((0..2000usize, any::<u8>(), any::<u8>()), 1..6),
    ) {
        let mut text = text();
        spoil(&mut text, &changes);
        runtime().block_on(read(text));
    }

    #[test]
    fn names_of_any_kind(name in ".{0,40}", bytes in any::<u64>()) {
        let entry = FileEntry { name, bytes, blake3: String::new() };
        let text = serde_json::to_vec(&manifest(attempt(1), "n", vec![entry])).unwrap();
        runtime().block_on(read(text));
    }
}
