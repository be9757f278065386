//! Sweeps whose store is S3, through a real server (`moto_server`).
//! `.ci/run` runs them; `ABLATE_TEST_MOTO` says where the server is.

use std::time::Duration;

use crate::support::{SHORT, attempts, quickstart, sleepers};
use moto::{Moto, assert_no_canary};

#[path = "s3/faults.rs"]
mod faults;
#[path = "s3/moto.rs"]
mod moto;
#[path = "s3/proxy.rs"]
mod proxy;

#[test]
#[ignore = "needs an S3 server; see this file"]
fn s3_a_sweep_runs_and_is_reused() {
    let Some(moto) = Moto::start() else { return };
    let site = moto.site();
    let file = quickstart();
    let mut run = vec!["run", &file, "--json"];
    run.extend(SHORT);
    run.extend(["--set", "decoder.sigma=0.5,1.0", "--set", "gamma=3"]);
    let first = site.json(&run);
    assert_eq!(first["reused"], 0);
    assert_eq!(first["done"], first["tasks"]);
    let second = site.json(&run);
    assert_eq!(second["reused"], first["done"]);
    // Below the prefix, and nowhere else.
    let listed = moto.ask("GET /bucket?list-type=2&delimiter=/");
    assert!(listed.contains("<Prefix>some/</Prefix>"), "{listed}");
    assert!(!listed.contains("<Key>"), "{listed}");
    assert_no_canary(&site);
}

#[test]
#[ignore = "needs an S3 server; see this file"]
fn s3_a_killed_coordinator_forgets_nothing() {
    let Some(moto) = Moto::start() else { return };
    let site = moto.site();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.clone();
    let _a = site.worker(&join, "a");
    let _b = site.worker(&join, "b");
    let file = site.write("nap.toml", sleepers("nap", 8, 1000));
    site.json(&["submit", file.to_str().unwrap(), "--join", &join, "--json"]);
    let before = site.wait_for(&join, "nap", |s| s["done"].as_u64() >= Some(2));
    coordinator.process.kill();
    std::thread::sleep(Duration::from_millis(500));
    let _coordinator = site.coordinator(&join);
    let after = site.wait_for(&join, "nap", |_| true);
    assert!(after["done"].as_u64() >= before["done"].as_u64());
    let status = site.wait_for(&join, "nap", |s| s["state"] == "done");
    assert_eq!(attempts(&status), [1; 8], "done again: {status:#}");
    assert_no_canary(&site);
}

#[test]
#[ignore = "needs an S3 server; see this file"]
fn s3_a_killed_worker_costs_only_what_it_ran() {
    let Some(moto) = Moto::start() else { return };
    let site = moto.site();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let a = site.worker(join, "a");
    let _b = site.worker(join, "b");
    let file = site.write("nap.toml", sleepers("nap", 6, 1000));
    site.json(&["submit", file.to_str().unwrap(), "--join", join, "--json"]);
    site.wait_for(join, "nap", |s| {
        s["done"].as_u64() >= Some(1) && s["running"].as_u64() >= Some(2)
    });
    a.kill();
    let status = site.wait_for(join, "nap", |s| s["state"] == "done");
    let attempts = attempts(&status);
    let again = attempts.iter().filter(|n| **n == 2).count();
    assert!((1..=2).contains(&again), "{attempts:?}");
    assert!(attempts.iter().all(|n| *n <= 2), "{attempts:?}");
    assert_no_canary(&site);
}
