//! Where files are read and written: `tokio::fs`, on threads beside the
//! runtime's. In simulations the same calls are made at once, on the one
//! thread that there is: what comes back from other threads comes in an order
//! of its own, and one seed would not be one run.

#[cfg(feature = "simulation")]
pub(crate) mod fs;
#[cfg(feature = "simulation")]
pub(crate) use fs::blocking;

#[cfg(not(feature = "simulation"))]
pub(crate) use tokio::fs;
#[cfg(not(feature = "simulation"))]
pub(crate) use tokio::task::spawn_blocking as blocking;
