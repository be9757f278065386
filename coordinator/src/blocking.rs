//! Work that takes a while: on threads beside the runtime's. In simulations at
//! once, on the one thread that there is: what comes back from other threads
//! comes in an order of its own, and one seed would not be one run.

#[cfg(not(feature = "simulation"))]
pub(crate) use tokio::task::spawn_blocking as run;

/// A panic goes on at once.
#[cfg(feature = "simulation")]
pub(crate) fn run<T>(
    work: impl FnOnce() -> T,
) -> std::future::Ready<Result<T, tokio::task::JoinError>> {
    std::future::ready(Ok(work()))
}
