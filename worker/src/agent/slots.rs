//! The slots of a worker: as many runners as work at the same time. A runner
//! is started when its slot is first used, and reused while it is sound.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ablate_proto::capacity::SLOT;
use ablate_proto::failure::Failure;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::runner_process::{Launcher, RunnerProcess};

#[derive(Debug)]
pub(super) struct Slots {
    launcher: Launcher,
    board: Mutex<Board>,
}

#[derive(Debug, Default)]
struct Board {
    /// As many as may run at once.
    idle: Vec<Slot>,
    /// What is left of the slots, in their unit.
    free: u32,
    /// Attempts that are ready to run. Of those, the one assigned first is
    /// served first: the coordinator sends what is urgent first.
    waiting: BTreeMap<u64, (u32, oneshot::Sender<Lent>)>,
    closed: bool,
}

/// When an attempt is served, and how much of a slot it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Counts assignments.
    pub(super) order: u64,
    /// In units of [`SLOT`].
    pub(super) share: u32,
}

#[derive(Debug)]
struct Slot {
    runner: Option<Box<RunnerProcess>>,
    /// UUID of its GPU.
    gpu: Option<String>,
    /// Always empty: the `out` of stages that leave nothing.
    void: PathBuf,
}

/// A slot at work; it goes to the next attempt when this is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    slots: Arc<Slots>,
    slot: Option<Slot>,
    share: u32,
}

impl Board {
    /// A slot for so much of one, if that is free: on the GPU with most left.
    fn lend(&mut self, share: u32) -> Option<Slot> {
        if self.free < share || self.idle.is_empty() {
            return None;
        }
        let idle = |gpu: &Option<String>| self.idle.iter().filter(|s| s.gpu == *gpu).count();
        let last = self.idle.len() - 1;
        let at = match self.idle[last].gpu {
            None => last,
            Some(_) => (0..=last).max_by_key(|at| idle(&self.idle[*at].gpu))?,
        };
        self.free -= share;
        Some(self.idle.swap_remove(at))
    }
}

impl Slots {
    /// `folder` takes one empty folder for each runner, of which there are
    /// `pack` for each slot; they take the GPUs in turn.
    pub(super) async fn new(
        launcher: Launcher,
        (slots, pack): (usize, usize),
        gpus: &[String],
        folder: &Path,
    ) -> std::io::Result<Arc<Self>> {
        let mut board = Board {
            free: u32::try_from(slots)
                .unwrap_or(u32::MAX)
                .saturating_mul(SLOT),
            ..Board::default()
        };
        for index in 0..slots * pack {
            let void = folder.join(index.to_string());
            crate::files::fs::create_dir_all(&void).await?;
            let gpu = gpus.get(index % gpus.len().max(1)).cloned();
            board.idle.push(Slot {
                runner: None,
                gpu,
                void,
            });
        }
        Ok(Arc::new(Self {
            launcher,
            board: Mutex::new(board),
        }))
    }

    /// Starts a first runner and says what it runs on.
    pub(super) async fn device(&self) -> Result<String, Failure> {
        // The slot lent first is the last.
        let gpu = self.board().idle.last().and_then(|slot| slot.gpu.clone());
        let runner = self.launcher.start(gpu.as_deref()).await?;
        let device = runner.device.clone();
        if let Some(slot) = self.board().idle.last_mut() {
            slot.runner = Some(runner);
        }
        Ok(device)
    }

    /// Waits for a slot, or a part of one. `None` once the worker is closing.
    pub(super) async fn take(self: &Arc<Self>, turn: Turn) -> Option<Lent> {
        let next = {
            let mut board = self.board();
            if board.closed {
                return None;
            }
            if board.waiting.is_empty()
                && let Some(slot) = board.lend(turn.share)
            {
                return Some(self.lend(slot, turn.share));
            }
            let (tx, next) = oneshot::channel();
            board.waiting.insert(turn.order, (turn.share, tx));
            next
        };
        next.await.ok()
    }

    fn lend(self: &Arc<Self>, slot: Slot, share: u32) -> Lent {
        Lent {
            slots: self.clone(),
            slot: Some(slot),
            share,
        }
    }

    /// Takes a slot back, and serves those that wait, in their order.
    fn put(self: &Arc<Self>, slot: Slot, share: u32) {
        {
            let mut board = self.board();
            board.free += share;
            board.idle.push(slot);
        }
        loop {
            let (tx, lent) = {
                let mut board = self.board();
                if planted!(LostWakeUp) {
                    return;
                }
                let Some(share) = board.waiting.first_key_value().map(|(_, first)| first.0) else {
                    return;
                };
                let Some(slot) = board.lend(share) else {
                    return;
                };
                let Some((_, (_, tx))) = board.waiting.pop_first() else {
                    return;
                };
                (tx, self.lend(slot, share))
            };
            if let Err(mut lent) = tx.send(lent)
                // That one was dropped meanwhile.
                && let Some(slot) = lent.slot.take()
            {
                let mut board = self.board();
                board.free += lent.share;
                board.idle.push(slot);
            }
        }
    }

    /// Ends all runners. To be called once no attempt holds a slot; returns
    /// when the processes are gone.
    pub(super) async fn close(&self) {
        let slots = {
            let mut board = self.board();
            board.closed = true;
            board.waiting.clear();
            std::mem::take(&mut board.idle)
        };
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

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
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
            None => {
                let gpu = self.slot.as_ref().and_then(|slot| slot.gpu.clone());
                self.slots.launcher.start(gpu.as_deref()).await
            }
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
            self.slots.put(slot, self.share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A runner that calls what it was given its device.
    const ECHO: &str = r#"
        printf '{"ready":{"device":"%s","threads":1}}\n' "$1 $2 $CUDA_VISIBLE_DEVICES"
        read -r line
    "#;

    #[tokio::test]
    async fn slots_take_the_gpus_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        let launcher = Launcher {
            command: ["sh", "-c", ECHO, "runner"].map(Into::into).to_vec(),
            threads: 1,
            reaper: TaskTracker::new(),
        };
        let gpus = ["GPU-a", "GPU-b"].map(str::to_owned);
        let slots = Slots::new(launcher, (3, 1), &gpus, folder.path())
            .await
            .unwrap();
        let first = slots.device().await.unwrap();
        let mut lent = Vec::new();
        let mut devices = Vec::new();
        for order in 0..3 {
            let mut slot = slots.take(Turn { order, share: SLOT }).await.unwrap();
            devices.push(slot.runner().await.unwrap().device.clone());
            lent.push(slot);
        }
        assert_eq!(devices[0], first);
        devices.sort();
        let [a, b] = ["--gpu GPU-a GPU-a", "--gpu GPU-b GPU-b"];
        assert_eq!(devices, [a, a, b]);
    }
}
