use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use super::*;
use crate::bent_store::{Bend, Bent};

#[tokio::test]
async fn good_stores_pass_and_are_left_empty() {
    let folder = tempfile::tempdir().unwrap();
    let local = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let stores: [Arc<dyn ObjectStore>; 2] = [Arc::new(InMemory::new()), Arc::new(local)];
    for store in stores {
        check(&store, Probe::SERVER).await.unwrap();
        let left: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert_eq!(left, []);
    }
}

async fn refused(bend: Bend) -> ProbeError {
    let bent = Bent::new(bend);
    let error = check(&bent, Probe::SERVER).await.unwrap_err();
    let left: Vec<_> = bent.inner.list(None).try_collect().await.unwrap();
    assert_eq!(left, [], "what the probe wrote is still there");
    error
}

#[tokio::test]
async fn a_store_that_ignores_conditions_now_and_then_is_refused() {
    let count = AtomicU64::new(0);
    // One of 40, at the most: not every race is lost.
    let seldom = move |key: &str, mode: &PutMode| {
        let creates = key.contains("probe") && matches!(mode, PutMode::Create);
        creates && count.fetch_add(1, Ordering::Relaxed) % 40 == 39
    };
    let error = refused(Bend::Unconditional(Box::new(seldom))).await;
    let ProbeError::Winners { doubled, keys, .. } = error else {
        panic!("{error}")
    };
    assert!((1..keys).contains(&doubled), "{doubled} of {keys}");
    let error = refused(Bend::Unconditional(Box::new(|_, _| true))).await;
    assert!(matches!(error, ProbeError::Winners { .. }), "{error}");
}

#[tokio::test]
async fn a_store_without_conditions_is_refused() {
    let error = refused(Bend::NoConditions).await;
    assert!(matches!(error, ProbeError::Unconditional(_)), "{error}");
}

#[tokio::test]
async fn a_store_that_lists_late_or_reads_late_is_refused() {
    let error = refused(Bend::ListsLate).await;
    assert!(matches!(error, ProbeError::Unlisted { .. }), "{error}");
    let error = refused(Bend::ReadsLate).await;
    assert!(matches!(error, ProbeError::Stale), "{error}");
}

#[tokio::test]
async fn a_winner_who_is_told_otherwise_is_no_lie() {
    // As after a repetition that met its own bytes.
    Bent::new(Bend::CommitsAndDenies)
        .probe()
        .await
        .expect("honest");
}
