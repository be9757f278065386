//! What can be seen of a task while it runs, and which sweeps words mean.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Coordinator, Site, last_json, sleepers};

fn submit(site: &Site, join: &str, name: &str, text: &str) -> Value {
    let file = site.write(&format!("{name}.toml"), text);
    site.json(&["submit", file.to_str().unwrap(), "--join", join, "--json"])
}

fn bold(site: &Site, coordinator: &Coordinator) -> crate::support::Process {
    let join = coordinator.address.as_str();
    let args = ["worker", "--join", join, "--slots", "1", "--allow-commands"];
    site.spawn(&args, "bold.log")
}

/// Speaks until it is told to end.
const SPEAKS: &str = r#"
n=0
while [ ! -e "$ABLATE_PARAM_SITE/end" ]; do
  n=$((n + 1))
  echo "line $n"
  echo "{\"name\": \"loss\", \"step\": $n, \"value\": 0.5}" >> "$ABLATE_METRICS"
  sleep 0.05
done
echo "the end"
"#;

#[test]
fn a_running_task_shows_its_metrics_and_its_log() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let _worker = bold(&site, &coordinator);
    site.write("speaks.sh", SPEAKS);
    let text = format!(
        "name = \"speaks\"\n[stages.s]\nkind = \"command\"\nrun = [\"sh\", \"speaks.sh\"]\n\
         params = {{ site = {:?} }}\n",
        site.path()
    );
    submit(&site, join, "speaks", &text);
    let status = site.wait_for(join, "speaks", |s| {
        s["rows"][0]["latest"][0]["value"] == 0.5
            && s["rows"][0]["latest"][0]["step"].as_u64() > Some(3)
    });
    assert_eq!(status["rows"][0]["latest"][0]["name"], "loss");
    let key = status["rows"][0]["key"].as_str().unwrap();

    // What there is by now.
    let output = site.run(&["logs", &key[..12], "--join", join]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("line 1\nline 2\n"), "{text}");

    // Followed by two, of whom one does not read, until the end.
    let mut follow = site.command(&["logs", "-f", "speaks", "--join", join]);
    let mut idle = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut unread = BufReader::new(idle.stdout.take().unwrap());
    let mut text = String::new();
    unread.read_line(&mut text).unwrap();
    let mut follow = site.command(&["logs", "-f", key, "--join", join]);
    let mut child = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "line 1"));
    site.write("end", "");
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    assert!(child.wait().unwrap().success());
    assert!(rest.iter().any(|line| line == "the end"), "{rest:?}");
    unread.read_to_string(&mut text).unwrap();
    assert!(idle.wait().unwrap().success());
    assert!(text.contains("s | line 1\n"), "{text}");
    assert!(text.contains("s | the end\n"), "{text}");

    // From the store.
    site.wait_for(join, "speaks", |s| s["state"] == "done");
    let whole = || site.run(&["logs", "speaks", "--join", join]);
    let mut output = whole();
    for _ in 0..100 {
        if String::from_utf8_lossy(&output.stdout).contains("the end") {
            break;
        }
        // It is stored in the background.
        std::thread::sleep(std::time::Duration::from_millis(50));
        output = whole();
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("== s ("), "{text}");
    assert!(text.contains("\nthe end\n"), "{text}");
    let unknown = site.run(&["logs", "ffffffff", "--join", join]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn words_select_sweeps_and_a_plan_shows_what_would_change() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let first = submit(&site, join, "nap-a", &sleepers("nap-a", 2, 1));
    assert_eq!(first.get("difference"), None);
    submit(&site, join, "other", &sleepers("other", 2, 60_000));
    submit(&site, join, "nap-b", &sleepers("nap-b", 2, 60_000));

    let run = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(["--join", join, "--json"]);
        let output = site.run(&all);
        let lines = String::from_utf8(output.stdout).unwrap();
        let sweeps = lines
            .lines()
            .map(|line| last_json(line)["sweep"].to_string());
        (output.status.code(), sweeps.collect::<Vec<_>>())
    };
    let names = |names: &[&str]| names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>();
    assert_eq!(
        run(&["pause", "nap-*"]),
        (Some(0), names(&["nap-a", "nap-b"]))
    );
    assert_eq!(
        run(&["resume", "last", "nap-a"]),
        (Some(0), names(&["nap-b", "nap-a"]))
    );
    let shown = |word: &str| {
        let status = site.json(&["status", word, "--join", join, "--json"]);
        let sweeps = status["sweeps"].as_array().unwrap().clone();
        assert!(sweeps.iter().all(|s| s["rows"][0]["key"].is_string()));
        let names = sweeps.iter().map(|s| s["sweep"].to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(shown("last"), names(&["nap-b"]));
    assert_eq!(shown("nap-*"), names(&["nap-a", "nap-b"]));
    assert_eq!(run(&["cancel", "last"]), (Some(0), names(&["nap-b"])));
    let _worker = site.worker(join, "a");
    assert_eq!(run(&["wait", "nap-a"]), (Some(0), names(&["nap-a"])));
    site.wait_for(join, "other", |s| s["running"] == 1);
    assert_eq!(
        run(&["cancel", "all", "--now"]),
        (Some(0), names(&["other"]))
    );
    site.wait_for(join, "other", |s| s["state"] == "cancelled");
    assert_eq!(run(&["wait", "all"]), (Some(0), Vec::new()));
    assert_eq!(
        run(&["wait", "nap-a", "nap-b"]),
        (Some(5), names(&["nap-a", "nap-b"]))
    );
    assert_eq!(run(&["wait", "x*"]).0, Some(2));

    // One more, one fewer.
    let text = sleepers("nap-a", 3, 1).replace("[0, ", "[");
    let file = site.write("nap-a.toml", text);
    let file = file.to_str().unwrap();
    let planned = site.json(&["plan", file, "--join", join, "--json"]);
    let expected = serde_json::json!({
        "new": ["nap index=2"], "reused": ["nap index=1"], "dropped": ["nap index=0"],
        "done": 1, "extends": true,
    });
    assert_eq!(planned["difference"], expected);
    let stored = site.json(&["plan", file, "--store", "store", "--json"]);
    assert_eq!(stored["difference"]["dropped"], expected["dropped"]);
    let extended = site.json(&["extend", file, "--join", join, "--json"]);
    assert_eq!(extended["difference"], expected);
    site.wait_for(join, "nap-a", |s| s["done"] == 2);
}
