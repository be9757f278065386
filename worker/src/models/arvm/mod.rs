//! γ-ARVM (science.md §1): the prior over token grids. `window` says what a
//! site sees, `table` counts what followed it in training (q), `chain` those
//! counts bit by bit, `net` learns it (p), and `sampler` draws from either.

pub(crate) mod book;
pub(crate) mod chain;
mod file;
pub(crate) mod net;
pub(crate) mod sampler;
pub(crate) mod table;
pub(crate) mod window;

pub(crate) use file::{Arch, Arvm, FAMILY, ids};
