//! The child process of a slot: executes one stage after another, so that a
//! crash costs that one task.
//!
//! Standard input and output carry the messages of `protocol`; standard error
//! is the log. It knows nothing of the coordinator or the store.

pub(crate) mod checkpoint;
pub(crate) mod context;
pub(crate) mod failure;
mod job;
pub(crate) mod program;
pub(crate) mod protocol;
pub(crate) mod pulse;
pub(crate) mod usage;

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use self::protocol::{FromRunner, Job, ToRunner};
use crate::devices;

/// What the agent decides for its runner.
#[derive(Debug, Clone, PartialEq)]
pub struct RunnerSettings {
    /// Threads for tensor work. The agent also sets `RAYON_NUM_THREADS`, since
    /// the matrix products of candle read it.
    pub threads: usize,
    pub checkpoint_seconds: f64,
    /// UUID of the GPU to compute on; none is the CPU.
    pub gpu: Option<String>,
}

impl Default for RunnerSettings {
    fn default() -> Self {
        Self {
            threads: 1,
            checkpoint_seconds: 30.0,
            gpu: None,
        }
    }
}

/// The variable that tells a runner's allocator how many milliseconds to keep
/// free pages for, and what it is set to unless it is set already. Layers free
/// and ask for the same few large blocks in ever other sizes: kept for the
/// second that is usual, they add to the memory at the peak.
pub const PURGE_DELAY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "10");

/// Exit status when a message could not be understood: the agent is another
/// version.
const BAD_MESSAGE: i32 = 2;

/// Exit status of a process that could get no more memory.
pub const OUT_OF_MEMORY: i32 = 79;

/// candle walks its graphs by recursion.
const STACK: usize = 256 << 20;

/// Runs jobs until standard input closes, and then ends the process at once.
#[must_use]
pub fn main(settings: &RunnerSettings) -> ExitCode {
    let settings = settings.clone();
    let stages = thread::Builder::new()
        .name("stages".to_owned())
        .stack_size(STACK)
        .spawn(move || serve(&settings));
    match stages.map(thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        Ok(Err(_)) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!(%error, "a thread for the stages could not be started");
            ExitCode::FAILURE
        }
    }
}

/// Makes the thread that calls this one of `threads` for tensor work. What it
/// computes on several then begins in itself: handing each operation to others
/// and waiting for them would cost small ones more than they take.
pub(crate) fn compute_here(threads: usize) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    if let Err(error) = pool.use_current_thread().build_global() {
        tracing::warn!(%error, "the thread pool keeps its size");
    }
}

fn serve(settings: &RunnerSettings) -> ExitCode {
    let threads = settings.threads.max(1);
    compute_here(threads);
    let device = match settings.gpu.as_deref().map(devices::open) {
        None => "cpu".to_owned(),
        Some(Ok(device)) => device,
        Some(Err(why)) => {
            tracing::error!("{why}");
            return ExitCode::FAILURE;
        }
    };
    job::note_panics();
    program::alone();
    let checkpoint_every =
        Duration::try_from_secs_f64(settings.checkpoint_seconds.max(0.0)).unwrap_or(Duration::MAX);
    let (jobs, queue) = channel();
    thread::spawn(move || listen(&jobs));
    send(&FromRunner::Ready { device, threads });
    for (job, stop) in queue {
        #[cfg(feature = "cuda")]
        let watch = settings.gpu.clone().map(devices::monitor::start);
        let last = job::run(job, stop, checkpoint_every, Box::new(|m| send(&m)));
        #[cfg(feature = "cuda")]
        watch.into_iter().for_each(devices::monitor::Watch::end);
        send(&last);
    }
    ExitCode::SUCCESS
}

/// Reads messages. A stop reaches every job that was sent before it and has
/// not ended.
fn listen(jobs: &Sender<(Job, Arc<AtomicBool>)>) {
    let mut stops: Vec<Weak<AtomicBool>> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let message = line
            .map_err(|e| e.to_string())
            .and_then(|line| serde_json::from_str::<ToRunner>(&line).map_err(|e| e.to_string()));
        match message {
            Ok(ToRunner::Run(job)) => {
                let stop = Arc::new(AtomicBool::new(false));
                stops.retain(|stop| stop.strong_count() > 0);
                stops.push(Arc::downgrade(&stop));
                if jobs.send((*job, stop)).is_err() {
                    break;
                }
            }
            Ok(ToRunner::Stop) => {
                for stop in stops.iter().filter_map(Weak::upgrade) {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            Err(error) => {
                tracing::error!(%error, "a message of the agent cannot be understood");
                program::abandon();
                std::process::exit(BAD_MESSAGE);
            }
        }
    }
    // The agent is gone: whatever runs here has nobody to report to.
    program::abandon();
    std::process::exit(0);
}

fn send(message: &FromRunner) {
    let mut out = std::io::stdout().lock();
    let written = serde_json::to_writer(&mut out, message)
        .map_err(std::io::Error::from)
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    if let Err(error) = written {
        tracing::error!(%error, "the agent does not listen any more");
        program::abandon();
        std::process::exit(0);
    }
}
