//! List scheduling by itself, without workers or a coordinator: how long a
//! set of tasks takes on so many slots, in one order or another. Serves
//! forecasts, and the comparison of policies.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A task for the simulation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) seconds: f64,
    /// Places of its parents, all before its own.
    pub(crate) parents: Vec<usize>,
}

/// Which ready task goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// What the coordinator does.
    CriticalPath,
    #[cfg(test)]
    AsSubmitted,
    #[cfg(test)]
    LongestFirst,
    #[cfg(test)]
    ShortestFirst,
}

/// Seconds along the longest chain that begins with each task.
pub(crate) fn chains(nodes: &[Node]) -> Vec<f64> {
    let mut chains: Vec<f64> = nodes.iter().map(|node| node.seconds).collect();
    for (at, node) in nodes.iter().enumerate().rev() {
        for parent in &node.parents {
            chains[*parent] = chains[*parent].max(nodes[*parent].seconds + chains[at]);
        }
    }
    chains
}

/// No order is faster than this: the longest chain, and all work over all
/// slots.
#[cfg(test)]
pub(crate) fn bound(nodes: &[Node], slots: usize) -> f64 {
    let work: f64 = nodes.iter().map(|node| node.seconds).sum();
    let longest = chains(nodes).into_iter().fold(0.0, f64::max);
    longest.max(work / slots.max(1) as f64)
}

/// Seconds from the first start to the last end, where a slot that is free
/// takes the first of what is ready.
pub(crate) fn makespan(nodes: &[Node], slots: usize, order: Order) -> f64 {
    let key: Vec<f64> = match order {
        Order::CriticalPath => chains(nodes),
        #[cfg(test)]
        Order::AsSubmitted => vec![0.0; nodes.len()],
        #[cfg(test)]
        Order::LongestFirst => nodes.iter().map(|n| n.seconds).collect(),
        #[cfg(test)]
        Order::ShortestFirst => nodes.iter().map(|n| -n.seconds).collect(),
    };
    let mut missing: Vec<usize> = nodes.iter().map(|node| node.parents.len()).collect();
    let mut children = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        for parent in &node.parents {
            children[*parent].push(at);
        }
    }
    let first = (0..nodes.len()).filter(|at| missing[*at] == 0);
    let mut ready: BinaryHeap<(Seconds, Reverse<usize>)> =
        first.map(|at| (Seconds(key[at]), Reverse(at))).collect();
    let mut running: BinaryHeap<Reverse<(Seconds, usize)>> = BinaryHeap::new();
    let mut now = 0.0;
    loop {
        while running.len() < slots.max(1)
            && let Some((_, Reverse(at))) = ready.pop()
        {
            running.push(Reverse((Seconds(now + nodes[at].seconds), at)));
        }
        let Some(Reverse((Seconds(end), at))) = running.pop() else {
            return now;
        };
        now = end;
        for child in &children[at] {
            missing[*child] -= 1;
            if missing[*child] == 0 {
                ready.push((Seconds(key[*child]), Reverse(*child)));
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Seconds(f64);

impl Eq for Seconds {}

impl PartialOrd for Seconds {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Seconds {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests;
