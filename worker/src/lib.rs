//! The worker: an agent that leases tasks from a coordinator, and the runner
//! processes that execute them with candle. It never sees the coordinator's
//! code.

pub mod agent;
mod artifacts;
#[doc(hidden)]
pub mod bench;
mod data;
pub mod devices;
pub mod dial;
mod metrics;
mod models;
mod nn;
pub mod runner;
mod stages;
pub mod weights;
