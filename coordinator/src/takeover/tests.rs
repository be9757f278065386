use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::{PutMode, PutOptions};
use tokio_util::sync::CancellationToken;

use super::*;

const STANDBY: Standby = Standby {
    poll: Duration::from_millis(100),
    after: Duration::from_secs(2),
};

fn current(epoch: u64) -> Current {
    Current {
        epoch,
        id: format!("id-{epoch}"),
        address: format!("127.0.0.1:{epoch}"),
        beat: 0,
        every_ms: 500,
        stopped: false,
    }
}

fn store() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

/// Whether a standby still waits after so long.
async fn waits(store: &Arc<dyn ObjectStore>, time: Duration) -> bool {
    tokio::time::timeout(time, stand_by(store.clone(), STANDBY))
        .await
        .is_err()
}

#[tokio::test(start_paused = true)]
async fn a_standby_waits_while_the_active_one_beats() {
    let store = store();
    let stop = CancellationToken::new();
    let beat = Beat::begin(store.clone(), current(1)).await.unwrap();
    let beating = tokio::spawn(beat.run(stop.clone()));
    assert!(waits(&store, Duration::from_secs(600)).await);
    stop.cancel();
    let beat = beating.await.unwrap();
    // Silence is not enough for a while, then it is.
    assert!(waits(&store, Duration::from_millis(1900)).await);
    let followed = stand_by(store.clone(), STANDBY).await;
    assert!(matches!(followed, Followed::Silent(Some(c)) if c.epoch == 1));
    drop(beat);
}

#[tokio::test(start_paused = true)]
async fn one_that_says_goodbye_is_followed_at_once() {
    let store = store();
    let beat = Beat::begin(store.clone(), current(3)).await.unwrap();
    beat.farewell().await;
    let begun = tokio::time::Instant::now();
    let followed = stand_by(store, STANDBY).await;
    assert!(matches!(followed, Followed::Stopped(Some(c)) if c.epoch == 3));
    assert!(begun.elapsed() < Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn of_many_standbys_one_takes_over_and_another_if_that_one_does_not() {
    let store = store();
    let begun = tokio::time::Instant::now();
    let mut standbys = tokio::task::JoinSet::new();
    for _ in 0..8 {
        standbys.spawn(stand_by(store.clone(), STANDBY));
    }
    assert_eq!(
        standbys.join_next().await.unwrap().unwrap(),
        Followed::Nobody
    );
    // It dies before it serves: the next one gives it its time first.
    standbys.join_next().await.unwrap().unwrap();
    assert!(begun.elapsed() >= STANDBY.after);
    // That one serves, so the others wait.
    let stop = CancellationToken::new();
    let beat = Beat::begin(store, current(1)).await.unwrap();
    let _beating = tokio::spawn(beat.run(stop));
    let next = tokio::time::timeout(Duration::from_secs(60), standbys.join_next());
    assert!(next.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_old_one_that_wakes_up_misleads_nobody() {
    let store = store();
    let stop = CancellationToken::new();
    let old = Beat::begin(store.clone(), current(4)).await.unwrap();
    Beat::begin(store.clone(), current(5)).await.unwrap();
    // What the older left is removed, and comes back.
    let gone = store.get(&Path::from(layout::coordinator(4))).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })));
    let beating = tokio::spawn(old.run(stop.clone()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(store.get(&Path::from(layout::coordinator(4))).await.is_ok());
    assert_eq!(find(&store).await.unwrap().unwrap().epoch, 5);
    stop.cancel();
    beating.await.unwrap().farewell().await;
    assert!(!find(&store).await.unwrap().unwrap().stopped);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_object_does_not_keep_a_standby_from_its_work() {
    let store = store();
    let path = Path::from(layout::coordinator(2));
    let torn = PutOptions::from(PutMode::Overwrite);
    store
        .put_opts(&path, "{\"epoch\": 2, \"addr".into(), torn)
        .await
        .unwrap();
    assert_eq!(find(&store).await.unwrap(), None);
    assert!(waits(&store, Duration::from_millis(1500)).await);
    let followed = stand_by(store, STANDBY).await;
    assert_eq!(followed, Followed::Silent(None));
}
