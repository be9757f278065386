//! The coordinator: plans sweeps, leases tasks to workers, keeps the truth.
//! Knows nothing of what a stage computes.

#[cfg(test)]
mod bent_store;
mod connection;
pub mod core;
mod driver;
pub mod gc;
mod outcomes;
mod performer;
mod policy;
pub mod probe;
mod rpc;
pub mod server;
mod state;
mod submit;
pub mod sweep;
pub mod takeover;
