//! Whole-system tests: the real binary, real processes, a real store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "system/architecture.rs"]
mod architecture;
#[path = "system/audit.rs"]
mod audit;
#[path = "system/bad_input.rs"]
mod bad_input;
#[path = "system/bare.rs"]
mod bare;
#[path = "system/by_hand.rs"]
mod by_hand;
#[path = "system/command.rs"]
mod command;
#[path = "system/control.rs"]
mod control;
#[path = "system/crashes.rs"]
mod crashes;
#[path = "system/cuts.rs"]
mod cuts;
#[path = "system/data.rs"]
mod data;
#[path = "system/disks.rs"]
mod disks;
#[path = "system/freezes.rs"]
mod freezes;
#[path = "system/gc.rs"]
mod gc;
#[cfg(feature = "cuda")]
#[path = "system/gpu.rs"]
mod gpu;
#[path = "system/inception.rs"]
mod inception;
#[path = "system/kills.rs"]
mod kills;
#[path = "system/packing.rs"]
mod packing;
#[path = "system/quickstart.rs"]
mod quickstart;
#[path = "system/refusals.rs"]
mod refusals;
#[path = "system/s3.rs"]
mod s3;
#[path = "system/secure.rs"]
mod secure;
#[path = "system/storm.rs"]
mod storm;
#[path = "system/strangers.rs"]
mod strangers;
#[path = "system/streaming.rs"]
mod streaming;
#[path = "system/studies.rs"]
mod studies;
mod support;
#[path = "system/takeover.rs"]
mod takeover;
#[path = "system/weights.rs"]
mod weights;
