//! What a worker needs to be told.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use ablate_proto::access::Token;
use url::Url;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    /// The coordinator: `host:port` or `http://host:port`.
    pub join: String,
    /// As whom to speak to it, where it asks.
    pub token: Option<Token>,
    /// Runner processes at work at the same time.
    pub slots: usize,
    /// Cores of each runner.
    pub threads_per_slot: usize,
    /// Tasks that may share a slot, once it is known how little of it they use.
    pub pack: usize,
    /// Bytes for all tasks together, and for one of them. 0: not counted.
    pub memory: u64,
    pub largest: u64,
    /// UUIDs of the GPUs that the slots take in turn; without any they compute
    /// on the CPU.
    pub gpus: Vec<String>,
    /// Local folder for the cache and for attempts; one worker's alone.
    pub scratch: PathBuf,
    /// Program and arguments of the runner.
    pub runner: Vec<OsString>,
    /// Bound of the artefact cache. What running tasks use may exceed it.
    pub cache_bytes: u64,
    /// From the request to stop until the runners are killed.
    pub grace: Duration,
    /// Ends the worker after so long without work.
    pub idle_exit: Option<Duration>,
    /// How long the first connection is tried.
    pub connect_timeout: Duration,
    /// How long transient errors of the store are retried before a task runs.
    pub store_patience: Duration,
    /// The same for a computed result, which is dearer and holds no slot.
    pub upload_patience: Duration,
    /// A runner that makes no progress for so long is killed.
    pub hang: Duration,
    /// Programs of users may run here (stages of kind `command`).
    pub allow_commands: bool,
    /// Version and git revision, for provenance.
    pub build: String,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            join: "127.0.0.1:7443".to_owned(),
            token: None,
            slots: 1,
            threads_per_slot: cores,
            pack: 1,
            memory: 0,
            largest: 0,
            gpus: Vec::new(),
            scratch: std::env::temp_dir().join("ablate-worker"),
            runner: Vec::new(),
            cache_bytes: 16 << 30,
            grace: Duration::from_secs(25),
            idle_exit: None,
            connect_timeout: Duration::from_secs(10),
            store_patience: Duration::from_secs(60),
            upload_patience: Duration::from_secs(15 * 60),
            hang: Duration::from_secs(15 * 60),
            allow_commands: false,
            build: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// A setting that cannot be used, and what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("worker setting `{setting}` {why}")]
pub struct InvalidSetting {
    pub setting: &'static str,
    pub why: String,
}

impl InvalidSetting {
    fn new(setting: &'static str, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { setting, why }
    }
}

impl WorkerSettings {
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        self.coordinator()?;
        if !(1..=4096).contains(&self.slots) {
            let why = format!("is {}; 1 to 4096 are possible", self.slots);
            return Err(InvalidSetting::new("slots", why));
        }
        if self.threads_per_slot == 0 {
            return Err(InvalidSetting::new(
                "threads_per_slot",
                "must be at least 1",
            ));
        }
        if !(1..=64).contains(&self.pack) {
            let why = format!("is {}; 1 to 64 are possible", self.pack);
            return Err(InvalidSetting::new("pack", why));
        }
        if self.runner.is_empty() {
            let why = "is empty; the program that runs stages is expected";
            return Err(InvalidSetting::new("runner", why));
        }
        if self.scratch.as_os_str().is_empty() {
            return Err(InvalidSetting::new(
                "scratch",
                "is empty; a folder is expected",
            ));
        }
        Ok(())
    }

    /// The coordinator's address as a URL.
    pub(super) fn coordinator(&self) -> Result<String, InvalidSetting> {
        let refuse = |why: &str| {
            let why = format!("is {:?}: {why}", self.join);
            InvalidSetting::new("join", why)
        };
        let text = match self.join.split_once("://") {
            Some(("http", _)) => self.join.clone(),
            Some(_) => return Err(refuse("only http:// is spoken")),
            None => format!("http://{}", self.join),
        };
        let url = Url::parse(&text).map_err(|e| refuse(&e.to_string()))?;
        let host = url.host_str().filter(|h| !h.is_empty());
        let host = host.ok_or_else(|| refuse("the host is missing"))?;
        let port = url
            .port()
            .ok_or_else(|| refuse("a port is expected, as in host:7443"))?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none();
        if !bare || !url.username().is_empty() {
            return Err(refuse("host and port are all that is expected"));
        }
        Ok(format!("http://{host}:{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(text: &str) -> Result<String, InvalidSetting> {
        let settings = WorkerSettings {
            join: text.to_owned(),
            ..WorkerSettings::default()
        };
        settings.coordinator()
    }

    #[test]
    fn coordinators_are_host_and_port() {
        assert_eq!(join("box:7443").unwrap(), "http://box:7443");
        assert_eq!(join("http://[::1]:7443/").unwrap(), "http://[::1]:7443");
        for bad in [
            "",
            "box",
            "https://box:1",
            "box:99999",
            "http://a@b:1",
            "b:1/x",
        ] {
            assert!(join(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_worker_without_a_runner_is_refused() {
        let error = WorkerSettings::default().validate().unwrap_err();
        assert_eq!(error.setting, "runner");
    }
}
