//! A cluster of real processes in a folder of its own. Everything is killed
//! when the test ends, however it ends.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A folder to work in, with the store, scratch and reports below it.
pub(crate) struct Site {
    folder: TempDir,
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
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([&format!("-{signal}"), &self.0.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
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
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
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
            "store",
            "--listen",
            listen,
        ];
        args.extend(more);
        self.coordinator_from(self.command(&args))
    }

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

pub(crate) fn last_json(stdout: &str) -> Value {
    let line = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {stdout:?}"))
}

/// A sweep of independent tasks that sleep.
pub(crate) fn sleepers(name: &str, count: u64, sleep_ms: u64) -> String {
    let indices: Vec<String> = (0..count).map(|i| i.to_string()).collect();
    format!(
        "name = \"{name}\"\n[stages.nap]\nkind = \"noop\"\nsleep_ms = {sleep_ms}\n\
         [axes]\nindex = [{}]\n",
        indices.join(", ")
    )
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
