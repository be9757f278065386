//! What people do about sweeps that run, and what happens to those that fail.

use crate::support::{Site, sleepers};

#[test]
fn a_paused_sweep_goes_on_when_it_is_let_and_wait_tells_how_it_ended() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let file = site.write("nap.toml", sleepers("nap", 3, 10));
    site.json(&["submit", file.to_str().unwrap(), "--join", join, "--json"]);
    let paused = site.json(&["pause", "nap", "--join", join, "--json"]);
    assert_eq!(paused["held"]["person"], true);
    let _a = site.worker(join, "a");
    let all = |s: &serde_json::Value| s["rows"].as_array().map_or(0, Vec::len) == 3;
    let held = site.wait_for(join, "nap", all);
    assert_eq!(
        (held["done"].as_u64(), held["running"].as_u64()),
        (Some(0), Some(0))
    );
    let key = held["rows"][0]["key"].as_str().unwrap();
    let why = site.json(&["explain", &key[..8], "--join", join, "--json"]);
    let because = why["because"][0].as_str().unwrap();
    assert!(because.contains("its sweep is held"), "{because}");
    site.json(&["resume", "nap", "--join", join, "--json"]);
    let wait = site.run(&["wait", "nap", "--join", join]);
    assert_eq!(wait.status.code(), Some(0));
}

#[test]
fn a_sweep_that_keeps_failing_is_held_and_run_cancels_the_rest() {
    let site = Site::new();
    let sweep = sleepers("bad", 12, 1).replace("sleep_ms = 1", "fail = \"bug\"");
    let file = site.write("bad.toml", sweep);
    let run = site.run(&["run", file.to_str().unwrap(), "--workers", "1", "--json"]);
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("failed the same way"), "{stderr}");
    assert!(stderr.contains("the rest is cancelled"), "{stderr}");
}
