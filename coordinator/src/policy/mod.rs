//! How urgent tasks are, whose turn it is, and how many may queue at a
//! worker. One file a policy; the core asks through what is re-exported here.

mod critical_path;
mod durations;
mod fair_share;

pub(crate) use critical_path::{prefetch, weight};
pub(crate) use durations::{Class, Durations};
pub(crate) use fair_share::{Service, Turn};
