//! Processes that stand still and wake up again: SIGSTOP, SIGCONT.

use std::time::Duration;

use serde_json::Value;

use crate::support::proxy::{Cut, Proxy};
use crate::support::{LEASE, Site, makers, sleepers};

fn running(status: &Value) -> bool {
    status["running"].as_u64() >= Some(1)
}

fn done(status: &Value) -> bool {
    status["state"] == "done"
}

/// It sleeps through the end of its lease, with a result in its hands: that
/// of the other worker stands.
#[test]
fn a_frozen_workers_result_comes_too_late() {
    let site = Site::new().short_leases();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let a = site.worker(join, "a");
    site.submit(join, "late", &makers("late", 0..1, 1000));
    site.wait_for(join, "late", running);
    let b = site.worker(join, "b");
    // Only the agent: its runner goes on, and ends.
    a.signal("STOP");
    let status = site.wait_for(join, "late", done);
    assert_eq!(status["rows"][0]["attempt"], 2, "{status:#}");
    a.signal("CONT");
    let key = status["rows"][0]["key"].as_str().unwrap();
    let winner = site.manifest(key);
    assert_eq!(winner["attempt"]["number"], 2);
    // It is told so, and works on.
    b.kill();
    site.submit(join, "next", &makers("next", 1..3, 10));
    let next = site.wait_for(join, "next", done);
    site.check_done(&next);
    let log = site.log("a.log");
    assert!(log.contains("dropped") || log.contains("refused"), "{log}");
    assert_eq!(site.manifest(key), winner);
}

/// The commit itself arrives late: on its way while the lease ended.
#[test]
fn a_late_commit_is_refused_and_counted() {
    let site = Site::new().short_leases();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let proxy = Proxy::before(join);
    let _a = site.worker(&proxy.address, "a");
    site.submit(join, "late", &sleepers("late", 1, 700));
    site.wait_for(join, "late", running);
    let _b = site.worker(join, "b");
    site.wait_for(join, "late", |_| true);
    proxy.cut(Cut::Up);
    let status = site.wait_for(join, "late", done);
    assert_eq!(status["rows"][0]["attempt"], 2, "{status:#}");
    proxy.heal();
    let refused = || site.json(&["status", "--join", join, "--json"])["refused"].clone();
    let mut left = 200;
    while refused() != 1 && left > 0 {
        std::thread::sleep(Duration::from_millis(50));
        left -= 1;
    }
    assert_eq!(refused(), 1, "{}", site.log("a.log"));
    let after = site.wait_for(join, "late", done);
    assert_eq!(after["rows"], status["rows"]);
}

/// Shorter and longer than connections are believed in: nobody loses a lease.
#[test]
fn a_frozen_coordinator_costs_nobody_a_lease() {
    let site = Site::new().short_leases();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let _a = site.worker(join, "a");
    let _b = site.worker(join, "b");
    site.submit(join, "long", &makers("long", 0..6, 2500));
    site.wait_for(join, "long", running);
    for frozen in [LEASE * 2, LEASE * 5] {
        coordinator.process.signal("STOP");
        std::thread::sleep(frozen);
        coordinator.process.signal("CONT");
        std::thread::sleep(LEASE);
    }
    let status = site.wait_for(join, "long", done);
    site.check_done(&status);
    for row in status["rows"].as_array().unwrap() {
        assert_eq!(row["attempt"], 1, "{status:#}");
    }
}
