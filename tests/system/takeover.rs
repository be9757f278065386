//! A standby takes over from a coordinator that was killed, stopped or
//! frozen; workers and commands find it through the store.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{PATIENCE, Process, Site, sleepers};

fn standby(site: &Site, log: &str) -> Process {
    let listen = ["--listen", "127.0.0.1:0", "--store", "store"];
    let mut args = vec!["coordinator", "--standby", "--json"];
    args.extend(listen);
    site.spawn(&args, log)
}

/// The store, as `--join` takes it.
fn store(site: &Site) -> String {
    format!("file://{}", site.path().join("store").display())
}

/// What the store says of its coordinator.
fn current(site: &Site) -> Option<Value> {
    let files = std::fs::read_dir(site.path().join("store/coordinator")).ok()?;
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "json"));
    files.sort();
    serde_json::from_slice(&std::fs::read(files.last()?).ok()?).ok()
}

fn wait_for_epoch(site: &Site, epoch: u64) -> Value {
    let started = Instant::now();
    loop {
        if let Some(current) = current(site)
            && current["epoch"].as_u64() >= Some(epoch)
        {
            return current;
        }
        assert!(started.elapsed() < PATIENCE, "nobody took over");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn submit(site: &Site, join: &str, tasks: u64, sleep_ms: u64) {
    let file = site.write("nap.toml", sleepers("nap", tasks, sleep_ms));
    site.json(&["submit", file.to_str().unwrap(), "--join", join, "--json"]);
}

/// Every task was done once, at its first attempt.
fn assert_done_once(status: &Value, tasks: usize) {
    let rows = status["rows"].as_array().unwrap();
    assert_eq!(rows.len(), tasks);
    for row in rows {
        assert_eq!(
            (&row["state"], &row["attempt"]),
            (&"done".into(), &1.into())
        );
    }
}

#[test]
fn a_standby_takes_over_from_a_killed_coordinator() {
    let site = Site::new();
    let active = site.coordinator("127.0.0.1:0");
    let _worker = site.worker(&active.address, "a");
    let _standbys = ["s1.log", "s2.log"].map(|log| standby(&site, log));
    submit(&site, &active.address, 5, 1500);
    site.wait_for(&active.address, "nap", |s| {
        s["running"] == 1 && s["done"].as_u64() >= Some(1)
    });
    assert_eq!(current(&site).unwrap()["epoch"], 1);
    active.process.kill();
    let next = wait_for_epoch(&site, 2);
    assert_ne!(next["address"].as_str(), Some(active.address.as_str()));
    // Found through the store alone, by the command and by the worker, whose
    // running task went on.
    let status = site.wait_for(&store(&site), "nap", |s| s["state"] == "done");
    assert_done_once(&status, 5);
    // The other standby still waits.
    assert_eq!(current(&site).unwrap()["epoch"], 2);
}

#[test]
fn a_frozen_coordinator_that_wakes_up_gives_way() {
    let site = Site::new();
    let active = site.coordinator("127.0.0.1:0");
    let _worker = site.worker(&active.address, "a");
    let _standby = standby(&site, "standby.log");
    submit(&site, &active.address, 5, 1500);
    site.wait_for(&active.address, "nap", |s| s["running"] == 1);
    active.process.signal("STOP");
    let next = wait_for_epoch(&site, 2);
    site.wait_for(&store(&site), "nap", |s| s["running"] == 1);
    active.process.signal("CONT");
    let (code, _) = active.process.wait();
    let log = site.log("coordinator.log");
    assert_eq!(code, Some(6), "{log}");
    assert!(log.contains("another coordinator has taken over"), "{log}");
    let status = site.wait_for(&store(&site), "nap", |s| s["state"] == "done");
    assert_done_once(&status, 5);
    // The one that woke up did not say that it serves.
    let now = current(&site).unwrap();
    assert_eq!(
        (&now["epoch"], &now["id"], &now["stopped"]),
        (&next["epoch"], &next["id"], &false.into())
    );
}

#[test]
fn a_coordinator_that_is_asked_to_go_is_followed_at_once() {
    let site = Site::new();
    let active = site.coordinator("127.0.0.1:0");
    // Names the store, and asks there where to go.
    let _worker = site.worker(&store(&site), "a");
    submit(&site, &store(&site), 3, 1000);
    site.wait_for(&active.address, "nap", |s| s["running"] == 1);
    let _standby = standby(&site, "standby.log");
    active.process.signal("TERM");
    let (code, _) = active.process.wait();
    assert_eq!(code, Some(143), "{}", site.log("coordinator.log"));
    wait_for_epoch(&site, 2);
    let status = site.wait_for(&store(&site), "nap", |s| s["state"] == "done");
    assert_done_once(&status, 3);
}

#[test]
fn a_store_without_a_coordinator_is_said_to_have_none() {
    let site = Site::new();
    let refused = |join: &str| {
        let output = site.run(&["status", "--join", join]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), stderr)
    };
    let (code, stderr) = refused(&store(&site));
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("no such folder"), "{stderr}");
    assert!(!site.path().join("store").exists());
    std::fs::create_dir(site.path().join("store")).unwrap();
    let (code, stderr) = refused(&store(&site));
    assert_eq!(code, Some(3), "{stderr}");
    let active = site.coordinator("127.0.0.1:0");
    active.process.signal("TERM");
    active.process.wait();
    let (code, stderr) = refused(&store(&site));
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("has ended"), "{stderr}");
}
