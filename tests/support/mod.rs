//! A cluster of real processes in a folder of its own. Everything is killed
//! when the test ends, however it ends.

pub(crate) mod disk;
pub(crate) mod proxy;
pub(crate) mod random;
pub(crate) mod safe;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The lease of [`Site::short_leases`].
pub(crate) const LEASE: Duration = Duration::from_millis(1500);

/// A folder to work in, with the store, scratch and reports below it.
pub(crate) struct Site {
    folder: TempDir,
    /// What `--store` is given.
    store: String,
    /// Variables that every process gets.
    variables: Vec<(&'static str, String)>,
}

/// A child that does not outlive the test.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    pub(crate) fn of(child: Child) -> Self {
        Self(child)
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        assert!(send_signal(self.0.id(), signal));
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// The processes that it started and that still run.
    pub(crate) fn children(&self) -> Vec<u32> {
        let processes = std::fs::read_dir("/proc").unwrap();
        let ids = processes.filter_map(|p| p.ok()?.file_name().to_str()?.parse().ok());
        ids.filter(|id| parent(*id) == Some(self.0.id())).collect()
    }

    /// Waits for the end; the exit code, and what was printed on stdout.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let mut stdout = String::new();
        if let Some(mut pipe) = self.0.stdout.take() {
            pipe.read_to_string(&mut stdout).unwrap();
        }
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return (status.code(), stdout);
            }
            assert!(started.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

pub(crate) struct Coordinator {
    pub(crate) process: Process,
    pub(crate) address: String,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with_store("store", Vec::new())
    }

    /// With another store, and what processes need in order to use it.
    pub(crate) fn with_store(store: &str, variables: Vec<(&'static str, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store.to_owned();
        Self {
            folder,
            store,
            variables,
        }
    }

    /// The same with this variable set for every command.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Leases so short that a test can wait for their end.
    pub(crate) fn short_leases(self) -> Self {
        self.with(
            "ABLATE__COORDINATOR__LEASE_MS",
            LEASE.as_millis().to_string(),
        )
        .with("ABLATE__COORDINATOR__HEARTBEAT_MS", "250")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ablate"));
        command
            .args(args)
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("XDG_CONFIG_HOME", self.path())
            .env("ABLATE__WORKER__SCRATCH", self.path().join("scratch"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed; its last line on stdout as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        last_json(&String::from_utf8(output.stdout).unwrap())
    }

    pub(crate) fn spawn(&self, args: &[&str], log: &str) -> Process {
        self.spawn_command(self.command(args), log)
    }

    pub(crate) fn spawn_command(&self, mut command: Command, log: &str) -> Process {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path().join(log))
            .unwrap();
        let child = command.stdout(Stdio::piped()).stderr(log).spawn();
        Process(child.unwrap())
    }

    /// A coordinator on this port, or on a free one; ready when this returns.
    pub(crate) fn coordinator(&self, listen: &str) -> Coordinator {
        self.coordinator_with(listen, &[])
    }

    pub(crate) fn coordinator_with(&self, listen: &str, more: &[&str]) -> Coordinator {
        let mut args = vec![
            "coordinator",
            "--json",
            "--store",
            &self.store,
            "--listen",
            listen,
        ];
        args.extend(more);
        self.coordinator_from(self.command(&args))
    }

    /// The same, by a command of one's own.
    pub(crate) fn coordinator_from(&self, command: Command) -> Coordinator {
        let mut process = self.spawn_command(command, "coordinator.log");
        let stdout = process.0.stdout.take().unwrap();
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("{e}: {line:?}; {}", self.log("coordinator.log")));
        let address = ready["address"].as_str().unwrap().to_owned();
        Coordinator { process, address }
    }

    pub(crate) fn worker(&self, join: &str, name: &str) -> Process {
        let args = ["worker", "--join", join, "--slots", "1"];
        self.spawn(&args, &format!("{name}.log"))
    }

    /// Submits a sweep file that is written for it.
    pub(crate) fn submit(&self, join: &str, name: &str, sweep: &str) -> Value {
        let file = self.write(&format!("{name}.toml"), sweep);
        self.json(&["submit", file.to_str().unwrap(), "--join", join, "--json"])
    }

    /// The result of a task as the store has it.
    pub(crate) fn manifest(&self, key: &str) -> Value {
        let text = self.log(&format!("store/tasks/{key}/manifest.json"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("manifest of {key}: {e}"))
    }

    /// Every task is done, once, with a manifest of that attempt or, reused,
    /// an earlier one; and the stored outcome says the same.
    pub(crate) fn check_done(&self, status: &Value) {
        let sweep = status["sweep"].as_str().unwrap();
        let outcome = self.log(&format!("store/sweeps/{sweep}/outcome.json"));
        let outcome: Value = serde_json::from_str(&outcome).unwrap();
        let rows = status["rows"].as_array().unwrap();
        let stored = outcome["rows"].as_array().unwrap();
        assert_eq!(
            (rows.len() as u64, rows.len()),
            (status["tasks"].as_u64().unwrap(), stored.len())
        );
        for row in rows {
            let key = row["key"].as_str().unwrap();
            assert_eq!(row["state"], "done", "{row}");
            let same: Vec<_> = stored.iter().filter(|s| s["key"] == key).collect();
            assert_eq!(same.len(), 1, "{key} in {outcome:#}");
            assert_eq!(
                (&same[0]["state"], &same[0]["attempt"]),
                (&row["state"], &row["attempt"])
            );
            let folder = self.path().join("store/tasks").join(key);
            let bare = row["bare"] == true;
            assert_eq!(bare, !folder.join("manifest.json").exists(), "{row}");
            if bare {
                continue; // It left nothing.
            }
            let manifest = self.manifest(key);
            let number = manifest["attempt"]["number"].as_u64().unwrap();
            assert!(
                number >= 1 && number <= row["attempt"].as_u64().unwrap(),
                "{row} {manifest}"
            );
            for file in manifest["files"].as_array().unwrap() {
                let path = folder
                    .join(number.to_string())
                    .join(file["name"].as_str().unwrap());
                let bytes = std::fs::read(&path).unwrap();
                let digest = blake3::hash(&bytes).to_hex();
                assert_eq!(file["blake3"], digest.as_str(), "{}", path.display());
            }
        }
    }

    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// Waits until the sweep's status satisfies the condition.
    pub(crate) fn wait_for(
        &self,
        join: &str,
        sweep: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> Value {
        let started = Instant::now();
        loop {
            let output = self.run(&["status", sweep, "--join", join, "--json"]);
            if output.status.success() {
                let status = last_json(&String::from_utf8(output.stdout).unwrap());
                let status = status["sweeps"][0].clone();
                if condition(&status) {
                    return status;
                }
                assert!(started.elapsed() < PATIENCE, "still {status:#}");
            }
            assert!(started.elapsed() < PATIENCE, "no answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Resident memory of a process in KiB.
pub(crate) fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends a signal to a process; whether there was one.
pub(crate) fn send_signal(id: u32, signal: &str) -> bool {
    let kill = Command::new("kill")
        .args([&format!("-{signal}"), &id.to_string()])
        .stderr(Stdio::null())
        .status();
    kill.unwrap().success()
}

fn parent(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in brackets, may have spaces.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

pub(crate) fn last_json(stdout: &str) -> Value {
    let line = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {stdout:?}"))
}

/// How often each task was begun. One that was handed back before that, since
/// another worker was free, costs nothing; of several times the last is known.
pub(crate) fn attempts(status: &Value) -> Vec<u64> {
    let begun = |row: &Value| {
        let cause = row["failure"]["cause"].as_str().unwrap_or_default();
        let back = row["failure"]["class"] == "preempted"
            && cause.starts_with("handed back before it had begun");
        row["attempt"].as_u64().unwrap() - u64::from(back)
    };
    status["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(begun)
        .collect()
}

/// A sweep of independent tasks that sleep.
pub(crate) fn sleepers(name: &str, count: u64, sleep_ms: u64) -> String {
    sleepers_from(name, 0..count, sleep_ms)
}

pub(crate) fn sleepers_from(name: &str, indices: std::ops::Range<u64>, sleep_ms: u64) -> String {
    let indices: Vec<String> = indices.map(|i| i.to_string()).collect();
    format!(
        "name = \"{name}\"\n[stages.nap]\nkind = \"noop\"\nsleep_ms = {sleep_ms}\n\
         [axes]\nindex = [{}]\n",
        indices.join(", ")
    )
}

/// The same, with an artefact each: a manifest that is published once.
pub(crate) fn makers(name: &str, indices: std::ops::Range<u64>, sleep_ms: u64) -> String {
    let sweep = sleepers_from(name, indices, sleep_ms);
    sweep.replace("[axes]", "artifact = true\n[axes]")
}

/// The quickstart with far fewer steps: the same stages, in seconds.
pub(crate) const SHORT: [&str; 8] = [
    "--set",
    "ae.steps=60",
    "--set",
    "decoder.steps=20",
    "--set",
    "prior.steps=20",
    "--set",
    "samples.count=16",
];

pub(crate) fn quickstart() -> String {
    format!("{}/sweeps/quickstart.toml", env!("CARGO_MANIFEST_DIR"))
}
