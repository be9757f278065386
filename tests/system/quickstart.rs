//! `ablate run`, as the README's first command has it.

use std::time::Duration;

use crate::support::{SHORT, Site, last_json, quickstart};

#[test]
fn a_second_run_reuses_everything() {
    let site = Site::new();
    let file = quickstart();
    let mut run = vec!["run", &file, "--json"];
    run.extend(SHORT);
    let first = site.json(&run);
    assert_eq!(first["reused"], 0);
    assert_eq!(first["done"], first["tasks"]);
    let second = site.json(&run);
    assert_eq!(second["reused"], first["done"]);
    assert!(second["seconds"].as_f64() < Some(10.0));
    for key in ["done", "failed", "reused", "seconds", "report", "verdicts"] {
        assert!(!second[key].is_null(), "{key} is missing");
    }
    for verdict in second["verdicts"].as_array().unwrap() {
        for key in ["name", "pass", "value", "expected"] {
            assert!(!verdict[key].is_null(), "{key} is missing in {verdict}");
        }
    }
}

#[test]
fn an_interrupted_run_goes_on_where_it_was() {
    let site = Site::new();
    let file = quickstart();
    let mut run = vec!["run", &file, "--json", "--set", "ae.steps=400"];
    run.extend(&SHORT[2..]);
    let process = site.spawn(&run, "run.log");
    let started = std::time::Instant::now();
    while !site.log("run.log").contains("done    data") {
        assert!(
            started.elapsed() < crate::support::PATIENCE,
            "{}",
            site.log("run.log")
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    process.signal("INT");
    let (code, _) = process.wait();
    assert_eq!(code, Some(130), "{}", site.log("run.log"));
    let done = site.json(&run);
    assert_eq!(done["done"], done["tasks"]);
    assert!(done["reused"].as_u64() >= Some(1));
}

/// From nothing, in full: minutes. `.ci/run` runs it.
#[test]
#[ignore = "takes minutes; run it with --ignored"]
fn full_quickstart_passes_every_verdict() {
    let site = Site::new();
    let file = quickstart();
    let output = site.run(&["run", &file, "--json", "--check"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let done = last_json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(done["failed"], 0);
    let verdicts = done["verdicts"].as_array().unwrap();
    assert!(verdicts.len() >= 4);
    for verdict in verdicts {
        assert_eq!(verdict["pass"], true, "{verdict}");
    }
    assert!(site.path().join(done["report"].as_str().unwrap()).exists());
}
