//! The object by which the coordinator that serves a store is found, and by
//! which a standby sees that it lives: `coordinator/<epoch>.json`.
//!
//! A coordinator takes a new, higher epoch when it takes over the state, and
//! writes the object of its own epoch only. The highest one counts, so one
//! that wakes up late cannot mislead anybody.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    pub epoch: u64,
    /// Of this process; no other has it.
    pub id: String,
    /// Where it is reached, as `host:port`.
    pub address: String,
    /// Counts how often this was written: while it changes, its writer lives.
    pub beat: u64,
    /// Time between two beats, in milliseconds.
    pub every_ms: u64,
    /// It has ended in good order: nobody need wait to take over.
    pub stopped: bool,
}

#[cfg(test)]
mod tests {
    use crate::layout;

    #[test]
    fn names_sort_and_parse_as_their_epochs() {
        let name = |epoch| layout::coordinator(epoch).replace("coordinator/", "");
        for epoch in [0, 1, 255, u64::MAX] {
            assert_eq!(layout::epoch(&name(epoch)), Some(epoch));
        }
        assert!(name(9) < name(10) && name(0xfff) < name(0x1000));
        let takeover = layout::takeover(3, 0).replace("coordinator/", "");
        for other in ["1.json", "+000000000000001.json", "x", takeover.as_str()] {
            assert_eq!(layout::epoch(other), None, "{other}");
        }
    }
}
