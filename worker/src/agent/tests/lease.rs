//! Leases that run out while their worker works.

use std::time::Duration;

use ablate_proto::layout;
use tokio::time::sleep;

use super::fake_coordinator::Coordinator;
use super::{Worker, task};

#[tokio::test]
async fn an_expired_lease_publishes_nothing_before_it_is_confirmed() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(&coordinator, |s| s.slots = 2);
    let (mut peer, _) = coordinator.session().await;
    // Its answer comes at once, the next heartbeat long after the lease.
    peer.welcome(400, 1500).await;
    assert_eq!(peer.beat().await, (Vec::new(), false));
    let unwanted = peer.assign(&task(1, "", true, 700), 1).await;
    let wanted = peer.assign(&task(2, "", true, 700), 1).await;
    sleep(Duration::from_millis(1200)).await;
    let results = [&unwanted, &wanted].map(|a| layout::manifest(&a.task));
    let none = |keys: Vec<String>| results.iter().all(|r| !keys.contains(r));
    assert!(none(worker.keys().await));
    // It notices, and asks.
    assert_eq!(peer.hear().await, None);
    let (mut peer, hello) = coordinator.session().await;
    assert_eq!(hello.holding.len(), 2);
    assert!(none(worker.keys().await));
    peer.welcome(30_000, 100).await;
    peer.drop_attempt(unwanted).await;
    assert_eq!(peer.commit().await.0, wanted);
    peer.ack(wanted).await;
    let keys = worker.keys().await;
    assert!(!keys.contains(&results[0]) && keys.contains(&results[1]));
    worker.end().await.unwrap();
}
