//! Bugs to be planted, so that tests can be tested: each must be caught. None
//! of this is compiled into what is shipped.

use std::cell::Cell;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Commits and failures are taken from anybody, of any attempt.
    NoFencing,
    /// They are taken from the right worker, of any attempt.
    StaleAttempt,
    /// Attempt numbers are not written down.
    CounterNotDurable,
    /// Messages and answers go out before what they tell is durable.
    EffectsBeforeDurable,
    /// A late report of a failure takes the task from who has it now.
    DoubleRetry,
    /// Heartbeats renew nothing.
    LeaseNotRenewed,
    /// A worker may keep what is not its own.
    ForeignKept,
    /// An assignment that got lost is not sent again.
    AssignmentLost,
    /// A task that is tried again is not queued.
    ReadyForgotten,
    /// The tasks of a cancelled sweep go on.
    CancelledLeased,
    /// A restart forgets which sweeps are held.
    HoldsForgotten,
    /// A restart gives nobody time to come back.
    NoReclaim,
    /// The end of an older connection ends the newer one.
    OldGoneBelieved,
}

pub const ALL: [Bug; 13] = [
    Bug::NoFencing,
    Bug::StaleAttempt,
    Bug::CounterNotDurable,
    Bug::EffectsBeforeDurable,
    Bug::DoubleRetry,
    Bug::LeaseNotRenewed,
    Bug::ForeignKept,
    Bug::AssignmentLost,
    Bug::ReadyForgotten,
    Bug::CancelledLeased,
    Bug::HoldsForgotten,
    Bug::NoReclaim,
    Bug::OldGoneBelieved,
];

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// From now on, what runs on this thread has this bug, and no other.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
