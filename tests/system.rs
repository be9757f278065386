//! Whole-system tests: the real binary, real processes, a real store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "system/bad_input.rs"]
mod bad_input;
#[path = "system/by_hand.rs"]
mod by_hand;
#[path = "system/command.rs"]
mod command;
#[path = "system/control.rs"]
mod control;
#[cfg(feature = "cuda")]
#[path = "system/gpu.rs"]
mod gpu;
#[path = "system/kills.rs"]
mod kills;
#[path = "system/quickstart.rs"]
mod quickstart;
#[path = "system/streaming.rs"]
mod streaming;
mod support;
#[path = "system/weights.rs"]
mod weights;
