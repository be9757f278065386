//! Disks that are full or cannot be written: nothing is acknowledged that is
//! not stored, everything stops in good order or tries again, and goes on when
//! there is room.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::disk::Disk;
use crate::support::{Coordinator, PATIENCE, Process, Site, makers};

const TASKS: u64 = 40;

fn done(status: &Value) -> bool {
    status["state"] == "done"
}

fn disk(site: &Site, name: &str, options: &str) -> Option<Disk> {
    let disk = Disk::new(site, name, options);
    if disk.is_none() {
        eprintln!("NOT RUN: no user and mount namespaces here");
    }
    disk
}

fn coordinator_args<'a>(listen: &'a str, store: &'a str) -> [&'a str; 6] {
    [
        "coordinator",
        "--json",
        "--store",
        store,
        "--listen",
        listen,
    ]
}

fn coordinator(site: &Site, disk: &Disk, listen: &str) -> Coordinator {
    let store = disk.folder.to_str().unwrap();
    site.coordinator_from(disk.command(site, &coordinator_args(listen, store)))
}

fn worker(site: &Site, disk: &Disk, join: &str) -> Process {
    let command = disk.command(site, &["worker", "--join", join, "--slots", "2"]);
    site.spawn_command(command, "worker.log")
}

/// Tasks that are said to be done, and by which attempt; `None` if nobody
/// answers. While the store takes nothing, an answer that depends on what is
/// not stored yet does not come.
fn said_done(site: &Site, join: &str, sweep: &str) -> Option<BTreeMap<String, u64>> {
    let args = ["status", sweep, "--join", join, "--json"];
    let mut asking = site.spawn(&args, "status.log");
    let asked = Instant::now();
    while !asking.ended() {
        if asked.elapsed() > Duration::from_secs(2) {
            return None;
        }
        sleep(Duration::from_millis(10));
    }
    let (Some(0), stdout) = asking.wait() else {
        return None;
    };
    let status = crate::support::last_json(&stdout);
    let rows = status["sweeps"][0]["rows"].as_array().unwrap().iter();
    let done = rows.filter(|r| r["state"] == "done");
    let key = |r: &Value| r["key"].as_str().unwrap().to_owned();
    Some(
        done.map(|r| (key(r), r["attempt"].as_u64().unwrap()))
            .collect(),
    )
}

/// A store that cannot be written for a while, in the middle of a sweep.
fn store_fails(trouble: impl Fn(&Disk), relief: impl Fn(&Disk)) {
    let site = Site::new().short_leases();
    let Some(disk) = disk(&site, "store", "size=6m") else {
        return;
    };
    let first = coordinator(&site, &disk, "127.0.0.1:0");
    let join = first.address.clone();
    let mut serving = first.process;
    let mut working = worker(&site, &disk, &join);
    site.submit(&join, "full", &makers("full", 0..TASKS, 100));
    for round in 1..=3 {
        site.wait_for(&join, "full", |s| s["done"].as_u64() >= Some(5 * round));
        trouble(&disk);
        let mut said = BTreeMap::new();
        for _ in 0..10 {
            said.extend(said_done(&site, &join, "full").unwrap_or_default());
            sleep(Duration::from_millis(50));
        }
        // What is said to be done is in the store, although it is full.
        for key in said.keys() {
            let manifest = disk.view().join("tasks").join(key).join("manifest.json");
            let text = std::fs::read(manifest).unwrap();
            serde_json::from_slice::<Value>(&text).unwrap();
        }
        if serving.ended() {
            let log = site.log("coordinator.log");
            assert!(log.contains("error:") && !log.contains("panicked"), "{log}");
        }
        relief(&disk);
        if serving.ended() {
            serving = coordinator(&site, &disk, &join).process;
        }
        if working.ended() {
            working = worker(&site, &disk, &join);
        }
        let freed = Instant::now();
        let after = loop {
            if let Some(after) = said_done(&site, &join, "full") {
                break after;
            }
            assert!(
                freed.elapsed() < PATIENCE,
                "no answer with room in the store"
            );
        };
        for (key, attempt) in said {
            assert_eq!(
                after.get(&key),
                Some(&attempt),
                "{key} was done, and is not"
            );
        }
    }
    let status = site.wait_for(&join, "full", |s| s["state"] != "running");
    assert!(done(&status), "{status:#}");
    assert_eq!(status["done"], TASKS);
    for row in status["rows"].as_array().unwrap() {
        let key = row["key"].as_str().unwrap();
        let manifest = disk.view().join("tasks").join(key).join("manifest.json");
        let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
        assert_eq!(manifest["attempt"]["task"], key);
    }
    for log in ["coordinator.log", "worker.log"] {
        assert!(!site.log(log).contains("panicked"), "{}", site.log(log));
    }
}

#[test]
fn a_full_store() {
    store_fails(Disk::fill, Disk::free);
}

#[test]
fn a_store_that_becomes_read_only() {
    store_fails(|disk| disk.remount("ro"), |disk| disk.remount("rw"));
}

#[test]
fn a_read_only_store_is_refused_at_start() {
    let site = Site::new();
    let Some(disk) = disk(&site, "store", "size=1m,ro") else {
        return;
    };
    let store = disk.folder.to_str().unwrap();
    let mut command = disk.command(&site, &coordinator_args("127.0.0.1:0", store));
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(
        stderr.contains("is refused") && stderr.contains("Read-only") && stderr.contains(store),
        "{stderr}"
    );
}

#[test]
fn a_full_scratch_disk() {
    let site = Site::new();
    let Some(disk) = disk(&site, "scratch", "size=1m") else {
        return;
    };
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let _worker = worker(&site, &disk, join);
    site.submit(join, "before", &makers("before", 0..2, 10));
    site.wait_for(join, "before", done);
    disk.fill();
    site.submit(join, "full", &makers("full", 2..5, 10));
    let failing = |s: &Value| {
        let rows = s["rows"].as_array().unwrap();
        rows.iter().any(|r| r["failure"]["class"] == "transient_io")
    };
    let status = site.wait_for(join, "full", failing);
    let rows = status["rows"].as_array().unwrap();
    let cause = rows
        .iter()
        .find_map(|r| r["failure"]["cause"].as_str())
        .unwrap();
    assert!(cause.contains("No space left"), "{cause}");
    disk.free();
    let status = site.wait_for(join, "full", |s| s["state"] != "running");
    site.check_done(&status);
    assert!(!site.log("worker.log").contains("panicked"));
}
