//! Several tasks on a worker, by what they were seen to use; with real
//! processes that use it.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{PATIENCE, Process, Site, send_signal};

/// Keeps so many million bytes for a while.
const KEEPS: &str = "x=$(head -c \"$ABLATE_PARAM_MEGA\"000000 /dev/zero | tr '\\0' x)\n\
    sleep 2\necho \"${#x}\"\n";

fn keepers(name: &str, mega: u64, indices: std::ops::Range<u64>) -> String {
    let indices: Vec<u64> = indices.collect();
    format!(
        "name = \"{name}\"\n[stages.keep]\nkind = \"command\"\nrun = [\"sh\", \"keeps.sh\"]\n\
         params = {{ mega = {mega}, index = 0 }}\n[axes]\n\"keep.index\" = {indices:?}\n"
    )
}

fn worker(site: &Site, join: &str, more: &[&str]) -> Process {
    let mut args = vec!["worker", "--join", join, "--allow-commands"];
    args.extend(more);
    site.spawn(&args, "worker.log")
}

fn ended(status: &Value) -> bool {
    status["state"] != "running"
}

/// The most tasks that ran at once until the sweep ended, and what was said
/// of those that waited.
fn follow(site: &Site, join: &str, sweep: &str) -> (u64, Vec<String>) {
    let started = Instant::now();
    let (mut most, mut because) = (0, Vec::new());
    loop {
        let status = site.wait_for(join, sweep, |_| true);
        most = most.max(status["running"].as_u64().unwrap());
        if ended(&status) {
            assert_eq!(status["state"], "done", "{status:#}");
            return (most, because);
        }
        let rows = status["rows"].as_array().unwrap();
        let waits = rows.iter().find(|row| row["state"] == "ready");
        if let Some(key) = waits.and_then(|row| row["key"].as_str()) {
            let explained = site.json(&["explain", key, "--join", join, "--json"]);
            because.push(explained["because"][0].as_str().unwrap().to_owned());
        }
        assert!(started.elapsed() < PATIENCE, "still {status:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_would_not_fit_into_the_memory_waits() {
    let site = Site::new();
    site.write("keeps.sh", KEEPS);
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let memory = ["--slots", "2", "--memory", "400"];
    let _worker = worker(&site, join, &memory);
    // Nothing is known of the first.
    site.submit(join, "first", &keepers("first", 190, 0..1));
    site.wait_for(join, "first", ended);
    site.submit(join, "more", &keepers("more", 190, 1..4));
    let (most, because) = follow(&site, join, "more");
    assert_eq!(most, 1);
    let why = |said: &String| {
        said.contains("waits for memory, because it needs about") && said.contains("of 400 MiB")
    };
    assert!(because.iter().any(why), "{because:#?}");
    // Smaller ones share it.
    site.submit(join, "small", &keepers("small", 1, 10..16));
    follow(&site, join, "small");
}

#[test]
fn what_leaves_a_slot_idle_shares_it() {
    let site = Site::new();
    site.write("keeps.sh", KEEPS);
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let _worker = worker(&site, join, &["--slots", "1", "--pack", "3"]);
    site.submit(join, "first", &keepers("first", 1, 0..1));
    site.wait_for(join, "first", ended);
    site.submit(join, "more", &keepers("more", 1, 1..7));
    let (most, _) = follow(&site, join, "more");
    assert_eq!(most, 3);
    let status = site.wait_for(join, "more", |_| true);
    site.check_done(&status);
}

/// Ends as out of memory until the third attempt, or always.
const STARVES: &str = "echo x >> \"$ABLATE_CHECKPOINT/tries\"\n\
    [ \"$ABLATE_PARAM_HOW\" = twice ] && [ \"$(wc -l < \"$ABLATE_CHECKPOINT/tries\")\" -gt 2 ] && exit 0\n\
    exit 79\n";

#[test]
fn running_out_of_memory_costs_no_try_until_all_was_given() {
    let site = Site::new();
    site.write("starves.sh", STARVES);
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let _worker = worker(&site, join, &["--slots", "8", "--memory", "8192"]);
    let sweep = "name = \"starve\"\n[stages.starve]\nkind = \"command\"\n\
        run = [\"sh\", \"starves.sh\"]\nparams = { how = \"\" }\n\
        [axes]\n\"starve.how\" = [\"twice\", \"always\"]\n";
    site.submit(join, "starve", sweep);
    let status = site.wait_for(join, "starve", ended);
    let rows = status["rows"].as_array().unwrap();
    let of = |how: &str| {
        rows.iter()
            .find(|r| r["label"].as_str().unwrap().contains(how))
    };
    let (twice, always) = (of("twice").unwrap(), of("always").unwrap());
    assert_eq!(
        (&twice["state"], &twice["attempt"]),
        (&"done".into(), &3.into())
    );
    // 1 GiB, 2, 4, and all 8; fewer if the other has taught it.
    assert_eq!(always["state"], "failed", "{status:#}");
    assert!(
        (4..=10).contains(&always["attempt"].as_u64().unwrap()),
        "{always:#}"
    );
    let cause = always["failure"]["cause"].as_str().unwrap();
    assert!(
        cause.contains("had all the memory of") && cause.contains("8.0 GiB"),
        "{cause}"
    );
}

/// A worker that stands still keeps what waits behind its slot; one that
/// works on something long does not.
#[test]
fn what_waits_behind_a_long_task_goes_to_a_free_worker() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    // Short ones first, so that others of the kind are expected to be short.
    let busy = site.worker(join, "busy");
    let name = "name = \"tail\"\n[stages.nap]\nkind = \"noop\"\n";
    let naps = format!("{name}sleep_ms = 20\n[axes]\n\"nap.index\" = [0, 1, 2, 3, 4, 5]\n");
    site.submit(join, "learn", &naps.replace("tail", "learn"));
    site.wait_for(join, "learn", ended);
    let naps = format!("{name}sleep_ms = 20\n[axes]\n\"nap.index\" = [10, 11, 12, 13]\n");
    // Its runner stands still in the middle of the first.
    let [runner] = busy.children()[..] else {
        panic!("one runner was expected");
    };
    assert!(send_signal(runner, "STOP"));
    site.submit(join, "tail", &naps);
    // How many wait there depends on how long the first ones took.
    site.wait_for(join, "tail", |s| s["running"].as_u64() >= Some(2));
    let _idle = site.worker(join, "idle");
    let status = site.wait_for(join, "tail", |s| s["done"].as_u64() == Some(3));
    assert_eq!(status["running"], 1);
    let rows = status["rows"].as_array().unwrap();
    let moved = rows.iter().filter(|r| r["attempt"] == 2);
    assert!(moved.count() >= 1, "{status:#}");
    assert!(send_signal(runner, "CONT"));
    let status = site.wait_for(join, "tail", ended);
    assert_eq!(status["state"], "done");
    assert!(site.log("busy.log").contains("handing back"));
}
