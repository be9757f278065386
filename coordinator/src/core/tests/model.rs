//! Leases and commits, model checked: the real core, with workers and a
//! network that do their worst. Every order of events within the bounds is
//! tried: workers and the coordinator crash, before or after what they decided
//! is durable; messages overtake each other, arrive twice or not at all;
//! leases lapse.
//!
//! `ABLATE_MODEL=2,3,1,1,1,1,1` sets other bounds than [`BOUNDS`].

mod cluster;
mod world;

use std::collections::BTreeMap;

use stateright::{Checker, HasDiscoveries, Model};

use super::*;
use crate::planted::Bug;
use world::{Budget, Cluster};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn check(cluster: Cluster) -> impl Fn(&str) -> Option<usize> {
    let (bug, broken) = (cluster.bug, cluster.bug.is_some());
    let mut checker = cluster.checker().threads(2);
    if broken {
        // One counterexample is enough.
        checker = checker.finish_when(HasDiscoveries::AnyFailures);
    }
    let checker = checker.spawn_bfs().join();
    let found: BTreeMap<_, _> = checker
        .discoveries()
        .into_iter()
        .map(|(name, path)| (name, path.into_actions().len()))
        .collect();
    eprintln!(
        "{bug:?}: {} states, {found:?}",
        checker.unique_state_count()
    );
    move |name: &str| found.get(name).copied()
}

fn cluster(bounds: [u8; 7], bug: Option<Bug>) -> Cluster {
    let [
        tasks,
        workers,
        coordinator_crashes,
        worker_crashes,
        reconnects,
        duplicates,
        lapses,
    ] = bounds;
    Cluster {
        tasks: (0..tasks).map(|index| task(index.into(), &[])).collect(),
        workers: workers.into(),
        budget: Budget {
            coordinator_crashes,
            worker_crashes,
            reconnects,
            duplicates,
            lapses,
        },
        bug,
    }
}

const ALWAYS: [&str; 4] = [
    "a result counts once",
    "an attempt number is used once",
    "what is committed was the current attempt",
    "what is acknowledged is durable",
];

/// Tasks, workers, crashes of the coordinator and of workers, reconnections,
/// duplicates, lapses.
const BOUNDS: [[u8; 7]; 2] = [[1, 2, 1, 1, 1, 0, 1], [1, 2, 1, 0, 1, 1, 1]];

fn bounds() -> Vec<[u8; 7]> {
    let Ok(text) = std::env::var("ABLATE_MODEL") else {
        return BOUNDS.to_vec();
    };
    let numbers: Vec<u8> = text.split(',').map(|n| n.parse().unwrap()).collect();
    vec![numbers.try_into().unwrap()]
}

#[test]
fn no_order_of_events_breaks_a_promise() {
    for bounds in bounds() {
        let found = check(cluster(bounds, None));
        for name in ALWAYS {
            assert_eq!(found(name), None, "{name}");
        }
        assert!(found("everything is done").is_some());
    }
}

/// Each of these bugs has a counterexample within the bounds.
#[test]
fn the_model_sees_bugs() {
    for (bug, name) in [
        (Bug::NoFencing, "what is committed was the current attempt"),
        (
            Bug::StaleAttempt,
            "what is committed was the current attempt",
        ),
        (Bug::CounterNotDurable, "an attempt number is used once"),
        (Bug::EffectsBeforeDurable, "what is acknowledged is durable"),
    ] {
        let found = check(cluster([1, 2, 1, 0, 1, 0, 1], Some(bug)));
        let caught: Vec<_> = ALWAYS.iter().filter(|name| found(name).is_some()).collect();
        assert!(
            !caught.is_empty(),
            "{bug:?} was not caught; {name} should not hold"
        );
    }
}
