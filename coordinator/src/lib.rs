//! The coordinator: plans sweeps, leases tasks to workers, keeps the truth.
//! Knows nothing of what a stage computes.

/// Whether a bug is planted, for the tests of the tests. `false` in what is
/// shipped.
#[cfg(any(test, feature = "simulation"))]
macro_rules! planted {
    ($bug:ident) => {
        crate::planted::is(crate::planted::Bug::$bug)
    };
}
#[cfg(not(any(test, feature = "simulation")))]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

mod connection;
pub mod core;
mod driver;
mod outcomes;
mod performer;
#[cfg(any(test, feature = "simulation"))]
pub mod planted;
mod policy;
mod rpc;
pub mod server;
mod state;
#[cfg(feature = "simulation")]
pub use state::history;
mod submit;
pub mod sweep;
