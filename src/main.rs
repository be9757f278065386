//! `ablate`: ablation studies of generative image models, on all the GPU
//! boxes a team has.

mod allocator;
mod at_hand;
mod baggage;
mod cli;
mod client;
mod cluster;
mod difference;
mod exit;
mod import;
mod lines;
mod network;
mod progress;
mod report;
mod rpc;
mod select;
mod settings;
mod store;
mod tasks;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> std::process::ExitCode {
    let cli = cli::Cli::parse();
    match cli.run() {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("error: {:#}", failure.error);
            failure.exit.into()
        }
    }
}
