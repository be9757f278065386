//! The bugs that can be planted, and seeds that show them.

use ablate_coordinator::planted as in_coordinator;
use ablate_worker::planted as in_worker;

/// The bugs that simulations see, and the first seed that shows each. Changes
/// of the code move these seeds; `table_of_planted_bugs` finds them again.
pub(crate) const SEEN: [(&str, u64); 17] = [
    ("NoFencing", 2),
    ("StaleAttempt", 2),
    ("CounterNotDurable", 0),
    ("EffectsBeforeDurable", 91),
    ("DoubleRetry", 2),
    ("LeaseNotRenewed", 2),
    ("ForeignKept", 61),
    ("AssignmentLost", 2),
    ("ReadyForgotten", 2),
    ("CancelledLeased", 9),
    ("HoldsForgotten", 21),
    ("NoReclaim", 11),
    ("OldGoneBelieved", 64),
    ("DropIgnored", 40),
    ("ReportNotRepeated", 9),
    ("CommitBeforeStored", 0),
    ("LostWakeUp", 0),
];

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bug {
    Coordinator(in_coordinator::Bug),
    Worker(in_worker::Bug),
}

impl Bug {
    pub(crate) fn all() -> Vec<Self> {
        let coordinator = in_coordinator::ALL.map(Self::Coordinator);
        let worker = in_worker::ALL.map(Self::Worker);
        coordinator.into_iter().chain(worker).collect()
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut all = Self::all().into_iter();
        all.find(|bug| bug.name() == name)
            .expect("a bug of this name")
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Coordinator(bug) => format!("{bug:?}"),
            Self::Worker(bug) => format!("{bug:?}"),
        }
    }

    pub(crate) fn plant(bug: Option<Self>) {
        in_coordinator::plant(match bug {
            Some(Self::Coordinator(bug)) => Some(bug),
            _ => None,
        });
        in_worker::plant(match bug {
            Some(Self::Worker(bug)) => Some(bug),
            _ => None,
        });
    }
}
