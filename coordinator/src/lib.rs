//! The coordinator: plans sweeps, leases tasks to workers, keeps the truth.
//! Knows nothing of what a stage computes.

mod connection;
pub mod core;
mod driver;
mod outcomes;
mod performer;
mod policy;
mod rpc;
pub mod server;
mod state;
mod submit;
pub mod sweep;
