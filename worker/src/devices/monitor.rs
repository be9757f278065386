//! How much of its GPU a stage used, by NVML, which is loaded where there is
//! one: without it nothing is said. NVML knows all GPUs, whatever this process
//! is shown: ours is found by its UUID.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use crate::runner::usage;

const EVERY: Duration = Duration::from_millis(500);

/// A stage that is being watched.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    samples: u32,
    /// Bytes of this process, or of the GPU where processes are not told
    /// apart; the largest.
    peak: u64,
    total: u64,
    /// Sum of percents.
    busy: u64,
}

/// Follows the GPU until the watch is ended, and then says what was seen.
pub(crate) fn start(uuid: String) -> Watch {
    let stop = Arc::new(AtomicBool::new(false));
    let ended = stop.clone();
    let thread = thread::spawn(move || {
        if let Err(error) = follow(&uuid, &ended) {
            tracing::info!(%error, "memory and load of the GPU are not known");
        }
    });
    Watch { stop, thread }
}

impl Watch {
    pub(crate) fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        // It only measures: a stage is none the worse for its panic.
        let _ = self.thread.join();
    }
}

fn follow(uuid: &str, ended: &AtomicBool) -> Result<(), NvmlError> {
    let nvml = Nvml::init()?;
    let device = nvml.device_by_uuid(uuid)?;
    let mut seen = Seen::default();
    while !ended.load(Ordering::Relaxed) {
        thread::park_timeout(EVERY);
        sample(&device, &mut seen)?;
    }
    let mib = |bytes: u64| bytes >> 20;
    tracing::info!(
        peak_mib = mib(seen.peak),
        total_mib = mib(seen.total),
        utilisation_percent = seen.busy / u64::from(seen.samples.max(1)),
        "use of the GPU"
    );
    Ok(())
}

fn sample(device: &Device<'_>, seen: &mut Seen) -> Result<(), NvmlError> {
    let memory = device.memory_info()?;
    let pid = std::process::id();
    let processes = device.running_compute_processes().unwrap_or_default();
    let own = processes.iter().find(|process| process.pid == pid);
    let used = match own.map(|process| &process.used_gpu_memory) {
        Some(UsedGpuMemory::Used(bytes)) => *bytes,
        Some(UsedGpuMemory::Unavailable) | None => memory.used,
    };
    seen.peak = seen.peak.max(used);
    usage::on_device(used);
    seen.total = memory.total;
    seen.busy += u64::from(device.utilization_rates()?.gpu);
    seen.samples += 1;
    Ok(())
}
