//! The worker: an agent that leases tasks from a coordinator, and the runner
//! processes that execute them with candle. It never sees the coordinator's
//! code.

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

pub mod agent;
mod artifacts;
#[doc(hidden)]
pub mod bench;
mod data;
pub mod devices;
pub mod dial;
mod files;
mod metrics;
mod models;
mod nn;
#[cfg(any(test, feature = "simulation"))]
pub mod planted;
pub mod runner;
mod scratch;
mod stages;
pub mod weights;
