//! How urgent tasks are, whose turn it is, and how many may queue at a
//! worker. One file a policy; the core asks through what is re-exported here.

mod critical_path;
mod durations;
mod fair_share;
mod list_schedule;
mod memory;

pub(crate) use critical_path::{prefetch, weight};
pub(crate) use durations::{Class, Durations};
pub(crate) use fair_share::{Service, Turn};
pub(crate) use list_schedule::{Node, Order, chains, makespan};
pub(crate) use memory::{Peaks, share};
