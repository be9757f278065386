//! `ablate runner`: the child process that executes stages for a worker.

use ablate_worker::runner::{self, RunnerSettings};
use clap::Args;

use crate::exit::Exit;

#[derive(Args)]
pub(super) struct RunnerArgs {
    /// Threads of this runner
    #[arg(long)]
    threads: usize,
    #[arg(long)]
    checkpoint_seconds: f64,
}

/// Runs until the worker closes this process's standard input.
pub(super) fn runner(args: &RunnerArgs) -> Exit {
    let settings = RunnerSettings {
        threads: args.threads,
        checkpoint_seconds: args.checkpoint_seconds,
    };
    let _ = runner::main(settings);
    Exit::Done
}
