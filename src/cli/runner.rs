//! `ablate runner`: the child process that executes stages for a worker.

use ablate_worker::runner::{self, RunnerSettings};
use clap::Args;

#[derive(Args)]
pub(super) struct RunnerArgs {
    /// Threads of this runner
    #[arg(long)]
    threads: usize,
    #[arg(long)]
    checkpoint_seconds: f64,
}

/// Ends the process with the runner's own exit code.
pub(super) fn runner(args: &RunnerArgs) -> ! {
    let settings = RunnerSettings {
        threads: args.threads,
        checkpoint_seconds: args.checkpoint_seconds,
    };
    runner::main(settings).exit_process()
}
