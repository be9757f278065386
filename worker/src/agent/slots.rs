//! The slots of a worker: as many runners as work at the same time. A runner
//! is started when its slot is first used, and reused while it is sound.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ablate_proto::failure::Failure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::runner_process::{Launcher, RunnerProcess};

#[derive(Debug)]
pub(super) struct Slots {
    launcher: Launcher,
    /// Attempts take slots in the order in which they became ready.
    free: Arc<Semaphore>,
    idle: Mutex<Vec<Slot>>,
}

#[derive(Debug)]
struct Slot {
    runner: Option<Box<RunnerProcess>>,
    /// Always empty: the `out` of stages that leave nothing.
    void: PathBuf,
}

/// A slot at work; it goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    slots: Arc<Slots>,
    slot: Option<Slot>,
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    /// `folder` takes one empty folder for each slot.
    pub(super) async fn new(
        launcher: Launcher,
        count: usize,
        folder: &Path,
    ) -> std::io::Result<Arc<Self>> {
        let mut idle = Vec::with_capacity(count);
        for index in 0..count {
            let void = folder.join(index.to_string());
            tokio::fs::create_dir_all(&void).await?;
            idle.push(Slot { runner: None, void });
        }
        Ok(Arc::new(Self {
            launcher,
            free: Arc::new(Semaphore::new(count)),
            idle: Mutex::new(idle),
        }))
    }

    /// Starts a first runner and says what it runs on.
    pub(super) async fn device(&self) -> Result<String, Failure> {
        let runner = self.launcher.start().await?;
        let device = runner.device.clone();
        let mut idle = self.idle();
        // The slot lent first is the last.
        if let Some(slot) = idle.last_mut() {
            slot.runner = Some(runner);
        }
        Ok(device)
    }

    /// Waits for a slot. `None` once the worker is closing.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Lent> {
        let permit = self.free.clone().acquire_owned().await.ok()?;
        let slot = self.idle().pop();
        Some(Lent {
            slots: self.clone(),
            slot,
            _permit: permit,
        })
    }

    /// Ends all runners. To be called once no attempt holds a slot; returns
    /// when the processes are gone.
    pub(super) async fn close(&self) {
        self.free.close();
        let slots = std::mem::take(&mut *self.idle());
        let runners = slots.into_iter().filter_map(|slot| slot.runner);
        futures::future::join_all(runners.map(|runner| runner.retire())).await;
        let reaper: &TaskTracker = &self.launcher.reaper;
        reaper.close();
        // They were sent SIGKILL; only the kernel can hold them up.
        let reaped = tokio::time::timeout(Duration::from_secs(5), reaper.wait()).await;
        if reaped.is_err() {
            tracing::warn!("a killed runner does not go: it hangs in the kernel");
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Slot>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    /// The slot's runner, started if need be. It leaves the slot, so that it
    /// is not used again unless it is [given back](Self::give_back).
    pub(super) async fn runner(&mut self) -> Result<Box<RunnerProcess>, Failure> {
        let mut idle = self.slot.as_mut().and_then(|slot| slot.runner.take());
        // One that died while idle is no fault of the next task.
        match idle.take_if(|runner| runner.is_alive()) {
            Some(runner) => Ok(runner),
            None => self.slots.launcher.start().await,
        }
    }

    /// The runner ended its job in good order.
    pub(super) fn give_back(&mut self, runner: Box<RunnerProcess>) {
        if let Some(slot) = self.slot.as_mut() {
            slot.runner = Some(runner);
        }
    }

    pub(super) fn void(&self) -> PathBuf {
        self.slot
            .as_ref()
            .map(|slot| slot.void.clone())
            .unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.slots.idle().push(slot);
        }
    }
}
