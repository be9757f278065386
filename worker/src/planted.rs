//! Bugs to be planted, so that tests can be tested: each must be caught. None
//! of this is compiled into what is shipped.

use std::cell::Cell;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// What the coordinator does not want any more goes on.
    DropIgnored,
    /// A report that was not acknowledged is not repeated.
    ReportNotRepeated,
    /// A result is reported before its manifest is stored.
    CommitBeforeStored,
    /// A slot that becomes free wakes nobody who waits for one.
    LostWakeUp,
    /// A manifest is written over whatever is there.
    ManifestOverwritten,
}

pub const ALL: [Bug; 5] = [
    Bug::DropIgnored,
    Bug::ReportNotRepeated,
    Bug::CommitBeforeStored,
    Bug::LostWakeUp,
    Bug::ManifestOverwritten,
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
