//! Stages that run a user's own program, with real programs: how they end,
//! what they leave, and that nothing of them stays.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{PATIENCE, Site, last_json};

/// Ends as its parameter says; the first attempt leaves something behind.
const ENDINGS: &str = r#"
first=no
[ -e "$ABLATE_CHECKPOINT/tried" ] || first=yes
touch "$ABLATE_CHECKPOINT/tried"
echo "said to the log"
echo "last words of $ABLATE_PARAM_HOW" >&2
case "$ABLATE_PARAM_HOW" in
  done) ;;
  again) [ $first = no ] || exit 75 ;;
  never) exit 78 ;;
  memory) exit 79 ;;
  interrupted) [ $first = no ] || exit 80 ;;
  killed) [ $first = no ] || kill -9 $$ ;;
  fault) exit 139 ;;
  other) exit 3 ;;
  flood) head -c 100000000 /dev/zero | tr '\0' 'x' ;;
  link) ln -s /etc/passwd "$ABLATE_OUTPUT/passwd.txt" ;;
  folder) mkdir "$ABLATE_OUTPUT/deep" ;;
  name) echo x > "$ABLATE_OUTPUT/..hidden" ;;
  swapped) rmdir "$ABLATE_OUTPUT"; ln -s /etc "$ABLATE_OUTPUT" ;;
  metrics)
    echo '{"name": "loss", "step": 1, "value": 2.5}' >> "$ABLATE_METRICS"
    echo '{"name": "../../etc", "value": 1}' >> "$ABLATE_METRICS"
    echo 'nonsense' >> "$ABLATE_METRICS"
    echo "$ABLATE_SEED $ABLATE_PARAM_HOW" > "$ABLATE_OUTPUT/told.txt" ;;
  secret) [ -z "$AWS_SECRET_ACCESS_KEY$MY_TOKEN" ] && [ "$NAMED_TOKEN" = named ] || exit 1 ;;
esac
"#;

const NAMES: [&str; 15] = [
    "done",
    "again",
    "never",
    "memory",
    "interrupted",
    "killed",
    "fault",
    "other",
    "flood",
    "link",
    "folder",
    "name",
    "swapped",
    "metrics",
    "secret",
];

fn outcome(site: &Site, sweep: &str) -> Value {
    let path = site.path().join("ablate-store/sweeps").join(sweep);
    let text = std::fs::read_to_string(path.join("outcome.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn row<'a>(outcome: &'a Value, part: &str) -> &'a Value {
    let rows = outcome["rows"].as_array().unwrap();
    let has = |row: &&Value| row["label"].as_str().unwrap().contains(part);
    rows.iter()
        .find(has)
        .unwrap_or_else(|| panic!("no {part}: {outcome:#}"))
}

/// The file of a task's only or last attempt.
fn file(site: &Site, store: &str, row: &Value, name: &str) -> std::path::PathBuf {
    let task = site
        .path()
        .join(store)
        .join("tasks")
        .join(row["key"].as_str().unwrap());
    task.join(row["attempt"].to_string()).join(name)
}

#[test]
fn every_ending_has_its_class_and_nothing_leads_outside() {
    let site = Site::new();
    site.write("ends.sh", ENDINGS);
    let text = format!(
        "name = \"ends\"\n[stages.end]\nkind = \"command\"\nrun = [\"sh\", \"ends.sh\"]\n\
         env = [\"NAMED_TOKEN\"]\nparams = {{ how = \"done\" }}\n\
         [stages.missing]\nkind = \"command\"\nrun = [\"no-such-program\"]\n\
         [axes]\n\"end.how\" = {NAMES:?}\n"
    );
    let path = site.write("ends.toml", text);
    let mut command = site.command(&["run", path.to_str().unwrap(), "--json", "--allow-commands"]);
    command
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("MY_TOKEN", "secret")
        .env("NAMED_TOKEN", "named");
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let outcome = outcome(&site, "ends");
    for (how, state, class, attempts, part) in [
        ("done", "done", None, 1, ""),
        ("again", "done", Some("transient_io"), 2, "code 75"),
        ("never", "failed", Some("config"), 1, "last words of never"),
        // As often as it takes to give it all the memory there is.
        ("memory", "failed", Some("out_of_memory"), 0, "code 79"),
        ("interrupted", "done", Some("preempted"), 2, "code 80"),
        ("killed", "done", Some("lost"), 2, "SIGKILL"),
        ("fault", "failed", Some("bug"), 1, "SIGSEGV"),
        (
            "other",
            "failed",
            Some("bug"),
            1,
            "code 3; the end of its standard error: last words",
        ),
        ("flood", "done", None, 1, ""),
        ("link", "failed", Some("bug"), 1, "passwd.txt"),
        ("folder", "failed", Some("bug"), 1, "deep"),
        ("name", "failed", Some("bug"), 1, "..hidden"),
        ("swapped", "failed", Some("bug"), 1, "not a folder"),
        ("metrics", "done", None, 1, ""),
        ("secret", "done", None, 1, ""),
        ("missing", "failed", Some("config"), 1, "whose PATH is"),
    ] {
        let row = row(&outcome, how);
        assert_eq!(row["state"], state, "{how}: {row:#}");
        let attempt = row["attempt"].as_u64().unwrap();
        assert!(attempts == 0 || attempts == attempt, "{how}: {row:#}");
        let failure = &row["failure"];
        assert_eq!(failure["class"].as_str(), class, "{how}: {row:#}");
        let cause = failure["cause"].as_str().unwrap_or_default();
        assert!(cause.contains(part), "{how}: {cause}");
    }
    let flood = file(&site, "ablate-store", row(&outcome, "flood"), "log.txt");
    let kept = std::fs::metadata(flood).unwrap().len();
    assert!((1 << 20..(1 << 20) + 1000).contains(&kept), "{kept}");
    let measured = row(&outcome, "metrics");
    let told = file(&site, "ablate-store", measured, "told.txt");
    assert_eq!(std::fs::read_to_string(told).unwrap(), "0 metrics\n");
    let manifest = file(&site, "ablate-store", measured, "../manifest.json");
    let manifest = std::fs::read_to_string(manifest).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["metrics"][0]["name"], "loss");
    assert_eq!(manifest["metrics"][0]["value"], 2.5);
    assert_eq!(manifest["metrics"][1]["value"], 2.0);
    // Nothing of /etc was taken.
    for how in ["link", "swapped"] {
        let log = file(&site, "ablate-store", row(&outcome, how), "log.txt");
        let names = std::fs::read_dir(log.parent().unwrap()).unwrap();
        let names: Vec<_> = names.map(|e| e.unwrap().file_name()).collect();
        let ours = |name: &std::ffi::OsString| {
            let name = name.to_string_lossy();
            name == "log.txt" || name.starts_with("checkpoint-")
        };
        assert!(names.iter().all(ours), "{how}: {names:?}");
    }
}

#[test]
fn programs_run_where_they_are_allowed_and_an_edited_script_is_another_task() {
    let site = Site::new();
    site.write("a.sh", "echo one\n");
    let text = "name = \"own\"\n[stages.own]\nkind = \"command\"\nrun = [\"sh\", \"a.sh\"]\n";
    let path = site.write("own.toml", text);
    let path = path.to_str().unwrap();
    let refused = site.run(&["run", path]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--allow-commands"));

    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let _careful = site.worker(join, "careful");
    site.json(&["submit", path, "--join", join, "--json"]);
    let status = site.wait_for(join, "own", |s| s["rows"][0]["state"] == "ready");
    let key = status["rows"][0]["key"].as_str().unwrap().to_owned();
    let because = || {
        let explained = site.json(&["explain", &key, "--join", join, "--json"]);
        explained["because"][0].as_str().unwrap().to_owned()
    };
    // Others are not in its way, nor it in theirs.
    let nap = site.write("nap.toml", crate::support::sleepers("nap", 1, 1));
    site.json(&["submit", nap.to_str().unwrap(), "--join", join, "--json"]);
    site.wait_for(join, "nap", |s| s["state"] == "done");
    assert!(
        because().contains("no worker allows commands"),
        "{}",
        because()
    );
    let args = ["worker", "--join", join, "--slots", "1", "--allow-commands"];
    let _bold = site.spawn(&args, "bold.log");
    site.wait_for(join, "own", |s| s["state"] == "done");

    site.write("a.sh", "echo two\n");
    site.json(&["submit", path, "--join", join, "--json"]);
    let edited = site.wait_for(join, "own", |s| s["state"] == "done");
    assert_ne!(edited["rows"][0]["key"], key);
    let log = file(&site, "store", &edited["rows"][0], "log.txt");
    let started = Instant::now();
    while !std::fs::read_to_string(&log)
        .unwrap_or_default()
        .contains("two")
    {
        assert!(started.elapsed() < PATIENCE, "{}", log.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Counts to 40 in its checkpoint, and says where it runs.
const COUNTS: &str = r#"
echo $$ > "$ABLATE_PARAM_SITE/pid"
n=$(cat "$ABLATE_CHECKPOINT/n" 2>/dev/null || echo 0)
while [ $n -lt 40 ]; do
  n=$((n + 1))
  echo "{\"name\": \"n\", \"step\": $n, \"value\": $n}" >> "$ABLATE_METRICS"
  echo "{\"progress\": $n, \"total\": 40}" >> "$ABLATE_METRICS"
  echo $n > "$ABLATE_CHECKPOINT/n.tmp" && mv "$ABLATE_CHECKPOINT/n.tmp" "$ABLATE_CHECKPOINT/n"
  sleep 0.1
done
"#;

#[test]
fn a_program_ends_with_its_worker_and_goes_on_from_its_checkpoint() {
    let site = Site::new();
    site.write("counts.sh", COUNTS);
    let text = format!(
        "name = \"counts\"\n[stages.count]\nkind = \"command\"\nrun = [\"sh\", \"counts.sh\"]\n\
         params = {{ site = {:?} }}\n",
        site.path()
    );
    let path = site.write("counts.toml", text);
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let worker = |log| {
        let args = ["worker", "--join", join, "--slots", "1", "--allow-commands"];
        let mut command = site.command(&args);
        command.env("ABLATE__WORKER__CHECKPOINT_SECONDS", "0.2");
        site.spawn_command(command, log)
    };
    let first = worker("first.log");
    site.json(&["submit", path.to_str().unwrap(), "--join", join, "--json"]);
    let status = site.wait_for(join, "counts", |s| {
        s["rows"][0]["step"].as_u64() >= Some(15)
    });
    assert_eq!(status["rows"][0]["total"], 40);
    let pid = std::fs::read_to_string(site.path().join("pid")).unwrap();
    first.kill();
    gone(pid.trim());
    let _second = worker("second.log");
    let done = site.wait_for(join, "counts", |s| s["state"] == "done");
    assert_eq!(done["rows"][0]["attempt"], 2, "{}", site.log("second.log"));
    let manifest = file(&site, "store", &done["rows"][0], "../manifest.json");
    let manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(manifest).unwrap()).unwrap();
    assert!(
        manifest["provenance"]["resumed_from"].as_u64() > Some(0),
        "{manifest:#}"
    );
    let curve = file(&site, "store", &done["rows"][0], "metrics.jsonl");
    let curve = std::fs::read_to_string(curve).unwrap();
    let steps = curve
        .lines()
        .map(|line| last_json(line)["step"].as_u64().unwrap());
    assert_eq!(steps.collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
}

/// Neither it nor what it starts listens to SIGTERM; one child leaves its
/// process group.
const STUBBORN: &str = r#"
trap '' TERM
sh -c 'trap "" TERM; echo $$ > "$ABLATE_PARAM_SITE/child"; sleep 1000; sleep 1000' &
setsid sh -c 'trap "" TERM; echo $$ > "$ABLATE_PARAM_SITE/stray"; sleep 1000; sleep 1000' &
while [ ! -s "$ABLATE_PARAM_SITE/child" ] || [ ! -s "$ABLATE_PARAM_SITE/stray" ]; do sleep 0.05; done
echo $$ > "$ABLATE_PARAM_SITE/leader"
sleep 1000
sleep 1000
"#;

#[test]
fn what_is_cancelled_is_gone_with_all_that_it_started() {
    let site = Site::new();
    site.write("stubborn.sh", STUBBORN);
    let text = format!(
        "name = \"stubborn\"\n[stages.s]\nkind = \"command\"\nrun = [\"sh\", \"stubborn.sh\"]\n\
         grace_seconds = 0.3\nparams = {{ site = {:?} }}\n",
        site.path()
    );
    let path = site.write("stubborn.toml", text);
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let args = ["worker", "--join", join, "--slots", "1", "--allow-commands"];
    let _worker = site.spawn(&args, "worker.log");
    site.json(&["submit", path.to_str().unwrap(), "--join", join, "--json"]);
    let pids = ["leader", "child", "stray"].map(|name| written(&site.path().join(name)));
    site.json(&["cancel", "stubborn", "--join", join, "--json"]);
    for pid in &pids {
        gone(pid);
    }
}

fn written(path: &Path) -> String {
    let started = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') {
            return text.trim().to_owned();
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{} is not written",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a process has ended.
fn gone(pid: &str) {
    let status = format!("/proc/{pid}/status");
    let started = Instant::now();
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        if text.is_empty() || text.contains("State:\tZ") {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{pid} still runs: {text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
