//! The contract of `ablate`: ids, stage specs, tasks, artefacts, failures and
//! the wire format. No I/O, no tensors, no runtime.

pub mod access;
pub mod artifact;
pub mod capacity;
pub mod current;
pub mod dataset;
pub mod failure;
pub mod id;
pub mod layout;
pub mod message;
pub mod seal;
pub mod stage;
pub mod status;
pub mod task;
pub mod weights;
pub mod wire;

/// Version of the worker protocol. Peers with another number are refused.
pub const PROTOCOL: u32 = 2;
