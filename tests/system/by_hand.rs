//! Coordinator, workers and commands started by hand, as the README shows.

use crate::support::{SHORT, Site, quickstart, sleepers};

#[test]
fn two_workers_share_a_sweep_and_the_report_is_made_from_the_store() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let _a = site.worker(join, "a");
    let _b = site.worker(join, "b");
    let file = quickstart();
    let mut submit = vec!["submit", &file, "--join", join, "--json"];
    submit.extend(SHORT);
    let submitted = site.json(&submit);
    assert_eq!(submitted["sweep"], "quickstart");
    let watch = site.run(&["watch", "quickstart", "--join", join]);
    let stderr = String::from_utf8_lossy(&watch.stderr);
    assert_eq!(watch.status.code(), Some(0), "{stderr}");
    let status = site.json(&["status", "--join", join, "--json"]);
    assert_eq!(status["workers"].as_array().unwrap().len(), 2);
    assert_eq!(status["sweeps"][0]["done"], submitted["tasks"]);
    // From the store alone: no coordinator is needed any more.
    coordinator.process.kill();
    let report = site.json(&["report", "quickstart", "--store", "store", "--json"]);
    let html = std::fs::read_to_string(site.path().join(report["report"].as_str().unwrap()));
    assert!(html.unwrap().contains("<html"));
    assert!(report["verdicts"].as_array().unwrap().len() >= 4);
}

#[test]
fn the_same_sweep_twice_gives_the_same_numbers() {
    let file = quickstart();
    let csv = |workers: &str| {
        let site = Site::new();
        let mut run = vec!["run", &file, "--json", "--workers", workers];
        run.extend(SHORT);
        let done = site.json(&run);
        assert_eq!(done["failed"], 0);
        let report = site.path().join(done["report"].as_str().unwrap());
        let rows = std::fs::read_to_string(report.with_file_name("report.csv")).unwrap();
        rows.lines().map(|row| row.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(csv("1"), csv("2"));
}

#[test]
fn a_worker_that_is_asked_to_go_hands_its_task_back() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let worker = site.worker(join, "a");
    let file = site.write("nap.toml", sleepers("nap", 1, 3000));
    site.json(&["submit", file.to_str().unwrap(), "--join", join, "--json"]);
    site.wait_for(join, "nap", |s| s["running"] == 1);
    worker.signal("TERM");
    let (code, _) = worker.wait();
    assert_eq!(code, Some(0), "{}", site.log("a.log"));
    let status = site.wait_for(join, "nap", |s| s["running"] == 0);
    let failure = &status["rows"][0]["failure"];
    assert_eq!(failure["class"], "preempted", "{status:#}");
    let _b = site.worker(join, "b");
    site.wait_for(join, "nap", |s| s["state"] == "done");
}

#[test]
fn a_cancelled_sweep_ends_and_says_so() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let _a = site.worker(join, "a");
    let file = site.write("nap.toml", sleepers("nap", 4, 60_000));
    site.json(&["submit", file.to_str().unwrap(), "--join", join, "--json"]);
    site.wait_for(join, "nap", |s| s["running"] == 1);
    site.json(&["cancel", "nap", "--join", join, "--json"]);
    let watch = site.run(&["watch", "nap", "--join", join]);
    assert_eq!(watch.status.code(), Some(5));
}

#[test]
fn failed_tasks_make_the_exit_code_and_name_their_cause() {
    let site = Site::new();
    let text = "name = \"bad\"\n[stages.one]\nkind = \"noop\"\nfail = \"bug\"\n\
                [stages.two]\nkind = \"noop\"\ninputs = { after = \"one\" }\n";
    let file = site.write("bad.toml", text);
    let output = site.run(&["run", file.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let done = crate::support::last_json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(
        (&done["failed"], &done["cancelled"]),
        (&1.into(), &1.into())
    );
    let html = std::fs::read_to_string(site.path().join(done["report"].as_str().unwrap())).unwrap();
    assert!(html.contains("bug"));
}
