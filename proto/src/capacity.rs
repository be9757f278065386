//! What a worker has for tasks, and what tasks take of it.

use serde::{Deserialize, Serialize};

/// A whole slot, in the unit of shares of slots.
pub const SLOT: u32 = 1024;

/// What a worker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capacity {
    /// Bytes of memory for all its tasks together: of its GPUs where it
    /// computes on those, else of the machine. 0: not known.
    pub memory: u64,
    /// Bytes that one task may have: a GPU's, or all.
    pub largest: u64,
    /// Tasks that may share a slot.
    pub pack: u32,
    /// Cores of a slot.
    pub threads: u32,
}

/// What an attempt used at most. 0: not measured.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Used {
    /// Bytes, in the memory that its worker counts.
    pub memory: u64,
    /// Cores, on average over its time.
    pub cores: f32,
}

/// What a lease may take of its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Grant {
    /// Bytes that it is expected to need at most. 0: not known.
    pub memory: u64,
    /// Of a slot, in units of [`SLOT`].
    pub share: u32,
    /// It has all the memory of the largest worker to itself.
    pub whole: bool,
}

impl Default for Grant {
    /// A slot, as before memory was counted.
    fn default() -> Self {
        Self {
            memory: 0,
            share: SLOT,
            whole: false,
        }
    }
}

/// Bytes for people.
pub fn readable(bytes: u64) -> String {
    const MIB: f64 = (1 << 20) as f64;
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mib = bytes as f64 / MIB;
    if mib < 1000.0 {
        format!("{mib:.0} MiB")
    } else {
        format!("{:.1} GiB", mib / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_readable() {
        assert_eq!(readable(300 << 20), "300 MiB");
        assert_eq!(readable(24 << 30), "24.0 GiB");
    }
}
