//! Fair share: higher priority first; among equals, the sweep that has the
//! fewest slots, then the one that was served least.
//!
//! Service is counted as in start-time fair queueing (Goyal, Vin and Cheng,
//! 1996): a lease is charged when it starts, with its expected milliseconds,
//! and a sweep that comes back to work starts from where the others are, so
//! that nobody is made to wait for what they did not use.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A sweep's place among those that have ready tasks. The least is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    pub(crate) priority: Reverse<i64>,
    pub(crate) running: u64,
    pub(crate) served: u64,
}

/// How far service has come, for each priority.
#[derive(Debug, Default)]
pub(crate) struct Service {
    clock: BTreeMap<i64, u64>,
}

impl Service {
    /// Takes note of a turn that was taken.
    pub(crate) fn turn(&mut self, turn: Turn) {
        let clock = self.clock.entry(turn.priority.0).or_default();
        *clock = turn.served.max(*clock);
    }

    /// Where a sweep starts that had nothing to run.
    pub(crate) fn start(&self, priority: i64) -> u64 {
        self.clock.get(&priority).copied().unwrap_or_default()
    }
}
