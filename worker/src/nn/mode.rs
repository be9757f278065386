//! Whether a network runs to be trained or to be used.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A training step: what is random in it follows from both.
    Train {
        seed: u64,
        step: u64,
    },
    Eval,
}
