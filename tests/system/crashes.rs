//! Runners that crash or run out of memory, and workers that are asked to go
//! while they train.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{Process, SHORT, Site, makers, quickstart, send_signal};

fn ended(status: &Value) -> bool {
    status["state"] != "running"
}

/// A net that needs gigabytes.
const HUGE: &str = "name = \"huge\"\n[stages.data]\nkind = \"dataset\"\nsource = \"digits\"\n\
    images = 64\nheld_out = 64\n[stages.gan]\nkind = \"gan\"\nsteps = 3\n\
    discriminator = [20000, 20000]\n";

/// The failure of a task in this sweep that did not end well.
fn failure(status: &Value) -> (String, String) {
    let rows = status["rows"].as_array().unwrap();
    let failed = rows.iter().find(|r| r["state"] == "failed").unwrap();
    let text = |key: &str| failed["failure"][key].as_str().unwrap().to_owned();
    (text("class"), text("cause"))
}

/// A worker begun by a shell, after `first`.
fn worker_after(site: &Site, first: &str, join: &str) -> Process {
    let ablate = site.command(&["worker", "--join", join, "--slots", "1"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{first}; exec \"$0\" \"$@\"")]);
    shell.arg(ablate.get_program()).args(ablate.get_args());
    shell.current_dir(site.path());
    shell.envs(ablate.get_envs().filter_map(|(k, v)| Some((k, v?))));
    shell.stdin(std::process::Stdio::null());
    site.spawn_command(shell, "limited.log")
}

/// The task is told apart from the runner; the slot lives on.
#[test]
fn a_runner_that_crashes_costs_its_task_and_no_more() {
    for signal in ["SEGV", "ABRT", "BUS"] {
        let site = Site::new();
        let coordinator = site.coordinator("127.0.0.1:0");
        let join = coordinator.address.as_str();
        let worker = site.worker(join, "w");
        site.submit(join, "crash", &makers("crash", 0..2, 1500));
        site.wait_for(join, "crash", |s| {
            let rows = s["rows"].as_array().unwrap().iter();
            rows.filter(|r| r["state"] == "running" && r["step"].as_u64() > Some(100))
                .count()
                > 0
        });
        let [runner] = worker.children()[..] else {
            panic!("one runner was expected");
        };
        assert!(send_signal(runner, signal));
        let status = site.wait_for(join, "crash", ended);
        let counts = (status["done"].as_u64(), status["failed"].as_u64());
        assert_eq!(counts, (Some(1), Some(1)), "{status:#}");
        let (class, cause) = failure(&status);
        assert_eq!(class, "bug");
        assert!(cause.contains(&format!("SIG{signal}")), "{cause}");
    }
}

#[test]
fn a_runner_that_gets_no_memory_is_out_of_memory() {
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let _worker = worker_after(&site, "ulimit -v 2500000", join);
    site.submit(join, "huge", HUGE);
    let status = site.wait_for(join, "huge", ended);
    let (class, cause) = failure(&status);
    assert_eq!(class, "out_of_memory", "{cause}");
    assert!(cause.contains("could get no more memory"), "{cause}");
    assert!(cause.contains("bytes of memory were refused"), "{cause}");
    site.submit(join, "next", &makers("next", 0..1, 10));
    let next = site.wait_for(join, "next", ended);
    site.check_done(&next);
}

/// A control group with little memory, removed at the end.
struct Group(PathBuf);

impl Group {
    fn new(bytes: u64) -> Option<Self> {
        let name = format!("ablate-test-{}", std::process::id());
        for (root, limit) in [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ] {
            let folder = PathBuf::from(root).join(&name);
            if std::fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Self(folder);
            if std::fs::write(group.0.join(limit), bytes.to_string()).is_ok() {
                return Some(group);
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have been killed, and are gone in a moment.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[test]
fn a_runner_that_the_kernel_kills_for_memory_is_out_of_memory() {
    let Some(group) = Group::new(300 << 20) else {
        eprintln!("NOT RUN: no control group with a limit can be made here");
        return;
    };
    let site = Site::new();
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let enter = format!("echo $$ > {}", group.0.join("cgroup.procs").display());
    let worker = worker_after(&site, &enter, join);
    site.submit(join, "huge", HUGE);
    let status = site.wait_for(join, "huge", ended);
    let (class, cause) = failure(&status);
    assert_eq!(class, "out_of_memory", "{cause}");
    assert!(cause.contains("memory had run out"), "{cause}");
    // A kill by anybody else is not that.
    site.submit(join, "next", &makers("next", 0..1, 1000));
    site.wait_for(join, "next", |s| s["rows"][0]["step"].as_u64() > Some(100));
    for runner in worker.children() {
        assert!(send_signal(runner, "KILL"));
    }
    let next = site.wait_for(join, "next", ended);
    assert_eq!(next["rows"][0]["attempt"], 2);
    assert_eq!(next["rows"][0]["failure"]["class"], "lost", "{next:#}");
    site.check_done(&next);
}

/// A notice of thirty seconds is more than enough.
#[test]
fn a_worker_that_trains_hands_back_what_it_has() {
    let site = Site::new().with("ABLATE__WORKER__CHECKPOINT_SECONDS", "60");
    let coordinator = site.coordinator("127.0.0.1:0");
    let join = coordinator.address.as_str();
    let file = quickstart();
    let mut submit = vec!["submit", &file, "--join", join, "--json"];
    submit.extend(SHORT);
    submit.extend(["--set", "ae.steps=1500", "--set", "gamma=3"]);
    submit.extend(["--set", "decoder.sigma=1.0"]);
    site.json(&submit);
    let first = site.worker(join, "first");
    let step = |s: &Value| {
        let rows = s["rows"].as_array().unwrap();
        let trained = rows.iter().find(|r| r["kind"] == "autoencoder").unwrap();
        let step = trained["step"].as_u64();
        (trained["state"] == "running").then_some(step).flatten()
    };
    let status = site.wait_for(join, "quickstart", |s| step(s) > Some(200));
    let reached = step(&status).unwrap();
    first.signal("TERM");
    let (code, _) = first.wait();
    let log = site.log("first.log");
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("grace is over"), "{log}");
    let _second = site.worker(join, "second");
    let status = site.wait_for(join, "quickstart", ended);
    site.check_done(&status);
    let rows = status["rows"].as_array().unwrap();
    let trained = rows.iter().find(|r| r["kind"] == "autoencoder").unwrap();
    assert_eq!(
        (&trained["attempt"], &trained["failure"]["class"]),
        (&2.into(), &"preempted".into())
    );
    let manifest = site.manifest(trained["key"].as_str().unwrap());
    // It stopped where it was, checkpoint interval or not.
    let from = manifest["provenance"]["resumed_from"].as_u64().unwrap();
    assert!(
        from >= reached,
        "resumed from {from}, had reached {reached}"
    );
}
