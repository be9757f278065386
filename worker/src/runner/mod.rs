//! The child process of a slot: executes one stage after another, so that a
//! crash costs that one task.

pub(crate) mod protocol;
