//! Settings, and where each came from. The one user of the `config` crate.
//!
//! Later layers win: defaults, `/etc/ablate/config.toml`,
//! `~/.config/ablate/config.toml`, what `ablate login` kept, `./ablate.toml`,
//! `ABLATE__SECTION__KEY` and `ABLATE_JOIN`, flags.

mod join;
mod layers;

use std::path::PathBuf;
use std::time::Duration;

use ablate_coordinator::probe::Probe;
use ablate_coordinator::server::Limits;
use ablate_coordinator::takeover::Standby;
use ablate_worker::devices::DeviceChoice;
use serde::{Deserialize, Serialize};

use crate::store::local_folder;
pub(crate) use join::JoinSetting;
pub(crate) use layers::{Loaded, load, login_file};

/// A day: longer waits are mistakes.
const MOST_SECONDS: f64 = 86_400.0;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) store: StoreSettings,
    pub(crate) coordinator: CoordinatorSettings,
    pub(crate) worker: WorkerSettings,
    pub(crate) run: RunSettings,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreSettings {
    /// Folder or URL that holds everything.
    pub(crate) url: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CoordinatorSettings {
    pub(crate) listen: String,
    /// Folder with certificate and key, as `ablate cert init` makes it. TLS is
    /// spoken if it is set.
    pub(crate) tls_dir: PathBuf,
    /// Open connections, in all and from one address.
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_address: usize,
    /// A silent worker's tasks go to others after so long.
    pub(crate) lease_ms: u64,
    pub(crate) heartbeat_ms: u64,
    /// A worker whose connection broke may take so long to come back.
    pub(crate) reconnect_ms: u64,
    /// The coordinator's log is written out so often. 0: by the store, 1 for a
    /// folder, 100 where every request is paid for.
    pub(crate) flush_ms: u64,
    /// Where others reach it, as `host:port`. Empty: where it listens.
    pub(crate) advertise: String,
    /// It says so often in the store that it lives. 0: by the store, 500 for a
    /// folder, 2000 where every request is paid for.
    pub(crate) beat_ms: u64,
    /// A standby takes over after so long without a sign of life. 0: by the
    /// store, 2500 for a folder, 10000 elsewhere.
    pub(crate) takeover_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WorkerSettings {
    /// Where the coordinator is, as host:port or as the string that `ablate
    /// token create` printed; submit, status, … look there too.
    pub(crate) join: JoinSetting,
    /// A file that holds that string, and is read instead.
    pub(crate) join_file: PathBuf,
    /// A file that holds a token.
    pub(crate) token_file: PathBuf,
    /// Tasks at a time. 0: one a GPU, or one for each core that `threads`
    /// leaves.
    pub(crate) slots: u32,
    /// Tasks that may share a slot, where earlier ones of their kind used only
    /// a part of its cores.
    pub(crate) pack: u32,
    /// MiB of memory for all its tasks; what would need more waits. 0: what
    /// this machine, or its GPUs, have.
    pub(crate) memory_mib: u64,
    /// Where tasks are computed: `auto`, `cpu` or `cuda`.
    pub(crate) device: DeviceChoice,
    /// Threads of each slot.
    pub(crate) threads: usize,
    /// Folder for running tasks and cached inputs.
    pub(crate) scratch: PathBuf,
    pub(crate) cache_mib: u64,
    pub(crate) checkpoint_seconds: f64,
    /// Time to hand tasks back after SIGTERM.
    pub(crate) grace_seconds: f64,
    /// A task without progress for so long is ended, and tried again.
    pub(crate) hang_seconds: f64,
    /// Programs of users may run here: stages of kind `command`.
    pub(crate) allow_commands: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RunSettings {
    /// Worker processes of `ablate run`. 0: one a GPU, or one a core, at most
    /// 8.
    pub(crate) workers: usize,
    /// Folder that reports are written below.
    pub(crate) reports: PathBuf,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            url: "ablate-store".to_owned(),
        }
    }
}

impl Default for CoordinatorSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7443".to_owned(),
            tls_dir: PathBuf::new(),
            max_connections: 4096,
            max_connections_per_address: 1024,
            lease_ms: 5000,
            heartbeat_ms: 1000,
            reconnect_ms: 750,
            flush_ms: 0,
            advertise: String::new(),
            beat_ms: 0,
            takeover_ms: 0,
        }
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            join: JoinSetting::new("127.0.0.1:7443"),
            join_file: PathBuf::new(),
            token_file: PathBuf::new(),
            slots: 0,
            pack: 1,
            memory_mib: 0,
            device: DeviceChoice::Auto,
            threads: 1,
            // Each user of a machine has a folder of their own.
            scratch: std::env::temp_dir().join(format!("ablate-{}", nix::unistd::getuid())),
            cache_mib: 4096,
            checkpoint_seconds: 10.0,
            grace_seconds: 10.0,
            hang_seconds: 900.0,
            allow_commands: false,
        }
    }
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            workers: 0,
            reports: PathBuf::from("reports"),
        }
    }
}

impl Settings {
    /// Checks what types do not; the key, and what is wrong with its value.
    fn validate(&self) -> Result<(), (&'static str, String)> {
        for (key, seconds) in [
            ("worker.grace_seconds", self.worker.grace_seconds),
            ("worker.checkpoint_seconds", self.worker.checkpoint_seconds),
        ] {
            if !(0.0..=MOST_SECONDS).contains(&seconds) {
                return Err((
                    key,
                    format!("is {seconds}; 0 to {MOST_SECONDS} is possible"),
                ));
            }
        }
        for (key, count) in [
            (
                "coordinator.max_connections",
                self.coordinator.max_connections,
            ),
            (
                "coordinator.max_connections_per_address",
                self.coordinator.max_connections_per_address,
            ),
        ] {
            if count == 0 {
                return Err((key, "is 0; nobody could connect".to_owned()));
            }
        }
        // Less would end tasks that have hardly begun.
        let hang = self.worker.hang_seconds;
        if !(1.0..=MOST_SECONDS).contains(&hang) {
            let why = format!("is {hang}; 1 to {MOST_SECONDS} is possible");
            return Err(("worker.hang_seconds", why));
        }
        Ok(())
    }
}

impl CoordinatorSettings {
    /// Where certificate and key are, if TLS is to be spoken.
    pub(crate) fn tls(&self) -> Option<PathBuf> {
        let folder = &self.tls_dir;
        (!folder.as_os_str().is_empty()).then(|| folder.clone())
    }

    pub(crate) fn server(&self, store: &str) -> ablate_coordinator::server::Settings {
        ablate_coordinator::server::Settings {
            core: ablate_coordinator::core::CoreSettings {
                lease: Duration::from_millis(self.lease_ms),
                heartbeat: Duration::from_millis(self.heartbeat_ms),
                reconnect: Duration::from_millis(self.reconnect_ms),
                store: store.to_owned(),
            },
            flush: by_store(self.flush_ms, store, 1, 100),
            probe: Some(if local_folder(store).is_some() {
                Probe::FOLDER
            } else {
                Probe::SERVER
            }),
            beat: by_store(self.beat_ms, store, 500, 2000),
            advertise: Some(self.advertise.clone()).filter(|address| !address.is_empty()),
            tls: self.tls(),
            tokens: true,
            limits: Limits {
                connections: self.max_connections,
                per_address: self.max_connections_per_address,
            },
        }
    }

    pub(crate) fn standby(&self, store: &str) -> Standby {
        Standby {
            poll: by_store(self.beat_ms, store, 500, 2000),
            after: by_store(self.takeover_ms, store, 2500, 10_000),
        }
    }
}

/// A setting in milliseconds; 0 leaves it to the kind of store.
fn by_store(ms: u64, store: &str, folder: u64, paid: u64) -> Duration {
    Duration::from_millis(match ms {
        0 if local_folder(store).is_some() => folder,
        0 => paid,
        ms => ms,
    })
}

impl WorkerSettings {
    /// Reads the files that settings name, and the variable ABLATE_TOKEN.
    pub(crate) fn resolve_join(&mut self) -> anyhow::Result<()> {
        let variable = std::env::var("ABLATE_TOKEN").ok();
        let variable = variable.as_deref().filter(|text| !text.is_empty());
        self.join
            .resolve(&self.join_file, &self.token_file, variable)
    }

    /// Slots by the number of GPUs, or else of cores, where the settings leave
    /// it open.
    pub(crate) fn slots_here(&self, gpus: usize) -> u32 {
        if self.slots > 0 {
            return self.slots;
        }
        if gpus > 0 {
            return u32::try_from(gpus).unwrap_or(u32::MAX);
        }
        let cores = cores() / self.threads.max(1);
        u32::try_from(cores.max(1)).unwrap_or(u32::MAX)
    }
}

impl RunSettings {
    pub(crate) fn workers_here(&self, gpus: usize) -> usize {
        match self.workers {
            0 if gpus > 0 => gpus,
            0 => cores().min(8),
            workers => workers,
        }
    }
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
