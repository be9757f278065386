//! γ-ARVM (science.md §1): the prior over token grids. `window` says what a
//! site sees, `table` counts what followed it in training (q), `net` learns
//! it (p), and `sampler` draws from either.

mod file;
pub(crate) mod net;
pub(crate) mod sampler;
pub(crate) mod table;
pub(crate) mod window;

pub(crate) use file::{Arch, Arvm, FAMILY};
