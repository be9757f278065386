//! A runner as a process: started in a group of its own, spoken to in lines of
//! JSON, and surely dead once it is dropped and reaped.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ablate_proto::failure::{Failure, FailureClass};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio_util::task::TaskTracker;

use super::log_tail::LogTail;
use super::oom::OomKills;
use crate::devices;
use crate::runner::protocol::{FromRunner, ToRunner};
use crate::runner::{OUT_OF_MEMORY, PURGE_DELAY};

/// A longer line is not of the protocol.
const MAX_LINE: usize = 64 << 20;
/// From closed pipes to the end of the process.
const EXIT_TIME: Duration = Duration::from_secs(2);
/// A runner loads its libraries and opens its device meanwhile.
const START_TIME: Duration = Duration::from_secs(120);

/// The agent's alone: what a runner executes has no business with them.
const SECRETS: [&str; 3] = ["ABLATE_TOKEN", "ABLATE_JOIN", "ABLATE__WORKER__JOIN"];

/// What a runner needs to be started.
#[derive(Debug, Clone)]
pub(super) struct Launcher {
    pub(super) command: Vec<OsString>,
    pub(super) threads: usize,
    /// Waits for the ends of killed runners.
    pub(super) reaper: TaskTracker,
}

pub(super) struct RunnerProcess {
    /// Taken when it goes to the reaper.
    child: Option<Child>,
    /// In place of a child.
    #[cfg(feature = "simulation")]
    simulated: Option<tokio_util::task::AbortOnDropHandle<()>>,
    group: Pid,
    stdin: Option<Box<dyn AsyncWrite + Send + Sync + Unpin>>,
    stdout: BufReader<Box<dyn AsyncRead + Send + Sync + Unpin>>,
    stderr: Option<pipe::Receiver>,
    line: Vec<u8>,
    pub(super) log: LogTail,
    /// When it was last given something to do, or up to a second before.
    oom_kills: OomKills,
    reaper: TaskTracker,
    pub(super) device: String,
    pub(super) threads: usize,
    /// Process group of the program that its stage runs.
    pub(super) program: Option<Pid>,
}

/// What a runner did.
#[derive(Debug)]
pub(super) enum Event {
    Said(FromRunner),
    /// It is of no more use.
    Broke(Failure),
}

impl Launcher {
    /// Starts a runner, on a GPU or on the CPU, and waits until it is ready.
    pub(super) async fn start(&self, gpu: Option<&str>) -> Result<Box<RunnerProcess>, Failure> {
        let lost = |why: String| Failure::new(FailureClass::Lost, why);
        let program = self.command.first().cloned().unwrap_or_default();
        let spawned = self.spawn(gpu).map_err(|e| {
            lost(format!(
                "the runner {} could not be started: {e}",
                program.display()
            ))
        });
        let mut runner = Box::new(spawned?);
        let ready = async {
            loop {
                match runner.next().await {
                    Event::Said(FromRunner::Ready { device, threads }) => {
                        return Ok((device, threads));
                    }
                    Event::Said(_) => {}
                    Event::Broke(failure) => {
                        let cause = format!("before it was ready: {}", failure.cause);
                        return Err(lost(cause));
                    }
                }
            }
        };
        let waited = tokio::time::timeout(START_TIME, ready).await;
        let silent = || {
            Err(lost(format!(
                "the runner {} was not ready in time",
                program.display()
            )))
        };
        (runner.device, runner.threads) = waited.unwrap_or_else(|_| silent())?;
        tracing::debug!(group = %runner.group, device = runner.device, "runner ready");
        Ok(runner)
    }

    fn spawn(&self, gpu: Option<&str>) -> io::Result<RunnerProcess> {
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| io::Error::other("no program is set"))?;
        #[cfg(feature = "simulation")]
        if program == super::simulated::PROGRAM {
            return Ok(self.simulate(arguments));
        }
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(gpu) = gpu {
            // The only GPU that CUDA will show it.
            command.args(["--gpu", gpu]).env(devices::VISIBLE, gpu);
        }
        for secret in SECRETS {
            command.env_remove(secret);
        }
        let (name, value) = PURGE_DELAY;
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
        let mut child = command
            .env("RAYON_NUM_THREADS", self.threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let gone = || io::Error::other("it has no pipes");
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        let stderr = child.stderr.take().ok_or_else(gone)?.into_owned_fd()?;
        Ok(RunnerProcess {
            group: Pid::from_raw(group.ok_or_else(gone)?),
            stdin: Some(Box::new(child.stdin.take().ok_or_else(gone)?)),
            stdout: BufReader::with_capacity(
                64 << 10,
                Box::new(child.stdout.take().ok_or_else(gone)?),
            ),
            stderr: Some(pipe::Receiver::from_owned_fd(stderr)?),
            child: Some(child),
            #[cfg(feature = "simulation")]
            simulated: None,
            line: Vec::new(),
            log: LogTail::default(),
            oom_kills: OomKills::lately(),
            reaper: self.reaper.clone(),
            device: String::new(),
            threads: self.threads,
            program: None,
        })
    }

    #[cfg(feature = "simulation")]
    fn simulate(&self, arguments: &[OsString]) -> RunnerProcess {
        let worker = arguments.first().and_then(|name| name.to_str());
        let (pipe, task) = super::simulated::start(worker.unwrap_or_default().to_owned());
        let (stdout, stdin) = tokio::io::split(pipe);
        RunnerProcess {
            child: None,
            simulated: Some(tokio_util::task::AbortOnDropHandle::new(task)),
            group: Pid::from_raw(i32::MAX),
            stdin: Some(Box::new(stdin)),
            stdout: BufReader::new(Box::new(stdout)),
            stderr: None,
            line: Vec::new(),
            log: LogTail::default(),
            oom_kills: OomKills::default(),
            reaper: self.reaper.clone(),
            device: String::new(),
            threads: self.threads,
            program: None,
        }
    }
}

impl std::fmt::Debug for RunnerProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RunnerProcess").field(&self.group).finish()
    }
}

impl RunnerProcess {
    /// # Errors
    /// When the runner has gone; [`next`](Self::next) says how.
    pub(super) async fn tell(&mut self, message: &ToRunner) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        if self.child.is_some() {
            self.oom_kills = OomKills::lately();
        }
        let stdin = self.stdin.as_mut();
        let stdin = stdin.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        stdin.write_all(&line).await?;
        stdin.flush().await
    }

    pub(super) fn is_alive(&mut self) -> bool {
        #[cfg(feature = "simulation")]
        if let Some(simulated) = &self.simulated {
            return !simulated.is_finished();
        }
        let exited = self.child.as_mut().map(Child::try_wait);
        matches!(exited, Some(Ok(None)))
    }

    /// The next thing it does. Cancel safe.
    pub(super) async fn next(&mut self) -> Event {
        enum Got {
            Line,
            Log,
            End,
        }
        loop {
            let got = tokio::select! {
                filled = self.stdout.fill_buf() => match filled {
                    Ok([]) | Err(_) => Got::End,
                    Ok(buffer) => {
                        let end = buffer.iter().position(|b| *b == b'\n');
                        let used = end.map_or(buffer.len(), |at| at + 1);
                        self.line.extend_from_slice(&buffer[..used]);
                        self.stdout.consume(used);
                        match end {
                            Some(_) => Got::Line,
                            None if self.line.len() > MAX_LINE => Got::Line,
                            None => continue,
                        }
                    }
                },
                () = readable(self.stderr.as_ref()) => Got::Log,
            };
            match got {
                Got::Log => self.drain_log(),
                Got::End => return Event::Broke(self.ended().await),
                Got::Line => {
                    let line = std::mem::take(&mut self.line);
                    match serde_json::from_slice(&line) {
                        Ok(message) => {
                            self.drain_log();
                            return Event::Said(message);
                        }
                        // Something a library printed.
                        Err(_) if !line.starts_with(b"{") => self.log.push(&line),
                        Err(e) => {
                            return Event::Broke(Failure::bug(format!(
                                "the runner said something that is not of the protocol: {e}"
                            )));
                        }
                    }
                }
            }
        }
    }

    /// Takes what is in the pipe of its log, without waiting for more.
    fn drain_log(&mut self) {
        let mut buffer = [0; 16 << 10];
        while let Some(stderr) = &self.stderr {
            match stderr.try_read(&mut buffer) {
                Ok(n) if n > 0 => self.log.push(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => self.stderr = None,
            }
        }
    }

    /// Its pipe has closed: how it ended.
    async fn ended(&mut self) -> Failure {
        self.stdin = None;
        #[cfg(feature = "simulation")]
        if self.simulated.is_some() {
            return Failure::new(FailureClass::Lost, "the simulated runner crashed");
        }
        let Some(child) = self.child.as_mut() else {
            return Failure::bug("the runner was gone before");
        };
        let waited = tokio::time::timeout(EXIT_TIME, child.wait()).await;
        // Its own children, if it left any.
        signal_group(self.group);
        self.end_program();
        self.drain_log();
        match waited {
            Ok(Ok(status)) => {
                let starved = self.oom_kills.grew(OomKills::so_far());
                verdict(status, starved, &self.log)
            }
            Ok(Err(e)) => Failure::bug(format!("the runner's end could not be learnt: {e}")),
            Err(_) => Failure::bug("the runner closed its output without ending"),
        }
    }

    /// Ends the program that a dead runner left.
    fn end_program(&mut self) {
        if let Some(group) = self.program.take() {
            signal_group(group);
        }
    }

    /// Asks an idle runner to go, by closing its input.
    pub(super) async fn retire(mut self) {
        self.stdin = None;
        if let Some(child) = self.child.as_mut() {
            let waited = tokio::time::timeout(EXIT_TIME, child.wait()).await;
            tracing::debug!(group = %self.group, ?waited, "runner retired");
        }
    }
}

impl Drop for RunnerProcess {
    fn drop(&mut self) {
        self.end_program();
        let Some(mut child) = self.child.take() else {
            return;
        };
        if child.id().is_none() {
            return; // Reaped already.
        }
        signal_group(self.group);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let group = self.group;
            let reap = async move {
                let status = child.wait().await;
                tracing::debug!(%group, ?status, "runner reaped");
            };
            self.reaper.spawn_on(reap, &runtime);
        }
    }
}

fn signal_group(group: Pid) {
    if let Err(error) = killpg(group, Signal::SIGKILL) {
        tracing::trace!(%group, %error, "no such runner group any more");
    }
}

async fn readable(stderr: Option<&pipe::Receiver>) {
    match stderr {
        // An error shows when it is read.
        Some(stderr) => drop(stderr.readable().await),
        None => std::future::pending().await,
    }
}

/// The class of an end without a result. `starved`: the kernel has killed for
/// want of memory meanwhile.
fn verdict(status: ExitStatus, starved: bool, log: &LogTail) -> Failure {
    let signal = status.signal().and_then(|s| Signal::try_from(s).ok());
    let class = match signal {
        Some(Signal::SIGKILL) if starved => FailureClass::OutOfMemory,
        // The kernel's or a person's; not the doing of the stage.
        Some(Signal::SIGKILL | Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP) => {
            FailureClass::Lost
        }
        None if status.code() == Some(OUT_OF_MEMORY) => FailureClass::OutOfMemory,
        Some(_) | None => FailureClass::Bug,
    };
    let how = match (signal, status.code()) {
        (Some(Signal::SIGKILL), _) if starved => {
            "was killed by the kernel, since memory had run out,".to_owned()
        }
        (None, Some(OUT_OF_MEMORY)) => "could get no more memory".to_owned(),
        (Some(signal), _) => format!("was killed by {signal}"),
        (None, Some(code)) => format!("ended with exit code {code}"),
        (None, None) => format!("ended: {status}"),
    };
    let mut cause = format!("the runner {how} in the middle of the task");
    if class == FailureClass::OutOfMemory {
        cause.push_str("; fewer slots on this machine, or a smaller batch, need less");
    }
    if !log.is_empty() {
        cause.push_str("; the end of its log: ");
        cause.push_str(&log.quote());
    }
    Failure::new(class, cause)
}
