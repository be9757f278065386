//! Work that takes a while: on threads beside the runtime's. In simulations at
//! once, on the one thread that there is: what comes back from other threads
//! comes in an order of its own, and one seed would not be one run.

#[cfg(not(feature = "simulation"))]
pub(crate) use tokio::task::spawn_blocking as run;

/// A panic goes on where it is awaited.
#[cfg(feature = "simulation")]
pub(crate) async fn run<T>(work: impl FnOnce() -> T) -> Result<T, tokio::task::JoinError> {
    Ok(work())
}
