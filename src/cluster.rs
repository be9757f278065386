//! The embedded cluster of `ablate run`: a real coordinator on a loopback
//! port, and worker processes that join it.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use ablate_coordinator::server::{self, ServeError};
use ablate_worker::agent;
use ablate_worker::devices::{self, DeviceChoice, Gpu};
use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use object_store::ObjectStore;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::exit::{CliError, Exit, OrExit, fail};
use crate::settings::Settings;
use crate::store;

/// How often dead workers are looked for.
const SUPERVISION: Duration = Duration::from_millis(200);
/// Worker processes are started anew so many times in all.
const MAX_RESTARTS: usize = 20;

pub(crate) struct EmbeddedCluster {
    pub(crate) address: String,
    coordinator: JoinHandle<Result<(), ServeError>>,
    stop: CancellationToken,
    workers: Vec<Child>,
    /// The workers take them in turn.
    gpus: Vec<Gpu>,
    logs: PathBuf,
    /// The coordinator's result was taken.
    ended: bool,
    grace: Duration,
    /// Held while the cluster lives, where the store is a local folder.
    _lock: Option<File>,
}

impl EmbeddedCluster {
    pub(crate) async fn start(
        settings: &Settings,
        store: Arc<dyn ObjectStore>,
    ) -> Result<Self, CliError> {
        let gpus = devices::find(settings.worker.device).or_exit(Exit::Usage)?;
        let url = store::absolute(&settings.store.url).or_exit(Exit::Usage)?;
        let lock = lock(&url)?;
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("listening on a free loopback port")
            .or_exit(Exit::Refused)?;
        let address = listener
            .local_addr()
            .context("asking for the port that was given")
            .or_exit(Exit::Refused)?
            .to_string();
        let stop = CancellationToken::new();
        let (ready, up) = oneshot::channel();
        // Of this machine alone, and gone with it: as if there were no tokens.
        let server = server::Settings {
            tls: None,
            tokens: false,
            ..settings.coordinator.server(&url)
        };
        let serve = server::serve(server, store, listener, stop.clone(), move |_| {
            // The receiver waits below.
            let _ = ready.send(());
        });
        let mut cluster = Self {
            address,
            coordinator: tokio::spawn(serve),
            stop,
            workers: Vec::new(),
            gpus,
            logs: log_folder(settings)?,
            ended: false,
            grace: Duration::from_secs_f64(settings.worker.grace_seconds),
            _lock: lock,
        };
        if up.await.is_err() {
            let stopped = || anyhow::anyhow!("the coordinator did not start");
            let exit = Exit::Refused;
            return Err(cluster.broken().await.unwrap_or_else(|| CliError {
                exit,
                error: stopped(),
            }));
        }
        for index in 0..settings.run.workers_here(cluster.gpus.len()) {
            let worker = cluster.spawn_worker(settings, index);
            cluster.workers.push(worker.or_exit(Exit::Refused)?);
        }
        Ok(cluster)
    }

    fn log(&self, worker: usize) -> PathBuf {
        self.logs.join(format!("worker-{worker}.log"))
    }

    fn spawn_worker(&self, settings: &Settings, index: usize) -> anyhow::Result<Child> {
        let program = own_program()?;
        let log = &self.log(index);
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("making {}", log.display()))?;
        let mut command = Command::new(program);
        command.args(["worker", "--with-parent", "--slots", "1", "--device"]);
        match self.gpus.get(index % self.gpus.len().max(1)) {
            Some(gpu) => command.arg("cuda").env(devices::VISIBLE, &gpu.uuid),
            None if settings.worker.device == DeviceChoice::Auto => command.arg("auto"),
            None => command.arg("cpu"),
        };
        if self.gpus.is_empty() && settings.worker.memory_mib == 0 {
            // They are on one machine.
            let workers = settings.run.workers_here(0).max(1) as u64;
            let mib = (agent::memory::of_machine() >> 20) / workers;
            command.arg("--memory").arg(mib.to_string());
        }
        if settings.worker.allow_commands {
            command.arg("--allow-commands");
        }
        command
            .arg("--join")
            .arg(&self.address)
            .arg("--threads")
            .arg(settings.worker.threads.to_string())
            // Closed when this process ends, however it ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting a worker process")
    }

    /// Starts workers that died anew. Resolves when the cluster cannot go on:
    /// the coordinator ended, or workers keep dying.
    pub(crate) async fn supervise(&mut self, settings: &Settings) -> CliError {
        let mut restarts = 0;
        while !self.coordinator.is_finished() {
            tokio::time::sleep(SUPERVISION).await;
            for index in 0..self.workers.len() {
                let Ok(Some(status)) = self.workers[index].try_wait() else {
                    continue;
                };
                restarts += 1;
                let again = self.spawn_worker(settings, index);
                match again {
                    Ok(worker) if restarts <= MAX_RESTARTS => self.workers[index] = worker,
                    Ok(_) | Err(_) => {
                        let error = anyhow::anyhow!(
                            "worker processes keep ending ({status}); see {}",
                            self.log(index).display()
                        );
                        let exit = Exit::Failed;
                        return CliError { exit, error };
                    }
                }
            }
        }
        self.broken().await.unwrap_or_else(|| CliError {
            exit: Exit::Refused,
            error: anyhow::anyhow!("the coordinator stopped"),
        })
    }

    /// Why the coordinator ended by itself, if it does within a second.
    pub(crate) async fn broken(&mut self) -> Option<CliError> {
        if self.ended {
            return None;
        }
        let coordinator = &mut self.coordinator;
        let result = tokio::time::timeout(Duration::from_secs(1), coordinator);
        let result = result.await.ok()?;
        self.ended = true;
        let mut exit = Exit::Refused;
        let error = match result {
            Ok(Ok(())) => return None,
            Ok(Err(e)) => {
                if e.is_fenced() {
                    exit = Exit::Replaced;
                }
                anyhow::Error::new(e)
            }
            Err(panic) => anyhow::anyhow!("the coordinator broke: {panic}"),
        };
        Some(CliError { exit, error })
    }

    /// Workers first: they hand back what they run. Then the coordinator.
    pub(crate) async fn stop(mut self) {
        for worker in &self.workers {
            let pid = worker.id().and_then(|id| i32::try_from(id).ok());
            if let Some(pid) = pid {
                // One that has just ended is fine too.
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
        }
        let ended = async {
            for worker in &mut self.workers {
                let _ = worker.wait().await;
            }
        };
        let _ = tokio::time::timeout(self.grace + Duration::from_secs(5), ended).await;
        for worker in &mut self.workers {
            let _ = worker.kill().await;
        }
        self.stop.cancel();
        if !self.ended {
            let _ = self.coordinator.await;
        }
    }
}

/// What to start for another process of this very build. On Linux the file
/// that runs, even if another was put in its place since.
pub(crate) fn own_program() -> anyhow::Result<OsString> {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        return Ok(running.into());
    }
    let program = std::env::current_exe().context("finding this program's own file")?;
    Ok(program.into())
}

fn log_folder(settings: &Settings) -> Result<PathBuf, CliError> {
    let folder = settings.worker.scratch.join("logs");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("making the folder {}", folder.display()))
        .or_exit(Exit::Refused)?;
    Ok(folder)
}

/// Two embedded clusters on one local store would take it from each other.
fn lock(url: &str) -> Result<Option<File>, CliError> {
    let Some(folder) = store::local_folder(url) else {
        return Ok(None);
    };
    let path = folder.join("run.lock");
    let file = File::create(&path)
        .with_context(|| format!("making {}: the store cannot be written", path.display()))
        .or_exit(Exit::Refused)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        // A file system without locks: nothing is known.
        Err(TryLockError::Error(_)) => Ok(None),
        Err(TryLockError::WouldBlock) => fail(
            Exit::Refused,
            format!(
                "another `ablate run` is using the store {}: wait for it, or give this one \
                 a store of its own with --store",
                folder.display()
            ),
        ),
    }
}
