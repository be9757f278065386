//! `ablate worker`: add this machine to a coordinator.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ablate_proto::access::Join;
use ablate_worker::agent::{self, AgentError, WorkerSettings};
use ablate_worker::devices::{self, Gpu};
use ablate_worker::dial::Dial;
use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::signals::Signals;
use super::{Context, DeviceArgs, Flags, JoinArgs, flag};
use crate::cluster::own_program;
use crate::exit::{CliError, CliResult, Exit, OrExit};
use crate::{client, settings, store};

#[derive(Args)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    join: JoinArgs,
    /// Tasks at a time; by default one a GPU, or one a core
    #[arg(long, value_name = "N")]
    slots: Option<u32>,
    /// Tasks that may share a slot, once it is known how little they use
    #[arg(long, value_name = "N")]
    pack: Option<u32>,
    /// MiB of memory for its tasks; by default all there is
    #[arg(long, value_name = "MIB")]
    memory: Option<u64>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Threads of each task
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Run programs of users (stages of kind `command`); they can do here
    /// whatever you can
    #[arg(long)]
    allow_commands: bool,
    /// End after so many seconds without work
    #[arg(long, value_name = "SECONDS")]
    idle_exit: Option<f64>,
    /// End when standard input closes
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl WorkerArgs {
    pub(super) fn flags(&self) -> Flags {
        let mut flags = self.join.flags();
        flags.extend(flag("worker.slots", self.slots));
        flags.extend(flag("worker.pack", self.pack));
        flags.extend(flag("worker.memory_mib", self.memory));
        flags.extend(self.device.flags());
        flags.extend(flag("worker.threads", self.threads));
        flags.extend(super::allowed(self.allow_commands));
        flags
    }
}

pub(super) async fn worker(context: &Context, args: &WorkerArgs) -> CliResult {
    let mut signals = Signals::listen()?;
    let ours = &context.settings.worker;
    let join = tokio::select! {
        join = client::await_coordinator(&ours.join) => join?,
        exit = signals.next() => return Ok(exit),
    };
    let gpus = devices::find(ours.device).or_exit(Exit::Usage)?;
    let (scratch, _lock) = scratch(&ours.scratch).or_exit(Exit::Refused)?;
    let settings = settings(ours, &join, &gpus, scratch, args.idle_exit)?;
    let grace = settings.grace;
    let shutdown = CancellationToken::new();
    if args.with_parent {
        end_with_parent(shutdown.clone());
    }
    let dial = match join.fingerprint {
        Some(fingerprint) => Dial::tls(fingerprint).or_exit(Exit::Refused)?,
        None => Dial::tcp(),
    };
    let open = |url: &str| store::open(url).map_err(Into::into);
    let agent = agent::run_on(settings, Arc::new(open), dial, shutdown.clone());
    let mut agent = std::pin::pin!(agent);
    let exit = tokio::select! {
        ended = &mut agent => {
            ended.map_err(refused)?;
            return Ok(Exit::Done);
        }
        exit = signals.next() => exit,
    };
    tracing::info!("handing tasks back; {grace:?} at most");
    shutdown.cancel();
    tokio::select! {
        ended = agent => ended.map_err(refused)?,
        // Asked twice: at once, and the runners with it.
        again = signals.next() => return Ok(again),
    }
    Ok(match exit {
        // Asked to go, and gone in good order.
        Exit::Signal(15) => Exit::Done,
        exit => exit,
    })
}

fn settings(
    ours: &settings::WorkerSettings,
    join: &Join,
    gpus: &[Gpu],
    scratch: PathBuf,
    idle_exit: Option<f64>,
) -> Result<WorkerSettings, CliError> {
    let seconds = |seconds: f64, what: &str| {
        Duration::try_from_secs_f64(seconds)
            .with_context(|| format!("{what} of {seconds} seconds"))
            .or_exit(Exit::Usage)
    };
    let program = own_program().or_exit(Exit::Failed)?;
    let (memory, largest) = memory(ours.memory_mib, gpus);
    Ok(WorkerSettings {
        join: join.address(),
        token: join.token.clone(),
        slots: ours.slots_here(gpus.len()) as usize,
        pack: ours.pack as usize,
        memory,
        largest,
        gpus: gpus.iter().map(|gpu| gpu.uuid.clone()).collect(),
        threads_per_slot: ours.threads,
        scratch,
        runner: vec![
            program,
            "runner".into(),
            "--threads".into(),
            ours.threads.to_string().into(),
            "--checkpoint-seconds".into(),
            ours.checkpoint_seconds.to_string().into(),
        ],
        cache_bytes: ours.cache_mib.saturating_mul(1 << 20),
        grace: seconds(ours.grace_seconds, "a grace")?,
        hang: seconds(ours.hang_seconds, "a time to hang")?,
        allow_commands: ours.allow_commands,
        idle_exit: idle_exit.map(|s| seconds(s, "an idle time")).transpose()?,
        build: format!(
            "{} ({})",
            env!("CARGO_PKG_VERSION"),
            env!("ABLATE_REVISION")
        ),
        ..WorkerSettings::default()
    })
}

/// Bytes for all tasks, and for one of them.
fn memory(mib: u64, gpus: &[Gpu]) -> (u64, u64) {
    let one = gpus.iter().map(|gpu| gpu.bytes).min();
    let (all, one) = match one {
        Some(one) => (one.saturating_mul(gpus.len() as u64), one),
        None => {
            let all = agent::memory::of_machine();
            (all, all)
        }
    };
    match mib {
        0 => (all, one),
        mib => {
            let all = mib.saturating_mul(1 << 20);
            (all, one.min(all))
        }
    }
}

/// The first scratch folder below `root` that no live worker holds. What an
/// earlier one left there, its cache above all, is used again.
fn scratch(root: &Path) -> anyhow::Result<(PathBuf, File)> {
    std::fs::create_dir_all(root)
        .with_context(|| format!("making the scratch folder {}", root.display()))?;
    for index in 0.. {
        let lock = root.join(format!("worker-{index}.lock"));
        let file = File::create(&lock).with_context(|| format!("making {}", lock.display()))?;
        match file.try_lock() {
            Ok(()) => return Ok((root.join(format!("worker-{index}")), file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => {
                return Err(e).with_context(|| {
                    format!(
                        "locking {}; name a local folder as worker.scratch",
                        lock.display()
                    )
                });
            }
        }
    }
    unreachable!("the numbers do not end")
}

/// A worker of `ablate run` has nobody to work for once that is gone.
fn end_with_parent(shutdown: CancellationToken) {
    std::thread::spawn(move || {
        let mut nothing = [0; 64];
        while std::io::stdin().read(&mut nothing).is_ok_and(|n| n > 0) {}
        shutdown.cancel();
    });
}

fn refused(error: AgentError) -> CliError {
    let exit = match error {
        AgentError::Settings(_) => Exit::Usage,
        AgentError::Unreachable { .. } => Exit::Unreachable,
        _ => Exit::Refused,
    };
    let error = error.into();
    CliError { exit, error }
}
