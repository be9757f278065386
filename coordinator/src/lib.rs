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

pub mod auth;
#[cfg(test)]
mod bent_store;
mod blocking;
mod connection;
pub mod core;
pub mod datasets;
mod driver;
mod following;
pub mod forecast;
pub mod gc;
mod listener;
mod live;
mod logs;
mod named;
mod outbound;
mod outcomes;
mod performer;
#[cfg(any(test, feature = "simulation"))]
pub mod planted;
mod policy;
pub mod probe;
mod results;
mod rpc;
pub mod server;
mod session;
mod state;
#[cfg(feature = "simulation")]
pub use state::history;
mod submit;
pub mod sweep;
pub mod takeover;
pub mod tls;
mod upload;
pub mod weights;
