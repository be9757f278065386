//! `ablate runner`: the child process that executes stages for a worker.

use std::process::ExitCode;

use ablate_worker::runner::{self, RunnerSettings};
use clap::Args;

use crate::allocator;
use crate::exit::Exit;

#[derive(Args)]
pub(super) struct RunnerArgs {
    /// Threads of this runner
    #[arg(long)]
    threads: usize,
    #[arg(long)]
    checkpoint_seconds: f64,
    /// UUID of the GPU to compute on; the CPU without it
    #[arg(long)]
    gpu: Option<String>,
}

/// Runs until the worker closes this process's standard input.
pub(super) fn runner(args: &RunnerArgs) -> Exit {
    let settings = RunnerSettings {
        threads: args.threads,
        checkpoint_seconds: args.checkpoint_seconds,
        gpu: args.gpu.clone(),
    };
    allocator::end_when_out_of_memory();
    let ended = runner::main(&settings);
    if ended == ExitCode::SUCCESS {
        Exit::Done
    } else {
        Exit::Failed
    }
}
