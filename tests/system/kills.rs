//! kill -9, at bad moments. Nothing is lost, nothing counts twice.

use std::time::Duration;

use serde_json::Value;

use crate::support::random::count;
use crate::support::{SHORT, Site, attempts, makers, quickstart, sleepers};

#[test]
fn a_killed_worker_costs_only_what_it_ran() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let a = site.worker(join, "a");
    let _b = site.worker(join, "b");
    let file = site.write("nap.toml", sleepers("nap", 8, 700));
    site.json(&["submit", file.to_str().unwrap(), "--join", join, "--json"]);
    site.wait_for(join, "nap", |s| {
        s["done"].as_u64() >= Some(2) && s["running"].as_u64() >= Some(2)
    });
    a.kill();
    let status = site.wait_for(join, "nap", |s| s["state"] == "done");
    let attempts = attempts(&status);
    assert_eq!(attempts.len(), 8);
    // What it ran, and what was queued at it, was tried again; nothing else.
    let again = attempts.iter().filter(|n| **n == 2).count();
    assert!((1..=2).contains(&again), "{attempts:?}");
    assert!(attempts.iter().all(|n| *n <= 2), "{attempts:?}");
}

#[test]
fn a_killed_coordinator_forgets_nothing_and_running_tasks_go_on() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.clone();
    let _a = site.worker(&join, "a");
    let _b = site.worker(&join, "b");
    let file = site.write("nap.toml", sleepers("nap", 10, 600));
    site.json(&["submit", file.to_str().unwrap(), "--join", &join, "--json"]);
    let before = site.wait_for(&join, "nap", |s| s["done"].as_u64() >= Some(3));
    coordinator.process.kill();
    // Long enough for running tasks to end while nobody listens.
    std::thread::sleep(Duration::from_millis(900));
    let _coordinator = site.coordinator(&join);
    let after = site.wait_for(&join, "nap", |_| true);
    assert!(after["done"].as_u64() >= before["done"].as_u64());
    let status = site.wait_for(&join, "nap", |s| s["state"] == "done");
    assert_eq!(attempts(&status), [1; 10], "done again: {status:#}");
}

/// Trains with a worker killed again and again, and once with none killed:
/// the numbers must be the same to the last bit.
#[test]
fn training_resumes_from_its_checkpoint_with_the_same_bits() {
    let file = quickstart();
    let only = [
        "--set",
        "decoder.sigma=1.0",
        "--set",
        "gamma=3",
        "--set",
        "ae.steps=600",
    ];
    let calm = Site::new();
    let mut run = vec!["run", &file, "--json"];
    run.extend(SHORT);
    run.extend(only);
    let done = calm.json(&run);
    assert_eq!(done["failed"], 0);

    let stormy = Site::new();
    let coordinator = stormy.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let mut submit = vec!["submit", &file, "--join", join, "--json"];
    submit.extend(SHORT);
    submit.extend(only);
    stormy.json(&submit);
    let worker = |name: &str| {
        let mut command = stormy.command(&["worker", "--join", join, "--slots", "1"]);
        command.env("ABLATE__WORKER__CHECKPOINT_SECONDS", "0.2");
        stormy.spawn_command(command, &format!("{name}.log"))
    };
    let is_training = |s: &Value| {
        let rows = s["rows"].as_array().unwrap();
        rows.iter().any(|r| {
            r["kind"] == "autoencoder" && r["state"] == "running" && r["step"].as_u64() > Some(100)
        })
    };
    let done = |s: &Value| s["state"] == "done";
    for round in 0..2 {
        let running = worker(&format!("w{round}"));
        stormy.wait_for(join, "quickstart", |s| is_training(s) || done(s));
        std::thread::sleep(Duration::from_millis(300));
        running.kill();
    }
    let _last = worker("last");
    let status = stormy.wait_for(join, "quickstart", done);
    // It did go on from a checkpoint, not from the start or not at all.
    let rows = status["rows"].as_array().unwrap();
    let trained = rows.iter().find(|r| r["kind"] == "autoencoder").unwrap();
    assert!(trained["attempt"].as_u64() >= Some(2), "{trained}");
    let key = trained["key"].as_str().unwrap();
    let manifest = stormy.log(&format!("store/tasks/{key}/manifest.json"));
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let resumed_from = &manifest["provenance"]["resumed_from"];
    assert!(resumed_from.as_u64() > Some(0), "{manifest:#}");
    stormy.json(&["report", "quickstart", "--store", "store", "--json"]);
    assert_eq!(values(&calm), values(&stormy));
}

/// Every metric of the report, without what a second attempt changes.
pub(super) fn values(site: &Site) -> Vec<String> {
    let json = std::fs::read(site.path().join("reports/quickstart/report.csv")).unwrap();
    let text = String::from_utf8(json).unwrap();
    let rows = text.lines().map(|row| {
        let (row, _attempt) = row.rsplit_once(',').unwrap();
        row.to_owned()
    });
    rows.collect()
}

/// What ends meanwhile is kept and delivered. `ABLATE_AWAY_SECONDS` says for
/// how long the coordinator is away.
#[test]
#[ignore = "half an hour, unless ABLATE_AWAY_SECONDS says less"]
fn a_coordinator_that_is_away_for_long() {
    let away = count("ABLATE_AWAY_SECONDS", 1800);
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.clone();
    let _a = site.worker(&join, "a");
    let _b = site.worker(&join, "b");
    // One ends shortly before it is back; the others take turns beside it.
    let long = away.saturating_mul(1000) * 5 / 6;
    site.submit(&join, "long", &makers("long", 100..101, long));
    site.wait_for(&join, "long", |s| s["running"] == 1);
    site.submit(&join, "short", &makers("short", 0..40, 1500));
    site.wait_for(&join, "short", |s| s["done"].as_u64() >= Some(3));
    coordinator.process.kill();
    std::thread::sleep(Duration::from_secs(away));
    let _coordinator = site.coordinator(&join);
    for (sweep, tasks) in [("long", 1), ("short", 40)] {
        let status = site.wait_for(&join, sweep, |s| s["state"] == "done");
        assert_eq!(attempts(&status), vec![1; tasks], "a task was done again");
        site.check_done(&status);
    }
}
