//! How urgent tasks are, and how many may queue at a worker. One file a
//! policy; the core asks through the functions re-exported here.

mod critical_path;
mod durations;

pub(crate) use critical_path::{prefetch, weight};
pub(crate) use durations::Durations;
