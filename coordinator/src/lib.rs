//! The coordinator: plans sweeps, leases tasks to workers, keeps the truth.
//! Knows nothing of what a stage computes.

pub mod sweep;
